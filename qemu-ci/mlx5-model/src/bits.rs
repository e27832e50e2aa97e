// SPDX-License-Identifier: GPL-2.0

//! Bit fields in big-endian buffers, as the device's interface has them.
//!
//! Bit 0 is the most significant bit of the first byte. Reads beyond the end
//! of a buffer give zero and writes beyond it do nothing: a short command is
//! refused by its length before any field is used.

/// A field of at most 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct F {
    pub at: usize,
    pub bits: usize,
}

impl F {
    pub const fn new(at: usize, bits: usize) -> Self {
        Self { at, bits }
    }

    /// The field with every bit set.
    pub const fn max(self) -> u64 {
        if self.bits >= 64 {
            u64::MAX
        } else {
            (1 << self.bits) - 1
        }
    }
}

/// A nested structure, or a field wider than 64 bits.
#[derive(Clone, Copy, Debug)]
pub struct S {
    pub at: usize,
    pub bits: usize,
}

impl S {
    pub const fn new(at: usize, bits: usize) -> Self {
        Self { at, bits }
    }

    /// A field of the structure nested here.
    pub const fn field(self, f: F) -> F {
        F::new(self.at + f.at, f.bits)
    }

    /// A structure of the structure nested here.
    pub const fn nested(self, s: S) -> S {
        S::new(self.at + s.at, s.bits)
    }
}

/// An array; `count` is 0 where it goes on to the end of the buffer.
#[derive(Clone, Copy, Debug)]
pub struct A {
    pub at: usize,
    pub bits: usize,
    pub count: usize,
}

impl A {
    pub const fn new(at: usize, bits: usize, count: usize) -> Self {
        Self { at, bits, count }
    }

    /// Element `i` as a structure.
    pub const fn s(self, i: usize) -> S {
        S::new(self.at + i * self.bits, self.bits)
    }

    /// Element `i` as a field.
    pub const fn f(self, i: usize) -> F {
        F::new(self.at + i * self.bits, self.bits)
    }
}

/// Reads a field; bits beyond the end read as zero.
pub fn get(buf: &[u8], f: F) -> u64 {
    let first = f.at / 8;
    let last = (f.at + f.bits).div_ceil(8);
    let mut v: u128 = 0;
    for i in first..last {
        v = (v << 8) | u128::from(buf.get(i).copied().unwrap_or(0));
    }
    let tail = last * 8 - (f.at + f.bits);
    ((v >> tail) as u64) & f.max()
}

/// Writes the low bits of `v`; bytes beyond the end are left out.
pub fn set(buf: &mut [u8], f: F, v: u64) {
    let first = f.at / 8;
    let last = (f.at + f.bits).div_ceil(8);
    let tail = last * 8 - (f.at + f.bits);
    let mask = u128::from(f.max()) << tail;
    let bits = (u128::from(v) << tail) & mask;
    for (n, i) in (first..last).rev().enumerate() {
        if let Some(b) = buf.get_mut(i) {
            let m = (mask >> (8 * n)) as u8;
            *b = (*b & !m) | (bits >> (8 * n)) as u8;
        }
    }
}

/// A read-only view of a structure.
#[derive(Clone, Copy)]
pub struct View<'a>(pub &'a [u8]);

impl<'a> View<'a> {
    pub fn get(self, f: F) -> u64 {
        get(self.0, f)
    }

    pub fn u32(self, f: F) -> u32 {
        self.get(f) as u32
    }

    pub fn bool(self, f: F) -> bool {
        self.get(f) != 0
    }

    /// The bytes of a nested structure: shorter, or empty, where the buffer ends.
    pub fn nested(self, s: S) -> View<'a> {
        let rest = self.0.get(s.at / 8..).unwrap_or_default();
        View(rest.get(..s.bits / 8).unwrap_or(rest))
    }

    /// What follows bit `at`.
    pub fn rest(self, at: usize) -> View<'a> {
        View(self.0.get(at / 8..).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_cross_bytes() {
        let mut b = [0u8; 8];
        set(&mut b, F::new(4, 12), 0xabc);
        assert_eq!(b[..2], [0x0a, 0xbc]);
        set(&mut b, F::new(3, 1), 1);
        assert_eq!(b[0], 0x1a);
        assert_eq!(get(&b, F::new(4, 12)), 0xabc);
        set(&mut b, F::new(0, 64), u64::MAX);
        assert_eq!(get(&b, F::new(1, 63)), u64::MAX >> 1);
    }

    #[test]
    fn the_end_is_respected() {
        let mut b = [0xffu8; 2];
        assert_eq!(get(&b, F::new(8, 16)), 0xff00);
        set(&mut b, F::new(8, 16), 0);
        assert_eq!(b, [0xff, 0]);
        assert_eq!(View(&b).nested(S::new(64, 32)).0.len(), 0);
    }
}
