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
//! `ip_exthdrs`, `ct_state`, `ct_zone`, `ct_mark`) is in host order, as in C.

use kernel::prelude::*;

use zerocopy::{
    network_endian::{
        U16 as Be16,
        U32 as Be32, //
    },
    FromZeros, //
};
use zerocopy_derive::{
    Immutable,
    KnownLayout,
    Unaligned, //
};

use super::headers::{
    ETH_P_IPV6,
    NDISC_NEIGHBOUR_ADVERTISEMENT,
    NDISC_NEIGHBOUR_SOLICITATION,
    NEXTHDR_ICMP, //
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
    // Word 6: connection tracking.
    /// `OVS_CS_F_*`.
    pub(crate) ct_state: u8,
    /// The IP protocol of the connection's original direction. If it is 0, the
    /// other fields of that are not there.
    pub(crate) ct_orig_proto: u8,
    pub(crate) ct_zone: u16,
    pub(crate) ct_mark: u32,
    // Word 7.
    pub(crate) dp_hash: u32,
    pub(crate) ipv6_label: Be32,
    // Words 8 to 11.
    pub(crate) ipv6_src: [u8; 16],
    pub(crate) ipv6_dst: [u8; 16],
    // Words 12 and 13.
    pub(crate) ct_labels: [u8; 16],
    // Word 14.
    pub(crate) priority: u32,
    pub(crate) skb_mark: u32,
    // Words 15 and 16: ARP's hardware addresses.
    pub(crate) arp_sha: [u8; 6],
    pub(crate) arp_tha: [u8; 6],
    /// `OFPIEH12_*` flags, host order.
    pub(crate) ip_exthdrs: u16,
    pub(crate) pad: u16,
    // Words 17 to 20: neighbour discovery, and ports of the connection's
    // original direction.
    pub(crate) nd_target: [u8; 16],
    pub(crate) nd_sll: [u8; 6],
    pub(crate) nd_tll: [u8; 6],
    /// Also ICMP type.
    pub(crate) ct_orig_tp_src: Be16,
    /// Also ICMP code.
    pub(crate) ct_orig_tp_dst: Be16,
    // Words 21 to 24: addresses of the connection's original direction. IPv4
    // addresses are in the first four bytes.
    pub(crate) ct_orig_src: [u8; 16],
    pub(crate) ct_orig_dst: [u8; 16],
    // Words 25 and 26: MPLS.
    /// A bit for each label of `mpls_lse` that there is, host order.
    pub(crate) mpls_num_labels_mask: u32,
    pub(crate) mpls_lse: [Be32; MPLS_LABEL_DEPTH],
    // Words 27 to 29: NSH.
    pub(crate) nsh: NshKey,
}

/// How many MPLS labels can be matched on.
pub(crate) const MPLS_LABEL_DEPTH: usize = 3;

/// `mpls_num_labels_mask` where there are `labels` labels, or more than can be
/// matched on.
#[inline]
pub(crate) const fn num_labels_mask(labels: usize) -> u32 {
    match labels {
        0 => 0,
        1 => 0b1,
        2 => 0b11,
        _ => 0b111,
    }
}
const _: () = assert!(num_labels_mask(MPLS_LABEL_DEPTH).count_ones() as usize == MPLS_LABEL_DEPTH);

/// The network service header as it is matched.
///
/// C: `struct ovs_key_nsh`.
#[repr(C)]
#[derive(
    Clone, Copy, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
pub(crate) struct NshKey {
    pub(crate) flags: u8,
    pub(crate) ttl: u8,
    pub(crate) mdtype: u8,
    pub(crate) np: u8,
    pub(crate) path_hdr: Be32,
    /// Context headers of MD type 1.
    pub(crate) context: [Be32; 4],
}

/// How many 64-bit words a key has.
pub(crate) const KEY_WORDS: usize = size_of::<SwFlowKey>() / 8;

impl SwFlowKey {
    /// A key of zeroes.
    #[cfg(CONFIG_OPENVSWITCH_KUNIT_TEST)]
    pub(crate) fn zeroed() -> Self {
        FromZeros::new_zeroed()
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

    /// Forgets all that is in the packet, and keeps what is only known of it.
    pub(crate) fn clear_headers(&mut self) {
        *self = Self {
            recirc_id: self.recirc_id,
            in_port: self.in_port,
            mac_proto: self.mac_proto,
            tun_proto: self.tun_proto,
            dp_hash: self.dp_hash,
            priority: self.priority,
            skb_mark: self.skb_mark,
            ct_state: self.ct_state,
            ct_orig_proto: self.ct_orig_proto,
            ct_zone: self.ct_zone,
            ct_mark: self.ct_mark,
            ct_labels: self.ct_labels,
            ct_orig_tp_src: self.ct_orig_tp_src,
            ct_orig_tp_dst: self.ct_orig_tp_dst,
            ct_orig_src: self.ct_orig_src,
            ct_orig_dst: self.ct_orig_dst,
            ..FromZeros::new_zeroed()
        };
    }

    /// Whether the packet is a neighbour solicitation or advertisement.
    ///
    /// C: `sw_flow_key_is_nd()`.
    pub(crate) fn is_nd(&self) -> bool {
        self.eth_type.get() == ETH_P_IPV6
            && self.ip_proto == NEXTHDR_ICMP
            && self.tp_dst.get() == 0
            && matches!(
                self.tp_src.get(),
                NDISC_NEIGHBOUR_SOLICITATION | NDISC_NEIGHBOUR_ADVERTISEMENT
            )
    }

    /// The MAC layer protocol, without the validity flag.
    #[inline]
    pub(crate) fn mac_proto(&self) -> u8 {
        self.mac_proto & !SW_FLOW_KEY_INVALID
    }

    /// Whether the key still describes the packet.
    ///
    /// C: `is_flow_key_valid()`.
    #[inline]
    pub(crate) fn is_valid(&self) -> bool {
        self.mac_proto & SW_FLOW_KEY_INVALID == 0
    }

    /// Marks the key as no longer describing the packet.
    ///
    /// C: `invalidate_flow_key()`.
    #[inline]
    pub(crate) fn invalidate(&mut self) {
        self.mac_proto |= SW_FLOW_KEY_INVALID;
    }
}
