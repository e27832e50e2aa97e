// SPDX-License-Identifier: GPL-2.0

//! Actions that send the packet somewhere.

use kernel::prelude::*;
use kernel_ext::{
    net::{
        dropreason::DropReason,
        skbuff::{
            FragmentOf,
            FragmentProtocol,
            SkBuff,
            MAX_L2_LEN, //
        },
    },
    ratelimit::net_ratelimit,
    sync::bh::BhRcu,
    uapi, //
};

use super::{
    cb::OvsSkbCb,
    execute::Execution,
    Action,
    UserspaceAction, //
};
use crate::{
    datapath::Datapath,
    drop::{
        OVS_DROP_FRAG_INVALID_PROTO,
        OVS_DROP_FRAG_L2_TOO_LONG, //
    },
    flow::{
        headers::{
            eth_p_mpls,
            ETH_HLEN,
            ETH_P_IP,
            ETH_P_IPV6, //
        },
        key::{
            SwFlowKey,
            MAC_PROTO_ETHERNET, //
        },
    },
    upcall::{
        ovs_dp_upcall,
        UpcallInfo, //
    },
    vport::Vport, //
};

/// The length of the MAC header by the key. C: `ovs_mac_header_len()`.
#[inline]
fn ovs_mac_header_len(key: &SwFlowKey) -> usize {
    if key.mac_proto() == MAC_PROTO_ETHERNET {
        ETH_HLEN
    } else {
        0
    }
}

/// Sends the packet to a port, cut to what the last truncation keeps of it.
#[inline(never)]
pub(super) fn do_output(exec: &Execution<'_>, mut skb: SkBuff, out_port: u32, key: &SwFlowKey) {
    let (ctx, dp) = (exec.ctx(), exec.dp());
    let vport = match dp.port(out_port, ctx.rcu()) {
        Some(vport) if vport.dev().is_running() && vport.dev().carrier_ok() => vport,
        _ => return skb.free(DropReason::DEV_READY),
    };

    let cb: &OvsSkbCb = skb.cb();
    let mru = usize::from(cb.mru);
    let cutlen = cb.cutlen as usize;

    if cutlen < skb.len() {
        // As in C, a packet that there is no memory to cut goes out whole.
        let _ = skb.trim(cutlen.max(ovs_mac_header_len(key)));
    }

    if mru == 0 || skb.len() <= mru.wrapping_add(vport.dev().hard_header_len().into()) {
        vport.send(ctx, skb, key.mac_proto());
    } else if mru <= vport.dev().mtu() as usize {
        fragment(ctx, dp, vport, skb, key);
    } else {
        skb.free(DropReason::PKT_TOO_BIG);
    }
}

/// Sends a packet that was reassembled from fragments as fragments that are no
/// larger than those.
///
/// C: `ovs_fragment()`, with `prepare_frag()` and `ovs_dst_get_mtu()`.
#[cold]
#[inline(never)]
fn fragment(ctx: BhRcu<'_>, dp: &Datapath, vport: &Vport, mut skb: SkBuff, key: &SwFlowKey) {
    // What is cut is behind the MPLS label stack, which goes before each fragment.
    let mut mpls_offset = None;
    if eth_p_mpls(skb.protocol().get()) {
        mpls_offset = usize::try_from(skb.network_offset()).ok();
        skb.reset_network_to_inner();
    }

    if skb.network_offset() > MAX_L2_LEN as isize {
        if net_ratelimit() {
            pr_info!("netlink: L2 header too long to fragment\n");
        }
        return skb.free(OVS_DROP_FRAG_L2_TOO_LONG);
    }

    let protocol = match key.eth_type.get() {
        ETH_P_IP => FragmentProtocol::Ipv4,
        ETH_P_IPV6 => FragmentProtocol::Ipv6,
        eth_type => {
            cannot_fragment(vport, eth_type, skb.cb::<OvsSkbCb>().mru);
            return skb.free(OVS_DROP_FRAG_INVALID_PROTO);
        }
    };

    let mru = skb.cb::<OvsSkbCb>().mru;
    let mac_proto = key.mac_proto();
    let Some(net) = dp.net().get(ctx.rcu()) else {
        return drop(skb);
    };
    skb.fragment(
        net,
        vport.dev(),
        FragmentOf {
            protocol,
            mpls_offset,
        },
        mru,
        ctx.rcu(),
        &mut |fragment| vport.send(ctx, fragment, mac_proto),
    );
}

/// Sends a copy of the packet to userspace, cut to what the last truncation
/// keeps of it. `actions` is the list that the action is in.
#[inline(never)]
pub(super) fn output_userspace(
    exec: &Execution<'_>,
    skb: &mut SkBuff,
    key: &SwFlowKey,
    action: &UserspaceAction,
    actions: &[Action],
) {
    let (ctx, dp) = (exec.ctx(), exec.dp());
    let cb = *skb.cb::<OvsSkbCb>();
    let portid = if cb.upcall_pid != 0 {
        cb.upcall_pid
    } else if dp.has_feature(uapi::OVS_DP_F_DISPATCH_UPCALL_PER_CPU) {
        dp.upcall_portid(ctx)
    } else {
        action.pid
    };
    let info = UpcallInfo {
        cmd: uapi::ovs_packet_cmd_OVS_PACKET_CMD_ACTION as u8,
        portid,
        userdata: action.userdata.as_deref(),
        actions: action.actions.then_some(actions),
        mru: cb.mru,
        egress_tun_info: action
            .egress_tun_port
            .is_some_and(|port| fill_egress_tun_info(ctx, dp, skb, port)),
    };
    // What cannot be sent is counted as lost; that is no error of the action.
    let _ = ovs_dp_upcall(
        ctx,
        dp,
        exec.in_port(),
        skb,
        exec.whole_key(key),
        &info,
        cb.cutlen,
    );
}

/// Whether the packet now has all that it would be sent with through the tunnel
/// of this port.
#[cold]
fn fill_egress_tun_info(ctx: BhRcu<'_>, dp: &Datapath, skb: &mut SkBuff, port_no: u32) -> bool {
    dp.port(port_no, ctx.rcu())
        .is_some_and(|vport| vport.dev().fill_metadata_dst(skb, ctx.rcu()).is_ok())
}

/// Says that a packet that is not IP would have to be fragmented. C warns of
/// this once, with a backtrace.
#[cold]
#[inline(never)]
fn cannot_fragment(vport: &Vport, eth_type: u16, mru: u16) {
    if net_ratelimit() {
        pr_warn!(
            "Failed fragment ->{}: eth={:04x}, MRU={}, MTU={}.\n",
            vport.name(),
            eth_type,
            mru,
            vport.dev().mtu()
        );
    }
}
