// SPDX-License-Identifier: GPL-2.0

//! Answers the client's messages, one connection at a time.

use super::dma::{Dma, Map};
use super::irq::Irqs;
use super::proto::{self, Message};
use crate::log;
use crate::transport::{DmaError, Host, PciFunction};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;

const REGIONS: u32 = 9;
const CONFIG_REGION: u32 = 7;
const IRQS: u32 = 5;
const MSIX: u32 = 2;
const EINVAL: u32 = 22;
const ENOTSUP: u32 = 95;

/// The guest behind a connection.
pub struct Guest {
    pub dma: Dma,
    pub irqs: Irqs,
}

impl Host for Guest {
    fn dma_read(&self, addr: u64, buf: &mut [u8]) -> Result<(), DmaError> {
        self.dma.read(addr, buf)
    }

    fn dma_write(&self, addr: u64, buf: &[u8]) -> Result<(), DmaError> {
        self.dma.write(addr, buf)
    }

    fn raise(&self, vector: u16) {
        self.irqs.raise(vector);
    }
}

/// Binds a socket at `path`, in place of a stale one.
pub fn listen(path: &Path) -> io::Result<UnixListener> {
    if std::fs::symlink_metadata(path).is_ok_and(|m| m.file_type().is_socket()) {
        if UnixStream::connect(path).is_ok() {
            return Err(io::Error::new(
                io::ErrorKind::AddrInUse,
                "another process listens there",
            ));
        }
        std::fs::remove_file(path)?;
    }
    UnixListener::bind(path)
}

/// Serves one client until it goes away.
pub fn serve(sock: &UnixStream, guest: &Arc<Guest>, dev: &dyn PciFunction) -> io::Result<()> {
    while let Some(mut m) = proto::read(sock)? {
        let result = handle(&mut m, guest, dev);
        if m.flags & proto::FLAG_NO_REPLY != 0 {
            continue;
        }
        let out = match result {
            Ok(body) => proto::reply(&m, 0, &body),
            Err(errno) => {
                log::warn(format_args!(
                    "vfio-user: command {} refused: errno {errno}",
                    m.command
                ));
                proto::reply(&m, errno, &[])
            }
        };
        (&mut &*sock).write_all(&out)?;
    }
    Ok(())
}

fn words(list: &[u32]) -> Vec<u8> {
    list.iter().flat_map(|w| w.to_le_bytes()).collect()
}

fn handle(m: &mut Message, guest: &Arc<Guest>, dev: &dyn PciFunction) -> Result<Vec<u8>, u32> {
    match m.command {
        proto::VERSION => version(m),
        proto::DMA_MAP => dma_map(m, guest),
        proto::DMA_UNMAP => {
            let (addr, size) = (m.u64(8), m.u64(16));
            guest.dma.unmap(addr, size);
            Ok(m.body.get(..24).ok_or(EINVAL)?.to_vec())
        }
        // Flags: PCI and "can be reset".
        proto::GET_INFO => Ok(words(&[16, 3, REGIONS, IRQS])),
        proto::GET_REGION_INFO => region_info(m, dev),
        proto::GET_IRQ_INFO => {
            let index = m.u32(8);
            let count = if index == MSIX {
                u32::from(dev.vectors())
            } else {
                0
            };
            // Flags: eventfd and "cannot be resized".
            Ok(words(&[16, 1 | 8, index, count]))
        }
        proto::SET_IRQS => set_irqs(m, guest),
        proto::REGION_READ => {
            let (off, region, count) = (m.u64(0), m.u32(8), m.u32(12) as usize);
            if count > proto::MAX_DATA {
                return Err(EINVAL);
            }
            let mut body = m.body.get(..16).ok_or(EINVAL)?.to_vec();
            body.resize(16 + count, 0);
            let data = body.get_mut(16..).unwrap_or_default();
            match region {
                CONFIG_REGION => dev.config_read(usize::try_from(off).map_err(|_| EINVAL)?, data),
                bar if bar < 6 => dev.bar_read(bar as usize, off, data),
                _ => return Err(EINVAL),
            }
            Ok(body)
        }
        proto::REGION_WRITE => {
            let (off, region, count) = (m.u64(0), m.u32(8), m.u32(12) as usize);
            let data = m
                .body
                .get(16..)
                .and_then(|d| d.get(..count))
                .ok_or(EINVAL)?;
            region_write(dev, region, off, data)?;
            Ok(m.body.get(..16).ok_or(EINVAL)?.to_vec())
        }
        proto::REGION_WRITE_MULTI => {
            // A count, then entries of offset, region, length and 8 bytes.
            for i in 0..(m.u64(0) as usize).min(64) {
                let at = 8 + i * 24;
                let (off, region, count) = (m.u64(at), m.u32(at + 8), m.u32(at + 12) as usize);
                let data = m
                    .body
                    .get(at + 16..at + 24)
                    .and_then(|d| d.get(..count))
                    .ok_or(EINVAL)?;
                region_write(dev, region, off, data)?;
            }
            Ok(m.body.get(..8).ok_or(EINVAL)?.to_vec())
        }
        proto::DEVICE_RESET => {
            dev.reset();
            Ok(Vec::new())
        }
        _ => Err(ENOTSUP),
    }
}

fn region_write(dev: &dyn PciFunction, region: u32, off: u64, data: &[u8]) -> Result<(), u32> {
    match region {
        CONFIG_REGION => dev.config_write(usize::try_from(off).map_err(|_| EINVAL)?, data),
        bar if bar < 6 => dev.bar_write(bar as usize, off, data),
        _ => return Err(EINVAL),
    }
    Ok(())
}

fn version(m: &Message) -> Result<Vec<u8>, u32> {
    if m.u16(0) != 0 {
        log::error(format_args!(
            "vfio-user: the client speaks version {}.{}",
            m.u16(0),
            m.u16(2)
        ));
        return Err(EINVAL);
    }
    let caps = format!(
        "{{\"capabilities\":{{\"max_msg_fds\":{},\"max_data_xfer_size\":{},\"pgsizes\":4096,\
         \"write_multiple\":true}}}}\0",
        proto::MAX_FDS,
        proto::MAX_DATA
    );
    // The client refuses a server that is newer than itself.
    let mut body = vec![0, 0];
    body.extend(m.u16(2).min(1).to_le_bytes());
    body.extend(caps.as_bytes());
    Ok(body)
}

fn dma_map(m: &mut Message, guest: &Arc<Guest>) -> Result<Vec<u8>, u32> {
    let flags = m.u32(4);
    let map = Map {
        offset: m.u64(8),
        addr: m.u64(16),
        size: m.u64(24),
        read: flags & 1 != 0,
        write: flags & 2 != 0,
    };
    let file = m.fds.pop().map(File::from);
    if let Err(why) = guest.dma.map(&map, file) {
        log::error(format_args!(
            "vfio-user: map of {:#x}, {:#x} bytes: {why}",
            map.addr, map.size
        ));
        return Err(EINVAL);
    }
    Ok(Vec::new())
}

fn region_info(m: &Message, dev: &dyn PciFunction) -> Result<Vec<u8>, u32> {
    let index = m.u32(8);
    let size = match index {
        CONFIG_REGION => crate::pci::CONFIG_SIZE as u64,
        bar if bar < 6 => dev.bar_size(bar as usize),
        _ => 0,
    };
    // Flags: readable and writable, not to be mapped.
    let flags = if size == 0 { 0 } else { 3 };
    let mut body = words(&[32, flags, index, 0]);
    body.extend(size.to_le_bytes());
    body.extend((u64::from(index) << 40).to_le_bytes());
    Ok(body)
}

fn set_irqs(m: &mut Message, guest: &Arc<Guest>) -> Result<Vec<u8>, u32> {
    const DATA_NONE: u32 = 1;
    const DATA_BOOL: u32 = 2;
    const DATA_EVENTFD: u32 = 4;
    const ACTION_TRIGGER: u32 = 1 << 5;
    let (flags, index, start, count) = (m.u32(4), m.u32(8), m.u32(12), m.u32(16));
    if index != MSIX {
        return Ok(Vec::new());
    }
    if flags & ACTION_TRIGGER == 0 {
        // The model does not mask: QEMU emulates the vector table.
        return Ok(Vec::new());
    }
    let (start, count) = (start as usize, count as usize);
    if flags & DATA_EVENTFD != 0 {
        // Without descriptors, the vectors lose theirs.
        let fds: Vec<OwnedFd> = m.fds.drain(..).collect();
        let list = fds
            .into_iter()
            .map(Some)
            .chain(std::iter::repeat_with(|| None))
            .take(count);
        guest.irqs.assign(start, list);
    } else if flags & DATA_NONE != 0 {
        if count == 0 {
            guest.irqs.disable();
        } else {
            let end = start.saturating_add(count).min(u16::MAX.into());
            (start..end).for_each(|v| guest.irqs.raise(v as u16));
        }
    } else if flags & DATA_BOOL != 0 {
        for (i, b) in m.body.iter().skip(20).take(count).enumerate() {
            if *b != 0 {
                guest
                    .irqs
                    .raise(start.saturating_add(i).min(u16::MAX.into()) as u16);
            }
        }
    }
    Ok(Vec::new())
}
