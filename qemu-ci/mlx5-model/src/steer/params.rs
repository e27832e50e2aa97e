// SPDX-License-Identifier: GPL-2.0

//! A packet as match parameters: the layout in which the driver gives masks
//! and values (`fte_match_param`).

use crate::bits::{set, F, S};
use crate::ifc::*;
use crate::packet::{be16, be32, headers, Layer, Packet, ETH_QINQ, ICMP, ICMPV6, L3, TCP, UDP};
use std::collections::BTreeSet;

pub const BYTES: usize = fte_match_param::SIZE;
pub const WORDS: usize = BYTES / 4;

/// The sets of parameters, in the order of the bits that enable them.
pub const SETS: [S; 8] = [
    fte_match_param::OUTER_HEADERS,
    fte_match_param::MISC_PARAMETERS,
    fte_match_param::INNER_HEADERS,
    fte_match_param::MISC_PARAMETERS_2,
    fte_match_param::MISC_PARAMETERS_3,
    fte_match_param::MISC_PARAMETERS_4,
    fte_match_param::MISC_PARAMETERS_5,
    fte_match_param::MISC_PARAMETERS_6,
];

fn fill_layer(b: &mut [u8], at: S, d: &[u8], l: &Layer) {
    use fte_match_set_lyr_2_4 as m;
    let mut put = |f: F, v: u64| set(b, at.field(f), v);
    put(m::DMAC_47_16, u64::from(be32(d, l.eth)));
    put(m::DMAC_15_0, u64::from(be16(d, l.eth + 4)));
    put(m::SMAC_47_16, u64::from(be32(d, l.eth + 6)));
    put(m::SMAC_15_0, u64::from(be16(d, l.eth + 10)));
    put(m::ETHERTYPE, u64::from(l.ethertype));
    if let Some((kind, tci)) = l.vlans.first() {
        put(m::FIRST_PRIO, u64::from(tci >> 13));
        put(m::FIRST_CFI, u64::from((tci >> 12) & 1));
        put(m::FIRST_VID, u64::from(tci & 0xfff));
        put(
            if *kind == ETH_QINQ {
                m::SVLAN_TAG
            } else {
                m::CVLAN_TAG
            },
            1,
        );
    }
    let byte = |i: usize| u64::from(d.get(l.l3_at + i).copied().unwrap_or(0));
    match l.l3 {
        L3::V4 => {
            put(m::IP_VERSION, 4);
            put(m::IP_DSCP, byte(1) >> 2);
            put(m::IP_ECN, byte(1) & 3);
            put(m::IPV4_IHL, byte(0) & 15);
            put(m::TTL_HOPLIMIT, byte(8));
            put(
                m::SRC_IPV4_SRC_IPV6.field(ipv4_layout::IPV4),
                u64::from(be32(d, l.l3_at + 12)),
            );
            put(
                m::DST_IPV4_DST_IPV6.field(ipv4_layout::IPV4),
                u64::from(be32(d, l.l3_at + 16)),
            );
        }
        L3::V6 => {
            put(m::IP_VERSION, 6);
            let class = (be16(d, l.l3_at) >> 4) & 0xff;
            put(m::IP_DSCP, u64::from(class >> 2));
            put(m::IP_ECN, u64::from(class & 3));
            put(m::TTL_HOPLIMIT, byte(7));
            for i in 0..4 {
                let word = F::new(i * 32, 32);
                put(
                    m::SRC_IPV4_SRC_IPV6.field(word),
                    u64::from(be32(d, l.l3_at + 8 + i * 4)),
                );
                put(
                    m::DST_IPV4_DST_IPV6.field(word),
                    u64::from(be32(d, l.l3_at + 24 + i * 4)),
                );
            }
        }
        L3::None => return,
    }
    put(m::IP_PROTOCOL, u64::from(l.proto));
    put(m::FRAG, u64::from(l.frag));
    if l.l4_at == 0 {
        return;
    }
    let (sport, dport) = (u64::from(be16(d, l.l4_at)), u64::from(be16(d, l.l4_at + 2)));
    match l.proto {
        TCP => {
            put(m::L4_TYPE, MLX5_PACKET_L4_TYPE_TCP);
            put(m::L4_TYPE_EXT, MLX5_PACKET_L4_TYPE_EXT_TCP);
            put(m::TCP_SPORT, sport);
            put(m::TCP_DPORT, dport);
            put(m::TCP_FLAGS, u64::from(be16(d, l.l4_at + 12) & 0x1ff));
        }
        UDP => {
            put(m::L4_TYPE, MLX5_PACKET_L4_TYPE_UDP);
            put(m::L4_TYPE_EXT, MLX5_PACKET_L4_TYPE_EXT_UDP);
            put(m::UDP_SPORT, sport);
            put(m::UDP_DPORT, dport);
        }
        ICMP | ICMPV6 => put(m::L4_TYPE_EXT, MLX5_PACKET_L4_TYPE_EXT_ICMP),
        _ => {}
    }
}

/// The second VLAN tag, which is among the miscellaneous parameters.
fn fill_second(b: &mut [u8], l: &Layer, f: [F; 5]) {
    let [prio, cfi, vid, ctag, stag] = f;
    let at = fte_match_param::MISC_PARAMETERS;
    if let Some((kind, tci)) = l.vlans.get(1) {
        set(b, at.field(prio), u64::from(tci >> 13));
        set(b, at.field(cfi), u64::from((tci >> 12) & 1));
        set(b, at.field(vid), u64::from(tci & 0xfff));
        set(b, at.field(if *kind == ETH_QINQ { stag } else { ctag }), 1);
    }
}

/// The parameters of a packet as words, in the driver's layout. `manager` is
/// this function's own id, which owns every vport.
pub fn of(p: &Packet, vxlan_ports: &BTreeSet<u16>, manager: u16) -> [u32; WORDS] {
    use fte_match_set_misc as m1;
    use fte_match_set_misc2 as m2;
    use fte_match_set_misc3 as m3;
    let d = &p.data;
    let h = headers(d, vxlan_ports);
    let mut b = [0u8; BYTES];
    fill_layer(&mut b, fte_match_param::OUTER_HEADERS, d, &h.outer);
    let misc = fte_match_param::MISC_PARAMETERS;
    set(
        &mut b,
        misc.field(m1::SOURCE_PORT),
        u64::from(p.source_port),
    );
    set(&mut b, misc.field(m1::SOURCE_SQN), u64::from(p.source_sqn));
    set(
        &mut b,
        misc.field(m1::SOURCE_ESWITCH_OWNER_VHCA_ID),
        u64::from(manager),
    );
    let outer = [
        m1::OUTER_SECOND_PRIO,
        m1::OUTER_SECOND_CFI,
        m1::OUTER_SECOND_VID,
        m1::OUTER_SECOND_CVLAN_TAG,
        m1::OUTER_SECOND_SVLAN_TAG,
    ];
    fill_second(&mut b, &h.outer, outer);
    if h.outer.l3 == L3::V6 {
        set(
            &mut b,
            misc.field(m1::OUTER_IPV6_FLOW_LABEL),
            u64::from(be32(d, h.outer.l3_at) & 0xf_ffff),
        );
    }
    if let Some(vni) = h.vxlan {
        set(&mut b, misc.field(m1::VXLAN_VNI), u64::from(vni));
    }
    if let Some(l) = &h.inner {
        fill_layer(&mut b, fte_match_param::INNER_HEADERS, d, l);
        let inner = [
            m1::INNER_SECOND_PRIO,
            m1::INNER_SECOND_CFI,
            m1::INNER_SECOND_VID,
            m1::INNER_SECOND_CVLAN_TAG,
            m1::INNER_SECOND_SVLAN_TAG,
        ];
        fill_second(&mut b, l, inner);
    }
    let misc2 = fte_match_param::MISC_PARAMETERS_2;
    let regs = [
        m2::METADATA_REG_C_0,
        m2::METADATA_REG_C_1,
        m2::METADATA_REG_C_2,
        m2::METADATA_REG_C_3,
        m2::METADATA_REG_C_4,
        m2::METADATA_REG_C_5,
        m2::METADATA_REG_C_6,
        m2::METADATA_REG_C_7,
    ];
    for (f, v) in regs.iter().zip(p.reg_c) {
        set(&mut b, misc2.field(*f), u64::from(v));
    }
    set(&mut b, misc2.field(m2::METADATA_REG_A), u64::from(p.reg_a));
    let misc3 = fte_match_param::MISC_PARAMETERS_3;
    let l = &h.outer;
    if l.l4_at != 0 {
        let (kind, code) = match d.get(l.l4_at..l.l4_at + 2) {
            Some([k, c]) => (u64::from(*k), u64::from(*c)),
            _ => (0, 0),
        };
        match l.proto {
            ICMP => {
                set(&mut b, misc3.field(m3::ICMP_TYPE), kind);
                set(&mut b, misc3.field(m3::ICMP_CODE), code);
            }
            ICMPV6 => {
                set(&mut b, misc3.field(m3::ICMPV6_TYPE), kind);
                set(&mut b, misc3.field(m3::ICMPV6_CODE), code);
            }
            TCP => {
                set(
                    &mut b,
                    misc3.field(m3::OUTER_TCP_SEQ_NUM),
                    u64::from(be32(d, l.l4_at + 4)),
                );
                set(
                    &mut b,
                    misc3.field(m3::OUTER_TCP_ACK_NUM),
                    u64::from(be32(d, l.l4_at + 8)),
                );
            }
            _ => {}
        }
    }
    words(&b)
}

/// Bytes in the driver's layout as words.
pub fn words(b: &[u8]) -> [u32; WORDS] {
    let mut w = [0; WORDS];
    for (w, c) in w.iter_mut().zip(b.chunks_exact(4)) {
        *w = be32(c, 0);
    }
    w
}
