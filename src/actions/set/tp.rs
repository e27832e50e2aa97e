// SPDX-License-Identifier: GPL-2.0

//! Ports.

use kernel::prelude::*;
use kernel_ext::net::skbuff::{
    IpSummed,
    ProtoCsum,
    SkBuff, //
};
use zerocopy::network_endian::U16 as Be16;

use super::{
    header_mut,
    masked,
    offset, //
};
use crate::flow::{
    headers::{
        SctpHdr,
        TcpHdr,
        UdpHdr, //
    },
    key::SwFlowKey, //
};

/// What a UDP checksum of zero is sent as, since zero means that there is none.
/// C: `CSUM_MANGLED_0`.
pub(super) const CSUM_MANGLED_0: [u8; 2] = [0xff, 0xff];

/// Source and destination port of a header after they are set.
#[inline]
fn new_ports(source: Be16, dest: Be16, key: [u8; 4], mask: [u8; 4]) -> (Be16, Be16) {
    let ([s0, s1], [d0, d1]) = (source.to_bytes(), dest.to_bytes());
    let [s0, s1, d0, d1] = masked([s0, s1, d0, d1], key, mask);
    (Be16::from_bytes([s0, s1]), Be16::from_bytes([d0, d1]))
}

/// Sets a port and updates the checksum. False if it was the same already.
#[inline]
fn set_tp_port(port: &mut Be16, new: Be16, check: &mut [u8; 2], csum: &mut ProtoCsum) -> bool {
    if *port == new {
        return false;
    }
    csum.replace2(check, port.to_bytes(), new.to_bytes());
    *port = new;
    true
}

/// Notes the ports that were changed: in the key, and that the packet is of no
/// known connection any more, and of no known hash.
fn ports_changed(skb: &mut SkBuff, flow_key: &mut SwFlowKey, src: Option<Be16>, dst: Option<Be16>) {
    if let Some(src) = src {
        flow_key.tp_src = src;
    }
    if let Some(dst) = dst {
        flow_key.tp_dst = dst;
    }
    if src.is_some() || dst.is_some() {
        skb.ct_clear();
    }
    skb.clear_hash();
}

/// Sets UDP ports. Fails with `ENOMEM`.
pub(super) fn set_udp(
    skb: &mut SkBuff,
    flow_key: &mut SwFlowKey,
    key: [u8; 4],
    mask: [u8; 4],
) -> Result {
    let th_ofs = offset(skb.transport_offset())?;
    let mut csum = skb.proto_csum();
    let bytes = skb.ensure_writable(th_ofs.wrapping_add(size_of::<UdpHdr>()))?;
    let uh = header_mut::<UdpHdr>(bytes, th_ofs).ok_or(ENOMEM)?;
    let (src, dst) = new_ports(uh.source, uh.dest, key, mask);

    let (src_changed, dst_changed);
    if uh.check != [0; 2] && csum.summed != IpSummed::Partial {
        src_changed = set_tp_port(&mut uh.source, src, &mut uh.check, &mut csum);
        dst_changed = set_tp_port(&mut uh.dest, dst, &mut uh.check, &mut csum);
        if uh.check == [0; 2] {
            uh.check = CSUM_MANGLED_0;
        }
    } else {
        uh.source = src;
        uh.dest = dst;
        (src_changed, dst_changed) = (true, true);
    }
    ports_changed(
        skb,
        flow_key,
        src_changed.then_some(src),
        dst_changed.then_some(dst),
    );
    Ok(())
}

/// Sets TCP ports. Fails with `ENOMEM`.
pub(super) fn set_tcp(
    skb: &mut SkBuff,
    flow_key: &mut SwFlowKey,
    key: [u8; 4],
    mask: [u8; 4],
) -> Result {
    let th_ofs = offset(skb.transport_offset())?;
    let mut csum = skb.proto_csum();
    let bytes = skb.ensure_writable(th_ofs.wrapping_add(size_of::<TcpHdr>()))?;
    let th = header_mut::<TcpHdr>(bytes, th_ofs).ok_or(ENOMEM)?;
    let (src, dst) = new_ports(th.source, th.dest, key, mask);

    let src_changed = set_tp_port(&mut th.source, src, &mut th.check, &mut csum);
    let dst_changed = set_tp_port(&mut th.dest, dst, &mut th.check, &mut csum);
    ports_changed(
        skb,
        flow_key,
        src_changed.then_some(src),
        dst_changed.then_some(dst),
    );
    Ok(())
}

/// Sets SCTP ports. Fails with `ENOMEM`.
///
/// The CRC is calculated anew; what was wrong with it before stays wrong.
pub(super) fn set_sctp(
    skb: &mut SkBuff,
    flow_key: &mut SwFlowKey,
    key: [u8; 4],
    mask: [u8; 4],
) -> Result {
    let th_ofs = offset(skb.transport_offset())?;
    let end = th_ofs.wrapping_add(size_of::<SctpHdr>());
    let old_correct_csum = skb.sctp_compute_cksum(th_ofs)?;

    let sh = header_mut::<SctpHdr>(skb.ensure_writable(end)?, th_ofs).ok_or(ENOMEM)?;
    let (src, dst) = new_ports(sh.source, sh.dest, key, mask);
    sh.source = src;
    sh.dest = dst;

    let new_csum = skb.sctp_compute_cksum(th_ofs)?;
    let sh = header_mut::<SctpHdr>(skb.ensure_writable(end)?, th_ofs).ok_or(ENOMEM)?;
    let checks = sh.checksum.iter_mut().zip(old_correct_csum).zip(new_csum);
    for ((check, old_correct), new) in checks {
        *check ^= old_correct ^ new;
    }

    ports_changed(skb, flow_key, Some(src), Some(dst));
    Ok(())
}
