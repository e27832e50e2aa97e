// SPDX-License-Identifier: GPL-2.0

//! Boxes that are filled once, while others look.

use core::{
    marker::PhantomData,
    ptr,
    sync::atomic::{
        AtomicPtr,
        Ordering, //
    },
};

use kernel::prelude::*;

/// A place for a [`KBox`] that is filled at most once and keeps what it has for
/// as long as it lives itself.
///
/// Unlike what can be replaced, this needs neither a lock nor RCU: whoever can
/// look at the place can look at what is in it. Where the place is part of an
/// object that readers find under RCU, its content is freed with that object,
/// after the same grace period.
///
/// # Invariants
///
/// The pointer is null or that of a [`KBox`] that the place owns. Once it is not
/// null it does not change any more.
pub struct OnceBox<T> {
    ptr: AtomicPtr<T>,
    _data: PhantomData<KBox<T>>,
}

// SAFETY: A `OnceBox` may be dropped on another thread if a `KBox` may.
unsafe impl<T: Send> Send for OnceBox<T> {}
// SAFETY: Any thread may put a box in, which another drops, and look at it.
unsafe impl<T: Send + Sync> Sync for OnceBox<T> {}

impl<T> OnceBox<T> {
    /// An empty place.
    #[inline]
    pub const fn new() -> Self {
        // INVARIANT: Null.
        Self {
            ptr: AtomicPtr::new(ptr::null_mut()),
            _data: PhantomData,
        }
    }

    /// What the place has, if it was filled.
    #[inline]
    pub fn get(&self) -> Option<&T> {
        // SAFETY: By the type invariants the box lives as long as `self`; the
        // load sees what was written to it before it was put in.
        unsafe { self.ptr.load(Ordering::Acquire).as_ref() }
    }

    /// Fills the place, unless somebody else has; then the box is dropped. Gives
    /// what the place has.
    pub fn get_or_set(&self, value: KBox<T>) -> &T {
        let new = KBox::into_raw(value);
        match self
            .ptr
            .compare_exchange(ptr::null_mut(), new, Ordering::AcqRel, Ordering::Acquire)
        {
            // SAFETY: By the type invariants the box lives as long as `self`.
            Ok(_) => unsafe { &*new },
            Err(old) => {
                // SAFETY: It was a box, and nobody else knows of it.
                drop(unsafe { KBox::from_raw(new) });
                // SAFETY: As above.
                unsafe { &*old }
            }
        }
    }
}

impl<T> Default for OnceBox<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Drop for OnceBox<T> {
    #[inline]
    fn drop(&mut self) {
        let ptr = *self.ptr.get_mut();
        if !ptr.is_null() {
            // SAFETY: By the type invariants it is a box that the place owns.
            drop(unsafe { KBox::from_raw(ptr) });
        }
    }
}
