// SPDX-License-Identifier: GPL-2.0

//! IPv6 headers and their extensions.

use kernel::prelude::*;
use kernel_ext::{
    net::skbuff::SkBuff,
    uapi::{
        ovs_frag_type_OVS_FRAG_TYPE_FIRST as OVS_FRAG_TYPE_FIRST,
        ovs_frag_type_OVS_FRAG_TYPE_LATER as OVS_FRAG_TYPE_LATER,
        ovs_frag_type_OVS_FRAG_TYPE_NONE as OVS_FRAG_TYPE_NONE, //
    }, //
};
use zerocopy::network_endian::U32 as Be32;

use super::check_header;
use crate::flow::{
    headers::{
        ipv6_ext_hdr,
        Ipv6Hdr,
        NEXTHDR_AUTH,
        NEXTHDR_DEST,
        NEXTHDR_FRAGMENT,
        NEXTHDR_HOP,
        NEXTHDR_NONE,
        NEXTHDR_ROUTING, //
    },
    key::SwFlowKey, //
};

// Flags of `SwFlowKey::ip_exthdrs`. `OFPIEH12_ESP` is never set, in C neither:
// ESP is no extension header to the loop that looks for them.
const OFPIEH12_NONEXT: u16 = 1 << 0;
const OFPIEH12_AUTH: u16 = 1 << 2;
const OFPIEH12_DEST: u16 = 1 << 3;
const OFPIEH12_FRAG: u16 = 1 << 4;
const OFPIEH12_ROUTER: u16 = 1 << 5;
const OFPIEH12_HOP: u16 = 1 << 6;
const OFPIEH12_UNREP: u16 = 1 << 7;
const OFPIEH12_UNSEQ: u16 = 1 << 8;

/// `N` bytes anywhere in the packet. C: `skb_header_pointer()`.
#[inline]
fn bytes_at<const N: usize>(skb: &SkBuff, offset: usize) -> Option<[u8; N]> {
    if let Some(bytes) = skb.header::<[u8; N]>(offset) {
        return Some(*bytes);
    }
    let mut bytes = [0; N];
    skb.copy_bits(offset, &mut bytes).then_some(bytes)
}

/// The extension header flags of the headers that begin at `start` with one of
/// the type `nexthdr`.
///
/// `OFPIEH12_UNREP` stands for a header that is repeated unexpectedly (two
/// destination options headers are expected), `OFPIEH12_UNSEQ` for headers in
/// another order than the one that RFC 2460 prefers.
fn get_ipv6_ext_hdrs(skb: &SkBuff, nexthdr: u8, start: usize) -> u16 {
    let mut next_type = nexthdr;
    let mut start = start;
    let mut flags = 0;
    let mut dest_options_headers = 0u32;

    // Notes a header that may come once and only after those in `before`.
    let once = |flags: &mut u16, flag: u16, before: u16, dest_options_headers: u32| {
        if *flags & flag != 0 {
            *flags |= OFPIEH12_UNREP;
        }
        if *flags & !(before | OFPIEH12_UNREP) != 0 || dest_options_headers >= 2 {
            *flags |= OFPIEH12_UNSEQ;
        }
        *flags |= flag;
    };

    while ipv6_ext_hdr(next_type) {
        match next_type {
            NEXTHDR_NONE => return flags | OFPIEH12_NONEXT,
            NEXTHDR_AUTH => once(
                &mut flags,
                OFPIEH12_AUTH,
                OFPIEH12_HOP | OFPIEH12_DEST | OFPIEH12_ROUTER | OFPIEH12_FRAG,
                dest_options_headers,
            ),
            NEXTHDR_FRAGMENT => once(
                &mut flags,
                OFPIEH12_FRAG,
                OFPIEH12_HOP | OFPIEH12_DEST | OFPIEH12_ROUTER,
                dest_options_headers,
            ),
            NEXTHDR_ROUTING => once(
                &mut flags,
                OFPIEH12_ROUTER,
                OFPIEH12_HOP | OFPIEH12_DEST,
                dest_options_headers,
            ),
            NEXTHDR_DEST => {
                let before = match dest_options_headers {
                    0 => Some(OFPIEH12_HOP),
                    1 => Some(
                        OFPIEH12_HOP
                            | OFPIEH12_DEST
                            | OFPIEH12_ROUTER
                            | OFPIEH12_FRAG
                            | OFPIEH12_AUTH,
                    ),
                    _ => None,
                };
                match before {
                    Some(before) if flags & !(before | OFPIEH12_UNREP) != 0 => {
                        flags |= OFPIEH12_UNSEQ;
                    }
                    Some(_) => {}
                    None => flags |= OFPIEH12_UNREP,
                }
                flags |= OFPIEH12_DEST;
                dest_options_headers = dest_options_headers.saturating_add(1);
            }
            NEXTHDR_HOP => {
                if flags & OFPIEH12_HOP != 0 {
                    flags |= OFPIEH12_UNREP;
                }
                // Only the very first header may be this one.
                if flags == 0 {
                    flags |= OFPIEH12_HOP;
                } else {
                    flags |= OFPIEH12_UNSEQ;
                }
            }
            _ => return flags,
        }

        let Some([nexthdr, hdrlen]) = bytes_at(skb, start) else {
            break;
        };
        next_type = nexthdr;
        start = start.wrapping_add(ipv6_optlen(hdrlen));
    }
    flags
}

/// The length of an extension header, in bytes. C: `ipv6_optlen()`.
#[inline]
fn ipv6_optlen(hdrlen: u8) -> usize {
    (usize::from(hdrlen).wrapping_add(1)) << 3
}

/// What [`ipv6_find_hdr`] has found.
pub(crate) struct Ipv6Found {
    /// The header that was looked for, or the last one; an error where the
    /// headers end too early or the header is not there.
    pub(crate) nexthdr: Result<u8>,
    /// Where the header is, if it was found and is not in a later fragment.
    pub(crate) offset: usize,
    /// There is a fragment header. Of use also where `nexthdr` is an error.
    pub(crate) is_frag: bool,
    /// The offset of the fragment in bytes. Of use also where `nexthdr` is an
    /// error.
    pub(crate) frag_off: u16,
}

/// Looks for the header `target`, or with `None` for the last one, among the
/// headers that begin at `start` with one of the type `nexthdr`.
///
/// `skip_rh` (C: `IP6_FH_F_SKIP_RH`) passes over routing headers that have no
/// segments left. Reads from
/// anywhere in the packet and changes nothing. C: `ipv6_find_hdr()`.
#[inline]
pub(crate) fn ipv6_find_hdr(
    skb: &SkBuff,
    start: usize,
    nexthdr: u8,
    target: Option<u8>,
    skip_rh: bool,
) -> Ipv6Found {
    let mut found = Ipv6Found {
        nexthdr: Ok(nexthdr),
        offset: start,
        is_frag: false,
        frag_off: 0,
    };
    if target.is_some() || (ipv6_ext_hdr(nexthdr) && nexthdr != NEXTHDR_NONE) {
        found.nexthdr = find_ext_hdr(skb, nexthdr, target, skip_rh, &mut found);
    }
    found
}

/// The loop of [`ipv6_find_hdr`], for packets with extension headers.
fn find_ext_hdr(
    skb: &SkBuff,
    nexthdr: u8,
    target: Option<u8>,
    skip_rh: bool,
    at: &mut Ipv6Found,
) -> Result<u8> {
    const IP6_MAX_EXT_HDRS_CNT: usize = 12;

    let mut nexthdr = nexthdr;
    let mut count = 0usize;
    loop {
        let mut found = target == Some(nexthdr);

        if !ipv6_ext_hdr(nexthdr) || nexthdr == NEXTHDR_NONE {
            if target.is_none() || found {
                return Ok(nexthdr);
            }
            return Err(ENOENT);
        }

        if count >= IP6_MAX_EXT_HDRS_CNT {
            return Err(EBADMSG);
        }
        count = count.wrapping_add(1);

        let [next, hdrlen] = bytes_at(skb, at.offset).ok_or(EBADMSG)?;

        if nexthdr == NEXTHDR_ROUTING {
            let [_, _, _, segments_left] = bytes_at(skb, at.offset).ok_or(EBADMSG)?;
            if skip_rh && segments_left == 0 {
                found = false;
            }
        }

        let hdrlen = match nexthdr {
            NEXTHDR_FRAGMENT => {
                at.is_frag = true;
                let frag_off = bytes_at(skb, at.offset.wrapping_add(2)).ok_or(EBADMSG)?;
                let frag_off = u16::from_be_bytes(frag_off) & !7;
                if frag_off != 0 {
                    if target.is_none() && (!ipv6_ext_hdr(next) || next == NEXTHDR_NONE) {
                        at.frag_off = frag_off;
                        return Ok(next);
                    }
                    if !found {
                        return Err(ENOENT);
                    }
                    at.frag_off = frag_off;
                    return Ok(nexthdr);
                }
                8
            }
            NEXTHDR_AUTH => (usize::from(hdrlen).wrapping_add(2)) << 2,
            _ => ipv6_optlen(hdrlen),
        };

        if found {
            return Ok(nexthdr);
        }
        if skb.len().wrapping_sub(at.offset) < hdrlen {
            return Err(EBADMSG);
        }
        nexthdr = next;
        at.offset = at.offset.wrapping_add(hdrlen);
    }
}

/// How far [`parse_ipv6hdr`] came.
pub(super) enum Parsed {
    /// There is a transport header at this offset.
    Transport(usize),
    /// The packet is a later fragment, which has no transport header.
    LaterFragment,
    /// The packet ends before the end of its headers.
    Malformed,
}

/// Parses the IPv6 header at `nh_ofs` and its extensions. Fails with `ENOMEM`.
#[inline]
pub(super) fn parse_ipv6hdr(
    skb: &mut SkBuff,
    key: &mut SwFlowKey,
    nh_ofs: usize,
) -> Result<Parsed> {
    let start = nh_ofs.wrapping_add(size_of::<Ipv6Hdr>());
    match check_header(skb, start) {
        Ok(()) => {}
        Err(e) if e == EINVAL => return Ok(Parsed::Malformed),
        Err(e) => return Err(e),
    }
    let Some(nh) = skb.header::<Ipv6Hdr>(nh_ofs) else {
        return Ok(Parsed::Malformed);
    };
    let nexthdr = nh.nexthdr;

    key.ip_proto = NEXTHDR_NONE;
    key.ip_tos = nh.dsfield();
    key.ip_ttl = nh.hop_limit;
    key.ipv6_label = Be32::new(nh.flow.get() & Ipv6Hdr::FLOWLABEL);
    key.ipv6_src = nh.saddr;
    key.ipv6_dst = nh.daddr;

    if ipv6_ext_hdr(nexthdr) {
        key.ip_exthdrs = get_ipv6_ext_hdrs(skb, nexthdr, start);
    }

    let found = ipv6_find_hdr(skb, start, nexthdr, None, false);
    // CAST: The types are all below 3.
    if found.is_frag {
        if found.frag_off != 0 {
            key.ip_frag = OVS_FRAG_TYPE_LATER as u8;
            key.ip_proto = NEXTHDR_FRAGMENT;
            return Ok(Parsed::LaterFragment);
        }
        key.ip_frag = OVS_FRAG_TYPE_FIRST as u8;
    } else {
        key.ip_frag = OVS_FRAG_TYPE_NONE as u8;
    }

    let Ok(nexthdr) = found.nexthdr else {
        return Ok(Parsed::Malformed);
    };
    skb.set_transport_offset(found.offset);
    key.ip_proto = nexthdr;
    Ok(Parsed::Transport(found.offset))
}
