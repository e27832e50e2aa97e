// SPDX-License-Identifier: GPL-2.0

//! Prints a command field by field, from the layouts of the kernel's header.

use crate::bits::{get, F};
use crate::ifc;
use std::fmt::Write;

/// One structure of the header.
pub struct Desc {
    pub name: &'static str,
    pub bits: usize,
    pub fields: &'static [Fd],
}

/// One member; `count` is 0 for a flexible array.
pub struct Fd {
    pub name: &'static str,
    pub at: usize,
    pub bits: usize,
    pub count: usize,
    pub sub: Option<usize>,
}

/// Bytes as hexadecimal digits.
pub fn hex(d: &[u8]) -> String {
    d.iter().fold(String::new(), |mut s, b| {
        let _ = write!(s, "{b:02x}");
        s
    })
}

/// The command's name in lower case, or none if the header does not know it.
pub fn opcode_name(opcode: u64) -> Option<String> {
    let hit = ifc::OPCODES.iter().find(|(v, _)| *v == opcode)?;
    Some(hit.1.to_lowercase())
}

/// A few structures are not named after their opcode.
fn struct_name(op: &str) -> &str {
    match op {
        "access_reg" => "access_register",
        "set_flow_table_entry" => "set_fte",
        "query_flow_table_entry" => "query_fte",
        "delete_flow_table_entry" => "delete_fte",
        other => other,
    }
}

/// The description of `<op>_in` or `<op>_out`.
pub fn find(op: &str, dir: &str) -> Option<&'static Desc> {
    let want = format!("{}_{dir}", struct_name(op));
    let i = ifc::DESCRIPTIONS
        .binary_search_by(|d| d.name.cmp(&want))
        .ok()?;
    ifc::DESCRIPTIONS.get(i)
}

fn walk(out: &mut String, desc: &Desc, buf: &[u8], base: usize, depth: usize) {
    for f in desc.fields {
        let n = match (f.count, f.bits) {
            (0, 0) => 0,
            (0, bits) => (buf.len() * 8).saturating_sub(base + f.at) / bits,
            (n, _) => n,
        };
        for i in 0..n.min(64) {
            let at = base + f.at + i * f.bits;
            let bytes = buf
                .get(at / 8..(at + f.bits).div_ceil(8))
                .unwrap_or_default();
            if bytes.iter().all(|b| *b == 0) {
                continue;
            }
            let index = if f.count == 1 {
                String::new()
            } else {
                format!("[{i}]")
            };
            match f.sub.and_then(|s| ifc::DESCRIPTIONS.get(s)) {
                Some(sub) if depth < 6 => {
                    let mut inner = String::new();
                    walk(&mut inner, sub, buf, at, depth + 1);
                    let _ = write!(out, " {}{index}={{{}}}", f.name, inner.trim_start());
                }
                _ if f.bits <= 64 => {
                    let v = get(buf, F::new(at, f.bits));
                    if v != 0 && f.name != "opcode" {
                        let _ = write!(out, " {}{index}={v:#x}", f.name);
                    }
                }
                _ => {
                    let hex = hex(bytes.get(..64).unwrap_or(bytes));
                    let _ = write!(out, " {}{index}={hex}", f.name);
                }
            }
        }
    }
}

/// The non-zero fields of a command's input (`dir` "in") or output ("out").
pub fn fields(opcode: u64, dir: &str, buf: &[u8]) -> String {
    let mut out = String::new();
    if let Some(desc) = opcode_name(opcode).and_then(|op| find(&op, dir)) {
        walk(&mut out, desc, buf, 0, 0);
    }
    out
}
