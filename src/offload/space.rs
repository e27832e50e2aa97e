// SPDX-License-Identifier: GPL-2.0

//! How many rules hardware has room for, and which flows get it.
//!
//! Nobody says how much room there is: it is learned from a driver's refusal,
//! and forgotten a little now and then, in case there is more by now. While
//! flows wait for room, none gets in because it came at the right moment: those
//! with the highest measured rates do, in place of rules with much lower ones.
//!
//! The ports of a switch share its room.

use core::{
    mem,
    sync::atomic::{
        AtomicUsize,
        Ordering, //
    },
};

use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        Arc,
        Mutex, //
    },
};

use kernel_ext::net::netdevice::PortParentId;

use super::rate::{
    Rate,
    PER_SECOND, //
};

/// How many flows are moved at once at most.
const RANKED: usize = 32;

/// How long to wait before more room is tried for, in milliseconds: at first,
/// and at most, as each attempt that fails doubles it.
const FIRST_PROBE: u64 = 1000;
const LAST_PROBE: u64 = 32_000;

/// The most that room is tried for at once, in rules.
const PROBE_STEP: usize = 4096;

/// How often flows change places, in milliseconds.
const SWAP_INTERVAL: u64 = 1000;

/// Nobody knows how much room there is.
const UNKNOWN: usize = usize::MAX;

/// The cookies with the lowest rates, or with the highest.
struct Ranking {
    /// By a number that is the lower the better.
    best: [(u64, usize); RANKED],
    len: usize,
}

impl Ranking {
    const fn new() -> Self {
        Self {
            best: [(0, 0); RANKED],
            len: 0,
        }
    }

    fn all(&self) -> &[(u64, usize)] {
        self.best.get(..self.len).unwrap_or_default()
    }

    /// Adds a cookie, or gives it another place.
    fn offer(&mut self, number: u64, cookie: usize) {
        self.remove(cookie);
        let at = self.all().partition_point(|&(other, _)| other <= number);

        if at >= RANKED {
            return;
        }
        self.len = self.len.saturating_add(1).min(RANKED);
        // All from there on move down by one; the worst falls out at the end.
        let mut carry = (number, cookie);
        for place in self.best.get_mut(at..self.len).unwrap_or_default() {
            mem::swap(place, &mut carry);
        }
    }

    /// Takes a cookie out, if it is there.
    fn remove(&mut self, cookie: usize) {
        let len = self.len;
        let mut carry = (0, 0);
        // From the end on, all move up by one until it falls out.
        for place in self
            .best
            .get_mut(..len)
            .unwrap_or_default()
            .iter_mut()
            .rev()
        {
            mem::swap(place, &mut carry);
            if carry.1 == cookie {
                self.len = len.saturating_sub(1);
                return;
            }
        }
        // It is not there: all go back.
        for place in self.best.get_mut(..len).unwrap_or_default() {
            mem::swap(place, &mut carry);
        }
    }

    fn first(&self) -> Option<(u64, usize)> {
        self.all().first().copied()
    }
}

/// When to try for more room than there is known to be.
struct Probe {
    /// In milliseconds since boot.
    at: u64,
    wait: u64,
    step: usize,
    /// Nothing was refused since the last attempt.
    fits: bool,
}

struct State {
    probe: Probe,
    /// The rules with the lowest rates.
    cold: Ranking,
    /// The waiting flows with the highest rates.
    hot: Ranking,
    /// When flows last changed places, in milliseconds since boot.
    swapped: u64,
}

/// A flow that shall move into hardware, by the cookie that it waits under, and
/// the rule that has to go for it, if one has to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Move {
    pub(super) hot: usize,
    pub(super) cold: Option<usize>,
}

/// The moves to make, no more than [`RANKED`].
pub(super) type Moves = [Option<Move>; RANKED];

/// The room for rules in a piece of hardware.
#[pin_data]
pub(crate) struct Space {
    id: Option<PortParentId>,
    /// The blocks that rules come in through.
    pub(super) users: AtomicUsize,
    /// How many rules fit, as far as is known.
    capacity: AtomicUsize,
    /// How many there are, with those that are on their way.
    used: AtomicUsize,
    /// How many flows wait for room.
    waiting: AtomicUsize,
    #[pin]
    state: Mutex<State>,
}

impl Space {
    /// Of a switch, or of a device that is on its own. Nothing is known of it.
    pub(super) fn new(id: Option<PortParentId>) -> Result<Arc<Self>> {
        let state = State {
            probe: Probe {
                at: 0,
                wait: FIRST_PROBE,
                step: 1,
                fits: false,
            },
            cold: Ranking::new(),
            hot: Ranking::new(),
            swapped: 0,
        };
        Arc::pin_init(
            pin_init!(Self {
                id,
                users: AtomicUsize::new(0),
                capacity: AtomicUsize::new(UNKNOWN),
                used: AtomicUsize::new(0),
                waiting: AtomicUsize::new(0),
                state <- new_mutex!(state, "Space::state"),
            }),
            GFP_KERNEL,
        )
    }

    /// Whether it is the switch of this name.
    pub(super) fn is(&self, id: &PortParentId) -> bool {
        self.id.as_ref() == Some(id)
    }

    /// How many rules fit, if that is known.
    pub(super) fn capacity(&self) -> Option<usize> {
        Some(self.capacity.load(Ordering::Relaxed)).filter(|&capacity| capacity != UNKNOWN)
    }

    /// How many more rules fit, as far as is known.
    pub(super) fn free(&self) -> usize {
        let used = self.used.load(Ordering::Relaxed);

        self.capacity.load(Ordering::Relaxed).saturating_sub(used)
    }

    /// Whether flows wait for room.
    pub(super) fn is_wanted(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) != 0
    }

    /// A flow waits from now on.
    pub(super) fn enter(&self) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
    }

    /// A flow does not wait any more.
    pub(super) fn leave(&self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        self.forget_if_idle();
    }

    /// Takes room for a rule, if there is any. While flows wait it is for those
    /// alone whose turn it is.
    pub(super) fn reserve(&self, its_turn: bool) -> bool {
        if !its_turn && self.is_wanted() {
            return false;
        }
        let capacity = self.capacity.load(Ordering::Relaxed);

        self.used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                used.checked_add(1).filter(|&used| used <= capacity)
            })
            .is_ok()
    }

    /// A rule is gone, or was not taken.
    pub(super) fn release(&self) {
        self.used.fetch_sub(1, Ordering::Relaxed);
        self.forget_if_idle();
    }

    /// What was learned from the rules of one load says little about the next
    /// one: a driver may have refused for a reason that has passed.
    fn forget_if_idle(&self) {
        if self.used.load(Ordering::Relaxed) == 0 && !self.is_wanted() {
            self.capacity.store(UNKNOWN, Ordering::Relaxed);
        }
    }

    /// The driver had no room for a rule, which is released.
    pub(super) fn full(&self, now: u64) {
        let left = self.used.fetch_sub(1, Ordering::Relaxed).saturating_sub(1);
        let before = self.capacity.swap(left, Ordering::Relaxed);
        let mut state = self.state.lock();
        let probe = &mut state.probe;

        if before == UNKNOWN {
            probe.wait = FIRST_PROBE;
        } else if probe.fits {
            probe.wait = probe.wait.saturating_mul(2).min(LAST_PROBE);
        }
        probe.fits = false;
        probe.at = now.saturating_add(probe.wait);
    }

    /// A rule has this rate.
    pub(super) fn offer_cold(&self, rate: Rate, cookie: usize) {
        self.state.lock().cold.offer(rate.into(), cookie);
    }

    /// A flow that waits has this rate.
    pub(super) fn offer_hot(&self, rate: Rate, cookie: usize) {
        let rate = Rate::MAX.wrapping_sub(rate);

        self.state.lock().hot.offer(rate.into(), cookie);
    }

    /// Tries for more room, if it is time to.
    fn probe(&self, probe: &mut Probe, now: u64) {
        if self.free() != 0 || now < probe.at {
            return;
        }
        if probe.fits {
            probe.step = probe.step.saturating_mul(2).min(PROBE_STEP);
            probe.wait = FIRST_PROBE;
        } else {
            probe.step = 1;
        }
        probe.fits = true;
        probe.at = now.saturating_add(FIRST_PROBE);
        // No more than one thread comes here; who finds it full meanwhile has
        // the last word.
        let _ = self
            .capacity
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |capacity| {
                Some(capacity.saturating_add(probe.step))
            });
    }

    /// What has to move now. Of the flows that wait, some get room that is free,
    /// and some, now and then, that of rules with less than half their rate.
    pub(super) fn moves(&self, now: u64) -> Moves {
        let mut moves = [None; RANKED];
        if !self.is_wanted() {
            return moves;
        }

        let mut guard = self.state.lock();
        let state = &mut *guard;
        self.probe(&mut state.probe, now);
        let swap = now.saturating_sub(state.swapped) >= SWAP_INTERVAL;
        let mut free = self.free();

        for place in &mut moves {
            let Some((inverse, hot)) = state.hot.first() else {
                break;
            };
            let rate = u64::from(Rate::MAX).saturating_sub(inverse);
            let cold = if free != 0 {
                free = free.saturating_sub(1);
                None
            } else if let Some((cold_rate, cold)) = state.cold.first().filter(|_| swap) {
                if rate < Self::worth(cold_rate) {
                    break;
                }
                state.cold.remove(cold);
                Some(cold)
            } else {
                break;
            };
            state.hot.remove(hot);
            *place = Some(Move { hot, cold });
        }
        if swap {
            // Whoever is still there shall be measured again.
            state.swapped = now;
            state.hot = Ranking::new();
            state.cold = Ranking::new();
        }
        moves
    }

    /// The highest rate that is not worth taking the place of any rule.
    pub(super) const NEVER_WORTH: Rate = PER_SECOND * 10 - 1;

    /// The rate that is worth taking the place of a rule with this one.
    fn worth(rate: u64) -> u64 {
        rate.saturating_mul(2)
            .saturating_add(u64::from(Self::NEVER_WORTH) + 1)
    }
}
