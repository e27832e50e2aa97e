// SPDX-License-Identifier: GPL-2.0

//! A flow's statistics.
//!
//! Each CPU counts in a block of its own, without a lock and without an atomic
//! read-modify-write. The first CPU to see a packet owns the block inside the
//! flow; any other gets one when it sees its first packet. A block's writer runs
//! with bottom halves disabled, so it is alone.

use core::sync::atomic::{
    AtomicU16,
    AtomicU32,
    AtomicU64,
    Ordering, //
};

use kernel::{
    alloc::flags::GFP_NOWAIT,
    prelude::*, //
};

use kernel_ext::{
    percpu::{
        nr_cpu_ids,
        Counter, //
    },
    sync::{
        bh::BhRcu,
        once_box::OnceBox, //
    },
    time, //
};

/// No CPU owns the block inside the flow yet.
const NO_OWNER: u32 = u32::MAX;

/// What one CPU counts.
pub(super) struct StatsBlock {
    packets: Counter,
    bytes: Counter,
    /// In jiffies.
    used: Counter,
    /// All TCP flags seen, network byte order as in the key.
    tcp_flags: AtomicU16,
}

impl StatsBlock {
    /// All zero.
    pub(super) const fn new() -> Self {
        Self {
            packets: Counter::new(),
            bytes: Counter::new(),
            used: Counter::new(),
            tcp_flags: AtomicU16::new(0),
        }
    }

    #[inline]
    fn count(&self, len: u64, tcp_flags: u16) {
        self.packets.add(1);
        self.bytes.add(len);
        let now = time::jiffies() as u64;
        if self.used.get() != now {
            self.used.set(now);
        }
        let seen = self.tcp_flags.load(Ordering::Relaxed);
        if seen | tcp_flags != seen {
            self.tcp_flags.store(seen | tcp_flags, Ordering::Relaxed);
        }
    }
}

/// A block that shares no cache line with another.
#[repr(align(64))]
struct OtherBlock(StatsBlock);

/// The blocks of the CPUs that do not own the one inside the flow.
type OtherBlocks = KVec<OnceBox<OtherBlock>>;

/// What of a flow's statistics all CPUs look at and seldom write.
pub(super) struct SharedStats {
    owner: AtomicU32,
    // Of packets that no block could be allocated for, as `StatsBlock::tcp_flags`.
    more_tcp_flags: AtomicU16,
    others: OnceBox<OtherBlocks>,
    // What is added to the blocks' sums when they are read. Clearing subtracts
    // here, so it does not race with counting; and a packet that no block could
    // be allocated for is counted here, which is rare.
    more_packets: AtomicU64,
    more_bytes: AtomicU64,
}

impl SharedStats {
    /// All zero.
    pub(super) const fn new() -> Self {
        Self {
            owner: AtomicU32::new(NO_OWNER),
            more_tcp_flags: AtomicU16::new(0),
            others: OnceBox::new(),
            more_packets: AtomicU64::new(0),
            more_bytes: AtomicU64::new(0),
        }
    }
}

/// A flow's statistics, over all CPUs.
#[derive(Clone, Copy)]
pub(crate) struct FlowStats<'a> {
    shared: &'a SharedStats,
    /// The block inside the flow.
    first: &'a StatsBlock,
}

/// What a reader gets.
#[derive(Clone, Copy, Default)]
pub(crate) struct FlowStatsSum {
    /// Packets matched.
    pub(crate) packets: u64,
    /// Bytes matched.
    pub(crate) bytes: u64,
    /// When the last packet was seen, in jiffies; 0 for never.
    pub(crate) used: usize,
    /// All TCP flags seen, network byte order.
    pub(crate) tcp_flags: u16,
}

impl<'a> FlowStats<'a> {
    /// The two parts that a flow has, which belong together.
    #[inline]
    pub(super) fn new(shared: &'a SharedStats, first: &'a StatsBlock) -> Self {
        Self { shared, first }
    }

    /// Counts a packet of `len` bytes. `tcp_flags` is in network byte order.
    ///
    /// C: `ovs_flow_stats_update()`.
    #[inline]
    pub(crate) fn update(self, ctx: BhRcu<'_>, len: u64, tcp_flags: u16) {
        if self.shared.owner.load(Ordering::Relaxed) == ctx.cpu() {
            self.first.count(len, tcp_flags);
        } else {
            self.update_other(ctx, len, tcp_flags);
        }
    }

    #[inline(never)]
    fn update_other(self, ctx: BhRcu<'_>, len: u64, tcp_flags: u16) {
        if self.shared.owner.load(Ordering::Relaxed) == NO_OWNER
            && self
                .shared
                .owner
                .compare_exchange(NO_OWNER, ctx.cpu(), Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        {
            self.first.count(len, tcp_flags);
            return;
        }
        match self.block_of(ctx) {
            Some(block) => block.count(len, tcp_flags),
            None => self.count_without_block(len, tcp_flags),
        }
    }

    /// Counts a packet on a CPU that there is no memory for, from any CPU.
    #[cold]
    pub(crate) fn count_without_block(self, len: u64, tcp_flags: u16) {
        self.shared.more_packets.fetch_add(1, Ordering::Relaxed);
        self.shared.more_bytes.fetch_add(len, Ordering::Relaxed);
        self.shared
            .more_tcp_flags
            .fetch_or(tcp_flags, Ordering::Relaxed);
        // As good as what the owner may be writing at the same time.
        self.first.used.set(time::jiffies() as u64);
    }

    /// This CPU's block among the others, made if it is not there yet.
    ///
    /// As in C, counting takes nothing from the reserves that `GFP_ATOMIC` may
    /// use, and says nothing where there is no memory: the next packet tries
    /// again.
    fn block_of(self, ctx: BhRcu<'_>) -> Option<&'a StatsBlock> {
        let others = match self.shared.others.get() {
            Some(others) => others,
            None => {
                let n = nr_cpu_ids() as usize;
                let mut blocks = KVec::with_capacity(n, GFP_NOWAIT).ok()?;
                for _ in 0..n {
                    blocks.push(OnceBox::new(), GFP_NOWAIT).ok()?;
                }
                // Another CPU may have been faster: then its array is used.
                self.shared
                    .others
                    .get_or_set(KBox::new(blocks, GFP_NOWAIT).ok()?)
            }
        };
        let place = others.get(ctx.cpu() as usize)?;
        let block = match place.get() {
            Some(block) => block,
            None => {
                let new = OtherBlock(StatsBlock::new());
                place.get_or_set(KBox::new(new, GFP_NOWAIT).ok()?)
            }
        };
        Some(&block.0)
    }

    /// The sums, since the counts were last cleared.
    ///
    /// C: `ovs_flow_stats_get()`.
    pub(crate) fn get(self) -> FlowStatsSum {
        let mut sum = FlowStatsSum {
            packets: self.shared.more_packets.load(Ordering::Relaxed),
            bytes: self.shared.more_bytes.load(Ordering::Relaxed),
            tcp_flags: self.shared.more_tcp_flags.load(Ordering::Relaxed),
            ..FlowStatsSum::default()
        };
        self.for_each(|block| {
            sum.packets = sum.packets.wrapping_add(block.packets.get());
            sum.bytes = sum.bytes.wrapping_add(block.bytes.get());
            let used = block.used.get() as usize;
            if used != 0 && (sum.used == 0 || time::time_after(used, sum.used)) {
                sum.used = used;
            }
            sum.tcp_flags |= block.tcp_flags.load(Ordering::Relaxed);
        });
        sum
    }

    /// Clears the counts, the time and the flags.
    ///
    /// C: `ovs_flow_stats_clear()`.
    pub(crate) fn clear(self) {
        let sum = self.get();
        self.shared
            .more_packets
            .fetch_sub(sum.packets, Ordering::Relaxed);
        self.shared
            .more_bytes
            .fetch_sub(sum.bytes, Ordering::Relaxed);
        self.shared.more_tcp_flags.store(0, Ordering::Relaxed);
        self.for_each(|block| {
            block.used.set(0);
            block.tcp_flags.store(0, Ordering::Relaxed);
        });
    }

    fn for_each(self, mut f: impl FnMut(&StatsBlock)) {
        f(self.first);
        if let Some(others) = self.shared.others.get() {
            others
                .iter()
                .filter_map(OnceBox::get)
                .for_each(|block| f(&block.0));
        }
    }
}

/// A flow's last use, in milliseconds of the monotonic clock.
///
/// C: `ovs_flow_used_time()`.
pub(crate) fn used_time(used: usize) -> u64 {
    let idle = time::jiffies_to_msecs(time::jiffies().wrapping_sub(used));
    time::boot_msecs().wrapping_sub(u64::from(idle))
}
