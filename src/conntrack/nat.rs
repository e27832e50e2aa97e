// SPDX-License-Identifier: GPL-2.0

//! Translation of addresses by the ct action.

use kernel::prelude::*;
use kernel_ext::{
    net::{
        netfilter::{
            nf_nat::{
                Manip,
                NatRange, //
            },
            NfProto, //
        },
        netlink::{
            AttrWriter,
            Nlattr, //
        },
        skbuff::SkBuff, //
    },
    sync::rcu::RcuRead,
    uapi::{
        OVS_CS_F_DST_NAT,
        OVS_CS_F_SRC_NAT, //
    },
};
use zerocopy::network_endian::U16 as Be16;

use super::{
    action::{
        ConntrackInfo,
        CtArgs, //
    },
    execute::{
        passed,
        Passed, //
    },
    nlerr,
    uapi::*, //
};
use crate::{
    flow::{
        headers::{
            IpHdr,
            Ipv6Hdr, //
        },
        key::SwFlowKey, //
    },
    flow_netlink::uapi::*, //
};

/// What the action says about the translation of addresses.
///
/// C: the members `nat` and `range` of `struct ovs_conntrack_info`.
#[derive(Default)]
pub(crate) struct Nat {
    /// C: `OVS_CT_NAT`.
    enabled: bool,
    /// Which addresses of new connections are translated.
    ///
    /// C: `OVS_CT_SRC_NAT`, `OVS_CT_DST_NAT`.
    manip: Manip,
    /// To what.
    range: NatRange,
}

impl Nat {
    /// Whether addresses are translated; those of new connections only if the
    /// action says to what.
    pub(crate) fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// Puts what the action says. Fails with `EMSGSIZE` if it does not fit.
    ///
    /// C: `ovs_ct_nat_to_attr()`.
    pub(super) fn put(&self, family: NfProto, w: &mut impl AttrWriter) -> Result {
        if !self.enabled {
            return Ok(());
        }
        let nest = w.nest_start(OVS_CT_ATTR_NAT)?;
        self.put_range(family, w)?;
        w.nest_end(nest)
    }

    fn put_range(&self, family: NfProto, w: &mut impl AttrWriter) -> Result {
        if self.manip.src {
            w.put_flag(OVS_NAT_ATTR_SRC)?;
        } else if self.manip.dst {
            w.put_flag(OVS_NAT_ATTR_DST)?;
        } else {
            return Ok(());
        }

        let range = &self.range;
        let has = |flag| range.flags() & flag != 0;
        if has(NatRange::MAP_IPS) {
            let (min, max) = (range.min_addr(), range.max_addr());
            let len = addr_len(family == NfProto::Ipv6);
            let (min, max) = (min.get(..len), max.get(..len));
            w.put(OVS_NAT_ATTR_IP_MIN, min.ok_or(EMSGSIZE)?)?;
            if max != min {
                w.put(OVS_NAT_ATTR_IP_MAX, max.ok_or(EMSGSIZE)?)?;
            }
        }
        if has(NatRange::PROTO_SPECIFIED) {
            w.put_u16(OVS_NAT_ATTR_PROTO_MIN, range.min_proto().get())?;
            if range.max_proto() != range.min_proto() {
                w.put_u16(OVS_NAT_ATTR_PROTO_MAX, range.max_proto().get())?;
            }
        }
        for (flag, ty) in [
            (NatRange::PERSISTENT, OVS_NAT_ATTR_PERSISTENT),
            (NatRange::PROTO_RANDOM, OVS_NAT_ATTR_PROTO_HASH),
            (NatRange::PROTO_RANDOM_FULLY, OVS_NAT_ATTR_PROTO_RANDOM),
        ] {
            if has(flag) {
                w.put_flag(ty)?;
            }
        }
        Ok(())
    }
}

/// The length of an address.
fn addr_len(ipv6: bool) -> usize {
    if ipv6 {
        16
    } else {
        4
    }
}

/// The length of an attribute's payload. Those that nobody knows have none.
///
/// C: `ovs_nat_attr_lens`.
fn attr_len(ty: u16, ipv6: bool) -> usize {
    match ty {
        OVS_NAT_ATTR_IP_MIN | OVS_NAT_ATTR_IP_MAX => addr_len(ipv6),
        OVS_NAT_ATTR_PROTO_MIN | OVS_NAT_ATTR_PROTO_MAX => 2,
        _ => 0,
    }
}

/// The address of an attribute.
fn addr(a: Nlattr<'_>) -> Result<[u8; 16]> {
    let mut addr = [0; 16];
    let to = addr.get_mut(..a.len()).ok_or(EINVAL)?;
    to.copy_from_slice(a.payload());
    Ok(addr)
}

/// The port of an attribute.
fn port(a: Nlattr<'_>) -> Result<Be16> {
    Ok(Be16::new(a.get_u16().ok_or(EINVAL)?))
}

/// Parses what is in the attribute. Whether the connection is committed has to
/// be known by then, as in C.
///
/// Fails with `EINVAL` if it is wrong, `ERANGE` for two kinds of NAT.
///
/// C: `parse_nat()`.
pub(super) fn parse_nat(attr: Nlattr<'_>, args: &mut CtArgs, ipv6: bool, log: bool) -> Result {
    let commit = args.commit;
    let Nat {
        enabled,
        manip,
        range,
    } = &mut args.nat;
    let mut have_ip_max = false;
    let mut have_proto_max = false;

    let mut attrs = attr.nested();
    for a in attrs.by_ref() {
        let (ty, len) = (a.ty(), a.len());
        if ty > OVS_NAT_ATTR_MAX {
            nlerr!(
                log,
                "Unknown NAT attribute (type={}, max={})",
                ty,
                OVS_NAT_ATTR_MAX
            );
            return Err(EINVAL);
        }
        let expected = attr_len(ty, ipv6);
        if len != expected {
            nlerr!(
                log,
                "NAT attribute type {} has unexpected length ({} != {})",
                ty,
                len,
                expected
            );
            return Err(EINVAL);
        }

        match ty {
            OVS_NAT_ATTR_SRC | OVS_NAT_ATTR_DST => {
                if *enabled {
                    nlerr!(log, "Only one type of NAT may be specified");
                    return Err(ERANGE);
                }
                *enabled = true;
                *manip = Manip {
                    src: ty == OVS_NAT_ATTR_SRC,
                    dst: ty == OVS_NAT_ATTR_DST,
                };
            }
            OVS_NAT_ATTR_IP_MIN => {
                range.set_min_addr(addr(a)?);
                range.add_flags(NatRange::MAP_IPS);
            }
            OVS_NAT_ATTR_IP_MAX => {
                have_ip_max = true;
                range.set_max_addr(addr(a)?);
                range.add_flags(NatRange::MAP_IPS);
            }
            OVS_NAT_ATTR_PROTO_MIN => {
                range.set_min_proto(port(a)?);
                range.add_flags(NatRange::PROTO_SPECIFIED);
            }
            OVS_NAT_ATTR_PROTO_MAX => {
                have_proto_max = true;
                range.set_max_proto(port(a)?);
                range.add_flags(NatRange::PROTO_SPECIFIED);
            }
            OVS_NAT_ATTR_PERSISTENT => range.add_flags(NatRange::PERSISTENT),
            OVS_NAT_ATTR_PROTO_HASH => range.add_flags(NatRange::PROTO_RANDOM),
            OVS_NAT_ATTR_PROTO_RANDOM => range.add_flags(NatRange::PROTO_RANDOM_FULLY),
            _ => {
                nlerr!(log, "Unknown nat attribute ({})", ty);
                return Err(EINVAL);
            }
        }
    }

    if attrs.remaining() > 0 {
        nlerr!(log, "NAT attribute has {} unknown bytes", attrs.remaining());
        return Err(EINVAL);
    }
    if !*enabled {
        // Flags without a type are not allowed.
        if range.flags() != 0 {
            nlerr!(
                log,
                "NAT flags may be given only when NAT range (SRC or DST) is also specified."
            );
            return Err(EINVAL);
        }
        // NAT of existing connections.
        *enabled = true;
    } else if !commit {
        nlerr!(
            log,
            "NAT attributes may be specified only when CT COMMIT flag is also specified."
        );
        return Err(EINVAL);
    }
    // Either maximum may be missing.
    if range.flags() & NatRange::MAP_IPS != 0 && !have_ip_max {
        range.set_max_addr(range.min_addr());
    }
    if range.flags() & NatRange::PROTO_SPECIFIED != 0 && !have_proto_max {
        range.set_max_proto(range.min_proto());
    }
    Ok(())
}

/// Puts the addresses and ports of a packet, which begins with its network
/// header, into the key after they were translated.
///
/// C: `ovs_nat_update_key()`.
fn ovs_nat_update_key(key: &mut SwFlowKey, skb: &SkBuff, done: Manip) {
    if done.src {
        key.ct_state |= OVS_CS_F_SRC_NAT as u8;
    }
    if done.dst {
        key.ct_state |= OVS_CS_F_DST_NAT as u8;
    }

    let nh_ofs = usize::try_from(skb.network_offset()).unwrap_or(usize::MAX);
    match key.eth_type.get() {
        ETH_P_IP => {
            let Some(nh) = skb.header::<IpHdr>(nh_ofs) else {
                return;
            };
            if done.src {
                key.ipv4_src = nh.saddr;
            }
            if done.dst {
                key.ipv4_dst = nh.daddr;
            }
        }
        ETH_P_IPV6 => {
            let Some(nh) = skb.header::<Ipv6Hdr>(nh_ofs) else {
                return;
            };
            if done.src {
                key.ipv6_src = nh.saddr;
            }
            if done.dst {
                key.ipv6_dst = nh.daddr;
            }
        }
        _ => return,
    }

    if !matches!(key.ip_proto, IPPROTO_UDP | IPPROTO_TCP | IPPROTO_SCTP) {
        return;
    }
    // All three begin with the ports.
    let th_ofs = usize::try_from(skb.transport_offset()).unwrap_or(usize::MAX);
    if let Some([src, dst]) = skb.header::<[Be16; 2]>(th_ofs) {
        if done.src {
            key.tp_src = *src;
        }
        if done.dst {
            key.tp_dst = *dst;
        }
    }
}

/// Translates the packet's addresses, and puts them into the key.
///
/// C: `ovs_ct_nat()`.
pub(super) fn ovs_ct_nat(
    key: &mut SwFlowKey,
    info: &ConntrackInfo,
    skb: SkBuff,
    rcu: RcuRead<'_>,
) -> Passed {
    let nat = info.nat();
    let (verdict, done) = skb.nf_ct_nat(
        info.family(),
        nat.manip,
        &nat.range,
        info.is_committed(),
        rcu,
    );
    let skb = passed(verdict)?;
    ovs_nat_update_key(key, &skb, done);
    Ok(skb)
}
