// SPDX-License-Identifier: GPL-2.0

//! A datapath's meters by number.

use core::sync::atomic::{
    AtomicU32,
    Ordering, //
};

use kernel::{
    page::PAGE_SIZE,
    prelude::*,
    sync::SpinLock, //
};

use kernel_ext::{
    mem::nr_free_buffer_pages,
    sync::rcu::{
        RcuArc,
        RcuRead,
        RcuSlot, //
    }, //
};

use super::{
    DpMeter,
    MeterStats, //
};
use crate::datapath::state::OvsGuard;

/// How many places there are at least.
const DP_METER_ARRAY_SIZE_MIN: usize = 1 << 10;

/// How many meters there can be, whatever memory there is.
const DP_METER_NUM_MAX: usize = 200_000;

/// The size of C's `struct dp_meter` without bands, from which it reckons how
/// many fit into the memory that it grants them: lock, RCU head, numbers and
/// flags, time, and statistics.
const SIZEOF_DP_METER: usize = size_of::<SpinLock<()>>().next_multiple_of(size_of::<usize>())
    + 2 * size_of::<usize>()
    + 2 * size_of::<u64>()
    + size_of::<u64>()
    + size_of::<MeterStats>();

/// An array of places. A meter is at its number modulo the array's size, alone.
///
/// C: `struct dp_meter_instance`.
struct DpMeterInstance {
    dp_meters: KVVec<RcuSlot<DpMeter>>,
}

impl DpMeterInstance {
    /// Places with nothing in them. Fails with `ENOMEM`.
    ///
    /// C: `dp_meter_instance_alloc()`.
    fn new(size: usize) -> Result<RcuArc<Self>> {
        let mut dp_meters = KVVec::with_capacity(size, GFP_KERNEL)?;
        for _ in 0..size {
            dp_meters.push(RcuSlot::empty(), GFP_KERNEL)?;
        }
        Ok(RcuArc::new(Self { dp_meters }, GFP_KERNEL)?)
    }

    /// How many places there are: a power of two.
    #[inline]
    fn n_meters(&self) -> usize {
        self.dp_meters.len()
    }

    /// The place of a number.
    ///
    /// C: `meter_hash()`.
    #[inline]
    fn slot(&self, id: u32) -> Option<&RcuSlot<DpMeter>> {
        let place = id as usize & self.n_meters().wrapping_sub(1);

        self.dp_meters.get(place)
    }
}

/// A datapath's meters. Read under RCU, changed under `ovs_mutex`.
///
/// When the array grows, meters keep their places, as in C. One whose number has
/// another place then is not found any more: userspace has to take the lowest
/// numbers that are free, as ovs-vswitchd does.
///
/// C: `struct dp_meter_table`.
pub(crate) struct DpMeterTable {
    ti: RcuSlot<DpMeterInstance>,
    count: AtomicU32,
    max_meters_allowed: u32,
}

impl DpMeterTable {
    /// A table without meters. Fails with `ENOMEM`, also where there is so
    /// little memory that there could be none.
    ///
    /// C: `ovs_meters_init()`.
    pub(crate) fn new() -> Result<Self> {
        // Some 3 % of the memory.
        let free_mem_bytes = nr_free_buffer_pages().saturating_mul(PAGE_SIZE >> 5);

        Self::with_limit((free_mem_bytes / SIZEOF_DP_METER).min(DP_METER_NUM_MAX))
    }

    /// A table with room for fewer meters than `limit`. Fails with `ENOMEM`, also
    /// if that is 0.
    pub(crate) fn with_limit(limit: usize) -> Result<Self> {
        if limit == 0 {
            return Err(ENOMEM);
        }
        Ok(Self {
            ti: RcuSlot::new(DpMeterInstance::new(DP_METER_ARRAY_SIZE_MIN)?),
            count: AtomicU32::new(0),
            max_meters_allowed: u32::try_from(limit).unwrap_or(u32::MAX),
        })
    }

    /// How many meters userspace is told that there can be. One fewer fit.
    pub(crate) fn max_meters_allowed(&self) -> u32 {
        self.max_meters_allowed
    }

    /// The meter with this number.
    ///
    /// C: `lookup_meter()`.
    #[inline]
    pub(crate) fn lookup<'g>(&self, rcu: RcuRead<'g>, id: u32) -> Option<&'g DpMeter> {
        self.ti
            .get(rcu)?
            .slot(id)?
            .get(rcu)
            .filter(|meter| meter.id == id)
    }

    /// The meter with this number, with a reference of its own.
    pub(crate) fn load(&self, _lock: &OvsGuard, id: u32) -> Option<RcuArc<DpMeter>> {
        self.ti
            .load()?
            .slot(id)?
            .load()
            .filter(|meter| meter.id == id)
    }

    /// Publishes an array of another size, whose places have what they had.
    /// Fails with `ENOMEM`.
    ///
    /// C: `dp_meter_instance_realloc()`.
    fn realloc(&self, ti: &DpMeterInstance, size: usize) -> Result<RcuArc<DpMeterInstance>> {
        let new = DpMeterInstance::new(size)?;
        for (to, from) in new.dp_meters.iter().zip(&ti.dp_meters) {
            if !from.is_empty() {
                to.replace(from.load());
            }
        }
        self.ti.replace(Some(new.clone()));
        Ok(new)
    }

    /// Puts a meter in.
    ///
    /// C: `attach_meter()`.
    ///
    /// # Errors
    ///
    /// `EFBIG` if there are too many, `EBUSY` if another meter has its place,
    /// `ENOMEM`. The array may have grown then.
    fn attach(&self, _lock: &OvsGuard, meter: RcuArc<DpMeter>) -> Result {
        let count = self.count.load(Ordering::Relaxed).wrapping_add(1);
        if count >= self.max_meters_allowed {
            return Err(EFBIG);
        }

        let mut ti = self.ti.load().ok_or(ENOMEM)?;
        if count as usize >= ti.n_meters() {
            ti = self.realloc(&ti, ti.n_meters().saturating_mul(2))?;
        }

        let slot = ti.slot(meter.id).ok_or(ENOMEM)?;
        if !slot.is_empty() {
            return Err(EBUSY);
        }
        slot.replace(Some(meter));
        self.count.store(count, Ordering::Relaxed);
        Ok(())
    }

    /// Takes the meter with this number out, if there is one, and gives it back.
    ///
    /// C: `detach_meter()`, after `lookup_meter()`.
    ///
    /// # Errors
    ///
    /// `ENOMEM` if the array should shrink and cannot; the meter stays then.
    pub(crate) fn detach(&self, lock: &OvsGuard, id: u32) -> Result<Option<RcuArc<DpMeter>>> {
        let Some(meter) = self.load(lock, id) else {
            return Ok(None);
        };
        let ti = self.ti.load().ok_or(ENOMEM)?;
        let slot = ti.slot(id).ok_or(ENOMEM)?;
        let count = self.count.load(Ordering::Relaxed).wrapping_sub(1);

        slot.replace(None);
        let n_meters = ti.n_meters();
        let half_size = n_meters / 2;
        // What the upper half has cannot be moved: its place may be another's.
        if n_meters > DP_METER_ARRAY_SIZE_MIN
            && count as usize <= n_meters / 4
            && ti.dp_meters.iter().skip(half_size).all(RcuSlot::is_empty)
        {
            if let Err(err) = self.realloc(&ti, half_size) {
                slot.replace(Some(meter));
                return Err(err);
            }
        }
        self.count.store(count, Ordering::Relaxed);
        Ok(Some(meter))
    }

    /// Puts a meter in, in place of the one with its number, if there is one,
    /// which comes back.
    ///
    /// # Errors
    ///
    /// Those of [`Self::detach`]; `EFBIG` if there are too many meters, `EBUSY` if
    /// one of another number has its place, `ENOMEM`.
    pub(crate) fn set(
        &self,
        lock: &OvsGuard,
        meter: RcuArc<DpMeter>,
    ) -> Result<Option<RcuArc<DpMeter>>> {
        let old_meter = self.detach(lock, meter.id)?;

        self.attach(lock, meter)?;
        Ok(old_meter)
    }
}
