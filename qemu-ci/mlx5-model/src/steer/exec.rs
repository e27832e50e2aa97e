// SPDX-License-Identifier: GPL-2.0

//! Runs a packet through tables until it has reached all its targets.

use super::action::{decap, encap, pop_vlan, push_vlan};
use super::modify;
use super::params;
use super::tables::{Dest, Domain, Entry, Flow, Miss};
use crate::ifc::*;
use crate::log;
use crate::packet::Packet;
use std::collections::BTreeSet;

/// Tables that a packet can pass; a loop of rules ends here.
const MAX_HOPS: usize = 64;
/// Copies of one packet.
const MAX_COPIES: usize = 256;

/// Where a packet ends in one domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    Vport(u16),
    Uplink,
    Tir(u32),
    /// The domain has nothing more to say: its default applies.
    Default,
}

/// What the tables need to know beside themselves.
pub struct Context<'a> {
    pub vxlan_ports: &'a BTreeSet<u16>,
    pub vhca: u16,
    pub uplink: u16,
}

/// Applies an entry's actions in the device's order, and gives its
/// destinations. `None`: the packet is dropped.
fn apply(flow: &mut Flow, cx: &Context<'_>, e: &Entry, p: &mut Packet) -> Option<Vec<Dest>> {
    let has = |bit: u64| e.action & bit != 0;
    if has(MLX5_FLOW_CONTEXT_ACTION_COUNT) {
        for c in &e.counters {
            flow.count(*c, p);
        }
    }
    if has(MLX5_FLOW_CONTEXT_ACTION_DROP) {
        return None;
    }
    if has(MLX5_FLOW_CONTEXT_ACTION_DECAP) && !decap(p, cx.vxlan_ports) {
        log::warn(format_args!(
            "a packet without a tunnel met a decapsulation, dropped"
        ));
        return None;
    }
    if has(MLX5_FLOW_CONTEXT_ACTION_VLAN_POP) {
        pop_vlan(p);
    }
    if has(MLX5_FLOW_CONTEXT_ACTION_VLAN_POP_2) {
        pop_vlan(p);
    }
    if has(MLX5_FLOW_CONTEXT_ACTION_MOD_HDR) {
        if let Some(m) = e.modify.and_then(|m| flow.modifies.get(m)) {
            modify::run(m, p);
        }
    }
    let [first, second] = e.push;
    if has(MLX5_FLOW_CONTEXT_ACTION_VLAN_PUSH) {
        push_vlan(p, first.0, first.1);
    }
    if has(MLX5_FLOW_CONTEXT_ACTION_VLAN_PUSH_2) {
        push_vlan(p, second.0, second.1);
    }
    if has(MLX5_FLOW_CONTEXT_ACTION_PACKET_REFORMAT) {
        if let Some(r) = e.reformat.and_then(|r| flow.reformats.get(r)) {
            encap(p, r);
        }
    }
    // An entry without a tag leaves the one that an earlier entry gave.
    if e.flow_tag != 0 {
        p.flow_tag = e.flow_tag;
    }
    Some(e.dests.clone())
}

/// Runs `p` from the root of `domain` (of `vport`, for access lists). Without
/// a root the packet goes to the domain's default.
pub fn run(
    flow: &mut Flow,
    cx: &Context<'_>,
    domain: Domain,
    vport: u16,
    p: Packet,
) -> Vec<(Target, Packet)> {
    let Some(root) = flow.roots.get(&(domain, vport)).copied() else {
        return vec![(Target::Default, p)];
    };
    let mut out = Vec::new();
    let mut work = vec![(root, 0usize, p)];
    while let Some((table, hops, mut p)) = work.pop() {
        if hops > MAX_HOPS || out.len() + work.len() > MAX_COPIES {
            log::warn(format_args!(
                "a packet passed {hops} tables, dropped: the rules loop"
            ));
            continue;
        }
        let Some(t) = flow.tables.get(table) else {
            continue;
        };
        let key = params::of(&p, cx.vxlan_ports, cx.vhca);
        let Some((index, e)) = t.lookup(&key, p.source_port == cx.uplink) else {
            log::trace(format_args!("{domain:?} table {table:#x}: miss"));
            match t.miss {
                Miss::Table(next) => work.push((next, hops + 1, p)),
                Miss::Default | Miss::Switch => out.push((Target::Default, p)),
            }
            continue;
        };
        log::trace(format_args!(
            "{domain:?} table {table:#x}: entry {index:#x}, action {:#x} {:?}",
            e.action, e.dests
        ));
        let e = e.clone();
        let Some(dests) = apply(flow, cx, &e, &mut p) else {
            continue;
        };
        if e.action & MLX5_FLOW_CONTEXT_ACTION_ALLOW != 0 {
            out.push((Target::Default, p));
            continue;
        }
        for d in dests.into_iter().rev() {
            match d {
                Dest::Table(next) => work.push((next, hops + 1, p.clone())),
                Dest::Vport(v) => out.push((Target::Vport(v), p.clone())),
                Dest::Uplink => out.push((Target::Uplink, p.clone())),
                Dest::Tir(t) => out.push((Target::Tir(t), p.clone())),
            }
        }
    }
    out
}
