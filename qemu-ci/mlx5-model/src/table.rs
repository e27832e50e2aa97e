// SPDX-License-Identifier: GPL-2.0

//! Objects by handle. A handle is never zero, and is not given out again
//! before all others have been, so that a stale one is noticed.

use std::collections::BTreeMap;

#[derive(Debug)]
pub struct Table<T> {
    name: &'static str,
    items: BTreeMap<u32, T>,
    next: u32,
    first: u32,
    last: u32,
}

impl<T> Table<T> {
    /// Handles from `first` to `last`, both included.
    pub fn new(name: &'static str, first: u32, last: u32) -> Self {
        Self {
            name,
            items: BTreeMap::new(),
            next: first,
            first,
            last,
        }
    }

    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Stores an object; `None` when all handles are taken.
    pub fn insert(&mut self, item: T) -> Option<u32> {
        let span = self.last - self.first + 1;
        if self.items.len() >= span as usize {
            return None;
        }
        while self.items.contains_key(&self.next) {
            self.next = if self.next >= self.last {
                self.first
            } else {
                self.next + 1
            };
        }
        let id = self.next;
        self.items.insert(id, item);
        self.next = if id >= self.last { self.first } else { id + 1 };
        Some(id)
    }

    /// Stores objects at consecutive handles, and gives the first of them.
    pub fn insert_run(&mut self, n: u32, mut make: impl FnMut(u32) -> T) -> Option<u32> {
        let first = self
            .items
            .keys()
            .next_back()
            .map_or(self.first, |k| k + 1)
            .max(self.first);
        let end = first.checked_add(n)?;
        if n == 0 || end > self.last {
            return None;
        }
        for i in 0..n {
            self.items.insert(first + i, make(i));
        }
        Some(first)
    }

    pub fn get(&self, id: u32) -> Option<&T> {
        self.items.get(&id)
    }

    pub fn get_mut(&mut self, id: u32) -> Option<&mut T> {
        self.items.get_mut(&id)
    }

    pub fn remove(&mut self, id: u32) -> Option<T> {
        self.items.remove(&id)
    }

    pub fn contains(&self, id: u32) -> bool {
        self.items.contains_key(&id)
    }

    pub fn len(&self) -> usize {
        self.items.len()
    }

    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.items.iter().map(|(k, v)| (*k, v))
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = (u32, &mut T)> {
        self.items.iter_mut().map(|(k, v)| (*k, v))
    }
}
