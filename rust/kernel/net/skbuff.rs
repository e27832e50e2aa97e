// SPDX-License-Identifier: GPL-2.0

//! Socket buffers.
//!
//! C header: [`include/linux/skbuff.h`](srctree/include/linux/skbuff.h)
//!
//! What is read or written for every packet is read and written in place, with
//! no call into C. Offsets are counted from the first byte of the packet
//! (`skb->data`) unless said otherwise.

mod alloc;
mod checksum;
mod data;
mod fragment;
mod gso;
mod hash;
mod mpls;
mod vlan;
mod xmit;

pub use self::{
    checksum::ProtoCsum,
    data::Header,
    fragment::{
        FragmentOf,
        FragmentProtocol,
        MAX_L2_LEN, //
    },
    gso::Segments, //
};

use crate::{
    bindings,
    net::{
        dropreason::DropReason,
        netdevice::NetDevice, //
    },
    sync::rcu::RcuRead, //
};
use core::{
    mem::{
        align_of,
        size_of,
        ManuallyDrop, //
    },
    ptr::NonNull, //
};
use kernel::prelude::*;
use zerocopy::network_endian::U16 as Be16;

/// The flag of a GSO type that stands for UDP fragmentation offload.
pub const SKB_GSO_UDP: u32 = bindings::SKB_GSO_UDP as u32;

/// How the checksum of a packet stands. C: `skb->ip_summed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IpSummed {
    /// The device did not look at it.
    None,
    /// The device checked it.
    Unnecessary,
    /// `skb->csum` is the sum over the packet, as the device calculated it.
    Complete,
    /// It has to be filled in from `csum_start` and `csum_offset`.
    Partial,
}

/// An owned socket buffer: one reference to a `struct sk_buff`.
///
/// Dropping it is `kfree_skb()`; a packet that is not lost is given to
/// [`SkBuff::consume`], and a drop with a reason is [`SkBuff::free`].
///
/// # Invariants
///
/// - The pointer is to a valid `struct sk_buff` and owns one reference to it,
///   the only one to this `struct sk_buff` (`skb->users` is 1). Its data may be
///   shared with clones.
/// - `head`, `data`, `tail`, `end`, `len` and `data_len` are consistent.
/// - The device and a route without a reference are null or valid, by the RCU read
///   lock under which the packet came to its owner or got them. A packet is not
///   `Send`, so that it does not get out of there: to be kept, it has to become a
///   [`KeptSkBuff`].
/// - The control block belongs to the owner.
#[repr(transparent)]
pub struct SkBuff(NonNull<bindings::sk_buff>);

/// A packet that is kept for later: it has no device, and a reference to its
/// route if it has one.
pub struct KeptSkBuff(SkBuff);

// SAFETY: A socket buffer may be passed on to another CPU, and refers to nothing
// that goes meanwhile.
unsafe impl Send for KeptSkBuff {}

impl KeptSkBuff {
    /// Goes on with the packet, as one of this device.
    #[inline]
    pub fn resume(self, dev: &NetDevice, rcu: RcuRead<'_>) -> SkBuff {
        let mut skb = self.0;
        dev.set_skb_dev(&mut skb, rcu);
        skb
    }
}

impl SkBuff {
    /// Puts the packet aside. C: `skb->dev = NULL` and `skb_dst_force(skb)`.
    pub fn keep(mut self) -> KeptSkBuff {
        // SAFETY: Null will do. The socket buffer is valid, and if its route has
        // no reference, it is under the RCU read lock.
        unsafe {
            self.set_dev_ptr(core::ptr::null_mut());
            bindings::skb_dst_force(self.as_ptr());
        }
        KeptSkBuff(self)
    }

    /// Takes over a C socket buffer.
    ///
    /// # Safety
    ///
    /// `ptr` is valid, the caller owns the only reference to it and gives it
    /// away. Its control block is free to use.
    #[inline]
    pub unsafe fn from_raw(ptr: NonNull<bindings::sk_buff>) -> Self {
        // INVARIANT: By the safety requirements.
        Self(ptr)
    }

    /// Gives the socket buffer to C, which then owns it.
    #[inline]
    pub fn into_raw(self) -> *mut bindings::sk_buff {
        ManuallyDrop::new(self).0.as_ptr()
    }

    /// The C socket buffer.
    #[inline]
    pub fn as_ptr(&self) -> *mut bindings::sk_buff {
        self.0.as_ptr()
    }

    /// The fields that are copied when a socket buffer is.
    #[inline]
    fn headers(&self) -> &bindings::sk_buff__bindgen_ty_4__bindgen_ty_1 {
        // SAFETY: By the type invariant the socket buffer is valid and nobody
        // else changes these fields; both views of the union are the same
        // fields.
        unsafe {
            (*self.0.as_ptr())
                .__bindgen_anon_4
                .__bindgen_anon_1
                .as_ref()
        }
    }

    /// The fields that are copied when a socket buffer is, to be written.
    #[inline]
    fn headers_mut(&mut self) -> &mut bindings::sk_buff__bindgen_ty_4__bindgen_ty_1 {
        // SAFETY: As for `headers`.
        unsafe {
            (*self.0.as_ptr())
                .__bindgen_anon_4
                .__bindgen_anon_1
                .as_mut()
        }
    }

    /// Frees the packet as lost, with a reason. C: `kfree_skb_reason()`.
    #[inline]
    pub fn free(self, reason: DropReason) {
        // SAFETY: `self` is given away.
        unsafe {
            bindings::sk_skb_reason_drop(core::ptr::null(), self.into_raw(), reason.as_raw())
        };
    }

    /// Frees the packet as one that reached its end. C: `consume_skb()`.
    #[inline]
    pub fn consume(self) {
        // SAFETY: `self` is given away.
        unsafe { bindings::ovs_consume_skb(self.into_raw()) };
    }

    /// The length of the packet in bytes. C: `skb->len`.
    #[inline]
    pub fn len(&self) -> usize {
        // SAFETY: By the type invariant.
        unsafe { (*self.0.as_ptr()).len as usize }
    }

    /// Whether the packet has no bytes.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many bytes are not in the linear part. C: `skb->data_len`.
    #[inline]
    pub fn data_len(&self) -> usize {
        // SAFETY: By the type invariant.
        unsafe { (*self.0.as_ptr()).data_len as usize }
    }

    /// How many bytes are in the linear part. C: `skb_headlen()`.
    #[inline]
    pub fn headlen(&self) -> usize {
        self.len().wrapping_sub(self.data_len())
    }

    /// How many bytes are free before the packet. C: `skb_headroom()`.
    #[inline]
    pub fn headroom(&self) -> usize {
        // SAFETY: By the type invariant.
        unsafe {
            let skb = self.0.as_ptr();
            ((*skb).data as usize).wrapping_sub((*skb).head as usize)
        }
    }

    /// Whether anything was added to the packet. C: `skb->active_extensions`.
    #[cfg(CONFIG_NET_TC_SKB_EXT)]
    #[inline]
    pub fn has_extensions(&self) -> bool {
        // SAFETY: By the type invariant.
        unsafe { (*self.0.as_ptr()).active_extensions != 0 }
    }

    /// Whether anything is known of the packet's connection, be it that it is
    /// not to be tracked. C: `skb_get_nfct(skb) != 0`.
    #[inline]
    pub fn has_nfct(&self) -> bool {
        #[cfg(CONFIG_NF_CONNTRACK)]
        {
            // SAFETY: By the type invariant.
            unsafe { (*self.0.as_ptr())._nfct != 0 }
        }
        #[cfg(not(CONFIG_NF_CONNTRACK))]
        false
    }

    /// How much memory the packet is charged for. C: `skb->truesize`.
    #[inline]
    pub fn truesize(&self) -> u32 {
        // SAFETY: By the type invariant.
        unsafe { (*self.0.as_ptr()).truesize }
    }

    /// The owner's data in the socket buffer. C: `skb->cb`.
    #[inline]
    pub fn cb<T: FromBytes + zerocopy::Immutable>(&self) -> &T {
        const {
            assert!(size_of::<T>() <= 48 && align_of::<T>() <= 8);
        }
        // SAFETY: By the type invariant the control block is the owner's; it
        // is large enough and aligned to 8 bytes; every content is a valid `T`.
        unsafe { &*(&raw const (*self.0.as_ptr()).cb).cast() }
    }

    /// The owner's data in the socket buffer, to be written.
    #[inline]
    pub fn cb_mut<T: FromBytes + IntoBytes>(&mut self) -> &mut T {
        const {
            assert!(size_of::<T>() <= 48 && align_of::<T>() <= 8);
        }
        // SAFETY: As for `cb`.
        unsafe { &mut *(&raw mut (*self.0.as_ptr()).cb).cast() }
    }

    /// The priority, host byte order. C: `skb->priority`.
    #[inline]
    pub fn priority(&self) -> u32 {
        self.headers().priority
    }

    /// Sets the priority.
    #[inline]
    pub fn set_priority(&mut self, priority: u32) {
        self.headers_mut().priority = priority;
    }

    /// The mark, host byte order. C: `skb->mark`.
    #[inline]
    pub fn mark(&self) -> u32 {
        // SAFETY: Every view of the union is a `u32`.
        unsafe { self.headers().__bindgen_anon_4.mark }
    }

    /// Sets the mark.
    #[inline]
    pub fn set_mark(&mut self, mark: u32) {
        self.headers_mut().__bindgen_anon_4.mark = mark;
    }

    /// The protocol, an Ethernet type. C: `skb->protocol`.
    #[inline]
    pub fn protocol(&self) -> Be16 {
        Be16::from_bytes(self.headers().protocol.to_ne_bytes())
    }

    /// Sets the protocol.
    #[inline]
    pub fn set_protocol(&mut self, protocol: Be16) {
        self.headers_mut().protocol = u16::from_ne_bytes(protocol.to_bytes());
    }

    /// `PACKET_HOST` and so on. C: `skb->pkt_type`.
    #[inline]
    pub fn pkt_type(&self) -> u8 {
        self.headers().pkt_type()
    }

    /// Sets the packet type.
    #[inline]
    pub fn set_pkt_type(&mut self, pkt_type: u8) {
        self.headers_mut().set_pkt_type(pkt_type);
    }

    /// Which transmit or receive queue, plus one for receive queues that were
    /// recorded. C: `skb->queue_mapping`.
    #[inline]
    pub fn queue_mapping(&self) -> u16 {
        // SAFETY: By the type invariant.
        unsafe { (*self.0.as_ptr()).queue_mapping }
    }

    /// Sets the queue. C: `skb_set_queue_mapping()`.
    #[inline]
    pub fn set_queue_mapping(&mut self, queue: u16) {
        // SAFETY: By the type invariant.
        unsafe { (*self.0.as_ptr()).queue_mapping = queue };
    }

    /// How the checksum stands. C: `skb->ip_summed`.
    #[inline]
    pub fn ip_summed(&self) -> IpSummed {
        match u32::from(self.headers().ip_summed()) {
            bindings::CHECKSUM_UNNECESSARY => IpSummed::Unnecessary,
            bindings::CHECKSUM_COMPLETE => IpSummed::Complete,
            bindings::CHECKSUM_PARTIAL => IpSummed::Partial,
            _ => IpSummed::None,
        }
    }

    /// Lets the packet be fragmented locally. C: `skb->ignore_df = 1`.
    #[inline]
    pub fn set_ignore_df(&mut self) {
        self.headers_mut().set_ignore_df(1);
    }

    /// The device that the packet came in on or goes out to. C: `skb->dev`.
    #[inline]
    pub(crate) fn dev_ptr(&self) -> *mut bindings::net_device {
        // SAFETY: By the type invariant; the owner of a packet that is in no
        // queue has the device in this union.
        unsafe {
            (*self.0.as_ptr())
                .__bindgen_anon_1
                .__bindgen_anon_1
                .__bindgen_anon_1
                .dev
                .cast()
        }
    }

    /// Sets the device.
    ///
    /// # Safety
    ///
    /// `dev` is null or stays valid for as long as the packet is used.
    #[inline]
    pub(crate) unsafe fn set_dev_ptr(&mut self, dev: *mut bindings::net_device) {
        // SAFETY: By the type invariant; `dev` by the safety requirements.
        unsafe {
            (*self.0.as_ptr())
                .__bindgen_anon_1
                .__bindgen_anon_1
                .__bindgen_anon_1
                .dev = dev.cast()
        };
    }

    /// The type of the device (`ARPHRD_*`), if there is a device.
    /// C: `skb->dev->type`.
    #[inline]
    pub fn dev_type(&self) -> Option<u16> {
        // SAFETY: By the type invariant the device is null or valid.
        unsafe { self.dev_ptr().as_ref() }.map(|dev| dev.type_)
    }

    /// The interface that the packet came in on. C: `skb->skb_iif`.
    #[inline]
    pub fn skb_iif(&self) -> i32 {
        self.headers().skb_iif
    }
}

impl Drop for SkBuff {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: By the type invariant a reference is owned.
        unsafe {
            bindings::sk_skb_reason_drop(
                core::ptr::null(),
                self.0.as_ptr(),
                bindings::skb_drop_reason_SKB_DROP_REASON_NOT_SPECIFIED,
            )
        };
    }
}
