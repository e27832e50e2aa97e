// SPDX-License-Identifier: GPL-2.0

//! Which of many masks a packet can match.
//!
//! The key is taken in parts: what every flow of ovs-vswitchd matches on exactly,
//! then addresses, ports and so on. Masks that are the same in a part share a
//! branch of a tree, level by level, and at the end of a branch there is a list
//! of few masks. A filter knows, for the values that flows have in the parts down
//! to a branch, which of the next branches, or masks, have such flows; so a look
//! goes where there are flows that agree with the packet so far, and nowhere
//! else. What it costs depends on how many different masks there are in each
//! part, and not on how many there are in all.
//!
//! The filter may say yes where there is no flow, but never no where there is
//! one, see Documentation/flow-table.rst. Bits of flows that have gone stay until
//! the tree is built anew.
//!
//! Looks need the RCU read lock; changes exclude each other by the lock of the
//! flow table.

use core::sync::atomic::{
    AtomicU32,
    AtomicUsize,
    Ordering, //
};

use kernel::prelude::*;

use kernel_ext::{
    rcu_vec::RcuVec,
    sync::rcu::{
        RcuArc,
        RcuRead, //
    },
};

use super::mask::{
    CompactMask,
    FlowMask,
    HashSeeds,
    MaskEntry, //
};
use crate::flow::tunnel::{
    KeyRef,
    MatchKey, //
};

/// With more masks than this there is a tree.
pub(super) const MANY_MASKS: usize = 32;
/// With fewer than this there is none any more.
pub(super) const FEW_MASKS_AGAIN: usize = 16;

/// The most masks that a list has when the tree is built: as many as the filter
/// tells apart.
const LIST: usize = CELL_BITS;
/// The most levels of branches.
pub(super) const LEVELS: usize = 5;
/// The words of a part that are looked at. Others are left to the flow table.
const PART_WORDS: usize = 5;
/// Branches or masks that a cell of the filter tells apart.
const CELL_BITS: usize = u32::BITS as usize;
/// The least number of cells.
const MIN_CELLS: usize = 1024;
/// How many flows may be taken out before the filter is made anew, at the least.
const MIN_REMOVED: usize = 4096;
/// How many different values are counted.
const MANY_VALUES: usize = 256;

/// The parts of a key, see [`parts_of`].
const PARTS: usize = 8;
/// Recirculation id, input port and Ethernet type.
const STAGE: usize = 0;
const META: usize = 1;
const LINK: usize = 2;
const SRC: usize = 3;
const DST: usize = 4;
const TP_SRC: usize = 5;
const TP_DST: usize = 6;
const REST: usize = 7;

/// A set of parts, a bit each.
type Parts = u8;
const _: () = assert!(PARTS <= Parts::BITS as usize);

/// The set of one part.
#[inline]
fn only(part: usize) -> Parts {
    (1 as Parts).wrapping_shl(part as u32)
}

/// The first or the second half of a word, as it is in memory.
const FIRST_HALF: u64 = u64::from_ne_bytes([0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
const FIRST_U16: u64 = u64::from_ne_bytes([0xff, 0xff, 0, 0, 0, 0, 0, 0]);
const SECOND_U16: u64 = u64::from_ne_bytes([0, 0, 0xff, 0xff, 0, 0, 0, 0]);

/// Which bits of the word at `index` of a key are of which part. Each bit is of
/// one part.
///
/// What word has what is in [`crate::flow::key::SwFlowKey`]. That the parts are
/// such as flows differ in is a matter of speed only.
fn parts_of(index: usize) -> [(usize, u64); 3] {
    let whole = |part| [(part, u64::MAX), (REST, 0), (REST, 0)];
    match index {
        0 => whole(STAGE),
        1 | 2 => whole(LINK),
        3 => [
            (TP_SRC, FIRST_U16),
            (TP_DST, SECOND_U16),
            (REST, !(FIRST_U16 | SECOND_U16)),
        ],
        5 => [(SRC, FIRST_HALF), (DST, !FIRST_HALF), (REST, 0)],
        4 | 6 | 7 | 12..=14 => whole(META),
        8 | 9 => whole(SRC),
        10 | 11 => whole(DST),
        _ => whole(REST),
    }
}

/// The bits of the word at `index` that are of any of these parts.
fn bits_of(parts: Parts, index: usize) -> u64 {
    parts_of(index)
        .iter()
        .filter(|(part, _)| parts & only(*part) != 0)
        .fold(0, |all, (_, bits)| all | bits)
}

/// What a mask has in some parts.
type PartMask = CompactMask<PART_WORDS>;

fn part_mask(key: &MatchKey, parts: Parts) -> PartMask {
    PartMask::of_bits(key.words(), |index| bits_of(parts, index))
}

/// Masks that are the same in all parts so far, and in those of one more level.
#[repr(align(64))]
#[derive(Clone)]
struct Branch {
    /// Tells branches apart, and is part of the hash of their values.
    seed: u64,
    part: PartMask,
    node: RcuArc<Node>,
}

const _: () = assert!(size_of::<Branch>() == 64);

impl Branch {
    /// The hash of the values down to this branch, from that of those before.
    #[inline]
    fn hash(&self, before: u64, seeds: &HashSeeds, key: KeyRef<'_>) -> u64 {
        before
            .wrapping_add(self.seed)
            .wrapping_add(self.part.hash(seeds, key))
    }
}

/// What is at the end of a branch.
enum Node {
    /// Branches of the next level.
    Inner(RcuVec<Branch>),
    /// A list of masks.
    List(RcuVec<MaskEntry>),
}

/// A mask while the tree is built.
struct Row {
    /// Its place in the array of masks.
    place: usize,
    /// The seeds of the branches that it is in.
    seeds: [u64; LEVELS],
}

/// A tree of masks. See the module documentation.
///
/// # Invariants
///
/// For every flow that is in the flow table, and whose insertion has ended,
/// before the tree was published or while it is: its mask is in the tree, and each
/// cell on the way there, for the flow's values, has the bit of the next step.
pub(super) struct MaskTree {
    root: Node,
    /// The filter: a power of two of cells. The cell of the values down to a
    /// branch has a bit for each of the next branches, or masks, at the place
    /// modulo [`CELL_BITS`].
    cells: KVVec<AtomicU32>,
    /// The parts of each level.
    levels: [Parts; LEVELS],
    /// Cells that are not zero.
    used: AtomicUsize,
    /// Masks that there were when the tree was built, and that came later.
    built: usize,
    added: AtomicUsize,
    /// Flows that there were when the tree was built, and that have gone since.
    flows: usize,
    removed: AtomicUsize,
}

/// Whether `f` wants no more after one of the items whose bits are set. Items
/// beyond the bits share them.
#[inline(always)]
fn any_of<'g, T>(bits: u32, items: &'g [T], mut f: impl FnMut(&'g T) -> bool) -> bool {
    let mut left = bits;
    while left != 0 {
        let mut place = left.trailing_zeros() as usize;
        left &= left.wrapping_sub(1);
        while let Some(item) = items.get(place) {
            if f(item) {
                return true;
            }
            place = place.wrapping_add(CELL_BITS);
        }
    }
    false
}

/// What does not change while one key is looked for.
struct Look<'g, 'k> {
    tree: &'g MaskTree,
    seeds: &'k HashSeeds,
    key: KeyRef<'k>,
    rcu: RcuRead<'g>,
}

impl<'g> Look<'g, '_> {
    /// Goes down from a node, of whose items the `bits` are set. It is at most
    /// [`LEVELS`] deep.
    fn descend<F>(&self, node: &'g Node, bits: u32, before: u64, f: &mut F) -> bool
    where
        F: FnMut(&'g MaskEntry) -> bool,
    {
        match node {
            Node::List(masks) => any_of(bits, masks.get(self.rcu), &mut *f),
            Node::Inner(branches) => any_of(bits, branches.get(self.rcu), |branch| {
                let hash = branch.hash(before, self.seeds, self.key);
                let bits = self
                    .tree
                    .cell(hash)
                    .map_or(u32::MAX, |cell| cell.load(Ordering::Relaxed));
                bits != 0 && self.descend(&branch.node, bits, hash, f)
            }),
        }
    }
}

impl MaskTree {
    /// A tree of these masks, without flows. Each of the `flows` that there are
    /// has to be added before the tree is published. Sleeps.
    ///
    /// Afterwards the masks can be found by writers in this tree only.
    pub(super) fn build(
        masks: &[MaskEntry],
        flows: usize,
        before: Option<&Self>,
        seeds: &HashSeeds,
    ) -> Result<RcuArc<Self>> {
        let levels = Self::choose_levels(masks, seeds)?;
        let mut rows = KVVec::with_capacity(masks.len(), GFP_KERNEL)?;
        let mut place = 0usize;
        for mask in masks {
            let mut row = Row {
                place,
                seeds: [0; LEVELS],
            };
            for (seed, &parts) in row.seeds.iter_mut().zip(&levels) {
                *seed = part_mask(mask.mask().key(), parts).seed(seeds);
            }
            rows.push(row, GFP_KERNEL)?;
            place = place.wrapping_add(1);
        }
        let root = Self::node(masks, &mut rows, &levels, 0)?;

        // At least half of the cells stay free at first.
        let wanted = match before {
            Some(before) if before.removed.load(Ordering::Relaxed) < before.flows => {
                before.used.load(Ordering::Relaxed)
            }
            _ => 0,
        };
        let n = wanted
            .max(flows)
            .saturating_mul(4)
            .max(MIN_CELLS)
            .checked_next_power_of_two()
            .ok_or(ENOMEM)?;
        let mut cells = KVVec::with_capacity(n, GFP_KERNEL)?;
        for _ in 0..n {
            cells.push(AtomicU32::new(0), GFP_KERNEL)?;
        }
        Ok(RcuArc::new(
            Self {
                root,
                cells,
                levels,
                used: AtomicUsize::new(0),
                built: masks.len(),
                added: AtomicUsize::new(0),
                flows,
                removed: AtomicUsize::new(0),
            },
            GFP_KERNEL,
        )?)
    }

    /// The first level has the recirculation id and all that is the same in all
    /// masks; then come the parts in which there are few different masks.
    fn choose_levels(masks: &[MaskEntry], seeds: &HashSeeds) -> Result<[Parts; LEVELS]> {
        let mut levels = [0; LEVELS];
        let mut counts = [0; PARTS];
        let mut seen = KVec::with_capacity(MANY_VALUES, GFP_KERNEL)?;
        for part in 0..PARTS {
            seen.clear();
            for mask in masks {
                let seed = part_mask(mask.mask().key(), only(part)).seed(seeds);
                if seen.len() < MANY_VALUES && !seen.contains(&seed) {
                    seen.push(seed, GFP_KERNEL)?;
                }
            }
            if let Some(count) = counts.get_mut(part) {
                *count = seen.len();
            }
        }
        let mut left: Parts = !0;
        let mut levels_left = levels.iter_mut();
        if let Some(first) = levels_left.next() {
            for part in 0..PARTS {
                if part == STAGE || counts.get(part) <= Some(&1) {
                    *first |= only(part);
                }
            }
            left &= !*first;
        }
        for level in levels_left {
            let unused = (0..PARTS).filter(|&part| left & only(part) != 0);
            if let Some(part) = unused.min_by_key(|&part| counts.get(part)) {
                *level = only(part);
                left &= !*level;
            }
        }
        Ok(levels)
    }

    /// The node for some masks, which are the same in all levels above `depth`.
    fn node(
        masks: &[MaskEntry],
        mut rows: &mut [Row],
        levels: &[Parts; LEVELS],
        depth: usize,
    ) -> Result<Node> {
        let parts = levels.get(depth).copied().unwrap_or(0);
        if parts == 0 || (depth != 0 && rows.len() <= LIST) {
            let list = RcuVec::new()?;
            for row in rows.iter() {
                let mask = masks.get(row.place).ok_or(EINVAL)?;
                mask.mask().set_step(depth, list.with(<[_]>::len));
                list.push(mask.clone())?;
            }
            return Ok(Node::List(list));
        }
        let branches = RcuVec::new()?;
        while let Some(first) = rows.first() {
            let part_of = |row: &Row| Some(part_mask(masks.get(row.place)?.mask().key(), parts));
            let seed = first.seed(depth);
            let part = part_of(first).ok_or(EINVAL)?;
            let n = to_front(rows, |row| {
                row.seed(depth) == seed && part_of(row).as_ref() == Some(&part)
            });
            let (same, others) = rows.split_at_mut_checked(n).ok_or(EINVAL)?;
            for row in same.iter() {
                let mask = masks.get(row.place).ok_or(EINVAL)?;
                mask.mask().set_step(depth, branches.with(<[_]>::len));
            }
            let node = Self::node(masks, same, levels, depth.wrapping_add(1))?;
            branches.push(Branch {
                seed,
                part,
                node: RcuArc::new(node, GFP_KERNEL)?,
            })?;
            rows = others;
        }
        Ok(Node::Inner(branches))
    }

    /// The cell for values with this hash. There always is one.
    #[inline]
    fn cell(&self, hash: u64) -> Option<&AtomicU32> {
        let mask = self.cells.len().wrapping_sub(1);
        self.cells.get(hash as usize & mask)
    }

    /// Calls `f` with each mask that has flows which this key can match, until it
    /// gives `true`; and with some more. Whether it gave `true`.
    #[inline]
    pub(super) fn find<'g>(
        &'g self,
        seeds: &HashSeeds,
        key: KeyRef<'_>,
        rcu: RcuRead<'g>,
        mut f: impl FnMut(&'g MaskEntry) -> bool,
    ) -> bool {
        let look = Look {
            tree: self,
            seeds,
            key,
            rcu,
        };
        look.descend(&self.root, u32::MAX, 0, &mut f)
    }

    /// Puts a mask in that is in no other tree. Sleeps. After an error this tree
    /// must not be used any more.
    pub(super) fn add_mask(&self, mask: &RcuArc<FlowMask>, seeds: &HashSeeds) -> Result {
        self.added.fetch_add(1, Ordering::Relaxed);
        let mut held: Option<RcuArc<Node>> = None;
        for depth in 0..=LEVELS {
            let branches = match held.as_deref().unwrap_or(&self.root) {
                Node::List(masks) => {
                    mask.set_step(depth, masks.with(<[_]>::len));
                    return masks.push(MaskEntry::new(mask.clone()));
                }
                Node::Inner(branches) => branches,
            };
            let parts = self.levels.get(depth).copied().unwrap_or(0);
            let part = part_mask(mask.key(), parts);
            let seed = part.seed(seeds);
            let found = branches.with(|branches| {
                let place = branches
                    .iter()
                    .position(|b| b.seed == seed && b.part == part);
                (
                    place.unwrap_or(branches.len()),
                    place
                        .and_then(|place| branches.get(place))
                        .map(|b| b.node.clone()),
                )
            });
            mask.set_step(depth, found.0);
            let node = match found.1 {
                Some(node) => node,
                None => {
                    let node = RcuArc::new(Node::List(RcuVec::new()?), GFP_KERNEL)?;
                    branches.push(Branch {
                        seed,
                        part,
                        node: node.clone(),
                    })?;
                    node
                }
            };
            held = Some(node);
        }
        // No tree is so deep.
        Err(EINVAL)
    }

    /// Has lookups find a flow with this mask, which is in the tree, and this key.
    /// To be called before the flow is in the table. After an error this tree
    /// must not be used any more.
    pub(super) fn add_flow(
        &self,
        seeds: &HashSeeds,
        mask: &FlowMask,
        key: KeyRef<'_>,
        rcu: RcuRead<'_>,
    ) -> Result {
        let mut node = &self.root;
        let mut hash = None;
        for step in mask.steps() {
            if let Some(hash) = hash {
                self.set(hash, step).ok_or(EINVAL)?;
            }
            match node {
                Node::List(_) => return Ok(()),
                Node::Inner(branches) => {
                    let branch = branches.get(rcu).get(step).ok_or(EINVAL)?;
                    hash = Some(branch.hash(hash.unwrap_or(0), seeds, key));
                    node = &branch.node;
                }
            }
        }
        Err(EINVAL)
    }

    /// Sets the bit of an item in the cell of a hash.
    fn set(&self, hash: u64, place: usize) -> Option<()> {
        let cell = self.cell(hash)?;
        let bit = 1u32.wrapping_shl((place % CELL_BITS) as u32);
        let old = cell.load(Ordering::Relaxed);
        if old & bit == 0 {
            cell.fetch_or(bit, Ordering::Release);
            if old == 0 {
                self.used.fetch_add(1, Ordering::Relaxed);
            }
        }
        Some(())
    }

    /// Takes note that a flow has gone from the table.
    pub(super) fn flow_removed(&self) {
        self.removed.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether a new tree would be better by so much that it is worth it.
    pub(super) fn is_stale(&self) -> bool {
        let added = self.added.load(Ordering::Relaxed);
        let removed = self.removed.load(Ordering::Relaxed);
        self.used.load(Ordering::Relaxed) > self.cells.len() / 2
            || added > self.built.max(self.flows / 256).max(2 * LIST)
            || removed > self.flows.max(MIN_REMOVED)
    }
}

impl Row {
    fn seed(&self, depth: usize) -> u64 {
        self.seeds.get(depth).copied().unwrap_or(0)
    }
}

/// Brings the rows that `wanted` wants to the front. How many there are.
fn to_front(rows: &mut [Row], wanted: impl Fn(&Row) -> bool) -> usize {
    let mut iter = rows.iter_mut();
    while let Some(front) = iter.find(|row| !wanted(row)) {
        match iter.rfind(|row| wanted(row)) {
            Some(back) => core::mem::swap(front, back),
            None => break,
        }
    }
    rows.iter().take_while(|row| wanted(row)).count()
}
