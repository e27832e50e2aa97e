// SPDX-License-Identifier: GPL-2.0

//! RCU-protected, reference-counted objects and the places they are published in.
//!
//! C header: [`include/linux/rcupdate.h`](srctree/include/linux/rcupdate.h)
//!
//! The loads and stores of published pointers use `core::sync::atomic`: those
//! of the `kernel` crate are calls to C, which on the packet path would cost
//! more than the lookup itself. A publication is a store-release and a read is
//! a load-acquire, which is at least as strong as `rcu_assign_pointer()` and
//! `rcu_dereference()`.

use core::{
    cell::UnsafeCell,
    marker::PhantomData,
    mem::{
        ManuallyDrop,
        MaybeUninit, //
    },
    ops::Deref,
    ptr::{
        self,
        NonNull, //
    },
    sync::atomic::{
        fence,
        AtomicPtr,
        AtomicUsize,
        Ordering, //
    },
};

use kernel::{
    alloc::{
        AllocError,
        Flags, //
    },
    prelude::*,
    sync::rcu,
    types::NotThreadSafe, //
};

use crate::bindings;

/// Evidence that the RCU read lock is held for at least `'g`.
///
/// Unlike [`rcu::Guard`] it is a plain token that can be copied; a callback that
/// C calls with the lock held can have one without taking the lock again.
///
/// # Invariants
///
/// The RCU read lock is held for `'g`.
#[derive(Clone, Copy)]
pub struct RcuRead<'g>(PhantomData<&'g ()>, NotThreadSafe);

impl RcuRead<'_> {
    /// Takes note that the caller runs with the RCU read lock held.
    ///
    /// # Safety
    ///
    /// The RCU read lock must be held for the token's lifetime.
    #[inline]
    pub unsafe fn assume_held() -> Self {
        // INVARIANT: By the function's safety requirement.
        Self(PhantomData, NotThreadSafe)
    }
}

impl<'g> From<&'g rcu::Guard> for RcuRead<'g> {
    #[inline]
    fn from(_guard: &'g rcu::Guard) -> Self {
        // INVARIANT: A guard holds the lock for as long as it can be borrowed.
        Self(PhantomData, NotThreadSafe)
    }
}

/// A counted object on the heap that can wait for a grace period: what an
/// [`RcuArc`] points at, or an [`RcuRef`](super::rcu_cell::RcuRef).
#[repr(C)]
#[pin_data]
pub(super) struct Inner<T> {
    refcount: AtomicUsize,
    rcu: UnsafeCell<MaybeUninit<bindings::callback_head>>,
    #[pin]
    pub(super) data: T,
}

impl<T> Inner<T> {
    fn init<E>(data: impl Init<T, E>) -> impl Init<Self, E> {
        init!(Self {
            refcount: AtomicUsize::new(1),
            rcu: UnsafeCell::new(MaybeUninit::uninit()),
            data <- data,
        }? E)
    }

    fn pin_init<E>(data: impl PinInit<T, E>) -> impl PinInit<Self, E> {
        pin_init!(Self {
            refcount: AtomicUsize::new(1),
            rcu: UnsafeCell::new(MaybeUninit::uninit()),
            data <- data,
        }? E)
    }

    /// Moves `data` to the heap, with a count of one.
    pub(super) fn new(data: T, flags: Flags) -> Result<NonNull<Self>, AllocError> {
        let inner = Self {
            refcount: AtomicUsize::new(1),
            rcu: UnsafeCell::new(MaybeUninit::uninit()),
            data,
        };
        Ok(Self::from_box(KBox::new(inner, flags)?))
    }

    /// The object counts as living from here until [`Self::free`].
    fn from_box(inner: KBox<Self>) -> NonNull<Self> {
        LIVE.fetch_add(1, Ordering::Relaxed);
        // SAFETY: A box's pointer is not null.
        unsafe { NonNull::new_unchecked(KBox::into_raw(inner)) }
    }

    /// Raises the count.
    ///
    /// # Safety
    ///
    /// The object is alive.
    #[inline]
    pub(super) unsafe fn get(this: NonNull<Self>) {
        // SAFETY: By the function's safety requirement.
        let refcount = unsafe { &(*this.as_ptr()).refcount };
        // A count of `usize` cannot overflow: each reference takes memory.
        refcount.fetch_add(1, Ordering::Relaxed);
    }

    /// Lowers the count. Whether that was the last reference, whose owner then
    /// has the object to itself, but for readers under RCU.
    ///
    /// # Safety
    ///
    /// The caller gives a reference away.
    #[inline]
    pub(super) unsafe fn put(this: NonNull<Self>) -> bool {
        // SAFETY: By the function's safety requirement the object is alive.
        let refcount = unsafe { &(*this.as_ptr()).refcount };
        if refcount.fetch_sub(1, Ordering::Release) != 1 {
            return false;
        }
        fence(Ordering::Acquire);
        true
    }

    /// Has `f` called with the object's head after a grace period.
    ///
    /// # Safety
    ///
    /// The object stays alive until then, and this is called once for it.
    #[inline]
    pub(super) unsafe fn call_rcu(
        this: NonNull<Self>,
        f: unsafe extern "C" fn(*mut bindings::callback_head),
    ) {
        // SAFETY: By the function's safety requirements; the head is used only
        // here.
        unsafe {
            bindings::call_rcu(
                (*this.as_ptr()).rcu.get().cast::<bindings::callback_head>(),
                Some(f),
            )
        };
    }

    /// The object that this head is of.
    ///
    /// # Safety
    ///
    /// `head` is what [`Self::call_rcu`] handed to its function.
    pub(super) unsafe fn of_head(head: *mut bindings::callback_head) -> NonNull<Self> {
        // SAFETY: `head` is the `rcu` field of an `Inner`, and the pointer to
        // that is not null.
        unsafe {
            NonNull::new_unchecked(kernel::container_of!(
                head.cast::<UnsafeCell<MaybeUninit<bindings::callback_head>>>(),
                Self,
                rcu
            ))
        }
    }

    /// Drops the object and frees its memory.
    ///
    /// # Safety
    ///
    /// The last reference has gone, and readers that may have seen the object
    /// are done.
    pub(super) unsafe fn free(this: NonNull<Self>) {
        // SAFETY: It came from a `KBox`, and nothing refers to it any more.
        drop(unsafe { KBox::from_raw(this.as_ptr()) });
        LIVE.fetch_sub(1, Ordering::Release);
    }
}

/// How many bytes an [`RcuArc`]'s allocation has before the object, for what is
/// laid out by cache lines. Objects of a larger alignment begin later.
pub const RCU_ARC_HEAD: usize = core::mem::offset_of!(Inner<u64>, data);

/// A reference-counted pointer whose object lives on for a grace period.
///
/// When the last reference goes, the object is dropped and its memory freed by
/// `call_rcu()`. Whoever found the object in an [`RcuSlot`] (or another place
/// that owned a reference) under the RCU read lock may therefore go on using it
/// until that lock is released, without taking a reference.
///
/// The object's `Drop` runs in softirq context and must not sleep. A module that
/// uses this has to call `rcu_barrier()` before its code goes away.
///
/// # Invariants
///
/// `ptr` is a live allocation of a [`KBox`], of which this pointer owns one
/// reference.
pub struct RcuArc<T: Send + Sync + 'static> {
    ptr: NonNull<Inner<T>>,
    _data: PhantomData<Inner<T>>,
}

// SAFETY: As for `Arc`: references to `T` and the last drop may happen on any
// thread, and `T` is `Send` and `Sync`.
unsafe impl<T: Send + Sync + 'static> Send for RcuArc<T> {}
// SAFETY: As above.
unsafe impl<T: Send + Sync + 'static> Sync for RcuArc<T> {}

impl<T: Send + Sync + 'static> RcuArc<T> {
    /// Moves `data` to the heap, with one reference.
    pub fn new(data: T, flags: Flags) -> Result<Self, AllocError> {
        // INVARIANT: The count of one is this reference.
        Ok(Self::from_inner(Inner::new(data, flags)?))
    }

    /// Makes `data` where it is to be on the heap, with one reference: for what
    /// is too large for the stack.
    pub fn init<E>(data: impl Init<T, E>, flags: Flags) -> Result<Self>
    where
        Error: From<E>,
    {
        let inner = KBox::init(Inner::init(data), flags)?;
        // INVARIANT: The count of one is this reference.
        Ok(Self::from_inner(Inner::from_box(inner)))
    }

    /// As [`RcuArc::init`], for what must not move, such as a lock. No object
    /// does: it is reached by reference only, and dropped where it is.
    pub fn pin_init<E>(data: impl PinInit<T, E>, flags: Flags) -> Result<Self>
    where
        Error: From<E>,
    {
        let inner = KBox::pin_init(Inner::pin_init(data), flags)?;
        // SAFETY: The object stays where it is for as long as it lives.
        let inner = unsafe { Pin::into_inner_unchecked(inner) };
        // INVARIANT: The count of one is this reference.
        Ok(Self::from_inner(Inner::from_box(inner)))
    }

    #[inline]
    fn from_inner(ptr: NonNull<Inner<T>>) -> Self {
        Self {
            ptr,
            _data: PhantomData,
        }
    }

    #[inline]
    fn into_inner(self) -> NonNull<Inner<T>> {
        ManuallyDrop::new(self).ptr
    }

    /// Whether both point at the same object.
    #[inline]
    pub fn ptr_eq(this: &Self, other: &Self) -> bool {
        this.ptr == other.ptr
    }

    /// The address of the object, to be compared and nothing else.
    #[inline]
    pub fn as_ptr(this: &Self) -> *const T {
        // Not by way of a reference to the object: what is made of this pointer
        // leads to all of the allocation, see `from_raw()`.
        // SAFETY: By the type invariants the object is alive.
        unsafe { &raw const (*this.ptr.as_ptr()).data }
    }

    /// Gives the reference away as a raw pointer, for a field of a C structure.
    #[inline]
    pub fn into_raw(this: Self) -> *const T {
        let ptr = Self::as_ptr(&this);
        core::mem::forget(this);
        ptr
    }

    /// Takes back what [`RcuArc::into_raw`] gave away.
    ///
    /// # Safety
    ///
    /// `ptr` must come from [`RcuArc::into_raw`], and each such pointer may be
    /// taken back once only.
    #[inline]
    pub unsafe fn from_raw(ptr: *const T) -> Self {
        // INVARIANT: The reference that `into_raw()` gave away is owned again.
        // SAFETY: By the function's safety requirement, `ptr` points at the
        // `data` field of an `Inner`.
        let inner = unsafe { kernel::container_of!(ptr, Inner<T>, data) };
        // SAFETY: A pointer to an allocation is not null.
        Self::from_inner(unsafe { NonNull::new_unchecked(inner.cast_mut()) })
    }

    /// Takes a reference to an object that is known by address only.
    ///
    /// Gives nothing where the last reference has gone already.
    ///
    /// # Safety
    ///
    /// `ptr` must come from [`RcuArc::into_raw`] and the object's memory must
    /// not have been freed, which a reader has by the RCU read lock.
    #[inline]
    unsafe fn try_get(ptr: NonNull<Inner<T>>) -> Option<Self> {
        // SAFETY: By the function's safety requirement the memory is there.
        let refcount = unsafe { &(*ptr.as_ptr()).refcount };
        refcount
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| {
                if n == 0 {
                    None
                } else {
                    n.checked_add(1)
                }
            })
            .ok()?;
        // INVARIANT: The count was raised for this reference.
        Some(Self::from_inner(ptr))
    }

    /// Takes a reference to an object that was found under the RCU read lock.
    ///
    /// Gives nothing where the last reference has gone meanwhile.
    ///
    /// # Safety
    ///
    /// `ptr` must come from [`RcuArc::into_raw`] and the object's memory must
    /// not have been freed, which a reader has by the RCU read lock.
    #[inline]
    pub(crate) unsafe fn try_from_raw(ptr: *const T) -> Option<Self> {
        // SAFETY: By the function's safety requirement, `ptr` points at the
        // `data` field of an `Inner`.
        let inner = unsafe { kernel::container_of!(ptr, Inner<T>, data) };
        // SAFETY: By the function's safety requirement.
        unsafe { Self::try_get(NonNull::new(inner.cast_mut())?) }
    }

    /// Drops the object and frees its memory, after the grace period.
    ///
    /// # Safety
    ///
    /// Only for `call_rcu()`, with the head of an object whose last reference
    /// has gone.
    unsafe extern "C" fn reclaim(head: *mut bindings::callback_head) {
        // SAFETY: By the function's safety requirement, see `drop()`; all
        // readers that may have seen the object are done.
        unsafe { Inner::free(Inner::<T>::of_head(head)) };
    }
}

impl<T: Send + Sync + 'static> Deref for RcuArc<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: By the type invariants the object is alive.
        unsafe { &(*self.ptr.as_ptr()).data }
    }
}

impl<T: Send + Sync + 'static> Clone for RcuArc<T> {
    #[inline]
    fn clone(&self) -> Self {
        // SAFETY: By the type invariants the object is alive.
        unsafe { Inner::get(self.ptr) };
        // INVARIANT: The count was raised for this reference.
        Self::from_inner(self.ptr)
    }
}

impl<T: Send + Sync + 'static> Drop for RcuArc<T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: The reference is not used any more.
        if unsafe { Inner::put(self.ptr) } {
            // SAFETY: The last reference has gone, so this is called once, and
            // the memory stays until `reclaim()` frees it.
            unsafe { Inner::call_rcu(self.ptr, Self::reclaim) };
        }
    }
}

/// A place where an object is published for RCU readers.
///
/// Writers replace the reference atomically; whether they need to exclude each
/// other is up to the user, memory safety does not depend on it.
///
/// # Invariants
///
/// The pointer is null or owns one reference to an [`RcuArc`]'s object.
pub struct RcuSlot<T: Send + Sync + 'static>(AtomicPtr<Inner<T>>, PhantomData<RcuArc<T>>);

impl<T: Send + Sync + 'static> RcuSlot<T> {
    /// A place with nothing in it.
    #[inline]
    pub const fn empty() -> Self {
        // INVARIANT: Null.
        Self(AtomicPtr::new(ptr::null_mut()), PhantomData)
    }

    /// A place that holds `value`.
    #[inline]
    pub fn new(value: RcuArc<T>) -> Self {
        // INVARIANT: The reference moves into the pointer.
        Self(AtomicPtr::new(value.into_inner().as_ptr()), PhantomData)
    }

    /// What is published, for as long as the RCU read lock is held.
    #[inline]
    pub fn get<'g>(&self, _rcu: RcuRead<'g>) -> Option<&'g T> {
        let inner = self.0.load(Ordering::Acquire);
        if inner.is_null() {
            return None;
        }
        // SAFETY: The pointer was published while it owned a reference, and
        // the object outlives every reader that can have seen it so, `'g` at
        // the least.
        Some(unsafe { &(*inner).data })
    }

    /// What is published, with a reference of its own.
    #[inline]
    pub fn load(&self) -> Option<RcuArc<T>> {
        let _guard = rcu::read_lock();
        loop {
            let inner = NonNull::new(self.0.load(Ordering::Acquire))?;
            // SAFETY: The RCU read lock is held since before the load.
            if let Some(arc) = unsafe { RcuArc::try_get(inner) } {
                return Some(arc);
            }
            // The last reference went after the load, so the place has been
            // written since: look again.
        }
    }

    /// Publishes another value, or none, and gives back the one before.
    #[inline]
    pub fn replace(&self, value: Option<RcuArc<T>>) -> Option<RcuArc<T>> {
        let new = value.map_or(ptr::null_mut(), |v| v.into_inner().as_ptr());
        // INVARIANT: The reference of `value` moves in, the old one moves out.
        let old = self.0.swap(new, Ordering::AcqRel);
        NonNull::new(old).map(RcuArc::from_inner)
    }

    /// Publishes `value` if nothing is published yet; otherwise gives it back.
    #[inline]
    pub fn init(&self, value: RcuArc<T>) -> Result<(), RcuArc<T>> {
        let new = value.into_inner();
        match self.0.compare_exchange(
            ptr::null_mut(),
            new.as_ptr(),
            Ordering::AcqRel,
            Ordering::Relaxed,
        ) {
            // INVARIANT: The reference of `value` moved in.
            Ok(_) => Ok(()),
            Err(_) => Err(RcuArc::from_inner(new)),
        }
    }

    /// Whether nothing is published.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.0.load(Ordering::Relaxed).is_null()
    }
}

impl<T: Send + Sync + 'static> Default for RcuSlot<T> {
    fn default() -> Self {
        Self::empty()
    }
}

impl<T: Send + Sync + 'static> Drop for RcuSlot<T> {
    #[inline]
    fn drop(&mut self) {
        self.replace(None);
    }
}

/// How many objects of [`RcuArc`]s there are that have not been freed yet.
/// Those of [`super::rcu_cell`] are counted as well.
static LIVE: AtomicUsize = AtomicUsize::new(0);

/// Waits, when it is dropped, until every [`RcuArc`]'s object is freed.
///
/// Freeing an object may drop the last reference to another, which then waits
/// for a grace period of its own; so this waits for as many as it takes. As the
/// last field of a module's structure it keeps the module's code in memory for
/// as long as callbacks need it.
pub struct BarrierOnDrop;

impl Drop for BarrierOnDrop {
    fn drop(&mut self) {
        let mut left = usize::MAX;
        loop {
            rcu::rcu_barrier();
            let live = LIVE.load(Ordering::Acquire);
            if live == 0 {
                // The callback that has freed the last one may not have returned
                // yet, and may have been queued by another one.
                rcu::rcu_barrier();
                return;
            }
            if live >= left {
                // Nothing was freed, so nothing waits: somebody has lost a
                // reference. That memory is gone, but no code is needed for it.
                pr_err!("{} objects were not freed\n", live);
                return;
            }
            left = live;
        }
    }
}
