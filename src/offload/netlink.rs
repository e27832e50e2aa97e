// SPDX-License-Identifier: GPL-2.0

//! The generic netlink family `ovs_offload`: policy, state, reasons, counters.
//!
//! The families of the datapath stay as they are; this one is beside them. Its
//! specification is Documentation/netlink/specs/ovs_offload.yaml, and the
//! numbers here are those of the order there.

use core::sync::atomic::Ordering;

use kernel::{
    module::this_module,
    prelude::*,
    sync::rcu, //
};

use kernel_ext::{
    net::{
        genetlink::{
            Doit,
            Dump,
            Dumpit,
            Family,
            FamilyDef,
            GenlHdr,
            GenlInfo,
            MulticastGroup,
            SmallOp,
            NLM_F_MULTI, //
        },
        namespace::Net,
        netlink::{
            AttrWriter,
            MsgBuf,
            NlMsg,
            NlaPolicy,
            Nlattr, //
        },
    },
    sync::rcu::{
        RcuArc,
        RcuRead, //
    },
    time, //
};

use super::{
    block::block_of,
    engine::{
        sync_flows,
        ENGINE, //
    },
    policy::{
        self,
        Policy,
        Setting, //
    },
    reason::Reason,
    state::State, //
};
use crate::{
    datapath::{
        for_each_dp,
        get_dp,
        get_dp_rcu,
        state::{
            ovs_lock,
            OvsGuard, //
        },
        Datapath, //
    },
    flow::{
        SwFlow,
        SwFlowId, //
    },
    flow_netlink::ovs_nla_put_key,
    vport::Vport, //
};

/// `ovs-offload` commands.
mod cmd {
    pub(super) const GET: u32 = 1;
    pub(super) const SET: u32 = 2;
    pub(super) const DP_GET: u32 = 3;
    pub(super) const PORT_GET: u32 = 4;
    pub(super) const FLOW_GET: u32 = 5;
    pub(super) const FLOW_NTF: u32 = 6;
}

/// `ovs-offload` attributes.
mod attr {
    pub(super) const DP_IFINDEX: u32 = 1;
    pub(super) const PORT_NO: u32 = 2;
    pub(super) const UFID: u32 = 3;
    pub(super) const POLICY: u32 = 4;
    pub(super) const NAME: u32 = 5;
    pub(super) const STATE: u32 = 6;
    pub(super) const REASON: u32 = 7;
    pub(super) const ERRNO: u32 = 8;
    pub(super) const DRIVER: u32 = 9;
    pub(super) const PACKETS: u32 = 10;
    pub(super) const BYTES: u32 = 11;
    pub(super) const IDLE: u32 = 12;
    pub(super) const AGE: u32 = 13;
    pub(super) const KEY: u32 = 14;
    pub(super) const FLOWS: u32 = 15;
    pub(super) const RULES: u32 = 16;
    pub(super) const INSTALLED: u32 = 17;
    pub(super) const REFUSED: u32 = 18;
    pub(super) const FAILED: u32 = 19;
    pub(super) const REMOVED: u32 = 20;
    pub(super) const PAD: u32 = 21;
    pub(super) const BOUND: u32 = 22;
    pub(super) const MIN_PACKETS: u32 = 23;
    pub(super) const WAITING: u32 = 24;
    pub(super) const DISPLACED: u32 = 25;
    pub(super) const CAPACITY: u32 = 26;
    pub(super) const RETRY: u32 = 27;
    pub(super) const RATE: u32 = 28;
    pub(super) const MAX: u32 = RATE;
}

/// The group that hears of flows that move.
const MCGRP_FLOWS: u32 = 0;

static POLICY: [NlaPolicy; attr::MAX as usize + 1] = NlaPolicy::table(&[
    (attr::DP_IFINDEX, NlaPolicy::u32()),
    (attr::PORT_NO, NlaPolicy::u32()),
    (attr::UFID, NlaPolicy::binary(16)),
    (
        attr::POLICY,
        NlaPolicy::u32_range(Setting::Auto as i16, Setting::Always as i16),
    ),
    (attr::MIN_PACKETS, NlaPolicy::u32()),
]);

static OPS: [SmallOp; 5] = [
    SmallOp::strict(cmd::GET).doit::<Get>(),
    SmallOp::strict(cmd::SET).uns_admin_perm().doit::<Set>(),
    SmallOp::strict(cmd::DP_GET).dumpit::<DpGet>(),
    SmallOp::strict(cmd::PORT_GET).dumpit::<PortGet>(),
    SmallOp::strict(cmd::FLOW_GET).dumpit::<FlowGet>(),
];

static MCGRPS: [MulticastGroup; 1] = [MulticastGroup::new(b"flows\0")];

/// The family `ovs_offload`.
pub(crate) static OVS_OFFLOAD_GENL_FAMILY: Family = Family::new(FamilyDef {
    module: this_module::<crate::OvsModule>(),
    name: b"ovs_offload\0",
    version: 1,
    hdrsize: 0,
    policy: &POLICY,
    small_ops: &OPS,
    mcgrps: &MCGRPS,
    resv_start_op: 0,
    netnsok: true,
    parallel_ops: true,
});

fn u32_of(attr: Option<Nlattr<'_>>) -> Option<u32> {
    attr.and_then(|attr| attr.get_u32())
}

fn reply_hdr(info: &GenlInfo<'_>, cmd: u32, flags: u16) -> GenlHdr {
    GenlHdr {
        portid: info.snd_portid(),
        seq: info.snd_seq(),
        flags,
        cmd: cmd as u8,
    }
}

fn put_u64(w: &mut impl AttrWriter, attr: u32, value: u64) -> Result {
    w.put_u64_64bit(attr as u16, value, attr::PAD as u16)
}

fn put_text(w: &mut impl AttrWriter, attr: u32, text: &[u8]) -> Result {
    // With a NUL, as strings in netlink have; texts are short.
    let mut bytes = [0; 128];
    let len = text.len().min(bytes.len().saturating_sub(1));

    for (to, from) in bytes.iter_mut().zip(text.iter().take(len)) {
        *to = *from;
    }
    w.put(
        attr as u16,
        bytes.get(..len.saturating_add(1)).unwrap_or_default(),
    )
}

fn put_policy(w: &mut impl AttrWriter, policy: &Policy) -> Result {
    w.put_u32(attr::POLICY as u16, policy.get() as u32)
}

/// The switch for all flows, and totals.
struct Get;

impl Doit for Get {
    fn doit(info: &GenlInfo<'_>) -> Result {
        let mut msg = NlMsg::new(256, GFP_KERNEL)?;

        msg.genlmsg(
            &OVS_OFFLOAD_GENL_FAMILY,
            reply_hdr(info, cmd::GET, 0),
            &[],
            |w: &mut MsgBuf<'_>| {
                put_policy(w, &policy::GLOBAL)?;
                w.put_u32(
                    attr::MIN_PACKETS as u16,
                    policy::MIN_PACKETS.load(Ordering::Relaxed),
                )?;
                let Some(engine) = ENGINE.load() else {
                    return Ok(());
                };
                let totals = &engine.totals;
                put_u64(w, attr::RULES, engine.n_rules() as u64)?;
                put_u64(w, attr::WAITING, engine.n_waiting() as u64)?;
                for (attr, total) in [
                    (attr::INSTALLED, &totals.installed),
                    (attr::REFUSED, &totals.refused),
                    (attr::FAILED, &totals.failed),
                    (attr::REMOVED, &totals.removed),
                    (attr::DISPLACED, &totals.displaced),
                ] {
                    put_u64(w, attr, total.load(Ordering::Relaxed))?;
                }
                Ok(())
            },
        )?;
        info.reply(msg)
    }
}

/// Sets a switch: a flow's, a port's, a datapath's, or the one for all, which
/// only those who administer the first network namespace can. Of a datapath and
/// for all, also how many packets a flow needs to have had.
struct Set;

impl Doit for Set {
    fn doit(info: &GenlInfo<'_>) -> Result {
        let setting = u32_of(info.attr(attr::POLICY)).and_then(Setting::from_u32);
        let min_packets = u32_of(info.attr(attr::MIN_PACKETS));
        if setting.is_none() && min_packets.is_none() {
            return Err(EINVAL);
        }
        let Some(dp_ifindex) = u32_of(info.attr(attr::DP_IFINDEX)) else {
            return Self::for_all(info, setting, min_packets);
        };

        let lock = ovs_lock();
        let dp = get_dp(&lock, info.net(), dp_ifindex as i32).ok_or(ENODEV)?;
        let ufid = info.attr(attr::UFID);
        let port_no = u32_of(info.attr(attr::PORT_NO));

        if ufid.is_some() || port_no.is_some() {
            let (Some(setting), None) = (setting, min_packets) else {
                return Err(EINVAL);
            };
            return match ufid {
                Some(ufid) => Self::for_flow(lock, &dp, ufid, setting),
                None => Self::for_port(lock, &dp, port_no.unwrap_or(u32::MAX), setting),
            };
        }
        if let Some(packets) = min_packets {
            dp.offload.set_min_packets(packets);
        }
        if let Some(setting) = setting {
            dp.offload.policy.set(setting);
        }
        drop(lock);
        sync_flows(&dp, |_| true);
        Ok(())
    }
}

impl Set {
    fn for_all(info: &GenlInfo<'_>, setting: Option<Setting>, min_packets: Option<u32>) -> Result {
        if info.net() != Net::init() {
            return Err(EPERM);
        }
        if let Some(packets) = min_packets {
            // The largest stands for "as for all".
            if packets == u32::MAX {
                return Err(EINVAL);
            }
            policy::MIN_PACKETS.store(packets, Ordering::Relaxed);
        }
        if let Some(setting) = setting {
            policy::GLOBAL.set(setting);
        }
        sync_all(info.net());
        Ok(())
    }

    fn for_flow(
        lock: OvsGuard,
        dp: &RcuArc<Datapath>,
        ufid: Nlattr<'_>,
        setting: Setting,
    ) -> Result {
        let ufid = SwFlowId::ufid(ufid.payload()).ok_or(EINVAL)?;
        let flow = dp.table.lookup_id(&lock, &ufid).ok_or(ENOENT)?;

        flow.offload.set_policy(setting);
        super::sync_flow(dp, &flow);
        Ok(())
    }

    fn for_port(lock: OvsGuard, dp: &RcuArc<Datapath>, port_no: u32, setting: Setting) -> Result {
        let vport = dp.ports.load(port_no).ok_or(ENODEV)?;

        vport.offload().policy.set(setting);
        drop(vport);
        drop(lock);
        sync_flows(dp, |flow| u32::from(flow.key().in_port) == port_no);
        Ok(())
    }
}

/// Has the engine look at all flows of a namespace.
fn sync_all(net: &Net) {
    let mut dps = KVec::new();
    let lock = ovs_lock();

    for_each_dp(&lock, net, |dp| {
        // Without memory, the flows of the others stay where they are.
        dps.push(dp.clone(), GFP_KERNEL).is_ok()
    });
    drop(lock);
    for dp in &dps {
        sync_flows(dp, |_| true);
    }
}

/// The datapaths of the namespace.
struct DpGet;

impl Dumpit for DpGet {
    fn dumpit(dump: &mut Dump<'_>) -> Result {
        let info = dump.info();
        let hdr = reply_hdr(&info, cmd::DP_GET, NLM_F_MULTI);
        let skip = usize::try_from(dump.arg(0)).unwrap_or(usize::MAX);
        let mut done = 0_usize;

        let lock = ovs_lock();
        for_each_dp(&lock, info.net(), |dp| {
            if done >= skip && fill_dp(dp, dump.msg(), hdr).is_err() {
                return false;
            }
            done = done.saturating_add(1);
            true
        });
        drop(lock);

        dump.set_arg(0, done as isize);
        Ok(())
    }
}

fn fill_dp(dp: &Datapath, msg: &mut MsgBuf<'_>, hdr: GenlHdr) -> Result {
    let guard = rcu::read_lock();
    let rcu = RcuRead::from(&guard);

    msg.genlmsg(&OVS_OFFLOAD_GENL_FAMILY, hdr, &[], |w: &mut MsgBuf<'_>| {
        if let Some(local) = dp.local(rcu) {
            w.put_u32(attr::DP_IFINDEX as u16, local.dev().ifindex() as u32)?;
            w.put_str(attr::NAME as u16, local.name().as_cstr())?;
        }
        put_policy(w, &dp.offload.policy)?;
        w.put_u32(attr::MIN_PACKETS as u16, dp.offload.min_packets())?;
        put_u64(w, attr::FLOWS, dp.table.count().into())
    })
}

/// The ports of the datapaths of the namespace, or of one of them.
struct PortGet;

impl Dumpit for PortGet {
    fn dumpit(dump: &mut Dump<'_>) -> Result {
        let info = dump.info();
        let hdr = reply_hdr(&info, cmd::PORT_GET, NLM_F_MULTI);
        let dp_ifindex = u32_of(info.attr(attr::DP_IFINDEX)).ok_or(EINVAL)?;
        let mut from = u32::try_from(dump.arg(0)).unwrap_or(u32::MAX);

        let lock = ovs_lock();
        let dp = get_dp(&lock, info.net(), dp_ifindex as i32).ok_or(ENODEV)?;
        while let Some(vport) = dp.ports.next_load(from) {
            if fill_port(&vport, dp_ifindex, dump.msg(), hdr).is_err() {
                break;
            }
            from = u32::from(vport.port_no()).saturating_add(1);
        }
        drop(lock);

        dump.set_arg(0, from as isize);
        Ok(())
    }
}

fn fill_port(vport: &Vport, dp_ifindex: u32, msg: &mut MsgBuf<'_>, hdr: GenlHdr) -> Result {
    let block = block_of(vport).ok_or(EOPNOTSUPP)?;

    msg.genlmsg(&OVS_OFFLOAD_GENL_FAMILY, hdr, &[], |w: &mut MsgBuf<'_>| {
        w.put_u32(attr::DP_IFINDEX as u16, dp_ifindex)?;
        w.put_u32(attr::PORT_NO as u16, vport.port_no().into())?;
        w.put_str(attr::NAME as u16, vport.name().as_cstr())?;
        put_policy(w, &vport.offload().policy)?;
        let hw = block.get();
        w.put_u32(attr::BOUND as u16, hw.is_some().into())?;
        let Some(hw) = hw else {
            return put_text(w, attr::REASON, block.state().as_str().as_bytes());
        };
        if let Some(capacity) = hw.space.capacity() {
            put_u64(w, attr::CAPACITY, capacity as u64)?;
        }
        match hw.backoff.left(time::boot_msecs()) {
            None => put_text(w, attr::REASON, block.state().as_str().as_bytes()),
            Some((left, errno)) => {
                w.put_u32(attr::RETRY as u16, left.try_into().unwrap_or(u32::MAX))?;
                w.put_u32(attr::ERRNO as u16, errno)?;
                put_text(w, attr::REASON, Reason::DriverFailed.as_str().as_bytes())
            }
        }
    })
}

/// The flows of a datapath.
struct FlowGet;

impl Dumpit for FlowGet {
    fn dumpit(dump: &mut Dump<'_>) -> Result {
        let info = dump.info();
        let hdr = reply_hdr(&info, cmd::FLOW_GET, NLM_F_MULTI);
        let dp_ifindex = u32_of(info.attr(attr::DP_IFINDEX)).ok_or(EINVAL)?;
        let start = usize::try_from(dump.arg(0)).unwrap_or(usize::MAX);

        let guard = rcu::read_lock();
        let rcu = RcuRead::from(&guard);
        let dp = get_dp_rcu(rcu, info.net(), dp_ifindex as i32).ok_or(ENODEV)?;
        let msg = dump.msg();
        let next = dp.table.walk(start, rcu, |flow| {
            fill_flow(flow, dp_ifindex, msg, hdr).is_ok()
        });

        dump.set_arg(0, next.map_or(-1, |next| next as isize));
        Ok(())
    }
}

/// Bytes that a message about a flow takes at most.
const FLOW_SIZE: usize = 1024;

fn fill_flow(flow: &SwFlow, dp_ifindex: u32, msg: &mut MsgBuf<'_>, hdr: GenlHdr) -> Result {
    let status = flow.offload.status();
    let counts = flow.offload.counts();
    let key = flow.key();

    msg.genlmsg(&OVS_OFFLOAD_GENL_FAMILY, hdr, &[], |w: &mut MsgBuf<'_>| {
        w.put_u32(attr::DP_IFINDEX as u16, dp_ifindex)?;
        w.put_u32(attr::PORT_NO as u16, key.in_port.into())?;
        match flow.id() {
            SwFlowId::Ufid { .. } => {
                w.put(attr::UFID as u16, flow.id().as_ufid().unwrap_or_default())?;
            }
            SwFlowId::Key(key) => {
                ovs_nla_put_key(key.as_ref(), key.as_ref(), attr::KEY as u16, false, w)?
            }
        }
        w.put_u32(attr::STATE as u16, status.state as u32)?;
        if let Some(reason) = Reason::from_code(status.reason) {
            put_text(w, attr::REASON, reason.as_str().as_bytes())?;
        }
        if status.errno != 0 {
            w.put_u32(attr::ERRNO as u16, status.errno.into())?;
        }
        if let Some(text) = flow.offload.driver_text() {
            put_text(w, attr::DRIVER, &text)?;
        }
        put_u64(w, attr::PACKETS, counts.packets)?;
        put_u64(w, attr::BYTES, counts.bytes)?;
        if counts.used != 0 {
            let idle = time::jiffies().wrapping_sub(counts.used);

            w.put_u32(attr::IDLE as u16, time::jiffies_to_msecs(idle))?;
        }
        if let Some(rate) = flow.offload.rate.per_second() {
            w.put_u32(attr::RATE as u16, rate)?;
        }
        if status.state != State::Software {
            w.put_u32(attr::AGE as u16, flow.offload.age())?;
        }
        Ok(())
    })
}

/// Tells those who listen that a flow has moved. May sleep.
pub(super) fn flow_moved(dp: &RcuArc<Datapath>, flow: &SwFlow) {
    let net = Net::init();
    if !OVS_OFFLOAD_GENL_FAMILY.has_listeners(net, MCGRP_FLOWS) {
        return;
    }

    let dp_ifindex = {
        let guard = rcu::read_lock();

        dp.ifindex(RcuRead::from(&guard)) as u32
    };
    let hdr = GenlHdr {
        portid: 0,
        seq: 0,
        flags: 0,
        cmd: cmd::FLOW_NTF as u8,
    };
    let sent = NlMsg::new(FLOW_SIZE, GFP_KERNEL).and_then(|mut msg| {
        fill_flow(flow, dp_ifindex, &mut msg, hdr)?;
        Ok(msg)
    });
    match sent {
        Ok(msg) => {
            // An error is that nobody listens, or that one who does lost it,
            // which its socket says.
            let _ = OVS_OFFLOAD_GENL_FAMILY.multicast(net, msg, 0, MCGRP_FLOWS, GFP_KERNEL);
        }
        Err(err) => OVS_OFFLOAD_GENL_FAMILY.set_err(net, 0, MCGRP_FLOWS, err),
    }
}
