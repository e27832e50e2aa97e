// SPDX-License-Identifier: GPL-2.0

//! Actions that change a packet's length: VLAN tags and tunnels.

use super::tables::{Reformat, ReformatKind};
use crate::packet::{
    be16, fill_ip_sum, fill_l4_sum, headers, layer, Packet, ETH_QINQ, ETH_VLAN, L3, UDP,
};
use std::collections::BTreeSet;

/// Takes the outer tag off; a packet without one is left as it is.
pub fn pop_vlan(p: &mut Packet) {
    if p.data.len() >= 18 && matches!(be16(&p.data, 12), ETH_VLAN | ETH_QINQ) {
        p.data.drain(12..16);
    }
}

/// Puts a tag in front.
pub fn push_vlan(p: &mut Packet, kind: u16, tci: u16) {
    if p.data.len() >= 14 {
        let [k0, k1] = kind.to_be_bytes();
        let [t0, t1] = tci.to_be_bytes();
        p.data.splice(12..12, [k0, k1, t0, t1]);
    }
}

/// Takes outer headers and VXLAN header off. False if it is no VXLAN packet.
pub fn decap(p: &mut Packet, vxlan_ports: &BTreeSet<u16>) -> bool {
    match headers(&p.data, vxlan_ports).inner {
        Some(inner) => {
            p.data.drain(..inner.eth);
            true
        }
        None => false,
    }
}

/// A hash over the addresses and ports, for the outer source port.
fn entropy(d: &[u8]) -> u16 {
    let l = layer(d, 0);
    let end = if l.l4_at != 0 { l.l4_at + 4 } else { l.l3_at };
    let start = if l.l3 == L3::V4 { l.l3_at + 12 } else { l.eth };
    let h = d
        .get(start..end)
        .unwrap_or_default()
        .iter()
        .fold(0x811c_9dc5u32, |h, b| {
            (h ^ u32::from(*b)).wrapping_mul(0x0100_0193)
        });
    0xc000 | ((h ^ (h >> 16)) & 0x3fff) as u16
}

fn put16(d: &mut [u8], at: usize, v: u16) {
    for (b, s) in d.iter_mut().skip(at).zip(v.to_be_bytes()) {
        *b = s;
    }
}

/// Puts the given headers in front, and fills in what depends on the packet:
/// lengths, the header checksum and, for VXLAN, the source port.
pub fn encap(p: &mut Packet, r: &Reformat) {
    let hash = entropy(&p.data);
    let inner = p.data.len();
    let mut d = r.header.clone();
    d.extend_from_slice(&p.data);
    let l = layer(&d, 0);
    let total = d.len() - l.l3_at;
    match l.l3 {
        L3::V4 => put16(&mut d, l.l3_at + 2, total as u16),
        L3::V6 => put16(&mut d, l.l3_at + 4, total.saturating_sub(40) as u16),
        L3::None => {}
    }
    if r.kind == ReformatKind::L2ToVxlan && l.proto == UDP && l.l4_at != 0 {
        put16(&mut d, l.l4_at, hash);
        put16(&mut d, l.l4_at + 4, (inner + 16) as u16);
        put16(&mut d, l.l4_at + 6, 0);
        if l.l3 == L3::V6 {
            fill_l4_sum(&mut d, &l);
        }
    }
    fill_ip_sum(&mut d, &l);
    p.data = d;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{sums_ok, tests::udp, VXLAN_PORT};

    #[test]
    fn tags() {
        let d = udp(1, 2, 3, 4, b"");
        let mut p = Packet {
            data: d.clone(),
            ..Packet::default()
        };
        push_vlan(&mut p, ETH_VLAN, 100);
        assert_eq!(layer(&p.data, 0).vlans, [(ETH_VLAN, 100)]);
        pop_vlan(&mut p);
        assert_eq!(p.data, d);
        pop_vlan(&mut p);
        assert_eq!(p.data, d);
    }

    #[test]
    fn there_and_back() {
        let ports = BTreeSet::new();
        let d = udp(1, 2, 3, 4, b"inner");
        let mut header = udp(8, 9, 0, VXLAN_PORT, &[]);
        header.extend([8, 0, 0, 0, 0, 0, 77, 0]);
        let r = Reformat {
            kind: ReformatKind::L2ToVxlan,
            header,
        };
        let mut p = Packet {
            data: d.clone(),
            ..Packet::default()
        };
        encap(&mut p, &r);
        assert_eq!(p.data.len(), d.len() + 50);
        assert!(sums_ok(&p.data, &layer(&p.data, 0)).0);
        assert_eq!(headers(&p.data, &ports).vxlan, Some(77));
        assert!(decap(&mut p, &ports));
        assert_eq!(p.data, d);
        assert!(!decap(&mut p, &ports));
    }
}
