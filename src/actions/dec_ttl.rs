// SPDX-License-Identifier: GPL-2.0

//! The action that decrements the time to live.

use kernel::prelude::*;
use kernel_ext::net::{
    checksum::{
        csum_replace,
        csum_replace2,
        csum_unfold, //
    },
    skbuff::SkBuff, //
};

use super::set::{
    header_mut,
    offset, //
};
use crate::flow::{
    headers::{
        IpHdr,
        Ipv6Hdr,
        ETH_P_IP,
        ETH_P_IPV6, //
    },
    key::SwFlowKey, //
};

/// Decrements the time to live of an IPv4 packet, the hop limit of an IPv6
/// packet, and keeps up checksums. Packets of other protocols are left alone.
///
/// Fails with `EHOSTUNREACH` for a packet that would not live after that, which
/// is not changed, and with `ENOMEM`, also where the packet ends in the header.
///
/// C: `execute_dec_ttl()`.
#[inline(never)]
pub(crate) fn execute_dec_ttl(skb: &mut SkBuff, key: &mut SwFlowKey) -> Result {
    match skb.protocol().get() {
        ETH_P_IPV6 => {
            let nh_ofs = offset(skb.network_offset())?;
            let csum = skb.csum();
            let bytes = skb.ensure_writable(nh_ofs.wrapping_add(size_of::<Ipv6Hdr>()))?;
            let nh = header_mut::<Ipv6Hdr>(bytes, nh_ofs).ok_or(ENOMEM)?;
            let (old, new) = (nh.hop_limit, live_on(nh.hop_limit)?);
            nh.hop_limit = new;
            key.ip_ttl = new;
            // No checksum of the header makes up for the change.
            let word = |hop_limit| csum_unfold([0, hop_limit]);
            skb.set_csum(csum_replace(csum, word(old), word(new)));
        }
        ETH_P_IP => {
            let nh_ofs = offset(skb.network_offset())?;
            let bytes = skb.ensure_writable(nh_ofs.wrapping_add(size_of::<IpHdr>()))?;
            let nh = header_mut::<IpHdr>(bytes, nh_ofs).ok_or(ENOMEM)?;
            let (old, new) = (nh.ttl, live_on(nh.ttl)?);
            csum_replace2(&mut nh.check, [old, 0], [new, 0]);
            nh.ttl = new;
            key.ip_ttl = new;
        }
        _ => {}
    }
    Ok(())
}

/// What is left of a time to live.
#[inline]
fn live_on(ttl: u8) -> Result<u8> {
    match ttl {
        0 | 1 => Err(EHOSTUNREACH),
        ttl => Ok(ttl.wrapping_sub(1)),
    }
}
