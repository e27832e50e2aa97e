// SPDX-License-Identifier: GPL-2.0

//! Actions that change header fields and metadata.
//!
//! Values are masked already. Checksums are updated from what changes, so that
//! one that was wrong stays wrong.

mod ip;
mod tp;

use kernel::prelude::*;
use kernel_ext::net::skbuff::SkBuff;
use zerocopy::{
    network_endian::U32 as Be32,
    Immutable,
    KnownLayout,
    Unaligned, //
};

use super::SetField;
use crate::{
    flow::{
        headers::{
            EthHdr,
            ETH_HLEN,
            MPLS_HLEN, //
        },
        key::SwFlowKey, //
    },
    flow_netlink::uapi::OvsKeyEthernet, //
};

/// `old` with the bits of `mask` from `key`, which has no others.
/// C: `OVS_MASKED()`.
#[inline]
fn masked<const N: usize>(old: [u8; N], key: [u8; N], mask: [u8; N]) -> [u8; N] {
    let mut new = key;
    for ((new, old), mask) in new.iter_mut().zip(old).zip(mask) {
        *new |= old & !mask;
    }
    new
}

/// A header at `offset` of a packet's bytes, to be changed.
#[inline]
pub(super) fn header_mut<T>(bytes: &mut [u8], offset: usize) -> Option<&mut T>
where
    T: FromBytes + IntoBytes + Immutable + KnownLayout + Unaligned,
{
    let bytes = bytes.get_mut(offset..)?;
    T::mut_from_prefix(bytes).ok().map(|(header, _)| header)
}

/// Where a header is that must be in the packet, from `data`. The error cannot
/// happen in a packet whose key was extracted.
#[inline]
pub(super) fn offset(offset: isize) -> Result<usize> {
    usize::try_from(offset).map_err(|_| ENOMEM)
}

/// Sets a field in the packet and in the key. Fails with `ENOMEM`, also where
/// the packet ends before the header, and with `EINVAL` for a field that cannot
/// be set.
///
/// C: `execute_masked_set_action()`.
#[inline(never)]
pub(crate) fn execute_set_action(
    skb: &mut SkBuff,
    flow_key: &mut SwFlowKey,
    field: &SetField,
) -> Result {
    match field {
        SetField::Priority { key, mask } => {
            let priority = key | (skb.priority() & !mask);
            skb.set_priority(priority);
            flow_key.priority = priority;
            Ok(())
        }
        SetField::SkbMark { key, mask } => {
            let mark = key | (skb.mark() & !mask);
            skb.set_mark(mark);
            flow_key.skb_mark = mark;
            Ok(())
        }
        SetField::CtMark { .. } | SetField::CtLabels { .. } => Err(EINVAL),
        SetField::Ethernet { key, mask } => set_eth_addr(skb, flow_key, key, mask),
        SetField::Ipv4 { key, mask } => ip::set_ipv4(skb, flow_key, key, mask),
        SetField::Ipv6 { key, mask } => ip::set_ipv6(skb, flow_key, key, mask),
        SetField::Mpls { key, mask } => set_mpls(skb, flow_key, *key, *mask),
        SetField::Udp { key, mask } => tp::set_udp(skb, flow_key, *key, *mask),
        SetField::Tcp { key, mask } => tp::set_tcp(skb, flow_key, *key, *mask),
        SetField::Sctp { key, mask } => tp::set_sctp(skb, flow_key, *key, *mask),
    }
}

/// The first entry of the label stack. `EINVAL` also for a packet that is not
/// MPLS.
#[cold]
fn set_mpls(skb: &mut SkBuff, flow_key: &mut SwFlowKey, key: [u8; 4], mask: [u8; 4]) -> Result {
    let offset = offset(skb.network_offset())?;
    if !skb.may_pull(offset.wrapping_add(MPLS_HLEN)) {
        return Err(ENOMEM);
    }
    let old = *skb.header::<[u8; 4]>(offset).ok_or(ENOMEM)?;
    let lse = Be32::from_bytes(masked(old, key, mask));
    skb.mpls_update_lse(lse)?;
    let [first, ..] = &mut flow_key.mpls_lse;
    *first = lse;
    Ok(())
}

/// C: also `ether_addr_copy_masked()`.
fn set_eth_addr(
    skb: &mut SkBuff,
    flow_key: &mut SwFlowKey,
    key: &OvsKeyEthernet,
    mask: &OvsKeyEthernet,
) -> Result {
    skb.edit_rcsum(ETH_HLEN, |bytes| {
        if let Some(eth) = header_mut::<EthHdr>(bytes, 0) {
            eth.h_source = masked(eth.h_source, key.eth_src, mask.eth_src);
            eth.h_dest = masked(eth.h_dest, key.eth_dst, mask.eth_dst);
            flow_key.eth_src = eth.h_source;
            flow_key.eth_dst = eth.h_dest;
        }
    })
}
