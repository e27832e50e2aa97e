// SPDX-License-Identifier: GPL-2.0

//! The commands of `ovs_datapath`.

use kernel::{
    page::PAGE_SIZE,
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
        netdevice::IFNAMSIZ,
        netlink::{
            nla_total_size,
            nla_total_size_64bit,
            AttrWriter,
            MsgBuf,
            NlMsg,
            NlaPolicy,
            Nlattr, //
        },
        tc_skb_ext, //
    },
    percpu::nr_cpu_ids,
    sync::rcu::{
        RcuArc,
        RcuRead, //
    },
    uapi, //
};
use zerocopy_derive::Immutable;

use super::{
    dp_destroy,
    dp_list_add,
    for_each_dp,
    genl::{
        self,
        name_of,
        ovs_notify,
        reply_hdr,
        OVS_HEADER_LEN, //
    },
    get_dp,
    ovs_net::OVS_NET,
    state::{
        ovs_lock,
        OvsGuard, //
    },
    vport_cmd::new_vport,
    Datapath,
    DpNlskPids,
    OVSP_LOCAL, //
};
use crate::vport::{
    ovs_vport_locate,
    VportParms, //
};

const NAME: u32 = uapi::ovs_datapath_attr_OVS_DP_ATTR_NAME;
const UPCALL_PID: u32 = uapi::ovs_datapath_attr_OVS_DP_ATTR_UPCALL_PID;
const STATS: u32 = uapi::ovs_datapath_attr_OVS_DP_ATTR_STATS;
const MEGAFLOW_STATS: u32 = uapi::ovs_datapath_attr_OVS_DP_ATTR_MEGAFLOW_STATS;
const USER_FEATURES: u32 = uapi::ovs_datapath_attr_OVS_DP_ATTR_USER_FEATURES;
const PAD: u32 = uapi::ovs_datapath_attr_OVS_DP_ATTR_PAD;
const MASKS_CACHE_SIZE: u32 = uapi::ovs_datapath_attr_OVS_DP_ATTR_MASKS_CACHE_SIZE;
const PER_CPU_PIDS: u32 = uapi::ovs_datapath_attr_OVS_DP_ATTR_PER_CPU_PIDS;
const IFINDEX: u32 = uapi::ovs_datapath_attr_OVS_DP_ATTR_IFINDEX;
const N_ATTRS: usize = uapi::ovs_datapath_attr___OVS_DP_ATTR_MAX as usize;

const STATS_LEN: usize = size_of::<DpStats>();
const MEGAFLOW_STATS_LEN: usize = size_of::<DpMegaflowStats>();

const CMD_NEW: u32 = uapi::ovs_datapath_cmd_OVS_DP_CMD_NEW;
const CMD_DEL: u32 = uapi::ovs_datapath_cmd_OVS_DP_CMD_DEL;
const CMD_GET: u32 = uapi::ovs_datapath_cmd_OVS_DP_CMD_GET;
const CMD_SET: u32 = uapi::ovs_datapath_cmd_OVS_DP_CMD_SET;

/// The features that userspace can ask for.
const USER_FEATURES_KNOWN: u32 = uapi::OVS_DP_F_VPORT_PIDS
    | uapi::OVS_DP_F_UNALIGNED
    | uapi::OVS_DP_F_DISPATCH_UPCALL_PER_CPU
    | if tc_skb_ext::AVAILABLE {
        uapi::OVS_DP_F_TC_RECIRC_SHARING
    } else {
        0
    };

/// The most entries that userspace can ask of the mask cache: as many as C's
/// entries of 8 bytes fit into the smallest unit of per-CPU memory.
const MASKS_CACHE_MAX: usize = (32_usize << 10).next_multiple_of(PAGE_SIZE) / 8;

static DATAPATH_POLICY: [NlaPolicy; N_ATTRS] = NlaPolicy::table(&[
    (NAME, NlaPolicy::nul_string(IFNAMSIZ as u16 - 1)),
    (UPCALL_PID, NlaPolicy::u32()),
    (USER_FEATURES, NlaPolicy::u32()),
    (
        MASKS_CACHE_SIZE,
        NlaPolicy::u32_range(0, MASKS_CACHE_MAX as i16),
    ),
    (IFINDEX, NlaPolicy::s32_min(0)),
]);

static DP_DATAPATH_GENL_OPS: [SmallOp; 4] =
    genl::ops::<DpNew, DpDel, DpGet, DpSet>([CMD_NEW, CMD_DEL, CMD_GET, CMD_SET]);

static OVS_DP_DATAPATH_MULTICAST_GROUP: [MulticastGroup; 1] =
    [MulticastGroup::new(uapi::OVS_DATAPATH_MCGROUP)];

/// The family `ovs_datapath`.
pub(super) static DP_DATAPATH_GENL_FAMILY: Family = genl::family(
    uapi::OVS_DATAPATH_FAMILY,
    uapi::OVS_DATAPATH_VERSION,
    &DATAPATH_POLICY,
    &DP_DATAPATH_GENL_OPS,
    &OVS_DP_DATAPATH_MULTICAST_GROUP,
    CMD_SET,
);

/// A buffer for a message about a datapath.
///
/// C: `ovs_dp_cmd_alloc_info()` and `ovs_dp_cmd_msg_size()`.
fn ovs_dp_cmd_alloc_info() -> Result<NlMsg> {
    let u32_size = nla_total_size(size_of::<u32>());
    let portids_len = size_of::<u32>().saturating_mul(nr_cpu_ids() as usize);

    NlMsg::new(
        OVS_HEADER_LEN
            + nla_total_size(IFNAMSIZ) // OVS_DP_ATTR_NAME
            + nla_total_size_64bit(STATS_LEN) // OVS_DP_ATTR_STATS
            + nla_total_size_64bit(MEGAFLOW_STATS_LEN) // OVS_DP_ATTR_MEGAFLOW_STATS
            + u32_size // OVS_DP_ATTR_USER_FEATURES
            + u32_size // OVS_DP_ATTR_MASKS_CACHE_SIZE
            + nla_total_size(portids_len), // OVS_DP_ATTR_PER_CPU_PIDS
        GFP_KERNEL,
    )
}

/// Puts a message about a datapath, or nothing.
///
/// C: `ovs_dp_cmd_fill_info()`.
///
/// # Errors
///
/// `EMSGSIZE` if it does not fit.
fn ovs_dp_cmd_fill_info(
    _lock: &OvsGuard,
    dp: &Datapath,
    msg: &mut MsgBuf<'_>,
    hdr: GenlHdr,
) -> Result {
    let guard = rcu::read_lock();
    let rcu = RcuRead::from(&guard);
    let local = dp.local(rcu).ok_or(EMSGSIZE)?;

    msg.genlmsg(
        &DP_DATAPATH_GENL_FAMILY,
        hdr,
        &local.dev().ifindex().to_ne_bytes(),
        |w: &mut MsgBuf<'_>| {
            w.put_str(NAME as u16, local.name().as_cstr())?;
            put_stats(dp, w, rcu)?;
            w.put_u32(USER_FEATURES as u16, dp.user_features())?;
            w.put_u32(MASKS_CACHE_SIZE as u16, dp.table.masks_cache_size())?;

            if dp.has_feature(uapi::OVS_DP_F_DISPATCH_UPCALL_PER_CPU) {
                if let Some(pids) = dp.upcall_portids.get(rcu) {
                    // No more than there are CPU numbers.
                    let n = pids.0.len().min(nr_cpu_ids() as usize);

                    w.put(
                        PER_CPU_PIDS as u16,
                        pids.0.get(..n).unwrap_or_default().as_bytes(),
                    )?;
                }
            }
            Ok(())
        },
    )
}

/// Puts `OVS_DP_ATTR_STATS` and `OVS_DP_ATTR_MEGAFLOW_STATS`.
///
/// `struct ovs_dp_stats`.
#[repr(C)]
#[derive(IntoBytes, Immutable)]
struct DpStats {
    n_hit: u64,
    n_missed: u64,
    n_lost: u64,
    n_flows: u64,
}

/// `struct ovs_dp_megaflow_stats`.
#[repr(C)]
#[derive(IntoBytes, Immutable)]
struct DpMegaflowStats {
    n_mask_hit: u64,
    n_masks: u32,
    pad0: u32,
    n_cache_hit: u64,
    pad1: u64,
}

const _: () = assert!(STATS_LEN == size_of::<uapi::ovs_dp_stats>());
const _: () = assert!(MEGAFLOW_STATS_LEN == size_of::<uapi::ovs_dp_megaflow_stats>());

/// C: `get_dp_stats()`.
fn put_stats(dp: &Datapath, w: &mut impl AttrWriter, rcu: RcuRead<'_>) -> Result {
    let sum = dp.stats_sum();
    let stats = DpStats {
        n_hit: sum.n_hit,
        n_missed: sum.n_missed,
        n_lost: sum.n_lost,
        n_flows: dp.table.count().into(),
    };
    let mega_stats = DpMegaflowStats {
        n_mask_hit: sum.n_mask_hit,
        n_masks: dp.table.num_masks(rcu),
        pad0: 0,
        n_cache_hit: sum.n_cache_hit,
        pad1: 0,
    };

    w.put_64bit(STATS as u16, stats.as_bytes(), PAD as u16)?;
    w.put_64bit(MEGAFLOW_STATS as u16, mega_stats.as_bytes(), PAD as u16)
}

/// The datapath that a request is about: by name, or by interface index.
///
/// C: `lookup_datapath()`.
fn lookup_datapath(lock: &OvsGuard, info: &GenlInfo<'_>) -> Result<RcuArc<Datapath>> {
    match info.attr(NAME) {
        None => get_dp(lock, info.net(), genl::dp_ifindex(info)),
        Some(name) => ovs_vport_locate(info.net(), name_of(name)?)
            .filter(|vport| u32::from(vport.port_no()) == OVSP_LOCAL)
            .map(|vport| vport.dp().clone()),
    }
    .ok_or(ENODEV)
}

/// Makes an older userspace, which does not know of features, meet a datapath
/// without them.
///
/// C: `ovs_dp_reset_user_features()`.
fn ovs_dp_reset_user_features(lock: &OvsGuard, info: &GenlInfo<'_>) {
    let Ok(dp) = lookup_datapath(lock, info) else {
        return;
    };
    let guard = rcu::read_lock();

    if let Some(local) = dp.local(RcuRead::from(&guard)) {
        pr_warn!(
            "{}: Dropping previously announced user features\n",
            local.name()
        );
    }
    drop(guard);
    dp.set_user_features(lock, 0);
}

/// The netlink ports of an attribute.
///
/// # Errors
///
/// `EINVAL` if there is none or a part of one; `ENOMEM`.
///
/// C: `ovs_dp_set_upcall_portids()`.
fn parse_portids(ids: Nlattr<'_>) -> Result<RcuArc<DpNlskPids>> {
    let chunks = ids.payload().chunks_exact(size_of::<u32>());
    if ids.is_empty() || !chunks.remainder().is_empty() {
        return Err(EINVAL);
    }

    let mut pids = KVec::with_capacity(chunks.len(), GFP_KERNEL)?;
    for chunk in chunks {
        let pid = chunk.first_chunk().ok_or(EINVAL)?;

        pids.push(u32::from_ne_bytes(*pid), GFP_KERNEL)?;
    }
    Ok(RcuArc::new(DpNlskPids(pids), GFP_KERNEL)?)
}

/// Sets what a request says of a datapath: all or, on an error, nothing.
///
/// C: `ovs_dp_change()`, which leaves the features and the mask cache changed
/// if the port ids turn out to be invalid.
fn ovs_dp_change(lock: &OvsGuard, dp: &Datapath, info: &GenlInfo<'_>) -> Result {
    let user_features = info
        .attr(USER_FEATURES)
        .and_then(|a| a.get_u32())
        .unwrap_or(0);
    if user_features & !USER_FEATURES_KNOWN != 0 {
        return Err(EOPNOTSUPP);
    }

    let portids = match info.attr(PER_CPU_PIDS) {
        Some(ids) if user_features & uapi::OVS_DP_F_DISPATCH_UPCALL_PER_CPU != 0 => {
            Some(parse_portids(ids)?)
        }
        _ => None,
    };

    if let Some(size) = info.attr(MASKS_CACHE_SIZE).and_then(|a| a.get_u32()) {
        dp.table.masks_cache_resize(size)?;
    }
    dp.set_user_features(lock, user_features);
    if portids.is_some() {
        dp.upcall_portids.replace(portids);
    }
    Ok(())
}

/// `OVS_DP_CMD_NEW`.
struct DpNew;

/// C: `ovs_dp_cmd_new()`.
impl Doit for DpNew {
    fn doit(info: &GenlInfo<'_>) -> Result {
        let (Some(name), Some(upcall_portids)) = (info.attr(NAME), info.attr(UPCALL_PID)) else {
            return Err(EINVAL);
        };

        let mut reply = ovs_dp_cmd_alloc_info()?;
        let net = OVS_NET.handle(info.net()).ok_or(ENODEV)?;
        let dp = RcuArc::init(Datapath::init(net), GFP_KERNEL)?;
        let parms = VportParms {
            name: name_of(name)?,
            vport_type: uapi::ovs_vport_type_OVS_VPORT_TYPE_INTERNAL,
            dp: &dp,
            port_no: OVSP_LOCAL as u16,
            upcall_portids,
            desired_ifindex: info.attr(IFINDEX).and_then(|a| a.get_s32()).unwrap_or(0),
        };

        // So far only local changes have been made, now need the lock.
        let lock = ovs_lock();

        ovs_dp_change(&lock, &dp, info)?;
        new_vport(&lock, &parms).map_err(|err| {
            dp.set_user_features(&lock, 0);

            let err = if err == EBUSY { EEXIST } else { err };

            // A userspace from before there were features tries to make a
            // datapath that exists, and probably uses it then: it shall find
            // no features.
            if err == EEXIST && u32::from(info.version()) < uapi::OVS_DP_VER_FEATURES {
                ovs_dp_reset_user_features(&lock, info);
            }
            err
        })?;

        let filled = ovs_dp_cmd_fill_info(&lock, &dp, &mut reply, reply_hdr(info, CMD_NEW));
        dp_list_add(&lock, dp)?;
        drop(lock);

        filled?;
        ovs_notify(&DP_DATAPATH_GENL_FAMILY, reply, info);
        Ok(())
    }
}

/// `OVS_DP_CMD_DEL`.
struct DpDel;

/// C: `ovs_dp_cmd_del()`.
impl Doit for DpDel {
    fn doit(info: &GenlInfo<'_>) -> Result {
        let mut reply = ovs_dp_cmd_alloc_info()?;

        let lock = ovs_lock();
        let dp = lookup_datapath(&lock, info)?;
        let filled = ovs_dp_cmd_fill_info(&lock, &dp, &mut reply, reply_hdr(info, CMD_DEL));

        dp_destroy(&lock, &dp);
        drop(lock);

        filled?;
        ovs_notify(&DP_DATAPATH_GENL_FAMILY, reply, info);
        Ok(())
    }
}

/// `OVS_DP_CMD_SET`.
struct DpSet;

/// C: `ovs_dp_cmd_set()`.
impl Doit for DpSet {
    fn doit(info: &GenlInfo<'_>) -> Result {
        let mut reply = ovs_dp_cmd_alloc_info()?;

        let lock = ovs_lock();
        let dp = lookup_datapath(&lock, info)?;

        ovs_dp_change(&lock, &dp, info)?;
        ovs_dp_cmd_fill_info(&lock, &dp, &mut reply, reply_hdr(info, CMD_SET))?;
        drop(lock);

        ovs_notify(&DP_DATAPATH_GENL_FAMILY, reply, info);
        Ok(())
    }
}

/// `OVS_DP_CMD_GET`.
struct DpGet;

/// C: `ovs_dp_cmd_get()`.
impl Doit for DpGet {
    fn doit(info: &GenlInfo<'_>) -> Result {
        let mut reply = ovs_dp_cmd_alloc_info()?;

        let lock = ovs_lock();
        let dp = lookup_datapath(&lock, info)?;

        ovs_dp_cmd_fill_info(&lock, &dp, &mut reply, reply_hdr(info, CMD_GET))?;
        drop(lock);

        info.reply(reply)
    }
}

/// C: `ovs_dp_cmd_dump()`. How many datapaths have been dumped is kept.
impl Dumpit for DpGet {
    fn dumpit(dump: &mut Dump<'_>) -> Result {
        let info = dump.info();
        let hdr = GenlHdr {
            flags: NLM_F_MULTI,
            ..reply_hdr(&info, CMD_GET)
        };
        let skip = usize::try_from(dump.arg(0)).unwrap_or(usize::MAX);
        let mut done = 0_usize;

        let lock = ovs_lock();
        for_each_dp(&lock, info.net(), |dp| {
            if done >= skip && ovs_dp_cmd_fill_info(&lock, dp, dump.msg(), hdr).is_err() {
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
