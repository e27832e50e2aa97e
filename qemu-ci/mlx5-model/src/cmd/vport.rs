// SPDX-License-Identifier: GPL-2.0

//! Commands about virtual ports: state, addresses, counters, and making the
//! ports of delegated functions.

use super::{refusal, refuse, Done, Refuse};
use crate::bits::{set, View, F};
use crate::device::{Device, Vport, UPLINK};
use crate::ifc::*;
use crate::log;

pub fn run(dev: &mut Device, op: u64, i: View<'_>, out: &mut [u8]) -> Option<Done> {
    Some(match op {
        MLX5_CMD_OP_QUERY_VPORT_STATE => query_state(dev, i, out),
        MLX5_CMD_OP_MODIFY_VPORT_STATE => modify_state(dev, i),
        MLX5_CMD_OP_QUERY_NIC_VPORT_CONTEXT => query_nic(dev, i, out),
        MLX5_CMD_OP_MODIFY_NIC_VPORT_CONTEXT => modify_nic(dev, i),
        MLX5_CMD_OP_QUERY_ESW_VPORT_CONTEXT => query_esw(dev, i, out),
        MLX5_CMD_OP_MODIFY_ESW_VPORT_CONTEXT => modify_esw(dev, i),
        MLX5_CMD_OP_QUERY_VPORT_COUNTER => query_counter(dev, i, out),
        MLX5_CMD_OP_QUERY_VNIC_ENV => Ok(()),
        MLX5_CMD_OP_SET_L2_TABLE_ENTRY => {
            dev.l2.insert(i.u32(set_l2_table_entry_in::TABLE_INDEX));
            Ok(())
        }
        MLX5_CMD_OP_DELETE_L2_TABLE_ENTRY => {
            let index = i.u32(delete_l2_table_entry_in::TABLE_INDEX);
            dev.l2
                .remove(&index)
                .then_some(())
                .ok_or_else(|| refusal!(BAD_RES, "no entry {index}"))
        }
        MLX5_CMD_OPCODE_QUERY_DELEGATED_VHCA => query_delegated(dev, out),
        MLX5_CMD_OPCODE_CREATE_ESW_VPORT => create_esw_vport(dev, i, out),
        MLX5_CMD_OPCODE_DESTROY_ESW_VPORT => destroy_esw_vport(dev, i),
        MLX5_CMD_OP_ADD_VXLAN_UDP_DPORT | MLX5_CMD_OP_DELETE_VXLAN_UDP_DPORT => {
            vxlan_port(dev, op, i)
        }
        MLX5_CMD_OP_SET_WOL_ROL | MLX5_CMD_OP_QUERY_WOL_ROL => Ok(()),
        _ => return None,
    })
}

/// Every vport command has the number at the same place.
fn number(i: View<'_>) -> u16 {
    if i.bool(query_vport_state_in::OTHER_VPORT) {
        i.u32(query_vport_state_in::VPORT_NUMBER) as u16
    } else {
        0
    }
}

fn vport<'a>(dev: &'a mut Device, i: View<'_>) -> Result<&'a mut Vport, Refuse> {
    let n = number(i);
    dev.vports
        .get_mut(&n)
        .ok_or_else(|| refusal!(BAD_PARAM, "vport {n:#x} does not exist"))
}

fn query_state(dev: &mut Device, i: View<'_>, out: &mut [u8]) -> Done {
    let link = dev.link_up();
    let uplink = i.get(query_vport_state_in::OP_MOD) == 2;
    let v = vport(dev, i)?;
    let up = if uplink {
        link
    } else {
        v.up && (link || v.number != 0)
    };
    set(
        out,
        query_vport_state_out::ADMIN_STATE,
        if v.auto { 2 } else { u64::from(v.up) },
    );
    set(out, query_vport_state_out::STATE, u64::from(up));
    Ok(())
}

fn modify_state(dev: &mut Device, i: View<'_>) -> Done {
    use modify_vport_state_in as m;
    let op_mod = i.get(m::OP_MOD);
    if op_mod == 2 {
        dev.set_admin(i.get(m::ADMIN_STATE) == 1);
        return Ok(());
    }
    let v = vport(dev, i)?;
    if i.bool(m::INGRESS_CONNECT_VALID) {
        v.ingress = i.bool(m::INGRESS_CONNECT);
    }
    if i.bool(m::EGRESS_CONNECT_VALID) {
        v.egress = i.bool(m::EGRESS_CONNECT);
    }
    let state = i.get(m::ADMIN_STATE);
    v.auto = state == 2;
    v.up = state != 0;
    log::info(format_args!("vport {:#x}: admin state {state}", v.number));
    Ok(())
}

fn query_nic(dev: &mut Device, i: View<'_>, out: &mut [u8]) -> Done {
    use nic_vport_context as c;
    let guid = dev.guid();
    let kind = i.get(query_nic_vport_context_in::ALLOWED_LIST_TYPE);
    let v = vport(dev, i)?;
    let at = query_nic_vport_context_out::NIC_VPORT_CONTEXT;
    let mac = u64::from_be_bytes([
        0, 0, v.mac[0], v.mac[1], v.mac[2], v.mac[3], v.mac[4], v.mac[5],
    ]);
    set(out, at.field(c::MTU), u64::from(v.mtu));
    set(out, at.field(c::SYSTEM_IMAGE_GUID), guid);
    set(out, at.field(c::PORT_GUID), guid + 1);
    set(out, at.field(c::NODE_GUID), guid);
    set(out, at.field(c::PROMISC_UC), u64::from(v.promisc & 4 != 0));
    set(out, at.field(c::PROMISC_MC), u64::from(v.promisc & 2 != 0));
    set(out, at.field(c::PROMISC_ALL), u64::from(v.promisc & 1 != 0));
    set(
        out,
        at.nested(c::PERMANENT_ADDRESS).field(F::new(16, 48)),
        mac,
    );
    let list = v.lists.get(kind as usize).cloned().unwrap_or_default();
    set(out, at.field(c::ALLOWED_LIST_TYPE), kind);
    set(out, at.field(c::ALLOWED_LIST_SIZE), (list.len() / 8) as u64);
    let from = (at.at + c::CURRENT_UC_MAC_ADDRESS.at) / 8;
    for (d, s) in out.iter_mut().skip(from).zip(&list) {
        *d = *s;
    }
    Ok(())
}

fn modify_nic(dev: &mut Device, i: View<'_>) -> Done {
    use modify_nic_vport_context_in as m;
    use modify_nic_vport_field_select as sel;
    use nic_vport_context as c;
    let select = i.nested(m::FIELD_SELECT);
    let ctx = i.rest(m::NIC_VPORT_CONTEXT.at);
    let v = vport(dev, i)?;
    if select.bool(sel::MTU) {
        v.mtu = ctx.get(c::MTU) as u16;
    }
    if select.bool(sel::PERMANENT_ADDRESS) {
        let mac = ctx
            .nested(c::PERMANENT_ADDRESS)
            .get(F::new(16, 48))
            .to_be_bytes();
        v.mac = [mac[2], mac[3], mac[4], mac[5], mac[6], mac[7]];
    }
    if select.bool(sel::PROMISC) {
        v.promisc = ((ctx.get(c::PROMISC_UC) << 2)
            | (ctx.get(c::PROMISC_MC) << 1)
            | ctx.get(c::PROMISC_ALL)) as u8;
    }
    if select.bool(sel::ADDRESSES_LIST) {
        let (kind, n) = (
            ctx.get(c::ALLOWED_LIST_TYPE) as usize,
            ctx.get(c::ALLOWED_LIST_SIZE) as usize,
        );
        let stride = if kind == 2 { 4 } else { 8 };
        let bytes = ctx.rest(c::CURRENT_UC_MAC_ADDRESS.at).0;
        let Some(part) = bytes.get(..n * stride) else {
            refuse!(
                BAD_INP_LEN,
                "a list of {n} entries in {} bytes",
                bytes.len()
            );
        };
        match v.lists.get_mut(kind) {
            Some(l) => *l = part.to_vec(),
            None => refuse!(BAD_PARAM, "list type {kind}"),
        }
    }
    Ok(())
}

fn query_esw(dev: &mut Device, i: View<'_>, out: &mut [u8]) -> Done {
    let reg = dev.reg_c_to_vport();
    let v = vport(dev, i)?;
    let at = query_esw_vport_context_out::ESW_VPORT_CONTEXT;
    if v.fdb_to_vport_reg_c {
        set(
            out,
            at.field(esw_vport_context::FDB_TO_VPORT_REG_C_ID),
            u64::from(reg),
        );
    }
    Ok(())
}

fn modify_esw(dev: &mut Device, i: View<'_>) -> Done {
    use esw_vport_context as c;
    use modify_esw_vport_context_in as m;
    let select = i.nested(m::FIELD_SELECT);
    let ctx = i.nested(m::ESW_VPORT_CONTEXT);
    let offered = u64::from(dev.reg_c_to_vport());
    let metadata = dev.cfg.metadata;
    let v = vport(dev, i)?;
    if select.bool(esw_vport_context_fields_select::FDB_TO_VPORT_REG_C_ID) {
        let id = ctx.get(c::FDB_TO_VPORT_REG_C_ID);
        if id & !offered != 0 || (!metadata && id != 0) {
            refuse!(BAD_PARAM, "registers {id:#x} do not pass to a vport");
        }
        v.fdb_to_vport_reg_c = id & 1 != 0;
        v.reg_c_mask = id as u8;
    }
    let strip = ctx.bool(c::VPORT_CVLAN_STRIP) || ctx.get(c::VPORT_CVLAN_INSERT) != 0;
    if strip {
        refuse!(
            BAD_PARAM,
            "VLAN stripping and insertion by the vport are not supported"
        );
    }
    Ok(())
}

fn query_counter(dev: &mut Device, i: View<'_>, out: &mut [u8]) -> Done {
    use query_vport_counter_out as o;
    let v = vport(dev, i)?;
    let mut put = |at: crate::bits::S, c: crate::port::Count| {
        set(out, at.field(traffic_counter::PACKETS), c.packets);
        set(out, at.field(traffic_counter::OCTETS), c.bytes);
    };
    put(o::RECEIVED_ETH_UNICAST, v.rx.unicast);
    put(o::RECEIVED_ETH_MULTICAST, v.rx.multicast);
    put(o::RECEIVED_ETH_BROADCAST, v.rx.broadcast);
    put(o::TRANSMITTED_ETH_UNICAST, v.tx.unicast);
    put(o::TRANSMITTED_ETH_MULTICAST, v.tx.multicast);
    put(o::TRANSMITTED_ETH_BROADCAST, v.tx.broadcast);
    Ok(())
}

fn query_delegated(dev: &Device, out: &mut [u8]) -> Done {
    use delegated_function_vhca_rid_info as d;
    use function_vhca_rid_info_reg as r;
    set(
        out,
        query_delegated_vhca_out::FUNCTIONS_COUNT,
        dev.cfg.vfs as u64,
    );
    for n in 0..dev.cfg.vfs {
        let at = query_delegated_vhca_out::DELEGATED_FUNCTION_VHCA_RID_INFO.s(n);
        let reg = at.nested(d::FUNCTION_VHCA_RID_INFO);
        set(out, reg.field(r::VHCA_ID), u64::from(dev.vf_vhca(n)));
        set(out, reg.field(r::FUNCTION_ID), n as u64 + 1);
        set(out, reg.field(r::FUNCTION_TYPE), 1);
    }
    Ok(())
}

fn create_esw_vport(dev: &mut Device, i: View<'_>, out: &mut [u8]) -> Done {
    let vhca = i.u32(create_esw_vport_in::MANAGED_VHCA_ID) as u16;
    let Some(n) = (0..dev.cfg.vfs).find(|n| dev.vf_vhca(*n) == vhca) else {
        refuse!(BAD_PARAM, "no delegated function has id {vhca:#x}");
    };
    let number = n as u16 + 1;
    if dev.vports.contains_key(&number) {
        refuse!(RES_BUSY, "function {vhca:#x} has vport {number}");
    }
    dev.vports.insert(number, Vport::new(number, vhca));
    set(out, create_esw_vport_out::VPORT_NUM, u64::from(number));
    Ok(())
}

fn destroy_esw_vport(dev: &mut Device, i: View<'_>) -> Done {
    let n = i.u32(destroy_esw_vport_in::VPORT_NUM) as u16;
    if n == 0 || n == UPLINK || dev.vports.remove(&n).is_none() {
        refuse!(BAD_PARAM, "vport {n:#x} does not exist");
    }
    Ok(())
}

fn vxlan_port(dev: &mut Device, op: u64, i: View<'_>) -> Done {
    let port = i.u32(add_vxlan_udp_dport_in::VXLAN_UDP_PORT) as u16;
    if op == MLX5_CMD_OP_ADD_VXLAN_UDP_DPORT {
        if dev.vxlan_ports.len() >= 4 {
            refuse!(NO_RES, "no room for VXLAN port {port}");
        }
        dev.vxlan_ports.insert(port);
    } else if !dev.vxlan_ports.remove(&port) {
        refuse!(BAD_PARAM, "VXLAN port {port} is not set");
    }
    Ok(())
}
