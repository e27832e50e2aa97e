// SPDX-License-Identifier: GPL-2.0

//! Per-CPU variables of a module.
//!
//! C header: [`include/linux/percpu-defs.h`](srctree/include/linux/percpu-defs.h)

use core::{
    ptr,
    sync::atomic::{
        AtomicPtr,
        Ordering, //
    },
};

use kernel::{
    prelude::*,
    sync::rcu, //
};

use crate::{
    percpu::PerCpu,
    sync::bh::BhRcu, //
};

/// A per-CPU variable for a `static`, which has no memory until it is
/// [allocated](StaticPerCpu::alloc). C: `DEFINE_PER_CPU()`.
///
/// # Invariants
///
/// The pointer is null or to a live `PerCpu`, which is freed a grace period
/// after the pointer is set to null.
pub struct StaticPerCpu<T: Sync> {
    ptr: AtomicPtr<PerCpu<T>>,
}

impl<T: Sync + 'static> StaticPerCpu<T> {
    /// A variable without memory.
    #[allow(clippy::new_without_default, reason = "is for statics")]
    pub const fn new() -> Self {
        // INVARIANT: It is null.
        Self {
            ptr: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// Gives the variable zeroed memory for as long as what is returned lives.
    ///
    /// Fails with `ENOMEM`, and with `EBUSY` if it has memory.
    pub fn alloc(&'static self) -> Result<StaticPerCpuMemory<T>>
    where
        T: Zeroable,
    {
        let memory = KBox::new(PerCpu::new(GFP_KERNEL)?, GFP_KERNEL)?;
        let memory = KBox::into_raw(memory);
        // INVARIANT: `memory` is live; `StaticPerCpuMemory` frees it.
        let set = self.ptr.compare_exchange(
            ptr::null_mut(),
            memory,
            Ordering::Release,
            Ordering::Relaxed,
        );
        if set.is_err() {
            // SAFETY: It is from `KBox::into_raw` above and was not given away.
            drop(unsafe { KBox::from_raw(memory) });
            return Err(EBUSY);
        }
        Ok(StaticPerCpuMemory(self))
    }

    /// This CPU's copy; nothing while the variable has no memory.
    #[inline]
    pub fn this<'a>(&'static self, ctx: BhRcu<'a>) -> Option<&'a T> {
        // SAFETY: By the type invariants the memory stays for a grace period,
        // and thus for `'a`, for which the RCU read lock is held.
        let memory: &'a PerCpu<T> = unsafe { self.ptr.load(Ordering::Acquire).as_ref() }?;
        Some(memory.this(ctx))
    }
}

/// The memory of a [`StaticPerCpu`].
pub struct StaticPerCpuMemory<T: Sync + 'static>(&'static StaticPerCpu<T>);

impl<T: Sync + 'static> Drop for StaticPerCpuMemory<T> {
    /// Sleeps for a grace period.
    fn drop(&mut self) {
        let memory = self.0.ptr.swap(ptr::null_mut(), Ordering::Relaxed);
        rcu::synchronize_rcu();
        // SAFETY: It is from `KBox::into_raw` in `alloc`, nobody could get it
        // from the variable for a grace period, and it is freed once.
        drop(unsafe { KBox::from_raw(memory) });
    }
}
