// SPDX-License-Identifier: GPL-2.0

//! Flow keys, masks and identifiers into netlink attributes.

use super::{
    nsh::nsh_key_to_nlattr,
    tunnel_put::{
        ip_tun_to_nlattr,
        ovs_tun_key_attr_size,
        Tunnel, //
    },
    uapi::*, //
};
use crate::{
    conntrack::ovs_ct_put_key,
    flow::{
        key::{
            SwFlowKey,
            VlanHead,
            MAC_PROTO_ETHERNET, //
        },
        tunnel::{
            KeyRef,
            MatchKey,
            TunnelKey, //
        },
        SwFlowId, //
    }, //
};
use kernel::prelude::*;
use kernel_ext::net::netlink::{
    attr::nla_total_size,
    AttrWriter, //
};
use zerocopy::IntoBytes;

/// The room that a key's attributes need at most, in bytes. It is what C
/// reserves, so that buffers are of the same size.
///
/// C: `ovs_key_attr_size()`, and `ovs_nsh_key_attr_size()` within.
pub(crate) const fn ovs_key_attr_size() -> usize {
    const fn nsh() -> usize {
        nla_total_size(8) // BASE
            + nla_total_size(244) // MD1 or MD2
    }

    nla_total_size(4) // PRIORITY
        + nla_total_size(0) // TUNNEL
        + ovs_tun_key_attr_size()
        + nla_total_size(4) // IN_PORT
        + nla_total_size(4) // SKB_MARK
        + nla_total_size(4) // DP_HASH
        + nla_total_size(4) // RECIRC_ID
        + nla_total_size(4) // CT_STATE
        + nla_total_size(2) // CT_ZONE
        + nla_total_size(4) // CT_MARK
        + nla_total_size(16) // CT_LABELS
        + nla_total_size(40) // CT_ORIG_TUPLE_IPV6
        + nla_total_size(0) // NSH
        + nsh()
        + nla_total_size(12) // ETHERNET
        + nla_total_size(2) // ETHERTYPE
        + nla_total_size(4) // VLAN
        + nla_total_size(0) // ENCAP
        + nla_total_size(2) // ETHERTYPE
        + nla_total_size(40) // IPV6
        + nla_total_size(2) // ICMPV6
        + nla_total_size(28) // ND
        + nla_total_size(2) // IPV6_EXTHDRS
}

/// C: `ovs_nla_put_vlan()`.
fn ovs_nla_put_vlan(vlan: &VlanHead, is_mask: bool, w: &mut impl AttrWriter) -> Result {
    let eth_type = if is_mask { 0xffff } else { vlan.tpid.get() };
    w.put_be16(OVS_KEY_ATTR_ETHERTYPE, eth_type)?;
    w.put_be16(OVS_KEY_ATTR_VLAN, vlan.tci.get())
}

/// Puts the tunnel of a key, or its mask.
fn put_tunnel(swkey: KeyRef<'_>, output: KeyRef<'_>, w: &mut impl AttrWriter) -> Result {
    let none = TunnelKey::zeroed();
    let tun = output.tun.unwrap_or(&none);
    let opts_len = if tun.has_opts() {
        swkey.tun.map_or(0, |tun| tun.tun_opts_len.into())
    } else {
        0
    };
    ip_tun_to_nlattr(
        w,
        &Tunnel {
            key: &tun.tun_key,
            opts: tun.opts(opts_len),
            tun_proto: swkey.tun_proto,
            mode: 0,
        },
    )
}

/// Puts what is not in the packet.
fn put_metadata(
    swkey: KeyRef<'_>,
    output: KeyRef<'_>,
    is_mask: bool,
    w: &mut impl AttrWriter,
) -> Result {
    w.put_u32(OVS_KEY_ATTR_RECIRC_ID, output.recirc_id)?;
    w.put_u32(OVS_KEY_ATTR_DP_HASH, output.dp_hash)?;
    w.put_u32(OVS_KEY_ATTR_PRIORITY, output.priority)?;

    if swkey.tun_proto != 0 || is_mask {
        put_tunnel(swkey, output, w)?;
    }

    if swkey.in_port == DP_MAX_PORTS {
        if is_mask && output.in_port == 0xffff {
            w.put_u32(OVS_KEY_ATTR_IN_PORT, u32::MAX)?;
        }
    } else {
        let upper = if is_mask { 0xffff_0000 } else { 0 };
        w.put_u32(OVS_KEY_ATTR_IN_PORT, upper | u32::from(output.in_port))?;
    }

    w.put_u32(OVS_KEY_ATTR_SKB_MARK, output.skb_mark)?;
    ovs_ct_put_key(swkey.key, output.key, w)
}

/// Puts the network layer's attributes.
fn put_network(
    swkey: &SwFlowKey,
    output: &SwFlowKey,
    is_mask: bool,
    w: &mut impl AttrWriter,
) -> Result {
    match swkey.eth_type.get() {
        ETH_P_IP => {
            let ipv4 = OvsKeyIpv4 {
                ipv4_src: output.ipv4_src,
                ipv4_dst: output.ipv4_dst,
                ipv4_proto: output.ip_proto,
                ipv4_tos: output.ip_tos,
                ipv4_ttl: output.ip_ttl,
                ipv4_frag: output.ip_frag,
            };
            w.put(OVS_KEY_ATTR_IPV4, ipv4.as_bytes())
        }
        ETH_P_IPV6 => {
            let ipv6 = OvsKeyIpv6 {
                ipv6_src: output.ipv6_src,
                ipv6_dst: output.ipv6_dst,
                ipv6_label: output.ipv6_label,
                ipv6_proto: output.ip_proto,
                ipv6_tclass: output.ip_tos,
                ipv6_hlimit: output.ip_ttl,
                ipv6_frag: output.ip_frag,
            };
            w.put(OVS_KEY_ATTR_IPV6, ipv6.as_bytes())?;
            w.put_u16(OVS_KEY_ATTR_IPV6_EXTHDRS, output.ip_exthdrs)
        }
        ETH_P_ARP | ETH_P_RARP => {
            let arp = OvsKeyArp {
                arp_sip: output.ipv4_src,
                arp_tip: output.ipv4_dst,
                arp_op: u16::from(output.ip_proto).into(),
                arp_sha: output.arp_sha,
                arp_tha: output.arp_tha,
                pad: [0; 2],
            };
            w.put(OVS_KEY_ATTR_ARP, arp.as_bytes())
        }
        ETH_P_NSH => nsh_key_to_nlattr(&output.nsh, is_mask, w),
        eth_type if eth_p_mpls(eth_type) => {
            // As many as the mask has, or, of a key, as the packet has.
            let labels = output.mpls_num_labels_mask.count_ones() as usize;
            let lses = output.mpls_lse.get(..labels).unwrap_or(&output.mpls_lse);
            w.put(OVS_KEY_ATTR_MPLS, lses.as_bytes())
        }
        _ => Ok(()),
    }
}

/// Puts the transport layer's attributes of an IP packet.
fn put_transport(swkey: &SwFlowKey, output: &SwFlowKey, w: &mut impl AttrWriter) -> Result {
    let ipv6 = match swkey.eth_type.get() {
        ETH_P_IP => false,
        ETH_P_IPV6 => true,
        _ => return Ok(()),
    };
    if swkey.ip_frag == OVS_FRAG_TYPE_LATER {
        return Ok(());
    }

    let ports = OvsKeyPorts {
        src: output.tp_src,
        dst: output.tp_dst,
    };
    let icmp = OvsKeyIcmp {
        icmp_type: output.tp_src.get() as u8,
        icmp_code: output.tp_dst.get() as u8,
    };
    match swkey.ip_proto {
        IPPROTO_TCP => {
            w.put(OVS_KEY_ATTR_TCP, ports.as_bytes())?;
            w.put_be16(OVS_KEY_ATTR_TCP_FLAGS, output.tcp_flags.get())
        }
        IPPROTO_UDP => w.put(OVS_KEY_ATTR_UDP, ports.as_bytes()),
        IPPROTO_SCTP => w.put(OVS_KEY_ATTR_SCTP, ports.as_bytes()),
        IPPROTO_ICMP if !ipv6 => w.put(OVS_KEY_ATTR_ICMP, icmp.as_bytes()),
        IPPROTO_ICMPV6 if ipv6 => {
            w.put(OVS_KEY_ATTR_ICMPV6, icmp.as_bytes())?;
            if matches!(
                swkey.tp_src.get(),
                NDISC_NEIGHBOUR_SOLICITATION | NDISC_NEIGHBOUR_ADVERTISEMENT
            ) {
                let nd = OvsKeyNd {
                    nd_target: output.nd_target,
                    nd_sll: output.nd_sll,
                    nd_tll: output.nd_tll,
                };
                w.put(OVS_KEY_ATTR_ND, nd.as_bytes())?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Puts what follows the VLAN tags: the Ethernet type and the layers above.
fn put_ethertype_and_above(
    swkey: &SwFlowKey,
    output: &SwFlowKey,
    is_mask: bool,
    w: &mut impl AttrWriter,
) -> Result {
    if swkey.mac_proto() == MAC_PROTO_ETHERNET && swkey.eth_type.get() == ETH_P_802_2 {
        // Ethertype 802.2 is represented in the netlink with omitted
        // OVS_KEY_ATTR_ETHERTYPE in the flow key attribute, and 0xffff in the
        // mask attribute.  Ethertype can also be wildcarded.
        if is_mask && output.eth_type.get() != 0 {
            w.put_be16(OVS_KEY_ATTR_ETHERTYPE, output.eth_type.get())?;
        }
        return Ok(());
    }

    w.put_be16(OVS_KEY_ATTR_ETHERTYPE, output.eth_type.get())?;
    if eth_type_vlan(swkey.eth_type.get()) {
        // There are 3 VLAN tags, we don't know anything about the rest of the
        // packet, so truncate here.
        return Ok(());
    }
    put_network(swkey, output, is_mask, w)?;
    put_transport(swkey, output, w)
}

/// Puts `inner` within an encapsulation attribute.
fn put_encap<W: AttrWriter>(w: &mut W, inner: impl FnOnce(&mut W) -> Result) -> Result {
    let encap = w.nest_start(OVS_KEY_ATTR_ENCAP)?;
    inner(w)?;
    w.nest_end(encap)
}

/// C: `__ovs_nla_put_key()`.
fn put_key_attrs(
    swkey: KeyRef<'_>,
    output: KeyRef<'_>,
    is_mask: bool,
    w: &mut impl AttrWriter,
) -> Result {
    put_metadata(swkey, output, is_mask, w)?;
    let (swkey, output) = (swkey.key, output.key);

    if swkey.mac_proto() != MAC_PROTO_ETHERNET {
        return put_ethertype_and_above(swkey, output, is_mask, w);
    }

    let eth = OvsKeyEthernet {
        eth_src: output.eth_src,
        eth_dst: output.eth_dst,
    };
    w.put(OVS_KEY_ATTR_ETHERNET, eth.as_bytes())?;

    let more_tags = eth_type_vlan(swkey.eth_type.get());
    let outer = swkey.vlan.tci.get() != 0;
    let inner = swkey.cvlan.tci.get() != 0;
    if !outer && !more_tags {
        return put_ethertype_and_above(swkey, output, is_mask, w);
    }
    ovs_nla_put_vlan(&output.vlan, is_mask, w)?;
    put_encap(w, |w| {
        if !outer {
            // The tag is truncated.
            return Ok(());
        }
        if !inner && !more_tags {
            return put_ethertype_and_above(swkey, output, is_mask, w);
        }
        ovs_nla_put_vlan(&output.cvlan, is_mask, w)?;
        put_encap(w, |w| {
            if !inner {
                return Ok(());
            }
            put_ethertype_and_above(swkey, output, is_mask, w)
        })
    })
}

/// Puts attribute `attr` with the attributes that describe `output`: the key
/// `swkey` itself, or its mask.
///
/// Fails with `EMSGSIZE` if it does not fit; what was put until then is left.
///
/// C: `ovs_nla_put_key()`.
pub(crate) fn ovs_nla_put_key(
    swkey: KeyRef<'_>,
    output: KeyRef<'_>,
    attr: u16,
    is_mask: bool,
    w: &mut impl AttrWriter,
) -> Result {
    let nest = w.nest_start(attr)?;
    put_key_attrs(swkey, output, is_mask, w)?;
    w.nest_end(nest)
}

/// Puts what identifies a flow: `OVS_FLOW_ATTR_UFID` or `OVS_FLOW_ATTR_KEY`.
///
/// Fails with `EMSGSIZE` if it does not fit.
///
/// C: `ovs_nla_put_identifier()`.
pub(crate) fn ovs_nla_put_identifier(id: &SwFlowId, w: &mut impl AttrWriter) -> Result {
    match id {
        SwFlowId::Ufid { .. } => w.put(OVS_FLOW_ATTR_UFID, id.as_ufid().unwrap_or_default()),
        SwFlowId::Key(key) => ovs_nla_put_masked_key(key, w),
    }
}

/// Puts a flow's key, which is masked, as `OVS_FLOW_ATTR_KEY`.
///
/// Fails with `EMSGSIZE` if it does not fit.
///
/// C: `ovs_nla_put_masked_key()`.
pub(crate) fn ovs_nla_put_masked_key(key: &MatchKey, w: &mut impl AttrWriter) -> Result {
    ovs_nla_put_key(key.as_ref(), key.as_ref(), OVS_FLOW_ATTR_KEY, false, w)
}

/// Puts a flow's mask as `OVS_FLOW_ATTR_MASK`. `key` is the flow's, masked.
///
/// Fails with `EMSGSIZE` if it does not fit.
///
/// C: `ovs_nla_put_mask()`.
pub(crate) fn ovs_nla_put_mask(key: &MatchKey, mask: &MatchKey, w: &mut impl AttrWriter) -> Result {
    ovs_nla_put_key(key.as_ref(), mask.as_ref(), OVS_FLOW_ATTR_MASK, true, w)
}
