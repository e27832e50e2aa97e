// SPDX-License-Identifier: GPL-2.0

//! Flows in hardware.
//!
//! Every flow of the table can run in software, always. The engine tries to
//! have the hardware behind the port that a flow matches on run it too: what
//! commands change is noted in a queue under `ovs_mutex`, and a work item hands
//! rules to drivers without it. What the driver takes, the packets of the flow
//! no longer reach the datapath; whatever happens to the rule, they do again.
//!
//! Locking: `ovs_mutex`, then the rtnl lock, then a block's semaphore, then
//! what drivers take. The engine's own locks protect its queues, its tables and
//! what it knows of the room in hardware; nothing sleeps under them but for
//! memory, and no other lock is taken there.

pub(crate) mod action;
pub(crate) mod block;
mod chain;
pub(crate) mod engine;
mod hardware;
mod job;
mod lane;
pub(crate) mod netlink;
pub(crate) mod policy;
mod poll;
mod probe;
mod rate;
pub(crate) mod reason;
pub(crate) mod rule;
mod space;
pub(crate) mod state;
mod table;
mod trace;
pub(crate) mod tunnel;
mod twin;
mod urgent;

use core::sync::atomic::{
    AtomicBool,
    Ordering, //
};

use kernel_ext::{
    net::{
        flow_offload::HwDelta,
        skbuff::SkBuff,
        tc_skb_ext, //
    },
    sync::rcu::{
        RcuArc,
        RcuRead, //
    },
};

use self::{
    chain::Restored,
    engine::ENGINE,
    job::Job,
    state::{
        State,
        Status, //
    },
    urgent::Urgent, //
};
use crate::{
    actions::cb::OvsSkbCb,
    datapath::{
        state::{
            ovs_lock,
            OvsGuard, //
        },
        tc_recirc_sharing,
        Datapath, //
    },
    flow::{
        stats::FlowStatsSum,
        SwFlow, //
    },
    vport::Vport, //
};

/// There has been a port whose driver takes rules since the module was loaded.
/// Before that, flows cost the engine nothing.
static ACTIVE: AtomicBool = AtomicBool::new(false);

/// Has flows be considered from now on: a port's driver takes rules, or may do
/// so later.
pub(crate) fn activate() {
    ACTIVE.store(true, Ordering::Relaxed);
}

/// Has the engine look at a flow: it is new, or policy has changed.
pub(crate) fn sync_flow(dp: &RcuArc<Datapath>, flow: &RcuArc<SwFlow>) {
    if !ACTIVE.load(Ordering::Relaxed) || !flow.offload.set_queued() {
        return;
    }
    if flow.offload.cookie().is_none() {
        flow.offload.set_status(Status::of(State::Queued), "");
    }
    if let Some(engine) = ENGINE.load() {
        engine.queue_sync(dp, flow);
    }
}

fn queue(job: Job) {
    if let Some(engine) = ENGINE.load() {
        engine.queue(lane::FIRST, job);
    }
}

/// Queues a job in every lane.
fn queue_all(job: impl Fn() -> Job) {
    if let Some(engine) = ENGINE.load() {
        for lane in lane::ALL {
            engine.queue(lane, job());
        }
    }
}

/// A flow has been put into the table.
pub(crate) fn flow_inserted(_lock: &OvsGuard, dp: &RcuArc<Datapath>, flow: &RcuArc<SwFlow>) {
    flow.offload.set_born(dp);
    sync_flow(dp, flow);
}

/// A flow in the table has got other actions. [`settle`] has to follow.
pub(crate) fn flow_changed(_lock: &OvsGuard, dp: &RcuArc<Datapath>, flow: &RcuArc<SwFlow>) {
    let urgent = || Urgent::Sync {
        dp: dp.clone(),
        flow: flow.clone(),
    };
    let in_hardware = ACTIVE.load(Ordering::Relaxed) && flow.offload.is_in_hardware();

    if !in_hardware || !queue_urgent(lane::of_flow(flow), urgent()) {
        sync_flow(dp, flow);
    }
}

/// A flow has been taken out of the table. [`settle`] has to follow.
pub(crate) fn flow_removed(_lock: &OvsGuard, dp: &RcuArc<Datapath>, flow: &RcuArc<SwFlow>) {
    flow.offload.set_dead();
    if twin::concerns(flow.offload.status()) {
        let urgent = Urgent::Sync {
            dp: dp.clone(),
            flow: flow.clone(),
        };
        queue_urgent(lane::of_flow(flow), urgent);
    } else if let Some(cookie) = flow.offload.cookie() {
        queue_urgent(lane::of_cookie(cookie), Urgent::Remove(cookie));
    }
}

/// Queues what goes before all else in a lane. Gives whether there was memory for
/// it.
fn queue_urgent(lane: usize, urgent: Urgent) -> bool {
    ENGINE
        .load()
        .is_some_and(|engine| engine.queue_urgent(lane, urgent))
}

/// What [`flow_changed`] or [`flow_removed`] has told of is so in hardware when
/// this returns: no packet is handled any more as it was before, and the flow
/// has what hardware counted until then. Gives the lock back, which it may have
/// released meanwhile.
pub(crate) fn settle(lock: OvsGuard, flow: &SwFlow) -> OvsGuard {
    if !flow.offload.is_in_hardware() {
        return lock;
    }
    drop(lock);
    if let Some(engine) = ENGINE.load() {
        engine.settle(flow);
    }
    ovs_lock()
}

/// All flows of a datapath are about to be taken out of its table.
/// [`wait_flushed`] may follow.
pub(crate) fn flows_flushed(_lock: &OvsGuard, dp: &RcuArc<Datapath>) {
    dp.offload.flushed();
    if !ACTIVE.load(Ordering::Relaxed) {
        return;
    }
    if let Some(engine) = ENGINE.load() {
        for lane in lane::ALL {
            engine.queue_flush(lane, dp);
        }
    }
}

/// Waits until no rules of flows are left that [`flows_flushed`] has told of, or
/// until the thread gets a signal: they go all the same. Sleeps for long; the
/// caller holds no lock.
pub(crate) fn wait_flushed(dp: &Datapath) {
    if let Some(engine) = ENGINE.load() {
        engine.wait_flushed(dp);
    }
}

/// A port's driver takes rules from now on. Only notes it: may be called with
/// the rtnl lock held.
pub(crate) fn port_bound(vport: &Vport) {
    activate();
    queue(Job::PortBound {
        dp: vport.dp().clone(),
        port_no: vport.port_no(),
    });
}

/// There is a device of a driver that takes rules, or it has become able to.
/// Such drivers may take rules for tunnels as well, and say so to nobody. May be
/// called with the rtnl lock held.
pub(crate) fn driver_may_have_come() {
    queue(Job::Offer);
}

/// There is a new port.
pub(crate) fn port_added(_lock: &OvsGuard, dp: &RcuArc<Datapath>) {
    if ACTIVE.load(Ordering::Relaxed) {
        queue(Job::PortAdded(dp.clone()));
    }
}

/// The device of an internal port has come up, gone down or got another address.
/// May be called with the rtnl lock held.
pub(crate) fn internal_port_changed(vport: &Vport) {
    if ACTIVE.load(Ordering::Relaxed) {
        look_for_another_way(vport);
        queue(Job::PortAdded(vport.dp().clone()));
    }
}

fn look_for_another_way(vport: &Vport) {
    queue_all(|| Job::PortRemoved {
        dp: vport.dp().clone(),
        port_no: vport.port_no(),
    });
}

/// A port is gone from its datapath.
pub(crate) fn port_removed(_lock: &OvsGuard, vport: &Vport) {
    if ACTIVE.load(Ordering::Relaxed) {
        look_for_another_way(vport);
    }
}

/// Rules have gone from the hardware, with what they had counted last. May be
/// called with the rtnl lock held.
pub(crate) fn rules_gone(gone: &[(usize, HwDelta)]) {
    let Some(engine) = ENGINE.load() else {
        return;
    };

    for (cookie, delta) in gone {
        engine.rule_gone(*cookie, delta);
    }
}

/// The recirculation id of a packet that came in on a port with the number of a
/// chain that hardware or traffic control did not finish. Nothing if nobody
/// knows the chain any more: the packet may have been changed, and where to go
/// on is not known.
#[cold]
#[inline(never)]
pub(crate) fn restore_recirc_id(
    rcu: RcuRead<'_>,
    vport: &Vport,
    skb: &mut SkBuff,
    chain: u32,
) -> Option<u32> {
    let restored = match ENGINE.get(rcu).filter(|_| vport.block().was_bound()) {
        Some(engine) => engine.chains.restore(rcu, vport.dp(), chain),
        None => Restored::NotOurs,
    };
    match restored {
        Restored::Recirc(recirc_id) => {
            // It is not for whoever gets the packet next.
            tc_skb_ext::remove(skb);
            Some(recirc_id)
        }
        Restored::NotOurs if tc_recirc_sharing() => Some(chain),
        Restored::NotOurs => {
            // A chain of traffic control, which no datapath asked for. Without
            // chains in hardware, nobody would have looked.
            skb.cb_mut::<OvsSkbCb>().mru = 0;
            Some(0)
        }
        Restored::Lost => None,
    }
}

/// What a flow has counted, in software and in hardware.
pub(crate) fn total_stats(flow: &SwFlow) -> FlowStatsSum {
    let mut sum = flow.stats().get();
    let hw = flow.offload.counts();

    if hw.packets != 0 {
        sum.packets = sum.packets.wrapping_add(hw.packets);
        sum.bytes = sum.bytes.wrapping_add(hw.bytes);
        if sum.used == 0 || (hw.used != 0 && kernel_ext::time::time_after(hw.used, sum.used)) {
            sum.used = hw.used;
        }
    }
    sum
}

/// Clears what a flow has counted, in software and in hardware.
pub(crate) fn clear_stats(flow: &SwFlow) {
    flow.stats().clear();
    flow.offload.clear();
}
