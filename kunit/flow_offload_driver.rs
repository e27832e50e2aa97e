// SPDX-License-Identifier: GPL-2.0

//! A driver of flow blocks for suites: it keeps rules as hardware would, in a
//! room of a given size, counts packets, fails when it is told to, and takes
//! note of how it is called.
//!
//! Rules are told apart by the IPv4 source address that they match on. All
//! devices share the room and the rules. While it is loaded for them, the driver
//! also takes rules for devices that have no driver ([`Indirect`]).

use core::{
    cell::UnsafeCell,
    ptr::NonNull,
    sync::atomic::{
        AtomicBool,
        AtomicU32,
        Ordering::Relaxed, //
    },
};

use kernel::{
    c_str, ffi,
    prelude::*,
    static_lock_class,
    str::{
        CStrExt,
        CString, //
    },
    time::{
        delay::fsleep,
        Delta, //
    },
};

use crate::{
    bindings,
    net::{
        netdevice::{
            DeviceName,
            NetDevice,
            NetDeviceRef, //
        },
        rtnetlink::RtnlGuard,
        skbuff::SkBuff, //
    },
    sync::static_mutex::{
        StaticMutex,
        StaticMutexGuard, //
    },
    time, //
};

#[path = "flow_offload_driver_faults.rs"]
mod faults;
pub use self::faults::{
    fail_for,
    from_chain,
    set_counts,
    set_rewrites, //
};

/// Rules that fit into the driver's own table.
const MAX: usize = 256;

/// A rule.
#[derive(Clone, Copy)]
struct Rule {
    cookie: usize,
    src: u32,
    chain: u32,
    goto: u32,
    enc_flags: u32,
    rewrites: bool,
    packets: u64,
    used: usize,
}

/// What the driver has, and how it is to answer.
struct Rules {
    rules: [Option<Rule>; MAX],
    capacity: usize,
    fail: i32,
    fails: u32,
}

/// What the driver was asked to take last.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Request {
    /// `flow_cls_offload.cookie`.
    pub cookie: usize,
    /// `flow_cls_common_offload.prio`.
    pub prio: u32,
    /// `flow_cls_common_offload.chain_index`.
    pub chain: u32,
    /// `flow_cls_common_offload.protocol`, in host order.
    pub protocol: u16,
    /// How many actions the rule has.
    pub n_actions: u32,
}

/// How the driver has been called.
#[derive(Clone, Copy, Default, Debug)]
pub struct Calls {
    /// Blocks bound.
    pub bind: u32,
    /// Blocks unbound.
    pub unbind: u32,
    /// Rules refused for matching on flags of a tunnel.
    pub refused: u32,
    /// Rules to be destroyed that it does not have.
    pub unknown: u32,
    /// Packets of rules that were destroyed before they were asked for.
    pub lost: u64,
    /// The last rule to be taken.
    pub last: Request,
    /// Rules to be taken, whether they were or not.
    pub replace: u32,
    /// Rules to be destroyed.
    pub destroy: u32,
    /// Counters to be read.
    pub stats: u32,
    /// The most calls for rules to be taken or destroyed at the same time.
    pub at_once: u32,
    /// The most rules with the same match at the same time.
    pub alike: u32,
}

struct Driver {
    lock: StaticMutex,
    rules: UnsafeCell<Rules>,
    calls: UnsafeCell<Calls>,
    list: UnsafeCell<bindings::list_head>,
    delay_ms: AtomicU32,
    running: AtomicU32,
    no_enc_flags: AtomicBool,
}

// SAFETY: The list is used under the rtnl lock, the other cells under the lock.
unsafe impl Sync for Driver {}

static DRIVER: Driver = Driver {
    lock: StaticMutex::new(c_str!("kunit_driver"), static_lock_class!()),
    rules: UnsafeCell::new(Rules {
        rules: [None; MAX],
        capacity: MAX,
        fail: 0,
        fails: 0,
    }),
    calls: UnsafeCell::new(Calls {
        bind: 0,
        unbind: 0,
        refused: 0,
        unknown: 0,
        lost: 0,
        last: Request {
            cookie: 0,
            prio: 0,
            chain: 0,
            protocol: 0,
            n_actions: 0,
        },
        replace: 0,
        destroy: 0,
        stats: 0,
        at_once: 0,
        alike: 0,
    }),
    list: UnsafeCell::new(bindings::list_head {
        next: core::ptr::null_mut(),
        prev: core::ptr::null_mut(),
    }),
    delay_ms: AtomicU32::new(0),
    running: AtomicU32::new(0),
    no_enc_flags: AtomicBool::new(false),
};

struct Locked(#[expect(dead_code)] StaticMutexGuard);

impl Locked {
    fn new() -> Self {
        Self(DRIVER.lock.lock())
    }

    fn rules(&mut self) -> &mut Rules {
        // SAFETY: The lock is held, and `self` is borrowed for as long as this.
        unsafe { &mut *DRIVER.rules.get() }
    }

    fn calls(&mut self) -> &mut Calls {
        // SAFETY: As above.
        unsafe { &mut *DRIVER.calls.get() }
    }
}

impl Rules {
    fn n(&self) -> usize {
        self.rules.iter().flatten().count()
    }

    fn find(&mut self, f: impl Fn(&Rule) -> bool) -> Option<&mut Option<Rule>> {
        self.rules
            .iter_mut()
            .find(|rule| rule.as_ref().is_some_and(&f))
    }
}

/// The driver has room for any number of rules, and does not fail.
pub fn reset() {
    let mut locked = Locked::new();
    faults::reset();
    let rules = locked.rules();
    rules.capacity = MAX;
    rules.fails = 0;
    *locked.calls() = Calls::default();
    DRIVER.delay_ms.store(0, Relaxed);
    DRIVER.no_enc_flags.store(false, Relaxed);
}

/// The driver takes no rule that matches on flags of a tunnel.
pub fn refuse_enc_flags() {
    DRIVER.no_enc_flags.store(true, Relaxed);
}

/// The driver has room for so many rules; those that are above stay.
pub fn set_capacity(capacity: usize) {
    Locked::new().rules().capacity = capacity;
}

/// The driver fails with an error for so many rules to come.
pub fn fail(err: Error, times: u32) {
    let mut locked = Locked::new();
    locked.rules().fail = err.to_errno();
    locked.rules().fails = times;
}

/// The driver takes so long to take or destroy a rule, in milliseconds.
pub fn set_delay(ms: u32) {
    DRIVER.delay_ms.store(ms, Relaxed);
}

/// How the driver has been called since [`reset`].
pub fn calls() -> Calls {
    *Locked::new().calls()
}

/// How many rules there are.
pub fn n_rules() -> usize {
    Locked::new().rules().n()
}

/// How many rules there are for packets from `src`.
pub fn n_rules_of(src: u32) -> usize {
    let mut locked = Locked::new();
    let rules = locked.rules().rules.iter().flatten();
    rules.filter(|rule| rule.src == src).count()
}

/// The flags of a tunnel that the rule for packets from `src` matches on.
pub fn enc_flags_of(src: u32) -> Option<u32> {
    let mut locked = Locked::new();
    match locked.rules().find(|rule| rule.src == src) {
        Some(Some(rule)) => Some(rule.enc_flags),
        _ => None,
    }
}

/// The chain that the rule for packets from `src` is in, and the one that it
/// goes to; 0 for none.
pub fn chains_of(src: u32) -> Option<(u32, u32)> {
    let mut locked = Locked::new();
    match locked.rules().find(|rule| rule.src == src) {
        Some(Some(rule)) => Some((rule.chain, rule.goto)),
        _ => None,
    }
}

/// Packets from `src` come in. Gives whether there is a rule that takes them;
/// otherwise they are software's.
pub fn receive(src: u32, packets: u64) -> bool {
    receive_if(packets, |rule| rule.src == src)
}

/// Packets of the rule with this cookie come in. Gives whether there is one.
pub fn receive_as(cookie: usize, packets: u64) -> bool {
    receive_if(packets, |rule| rule.cookie == cookie)
}

fn receive_if(packets: u64, f: impl Fn(&Rule) -> bool) -> bool {
    let mut locked = Locked::new();
    match locked.rules().find(f) {
        Some(Some(rule)) => {
            rule.packets += packets;
            rule.used = time::jiffies();
            true
        }
        _ => false,
    }
}

/// # Safety
///
/// `cls` must be a valid request.
unsafe fn replace(cls: *mut bindings::flow_cls_offload) -> i32 {
    let mut out = bindings::flow_match_ipv4_addrs::default();
    let mut outer = bindings::flow_match_ipv4_addrs::default();
    let mut enc = bindings::flow_match_control::default();
    // SAFETY: By the function's safety requirement; `out`, `outer` and `enc` are
    // written only. A rule has at least one action, and so many as it says, and a place
    // for every key.
    let (request, src, goto, enc_flags) = unsafe {
        let rule = (*cls).rule;
        bindings::flow_rule_match_ipv4_addrs(rule, &raw mut out);
        bindings::flow_rule_match_enc_control(rule, &raw mut enc);
        bindings::flow_rule_match_enc_ipv4_addrs(rule, &raw mut outer);
        let last = (&raw const (*rule).action.entries)
            .cast::<bindings::flow_action_entry>()
            .add((*rule).action.num_entries as usize - 1);
        let goto = match (*last).id {
            bindings::flow_action_id_FLOW_ACTION_GOTO => {
                *(*last).__bindgen_anon_1.chain_index.as_ref()
            }
            _ => 0,
        };
        let common = &(*cls).common;
        let request = Request {
            cookie: (*cls).cookie,
            prio: common.prio,
            chain: common.chain_index,
            protocol: u16::from_be(common.protocol),
            n_actions: (*rule).action.num_entries,
        };
        // Nobody sends packets from a tunnel with that source.
        let sent = (*outer.key).src != u32::MAX;
        let src = if sent {
            u32::from_be((*out.key).src)
        } else {
            0
        };
        (request, src, goto, (*enc.mask).flags)
    };
    let mut locked = Locked::new();
    locked.calls().replace += 1;
    let rules = locked.rules();
    if rules.fails != 0 {
        rules.fails -= 1;
        let fail = rules.fail;
        // SAFETY: By the function's safety requirement.
        unsafe { (*(*cls).common.extack)._msg = c_str!("no such luck").as_char_ptr() };
        return fail;
    }
    if enc_flags != 0 && DRIVER.no_enc_flags.load(Relaxed) {
        locked.calls().refused += 1;
        return EOPNOTSUPP.to_errno();
    }
    let rewrites = request.n_actions > 1 && goto == 0;
    let alike = rules.rules.iter().flatten().filter(|rule| rule.rewrites);
    if let Some(errno) = faults::of(src, rewrites.then(|| alike.count())) {
        return errno;
    }
    if rules.n() >= rules.capacity {
        return ENOSPC.to_errno();
    }
    let Some(place) = rules.rules.iter_mut().find(|rule| rule.is_none()) else {
        return ENOSPC.to_errno();
    };
    *place = Some(Rule {
        cookie: request.cookie,
        src,
        chain: request.chain,
        goto,
        enc_flags,
        rewrites,
        packets: 0,
        used: 0,
    });
    let same = rules.rules.iter().flatten().filter(|rule| rule.src == src);
    let alike = same.count() as u32;
    let calls = locked.calls();
    calls.alike = calls.alike.max(alike);
    calls.last = request;
    0
}

/// What takes long, outside of the lock.
fn slowly(f: impl FnOnce() -> i32) -> i32 {
    let running = DRIVER.running.fetch_add(1, Relaxed) + 1;
    {
        let mut locked = Locked::new();
        let calls = locked.calls();
        calls.at_once = calls.at_once.max(running);
    }
    let delay = DRIVER.delay_ms.load(Relaxed);
    if delay != 0 {
        fsleep(Delta::from_millis(delay.into()));
    }
    let ret = f();
    DRIVER.running.fetch_sub(1, Relaxed);
    ret
}

unsafe extern "C" fn driver_cb(
    ty: bindings::tc_setup_type,
    data: *mut ffi::c_void,
    _priv: *mut ffi::c_void,
) -> ffi::c_int {
    if ty != bindings::tc_setup_type_TC_SETUP_CLSFLOWER {
        return EOPNOTSUPP.to_errno();
    }
    let cls = data.cast::<bindings::flow_cls_offload>();
    // SAFETY: The caller passes a valid request.
    let (command, cookie) = unsafe { ((*cls).command, (*cls).cookie) };
    match command {
        // SAFETY: As above.
        bindings::flow_cls_command_FLOW_CLS_REPLACE => slowly(|| unsafe { replace(cls) }),
        bindings::flow_cls_command_FLOW_CLS_DESTROY => slowly(|| {
            let mut locked = Locked::new();
            locked.calls().destroy += 1;
            match locked.rules().find(|rule| rule.cookie == cookie) {
                Some(place) => {
                    let lost = place.take().map_or(0, |rule| rule.packets);
                    locked.calls().lost += lost;
                    0
                }
                None => {
                    locked.calls().unknown += 1;
                    ENOENT.to_errno()
                }
            }
        }),
        _ => {
            let mut locked = Locked::new();
            locked.calls().stats += 1;
            if !faults::counts() {
                return EOPNOTSUPP.to_errno();
            }
            match locked.rules().find(|rule| rule.cookie == cookie) {
                Some(Some(rule)) => {
                    // SAFETY: The caller passes a valid request.
                    unsafe {
                        (*cls).stats.pkts = rule.packets;
                        (*cls).stats.bytes = rule.packets * 100;
                        (*cls).stats.lastused = rule.used as u64;
                    }
                    rule.packets = 0;
                    0
                }
                _ => ENOENT.to_errno(),
            }
        }
    }
}

/// Takes note of a block that is bound or unbound.
fn count_block(command: bindings::flow_block_command) {
    let mut locked = Locked::new();
    match command {
        bindings::flow_block_command_FLOW_BLOCK_BIND => locked.calls().bind += 1,
        _ => locked.calls().unbind += 1,
    }
}

unsafe extern "C" fn setup_tc(
    dev: *mut bindings::net_device,
    ty: bindings::tc_setup_type,
    data: *mut ffi::c_void,
) -> ffi::c_int {
    if ty != bindings::tc_setup_type_TC_SETUP_BLOCK {
        return EOPNOTSUPP.to_errno();
    }
    let offload = data.cast::<bindings::flow_block_offload>();
    // SAFETY: The caller passes a valid request and holds the rtnl lock.
    unsafe {
        count_block((*offload).command);
        (*offload).unlocked_driver_cb = true;
        bindings::flow_block_cb_setup_simple(
            offload,
            DRIVER.list.get(),
            Some(driver_cb),
            dev.cast(),
            dev.cast(),
            true,
        )
    }
}

unsafe extern "C" fn start_xmit(
    skb: *mut bindings::sk_buff,
    _dev: *mut bindings::net_device,
) -> bindings::netdev_tx_t {
    // SAFETY: C gives the packet away.
    drop(unsafe { SkBuff::from_raw(NonNull::new_unchecked(skb)) });
    bindings::netdev_tx_NETDEV_TX_OK
}

unsafe extern "C" fn get_port_parent_id(
    _dev: *mut bindings::net_device,
    id: *mut bindings::netdev_phys_item_id,
) -> ffi::c_int {
    // SAFETY: The caller passes a valid structure; its last byte is the length
    // of the name before.
    unsafe {
        (*id)._bindgen_opaque_blob[0] = b'k';
        (*id)._bindgen_opaque_blob[32] = 1;
    }
    0
}

struct Ops(bindings::net_device_ops);
// SAFETY: It never changes.
unsafe impl Sync for Ops {}

static OPS: Ops = {
    // SAFETY: All-zeroes is valid for the structure.
    let mut ops: bindings::net_device_ops = unsafe { core::mem::zeroed() };
    ops.ndo_start_xmit = Some(start_xmit);
    ops.ndo_setup_tc = Some(setup_tc);
    ops.ndo_get_port_parent_id = Some(get_port_parent_id);
    Ops(ops)
};

unsafe extern "C" fn setup(dev: *mut bindings::net_device) {
    // SAFETY: The device is new.
    unsafe {
        bindings::ether_setup(dev);
        (*dev).netdev_ops = &raw const OPS.0;
        (*dev).features |= 1 << bindings::NETIF_F_HW_TC_BIT;
        (*dev).hw_features |= 1 << bindings::NETIF_F_HW_TC_BIT;
        (*dev).needs_free_netdev = true;
        bindings::eth_hw_addr_random(dev);
    }
}

unsafe extern "C" fn setup_tunnel(dev: *mut bindings::net_device) {
    // SAFETY: The device is new.
    unsafe {
        bindings::ether_setup(dev);
        (*dev).netdev_ops = &raw const TUNNEL_OPS.0;
        (*dev).rtnl_link_ops = &raw const LINK_OPS.0;
        (*dev).needs_free_netdev = true;
        bindings::eth_hw_addr_random(dev);
    }
}

static TUNNEL_OPS: Ops = {
    // SAFETY: All-zeroes is valid for the structure.
    let mut ops: bindings::net_device_ops = unsafe { core::mem::zeroed() };
    ops.ndo_start_xmit = Some(start_xmit);
    Ops(ops)
};

struct LinkOps(bindings::rtnl_link_ops);
// SAFETY: It never changes.
unsafe impl Sync for LinkOps {}

static LINK_OPS: LinkOps = {
    // SAFETY: All-zeroes is valid for the structure.
    let mut ops: bindings::rtnl_link_ops = unsafe { core::mem::zeroed() };
    ops.kind = c"gretap".as_ptr().cast();
    LinkOps(ops)
};

/// A registered device of the driver, a port of the driver's one switch; or a
/// tunnel's, which has no driver.
pub struct Device(Option<NetDeviceRef>);

impl Device {
    /// A new device.
    pub fn new() -> Result<Self> {
        Self::register("ktd%d", setup)
    }

    /// A new device of this name.
    pub fn named(name: &str) -> Result<Self> {
        Self::register(name, setup)
    }

    /// A new device that is a tunnel's.
    pub fn tunnel() -> Result<Self> {
        Self::register("ktt%d", setup_tunnel)
    }

    fn register(
        name: &str,
        setup: unsafe extern "C" fn(*mut bindings::net_device),
    ) -> Result<Self> {
        let name = CString::try_from_fmt(fmt!("{name}"))?;
        let guard = RtnlGuard::new();
        init_list(DRIVER.list.get());
        // SAFETY: The rtnl lock is held; the name is short.
        unsafe {
            let dev = bindings::alloc_netdev_mqs(0, name.as_char_ptr(), 1, Some(setup), 1, 1);
            if dev.is_null() {
                return Err(ENOMEM);
            }
            let err = bindings::register_netdevice(dev);
            if err != 0 {
                bindings::free_netdev(dev);
                return Err(Error::from_errno(err));
            }
            drop(guard);
            Ok(Self(Some(NetDevice::from_raw(dev).hold(GFP_KERNEL))))
        }
    }

    /// The device.
    pub fn dev(&self) -> &NetDevice {
        // PANIC: Only dropping takes it out.
        match &self.0 {
            Some(dev) => dev,
            None => unreachable!(),
        }
    }

    /// The device's name.
    pub fn name(&self) -> Option<DeviceName> {
        Some(self.0.as_ref()?.name())
    }

    /// Others are told that its features may have changed.
    pub fn features_change(&self) {
        let _guard = RtnlGuard::new();
        // SAFETY: The device is valid, and the rtnl lock is held.
        unsafe { bindings::netdev_features_change(self.dev().as_ptr()) };
    }

    /// Switches its offload on or off, as `ethtool -K DEV hw-tc-offload`.
    pub fn set_hw_tc(&self, on: bool) {
        let _guard = RtnlGuard::new();
        let dev = self.dev().as_ptr();
        let bit = 1 << bindings::NETIF_F_HW_TC_BIT;
        // SAFETY: The device is valid; features change under the rtnl lock.
        unsafe {
            if on {
                (*dev).wanted_features |= bit;
            } else {
                (*dev).wanted_features &= !bit;
            }
            bindings::netdev_update_features(dev);
        }
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        let _guard = RtnlGuard::new();
        if let Some(dev) = self.0.take() {
            // SAFETY: The device is registered and the rtnl lock is held. The
            // reference goes before the lock does.
            unsafe { bindings::unregister_netdevice_queue(dev.as_ptr(), core::ptr::null_mut()) };
        }
    }
}

/// Makes a list empty, if it has never been used.
fn init_list(list: *mut bindings::list_head) {
    // SAFETY: The lists are static, and used under the rtnl lock only.
    unsafe {
        if (*list).next.is_null() {
            (*list).next = list;
            (*list).prev = list;
        }
    }
}

/// Whether the driver takes rules for devices that have none.
static WILLING: AtomicBool = AtomicBool::new(true);

struct List(UnsafeCell<bindings::list_head>);
// SAFETY: The list is used under the lock of indirect blocks.
unsafe impl Sync for List {}

/// The callbacks for devices that have no driver.
static INDIRECT: List = List(UnsafeCell::new(bindings::list_head {
    next: core::ptr::null_mut(),
    prev: core::ptr::null_mut(),
}));

/// What the driver knows itself by.
fn ident() -> *mut ffi::c_void {
    INDIRECT.0.get().cast()
}

/// # Safety
///
/// Both must be valid; `entry` is in no list.
unsafe fn list_add(entry: *mut bindings::list_head, head: *mut bindings::list_head) {
    // SAFETY: By the safety requirements.
    unsafe {
        let next = (*head).next;
        (*entry).next = next;
        (*entry).prev = head;
        (*next).prev = entry;
        (*head).next = entry;
    }
}

/// # Safety
///
/// `entry` must be in a valid list.
unsafe fn list_del(entry: *mut bindings::list_head) {
    // SAFETY: By the safety requirements.
    unsafe {
        let (next, prev) = ((*entry).next, (*entry).prev);
        (*prev).next = next;
        (*next).prev = prev;
    }
}

unsafe extern "C" fn release(_priv: *mut ffi::c_void) {}

unsafe extern "C" fn bind_cb(
    dev: *mut bindings::net_device,
    sch: *mut bindings::Qdisc,
    cb_priv: *mut ffi::c_void,
    _ty: bindings::tc_setup_type,
    type_data: *mut ffi::c_void,
    data: *mut ffi::c_void,
    cleanup: Option<unsafe extern "C" fn(*mut bindings::flow_block_cb)>,
) -> ffi::c_int {
    let bo = type_data.cast::<bindings::flow_block_offload>();
    if !WILLING.load(Relaxed) {
        return EOPNOTSUPP.to_errno();
    }
    // SAFETY: The caller passes a valid request and holds the lock of indirect
    // blocks; every entry of a block's list is the `list` of a callback.
    unsafe {
        if (*bo).command == bindings::flow_block_command_FLOW_BLOCK_BIND {
            (*bo).unlocked_driver_cb = true;
            let cb = bindings::flow_indr_block_cb_alloc(
                Some(driver_cb),
                ident(),
                ident(),
                Some(release),
                bo,
                dev,
                sch,
                data,
                cb_priv,
                cleanup,
            );
            if (-4095..=0).contains(&(cb as isize)) {
                return ENOMEM.to_errno();
            }
            list_add(&raw mut (*cb).list, &raw mut (*bo).cb_list);
            list_add(&raw mut (*cb).driver_list, INDIRECT.0.get());
            return 0;
        }
        let head = &raw mut (*(*bo).block).cb_list;
        let entry = (*head).next;
        if entry == head {
            return ENOENT.to_errno();
        }
        let cb = kernel::container_of!(entry, bindings::flow_block_cb, list);
        list_del(&raw mut (*cb).indr.list);
        list_del(&raw mut (*cb).list);
        list_add(&raw mut (*cb).list, &raw mut (*bo).cb_list);
        list_del(&raw mut (*cb).driver_list);
    }
    0
}

/// While this lives, the driver takes rules for devices that have no driver.
pub struct Indirect(());

impl Indirect {
    /// The driver offers itself.
    pub fn load() -> Result<Self> {
        init_list(INDIRECT.0.get());
        WILLING.store(true, Relaxed);
        // SAFETY: It is not registered; the functions are static.
        let err = unsafe { bindings::flow_indr_dev_register(Some(bind_cb), ident()) };
        kernel::error::to_result(err)?;
        Ok(Self(()))
    }

    /// Has the driver refuse devices from now on.
    pub fn set_unwilling(&self) {
        WILLING.store(false, Relaxed);
    }

    /// What [`drop`] does, for another thread; the driver is forgotten then.
    pub fn unload() {
        drop(Self(()));
    }

    /// Whether the driver has no callback in any block.
    pub fn is_idle() -> bool {
        let list = INDIRECT.0.get();
        // SAFETY: Nobody changes the list now.
        unsafe { (*list).next == list }
    }
}

impl Drop for Indirect {
    fn drop(&mut self) {
        // SAFETY: It was registered.
        unsafe { bindings::flow_indr_dev_unregister(Some(bind_cb), ident(), Some(release)) };
    }
}
