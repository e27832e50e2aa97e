// SPDX-License-Identifier: GPL-2.0

//! The engine: takes flows from its queue and makes rules of them.
//!
//! A job says that something about a flow may have changed, and not what: the
//! engine compares what the flow is now with the rule there is for it. One work
//! item does the jobs in their order, so a rule goes before the rule of a later
//! flow with the same match comes.

use core::{
    mem,
    sync::atomic::{
        AtomicU64,
        AtomicUsize,
        Ordering, //
    },
};

use kernel::{
    c_str,
    error::code,
    new_mutex,
    prelude::*,
    rbtree::{
        RBTree,
        RBTreeNodeReservation, //
    },
    static_lock_class,
    sync::{
        Arc,
        Mutex, //
    },
};

use kernel_ext::{
    net::{
        flow_offload::{
            DriverText,
            FlowBlock,
            HwDelta, //
        },
        namespace::Net,
    },
    sync::rcu::{
        RcuArc,
        RcuSlot, //
    },
    workqueue::{
        delayed::{
            StaticDelayedWork,
            StaticDelayedWorkGuard, //
        },
        StaticWork,
        StaticWorkGuard, //
    },
};

use super::{
    netlink::flow_moved,
    policy,
    reason::Reason,
    rule::{
        translate,
        Translated, //
    },
    state::{
        State,
        Status, //
    },
};
use crate::{
    datapath::{
        state::ovs_lock,
        Datapath, //
    },
    flow::SwFlow, //
};

/// Something that may have changed.
pub(crate) enum Job {
    /// The flow is new, has other actions, or is under another policy.
    Sync {
        /// Its datapath.
        dp: RcuArc<Datapath>,
        /// The flow.
        flow: RcuArc<SwFlow>,
    },
    /// The flow of the rule with this cookie is out of the table.
    Remove(usize),
    /// All flows that were in the datapath's table are out of it.
    Flush(RcuArc<Datapath>),
    /// The driver of a port takes rules.
    PortBound {
        /// Its datapath.
        dp: RcuArc<Datapath>,
        /// Its number there.
        port_no: u16,
    },
    /// There is a new port, which flows may already send to.
    PortAdded(RcuArc<Datapath>),
    /// A port is gone, which flows may still send to.
    PortRemoved {
        /// Its datapath.
        dp: RcuArc<Datapath>,
        /// Its number there.
        port_no: u16,
    },
}

/// A rule in hardware, and those who look at it.
type RuleRef = Arc<Rule>;

/// A rule in hardware.
struct Rule {
    flow: RcuArc<SwFlow>,
    dp: RcuArc<Datapath>,
    block: Arc<FlowBlock>,
    /// The numbers of the ports that it sends to.
    out_ports: KVec<u16>,
}

impl Rule {
    fn sends_to(&self, port_no: u16) -> bool {
        self.out_ports.contains(&port_no)
    }
}

/// How long hardware is not asked for its counters, in milliseconds. Drivers
/// look at their hardware about as often.
const STATS_INTERVAL: u32 = 1000;

/// Rules that are looked at before the table of rules is unlocked.
const BATCH: usize = 128;

/// All rules have the same priority: no two flows match on the same packet.
const PRIO: u32 = 1;

static WORK: StaticWork = StaticWork::new(work, c_str!("ovs_offload"), static_lock_class!());

static STATS_WORK: StaticDelayedWork = StaticDelayedWork::new(
    stats_work,
    c_str!("ovs_offload_stats"),
    [static_lock_class!(), static_lock_class!()],
);

/// The engine, while the module is loaded.
pub(super) static ENGINE: RcuSlot<Engine> = RcuSlot::empty();

/// How often the engine has done what since the module was loaded.
#[derive(Default)]
pub(crate) struct Totals {
    /// Rules installed.
    pub(crate) installed: AtomicU64,
    /// Flows that could not be said as a rule.
    pub(crate) refused: AtomicU64,
    /// Rules that a driver did not take.
    pub(crate) failed: AtomicU64,
    /// Rules destroyed, or gone with their port.
    pub(crate) removed: AtomicU64,
}

/// See the module documentation.
pub(crate) struct Engine {
    queue: Pin<KBox<Mutex<KVVec<Job>>>>,
    rules: Pin<KBox<Mutex<RBTree<usize, RuleRef>>>>,
    n_rules: AtomicUsize,
    next_cookie: AtomicUsize,
    /// See [`Totals`].
    pub(crate) totals: Totals,
}

fn work() {
    if let Some(engine) = ENGINE.load() {
        engine.run();
    }
}

fn stats_work() {
    if let Some(engine) = ENGINE.load() {
        engine.poll();
        if engine.n_rules() != 0 {
            STATS_WORK.queue(STATS_INTERVAL);
        }
    }
}

impl Engine {
    fn new() -> Result<Self> {
        Ok(Engine {
            queue: KBox::pin_init(new_mutex!(KVVec::new(), "Engine::queue"), GFP_KERNEL)?,
            rules: KBox::pin_init(new_mutex!(RBTree::new(), "Engine::rules"), GFP_KERNEL)?,
            n_rules: AtomicUsize::new(0),
            next_cookie: AtomicUsize::new(1),
            totals: Totals::default(),
        })
    }

    /// How many rules there are.
    pub(crate) fn n_rules(&self) -> usize {
        self.n_rules.load(Ordering::Relaxed)
    }

    /// Queues a job. Without memory it is not done: a flow stays where it is,
    /// and a rule whose flow is gone goes when its counters are read next.
    pub(super) fn queue(&self, job: Job) {
        if let Err(err) = self.queue.lock().push(job, GFP_KERNEL) {
            // What is left of the job goes after the lock.
            let _ = err;
        }
        WORK.queue();
    }

    fn run(&self) {
        loop {
            let jobs = mem::replace(&mut *self.queue.lock(), KVVec::new());
            if jobs.is_empty() {
                break;
            }
            for job in jobs {
                match job {
                    Job::Sync { dp, flow } => self.sync(&dp, &flow),
                    Job::Remove(cookie) => self.remove(cookie),
                    Job::Flush(dp) => self.flush(&dp),
                    Job::PortBound { dp, port_no } => sync_port(&dp, port_no),
                    Job::PortAdded(dp) => sync_flows(&dp, |flow| {
                        flow.offload.status().reason == Reason::OutputGone.code()
                    }),
                    Job::PortRemoved { dp, port_no } => self.port_removed(&dp, port_no),
                }
            }
        }
    }

    /// Makes the rule of a flow what it has to be.
    fn sync(&self, dp: &RcuArc<Datapath>, flow: &RcuArc<SwFlow>) {
        flow.offload.clear_queued();
        if flow.offload.is_dead() {
            self.remove_of(flow);
            return;
        }

        let mut text = DriverText::new();
        match self.install(dp, flow, &mut text) {
            Ok(()) => {
                if flow.offload.set_status(Status::of(State::InHw), "") {
                    flow_moved(dp, flow);
                }
                // The flow may have gone from the table before its cookie was
                // there to be seen.
                if flow.offload.is_dead() {
                    self.remove_of(flow);
                }
            }
            Err(status) => {
                let was = flow.offload.cookie().is_some();

                self.remove_of(flow);
                flow.offload.set_status(status, text.as_str());
                if was {
                    flow_moved(dp, flow);
                }
                match status.state {
                    State::Refused => self.totals.refused.fetch_add(1, Ordering::Relaxed),
                    State::Failed | State::NoSpace => {
                        self.totals.failed.fetch_add(1, Ordering::Relaxed)
                    }
                    _ => 0,
                };
            }
        }
    }

    /// Installs a rule for a flow and then destroys the one it had, so that
    /// there always is one.
    #[inline(never)]
    fn install(
        &self,
        dp: &RcuArc<Datapath>,
        flow: &RcuArc<SwFlow>,
        text: &mut DriverText,
    ) -> Result<(), Status> {
        if !policy::allows(dp, flow) {
            return Err(Status::of(State::Policy));
        }
        // Drivers look up what hardware did not finish in the first namespace.
        if dp.net().get() != Net::init() {
            return Err(Status::of(State::NoBlock));
        }
        let mut rule = rule_of(dp, flow)?;
        // A packet that misses in the middle comes back without its recirculation
        // id.
        if rule.chain != 0 || rule.goto_chain.is_some() {
            return Err(Status {
                reason: Reason::NoChains.code(),
                ..Status::of(State::Refused)
            });
        }
        if !policy::port_allows(&rule.in_port) {
            return Err(Status::of(State::Policy));
        }
        let block = rule
            .in_port
            .block()
            .get_or_retry(&rule.in_port)
            .ok_or(Status::of(State::NoBlock))?;

        let failed = |err: Error| Status {
            errno: err.to_errno().unsigned_abs() as u16,
            ..Status::of(match err {
                code::ENOSPC => State::NoSpace,
                code::ENODEV => State::NoBlock,
                _ => State::Failed,
            })
        };
        let node = RBTreeNodeReservation::new(GFP_KERNEL).map_err(failed)?;
        let entry = Arc::new(
            Rule {
                flow: flow.clone(),
                dp: dp.clone(),
                block: block.clone(),
                out_ports: mem::take(&mut rule.out_ports),
            },
            GFP_KERNEL,
        )
        .map_err(|err| failed(err.into()))?;
        let cookie = self.next_cookie.fetch_add(1, Ordering::Relaxed);
        block
            .replace(cookie, PRIO, rule.chain, &rule.rule, text)
            .map_err(failed)?;

        self.rules.lock().insert(node.into_node(cookie, entry));
        if self.n_rules.fetch_add(1, Ordering::Relaxed) == 0 {
            STATS_WORK.queue(STATS_INTERVAL);
        }
        self.totals.installed.fetch_add(1, Ordering::Relaxed);

        if let Some(old) = flow.offload.set_cookie(cookie) {
            self.remove(old);
        }
        // If the port went between the driver and the table of rules, whoever
        // unbound it did not find the rule there.
        if !block.is_bound() {
            self.rule_gone(cookie, &HwDelta::default());
            return Err(Status::of(State::NoBlock));
        }
        Ok(())
    }

    fn take(&self, cookie: usize) -> Option<RuleRef> {
        let rule = self.rules.lock().remove(&cookie)?;

        self.n_rules.fetch_sub(1, Ordering::Relaxed);
        self.totals.removed.fetch_add(1, Ordering::Relaxed);
        Some(rule)
    }

    /// Destroys a rule, if it is still there.
    fn remove(&self, cookie: usize) {
        let Some(rule) = self.take(cookie) else {
            return;
        };

        // An error is that it has gone with its port; then its last counts have
        // come by `rule_gone()`, or nobody has them.
        if let Ok(delta) = rule.block.destroy(cookie) {
            rule.flow.offload.add(&delta);
        }
        rule.flow.offload.clear_cookie(cookie);
    }

    fn remove_of(&self, flow: &SwFlow) {
        if let Some(cookie) = flow.offload.cookie() {
            self.remove(cookie);
        }
    }

    /// Takes note that a rule has gone from the hardware.
    pub(super) fn rule_gone(&self, cookie: usize, delta: &HwDelta) {
        let Some(rule) = self.take(cookie) else {
            return;
        };

        rule.flow.offload.add(delta);
        if rule.flow.offload.clear_cookie(cookie) {
            rule.flow.offload.set_status(Status::of(State::NoBlock), "");
            flow_moved(&rule.dp, &rule.flow);
        }
    }

    /// Destroys all rules of a datapath.
    fn flush(&self, dp: &RcuArc<Datapath>) {
        self.for_each(|cookie, rule| {
            if RcuArc::ptr_eq(&rule.dp, dp) {
                self.remove(cookie);
            }
        });
    }

    /// Has the rules that send to a port that is gone look for another way.
    fn port_removed(&self, dp: &RcuArc<Datapath>, port_no: u16) {
        self.for_each(|_, rule| {
            if RcuArc::ptr_eq(&rule.dp, dp) && rule.sends_to(port_no) {
                self.sync(dp, &rule.flow);
            }
        });
    }

    /// Calls `f` with each rule, which may sleep and destroy rules.
    fn for_each(&self, mut f: impl FnMut(usize, &RuleRef)) {
        let mut from = 0;

        while let Some(batch) = self.batch(from) {
            for (cookie, rule) in &batch {
                from = cookie.saturating_add(1);
                f(*cookie, rule);
            }
        }
    }

    /// Some rules with cookies of at least `from`, in the order of their
    /// cookies; nothing at the end.
    fn batch(&self, from: usize) -> Option<KVec<(usize, RuleRef)>> {
        let mut batch = KVec::with_capacity(BATCH, GFP_KERNEL).ok()?;
        let mut rules = self.rules.lock();
        let mut cursor = rules.cursor_lower_bound_mut(&from);

        while let Some(at) = cursor {
            if batch.len() == BATCH {
                break;
            }
            let (cookie, rule) = at.current();
            batch.push((*cookie, rule.clone()), GFP_KERNEL).ok()?;
            cursor = at.move_next();
        }
        (!batch.is_empty()).then_some(batch)
    }

    /// Reads the counters of all rules, and destroys those whose flow is gone.
    fn poll(&self) {
        self.for_each(|cookie, rule| {
            if rule.flow.offload.is_dead() {
                self.remove(cookie);
            } else if let Ok(delta) = rule.block.stats(cookie) {
                rule.flow.offload.add(&delta);
            }
        });
    }
}

/// The rule of a flow, which is large: it is not on the stack of drivers.
#[inline(never)]
fn rule_of(dp: &RcuArc<Datapath>, flow: &SwFlow) -> Result<KBox<Translated>, Status> {
    let acts = flow.load_actions();
    let refused = |reason: Reason| Status {
        reason: reason.code(),
        ..Status::of(State::Refused)
    };
    let rule = translate(dp, flow, &acts).map_err(refused)?;

    KBox::new(rule, GFP_KERNEL).map_err(|_| refused(Reason::NoMemory))
}

/// Has the engine look at all flows that match on a port.
fn sync_port(dp: &RcuArc<Datapath>, port_no: u16) {
    sync_flows(dp, |flow| flow.key().in_port == port_no);
}

/// Has the engine look at all flows of a datapath that `f` accepts.
pub(crate) fn sync_flows(dp: &RcuArc<Datapath>, f: impl Fn(&SwFlow) -> bool) {
    let lock = ovs_lock();

    dp.table.for_each(&lock, |flow| {
        if f(flow) {
            super::sync_flow(dp, flow);
        }
    });
}

/// The engine runs for as long as this lives. Nothing must bind ports or change
/// flows any more when it is dropped.
pub(crate) struct EngineGuard {
    _work: StaticWorkGuard,
    _stats: StaticDelayedWorkGuard,
    _remains: Remains,
}

/// Jobs that were not done, and rules whose ports are gone. They are dropped
/// here and not with the engine's memory, where nothing may sleep.
struct Remains(RcuArc<Engine>);

impl EngineGuard {
    /// Starts the engine.
    pub(crate) fn new() -> Result<Self> {
        let engine = RcuArc::new(Engine::new()?, GFP_KERNEL)?;
        let guard = EngineGuard {
            _work: WORK.enable()?,
            _stats: STATS_WORK.enable()?,
            _remains: Remains(engine.clone()),
        };

        ENGINE.replace(Some(engine));
        Ok(guard)
    }
}

impl Drop for EngineGuard {
    fn drop(&mut self) {
        // Nothing new. The fields wait for work that runs.
        ENGINE.replace(None);
    }
}

impl Drop for Remains {
    fn drop(&mut self) {
        drop(mem::replace(&mut *self.0.queue.lock(), KVVec::new()));
        drop(mem::replace(&mut *self.0.rules.lock(), RBTree::new()));
    }
}
