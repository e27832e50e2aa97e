// SPDX-License-Identifier: GPL-2.0

//! Start-up and capability commands.

use super::{refuse, Done};
use crate::bits::{set, View, S};
use crate::device::Device;
use crate::ifc::*;
use crate::{caps, log};

pub fn run(dev: &mut Device, op: u64, i: View<'_>, out: &mut [u8]) -> Option<Done> {
    Some(match op {
        MLX5_CMD_OP_ENABLE_HCA | MLX5_CMD_OP_DISABLE_HCA | MLX5_CMD_OP_SET_DRIVER_VERSION => Ok(()),
        MLX5_CMD_OP_SET_ISSI => set_issi(i),
        MLX5_CMD_OP_INIT_HCA => {
            dev.initialized = true;
            log::info(format_args!("driver: INIT_HCA"));
            Ok(())
        }
        MLX5_CMD_OP_TEARDOWN_HCA => {
            dev.initialized = false;
            dev.report_leftovers();
            log::info(format_args!("driver: TEARDOWN_HCA"));
            Ok(())
        }
        MLX5_CMD_OP_QUERY_ISSI => {
            set(out, query_issi_out::CURRENT_ISSI, 1);
            // A set of versions: 0 and 1.
            set(out, query_issi_out::SUPPORTED_ISSI_DW0, 3);
            Ok(())
        }
        // The model keeps its state in its own memory: no pages wanted.
        MLX5_CMD_OP_QUERY_PAGES | MLX5_CMD_OP_MANAGE_PAGES => Ok(()),
        MLX5_CMD_OP_QUERY_ADAPTER => query_adapter(out),
        MLX5_CMD_OP_QUERY_HCA_CAP => query_hca_cap(dev, i, out),
        MLX5_CMD_OP_SET_HCA_CAP => set_hca_cap(dev, i),
        _ => return None,
    })
}

fn set_issi(i: View<'_>) -> Done {
    let v = i.get(set_issi_in::CURRENT_ISSI);
    if v > 1 {
        refuse!(BAD_PARAM, "interface step {v}");
    }
    Ok(())
}

fn query_adapter(out: &mut [u8]) -> Done {
    use query_adapter_param_block as block;
    let b: S = query_adapter_out::QUERY_ADAPTER_STRUCT;
    set(out, b.field(block::IEEE_VENDOR_ID), 0x02c9);
    for (n, c) in b"MODEL00000000001".iter().enumerate() {
        set(out, b.field(block::VSD_CONTD_PSID.f(n)), u64::from(*c));
    }
    Ok(())
}

fn query_hca_cap(dev: &mut Device, i: View<'_>, out: &mut [u8]) -> Done {
    let op_mod = i.get(query_hca_cap_in::OP_MOD);
    let (kind, max) = (op_mod >> 1, op_mod & 1 == 0);
    let other = if i.bool(query_hca_cap_in::OTHER_FUNCTION) {
        let id = i.get(query_hca_cap_in::FUNCTION_ID);
        let by_vhca = i.bool(query_hca_cap_in::FUNCTION_ID_TYPE);
        let Some(v) = dev.vport_of_function(id, by_vhca) else {
            refuse!(BAD_PARAM, "function {id:#x} does not exist");
        };
        Some(v)
    } else {
        None
    };
    let Some(cap) = caps::block(dev, kind, max, other) else {
        refuse!(BAD_PARAM, "no capabilities of type {kind:#x}");
    };
    let at = query_hca_cap_out::CAPABILITY.at / 8;
    for (d, s) in out.iter_mut().skip(at).zip(&cap) {
        *d = *s;
    }
    Ok(())
}

fn set_hca_cap(dev: &mut Device, i: View<'_>) -> Done {
    let kind = i.get(set_hca_cap_in::OP_MOD) >> 1;
    if i.bool(set_hca_cap_in::OTHER_FUNCTION) {
        let id = i.get(set_hca_cap_in::FUNCTION_ID);
        let by_vhca = i.bool(set_hca_cap_in::FUNCTION_ID_TYPE);
        if dev.vport_of_function(id, by_vhca).is_none() {
            refuse!(BAD_PARAM, "function {id:#x} does not exist");
        }
        return Ok(());
    }
    if kind != 0 {
        refuse!(BAD_PARAM, "capabilities of type {kind:#x} cannot be set");
    }
    let cap = i.rest(set_hca_cap_in::CAPABILITY.at);
    if cap.get(cmd_hca_cap::CMDIF_CHECKSUM) != 0 {
        refuse!(BAD_PARAM, "command checksums are not supported");
    }
    if cap.get(cmd_hca_cap::LOG_UAR_PAGE_SZ) != 0 {
        refuse!(BAD_PARAM, "doorbell pages are 4 KiB");
    }
    dev.general = Some(cap.0.get(..cmd_hca_cap::SIZE).unwrap_or(cap.0).to_vec());
    Ok(())
}
