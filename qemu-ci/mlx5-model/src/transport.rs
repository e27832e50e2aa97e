// SPDX-License-Identifier: GPL-2.0

//! What stands between the model and whatever attaches it to a machine.
//!
//! A transport (vfio-user is the first) calls [`PciFunction`] for what the
//! guest does to the device, and implements [`Host`] for what the device does
//! to the guest.

/// The device's way to the guest's memory and interrupts.
pub trait Host: Send + Sync {
    /// Copies guest memory at `addr` into `buf`.
    fn dma_read(&self, addr: u64, buf: &mut [u8]) -> Result<(), DmaError>;
    /// Copies `buf` to guest memory at `addr`.
    fn dma_write(&self, addr: u64, buf: &[u8]) -> Result<(), DmaError>;
    /// Sends message-signalled interrupt `vector`; remembered until the guest
    /// has given the vector a target.
    fn raise(&self, vector: u16);
}

/// An access to memory that the guest has not given to the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DmaError {
    pub addr: u64,
    pub len: usize,
    pub write: bool,
}

impl std::fmt::Display for DmaError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let dir = if self.write { "write to" } else { "read from" };
        write!(
            f,
            "DMA {dir} {:#x}, {} bytes: not guest memory",
            self.addr, self.len
        )
    }
}

/// The guest's way to the device. Every call returns at once: a transport may
/// hold the guest's global lock while it waits.
pub trait PciFunction: Send + Sync {
    /// Size in bytes of base address register `bar`, 0 where there is none.
    fn bar_size(&self, bar: usize) -> u64;
    /// Number of MSI-X vectors.
    fn vectors(&self) -> u16;
    fn config_read(&self, off: usize, buf: &mut [u8]);
    fn config_write(&self, off: usize, buf: &[u8]);
    fn bar_read(&self, bar: usize, off: u64, buf: &mut [u8]);
    fn bar_write(&self, bar: usize, off: u64, buf: &[u8]);
    /// A reset of the whole function.
    fn reset(&self);
}
