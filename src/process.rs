// SPDX-License-Identifier: GPL-2.0

//! What becomes of a packet whose key is known: it is looked up, and either its
//! flow's actions run or userspace is told.

use kernel::prelude::*;

use kernel_ext::{
    net::{
        netdevice::DeviceName,
        skbuff::SkBuff, //
    },
    ratelimit::net_dbg_ratelimited,
    sync::bh::BhRcu,
    uapi, //
};

use crate::{
    actions::{
        cb::OvsSkbCb,
        execute::{
            ovs_execute_actions,
            Execution, //
        },
    },
    datapath::Datapath,
    flow::{
        headers::VLAN_HLEN,
        key::SwFlowKey, //
    },
    upcall::{
        ovs_dp_upcall,
        UpcallInfo, //
    },
};

/// Looks a packet up and does what its flow says, or tells userspace.
///
/// C: `ovs_dp_process_packet()`.
#[inline]
pub(crate) fn ovs_dp_process_packet(exec: &Execution<'_>, mut skb: SkBuff, key: &mut SwFlowKey) {
    let (ctx, dp) = (exec.ctx(), exec.dp());
    let stats = dp.stats.this(ctx);
    let found = dp.table.lookup(ctx, exec.whole_key(key));
    let counter = match found.flow {
        Some(flow) => {
            let tag = if skb.vlan_tag_present() { VLAN_HLEN } else { 0 };
            let len = skb.len().wrapping_add(tag);
            let tcp_flags = u16::from_ne_bytes(key.tcp_flags.to_bytes());
            flow.stats().update(ctx, len as u64, tcp_flags);
            let actions = flow.actions(ctx.rcu());
            if actions.needs_hash {
                skb.hash();
            }
            if let Err(e) = ovs_execute_actions(exec, skb, actions, key) {
                execution_error(dp, ctx, e);
            }
            &stats.n_hit
        }
        None => {
            miss(exec, skb, key);
            &stats.n_missed
        }
    };
    counter.add(1);
    stats.n_mask_hit.add(u64::from(found.n_mask_hit));
    stats.n_cache_hit.add(u64::from(found.n_cache_hit));
}

/// Says, if dynamic debugging is on, that an action failed.
#[cold]
#[inline(never)]
fn execution_error(dp: &Datapath, ctx: BhRcu<'_>, error: Error) {
    let name = dp.local(ctx.rcu()).map(|port| port.name());
    net_dbg_ratelimited(
        c"openvswitch: ovs: action execution error on datapath ",
        name.as_ref().map_or(c"", DeviceName::as_cstr),
        error,
    );
}

/// Sends a packet without a flow to userspace.
#[inline(never)]
fn miss(exec: &Execution<'_>, mut skb: SkBuff, key: &SwFlowKey) {
    let (ctx, dp, in_port) = (exec.ctx(), exec.dp(), exec.in_port());
    // Userspace is told the hash.
    skb.hash();
    let cb = *skb.cb::<OvsSkbCb>();
    let portid = if cb.upcall_pid != 0 {
        cb.upcall_pid
    } else if dp.has_feature(uapi::OVS_DP_F_DISPATCH_UPCALL_PER_CPU) {
        dp.upcall_portid(ctx)
    } else {
        in_port.find_upcall_portid(ctx.rcu(), &mut skb)
    };
    let info = UpcallInfo {
        cmd: uapi::ovs_packet_cmd_OVS_PACKET_CMD_MISS as u8,
        portid,
        userdata: None,
        actions: None,
        mru: cb.mru,
        egress_tun_info: false,
    };
    let key = exec.whole_key(key);
    match ovs_dp_upcall(ctx, dp, in_port, &mut skb, key, &info, u32::MAX) {
        Ok(()) => skb.consume(),
        Err(e) if e == EAGAIN || e == ERESTARTSYS || e == EINTR => skb.consume(),
        Err(_) => {
            skb.tx_error();
            drop(skb);
        }
    }
}
