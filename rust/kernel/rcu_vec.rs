// SPDX-License-Identifier: GPL-2.0

//! An array that is read under RCU while it grows.

use core::{
    cell::UnsafeCell,
    mem::MaybeUninit,
    sync::atomic::{
        AtomicUsize,
        Ordering, //
    },
};

use kernel::{
    c_str,
    prelude::*,
    static_lock_class,
    str::CStr,
    sync::Mutex, //
};

use crate::sync::rcu::{
    RcuArc,
    RcuRead,
    RcuSlot, //
};

/// The name of the writers' lock. All types of elements share its class, and
/// lockdep wants one name for a class, at one address: a literal in a generic
/// function has an address in each crate that uses it.
static WRITER_NAME: &CStr = c_str!("RcuVec::writer");

/// One generation of the array's memory.
///
/// # Invariants
///
/// The first `len` items are initialised and are not written again.
struct Chunk<T: Send + Sync + 'static> {
    len: AtomicUsize,
    items: KVVec<UnsafeCell<MaybeUninit<T>>>,
}

// SAFETY: Items are written once, before `len` says that they are there, by one
// thread at a time.
unsafe impl<T: Send + Sync + 'static> Sync for Chunk<T> {}
// SAFETY: It owns its items, which are `Send`.
unsafe impl<T: Send + Sync + 'static> Send for Chunk<T> {}

impl<T: Send + Sync + 'static> Chunk<T> {
    fn new(capacity: usize) -> Result<RcuArc<Self>> {
        let mut items = KVVec::with_capacity(capacity, GFP_KERNEL)?;
        for _ in 0..capacity {
            items.push(UnsafeCell::new(MaybeUninit::uninit()), GFP_KERNEL)?;
        }
        // INVARIANT: No item is said to be there.
        let chunk = Self {
            len: AtomicUsize::new(0),
            items,
        };
        Ok(RcuArc::new(chunk, GFP_KERNEL)?)
    }

    fn as_slice(&self) -> &[T] {
        let len = self.len.load(Ordering::Acquire);
        // SAFETY: By the type invariants the first `len` items are initialised
        // and stay as they are; both wrappers are transparent.
        unsafe { core::slice::from_raw_parts(self.items.as_ptr().cast::<T>(), len) }
    }

    /// Writes one more item; gives it back where there is no room.
    ///
    /// # Safety
    ///
    /// No other thread may do the same meanwhile.
    unsafe fn push(&self, value: T) -> Result<(), T> {
        let len = self.len.load(Ordering::Relaxed);
        let Some(place) = self.items.get(len) else {
            return Err(value);
        };
        // SAFETY: Readers do not look at this item yet, and no other thread
        // writes, by the function's safety requirement.
        unsafe { (*place.get()).write(value) };
        // INVARIANT: The item was just written.
        self.len.store(len.wrapping_add(1), Ordering::Release);
        Ok(())
    }
}

impl<T: Send + Sync + 'static> Drop for Chunk<T> {
    fn drop(&mut self) {
        let len = *self.len.get_mut();
        for item in self.items.iter_mut().take(len) {
            // SAFETY: By the type invariants it is initialised, and it is
            // dropped once.
            unsafe { item.get_mut().assume_init_drop() };
        }
    }
}

/// An array whose items are beside each other in memory, read under RCU.
///
/// Items are appended in place; taking some out makes a copy. Writers exclude
/// each other by a mutex inside.
pub struct RcuVec<T: Send + Sync + Clone + 'static> {
    published: RcuSlot<Chunk<T>>,
    writer: Pin<KBox<Mutex<RcuArc<Chunk<T>>>>>,
}

impl<T: Send + Sync + Clone + 'static> RcuVec<T> {
    /// An empty array.
    pub fn new() -> Result<Self> {
        let chunk = Chunk::new(4)?;
        Ok(Self {
            published: RcuSlot::new(chunk.clone()),
            writer: KBox::pin_init(
                Mutex::new(chunk, WRITER_NAME, static_lock_class!()),
                GFP_KERNEL,
            )?,
        })
    }

    /// The items.
    #[inline]
    pub fn get<'g>(&self, rcu: RcuRead<'g>) -> &'g [T] {
        self.published.get(rcu).map_or(&[], |c| c.as_slice())
    }

    /// Does something with the items while no writer changes them. May sleep.
    pub fn with<R>(&self, f: impl FnOnce(&[T]) -> R) -> R {
        f(self.writer.lock().as_slice())
    }

    /// Appends an item. Sleeps.
    pub fn push(&self, value: T) -> Result {
        let mut chunk = self.writer.lock();
        // SAFETY: The mutex excludes other writers.
        let Err(value) = (unsafe { chunk.push(value) }) else {
            return Ok(());
        };
        let items = chunk.as_slice();
        let new = Self::copy(items.len().saturating_mul(2).max(4), items.iter())?;
        // SAFETY: Nobody else has this generation yet.
        if unsafe { new.push(value) }.is_err() {
            return Err(ENOMEM);
        }
        self.published.replace(Some(new.clone()));
        *chunk = new;
        Ok(())
    }

    /// Takes out the items that `keep` does not want. Sleeps.
    pub fn retain(&self, mut keep: impl FnMut(&T) -> bool) -> Result {
        let mut chunk = self.writer.lock();
        let items = chunk.as_slice();
        let new = Self::copy(items.len().max(4), items.iter().filter(|item| keep(item)))?;
        self.published.replace(Some(new.clone()));
        *chunk = new;
        Ok(())
    }

    fn copy<'a>(capacity: usize, items: impl Iterator<Item = &'a T>) -> Result<RcuArc<Chunk<T>>> {
        let new = Chunk::new(capacity)?;
        for item in items {
            // SAFETY: Nobody else has this generation yet.
            if unsafe { new.push(item.clone()) }.is_err() {
                return Err(ENOSPC);
            }
        }
        Ok(new)
    }
}
