// SPDX-License-Identifier: GPL-2.0

//! MPLS: label stacks in keys, and the actions that change them.

use kernel::prelude::*;

#[kunit_tests(openvswitch_mpls)]
mod tests {
    use super::*;

    use crate::{
        actions::{
            push_pop::{
                pop_mpls,
                pop_vlan,
                push_eth,
                push_mpls,
                push_vlan, //
            },
            set::execute_set_action,
            SetField, //
        },
        flow::{
            extract::{
                key_extract_packet,
                ovs_flow_key_update, //
            },
            key::{
                SwFlowKey,
                MAC_PROTO_ETHERNET,
                MAC_PROTO_NONE, //
            },
        },
        flow_netlink::{
            ovs_nla_copy_actions,
            ovs_nla_get_match,
            ovs_nla_put_actions,
            ovs_nla_put_mask,
            ovs_nla_put_masked_key,
            uapi::*, //
        },
    };
    use kernel_ext::net::{
        namespace::Net,
        netlink::{
            AttrBuf,
            AttrWriter,
            Nlattr, //
        },
        skbuff::{
            IpSummed,
            SkBuff, //
        }, //
    };
    use zerocopy::network_endian::U32 as Be32;

    const ETH: [u8; 12] = *b"\x02\0\0\0\0\x02\x02\0\0\0\0\x01";
    /// An IPv4 header and a UDP header.
    const UDP: [u8; 28] = *b"\x45\0\0\x1c\x12\x34\0\0\x40\x11\0\0\x0a\0\0\x01\x0a\0\0\x02\
        \x03\xe8\x07\xd0\0\x08\xab\xcd";
    /// The bit that says that an entry is the last one.
    const S: u32 = 0x100;

    /// The entry at this place of a stack.
    fn lse(place: usize, last: bool) -> u32 {
        (16 + place as u32) << 12 | if last { S } else { 0 } | 64
    }

    /// A frame with so many labels, of which the last one says so if `ends`.
    fn frame(labels: usize, ends: bool) -> Result<KVec<u8>> {
        let mut frame = KVec::new();
        frame.extend_from_slice(&ETH, GFP_KERNEL)?;
        frame.extend_from_slice(&[0x88, 0x47], GFP_KERNEL)?;
        for place in 0..labels {
            let entry = lse(place, ends && place + 1 == labels);
            frame.extend_from_slice(&entry.to_be_bytes(), GFP_KERNEL)?;
        }
        if ends {
            frame.extend_from_slice(&UDP, GFP_KERNEL)?;
        }
        Ok(frame)
    }

    fn extract(frame: &[u8], linear: usize) -> Result<(SkBuff, SwFlowKey)> {
        let mut skb = SkBuff::paged_copy(frame, linear)?;
        let mut key = SwFlowKey::zeroed();
        key.mac_proto = MAC_PROTO_ETHERNET;
        key_extract_packet(&mut skb, &mut key)?;
        Ok((skb, key))
    }

    #[test]
    fn three_labels_are_matched_on() -> Result {
        for labels in [0, 1, 2, 3, 4, 5, 254, 255, 256, 257, 300] {
            for ends in [true, false] {
                let frame = frame(labels, ends)?;
                for linear in [1, 14, 20, frame.len()] {
                    // What is not a label would be taken for one.
                    if linear > frame.len() || (labels == 0 && ends) {
                        continue;
                    }
                    let (skb, key) = extract(&frame, linear)?;
                    let count = if ends { labels.min(3) } else { 0 };
                    assert_eq!(key.mpls_num_labels_mask, (1u32 << count) - 1);
                    for (place, entry) in key.mpls_lse.iter().enumerate() {
                        if place < labels {
                            assert_eq!(entry.get(), lse(place, ends && place + 1 == labels));
                        }
                    }
                    // Behind the stack, or what there is of it.
                    assert_eq!(skb.inner_network_offset(), 14 + 4 * labels as isize);
                    assert_eq!(skb.network_offset(), 14);
                    assert_eq!(skb.len(), frame.len());
                }
            }
        }
        Ok(())
    }

    #[test]
    fn a_cut_stack_has_no_labels() -> Result {
        let frame = frame(2, true)?;
        for len in 14..frame.len() {
            let (_, key) = extract(frame.get(..len).ok_or(EINVAL)?, 14)?;
            assert_eq!(key.mpls_num_labels_mask, if len < 22 { 0 } else { 0b11 });
            assert_eq!(
                key.mpls_lse[0].get(),
                if len < 18 { 0 } else { lse(0, false) }
            );
            assert_eq!(key.ip_proto, 0);
        }
        Ok(())
    }

    /// An IPv4 frame, with its sum, and its key.
    fn udp() -> Result<(SkBuff, SwFlowKey)> {
        let mut bytes = KVec::new();
        bytes.extend_from_slice(&ETH, GFP_KERNEL)?;
        bytes.extend_from_slice(&[8, 0], GFP_KERNEL)?;
        bytes.extend_from_slice(&UDP, GFP_KERNEL)?;
        let (mut skb, key) = extract(&bytes, bytes.len())?;
        skb.set_ip_summed(IpSummed::Complete);
        Ok((skb, key))
    }

    /// Whether the packet still has a sum, which is right.
    fn is_right(skb: &SkBuff) -> bool {
        skb.ip_summed() == IpSummed::Complete && skb.csum() % 0xffff == skb.packet_sum() % 0xffff
    }

    #[test]
    fn labels_are_pushed_set_and_popped() -> Result {
        let (mut skb, mut key) = udp()?;
        let before = {
            let mut before = KVec::new();
            before.extend_from_slice(skb.data(), GFP_KERNEL)?;
            before
        };
        for labels in 1..=4usize {
            let entry = Be32::new(lse(labels, labels == 1));
            let mac_len = skb.mac_len();
            push_mpls(&mut skb, &mut key, entry, 0x8847u16.into(), mac_len)?;
            assert!(!key.is_valid() && is_right(&skb));
            ovs_flow_key_update(&mut skb, &mut key)?;
            assert_eq!(key.eth_type.get(), 0x8847);
            assert_eq!(key.mpls_lse[0], entry);
            assert_eq!(key.mpls_num_labels_mask.count_ones(), labels.min(3) as u32);
            assert_eq!(skb.inner_network_offset(), 14 + 4 * labels as isize);
        }

        let field = SetField::Mpls {
            key: [0, 0, 0x10, 9],
            mask: [0, 0, 0xf0, 0xff],
        };
        execute_set_action(&mut skb, &mut key, &field)?;
        assert_eq!(key.mpls_lse[0].get(), lse(4, false) & !0xf0ff | 0x1009);
        assert!(is_right(&skb));

        for labels in (0..4usize).rev() {
            let ethertype: u16 = if labels == 0 { 0x800 } else { 0x8847 };
            pop_mpls(&mut skb, &mut key, ethertype.into())?;
            assert!(!key.is_valid() && is_right(&skb));
            ovs_flow_key_update(&mut skb, &mut key)?;
            assert_eq!(key.eth_type.get(), ethertype);
        }
        assert!(skb.data() == before.as_slice());
        // There is none any more: that is no error to a pop, but to a set.
        pop_mpls(&mut skb, &mut key, 0x800u16.into())?;
        assert!(skb.data() == before.as_slice());
        assert_eq!(execute_set_action(&mut skb, &mut key, &field), Err(EINVAL));
        Ok(())
    }

    #[test]
    fn a_label_before_the_mac_header() -> Result {
        let (mut skb, mut key) = udp()?;
        let len = skb.len();
        let entry = Be32::new(lse(0, true));
        push_mpls(&mut skb, &mut key, entry, 0x8847u16.into(), 0)?;
        assert_eq!(key.mac_proto(), MAC_PROTO_NONE);
        assert_eq!((skb.len(), skb.mac_len()), (len + 4, 0));
        assert!(is_right(&skb));
        push_eth(&mut skb, &mut key, b"\x02\0\0\0\0\x07", b"\x02\0\0\0\0\x08")?;
        ovs_flow_key_update(&mut skb, &mut key)?;
        assert_eq!(key.eth_type.get(), 0x8847);
        assert_eq!(key.mpls_lse[0], entry);
        Ok(())
    }

    #[test]
    fn a_tag_beside_the_packet_stays_there() -> Result {
        let (mut skb, mut key) = udp()?;
        let entry = Be32::new(lse(0, true));
        push_mpls(&mut skb, &mut key, entry, 0x8847u16.into(), 14)?;
        push_vlan(&mut skb, &mut key, 0x8100u16.into(), 0x1005u16.into())?;
        assert!(skb.vlan_tag_present() && is_right(&skb));
        assert_eq!(skb.mac_len(), 14);
        pop_mpls(&mut skb, &mut key, 0x800u16.into())?;
        assert!(skb.vlan_tag_present() && is_right(&skb));
        pop_vlan(&mut skb, &mut key)?;
        assert_eq!(skb.len(), 14 + UDP.len());
        Ok(())
    }

    #[test]
    fn short_packets_are_left() -> Result {
        for len in 14..18 {
            let frame = frame(1, true)?;
            let (mut skb, mut key) = extract(frame.get(..len).ok_or(EINVAL)?, len)?;
            let field = SetField::Mpls {
                key: [0; 4],
                mask: [0xff; 4],
            };
            assert_eq!(execute_set_action(&mut skb, &mut key, &field), Err(ENOMEM));
            assert_eq!(pop_mpls(&mut skb, &mut key, 0x800u16.into()), Err(ENOMEM));
            assert!(skb.data() == frame.get(..len).ok_or(EINVAL)?);
        }
        Ok(())
    }

    type Put = fn(&mut AttrBuf) -> Result;

    fn list(put: impl FnOnce(&mut AttrBuf) -> Result) -> Result<AttrBuf> {
        let mut buf = AttrBuf::new();
        put(&mut buf)?;
        Ok(buf)
    }

    fn key_of(w: &mut AttrBuf, eth_type: u16, labels: &[u8]) -> Result {
        w.put(OVS_KEY_ATTR_ETHERNET, &ETH)?;
        w.put_be16(OVS_KEY_ATTR_ETHERTYPE, eth_type)?;
        w.put(OVS_KEY_ATTR_MPLS, labels)
    }

    /// What a dump of a key or a mask has for the labels.
    fn shown(put: impl FnOnce(&mut AttrBuf) -> Result) -> Result<KVec<u8>> {
        let buf = list(put)?;
        let nest = buf.first().ok_or(EINVAL)?;
        let attr = nest.nested().find(|attr| attr.ty() == OVS_KEY_ATTR_MPLS);
        let mut labels = KVec::new();
        labels.extend_from_slice(attr.ok_or(ENOENT)?.payload(), GFP_KERNEL)?;
        Ok(labels)
    }

    #[test]
    fn keys_and_masks_come_back() -> Result {
        let labels = [0x12; 16];
        for len in 0..=16usize {
            let labels = labels.get(..len).ok_or(EINVAL)?;
            let key = list(|w| key_of(w, 0x8848, labels))?;
            let m = ovs_nla_get_match(Net::init(), Nlattr::new(1, key.as_slice()), None, false);
            assert_eq!(m.is_ok(), matches!(len, 4 | 8 | 12));
            let Ok(m) = m else {
                continue;
            };
            assert!(shown(|w| ovs_nla_put_masked_key(&m.key, w))?.as_slice() == labels);
            let mask = shown(|w| ovs_nla_put_mask(&m.key, &m.mask, w))?;
            assert!(mask.len() == len && mask.iter().all(|&byte| byte == 0xff));
        }
        Ok(())
    }

    #[test]
    fn a_type_without_labels_is_no_key() -> Result {
        let key = list(|w| {
            w.put(OVS_KEY_ATTR_ETHERNET, &ETH)?;
            w.put_be16(OVS_KEY_ATTR_ETHERTYPE, 0x8847)
        })?;
        let attr = Nlattr::new(1, key.as_slice());
        let result = ovs_nla_get_match(Net::init(), attr, None, false);
        assert_eq!(result.map(|_| ()), Err(EINVAL));
        Ok(())
    }

    fn push(w: &mut AttrBuf) -> Result {
        w.put(OVS_ACTION_ATTR_PUSH_MPLS, &[0, 1, 0, 64, 0x88, 0x47, 1, 2])
    }

    fn add(w: &mut AttrBuf, tun_flags: u16) -> Result {
        let [a, b] = tun_flags.to_ne_bytes();
        w.put(OVS_ACTION_ATTR_ADD_MPLS, &[0, 1, 0, 64, 0x88, 0x48, a, b])
    }

    fn pop(w: &mut AttrBuf, ethertype: u16) -> Result {
        w.put_be16(OVS_ACTION_ATTR_POP_MPLS, ethertype)
    }

    fn set(w: &mut AttrBuf, ty: u16, value: &[u8]) -> Result {
        let nest = w.nest_start(OVS_ACTION_ATTR_SET)?;
        w.put(ty, value)?;
        w.nest_end(nest)
    }

    fn set_lse(w: &mut AttrBuf) -> Result {
        set(w, OVS_KEY_ATTR_MPLS, &[0, 1, 1, 64])
    }

    /// Lists for a UDP packet, and whether they are taken.
    const LISTS: &[(&str, bool, Put)] = &[
        ("push", true, |w| push(w)),
        ("set without label", false, set_lse),
        ("pop without label", false, |w| pop(w, ETH_P_IP)),
        ("push and set", true, |w| {
            push(w)?;
            set_lse(w)
        }),
        ("push, set the port", false, |w| {
            push(w)?;
            set(w, OVS_KEY_ATTR_UDP, &[0; 4])
        }),
        ("push and pop", true, |w| {
            push(w)?;
            pop(w, ETH_P_IP)
        }),
        ("push, pop, set the port", false, |w| {
            push(w)?;
            pop(w, ETH_P_IP)?;
            set(w, OVS_KEY_ATTR_UDP, &[0; 4])
        }),
        ("push and pop twice", false, |w| {
            push(w)?;
            pop(w, 0x8847)?;
            pop(w, ETH_P_IP)
        }),
        ("push twice and pop twice", true, |w| {
            push(w)?;
            push(w)?;
            pop(w, 0x8847)?;
            pop(w, ETH_P_IP)
        }),
        ("push twice, pop to another type, pop", false, |w| {
            push(w)?;
            push(w)?;
            pop(w, ETH_P_IP)?;
            pop(w, ETH_P_IP)
        }),
        ("push onto a tag", false, |w| {
            w.put(OVS_ACTION_ATTR_PUSH_VLAN, &[0x81, 0, 0x10, 5])?;
            push(w)
        }),
        ("add behind a tag", false, |w| {
            w.put(OVS_ACTION_ATTR_PUSH_VLAN, &[0x81, 0, 0x10, 5])?;
            add(w, 1)
        }),
        ("add before a tag", true, |w| {
            w.put(OVS_ACTION_ATTR_PUSH_VLAN, &[0x81, 0, 0x10, 5])?;
            add(w, 0xfffe)
        }),
        ("add leaves no Ethernet", false, |w| {
            add(w, 0)?;
            set(w, OVS_KEY_ATTR_ETHERNET, &[0; 12])
        }),
        ("add behind Ethernet leaves it", true, |w| {
            add(w, 3)?;
            set(w, OVS_KEY_ATTR_ETHERNET, &[0; 12])
        }),
        ("pop to Ethernet behind Ethernet", false, |w| {
            push(w)?;
            pop(w, ETH_P_TEB)
        }),
        ("add, pop to Ethernet", true, |w| {
            add(w, 0)?;
            pop(w, ETH_P_TEB)
        }),
        ("a nested list begins as it stands", true, |w| {
            push(w)?;
            push(w)?;
            let nest = w.nest_start(OVS_ACTION_ATTR_CLONE)?;
            pop(w, 0x8847)?;
            set_lse(w)?;
            w.nest_end(nest)?;
            pop(w, 0x8847)?;
            pop(w, ETH_P_IP)
        }),
    ];

    #[test]
    fn lists_are_checked_and_come_back() -> Result {
        let mut key = SwFlowKey::zeroed();
        key.mac_proto = MAC_PROTO_ETHERNET;
        key.eth_type = ETH_P_IP.into();
        key.ip_proto = IPPROTO_UDP;
        for &(name, taken, put) in LISTS {
            let sent = list(put)?;
            let attr = Nlattr::new(1, sent.as_slice());
            let copied = ovs_nla_copy_actions(Net::init(), attr, &key, false);
            if copied.is_ok() != taken {
                pr_err!("{}: {}\n", name, if taken { "refused" } else { "taken" });
            }
            assert_eq!(copied.is_ok(), taken);
            if let Ok(copied) = copied {
                let back = list(|w| ovs_nla_put_actions(&copied.list, w))?;
                assert!(back.as_slice() == sent.as_slice());
            }
        }
        Ok(())
    }

    #[test]
    fn unknown_labels_can_be_popped_without_end() -> Result {
        // A flow that matches on no label may have any number.
        let mut key = SwFlowKey::zeroed();
        key.mac_proto = MAC_PROTO_ETHERNET;
        key.eth_type = 0x8847u16.into();
        for (mask, pops) in [(0, 20), (0b1, 1), (0b11, 2), (0b111, 3)] {
            key.mpls_num_labels_mask = mask;
            for count in 1..=20 {
                let sent = list(|w| {
                    for _ in 0..count {
                        pop(w, 0x8847)?;
                    }
                    Ok(())
                })?;
                let attr = Nlattr::new(1, sent.as_slice());
                let copied = ovs_nla_copy_actions(Net::init(), attr, &key, false);
                assert_eq!(copied.is_ok(), count <= pops);
            }
        }
        Ok(())
    }
}
