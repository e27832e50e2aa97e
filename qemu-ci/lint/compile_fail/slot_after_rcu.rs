// SPDX-License-Identifier: GPL-2.0
// refused: E0597

//! What is published is valid under the RCU read lock only.

use kernel::sync::rcu;
use kernel_ext::sync::rcu::{
    RcuRead,
    RcuSlot, //
};

/// Looks at the object after the lock was released.
pub fn case(slot: &RcuSlot<u32>) -> u32 {
    let mut after: Option<&u32> = None;
    {
        let guard = rcu::read_lock();
        let found = slot.get(RcuRead::from(&guard));
        if found.is_some() {
            after = found; // BAD
        }
    }
    after.take().copied().unwrap_or(0)
}
