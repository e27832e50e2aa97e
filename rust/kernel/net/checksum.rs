// SPDX-License-Identifier: GPL-2.0

//! Internet checksums.
//!
//! A sum (`Wsum`) is a 32-bit one's complement sum of 16-bit words; a checksum
//! is what a header holds, 16 bits, as bytes. The arithmetic is on words as the
//! CPU loads them: one's complement sums do not depend on byte order.
//!
//! C header: [`include/net/checksum.h`](srctree/include/net/checksum.h)

/// A one's complement sum of 16-bit words. C: `__wsum`.
pub type Wsum = u32;

/// Adds two sums. C: `csum_add()`.
#[inline]
pub const fn csum_add(csum: Wsum, addend: Wsum) -> Wsum {
    let (sum, carry) = csum.overflowing_add(addend);
    sum.wrapping_add(carry as u32)
}

/// Takes a sum out of another. C: `csum_sub()`.
#[inline]
pub const fn csum_sub(csum: Wsum, subtrahend: Wsum) -> Wsum {
    csum_add(csum, !subtrahend)
}

/// The checksum for a sum. C: `csum_fold()`.
#[inline]
pub const fn csum_fold(csum: Wsum) -> [u8; 2] {
    let sum = csum.wrapping_add(csum.rotate_left(16));
    // CAST: The high half is wanted.
    (!((sum >> 16) as u16)).to_ne_bytes()
}

/// The sum that a checksum's bytes stand for. C: `csum_unfold()`.
#[inline]
pub const fn csum_unfold(check: [u8; 2]) -> Wsum {
    u16::from_ne_bytes(check) as Wsum
}

/// The sum after 32 bits of what it is over were changed. C: `csum_replace()`.
#[inline]
pub const fn csum_replace(csum: Wsum, old: Wsum, new: Wsum) -> Wsum {
    csum_add(csum_sub(csum, old), new)
}

/// Updates a checksum after 4 bytes of what it is over were changed.
/// C: `csum_replace4()`.
#[inline]
pub fn csum_replace4(check: &mut [u8; 2], from: [u8; 4], to: [u8; 4]) {
    *check = csum_fold(csum_replace(
        !csum_unfold(*check),
        u32::from_ne_bytes(from),
        u32::from_ne_bytes(to),
    ));
}

/// Updates a checksum after 2 bytes of what it is over were changed.
/// C: `csum_replace2()`.
#[inline]
pub fn csum_replace2(check: &mut [u8; 2], from: [u8; 2], to: [u8; 2]) {
    let add = |csum: u16, addend: u16| {
        let (sum, carry) = csum.overflowing_add(addend);
        sum.wrapping_add(carry.into())
    };
    let sum = add(!u16::from_ne_bytes(*check), !u16::from_ne_bytes(from));
    *check = (!add(sum, u16::from_ne_bytes(to))).to_ne_bytes();
}
