// SPDX-License-Identifier: GPL-2.0

//! Writes the Rust text: one module of constants for each structure, the
//! descriptions that the decoder prints commands with, and the constants.

use crate::enums::Consts;
use crate::layout::{kind_size, size, Count, Kind, Type, Types};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

struct Field<'a> {
    name: &'a str,
    at: usize,
    bits: usize,
    count: Count,
    sub: Option<&'a str>,
}

/// Members with anonymous unions and structures folded into their parent.
fn fields<'a>(
    types: &'a Types,
    ty: &'a Type,
    base: usize,
    prefix: Option<&'a str>,
) -> Vec<Field<'a>> {
    let mut out = Vec::new();
    let mut at = base;
    for m in &ty.members {
        let bits = kind_size(types, &m.kind);
        match &m.kind {
            Kind::Inline(t) => {
                let name = if m.name.is_empty() {
                    prefix
                } else {
                    Some(m.name.as_str())
                };
                if let Some(name) = name.filter(|_| !m.name.is_empty()) {
                    out.push(Field {
                        name,
                        at,
                        bits,
                        count: m.count,
                        sub: None,
                    });
                }
                out.extend(fields(types, t, at, name));
            }
            Kind::Named(n) => {
                out.push(Field {
                    name: &m.name,
                    at,
                    bits,
                    count: m.count,
                    sub: Some(n),
                });
            }
            Kind::Bits(_) => {
                if !m.name.starts_with("reserved") && !m.name.starts_with("rsvd") {
                    out.push(Field {
                        name: &m.name,
                        at,
                        bits,
                        count: m.count,
                        sub: None,
                    });
                }
            }
        }
        if !ty.union {
            at += match m.count {
                Count::One => bits,
                Count::Array(n) => n * bits,
                Count::Flexible => 0,
            };
        }
    }
    out
}

/// What must be zero: reserved bits, and structures that have some. Unions are
/// left out, for their alternatives overlap.
fn strict<'a>(
    types: &'a Types,
    ty: &'a Type,
    base: usize,
    reserved: &mut Vec<(usize, usize)>,
    nested: &mut Vec<(usize, usize, usize, &'a str)>,
) {
    if ty.union {
        return;
    }
    let mut at = base;
    for m in &ty.members {
        let bits = kind_size(types, &m.kind);
        let count = match m.count {
            Count::One => 1,
            Count::Array(n) => n,
            Count::Flexible => 0,
        };
        match &m.kind {
            Kind::Bits(_) => {
                let unused = m.name.starts_with("reserved") || m.name.starts_with("rsvd");
                if unused && count * bits != 0 {
                    reserved.push((at, count * bits));
                }
            }
            Kind::Inline(t) => {
                for i in 0..count {
                    strict(types, t, at + i * bits, reserved, nested);
                }
            }
            Kind::Named(n) => {
                if count != 0 && types.get(n).is_some_and(|t| !t.union) {
                    nested.push((at, bits, count, n));
                }
            }
        }
        at += count * bits;
    }
}

const KEYWORDS: [&str; 6] = ["type", "match", "move", "mod", "ref", "loop"];

fn ident(name: &str) -> String {
    if KEYWORDS.contains(&name) {
        format!("r#{name}")
    } else {
        name.to_string()
    }
}

fn emit_type(out: &mut String, types: &Types, name: &str, ty: &Type) {
    let mut seen = BTreeSet::new();
    let _ = writeln!(
        out,
        "pub mod {} {{\n#[allow(unused_imports)]\nuse crate::bits::{{A, F, S}};",
        ident(name)
    );
    let _ = writeln!(out, "pub const SIZE: usize = {};", size(types, ty) / 8);
    for f in fields(types, ty, 0, None) {
        let upper = f.name.to_uppercase();
        if upper == "SIZE" || !seen.insert(upper.clone()) {
            continue;
        }
        let id = if upper.starts_with(|c: char| c.is_ascii_digit()) {
            format!("_{upper}")
        } else {
            upper
        };
        let (at, bits) = (f.at, f.bits);
        let _ = match f.count {
            Count::One if f.sub.is_none() && bits <= 64 => {
                writeln!(out, "pub const {id}: F = F::new({at}, {bits});")
            }
            Count::One => writeln!(out, "pub const {id}: S = S::new({at}, {bits});"),
            Count::Array(n) => writeln!(out, "pub const {id}: A = A::new({at}, {bits}, {n});"),
            Count::Flexible => writeln!(out, "pub const {id}: A = A::new({at}, {bits}, 0);"),
        };
    }
    let _ = writeln!(out, "}}");
}

fn emit_descriptions(out: &mut String, types: &Types) {
    let index: BTreeMap<&str, usize> = types
        .keys()
        .enumerate()
        .map(|(i, k)| (k.as_str(), i))
        .collect();
    let _ = writeln!(out, "pub static DESCRIPTIONS: &[crate::decode::Desc] = &[");
    for (name, ty) in types {
        let _ = write!(
            out,
            "crate::decode::Desc {{ name: {name:?}, bits: {}, fields: &[",
            size(types, ty)
        );
        for f in fields(types, ty, 0, None) {
            let count = match f.count {
                Count::One => 1,
                Count::Array(n) => n,
                Count::Flexible => 0,
            };
            let sub = f
                .sub
                .and_then(|s| index.get(s))
                .map_or("None".into(), |i| format!("Some({i})"));
            let _ = write!(
                out,
                "crate::decode::Fd {{ name: {:?}, at: {}, bits: {}, count: {count}, sub: {sub} }},",
                f.name, f.at, f.bits
            );
        }
        let (mut reserved, mut nested) = (Vec::new(), Vec::new());
        strict(types, ty, 0, &mut reserved, &mut nested);
        let _ = write!(out, "], reserved: &{reserved:?}, nested: &[");
        for (at, bits, count, sub) in nested {
            if let Some(sub) = index.get(sub) {
                let _ = write!(
                    out,
                    "crate::decode::Nested {{ at: {at}, bits: {bits}, count: {count}, sub: {sub} }},"
                );
            }
        }
        let _ = writeln!(out, "] }},");
    }
    let _ = writeln!(out, "];");
}

pub fn emit(types: &Types, consts: &Consts) -> String {
    let mut out = String::new();
    for (name, ty) in types {
        emit_type(&mut out, types, name, ty);
    }
    emit_descriptions(&mut out, types);
    let _ = writeln!(out, "pub static OPCODES: &[(u64, &str)] = &[");
    for (name, value) in &consts.values {
        let op = name
            .strip_prefix("MLX5_CMD_OPCODE_")
            .or_else(|| name.strip_prefix("MLX5_CMD_OP_"));
        if let Some(op) = op.filter(|op| *op != "MAX") {
            let _ = writeln!(out, "({value:#x}, {op:?}),");
        }
    }
    let _ = writeln!(out, "];");
    for (name, value) in &consts.values {
        let _ = writeln!(out, "pub const {name}: u64 = {value:#x};");
    }
    out
}
