// SPDX-License-Identifier: GPL-2.0
// refused: E0597

//! A namespace may be gone once the RCU read lock is released.

use kernel::sync::rcu;
use kernel_ext::{
    net::namespace::{
        Net,
        NetHandle, //
    },
    sync::rcu::RcuRead, //
};

/// Looks at the namespace after the lock was released.
pub fn case(handle: &NetHandle) -> bool {
    let mut after: Option<&Net> = None;
    {
        let guard = rcu::read_lock();
        let net = handle.get(RcuRead::from(&guard));
        if net.is_some() {
            after = net; // BAD
        }
    }
    after.take().is_some()
}
