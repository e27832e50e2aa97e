// SPDX-License-Identifier: GPL-2.0

//! Lanes: work that is done side by side.
//!
//! What concerns a flow is done in its lane, one after the other. Flows of one
//! datapath with the same match have the same lane, so that a rule is gone
//! before the one of a later flow with the same match comes. So have those that
//! differ only in the flags of a tunnel.

use core::{
    mem,
    ops::RangeInclusive, //
};

use kernel::{
    c_str,
    new_mutex,
    prelude::*,
    static_lock_class,
    sync::Mutex, //
};

use kernel_ext::{
    sync::rcu::RcuArc,
    workqueue::{
        StaticWork,
        StaticWorkGuard, //
    }, //
};

use super::{
    engine::ENGINE,
    job::{
        Job,
        Rule,
        Waiting, //
    },
    table::Table,
    twin,
    urgent::Urgent, //
};
use crate::{
    datapath::Datapath,
    flow::SwFlow, //
};

/// How many there are. Drivers wait for their devices most of the time, so this
/// does not depend on the number of CPUs.
pub(super) const LANES: usize = 4;

/// All of them.
pub(super) const ALL: RangeInclusive<usize> = FIRST..=LANES - 1;

/// The one for what concerns no flow.
pub(super) const FIRST: usize = 0;

/// The bits of a cookie that say which lane it belongs to.
const LANE_BITS: u32 = 2;
const LANE_MASK: usize = (1 << LANE_BITS) - 1;
/// The bit that says that it is not of a rule but of a flow that waits.
const WAITS: usize = 1 << LANE_BITS;

/// The lane of a flow.
pub(super) fn of_flow(flow: &SwFlow) -> usize {
    if twin::has_flags(flow) {
        // What may come to have a rule in common.
        return twin::with_common_words(flow, |words| of_words(words.iter()));
    }
    let (words, more) = flow.masked_words();

    of_words(Iterator::chain(words.iter(), more))
}

fn of_words<'a>(words: impl Iterator<Item = &'a u64>) -> usize {
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

    let hash = words.fold(0_u64, |hash, word| {
        (hash.rotate_left(29) ^ word).wrapping_mul(SPREAD)
    });
    (hash >> 56) as usize & LANE_MASK
}

/// The lane of a cookie.
pub(super) fn of_cookie(cookie: usize) -> usize {
    cookie & LANE_MASK
}

/// Whether it is the cookie of a flow that waits.
pub(super) fn waits(cookie: usize) -> bool {
    cookie & WAITS != 0
}

/// A cookie, with a number that no other has.
pub(super) fn cookie(number: usize, lane: usize, waits: bool) -> usize {
    number.wrapping_shl(LANE_BITS + 1) | if waits { WAITS } else { 0 } | lane & LANE_MASK
}

/// A lane: its queues, and the rules and the flows that wait there.
pub(super) struct Lane {
    pub(super) queue: Pin<KBox<Mutex<KVVec<Job>>>>,
    /// What goes before all that is in `queue`.
    pub(super) urgent: Pin<KBox<Mutex<KVVec<Urgent>>>>,
    /// Datapaths whose flows are all gone, which goes before `queue`, too.
    pub(super) flushes: Pin<KBox<Mutex<KVVec<RcuArc<Datapath>>>>>,
    /// Held while something is done about a flow, see
    /// [`Engine::turn`](super::engine::Engine::turn).
    pub(super) turn: Pin<KBox<Mutex<()>>>,
    pub(super) rules: Table<Rule>,
    pub(super) waiting: Table<Waiting>,
}

impl Lane {
    /// With nothing in it.
    pub(super) fn new() -> Result<Self> {
        Ok(Self {
            queue: KBox::pin_init(new_mutex!(KVVec::new(), "Lane::queue"), GFP_KERNEL)?,
            urgent: KBox::pin_init(new_mutex!(KVVec::new(), "Lane::urgent"), GFP_KERNEL)?,
            flushes: KBox::pin_init(new_mutex!(KVVec::new(), "Lane::flushes"), GFP_KERNEL)?,
            turn: KBox::pin_init(new_mutex!((), "Lane::turn"), GFP_KERNEL)?,
            rules: Table::new()?,
            waiting: Table::new()?,
        })
    }

    /// Drops all that is in it. Sleeps.
    pub(super) fn clear(&self) {
        drop(mem::replace(&mut *self.queue.lock(), KVVec::new()));
        drop(mem::replace(&mut *self.urgent.lock(), KVVec::new()));
        drop(mem::replace(&mut *self.flushes.lock(), KVVec::new()));
        self.rules.clear();
        self.waiting.clear();
    }
}

fn work<const LANE: usize>() {
    if let Some(engine) = ENGINE.load() {
        engine.run(LANE);
    }
}

macro_rules! work_of {
    ($lane:literal) => {
        StaticWork::new(work::<$lane>, c_str!("ovs_offload"), static_lock_class!())
    };
}

static WORK: [StaticWork; LANES] = [work_of!(0), work_of!(1), work_of!(2), work_of!(3)];

/// Has the work of a lane done soon.
pub(super) fn wake(lane: usize) {
    if let Some(work) = WORK.get(lane) {
        work.queue_unbound();
    }
}

/// Lanes work for as long as this lives.
pub(super) struct LanesGuard {
    _work: KVec<StaticWorkGuard>,
}

impl LanesGuard {
    /// Lets them work.
    pub(super) fn new() -> Result<Self> {
        let mut guards = KVec::with_capacity(LANES, GFP_KERNEL)?;

        for work in &WORK {
            guards.push(work.enable()?, GFP_KERNEL)?;
        }
        Ok(Self { _work: guards })
    }
}
