// SPDX-License-Identifier: GPL-2.0

//! Internal ports: devices of which the host sends to the datapath and receives
//! from it. One of them, with the datapath's name, is its local port.

use core::cell::Cell;

use kernel::{
    c_str,
    prelude::*, //
};

use kernel_ext::{
    net::{
        netdevice::{
            driver::{
                features::*,
                DeviceOps,
                NetDeviceOps,
                NewDevice,
                PrivFlags,
                UnregisteredDevice, //
            },
            NetDevice, //
        },
        rtnetlink::{
            Rtnl,
            RtnlGuard,
            RtnlLinkOps,
            RtnlLinkRegistration, //
        },
        skbuff::SkBuff, //
    },
    sync::{
        bh::BhRcu,
        rcu::{
            RcuArc,
            RcuRead,
            RcuSlot, //
        },
    },
};

use super::{
    Vport,
    VportInit,
    VportParms,
    VportType, //
};
use crate::{
    datapath::{
        state::OvsGuard,
        OVSP_LOCAL, //
    },
    receive::ovs_vport_receive, //
};

/// The largest MTU. C: `ETH_MAX_MTU`.
const ETH_MAX_MTU: u32 = 0xffff;
/// The packet is for this host.
const PACKET_HOST: u8 = 0;

static LINK_OPS: RtnlLinkOps = RtnlLinkOps::new(c_str!("openvswitch"));
static DEVICE_OPS: DeviceOps<InternalDev> = DeviceOps::new(&LINK_OPS);

/// What an internal port's device knows.
///
/// The port refers to the device as well. Deleting the port empties this, which
/// ends that.
///
/// C: `struct internal_dev`.
struct InternalDev {
    vport: RcuSlot<Vport>,
}

impl NetDeviceOps for InternalDev {
    /// C: `internal_dev_getinfo()`.
    const DRIVER: &'static CStr = c_str!("openvswitch");

    fn ops() -> &'static DeviceOps<Self> {
        &DEVICE_OPS
    }

    /// C: `do_setup()`.
    fn setup(dev: &mut NewDevice<'_>) {
        dev.max_mtu(ETH_MAX_MTU)
            .priv_flags(
                PrivFlags::LIVE_ADDR_CHANGE
                    .or(PrivFlags::OPENVSWITCH)
                    .or(PrivFlags::NO_QUEUE),
            )
            .lltx()
            .all_features(
                NETIF_F_SG
                    | NETIF_F_FRAGLIST
                    | NETIF_F_HIGHDMA
                    | NETIF_F_HW_CSUM
                    | NETIF_F_GSO_SOFTWARE
                    | NETIF_F_GSO_ENCAP_ALL,
            )
            .more_features(NETIF_F_HW_VLAN_CTAG_TX | NETIF_F_HW_VLAN_STAG_TX)
            .features_changeable()
            .random_address();
    }

    /// C: `internal_dev_open()`.
    fn open(&self, dev: &NetDevice, _rtnl: Rtnl<'_>) -> Result {
        dev.start_queue();
        Ok(())
    }

    /// C: `internal_dev_stop()`.
    fn stop(&self, dev: &NetDevice, _rtnl: Rtnl<'_>) -> Result {
        dev.stop_queue();
        Ok(())
    }

    /// C: `internal_dev_xmit()`.
    #[inline]
    fn start_xmit(&self, ctx: BhRcu<'_>, dev: &NetDevice, skb: SkBuff) {
        // The packet may be gone when its length is wanted.
        let len = skb.len() as u32;
        let received = match self.vport.get(ctx.rcu()) {
            Some(vport) => ovs_vport_receive(ctx, vport, skb),
            None => Err(ENODEV),
        };
        match received {
            Ok(()) => DEVICE_OPS.count_tx(ctx, dev, 1, len),
            Err(_) => dev.count_tx_error(),
        }
    }
}

/// Makes an internal port and its device.
///
/// `EBUSY` or `EEXIST` if there is a device with the index or the name.
///
/// C: `internal_dev_create()`.
pub(super) fn create(_lock: &OvsGuard, parms: &VportParms<'_>) -> Result<RcuArc<Vport>> {
    let init = VportInit::new(parms)?;
    let private = InternalDev {
        vport: RcuSlot::empty(),
    };
    let net = parms.dp.net().hold().ok_or(ENODEV)?;
    let mut dev = UnregisteredDevice::new(&net, parms.name, parms.desired_ifindex, private)?;
    // The local port stands for the datapath, so it stays where that is.
    if u32::from(parms.port_no) == OVSP_LOCAL {
        dev.set_netns_immutable();
    }

    let vport = {
        let guard = RtnlGuard::new();
        let rtnl = guard.proof();
        let dev = dev.register(rtnl)?;
        let unregister = dev.hold(GFP_KERNEL);
        let vport = match init.with_device(parms, VportType::Internal, dev) {
            Ok(vport) => vport,
            Err(e) => {
                DEVICE_OPS.unregister(&unregister, rtnl);
                drop(unregister);
                return Err(e);
            }
        };
        if let Some(private) = DEVICE_OPS.data(vport.dev()) {
            private.vport.replace(Some(vport.clone()));
        }
        // As in C: that it may overflow is nobody's concern here.
        let _ = vport.dev().set_promiscuity(1, rtnl);
        vport
    };
    vport.dev().start_queue();
    Ok(vport)
}

/// Deletes an internal port. Its device is unregistered, and waited for, when
/// `ovs_mutex` is released.
///
/// C: `internal_dev_destroy()`, which unregisters the device at once. That waits
/// for references to the devices that go with it, such as VLAN devices over it;
/// where one of those is a port, its reference goes when the port is deleted,
/// which takes `ovs_mutex`.
pub(super) fn destroy(lock: &OvsGuard, vport: RcuArc<Vport>) {
    let dev = vport.dev();
    dev.stop_queue();
    {
        let guard = RtnlGuard::new();
        let rtnl = guard.proof();
        vport.offload().ops().unbind(rtnl);
        let _ = dev.set_promiscuity(-1, rtnl);
    }
    // What the device still sends is dropped.
    if let Some(private) = DEVICE_OPS.data(dev) {
        private.vport.replace(None);
    }
    lock.leaving.push(vport);
}

/// A place in [`LeavingDevices`], which every port has.
pub(super) struct LeavingLink(RcuSlot<Vport>);

impl LeavingLink {
    /// In no list.
    pub(super) const fn new() -> Self {
        Self(RcuSlot::empty())
    }
}

/// Internal ports that were deleted, the first one first. Dropping it
/// unregisters their devices, and waits until nothing refers to them any more.
///
/// It must not be dropped under `ovs_mutex` or the rtnl lock.
pub(crate) struct LeavingDevices {
    first: Cell<Option<RcuArc<Vport>>>,
    last: Cell<Option<RcuArc<Vport>>>,
}

impl LeavingDevices {
    /// None.
    pub(crate) const fn new() -> Self {
        Self {
            first: Cell::new(None),
            last: Cell::new(None),
        }
    }

    /// Adds a port, which is given away.
    fn push(&self, vport: RcuArc<Vport>) {
        match self.last.replace(Some(vport.clone())) {
            Some(last) => drop(last.leaving.0.replace(Some(vport))),
            None => self.first.set(Some(vport)),
        }
    }
}

impl Drop for LeavingDevices {
    fn drop(&mut self) {
        self.last.set(None);
        let mut next = self.first.take();
        while let Some(vport) = next {
            next = vport.leaving.0.replace(None);
            let dev = vport.dev().hold(GFP_KERNEL);
            let guard = RtnlGuard::new();
            // If its namespace ends meanwhile, it is unregistered already.
            DEVICE_OPS.unregister(&dev, guard.proof());
            // Releasing the rtnl lock waits for the references to the device, of
            // which these are two.
            drop(vport);
            drop(dev);
            drop(guard);
        }
    }
}

/// Gives a packet to the host, as received by an internal port's device.
///
/// C: `internal_dev_recv()`.
#[inline]
pub(super) fn recv(ctx: BhRcu<'_>, dev: &NetDevice, mut skb: SkBuff) {
    if !dev.is_up() {
        drop(skb);
        dev.count_rx_dropped();
        return;
    }
    skb.dst_drop();
    skb.nf_reset_ct();
    skb.set_pkt_type(PACKET_HOST);
    DEVICE_OPS.receive(ctx, dev, skb);
}

/// Whether the device is that of an internal port.
///
/// C: `ovs_is_internal_dev()`.
#[inline]
pub(crate) fn ovs_is_internal_dev(dev: &NetDevice) -> bool {
    DEVICE_OPS.is_device(dev)
}

/// The internal port of a device, if it is one's.
///
/// C: `ovs_internal_dev_get_vport()`.
#[inline]
pub(crate) fn ovs_internal_dev_get_vport<'g>(
    dev: &'g NetDevice,
    rcu: RcuRead<'g>,
) -> Option<&'g Vport> {
    DEVICE_OPS.data(dev)?.vport.get(rcu)
}

/// As [`ovs_internal_dev_get_vport`]. For the netdevice notifier.
pub(crate) fn vport_of(dev: &NetDevice, _rtnl: Rtnl<'_>) -> Option<RcuArc<Vport>> {
    DEVICE_OPS.data(dev)?.vport.load()
}

/// Registers the kind of device that internal ports have.
///
/// C: `ovs_internal_dev_rtnl_link_register()`.
pub(crate) fn ovs_internal_dev_rtnl_link_register() -> Result<RtnlLinkRegistration> {
    LINK_OPS.register()
}
