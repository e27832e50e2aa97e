// SPDX-License-Identifier: GPL-2.0

//! The flow table: megaflows under masks.
//!
//! Every mask has a hash table of its own, so a lookup under a mask that has no
//! matching flow mostly ends after one cache line of tags. Which mask a packet
//! matched last is remembered per CPU, under a hash of just those key bits that
//! some mask looks at: packets that differ only in what nobody matches on share
//! an entry.
//!
//! Lookups need the RCU read lock; all changes need `ovs_mutex`.

pub(crate) mod cache;
pub(crate) mod mask;

use core::sync::atomic::{
    AtomicU32,
    Ordering, //
};

use kernel::prelude::*;

use kernel_ext::{
    rcu_table::RcuTable,
    sync::{
        bh::BhRcu,
        rcu::{
            RcuArc,
            RcuRead,
            RcuSlot, //
        },
    },
    time, //
};

use self::{
    cache::MaskCache,
    mask::{
        mix,
        CompactMask,
        FlowMask, //
    },
};
use crate::{
    actions::SwFlowActions,
    datapath::state::OvsGuard,
    flow::{
        key::{
            SwFlowKey,
            KEY_WORDS, //
        },
        SwFlow,
        SwFlowId, //
    },
};

/// How many entries the mask cache has unless userspace says otherwise.
///
/// C: `MC_DEFAULT_HASH_ENTRIES`.
const MC_DEFAULT_HASH_ENTRIES: u32 = 256;

/// The masks of a table, and all their bits together.
struct MaskArray {
    masks: KVec<RcuArc<FlowMask>>,
    /// What any mask looks at.
    union: CompactMask,
}

impl MaskArray {
    fn new(masks: KVec<RcuArc<FlowMask>>) -> Result<RcuArc<Self>> {
        let mut union = [0; KEY_WORDS];
        for mask in &masks {
            for (all, word) in union.iter_mut().zip(mask.key().words()) {
                *all |= word;
            }
        }
        Ok(RcuArc::new(
            Self {
                masks,
                union: CompactMask::from_words(&union),
            },
            GFP_KERNEL,
        )?)
    }
}

/// What a lookup found and what it took.
pub(crate) struct Lookup<'g> {
    /// The flow, if any matches.
    pub(crate) flow: Option<&'g SwFlow>,
    /// How many masks were tried.
    pub(crate) n_mask_hit: u32,
    /// 1 if the mask cache knew the mask.
    pub(crate) n_cache_hit: u32,
}

/// A datapath's flows.
///
/// C: `struct flow_table`.
pub(crate) struct FlowTable {
    masks: RcuSlot<MaskArray>,
    cache: RcuSlot<MaskCache>,
    seed: u64,
    /// All flows by what userspace names them by.
    ids: RcuTable<SwFlow>,
    ufid_count: AtomicU32,
}

impl FlowTable {
    /// An empty table.
    ///
    /// C: `ovs_flow_tbl_init()`.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            masks: RcuSlot::new(MaskArray::new(KVec::new())?),
            cache: RcuSlot::new(MaskCache::new(MC_DEFAULT_HASH_ENTRIES)?),
            seed: time::random_u64(),
            ids: RcuTable::new(1024)?,
            ufid_count: AtomicU32::new(0),
        })
    }

    /// How many flows there are.
    pub(crate) fn count(&self) -> u32 {
        u32::try_from(self.ids.len()).unwrap_or(u32::MAX)
    }

    /// How many masks there are.
    pub(crate) fn num_masks(&self, rcu: RcuRead<'_>) -> u32 {
        self.masks
            .get(rcu)
            .map_or(0, |a| u32::try_from(a.masks.len()).unwrap_or(u32::MAX))
    }

    /// How many entries the mask cache has.
    pub(crate) fn masks_cache_size(&self) -> u32 {
        self.cache.load().map_or(0, |c| c.size())
    }

    /// Changes how many entries the mask cache has: 0 or a power of two.
    ///
    /// C: `ovs_flow_tbl_masks_cache_resize()`.
    pub(crate) fn masks_cache_resize(&self, size: u32) -> Result {
        if size == self.masks_cache_size() {
            return Ok(());
        }
        if !MaskCache::size_ok(size) {
            return Err(EINVAL);
        }
        self.cache
            .replace(Some(RcuArc::new(MaskCache::sized(size)?, GFP_KERNEL)?));
        Ok(())
    }

    /// The flow that a packet with this key matches.
    ///
    /// C: `ovs_flow_tbl_lookup_stats()`.
    #[inline]
    pub(crate) fn lookup<'g>(&self, ctx: BhRcu<'g>, key: &SwFlowKey) -> Lookup<'g> {
        let mut result = Lookup {
            flow: None,
            n_mask_hit: 0,
            n_cache_hit: 0,
        };
        let Some(array) = self.masks.get(ctx.rcu()) else {
            return result;
        };
        // With one or two masks there is nothing to be gained by a cache.
        if array.masks.len() <= 2 {
            for mask in &array.masks {
                result.n_mask_hit = result.n_mask_hit.wrapping_add(1);
                result.flow = mask.lookup(key, ctx.rcu());
                if result.flow.is_some() {
                    break;
                }
            }
            return result;
        }
        self.lookup_cached(ctx, array, key, result)
    }

    #[inline(never)]
    fn lookup_cached<'g>(
        &self,
        ctx: BhRcu<'g>,
        array: &MaskArray,
        key: &SwFlowKey,
        mut result: Lookup<'g>,
    ) -> Lookup<'g> {
        let cache = self.cache.get(ctx.rcu());
        let hash = array.union.hash(self.seed, key);
        let hint = cache.and_then(|c| c.get(ctx, hash));
        if let Some(mask) = hint.and_then(|i| array.masks.get(i)) {
            result.n_mask_hit = 1;
            result.flow = mask.lookup(key, ctx.rcu());
            if result.flow.is_some() {
                result.n_cache_hit = 1;
                return result;
            }
        }
        for (i, mask) in array.masks.iter().enumerate() {
            if Some(i) == hint {
                continue;
            }
            result.n_mask_hit = result.n_mask_hit.wrapping_add(1);
            result.flow = mask.lookup(key, ctx.rcu());
            if result.flow.is_some() {
                if let Some(cache) = cache {
                    cache.set(ctx, hash, i);
                }
                break;
            }
        }
        result
    }

    /// The flow that this key matches, for a command.
    ///
    /// C: `ovs_flow_tbl_lookup()`.
    pub(crate) fn lookup_key(&self, _lock: &OvsGuard, key: &SwFlowKey) -> Option<RcuArc<SwFlow>> {
        let array = self.masks.load()?;
        array.masks.iter().find_map(|m| m.lookup_arc(key))
    }

    /// The flow that userspace names by this identifier.
    ///
    /// C: `ovs_flow_tbl_lookup_ufid()` and `ovs_flow_tbl_lookup_exact()`.
    pub(crate) fn lookup_id(&self, _lock: &OvsGuard, id: &SwFlowId) -> Option<RcuArc<SwFlow>> {
        self.ids
            .find_arc(id_hash(self.seed, id), |flow| flow.id() == id)
    }

    /// The flow that userspace names by this unmasked key.
    ///
    /// C: `ovs_flow_tbl_lookup_exact()`.
    pub(crate) fn lookup_exact(&self, _lock: &OvsGuard, key: &SwFlowKey) -> Option<RcuArc<SwFlow>> {
        self.ids.find_arc(key_hash(self.seed, key), |flow| {
            flow.id().as_key().is_some_and(|k| k == key)
        })
    }

    /// Puts a new flow in. That it overlaps with no other is the caller's
    /// business.
    ///
    /// C: `ovs_flow_tbl_insert()`.
    pub(crate) fn insert(
        &self,
        _lock: &OvsGuard,
        key: &SwFlowKey,
        mask: &SwFlowKey,
        id: SwFlowId,
        actions: RcuArc<SwFlowActions>,
    ) -> Result<RcuArc<SwFlow>> {
        let (mask, new_mask) = self.find_or_make_mask(mask)?;
        let flow = SwFlow::new(mask.clone(), key, id, actions)?;
        let seed = self.seed;
        let id_hash_of = |f: &SwFlow| id_hash(seed, f.id());

        // The new flow becomes visible to packets last, and with its mask.
        self.ids
            .insert(id_hash(seed, flow.id()), flow.clone(), id_hash_of)?;
        let inserted = mask
            .flows()
            .insert(flow.hash(), flow.clone(), SwFlow::hash)
            .and_then(|()| {
                if new_mask {
                    self.publish_mask(&mask)
                } else {
                    Ok(())
                }
            });
        if let Err(e) = inserted {
            self.ids.remove(id_hash(seed, flow.id()), &flow);
            mask.flows().remove(flow.hash(), &flow);
            return Err(e);
        }
        if !flow.id().is_key() {
            self.ufid_count.fetch_add(1, Ordering::Relaxed);
        }
        Ok(flow)
    }

    /// Takes a flow out.
    ///
    /// C: `ovs_flow_tbl_remove()`.
    pub(crate) fn remove(&self, _lock: &OvsGuard, flow: &SwFlow) {
        let mask = flow.mask().clone();
        mask.flows().remove(flow.hash(), flow);
        self.ids.remove(id_hash(self.seed, flow.id()), flow);
        if !flow.id().is_key() {
            self.ufid_count.fetch_sub(1, Ordering::Relaxed);
        }
        if mask.flows().is_empty() {
            // Without memory for a shorter array the empty mask stays, which
            // costs time but is not wrong; the next change tries again.
            let _ = self.drop_empty_masks();
        }
    }

    /// Takes all flows out.
    ///
    /// C: `ovs_flow_tbl_flush()`.
    pub(crate) fn flush(&self, _lock: &OvsGuard) {
        self.ids.drain(|flow| {
            flow.mask().flows().remove(flow.hash(), &flow);
        });
        self.ufid_count.store(0, Ordering::Relaxed);
        // See `remove()` for what happens without memory.
        let _ = self.drop_empty_masks();
    }

    /// Walks over all flows, see [`RcuTable::walk`].
    pub(crate) fn walk<'g>(
        &self,
        start: usize,
        rcu: RcuRead<'g>,
        f: impl FnMut(&'g SwFlow) -> bool,
    ) -> Option<usize> {
        self.ids.walk(start, rcu, f)
    }

    fn find_or_make_mask(&self, mask: &SwFlowKey) -> Result<(RcuArc<FlowMask>, bool)> {
        if let Some(array) = self.masks.load() {
            if let Some(found) = array.masks.iter().find(|m| m.key() == mask) {
                return Ok((found.clone(), false));
            }
        }
        let new = RcuArc::new(FlowMask::new(mask, self.seed)?, GFP_KERNEL)?;
        Ok((new, true))
    }

    fn publish_mask(&self, mask: &RcuArc<FlowMask>) -> Result {
        let array = self.masks.load().ok_or(ENOENT)?;
        let mut masks = KVec::with_capacity(array.masks.len().saturating_add(1), GFP_KERNEL)?;
        for m in &array.masks {
            masks.push(m.clone(), GFP_KERNEL)?;
        }
        masks.push(mask.clone(), GFP_KERNEL)?;
        self.masks.replace(Some(MaskArray::new(masks)?));
        Ok(())
    }

    fn drop_empty_masks(&self) -> Result {
        let array = self.masks.load().ok_or(ENOENT)?;
        let mut masks = KVec::with_capacity(array.masks.len(), GFP_KERNEL)?;
        for m in array.masks.iter().filter(|m| !m.flows().is_empty()) {
            masks.push(m.clone(), GFP_KERNEL)?;
        }
        self.masks.replace(Some(MaskArray::new(masks)?));
        Ok(())
    }
}

/// The hash of an unmasked key.
fn key_hash(seed: u64, key: &SwFlowKey) -> u64 {
    key.words().iter().fold(seed, |h, &w| mix(h, w))
}

/// The hash of an identifier.
fn id_hash(seed: u64, id: &SwFlowId) -> u64 {
    match id {
        SwFlowId::Ufid { len, bytes } => {
            let value = u128::from_ne_bytes(*bytes);
            let hash = mix(seed ^ u64::from(*len), value as u64);
            mix(hash, (value >> 64) as u64)
        }
        SwFlowId::Key(key) => key_hash(seed, key),
    }
}
