// SPDX-License-Identifier: GPL-2.0

//! A mutex in a `static`, ready without an initialisation call.
//!
//! C: `DEFINE_MUTEX()`. C header: [`include/linux/mutex.h`](srctree/include/linux/mutex.h)

use kernel::{
    str::CStrExt,
    sync::LockClassKey,
    types::{
        NotThreadSafe,
        Opaque, //
    },
};

use super::lazy_init::LazyInit;
use crate::bindings;

/// A mutex that protects what its user says it does.
///
/// # Invariants
///
/// `inner` is initialised if `state` says so.
pub struct StaticMutex {
    inner: Opaque<bindings::mutex>,
    state: LazyInit,
    name: &'static kernel::str::CStr,
    key: core::pin::Pin<&'static LockClassKey>,
}

// SAFETY: A `struct mutex` may be used from any thread.
unsafe impl Sync for StaticMutex {}

impl StaticMutex {
    /// A mutex that is initialised when it is first locked.
    pub const fn new(
        name: &'static kernel::str::CStr,
        key: core::pin::Pin<&'static LockClassKey>,
    ) -> Self {
        Self {
            inner: Opaque::uninit(),
            state: LazyInit::new(),
            name,
            key,
        }
    }

    /// Takes the lock. Sleeps.
    pub fn lock(&'static self) -> StaticMutexGuard {
        let init = || {
            // SAFETY: Only one thread gets here, and the name and the key are
            // static.
            unsafe {
                bindings::__mutex_init(self.inner.get(), self.name.as_char_ptr(), self.key.as_ptr())
            };
        };
        while !self.state.ensure(init) {
            core::hint::spin_loop();
        }
        // SAFETY: The mutex is initialised, as `state` says.
        unsafe { bindings::mutex_lock(self.inner.get()) };
        // INVARIANT: The lock was just taken.
        StaticMutexGuard(self, NotThreadSafe)
    }
}

/// Holds a [`StaticMutex`] for as long as it lives.
///
/// # Invariants
///
/// The mutex is locked by this thread.
pub struct StaticMutexGuard(&'static StaticMutex, NotThreadSafe);

impl Drop for StaticMutexGuard {
    fn drop(&mut self) {
        // SAFETY: By the type invariants this thread holds the lock.
        unsafe { bindings::mutex_unlock(self.0.inner.get()) };
    }
}
