// SPDX-License-Identifier: GPL-2.0

//! Flow keys and masks: from netlink and back, and what is refused.

use kernel::prelude::*;

#[kunit_tests(openvswitch_flow_netlink)]
mod tests {
    use super::*;
    use crate::flow::{
        headers::*,
        tunnel::MatchKey,
        SwFlowId, //
    };
    use crate::flow_netlink::{
        uapi::*,
        *, //
    };
    use kernel_ext::net::{
        namespace::Net,
        netlink::{
            AttrBuf,
            AttrIter,
            AttrWriter,
            Nlattr, //
        }, //
    };

    const MAC: [u8; 12] = [2, 0, 0, 0, 0, 1, 4, 0, 0, 0, 0, 2];
    const IPV4: [u8; 12] = [10, 0, 0, 1, 10, 0, 0, 2, 6, 0xb9, 64, 0];

    /// Puts one part of a key.
    type Put = fn(&mut AttrBuf) -> Result;

    fn ipv4(proto: u8, frag: u8) -> [u8; 12] {
        let mut ipv4 = IPV4;
        ipv4[8] = proto;
        ipv4[11] = frag;
        ipv4
    }

    fn ipv6(proto: u8, frag: u8) -> [u8; 40] {
        let mut ipv6 = [0x20; 40];
        ipv6[32..].copy_from_slice(&[0, 0x0f, 0xed, 0xcb, proto, 0xb9, 64, frag]);
        ipv6
    }

    fn arp() -> [u8; 24] {
        let mut arp = [0x33; 24];
        arp[8..10].copy_from_slice(&[0, 2]);
        arp[22..].copy_from_slice(&[0, 0]);
        arp
    }

    fn metadata(w: &mut AttrBuf) -> Result {
        w.put_u32(OVS_KEY_ATTR_RECIRC_ID, 0x11)?;
        w.put_u32(OVS_KEY_ATTR_DP_HASH, 0x22)?;
        w.put_u32(OVS_KEY_ATTR_PRIORITY, 0x33)?;
        w.put_u32(OVS_KEY_ATTR_IN_PORT, 4)?;
        w.put_u32(OVS_KEY_ATTR_SKB_MARK, 0x55)?;
        w.put_u32(OVS_KEY_ATTR_CT_STATE, 0x22)?;
        w.put_u16(OVS_KEY_ATTR_CT_ZONE, 0x77)?;
        w.put_u32(OVS_KEY_ATTR_CT_MARK, 0x88)?;
        w.put(OVS_KEY_ATTR_CT_LABELS, &[0x99; 16])
    }

    fn ethernet(w: &mut AttrBuf) -> Result {
        metadata(w)?;
        w.put(OVS_KEY_ATTR_ETHERNET, &MAC)
    }

    fn tagged(w: &mut AttrBuf, tpid: u16, tci: u16, inner: Put) -> Result {
        w.put_be16(OVS_KEY_ATTR_ETHERTYPE, tpid)?;
        w.put_be16(OVS_KEY_ATTR_VLAN, tci)?;
        let encap = w.nest_start(OVS_KEY_ATTR_ENCAP)?;
        inner(w)?;
        w.nest_end(encap)
    }

    fn tcp4(w: &mut AttrBuf) -> Result {
        w.put_be16(OVS_KEY_ATTR_ETHERTYPE, ETH_P_IP)?;
        w.put(OVS_KEY_ATTR_IPV4, &ipv4(IPPROTO_TCP, 0))?;
        w.put(OVS_KEY_ATTR_TCP, &[0x12, 0x34, 0, 80])?;
        w.put_be16(OVS_KEY_ATTR_TCP_FLAGS, 0x0012)
    }

    fn ip4(w: &mut AttrBuf, proto: u8, ty: u16, payload: &[u8]) -> Result {
        w.put_be16(OVS_KEY_ATTR_ETHERTYPE, ETH_P_IP)?;
        w.put(OVS_KEY_ATTR_IPV4, &ipv4(proto, 0))?;
        w.put(ty, payload)
    }

    fn ip6(w: &mut AttrBuf, proto: u8, frag: u8) -> Result {
        w.put_be16(OVS_KEY_ATTR_ETHERTYPE, ETH_P_IPV6)?;
        w.put(OVS_KEY_ATTR_IPV6, &ipv6(proto, frag))?;
        w.put_u16(OVS_KEY_ATTR_IPV6_EXTHDRS, 0x0102)
    }

    fn icmp6(w: &mut AttrBuf, ty: u8) -> Result {
        ip6(w, IPPROTO_ICMPV6, 0)?;
        w.put(OVS_KEY_ATTR_ICMPV6, &[ty, 0])
    }

    /// Keys in the form and order that a dump gives, after metadata and
    /// Ethernet addresses.
    const KEYS: &[(&str, Put)] = &[
        ("802.2", |_| Ok(())),
        ("unknown type", |w| {
            w.put_be16(OVS_KEY_ATTR_ETHERTYPE, 0x88cc)
        }),
        ("tcp", tcp4),
        ("udp", |w| {
            ip4(w, IPPROTO_UDP, OVS_KEY_ATTR_UDP, &[0, 53, 0x80, 1])
        }),
        ("sctp", |w| {
            ip4(w, IPPROTO_SCTP, OVS_KEY_ATTR_SCTP, &[9, 9, 8, 8])
        }),
        ("icmp", |w| ip4(w, IPPROTO_ICMP, OVS_KEY_ATTR_ICMP, &[8, 1])),
        ("other protocol", |w| {
            w.put_be16(OVS_KEY_ATTR_ETHERTYPE, ETH_P_IP)?;
            w.put(OVS_KEY_ATTR_IPV4, &ipv4(47, 0))
        }),
        ("first fragment", |w| {
            w.put_be16(OVS_KEY_ATTR_ETHERTYPE, ETH_P_IP)?;
            w.put(OVS_KEY_ATTR_IPV4, &ipv4(IPPROTO_UDP, 1))?;
            w.put(OVS_KEY_ATTR_UDP, &[0, 53, 0x80, 1])
        }),
        ("later fragment", |w| {
            w.put_be16(OVS_KEY_ATTR_ETHERTYPE, ETH_P_IP)?;
            w.put(OVS_KEY_ATTR_IPV4, &ipv4(IPPROTO_TCP, OVS_FRAG_TYPE_LATER))
        }),
        ("arp", |w| {
            w.put_be16(OVS_KEY_ATTR_ETHERTYPE, ETH_P_ARP)?;
            w.put(OVS_KEY_ATTR_ARP, &arp())
        }),
        ("rarp", |w| {
            w.put_be16(OVS_KEY_ATTR_ETHERTYPE, ETH_P_RARP)?;
            w.put(OVS_KEY_ATTR_ARP, &arp())
        }),
        ("tcp6", |w| {
            ip6(w, IPPROTO_TCP, 0)?;
            w.put(OVS_KEY_ATTR_TCP, &[1, 2, 3, 4])?;
            w.put_be16(OVS_KEY_ATTR_TCP_FLAGS, 0x0fff)
        }),
        ("udp6", |w| {
            ip6(w, IPPROTO_UDP, 1)?;
            w.put(OVS_KEY_ATTR_UDP, &[1, 2, 3, 4])
        }),
        ("sctp6", |w| {
            ip6(w, IPPROTO_SCTP, 0)?;
            w.put(OVS_KEY_ATTR_SCTP, &[1, 2, 3, 4])
        }),
        ("later fragment 6", |w| {
            ip6(w, IPPROTO_ICMPV6, OVS_FRAG_TYPE_LATER)
        }),
        ("icmp6", |w| icmp6(w, 128)),
        ("nd", |w| {
            icmp6(w, 135)?;
            w.put(OVS_KEY_ATTR_ND, &[0xfe; 28])
        }),
        ("na", |w| {
            icmp6(w, 136)?;
            w.put(OVS_KEY_ATTR_ND, &[0x0e; 28])
        }),
        ("vlan", |w| tagged(w, ETH_P_8021Q, 0x1064, tcp4)),
        ("two tags", |w| {
            tagged(w, ETH_P_8021AD, 0x1001, |w| {
                tagged(w, ETH_P_8021Q, 0x1002, tcp4)
            })
        }),
        ("three tags", |w| {
            tagged(w, ETH_P_8021AD, 0x1001, |w| {
                tagged(w, ETH_P_8021Q, 0x1002, |w| {
                    w.put_be16(OVS_KEY_ATTR_ETHERTYPE, ETH_P_8021Q)
                })
            })
        }),
    ];

    /// Keys with an empty encapsulation. A mask's empty attributes count as
    /// absent, so these cannot be matched exactly.
    const EMPTY_ENCAP: &[(&str, Put)] = &[
        ("vlan 802.2", |w| tagged(w, ETH_P_8021Q, 0xb064, |_| Ok(()))),
        ("truncated vlan", |w| tagged(w, ETH_P_8021Q, 0, |_| Ok(()))),
        ("truncated inner tag", |w| {
            tagged(w, ETH_P_8021AD, 0x1001, |w| {
                tagged(w, ETH_P_8021Q, 0, |_| Ok(()))
            })
        }),
    ];

    /// A key attribute with what `put` puts.
    fn stream(put: impl FnOnce(&mut AttrBuf) -> Result) -> Result<AttrBuf> {
        let mut buf = AttrBuf::new();
        let nest = buf.nest_start(OVS_FLOW_ATTR_KEY)?;
        put(&mut buf)?;
        buf.nest_end(nest)?;
        Ok(buf)
    }

    /// The first attribute of a buffer.
    fn attr(buf: &AttrBuf) -> Result<Nlattr<'_>> {
        buf.first().ok_or(EINVAL)
    }

    /// The mask that a dump gives of an exact match on the key in `attrs`.
    fn ones(attrs: AttrIter<'_>, w: &mut AttrBuf) -> Result {
        for a in attrs {
            match a.ty() {
                OVS_KEY_ATTR_ENCAP => {
                    let nest = w.nest_start(a.ty())?;
                    ones(a.nested(), w)?;
                    w.nest_end(nest)?;
                }
                OVS_KEY_ATTR_CT_STATE => w.put_u32(a.ty(), CT_SUPPORTED_MASK)?,
                // The opcode is 8 bits; padding is not matched.
                OVS_KEY_ATTR_ARP => {
                    let mut arp = [0xff; 24];
                    arp[8] = 0;
                    arp[22..].copy_from_slice(&[0, 0]);
                    w.put(a.ty(), &arp)?;
                }
                ty => {
                    w.put(ty, KVec::from_elem(0xffu8, a.len(), GFP_KERNEL)?.as_slice())?;
                    if ty == OVS_KEY_ATTR_PRIORITY {
                        tunnel_of_mask(w)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn tunnel_of_mask(w: &mut AttrBuf) -> Result {
        let nest = w.nest_start(OVS_KEY_ATTR_TUNNEL)?;
        w.put_u8(OVS_TUNNEL_KEY_ATTR_TTL, 0)?;
        w.nest_end(nest)
    }

    /// What is put back of a key.
    fn put_back(key: &MatchKey) -> Result<AttrBuf> {
        let mut buf = AttrBuf::new();
        ovs_nla_put_masked_key(key, &mut buf)?;
        Ok(buf)
    }

    /// Whether a key comes back as it was, and its exact mask is right.
    fn round_trip(name: &str, key: &AttrBuf) -> Result {
        let m = ovs_nla_get_match(Net::init(), attr(key)?, None, true)?;
        if put_back(&m.key)?.as_slice() != key.as_slice() {
            pr_err!("key of {} differs\n", name);
            return Err(EINVAL);
        }
        if m.key != ovs_nla_get_key(Net::init(), attr(key)?, true)? {
            pr_err!("key of {} depends on the mask\n", name);
            return Err(EINVAL);
        }

        let mut mask = AttrBuf::new();
        ovs_nla_put_mask(&m.key, &m.mask, &mut mask)?;
        let mut expected = AttrBuf::new();
        let nest = expected.nest_start(OVS_FLOW_ATTR_MASK)?;
        ones(attr(key)?.nested(), &mut expected)?;
        expected.nest_end(nest)?;
        if mask.as_slice() != expected.as_slice() {
            pr_err!("mask of {} differs\n", name);
            return Err(EINVAL);
        }

        // A dumped mask is a mask that can be given.
        let mut again = ovs_nla_get_match(Net::init(), attr(key)?, Some(attr(&mask)?), true)?;
        // A dump always has a tunnel: given again, it matches on there being none.
        again.mask.tun_proto = m.mask.tun_proto;
        if again.key != m.key || again.mask != m.mask {
            pr_err!("mask of {} differs after a round trip\n", name);
            return Err(EINVAL);
        }
        Ok(())
    }

    #[test]
    fn keys_come_back() -> Result {
        for &(name, put) in KEYS {
            let key = stream(|w| {
                ethernet(w)?;
                put(w)
            })?;
            // The attribute of an 802.2 type is absent, so it is not matched.
            round_trip(name, &key)?;
        }
        Ok(())
    }

    #[test]
    fn keys_with_an_empty_encapsulation_have_no_exact_mask() -> Result {
        for &(name, put) in EMPTY_ENCAP {
            let key = stream(|w| {
                ethernet(w)?;
                put(w)
            })?;
            let parsed = ovs_nla_get_key(Net::init(), attr(&key)?, true)?;
            assert_eq!(parsed.eth_type.get(), ETH_P_802_2);
            // A truncated tag has no attributes when it is put back, as in C.
            let back = put_back(&parsed)?.as_slice() == key.as_slice();
            assert_eq!(back, name == "vlan 802.2");
            let exact = ovs_nla_get_match(Net::init(), attr(&key)?, None, false);
            assert_eq!(exact.map(|_| ()), Err(EINVAL));

            let mask = stream(|w| w.put_u32(OVS_KEY_ATTR_IN_PORT, u32::MAX))?;
            let m = ovs_nla_get_match(Net::init(), attr(&key)?, Some(attr(&mask)?), true)?;
            assert!(m.key == parsed);
        }
        Ok(())
    }

    #[test]
    fn truncated_tags_of_packets_have_an_empty_encapsulation() -> Result {
        let parsed = stream(|w| {
            ethernet(w)?;
            tagged(w, ETH_P_8021AD, 0x1001, tcp4)
        })?;
        let mut key = ovs_nla_get_key(Net::init(), attr(&parsed)?, true)?;
        key.eth_type = ETH_P_8021Q.into();
        key.cvlan.tpid = ETH_P_8021Q.into();
        let inner = stream(|w| {
            ethernet(w)?;
            tagged(w, ETH_P_8021AD, 0x1001, |w| {
                tagged(w, ETH_P_8021Q, 0, |_| Ok(()))
            })
        })?;
        assert!(put_back(&key)?.as_slice() == inner.as_slice());

        key.vlan.tci = 0.into();
        let outer = stream(|w| {
            ethernet(w)?;
            tagged(w, ETH_P_8021AD, 0, |_| Ok(()))
        })?;
        assert!(put_back(&key)?.as_slice() == outer.as_slice());
        Ok(())
    }

    #[test]
    fn layer_3_keys_come_back() -> Result {
        for (name, put) in [
            ("l3 tcp", tcp4 as Put),
            ("l3 tcp6", |w| {
                ip6(w, IPPROTO_TCP, 0)?;
                w.put(OVS_KEY_ATTR_TCP, &[1, 2, 3, 4])?;
                w.put_be16(OVS_KEY_ATTR_TCP_FLAGS, 2)
            }),
        ] {
            let key = stream(|w| {
                metadata(w)?;
                put(w)
            })?;
            round_trip(name, &key)?;
            let m = ovs_nla_get_match(Net::init(), attr(&key)?, None, true)?;
            assert_eq!(m.key.mac_proto(), 0);
            assert_eq!(m.mask.mac_proto, 0xff);
        }
        Ok(())
    }

    #[test]
    fn fields_are_where_they_belong() -> Result {
        let key = stream(|w| {
            ethernet(w)?;
            tagged(w, ETH_P_8021AD, 0x1001, |w| {
                tagged(w, ETH_P_8021Q, 0x1002, tcp4)
            })
        })?;
        let key = ovs_nla_get_key(Net::init(), attr(&key)?, true)?;
        assert_eq!(key.recirc_id, 0x11);
        assert_eq!(key.dp_hash, 0x22);
        assert_eq!(key.priority, 0x33);
        assert_eq!(key.in_port, 4);
        assert_eq!(key.skb_mark, 0x55);
        assert_eq!((key.ct_state, key.ct_zone), (0x22, 0x77));
        assert_eq!((key.ct_mark, key.ct_labels), (0x88, [0x99; 16]));
        assert_eq!(key.eth_src, [2, 0, 0, 0, 0, 1]);
        assert_eq!(key.eth_dst, [4, 0, 0, 0, 0, 2]);
        assert_eq!(key.vlan.tpid.get(), ETH_P_8021AD);
        assert_eq!(key.vlan.tci.get(), 0x1001);
        assert_eq!(key.cvlan.tpid.get(), ETH_P_8021Q);
        assert_eq!(key.cvlan.tci.get(), 0x1002);
        assert_eq!(key.eth_type.get(), ETH_P_IP);
        assert_eq!(key.ipv4_src.get(), 0x0a00_0001);
        assert_eq!(key.ipv4_dst.get(), 0x0a00_0002);
        assert_eq!(key.ip_tos, 0xb9);
        assert_eq!(key.ip_ttl, 64);
        assert_eq!(key.tp_src.get(), 0x1234);
        assert_eq!(key.tp_dst.get(), 80);
        assert_eq!(key.tcp_flags.get(), 0x12);
        Ok(())
    }

    #[test]
    fn a_key_without_port_has_none() -> Result {
        let key = stream(|w| {
            w.put(OVS_KEY_ATTR_ETHERNET, &MAC)?;
            tcp4(w)
        })?;
        let m = ovs_nla_get_match(Net::init(), attr(&key)?, None, true)?;
        assert_eq!(m.key.in_port, DP_MAX_PORTS);
        assert_eq!(m.mask.in_port, 0);
        Ok(())
    }

    /// Keys that are refused.
    const BAD_KEYS: &[(&str, Put)] = &[
        ("no ethernet and no type", |w| metadata(w)),
        ("duplicate", |w| {
            ethernet(w)?;
            w.put_u32(OVS_KEY_ATTR_PRIORITY, 0)
        }),
        ("short ethernet", |w| {
            w.put(OVS_KEY_ATTR_ETHERNET, &MAC[..11])
        }),
        ("long priority", |w| {
            w.put(OVS_KEY_ATTR_ETHERNET, &MAC)?;
            w.put(OVS_KEY_ATTR_PRIORITY, &[0; 5])
        }),
        ("unsupported ct_state", |w| {
            w.put(OVS_KEY_ATTR_ETHERNET, &MAC)?;
            w.put_u32(OVS_KEY_ATTR_CT_STATE, 0x100)
        }),
        ("type 0", |w| {
            ethernet(w)?;
            w.put_flag(OVS_KEY_ATTR_UNSPEC)
        }),
        ("type past the last", |w| {
            ethernet(w)?;
            w.put_u32(OVS_KEY_ATTR_MAX + 1, 0)
        }),
        ("packet type", |w| {
            ethernet(w)?;
            w.put_u32(OVS_KEY_ATTR_PACKET_TYPE, 0)
        }),
        ("mpls", |w| {
            ethernet(w)?;
            w.put(OVS_KEY_ATTR_MPLS, &[0; 5])
        }),
        ("tunnel", |w| {
            ethernet(w)?;
            tunnel_of_mask(w)
        }),
        ("low ethernet type", |w| {
            ethernet(w)?;
            w.put_be16(OVS_KEY_ATTR_ETHERTYPE, 0x05ff)
        }),
        ("port number", |w| {
            w.put_u32(OVS_KEY_ATTR_IN_PORT, 0xffff)?;
            w.put(OVS_KEY_ATTR_ETHERNET, &MAC)
        }),
        ("port number past 16 bits", |w| {
            w.put_u32(OVS_KEY_ATTR_IN_PORT, 0x1_0001)?;
            w.put(OVS_KEY_ATTR_ETHERNET, &MAC)
        }),
        ("vlan without type", |w| {
            ethernet(w)?;
            w.put_be16(OVS_KEY_ATTR_VLAN, 0x1001)
        }),
        ("vlan type without tag", |w| {
            ethernet(w)?;
            w.put_be16(OVS_KEY_ATTR_ETHERTYPE, ETH_P_8021Q)
        }),
        ("encap without vlan", |w| {
            ethernet(w)?;
            w.put_flag(OVS_KEY_ATTR_ENCAP)
        }),
        ("tag without its bit", |w| {
            ethernet(w)?;
            tagged(w, ETH_P_8021Q, 0x0001, tcp4)
        }),
        ("truncated tag with a payload", |w| {
            ethernet(w)?;
            tagged(w, ETH_P_8021Q, 0, tcp4)
        }),
        ("three encapsulations", |w| {
            ethernet(w)?;
            tagged(w, ETH_P_8021Q, 0x1001, |w| {
                tagged(w, ETH_P_8021Q, 0x1001, |w| {
                    tagged(w, ETH_P_8021Q, 0x1001, tcp4)
                })
            })
        }),
        ("no ipv4", |w| {
            ethernet(w)?;
            w.put_be16(OVS_KEY_ATTR_ETHERTYPE, ETH_P_IP)
        }),
        ("no arp", |w| {
            ethernet(w)?;
            w.put_be16(OVS_KEY_ATTR_ETHERTYPE, ETH_P_ARP)
        }),
        ("no tcp flags", |w| {
            ethernet(w)?;
            ip4(w, IPPROTO_TCP, OVS_KEY_ATTR_TCP, &[1, 2, 3, 4])
        }),
        ("udp for sctp", |w| {
            ethernet(w)?;
            ip4(w, IPPROTO_SCTP, OVS_KEY_ATTR_UDP, &[1, 2, 3, 4])
        }),
        ("icmpv6 for icmp", |w| {
            ethernet(w)?;
            ip4(w, IPPROTO_ICMP, OVS_KEY_ATTR_ICMPV6, &[1, 2])
        }),
        ("no nd", |w| {
            ethernet(w)?;
            icmp6(w, 135)
        }),
        ("ipv4 fragment type", |w| {
            ethernet(w)?;
            w.put_be16(OVS_KEY_ATTR_ETHERTYPE, ETH_P_IP)?;
            w.put(OVS_KEY_ATTR_IPV4, &ipv4(47, 3))
        }),
        ("ipv6 fragment type", |w| {
            ethernet(w)?;
            ip6(w, 47, 3)
        }),
        ("ipv6 flow label", |w| {
            ethernet(w)?;
            let mut ipv6 = ipv6(47, 0);
            ipv6[33] |= 0x10;
            w.put_be16(OVS_KEY_ATTR_ETHERTYPE, ETH_P_IPV6)?;
            w.put(OVS_KEY_ATTR_IPV6, &ipv6)
        }),
        ("arp opcode", |w| {
            ethernet(w)?;
            let mut arp = arp();
            arp[8] = 1;
            w.put_be16(OVS_KEY_ATTR_ETHERTYPE, ETH_P_ARP)?;
            w.put(OVS_KEY_ATTR_ARP, &arp)
        }),
    ];

    #[test]
    fn bad_keys_are_refused() -> Result {
        for &(name, put) in BAD_KEYS {
            let key = stream(put)?;
            let result = ovs_nla_get_match(Net::init(), attr(&key)?, None, false).map(|_| ());
            if result != Err(EINVAL) {
                pr_err!("bad key taken: {}\n", name);
            }
            assert_eq!(result, Err(EINVAL));
            assert_eq!(
                ovs_nla_get_key(Net::init(), attr(&key)?, false).map(|_| ()),
                Err(EINVAL)
            );
        }
        Ok(())
    }

    #[test]
    fn trailing_bytes_are_refused() -> Result {
        let key = stream(|w| {
            ethernet(w)?;
            tcp4(w)
        })?;
        let whole = attr(&key)?.payload();
        let mut bytes = KVec::new();
        bytes.extend_from_slice(whole, GFP_KERNEL)?;
        for _ in 0..4 {
            bytes.push(0, GFP_KERNEL)?;
            let result =
                ovs_nla_get_key(Net::init(), Nlattr::new(OVS_FLOW_ATTR_KEY, &bytes), false);
            assert_eq!(result.map(|_| ()), Err(EINVAL));
        }
        // Without its last attribute's padding it is refused as well.
        let cut = whole.get(..whole.len() - 2).ok_or(EINVAL)?;
        let result = ovs_nla_get_key(Net::init(), Nlattr::new(OVS_FLOW_ATTR_KEY, cut), false);
        assert_eq!(result.map(|_| ()), Err(EINVAL));
        Ok(())
    }

    /// The result of a mask for a TCP flow with one tag.
    fn with_mask(put: Put) -> Result<KBox<SwFlowMatch>> {
        let key = stream(|w| {
            ethernet(w)?;
            tagged(w, ETH_P_8021Q, 0x1064, tcp4)
        })?;
        let mask = stream(put)?;
        ovs_nla_get_match(Net::init(), attr(&key)?, Some(attr(&mask)?), false)
    }

    fn masked_tag(w: &mut AttrBuf, tci: u16, inner: Put) -> Result {
        w.put_be16(OVS_KEY_ATTR_ETHERTYPE, 0xffff)?;
        w.put_be16(OVS_KEY_ATTR_VLAN, tci)?;
        let encap = w.nest_start(OVS_KEY_ATTR_ENCAP)?;
        inner(w)?;
        w.nest_end(encap)
    }

    #[test]
    fn masks_are_taken_bit_by_bit() -> Result {
        let mask = with_mask(|w| {
            w.put_u32(OVS_KEY_ATTR_SKB_MARK, 0xff)?;
            tunnel_of_mask(w)?;
            masked_tag(w, 0x1000, |w| {
                w.put_be16(OVS_KEY_ATTR_ETHERTYPE, 0xffff)?;
                w.put(
                    OVS_KEY_ATTR_IPV4,
                    &[0, 0, 0, 0, 0xff, 0xff, 0, 0, 0xff, 0, 0, 0],
                )?;
                w.put(OVS_KEY_ATTR_TCP, &[0, 0, 0xff, 0xf0])
            })
        })?
        .mask;
        assert_eq!(mask.skb_mark, 0xff);
        assert_eq!(mask.recirc_id, 0);
        assert_eq!(mask.in_port, 0);
        assert_eq!(mask.eth_src, [0; 6]);
        assert_eq!(mask.vlan.tpid.get(), 0xffff);
        assert_eq!(mask.vlan.tci.get(), 0x1000);
        assert_eq!(mask.cvlan.tci.get(), 0xffff);
        assert_eq!(mask.eth_type.get(), 0xffff);
        assert_eq!(mask.ipv4_src.get(), 0);
        assert_eq!(mask.ipv4_dst.get(), 0xffff_0000);
        assert_eq!(mask.ip_proto, 0xff);
        assert_eq!(mask.tp_src.get(), 0);
        assert_eq!(mask.tp_dst.get(), 0xfff0);
        assert_eq!(mask.mac_proto, 0xff);
        Ok(())
    }

    #[test]
    fn an_empty_mask_matches_tags_and_mac_proto() -> Result {
        let mask = with_mask(|_| Ok(()))?.mask;
        let mut expected = MatchKey::zeroed();
        expected.vlan.tci = 0xffff.into();
        expected.cvlan.tci = 0xffff.into();
        expected.mac_proto = 0xff;
        assert!(mask == expected);
        Ok(())
    }

    #[test]
    fn port_and_ethernet_type_masks_are_exact() -> Result {
        let key = stream(|w| {
            ethernet(w)?;
            tcp4(w)
        })?;
        let mask = stream(|w| {
            w.put_u32(OVS_KEY_ATTR_IN_PORT, 1)?;
            w.put_be16(OVS_KEY_ATTR_ETHERTYPE, 1)
        })?;
        let mask = ovs_nla_get_match(Net::init(), attr(&key)?, Some(attr(&mask)?), true)?.mask;
        assert_eq!(mask.in_port, 0xffff);
        assert_eq!(mask.eth_type.get(), 0xffff);
        Ok(())
    }

    /// Masks that are refused.
    const BAD_MASKS: &[(&str, Put)] = &[
        ("udp for a tcp flow", |w| {
            masked_tag(w, 0xffff, |w| {
                w.put_be16(OVS_KEY_ATTR_ETHERTYPE, 0xffff)?;
                w.put(OVS_KEY_ATTR_IPV4, &[0xff; 12])?;
                w.put(OVS_KEY_ATTR_UDP, &[0xff; 4])
            })
        }),
        ("ports without the protocol", |w| {
            masked_tag(w, 0xffff, |w| {
                w.put_be16(OVS_KEY_ATTR_ETHERTYPE, 0xffff)?;
                w.put(OVS_KEY_ATTR_TCP, &[0xff; 4])
            })
        }),
        ("addresses without the ethernet type", |w| {
            masked_tag(w, 0xffff, |w| w.put(OVS_KEY_ATTR_IPV4, &[0xff; 12]))
        }),
        ("inexact tag type", |w| {
            w.put_be16(OVS_KEY_ATTR_ETHERTYPE, 0xfffe)?;
            w.put_be16(OVS_KEY_ATTR_VLAN, 0xffff)?;
            w.put(OVS_KEY_ATTR_ENCAP, &[6, 0, 6, 0, 0xff, 0xff, 0, 0])
        }),
        ("tag without its bit", |w| {
            masked_tag(w, 0x0fff, |w| w.put_be16(OVS_KEY_ATTR_ETHERTYPE, 0xffff))
        }),
        ("tunnel attribute", |w| {
            let nest = w.nest_start(OVS_KEY_ATTR_TUNNEL)?;
            w.put_u8(OVS_TUNNEL_KEY_ATTR_MAX + 1, 1)?;
            w.nest_end(nest)
        }),
        ("tunnel attribute's length", |w| {
            let nest = w.nest_start(OVS_KEY_ATTR_TUNNEL)?;
            w.put_u16(OVS_TUNNEL_KEY_ATTR_TTL, 1)?;
            w.nest_end(nest)
        }),
        ("unknown type", |w| w.put_u32(OVS_KEY_ATTR_NSH, 1)),
    ];

    #[test]
    fn bad_masks_are_refused() -> Result {
        for &(name, put) in BAD_MASKS {
            let result = with_mask(put).map(|_| ());
            if result != Err(EINVAL) {
                pr_err!("bad mask taken: {}\n", name);
            }
            assert_eq!(result, Err(EINVAL));
        }
        Ok(())
    }

    #[test]
    fn a_tag_in_a_mask_needs_one_in_the_key() -> Result {
        let key = stream(|w| {
            ethernet(w)?;
            tcp4(w)
        })?;
        let mask =
            stream(|w| masked_tag(w, 0xffff, |w| w.put_be16(OVS_KEY_ATTR_ETHERTYPE, 0xffff)))?;
        let result = ovs_nla_get_match(Net::init(), attr(&key)?, Some(attr(&mask)?), false);
        assert_eq!(result.map(|_| ()), Err(EINVAL));
        Ok(())
    }

    #[test]
    fn zero_attributes_of_a_mask_are_absent() -> Result {
        // UDP would be refused if it were not all zeroes.
        let m = with_mask(|w| masked_tag(w, 0xffff, |w| w.put(OVS_KEY_ATTR_UDP, &[0; 4])))?;
        assert_eq!(m.mask.eth_type.get(), 0);
        Ok(())
    }

    #[test]
    fn ufids_have_1_to_16_bytes() -> Result {
        let bytes = [0x5a; 18];
        let key = MatchKey::zeroed();
        for len in 0..=17 {
            let ufid = bytes.get(..len).ok_or(EINVAL)?;
            let attr = Nlattr::new(OVS_FLOW_ATTR_UFID, ufid);
            let id = ovs_nla_get_identifier(Some(attr), &key, false)?;
            let valid = (1..=16).contains(&len);
            assert_eq!(ovs_nla_get_ufid(Some(attr), false).is_some(), valid);
            assert_eq!(id.as_ufid(), valid.then_some(ufid));

            let mut buf = AttrBuf::new();
            ovs_nla_put_identifier(&id, &mut buf)?;
            let put = buf.first().ok_or(EINVAL)?;
            if valid {
                assert_eq!((put.ty(), put.payload()), (OVS_FLOW_ATTR_UFID, ufid));
            } else {
                assert_eq!(put.ty(), OVS_FLOW_ATTR_KEY);
            }
        }
        assert!(ovs_nla_get_ufid(None, false).is_none());
        assert!(matches!(
            ovs_nla_get_identifier(None, &key, false)?,
            SwFlowId::Key(_)
        ));
        assert_eq!(ovs_nla_get_ufid_flags(None), 0);
        assert_eq!(
            ovs_nla_get_ufid_flags(Some(Nlattr::new(1, &5u32.to_ne_bytes()))),
            5
        );
        Ok(())
    }

    #[test]
    fn metadata_is_what_the_packet_lacks() -> Result {
        let attrs = stream(|w| {
            ethernet(w)?;
            tcp4(w)
        })?;
        let mut key = MatchKey::zeroed();
        ovs_nla_get_flow_metadata(Net::init(), attr(&attrs)?, &mut key, true)?;
        assert_eq!(key.recirc_id, 0x11);
        assert_eq!(key.in_port, 4);
        assert_eq!(key.mac_proto(), 1);
        assert_eq!(key.eth_type.get(), 0);
        assert_eq!(key.eth_src, [0; 6]);
        assert_eq!(key.ip_proto, 0);

        // The type of a layer 3 packet is metadata.
        let attrs = stream(tcp4)?;
        let mut key = MatchKey::zeroed();
        ovs_nla_get_flow_metadata(Net::init(), attr(&attrs)?, &mut key, true)?;
        assert_eq!(key.in_port, DP_MAX_PORTS);
        assert_eq!(key.mac_proto(), 0);
        assert_eq!(key.eth_type.get(), ETH_P_IP);
        Ok(())
    }

    #[test]
    fn keys_need_room() -> Result {
        let key = stream(|w| {
            ethernet(w)?;
            tcp4(w)
        })?;
        let parsed = ovs_nla_get_key(Net::init(), attr(&key)?, true)?;
        for limit in 0..key.as_slice().len() {
            let mut buf = AttrBuf::with_limit(limit);
            assert_eq!(ovs_nla_put_masked_key(&parsed, &mut buf), Err(EMSGSIZE));
        }
        let mut buf = AttrBuf::with_limit(key.as_slice().len());
        assert_eq!(ovs_nla_put_masked_key(&parsed, &mut buf), Ok(()));
        assert!(key.as_slice().len() < ovs_key_attr_size());
        Ok(())
    }
}
