// SPDX-License-Identifier: GPL-2.0

//! Datapaths: a flow table, the ports that share it, and what is counted.

mod dp_cmd;
mod flow_cmd;
pub(crate) mod genl;
pub(crate) mod ovs_net;
pub(crate) mod packet_cmd;
pub(crate) mod ports;
pub(crate) mod state;
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
        tc_skb_ext, //
    },
    percpu::{
        Counter,
        PerCpu, //
    },
    pr_info_ratelimited,
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
    state::OvsGuard, //
};
use crate::{
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

/// As [`DpStatsPercpu`], of all CPUs.
#[derive(Default)]
pub(crate) struct DpStatsSum {
    pub(crate) n_hit: u64,
    pub(crate) n_missed: u64,
    pub(crate) n_lost: u64,
    pub(crate) n_mask_hit: u64,
    pub(crate) n_cache_hit: u64,
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
    ///
    /// C: `ovs_dp_stats_init()` and `ovs_dp_vport_init()`.
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
    ///
    /// C: `ovs_dp_name()` is the name of its device.
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

    /// The statistics, summed over all CPUs.
    pub(crate) fn stats_sum(&self) -> DpStatsSum {
        let mut sum = DpStatsSum::default();
        self.stats.for_each(|s| {
            sum.n_hit = sum.n_hit.wrapping_add(s.n_hit.get());
            sum.n_missed = sum.n_missed.wrapping_add(s.n_missed.get());
            sum.n_lost = sum.n_lost.wrapping_add(s.n_lost.get());
            sum.n_mask_hit = sum.n_mask_hit.wrapping_add(s.n_mask_hit.get());
            sum.n_cache_hit = sum.n_cache_hit.wrapping_add(s.n_cache_hit.get());
        });
        sum
    }
}
