// SPDX-License-Identifier: GPL-2.0

//! Which flows hardware is asked to run.
//!
//! There is a switch for all, one for each datapath, one for each port (for the
//! flows that match on it) and one for each flow. A flow is offered to hardware
//! if none of them says `never`. If one says `always`, it is so, too, where the
//! driver does not match on all that the flow does: see [`Setting::Always`].

use core::sync::atomic::{
    AtomicU32,
    AtomicU8,
    AtomicUsize,
    Ordering, //
};

use crate::{
    datapath::Datapath,
    flow::SwFlow,
    vport::Vport, //
};

/// What a switch says. The numbers are those of `ovs-offload-policy` in
/// Documentation/netlink/specs/ovs_offload.yaml.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Setting {
    /// Whatever can run in hardware exactly as in software does.
    Auto = 0,
    /// Nothing runs in hardware.
    Never = 1,
    /// As [`Setting::Auto`]; and where a driver does not match on the outer
    /// "do not fragment" and checksum flags of packets from a tunnel, they are
    /// left out of the match.
    Always = 2,
}

impl Setting {
    /// The setting with this number.
    pub(crate) fn from_u32(value: u32) -> Option<Self> {
        match value {
            0 => Some(Self::Auto),
            1 => Some(Self::Never),
            2 => Some(Self::Always),
            _ => None,
        }
    }
}

/// A switch.
pub(crate) struct Policy(AtomicU8);

impl Policy {
    /// A switch that says [`Setting::Auto`].
    pub(crate) const fn auto() -> Self {
        Policy(AtomicU8::new(Setting::Auto as u8))
    }

    /// What it says.
    pub(crate) fn get(&self) -> Setting {
        Setting::from_u32(self.0.load(Ordering::Relaxed).into()).unwrap_or(Setting::Auto)
    }

    /// Sets the switch.
    pub(crate) fn set(&self, setting: Setting) {
        self.0.store(setting as u8, Ordering::Relaxed);
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
    /// The lanes that still have rules of flows that were flushed.
    flushing: AtomicUsize,
}

impl DpOffload {
    /// Whatever can run in hardware does.
    pub(crate) const fn new() -> Self {
        Self {
            policy: Policy::auto(),
            min_packets: AtomicU32::new(AS_FOR_ALL),
            flushes: AtomicU32::new(0),
            flushing: AtomicUsize::new(0),
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

    /// A lane is to destroy the rules of flows that were flushed.
    pub(super) fn flush_begins(&self) {
        self.flushing.fetch_add(1, Ordering::SeqCst);
    }

    /// A lane has done so.
    pub(super) fn flush_ends(&self) {
        self.flushing.fetch_sub(1, Ordering::SeqCst);
    }

    /// Whether there may be rules of flows that were flushed.
    pub(super) fn is_flushing(&self) -> bool {
        self.flushing.load(Ordering::SeqCst) != 0
    }
}

/// The switch for all flows; the module parameter `offload` is what it is at
/// first.
pub(crate) static GLOBAL: Policy = Policy::auto();

/// Whether the flow may be offered to hardware, but for its port's switch.
pub(super) fn allows(dp: &Datapath, flow: &SwFlow) -> bool {
    [GLOBAL.get(), dp.offload.policy.get(), flow.offload.policy()]
        .iter()
        .all(|&setting| setting != Setting::Never)
}

/// Whether flows that match on the port may be offered to hardware.
pub(super) fn port_allows(port: &Vport) -> bool {
    port.offload().policy.get() != Setting::Never
}

/// Whether the flow, which matches on the port, may be offered to hardware
/// without the flags of its tunnel.
pub(super) fn is_always(dp: &Datapath, flow: &SwFlow, port: &Vport) -> bool {
    let settings = [
        GLOBAL.get(),
        dp.offload.policy.get(),
        flow.offload.policy(),
        port.offload().policy.get(),
    ];

    !settings.contains(&Setting::Never) && settings.contains(&Setting::Always)
}
