// SPDX-License-Identifier: GPL-2.0

//! The attributes of a flow key or mask, sorted by type.

use super::{
    nlerr,
    uapi::*, //
};
use kernel::prelude::*;
use kernel_ext::net::netlink::{
    AttrIter,
    Nlattr, //
};
use zerocopy::{
    FromBytes,
    Immutable,
    KnownLayout,
    Unaligned, //
};

/// How long an attribute's payload has to be.
///
/// C: `struct ovs_len_tbl`.
#[derive(Clone, Copy)]
pub(super) enum AttrLen {
    /// This many bytes.
    Fixed(u16),
    /// Attributes. C: `OVS_ATTR_NESTED`.
    Nested,
    /// Whatever the attribute's own parser takes. C: `OVS_ATTR_VARIABLE`.
    Variable,
}

impl AttrLen {
    /// The length that is expected, if `len` is not right.
    ///
    /// C: `check_attr_len()`.
    pub(super) fn check(self, len: usize) -> Result<(), u16> {
        match self {
            Self::Fixed(expected) if len != usize::from(expected) => Err(expected),
            _ => Ok(()),
        }
    }
}

/// Which flow-key attributes there are, and how long they are. What is not here
/// is refused as a type past the last one is.
///
/// C: `ovs_key_lens`.
pub(super) const fn key_attr_len(ty: u16) -> Option<AttrLen> {
    const fn fixed<T>() -> Option<AttrLen> {
        Some(AttrLen::Fixed(size_of::<T>() as u16))
    }

    match ty {
        OVS_KEY_ATTR_UNSPEC => fixed::<()>(),
        OVS_KEY_ATTR_ENCAP => Some(AttrLen::Nested),
        OVS_KEY_ATTR_PRIORITY => fixed::<u32>(),
        OVS_KEY_ATTR_IN_PORT => fixed::<u32>(),
        OVS_KEY_ATTR_ETHERNET => fixed::<OvsKeyEthernet>(),
        OVS_KEY_ATTR_VLAN => fixed::<u16>(),
        OVS_KEY_ATTR_ETHERTYPE => fixed::<u16>(),
        OVS_KEY_ATTR_IPV4 => fixed::<OvsKeyIpv4>(),
        OVS_KEY_ATTR_IPV6 => fixed::<OvsKeyIpv6>(),
        OVS_KEY_ATTR_TCP => fixed::<OvsKeyPorts>(),
        OVS_KEY_ATTR_UDP => fixed::<OvsKeyPorts>(),
        OVS_KEY_ATTR_ICMP => fixed::<OvsKeyIcmp>(),
        OVS_KEY_ATTR_ICMPV6 => fixed::<OvsKeyIcmp>(),
        OVS_KEY_ATTR_ARP => fixed::<OvsKeyArp>(),
        OVS_KEY_ATTR_ND => fixed::<OvsKeyNd>(),
        OVS_KEY_ATTR_SKB_MARK => fixed::<u32>(),
        OVS_KEY_ATTR_TUNNEL => Some(AttrLen::Nested),
        OVS_KEY_ATTR_SCTP => fixed::<OvsKeyPorts>(),
        OVS_KEY_ATTR_TCP_FLAGS => fixed::<u16>(),
        OVS_KEY_ATTR_DP_HASH => fixed::<u32>(),
        OVS_KEY_ATTR_RECIRC_ID => fixed::<u32>(),
        OVS_KEY_ATTR_MPLS => Some(AttrLen::Variable),
        OVS_KEY_ATTR_CT_STATE => fixed::<u32>(),
        OVS_KEY_ATTR_CT_ZONE => fixed::<u16>(),
        OVS_KEY_ATTR_CT_MARK => fixed::<u32>(),
        OVS_KEY_ATTR_CT_LABELS => fixed::<[u8; 16]>(),
        OVS_KEY_ATTR_CT_ORIG_TUPLE_IPV4 => fixed::<OvsKeyCtTupleIpv4>(),
        OVS_KEY_ATTR_CT_ORIG_TUPLE_IPV6 => fixed::<OvsKeyCtTupleIpv6>(),
        OVS_KEY_ATTR_NSH => Some(AttrLen::Nested),
        OVS_KEY_ATTR_IPV6_EXTHDRS => fixed::<u16>(),
        _ => None,
    }
}

/// Whether the attributes describe a key or a mask.
///
/// C: the arguments `is_mask` and `nz`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// The key.
    Key,
    /// The mask: attributes that are all zeroes are as good as absent.
    Mask,
}

/// A bit for an attribute type, as in C's `u64 attrs`.
#[inline]
pub(super) const fn bit(ty: u16) -> u64 {
    1u64.wrapping_shl(ty as u32)
}

/// Attributes by type, and which of them are still to be looked at.
///
/// C: `u64 *attrsp` with `const struct nlattr *a[]`. As there, an attribute
/// stays in the table when its bit is cleared, and a mask's table begins as
/// the key's.
pub(super) struct KeyAttrs<'a> {
    present: u64,
    /// Payloads.
    table: [Option<&'a [u8]>; OVS_KEY_ATTR_COUNT as usize],
}

impl<'a> KeyAttrs<'a> {
    /// No attributes.
    #[inline]
    pub(super) fn new() -> Self {
        Self {
            present: 0,
            table: [None; OVS_KEY_ATTR_COUNT as usize],
        }
    }

    /// Says which attributes are present: none, or those that were at a time
    /// before.
    pub(super) fn set_present(&mut self, present: u64) {
        self.present = present;
    }

    /// A bit for each type that is present.
    #[inline]
    pub(super) fn present(&self) -> u64 {
        self.present
    }

    /// Whether this type is present.
    #[inline]
    pub(super) fn has(&self, ty: u16) -> bool {
        self.present & bit(ty) != 0
    }

    /// Marks this type as dealt with.
    #[inline]
    pub(super) fn remove(&mut self, ty: u16) {
        self.present &= !bit(ty);
    }

    /// The attribute that was last seen of this type, whether or not it is
    /// present now.
    #[inline]
    pub(super) fn last(&self, ty: u16) -> Option<Nlattr<'a>> {
        let payload = self.table.get(usize::from(ty)).copied().flatten()?;
        Some(Nlattr::new(ty, payload))
    }

    /// As [`Self::last`], for a 16-bit value in network byte order.
    #[inline]
    pub(super) fn last_be16(&self, ty: u16) -> Option<u16> {
        self.last(ty)?.get_be16()
    }

    /// The attribute of this type if it is present; marks it as dealt with.
    #[inline]
    pub(super) fn take(&mut self, ty: u16) -> Option<Nlattr<'a>> {
        if !self.has(ty) {
            return None;
        }
        self.remove(ty);
        self.last(ty)
    }

    /// As [`Self::take`], for a 32-bit value in host byte order.
    #[inline]
    pub(super) fn take_u32(&mut self, ty: u16) -> Option<u32> {
        self.take(ty)?.get_u32()
    }

    /// As [`Self::take`], for a payload with a structure.
    #[inline]
    pub(super) fn take_as<T>(&mut self, ty: u16) -> Option<&'a T>
    where
        T: FromBytes + KnownLayout + Immutable + Unaligned,
    {
        T::ref_from_bytes(self.take(ty)?.payload()).ok()
    }

    /// Adds the attributes of a key, of a mask, or of an encapsulation in one
    /// of them.
    ///
    /// C: `__parse_flow_nlattrs()`, `parse_flow_nlattrs()` and `parse_flow_mask_nlattrs()`,
    /// with `is_all_zero()`.
    pub(super) fn parse(&mut self, mut attrs: AttrIter<'a>, part: Part, log: bool) -> Result {
        for attr in attrs.by_ref() {
            let ty = attr.ty();

            if matches!(
                ty,
                OVS_KEY_ATTR_PACKET_TYPE | OVS_KEY_ATTR_ND_EXTENSIONS | OVS_KEY_ATTR_TUNNEL_INFO
            ) {
                nlerr!(log, "Key type {} is not supported", ty);
                return Err(EINVAL);
            }

            let Some(len) = key_attr_len(ty) else {
                nlerr!(
                    log,
                    "Key type {} is out of range max {}",
                    ty,
                    OVS_KEY_ATTR_MAX
                );
                return Err(EINVAL);
            };

            if self.has(ty) {
                nlerr!(log, "Duplicate key (type {}).", ty);
                return Err(EINVAL);
            }

            if let Err(expected) = len.check(attr.len()) {
                nlerr!(
                    log,
                    "Key {} has unexpected len {} expected {}",
                    ty,
                    attr.len(),
                    expected
                );
                return Err(EINVAL);
            }

            if part == Part::Key || attr.payload().iter().any(|&byte| byte != 0) {
                self.present |= bit(ty);
                if let Some(entry) = self.table.get_mut(usize::from(ty)) {
                    *entry = Some(attr.payload());
                }
            }
        }

        let rem = attrs.remaining();
        if rem != 0 {
            nlerr!(log, "Message has {} unknown bytes.", rem);
            return Err(EINVAL);
        }
        Ok(())
    }
}
