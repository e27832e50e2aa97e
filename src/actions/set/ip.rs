// SPDX-License-Identifier: GPL-2.0

//! IPv4 and IPv6 headers.

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
use crate::flow::{
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
                Self::At(th_ofs.wrapping_add(core::mem::offset_of!(TcpHdr, check)))
            }
            IPPROTO_UDP if there(size_of::<UdpHdr>()) => {
                Self::Udp(th_ofs.wrapping_add(core::mem::offset_of!(UdpHdr, check)))
            }
            NEXTHDR_ICMP if icmp6 && there(size_of::<IcmpHdr>()) => {
                Self::At(th_ofs.wrapping_add(core::mem::offset_of!(IcmpHdr, checksum)))
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
fn set_ip_addr(
    bytes: &mut [u8],
    nh_ofs: usize,
    at: usize,
    key: [u8; 4],
    mask: [u8; 4],
    check: L4Check,
    csum: &mut ProtoCsum,
) -> Option<Be32> {
    let old = *header_mut::<[u8; 4]>(bytes, at)?;
    let new = masked(old, key, mask);
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

/// Sets fields of an IPv4 header; `key` and `mask` are `struct ovs_key_ipv4`.
/// Fails with `ENOMEM`.
pub(super) fn set_ipv4(
    skb: &mut SkBuff,
    flow_key: &mut SwFlowKey,
    key: &[u8; 12],
    mask: &[u8; 12],
) -> Result {
    // Addresses, protocol and fragment cannot be set and are not masked.
    let [s0, s1, s2, s3, d0, d1, d2, d3, _, tos, ttl, _] = *key;
    let [ms0, ms1, ms2, ms3, md0, md1, md2, md3, _, tos_mask, ttl_mask, _] = *mask;
    let (src, src_mask) = ([s0, s1, s2, s3], [ms0, ms1, ms2, ms3]);
    let (dst, dst_mask) = ([d0, d1, d2, d3], [md0, md1, md2, md3]);

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

    let saddr = nh_ofs.wrapping_add(core::mem::offset_of!(IpHdr, saddr));
    let daddr = nh_ofs.wrapping_add(core::mem::offset_of!(IpHdr, daddr));
    let new_src = set_ip_addr(bytes, nh_ofs, saddr, src, src_mask, check, &mut csum);
    let new_dst = set_ip_addr(bytes, nh_ofs, daddr, dst, dst_mask, check, &mut csum);
    if let Some(new) = new_src {
        flow_key.ipv4_src = new;
    }
    if let Some(new) = new_dst {
        flow_key.ipv4_dst = new;
    }

    let nh = header_mut::<IpHdr>(bytes, nh_ofs).ok_or(ENOMEM)?;
    if tos_mask != 0 {
        ipv4_change_dsfield(nh, tos_mask, tos);
        flow_key.ip_tos = nh.tos;
    }
    if ttl_mask != 0 {
        let new = ttl | (nh.ttl & !ttl_mask);
        csum_replace2(&mut nh.check, [nh.ttl, 0], [new, 0]);
        nh.ttl = new;
        flow_key.ip_ttl = new;
    }

    if new_src.is_some() || new_dst.is_some() {
        skb.apply_csum(csum);
        skb.clear_hash();
        skb.ct_clear();
    }
    Ok(())
}

/// The `N` bytes at `at` of a set action's value or mask.
#[inline]
fn part<const N: usize>(bytes: &[u8; 40], at: usize) -> [u8; N] {
    bytes
        .get(at..)
        .and_then(|bytes| bytes.first_chunk::<N>())
        .copied()
        .unwrap_or([0; N])
}

/// Sets fields of an IPv6 header; `key` and `mask` are `struct ovs_key_ipv6`.
/// Fails with `ENOMEM`.
pub(super) fn set_ipv6(
    skb: &mut SkBuff,
    flow_key: &mut SwFlowKey,
    key: &[u8; 40],
    mask: &[u8; 40],
) -> Result {
    // Where the fields of `struct ovs_key_ipv6` are.
    const SRC: usize = 0;
    const DST: usize = 16;
    const LABEL: usize = 32;
    const TCLASS: usize = 37;
    const HLIMIT: usize = 38;

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

    let mut changed = false;
    let dst_mask = part::<16>(mask, DST);
    // With a routing header that has segments left, the checksum is over the
    // last address in it and not over the header's destination.
    let mut dst_check = check;
    if dst_mask != [0; 16] {
        let nexthdr = skb.header::<Ipv6Hdr>(nh_ofs).ok_or(ENOMEM)?.nexthdr;
        if ipv6_ext_hdr(nexthdr) {
            let found = ipv6_find_hdr(skb, nh_end, nexthdr, Some(NEXTHDR_ROUTING), true);
            if matches!(found.nexthdr, Ok(NEXTHDR_ROUTING)) {
                dst_check = L4Check::None;
            }
        }
    }

    let bytes = skb.ensure_writable(nh_end.max(check.end()))?;
    let mut set_addr = |at: usize, from: usize, check: L4Check| -> Option<[u8; 16]> {
        let at = nh_ofs.wrapping_add(at);
        let old = *header_mut::<[u8; 16]>(bytes, at)?;
        let new = masked(old, part(key, from), part(mask, from));
        if new == old {
            return None;
        }
        check.update(bytes, &mut csum, |csum, check| {
            csum.replace16(check, &old, &new);
        });
        *header_mut::<[u8; 16]>(bytes, at)? = new;
        Some(new)
    };
    if let Some(new) = set_addr(core::mem::offset_of!(Ipv6Hdr, saddr), SRC, check) {
        flow_key.ipv6_src = new;
        changed = true;
    }
    if let Some(new) = set_addr(core::mem::offset_of!(Ipv6Hdr, daddr), DST, dst_check) {
        flow_key.ipv6_dst = new;
        changed = true;
    }

    // The sum over the packet is updated as C does it, which takes the words
    // of the header for words of the CPU's byte order.
    let complete = csum.summed == IpSummed::Complete;
    let nh = header_mut::<Ipv6Hdr>(bytes, nh_ofs).ok_or(ENOMEM)?;

    let [tclass_mask] = part(mask, TCLASS);
    if tclass_mask != 0 {
        let [tclass] = part(key, TCLASS);
        let old = nh.dsfield();
        let new = tclass | (old & !tclass_mask);
        if complete {
            let (old, new) = (u32::from(old) << 12, u32::from(new) << 12);
            csum.csum = csum_replace(csum.csum, old, new);
        }
        nh.flow = Be32::new((nh.flow.get() & !(0xff << 20)) | (u32::from(new) << 20));
        flow_key.ip_tos = new;
    }

    let label_mask = u32::from_be_bytes(part(mask, LABEL));
    if label_mask != 0 {
        let label = u32::from_be_bytes(part(key, LABEL));
        // Four bits of the traffic class are in this, which are not masked.
        let old = nh.flow.get() & 0x00ff_ffff;
        let new = label | (old & !label_mask);
        nh.flow = Be32::new((nh.flow.get() & 0xff00_0000) | (new & 0x00ff_ffff));
        if complete {
            csum.csum = csum_replace(csum.csum, old.to_be(), new.to_be());
        }
        flow_key.ipv6_label = Be32::new(nh.flow.get() & Ipv6Hdr::FLOWLABEL);
    }

    let [hlimit_mask] = part(mask, HLIMIT);
    if hlimit_mask != 0 {
        let [hlimit] = part(key, HLIMIT);
        let old = nh.hop_limit;
        let new = hlimit | (old & !hlimit_mask);
        if complete {
            let (old, new) = (u32::from(old) << 8, u32::from(new) << 8);
            csum.csum = csum_replace(csum.csum, old, new);
        }
        nh.hop_limit = new;
        flow_key.ip_ttl = new;
    }

    skb.apply_csum(csum);
    if changed {
        skb.clear_hash();
        skb.ct_clear();
    }
    Ok(())
}
