// SPDX-License-Identifier: GPL-2.0

//! A port's hardware: the block that rules go in through, the room there is for
//! them, and whether the driver is to be left alone.

use core::sync::atomic::{
    AtomicBool,
    AtomicU32,
    AtomicU64,
    Ordering, //
};

use kernel::{
    error::code,
    prelude::*,
    sync::Arc, //
};

use kernel_ext::net::{
    flow_offload::FlowBlock,
    netdevice::PortParentId, //
};

use super::{
    engine::ENGINE,
    space::Space, //
};

/// How long a driver that has failed is left alone, in milliseconds: after the
/// first time, and at most, as each time doubles it.
const FIRST_BACKOFF: u64 = 1000;
const LAST_BACKOFF: u64 = 64_000;

/// What a driver's error says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It does not take such a rule.
    Rule,
    /// It has no room.
    Full,
    /// Its device is gone.
    Gone,
    /// It is in trouble; other rules would fare no better.
    Trouble,
}

impl Verdict {
    /// Of an error for a rule.
    pub(super) fn of(err: Error) -> Self {
        match err {
            code::EOPNOTSUPP | code::EINVAL | code::ERANGE | code::E2BIG | code::EEXIST => {
                Self::Rule
            }
            // There is no route to the other end of its tunnel.
            code::ENETUNREACH | code::EHOSTUNREACH | code::EACCES => Self::Rule,
            // mlx5_core has the latter two for what its firmware means by it.
            code::ENOSPC | code::EAGAIN | code::ENOMEM => Self::Full,
            code::ENODEV => Self::Gone,
            _ => Self::Trouble,
        }
    }
}

/// Until when a driver that fails is left alone.
#[derive(Default)]
pub(super) struct Backoff {
    /// In milliseconds since boot.
    until: AtomicU64,
    wait: AtomicU64,
    /// What it failed with, as a positive number.
    errno: AtomicU32,
}

impl Backoff {
    /// Nothing has failed.
    pub(super) const fn new() -> Self {
        Self {
            until: AtomicU64::new(0),
            wait: AtomicU64::new(0),
            errno: AtomicU32::new(0),
        }
    }

    /// For how many more milliseconds the driver is left alone, and the error
    /// why; nothing if it can be asked.
    pub(super) fn left(&self, now: u64) -> Option<(u64, u32)> {
        let left = self.until.load(Ordering::Relaxed).checked_sub(now)?;

        (left != 0).then(|| (left, self.errno.load(Ordering::Relaxed)))
    }

    /// The driver has failed. Failures of calls that were under way when it did
    /// so first are not counted.
    pub(super) fn failed(&self, now: u64, errno: u32) {
        if self.left(now).is_some() {
            return;
        }
        let wait = self
            .wait
            .load(Ordering::Relaxed)
            .saturating_mul(2)
            .clamp(FIRST_BACKOFF, LAST_BACKOFF);

        self.wait.store(wait, Ordering::Relaxed);
        self.errno.store(errno, Ordering::Relaxed);
        self.until
            .store(now.saturating_add(wait), Ordering::Relaxed);
    }

    /// The driver works.
    pub(super) fn worked(&self) {
        if self.wait.load(Ordering::Relaxed) != 0 {
            self.wait.store(0, Ordering::Relaxed);
            self.until.store(0, Ordering::Relaxed);
        }
    }
}

/// A port's hardware, from when its block is bound until it is unbound.
pub(crate) struct Hardware {
    /// The way to the driver.
    pub(super) block: Arc<FlowBlock>,
    /// The room that it has, which other ports may share.
    pub(super) space: Arc<Space>,
    /// Whether the driver is to be left alone.
    pub(super) backoff: Backoff,
    /// The driver does not take rules that match on flags of a tunnel.
    pub(super) refuses_flags: AtomicBool,
}

impl Hardware {
    /// Behind a block that has been bound just now, of a device that is a port
    /// of this switch.
    pub(super) fn new(block: Arc<FlowBlock>, id: Option<PortParentId>) -> Result<Arc<Self>> {
        let space = match ENGINE.load() {
            Some(engine) => engine.space_of(id)?,
            None => Space::new(id)?,
        };
        let hardware = Self {
            block,
            space,
            backoff: Backoff::new(),
            refuses_flags: AtomicBool::new(false),
        };
        hardware.space.users.fetch_add(1, Ordering::Relaxed);
        Ok(Arc::new(hardware, GFP_KERNEL)?)
    }
}

impl Drop for Hardware {
    fn drop(&mut self) {
        self.space.users.fetch_sub(1, Ordering::Relaxed);
    }
}
