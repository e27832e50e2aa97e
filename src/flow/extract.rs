// SPDX-License-Identifier: GPL-2.0

//! Key extraction: from a packet to its flow key.
//!
//! Unlike C, nothing is pulled off the packet while it is parsed: offsets from
//! its first byte are counted instead. What an ordinary packet needs is in the
//! linear part of the socket buffer and is read there with no call into C;
//! only where it is not, the headers are pulled into it.
//!
//! A packet that ends in the middle of a header gets the key that it has up to
//! there; an error means that there was no memory, no Ethernet header or a
//! malformed network service header, and the packet is to be dropped.

mod ipv6;
mod l3l4;
mod mpls;
mod nsh;

pub(crate) use self::ipv6::ipv6_find_hdr;

use kernel::prelude::*;
use kernel_ext::{
    net::{
        netdevice::{
            ARPHRD_ETHER,
            ARPHRD_NONE, //
        },
        skbuff::SkBuff,
        tc_skb_ext::{
            self,
            PostCt, //
        },
    },
    uapi::{
        OVS_CS_F_DST_NAT,
        OVS_CS_F_SRC_NAT, //
    },
};
use zerocopy::network_endian::U16 as Be16;

use crate::{
    actions::cb::OvsSkbCb,
    conntrack::ovs_ct_fill_key, //
};

use super::{
    headers::{
        eth_type_vlan,
        EthHdr,
        LlcSnapHdr,
        VlanTag,
        ETH_HLEN,
        ETH_P_802_2,
        ETH_P_802_3_MIN,
        ETH_P_TEB,
        VLAN_CFI_MASK,
        VLAN_HLEN, //
    },
    key::{
        SwFlowKey,
        VlanHead,
        MAC_PROTO_ETHERNET,
        MAC_PROTO_NONE,
        SW_FLOW_KEY_INVALID, //
    }, //
};

/// Where the Ethernet type is in an Ethernet header: behind two addresses.
const ETH_TYPE_OFFSET: usize = 12;

/// Makes sure that `len` bytes from the start of the packet are linear:
/// `EINVAL` where it is shorter, `ENOMEM` where there is no memory.
#[inline]
fn check_header(skb: &mut SkBuff, len: usize) -> Result {
    if skb.len() < len {
        return Err(EINVAL);
    }
    if !skb.may_pull(len) {
        return Err(ENOMEM);
    }
    Ok(())
}

/// What a read of a header is after the check for its length, which is that it
/// is there. The error cannot happen.
#[inline]
fn checked<T>(header: Option<T>) -> Result<T> {
    header.ok_or(EINVAL)
}

/// Whether a VLAN tag and an Ethernet type are at `offset`, which has a tag's
/// type. `None` where the packet ends before them.
#[inline]
fn parse_vlan_tag(skb: &mut SkBuff, offset: usize) -> Result<Option<VlanHead>> {
    let end = offset.wrapping_add(size_of::<VlanTag>());
    if skb.len() < end {
        return Ok(None);
    }
    if !skb.may_pull(end) {
        return Err(ENOMEM);
    }
    let tag = checked(skb.header::<VlanTag>(offset))?;
    Ok(Some(VlanHead {
        tpid: tag.tpid,
        tci: Be16::new(tag.tci.get() | VLAN_CFI_MASK),
    }))
}

/// Whether the Ethernet type at `offset` is that of a VLAN tag.
#[inline]
fn is_vlan_at(skb: &SkBuff, offset: usize) -> bool {
    skb.header::<Be16>(offset)
        .is_some_and(|ethertype| eth_type_vlan(ethertype.get()))
}

/// Parses up to two VLAN tags. The outer one is moved beside the packet if it
/// is in it. Returns where the Ethernet type is.
///
/// C: `parse_vlan()`, and `clear_vlan()` before.
#[inline]
fn parse_vlan(skb: &mut SkBuff, key: &mut SwFlowKey) -> Result<usize> {
    let offset = ETH_TYPE_OFFSET;

    if let Some((proto, tci)) = skb.vlan_tag() {
        key.vlan = VlanHead {
            tpid: proto,
            tci: Be16::new(tci | VLAN_CFI_MASK),
        };
    } else {
        if !is_vlan_at(skb, offset) {
            return Ok(offset);
        }
        let Some(head) = parse_vlan_tag(skb, offset)? else {
            return Ok(offset);
        };
        key.vlan = head;
        let tci = skb.vlan_pop_inside()?;
        skb.set_vlan_tag(head.tpid, tci);
    }

    if !is_vlan_at(skb, offset) {
        return Ok(offset);
    }
    let Some(head) = parse_vlan_tag(skb, offset)? else {
        return Ok(offset);
    };
    key.cvlan = head;
    Ok(offset.wrapping_add(VLAN_HLEN))
}

/// Parses the Ethernet type at `offset`, or what stands for it in an 802.3
/// frame. Returns it and where the payload is.
#[inline]
fn parse_ethertype(skb: &mut SkBuff, offset: usize) -> Result<(Be16, usize)> {
    let proto = *checked(skb.header::<Be16>(offset))?;
    let offset = offset.wrapping_add(size_of::<Be16>());

    if proto.get() >= ETH_P_802_3_MIN {
        return Ok((proto, offset));
    }

    let end = offset.wrapping_add(size_of::<LlcSnapHdr>());
    if skb.len() < end {
        return Ok((Be16::new(ETH_P_802_2), offset));
    }
    if !skb.may_pull(end) {
        return Err(ENOMEM);
    }

    const LLC_SAP_SNAP: u8 = 0xaa;
    let llc = checked(skb.header::<LlcSnapHdr>(offset))?;
    if llc.dsap != LLC_SAP_SNAP || llc.ssap != LLC_SAP_SNAP || llc.oui != [0; 3] {
        return Ok((Be16::new(ETH_P_802_2), offset));
    }
    if llc.ethertype.get() >= ETH_P_802_3_MIN {
        return Ok((llc.ethertype, end));
    }
    Ok((Be16::new(ETH_P_802_2), end))
}

/// Extracts the headers of a packet into `key`, whose header fields are zero.
///
/// `skb` begins with its Ethernet header, or with its network header where
/// `key.mac_proto` says that it has none. Its header fields are set:
///
/// - `mac_header`: the first byte.
/// - `network_header`: behind the Ethernet header and its VLAN tags.
/// - `transport_header`: for IPv4 and IPv6 behind the IP header if that is
///   complete, otherwise the same as `network_header`; else left as it is.
/// - `protocol`: what is at `network_header`, which is `key.eth_type`, unless
///   there are two tags: then it is the type of the inner one, which is what
///   `skb_vlan_pop()` needs.
/// - `mac_len`.
///
/// Fails with `EINVAL` or `ENOMEM`.
#[inline]
fn key_extract(skb: &mut SkBuff, key: &mut SwFlowKey) -> Result {
    skb.reset_mac_header();

    let offset;
    if key.mac_proto() == MAC_PROTO_NONE {
        let protocol = skb.protocol();
        if eth_type_vlan(protocol.get()) {
            return Err(EINVAL);
        }
        key.eth_type = protocol;
        offset = 0;
    } else {
        check_header(skb, ETH_HLEN)?;
        let eth = checked(skb.header::<EthHdr>(0))?;
        key.eth_src = eth.h_source;
        key.eth_dst = eth.h_dest;

        let ethertype_offset = parse_vlan(skb, key).map_err(|_| ENOMEM)?;
        (key.eth_type, offset) = parse_ethertype(skb, ethertype_offset)?;
        skb.set_protocol(if key.cvlan.tci.get() & VLAN_CFI_MASK != 0 {
            key.cvlan.tpid
        } else {
            key.eth_type
        });
    }
    skb.set_network_offset(offset);
    skb.reset_mac_len();

    l3l4::key_extract_l3l4(skb, key, offset)
}

/// The MAC layer protocol of a packet that a device received, by the device's
/// type.
#[inline]
fn key_extract_mac_proto(skb: &SkBuff) -> Result<u8> {
    match skb.dev_type() {
        Some(ARPHRD_ETHER) => Ok(MAC_PROTO_ETHERNET),
        Some(ARPHRD_NONE) if skb.protocol().get() == ETH_P_TEB => Ok(MAC_PROTO_ETHERNET),
        Some(ARPHRD_NONE) => Ok(MAC_PROTO_NONE),
        _ => Err(EINVAL),
    }
}

/// Extracts the key of a packet that came in on the port `in_port`.
///
/// All of `key` is written; it must be zero before. The control block is an
/// [`OvsSkbCb`], in which the MRU is set if traffic control knows it. See [`key_extract`] for
/// what is set in `skb` and for errors; `EINVAL` also for a device that is
/// neither Ethernet nor layer 3.
///
/// C: `ovs_flow_key_extract()`.
#[inline]
pub(crate) fn ovs_flow_key_extract(skb: &mut SkBuff, in_port: u16, key: &mut SwFlowKey) -> Result {
    key.priority = skb.priority();
    key.in_port = in_port;
    key.skb_mark = skb.mark();
    key.mac_proto = key_extract_mac_proto(skb)?;
    let mut post_ct = None;
    if let Some(tc_ext) = tc_skb_ext::find(skb) {
        key.recirc_id = tc_ext.chain;
        skb.cb_mut::<OvsSkbCb>().mru = tc_ext.mru;
        post_ct = tc_ext.post_ct;
    }
    key_extract(skb, key)?;
    if skb.has_nfct() || post_ct.is_some() {
        fill_ct(skb, key, post_ct);
    }
    Ok(())
}

/// Puts into the key what a packet brings of connection tracking. `post_ct` is
/// what traffic control did with it there.
#[inline(never)]
fn fill_ct(skb: &SkBuff, key: &mut SwFlowKey, post_ct: Option<PostCt>) {
    ovs_ct_fill_key(skb, key, post_ct.is_some());
    let Some(post_ct) = post_ct else {
        return;
    };
    if !skb.has_nfct() {
        key.ct_zone = post_ct.zone;
        return;
    }
    // CAST: All flags are in the lowest eight bits.
    if !post_ct.dnat {
        key.ct_state &= !(OVS_CS_F_DST_NAT as u8);
    }
    if !post_ct.snat {
        key.ct_state &= !(OVS_CS_F_SRC_NAT as u8);
    }
}

/// Extracts the key of a packet again, after actions have changed it in ways
/// that they did not keep up in the key. Metadata is kept.
///
/// The key is valid if this succeeds. See [`key_extract`] for errors.
///
/// C: `ovs_flow_key_update()`.
#[inline(never)]
pub(crate) fn ovs_flow_key_update(skb: &mut SkBuff, key: &mut SwFlowKey) -> Result {
    key.clear_headers();
    key_extract(skb, key)?;
    key.mac_proto &= !SW_FLOW_KEY_INVALID;
    Ok(())
}

/// Extracts the network and transport headers of a packet again, which begins
/// with its network header. All else is kept. Fails with `ENOMEM`.
///
/// C: `ovs_flow_key_update_l3l4()`.
#[cfg(CONFIG_NF_CONNTRACK_OVS)]
#[inline(never)]
pub(crate) fn ovs_flow_key_update_l3l4(skb: &mut SkBuff, key: &mut SwFlowKey) -> Result {
    let (eth_src, eth_dst, eth_type) = (key.eth_src, key.eth_dst, key.eth_type);
    let (vlan, cvlan) = (key.vlan, key.cvlan);
    key.clear_headers();
    (key.eth_src, key.eth_dst, key.eth_type) = (eth_src, eth_dst, eth_type);
    (key.vlan, key.cvlan) = (vlan, cvlan);
    l3l4::key_extract_l3l4(skb, key, 0)
}

/// Extracts the key of a packet that userspace sent to be executed, whose
/// metadata has been put into `key` from netlink attributes already.
///
/// See [`key_extract`] for errors.
///
/// C: the second half of `ovs_flow_key_extract_userspace()`.
pub(crate) fn key_extract_packet(skb: &mut SkBuff, key: &mut SwFlowKey) -> Result {
    // A layer 3 packet's protocol comes from its metadata. For a packet with
    // an Ethernet header it is zero there and set while that is parsed.
    skb.set_protocol(key.eth_type);
    key.eth_type = Be16::ZERO;
    key_extract(skb, key)
}
