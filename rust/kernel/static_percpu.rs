// SPDX-License-Identifier: GPL-2.0

//! Per-CPU variables of a module.
//!
//! C header: [`include/linux/percpu-defs.h`](srctree/include/linux/percpu-defs.h)

use core::{
    ffi::c_void,
    marker::PhantomData,
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
    percpu::{
        per_cpu_ptr,
        PerCpu, //
    },
    sync::bh::BhRcu, //
};

/// A per-CPU variable for a `static`, which has no memory until it is
/// [allocated](StaticPerCpu::alloc). C: `DEFINE_PER_CPU()`.
///
/// # Invariants
///
/// The pointer is null or that of a live [`PerCpu`], which is freed a grace
/// period after the pointer is set to null.
pub struct StaticPerCpu<T: Send> {
    ptr: AtomicPtr<c_void>,
    _data: PhantomData<T>,
}

// SAFETY: As of a `PerCpu`: a copy is handed out to one CPU in a context in which
// it is one thread's at a time, and `T` is `Send`.
unsafe impl<T: Send> Sync for StaticPerCpu<T> {}

impl<T: Send + 'static> StaticPerCpu<T> {
    /// A variable without memory.
    #[allow(clippy::new_without_default, reason = "is for statics")]
    pub const fn new() -> Self {
        // INVARIANT: It is null.
        Self {
            ptr: AtomicPtr::new(ptr::null_mut()),
            _data: PhantomData,
        }
    }

    /// Gives the variable memory, a `T` of default value for each CPU, for as
    /// long as what is returned lives.
    ///
    /// Fails with `ENOMEM`, and with `EBUSY` if it has memory.
    pub fn alloc(&'static self) -> Result<StaticPerCpuMemory<T>>
    where
        T: Default,
    {
        let memory = PerCpu::new_with(T::default, GFP_KERNEL)?;
        // INVARIANT: `StaticPerCpuMemory` keeps it alive and sets it to null.
        self.ptr
            .compare_exchange(
                ptr::null_mut(),
                memory.as_ptr(),
                Ordering::Release,
                Ordering::Relaxed,
            )
            .map_err(|_| EBUSY)?;
        Ok(StaticPerCpuMemory {
            variable: self,
            _memory: memory,
        })
    }

    /// This CPU's copy; nothing while the variable has no memory.
    #[inline]
    pub fn this<'a>(&'static self, ctx: BhRcu<'a>) -> Option<&'a T> {
        let ptr = self.ptr.load(Ordering::Acquire);
        if ptr.is_null() {
            return None;
        }
        // SAFETY: By the type invariants the memory stays for a grace period,
        // and thus for `'a`, for which the RCU read lock is held; the CPU runs.
        Some(unsafe { &*per_cpu_ptr(ptr, ctx.cpu()).cast::<T>() })
    }
}

/// The memory of a [`StaticPerCpu`].
pub struct StaticPerCpuMemory<T: Send + 'static> {
    variable: &'static StaticPerCpu<T>,
    _memory: PerCpu<T>,
}

impl<T: Send + 'static> Drop for StaticPerCpuMemory<T> {
    /// Sleeps for a grace period.
    fn drop(&mut self) {
        self.variable.ptr.store(ptr::null_mut(), Ordering::Relaxed);
        rcu::synchronize_rcu();
    }
}
