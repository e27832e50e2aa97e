// SPDX-License-Identifier: GPL-2.0

//! Ports that are devices of their own. What the device receives goes to the
//! datapath, see [`crate::receive`].

use core::sync::atomic::{
    fence,
    Ordering, //
};

use kernel::prelude::*;

use kernel_ext::{
    net::{
        netdevice::{
            NetDevice,
            ARPHRD_ETHER,
            ARPHRD_NONE,
            IFF_LOOPBACK, //
        },
        rtnetlink::{
            Rtnl,
            RtnlGuard, //
        },
        rx_handler, //
    },
    sync::rcu::RcuArc, //
};

use super::{
    internal_dev::ovs_is_internal_dev,
    Vport,
    VportInit,
    VportParms,
    VportType, //
};
use crate::datapath::{
    state::OvsGuard,
    OVSP_LOCAL, //
};

/// Makes a port of a device that exists.
///
/// `ENODEV` if there is none of this name, which must not be an alternative
/// one, or if it is about to go away; `EINVAL` if a device like this cannot be
/// a port; `EBUSY` if it has a master or a receive handler already.
///
/// C: `netdev_create()`.
pub(super) fn create(lock: &OvsGuard, parms: &VportParms<'_>) -> Result<RcuArc<Vport>> {
    let init = VportInit::new(parms)?;
    let net = parms.dp.net().hold().ok_or(ENODEV)?;
    let dev = NetDevice::get_by_name(&net, parms.name).ok_or(ENODEV)?;
    if dev.name().as_bytes() != parms.name.to_bytes() {
        return Err(ENODEV);
    }
    if dev.flags() & IFF_LOOPBACK != 0
        || !matches!(dev.type_(), ARPHRD_ETHER | ARPHRD_NONE)
        || ovs_is_internal_dev(&dev)
    {
        return Err(EINVAL);
    }
    let vport = init.with_device(parms, VportType::Netdev, dev)?;
    link(lock, &vport)?;
    Ok(vport)
}

/// Ties a port to its device: the local port's device becomes the master, and
/// the datapath gets what the device receives.
///
/// C: `ovs_netdev_link()`, and `get_dpdev()` for the master.
fn link(_lock: &OvsGuard, vport: &RcuArc<Vport>) -> Result {
    let dev = vport.dev();
    let local = vport.dp().ports.load(OVSP_LOCAL).ok_or(ENODEV)?;
    let guard = RtnlGuard::new();
    let rtnl = guard.proof();
    // A device that is being unregistered has told its notifiers already, and
    // would not tell us.
    if !dev.is_registered() {
        return Err(ENODEV);
    }
    dev.master_upper_dev_link(local.dev(), rtnl)?;
    if let Err(e) = rx_handler::register(dev, vport.clone(), rtnl) {
        dev.upper_dev_unlink(local.dev(), rtnl);
        return Err(e);
    }
    dev.disable_lro(rtnl);
    // As in C: that it may overflow is nobody's concern here.
    let _ = dev.set_promiscuity(1, rtnl);
    dev.set_ovs_port(true, rtnl);
    vport.offload().ops().bind(vport, rtnl);
    Ok(())
}

/// Unties a device from its port. What is left of the port is deleted with
/// [`super::ovs_dp_detach_port`].
///
/// C: `ovs_netdev_detach_dev()`.
pub(crate) fn ovs_netdev_detach_dev(dev: &NetDevice, rtnl: Rtnl<'_>) {
    // Hardware first: until software has let go, nothing is lost.
    if let Some(vport) = rx_handler::load::<Vport>(dev, rtnl) {
        vport.offload().ops().unbind(rtnl);
    }
    rx_handler::unregister::<Vport>(dev, rtnl);
    if let Some(master) = dev.master_upper_dev(rtnl) {
        dev.upper_dev_unlink(master, rtnl);
    }
    let _ = dev.set_promiscuity(-1, rtnl);
    // The flag goes last: `destroy()` drops the reference to the device without
    // the rtnl lock when it finds it cleared.
    fence(Ordering::Release);
    dev.set_ovs_port(false, rtnl);
}

/// C: `netdev_destroy()` and `vport_netdev_free()`.
pub(super) fn destroy(_lock: &OvsGuard, vport: RcuArc<Vport>) {
    let dev = vport.dev();
    // After the device was unregistered, it is untied already.
    if dev.is_ovs_port() {
        let guard = RtnlGuard::new();
        // Again, now that the notifier cannot be at it.
        if dev.is_ovs_port() {
            ovs_netdev_detach_dev(dev, guard.proof());
        }
    }
    fence(Ordering::Acquire);
    // The reference to the device goes with the port, a grace period after the
    // last reference to that.
}

/// The port of a device, if it is one's. For the netdevice notifier.
///
/// C: `ovs_netdev_get_vport()`.
pub(crate) fn ovs_netdev_get_vport(dev: &NetDevice, rtnl: Rtnl<'_>) -> Option<RcuArc<Vport>> {
    if !dev.is_ovs_port() {
        return None;
    }
    rx_handler::load::<Vport>(dev, rtnl)
}
