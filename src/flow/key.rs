// SPDX-License-Identifier: GPL-2.0

//! The flow key: all that a packet can be matched on, but for the tunnel that it
//! came through, see [`super::tunnel`].
//!
//! Unlike C's `struct sw_flow_key`, the key has no unions and is ordered so
//! that the words which nearly every flow matches on come first. It has no
//! padding that is not a named field, so it can be read as an array of words;
//! masks, hashes and comparisons work on those words alone.
//!
//! Multi-byte header fields are kept in network byte order; what the datapath
//! itself makes (`in_port`, `recirc_id`, `priority`, `skb_mark`, `dp_hash`,
//! `ip_exthdrs`) is in host order, as in C.

use kernel::prelude::*;

use zerocopy::network_endian::{
    U16 as Be16,
    U32 as Be32, //
};
use zerocopy_derive::{
    Immutable,
    KnownLayout,
    Unaligned, //
};

/// `mac_proto`: the packet has no Ethernet header.
pub(crate) const MAC_PROTO_NONE: u8 = 0;
/// `mac_proto`: the packet begins with an Ethernet header.
pub(crate) const MAC_PROTO_ETHERNET: u8 = 1;
/// Flag in `mac_proto`: the key no longer describes the packet and has to be
/// extracted again before it is used.
pub(crate) const SW_FLOW_KEY_INVALID: u8 = 0x80;

/// A VLAN tag as it is matched: `tci` is 0 where there is no tag, otherwise
/// bit 12 (`VLAN_CFI_MASK`) is set.
#[repr(C)]
#[derive(
    Clone, Copy, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
pub(crate) struct VlanHead {
    pub(crate) tpid: Be16,
    pub(crate) tci: Be16,
}

/// The flow key. See the module documentation for byte orders.
#[repr(C, align(8))]
#[derive(Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct SwFlowKey {
    // Word 0.
    pub(crate) recirc_id: u32,
    pub(crate) in_port: u16,
    pub(crate) eth_type: Be16,
    // Word 1. `ip_proto` is also the low byte of an ARP opcode.
    pub(crate) eth_dst: [u8; 6],
    pub(crate) ip_proto: u8,
    /// One of `OVS_FRAG_TYPE_*`.
    pub(crate) ip_frag: u8,
    // Word 2.
    pub(crate) eth_src: [u8; 6],
    pub(crate) ip_tos: u8,
    pub(crate) ip_ttl: u8,
    // Word 3. `tp_src` and `tp_dst` are also ICMP type and code.
    pub(crate) tp_src: Be16,
    pub(crate) tp_dst: Be16,
    pub(crate) tcp_flags: Be16,
    pub(crate) mac_proto: u8,
    /// `AF_INET` or `AF_INET6`: the packet came through a tunnel, which
    /// [`super::tunnel::TunnelKey`] describes; else 0.
    pub(crate) tun_proto: u8,
    // Word 4.
    pub(crate) vlan: VlanHead,
    pub(crate) cvlan: VlanHead,
    // Word 5. Also ARP's protocol addresses.
    pub(crate) ipv4_src: Be32,
    pub(crate) ipv4_dst: Be32,
    // Words 6 and 7.
    pub(crate) priority: u32,
    pub(crate) skb_mark: u32,
    pub(crate) dp_hash: u32,
    pub(crate) ipv6_label: Be32,
    // Words 8 to 11.
    pub(crate) ipv6_src: [u8; 16],
    pub(crate) ipv6_dst: [u8; 16],
    // Words 12 and 13: ARP's hardware addresses.
    pub(crate) arp_sha: [u8; 6],
    pub(crate) arp_tha: [u8; 6],
    /// `OFPIEH12_*` flags, host order.
    pub(crate) ip_exthdrs: u16,
    pub(crate) pad1: u16,
    // Words 14 to 17: neighbour discovery.
    pub(crate) nd_target: [u8; 16],
    pub(crate) nd_sll: [u8; 6],
    pub(crate) nd_tll: [u8; 6],
    pub(crate) pad2: u32,
}

/// How many 64-bit words a key has.
pub(crate) const KEY_WORDS: usize = size_of::<SwFlowKey>() / 8;

impl SwFlowKey {
    /// A key of zeroes.
    #[cfg(CONFIG_OPENVSWITCH_KUNIT_TEST)]
    pub(crate) fn zeroed() -> Self {
        zerocopy::FromZeros::new_zeroed()
    }

    /// The key as words.
    #[inline]
    pub(crate) fn words(&self) -> &[u64; KEY_WORDS] {
        zerocopy::transmute_ref!(self)
    }

    /// The key as words that can be written.
    #[inline]
    pub(crate) fn words_mut(&mut self) -> &mut [u64; KEY_WORDS] {
        zerocopy::transmute_mut!(self)
    }

    /// The MAC layer protocol, without the validity flag.
    #[inline]
    pub(crate) fn mac_proto(&self) -> u8 {
        self.mac_proto & !SW_FLOW_KEY_INVALID
    }

    /// Whether the key still describes the packet.
    #[inline]
    pub(crate) fn is_valid(&self) -> bool {
        self.mac_proto & SW_FLOW_KEY_INVALID == 0
    }

    /// Marks the key as no longer describing the packet.
    #[inline]
    pub(crate) fn invalidate(&mut self) {
        self.mac_proto |= SW_FLOW_KEY_INVALID;
    }
}
