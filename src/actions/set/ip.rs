// SPDX-License-Identifier: GPL-2.0

//! IPv4 and IPv6 headers.

use core::mem::offset_of;

use kernel::prelude::*;
use kernel_ext::net::{
    checksum::{
        csum_replace,
        csum_replace2,
        csum_replace4, //
    },
    skbuff::{
        IpSummed,
        ProtoCsum,
        SkBuff, //
    },
};
use zerocopy::network_endian::U32 as Be32;

use super::{
    header_mut,
    masked,
    offset,
    tp::CSUM_MANGLED_0, //
};
use crate::{
    flow::{
        extract::ipv6_find_hdr,
        headers::{
            ipv6_ext_hdr,
            IcmpHdr,
            IpHdr,
            Ipv6Hdr,
            TcpHdr,
            UdpHdr,
            IPPROTO_TCP,
            IPPROTO_UDP,
            NEXTHDR_ICMP,
            NEXTHDR_ROUTING, //
        },
        key::SwFlowKey, //
    },
    flow_netlink::uapi::{
        OvsKeyIpv4,
        OvsKeyIpv6, //
    },
};

/// The transport checksum that is over the IP addresses too.
#[derive(Clone, Copy)]
enum L4Check {
    /// At this offset from the start of the packet.
    At(usize),
    /// As `At`, of UDP, where zero means that there is none.
    Udp(usize),
    /// There is none.
    None,
}

impl L4Check {
    /// Where it is for the protocol `proto`, whose header is at `th_ofs`, in a
    /// packet of `len` bytes. There is none where the packet ends in the header.
    fn find(proto: u8, th_ofs: isize, len: usize, icmp6: bool) -> Self {
        let Ok(th_ofs) = usize::try_from(th_ofs) else {
            return Self::None;
        };
        let there = |hdrlen| len.saturating_sub(th_ofs) >= hdrlen;
        match proto {
            IPPROTO_TCP if there(size_of::<TcpHdr>()) => {
                Self::At(th_ofs.wrapping_add(offset_of!(TcpHdr, check)))
            }
            IPPROTO_UDP if there(size_of::<UdpHdr>()) => {
                Self::Udp(th_ofs.wrapping_add(offset_of!(UdpHdr, check)))
            }
            NEXTHDR_ICMP if icmp6 && there(size_of::<IcmpHdr>()) => {
                Self::At(th_ofs.wrapping_add(offset_of!(IcmpHdr, checksum)))
            }
            _ => Self::None,
        }
    }

    /// Where it ends.
    fn end(self) -> usize {
        match self {
            Self::At(at) | Self::Udp(at) => at.wrapping_add(2),
            Self::None => 0,
        }
    }

    /// Updates it.
    ///
    /// C: `update_ip_l4_checksum()` and `update_ipv6_checksum()`.
    fn update(
        self,
        bytes: &mut [u8],
        csum: &mut ProtoCsum,
        replace: impl FnOnce(&mut ProtoCsum, &mut [u8; 2]),
    ) {
        match self {
            Self::At(at) => {
                if let Some(check) = header_mut::<[u8; 2]>(bytes, at) {
                    replace(csum, check);
                }
            }
            Self::Udp(at) => {
                if let Some(check) = header_mut::<[u8; 2]>(bytes, at) {
                    if *check != [0; 2] || csum.summed == IpSummed::Partial {
                        replace(csum, check);
                        if *check == [0; 2] {
                            *check = CSUM_MANGLED_0;
                        }
                    }
                }
            }
            Self::None => {}
        }
    }
}

/// Sets an IPv4 address at `at` from `data`. Returns it if it was another one.
///
/// C: `set_ip_addr()` and the test before it.
fn set_ip_addr(
    bytes: &mut [u8],
    nh_ofs: usize,
    at: usize,
    key: Be32,
    mask: Be32,
    check: L4Check,
    csum: &mut ProtoCsum,
) -> Option<Be32> {
    let old = *header_mut::<[u8; 4]>(bytes, at)?;
    let new = masked(old, key.to_bytes(), mask.to_bytes());
    if new == old {
        return None;
    }

    check.update(bytes, csum, |csum, check| {
        csum.replace4(check, old, new, true);
    });
    csum_replace4(&mut header_mut::<IpHdr>(bytes, nh_ofs)?.check, old, new);
    *header_mut::<[u8; 4]>(bytes, at)? = new;
    Some(Be32::from_bytes(new))
}

/// Sets the type of service and updates the header's checksum.
/// C: `ipv4_change_dsfield()`, with `!mask` and `value`.
fn ipv4_change_dsfield(nh: &mut IpHdr, mask: u8, value: u8) {
    let dsfield = (nh.tos & !mask) | value;
    let mut check = u32::from(u16::from_be_bytes(nh.check)).wrapping_add(nh.tos.into());
    if check.wrapping_add(1) >> 16 != 0 {
        check = check.wrapping_add(1) & 0xffff;
    }
    check = check.wrapping_sub(dsfield.into());
    check = check.wrapping_add(check >> 16);
    // CAST: As in C, the carry was added above.
    nh.check = (check as u16).to_be_bytes();
    nh.tos = dsfield;
}

/// Sets the time to live and updates the header's checksum. C: `set_ip_ttl()`.
fn set_ip_ttl(nh: &mut IpHdr, new_ttl: u8, mask: u8) {
    let new = new_ttl | (nh.ttl & !mask);
    csum_replace2(&mut nh.check, [nh.ttl, 0], [new, 0]);
    nh.ttl = new;
}

/// Sets fields of an IPv4 header. Fails with `ENOMEM`.
pub(super) fn set_ipv4(
    skb: &mut SkBuff,
    flow_key: &mut SwFlowKey,
    key: &OvsKeyIpv4,
    mask: &OvsKeyIpv4,
) -> Result {
    let nh_ofs = offset(skb.network_offset())?;
    let th_ofs = skb.transport_offset();
    let len = skb.len();
    let mut csum = skb.proto_csum();

    let nh_end = nh_ofs.wrapping_add(size_of::<IpHdr>());
    let bytes = skb.ensure_writable(nh_end)?;
    let nh = header_mut::<IpHdr>(bytes, nh_ofs).ok_or(ENOMEM)?;
    let check = if nh.frag_off.get() & IpHdr::OFFSET == 0 {
        L4Check::find(nh.protocol, th_ofs, len, false)
    } else {
        L4Check::None
    };
    let bytes = skb.ensure_writable(nh_end.max(check.end()))?;

    let mut set_addr = |at: usize, key, mask| {
        set_ip_addr(
            bytes,
            nh_ofs,
            nh_ofs.wrapping_add(at),
            key,
            mask,
            check,
            &mut csum,
        )
    };
    let new_src = set_addr(offset_of!(IpHdr, saddr), key.ipv4_src, mask.ipv4_src);
    let new_dst = set_addr(offset_of!(IpHdr, daddr), key.ipv4_dst, mask.ipv4_dst);
    if let Some(new) = new_src {
        flow_key.ipv4_src = new;
    }
    if let Some(new) = new_dst {
        flow_key.ipv4_dst = new;
    }

    let nh = header_mut::<IpHdr>(bytes, nh_ofs).ok_or(ENOMEM)?;
    if mask.ipv4_tos != 0 {
        ipv4_change_dsfield(nh, mask.ipv4_tos, key.ipv4_tos);
        flow_key.ip_tos = nh.tos;
    }
    if mask.ipv4_ttl != 0 {
        set_ip_ttl(nh, key.ipv4_ttl, mask.ipv4_ttl);
        flow_key.ip_ttl = nh.ttl;
    }

    if new_src.is_some() || new_dst.is_some() {
        skb.apply_csum(csum);
        skb.clear_hash();
        skb.ct_clear();
    }
    Ok(())
}

/// Sets an IPv6 address at `at` from `data`. Returns it if it was another one.
///
/// C: `mask_ipv6_addr()` and `set_ipv6_addr()`, where `recalculate_csum` is false
/// `check` is none here.
fn set_ipv6_addr(
    bytes: &mut [u8],
    at: usize,
    key: [u8; 16],
    mask: [u8; 16],
    check: L4Check,
    csum: &mut ProtoCsum,
) -> Option<[u8; 16]> {
    let old = *header_mut::<[u8; 16]>(bytes, at)?;
    let new = masked(old, key, mask);
    if new == old {
        return None;
    }
    check.update(bytes, csum, |csum, check| {
        csum.replace16(check, &old, &new);
    });
    *header_mut::<[u8; 16]>(bytes, at)? = new;
    Some(new)
}

/// Updates the sum over the packet, if it has one, as C does it, which takes the
/// words of the header for words of the CPU's byte order.
fn replace_complete(csum: &mut ProtoCsum, old: u32, new: u32) {
    if csum.summed == IpSummed::Complete {
        csum.csum = csum_replace(csum.csum, old, new);
    }
}

/// Sets the traffic class. C: `set_ipv6_dsfield()`.
fn set_ipv6_dsfield(csum: &mut ProtoCsum, nh: &mut Ipv6Hdr, tclass: u8, mask: u8) {
    let old = nh.dsfield();
    let new = tclass | (old & !mask);
    replace_complete(csum, u32::from(old) << 12, u32::from(new) << 12);
    nh.flow = Be32::new((nh.flow.get() & !(0xff << 20)) | (u32::from(new) << 20));
}

/// Sets the flow label. C: `set_ipv6_fl()`.
fn set_ipv6_fl(csum: &mut ProtoCsum, nh: &mut Ipv6Hdr, fl: u32, mask: u32) {
    // Four bits of the traffic class are in this, which are not masked.
    let old = nh.flow.get() & 0x00ff_ffff;
    let new = fl | (old & !mask);
    nh.flow = Be32::new((nh.flow.get() & 0xff00_0000) | (new & 0x00ff_ffff));
    replace_complete(csum, old.to_be(), new.to_be());
}

/// Sets the hop limit. C: `set_ipv6_ttl()`.
fn set_ipv6_ttl(csum: &mut ProtoCsum, nh: &mut Ipv6Hdr, new_ttl: u8, mask: u8) {
    let new = new_ttl | (nh.hop_limit & !mask);
    replace_complete(csum, u32::from(nh.hop_limit) << 8, u32::from(new) << 8);
    nh.hop_limit = new;
}

/// Sets fields of an IPv6 header. Fails with `ENOMEM`.
pub(super) fn set_ipv6(
    skb: &mut SkBuff,
    flow_key: &mut SwFlowKey,
    key: &OvsKeyIpv6,
    mask: &OvsKeyIpv6,
) -> Result {
    let nh_ofs = offset(skb.network_offset())?;
    let nh_end = nh_ofs.wrapping_add(size_of::<Ipv6Hdr>());
    let mut csum = skb.proto_csum();
    let check = L4Check::find(
        // `NEXTHDR_FRAGMENT` for a later fragment, which has no checksum.
        flow_key.ip_proto,
        skb.transport_offset(),
        skb.len(),
        true,
    );
    skb.ensure_writable(nh_end.max(check.end()))?;

    // With a routing header that has segments left, the checksum is over the
    // last address in it and not over the header's destination.
    let mut dst_check = check;
    // C: `is_ipv6_mask_nonzero()`.
    if mask.ipv6_dst != [0; 16] {
        let nexthdr = skb.header::<Ipv6Hdr>(nh_ofs).ok_or(ENOMEM)?.nexthdr;
        if ipv6_ext_hdr(nexthdr) {
            let found = ipv6_find_hdr(skb, nh_end, nexthdr, Some(NEXTHDR_ROUTING), true);
            if matches!(found.nexthdr, Ok(NEXTHDR_ROUTING)) {
                dst_check = L4Check::None;
            }
        }
    }

    let bytes = skb.ensure_writable(nh_end.max(check.end()))?;
    let mut set_addr = |at: usize, key, mask, check| {
        set_ipv6_addr(bytes, nh_ofs.wrapping_add(at), key, mask, check, &mut csum)
    };
    let saddr = offset_of!(Ipv6Hdr, saddr);
    let daddr = offset_of!(Ipv6Hdr, daddr);
    let new_src = set_addr(saddr, key.ipv6_src, mask.ipv6_src, check);
    let new_dst = set_addr(daddr, key.ipv6_dst, mask.ipv6_dst, dst_check);
    if let Some(new) = new_src {
        flow_key.ipv6_src = new;
    }
    if let Some(new) = new_dst {
        flow_key.ipv6_dst = new;
    }

    let nh = header_mut::<Ipv6Hdr>(bytes, nh_ofs).ok_or(ENOMEM)?;
    if mask.ipv6_tclass != 0 {
        set_ipv6_dsfield(&mut csum, nh, key.ipv6_tclass, mask.ipv6_tclass);
        flow_key.ip_tos = nh.dsfield();
    }
    if mask.ipv6_label.get() != 0 {
        set_ipv6_fl(&mut csum, nh, key.ipv6_label.get(), mask.ipv6_label.get());
        flow_key.ipv6_label = Be32::new(nh.flow.get() & Ipv6Hdr::FLOWLABEL);
    }
    if mask.ipv6_hlimit != 0 {
        set_ipv6_ttl(&mut csum, nh, key.ipv6_hlimit, mask.ipv6_hlimit);
        flow_key.ip_ttl = nh.hop_limit;
    }

    skb.apply_csum(csum);
    if new_src.is_some() || new_dst.is_some() {
        skb.clear_hash();
        skb.ct_clear();
    }
    Ok(())
}
