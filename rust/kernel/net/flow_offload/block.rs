// SPDX-License-Identifier: GPL-2.0

//! Flow blocks: the way to a device's driver for rules.
//!
//! Locks nest in this order: rtnl, a block's own lock, the driver's. The
//! block's lock is held shared during a call to the driver, so that calls run
//! in parallel, and exclusively while the block is bound or unbound.

mod list;
mod text;

use core::{
    mem::{
        self,
        MaybeUninit, //
    },
    ptr::{
        self,
        NonNull, //
    },
    sync::atomic::{
        AtomicBool,
        AtomicUsize,
        Ordering, //
    },
};

use kernel::{
    c_str,
    error::{
        code::EOPNOTSUPP,
        to_result, //
    },
    ffi,
    new_mutex,
    prelude::*,
    rbtree::{
        RBTree,
        RBTreeNode, //
    },
    static_lock_class,
    sync::{
        rcu::synchronize_rcu,
        Arc,
        Mutex, //
    },
    time::{
        delay::fsleep,
        Delta, //
    },
    types::Opaque, //
};

use self::list::{
    free_callbacks,
    list_del,
    list_init,
    list_splice, //
};
pub use self::text::DriverText;
use super::rule::FlowRule;
use crate::{
    bindings,
    net::{
        netdevice::{
            NetDevice,
            NetDeviceRef, //
        },
        rtnetlink::{
            Rtnl,
            RtnlGuard, //
        },
    },
    sync::rwsem::RwSemaphore, //
};

/// Packets that hardware handled since it was asked last.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct HwDelta {
    /// How many.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How many of them hardware dropped.
    pub drops: u64,
    /// When the last one was seen, in jiffies.
    pub lastused: u64,
}

/// Why a device's driver does not take rules.
#[derive(Clone, Copy)]
pub enum BindError {
    /// The driver has no function for it.
    NoDriver,
    /// `ethtool -K DEV hw-tc-offload` is off.
    Disabled,
    /// Something else has the device's block: a qdisc of traffic control.
    Busy,
    /// Software looks at what the device receives before anybody else: a
    /// program or filter at its ingress hooks. Rules in hardware would bypass
    /// it.
    Hooks,
    /// The driver, or memory.
    Failed(Error, DriverText),
}

/// Which packets of a device a block is for, and whose drivers take rules for
/// them. C: `enum flow_block_binder_type`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Binder {
    /// What the device receives; its own driver.
    Ingress,
    /// What the device receives; its own driver, or those of other devices if it
    /// has none: a tunnel's device.
    IndirectIngress,
    /// What the device sends; the drivers of other devices, which may send in
    /// its place: an internal port's device.
    IndirectEgress,
}

/// What drivers have of a block: it does not move, as their callbacks are in its
/// list.
type CBlock = KBox<Opaque<bindings::flow_block>>;

/// A block that is bound.
struct Bound {
    dev: NetDeviceRef,
    binder: Binder,
    /// For a device without a driver of its own, such as a tunnel's: what the
    /// drivers know the block by. It owns a reference to it, and is counted in
    /// [`INDIRECT`].
    indirect: Option<NonNull<FlowBlock>>,
    block: CBlock,
    /// The callbacks that are asked. That of a driver which is loaded later gets
    /// into the list of `block` at any time.
    callbacks: KVec<NonNull<bindings::flow_block_cb>>,
}

// SAFETY: The list and the callbacks are used under the lock that this is in.
unsafe impl Send for Bound {}
// SAFETY: As above; callbacks may be called by several threads.
unsafe impl Sync for Bound {}

/// Whether a block is bound.
enum State {
    /// It is not.
    Unbound,
    /// It is.
    Bound(Bound),
    /// It is not, but some drivers that are about to go have callbacks in its
    /// list, and call [`indr_cleanup`]. This is what they need of it, beside a
    /// reference to the block.
    Leaving(CBlock),
}

// SAFETY: The list is used under the rtnl lock.
unsafe impl Send for State {}
// SAFETY: As above.
unsafe impl Sync for State {}

impl State {
    fn bound(&self) -> Option<&Bound> {
        match self {
            Self::Bound(bound) => Some(bound),
            _ => None,
        }
    }
}

/// The blocks that drivers of other devices know, or may be about to forget.
static INDIRECT: AtomicUsize = AtomicUsize::new(0);

/// Waits until no driver is about to call [`indr_cleanup`]. Every block is
/// unbound. Sleeps; the caller does not hold the rtnl lock.
pub fn wait_for_cleanups() {
    while INDIRECT.load(Ordering::SeqCst) != 0 {
        fsleep(Delta::from_millis(1));
    }
    // Who was the last is about to return.
    synchronize_rcu();
}

/// A device's block for received packets.
///
/// # Invariants
///
/// While it is bound, `callbacks` are valid, and those of drivers that have not
/// said that they go.
#[pin_data(PinnedDrop)]
pub struct FlowBlock {
    #[pin]
    bound: RwSemaphore<State>,
    /// The driver's callbacks may be called without the rtnl lock.
    unlocked: AtomicBool,
    /// Told of each rule that goes since its driver does.
    gone: fn(usize, HwDelta),
    /// The cookies of the rules that the driver has.
    #[pin]
    cookies: Mutex<RBTree<usize, ()>>,
}

impl FlowBlock {
    /// Asks the driver of `dev` to take rules, or the drivers of other devices,
    /// as `binder` says. Sleeps.
    ///
    /// `gone` is told of the rules that go, with their last counters, since such
    /// a driver does; it is called with the rtnl lock held.
    pub fn bind(
        dev: &NetDevice,
        binder: Binder,
        gone: fn(usize, HwDelta),
        rtnl: Rtnl<'_>,
    ) -> Result<Arc<Self>, BindError> {
        let failed = |e| BindError::Failed(e, DriverText::new());
        let direct = binder != Binder::IndirectEgress && setup_tc_of(dev).is_some();
        let offered = binder != Binder::Ingress && Self::drivers_offer();
        if !direct && !offered {
            return Err(BindError::NoDriver);
        }
        if direct && !dev.has_hw_tc() {
            return Err(BindError::Disabled);
        }
        let hooks = match binder {
            Binder::IndirectEgress => dev.has_egress_hooks(),
            _ => dev.has_ingress_hooks(),
        };
        if hooks {
            return Err(BindError::Hooks);
        }
        let this = Self::new(gone).map_err(failed)?;
        let block = KBox::new(Opaque::<bindings::flow_block>::zeroed(), GFP_KERNEL)
            .map_err(|_| failed(ENOMEM))?;
        // SAFETY: The block is new and stays where it is.
        unsafe { list_init(&raw mut (*block.get()).cb_list) };

        let mut text = DriverText::new();
        let mut bound = Bound {
            dev: dev.hold(GFP_KERNEL),
            binder,
            indirect: (!direct).then(|| NonNull::from(&*this)),
            block,
            callbacks: KVec::new(),
        };
        let mut offload = Offload::new();
        match offload.call(
            &bound,
            bindings::flow_block_command_FLOW_BLOCK_BIND,
            &mut text,
            rtnl,
        ) {
            Ok(()) => (),
            Err(e) => {
                bound.forget_indirect(&mut text, rtnl);
                return Err(match e {
                    EBUSY => BindError::Busy,
                    e => BindError::Failed(e, text),
                });
            }
        }
        // SAFETY: The driver has put its callbacks into the first list; the
        // second is empty. Both are valid.
        unsafe {
            list_splice(
                &raw mut (*offload.raw()).cb_list,
                &raw mut (*bound.block.get()).cb_list,
            );
        }
        if !has_callbacks(&bound.block) {
            bound.forget_indirect(&mut text, rtnl);
            return Err(BindError::Failed(EOPNOTSUPP, text));
        }
        if bound.indirect.is_some() {
            // What `indirect` owns.
            mem::forget(this.clone());
            INDIRECT.fetch_add(1, Ordering::SeqCst);
        }
        let noted = bound.note_callbacks();
        // SAFETY: The structure is valid.
        let unlocked = unsafe { (*offload.raw()).unlocked_driver_cb };
        this.unlocked.store(unlocked, Ordering::Relaxed);
        // INVARIANT: The driver's callbacks are in the list.
        *this.bound.write() = State::Bound(bound);
        if let Err(err) = noted {
            this.unbind(rtnl, |_, _| ());
            return Err(failed(err));
        }
        Ok(this)
    }

    /// Whether there are drivers that may take rules for devices of others.
    pub fn drivers_offer() -> bool {
        // SAFETY: It only reads a list's head.
        unsafe { bindings::flow_indr_dev_exists() }
    }

    /// A block that is not bound.
    pub(super) fn new(gone: fn(usize, HwDelta)) -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                bound <- RwSemaphore::new(
                    State::Unbound,
                    c_str!("FlowBlock::bound"),
                    static_lock_class!()
                ),
                unlocked: AtomicBool::new(false),
                gone,
                cookies <- new_mutex!(RBTree::new(), "FlowBlock::cookies"),
            }),
            GFP_KERNEL,
        )
    }

    /// Takes all rules away from the driver, tells `gone` of each with its last
    /// counters, and unbinds the block. Sleeps. Every other call gives `ENODEV`
    /// from then on.
    pub fn unbind(&self, rtnl: Rtnl<'_>, mut gone: impl FnMut(usize, HwDelta)) {
        let mut guard = self.bound.write();
        let Some(bound) = guard.bound() else {
            return;
        };
        self.destroy_all(bound, &mut gone);

        let mut offload = Offload::new();
        let mut text = DriverText::new();
        let unbound = offload.call(
            bound,
            bindings::flow_block_command_FLOW_BLOCK_UNBIND,
            &mut text,
            rtnl,
        );
        if unbound.is_err() {
            pr_warn!("{}: the driver keeps its flow block\n", bound.dev.name());
        }
        // SAFETY: The driver has moved its callbacks from the block's list to
        // this one; they are the block's user's to free.
        unsafe { free_callbacks(&raw mut (*offload.raw()).cb_list) };
        let State::Bound(bound) = mem::replace(&mut *guard, State::Unbound) else {
            return;
        };
        match bound.indirect {
            // Their drivers are about to go and call `indr_cleanup()`. The device
            // is given back now: whoever deletes it waits for that.
            Some(_) if has_callbacks(&bound.block) => *guard = State::Leaving(bound.block),
            // SAFETY: The reference is owned, and no driver knows of it any more.
            // It is not the last one, as `self` is borrowed from another.
            Some(this) => drop(unsafe { give_back(this) }),
            // A driver that has not moved its callbacks still has them in a list
            // of its own: memory that is lost is better than memory that is used
            // after it was freed.
            None if has_callbacks(&bound.block) => mem::forget(bound.block),
            None => (),
        }
    }

    /// Takes all rules away from the driver.
    fn destroy_all(&self, bound: &Bound, gone: &mut dyn FnMut(usize, HwDelta)) {
        while let Some(cookie) = self.take_cookie() {
            gone(cookie, destroy(bound, cookie));
        }
    }

    /// Whether the block is bound.
    pub fn is_bound(&self) -> bool {
        self.bound.read().bound().is_some()
    }

    /// Runs `f` with the block bound, and with the rtnl lock if the driver
    /// needs it.
    fn with<R>(&self, f: impl FnOnce(&Bound) -> Result<R>) -> Result<R> {
        let _rtnl = (!self.unlocked.load(Ordering::Relaxed)).then(RtnlGuard::new);
        let guard = self.bound.read();
        f(guard.bound().ok_or(ENODEV)?)
    }

    /// Hands a rule to the driver, under a cookie that no other rule has, with
    /// a priority of at least 1, in a chain. Sleeps; the caller holds neither
    /// the rtnl lock nor any that is taken under it.
    ///
    /// Fails as the driver does, which may say why in `text`; `ENODEV` if the
    /// block is not bound, `EEXIST` if there is a rule with the cookie.
    pub fn replace(
        &self,
        cookie: usize,
        prio: u32,
        chain: u32,
        rule: &FlowRule,
        text: &mut DriverText,
    ) -> Result {
        // Before the driver has it, so that unbinding takes it away too.
        let node = RBTreeNode::new(cookie, (), GFP_KERNEL)?;
        self.with(|bound| {
            {
                let mut cookies = self.cookies.lock();
                if cookies.get(&cookie).is_some() {
                    return Err(EEXIST);
                }
                cookies.insert(node);
            }
            let replaced = replace(bound, cookie, prio, chain, rule, text);
            if replaced.is_err() {
                self.cookies.lock().remove(&cookie);
            }
            replaced
        })
    }

    /// Takes a rule away from the driver and gives its last counters. Sleeps,
    /// as [`FlowBlock::replace`]. `ENOENT` if there is no such rule, or somebody
    /// else is about it; `ENODEV` if the block is not bound.
    pub fn destroy(&self, cookie: usize) -> Result<HwDelta> {
        self.with(|bound| {
            self.cookies.lock().remove(&cookie).ok_or(ENOENT)?;
            Ok(destroy(bound, cookie))
        })
    }

    /// What hardware has counted for a rule since this was called last. Sleeps,
    /// as [`FlowBlock::replace`]. `ENODEV` if the block is not bound, `ENOENT` if
    /// there is no such rule.
    pub fn stats(&self, cookie: usize) -> Result<HwDelta> {
        self.with(|bound| self.stats_once(bound, cookie))
    }

    /// Drivers count from one reading to the next, and not all can be asked for a
    /// rule by two at once: both might be given the same packets. So the lock is
    /// held, and whoever destroys a rule, and reads its counters then, has taken
    /// its cookie out before.
    fn stats_once(&self, bound: &Bound, cookie: usize) -> Result<HwDelta> {
        let cookies = self.cookies.lock();

        cookies.get(&cookie).ok_or(ENOENT)?;
        stats(bound, cookie)
    }

    /// As [`FlowBlock::stats`] for several rules, for which the locks are taken
    /// once. Calls `f` with each cookie and what was counted; rules that the
    /// driver does not have are left out. `f` must not sleep for long.
    pub fn stats_of(
        &self,
        cookies: impl Iterator<Item = usize>,
        mut f: impl FnMut(usize, HwDelta),
    ) -> Result {
        self.with(|bound| {
            for cookie in cookies {
                if let Ok(delta) = self.stats_once(bound, cookie) {
                    f(cookie, delta);
                }
            }
            Ok(())
        })
    }

    /// Takes one cookie out.
    fn take_cookie(&self) -> Option<usize> {
        let mut cookies = self.cookies.lock();
        let cookie = *cookies.iter().next()?.0;
        cookies.remove(&cookie);
        Some(cookie)
    }
}

#[pinned_drop]
impl PinnedDrop for FlowBlock {
    fn drop(self: Pin<&mut Self>) {
        // The driver has pointers into the block: memory that is lost is better
        // than memory that is used after it was freed.
        let state = RwSemaphore::get_mut(self.project().bound);

        if let State::Bound(bound) = mem::replace(state, State::Unbound) {
            pr_warn!("{}: a bound flow block is dropped\n", bound.dev.name());
            mem::forget(bound);
        }
    }
}

impl Bound {
    /// Takes back what a failed attempt to bind has left: the note of the device
    /// for drivers that are loaded later.
    fn forget_indirect(&self, text: &mut DriverText, rtnl: Rtnl<'_>) {
        if self.indirect.is_some() {
            let mut offload = Offload::new();
            let command = bindings::flow_block_command_FLOW_BLOCK_UNBIND;
            // It gives an error, as there is no callback.
            let _ = offload.call(self, command, text, rtnl);
            // Unless a driver was loaded meanwhile.
            // SAFETY: The driver has moved its callbacks to this list; they are
            // the block's user's to free.
            unsafe { free_callbacks(&raw mut (*offload.raw()).cb_list) };
        }
    }

    /// Notes the callbacks that are in the list.
    fn note_callbacks(&mut self) -> Result {
        let head = head_of(&self.block);
        // SAFETY: The list is valid, each of its entries is the `list` of a
        // callback, and the driver has just put them there.
        unsafe {
            let mut entry = (*head).next;
            while entry != head {
                let cb = kernel::container_of!(entry, bindings::flow_block_cb, list);
                self.callbacks
                    .push(NonNull::new(cb).ok_or(EINVAL)?, GFP_KERNEL)?;
                entry = (*entry).next;
            }
        }
        Ok(())
    }
}

/// Gives the reference that [`Bound::indirect`] has owned.
///
/// # Safety
///
/// It must be owned, and no driver may know of it any more.
unsafe fn give_back(this: NonNull<FlowBlock>) -> Arc<FlowBlock> {
    INDIRECT.fetch_sub(1, Ordering::SeqCst);
    // SAFETY: By the function's safety requirements.
    unsafe { Arc::from_raw(this.as_ptr()) }
}

/// The list of a block's callbacks.
fn head_of(block: &CBlock) -> *mut bindings::list_head {
    // SAFETY: The block is valid.
    unsafe { &raw mut (*block.get()).cb_list }
}

/// Whether there are callbacks in the list of a block. The rtnl lock is held.
fn has_callbacks(block: &CBlock) -> bool {
    let head = head_of(block);

    // SAFETY: The list is valid.
    unsafe { (*head).next != head }
}

/// Called by C where a driver goes that has a callback in the list of another
/// device's block.
///
/// # Safety
///
/// Only for `flow_indr_dev_setup_offload()`.
unsafe extern "C" fn indr_cleanup(cb: *mut bindings::flow_block_cb) {
    let rtnl = RtnlGuard::new();
    // SAFETY: This is what `bind()` gave, with a reference that is there for as
    // long as there are callbacks.
    let this = unsafe { &*(*cb).indr.data.cast::<FlowBlock>() };
    let mut guard = this.bound.write();
    if let State::Bound(bound) = &mut *guard {
        let gone = this.gone;
        this.destroy_all(bound, &mut |cookie, delta| gone(cookie, delta));
        bound.callbacks.retain(|other| other.as_ptr() != cb);
    }
    // SAFETY: The callback is in the block's list and in one of its driver's,
    // of which neither is used now, and is given away.
    unsafe {
        list_del(&raw mut (*cb).driver_list);
        list_del(&raw mut (*cb).list);
        bindings::flow_block_cb_free(cb);
    }
    let is_last = match &*guard {
        State::Bound(bound) => !has_callbacks(&bound.block),
        State::Leaving(block) => !has_callbacks(block),
        State::Unbound => false,
    };
    if !is_last {
        return;
    }
    let state = mem::replace(&mut *guard, State::Unbound);
    drop(guard);
    if let State::Bound(bound) = state {
        bound.forget_indirect(&mut DriverText::new(), rtnl.proof());
    }
    // SAFETY: The reference is owned, and no driver knows of it any more. This
    // may be the last one, and nothing is borrowed from it.
    drop(unsafe { give_back(NonNull::from(this)) });
}

/// The driver's `ndo_setup_tc`.
fn setup_tc_of(
    dev: &NetDevice,
) -> Option<
    unsafe extern "C" fn(
        *mut bindings::net_device,
        bindings::tc_setup_type,
        *mut ffi::c_void,
    ) -> ffi::c_int,
> {
    // SAFETY: The device is valid, and so are its operations.
    unsafe { (*(*dev.as_ptr()).netdev_ops).ndo_setup_tc }
}

/// A request to bind or unbind, with the list that the driver's callbacks are
/// handed over in. It must not move once it is used, hence the box.
struct Offload(MaybeUninit<bindings::flow_block_offload>);

impl Offload {
    fn new() -> Self {
        Self(MaybeUninit::zeroed())
    }

    fn raw(&mut self) -> *mut bindings::flow_block_offload {
        self.0.as_mut_ptr()
    }

    /// Makes the request. The object must not move after that.
    fn call(
        &mut self,
        bound: &Bound,
        command: bindings::flow_block_command,
        text: &mut DriverText,
        _rtnl: Rtnl<'_>,
    ) -> Result {
        let setup_tc = setup_tc_of(&bound.dev);
        let mut extack = MaybeUninit::<bindings::netlink_ext_ack>::zeroed();
        let raw = self.raw();
        // SAFETY: The structure is zeroed, and all it points to lives until the
        // call is over. The rtnl lock is held, so the device stays in its
        // namespace.
        let ret = unsafe {
            (*raw).command = command;
            (*raw).binder_type = match bound.binder {
                Binder::IndirectEgress => {
                    bindings::flow_block_binder_type_FLOW_BLOCK_BINDER_TYPE_CLSACT_EGRESS
                }
                _ => bindings::flow_block_binder_type_FLOW_BLOCK_BINDER_TYPE_CLSACT_INGRESS,
            };
            (*raw).net = (*bound.dev.as_ptr()).nd_net.net;
            (*raw).block = bound.block.get();
            (*raw).cb_list_head = head_of(&bound.block);
            (*raw).extack = extack.as_mut_ptr();
            list_init(&raw mut (*raw).cb_list);
            match (setup_tc, bound.indirect) {
                (_, Some(this)) => bindings::flow_indr_dev_setup_offload(
                    bound.dev.as_ptr(),
                    ptr::null_mut(),
                    bindings::tc_setup_type_TC_SETUP_BLOCK,
                    this.as_ptr().cast(),
                    raw,
                    Some(indr_cleanup),
                ),
                (Some(setup_tc), None) => setup_tc(
                    bound.dev.as_ptr(),
                    bindings::tc_setup_type_TC_SETUP_BLOCK,
                    raw.cast(),
                ),
                (None, None) => EOPNOTSUPP.to_errno(),
            }
        };
        // SAFETY: The text is null or a C string of the driver, which is there
        // while its device is.
        unsafe { text.set((*extack.as_ptr())._msg) };
        to_result(ret)
    }
}

/// The driver's callbacks.
fn callbacks(bound: &Bound) -> impl Iterator<Item = NonNull<bindings::flow_block_cb>> + '_ {
    bound.callbacks.iter().copied()
}

/// Makes a request for a rule to one callback.
///
/// # Safety
///
/// `cb` must be a callback of a block that is bound, `cls` a valid request.
unsafe fn call(
    cb: NonNull<bindings::flow_block_cb>,
    cls: *mut bindings::flow_cls_offload,
) -> Result {
    // SAFETY: By the function's safety requirements.
    let ret = unsafe {
        let func = (*cb.as_ptr()).cb.ok_or(EOPNOTSUPP)?;
        func(
            bindings::tc_setup_type_TC_SETUP_CLSFLOWER,
            cls.cast(),
            (*cb.as_ptr()).cb_priv,
        )
    };
    to_result(ret)
}

fn replace(
    bound: &Bound,
    cookie: usize,
    prio: u32,
    chain: u32,
    rule: &FlowRule,
    text: &mut DriverText,
) -> Result {
    let mut extack = MaybeUninit::<bindings::netlink_ext_ack>::zeroed();
    let mut cls = zeroed_cls();
    cls.common.chain_index = chain;
    cls.common.protocol = rule.protocol();
    cls.common.prio = prio;
    cls.common.extack = extack.as_mut_ptr();
    cls.command = bindings::flow_cls_command_FLOW_CLS_REPLACE;
    cls.cookie = cookie;
    cls.rule = rule.as_ptr();

    let mut done = 0usize;
    let mut refused = Ok(());
    for cb in callbacks(bound) {
        // SAFETY: The block is bound, and all the request points to is valid
        // during the call.
        let replaced = unsafe { call(cb, &raw mut cls) };
        if let Err(e) = replaced {
            // SAFETY: As in `Offload::call()`.
            unsafe { text.set((*extack.as_ptr())._msg) };
            if bound.indirect.is_some() {
                // A tunnel's packets come in on one of the devices: it is enough
                // that this one's driver takes the rule.
                refused = Err(e);
                continue;
            }
            for cb in callbacks(bound).take(done) {
                let mut cls = zeroed_cls();
                cls.command = bindings::flow_cls_command_FLOW_CLS_DESTROY;
                cls.cookie = cookie;
                // SAFETY: As above.
                let _ = unsafe { call(cb, &raw mut cls) };
            }
            return Err(e);
        }
        done = done.wrapping_add(1);
    }
    if done != 0 {
        return Ok(());
    }
    refused
}

/// Makes a request for a rule that the driver has to all callbacks.
fn command(bound: &Bound, cookie: usize, command: bindings::flow_cls_command) -> Result<HwDelta> {
    let mut extack = MaybeUninit::<bindings::netlink_ext_ack>::zeroed();
    let mut delta = HwDelta::default();
    let mut first = Ok(());
    let mut any = false;
    for cb in callbacks(bound) {
        let mut cls = zeroed_cls();
        cls.common.extack = extack.as_mut_ptr();
        cls.command = command;
        cls.cookie = cookie;
        // SAFETY: The block is bound, and all the request points to is valid
        // during the call.
        let done = unsafe { call(cb, &raw mut cls) };
        any |= done.is_ok();
        first = first.and(done);
        delta.packets = delta.packets.wrapping_add(cls.stats.pkts);
        delta.bytes = delta.bytes.wrapping_add(cls.stats.bytes);
        delta.drops = delta.drops.wrapping_add(cls.stats.drops);
        delta.lastused = delta.lastused.max(cls.stats.lastused);
    }
    if any && bound.indirect.is_some() {
        // Not every driver has taken the rule.
        first = Ok(());
    }
    first.map(|()| delta)
}

fn stats(bound: &Bound, cookie: usize) -> Result<HwDelta> {
    command(bound, cookie, bindings::flow_cls_command_FLOW_CLS_STATS)
}

/// Takes a rule away from the driver and gives its last counters.
fn destroy(bound: &Bound, cookie: usize) -> HwDelta {
    let delta = stats(bound, cookie).unwrap_or_default();
    // As for traffic control, there is nothing to be done on an error.
    let _ = command(bound, cookie, bindings::flow_cls_command_FLOW_CLS_DESTROY);
    delta
}

fn zeroed_cls() -> bindings::flow_cls_offload {
    // SAFETY: All-zeroes is valid for the structure: every field is a number or
    // a pointer.
    unsafe { core::mem::zeroed() }
}
