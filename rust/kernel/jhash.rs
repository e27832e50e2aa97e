// SPDX-License-Identifier: GPL-2.0

//! Bob Jenkins' hash.
//!
//! C header: [`include/linux/jhash.h`](srctree/include/linux/jhash.h)

/// C: `JHASH_INITVAL`.
const JHASH_INITVAL: u32 = 0xdead_beef;

/// Hashes up to three words. C: `__jhash_nwords()`.
#[inline]
const fn jhash_nwords(a: u32, b: u32, c: u32, initval: u32) -> u32 {
    let mut a = a.wrapping_add(initval);
    let mut b = b.wrapping_add(initval);
    let mut c = c.wrapping_add(initval);

    // C: `__jhash_final()`.
    c = (c ^ b).wrapping_sub(b.rotate_left(14));
    a = (a ^ c).wrapping_sub(c.rotate_left(11));
    b = (b ^ a).wrapping_sub(a.rotate_left(25));
    c = (c ^ b).wrapping_sub(b.rotate_left(16));
    a = (a ^ c).wrapping_sub(c.rotate_left(4));
    b = (b ^ a).wrapping_sub(a.rotate_left(14));
    (c ^ b).wrapping_sub(b.rotate_left(24))
}

/// Hashes one word. C: `jhash_1word()`.
#[inline]
pub const fn jhash_1word(a: u32, initval: u32) -> u32 {
    const LEN: u32 = 4;
    jhash_nwords(
        a,
        0,
        0,
        initval.wrapping_add(JHASH_INITVAL).wrapping_add(LEN),
    )
}
