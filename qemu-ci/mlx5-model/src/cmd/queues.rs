// SPDX-License-Identifier: GPL-2.0

//! Commands that make, change and destroy queues and what goes with them.

use super::{refusal, refuse, Done, Refuse};
use crate::bits::{set, View, A, F, S};
use crate::caps;
use crate::device::Device;
use crate::ifc::*;
use crate::queue::{Cq, Eq, Mkey, Rq, Spread, Sq, State, Tir};
use crate::ring::Ring;
use crate::table::Table;

/// Where every `destroy_*_in` has its handle: the low 24 bits of its third word.
const HANDLE: F = F::new(0x48, 24);
/// Where every `create_*_out` has its handle.
const NEW_HANDLE: F = F::new(0x48, 24);

pub fn run(dev: &mut Device, op: u64, i: View<'_>, out: &mut [u8]) -> Option<Done> {
    let id = i.u32(HANDLE);
    let r = &mut dev.res;
    Some(match op {
        MLX5_CMD_OP_ALLOC_UAR => new(&mut r.uars, (), out),
        MLX5_CMD_OP_DEALLOC_UAR => gone(&mut r.uars, id),
        MLX5_CMD_OP_ALLOC_PD => new(&mut r.pds, (), out),
        MLX5_CMD_OP_DEALLOC_PD => gone(&mut r.pds, id),
        MLX5_CMD_OP_ALLOC_TRANSPORT_DOMAIN => new(&mut r.domains, (), out),
        MLX5_CMD_OP_DEALLOC_TRANSPORT_DOMAIN => gone(&mut r.domains, id),
        MLX5_CMD_OP_CREATE_MKEY => create_mkey(dev, i, out),
        MLX5_CMD_OP_DESTROY_MKEY => gone(&mut r.mkeys, i.u32(destroy_mkey_in::MKEY_INDEX)),
        MLX5_CMD_OP_CREATE_EQ => create_eq(dev, i, out),
        MLX5_CMD_OP_DESTROY_EQ => destroy_eq(dev, i.u32(destroy_eq_in::EQ_NUMBER)),
        MLX5_CMD_OP_CREATE_CQ => create_cq(dev, i, out),
        MLX5_CMD_OP_DESTROY_CQ => destroy_cq(dev, id),
        MLX5_CMD_OP_MODIFY_CQ => known(&r.cqs, i.u32(modify_cq_in::CQN)),
        MLX5_CMD_OP_CREATE_SQ => create_sq(dev, i, out),
        MLX5_CMD_OP_MODIFY_SQ => modify_sq(dev, i),
        MLX5_CMD_OP_DESTROY_SQ => destroy_sq(dev, id),
        MLX5_CMD_OP_QUERY_SQ => query_sq(dev, i, out),
        MLX5_CMD_OP_CREATE_RQ => create_rq(dev, i, out),
        MLX5_CMD_OP_MODIFY_RQ => modify_rq(dev, i),
        MLX5_CMD_OP_DESTROY_RQ => destroy_rq(dev, id),
        MLX5_CMD_OP_QUERY_RQ => query_rq(dev, i, out),
        MLX5_CMD_OP_CREATE_RQT => create_rqt(dev, i, out),
        MLX5_CMD_OP_MODIFY_RQT => modify_rqt(dev, i),
        MLX5_CMD_OP_DESTROY_RQT => gone(&mut r.rqts, id),
        MLX5_CMD_OP_CREATE_TIR => create_tir(dev, i, out),
        MLX5_CMD_OP_MODIFY_TIR => modify_tir(dev, i),
        MLX5_CMD_OP_DESTROY_TIR => gone(&mut r.tirs, id),
        MLX5_CMD_OP_CREATE_TIS => new(&mut r.tiss, (), out),
        MLX5_CMD_OP_MODIFY_TIS => known(&r.tiss, id),
        MLX5_CMD_OP_DESTROY_TIS => gone(&mut r.tiss, id),
        MLX5_CMD_OP_ALLOC_Q_COUNTER => alloc_q_counter(dev, out),
        MLX5_CMD_OP_DEALLOC_Q_COUNTER => gone(
            &mut r.q_counters,
            i.u32(dealloc_q_counter_in::COUNTER_SET_ID),
        ),
        MLX5_CMD_OP_QUERY_Q_COUNTER => query_q_counter(dev, i, out),
        _ => return None,
    })
}

fn insert<T>(t: &mut Table<T>, item: T) -> Result<u32, Refuse> {
    let name = t.name();
    t.insert(item)
        .ok_or_else(|| refusal!(NO_RES, "no {name} left"))
}

fn new<T>(t: &mut Table<T>, item: T, out: &mut [u8]) -> Done {
    let id = insert(t, item)?;
    set(out, NEW_HANDLE, u64::from(id));
    Ok(())
}

fn known<T>(t: &Table<T>, id: u32) -> Done {
    if !t.contains(id) {
        refuse!(BAD_RES, "{} {id:#x} does not exist", t.name());
    }
    Ok(())
}

fn gone<T>(t: &mut Table<T>, id: u32) -> Done {
    known(t, id)?;
    t.remove(id);
    Ok(())
}

fn create_mkey(dev: &mut Device, i: View<'_>, out: &mut [u8]) -> Done {
    let c = i.nested(create_mkey_in::MEMORY_KEY_MKEY_ENTRY);
    let mode = (c.get(mkc::ACCESS_MODE_4_2) << 2) | c.get(mkc::ACCESS_MODE_1_0);
    if mode != 0 {
        refuse!(
            BAD_PARAM,
            "memory keys of access mode {mode} are not supported"
        );
    }
    let pd = c.u32(mkc::PD);
    known(&dev.res.pds, pd)?;
    let len = (!c.bool(mkc::LENGTH64)).then(|| c.get(mkc::LEN));
    let key = Mkey {
        physical: true,
        start: c.get(mkc::START_ADDR),
        len,
    };
    let id = insert(&mut dev.res.mkeys, key)?;
    set(out, create_mkey_out::MKEY_INDEX, u64::from(id));
    Ok(())
}

fn ring(i: View<'_>, pas: A, bytes: u64, log_page: u64, offset: u64) -> Result<Ring, Refuse> {
    if offset != 0 {
        refuse!(BAD_PARAM, "page offset {offset} is not supported");
    }
    Ring::new(i, pas, bytes, log_page)
        .ok_or_else(|| refusal!(BAD_INP_LEN, "page list too short for {bytes} bytes"))
}

fn create_eq(dev: &mut Device, i: View<'_>, out: &mut [u8]) -> Done {
    let c = i.nested(create_eq_in::EQ_CONTEXT_ENTRY);
    let log_size = c.u32(eqc::LOG_EQ_SIZE);
    if u64::from(log_size) > caps::LOG_MAX_EQ_SZ {
        refuse!(BAD_PARAM, "event queue of 2^{log_size} entries");
    }
    let vector = c.u32(eqc::INTR);
    if vector >= u32::from(crate::pci::VECTORS) {
        refuse!(BAD_PARAM, "interrupt vector {vector}");
    }
    known(&dev.res.uars, c.u32(eqc::UAR_PAGE))?;
    let ring = ring(
        i,
        create_eq_in::PAS,
        64 << log_size,
        c.get(eqc::LOG_PAGE_SIZE),
        c.get(eqc::PAGE_OFFSET),
    )?;
    let word = |n: usize| i.get(F::new(create_eq_in::EVENT_BITMASK.at + n * 64, 64));
    let mask = [word(0), word(1), word(2), word(3)];
    let eq = Eq {
        ring,
        log_size,
        vector: vector as u16,
        mask,
        producer: 0,
        consumer: 0,
        armed: false,
    };
    let id = insert(&mut dev.res.eqs, eq)?;
    set(out, create_eq_out::EQ_NUMBER, u64::from(id));
    Ok(())
}

fn destroy_eq(dev: &mut Device, id: u32) -> Done {
    known(&dev.res.eqs, id)?;
    if dev.res.cqs.iter().any(|(_, c)| c.eqn == id) {
        refuse!(RES_BUSY, "event queue {id} has completion queues");
    }
    dev.res.eqs.remove(id);
    Ok(())
}

fn create_cq(dev: &mut Device, i: View<'_>, out: &mut [u8]) -> Done {
    let c = i.nested(create_cq_in::CQ_CONTEXT);
    let log_size = c.u32(cqc::LOG_CQ_SIZE);
    if u64::from(log_size) > caps::LOG_MAX_CQ_SZ {
        refuse!(BAD_PARAM, "completion queue of 2^{log_size} entries");
    }
    if c.get(cqc::CQE_SZ) != 0 || c.bool(cqc::CQE_COMP_EN) {
        refuse!(
            BAD_PARAM,
            "only plain completions of 64 bytes are supported"
        );
    }
    let eqn = c.u32(cqc::C_EQN_OR_APU_ELEMENT);
    known(&dev.res.eqs, eqn)?;
    known(&dev.res.uars, c.u32(cqc::UAR_PAGE))?;
    let cq = Cq {
        ring: ring(
            i,
            create_cq_in::PAS,
            64 << log_size,
            c.get(cqc::LOG_PAGE_SIZE),
            c.get(cqc::PAGE_OFFSET),
        )?,
        log_size,
        eqn,
        dbr: c.get(cqc::DBR_ADDR),
        producer: 0,
        consumer: 0,
        armed: false,
        overrun_ignore: c.bool(cqc::OI),
        users: 0,
    };
    let id = insert(&mut dev.res.cqs, cq)?;
    set(out, create_cq_out::CQN, u64::from(id));
    Ok(())
}

fn destroy_cq(dev: &mut Device, id: u32) -> Done {
    let Some(cq) = dev.res.cqs.get(id) else {
        refuse!(BAD_RES, "completion queue {id:#x} does not exist");
    };
    if cq.users != 0 {
        refuse!(
            RES_BUSY,
            "completion queue {id:#x} is used by {} queues",
            cq.users
        );
    }
    dev.res.cqs.remove(id);
    Ok(())
}

/// One more, or one less, work queue uses the completion queue.
fn use_cq(dev: &mut Device, cqn: u32, more: bool) {
    if let Some(cq) = dev.res.cqs.get_mut(cqn) {
        cq.users = if more {
            cq.users.saturating_add(1)
        } else {
            cq.users.saturating_sub(1)
        };
    }
}

/// What both kinds of work queue share.
fn work_queue(i: View<'_>, at: S, stride: u32) -> Result<(Ring, u32, u64), Refuse> {
    let w = i.nested(at);
    let log_size = w.u32(wq::LOG_WQ_SZ);
    if u64::from(log_size) > caps::LOG_MAX_WQ {
        refuse!(BAD_PARAM, "work queue of 2^{log_size} entries");
    }
    if w.get(wq::WQ_TYPE) != 1 {
        refuse!(BAD_PARAM, "work queue type {}", w.get(wq::WQ_TYPE));
    }
    if w.bool(wq::DBR_UMEM_VALID) || w.bool(wq::WQ_UMEM_VALID) || w.bool(wq::WQ_SIGNATURE) {
        refuse!(BAD_PARAM, "user memory and signatures are not supported");
    }
    let pas = A::new(at.at + wq::PAS.at, 64, 0);
    let bytes = 1u64 << (log_size + stride);
    let ring = ring(
        i,
        pas,
        bytes,
        w.get(wq::LOG_WQ_PG_SZ),
        w.get(wq::PAGE_OFFSET),
    )?;
    Ok((ring, log_size, w.get(wq::DBR_ADDR)))
}

fn create_sq(dev: &mut Device, i: View<'_>, out: &mut [u8]) -> Done {
    let ctx = create_sq_in::CTX;
    let c = i.nested(ctx);
    if c.bool(sqc::HAIRPIN) || c.bool(sqc::ALLOW_MULTI_PKT_SEND_WQE) {
        refuse!(
            BAD_PARAM,
            "hairpin and multi-packet send queues are not supported"
        );
    }
    let w = i.nested(ctx.nested(sqc::WQ));
    if w.get(wq::LOG_WQ_STRIDE) != 6 {
        refuse!(
            BAD_PARAM,
            "send queue stride 2^{}",
            w.get(wq::LOG_WQ_STRIDE)
        );
    }
    known(&dev.res.pds, w.u32(wq::PD))?;
    known(&dev.res.uars, w.u32(wq::UAR_PAGE))?;
    let (cqn, tisn) = (c.u32(sqc::CQN), c.u32(sqc::TIS_NUM_0));
    known(&dev.res.cqs, cqn)?;
    if c.get(sqc::TIS_LST_SZ) != 0 {
        known(&dev.res.tiss, tisn)?;
    }
    let (ring, log_size, dbr) = work_queue(i, ctx.nested(sqc::WQ), 6)?;
    let sq = Sq {
        ring,
        log_size,
        dbr,
        cqn,
        tisn,
        state: State::Reset,
        index: 0,
        packets: 0,
    };
    let id = insert(&mut dev.res.sqs, sq)?;
    use_cq(dev, cqn, true);
    set(out, create_sq_out::SQN, u64::from(id));
    Ok(())
}

/// The new state, if the change from `now` as the driver sees it is allowed.
fn transition(now: State, claimed: u64, wanted: u64) -> Result<State, Refuse> {
    let Some(next) = State::from_ifc(wanted) else {
        refuse!(BAD_PARAM, "queue state {wanted}");
    };
    if State::from_ifc(claimed) != Some(now) {
        refuse!(
            BAD_SYS_STATE,
            "queue is {now:?}, and not in state {claimed}"
        );
    }
    match (now, next) {
        (State::Error, State::Ready) => {
            refuse!(BAD_SYS_STATE, "queue cannot go from error to ready")
        }
        _ => Ok(next),
    }
}

fn modify_sq(dev: &mut Device, i: View<'_>) -> Done {
    let id = i.u32(modify_sq_in::SQN);
    let Some(sq) = dev.res.sqs.get_mut(id) else {
        refuse!(BAD_RES, "send queue {id:#x} does not exist");
    };
    let c = i.nested(modify_sq_in::CTX);
    sq.state = transition(sq.state, i.get(modify_sq_in::SQ_STATE), c.get(sqc::STATE))?;
    if sq.state == State::Reset {
        sq.index = 0;
    }
    Ok(())
}

fn destroy_sq(dev: &mut Device, id: u32) -> Done {
    let Some(sq) = dev.res.sqs.remove(id) else {
        refuse!(BAD_RES, "send queue {id:#x} does not exist");
    };
    use_cq(dev, sq.cqn, false);
    Ok(())
}

fn state_value(s: State) -> u64 {
    match s {
        State::Reset => 0,
        State::Ready => 1,
        State::Error => 3,
    }
}

fn query_sq(dev: &Device, i: View<'_>, out: &mut [u8]) -> Done {
    let id = i.u32(query_sq_in::SQN);
    let Some(sq) = dev.res.sqs.get(id) else {
        refuse!(BAD_RES, "send queue {id:#x} does not exist");
    };
    let ctx = query_sq_out::SQ_CONTEXT;
    set(out, ctx.field(sqc::STATE), state_value(sq.state));
    set(out, ctx.field(sqc::CQN), u64::from(sq.cqn));
    Ok(())
}

fn create_rq(dev: &mut Device, i: View<'_>, out: &mut [u8]) -> Done {
    let ctx = create_rq_in::CTX;
    let c = i.nested(ctx);
    if c.get(rqc::MEM_RQ_TYPE) != 0 || c.bool(rqc::HAIRPIN) || c.bool(rqc::SCATTER_FCS) {
        refuse!(
            BAD_PARAM,
            "shared, hairpin and FCS receive queues are not supported"
        );
    }
    let w = i.nested(ctx.nested(rqc::WQ));
    let log_stride = w.u32(wq::LOG_WQ_STRIDE);
    if !(4..=10).contains(&log_stride) {
        refuse!(BAD_PARAM, "receive queue stride 2^{log_stride}");
    }
    // The driver's drop queue, which gets no buffers, has no domain either.
    if w.u32(wq::PD) != 0 {
        known(&dev.res.pds, w.u32(wq::PD))?;
    }
    let cqn = c.u32(rqc::CQN);
    known(&dev.res.cqs, cqn)?;
    let (ring, log_size, dbr) = work_queue(i, ctx.nested(rqc::WQ), log_stride)?;
    let rq = Rq {
        ring,
        log_size,
        log_stride,
        dbr,
        cqn,
        counter: c.u32(rqc::COUNTER_SET_ID),
        vlan_strip: !c.bool(rqc::VSD),
        state: State::Reset,
        index: 0,
        packets: 0,
        out_of_buffer: 0,
    };
    let id = insert(&mut dev.res.rqs, rq)?;
    use_cq(dev, cqn, true);
    set(out, create_rq_out::RQN, u64::from(id));
    Ok(())
}

fn modify_rq(dev: &mut Device, i: View<'_>) -> Done {
    const MASK_VSD: u64 = 1 << 1;
    let id = i.u32(modify_rq_in::RQN);
    let Some(rq) = dev.res.rqs.get_mut(id) else {
        refuse!(BAD_RES, "receive queue {id:#x} does not exist");
    };
    let c = i.nested(modify_rq_in::CTX);
    rq.state = transition(rq.state, i.get(modify_rq_in::RQ_STATE), c.get(rqc::STATE))?;
    if i.get(modify_rq_in::MODIFY_BITMASK) & MASK_VSD != 0 {
        rq.vlan_strip = !c.bool(rqc::VSD);
    }
    if rq.state == State::Reset {
        rq.index = 0;
    }
    Ok(())
}

fn destroy_rq(dev: &mut Device, id: u32) -> Done {
    let Some(rq) = dev.res.rqs.remove(id) else {
        refuse!(BAD_RES, "receive queue {id:#x} does not exist");
    };
    use_cq(dev, rq.cqn, false);
    Ok(())
}

fn query_rq(dev: &Device, i: View<'_>, out: &mut [u8]) -> Done {
    let id = i.u32(query_rq_in::RQN);
    let Some(rq) = dev.res.rqs.get(id) else {
        refuse!(BAD_RES, "receive queue {id:#x} does not exist");
    };
    let ctx = query_rq_out::RQ_CONTEXT;
    set(out, ctx.field(rqc::STATE), state_value(rq.state));
    set(out, ctx.field(rqc::CQN), u64::from(rq.cqn));
    Ok(())
}

fn rq_list(dev: &Device, i: View<'_>, at: S) -> Result<Vec<u32>, Refuse> {
    let c = i.nested(at);
    let (n, max) = (c.get(rqtc::RQT_ACTUAL_SIZE), c.get(rqtc::RQT_MAX_SIZE));
    if n > 256 || max > 256 {
        refuse!(BAD_PARAM, "indirection table of {n} of {max} entries");
    }
    let list = View(i.0).rest(at.at);
    let mut rqns = Vec::new();
    for k in 0..n as usize {
        let rqn = list.u32(F::new(rqtc::RQ_NUM.at + k * 32 + 8, 24));
        known(&dev.res.rqs, rqn)?;
        rqns.push(rqn);
    }
    Ok(rqns)
}

fn create_rqt(dev: &mut Device, i: View<'_>, out: &mut [u8]) -> Done {
    let rqns = rq_list(dev, i, create_rqt_in::RQT_CONTEXT)?;
    new(&mut dev.res.rqts, rqns, out)
}

fn modify_rqt(dev: &mut Device, i: View<'_>) -> Done {
    let id = i.u32(modify_rqt_in::RQTN);
    let rqns = rq_list(dev, i, modify_rqt_in::CTX)?;
    match dev.res.rqts.get_mut(id) {
        Some(t) => *t = rqns,
        None => refuse!(BAD_RES, "indirection table {id:#x} does not exist"),
    }
    Ok(())
}

fn tir_from(dev: &Device, i: View<'_>, at: S) -> Result<Tir, Refuse> {
    let c = i.nested(at);
    if c.get(tirc::PACKET_MERGE_MASK) != 0 {
        refuse!(BAD_PARAM, "receive offload is not supported");
    }
    match c.get(tirc::DISP_TYPE) {
        0 => {
            let rqn = c.u32(tirc::INLINE_RQN);
            known(&dev.res.rqs, rqn)?;
            Ok(Tir {
                spread: Spread::Direct { rqn },
            })
        }
        1 => {
            let rqt = c.u32(tirc::INDIRECT_TABLE);
            known(&dev.res.rqts, rqt)?;
            let mut key = [0; 40];
            for (n, b) in key.iter_mut().enumerate() {
                *b = c.get(F::new(tirc::RX_HASH_TOEPLITZ_KEY.at + n * 8, 8)) as u8;
            }
            let sel = c.nested(tirc::RX_HASH_FIELD_SELECTOR_OUTER);
            Ok(Tir {
                spread: Spread::Indirect {
                    rqt,
                    toeplitz: c.get(tirc::RX_HASH_FN) == 2,
                    key,
                    symmetric: c.bool(tirc::RX_HASH_SYMMETRIC),
                    fields: sel.u32(rx_hash_field_select::SELECTED_FIELDS),
                    l3_v6: sel.bool(rx_hash_field_select::L3_PROT_TYPE),
                },
            })
        }
        other => refuse!(BAD_PARAM, "dispatch type {other}"),
    }
}

fn create_tir(dev: &mut Device, i: View<'_>, out: &mut [u8]) -> Done {
    let tir = tir_from(dev, i, create_tir_in::CTX)?;
    new(&mut dev.res.tirs, tir, out)
}

fn modify_tir(dev: &mut Device, i: View<'_>) -> Done {
    use modify_tir_bitmask as bit;
    let id = i.u32(modify_tir_in::TIRN);
    known(&dev.res.tirs, id)?;
    let mask = i.nested(modify_tir_in::BITMASK);
    let c = i.nested(modify_tir_in::CTX);
    let at = modify_tir_in::CTX;
    if mask.bool(bit::PACKET_MERGE) && c.get(tirc::PACKET_MERGE_MASK) != 0 {
        refuse!(BAD_PARAM, "receive offload is not supported");
    }
    let hash = mask.bool(bit::HASH);
    let Some(tir) = dev.res.tirs.get_mut(id) else {
        return Ok(());
    };
    if let Spread::Indirect {
        toeplitz,
        key,
        symmetric,
        fields,
        l3_v6,
        ..
    } = &mut tir.spread
    {
        if hash {
            *toeplitz = c.get(tirc::RX_HASH_FN) == 2;
            *symmetric = c.bool(tirc::RX_HASH_SYMMETRIC);
            for (n, b) in key.iter_mut().enumerate() {
                *b = i.get(F::new(at.at + tirc::RX_HASH_TOEPLITZ_KEY.at + n * 8, 8)) as u8;
            }
            let sel = c.nested(tirc::RX_HASH_FIELD_SELECTOR_OUTER);
            *fields = sel.u32(rx_hash_field_select::SELECTED_FIELDS);
            *l3_v6 = sel.bool(rx_hash_field_select::L3_PROT_TYPE);
        }
    }
    Ok(())
}

fn alloc_q_counter(dev: &mut Device, out: &mut [u8]) -> Done {
    let id = insert(&mut dev.res.q_counters, ())?;
    set(out, alloc_q_counter_out::COUNTER_SET_ID, u64::from(id));
    Ok(())
}

fn query_q_counter(dev: &Device, i: View<'_>, out: &mut [u8]) -> Done {
    let id = i.u32(query_q_counter_in::COUNTER_SET_ID);
    known(&dev.res.q_counters, id)?;
    let dropped: u64 = dev
        .res
        .rqs
        .iter()
        .filter(|(_, r)| r.counter == id)
        .map(|(_, r)| r.out_of_buffer)
        .sum();
    set(out, query_q_counter_out::OUT_OF_BUFFER, dropped);
    Ok(())
}
