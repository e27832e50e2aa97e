// SPDX-License-Identifier: GPL-2.0

//! Datapaths: a flow table, the ports that share it, and what is counted.

mod dp_cmd;
mod flow_cmd;
pub(crate) mod genl;
pub(crate) mod ovs_net;
mod packet_cmd;
pub(crate) mod ports;
pub(crate) mod state;
pub(crate) mod upcall;
pub(crate) mod vport_cmd;

use core::sync::atomic::{
    AtomicU32,
    AtomicUsize,
    Ordering, //
};

use kernel::prelude::*;

use kernel_ext::{
    net::{
        namespace::NetHandle,
        netdevice::DeviceName,
        skbuff::SkBuff,
        tc_skb_ext, //
    },
    percpu::{
        Counter,
        PerCpu, //
    },
    pr_info_ratelimited,
    ratelimit::net_dbg_ratelimited,
    sync::{
        bh::BhRcu,
        rcu::{
            RcuRead,
            RcuSlot, //
        },
    },
    uapi, //
};

pub(crate) use self::ovs_net::{
    dp_destroy,
    dp_list_add,
    for_each_dp,
    get_dp,
    get_dp_rcu,
    ovs_dp_detach_port, //
};
use self::{
    ports::PortMap,
    state::OvsGuard,
    upcall::UpcallInfo, //
};
use crate::{
    actions::{
        cb::OvsSkbCb,
        execute::{
            ovs_execute_actions,
            Execution, //
        },
    },
    flow::key::SwFlowKey,
    flow_table::FlowTable,
    meter::table::DpMeterTable,
    offload::policy::DpOffload,
    vport::Vport, //
};

/// The number of the port that has the datapath's name.
///
/// C: `OVSP_LOCAL`, a macro with a cast, which bindgen does not see.
pub(crate) const OVSP_LOCAL: u32 = 0;

/// What one CPU counts for a datapath.
///
/// C: `struct dp_stats_percpu`.
#[derive(Zeroable)]
pub(crate) struct DpStatsPercpu {
    /// Packets that matched a flow.
    pub(crate) n_hit: Counter,
    /// Packets that matched none.
    pub(crate) n_missed: Counter,
    /// Packets that could not be sent to userspace.
    pub(crate) n_lost: Counter,
    /// Masks tried.
    pub(crate) n_mask_hit: Counter,
    /// Packets whose mask the cache knew.
    pub(crate) n_cache_hit: Counter,
}

/// The netlink ports that upcalls go to, by CPU.
///
/// C: `struct dp_nlsk_pids`.
pub(crate) struct DpNlskPids(pub(crate) KVec<u32>);

/// How many datapaths have `OVS_DP_F_TC_RECIRC_SHARING`.
///
/// The key behind [`tc_skb_ext::enable`] does not say that: chains of rules in
/// hardware have it enabled as well, with numbers of their own, and so have
/// flower filters with `l2_miss` (`cls_flower.c`). C goes by the key alone, and
/// takes a chain of those for a recirculation id.
static TC_RECIRC_SHARING: AtomicUsize = AtomicUsize::new(0);

/// Whether recirculation ids are shared with traffic control, by whichever
/// datapath.
pub(crate) fn tc_recirc_sharing() -> bool {
    TC_RECIRC_SHARING.load(Ordering::Relaxed) != 0
}

/// A datapath.
///
/// Its ports refer to it and it refers to its ports; destroying it takes the
/// ports out, which ends that.
///
/// C: `struct datapath`.
pub(crate) struct Datapath {
    /// The flows.
    pub(crate) table: FlowTable,
    /// The ports.
    pub(crate) ports: PortMap,
    /// What is counted, by CPU.
    pub(crate) stats: PerCpu<DpStatsPercpu>,
    /// Where upcalls go if they are dispatched by CPU.
    pub(crate) upcall_portids: RcuSlot<DpNlskPids>,
    net: NetHandle,
    user_features: AtomicU32,
    max_headroom: AtomicU32,
    /// Its part in offloading.
    pub(crate) offload: DpOffload,
    /// The meters.
    pub(crate) meter_tbl: DpMeterTable,
}

impl Datapath {
    /// A datapath without ports or flows, made where it is to be: it is large for
    /// the stack.
    pub(crate) fn init(net: NetHandle) -> impl Init<Self, Error> {
        try_init!(Self {
            table <- FlowTable::init(),
            ports: PortMap::new()?,
            stats: PerCpu::new(GFP_KERNEL)?,
            upcall_portids: RcuSlot::empty(),
            net,
            user_features: AtomicU32::new(0),
            max_headroom: AtomicU32::new(0),
            offload: DpOffload::new(),
            meter_tbl: DpMeterTable::new()?,
        }? Error)
    }

    /// The network namespace it lives in.
    pub(crate) fn net(&self) -> &NetHandle {
        &self.net
    }

    /// `OVS_DP_F_*` as userspace set them.
    #[inline]
    pub(crate) fn user_features(&self) -> u32 {
        self.user_features.load(Ordering::Relaxed)
    }

    /// Whether userspace set this feature.
    #[inline]
    pub(crate) fn has_feature(&self, feature: u32) -> bool {
        self.user_features() & feature != 0
    }

    /// Sets the features. May sleep.
    ///
    /// Every datapath that has `OVS_DP_F_TC_RECIRC_SHARING` counts once in
    /// traffic control: before a datapath goes, its features have to be set to
    /// none.
    pub(crate) fn set_user_features(&self, _lock: &OvsGuard, features: u32) {
        let old = self.user_features.swap(features, Ordering::Relaxed);

        match (
            old & uapi::OVS_DP_F_TC_RECIRC_SHARING != 0,
            features & uapi::OVS_DP_F_TC_RECIRC_SHARING != 0,
        ) {
            (false, true) => {
                TC_RECIRC_SHARING.fetch_add(1, Ordering::Relaxed);
                tc_skb_ext::enable();
            }
            (true, false) => {
                tc_skb_ext::disable();
                TC_RECIRC_SHARING.fetch_sub(1, Ordering::Relaxed);
            }
            _ => (),
        }
    }

    /// The largest headroom that a port asks for, which internal ports offer.
    pub(crate) fn max_headroom(&self) -> u32 {
        self.max_headroom.load(Ordering::Relaxed)
    }

    /// Sets the largest headroom.
    pub(crate) fn set_max_headroom(&self, headroom: u32) {
        self.max_headroom.store(headroom, Ordering::Relaxed);
    }

    /// The port with this number.
    ///
    /// C: `ovs_vport_rcu()`.
    #[inline]
    pub(crate) fn port<'g>(&self, port_no: u32, rcu: RcuRead<'g>) -> Option<&'g Vport> {
        self.ports.get(port_no, rcu)
    }

    /// The port that has the datapath's name, which there always is while the
    /// datapath is in use.
    #[inline]
    pub(crate) fn local<'g>(&self, rcu: RcuRead<'g>) -> Option<&'g Vport> {
        self.port(OVSP_LOCAL, rcu)
    }

    /// What userspace names the datapath by: the local port's interface index,
    /// 0 without one.
    ///
    /// C: `get_dpifindex()`.
    pub(crate) fn ifindex(&self, rcu: RcuRead<'_>) -> i32 {
        self.local(rcu).map_or(0, |p| p.dev().ifindex())
    }

    /// Where upcalls of packets on this CPU go, if dispatched by CPU.
    ///
    /// C: `ovs_dp_get_upcall_portid()`.
    pub(crate) fn upcall_portid(&self, ctx: BhRcu<'_>) -> u32 {
        let Some(pids) = self.upcall_portids.get(ctx.rcu()) else {
            return 0;
        };
        let cpu = ctx.cpu() as usize;
        if let Some(&pid) = pids.0.get(cpu) {
            return pid;
        }
        // More CPUs than userspace has threads: say so, and use some socket
        // rather than drop packets.
        if let Some(place) = cpu.checked_rem(pids.0.len()) {
            pr_info_ratelimited!(
                c"ovs_dp_get_upcall_portid",
                "cpu_id mismatch with handler threads"
            );
            return pids.0.get(place).copied().unwrap_or(0);
        }
        0
    }

    /// The statistics, summed over all CPUs, in the order of
    /// [`DpStatsPercpu`]'s fields.
    pub(crate) fn stats_sum(&self) -> [u64; 5] {
        let mut sum = [0u64; 5];
        self.stats.for_each(|s| {
            let one = [
                &s.n_hit,
                &s.n_missed,
                &s.n_lost,
                &s.n_mask_hit,
                &s.n_cache_hit,
            ];
            for (total, counter) in sum.iter_mut().zip(one) {
                *total = total.wrapping_add(counter.get());
            }
        });
        sum
    }
}

/// Length of a VLAN tag, which counts even while it is not in the packet's data.
const VLAN_HLEN: usize = 4;

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
    match upcall::ovs_dp_upcall(ctx, dp, in_port, &mut skb, key, &info, u32::MAX) {
        Ok(()) => skb.consume(),
        Err(e) if e == EAGAIN || e == ERESTARTSYS || e == EINTR => skb.consume(),
        Err(_) => {
            skb.tx_error();
            drop(skb);
        }
    }
}
