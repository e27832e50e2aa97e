// SPDX-License-Identifier: GPL-2.0

//! What a flow's entry in the table knows of its rule in hardware.

use core::sync::atomic::{
    AtomicU32,
    AtomicU64,
    AtomicUsize,
    Ordering, //
};

use kernel::prelude::*;

use kernel_ext::{
    net::flow_offload::HwDelta,
    sync::rcu::{
        RcuArc,
        RcuSlot, //
    },
    time, //
};

use super::{
    lane,
    policy::Setting,
    rate::FlowRate,
    reason::Reason, //
};
use crate::datapath::Datapath;

/// Where a flow runs and why.
///
/// The numbers are those of `ovs-offload-state` in
/// Documentation/netlink/specs/ovs_offload.yaml.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum State {
    /// In software; the engine has not looked at it.
    Software = 0,
    /// In software; the engine will look at it.
    Queued = 1,
    /// In hardware.
    InHw = 2,
    /// In software: it cannot be said as a rule, see [`Status::reason`].
    Refused = 3,
    /// In software: the driver did not take the rule, see [`Status::errno`] and
    /// [`FlowOffload::driver_text`].
    Failed = 4,
    /// In software: the hardware is full.
    NoSpace = 5,
    /// In software by policy.
    Policy = 6,
    /// In software: the port that it matches on has no hardware behind it.
    NoBlock = 7,
    /// In software: it has not had as many packets as it needs to have.
    Delayed = 8,
}

impl State {
    fn from_u8(value: u8) -> State {
        match value {
            1 => State::Queued,
            2 => State::InHw,
            3 => State::Refused,
            4 => State::Failed,
            5 => State::NoSpace,
            6 => State::Policy,
            7 => State::NoBlock,
            8 => State::Delayed,
            _ => State::Software,
        }
    }
}

/// A state and what goes with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Status {
    /// The state.
    pub(crate) state: State,
    /// The code of the reason if there is one, otherwise 0.
    pub(crate) reason: u8,
    /// The error of the driver as a positive number for [`State::Failed`] and
    /// [`State::NoSpace`], otherwise 0.
    pub(crate) errno: u16,
}

impl Status {
    /// A state that needs no more words.
    pub(crate) const fn of(state: State) -> Self {
        Status {
            state,
            reason: 0,
            errno: 0,
        }
    }

    /// A state for a reason.
    pub(crate) const fn because(state: State, reason: Reason) -> Self {
        Status {
            state,
            reason: reason.code(),
            errno: 0,
        }
    }

    /// Whether the driver did not take the rule, with this error.
    pub(crate) fn is_error(self, err: Error) -> bool {
        self.state == State::Failed && u32::from(self.errno) == err.to_errno().unsigned_abs()
    }

    fn pack(self) -> u32 {
        u32::from(self.state as u8) | u32::from(self.reason) << 8 | u32::from(self.errno) << 16
    }

    fn unpack(value: u32) -> Self {
        Status {
            state: State::from_u8(value as u8),
            reason: (value >> 8) as u8,
            errno: (value >> 16) as u16,
        }
    }
}

/// The flow has been taken out of the table: its rule has to go.
const DEAD: u32 = 1 << 0;
/// The flow is in the engine's queue.
const QUEUED: u32 = 1 << 1;
/// The flow shall stay in software.
const NEVER: u32 = 1 << 2;
/// The flow may be offered to hardware without the flags of its tunnel.
const ALWAYS: u32 = 1 << 3;
/// The engine is at the flow: it may have a rule that its cookie does not tell
/// of yet.
const BUSY: u32 = 1 << 4;
/// How many bits these are.
const FLAG_BITS: u32 = 5;
const FLAG_MASK: u32 = (1 << FLAG_BITS) - 1;

/// What the hardware has counted for a flow.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct HwCounts {
    /// Packets.
    pub(crate) packets: u64,
    /// Bytes.
    pub(crate) bytes: u64,
    /// When the last packet was seen, in jiffies; 0 for never.
    pub(crate) used: usize,
}

/// A flow's part in offloading.
///
/// Packets never look at it. The engine writes it, commands read it. It must not
/// grow: a flow just fills its slab.
pub(crate) struct FlowOffload {
    packets: AtomicU64,
    bytes: AtomicU64,
    used: AtomicUsize,
    /// The cookie of the rule in hardware, or under which the flow waits; 0 for
    /// none.
    cookie: AtomicUsize,
    /// When the state changed, in jiffies, of which the lower half is enough.
    since: AtomicU32,
    status: AtomicU32,
    /// In the upper bits, how often the datapath's flows had been flushed when
    /// the flow was new.
    flags: AtomicU32,
    /// Its rate, while it is in hardware or waits for room there.
    pub(super) rate: FlowRate,
    text: RcuSlot<KVec<u8>>,
}

const _: () = assert!(size_of::<FlowOffload>() == 56);

impl FlowOffload {
    /// In software.
    pub(crate) const fn new() -> Self {
        FlowOffload {
            packets: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            used: AtomicUsize::new(0),
            cookie: AtomicUsize::new(0),
            since: AtomicU32::new(0),
            status: AtomicU32::new(0),
            flags: AtomicU32::new(0),
            rate: FlowRate::new(),
            text: RcuSlot::empty(),
        }
    }

    /// Where the flow runs.
    pub(crate) fn status(&self) -> Status {
        Status::unpack(self.status.load(Ordering::Relaxed))
    }

    /// How long the flow has been in its state, in milliseconds.
    pub(crate) fn age(&self) -> u32 {
        let since = self.since.load(Ordering::Relaxed);

        time::jiffies_to_msecs((time::jiffies() as u32).wrapping_sub(since) as usize)
    }

    /// Sets where the flow runs, and what the driver said of it. Gives whether
    /// that is new.
    pub(crate) fn set_status(&self, status: Status, text: &str) -> bool {
        let text = if text.is_empty() {
            None
        } else {
            // Without memory, there is no text.
            text_of(text).ok()
        };

        self.text.replace(text);
        let new = status.pack();
        if self.status.swap(new, Ordering::Relaxed) == new {
            return false;
        }
        self.since.store(time::jiffies() as u32, Ordering::Relaxed);
        true
    }

    /// What the driver said when it did not take the rule.
    pub(crate) fn driver_text(&self) -> Option<RcuArc<KVec<u8>>> {
        self.text.load()
    }

    /// The cookie of the flow's rule, or under which it waits for one, if
    /// either is so.
    pub(crate) fn cookie(&self) -> Option<usize> {
        match self.cookie.load(Ordering::SeqCst) {
            0 => None,
            cookie => Some(cookie),
        }
    }

    /// Sets the cookie, 0 for none, and gives the one before.
    pub(crate) fn set_cookie(&self, cookie: usize) -> Option<usize> {
        match self.cookie.swap(cookie, Ordering::SeqCst) {
            0 => None,
            old => Some(old),
        }
    }

    /// Clears the cookie if it is still this one. Gives whether it was.
    pub(crate) fn clear_cookie(&self, cookie: usize) -> bool {
        self.cookie
            .compare_exchange(cookie, 0, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok()
    }

    /// Notes that the flow has been taken out of the table.
    pub(crate) fn set_dead(&self) {
        self.flags.fetch_or(DEAD, Ordering::SeqCst);
    }

    /// Notes that the flow has been put into a datapath's table.
    pub(super) fn set_born(&self, dp: &Datapath) {
        let flushes = dp.offload.flushes().wrapping_shl(FLAG_BITS);
        let _ = self
            .flags
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |flags| {
                Some(flags & FLAG_MASK | flushes)
            });
    }

    /// Whether the flow has been taken out of its datapath's table.
    pub(super) fn is_dead(&self, dp: &Datapath) -> bool {
        let flags = self.flags.load(Ordering::SeqCst);
        let flushes = dp.offload.flushes().wrapping_shl(FLAG_BITS);

        flags & DEAD != 0 || flags & !FLAG_MASK != flushes
    }

    /// Notes that the engine is at the flow, or has done what it wanted to.
    pub(super) fn set_busy(&self, busy: bool) {
        if busy {
            self.flags.fetch_or(BUSY, Ordering::SeqCst);
        } else {
            self.flags.fetch_and(!BUSY, Ordering::SeqCst);
        }
    }

    /// Whether there is a rule that what the flow was before may be in, now that
    /// it has been changed or taken out of the table. If there is not, a rule
    /// that comes is of what the flow is now.
    pub(super) fn is_in_hardware(&self) -> bool {
        // A change of the flags: whoever sets `BUSY` later sees what was done
        // before.
        self.flags.fetch_or(0, Ordering::SeqCst) & BUSY != 0
            || self.cookie().is_some_and(|cookie| !lane::waits(cookie))
    }

    /// Notes that the flow is in the queue. Gives whether it was not.
    pub(crate) fn set_queued(&self) -> bool {
        self.flags.fetch_or(QUEUED, Ordering::SeqCst) & QUEUED == 0
    }

    /// Notes that the flow has been taken from the queue.
    pub(crate) fn clear_queued(&self) {
        self.flags.fetch_and(!QUEUED, Ordering::SeqCst);
    }

    /// What the flow's own switch says.
    pub(crate) fn policy(&self) -> Setting {
        let flags = self.flags.load(Ordering::Relaxed);

        if flags & NEVER != 0 {
            Setting::Never
        } else if flags & ALWAYS != 0 {
            Setting::Always
        } else {
            Setting::Auto
        }
    }

    /// Sets the flow's own switch.
    pub(crate) fn set_policy(&self, setting: Setting) {
        let set = match setting {
            Setting::Auto => 0,
            Setting::Never => NEVER,
            Setting::Always => ALWAYS,
        };

        // One after the other: others may look, but only those who hold
        // `ovs_mutex` set it.
        self.flags.fetch_or(set, Ordering::Relaxed);
        self.flags
            .fetch_and(!((NEVER | ALWAYS) & !set), Ordering::Relaxed);
    }

    /// Adds what the hardware has counted since it was last asked.
    pub(crate) fn add(&self, delta: &HwDelta) {
        if delta.packets == 0 {
            return;
        }
        self.packets.fetch_add(delta.packets, Ordering::Relaxed);
        self.bytes.fetch_add(delta.bytes, Ordering::Relaxed);

        let used = delta.lastused as usize;
        let before = self.used.load(Ordering::Relaxed);
        if used != 0 && (before == 0 || time::time_after(used, before)) {
            self.used.store(used, Ordering::Relaxed);
        }
    }

    /// What the hardware has counted since the counts were last cleared.
    pub(crate) fn counts(&self) -> HwCounts {
        HwCounts {
            packets: self.packets.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            used: self.used.load(Ordering::Relaxed),
        }
    }

    /// Clears the counts.
    pub(crate) fn clear(&self) {
        self.packets.store(0, Ordering::Relaxed);
        self.bytes.store(0, Ordering::Relaxed);
        self.used.store(0, Ordering::Relaxed);
    }
}

fn text_of(text: &str) -> Result<RcuArc<KVec<u8>>> {
    let mut bytes = KVec::with_capacity(text.len(), GFP_KERNEL)?;

    bytes.extend_from_slice(text.as_bytes(), GFP_KERNEL)?;
    Ok(RcuArc::new(bytes, GFP_KERNEL)?)
}
