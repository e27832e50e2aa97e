// SPDX-License-Identifier: GPL-2.0

//! Matches: a flow's key and mask from netlink.

use super::{
    key_attrs::{
        bit,
        key_attr_len,
        AttrLen,
        KeyAttrs,
        Part, //
    },
    key_get::ovs_key_from_nlattrs,
    nlerr,
    nsh::nsh_attr_len,
    tunnel::{
        tunnel_attr_len,
        vxlan_ext_len, //
    },
    uapi::*,
    vlan::parse_vlan_from_nlattrs, //
};
use crate::flow::{
    key::SwFlowKey,
    tunnel::MatchKey, //
};
use kernel::prelude::*;
use kernel_ext::{
    mem::zeroed_box,
    net::{
        namespace::Net,
        netlink::{
            attr::{
                nla_align,
                NLA_HDRLEN, //
            },
            Nlattr, //
        },
    },
};
use zerocopy::{
    network_endian::U16 as Be16,
    IntoBytes, //
};
use zerocopy_derive::{
    Immutable,
    KnownLayout, //
};

/// How deep attributes nest in a key that was parsed: two VLAN tags, a tunnel
/// and the options of that.
const KEY_MAX_DEPTH: u32 = 4;

/// What a flow matches on.
///
/// Unlike C's `struct sw_flow_match` it has no range of bytes that the
/// attributes touched, neither has a mask: masks are equal if their bits are.
#[repr(C)]
#[derive(FromBytes, Immutable, KnownLayout)]
pub(crate) struct SwFlowMatch {
    /// The key, not masked.
    pub(crate) key: MatchKey,
    /// Which bits of it matter.
    pub(crate) mask: MatchKey,
}

/// What the attributes of a stream are.
#[derive(Clone, Copy)]
enum Table {
    Key,
    Tunnel,
    VxlanExt,
    Nsh,
}

impl Table {
    /// How long an attribute of this table is.
    fn attr_len(self, ty: u16) -> Option<AttrLen> {
        match self {
            Self::Key => key_attr_len(ty),
            Self::Tunnel => tunnel_attr_len(ty),
            Self::VxlanExt => vxlan_ext_len(ty),
            Self::Nsh => nsh_attr_len(ty),
        }
    }

    /// What the attributes in an attribute of this table are.
    fn next(self, ty: u16) -> Self {
        match self {
            Self::Key if ty == OVS_KEY_ATTR_TUNNEL => Self::Tunnel,
            Self::Key if ty == OVS_KEY_ATTR_NSH => Self::Nsh,
            Self::Key => Self::Key,
            Self::Tunnel | Self::VxlanExt => Self::VxlanExt,
            // None of these has attributes in it.
            Self::Nsh => Self::Nsh,
        }
    }
}

/// Sets every payload in a stream of key attributes that was parsed to ones.
/// Returns `None` if it is not such a stream.
///
/// C: `mask_set_nlattr()` and `nlattr_set()`.
fn mask_set_nlattr(stream: &mut [u8], table: Table, depth: u32) -> Option<()> {
    let mut rest = stream;
    while !rest.is_empty() {
        let attr = Nlattr::first(rest)?;
        let (ty, len) = (attr.ty(), attr.len());
        let payload = rest.get_mut(NLA_HDRLEN..NLA_HDRLEN.checked_add(len)?)?;
        match table.attr_len(ty)? {
            AttrLen::Nested => mask_set_nlattr(payload, table.next(ty), depth.checked_sub(1)?)?,
            _ => payload.fill(0xff),
        }
        // Whatever table this is of, as in C.
        if ty == OVS_KEY_ATTR_CT_STATE {
            if let Some(ct_state) = payload.first_chunk_mut() {
                *ct_state = CT_SUPPORTED_MASK.to_ne_bytes();
            }
        }
        // The last one may be without its padding.
        rest = rest
            .get_mut(nla_align(NLA_HDRLEN.checked_add(len)?)..)
            .unwrap_or_default();
    }
    Some(())
}

/// Which attributes a key with these fields needs, and which a mask may have.
struct Expectations {
    key_expected: u64,
    mask_allowed: u64,
}

impl Expectations {
    /// The key has to have this attribute, and the mask may if what decided
    /// that is matched exactly.
    fn expect(&mut self, ty: u16, exact: bool) {
        self.key_expected |= bit(ty);
        self.allow_if(ty, exact);
    }

    fn allow_if(&mut self, ty: u16, exact: bool) {
        if exact {
            self.mask_allowed |= bit(ty);
        }
    }

    /// What the transport layer of an IP packet needs.
    fn expect_transport(&mut self, key: &SwFlowKey, mask: Option<&SwFlowKey>) {
        let ipv6 = key.eth_type.get() == ETH_P_IPV6;
        if key.ip_frag == OVS_FRAG_TYPE_LATER {
            return;
        }
        let exact = mask.is_some_and(|mask| mask.ip_proto == 0xff);
        match key.ip_proto {
            IPPROTO_UDP => self.expect(OVS_KEY_ATTR_UDP, exact),
            IPPROTO_SCTP => self.expect(OVS_KEY_ATTR_SCTP, exact),
            IPPROTO_TCP => {
                self.expect(OVS_KEY_ATTR_TCP, exact);
                self.expect(OVS_KEY_ATTR_TCP_FLAGS, exact);
            }
            IPPROTO_ICMP if !ipv6 => self.expect(OVS_KEY_ATTR_ICMP, exact),
            IPPROTO_ICMPV6 if ipv6 => {
                self.expect(OVS_KEY_ATTR_ICMPV6, exact);
                if matches!(
                    key.tp_src.get(),
                    NDISC_NEIGHBOUR_SOLICITATION | NDISC_NEIGHBOUR_ADVERTISEMENT
                ) {
                    // The original direction's connection-tracking tuple uses
                    // the same space as the ND fields in C's key, so both are
                    // not allowed at the same time.
                    self.mask_allowed &= !bit(OVS_KEY_ATTR_CT_ORIG_TUPLE_IPV6);
                    let exact = mask.is_some_and(|mask| mask.tp_src.get() == 0xff);
                    self.expect(OVS_KEY_ATTR_ND, exact);
                }
            }
            _ => (),
        }
    }
}

/// Whether the attributes of the key are all that it needs, and the mask's are
/// none but those that make sense for the key.
///
/// C: `match_validate()`. The bits of attributes that are not supported are
/// those that C has, for they are logged.
fn match_validate(
    key: &SwFlowKey,
    mask: Option<&SwFlowKey>,
    key_attrs: u64,
    mask_attrs: u64,
    log: bool,
) -> Result {
    // These are allowed in a mask only if they pass the tests below; the rest
    // if the key has them.
    const TESTED: u64 = bit(OVS_KEY_ATTR_IPV4)
        | bit(OVS_KEY_ATTR_CT_ORIG_TUPLE_IPV4)
        | bit(OVS_KEY_ATTR_IPV6)
        | bit(OVS_KEY_ATTR_CT_ORIG_TUPLE_IPV6)
        | bit(OVS_KEY_ATTR_TCP)
        | bit(OVS_KEY_ATTR_TCP_FLAGS)
        | bit(OVS_KEY_ATTR_UDP)
        | bit(OVS_KEY_ATTR_SCTP)
        | bit(OVS_KEY_ATTR_ICMP)
        | bit(OVS_KEY_ATTR_ICMPV6)
        | bit(OVS_KEY_ATTR_ARP)
        | bit(OVS_KEY_ATTR_ND)
        | bit(OVS_KEY_ATTR_MPLS)
        | bit(OVS_KEY_ATTR_NSH);
    const ALWAYS: u64 =
        bit(OVS_KEY_ATTR_TUNNEL) | bit(OVS_KEY_ATTR_IN_PORT) | bit(OVS_KEY_ATTR_ETHERTYPE);

    let mut e = Expectations {
        key_expected: 0,
        mask_allowed: key_attrs & !TESTED | ALWAYS,
    };

    let exact = mask.is_some_and(|mask| mask.eth_type.get() == 0xffff);
    match key.eth_type.get() {
        ETH_P_ARP | ETH_P_RARP => e.expect(OVS_KEY_ATTR_ARP, exact),
        eth_type if eth_p_mpls(eth_type) => e.expect(OVS_KEY_ATTR_MPLS, exact),
        ETH_P_IP => {
            e.expect(OVS_KEY_ATTR_IPV4, exact);
            e.allow_if(OVS_KEY_ATTR_CT_ORIG_TUPLE_IPV4, exact);
            e.expect_transport(key, mask);
        }
        ETH_P_IPV6 => {
            e.expect(OVS_KEY_ATTR_IPV6, exact);
            e.allow_if(OVS_KEY_ATTR_CT_ORIG_TUPLE_IPV6, exact);
            e.expect_transport(key, mask);
        }
        ETH_P_NSH => e.expect(OVS_KEY_ATTR_NSH, exact),
        _ => (),
    }

    if key_attrs & e.key_expected != e.key_expected {
        nlerr!(
            log,
            "Missing key (keys={:x}, expected={:x})",
            key_attrs,
            e.key_expected
        );
        return Err(EINVAL);
    }

    if mask_attrs & e.mask_allowed != mask_attrs {
        nlerr!(
            log,
            "Unexpected mask (mask={:x}, allowed={:x})",
            mask_attrs,
            e.mask_allowed
        );
        return Err(EINVAL);
    }
    Ok(())
}

/// Parses a key into `key`, which is zeroes. Its attributes stay in `a`; those
/// present are then those that were not VLAN tags.
fn parse_key<'a>(
    net: &Net,
    attr: Nlattr<'a>,
    key: &mut MatchKey,
    a: &mut KeyAttrs<'a>,
    log: bool,
) -> Result {
    a.parse(attr.nested(), Part::Key, log)?;
    parse_vlan_from_nlattrs(key, None, a, log)?;
    let present = a.present();
    ovs_key_from_nlattrs(net, key, None, a, log)?;
    a.set_present(present);
    Ok(())
}

/// Parses the mask of `key` into `mask`, which is zeroes. `a` is what
/// [`parse_key`] left, and is then the mask's.
fn parse_mask<'a>(
    net: &Net,
    attr: Nlattr<'a>,
    key: &MatchKey,
    mask: &mut MatchKey,
    a: &mut KeyAttrs<'a>,
    log: bool,
) -> Result {
    a.set_present(0);
    a.parse(attr.nested(), Part::Mask, log)?;

    // Always match on tci.
    mask.vlan.tci = Be16::new(0xffff);
    mask.cvlan.tci = Be16::new(0xffff);

    parse_vlan_from_nlattrs(mask, Some(key), a, log)?;
    let present = a.present();
    ovs_key_from_nlattrs(net, mask, Some(key), a, log)?;
    a.set_present(present);
    Ok(())
}

/// Parses a key without a mask, as commands do that only look a flow up.
///
/// Fails with `EINVAL` if the attributes are wrong.
///
/// C: `ovs_nla_get_match()` where `match->mask` is null.
#[inline(never)]
pub(crate) fn ovs_nla_get_key(net: &Net, nla_key: Nlattr<'_>, log: bool) -> Result<MatchKey> {
    let mut key = MatchKey::zeroed();
    let mut a = KeyAttrs::new();
    parse_key(net, nla_key, &mut key, &mut a, log)?;
    match_validate(&key, None, a.present(), 0, log)?;
    Ok(key)
}

/// Parses a key and its mask. Without a mask the flow is an exact match: on
/// each field that the key has an attribute for. `log` allows logging; it is
/// false when userspace probes for features.
///
/// Fails with `EINVAL` if the attributes are wrong, and with `ENOMEM`.
///
/// C: `ovs_nla_get_match()`.
#[inline(never)]
pub(crate) fn ovs_nla_get_match(
    net: &Net,
    nla_key: Nlattr<'_>,
    nla_mask: Option<Nlattr<'_>>,
    log: bool,
) -> Result<KBox<SwFlowMatch>> {
    let mut m = zeroed_box(GFP_KERNEL)?;
    get_match_into(net, &mut m, nla_key, nla_mask, log)?;
    Ok(m)
}

/// Fills `m`, which is zeroes, as [`ovs_nla_get_match`] does.
#[inline(never)]
fn get_match_into(
    net: &Net,
    m: &mut SwFlowMatch,
    nla_key: Nlattr<'_>,
    nla_mask: Option<Nlattr<'_>>,
    log: bool,
) -> Result {
    // An exact mask is what the key's attributes with all payloads set to ones
    // make. Fields that the key has no attribute for, and padding, stay zero.
    let mut newmask = KVec::new();

    let mut a = KeyAttrs::new();
    parse_key(net, nla_key, &mut m.key, &mut a, log)?;
    let key_attrs = a.present();

    let nla_mask = match nla_mask {
        Some(nla_mask) => nla_mask,
        None => {
            newmask.extend_from_slice(nla_key.payload(), GFP_KERNEL)?;
            mask_set_nlattr(&mut newmask, Table::Key, KEY_MAX_DEPTH).ok_or(EINVAL)?;
            // Userspace does not give attributes of a tunnel that are zero, but
            // they are matched on nonetheless.
            if m.key.tun_proto != 0 {
                m.mask.tun.tun_key.as_mut_bytes().fill(0xff);
            }
            Nlattr::new(nla_key.raw_type(), &newmask)
        }
    };
    parse_mask(net, nla_mask, &m.key, &mut m.mask, &mut a, log)?;

    match_validate(&m.key, Some(&m.mask), key_attrs, a.present(), log)
}
