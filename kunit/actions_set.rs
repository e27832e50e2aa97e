// SPDX-License-Identifier: GPL-2.0

//! Set actions: that checksums are right afterwards, however they stood.

use kernel::prelude::*;

#[kunit_tests(openvswitch_actions_set)]
mod tests {
    use super::*;

    use kernel_ext::net::skbuff::{
        IpSummed,
        SkBuff, //
    };

    use zerocopy::transmute;

    use crate::{
        actions::{
            dec_ttl::execute_dec_ttl,
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
                MAC_PROTO_ETHERNET, //
            },
        },
        flow_netlink::uapi::OvsKeyIpv6,
    };

    const TCP: u8 = 6;
    const UDP: u8 = 17;
    const ICMPV6: u8 = 58;
    const SCTP: u8 = 132;
    const ALL: [IpSummed; 4] = [
        IpSummed::None,
        IpSummed::Unnecessary,
        IpSummed::Complete,
        IpSummed::Partial,
    ];

    /// The folded one's complement sum of bytes, most significant first, with
    /// what stands for zero made one value.
    fn sum(parts: &[&[u8]]) -> u32 {
        let mut sum = 0u32;
        for part in parts {
            for pair in part.chunks(2) {
                let low = pair.get(1).copied().unwrap_or(0);
                sum += u32::from(pair[0]) << 8 | u32::from(low);
            }
        }
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        sum % 0xffff
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

    /// As in C, the sum over the packet is not kept up when something is set
    /// that only SCTP's own checksum covers.
    fn keeps_sum(proto: u8, summed: IpSummed) -> bool {
        proto != SCTP || summed != IpSummed::Complete
    }

    /// A packet, where its parts are and what it is.
    struct Packet {
        bytes: KVec<u8>,
        ipv6: bool,
        proto: u8,
        th_ofs: usize,
    }

    impl Packet {
        fn check_at(&self) -> Option<usize> {
            match self.proto {
                TCP => Some(self.th_ofs + 16),
                UDP => Some(self.th_ofs + 6),
                ICMPV6 => Some(self.th_ofs + 2),
                _ => None,
            }
        }

        /// The sum over the pseudo header of `bytes`.
        fn pseudo(&self, bytes: &[u8]) -> u32 {
            let len = ((bytes.len() - self.th_ofs) as u16).to_be_bytes();
            let addresses = if self.ipv6 {
                &bytes[22..54]
            } else {
                &bytes[26..34]
            };
            sum(&[addresses, &len, &[0, self.proto]])
        }

        fn new(ipv6: bool, proto: u8, summed: IpSummed, payload: &[u8]) -> Result<Self> {
            let mut bytes = KVec::new();
            let header_len = match proto {
                TCP => 20,
                UDP | ICMPV6 => 8,
                _ => 12,
            };
            let len = (header_len + payload.len()) as u16;
            bytes.extend_from_slice(&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2], GFP_KERNEL)?;
            if ipv6 {
                bytes.extend_from_slice(&[0x86, 0xdd, 0x61, 0x23, 0x45, 0x67], GFP_KERNEL)?;
                bytes.extend_from_slice(&len.to_be_bytes(), GFP_KERNEL)?;
                bytes.extend_from_slice(&[proto, 64], GFP_KERNEL)?;
                bytes.extend_from_slice(b"\xfd\x00source address", GFP_KERNEL)?;
                bytes.extend_from_slice(b"\xfd\x00destin address", GFP_KERNEL)?;
            } else {
                let total = (20 + len).to_be_bytes();
                bytes.extend_from_slice(&[8, 0, 0x45, 0x11], GFP_KERNEL)?;
                bytes.extend_from_slice(&total, GFP_KERNEL)?;
                bytes.extend_from_slice(&[0x12, 0x34, 0x40, 0, 64, proto, 0, 0], GFP_KERNEL)?;
                bytes.extend_from_slice(&[10, 1, 2, 3, 172, 16, 5, 6], GFP_KERNEL)?;
                let check = !(sum(&[&bytes[14..34]]) as u16);
                bytes[24..26].copy_from_slice(&check.to_be_bytes());
            }
            let th_ofs = bytes.len();
            let mut header = [0u8; 20];
            header[..4].copy_from_slice(&[0x1f, 0x90, 0x00, 0x35]);
            match proto {
                TCP => header[12] = 0x50,
                UDP => header[4..6].copy_from_slice(&len.to_be_bytes()),
                ICMPV6 => header[..4].copy_from_slice(&[128, 0, 0, 0]),
                _ => {}
            }
            bytes.extend_from_slice(&header[..header_len], GFP_KERNEL)?;
            bytes.extend_from_slice(payload, GFP_KERNEL)?;
            let mut packet = Self {
                bytes,
                ipv6,
                proto,
                th_ofs,
            };
            if let Some(at) = packet.check_at() {
                let pseudo = packet.pseudo(&packet.bytes);
                let check = if summed == IpSummed::Partial {
                    pseudo as u16
                } else {
                    let all = sum(&[&packet.bytes[th_ofs..], &(pseudo as u16).to_be_bytes()]);
                    !(all as u16)
                };
                packet.bytes[at..at + 2].copy_from_slice(&check.to_be_bytes());
            }
            Ok(packet)
        }

        /// Whether all checksums of `bytes`, and the sum over `skb`, are right.
        fn is_right(&self, skb: &SkBuff, summed: IpSummed) -> bool {
            let bytes = skb.data();
            if !self.ipv6 && sum(&[&bytes[14..34]]) != 0 {
                pr_err!("IPv4 checksum\n");
                return false;
            }
            if let Some(at) = self.check_at() {
                let pseudo = self.pseudo(bytes);
                let right = if summed == IpSummed::Partial {
                    sum(&[&bytes[at..at + 2]]) == pseudo
                } else {
                    sum(&[&bytes[self.th_ofs..], &(pseudo as u16).to_be_bytes()]) == 0
                };
                if !right {
                    pr_err!("transport checksum, {:?}\n", summed);
                    return false;
                }
            }
            if summed == IpSummed::Complete && skb.csum() % 0xffff != skb.packet_sum() % 0xffff {
                pr_err!("sum over the packet\n");
                return false;
            }
            true
        }

        /// Runs set actions, and checks the packet and the key. Returns the
        /// packet's bytes.
        fn run(&self, summed: IpSummed, fields: &[SetField]) -> Result<KVec<u8>> {
            self.change(summed, |skb, key| {
                fields
                    .iter()
                    .try_for_each(|field| execute_set_action(skb, key, field))
            })
        }

        /// Changes the packet, and checks it and the key. Returns the packet's
        /// bytes, or the error of the change, which has to leave all as it was
        /// then.
        fn change(
            &self,
            summed: IpSummed,
            change: impl FnOnce(&mut SkBuff, &mut SwFlowKey) -> Result,
        ) -> Result<KVec<u8>> {
            let mut skb = SkBuff::dev_alloc_copy(&self.bytes, GFP_KERNEL)?;
            let mut key = SwFlowKey::zeroed();
            key.mac_proto = MAC_PROTO_ETHERNET;
            key_extract_packet(&mut skb, &mut key)?;
            skb.set_ip_summed(summed);
            ensure(self.is_right(&skb, summed))?;

            // The data are shared, so that they have to be copied to be set.
            let clone = skb.try_clone(GFP_KERNEL).ok_or(ENOMEM)?;
            let before = key;
            if let Err(err) = change(&mut skb, &mut key) {
                ensure(key == before)?;
                ensure(skb.data() == &self.bytes[..])?;
                ensure(self.is_right(&skb, summed))?;
                return Err(err);
            }
            ensure(self.is_right(&skb, summed))?;
            ensure(clone.data() == &self.bytes[..])?;

            // The key is what is in the packet.
            let mut extracted = key;
            ovs_flow_key_update(&mut skb, &mut extracted)?;
            ensure(extracted == key)?;

            let mut bytes = KVec::new();
            bytes.extend_from_slice(skb.data(), GFP_KERNEL)?;
            Ok(bytes)
        }
    }

    fn ipv4(key: [u8; 12], mask: [u8; 12]) -> SetField {
        SetField::Ipv4 {
            key: transmute!(key),
            mask: transmute!(mask),
        }
    }

    #[test]
    fn ipv4_addresses_and_all_protocols() -> Result {
        let key = [192, 168, 7, 0, 198, 51, 100, 9, 0, 0xfc, 7, 0];
        let mask = [255, 255, 255, 0, 255, 255, 255, 255, 0, 0xfc, 255, 0];
        for proto in [TCP, UDP, SCTP] {
            for summed in ALL {
                for payload in [&b"even"[..], b"odd"] {
                    let packet = Packet::new(false, proto, summed, payload)?;
                    let bytes = packet.run(summed, &[ipv4(key, mask)])?;
                    assert!(bytes[26..34] == [192, 168, 7, 3, 198, 51, 100, 9]);
                    assert_eq!(bytes[15], 0xfd);
                    assert_eq!(bytes[22], 7);
                }
            }
        }
        Ok(())
    }

    #[test]
    fn ipv4_every_ttl_and_tos() -> Result {
        for value in 0..=255u8 {
            let packet = Packet::new(false, TCP, IpSummed::Complete, b"x")?;
            let key = [0, 0, 0, 0, 0, 0, 0, 0, 0, value, value, 0];
            let mask = [0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 0];
            let bytes = packet.run(IpSummed::Complete, &[ipv4(key, mask)])?;
            assert_eq!(bytes[15], value);
            assert_eq!(bytes[22], value);
        }
        Ok(())
    }

    #[test]
    fn every_ttl_less_one() -> Result {
        for ipv6 in [false, true] {
            for summed in ALL {
                for ttl in 0..=255u8 {
                    let mut packet = Packet::new(ipv6, TCP, summed, b"odd")?;
                    let at = if ipv6 { 21 } else { 22 };
                    packet.bytes[at] = ttl;
                    if !ipv6 {
                        packet.bytes[24..26].fill(0);
                        let check = !(sum(&[&packet.bytes[14..34]]) as u16);
                        packet.bytes[24..26].copy_from_slice(&check.to_be_bytes());
                    }
                    match packet.change(summed, execute_dec_ttl) {
                        Ok(bytes) => assert_eq!(bytes[at], ttl - 1),
                        Err(err) => {
                            assert_eq!(err, EHOSTUNREACH);
                            assert!(ttl <= 1);
                        }
                    }
                }
            }
        }
        Ok(())
    }

    #[test]
    fn ttl_of_others_is_left_alone() -> Result {
        // Not IP, and IP that is not all there.
        for (eth_type, len, result) in [
            (0x0806u16, 60, Ok(())),
            (0x8100, 60, Ok(())),
            (0x0800, 33, Err(ENOMEM)),
            (0x86dd, 53, Err(ENOMEM)),
        ] {
            let mut bytes = KVec::new();
            bytes.resize(len, 0x45, GFP_KERNEL)?;
            bytes[12..14].copy_from_slice(&eth_type.to_be_bytes());
            let mut skb = SkBuff::dev_alloc_copy(&bytes, GFP_KERNEL)?;
            skb.set_protocol(eth_type.into());
            skb.set_network_offset(14);
            let mut key = SwFlowKey::zeroed();
            assert_eq!(execute_dec_ttl(&mut skb, &mut key), result);
            assert!(skb.data() == &bytes[..]);
            assert_eq!(key.ip_ttl, 0);
        }
        Ok(())
    }

    #[test]
    fn ipv6_header() -> Result {
        let mut key = [0u8; 40];
        let mut mask = [0u8; 40];
        key[..16].copy_from_slice(b"\x20\x01new source add");
        mask[..16].fill(255);
        key[24..32].copy_from_slice(b"new host");
        mask[24..32].fill(255);
        key[33..36].copy_from_slice(&[0x0a, 0xbc, 0xde]);
        mask[33..36].copy_from_slice(&[0x0f, 0xff, 0xff]);
        key[37..39].copy_from_slice(&[0xb8, 5]);
        mask[37..39].copy_from_slice(&[0xfc, 255]);
        let (key, mask): (OvsKeyIpv6, OvsKeyIpv6) = (transmute!(key), transmute!(mask));
        for proto in [TCP, UDP, SCTP, ICMPV6] {
            for summed in ALL.into_iter().filter(|s| keeps_sum(proto, *s)) {
                for payload in [&b"even"[..], b"odd"] {
                    let packet = Packet::new(true, proto, summed, payload)?;
                    let bytes = packet.run(summed, &[SetField::Ipv6 { key, mask }])?;
                    // Traffic class 0x12 keeps its two lowest bits.
                    assert!(bytes[14..18] == [0x6b, 0xaa, 0xbc, 0xde]);
                    assert_eq!(bytes[21], 5);
                    assert!(bytes[22..38] == *b"\x20\x01new source add");
                    assert!(bytes[38..54] == *b"\xfd\x00destinnew host");
                }
            }
        }
        Ok(())
    }

    #[test]
    fn ports() -> Result {
        let key = [0x30, 0x39, 0x00, 0x40];
        let mask = [0xff, 0xff, 0x00, 0xf0];
        for ipv6 in [false, true] {
            for proto in [TCP, UDP, SCTP] {
                for summed in ALL.into_iter().filter(|s| keeps_sum(proto, *s)) {
                    let field = match proto {
                        TCP => SetField::Tcp { key, mask },
                        UDP => SetField::Udp { key, mask },
                        _ => SetField::Sctp { key, mask },
                    };
                    let packet = Packet::new(ipv6, proto, summed, b"payload")?;
                    let bytes = packet.run(summed, &[field])?;
                    let at = packet.th_ofs;
                    assert!(bytes[at..at + 4] == [0x30, 0x39, 0x00, 0x45]);
                }
            }
        }
        Ok(())
    }

    #[test]
    fn udp_without_checksum() -> Result {
        for ipv6 in [false, true] {
            let mut packet = Packet::new(ipv6, UDP, IpSummed::None, b"payload")?;
            let at = packet.th_ofs;
            packet.bytes[at + 6..at + 8].fill(0);
            let mut skb = SkBuff::dev_alloc_copy(&packet.bytes, GFP_KERNEL)?;
            let mut key = SwFlowKey::zeroed();
            key.mac_proto = MAC_PROTO_ETHERNET;
            key_extract_packet(&mut skb, &mut key)?;
            let ports = SetField::Udp {
                key: [1, 2, 3, 4],
                mask: [255; 4],
            };
            execute_set_action(&mut skb, &mut key, &ports)?;
            if !ipv6 {
                let address = ipv4(
                    [1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0],
                    [255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0],
                );
                execute_set_action(&mut skb, &mut key, &address)?;
            }
            assert!(skb.data()[at..at + 4] == [1, 2, 3, 4]);
            assert!(skb.data()[at + 6..at + 8] == [0, 0]);
        }
        Ok(())
    }

    #[test]
    fn udp_checksum_is_never_zero() -> Result {
        // The checksum with port 0 is the port with which the sum is zero, which is
        // sent as all ones.
        let packet = Packet::new(false, UDP, IpSummed::None, b"")?;
        let checksum = |port: u16| -> Result<u16> {
            let [a, b] = port.to_be_bytes();
            let mut skb = SkBuff::dev_alloc_copy(&packet.bytes, GFP_KERNEL)?;
            let mut key = SwFlowKey::zeroed();
            key.mac_proto = MAC_PROTO_ETHERNET;
            key_extract_packet(&mut skb, &mut key)?;
            let field = SetField::Udp {
                key: [a, b, 0, 0],
                mask: [255, 255, 0, 0],
            };
            execute_set_action(&mut skb, &mut key, &field)?;
            let at = packet.th_ofs + 6;
            Ok(u16::from_be_bytes([skb.data()[at], skb.data()[at + 1]]))
        };
        let port = checksum(0)?;

        assert_eq!(checksum(port)?, 0xffff);
        assert_eq!(checksum(port.wrapping_add(1))?, 0xfffe);
        assert_eq!(checksum(port.wrapping_sub(1))?, 1);
        Ok(())
    }

    #[test]
    fn ethernet_priority_mark() -> Result {
        for summed in ALL {
            let packet = Packet::new(false, TCP, summed, b"payload")?;
            // Source first; the last byte of each is kept.
            let key = [6u8, 5, 4, 3, 2, 0, 1, 2, 3, 4, 5, 0];
            let mask = [255u8, 255, 255, 255, 255, 0, 255, 255, 255, 255, 255, 0];
            let fields = [
                SetField::Ethernet {
                    key: transmute!(key),
                    mask: transmute!(mask),
                },
                SetField::Priority {
                    key: 0x100,
                    mask: 0xf00,
                },
                SetField::SkbMark { key: 7, mask: 15 },
            ];
            let bytes = packet.run(summed, &fields)?;
            assert!(bytes[..12] == [1, 2, 3, 4, 5, 1, 6, 5, 4, 3, 2, 2]);
        }
        Ok(())
    }

    #[test]
    fn wrong_checksums_stay_wrong() -> Result {
        let mut packet = Packet::new(false, TCP, IpSummed::None, b"payload")?;
        let at = packet.th_ofs;
        packet.bytes[at + 17] ^= 1;
        packet.bytes[24] ^= 0x10;
        let mut skb = SkBuff::dev_alloc_copy(&packet.bytes, GFP_KERNEL)?;
        let mut key = SwFlowKey::zeroed();
        key.mac_proto = MAC_PROTO_ETHERNET;
        key_extract_packet(&mut skb, &mut key)?;
        let before = (
            sum(&[&packet.bytes[14..34]]),
            sum(&[
                &packet.bytes[at..],
                &(packet.pseudo(&packet.bytes) as u16).to_be_bytes(),
            ]),
        );
        let field = ipv4(
            [1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 9, 0],
            [255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 255, 0],
        );
        execute_set_action(&mut skb, &mut key, &field)?;
        let bytes = skb.data();
        let after = (
            sum(&[&bytes[14..34]]),
            sum(&[&bytes[at..], &(packet.pseudo(bytes) as u16).to_be_bytes()]),
        );
        assert!(before.0 != 0 && before.1 != 0);
        assert!(before == after);
        Ok(())
    }
}
