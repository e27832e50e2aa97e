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
    alloc::flags::GFP_ATOMIC,
    prelude::*, //
};

use kernel_ext::{
    percpu::{
        nr_cpu_ids,
        Counter, //
    },
    sync::{
        bh::BhRcu,
        rcu::{
            RcuArc,
            RcuSlot, //
        },
    },
    time, //
};

/// No CPU owns the block inside the flow yet.
const NO_OWNER: u32 = u32::MAX;

/// What one CPU counts.
#[repr(align(64))]
struct StatsBlock {
    packets: Counter,
    bytes: Counter,
    /// In jiffies.
    used: Counter,
    /// All TCP flags seen, network byte order as in the key.
    tcp_flags: AtomicU16,
}

impl StatsBlock {
    const fn new() -> Self {
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

/// The blocks of the CPUs that do not own the one inside the flow.
type OtherBlocks = KVec<RcuSlot<StatsBlock>>;

/// Counts of packets that no block could be allocated for: rare, so shared.
struct Spill {
    packets: AtomicU64,
    bytes: AtomicU64,
}

/// A flow's statistics, over all CPUs.
pub(crate) struct FlowStats {
    owner: AtomicU32,
    others: RcuSlot<OtherBlocks>,
    spill: Spill,
    // What the counts were when they were last cleared: subtracted when read,
    // so that clearing does not race with counting.
    base_packets: AtomicU64,
    base_bytes: AtomicU64,
    first: StatsBlock,
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

impl FlowStats {
    /// All zero.
    pub(crate) fn new() -> Self {
        Self {
            owner: AtomicU32::new(NO_OWNER),
            others: RcuSlot::empty(),
            spill: Spill {
                packets: AtomicU64::new(0),
                bytes: AtomicU64::new(0),
            },
            base_packets: AtomicU64::new(0),
            base_bytes: AtomicU64::new(0),
            first: StatsBlock::new(),
        }
    }

    /// Counts a packet of `len` bytes. `tcp_flags` is in network byte order.
    ///
    /// C: `ovs_flow_stats_update()`.
    #[inline]
    pub(crate) fn update(&self, ctx: BhRcu<'_>, len: u64, tcp_flags: u16) {
        if self.owner.load(Ordering::Relaxed) == ctx.cpu() {
            self.first.count(len, tcp_flags);
        } else {
            self.update_other(ctx, len, tcp_flags);
        }
    }

    #[inline(never)]
    fn update_other(&self, ctx: BhRcu<'_>, len: u64, tcp_flags: u16) {
        if self.owner.load(Ordering::Relaxed) == NO_OWNER
            && self
                .owner
                .compare_exchange(NO_OWNER, ctx.cpu(), Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        {
            self.first.count(len, tcp_flags);
            return;
        }
        match self.block_of(ctx) {
            Some(block) => block.count(len, tcp_flags),
            None => {
                self.spill.packets.fetch_add(1, Ordering::Relaxed);
                self.spill.bytes.fetch_add(len, Ordering::Relaxed);
            }
        }
    }

    /// This CPU's block among the others, made if it is not there yet.
    fn block_of<'g>(&self, ctx: BhRcu<'g>) -> Option<&'g StatsBlock> {
        if self.others.is_empty() {
            let n = nr_cpu_ids() as usize;
            let mut blocks = KVec::with_capacity(n, GFP_ATOMIC).ok()?;
            for _ in 0..n {
                blocks.push(RcuSlot::empty(), GFP_ATOMIC).ok()?;
            }
            // Another CPU may have been faster: then its array is used.
            let _ = self.others.init(RcuArc::new(blocks, GFP_ATOMIC).ok()?);
        }
        let slot = self.others.get(ctx.rcu())?.get(ctx.cpu() as usize)?;
        if slot.is_empty() {
            let _ = slot.init(RcuArc::new(StatsBlock::new(), GFP_ATOMIC).ok()?);
        }
        slot.get(ctx.rcu())
    }

    /// The sums, since the counts were last cleared.
    ///
    /// C: `ovs_flow_stats_get()`.
    pub(crate) fn get(&self) -> FlowStatsSum {
        let (mut sum, packets, bytes) = self.total();
        sum.packets = packets.wrapping_sub(self.base_packets.load(Ordering::Relaxed));
        sum.bytes = bytes.wrapping_sub(self.base_bytes.load(Ordering::Relaxed));
        sum
    }

    /// Clears the counts, the time and the flags.
    ///
    /// C: `ovs_flow_stats_clear()`.
    pub(crate) fn clear(&self) {
        let (_, packets, bytes) = self.total();
        self.base_packets.store(packets, Ordering::Relaxed);
        self.base_bytes.store(bytes, Ordering::Relaxed);
        self.for_each(|block| {
            block.used.set(0);
            block.tcp_flags.store(0, Ordering::Relaxed);
        });
    }

    fn for_each(&self, mut f: impl FnMut(&StatsBlock)) {
        f(&self.first);
        if let Some(others) = self.others.load() {
            for block in others.iter().filter_map(RcuSlot::load) {
                f(&block);
            }
        }
    }

    fn total(&self) -> (FlowStatsSum, u64, u64) {
        let mut sum = FlowStatsSum::default();
        let mut packets = self.spill.packets.load(Ordering::Relaxed);
        let mut bytes = self.spill.bytes.load(Ordering::Relaxed);
        self.for_each(|block| {
            packets = packets.wrapping_add(block.packets.get());
            bytes = bytes.wrapping_add(block.bytes.get());
            let used = block.used.get() as usize;
            if used != 0 && (sum.used == 0 || time::time_after(used, sum.used)) {
                sum.used = used;
            }
            sum.tcp_flags |= block.tcp_flags.load(Ordering::Relaxed);
        });
        (sum, packets, bytes)
    }
}

/// A flow's last use, in milliseconds of the monotonic clock.
///
/// C: `ovs_flow_used_time()`.
pub(crate) fn used_time(used: usize) -> u64 {
    let idle = time::jiffies_to_msecs(time::jiffies().wrapping_sub(used));
    time::boot_msecs().wrapping_sub(u64::from(idle))
}
