// SPDX-License-Identifier: GPL-2.0

//! Objects that are published in one place only.
//!
//! C header: [`include/linux/rcupdate.h`](srctree/include/linux/rcupdate.h)
//!
//! An object of an [`RcuArc`](super::rcu::RcuArc) may be published in several
//! places, so it always waits for a grace period of its own before it is freed.
//! Where an object is part of another, which itself is freed a grace period
//! after the last reader could find it, that would be a second wait for nothing:
//! twice the callbacks, and twice the memory that waits. What is published here
//! can be found through its one [`RcuCell`] only. It waits when it is replaced,
//! and goes at once when the cell does.

use core::{
    marker::PhantomData,
    mem::ManuallyDrop,
    ops::Deref,
    ptr::NonNull,
    sync::atomic::{
        AtomicPtr,
        Ordering, //
    },
};

use kernel::{
    alloc::{
        AllocError,
        Flags, //
    },
    prelude::*,
    sync::rcu, //
};

use super::rcu::{
    Inner,
    RcuRead, //
};
use crate::bindings;

/// A counted reference to an object that is, was or will be in an [`RcuCell`].
///
/// # Invariants
///
/// `ptr` is a live allocation of a [`KBox`], of which this pointer owns one
/// reference.
pub struct RcuRef<T: Send + Sync + 'static> {
    ptr: NonNull<Inner<T>>,
    _data: PhantomData<Inner<T>>,
}

// SAFETY: References to `T` and the last drop may happen on any thread, and `T`
// is `Send` and `Sync`.
unsafe impl<T: Send + Sync + 'static> Send for RcuRef<T> {}
// SAFETY: As above.
unsafe impl<T: Send + Sync + 'static> Sync for RcuRef<T> {}

impl<T: Send + Sync + 'static> RcuRef<T> {
    #[inline]
    fn from_inner(ptr: NonNull<Inner<T>>) -> Self {
        Self {
            ptr,
            _data: PhantomData,
        }
    }

    /// Puts off the drop of a cell's reference for a grace period.
    fn drop_later(self) {
        // SAFETY: The reference, which is given away, keeps the object alive. An
        // object is in a cell once at most, so this is called once for it.
        unsafe { Inner::call_rcu(ManuallyDrop::new(self).ptr, Self::drop_now) };
    }

    /// Drops a reference, after the grace period.
    ///
    /// # Safety
    ///
    /// Only for `call_rcu()`, by [`Self::drop_later`].
    unsafe extern "C" fn drop_now(head: *mut bindings::callback_head) {
        // INVARIANT: The reference that was given away is owned again.
        // SAFETY: By the function's safety requirement.
        drop(Self::from_inner(unsafe { Inner::of_head(head) }));
    }
}

impl<T: Send + Sync + 'static> Deref for RcuRef<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: By the type invariants the object is alive.
        unsafe { &(*self.ptr.as_ptr()).data }
    }
}

impl<T: Send + Sync + 'static> Clone for RcuRef<T> {
    #[inline]
    fn clone(&self) -> Self {
        // SAFETY: By the type invariants the object is alive.
        unsafe { Inner::get(self.ptr) };
        // INVARIANT: The count was raised for this reference.
        Self::from_inner(self.ptr)
    }
}

impl<T: Send + Sync + 'static> Drop for RcuRef<T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: The reference is not used any more.
        if unsafe { Inner::put(self.ptr) } {
            // SAFETY: That was the last. Readers without a reference are done:
            // that of a cell is dropped a grace period after the object was
            // replaced, or when nobody can have found it through the cell.
            unsafe { Inner::free(self.ptr) };
        }
    }
}

/// A new object, which can be published in an [`RcuCell`].
///
/// That is given away with it: an object is published once at most.
///
/// # Invariants
///
/// The object has never been in an [`RcuCell`].
pub struct RcuBox<T: Send + Sync + 'static>(RcuRef<T>);

impl<T: Send + Sync + 'static> RcuBox<T> {
    /// Moves `data` to the heap.
    pub fn new(data: T, flags: Flags) -> Result<Self, AllocError> {
        // INVARIANT: The object is new; the count of one is this reference.
        Ok(Self(RcuRef::from_inner(Inner::new(data, flags)?)))
    }

    /// A reference to the object that stays when the object is published.
    #[inline]
    pub fn share(&self) -> RcuRef<T> {
        self.0.clone()
    }
}

impl<T: Send + Sync + 'static> Deref for RcuBox<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.0
    }
}

/// The place that an object is published in for RCU readers: always one, which
/// can be replaced.
///
/// Writers replace it atomically; whether they need to exclude each other is up
/// to the user, memory safety does not depend on it.
///
/// # Invariants
///
/// The pointer owns one reference to an [`RcuRef`]'s object, which has been in
/// no other cell and was never in this one before.
pub struct RcuCell<T: Send + Sync + 'static>(AtomicPtr<Inner<T>>, PhantomData<RcuRef<T>>);

impl<T: Send + Sync + 'static> RcuCell<T> {
    fn into_ptr(value: RcuBox<T>) -> *mut Inner<T> {
        ManuallyDrop::new(value.0).ptr.as_ptr()
    }

    /// A place that has `value`.
    #[inline]
    pub fn new(value: RcuBox<T>) -> Self {
        // INVARIANT: The reference moves into the pointer; by the invariant of
        // a box it has been in no cell.
        Self(AtomicPtr::new(Self::into_ptr(value)), PhantomData)
    }

    /// What is published, for as long as the RCU read lock is held and the cell
    /// is there.
    #[inline]
    pub fn get<'a>(&'a self, _rcu: RcuRead<'a>) -> &'a T {
        // SAFETY: The pointer owned a reference when it was loaded. That is
        // dropped a grace period after it was replaced, so not before `'a` ends;
        // or with the cell, which is borrowed for `'a`.
        unsafe { &(*self.0.load(Ordering::Acquire)).data }
    }

    /// What is published, with a reference of its own.
    #[inline]
    pub fn load(&self) -> RcuRef<T> {
        let _guard = rcu::read_lock();
        // SAFETY: By the type invariants it is not null.
        let inner = unsafe { NonNull::new_unchecked(self.0.load(Ordering::Acquire)) };
        // SAFETY: As in `get()`: the cell's reference stays for as long as the
        // lock is held, so the object is alive.
        unsafe { Inner::get(inner) };
        // INVARIANT: The count was raised for this reference.
        RcuRef::from_inner(inner)
    }

    /// Publishes another object. What was published goes a grace period later,
    /// if nobody has another reference to it.
    pub fn replace(&self, value: RcuBox<T>) {
        // INVARIANT: The reference of `value` moves in, the old one moves out.
        let old = self.0.swap(Self::into_ptr(value), Ordering::AcqRel);
        // INVARIANT: This reference was the cell's.
        // SAFETY: By the type invariants it is not null.
        RcuRef::from_inner(unsafe { NonNull::new_unchecked(old) }).drop_later();
    }
}

impl<T: Send + Sync + 'static> Drop for RcuCell<T> {
    #[inline]
    fn drop(&mut self) {
        // What `get()` gives borrows the cell, so nobody uses it any more.
        // INVARIANT: This reference was the cell's.
        // SAFETY: By the type invariants it is not null.
        drop(RcuRef::from_inner(unsafe {
            NonNull::new_unchecked(*self.0.get_mut())
        }));
    }
}
