// SPDX-License-Identifier: GPL-2.0

//! The objects of flow steering, and finding the entry that a packet matches.

use super::modify::Program;
use super::params::{SETS, WORDS};
use crate::packet::Packet;
use crate::table::Table;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Table types, as the driver numbers them (fs_core.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Domain {
    NicRx,
    EgressAcl,
    IngressAcl,
    Fdb,
}

impl Domain {
    pub fn from_ifc(v: u64) -> Option<Self> {
        match v {
            0 => Some(Self::NicRx),
            2 => Some(Self::EgressAcl),
            3 => Some(Self::IngressAcl),
            4 => Some(Self::Fdb),
            _ => None,
        }
    }
}

/// What a table does with a packet that no entry matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Miss {
    /// What the domain does when there is no table.
    Default,
    Table(u32),
    /// On to the domain's switch default (`SWITCH_DOMAIN`).
    Switch,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dest {
    Vport(u16),
    Uplink,
    Table(u32),
    Tir(u32),
}

/// A flow table entry.
#[derive(Debug, Clone)]
pub struct Entry {
    pub group: u32,
    pub value: [u32; WORDS],
    pub action: u64,
    pub flow_tag: u32,
    /// 0: any; 1: only from the uplink; 2: only from a local vport.
    pub flow_source: u8,
    pub dests: Vec<Dest>,
    pub counters: Vec<u32>,
    pub modify: Option<u32>,
    pub reformat: Option<u32>,
    /// Ethertype and tag control of up to two tags to push.
    pub push: [(u16, u16); 2],
}

/// A range of entries that share a mask.
#[derive(Debug)]
pub struct Group {
    pub id: u32,
    pub start: u32,
    pub end: u32,
    pub enable: u8,
    pub mask: [u32; WORDS],
    /// The words of the mask that are not zero.
    words: Vec<(usize, u32)>,
    by_key: HashMap<Vec<u32>, BTreeSet<u32>>,
}

impl Group {
    pub fn new(id: u32, start: u32, end: u32, enable: u8, mask: [u32; WORDS]) -> Self {
        let words = mask
            .iter()
            .copied()
            .enumerate()
            .filter(|(_, m)| *m != 0)
            .collect();
        Self {
            id,
            start,
            end,
            enable,
            mask,
            words,
            by_key: HashMap::new(),
        }
    }

    fn key(&self, p: &[u32; WORDS]) -> Vec<u32> {
        self.words
            .iter()
            .map(|(i, m)| p.get(*i).copied().unwrap_or(0) & m)
            .collect()
    }

    /// Words that are in use although their set is not enabled.
    pub fn outside(&self, v: &[u32; WORDS]) -> bool {
        SETS.iter()
            .enumerate()
            .filter(|(n, _)| self.enable & (1 << n) == 0)
            .any(|(_, s)| v.iter().skip(s.at / 32).take(s.bits / 32).any(|w| *w != 0))
    }
}

#[derive(Debug)]
pub struct FlowTable {
    pub domain: Domain,
    pub vport: u16,
    pub level: u8,
    pub log_size: u8,
    pub miss: Miss,
    pub termination: bool,
    pub decap: bool,
    pub encap: bool,
    pub groups: BTreeMap<u32, Group>,
    /// By flow index.
    pub entries: BTreeMap<u32, Entry>,
    next_group: u32,
}

impl FlowTable {
    pub fn new(domain: Domain, vport: u16, level: u8, log_size: u8, miss: Miss) -> Self {
        Self {
            domain,
            vport,
            level,
            log_size,
            miss,
            termination: false,
            decap: false,
            encap: false,
            groups: BTreeMap::new(),
            entries: BTreeMap::new(),
            next_group: 1,
        }
    }

    pub fn new_group_id(&mut self) -> u32 {
        let id = self.next_group;
        self.next_group += 1;
        id
    }

    pub fn group(&self, id: u32) -> Option<&Group> {
        self.groups.values().find(|g| g.id == id)
    }

    /// Stores an entry, in place of one with the same index.
    pub fn insert(&mut self, index: u32, e: Entry) {
        self.remove(index);
        if let Some(g) = self.groups.values_mut().find(|g| g.id == e.group) {
            let key = g.key(&e.value);
            g.by_key.entry(key).or_default().insert(index);
        }
        self.entries.insert(index, e);
    }

    pub fn remove(&mut self, index: u32) -> Option<Entry> {
        let e = self.entries.remove(&index)?;
        if let Some(g) = self.groups.values_mut().find(|g| g.id == e.group) {
            let key = g.key(&e.value);
            if let Some(set) = g.by_key.get_mut(&key) {
                set.remove(&index);
                if set.is_empty() {
                    g.by_key.remove(&key);
                }
            }
        }
        Some(e)
    }

    /// The entry with the lowest index that matches.
    pub fn lookup(&self, params: &[u32; WORDS], from_uplink: bool) -> Option<(u32, &Entry)> {
        // Groups are in the order of their ranges, which do not overlap.
        for g in self.groups.values() {
            let Some(set) = g.by_key.get(&g.key(params)) else {
                continue;
            };
            for i in set {
                let Some(e) = self.entries.get(i) else {
                    continue;
                };
                let right_side = match e.flow_source {
                    1 => from_uplink,
                    2 => !from_uplink,
                    _ => true,
                };
                if right_side {
                    return Some((*i, e));
                }
            }
        }
        None
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counter {
    pub packets: u64,
    pub bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReformatKind {
    L2ToVxlan,
    L2ToL2Tunnel,
}

#[derive(Debug, Clone)]
pub struct Reformat {
    pub kind: ReformatKind,
    pub header: Vec<u8>,
}

/// What refers to what, so that nothing in use can be destroyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ref {
    Table(u32),
    Counter(u32),
    Modify(u32),
    Reformat(u32),
    Tir(u32),
    Vport(u16),
}

/// All of flow steering.
#[derive(Debug)]
pub struct Flow {
    pub tables: Table<FlowTable>,
    pub counters: Table<Counter>,
    pub modifies: Table<Program>,
    pub reformats: Table<Reformat>,
    /// The first table by domain and vport.
    pub roots: BTreeMap<(Domain, u16), u32>,
    /// On request: no more entries than these, of all tables.
    pub room: Option<usize>,
    refs: HashMap<Ref, u32>,
}

impl Default for Flow {
    fn default() -> Self {
        Self {
            tables: Table::new("flow table", 1, 0xff_ffff),
            counters: Table::new("flow counter", 1, 0x00ff_ffff),
            modifies: Table::new("modify header", 1, 0xffff),
            reformats: Table::new("packet reformat", 1, 0xffff),
            roots: BTreeMap::new(),
            room: None,
            refs: HashMap::new(),
        }
    }
}

/// Everything an entry refers to.
fn refs_of(e: &Entry) -> Vec<Ref> {
    let dests = e.dests.iter().filter_map(|d| match d {
        Dest::Table(t) => Some(Ref::Table(*t)),
        Dest::Tir(t) => Some(Ref::Tir(*t)),
        Dest::Vport(v) => Some(Ref::Vport(*v)),
        Dest::Uplink => None,
    });
    dests
        .chain(e.counters.iter().map(|c| Ref::Counter(*c)))
        .chain(e.modify.map(Ref::Modify))
        .chain(e.reformat.map(Ref::Reformat))
        .collect()
}

impl Flow {
    pub fn hold(&mut self, r: Ref) {
        *self.refs.entry(r).or_insert(0) += 1;
    }

    pub fn release(&mut self, r: Ref) {
        if let Some(n) = self.refs.get_mut(&r) {
            *n -= 1;
            if *n == 0 {
                self.refs.remove(&r);
            }
        }
    }

    pub fn uses(&self, r: Ref) -> u32 {
        self.refs.get(&r).copied().unwrap_or(0)
    }

    pub fn insert_entry(&mut self, table: u32, index: u32, e: Entry) {
        self.remove_entry(table, index);
        for r in refs_of(&e) {
            self.hold(r);
        }
        if let Some(t) = self.tables.get_mut(table) {
            t.insert(index, e);
        }
    }

    pub fn remove_entry(&mut self, table: u32, index: u32) -> Option<Entry> {
        let e = self.tables.get_mut(table)?.remove(index)?;
        for r in refs_of(&e) {
            self.release(r);
        }
        Some(e)
    }

    pub fn count(&mut self, id: u32, p: &Packet) {
        if let Some(c) = self.counters.get_mut(id) {
            c.packets += 1;
            c.bytes += p.data.len() as u64;
        }
    }

    /// Entries of all tables.
    pub fn entry_count(&self) -> usize {
        self.tables.iter().map(|(_, t)| t.entries.len()).sum()
    }
}
