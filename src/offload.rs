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

use kernel::prelude::*;

use kernel_ext::{
    net::{
        flow_offload::HwDelta,
        rtnetlink::Rtnl, //
    },
    sync::rcu::{
        RcuArc,
        RcuRead, //
    },
};

use self::{
    block::{
        block_of,
        PortBlock, //
    },
    engine::ENGINE,
    job::Job,
    state::{
        State,
        Status, //
    },
    urgent::Urgent, //
};
use crate::{
    datapath::{
        state::{
            ovs_lock,
            OvsGuard, //
        },
        Datapath, //
    },
    flow::{
        total_stats,
        SwFlow, //
    },
    offload_ops::{
        OffloadOps,
        PortOps,
        Restored, //
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

fn look_for_another_way(vport: &Vport) {
    queue_all(|| Job::PortRemoved {
        dp: vport.dp().clone(),
        port_no: vport.port_no(),
    });
}

/// Queues what goes before all else in a lane. Gives whether there was memory for
/// it.
fn queue_urgent(lane: usize, urgent: Urgent) -> bool {
    ENGINE
        .load()
        .is_some_and(|engine| engine.queue_urgent(lane, urgent))
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

/// The engine's operations. They note what has changed.
pub(crate) struct Ops;

impl OffloadOps for Ops {
    fn new_port(&self) -> Result<KBox<dyn PortOps>> {
        Ok(KBox::new(PortBlock::new()?, GFP_KERNEL)?)
    }

    fn flow_inserted(&self, _lock: &OvsGuard, dp: &RcuArc<Datapath>, flow: &RcuArc<SwFlow>) {
        flow.offload.set_born(dp);
        sync_flow(dp, flow);
    }

    fn flow_changed(&self, _lock: &OvsGuard, dp: &RcuArc<Datapath>, flow: &RcuArc<SwFlow>) {
        let urgent = || Urgent::Sync {
            dp: dp.clone(),
            flow: flow.clone(),
        };
        let in_hardware = ACTIVE.load(Ordering::Relaxed) && flow.offload.is_in_hardware();

        if !in_hardware || !queue_urgent(lane::of_flow(flow), urgent()) {
            sync_flow(dp, flow);
        }
    }

    fn flow_removed(&self, _lock: &OvsGuard, dp: &RcuArc<Datapath>, flow: &RcuArc<SwFlow>) {
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

    fn settle(&self, lock: OvsGuard, flow: &SwFlow) -> OvsGuard {
        if !flow.offload.is_in_hardware() {
            return lock;
        }
        drop(lock);
        if let Some(engine) = ENGINE.load() {
            engine.settle(flow);
        }
        ovs_lock()
    }

    fn flows_flushed(&self, _lock: &OvsGuard, dp: &RcuArc<Datapath>) {
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

    fn wait_flushed(&self, dp: &Datapath) {
        if let Some(engine) = ENGINE.load() {
            engine.wait_flushed(dp);
        }
    }

    fn port_added(&self, _lock: &OvsGuard, dp: &RcuArc<Datapath>) {
        if ACTIVE.load(Ordering::Relaxed) {
            queue(Job::PortAdded(dp.clone()));
        }
    }

    fn port_removed(&self, _lock: &OvsGuard, vport: &Vport) {
        if ACTIVE.load(Ordering::Relaxed) {
            look_for_another_way(vport);
        }
    }

    fn internal_port_changed(&self, vport: &Vport, rtnl: Rtnl<'_>) {
        if let Some(block) = block_of(vport) {
            block.internal_changed(vport, rtnl);
        }
        if ACTIVE.load(Ordering::Relaxed) {
            look_for_another_way(vport);
            queue(Job::PortAdded(vport.dp().clone()));
        }
    }

    fn driver_may_have_come(&self, _rtnl: Rtnl<'_>) {
        driver_may_have_come();
    }

    fn restore(&self, rcu: RcuRead<'_>, vport: &Vport, chain: u32) -> Restored {
        match ENGINE.get(rcu) {
            Some(engine) if block_of(vport).is_some_and(PortBlock::was_bound) => {
                engine.chains.restore(rcu, vport.dp(), chain)
            }
            _ => Restored::NotOurs,
        }
    }
}
