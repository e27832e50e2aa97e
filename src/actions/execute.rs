// SPDX-License-Identifier: GPL-2.0

//! Running actions on a packet.
//!
//! A packet is owned by the function that runs actions on it. The last action
//! of a list takes it; an action before that runs on the packet itself or, if it
//! sends it somewhere, on a clone.
//!
//! C keeps copies of keys and the list of deferred actions in per-CPU memory,
//! since its keys are too large for the stack. Here keys are small: copies are
//! on the stack, and so is the list, which takes memory only in the rare case
//! that it is used. It belongs to the outermost call, by which the packet
//! entered the datapath, see [`Execution`].

use kernel::{
    alloc::flags::GFP_ATOMIC,
    prelude::*, //
};
use kernel_ext::{
    jhash::jhash_1word,
    net::{
        netdevice::DeviceName,
        skbuff::SkBuff, //
    },
    percpu::Counter,
    random::get_random_u32,
    ratelimit::net_ratelimit,
    static_percpu::StaticPerCpu,
    sync::bh::BhRcu,
    uapi, //
};

use super::{
    cb::OvsSkbCb,
    output::{
        do_output,
        output_userspace, //
    },
    push_pop::{
        pop_eth,
        pop_vlan,
        push_eth,
        push_vlan, //
    },
    set::execute_set_action,
    Action,
    SwFlowActions, //
};
use crate::{
    datapath::{
        ovs_dp_process_packet,
        Datapath, //
    },
    drop::{
        OVS_DROP_ACTION_ERROR,
        OVS_DROP_DEFERRED_LIMIT,
        OVS_DROP_EXPLICIT,
        OVS_DROP_EXPLICIT_WITH_ERROR,
        OVS_DROP_LAST_ACTION,
        OVS_DROP_RECURSION_LIMIT, //
    },
    flow::{
        extract::ovs_flow_key_update,
        key::SwFlowKey,
        tunnel::{
            KeyRef,
            TunnelKey, //
        }, //
    },
    trace,
    vport::Vport, //
};

/// How often the datapath can be entered for one packet before it is dropped.
const OVS_RECURSION_LIMIT: u64 = 5;
/// Up to this level, lists that need a copy of the key run at once; above it
/// they are deferred.
const OVS_DEFERRED_ACTION_THRESHOLD: u64 = OVS_RECURSION_LIMIT - 2;
/// How many lists can be deferred for one packet. C has an array of one more.
const DEFERRED_ACTION_LIMIT: usize = 9;

/// How deep in actions this CPU is.
pub(crate) static EXEC_LEVEL: StaticPerCpu<Counter> = StaticPerCpu::new();

/// What a list of actions that is not in the flow's own list stands for.
#[derive(Clone, Copy)]
enum Nested<'g> {
    /// Run these actions.
    Actions(&'g [Action]),
    /// Look the packet up again, with this recirculation id.
    Recirc(u32),
}

/// A packet to go on with when the actions that run have ended.
struct DeferredAction<'g> {
    dp: &'g Datapath,
    in_port: &'g Vport,
    skb: SkBuff,
    key: SwFlowKey,
    nested: Nested<'g>,
}

/// The execution of actions on a packet that entered the datapath, and on all
/// that comes of it.
///
/// It is made where a packet is received from a device or from userspace, and
/// passed down from there. Making one costs nothing.
pub(crate) struct Execution<'g> {
    ctx: BhRcu<'g>,
    /// The tunnel that the packet came through. It stays, whatever actions do.
    tun: Option<&'g TunnelKey>,
    running: bool,
    /// Nothing until something is deferred, so that a packet that needs none
    /// of this does not pay for its being dropped.
    deferred: Option<KVec<Option<DeferredAction<'g>>>>,
}

impl<'g> Execution<'g> {
    /// The execution for a new packet, which came through this tunnel.
    #[inline]
    pub(crate) fn new(ctx: BhRcu<'g>, tun: Option<&'g TunnelKey>) -> Self {
        Self {
            ctx,
            tun,
            running: false,
            deferred: None,
        }
    }

    /// The context that packets are processed in.
    #[inline]
    pub(crate) fn ctx(&self) -> BhRcu<'g> {
        self.ctx
    }

    /// The whole key of a packet.
    #[inline]
    pub(crate) fn whole_key<'a>(&self, key: &'a SwFlowKey) -> KeyRef<'a>
    where
        'g: 'a,
    {
        KeyRef { key, tun: self.tun }
    }
}

/// Runs a flow's actions on a packet.
///
/// Fails with the error of the action that failed; the packet is dropped then.
/// `ENETDOWN` when the datapath was entered too often for this packet.
///
/// C: `ovs_execute_actions()`.
#[inline]
pub(crate) fn ovs_execute_actions<'g>(
    exec: &mut Execution<'g>,
    dp: &'g Datapath,
    in_port: &'g Vport,
    mut skb: SkBuff,
    acts: &'g SwFlowActions,
    key: &mut SwFlowKey,
) -> Result {
    let Some(exec_level) = EXEC_LEVEL.this(exec.ctx) else {
        return Err(ENETDOWN);
    };
    let outer_level = exec_level.get();
    let level = outer_level.wrapping_add(1);
    if level > OVS_RECURSION_LIMIT {
        return recursion_limit(exec.ctx, dp, skb);
    }
    exec_level.set(level);

    // CAST: As in C; userspace cannot send more than fits into an attribute.
    skb.cb_mut::<OvsSkbCb>().acts_origlen = acts.orig_len as u16;

    let is_outermost = !core::mem::replace(&mut exec.running, true);
    let result = do_execute_actions(exec, exec_level, dp, in_port, skb, key, &acts.list);
    if is_outermost {
        if exec.deferred.is_some() {
            process_deferred_actions(exec, exec_level);
        }
        exec.running = false;
    }

    exec_level.set(outer_level);
    result
}

/// Drops a packet that entered the datapath too often, and says so.
#[cold]
#[inline(never)]
fn recursion_limit(ctx: BhRcu<'_>, dp: &Datapath, skb: SkBuff) -> Result {
    if net_ratelimit() {
        let name = dp.local(ctx.rcu()).map(|port| port.name());
        pr_crit!(
            "ovs: recursion limit reached on datapath {}, probable configuration error\n",
            name.as_ref().map_or(c"", DeviceName::as_cstr)
        );
    }
    skb.free(OVS_DROP_RECURSION_LIMIT);
    Err(ENETDOWN)
}

/// Runs a list of actions on a packet.
#[inline(never)]
fn do_execute_actions<'g>(
    exec: &mut Execution<'g>,
    exec_level: &'g Counter,
    dp: &'g Datapath,
    in_port: &'g Vport,
    mut skb: SkBuff,
    key: &mut SwFlowKey,
    actions: &'g [Action],
) -> Result {
    let mut iter = actions.iter();
    while let Some(action) = iter.next() {
        let last = iter.as_slice().is_empty();
        if trace::do_execute_action_enabled() {
            trace::do_execute_action(exec.ctx, dp, &skb, key, action, last);
        }
        let result = match action {
            Action::Output(port) => {
                if last {
                    do_output(exec.ctx, dp, skb, *port, key);
                    return Ok(());
                }
                if let Some(clone) = skb.try_clone(GFP_ATOMIC) {
                    do_output(exec.ctx, dp, clone, *port, key);
                }
                skb.cb_mut::<OvsSkbCb>().cutlen = u32::MAX;
                Ok(())
            }
            Action::Set(set) => execute_set_action(&mut skb, key, &set.field),
            Action::SetTunnel(dst) => {
                skb.set_tunnel_dst(dst);
                Ok(())
            }
            Action::PushVlan { tpid, tci } => push_vlan(&mut skb, key, *tpid, *tci),
            Action::PopVlan => pop_vlan(&mut skb, key),
            Action::Trunc(max_len) => {
                skb.cb_mut::<OvsSkbCb>().cutlen = *max_len;
                Ok(())
            }
            Action::Userspace(userspace) => {
                let key = exec.whole_key(key);
                output_userspace(exec.ctx, dp, in_port, &mut skb, key, userspace, actions);
                skb.cb_mut::<OvsSkbCb>().cutlen = u32::MAX;
                if last {
                    skb.consume();
                    return Ok(());
                }
                Ok(())
            }
            Action::Hash { alg, basis } => {
                execute_hash(&mut skb, key, *alg, *basis);
                Ok(())
            }
            Action::PushEth { src, dst } => push_eth(&mut skb, key, src, dst),
            Action::PopEth => pop_eth(&mut skb, key),
            Action::Drop(error) => {
                skb.free(match error {
                    0 => OVS_DROP_EXPLICIT,
                    _ => OVS_DROP_EXPLICIT_WITH_ERROR,
                });
                return Ok(());
            }
            Action::Recirc(recirc_id) => {
                let nested = Nested::Recirc(*recirc_id);
                match update_key(&mut skb, key) {
                    Err(e) => Err(e),
                    Ok(()) if last => {
                        return run_on_copy(exec, exec_level, dp, in_port, skb, key, nested);
                    }
                    Ok(()) => match skb.try_clone(GFP_ATOMIC) {
                        Some(clone) => {
                            run_on_copy(exec, exec_level, dp, in_port, clone, key, nested)
                        }
                        None => Ok(()),
                    },
                }
            }
            Action::Clone(clone) => {
                let nested = &clone.actions;
                let in_place = clone.exec;
                if last {
                    return run_nested(exec, exec_level, dp, in_port, skb, key, nested, in_place);
                }
                match skb.try_clone(GFP_ATOMIC) {
                    Some(clone) => {
                        run_nested(exec, exec_level, dp, in_port, clone, key, nested, in_place)
                    }
                    None => Ok(()),
                }
            }
            Action::Sample(sample) => {
                if !is_sampled(sample.probability) {
                    if last {
                        break;
                    }
                    continue;
                }
                let nested = &sample.actions;
                let in_place = sample.exec;
                let cb = skb.cb_mut::<OvsSkbCb>();
                let outer_probability = core::mem::replace(&mut cb.probability, sample.probability);
                if last {
                    return run_nested(exec, exec_level, dp, in_port, skb, key, nested, in_place);
                }
                let result = match skb.try_clone(GFP_ATOMIC) {
                    Some(clone) => {
                        run_nested(exec, exec_level, dp, in_port, clone, key, nested, in_place)
                    }
                    None => Ok(()),
                };
                skb.cb_mut::<OvsSkbCb>().probability = outer_probability;
                result
            }
        };
        if let Err(e) = result {
            skb.free(OVS_DROP_ACTION_ERROR);
            return Err(e);
        }
    }

    skb.free(OVS_DROP_LAST_ACTION);
    Ok(())
}

/// Makes sure that the key describes the packet. Fails as
/// [`ovs_flow_key_update`].
#[inline]
fn update_key(skb: &mut SkBuff, key: &mut SwFlowKey) -> Result {
    if key.is_valid() {
        return Ok(());
    }
    ovs_flow_key_update(skb, key)
}

/// Whether a packet is among those that are sampled with this probability, out
/// of `u32::MAX`.
fn is_sampled(probability: u32) -> bool {
    probability == u32::MAX || (probability != 0 && get_random_u32() <= probability)
}

/// Puts a hash of the packet into the key.
#[inline(never)]
fn execute_hash(skb: &mut SkBuff, key: &mut SwFlowKey, alg: u32, basis: u32) {
    let hash = match alg {
        uapi::ovs_hash_alg_OVS_HASH_ALG_L4 => skb.hash(),
        uapi::ovs_hash_alg_OVS_HASH_ALG_SYM_L4 => skb.hash_symmetric(),
        _ => 0,
    };
    // Zero means that there is no hash.
    key.dp_hash = jhash_1word(hash, basis).max(1);
}

/// Runs a nested list of actions: on the key itself if `in_place` says that it
/// may be changed, otherwise on a copy, see [`run_on_copy`].
///
/// Lists can be nested 16 deep, so nothing large may be in this frame or that
/// of [`do_execute_actions`].
#[inline]
#[allow(clippy::too_many_arguments, reason = "is C's, and all are needed")]
fn run_nested<'g>(
    exec: &mut Execution<'g>,
    exec_level: &'g Counter,
    dp: &'g Datapath,
    in_port: &'g Vport,
    skb: SkBuff,
    key: &mut SwFlowKey,
    actions: &'g [Action],
    in_place: bool,
) -> Result {
    if in_place {
        do_execute_actions(exec, exec_level, dp, in_port, skb, key, actions)
    } else {
        let nested = Nested::Actions(actions);
        run_on_copy(exec, exec_level, dp, in_port, skb, key, nested)
    }
}

/// Runs a nested list of actions, or looks the packet up again, on a copy of
/// the key: now, or when the actions that run have ended.
///
/// C: `clone_execute()`, whose caller has cloned the packet here.
#[inline(never)]
fn run_on_copy<'g>(
    exec: &mut Execution<'g>,
    exec_level: &'g Counter,
    dp: &'g Datapath,
    in_port: &'g Vport,
    skb: SkBuff,
    key: &SwFlowKey,
    nested: Nested<'g>,
) -> Result {
    let level = exec_level.get();
    if level > OVS_DEFERRED_ACTION_THRESHOLD {
        defer(exec, dp, in_port, skb, key, nested);
        return Ok(());
    }

    let mut key = *key;
    match nested {
        Nested::Actions(actions) => {
            exec_level.set(level.wrapping_add(1));
            let result = do_execute_actions(exec, exec_level, dp, in_port, skb, &mut key, actions);
            exec_level.set(level);
            result
        }
        Nested::Recirc(recirc_id) => {
            key.recirc_id = recirc_id;
            ovs_dp_process_packet(exec, dp, in_port, skb, &mut key);
            Ok(())
        }
    }
}

/// Puts a packet off until the actions that run have ended. Drops it, and says
/// so, where too many are.
#[cold]
#[inline(never)]
fn defer<'g>(
    exec: &mut Execution<'g>,
    dp: &'g Datapath,
    in_port: &'g Vport,
    skb: SkBuff,
    key: &SwFlowKey,
    nested: Nested<'g>,
) {
    let deferred = exec.deferred.get_or_insert_with(KVec::new);
    let room = deferred.len() < DEFERRED_ACTION_LIMIT && deferred.reserve(1, GFP_ATOMIC).is_ok();
    if !room {
        skb.free(OVS_DROP_DEFERRED_LIMIT);
        return deferred_limit(exec.ctx, dp, nested);
    }

    let mut key = *key;
    if let Nested::Recirc(recirc_id) = nested {
        key.recirc_id = recirc_id;
    }
    // There is room for it. Were there not, the packet would be dropped here.
    let _ = deferred.push_within_capacity(Some(DeferredAction {
        dp,
        in_port,
        skb,
        key,
        nested,
    }));
}

/// Says that too many packets were put off.
#[cold]
#[inline(never)]
fn deferred_limit(ctx: BhRcu<'_>, dp: &Datapath, nested: Nested<'_>) {
    if !net_ratelimit() {
        return;
    }
    let name = dp.local(ctx.rcu()).map(|port| port.name());
    let name = name.as_ref().map_or(c"", DeviceName::as_cstr);
    match nested {
        Nested::Actions(_) => pr_warn!(
            "{}: deferred action limit reached, drop sample action\n",
            name
        ),
        Nested::Recirc(recirc_id) => pr_warn!(
            "{}: deferred action limit reached, drop recirc action (recirc_id={:#x})\n",
            name,
            recirc_id
        ),
    }
}

/// Goes on with all packets that were put off, and with those that are while
/// that is done.
#[cold]
#[inline(never)]
fn process_deferred_actions<'g>(exec: &mut Execution<'g>, exec_level: &'g Counter) {
    let mut next = 0usize;
    while let Some(deferred) = exec
        .deferred
        .as_mut()
        .and_then(|deferred| deferred.get_mut(next))
        .map(Option::take)
    {
        next = next.wrapping_add(1);
        let Some(DeferredAction {
            dp,
            in_port,
            skb,
            mut key,
            nested,
        }) = deferred
        else {
            continue;
        };
        match nested {
            Nested::Actions(actions) => {
                // The packet is dropped where an action fails.
                let _ = do_execute_actions(exec, exec_level, dp, in_port, skb, &mut key, actions);
            }
            Nested::Recirc(_) => ovs_dp_process_packet(exec, dp, in_port, skb, &mut key),
        }
    }
    exec.deferred = None;
}
