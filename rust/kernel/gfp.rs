// SPDX-License-Identifier: GPL-2.0

//! Allocation flags as C takes them.
//!
//! `kernel::alloc::Flags` keeps its number to its own crate; in the kernel tree
//! `Flags::as_raw()` serves instead of this file.

use kernel::{
    alloc::{
        flags::{
            GFP_ATOMIC,
            GFP_NOWAIT, //
        },
        Flags, //
    },
    bindings, //
};

/// The number of `flags`: that of `GFP_ATOMIC` and `GFP_NOWAIT`, and for all
/// others, which may sleep, that of `GFP_KERNEL`.
#[inline]
pub(crate) fn as_raw(flags: Flags) -> u32 {
    if flags == GFP_ATOMIC {
        bindings::GFP_ATOMIC
    } else if flags == GFP_NOWAIT {
        bindings::GFP_NOWAIT
    } else {
        bindings::GFP_KERNEL
    }
}
