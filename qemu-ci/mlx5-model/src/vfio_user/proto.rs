// SPDX-License-Identifier: GPL-2.0

//! Messages: numbers, headers, and reading one from a stream with the file
//! descriptors that came along. All values are little-endian.

use rustix::net::{recvmsg, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};
use std::io::{self, ErrorKind, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

pub const VERSION: u16 = 1;
pub const DMA_MAP: u16 = 2;
pub const DMA_UNMAP: u16 = 3;
pub const GET_INFO: u16 = 4;
pub const GET_REGION_INFO: u16 = 5;
pub const GET_IRQ_INFO: u16 = 7;
pub const SET_IRQS: u16 = 8;
pub const REGION_READ: u16 = 9;
pub const REGION_WRITE: u16 = 10;
pub const DEVICE_RESET: u16 = 13;
pub const REGION_WRITE_MULTI: u16 = 15;

pub const FLAG_REPLY: u32 = 1;
pub const FLAG_NO_REPLY: u32 = 1 << 4;
pub const FLAG_ERROR: u32 = 1 << 5;

pub const HEADER: usize = 16;
/// No message of the protocol is larger: the limit offered at version time.
pub const MAX_DATA: usize = 1 << 20;
/// File descriptors in one message.
pub const MAX_FDS: usize = 16;

/// One message from the client.
pub struct Message {
    pub id: u16,
    pub command: u16,
    pub flags: u32,
    pub body: Vec<u8>,
    pub fds: Vec<OwnedFd>,
}

impl Message {
    pub fn u16(&self, at: usize) -> u16 {
        let b = self.body.get(at..at + 2).and_then(|b| b.try_into().ok());
        b.map_or(0, u16::from_le_bytes)
    }

    pub fn u32(&self, at: usize) -> u32 {
        let b = self.body.get(at..at + 4).and_then(|b| b.try_into().ok());
        b.map_or(0, u32::from_le_bytes)
    }

    pub fn u64(&self, at: usize) -> u64 {
        let b = self.body.get(at..at + 8).and_then(|b| b.try_into().ok());
        b.map_or(0, u64::from_le_bytes)
    }
}

fn recv_exact(sock: &UnixStream, buf: &mut [u8], fds: &mut Vec<OwnedFd>) -> io::Result<bool> {
    let mut got = 0;
    while got < buf.len() {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let rest = buf.get_mut(got..).unwrap_or_default();
        let mut iov = [IoSliceMut::new(rest)];
        let r = match recvmsg(sock, &mut iov, &mut control, RecvFlags::CMSG_CLOEXEC) {
            Ok(r) => r,
            Err(rustix::io::Errno::INTR) => continue,
            Err(e) => return Err(e.into()),
        };
        for m in control.drain() {
            if let RecvAncillaryMessage::ScmRights(new) = m {
                fds.extend(new);
            }
        }
        if r.bytes == 0 {
            if got == 0 {
                return Ok(false);
            }
            return Err(ErrorKind::UnexpectedEof.into());
        }
        got += r.bytes;
    }
    Ok(true)
}

/// Reads the next message; `None` when the client has closed the connection.
pub fn read(sock: &UnixStream) -> io::Result<Option<Message>> {
    let mut header = [0u8; HEADER];
    let mut fds = Vec::new();
    if !recv_exact(sock, &mut header, &mut fds)? {
        return Ok(None);
    }
    let [i0, i1, c0, c1, s0, s1, s2, s3, f0, f1, f2, f3, ..] = header;
    let size = u32::from_le_bytes([s0, s1, s2, s3]) as usize;
    if !(HEADER..=HEADER + MAX_DATA + 64).contains(&size) {
        let text = format!("message of {size} bytes");
        return Err(io::Error::new(ErrorKind::InvalidData, text));
    }
    let mut body = vec![0; size - HEADER];
    if !body.is_empty() && !recv_exact(sock, &mut body, &mut fds)? {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    Ok(Some(Message {
        id: u16::from_le_bytes([i0, i1]),
        command: u16::from_le_bytes([c0, c1]),
        flags: u32::from_le_bytes([f0, f1, f2, f3]),
        body,
        fds,
    }))
}

/// A reply in one piece, so that it goes out in one write.
pub fn reply(m: &Message, error: u32, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER + body.len());
    let flags = FLAG_REPLY | if error != 0 { FLAG_ERROR } else { 0 };
    out.extend(m.id.to_le_bytes());
    out.extend(m.command.to_le_bytes());
    out.extend(((HEADER + body.len()) as u32).to_le_bytes());
    out.extend(flags.to_le_bytes());
    out.extend(error.to_le_bytes());
    out.extend(body);
    out
}
