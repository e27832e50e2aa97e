// SPDX-License-Identifier: GPL-2.0

//! Posting completions and events, and raising interrupts.

use crate::device::Device;
use crate::ifc::*;
use crate::log;
use crate::packet::be32;
use crate::queue::State;

/// The driver's consumer indices have 24 bits.
pub const INDEX: u32 = 0xff_ffff;

const CQE: usize = 64;

fn put(b: &mut [u8], at: usize, v: &[u8]) {
    for (d, s) in b.iter_mut().skip(at).zip(v) {
        *d = *s;
    }
}

/// Writes a completion; the owner bit goes last.
pub fn post(dev: &mut Device, cqn: u32, mut cqe: [u8; CQE], opcode: u64) {
    let Some(cq) = dev.res.cqs.get_mut(cqn) else {
        log::error(format_args!(
            "a completion for queue {cqn:#x}, which does not exist"
        ));
        return;
    };
    let size = 1u32 << cq.log_size;
    if cq.producer.wrapping_sub(cq.consumer) & INDEX >= size {
        let mut word = [0u8; 4];
        if dev.host.dma_read(cq.dbr, &mut word).is_ok() {
            cq.consumer = be32(&word, 0) & INDEX;
        }
        if !cq.overrun_ignore && cq.producer.wrapping_sub(cq.consumer) & INDEX >= size {
            log::error(format_args!(
                "completion queue {cqn:#x} is full: the driver does not read it"
            ));
            let mut data = [0u8; 28];
            put(&mut data, 0, &cqn.to_be_bytes());
            put(&mut data, 11, &[1]);
            event(dev, MLX5_EVENT_TYPE_CQ_ERROR, 0, data);
            return;
        }
    }
    let index = cq.producer & (size - 1);
    let owner = ((cq.producer >> cq.log_size) & 1) as u8;
    put(&mut cqe, 63, &[((opcode as u8) << 4) | owner]);
    let at = u64::from(index) * CQE as u64;
    let host = dev.host.as_ref();
    let body = cqe.get(..63).unwrap_or_default();
    let last = cqe.get(63..).unwrap_or_default();
    if let Err(e) = cq
        .ring
        .write(host, at, body)
        .and_then(|()| cq.ring.write(host, at + 63, last))
    {
        log::error(format_args!("completion queue {cqn:#x}: {e}"));
        return;
    }
    cq.producer = cq.producer.wrapping_add(1);
    if cq.armed {
        cq.armed = false;
        let eqn = cq.eqn;
        let mut data = [0u8; 28];
        put(&mut data, 24, &cqn.to_be_bytes());
        post_event(dev, eqn, MLX5_EVENT_TYPE_COMP, 0, data);
    }
}

/// The driver asks to be told of the next completion after `consumer`.
pub fn arm(dev: &mut Device, cqn: u32, consumer: u32) {
    let Some(cq) = dev.res.cqs.get_mut(cqn) else {
        log::warn(format_args!(
            "arming of completion queue {cqn:#x}, which does not exist"
        ));
        return;
    };
    cq.consumer = consumer & INDEX;
    if cq.producer & INDEX == cq.consumer {
        cq.armed = true;
        return;
    }
    let eqn = cq.eqn;
    let mut data = [0u8; 28];
    put(&mut data, 24, &cqn.to_be_bytes());
    post_event(dev, eqn, MLX5_EVENT_TYPE_COMP, 0, data);
}

/// An event for whichever queue takes its type.
pub fn event(dev: &mut Device, kind: u64, sub: u8, data: [u8; 28]) {
    let takes = |mask: &[u64; 4]| {
        mask.get((kind / 64) as usize)
            .is_some_and(|w| w & (1 << (kind % 64)) != 0)
    };
    let Some(eqn) = dev
        .res
        .eqs
        .iter()
        .find(|(_, e)| takes(&e.mask))
        .map(|(n, _)| n)
    else {
        return;
    };
    post_event(dev, eqn, kind, sub, data);
}

pub fn post_event(dev: &mut Device, eqn: u32, kind: u64, sub: u8, data: [u8; 28]) {
    let Some(eq) = dev.res.eqs.get_mut(eqn) else {
        return;
    };
    let size = 1u32 << eq.log_size;
    if eq.producer.wrapping_sub(eq.consumer) & INDEX >= size {
        log::error(format_args!(
            "event queue {eqn} is full: the driver does not read it"
        ));
        return;
    }
    let mut eqe = [0u8; 64];
    put(&mut eqe, 1, &[kind as u8]);
    put(&mut eqe, 3, &[sub]);
    put(&mut eqe, 32, &data);
    put(&mut eqe, 63, &[((eq.producer >> eq.log_size) & 1) as u8]);
    let at = u64::from(eq.producer & (size - 1)) * 64;
    let host = dev.host.as_ref();
    let body = eqe.get(..63).unwrap_or_default();
    let last = eqe.get(63..).unwrap_or_default();
    if let Err(e) = eq
        .ring
        .write(host, at, body)
        .and_then(|()| eq.ring.write(host, at + 63, last))
    {
        log::error(format_args!("event queue {eqn}: {e}"));
        return;
    }
    eq.producer = eq.producer.wrapping_add(1);
    if eq.armed {
        eq.armed = false;
        host.raise(eq.vector);
    }
}

/// The driver has read an event queue up to `consumer`.
pub fn event_doorbell(dev: &mut Device, eqn: u32, consumer: u32, arm: bool) {
    let Some(eq) = dev.res.eqs.get_mut(eqn) else {
        log::warn(format_args!(
            "doorbell for event queue {eqn}, which does not exist"
        ));
        return;
    };
    eq.consumer = consumer & INDEX;
    if !arm {
        return;
    }
    if eq.producer & INDEX == eq.consumer {
        eq.armed = true;
    } else {
        eq.armed = false;
        dev.host.raise(eq.vector);
    }
}

/// Completion of a send entry.
pub fn sent(dev: &mut Device, sqn: u32, index: u16, opcode: u8) {
    let Some(cqn) = dev.res.sqs.get(sqn).map(|s| s.cqn) else {
        return;
    };
    let mut c = [0u8; CQE];
    put(&mut c, 48, &log::now_ns().to_be_bytes());
    put(&mut c, 56, &((u32::from(opcode) << 24) | sqn).to_be_bytes());
    put(&mut c, 60, &index.to_be_bytes());
    post(dev, cqn, c, MLX5_CQE_REQ);
}

/// Puts a send queue in error, and says so.
pub fn send_error(dev: &mut Device, sqn: u32, syndrome: u8) {
    let Some(sq) = dev.res.sqs.get_mut(sqn) else {
        return;
    };
    sq.state = State::Error;
    let (cqn, index) = (sq.cqn, sq.index);
    let mut c = [0u8; CQE];
    put(&mut c, 54, &[0x68, syndrome]);
    put(&mut c, 56, &(0x0a00_0000 | sqn).to_be_bytes());
    put(&mut c, 60, &index.to_be_bytes());
    post(dev, cqn, c, MLX5_CQE_REQ_ERR);
    dev.stats.queue_errors += 1;
}
