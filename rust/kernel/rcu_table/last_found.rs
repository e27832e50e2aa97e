// SPDX-License-Identifier: GPL-2.0

//! A table that remembers what each CPU found last in it.

use core::{
    cell::Cell,
    ops::Deref,
    sync::atomic::Ordering, //
};

use kernel::prelude::*;

use super::RcuTable;
use crate::{
    percpu::PerCpu,
    sync::{
        bh::BhRcu,
        rcu::RcuRead, //
    },
};

/// What was found last in the table that it belongs to.
///
/// # Invariants
///
/// `generation` is 0, or the table had that generation when `element` was found
/// in it, read before that.
struct LastFound<T> {
    generation: Cell<u64>,
    element: Cell<*const T>,
}

// SAFETY: The pointer is followed only where it is known to be valid, on any
// thread, and gives a shared reference.
unsafe impl<T: Sync> Send for LastFound<T> {}

// SAFETY: Generation 0 is that of no table.
unsafe impl<T> Zeroable for LastFound<T> {}

/// An [`RcuTable`] with `N` places for each CPU, in which that can note what it
/// has found, to be tried first the next time.
pub struct RememberingTable<T: Send + Sync + 'static, const N: usize> {
    last: PerCpu<[LastFound<T>; N]>,
    table: RcuTable<T>,
}

impl<T: Send + Sync + 'static, const N: usize> RememberingTable<T, N> {
    /// A table with room for about `capacity` elements before it grows.
    pub fn new(capacity: usize) -> Result<Self> {
        const {
            assert!(N != 0);
        }
        Ok(Self {
            last: PerCpu::new(GFP_KERNEL)?,
            table: RcuTable::new(capacity)?,
        })
    }

    /// One of this CPU's places: the same one for numbers that are the same
    /// modulo `N`.
    #[inline]
    pub fn memory<'a>(&'a self, ctx: BhRcu<'a>, number: usize) -> Option<Memory<'a, T>> {
        // There always is one, as `N` is not 0.
        let last = self.last.this(ctx).get(number % N)?;
        Some(Memory {
            table: &self.table,
            last,
        })
    }
}

impl<T: Send + Sync + 'static, const N: usize> Deref for RememberingTable<T, N> {
    type Target = RcuTable<T>;

    #[inline]
    fn deref(&self) -> &RcuTable<T> {
        &self.table
    }
}

/// What this CPU found last in a table, in one of its places.
///
/// # Invariants
///
/// `last` belongs to `table`: it is used with no other.
pub struct Memory<'a, T: Send + Sync + 'static> {
    table: &'a RcuTable<T>,
    last: &'a LastFound<T>,
}

impl<T: Send + Sync + 'static> Clone for Memory<'_, T> {
    #[inline]
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: Send + Sync + 'static> Copy for Memory<'_, T> {}

impl<T: Send + Sync + 'static> Memory<'_, T> {
    /// As [`RcuTable::find`], and notes what was found.
    #[inline]
    pub fn find<'g>(
        self,
        hash: u64,
        rcu: RcuRead<'g>,
        matches: impl FnMut(&'g T) -> bool,
    ) -> Option<&'g T> {
        // Before anything else of the table is read.
        let generation = self.table.generation.load(Ordering::Acquire);
        let found = self.table.find(hash, rcu, matches)?;
        // INVARIANT: It was found in the table, see above. The place is this
        // CPU's, so nobody sees one without the other.
        self.last.element.set(found);
        self.last.generation.set(generation);
        Some(found)
    }

    /// What was found last; nothing if that may have been taken out since.
    #[inline]
    pub fn last<'g>(self, _rcu: RcuRead<'g>) -> Option<&'g T> {
        if self.last.generation.get() != self.table.generation.load(Ordering::Acquire) {
            return None;
        }
        // SAFETY: The table still has, for this CPU, the generation that it had
        // before the element was found. Had the element been unreachable before
        // that, it would not have been found; so it is taken out later, if at
        // all, and a new generation follows before its reference goes. As that
        // one is not visible here, the grace period which then follows has not
        // ended for this reader, who holds the RCU read lock for `'g`.
        Some(unsafe { &*self.last.element.get() })
    }
}
