// SPDX-License-Identifier: GPL-2.0

//! What the engine has to do, and what it has done: jobs, rules, and flows that
//! wait.

use core::sync::atomic::{
    AtomicBool,
    AtomicU64,
    Ordering, //
};

use kernel::{
    prelude::*,
    sync::Arc, //
};

use kernel_ext::{
    sync::rcu::RcuArc,
    time::boot_msecs, //
};

use super::{
    chain::ChainUse,
    hardware::Hardware,
    rate::Meter,
    state::{
        State,
        Status, //
    }, //
};
use crate::{
    datapath::Datapath,
    flow::SwFlow, //
};

/// Something that may have changed.
pub(super) enum Job {
    /// The flow is new, has other actions, or is under another policy.
    Sync {
        /// Its datapath.
        dp: RcuArc<Datapath>,
        /// The flow.
        flow: RcuArc<SwFlow>,
    },
    /// The flow that waits under this cookie may have waited for long enough.
    Retry {
        /// See above.
        cookie: usize,
        /// Room in hardware is meant for it.
        its_turn: bool,
    },
    /// The rule with the cookie `cold` makes room for the flow that waits under
    /// the cookie `hot`.
    Swap {
        /// See above.
        cold: usize,
        /// See above.
        hot: usize,
    },
    /// The driver of a port takes rules.
    PortBound {
        /// Its datapath.
        dp: RcuArc<Datapath>,
        /// Its number there.
        port_no: u16,
    },
    /// A driver may have come that takes rules for tunnels.
    Offer,
    /// There is a new port, which flows may already send to, or one has become
    /// such that they may.
    PortAdded(RcuArc<Datapath>),
    /// A port is gone, which flows may still send to, or it is not as it was.
    PortRemoved {
        /// Its datapath.
        dp: RcuArc<Datapath>,
        /// Its number there.
        port_no: u16,
    },
}

/// A rule in hardware.
pub(super) struct Rule {
    pub(super) flow: RcuArc<SwFlow>,
    pub(super) dp: RcuArc<Datapath>,
    pub(super) hw: Arc<Hardware>,
    pub(super) meter: Meter,
    /// When it was installed, in milliseconds since boot.
    pub(super) since: u64,
    /// The numbers of the ports that it sends to.
    pub(super) out_ports: KVec<u16>,
    /// The chains that it is in and goes to.
    _chains: [Option<ChainUse>; 2],
}

impl Rule {
    /// Of a flow, installed now.
    pub(super) fn new(
        dp: &RcuArc<Datapath>,
        flow: &RcuArc<SwFlow>,
        hw: Arc<Hardware>,
        out_ports: KVec<u16>,
        chains: [Option<ChainUse>; 2],
    ) -> Self {
        let now = boot_msecs();

        Self {
            flow: flow.clone(),
            dp: dp.clone(),
            hw,
            meter: Meter::new(now, 0),
            since: now,
            out_ports,
            _chains: chains,
        }
    }
}

/// What a flow waits for.
#[derive(Clone)]
pub(super) enum For {
    /// More packets.
    Packets,
    /// Room in hardware.
    Room(Arc<Hardware>),
    /// That a driver has been left alone for long enough.
    Driver(Arc<Hardware>),
}

impl For {
    /// Whether this is what is waited for already.
    pub(super) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Packets, Self::Packets) => true,
            (Self::Room(a), Self::Room(b)) | (Self::Driver(a), Self::Driver(b)) => {
                Arc::ptr_eq(a, b)
            }
            _ => false,
        }
    }
}

/// Why a flow is in software, and what it waits for if it is not to stay there.
pub(super) struct Stay {
    pub(super) status: Status,
    pub(super) wait: Option<For>,
}

impl From<Status> for Stay {
    fn from(status: Status) -> Self {
        Self { status, wait: None }
    }
}

impl From<State> for Stay {
    fn from(state: State) -> Self {
        Status::of(state).into()
    }
}

/// A flow that waits.
pub(super) struct Waiting {
    pub(super) flow: RcuArc<SwFlow>,
    pub(super) dp: RcuArc<Datapath>,
    pub(super) what: For,
    pub(super) meter: Meter,
    /// A job to try it again is in the queue.
    pub(super) queued: AtomicBool,
    /// Since when it has had many packets, in milliseconds since boot; 0 if it
    /// does not.
    busy_since: AtomicU64,
}

impl Waiting {
    /// Of a flow, from now on.
    pub(super) fn new(dp: &RcuArc<Datapath>, flow: &RcuArc<SwFlow>, what: For) -> Self {
        Self {
            flow: flow.clone(),
            dp: dp.clone(),
            what,
            meter: Meter::new(boot_msecs(), flow.stats().get().packets),
            queued: AtomicBool::new(false),
            busy_since: AtomicU64::new(0),
        }
    }

    /// For how long the flow has been busy, in milliseconds, now that it is or is
    /// not. One thread at a time asks.
    pub(super) fn busy_for(&self, busy: bool, now: u64) -> u64 {
        let since = match self.busy_since.load(Ordering::Relaxed) {
            _ if !busy => 0,
            0 => now,
            since => since,
        };

        self.busy_since.store(since, Ordering::Relaxed);
        if busy {
            now.saturating_sub(since)
        } else {
            0
        }
    }
}
