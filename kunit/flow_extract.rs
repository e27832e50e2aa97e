// SPDX-License-Identifier: GPL-2.0

//! Key extraction: packets of each kind, cut at every length, in one piece and
//! in pages.

use kernel::prelude::*;

#[kunit_tests(openvswitch_flow_extract)]
mod tests {
    use super::*;

    use zerocopy::network_endian::{
        U16 as Be16,
        U32 as Be32, //
    };

    use kernel_ext::net::skbuff::SkBuff;

    use crate::flow::{
        extract::{
            key_extract_packet,
            ovs_flow_key_update, //
        },
        key::{
            SwFlowKey,
            VlanHead,
            MAC_PROTO_ETHERNET,
            MAC_PROTO_NONE, //
        },
    };

    const DST: [u8; 6] = [2, 0, 0, 0, 0, 1];
    const SRC: [u8; 6] = [2, 0, 0, 0, 0, 2];
    const ETH: [u8; 12] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    const SRC6: [u8; 16] = *b"\xfd\0source address";
    const DST6: [u8; 16] = *b"\xfd\0destin address";

    /// What a packet has to give from a length on, until the next entry.
    type Stage = (usize, fn(&mut SwFlowKey));

    /// Joins parts of a packet.
    fn join(parts: &[&[u8]]) -> Result<KVec<u8>> {
        let mut packet = KVec::new();
        for part in parts {
            packet.extend_from_slice(part, GFP_KERNEL)?;
        }
        Ok(packet)
    }

    fn tcp() -> [u8; 20] {
        let mut tcp = [0; 20];
        tcp[..4].copy_from_slice(&[0x12, 0x34, 0x00, 0x50]);
        tcp[12..14].copy_from_slice(&[0x51, 0x12]);
        tcp
    }

    fn ipv4(proto: u8, frag_off: u16) -> [u8; 20] {
        let mut ip = [0; 20];
        ip[..2].copy_from_slice(&[0x45, 0x2e]);
        ip[6..8].copy_from_slice(&frag_off.to_be_bytes());
        ip[8..10].copy_from_slice(&[63, proto]);
        ip[12..].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
        ip
    }

    fn ipv6(nexthdr: u8) -> [u8; 40] {
        let mut ip = [0; 40];
        ip[..4].copy_from_slice(&[0x62, 0xe1, 0x23, 0x45]);
        ip[6..8].copy_from_slice(&[nexthdr, 62]);
        ip[8..24].copy_from_slice(&SRC6);
        ip[24..].copy_from_slice(&DST6);
        ip
    }

    fn is_tcp(key: &mut SwFlowKey) {
        key.tp_src = Be16::new(0x1234);
        key.tp_dst = Be16::new(80);
        key.tcp_flags = Be16::new(0x112);
    }

    fn is_ipv4(key: &mut SwFlowKey, proto: u8) {
        key.ip_proto = proto;
        key.ip_tos = 0x2e;
        key.ip_ttl = 63;
        key.ipv4_src = Be32::new(0x0a00_0001);
        key.ipv4_dst = Be32::new(0x0a00_0002);
    }

    fn is_ipv6(key: &mut SwFlowKey, proto: u8) {
        key.ip_proto = proto;
        key.ip_tos = 0x2e;
        key.ip_ttl = 62;
        key.ipv6_label = Be32::new(0x12345);
        key.ipv6_src = SRC6;
        key.ipv6_dst = DST6;
    }

    /// The key of an Ethernet packet that has nothing but this type.
    fn ethernet(eth_type: u16) -> SwFlowKey {
        let mut key = SwFlowKey::zeroed();
        key.mac_proto = MAC_PROTO_ETHERNET;
        key.eth_dst = DST;
        key.eth_src = SRC;
        key.eth_type = Be16::new(eth_type);
        key
    }

    fn extract(skb: &mut SkBuff) -> Result<SwFlowKey> {
        let mut key = SwFlowKey::zeroed();
        key.mac_proto = MAC_PROTO_ETHERNET;
        key_extract_packet(skb, &mut key)?;
        Ok(key)
    }

    /// For functions that are no tests themselves, where `assert!` would stop
    /// the kernel.
    fn ensure(is_so: bool) -> Result {
        if is_so {
            Ok(())
        } else {
            Err(EINVAL)
        }
    }

    /// Cuts `packet` at every length and compares with what `stages`, applied
    /// one after the other to the key of a bare `eth_type`, say. Each length is
    /// tried in one piece and with some bytes only in the linear part. A packet
    /// shorter than an Ethernet header is an error.
    fn check(packet: &[u8], eth_type: u16, stages: &[Stage]) -> Result {
        for len in 1..=packet.len() {
            let cut = packet.get(..len).ok_or(EINVAL)?;
            let mut expected = ethernet(eth_type);
            for (_, set) in stages.iter().filter(|(from, _)| len >= *from) {
                set(&mut expected);
            }
            for linear in [len, 1, 14, 15, 18, 20, 34, 35, 54, 55, 60, 74] {
                if linear > len {
                    continue;
                }
                let mut skb = SkBuff::paged_copy(cut, linear)?;
                match extract(&mut skb) {
                    Ok(key) => {
                        if key != expected {
                            pr_err!("length {} with {} linear\n", len, linear);
                        }
                        ensure(len >= 14 && key == expected)?;
                        // Nothing of the packet may be lost.
                        let tag = if skb.vlan_tag_present() { 4 } else { 0 };
                        ensure(skb.len() + tag == len && skb.mac_offset() == 0)?;
                        // Extracting again gives the same.
                        let mut again = key;
                        again.invalidate();
                        ovs_flow_key_update(&mut skb, &mut again)?;
                        ensure(again == expected)?;
                    }
                    Err(e) => ensure(len < 14 && e == EINVAL)?,
                }
            }
        }
        Ok(())
    }

    #[test]
    fn ipv4_tcp() -> Result {
        let packet = join(&[&ETH, &[8, 0], &ipv4(6, 0), &tcp(), b"payload"])?;
        check(&packet, 0x800, &[(34, |k| is_ipv4(k, 6)), (54, is_tcp)])
    }

    #[test]
    fn ipv4_header_lengths() -> Result {
        for ihl in 0..=15usize {
            let mut ip = ipv4(17, 0);
            ip[0] = 0x40 | ihl as u8;
            let packet = join(&[&ETH, &[8, 0], &ip, &[7; 60]])?;
            let mut skb = SkBuff::dev_alloc_copy(&packet, GFP_KERNEL)?;
            let key = extract(&mut skb)?;
            let mut expected = ethernet(0x800);
            if ihl >= 5 {
                is_ipv4(&mut expected, 17);
                expected.tp_src = Be16::new(0x0707);
                expected.tp_dst = Be16::new(0x0707);
                assert_eq!(skb.transport_offset(), 14 + 4 * ihl as isize);
            } else {
                assert_eq!(skb.transport_offset(), 14);
            }
            assert!(key == expected);
        }
        Ok(())
    }

    #[test]
    fn ipv4_fragments() -> Result {
        let first = join(&[&ETH, &[8, 0], &ipv4(6, 0x2000), &tcp()])?;
        check(
            &first,
            0x800,
            &[
                (34, |k| {
                    is_ipv4(k, 6);
                    k.ip_frag = 1;
                }),
                (54, is_tcp),
            ],
        )?;
        let later = join(&[&ETH, &[8, 0], &ipv4(6, 0x2001), &tcp()])?;
        check(
            &later,
            0x800,
            &[(34, |k| {
                is_ipv4(k, 6);
                k.ip_frag = 2;
            })],
        )
    }

    #[test]
    fn tcp_with_bad_length() -> Result {
        for doff in [0u8, 4, 15] {
            let mut tcp = tcp();
            tcp[12] = doff << 4;
            let packet = join(&[&ETH, &[8, 0], &ipv4(6, 0), &tcp])?;
            check(&packet, 0x800, &[(34, |k| is_ipv4(k, 6))])?;
        }
        Ok(())
    }

    #[test]
    fn udp_sctp_icmp() -> Result {
        fn ports(key: &mut SwFlowKey) {
            key.tp_src = Be16::new(0x0808);
            key.tp_dst = Be16::new(0x0808);
        }
        let rest = [8; 20];
        let packet = join(&[&ETH, &[8, 0], &ipv4(17, 0), &rest])?;
        check(&packet, 0x800, &[(34, |k| is_ipv4(k, 17)), (42, ports)])?;
        let packet = join(&[&ETH, &[8, 0], &ipv4(132, 0), &rest])?;
        check(&packet, 0x800, &[(34, |k| is_ipv4(k, 132)), (46, ports)])?;
        let packet = join(&[&ETH, &[8, 0], &ipv4(1, 0), &rest])?;
        check(
            &packet,
            0x800,
            &[
                (34, |k| is_ipv4(k, 1)),
                (42, |k| {
                    k.tp_src = Be16::new(8);
                    k.tp_dst = Be16::new(8);
                }),
            ],
        )?;
        // A protocol without ports.
        let packet = join(&[&ETH, &[8, 0], &ipv4(47, 0), &rest])?;
        check(&packet, 0x800, &[(34, |k| is_ipv4(k, 47))])
    }

    #[test]
    fn arp() -> Result {
        let mut arp = [0; 28];
        arp[..8].copy_from_slice(&[0, 1, 8, 0, 6, 4, 0, 2]);
        arp[8..14].copy_from_slice(&SRC);
        arp[14..18].copy_from_slice(&[10, 0, 0, 1]);
        arp[18..24].copy_from_slice(&DST);
        arp[24..].copy_from_slice(&[10, 0, 0, 2]);
        let is_arp: Stage = (42, |k| {
            k.ip_proto = 2;
            k.ipv4_src = Be32::new(0x0a00_0001);
            k.ipv4_dst = Be32::new(0x0a00_0002);
            k.arp_sha = SRC;
            k.arp_tha = DST;
        });
        let pad = [0; 18];
        check(&join(&[&ETH, &[8, 6], &arp, &pad])?, 0x806, &[is_arp])?;
        check(&join(&[&ETH, &[0x80, 0x35], &arp])?, 0x8035, &[is_arp])?;
        // An opcode that does not fit into the key.
        arp[6] = 1;
        let no_opcode: Stage = (42, |k| k.ip_proto = 0);
        check(&join(&[&ETH, &[8, 6], &arp])?, 0x806, &[is_arp, no_opcode])?;
        // Another kind of address.
        arp[6] = 0;
        for at in [1, 2, 4, 5] {
            let mut other = arp;
            other[at] ^= 0x40;
            check(&join(&[&ETH, &[8, 6], &other])?, 0x806, &[])?;
        }
        Ok(())
    }

    #[test]
    fn ipv6_tcp() -> Result {
        let packet = join(&[&ETH, &[0x86, 0xdd], &ipv6(6), &tcp()])?;
        check(&packet, 0x86dd, &[(54, |k| is_ipv6(k, 6)), (74, is_tcp)])
    }

    #[test]
    fn ipv6_extension_headers() -> Result {
        // Hop-by-hop options of 8 bytes, destination options of 16, TCP.
        let hop = [60, 0, 0, 0, 0, 0, 0, 0];
        let mut dest = [0; 16];
        dest[..2].copy_from_slice(&[6, 1]);
        let packet = join(&[&ETH, &[0x86, 0xdd], &ipv6(0), &hop, &dest, &tcp()])?;
        const HOP: u16 = 1 << 6;
        const DEST: u16 = 1 << 3;
        check(
            &packet,
            0x86dd,
            &[
                (54, |k| {
                    is_ipv6(k, 59);
                    k.ip_exthdrs = HOP;
                }),
                // The type of the next header is known with two bytes.
                (56, |k| k.ip_exthdrs = HOP | DEST),
                (78, |k| k.ip_proto = 6),
                (98, is_tcp),
            ],
        )
    }

    #[test]
    fn ipv6_fragments() -> Result {
        const FRAG: u16 = 1 << 4;
        let first = [6, 0, 0, 1, 0, 0, 0, 9];
        let packet = join(&[&ETH, &[0x86, 0xdd], &ipv6(44), &first, &tcp()])?;
        check(
            &packet,
            0x86dd,
            &[
                (54, |k| {
                    is_ipv6(k, 59);
                    k.ip_exthdrs = FRAG;
                }),
                // Found to be a fragment when its header is looked into.
                (56, |k| k.ip_frag = 1),
                (62, |k| k.ip_proto = 6),
                (82, is_tcp),
            ],
        )?;
        let later = [6, 0, 1, 1, 0, 0, 0, 9];
        let packet = join(&[&ETH, &[0x86, 0xdd], &ipv6(44), &later, &tcp()])?;
        check(
            &packet,
            0x86dd,
            &[
                (54, |k| {
                    is_ipv6(k, 59);
                    k.ip_exthdrs = FRAG;
                }),
                (56, |k| k.ip_frag = 1),
                (58, |k| {
                    k.ip_frag = 2;
                    k.ip_proto = 44;
                }),
            ],
        )
    }

    #[test]
    fn ipv6_extension_header_flags() -> Result {
        const NONEXT: u16 = 1 << 0;
        const AUTH: u16 = 1 << 2;
        const DEST: u16 = 1 << 3;
        const FRAG: u16 = 1 << 4;
        const ROUTER: u16 = 1 << 5;
        const HOP: u16 = 1 << 6;
        const UNREP: u16 = 1 << 7;
        const UNSEQ: u16 = 1 << 8;
        let cases: &[(&[u8], u16)] = &[
            (&[59], NONEXT),
            (&[0, 59], HOP | NONEXT),
            (
                &[0, 60, 43, 44, 51, 60, 17],
                HOP | DEST | ROUTER | FRAG | AUTH,
            ),
            (&[0, 0, 17], HOP | UNREP | UNSEQ),
            (&[43, 0, 17], ROUTER | UNSEQ),
            (&[60, 0, 17], DEST | UNSEQ),
            (&[43, 43, 17], ROUTER | UNREP | UNSEQ),
            (&[44, 43, 17], FRAG | ROUTER | UNSEQ),
            (&[51, 44, 17], AUTH | FRAG | UNSEQ),
            (&[51, 51, 17], AUTH | UNREP | UNSEQ),
            (&[60, 60, 17], DEST),
            (&[60, 60, 60, 17], DEST | UNREP),
            (&[60, 60, 43, 17], DEST | ROUTER | UNSEQ),
            (&[43, 60, 17], ROUTER | DEST | UNSEQ),
        ];
        for (headers, flags) in cases {
            let [first, rest @ ..] = *headers else {
                return Err(EINVAL);
            };
            let mut packet = join(&[&ETH, &[0x86, 0xdd], &ipv6(*first)])?;
            for next in rest {
                // Eight bytes each; the offset of a fragment is 0.
                packet.extend_from_slice(&[*next, 0, 0, 0, 0, 0, 0, 0], GFP_KERNEL)?;
            }
            packet.extend_from_slice(&[0; 16], GFP_KERNEL)?;
            let mut skb = SkBuff::dev_alloc_copy(&packet, GFP_KERNEL)?;
            let key = extract(&mut skb)?;
            if key.ip_exthdrs != *flags {
                pr_err!("{:?}: {:#x}, not {:#x}\n", headers, key.ip_exthdrs, flags);
            }
            assert_eq!(key.ip_exthdrs, *flags);
        }
        Ok(())
    }

    #[test]
    fn neighbour_discovery() -> Result {
        let target = *b"neighbour target";
        for (nd_type, option) in [(135u8, 1u8), (136, 2)] {
            let icmp = [nd_type, 0, 0, 0, 0, 0, 0, 0];
            let mut option_bytes = [option, 1, 9, 8, 7, 6, 5, 4];
            let packet = join(&[
                &ETH,
                &[0x86, 0xdd],
                &ipv6(58),
                &icmp,
                &target,
                &option_bytes,
            ])?;
            let type_stage: Stage = match nd_type {
                135 => (62, |k| k.tp_src = Be16::new(135)),
                _ => (62, |k| k.tp_src = Be16::new(136)),
            };
            let option_stage: Stage = match option {
                1 => (86, |k| k.nd_sll = [9, 8, 7, 6, 5, 4]),
                _ => (86, |k| k.nd_tll = [9, 8, 7, 6, 5, 4]),
            };
            check(
                &packet,
                0x86dd,
                &[
                    (54, |k| is_ipv6(k, 58)),
                    type_stage,
                    (78, |k| k.nd_target = *b"neighbour target"),
                    option_stage,
                ],
            )?;

            // The same option twice is invalid, and so is all of them.
            let twice = join(&[&packet, &option_bytes])?;
            let mut skb = SkBuff::dev_alloc_copy(&twice, GFP_KERNEL)?;
            let key = extract(&mut skb)?;
            assert!(key.nd_target == [0; 16] && key.nd_sll == [0; 6] && key.nd_tll == [0; 6]);

            // An option of no length ends the options.
            option_bytes[1] = 0;
            let ended = join(&[
                &ETH,
                &[0x86, 0xdd],
                &ipv6(58),
                &icmp,
                &target,
                &option_bytes,
            ])?;
            let mut skb = SkBuff::dev_alloc_copy(&ended, GFP_KERNEL)?;
            let key = extract(&mut skb)?;
            assert!(key.nd_target == target && key.nd_sll == [0; 6] && key.nd_tll == [0; 6]);
        }
        Ok(())
    }

    #[test]
    fn vlan_tags() -> Result {
        fn is_tagged(key: &mut SwFlowKey) {
            key.vlan = VlanHead {
                tpid: Be16::new(0x88a8),
                tci: Be16::new(0x3064),
            };
            key.eth_type = Be16::new(0x800);
        }
        let tag = [0x88, 0xa8, 0x20, 0x64];
        let packet = join(&[&ETH, &tag, &[8, 0], &ipv4(6, 0), &tcp()])?;
        check(
            &packet,
            0x88a8,
            &[(18, is_tagged), (38, |k| is_ipv4(k, 6)), (58, is_tcp)],
        )?;

        let inner = [0x81, 0x00, 0x00, 0x05];
        let packet = join(&[&ETH, &tag, &inner, &[8, 0], &ipv4(6, 0), &tcp()])?;
        check(
            &packet,
            0x88a8,
            &[
                (18, |k| {
                    is_tagged(k);
                    k.eth_type = Be16::new(0x8100);
                }),
                (22, |k| {
                    k.cvlan = VlanHead {
                        tpid: Be16::new(0x8100),
                        tci: Be16::new(0x1005),
                    };
                    k.eth_type = Be16::new(0x800);
                }),
                (42, |k| is_ipv4(k, 6)),
                (62, is_tcp),
            ],
        )?;

        // A third tag is the type.
        let packet = join(&[&ETH, &tag, &inner, &inner, &[8, 0]])?;
        let mut skb = SkBuff::dev_alloc_copy(&packet, GFP_KERNEL)?;
        let key = extract(&mut skb)?;
        assert_eq!(key.eth_type.get(), 0x8100);
        assert_eq!(skb.protocol().get(), 0x8100);
        assert_eq!(skb.network_offset(), 18);
        Ok(())
    }

    #[test]
    fn llc() -> Result {
        // 802.3: a length where the type would be.
        let packet = join(&[&ETH, &[0, 50], &[0xaa, 0xaa, 3, 0, 0, 0, 8, 0], &ipv4(6, 0)])?;
        check(
            &packet,
            0x0004,
            &[
                (22, |k| k.eth_type = Be16::new(0x800)),
                (42, |k| is_ipv4(k, 6)),
            ],
        )?;
        // No SNAP header, another organisation, and a type that is none.
        for header in [
            [0x42, 0x42, 3, 0, 0, 0, 8, 0],
            [0xaa, 0xaa, 3, 0, 0, 1, 8, 0],
            [0xaa, 0xaa, 3, 0, 0, 0, 5, 0xff],
        ] {
            let packet = join(&[&ETH, &[0, 50], &header, &ipv4(6, 0)])?;
            check(&packet, 0x0004, &[])?;
        }
        Ok(())
    }

    #[test]
    fn layer_3() -> Result {
        let packet = join(&[&ipv4(6, 0), &tcp()])?;
        for (protocol, ok) in [(0x800, true), (0x8100, false)] {
            let mut skb = SkBuff::dev_alloc_copy(&packet, GFP_KERNEL)?;
            let mut key = SwFlowKey::zeroed();
            key.mac_proto = MAC_PROTO_NONE;
            key.eth_type = Be16::new(protocol);
            let result = key_extract_packet(&mut skb, &mut key);
            assert_eq!(result.is_ok(), ok);
            if ok {
                let mut expected = SwFlowKey::zeroed();
                expected.eth_type = Be16::new(0x800);
                is_ipv4(&mut expected, 6);
                is_tcp(&mut expected);
                assert!(key == expected);
                assert_eq!(skb.mac_len(), 0);
            }
        }
        Ok(())
    }

    #[test]
    fn header_offsets() -> Result {
        let packet = join(&[&ETH, &[0x81, 0, 0, 9], &[8, 0], &ipv4(6, 0), &tcp()])?;
        let mut skb = SkBuff::dev_alloc_copy(&packet, GFP_KERNEL)?;
        extract(&mut skb)?;
        // The tag is beside the packet now.
        assert_eq!(skb.vlan_tag().map(|(_, tci)| tci), Some(9));
        assert_eq!(skb.mac_len(), 14);
        assert_eq!(skb.network_offset(), 14);
        assert_eq!(skb.transport_offset(), 34);
        assert_eq!(skb.protocol().get(), 0x800);
        Ok(())
    }
}
