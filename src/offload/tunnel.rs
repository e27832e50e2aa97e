// SPDX-License-Identifier: GPL-2.0

//! Tunnels in rules: what packets that came through one have to be like, and
//! what is sent through one.

use kernel::prelude::*;

use kernel_ext::net::{
    dst_metadata::MetadataDst,
    flow_offload::{
        AddrType,
        FlowRule,
        FLOW_DIS_F_TUNNEL_CRIT_OPT,
        FLOW_DIS_F_TUNNEL_CSUM,
        FLOW_DIS_F_TUNNEL_DONT_FRAGMENT,
        FLOW_DIS_F_TUNNEL_OAM, //
    },
    ip_tunnels::{
        flags,
        IP_TUNNEL_INFO_BRIDGE, //
    },
    netdevice::NetDevice, //
};
use zerocopy::network_endian::{
    U16 as Be16,
    U32 as Be32, //
};

use super::reason::Reason;
use crate::flow::tunnel::{
    MatchKey,
    TunnelKey,
    AF_INET,
    AF_INET6, //
};

/// The kinds of devices that tunnels have, and whether their packets go to a
/// UDP port.
const KINDS: [(&[u8], bool); 4] = [
    (b"vxlan", true),
    (b"geneve", true),
    (b"gretap", false),
    (b"ip6gretap", false),
];

/// The flags of outer headers that policy may have left out of a match.
pub(super) const IGNORABLE_FLAGS: u32 = FLOW_DIS_F_TUNNEL_CSUM | FLOW_DIS_F_TUNNEL_DONT_FRAGMENT;

/// Whether a device is a tunnel's, and if so, whether its packets go to a UDP
/// port.
pub(crate) fn tunnel_kind(dev: &NetDevice) -> Option<bool> {
    let kind = dev.link_kind()?.to_bytes();
    KINDS
        .iter()
        .find(|(name, _)| *name == kind)
        .map(|&(_, udp)| udp)
}

/// Puts what packets are sent through into a rule; the output follows. `udp`
/// says whether they go to a UDP port.
pub(super) fn put_encap(rule: &mut FlowRule, dst: &MetadataDst, udp: bool) -> Result<(), Reason> {
    let info = dst.tun_info();
    let key = info.key();
    if info.mode() & IP_TUNNEL_INFO_BRIDGE != 0 {
        return Err(Reason::EncapNoAddress);
    }
    if udp && key.tp_dst.get() == 0 {
        // The device would fill in its own.
        return Err(Reason::EncapNoPort);
    }
    if key.tun_flags & (flags::CSUM | flags::OAM | flags::CRIT_OPT) != 0 {
        return Err(Reason::EncapFlags);
    }
    Ok(rule.push_tunnel_encap(dst)?)
}

/// Puts the tunnel that packets came through into a rule. `key` is masked.
pub(super) fn put_tunnel(
    rule: &mut FlowRule,
    key: &MatchKey,
    mask: &MatchKey,
) -> Result<(), Reason> {
    let (tun, known) = (&key.tun.tun_key, &mask.tun.tun_key);
    let ipv6 = match key.tun_proto {
        AF_INET => false,
        AF_INET6 => true,
        _ => return Err(Reason::MatchTunnel),
    };
    if has_opts(&mask.tun) {
        return Err(Reason::MatchTunnelOptions);
    }

    // The flow label is not matched on, except that IPv4 has none.
    if known.label.get() != 0 && (ipv6 || tun.label.get() != 0) {
        return Err(Reason::MatchTunnelLabel);
    }
    let mut known_flags = known.tun_flags;
    if ipv6 && tun.tun_flags & flags::DONT_FRAGMENT == 0 {
        // No packet has it.
        known_flags &= !flags::DONT_FRAGMENT;
    }
    let control = control_flags(tun.tun_flags, known_flags)?;
    if ipv6 {
        rule.enc_ipv6_addrs(
            (tun.ipv6_src(), known.ipv6_src()),
            (tun.ipv6_dst(), known.ipv6_dst()),
        );
    } else {
        // What is behind IPv4 addresses is zero in every packet.
        if tun.addrs.iter().skip(8).any(|&byte| byte != 0) {
            return Err(Reason::MatchTunnel);
        }
        let be32 = Be32::from_bytes;
        rule.enc_ipv4_addrs(
            (be32(tun.ipv4_src()), be32(known.ipv4_src())),
            (be32(tun.ipv4_dst()), be32(known.ipv4_dst())),
        );
    }
    let addr_type = if ipv6 { AddrType::Ipv6 } else { AddrType::Ipv4 };
    rule.enc_control(addr_type, control);

    if known.tun_flags & flags::KEY != 0 || known.tun_id != [0; 8] {
        // Ids are 32 bits at most.
        let [a, b, c, d, rest @ ..] = tun.tun_id;
        let [_, _, _, _, rest_mask @ ..] = known.tun_id;
        if [a, b, c, d] != [0; 4] || tun.tun_flags & flags::KEY == 0 {
            return Err(Reason::MatchTunnelId);
        }
        rule.enc_keyid((Be32::from_bytes(rest), Be32::from_bytes(rest_mask)));
    }
    if known.tos != 0 || known.ttl != 0 {
        rule.enc_ip((tun.tos, known.tos), (tun.ttl, known.ttl));
    }
    if known.tp_src.get() != 0 || known.tp_dst.get() != 0 {
        rule.enc_ports((tun.tp_src, known.tp_src), (tun.tp_dst, known.tp_dst));
    }
    Ok(())
}

/// Whether a match on the presence of a key, if it is one, is one on bits of
/// the key: to hardware, a GRE packet without a key has one of zero.
pub(crate) fn has_gre_key(key: &MatchKey, mask: &MatchKey) -> bool {
    let (tun, known) = (&key.tun.tun_key, &mask.tun.tun_key);

    known.tun_flags & flags::KEY == 0
        || Iterator::zip(tun.tun_id.iter(), &known.tun_id).any(|(id, mask)| id & mask != 0)
}

/// Has a rule match on the UDP port that a VXLAN device listens on, if the flow
/// does not: userspace leaves it out, and drivers cannot do without. All packets
/// that come in on the device have it.
pub(super) fn put_device_port(
    rule: &mut FlowRule,
    key: &MatchKey,
    mask: &MatchKey,
    dev: &NetDevice,
) {
    let (tun, known) = (&key.tun.tun_key, &mask.tun.tun_key);
    if known.tp_dst.get() != 0 {
        return;
    }
    if let Some(port) = dev.vxlan_dst_port() {
        rule.enc_ports((tun.tp_src, known.tp_src), (port, Be16::new(0xffff)));
    }
}

/// Whether a mask has anything of options.
fn has_opts(mask: &TunnelKey) -> bool {
    mask.has_opts() || mask.tun_opts_len != 0 || mask.opts(255).iter().any(|&byte| byte != 0)
}

/// A tunnel's flags, and which of them are matched on, as a rule has them.
/// That there is an id is no such flag.
fn control_flags(key: u32, mask: u32) -> Result<(u32, u32), Reason> {
    const FLAGS: [(u32, u32); 4] = [
        (flags::CSUM, FLOW_DIS_F_TUNNEL_CSUM),
        (flags::DONT_FRAGMENT, FLOW_DIS_F_TUNNEL_DONT_FRAGMENT),
        (flags::OAM, FLOW_DIS_F_TUNNEL_OAM),
        (flags::CRIT_OPT, FLOW_DIS_F_TUNNEL_CRIT_OPT),
    ];
    let mut left = mask & !flags::KEY;
    let mut control = (0, 0);
    for (flag, dis) in FLAGS {
        if mask & flag != 0 {
            control.1 |= dis;
            if key & flag != 0 {
                control.0 |= dis;
            }
        }
        left &= !flag;
    }
    if left != 0 {
        return Err(Reason::MatchTunnelOptions);
    }
    Ok(control)
}
