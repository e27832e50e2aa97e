// SPDX-License-Identifier: GPL-2.0

//! A lock for many readers or one writer, which may sleep.
//!
//! C header: [`include/linux/rwsem.h`](srctree/include/linux/rwsem.h)

use core::{
    cell::UnsafeCell,
    ops::{
        Deref,
        DerefMut, //
    },
    pin::Pin,
};

use kernel::{
    prelude::*,
    str::CStrExt,
    sync::LockClassKey,
    types::{
        NotThreadSafe,
        Opaque, //
    },
};

use crate::bindings;

/// Data that many may read or one may write. C: `struct rw_semaphore`.
#[pin_data]
pub struct RwSemaphore<T> {
    #[pin]
    sem: Opaque<bindings::rw_semaphore>,
    data: UnsafeCell<T>,
}

// SAFETY: The data go with the lock.
unsafe impl<T: Send> Send for RwSemaphore<T> {}
// SAFETY: Readers share the data, and a writer may take them to its thread.
unsafe impl<T: Send + Sync> Sync for RwSemaphore<T> {}

impl<T> RwSemaphore<T> {
    /// A lock that is free.
    pub fn new(
        data: T,
        name: &'static CStr,
        key: Pin<&'static LockClassKey>,
    ) -> impl PinInit<Self> {
        pin_init!(Self {
            // SAFETY: `slot` is valid, name and key are static.
            sem <- Opaque::ffi_init(|slot| unsafe {
                bindings::__init_rwsem(slot, name.as_char_ptr(), key.as_ptr())
            }),
            data: UnsafeCell::new(data),
        })
    }

    /// The data, which nobody else can be using.
    pub fn get_mut(self: Pin<&mut Self>) -> &mut T
    where
        T: Unpin,
    {
        // SAFETY: The data are not pinned with the lock, and by the reference
        // nobody else uses them.
        unsafe { &mut *self.data.get() }
    }

    /// Waits until nobody writes. C: `down_read()`.
    pub fn read(&self) -> ReadGuard<'_, T> {
        // SAFETY: The lock was initialised when it was made.
        unsafe { bindings::down_read(self.sem.get()) };
        ReadGuard(self, NotThreadSafe)
    }

    /// Waits until nobody reads or writes. C: `down_write()`.
    pub fn write(&self) -> WriteGuard<'_, T> {
        // SAFETY: The lock was initialised when it was made.
        unsafe { bindings::down_write(self.sem.get()) };
        WriteGuard(self, NotThreadSafe)
    }
}

/// The data, for reading.
///
/// # Invariants
///
/// The lock is held for reading.
#[must_use = "the lock is released when the guard is dropped"]
pub struct ReadGuard<'a, T>(&'a RwSemaphore<T>, NotThreadSafe);

impl<T> Deref for ReadGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: By the type invariants nobody writes.
        unsafe { &*self.0.data.get() }
    }
}

impl<T> Drop for ReadGuard<'_, T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants it is held for reading.
        unsafe { bindings::up_read(self.0.sem.get()) };
    }
}

/// The data, for writing.
///
/// # Invariants
///
/// The lock is held for writing.
#[must_use = "the lock is released when the guard is dropped"]
pub struct WriteGuard<'a, T>(&'a RwSemaphore<T>, NotThreadSafe);

impl<T> Deref for WriteGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: By the type invariants nobody else uses the data.
        unsafe { &*self.0.data.get() }
    }
}

impl<T> DerefMut for WriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: By the type invariants nobody else uses the data.
        unsafe { &mut *self.0.data.get() }
    }
}

impl<T> Drop for WriteGuard<'_, T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants it is held for writing.
        unsafe { bindings::up_write(self.0.sem.get()) };
    }
}
