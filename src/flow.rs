// SPDX-License-Identifier: GPL-2.0

//! Flows: what is matched on, what is counted and what is done.

pub(crate) mod extract;
pub(crate) mod headers;
pub(crate) mod key;
pub(crate) mod stats;
pub(crate) mod tunnel;

use kernel::prelude::*;

use kernel_ext::{
    mem::zeroed_box,
    sync::rcu::{
        RcuArc,
        RcuRead,
        RcuSlot, //
    },
};

use self::{
    stats::FlowStats,
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
const INLINE_WORDS: usize = 8;

/// A flow of the table.
///
/// The masked key is kept as the words that the mask uses, in the mask's order:
/// that is all a lookup compares, and with the mask it gives back the whole key.
///
/// C: `struct sw_flow`.
#[repr(C)]
pub(crate) struct SwFlow {
    words: [u64; INLINE_WORDS],
    more_words: KVec<u64>,
    actions: RcuSlot<SwFlowActions>,
    /// What is counted.
    pub(crate) stats: FlowStats,
    mask: RcuArc<FlowMask>,
    id: SwFlowId,
    hash: u64,
    /// Its part in offloading.
    pub(crate) offload: FlowOffload,
}

impl SwFlow {
    /// A flow for `mask` that matches what `key` gives under it, which has this
    /// hash.
    pub(crate) fn new(
        mask: RcuArc<FlowMask>,
        key: KeyRef<'_>,
        id: SwFlowId,
        actions: RcuArc<SwFlowActions>,
        hash: u64,
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
        Ok(RcuArc::new(
            Self {
                words,
                more_words,
                actions: RcuSlot::new(actions),
                stats: FlowStats::new(),
                mask,
                id,
                hash,
                offload: FlowOffload::new(),
            },
            GFP_KERNEL,
        )?)
    }

    /// The words that the mask uses, masked, in the mask's order. There may be
    /// more of them than the mask has; those are zero.
    #[inline]
    pub(crate) fn masked_words(&self) -> impl Iterator<Item = &u64> {
        Iterator::chain(self.words.iter(), self.more_words.iter())
    }

    /// The hash of the masked key.
    #[inline]
    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    /// The masked key.
    pub(crate) fn key(&self) -> MatchKey {
        self.mask.expand(self.masked_words())
    }

    /// The mask.
    pub(crate) fn mask(&self) -> &RcuArc<FlowMask> {
        &self.mask
    }

    /// What userspace names the flow by.
    pub(crate) fn id(&self) -> &SwFlowId {
        &self.id
    }

    /// What is done with its packets.
    #[inline]
    pub(crate) fn actions<'g>(&self, rcu: RcuRead<'g>) -> Option<&'g SwFlowActions> {
        self.actions.get(rcu)
    }

    /// What is done with its packets, with a reference of its own.
    pub(crate) fn load_actions(&self) -> Option<RcuArc<SwFlowActions>> {
        self.actions.load()
    }

    /// Replaces what is done with its packets.
    pub(crate) fn set_actions(&self, actions: RcuArc<SwFlowActions>) {
        self.actions.replace(Some(actions));
    }
}
