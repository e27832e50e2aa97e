// SPDX-License-Identifier: GPL-2.0

//! Flow keys and masks from netlink attributes.

use super::{
    key_attrs::{
        bit,
        KeyAttrs,
        Part, //
    },
    nlerr,
    nsh::nsh_key_put_from_nlattr,
    tunnel::ip_tun_from_nlattr,
    uapi::*, //
};
use crate::{
    conntrack::ovs_ct_verify,
    flow::{
        key::{
            num_labels_mask,
            SwFlowKey,
            MAC_PROTO_ETHERNET,
            MAC_PROTO_NONE, //
        },
        tunnel::MatchKey, //
    }, //
};
use kernel::prelude::*;
use kernel_ext::net::{
    namespace::Net,
    netlink::Nlattr, //
};
use zerocopy::{
    network_endian::{
        U16 as Be16,
        U32 as Be32, //
    },
    FromBytes, //
};

/// Takes the Ethernet type, of which a mask is always exact.
///
/// C: `parse_eth_type_from_nlattrs()`.
fn parse_eth_type_from_nlattrs(
    target: &mut SwFlowKey,
    a: &mut KeyAttrs<'_>,
    part: Part,
    log: bool,
) -> Result {
    let mut eth_type = a.last_be16(OVS_KEY_ATTR_ETHERTYPE).unwrap_or(0);
    if part == Part::Mask {
        eth_type = 0xffff;
    } else if eth_type < ETH_P_802_3_MIN {
        nlerr!(
            log,
            "EtherType {:x} is less than min {:x}",
            eth_type,
            ETH_P_802_3_MIN
        );
        return Err(EINVAL);
    }

    target.eth_type = eth_type.into();
    a.remove(OVS_KEY_ATTR_ETHERTYPE);
    Ok(())
}

/// Takes what is not in a packet but is known about it. `in_port` and
/// `mac_proto` of a mask are always exact.
///
/// C: `metadata_from_nlattrs()`.
fn metadata_from_nlattrs(
    net: &Net,
    target: &mut MatchKey,
    mask_of: Option<&MatchKey>,
    a: &mut KeyAttrs<'_>,
    log: bool,
) -> Result {
    let part = match mask_of {
        None => Part::Key,
        Some(_) => Part::Mask,
    };

    if let Some(hash) = a.take_u32(OVS_KEY_ATTR_DP_HASH) {
        target.dp_hash = hash;
    }

    if let Some(recirc_id) = a.take_u32(OVS_KEY_ATTR_RECIRC_ID) {
        target.recirc_id = recirc_id;
    }

    if let Some(priority) = a.take_u32(OVS_KEY_ATTR_PRIORITY) {
        target.priority = priority;
    }

    match (a.take_u32(OVS_KEY_ATTR_IN_PORT), part) {
        (Some(_), Part::Mask) => target.in_port = u16::MAX,
        (Some(in_port), Part::Key) => match u16::try_from(in_port) {
            Ok(port) if port < DP_MAX_PORTS => target.in_port = port,
            _ => {
                // C prints the number as signed.
                nlerr!(
                    log,
                    "Port {} exceeds max allowable {}",
                    in_port as i32,
                    DP_MAX_PORTS
                );
                return Err(EINVAL);
            }
        },
        (None, Part::Key) => target.in_port = DP_MAX_PORTS,
        (None, Part::Mask) => (),
    }

    if let Some(mark) = a.take_u32(OVS_KEY_ATTR_SKB_MARK) {
        target.skb_mark = mark;
    }

    if let Some(tunnel) = a.take(OVS_KEY_ATTR_TUNNEL) {
        let mask_of = mask_of.map(|key| &key.tun);
        let parsed = ip_tun_from_nlattr(tunnel, &mut target.tun, mask_of, log)?;
        target.tun_proto = match part {
            Part::Key => parsed.tun_proto,
            Part::Mask => 0xff,
        };
    }

    ct_from_nlattrs(net, target, a, log)?;

    // For layer 3 packets the Ethernet type is provided and treated as metadata
    // but no MAC addresses are provided.
    let mac_proto = if !a.has(OVS_KEY_ATTR_ETHERNET) && a.has(OVS_KEY_ATTR_ETHERTYPE) {
        MAC_PROTO_NONE
    } else {
        MAC_PROTO_ETHERNET
    };
    target.mac_proto = match part {
        Part::Key => mac_proto,
        Part::Mask => 0xff,
    };
    if mac_proto == MAC_PROTO_NONE {
        parse_eth_type_from_nlattrs(target, a, part, log)?;
    }
    Ok(())
}

/// Takes what connection tracking knows of the packet. What this kernel does not
/// track is left.
///
/// C: a part of `metadata_from_nlattrs()`.
fn ct_from_nlattrs(net: &Net, target: &mut SwFlowKey, a: &mut KeyAttrs<'_>, log: bool) -> Result {
    if ovs_ct_verify(net, OVS_KEY_ATTR_CT_STATE) {
        if let Some(ct_state) = a.take_u32(OVS_KEY_ATTR_CT_STATE) {
            if ct_state & !CT_SUPPORTED_MASK != 0 {
                nlerr!(log, "ct_state flags {:08x} unsupported", ct_state);
                return Err(EINVAL);
            }
            // CAST: All flags are in the low 8 bits.
            target.ct_state = ct_state as u8;
        }
    }
    if ovs_ct_verify(net, OVS_KEY_ATTR_CT_ZONE) {
        if let Some(zone) = a.take(OVS_KEY_ATTR_CT_ZONE) {
            target.ct_zone = zone.get_u16().unwrap_or(0);
        }
    }
    if ovs_ct_verify(net, OVS_KEY_ATTR_CT_MARK) {
        if let Some(mark) = a.take_u32(OVS_KEY_ATTR_CT_MARK) {
            target.ct_mark = mark;
        }
    }
    if ovs_ct_verify(net, OVS_KEY_ATTR_CT_LABELS) {
        if let Some(labels) = a.take_as::<[u8; 16]>(OVS_KEY_ATTR_CT_LABELS) {
            target.ct_labels = *labels;
        }
    }

    if let Some(orig) = a.take_as::<OvsKeyCtTupleIpv4>(OVS_KEY_ATTR_CT_ORIG_TUPLE_IPV4) {
        for (to, from) in [
            (&mut target.ct_orig_src, &orig.ipv4_src),
            (&mut target.ct_orig_dst, &orig.ipv4_dst),
        ] {
            if let Some(to) = to.first_chunk_mut() {
                *to = *from;
            }
        }
        target.ct_orig_tp_src = orig.src_port;
        target.ct_orig_tp_dst = orig.dst_port;
        target.ct_orig_proto = orig.ipv4_proto;
    }
    if let Some(orig) = a.take_as::<OvsKeyCtTupleIpv6>(OVS_KEY_ATTR_CT_ORIG_TUPLE_IPV6) {
        target.ct_orig_src = orig.ipv6_src;
        target.ct_orig_dst = orig.ipv6_dst;
        target.ct_orig_tp_src = orig.src_port;
        target.ct_orig_tp_dst = orig.dst_port;
        target.ct_orig_proto = orig.ipv6_proto;
    }
    Ok(())
}

/// Takes the network layer's attributes.
///
/// C: a part of `ovs_key_from_nlattrs()`.
fn network_from_nlattrs(
    target: &mut SwFlowKey,
    a: &mut KeyAttrs<'_>,
    part: Part,
    log: bool,
) -> Result {
    if let Some(ipv4) = a.take_as::<OvsKeyIpv4>(OVS_KEY_ATTR_IPV4) {
        if part == Part::Key && ipv4.ipv4_frag > OVS_FRAG_TYPE_MAX {
            nlerr!(
                log,
                "IPv4 frag type {} is out of range max {}",
                ipv4.ipv4_frag,
                OVS_FRAG_TYPE_MAX
            );
            return Err(EINVAL);
        }
        target.ip_proto = ipv4.ipv4_proto;
        target.ip_tos = ipv4.ipv4_tos;
        target.ip_ttl = ipv4.ipv4_ttl;
        target.ip_frag = ipv4.ipv4_frag;
        target.ipv4_src = ipv4.ipv4_src;
        target.ipv4_dst = ipv4.ipv4_dst;
    }

    if let Some(ipv6) = a.take_as::<OvsKeyIpv6>(OVS_KEY_ATTR_IPV6) {
        if part == Part::Key && ipv6.ipv6_frag > OVS_FRAG_TYPE_MAX {
            nlerr!(
                log,
                "IPv6 frag type {} is out of range max {}",
                ipv6.ipv6_frag,
                OVS_FRAG_TYPE_MAX
            );
            return Err(EINVAL);
        }
        if part == Part::Key && ipv6.ipv6_label.get() & IPV6_LABEL_INVALID != 0 {
            nlerr!(
                log,
                "IPv6 flow label {:x} is out of range (max={:x})",
                ipv6.ipv6_label.get(),
                !IPV6_LABEL_INVALID
            );
            return Err(EINVAL);
        }
        target.ipv6_label = ipv6.ipv6_label;
        target.ip_proto = ipv6.ipv6_proto;
        target.ip_tos = ipv6.ipv6_tclass;
        target.ip_ttl = ipv6.ipv6_hlimit;
        target.ip_frag = ipv6.ipv6_frag;
        target.ipv6_src = ipv6.ipv6_src;
        target.ipv6_dst = ipv6.ipv6_dst;
    }

    if let Some(exthdrs) = a.take(OVS_KEY_ATTR_IPV6_EXTHDRS) {
        target.ip_exthdrs = exthdrs.get_u16().unwrap_or(0);
    }

    if let Some(arp) = a.take_as::<OvsKeyArp>(OVS_KEY_ATTR_ARP) {
        let [op_high, op_low] = arp.arp_op.to_bytes();
        if part == Part::Key && op_high != 0 {
            // C prints the number without changing its byte order.
            nlerr!(
                log,
                "Unknown ARP opcode (opcode={}).",
                u16::from_ne_bytes([op_high, op_low])
            );
            return Err(EINVAL);
        }
        target.ipv4_src = arp.arp_sip;
        target.ipv4_dst = arp.arp_tip;
        target.ip_proto = op_low;
        target.arp_sha = arp.arp_sha;
        target.arp_tha = arp.arp_tha;
    }
    Ok(())
}

/// Takes the MPLS label stack, of which a key or a mask may have the first few
/// entries. How many is matched on: a packet has to have as many, or more.
///
/// C: a part of `ovs_key_from_nlattrs()`.
fn mpls_from_nlattrs(target: &mut SwFlowKey, a: &mut KeyAttrs<'_>) -> Result {
    let Some(mpls) = a.take(OVS_KEY_ATTR_MPLS) else {
        return Ok(());
    };
    let lses = <[Be32]>::ref_from_bytes(mpls.payload()).map_err(|_| EINVAL)?;
    if lses.is_empty() {
        return Err(EINVAL);
    }
    let to = target.mpls_lse.get_mut(..lses.len()).ok_or(EINVAL)?;
    to.copy_from_slice(lses);
    target.mpls_num_labels_mask = num_labels_mask(lses.len());
    Ok(())
}

/// Takes the transport layer's attributes.
///
/// C: a part of `ovs_key_from_nlattrs()`.
fn transport_from_nlattrs(target: &mut SwFlowKey, a: &mut KeyAttrs<'_>) {
    if let Some(tcp) = a.take_as::<OvsKeyPorts>(OVS_KEY_ATTR_TCP) {
        target.tp_src = tcp.src;
        target.tp_dst = tcp.dst;
    }

    if let Some(flags) = a.take(OVS_KEY_ATTR_TCP_FLAGS) {
        target.tcp_flags = Be16::new(flags.get_be16().unwrap_or(0));
    }

    for ty in [OVS_KEY_ATTR_UDP, OVS_KEY_ATTR_SCTP] {
        if let Some(ports) = a.take_as::<OvsKeyPorts>(ty) {
            target.tp_src = ports.src;
            target.tp_dst = ports.dst;
        }
    }

    for ty in [OVS_KEY_ATTR_ICMP, OVS_KEY_ATTR_ICMPV6] {
        if let Some(icmp) = a.take_as::<OvsKeyIcmp>(ty) {
            target.tp_src = u16::from(icmp.icmp_type).into();
            target.tp_dst = u16::from(icmp.icmp_code).into();
        }
    }

    if let Some(nd) = a.take_as::<OvsKeyNd>(OVS_KEY_ATTR_ND) {
        target.nd_target = nd.nd_target;
        target.nd_sll = nd.nd_sll;
        target.nd_tll = nd.nd_tll;
    }
}

/// Fills `target` from attributes whose VLAN tags have been taken. `target` is
/// a key, or the mask of the key that `mask_of` is. Leaves no attribute present.
///
/// C: `ovs_key_from_nlattrs()`.
pub(super) fn ovs_key_from_nlattrs(
    net: &Net,
    target: &mut MatchKey,
    mask_of: Option<&MatchKey>,
    a: &mut KeyAttrs<'_>,
    log: bool,
) -> Result {
    let part = match mask_of {
        None => Part::Key,
        Some(_) => Part::Mask,
    };

    metadata_from_nlattrs(net, target, mask_of, a, log)?;

    if let Some(eth) = a.take_as::<OvsKeyEthernet>(OVS_KEY_ATTR_ETHERNET) {
        target.eth_src = eth.eth_src;
        target.eth_dst = eth.eth_dst;

        if a.has(OVS_KEY_ATTR_VLAN) {
            // VLAN attribute is always parsed before getting here since it may
            // occur multiple times.
            nlerr!(log, "VLAN attribute unexpected.");
            return Err(EINVAL);
        }

        if a.has(OVS_KEY_ATTR_ETHERTYPE) {
            parse_eth_type_from_nlattrs(target, a, part, log)?;
        } else if part == Part::Key {
            target.eth_type = Be16::new(ETH_P_802_2);
        }
    } else if mask_of.unwrap_or(target).eth_type.get() == 0 {
        nlerr!(log, "Either Ethernet header or EtherType is required.");
        return Err(EINVAL);
    }

    network_from_nlattrs(target, a, part, log)?;
    if let Some(nsh) = a.take(OVS_KEY_ATTR_NSH) {
        nsh_key_put_from_nlattr(nsh, &mut target.nsh, part, log)?;
    }
    mpls_from_nlattrs(target, a)?;
    transport_from_nlattrs(target, a);

    if a.present() != 0 {
        nlerr!(log, "Unknown key attributes {:x}", a.present());
        return Err(EINVAL);
    }
    Ok(())
}

/// The attributes of a connection's original direction that a key had.
#[derive(Clone, Copy)]
pub(crate) struct CtOrigTuples(u64);

impl CtOrigTuples {
    /// Whether they make sense for this packet.
    ///
    /// C: the end of `ovs_flow_key_extract_userspace()`.
    pub(crate) fn are_valid_for(self, key: &SwFlowKey) -> bool {
        let ipv4 = self.0 & bit(OVS_KEY_ATTR_CT_ORIG_TUPLE_IPV4) != 0;
        let ipv6 = self.0 & bit(OVS_KEY_ATTR_CT_ORIG_TUPLE_IPV6) != 0;

        (!ipv4 || key.eth_type.get() == ETH_P_IP)
            && (!ipv6 || (key.eth_type.get() == ETH_P_IPV6 && !key.is_nd()))
    }
}

/// Takes from the attributes of a key only what is not in the packet, for a
/// packet whose other fields are then extracted from it. For a layer 3 packet
/// that includes `eth_type`. Gives what has to be checked after that.
///
/// C: `parse_flow_nlattrs()` and `ovs_nla_get_flow_metadata()`.
///
/// Fails with `EINVAL` if the attributes are wrong.
pub(crate) fn ovs_nla_get_flow_metadata(
    net: &Net,
    attr: Nlattr<'_>,
    key: &mut MatchKey,
    log: bool,
) -> Result<CtOrigTuples> {
    let mut a = KeyAttrs::new();
    a.parse(attr.nested(), Part::Key, log)?;
    let tuples = CtOrigTuples(a.present());
    key.in_port = DP_MAX_PORTS;
    metadata_from_nlattrs(net, key, None, &mut a, log)?;
    Ok(tuples)
}
