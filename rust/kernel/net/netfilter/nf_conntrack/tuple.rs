// SPDX-License-Identifier: GPL-2.0

//! What identifies a connection.
//!
//! C header:
//! [`nf_conntrack_tuple.h`](srctree/include/net/netfilter/nf_conntrack_tuple.h)

use super::{
    super::NfProto,
    CtInfo, //
};
use crate::{
    bindings,
    net::{
        namespace::Net,
        skbuff::SkBuff, //
    },
};
use core::mem::MaybeUninit;
use zerocopy::{
    network_endian::U16 as Be16,
    IntoBytes, //
};

/// A direction of a connection. C: `enum ip_conntrack_dir`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// That of the first packet.
    Original,
    /// The other one.
    Reply,
}

impl Direction {
    /// The other one.
    #[inline]
    pub fn reverse(self) -> Self {
        match self {
            Self::Original => Self::Reply,
            Self::Reply => Self::Original,
        }
    }
}

/// Addresses, ports and protocol of one direction of a connection.
/// C: `struct nf_conntrack_tuple`.
///
/// # Invariants
///
/// All fields are initialised.
#[repr(transparent)]
pub struct Tuple(bindings::nf_conntrack_tuple);

impl Tuple {
    /// Borrows a tuple from C.
    ///
    /// # Safety
    ///
    /// `ptr` is valid, and does not change, for `'a`.
    #[inline]
    pub(super) unsafe fn from_raw<'a>(ptr: *const bindings::nf_conntrack_tuple) -> &'a Self {
        // SAFETY: By the safety requirements; the type is transparent.
        unsafe { &*ptr.cast() }
    }

    /// The C structure.
    #[inline]
    pub(super) fn as_raw(&self) -> &bindings::nf_conntrack_tuple {
        &self.0
    }

    /// The source address; an IPv4 address is in the first four bytes.
    #[inline]
    pub fn src(&self) -> [u8; 16] {
        addr(self.0.src.u3._bindgen_opaque_blob)
    }

    /// The destination address; an IPv4 address is in the first four bytes.
    #[inline]
    pub fn dst(&self) -> [u8; 16] {
        addr(self.0.dst.u3._bindgen_opaque_blob)
    }

    /// The source port, or what the protocol has for it.
    #[inline]
    pub fn src_port(&self) -> Be16 {
        Be16::from_bytes(self.0.src.u._bindgen_opaque_blob.to_ne_bytes())
    }

    /// The destination port, or what the protocol has for it.
    #[inline]
    pub fn dst_port(&self) -> Be16 {
        Be16::from_bytes(self.0.dst.u._bindgen_opaque_blob.to_ne_bytes())
    }

    /// The type and the code, of ICMP.
    #[inline]
    pub fn icmp(&self) -> (u8, u8) {
        let [ty, code] = self.0.dst.u._bindgen_opaque_blob.to_ne_bytes();
        (ty, code)
    }

    /// The IP protocol.
    #[inline]
    pub fn protonum(&self) -> u8 {
        self.0.dst.protonum
    }

    /// Whether the addresses are those of this protocol.
    #[inline]
    pub fn is_of(&self, proto: NfProto) -> bool {
        self.0.src.l3num == u16::from(proto as u8)
    }

    /// The direction that this is of its connection, if it is part of one.
    #[inline]
    pub(super) fn direction(&self) -> Direction {
        if self.0.dst.dir == 0 {
            Direction::Original
        } else {
            Direction::Reply
        }
    }

    /// The tuple of packets that go the other way, if there are such.
    /// C: `nf_ct_invert_tuple()`.
    pub fn invert(&self) -> Option<Self> {
        let mut inverse = MaybeUninit::zeroed();
        // SAFETY: Both are valid.
        if !unsafe { bindings::nf_ct_invert_tuple(inverse.as_mut_ptr(), &self.0) } {
            return None;
        }
        // INVARIANT: It was zeroed, and is written.
        // SAFETY: Zeroes are valid values of all fields.
        Some(Self(unsafe { inverse.assume_init() }))
    }
}

/// The bytes of an address.
#[inline]
fn addr(words: [u32; 4]) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(words.as_bytes());
    bytes
}

impl SkBuff {
    /// The tuple of the packet, if it has one. C: `nf_ct_get_tuplepr()`.
    pub fn nf_ct_tuple(&self, net: &Net, proto: NfProto) -> Option<Tuple> {
        let nhoff = u32::try_from(self.network_offset()).ok()?;
        let l3num = u16::from(proto as u8);
        let mut tuple = MaybeUninit::zeroed();
        // SAFETY: All are valid.
        if !unsafe {
            bindings::nf_ct_get_tuplepr(
                self.as_ptr(),
                nhoff,
                l3num,
                net.as_raw(),
                tuple.as_mut_ptr(),
            )
        } {
            return None;
        }
        // INVARIANT: It was zeroed, and is written.
        // SAFETY: Zeroes are valid values of all fields.
        Some(Tuple(unsafe { tuple.assume_init() }))
    }
}

impl CtInfo {
    /// How a packet of this direction stands to its connection, if nothing more
    /// is known of it than that.
    ///
    /// C: `ovs_ct_get_info()`, which has it from `resolve_normal_ct()`.
    pub fn of_existing(ct: &super::NfConn, direction: Direction) -> Self {
        if direction == Direction::Reply {
            Self::ESTABLISHED_REPLY
        } else if ct.has_seen_reply() {
            Self::ESTABLISHED
        } else if ct.is_expected() {
            Self::RELATED
        } else {
            Self::NEW
        }
    }
}
