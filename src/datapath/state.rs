// SPDX-License-Identifier: GPL-2.0

//! The lock that all changes are made under.
//!
//! Everything that changes devices, ports, flows or parameters of a datapath
//! holds `ovs_mutex`; packets and most reads hold the RCU read lock only. The
//! RTNL lock nests inside `ovs_mutex`.
//!
//! Nothing waits for references to a device with `ovs_mutex` held: a reference
//! may be that of a port, which the lock is needed to delete.

use kernel::{
    c_str,
    static_lock_class, //
};

use kernel_ext::sync::static_mutex::{
    StaticMutex,
    StaticMutexGuard, //
};

use crate::vport::internal_dev::LeavingDevices;

static OVS_MUTEX: StaticMutex = StaticMutex::new(c_str!("ovs_mutex"), static_lock_class!());

/// Evidence that `ovs_mutex` is held, and what releases it when dropped.
///
/// Dropping it may sleep for long: the devices of internal ports that were
/// deleted under the lock are unregistered then, and waited for.
///
/// C: `lockdep_ovsl_is_held()` of who asks for it, `ovs_unlock()` when dropped.
pub(crate) struct OvsGuard {
    // In this order: see above.
    _guard: StaticMutexGuard,
    /// The devices of internal ports that were deleted since the lock was taken.
    pub(crate) leaving: LeavingDevices,
}

/// Takes `ovs_mutex`. Sleeps.
///
/// C: `ovs_lock()`.
pub(crate) fn ovs_lock() -> OvsGuard {
    OvsGuard {
        _guard: OVS_MUTEX.lock(),
        leaving: LeavingDevices::new(),
    }
}
