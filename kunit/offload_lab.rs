// SPDX-License-Identifier: GPL-2.0

//! A datapath for the suites of the offload engine, whose ports have the
//! recording driver behind them.

use core::ops::Deref;

use kernel::{
    prelude::*,
    time::{
        delay::fsleep,
        Delta, //
    },
};

use kernel_ext::{
    kunit_flow_offload_driver::{
        self as driver,
        Device, //
    },
    net::{
        namespace::Net,
        netlink::{
            AttrBuf,
            AttrWriter,
            Nlattr, //
        },
    },
    sync::{
        bh::BhGuard,
        rcu::RcuArc,
        rcu_cell::RcuBox, //
    },
    time::boot_msecs,
    uapi, //
};

use crate::{
    datapath::{
        dp_destroy,
        dp_list_add,
        ovs_dp_detach_port,
        ovs_net::OVS_NET,
        state::ovs_lock,
        Datapath,
        OVSP_LOCAL, //
    },
    flow::{
        total_stats,
        SwFlow,
        SwFlowId, //
    },
    flow_netlink::{
        ovs_nla_copy_actions,
        ovs_nla_get_match,
        uapi::*, //
    },
    kunit_offload_flow::{
        attr,
        eth,
        mask_ipv4,
        nest,
        output,
        MACS, //
    },
    offload::{
        self,
        engine::{
            sync_flows,
            ENGINE, //
        },
        policy::Setting,
        reason::Reason,
        state::State, //
    },
    offload_ops::offload,
    vport::{
        ovs_vport_add,
        VportParms, //
    },
};

/// Bytes of a packet.
pub(crate) const LEN: u64 = 100;

/// The attribute that is in a buffer.
pub(crate) fn first(buf: &AttrBuf) -> Result<Nlattr<'_>> {
    buf.first().ok_or(EINVAL)
}

/// Sleeps for `ms` milliseconds.
pub(crate) fn sleep(ms: u32) {
    fsleep(Delta::from_millis(ms.into()));
}

/// Waits until something is so, for `ms` milliseconds at most.
pub(crate) fn until(ms: u32, mut f: impl FnMut() -> bool) -> bool {
    let end = boot_msecs() + u64::from(ms);
    while !f() {
        if boot_msecs() > end {
            return false;
        }
        sleep(20);
    }
    true
}

/// The flows of a datapath.
#[derive(Clone)]
pub(crate) struct Flows {
    /// The datapath.
    pub(crate) dp: RcuArc<Datapath>,
}

impl Flows {
    /// A flow for packets from `src`, from port 1 to port 2.
    pub(crate) fn add(&self, src: u32) -> Result<RcuArc<SwFlow>> {
        self.add_in(src, 0, |w| output(w, 2))
    }

    /// A flow for packets from `src` and from port 1 with a recirculation
    /// id.
    pub(crate) fn add_in(
        &self,
        src: u32,
        recirc_id: u32,
        actions: impl FnOnce(&mut AttrBuf) -> Result,
    ) -> Result<RcuArc<SwFlow>> {
        self.add_flow(src, recirc_id, 1, None, actions)
    }

    /// A flow for packets from `src` that come out of the tunnel with these of
    /// the flags `OVS_TUNNEL_KEY_ATTR_DONT_FRAGMENT` and
    /// `OVS_TUNNEL_KEY_ATTR_CSUM`, and not with the other ones.
    pub(crate) fn add_tunnel(
        &self,
        src: u32,
        flags: &[u16],
        actions: impl FnOnce(&mut AttrBuf) -> Result,
    ) -> Result<RcuArc<SwFlow>> {
        let id = flags.iter().map(|&flag| u32::from(flag)).sum();
        self.add_flow(src, id, 3, Some(flags), actions)
    }

    /// `id` is the recirculation id of packets that came through no tunnel.
    fn add_flow(
        &self,
        src: u32,
        id: u32,
        in_port: u32,
        flags: Option<&[u16]>,
        actions: impl FnOnce(&mut AttrBuf) -> Result,
    ) -> Result<RcuArc<SwFlow>> {
        let key = attr(|w| {
            w.put_u32(OVS_KEY_ATTR_RECIRC_ID, flags.map_or(id, |_| 0))?;
            if let Some(flags) = flags {
                nest(w, OVS_KEY_ATTR_TUNNEL, |w| {
                    w.put(OVS_TUNNEL_KEY_ATTR_ID, &[0, 0, 0, 0, 0, 0, 0, 7])?;
                    w.put(OVS_TUNNEL_KEY_ATTR_IPV4_SRC, &[10, 0, 0, 1])?;
                    w.put(OVS_TUNNEL_KEY_ATTR_IPV4_DST, &[10, 0, 0, 2])?;
                    w.put_u8(OVS_TUNNEL_KEY_ATTR_TTL, 64)?;
                    flags.iter().try_for_each(|&flag| w.put_flag(flag))
                })?;
            }
            w.put_u32(OVS_KEY_ATTR_IN_PORT, in_port)?;
            w.put(OVS_KEY_ATTR_ETHERNET, &MACS)?;
            eth(w, ETH_P_IP)?;
            let mut ip = [0; 12];
            ip[..4].copy_from_slice(&src.to_be_bytes());
            w.put(OVS_KEY_ATTR_IPV4, &ip)
        })?;
        let mask = attr(|w| {
            let src = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0];
            if flags.is_none() {
                return mask_ipv4(w, &src);
            }
            nest(w, OVS_KEY_ATTR_TUNNEL, |w| {
                w.put(OVS_TUNNEL_KEY_ATTR_ID, &[0xff; 8])?;
                w.put(OVS_TUNNEL_KEY_ATTR_IPV4_SRC, &[0xff; 4])?;
                w.put(OVS_TUNNEL_KEY_ATTR_IPV4_DST, &[0xff; 4])?;
                w.put_flag(OVS_TUNNEL_KEY_ATTR_DONT_FRAGMENT)?;
                w.put_flag(OVS_TUNNEL_KEY_ATTR_CSUM)
            })?;
            w.put_u32(OVS_KEY_ATTR_RECIRC_ID, u32::MAX)?;
            w.put_u32(OVS_KEY_ATTR_IN_PORT, u32::MAX)?;
            eth(w, 0xffff)?;
            w.put(OVS_KEY_ATTR_IPV4, &src)
        })?;
        let actions = attr(actions)?;
        let m = ovs_nla_get_match(Net::init(), first(&key)?, Some(first(&mask)?), true)?;
        let acts = ovs_nla_copy_actions(Net::init(), first(&actions)?, &m.key, true)?;
        let id = u64::from(src) << 32 | u64::from(in_port) << 24 | u64::from(id);
        let id = SwFlowId::ufid(&id.to_ne_bytes()).ok_or(EINVAL)?;

        let lock = ovs_lock();
        let acts = RcuBox::new(acts, GFP_KERNEL)?;
        let flow = self.dp.table.insert(&lock, &m.key, &m.mask, id, acts)?;
        offload().flow_inserted(&lock, &self.dp, &flow);
        Ok(flow)
    }

    /// A flow goes, and its rule has gone when this returns.
    pub(crate) fn delete(&self, flow: &RcuArc<SwFlow>) {
        let lock = ovs_lock();
        let taken = self.dp.table.take_id(&lock, flow.id());
        offload().flow_removed(&lock, &self.dp, flow);
        drop(offload().settle(lock, flow));
        drop(taken);
    }

    /// All flows go, and their rules have gone when this returns.
    pub(crate) fn flush(&self) {
        let lock = ovs_lock();
        offload().flows_flushed(&lock, &self.dp);
        self.dp.table.flush(&lock);
        drop(lock);
        offload().wait_flushed(&self.dp);
    }

    /// A flow gets the actions that it has once more.
    pub(crate) fn change(&self, flow: &RcuArc<SwFlow>) {
        let lock = ovs_lock();
        offload().flow_changed(&lock, &self.dp, flow);
        drop(offload().settle(lock, flow));
    }

    /// A flow gets other actions.
    pub(crate) fn set_actions(
        &self,
        flow: &RcuArc<SwFlow>,
        actions: impl FnOnce(&mut AttrBuf) -> Result,
    ) -> Result {
        let actions = attr(actions)?;
        let acts = ovs_nla_copy_actions(Net::init(), first(&actions)?, &flow.key(), true)?;
        let acts = RcuBox::new(acts, GFP_KERNEL)?;
        let lock = ovs_lock();
        flow.set_actions(acts);
        offload().flow_changed(&lock, &self.dp, flow);
        drop(offload().settle(lock, flow));
        Ok(())
    }

    /// The policy for all flows of the datapath.
    pub(crate) fn set_policy(&self, setting: Setting) {
        self.dp.offload.policy.set(setting);
        sync_flows(&self.dp, |_| true);
    }
}

/// A datapath with two ports that have hardware behind them, and perhaps a
/// tunnel's.
pub(crate) struct Lab {
    /// The datapath's flows.
    pub(crate) flows: Flows,
    /// The devices of ports 1 and 2, and of a tunnel, which is port 3.
    pub(crate) devices: [Option<Device>; 3],
}

impl Lab {
    /// A datapath with two ports.
    pub(crate) fn new() -> Result<Self> {
        driver::reset();
        Self::named(kernel::c_str!("ktd-br"), None)
    }

    /// With a tunnel's port, which has hardware behind it if the driver offers
    /// itself for such ports.
    pub(crate) fn with_tunnel() -> Result<Self> {
        driver::reset();
        Self::named(kernel::c_str!("ktd-br"), Some(Device::tunnel()?))
    }

    /// Another datapath.
    pub(crate) fn new_beside(_lab: &Self) -> Result<Self> {
        Self::named(kernel::c_str!("ktd-br2"), None)
    }

    fn named(name: &kernel::str::CStr, tunnel: Option<Device>) -> Result<Self> {
        let lab = Lab {
            flows: Flows {
                dp: RcuArc::init(
                    Datapath::init(OVS_NET.handle(Net::init()).ok_or(ENODEV)?),
                    GFP_KERNEL,
                )?,
            },
            devices: [Some(Device::new()?), Some(Device::new()?), tunnel],
        };
        lab.add_port(
            name,
            uapi::ovs_vport_type_OVS_VPORT_TYPE_INTERNAL,
            OVSP_LOCAL as u16,
        )?;
        for no in 1..=lab.devices.iter().flatten().count() {
            lab.plug(no)?;
        }
        dp_list_add(&ovs_lock(), lab.dp.clone())?;
        // That ports are bound has the engine look at their flows: before there
        // are any.
        sleep(20);
        Ok(lab)
    }

    /// Makes the port of a device, of which the first has the number 1.
    pub(crate) fn plug(&self, port_no: usize) -> Result {
        let device = self.devices.get(port_no - 1).ok_or(EINVAL)?.as_ref();
        let name = device.and_then(Device::name).ok_or(ENODEV)?;
        self.add_port(
            name.as_cstr(),
            uapi::ovs_vport_type_OVS_VPORT_TYPE_NETDEV,
            port_no as u16,
        )
    }

    /// Deletes the port of a device, if it is there.
    pub(crate) fn unplug(&self, port_no: u32) {
        let lock = ovs_lock();
        if let Some(port) = self.dp.ports.load(port_no) {
            ovs_dp_detach_port(&lock, port);
        }
    }

    /// Makes a port.
    fn add_port(&self, name: &kernel::str::CStr, vport_type: u32, port_no: u16) -> Result {
        let mut ids = AttrBuf::new();
        ids.put_u32(1, 0)?;
        let lock = ovs_lock();
        let vport = ovs_vport_add(
            &lock,
            &VportParms {
                name,
                vport_type,
                dp: &self.dp,
                port_no,
                upcall_portids: first(&ids)?,
                desired_ifindex: 0,
            },
        )?;
        self.dp.ports.add(&lock, port_no, vport)?;
        offload().port_added(&lock, &self.dp);
        Ok(())
    }
}

impl Deref for Lab {
    type Target = Flows;

    fn deref(&self) -> &Flows {
        &self.flows
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let lock = ovs_lock();
        dp_destroy(&lock, &self.dp);
        drop(lock);
        // So that nothing that was learned of the driver stays.
        until(5000, || {
            ENGINE
                .load()
                .is_none_or(|engine| engine.n_rules() + engine.n_waiting() == 0)
        });
        for device in &mut self.devices {
            drop(device.take());
        }
        driver::reset();
    }
}

/// Packets of a flow come in, in hardware or in software.
pub(crate) fn receive(flow: &SwFlow, src: u32, packets: u64) {
    if !driver::receive(src, packets) {
        let guard = BhGuard::new();
        for _ in 0..packets {
            flow.stats().update(guard.proof(), LEN, 0);
        }
    }
}

/// Where a flow runs.
pub(crate) fn state(flow: &SwFlow) -> State {
    flow.offload.status().state
}

/// Why it runs there.
pub(crate) fn reason(flow: &SwFlow) -> Option<Reason> {
    Reason::from_code(flow.offload.status().reason)
}

/// Whether it runs in hardware.
pub(crate) fn in_hw(flow: &SwFlow) -> bool {
    state(flow) == State::InHw
}

/// The flow's counters come to say so many packets.
pub(crate) fn counts(flow: &SwFlow, packets: u64) -> bool {
    let right = until(3000, || total_stats(flow).packets == packets);
    if !right {
        pr_err!("{} packets, not {}\n", total_stats(flow).packets, packets);
    }
    right && total_stats(flow).bytes == packets * LEN
}
