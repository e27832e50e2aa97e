// SPDX-License-Identifier: GPL-2.0

//! Modify headers: small programs of set, add and copy on header fields and
//! metadata registers, with checksums kept right as they go.

use crate::bits::View;
use crate::ifc::*;
use crate::packet::{be16, be32, l4_sum_at, layer, Layer, Packet, L3, TCP, UDP};
use std::fmt;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Set {
        field: u16,
        offset: u8,
        length: u8,
        data: u32,
    },
    Add {
        field: u16,
        data: u32,
    },
    Copy {
        from: u16,
        from_offset: u8,
        to: u16,
        to_offset: u8,
        length: u8,
    },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Set {
                field,
                offset,
                length,
                data,
            } => write!(
                f,
                "set {}[{offset}+{length}] = {data:#x}",
                field_name(field)
            ),
            Self::Add { field, data } => write!(f, "add {} + {data:#x}", field_name(field)),
            Self::Copy {
                from,
                from_offset,
                to,
                to_offset,
                length,
            } => write!(
                f,
                "copy {}[{to_offset}+{length}] = {}[{from_offset}+{length}]",
                field_name(to),
                field_name(from)
            ),
        }
    }
}

/// `reg_c_0`, or the number of a header field.
fn field_name(field: u16) -> String {
    match u64::from(field) {
        MLX5_ACTION_IN_FIELD_METADATA_REG_A => "reg_a".into(),
        MLX5_ACTION_IN_FIELD_METADATA_REG_B => "reg_b".into(),
        f @ MLX5_ACTION_IN_FIELD_METADATA_REG_C_0..=MLX5_ACTION_IN_FIELD_METADATA_REG_C_7 => {
            format!("reg_c_{}", f - MLX5_ACTION_IN_FIELD_METADATA_REG_C_0)
        }
        f => format!("field {f:#x}"),
    }
}

#[derive(Debug, Clone, Default)]
pub struct Program {
    pub steps: Vec<Step>,
}

/// A zero length means all 32 bits.
fn length(v: u64) -> u8 {
    if v == 0 {
        32
    } else {
        v as u8
    }
}

/// Width in bits of a field that can be modified, or none.
fn width(field: u16) -> Option<u8> {
    Some(match u64::from(field) {
        MLX5_ACTION_IN_FIELD_OUT_SMAC_47_16
        | MLX5_ACTION_IN_FIELD_OUT_DMAC_47_16
        | MLX5_ACTION_IN_FIELD_OUT_SIPV4
        | MLX5_ACTION_IN_FIELD_OUT_DIPV4
        | MLX5_ACTION_IN_FIELD_OUT_SIPV6_127_96..=MLX5_ACTION_IN_FIELD_OUT_DIPV6_31_0
        | MLX5_ACTION_IN_FIELD_METADATA_REG_A
        | MLX5_ACTION_IN_FIELD_METADATA_REG_B..=MLX5_ACTION_IN_FIELD_METADATA_REG_C_7
        | MLX5_ACTION_IN_FIELD_OUT_TCP_SEQ_NUM
        | MLX5_ACTION_IN_FIELD_OUT_TCP_ACK_NUM => 32,
        MLX5_ACTION_IN_FIELD_OUT_SMAC_15_0
        | MLX5_ACTION_IN_FIELD_OUT_DMAC_15_0
        | MLX5_ACTION_IN_FIELD_OUT_ETHERTYPE
        | MLX5_ACTION_IN_FIELD_OUT_TCP_SPORT
        | MLX5_ACTION_IN_FIELD_OUT_TCP_DPORT
        | MLX5_ACTION_IN_FIELD_OUT_UDP_SPORT
        | MLX5_ACTION_IN_FIELD_OUT_UDP_DPORT => 16,
        MLX5_ACTION_IN_FIELD_OUT_FIRST_VID => 16,
        MLX5_ACTION_IN_FIELD_OUT_TCP_FLAGS => 9,
        MLX5_ACTION_IN_FIELD_OUT_IP_TTL | MLX5_ACTION_IN_FIELD_OUT_IPV6_HOPLIMIT => 8,
        MLX5_ACTION_IN_FIELD_OUT_IP_DSCP => 6,
        _ => return None,
    })
}

/// Reads one action; the text says what is wrong with it.
pub fn parse(a: View<'_>) -> Result<Step, String> {
    let check = |field: u16, offset: u8, length: u8| {
        let Some(w) = width(field) else {
            return Err(format!("field {field:#x} cannot be modified"));
        };
        if u32::from(offset) + u32::from(length) > u32::from(w.max(length)) && length != 32 {
            return Err(format!(
                "bits {offset}+{length} of field {field:#x}, which has {w}"
            ));
        }
        Ok(())
    };
    match a.get(set_action_in::ACTION_TYPE) {
        MLX5_ACTION_TYPE_SET => {
            let s = Step::Set {
                field: a.get(set_action_in::FIELD) as u16,
                offset: a.get(set_action_in::OFFSET) as u8,
                length: length(a.get(set_action_in::LENGTH)),
                data: a.u32(set_action_in::DATA),
            };
            if let Step::Set {
                field,
                offset,
                length,
                ..
            } = s
            {
                check(field, offset, length)?;
            }
            Ok(s)
        }
        MLX5_ACTION_TYPE_ADD => {
            let field = a.get(add_action_in::FIELD) as u16;
            check(field, 0, 1)?;
            Ok(Step::Add {
                field,
                data: a.u32(add_action_in::DATA),
            })
        }
        MLX5_ACTION_TYPE_COPY => {
            let (from, to) = (
                a.get(copy_action_in::SRC_FIELD) as u16,
                a.get(copy_action_in::DST_FIELD) as u16,
            );
            let n = length(a.get(copy_action_in::LENGTH));
            let (fo, d) = (
                a.get(copy_action_in::SRC_OFFSET) as u8,
                a.get(copy_action_in::DST_OFFSET) as u8,
            );
            check(from, fo, n)?;
            check(to, d, n)?;
            Ok(Step::Copy {
                from,
                from_offset: fo,
                to,
                to_offset: d,
                length: n,
            })
        }
        other => Err(format!("action type {other}")),
    }
}

fn mask(length: u8) -> u32 {
    if length >= 32 {
        u32::MAX
    } else {
        (1 << length) - 1
    }
}

/// Where a header field is: first byte, and the bits below it in that word.
struct Place {
    at: usize,
    bits: u8,
    shift: u8,
    /// Counted by the IP header's checksum, and by the transport's.
    ip_sum: bool,
    l4_sum: bool,
}

fn place(field: u16, l: &Layer) -> Option<Place> {
    let f = u64::from(field);
    let p = |at, bits, shift, ip_sum, l4_sum| {
        Some(Place {
            at,
            bits,
            shift,
            ip_sum,
            l4_sum,
        })
    };
    let v4 = l.l3 == L3::V4;
    let v6 = l.l3 == L3::V6;
    let tcp = l.proto == TCP && l.l4_at != 0;
    let udp = l.proto == UDP && l.l4_at != 0;
    match f {
        MLX5_ACTION_IN_FIELD_OUT_DMAC_47_16 => p(l.eth, 32, 0, false, false),
        MLX5_ACTION_IN_FIELD_OUT_DMAC_15_0 => p(l.eth + 4, 16, 0, false, false),
        MLX5_ACTION_IN_FIELD_OUT_SMAC_47_16 => p(l.eth + 6, 32, 0, false, false),
        MLX5_ACTION_IN_FIELD_OUT_SMAC_15_0 => p(l.eth + 10, 16, 0, false, false),
        MLX5_ACTION_IN_FIELD_OUT_ETHERTYPE => p(l.l3_at.checked_sub(2)?, 16, 0, false, false),
        MLX5_ACTION_IN_FIELD_OUT_FIRST_VID if !l.vlans.is_empty() => {
            p(l.eth + 14, 16, 0, false, false)
        }
        MLX5_ACTION_IN_FIELD_OUT_IP_DSCP if v4 => p(l.l3_at, 6, 2, true, false),
        MLX5_ACTION_IN_FIELD_OUT_IP_DSCP if v6 => p(l.l3_at, 6, 6, false, false),
        MLX5_ACTION_IN_FIELD_OUT_IP_TTL if v4 => p(l.l3_at + 8, 8, 8, true, false),
        MLX5_ACTION_IN_FIELD_OUT_IPV6_HOPLIMIT if v6 => p(l.l3_at + 6, 8, 0, false, false),
        MLX5_ACTION_IN_FIELD_OUT_SIPV4 if v4 => p(l.l3_at + 12, 32, 0, true, true),
        MLX5_ACTION_IN_FIELD_OUT_DIPV4 if v4 => p(l.l3_at + 16, 32, 0, true, true),
        MLX5_ACTION_IN_FIELD_OUT_SIPV6_127_96..=MLX5_ACTION_IN_FIELD_OUT_DIPV6_31_0 if v6 => {
            let n = (f - MLX5_ACTION_IN_FIELD_OUT_SIPV6_127_96) as usize;
            p(l.l3_at + 8 + n * 4, 32, 0, false, true)
        }
        MLX5_ACTION_IN_FIELD_OUT_TCP_SPORT if tcp => p(l.l4_at, 16, 0, false, true),
        MLX5_ACTION_IN_FIELD_OUT_TCP_DPORT if tcp => p(l.l4_at + 2, 16, 0, false, true),
        MLX5_ACTION_IN_FIELD_OUT_UDP_SPORT if udp => p(l.l4_at, 16, 0, false, true),
        MLX5_ACTION_IN_FIELD_OUT_UDP_DPORT if udp => p(l.l4_at + 2, 16, 0, false, true),
        MLX5_ACTION_IN_FIELD_OUT_TCP_SEQ_NUM if tcp => p(l.l4_at + 4, 32, 0, false, true),
        MLX5_ACTION_IN_FIELD_OUT_TCP_ACK_NUM if tcp => p(l.l4_at + 8, 32, 0, false, true),
        MLX5_ACTION_IN_FIELD_OUT_TCP_FLAGS if tcp => p(l.l4_at + 12, 9, 0, false, true),
        _ => None,
    }
}

/// The register that a field stands for.
fn register(p: &mut Packet, field: u16) -> Option<&mut u32> {
    let f = u64::from(field);
    match f {
        MLX5_ACTION_IN_FIELD_METADATA_REG_A => Some(&mut p.reg_a),
        MLX5_ACTION_IN_FIELD_METADATA_REG_B => Some(&mut p.reg_b),
        MLX5_ACTION_IN_FIELD_METADATA_REG_C_0..=MLX5_ACTION_IN_FIELD_METADATA_REG_C_7 => p
            .reg_c
            .get_mut((f - MLX5_ACTION_IN_FIELD_METADATA_REG_C_0) as usize),
        _ => None,
    }
}

fn read(p: &mut Packet, l: &Layer, field: u16) -> Option<u32> {
    if let Some(r) = register(p, field) {
        return Some(*r);
    }
    let pl = place(field, l)?;
    let v = if pl.bits == 32 {
        be32(&p.data, pl.at)
    } else {
        u32::from(be16(&p.data, pl.at))
    };
    Some((v >> pl.shift) & mask(pl.bits))
}

/// Replaces 16 bits and corrects the checksum at `sum` for it.
fn patch(d: &mut [u8], at: usize, new: u16, sums: &[usize]) {
    let old = be16(d, at);
    for s in sums {
        let c = be16(d, *s);
        let t = u32::from(!c) + u32::from(!old) + u32::from(new);
        let t = (t & 0xffff) + (t >> 16);
        let t = (t & 0xffff) + (t >> 16);
        put(d, *s, !(t as u16));
    }
    put(d, at, new);
}

fn put(d: &mut [u8], at: usize, v: u16) {
    for (b, s) in d.iter_mut().skip(at).zip(v.to_be_bytes()) {
        *b = s;
    }
}

fn write(p: &mut Packet, l: &Layer, field: u16, v: u32) {
    if let Some(r) = register(p, field) {
        *r = v;
        return;
    }
    // A packet without the header is left as it is.
    let Some(pl) = place(field, l) else { return };
    let mut sums = Vec::new();
    if pl.ip_sum && l.l3 == L3::V4 {
        sums.push(l.l3_at + 10);
    }
    if pl.l4_sum {
        // A UDP checksum of zero means that there is none.
        sums.extend(l4_sum_at(l).filter(|s| l.proto != UDP || be16(&p.data, *s) != 0));
    }
    if pl.bits == 32 {
        patch(&mut p.data, pl.at, (v >> 16) as u16, &sums);
        patch(&mut p.data, pl.at + 2, v as u16, &sums);
    } else {
        let keep = !(mask(pl.bits) << pl.shift) as u16;
        let new = (be16(&p.data, pl.at) & keep) | ((v & mask(pl.bits)) << pl.shift) as u16;
        patch(&mut p.data, pl.at, new, &sums);
    }
    if l.proto == UDP && sums.len() == usize::from(pl.ip_sum) + 1 {
        let at = l.l4_at + 6;
        if be16(&p.data, at) == 0 {
            put(&mut p.data, at, 0xffff);
        }
    }
}

/// Runs the program on a packet.
pub fn run(program: &Program, p: &mut Packet) {
    let l = layer(&p.data, 0);
    for s in &program.steps {
        match *s {
            Step::Set {
                field,
                offset,
                length,
                data,
            } => {
                let Some(old) = read(p, &l, field) else {
                    continue;
                };
                let m = mask(length).checked_shl(offset.into()).unwrap_or(0);
                let v = data.checked_shl(offset.into()).unwrap_or(0) & m;
                write(p, &l, field, (old & !m) | v);
            }
            Step::Add { field, data } => {
                let Some(old) = read(p, &l, field) else {
                    continue;
                };
                write(p, &l, field, old.wrapping_add(data));
            }
            Step::Copy {
                from,
                from_offset,
                to,
                to_offset,
                length,
            } => {
                let (Some(src), Some(old)) = (read(p, &l, from), read(p, &l, to)) else {
                    continue;
                };
                let bits = src.checked_shr(from_offset.into()).unwrap_or(0) & mask(length);
                let m = mask(length).checked_shl(to_offset.into()).unwrap_or(0);
                let v = bits.checked_shl(to_offset.into()).unwrap_or(0);
                write(p, &l, to, (old & !m) | v);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{sums_ok, tests::udp};

    fn set(field: u64, offset: u8, length: u8, data: u32) -> Step {
        Step::Set {
            field: field as u16,
            offset,
            length,
            data,
        }
    }

    #[test]
    fn rewrites_keep_checksums() {
        let mut p = Packet {
            data: udp(1, 2, 1000, 2000, b"payload"),
            ..Packet::default()
        };
        let steps = vec![
            set(MLX5_ACTION_IN_FIELD_OUT_DIPV4, 0, 32, 0x0a01_0203),
            set(MLX5_ACTION_IN_FIELD_OUT_UDP_DPORT, 0, 16, 53),
            set(MLX5_ACTION_IN_FIELD_OUT_DMAC_47_16, 0, 32, 0x0011_2233),
            set(MLX5_ACTION_IN_FIELD_OUT_DMAC_15_0, 0, 16, 0x4455),
            set(MLX5_ACTION_IN_FIELD_OUT_IP_DSCP, 0, 6, 46),
            Step::Add {
                field: MLX5_ACTION_IN_FIELD_OUT_IP_TTL as u16,
                data: 0xff,
            },
        ];
        run(&Program { steps }, &mut p);
        let l = layer(&p.data, 0);
        assert_eq!(sums_ok(&p.data, &l), (true, true));
        assert_eq!(&p.data[..6], &[0, 0x11, 0x22, 0x33, 0x44, 0x55]);
        assert_eq!(&p.data[30..34], &[10, 1, 2, 3]);
        assert_eq!(p.data[22], 63);
        assert_eq!(p.data[15], 46 << 2);
        assert_eq!(be16(&p.data, 36), 53);
    }

    #[test]
    fn registers() {
        let mut p = Packet::default();
        p.reg_c[0] = 0xaabb_ccdd;
        let steps = vec![
            Step::Copy {
                from: MLX5_ACTION_IN_FIELD_METADATA_REG_C_0 as u16,
                from_offset: 16,
                to: MLX5_ACTION_IN_FIELD_METADATA_REG_B as u16,
                to_offset: 0,
                length: 16,
            },
            set(MLX5_ACTION_IN_FIELD_METADATA_REG_C_1, 8, 16, 0x1234),
        ];
        run(&Program { steps }, &mut p);
        assert_eq!(p.reg_b, 0xaabb);
        assert_eq!(p.reg_c[1], 0x0012_3400);
    }

    #[test]
    fn a_packet_without_the_header_is_left_alone() {
        let mut p = Packet {
            data: vec![0; 14],
            ..Packet::default()
        };
        run(
            &Program {
                steps: vec![set(MLX5_ACTION_IN_FIELD_OUT_SIPV4, 0, 32, 1)],
            },
            &mut p,
        );
        assert_eq!(p.data, vec![0; 14]);
    }
}
