// SPDX-License-Identifier: GPL-2.0

//! The guest's memory, as the client maps and unmaps it.
//!
//! It is read and written through the file descriptors with pread() and
//! pwrite(). That is slower than a mapping, but it needs no unsafe code, and a
//! client that truncates its memory file causes an error and not SIGBUS.

use crate::transport::DmaError;
use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, PoisonError, RwLock};

struct Region {
    size: u64,
    /// Where the region begins in the file.
    offset: u64,
    /// None for what the client did not share, such as a ROM.
    file: Option<Arc<File>>,
    read: bool,
    write: bool,
}

/// All regions, by their address in the guest.
#[derive(Default)]
pub struct Dma {
    regions: RwLock<BTreeMap<u64, Region>>,
}

/// A range to map.
pub struct Map {
    pub addr: u64,
    pub size: u64,
    pub offset: u64,
    pub read: bool,
    pub write: bool,
}

impl Dma {
    pub fn map(&self, m: &Map, file: Option<File>) -> Result<(), &'static str> {
        let end = m.addr.checked_add(m.size).ok_or("address range wraps")?;
        if m.size == 0 || m.offset.checked_add(m.size).is_none() {
            return Err("empty or wrapping range");
        }
        let mut regions = self.regions.write().unwrap_or_else(PoisonError::into_inner);
        let before = regions.range(..end).next_back();
        if before.is_some_and(|(a, r)| a + r.size > m.addr) {
            return Err("overlaps a mapped range");
        }
        let file = file.map(Arc::new);
        let region = Region {
            size: m.size,
            offset: m.offset,
            file,
            read: m.read,
            write: m.write,
        };
        regions.insert(m.addr, region);
        Ok(())
    }

    /// Removes every region inside the range. The write lock waits for
    /// accesses under way, so none outlives the reply to the client.
    pub fn unmap(&self, addr: u64, size: u64) -> usize {
        let mut regions = self.regions.write().unwrap_or_else(PoisonError::into_inner);
        let end = addr.saturating_add(size);
        let gone: Vec<u64> = regions
            .range(addr..end)
            .filter(|(a, r)| **a + r.size <= end)
            .map(|(a, _)| *a)
            .collect();
        for a in &gone {
            regions.remove(a);
        }
        gone.len()
    }

    pub fn clear(&self) {
        self.regions
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    /// Calls `f(file, offset, start, length)` for each piece of the range.
    fn each(
        &self,
        addr: u64,
        len: usize,
        write: bool,
        mut f: impl FnMut(&File, u64, usize, usize) -> std::io::Result<()>,
    ) -> Result<(), DmaError> {
        let err = DmaError { addr, len, write };
        let regions = self.regions.read().unwrap_or_else(PoisonError::into_inner);
        let mut done = 0;
        while done < len {
            let at = addr.checked_add(done as u64).ok_or(err)?;
            let (start, r) = regions.range(..=at).next_back().ok_or(err)?;
            let into = at - start;
            let allowed = if write { r.write } else { r.read };
            if into >= r.size || !allowed {
                return Err(err);
            }
            let n = (r.size - into).min((len - done) as u64) as usize;
            let file = r.file.as_ref().ok_or(err)?;
            f(file, r.offset + into, done, n).map_err(|_| err)?;
            done += n;
        }
        Ok(())
    }

    pub fn read(&self, addr: u64, buf: &mut [u8]) -> Result<(), DmaError> {
        let len = buf.len();
        self.each(addr, len, false, |file, off, start, n| {
            file.read_exact_at(buf.get_mut(start..start + n).unwrap_or_default(), off)
        })
    }

    pub fn write(&self, addr: u64, buf: &[u8]) -> Result<(), DmaError> {
        self.each(addr, buf.len(), true, |file, off, start, n| {
            file.write_all_at(buf.get(start..start + n).unwrap_or_default(), off)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(bytes: &[u8]) -> File {
        let name = format!("mlx5-model-dma-{}-{:p}", std::process::id(), bytes);
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, bytes).unwrap();
        let f = File::options().read(true).write(true).open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        f
    }

    fn map(addr: u64, size: u64, offset: u64, write: bool) -> Map {
        Map {
            addr,
            size,
            offset,
            read: true,
            write,
        }
    }

    #[test]
    fn crosses_regions_and_stops_at_holes() {
        let dma = Dma::default();
        let f = file(&[7; 8192]);
        dma.map(&map(0x1000, 0x1000, 0, true), f.try_clone().ok())
            .unwrap();
        dma.map(&map(0x2000, 0x1000, 0x1000, true), Some(f))
            .unwrap();
        dma.write(0x1ffe, &[1, 2, 3, 4]).unwrap();
        let mut b = [0; 6];
        dma.read(0x1ffd, &mut b).unwrap();
        assert_eq!(b, [7, 1, 2, 3, 4, 7]);
        assert!(dma.read(0x2ffe, &mut b).is_err());
        assert!(dma.read(u64::MAX - 2, &mut b).is_err());
        assert!(dma.map(&map(0x1800, 0x10, 0, true), None).is_err());
        assert_eq!(dma.unmap(0, 0x2000), 1);
        assert!(dma.read(0x1000, &mut b).is_err());
    }

    #[test]
    fn read_only_and_unshared() {
        let dma = Dma::default();
        dma.map(&map(0, 0x1000, 0, false), Some(file(&[0; 4096])))
            .unwrap();
        dma.map(&map(0x1000, 0x1000, 0, true), None).unwrap();
        assert!(dma.write(0, &[1]).is_err());
        assert!(dma.read(0, &mut [0]).is_ok());
        assert!(dma.read(0x1000, &mut [0]).is_err());
    }

    #[test]
    fn a_truncated_file_is_an_error() {
        let dma = Dma::default();
        let f = file(&[0; 4096]);
        f.set_len(16).unwrap();
        dma.map(&map(0, 4096, 0, true), Some(f)).unwrap();
        assert!(dma.read(64, &mut [0; 64]).is_err());
    }
}
