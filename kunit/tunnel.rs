// SPDX-License-Identifier: GPL-2.0

//! Tunnels: keys and masks from netlink and back, lookups, and actions that
//! have packets sent through one.

use kernel::prelude::*;

#[kunit_tests(openvswitch_tunnel)]
mod tests {
    use super::*;

    use kernel_ext::{
        net::{
            ip_tunnels::{
                flags,
                IP_TUNNEL_INFO_BRIDGE,
                IP_TUNNEL_INFO_IPV6,
                IP_TUNNEL_INFO_TX, //
            },
            namespace::Net,
            netlink::{
                AttrBuf,
                AttrWriter,
                Nlattr, //
            },
        },
        sync::{
            bh::BhGuard,
            rcu_cell::RcuBox, //
        },
    };

    use crate::{
        actions::{
            Action,
            SwFlowActions, //
        },
        datapath::state::ovs_lock,
        flow::{
            key::SwFlowKey,
            tunnel::{
                KeyRef,
                MatchKey,
                TunnelKey,
                AF_INET,
                AF_INET6, //
            },
            SwFlowId, //
        },
        flow_netlink::{
            uapi::*,
            *, //
        },
        flow_table::FlowTable,
    };

    type Put = fn(&mut AttrBuf) -> Result;

    const SRC6: [u8; 16] = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    const DST6: [u8; 16] = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
    /// Two options: one of 4 bytes, and one without data.
    const GENEVE: [u8; 12] = [1, 2, 3, 1, 0xa, 0xb, 0xc, 0xd, 1, 2, 4, 0];

    fn nest(w: &mut AttrBuf, ty: u16, put: impl FnOnce(&mut AttrBuf) -> Result) -> Result {
        let mark = w.nest_start(ty)?;
        put(w)?;
        w.nest_end(mark)
    }

    fn id(w: &mut AttrBuf) -> Result {
        w.put(OVS_TUNNEL_KEY_ATTR_ID, &[0, 0, 0, 0, 0, 1, 2, 3])
    }

    fn addresses(w: &mut AttrBuf) -> Result {
        w.put(OVS_TUNNEL_KEY_ATTR_IPV4_SRC, &[10, 0, 0, 1])?;
        w.put(OVS_TUNNEL_KEY_ATTR_IPV4_DST, &[10, 0, 0, 2])
    }

    fn ttl(w: &mut AttrBuf) -> Result {
        w.put_u8(OVS_TUNNEL_KEY_ATTR_TTL, 64)
    }

    fn ports(w: &mut AttrBuf) -> Result {
        w.put_be16(OVS_TUNNEL_KEY_ATTR_TP_SRC, 49152)?;
        w.put_be16(OVS_TUNNEL_KEY_ATTR_TP_DST, 4789)
    }

    /// All but options, in the order of a dump.
    fn ipv4(w: &mut AttrBuf) -> Result {
        id(w)?;
        addresses(w)?;
        w.put_u8(OVS_TUNNEL_KEY_ATTR_TOS, 4)?;
        ttl(w)?;
        w.put_flag(OVS_TUNNEL_KEY_ATTR_DONT_FRAGMENT)?;
        w.put_flag(OVS_TUNNEL_KEY_ATTR_CSUM)?;
        ports(w)?;
        w.put_flag(OVS_TUNNEL_KEY_ATTR_OAM)
    }

    fn ipv6(w: &mut AttrBuf) -> Result {
        w.put(OVS_TUNNEL_KEY_ATTR_IPV6_SRC, &SRC6)?;
        w.put(OVS_TUNNEL_KEY_ATTR_IPV6_DST, &DST6)?;
        w.put_u8(OVS_TUNNEL_KEY_ATTR_TOS, 8)?;
        ttl(w)?;
        ports(w)
    }

    fn gbp(w: &mut AttrBuf) -> Result {
        nest(w, OVS_TUNNEL_KEY_ATTR_VXLAN_OPTS, |w| {
            w.put_u32(OVS_VXLAN_EXT_GBP, 0x0123_4567)
        })
    }

    /// Tunnels with all the fields that an exact mask has, so that a dump of
    /// that has the same attributes.
    const TUNNELS: &[(&str, Put)] = &[
        ("ipv4", ipv4),
        ("ipv6", ipv6),
        ("geneve", |w| {
            ipv4(w)?;
            w.put(OVS_TUNNEL_KEY_ATTR_GENEVE_OPTS, &GENEVE)
        }),
        ("most geneve options", |w| {
            ipv4(w)?;
            w.put(OVS_TUNNEL_KEY_ATTR_GENEVE_OPTS, &[0x5a; 252])
        }),
        ("vxlan", |w| {
            ipv4(w)?;
            gbp(w)
        }),
        ("erspan", |w| {
            ipv6(w)?;
            w.put(OVS_TUNNEL_KEY_ATTR_ERSPAN_OPTS, &[7; 12])
        }),
    ];

    /// A flow key with this tunnel, in the order of a dump.
    fn flow_key(tunnel: impl FnOnce(&mut AttrBuf) -> Result) -> Result<AttrBuf> {
        let mut buf = AttrBuf::new();
        nest(&mut buf, OVS_FLOW_ATTR_KEY, |w| {
            w.put_u32(OVS_KEY_ATTR_RECIRC_ID, 0)?;
            w.put_u32(OVS_KEY_ATTR_DP_HASH, 0)?;
            w.put_u32(OVS_KEY_ATTR_PRIORITY, 0)?;
            nest(w, OVS_KEY_ATTR_TUNNEL, tunnel)?;
            w.put_u32(OVS_KEY_ATTR_IN_PORT, 1)?;
            w.put_u32(OVS_KEY_ATTR_SKB_MARK, 0)?;
            w.put_u32(OVS_KEY_ATTR_CT_STATE, 0)?;
            w.put_u16(OVS_KEY_ATTR_CT_ZONE, 0)?;
            w.put_u32(OVS_KEY_ATTR_CT_MARK, 0)?;
            w.put(OVS_KEY_ATTR_CT_LABELS, &[0; 16])?;
            w.put(OVS_KEY_ATTR_ETHERNET, &[2; 12])?;
            w.put_be16(OVS_KEY_ATTR_ETHERTYPE, 0x9000)
        })?;
        Ok(buf)
    }

    /// A mask with just this tunnel.
    fn mask(tunnel: impl FnOnce(&mut AttrBuf) -> Result) -> Result<AttrBuf> {
        let mut buf = AttrBuf::new();
        nest(&mut buf, OVS_FLOW_ATTR_MASK, |w| {
            nest(w, OVS_KEY_ATTR_TUNNEL, tunnel)
        })?;
        Ok(buf)
    }

    fn first(buf: &AttrBuf) -> Result<Nlattr<'_>> {
        buf.first().ok_or(EINVAL)
    }

    /// The tunnel attribute of a key or a mask.
    fn tunnel_of(buf: &AttrBuf) -> Result<Nlattr<'_>> {
        first(buf)?
            .nested()
            .find(|attr| attr.ty() == OVS_KEY_ATTR_TUNNEL)
            .ok_or(ENOENT)
    }

    fn exact(tunnel: Put) -> Result<KBox<SwFlowMatch>> {
        ovs_nla_get_match(Net::init(), first(&flow_key(tunnel)?)?, None, true)
    }

    #[test]
    fn keys_come_back() -> Result {
        for &(name, put) in TUNNELS {
            let key = flow_key(put)?;
            let m = exact(put)?;
            let mut buf = AttrBuf::new();
            ovs_nla_put_masked_key(&m.key, &mut buf)?;
            if buf.as_slice() != key.as_slice() {
                pr_err!("key of {} differs\n", name);
            }
            assert!(buf.as_slice() == key.as_slice());
            assert_eq!(m.mask.tun_proto, 0xff);
        }
        Ok(())
    }

    #[test]
    fn exact_masks_have_all_fields() -> Result {
        for &(name, put) in TUNNELS {
            let m = exact(put)?;
            let mut buf = AttrBuf::new();
            ovs_nla_put_mask(&m.key, &m.mask, &mut buf)?;
            let key = flow_key(put)?;
            let mut theirs = tunnel_of(&key)?.nested();
            for attr in tunnel_of(&buf)?.nested() {
                let want = theirs.next().ok_or(ENOENT)?;
                let ones = match attr.ty() {
                    OVS_TUNNEL_KEY_ATTR_VXLAN_OPTS => {
                        attr.nested().all(|gbp| gbp.get_u32() == Some(u32::MAX))
                    }
                    _ => attr.payload().iter().all(|&byte| byte == 0xff),
                };
                if attr.ty() != want.ty() || attr.len() != want.len() || !ones {
                    pr_err!("mask of {}: attribute {}\n", name, attr.ty());
                    return Err(EINVAL);
                }
            }
            assert!(theirs.next().is_none());
        }
        // What the key has no attribute for is matched on as zero, except for
        // flags.
        let m = exact(|w| {
            w.put(OVS_TUNNEL_KEY_ATTR_IPV4_DST, &[1, 2, 3, 4])?;
            ttl(w)
        })?;
        assert_eq!(m.mask.tun.tun_key.ipv4_src(), [0xff; 4]);
        assert_eq!(m.mask.tun.tun_key.tun_id, [0xff; 8]);
        assert_eq!(m.mask.tun.tun_key.label.get(), u32::MAX);
        assert_eq!(m.mask.tun.tun_key.tun_flags, 0);
        assert_eq!(m.mask.tun.tun_opts_len, 0);
        Ok(())
    }

    #[test]
    fn fields_are_where_they_belong() -> Result {
        let m = exact(ipv4)?;
        let key = &m.key.tun.tun_key;
        assert_eq!(m.key.tun_proto, AF_INET);
        assert_eq!(key.tun_id, [0, 0, 0, 0, 0, 1, 2, 3]);
        assert_eq!(key.ipv4_src(), [10, 0, 0, 1]);
        assert_eq!(key.ipv4_dst(), [10, 0, 0, 2]);
        assert_eq!((key.tos, key.ttl), (4, 64));
        assert_eq!((key.tp_src.get(), key.tp_dst.get()), (49152, 4789));
        let all = flags::KEY | flags::DONT_FRAGMENT | flags::CSUM | flags::OAM;
        assert_eq!(key.tun_flags, all);
        let m = exact(ipv6)?;
        assert_eq!(m.key.tun_proto, AF_INET6);
        assert_eq!(m.key.tun.tun_key.ipv6_src(), SRC6);
        assert_eq!(m.key.tun.tun_key.ipv6_dst(), DST6);
        Ok(())
    }

    /// Tunnels that are refused in a key, in an action, and but for the last
    /// ones in a mask.
    const BAD: &[(&str, Put)] = &[
        ("past the last", |w| {
            ipv4(w)?;
            w.put_u8(OVS_TUNNEL_KEY_ATTR_MAX + 1, 1)
        }),
        ("long ttl", |w| {
            addresses(w)?;
            w.put_be16(OVS_TUNNEL_KEY_ATTR_TTL, 64)
        }),
        ("both protocols", |w| {
            ipv4(w)?;
            ipv6(w)
        }),
        ("two kinds of options", |w| {
            ipv4(w)?;
            gbp(w)?;
            w.put(OVS_TUNNEL_KEY_ATTR_ERSPAN_OPTS, &[7; 12])
        }),
        ("odd geneve options", |w| {
            ipv4(w)?;
            w.put(OVS_TUNNEL_KEY_ATTR_GENEVE_OPTS, &[0; 6])
        }),
        ("long geneve options", |w| {
            ipv4(w)?;
            w.put(OVS_TUNNEL_KEY_ATTR_GENEVE_OPTS, &[0; 256])
        }),
        ("long erspan options", |w| {
            ipv4(w)?;
            w.put(OVS_TUNNEL_KEY_ATTR_ERSPAN_OPTS, &[0; 256])
        }),
        ("unknown vxlan extension", |w| {
            ipv4(w)?;
            nest(w, OVS_TUNNEL_KEY_ATTR_VXLAN_OPTS, |w| w.put_u32(2, 0))
        }),
        ("short vxlan extension", |w| {
            ipv4(w)?;
            nest(w, OVS_TUNNEL_KEY_ATTR_VXLAN_OPTS, |w| {
                w.put_u8(OVS_VXLAN_EXT_GBP, 0)
            })
        }),
        ("no address", ttl),
        ("no destination", |w| {
            w.put(OVS_TUNNEL_KEY_ATTR_IPV4_SRC, &[1; 4])?;
            ttl(w)
        }),
        ("no ttl", addresses),
        ("an address beside the id alone", |w| {
            id(w)?;
            addresses(w)?;
            w.put_flag(OVS_TUNNEL_KEY_ATTR_IPV4_INFO_BRIDGE)
        }),
    ];

    /// How many of these a mask may have.
    const GOOD_FOR_MASKS: usize = 4;

    fn copy(actions: &AttrBuf) -> Result<SwFlowActions> {
        let key = SwFlowKey::zeroed();
        ovs_nla_copy_actions(Net::init(), Nlattr::new(1, actions.as_slice()), &key, false)
    }

    fn set(tunnel: Put) -> Result<AttrBuf> {
        let mut buf = AttrBuf::new();
        nest(&mut buf, OVS_ACTION_ATTR_SET, |w| {
            nest(w, OVS_KEY_ATTR_TUNNEL, tunnel)
        })?;
        Ok(buf)
    }

    #[test]
    fn bad_tunnels_are_refused() -> Result {
        for (i, &(name, put)) in BAD.iter().enumerate() {
            let key = flow_key(put)?;
            let mut key_err = ovs_nla_get_match(Net::init(), first(&key)?, None, false).err();
            if key_err.is_none() {
                pr_err!("bad key taken: {}\n", name);
            }
            assert_eq!(key_err, Some(EINVAL));

            key_err = copy(&set(put)?).err();
            if key_err.is_none() {
                pr_err!("bad action taken: {}\n", name);
            }
            assert_eq!(key_err, Some(EINVAL));

            let key = flow_key(ipv4)?;
            let taken =
                ovs_nla_get_match(Net::init(), first(&key)?, Some(first(&mask(put)?)?), false)
                    .is_ok();
            if taken != (i + GOOD_FOR_MASKS >= BAD.len()) {
                pr_err!("mask taken, {}: {}\n", taken, name);
                return Err(EINVAL);
            }
        }
        Ok(())
    }

    #[test]
    fn geneve_masks_are_as_long_as_keys() -> Result {
        let key = flow_key(|w| {
            ipv4(w)?;
            w.put(OVS_TUNNEL_KEY_ATTR_GENEVE_OPTS, &GENEVE)
        })?;
        for (len, good) in [(0, false), (8, false), (12, true), (16, false)] {
            let ones = [0xff; 16];
            let mask = mask(|w| {
                w.put(
                    OVS_TUNNEL_KEY_ATTR_GENEVE_OPTS,
                    ones.get(..len).unwrap_or_default(),
                )
            })?;
            let m = ovs_nla_get_match(Net::init(), first(&key)?, Some(first(&mask)?), false);
            assert_eq!(m.is_ok(), good);
        }
        Ok(())
    }

    #[test]
    fn actions_come_back() -> Result {
        for &(name, put) in TUNNELS {
            // The options of one are no options of Geneve.
            if name == "most geneve options" {
                assert!(copy(&set(put)?).is_err());
                continue;
            }
            let list = set(put)?;
            let actions = copy(&list)?;
            let mut buf = AttrBuf::new();
            ovs_nla_put_actions(&actions.list, &mut buf)?;
            if buf.as_slice() != list.as_slice() {
                pr_err!("action of {} differs\n", name);
            }
            assert!(buf.as_slice() == list.as_slice());
        }
        Ok(())
    }

    /// The mode and the flags of what packets are sent through.
    fn sent_with(tunnel: Put) -> Result<(u8, u32)> {
        let actions = copy(&set(tunnel)?)?;
        match actions.list.first() {
            Some(Action::SetTunnel(dst)) => {
                let info = dst.tun_info();
                Ok((info.mode(), info.key().tun_flags))
            }
            _ => Err(EINVAL),
        }
    }

    #[test]
    fn actions_know_what_is_sent() -> Result {
        const TX: u8 = IP_TUNNEL_INFO_TX;
        assert_eq!(sent_with(addressed)?, (TX, 0));
        assert_eq!(sent_with(ipv6)?, (TX | IP_TUNNEL_INFO_IPV6, 0));
        let bridged = sent_with(|w| {
            id(w)?;
            w.put_flag(OVS_TUNNEL_KEY_ATTR_IPV4_INFO_BRIDGE)
        })?;
        assert_eq!(bridged, (TX | IP_TUNNEL_INFO_BRIDGE, flags::KEY));
        let critical = sent_with(|w| {
            addressed(w)?;
            w.put(OVS_TUNNEL_KEY_ATTR_GENEVE_OPTS, &[1, 2, 0x80, 0])
        })?;
        assert_eq!(critical, (TX, flags::GENEVE_OPT | flags::CRIT_OPT));

        // Not under a mask.
        let mut masked = AttrBuf::new();
        nest(&mut masked, OVS_ACTION_ATTR_SET_MASKED, |w| {
            nest(w, OVS_KEY_ATTR_TUNNEL, addressed)
        })?;
        assert_eq!(copy(&masked).err(), Some(EINVAL));
        Ok(())
    }

    fn addressed(w: &mut AttrBuf) -> Result {
        addresses(w)?;
        ttl(w)
    }

    #[test]
    fn what_is_sent_is_what_is_received() -> Result {
        for &(name, put) in TUNNELS {
            if name == "most geneve options" {
                continue;
            }
            let m = exact(put)?;
            let actions = copy(&set(put)?)?;
            let Some(Action::SetTunnel(dst)) = actions.list.first() else {
                return Err(EINVAL);
            };
            let mut tun = TunnelKey::zeroed();
            let tun_proto = tun.extract(dst.tun_info());
            if tun != m.key.tun {
                pr_err!("{} differs\n", name);
            }
            assert!(tun == m.key.tun);
            assert_eq!(tun_proto, m.key.tun_proto);
        }
        Ok(())
    }

    #[test]
    fn lookups_see_the_tunnel() -> Result {
        let table = KBox::init(FlowTable::init(), GFP_KERNEL)?;
        let lock = ovs_lock();
        let find = |key: KeyRef<'_>| -> Option<u8> {
            let guard = BhGuard::new();
            let flow = table.lookup(guard.proof(), key).flow?;
            flow.id().as_ufid()?.first().copied()
        };
        let insert = |key: &MatchKey, mask: &MatchKey, number: u8| -> Result {
            let id = SwFlowId::ufid(&[number]).ok_or(EINVAL)?;
            let actions = RcuBox::new(SwFlowActions::new(0, KVec::new()), GFP_KERNEL)?;
            table.insert(&lock, key, mask, id, actions).map(|_| ())
        };

        // By the id, by a byte of the options, and without a tunnel.
        let with_options: Put = |w| {
            ipv4(w)?;
            w.put(OVS_TUNNEL_KEY_ATTR_GENEVE_OPTS, &GENEVE)
        };
        let key = flow_key(with_options)?;
        let by_id = ovs_nla_get_match(
            Net::init(),
            first(&key)?,
            Some(first(&mask(|w| {
                w.put(OVS_TUNNEL_KEY_ATTR_ID, &[0xff; 8])
            })?)?),
            true,
        )?;
        let mut by_option = ovs_nla_get_match(
            Net::init(),
            first(&key)?,
            Some(first(&mask(|w| {
                w.put(
                    OVS_TUNNEL_KEY_ATTR_GENEVE_OPTS,
                    &[0, 0, 0, 0, 0, 0, 0, 0xff, 0, 0, 0, 0],
                )
            })?)?),
            true,
        )?;
        by_option.key.key.in_port = 2;
        by_option.mask.key.in_port = 0xffff;
        let mut none = MatchKey::zeroed();
        none.key = by_id.key.key;
        none.key.tun_proto = 0;
        insert(&by_id.key, &by_id.mask, 1)?;
        insert(&by_option.key, &by_option.mask, 2)?;
        insert(&none, &by_id.mask, 3)?;

        let mut packet = by_id.key;
        let tun = packet.tun;
        assert_eq!(find(packet.as_ref()), Some(1));
        packet.tun.tun_key.tun_id = [9; 8];
        assert_eq!(find(packet.as_ref()), None);
        // The option counts on port 2.
        packet.key.in_port = 2;
        assert_eq!(find(packet.as_ref()), Some(2));
        let mut option = GENEVE;
        option[7] = 0;
        packet.tun.set_opts(&option);
        assert_eq!(find(packet.as_ref()), None);
        // No option is another length.
        packet.tun = tun;
        packet.tun.tun_key.tun_id = [9; 8];
        packet.tun.tun_opts_len = 8;
        assert_eq!(find(packet.as_ref()), None);
        // Without a tunnel.
        let KeyRef { key, .. } = none.as_ref();
        assert_eq!(find(KeyRef { key, tun: None }), Some(3));

        // All come back whole.
        let flow = table.lookup_key(&lock, &by_id.key).ok_or(ENOENT)?;
        assert_eq!(flow.key().tun.tun_key.tun_id, tun.tun_key.tun_id);
        assert_eq!(flow.key().tun.tun_key.ttl, 0);
        assert!(*flow.mask().key() == by_id.mask);
        table.flush(&lock);
        Ok(())
    }
}
