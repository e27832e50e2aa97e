// SPDX-License-Identifier: GPL-2.0

//! Queues in guest memory that are given as a list of pages.

use crate::bits::{View, A};
use crate::transport::{DmaError, Host};

/// A power of two of bytes, spread over pages of one size.
#[derive(Debug, Clone, Default)]
pub struct Ring {
    pages: Vec<u64>,
    page: u64,
    bytes: u64,
}

impl Ring {
    /// Reads `bytes / page` page addresses; `None` if some are missing.
    pub fn new(input: View<'_>, pas: A, bytes: u64, log_page: u64) -> Option<Self> {
        let page = 4096u64.checked_shl(u32::try_from(log_page).ok()?)?;
        let n = bytes.div_ceil(page);
        if n > 65536 || bytes == 0 {
            return None;
        }
        let last = pas.at + n as usize * pas.bits;
        if input.0.len() * 8 < last {
            return None;
        }
        let pages = (0..n as usize)
            .map(|i| input.get(pas.f(i)) & !0xfff)
            .collect();
        Some(Self { pages, page, bytes })
    }

    fn each(
        &self,
        off: u64,
        len: usize,
        mut f: impl FnMut(u64, usize, usize) -> Result<(), DmaError>,
    ) -> Result<(), DmaError> {
        let mut done = 0;
        while done < len {
            let at = (off + done as u64) % self.bytes.max(1);
            let within = at % self.page;
            let err = DmaError {
                addr: at,
                len,
                write: false,
            };
            let base = self.pages.get((at / self.page) as usize).ok_or(err)?;
            let n = (len - done)
                .min((self.page - within) as usize)
                .min((self.bytes - at) as usize);
            f(base + within, done, n)?;
            done += n;
        }
        Ok(())
    }

    /// Reads at byte `off`, wrapping at the end.
    pub fn read(&self, host: &dyn Host, off: u64, buf: &mut [u8]) -> Result<(), DmaError> {
        let len = buf.len();
        self.each(off, len, |addr, start, n| {
            host.dma_read(addr, buf.get_mut(start..start + n).unwrap_or_default())
        })
    }

    /// Writes at byte `off`, wrapping at the end.
    pub fn write(&self, host: &dyn Host, off: u64, buf: &[u8]) -> Result<(), DmaError> {
        self.each(off, buf.len(), |addr, start, n| {
            host.dma_write(addr, buf.get(start..start + n).unwrap_or_default())
        })
    }
}
