// SPDX-License-Identifier: GPL-2.0

//! A device without a machine: memory is a vector, interrupts are counted.
#![allow(dead_code)]

use mlx5_model::bits::{get, set, F, S};
use mlx5_model::cmd;
use mlx5_model::device::{Config, Device, UPLINK};
use mlx5_model::front::Regs;
use mlx5_model::ifc::*;
use mlx5_model::port::Port;
use mlx5_model::transport::{DmaError, Host};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

pub struct Memory {
    pub bytes: Mutex<Vec<u8>>,
    pub interrupts: AtomicU64,
}

impl Memory {
    pub fn new(len: usize) -> Arc<Self> {
        Arc::new(Self {
            bytes: Mutex::new(vec![0; len]),
            interrupts: AtomicU64::new(0),
        })
    }

    pub fn put(&self, at: usize, b: &[u8]) {
        self.bytes.lock().unwrap()[at..at + b.len()].copy_from_slice(b);
    }

    pub fn get(&self, at: usize, n: usize) -> Vec<u8> {
        self.bytes.lock().unwrap()[at..at + n].to_vec()
    }
}

impl Host for Memory {
    fn dma_read(&self, addr: u64, buf: &mut [u8]) -> Result<(), DmaError> {
        let m = self.bytes.lock().unwrap();
        let err = DmaError {
            addr,
            len: buf.len(),
            write: false,
        };
        let at = usize::try_from(addr).map_err(|_| err)?;
        let end = at.checked_add(buf.len()).ok_or(err)?;
        buf.copy_from_slice(m.get(at..end).ok_or(err)?);
        Ok(())
    }

    fn dma_write(&self, addr: u64, buf: &[u8]) -> Result<(), DmaError> {
        let mut m = self.bytes.lock().unwrap();
        let err = DmaError {
            addr,
            len: buf.len(),
            write: true,
        };
        let at = usize::try_from(addr).map_err(|_| err)?;
        let end = at.checked_add(buf.len()).ok_or(err)?;
        m.get_mut(at..end).ok_or(err)?.copy_from_slice(buf);
        Ok(())
    }

    fn raise(&self, _vector: u16) {
        self.interrupts.fetch_add(1, Relaxed);
    }
}

pub fn config() -> Config {
    Config {
        vfs: 4,
        metadata: true,
        termination: true,
        vxlan: true,
    }
}

pub fn device(memory: &Arc<Memory>) -> Device {
    let mut ports = vec![Port::new("uplink".into(), UPLINK)];
    for n in 0..4 {
        ports.push(Port::new(format!("vf{n}"), n + 1));
    }
    Device::new(config(), memory.clone(), Arc::new(Regs::default()), ports)
}

/// A command under construction.
pub struct Cmd(pub Vec<u8>);

impl Cmd {
    pub fn new(opcode: u64, len: usize) -> Self {
        let mut c = Self(vec![0; len]);
        set(&mut c.0, F::new(0, 16), opcode);
        c
    }

    pub fn set(mut self, f: F, v: u64) -> Self {
        set(&mut self.0, f, v);
        self
    }

    /// The context of a work queue of [`ENTRIES`] entries.
    fn work_queue(self, context: S, pd: u64, records: usize) -> Self {
        self.set(context.field(wq::WQ_TYPE), 1)
            .set(context.field(wq::LOG_WQ_STRIDE), 6)
            .set(context.field(wq::LOG_WQ_SZ), 6)
            .set(context.field(wq::PD), pd)
            .set(context.field(wq::DBR_ADDR), records as u64)
    }

    /// Status and output.
    pub fn run(&self, dev: &mut Device) -> (u64, Vec<u8>) {
        let mut out = vec![0; 4096];
        let out = cmd::execute(dev, &self.0, &mut out)
            .expect("an answer")
            .to_vec();
        (get(&out, F::new(0, 8)), out)
    }

    /// The output of a command that has to succeed.
    pub fn ok(&self, dev: &mut Device) -> Vec<u8> {
        let (status, out) = self.run(dev);
        assert_eq!(status, 0, "status");
        out
    }
}

/// Makes the vports of the delegated functions, as the driver does.
pub fn make_vports(dev: &mut Device) {
    for n in 0..4 {
        let vhca = u64::from(dev.vf_vhca(n));
        let out = Cmd::new(MLX5_CMD_OPCODE_CREATE_ESW_VPORT, create_esw_vport_in::SIZE)
            .set(create_esw_vport_in::MANAGED_VHCA_ID, vhca)
            .ok(dev);
        let vport = get(&out, create_esw_vport_out::VPORT_NUM);
        Cmd::new(MLX5_CMD_OP_MODIFY_VPORT_STATE, modify_vport_state_in::SIZE)
            .set(modify_vport_state_in::OP_MOD, 1)
            .set(modify_vport_state_in::OTHER_VPORT, 1)
            .set(modify_vport_state_in::VPORT_NUMBER, vport)
            .set(modify_vport_state_in::INGRESS_CONNECT_VALID, 1)
            .set(modify_vport_state_in::EGRESS_CONNECT_VALID, 1)
            .set(modify_vport_state_in::INGRESS_CONNECT, 1)
            .set(modify_vport_state_in::EGRESS_CONNECT, 1)
            .set(modify_vport_state_in::ADMIN_STATE, 1)
            .ok(dev);
    }
}

pub const FDB: u64 = 4;

pub fn table(dev: &mut Device, level: u64) -> u64 {
    let c = create_flow_table_in::FLOW_TABLE_CONTEXT;
    let out = Cmd::new(MLX5_CMD_OP_CREATE_FLOW_TABLE, create_flow_table_in::SIZE)
        .set(create_flow_table_in::TABLE_TYPE, FDB)
        .set(c.field(flow_table_context::LEVEL), level)
        .set(c.field(flow_table_context::LOG_SIZE), 8)
        .ok(dev);
    get(&out, create_flow_table_out::TABLE_ID)
}

pub fn root(dev: &mut Device, table: u64) {
    Cmd::new(
        MLX5_CMD_OP_SET_FLOW_TABLE_ROOT,
        set_flow_table_root_in::SIZE,
    )
    .set(set_flow_table_root_in::TABLE_TYPE, FDB)
    .set(set_flow_table_root_in::TABLE_ID, table)
    .ok(dev);
}

/// The match on the source port.
pub fn source() -> F {
    fte_match_param::MISC_PARAMETERS.field(fte_match_set_misc::SOURCE_PORT)
}

pub fn group(dev: &mut Device, table: u64) -> u64 {
    let out = Cmd::new(MLX5_CMD_OP_CREATE_FLOW_GROUP, create_flow_group_in::SIZE)
        .set(create_flow_group_in::TABLE_TYPE, FDB)
        .set(create_flow_group_in::TABLE_ID, table)
        .set(create_flow_group_in::END_FLOW_INDEX, 99)
        .set(create_flow_group_in::MATCH_CRITERIA_ENABLE, 2)
        .set(create_flow_group_in::MATCH_CRITERIA.field(source()), 0xffff)
        .ok(dev);
    get(&out, create_flow_group_out::GROUP_ID)
}

/// An entry for frames of vport `from`, with one destination.
pub fn entry(table: u64, group: u64, index: u64, from: u64, dest: (u64, u64)) -> Cmd {
    let c = set_fte_in::FLOW_CONTEXT;
    let at = (c.at + flow_context::DESTINATION.at) / 8;
    let d = |f: F| F::new(at * 8 + f.at, f.bits);
    Cmd::new(MLX5_CMD_OP_SET_FLOW_TABLE_ENTRY, set_fte_in::SIZE + 16)
        .set(set_fte_in::TABLE_TYPE, FDB)
        .set(set_fte_in::TABLE_ID, table)
        .set(set_fte_in::FLOW_INDEX, index)
        .set(c.field(flow_context::GROUP_ID), group)
        .set(
            c.field(flow_context::ACTION),
            MLX5_FLOW_CONTEXT_ACTION_FWD_DEST,
        )
        .set(c.field(flow_context::DESTINATION_LIST_SIZE), 1)
        .set(c.nested(flow_context::MATCH_VALUE).field(source()), from)
        .set(d(dest_format_struct::DESTINATION_TYPE), dest.0)
        .set(d(dest_format_struct::DESTINATION_ID), dest.1)
}

/// Where the queues that [`queues`] makes are in memory: a page each.
pub const EQ: usize = 0x1000;
pub const CQ: usize = 0x2000;
pub const SQ: usize = 0x3000;
pub const RQ: usize = 0x4000;
/// Doorbell records: of the completion, receive and send queues.
pub const CQ_DBR: usize = 0x5000;
pub const WQ_DBR: usize = 0x5040;
/// Entries of each queue.
pub const ENTRIES: u64 = 64;

/// One of each queue, ready to be used.
pub struct Queues {
    pub sqn: u64,
    pub rqn: u64,
    pub tirn: u64,
    pub mkey: u64,
    pub uar: u64,
}

/// A command with one page of memory at its end.
fn with_page(op: u64, len: usize, at: usize) -> Cmd {
    let mut c = Cmd::new(op, len);
    c.0.extend((at as u64).to_be_bytes());
    c
}

fn handle(out: &[u8]) -> u64 {
    get(out, F::new(0x48, 24))
}

/// Makes event, completion, send and receive queues with the commands that the
/// driver uses.
pub fn queues(dev: &mut Device) -> Queues {
    let uar = handle(&Cmd::new(MLX5_CMD_OP_ALLOC_UAR, alloc_uar_in::SIZE).ok(dev));
    let pd = handle(&Cmd::new(MLX5_CMD_OP_ALLOC_PD, alloc_pd_in::SIZE).ok(dev));
    let m = create_mkey_in::MEMORY_KEY_MKEY_ENTRY;
    let out = Cmd::new(MLX5_CMD_OP_CREATE_MKEY, create_mkey_in::SIZE)
        .set(m.field(mkc::PD), pd)
        .set(m.field(mkc::LENGTH64), 1)
        .ok(dev);
    let mkey = get(&out, create_mkey_out::MKEY_INDEX);
    let e = create_eq_in::EQ_CONTEXT_ENTRY;
    let out = with_page(MLX5_CMD_OP_CREATE_EQ, create_eq_in::SIZE, EQ)
        .set(e.field(eqc::LOG_EQ_SIZE), 6)
        .set(e.field(eqc::UAR_PAGE), uar)
        .ok(dev);
    let eqn = get(&out, create_eq_out::EQ_NUMBER);
    let c = create_cq_in::CQ_CONTEXT;
    let out = with_page(MLX5_CMD_OP_CREATE_CQ, create_cq_in::SIZE, CQ)
        .set(c.field(cqc::LOG_CQ_SIZE), 6)
        .set(c.field(cqc::UAR_PAGE), uar)
        .set(c.field(cqc::C_EQN_OR_APU_ELEMENT), eqn)
        .set(c.field(cqc::DBR_ADDR), CQ_DBR as u64)
        .ok(dev);
    let cqn = get(&out, create_cq_out::CQN);
    let s = create_sq_in::CTX;
    let w = s.nested(sqc::WQ);
    let out = with_page(MLX5_CMD_OP_CREATE_SQ, create_sq_in::SIZE, SQ)
        .set(s.field(sqc::CQN), cqn)
        .work_queue(w, pd, WQ_DBR)
        .set(w.field(wq::UAR_PAGE), uar)
        .ok(dev);
    let sqn = get(&out, create_sq_out::SQN);
    Cmd::new(MLX5_CMD_OP_MODIFY_SQ, modify_sq_in::SIZE)
        .set(modify_sq_in::SQN, sqn)
        .set(modify_sq_in::CTX.field(sqc::STATE), 1)
        .ok(dev);
    let r = create_rq_in::CTX;
    let w = r.nested(rqc::WQ);
    let out = with_page(MLX5_CMD_OP_CREATE_RQ, create_rq_in::SIZE, RQ)
        .set(r.field(rqc::CQN), cqn)
        .work_queue(w, pd, WQ_DBR)
        .ok(dev);
    let rqn = get(&out, create_rq_out::RQN);
    Cmd::new(MLX5_CMD_OP_MODIFY_RQ, modify_rq_in::SIZE)
        .set(modify_rq_in::RQN, rqn)
        .set(modify_rq_in::CTX.field(rqc::STATE), 1)
        .ok(dev);
    let out = Cmd::new(MLX5_CMD_OP_CREATE_TIR, create_tir_in::SIZE)
        .set(create_tir_in::CTX.field(tirc::INLINE_RQN), rqn)
        .ok(dev);
    Queues {
        sqn,
        rqn,
        tirn: handle(&out),
        mkey,
        uar,
    }
}
