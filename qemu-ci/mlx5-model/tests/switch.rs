// SPDX-License-Identifier: GPL-2.0

//! The embedded switch through its commands: what it forwards and what it
//! refuses.

mod common;

use common::*;
use mlx5_model::bits::get;
use mlx5_model::device::Device;
use mlx5_model::ifc::*;
use mlx5_model::packet::ETH_VLAN;
use std::sync::Arc;

const VPORT: u64 = MLX5_IFC_FLOW_DESTINATION_TYPE_VPORT;
const TABLE: u64 = MLX5_IFC_FLOW_DESTINATION_TYPE_FLOW_TABLE;

fn lab() -> (Arc<Memory>, Device, u64, u64) {
    let m = Memory::new(1 << 20);
    let mut dev = device(&m);
    make_vports(&mut dev);
    let t = table(&mut dev, 1);
    root(&mut dev, t);
    let g = group(&mut dev, t);
    (m, dev, t, g)
}

fn frame() -> Vec<u8> {
    let mut f = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x88, 0xb5];
    f.resize(60, 7);
    f
}

fn received(dev: &Device, port: usize) -> u64 {
    dev.ports[port].received.packets
}

#[test]
fn forwards_counts_and_forgets() {
    let (_m, mut dev, t, g) = lab();
    let out = Cmd::new(MLX5_CMD_OP_ALLOC_FLOW_COUNTER, alloc_flow_counter_in::SIZE).ok(&mut dev);
    let counter = get(&out, alloc_flow_counter_out::FLOW_COUNTER_ID);
    let c = set_fte_in::FLOW_CONTEXT;
    let list = mlx5_model::bits::F::new(c.at + flow_context::DESTINATION.at + 64, 32);
    let action = MLX5_FLOW_CONTEXT_ACTION_FWD_DEST | MLX5_FLOW_CONTEXT_ACTION_COUNT;
    entry(t, g, 0, 1, (VPORT, 2))
        .set(c.field(flow_context::ACTION), action)
        .set(c.field(flow_context::FLOW_COUNTER_LIST_SIZE), 1)
        .set(list, counter)
        .ok(&mut dev);
    for _ in 0..10 {
        dev.from_port(1, frame());
        dev.from_port(3, frame());
    }
    assert_eq!((received(&dev, 2), dev.stats.fdb_dropped), (10, 10));
    let out = Cmd::new(MLX5_CMD_OP_QUERY_FLOW_COUNTER, query_flow_counter_in::SIZE)
        .set(query_flow_counter_in::FLOW_COUNTER_ID, counter)
        .ok(&mut dev);
    let s = query_flow_counter_out::FLOW_STATISTICS.s(0);
    assert_eq!(get(&out, s.field(traffic_counter::PACKETS)), 10);
    assert_eq!(get(&out, s.field(traffic_counter::OCTETS)), 600);

    // In use: refused. After the entry is gone: allowed, once.
    let free = Cmd::new(
        MLX5_CMD_OP_DEALLOC_FLOW_COUNTER,
        dealloc_flow_counter_in::SIZE,
    )
    .set(dealloc_flow_counter_in::FLOW_COUNTER_ID, counter);
    assert_eq!(free.run(&mut dev).0, MLX5_CMD_STAT_RES_BUSY);
    let delete = Cmd::new(MLX5_CMD_OP_DELETE_FLOW_TABLE_ENTRY, delete_fte_in::SIZE)
        .set(delete_fte_in::TABLE_TYPE, FDB)
        .set(delete_fte_in::TABLE_ID, t);
    delete.ok(&mut dev);
    assert_eq!(delete.run(&mut dev).0, MLX5_CMD_STAT_BAD_RES_ERR);
    free.ok(&mut dev);
    assert_eq!(free.run(&mut dev).0, MLX5_CMD_STAT_BAD_RES_ERR);
    dev.from_port(1, frame());
    assert_eq!(received(&dev, 2), 10);
}

#[test]
fn vlan_push() {
    let (_m, mut dev, t, g) = lab();
    let c = set_fte_in::FLOW_CONTEXT;
    let v = c.nested(flow_context::PUSH_VLAN);
    entry(t, g, 0, 1, (VPORT, 2))
        .set(
            c.field(flow_context::ACTION),
            MLX5_FLOW_CONTEXT_ACTION_FWD_DEST | MLX5_FLOW_CONTEXT_ACTION_VLAN_PUSH,
        )
        .set(v.field(vlan::ETHTYPE), u64::from(ETH_VLAN))
        .set(v.field(vlan::VID), 5)
        .ok(&mut dev);
    dev.ports[2].capture = Some(Default::default());
    dev.from_port(1, frame());
    let kept = dev.ports[2].capture.as_ref().unwrap();
    assert_eq!(kept[0][12..16], [0x81, 0, 0, 5]);
    assert_eq!(kept[0].len(), 64);
}

#[test]
fn a_loop_of_rules_ends() {
    let (_m, mut dev, t, g) = lab();
    let again = entry(t, g, 0, 1, (TABLE, t));
    assert_eq!(
        again.run(&mut dev).0,
        MLX5_CMD_STAT_BAD_PARAM_ERR,
        "a jump to the same level"
    );
    let anyway = entry(t, g, 0, 1, (TABLE, t)).set(set_fte_in::IGNORE_FLOW_LEVEL, 1);
    anyway.ok(&mut dev);
    dev.from_port(1, frame());
    assert_eq!(received(&dev, 2), 0);
}

#[test]
fn refusals() {
    let (_m, mut dev, t, g) = lab();
    let c = set_fte_in::FLOW_CONTEXT;
    let bad_param = [
        (
            "no final action",
            entry(t, g, 0, 1, (VPORT, 2)).set(c.field(flow_context::ACTION), 0),
        ),
        (
            "an action that is not advertised",
            entry(t, g, 0, 1, (VPORT, 2)).set(c.field(flow_context::ACTION), 0x4004),
        ),
        (
            "an index outside the group",
            entry(t, g, 100, 1, (VPORT, 2)),
        ),
        ("a value outside the mask", {
            let f = fte_match_param::MISC_PARAMETERS.field(fte_match_set_misc::SOURCE_SQN);
            entry(t, g, 0, 1, (VPORT, 2)).set(c.nested(flow_context::MATCH_VALUE).field(f), 1)
        }),
        (
            "a TIR in the switch",
            entry(t, g, 0, 1, (MLX5_IFC_FLOW_DESTINATION_TYPE_TIR, 1)),
        ),
    ];
    for (what, cmd) in bad_param {
        assert_eq!(cmd.run(&mut dev).0, MLX5_CMD_STAT_BAD_PARAM_ERR, "{what}");
    }
    let bad_handle = [
        ("no such vport", entry(t, g, 0, 1, (VPORT, 99))),
        ("no such table", entry(t, g, 0, 1, (TABLE, 999))),
        ("no such group", entry(t, g + 1, 0, 1, (VPORT, 2))),
        ("entries of no table", entry(t + 50, g, 0, 1, (VPORT, 2))),
    ];
    for (what, cmd) in bad_handle {
        assert_eq!(cmd.run(&mut dev).0, MLX5_CMD_STAT_BAD_RES_ERR, "{what}");
    }
    entry(t, g, 0, 1, (VPORT, 2)).ok(&mut dev);
    assert_eq!(
        entry(t, g, 0, 1, (VPORT, 2)).run(&mut dev).0,
        MLX5_CMD_STAT_BAD_PARAM_ERR,
        "an index in use"
    );
    let destroy = Cmd::new(MLX5_CMD_OP_DESTROY_FLOW_TABLE, destroy_flow_table_in::SIZE)
        .set(destroy_flow_table_in::TABLE_TYPE, FDB)
        .set(destroy_flow_table_in::TABLE_ID, t);
    assert_eq!(destroy.run(&mut dev).0, MLX5_CMD_STAT_RES_BUSY);
    assert_eq!(
        Cmd::new(0xfff, 16).run(&mut dev).0,
        MLX5_CMD_STAT_BAD_OP_ERR
    );
    assert_eq!(
        Cmd::new(MLX5_CMD_OP_CREATE_EQ, 32).run(&mut dev).0,
        MLX5_CMD_STAT_BAD_INP_LEN_ERR
    );
}

#[test]
fn faults_hit_once_and_only_what_they_name() {
    let (_m, mut dev, t, g) = lab();
    let ask = |dev: &mut Device, text: &str| {
        let r = mlx5_model::control::run(dev, &serde_json::from_str(text).unwrap());
        assert_eq!(r["ok"], true, "{r}");
    };
    ask(
        &mut dev,
        r#"{"cmd":"fault","command":"set_flow_table_entry","kind":"no-resources","skip":1}"#,
    );
    entry(t, g, 0, 1, (VPORT, 2)).ok(&mut dev);
    assert_eq!(
        entry(t, g, 1, 2, (VPORT, 1)).run(&mut dev).0,
        MLX5_CMD_STAT_NO_RES_ERR
    );
    entry(t, g, 1, 2, (VPORT, 1)).ok(&mut dev);
}

#[test]
fn the_help_text_names_what_there_is() {
    let m = Memory::new(4096);
    let mut dev = device(&m);
    let names = mlx5_model::control::HELP
        .lines()
        .filter(|l| l.starts_with("  ") && !l.starts_with("   "))
        .filter_map(|l| l.split_whitespace().next());
    let mut n = 0;
    // The program answers "quit" before the device sees it.
    for name in names.filter(|n| *n != "quit") {
        let r = mlx5_model::control::run(&mut dev, &serde_json::json!({ "cmd": name }));
        let error = r["error"].as_str().unwrap_or_default();
        assert!(!error.starts_with("no request"), "{name}: {error}");
        n += 1;
    }
    assert!(n > 15, "{n} requests");
}

#[test]
fn a_mask_that_is_not_offered() {
    let (_m, mut dev, t, _) = lab();
    let f = fte_match_param::MISC_PARAMETERS.field(fte_match_set_misc::GENEVE_VNI);
    let cmd = |f| {
        Cmd::new(MLX5_CMD_OP_CREATE_FLOW_GROUP, create_flow_group_in::SIZE)
            .set(create_flow_group_in::TABLE_TYPE, FDB)
            .set(create_flow_group_in::TABLE_ID, t)
            .set(create_flow_group_in::START_FLOW_INDEX, 100)
            .set(create_flow_group_in::END_FLOW_INDEX, 120)
            .set(create_flow_group_in::MATCH_CRITERIA_ENABLE, 2)
            .set(create_flow_group_in::MATCH_CRITERIA.field(f), 1)
    };
    assert_eq!(cmd(f).run(&mut dev).0, MLX5_CMD_STAT_BAD_PARAM_ERR);
    let f = fte_match_param::MISC_PARAMETERS.field(fte_match_set_misc::VXLAN_VNI);
    cmd(f).ok(&mut dev);
}

#[test]
fn a_reserved_bit() {
    let (_m, mut dev, _, _) = lab();
    let cmd = Cmd::new(MLX5_CMD_OP_QUERY_ISSI, query_issi_in::SIZE);
    cmd.ok(&mut dev);
    let bad = cmd.set(mlx5_model::bits::F::new(0x44, 1), 1);
    assert_eq!(bad.run(&mut dev).0, MLX5_CMD_STAT_BAD_PARAM_ERR);
}
