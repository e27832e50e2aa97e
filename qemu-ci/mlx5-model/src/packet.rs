// SPDX-License-Identifier: GPL-2.0

//! A frame on its way through the device, and where its headers are.

use std::collections::BTreeSet;

pub const ETH_IPV4: u16 = 0x0800;
pub const ETH_IPV6: u16 = 0x86dd;
pub const ETH_VLAN: u16 = 0x8100;
pub const ETH_QINQ: u16 = 0x88a8;
pub const TCP: u8 = 6;
pub const UDP: u8 = 17;
pub const ICMP: u8 = 1;
pub const ICMPV6: u8 = 58;
/// Port that every device takes for VXLAN.
pub const VXLAN_PORT: u16 = 4789;

/// A frame with what the switch knows about it.
#[derive(Debug, Clone, Default)]
pub struct Packet {
    pub data: Vec<u8>,
    /// The vport it came in at.
    pub source_port: u16,
    /// The send queue it came from, or 0.
    pub source_sqn: u32,
    pub reg_a: u32,
    pub reg_b: u32,
    pub reg_c: [u32; 8],
    /// Tag of the flow rule that sent it to a receive queue.
    pub flow_tag: u32,
}

/// Reads big-endian 16 bits; 0 beyond the end.
pub fn be16(b: &[u8], at: usize) -> u16 {
    match (b.get(at), b.get(at + 1)) {
        (Some(h), Some(l)) => u16::from_be_bytes([*h, *l]),
        _ => 0,
    }
}

/// Reads big-endian 32 bits; 0 beyond the end.
pub fn be32(b: &[u8], at: usize) -> u32 {
    (u32::from(be16(b, at)) << 16) | u32::from(be16(b, at + 2))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum L3 {
    #[default]
    None,
    V4,
    V6,
}

/// Where the headers of one layer (outer or inner) begin.
#[derive(Debug, Clone, Default)]
pub struct Layer {
    pub eth: usize,
    /// Ethertype, priority, id of up to two tags.
    pub vlans: Vec<(u16, u16)>,
    pub ethertype: u16,
    pub l3: L3,
    pub l3_at: usize,
    pub proto: u8,
    pub frag: bool,
    /// Not the first fragment: there is no transport header.
    pub later_frag: bool,
    /// 0 if there is no whole transport header.
    pub l4_at: usize,
}

/// Outer headers, and inner ones of a VXLAN packet.
#[derive(Debug, Clone, Default)]
pub struct Headers {
    pub outer: Layer,
    pub vxlan: Option<u32>,
    pub inner: Option<Layer>,
}

fn min_l4(proto: u8) -> usize {
    match proto {
        TCP => 20,
        UDP | ICMP | ICMPV6 => 8,
        _ => 0,
    }
}

/// Reads the headers of the Ethernet frame that begins at `eth`.
pub fn layer(d: &[u8], eth: usize) -> Layer {
    let mut l = Layer {
        eth,
        ..Layer::default()
    };
    if d.len() < eth + 14 {
        return l;
    }
    let mut at = eth + 12;
    l.ethertype = be16(d, at);
    while matches!(l.ethertype, ETH_VLAN | ETH_QINQ) && l.vlans.len() < 2 && d.len() >= at + 6 {
        l.vlans.push((l.ethertype, be16(d, at + 2)));
        at += 4;
        l.ethertype = be16(d, at);
    }
    at += 2;
    l.l3_at = at;
    let mut l4 = 0;
    match l.ethertype {
        ETH_IPV4 if d.len() >= at + 20 && d.get(at).is_some_and(|b| b >> 4 == 4) => {
            l.l3 = L3::V4;
            let ihl = usize::from(d.get(at).copied().unwrap_or(0) & 15) * 4;
            let frag = be16(d, at + 6);
            l.proto = d.get(at + 9).copied().unwrap_or(0);
            l.frag = frag & 0x3fff != 0;
            l.later_frag = frag & 0x1fff != 0;
            if ihl >= 20 {
                l4 = at + ihl;
            }
        }
        ETH_IPV6 if d.len() >= at + 40 => {
            l.l3 = L3::V6;
            l.proto = d.get(at + 6).copied().unwrap_or(0);
            l4 = at + 40;
            // Hop-by-hop, routing, destination options and fragment headers.
            for _ in 0..6 {
                match l.proto {
                    0 | 43 | 60 if d.len() >= l4 + 8 => {
                        l.proto = d.get(l4).copied().unwrap_or(59);
                        l4 += 8 + 8 * usize::from(d.get(l4 + 1).copied().unwrap_or(0));
                    }
                    44 if d.len() >= l4 + 8 => {
                        l.frag = true;
                        l.later_frag = be16(d, l4 + 2) & 0xfff8 != 0;
                        l.proto = d.get(l4).copied().unwrap_or(59);
                        l4 += 8;
                    }
                    _ => break,
                }
            }
        }
        _ => {}
    }
    if l4 != 0 && !l.later_frag && d.len() >= l4 + min_l4(l.proto) {
        l.l4_at = l4;
    }
    l
}

/// Reads outer and inner headers.
pub fn headers(d: &[u8], vxlan_ports: &BTreeSet<u16>) -> Headers {
    let outer = layer(d, 0);
    let mut h = Headers {
        outer,
        ..Headers::default()
    };
    if h.outer.proto == UDP && h.outer.l4_at != 0 {
        let port = be16(d, h.outer.l4_at + 2);
        let at = h.outer.l4_at + 8;
        if (port == VXLAN_PORT || vxlan_ports.contains(&port)) && d.len() >= at + 8 {
            h.vxlan = Some(be32(d, at + 4) >> 8);
            if d.len() >= at + 8 + 14 {
                h.inner = Some(layer(d, at + 8));
            }
        }
    }
    h
}

/// Ones' complement sum, folded to 16 bits.
pub fn sum16(d: &[u8], start: u32) -> u16 {
    let mut s = u64::from(start);
    let mut chunks = d.chunks_exact(2);
    for c in &mut chunks {
        if let [h, l] = c {
            s += u64::from(u16::from_be_bytes([*h, *l]));
        }
    }
    if let [last] = chunks.remainder() {
        s += u64::from(*last) << 8;
    }
    while s >> 16 != 0 {
        s = (s & 0xffff) + (s >> 16);
    }
    s as u16
}

/// The pseudo-header's sum for a transport segment of `len` bytes.
fn pseudo(d: &[u8], l: &Layer, len: usize) -> u32 {
    let addrs = match l.l3 {
        L3::V4 => d.get(l.l3_at + 12..l.l3_at + 20),
        L3::V6 => d.get(l.l3_at + 8..l.l3_at + 40),
        L3::None => None,
    };
    u32::from(sum16(addrs.unwrap_or_default(), 0)) + u32::from(l.proto) + len as u32
}

/// Where the transport checksum is, if the protocol has one.
pub fn l4_sum_at(l: &Layer) -> Option<usize> {
    if l.l4_at == 0 {
        return None;
    }
    match l.proto {
        TCP => Some(l.l4_at + 16),
        UDP => Some(l.l4_at + 6),
        ICMPV6 => Some(l.l4_at + 2),
        _ => None,
    }
}

/// End of the IP packet, by its own length field.
pub fn l3_end(d: &[u8], l: &Layer) -> usize {
    let end = match l.l3 {
        L3::V4 => l.l3_at + usize::from(be16(d, l.l3_at + 2)),
        L3::V6 => l.l3_at + 40 + usize::from(be16(d, l.l3_at + 4)),
        L3::None => d.len(),
    };
    end.min(d.len())
}

fn put16(d: &mut [u8], at: usize, v: u16) {
    for (b, s) in d.iter_mut().skip(at).zip(v.to_be_bytes()) {
        *b = s;
    }
}

/// Writes the IPv4 header checksum.
pub fn fill_ip_sum(d: &mut [u8], l: &Layer) {
    if l.l3 == L3::V4 {
        put16(d, l.l3_at + 10, 0);
        let ihl = usize::from(d.get(l.l3_at).copied().unwrap_or(0) & 15) * 4;
        let s = !sum16(d.get(l.l3_at..l.l3_at + ihl).unwrap_or_default(), 0);
        put16(d, l.l3_at + 10, s);
    }
}

/// Writes the transport checksum.
pub fn fill_l4_sum(d: &mut [u8], l: &Layer) {
    let Some(at) = l4_sum_at(l) else { return };
    if l.l3 == L3::None {
        return;
    }
    put16(d, at, 0);
    let end = l3_end(d, l);
    let seg = d.get(l.l4_at..end).unwrap_or_default();
    let mut s = !sum16(seg, pseudo(d, l, seg.len()));
    if l.proto == UDP && s == 0 {
        s = 0xffff;
    }
    put16(d, at, s);
}

/// Whether the IPv4 header checksum, and the transport checksum, are right.
pub fn sums_ok(d: &[u8], l: &Layer) -> (bool, bool) {
    let l3 = match l.l3 {
        L3::V4 => {
            let ihl = usize::from(d.get(l.l3_at).copied().unwrap_or(0) & 15) * 4;
            sum16(d.get(l.l3_at..l.l3_at + ihl).unwrap_or_default(), 0) == 0xffff
        }
        L3::V6 => true,
        L3::None => false,
    };
    let l4 = l3 && !l.frag && matches!(l.proto, TCP | UDP) && l.l4_at != 0 && {
        let seg = d.get(l.l4_at..l3_end(d, l)).unwrap_or_default();
        let absent = l.proto == UDP && be16(d, l.l4_at + 6) == 0;
        absent || sum16(seg, pseudo(d, l, seg.len())) == 0xffff
    };
    (l3, l4)
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// An Ethernet, IPv4 and UDP frame with right checksums.
    pub fn udp(src: u8, dst: u8, sport: u16, dport: u16, payload: &[u8]) -> Vec<u8> {
        let mut d = vec![2, 0, 0, 0, 0, dst, 2, 0, 0, 0, 0, src, 8, 0];
        let len = (28 + payload.len()) as u16;
        d.extend([0x45, 0]);
        d.extend(len.to_be_bytes());
        d.extend([0, 1, 0, 0, 64, UDP, 0, 0, 10, 0, 0, src, 10, 0, 0, dst]);
        d.extend(sport.to_be_bytes());
        d.extend(dport.to_be_bytes());
        d.extend((len - 20).to_be_bytes());
        d.extend([0, 0]);
        d.extend(payload);
        let l = layer(&d, 0);
        fill_ip_sum(&mut d, &l);
        fill_l4_sum(&mut d, &l);
        d
    }

    #[test]
    fn checksums() {
        let mut d = udp(1, 2, 1000, 2000, b"hello");
        let l = layer(&d, 0);
        assert_eq!(sums_ok(&d, &l), (true, true));
        d[45] ^= 1;
        assert_eq!(sums_ok(&d, &l), (true, false));
        d[26] ^= 1;
        assert!(!sums_ok(&d, &l).0);
    }

    #[test]
    fn vlan_and_vxlan() {
        let inner = udp(3, 4, 1, 2, b"x");
        let mut payload = vec![8, 0, 0, 0, 0, 0, 42, 0];
        payload.extend(&inner);
        let mut d = udp(1, 2, 9, VXLAN_PORT, &payload);
        d.splice(12..12, [0x81, 0, 0x60, 5]);
        let h = headers(&d, &BTreeSet::new());
        assert_eq!(h.outer.vlans, [(ETH_VLAN, 0x6005)]);
        assert_eq!(h.vxlan, Some(42));
        assert_eq!(h.inner.map(|l| (l.l3, l.proto)), Some((L3::V4, UDP)));
    }

    #[test]
    fn nothing_panics_on_any_prefix() {
        let mut payload = vec![8, 0, 0, 0, 0, 0, 42, 0];
        payload.extend(udp(3, 4, 1, 2, b"x"));
        let d = udp(1, 2, 9, VXLAN_PORT, &payload);
        for n in 0..=d.len() {
            let mut cut = d[..n].to_vec();
            let h = headers(&cut, &BTreeSet::new());
            fill_ip_sum(&mut cut, &h.outer);
            fill_l4_sum(&mut cut, &h.outer);
            sums_ok(&cut, &h.outer);
        }
    }
}
