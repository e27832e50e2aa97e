// SPDX-License-Identifier: GPL-2.0

//! Tunnel keys, their masks, and tunnels to send through, from netlink.

use super::{
    key_attrs::{
        AttrLen,
        Part, //
    },
    nlerr,
    uapi::*, //
};
use crate::flow::tunnel::{
    TunnelKey,
    AF_INET,
    AF_INET6, //
};
use kernel::prelude::*;
use kernel_ext::net::{
    ip_tunnels::{
        flags,
        IP_TUNNEL_OPTS_MAX, //
    },
    netlink::Nlattr, //
};

/// The length of C's `struct erspan_metadata`.
const ERSPAN_METADATA_LEN: u8 = 12;

/// Which attributes of a tunnel there are, and how long they are.
///
/// C: `ovs_tunnel_key_lens`.
pub(super) const fn tunnel_attr_len(ty: u16) -> Option<AttrLen> {
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

/// Which extensions of VXLAN there are, and how long they are.
///
/// C: `ovs_vxlan_ext_key_lens`.
pub(super) const fn vxlan_ext_len(ty: u16) -> Option<AttrLen> {
    match ty {
        OVS_VXLAN_EXT_GBP => Some(AttrLen::Fixed(4)),
        0 => Some(AttrLen::Fixed(0)),
        _ => None,
    }
}

/// What is filled from attributes: a tunnel's key, or its mask.
struct Target<'a> {
    tun: &'a mut TunnelKey,
    /// The key that `tun` is the mask of.
    mask_of: Option<&'a TunnelKey>,
    log: bool,
}

impl Target<'_> {
    fn part(&self) -> Part {
        match self.mask_of {
            None => Part::Key,
            Some(_) => Part::Mask,
        }
    }

    /// Sets options and, in a key, how long they are. In a mask the length is
    /// exact, for packets with more options are others.
    fn put_opts(&mut self, opts: &[u8], len: u8) {
        self.tun.tun_opts_len = match self.part() {
            Part::Key => len,
            Part::Mask => 0xff,
        };
        self.tun.set_opts(opts);
    }

    /// C: `genev_tun_opt_from_nlattr()`.
    fn geneve_opts(&mut self, attr: &Nlattr<'_>) -> Result {
        let len = attr.len();
        if len > IP_TUNNEL_OPTS_MAX {
            nlerr!(
                self.log,
                "Geneve option length err (len {}, max {}).",
                len,
                IP_TUNNEL_OPTS_MAX
            );
            return Err(EINVAL);
        }
        if len % 4 != 0 {
            nlerr!(self.log, "Geneve opt len {} is not a multiple of 4.", len);
            return Err(EINVAL);
        }
        // Unusually, this looks at both the key and the mask: afterwards it is
        // not known any more where in the mask the options are.
        if let Some(key) = self.mask_of {
            if usize::from(key.tun_opts_len) != len {
                nlerr!(
                    self.log,
                    "Geneve option len {} != mask len {}",
                    key.tun_opts_len,
                    len
                );
                return Err(EINVAL);
            }
        }
        self.put_opts(attr.payload(), len as u8);
        Ok(())
    }

    /// C: `vxlan_tun_opt_from_nlattr()`.
    fn vxlan_opts(&mut self, attr: &Nlattr<'_>) -> Result {
        let log = self.log;
        let mut gbp = 0u32;
        let mut attrs = attr.nested();
        for a in attrs.by_ref() {
            let ty = a.ty();
            let Some(len) = vxlan_ext_len(ty) else {
                nlerr!(
                    log,
                    "VXLAN extension {} out of range max {}",
                    ty,
                    OVS_VXLAN_EXT_MAX
                );
                return Err(EINVAL);
            };
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
            gbp = a.get_u32().unwrap_or(0);
        }
        let rem = attrs.remaining();
        if rem != 0 {
            nlerr!(log, "VXLAN extension message has {} unknown bytes.", rem);
            return Err(EINVAL);
        }

        // C's `struct vxlan_metadata`.
        let opts = gbp.to_ne_bytes();
        self.put_opts(&opts, opts.len() as u8);
        Ok(())
    }

    /// C: `erspan_tun_opt_from_nlattr()`. The length of the options is that of
    /// C's structure even if there were fewer or more.
    fn erspan_opts(&mut self, attr: &Nlattr<'_>) -> Result {
        if attr.len() > IP_TUNNEL_OPTS_MAX {
            nlerr!(
                self.log,
                "ERSPAN option length err (len {}, max {}).",
                attr.len(),
                IP_TUNNEL_OPTS_MAX
            );
            return Err(EINVAL);
        }
        self.put_opts(attr.payload(), ERSPAN_METADATA_LEN);
        Ok(())
    }
}

/// Which attributes there were.
#[derive(Default)]
struct Seen {
    flags: u32,
    ttl: bool,
    ipv4: bool,
    ipv6: bool,
    info_bridge: bool,
    opts_type: Option<u16>,
}

impl Seen {
    /// Takes one attribute, whose length has been checked.
    fn take(&mut self, target: &mut Target<'_>, a: &Nlattr<'_>) -> Result {
        let log = target.log;
        let key = &mut target.tun.tun_key;
        match a.ty() {
            OVS_TUNNEL_KEY_ATTR_ID => {
                key.tun_id = fixed(a);
                self.flags |= flags::KEY;
            }
            OVS_TUNNEL_KEY_ATTR_IPV4_SRC => {
                key.set_ipv4_src(&fixed(a));
                self.ipv4 = true;
            }
            OVS_TUNNEL_KEY_ATTR_IPV4_DST => {
                key.set_ipv4_dst(&fixed(a));
                self.ipv4 = true;
            }
            OVS_TUNNEL_KEY_ATTR_IPV6_SRC => {
                key.set_ipv6_src(&fixed(a));
                self.ipv6 = true;
            }
            OVS_TUNNEL_KEY_ATTR_IPV6_DST => {
                key.set_ipv6_dst(&fixed(a));
                self.ipv6 = true;
            }
            OVS_TUNNEL_KEY_ATTR_TOS => [key.tos] = fixed(a),
            OVS_TUNNEL_KEY_ATTR_TTL => {
                [key.ttl] = fixed(a);
                self.ttl = true;
            }
            OVS_TUNNEL_KEY_ATTR_DONT_FRAGMENT => self.flags |= flags::DONT_FRAGMENT,
            OVS_TUNNEL_KEY_ATTR_CSUM => self.flags |= flags::CSUM,
            OVS_TUNNEL_KEY_ATTR_TP_SRC => key.tp_src = u16::from_be_bytes(fixed(a)).into(),
            OVS_TUNNEL_KEY_ATTR_TP_DST => key.tp_dst = u16::from_be_bytes(fixed(a)).into(),
            OVS_TUNNEL_KEY_ATTR_OAM => self.flags |= flags::OAM,
            OVS_TUNNEL_KEY_ATTR_PAD => (),
            OVS_TUNNEL_KEY_ATTR_IPV4_INFO_BRIDGE => {
                self.info_bridge = true;
                self.ipv4 = true;
            }
            ty => {
                if self.opts_type.is_some() {
                    nlerr!(log, "Multiple metadata blocks provided");
                    return Err(EINVAL);
                }
                match ty {
                    OVS_TUNNEL_KEY_ATTR_GENEVE_OPTS => {
                        target.geneve_opts(a)?;
                        self.flags |= flags::GENEVE_OPT;
                    }
                    OVS_TUNNEL_KEY_ATTR_VXLAN_OPTS => {
                        target.vxlan_opts(a)?;
                        self.flags |= flags::VXLAN_OPT;
                    }
                    _ => {
                        target.erspan_opts(a)?;
                        self.flags |= flags::ERSPAN_OPT;
                    }
                }
                self.opts_type = Some(ty);
            }
        }
        Ok(())
    }

    /// Whether a key, not a mask, makes sense.
    fn validate(&self, tun: &TunnelKey, log: bool) -> Result {
        let key = &tun.tun_key;
        if !self.ipv4 && !self.ipv6 {
            nlerr!(log, "IP tunnel dst address not specified");
            return Err(EINVAL);
        }
        if self.ipv4 {
            if self.info_bridge {
                if key.ipv4_src() != [0; 4]
                    || key.ipv4_dst() != [0; 4]
                    || key.tp_src.get() != 0
                    || key.tp_dst.get() != 0
                    || key.ttl != 0
                    || key.tos != 0
                    || self.flags & !flags::KEY != 0
                {
                    nlerr!(log, "IPv4 tun info is not correct");
                    return Err(EINVAL);
                }
            } else if key.ipv4_dst() == [0; 4] {
                nlerr!(log, "IPv4 tunnel dst address is zero");
                return Err(EINVAL);
            }
        }
        if self.ipv6 && key.ipv6_dst() == [0; 16] {
            nlerr!(log, "IPv6 tunnel dst address is zero");
            return Err(EINVAL);
        }
        if !self.ttl && !self.info_bridge {
            nlerr!(log, "IP tunnel TTL not specified.");
            return Err(EINVAL);
        }
        Ok(())
    }
}

/// A payload whose length has been checked.
fn fixed<const N: usize>(attr: &Nlattr<'_>) -> [u8; N] {
    attr.payload().try_into().unwrap_or([0; N])
}

/// What kind of tunnel was parsed.
pub(super) struct Parsed {
    /// `AF_INET` or `AF_INET6`.
    pub(super) tun_proto: u8,
    /// Which attribute the options came in, if there were any.
    pub(super) opts_type: Option<u16>,
}

/// Fills `tun`, a key or the mask of `mask_of`, from the attributes of a tunnel.
///
/// Fails with `EINVAL` if they are wrong.
///
/// C: `ip_tun_from_nlattr()`.
#[inline(never)]
pub(super) fn ip_tun_from_nlattr(
    attr: Nlattr<'_>,
    tun: &mut TunnelKey,
    mask_of: Option<&TunnelKey>,
    log: bool,
) -> Result<Parsed> {
    let mut target = Target { tun, mask_of, log };
    let mut seen = Seen::default();

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
        // What has no length of its own has to be empty, and is refused then.
        let len = tunnel_attr_len(ty);
        if let Err(expected) = len.unwrap_or(AttrLen::Fixed(0)).check(a.len()) {
            nlerr!(
                log,
                "Tunnel attr {} has unexpected len {} expected {}",
                ty,
                a.len(),
                expected
            );
            return Err(EINVAL);
        }
        if len.is_none() {
            nlerr!(log, "Unknown IP tunnel attribute {}", ty);
            return Err(EINVAL);
        }
        seen.take(&mut target, &a)?;
    }
    target.tun.tun_key.tun_flags = seen.flags;

    let rem = attrs.remaining();
    if rem > 0 {
        nlerr!(log, "IP tunnel attribute has {} unknown bytes.", rem);
        return Err(EINVAL);
    }
    if seen.ipv4 && seen.ipv6 {
        nlerr!(log, "Mixed IPv4 and IPv6 tunnel attributes");
        return Err(EINVAL);
    }
    if target.part() == Part::Key {
        seen.validate(target.tun, log)?;
    }
    Ok(Parsed {
        tun_proto: if seen.ipv6 { AF_INET6 } else { AF_INET },
        opts_type: seen.opts_type,
    })
}
