// SPDX-License-Identifier: GPL-2.0

//! The lock that all changes are made under.
//!
//! Everything that changes devices, ports, flows or parameters of a datapath
//! holds `ovs_mutex`; packets and most reads hold the RCU read lock only. The
//! RTNL lock nests inside `ovs_mutex`.

use kernel::{
    c_str,
    static_lock_class, //
};

use kernel_ext::sync::static_mutex::{
    StaticMutex,
    StaticMutexGuard, //
};

static OVS_MUTEX: StaticMutex = StaticMutex::new(c_str!("ovs_mutex"), static_lock_class!());

/// Evidence that `ovs_mutex` is held, and what releases it when dropped.
pub(crate) struct OvsGuard {
    _guard: StaticMutexGuard,
}

/// Takes `ovs_mutex`. Sleeps.
///
/// C: `ovs_lock()`.
pub(crate) fn ovs_lock() -> OvsGuard {
    OvsGuard {
        _guard: OVS_MUTEX.lock(),
    }
}
