// SPDX-License-Identifier: GPL-2.0

//! What happens when a port's device goes away.
//!
//! The notifier runs under the rtnl lock, inside which `ovs_mutex` must not be
//! taken: it unties the device at once and leaves the rest to a work item.

use kernel::{
    c_str,
    prelude::*,
    static_lock_class, //
};

use kernel_ext::{
    net::{
        namespace::Net,
        netdevice::NetDevice,
        notifier::{
            NetdevEvent,
            NetdevNotifier,
            NetdevNotifierRegistration, //
        },
        rtnetlink::Rtnl, //
    },
    sync::rcu::{
        RcuArc,
        RcuRead, //
    },
    uapi,
    workqueue::{
        StaticWork,
        StaticWorkGuard, //
    },
};

use crate::{
    datapath::{
        genl::MCGROUP,
        ovs_net::{
            ovs_dp_detach_port,
            ports_of,
            take_ports_gone,
            OvsNet,
            OVS_NET, //
        },
        state::{
            ovs_lock,
            OvsGuard, //
        },
        vport_cmd::{
            ovs_vport_cmd_build_info,
            DP_VPORT_GENL_FAMILY, //
        },
    },
    offload_ops::offload,
    vport::{
        internal_dev,
        netdev::{
            ovs_netdev_detach_dev,
            ovs_netdev_get_vport, //
        },
        Vport, //
    },
};

static DP_NOTIFY_WORK: StaticWork = StaticWork::new(
    ovs_dp_notify_wq,
    c_str!("dp_notify_work"),
    static_lock_class!(),
);

/// Deletes a port and tells those who listen.
///
/// C: `dp_detach_port_notify()`.
fn dp_detach_port_notify(lock: &OvsGuard, vport: RcuArc<Vport>) {
    let Some(net) = vport.dp().net().hold() else {
        // It is about to end, so nobody listens there.
        return ovs_dp_detach_port(lock, vport);
    };
    let net: &Net = &net;
    let cmd = uapi::ovs_vport_cmd_OVS_VPORT_CMD_DEL;
    let notify = ovs_vport_cmd_build_info(lock, &vport, net, cmd);
    ovs_dp_detach_port(lock, vport);
    match notify {
        Ok(msg) => {
            // An error is that nobody listens, or that one who does lost it,
            // which its socket says.
            let _ = DP_VPORT_GENL_FAMILY.multicast(net, msg, 0, MCGROUP, GFP_KERNEL);
        }
        Err(e) => DP_VPORT_GENL_FAMILY.set_err(net, 0, MCGROUP, e),
    }
}

/// Calls `f` with the ports whose devices have gone, which it deletes.
fn for_each_port_gone(lock: &OvsGuard, f: impl Fn(RcuArc<Vport>)) {
    take_ports_gone(|ovs_net| {
        ovs_net.for_each_dp(lock, |dp| {
            for vport in ports_of(dp) {
                if !vport.is_internal() && !vport.dev().is_ovs_port() {
                    f(vport);
                }
            }
            true
        });
    });
}

/// Deletes the ports whose devices have gone.
///
/// C: `ovs_dp_notify_wq()`, of which there is one for each namespace.
fn ovs_dp_notify_wq() {
    let lock = ovs_lock();
    for_each_port_gone(&lock, |vport| dp_detach_port_notify(&lock, vport));
}

/// Hears of devices that go away.
struct DpDeviceNotifier;

impl NetdevNotifier for DpDeviceNotifier {
    type RxHandler = Vport;

    /// C: `dp_device_event()`.
    fn event(event: NetdevEvent, dev: &NetDevice, rtnl: Rtnl<'_>) {
        if dev.has_hw_tc()
            && matches!(
                event,
                NetdevEvent::REGISTER | NetdevEvent::UP | NetdevEvent::FEAT_CHANGE
            )
        {
            offload().driver_may_have_come(rtnl);
        }
        if matches!(
            event,
            NetdevEvent::UP | NetdevEvent::DOWN | NetdevEvent::CHANGEADDR
        ) {
            if let Some(vport) = internal_dev::vport_of(dev, rtnl) {
                offload().internal_port_changed(&vport, rtnl);
            }
        }
        if !matches!(event, NetdevEvent::UNREGISTER | NetdevEvent::FEAT_CHANGE) {
            return;
        }
        let Some(vport) = ovs_netdev_get_vport(dev, rtnl) else {
            return;
        };
        if event == NetdevEvent::FEAT_CHANGE {
            vport.offload().ops().features_changed(&vport, rtnl);
            return;
        }
        ovs_netdev_detach_dev(dev, rtnl);
        drop(vport);

        let guard = kernel::sync::rcu::read_lock();
        let rcu = RcuRead::from(&guard);
        if let Some(ovs_net) = OVS_NET.load(dev.net(rcu)) {
            OvsNet::set_port_gone(&ovs_net, rtnl);
            DP_NOTIFY_WORK.queue();
        }
    }
}

/// While this lives, ports go when their devices do. Unregistering comes before
/// the work is waited for, and what that has left last, in the order of the
/// fields.
pub(crate) struct DpNotify {
    _notifier: NetdevNotifierRegistration<DpDeviceNotifier>,
    _work: StaticWorkGuard,
    _rest: PortsGone,
}

/// Deletes the ports that the work has not come to. Nobody listens any more.
///
/// Unregistering the notifier has untied all ports from their devices. Were they
/// left to [`OvsNetOps::exit`](crate::datapath::ovs_net::OvsNetOps), which comes
/// to one namespace after the other, then it could wait in the first one for a
/// reference to a device that a port of the second one has.
struct PortsGone;

impl Drop for PortsGone {
    fn drop(&mut self) {
        let lock = ovs_lock();
        for_each_port_gone(&lock, |vport| ovs_dp_detach_port(&lock, vport));
    }
}

impl DpNotify {
    /// Registers the notifier.
    pub(crate) fn register() -> Result<Self> {
        let work = DP_NOTIFY_WORK.enable()?;
        Ok(Self {
            _notifier: NetdevNotifierRegistration::new()?,
            _work: work,
            _rest: PortsGone,
        })
    }
}
