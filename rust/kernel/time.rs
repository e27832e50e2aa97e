// SPDX-License-Identifier: GPL-2.0

//! Time in ticks.
//!
//! C header: [`include/linux/jiffies.h`](srctree/include/linux/jiffies.h)

use kernel::ffi;

use crate::bindings;

/// The time now, in jiffies.
#[inline]
pub fn jiffies() -> usize {
    // SAFETY: The variable is always there; it changes under us, hence the
    // volatile read.
    unsafe { (&raw const bindings::jiffies).read_volatile() }
}

/// Jiffies as milliseconds.
///
/// C: `jiffies_to_msecs()`.
#[inline]
pub fn jiffies_to_msecs(j: usize) -> u32 {
    // SAFETY: Arithmetic on a number.
    unsafe { bindings::ovs_jiffies_to_msecs(j as ffi::c_ulong) }
}

/// Whether `a` is later than `b`.
///
/// C: `time_after()`.
#[inline]
pub fn time_after(a: usize, b: usize) -> bool {
    (b.wrapping_sub(a) as isize) < 0
}

/// Milliseconds since boot, on the monotonic clock.
///
/// C: `ktime_get_ts64()`, as `ovs_flow_used_time()` uses it.
#[inline]
pub fn boot_msecs() -> u64 {
    boot_nsecs() / 1_000_000
}

/// Nanoseconds since boot, on the monotonic clock.
///
/// C: `ktime_get()`.
#[inline]
pub fn boot_nsecs() -> u64 {
    // SAFETY: Reads the clock.
    let ns = unsafe { bindings::ktime_get() };
    u64::try_from(ns).unwrap_or(0)
}
