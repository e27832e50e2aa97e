// SPDX-License-Identifier: GPL-2.0

//! What cannot wait: deletions, and changes of flows that are in hardware.
//!
//! A command that deletes a flow, or changes it, is answered when that is so in
//! hardware, however much is queued. What it wants done is put into a queue of
//! its own, under `ovs_mutex`, so that it comes before what concerns later flows
//! with the same match. Then, without `ovs_mutex`, the command takes its turn in
//! the flow's lane: it waits for the call to a driver that is under way there,
//! and empties that queue itself. Whoever takes a turn does so, so it does not
//! matter who is first.

use core::mem;

use kernel::{
    new_condvar, new_mutex,
    prelude::*,
    sync::{
        CondVar,
        Mutex,
        MutexGuard, //
    },
};

use kernel_ext::sync::rcu::RcuArc;

use super::{
    engine::Engine,
    lane::{
        self,
        Lane, //
    },
};
use crate::{
    datapath::Datapath,
    flow::SwFlow, //
};

/// Something that cannot wait.
pub(super) enum Urgent {
    /// The flow that has a rule with this cookie or waits under it is out of
    /// the table.
    Remove(usize),
    /// The flow has other actions, or is out of the table.
    Sync {
        /// Its datapath.
        dp: RcuArc<Datapath>,
        /// The flow.
        flow: RcuArc<SwFlow>,
    },
}

/// Tells those who wait that a lane has no more rules of flows that were flushed.
pub(super) struct Flushed {
    lock: Pin<KBox<Mutex<()>>>,
    changed: Pin<KBox<CondVar>>,
}

impl Flushed {
    /// Nobody waits.
    pub(super) fn new() -> Result<Self> {
        Ok(Self {
            lock: KBox::pin_init(new_mutex!((), "Flushed::lock"), GFP_KERNEL)?,
            changed: KBox::pin_init(new_condvar!("Flushed::changed"), GFP_KERNEL)?,
        })
    }
}

impl Engine {
    /// Takes a lane's turn, in which something is done about one of its flows,
    /// and does what cannot wait. Sleeps; may take the rtnl lock.
    pub(super) fn turn<'a>(&self, lane: &'a Lane) -> MutexGuard<'a, ()> {
        let turn = lane.turn.lock();

        loop {
            let urgent = mem::replace(&mut *lane.urgent.lock(), KVVec::new());
            if urgent.is_empty() {
                return turn;
            }
            for urgent in urgent {
                match urgent {
                    Urgent::Remove(cookie) => self.remove(cookie),
                    Urgent::Sync { dp, flow } => self.sync(&dp, &flow, false),
                }
            }
        }
    }

    /// Queues what cannot wait, and gives whether there was memory for it.
    /// Otherwise see [`Engine::queue`].
    pub(super) fn queue_urgent(&self, lane: usize, urgent: Urgent) -> bool {
        let Some(to) = self.lane(lane) else {
            return false;
        };
        // What is left of it goes after the lock.
        let pushed = to.urgent.lock().push(urgent, GFP_KERNEL);

        lane::wake(lane);
        pushed.is_ok()
    }

    /// Does what cannot wait in a flow's lane.
    pub(super) fn settle(&self, flow: &SwFlow) {
        if let Some(lane) = self.lane(lane::of_flow(flow)) {
            drop(self.turn(lane));
        }
    }

    /// Destroys the rule with a cookie, if it is still there, when it is the turn
    /// of its lane.
    pub(super) fn remove_in_turn(&self, cookie: usize) {
        if let Some(lane) = self.lane_of(cookie) {
            let _turn = self.turn(lane);

            self.remove(cookie);
        }
    }

    /// Has a lane destroy the rules of a datapath whose flows are gone, before
    /// all else. Without memory they go when their counters are read next.
    pub(super) fn queue_flush(&self, lane: usize, dp: &RcuArc<Datapath>) {
        let Some(to) = self.lane(lane) else {
            return;
        };
        dp.offload.flush_begins();
        let pushed = to.flushes.lock().push(dp.clone(), GFP_KERNEL);

        if pushed.is_err() {
            dp.offload.flush_ends();
        }
        lane::wake(lane);
    }

    /// Waits until no lane has rules of a datapath's flows that were flushed, or
    /// until the thread gets a signal.
    pub(super) fn wait_flushed(&self, dp: &Datapath) {
        let mut lock = self.flushed.lock.lock();

        while dp.offload.is_flushing() {
            if self.flushed.changed.wait_interruptible(&mut lock) {
                return;
            }
        }
    }

    /// Destroys the rules of datapaths whose flows are gone, in a lane.
    pub(super) fn run_flushes(&self, lane: &Lane) {
        loop {
            let flushes = mem::replace(&mut *lane.flushes.lock(), KVVec::new());
            if flushes.is_empty() {
                return;
            }
            for dp in flushes {
                self.flush(lane, &dp);
                dp.offload.flush_ends();
                // Whoever has seen the number before waits by now.
                let _lock = self.flushed.lock.lock();

                self.flushed.changed.notify_all();
            }
        }
    }

    /// Destroys all rules of a datapath in a lane, one in each turn.
    fn flush(&self, lane: &Lane, dp: &RcuArc<Datapath>) {
        lane.rules.for_each(|cookie, rule| {
            if RcuArc::ptr_eq(&rule.dp, dp) && rule.flow.offload.is_dead(dp) {
                self.remove_in_turn(cookie);
            }
        });
        lane.waiting.for_each(|cookie, waiting| {
            if RcuArc::ptr_eq(&waiting.dp, dp) && waiting.flow.offload.is_dead(dp) {
                self.remove_in_turn(cookie);
            }
        });
        // Who was at a flow in another thread has seen that it is gone.
        drop(self.turn(lane));
    }

    /// Does what cannot wait in a lane.
    pub(super) fn run_urgent(&self, lane: &Lane) {
        self.run_flushes(lane);
        drop(self.turn(lane));
    }
}
