// SPDX-License-Identifier: GPL-2.0

//! What is done now and then: reading the counters of hardware, looking after
//! flows that wait, and having flows change places.
//!
//! Both tables are gone round in steps, a limited number of entries a step, so
//! that a step's cost does not depend on how many there are; with very many, a
//! round takes longer. Nobody else asks drivers for counters.

use kernel::{
    c_str,
    prelude::*,
    static_lock_class,
    sync::Arc, //
};

use kernel_ext::{
    time::boot_msecs,
    workqueue::delayed::{
        StaticDelayedWork,
        StaticDelayedWorkGuard, //
    }, //
};

use super::{
    engine::{
        Engine,
        ENGINE, //
    },
    job::{
        For,
        Job,
        Rule,
        Waiting, //
    },
    lane,
    rate::Rate,
    space::Space,
    table::{
        Table,
        BATCH, //
    },
    total_stats,
    trace, //
};

/// How often hardware is asked for a rule's counters at most, in milliseconds.
/// Drivers look at their hardware about as often.
const STATS_INTERVAL: u64 = 1000;

/// The time from one step to the next, in milliseconds, while there is much to
/// do.
const STEP: u32 = 100;

/// Rules that one step asks for at most. 100,000 rules are gone round in 2.5
/// seconds.
const RULES_PER_STEP: usize = 4096;

/// Rules that one step may always ask for.
const FEW_RULES: usize = 64;

/// The most waiting flows that one step looks at, which needs no driver.
const WAITING_PER_STEP: usize = 4096;

/// How old a rule has to be before it may have to go, and for how long the flow
/// that displaces it has to be busy, in milliseconds. Drivers know of the first
/// packets about a second late, so of two flows that become busy at once, the
/// one in hardware would seem to be idle.
const SETTLED: u64 = 2500;

/// Room of which there is so much that nobody has to be ranked.
const PLENTY: usize = 64;

static WORK: StaticDelayedWork = StaticDelayedWork::new(
    work,
    c_str!("ovs_offload_poll"),
    [static_lock_class!(), static_lock_class!()],
);

/// The work can be queued for as long as this lives.
pub(super) struct PollGuard {
    _work: StaticDelayedWorkGuard,
}

impl PollGuard {
    /// Lets it be queued.
    pub(super) fn new() -> Result<Self> {
        Ok(Self {
            _work: WORK.enable()?,
        })
    }
}

/// How far round a table has been gone.
struct Round {
    lane: usize,
    from: usize,
    /// When the round began, in milliseconds since boot.
    began: u64,
}

impl Round {
    const fn new() -> Self {
        Self {
            lane: lane::FIRST,
            from: 0,
            began: 0,
        }
    }

    /// Whether there is something to do: a round has begun, or it is time for
    /// one.
    fn is_due(&mut self, now: u64, interval: u64) -> bool {
        if self.lane == lane::FIRST && self.from == 0 {
            if now.saturating_sub(self.began) < interval {
                return false;
            }
            self.began = now;
        }
        true
    }

    /// Goes on for up to `most` entries, and not beyond the end of the round.
    fn go_on<T>(
        &mut self,
        engine: &Engine,
        most: usize,
        table: impl Fn(&lane::Lane) -> &Table<T>,
        mut f: impl FnMut(&mut KVec<(usize, Arc<T>)>),
    ) {
        let mut left = most;

        while left != 0 {
            let Some(lane) = engine.lane(self.lane) else {
                self.lane = lane::FIRST;
                self.from = 0;
                return;
            };
            match table(lane).batch(self.from, left.min(BATCH)) {
                Some(mut batch) => {
                    let last = batch.last().map_or(self.from, |&(cookie, _)| cookie);

                    self.from = last.saturating_add(1);
                    left = left.saturating_sub(batch.len());
                    f(&mut batch);
                }
                None => {
                    self.lane = self.lane.saturating_add(1);
                    self.from = 0;
                }
            }
        }
    }
}

/// What has been polled.
pub(super) struct PollState {
    rules: Round,
    waiting: Round,
}

impl PollState {
    /// Nothing.
    pub(super) const fn new() -> Self {
        Self {
            rules: Round::new(),
            waiting: Round::new(),
        }
    }
}

/// Sees to it that steps are made, now that there is a rule or a flow that
/// waits.
pub(super) fn wake(engine: &Engine) {
    let few = engine.n_waiting() == 0 && engine.n_rules() <= FEW_RULES;

    WORK.queue(if few { STATS_INTERVAL as u32 } else { STEP });
}

fn work() {
    let Some(engine) = ENGINE.load() else {
        return;
    };

    engine.poll();
    if engine.n_rules() != 0 || engine.n_waiting() != 0 || engine.chains.len() != 0 {
        wake(&engine);
    }
}

impl Engine {
    /// Makes a step.
    fn poll(&self) {
        let now = boot_msecs();
        {
            // Nobody else takes this lock.
            let mut polled = self.polled.lock();
            let PollState { rules, waiting } = &mut *polled;

            if rules.is_due(now, STATS_INTERVAL) {
                let steps = STATS_INTERVAL as usize / STEP as usize;
                let share = self.n_rules().div_ceil(steps);

                rules.go_on(
                    self,
                    share.clamp(FEW_RULES, RULES_PER_STEP),
                    |lane| &lane.rules,
                    |batch| self.poll_rules(batch, now),
                );
            }
            if waiting.is_due(now, 0) {
                waiting.go_on(
                    self,
                    WAITING_PER_STEP,
                    |lane| &lane.waiting,
                    |batch| {
                        for (cookie, waiting) in batch {
                            self.poll_waiting(*cookie, waiting, now);
                        }
                    },
                );
            }
        }
        self.chains.forget(now, true);
        self.for_each_space(|space| {
            for wanted in space.moves(now).into_iter().flatten() {
                match wanted.cold {
                    None => self.retry_cookie(wanted.hot),
                    Some(cold) => {
                        let hot = wanted.hot;

                        self.queue(lane::of_cookie(cold), Job::Swap { cold, hot });
                    }
                }
            }
        });
    }

    /// Reads the counters of some rules, block by block, and destroys those
    /// whose flow is gone.
    fn poll_rules(&self, batch: &mut KVec<(usize, Arc<Rule>)>, now: u64) {
        while let Some(hw) = batch.last().map(|(_, rule)| rule.hw.clone()) {
            let group = || batch.iter().filter(|(_, rule)| Arc::ptr_eq(&rule.hw, &hw));
            let mut rest = group();
            // An error is that the port is gone, and its rules with it.
            let _ = hw
                .block
                .stats_of(group().map(|&(cookie, _)| cookie), |cookie, delta| {
                    // In the order of the group; some may be left out.
                    if let Some((_, rule)) = rest.find(|&&(other, _)| other == cookie) {
                        trace::stats(cookie, &delta);
                        rule.flow.offload.add(&delta);
                        rule.meter.more(delta.packets, now, &rule.flow.offload.rate);
                        self.rank(cookie, rule, now);
                    }
                });
            for (cookie, rule) in group() {
                let known = &rule.flow.offload;
                // Not what a driver is just being asked to take.
                if known.is_dead(&rule.dp)
                    && known.cookie() == Some(*cookie)
                    && !rule.dp.offload.is_flushing()
                {
                    self.remove_in_turn(*cookie);
                }
            }
            batch.retain(|(_, rule)| !Arc::ptr_eq(&rule.hw, &hw));
        }
    }

    /// Says whether a rule might go if there is no more room.
    fn rank(&self, cookie: usize, rule: &Rule, now: u64) {
        let space = &rule.hw.space;

        if space.is_wanted() && now.saturating_sub(rule.since) >= SETTLED {
            if let Some(rate) = rule.flow.offload.rate.get() {
                space.offer_cold(rate, cookie);
            }
        }
    }

    /// Sees whether a flow has waited for long enough.
    fn poll_waiting(&self, cookie: usize, waiting: &Waiting, now: u64) {
        let Waiting { flow, dp, .. } = waiting;

        if flow.offload.is_dead(dp) {
            self.remove(cookie);
            return;
        }
        match &waiting.what {
            For::Packets => {
                if total_stats(flow).packets >= dp.offload.min_packets().into() {
                    self.retry(cookie, waiting, false);
                }
            }
            For::Driver(hw) => {
                if hw.backoff.left(now).is_none() {
                    self.retry(cookie, waiting, false);
                }
            }
            For::Room(hw) => {
                let packets = flow.stats().get().packets;

                waiting.meter.stands_at(packets, now, &flow.offload.rate);
                if hw.space.free() > PLENTY || !hw.block.is_bound() {
                    self.retry(cookie, waiting, true);
                } else if let Some(rate) = flow.offload.rate.get() {
                    let busy = waiting.busy_for(rate > Space::NEVER_WORTH, now);
                    // Until then it is for room that is free only.
                    let most = if busy >= SETTLED {
                        Rate::MAX
                    } else {
                        Space::NEVER_WORTH
                    };

                    hw.space.offer_hot(rate.min(most), cookie);
                }
            }
        }
    }
}
