// SPDX-License-Identifier: GPL-2.0

//! Actions that send the packet somewhere.

use kernel_ext::{
    net::{
        dropreason::DropReason,
        skbuff::SkBuff, //
    },
    sync::bh::BhRcu,
    uapi, //
};

use super::{
    cb::OvsSkbCb,
    Action,
    UserspaceAction, //
};
use crate::{
    datapath::{
        upcall::{
            ovs_dp_upcall,
            UpcallInfo, //
        },
        Datapath, //
    },
    flow::{
        headers::ETH_HLEN,
        key::{
            SwFlowKey,
            MAC_PROTO_ETHERNET, //
        },
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
#[inline]
pub(super) fn do_output(
    ctx: BhRcu<'_>,
    dp: &Datapath,
    mut skb: SkBuff,
    out_port: u32,
    key: &SwFlowKey,
) {
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
    } else {
        skb.free(DropReason::PKT_TOO_BIG);
    }
}

/// Sends a copy of the packet to userspace, cut to what the last truncation
/// keeps of it. `actions` is the list that the action is in.
#[inline(never)]
pub(super) fn output_userspace(
    ctx: BhRcu<'_>,
    dp: &Datapath,
    in_port: &Vport,
    skb: &mut SkBuff,
    key: &SwFlowKey,
    action: &UserspaceAction,
    actions: &[Action],
) {
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
    };
    // What cannot be sent is counted as lost; that is no error of the action.
    let _ = ovs_dp_upcall(ctx, dp, in_port, skb, key, &info, cb.cutlen);
}
