// SPDX-License-Identifier: GPL-2.0

//! The commands of `ovs_vport`.

use kernel::{
    alloc::flags::GFP_ATOMIC,
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
            GenlHdr,
            GenlInfo,
            MulticastGroup,
            SmallOp,
            NLM_F_MULTI, //
        },
        namespace::Net,
        netdevice::IFNAMSIZ,
        netlink::{
            nla_total_size,
            nla_total_size_64bit,
            AttrWriter,
            MsgBuf,
            NlMsg,
            NlaPolicy, //
        },
    },
    percpu::nr_cpu_ids,
    sync::rcu::{
        RcuArc,
        RcuRead, //
    },
    uapi, //
};

use super::{
    genl::{
        self,
        name_of,
        ovs_notify,
        reply_hdr,
        OVS_HEADER_LEN, //
    },
    get_dp,
    get_dp_rcu,
    ovs_dp_detach_port,
    state::{
        ovs_lock,
        OvsGuard, //
    },
    Datapath,
    OVSP_LOCAL, //
};
use crate::{
    flow_netlink::uapi::DP_MAX_PORTS,
    offload_ops::offload,
    vport::{
        ovs_vport_add,
        ovs_vport_locate,
        Vport,
        VportParms, //
    },
};

const PORT_NO: u32 = uapi::ovs_vport_attr_OVS_VPORT_ATTR_PORT_NO;
const TYPE: u32 = uapi::ovs_vport_attr_OVS_VPORT_ATTR_TYPE;
const NAME: u32 = uapi::ovs_vport_attr_OVS_VPORT_ATTR_NAME;
const OPTIONS: u32 = uapi::ovs_vport_attr_OVS_VPORT_ATTR_OPTIONS;
const UPCALL_PID: u32 = uapi::ovs_vport_attr_OVS_VPORT_ATTR_UPCALL_PID;
const STATS: u32 = uapi::ovs_vport_attr_OVS_VPORT_ATTR_STATS;
const PAD: u32 = uapi::ovs_vport_attr_OVS_VPORT_ATTR_PAD;
const IFINDEX: u32 = uapi::ovs_vport_attr_OVS_VPORT_ATTR_IFINDEX;
const NETNSID: u32 = uapi::ovs_vport_attr_OVS_VPORT_ATTR_NETNSID;
const UPCALL_STATS: u32 = uapi::ovs_vport_attr_OVS_VPORT_ATTR_UPCALL_STATS;
const N_ATTRS: usize = uapi::ovs_vport_attr___OVS_VPORT_ATTR_MAX as usize;

/// The length of `OVS_VPORT_ATTR_STATS`.
const STATS_LEN: usize = size_of::<uapi::ovs_vport_stats>();

const CMD_NEW: u32 = uapi::ovs_vport_cmd_OVS_VPORT_CMD_NEW;
const CMD_DEL: u32 = uapi::ovs_vport_cmd_OVS_VPORT_CMD_DEL;
const CMD_GET: u32 = uapi::ovs_vport_cmd_OVS_VPORT_CMD_GET;
const CMD_SET: u32 = uapi::ovs_vport_cmd_OVS_VPORT_CMD_SET;

static VPORT_POLICY: [NlaPolicy; N_ATTRS] = NlaPolicy::table(&[
    (NAME, NlaPolicy::nul_string(IFNAMSIZ as u16 - 1)),
    (STATS, NlaPolicy::unspec(STATS_LEN as u16)),
    (PORT_NO, NlaPolicy::u32()),
    (TYPE, NlaPolicy::u32()),
    (UPCALL_PID, NlaPolicy::unspec(0)),
    (OPTIONS, NlaPolicy::nested()),
    (IFINDEX, NlaPolicy::s32_min(0)),
    (NETNSID, NlaPolicy::s32()),
    (UPCALL_STATS, NlaPolicy::nested()),
]);

static DP_VPORT_GENL_OPS: [SmallOp; 4] =
    genl::ops::<VportNew, VportDel, VportGet, VportSet>([CMD_NEW, CMD_DEL, CMD_GET, CMD_SET]);

static OVS_DP_VPORT_MULTICAST_GROUP: [MulticastGroup; 1] =
    [MulticastGroup::new(uapi::OVS_VPORT_MCGROUP)];

/// The family `ovs_vport`.
pub(crate) static DP_VPORT_GENL_FAMILY: Family = genl::family(
    uapi::OVS_VPORT_FAMILY,
    uapi::OVS_VPORT_VERSION,
    &VPORT_POLICY,
    &DP_VPORT_GENL_OPS,
    &OVS_DP_VPORT_MULTICAST_GROUP,
    CMD_SET,
);

/// Puts a message about a port, or nothing. `net` is the namespace of whoever
/// reads it.
///
/// C: `ovs_vport_cmd_fill_info()`.
///
/// # Errors
///
/// `EMSGSIZE` if it does not fit.
fn ovs_vport_cmd_fill_info(
    vport: &Vport,
    msg: &mut MsgBuf<'_>,
    net: &Net,
    hdr: GenlHdr,
    rcu: RcuRead<'_>,
) -> Result {
    let dp_ifindex = vport.dp().ifindex(rcu);

    msg.genlmsg(
        &DP_VPORT_GENL_FAMILY,
        hdr,
        &dp_ifindex.to_ne_bytes(),
        |w: &mut MsgBuf<'_>| {
            w.put_u32(PORT_NO as u16, vport.port_no().into())?;
            w.put_u32(TYPE as u16, vport.vport_type())?;
            w.put_str(NAME as u16, vport.name().as_cstr())?;
            w.put_u32(IFINDEX as u16, vport.dev().ifindex() as u32)?;

            let net_vport = vport.dev().net(rcu);
            if net_vport != net {
                let id = net.peernet2id_alloc(net_vport, GFP_ATOMIC);

                w.put_u32(NETNSID as u16, id as u32)?;
            }

            w.put_64bit(STATS as u16, &stats_bytes(vport), PAD as u16)?;
            vport.get_upcall_stats(w)?;
            vport.get_upcall_portids(w, rcu)
        },
    )
}

/// `struct ovs_vport_stats` as bytes.
fn stats_bytes(vport: &Vport) -> [u8; STATS_LEN] {
    let stats = vport.get_stats();
    let fields = [
        stats.rx_packets,
        stats.tx_packets,
        stats.rx_bytes,
        stats.tx_bytes,
        stats.rx_errors,
        stats.tx_errors,
        stats.rx_dropped,
        stats.tx_dropped,
    ];
    let mut bytes = [0; STATS_LEN];

    for (to, field) in bytes.chunks_exact_mut(8).zip(fields) {
        to.copy_from_slice(&field.to_ne_bytes());
    }
    bytes
}

/// A buffer for a message about a port.
///
/// C: `ovs_vport_cmd_alloc_info()` and `ovs_vport_cmd_msg_size()`.
fn ovs_vport_cmd_alloc_info() -> Result<NlMsg> {
    let u32_size = nla_total_size(size_of::<u32>());
    let u64_size = nla_total_size_64bit(size_of::<u64>());
    let portids_len = size_of::<u32>().saturating_mul(nr_cpu_ids() as usize);

    NlMsg::new(
        OVS_HEADER_LEN
            + u32_size // OVS_VPORT_ATTR_PORT_NO
            + u32_size // OVS_VPORT_ATTR_TYPE
            + nla_total_size(IFNAMSIZ) // OVS_VPORT_ATTR_NAME
            + u32_size // OVS_VPORT_ATTR_IFINDEX
            + u32_size // OVS_VPORT_ATTR_NETNSID
            + nla_total_size_64bit(STATS_LEN) // OVS_VPORT_ATTR_STATS
            + nla_total_size(u64_size + u64_size) // OVS_VPORT_ATTR_UPCALL_STATS
            + nla_total_size(portids_len), // OVS_VPORT_ATTR_UPCALL_PID
        GFP_KERNEL,
    )
}

/// Fills a buffer of [`ovs_vport_cmd_alloc_info`].
fn fill(vport: &Vport, mut msg: NlMsg, net: &Net, hdr: GenlHdr) -> Result<NlMsg> {
    let guard = rcu::read_lock();

    ovs_vport_cmd_fill_info(vport, &mut msg, net, hdr, RcuRead::from(&guard))?;
    Ok(msg)
}

/// A notification about a port that nobody requested, with the command `cmd`.
///
/// C: `ovs_vport_cmd_build_info()`.
///
/// # Errors
///
/// `ENOMEM`.
pub(crate) fn ovs_vport_cmd_build_info(
    _lock: &OvsGuard,
    vport: &Vport,
    net: &Net,
    cmd: u32,
) -> Result<NlMsg> {
    let hdr = GenlHdr {
        portid: 0,
        seq: 0,
        flags: 0,
        cmd: cmd as u8,
    };

    fill(vport, ovs_vport_cmd_alloc_info()?, net, hdr)
}

/// The port that a request is about.
///
/// C: `lookup_vport()`.
fn lookup_vport(info: &GenlInfo<'_>) -> Result<RcuArc<Vport>> {
    let net = info.net();
    let dp_ifindex = genl::dp_ifindex(info);
    let guard = rcu::read_lock();
    let rcu = RcuRead::from(&guard);

    if info.attr(IFINDEX).is_some() {
        return Err(EOPNOTSUPP);
    }
    if let Some(name) = info.attr(NAME) {
        let vport = ovs_vport_locate(net, name_of(name)?).ok_or(ENODEV)?;

        if dp_ifindex != 0 && dp_ifindex != vport.dp().ifindex(rcu) {
            return Err(ENODEV);
        }
        Ok(vport)
    } else if let Some(port_no) = info.attr(PORT_NO) {
        let port_no = port_no.get_u32().ok_or(EINVAL)?;

        if port_no >= u32::from(DP_MAX_PORTS) {
            return Err(EFBIG);
        }
        let dp = get_dp_rcu(rcu, net, dp_ifindex).ok_or(ENODEV)?;

        dp.ports.load(port_no).ok_or(ENODEV)
    } else {
        Err(EINVAL)
    }
}

/// The largest headroom that the datapath's ports ask for.
///
/// C: `ovs_get_max_headroom()`.
fn ovs_get_max_headroom(dp: &Datapath) -> u32 {
    let mut max = 0;

    for_each_port(dp, |port| max = port.dev().fwd_headroom().max(max));
    max
}

/// Tells all ports how much headroom is asked for.
///
/// C: `ovs_update_headroom()`.
fn ovs_update_headroom(_lock: &OvsGuard, dp: &Datapath, headroom: u32) {
    dp.set_max_headroom(headroom);
    for_each_port(dp, |port| port.dev().set_rx_headroom(headroom as i32));
}

fn for_each_port(dp: &Datapath, mut f: impl FnMut(&Vport)) {
    let guard = rcu::read_lock();
    let rcu = RcuRead::from(&guard);
    let mut from = 0;

    while let Some(port) = dp.ports.next(from, rcu) {
        f(port);
        from = u32::from(port.port_no()).wrapping_add(1);
    }
}

/// `OVS_VPORT_CMD_NEW`.
struct VportNew;

impl VportNew {
    /// A free number for a port: the one that was asked for, if it is not 0, or
    /// the lowest.
    fn port_no(dp: &Datapath, wanted: u32) -> Result<u16> {
        let guard = rcu::read_lock();
        let rcu = RcuRead::from(&guard);

        let port_no = if wanted != 0 {
            if dp.port(wanted, rcu).is_some() {
                return Err(EBUSY);
            }
            wanted
        } else {
            (1..u32::from(DP_MAX_PORTS))
                .find(|&port_no| dp.port(port_no, rcu).is_none())
                .ok_or(EFBIG)?
        };
        u16::try_from(port_no).map_err(|_| EFBIG)
    }
}

/// C: `ovs_vport_cmd_new()`.
impl Doit for VportNew {
    fn doit(info: &GenlInfo<'_>) -> Result {
        let (Some(name), Some(vport_type), Some(upcall_portids)) =
            (info.attr(NAME), info.attr(TYPE), info.attr(UPCALL_PID))
        else {
            return Err(EINVAL);
        };

        let vport_type = vport_type.get_u32().ok_or(EINVAL)?;
        let ifindex = info.attr(IFINDEX);
        if ifindex.is_some() && vport_type != uapi::ovs_vport_type_OVS_VPORT_TYPE_INTERNAL {
            return Err(EOPNOTSUPP);
        }

        let port_no = info.attr(PORT_NO).and_then(|a| a.get_u32()).unwrap_or(0);
        if port_no >= u32::from(DP_MAX_PORTS) {
            return Err(EFBIG);
        }

        let reply = ovs_vport_cmd_alloc_info()?;

        let lock = ovs_lock();
        let dp = get_dp(&lock, info.net(), genl::dp_ifindex(info)).ok_or(ENODEV)?;
        let port_no = Self::port_no(&dp, port_no)?;
        let vport = new_vport(
            &lock,
            &VportParms {
                name: name_of(name)?,
                vport_type,
                dp: &dp,
                port_no,
                upcall_portids,
                desired_ifindex: ifindex.and_then(|a| a.get_s32()).unwrap_or(0),
            },
        )?;
        let reply = fill(&vport, reply, info.net(), reply_hdr(info, CMD_NEW));

        let headroom = vport.dev().fwd_headroom();
        if headroom > dp.max_headroom() {
            ovs_update_headroom(&lock, &dp, headroom);
        } else {
            vport.dev().set_rx_headroom(dp.max_headroom() as i32);
        }
        drop(vport);
        drop(lock);

        ovs_notify(&DP_VPORT_GENL_FAMILY, reply?, info);
        Ok(())
    }
}

/// Makes a port and puts it into its datapath.
///
/// C: `new_vport()`.
pub(super) fn new_vport(lock: &OvsGuard, parms: &VportParms<'_>) -> Result<RcuArc<Vport>> {
    let vport = ovs_vport_add(lock, parms)?;

    if let Err(err) = parms.dp.ports.add(lock, parms.port_no, vport.clone()) {
        ovs_dp_detach_port(lock, vport);
        return Err(err);
    }
    offload().port_added(lock, parms.dp);
    Ok(vport)
}

/// `OVS_VPORT_CMD_SET`.
struct VportSet;

/// C: `ovs_vport_cmd_set()`.
impl Doit for VportSet {
    fn doit(info: &GenlInfo<'_>) -> Result {
        let reply = ovs_vport_cmd_alloc_info()?;

        let lock = ovs_lock();
        let vport = lookup_vport(info)?;

        if let Some(vport_type) = info.attr(TYPE) {
            if vport_type.get_u32() != Some(vport.vport_type()) {
                return Err(EINVAL);
            }
        }
        if info.attr(OPTIONS).is_some() {
            // No type of port has options any more.
            return Err(EOPNOTSUPP);
        }
        if let Some(ids) = info.attr(UPCALL_PID) {
            vport.set_upcall_portids(&lock, ids)?;
        }

        let reply = fill(&vport, reply, info.net(), reply_hdr(info, CMD_SET))?;
        drop(vport);
        drop(lock);

        ovs_notify(&DP_VPORT_GENL_FAMILY, reply, info);
        Ok(())
    }
}

/// `OVS_VPORT_CMD_DEL`.
struct VportDel;

/// C: `ovs_vport_cmd_del()`.
impl Doit for VportDel {
    fn doit(info: &GenlInfo<'_>) -> Result {
        let reply = ovs_vport_cmd_alloc_info()?;

        let lock = ovs_lock();
        let vport = lookup_vport(info)?;

        if u32::from(vport.port_no()) == OVSP_LOCAL {
            return Err(EINVAL);
        }

        let reply = fill(&vport, reply, info.net(), reply_hdr(info, CMD_DEL));

        // The datapath may need less headroom without the port.
        let dp = vport.dp().clone();
        let update_headroom = vport.dev().fwd_headroom() == dp.max_headroom();

        vport.dev().reset_rx_headroom();
        ovs_dp_detach_port(&lock, vport);

        if update_headroom {
            let headroom = ovs_get_max_headroom(&dp);

            if headroom < dp.max_headroom() {
                ovs_update_headroom(&lock, &dp, headroom);
            }
        }
        drop(lock);

        ovs_notify(&DP_VPORT_GENL_FAMILY, reply?, info);
        Ok(())
    }
}

/// `OVS_VPORT_CMD_GET`.
struct VportGet;

/// C: `ovs_vport_cmd_get()`.
impl Doit for VportGet {
    fn doit(info: &GenlInfo<'_>) -> Result {
        let reply = ovs_vport_cmd_alloc_info()?;
        let vport = lookup_vport(info)?;
        let reply = fill(&vport, reply, info.net(), reply_hdr(info, CMD_GET))?;

        drop(vport);
        info.reply(reply)
    }
}

/// C: `ovs_vport_cmd_dump()`. Ports come in the order of their numbers; the
/// number to go on from is kept.
impl Dumpit for VportGet {
    fn dumpit(dump: &mut Dump<'_>) -> Result {
        let info = dump.info();
        let net = info.net();
        let hdr = GenlHdr {
            flags: NLM_F_MULTI,
            ..reply_hdr(&info, CMD_GET)
        };

        let guard = rcu::read_lock();
        let rcu = RcuRead::from(&guard);
        let dp = get_dp_rcu(rcu, net, genl::dp_ifindex(&info)).ok_or(ENODEV)?;
        let mut from = u32::try_from(dump.arg(0)).unwrap_or(u32::from(DP_MAX_PORTS));

        while let Some(vport) = dp.ports.next(from, rcu) {
            if ovs_vport_cmd_fill_info(vport, dump.msg(), net, hdr, rcu).is_err() {
                break;
            }
            from = u32::from(vport.port_no()).wrapping_add(1);
        }
        dump.set_arg(0, from as isize);
        Ok(())
    }
}
