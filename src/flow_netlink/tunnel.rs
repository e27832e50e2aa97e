// SPDX-License-Identifier: GPL-2.0

//! Tunnel attributes.
//!
//! Keys have no tunnel fields, so a key with a tunnel is refused. In a mask a
//! tunnel attribute is checked as in C, and then has nothing to apply to:
//! userspace puts one in every mask, with a TTL of zero where the flow has no
//! tunnel.

use super::{
    key_attrs::AttrLen,
    nlerr,
    uapi::*, //
};
use kernel::prelude::*;
use kernel_ext::net::netlink::{
    AttrWriter,
    Nlattr, //
};

/// The longest options a tunnel header has, in bytes.
///
/// C: `IP_TUNNEL_OPTS_MAX`.
const IP_TUNNEL_OPTS_MAX: usize = 255;

/// C: `ovs_tunnel_key_lens`.
const fn tunnel_attr_len(ty: u16) -> Option<AttrLen> {
    Some(match ty {
        OVS_TUNNEL_KEY_ATTR_ID => AttrLen::Fixed(8),
        OVS_TUNNEL_KEY_ATTR_IPV4_SRC | OVS_TUNNEL_KEY_ATTR_IPV4_DST => AttrLen::Fixed(4),
        OVS_TUNNEL_KEY_ATTR_TOS | OVS_TUNNEL_KEY_ATTR_TTL => AttrLen::Fixed(1),
        OVS_TUNNEL_KEY_ATTR_DONT_FRAGMENT
        | OVS_TUNNEL_KEY_ATTR_CSUM
        | OVS_TUNNEL_KEY_ATTR_OAM
        | OVS_TUNNEL_KEY_ATTR_PAD
        | OVS_TUNNEL_KEY_ATTR_IPV4_INFO_BRIDGE => AttrLen::Fixed(0),
        OVS_TUNNEL_KEY_ATTR_GENEVE_OPTS | OVS_TUNNEL_KEY_ATTR_ERSPAN_OPTS => AttrLen::Variable,
        OVS_TUNNEL_KEY_ATTR_TP_SRC | OVS_TUNNEL_KEY_ATTR_TP_DST => AttrLen::Fixed(2),
        OVS_TUNNEL_KEY_ATTR_VXLAN_OPTS => AttrLen::Nested,
        OVS_TUNNEL_KEY_ATTR_IPV6_SRC | OVS_TUNNEL_KEY_ATTR_IPV6_DST => AttrLen::Fixed(16),
        _ => return None,
    })
}

/// C: `genev_tun_opt_from_nlattr()`, for a mask whose key has no options.
fn genev_tun_opt_from_nlattr(attr: &Nlattr<'_>, log: bool) -> Result {
    let len = attr.len();
    if len > IP_TUNNEL_OPTS_MAX {
        nlerr!(
            log,
            "Geneve option length err (len {}, max {}).",
            len,
            IP_TUNNEL_OPTS_MAX
        );
        return Err(EINVAL);
    }
    if len % 4 != 0 {
        nlerr!(log, "Geneve opt len {} is not a multiple of 4.", len);
        return Err(EINVAL);
    }
    if len != 0 {
        nlerr!(log, "Geneve option len {} != mask len {}", 0, len);
        return Err(EINVAL);
    }
    Ok(())
}

/// C: `vxlan_tun_opt_from_nlattr()`.
fn vxlan_tun_opt_from_nlattr(attr: &Nlattr<'_>, log: bool) -> Result {
    let mut attrs = attr.nested();
    for a in attrs.by_ref() {
        let ty = a.ty();
        if ty > OVS_VXLAN_EXT_MAX {
            nlerr!(
                log,
                "VXLAN extension {} out of range max {}",
                ty,
                OVS_VXLAN_EXT_MAX
            );
            return Err(EINVAL);
        }
        let len = AttrLen::Fixed(if ty == OVS_VXLAN_EXT_GBP { 4 } else { 0 });
        if let Err(expected) = len.check(a.len()) {
            nlerr!(
                log,
                "VXLAN extension {} has unexpected len {} expected {}",
                ty,
                a.len(),
                expected
            );
            return Err(EINVAL);
        }
        if ty != OVS_VXLAN_EXT_GBP {
            nlerr!(log, "Unknown VXLAN extension attribute {}", ty);
            return Err(EINVAL);
        }
    }
    let rem = attrs.remaining();
    if rem != 0 {
        nlerr!(log, "VXLAN extension message has {} unknown bytes.", rem);
        return Err(EINVAL);
    }
    Ok(())
}

/// C: `erspan_tun_opt_from_nlattr()`.
fn erspan_tun_opt_from_nlattr(attr: &Nlattr<'_>, log: bool) -> Result {
    if attr.len() > IP_TUNNEL_OPTS_MAX {
        nlerr!(
            log,
            "ERSPAN option length err (len {}, max {}).",
            attr.len(),
            IP_TUNNEL_OPTS_MAX
        );
        return Err(EINVAL);
    }
    Ok(())
}

/// Checks the tunnel attribute of a mask.
///
/// C: `ip_tun_from_nlattr()`, for a mask.
pub(super) fn ip_tun_mask_from_nlattr(attr: Nlattr<'_>, log: bool) -> Result {
    let mut opts_type = None;
    let mut ipv4 = false;
    let mut ipv6 = false;

    let mut attrs = attr.nested();
    for a in attrs.by_ref() {
        let ty = a.ty();
        if ty > OVS_TUNNEL_KEY_ATTR_MAX {
            nlerr!(
                log,
                "Tunnel attr {} out of range max {}",
                ty,
                OVS_TUNNEL_KEY_ATTR_MAX
            );
            return Err(EINVAL);
        }

        let Some(len) = tunnel_attr_len(ty) else {
            nlerr!(log, "Unknown IP tunnel attribute {}", ty);
            return Err(EINVAL);
        };
        if let Err(expected) = len.check(a.len()) {
            nlerr!(
                log,
                "Tunnel attr {} has unexpected len {} expected {}",
                ty,
                a.len(),
                expected
            );
            return Err(EINVAL);
        }

        match ty {
            OVS_TUNNEL_KEY_ATTR_IPV4_SRC
            | OVS_TUNNEL_KEY_ATTR_IPV4_DST
            | OVS_TUNNEL_KEY_ATTR_IPV4_INFO_BRIDGE => ipv4 = true,
            OVS_TUNNEL_KEY_ATTR_IPV6_SRC | OVS_TUNNEL_KEY_ATTR_IPV6_DST => ipv6 = true,
            OVS_TUNNEL_KEY_ATTR_GENEVE_OPTS
            | OVS_TUNNEL_KEY_ATTR_VXLAN_OPTS
            | OVS_TUNNEL_KEY_ATTR_ERSPAN_OPTS => {
                if opts_type.is_some() {
                    nlerr!(log, "Multiple metadata blocks provided");
                    return Err(EINVAL);
                }
                match ty {
                    OVS_TUNNEL_KEY_ATTR_GENEVE_OPTS => genev_tun_opt_from_nlattr(&a, log)?,
                    OVS_TUNNEL_KEY_ATTR_VXLAN_OPTS => vxlan_tun_opt_from_nlattr(&a, log)?,
                    _ => erspan_tun_opt_from_nlattr(&a, log)?,
                }
                opts_type = Some(ty);
            }
            _ => (),
        }
    }

    let rem = attrs.remaining();
    if rem > 0 {
        nlerr!(log, "IP tunnel attribute has {} unknown bytes.", rem);
        return Err(EINVAL);
    }

    if ipv4 && ipv6 {
        nlerr!(log, "Mixed IPv4 and IPv6 tunnel attributes");
        return Err(EINVAL);
    }
    Ok(())
}

/// Puts a mask's tunnel attribute: that of a mask which does not match on any
/// tunnel field.
///
/// C: `ip_tun_to_nlattr()`.
pub(super) fn ip_tun_mask_to_nlattr(w: &mut impl AttrWriter) -> Result {
    let nest = w.nest_start(OVS_KEY_ATTR_TUNNEL)?;
    w.put_u8(OVS_TUNNEL_KEY_ATTR_TTL, 0)?;
    w.nest_end(nest)
}
