// SPDX-License-Identifier: GPL-2.0

//! The action that looks at the length of the packet.

use kernel::sync::Arc;
use kernel_ext::net::skbuff::SkBuff;

use super::{
    cb::OvsSkbCb,
    CheckPktLenAction,
    NestedActions, //
};

/// The list to run on the packet: which one depends on its length, with the MAC
/// header and without a VLAN tag beside the packet. Of a packet that stands for
/// several, or that was put together from several, the length of the largest
/// counts.
///
/// C: `execute_check_pkt_len()`, up to `clone_execute()`.
#[inline(never)]
pub(crate) fn execute_check_pkt_len<'a>(
    skb: &SkBuff,
    action: &'a CheckPktLenAction,
) -> &'a Arc<NestedActions> {
    let len = match skb.cb::<OvsSkbCb>().mru {
        0 => skb.len(),
        mru => usize::from(mru).wrapping_add(skb.mac_len().into()),
    };
    let fits = (skb.is_gso() && skb.gso_validate_mac_len(action.pkt_len.into()))
        || len <= usize::from(action.pkt_len);
    if fits {
        &action.if_less_equal
    } else {
        &action.if_greater
    }
}
