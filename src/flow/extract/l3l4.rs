// SPDX-License-Identifier: GPL-2.0

//! Network and transport headers.

use kernel::prelude::*;
use kernel_ext::{
    net::{
        netdevice::ARPHRD_ETHER,
        skbuff::{
            SkBuff,
            SKB_GSO_UDP, //
        },
    },
    uapi::{
        ovs_frag_type_OVS_FRAG_TYPE_FIRST as OVS_FRAG_TYPE_FIRST,
        ovs_frag_type_OVS_FRAG_TYPE_LATER as OVS_FRAG_TYPE_LATER, //
    }, //
};
use zerocopy::network_endian::U16 as Be16;

use super::{
    check_header,
    ipv6::{
        parse_ipv6hdr,
        Parsed, //
    },
    mpls::extract_mpls,
    nsh::parse_nsh, //
};
use crate::flow::{
    headers::{
        eth_p_mpls,
        ArpEthHeader,
        IcmpHdr,
        IpHdr,
        NdMsg,
        SctpHdr,
        TcpHdr,
        UdpHdr,
        ETH_P_ARP,
        ETH_P_IP,
        ETH_P_IPV6,
        ETH_P_NSH,
        ETH_P_RARP,
        IPPROTO_ICMP,
        IPPROTO_SCTP,
        IPPROTO_TCP,
        IPPROTO_UDP,
        NEXTHDR_ICMP, //
    },
    key::SwFlowKey, //
};

/// Extracts the network and transport headers of a packet whose network header
/// is at `nh_ofs` and of the type `key.eth_type`. Their fields of `key` are
/// zero and stay so where the packet ends before the header.
///
/// Fails with `ENOMEM`, and with `EINVAL` for a malformed network service header.
#[inline]
pub(super) fn key_extract_l3l4(skb: &mut SkBuff, key: &mut SwFlowKey, nh_ofs: usize) -> Result {
    match key.eth_type.get() {
        ETH_P_IP => extract_ipv4(skb, key, nh_ofs),
        ETH_P_IPV6 => extract_ipv6(skb, key, nh_ofs),
        ETH_P_ARP | ETH_P_RARP => {
            extract_arp(skb, key, nh_ofs);
            Ok(())
        }
        ETH_P_NSH => parse_nsh(skb, key, nh_ofs),
        eth_type if eth_p_mpls(eth_type) => {
            extract_mpls(skb, key, nh_ofs);
            Ok(())
        }
        _ => Ok(()),
    }
}

/// C: also `check_iphdr()`.
#[inline]
fn extract_ipv4(skb: &mut SkBuff, key: &mut SwFlowKey, nh_ofs: usize) -> Result {
    let malformed = |skb: &mut SkBuff| {
        skb.reset_transport_to_network();
        Ok(())
    };

    match check_header(skb, nh_ofs.wrapping_add(size_of::<IpHdr>())) {
        Ok(()) => {}
        Err(e) if e == EINVAL => return malformed(skb),
        Err(e) => return Err(e),
    }
    let Some(nh) = skb.header::<IpHdr>(nh_ofs) else {
        return malformed(skb);
    };
    let ip_len = nh.hdrlen();
    let th_ofs = nh_ofs.wrapping_add(ip_len);
    if ip_len < size_of::<IpHdr>() || skb.len() < th_ofs {
        return malformed(skb);
    }

    key.ipv4_src = nh.saddr;
    key.ipv4_dst = nh.daddr;
    key.ip_proto = nh.protocol;
    key.ip_tos = nh.tos;
    key.ip_ttl = nh.ttl;
    let frag_off = nh.frag_off.get();
    skb.set_transport_offset(th_ofs);

    // CAST: The types are all below 3.
    if frag_off & IpHdr::OFFSET != 0 {
        key.ip_frag = OVS_FRAG_TYPE_LATER as u8;
        return Ok(());
    }
    if frag_off & IpHdr::MF != 0 || skb.gso_type() & SKB_GSO_UDP != 0 {
        key.ip_frag = OVS_FRAG_TYPE_FIRST as u8;
    }

    match key.ip_proto {
        IPPROTO_ICMP => {
            extract_icmp(skb, key, th_ofs);
        }
        _ => extract_ports(skb, key, th_ofs),
    }
    Ok(())
}

#[inline]
fn extract_ipv6(skb: &mut SkBuff, key: &mut SwFlowKey, nh_ofs: usize) -> Result {
    let th_ofs = match parse_ipv6hdr(skb, key, nh_ofs)? {
        Parsed::Transport(th_ofs) => th_ofs,
        Parsed::LaterFragment => return Ok(()),
        Parsed::Malformed => {
            skb.reset_transport_to_network();
            return Ok(());
        }
    };
    if skb.gso_type() & SKB_GSO_UDP != 0 {
        // CAST: The types are all below 3.
        key.ip_frag = OVS_FRAG_TYPE_FIRST as u8;
    }

    match key.ip_proto {
        NEXTHDR_ICMP => extract_icmpv6(skb, key, th_ofs),
        _ => {
            extract_ports(skb, key, th_ofs);
            Ok(())
        }
    }
}

/// Ports, and flags of TCP.
///
/// C: also `tcphdr_ok()`, `udphdr_ok()` and `sctphdr_ok()`.
#[inline]
fn extract_ports(skb: &mut SkBuff, key: &mut SwFlowKey, th_ofs: usize) {
    match key.ip_proto {
        IPPROTO_TCP => {
            if !skb.may_pull(th_ofs.wrapping_add(size_of::<TcpHdr>())) {
                return;
            }
            if let Some(tcp) = skb.header::<TcpHdr>(th_ofs) {
                let tcp_len = tcp.hdrlen();
                if tcp_len < size_of::<TcpHdr>() || skb.len() < th_ofs.wrapping_add(tcp_len) {
                    return;
                }
                key.tp_src = tcp.source;
                key.tp_dst = tcp.dest;
                key.tcp_flags = Be16::new(tcp.doff_flags.get() & TcpHdr::FLAGS);
            }
        }
        IPPROTO_UDP => {
            if !skb.may_pull(th_ofs.wrapping_add(size_of::<UdpHdr>())) {
                return;
            }
            if let Some(udp) = skb.header::<UdpHdr>(th_ofs) {
                key.tp_src = udp.source;
                key.tp_dst = udp.dest;
            }
        }
        IPPROTO_SCTP => {
            if !skb.may_pull(th_ofs.wrapping_add(size_of::<SctpHdr>())) {
                return;
            }
            if let Some(sctp) = skb.header::<SctpHdr>(th_ofs) {
                key.tp_src = sctp.source;
                key.tp_dst = sctp.dest;
            }
        }
        _ => {}
    }
}

/// Type and code of ICMP and ICMPv6, where ports are in other protocols.
///
/// C: also `icmphdr_ok()` and `icmp6hdr_ok()`.
#[inline]
fn extract_icmp(skb: &mut SkBuff, key: &mut SwFlowKey, th_ofs: usize) {
    if !skb.may_pull(th_ofs.wrapping_add(size_of::<IcmpHdr>())) {
        return;
    }
    if let Some(icmp) = skb.header::<IcmpHdr>(th_ofs) {
        key.tp_src = u16::from(icmp.icmp_type).into();
        key.tp_dst = u16::from(icmp.code).into();
    }
}

/// C: `parse_icmpv6()`.
fn extract_icmpv6(skb: &mut SkBuff, key: &mut SwFlowKey, th_ofs: usize) -> Result {
    extract_icmp(skb, key, th_ofs);
    if !key.is_nd() {
        return Ok(());
    }

    // The options can be anywhere up to the end of the packet.
    if skb.len().wrapping_sub(th_ofs) < size_of::<NdMsg>() {
        return Ok(());
    }
    skb.linearize()?;

    let Some(nd) = skb.header::<NdMsg>(th_ofs) else {
        return Ok(());
    };
    key.nd_target = nd.target;

    let options = th_ofs.wrapping_add(size_of::<NdMsg>());
    let options = skb.data().get(options..).unwrap_or_default();
    if !parse_nd_options(options, key) {
        key.nd_target = [0; 16];
        key.nd_sll = [0; 6];
        key.nd_tll = [0; 6];
    }
    Ok(())
}

/// Parses the options of a neighbour discovery message up to one that does not
/// fit. False where a link layer address is there twice.
fn parse_nd_options(options: &[u8], key: &mut SwFlowKey) -> bool {
    const ND_OPT_SOURCE_LL_ADDR: u8 = 1;
    const ND_OPT_TARGET_LL_ADDR: u8 = 2;

    let mut options = options;
    // Each option is its type, its length in units of 8 bytes, and its data.
    while let Some((&[nd_opt_type, nd_opt_len, ref ll_addr @ ..], _)) =
        options.split_first_chunk::<8>()
    {
        let opt_len = usize::from(nd_opt_len) << 3;
        if opt_len == 0 {
            break;
        }
        let Some(rest) = options.get(opt_len..) else {
            break;
        };

        if opt_len == 8 {
            let to = match nd_opt_type {
                ND_OPT_SOURCE_LL_ADDR => Some(&mut key.nd_sll),
                ND_OPT_TARGET_LL_ADDR => Some(&mut key.nd_tll),
                _ => None,
            };
            if let Some(to) = to {
                if *to != [0; 6] {
                    return false;
                }
                *to = *ll_addr;
            }
        }
        options = rest;
    }
    true
}

/// C: also `arphdr_ok()`.
#[inline]
fn extract_arp(skb: &mut SkBuff, key: &mut SwFlowKey, nh_ofs: usize) {
    if !skb.may_pull(nh_ofs.wrapping_add(size_of::<ArpEthHeader>())) {
        return;
    }
    let Some(arp) = skb.header::<ArpEthHeader>(nh_ofs) else {
        return;
    };
    if arp.ar_hrd.get() != ARPHRD_ETHER
        || arp.ar_pro.get() != ETH_P_IP
        || arp.ar_hln != 6
        || arp.ar_pln != 4
    {
        return;
    }

    // Only the low 8 bits of the opcode can be matched.
    key.ip_proto = u8::try_from(arp.ar_op.get()).unwrap_or(0);
    key.ipv4_src = arp.ar_sip;
    key.ipv4_dst = arp.ar_tip;
    key.arp_sha = arp.ar_sha;
    key.arp_tha = arp.ar_tha;
}
