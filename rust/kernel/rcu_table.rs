// SPDX-License-Identifier: GPL-2.0

//! A hash table that is read under RCU while it changes and grows.
//!
//! Open addressing in groups of four places. Each place has a two-byte tag with
//! fifteen bits of the hash; a group's tags are one word, so that a lookup looks
//! at four places with one load and touches a place's pointer only if its tag
//! agrees. A lookup that finds nothing mostly reads a single cache line.
//!
//! Readers need only the RCU read lock. Writers exclude each other by a mutex
//! inside the table. A table that has become too full, or too cluttered by
//! removed places, is copied to a new one and swapped; readers of the old one
//! go on until they are done.
//!
//! A reader can keep what it found for a later look, without a reference: the
//! table has a number that changes whenever something is taken out, and while it
//! is the same, what was found is still there, see [`RememberingTable`].

mod last_found;

pub use self::last_found::{
    Memory,
    RememberingTable, //
};

use core::{
    ptr::NonNull,
    sync::atomic::{
        AtomicBool,
        AtomicPtr,
        AtomicU64,
        AtomicUsize,
        Ordering, //
    },
};

use kernel::{
    c_str,
    prelude::*,
    static_lock_class,
    str::CStr,
    sync::{
        rcu,
        Mutex, //
    },
};

use crate::{
    mem::prefetch,
    sync::rcu::{
        RcuArc,
        RcuRead,
        RcuSlot, //
    },
};

/// The name of the writers' lock. All types of elements share its class, and
/// lockdep wants one name for a class, at one address: a literal in a generic
/// function has an address in each crate that uses it.
static WRITER_NAME: &CStr = c_str!("RcuTable::writer");

/// Places in a group: as many as a word has tags.
const GROUP: usize = 4;
/// Bits of a tag.
const TAG_BITS: u32 = 16;

/// How often [`RcuTable::walk_ahead`] announces an element.
const AHEAD_STEPS: usize = 3;
/// How many places there are between two steps.
const AHEAD_SLOTS: usize = 6;

/// A place that was never used: a lookup ends at a group that has one.
const EMPTY: u16 = 0;
/// A place whose element was removed while its group was full.
const DELETED: u16 = 1;
/// Set in the tag of every place that is in use.
const FULL: u16 = 0x8000;

const LOW_BITS: u64 = 0x0001_0001_0001_0001;
const HIGH_BITS: u64 = 0x8000_8000_8000_8000;

/// The tag of an element with this hash: its topmost fifteen bits.
#[inline]
fn tag_of(hash: u64) -> u16 {
    FULL | (hash >> 49) as u16
}

/// A bit (the highest of the tag's) for each of `tags` that is `tag`.
///
/// A tag above a match may be reported wrongly; the caller compares anyway.
#[inline]
fn matching(tags: u64, tag: u16) -> u64 {
    let x = tags ^ LOW_BITS.wrapping_mul(u64::from(tag));
    x.wrapping_sub(LOW_BITS) & !x & HIGH_BITS
}

/// Whether one of the tags is [`EMPTY`].
#[inline]
fn has_empty(tags: u64) -> bool {
    tags.wrapping_sub(LOW_BITS) & !tags & HIGH_BITS != 0
}

/// How far the tag of a place is shifted in its group's word.
#[inline]
fn tag_shift(place: usize) -> u32 {
    TAG_BITS * (place % GROUP) as u32
}

/// The tag of one place.
#[inline]
fn tag_at(tags: u64, place: usize) -> u16 {
    (tags >> tag_shift(place)) as u16
}

/// `tags` with the tag of one place changed.
#[inline]
fn with_tag(tags: u64, place: usize, tag: u16) -> u64 {
    let shift = tag_shift(place);
    (tags & !(0xffff_u64 << shift)) | (u64::from(tag) << shift)
}

/// One generation of the table's memory.
///
/// # Invariants
///
/// `tags` has a power of two of elements and `slots` four times as many. A slot
/// that is not null owns a reference, unless `moved` is set.
struct Buckets<T: Send + Sync + 'static> {
    group_mask: usize,
    tags: KVVec<AtomicU64>,
    slots: KVVec<AtomicPtr<T>>,
    /// The references have moved to the next generation.
    moved: AtomicBool,
}

impl<T: Send + Sync + 'static> Buckets<T> {
    fn new(groups: usize) -> Result<RcuArc<Self>> {
        let groups = groups.checked_next_power_of_two().ok_or(ENOMEM)?;
        let places = groups.checked_mul(GROUP).ok_or(ENOMEM)?;
        let mut tags = KVVec::with_capacity(groups, GFP_KERNEL)?;
        let mut slots = KVVec::with_capacity(places, GFP_KERNEL)?;
        for _ in 0..groups {
            tags.push(AtomicU64::new(0), GFP_KERNEL)?;
        }
        for _ in 0..places {
            slots.push(AtomicPtr::new(core::ptr::null_mut()), GFP_KERNEL)?;
        }
        Ok(RcuArc::new(
            Self {
                group_mask: groups.wrapping_sub(1),
                tags,
                slots,
                moved: AtomicBool::new(false),
            },
            GFP_KERNEL,
        )?)
    }

    fn groups(&self) -> usize {
        self.group_mask.wrapping_add(1)
    }

    /// The groups in the order in which an element with this hash looks for a
    /// place: every group once.
    #[inline]
    fn probe(&self, hash: u64) -> impl Iterator<Item = (usize, &AtomicU64)> {
        let start = hash as usize;
        (0..self.groups()).filter_map(move |i| {
            let group = start.wrapping_add(i) & self.group_mask;
            Some((group, self.tags.get(group)?))
        })
    }

    /// The first element with this hash that `matches` accepts: what was
    /// published, valid while the RCU read lock is held.
    #[inline(never)]
    fn find<'g>(
        &self,
        hash: u64,
        _rcu: RcuRead<'g>,
        mut matches: impl FnMut(&'g T) -> bool,
    ) -> Option<NonNull<T>> {
        let tag = tag_of(hash);
        for (group, tags) in self.probe(hash) {
            let tags = tags.load(Ordering::Acquire);
            let mut hits = matching(tags, tag);
            while hits != 0 {
                let place = (hits.trailing_zeros() / TAG_BITS) as usize;
                hits &= hits.wrapping_sub(1);
                let slot = self
                    .slots
                    .get(group.wrapping_mul(GROUP).wrapping_add(place))?;
                let ptr = slot.load(Ordering::Acquire);
                // SAFETY: A pointer that is not null owned a reference when it
                // was published, and the RCU read lock, held for `'g`, keeps
                // the object from being freed.
                if let Some(found) = unsafe { ptr.as_ref::<'g>() } {
                    if matches(found) {
                        return NonNull::new(ptr);
                    }
                }
            }
            if has_empty(tags) {
                break;
            }
        }
        None
    }

    /// Has the CPU fetch the group that an element with this hash is most likely
    /// in: tags and slots at the same time.
    #[inline]
    fn prefetch(&self, hash: u64) {
        let group = hash as usize & self.group_mask;
        if let Some(tags) = self.tags.get(group) {
            prefetch(tags);
        }
        if let Some(slot) = self.slots.get(group.wrapping_mul(GROUP)) {
            prefetch(slot);
        }
    }

    /// Puts a pointer into the first free place. There has to be one.
    fn place(&self, hash: u64, ptr: *mut T) -> Option<Placed> {
        self.prefetch(hash);
        for (group, tags) in self.probe(hash) {
            let old = tags.load(Ordering::Relaxed);
            for i in 0..GROUP {
                let tag = tag_at(old, i);
                if tag & FULL != 0 {
                    continue;
                }
                let slot = self.slots.get(group.wrapping_mul(GROUP).wrapping_add(i))?;
                // The element is there before its tag says so.
                slot.store(ptr, Ordering::Release);
                tags.store(with_tag(old, i, tag_of(hash)), Ordering::Release);
                return Some(Placed {
                    reused: tag == DELETED,
                });
            }
        }
        None
    }
}

/// What [`Buckets::place`] found.
struct Placed {
    /// The place had held an element before.
    reused: bool,
}

impl<T: Send + Sync + 'static> Drop for Buckets<T> {
    fn drop(&mut self) {
        if *self.moved.get_mut() {
            return;
        }
        for slot in &mut self.slots {
            let ptr = *slot.get_mut();
            if !ptr.is_null() {
                // SAFETY: By the type invariants the slot owns a reference that
                // `RcuArc::into_raw()` gave away.
                drop(unsafe { RcuArc::from_raw(ptr) });
            }
        }
    }
}

/// What only writers need.
struct Writer<T: Send + Sync + 'static> {
    /// What is published.
    buckets: RcuArc<Buckets<T>>,
    /// Places that are in use.
    len: usize,
    /// Places that are in use or [`DELETED`].
    used: usize,
}

/// The next generation of any table.
static NEXT_GENERATION: AtomicU64 = AtomicU64::new(1);

/// A number that no table has had as its generation; not 0.
fn new_generation() -> u64 {
    NEXT_GENERATION.fetch_add(1, Ordering::Relaxed)
}

/// A hash table of [`RcuArc`]s. See the module documentation.
///
/// The user brings the hash of each element; all 64 bits have to be good.
///
/// # Invariants
///
/// `generation` is a number that no other table has or had. It is replaced after
/// an element was made unreachable and before the table's reference to it goes.
pub struct RcuTable<T: Send + Sync + 'static> {
    buckets: RcuSlot<Buckets<T>>,
    generation: AtomicU64,
    len: AtomicUsize,
    writer: Pin<KBox<Mutex<Writer<T>>>>,
}

impl<T: Send + Sync + 'static> RcuTable<T> {
    /// A table with room for about `capacity` elements before it grows.
    pub fn new(capacity: usize) -> Result<Self> {
        let groups = capacity.div_ceil(GROUP).max(1);
        let buckets = Buckets::new(groups)?;
        let writer = Writer {
            buckets: buckets.clone(),
            len: 0,
            used: 0,
        };
        Ok(Self {
            buckets: RcuSlot::new(buckets),
            // INVARIANT: The number is a new one.
            generation: AtomicU64::new(new_generation()),
            len: AtomicUsize::new(0),
            writer: KBox::pin_init(
                Mutex::new(writer, WRITER_NAME, static_lock_class!()),
                GFP_KERNEL,
            )?,
        })
    }

    /// Has the CPU fetch what a look for an element with this hash needs, while
    /// it does something else before that.
    pub fn prefetch(&self, hash: u64) {
        let guard = rcu::read_lock();
        if let Some(buckets) = self.buckets.get(RcuRead::from(&guard)) {
            buckets.prefetch(hash);
        }
    }

    /// How many elements there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// Whether there are no elements.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first element with this hash that `matches` accepts.
    #[inline]
    pub fn find<'g>(
        &self,
        hash: u64,
        rcu: RcuRead<'g>,
        matches: impl FnMut(&'g T) -> bool,
    ) -> Option<&'g T> {
        let found = self.find_ptr(hash, rcu, matches)?;
        // SAFETY: The RCU read lock, held for `'g`, keeps it from being freed.
        Some(unsafe { found.as_ref() })
    }

    /// As [`RcuTable::find`]: what was published, valid while the RCU read lock
    /// is held.
    #[inline]
    fn find_ptr<'g>(
        &self,
        hash: u64,
        rcu: RcuRead<'g>,
        matches: impl FnMut(&'g T) -> bool,
    ) -> Option<NonNull<T>> {
        let buckets = self.buckets.get(rcu)?;
        let tags = buckets.tags.get(hash as usize & buckets.group_mask)?;
        let tags = tags.load(Ordering::Acquire);
        // Where the element is not there, this is nearly always all.
        if matching(tags, tag_of(hash)) == 0 && has_empty(tags) {
            return None;
        }
        buckets.find(hash, rcu, matches)
    }

    /// As [`RcuTable::find`], with a reference to the element, so that the
    /// caller may sleep.
    pub fn find_arc(&self, hash: u64, matches: impl FnMut(&T) -> bool) -> Option<RcuArc<T>> {
        let guard = rcu::read_lock();
        let rcu = RcuRead::from(&guard);
        // Who asks for a reference mostly knows that the element is there.
        self.buckets.get(rcu)?.prefetch(hash);
        let found = self.find_ptr(hash, rcu, matches)?;
        // SAFETY: An element comes from `RcuArc::into_raw()`, and the RCU read
        // lock has been held since it was found.
        unsafe { RcuArc::try_from_raw(found.as_ptr()) }
    }

    /// Puts an element in. `rehash` gives the hash of any element, for when the
    /// table has to grow.
    ///
    /// Sleeps. Whether an equal element is there already is the caller's
    /// business.
    pub fn insert(&self, hash: u64, value: RcuArc<T>, rehash: impl Fn(&T) -> u64) -> Result {
        let mut writer = self.writer.lock();
        let places = writer.buckets.slots.len();
        // At most three quarters are used, so lookups end soon.
        if writer.used.saturating_add(1) > places - places / 4 {
            let groups = if writer.len >= places / 2 {
                writer.buckets.groups().checked_mul(2).ok_or(ENOMEM)?
            } else {
                writer.buckets.groups()
            };
            writer.buckets = self.rebuild(&writer.buckets, groups, &rehash)?;
            writer.used = writer.len;
        }
        let ptr = RcuArc::into_raw(value).cast_mut();
        match writer.buckets.place(hash, ptr) {
            Some(placed) => {
                writer.len = writer.len.wrapping_add(1);
                if !placed.reused {
                    writer.used = writer.used.wrapping_add(1);
                }
                self.len.store(writer.len, Ordering::Relaxed);
                Ok(())
            }
            None => {
                // SAFETY: The pointer was given away above and is in no slot.
                drop(unsafe { RcuArc::from_raw(ptr) });
                Err(ENOSPC)
            }
        }
    }

    /// Copies everything to a new generation and publishes that.
    fn rebuild(
        &self,
        old: &RcuArc<Buckets<T>>,
        groups: usize,
        rehash: &impl Fn(&T) -> u64,
    ) -> Result<RcuArc<Buckets<T>>> {
        let new = Buckets::new(groups)?;
        // The new generation owns nothing while both have the pointers.
        new.moved.store(true, Ordering::Relaxed);
        for slot in &old.slots {
            let ptr = slot.load(Ordering::Relaxed);
            // SAFETY: The slot owns a reference, and only a writer takes it out,
            // which the mutex excludes.
            if let Some(element) = unsafe { ptr.as_ref() } {
                new.place(rehash(element), ptr).ok_or(ENOSPC)?;
            }
        }
        // INVARIANT: From here on the new generation owns the references.
        old.moved.store(true, Ordering::Relaxed);
        new.moved.store(false, Ordering::Relaxed);
        self.buckets.replace(Some(new.clone()));
        Ok(new)
    }

    /// Takes out the element at this address. As [`Self::take`].
    pub fn remove(&self, hash: u64, element: &T) -> Option<RcuArc<T>> {
        self.take(hash, |other| core::ptr::eq(other, element))
    }

    /// Takes out the first element with this hash that `matches` accepts. Sleeps.
    ///
    /// Readers that found it may go on using it for a grace period, whatever is
    /// done with the reference that comes back.
    pub fn take(&self, hash: u64, mut matches: impl FnMut(&T) -> bool) -> Option<RcuArc<T>> {
        let writer = &mut *self.writer.lock();
        let buckets = &writer.buckets;
        buckets.prefetch(hash);
        let tag = tag_of(hash);
        for (group, tags) in buckets.probe(hash) {
            let old = tags.load(Ordering::Relaxed);
            for i in 0..GROUP {
                if tag_at(old, i) != tag {
                    continue;
                }
                let slot = buckets
                    .slots
                    .get(group.wrapping_mul(GROUP).wrapping_add(i))?;
                let ptr = slot.load(Ordering::Relaxed);
                // SAFETY: A slot whose tag is not free owns a reference, which
                // only a writer takes out, and the mutex excludes others.
                if !matches(unsafe { &*ptr }) {
                    continue;
                }
                // A group with an empty place ends every lookup that reaches
                // it, so this place may become empty as well.
                let empty = has_empty(old);
                tags.store(
                    with_tag(old, i, if empty { EMPTY } else { DELETED }),
                    Ordering::Release,
                );
                slot.store(core::ptr::null_mut(), Ordering::Release);
                writer.len = writer.len.saturating_sub(1);
                if empty {
                    writer.used = writer.used.saturating_sub(1);
                }
                self.len.store(writer.len, Ordering::Relaxed);
                // INVARIANT: The element is unreachable; its reference goes
                // later.
                self.generation.store(new_generation(), Ordering::Release);
                // SAFETY: The slot owned the reference and no longer does.
                return Some(unsafe { RcuArc::from_raw(ptr) });
            }
            if has_empty(old) {
                break;
            }
        }
        None
    }

    /// Takes everything out and hands each element to `f`, which must not use
    /// this table.
    pub fn drain(&self, mut f: impl FnMut(RcuArc<T>)) {
        let writer = &mut *self.writer.lock();
        let buckets = &writer.buckets;
        for tags in &buckets.tags {
            tags.store(0, Ordering::Release);
        }
        // INVARIANT: Without tags nothing is found; the references go later.
        self.generation.store(new_generation(), Ordering::Release);
        writer.len = 0;
        writer.used = 0;
        self.len.store(0, Ordering::Relaxed);
        for slot in &buckets.slots {
            // A reader may still look here; what it finds lives on for a grace
            // period.
            let ptr = slot.swap(core::ptr::null_mut(), Ordering::AcqRel);
            if !ptr.is_null() {
                // SAFETY: The slot owned the reference and no longer does.
                f(unsafe { RcuArc::from_raw(ptr) });
            }
        }
    }

    /// Walks over the elements from place `start` on, for as long as `f` gives
    /// `true`. Gives the place to go on from, or nothing at the end.
    ///
    /// Where the table grows between two calls, elements may come twice or not
    /// at all.
    pub fn walk<'g>(
        &self,
        start: usize,
        rcu: RcuRead<'g>,
        mut f: impl FnMut(&'g T) -> bool,
    ) -> Option<usize> {
        let buckets = self.buckets.get(rcu)?;
        let mut place = start;
        for slot in buckets.slots.get(start..)? {
            // SAFETY: As in `find()`.
            if let Some(element) = unsafe { slot.load(Ordering::Acquire).as_ref::<'g>() } {
                if !f(element) {
                    return Some(place);
                }
            }
            place = place.wrapping_add(1);
        }
        None
    }

    /// As [`Self::walk`], for elements that are all over memory. `ahead` gets
    /// each of them [`AHEAD_STEPS`] times before `f` does, with 0, 1 and so on:
    /// it prefetches what comes next, and there is time in between for that to
    /// arrive.
    pub fn walk_ahead<'g>(
        &self,
        start: usize,
        rcu: RcuRead<'g>,
        ahead: impl Fn(&'g T, usize),
        mut f: impl FnMut(&'g T) -> bool,
    ) -> Option<usize> {
        const LEAD: usize = AHEAD_STEPS * AHEAD_SLOTS;

        let slots = self.buckets.get(rcu)?.slots.get(start..)?;
        let element = |place: usize| {
            let slot = slots.get(place)?;
            // SAFETY: As in `find()`.
            unsafe { slot.load(Ordering::Acquire).as_ref::<'g>() }
        };

        for first in 0..slots.len().saturating_add(LEAD) {
            // What is before the start is far beyond the end.
            for step in 0..AHEAD_STEPS {
                let place = first.wrapping_sub(step.wrapping_mul(AHEAD_SLOTS));
                if let Some(element) = element(place) {
                    ahead(element, step);
                }
            }
            let place = first.wrapping_sub(LEAD);
            if let Some(element) = element(place) {
                if !f(element) {
                    return Some(start.wrapping_add(place));
                }
            }
        }
        None
    }
}
