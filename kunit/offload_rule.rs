// SPDX-License-Identifier: GPL-2.0

//! Flows as rules for drivers, what packets have to be like: each as the text
//! of the rule that a driver reads, or the reason why there is none.

use kernel::prelude::*;

#[kunit_tests(openvswitch_offload_rule)]
mod tests {
    use super::*;
    use crate::{
        flow_netlink::uapi::*,
        kunit_offload_flow::*,
        offload::reason::Reason, //
    };
    use kernel::str::CString;
    use kernel_ext::net::netlink::{
        AttrBuf,
        AttrWriter, //
    };

    #[test]
    fn where_a_rule_belongs() -> Result {
        let key: Put = |w| {
            w.put_u32(OVS_KEY_ATTR_RECIRC_ID, 7)?;
            w.put_u32(OVS_KEY_ATTR_IN_PORT, 5)?;
            w.put(OVS_KEY_ATTR_ETHERNET, &MACS)?;
            eth(w, 0x88cc)
        };
        let outcome = flow(
            key,
            |w| {
                mask_port(w)?;
                eth(w, 0xffff)
            },
            |w| {
                output(w, 2)?;
                output(w, 3)?;
                w.put_u32(OVS_ACTION_ATTR_RECIRC, 9)
            },
        )?
        .map_err(|_| EINVAL)?;
        assert_eq!(outcome.in_port, 5);
        assert_eq!(outcome.chain, 7);
        assert_eq!(outcome.goto_chain, Some(9));
        assert_eq!(outcome.ports.as_slice(), &[2, 3]);
        assert_eq!(
            outcome.text.to_bytes(),
            b"n_proto=88cc/ffff -> mirred(lo) mirred(lo) goto(9)"
        );
        Ok(())
    }

    #[test]
    fn layer_2() -> Result {
        assert!(is(
            |w| {
                port(w)?;
                eth(w, 0x88cc)
            },
            |w| {
                mask_port(w)?;
                let mut macs = [0; 12];
                macs[..6].copy_from_slice(&[0xff; 6]);
                macs[6] = 1;
                w.put(OVS_KEY_ATTR_ETHERNET, &macs)?;
                eth(w, 0xffff)
            },
            to_2,
            "n_proto=88cc/ffff eth_src=020000000001/ffffffffffff \
             eth_dst=000000000000/010000000000 -> redirect(lo)",
        )?);
        Ok(())
    }

    #[test]
    fn vlan_tags() -> Result {
        assert!(is(
            vlan,
            |w| {
                mask_port(w)?;
                tagged(w, 0xffff, 0x1fff, |w| eth(w, 0xffff))
            },
            to_2,
            "n_proto=88cc/ffff vlan_tpid=8100/ffff vlan_id=0064/0fff \
             vlan_eth_type=88cc/ffff -> redirect(lo)",
        )?);
        assert!(is(
            |w| {
                port(w)?;
                tagged(w, ETH_P_8021AD, 0x3001, |w| {
                    tagged(w, ETH_P_8021Q, 0x1002, |w| eth(w, 0x88cc))
                })
            },
            |w| {
                mask_port(w)?;
                tagged(w, 0xffff, 0xffff, |w| {
                    tagged(w, 0xffff, 0x1fff, |w| eth(w, 0xffff))
                })
            },
            to_2,
            "n_proto=88cc/ffff vlan_tpid=88a8/ffff vlan_id=0001/0fff vlan_prio=01/07 \
             vlan_eth_type=8100/ffff cvlan_tpid=8100/ffff cvlan_id=0002/0fff \
             cvlan_eth_type=88cc/ffff -> redirect(lo)",
        )?);
        Ok(())
    }

    #[test]
    fn ipv4_and_tcp() -> Result {
        assert!(is(
            tcp4,
            |w| {
                let mask = [
                    0xff, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfc, 0xff, 0xff,
                ];
                mask_ipv4(w, &mask)?;
                w.put(OVS_KEY_ATTR_TCP, &[0, 0, 0xff, 0xff])?;
                w.put_be16(OVS_KEY_ATTR_TCP_FLAGS, 0xf1ff)
            },
            to_2,
            "addr_type=2 flags=0x0/0x1 n_proto=0800/ffff ip_proto=06/ff \
             src=0a000000/ffff0000 dst=0a000002/ffffffff tos=10/fc ttl=40/ff \
             tp_dst=0050/ffff tcp_flags=0010/01ff -> redirect(lo)",
        )?);
        Ok(())
    }

    #[test]
    fn ipv6_and_udp() -> Result {
        assert!(is(
            udp6,
            |w| {
                mask_ipv6(w, 0xff, &[0, 0, 0, 0, 0xff, 0x03, 0, 0xff])?;
                w.put(OVS_KEY_ATTR_UDP, &[0xff, 0xff, 0, 0])
            },
            to_2,
            "addr_type=3 flags=0x0/0x1 n_proto=86dd/ffff ip_proto=11/ff \
             src=20202020202020202020202020202020/ffffffffffffffffffffffffffffffff \
             dst=20202020202020202020202020202020/ffffffffffffffffffffffffffffffff \
             tos=02/03 tp_src=0035/ffff -> redirect(lo)",
        )?);
        Ok(())
    }

    #[test]
    fn icmp_and_arp() -> Result {
        assert!(is(
            |w| {
                port(w)?;
                ipv4(w, IPPROTO_ICMP, 0)?;
                w.put(OVS_KEY_ATTR_ICMP, &[8, 3])
            },
            |w| {
                mask_ipv4(w, &[0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0, 0, 0xff])?;
                w.put(OVS_KEY_ATTR_ICMP, &[0xff, 0])
            },
            to_2,
            "addr_type=0 flags=0x0/0x1 n_proto=0800/ffff ip_proto=01/ff icmp_type=08/ff \
             -> redirect(lo)",
        )?);
        let arp: Put = |w| {
            let mut arp = [3; 24];
            arp[8..10].copy_from_slice(&[0, 1]);
            arp[22..].copy_from_slice(&[0, 0]);
            port(w)?;
            eth(w, ETH_P_ARP)?;
            w.put(OVS_KEY_ATTR_ARP, &arp)
        };
        assert!(is(
            arp,
            |w| {
                mask_port(w)?;
                eth(w, 0xffff)
            },
            to_2,
            "n_proto=0806/ffff -> redirect(lo)",
        )?);
        assert!(is(
            arp,
            |w| {
                let mut mask = [0; 24];
                mask[..4].copy_from_slice(&[0xff; 4]);
                mask[9] = 0xff;
                mask_port(w)?;
                eth(w, 0xffff)?;
                w.put(OVS_KEY_ATTR_ARP, &mask)
            },
            to_2,
            "n_proto=0806/ffff arp_sip=03030303/ffffffff arp_op=01/ff -> redirect(lo)",
        )?);
        Ok(())
    }

    #[test]
    fn fragments() -> Result {
        let mask: Put = |w| mask_ipv4(w, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff]);
        for (key, flags) in [
            (
                (|w| {
                    port(w)?;
                    ipv4(w, 47, 0)
                }) as Put,
                "flags=0x0/0x1",
            ),
            (
                |w| {
                    port(w)?;
                    ipv4(w, 47, 1)
                },
                "flags=0x3/0x3",
            ),
            (
                |w| {
                    port(w)?;
                    ipv4(w, 47, 2)
                },
                "flags=0x1/0x3",
            ),
        ] {
            let text = CString::try_from_fmt(fmt!(
                "addr_type=0 {} n_proto=0800/ffff -> redirect(lo)",
                flags
            ))?;
            assert!(is(key, mask, to_2, text.to_str().map_err(|_| EINVAL)?)?);
        }
        assert!(is(
            |w| {
                port(w)?;
                ipv4(w, 47, 1)
            },
            |w| {
                mask_port(w)?;
                eth(w, 0xffff)
            },
            to_2,
            "n_proto=0800/ffff -> redirect(lo)",
        )?);
        Ok(())
    }

    /// Matches that no rule has.
    #[test]
    fn refused_matches() -> Result {
        let l2: Put = |w| {
            port(w)?;
            eth(w, 0x88cc)
        };
        let l2_mask: Put = |w| {
            mask_port(w)?;
            eth(w, 0xffff)
        };
        let cases: &[(Put, Put, Reason)] = &[
            (l2, |w| eth(w, 0xffff), Reason::NoInPort),
            (
                |w| {
                    w.put_u32(OVS_KEY_ATTR_RECIRC_ID, 7)?;
                    w.put_u32(OVS_KEY_ATTR_IN_PORT, 1)?;
                    w.put(OVS_KEY_ATTR_ETHERNET, &MACS)?;
                    eth(w, 0x88cc)
                },
                |w| {
                    w.put_u32(OVS_KEY_ATTR_RECIRC_ID, 3)?;
                    w.put_u32(OVS_KEY_ATTR_IN_PORT, 1)?;
                    eth(w, 0xffff)
                },
                Reason::MatchRecircId,
            ),
            (
                |w| {
                    w.put_u32(OVS_KEY_ATTR_PRIORITY, 1)?;
                    l2_of(w)
                },
                |w| {
                    w.put_u32(OVS_KEY_ATTR_PRIORITY, 1)?;
                    l2_mask_of(w)
                },
                Reason::MatchPriority,
            ),
            (
                |w| {
                    w.put_u32(OVS_KEY_ATTR_SKB_MARK, 1)?;
                    l2_of(w)
                },
                |w| {
                    w.put_u32(OVS_KEY_ATTR_SKB_MARK, 1)?;
                    l2_mask_of(w)
                },
                Reason::MatchSkbMark,
            ),
            (
                |w| {
                    w.put_u32(OVS_KEY_ATTR_DP_HASH, 1)?;
                    l2_of(w)
                },
                |w| {
                    w.put_u32(OVS_KEY_ATTR_DP_HASH, 1)?;
                    l2_mask_of(w)
                },
                Reason::MatchDpHash,
            ),
            (
                |w| {
                    w.put_u32(OVS_KEY_ATTR_RECIRC_ID, 0)?;
                    w.put_u32(OVS_KEY_ATTR_IN_PORT, 1)?;
                    eth(w, 0x88cc)
                },
                l2_mask,
                Reason::MatchLayer3,
            ),
            (l2, mask_port, Reason::MatchAnyEthType),
            (port, l2_mask, Reason::Match8022),
            (vlan, mask_port, Reason::MatchAnyEthType),
            (
                vlan,
                |w| {
                    mask_port(w)?;
                    w.put_be16(OVS_KEY_ATTR_ETHERTYPE, 0xffff)
                },
                Reason::MatchVlanType,
            ),
            (
                |w| {
                    port(w)?;
                    ipv4(w, 47, 0)
                },
                |w| mask_ipv4(w, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
                Reason::MatchFragment,
            ),
            (
                |w| {
                    port(w)?;
                    ipv6(w, 47, 1)
                },
                |w| mask_ipv6(w, 0, &[0, 0, 0, 0, 0, 0, 0, 0xff]),
                Reason::MatchIpv6Fragment,
            ),
            (
                tcp4,
                |w| {
                    mask_ipv4(w, &[0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0, 0, 0])?;
                    w.put(OVS_KEY_ATTR_TCP, &[0, 0, 0xff, 0xff])
                },
                Reason::MatchPortsOfFragments,
            ),
            (
                tcp4,
                |w| {
                    mask_tcp4(w)?;
                    w.put_be16(OVS_KEY_ATTR_TCP_FLAGS, 0x0200)
                },
                Reason::MatchTcpFlags,
            ),
            (
                udp6,
                |w| mask_ipv6(w, 0, &[0, 0, 0, 0xff, 0xff, 0, 0, 0xff]),
                Reason::MatchIpv6Label,
            ),
            (
                |w| {
                    udp6(w)?;
                    w.put_u16(OVS_KEY_ATTR_IPV6_EXTHDRS, 0)
                },
                |w| {
                    mask_udp6(w)?;
                    w.put_u16(OVS_KEY_ATTR_IPV6_EXTHDRS, 1)
                },
                Reason::MatchIpv6ExtHdrs,
            ),
            (
                |w| {
                    port(w)?;
                    ipv6(w, IPPROTO_ICMPV6, 0)?;
                    w.put(OVS_KEY_ATTR_ICMPV6, &[135, 0])?;
                    w.put(OVS_KEY_ATTR_ND, &[1; 28])
                },
                |w| {
                    mask_udp6(w)?;
                    w.put(OVS_KEY_ATTR_ICMPV6, &[0xff, 0xff])?;
                    w.put(OVS_KEY_ATTR_ND, &[0xff; 28])
                },
                Reason::MatchNd,
            ),
        ];
        for &(key, mask, reason) in cases {
            assert!(refused(key, mask, to_2, reason)?);
        }
        Ok(())
    }

    fn l2_of(w: &mut AttrBuf) -> Result {
        port(w)?;
        eth(w, 0x88cc)
    }

    fn l2_mask_of(w: &mut AttrBuf) -> Result {
        mask_port(w)?;
        eth(w, 0xffff)
    }

    #[test]
    fn mpls_is_matched_by_its_type_alone() -> Result {
        const KEY: Put = |w| {
            port(w)?;
            eth(w, 0x8847)?;
            w.put(OVS_KEY_ATTR_MPLS, &[0, 1, 1, 64])
        };
        assert!(is(
            KEY,
            |w| {
                mask_port(w)?;
                eth(w, 0xffff)
            },
            to_2,
            "n_proto=8847/ffff -> redirect(lo)",
        )?);
        assert!(refused(
            KEY,
            |w| {
                mask_port(w)?;
                eth(w, 0xffff)?;
                w.put(OVS_KEY_ATTR_MPLS, &[0, 0, 1, 0])
            },
            to_2,
            Reason::MatchMpls,
        )?);
        Ok(())
    }

    #[test]
    fn marks_of_zero_match_all() -> Result {
        assert!(is(
            |w| {
                w.put_u32(OVS_KEY_ATTR_SKB_MARK, 0)?;
                w.put_u32(OVS_KEY_ATTR_PRIORITY, 0)?;
                l2_of(w)
            },
            |w| {
                w.put_u32(OVS_KEY_ATTR_SKB_MARK, u32::MAX)?;
                w.put_u32(OVS_KEY_ATTR_PRIORITY, u32::MAX)?;
                l2_mask_of(w)
            },
            to_2,
            "n_proto=88cc/ffff -> redirect(lo)",
        )?);
        Ok(())
    }

    #[test]
    fn reasons_have_codes() {
        let mut n = 0;
        for code in 1..=u8::MAX {
            let Some(reason) = Reason::from_code(code) else {
                break;
            };
            assert_eq!(reason.code(), code);
            assert!(!reason.as_str().is_empty());
            n += 1;
        }
        assert!(n > 40);
        assert_eq!(Reason::from_code(0), None);
    }
}
