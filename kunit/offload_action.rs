// SPDX-License-Identifier: GPL-2.0

//! Flows as rules for drivers, what is done with packets: each as the text of
//! the rule that a driver reads, or the reason why there is none.

use kernel::prelude::*;

#[kunit_tests(openvswitch_offload_action)]
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
    use zerocopy::IntoBytes;

    fn set(w: &mut AttrBuf, ty: u16, both: &[u8]) -> Result {
        nest(w, OVS_ACTION_ATTR_SET_MASKED, |w| w.put(ty, both))
    }

    /// Sets the time to live.
    fn set_ttl(w: &mut AttrBuf, ttl: u8) -> Result {
        let mut both = [0; 24];
        both[10] = ttl;
        both[22] = 0xff;
        set(w, OVS_KEY_ATTR_IPV4, &both)
    }

    /// Sets the IPv4 source address.
    fn set_src(w: &mut AttrBuf) -> Result {
        let mut both = [0; 24];
        both[..4].copy_from_slice(&[1, 2, 3, 4]);
        both[12..16].copy_from_slice(&[0xff; 4]);
        set(w, OVS_KEY_ATTR_IPV4, &both)
    }

    fn set_type_of_service(w: &mut AttrBuf, tos: u8, mask: u8) -> Result {
        let mut both = [0; 24];
        both[9] = tos;
        both[21] = mask;
        set(w, OVS_KEY_ATTR_IPV4, &both)
    }

    fn set_eth_dst(w: &mut AttrBuf) -> Result {
        let mut both = [0; 24];
        both[6..12].copy_from_slice(b"newdst");
        both[18..24].copy_from_slice(&[0xff; 6]);
        set(w, OVS_KEY_ATTR_ETHERNET, &both)
    }

    fn set_port(w: &mut AttrBuf, ty: u16, port: u8) -> Result {
        set(w, ty, &[0, 0, 0, port, 0, 0, 0xff, 0xff])
    }

    fn push(w: &mut AttrBuf, tci: u16) -> Result {
        w.put(
            OVS_ACTION_ATTR_PUSH_VLAN,
            [ETH_P_8021Q.to_be(), tci.to_be()].as_bytes(),
        )
    }

    fn pop(w: &mut AttrBuf) -> Result {
        w.put_flag(OVS_ACTION_ATTR_POP_VLAN)
    }

    fn clone_of(w: &mut AttrBuf, put: Put) -> Result {
        nest(w, OVS_ACTION_ATTR_CLONE, put)
    }

    const TCP: &str = "addr_type=0 flags=0x0/0x1 n_proto=0800/ffff ip_proto=06/ff -> ";

    /// Whether a TCP flow with these actions has this rule.
    fn tcp_is(actions: Put, text: &str) -> Result<bool> {
        let whole = CString::try_from_fmt(fmt!("{}{}", TCP, text))?;
        is(
            tcp4,
            mask_tcp4,
            actions,
            whole.to_str().map_err(|_| EINVAL)?,
        )
    }

    fn tcp_refused(actions: Put, want: Reason) -> Result<bool> {
        refused(tcp4, mask_tcp4, actions, want)
    }

    #[test]
    fn outputs_and_drops() -> Result {
        assert!(tcp_is(|_| Ok(()), "drop")?);
        assert!(tcp_is(|w| w.put_u32(OVS_ACTION_ATTR_DROP, 3), "drop")?);
        assert!(tcp_is(to_2, "redirect(lo)")?);
        assert!(tcp_is(
            |w| {
                output(w, 2)?;
                output(w, 3)?;
                w.put_u32(OVS_ACTION_ATTR_DROP, 0)
            },
            "mirred(lo) redirect(lo)",
        )?);
        // Changes that nobody sees.
        assert!(tcp_is(
            |w| {
                set_ttl(w, 9)?;
                w.put_u32(OVS_ACTION_ATTR_DROP, 0)
            },
            "drop"
        )?);
        assert!(tcp_is(
            |w| {
                to_2(w)?;
                push(w, 0x1001)
            },
            "redirect(lo)"
        )?);
        assert!(tcp_refused(|w| output(w, 1), Reason::OutputToInPort)?);
        assert!(tcp_refused(|w| output(w, 99), Reason::OutputGone)?);
        Ok(())
    }

    fn to_host(w: &mut AttrBuf) -> Result {
        output(w, INTERNAL_PORT.into())
    }

    /// With a mask of the destination address.
    fn mask_dst(w: &mut AttrBuf, last: u8) -> Result {
        mask_tcp4(w)?;
        let mut mask = [0xff; 12];
        mask[..6].fill(0);
        mask[11] = last;
        w.put(OVS_KEY_ATTR_ETHERNET, &mask)
    }

    fn for_host(w: &mut AttrBuf) -> Result {
        mask_dst(w, 0xff)
    }

    #[test]
    fn to_the_host() -> Result {
        const MATCH: &str = "addr_type=0 flags=0x0/0x1 n_proto=0800/ffff ip_proto=06/ff \
                             eth_dst=020000000002/ffffffffffff -> ";
        let is_rule = |actions: Put, text: &str| -> Result<bool> {
            let whole = CString::try_from_fmt(fmt!("{}{}", MATCH, text))?;
            is(tcp4, for_host, actions, whole.to_str().map_err(|_| EINVAL)?)
        };
        assert!(is_rule(to_host, "ptype(0) redirect_ingress(lo)")?);
        assert!(is_rule(
            |w| {
                set_ttl(w, 9)?;
                to_host(w)
            },
            "mangle(2+8,09000000/ff000000) csum(0x1) ptype(0) redirect_ingress(lo)"
        )?);
        // It would come in as if it were for the host, whatever its address.
        let other = Reason::InternalOtherHost;
        assert!(tcp_refused(to_host, other)?);
        assert!(refused(tcp4, |w| mask_dst(w, 0xf0), to_host, other)?);
        let rewritten: Put = |w| {
            set_eth_dst(w)?;
            to_host(w)
        };
        assert!(refused(tcp4, for_host, rewritten, other)?);
        for actions in [
            (|w| {
                to_host(w)?;
                output(w, 2)
            }) as Put,
            |w| {
                output(w, 2)?;
                to_host(w)
            },
        ] {
            assert!(refused(tcp4, for_host, actions, Reason::InternalNotAlone)?);
        }
        Ok(())
    }

    #[test]
    fn clones() -> Result {
        assert!(tcp_is(
            |w| {
                clone_of(w, |w| output(w, 3))?;
                to_2(w)
            },
            "mirred(lo) redirect(lo)",
        )?);
        assert!(tcp_is(
            |w| {
                to_2(w)?;
                clone_of(w, |w| {
                    push(w, 0x1001)?;
                    output(w, 3)
                })
            },
            "mirred(lo) vlan_push(8100,vid=1,prio=0) redirect(lo)",
        )?);
        assert!(tcp_is(
            |w| {
                clone_of(w, |w| push(w, 0x1001))?;
                to_2(w)
            },
            "redirect(lo)"
        )?);
        assert!(tcp_refused(
            |w| {
                clone_of(w, |w| {
                    push(w, 0x1001)?;
                    output(w, 3)
                })?;
                to_2(w)
            },
            Reason::ActionClone,
        )?);
        Ok(())
    }

    fn clones_of(w: &mut AttrBuf, levels: u32) -> Result {
        match levels.checked_sub(1) {
            None => to_2(w),
            Some(levels) => nest(w, OVS_ACTION_ATTR_CLONE, |w| clones_of(w, levels)),
        }
    }

    #[test]
    fn clones_nest_to_a_limit() -> Result {
        assert!(tcp_is(|w| clones_of(w, 4), "redirect(lo)")?);
        assert!(tcp_refused(|w| clones_of(w, 5), Reason::TooDeep)?);
        assert!(tcp_refused(|w| clones_of(w, 16), Reason::TooDeep)?);
        Ok(())
    }

    #[test]
    fn vlan_actions() -> Result {
        assert!(tcp_is(
            |w| {
                push(w, 0x7064)?;
                to_2(w)
            },
            "vlan_push(8100,vid=100,prio=3) redirect(lo)",
        )?);
        assert!(tcp_is(
            |w| {
                push(w, 0x7064)?;
                pop(w)?;
                to_2(w)
            },
            "redirect(lo)"
        )?);
        assert!(tcp_refused(
            |w| {
                pop(w)?;
                to_2(w)
            },
            Reason::VlanPopUntagged
        )?);

        let mask: Put = |w| {
            mask_port(w)?;
            tagged(w, 0xffff, 0x1fff, |w| eth(w, 0xffff))
        };
        let tag = "n_proto=88cc/ffff vlan_tpid=8100/ffff vlan_id=0064/0fff \
                   vlan_eth_type=88cc/ffff -> ";
        let cases: &[(Put, &str)] = &[
            (
                |w| {
                    pop(w)?;
                    to_2(w)
                },
                "vlan_pop redirect(lo)",
            ),
            (
                |w| {
                    pop(w)?;
                    push(w, 0x1005)?;
                    to_2(w)
                },
                "vlan_pop vlan_push(8100,vid=5,prio=0) redirect(lo)",
            ),
            (
                |w| {
                    output(w, 3)?;
                    pop(w)?;
                    to_2(w)
                },
                "mirred(lo) vlan_pop redirect(lo)",
            ),
        ];
        for &(actions, text) in cases {
            let whole = CString::try_from_fmt(fmt!("{}{}", tag, text))?;
            assert!(is(
                vlan,
                mask,
                actions,
                whole.to_str().map_err(|_| EINVAL)?
            )?);
        }
        assert!(refused(
            vlan,
            mask,
            |w| {
                pop(w)?;
                pop(w)?;
                to_2(w)
            },
            Reason::VlanPopUntagged,
        )?);
        assert!(refused(
            |w| {
                port(w)?;
                tagged(w, ETH_P_8021AD, 0x1001, |w| {
                    tagged(w, ETH_P_8021Q, 0x1002, |w| eth(w, 0x88cc))
                })
            },
            |w| {
                mask_port(w)?;
                tagged(w, 0xffff, 0xffff, |w| {
                    tagged(w, 0xffff, 0x1fff, |w| eth(w, 0xffff))
                })
            },
            |w| {
                pop(w)?;
                pop(w)?;
                push(w, 0x1001)?;
                to_2(w)
            },
            Reason::VlanPopTwicePush,
        )?);
        Ok(())
    }

    #[test]
    fn rewrites() -> Result {
        assert!(tcp_is(
            |w| {
                set_eth_dst(w)?;
                to_2(w)
            },
            "mangle(1+0,6e657764/ffffffff) mangle(1+4,73740000/ffff0000) redirect(lo)",
        )?);
        assert!(tcp_is(
            |w| {
                set_ttl(w, 9)?;
                to_2(w)
            },
            "mangle(2+8,09000000/ff000000) csum(0x1) redirect(lo)",
        )?);
        assert!(tcp_is(
            |w| {
                set_src(w)?;
                set_port(w, OVS_KEY_ATTR_TCP, 99)?;
                to_2(w)
            },
            "mangle(2+12,01020304/ffffffff) mangle(4+0,00000063/0000ffff) csum(0x9) \
             redirect(lo)",
        )?);
        // The later of two changes to a field stays.
        assert!(tcp_is(
            |w| {
                set_ttl(w, 9)?;
                set_ttl(w, 8)?;
                to_2(w)
            },
            "mangle(2+8,08000000/ff000000) csum(0x1) redirect(lo)",
        )?);
        // One run of changes, before or after outputs.
        assert!(tcp_is(
            |w| {
                output(w, 3)?;
                set_ttl(w, 9)?;
                to_2(w)
            },
            "mirred(lo) mangle(2+8,09000000/ff000000) csum(0x1) redirect(lo)",
        )?);
        assert!(tcp_refused(
            |w| {
                set_ttl(w, 9)?;
                output(w, 3)?;
                set_ttl(w, 8)?;
                to_2(w)
            },
            Reason::RewriteAfterOutput,
        )?);
        assert!(tcp_refused(
            |w| {
                push(w, 0x1001)?;
                output(w, 3)?;
                pop(w)?;
                to_2(w)
            },
            Reason::VlanPopUntagged,
        )?);
        assert!(tcp_refused(
            |w| {
                push(w, 0x1001)?;
                output(w, 3)?;
                set_ttl(w, 8)?;
                to_2(w)
            },
            Reason::RewriteAfterOutput,
        )?);
        Ok(())
    }

    #[test]
    fn rewrites_of_ipv6() -> Result {
        let base = "addr_type=0 flags=0x0/0x1 n_proto=86dd/ffff ip_proto=11/ff -> ";
        let cases: &[(Put, &str)] = &[
            (
                |w| {
                    let mut both = [0; 80];
                    both[37] = 0xb8;
                    both[77] = 0xfc;
                    both[38] = 7;
                    both[78] = 0xff;
                    both[16..32].copy_from_slice(&[9; 16]);
                    both[56..72].copy_from_slice(&[0xff; 16]);
                    set(w, OVS_KEY_ATTR_IPV6, &both)?;
                    to_2(w)
                },
                "mangle(3+0,0b800000/0fc00000) mangle(3+4,00000007/000000ff) \
                 mangle(3+24,09090909/ffffffff) mangle(3+28,09090909/ffffffff) \
                 mangle(3+32,09090909/ffffffff) mangle(3+36,09090909/ffffffff) \
                 csum(0x10) redirect(lo)",
            ),
            (
                |w| {
                    set_port(w, OVS_KEY_ATTR_UDP, 9)?;
                    to_2(w)
                },
                "mangle(5+0,00000009/0000ffff) csum(0x10) redirect(lo)",
            ),
        ];
        for &(actions, text) in cases {
            let whole = CString::try_from_fmt(fmt!("{}{}", base, text))?;
            let whole = whole.to_str().map_err(|_| EINVAL)?;
            assert!(is(udp6, mask_udp6, actions, whole)?);
        }
        assert!(refused(
            udp6,
            mask_udp6,
            |w| {
                let mut both = [0; 80];
                both[75] = 1;
                set(w, OVS_KEY_ATTR_IPV6, &both)?;
                to_2(w)
            },
            Reason::ActionSetIpv6Label,
        )?);
        Ok(())
    }

    #[test]
    fn rewrites_to_what_is_matched_are_none() -> Result {
        let mask: Put = |w| mask_ipv4(w, &[0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0x03, 0xff, 0xff]);
        let base = "addr_type=0 flags=0x0/0x1 n_proto=0800/ffff ip_proto=06/ff tos=02/03 \
                    ttl=40/ff -> ";
        let cases: &[(Put, &str)] = &[
            (
                |w| {
                    set_ttl(w, 64)?;
                    to_2(w)
                },
                "redirect(lo)",
            ),
            // But not if the field was changed before.
            (
                |w| {
                    set_ttl(w, 9)?;
                    set_ttl(w, 64)?;
                    to_2(w)
                },
                "mangle(2+8,40000000/ff000000) csum(0x1) redirect(lo)",
            ),
            // ECN bits that stay are left out.
            (
                |w| {
                    set_type_of_service(w, 0xba, 0xff)?;
                    to_2(w)
                },
                "mangle(2+0,00b80000/00fc0000) csum(0x1) redirect(lo)",
            ),
        ];
        for &(actions, text) in cases {
            let whole = CString::try_from_fmt(fmt!("{}{}", base, text))?;
            assert!(is(
                tcp4,
                mask,
                actions,
                whole.to_str().map_err(|_| EINVAL)?
            )?);
        }
        assert!(refused(
            tcp4,
            mask,
            |w| {
                set_type_of_service(w, 0xb9, 0xff)?;
                to_2(w)
            },
            Reason::ActionSetEcn,
        )?);
        assert!(tcp_refused(
            |w| {
                set_type_of_service(w, 0x12, 0xff)?;
                to_2(w)
            },
            Reason::ActionSetEcn,
        )?);
        Ok(())
    }

    #[test]
    fn refused_actions() -> Result {
        let cases: &[(Put, Reason)] = &[
            (
                |w| {
                    nest(w, OVS_ACTION_ATTR_USERSPACE, |w| {
                        w.put_u32(OVS_USERSPACE_ATTR_PID, 1)
                    })
                },
                Reason::ActionUserspace,
            ),
            (
                |w| {
                    nest(w, OVS_ACTION_ATTR_SAMPLE, |w| {
                        w.put_u32(OVS_SAMPLE_ATTR_PROBABILITY, 1)?;
                        nest(w, OVS_SAMPLE_ATTR_ACTIONS, to_2)
                    })
                },
                Reason::ActionSample,
            ),
            (
                |w| {
                    nest(w, OVS_ACTION_ATTR_CHECK_PKT_LEN, |w| {
                        w.put_u16(OVS_CHECK_PKT_LEN_ATTR_PKT_LEN, 1400)?;
                        nest(w, OVS_CHECK_PKT_LEN_ATTR_ACTIONS_IF_LESS_EQUAL, to_2)?;
                        nest(w, OVS_CHECK_PKT_LEN_ATTR_ACTIONS_IF_GREATER, to_2)
                    })
                },
                Reason::ActionCheckPktLen,
            ),
            (
                |w| {
                    nest(w, OVS_ACTION_ATTR_DEC_TTL, |w| {
                        nest(w, OVS_DEC_TTL_ATTR_ACTION, |_| Ok(()))
                    })?;
                    to_2(w)
                },
                Reason::ActionDecTtl,
            ),
            (
                |w| {
                    nest(w, OVS_ACTION_ATTR_PSAMPLE | 1 << 15, |w| {
                        w.put_u32(OVS_PSAMPLE_ATTR_GROUP, 1)
                    })?;
                    to_2(w)
                },
                Reason::ActionPsample,
            ),
            (
                |w| {
                    w.put_u32(OVS_ACTION_ATTR_TRUNC, 100)?;
                    to_2(w)
                },
                Reason::ActionTrunc,
            ),
            (
                |w| {
                    w.put_u32(OVS_ACTION_ATTR_METER, 1)?;
                    to_2(w)
                },
                Reason::ActionMeter,
            ),
            // At the end, too: it counts.
            (
                |w| {
                    to_2(w)?;
                    w.put_u32(OVS_ACTION_ATTR_METER, 1)
                },
                Reason::ActionMeter,
            ),
            (
                |w| {
                    w.put(OVS_ACTION_ATTR_HASH, [0u32, 0].as_bytes())?;
                    w.put_u32(OVS_ACTION_ATTR_RECIRC, 1)
                },
                Reason::ActionHash,
            ),
            (
                |w| {
                    w.put_flag(OVS_ACTION_ATTR_POP_ETH)?;
                    to_2(w)
                },
                Reason::ActionPopEth,
            ),
            (
                |w| {
                    w.put_u32(OVS_ACTION_ATTR_RECIRC, 1)?;
                    to_2(w)
                },
                Reason::ActionRecircNotLast,
            ),
            (
                |w| {
                    set(w, OVS_KEY_ATTR_PRIORITY, &[1, 0, 0, 0, 0xff, 0, 0, 0])?;
                    to_2(w)
                },
                Reason::ActionSetPriority,
            ),
            (
                |w| {
                    set(w, OVS_KEY_ATTR_SKB_MARK, &[1, 0, 0, 0, 0xff, 0, 0, 0])?;
                    to_2(w)
                },
                Reason::ActionSetSkbMark,
            ),
            (
                |w| {
                    push(w, 0x1001)?;
                    push(w, 0x1002)?;
                    push(w, 0x1003)?;
                    to_2(w)
                },
                Reason::TooManyActions,
            ),
            (
                |w| (2..60).try_for_each(|port_no| output(w, port_no)),
                Reason::TooManyActions,
            ),
        ];
        for &(actions, reason) in cases {
            assert!(tcp_refused(actions, reason)?);
        }
        // Addresses and ports of what may be a fragment, or another protocol.
        assert!(refused(
            |w| {
                port(w)?;
                ipv4(w, IPPROTO_TCP, 2)
            },
            |w| mask_ipv4(w, &[0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0, 0, 0xff]),
            |w| {
                set_src(w)?;
                to_2(w)
            },
            Reason::RewriteFragments,
        )?);
        assert!(refused(
            tcp4,
            |w| mask_ipv4(w, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff]),
            |w| {
                set_src(w)?;
                to_2(w)
            },
            Reason::RewriteAnyProtocol,
        )?);
        Ok(())
    }
}
