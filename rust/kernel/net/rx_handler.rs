// SPDX-License-Identifier: GPL-2.0

//! Receive handlers: taking over what a device receives.
//!
//! C header: [`include/linux/netdevice.h`](srctree/include/linux/netdevice.h)

use core::{
    mem::ManuallyDrop,
    ptr::NonNull,
    sync::atomic::{
        AtomicBool,
        Ordering, //
    },
};

use kernel::{
    error::to_result,
    prelude::*, //
};

use super::{
    netdevice::NetDevice,
    rtnetlink::Rtnl,
    skbuff::SkBuff, //
};
use crate::{
    bindings,
    sync::{
        bh::{
            BhRcu,
            BhSection, //
        },
        rcu::{
            RcuArc,
            RcuRead, //
        },
    },
};

/// What becomes of a packet after its handler. C: `rx_handler_result_t`.
pub enum RxResult {
    /// The handler has taken the packet. C: `RX_HANDLER_CONSUMED`.
    Consumed,
    /// The packet goes on as if there were no handler. C: `RX_HANDLER_PASS`.
    Pass(SkBuff),
}

/// Whether devices may be given handlers of a type, for a `static`.
///
/// A device keeps its handler until that is unregistered, also when the handler's
/// module goes. So there are handlers only while there is a
/// [`NetdevNotifierRegistration`](super::notifier::NetdevNotifierRegistration)
/// that unregisters those that are left, of all devices, when it is dropped.
pub struct RxHandlerSwitch(AtomicBool);

impl RxHandlerSwitch {
    /// They may not, yet.
    #[allow(clippy::new_without_default, reason = "for a static")]
    pub const fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    /// Says whether they may.
    pub(super) fn set(&self, on: bool) {
        self.0.store(on, Ordering::Release);
    }
}

/// What is done with the packets of a device.
pub trait RxHandler: Send + Sync + 'static {
    /// The `static` that says whether there may be handlers of this type.
    fn switch() -> &'static RxHandlerSwitch;

    /// A packet has been received.
    ///
    /// `skb` is not shared; its data begin after the link-layer header. Packets
    /// that the device had merged so that they cannot be forwarded (LRO) do not
    /// come here, nor do those sent by this host (`PACKET_LOOPBACK`).
    fn handle_frame(ctx: BhRcu<'_>, port: &Self, skb: SkBuff) -> RxResult;
}

/// The handler as C calls it.
///
/// # Safety
///
/// Only for C's receive path, on devices whose `rx_handler_data` is an
/// `RcuArc<T>`.
unsafe extern "C" fn frame_hook<T: RxHandler>(
    pskb: *mut *mut bindings::sk_buff,
) -> bindings::rx_handler_result_t {
    // SAFETY: C passes a valid packet.
    let skb = unsafe { *pskb };
    // SAFETY: As above; the fields are read in place.
    let (loopback, data) = unsafe {
        let headers = (*skb).__bindgen_anon_4.__bindgen_anon_1.as_ref();
        let dev: *mut bindings::net_device = (*skb)
            .__bindgen_anon_1
            .__bindgen_anon_1
            .__bindgen_anon_1
            .dev
            .cast();
        (
            u32::from(headers.pkt_type()) == bindings::PACKET_LOOPBACK,
            (*dev).rx_handler_data.cast_const().cast::<T>(),
        )
    };
    if loopback {
        return bindings::rx_handler_result_RX_HANDLER_PASS;
    }
    // SAFETY: The packet is valid and owned. The calls are made only where
    // they may find something.
    let skb = unsafe {
        if (*skb).data_len != 0 && bindings::skb_warn_if_lro(skb) {
            bindings::sk_skb_reason_drop(
                core::ptr::null(),
                skb,
                bindings::skb_drop_reason_SKB_DROP_REASON_NOT_SPECIFIED,
            );
            return bindings::rx_handler_result_RX_HANDLER_CONSUMED;
        }
        SkBuff::share_check(skb)
    };
    let Some(skb) = skb else {
        return bindings::rx_handler_result_RX_HANDLER_CONSUMED;
    };
    // SAFETY: C calls this with bottom halves disabled and the RCU read lock
    // held, until this returns.
    let section = unsafe { BhSection::enter() };
    let ctx = section.proof();
    // SAFETY: `register()` stored an `RcuArc<T>`, whose reference lasts until
    // `unregister()` has waited for all handlers to return.
    match T::handle_frame(ctx, unsafe { &*data }, skb) {
        RxResult::Consumed => bindings::rx_handler_result_RX_HANDLER_CONSUMED,
        RxResult::Pass(skb) => {
            // SAFETY: C takes the packet back.
            unsafe { *pskb = skb.into_raw() };
            bindings::rx_handler_result_RX_HANDLER_PASS
        }
    }
}

/// Whether the handler of `dev` is the one of `T`.
#[inline]
fn is_registered<T: RxHandler>(dev: &NetDevice) -> bool {
    // SAFETY: The device is valid, the pointer is written atomically by C.
    let handler = unsafe { (&raw const (*dev.as_ptr()).rx_handler).read_volatile() };
    handler.is_some_and(|f| f as usize == frame_hook::<T> as usize)
}

/// Gives `dev` a handler, whose data are kept alive until it is taken away.
/// C: `netdev_rx_handler_register()`.
///
/// `EBUSY` if the device has one, `EINVAL` if it does not permit any; `ENODEV`
/// if there is no notifier that would take the handler away when the device or
/// the module goes.
pub fn register<T: RxHandler>(dev: &NetDevice, data: RcuArc<T>, _rtnl: Rtnl<'_>) -> Result {
    // The notifier takes the rtnl lock after it has cleared this, and then looks
    // at all devices.
    if !T::switch().0.load(Ordering::Acquire) {
        return Err(ENODEV);
    }
    let data = RcuArc::into_raw(data);
    // SAFETY: The device is valid, the rtnl lock is held, and the data stay
    // until `unregister()` takes them back.
    let ret = unsafe {
        bindings::netdev_rx_handler_register(
            dev.as_ptr(),
            Some(frame_hook::<T>),
            data.cast_mut().cast(),
        )
    };
    to_result(ret).inspect_err(|_| {
        // SAFETY: The reference was given away above, and nothing has it.
        drop(unsafe { RcuArc::from_raw(data) });
    })
}

/// Takes the handler of `T` away from `dev`, if it has that one, and gives its
/// data back when no packet is in the handler any more.
/// C: `netdev_rx_handler_unregister()`. Waits for a grace period.
pub fn unregister<T: RxHandler>(dev: &NetDevice, _rtnl: Rtnl<'_>) -> Option<RcuArc<T>> {
    if !is_registered::<T>(dev) {
        return None;
    }
    // SAFETY: The device is valid; the handler is registered, and the rtnl
    // lock is held, so the data are there and stay.
    let data = unsafe { (*dev.as_ptr()).rx_handler_data };
    // SAFETY: The device is valid and the rtnl lock is held.
    unsafe { bindings::netdev_rx_handler_unregister(dev.as_ptr()) };
    // SAFETY: The handler was that of `T`, so `register()` gave the reference
    // away, and C no longer has it.
    NonNull::new(data).map(|data| unsafe { RcuArc::from_raw(data.as_ptr().cast_const().cast()) })
}

/// The data of the handler of `T` on `dev`, if it has that one, with a
/// reference of their own.
pub fn load<T: RxHandler>(dev: &NetDevice, _rtnl: Rtnl<'_>) -> Option<RcuArc<T>> {
    if !is_registered::<T>(dev) {
        return None;
    }
    // SAFETY: The device is valid; the handler is registered and the rtnl lock
    // is held, so the data are there and stay.
    let data = NonNull::new(unsafe { (*dev.as_ptr()).rx_handler_data })?;
    // SAFETY: The handler was that of `T`, so this is what `register()` gave
    // away; the reference goes back to C, as it is not dropped here.
    let owned = ManuallyDrop::new(unsafe { RcuArc::<T>::from_raw(data.as_ptr().cast()) });
    Some(RcuArc::clone(&owned))
}

/// The data of the handler of `T` on `dev`, if it has that one.
pub fn data<'g, T: RxHandler>(dev: &NetDevice, _rcu: RcuRead<'g>) -> Option<&'g T> {
    if !is_registered::<T>(dev) {
        return None;
    }
    // SAFETY: The device is valid. C clears the handler, waits for a grace
    // period and then clears the data.
    let data = unsafe { (&raw const (*dev.as_ptr()).rx_handler_data).read_volatile() };
    // SAFETY: The pointer is null, or owned a reference when it was read, and
    // the object outlives the RCU read lock, `'g` at the least.
    unsafe { data.cast_const().cast::<T>().as_ref() }
}
