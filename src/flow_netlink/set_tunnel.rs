// SPDX-License-Identifier: GPL-2.0

//! Actions that have packets sent through a tunnel, from netlink.

use super::{
    tunnel::ip_tun_from_nlattr,
    uapi::*, //
};
use crate::{
    actions::Action,
    flow::tunnel::{
        TunnelKey,
        AF_INET,
        AF_INET6, //
    },
};
use kernel::prelude::*;
use kernel_ext::net::{
    dst_metadata::MetadataDst,
    ip_tunnels::{
        flags,
        IP_TUNNEL_INFO_BRIDGE,
        IP_TUNNEL_INFO_IPV6,
        IP_TUNNEL_INFO_TX, //
    },
    netlink::{
        attr::nla_total_size,
        Nlattr, //
    },
};

/// The length of C's `struct ovs_tunnel_info`, which its copy of the action has.
const OVS_TUNNEL_INFO_LEN: usize = size_of::<usize>();

/// The length of the part of a Geneve option before its data.
const GENEVE_OPT_LEN: usize = 4;
/// Where in that part the type is.
const GENEVE_OPT_TYPE: usize = 2;
/// The bit of the type of an option that has to be understood.
const GENEVE_CRIT_OPT_TYPE: u8 = 1 << 7;
/// Where in that part the length of the data is, in units of 4 bytes, and its
/// bits.
const GENEVE_OPT_LENGTH: usize = 3;
const GENEVE_OPT_LENGTH_MASK: u8 = 0x1f;

/// Whether an option is one that has to be understood by who receives it.
/// `EINVAL` if the options do not end with the last one of them.
///
/// C: `validate_geneve_opts()`.
fn validate_geneve_opts(mut opts: &[u8]) -> Result<bool> {
    let mut crit_opt = false;
    while let Some(option) = opts.first_chunk::<GENEVE_OPT_LEN>() {
        let [ty, length] = [GENEVE_OPT_TYPE, GENEVE_OPT_LENGTH]
            .map(|place| option.get(place).copied().unwrap_or(0));
        crit_opt |= ty & GENEVE_CRIT_OPT_TYPE != 0;
        let data_len = usize::from(length & GENEVE_OPT_LENGTH_MASK).saturating_mul(4);
        opts = opts
            .get(GENEVE_OPT_LEN.saturating_add(data_len)..)
            .ok_or(EINVAL)?;
    }
    if !opts.is_empty() {
        return Err(EINVAL);
    }
    Ok(crit_opt)
}

/// Checks and copies an action that sets the tunnel `attr`, and returns it with
/// the length that its payload has in C's copy, without padding.
///
/// Fails with `EINVAL` if the tunnel is wrong, and with `ENOMEM`.
///
/// C: `validate_and_copy_set_tun()`.
#[inline(never)]
pub(super) fn validate_and_copy_set_tun(attr: Nlattr<'_>, log: bool) -> Result<(Action, usize)> {
    let mut tun = TunnelKey::zeroed();
    let parsed = ip_tun_from_nlattr(attr, &mut tun, None, log)?;

    let opts_len = usize::from(tun.tun_opts_len);
    if parsed.opts_type == Some(OVS_TUNNEL_KEY_ATTR_GENEVE_OPTS)
        && validate_geneve_opts(tun.opts(opts_len))?
    {
        tun.tun_key.tun_flags |= flags::CRIT_OPT;
    }

    let mode = IP_TUNNEL_INFO_TX
        | match parsed.tun_proto {
            AF_INET6 => IP_TUNNEL_INFO_IPV6,
            AF_INET if tun.tun_key.ipv4_dst() == [0; 4] => IP_TUNNEL_INFO_BRIDGE,
            _ => 0,
        };
    let dst = MetadataDst::new(&tun.tun_key, mode, tun.opts(opts_len), GFP_KERNEL)?;
    Ok((Action::SetTunnel(dst), nla_total_size(OVS_TUNNEL_INFO_LEN)))
}
