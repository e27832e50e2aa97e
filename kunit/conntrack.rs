// SPDX-License-Identifier: GPL-2.0

//! Connection tracking: the ct action in netlink and back, and what it does to a
//! packet and to its key.

use kernel::prelude::*;

#[kunit_tests(openvswitch_conntrack)]
mod tests {
    use super::*;

    use kernel_ext::{
        net::{
            namespace::Net,
            netdevice::NetDevice,
            netlink::{
                AttrBuf,
                AttrWriter,
                Nlattr, //
            },
            skbuff::SkBuff, //
        },
        sync::{
            bh::BhGuard,
            rcu::RcuRead, //
        },
        uapi::{
            OVS_CS_F_ESTABLISHED,
            OVS_CS_F_INVALID,
            OVS_CS_F_NEW,
            OVS_CS_F_REPLY_DIR,
            OVS_CS_F_SRC_NAT,
            OVS_CS_F_TRACKED, //
        },
    };
    use zerocopy::IntoBytes;

    use crate::{
        actions::cb::OvsSkbCb,
        conntrack::{
            ovs_ct_action_to_attr,
            ovs_ct_clear,
            ovs_ct_copy_action,
            ovs_ct_execute,
            uapi::*,
            ConntrackInfo, //
        },
        flow::{
            extract::key_extract_packet,
            key::{
                SwFlowKey,
                MAC_PROTO_ETHERNET, //
            },
        },
        flow_netlink::uapi::*, //
    };

    type Put = fn(&mut AttrBuf) -> Result;

    const CLIENT: [u8; 4] = [198, 18, 77, 1];
    const SERVER: [u8; 4] = [198, 18, 77, 2];
    const OTHER: [u8; 4] = [198, 18, 77, 3];

    /// A zone for each test, so that no connection is another test's.
    #[derive(Clone, Copy)]
    struct Zone(u16);

    fn ipv4_key() -> SwFlowKey {
        let mut key = SwFlowKey::zeroed();
        key.mac_proto = MAC_PROTO_ETHERNET;
        key.eth_type = ETH_P_IP.into();
        key.ip_proto = IPPROTO_UDP;
        key
    }

    fn nest(w: &mut AttrBuf, ty: u16, put: impl FnOnce(&mut AttrBuf) -> Result) -> Result {
        let mark = w.nest_start(ty)?;
        put(w)?;
        w.nest_end(mark)
    }

    fn attrs(put: impl FnOnce(&mut AttrBuf) -> Result) -> Result<AttrBuf> {
        let mut buf = AttrBuf::new();
        put(&mut buf)?;
        Ok(buf)
    }

    fn copy(body: &[u8]) -> Result<KBox<ConntrackInfo>> {
        let attr = Nlattr::new(OVS_ACTION_ATTR_CT, body);
        ovs_ct_copy_action(Net::init(), attr, &ipv4_key(), false)
    }

    fn action(zone: Zone, put: Put) -> Result<KBox<ConntrackInfo>> {
        let body = attrs(|w| {
            w.put_u16(OVS_CT_ATTR_ZONE, zone.0)?;
            put(w)
        })?;
        copy(body.as_slice())
    }

    /// In the order of a dump, so that the same comes back.
    const GOOD: &[(&str, Put)] = &[
        ("zone", |w| w.put_u16(OVS_CT_ATTR_ZONE, 5)),
        ("commit", |w| {
            w.put_flag(OVS_CT_ATTR_COMMIT)?;
            w.put_u16(OVS_CT_ATTR_ZONE, 0)
        }),
        ("all but NAT", |w| {
            w.put_flag(OVS_CT_ATTR_FORCE_COMMIT)?;
            w.put_u16(OVS_CT_ATTR_ZONE, 0xffff)?;
            w.put(OVS_CT_ATTR_MARK, [0x11u32, 0xff].as_bytes())?;
            w.put(OVS_CT_ATTR_LABELS, &[3; 32])?;
            w.put_u32(OVS_CT_ATTR_EVENTMASK, 0x1234_5678)
        }),
        #[cfg(CONFIG_NF_NAT_OVS)]
        ("NAT", |w| {
            w.put_flag(OVS_CT_ATTR_COMMIT)?;
            w.put_u16(OVS_CT_ATTR_ZONE, 1)?;
            nest(w, OVS_CT_ATTR_NAT, |w| {
                w.put_flag(OVS_NAT_ATTR_DST)?;
                w.put(OVS_NAT_ATTR_IP_MIN, &SERVER)?;
                w.put(OVS_NAT_ATTR_IP_MAX, &OTHER)?;
                w.put_u16(OVS_NAT_ATTR_PROTO_MIN, 7)?;
                w.put_u16(OVS_NAT_ATTR_PROTO_MAX, 9)?;
                w.put_flag(OVS_NAT_ATTR_PERSISTENT)?;
                w.put_flag(OVS_NAT_ATTR_PROTO_HASH)?;
                w.put_flag(OVS_NAT_ATTR_PROTO_RANDOM)
            })
        }),
        #[cfg(CONFIG_NF_NAT_OVS)]
        ("NAT of what there is", |w| {
            w.put_u16(OVS_CT_ATTR_ZONE, 1)?;
            nest(w, OVS_CT_ATTR_NAT, |_| Ok(()))
        }),
    ];

    #[test]
    fn actions_come_back() -> Result {
        for &(name, put) in GOOD {
            let body = attrs(put)?;
            let whole = attrs(|w| w.put(OVS_ACTION_ATTR_CT, body.as_slice()))?;
            let mut dump = AttrBuf::new();
            ovs_ct_action_to_attr(&*copy(body.as_slice())?, &mut dump)?;
            if dump.as_slice() != whole.as_slice() {
                pr_err!("{} differs\n", name);
            }
            assert!(dump.as_slice() == whole.as_slice());
        }
        Ok(())
    }

    const BAD: &[(&str, Error, Put)] = &[
        ("type 0", EINVAL, |w| w.put_flag(0)),
        ("type past the last", EINVAL, |w| w.put_flag(10)),
        ("commit of a length", EINVAL, |w| {
            w.put_u32(OVS_CT_ATTR_COMMIT, 1)
        }),
        ("long zone", EINVAL, |w| w.put_u32(OVS_CT_ATTR_ZONE, 1)),
        ("mark without commit", EINVAL, |w| {
            w.put(OVS_CT_ATTR_MARK, [1u32, 1].as_bytes())
        }),
        ("mark without mask", EINVAL, |w| {
            w.put_flag(OVS_CT_ATTR_COMMIT)?;
            w.put(OVS_CT_ATTR_MARK, [1u32, 0].as_bytes())
        }),
        ("labels without commit", EINVAL, |w| {
            w.put(OVS_CT_ATTR_LABELS, &[1; 32])
        }),
        ("no such helper", EINVAL, |w| {
            w.put(OVS_CT_ATTR_HELPER, b"no such one\0")
        }),
        ("helper without end", EINVAL, |w| {
            w.put(OVS_CT_ATTR_HELPER, b"ftp")
        }),
        ("timeout without end", EINVAL, |w| {
            w.put(OVS_CT_ATTR_TIMEOUT, b"x")
        }),
        ("NAT without commit", EINVAL, |w| {
            nest(w, OVS_CT_ATTR_NAT, |w| w.put_flag(OVS_NAT_ATTR_SRC))
        }),
        #[cfg(CONFIG_NF_NAT_OVS)]
        ("two kinds of NAT", ERANGE, |w| {
            w.put_flag(OVS_CT_ATTR_COMMIT)?;
            nest(w, OVS_CT_ATTR_NAT, |w| {
                w.put_flag(OVS_NAT_ATTR_SRC)?;
                w.put_flag(OVS_NAT_ATTR_DST)
            })
        }),
        ("address of another length", EINVAL, |w| {
            w.put_flag(OVS_CT_ATTR_COMMIT)?;
            nest(w, OVS_CT_ATTR_NAT, |w| {
                w.put_flag(OVS_NAT_ATTR_SRC)?;
                w.put(OVS_NAT_ATTR_IP_MIN, &[0; 16])
            })
        }),
    ];

    #[test]
    fn bad_actions_are_refused() -> Result {
        for &(name, err, put) in BAD {
            let result = copy(attrs(put)?.as_slice()).map(|_| ());
            if result != Err(err) {
                pr_err!("{}: {:?}\n", name, result);
            }
            assert_eq!(result, Err(err));
        }
        let mut arp = ipv4_key();
        arp.eth_type = ETH_P_ARP.into();
        let attr = Nlattr::new(OVS_ACTION_ATTR_CT, &[]);
        let result = ovs_ct_copy_action(Net::init(), attr, &arp, false).map(|_| ());
        assert_eq!(result, Err(EINVAL));
        Ok(())
    }

    /// A UDP packet, or its bytes from `from` to `to` as a fragment.
    fn udp(src: [u8; 4], dst: [u8; 4], ports: [u16; 2], frag_off: u16) -> Result<KVec<u8>> {
        let mut bytes = KVec::new();
        bytes.extend_from_slice(&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0], GFP_KERNEL)?;
        bytes.extend_from_slice(&[0x45, 0, 0, 44, 0, 7], GFP_KERNEL)?;
        bytes.extend_from_slice(&frag_off.to_be_bytes(), GFP_KERNEL)?;
        bytes.extend_from_slice(&[64, IPPROTO_UDP, 0, 0], GFP_KERNEL)?;
        bytes.extend_from_slice(&src, GFP_KERNEL)?;
        bytes.extend_from_slice(&dst, GFP_KERNEL)?;
        // No checksum. A first fragment has the length of both.
        let len: u16 = if frag_off == 0 { 24 } else { 48 };
        for word in [ports[0], ports[1], len, 0] {
            bytes.extend_from_slice(&word.to_be_bytes(), GFP_KERNEL)?;
        }
        bytes.extend_from_slice(&[0x55; 16], GFP_KERNEL)?;
        // The checksum of the IP header.
        let mut sum = 0u32;
        for pair in bytes.get(14..34).unwrap_or_default().chunks_exact(2) {
            sum += u32::from(pair[0]) << 8 | u32::from(pair[1]);
        }
        sum = (sum & 0xffff) + (sum >> 16);
        let check = !(sum as u16);
        if let Some(to) = bytes.get_mut(24..26) {
            to.copy_from_slice(&check.to_be_bytes());
        }
        Ok(bytes)
    }

    /// A packet with its key, as if the loopback device had received it.
    struct Packet {
        skb: Option<SkBuff>,
        key: SwFlowKey,
    }

    impl Packet {
        fn new(bytes: &[u8], rcu: RcuRead<'_>) -> Result<Self> {
            let mut skb = SkBuff::dev_alloc_copy(bytes, GFP_ATOMIC)?;
            *skb.cb_mut() = OvsSkbCb::default();
            let lo = NetDevice::get_by_index(Net::init(), 1, rcu).ok_or(ENODEV)?;
            lo.set_skb_dev(&mut skb, rcu);
            let mut key = SwFlowKey::zeroed();
            key.mac_proto = MAC_PROTO_ETHERNET;
            key_extract_packet(&mut skb, &mut key)?;
            Ok(Self {
                skb: Some(skb),
                key,
            })
        }

        fn ct(&mut self, info: &ConntrackInfo, rcu: RcuRead<'_>) -> Result {
            let skb = self.skb.take().ok_or(EINVAL)?;
            self.skb = ovs_ct_execute(rcu, Net::init(), skb, &mut self.key, info)?;
            Ok(())
        }

        fn skb(&mut self) -> Result<&mut SkBuff> {
            self.skb.as_mut().ok_or(EINVAL)
        }

        fn has_state(&self, state: u32) -> bool {
            u32::from(self.key.ct_state) == state
        }
    }

    const NEW: u32 = OVS_CS_F_TRACKED | OVS_CS_F_NEW;
    const REPLY: u32 = OVS_CS_F_TRACKED | OVS_CS_F_ESTABLISHED | OVS_CS_F_REPLY_DIR;

    #[test]
    fn a_connection_is_new_until_both_have_sent() -> Result {
        let zone = Zone(0x7001);
        let look = action(zone, |_| Ok(()))?;
        let commit = action(zone, |w| w.put_flag(OVS_CT_ATTR_COMMIT))?;
        let forth = udp(CLIENT, SERVER, [1000, 2000], 0)?;
        let back = udp(SERVER, CLIENT, [2000, 1000], 0)?;
        let guard = BhGuard::new();
        let rcu = guard.proof().rcu();

        // Before it is committed, nobody knows of it.
        for _ in 0..2 {
            let mut packet = Packet::new(&forth, rcu)?;
            packet.ct(&look, rcu)?;
            assert!(packet.has_state(NEW));
            assert_eq!(packet.key.ct_zone, zone.0);
            assert_eq!(packet.key.ct_orig_proto, IPPROTO_UDP);
            assert!(packet.key.ct_orig_src.starts_with(&CLIENT));
            assert!(packet.key.ct_orig_dst.starts_with(&SERVER));
            assert_eq!(packet.key.ct_orig_tp_src.get(), 1000);
            assert_eq!(packet.key.ct_orig_tp_dst.get(), 2000);
        }

        let mut first = Packet::new(&forth, rcu)?;
        first.ct(&commit, rcu)?;
        assert!(first.has_state(NEW));
        let mut reply = Packet::new(&back, rcu)?;
        reply.ct(&look, rcu)?;
        assert!(reply.has_state(REPLY));
        assert!(reply.key.ct_orig_src.starts_with(&CLIENT));
        let mut third = Packet::new(&forth, rcu)?;
        third.ct(&look, rcu)?;
        assert!(third.has_state(OVS_CS_F_TRACKED | OVS_CS_F_ESTABLISHED));
        Ok(())
    }

    #[test]
    fn packets_are_given_back_as_they_came() -> Result {
        let look = action(Zone(0x7002), |_| Ok(()))?;
        let bytes = udp(CLIENT, SERVER, [1000, 2000], 0)?;
        let guard = BhGuard::new();
        let rcu = guard.proof().rcu();
        let mut packet = Packet::new(&bytes, rcu)?;
        packet.skb()?.cb_mut::<OvsSkbCb>().upcall_pid = 5;
        packet.ct(&look, rcu)?;
        assert!(packet.skb()?.data() == bytes.as_slice());
        assert_eq!(packet.skb()?.network_offset(), 14);
        assert_eq!(packet.skb()?.cb::<OvsSkbCb>().upcall_pid, 5);
        Ok(())
    }

    #[test]
    fn mark_and_labels_are_set_under_masks() -> Result {
        let zone = Zone(0x7003);
        let first = action(zone, |w| {
            w.put_flag(OVS_CT_ATTR_COMMIT)?;
            w.put(OVS_CT_ATTR_MARK, [0x1234_5678u32, u32::MAX].as_bytes())?;
            w.put(OVS_CT_ATTR_LABELS, [u64::MAX, u64::MAX, 0xff, 0].as_bytes())
        })?;
        let second = action(zone, |w| {
            w.put_flag(OVS_CT_ATTR_COMMIT)?;
            w.put(OVS_CT_ATTR_MARK, [0u32, 0xff].as_bytes())?;
            w.put(OVS_CT_ATTR_LABELS, [0u64, 0, 0xf, 0].as_bytes())
        })?;
        let bytes = udp(CLIENT, SERVER, [1000, 2000], 0)?;
        let guard = BhGuard::new();
        let rcu = guard.proof().rcu();

        let mut packet = Packet::new(&bytes, rcu)?;
        packet.ct(&first, rcu)?;
        assert_eq!(packet.key.ct_mark, 0x1234_5678);
        assert!(packet.key.ct_labels == [[0xffu64, 0]].as_bytes());
        let mut packet = Packet::new(&bytes, rcu)?;
        packet.ct(&second, rcu)?;
        assert_eq!(packet.key.ct_mark, 0x1234_5600);
        assert!(packet.key.ct_labels == [[0xf0u64, 0]].as_bytes());
        Ok(())
    }

    #[test]
    fn nobody_else_has_a_connection_that_is_changed() -> Result {
        let look = action(Zone(0x7004), |_| Ok(()))?;
        let commit = action(Zone(0x7004), |w| {
            w.put_flag(OVS_CT_ATTR_COMMIT)?;
            w.put(OVS_CT_ATTR_MARK, [7u32, 7].as_bytes())
        })?;
        let bytes = udp(CLIENT, SERVER, [1000, 2000], 0)?;
        let guard = BhGuard::new();
        let rcu = guard.proof().rcu();
        let mut packet = Packet::new(&bytes, rcu)?;
        assert!(packet.skb()?.nf_ct_unconfirmed().is_none());
        packet.ct(&look, rcu)?;
        assert!(packet.skb()?.nf_ct_unconfirmed().is_some());
        let clone = packet.skb()?.try_clone(GFP_ATOMIC).ok_or(ENOMEM)?;
        assert!(packet.skb()?.nf_ct_unconfirmed().is_none());
        drop(clone);
        assert!(packet.skb()?.nf_ct_unconfirmed().is_some());

        // A clone shares it: who commits has another one.
        let clone = packet.skb()?.try_clone(GFP_ATOMIC).ok_or(ENOMEM)?;
        packet.ct(&commit, rcu)?;
        assert_eq!(packet.key.ct_mark, 7);
        let marks = [clone.nf_ct(), packet.skb()?.nf_ct()].map(|ct| ct.map(|(ct, _)| ct.mark()));
        assert!(marks == [Some(0), Some(7)]);
        Ok(())
    }

    #[test]
    fn a_cleared_packet_has_no_connection() -> Result {
        let look = action(Zone(0x7005), |_| Ok(()))?;
        let bytes = udp(CLIENT, SERVER, [1000, 2000], 0)?;
        let guard = BhGuard::new();
        let rcu = guard.proof().rcu();
        let mut packet = Packet::new(&bytes, rcu)?;
        let untracked = packet.key;
        packet.ct(&look, rcu)?;
        assert!(packet.key != untracked);
        let Packet { skb, key } = &mut packet;
        ovs_ct_clear(skb.as_mut().ok_or(EINVAL)?, key)?;
        assert!(packet.key == untracked);
        assert!(packet.skb()?.nf_ct().is_none());
        packet.ct(&look, rcu)?;
        assert!(packet.has_state(NEW));
        Ok(())
    }

    #[test]
    fn what_is_no_packet_of_a_connection_is_invalid() -> Result {
        let look = action(Zone(0x7006), |_| Ok(()))?;
        let commit = action(Zone(0x7006), |w| w.put_flag(OVS_CT_ATTR_COMMIT))?;
        let bytes = udp(CLIENT, SERVER, [1000, 2000], 0)?;
        let guard = BhGuard::new();
        let rcu = guard.proof().rcu();
        // Cut in the IP header, and in the UDP header.
        for len in [15, 20, 33, 34, 38] {
            for info in [&look, &commit] {
                let cut = bytes.get(..len).ok_or(EINVAL)?;
                let mut packet = Packet::new(cut, rcu)?;
                packet.ct(info, rcu)?;
                assert!(packet.has_state(OVS_CS_F_TRACKED | OVS_CS_F_INVALID));
                assert_eq!(packet.key.ct_zone, 0x7006);
                assert!(packet.skb()?.data() == cut);
            }
        }
        Ok(())
    }

    #[test]
    fn fragments_wait_for_each_other() -> Result {
        const IP_MF: u16 = 0x2000;

        let look = action(Zone(0x7007), |_| Ok(()))?;
        let first = udp(CLIENT, SERVER, [1000, 2000], IP_MF)?;
        let last = udp(CLIENT, SERVER, [1, 2], 3)?;
        let guard = BhGuard::new();
        let rcu = guard.proof().rcu();
        for order in [[&first, &last], [&last, &first]] {
            let [one, two] = order;
            let mut packet = Packet::new(one, rcu)?;
            packet.ct(&look, rcu)?;
            assert!(packet.skb.is_none());
            let mut packet = Packet::new(two, rcu)?;
            assert!(packet.key.ip_frag != 0);
            packet.skb()?.cb_mut::<OvsSkbCb>().upcall_pid = 5;
            packet.ct(&look, rcu)?;
            assert!(packet.has_state(NEW));
            assert_eq!(packet.key.ip_frag, 0);
            assert_eq!(packet.key.tp_src.get(), 1000);
            assert_eq!(packet.key.tp_dst.get(), 2000);
            assert_eq!(packet.skb()?.len(), 14 + 20 + 48);
            assert_eq!(packet.skb()?.network_offset(), 14);
            let cb = packet.skb()?.cb::<OvsSkbCb>();
            assert_eq!((cb.mru, cb.upcall_pid), (44, 5));
        }
        // One that stays alone goes when its time is over.
        let mut packet = Packet::new(&first, rcu)?;
        packet.ct(&look, rcu)?;
        assert!(packet.skb.is_none());
        Ok(())
    }

    #[cfg(CONFIG_NF_NAT_OVS)]
    #[test]
    fn the_key_has_translated_addresses() -> Result {
        let zone = Zone(0x7008);
        let snat = action(zone, |w| {
            w.put_flag(OVS_CT_ATTR_COMMIT)?;
            nest(w, OVS_CT_ATTR_NAT, |w| {
                w.put_flag(OVS_NAT_ATTR_SRC)?;
                w.put(OVS_NAT_ATTR_IP_MIN, &OTHER)?;
                w.put_u16(OVS_NAT_ATTR_PROTO_MIN, 5000)
            })
        })?;
        let nat = action(zone, |w| nest(w, OVS_CT_ATTR_NAT, |_| Ok(())))?;
        let forth = udp(CLIENT, SERVER, [1000, 2000], 0)?;
        let back = udp(SERVER, OTHER, [2000, 5000], 0)?;
        let guard = BhGuard::new();
        let rcu = guard.proof().rcu();

        let mut packet = Packet::new(&forth, rcu)?;
        packet.ct(&snat, rcu)?;
        assert!(packet.has_state(NEW | OVS_CS_F_SRC_NAT));
        assert!(packet.key.ipv4_src.to_bytes() == OTHER);
        assert_eq!(packet.key.tp_src.get(), 5000);
        assert!(packet.key.ipv4_dst.to_bytes() == SERVER);
        assert!(packet.key.ct_orig_src.starts_with(&CLIENT));
        assert!(packet.skb()?.data().get(26..30) == Some(&OTHER[..]));

        // Once in a zone.
        packet.ct(&nat, rcu)?;
        assert!(packet.key.ipv4_src.to_bytes() == OTHER);

        let mut packet = Packet::new(&back, rcu)?;
        packet.ct(&nat, rcu)?;
        assert!(packet.key.ipv4_dst.to_bytes() == CLIENT);
        assert_eq!(packet.key.tp_dst.get(), 1000);
        assert!(packet.skb()?.data().get(30..34) == Some(&CLIENT[..]));
        Ok(())
    }

    #[test]
    fn a_connection_that_was_lost_is_found_again() -> Result {
        let zone = Zone(0x7009);
        let commit = action(zone, |w| w.put_flag(OVS_CT_ATTR_COMMIT))?;
        let look = action(zone, |_| Ok(()))?;
        let bytes = udp(CLIENT, SERVER, [1000, 2000], 0)?;
        let guard = BhGuard::new();
        let rcu = guard.proof().rcu();
        let mut packet = Packet::new(&bytes, rcu)?;
        packet.ct(&commit, rcu)?;
        let key = packet.key;

        // As after an upcall: the key says that it was tracked.
        let mut again = Packet::new(&bytes, rcu)?;
        again.key = key;
        again.ct(&look, rcu)?;
        assert!(again.key == key);
        assert!(again.skb()?.nf_ct().is_some());
        Ok(())
    }
}
