// SPDX-License-Identifier: GPL-2.0

//! Random numbers.
//!
//! C header: [`include/linux/random.h`](srctree/include/linux/random.h)

use crate::bindings;

/// A random number. C: `get_random_u32()`.
pub fn get_random_u32() -> u32 {
    // SAFETY: May be called in any context.
    unsafe { bindings::get_random_u32() }
}
