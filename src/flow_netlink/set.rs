// SPDX-License-Identifier: GPL-2.0

//! Set actions from netlink.

use super::{
    key_attrs::{
        key_attr_len,
        AttrLen, //
    },
    set_tunnel::validate_and_copy_set_tun,
    uapi::*, //
};
use crate::{
    actions::{
        Action,
        SetAction,
        SetField, //
    },
    flow::key::{
        SwFlowKey,
        MAC_PROTO_ETHERNET, //
    },
};
use kernel::prelude::*;
use kernel_ext::net::netlink::{
    attr::nla_total_size,
    Nlattr, //
};
use zerocopy::{
    FromBytes,
    IntoBytes, //
};

/// What is known about the packet where a set action stands.
pub(super) struct SetContext<'a> {
    /// The flow's masked key.
    pub(super) key: &'a SwFlowKey,
    /// The MAC layer after the actions before.
    pub(super) mac_proto: u8,
    /// The Ethernet type after the actions before, host byte order.
    pub(super) eth_type: u16,
}

/// A value and its mask, as many bytes as the field has.
struct Bits<'a> {
    key: &'a [u8],
    mask: Option<&'a [u8]>,
}

impl Bits<'_> {
    /// Both as they are in the packet; without a mask, all bits count.
    fn both<T: FromBytes + IntoBytes>(&self) -> Result<(T, T)> {
        let key = T::read_from_bytes(self.key).map_err(|_| EINVAL)?;
        let mask = match self.mask {
            Some(mask) => T::read_from_bytes(mask).map_err(|_| EINVAL)?,
            None => {
                let mut mask = T::new_zeroed();
                mask.as_mut_bytes().fill(0xff);
                mask
            }
        };
        Ok((key, mask))
    }
}

impl SetContext<'_> {
    fn is_ip(&self) -> bool {
        matches!(self.eth_type, ETH_P_IP | ETH_P_IPV6)
    }

    fn ipv4(&self, bits: &Bits<'_>) -> Result<SetField> {
        let (key, mask) = bits.both::<OvsKeyIpv4>()?;

        // Fields that cannot be written.
        let unwritten = if bits.mask.is_some() {
            mask.ipv4_proto == 0 && mask.ipv4_frag == 0
        } else {
            key.ipv4_proto == self.key.ip_proto && key.ipv4_frag == self.key.ip_frag
        };
        if self.eth_type != ETH_P_IP || !unwritten {
            return Err(EINVAL);
        }
        Ok(SetField::Ipv4 { key, mask })
    }

    fn ipv6(&self, bits: &Bits<'_>) -> Result<SetField> {
        let (key, mut mask) = bits.both::<OvsKeyIpv6>()?;

        // Fields that cannot be written.
        let unwritten = if bits.mask.is_some() {
            mask.ipv6_proto == 0
                && mask.ipv6_frag == 0
                && mask.ipv6_label.get() & IPV6_LABEL_INVALID == 0
        } else {
            mask.ipv6_label = (!IPV6_LABEL_INVALID).into();
            key.ipv6_proto == self.key.ip_proto && key.ipv6_frag == self.key.ip_frag
        };
        if self.eth_type != ETH_P_IPV6
            || !unwritten
            || key.ipv6_label.get() & IPV6_LABEL_INVALID != 0
        {
            return Err(EINVAL);
        }
        Ok(SetField::Ipv6 { key, mask })
    }

    /// The ports of a transport protocol that the flow matches.
    fn ports(&self, ip_proto: u8, bits: &Bits<'_>) -> Result<([u8; 4], [u8; 4])> {
        if !self.is_ip() || self.key.ip_proto != ip_proto {
            return Err(EINVAL);
        }
        bits.both()
    }

    fn field(&self, ty: u16, bits: &Bits<'_>) -> Result<SetField> {
        Ok(match ty {
            OVS_KEY_ATTR_PRIORITY => {
                let (key, mask) = bits.both()?;
                SetField::Priority { key, mask }
            }
            OVS_KEY_ATTR_SKB_MARK => {
                let (key, mask) = bits.both()?;
                SetField::SkbMark { key, mask }
            }
            OVS_KEY_ATTR_CT_MARK => {
                let (key, mask) = bits.both()?;
                SetField::CtMark { key, mask }
            }
            OVS_KEY_ATTR_CT_LABELS => {
                let (key, mask) = bits.both()?;
                SetField::CtLabels { key, mask }
            }
            OVS_KEY_ATTR_ETHERNET => {
                if self.mac_proto != MAC_PROTO_ETHERNET {
                    return Err(EINVAL);
                }
                let (key, mask) = bits.both()?;
                SetField::Ethernet { key, mask }
            }
            OVS_KEY_ATTR_IPV4 => self.ipv4(bits)?,
            OVS_KEY_ATTR_IPV6 => self.ipv6(bits)?,
            OVS_KEY_ATTR_TCP => {
                let (key, mask) = self.ports(IPPROTO_TCP, bits)?;
                SetField::Tcp { key, mask }
            }
            OVS_KEY_ATTR_MPLS => {
                if !eth_p_mpls(self.eth_type) {
                    return Err(EINVAL);
                }
                let (key, mask) = bits.both()?;
                SetField::Mpls { key, mask }
            }
            OVS_KEY_ATTR_UDP => {
                let (key, mask) = self.ports(IPPROTO_UDP, bits)?;
                SetField::Udp { key, mask }
            }
            OVS_KEY_ATTR_SCTP => {
                let (key, mask) = self.ports(IPPROTO_SCTP, bits)?;
                SetField::Sctp { key, mask }
            }
            _ => return Err(EINVAL),
        })
    }

    /// Checks and copies a set action, and returns it with the length that its
    /// payload has in C's copy, without padding.
    ///
    /// C: `validate_set()` and `validate_masked()`.
    pub(super) fn validate_set(
        &self,
        action: Nlattr<'_>,
        masked: bool,
        log: bool,
    ) -> Result<(Action, usize)> {
        // There can be only one key in a action.
        let ovs_key = Nlattr::first(action.payload()).ok_or(EINVAL)?;
        if nla_total_size(ovs_key.len()) != action.len() {
            return Err(EINVAL);
        }

        let ty = ovs_key.ty();
        if ty == OVS_KEY_ATTR_TUNNEL {
            // A tunnel cannot be set under a mask.
            if masked {
                return Err(EINVAL);
            }
            return validate_and_copy_set_tun(ovs_key, log);
        }

        // C rounds the length of a masked one down.
        let key_len = ovs_key.len() / if masked { 2 } else { 1 };
        match key_attr_len(ty).ok_or(EINVAL)? {
            AttrLen::Fixed(len) if usize::from(len) == key_len => (),
            // Of the attributes of variable length, one entry can be set.
            AttrLen::Variable if key_len == size_of::<OvsKeyMpls>() => (),
            _ => return Err(EINVAL),
        }

        let (key, rest) = ovs_key.payload().split_at_checked(key_len).ok_or(EINVAL)?;
        let bits = Bits {
            key,
            mask: if masked { rest.get(..key_len) } else { None },
        };

        // Any bits set that the mask leaves out?
        if let Some(mask) = bits.mask {
            if key.iter().zip(mask).any(|(key, mask)| key & !mask != 0) {
                return Err(EINVAL);
            }
        }

        let field = self.field(ty, &bits)?;
        let mut as_came = None;
        if masked && (ovs_key.len() % 2 != 0 || ovs_key.raw_type() != ty) {
            let mut payload = KVec::new();
            payload.extend_from_slice(action.payload(), GFP_KERNEL)?;
            as_came = Some(payload);
        }

        let copied_len = if masked {
            action.len()
        } else {
            nla_total_size(key_len.saturating_mul(2))
        };
        let set = SetAction {
            field,
            from_set: !masked,
            as_came,
        };
        Ok((Action::Set(KBox::new(set, GFP_KERNEL)?), copied_len))
    }
}

impl SetField {
    /// The attribute type, the value and the mask.
    pub(crate) fn as_attr(&self) -> (u16, &[u8], &[u8]) {
        match self {
            Self::Priority { key, mask } => {
                (OVS_KEY_ATTR_PRIORITY, key.as_bytes(), mask.as_bytes())
            }
            Self::SkbMark { key, mask } => (OVS_KEY_ATTR_SKB_MARK, key.as_bytes(), mask.as_bytes()),
            Self::CtMark { key, mask } => (OVS_KEY_ATTR_CT_MARK, key.as_bytes(), mask.as_bytes()),
            Self::CtLabels { key, mask } => (OVS_KEY_ATTR_CT_LABELS, key, mask),
            Self::Ethernet { key, mask } => {
                (OVS_KEY_ATTR_ETHERNET, key.as_bytes(), mask.as_bytes())
            }
            Self::Ipv4 { key, mask } => (OVS_KEY_ATTR_IPV4, key.as_bytes(), mask.as_bytes()),
            Self::Ipv6 { key, mask } => (OVS_KEY_ATTR_IPV6, key.as_bytes(), mask.as_bytes()),
            Self::Mpls { key, mask } => (OVS_KEY_ATTR_MPLS, key, mask),
            Self::Tcp { key, mask } => (OVS_KEY_ATTR_TCP, key, mask),
            Self::Udp { key, mask } => (OVS_KEY_ATTR_UDP, key, mask),
            Self::Sctp { key, mask } => (OVS_KEY_ATTR_SCTP, key, mask),
        }
    }
}
