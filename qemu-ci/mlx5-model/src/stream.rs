// SPDX-License-Identifier: GPL-2.0

//! The traffic generator, and what counts its frames where they arrive.
//!
//! A frame carries a stream number, a sequence number and the time it was
//! made, so that loss, order and latency can be told at any port.

use crate::packet::{be16, be32, layer, UDP};
use crate::port::UdpFrame;
use std::collections::BTreeMap;

const MAGIC: u16 = 0x6d35;
/// Magic, stream, sequence, time.
const SIGNATURE: usize = 16;

/// Frames that are made on request.
pub struct Stream {
    pub id: u16,
    pub port: usize,
    pub frame: UdpFrame,
    /// Frames a second; 0: as fast as the model goes.
    pub rate: u64,
    pub count: u64,
    pub sent: u64,
    pub started: u64,
    /// Source ports to go through, one for each frame.
    pub flows: u16,
    /// Made once; only the signature and source port change.
    template: Vec<u8>,
}

impl Stream {
    pub fn new(
        id: u16,
        port: usize,
        frame: UdpFrame,
        rate: u64,
        count: u64,
        flows: u16,
        now: u64,
    ) -> Self {
        let template = frame.build(&[0; SIGNATURE]);
        Self {
            id,
            port,
            frame,
            rate,
            count,
            sent: 0,
            started: now,
            flows: flows.max(1),
            template,
        }
    }

    pub fn done(&self) -> bool {
        self.sent >= self.count
    }

    /// When the next frame is due.
    pub fn due(&self) -> u64 {
        match self.rate {
            0 => 0,
            r => {
                self.started
                    + u64::try_from(u128::from(self.sent) * 1_000_000_000 / u128::from(r))
                        .unwrap_or(u64::MAX)
            }
        }
    }

    /// The next frame.
    pub fn make(&mut self, now: u64) -> Vec<u8> {
        let mut d = self.template.clone();
        let l = layer(&d, 0);
        let port = self
            .frame
            .sport
            .wrapping_add((self.sent % u64::from(self.flows)) as u16);
        let mut put = |at: usize, bytes: &[u8]| {
            for (b, s) in d.iter_mut().skip(at).zip(bytes) {
                *b = *s;
            }
        };
        put(l.l4_at, &port.to_be_bytes());
        put(l.l4_at + 8, &MAGIC.to_be_bytes());
        put(l.l4_at + 10, &self.id.to_be_bytes());
        put(l.l4_at + 12, &(self.sent as u32).to_be_bytes());
        put(l.l4_at + 16, &now.to_be_bytes());
        crate::packet::fill_l4_sum(&mut d, &l);
        self.sent += 1;
        d
    }
}

/// What arrived of one stream.
#[derive(Debug, Clone)]
pub struct Arrived {
    pub packets: u64,
    pub bytes: u64,
    pub out_of_order: u64,
    next: u32,
    pub min_ns: u64,
    pub max_ns: u64,
    pub sum_ns: u64,
    /// By power of two of nanoseconds.
    histogram: [u64; 64],
}

impl Default for Arrived {
    fn default() -> Self {
        Self {
            packets: 0,
            bytes: 0,
            out_of_order: 0,
            next: 0,
            min_ns: 0,
            max_ns: 0,
            sum_ns: 0,
            histogram: [0; 64],
        }
    }
}

impl Arrived {
    /// A latency that `percent` of the frames did not exceed.
    pub fn percentile(&self, percent: u64) -> u64 {
        let want = (self.packets * percent).div_ceil(100);
        let mut seen = 0;
        for (n, c) in self.histogram.iter().enumerate() {
            seen += c;
            if seen >= want {
                return 1 << n;
            }
        }
        self.max_ns
    }
}

/// Counts the frames of all streams at one port.
#[derive(Debug, Default)]
pub struct Sink {
    pub streams: BTreeMap<u16, Arrived>,
}

impl Sink {
    pub fn take(&mut self, d: &[u8], now: u64) {
        let l = layer(d, 0);
        let at = l.l4_at + 8;
        if l.proto != UDP || l.l4_at == 0 || d.len() < at + SIGNATURE || be16(d, at) != MAGIC {
            return;
        }
        let id = be16(d, at + 2);
        let seq = be32(d, at + 4);
        let sent = (u64::from(be32(d, at + 8)) << 32) | u64::from(be32(d, at + 12));
        let a = self.streams.entry(id).or_default();
        let ns = now.saturating_sub(sent);
        if a.packets != 0 && seq < a.next {
            a.out_of_order += 1;
        }
        a.next = seq.wrapping_add(1);
        a.min_ns = if a.packets == 0 { ns } else { a.min_ns.min(ns) };
        a.max_ns = a.max_ns.max(ns);
        a.sum_ns = a.sum_ns.saturating_add(ns);
        a.packets += 1;
        a.bytes += d.len() as u64;
        let bucket = 64 - ns.max(1).leading_zeros() as usize;
        if let Some(h) = a.histogram.get_mut(bucket.min(63)) {
            *h += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::sums_ok;

    fn frame(size: usize) -> UdpFrame {
        UdpFrame {
            dst: [2; 6],
            src: [4; 6],
            vlan: None,
            src_ip: [10, 0, 0, 1],
            dst_ip: [10, 0, 0, 2],
            sport: 1000,
            dport: 2000,
            size,
        }
    }

    #[test]
    fn counts_loss_order_and_latency() {
        let mut s = Stream::new(7, 0, frame(60), 1_000_000, 10, 3, 0);
        let frames: Vec<_> = (0..10).map(|i| s.make(i * 1000)).collect();
        assert!(s.done());
        assert_eq!(s.due(), 10_000);
        assert!(frames
            .iter()
            .all(|f| f.len() == 60 && sums_ok(f, &layer(f, 0)) == (true, true)));
        assert_eq!(be16(&frames[4], 34), 1001);
        let mut sink = Sink::default();
        for i in [0, 1, 3, 2, 5] {
            sink.take(&frames[i], 10_000);
        }
        sink.take(b"not one of them", 0);
        let a = &sink.streams[&7];
        assert_eq!((a.packets, a.bytes, a.out_of_order), (5, 300, 1));
        assert_eq!((a.min_ns, a.max_ns), (5000, 10_000));
        assert!(a.percentile(50) >= 5000);
    }
}
