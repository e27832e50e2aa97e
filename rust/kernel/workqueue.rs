// SPDX-License-Identifier: GPL-2.0

//! Work items in a `static`.
//!
//! C header: [`include/linux/workqueue.h`](srctree/include/linux/workqueue.h)

pub mod delayed;

use core::{
    pin::Pin,
    sync::atomic::{
        AtomicBool,
        Ordering, //
    },
};

use kernel::{
    prelude::*,
    str::CStrExt,
    sync::LockClassKey,
    types::Opaque, //
};

use crate::{
    bindings,
    sync::lazy_init::LazyInit, //
};

/// A function to be run in process context, once for any number of requests
/// that come before it begins.
///
/// # Invariants
///
/// `work` is initialised once, as `state` says, and never moves. It is enabled
/// while there is a guard, of which `enabled` allows one at a time.
pub struct StaticWork {
    work: Opaque<bindings::work_struct>,
    state: LazyInit,
    enabled: AtomicBool,
    func: fn(),
    name: &'static CStr,
    key: Pin<&'static LockClassKey>,
}

// SAFETY: Work items may be queued from any thread.
unsafe impl Sync for StaticWork {}

impl StaticWork {
    /// A work item that cannot be queued yet.
    pub const fn new(func: fn(), name: &'static CStr, key: Pin<&'static LockClassKey>) -> Self {
        Self {
            work: Opaque::uninit(),
            state: LazyInit::new(),
            enabled: AtomicBool::new(false),
            func,
            name,
            key,
        }
    }

    /// Makes the work item ready to be queued, for as long as what comes back
    /// lives. `EBUSY` if it is so already. C: `INIT_WORK()` and `enable_work()`.
    pub fn enable(&'static self) -> Result<StaticWorkGuard> {
        if self.enabled.swap(true, Ordering::Acquire) {
            return Err(EBUSY);
        }
        // It begins as one that was disabled.
        let init = || {
            // SAFETY: Only one thread gets here, once, and nothing uses the item
            // before; name and key are static.
            unsafe {
                bindings::init_work_with_key(
                    self.work.get(),
                    Some(Self::run),
                    false,
                    self.name.as_char_ptr(),
                    self.key.as_ptr(),
                );
                bindings::disable_work(self.work.get());
            }
        };
        // Nobody else initialises it, see the flag.
        self.state.ensure(init);
        // SAFETY: It is initialised, and was disabled once more than enabled.
        unsafe { bindings::enable_work(self.work.get()) };
        // INVARIANT: There was no guard.
        Ok(StaticWorkGuard(self))
    }

    /// Has the function run soon. C: `queue_work(system_percpu_wq, …)`.
    ///
    /// From any context. Does nothing if it is queued already, or not enabled.
    pub fn queue(&'static self) {
        if !self.state.is_ready() {
            return;
        }
        // SAFETY: By the type invariants the item is initialised; the queue is
        // there for as long as the kernel runs.
        unsafe {
            bindings::queue_work_on(
                bindings::wq_misc_consts_WORK_CPU_UNBOUND as kernel::ffi::c_int,
                bindings::system_percpu_wq,
                self.work.get(),
            )
        };
    }

    /// As [`StaticWork::queue`], on whatever CPU has time: for work that takes
    /// long. C: `queue_work(system_dfl_wq, …)`.
    pub fn queue_unbound(&'static self) {
        if !self.state.is_ready() {
            return;
        }
        // SAFETY: As in `queue()`.
        unsafe {
            bindings::queue_work_on(
                bindings::wq_misc_consts_WORK_CPU_UNBOUND as kernel::ffi::c_int,
                bindings::system_dfl_wq,
                self.work.get(),
            )
        };
    }

    /// Called by C.
    ///
    /// # Safety
    ///
    /// Only for C, with the `work` of a `StaticWork`.
    unsafe extern "C" fn run(work: *mut bindings::work_struct) {
        // SAFETY: C calls this with the `work` of an item that is static.
        let this = unsafe {
            &*kernel::container_of!(
                work.cast::<Opaque<bindings::work_struct>>(),
                StaticWork,
                work
            )
        };
        (this.func)();
    }
}

/// The work item can be queued for as long as this lives.
///
/// Dropping it takes the item off the queue, or waits until it has run. It may
/// sleep.
pub struct StaticWorkGuard(&'static StaticWork);

impl Drop for StaticWorkGuard {
    fn drop(&mut self) {
        // SAFETY: It is initialised. From here on, queueing it does nothing.
        unsafe { bindings::disable_work_sync(self.0.work.get()) };
        self.0.enabled.store(false, Ordering::Release);
    }
}
