// SPDX-License-Identifier: GPL-2.0

//! Reads the `mlx5_ifc_*_bits` structures, in which one `u8` array element
//! stands for one bit.

use crate::enums::Consts;
use std::collections::BTreeMap;

/// What a member is made of.
pub enum Kind {
    /// Plain bits.
    Bits(usize),
    /// Another named structure.
    Named(String),
    /// A nested structure or union without a name of its own.
    Inline(Type),
}

/// How often a member occurs.
#[derive(Clone, Copy)]
pub enum Count {
    One,
    Array(usize),
    Flexible,
}

pub struct Member {
    /// Empty for an anonymous union or structure.
    pub name: String,
    pub kind: Kind,
    pub count: Count,
}

pub struct Type {
    pub union: bool,
    pub members: Vec<Member>,
}

pub type Types = BTreeMap<String, Type>;

/// Removes both kinds of C comment.
pub fn strip_comments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(i) = rest.find('/') {
        out.push_str(&rest[..i]);
        rest = &rest[i..];
        if rest.starts_with("/*") {
            rest = rest.find("*/").map_or("", |e| &rest[e + 2..]);
            out.push(' ');
        } else if rest.starts_with("//") {
            rest = rest.find('\n').map_or("", |e| &rest[e..]);
        } else {
            out.push('/');
            rest = &rest[1..];
        }
    }
    out.push_str(rest);
    out
}

fn tokens(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut word = String::new();
    for line in text.lines().filter(|l| !l.trim_start().starts_with('#')) {
        for c in line.chars().chain(['\n']) {
            if c.is_alphanumeric() || c == '_' {
                word.push(c);
                continue;
            }
            if !word.is_empty() {
                out.push(std::mem::take(&mut word));
            }
            if !c.is_whitespace() {
                out.push(c.to_string());
            }
        }
    }
    out
}

struct Parser<'a> {
    tokens: Vec<String>,
    at: usize,
    consts: &'a Consts,
}

fn short(name: &str) -> String {
    name.trim_start_matches("mlx5_ifc_")
        .trim_end_matches("_bits")
        .to_string()
}

impl Parser<'_> {
    fn peek(&self, ahead: usize) -> &str {
        self.tokens.get(self.at + ahead).map_or("", String::as_str)
    }

    fn next(&mut self) -> String {
        self.at += 1;
        self.tokens.get(self.at - 1).cloned().unwrap_or_default()
    }

    fn expect(&mut self, what: &str) -> Result<(), String> {
        let got = self.next();
        if got == what {
            return Ok(());
        }
        let from = self.at.saturating_sub(8);
        let near = self.tokens.get(from..self.at).unwrap_or_default().join(" ");
        Err(format!(
            "expected '{what}' and found '{got}' after '{near}'"
        ))
    }

    fn number(&self, word: &str) -> Option<usize> {
        let named = self.consts.values.get(word).copied();
        match word.strip_prefix("0x") {
            Some(hex) => usize::from_str_radix(hex, 16).ok(),
            None => word
                .parse()
                .ok()
                .or(named.and_then(|v| usize::try_from(v).ok())),
        }
    }

    /// `[a][b]...`, where an empty bracket is a flexible array.
    fn dimensions(&mut self) -> Result<Vec<Option<usize>>, String> {
        let mut out = Vec::new();
        while self.peek(0) == "[" {
            self.next();
            if self.peek(0) == "]" {
                out.push(None);
            } else {
                let word = self.next();
                out.push(Some(
                    self.number(&word)
                        .ok_or_else(|| format!("'{word}' is no number"))?,
                ));
            }
            self.expect("]")?;
        }
        Ok(out)
    }

    fn count(dims: &[Option<usize>]) -> Count {
        match dims {
            [] => Count::One,
            [Some(n), ..] => Count::Array(*n),
            [None, ..] => Count::Flexible,
        }
    }

    fn member(&mut self) -> Result<Member, String> {
        let head = self.next();
        match head.as_str() {
            "u8" => {
                let name = self.next();
                let dims = self.dimensions()?;
                self.expect(";")?;
                let (bits, outer) = match dims.split_last() {
                    Some((Some(bits), outer)) => (*bits, outer.to_vec()),
                    // u8 x[]: bytes to the end.
                    Some((None, _)) => (8, vec![None]),
                    None => return Err(format!("'{name}' has no width")),
                };
                Ok(Member {
                    name,
                    kind: Kind::Bits(bits),
                    count: Self::count(&outer),
                })
            }
            "struct" | "union" if self.peek(0) == "{" => {
                let inner = self.body(head == "union")?;
                let name = if self.peek(0) == ";" {
                    String::new()
                } else {
                    self.next()
                };
                let dims = self.dimensions()?;
                self.expect(";")?;
                Ok(Member {
                    name,
                    kind: Kind::Inline(inner),
                    count: Self::count(&dims),
                })
            }
            "struct" | "union" => {
                let ty = short(&self.next());
                let name = self.next();
                let dims = self.dimensions()?;
                self.expect(";")?;
                Ok(Member {
                    name,
                    kind: Kind::Named(ty),
                    count: Self::count(&dims),
                })
            }
            "DECLARE_FLEX_ARRAY" => {
                self.expect("(")?;
                self.next();
                let ty = short(&self.next());
                self.expect(",")?;
                let name = self.next();
                self.expect(")")?;
                self.expect(";")?;
                Ok(Member {
                    name,
                    kind: Kind::Named(ty),
                    count: Count::Flexible,
                })
            }
            other => Err(format!("no member starts with '{other}'")),
        }
    }

    fn body(&mut self, union: bool) -> Result<Type, String> {
        self.expect("{")?;
        let mut members = Vec::new();
        while self.peek(0) != "}" {
            members.push(self.member()?);
        }
        self.expect("}")?;
        Ok(Type { union, members })
    }
}

/// Reads every top-level `struct` or `union` named `mlx5_ifc_*`.
pub fn parse(text: &str, consts: &Consts) -> Result<Types, String> {
    let mut p = Parser {
        tokens: tokens(text),
        at: 0,
        consts,
    };
    let mut types = Types::new();
    while p.at < p.tokens.len() {
        let is_type = matches!(p.peek(0), "struct" | "union")
            && p.peek(1).starts_with("mlx5_ifc_")
            && p.peek(2) == "{";
        if is_type {
            let union = p.next() == "union";
            let name = short(&p.next());
            let ty = p.body(union).map_err(|e| format!("{name}: {e}"))?;
            types.insert(name, ty);
        } else {
            p.next();
        }
    }
    Ok(types)
}

/// Size in bits; a flexible array has none.
pub fn size(types: &Types, ty: &Type) -> usize {
    let sizes = ty.members.iter().map(|m| match m.count {
        Count::One => kind_size(types, &m.kind),
        Count::Array(n) => n * kind_size(types, &m.kind),
        Count::Flexible => 0,
    });
    if ty.union {
        sizes.max().unwrap_or(0)
    } else {
        sizes.sum()
    }
}

/// Size in bits of one element.
pub fn kind_size(types: &Types, kind: &Kind) -> usize {
    match kind {
        Kind::Bits(n) => *n,
        Kind::Named(name) => types.get(name).map_or(0, |t| size(types, t)),
        Kind::Inline(t) => size(types, t),
    }
}
