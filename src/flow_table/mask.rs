// SPDX-License-Identifier: GPL-2.0

//! Masks, compiled to the words they use.

use core::sync::atomic::{
    AtomicU32,
    AtomicUsize,
    Ordering, //
};

use kernel::prelude::*;
use pin_init::init_zeroed;

use kernel_ext::{
    random::random_u64,
    sync::rcu::RcuArc, //
};

use super::tree::LEVELS;
use crate::flow::{
    tunnel::{
        KeyRef,
        MatchKey,
        MATCH_WORDS, //
    },
    SwFlow, //
};

/// Folds a word: a 64 by 64 bit multiplication, high and low half together.
#[inline]
fn fold(word: u64) -> u64 {
    const K: u64 = 0x9e37_79b9_7f4a_7c15;
    let product = u128::from(word).wrapping_mul(u128::from(K));
    (product as u64) ^ ((product >> 64) as u64)
}

/// Random numbers that nobody outside knows, one for each word of a key, so
/// that nobody can choose keys that collide.
///
/// The words of a key are folded independently of each other and added up: a
/// CPU works on several of them at a time.
pub(crate) struct HashSeeds {
    words: [u64; MATCH_WORDS],
}

impl HashSeeds {
    /// New random numbers.
    pub(crate) fn new() -> impl Init<Self> {
        init!(Self {
            words <- pin_init::init_array_from_fn(|_| random_u64()),
        })
    }

    /// What the word at `index` adds to a hash.
    #[inline]
    fn word(&self, index: usize, word: u64) -> u64 {
        fold(word ^ self.words.get(index).copied().unwrap_or(0))
    }

    /// The hash of a few words that are no key's.
    pub(crate) fn hash(&self, words: &[u64]) -> u64 {
        words
            .iter()
            .zip(&self.words)
            .fold(0u64, |h, (&w, seed)| h.wrapping_add(fold(w ^ seed)))
    }
}

/// A mask as the list of the words that are not wholly wildcarded; as many as
/// `N` of them.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct CompactMask<const N: usize> {
    n: u8,
    index: [u8; N],
    bits: [u64; N],
}

impl<const N: usize> CompactMask<N> {
    /// Compiles a mask; nothing if it uses more than `N` words.
    fn new(words: &[u64; MATCH_WORDS]) -> Option<Self> {
        let mut compact = Self {
            n: 0,
            index: [0; N],
            bits: [0; N],
        };
        compact.compile(words)?;
        Some(compact)
    }

    /// Compiles a mask into `self`, which is that of no words. Nothing if it uses
    /// more than `N` words; then `self` has the first of them.
    fn compile(&mut self, words: &[u64; MATCH_WORDS]) -> Option<()> {
        let mut places = self.index.iter_mut().zip(self.bits.iter_mut());
        // MATCH_WORDS is far below 256.
        let mut i = 0u8;
        for &word in words {
            if word != 0 {
                let (index, bits) = places.next()?;
                *index = i;
                *bits = word;
                self.n = self.n.wrapping_add(1);
            }
            i = i.wrapping_add(1);
        }
        Some(())
    }

    /// Of a mask just some bits, which `keep` gives for each word; and of those
    /// the first `N` words that have any.
    pub(super) fn of_bits(words: &[u64; MATCH_WORDS], keep: impl Fn(usize) -> u64) -> Self {
        let mut some = [0; MATCH_WORDS];
        for (i, (some, word)) in (0..MATCH_WORDS).zip(some.iter_mut().zip(words)) {
            if *word != 0 {
                *some = word & keep(i);
            }
        }
        let mut compact = Self {
            n: 0,
            index: [0; N],
            bits: [0; N],
        };
        // Fewer words are the mask of a few more packets.
        let _ = compact.compile(&some);
        compact
    }

    /// A number for these words and bits.
    pub(super) fn seed(&self, seeds: &HashSeeds) -> u64 {
        let all = |h: u64, (i, bits)| h.wrapping_add(seeds.word(i, bits));
        fold(self.iter().fold(0, all))
    }

    /// Which words, and which of their bits.
    #[inline]
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, u64)> + '_ {
        self.index
            .get(..usize::from(self.n))
            .unwrap_or_default()
            .iter()
            .zip(&self.bits)
            .map(|(&i, &bits)| (usize::from(i), bits))
    }

    /// The masked words of `key`, with their places, in order.
    #[inline]
    fn masked<'a>(&'a self, key: KeyRef<'a>) -> impl Iterator<Item = (usize, u64)> + 'a {
        self.iter().map(move |(i, bits)| (i, key.word(i) & bits))
    }

    /// The hash of the masked words.
    #[inline]
    pub(crate) fn hash(&self, seeds: &HashSeeds, key: KeyRef<'_>) -> u64 {
        self.masked(key)
            .fold(0u64, |h, (i, w)| h.wrapping_add(seeds.word(i, w)))
    }

    /// Whether the masked words of `key` are those of `flow`, which has this
    /// mask.
    ///
    /// Words that differ are rare, as the hash was the same: so all are compared
    /// before the result is looked at.
    #[inline]
    fn matches(&self, key: KeyRef<'_>, flow: &SwFlow) -> bool {
        let (inline, more) = flow.masked_words();
        if !more.is_empty() {
            return self.matches_many(key, inline, more);
        }
        let differ = self
            .masked(key)
            .zip(inline)
            .fold(0, |differ, ((_, a), &b)| differ | (a ^ b));
        differ == 0
    }

    /// [`Self::matches`] for a mask of many words.
    #[inline(never)]
    fn matches_many(&self, key: KeyRef<'_>, inline: &[u64], more: &[u64]) -> bool {
        let words = Iterator::chain(inline.iter(), more);
        self.masked(key).zip(words).all(|((_, a), &b)| a == b)
    }
}

/// A mask that uses any number of words.
pub(crate) type WholeMask = CompactMask<MATCH_WORDS>;

impl WholeMask {
    /// Compiles a mask where it is to be: it is large for the stack.
    pub(crate) fn init(words: &[u64; MATCH_WORDS]) -> impl Init<Self> + '_ {
        init!(Self {
            n: 0,
            index <- init_zeroed(),
            bits <- init_zeroed(),
        })
        .chain(|mask| {
            // It has room for all words.
            let _ = mask.compile(words);
            Ok(())
        })
    }

    /// Whether all these bits are in it.
    pub(super) fn covers(&self, words: &[u64; MATCH_WORDS]) -> bool {
        let mut left = *words;
        for (i, bits) in self.iter() {
            if let Some(left) = left.get_mut(i) {
                *left &= !bits;
            }
        }
        left.iter().all(|&word| word == 0)
    }
}

/// The longest way to a mask in the tree of masks.
const STEPS: usize = LEVELS + 1;

/// A mask of the table.
///
/// C: `struct sw_flow_mask`.
pub(crate) struct FlowMask {
    key: MatchKey,
    whole: WholeMask,
    /// Tells masks apart, and is part of the hash of their flows.
    seed: u64,
    flows: AtomicUsize,
    /// Its place in the array of masks, if that has not changed since.
    place: AtomicUsize,
    /// The way to it in the tree of masks: the place in each node.
    steps: [AtomicU32; STEPS],
}

impl FlowMask {
    /// A mask that no flow has yet, made where it is to be: it is large for the
    /// stack.
    pub(crate) fn init<'a>(key: &'a MatchKey, seeds: &HashSeeds) -> impl Init<Self> + use<'a> {
        let seed = Self::seed_of(key, seeds);
        init!(Self {
            key: *key,
            whole <- WholeMask::init(key.words()),
            seed,
            flows: AtomicUsize::new(0),
            place: AtomicUsize::new(0),
            steps <- pin_init::init_array_from_fn(|_| AtomicU32::new(0)),
        })
    }

    /// The seed of a mask. Two masks with one seed would be a coincidence.
    pub(crate) fn seed_of(key: &MatchKey, seeds: &HashSeeds) -> u64 {
        fold(seeds.hash(key.words()))
    }

    /// The mask itself.
    pub(crate) fn key(&self) -> &MatchKey {
        &self.key
    }

    /// One flow more has this mask.
    pub(crate) fn add_flow(&self) {
        self.flows.fetch_add(1, Ordering::Relaxed);
    }

    /// One flow less has this mask. Whether it was the last.
    pub(crate) fn remove_flow(&self) -> bool {
        self.flows.fetch_sub(1, Ordering::Relaxed) == 1
    }

    /// Its place in the array of masks, or the one that it had.
    #[inline]
    pub(super) fn place(&self) -> usize {
        self.place.load(Ordering::Relaxed)
    }

    /// Takes note of its place in the array of masks.
    pub(super) fn set_place(&self, place: usize) {
        self.place.store(place, Ordering::Relaxed);
    }

    /// The way to it in the tree of masks, for those who may change that.
    pub(super) fn steps(&self) -> impl Iterator<Item = usize> + '_ {
        let step = |step: &AtomicU32| step.load(Ordering::Relaxed) as usize;
        self.steps.iter().map(step)
    }

    /// Takes note of one step of the way.
    pub(super) fn set_step(&self, depth: usize, place: usize) {
        if let Some(step) = self.steps.get(depth) {
            // There are not so many masks.
            let place = u32::try_from(place).unwrap_or(u32::MAX);
            step.store(place, Ordering::Relaxed);
        }
    }

    /// Its seed.
    pub(super) fn seed(&self) -> u64 {
        self.seed
    }

    /// Whether no flow has this mask.
    pub(crate) fn is_unused(&self) -> bool {
        self.flows.load(Ordering::Relaxed) == 0
    }

    /// The masked words of `key`, in order.
    pub(crate) fn masked_words<'a>(&'a self, key: KeyRef<'a>) -> impl Iterator<Item = u64> + 'a {
        self.whole.masked(key).map(|(_, w)| w)
    }

    /// The hash of what `key` gives under this mask.
    pub(crate) fn hash(&self, seeds: &HashSeeds, key: KeyRef<'_>) -> u64 {
        self.seed.wrapping_add(self.whole.hash(seeds, key))
    }

    /// Whether `key` matches `flow`, which has this mask.
    #[inline]
    pub(crate) fn matches(&self, key: KeyRef<'_>, flow: &SwFlow) -> bool {
        self.whole.matches(key, flow)
    }

    /// The whole masked key of a flow that has this mask.
    pub(crate) fn expand(&self, flow: &SwFlow) -> MatchKey {
        let mut key = MatchKey::zeroed();
        let all = key.words_mut();
        let (inline, more) = flow.masked_words();
        for ((i, _), word) in self.whole.iter().zip(Iterator::chain(inline.iter(), more)) {
            if let Some(place) = all.get_mut(i) {
                *place = *word;
            }
        }
        key
    }
}

/// How many words a mask may use to be wholly in its entry.
const ENTRY_WORDS: usize = 11;

/// What a lookup needs of a mask, in two cache lines; the entries of all masks
/// are beside each other.
#[repr(align(64))]
#[derive(Clone)]
pub(crate) struct MaskEntry {
    seed: u64,
    /// Nothing where the mask uses too many words; then `mask` has them.
    compact: Option<CompactMask<ENTRY_WORDS>>,
    mask: RcuArc<FlowMask>,
}

impl MaskEntry {
    /// The entry of a mask.
    pub(crate) fn new(mask: RcuArc<FlowMask>) -> Self {
        Self {
            seed: mask.seed,
            compact: CompactMask::new(mask.key.words()),
            mask,
        }
    }

    /// The mask.
    pub(crate) fn mask(&self) -> &RcuArc<FlowMask> {
        &self.mask
    }

    /// The hash of what `key` gives under this mask.
    #[inline]
    pub(crate) fn hash(&self, seeds: &HashSeeds, key: KeyRef<'_>) -> u64 {
        match &self.compact {
            Some(compact) => self.seed.wrapping_add(compact.hash(seeds, key)),
            None => self.mask.hash(seeds, key),
        }
    }

    /// Whether `key` matches `flow`, and that under this mask.
    #[inline]
    pub(crate) fn matches(&self, key: KeyRef<'_>, flow: &SwFlow) -> bool {
        if !RcuArc::ptr_eq(flow.mask(), &self.mask) {
            return false;
        }
        match &self.compact {
            Some(compact) => compact.matches(key, flow),
            None => self.mask.matches(key, flow),
        }
    }
}

const _: () = assert!(size_of::<MaskEntry>() == 128);
