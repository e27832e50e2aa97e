// SPDX-License-Identifier: GPL-2.0

//! The flow table: megaflows under masks.
//!
//! All flows are in one hash table; a lookup tries the masks one after the
//! other. What it needs of them is beside each other in memory, and under a mask
//! that has no matching flow it mostly reads one word more, of tags. Which mask a
//! packet matched last is remembered under a hash of just those key bits that
//! some mask looks at: packets that differ only in what nobody matches on share
//! an entry. Before all that, the flow that the last packet on this CPU matched
//! is tried: packets come in trains.
//!
//! Lookups need the RCU read lock; all changes need `ovs_mutex`.

pub(crate) mod cache;
pub(crate) mod mask;
mod tree;

use core::sync::atomic::{
    AtomicU32,
    AtomicUsize,
    Ordering, //
};

use kernel::{
    prelude::*,
    sync::rcu, //
};

use kernel_ext::{
    rcu_table::{
        Memory,
        RcuTable,
        RememberingTable, //
    },
    rcu_vec::RcuVec,
    sync::{
        bh::BhRcu,
        rcu::{
            RcuArc,
            RcuRead,
            RcuSlot, //
        },
        rcu_cell::RcuBox, //
    },
};

use self::{
    cache::MaskCache,
    mask::{
        FlowMask,
        HashSeeds,
        MaskEntry,
        WholeMask, //
    },
    tree::MaskTree, //
};
use crate::{
    actions::SwFlowActions,
    datapath::state::OvsGuard,
    flow::{
        tunnel::{
            KeyRef,
            MatchKey,
            MATCH_WORDS, //
        },
        SwFlow,
        SwFlowId, //
    },
};

/// How many entries the mask cache has unless userspace says otherwise.
///
/// C: `MC_DEFAULT_HASH_ENTRIES`.
const MC_DEFAULT_HASH_ENTRIES: u32 = 256;

/// Up to so many masks are tried without asking the cache.
const FEW_MASKS: usize = 2;

/// How many flows are put into a new tree of masks before others may run.
const FLOWS_AT_ONCE: usize = 1024;

/// How many trains of packets a CPU tells apart: packets of one flow that come
/// behind each other, but for those of other ports, or of other rounds through
/// the table. A power of two, and as many as a cache line holds.
const TRAINS: usize = 4;

/// What a lookup found and what it took.
#[derive(Default)]
pub(crate) struct Lookup<'g> {
    /// The flow, if any matches.
    pub(crate) flow: Option<&'g SwFlow>,
    /// How many masks were tried.
    pub(crate) n_mask_hit: u32,
    /// 1 if the mask was known beforehand, from the last packet or the cache,
    /// and the cache is not turned off.
    pub(crate) n_cache_hit: u32,
}

/// A datapath's flows.
///
/// What every packet reads comes first.
///
/// C: `struct flow_table`.
#[repr(C)]
pub(crate) struct FlowTable {
    /// All flows by their masks and masked keys, and those that each CPU's last
    /// packets matched.
    flows: RememberingTable<SwFlow, TRAINS>,
    /// What a packet of the same flow as the last counts as hits of the cache:
    /// 1, or 0 while that is turned off.
    train_hits: AtomicU32,
    masks: RcuVec<MaskEntry>,
    /// The masks again, if they are many.
    tree: RcuSlot<MaskTree>,
    cache: RcuSlot<MaskCache>,
    /// What any of the masks looks at.
    union: RcuSlot<WholeMask>,
    /// All flows by what userspace names them by.
    ids: RcuTable<SwFlow>,
    /// All masks by their seeds.
    masks_by_seed: RcuTable<FlowMask>,
    /// Masks that no flow has any more.
    unused_masks: AtomicUsize,
    seeds: HashSeeds,
}

impl FlowTable {
    /// An empty table, made where it is to be: it is large for the stack.
    ///
    /// C: `ovs_flow_tbl_init()`.
    pub(crate) fn init() -> impl Init<Self, Error> {
        try_init!(Self {
            flows: RememberingTable::new(1024)?,
            train_hits: AtomicU32::new(1),
            masks: RcuVec::new()?,
            tree: RcuSlot::empty(),
            cache: RcuSlot::new(MaskCache::new(MC_DEFAULT_HASH_ENTRIES, 0)?),
            union: RcuSlot::new(RcuArc::init(
                WholeMask::init(&[0; MATCH_WORDS]),
                GFP_KERNEL,
            )?),
            ids: RcuTable::new(1024)?,
            masks_by_seed: RcuTable::new(16)?,
            unused_masks: AtomicUsize::new(0),
            seeds <- HashSeeds::new(),
        }? Error)
    }

    /// How many flows there are.
    pub(crate) fn count(&self) -> u32 {
        u32::try_from(self.ids.len()).unwrap_or(u32::MAX)
    }

    /// How many masks there are.
    pub(crate) fn num_masks(&self, rcu: RcuRead<'_>) -> u32 {
        let unused = self.unused_masks.load(Ordering::Relaxed);
        u32::try_from(self.masks.get(rcu).len().saturating_sub(unused)).unwrap_or(u32::MAX)
    }

    /// How many entries the mask cache has.
    pub(crate) fn masks_cache_size(&self) -> u32 {
        self.cache.load().map_or(0, |c| c.size())
    }

    /// Changes how many entries the mask cache has: 0 or a power of two.
    ///
    /// C: `ovs_flow_tbl_masks_cache_resize()`.
    pub(crate) fn masks_cache_resize(&self, size: u32) -> Result {
        if size != self.masks_cache_size() {
            self.cache
                .replace(Some(MaskCache::new(size, self.ids.len())?));
            self.train_hits
                .store(u32::from(size != 0), Ordering::Relaxed);
        }
        Ok(())
    }

    /// The flow that a packet with this key matches.
    ///
    /// C: `ovs_flow_tbl_lookup_stats()`.
    #[inline]
    pub(crate) fn lookup<'g>(&self, ctx: BhRcu<'g>, key: KeyRef<'_>) -> Lookup<'g> {
        // What the last packet of the train matched that this one may be of.
        let train = key.recirc_id.wrapping_add(key.in_port.into());
        let Some(train) = self.flows.memory(ctx, train as usize) else {
            // There always is one.
            return Lookup::default();
        };
        if let Some(flow) = train.last(ctx.rcu()) {
            if flow.mask().matches(key, flow) {
                return Lookup {
                    flow: Some(flow),
                    n_mask_hit: 1,
                    n_cache_hit: self.train_hits.load(Ordering::Relaxed),
                };
            }
        }
        let masks = self.masks.get(ctx.rcu());
        if masks.len() <= FEW_MASKS {
            return self.lookup_all(ctx, train, masks, key, None).0;
        }
        self.lookup_cached(ctx, train, masks, key)
    }

    #[inline(never)]
    fn lookup_cached<'g>(
        &self,
        ctx: BhRcu<'g>,
        train: Memory<'_, SwFlow>,
        masks: &'g [MaskEntry],
        key: KeyRef<'_>,
    ) -> Lookup<'g> {
        let (Some(cache), Some(union)) = (self.cache.get(ctx.rcu()), self.union.get(ctx.rcu()))
        else {
            return self.lookup_all(ctx, train, masks, key, None).0;
        };
        let hash = union.hash(&self.seeds, key);
        // The list may have become shorter since.
        let known = cache.get(hash).filter(|&place| place < masks.len());
        if let Some(mask) = known.and_then(|place| masks.get(place)) {
            let flow = self.masked_flow_lookup(ctx, train, mask, key);
            if flow.is_some() {
                return Lookup {
                    flow,
                    n_mask_hit: 1,
                    n_cache_hit: 1,
                };
            }
        }
        let (found, place) = self.lookup_all(ctx, train, masks, key, known);
        if found.flow.is_some() {
            cache.set(hash, place);
        }
        found
    }

    /// Tries all masks but the one at `tried`, which has been. Also gives the
    /// place of the mask that matched. Out of line: the look that the cache
    /// makes short needs its registers.
    #[inline(never)]
    fn lookup_all<'g>(
        &self,
        ctx: BhRcu<'g>,
        train: Memory<'_, SwFlow>,
        masks: &'g [MaskEntry],
        key: KeyRef<'_>,
        tried: Option<usize>,
    ) -> (Lookup<'g>, usize) {
        let mut found = Lookup {
            n_mask_hit: u32::from(tried.is_some()),
            ..Lookup::default()
        };
        if masks.len() > FEW_MASKS {
            if let Some(tree) = self.tree.get(ctx.rcu()) {
                let tried = tried.and_then(|place| masks.get(place));
                return self.lookup_tree(ctx, train, tree, key, tried);
            }
        }
        for (place, mask) in (0..masks.len()).zip(masks) {
            if tried == Some(place) {
                continue;
            }
            found.n_mask_hit = found.n_mask_hit.wrapping_add(1);
            found.flow = self.masked_flow_lookup(ctx, train, mask, key);
            if found.flow.is_some() {
                return (found, place);
            }
        }
        (found, 0)
    }

    /// [`Self::lookup_all`] of many masks.
    #[inline(never)]
    fn lookup_tree<'g>(
        &self,
        ctx: BhRcu<'g>,
        train: Memory<'_, SwFlow>,
        tree: &'g MaskTree,
        key: KeyRef<'_>,
        tried: Option<&MaskEntry>,
    ) -> (Lookup<'g>, usize) {
        let mut found = Lookup {
            n_mask_hit: u32::from(tried.is_some()),
            ..Lookup::default()
        };
        let tried = tried.map(|tried| RcuArc::as_ptr(tried.mask()));
        let mut place = 0;
        tree.find(&self.seeds, key, ctx.rcu(), |mask| {
            if tried == Some(RcuArc::as_ptr(mask.mask())) {
                return false;
            }
            found.n_mask_hit = found.n_mask_hit.wrapping_add(1);
            found.flow = self.masked_flow_lookup(ctx, train, mask, key);
            if found.flow.is_none() {
                return false;
            }
            place = mask.mask().place();
            true
        });
        (found, place)
    }

    /// The flow that `key` matches under one mask, which is noted in `train`.
    ///
    /// C: `masked_flow_lookup()`.
    #[inline]
    fn masked_flow_lookup<'g>(
        &self,
        ctx: BhRcu<'g>,
        train: Memory<'_, SwFlow>,
        mask: &MaskEntry,
        key: KeyRef<'_>,
    ) -> Option<&'g SwFlow> {
        train.find(mask.hash(&self.seeds, key), ctx.rcu(), |flow| {
            mask.matches(key, flow)
        })
    }

    /// The flow that this key matches, for a command.
    ///
    /// C: `ovs_flow_tbl_lookup()`.
    pub(crate) fn lookup_key(&self, _lock: &OvsGuard, key: &MatchKey) -> Option<RcuArc<SwFlow>> {
        let key = key.as_ref();
        let guard = kernel::sync::rcu::read_lock();
        let rcu = RcuRead::from(&guard);
        let look = |mask: &MaskEntry| {
            let hash = mask.hash(&self.seeds, key);
            let found = self.flows.find(hash, rcu, |flow| mask.matches(key, flow))?;
            self.flows.find_arc(hash, |flow| core::ptr::eq(flow, found))
        };
        let Some(tree) = self.tree.get(rcu) else {
            return self.masks.get(rcu).iter().find_map(look);
        };
        let mut found = None;
        tree.find(&self.seeds, key, rcu, |mask| {
            found = look(mask);
            found.is_some()
        });
        found
    }

    /// The flow with this mask and this key, which is masked.
    pub(crate) fn lookup_masked(
        &self,
        mask: &RcuArc<FlowMask>,
        key: &MatchKey,
    ) -> Option<RcuArc<SwFlow>> {
        let key = key.as_ref();
        self.flows.find_arc(mask.hash(&self.seeds, key), |flow| {
            RcuArc::ptr_eq(flow.mask(), mask) && mask.matches(key, flow)
        })
    }

    /// The flow that userspace names by this identifier.
    ///
    /// C: `ovs_flow_tbl_lookup_ufid()` and `ovs_flow_tbl_lookup_exact()`.
    pub(crate) fn lookup_id(&self, _lock: &OvsGuard, id: &SwFlowId) -> Option<RcuArc<SwFlow>> {
        self.ids.find_arc(id_hash(&self.seeds, id), |flow| {
            flow.prefetch();
            flow.id() == id
        })
    }

    /// The flow that userspace names by this unmasked key.
    ///
    /// C: `ovs_flow_tbl_lookup_exact()`.
    pub(crate) fn lookup_exact(&self, _lock: &OvsGuard, key: &MatchKey) -> Option<RcuArc<SwFlow>> {
        self.ids.find_arc(self.seeds.hash(key.words()), |flow| {
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
        key: &MatchKey,
        mask: &MatchKey,
        id: SwFlowId,
        actions: RcuBox<SwFlowActions>,
    ) -> Result<RcuArc<SwFlow>> {
        let (mask, new_mask) = self.find_or_make_mask(mask)?;
        let key = key.as_ref();
        let hash = mask.hash(&self.seeds, key);
        self.flows.prefetch(hash);
        let flow = SwFlow::new(mask.clone(), key, id, hash, actions)?;
        let id_hash_of = |f: &SwFlow| id_hash(&self.seeds, f.id());
        let id_hash = id_hash_of(&flow);

        self.renew_tree();
        if new_mask {
            self.publish_mask(&mask)?;
        }
        self.announce_flow(&mask, key);
        // The new flow becomes visible to packets last.
        let inserted = self
            .ids
            .insert(id_hash, flow.clone(), id_hash_of)
            .and_then(|()| {
                self.flows
                    .insert(hash, flow.clone(), SwFlow::hash)
                    .inspect_err(|_| {
                        self.ids.remove(id_hash, &flow);
                    })
            });
        if let Err(e) = inserted {
            if new_mask {
                // It is there without a flow.
                self.unused_masks.fetch_add(1, Ordering::Relaxed);
            }
            return Err(e);
        }
        if !new_mask && mask.is_unused() {
            self.unused_masks.fetch_sub(1, Ordering::Relaxed);
        }
        mask.add_flow();
        self.grow_cache();
        Ok(flow)
    }

    /// Takes the flow out that userspace names by this identifier.
    ///
    /// C: `ovs_flow_tbl_remove()` of what was found.
    pub(crate) fn take_id(&self, _lock: &OvsGuard, id: &SwFlowId) -> Option<RcuArc<SwFlow>> {
        let flow = self.ids.take(id_hash(&self.seeds, id), |flow| {
            // It nearly always is.
            flow.prefetch();
            self.flows.prefetch(flow.hash());
            flow.id() == id
        })?;
        self.hide(&flow);
        Some(flow)
    }

    /// Takes the flow out that userspace names by this unmasked key.
    pub(crate) fn take_exact(&self, _lock: &OvsGuard, key: &MatchKey) -> Option<RcuArc<SwFlow>> {
        let flow = self.ids.take(self.seeds.hash(key.words()), |flow| {
            flow.id().as_key().is_some_and(|k| k == key)
        })?;
        self.hide(&flow);
        Some(flow)
    }

    /// Takes a flow that has lost its name away from packets, too.
    fn hide(&self, flow: &SwFlow) {
        self.flows.remove(flow.hash(), flow);
        let guard = rcu::read_lock();
        if let Some(tree) = self.tree.get(RcuRead::from(&guard)) {
            tree.flow_removed();
        }
        drop(guard);
        if flow.mask().remove_flow() {
            self.unused_masks.fetch_add(1, Ordering::Relaxed);
            self.drop_unused_masks();
        }
    }

    /// Takes all flows out.
    ///
    /// C: `ovs_flow_tbl_flush()`.
    pub(crate) fn flush(&self, _lock: &OvsGuard) {
        self.flows.drain(|flow| {
            if flow.mask().remove_flow() {
                self.unused_masks.fetch_add(1, Ordering::Relaxed);
            }
        });
        self.ids.drain(drop);
        self.drop_unused_masks();
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

    /// Walks over all flows for a dump, with their `actions` or without, see
    /// [`RcuTable::walk_ahead`].
    ///
    /// C: `ovs_flow_tbl_dump_next()`.
    pub(crate) fn dump<'g>(
        &self,
        start: usize,
        rcu: RcuRead<'g>,
        actions: bool,
        f: impl FnMut(&'g SwFlow) -> bool,
    ) -> Option<usize> {
        self.ids.walk_ahead(
            start,
            rcu,
            |flow, step| flow.prefetch_step(rcu, step, actions),
            f,
        )
    }

    /// Calls `f` with each flow, which may sleep.
    pub(crate) fn for_each(&self, lock: &OvsGuard, mut f: impl FnMut(&RcuArc<SwFlow>)) {
        let mut next = Some(0);

        while let Some(start) = next {
            let mut found = None;
            let guard = rcu::read_lock();

            next = self.walk(start, RcuRead::from(&guard), |flow| {
                if found.is_some() {
                    return false;
                }
                found = self.lookup_id(lock, flow.id());
                true
            });
            drop(guard);
            if let Some(flow) = found {
                f(&flow);
            }
        }
    }

    fn find_or_make_mask(&self, key: &MatchKey) -> Result<(RcuArc<FlowMask>, bool)> {
        let seed = FlowMask::seed_of(key, &self.seeds);
        match self.masks_by_seed.find_arc(seed, |m| m.key() == key) {
            Some(mask) => Ok((mask, false)),
            None => Ok((self.make_mask(key)?, true)),
        }
    }

    /// A new mask. Out of line: few flows need one.
    #[inline(never)]
    fn make_mask(&self, key: &MatchKey) -> Result<RcuArc<FlowMask>> {
        RcuArc::init(FlowMask::init(key, &self.seeds), GFP_KERNEL)
    }

    /// Has lookups try a new mask. Out of line, as [`Self::make_mask`].
    #[inline(never)]
    fn publish_mask(&self, mask: &RcuArc<FlowMask>) -> Result {
        let union = self.union_with(mask.key())?;
        self.masks_by_seed
            .insert(mask.seed(), mask.clone(), FlowMask::seed)?;
        mask.set_place(self.masks.with(<[_]>::len));
        if let Err(e) = self.masks.push(MaskEntry::new(mask.clone())) {
            self.masks_by_seed.remove(mask.seed(), mask);
            return Err(e);
        }
        if let Some(tree) = self.tree.load() {
            if tree.add_mask(mask, &self.seeds).is_err() {
                self.tree.replace(None);
            }
        }
        if let Some(union) = union {
            self.union.replace(Some(union));
        }
        Ok(())
    }

    /// Has lookups find a flow of this key under this mask, which is about to be
    /// in the table.
    #[inline]
    fn announce_flow(&self, mask: &FlowMask, key: KeyRef<'_>) {
        let guard = rcu::read_lock();
        let rcu = RcuRead::from(&guard);
        if let Some(tree) = self.tree.get(rcu) {
            if tree.add_flow(&self.seeds, mask, key, rcu).is_err() {
                self.tree.replace(None);
            }
        }
    }

    /// Makes a tree of the masks where there are many and it is missing, or a
    /// better one. Without memory there is none: all masks are tried then.
    #[inline]
    fn renew_tree(&self) {
        let guard = rcu::read_lock();
        let wanted = match self.tree.get(RcuRead::from(&guard)) {
            Some(tree) => tree.is_stale(),
            None => self.masks.get(RcuRead::from(&guard)).len() > tree::MANY_MASKS,
        };
        drop(guard);
        if wanted {
            let tree = self.make_tree();
            self.tree.replace(tree.ok());
        }
    }

    /// A tree of all masks and flows.
    #[inline(never)]
    fn make_tree(&self) -> Result<RcuArc<MaskTree>> {
        let (old, flows) = (self.tree.load(), self.flows.len());
        // A copy: the tree has arrays of masks itself, with locks of the same class.
        let mut masks = KVVec::new();
        self.masks
            .with(|all| masks.extend_from_slice(all, GFP_KERNEL))?;
        let tree = MaskTree::build(&masks, flows, old.as_deref(), &self.seeds)?;
        let mut next = Some(0);
        while let Some(start) = next {
            let guard = rcu::read_lock();
            let rcu = RcuRead::from(&guard);
            let (mut result, mut left) = (Ok(()), FLOWS_AT_ONCE);
            next = self.flows.walk(start, rcu, |flow| {
                if left == 0 {
                    return false;
                }
                left = left.wrapping_sub(1);
                let added = tree.add_flow(&self.seeds, flow.mask(), flow.key().as_ref(), rcu);
                result = result.and(added);
                true
            });
            result?;
        }
        Ok(tree)
    }

    /// The bits of all masks and of one more; nothing if that has none that the
    /// others have not.
    fn union_with(&self, key: &MatchKey) -> Result<Option<RcuArc<WholeMask>>> {
        let old = self.union.load();
        if old.as_ref().is_some_and(|old| old.covers(key.words())) {
            return Ok(None);
        }
        let mut union = *key.words();
        for (i, bits) in old.iter().flat_map(|old| old.iter()) {
            if let Some(word) = union.get_mut(i) {
                *word |= bits;
            }
        }
        RcuArc::init(WholeMask::init(&union), GFP_KERNEL).map(Some)
    }

    /// The bits of all masks.
    fn union_of_all(&self) -> Result<RcuArc<WholeMask>> {
        let mut union = [0; MATCH_WORDS];
        self.masks.with(|masks| {
            for mask in masks {
                for (all, word) in union.iter_mut().zip(mask.mask().key().words()) {
                    *all |= word;
                }
            }
        });
        RcuArc::init(WholeMask::init(&union), GFP_KERNEL)
    }

    /// Takes unused masks out, once they are a quarter of all.
    ///
    /// Without memory they stay, which costs time but is not wrong; the next
    /// change tries again.
    fn drop_unused_masks(&self) {
        let unused = self.unused_masks.load(Ordering::Relaxed);
        if unused.saturating_mul(4) < self.masks.with(<[_]>::len) {
            return;
        }
        let keep = |m: &MaskEntry| {
            let unused = m.mask().is_unused();
            if unused {
                self.masks_by_seed.remove(m.mask().seed(), m.mask());
            }
            !unused
        };
        if self.masks.retain(keep).is_err() {
            return;
        }
        self.unused_masks.store(0, Ordering::Relaxed);
        let left = self.masks.with(|masks| {
            for (place, mask) in (0..masks.len()).zip(masks) {
                mask.mask().set_place(place);
            }
            masks.len()
        });
        if left < tree::FEW_MASKS_AGAIN {
            self.tree.replace(None);
        }
        if let Ok(union) = self.union_of_all() {
            self.union.replace(Some(union));
        }
    }

    /// Gives many flows a larger cache. Without memory the old one stays.
    fn grow_cache(&self) {
        let flows = self.ids.len();
        if let Some(cache) = self.cache.load() {
            if cache.is_small_for(flows) {
                if let Ok(larger) = MaskCache::new(cache.size(), flows) {
                    self.cache.replace(Some(larger));
                }
            }
        }
    }
}

/// The hash of an identifier.
fn id_hash(seeds: &HashSeeds, id: &SwFlowId) -> u64 {
    match id {
        SwFlowId::Ufid { len, bytes } => {
            let value = u128::from_ne_bytes(*bytes);
            seeds.hash(&[value as u64, (value >> 64) as u64, u64::from(*len)])
        }
        SwFlowId::Key(key) => seeds.hash(key.words()),
    }
}
