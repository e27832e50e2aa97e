// SPDX-License-Identifier: GPL-2.0

//! What there is in each network namespace: its datapaths, and their ports by
//! name.

use core::sync::atomic::{
    AtomicBool,
    Ordering, //
};

use kernel::{
    new_mutex,
    prelude::*,
    sync::Mutex, //
};

#[cfg(CONFIG_NETFILTER_CONNCOUNT)]
use kernel_ext::net::namespace::{
    PernetSlot,
    PreExit, //
};
use kernel_ext::{
    net::{
        namespace::{
            Exit,
            Net,
            Pernet,
            PernetOperations,
            PernetRegistration, //
        },
        netdevice::NetDevice,
        rtnetlink::Rtnl, //
    },
    rcu_table::RcuTable,
    sync::rcu::{
        RcuArc,
        RcuRead,
        RcuSlot, //
    },
};

use super::{
    state::{
        ovs_lock,
        OvsGuard, //
    },
    Datapath,
    OVSP_LOCAL, //
};
#[cfg(CONFIG_NETFILTER_CONNCOUNT)]
use crate::conntrack::limit::{
    ovs_ct_limit_exit_finish,
    ovs_ct_limit_exit_start,
    ovs_ct_limit_init,
    CtLimitInfo, //
};
use crate::{
    conntrack::{
        ovs_ct_exit,
        ovs_ct_init, //
    },
    offload_ops::offload,
    vport::{
        internal_dev::ovs_internal_dev_get_vport,
        ovs_vport_del,
        Vport, //
    },
};

/// What there is in a namespace.
///
/// C: `struct ovs_net`, and the part of `dev_table` that is of one namespace.
pub(crate) struct OvsNet {
    /// The ports of all datapaths, by name. Read under RCU, changed under
    /// `ovs_mutex`.
    pub(crate) ports: RcuTable<Vport>,
    /// The datapaths, in the order in which they were made. Changed under
    /// `ovs_mutex`.
    dps: Pin<KBox<Mutex<KVec<RcuArc<Datapath>>>>>,
    /// How many connections its zones may have.
    #[cfg(CONFIG_NETFILTER_CONNCOUNT)]
    pub(crate) ct_limit_info: PernetSlot<CtLimitInfo>,
    /// Labels of connections can be matched on and set.
    pub(crate) xt_label: AtomicBool,
    /// A device of one of the ports is gone, and the port is still there.
    port_gone: AtomicBool,
    /// The next of the namespaces of which this is true.
    next_gone: RcuSlot<OvsNet>,
}

/// The first of the namespaces in which a port has lost its device. One that is
/// being torn down is not in the kernel's list of namespaces any more, and the
/// device may be waited for before [`OvsNetOps::exit`] is called.
static PORTS_GONE: RcuSlot<OvsNet> = RcuSlot::empty();

/// What is kept for each namespace.
pub(crate) static OVS_NET: Pernet<OvsNetOps> = Pernet::new();

/// What is done when namespaces come and go.
///
/// C: `ovs_net_ops`.
pub(crate) struct OvsNetOps;

#[vtable]
impl PernetOperations for OvsNetOps {
    type Data = OvsNet;

    fn pernet() -> &'static Pernet<Self> {
        &OVS_NET
    }

    /// C: `ovs_init_net()`.
    fn init(net: &Net) -> Result<RcuArc<OvsNet>> {
        let ovs_net = RcuArc::new(
            OvsNet {
                ports: RcuTable::new(0)?,
                dps: KBox::pin_init(new_mutex!(KVec::new(), "OvsNet::dps"), GFP_KERNEL)?,
                #[cfg(CONFIG_NETFILTER_CONNCOUNT)]
                ct_limit_info: ovs_ct_limit_init(net)?,
                xt_label: AtomicBool::new(false),
                port_gone: AtomicBool::new(false),
                next_gone: RcuSlot::empty(),
            },
            GFP_KERNEL,
        )?;
        ovs_ct_init(net, &ovs_net);
        Ok(ovs_net)
    }

    /// C: `ovs_pre_exit_net()` and `ovs_ct_exit_start()`.
    #[cfg(CONFIG_NETFILTER_CONNCOUNT)]
    fn pre_exit(net: &PreExit<'_>, ovs_net: &OvsNet) {
        ovs_ct_limit_exit_start(net, &ovs_net.ct_limit_info, &ovs_lock());
    }

    /// C: `ovs_exit_net()`.
    ///
    /// Devices that go with this one's may be ports of other namespaces'
    /// datapaths: they are waited for when the lock is released, so that
    /// `dp_notify.rs` can delete those.
    fn exit(net: &Exit<'_>, ovs_net: &OvsNet) {
        let lock = ovs_lock();
        #[cfg(CONFIG_NETFILTER_CONNCOUNT)]
        ovs_ct_limit_exit_finish(net, &ovs_net.ct_limit_info, &lock);
        while let Some(dp) = ovs_net.dp(&lock, 0) {
            dp_destroy(&lock, &dp);
        }
        // Internal ports of other namespaces' datapaths may have been moved
        // here. Nobody would tell their datapaths.
        while let Some(vport) = Net::find_map(|other| {
            OVS_NET
                .load(other)?
                .find_port(&lock, |vport| vport.is_internal() && vport.dev().is_in(net))
        }) {
            ovs_dp_detach_port(&lock, vport);
        }
        ovs_ct_exit(net, ovs_net);
    }
}

/// Registers the operations; see [`PernetRegistration`].
pub(crate) fn register() -> Result<PernetRegistration<OvsNetOps>> {
    OVS_NET.register()
}

impl OvsNet {
    /// The datapath at this place.
    pub(crate) fn dp(&self, _lock: &OvsGuard, index: usize) -> Option<RcuArc<Datapath>> {
        self.dps.lock().get(index).cloned()
    }

    /// The first port that `f` accepts.
    ///
    /// C: `list_vports_from_net()`, which finds them all.
    fn find_port(&self, lock: &OvsGuard, f: impl Fn(&Vport) -> bool) -> Option<RcuArc<Vport>> {
        let mut index = 0usize;
        while let Some(dp) = self.dp(lock, index) {
            let found = ports_of(&dp).find(|vport| f(vport));
            if found.is_some() {
                return found;
            }
            index = index.wrapping_add(1);
        }
        None
    }

    /// Notes that a port of this namespace has lost its device.
    pub(crate) fn set_port_gone(this: &RcuArc<Self>, _rtnl: Rtnl<'_>) {
        if this.port_gone.swap(true, Ordering::AcqRel) {
            return;
        }
        // The rtnl lock makes this the only one who adds. That the list is
        // taken meanwhile does no harm: what was in it is then looked at twice.
        this.next_gone.replace(PORTS_GONE.load());
        PORTS_GONE.replace(Some(this.clone()));
    }

    /// Calls `f` with each datapath, for as long as it gives `true`.
    pub(crate) fn for_each_dp(
        &self,
        lock: &OvsGuard,
        mut f: impl FnMut(&RcuArc<Datapath>) -> bool,
    ) {
        let mut index = 0usize;
        while let Some(dp) = self.dp(lock, index) {
            if !f(&dp) {
                break;
            }
            index = index.wrapping_add(1);
        }
    }
}

/// Calls `f` with the namespaces in which a port has lost its device since this
/// was called last; with some of them more than once.
pub(crate) fn take_ports_gone(mut f: impl FnMut(&OvsNet)) {
    let mut next = PORTS_GONE.replace(None);
    while let Some(ovs_net) = next {
        // In this order: once the flag is cleared, it may be added again.
        next = ovs_net.next_gone.replace(None);
        ovs_net.port_gone.swap(false, Ordering::AcqRel);
        f(&ovs_net);
    }
}

/// The ports of a datapath, by number. They may go while this goes on.
pub(crate) fn ports_of(dp: &Datapath) -> impl Iterator<Item = RcuArc<Vport>> + '_ {
    let mut from = 0u32;
    core::iter::from_fn(move || {
        let vport = dp.ports.next_load(from)?;
        from = u32::from(vport.port_no()).wrapping_add(1);
        Some(vport)
    })
}

/// The hash of a port's name.
///
/// C: `hash_bucket()` of `vport.c`.
pub(crate) fn name_hash(name: &[u8]) -> u64 {
    // FNV-1a, and a finish that spreads it over all bits.
    let hash = name.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let hash = (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    hash ^ (hash >> 29)
}

/// Adds a datapath to its namespace's. If there is no memory, the datapath is
/// destroyed.
pub(crate) fn dp_list_add(lock: &OvsGuard, dp: RcuArc<Datapath>) -> Result {
    let ovs_net = OVS_NET.load_of(dp.net()).ok_or(ENODEV)?;
    let added = ovs_net.dps.lock().push(dp.clone(), GFP_KERNEL);
    if added.is_err() {
        dp_destroy(lock, &dp);
    }
    Ok(added?)
}

/// Calls `f` with each datapath of a namespace for as long as it gives `true`.
pub(crate) fn for_each_dp(lock: &OvsGuard, net: &Net, f: impl FnMut(&RcuArc<Datapath>) -> bool) {
    if let Some(ovs_net) = OVS_NET.load(net) {
        ovs_net.for_each_dp(lock, f);
    }
}

/// Takes a datapath out of its namespace, with its ports and flows. It may
/// sleep.
///
/// C: `__dp_destroy()`.
pub(crate) fn dp_destroy(lock: &OvsGuard, dp: &RcuArc<Datapath>) {
    offload().flows_flushed(lock, dp);
    // The local port is the master of the others' devices: it goes last.
    for vport in ports_of(dp) {
        if u32::from(vport.port_no()) != OVSP_LOCAL {
            ovs_dp_detach_port(lock, vport);
        }
    }
    if let Some(ovs_net) = OVS_NET.load_of(dp.net()) {
        let mut dps = ovs_net.dps.lock();
        if let Some(index) = dps.iter().position(|other| RcuArc::ptr_eq(other, dp)) {
            let _ = dps.remove(index);
        }
    }
    if let Some(local) = dp.ports.load(OVSP_LOCAL) {
        ovs_dp_detach_port(lock, local);
    }
    // Now, and not when the last reference goes: that is in softirq.
    dp.table.flush(lock);
    dp.set_user_features(lock, 0);
}

/// Takes a port out of its datapath and deletes it. It may sleep.
///
/// See [`ovs_vport_del`] about references.
///
/// C: `ovs_dp_detach_port()`.
pub(crate) fn ovs_dp_detach_port(lock: &OvsGuard, vport: RcuArc<Vport>) {
    // First no packet must find it any more.
    vport.dp().ports.remove(lock, vport.port_no());
    offload().port_removed(lock, &vport);
    ovs_vport_del(lock, vport);
}

/// The datapath that has an internal port with this interface index: userspace
/// gives the local port's.
///
/// C: `get_dp_rcu()`.
pub(crate) fn get_dp_rcu<'g>(
    rcu: RcuRead<'g>,
    net: &Net,
    dp_ifindex: i32,
) -> Option<&'g RcuArc<Datapath>> {
    let dev = NetDevice::get_by_index(net, dp_ifindex, rcu)?;
    Some(ovs_internal_dev_get_vport(dev, rcu)?.dp())
}

/// As [`get_dp_rcu`], with a reference of its own.
///
/// C: `get_dp()`.
pub(crate) fn get_dp(_lock: &OvsGuard, net: &Net, dp_ifindex: i32) -> Option<RcuArc<Datapath>> {
    let guard = kernel::sync::rcu::read_lock();
    get_dp_rcu(RcuRead::from(&guard), net, dp_ifindex).cloned()
}
