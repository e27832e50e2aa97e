// SPDX-License-Identifier: GPL-2.0

//! Flow blocks of devices that have no driver, against a driver that offers
//! itself for all devices.

use core::{
    cell::UnsafeCell,
    sync::atomic::{
        AtomicBool,
        AtomicI32,
        AtomicU32,
        Ordering::Relaxed, //
    },
};

use kernel::{
    ffi,
    prelude::*, //
};

use crate::bindings;

/// Rules that the driver has.
static RULES: AtomicI32 = AtomicI32::new(0);
/// Rules that went with it.
static GONE: AtomicU32 = AtomicU32::new(0);
/// Whether it takes the device.
static WILLING: AtomicBool = AtomicBool::new(true);

struct List(UnsafeCell<bindings::list_head>);
// SAFETY: The list is used under the rtnl lock.
unsafe impl Sync for List {}

static LIST: List = List(UnsafeCell::new(bindings::list_head {
    next: core::ptr::null_mut(),
    prev: core::ptr::null_mut(),
}));

/// What the driver knows itself by.
fn ident() -> *mut ffi::c_void {
    LIST.0.get().cast()
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

unsafe extern "C" fn rule_cb(
    ty: bindings::tc_setup_type,
    data: *mut ffi::c_void,
    _priv: *mut ffi::c_void,
) -> ffi::c_int {
    if ty != bindings::tc_setup_type_TC_SETUP_CLSFLOWER {
        return EOPNOTSUPP.to_errno();
    }
    let cls = data.cast::<bindings::flow_cls_offload>();
    // SAFETY: The caller passes a valid request.
    unsafe {
        match (*cls).command {
            bindings::flow_cls_command_FLOW_CLS_REPLACE => RULES.fetch_add(1, Relaxed),
            bindings::flow_cls_command_FLOW_CLS_DESTROY => RULES.fetch_sub(1, Relaxed),
            _ => {
                (*cls).stats.pkts = 3;
                0
            }
        };
    }
    0
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
            let cb = bindings::flow_indr_block_cb_alloc(
                Some(rule_cb),
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
            list_add(&raw mut (*cb).driver_list, LIST.0.get());
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

/// The driver, while it is loaded.
struct Driver;

impl Driver {
    fn load() -> Result<Self> {
        let list = LIST.0.get();
        // SAFETY: The list is this driver's, which is not loaded; the functions
        // are static.
        let err = unsafe {
            (*list).next = list;
            (*list).prev = list;
            bindings::flow_indr_dev_register(Some(bind_cb), ident())
        };
        kernel::error::to_result(err)?;
        WILLING.store(true, Relaxed);
        Ok(Self)
    }

    /// Whether the driver has no callback in any block.
    fn is_idle() -> bool {
        let list = LIST.0.get();
        // SAFETY: Nobody changes the list now.
        unsafe { (*list).next == list }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // SAFETY: It was registered.
        unsafe { bindings::flow_indr_dev_unregister(Some(bind_cb), ident(), Some(release)) };
    }
}

#[kunit_tests(rust_net_flow_offload_indirect)]
mod tests {
    use super::*;
    use crate::net::{
        flow_offload::{
            BindError,
            DriverText,
            FlowBlock,
            FlowRule,
            HwDelta, //
        },
        namespace::Net,
        netdevice::NetDevice,
        rtnetlink::RtnlGuard, //
    };
    use kernel::sync::Arc;

    fn gone(_cookie: usize, delta: HwDelta) {
        if delta.packets == 3 {
            GONE.fetch_add(1, Relaxed);
        }
    }

    /// Binds the block of a device that has no driver.
    fn bind(indirect: bool) -> Result<Arc<FlowBlock>, BindError> {
        let failed = |e| BindError::Failed(e, DriverText::new());
        let lo = NetDevice::get_by_name(Net::init(), c"lo").ok_or(failed(ENODEV))?;
        let guard = RtnlGuard::new();
        FlowBlock::bind(&lo, indirect, gone, guard.proof())
    }

    fn put_rules(block: &FlowBlock) -> Result {
        let mut rule = FlowRule::new(1)?;
        rule.push_drop()?;
        for cookie in 1..=2 {
            block.replace(cookie, 1, 0, &rule, &mut DriverText::new())?;
        }
        assert_eq!(RULES.load(Relaxed), 2);
        assert_eq!(block.stats(1)?.packets, 3);
        Ok(())
    }

    #[test]
    fn without_a_driver() -> Result {
        assert!(matches!(bind(true), Err(BindError::NoDriver)));
        let driver = Driver::load()?;
        assert!(matches!(bind(false), Err(BindError::NoDriver)));
        WILLING.store(false, Relaxed);
        assert!(matches!(bind(true), Err(BindError::Failed(EOPNOTSUPP, _))));
        drop(driver);
        // Nothing was left that a driver would be asked for.
        let driver = Driver::load()?;
        assert!(Driver::is_idle());
        drop(driver);
        Ok(())
    }

    #[test]
    fn a_block_through_its_life() -> Result {
        let driver = Driver::load()?;
        let Ok(block) = bind(true) else {
            return Err(EIO);
        };
        assert!(block.is_bound() && !Driver::is_idle());
        put_rules(&block)?;
        block.destroy(1)?;

        let mut told = 0;
        let guard = RtnlGuard::new();
        block.unbind(guard.proof(), |_, _| told += 1);
        drop(guard);
        assert_eq!((told, RULES.load(Relaxed)), (1, 0));
        assert!(!block.is_bound() && Driver::is_idle());
        drop(driver);
        Ok(())
    }

    #[test]
    fn a_driver_that_goes() -> Result {
        let driver = Driver::load()?;
        let Ok(block) = bind(true) else {
            return Err(EIO);
        };
        put_rules(&block)?;
        GONE.store(0, Relaxed);
        drop(driver);
        assert_eq!((GONE.load(Relaxed), RULES.load(Relaxed)), (2, 0));
        assert!(!block.is_bound() && Driver::is_idle());
        assert_eq!(block.stats(1), Err(ENODEV));
        let guard = RtnlGuard::new();
        block.unbind(guard.proof(), |_, _| ());
        drop(guard);

        // The next one is not told of the device.
        let driver = Driver::load()?;
        assert!(Driver::is_idle());
        drop(driver);
        Ok(())
    }
}
