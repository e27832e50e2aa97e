// SPDX-License-Identifier: GPL-2.0

//! Prints a command field by field, from the layouts of the kernel's header.

use crate::bits::{get, set, F};
use crate::ifc;
use std::fmt::Write;

/// One structure of the header.
pub struct Desc {
    pub name: &'static str,
    pub bits: usize,
    pub fields: &'static [Fd],
    /// Reserved bits: where, and how many. None of a union's, where they may be
    /// fields of another alternative.
    pub reserved: &'static [(usize, usize)],
    /// Structures in it for which the same holds.
    pub nested: &'static [Nested],
}

/// A structure inside another one.
pub struct Nested {
    pub at: usize,
    pub bits: usize,
    pub count: usize,
    /// Its description.
    pub sub: usize,
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

/// The capabilities that `kind` stands for, in the union of all of them.
fn capabilities(kind: u64) -> &'static str {
    match kind {
        ifc::MLX5_CAP_GENERAL => "cmd_hca_cap",
        ifc::MLX5_CAP_GENERAL_2 => "cmd_hca_cap_2",
        ifc::MLX5_CAP_ETHERNET_OFFLOADS => "per_protocol_networking_offload_caps",
        ifc::MLX5_CAP_FLOW_TABLE => "flow_table_nic_cap",
        ifc::MLX5_CAP_ESWITCH_FLOW_TABLE => "flow_table_eswitch_cap",
        ifc::MLX5_CAP_ESWITCH => "e_switch_cap",
        _ => "",
    }
}

/// `kind` says which capabilities are meant, where there are any.
fn walk(out: &mut String, desc: &Desc, buf: &[u8], base: usize, depth: usize, kind: u64) {
    for f in desc.fields {
        if desc.name == "hca_cap_union" && f.name != capabilities(kind) {
            continue;
        }
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
                    walk(&mut inner, sub, buf, at, depth + 1, kind);
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

/// The non-zero fields of any structure of the header.
pub fn structure(name: &str, buf: &[u8]) -> String {
    let mut out = String::new();
    let found = ifc::DESCRIPTIONS.binary_search_by(|d| d.name.cmp(name));
    if let Some(desc) = found.ok().and_then(|i| ifc::DESCRIPTIONS.get(i)) {
        walk(&mut out, desc, buf, 0, 0, 0);
    }
    if out.is_empty() {
        out = " bits that have no name".into();
    }
    out
}

/// Calls `f` for all reserved bits of a structure, in pieces of at most 64.
fn each_reserved(desc: &'static Desc, base: usize, depth: usize, f: &mut dyn FnMut(&str, F)) {
    for (at, bits) in desc.reserved {
        for part in (0..*bits).step_by(64) {
            f(desc.name, F::new(base + at + part, (bits - part).min(64)));
        }
    }
    for n in desc.nested {
        let Some(sub) = ifc::DESCRIPTIONS.get(n.sub).filter(|_| depth < 6) else {
            continue;
        };
        for i in 0..n.count {
            each_reserved(sub, base + n.at + i * n.bits, depth + 1, f);
        }
    }
}

/// Where a command's input has a bit that its layout reserves.
pub fn stray(op: &str, buf: &[u8]) -> Option<String> {
    let mut first = None;
    each_reserved(find(op, "in")?, 0, 0, &mut |name, f| {
        let v = get(buf, f);
        if v != 0 && first.is_none() {
            first = Some(format!(
                "{v:#x} in reserved bits {:#x}+{} ({name})",
                f.at, f.bits
            ));
        }
    });
    first
}

/// Clears the reserved bits of a command's input.
pub fn clear_reserved(op: &str, buf: &mut [u8]) {
    if let Some(desc) = find(op, "in") {
        each_reserved(desc, 0, 0, &mut |_, f| set(buf, f, 0));
    }
}

/// The non-zero fields of the command `input`: of itself (`dir` "in"), or of its
/// output ("out"), which `buf` is.
pub fn fields(input: &[u8], dir: &str, buf: &[u8]) -> String {
    let mut out = String::new();
    let opcode = get(input, ifc::query_hca_cap_in::OPCODE);
    let kind = get(input, ifc::query_hca_cap_in::OP_MOD) >> 1;
    if let Some(desc) = opcode_name(opcode).and_then(|op| find(&op, dir)) {
        walk(&mut out, desc, buf, 0, 0, kind);
    }
    out
}
