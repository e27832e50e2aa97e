// SPDX-License-Identifier: GPL-2.0

//! Flow steering commands, with the checks that a device makes.

use super::{refusal, refuse, Done, Refuse};
use crate::bits::{set, View, F};
use crate::device::{Device, UPLINK};
use crate::ifc::*;
use crate::steer::fields;
use crate::steer::modify::{self, Program};
use crate::steer::params::{words, BYTES};
use crate::steer::tables::{
    Counter, Dest, Domain, Entry, FlowTable, Group, Miss, Ref, Reformat, ReformatKind,
};
use crate::{caps, decode};

pub fn run(dev: &mut Device, op: u64, i: View<'_>, out: &mut [u8]) -> Option<Done> {
    Some(match op {
        MLX5_CMD_OP_CREATE_FLOW_TABLE => create_table(dev, i, out),
        MLX5_CMD_OP_DESTROY_FLOW_TABLE => destroy_table(dev, i),
        MLX5_CMD_OP_MODIFY_FLOW_TABLE => modify_table(dev, i),
        MLX5_CMD_OP_SET_FLOW_TABLE_ROOT => set_root(dev, i),
        MLX5_CMD_OP_CREATE_FLOW_GROUP => create_group(dev, i, out),
        MLX5_CMD_OP_DESTROY_FLOW_GROUP => destroy_group(dev, i),
        MLX5_CMD_OP_SET_FLOW_TABLE_ENTRY => set_entry(dev, i),
        MLX5_CMD_OP_DELETE_FLOW_TABLE_ENTRY => delete_entry(dev, i),
        MLX5_CMD_OP_ALLOC_FLOW_COUNTER => alloc_counter(dev, i, out),
        MLX5_CMD_OP_DEALLOC_FLOW_COUNTER => dealloc_counter(dev, i),
        MLX5_CMD_OP_QUERY_FLOW_COUNTER => query_counter(dev, i, out),
        MLX5_CMD_OP_ALLOC_MODIFY_HEADER_CONTEXT => alloc_modify(dev, i, out),
        MLX5_CMD_OP_DEALLOC_MODIFY_HEADER_CONTEXT => dealloc_modify(dev, i),
        MLX5_CMD_OP_ALLOC_PACKET_REFORMAT_CONTEXT => alloc_reformat(dev, i, out),
        MLX5_CMD_OP_DEALLOC_PACKET_REFORMAT_CONTEXT => dealloc_reformat(dev, i),
        _ => return None,
    })
}

fn domain(dev: &Device, v: u64) -> Result<Domain, Refuse> {
    let d = Domain::from_ifc(v)
        .ok_or_else(|| refusal!(BAD_PARAM, "table type {v:#x} is not supported"))?;
    let allowed = match d {
        Domain::NicRx => true,
        Domain::Fdb => dev.cfg.vfs > 0,
        Domain::IngressAcl | Domain::EgressAcl => dev.cfg.metadata,
    };
    if !allowed {
        refuse!(BAD_PARAM, "{d:?} tables are not supported");
    }
    Ok(d)
}

/// The domain, table id and vport of a command on a table. All commands have
/// the vport and the table type at the same place.
fn addressed(dev: &Device, i: View<'_>, id: F) -> Result<u32, Refuse> {
    let d = domain(dev, i.get(set_fte_in::TABLE_TYPE))?;
    let id = i.u32(id);
    let Some(t) = dev.flow.tables.get(id) else {
        refuse!(BAD_RES, "flow table {id:#x} does not exist");
    };
    if t.domain != d {
        refuse!(
            BAD_PARAM,
            "flow table {id:#x} is of {:?}, not {d:?}",
            t.domain
        );
    }
    if t.vport != vport(i) {
        refuse!(BAD_PARAM, "flow table {id:#x} is of vport {:#x}", t.vport);
    }
    Ok(id)
}

fn vport(i: View<'_>) -> u16 {
    if i.bool(set_fte_in::OTHER_VPORT) {
        i.u32(set_fte_in::VPORT_NUMBER) as u16
    } else {
        0
    }
}

fn miss(dev: &Device, c: View<'_>, domain: Domain) -> Result<Miss, Refuse> {
    match c.get(flow_table_context::TABLE_MISS_ACTION) {
        MLX5_FLOW_TABLE_MISS_ACTION_DEF => Ok(Miss::Default),
        MLX5_FLOW_TABLE_MISS_ACTION_FWD => {
            let id = c.u32(flow_table_context::TABLE_MISS_ID);
            let Some(t) = dev.flow.tables.get(id) else {
                refuse!(BAD_RES, "miss table {id:#x} does not exist");
            };
            if t.domain != domain {
                refuse!(BAD_PARAM, "miss table {id:#x} is of {:?}", t.domain);
            }
            Ok(Miss::Table(id))
        }
        MLX5_FLOW_TABLE_MISS_ACTION_SWITCH_DOMAIN => {
            refuse!(BAD_PARAM, "switching domains is not supported")
        }
        other => refuse!(BAD_PARAM, "miss action {other}"),
    }
}

fn hold_miss(dev: &mut Device, m: Miss) {
    if let Miss::Table(t) = m {
        dev.flow.hold(Ref::Table(t));
    }
}

fn release_miss(dev: &mut Device, m: Miss) {
    if let Miss::Table(t) = m {
        dev.flow.release(Ref::Table(t));
    }
}

fn create_table(dev: &mut Device, i: View<'_>, out: &mut [u8]) -> Done {
    let c = i.nested(create_flow_table_in::FLOW_TABLE_CONTEXT);
    let d = domain(dev, i.get(create_flow_table_in::TABLE_TYPE))?;
    if i.get(create_flow_table_in::OP_MOD) != 0 || c.bool(flow_table_context::SW_OWNER) {
        refuse!(
            BAD_PARAM,
            "link aggregation and software-owned tables are not supported"
        );
    }
    let (level, log_size) = (
        c.get(flow_table_context::LEVEL),
        c.get(flow_table_context::LOG_SIZE),
    );
    if level > caps::MAX_LEVEL || log_size > caps::LOG_MAX_FT_SIZE {
        refuse!(BAD_PARAM, "level {level}, 2^{log_size} entries");
    }
    let v = vport(i);
    if !dev.vports.contains_key(&v) {
        refuse!(BAD_PARAM, "vport {v:#x} does not exist");
    }
    let miss = miss(dev, c, d)?;
    let mut t = FlowTable::new(d, v, level as u8, log_size as u8, miss);
    t.termination = c.bool(flow_table_context::TERMINATION_TABLE);
    t.decap = c.bool(flow_table_context::DECAP_EN);
    t.encap = c.bool(flow_table_context::REFORMAT_EN);
    if t.termination && !(dev.cfg.termination && d == Domain::Fdb) {
        refuse!(BAD_PARAM, "termination tables are not supported");
    }
    if (t.decap || t.encap) && !(dev.cfg.vxlan && d == Domain::Fdb) {
        refuse!(BAD_PARAM, "tunnels are not supported");
    }
    let Some(id) = dev.flow.tables.insert(t) else {
        refuse!(NO_RES, "no flow table left");
    };
    hold_miss(dev, miss);
    set(out, create_flow_table_out::TABLE_ID, u64::from(id));
    Ok(())
}

fn destroy_table(dev: &mut Device, i: View<'_>) -> Done {
    let id = addressed(dev, i, destroy_flow_table_in::TABLE_ID)?;
    let uses = dev.flow.uses(Ref::Table(id));
    let Some(t) = dev.flow.tables.get(id) else {
        return Ok(());
    };
    if uses != 0 || !t.entries.is_empty() || !t.groups.is_empty() {
        refuse!(
            RES_BUSY,
            "flow table {id:#x}: {} groups, {} entries, {uses} references",
            t.groups.len(),
            t.entries.len()
        );
    }
    let miss = t.miss;
    dev.flow.tables.remove(id);
    release_miss(dev, miss);
    dev.flow.roots.retain(|_, root| *root != id);
    Ok(())
}

fn modify_table(dev: &mut Device, i: View<'_>) -> Done {
    let id = addressed(dev, i, modify_flow_table_in::TABLE_ID)?;
    let select = i.get(modify_flow_table_in::MODIFY_FIELD_SELECT);
    if select != 1 {
        refuse!(BAD_PARAM, "change of {select:#x} is not supported");
    }
    let c = i.nested(modify_flow_table_in::FLOW_TABLE_CONTEXT);
    let Some(d) = dev.flow.tables.get(id).map(|t| t.domain) else {
        return Ok(());
    };
    let new = miss(dev, c, d)?;
    hold_miss(dev, new);
    let old = dev
        .flow
        .tables
        .get_mut(id)
        .map(|t| std::mem::replace(&mut t.miss, new));
    release_miss(dev, old.unwrap_or(Miss::Default));
    Ok(())
}

fn set_root(dev: &mut Device, i: View<'_>) -> Done {
    use set_flow_table_root_in as s;
    let d = domain(dev, i.get(s::TABLE_TYPE))?;
    let v = vport(i);
    match i.get(s::OP_MOD) {
        0 => {
            let id = i.u32(s::TABLE_ID);
            let Some(t) = dev.flow.tables.get(id) else {
                refuse!(BAD_RES, "flow table {id:#x} does not exist");
            };
            if t.domain != d {
                refuse!(
                    BAD_PARAM,
                    "flow table {id:#x} is of {:?}, not {d:?}",
                    t.domain
                );
            }
            dev.flow.roots.insert((d, v), id);
        }
        1 => {
            dev.flow.roots.remove(&(d, v));
        }
        other => refuse!(BAD_PARAM, "op_mod {other}"),
    }
    Ok(())
}

fn create_group(dev: &mut Device, i: View<'_>, out: &mut [u8]) -> Done {
    use create_flow_group_in as g;
    let id = addressed(dev, i, g::TABLE_ID)?;
    if i.get(g::GROUP_TYPE) != 0 {
        refuse!(BAD_PARAM, "group type {}", i.get(g::GROUP_TYPE));
    }
    let (start, end) = (i.u32(g::START_FLOW_INDEX), i.u32(g::END_FLOW_INDEX));
    let enable = i.get(g::MATCH_CRITERIA_ENABLE) as u8;
    let mask = words(i.nested(g::MATCH_CRITERIA).0);
    let Some(t) = dev.flow.tables.get_mut(id) else {
        return Ok(());
    };
    if start > end || u64::from(end) >> t.log_size != 0 {
        refuse!(BAD_PARAM, "entries {start}-{end} of 2^{}", t.log_size);
    }
    if t.groups.values().any(|o| o.start <= end && start <= o.end) {
        refuse!(BAD_PARAM, "entries {start}-{end} overlap another group");
    }
    let extra = fields::not_offered(&mask);
    if extra.iter().any(|b| *b != 0) {
        refuse!(
            BAD_PARAM,
            "match on{}, which is not offered",
            decode::structure("fte_match_param", &extra)
        );
    }
    // Sets 5 to 7 are flexible parsers and tunnel headers that are not there.
    if enable & 0xe0 != 0 {
        refuse!(BAD_PARAM, "match criteria {enable:#x} are not supported");
    }
    let gid = t.new_group_id();
    let group = Group::new(gid, start, end, enable, mask);
    if group.outside(&mask) {
        refuse!(BAD_PARAM, "mask outside the enabled criteria {enable:#x}");
    }
    t.groups.insert(start, group);
    set(out, create_flow_group_out::GROUP_ID, u64::from(gid));
    Ok(())
}

fn destroy_group(dev: &mut Device, i: View<'_>) -> Done {
    let id = addressed(dev, i, destroy_flow_group_in::TABLE_ID)?;
    let gid = i.u32(destroy_flow_group_in::GROUP_ID);
    let Some(t) = dev.flow.tables.get_mut(id) else {
        return Ok(());
    };
    let Some(start) = t.group(gid).map(|g| g.start) else {
        refuse!(BAD_RES, "flow group {gid} of table {id:#x} does not exist");
    };
    if t.entries.values().any(|e| e.group == gid) {
        refuse!(RES_BUSY, "flow group {gid} of table {id:#x} has entries");
    }
    t.groups.remove(&start);
    Ok(())
}

/// The actions that a domain advertises.
fn allowed_actions(dev: &Device, d: Domain) -> u64 {
    let basic = MLX5_FLOW_CONTEXT_ACTION_ALLOW
        | MLX5_FLOW_CONTEXT_ACTION_DROP
        | MLX5_FLOW_CONTEXT_ACTION_FWD_DEST
        | MLX5_FLOW_CONTEXT_ACTION_COUNT;
    let vlan = MLX5_FLOW_CONTEXT_ACTION_VLAN_POP
        | MLX5_FLOW_CONTEXT_ACTION_VLAN_PUSH
        | MLX5_FLOW_CONTEXT_ACTION_VLAN_POP_2
        | MLX5_FLOW_CONTEXT_ACTION_VLAN_PUSH_2;
    let tunnel = MLX5_FLOW_CONTEXT_ACTION_PACKET_REFORMAT | MLX5_FLOW_CONTEXT_ACTION_DECAP;
    match d {
        Domain::Fdb => {
            basic | vlan | MLX5_FLOW_CONTEXT_ACTION_MOD_HDR | if dev.cfg.vxlan { tunnel } else { 0 }
        }
        _ => basic | MLX5_FLOW_CONTEXT_ACTION_MOD_HDR,
    }
}

fn destination(
    dev: &Device,
    t: &FlowTable,
    d: View<'_>,
    ignore_level: bool,
) -> Result<Dest, Refuse> {
    let id = d.u32(dest_format_struct::DESTINATION_ID);
    if d.bool(dest_format_struct::DESTINATION_ESWITCH_OWNER_VHCA_ID_VALID) {
        let owner = d.get(dest_format_struct::DESTINATION_ESWITCH_OWNER_VHCA_ID);
        if owner != u64::from(dev.vhca_id()) {
            refuse!(BAD_PARAM, "destination on the switch of {owner:#x}");
        }
    }
    if d.bool(dest_format_struct::PACKET_REFORMAT) {
        refuse!(BAD_PARAM, "a tunnel for each destination is not supported");
    }
    match (d.get(dest_format_struct::DESTINATION_TYPE), t.domain) {
        (MLX5_IFC_FLOW_DESTINATION_TYPE_VPORT, Domain::Fdb) => {
            let v = id as u16;
            if !dev.vports.contains_key(&v) {
                refuse!(BAD_RES, "vport {v:#x} does not exist");
            }
            Ok(if v == UPLINK {
                Dest::Uplink
            } else {
                Dest::Vport(v)
            })
        }
        (MLX5_IFC_FLOW_DESTINATION_TYPE_UPLINK, Domain::Fdb) if t.termination => Ok(Dest::Uplink),
        (MLX5_IFC_FLOW_DESTINATION_TYPE_FLOW_TABLE, _) => {
            let Some(next) = dev.flow.tables.get(id) else {
                refuse!(BAD_RES, "destination table {id:#x} does not exist");
            };
            if next.domain != t.domain {
                refuse!(
                    BAD_PARAM,
                    "destination table {id:#x} is of {:?}",
                    next.domain
                );
            }
            if next.level <= t.level && !ignore_level {
                refuse!(
                    BAD_PARAM,
                    "jump from level {} to level {}",
                    t.level,
                    next.level
                );
            }
            Ok(Dest::Table(id))
        }
        (MLX5_IFC_FLOW_DESTINATION_TYPE_TIR, Domain::NicRx) => {
            if !dev.res.tirs.contains(id) {
                refuse!(BAD_RES, "destination TIR {id:#x} does not exist");
            }
            Ok(Dest::Tir(id))
        }
        (other, d) => refuse!(BAD_PARAM, "destination type {other:#x} in a {d:?} table"),
    }
}

fn vlan(c: View<'_>, at: crate::bits::S) -> (u16, u16) {
    let v = c.nested(at);
    let tci = (v.get(vlan::PRIO) << 13) | (v.get(vlan::CFI) << 12) | v.get(vlan::VID);
    (v.get(vlan::ETHTYPE) as u16, tci as u16)
}

/// Checks an entry's actions and makes it; `parts` says which parts of an
/// existing entry are replaced.
fn entry_from(dev: &Device, t: &FlowTable, i: View<'_>) -> Result<Entry, Refuse> {
    use flow_context as fc;
    let c = i.nested(set_fte_in::FLOW_CONTEXT);
    let action = c.get(fc::ACTION);
    let extra = action & !allowed_actions(dev, t.domain);
    if extra != 0 {
        refuse!(
            BAD_PARAM,
            "actions {extra:#x} are not supported in {:?} tables",
            t.domain
        );
    }
    let ends = [
        MLX5_FLOW_CONTEXT_ACTION_ALLOW,
        MLX5_FLOW_CONTEXT_ACTION_DROP,
        MLX5_FLOW_CONTEXT_ACTION_FWD_DEST,
    ];
    if ends.iter().filter(|b| action & **b != 0).count() != 1 {
        refuse!(
            BAD_PARAM,
            "actions {action:#x}: exactly one of allow, drop and forward is needed"
        );
    }
    let ignore = i.bool(set_fte_in::IGNORE_FLOW_LEVEL);
    if ignore && t.domain != Domain::NicRx && !dev.cfg.metadata {
        refuse!(BAD_PARAM, "ignore_flow_level is not supported");
    }
    if c.bool(fc::EXTENDED_DESTINATION) {
        refuse!(BAD_PARAM, "extended destinations are not supported");
    }
    let (n, counters) = (
        c.get(fc::DESTINATION_LIST_SIZE) as usize,
        c.get(fc::FLOW_COUNTER_LIST_SIZE) as usize,
    );
    if n > 64 || counters > 16 {
        refuse!(BAD_PARAM, "{n} destinations and {counters} counters");
    }
    let list = i.rest(set_fte_in::FLOW_CONTEXT.at + fc::DESTINATION.at);
    if list.0.len() < (n + counters) * 8 {
        refuse!(
            BAD_INP_LEN,
            "{n} destinations and {counters} counters in {} bytes",
            list.0.len()
        );
    }
    let forward = action & MLX5_FLOW_CONTEXT_ACTION_FWD_DEST != 0;
    if forward != (n > 0) || (action & MLX5_FLOW_CONTEXT_ACTION_COUNT != 0) != (counters > 0) {
        refuse!(
            BAD_PARAM,
            "actions {action:#x} with {n} destinations and {counters} counters"
        );
    }
    let mut e = Entry {
        group: c.u32(fc::GROUP_ID),
        value: words(c.nested(fc::MATCH_VALUE).0.get(..BYTES).unwrap_or_default()),
        action,
        flow_tag: c.u32(fc::FLOW_TAG),
        flow_source: c.get(fc::FLOW_SOURCE) as u8,
        dests: Vec::new(),
        counters: Vec::new(),
        modify: None,
        reformat: None,
        push: [vlan(c, fc::PUSH_VLAN), vlan(c, fc::PUSH_VLAN_2)],
    };
    for k in 0..n {
        e.dests
            .push(destination(dev, t, list.rest(k * 64), ignore)?);
    }
    for k in n..n + counters {
        let id = list.rest(k * 64).u32(flow_counter_list::FLOW_COUNTER_ID);
        if !dev.flow.counters.contains(id) {
            refuse!(BAD_RES, "flow counter {id:#x} does not exist");
        }
        e.counters.push(id);
    }
    if action & MLX5_FLOW_CONTEXT_ACTION_MOD_HDR != 0 {
        let id = c.u32(fc::MODIFY_HEADER_ID);
        if !dev.flow.modifies.contains(id) {
            refuse!(BAD_RES, "modify header {id:#x} does not exist");
        }
        e.modify = Some(id);
    }
    if action & MLX5_FLOW_CONTEXT_ACTION_PACKET_REFORMAT != 0 {
        let id = c.u32(fc::PACKET_REFORMAT_ID);
        if !dev.flow.reformats.contains(id) {
            refuse!(BAD_RES, "packet reformat {id:#x} does not exist");
        }
        if !t.encap {
            refuse!(BAD_PARAM, "the table was made without encapsulation");
        }
        e.reformat = Some(id);
    }
    if action & MLX5_FLOW_CONTEXT_ACTION_DECAP != 0 && !t.decap {
        refuse!(BAD_PARAM, "the table was made without decapsulation");
    }
    if t.termination && e.dests.iter().any(|d| matches!(d, Dest::Table(_))) {
        refuse!(BAD_PARAM, "a termination table cannot forward to a table");
    }
    Ok(e)
}

fn set_entry(dev: &mut Device, i: View<'_>) -> Done {
    let id = addressed(dev, i, set_fte_in::TABLE_ID)?;
    let index = i.u32(set_fte_in::FLOW_INDEX);
    let Some(t) = dev.flow.tables.get(id) else {
        return Ok(());
    };
    let mut e = entry_from(dev, t, i)?;
    let Some(g) = t.group(e.group) else {
        refuse!(
            BAD_RES,
            "flow group {} of table {id:#x} does not exist",
            e.group
        );
    };
    if !(g.start..=g.end).contains(&index) {
        refuse!(
            BAD_PARAM,
            "entry {index} is outside group {} ({}-{})",
            e.group,
            g.start,
            g.end
        );
    }
    if e.value.iter().zip(&g.mask).any(|(v, m)| v & !m != 0) {
        refuse!(BAD_PARAM, "value outside the group's mask");
    }
    let old = t.entries.get(&index);
    match (i.get(set_fte_in::OP_MOD), old) {
        (0, None) => {
            if dev.flow.room.is_some_and(|n| dev.flow.entry_count() >= n) {
                // Not NO_RES, after which the driver tries again for ever.
                refuse!(LIM, "no room for entry {index} of table {id:#x}");
            }
        }
        (0, Some(_)) => refuse!(BAD_PARAM, "entry {index} of table {id:#x} exists"),
        (1, None) => refuse!(BAD_RES, "entry {index} of table {id:#x} does not exist"),
        (1, Some(old)) => {
            // Bits: action, flow tag, destinations, counters.
            let m = i.get(set_fte_in::MODIFY_ENABLE_MASK);
            if old.value != e.value || old.group != e.group {
                refuse!(BAD_PARAM, "a change of entry {index} changes its match");
            }
            if m & 1 == 0 {
                e.action = old.action;
                (e.modify, e.reformat, e.push) = (old.modify, old.reformat, old.push);
            }
            if m & 2 == 0 {
                e.flow_tag = old.flow_tag;
            }
            if m & 4 == 0 {
                e.dests = old.dests.clone();
            }
            if m & 8 == 0 {
                e.counters = old.counters.clone();
            }
        }
        (other, _) => refuse!(BAD_PARAM, "op_mod {other}"),
    }
    dev.flow.insert_entry(id, index, e);
    Ok(())
}

fn delete_entry(dev: &mut Device, i: View<'_>) -> Done {
    let id = addressed(dev, i, delete_fte_in::TABLE_ID)?;
    let index = i.u32(delete_fte_in::FLOW_INDEX);
    if dev.flow.remove_entry(id, index).is_none() {
        refuse!(BAD_RES, "entry {index} of table {id:#x} does not exist");
    }
    Ok(())
}

fn alloc_counter(dev: &mut Device, i: View<'_>, out: &mut [u8]) -> Done {
    let bulk = i.get(alloc_flow_counter_in::FLOW_COUNTER_BULK);
    // A bit for each size from 128 up.
    let n = match bulk {
        0 => 1,
        1 => 128,
        _ => refuse!(BAD_PARAM, "bulk of counters {bulk:#x}"),
    };
    let first = if n == 1 {
        dev.flow.counters.insert(Counter::default())
    } else {
        dev.flow.counters.insert_run(n, |_| Counter::default())
    };
    let Some(id) = first else {
        refuse!(NO_RES, "no flow counters left");
    };
    dev.bulks.insert(id, n);
    set(out, alloc_flow_counter_out::FLOW_COUNTER_ID, u64::from(id));
    Ok(())
}

fn dealloc_counter(dev: &mut Device, i: View<'_>) -> Done {
    let id = i.u32(dealloc_flow_counter_in::FLOW_COUNTER_ID);
    let Some(n) = dev.bulks.get(&id).copied() else {
        refuse!(BAD_RES, "flow counter {id:#x} was not allocated");
    };
    if let Some(busy) = (id..id + n).find(|c| dev.flow.uses(Ref::Counter(*c)) != 0) {
        refuse!(RES_BUSY, "flow counter {busy:#x} is in use");
    }
    dev.bulks.remove(&id);
    for c in id..id + n {
        dev.flow.counters.remove(c);
    }
    Ok(())
}

fn query_counter(dev: &mut Device, i: View<'_>, out: &mut [u8]) -> Done {
    use query_flow_counter_in as q;
    let first = i.u32(q::FLOW_COUNTER_ID);
    let n = (i.u32(q::NUM_OF_COUNTERS)).max(1);
    let clear = i.bool(q::CLEAR);
    // The driver queries ranges that begin and end at multiples of four, without a
    // lock: all counters of one may have gone since it chose it.
    if n > 0x1_0000 || n == 1 && !dev.flow.counters.contains(first) {
        refuse!(BAD_RES, "no flow counter {first:#x}, or too many: {n}");
    }
    for k in 0..n {
        let at = query_flow_counter_out::FLOW_STATISTICS.s(k as usize);
        if let Some(c) = dev.flow.counters.get_mut(first.wrapping_add(k)) {
            set(out, at.field(traffic_counter::PACKETS), c.packets);
            set(out, at.field(traffic_counter::OCTETS), c.bytes);
            if clear {
                *c = Counter::default();
            }
        }
    }
    Ok(())
}

fn alloc_modify(dev: &mut Device, i: View<'_>, out: &mut [u8]) -> Done {
    use alloc_modify_header_context_in as a;
    domain(dev, i.get(a::TABLE_TYPE))?;
    let n = i.get(a::NUM_OF_ACTIONS);
    if n == 0 || n > caps::MAX_MODIFY_ACTIONS {
        refuse!(BAD_PARAM, "{n} actions");
    }
    let mut program = Program::default();
    for k in 0..n as usize {
        let action = i.nested(a::ACTIONS.s(k));
        if action.0.len() < 8 {
            refuse!(BAD_INP_LEN, "{n} actions in {} bytes", i.0.len());
        }
        match modify::parse(action) {
            Ok(step) => program.steps.push(step),
            Err(why) => refuse!(BAD_PARAM, "{why}"),
        }
    }
    let Some(id) = dev.flow.modifies.insert(program) else {
        refuse!(NO_RES, "no modify header left");
    };
    set(
        out,
        alloc_modify_header_context_out::MODIFY_HEADER_ID,
        u64::from(id),
    );
    Ok(())
}

fn dealloc_modify(dev: &mut Device, i: View<'_>) -> Done {
    let id = i.u32(dealloc_modify_header_context_in::MODIFY_HEADER_ID);
    if dev.flow.uses(Ref::Modify(id)) != 0 {
        refuse!(RES_BUSY, "modify header {id:#x} is in use");
    }
    match dev.flow.modifies.remove(id) {
        Some(_) => Ok(()),
        None => refuse!(BAD_RES, "modify header {id:#x} does not exist"),
    }
}

fn alloc_reformat(dev: &mut Device, i: View<'_>, out: &mut [u8]) -> Done {
    use packet_reformat_context_in as r;
    let at = alloc_packet_reformat_context_in::PACKET_REFORMAT_CONTEXT;
    let c = i.rest(at.at);
    if !dev.cfg.vxlan {
        refuse!(BAD_PARAM, "packet reformats are not supported");
    }
    let kind = match c.get(r::REFORMAT_TYPE) {
        MLX5_REFORMAT_TYPE_L2_TO_VXLAN => ReformatKind::L2ToVxlan,
        MLX5_REFORMAT_TYPE_L2_TO_L2_TUNNEL => ReformatKind::L2ToL2Tunnel,
        other => refuse!(BAD_PARAM, "packet reformat type {other:#x}"),
    };
    let size = c.get(r::REFORMAT_DATA_SIZE);
    if !(14..=caps::MAX_ENCAP).contains(&size) {
        refuse!(BAD_PARAM, "encapsulation of {size} bytes");
    }
    let Some(header) = c.rest(r::REFORMAT_DATA.at).0.get(..size as usize) else {
        refuse!(
            BAD_INP_LEN,
            "encapsulation of {size} bytes in {}",
            i.0.len()
        );
    };
    let Some(id) = dev.flow.reformats.insert(Reformat {
        kind,
        header: header.to_vec(),
    }) else {
        refuse!(NO_RES, "no packet reformat left");
    };
    set(
        out,
        alloc_packet_reformat_context_out::PACKET_REFORMAT_ID,
        u64::from(id),
    );
    Ok(())
}

fn dealloc_reformat(dev: &mut Device, i: View<'_>) -> Done {
    let id = i.u32(dealloc_packet_reformat_context_in::PACKET_REFORMAT_ID);
    if dev.flow.uses(Ref::Reformat(id)) != 0 {
        refuse!(RES_BUSY, "packet reformat {id:#x} is in use");
    }
    match dev.flow.reformats.remove(id) {
        Some(_) => Ok(()),
        None => refuse!(BAD_RES, "packet reformat {id:#x} does not exist"),
    }
}
