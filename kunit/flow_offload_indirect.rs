// SPDX-License-Identifier: GPL-2.0

//! Flow blocks of devices that have no driver, against a driver that offers
//! itself for all devices.

use kernel::prelude::*;

#[kunit_tests(rust_net_flow_offload_indirect)]
mod tests {
    use super::*;

    use core::sync::atomic::{
        AtomicU32,
        Ordering::Relaxed, //
    };

    use crate::kunit_flow_offload_driver::{
        self as driver,
        Indirect, //
    };
    use crate::net::{
        flow_offload::{
            wait_for_cleanups,
            BindError,
            Binder,
            DriverText,
            FlowBlock,
            FlowRule,
            HwDelta, //
        },
        namespace::Net,
        netdevice::NetDevice,
        rtnetlink::RtnlGuard, //
    };
    use crate::workqueue::StaticWork;
    use kernel::{
        sync::Arc,
        time::{
            delay::fsleep,
            Delta, //
        },
    };

    /// Rules that went with the driver, and their packets.
    static GONE: AtomicU32 = AtomicU32::new(0);

    fn gone(_cookie: usize, delta: HwDelta) {
        if delta.packets == 3 {
            GONE.fetch_add(1, Relaxed);
        }
    }

    /// Binds the block of a device that has no driver.
    fn bind(binder: Binder) -> Result<Arc<FlowBlock>, BindError> {
        let failed = |e| BindError::Failed(e, DriverText::new());
        let lo = NetDevice::get_by_name(Net::init(), c"lo").ok_or(failed(ENODEV))?;
        let guard = RtnlGuard::new();
        FlowBlock::bind(&lo, binder, gone, guard.proof())
    }

    fn put_rules(block: &FlowBlock) -> Result {
        let mut rule = FlowRule::new(1)?;
        rule.push_drop()?;
        for cookie in 1..=2 {
            block.replace(cookie, 1, 0, &rule, &mut DriverText::new())?;
        }
        assert_eq!(driver::n_rules(), 2);
        assert!(driver::receive_as(1, 3));
        assert_eq!(block.stats(1)?.packets, 3);
        assert!(driver::receive_as(1, 3) && driver::receive_as(2, 3));
        Ok(())
    }

    #[test]
    fn without_a_driver() -> Result {
        assert!(matches!(
            bind(Binder::IndirectIngress),
            Err(BindError::NoDriver)
        ));
        let driver = Indirect::load()?;
        assert!(matches!(bind(Binder::Ingress), Err(BindError::NoDriver)));
        driver.set_unwilling();
        assert!(matches!(
            bind(Binder::IndirectIngress),
            Err(BindError::Failed(EOPNOTSUPP, _))
        ));
        drop(driver);
        // Nothing was left that a driver would be asked for.
        let driver = Indirect::load()?;
        assert!(Indirect::is_idle());
        drop(driver);
        Ok(())
    }

    #[test]
    fn a_block_through_its_life() -> Result {
        let driver = Indirect::load()?;
        let Ok(block) = bind(Binder::IndirectIngress) else {
            return Err(EIO);
        };
        assert!(block.is_bound() && !Indirect::is_idle());
        put_rules(&block)?;
        block.destroy(1)?;

        let mut told = 0;
        let guard = RtnlGuard::new();
        block.unbind(guard.proof(), |_, _| told += 1);
        drop(guard);
        assert_eq!((told, driver::n_rules()), (1, 0));
        assert!(!block.is_bound() && Indirect::is_idle());
        drop(driver);
        Ok(())
    }

    static UNLOAD: StaticWork = StaticWork::new(
        Indirect::unload,
        kernel::c_str!("kunit_unload"),
        kernel::static_lock_class!(),
    );

    #[test]
    fn a_driver_that_goes_meanwhile() -> Result {
        let driver = Indirect::load()?;
        let lo = NetDevice::get_by_name(Net::init(), c"lo").ok_or(ENODEV)?;
        // SAFETY: The device is valid.
        let references = || unsafe { crate::bindings::netdev_refcnt_read(lo.as_ptr()) };
        let before = references();
        let Ok(block) = bind(Binder::IndirectIngress) else {
            return Err(EIO);
        };
        put_rules(&block)?;
        core::mem::forget(driver);

        // The driver waits for the lock, having left the list of drivers: it is
        // not asked any more.
        let work = UNLOAD.enable()?;
        let guard = RtnlGuard::new();
        UNLOAD.queue_unbound();
        fsleep(Delta::from_millis(100));
        let mut told = 0;
        block.unbind(guard.proof(), |_, _| told += 1);
        assert_eq!((told, driver::n_rules()), (2, 0));
        assert!(!block.is_bound() && !Indirect::is_idle());
        assert_eq!(block.stats(1), Err(ENODEV));
        // The device is not waited for.
        assert_eq!(references(), before);
        drop(guard);
        wait_for_cleanups();
        drop(work);
        assert!(Indirect::is_idle());
        assert_eq!(references(), before);
        Ok(())
    }

    #[test]
    fn a_driver_that_goes() -> Result {
        let driver = Indirect::load()?;
        let Ok(block) = bind(Binder::IndirectIngress) else {
            return Err(EIO);
        };
        put_rules(&block)?;
        GONE.store(0, Relaxed);
        drop(driver);
        assert_eq!((GONE.load(Relaxed), driver::n_rules()), (2, 0));
        assert!(!block.is_bound() && Indirect::is_idle());
        assert_eq!(block.stats(1), Err(ENODEV));
        let guard = RtnlGuard::new();
        block.unbind(guard.proof(), |_, _| ());
        drop(guard);

        // The next one is not told of the device.
        let driver = Indirect::load()?;
        assert!(Indirect::is_idle());
        drop(driver);
        Ok(())
    }
}
