// SPDX-License-Identifier: GPL-2.0

//! The commands of `ovs_ct_limit`.

use kernel::{
    net::netlink::GENLMSG_DEFAULT_SIZE,
    prelude::*,
    sync::rcu, //
};

use kernel_ext::{
    net::{
        genetlink::{
            Doit,
            Family,
            GenlInfo,
            GenlMark,
            MulticastGroup,
            SmallOp, //
        },
        netlink::{
            attr::nla_align,
            AttrWriter,
            MsgBuf,
            NlMsg,
            NlaPolicy,
            Nlattr, //
        },
    },
    sync::rcu::RcuRead,
    uapi, //
};

use super::{
    limit::{
        self,
        CtLimit,
        CtLimitInfo, //
    },
    nlerr, //
};
use crate::datapath::{
    genl::{
        self,
        dp_ifindex,
        reply_hdr, //
    },
    ovs_net::OVS_NET,
    state::ovs_lock, //
};

const ZONE_LIMIT: u32 = uapi::ovs_ct_limit_attr_OVS_CT_LIMIT_ATTR_ZONE_LIMIT;
const N_ATTRS: usize = uapi::ovs_ct_limit_attr___OVS_CT_LIMIT_ATTR_MAX as usize;

const CMD_SET: u32 = uapi::ovs_ct_limit_cmd_OVS_CT_LIMIT_CMD_SET;
const CMD_DEL: u32 = uapi::ovs_ct_limit_cmd_OVS_CT_LIMIT_CMD_DEL;
const CMD_GET: u32 = uapi::ovs_ct_limit_cmd_OVS_CT_LIMIT_CMD_GET;

/// The length of `struct ovs_zone_limit`.
const ZONE_LIMIT_LEN: usize = size_of::<uapi::ovs_zone_limit>();

/// The length of the generic netlink header. C: `GENL_HDRLEN`.
const GENL_HDRLEN: usize = 4;

static CT_LIMIT_POLICY: [NlaPolicy; N_ATTRS] =
    NlaPolicy::table(&[(ZONE_LIMIT, NlaPolicy::nested())]);

/// C: `ct_limit_genl_ops`.
static CT_LIMIT_GENL_OPS: [SmallOp; 3] = [
    SmallOp::new(CMD_SET).uns_admin_perm().doit::<CtLimitSet>(),
    SmallOp::new(CMD_DEL).uns_admin_perm().doit::<CtLimitDel>(),
    SmallOp::new(CMD_GET).doit::<CtLimitGet>(),
];

/// Nothing is ever sent to it.
static OVS_CT_LIMIT_MULTICAST_GROUP: [MulticastGroup; 1] =
    [MulticastGroup::new(uapi::OVS_CT_LIMIT_MCGROUP)];

/// The family `ovs_ct_limit`.
pub(crate) static DP_CT_LIMIT_GENL_FAMILY: Family = genl::family(
    uapi::OVS_CT_LIMIT_FAMILY,
    uapi::OVS_CT_LIMIT_VERSION,
    &CT_LIMIT_POLICY,
    &CT_LIMIT_GENL_OPS,
    &OVS_CT_LIMIT_MULTICAST_GROUP,
    CMD_GET,
);

/// Begins a message of the family's default size, which is more than a page.
///
/// C: `ovs_ct_limit_cmd_reply_start()`.
///
/// # Errors
///
/// `ENOMEM`.
fn ovs_ct_limit_cmd_reply_start(info: &GenlInfo<'_>, cmd: u32) -> Result<(NlMsg, GenlMark)> {
    let mut reply = NlMsg::new(GENLMSG_DEFAULT_SIZE + GENL_HDRLEN, GFP_KERNEL)?;
    let mark = reply.genlmsg_put(
        &DP_CT_LIMIT_GENL_FAMILY,
        reply_hdr(info, cmd),
        &dp_ifindex(info).to_ne_bytes(),
    )?;
    Ok((reply, mark))
}

/// Which zone an element of a request is about.
enum Zone {
    /// All that have no limit of their own. C: `OVS_ZONE_LIMIT_DEFAULT_ZONE`.
    Default,
    /// One.
    Id(u16),
}

/// Calls `f` with each zone and limit in an attribute until it fails. What is not
/// a zone is logged and left out. `what` the command does is for a log line about
/// bytes that are no whole element.
///
/// C: the loop of `ovs_ct_limit_set_zone_limit()` and the other two.
///
/// C: also `check_zone_id()`.
fn for_each_zone_limit(
    nla_zone_limit: Nlattr<'_>,
    what: &str,
    mut f: impl FnMut(Zone, u32) -> Result,
) -> Result {
    let mut bytes = nla_zone_limit.payload();
    // With the padding of the attribute: of the last element, what is missing
    // may be in there. That is the count, which requests do not use.
    let mut rem = nla_align(bytes.len());

    while rem >= ZONE_LIMIT_LEN {
        let (zone_id, rest) = bytes.split_first_chunk().ok_or(EINVAL)?;
        let limit = u32::from_ne_bytes(*rest.first_chunk().ok_or(EINVAL)?);

        match i32::from_ne_bytes(*zone_id) {
            uapi::OVS_ZONE_LIMIT_DEFAULT_ZONE => f(Zone::Default, limit)?,
            zone_id => match u16::try_from(zone_id) {
                Ok(zone) => f(Zone::Id(zone), limit)?,
                Err(_) => nlerr!(true, "zone id is out of range"),
            },
        }
        rem = rem.wrapping_sub(ZONE_LIMIT_LEN);
        bytes = bytes.get(ZONE_LIMIT_LEN..).unwrap_or_default();
    }

    if rem != 0 {
        nlerr!(true, "{} zone limit has {} unknown bytes", what, rem);
    }
    Ok(())
}

/// `OVS_CT_LIMIT_CMD_SET`.
struct CtLimitSet;

/// C: `ovs_ct_limit_cmd_set()`.
impl Doit for CtLimitSet {
    fn doit(info: &GenlInfo<'_>) -> Result {
        let (mut reply, mark) = ovs_ct_limit_cmd_reply_start(info, CMD_SET)?;
        let nla_zone_limit = info.attr(ZONE_LIMIT).ok_or(EINVAL)?;
        let ovs_net = OVS_NET.load(info.net()).ok_or(ENODEV)?;

        for_each_zone_limit(nla_zone_limit, "set", |zone, limit| {
            let new = match zone {
                Zone::Default => None,
                Zone::Id(zone) => Some(CtLimit::new(zone, limit)?),
            };

            let lock = ovs_lock();
            let guard = rcu::read_lock();
            let rcu = RcuRead::from(&guard);
            let limits = ovs_net.ct_limit_info.get(rcu).ok_or(ENODEV)?;
            match new {
                None => limits.set_default_limit(&lock, limit),
                Some(new) => limits.set(&lock, new, rcu),
            }
            Ok(())
        })?;
        limit::enable();

        reply.genlmsg_end(mark);
        info.reply(reply)
    }
}

/// `OVS_CT_LIMIT_CMD_DEL`.
struct CtLimitDel;

/// C: `ovs_ct_limit_cmd_del()` and `ovs_ct_limit_del_zone_limit()`.
impl Doit for CtLimitDel {
    fn doit(info: &GenlInfo<'_>) -> Result {
        let (mut reply, mark) = ovs_ct_limit_cmd_reply_start(info, CMD_DEL)?;
        let nla_zone_limit = info.attr(ZONE_LIMIT).ok_or(EINVAL)?;
        let ovs_net = OVS_NET.load(info.net()).ok_or(ENODEV)?;

        for_each_zone_limit(nla_zone_limit, "del", |zone, _| {
            let lock = ovs_lock();
            let guard = rcu::read_lock();
            let rcu = RcuRead::from(&guard);
            let limits = ovs_net.ct_limit_info.get(rcu).ok_or(ENODEV)?;
            match zone {
                Zone::Default => limits.set_default_limit(&lock, limit::DEFAULT),
                Zone::Id(zone) => limits.del(&lock, zone, rcu),
            }
            Ok(())
        })?;

        reply.genlmsg_end(mark);
        info.reply(reply)
    }
}

/// Puts a `struct ovs_zone_limit`.
///
/// # Errors
///
/// `EMSGSIZE` if it does not fit.
fn put_zone_limit(reply: &mut MsgBuf<'_>, zone_id: i32, limit: u32, count: u32) -> Result {
    let [zone_id, limit, count] = [zone_id as u32, limit, count].map(u32::to_ne_bytes);

    reply.put_nohdr([zone_id, limit, count].as_flattened())
}

/// Puts the limit of zones that have none of their own. Connections are not
/// counted over all of them.
///
/// C: `ovs_ct_limit_get_default_limit()`.
fn get_default_limit(limits: &CtLimitInfo, reply: &mut MsgBuf<'_>) -> Result {
    put_zone_limit(
        reply,
        uapi::OVS_ZONE_LIMIT_DEFAULT_ZONE,
        limits.default_limit(),
        0,
    )
}

/// Puts the limit and the count of a zone.
///
/// C: `__ovs_ct_limit_get_zone_limit()`.
fn get_zone_limit(
    limits: &CtLimitInfo,
    zone: u16,
    limit: u32,
    reply: &mut MsgBuf<'_>,
    rcu: RcuRead<'_>,
) -> Result {
    put_zone_limit(reply, zone.into(), limit, limits.count(zone, rcu))
}

/// `OVS_CT_LIMIT_CMD_GET`.
struct CtLimitGet;

/// C: `ovs_ct_limit_cmd_get()`.
impl Doit for CtLimitGet {
    fn doit(info: &GenlInfo<'_>) -> Result {
        let (mut reply, mark) = ovs_ct_limit_cmd_reply_start(info, CMD_GET)?;
        let nla_reply = reply.nest_start(ZONE_LIMIT as u16)?;
        let ovs_net = OVS_NET.load(info.net()).ok_or(ENODEV)?;

        let guard = rcu::read_lock();
        let rcu = RcuRead::from(&guard);
        let limits = ovs_net.ct_limit_info.get(rcu).ok_or(ENODEV)?;
        match info.attr(ZONE_LIMIT) {
            // C: ovs_ct_limit_get_zone_limit().
            Some(nla_zone_limit) => {
                for_each_zone_limit(nla_zone_limit, "get", |zone, _| match zone {
                    Zone::Default => get_default_limit(limits, &mut reply),
                    Zone::Id(zone) => {
                        get_zone_limit(limits, zone, limits.get(zone, rcu), &mut reply, rcu)
                    }
                })?
            }
            // C: ovs_ct_limit_get_all_zone_limit().
            None => {
                get_default_limit(limits, &mut reply)?;
                limits.for_each(rcu, |zone, limit| {
                    get_zone_limit(limits, zone, limit, &mut reply, rcu)
                })?;
            }
        }
        drop(guard);

        reply.nest_end(nla_reply)?;
        reply.genlmsg_end(mark);
        info.reply(reply)
    }
}
