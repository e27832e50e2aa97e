// SPDX-License-Identifier: GPL-2.0

//! Which mask a packet matched last.
//!
//! Each CPU has sets of one cache line with eight entries. An entry holds part
//! of the hash and the mask's place in the array; it is a hint, the flow found
//! under that mask is compared as always, so a wrong entry costs time only.

use core::sync::atomic::{
    AtomicU64,
    Ordering, //
};

use kernel::prelude::*;

use kernel_ext::{
    percpu::nr_cpu_ids,
    sync::{
        bh::BhRcu,
        rcu::RcuArc, //
    },
};

/// Entries in a set.
const WAYS: usize = 8;

/// One cache line of entries: 48 bits of the hash, 16 bits of mask index + 1.
#[repr(align(64))]
struct Set([AtomicU64; WAYS]);

/// The cache of all CPUs.
///
/// C: `struct mask_cache`, whose entries are looked up by the packet's hash.
pub(crate) struct MaskCache {
    size: u32,
    /// `size` sets for each CPU.
    sets: KVVec<Set>,
}

const INDEX_BITS: u64 = 0xffff;

impl MaskCache {
    /// Whether a cache can have this many sets.
    pub(crate) fn size_ok(size: u32) -> bool {
        size == 0 || size.is_power_of_two()
    }

    /// A cache, ready to be published.
    pub(crate) fn new(size: u32) -> Result<RcuArc<Self>> {
        Ok(RcuArc::new(Self::sized(size)?, GFP_KERNEL)?)
    }

    /// A cache with this many sets for each CPU.
    pub(crate) fn sized(size: u32) -> Result<Self> {
        let n = (size as usize)
            .checked_mul(nr_cpu_ids() as usize)
            .ok_or(ENOMEM)?;
        let mut sets = KVVec::with_capacity(n, GFP_KERNEL)?;
        for _ in 0..n {
            sets.push(Set([const { AtomicU64::new(0) }; WAYS]), GFP_KERNEL)?;
        }
        Ok(Self { size, sets })
    }

    /// How many sets each CPU has.
    pub(crate) fn size(&self) -> u32 {
        self.size
    }

    #[inline]
    fn set_of(&self, ctx: BhRcu<'_>, hash: u64) -> Option<&Set> {
        let in_cpu = hash as u32 & self.size.checked_sub(1)?;
        let first = (ctx.cpu() as usize).checked_mul(self.size as usize)?;
        self.sets.get(first.checked_add(in_cpu as usize)?)
    }

    /// The place of the mask that a packet with this hash matched last.
    #[inline]
    pub(crate) fn get(&self, ctx: BhRcu<'_>, hash: u64) -> Option<usize> {
        for entry in &self.set_of(ctx, hash)?.0 {
            let entry = entry.load(Ordering::Relaxed);
            if (entry ^ hash) & !INDEX_BITS == 0 {
                return ((entry & INDEX_BITS) as usize).checked_sub(1);
            }
        }
        None
    }

    /// Remembers the place of the mask that a packet with this hash matched.
    #[inline]
    pub(crate) fn set(&self, ctx: BhRcu<'_>, hash: u64, index: usize) {
        let Some(set) = self.set_of(ctx, hash) else {
            return;
        };
        let index = index.wrapping_add(1) as u64;
        if index > INDEX_BITS {
            return;
        }
        let value = (hash & !INDEX_BITS) | index;
        // The entry of the same hash, or the one that other bits of it choose.
        let victim = set
            .0
            .iter()
            .find(|e| (e.load(Ordering::Relaxed) ^ hash) & !INDEX_BITS == 0)
            .or_else(|| set.0.get((hash >> 56) as usize % WAYS));
        if let Some(entry) = victim {
            entry.store(value, Ordering::Relaxed);
        }
    }
}
