// SPDX-License-Identifier: GPL-2.0

//! Callbacks on what happens to network devices.
//!
//! C header: [`include/linux/netdevice.h`](srctree/include/linux/netdevice.h)

use core::marker::PhantomData;

use kernel::{
    error::to_result,
    ffi,
    prelude::*,
    types::Opaque, //
};

use super::{
    netdevice::NetDevice,
    rtnetlink::Rtnl,
    rx_handler::{
        self,
        RxHandler, //
    },
};
use crate::bindings;

/// What has happened to a device: the number that C has for it.
/// C: `enum netdev_cmd`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NetdevEvent(pub ffi::c_ulong);

impl NetdevEvent {
    /// The device has come up.
    pub const UP: Self = Self(bindings::netdev_cmd_NETDEV_UP as ffi::c_ulong);
    /// The device has gone down.
    pub const DOWN: Self = Self(bindings::netdev_cmd_NETDEV_DOWN as ffi::c_ulong);
    /// The device has another address.
    pub const CHANGEADDR: Self = Self(bindings::netdev_cmd_NETDEV_CHANGEADDR as ffi::c_ulong);
    /// The device has been registered, or was there before the notifier.
    pub const REGISTER: Self = Self(bindings::netdev_cmd_NETDEV_REGISTER as ffi::c_ulong);
    /// The device is being unregistered, or leaves its namespace.
    pub const UNREGISTER: Self = Self(bindings::netdev_cmd_NETDEV_UNREGISTER as ffi::c_ulong);
    /// The device has other features.
    pub const FEAT_CHANGE: Self = Self(bindings::netdev_cmd_NETDEV_FEAT_CHANGE as ffi::c_ulong);
    /// The device has a new name.
    pub const CHANGENAME: Self = Self(bindings::netdev_cmd_NETDEV_CHANGENAME as ffi::c_ulong);
    /// The device has a new MTU.
    pub const CHANGEMTU: Self = Self(bindings::netdev_cmd_NETDEV_CHANGEMTU as ffi::c_ulong);
}

/// Callbacks on device events, of all namespaces.
pub trait NetdevNotifier: 'static {
    /// The receive handlers that go with this notifier, or with their devices.
    type RxHandler: RxHandler;

    /// Something has happened to `dev`. If it is unregistered, it loses its
    /// receive handler after that, if that is [`Self::RxHandler`] and is still
    /// there.
    ///
    /// May sleep, but must not release the rtnl lock.
    fn event(event: NetdevEvent, dev: &NetDevice, rtnl: Rtnl<'_>);
}

/// A registered notifier. Dropping it unregisters it and may sleep; the notifier
/// hears of all devices then as if they were unregistered.
///
/// # Invariants
///
/// `block` is in the notifier chain.
pub struct NetdevNotifierRegistration<T: NetdevNotifier> {
    block: KBox<Opaque<bindings::notifier_block>>,
    _notifier: PhantomData<T>,
}

// SAFETY: Only C uses the block, and it does so from any thread.
unsafe impl<T: NetdevNotifier> Send for NetdevNotifierRegistration<T> {}
// SAFETY: As above; there are no methods.
unsafe impl<T: NetdevNotifier> Sync for NetdevNotifierRegistration<T> {}

impl<T: NetdevNotifier> NetdevNotifierRegistration<T> {
    /// Registers the notifier; it first hears of the devices that exist.
    /// C: `register_netdevice_notifier()`. May sleep.
    pub fn new() -> Result<Self> {
        let block = KBox::new(
            Opaque::new(bindings::notifier_block {
                notifier_call: Some(Self::callback),
                ..Default::default()
            }),
            GFP_KERNEL,
        )?;
        // SAFETY: The block is initialised and stays where it is until it is
        // unregistered.
        to_result(unsafe { bindings::register_netdevice_notifier(block.get()) })?;
        T::RxHandler::switch().set(true);
        // INVARIANT: It is registered now.
        Ok(Self {
            block,
            _notifier: PhantomData,
        })
    }

    /// Called by C.
    ///
    /// # Safety
    ///
    /// Only for C, in the chain of network devices.
    unsafe extern "C" fn callback(
        _block: *mut bindings::notifier_block,
        event: ffi::c_ulong,
        info: *mut ffi::c_void,
    ) -> ffi::c_int {
        // SAFETY: The chain is that of network devices, whose argument is a
        // `struct netdev_notifier_info` with a device that is valid during the
        // call.
        let dev =
            unsafe { NetDevice::from_raw((*info.cast::<bindings::netdev_notifier_info>()).dev) };
        let event = NetdevEvent(event);
        // SAFETY: C calls the chain with the rtnl lock held.
        let rtnl = unsafe { Rtnl::assume_held() };
        T::event(event, dev, rtnl);
        if event == NetdevEvent::UNREGISTER {
            rx_handler::unregister::<T::RxHandler>(dev, rtnl);
        }
        bindings::NOTIFY_DONE as ffi::c_int
    }
}

impl<T: NetdevNotifier> Drop for NetdevNotifierRegistration<T> {
    fn drop(&mut self) {
        // No more handlers from now on. Those that are there go below: C calls
        // the notifier for each device, with the rtnl lock held, under which
        // they were registered.
        T::RxHandler::switch().set(false);
        // SAFETY: By the type invariants it is registered. The call does not
        // fail for a block that is in the chain.
        unsafe { bindings::unregister_netdevice_notifier(self.block.get()) };
    }
}
