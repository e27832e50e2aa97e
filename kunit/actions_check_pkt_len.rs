// SPDX-License-Identifier: GPL-2.0

//! The action that looks at the length: which length that is.

use kernel::prelude::*;

#[kunit_tests(openvswitch_actions_check_pkt_len)]
mod tests {
    use super::*;

    use kernel::sync::Arc;
    use kernel_ext::net::skbuff::SkBuff;

    use crate::actions::{
        cb::OvsSkbCb,
        check_pkt_len::execute_check_pkt_len,
        ActionList,
        CheckPktLenAction,
        NestedActions, //
    };

    fn empty() -> Result<Arc<NestedActions>> {
        let nested = NestedActions {
            exec: true,
            actions: ActionList::new(),
        };
        Ok(Arc::new(nested, GFP_KERNEL)?)
    }

    /// The longest length that a packet of `len` bytes, of which the MAC header
    /// has `mac_len`, is longer than.
    fn longer_than(len: usize, mac_len: usize, mru: u16) -> Result<u16> {
        let mut bytes = KVec::new();
        bytes.resize(len, 0, GFP_KERNEL)?;
        let mut skb = SkBuff::dev_alloc_copy(&bytes, GFP_KERNEL)?;
        skb.reset_mac_header();
        skb.set_network_offset(mac_len);
        skb.reset_mac_len();
        *skb.cb_mut::<OvsSkbCb>() = OvsSkbCb {
            mru,
            ..OvsSkbCb::default()
        };

        let mut longest = 0;
        let mut action = CheckPktLenAction {
            pkt_len: 0,
            if_less_equal: empty()?,
            if_greater: empty()?,
        };
        for pkt_len in 1..=u16::MAX {
            action.pkt_len = pkt_len;
            let list = execute_check_pkt_len(&skb, &action);
            if Arc::ptr_eq(list, &action.if_greater) {
                // All shorter lengths, too.
                if longest + 1 != pkt_len {
                    return Err(EINVAL);
                }
                longest = pkt_len;
            }
        }
        Ok(longest)
    }

    #[test]
    fn all_of_the_packet() -> Result {
        for len in [14, 60, 1399, 1400, 1401, 9000] {
            for mac_len in [0, 14, 18] {
                // CAST: All are small.
                assert_eq!(longer_than(len, mac_len.min(len), 0)?, len as u16 - 1);
            }
        }
        Ok(())
    }

    #[test]
    fn largest_fragment() -> Result {
        for (mac_len, mru, expected) in [
            (14, 1, 14),
            (14, 1386, 1399),
            (14, 1387, 1400),
            (18, 1383, 1400),
            (0, 1400, 1399),
            // Longer than any length that can be asked for: no wrap.
            (14, 65521, 65534),
            (14, 65522, 65535),
            (14, 65535, 65535),
        ] {
            assert_eq!(longer_than(3000, mac_len, mru)?, expected);
        }
        Ok(())
    }
}
