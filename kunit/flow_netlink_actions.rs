// SPDX-License-Identifier: GPL-2.0

//! Actions: from netlink and back, and what is refused.

use kernel::prelude::*;

#[kunit_tests(openvswitch_flow_netlink_actions)]
mod tests {
    use super::*;
    use crate::{
        actions::Action,
        flow::key::{
            SwFlowKey,
            MAC_PROTO_ETHERNET,
            MAC_PROTO_NONE, //
        },
        flow_netlink::{
            ovs_nla_copy_actions,
            ovs_nla_put_actions,
            uapi::*, //
        },
    };
    use kernel_ext::net::{
        namespace::Net,
        netlink::{
            AttrBuf,
            AttrWriter,
            Nlattr, //
        }, //
    };
    use zerocopy::IntoBytes;

    type Put = fn(&mut AttrBuf) -> Result;

    const PID: u32 = 77;
    const NLA_F_NESTED: u16 = 1 << 15;

    /// The masked key of an Ethernet packet.
    fn key(eth_type: u16, ip_proto: u8) -> SwFlowKey {
        let mut key = SwFlowKey::zeroed();
        key.mac_proto = MAC_PROTO_ETHERNET;
        key.eth_type = eth_type.into();
        key.ip_proto = ip_proto;
        key
    }

    fn list(put: impl FnOnce(&mut AttrBuf) -> Result) -> Result<AttrBuf> {
        let mut buf = AttrBuf::new();
        put(&mut buf)?;
        Ok(buf)
    }

    fn copy(key: &SwFlowKey, actions: &[u8]) -> Result<KVec<Action>> {
        Ok(ovs_nla_copy_actions(Net::init(), Nlattr::new(1, actions), key, false)?.list)
    }

    fn nest(w: &mut AttrBuf, ty: u16, put: impl FnOnce(&mut AttrBuf) -> Result) -> Result {
        let mark = w.nest_start(ty)?;
        put(w)?;
        w.nest_end(mark)
    }

    fn set(w: &mut AttrBuf, ty: u16, value: &[u8]) -> Result {
        nest(w, OVS_ACTION_ATTR_SET, |w| w.put(ty, value))
    }

    fn set_masked(w: &mut AttrBuf, ty: u16, value_and_mask: &[u8]) -> Result {
        nest(w, OVS_ACTION_ATTR_SET_MASKED, |w| w.put(ty, value_and_mask))
    }

    fn output(w: &mut AttrBuf) -> Result {
        w.put_u32(OVS_ACTION_ATTR_OUTPUT, 3)
    }

    fn clone_of(w: &mut AttrBuf, put: Put) -> Result {
        nest(w, OVS_ACTION_ATTR_CLONE, put)
    }

    fn sample_of(w: &mut AttrBuf, put: Put) -> Result {
        nest(w, OVS_ACTION_ATTR_SAMPLE, |w| {
            w.put_u32(OVS_SAMPLE_ATTR_PROBABILITY, 0x8000_0000)?;
            nest(w, OVS_SAMPLE_ATTR_ACTIONS, put)
        })
    }

    fn check_pkt_len_of(w: &mut AttrBuf, less_equal: Put, greater: Put) -> Result {
        nest(w, OVS_ACTION_ATTR_CHECK_PKT_LEN, |w| {
            w.put_u16(OVS_CHECK_PKT_LEN_ATTR_PKT_LEN, 1400)?;
            nest(w, OVS_CHECK_PKT_LEN_ATTR_ACTIONS_IF_LESS_EQUAL, less_equal)?;
            nest(w, OVS_CHECK_PKT_LEN_ATTR_ACTIONS_IF_GREATER, greater)
        })
    }

    fn dec_ttl_of(w: &mut AttrBuf, put: Put) -> Result {
        nest(w, OVS_ACTION_ATTR_DEC_TTL, |w| {
            nest(w, OVS_DEC_TTL_ATTR_ACTION, put)
        })
    }

    /// As userspace sends it: with the flag that says that it is nested.
    fn psample_of(w: &mut AttrBuf, put: Put) -> Result {
        nest(w, OVS_ACTION_ATTR_PSAMPLE | NLA_F_NESTED, put)
    }

    fn userspace(w: &mut AttrBuf, put: Put) -> Result {
        nest(w, OVS_ACTION_ATTR_USERSPACE, |w| {
            w.put_u32(OVS_USERSPACE_ATTR_PID, PID)?;
            put(w)
        })
    }

    fn push_vlan(w: &mut AttrBuf) -> Result {
        w.put(OVS_ACTION_ATTR_PUSH_VLAN, &[0x81, 0, 0x10, 0x64])
    }

    fn ipv6_label(label: u32) -> [u8; 40] {
        let mut ipv6 = [0; 40];
        ipv6[32..36].copy_from_slice(&label.to_be_bytes());
        ipv6[36] = IPPROTO_TCP;
        ipv6
    }

    /// Lists for a TCP packet over IPv4, in the form that a dump gives.
    const GOOD: &[(&str, Put)] = &[
        ("nothing", |_| Ok(())),
        ("output", output),
        ("highest port", |w| {
            w.put_u32(OVS_ACTION_ATTR_OUTPUT, 0xfffe)
        }),
        ("userspace", |w| userspace(w, |_| Ok(()))),
        ("userspace with all", |w| {
            userspace(w, |w| {
                w.put(OVS_USERSPACE_ATTR_USERDATA, b"cookie!")?;
                w.put_u32(OVS_USERSPACE_ATTR_EGRESS_TUN_PORT, 9)?;
                w.put_flag(OVS_USERSPACE_ATTR_ACTIONS)
            })
        }),
        ("recirc and hash", |w| {
            w.put(OVS_ACTION_ATTR_HASH, [0u32, 5].as_bytes())?;
            w.put(OVS_ACTION_ATTR_HASH, [1u32, 5].as_bytes())?;
            w.put_u32(OVS_ACTION_ATTR_RECIRC, 8)
        }),
        ("vlan", |w| {
            push_vlan(w)?;
            w.put(OVS_ACTION_ATTR_PUSH_VLAN, &[0x88, 0xa8, 0x10, 0x64])?;
            w.put_flag(OVS_ACTION_ATTR_POP_VLAN)
        }),
        ("ethernet", |w| {
            w.put_flag(OVS_ACTION_ATTR_POP_ETH)?;
            w.put(OVS_ACTION_ATTR_PUSH_ETH, b"sourcedestin")
        }),
        ("ethernet after a tag was popped", |w| {
            push_vlan(w)?;
            w.put_flag(OVS_ACTION_ATTR_POP_VLAN)?;
            w.put_flag(OVS_ACTION_ATTR_POP_ETH)
        }),
        ("trunc", |w| w.put_u32(OVS_ACTION_ATTR_TRUNC, 14)),
        ("meter", |w| w.put_u32(OVS_ACTION_ATTR_METER, u32::MAX)),
        ("drop", |w| {
            output(w)?;
            w.put_u32(OVS_ACTION_ATTR_DROP, 6)
        }),
        ("set priority", |w| {
            set(w, OVS_KEY_ATTR_PRIORITY, &[1, 2, 3, 4])
        }),
        ("set mark", |w| set(w, OVS_KEY_ATTR_SKB_MARK, &[1, 2, 3, 4])),
        ("set ethernet", |w| {
            set(w, OVS_KEY_ATTR_ETHERNET, b"sourcedestin")
        }),
        ("set ipv4", |w| {
            set(
                w,
                OVS_KEY_ATTR_IPV4,
                &[1, 2, 3, 4, 5, 6, 7, 8, IPPROTO_TCP, 9, 10, 0],
            )
        }),
        ("set tcp", |w| set(w, OVS_KEY_ATTR_TCP, &[1, 2, 3, 4])),
        ("masked priority", |w| {
            set_masked(w, OVS_KEY_ATTR_PRIORITY, &[1, 0, 0, 4, 0xff, 0, 0, 0x0f])
        }),
        ("masked mark", |w| {
            set_masked(w, OVS_KEY_ATTR_SKB_MARK, &[1, 0, 0, 4, 0xff, 0, 0, 0x0f])
        }),
        ("masked mark, one byte too long", |w| {
            set_masked(
                w,
                OVS_KEY_ATTR_SKB_MARK,
                &[1, 0, 0, 4, 0xff, 0, 0, 0x0f, 0x99],
            )
        }),
        ("masked ethernet", |w| {
            set_masked(w, OVS_KEY_ATTR_ETHERNET, &[0xff; 24])
        }),
        ("masked ipv4", |w| {
            let mut both = [0; 24];
            both[4..8].copy_from_slice(&[1, 2, 3, 0]);
            both[16..20].copy_from_slice(&[0xff, 0xff, 0xff, 0]);
            set_masked(w, OVS_KEY_ATTR_IPV4, &both)
        }),
        ("masked tcp", |w| {
            set_masked(w, OVS_KEY_ATTR_TCP, &[0, 0, 0, 80, 0, 0, 0xff, 0xff])
        }),
        ("clone", |w| {
            clone_of(w, |w| {
                push_vlan(w)?;
                output(w)
            })?;
            output(w)
        }),
        ("empty clone", |w| clone_of(w, |_| Ok(()))),
        ("sample", |w| {
            sample_of(w, |w| {
                userspace(w, |w| w.put(OVS_USERSPACE_ATTR_USERDATA, b"x"))
            })?;
            output(w)
        }),
        ("empty sample", |w| sample_of(w, |_| Ok(()))),
        ("check_pkt_len", |w| {
            check_pkt_len_of(w, output, |w| {
                push_vlan(w)?;
                output(w)
            })?;
            output(w)
        }),
        ("empty check_pkt_len", |w| {
            check_pkt_len_of(w, |_| Ok(()), |_| Ok(()))
        }),
        ("dec_ttl", |w| {
            dec_ttl_of(w, |w| {
                dec_ttl_of(w, output)?;
                output(w)
            })?;
            output(w)
        }),
        ("empty dec_ttl", |w| dec_ttl_of(w, |_| Ok(()))),
        ("all in all", |w| {
            clone_of(w, |w| {
                sample_of(w, |w| {
                    clone_of(w, |w| set(w, OVS_KEY_ATTR_TCP, &[1, 2, 3, 4]))
                })
            })
        }),
    ];

    #[test]
    fn lists_come_back() -> Result {
        let key = key(ETH_P_IP, IPPROTO_TCP);
        for &(name, put) in GOOD {
            let list = list(put)?;
            let actions =
                ovs_nla_copy_actions(Net::init(), Nlattr::new(1, list.as_slice()), &key, true);
            if let Err(err) = &actions {
                pr_err!("{}: {:?}\n", name, err);
            }
            let actions = actions?;
            assert_eq!(actions.orig_len, list.as_slice().len());

            let mut buf = AttrBuf::new();
            ovs_nla_put_actions(&actions.list, &mut buf)?;
            if buf.as_slice() != list.as_slice() {
                pr_err!("{} differs\n", name);
            }
            assert!(buf.as_slice() == list.as_slice());
        }
        Ok(())
    }

    #[test]
    fn ipv6_lists_come_back() -> Result {
        let key = key(ETH_P_IPV6, IPPROTO_UDP);
        let list = list(|w| {
            let mut ipv6 = ipv6_label(0x000f_edcb);
            ipv6[36] = IPPROTO_UDP;
            set(w, OVS_KEY_ATTR_IPV6, &ipv6)?;
            let mut both = [0; 80];
            both[32..36].copy_from_slice(&[0, 0, 1, 0]);
            both[72..76].copy_from_slice(&[0, 0x0f, 0xff, 0xff]);
            set_masked(w, OVS_KEY_ATTR_IPV6, &both)?;
            set(w, OVS_KEY_ATTR_UDP, &[1, 2, 3, 4])
        })?;
        let actions = copy(&key, list.as_slice())?;
        let mut buf = AttrBuf::new();
        ovs_nla_put_actions(&actions, &mut buf)?;
        assert!(buf.as_slice() == list.as_slice());

        // The mask of what was set leaves the invalid bits of the label out.
        if let Some(Action::Set(set)) = actions.first() {
            let (_, _, mask) = set.field.as_attr();
            assert_eq!(mask.get(32..36), Some(&[0, 0x0f, 0xff, 0xff][..]));
        } else {
            return Err(EINVAL);
        }
        Ok(())
    }

    #[test]
    fn psample_comes_back() -> Result {
        let key = key(ETH_P_IP, IPPROTO_TCP);
        for len in 0..=OVS_PSAMPLE_COOKIE_MAX_SIZE {
            let cookie = &b"0123456789abcdef"[..len];
            let payload = list(|w| {
                w.put(OVS_PSAMPLE_ATTR_COOKIE, cookie)?;
                w.put_u32(OVS_PSAMPLE_ATTR_GROUP, 7)
            })?;
            let sent = list(|w| w.put(OVS_ACTION_ATTR_PSAMPLE | NLA_F_NESTED, payload.as_slice()))?;
            let shown = list(|w| w.put(OVS_ACTION_ATTR_PSAMPLE, payload.as_slice()))?;

            let actions = copy(&key, sent.as_slice())?;
            if let Some(Action::Psample(psample)) = actions.first() {
                assert_eq!(psample.group, 7);
                assert!(psample.cookie() == cookie);
            } else {
                return Err(EINVAL);
            }
            let mut buf = AttrBuf::new();
            ovs_nla_put_actions(&actions, &mut buf)?;
            assert!(buf.as_slice() == shown.as_slice());
        }
        Ok(())
    }

    /// Lists that are refused for a TCP packet over IPv4, with the error.
    const BAD: &[(&str, Error, Put)] = &[
        ("type 0", EINVAL, |w| w.put_flag(0)),
        ("type past the last", EINVAL, |w| w.put_flag(26)),
        ("internal type", EINVAL, |w| w.put(27, &[0; 12])),
        ("ct with what nobody knows", EINVAL, |w| {
            nest(w, OVS_ACTION_ATTR_CT, |w| w.put_flag(10))
        }),
        ("long ct_clear", EINVAL, |w| {
            w.put_u32(OVS_ACTION_ATTR_CT_CLEAR, 0)
        }),
        ("short meter", EINVAL, |w| {
            w.put_u16(OVS_ACTION_ATTR_METER, 1)
        }),
        ("short output", EINVAL, |w| {
            w.put_u16(OVS_ACTION_ATTR_OUTPUT, 1)
        }),
        ("port number", EINVAL, |w| {
            w.put_u32(OVS_ACTION_ATTR_OUTPUT, 0xffff)
        }),
        ("short trunc", EINVAL, |w| {
            w.put_u32(OVS_ACTION_ATTR_TRUNC, 13)
        }),
        ("hash algorithm", EINVAL, |w| {
            w.put(OVS_ACTION_ATTR_HASH, [2u32, 0].as_bytes())
        }),
        ("drop not last", EINVAL, |w| {
            w.put_u32(OVS_ACTION_ATTR_DROP, 0)?;
            output(w)
        }),
        ("tag protocol", EINVAL, |w| {
            w.put(OVS_ACTION_ATTR_PUSH_VLAN, &[0x08, 0, 0x10, 1])
        }),
        ("tag without its bit", EINVAL, |w| {
            w.put(OVS_ACTION_ATTR_PUSH_VLAN, &[0x81, 0, 0, 1])
        }),
        ("push ethernet on ethernet", EINVAL, |w| {
            w.put(OVS_ACTION_ATTR_PUSH_ETH, b"sourcedestin")
        }),
        ("pop ethernet of a tagged packet", EINVAL, |w| {
            push_vlan(w)?;
            w.put_flag(OVS_ACTION_ATTR_POP_ETH)
        }),
        ("tag without ethernet", EINVAL, |w| {
            w.put_flag(OVS_ACTION_ATTR_POP_ETH)?;
            push_vlan(w)
        }),
        ("set ethernet without ethernet", EINVAL, |w| {
            w.put_flag(OVS_ACTION_ATTR_POP_ETH)?;
            set(w, OVS_KEY_ATTR_ETHERNET, b"sourcedestin")
        }),
        ("no pid", EINVAL, |w| {
            nest(w, OVS_ACTION_ATTR_USERSPACE, |w| {
                w.put(OVS_USERSPACE_ATTR_USERDATA, b"x")
            })
        }),
        ("pid 0", EINVAL, |w| {
            nest(w, OVS_ACTION_ATTR_USERSPACE, |w| {
                w.put_u32(OVS_USERSPACE_ATTR_PID, 0)
            })
        }),
        ("short pid", ERANGE, |w| {
            nest(w, OVS_ACTION_ATTR_USERSPACE, |w| {
                w.put_u16(OVS_USERSPACE_ATTR_PID, 1)
            })
        }),
        ("unknown userspace attribute", EINVAL, |w| {
            userspace(w, |w| w.put_flag(OVS_USERSPACE_ATTR_COUNT))
        }),
        ("set of nothing", EINVAL, |w| {
            w.put_flag(OVS_ACTION_ATTR_SET)
        }),
        ("set of two", EINVAL, |w| {
            nest(w, OVS_ACTION_ATTR_SET, |w| {
                w.put_u32(OVS_KEY_ATTR_PRIORITY, 1)?;
                w.put_u32(OVS_KEY_ATTR_SKB_MARK, 1)
            })
        }),
        ("set of a wrong length", EINVAL, |w| {
            set(w, OVS_KEY_ATTR_PRIORITY, &[0; 5])
        }),
        ("masked set of a wrong length", EINVAL, |w| {
            set_masked(w, OVS_KEY_ATTR_PRIORITY, &[0; 10])
        }),
        ("bits outside the mask", EINVAL, |w| {
            set_masked(w, OVS_KEY_ATTR_PRIORITY, &[1, 0, 0, 0, 0xfe, 0, 0, 0])
        }),
        ("set of what cannot be set", EINVAL, |w| {
            set(w, OVS_KEY_ATTR_IN_PORT, &[0; 4])
        }),
        ("set tunnel", EINVAL, |w| set(w, OVS_KEY_ATTR_TUNNEL, &[])),
        ("set udp", EINVAL, |w| set(w, OVS_KEY_ATTR_UDP, &[0; 4])),
        ("set sctp", EINVAL, |w| set(w, OVS_KEY_ATTR_SCTP, &[0; 4])),
        ("set ipv6", EINVAL, |w| {
            set(w, OVS_KEY_ATTR_IPV6, &ipv6_label(0))
        }),
        ("set protocol", EINVAL, |w| {
            set(
                w,
                OVS_KEY_ATTR_IPV4,
                &[1, 2, 3, 4, 5, 6, 7, 8, IPPROTO_UDP, 9, 10, 0],
            )
        }),
        ("set fragment", EINVAL, |w| {
            set(
                w,
                OVS_KEY_ATTR_IPV4,
                &[1, 2, 3, 4, 5, 6, 7, 8, IPPROTO_TCP, 9, 10, 1],
            )
        }),
        ("masked protocol", EINVAL, |w| {
            let mut both = [0; 24];
            both[20] = 0xff;
            set_masked(w, OVS_KEY_ATTR_IPV4, &both)
        }),
        ("sample without probability", EINVAL, |w| {
            nest(w, OVS_ACTION_ATTR_SAMPLE, |w| {
                nest(w, OVS_SAMPLE_ATTR_ACTIONS, output)
            })
        }),
        ("sample without actions", EINVAL, |w| {
            nest(w, OVS_ACTION_ATTR_SAMPLE, |w| {
                w.put_u32(OVS_SAMPLE_ATTR_PROBABILITY, 1)
            })
        }),
        ("sample with two probabilities", EINVAL, |w| {
            nest(w, OVS_ACTION_ATTR_SAMPLE, |w| {
                w.put_u32(OVS_SAMPLE_ATTR_PROBABILITY, 1)?;
                w.put_u32(OVS_SAMPLE_ATTR_PROBABILITY, 1)?;
                nest(w, OVS_SAMPLE_ATTR_ACTIONS, output)
            })
        }),
        ("sample with a long probability", EINVAL, |w| {
            nest(w, OVS_ACTION_ATTR_SAMPLE, |w| {
                w.put(OVS_SAMPLE_ATTR_PROBABILITY, &[0; 5])?;
                nest(w, OVS_SAMPLE_ATTR_ACTIONS, output)
            })
        }),
        ("short clone", EINVAL, |w| {
            w.put(OVS_ACTION_ATTR_CLONE, &[0; 3])
        }),
        ("clone of what is wrong", EINVAL, |w| {
            clone_of(w, |w| w.put_flag(0))
        }),
        ("check_pkt_len without a length", EINVAL, |w| {
            nest(w, OVS_ACTION_ATTR_CHECK_PKT_LEN, |w| {
                nest(w, OVS_CHECK_PKT_LEN_ATTR_ACTIONS_IF_LESS_EQUAL, output)?;
                nest(w, OVS_CHECK_PKT_LEN_ATTR_ACTIONS_IF_GREATER, output)
            })
        }),
        ("check_pkt_len with a short length", ERANGE, |w| {
            nest(w, OVS_ACTION_ATTR_CHECK_PKT_LEN, |w| {
                w.put(OVS_CHECK_PKT_LEN_ATTR_PKT_LEN, &[1])?;
                nest(w, OVS_CHECK_PKT_LEN_ATTR_ACTIONS_IF_LESS_EQUAL, output)?;
                nest(w, OVS_CHECK_PKT_LEN_ATTR_ACTIONS_IF_GREATER, output)
            })
        }),
        ("check_pkt_len with one list", EINVAL, |w| {
            nest(w, OVS_ACTION_ATTR_CHECK_PKT_LEN, |w| {
                w.put_u16(OVS_CHECK_PKT_LEN_ATTR_PKT_LEN, 1400)?;
                nest(w, OVS_CHECK_PKT_LEN_ATTR_ACTIONS_IF_GREATER, output)
            })
        }),
        ("check_pkt_len of what is wrong", EINVAL, |w| {
            check_pkt_len_of(w, output, |w| w.put_flag(0))
        }),
        ("dec_ttl without a list", EINVAL, |w| {
            w.put_flag(OVS_ACTION_ATTR_DEC_TTL)
        }),
        ("dec_ttl with two lists", EINVAL, |w| {
            nest(w, OVS_ACTION_ATTR_DEC_TTL, |w| {
                nest(w, OVS_DEC_TTL_ATTR_ACTION, output)?;
                nest(w, OVS_DEC_TTL_ATTR_ACTION, output)
            })
        }),
        ("dec_ttl of what is wrong", EINVAL, |w| {
            dec_ttl_of(w, |w| w.put_flag(0))
        }),
        ("psample without the flag", EINVAL, |w| {
            nest(w, OVS_ACTION_ATTR_PSAMPLE, |w| {
                w.put_u32(OVS_PSAMPLE_ATTR_GROUP, 1)
            })
        }),
        ("psample without a group", EINVAL, |w| {
            psample_of(w, |w| w.put(OVS_PSAMPLE_ATTR_COOKIE, b"x"))
        }),
        ("psample with a long cookie", ERANGE, |w| {
            psample_of(w, |w| {
                w.put_u32(OVS_PSAMPLE_ATTR_GROUP, 1)?;
                w.put(OVS_PSAMPLE_ATTR_COOKIE, &[1; 17])
            })
        }),
        ("psample with more than that", EINVAL, |w| {
            psample_of(w, |w| {
                w.put_u32(OVS_PSAMPLE_ATTR_GROUP, 1)?;
                w.put_flag(OVS_PSAMPLE_ATTR_COUNT)
            })
        }),
        ("drop in a clone, not last", EINVAL, |w| {
            clone_of(w, |w| {
                w.put_u32(OVS_ACTION_ATTR_DROP, 0)?;
                output(w)
            })
        }),
    ];

    #[test]
    fn bad_lists_are_refused() -> Result {
        let key = key(ETH_P_IP, IPPROTO_TCP);
        for &(name, err, put) in BAD {
            // Alone, and after an action that is good.
            for before in [false, true] {
                let list = list(|w| {
                    if before {
                        output(w)?;
                    }
                    put(w)
                })?;
                let result = copy(&key, list.as_slice()).map(|_| ());
                if result != Err(err) {
                    pr_err!("{}: {:?}\n", name, result);
                }
                assert_eq!(result, Err(err));
            }
        }
        Ok(())
    }

    #[test]
    fn layer_3_packets_get_an_ethernet_header_first() -> Result {
        let mut key = key(ETH_P_IP, IPPROTO_TCP);
        key.mac_proto = MAC_PROTO_NONE;
        let bad = list(push_vlan)?;
        assert_eq!(copy(&key, bad.as_slice()).map(|_| ()), Err(EINVAL));
        let good = list(|w| {
            w.put(OVS_ACTION_ATTR_PUSH_ETH, b"sourcedestin")?;
            push_vlan(w)
        })?;
        assert_eq!(copy(&key, good.as_slice())?.len(), 2);
        Ok(())
    }

    #[test]
    fn trailing_bytes_are_refused() -> Result {
        let key = key(ETH_P_IP, IPPROTO_TCP);
        let whole = list(output)?;
        let mut bytes = KVec::new();
        bytes.extend_from_slice(whole.as_slice(), GFP_KERNEL)?;
        for _ in 0..4 {
            bytes.push(0, GFP_KERNEL)?;
            assert_eq!(copy(&key, &bytes).map(|_| ()), Err(EINVAL));
        }
        Ok(())
    }

    #[test]
    fn padding_at_the_end_may_be_missing() -> Result {
        let key = key(ETH_P_IP, IPPROTO_TCP);
        let payload = list(|w| {
            w.put_u32(OVS_USERSPACE_ATTR_PID, PID)?;
            w.put(OVS_USERSPACE_ATTR_USERDATA, b"abc")
        })?;
        let payload = payload.as_slice().get(..15).ok_or(EINVAL)?;
        let whole = list(|w| {
            output(w)?;
            w.put(OVS_ACTION_ATTR_USERSPACE, payload)
        })?;
        let cut = whole.len() - 1;
        let actions = copy(&key, whole.as_slice().get(..cut).ok_or(EINVAL)?)?;
        let mut buf = AttrBuf::new();
        ovs_nla_put_actions(&actions, &mut buf)?;
        assert!(buf.as_slice() == whole.as_slice());
        if let Some(Action::Userspace(userspace)) = actions.last() {
            assert_eq!(userspace.userdata.as_deref(), Some(&b"abc"[..]));
        } else {
            return Err(EINVAL);
        }
        Ok(())
    }

    /// How a list nests a list.
    fn deep(w: &mut AttrBuf, levels: u32, ty: u16) -> Result {
        match levels.checked_sub(1) {
            None => output(w),
            Some(levels) if ty == OVS_ACTION_ATTR_CLONE => nest(w, ty, |w| deep(w, levels, ty)),
            Some(levels) => nest(w, ty, |w| {
                w.put_u32(OVS_SAMPLE_ATTR_PROBABILITY, 1)?;
                nest(w, OVS_SAMPLE_ATTR_ACTIONS, |w| deep(w, levels, ty))
            }),
        }
    }

    #[test]
    fn nesting_has_a_limit() -> Result {
        let key = key(ETH_P_IP, IPPROTO_TCP);
        for ty in [OVS_ACTION_ATTR_CLONE, OVS_ACTION_ATTR_SAMPLE] {
            let at_limit = list(|w| deep(w, 16, ty))?;
            let actions = copy(&key, at_limit.as_slice())?;
            let mut buf = AttrBuf::new();
            ovs_nla_put_actions(&actions, &mut buf)?;
            assert!(buf.as_slice() == at_limit.as_slice());

            let beyond = list(|w| deep(w, 17, ty))?;
            assert_eq!(copy(&key, beyond.as_slice()).map(|_| ()), Err(EOVERFLOW));
        }
        Ok(())
    }

    #[test]
    fn a_nested_list_fits_an_attribute_in_c() -> Result {
        let key = key(ETH_P_IP, IPPROTO_TCP);
        // Setting the priority is 12 bytes here and 16 in C's copy; a clone
        // adds 12 bytes to those.
        let clone_of_sets = |n: u32| {
            list(|w| {
                nest(w, OVS_ACTION_ATTR_CLONE, |w| {
                    for _ in 0..n {
                        set(w, OVS_KEY_ATTR_PRIORITY, &[0; 4])?;
                    }
                    Ok(())
                })
            })
        };
        let fits = (0xffff - 12) / 16;
        let list = clone_of_sets(fits)?;
        assert_eq!(copy(&key, list.as_slice())?.len(), 1);
        let list = clone_of_sets(fits + 1)?;
        assert_eq!(copy(&key, list.as_slice()).map(|_| ()), Err(EMSGSIZE));
        Ok(())
    }

    #[test]
    fn putting_needs_room() -> Result {
        let key = key(ETH_P_IP, IPPROTO_TCP);
        let list = list(|w| {
            clone_of(w, |w| {
                push_vlan(w)?;
                output(w)
            })
        })?;
        let actions = copy(&key, list.as_slice())?;
        for limit in 0..list.as_slice().len() {
            let mut buf = AttrBuf::with_limit(limit);
            assert_eq!(ovs_nla_put_actions(&actions, &mut buf), Err(EMSGSIZE));
            // A nest that does not fit leaves nothing.
            assert!(buf.is_empty());
        }
        Ok(())
    }
}
