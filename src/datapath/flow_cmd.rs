// SPDX-License-Identifier: GPL-2.0

//! The commands of `ovs_flow`.
//!
//! A request is parsed, and what it needs is allocated, before `ovs_mutex` is
//! taken; the lock covers the look-up, the change and the filling of the
//! reply.

mod fill;

use kernel::{
    pr_warn_once,
    prelude::*,
    sync::rcu, //
};

use kernel_ext::{
    net::{
        genetlink::{
            netlink_set_err,
            Doit,
            Dump,
            Dumpit,
            Family,
            GenlHdr,
            GenlInfo,
            MulticastGroup,
            SmallOp,
            NLM_F_CREATE,
            NLM_F_EXCL,
            NLM_F_MULTI, //
        },
        netlink::{
            policy::{
                nla_parse,
                Validation, //
            },
            MsgBuf,
            NlMsg,
            NlaPolicy, //
        },
    },
    sync::{
        rcu::{
            RcuArc,
            RcuRead, //
        },
        rcu_cell::RcuBox, //
    },
    uapi, //
};

use self::fill::{
    ovs_flow_cmd_alloc_info,
    ovs_flow_cmd_fill_info,
    ovs_flow_cmd_msg_size,
    should_fill_actions, //
};
use super::{
    genl::{
        self,
        ovs_notify,
        reply_hdr, //
    },
    get_dp,
    get_dp_rcu,
    state::{
        ovs_lock,
        OvsGuard, //
    },
    Datapath, //
};
use crate::{
    actions::SwFlowActions,
    flow::{
        key::SwFlowKey,
        tunnel::MatchKey,
        SwFlow,
        SwFlowId, //
    },
    flow_netlink::{
        nlerr,
        ovs_nla_copy_actions,
        ovs_nla_get_identifier,
        ovs_nla_get_key,
        ovs_nla_get_match,
        ovs_nla_get_ufid,
        ovs_nla_get_ufid_flags,
        SwFlowMatch, //
    },
    offload::policy::Setting,
    offload_ops::offload, //
};

const KEY: u32 = uapi::ovs_flow_attr_OVS_FLOW_ATTR_KEY;
const ACTIONS: u32 = uapi::ovs_flow_attr_OVS_FLOW_ATTR_ACTIONS;
const CLEAR: u32 = uapi::ovs_flow_attr_OVS_FLOW_ATTR_CLEAR;
const MASK: u32 = uapi::ovs_flow_attr_OVS_FLOW_ATTR_MASK;
const PROBE: u32 = uapi::ovs_flow_attr_OVS_FLOW_ATTR_PROBE;
const UFID: u32 = uapi::ovs_flow_attr_OVS_FLOW_ATTR_UFID;
const UFID_FLAGS: u32 = uapi::ovs_flow_attr_OVS_FLOW_ATTR_UFID_FLAGS;
const N_ATTRS: usize = uapi::ovs_flow_attr___OVS_FLOW_ATTR_MAX as usize;

const CMD_NEW: u32 = uapi::ovs_flow_cmd_OVS_FLOW_CMD_NEW;
const CMD_DEL: u32 = uapi::ovs_flow_cmd_OVS_FLOW_CMD_DEL;
const CMD_GET: u32 = uapi::ovs_flow_cmd_OVS_FLOW_CMD_GET;
const CMD_SET: u32 = uapi::ovs_flow_cmd_OVS_FLOW_CMD_SET;

static FLOW_POLICY: [NlaPolicy; N_ATTRS] = NlaPolicy::table(&[
    (KEY, NlaPolicy::nested()),
    (MASK, NlaPolicy::nested()),
    (ACTIONS, NlaPolicy::nested()),
    (CLEAR, NlaPolicy::flag()),
    (PROBE, NlaPolicy::flag()),
    (UFID, NlaPolicy::unspec(1)),
    (UFID_FLAGS, NlaPolicy::u32()),
]);

static DP_FLOW_GENL_OPS: [SmallOp; 4] =
    genl::ops::<FlowNew, FlowDel, FlowGet, FlowSet>([CMD_NEW, CMD_DEL, CMD_GET, CMD_SET]);

static OVS_DP_FLOW_MULTICAST_GROUP: [MulticastGroup; 1] =
    [MulticastGroup::new(uapi::OVS_FLOW_MCGROUP)];

/// The family `ovs_flow`.
pub(super) static DP_FLOW_GENL_FAMILY: Family = genl::family(
    uapi::OVS_FLOW_FAMILY,
    uapi::OVS_FLOW_VERSION,
    &FLOW_POLICY,
    &DP_FLOW_GENL_OPS,
    &OVS_DP_FLOW_MULTICAST_GROUP,
    CMD_SET,
);

/// A request about a flow.
struct Request<'a> {
    info: &'a GenlInfo<'a>,
    dp_ifindex: i32,
    ufid_flags: u32,
    /// Errors of parsing are logged; not for a probe.
    log: bool,
}

impl<'a> Request<'a> {
    fn new(info: &'a GenlInfo<'a>) -> Self {
        Request {
            info,
            dp_ifindex: genl::dp_ifindex(info),
            ufid_flags: ovs_nla_get_ufid_flags(info.attr(UFID_FLAGS)),
            log: info.attr(PROBE).is_none(),
        }
    }

    fn get_dp(&self, lock: &OvsGuard) -> Result<RcuArc<Datapath>> {
        get_dp(lock, self.info.net(), self.dp_ifindex).ok_or(ENODEV)
    }

    /// Whether anyone wants a notification.
    ///
    /// C: `ovs_must_notify()`.
    fn must_notify(&self) -> bool {
        self.info.must_notify(&DP_FLOW_GENL_FAMILY, genl::MCGROUP)
    }

    /// A buffer for a notification, if anyone wants one.
    fn alloc_notification(&self, orig_len: usize, id: Option<&SwFlowId>) -> Result<Option<NlMsg>> {
        if !self.must_notify() {
            return Ok(None);
        }
        ovs_flow_cmd_alloc_info(orig_len, id, self.ufid_flags).map(Some)
    }

    /// Fills a reply that has room for the flow.
    fn fill(&self, flow: &SwFlow, acts: &SwFlowActions, msg: &mut MsgBuf<'_>, cmd: u32) -> Result {
        ovs_flow_cmd_fill_info(
            flow,
            acts,
            self.dp_ifindex,
            msg,
            reply_hdr(self.info, cmd),
            self.ufid_flags,
        )
    }

    /// Fills the notification, if there is to be one. That there is too little
    /// room would be a bug in the sizes; then nobody is notified.
    ///
    /// C: `ovs_flow_cmd_build_info()`.
    fn fill_notification(&self, flow: &SwFlow, msg: Option<NlMsg>, cmd: u32) -> Option<NlMsg> {
        let mut msg = msg?;
        match self.fill(flow, &flow.load_actions(), &mut msg, cmd) {
            Ok(()) => Some(msg),
            Err(_) => {
                pr_warn_once!("no room for a flow in its notification\n");
                None
            }
        }
    }

    fn notify(&self, msg: Option<NlMsg>) {
        if let Some(msg) = msg {
            ovs_notify(&DP_FLOW_GENL_FAMILY, msg, self.info);
        }
    }
}

/// How a request names a flow that it expects to be there: a UFID goes before
/// a key.
fn find(
    dp: &Datapath,
    lock: &OvsGuard,
    ufid: Option<&SwFlowId>,
    key: Option<&MatchKey>,
) -> Result<RcuArc<SwFlow>> {
    match (ufid, key) {
        (Some(ufid), _) => dp.table.lookup_id(lock, ufid),
        (None, Some(key)) => dp.table.lookup_exact(lock, key),
        (None, None) => None,
    }
    .ok_or(ENOENT)
}

/// The key that is left of the request's under its mask, but for the tunnel.
///
/// C: `ovs_flow_mask_key()`.
fn masked_key(m: &SwFlowMatch) -> SwFlowKey {
    let mut key = m.key.key;

    for (word, mask) in key.words_mut().iter_mut().zip(m.mask.key.words()) {
        *word &= mask;
    }
    key
}

/// Whether the flow is the one that the request describes.
///
/// C: `ovs_flow_cmp()`.
fn ovs_flow_cmp(flow: &SwFlow, m: &SwFlowMatch) -> bool {
    match flow.id().as_key() {
        Some(key) => *key == m.key,
        None => flow.key() == m.key,
    }
}

/// `OVS_FLOW_CMD_NEW`.
struct FlowNew;

/// What a request has of a new flow.
struct NewFlow {
    m: KBox<SwFlowMatch>,
    acts: RcuBox<SwFlowActions>,
}

impl NewFlow {
    /// The identifier is apart, as it moves into the table.
    ///
    /// Not inlined, so that what parsing needs is not on the stack for what
    /// follows.
    #[inline(never)]
    fn parse(req: &Request<'_>) -> Result<(Self, SwFlowId)> {
        // Must have key and actions.
        let Some(key) = req.info.attr(KEY) else {
            nlerr!(req.log, "Flow key attr not present in new flow.");
            return Err(EINVAL);
        };
        let Some(actions) = req.info.attr(ACTIONS) else {
            nlerr!(req.log, "Flow actions attr not present in new flow.");
            return Err(EINVAL);
        };

        let m = ovs_nla_get_match(req.info.net(), key, req.info.attr(MASK), req.log)?;
        let id = ovs_nla_get_identifier(req.info.attr(UFID), &m.key, req.log)?;
        let acts = ovs_nla_copy_actions(req.info.net(), actions, &masked_key(&m), req.log)
            .inspect_err(|_| {
                nlerr!(
                    req.log,
                    "Flow actions may not be safe on all matching packets."
                );
            })?;

        let acts = RcuBox::new(acts, GFP_KERNEL)?;
        Ok((NewFlow { m, acts }, id))
    }

    /// Finds a flow of the same identifier, or else one that matches the key.
    fn find_duplicate(
        &self,
        id: &SwFlowId,
        lock: &OvsGuard,
        dp: &Datapath,
    ) -> Option<RcuArc<SwFlow>> {
        let mut flow = None;

        if !id.is_key() {
            flow = dp.table.lookup_id(lock, id);
        }
        flow.or_else(|| dp.table.lookup_key(lock, &self.m.key))
    }

    /// Puts the flow into the table. Gives the filled notification.
    #[inline(never)]
    fn insert(
        self,
        id: SwFlowId,
        req: &Request<'_>,
        lock: &OvsGuard,
        dp: &RcuArc<Datapath>,
        reply: Option<NlMsg>,
    ) -> Result<Option<NlMsg>> {
        let NewFlow { m, acts } = self;
        let flow = dp.table.insert(lock, &m.key, &m.mask, id, acts)?;
        // What is there for a probe only is not worth a rule.
        if !req.log {
            flow.offload.set_policy(Setting::Never);
        }
        offload().flow_inserted(lock, dp, &flow);

        Ok(req.fill_notification(&flow, reply, CMD_NEW))
    }

    /// Gives a flow that is there already the new actions, if the request
    /// allows for that, and releases the lock. Gives the filled notification.
    #[inline(never)]
    fn update(
        self,
        id: &SwFlowId,
        req: &Request<'_>,
        lock: OvsGuard,
        dp: &RcuArc<Datapath>,
        mut flow: RcuArc<SwFlow>,
        mut reply: Option<NlMsg>,
    ) -> Result<Option<NlMsg>> {
        // NLM_F_CREATE is taken for NLM_F_EXCL, because generic netlink takes
        // the latter for a dump request.
        if req.info.nlmsg_flags() & (NLM_F_CREATE | NLM_F_EXCL) != 0 {
            return Err(EEXIST);
        }

        // Look for any overlapping flow.
        if !ovs_flow_cmp(&flow, &self.m) {
            // The UFID is the same but the key is another.
            if !flow.id().is_key() {
                return Err(ENOENT);
            }
            flow = dp.table.lookup_exact(&lock, &self.m.key).ok_or(ENOENT)?;
        }

        if reply.is_some() {
            let orig_len = self.acts.orig_len;
            let size = |id| ovs_flow_cmd_msg_size(orig_len, Some(id), req.ufid_flags);

            if size(id) < size(flow.id()) {
                reply = req.alloc_notification(orig_len, Some(flow.id()))?;
            }
        }

        flow.set_actions(self.acts);
        offload().flow_changed(&lock, dp, &flow);
        let _lock = offload().settle(lock, &flow);
        Ok(req.fill_notification(&flow, reply, CMD_NEW))
    }
}

/// C: `ovs_flow_cmd_new()`.
impl Doit for FlowNew {
    fn doit(info: &GenlInfo<'_>) -> Result {
        let req = Request::new(info);
        let (new, id) = NewFlow::parse(&req)?;
        let mut reply = req.alloc_notification(new.acts.orig_len, Some(&id))?;

        let lock = ovs_lock();
        let dp = req.get_dp(&lock)?;

        reply = match new.find_duplicate(&id, &lock, &dp) {
            None => new.insert(id, &req, &lock, &dp, reply)?,
            Some(flow) => new.update(&id, &req, lock, &dp, flow, reply)?,
        };

        req.notify(reply);
        Ok(())
    }
}

/// What a request to change a flow has of both.
type MatchAndActions = (Option<KBox<SwFlowMatch>>, Option<RcuBox<SwFlowActions>>);

/// `OVS_FLOW_CMD_SET`.
struct FlowSet;

impl FlowSet {
    /// C: `ovs_nla_init_match_and_action()`.
    ///
    /// C: also `get_flow_actions()`.
    #[inline(never)]
    fn match_and_actions(req: &Request<'_>) -> Result<MatchAndActions> {
        let m = match req.info.attr(KEY) {
            Some(key) => Some(ovs_nla_get_match(
                req.info.net(),
                key,
                req.info.attr(MASK),
                req.log,
            )?),
            None => None,
        };
        let acts = match (req.info.attr(ACTIONS), &m) {
            (None, _) => None,
            (Some(_), None) => {
                nlerr!(req.log, "Flow key attribute not present in set flow.");
                return Err(EINVAL);
            }
            (Some(actions), Some(m)) => {
                let acts = ovs_nla_copy_actions(req.info.net(), actions, &masked_key(m), req.log)
                    .inspect_err(|_| {
                    nlerr!(req.log, "Actions may not be safe on all matching packets");
                })?;

                Some(RcuBox::new(acts, GFP_KERNEL)?)
            }
        };

        Ok((m, acts))
    }
}

/// C: `ovs_flow_cmd_set()`.
impl Doit for FlowSet {
    fn doit(info: &GenlInfo<'_>) -> Result {
        let req = Request::new(info);
        let ufid = ovs_nla_get_ufid(info.attr(UFID), req.log);

        if info.attr(KEY).is_none() && ufid.is_none() {
            nlerr!(req.log, "Flow set message rejected, Key attribute missing.");
            return Err(EINVAL);
        }

        let (m, acts) = Self::match_and_actions(&req)?;
        let key = m.as_deref().map(|m| &m.key);
        let mut reply = match &acts {
            Some(acts) => req.alloc_notification(acts.orig_len, ufid.as_ref())?,
            None => None,
        };

        let mut lock = ovs_lock();
        let dp = req.get_dp(&lock)?;
        let flow = find(&dp, &lock, ufid.as_ref(), key)?;

        reply = match acts {
            Some(acts) => {
                flow.set_actions(acts);
                offload().flow_changed(&lock, &dp, &flow);
                lock = offload().settle(lock, &flow);
                req.fill_notification(&flow, reply, CMD_SET)
            }
            None => {
                let orig_len = flow.load_actions().orig_len;

                reply = req.alloc_notification(orig_len, Some(flow.id()))?;
                req.fill_notification(&flow, reply, CMD_SET)
            }
        };

        if info.attr(CLEAR).is_some() {
            flow.clear_stats();
        }
        drop(lock);

        req.notify(reply);
        Ok(())
    }
}

/// `OVS_FLOW_CMD_GET`.
struct FlowGet;

/// C: `ovs_flow_cmd_get()`.
impl Doit for FlowGet {
    fn doit(info: &GenlInfo<'_>) -> Result {
        let req = Request::new(info);
        let ufid = ovs_nla_get_ufid(info.attr(UFID), req.log);
        let key = match info.attr(KEY) {
            Some(key) => Some(ovs_nla_get_key(req.info.net(), key, req.log)?),
            None if ufid.is_none() => {
                nlerr!(req.log, "Flow get message rejected, Key attribute missing.");
                return Err(EINVAL);
            }
            None => None,
        };

        let lock = ovs_lock();
        let dp = req.get_dp(&lock)?;
        let flow = find(&dp, &lock, ufid.as_ref(), key.as_ref())?;
        let acts = flow.load_actions();
        let mut reply = ovs_flow_cmd_alloc_info(acts.orig_len, Some(flow.id()), req.ufid_flags)?;

        req.fill(&flow, &acts, &mut reply, CMD_GET)?;
        drop(lock);

        info.reply(reply)
    }
}

/// C: `ovs_flow_cmd_dump()`.
impl Dumpit for FlowGet {
    fn dumpit(dump: &mut Dump<'_>) -> Result {
        let info = dump.info();
        let dp_ifindex = genl::dp_ifindex(&info);
        // Generic netlink does not parse the attributes of such a dump.
        let attrs = nla_parse(info.attr_bytes(), &FLOW_POLICY, Validation::Liberal)?;
        let ufid_flags = ovs_nla_get_ufid_flags(attrs.get(UFID_FLAGS as usize).copied().flatten());
        let hdr = GenlHdr {
            flags: NLM_F_MULTI,
            ..reply_hdr(&info, CMD_GET)
        };

        let guard = rcu::read_lock();
        let rcu = RcuRead::from(&guard);
        let dp = get_dp_rcu(rcu, info.net(), dp_ifindex).ok_or(ENODEV)?;
        let start = usize::try_from(dump.arg(0)).unwrap_or(usize::MAX);
        let msg = dump.msg();

        // A flow that does not fit is where the next call begins.
        let next = dp
            .table
            .dump(start, rcu, should_fill_actions(ufid_flags), |flow| {
                let acts = flow.actions(rcu);
                ovs_flow_cmd_fill_info(flow, acts, dp_ifindex, msg, hdr, ufid_flags).is_ok()
            });
        dump.set_arg(0, next.map_or(-1, |next| next as isize));
        Ok(())
    }
}

/// `OVS_FLOW_CMD_DEL`.
struct FlowDel;

/// C: `ovs_flow_cmd_del()`.
impl Doit for FlowDel {
    fn doit(info: &GenlInfo<'_>) -> Result {
        let req = Request::new(info);
        let ufid = ovs_nla_get_ufid(info.attr(UFID), req.log);
        let key = match info.attr(KEY) {
            Some(key) => Some(ovs_nla_get_key(req.info.net(), key, req.log)?),
            None => None,
        };

        let lock = ovs_lock();
        let dp = req.get_dp(&lock)?;

        let flow = match (&ufid, &key) {
            (Some(ufid), _) => dp.table.take_id(&lock, ufid),
            (None, Some(key)) => dp.table.take_exact(&lock, key),
            (None, None) => {
                offload().flows_flushed(&lock, &dp);
                dp.table.flush(&lock);
                drop(lock);
                offload().wait_flushed(&dp);
                return Ok(());
            }
        }
        .ok_or(ENOENT)?;
        offload().flow_removed(&lock, &dp, &flow);
        let lock = offload().settle(lock, &flow);

        let mut reply = None;
        if req.must_notify() {
            let orig_len = flow.load_actions().orig_len;

            reply = ovs_flow_cmd_alloc_info(orig_len, Some(flow.id()), req.ufid_flags)
                .inspect_err(|&err| netlink_set_err(info.net(), 0, 0, err))
                .ok();
        }
        reply = req.fill_notification(&flow, reply, CMD_DEL);
        drop(lock);

        req.notify(reply);
        Ok(())
    }
}
