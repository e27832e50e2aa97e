// SPDX-License-Identifier: GPL-2.0

//! Protocol headers as they are in a packet: bytes only, so that they can be
//! read at any offset. Names are those of the C structures.

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

pub(crate) const ETH_HLEN: usize = size_of::<EthHdr>();

// Ethernet types, host byte order.
pub(crate) const ETH_P_802_3_MIN: u16 = 0x0600;
pub(crate) const ETH_P_802_2: u16 = 0x0004;
pub(crate) const ETH_P_IP: u16 = 0x0800;
pub(crate) const ETH_P_ARP: u16 = 0x0806;
pub(crate) const ETH_P_TEB: u16 = 0x6558;
pub(crate) const ETH_P_RARP: u16 = 0x8035;
pub(crate) const ETH_P_8021Q: u16 = 0x8100;
pub(crate) const ETH_P_IPV6: u16 = 0x86dd;
pub(crate) const ETH_P_MPLS_UC: u16 = 0x8847;
pub(crate) const ETH_P_MPLS_MC: u16 = 0x8848;
pub(crate) const ETH_P_8021AD: u16 = 0x88a8;
pub(crate) const ETH_P_NSH: u16 = 0x894f;

pub(crate) const IPPROTO_ICMP: u8 = 1;
pub(crate) const IPPROTO_TCP: u8 = 6;
pub(crate) const IPPROTO_UDP: u8 = 17;
pub(crate) const IPPROTO_ICMPV6: u8 = NEXTHDR_ICMP;
pub(crate) const IPPROTO_SCTP: u8 = 132;

pub(crate) const NEXTHDR_HOP: u8 = 0;
pub(crate) const NEXTHDR_ROUTING: u8 = 43;
pub(crate) const NEXTHDR_FRAGMENT: u8 = 44;
pub(crate) const NEXTHDR_AUTH: u8 = 51;
pub(crate) const NEXTHDR_ICMP: u8 = 58;
pub(crate) const NEXTHDR_NONE: u8 = 59;
pub(crate) const NEXTHDR_DEST: u8 = 60;

// ICMPv6 types of neighbour discovery, as they are in a key.
pub(crate) const NDISC_NEIGHBOUR_SOLICITATION: u16 = 135;
pub(crate) const NDISC_NEIGHBOUR_ADVERTISEMENT: u16 = 136;

/// In a key's or an action's TCI: there is a tag.
pub(crate) const VLAN_CFI_MASK: u16 = 0x1000;

/// The length of a VLAN tag in bytes.
pub(crate) const VLAN_HLEN: usize = 4;

/// Whether an Ethernet type (host byte order) is that of a VLAN tag.
/// C: `eth_type_vlan()`.
#[inline]
pub(crate) const fn eth_type_vlan(eth_type: u16) -> bool {
    matches!(eth_type, ETH_P_8021Q | ETH_P_8021AD)
}

/// The length of an entry of an MPLS label stack, in bytes.
pub(crate) const MPLS_HLEN: usize = 4;
/// In an entry of an MPLS label stack: it is the last one.
pub(crate) const MPLS_LS_S_MASK: u32 = 0x0000_0100;

/// Whether an Ethernet type (host byte order) is that of MPLS.
/// C: `eth_p_mpls()`.
#[inline]
pub(crate) const fn eth_p_mpls(eth_type: u16) -> bool {
    matches!(eth_type, ETH_P_MPLS_UC | ETH_P_MPLS_MC)
}

/// Whether a header is one of IPv6's extensions. C: `ipv6_ext_hdr()`.
#[inline]
pub(crate) fn ipv6_ext_hdr(nexthdr: u8) -> bool {
    matches!(
        nexthdr,
        NEXTHDR_HOP
            | NEXTHDR_ROUTING
            | NEXTHDR_FRAGMENT
            | NEXTHDR_AUTH
            | NEXTHDR_NONE
            | NEXTHDR_DEST
    )
}

/// An Ethernet header.
#[repr(C)]
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
pub(crate) struct EthHdr {
    pub(crate) h_dest: [u8; 6],
    pub(crate) h_source: [u8; 6],
    pub(crate) h_proto: Be16,
}

/// A VLAN tag and the Ethernet type after it.
#[repr(C)]
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
pub(crate) struct VlanTag {
    pub(crate) tpid: Be16,
    pub(crate) tci: Be16,
    pub(crate) ethertype: Be16,
}

/// An LLC header with the SNAP extension.
#[repr(C)]
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
pub(crate) struct LlcSnapHdr {
    pub(crate) dsap: u8,
    pub(crate) ssap: u8,
    pub(crate) ctrl: u8,
    pub(crate) oui: [u8; 3],
    pub(crate) ethertype: Be16,
}

/// An IPv4 header without options.
#[repr(C)]
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
pub(crate) struct IpHdr {
    pub(crate) version_ihl: u8,
    pub(crate) tos: u8,
    pub(crate) tot_len: Be16,
    pub(crate) id: Be16,
    pub(crate) frag_off: Be16,
    pub(crate) ttl: u8,
    pub(crate) protocol: u8,
    pub(crate) check: [u8; 2],
    pub(crate) saddr: Be32,
    pub(crate) daddr: Be32,
}

impl IpHdr {
    /// In `frag_off`: the offset. C: `IP_OFFSET`.
    pub(crate) const OFFSET: u16 = 0x1fff;
    /// In `frag_off`: more fragments follow. C: `IP_MF`.
    pub(crate) const MF: u16 = 0x2000;

    /// The length of the header with its options, in bytes.
    #[inline]
    pub(crate) fn hdrlen(&self) -> usize {
        usize::from(self.version_ihl & 0xf) << 2
    }
}

/// An IPv6 header.
#[repr(C)]
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
pub(crate) struct Ipv6Hdr {
    /// Version, traffic class and flow label.
    pub(crate) flow: Be32,
    pub(crate) payload_len: Be16,
    pub(crate) nexthdr: u8,
    pub(crate) hop_limit: u8,
    pub(crate) saddr: [u8; 16],
    pub(crate) daddr: [u8; 16],
}

impl Ipv6Hdr {
    /// In `flow`: the flow label. C: `IPV6_FLOWINFO_FLOWLABEL`.
    pub(crate) const FLOWLABEL: u32 = 0x000f_ffff;

    /// The traffic class. C: `ipv6_get_dsfield()`.
    #[inline]
    pub(crate) fn dsfield(&self) -> u8 {
        // CAST: Bits 20 to 27 are wanted.
        (self.flow.get() >> 20) as u8
    }
}

/// A TCP header without options.
#[repr(C)]
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
pub(crate) struct TcpHdr {
    pub(crate) source: Be16,
    pub(crate) dest: Be16,
    pub(crate) seq: Be32,
    pub(crate) ack_seq: Be32,
    /// Data offset, and flags in the low 12 bits.
    pub(crate) doff_flags: Be16,
    pub(crate) window: Be16,
    pub(crate) check: [u8; 2],
    pub(crate) urg_ptr: Be16,
}

impl TcpHdr {
    /// In `doff_flags`: the flags.
    pub(crate) const FLAGS: u16 = 0x0fff;

    /// The length of the header with its options, in bytes.
    #[inline]
    pub(crate) fn hdrlen(&self) -> usize {
        usize::from(self.doff_flags.get() >> 12) << 2
    }
}

/// A UDP header.
#[repr(C)]
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
pub(crate) struct UdpHdr {
    pub(crate) source: Be16,
    pub(crate) dest: Be16,
    pub(crate) len: Be16,
    pub(crate) check: [u8; 2],
}

/// An SCTP common header.
#[repr(C)]
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
pub(crate) struct SctpHdr {
    pub(crate) source: Be16,
    pub(crate) dest: Be16,
    pub(crate) vtag: Be32,
    pub(crate) checksum: [u8; 4],
}

/// The part that all ICMP and ICMPv6 messages begin with.
#[repr(C)]
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
pub(crate) struct IcmpHdr {
    pub(crate) icmp_type: u8,
    pub(crate) code: u8,
    pub(crate) checksum: [u8; 2],
    pub(crate) rest: [u8; 4],
}

/// ARP for IPv4 over Ethernet.
#[repr(C)]
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
pub(crate) struct ArpEthHeader {
    pub(crate) ar_hrd: Be16,
    pub(crate) ar_pro: Be16,
    pub(crate) ar_hln: u8,
    pub(crate) ar_pln: u8,
    pub(crate) ar_op: Be16,
    pub(crate) ar_sha: [u8; 6],
    pub(crate) ar_sip: Be32,
    pub(crate) ar_tha: [u8; 6],
    pub(crate) ar_tip: Be32,
}

/// A neighbour solicitation or advertisement, without options.
#[repr(C)]
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
pub(crate) struct NdMsg {
    pub(crate) icmph: IcmpHdr,
    pub(crate) target: [u8; 16],
}
