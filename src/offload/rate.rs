// SPDX-License-Identifier: GPL-2.0

//! Packet rates, as they are measured now and then.

use core::sync::atomic::{
    AtomicU32,
    AtomicU64,
    Ordering, //
};

/// Packets a second, in sixteenths. Orders flows; nothing more exact is needed.
pub(super) type Rate = u32;

/// A packet a second.
pub(super) const PER_SECOND: Rate = 16;

/// A rate that nobody has measured yet.
const UNKNOWN: Rate = Rate::MAX;

/// How long an average remembers, in milliseconds.
const MEMORY: u64 = 2000;

/// The shortest time that a rate is measured over, in milliseconds.
const SHORTEST: u64 = 100;

/// A flow's rate: an average in which what is older counts less.
///
/// It goes with the flow, wherever that runs.
pub(crate) struct FlowRate(AtomicU32);

impl FlowRate {
    /// Not measured.
    pub(super) const fn new() -> Self {
        Self(AtomicU32::new(UNKNOWN))
    }

    /// The rate, if it has been measured.
    pub(super) fn get(&self) -> Option<Rate> {
        Some(self.0.load(Ordering::Relaxed)).filter(|&rate| rate != UNKNOWN)
    }

    /// The rate in packets a second, rounded down.
    pub(super) fn per_second(&self) -> Option<u32> {
        Some(self.get()? / PER_SECOND)
    }

    /// Takes `packets` packets in `msecs` milliseconds into the average.
    fn add(&self, packets: u64, msecs: u64) {
        let scaled = packets
            .saturating_mul(1000)
            .saturating_mul(u64::from(PER_SECOND));
        let now = scaled.checked_div(msecs).unwrap_or(0);
        let rate = match self.get() {
            None => now,
            Some(before) => {
                let sum = u64::from(before)
                    .saturating_mul(MEMORY)
                    .saturating_add(now.saturating_mul(msecs));
                sum.checked_div(msecs.saturating_add(MEMORY)).unwrap_or(0)
            }
        };
        let most = UNKNOWN.wrapping_sub(1);

        self.0
            .store(rate.min(most.into()) as Rate, Ordering::Relaxed);
    }
}

/// Measures the rate of a flow, from one look at its counters to the next. One
/// thread at a time looks.
pub(super) struct Meter {
    /// When the last measurement ended, in milliseconds since boot.
    at: AtomicU64,
    /// Packets since then; or the counter's value then.
    packets: AtomicU64,
}

impl Meter {
    /// Begins to measure a counter that stands at `packets`.
    pub(super) fn new(now: u64, packets: u64) -> Self {
        Self {
            at: AtomicU64::new(now),
            packets: AtomicU64::new(packets),
        }
    }

    /// How long the measurement has taken, in milliseconds, if that is long
    /// enough. Another begins then.
    fn elapsed(&self, now: u64) -> Option<u64> {
        let elapsed = now.saturating_sub(self.at.load(Ordering::Relaxed));
        if elapsed < SHORTEST {
            return None;
        }
        self.at.store(now, Ordering::Relaxed);
        Some(elapsed)
    }

    /// There have been `packets` more packets. For a meter that began with 0.
    pub(super) fn more(&self, packets: u64, now: u64, rate: &FlowRate) {
        let packets = self.packets.load(Ordering::Relaxed).saturating_add(packets);

        if let Some(elapsed) = self.elapsed(now) {
            self.packets.store(0, Ordering::Relaxed);
            rate.add(packets, elapsed);
        } else {
            self.packets.store(packets, Ordering::Relaxed);
        }
    }

    /// The counter stands at `packets` now. If it has been cleared since, only
    /// what came after that is known.
    pub(super) fn stands_at(&self, packets: u64, now: u64, rate: &FlowRate) {
        if let Some(elapsed) = self.elapsed(now) {
            let before = self.packets.swap(packets, Ordering::Relaxed);

            rate.add(packets.checked_sub(before).unwrap_or(packets), elapsed);
        }
    }
}
