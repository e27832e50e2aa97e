// SPDX-License-Identifier: GPL-2.0

//! Flows: what is matched on, what is counted and what is done.

pub(crate) mod extract;
pub(crate) mod headers;
pub(crate) mod key;
pub(crate) mod stats;
pub(crate) mod tunnel;

use core::mem::offset_of;

use kernel::prelude::*;

use kernel_ext::{
    mem::{
        prefetch,
        zeroed_box, //
    },
    sync::{
        rcu::{
            RcuArc,
            RcuRead,
            RCU_ARC_HEAD, //
        },
        rcu_cell::{
            RcuBox,
            RcuCell,
            RcuRef, //
        },
    },
    time::time_after, //
};

use self::{
    stats::{
        FlowStats,
        FlowStatsSum,
        SharedStats,
        StatsBlock, //
    },
    tunnel::{
        KeyRef,
        MatchKey, //
    }, //
};
use crate::{
    actions::SwFlowActions,
    flow_table::mask::FlowMask,
    offload::state::FlowOffload, //
};

/// The longest UFID, in bytes.
pub(crate) const MAX_UFID_LENGTH: usize = 16;

/// What userspace names a flow by.
///
/// C: `struct sw_flow_id`.
pub(crate) enum SwFlowId {
    /// A unique flow identifier of 1 to 16 bytes; the rest is zero.
    Ufid {
        /// How many bytes it has.
        len: u8,
        /// The bytes.
        bytes: [u8; MAX_UFID_LENGTH],
    },
    /// The key itself, unmasked.
    Key(KBox<MatchKey>),
}

impl SwFlowId {
    /// The identifier with these bytes; nothing unless there are 1 to 16.
    pub(crate) fn ufid(ufid: &[u8]) -> Option<Self> {
        let mut bytes = [0; MAX_UFID_LENGTH];
        if ufid.is_empty() {
            return None;
        }
        bytes.get_mut(..ufid.len())?.copy_from_slice(ufid);
        Some(Self::Ufid {
            len: u8::try_from(ufid.len()).ok()?,
            bytes,
        })
    }

    /// The identifier that is the unmasked key.
    pub(crate) fn key(key: &MatchKey) -> Result<Self> {
        let mut copy = zeroed_box::<MatchKey>(GFP_KERNEL)?;
        *copy = *key;
        Ok(Self::Key(copy))
    }

    /// The UFID's bytes, if it is one.
    pub(crate) fn as_ufid(&self) -> Option<&[u8]> {
        match self {
            Self::Ufid { len, bytes } => bytes.get(..usize::from(*len)),
            Self::Key(_) => None,
        }
    }

    /// The unmasked key, if that is the identifier.
    pub(crate) fn as_key(&self) -> Option<&MatchKey> {
        match self {
            Self::Ufid { .. } => None,
            Self::Key(key) => Some(key),
        }
    }

    /// Whether the flow is named by its key.
    ///
    /// C: `ovs_identifier_is_key()`.
    pub(crate) fn is_key(&self) -> bool {
        matches!(self, Self::Key(_))
    }
}

impl PartialEq for SwFlowId {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Ufid { .. }, Self::Ufid { .. }) => self.as_ufid() == other.as_ufid(),
            (Self::Key(a), Self::Key(b)) => **a == **b,
            _ => false,
        }
    }
}

/// How many masked words a flow holds beside its other hot data. Flows of
/// common masks have no more.
pub(crate) const INLINE_WORDS: usize = 7;

/// A flow of the table.
///
/// The masked key is kept as the words that the mask uses, in the mask's order:
/// that is all a lookup compares, and with the mask it gives back the whole key.
///
/// The fields are in the order of the cache lines that they are to be in: what
/// commands look at, with the head of the [`RcuArc`]; what a lookup compares;
/// what else packets on all CPUs read; and what the one CPU writes that counts
/// in the flow itself. All in all that is 256 bytes, which is what there are
/// slabs for.
///
/// C: `struct sw_flow`.
#[repr(C)]
pub(crate) struct SwFlow {
    id: SwFlowId,
    hash: u64,
    more_words: Option<KBox<KVec<u64>>>,
    mask: RcuArc<FlowMask>,
    words: [u64; INLINE_WORDS],
    actions: RcuCell<SwFlowActions>,
    stats: SharedStats,
    /// Its part in offloading.
    pub(crate) offload: FlowOffload,
    own_stats: StatsBlock,
}

const _: () = assert!((RCU_ARC_HEAD + offset_of!(SwFlow, mask)) % 64 == 0);
const _: () = assert!(
    (RCU_ARC_HEAD + offset_of!(SwFlow, own_stats)) / 64
        > (RCU_ARC_HEAD + offset_of!(SwFlow, stats)) / 64
);

impl SwFlow {
    /// A flow for `mask` that matches what `key` gives under it, which has this
    /// hash.
    pub(crate) fn new(
        mask: RcuArc<FlowMask>,
        key: KeyRef<'_>,
        id: SwFlowId,
        hash: u64,
        actions: RcuBox<SwFlowActions>,
    ) -> Result<RcuArc<Self>> {
        let mut words = [0; INLINE_WORDS];
        let mut more_words = KVec::new();
        let mut inline = words.iter_mut();
        for word in mask.masked_words(key) {
            match inline.next() {
                Some(place) => *place = word,
                None => more_words.push(word, GFP_KERNEL)?,
            }
        }
        let more_words = if more_words.is_empty() {
            None
        } else {
            Some(KBox::new(more_words, GFP_KERNEL)?)
        };
        Ok(RcuArc::new(
            Self {
                id,
                hash,
                more_words,
                words,
                mask,
                actions: RcuCell::new(actions),
                stats: SharedStats::new(),
                offload: FlowOffload::new(),
                own_stats: StatsBlock::new(),
            },
            GFP_KERNEL,
        )?)
    }

    /// The words that the mask uses, masked, in the mask's order: as many as are
    /// beside the other hot data, those above what the mask has being zero, and
    /// the rest.
    #[inline]
    pub(crate) fn masked_words(&self) -> (&[u64; INLINE_WORDS], &[u64]) {
        let more = self.more_words.as_ref().map_or(&[][..], |more| more);
        (&self.words, more)
    }

    /// Has the CPU fetch what a command is about to need of the flow, but for
    /// what it has looked at to find it.
    #[inline]
    pub(crate) fn prefetch(&self) {
        prefetch(&self.mask);
        prefetch(&self.actions);
        prefetch(&self.own_stats);
    }

    /// Has the CPU fetch, in steps, what a dump is about to need: the flow, what
    /// that refers to, and with `actions` what these refer to. The memory that a
    /// step looks at is what the last one fetched.
    #[inline]
    pub(crate) fn prefetch_step<'g>(&'g self, rcu: RcuRead<'g>, step: usize, actions: bool) {
        match step {
            0 => {
                prefetch(&self.id);
                self.prefetch();
            }
            1 => {
                if let SwFlowId::Key(key) = &self.id {
                    prefetch(&**key);
                }
                if actions {
                    prefetch(self.actions(rcu));
                }
            }
            _ => {
                if let Some(first) = self.actions(rcu).list.first().filter(|_| actions) {
                    prefetch(first);
                }
            }
        }
    }

    /// What is counted.
    #[inline]
    pub(crate) fn stats(&self) -> FlowStats<'_> {
        FlowStats::new(&self.stats, &self.own_stats)
    }

    /// The hash of what the flow matches.
    #[inline]
    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    /// The masked key.
    pub(crate) fn key(&self) -> MatchKey {
        self.mask.expand(self)
    }

    /// The mask.
    #[inline]
    pub(crate) fn mask(&self) -> &RcuArc<FlowMask> {
        &self.mask
    }

    /// What userspace names the flow by.
    pub(crate) fn id(&self) -> &SwFlowId {
        &self.id
    }

    /// What is done with its packets.
    #[inline]
    pub(crate) fn actions<'g>(&'g self, rcu: RcuRead<'g>) -> &'g SwFlowActions {
        self.actions.get(rcu)
    }

    /// What is done with its packets, with a reference of its own.
    pub(crate) fn load_actions(&self) -> RcuRef<SwFlowActions> {
        self.actions.load()
    }

    /// Replaces what is done with its packets.
    pub(crate) fn set_actions(&self, actions: RcuBox<SwFlowActions>) {
        self.actions.replace(actions);
    }

    /// Clears what is counted, in software and in hardware.
    pub(crate) fn clear_stats(&self) {
        self.stats().clear();
        self.offload.clear();
    }
}

/// What a flow has counted, in software and in hardware.
pub(crate) fn total_stats(flow: &SwFlow) -> FlowStatsSum {
    let mut sum = flow.stats().get();
    let hw = flow.offload.counts();

    if hw.packets != 0 {
        sum.packets = sum.packets.wrapping_add(hw.packets);
        sum.bytes = sum.bytes.wrapping_add(hw.bytes);
        if sum.used == 0 || (hw.used != 0 && time_after(hw.used, sum.used)) {
            sum.used = hw.used;
        }
    }
    sum
}
