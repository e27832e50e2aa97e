// SPDX-License-Identifier: GPL-2.0

//! Network service headers.
//!
//! C header: [`include/net/nsh.h`](srctree/include/net/nsh.h)

#[cfg(CONFIG_NET_NSH)]
use crate::bindings;
use crate::net::skbuff::SkBuff;
#[cfg(CONFIG_NET_NSH)]
use kernel::error::to_result;
use kernel::prelude::*;
use zerocopy::{
    network_endian::{
        U16 as Be16,
        U32 as Be32, //
    },
    FromZeros,
    IntoBytes, //
};
use zerocopy_derive::{
    Immutable,
    KnownLayout,
    Unaligned, //
};

/// The metadata is four context headers. C: `NSH_M_TYPE1`.
pub const NSH_M_TYPE1: u8 = 1;
/// The metadata is of any length. C: `NSH_M_TYPE2`.
pub const NSH_M_TYPE2: u8 = 2;

/// The length of a header without metadata, in bytes.
pub const NSH_BASE_HDR_LEN: usize = size_of::<NshBaseHdr>();
/// The length of a header with metadata of type 1, in bytes.
pub const NSH_M_TYPE1_LEN: usize = 24;
/// The longest header, in bytes.
pub const NSH_HDR_MAX_LEN: usize = (LEN_MASK as usize) * 4;
/// The most metadata, in bytes.
pub const NSH_CTX_HDRS_MAX_LEN: usize = NSH_HDR_MAX_LEN - NSH_BASE_HDR_LEN;

// Parts of `ver_flags_ttl_len`. Lengths are in units of 4 bytes.
const VER_SHIFT: u32 = 14;
const FLAGS_MASK: u16 = 0x3000;
const FLAGS_SHIFT: u32 = 12;
const TTL_MASK: u16 = 0x0fc0;
const TTL_SHIFT: u32 = 6;
const LEN_MASK: u16 = 0x003f;

/// The part of a header that is before the metadata.
///
/// C: `struct nshhdr`.
#[repr(C)]
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
pub struct NshBaseHdr {
    ver_flags_ttl_len: Be16,
    /// What the metadata is: `NSH_M_TYPE*`.
    pub mdtype: u8,
    /// The protocol behind the header: `TUN_P_*`.
    pub np: u8,
    /// Service path and index.
    pub path_hdr: Be32,
}

impl NshBaseHdr {
    /// The version. C: `nsh_get_ver()`.
    pub fn version(&self) -> u8 {
        // CAST: Two bits are left.
        (self.ver_flags_ttl_len.get() >> VER_SHIFT) as u8
    }

    /// The flags. C: `nsh_get_flags()`.
    pub fn flags(&self) -> u8 {
        // CAST: Two bits are left.
        ((self.ver_flags_ttl_len.get() & FLAGS_MASK) >> FLAGS_SHIFT) as u8
    }

    /// The time to live. C: `nsh_get_ttl()`.
    pub fn ttl(&self) -> u8 {
        // CAST: Six bits are left.
        ((self.ver_flags_ttl_len.get() & TTL_MASK) >> TTL_SHIFT) as u8
    }

    /// The length of the header with its metadata, in bytes, as it says. It may
    /// be less than that of this part. C: `nsh_hdr_len()`.
    pub fn hdr_len(&self) -> usize {
        usize::from(self.ver_flags_ttl_len.get() & LEN_MASK).wrapping_mul(4)
    }
}

/// A header that is to be pushed, with room for the longest there is: so it is
/// never longer than that, whatever it says.
#[repr(C, align(4))]
#[derive(Clone, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct NshHdr {
    base: NshBaseHdr,
    metadata: [u8; NSH_CTX_HDRS_MAX_LEN],
}

impl NshHdr {
    /// A header of zeroes.
    pub fn zeroed() -> Self {
        FromZeros::new_zeroed()
    }

    /// Sets all but the metadata and the length. Bits of `flags` and `ttl` that
    /// there is no room for are left out. The protocol that is said to be behind
    /// the header is what is there when it is pushed.
    pub fn set_base(&mut self, flags: u8, ttl: u8, mdtype: u8, path_hdr: Be32) {
        let flags = u16::from(flags).wrapping_shl(FLAGS_SHIFT) & FLAGS_MASK;
        let ttl = u16::from(ttl).wrapping_shl(TTL_SHIFT) & TTL_MASK;
        let len = self.base.ver_flags_ttl_len.get() & LEN_MASK;
        self.base = NshBaseHdr {
            ver_flags_ttl_len: (flags | ttl | len).into(),
            mdtype,
            np: 0,
            path_hdr,
        };
    }

    /// Sets the metadata, and the length: of what is no multiple of 4 bytes, the
    /// rest is left out. `EINVAL` where there is too much.
    ///
    /// C: a part of `nsh_set_flags_ttl_len()`.
    pub fn set_metadata(&mut self, metadata: &[u8]) -> Result {
        let to = self.metadata.get_mut(..metadata.len()).ok_or(EINVAL)?;
        to.copy_from_slice(metadata);
        // CAST: It fits into the six bits, since the metadata does into its room.
        let len = (NSH_BASE_HDR_LEN.wrapping_add(metadata.len()) / 4) as u16;
        let rest = self.base.ver_flags_ttl_len.get() & !LEN_MASK;
        self.base.ver_flags_ttl_len = (rest | len).into();
        Ok(())
    }

    /// The header with its metadata.
    pub fn as_slice(&self) -> &[u8] {
        self.as_bytes()
            .get(..self.base.hdr_len())
            .unwrap_or_default()
    }
}

impl SkBuff {
    /// Puts a header before the packet, which has no MAC header then. What is
    /// behind it is an Ethernet header if the packet has one, otherwise what its
    /// protocol says.
    ///
    /// Fails with `EAFNOSUPPORT` for a protocol that cannot be behind one, or if
    /// this kernel has no network service headers, and with `ENOMEM`.
    /// C: `nsh_push()`.
    #[cfg(CONFIG_NET_NSH)]
    pub fn nsh_push(&mut self, header: &NshHdr) -> Result {
        // SAFETY: By the type invariant; `header` has as many bytes as it can
        // say that it has, and the alignment of C's structure.
        to_result(unsafe { bindings::nsh_push(self.as_ptr(), core::ptr::from_ref(header).cast()) })
    }

    /// See above.
    #[cfg(not(CONFIG_NET_NSH))]
    pub fn nsh_push(&mut self, _header: &NshHdr) -> Result {
        Err(EAFNOSUPPORT)
    }

    /// Takes the header away that the packet begins with, and sets the protocol
    /// to what it says is behind it: `ETH_P_TEB` for an Ethernet header.
    ///
    /// Fails with `EAFNOSUPPORT` for a protocol that is not known, or if this
    /// kernel has no network service headers, with `EINVAL` where the header says
    /// that it is shorter than any, and with `ENOMEM`, also where the packet is
    /// too short. C: `nsh_pop()`.
    #[cfg(CONFIG_NET_NSH)]
    pub fn nsh_pop(&mut self) -> Result {
        // SAFETY: By the type invariant. All lengths are checked.
        to_result(unsafe { bindings::nsh_pop(self.as_ptr()) })
    }

    /// See above.
    #[cfg(not(CONFIG_NET_NSH))]
    pub fn nsh_pop(&mut self) -> Result {
        Err(EAFNOSUPPORT)
    }
}
