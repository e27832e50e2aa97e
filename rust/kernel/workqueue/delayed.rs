// SPDX-License-Identifier: GPL-2.0

//! A delayed work item in a `static`.

use core::{
    pin::Pin,
    sync::atomic::{
        AtomicBool,
        Ordering, //
    },
};

use kernel::{
    ffi,
    prelude::*,
    str::CStrExt,
    sync::LockClassKey,
    types::Opaque, //
};

use crate::{
    bindings,
    sync::lazy_init::LazyInit, //
};

/// A function to be run in process context some time from now, once for any
/// number of requests that come before it begins.
///
/// # Invariants
///
/// `work` is initialised once, as `state` says, and never moves. It is enabled
/// while there is a guard, of which `enabled` allows one at a time.
pub struct StaticDelayedWork {
    work: Opaque<bindings::delayed_work>,
    state: LazyInit,
    enabled: AtomicBool,
    func: fn(),
    name: &'static CStr,
    keys: [Pin<&'static LockClassKey>; 2],
}

// SAFETY: Work items may be queued from any thread.
unsafe impl Sync for StaticDelayedWork {}

impl StaticDelayedWork {
    /// A work item that cannot be queued yet. The keys are those of the item
    /// and of its timer.
    pub const fn new(
        func: fn(),
        name: &'static CStr,
        keys: [Pin<&'static LockClassKey>; 2],
    ) -> Self {
        Self {
            work: Opaque::uninit(),
            state: LazyInit::new(),
            enabled: AtomicBool::new(false),
            func,
            name,
            keys,
        }
    }

    /// Makes the work item ready to be queued, for as long as what comes back
    /// lives. `EBUSY` if it is so already. C: `INIT_DELAYED_WORK()` and
    /// `enable_delayed_work()`.
    pub fn enable(&'static self) -> Result<StaticDelayedWorkGuard> {
        if self.enabled.swap(true, Ordering::Acquire) {
            return Err(EBUSY);
        }
        let [work_key, timer_key] = self.keys;
        let work = self.work.get();
        // It begins as one that was disabled.
        let init = || {
            // SAFETY: Only one thread gets here, once, and nothing uses the item
            // before; name and keys are static. The timer is that of a delayed
            // work item, so its function is the right one.
            unsafe {
                bindings::init_work_with_key(
                    &raw mut (*work).work,
                    Some(Self::run),
                    false,
                    self.name.as_char_ptr(),
                    work_key.as_ptr(),
                );
                bindings::timer_init_key(
                    &raw mut (*work).timer,
                    Some(bindings::delayed_work_timer_fn),
                    bindings::TIMER_IRQSAFE,
                    self.name.as_char_ptr(),
                    timer_key.as_ptr(),
                );
                bindings::disable_delayed_work(work);
            }
        };
        // Nobody else initialises it, see the flag.
        self.state.ensure(init);
        // SAFETY: It is initialised, and was disabled once more than enabled.
        unsafe { bindings::enable_delayed_work(work) };
        // INVARIANT: There was no guard.
        Ok(StaticDelayedWorkGuard(self))
    }

    /// Has the function run in `msecs` milliseconds or soon after.
    /// C: `queue_delayed_work(system_percpu_wq, …)`.
    ///
    /// From any context. Does nothing if it is queued already, or not enabled.
    pub fn queue(&'static self, msecs: u32) {
        if !self.state.is_ready() {
            return;
        }
        // SAFETY: By the type invariants the item is initialised; the queue is
        // there for as long as the kernel runs.
        unsafe {
            bindings::queue_delayed_work_on(
                bindings::wq_misc_consts_WORK_CPU_UNBOUND as ffi::c_int,
                bindings::system_percpu_wq,
                self.work.get(),
                bindings::__msecs_to_jiffies(msecs),
            )
        };
    }

    /// Called by C.
    ///
    /// # Safety
    ///
    /// Only for C, with the work of an item of this type.
    unsafe extern "C" fn run(work: *mut bindings::work_struct) {
        // SAFETY: C calls this with the `work` of the `delayed_work` of an item
        // that is static.
        let this = unsafe {
            let delayed = kernel::container_of!(work, bindings::delayed_work, work);

            &*kernel::container_of!(
                delayed.cast::<Opaque<bindings::delayed_work>>(),
                StaticDelayedWork,
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
pub struct StaticDelayedWorkGuard(&'static StaticDelayedWork);

impl Drop for StaticDelayedWorkGuard {
    fn drop(&mut self) {
        // SAFETY: It is initialised. From here on, queueing it does nothing.
        unsafe { bindings::disable_delayed_work_sync(self.0.work.get()) };
        self.0.enabled.store(false, Ordering::Release);
    }
}
