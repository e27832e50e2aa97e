// SPDX-License-Identifier: GPL-2.0

//! Headers that are added and removed: that the sum over a packet, where the
//! device calculated it, stays the sum over the packet.

use kernel::prelude::*;

#[kunit_tests(openvswitch_actions_push_pop)]
mod tests {
    use super::*;

    use kernel_ext::net::skbuff::{
        IpSummed,
        SkBuff, //
    };

    use crate::{
        actions::push_pop::{
            pop_eth,
            pop_vlan,
            push_eth,
            push_vlan, //
        },
        flow::{
            extract::key_extract_packet,
            key::{
                SwFlowKey,
                MAC_PROTO_ETHERNET, //
            },
        },
    };

    const FRAME: [u8; 48] = *b"\x02\0\0\0\0\x02\x02\0\0\0\0\x01\x08\0\
        \x45\0\0\x22\x12\x34\0\0\x40\x11\0\0\x0a\0\0\x01\x0a\0\0\x02\
        \x03\xe8\x07\xd0\0\x0e\xab\xcd\xfe\xdc\xba\x98\x76\x54";

    /// The frame, with its sum, and its key.
    fn frame() -> Result<(SkBuff, SwFlowKey)> {
        let mut skb = SkBuff::dev_alloc_copy(&FRAME, GFP_KERNEL)?;
        let mut key = SwFlowKey::zeroed();
        key.mac_proto = MAC_PROTO_ETHERNET;
        key_extract_packet(&mut skb, &mut key)?;
        skb.set_ip_summed(IpSummed::Complete);
        Ok((skb, key))
    }

    /// Whether the packet still has a sum, which is right.
    fn is_right(skb: &SkBuff) -> bool {
        skb.ip_summed() == IpSummed::Complete && skb.csum() % 0xffff == skb.packet_sum() % 0xffff
    }

    #[test]
    fn vlan_tags() -> Result {
        let (mut skb, mut key) = frame()?;
        assert!(is_right(&skb));
        // The first tag is beside the packet; each further one moves the one
        // before it into the packet.
        for (tag, len) in [(0x1005u16, 48), (0x1006, 52), (0x1007, 56)] {
            push_vlan(&mut skb, &mut key, 0x8100u16.into(), tag.into())?;
            assert_eq!(skb.len(), len);
            assert!(is_right(&skb));
        }
        for len in [52, 48, 48] {
            pop_vlan(&mut skb, &mut key)?;
            assert_eq!(skb.len(), len);
            assert!(is_right(&skb));
        }
        assert!(skb.data() == &FRAME[..]);
        Ok(())
    }

    #[test]
    fn ethernet_headers() -> Result {
        let (mut skb, mut key) = frame()?;
        for _ in 0..2 {
            pop_eth(&mut skb, &mut key)?;
            assert_eq!(skb.len(), FRAME.len() - 14);
            assert!(is_right(&skb));
            push_eth(&mut skb, &mut key, b"\x02\0\0\0\0\x01", b"\x02\0\0\0\0\x02")?;
            assert!(is_right(&skb));
        }
        assert!(skb.data() == &FRAME[..]);
        Ok(())
    }

    #[test]
    fn a_wrong_sum_is_seen() -> Result {
        let (mut skb, _) = frame()?;
        skb.ensure_writable(FRAME.len())?[20] ^= 1;
        assert!(!is_right(&skb));
        Ok(())
    }
}
