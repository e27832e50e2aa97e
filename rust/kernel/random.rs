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

/// A random number for seeding a hash.
pub fn random_u64() -> u64 {
    let mut seed = [0u8; 8];
    // SAFETY: The pointer and the length are those of `seed`.
    unsafe { bindings::get_random_bytes(seed.as_mut_ptr().cast(), seed.len()) };
    u64::from_ne_bytes(seed)
}
