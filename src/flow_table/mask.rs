// SPDX-License-Identifier: GPL-2.0

//! A mask, compiled to the words it uses, and the flows under it.

use kernel::prelude::*;

use kernel_ext::{
    rcu_table::RcuTable,
    sync::rcu::{
        RcuArc,
        RcuRead, //
    },
};

use crate::flow::{
    key::{
        SwFlowKey,
        KEY_WORDS, //
    },
    SwFlow, //
};

/// Mixes a word into a hash: a 64 by 64 bit multiplication, folded.
#[inline]
pub(crate) fn mix(hash: u64, word: u64) -> u64 {
    const K: u64 = 0x9e37_79b9_7f4a_7c15;
    let product = u128::from(hash ^ word).wrapping_mul(u128::from(K ^ hash.rotate_left(32)));
    (product as u64) ^ ((product >> 64) as u64)
}

/// A mask as the list of the words that are not wholly wildcarded.
#[derive(Clone, Copy)]
pub(crate) struct CompactMask {
    n: usize,
    index: [u8; KEY_WORDS],
    bits: [u64; KEY_WORDS],
}

impl CompactMask {
    /// Compiles a mask.
    pub(crate) fn new(mask: &SwFlowKey) -> Self {
        Self::from_words(mask.words())
    }

    /// Compiles a mask that is given as words.
    pub(crate) fn from_words(words: &[u64; KEY_WORDS]) -> Self {
        let mut compact = Self {
            n: 0,
            index: [0; KEY_WORDS],
            bits: [0; KEY_WORDS],
        };
        let mut places = compact.index.iter_mut().zip(compact.bits.iter_mut());
        for (i, &word) in words.iter().enumerate().filter(|(_, &w)| w != 0) {
            if let Some((index, bits)) = places.next() {
                // KEY_WORDS is far below 256.
                *index = i as u8;
                *bits = word;
                compact.n = compact.n.wrapping_add(1);
            }
        }
        compact
    }

    /// Which words, and which of their bits.
    #[inline]
    fn iter(&self) -> impl Iterator<Item = (usize, u64)> + '_ {
        self.index
            .iter()
            .zip(self.bits.iter())
            .take(self.n)
            .map(|(&i, &bits)| (usize::from(i), bits))
    }

    /// The masked words of `key`, in order.
    #[inline]
    pub(crate) fn masked_words<'a>(&'a self, key: &'a SwFlowKey) -> impl Iterator<Item = u64> + 'a {
        let words = key.words();
        self.iter()
            .map(move |(i, bits)| words.get(i).copied().unwrap_or(0) & bits)
    }

    /// The hash of the masked words.
    #[inline]
    pub(crate) fn hash(&self, seed: u64, key: &SwFlowKey) -> u64 {
        self.masked_words(key).fold(seed, mix)
    }
}

/// A mask of the table with the flows that have it.
///
/// C: `struct sw_flow_mask`, which has no table of its own.
pub(crate) struct FlowMask {
    compact: CompactMask,
    seed: u64,
    flows: RcuTable<SwFlow>,
    key: SwFlowKey,
}

impl FlowMask {
    /// A mask with no flows. `seed` keeps others from choosing collisions.
    pub(crate) fn new(key: &SwFlowKey, seed: u64) -> Result<Self> {
        Ok(Self {
            compact: CompactMask::new(key),
            seed,
            flows: RcuTable::new(1)?,
            key: *key,
        })
    }

    /// The mask itself.
    pub(crate) fn key(&self) -> &SwFlowKey {
        &self.key
    }

    /// The flows that have this mask.
    pub(crate) fn flows(&self) -> &RcuTable<SwFlow> {
        &self.flows
    }

    /// The masked words of `key`, in order.
    #[inline]
    pub(crate) fn masked_words<'a>(&'a self, key: &'a SwFlowKey) -> impl Iterator<Item = u64> + 'a {
        self.compact.masked_words(key)
    }

    /// The hash of what `key` gives under this mask.
    #[inline]
    pub(crate) fn hash(&self, key: &SwFlowKey) -> u64 {
        self.compact.hash(self.seed, key)
    }

    /// The flow that `key` matches under this mask.
    ///
    /// C: `masked_flow_lookup()`.
    #[inline]
    pub(crate) fn lookup<'g>(&self, key: &SwFlowKey, rcu: RcuRead<'g>) -> Option<&'g SwFlow> {
        self.flows.find(self.hash(key), rcu, |flow| {
            self.masked_words(key)
                .zip(flow.masked_words())
                .all(|(a, &b)| a == b)
        })
    }

    /// The flow that `key` matches under this mask, for a command.
    pub(crate) fn lookup_arc(&self, key: &SwFlowKey) -> Option<RcuArc<SwFlow>> {
        self.flows.find_arc(self.hash(key), |flow| {
            self.masked_words(key)
                .zip(flow.masked_words())
                .all(|(a, &b)| a == b)
        })
    }

    /// The whole masked key of a flow's words.
    pub(crate) fn expand<'a>(&self, words: impl Iterator<Item = &'a u64>) -> SwFlowKey {
        let mut key = SwFlowKey::zeroed();
        let all = key.words_mut();
        for ((i, _), word) in self.compact.iter().zip(words) {
            if let Some(place) = all.get_mut(i) {
                *place = *word;
            }
        }
        key
    }
}
