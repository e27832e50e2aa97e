// SPDX-License-Identifier: GPL-2.0

//! Flows for the suites of rules, made from netlink as userspace makes them.

use kernel::prelude::*;

pub(crate) use crate::flow::headers::{
    ETH_P_8021AD,
    ETH_P_8021Q, //
};
use crate::{
    flow::tunnel::MatchKey,
    flow_netlink::{
        ovs_nla_copy_actions,
        ovs_nla_get_match,
        uapi::*, //
    },
    offload::{
        action::{
            OutKind,
            OutPort, //
        },
        reason::Reason,
        rule::translate_rule, //
    },
};
use kernel::str::CString;
use kernel_ext::net::{
    namespace::Net,
    netdevice::NetDevice,
    netlink::{
        AttrBuf,
        AttrWriter,
        Nlattr, //
    }, //
};

pub(crate) type Put = fn(&mut AttrBuf) -> Result;

/// The ports of two tunnels.
pub(crate) const TUNNEL_PORT: u16 = 50;
pub(crate) const GRE_PORT: u16 = 51;

/// An internal port, and its address, which is the destination of [`MACS`].
pub(crate) const INTERNAL_PORT: u16 = 52;
const INTERNAL_ADDR: [u8; 6] = [2, 0, 0, 0, 0, 2];

pub(crate) const MACS: [u8; 12] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];

/// What is left of a flow in a test: the text of its rule, the chains, and
/// the ports that it sends to.
pub(crate) struct Outcome {
    pub(crate) text: CString,
    pub(crate) in_port: u16,
    pub(crate) chain: u32,
    pub(crate) goto_chain: Option<u32>,
    pub(crate) ports: KVec<u16>,
}

pub(crate) fn nest(w: &mut AttrBuf, ty: u16, put: impl FnOnce(&mut AttrBuf) -> Result) -> Result {
    let mark = w.nest_start(ty)?;
    put(w)?;
    w.nest_end(mark)
}

pub(crate) fn attr(put: impl FnOnce(&mut AttrBuf) -> Result) -> Result<AttrBuf> {
    let mut buf = AttrBuf::new();
    nest(&mut buf, 1, put)?;
    Ok(buf)
}

/// Translates a flow as userspace gives it. The outer result is that of
/// making the flow.
pub(crate) fn flow(key: Put, mask: Put, actions: Put) -> Result<Result<Outcome, Reason>> {
    let (key, mask, actions) = (attr(key)?, attr(mask)?, attr(actions)?);
    fn first(buf: &AttrBuf) -> Result<Nlattr<'_>> {
        buf.first().ok_or(EINVAL)
    }
    let m = ovs_nla_get_match(Net::init(), first(&key)?, Some(first(&mask)?), true)?;
    let mut masked = MatchKey::zeroed();
    let words = m.key.words().iter().zip(m.mask.words());
    for (to, (key, mask)) in masked.words_mut().iter_mut().zip(words) {
        *to = key & mask;
    }
    let actions = ovs_nla_copy_actions(Net::init(), first(&actions)?, &masked, true)?;

    let mut ports = KVec::new();
    let rule = translate_rule(&masked, &m.mask, &actions.list, |port_no| {
        if port_no == 99 {
            return Err(Reason::OutputGone);
        }
        ports.push(port_no, GFP_KERNEL)?;
        Ok(OutPort {
            dev: NetDevice::get_by_name(Net::init(), c"lo").ok_or(Reason::OutputGone)?,
            kind: match port_no {
                TUNNEL_PORT => OutKind::Tunnel { udp: true },
                GRE_PORT => OutKind::Tunnel { udp: false },
                INTERNAL_PORT => OutKind::Internal(INTERNAL_ADDR),
                _ => OutKind::Device,
            },
        })
    });
    Ok(match rule {
        Ok(rule) => Ok(Outcome {
            text: CString::try_from_fmt(fmt!("{}", rule.rule))?,
            in_port: rule.in_port,
            chain: rule.chain,
            goto_chain: rule.goto_chain,
            ports,
        }),
        Err(reason) => Err(reason),
    })
}

/// Whether the rule of a flow has this text.
pub(crate) fn is(key: Put, mask: Put, actions: Put, text: &str) -> Result<bool> {
    Ok(match flow(key, mask, actions)? {
        Ok(outcome) if outcome.text.to_bytes() == text.as_bytes() => true,
        Ok(outcome) => {
            pr_err!("rule: {:?}\n", &*outcome.text);
            pr_err!("want: {}\n", text);
            false
        }
        Err(reason) => {
            pr_err!("refused: {}, want {}\n", reason.as_str(), text);
            false
        }
    })
}

/// Whether a flow is refused for this reason.
pub(crate) fn refused(key: Put, mask: Put, actions: Put, want: Reason) -> Result<bool> {
    Ok(match flow(key, mask, actions)? {
        Ok(outcome) => {
            pr_err!("rule: {:?}, want: {}\n", &*outcome.text, want.as_str());
            false
        }
        Err(reason) if reason == want => true,
        Err(reason) => {
            pr_err!("refused: {}, want: {}\n", reason.as_str(), want.as_str());
            false
        }
    })
}

/// What every key and mask has.
pub(crate) fn port(w: &mut AttrBuf) -> Result {
    w.put_u32(OVS_KEY_ATTR_RECIRC_ID, 0)?;
    w.put_u32(OVS_KEY_ATTR_IN_PORT, 1)?;
    w.put(OVS_KEY_ATTR_ETHERNET, &MACS)
}

pub(crate) fn mask_port(w: &mut AttrBuf) -> Result {
    w.put_u32(OVS_KEY_ATTR_RECIRC_ID, u32::MAX)?;
    w.put_u32(OVS_KEY_ATTR_IN_PORT, u32::MAX)?;
    nest(w, OVS_KEY_ATTR_TUNNEL, |w| {
        w.put_u8(OVS_TUNNEL_KEY_ATTR_TTL, 0)
    })
}

pub(crate) fn eth(w: &mut AttrBuf, eth_type: u16) -> Result {
    w.put_be16(OVS_KEY_ATTR_ETHERTYPE, eth_type)
}

pub(crate) fn ipv4(w: &mut AttrBuf, proto: u8, frag: u8) -> Result {
    eth(w, ETH_P_IP)?;
    w.put(
        OVS_KEY_ATTR_IPV4,
        &[10, 0, 0, 1, 10, 0, 0, 2, proto, 0x12, 64, frag],
    )
}

/// The mask of an IPv4 header, and of what is before it.
pub(crate) fn mask_ipv4(w: &mut AttrBuf, mask: &[u8; 12]) -> Result {
    mask_port(w)?;
    eth(w, 0xffff)?;
    w.put(OVS_KEY_ATTR_IPV4, mask)
}

pub(crate) fn tcp4(w: &mut AttrBuf) -> Result {
    port(w)?;
    ipv4(w, IPPROTO_TCP, 0)?;
    w.put(OVS_KEY_ATTR_TCP, &[0x12, 0x34, 0, 80])?;
    w.put_be16(OVS_KEY_ATTR_TCP_FLAGS, 0x010)
}

/// Type, protocol and fragments, as userspace always has them for TCP.
pub(crate) fn mask_tcp4(w: &mut AttrBuf) -> Result {
    mask_ipv4(w, &[0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0, 0, 0xff])
}

pub(crate) fn ipv6(w: &mut AttrBuf, proto: u8, frag: u8) -> Result {
    let mut ipv6 = [0x20; 40];
    ipv6[32..].copy_from_slice(&[0, 0, 0, 5, proto, 0x12, 64, frag]);
    eth(w, ETH_P_IPV6)?;
    w.put(OVS_KEY_ATTR_IPV6, &ipv6)
}

pub(crate) fn mask_ipv6(w: &mut AttrBuf, addrs: u8, rest: &[u8; 8]) -> Result {
    let mut ipv6 = [addrs; 40];
    ipv6[32..].copy_from_slice(rest);
    mask_port(w)?;
    eth(w, 0xffff)?;
    w.put(OVS_KEY_ATTR_IPV6, &ipv6)
}

pub(crate) fn udp6(w: &mut AttrBuf) -> Result {
    port(w)?;
    ipv6(w, IPPROTO_UDP, 0)?;
    w.put(OVS_KEY_ATTR_UDP, &[0, 53, 0, 54])
}

pub(crate) fn mask_udp6(w: &mut AttrBuf) -> Result {
    mask_ipv6(w, 0, &[0, 0, 0, 0, 0xff, 0, 0, 0xff])
}

pub(crate) fn tagged(w: &mut AttrBuf, tpid: u16, tci: u16, inner: Put) -> Result {
    eth(w, tpid)?;
    w.put_be16(OVS_KEY_ATTR_VLAN, tci)?;
    nest(w, OVS_KEY_ATTR_ENCAP, inner)
}

pub(crate) fn vlan(w: &mut AttrBuf) -> Result {
    port(w)?;
    tagged(w, ETH_P_8021Q, 0x7064, |w| eth(w, 0x88cc))
}

pub(crate) fn output(w: &mut AttrBuf, port_no: u32) -> Result {
    w.put_u32(OVS_ACTION_ATTR_OUTPUT, port_no)
}

pub(crate) fn to_2(w: &mut AttrBuf) -> Result {
    output(w, 2)
}
