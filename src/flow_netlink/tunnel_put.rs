// SPDX-License-Identifier: GPL-2.0

//! Tunnel keys, their masks, and tunnels to send through, into netlink.

use super::uapi::*;
use crate::flow::tunnel::{
    AF_INET,
    AF_INET6, //
};
use kernel::prelude::*;
use kernel_ext::net::{
    ip_tunnels::{
        flags,
        IpTunnelInfo,
        IpTunnelKey,
        IP_TUNNEL_INFO_BRIDGE, //
    },
    netlink::{
        attr::{
            nla_total_size,
            nla_total_size_64bit, //
        },
        AttrWriter, //
    },
};

/// The room that a tunnel's attributes need at most, in bytes.
///
/// C: `ovs_tun_key_attr_size()`.
pub(crate) const fn ovs_tun_key_attr_size() -> usize {
    nla_total_size_64bit(8) // ID
        + nla_total_size(16) // IPV[46]_SRC
        + nla_total_size(16) // IPV[46]_DST
        + nla_total_size(1) // TOS
        + nla_total_size(1) // TTL
        + nla_total_size(0) // DONT_FRAGMENT
        + nla_total_size(0) // CSUM
        + nla_total_size(0) // OAM
        + nla_total_size(256) // GENEVE_OPTS, or others that are shorter
        + nla_total_size(2) // TP_SRC
        + nla_total_size(2) // TP_DST
}

/// What is put of a tunnel.
pub(super) struct Tunnel<'a> {
    /// The outer headers' fields, or their mask.
    pub(super) key: &'a IpTunnelKey,
    /// Options, in the form that the key's flags say.
    pub(super) opts: &'a [u8],
    /// `AF_INET` or `AF_INET6`, also for a mask; else no addresses are put.
    pub(super) tun_proto: u8,
    /// `IP_TUNNEL_INFO_*`.
    pub(super) mode: u8,
}

impl<'a> Tunnel<'a> {
    /// What a packet is sent through. `key` is a copy of the one in `info`.
    pub(super) fn of_info(info: &'a IpTunnelInfo, key: &'a IpTunnelKey) -> Self {
        Self {
            key,
            opts: info.options(),
            tun_proto: if info.is_ipv6() { AF_INET6 } else { AF_INET },
            mode: info.mode(),
        }
    }

    /// Puts the attributes.
    ///
    /// C: `__ip_tun_to_nlattr()`.
    fn put(&self, w: &mut impl AttrWriter) -> Result {
        let key = self.key;
        let has = |flag| key.tun_flags & flag != 0;

        if has(flags::KEY) {
            w.put_64bit(OVS_TUNNEL_KEY_ATTR_ID, &key.tun_id, OVS_TUNNEL_KEY_ATTR_PAD)?;
        }
        if self.mode & IP_TUNNEL_INFO_BRIDGE != 0 {
            return w.put_flag(OVS_TUNNEL_KEY_ATTR_IPV4_INFO_BRIDGE);
        }

        match self.tun_proto {
            AF_INET => {
                put_nonzero(w, OVS_TUNNEL_KEY_ATTR_IPV4_SRC, &key.ipv4_src())?;
                put_nonzero(w, OVS_TUNNEL_KEY_ATTR_IPV4_DST, &key.ipv4_dst())?;
            }
            AF_INET6 => {
                put_nonzero(w, OVS_TUNNEL_KEY_ATTR_IPV6_SRC, &key.ipv6_src())?;
                put_nonzero(w, OVS_TUNNEL_KEY_ATTR_IPV6_DST, &key.ipv6_dst())?;
            }
            _ => (),
        }
        put_nonzero(w, OVS_TUNNEL_KEY_ATTR_TOS, &[key.tos])?;
        w.put_u8(OVS_TUNNEL_KEY_ATTR_TTL, key.ttl)?;
        if has(flags::DONT_FRAGMENT) {
            w.put_flag(OVS_TUNNEL_KEY_ATTR_DONT_FRAGMENT)?;
        }
        if has(flags::CSUM) {
            w.put_flag(OVS_TUNNEL_KEY_ATTR_CSUM)?;
        }
        put_nonzero(w, OVS_TUNNEL_KEY_ATTR_TP_SRC, &key.tp_src.to_bytes())?;
        put_nonzero(w, OVS_TUNNEL_KEY_ATTR_TP_DST, &key.tp_dst.to_bytes())?;
        if has(flags::OAM) {
            w.put_flag(OVS_TUNNEL_KEY_ATTR_OAM)?;
        }

        if self.opts.is_empty() {
            return Ok(());
        }
        if has(flags::GENEVE_OPT) {
            w.put(OVS_TUNNEL_KEY_ATTR_GENEVE_OPTS, self.opts)?;
        }
        if has(flags::VXLAN_OPT) {
            vxlan_opt_to_nlattr(w, self.opts)?;
        }
        if has(flags::ERSPAN_OPT) {
            w.put(OVS_TUNNEL_KEY_ATTR_ERSPAN_OPTS, self.opts)?;
        }
        Ok(())
    }
}

fn put_nonzero(w: &mut impl AttrWriter, ty: u16, value: &[u8]) -> Result {
    if value.iter().all(|&byte| byte == 0) {
        return Ok(());
    }
    w.put(ty, value)
}

/// C: `vxlan_opt_to_nlattr()`.
fn vxlan_opt_to_nlattr(w: &mut impl AttrWriter, opts: &[u8]) -> Result {
    let gbp = opts.first_chunk().copied().unwrap_or_default();
    let nest = w.nest_start(OVS_TUNNEL_KEY_ATTR_VXLAN_OPTS)?;
    w.put_u32(OVS_VXLAN_EXT_GBP, u32::from_ne_bytes(gbp))?;
    w.nest_end(nest)
}

/// Puts a tunnel as `OVS_KEY_ATTR_TUNNEL`.
///
/// Fails with `EMSGSIZE` if it does not fit; what was put until then is left.
///
/// C: `ip_tun_to_nlattr()`.
pub(super) fn ip_tun_to_nlattr(w: &mut impl AttrWriter, tunnel: &Tunnel<'_>) -> Result {
    let nest = w.nest_start(OVS_KEY_ATTR_TUNNEL)?;
    tunnel.put(w)?;
    w.nest_end(nest)
}

/// Puts the attributes of the tunnel that a packet is sent through.
///
/// Fails with `EMSGSIZE` if they do not fit; what was put until then is left.
///
/// C: `ovs_nla_put_tunnel_info()`.
pub(crate) fn ovs_nla_put_tunnel_info(w: &mut impl AttrWriter, info: &IpTunnelInfo) -> Result {
    Tunnel::of_info(info, &info.key()).put(w)
}
