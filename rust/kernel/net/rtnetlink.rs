// SPDX-License-Identifier: GPL-2.0

//! The rtnl lock and the kinds of devices that `ip link` knows.
//!
//! C headers: [`include/linux/rtnetlink.h`](srctree/include/linux/rtnetlink.h),
//! [`include/net/rtnetlink.h`](srctree/include/net/rtnetlink.h)

use core::{
    marker::PhantomData,
    sync::atomic::{
        AtomicBool,
        Ordering, //
    },
};

use kernel::{
    error::to_result,
    prelude::*,
    types::{
        NotThreadSafe,
        Opaque, //
    },
};

use crate::bindings;

/// Evidence that the rtnl lock is held for at least `'a`.
///
/// # Invariants
///
/// This thread holds the rtnl lock for `'a`.
#[derive(Clone, Copy)]
pub struct Rtnl<'a>(PhantomData<&'a ()>, NotThreadSafe);

impl Rtnl<'_> {
    /// Takes note that the caller runs with the lock held.
    ///
    /// # Safety
    ///
    /// The calling thread must hold the rtnl lock for the token's lifetime.
    #[inline]
    pub(crate) unsafe fn assume_held() -> Self {
        // INVARIANT: By the function's safety requirement.
        Self(PhantomData, NotThreadSafe)
    }
}

/// The rtnl lock, held for the guard's life.
///
/// Releasing it may sleep for long: devices that were unregistered under it are
/// waited for and freed then (`netdev_run_todo()`).
#[must_use = "the lock is released when the guard is dropped"]
pub struct RtnlGuard(NotThreadSafe);

impl RtnlGuard {
    /// Takes the lock. May sleep. C: `rtnl_lock()`.
    pub fn new() -> Self {
        // SAFETY: May be called from any context that may sleep.
        unsafe { bindings::rtnl_lock() };
        Self(NotThreadSafe)
    }

    /// The evidence, for as long as the guard is borrowed.
    #[inline]
    pub fn proof(&self) -> Rtnl<'_> {
        // SAFETY: The guard holds the lock.
        unsafe { Rtnl::assume_held() }
    }
}

impl Default for RtnlGuard {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for RtnlGuard {
    fn drop(&mut self) {
        // SAFETY: `new()` took the lock on this thread.
        unsafe { bindings::rtnl_unlock() };
    }
}

/// A kind of device, for a `static`: what `ip -details link` shows. Devices of
/// this kind cannot be made or deleted through rtnetlink.
/// C: `struct rtnl_link_ops`.
///
/// # Invariants
///
/// `ops` is initialised; its list is C's business while it is registered.
pub struct RtnlLinkOps {
    ops: Opaque<bindings::rtnl_link_ops>,
    registered: AtomicBool,
}

// SAFETY: After construction only C changes it, under its own locks.
unsafe impl Sync for RtnlLinkOps {}

impl RtnlLinkOps {
    /// A kind with this name.
    pub const fn new(kind: &'static CStr) -> Self {
        // SAFETY: All-zeroes is valid for the structure: every field is an
        // integer, a pointer or an optional function.
        let mut ops: bindings::rtnl_link_ops = unsafe { core::mem::zeroed() };
        ops.kind = kind.to_bytes_with_nul().as_ptr();
        // INVARIANT: It is initialised.
        Self {
            ops: Opaque::new(ops),
            registered: AtomicBool::new(false),
        }
    }

    /// The C structure.
    #[inline]
    pub(crate) fn as_ptr(&'static self) -> *mut bindings::rtnl_link_ops {
        self.ops.get()
    }

    /// Registers the kind. May sleep. C: `rtnl_link_register()`.
    ///
    /// Fails with `EBUSY` if this `static` is registered already and with
    /// `EEXIST` if another kind has the name.
    pub fn register(&'static self) -> Result<RtnlLinkRegistration> {
        if self.registered.swap(true, Ordering::Acquire) {
            return Err(EBUSY);
        }
        // SAFETY: It is static, initialised and not registered.
        match to_result(unsafe { bindings::rtnl_link_register(self.as_ptr()) }) {
            Ok(()) => Ok(RtnlLinkRegistration(self)),
            Err(e) => {
                self.registered.store(false, Ordering::Release);
                Err(e)
            }
        }
    }
}

/// The kind is registered for as long as this lives.
///
/// It has to be dropped after the last device of the kind is gone.
pub struct RtnlLinkRegistration(&'static RtnlLinkOps);

impl Drop for RtnlLinkRegistration {
    fn drop(&mut self) {
        // SAFETY: `register()` has registered it.
        unsafe { bindings::rtnl_link_unregister(self.0.as_ptr()) };
        self.0.registered.store(false, Ordering::Release);
    }
}
