// SPDX-License-Identifier: GPL-2.0

//! A mutex in a `static`, ready without an initialisation call.
//!
//! C: `DEFINE_MUTEX()`. C header: [`include/linux/mutex.h`](srctree/include/linux/mutex.h)

use core::sync::atomic::{
    AtomicU8,
    Ordering, //
};

use kernel::{
    str::CStrExt,
    sync::LockClassKey,
    types::{
        NotThreadSafe,
        Opaque, //
    },
};

use crate::bindings;

const UNINIT: u8 = 0;
const INITIALISING: u8 = 1;
const READY: u8 = 2;

/// A mutex that protects what its user says it does.
///
/// # Invariants
///
/// `inner` is initialised if `state` is [`READY`].
pub struct StaticMutex {
    inner: Opaque<bindings::mutex>,
    state: AtomicU8,
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
            state: AtomicU8::new(UNINIT),
            name,
            key,
        }
    }

    /// Takes the lock. Sleeps.
    pub fn lock(&'static self) -> StaticMutexGuard {
        if self.state.load(Ordering::Acquire) != READY {
            self.init();
        }
        // SAFETY: By the type invariants the mutex is initialised.
        unsafe { bindings::mutex_lock(self.inner.get()) };
        // INVARIANT: The lock was just taken.
        StaticMutexGuard(self, NotThreadSafe)
    }

    #[cold]
    fn init(&'static self) {
        match self.state.compare_exchange(
            UNINIT,
            INITIALISING,
            Ordering::Acquire,
            Ordering::Acquire,
        ) {
            Ok(_) => {
                // SAFETY: Only the thread that changed the state gets here, and
                // the name and the key are static.
                unsafe {
                    bindings::__mutex_init(
                        self.inner.get(),
                        self.name.as_char_ptr(),
                        self.key.as_ptr(),
                    )
                };
                // INVARIANT: Initialised above.
                self.state.store(READY, Ordering::Release);
            }
            Err(_) => {
                while self.state.load(Ordering::Acquire) != READY {
                    core::hint::spin_loop();
                }
            }
        }
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
