// SPDX-License-Identifier: GPL-2.0

//! What the device says that it can do. What is not set here is not
//! supported, and using it is refused.

use crate::bits::{set, F, S};
use crate::device::Device;
use crate::ifc::*;
use crate::steer::fields;

/// All capability blocks share a union of this many bytes.
const SIZE: usize = query_hca_cap_out::CAPABILITY.bits / 8;
/// Highest level of a flow table.
pub const MAX_LEVEL: u64 = 0xff;
pub const LOG_MAX_FT_SIZE: u64 = 24;
pub const MAX_MODIFY_ACTIONS: u64 = 32;
pub const MAX_ENCAP: u64 = 256;
pub const LOG_MAX_WQ: u64 = 16;
pub const LOG_MAX_CQ_SZ: u64 = 22;
pub const LOG_MAX_EQ_SZ: u64 = 22;

/// The largest values of flow_table_prop_layout by table type.
fn prop(b: &mut [u8], at: S, fields: &[(F, u64)]) {
    use flow_table_prop_layout as p;
    let basic = [
        (p::FT_SUPPORT, 1),
        (p::FLOW_MODIFY_EN, 1),
        (p::MODIFY_ROOT, 1),
        (p::IDENTIFIED_MISS_TABLE_MODE, 1),
        (p::FLOW_TABLE_MODIFY, 1),
        (p::FLOW_COUNTER, 1),
        (p::RESET_ROOT_TO_DEFAULT, 1),
        (p::LOG_MAX_FT_SIZE, LOG_MAX_FT_SIZE),
        (p::MAX_FT_LEVEL, MAX_LEVEL),
        (p::LOG_MAX_FT_NUM, 20),
        (p::LOG_MAX_FLOW_COUNTER, 4),
        (p::LOG_MAX_DESTINATION, 6),
        (p::LOG_MAX_FLOW, 24),
    ];
    for (f, v) in basic.iter().chain(fields) {
        set(b, at.field(*f), *v);
    }
    fields::advertise(b, at.nested(p::FT_FIELD_SUPPORT));
    fields::advertise(b, at.nested(p::FT_FIELD_BITMASK_SUPPORT));
}

fn general(dev: &Device, b: &mut [u8]) {
    use cmd_hca_cap as c;
    let list = [
        (c::PORT_TYPE, 1),
        (c::NUM_PORTS, 1),
        (c::ETH_NET_OFFLOADS, 1),
        (c::NIC_FLOW_TABLE, 1),
        (c::HCA_CAP_2, 1),
        (c::VHCA_ID, u64::from(dev.vhca_id())),
        (c::LOG_MAX_SRQ_SZ, 4),
        (c::LOG_MAX_QP_SZ, 12),
        (c::LOG_MAX_QP, 18),
        (c::LOG_MAX_CQ_SZ, LOG_MAX_CQ_SZ),
        (c::LOG_MAX_CQ, 16),
        (c::LOG_MAX_EQ_SZ, LOG_MAX_EQ_SZ),
        (c::LOG_MAX_MKEY, 20),
        (c::LOG_MAX_EQ, 6),
        (c::MAX_NUM_EQS, 64),
        (c::MAX_INDIRECTION, 16),
        (c::LOG_MAX_MRW_SZ, 36),
        (c::LOG_MAX_PD, 16),
        (c::LOG_MAX_TRANSPORT_DOMAIN, 10),
        (c::LOG_MAX_RQ, 16),
        (c::LOG_MAX_SQ, 16),
        (c::LOG_MAX_TIR, 16),
        (c::LOG_MAX_TIS, 16),
        (c::BASIC_CYCLIC_RCV_WQE, 1),
        (c::LOG_MAX_RQT, 16),
        (c::LOG_MAX_RQT_SIZE, 8),
        (c::LOG_MAX_TIS_PER_SQ, 3),
        (c::LOG_MAX_STRIDE_SZ_RQ, 10),
        (c::LOG_MIN_STRIDE_SZ_RQ, 4),
        (c::LOG_MAX_STRIDE_SZ_SQ, 6),
        (c::LOG_MIN_STRIDE_SZ_SQ, 6),
        (c::LOG_MAX_WQ_SZ, LOG_MAX_WQ),
        (c::LOG_MAX_VLAN_LIST, 12),
        (c::LOG_MAX_CURRENT_MC_LIST, 10),
        (c::LOG_MAX_CURRENT_UC_LIST, 10),
        (c::LOG_MAX_L2_TABLE, 10),
        (c::MAX_WQE_SZ_SQ, 1024),
        (c::MAX_WQE_SZ_RQ, 512),
        (c::MAX_TC, 8),
        (c::VPORT_COUNTERS, 1),
        (c::MAX_QP_CNT, 256),
        (c::UAR_4K, 1),
        (c::UAR_SZ, 5),
        (c::LOG_PG_SZ, 12),
        (c::LOG_BF_REG_SIZE, 9),
        (c::NUM_OF_UARS_PER_PAGE, 1),
        (c::CQE_VERSION, 1),
        (c::MAX_FLOW_COUNTER_15_0, 0xffff),
        (c::FLOW_COUNTER_BULK_ALLOC, 1),
        (c::LOG_MAX_FLOW_COUNTER_BULK, 15),
        (c::CQ_OI, 1),
        (c::FLEX_PARSER_PROTOCOLS, fields::FLEX_PARSER_PROTOCOLS),
        (c::NIC_VPORT_CHANGE_EVENT, 1),
    ];
    for (f, v) in list {
        set(b, f, v);
    }
    if dev.cfg.vfs > 0 {
        set(b, c::ESWITCH_MANAGER, 1);
        set(b, c::VPORT_GROUP_MANAGER, 1);
        set(b, c::ETH_VIRT, 1);
    }
    if dev.cfg.metadata {
        set(b, c::REG_C_PRESERVE, 1);
    }
}

fn general_2(dev: &Device, b: &mut [u8]) {
    use cmd_hca_cap_2 as c;
    set(b, c::DELEGATED_VHCA_MAX, dev.cfg.vfs as u64);
    set(b, c::FUNCTION_ID_TYPE_VHCA_ID, 1);
    set(b, c::INGRESS_EGRESS_ESW_VPORT_CONNECT, 1);
}

fn ethernet(dev: &Device, b: &mut [u8]) {
    use per_protocol_networking_offload_caps as c;
    let fields = [
        (c::CSUM_CAP, 1),
        (c::VLAN_CAP, 1),
        (c::WQE_VLAN_INSERT, 1),
        (c::SELF_LB_EN_MODIFIABLE, 1),
        (c::MAX_LSO_CAP, 16),
        (c::WQE_INLINE_MODE, 2),
        (c::RSS_IND_TBL_CAP, 8),
        (c::CQE_CHECKSUM_FULL, 1),
    ];
    for (f, v) in fields {
        set(b, f, v);
    }
    if dev.cfg.vxlan {
        set(b, c::TUNNEL_STATELESS_VXLAN, 1);
        set(b, c::MAX_VXLAN_UDP_PORTS, 4);
    }
}

fn nic_flow(b: &mut [u8]) {
    use flow_table_nic_cap as c;
    use flow_table_prop_layout as p;
    let modify = [
        (p::LOG_MAX_MODIFY_HEADER_CONTEXT, 16),
        (p::MAX_MODIFY_HEADER_ACTIONS, MAX_MODIFY_ACTIONS),
        (p::IGNORE_FLOW_LEVEL, 1),
    ];
    prop(b, c::FLOW_TABLE_PROPERTIES_NIC_RECEIVE, &modify);
    set(b, c::NIC_RX_MULTI_PATH_TIRS, 1);
    set(b, c::NIC_RX_MULTI_PATH_TIRS_FTS, 1);
}

fn eswitch_flow(dev: &Device, b: &mut [u8]) {
    use flow_table_eswitch_cap as c;
    use flow_table_prop_layout as p;
    let mut fdb = vec![
        (p::POP_VLAN, 1),
        (p::PUSH_VLAN, 1),
        (p::POP_VLAN_2, 1),
        (p::PUSH_VLAN_2, 1),
        (p::LOG_MAX_MODIFY_HEADER_CONTEXT, 16),
        (p::MAX_MODIFY_HEADER_ACTIONS, MAX_MODIFY_ACTIONS),
    ];
    if dev.cfg.metadata {
        fdb.push((p::IGNORE_FLOW_LEVEL, 1));
        set(b, c::FDB_TO_VPORT_REG_C_ID, u64::from(dev.reg_c_to_vport()));
        set(b, c::FDB_MODIFY_HEADER_FWD_TO_TABLE, 1);
        set(b, c::FDB_MULTI_PATH_TO_TABLE, 1);
        set(b, c::FLOW_SOURCE, 1);
        let acl = [
            (p::LOG_MAX_MODIFY_HEADER_CONTEXT, 16),
            (p::MAX_MODIFY_HEADER_ACTIONS, MAX_MODIFY_ACTIONS),
        ];
        prop(b, c::FLOW_TABLE_PROPERTIES_ESW_ACL_INGRESS, &acl);
        prop(b, c::FLOW_TABLE_PROPERTIES_ESW_ACL_EGRESS, &acl);
    }
    if dev.cfg.termination {
        fdb.push((p::TERMINATION_TABLE, 1));
        fdb.push((p::TERMINATION_TABLE_RAW_TRAFFIC, 1));
    }
    if dev.cfg.vxlan {
        fdb.extend([
            (p::REFORMAT, 1),
            (p::DECAP, 1),
            (p::REFORMAT_AND_VLAN_ACTION, 1),
            (p::REFORMAT_AND_MODIFY_ACTION, 1),
            (p::REFORMAT_AND_FWD_TO_TABLE, 1),
        ]);
        set(b, c::MULTI_FDB_ENCAP, 1);
    }
    set(b, c::FDB_IPV4_TTL_MODIFY, 1);
    prop(b, c::FLOW_TABLE_PROPERTIES_NIC_ESW_FDB, &fdb);
}

fn eswitch(dev: &Device, b: &mut [u8]) {
    use e_switch_cap as c;
    if dev.cfg.metadata {
        set(b, c::ESW_UPLINK_INGRESS_ACL, 1);
    }
    if dev.cfg.vxlan {
        set(b, c::VXLAN_ENCAP_DECAP, 1);
        set(b, c::LOG_MAX_PACKET_REFORMAT_CONTEXT, 16);
        set(b, c::MAX_ENCAP_HEADER_SIZE, MAX_ENCAP);
    }
}

/// The capability block of type `kind`, the largest values or those in force,
/// of this function or of another vport's.
pub fn block(dev: &Device, kind: u64, max: bool, other: Option<u16>) -> Option<Vec<u8>> {
    let mut b = vec![0; SIZE];
    let manager = dev.cfg.vfs > 0;
    match kind {
        MLX5_CAP_GENERAL => {
            general(dev, &mut b);
            if let Some(v) = other {
                set(&mut b, cmd_hca_cap::VHCA_ID, u64::from(dev.vhca_of(v)));
                set(&mut b, cmd_hca_cap::ESWITCH_MANAGER, 0);
                set(&mut b, cmd_hca_cap::VPORT_GROUP_MANAGER, 0);
            } else if let Some(cur) = dev.general.as_ref().filter(|_| !max) {
                for (d, s) in b.iter_mut().zip(cur) {
                    *d = *s;
                }
            }
        }
        MLX5_CAP_GENERAL_2 => {
            if other.is_none() {
                general_2(dev, &mut b);
            }
        }
        MLX5_CAP_ETHERNET_OFFLOADS => ethernet(dev, &mut b),
        MLX5_CAP_FLOW_TABLE => nic_flow(&mut b),
        MLX5_CAP_ESWITCH_FLOW_TABLE if manager => eswitch_flow(dev, &mut b),
        MLX5_CAP_ESWITCH if manager => eswitch(dev, &mut b),
        _ => return None,
    }
    Some(b)
}
