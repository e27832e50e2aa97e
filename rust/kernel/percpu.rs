// SPDX-License-Identifier: GPL-2.0

//! Per-CPU memory.
//!
//! C header: [`include/linux/percpu.h`](srctree/include/linux/percpu.h)

use core::{
    marker::PhantomData,
    ptr::NonNull,
    sync::atomic::{
        AtomicU64,
        Ordering, //
    },
};

use kernel::{
    alloc::{
        AllocError,
        Flags, //
    },
    prelude::*, //
};

use crate::{
    bindings,
    gfp,
    sync::bh::BhRcu, //
};

/// How many CPU numbers there are; every CPU's number is below it.
///
/// C: `nr_cpu_ids`.
#[inline]
pub fn nr_cpu_ids() -> u32 {
    // SAFETY: Reads a variable that does not change after boot.
    unsafe { bindings::nr_cpu_ids() }
}

/// Where `cpu` has its copy of `ptr`. C: `per_cpu_ptr()`.
///
/// # Safety
///
/// `ptr` is what `alloc_percpu()` gave, and the CPU is possible.
#[inline]
pub(crate) unsafe fn per_cpu_ptr(ptr: *mut core::ffi::c_void, cpu: u32) -> *mut core::ffi::c_void {
    // This is on the path of every packet, so it is not left to C.
    #[cfg(CONFIG_SMP)]
    {
        // SAFETY: A possible CPU has an offset, which does not change after
        // boot.
        let offset = unsafe {
            (&raw const bindings::__per_cpu_offset)
                .cast::<usize>()
                .add(cpu as usize)
                .read()
        };
        ptr.wrapping_byte_add(offset)
    }
    #[cfg(not(CONFIG_SMP))]
    {
        // SAFETY: By the safety requirements.
        unsafe { bindings::per_cpu_ptr(ptr, cpu) }
    }
}

/// One `T` for each possible CPU.
///
/// # Invariants
///
/// `ptr` is what `alloc_percpu()` gave, with an initialised `T` for every
/// possible CPU.
pub struct PerCpu<T> {
    ptr: NonNull<core::ffi::c_void>,
    _data: PhantomData<T>,
}

// SAFETY: The copies may be used and dropped on another thread if they are
// `Send`.
unsafe impl<T: Send> Send for PerCpu<T> {}
// SAFETY: A copy is handed out to one CPU with bottom halves disabled, so to one
// thread at a time, one after the other, for which `T` is `Send`; or it is
// `Sync`.
unsafe impl<T: Send> Sync for PerCpu<T> {}

impl<T> PerCpu<T> {
    /// Allocates a zeroed copy for each CPU.
    pub fn new(flags: Flags) -> Result<Self, AllocError>
    where
        T: Zeroable,
    {
        // SAFETY: Only a size, an alignment and flags are passed.
        let ptr = unsafe {
            bindings::alloc_percpu_gfp(size_of::<T>(), align_of::<T>(), gfp::as_raw(flags))
        };
        // INVARIANT: The memory is zeroed, which is a valid `T`.
        Ok(Self {
            ptr: NonNull::new(ptr.cast()).ok_or(AllocError)?,
            _data: PhantomData,
        })
    }

    /// Allocates a copy for each CPU, made by `init`.
    pub fn new_with(mut init: impl FnMut() -> T, flags: Flags) -> Result<Self, AllocError> {
        // SAFETY: Only a size, an alignment and flags are passed.
        let ptr = unsafe {
            bindings::alloc_percpu_gfp(size_of::<T>(), align_of::<T>(), gfp::as_raw(flags))
        };
        let ptr = NonNull::new(ptr.cast::<core::ffi::c_void>()).ok_or(AllocError)?;
        for cpu in possible_cpus() {
            // SAFETY: The CPU is possible, so it has a copy, which nothing else
            // knows of yet.
            unsafe { per_cpu_ptr(ptr.as_ptr(), cpu).cast::<T>().write(init()) };
        }
        // INVARIANT: Every possible CPU's copy was written.
        Ok(Self {
            ptr,
            _data: PhantomData,
        })
    }

    /// This CPU's copy.
    #[inline]
    pub fn this<'a>(&'a self, ctx: BhRcu<'a>) -> &'a T {
        // SAFETY: By the type invariants; the CPU runs, so it is possible. For
        // as long as the context lasts no other thread has this CPU's copy.
        unsafe { &*per_cpu_ptr(self.ptr.as_ptr(), ctx.cpu()).cast::<T>() }
    }

    /// The memory, as `alloc_percpu()` gave it.
    pub(crate) fn as_ptr(&self) -> *mut core::ffi::c_void {
        self.ptr.as_ptr()
    }

    /// Every CPU's copy in turn.
    pub fn for_each(&self, mut f: impl FnMut(&T))
    where
        T: Sync,
    {
        for cpu in possible_cpus() {
            // SAFETY: By the type invariants every possible CPU has a `T`.
            f(unsafe { &*per_cpu_ptr(self.ptr.as_ptr(), cpu).cast::<T>() });
        }
    }
}

/// The numbers of the possible CPUs.
fn possible_cpus() -> impl Iterator<Item = u32> {
    // SAFETY: Tests a bit of a mask that does not change after boot.
    (0..nr_cpu_ids()).filter(|&cpu| unsafe { bindings::cpu_possible(cpu) })
}

impl<T> Drop for PerCpu<T> {
    fn drop(&mut self) {
        if core::mem::needs_drop::<T>() {
            for cpu in possible_cpus() {
                // SAFETY: By the type invariants it is initialised, and nothing
                // refers to it any more.
                unsafe {
                    per_cpu_ptr(self.ptr.as_ptr(), cpu)
                        .cast::<T>()
                        .drop_in_place()
                };
            }
        }
        // SAFETY: It came from `alloc_percpu()` and is freed once.
        unsafe { bindings::free_percpu(self.ptr.as_ptr().cast()) };
    }
}

/// A counter that one CPU writes and all may read.
///
/// Adding is a load and a store, no atomic read-modify-write; additions from
/// more than one context of the same CPU at a time may be lost.
#[repr(transparent)]
pub struct Counter(AtomicU64);

// SAFETY: Zero is a valid count.
unsafe impl Zeroable for Counter {}

impl Counter {
    /// A counter at zero.
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Adds `n`, wrapping.
    #[inline]
    pub fn add(&self, n: u64) {
        let old = self.0.load(Ordering::Relaxed);
        self.0.store(old.wrapping_add(n), Ordering::Relaxed);
    }

    /// Sets the counter.
    #[inline]
    pub fn set(&self, n: u64) {
        self.0.store(n, Ordering::Relaxed);
    }

    /// What has been counted so far.
    #[inline]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Default for Counter {
    fn default() -> Self {
        Self::new()
    }
}
