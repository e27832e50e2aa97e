// SPDX-License-Identifier: GPL-2.0

//! Sending packets to userspace.

use kernel::{
    alloc::flags::GFP_ATOMIC,
    prelude::*, //
};

use kernel_ext::{
    net::{
        genetlink::{
            genlmsg_unicast,
            GenlHdr, //
        },
        netlink::{
            attr::{
                nla_total_size,
                NLA_MAX_PAYLOAD, //
            },
            AttrWriter,
            NlMsg, //
        },
        skbuff::{
            IpSummed,
            SkBuff,
            SKB_GSO_UDP, //
        },
    },
    sync::bh::BhRcu,
    uapi, //
};

use crate::{
    actions::{
        cb::OvsSkbCb,
        Action, //
    },
    datapath::{
        packet_cmd::DP_PACKET_GENL_FAMILY,
        Datapath, //
    },
    flow::tunnel::KeyRef,
    flow_netlink::{
        ovs_key_attr_size,
        ovs_nla_put_actions,
        ovs_nla_put_key,
        ovs_nla_put_tunnel_info,
        ovs_tun_key_attr_size, //
    },
    trace,
    vport::Vport, //
};

/// What goes with a packet to userspace.
///
/// C: `struct dp_upcall_info`.
pub(crate) struct UpcallInfo<'a> {
    /// One of `OVS_PACKET_CMD_*`.
    pub(crate) cmd: u8,
    /// The netlink port to send to; with 0 the packet counts as lost.
    pub(crate) portid: u32,
    /// `OVS_PACKET_ATTR_USERDATA`.
    pub(crate) userdata: Option<&'a [u8]>,
    /// `OVS_PACKET_ATTR_ACTIONS`.
    pub(crate) actions: Option<&'a [Action]>,
    /// `OVS_PACKET_ATTR_MRU`, unless 0.
    pub(crate) mru: u16,
    /// The packet refers to what it would be sent with, which becomes
    /// `OVS_PACKET_ATTR_EGRESS_TUN_KEY`.
    pub(crate) egress_tun_info: bool,
}

/// `OVS_PACKET_ATTR_HASH`: the hash was computed in software.
///
/// C: `OVS_PACKET_HASH_SW_BIT`.
pub(crate) const HASH_SW: u64 = 1 << 32;
/// `OVS_PACKET_ATTR_HASH`: the hash is over the transport ports.
///
/// C: `OVS_PACKET_HASH_L4_BIT`.
pub(crate) const HASH_L4: u64 = 1 << 33;

/// Sends a packet to userspace, cut to `cutlen` bytes. The packet stays the
/// caller's.
///
/// C: `ovs_dp_upcall()`.
pub(crate) fn ovs_dp_upcall(
    ctx: BhRcu<'_>,
    dp: &Datapath,
    in_port: &Vport,
    skb: &mut SkBuff,
    key: KeyRef<'_>,
    info: &UpcallInfo<'_>,
    cutlen: u32,
) -> Result {
    if trace::dp_upcall_enabled() {
        trace::dp_upcall(ctx, dp, skb, key.key, info);
    }
    let result = if info.portid == 0 {
        Err(ENOTCONN)
    } else {
        let sent = if skb.is_gso() {
            queue_gso_packets(ctx, dp, skb, key, info, cutlen)
        } else {
            queue_userspace_packet(ctx, dp, skb, key, info, cutlen)
        };
        in_port.count_upcall(ctx, sent.is_ok());
        sent
    };
    if result.is_err() {
        dp.stats.this(ctx).n_lost.add(1);
    }
    result
}

/// Sends a large packet as the segments it stands for.
///
/// C: `queue_gso_packets()`.
#[cold]
fn queue_gso_packets(
    ctx: BhRcu<'_>,
    dp: &Datapath,
    skb: &mut SkBuff,
    key: KeyRef<'_>,
    info: &UpcallInfo<'_>,
    cutlen: u32,
) -> Result {
    let udp_fragments = skb.gso_type() & SKB_GSO_UDP != 0;
    // The key is that of the first fragment; the others are marked as such.
    let mut later_key = None;
    if udp_fragments {
        let mut later = *key.key;
        later.ip_frag = uapi::ovs_frag_type_OVS_FRAG_TYPE_LATER as u8;
        later_key = Some(later);
    }
    let mut first = true;
    for mut segment in skb.gso_segment()? {
        let key = match &later_key {
            Some(later) if !first => KeyRef { key: later, ..key },
            _ => key,
        };
        first = false;
        queue_userspace_packet(ctx, dp, &mut segment, key, info, cutlen)?;
        segment.consume();
    }
    Ok(())
}

/// How much room a message takes.
///
/// C: `upcall_msg_size()`.
fn upcall_msg_size(info: &UpcallInfo<'_>, hlen: usize, actions_len: usize) -> usize {
    let parts = [
        size_of::<uapi::ovs_header>(),
        nla_total_size(hlen),
        nla_total_size(ovs_key_attr_size()),
        nla_total_size(size_of::<u32>()),
        nla_total_size(size_of::<u64>()),
        info.userdata.map_or(0, |d| nla_total_size(d.len())),
        if info.egress_tun_info {
            nla_total_size(ovs_tun_key_attr_size())
        } else {
            0
        },
        info.actions.map_or(0, |_| nla_total_size(actions_len)),
        if info.mru != 0 {
            nla_total_size(size_of::<u16>())
        } else {
            0
        },
    ];
    parts.iter().fold(0usize, |sum, &n| sum.saturating_add(n))
}

/// Sends one packet.
///
/// C: `queue_userspace_packet()`.
fn queue_userspace_packet(
    ctx: BhRcu<'_>,
    dp: &Datapath,
    skb: &mut SkBuff,
    key: KeyRef<'_>,
    info: &UpcallInfo<'_>,
    cutlen: u32,
) -> Result {
    let ifindex = dp.ifindex(ctx.rcu());
    if ifindex == 0 {
        return Err(ENODEV);
    }
    if !skb.frags_readable() {
        return Err(EFAULT);
    }
    if !skb.vlan_tag_present() {
        return send_packet(ctx, dp, ifindex, skb, key, info, cutlen);
    }
    // Userspace sees the tag in the packet's data.
    let mut copy = skb
        .try_clone(GFP_ATOMIC)
        .and_then(SkBuff::vlan_push_inside)
        .ok_or(ENOMEM)?;
    let sent = send_packet(ctx, dp, ifindex, &mut copy, key, info, cutlen);
    copy.consume();
    sent
}

/// C: the end of `queue_userspace_packet()`, with `pad_packet()`.
fn send_packet(
    ctx: BhRcu<'_>,
    dp: &Datapath,
    ifindex: i32,
    skb: &mut SkBuff,
    key: KeyRef<'_>,
    info: &UpcallInfo<'_>,
    cutlen: u32,
) -> Result {
    let skb_len = skb.len().min(cutlen as usize);
    if skb_len > NLA_MAX_PAYLOAD {
        return Err(EFBIG);
    }
    if skb.ip_summed() == IpSummed::Partial {
        skb.checksum_help()?;
    }

    // Old userspace wants the last attribute padded, so everything is copied
    // then; otherwise page fragments go along as they are.
    let unaligned = dp.has_feature(uapi::OVS_DP_F_UNALIGNED);
    let hlen = if unaligned {
        skb.zerocopy_headlen().min(cutlen as usize)
    } else {
        skb_len
    };
    let actions_len = usize::from(skb.cb::<OvsSkbCb>().acts_origlen);
    let mut msg = NlMsg::new(upcall_msg_size(info, hlen, actions_len), GFP_ATOMIC)?;
    // `set_nlmsg_len()` ends the message, when the packet is in it.
    let _mark = msg.genlmsg_put(
        &DP_PACKET_GENL_FAMILY,
        GenlHdr {
            portid: 0,
            seq: 0,
            flags: 0,
            cmd: info.cmd,
        },
        &ifindex.to_ne_bytes(),
    )?;

    ovs_nla_put_key(
        key,
        key,
        attr(uapi::ovs_packet_attr_OVS_PACKET_ATTR_KEY),
        false,
        &mut *msg,
    )?;
    if let Some(userdata) = info.userdata {
        msg.put(
            attr(uapi::ovs_packet_attr_OVS_PACKET_ATTR_USERDATA),
            userdata,
        )?;
    }
    if info.egress_tun_info {
        put_egress_tun_info(ctx, skb, &mut *msg)?;
    }
    if let Some(actions) = info.actions {
        let nest = msg.nest_start(attr(uapi::ovs_packet_attr_OVS_PACKET_ATTR_ACTIONS))?;
        match ovs_nla_put_actions(actions, &mut *msg) {
            Ok(()) => msg.nest_end(nest)?,
            Err(_) => msg.nest_cancel(nest),
        }
    }
    if info.mru != 0 {
        msg.put_u16(attr(uapi::ovs_packet_attr_OVS_PACKET_ATTR_MRU), info.mru)
            .map_err(|_| ENOBUFS)?;
    }
    if skb_len < skb.len() {
        msg.put_u32(
            attr(uapi::ovs_packet_attr_OVS_PACKET_ATTR_LEN),
            skb.len() as u32,
        )
        .map_err(|_| ENOBUFS)?;
    }
    let mut hash = u64::from(skb.hash_raw());
    if skb.sw_hash() {
        hash |= HASH_SW;
    }
    if skb.l4_hash() {
        hash |= HASH_L4;
    }
    msg.put(
        attr(uapi::ovs_packet_attr_OVS_PACKET_ATTR_HASH),
        &hash.to_ne_bytes(),
    )
    .map_err(|_| ENOBUFS)?;

    msg.put_header(attr(uapi::ovs_packet_attr_OVS_PACKET_ATTR_PACKET), skb_len)
        .map_err(|_| ENOBUFS)?;
    // A layer 3 packet may be empty; C's skb_zerocopy() is a BUG() then.
    if skb_len != 0 {
        msg.append_skb(skb, skb_len, hlen)?;
    }
    if !unaligned {
        msg.pad()?;
    }
    msg.set_nlmsg_len();
    let net = dp.net().get(ctx.rcu()).ok_or(ENODEV)?;
    genlmsg_unicast(net, msg, info.portid)
}

/// Puts what the packet would be sent with through a tunnel.
#[cold]
fn put_egress_tun_info(ctx: BhRcu<'_>, skb: &SkBuff, w: &mut impl AttrWriter) -> Result {
    let info = skb.tunnel_info(ctx.rcu()).ok_or(EINVAL)?;
    let nest = w.nest_start(attr(uapi::ovs_packet_attr_OVS_PACKET_ATTR_EGRESS_TUN_KEY))?;
    ovs_nla_put_tunnel_info(w, info)?;
    w.nest_end(nest)
}

/// An attribute type as it is written.
const fn attr(ty: uapi::ovs_packet_attr) -> u16 {
    ty as u16
}
