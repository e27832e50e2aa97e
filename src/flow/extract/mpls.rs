// SPDX-License-Identifier: GPL-2.0

//! MPLS label stacks.

use kernel_ext::net::skbuff::SkBuff;
use zerocopy::network_endian::U32 as Be32;

use super::check_header;
use crate::flow::{
    headers::{
        MPLS_HLEN,
        MPLS_LS_S_MASK, //
    },
    key::{
        num_labels_mask,
        SwFlowKey, //
    }, //
};

/// Extracts the first labels of the stack at `nh_ofs`, however many it has. Their
/// fields of `key` are zero.
///
/// The inner network header is then behind the stack. Where the packet ends
/// before the stack does, it is behind the last entry, and `key` has labels but
/// says that there are none.
///
/// C: a part of `key_extract_l3l4()`.
#[cold]
pub(super) fn extract_mpls(skb: &mut SkBuff, key: &mut SwFlowKey, nh_ofs: usize) {
    let mut offset = nh_ofs;
    let mut labels = 0usize;

    skb.set_inner_network_offset(offset);
    loop {
        let end = offset.wrapping_add(MPLS_HLEN);
        if check_header(skb, end).is_err() {
            return;
        }
        let Some(&lse) = skb.header::<Be32>(offset) else {
            return;
        };
        if let Some(to) = key.mpls_lse.get_mut(labels) {
            *to = lse;
        }
        labels = labels.wrapping_add(1);
        offset = end;
        skb.set_inner_network_offset(offset);
        if lse.get() & MPLS_LS_S_MASK != 0 {
            break;
        }
    }
    key.mpls_num_labels_mask = num_labels_mask(labels);
}
