// SPDX-License-Identifier: GPL-2.0

//! Segmentation of socket buffers.
//!
//! C header: [`include/net/gso.h`](srctree/include/net/gso.h)

use super::SkBuff;
use crate::bindings;
use core::ptr::NonNull;
use kernel::{
    error::from_err_ptr,
    prelude::*, //
};

impl SkBuff {
    /// Whether the packet stands for several. C: `skb_is_gso()`.
    #[inline]
    pub fn is_gso(&self) -> bool {
        // SAFETY: By the type invariant the shared info is at `end`.
        unsafe { (*self.shared_info()).gso_size != 0 }
    }

    /// `SKB_GSO_*`. C: `skb_shinfo(skb)->gso_type`.
    #[inline]
    pub fn gso_type(&self) -> u32 {
        // SAFETY: By the type invariant the shared info is at `end`.
        unsafe { (*self.shared_info()).gso_type }
    }

    /// Whether each of the packets that this one stands for has no more than
    /// `len` bytes, with all headers from the MAC header on. A VLAN tag beside
    /// the packet is not counted.
    ///
    /// False where the packet's transport header, whose length matters, would
    /// not be in the buffer.
    ///
    /// C: `skb_gso_validate_mac_len()`.
    pub fn gso_validate_mac_len(&self, len: u32) -> bool {
        // What of a TCP header has its length.
        const TCPHDR: usize = 14;

        let headers = self.headers();
        let transport = match headers.encapsulation() {
            0 => headers.transport_header,
            _ => headers.inner_transport_header,
        };
        // SAFETY: By the type invariant.
        let end = unsafe { (*self.as_ptr()).end as usize };
        if usize::from(transport).saturating_add(TCPHDR) > end {
            return false;
        }
        // SAFETY: By the type invariant; of the packet's bytes only those of a
        // TCP header are read, which are in the buffer.
        unsafe { bindings::skb_gso_validate_mac_len(self.as_ptr(), len) }
    }

    /// What is shared between clones. C: `skb_shinfo()`.
    #[inline]
    fn shared_info(&self) -> *const bindings::skb_shared_info {
        // SAFETY: By the type invariant `end` is within the allocation that
        // `head` points to.
        unsafe {
            let skb = self.as_ptr();
            (*skb).head.add((*skb).end as usize).cast()
        }
    }

    /// Cuts the packet into segments for a device that can gather fragments
    /// (`NETIF_F_SG`). Fails as C does; `EINVAL` where there is nothing to cut.
    /// The packet's control block is kept, each segment has a copy of it.
    /// C: `__skb_gso_segment(skb, NETIF_F_SG, false)`.
    pub fn gso_segment(&mut self) -> Result<Segments> {
        // SAFETY: By the type invariant.
        let list = unsafe { bindings::skb_gso_segment_sg(self.as_ptr()) };
        let list = from_err_ptr(list)?;
        if list.is_null() {
            return Err(EINVAL);
        }
        // INVARIANT: The list is new and given to the caller.
        Ok(Segments(list))
    }
}

/// The segments of a packet, in order.
///
/// # Invariants
///
/// The pointer is null or to the first of a list of owned socket buffers that
/// are linked by `next`.
pub struct Segments(*mut bindings::sk_buff);

impl Iterator for Segments {
    type Item = SkBuff;

    fn next(&mut self) -> Option<SkBuff> {
        let skb = NonNull::new(self.0)?;
        // SAFETY: By the type invariant. `skb_mark_not_on_list()` is the
        // second statement. INVARIANT: What is left is the rest of the list.
        unsafe {
            let link = &raw mut (*skb.as_ptr()).__bindgen_anon_1.__bindgen_anon_1.next;
            self.0 = *link;
            *link = core::ptr::null_mut();
        }
        // SAFETY: It is owned, no longer in the list, and new.
        Some(unsafe { SkBuff::from_raw(skb) })
    }
}

impl Drop for Segments {
    fn drop(&mut self) {
        for skb in self.by_ref() {
            drop(skb);
        }
    }
}
