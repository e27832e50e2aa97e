// SPDX-License-Identifier: GPL-2.0

//! Things by cookie: rules in hardware, and flows that wait.

use core::{
    mem,
    sync::atomic::{
        AtomicUsize,
        Ordering, //
    },
};

use kernel::{
    new_mutex,
    prelude::*,
    rbtree::{
        RBTree,
        RBTreeNodeReservation, //
    },
    sync::{
        Arc,
        Mutex, //
    },
};

/// How many things are looked at before the table is unlocked.
pub(super) const BATCH: usize = 128;

/// A place in a table, made before it is needed.
pub(super) type Place<T> = RBTreeNodeReservation<usize, Arc<T>>;

type Tree<T> = RBTree<usize, Arc<T>>;

/// A table by cookie, in the order of cookies.
pub(super) struct Table<T> {
    tree: Pin<KBox<Mutex<Tree<T>>>>,
    len: AtomicUsize,
}

impl<T> Table<T> {
    /// An empty table.
    pub(super) fn new() -> Result<Self> {
        Ok(Self {
            tree: KBox::pin_init(new_mutex!(RBTree::new(), "Table::tree"), GFP_KERNEL)?,
            len: AtomicUsize::new(0),
        })
    }

    /// How many things there are.
    pub(super) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// Puts a thing in, under a cookie that no other has.
    pub(super) fn insert(&self, place: Place<T>, cookie: usize, thing: Arc<T>) {
        self.tree.lock().insert(place.into_node(cookie, thing));
        self.len.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes a thing out. Of several who try, one gets it.
    pub(super) fn take(&self, cookie: usize) -> Option<Arc<T>> {
        let thing = self.tree.lock().remove(&cookie)?;

        self.len.fetch_sub(1, Ordering::Relaxed);
        Some(thing)
    }

    /// The thing with this cookie.
    pub(super) fn get(&self, cookie: usize) -> Option<Arc<T>> {
        self.tree.lock().get(&cookie).cloned()
    }

    /// Up to `most` things with cookies of at least `from`, in the order of
    /// their cookies; nothing at the end, or without memory.
    pub(super) fn batch(&self, from: usize, most: usize) -> Option<KVec<(usize, Arc<T>)>> {
        let most = most.min(BATCH);
        let mut batch = KVec::with_capacity(most, GFP_KERNEL).ok()?;
        let mut tree = self.tree.lock();
        let mut cursor = tree.cursor_lower_bound_mut(&from);

        while let Some(at) = cursor {
            if batch.len() >= most {
                break;
            }
            let (cookie, thing) = at.current();
            batch.push((*cookie, thing.clone()), GFP_KERNEL).ok()?;
            cursor = at.move_next();
        }
        (!batch.is_empty()).then_some(batch)
    }

    /// Calls `f` with each thing, which may sleep and take things out.
    pub(super) fn for_each(&self, mut f: impl FnMut(usize, &Arc<T>)) {
        let mut from = 0;

        while let Some(batch) = self.batch(from, BATCH) {
            for (cookie, thing) in &batch {
                from = cookie.saturating_add(1);
                f(*cookie, thing);
            }
        }
    }

    /// Drops all things.
    pub(super) fn clear(&self) {
        drop(mem::replace(&mut *self.tree.lock(), RBTree::new()));
        self.len.store(0, Ordering::Relaxed);
    }
}
