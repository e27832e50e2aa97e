// SPDX-License-Identifier: GPL-2.0

//! Running actions on a packet.
//!
//! A packet is owned by the function that runs actions on it. The last action
//! of a list takes it; an action before that runs on the packet itself or, if it
//! sends it somewhere, on a clone.
//!
//! C keeps copies of keys in per-CPU memory, since its keys are too large for
//! the stack; here they are on the stack. What is put off until the actions
//! that run have ended is in a list of this CPU, as in C: a packet that leaves
//! through one datapath and comes in at the next, within one call, shares it.
//! Whatever is in the list owns what it needs.

use core::cell::Cell;

use kernel::{
    alloc::flags::GFP_ATOMIC,
    prelude::*,
    sync::Arc, //
};
use kernel_ext::{
    jhash::jhash_1word,
    net::{
        netdevice::DeviceName,
        skbuff::{
            KeptSkBuff,
            SkBuff, //
        },
    },
    random::get_random_u32,
    ratelimit::net_ratelimit,
    static_percpu::StaticPerCpu,
    sync::{
        bh::BhRcu,
        rcu::RcuArc, //
    },
    uapi, //
};

use super::{
    cb::OvsSkbCb,
    check_pkt_len::execute_check_pkt_len,
    dec_ttl::execute_dec_ttl,
    output::{
        do_output,
        output_userspace, //
    },
    psample::execute_psample,
    push_pop::{
        pop_eth,
        pop_mpls,
        pop_nsh,
        pop_vlan,
        push_eth,
        push_mpls,
        push_nsh,
        push_vlan, //
    },
    set::execute_set_action,
    Action,
    NestedActions,
    SampleAction,
    SwFlowActions, //
};
use crate::{
    conntrack::{
        ovs_ct_clear,
        ovs_ct_execute, //
    },
    datapath::Datapath,
    drop::{
        OVS_DROP_ACTION_ERROR,
        OVS_DROP_DEFERRED_LIMIT,
        OVS_DROP_EXPLICIT,
        OVS_DROP_EXPLICIT_WITH_ERROR,
        OVS_DROP_IP_TTL,
        OVS_DROP_LAST_ACTION,
        OVS_DROP_METER,
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
    meter::ovs_meter_execute,
    process::ovs_dp_process_packet,
    trace,
    vport::Vport, //
};

/// How deep actions may be entered for one packet before it is dropped.
const OVS_RECURSION_LIMIT: u32 = 5;
/// Up to this level, lists that need a copy of the key run at once; above it
/// they are deferred.
const OVS_DEFERRED_ACTION_THRESHOLD: u32 = OVS_RECURSION_LIMIT - 2;
/// How many lists can be deferred until all are done. C has an array of one
/// more, `DEFERRED_ACTION_FIFO_SIZE`.
const DEFERRED_ACTION_LIMIT: usize = 9;

/// What a CPU keeps while it runs actions.
///
/// C: `struct ovs_pcpu_storage`.
#[derive(Default)]
pub(crate) struct OvsPcpuStorage {
    /// How deep in actions this CPU is.
    exec_level: Cell<u32>,
    /// How many packets were put off and are not done.
    n_deferred: Cell<u32>,
    /// The packets that were put off; nothing where they were gone on with.
    ///
    /// C: `struct action_fifo`.
    action_fifo: Cell<KVec<Option<DeferredAction>>>,
}

/// C: `ovs_pcpu_storage`.
pub(crate) static OVS_PCPU_STORAGE: StaticPerCpu<OvsPcpuStorage> = StaticPerCpu::new();

/// What is done with a packet apart from the list that runs.
enum Nested<'g> {
    /// Run these actions.
    Actions(&'g Arc<NestedActions>),
    /// Look the packet up again, with this recirculation id.
    Recirc(u32),
}

/// As [`Nested`], of a packet that was put off.
enum DeferredWork {
    Actions(Arc<NestedActions>),
    Recirc,
}

/// A packet to go on with when the actions that run have ended.
///
/// C: `struct deferred_action`.
struct DeferredAction {
    dp: RcuArc<Datapath>,
    in_port: u16,
    skb: KeptSkBuff,
    key: SwFlowKey,
    /// The tunnel that the packet came through.
    tun: Option<KBox<TunnelKey>>,
    work: DeferredWork,
}

/// The execution of actions on a packet that came into the datapath, and on all
/// that comes of it there.
///
/// It is made where a packet is received from a device or from userspace, and
/// passed down from there.
#[derive(Clone, Copy)]
pub(crate) struct Execution<'g> {
    ctx: BhRcu<'g>,
    dp: &'g RcuArc<Datapath>,
    in_port: &'g Vport,
    /// The tunnel that the packet came through. It stays, whatever actions do.
    tun: Option<&'g TunnelKey>,
    pcpu: &'g OvsPcpuStorage,
}

impl<'g> Execution<'g> {
    /// The execution for a new packet, which came in on this port and through
    /// this tunnel. Nothing while the module goes.
    #[inline]
    pub(crate) fn new(
        ctx: BhRcu<'g>,
        in_port: &'g Vport,
        tun: Option<&'g TunnelKey>,
    ) -> Option<Self> {
        Some(Self {
            ctx,
            dp: in_port.dp(),
            in_port,
            tun,
            pcpu: OVS_PCPU_STORAGE.this(ctx)?,
        })
    }

    /// The context that packets are processed in.
    #[inline]
    pub(crate) fn ctx(&self) -> BhRcu<'g> {
        self.ctx
    }

    /// The datapath that the packet is in.
    #[inline]
    pub(crate) fn dp(&self) -> &'g RcuArc<Datapath> {
        self.dp
    }

    /// The port that the packet came in on.
    #[inline]
    pub(crate) fn in_port(&self) -> &'g Vport {
        self.in_port
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
/// `ENETDOWN` when actions were entered too often for this packet.
///
/// C: `ovs_execute_actions()`.
#[inline]
pub(crate) fn ovs_execute_actions<'g>(
    exec: &Execution<'g>,
    mut skb: SkBuff,
    acts: &'g SwFlowActions,
    key: &mut SwFlowKey,
) -> Result {
    let outer_level = exec.pcpu.exec_level.get();
    let level = outer_level.wrapping_add(1);
    if level > OVS_RECURSION_LIMIT {
        return recursion_limit(exec, skb);
    }
    exec.pcpu.exec_level.set(level);

    // CAST: As in C; userspace cannot send more than fits into an attribute.
    skb.cb_mut::<OvsSkbCb>().acts_origlen = acts.orig_len as u16;

    let result = do_execute_actions(exec, skb, key, &acts.list);
    if level == 1 && exec.pcpu.n_deferred.get() != 0 {
        process_deferred_actions(exec.ctx, exec.pcpu);
    }

    exec.pcpu.exec_level.set(outer_level);
    result
}

/// Drops a packet that entered actions too often, and says so.
#[cold]
#[inline(never)]
fn recursion_limit(exec: &Execution<'_>, skb: SkBuff) -> Result {
    if net_ratelimit() {
        let name = exec.dp.local(exec.ctx.rcu()).map(|port| port.name());
        pr_crit!(
            "ovs: recursion limit reached on datapath {}, probable configuration error\n",
            name.as_ref().map_or(c"", DeviceName::as_cstr)
        );
    }
    skb.free(OVS_DROP_RECURSION_LIMIT);
    Err(ENETDOWN)
}

/// Runs a list of actions on a packet.
///
/// A nested list that is last and runs in place goes on in the same loop: lists
/// can be nested 16 deep, at each of the levels that actions are entered at.
/// One that runs in place and is not last does not have another one in it.
///
/// C: `do_execute_actions()`, with `output()`, `sample()`, `clone()`,
/// `execute_check_pkt_len()` and `execute_recirc()`.
#[inline(never)]
fn do_execute_actions<'g>(
    exec: &Execution<'g>,
    mut skb: SkBuff,
    key: &mut SwFlowKey,
    mut actions: &'g [Action],
) -> Result {
    let ctx = exec.ctx;
    let mut iter = actions.iter();
    while let Some(action) = iter.next() {
        let last = iter.as_slice().is_empty();
        if trace::do_execute_action_enabled() {
            trace::do_execute_action(ctx, exec.dp, &skb, key, action, last);
        }
        let result = match action {
            Action::Output(port) => {
                if last {
                    do_output(exec, skb, *port, key);
                    return Ok(());
                }
                if let Some(clone) = skb.try_clone(GFP_ATOMIC) {
                    do_output(exec, clone, *port, key);
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
                output_userspace(exec, &mut skb, key, userspace, actions);
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
            Action::Meter(meter_id) => {
                if ovs_meter_execute(ctx, exec.dp, &skb, *meter_id) {
                    skb.free(OVS_DROP_METER);
                    return Ok(());
                }
                Ok(())
            }
            Action::Ct(info) => match update_key(&mut skb, key) {
                Err(e) => Err(e),
                Ok(()) => match exec.dp.net().get(ctx.rcu()) {
                    None => Err(ENODEV),
                    Some(net) => match ovs_ct_execute(ctx.rcu(), net, skb, key, info)? {
                        Some(passed) => {
                            skb = passed;
                            Ok(())
                        }
                        // Fragments that wait for others are nothing to tell.
                        None => return Ok(()),
                    },
                },
            },
            Action::CtClear => ovs_ct_clear(&mut skb, key),
            Action::PushEth { src, dst } => push_eth(&mut skb, key, src, dst),
            Action::PopEth => pop_eth(&mut skb, key),
            Action::PushMpls { lse, ethertype, .. } => {
                let mac_len = skb.mac_len();
                push_mpls(&mut skb, key, *lse, *ethertype, mac_len)
            }
            Action::AddMpls {
                lse,
                ethertype,
                tun_flags,
            } => {
                let mac_len = match tun_flags & uapi::OVS_MPLS_L3_TUNNEL_FLAG_MASK as u16 {
                    0 => 0,
                    _ => skb.mac_len(),
                };
                push_mpls(&mut skb, key, *lse, *ethertype, mac_len)
            }
            Action::PopMpls(ethertype) => pop_mpls(&mut skb, key, *ethertype),
            Action::PushNsh(nsh) => push_nsh(&mut skb, key, &nsh.header),
            Action::PopNsh => pop_nsh(&mut skb, key),
            Action::Drop(error) => {
                skb.free(match error {
                    0 => OVS_DROP_EXPLICIT,
                    _ => OVS_DROP_EXPLICIT_WITH_ERROR,
                });
                return Ok(());
            }
            Action::Psample(psample) => {
                execute_psample(exec, &skb, psample);
                skb.cb_mut::<OvsSkbCb>().cutlen = u32::MAX;
                if last {
                    skb.consume();
                    return Ok(());
                }
                Ok(())
            }
            Action::DecTtl(nested) => match execute_dec_ttl(&mut skb, key) {
                // C: `dec_ttl_exception_handler()`.
                Err(e) if e == EHOSTUNREACH => {
                    if nested.actions.is_empty() {
                        skb.free(OVS_DROP_IP_TTL);
                        return Ok(());
                    }
                    actions = &nested.actions;
                    iter = actions.iter();
                    continue;
                }
                result => result,
            },
            // From here on, actions that do something apart from this list, on
            // the packet if they are last and on a copy of it otherwise.
            Action::Recirc(recirc_id) => match update_key(&mut skb, key) {
                Err(e) => Err(e),
                Ok(()) if last => return clone_execute(exec, skb, key, Nested::Recirc(*recirc_id)),
                Ok(()) => with_clone(&skb, |clone| {
                    clone_execute(exec, clone, key, Nested::Recirc(*recirc_id))
                }),
            },
            Action::Clone(_) | Action::Sample(_) | Action::CheckPktLen(_) => {
                let Some((nested, probability)) = nested_of(action, &skb) else {
                    if last {
                        break;
                    }
                    continue;
                };
                if last {
                    if let Some(probability) = probability {
                        skb.cb_mut::<OvsSkbCb>().probability = probability;
                    }
                    if nested.exec {
                        actions = &nested.actions;
                        iter = actions.iter();
                        continue;
                    }
                    return clone_execute(exec, skb, key, Nested::Actions(nested));
                }
                with_clone(&skb, |mut clone| {
                    if let Some(probability) = probability {
                        clone.cb_mut::<OvsSkbCb>().probability = probability;
                    }
                    if nested.exec {
                        do_execute_actions(exec, clone, key, &nested.actions)
                    } else {
                        clone_execute(exec, clone, key, Nested::Actions(nested))
                    }
                })
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

/// Calls `f` with a clone of the packet. Where there is no memory for one, the
/// action is left out, as in C.
#[inline]
fn with_clone(skb: &SkBuff, f: impl FnOnce(SkBuff) -> Result) -> Result {
    match skb.try_clone(GFP_ATOMIC) {
        Some(clone) => f(clone),
        None => Ok(()),
    }
}

/// The list that is nested in an action, and the probability that the packet
/// has there if that changes. Nothing for a packet that is not sampled.
#[inline]
fn nested_of<'a>(
    action: &'a Action,
    skb: &SkBuff,
) -> Option<(&'a Arc<NestedActions>, Option<u32>)> {
    match action {
        Action::Clone(nested) => Some((nested, None)),
        Action::Sample(sample) => {
            let SampleAction {
                probability,
                nested,
            } = &**sample;
            is_sampled(*probability).then_some((nested, Some(*probability)))
        }
        Action::CheckPktLen(check) => Some((execute_check_pkt_len(skb, check), None)),
        _ => None,
    }
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
///
/// C: `execute_hash()`.
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

/// Runs a nested list of actions, or looks the packet up again, on a copy of
/// the key: now, or when the actions that run have ended.
///
/// C: `clone_execute()`, whose caller has cloned the packet here, and
/// `clone_key()`.
#[inline(never)]
fn clone_execute(exec: &Execution<'_>, skb: SkBuff, key: &SwFlowKey, nested: Nested<'_>) -> Result {
    let exec_level = &exec.pcpu.exec_level;
    let level = exec_level.get();
    if level > OVS_DEFERRED_ACTION_THRESHOLD {
        add_deferred_actions(exec, skb, key, nested);
        return Ok(());
    }

    let mut key = *key;
    match nested {
        Nested::Actions(nested) => {
            exec_level.set(level.wrapping_add(1));
            let result = do_execute_actions(exec, skb, &mut key, &nested.actions);
            exec_level.set(level);
            result
        }
        Nested::Recirc(recirc_id) => {
            key.recirc_id = recirc_id;
            ovs_dp_process_packet(exec, skb, &mut key);
            Ok(())
        }
    }
}

/// Puts a packet off until the actions that run have ended. Drops it, and says
/// so, where too many are.
///
/// C: `add_deferred_actions()`, `action_fifo_put()`.
#[cold]
#[inline(never)]
fn add_deferred_actions(exec: &Execution<'_>, skb: SkBuff, key: &SwFlowKey, nested: Nested<'_>) {
    let mut fifo = exec.pcpu.action_fifo.take();
    let room = fifo.len() < DEFERRED_ACTION_LIMIT
        && fifo
            .reserve(DEFERRED_ACTION_LIMIT.saturating_sub(fifo.len()), GFP_ATOMIC)
            .is_ok();
    let tun = match exec.tun {
        Some(tun) => KBox::new(*tun, GFP_ATOMIC).ok().map(Some),
        None => Some(None),
    };
    let (true, Some(tun)) = (room, tun) else {
        exec.pcpu.action_fifo.set(fifo);
        skb.free(OVS_DROP_DEFERRED_LIMIT);
        return deferred_limit(exec, nested);
    };

    let mut key = *key;
    let work = match nested {
        Nested::Actions(nested) => DeferredWork::Actions(nested.clone()),
        Nested::Recirc(recirc_id) => {
            key.recirc_id = recirc_id;
            DeferredWork::Recirc
        }
    };
    // There is room for it. Were there not, the packet would be dropped here.
    let _ = fifo.push_within_capacity(Some(DeferredAction {
        dp: exec.dp.clone(),
        in_port: exec.in_port.port_no(),
        skb: skb.keep(),
        key,
        tun,
        work,
    }));
    exec.pcpu.action_fifo.set(fifo);
    let n_deferred = &exec.pcpu.n_deferred;
    n_deferred.set(n_deferred.get().wrapping_add(1));
}

/// Says that too many packets were put off.
#[cold]
#[inline(never)]
fn deferred_limit(exec: &Execution<'_>, nested: Nested<'_>) {
    if !net_ratelimit() {
        return;
    }
    let name = exec.dp.local(exec.ctx.rcu()).map(|port| port.name());
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
///
/// C: `process_deferred_actions()`, and `action_fifo_get()`.
#[cold]
#[inline(never)]
fn process_deferred_actions(ctx: BhRcu<'_>, pcpu: &OvsPcpuStorage) {
    let mut next = 0usize;
    loop {
        // What runs may put more off: nothing of the list is held meanwhile.
        let mut fifo = pcpu.action_fifo.take();
        let Some(deferred) = fifo.get_mut(next).map(Option::take) else {
            // Reset the list for the next packet, and keep its memory.
            fifo.clear();
            pcpu.action_fifo.set(fifo);
            break;
        };
        pcpu.action_fifo.set(fifo);
        next = next.wrapping_add(1);
        if let Some(deferred) = deferred {
            deferred.run(ctx);
        }
    }
    pcpu.n_deferred.set(0);
}

impl DeferredAction {
    /// Goes on with the packet. It is dropped where its port has gone meanwhile.
    fn run(self, ctx: BhRcu<'_>) {
        let Self {
            dp,
            in_port,
            skb,
            mut key,
            tun,
            work,
        } = self;
        let exec = dp
            .port(in_port.into(), ctx.rcu())
            .and_then(|in_port| Execution::new(ctx, in_port, tun.as_deref()));
        let Some(exec) = exec else {
            return drop(skb);
        };
        let skb = skb.resume(exec.in_port.dev(), ctx.rcu());
        match work {
            DeferredWork::Actions(nested) => {
                // The packet is dropped where an action fails.
                let _ = do_execute_actions(&exec, skb, &mut key, &nested.actions);
            }
            DeferredWork::Recirc => ovs_dp_process_packet(&exec, skb, &mut key),
        }
    }
}
