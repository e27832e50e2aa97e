// SPDX-License-Identifier: GPL-2.0

//! What the datapath tells whoever offloads flows.
//!
//! The offload engine lies above the datapath: it uses datapaths, flows and
//! ports, and they do not use the engine. What commands change they tell through
//! the operations here, which the engine registers as others register a notifier.
//! It notes that in its queues, and does the work later, without `ovs_mutex`.
//!
//! Flows, ports and datapaths have what the engine keeps with them; nothing is
//! allocated to tell of a change but what the engine's queues need.

use core::any::Any;

use kernel::{
    prelude::*,
    sync::SetOnce, //
};

use kernel_ext::{
    net::rtnetlink::Rtnl,
    sync::rcu::{
        RcuArc,
        RcuRead, //
    },
};

use crate::{
    datapath::{
        state::OvsGuard,
        Datapath, //
    },
    flow::SwFlow,
    offload::policy::Policy,
    vport::Vport, //
};

/// What a packet goes on with that hardware or traffic control has not finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Restored {
    /// With this recirculation id. The chain is done with.
    Recirc(u32),
    /// With what the chain's number says: it is of traffic control.
    NotOurs,
    /// With nothing: nobody knows the chain any more.
    Lost,
}

/// The operations. Without an engine, they do nothing.
pub(crate) trait OffloadOps: Sync {
    /// What a new port has for the engine.
    fn new_port(&self) -> Result<KBox<dyn PortOps>> {
        Ok(KBox::new(NoOffload, GFP_KERNEL)?)
    }

    /// A flow has been put into the table.
    fn flow_inserted(&self, _lock: &OvsGuard, _dp: &RcuArc<Datapath>, _flow: &RcuArc<SwFlow>) {}

    /// A flow in the table has got other actions. [`Self::settle`] has to follow.
    fn flow_changed(&self, _lock: &OvsGuard, _dp: &RcuArc<Datapath>, _flow: &RcuArc<SwFlow>) {}

    /// A flow has been taken out of the table. [`Self::settle`] has to follow.
    fn flow_removed(&self, _lock: &OvsGuard, _dp: &RcuArc<Datapath>, _flow: &RcuArc<SwFlow>) {}

    /// What [`Self::flow_changed`] or [`Self::flow_removed`] has told of is so in
    /// hardware when this returns: no packet is handled any more as it was before,
    /// and the flow has what hardware counted until then. Gives the lock back, which
    /// it may have released meanwhile.
    fn settle(&self, lock: OvsGuard, _flow: &SwFlow) -> OvsGuard {
        lock
    }

    /// All flows of a datapath are about to be taken out of its table.
    /// [`Self::wait_flushed`] may follow.
    fn flows_flushed(&self, _lock: &OvsGuard, _dp: &RcuArc<Datapath>) {}

    /// Waits until no rules of flows are left that [`Self::flows_flushed`] has told
    /// of, or until the thread gets a signal: they go all the same. Sleeps for long;
    /// the caller holds no lock.
    fn wait_flushed(&self, _dp: &Datapath) {}

    /// There is a new port.
    fn port_added(&self, _lock: &OvsGuard, _dp: &RcuArc<Datapath>) {}

    /// A port is gone from its datapath.
    fn port_removed(&self, _lock: &OvsGuard, _vport: &Vport) {}

    /// The device of an internal port has come up, gone down or got another
    /// address.
    fn internal_port_changed(&self, _vport: &Vport, _rtnl: Rtnl<'_>) {}

    /// There is a device of a driver that takes rules, or it has become able to.
    /// Such drivers may take rules for tunnels as well, and say so to nobody.
    fn driver_may_have_come(&self, _rtnl: Rtnl<'_>) {}

    /// What a packet goes on with that came in on a port with the number of a chain.
    fn restore(&self, _rcu: RcuRead<'_>, _vport: &Vport, _chain: u32) -> Restored {
        Restored::NotOurs
    }
}

/// What a port has for the engine: its way to the driver of its device. Without an
/// engine, nothing.
pub(crate) trait PortOps: Any + Send + Sync {
    /// As what it is, for the engine.
    fn as_any(&self) -> &dyn Any;

    /// Asks the driver of the port's device to take rules.
    fn bind(&self, _vport: &Vport, _rtnl: Rtnl<'_>) {}

    /// Takes all rules of the port away from the driver.
    fn unbind(&self, _rtnl: Rtnl<'_>) {}

    /// The user may have switched the device's offload on or off.
    fn features_changed(&self, _vport: &Vport, _rtnl: Rtnl<'_>) {}
}

/// A port's part in offloading.
pub(crate) struct PortOffload {
    /// Whether flows that match on the port are offered to hardware.
    pub(crate) policy: Policy,
    ops: KBox<dyn PortOps>,
}

impl PortOffload {
    /// Of a new port, whose device has not been asked.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            policy: Policy::auto(),
            ops: offload().new_port()?,
        })
    }

    /// What the engine has with the port.
    pub(crate) fn ops(&self) -> &dyn PortOps {
        &*self.ops
    }
}

/// Nobody offloads flows.
struct NoOffload;

impl OffloadOps for NoOffload {}

impl PortOps for NoOffload {
    fn as_any(&self) -> &dyn Any {
        self
    }
}

static OPS: SetOnce<&'static dyn OffloadOps> = SetOnce::new();

/// Has the datapath tell of changes from now on. The operations stay: there is one
/// engine, in this module. It comes before the first port.
pub(crate) fn register(ops: &'static dyn OffloadOps) {
    OPS.populate(ops);
}

/// The operations of whoever offloads flows.
#[inline]
pub(crate) fn offload() -> &'static dyn OffloadOps {
    OPS.copy().unwrap_or(&NoOffload)
}
