// SPDX-License-Identifier: GPL-2.0

//! A TAP device as the far side of a port. To attach to one takes an ioctl,
//! for which there is no safe interface: the one unsafe block of this package.

use rustix::ioctl::{ioctl, opcode, Updater};
use std::ffi::c_int;
use std::fs::{File, OpenOptions};
use std::io;

const NAME_LEN: usize = 16;
const IFF_TAP: i16 = 0x0002;
/// Frames come without a header in front.
const IFF_NO_PI: i16 = 0x1000;
/// `_IOW('T', 202, int)`, although it takes a `struct ifreq` and writes to it.
const TUNSETIFF: rustix::ioctl::Opcode = opcode::write::<c_int>(b'T', 202);

/// `struct ifreq`: a name, and a union of 24 bytes that begins with flags.
#[repr(C)]
struct IfReq {
    name: [u8; NAME_LEN],
    flags: i16,
    rest: [u8; 22],
}

/// Makes the TAP device `name` in this process's network namespace, or attaches
/// to the one of that name. It goes away with the process, unless somebody made
/// it persistent.
pub fn open(name: &str) -> io::Result<File> {
    if name.is_empty() || name.len() >= NAME_LEN || name.contains(['/', '%', '\0', ' ']) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "no name for a network device",
        ));
    }
    let mut req = IfReq {
        name: [0; NAME_LEN],
        flags: IFF_TAP | IFF_NO_PI,
        rest: [0; 22],
    };
    for (d, s) in req.name.iter_mut().zip(name.bytes()) {
        *d = s;
    }
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/net/tun")?;
    // SAFETY: TUNSETIFF reads and writes one `struct ifreq`, which is what `req`
    // is laid out as, and keeps no pointer to it.
    #[allow(unsafe_code)]
    unsafe { ioctl(&file, Updater::<TUNSETIFF, IfReq>::new(&mut req)) }?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_that_of_ifreq() {
        assert_eq!(std::mem::size_of::<IfReq>(), 40);
        assert_eq!(std::mem::offset_of!(IfReq, flags), 16);
        assert_eq!(TUNSETIFF, 0x4004_54ca);
    }

    #[test]
    fn names_that_are_none() {
        for name in ["", "a name", "0123456789abcdef", "a/b", "tap%d"] {
            let e = open(name).expect_err(name);
            assert_eq!(e.kind(), io::ErrorKind::InvalidInput);
        }
    }
}
