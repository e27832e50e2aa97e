// SPDX-License-Identifier: GPL-2.0

//! Reads the values of the `enum` constants, as far as they are plain
//! arithmetic on numbers and on constants seen before.

use std::collections::BTreeMap;

#[derive(Default)]
pub struct Consts {
    pub values: BTreeMap<String, u64>,
}

impl Consts {
    pub fn merge(&mut self, other: Consts) {
        for (k, v) in other.values {
            self.values.entry(k).or_insert(v);
        }
    }

    /// `a | b`, `a << b`, `BIT(n)`, a number or a known name.
    fn eval(&self, expr: &str) -> Option<u64> {
        let e = expr.trim();
        let inner = e.strip_prefix('(').and_then(|x| x.strip_suffix(')'));
        if let Some(inner) = inner.filter(|x| !x.contains(['(', ')'])) {
            return self.eval(inner);
        }
        if let Some((a, b)) = e.split_once('|') {
            return Some(self.eval(a)? | self.eval(b)?);
        }
        if let Some((a, b)) = e.split_once('+') {
            return self.eval(a)?.checked_add(self.eval(b)?);
        }
        if let Some((a, b)) = e.split_once("<<") {
            return self
                .eval(a)?
                .checked_shl(u32::try_from(self.eval(b)?).ok()?);
        }
        for bit in ["BIT_ULL(", "BIT("] {
            if let Some(inner) = e.strip_prefix(bit) {
                let n = self.eval(inner.strip_suffix(')')?)?;
                return 1u64.checked_shl(u32::try_from(n).ok()?);
            }
        }
        let n = e.trim_end_matches(['U', 'L', 'u', 'l']);
        if let Some(hex) = n.strip_prefix("0x") {
            return u64::from_str_radix(hex, 16).ok();
        }
        n.parse().ok().or_else(|| self.values.get(e).copied())
    }
}

/// Reads every `enum { ... }` and every plain `#define` of the text.
pub fn parse(text: &str) -> Consts {
    let mut consts = Consts::default();
    let joined = text.replace("\\\n", " ");
    for line in joined.lines().filter_map(|l| l.strip_prefix("#define ")) {
        let Some((name, value)) = line.split_once(char::is_whitespace) else {
            continue;
        };
        if let Some(v) = consts.eval(value).filter(|_| !name.contains('(')) {
            consts.values.insert(name.to_string(), v);
        }
    }
    let mut rest = text;
    while let Some(i) = rest.find("enum") {
        rest = &rest[i + 4..];
        let Some(open) = rest.find(['{', ';', ')']) else {
            break;
        };
        if !rest[open..].starts_with('{') {
            continue;
        }
        let Some(close) = rest.find('}') else { break };
        let mut next = Some(0u64);
        for item in rest[open + 1..close].split(',') {
            let (name, value) = match item.split_once('=') {
                Some((n, v)) => (n.trim(), consts.eval(v)),
                None => (item.trim(), next),
            };
            if name.is_empty() || !name.chars().all(|c| c.is_alphanumeric() || c == '_') {
                continue;
            }
            if let Some(v) = value {
                consts.values.entry(name.to_string()).or_insert(v);
            }
            next = value.and_then(|v| v.checked_add(1));
        }
        rest = &rest[close..];
    }
    consts
}
