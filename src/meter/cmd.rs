// SPDX-License-Identifier: GPL-2.0

//! The commands of `ovs_meter`.

use kernel::prelude::*;

use kernel_ext::{
    net::{
        genetlink::{
            Doit,
            Family,
            GenlInfo,
            MulticastGroup,
            SmallOp, //
        },
        netlink::{
            nla_total_size,
            nla_total_size_64bit,
            policy::nla_parse,
            AttrWriter,
            MsgBuf,
            NlMsg,
            NlaPolicy,
            Nlattr,
            Validation, //
        }, //
    },
    sync::{
        bh::BhGuard,
        rcu::RcuArc, //
    },
    time::boot_msecs,
    uapi, //
};
use zerocopy::FromBytes;

use super::{
    DpMeter,
    DpMeterBand,
    MeterState,
    MeterStats,
    DP_MAX_BANDS, //
};
use crate::datapath::{
    genl::{
        dp_ifindex,
        family,
        reply_hdr,
        OVS_HEADER_LEN, //
    },
    get_dp,
    state::ovs_lock, //
};

const ID: u32 = uapi::ovs_meter_attr_OVS_METER_ATTR_ID;
const KBPS: u32 = uapi::ovs_meter_attr_OVS_METER_ATTR_KBPS;
const STATS: u32 = uapi::ovs_meter_attr_OVS_METER_ATTR_STATS;
const BANDS: u32 = uapi::ovs_meter_attr_OVS_METER_ATTR_BANDS;
const USED: u32 = uapi::ovs_meter_attr_OVS_METER_ATTR_USED;
const CLEAR: u32 = uapi::ovs_meter_attr_OVS_METER_ATTR_CLEAR;
const MAX_METERS: u32 = uapi::ovs_meter_attr_OVS_METER_ATTR_MAX_METERS;
const MAX_BANDS: u32 = uapi::ovs_meter_attr_OVS_METER_ATTR_MAX_BANDS;
const PAD: u32 = uapi::ovs_meter_attr_OVS_METER_ATTR_PAD;
const N_ATTRS: usize = uapi::ovs_meter_attr___OVS_METER_ATTR_MAX as usize;

const BAND_UNSPEC: u32 = uapi::ovs_band_attr_OVS_BAND_ATTR_UNSPEC;
const BAND_TYPE: u32 = uapi::ovs_band_attr_OVS_BAND_ATTR_TYPE;
const BAND_RATE: u32 = uapi::ovs_band_attr_OVS_BAND_ATTR_RATE;
const BAND_BURST: u32 = uapi::ovs_band_attr_OVS_BAND_ATTR_BURST;
const BAND_STATS: u32 = uapi::ovs_band_attr_OVS_BAND_ATTR_STATS;
const N_BAND_ATTRS: usize = uapi::ovs_band_attr___OVS_BAND_ATTR_MAX as usize;

const STATS_LEN: usize = size_of::<MeterStats>();

const CMD_FEATURES: u32 = uapi::ovs_meter_cmd_OVS_METER_CMD_FEATURES;
const CMD_SET: u32 = uapi::ovs_meter_cmd_OVS_METER_CMD_SET;
const CMD_DEL: u32 = uapi::ovs_meter_cmd_OVS_METER_CMD_DEL;
const CMD_GET: u32 = uapi::ovs_meter_cmd_OVS_METER_CMD_GET;

static METER_POLICY: [NlaPolicy; N_ATTRS] = NlaPolicy::table(&[
    (ID, NlaPolicy::u32()),
    (KBPS, NlaPolicy::flag()),
    (STATS, NlaPolicy::unspec(STATS_LEN as u16)),
    (BANDS, NlaPolicy::nested()),
    (USED, NlaPolicy::u64()),
    (CLEAR, NlaPolicy::flag()),
    (MAX_METERS, NlaPolicy::u32()),
    (MAX_BANDS, NlaPolicy::u32()),
]);

static BAND_POLICY: [NlaPolicy; N_BAND_ATTRS] = NlaPolicy::table(&[
    (BAND_TYPE, NlaPolicy::u32()),
    (BAND_RATE, NlaPolicy::u32()),
    (BAND_BURST, NlaPolicy::u32()),
    (BAND_STATS, NlaPolicy::unspec(STATS_LEN as u16)),
]);

static DP_METER_GENL_OPS: [SmallOp; 4] = [
    SmallOp::new(CMD_FEATURES).doit::<MeterFeatures>(),
    SmallOp::new(CMD_SET).uns_admin_perm().doit::<MeterSet>(),
    SmallOp::new(CMD_GET).doit::<MeterGet>(),
    SmallOp::new(CMD_DEL).uns_admin_perm().doit::<MeterDel>(),
];

static OVS_METER_MULTICAST_GROUP: [MulticastGroup; 1] =
    [MulticastGroup::new(uapi::OVS_METER_MCGROUP)];

/// The family `ovs_meter`.
pub(crate) static DP_METER_GENL_FAMILY: Family = family(
    uapi::OVS_METER_FAMILY,
    uapi::OVS_METER_VERSION,
    &METER_POLICY,
    &DP_METER_GENL_OPS,
    &OVS_METER_MULTICAST_GROUP,
    CMD_GET,
);

/// A buffer for an answer.
fn reply_alloc() -> Result<NlMsg> {
    let u32_size = nla_total_size(size_of::<u32>());
    let band_size = nla_total_size(nla_total_size(STATS_LEN));

    NlMsg::new(
        OVS_HEADER_LEN
            + 2 * u32_size // OVS_METER_ATTR_ID twice, or what FEATURES gives
            + nla_total_size(STATS_LEN) // OVS_METER_ATTR_STATS
            + nla_total_size_64bit(size_of::<u64>()) // OVS_METER_ATTR_USED
            + nla_total_size(DP_MAX_BANDS * band_size), // OVS_METER_ATTR_BANDS
        GFP_KERNEL,
    )
}

/// Answers a request: the header is the request's own, so that it names the
/// datapath as the request did.
///
/// C: `ovs_meter_cmd_reply_start()`, and the end of each command.
fn reply(
    info: &GenlInfo<'_>,
    cmd: u32,
    mut msg: NlMsg,
    fill: impl FnOnce(&mut MsgBuf<'_>) -> Result,
) -> Result {
    let hdr = reply_hdr(info, cmd);

    msg.genlmsg(&DP_METER_GENL_FAMILY, hdr, info.userhdr(), fill)?;
    info.reply(msg)
}

/// Puts a meter and what it has counted.
///
/// C: `ovs_meter_cmd_reply_stats()`.
fn ovs_meter_cmd_reply_stats(w: &mut MsgBuf<'_>, meter: &DpMeter) -> Result {
    let state = *meter.lock(BhGuard::new().proof());

    w.put_u32(ID as u16, meter.id)?;
    w.put(STATS as u16, state.stats.as_bytes())?;
    w.put_u64_64bit(USED as u16, state.used, PAD as u16)?;

    let bands = w.nest_start(BANDS as u16)?;
    for band in state.bands() {
        let nest = w.nest_start(BAND_UNSPEC as u16)?;
        w.put(BAND_STATS as u16, band.stats.as_bytes())?;
        w.nest_end(nest)?;
    }
    w.nest_end(bands)
}

/// The meter's number in a request. `EINVAL` without one.
fn meter_id(info: &GenlInfo<'_>) -> Result<u32> {
    info.attr(ID).and_then(|id| id.get_u32()).ok_or(EINVAL)
}

/// `OVS_METER_CMD_FEATURES`.
struct MeterFeatures;

/// C: `ovs_meter_cmd_features()`.
impl Doit for MeterFeatures {
    fn doit(info: &GenlInfo<'_>) -> Result {
        let msg = reply_alloc()?;

        let lock = ovs_lock();
        let dp = get_dp(&lock, info.net(), dp_ifindex(info)).ok_or(ENODEV)?;
        let max_meters = dp.meter_tbl.max_meters_allowed();
        drop(lock);

        reply(info, CMD_FEATURES, msg, |w| {
            w.put_u32(MAX_METERS as u16, max_meters)?;
            w.put_u32(MAX_BANDS as u16, DP_MAX_BANDS as u32)?;

            let bands = w.nest_start(BANDS as u16)?;
            let band = w.nest_start(BAND_UNSPEC as u16)?;
            // The only type of band that does something.
            w.put_u32(
                BAND_TYPE as u16,
                uapi::ovs_meter_band_type_OVS_METER_BAND_TYPE_DROP,
            )?;
            w.nest_end(band)?;
            w.nest_end(bands)
        })
    }
}

/// The band in an attribute.
///
/// C: the loop of `dp_meter_create()`.
///
/// # Errors
///
/// `EINVAL` if something is missing or the rate is 0; `ERANGE` if an attribute is
/// too short.
fn band(attr: Nlattr<'_>) -> Result<DpMeterBand> {
    let attrs = nla_parse(attr.payload(), &BAND_POLICY, Validation::Liberal)?;
    let get = |ty: u32| {
        attrs
            .get(ty as usize)
            .copied()
            .flatten()
            .and_then(|attr| attr.get_u32())
            .ok_or(EINVAL)
    };
    let (ty, rate, burst_size) = (get(BAND_TYPE)?, get(BAND_RATE)?, get(BAND_BURST)?);

    if rate == 0 {
        return Err(EINVAL);
    }
    Ok(DpMeterBand::new(ty, rate, burst_size))
}

/// The meter that a request describes.
///
/// C: `dp_meter_create()`.
///
/// # Errors
///
/// `EINVAL` without bands, with more than there can be, or with an incomplete
/// one; `ERANGE` if an attribute of a band is too short; `ENOMEM`.
fn dp_meter_create(info: &GenlInfo<'_>, id: u32) -> Result<RcuArc<DpMeter>> {
    let bands = info.attr(BANDS).ok_or(EINVAL)?;
    if bands.nested().nth(DP_MAX_BANDS).is_some() {
        return Err(EINVAL);
    }

    let keep_stats = info.attr(CLEAR).is_none();
    let mut state = MeterState::new(boot_msecs(), info.attr(KBPS).is_some());
    if let (true, Some(stats)) = (keep_stats, info.attr(STATS)) {
        let (stats, _) = MeterStats::read_from_prefix(stats.payload()).map_err(|_| EINVAL)?;
        state.stats = stats;
    }
    for attr in bands.nested() {
        state.push_band(band(attr)?)?;
    }
    DpMeter::new(id, keep_stats, state)
}

/// `OVS_METER_CMD_SET`.
struct MeterSet;

/// C: `ovs_meter_cmd_set()`.
impl Doit for MeterSet {
    fn doit(info: &GenlInfo<'_>) -> Result {
        let meter_id = meter_id(info)?;
        let meter = dp_meter_create(info, meter_id)?;
        let msg = reply_alloc()?;

        let lock = ovs_lock();
        let dp = get_dp(&lock, info.net(), dp_ifindex(info)).ok_or(ENODEV)?;
        let old_meter = dp.meter_tbl.set(&lock, meter)?;
        drop(lock);

        // The number, and once more with what the meter that was replaced has
        // counted.
        reply(info, CMD_SET, msg, |w| {
            w.put_u32(ID as u16, meter_id)?;
            match old_meter {
                Some(old) if old.keep_stats => ovs_meter_cmd_reply_stats(w, &old),
                _ => Ok(()),
            }
        })
    }
}

/// `OVS_METER_CMD_GET`.
struct MeterGet;

/// C: `ovs_meter_cmd_get()`.
impl Doit for MeterGet {
    fn doit(info: &GenlInfo<'_>) -> Result {
        let meter_id = meter_id(info)?;
        let msg = reply_alloc()?;

        let lock = ovs_lock();
        let dp = get_dp(&lock, info.net(), dp_ifindex(info)).ok_or(ENODEV)?;
        let meter = dp.meter_tbl.load(&lock, meter_id).ok_or(ENOENT)?;
        drop(lock);

        reply(info, CMD_GET, msg, |w| ovs_meter_cmd_reply_stats(w, &meter))
    }
}

/// `OVS_METER_CMD_DEL`.
struct MeterDel;

/// C: `ovs_meter_cmd_del()`. There need not be such a meter.
impl Doit for MeterDel {
    fn doit(info: &GenlInfo<'_>) -> Result {
        let meter_id = meter_id(info)?;
        let msg = reply_alloc()?;

        let lock = ovs_lock();
        let dp = get_dp(&lock, info.net(), dp_ifindex(info)).ok_or(ENODEV)?;
        let old_meter = dp.meter_tbl.detach(&lock, meter_id)?;
        drop(lock);

        reply(info, CMD_DEL, msg, |w| match old_meter {
            Some(old) => ovs_meter_cmd_reply_stats(w, &old),
            None => Ok(()),
        })
    }
}
