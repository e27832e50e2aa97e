// SPDX-License-Identifier: GPL-2.0

//! Which flows hardware is asked to run.
//!
//! There is a switch for all, one for each datapath, one for each port (for the
//! flows that match on it) and one for each flow. A flow is offered to hardware
//! if none of them says `never`.

use core::sync::atomic::{
    AtomicBool,
    AtomicU32,
    Ordering, //
};

use crate::{
    datapath::Datapath,
    flow::SwFlow,
    vport::Vport, //
};

/// A switch.
pub(crate) struct Policy {
    never: AtomicBool,
}

impl Policy {
    /// Whatever can run in hardware does.
    pub(crate) const fn auto() -> Self {
        Policy {
            never: AtomicBool::new(false),
        }
    }

    /// Whether nothing runs in hardware.
    pub(crate) fn is_never(&self) -> bool {
        self.never.load(Ordering::Relaxed)
    }

    /// Sets the switch.
    pub(crate) fn set_never(&self, never: bool) {
        self.never.store(never, Ordering::Relaxed);
    }
}

/// As many packets as for all.
const AS_FOR_ALL: u32 = u32::MAX;

/// How many packets a flow needs to have had before it is offered to hardware.
pub(crate) static MIN_PACKETS: AtomicU32 = AtomicU32::new(0);

/// A datapath's part in offloading.
pub(crate) struct DpOffload {
    /// Whether its flows are offered to hardware.
    pub(crate) policy: Policy,
    min_packets: AtomicU32,
    /// How often its flows have been flushed.
    flushes: AtomicU32,
}

impl DpOffload {
    /// Whatever can run in hardware does.
    pub(crate) const fn new() -> Self {
        Self {
            policy: Policy::auto(),
            min_packets: AtomicU32::new(AS_FOR_ALL),
            flushes: AtomicU32::new(0),
        }
    }

    /// How many packets a flow needs to have had before it is offered to
    /// hardware.
    pub(super) fn min_packets(&self) -> u32 {
        match self.min_packets.load(Ordering::Relaxed) {
            AS_FOR_ALL => MIN_PACKETS.load(Ordering::Relaxed),
            packets => packets,
        }
    }

    /// Sets how many packets a flow needs; `u32::MAX` for as many as for all.
    pub(crate) fn set_min_packets(&self, packets: u32) {
        self.min_packets.store(packets, Ordering::Relaxed);
    }

    /// How often its flows have been flushed.
    pub(super) fn flushes(&self) -> u32 {
        self.flushes.load(Ordering::SeqCst)
    }

    /// All its flows are gone.
    pub(super) fn flushed(&self) {
        self.flushes.fetch_add(1, Ordering::SeqCst);
    }
}

/// The switch for all flows; the module parameter `offload` is what it is at
/// first.
pub(crate) static GLOBAL: Policy = Policy::auto();

/// Whether the flow may be offered to hardware, but for its port's switch.
pub(super) fn allows(dp: &Datapath, flow: &SwFlow) -> bool {
    !GLOBAL.is_never() && !dp.offload.policy.is_never() && !flow.offload.is_never()
}

/// Whether flows that match on the port may be offered to hardware.
pub(super) fn port_allows(port: &Vport) -> bool {
    !port.block().policy().is_never()
}
