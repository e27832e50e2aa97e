// SPDX-License-Identifier: GPL-2.0

//! Attribute types and payloads of flow keys and actions.
//!
//! C header: [`include/uapi/linux/openvswitch.h`](srctree/include/uapi/linux/openvswitch.h)

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

/// Names the members of an enumeration of the userspace API as C does, with
/// the type that attribute types have.
macro_rules! attr_types {
    ($($name:ident = $from:ident;)*) => {
        $(pub(crate) const $name: u16 = kernel_ext::uapi::$from as u16;)*
    };
}
pub(crate) use attr_types;

attr_types! {
    OVS_KEY_ATTR_UNSPEC = ovs_key_attr_OVS_KEY_ATTR_UNSPEC;
    OVS_KEY_ATTR_ENCAP = ovs_key_attr_OVS_KEY_ATTR_ENCAP;
    OVS_KEY_ATTR_PRIORITY = ovs_key_attr_OVS_KEY_ATTR_PRIORITY;
    OVS_KEY_ATTR_IN_PORT = ovs_key_attr_OVS_KEY_ATTR_IN_PORT;
    OVS_KEY_ATTR_ETHERNET = ovs_key_attr_OVS_KEY_ATTR_ETHERNET;
    OVS_KEY_ATTR_VLAN = ovs_key_attr_OVS_KEY_ATTR_VLAN;
    OVS_KEY_ATTR_ETHERTYPE = ovs_key_attr_OVS_KEY_ATTR_ETHERTYPE;
    OVS_KEY_ATTR_IPV4 = ovs_key_attr_OVS_KEY_ATTR_IPV4;
    OVS_KEY_ATTR_IPV6 = ovs_key_attr_OVS_KEY_ATTR_IPV6;
    OVS_KEY_ATTR_TCP = ovs_key_attr_OVS_KEY_ATTR_TCP;
    OVS_KEY_ATTR_UDP = ovs_key_attr_OVS_KEY_ATTR_UDP;
    OVS_KEY_ATTR_ICMP = ovs_key_attr_OVS_KEY_ATTR_ICMP;
    OVS_KEY_ATTR_ICMPV6 = ovs_key_attr_OVS_KEY_ATTR_ICMPV6;
    OVS_KEY_ATTR_ARP = ovs_key_attr_OVS_KEY_ATTR_ARP;
    OVS_KEY_ATTR_ND = ovs_key_attr_OVS_KEY_ATTR_ND;
    OVS_KEY_ATTR_SKB_MARK = ovs_key_attr_OVS_KEY_ATTR_SKB_MARK;
    OVS_KEY_ATTR_TUNNEL = ovs_key_attr_OVS_KEY_ATTR_TUNNEL;
    OVS_KEY_ATTR_SCTP = ovs_key_attr_OVS_KEY_ATTR_SCTP;
    OVS_KEY_ATTR_TCP_FLAGS = ovs_key_attr_OVS_KEY_ATTR_TCP_FLAGS;
    OVS_KEY_ATTR_DP_HASH = ovs_key_attr_OVS_KEY_ATTR_DP_HASH;
    OVS_KEY_ATTR_RECIRC_ID = ovs_key_attr_OVS_KEY_ATTR_RECIRC_ID;
    OVS_KEY_ATTR_CT_STATE = ovs_key_attr_OVS_KEY_ATTR_CT_STATE;
    OVS_KEY_ATTR_CT_ZONE = ovs_key_attr_OVS_KEY_ATTR_CT_ZONE;
    OVS_KEY_ATTR_CT_MARK = ovs_key_attr_OVS_KEY_ATTR_CT_MARK;
    OVS_KEY_ATTR_CT_LABELS = ovs_key_attr_OVS_KEY_ATTR_CT_LABELS;
    OVS_KEY_ATTR_MPLS = ovs_key_attr_OVS_KEY_ATTR_MPLS;
    OVS_KEY_ATTR_CT_ORIG_TUPLE_IPV4 = ovs_key_attr_OVS_KEY_ATTR_CT_ORIG_TUPLE_IPV4;
    OVS_KEY_ATTR_CT_ORIG_TUPLE_IPV6 = ovs_key_attr_OVS_KEY_ATTR_CT_ORIG_TUPLE_IPV6;
    OVS_KEY_ATTR_NSH = ovs_key_attr_OVS_KEY_ATTR_NSH;
    OVS_KEY_ATTR_PACKET_TYPE = ovs_key_attr_OVS_KEY_ATTR_PACKET_TYPE;
    OVS_KEY_ATTR_ND_EXTENSIONS = ovs_key_attr_OVS_KEY_ATTR_ND_EXTENSIONS;
    OVS_KEY_ATTR_TUNNEL_INFO = ovs_key_attr_OVS_KEY_ATTR_TUNNEL_INFO;
    OVS_KEY_ATTR_IPV6_EXTHDRS = ovs_key_attr_OVS_KEY_ATTR_IPV6_EXTHDRS;
    OVS_KEY_ATTR_COUNT = ovs_key_attr___OVS_KEY_ATTR_MAX;
}

/// The last type of flow-key attributes.
pub(crate) const OVS_KEY_ATTR_MAX: u16 = OVS_KEY_ATTR_COUNT - 1;

attr_types! {
    OVS_TUNNEL_KEY_ATTR_ID = ovs_tunnel_key_attr_OVS_TUNNEL_KEY_ATTR_ID;
    OVS_TUNNEL_KEY_ATTR_IPV4_SRC = ovs_tunnel_key_attr_OVS_TUNNEL_KEY_ATTR_IPV4_SRC;
    OVS_TUNNEL_KEY_ATTR_IPV4_DST = ovs_tunnel_key_attr_OVS_TUNNEL_KEY_ATTR_IPV4_DST;
    OVS_TUNNEL_KEY_ATTR_TOS = ovs_tunnel_key_attr_OVS_TUNNEL_KEY_ATTR_TOS;
    OVS_TUNNEL_KEY_ATTR_TTL = ovs_tunnel_key_attr_OVS_TUNNEL_KEY_ATTR_TTL;
    OVS_TUNNEL_KEY_ATTR_DONT_FRAGMENT = ovs_tunnel_key_attr_OVS_TUNNEL_KEY_ATTR_DONT_FRAGMENT;
    OVS_TUNNEL_KEY_ATTR_CSUM = ovs_tunnel_key_attr_OVS_TUNNEL_KEY_ATTR_CSUM;
    OVS_TUNNEL_KEY_ATTR_OAM = ovs_tunnel_key_attr_OVS_TUNNEL_KEY_ATTR_OAM;
    OVS_TUNNEL_KEY_ATTR_GENEVE_OPTS = ovs_tunnel_key_attr_OVS_TUNNEL_KEY_ATTR_GENEVE_OPTS;
    OVS_TUNNEL_KEY_ATTR_TP_SRC = ovs_tunnel_key_attr_OVS_TUNNEL_KEY_ATTR_TP_SRC;
    OVS_TUNNEL_KEY_ATTR_TP_DST = ovs_tunnel_key_attr_OVS_TUNNEL_KEY_ATTR_TP_DST;
    OVS_TUNNEL_KEY_ATTR_VXLAN_OPTS = ovs_tunnel_key_attr_OVS_TUNNEL_KEY_ATTR_VXLAN_OPTS;
    OVS_TUNNEL_KEY_ATTR_IPV6_SRC = ovs_tunnel_key_attr_OVS_TUNNEL_KEY_ATTR_IPV6_SRC;
    OVS_TUNNEL_KEY_ATTR_IPV6_DST = ovs_tunnel_key_attr_OVS_TUNNEL_KEY_ATTR_IPV6_DST;
    OVS_TUNNEL_KEY_ATTR_PAD = ovs_tunnel_key_attr_OVS_TUNNEL_KEY_ATTR_PAD;
    OVS_TUNNEL_KEY_ATTR_ERSPAN_OPTS = ovs_tunnel_key_attr_OVS_TUNNEL_KEY_ATTR_ERSPAN_OPTS;
    OVS_TUNNEL_KEY_ATTR_IPV4_INFO_BRIDGE =
        ovs_tunnel_key_attr_OVS_TUNNEL_KEY_ATTR_IPV4_INFO_BRIDGE;
    OVS_TUNNEL_KEY_ATTR_COUNT = ovs_tunnel_key_attr___OVS_TUNNEL_KEY_ATTR_MAX;
}

/// The last type of tunnel-key attributes.
pub(crate) const OVS_TUNNEL_KEY_ATTR_MAX: u16 = OVS_TUNNEL_KEY_ATTR_COUNT - 1;

attr_types! {
    OVS_NSH_KEY_ATTR_UNSPEC = ovs_nsh_key_attr_OVS_NSH_KEY_ATTR_UNSPEC;
    OVS_NSH_KEY_ATTR_BASE = ovs_nsh_key_attr_OVS_NSH_KEY_ATTR_BASE;
    OVS_NSH_KEY_ATTR_MD1 = ovs_nsh_key_attr_OVS_NSH_KEY_ATTR_MD1;
    OVS_NSH_KEY_ATTR_MD2 = ovs_nsh_key_attr_OVS_NSH_KEY_ATTR_MD2;
    OVS_NSH_KEY_ATTR_COUNT = ovs_nsh_key_attr___OVS_NSH_KEY_ATTR_MAX;
}

/// The last type of attributes of a network service header.
pub(crate) const OVS_NSH_KEY_ATTR_MAX: u16 = OVS_NSH_KEY_ATTR_COUNT - 1;

/// The VXLAN group-based policy, and the last of VXLAN's extensions.
///
/// C: `OVS_VXLAN_EXT_GBP`, `OVS_VXLAN_EXT_MAX`.
pub(crate) const OVS_VXLAN_EXT_GBP: u16 = 1;
pub(crate) const OVS_VXLAN_EXT_MAX: u16 = OVS_VXLAN_EXT_GBP;

attr_types! {
    OVS_ACTION_ATTR_OUTPUT = ovs_action_attr_OVS_ACTION_ATTR_OUTPUT;
    OVS_ACTION_ATTR_USERSPACE = ovs_action_attr_OVS_ACTION_ATTR_USERSPACE;
    OVS_ACTION_ATTR_SET = ovs_action_attr_OVS_ACTION_ATTR_SET;
    OVS_ACTION_ATTR_PUSH_VLAN = ovs_action_attr_OVS_ACTION_ATTR_PUSH_VLAN;
    OVS_ACTION_ATTR_POP_VLAN = ovs_action_attr_OVS_ACTION_ATTR_POP_VLAN;
    OVS_ACTION_ATTR_SAMPLE = ovs_action_attr_OVS_ACTION_ATTR_SAMPLE;
    OVS_ACTION_ATTR_RECIRC = ovs_action_attr_OVS_ACTION_ATTR_RECIRC;
    OVS_ACTION_ATTR_HASH = ovs_action_attr_OVS_ACTION_ATTR_HASH;
    OVS_ACTION_ATTR_PUSH_MPLS = ovs_action_attr_OVS_ACTION_ATTR_PUSH_MPLS;
    OVS_ACTION_ATTR_POP_MPLS = ovs_action_attr_OVS_ACTION_ATTR_POP_MPLS;
    OVS_ACTION_ATTR_SET_MASKED = ovs_action_attr_OVS_ACTION_ATTR_SET_MASKED;
    OVS_ACTION_ATTR_TRUNC = ovs_action_attr_OVS_ACTION_ATTR_TRUNC;
    OVS_ACTION_ATTR_PUSH_ETH = ovs_action_attr_OVS_ACTION_ATTR_PUSH_ETH;
    OVS_ACTION_ATTR_POP_ETH = ovs_action_attr_OVS_ACTION_ATTR_POP_ETH;
    OVS_ACTION_ATTR_METER = ovs_action_attr_OVS_ACTION_ATTR_METER;
    OVS_ACTION_ATTR_PUSH_NSH = ovs_action_attr_OVS_ACTION_ATTR_PUSH_NSH;
    OVS_ACTION_ATTR_POP_NSH = ovs_action_attr_OVS_ACTION_ATTR_POP_NSH;
    OVS_ACTION_ATTR_CLONE = ovs_action_attr_OVS_ACTION_ATTR_CLONE;
    OVS_ACTION_ATTR_ADD_MPLS = ovs_action_attr_OVS_ACTION_ATTR_ADD_MPLS;
    OVS_ACTION_ATTR_CHECK_PKT_LEN = ovs_action_attr_OVS_ACTION_ATTR_CHECK_PKT_LEN;
    OVS_ACTION_ATTR_DEC_TTL = ovs_action_attr_OVS_ACTION_ATTR_DEC_TTL;
    OVS_ACTION_ATTR_DROP = ovs_action_attr_OVS_ACTION_ATTR_DROP;
    OVS_ACTION_ATTR_PSAMPLE = ovs_action_attr_OVS_ACTION_ATTR_PSAMPLE;

    OVS_ACTION_ATTR_CT = ovs_action_attr_OVS_ACTION_ATTR_CT;
    OVS_ACTION_ATTR_CT_CLEAR = ovs_action_attr_OVS_ACTION_ATTR_CT_CLEAR;

    OVS_SAMPLE_ATTR_PROBABILITY = ovs_sample_attr_OVS_SAMPLE_ATTR_PROBABILITY;
    OVS_SAMPLE_ATTR_ACTIONS = ovs_sample_attr_OVS_SAMPLE_ATTR_ACTIONS;

    OVS_CHECK_PKT_LEN_ATTR_PKT_LEN = ovs_check_pkt_len_attr_OVS_CHECK_PKT_LEN_ATTR_PKT_LEN;
    OVS_CHECK_PKT_LEN_ATTR_ACTIONS_IF_GREATER =
        ovs_check_pkt_len_attr_OVS_CHECK_PKT_LEN_ATTR_ACTIONS_IF_GREATER;
    OVS_CHECK_PKT_LEN_ATTR_ACTIONS_IF_LESS_EQUAL =
        ovs_check_pkt_len_attr_OVS_CHECK_PKT_LEN_ATTR_ACTIONS_IF_LESS_EQUAL;
    OVS_CHECK_PKT_LEN_ATTR_COUNT = ovs_check_pkt_len_attr___OVS_CHECK_PKT_LEN_ATTR_MAX;

    OVS_DEC_TTL_ATTR_ACTION = ovs_dec_ttl_attr_OVS_DEC_TTL_ATTR_ACTION;
    OVS_DEC_TTL_ATTR_COUNT = ovs_dec_ttl_attr___OVS_DEC_TTL_ATTR_MAX;

    OVS_PSAMPLE_ATTR_GROUP = ovs_psample_attr_OVS_PSAMPLE_ATTR_GROUP;
    OVS_PSAMPLE_ATTR_COOKIE = ovs_psample_attr_OVS_PSAMPLE_ATTR_COOKIE;
    OVS_PSAMPLE_ATTR_COUNT = ovs_psample_attr___OVS_PSAMPLE_ATTR_MAX;

    OVS_USERSPACE_ATTR_PID = ovs_userspace_attr_OVS_USERSPACE_ATTR_PID;
    OVS_USERSPACE_ATTR_USERDATA = ovs_userspace_attr_OVS_USERSPACE_ATTR_USERDATA;
    OVS_USERSPACE_ATTR_EGRESS_TUN_PORT = ovs_userspace_attr_OVS_USERSPACE_ATTR_EGRESS_TUN_PORT;
    OVS_USERSPACE_ATTR_ACTIONS = ovs_userspace_attr_OVS_USERSPACE_ATTR_ACTIONS;
    OVS_USERSPACE_ATTR_COUNT = ovs_userspace_attr___OVS_USERSPACE_ATTR_MAX;

    OVS_FLOW_ATTR_KEY = ovs_flow_attr_OVS_FLOW_ATTR_KEY;
    OVS_FLOW_ATTR_MASK = ovs_flow_attr_OVS_FLOW_ATTR_MASK;
    OVS_FLOW_ATTR_UFID = ovs_flow_attr_OVS_FLOW_ATTR_UFID;
}

/// The `OVS_CS_F_*` flags that can be matched on.
///
/// C: `CT_SUPPORTED_MASK`.
pub(crate) const CT_SUPPORTED_MASK: u32 = kernel_ext::uapi::OVS_CS_F_NEW
    | kernel_ext::uapi::OVS_CS_F_ESTABLISHED
    | kernel_ext::uapi::OVS_CS_F_RELATED
    | kernel_ext::uapi::OVS_CS_F_REPLY_DIR
    | kernel_ext::uapi::OVS_CS_F_INVALID
    | kernel_ext::uapi::OVS_CS_F_TRACKED
    | kernel_ext::uapi::OVS_CS_F_SRC_NAT
    | kernel_ext::uapi::OVS_CS_F_DST_NAT;

/// The last type of a `dec_ttl` action's attributes.
pub(crate) const OVS_DEC_TTL_ATTR_MAX: u16 = OVS_DEC_TTL_ATTR_COUNT - 1;

/// How long the cookie of a `psample` action can be, in bytes.
pub(crate) const OVS_PSAMPLE_COOKIE_MAX_SIZE: usize =
    kernel_ext::uapi::OVS_PSAMPLE_COOKIE_MAX_SIZE as usize;
/// `OVS_FRAG_TYPE_LATER`: a fragment without the transport header.
pub(crate) const OVS_FRAG_TYPE_LATER: u8 =
    kernel_ext::uapi::ovs_frag_type_OVS_FRAG_TYPE_LATER as u8;
/// The last of `enum ovs_frag_type`.
pub(crate) const OVS_FRAG_TYPE_MAX: u8 = OVS_FRAG_TYPE_LATER;

/// How many ports a datapath has, and the port number that is none of them.
///
/// C: `DP_MAX_PORTS`.
pub(crate) const DP_MAX_PORTS: u16 = u16::MAX;

pub(crate) use crate::flow::headers::{
    eth_p_mpls,
    eth_type_vlan,
    ETH_HLEN,
    ETH_P_802_2,
    ETH_P_802_3_MIN,
    ETH_P_ARP,
    ETH_P_IP,
    ETH_P_IPV6,
    ETH_P_NSH,
    ETH_P_RARP,
    ETH_P_TEB,
    IPPROTO_ICMP,
    IPPROTO_ICMPV6,
    IPPROTO_SCTP,
    IPPROTO_TCP,
    IPPROTO_UDP,
    NDISC_NEIGHBOUR_ADVERTISEMENT,
    NDISC_NEIGHBOUR_SOLICITATION,
    VLAN_CFI_MASK, //
};

/// The bits of an IPv6 flow label that have to be zero.
pub(crate) const IPV6_LABEL_INVALID: u32 = 0xfff0_0000;

/// Defines the payload of an attribute, as the userspace API has it.
macro_rules! payload {
    ($(#[$meta:meta])* $name:ident { $($field:ident: $ty:ty,)* }) => {
        $(#[$meta])*
        #[repr(C)]
        #[derive(
            Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
        )]
        pub(crate) struct $name {
            $(pub(crate) $field: $ty,)*
        }
    };
}

payload! {
    /// `struct ovs_key_ethernet`.
    OvsKeyEthernet {
        eth_src: [u8; 6],
        eth_dst: [u8; 6],
    }
}

payload! {
    /// `struct ovs_key_mpls`.
    OvsKeyMpls {
        mpls_lse: Be32,
    }
}

payload! {
    /// `struct ovs_key_ipv4`.
    OvsKeyIpv4 {
        ipv4_src: Be32,
        ipv4_dst: Be32,
        ipv4_proto: u8,
        ipv4_tos: u8,
        ipv4_ttl: u8,
        ipv4_frag: u8,
    }
}

payload! {
    /// `struct ovs_key_ipv6`.
    OvsKeyIpv6 {
        ipv6_src: [u8; 16],
        ipv6_dst: [u8; 16],
        ipv6_label: Be32,
        ipv6_proto: u8,
        ipv6_tclass: u8,
        ipv6_hlimit: u8,
        ipv6_frag: u8,
    }
}

payload! {
    /// `struct ovs_key_tcp`, `struct ovs_key_udp` and `struct ovs_key_sctp`.
    OvsKeyPorts {
        src: Be16,
        dst: Be16,
    }
}

payload! {
    /// `struct ovs_key_icmp` and `struct ovs_key_icmpv6`.
    OvsKeyIcmp {
        icmp_type: u8,
        icmp_code: u8,
    }
}

payload! {
    /// `struct ovs_key_arp`, with the padding that the compiler gives it in C.
    OvsKeyArp {
        arp_sip: Be32,
        arp_tip: Be32,
        arp_op: Be16,
        arp_sha: [u8; 6],
        arp_tha: [u8; 6],
        pad: [u8; 2],
    }
}

payload! {
    /// `struct ovs_key_nd`.
    OvsKeyNd {
        nd_target: [u8; 16],
        nd_sll: [u8; 6],
        nd_tll: [u8; 6],
    }
}

payload! {
    /// `struct ovs_key_ct_tuple_ipv4`, with the padding that the compiler gives
    /// it in C.
    OvsKeyCtTupleIpv4 {
        ipv4_src: [u8; 4],
        ipv4_dst: [u8; 4],
        src_port: Be16,
        dst_port: Be16,
        ipv4_proto: u8,
        pad: [u8; 3],
    }
}

payload! {
    /// `struct ovs_key_ct_tuple_ipv6`, with the padding that the compiler gives
    /// it in C.
    OvsKeyCtTupleIpv6 {
        ipv6_src: [u8; 16],
        ipv6_dst: [u8; 16],
        src_port: Be16,
        dst_port: Be16,
        ipv6_proto: u8,
        pad: [u8; 3],
    }
}

payload! {
    /// `struct ovs_nsh_key_base`.
    OvsNshKeyBase {
        flags: u8,
        ttl: u8,
        mdtype: u8,
        np: u8,
        path_hdr: Be32,
    }
}

payload! {
    /// `struct ovs_nsh_key_md1`.
    OvsNshKeyMd1 {
        context: [Be32; 4],
    }
}

payload! {
    /// `struct ovs_action_push_vlan`.
    OvsActionPushVlan {
        vlan_tpid: Be16,
        vlan_tci: Be16,
    }
}

payload! {
    /// `struct ovs_action_push_mpls`, with the padding that the compiler gives
    /// it in C.
    OvsActionPushMpls {
        mpls_lse: Be32,
        mpls_ethertype: Be16,
        pad: [u8; 2],
    }
}

payload! {
    /// `struct ovs_action_add_mpls`. `tun_flags` is in host byte order.
    OvsActionAddMpls {
        mpls_lse: Be32,
        mpls_ethertype: Be16,
        tun_flags: [u8; 2],
    }
}

payload! {
    /// `struct ovs_action_push_eth`.
    OvsActionPushEth {
        addresses: OvsKeyEthernet,
    }
}

kernel::static_assert!(
    size_of::<OvsKeyEthernet>() == size_of::<kernel_ext::uapi::ovs_key_ethernet>()
);
kernel::static_assert!(size_of::<OvsKeyMpls>() == size_of::<kernel_ext::uapi::ovs_key_mpls>());
kernel::static_assert!(size_of::<OvsKeyIpv4>() == size_of::<kernel_ext::uapi::ovs_key_ipv4>());
kernel::static_assert!(size_of::<OvsKeyIpv6>() == size_of::<kernel_ext::uapi::ovs_key_ipv6>());
kernel::static_assert!(size_of::<OvsKeyPorts>() == size_of::<kernel_ext::uapi::ovs_key_tcp>());
kernel::static_assert!(size_of::<OvsKeyIcmp>() == size_of::<kernel_ext::uapi::ovs_key_icmp>());
kernel::static_assert!(size_of::<OvsKeyArp>() == size_of::<kernel_ext::uapi::ovs_key_arp>());
kernel::static_assert!(size_of::<OvsKeyNd>() == size_of::<kernel_ext::uapi::ovs_key_nd>());
kernel::static_assert!(
    size_of::<OvsKeyCtTupleIpv4>() == size_of::<kernel_ext::uapi::ovs_key_ct_tuple_ipv4>()
);
kernel::static_assert!(
    size_of::<OvsKeyCtTupleIpv6>() == size_of::<kernel_ext::uapi::ovs_key_ct_tuple_ipv6>()
);
kernel::static_assert!(
    size_of::<OvsActionPushMpls>() == size_of::<kernel_ext::uapi::ovs_action_push_mpls>()
);
kernel::static_assert!(
    size_of::<OvsActionAddMpls>() == size_of::<kernel_ext::uapi::ovs_action_add_mpls>()
);
kernel::static_assert!(
    size_of::<OvsNshKeyBase>() == size_of::<kernel_ext::uapi::ovs_nsh_key_base>()
);
kernel::static_assert!(size_of::<OvsNshKeyMd1>() == size_of::<kernel_ext::uapi::ovs_nsh_key_md1>());
