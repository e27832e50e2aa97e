// SPDX-License-Identifier: GPL-2.0

//! Connection tracking.
//!
//! A packet refers to its connection; see the methods of [`SkBuff`] here. A
//! connection is either *confirmed*, which is that others can find it, or the
//! packet that made it has it to itself, see [`Unconfirmed`].
//!
//! C headers:
//! [`include/net/netfilter/nf_conntrack.h`](srctree/include/net/netfilter/nf_conntrack.h),
//! [`include/net/netfilter/nf_conntrack_core.h`](srctree/include/net/netfilter/nf_conntrack_core.h)

mod template;
mod tuple;

pub use self::{
    template::Template,
    tuple::{
        Direction,
        Tuple, //
    }, //
};

use super::{
    NfProto,
    Verdict, //
};
use crate::{
    bindings,
    net::{
        namespace::Net,
        skbuff::SkBuff, //
    },
    sync::rcu::RcuRead, //
};
use core::{
    ops::Deref,
    ptr::NonNull,
    sync::atomic::{
        AtomicUsize,
        Ordering, //
    },
};
use kernel::{
    error::to_result,
    prelude::*,
    sync::aref::{
        ARef,
        AlwaysRefCounted, //
    },
    types::Opaque, //
};

/// The length of an IPv4 header without options. C: `sizeof(struct iphdr)`.
const IPHDR_LEN: usize = 20;
/// The length of an IPv6 header. C: `sizeof(struct ipv6hdr)`.
const IPV6HDR_LEN: usize = 40;

/// How a packet stands to its connection. C: `enum ip_conntrack_info`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CtInfo(u32);

impl CtInfo {
    /// Of an established connection, in its original direction.
    pub const ESTABLISHED: Self = Self(bindings::ip_conntrack_info_IP_CT_ESTABLISHED);
    /// Related to an existing connection, in the original direction.
    pub const RELATED: Self = Self(bindings::ip_conntrack_info_IP_CT_RELATED);
    /// The first packet of a connection.
    pub const NEW: Self = Self(bindings::ip_conntrack_info_IP_CT_NEW);
    /// Of an established connection, in the reply direction.
    pub const ESTABLISHED_REPLY: Self = Self(bindings::ip_conntrack_info_IP_CT_ESTABLISHED_REPLY);
    /// Related to an existing connection, in the reply direction.
    pub const RELATED_REPLY: Self = Self(bindings::ip_conntrack_info_IP_CT_RELATED_REPLY);

    /// The number.
    #[inline]
    pub(super) fn as_raw(self) -> bindings::ip_conntrack_info {
        self.0
    }

    /// The direction of the packet. C: `CTINFO2DIR()`.
    #[inline]
    pub fn direction(self) -> Direction {
        if self.0 >= bindings::ip_conntrack_info_IP_CT_IS_REPLY {
            Direction::Reply
        } else {
            Direction::Original
        }
    }
}

/// A zone: connections of different zones do not see each other.
/// C: `struct nf_conntrack_zone`, of both directions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Zone(pub u16);

impl Zone {
    #[inline]
    fn raw(self) -> bindings::nf_conntrack_zone {
        bindings::nf_conntrack_zone {
            id: self.0,
            flags: 0,
            dir: (1 << bindings::ip_conntrack_dir_IP_CT_DIR_ORIGINAL)
                | (1 << bindings::ip_conntrack_dir_IP_CT_DIR_REPLY),
        }
    }
}

/// A connection. C: `struct nf_conn`.
///
/// # Invariants
///
/// The content is a valid `struct nf_conn`, of which somebody owns a reference
/// for as long as it is borrowed: the original tuple, the zone, the namespace
/// and the master do not change; the status, the mark and the labels may
/// change at any time. The extensions may be moved in memory only while a
/// connection is not confirmed, by whoever has the only reference.
#[repr(transparent)]
pub struct NfConn(Opaque<bindings::nf_conn>);

// SAFETY: A connection is used from all CPUs; see the invariants for what
// changes.
unsafe impl Send for NfConn {}
// SAFETY: As above.
unsafe impl Sync for NfConn {}

// SAFETY: The count of `ct_general` is the connection's, which is freed when
// that is 0.
unsafe impl AlwaysRefCounted for NfConn {
    fn inc_ref(&self) {
        // SAFETY: By the type invariants, there is a reference.
        unsafe { bindings::nf_ct_get_ref(self.as_ptr()) };
    }

    unsafe fn dec_ref(obj: NonNull<Self>) {
        // SAFETY: The caller gives a reference away.
        unsafe { bindings::nf_ct_put(obj.as_ptr().cast()) };
    }
}

impl NfConn {
    /// The C structure.
    #[inline]
    pub(crate) fn as_ptr(&self) -> *mut bindings::nf_conn {
        self.0.get()
    }

    /// Whether a bit of the status is set.
    #[inline]
    fn has_status(&self, bit: bindings::ip_conntrack_status) -> bool {
        // SAFETY: By the type invariants; the word is changed with atomic
        // operations, or by whoever has the connection to itself.
        let status = unsafe { AtomicUsize::from_ptr((&raw mut (*self.as_ptr()).status).cast()) };
        status.load(Ordering::Relaxed) & bit as usize != 0
    }

    /// Whether it is, or was, to be found by others.
    /// C: `nf_ct_is_confirmed()`.
    #[inline]
    pub fn is_confirmed(&self) -> bool {
        self.has_status(bindings::ip_conntrack_status_IPS_CONFIRMED)
    }

    /// Whether there were packets in both directions.
    /// C: `IPS_SEEN_REPLY`.
    #[inline]
    pub fn has_seen_reply(&self) -> bool {
        self.has_status(bindings::ip_conntrack_status_IPS_SEEN_REPLY)
    }

    /// Whether another connection expected it. C: `IPS_EXPECTED`.
    #[inline]
    pub fn is_expected(&self) -> bool {
        self.has_status(bindings::ip_conntrack_status_IPS_EXPECTED)
    }

    /// Whether source addresses of the original direction are translated.
    /// C: `IPS_SRC_NAT`.
    #[inline]
    pub fn has_src_nat(&self) -> bool {
        self.has_status(bindings::ip_conntrack_status_IPS_SRC_NAT)
    }

    /// Whether destination addresses of the original direction are translated.
    /// C: `IPS_DST_NAT`.
    #[inline]
    pub fn has_dst_nat(&self) -> bool {
        self.has_status(bindings::ip_conntrack_status_IPS_DST_NAT)
    }

    /// Whether there is more than one reference. C: `nf_ct_shared()`.
    #[inline]
    pub fn is_shared(&self) -> bool {
        // SAFETY: By the type invariants.
        unsafe { bindings::nf_ct_shared(self.as_ptr()) }
    }

    /// Whether it is in this namespace. C: `net_eq(net, nf_ct_net(ct))`.
    #[inline]
    pub fn is_in(&self, net: &Net) -> bool {
        #[cfg(CONFIG_NET_NS)]
        {
            // SAFETY: By the type invariants it does not change.
            let ct_net = unsafe { (*self.as_ptr()).ct_net.net };
            ct_net == net.as_raw()
        }
        #[cfg(not(CONFIG_NET_NS))]
        {
            let _ = net;
            true
        }
    }

    /// The zone. C: `nf_ct_zone()`.
    #[inline]
    pub fn zone(&self) -> Zone {
        #[cfg(CONFIG_NF_CONNTRACK_ZONES)]
        {
            // SAFETY: By the type invariants it does not change.
            Zone(unsafe { (*self.as_ptr()).zone.id })
        }
        #[cfg(not(CONFIG_NF_CONNTRACK_ZONES))]
        Zone::default()
    }

    /// The connection that expected this one. C: `ct->master`.
    #[inline]
    pub fn master(&self) -> Option<&NfConn> {
        // SAFETY: By the type invariants it does not change, and this one has a
        // reference to it. The type is transparent.
        unsafe { (*self.as_ptr()).master.cast::<NfConn>().as_ref() }
    }

    /// The addresses and ports of the first packet.
    #[inline]
    pub fn original(&self) -> &Tuple {
        // SAFETY: By the type invariants it does not change; the array has a
        // place for each direction, and the type is transparent.
        unsafe {
            let tuplehash = (&raw const (*self.as_ptr()).tuplehash).cast();
            let original: *const bindings::nf_conntrack_tuple_hash = tuplehash;
            Tuple::from_raw(&raw const (*original).tuple)
        }
    }

    /// The mark, host byte order; 0 where the kernel has none. C: `ct->mark`.
    #[inline]
    pub fn mark(&self) -> u32 {
        #[cfg(CONFIG_NF_CONNTRACK_MARK)]
        return self.mark_word().load(Ordering::Relaxed);
        #[cfg(not(CONFIG_NF_CONNTRACK_MARK))]
        0
    }

    /// Sets the mark.
    #[cfg(CONFIG_NF_CONNTRACK_MARK)]
    #[inline]
    pub fn set_mark(&self, mark: u32) {
        self.mark_word().store(mark, Ordering::Relaxed);
    }

    #[cfg(CONFIG_NF_CONNTRACK_MARK)]
    #[inline]
    fn mark_word(&self) -> &core::sync::atomic::AtomicU32 {
        // SAFETY: By the type invariants; the word is read and written at once.
        unsafe { core::sync::atomic::AtomicU32::from_ptr(&raw mut (*self.as_ptr()).mark) }
    }

    /// Notes that the mark was changed, to be told to who listens.
    /// C: `nf_conntrack_event_cache(IPCT_MARK, ct)`.
    #[inline]
    pub fn cache_mark_event(&self) {
        let event = bindings::ip_conntrack_events_IPCT_MARK;
        // SAFETY: By the type invariants.
        unsafe { bindings::nf_conntrack_event_cache(event, self.as_ptr()) };
    }

    /// Notes that the labels were changed, to be told to who listens.
    /// C: `nf_conntrack_event_cache(IPCT_LABEL, ct)`.
    #[inline]
    pub fn cache_label_event(&self) {
        let event = bindings::ip_conntrack_events_IPCT_LABEL;
        // SAFETY: By the type invariants.
        unsafe { bindings::nf_conntrack_event_cache(event, self.as_ptr()) };
    }

    /// Tells those who listen what was noted of the connection.
    /// C: `nf_ct_deliver_cached_events()`.
    #[inline]
    pub fn deliver_cached_events(&self, _rcu: RcuRead<'_>) {
        // SAFETY: By the type invariants.
        unsafe { bindings::nf_ct_deliver_cached_events(self.as_ptr()) };
    }

    /// Has only these events (`1 << IPCT_*`) told from now on. Those above the
    /// 16th are not looked at.
    /// C: `nf_ct_ecache_find(ct)->ctmask`.
    pub fn set_event_mask(&self, mask: u32) {
        // SAFETY: By the type invariants.
        unsafe { bindings::nf_ct_set_ctmask(self.as_ptr(), mask) };
    }

    /// Whether it has the timeout policy of this template.
    #[inline]
    pub fn has_timeout_of(&self, tmpl: &Template, _rcu: RcuRead<'_>) -> bool {
        // SAFETY: By the type invariants. The policies are compared only.
        unsafe { bindings::nf_ct_same_timeout(self.as_ptr(), tmpl.as_ptr()) }
    }

    /// Takes a confirmed connection out of the table, and nothing is done to
    /// another. C: `nf_ct_delete(ct, 0, 0)`.
    pub fn delete(&self, _rcu: RcuRead<'_>) {
        if self.is_confirmed() {
            // SAFETY: By the type invariants; the table has a reference to it,
            // or had one and this does nothing.
            unsafe { bindings::nf_ct_delete(self.as_ptr(), 0, 0) };
        }
    }

    /// Whether it is a TCP connection that was set up.
    /// C: `nf_conntrack_tcp_established()`.
    #[inline]
    pub fn is_tcp_established(&self) -> bool {
        self.original().protonum() == bindings::IPPROTO_TCP as u8
            // SAFETY: By the type invariants; it is one of TCP.
            && unsafe { bindings::nf_conntrack_tcp_established(self.as_ptr()) }
    }

    /// Takes packets of a TCP connection that are out of its window for valid
    /// from now on. Nothing is done to other connections.
    /// C: `nf_ct_set_tcp_be_liberal()`.
    #[inline]
    pub fn set_tcp_be_liberal(&self) {
        if self.original().protonum() == bindings::IPPROTO_TCP as u8 {
            // SAFETY: By the type invariants; it is one of TCP. A flag of the
            // same word that is set meanwhile may be lost, as in C.
            unsafe { bindings::nf_ct_set_tcp_be_liberal(self.as_ptr()) };
        }
    }

    /// The connection of this tuple, and the direction of it that the tuple is.
    /// C: `nf_conntrack_find_get()`, `NF_CT_DIRECTION()`.
    pub fn find_get(
        net: &Net,
        zone: Zone,
        tuple: &Tuple,
        _rcu: RcuRead<'_>,
    ) -> Option<(ARef<NfConn>, Direction)> {
        // SAFETY: All are valid; the RCU read lock is held.
        let hash = NonNull::new(unsafe {
            bindings::nf_conntrack_find_get(net.as_raw(), &zone.raw(), tuple.as_raw())
        })?;
        // SAFETY: What was found is part of a connection, to which there is a
        // reference now.
        let (ct, direction) = unsafe {
            (
                bindings::nf_ct_tuplehash_to_ctrack(hash.as_ptr()),
                Tuple::from_raw(&raw const (*hash.as_ptr()).tuple).direction(),
            )
        };
        // SAFETY: As above; the reference is given to the result.
        NonNull::new(ct.cast()).map(|ct| (unsafe { ARef::from_raw(ct) }, direction))
    }
}

/// A packet whose connection is not confirmed, and nobody else's: extensions may
/// be added to it.
///
/// A helper may have others find the connection, through what it expects to come
/// of it. So it is called ([`SkBuff::nf_ct_helper`]) when all extensions have
/// been added, and then the connection is confirmed.
///
/// # Invariants
///
/// `ct` is the packet's connection. It is not confirmed, and the packet has the
/// only reference to it.
pub struct Unconfirmed<'a> {
    skb: &'a mut SkBuff,
    ct: NonNull<bindings::nf_conn>,
}

impl Deref for Unconfirmed<'_> {
    type Target = NfConn;

    #[inline]
    fn deref(&self) -> &NfConn {
        // SAFETY: By the type invariants; the type is transparent.
        unsafe { self.ct.cast::<NfConn>().as_ref() }
    }
}

impl Unconfirmed<'_> {
    /// The C structure.
    #[inline]
    pub(super) fn ct_ptr(&mut self) -> *mut bindings::nf_conn {
        self.ct.as_ptr()
    }

    /// Adds what the offload of connections needs to know, if the kernel has
    /// that. C: `nf_conn_act_ct_ext_add()`.
    pub fn act_ct_ext_add(&mut self) {
        if self.skb.dev_ptr().is_null() {
            return;
        }
        let info = self.skb.ctinfo().0;
        // SAFETY: By the type invariants; the packet has a device.
        unsafe { bindings::nf_conn_act_ct_ext_add(self.skb.as_ptr(), self.ct_ptr(), info) };
    }
}

impl SkBuff {
    /// The C structure of the connection, null if there is none.
    #[inline]
    pub(super) fn ct_ptr(&self) -> *mut bindings::nf_conn {
        // SAFETY: By the type invariant. The lowest bits are no part of the
        // pointer.
        let nfct = unsafe { (*self.as_ptr())._nfct };
        (nfct & !(bindings::NFCT_INFOMASK as usize)) as *mut _
    }

    /// How the packet stands to its connection.
    #[inline]
    pub(super) fn ctinfo(&self) -> CtInfo {
        // SAFETY: By the type invariant.
        let nfct = unsafe { (*self.as_ptr())._nfct } as u32;
        CtInfo(nfct & bindings::NFCT_INFOMASK)
    }

    /// The packet's connection, and how it stands to that. C: `nf_ct_get()`.
    #[inline]
    pub fn nf_ct(&self) -> Option<(&NfConn, CtInfo)> {
        // SAFETY: The packet has a reference to its connection, if it has one;
        // the type is transparent.
        let ct = unsafe { self.ct_ptr().cast::<NfConn>().as_ref() }?;
        Some((ct, self.ctinfo()))
    }

    /// The packet's connection if it is not confirmed and nobody else has a
    /// reference to it.
    #[inline]
    pub fn nf_ct_unconfirmed(&mut self) -> Option<Unconfirmed<'_>> {
        let (ct, _) = self.nf_ct()?;
        if ct.is_confirmed() || ct.is_shared() {
            return None;
        }
        let ct = NonNull::new(ct.as_ptr())?;
        // INVARIANT: As was just seen; who has the only reference can make no
        // other meanwhile, since the packet is borrowed.
        Some(Unconfirmed { skb: self, ct })
    }

    /// Gives the packet a connection. C: `nf_ct_set()`.
    pub fn set_nf_ct(&mut self, ct: ARef<NfConn>, info: CtInfo) {
        self.nf_reset_ct();
        let ct = ARef::into_raw(ct).as_ptr() as usize;
        // SAFETY: By the type invariant; the reference is given to the packet.
        unsafe { (*self.as_ptr())._nfct = ct | info.0 as usize };
    }

    /// Looks the packet, which begins with its network header, up among the
    /// connections of the template's zone, and follows its connection's state.
    /// It has a connection after that if it is valid.
    ///
    /// C: `nf_conntrack_in()`, after `nf_reset_ct()` and with the template as
    /// the connection.
    #[inline]
    pub fn nf_conntrack_in(
        self,
        net: &Net,
        proto: NfProto,
        tmpl: &Template,
        _rcu: RcuRead<'_>,
    ) -> Verdict {
        let state = bindings::nf_hook_state {
            hook: bindings::nf_inet_hooks_NF_INET_PRE_ROUTING as u8,
            pf: proto as u8,
            net: net.as_raw(),
            ..Default::default()
        };
        let skb = self.into_raw();
        // SAFETY: Packet, template, namespace and state are valid; the RCU read
        // lock is held. The template is taken off the packet again in there.
        let verdict = unsafe {
            bindings::skb_set_ct_tmpl(skb, tmpl.as_ptr());
            bindings::nf_conntrack_in(skb, &state)
        };
        // SAFETY: The packet was lent to it.
        unsafe { Verdict::from_raw(skb, verdict) }
    }

    /// Makes the packet's connection one that others find, and has events told.
    /// C: `nf_conntrack_confirm()`.
    #[inline]
    pub fn nf_conntrack_confirm(self, _rcu: RcuRead<'_>) -> Verdict {
        let skb = self.into_raw();
        // SAFETY: The packet is valid; the RCU read lock is held.
        let verdict = unsafe { bindings::nf_conntrack_confirm(skb) };
        // CAST: It is no negative number.
        // SAFETY: The packet was lent to it.
        unsafe { Verdict::from_raw(skb, verdict as u32) }
    }

    /// Notes the packet's device with its connection, for the offload of
    /// connections. C: `nf_conn_act_ct_ext_fill()`.
    #[inline]
    pub fn nf_conn_act_ct_ext_fill(&self) {
        #[cfg(CONFIG_NET_ACT_CT)]
        if !self.ct_ptr().is_null() && !self.dev_ptr().is_null() {
            let (ct, info) = (self.ct_ptr(), self.ctinfo().0);
            // SAFETY: The packet has a connection and a device.
            unsafe { bindings::nf_conn_act_ct_ext_fill(self.as_ptr(), ct, info) };
        }
    }

    /// Takes `len` bytes off the start of the packet, and out of its checksum.
    /// Fails with `ENOMEM` where they are not there or not linear and there is
    /// no memory. C: `skb_pull_rcsum()`.
    #[inline]
    pub fn pull_rcsum(&mut self, len: usize) -> Result {
        if !self.may_pull(len) {
            return Err(ENOMEM);
        }
        // CAST: No more than `skb->len`.
        // SAFETY: By the type invariant; the bytes are linear.
        unsafe { bindings::skb_pull_rcsum(self.as_ptr(), len as u32) };
        Ok(())
    }

    /// Whether a fixed network header is linear, where the packet begins with
    /// it.
    #[inline]
    pub(super) fn has_network_header(&mut self, proto: NfProto) -> bool {
        let len = match proto {
            NfProto::Ipv4 => IPHDR_LEN,
            NfProto::Ipv6 => IPV6HDR_LEN,
        };
        self.network_offset() == 0 && self.may_pull(len)
    }

    /// Cuts the packet, which begins with its network header, to the length
    /// that is in that. What has no such header is left as it is. Fails as C.
    /// C: `nf_ct_skb_network_trim()`.
    #[inline]
    pub fn nf_ct_network_trim(&mut self, proto: NfProto) -> Result {
        if !self.has_network_header(proto) {
            return Ok(());
        }
        // SAFETY: By the type invariant; the header is linear.
        to_result(unsafe { bindings::nf_ct_skb_network_trim(self.as_ptr(), proto as i32) })
    }

    /// Has a fragment, which begins with its network header, wait for the
    /// others. If it is the last one, gives the packet with the length of the
    /// largest one in it. The control block is not kept.
    ///
    /// Fails with `EINPROGRESS` if others are missing, with `EINVAL` if it has no
    /// IP header or no device, else as C; the fragment is gone then.
    ///
    /// C: `nf_ct_handle_fragments()`.
    pub fn nf_ct_handle_fragments(
        mut self,
        net: &Net,
        zone: Zone,
        proto: NfProto,
        _rcu: RcuRead<'_>,
    ) -> Result<(Self, u16)> {
        if !self.has_network_header(proto) || self.dev_ptr().is_null() {
            return Err(EINVAL);
        }
        let (mut l4proto, mut mru) = (0, 0);
        let skb = self.into_raw();
        // SAFETY: All are valid; the packet is given away, and comes back if
        // there is no error.
        to_result(unsafe {
            bindings::nf_ct_handle_fragments(
                net.as_raw(),
                skb,
                zone.0,
                proto as u8,
                &mut l4proto,
                &mut mru,
            )
        })?;
        let skb = NonNull::new(skb).ok_or(EINVAL)?;
        // SAFETY: See above.
        Ok((unsafe { SkBuff::from_raw(skb) }, mru))
    }
}
