// SPDX-License-Identifier: GPL-2.0

//! The far sides: what is plugged into the wire and into each virtual
//! function. A port has a datagram socket, an optional built-in host that
//! answers ARP and ping, and counts what passes.

use crate::packet::{be16, fill_ip_sum, fill_l4_sum, layer, sum16, ETH_IPV4, ICMP};
use crate::stream::Sink;
use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    pub packets: u64,
    pub bytes: u64,
}

impl Count {
    pub fn add(&mut self, len: usize) {
        self.packets += 1;
        self.bytes += len as u64;
    }
}

/// Packets by the kind of their destination address.
#[derive(Debug, Clone, Copy, Default)]
pub struct Traffic {
    pub unicast: Count,
    pub multicast: Count,
    pub broadcast: Count,
}

impl Traffic {
    pub fn add(&mut self, d: &[u8]) {
        match d.first_chunk::<6>() {
            Some([0xff, 0xff, 0xff, 0xff, 0xff, 0xff]) => self.broadcast.add(d.len()),
            Some([b, ..]) if b & 1 != 0 => self.multicast.add(d.len()),
            _ => self.unicast.add(d.len()),
        }
    }

    pub fn total(&self) -> Count {
        Count {
            packets: self.unicast.packets + self.multicast.packets + self.broadcast.packets,
            bytes: self.unicast.bytes + self.multicast.bytes + self.broadcast.bytes,
        }
    }
}

/// A host behind a port.
#[derive(Debug, Clone, Copy)]
pub struct Responder {
    pub mac: [u8; 6],
    pub ip: [u8; 4],
}

/// Frames that `capture` keeps.
const KEEP: usize = 256;

pub struct Port {
    pub name: String,
    /// The vport that it is the far side of.
    pub vport: u16,
    pub socket: Option<Arc<UnixDatagram>>,
    /// The last one to send to the socket gets what comes out.
    pub peer: Option<SocketAddr>,
    /// A network device of the machine that the model runs on.
    pub tap: Option<Arc<File>>,
    pub responder: Option<Responder>,
    /// Into the switch, and out of it.
    pub sent: Count,
    pub received: Count,
    /// Sent while the vport did not exist or was not connected.
    pub dropped: u64,
    /// Received with a wrong IP, TCP or UDP checksum.
    pub bad_sums: u64,
    pub capture: Option<VecDeque<Vec<u8>>>,
    pub sink: Sink,
}

impl Port {
    pub fn new(name: String, vport: u16) -> Self {
        Self {
            name,
            vport,
            socket: None,
            peer: None,
            tap: None,
            responder: None,
            sent: Count::default(),
            received: Count::default(),
            dropped: 0,
            bad_sums: 0,
            capture: None,
            sink: Sink::default(),
        }
    }

    /// Takes a frame that came out of the switch; gives the answer, if the
    /// host behind the port has one.
    pub fn take(&mut self, d: &[u8], now: u64) -> Option<Vec<u8>> {
        self.received.add(d.len());
        let l = layer(d, 0);
        if matches!(l.l3, crate::packet::L3::V4 | crate::packet::L3::V6) {
            let (l3, l4) = crate::packet::sums_ok(d, &l);
            let has_l4 = matches!(l.proto, 6 | 17) && l.l4_at != 0 && !l.frag;
            if !l3 || (has_l4 && !l4) {
                self.bad_sums += 1;
            }
        }
        self.sink.take(d, now);
        if let Some(c) = &mut self.capture {
            if c.len() >= KEEP {
                c.pop_front();
            }
            c.push_back(d.to_vec());
        }
        if let (Some(s), Some(peer)) = (&self.socket, &self.peer) {
            // A peer that is gone or slow loses frames, as on a wire.
            drop(s.send_to_addr(d, peer));
        }
        if let Some(mut tap) = self.tap.as_deref() {
            // A device that is down takes nothing, like a cable unplugged there.
            drop(tap.write(d));
        }
        self.responder.as_ref().and_then(|r| r.answer(d))
    }
}

impl Responder {
    /// The reply to an ARP request or an ICMP echo request for this host.
    pub fn answer(&self, d: &[u8]) -> Option<Vec<u8>> {
        let l = layer(d, 0);
        let at = l.l3_at;
        let from = d.get(6..12)?;
        let reply_head = |out: &mut Vec<u8>| {
            out.extend_from_slice(from);
            out.extend_from_slice(&self.mac);
            out.extend_from_slice(d.get(12..at).unwrap_or_default());
        };
        if l.ethertype == 0x0806 && be16(d, at + 6) == 1 && d.get(at + 24..at + 28)? == self.ip {
            let mut out = Vec::new();
            reply_head(&mut out);
            out.extend_from_slice(d.get(at..at + 6)?);
            out.extend([0, 2]);
            out.extend(self.mac);
            out.extend(self.ip);
            out.extend_from_slice(d.get(at + 8..at + 18)?);
            return Some(out);
        }
        let echo = l.ethertype == ETH_IPV4 && l.proto == ICMP && l.l4_at != 0 && !l.frag;
        if echo && d.get(at + 16..at + 20)? == self.ip && d.get(l.l4_at)? == &8 {
            let mut out = Vec::new();
            reply_head(&mut out);
            out.extend_from_slice(d.get(at..)?);
            let end = at + usize::from(be16(d, at + 2));
            let (src, dst) = (d.get(at + 12..at + 16)?.to_vec(), self.ip);
            out.splice(at + 12..at + 20, dst.into_iter().chain(src));
            out.splice(l.l4_at..l.l4_at + 4, [0; 4]);
            let sum = !sum16(out.get(l.l4_at..end.min(out.len()))?, 0);
            out.splice(l.l4_at + 2..l.l4_at + 4, sum.to_be_bytes());
            fill_ip_sum(&mut out, &l);
            return Some(out);
        }
        None
    }
}

/// A UDP frame from one address to another.
pub struct UdpFrame {
    pub dst: [u8; 6],
    pub src: [u8; 6],
    pub vlan: Option<u16>,
    pub src_ip: [u8; 4],
    pub dst_ip: [u8; 4],
    pub sport: u16,
    pub dport: u16,
    /// Length without the frame check sequence.
    pub size: usize,
}

impl UdpFrame {
    pub fn build(&self, payload: &[u8]) -> Vec<u8> {
        let mut d = Vec::with_capacity(self.size);
        d.extend(self.dst);
        d.extend(self.src);
        if let Some(v) = self.vlan {
            d.extend([0x81, 0]);
            d.extend(v.to_be_bytes());
        }
        d.extend([8, 0]);
        let at = d.len();
        let ip_len = self.size.saturating_sub(at).max(28 + payload.len());
        d.extend([0x45, 0]);
        d.extend((ip_len as u16).to_be_bytes());
        d.extend([0, 0, 0, 0, 64, 17, 0, 0]);
        d.extend(self.src_ip);
        d.extend(self.dst_ip);
        d.extend(self.sport.to_be_bytes());
        d.extend(self.dport.to_be_bytes());
        d.extend(((ip_len - 20) as u16).to_be_bytes());
        d.extend([0, 0]);
        d.extend(payload);
        d.resize(at + ip_len, 0);
        let l = layer(&d, 0);
        fill_ip_sum(&mut d, &l);
        fill_l4_sum(&mut d, &l);
        d
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{sums_ok, tests::udp};

    #[test]
    fn a_ping_is_answered() {
        let r = Responder {
            mac: [2; 6],
            ip: [10, 0, 0, 2],
        };
        let mut d = udp(1, 2, 0, 0, &[1; 8]);
        d[23] = ICMP;
        let l = layer(&d, 0);
        d[l.l4_at..l.l4_at + 8].copy_from_slice(&[8, 0, 0, 0, 0, 1, 0, 1]);
        fill_ip_sum(&mut d, &l);
        let out = r.answer(&d).unwrap();
        assert_eq!(out[..6], d[6..12]);
        assert_eq!(out[26..34], [10, 0, 0, 2, 10, 0, 0, 1]);
        assert_eq!(sum16(&out[34..], 0), 0xffff);
        assert!(sums_ok(&out, &layer(&out, 0)).0);
        assert!(r.answer(&udp(1, 3, 0, 0, b"")).is_none());
        for n in 0..d.len() {
            r.answer(&d[..n]);
        }
    }
}
