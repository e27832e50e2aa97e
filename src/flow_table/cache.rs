// SPDX-License-Identifier: GPL-2.0

//! Which mask a packet matched last.
//!
//! Sets of one cache line with eight entries. An entry holds part of the hash
//! and the mask's place in the array; it is a hint, the flow found under that
//! mask is compared as always, so a wrong entry costs time only. CPUs share the
//! sets: they only read them, unless a packet's mask is not known yet.

use core::sync::atomic::{
    AtomicU64,
    Ordering, //
};

use kernel::prelude::*;

use kernel_ext::{
    percpu::nr_cpu_ids,
    sync::rcu::RcuArc, //
};

/// Entries in a set.
const WAYS: usize = 8;

/// One cache line of entries: 48 bits of the hash, 16 bits of mask index + 1.
#[repr(align(64))]
struct Set([AtomicU64; WAYS]);

/// The cache.
///
/// C: `struct mask_cache`, one per CPU, whose entries are looked up by the
/// packet's hash.
pub(crate) struct MaskCache {
    /// What userspace set.
    size: u32,
    /// A power of two of them, or none.
    sets: KVVec<Set>,
}

const INDEX_BITS: u64 = 0xffff;

/// The most sets that a cache grows to by itself: 32 MiB.
const MAX_SETS: usize = 1 << 19;

impl MaskCache {
    /// A cache of `size` sets for each CPU, but at least so many that `flows`
    /// flows find room; none if `size` is 0. The size must be 0 or a power of
    /// two: `EINVAL`.
    pub(crate) fn new(size: u32, flows: usize) -> Result<RcuArc<Self>> {
        let n = match size {
            0 => 0,
            size if !size.is_power_of_two() => return Err(EINVAL),
            size => (size as usize)
                .saturating_mul(nr_cpu_ids() as usize)
                .max((flows / WAYS).saturating_mul(4).min(MAX_SETS))
                .checked_next_power_of_two()
                .ok_or(ENOMEM)?,
        };
        let mut sets = KVVec::with_capacity(n, GFP_KERNEL)?;
        for _ in 0..n {
            sets.push(Set([const { AtomicU64::new(0) }; WAYS]), GFP_KERNEL)?;
        }
        Ok(RcuArc::new(Self { size, sets }, GFP_KERNEL)?)
    }

    /// What userspace set.
    pub(crate) fn size(&self) -> u32 {
        self.size
    }

    /// Whether so many flows want a larger cache.
    pub(crate) fn is_small_for(&self, flows: usize) -> bool {
        self.size != 0
            && flows > self.sets.len().saturating_mul(WAYS / 2)
            && self.sets.len() < MAX_SETS
    }

    #[inline]
    fn set_of(&self, hash: u64) -> Option<&Set> {
        let mask = self.sets.len().wrapping_sub(1);
        self.sets.get((hash >> 16) as usize & mask)
    }

    /// The place of the mask that a packet with this hash matched last.
    #[inline]
    pub(crate) fn get(&self, hash: u64) -> Option<usize> {
        for entry in &self.set_of(hash)?.0 {
            let entry = entry.load(Ordering::Relaxed);
            if (entry ^ hash) & !INDEX_BITS == 0 {
                return ((entry & INDEX_BITS) as usize).checked_sub(1);
            }
        }
        None
    }

    /// Remembers the place of the mask that a packet with this hash matched.
    #[inline]
    pub(crate) fn set(&self, hash: u64, index: usize) {
        let Some(set) = self.set_of(hash) else {
            return;
        };
        let index = index.wrapping_add(1) as u64;
        if index > INDEX_BITS {
            return;
        }
        // The entry of the same hash, a free one, or the one that other bits
        // of the hash choose.
        let same = |e: &&AtomicU64| (e.load(Ordering::Relaxed) ^ hash) & !INDEX_BITS == 0;
        let free = |e: &&AtomicU64| e.load(Ordering::Relaxed) == 0;
        let victim = set
            .0
            .iter()
            .find(same)
            .or_else(|| set.0.iter().find(free))
            .or_else(|| set.0.get((hash >> 58) as usize % WAYS));
        if let Some(entry) = victim {
            entry.store((hash & !INDEX_BITS) | index, Ordering::Relaxed);
        }
    }
}
