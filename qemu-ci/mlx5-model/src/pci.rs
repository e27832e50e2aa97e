// SPDX-License-Identifier: GPL-2.0

//! The PCI configuration space of the function.

pub const CONFIG_SIZE: usize = 4096;
/// Base address register 0: initialisation segment and doorbell pages.
pub const BAR0_SIZE: u64 = 32 << 20;
/// Base address register 4: the MSI-X table and its pending bits.
pub const MSIX_BAR: usize = 4;
pub const MSIX_BAR_SIZE: u64 = 16 << 10;
pub const VECTORS: u16 = 64;
const PBA: u32 = 0x2000;

const VENDOR: u16 = 0x15b3;
/// ConnectX-5, physical function.
const DEVICE: u16 = 0x1017;
const PCIE: usize = 0x60;
const MSIX: usize = 0xa0;
const PM: usize = 0x40;
const DEVCTL: usize = PCIE + 8;

/// Configuration space with its write masks.
pub struct Config {
    bytes: Vec<u8>,
    mask: Vec<u8>,
}

impl Default for Config {
    fn default() -> Self {
        let mut c = Self {
            bytes: vec![0; CONFIG_SIZE],
            mask: vec![0; CONFIG_SIZE],
        };
        c.put16(0, VENDOR);
        c.put16(2, DEVICE);
        c.writable(4, 0x0547);
        c.put16(6, 0x10); // capability list
        c.put16(0x0a, 0x0200); // Ethernet controller
        c.put(0x0c, &[0x10]);
        c.bar64(0, BAR0_SIZE, true);
        c.bar64(MSIX_BAR, MSIX_BAR_SIZE, false);
        c.put16(0x2c, VENDOR);
        c.put16(0x2e, 0x0020);
        c.put(0x34, &[PM as u8]);
        c.writable(0x3c, 0xff);

        c.put(PM, &[0x01, PCIE as u8, 0x03, 0x00, 0x08, 0x00]);
        c.writable(PM + 4, 0x0003);

        // PCI Express endpoint, version 2, 8 GT/s x8, with function-level reset.
        c.put(PCIE, &[0x10, MSIX as u8, 0x02, 0x00]);
        c.put32(PCIE + 4, (1 << 28) | (1 << 15) | 2);
        c.put16(DEVCTL, 0x2810);
        c.writable(DEVCTL, 0x7fff);
        c.put32(PCIE + 0x0c, (8 << 4) | 3);
        c.writable(PCIE + 0x10, 0x01c3);
        c.put16(PCIE + 0x12, (8 << 4) | 3);
        c.put32(PCIE + 0x2c, 7 << 1);
        c.put16(PCIE + 0x30, 3);

        c.put(MSIX, &[0x11, 0]);
        c.put16(MSIX + 2, VECTORS - 1);
        c.writable(MSIX + 2, 0xc000);
        c.put32(MSIX + 4, MSIX_BAR as u32);
        c.put32(MSIX + 8, PBA | MSIX_BAR as u32);
        c
    }
}

impl Config {
    fn put(&mut self, at: usize, v: &[u8]) {
        for (d, s) in self.bytes.iter_mut().skip(at).zip(v) {
            *d = *s;
        }
    }

    fn put16(&mut self, at: usize, v: u16) {
        self.put(at, &v.to_le_bytes());
    }

    fn put32(&mut self, at: usize, v: u32) {
        self.put(at, &v.to_le_bytes());
    }

    fn writable(&mut self, at: usize, mask: u16) {
        for (d, s) in self.mask.iter_mut().skip(at).zip(mask.to_le_bytes()) {
            *d = s;
        }
    }

    fn bar64(&mut self, n: usize, size: u64, prefetch: bool) {
        let at = 0x10 + 4 * n;
        self.put32(at, 0b0100 | if prefetch { 0b1000 } else { 0 });
        for (d, s) in self
            .mask
            .iter_mut()
            .skip(at)
            .zip((!(size - 1)).to_le_bytes())
        {
            *d = s;
        }
    }

    pub fn read(&self, at: usize, buf: &mut [u8]) {
        buf.fill(0);
        for (d, s) in buf.iter_mut().zip(self.bytes.iter().skip(at)) {
            *d = *s;
        }
    }

    /// True if the write asks for a function-level reset.
    pub fn write(&mut self, at: usize, buf: &[u8]) -> bool {
        for (i, v) in buf.iter().enumerate() {
            if let (Some(b), Some(m)) = (
                self.bytes.get_mut(at.saturating_add(i)),
                self.mask.get(at.saturating_add(i)),
            ) {
                *b = (*b & !m) | (v & m);
            }
        }
        // Bit 15 of device control always reads as zero.
        at <= DEVCTL + 1 && buf.get(DEVCTL + 1 - at).is_some_and(|b| b & 0x80 != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizing_and_reset() {
        let mut c = Config::default();
        assert!(!c.write(0x10, &[0xff; 8]));
        let mut b = [0; 8];
        c.read(0x10, &mut b);
        assert_eq!(u64::from_le_bytes(b), !(BAR0_SIZE - 1) | 0b1100);
        assert!(c.write(DEVCTL, &[0, 0x80]));
        assert!(!c.write(DEVCTL, &[0, 0x08]));
        c.read(CONFIG_SIZE - 4, &mut b);
        assert_eq!(b, [0; 8]);
        c.write(usize::MAX - 8, &[1; 4]);
    }
}
