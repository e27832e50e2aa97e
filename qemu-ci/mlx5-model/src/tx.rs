// SPDX-License-Identifier: GPL-2.0

//! Send queues: reads work queue entries and turns them into frames.

use crate::device::Device;
use crate::ifc::*;
use crate::packet::{be16, be32, fill_ip_sum, fill_l4_sum, headers, Headers, Layer, L3, TCP, UDP};
use crate::queue::State;
use crate::{complete, log};
use std::collections::BTreeSet;

const WQE_BB: u64 = 64;
/// 64 KiB of payload and its headers, several times over.
const MAX_FRAME: usize = 256 << 10;
const CS_L3: u8 = 1 << 6;
const CS_L4: u8 = 1 << 7;
const CS_INNER_L3: u8 = 1 << 4;
const CS_INNER_L4: u8 = 1 << 5;
const INSERT_VLAN: u16 = 0x8000;
const INLINE_DATA: u32 = 1 << 31;
const CQ_UPDATE: u8 = 2 << 2;

/// A decoded work queue entry that sends.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Send {
    pub csum: u8,
    pub mss: u16,
    pub metadata: u32,
    /// Tag to insert.
    pub vlan: Option<u16>,
    pub inline: Vec<u8>,
    /// Key, address, length; or bytes in place.
    pub parts: Vec<Part>,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Part {
    Memory { key: u32, addr: u64, len: u32 },
    Inline(Vec<u8>),
}

/// Decodes the segments after the control segment.
pub fn parse(w: &[u8], lso: bool) -> Result<Send, String> {
    if w.len() < 32 {
        return Err(format!("a send entry of {} bytes", w.len()));
    }
    let csum = w.get(20).copied().unwrap_or(0);
    let size = be16(w, 28);
    let mut s = Send {
        csum,
        mss: be16(w, 22),
        metadata: be32(w, 24),
        ..Send::default()
    };
    let mut at = 32;
    if size & INSERT_VLAN != 0 {
        s.vlan = Some(be16(w, 30));
    } else if size != 0 {
        let n = usize::from(size);
        s.inline = w
            .get(30..30 + n)
            .ok_or(format!("{n} bytes of inline header"))?
            .to_vec();
        at = 32 + n.saturating_sub(2).div_ceil(16) * 16;
    }
    if lso && (s.mss == 0 || s.inline.is_empty()) {
        return Err(format!(
            "segmentation with mss {} and {} header bytes",
            s.mss,
            s.inline.len()
        ));
    }
    while at < w.len() {
        let count = be32(w, at);
        if count & INLINE_DATA != 0 {
            let n = (count & !INLINE_DATA) as usize;
            let bytes = w
                .get(at + 4..at.saturating_add(4).saturating_add(n))
                .ok_or(format!("{n} bytes in place"))?;
            s.parts.push(Part::Inline(bytes.to_vec()));
            at += (4 + n).div_ceil(16) * 16;
            continue;
        }
        let addr = (u64::from(be32(w, at + 8)) << 32) | u64::from(be32(w, at + 12));
        s.parts.push(Part::Memory {
            key: be32(w, at + 4),
            addr,
            len: count,
        });
        at += 16;
    }
    Ok(s)
}

/// Copies what a send entry points at.
fn gather(dev: &Device, s: &Send) -> Result<Vec<u8>, String> {
    let mut d = s.inline.clone();
    for p in &s.parts {
        match p {
            Part::Inline(b) => d.extend_from_slice(b),
            Part::Memory { key, addr, len } => {
                let start = d.len();
                let end = start + *len as usize;
                if end > MAX_FRAME {
                    return Err(format!("a frame of more than {MAX_FRAME} bytes"));
                }
                let at = dev.translate(*key, *addr, u64::from(*len))?;
                d.resize(end, 0);
                dev.host
                    .dma_read(at, d.get_mut(start..).unwrap_or_default())
                    .map_err(|e| e.to_string())?;
            }
        }
    }
    Ok(d)
}

fn put16(d: &mut [u8], at: usize, v: u16) {
    for (b, s) in d.iter_mut().skip(at).zip(v.to_be_bytes()) {
        *b = s;
    }
}

/// Writes the lengths of the headers of one layer, and gives its packets
/// different identifications.
fn lengths(f: &mut [u8], l: &Layer, number: usize) {
    let total = f.len() - l.l3_at.min(f.len());
    match l.l3 {
        L3::V4 => {
            put16(f, l.l3_at + 2, total as u16);
            let id = be16(f, l.l3_at + 4).wrapping_add(number as u16);
            put16(f, l.l3_at + 4, id);
        }
        L3::V6 => put16(f, l.l3_at + 4, total.saturating_sub(40) as u16),
        L3::None => {}
    }
    if l.proto == UDP && l.l4_at != 0 {
        let udp = f.len() - l.l4_at;
        put16(f, l.l4_at + 4, udp as u16);
    }
}

/// Splits a frame into segments of `mss` bytes of payload.
pub fn segment(d: &[u8], header: usize, mss: usize, ports: &BTreeSet<u16>) -> Vec<Vec<u8>> {
    let (head, payload) = d.split_at(header.min(d.len()));
    let h = headers(head, ports);
    let l = h.inner.as_ref().unwrap_or(&h.outer);
    let mss = mss.max(1);
    let last = payload.len().div_ceil(mss).saturating_sub(1);
    let first_seq = be32(head, l.l4_at + 4);
    let mut out = Vec::new();
    for (i, part) in payload.chunks(mss).enumerate() {
        let mut f = head.to_vec();
        f.extend_from_slice(part);
        lengths(&mut f, &h.outer, i);
        if h.inner.is_some() {
            lengths(&mut f, l, i);
        }
        if l.proto == TCP && l.l4_at != 0 {
            let seq = first_seq.wrapping_add((i * mss) as u32);
            put16(&mut f, l.l4_at + 4, (seq >> 16) as u16);
            put16(&mut f, l.l4_at + 6, seq as u16);
            if let Some(flags) = f.get_mut(l.l4_at + 13) {
                // FIN and PSH are on the last segment only, CWR on the first.
                let not_last = if i == last { 0 } else { 0x09 };
                let not_first = if i == 0 { 0 } else { 0x80 };
                *flags &= !(not_last | not_first);
            }
        }
        out.push(f);
    }
    out
}

/// Fills in the checksums that the driver left to the device, from the inside
/// out.
pub fn checksum(d: &mut [u8], h: &Headers, flags: u8) {
    if let Some(inner) = &h.inner {
        if flags & CS_INNER_L3 != 0 {
            fill_ip_sum(d, inner);
        }
        if flags & CS_INNER_L4 != 0 {
            fill_l4_sum(d, inner);
        }
    }
    if flags & CS_L3 != 0 {
        fill_ip_sum(d, &h.outer);
    }
    if flags & CS_L4 != 0 {
        fill_l4_sum(d, &h.outer);
    }
}

/// The frames of one send entry.
fn frames(dev: &Device, w: &[u8], lso: bool) -> Result<(Vec<Vec<u8>>, u32), String> {
    let s = parse(w, lso)?;
    let mut d = gather(dev, &s)?;
    if d.len() < 14 {
        return Err(format!("a frame of {} bytes", d.len()));
    }
    let mut header = s.inline.len();
    if let Some(tci) = s.vlan {
        let [h, l] = tci.to_be_bytes();
        d.splice(12..12, [0x81, 0, h, l]);
        header += 4;
    }
    let list = if lso {
        segment(&d, header, s.mss.into(), &dev.vxlan_ports)
    } else {
        vec![d]
    };
    let done = list.into_iter().map(|mut f| {
        let h = headers(&f, &dev.vxlan_ports);
        checksum(&mut f, &h, s.csum);
        f
    });
    Ok((done.collect(), s.metadata))
}

/// Sends everything up to the queue's doorbell record.
pub fn run(dev: &mut Device, sqn: u32) {
    let Some(sq) = dev.res.sqs.get(sqn) else {
        log::warn(format_args!(
            "doorbell for send queue {sqn:#x}, which does not exist"
        ));
        return;
    };
    let mut word = [0u8; 4];
    if let Err(e) = dev.host.dma_read(sq.dbr + 4, &mut word) {
        log::error(format_args!("send queue {sqn:#x}: doorbell record: {e}"));
        return;
    }
    let end = be32(&word, 0) as u16;
    // A queue holds at most 2^16 entries; one round is the limit.
    for _ in 0..=u16::MAX {
        let Some(sq) = dev
            .res
            .sqs
            .get(sqn)
            .filter(|s| s.state == State::Ready && s.index != end)
        else {
            return;
        };
        if let Err(why) = one(dev, sqn, sq.index) {
            log::warn(format_args!("send queue {sqn:#x}: {why}"));
            complete::send_error(dev, sqn, MLX5_CQE_SYNDROME_LOCAL_QP_OP_ERR as u8);
            return;
        }
    }
}

fn one(dev: &mut Device, sqn: u32, index: u16) -> Result<(), String> {
    let Some(sq) = dev.res.sqs.get(sqn) else {
        return Ok(());
    };
    let at = u64::from(index) * WQE_BB;
    let mut ctrl = [0u8; 16];
    sq.ring
        .read(dev.host.as_ref(), at, &mut ctrl)
        .map_err(|e| e.to_string())?;
    let (first, second) = (be32(&ctrl, 0), be32(&ctrl, 4));
    let (opcode, number) = (u64::from(first & 0xff), (first >> 8) as u16);
    let ds = (second & 0x3f) as usize;
    if second >> 8 != sqn || number != index {
        return Err(format!(
            "entry {index:#x} is of queue {:#x}, number {number:#x}",
            second >> 8
        ));
    }
    if ds == 0 {
        return Err(format!("entry {index:#x} is empty"));
    }
    let mut w = vec![0; ds * 16];
    sq.ring
        .read(dev.host.as_ref(), at, &mut w)
        .map_err(|e| e.to_string())?;
    let step = (ds * 16).div_ceil(WQE_BB as usize) as u16;
    let notify = ctrl.get(11).is_some_and(|b| b & CQ_UPDATE == CQ_UPDATE);
    let sending = match opcode {
        MLX5_OPCODE_NOP => None,
        MLX5_OPCODE_SEND => Some(frames(dev, &w, false)?),
        MLX5_OPCODE_LSO => Some(frames(dev, &w, true)?),
        other => {
            return Err(format!(
                "entry {index:#x} has opcode {other:#x}, which is not supported"
            ))
        }
    };
    if let Some(sq) = dev.res.sqs.get_mut(sqn) {
        sq.index = index.wrapping_add(step);
        sq.packets += sending.as_ref().map_or(0, |(f, _)| f.len() as u64);
    }
    if let Some((list, metadata)) = sending {
        for f in list {
            log::trace(format_args!("send queue {sqn:#x}: {} bytes", f.len()));
            dev.from_send_queue(sqn, f, metadata);
        }
    }
    if notify {
        complete::sent(dev, sqn, index, opcode as u8);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{layer, sums_ok, tests::udp, VXLAN_PORT};

    #[test]
    fn segments_add_up() {
        let mut d = udp(1, 2, 80, 81, &[0; 12]);
        d[23] = TCP;
        d[46] = 0x50;
        d[47] = 0x19;
        d.extend((0..2500u32).map(|i| i as u8));
        let parts = segment(&d, 54, 1000, &BTreeSet::new());
        assert_eq!(
            parts.iter().map(Vec::len).collect::<Vec<_>>(),
            [1054, 1054, 554]
        );
        let payload: Vec<u8> = parts.iter().flat_map(|p| p[54..].to_vec()).collect();
        assert_eq!(payload, d[54..]);
        let base = be32(&d, 38);
        for (i, p) in parts.iter().enumerate() {
            let mut p = p.clone();
            let h = headers(&p, &BTreeSet::new());
            checksum(&mut p, &h, CS_L3 | CS_L4);
            let l = layer(&p, 0);
            assert_eq!(sums_ok(&p, &l), (true, true));
            assert_eq!(be32(&p, 38), base + 1000 * i as u32);
            assert_eq!(p[47] & 9, if i == 2 { 9 } else { 0 });
        }
    }

    #[test]
    fn segments_in_a_tunnel() {
        let ports = BTreeSet::new();
        let mut inner = udp(3, 4, 80, 81, &[0; 12]);
        inner[23] = TCP;
        inner[46] = 0x50;
        let mut payload = vec![8, 0, 0, 0, 0, 0, 42, 0];
        payload.extend(&inner);
        payload.extend([5; 250]);
        let d = udp(1, 2, 9, VXLAN_PORT, &payload);
        let parts = segment(&d, 50 + 54, 100, &ports);
        assert_eq!(parts.len(), 3);
        for p in parts {
            let mut p = p.clone();
            let h = headers(&p, &ports);
            checksum(&mut p, &h, CS_L3 | CS_L4 | CS_INNER_L3 | CS_INNER_L4);
            assert_eq!(sums_ok(&p, &h.outer), (true, true));
            assert_eq!(sums_ok(&p, h.inner.as_ref().unwrap()), (true, true));
        }
    }

    #[test]
    fn entries() {
        let mut w = vec![0u8; 64];
        w[20] = CS_L4;
        w[28..30].copy_from_slice(&INSERT_VLAN.to_be_bytes());
        w[31] = 9;
        w[32..36].copy_from_slice(&60u32.to_be_bytes());
        w[39] = 7;
        w[47] = 0x10;
        w[48..52].copy_from_slice(&(INLINE_DATA | 2).to_be_bytes());
        let s = parse(&w, false).unwrap();
        assert_eq!(s.vlan, Some(9));
        let want = [
            Part::Memory {
                key: 7,
                addr: 0x10,
                len: 60,
            },
            Part::Inline(vec![0; 2]),
        ];
        assert_eq!(s.parts, want);
        assert!(parse(&w, true).is_err());
        w[48..52].copy_from_slice(&(INLINE_DATA | 200).to_be_bytes());
        assert!(parse(&w, false).is_err());
    }
}
