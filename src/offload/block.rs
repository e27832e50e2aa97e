// SPDX-License-Identifier: GPL-2.0

//! Ports and the flow blocks of their devices.
//!
//! The block of a port's device is bound when the port is made, or later when
//! that becomes possible, and unbound before the port lets go of the device.
//! Both are done under the rtnl lock alone, so that they can be done from the
//! device notifier.

use core::{
    any::Any,
    sync::atomic::{
        AtomicBool,
        Ordering, //
    },
};

use kernel::{
    error::code::EOPNOTSUPP,
    new_mutex,
    prelude::*,
    sync::{
        Arc,
        Mutex, //
    },
};

use kernel_ext::{
    net::{
        flow_offload::{
            BindError,
            Binder,
            DriverText,
            FlowBlock, //
        },
        namespace::Net,
        netdevice::NetDevice,
        rtnetlink::{
            Rtnl,
            RtnlGuard, //
        },
        tc_skb_ext, //
    },
    time::boot_msecs, //
};

use crate::{
    datapath::{
        for_each_dp,
        ovs_net::ports_of,
        state::ovs_lock, //
    },
    offload::{
        activate,
        driver_may_have_come,
        hardware::Hardware,
        port_bound,
        rules_gone,
        tunnel::tunnel_kind, //
    },
    offload_ops::PortOps,
    vport::Vport, //
};

/// How long to wait before the driver is asked again, in milliseconds.
const RETRY_MS: u64 = 1000;

/// Whether hardware can take rules for what a port receives, and why not.
#[derive(Clone, Copy)]
pub(crate) enum BlockState {
    /// It can.
    Bound,
    /// There is no device that hardware could be behind: an internal port that
    /// is down, or on a kernel where hardware cannot hand over packets there.
    Internal,
    /// The datapath is not in the initial network namespace: what drivers give
    /// back after a miss they give back there.
    Namespace,
    /// The port is gone.
    Gone,
    /// The device of a tunnel or an internal port, which no driver takes rules for
    /// yet.
    NoOffer,
    /// The driver refused.
    Refused(BindError),
}

impl BlockState {
    /// Whether the driver may take rules later without anybody being told.
    fn may_change(&self) -> bool {
        matches!(
            self,
            Self::NoOffer
                | Self::Refused(BindError::Busy | BindError::Hooks | BindError::Failed(..))
        )
    }

    /// In words, for people.
    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Self::Bound => "bound",
            Self::Internal => "internal port",
            Self::Namespace => "not in the initial network namespace",
            Self::Gone => "port is gone",
            Self::NoOffer => "no driver offers itself for tunnels",
            Self::Refused(BindError::NoDriver) => "driver has no offload",
            Self::Refused(BindError::Disabled) => "hw-tc-offload is off",
            Self::Refused(BindError::Busy) => "in use by a qdisc",
            Self::Refused(BindError::Hooks) => "software hooks at ingress",
            Self::Refused(BindError::Failed(..)) => "driver error",
        }
    }
}

struct State {
    state: BlockState,
    hardware: Option<Arc<Hardware>>,
    /// When the driver was asked last, in milliseconds since boot.
    asked: u64,
}

/// Which packets a port's rules are for. What the host sends on an internal port
/// the port receives.
fn binder_of(vport: &Vport) -> Binder {
    if vport.is_internal() {
        Binder::IndirectEgress
    } else if tunnel_kind(vport.dev()).is_some() {
        Binder::IndirectIngress
    } else {
        Binder::Ingress
    }
}

/// Asks the driver of a device to take rules.
fn bind(dev: &NetDevice, binder: Binder, rtnl: Rtnl<'_>) -> Result<Arc<Hardware>, BindError> {
    let gone = |cookie, delta| rules_gone(&[(cookie, delta)]);
    let block = FlowBlock::bind(dev, binder, gone, rtnl)?;

    Hardware::new(block.clone(), dev.port_parent_id(rtnl)).map_err(|err| {
        block.unbind(rtnl, |_, _| ());
        BindError::Failed(err, DriverText::new())
    })
}

/// A port's way to the driver of its device.
pub(crate) struct PortBlock {
    state: Pin<KBox<Mutex<State>>>,
    was_bound: AtomicBool,
}

impl PortBlock {
    /// Of a port whose device has not been asked.
    pub(crate) fn new() -> Result<Self> {
        let state = State {
            state: BlockState::Internal,
            hardware: None,
            asked: 0,
        };
        Ok(Self {
            state: KBox::pin_init(new_mutex!(state, "PortBlock"), GFP_KERNEL)?,
            was_bound: AtomicBool::new(false),
        })
    }

    /// Whether hardware can take rules, and why not. Sleeps.
    pub(crate) fn state(&self) -> BlockState {
        self.forget_gone();
        self.state.lock().state
    }

    /// Takes note that the driver behind a tunnel's port has gone, which tells
    /// the block alone.
    fn forget_gone(&self) {
        let hardware = self.state.lock().hardware.clone();

        if let Some(gone) = hardware.filter(|hardware| !hardware.block.is_bound()) {
            let mut state = self.state.lock();

            if state
                .hardware
                .take_if(|now| Arc::ptr_eq(now, &gone))
                .is_some()
            {
                state.state = BlockState::NoOffer;
            }
        }
    }

    /// Whether the port's packets may come back from chains of rules: the block
    /// is bound, or has been.
    pub(super) fn was_bound(&self) -> bool {
        self.was_bound.load(Ordering::Relaxed)
    }

    /// The hardware, if the block is bound. Sleeps.
    pub(crate) fn get(&self) -> Option<Arc<Hardware>> {
        self.forget_gone();
        self.state.lock().hardware.clone()
    }

    /// The hardware. If the block is not bound, the driver is asked again, but not more
    /// often than once a second. Sleeps; takes the rtnl lock.
    pub(crate) fn get_or_retry(&self, vport: &Vport) -> Option<Arc<Hardware>> {
        if let Some(hardware) = self.get() {
            return Some(hardware);
        }
        {
            let state = self.state.lock();
            // What can change without our being told.
            if !state.state.may_change() {
                return None;
            }
            if boot_msecs().wrapping_sub(state.asked) < RETRY_MS {
                return None;
            }
        }
        self.ask_again(vport);
        self.get()
    }

    fn ask_again(&self, vport: &Vport) {
        let guard = RtnlGuard::new();
        // Until the lock is released, it is a port's or no port's.
        if vport.is_internal() {
            self.internal_changed(vport, guard.proof());
        } else if vport.dev().is_ovs_port() {
            self.bind(vport, guard.proof());
        }
    }

    /// Asks again, if this is a tunnel's port that no driver has taken rules
    /// for. Sleeps; may take the rtnl lock.
    fn offer(&self, vport: &Vport) {
        if matches!(self.state(), BlockState::NoOffer) && FlowBlock::drivers_offer() {
            self.ask_again(vport);
        }
    }

    /// The device of an internal port has come up, or gone down. While it is up,
    /// drivers take rules for what hardware sends in the host's place.
    pub(crate) fn internal_changed(&self, vport: &Vport, rtnl: Rtnl<'_>) {
        if tc_skb_ext::AVAILABLE && vport.dev().is_up() && vport.dev().is_in(Net::init()) {
            self.bind(vport, rtnl);
        } else {
            self.unbind_for(BlockState::Internal, rtnl);
        }
    }

    fn unbind_for(&self, why: BlockState, rtnl: Rtnl<'_>) {
        let hardware = {
            let mut state = self.state.lock();
            state.state = why;
            state.hardware.take()
        };
        if let Some(hardware) = hardware {
            hardware
                .block
                .unbind(rtnl, |cookie, delta| rules_gone(&[(cookie, delta)]));
        }
    }
}

impl PortOps for PortBlock {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn bind(&self, vport: &Vport, rtnl: Rtnl<'_>) {
        if self.get().is_some() {
            return;
        }
        let binder = binder_of(vport);
        let indirect = binder != Binder::Ingress;
        let bound = if vport.dp().net().is(Net::init()) {
            bind(vport.dev(), binder, rtnl).map_err(|err| match err {
                BindError::NoDriver | BindError::Failed(EOPNOTSUPP, _) if indirect => {
                    BlockState::NoOffer
                }
                err => BlockState::Refused(err),
            })
        } else {
            Err(BlockState::Namespace)
        };
        let mut state = self.state.lock();
        state.asked = boot_msecs();
        match bound {
            Ok(hardware) => {
                self.was_bound.store(true, Ordering::Relaxed);
                state.state = BlockState::Bound;
                state.hardware = Some(hardware);
                drop(state);
                port_bound(vport);
                if !indirect {
                    // Its driver may be for tunnels as well.
                    driver_may_have_come();
                }
            }
            Err(refused) => {
                state.state = refused;
                // Tunnels and internal ports alone cost flows nothing.
                if refused.may_change() && !indirect {
                    activate();
                }
            }
        }
    }

    fn unbind(&self, rtnl: Rtnl<'_>) {
        self.unbind_for(BlockState::Gone, rtnl);
    }

    fn features_changed(&self, vport: &Vport, rtnl: Rtnl<'_>) {
        if tunnel_kind(vport.dev()).is_some() {
            // It has no driver of its own, and no such feature.
        } else if vport.dev().has_hw_tc() {
            self.bind(vport, rtnl);
        } else if self.get().is_some() {
            self.unbind_for(BlockState::Refused(BindError::Disabled), rtnl);
        }
    }
}

/// What the engine has with a port.
pub(crate) fn block_of(vport: &Vport) -> Option<&PortBlock> {
    vport.offload().ops().as_any().downcast_ref()
}

/// Asks the drivers again for ports of tunnels that none takes rules for.
/// Sleeps; takes `ovs_mutex` and the rtnl lock.
pub(super) fn offer_tunnels() {
    let mut ports = KVec::new();
    let lock = ovs_lock();

    for_each_dp(&lock, Net::init(), |dp| {
        // Without memory, the others wait for the next time.
        ports_of(dp).all(|port| ports.push(port, GFP_KERNEL).is_ok())
    });
    drop(lock);
    for port in &ports {
        if let Some(block) = block_of(port) {
            block.offer(port);
        }
    }
}
