// SPDX-License-Identifier: GPL-2.0

//! ACCESS_REG: registers of the port and of the management unit.

use super::{refuse, Done};
use crate::bits::{set, View, A, F, S};
use crate::device::Device;
use crate::ifc::*;

/// 25GBASE-CR, bit 27 of the Ethernet protocols.
const SPEED: u64 = 1 << 27;
pub const MAX_MTU: u64 = 9978;

pub fn run(dev: &mut Device, op: u64, i: View<'_>, out: &mut [u8]) -> Option<Done> {
    (op == MLX5_CMD_OP_ACCESS_REG).then(|| access(dev, i, out))
}

fn access(dev: &mut Device, i: View<'_>, out: &mut [u8]) -> Done {
    const DATA: A = access_register_out::REGISTER_DATA;
    let id = i.get(access_register_in::REGISTER_ID);
    let write = i.get(access_register_in::OP_MOD) == 0;
    let data = i.rest(access_register_in::REGISTER_DATA.at);
    let Some(reg) = out.get_mut(DATA.at / 8..) else {
        refuse!(BAD_PARAM, "no room for a register");
    };
    // What was asked comes back, with the values filled in.
    for (d, s) in reg.iter_mut().zip(data.0) {
        *d = *s;
    }
    match (id, write) {
        (MLX5_REG_PMTU, false) => {
            set(reg, pmtu_reg::MAX_MTU, MAX_MTU);
            set(reg, pmtu_reg::ADMIN_MTU, u64::from(dev.port_mtu));
            set(reg, pmtu_reg::OPER_MTU, u64::from(dev.port_mtu));
        }
        (MLX5_REG_PMTU, true) => {
            let mtu = data.get(pmtu_reg::ADMIN_MTU);
            if !(68..=MAX_MTU).contains(&mtu) {
                refuse!(BAD_PARAM, "mtu {mtu}");
            }
            dev.port_mtu = mtu as u16;
        }
        (MLX5_REG_PAOS, false) => {
            set(
                reg,
                paos_reg::ADMIN_STATUS,
                if dev.admin_up { 1 } else { 2 },
            );
            set(
                reg,
                paos_reg::OPER_STATUS,
                if dev.link_up() { 1 } else { 2 },
            );
        }
        (MLX5_REG_PAOS, true) => dev.set_admin(data.get(paos_reg::ADMIN_STATUS) == 1),
        (MLX5_REG_PTYS, false) => {
            set(reg, ptys_reg::ETH_PROTO_CAPABILITY, SPEED);
            set(reg, ptys_reg::ETH_PROTO_ADMIN, SPEED);
            set(
                reg,
                ptys_reg::ETH_PROTO_OPER,
                if dev.link_up() { SPEED } else { 0 },
            );
            set(reg, ptys_reg::CONNECTOR_TYPE, 3);
        }
        (MLX5_REG_PPCNT, false) => ppcnt(dev, data.get(ppcnt_reg::GRP), reg),
        (MLX5_REG_PMLP, false) => set(reg, pmlp_reg::WIDTH, 1),
        (MLX5_REG_MCIA, false) => refuse!(BAD_PARAM, "no module is plugged in"),
        (
            MLX5_REG_PTYS
            | MLX5_REG_PCAP
            | MLX5_REG_PFCC
            | MLX5_REG_PBMC
            | MLX5_REG_PPTB
            | MLX5_REG_PMAOS
            | MLX5_REG_HOST_ENDIANNESS
            | MLX5_REG_QPTS
            | MLX5_REG_QPDPM
            | MLX5_REG_MFRL
            | MLX5_REG_DTOR,
            _,
        ) => {}
        _ => refuse!(BAD_PARAM, "register {id:#x} is not in the model"),
    }
    Ok(())
}

fn ppcnt(dev: &Device, group: u64, reg: &mut [u8]) {
    use eth_2863_cntrs_grp_data_layout as g2863;
    use eth_802_3_cntrs_grp_data_layout as g802_3;
    let set_at = S::new(ppcnt_reg::COUNTER_SET.at, ppcnt_reg::COUNTER_SET.bits);
    let c = dev.wire_counters();
    // A counter is two words, named `..._high` and `..._low`.
    let mut put = |high: F, v: u64| set(reg, set_at.field(F::new(high.at, 64)), v);
    match group {
        0 => {
            put(g802_3::A_FRAMES_TRANSMITTED_OK_HIGH, c.tx_packets);
            put(g802_3::A_FRAMES_RECEIVED_OK_HIGH, c.rx_packets);
            put(g802_3::A_OCTETS_TRANSMITTED_OK_HIGH, c.tx_bytes);
            put(g802_3::A_OCTETS_RECEIVED_OK_HIGH, c.rx_bytes);
        }
        1 => {
            put(g2863::IF_IN_OCTETS_HIGH, c.rx_bytes);
            put(g2863::IF_IN_UCAST_PKTS_HIGH, c.rx_packets);
            put(g2863::IF_OUT_OCTETS_HIGH, c.tx_bytes);
            put(g2863::IF_OUT_UCAST_PKTS_HIGH, c.tx_packets);
        }
        _ => {}
    }
}
