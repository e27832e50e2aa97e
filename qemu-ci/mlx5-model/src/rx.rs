// SPDX-License-Identifier: GPL-2.0

//! Receive queues: choosing one, scattering a frame, completing it.

use crate::device::Device;
use crate::ifc::MLX5_CQE_RESP_SEND;
use crate::packet::{be16, be32, layer, sum16, sums_ok, Layer, Packet, ETH_VLAN, L3, TCP, UDP};
use crate::queue::{Spread, State};
use crate::{complete, log};

const FIELD_SRC_IP: u32 = 1;
const FIELD_DST_IP: u32 = 1 << 1;
const FIELD_SPORT: u32 = 1 << 2;
const FIELD_DPORT: u32 = 1 << 3;

/// The driver allows padding in front; the model makes none.
const START_PADDING: u32 = 1 << 31;

const L2_OK: u8 = 1;
const L3_OK: u8 = 1 << 1;
const L4_OK: u8 = 1 << 2;

/// Completions that `completions` shows.
const KEEP: usize = 256;

/// A frame that the driver got, with what its completion says.
#[derive(Debug, Clone)]
pub struct Received {
    pub rqn: u32,
    pub bytes: usize,
    pub flow_tag: u32,
    /// Metadata register B.
    pub metadata: u32,
    pub hash: u32,
    pub l3_ok: bool,
    pub l4_ok: bool,
    /// The tag that was taken off.
    pub vlan: Option<u16>,
}

/// The Toeplitz hash.
pub fn toeplitz(key: &[u8; 40], input: &[u8]) -> u32 {
    let mut hash = 0;
    let mut window = (u64::from(be32(key, 0)) << 32) | u64::from(be32(key, 4));
    let mut next = 8;
    for byte in input {
        for bit in (0..8).rev() {
            if (byte >> bit) & 1 != 0 {
                hash ^= (window >> 32) as u32;
            }
            window <<= 1;
        }
        window |= u64::from(key.get(next).copied().unwrap_or(0));
        next += 1;
    }
    hash
}

/// The bytes that are hashed: addresses, then ports.
fn hash_input(d: &[u8], l: &Layer, fields: u32) -> Vec<u8> {
    let mut v = Vec::new();
    let (src, dst) = match l.l3 {
        L3::V4 => (
            d.get(l.l3_at + 12..l.l3_at + 16),
            d.get(l.l3_at + 16..l.l3_at + 20),
        ),
        L3::V6 => (
            d.get(l.l3_at + 8..l.l3_at + 24),
            d.get(l.l3_at + 24..l.l3_at + 40),
        ),
        L3::None => (None, None),
    };
    let ports = l.l4_at != 0 && matches!(l.proto, TCP | UDP);
    let sport = d.get(l.l4_at..l.l4_at + 2).filter(|_| ports);
    let dport = d.get(l.l4_at + 2..l.l4_at + 4).filter(|_| ports);
    let list = [
        (FIELD_SRC_IP, src),
        (FIELD_DST_IP, dst),
        (FIELD_SPORT, sport),
        (FIELD_DPORT, dport),
    ];
    for (bit, bytes) in list {
        if fields & bit != 0 {
            v.extend_from_slice(bytes.unwrap_or_default());
        }
    }
    v
}

/// Delivers a packet to a TIR.
pub fn deliver(dev: &mut Device, tirn: u32, p: Packet) {
    let Some(tir) = dev.res.tirs.get(tirn) else {
        log::warn(format_args!(
            "a packet for TIR {tirn:#x}, which does not exist"
        ));
        return;
    };
    let l = layer(&p.data, 0);
    let (rqn, hash) = match &tir.spread {
        Spread::Direct { rqn } => (*rqn, 0),
        Spread::Indirect {
            rqt,
            toeplitz: on,
            key,
            fields,
            ..
        } => {
            let input = hash_input(&p.data, &l, *fields);
            let hash = if *on {
                toeplitz(key, &input)
            } else {
                u32::from(sum16(&input, 0))
            };
            let list = dev.res.rqts.get(*rqt).map_or(&[][..], Vec::as_slice);
            let Some(rqn) = list.get(hash as usize % list.len().max(1)) else {
                return;
            };
            (*rqn, hash)
        }
    };
    if let Err(why) = receive(dev, rqn, p, &l, hash) {
        log::warn(format_args!("receive queue {rqn:#x}: {why}"));
        dev.stats.queue_errors += 1;
        if let Some(rq) = dev.res.rqs.get_mut(rqn) {
            rq.state = State::Error;
        }
    }
}

fn receive(dev: &mut Device, rqn: u32, mut p: Packet, l: &Layer, hash: u32) -> Result<(), String> {
    let Some(rq) = dev.res.rqs.get(rqn) else {
        return Err("does not exist".into());
    };
    if rq.state != State::Ready {
        dev.stats.rx_dropped += 1;
        return Ok(());
    }
    let mut word = [0u8; 4];
    dev.host
        .dma_read(rq.dbr, &mut word)
        .map_err(|e| e.to_string())?;
    let posted = be32(&word, 0) as u16;
    if posted == rq.index {
        if let Some(rq) = dev.res.rqs.get_mut(rqn) {
            rq.out_of_buffer += 1;
        }
        dev.stats.rx_dropped += 1;
        return Ok(());
    }
    let (cqn, index, strip) = (rq.cqn, rq.index, rq.vlan_strip);
    let at = u64::from(index & ((1 << rq.log_size) - 1) as u16) << rq.log_stride;
    let mut segs = vec![0u8; 1 << rq.log_stride];
    rq.ring
        .read(dev.host.as_ref(), at, &mut segs)
        .map_err(|e| e.to_string())?;

    let mut cqe = [0u8; 64];
    let (l3_ok, l4_ok) = sums_ok(&p.data, l);
    let mut put = |at: usize, v: &[u8]| {
        for (d, s) in cqe.iter_mut().skip(at).zip(v) {
            *d = *s;
        }
    };
    let l3_type = match l.l3 {
        L3::None => 0,
        L3::V6 => 1,
        L3::V4 => 2,
    };
    let l4_type = match l.proto {
        TCP if l.l4_at != 0 => 1,
        UDP if l.l4_at != 0 => 2,
        _ => 0,
    };
    let mut types = (l4_type << 4) | (l3_type << 2);
    let mut vlan = None;
    if strip && be16(&p.data, 12) == ETH_VLAN && p.data.len() >= 18 {
        let tci = be16(&p.data, 14);
        put(30, &tci.to_be_bytes());
        vlan = Some(tci);
        p.data.drain(12..16);
        types |= 1;
    }
    let ok = L2_OK | if l3_ok { L3_OK } else { 0 } | if l4_ok { L4_OK } else { 0 };
    put(12, &hash.to_be_bytes());
    put(16, &[if hash != 0 { rss_type(l) } else { 0 }]);
    // The sum over everything behind the Ethernet header.
    put(
        20,
        &sum16(p.data.get(14..).unwrap_or_default(), 0).to_be_bytes(),
    );
    put(24, &rqn.to_be_bytes());
    put(28, &[ok, types]);
    put(36, &p.reg_b.to_be_bytes());
    put(44, &(p.data.len() as u32).to_be_bytes());
    put(48, &log::now_ns().to_be_bytes());
    put(56, &(p.flow_tag & 0xff_ffff).to_be_bytes());
    put(60, &index.to_be_bytes());

    scatter(dev, &segs, &p.data)?;
    if let Some(rq) = dev.res.rqs.get_mut(rqn) {
        rq.index = index.wrapping_add(1);
        rq.packets += 1;
    }
    if dev.received.len() >= KEEP {
        dev.received.pop_front();
    }
    dev.received.push_back(Received {
        rqn,
        bytes: p.data.len(),
        flow_tag: p.flow_tag & 0xff_ffff,
        metadata: p.reg_b,
        hash,
        l3_ok,
        l4_ok,
        vlan,
    });
    log::trace(format_args!(
        "receive queue {rqn:#x}: {} bytes, flow tag {:#x}",
        p.data.len(),
        p.flow_tag
    ));
    complete::post(dev, cqn, cqe, MLX5_CQE_RESP_SEND);
    Ok(())
}

/// Which fields went into the hash, as a completion says it.
fn rss_type(l: &Layer) -> u8 {
    let ip = match l.l3 {
        L3::None => 0,
        L3::V4 => 1,
        L3::V6 => 2,
    };
    let l4 = match l.proto {
        TCP => 1,
        UDP => 2,
        _ => 0,
    };
    (ip << 2) | (l4 << 6)
}

/// Writes a frame to the buffers of a receive entry.
fn scatter(dev: &Device, segs: &[u8], d: &[u8]) -> Result<(), String> {
    let mut done = 0;
    for s in segs.chunks_exact(16) {
        if done >= d.len() {
            break;
        }
        let (len, key) = ((be32(s, 0) & !START_PADDING) as usize, be32(s, 4));
        if len == 0 {
            continue;
        }
        let addr = (u64::from(be32(s, 8)) << 32) | u64::from(be32(s, 12));
        let n = len.min(d.len() - done);
        let at = dev.translate(key, addr, n as u64)?;
        dev.host
            .dma_write(at, d.get(done..done + n).unwrap_or_default())
            .map_err(|e| e.to_string())?;
        done += n;
    }
    if done < d.len() {
        return Err(format!(
            "a frame of {} bytes for a buffer of {done}",
            d.len()
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The verification suite of the Microsoft RSS specification.
    #[test]
    fn known_hashes() {
        let key = [
            0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
            0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
            0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
        ];
        let input = [66, 9, 149, 187, 161, 142, 100, 80, 0x0a, 0xea, 0x06, 0xe6];
        assert_eq!(toeplitz(&key, &input), 0x51cc_c178);
        assert_eq!(toeplitz(&key, &input[..8]), 0x323e_8fc2);
    }
}
