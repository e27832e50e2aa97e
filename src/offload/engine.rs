// SPDX-License-Identifier: GPL-2.0

//! The engine: takes flows from its queues and makes rules of them.
//!
//! A job says that something about a flow may have changed, and not what: the
//! engine compares what the flow is now with the rule there is for it. A flow
//! has a rule, or waits for one, or neither; the cookie of either is in the
//! flow, and the rest in a table of its lane.

use core::{
    mem,
    sync::atomic::{
        AtomicU64,
        AtomicUsize,
        Ordering, //
    },
};

use kernel::{
    error::code::EOPNOTSUPP,
    new_mutex,
    prelude::*,
    sync::{
        Arc,
        Mutex, //
    },
};

use kernel_ext::{
    net::{
        flow_offload::{
            DriverText,
            HwDelta, //
        },
        namespace::Net,
        netdevice::PortParentId,
    },
    sync::rcu::{
        RcuArc,
        RcuSlot, //
    },
    time::boot_msecs, //
};

use super::{
    block,
    chain::{
        ChainUse,
        Chains, //
    },
    hardware::Verdict,
    job::{
        For,
        Job,
        Rule,
        Stay,
        Waiting, //
    },
    lane::{
        self,
        Lane,
        LanesGuard, //
    },
    netlink::flow_moved,
    policy,
    poll::{
        self,
        PollGuard,
        PollState, //
    },
    probe,
    reason::Reason,
    rule::{
        translate,
        Translated, //
    },
    space::Space,
    state::{
        State,
        Status, //
    },
    table::Place,
    total_stats,
    trace,
    tunnel::IGNORABLE_FLAGS,
    twin,
    urgent::Flushed, //
};
use crate::{
    datapath::{
        state::ovs_lock,
        Datapath, //
    },
    flow::SwFlow, //
};

/// All rules have the same priority: no two flows match on the same packet.
pub(super) const PRIO: u32 = 1;

/// The engine, while the module is loaded.
pub(crate) static ENGINE: RcuSlot<Engine> = RcuSlot::empty();

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
    /// Rules that made room for those of busier flows.
    pub(crate) displaced: AtomicU64,
}

/// See the module documentation.
pub(crate) struct Engine {
    lanes: KVec<Lane>,
    next: AtomicUsize,
    spaces: Pin<KBox<Mutex<KVec<Arc<Space>>>>>,
    pub(super) chains: Chains,
    pub(super) polled: Pin<KBox<Mutex<PollState>>>,
    pub(super) flushed: Flushed,
    /// See [`Totals`].
    pub(crate) totals: Totals,
}

impl Engine {
    fn new() -> Result<Self> {
        let mut lanes = KVec::with_capacity(lane::LANES, GFP_KERNEL)?;

        for _ in lane::ALL {
            lanes.push(Lane::new()?, GFP_KERNEL)?;
        }
        Ok(Engine {
            lanes,
            next: AtomicUsize::new(1),
            spaces: KBox::pin_init(new_mutex!(KVec::new(), "Engine::spaces"), GFP_KERNEL)?,
            chains: Chains::new()?,
            polled: KBox::pin_init(new_mutex!(PollState::new(), "Engine::polled"), GFP_KERNEL)?,
            flushed: Flushed::new()?,
            totals: Totals::default(),
        })
    }

    /// How many rules there are.
    pub(crate) fn n_rules(&self) -> usize {
        self.lanes.iter().fold(0, |n: usize, lane| {
            n.saturating_add(lane.rules.len()) //
        })
    }

    /// How many flows wait.
    pub(crate) fn n_waiting(&self) -> usize {
        self.lanes.iter().fold(0, |n: usize, lane| {
            n.saturating_add(lane.waiting.len()) //
        })
    }

    /// A lane by its number.
    pub(super) fn lane(&self, lane: usize) -> Option<&Lane> {
        self.lanes.get(lane)
    }

    /// The lane of a cookie.
    pub(super) fn lane_of(&self, cookie: usize) -> Option<&Lane> {
        self.lane(lane::of_cookie(cookie))
    }

    /// The room in the hardware of this switch, or in hardware of its own.
    pub(super) fn space_of(&self, id: Option<PortParentId>) -> Result<Arc<Space>> {
        let Some(id) = id else {
            return self.new_space(None);
        };
        let found = {
            let spaces = self.spaces.lock();

            // What was learned is forgotten with the last port.
            spaces
                .iter()
                .find(|space| space.is(&id) && space.users.load(Ordering::Relaxed) != 0)
                .cloned()
        };
        // Ports are bound one after the other, under the rtnl lock.
        found.map_or_else(|| self.new_space(Some(id)), Ok)
    }

    fn new_space(&self, id: Option<PortParentId>) -> Result<Arc<Space>> {
        let space = Space::new(id)?;
        let mut spaces = self.spaces.lock();

        spaces.retain(|space| space.users.load(Ordering::Relaxed) != 0);
        spaces.push(space.clone(), GFP_KERNEL)?;
        Ok(space)
    }

    /// Calls `f` with each piece of hardware's room.
    pub(super) fn for_each_space(&self, mut f: impl FnMut(&Space)) {
        let mut index = 0_usize;

        loop {
            let Some(space) = self.spaces.lock().get(index).cloned() else {
                return;
            };
            f(&space);
            index = index.saturating_add(1);
        }
    }

    /// Queues a job, and gives whether there was memory for it. Otherwise it is
    /// not done: a flow stays where it is, and a rule whose flow is gone goes
    /// when its counters are read next.
    pub(super) fn queue(&self, lane: usize, job: Job) -> bool {
        let Some(to) = self.lane(lane) else {
            return false;
        };
        // What is left of the job goes after the lock.
        let pushed = to.queue.lock().push(job, GFP_KERNEL);

        lane::wake(lane);
        pushed.is_ok()
    }

    /// Queues a flow, which knows of that already.
    pub(super) fn queue_sync(&self, dp: &RcuArc<Datapath>, flow: &RcuArc<SwFlow>) {
        let job = Job::Sync {
            dp: dp.clone(),
            flow: flow.clone(),
        };
        if !self.queue(lane::of_flow(flow), job) {
            flow.offload.clear_queued();
        }
    }

    /// Has a flow that waits tried again, if it still waits then.
    pub(super) fn retry(&self, cookie: usize, waiting: &Waiting, its_turn: bool) {
        if waiting.queued.swap(true, Ordering::Relaxed) {
            return;
        }
        if !self.queue(lane::of_cookie(cookie), Job::Retry { cookie, its_turn }) {
            waiting.queued.store(false, Ordering::Relaxed);
        }
    }

    /// Has a flow that waits, if it still does, take room.
    pub(super) fn retry_cookie(&self, cookie: usize) {
        if let Some(waiting) = self.waiting(cookie) {
            self.retry(cookie, &waiting, true);
        }
    }

    fn waiting(&self, cookie: usize) -> Option<Arc<Waiting>> {
        self.lane_of(cookie)?.waiting.get(cookie)
    }

    /// Does the jobs of a lane.
    pub(super) fn run(&self, number: usize) {
        let Some(lane) = self.lane(number) else {
            return;
        };
        loop {
            self.run_urgent(lane);
            let jobs = mem::replace(&mut *lane.queue.lock(), KVVec::new());
            if jobs.is_empty() {
                break;
            }
            // Once for all of them, as what they tell of has happened.
            let mut offered = false;
            for job in jobs {
                self.run_flushes(lane);
                match job {
                    Job::Sync { dp, flow } => {
                        let _turn = self.turn(lane);

                        flow.offload.clear_queued();
                        self.sync(&dp, &flow, false);
                    }
                    Job::Retry { cookie, its_turn } => {
                        let _turn = self.turn(lane);

                        if let Some(waiting) = self.waiting(cookie) {
                            waiting.queued.store(false, Ordering::Relaxed);
                            self.sync(&waiting.dp, &waiting.flow, its_turn);
                        }
                    }
                    Job::Swap { cold, hot } => {
                        let _turn = self.turn(lane);

                        self.swap(cold, hot);
                    }
                    Job::PortBound { dp, port_no } => sync_port(&dp, port_no),
                    Job::Offer if mem::replace(&mut offered, true) => (),
                    Job::Offer => block::offer_tunnels(),
                    Job::PortAdded(dp) => sync_flows(&dp, |flow| {
                        Reason::is_of_output(flow.offload.status().reason)
                    }),
                    Job::PortRemoved { dp, port_no } => self.port_removed(lane, &dp, port_no),
                }
            }
        }
    }

    /// Makes the rule of a flow what it has to be. It is the flow's lane's turn.
    pub(super) fn sync(&self, dp: &RcuArc<Datapath>, flow: &RcuArc<SwFlow>, its_turn: bool) {
        flow.offload.set_busy(true);
        self.sync_busy(dp, flow, its_turn);
        flow.offload.set_busy(false);
    }

    fn sync_busy(&self, dp: &RcuArc<Datapath>, flow: &RcuArc<SwFlow>, its_turn: bool) {
        if flow.offload.is_dead(dp) {
            self.remove_of(flow);
            twin::sync(dp, flow);
            return;
        }

        let was = flow.offload.cookie().is_some_and(|old| !lane::waits(old));
        let mut text = DriverText::new();
        match self.install(dp, flow, its_turn, &mut text) {
            Ok(status) => {
                if flow.offload.set_status(status, "") {
                    moved(dp, flow);
                }
                // It may have gone with its port since, see `rule_gone()`.
                if flow.offload.cookie().is_none() {
                    flow.offload.set_status(Status::of(State::NoBlock), "");
                }
            }
            Err(Stay { status, wait }) => {
                match status.state {
                    State::Refused => self.totals.refused.fetch_add(1, Ordering::Relaxed),
                    State::Failed | State::NoSpace if status.errno != 0 => {
                        self.totals.failed.fetch_add(1, Ordering::Relaxed)
                    }
                    _ => 0,
                };
                self.wait(dp, flow, wait);
                flow.offload.set_status(status, text.as_str());
                trace::refuse(flow);
                if was {
                    moved(dp, flow);
                }
            }
        }
        // The flow may have gone from the table before its cookie was there to
        // be seen.
        if flow.offload.is_dead(dp) {
            self.remove_of(flow);
        }
        twin::sync(dp, flow);
    }

    /// Has a flow wait for something, or for nothing, in place of what it had or
    /// waited for before.
    fn wait(&self, dp: &RcuArc<Datapath>, flow: &RcuArc<SwFlow>, what: Option<For>) {
        if let (Some(what), Some(old)) = (&what, flow.offload.cookie()) {
            // What has been measured is not to be lost.
            if self.waiting(old).is_some_and(|old| old.what.is(what)) {
                return;
            }
        }
        self.remove_of(flow);
        if let Some(what) = what {
            // Without memory it stays where it is until something changes.
            let _ = self.enter(dp, flow, what);
        }
    }

    fn enter(&self, dp: &RcuArc<Datapath>, flow: &RcuArc<SwFlow>, what: For) -> Result {
        let number = lane::of_flow(flow);
        let lane = self.lane(number).ok_or(EINVAL)?;
        let place = Place::new(GFP_KERNEL)?;
        let room = match &what {
            For::Room(hw) => Some(hw.clone()),
            _ => None,
        };
        let waiting = Arc::new(Waiting::new(dp, flow, what), GFP_KERNEL)?;
        let cookie = self.new_cookie(number, true);

        if let Some(hw) = room {
            hw.space.enter();
        }
        lane.waiting.insert(place, cookie, waiting);
        flow.offload.set_cookie(cookie);
        poll::wake(self);
        Ok(())
    }

    fn new_cookie(&self, lane: usize, waits: bool) -> usize {
        lane::cookie(self.next.fetch_add(1, Ordering::Relaxed), lane, waits)
    }

    /// Installs a rule for a flow and then destroys the one it had, so that
    /// there always is one, but for hardware that has no room for both. Gives
    /// how the flow stands then.
    #[inline(never)]
    fn install(
        &self,
        dp: &RcuArc<Datapath>,
        flow: &RcuArc<SwFlow>,
        its_turn: bool,
        text: &mut DriverText,
    ) -> Result<Status, Stay> {
        if !policy::allows(dp, flow) {
            return Err(State::Policy.into());
        }
        // Drivers look up what hardware did not finish in the first namespace.
        if !dp.net().is(Net::init()) {
            return Err(State::NoBlock.into());
        }
        let old = flow.offload.cookie().filter(|&old| !lane::waits(old));
        // Flows that are in hardware stay there.
        let min_packets = u64::from(dp.offload.min_packets());
        if old.is_none() && min_packets != 0 && total_stats(flow).packets < min_packets {
            return Err(Stay {
                status: Status::of(State::Delayed),
                wait: Some(For::Packets),
            });
        }

        let mut rule = rule_of(dp, flow)?;
        let chains = self
            .use_chains(dp, &mut rule)
            .map_err(|reason| Status::because(State::Refused, reason))?;
        if !policy::port_allows(&rule.in_port) {
            return Err(State::Policy.into());
        }
        let hw = block::block_of(&rule.in_port)
            .and_then(|block| block.get_or_retry(&rule.in_port))
            .ok_or(Status::of(State::NoBlock))?;
        if let Some((_, errno)) = hw.backoff.left(boot_msecs()) {
            return Err(Stay {
                status: Status {
                    errno: errno as u16,
                    ..Status::because(State::Failed, Reason::DriverFailed)
                },
                wait: Some(For::Driver(hw)),
            });
        }

        let entry = Arc::new(
            Rule::new(dp, flow, hw, mem::take(&mut rule.out_ports), chains),
            GFP_KERNEL,
        )
        .map_err(|_| Status::because(State::Refused, Reason::NoMemory))?;
        // A flow that has a rule has room.
        let its_turn = its_turn || old.is_some();
        let in_hw = Status::of(State::InHw);
        if rule.rule.enc_flags() & IGNORABLE_FLAGS == 0 {
            self.put_rule(&entry, &rule, its_turn, text)?;
            return Ok(in_hw);
        }

        let always = policy::is_always(dp, flow, &rule.in_port);
        let refuses_flags = &entry.hw.refuses_flags;
        if !refuses_flags.load(Ordering::Relaxed) {
            match self.put_rule(&entry, &rule, its_turn, text) {
                Err(stay) if stay.status.is_error(EOPNOTSUPP) => {
                    let cookie = || self.new_cookie(lane::of_flow(flow), false);

                    if probe::refuses_flags(&entry.hw.block, &rule.rule, flow, cookie) {
                        refuses_flags.store(true, Ordering::Relaxed);
                    } else if !always {
                        return Err(stay);
                    }
                }
                done => return done.map(|()| in_hw),
            }
        }
        if !always {
            return Err(Status::because(State::Refused, Reason::MatchTunnelFlags).into());
        }
        if twin::differ(dp, flow) {
            return Err(Status::because(State::Refused, Reason::TunnelFlagsDiffer).into());
        }
        rule.rule.ignore_enc_flags(IGNORABLE_FLAGS);
        self.put_rule(&entry, &rule, its_turn, text)?;
        Ok(Status::because(State::InHw, Reason::WithoutTunnelFlags))
    }

    /// As [`Self::hand_over`], where there is room or a rule of the flow that
    /// can make some.
    fn put_rule(
        &self,
        entry: &Arc<Rule>,
        rule: &Translated,
        its_turn: bool,
        text: &mut DriverText,
    ) -> Result<(), Stay> {
        let flow = &entry.flow;
        let has_rule = flow.offload.cookie().is_some_and(|old| !lane::waits(old));

        match self.hand_over(entry, rule, its_turn, text) {
            // There is none for a second rule: the old one goes first. Packets
            // in between find the software flow.
            Err(stay) if stay.status.state == State::NoSpace && has_rule => {
                self.remove_of(flow);
                self.hand_over(entry, rule, true, text)
            }
            done => done,
        }
    }

    /// Has a rule be in the chain and go to the chain that stand for what the
    /// flow matches on and recirculates with.
    fn use_chains(
        &self,
        dp: &RcuArc<Datapath>,
        rule: &mut Translated,
    ) -> Result<[Option<ChainUse>; 2], Reason> {
        let mut chains = [None, None];
        let [from, to] = &mut chains;

        if rule.chain != 0 {
            let chain = self.chains.of(dp, rule.chain)?;

            rule.chain = chain.number();
            *from = Some(chain);
        }
        if let Some(recirc_id) = rule.goto_chain {
            let chain = self.chains.of(dp, recirc_id)?;

            rule.rule.set_goto(chain.number());
            *to = Some(chain);
        }
        Ok(chains)
    }

    /// Hands a rule to the driver, and puts it in place of the one that the flow
    /// has.
    fn hand_over(
        &self,
        entry: &Arc<Rule>,
        rule: &Translated,
        its_turn: bool,
        text: &mut DriverText,
    ) -> Result<(), Stay> {
        let Rule { flow, hw, .. } = &**entry;
        let no_room = |errno, reason| Stay {
            status: Status {
                errno,
                ..Status::because(State::NoSpace, reason)
            },
            wait: Some(For::Room(hw.clone())),
        };
        let number = lane::of_flow(flow);
        let lane = self.lane(number).ok_or(State::NoBlock)?;
        let place = Place::new(GFP_KERNEL)
            .map_err(|_| Status::because(State::Refused, Reason::NoMemory))?;
        if !hw.space.reserve(its_turn) {
            return Err(no_room(0, Reason::FullBefore));
        }

        // Known before the driver has it: a port may go at any time, and takes
        // its rules and what they have counted with it.
        let cookie = self.new_cookie(number, false);
        lane.rules.insert(place, cookie, entry.clone());
        let begin = trace::begin();
        let done = hw.block.replace(cookie, PRIO, rule.chain, &rule.rule, text);
        trace::install(begin, cookie, rule, done);
        if let Err(err) = done {
            lane.rules.take(cookie);
            let errno = err.to_errno().unsigned_abs();
            let failed = Status {
                errno: errno as u16,
                ..Status::of(State::Failed)
            };
            let verdict = Verdict::of(err);

            if verdict == Verdict::Full {
                hw.space.full(boot_msecs());
                // That it was tried again does not change who has its room.
                let before = flow.offload.status().reason;
                let displaced = Reason::Displaced.code();
                return Err(Stay {
                    status: Status {
                        state: State::NoSpace,
                        reason: if before == displaced { displaced } else { 0 },
                        ..failed
                    },
                    ..no_room(0, Reason::FullBefore)
                });
            }
            hw.space.release();
            return Err(match verdict {
                Verdict::Gone => State::NoBlock.into(),
                Verdict::Trouble => {
                    hw.backoff.failed(boot_msecs(), errno);
                    Stay {
                        status: failed,
                        wait: Some(For::Driver(hw.clone())),
                    }
                }
                _ => failed.into(),
            });
        }
        hw.backoff.worked();

        poll::wake(self);
        self.totals.installed.fetch_add(1, Ordering::Relaxed);

        if let Some(old) = flow.offload.set_cookie(cookie) {
            self.remove(old);
        }
        // Whoever takes it from now on finds the cookie in the flow.
        if lane.rules.get(cookie).is_none() {
            flow.offload.clear_cookie(cookie);
            return Err(State::NoBlock.into());
        }
        Ok(())
    }

    fn rule(&self, cookie: usize) -> Option<Arc<Rule>> {
        self.lane_of(cookie)?.rules.get(cookie)
    }

    /// Forgets a rule that the hardware has no more.
    fn forget(&self, cookie: usize) {
        if let Some(rule) = self
            .lane_of(cookie)
            .and_then(|lane| lane.rules.take(cookie))
        {
            rule.hw.space.release();
            self.totals.removed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Destroys the rule with a cookie, or ends the wait under it, if it is
    /// still there. It is its lane's turn.
    pub(super) fn remove(&self, cookie: usize) {
        if lane::waits(cookie) {
            return self.leave(cookie);
        }
        // It is known until it is destroyed: a port that goes before has its last
        // counts, and has to find the flow that they are of.
        let Some(rule) = self.rule(cookie) else {
            return;
        };
        match rule.hw.block.destroy(cookie) {
            Ok(delta) => {
                trace::stats(cookie, &delta);
                rule.flow.offload.add(&delta);
            }
            // Somebody else destroys it, and does the rest.
            Err(ENOENT) => return,
            // It has gone with its port.
            Err(_) => (),
        }
        self.forget(cookie);
        rule.flow.offload.clear_cookie(cookie);
    }

    fn leave(&self, cookie: usize) {
        let Some(waiting) = self
            .lane_of(cookie)
            .and_then(|lane| lane.waiting.take(cookie))
        else {
            return;
        };

        if let For::Room(hw) = &waiting.what {
            hw.space.leave();
        }
        waiting.flow.offload.clear_cookie(cookie);
    }

    fn remove_of(&self, flow: &SwFlow) {
        if let Some(cookie) = flow.offload.cookie() {
            self.remove(cookie);
        }
    }

    /// Has the rule `cold` make room for the flow that waits under `hot`.
    fn swap(&self, cold: usize, hot: usize) {
        // Either may have gone since.
        let (Some(rule), Some(_)) = (self.rule(cold), self.waiting(hot)) else {
            return;
        };

        self.wait(&rule.dp, &rule.flow, Some(For::Room(rule.hw.clone())));
        self.totals.displaced.fetch_add(1, Ordering::Relaxed);
        rule.flow
            .offload
            .set_status(Status::because(State::NoSpace, Reason::Displaced), "");
        moved(&rule.dp, &rule.flow);
        // As in `sync()`.
        if rule.flow.offload.is_dead(&rule.dp) {
            self.remove_of(&rule.flow);
        }
        self.retry_cookie(hot);
    }

    /// Takes note that a rule has gone from the hardware.
    pub(super) fn rule_gone(&self, cookie: usize, delta: &HwDelta) {
        let Some(rule) = self.rule(cookie) else {
            return;
        };

        trace::stats(cookie, delta);
        rule.flow.offload.add(delta);
        self.forget(cookie);
        if rule.flow.offload.clear_cookie(cookie) {
            rule.flow.offload.set_status(Status::of(State::NoBlock), "");
            moved(&rule.dp, &rule.flow);
        }
    }

    /// Has the rules in a lane that send to a port that is gone look for another
    /// way.
    fn port_removed(&self, lane: &Lane, dp: &RcuArc<Datapath>, port_no: u16) {
        lane.rules.for_each(|_, rule| {
            if RcuArc::ptr_eq(&rule.dp, dp) && rule.out_ports.contains(&port_no) {
                let _turn = self.turn(lane);

                self.sync(dp, &rule.flow, false);
            }
        });
    }
}

/// Tells those who want to know that a flow has moved. May sleep.
fn moved(dp: &RcuArc<Datapath>, flow: &SwFlow) {
    trace::moved(flow);
    flow_moved(dp, flow);
}

/// The rule of a flow, which is large: it is not on the stack of drivers.
#[inline(never)]
fn rule_of(dp: &RcuArc<Datapath>, flow: &SwFlow) -> Result<KBox<Translated>, Status> {
    let acts = flow.load_actions();
    let refused = |reason: Reason| Status::because(State::Refused, reason);
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
    _lanes: LanesGuard,
    _poll: PollGuard,
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
            _lanes: LanesGuard::new()?,
            _poll: PollGuard::new()?,
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
        for lane in &self.0.lanes {
            lane.clear();
        }
        self.0.chains.forget(boot_msecs(), false);
        drop(mem::replace(&mut *self.0.spaces.lock(), KVec::new()));
    }
}
