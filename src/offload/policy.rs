// SPDX-License-Identifier: GPL-2.0

//! Which flows hardware is asked to run.
//!
//! There is a switch for all, one for each datapath, one for each port (for the
//! flows that match on it) and one for each flow. A flow is offered to hardware
//! if none of them says `never`.

use core::sync::atomic::{
    AtomicBool,
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

/// The switch for all flows; the module parameter `offload` is what it is at
/// first.
pub(crate) static GLOBAL: Policy = Policy::auto();

/// Whether the flow may be offered to hardware, but for its port's switch.
pub(super) fn allows(dp: &Datapath, flow: &SwFlow) -> bool {
    !GLOBAL.is_never() && !dp.offload.is_never() && !flow.offload.is_never()
}

/// Whether flows that match on the port may be offered to hardware.
pub(super) fn port_allows(port: &Vport) -> bool {
    !port.block().policy().is_never()
}
