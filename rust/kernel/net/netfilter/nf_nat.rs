// SPDX-License-Identifier: GPL-2.0

//! Translation of addresses.
//!
//! C header: [`include/net/netfilter/nf_nat.h`](srctree/include/net/netfilter/nf_nat.h)

use super::{
    NfProto,
    Verdict, //
};
use crate::{
    bindings,
    net::skbuff::SkBuff,
    sync::rcu::RcuRead, //
};
use zerocopy::{
    network_endian::U16 as Be16,
    FromBytes,
    IntoBytes, //
};

/// Addresses and ports to choose from, and how. C: `struct nf_nat_range2`.
#[derive(Clone, Copy, Default)]
pub struct NatRange(bindings::nf_nat_range2);

impl NatRange {
    /// The addresses are given. C: `NF_NAT_RANGE_MAP_IPS`.
    pub const MAP_IPS: u32 = bindings::NF_NAT_RANGE_MAP_IPS;
    /// The ports are given. C: `NF_NAT_RANGE_PROTO_SPECIFIED`.
    pub const PROTO_SPECIFIED: u32 = bindings::NF_NAT_RANGE_PROTO_SPECIFIED;
    /// The port is chosen by a hash. C: `NF_NAT_RANGE_PROTO_RANDOM`.
    pub const PROTO_RANDOM: u32 = bindings::NF_NAT_RANGE_PROTO_RANDOM;
    /// A host gets the same address each time. C: `NF_NAT_RANGE_PERSISTENT`.
    pub const PERSISTENT: u32 = bindings::NF_NAT_RANGE_PERSISTENT;
    /// The port is chosen at random. C: `NF_NAT_RANGE_PROTO_RANDOM_FULLY`.
    pub const PROTO_RANDOM_FULLY: u32 = bindings::NF_NAT_RANGE_PROTO_RANDOM_FULLY;

    /// What is given of it and how it is chosen from.
    #[inline]
    pub fn flags(&self) -> u32 {
        self.0.flags
    }

    /// Adds flags.
    pub fn add_flags(&mut self, flags: u32) {
        self.0.flags |= flags;
    }

    /// The first address; an IPv4 address is in the first four bytes.
    pub fn min_addr(&self) -> [u8; 16] {
        addr(self.0.min_addr._bindgen_opaque_blob)
    }

    /// The last address.
    pub fn max_addr(&self) -> [u8; 16] {
        addr(self.0.max_addr._bindgen_opaque_blob)
    }

    /// The first port.
    pub fn min_proto(&self) -> Be16 {
        Be16::from_bytes(self.0.min_proto._bindgen_opaque_blob.to_ne_bytes())
    }

    /// The last port.
    pub fn max_proto(&self) -> Be16 {
        Be16::from_bytes(self.0.max_proto._bindgen_opaque_blob.to_ne_bytes())
    }

    /// Sets the first address.
    pub fn set_min_addr(&mut self, addr: [u8; 16]) {
        self.0.min_addr._bindgen_opaque_blob = words(addr);
    }

    /// Sets the last address.
    pub fn set_max_addr(&mut self, addr: [u8; 16]) {
        self.0.max_addr._bindgen_opaque_blob = words(addr);
    }

    /// Sets the first port.
    pub fn set_min_proto(&mut self, port: Be16) {
        self.0.min_proto._bindgen_opaque_blob = u16::from_ne_bytes(port.to_bytes());
    }

    /// Sets the last port.
    pub fn set_max_proto(&mut self, port: Be16) {
        self.0.max_proto._bindgen_opaque_blob = u16::from_ne_bytes(port.to_bytes());
    }
}

/// The bytes of an address.
fn addr(words: [u32; 4]) -> [u8; 16] {
    <[u8; 16]>::read_from_bytes(words.as_bytes()).unwrap_or_default()
}

/// The words of an address.
fn words(addr: [u8; 16]) -> [u32; 4] {
    <[u32; 4]>::read_from_bytes(&addr).unwrap_or_default()
}

/// Which addresses are, or were, translated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Manip {
    /// Source address and port.
    pub src: bool,
    /// Destination address and port.
    pub dst: bool,
}

impl SkBuff {
    /// Translates addresses of the packet, which begins with its network header,
    /// as its connection has it; if the connection is new, as `manip` and
    /// `range` say, and if `commit` says so also of one that is related.
    /// Returns what was translated.
    ///
    /// A connection that is neither confirmed nor the packet's alone cannot be
    /// changed: the packet is to be dropped then.
    ///
    /// C: `nf_ct_nat()`.
    pub fn nf_ct_nat(
        mut self,
        proto: NfProto,
        manip: Manip,
        range: &NatRange,
        commit: bool,
        _rcu: RcuRead<'_>,
    ) -> (Verdict, Manip) {
        let usable = self
            .nf_ct()
            .is_some_and(|(ct, _)| ct.is_confirmed() || !ct.is_shared());
        if !usable || !self.has_network_header(proto) {
            return (Verdict::Drop(self), Manip::default());
        }
        const SRC: i32 = 1 << bindings::nf_nat_manip_type_NF_NAT_MANIP_SRC;
        const DST: i32 = 1 << bindings::nf_nat_manip_type_NF_NAT_MANIP_DST;
        let mut action = if manip.src { SRC } else { 0 } | if manip.dst { DST } else { 0 };
        let (ct, info) = (self.ct_ptr(), self.ctinfo());
        let skb = self.into_raw();
        // SAFETY: The packet is valid, with a connection that extensions may be
        // added to, or that is confirmed, and a linear network header; the RCU
        // read lock is held.
        let verdict =
            unsafe { bindings::nf_ct_nat(skb, ct, info.as_raw(), &mut action, &range.0, commit) };
        let done = Manip {
            src: action & SRC != 0,
            dst: action & DST != 0,
        };
        // CAST: It is no negative number.
        // SAFETY: The packet was lent to it.
        (unsafe { Verdict::from_raw(skb, verdict as u32) }, done)
    }
}
