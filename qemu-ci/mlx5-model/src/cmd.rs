// SPDX-License-Identifier: GPL-2.0

//! The command interface: takes a command from its slot in the command queue,
//! runs it, and writes back the answer.

mod access_reg;
mod flow;
mod hca;
mod queues;
mod vport;

use crate::bits::View;
use crate::device::Device;
use crate::{decode, ifc, log};

const INLINE: usize = 16;
/// A status and a syndrome; an opcode and an operation modifier.
const MIN_BYTES: usize = 8;
const BLOCK: usize = 512;
const BLOCK_BYTES: usize = 576;
/// Larger than any command of the driver: 2 MiB of blocks.
const MAX_BYTES: usize = 2 << 20;

/// Why a command is refused: the status of the interface, a syndrome that
/// names the place in the model, and words for the log.
#[derive(Debug)]
pub struct Refuse {
    pub status: u64,
    pub syndrome: u32,
    pub why: String,
}

/// Ends a handler: `refuse!(BAD_PARAM, "no such {}", x)`.
macro_rules! refuse {
    ($status:ident, $($arg:tt)*) => {
        return Err($crate::cmd::refusal!($status, $($arg)*))
    };
}
pub(crate) use refuse;

macro_rules! refusal {
    ($status:ident, $($arg:tt)*) => {
        $crate::cmd::Refuse {
            status: $crate::cmd::status::$status,
            syndrome: $crate::cmd::syndrome(file!(), line!()),
            why: format!($($arg)*),
        }
    };
}
pub(crate) use refusal;

/// Command statuses, from device.h.
pub mod status {
    use crate::ifc;
    pub const BAD_OP: u64 = ifc::MLX5_CMD_STAT_BAD_OP_ERR;
    pub const BAD_PARAM: u64 = ifc::MLX5_CMD_STAT_BAD_PARAM_ERR;
    pub const BAD_SYS_STATE: u64 = ifc::MLX5_CMD_STAT_BAD_SYS_STATE_ERR;
    pub const BAD_RES: u64 = ifc::MLX5_CMD_STAT_BAD_RES_ERR;
    pub const RES_BUSY: u64 = ifc::MLX5_CMD_STAT_RES_BUSY;
    pub const LIM: u64 = ifc::MLX5_CMD_STAT_LIM_ERR;
    pub const NO_RES: u64 = ifc::MLX5_CMD_STAT_NO_RES_ERR;
    pub const BAD_INP_LEN: u64 = ifc::MLX5_CMD_STAT_BAD_INP_LEN_ERR;
    pub const INT_ERR: u64 = ifc::MLX5_CMD_STAT_INT_ERR;
}

/// A number that is the same for the same line of the same file.
pub fn syndrome(file: &str, line: u32) -> u32 {
    let hash = file
        .bytes()
        .fold(0u32, |h, b| h.wrapping_mul(31).wrapping_add(u32::from(b)));
    ((hash & 0xff) << 16) | line
}

pub type Done = Result<(), Refuse>;

/// A command as it lies in guest memory.
struct Slot {
    addr: u64,
    bytes: [u8; 64],
}

fn be32(b: &[u8], at: usize) -> u32 {
    b.get(at..at + 4)
        .and_then(|b| b.try_into().ok())
        .map_or(0, u32::from_be_bytes)
}

fn be64(b: &[u8], at: usize) -> u64 {
    b.get(at..at + 8)
        .and_then(|b| b.try_into().ok())
        .map_or(0, u64::from_be_bytes)
}

impl Slot {
    fn token(&self) -> u8 {
        self.bytes.get(60).copied().unwrap_or(0)
    }

    /// Calls `f(block address, start, length)` for the mailboxes of `len` bytes.
    fn mailboxes(
        &self,
        dev: &Device,
        first: u64,
        len: usize,
        mut f: impl FnMut(u64, usize, usize) -> Result<(), String>,
    ) -> Result<(), String> {
        let (mut at, mut next, mut number) = (INLINE, first, 0);
        while at < len {
            let addr = next & !0x1ff;
            let mut tail = [0u8; BLOCK_BYTES - BLOCK];
            dev.host
                .dma_read(addr + BLOCK as u64, &mut tail)
                .map_err(|e| e.to_string())?;
            let (block, token) = (be32(&tail, 56), tail.get(61).copied().unwrap_or(0));
            if block != number || token != self.token() {
                return Err(format!(
                    "mailbox {number}: number {block}, token {token:#x}, expected {:#x}",
                    self.token()
                ));
            }
            let n = (len - at).min(BLOCK);
            f(addr, at, n)?;
            next = be64(&tail, 48);
            at += n;
            number += 1;
        }
        Ok(())
    }

    fn input(&self, dev: &Device) -> Result<Vec<u8>, String> {
        let len = be32(&self.bytes, 4) as usize;
        if !(MIN_BYTES..=MAX_BYTES).contains(&len) {
            return Err(format!("input of {len} bytes"));
        }
        let mut buf = vec![0; len];
        for (d, s) in buf.iter_mut().zip(self.bytes.iter().skip(16)).take(INLINE) {
            *d = *s;
        }
        self.mailboxes(dev, be64(&self.bytes, 8), len, |addr, at, n| {
            let part = buf.get_mut(at..at + n).unwrap_or_default();
            dev.host.dma_read(addr, part).map_err(|e| e.to_string())
        })?;
        Ok(buf)
    }

    /// Writes the answer, and hands the slot back to the driver.
    fn finish(&mut self, dev: &Device, out: &[u8], delivery: u8) -> Result<(), String> {
        self.mailboxes(dev, be64(&self.bytes, 48), out.len(), |addr, at, n| {
            let part = out.get(at..at + n).unwrap_or_default();
            dev.host.dma_write(addr, part).map_err(|e| e.to_string())
        })?;
        let mut inline = [0u8; INLINE];
        for (d, s) in inline.iter_mut().zip(out) {
            *d = *s;
        }
        dev.host
            .dma_write(self.addr + 32, &inline)
            .map_err(|e| e.to_string())?;
        // Ownership goes last: bit 0 of the last byte.
        dev.host
            .dma_write(self.addr + 63, &[delivery << 1])
            .map_err(|e| e.to_string())
    }
}

/// Runs every command whose bit is set in the doorbell.
pub fn doorbell(dev: &mut Device, bits: u32) {
    let base = dev.regs.cmdq.load(std::sync::atomic::Ordering::Relaxed);
    for i in (0..32).filter(|i| bits & (1 << i) != 0) {
        let mut slot = Slot {
            addr: base + i * 64,
            bytes: [0; 64],
        };
        if let Err(e) = dev.host.dma_read(slot.addr, &mut slot.bytes) {
            log::error(format_args!("command slot {i}: {e}"));
            continue;
        }
        if let Err(why) = run(dev, &mut slot, i as u32) {
            log::error(format_args!("command slot {i}: {why}"));
        }
    }
}

fn run(dev: &mut Device, slot: &mut Slot, index: u32) -> Result<(), String> {
    // A command that makes the event queue is not reported through it.
    let eq = dev.command_eq();
    if slot.bytes.last().is_some_and(|b| b & 1 == 0) {
        return Err("the slot belongs to the driver".into());
    }
    let outlen = be32(&slot.bytes, 56) as usize;
    if !(MIN_BYTES..=MAX_BYTES).contains(&outlen) {
        return Err(format!("output of {outlen} bytes"));
    }
    let input = match slot.input(dev) {
        Ok(input) => input,
        Err(why) => {
            log::warn(format_args!("command slot {index}: {why}"));
            // Delivery status 6: bad mailbox pointer.
            slot.finish(dev, &[0; INLINE], 6)?;
            dev.post_command_event(eq, index);
            return Ok(());
        }
    };
    let mut out = vec![0; outlen];
    let Some(out) = execute(dev, &input, &mut out) else {
        // A fault on request: no answer, or none until it is asked for.
        dev.unanswered.push((slot.addr, index));
        return Ok(());
    };
    slot.finish(dev, out, 0)?;
    dev.post_command_event(eq, index);
    Ok(())
}

/// Answers, with an internal error, what a fault on request has left unanswered:
/// far too late for the driver, which has its slot back only now. Its mailboxes
/// may be gone, so that only the slot is written. Gives the number of answers.
pub fn answer_late(dev: &mut Device) -> usize {
    let list = std::mem::take(&mut dev.unanswered);
    for (addr, index) in &list {
        let mut slot = Slot {
            addr: *addr,
            bytes: [0; 64],
        };
        let mut out = [0; INLINE];
        if let Some(s) = out.first_mut() {
            *s = status::INT_ERR as u8;
        }
        let eq = dev.command_eq();
        if let Err(why) = slot.finish(dev, &out, 0) {
            log::error(format_args!("command slot {index}: {why}"));
        }
        dev.post_command_event(eq, *index);
    }
    list.len()
}

/// Runs one command on plain buffers; `None` if it is to stay unanswered.
pub fn execute<'a>(dev: &mut Device, input: &[u8], out: &'a mut [u8]) -> Option<&'a [u8]> {
    let view = View(input);
    let opcode = view.get(ifc::query_hca_cap_in::OPCODE);
    dev.count_command(opcode);
    let name = decode::opcode_name(opcode);
    let shown = name
        .clone()
        .unwrap_or_else(|| format!("opcode {opcode:#x}"));
    let result = match dev.fault_for(&shown) {
        Some(fault) => match fault.refusal() {
            Some(r) => Err(r),
            None => {
                log::info(format_args!("fault: {shown} stays unanswered"));
                return None;
            }
        },
        None => check_shape(&shown, input).and_then(|()| dispatch(dev, opcode, view, out)),
    };
    if log::level() >= 2 {
        log::command(format_args!(
            "> {shown}{}",
            decode::fields(input, "in", input)
        ));
    }
    if let Err(r) = &result {
        out.fill(0);
        if let [status, _, _, _, s0, s1, s2, s3, ..] = out {
            *status = r.status as u8;
            [*s0, *s1, *s2, *s3] = r.syndrome.to_be_bytes();
        }
        log::warn(format_args!(
            "{shown} refused, status {:#x}, syndrome {:#x}: {}",
            r.status, r.syndrome, r.why
        ));
        dev.stats.refused += 1;
    } else if log::level() >= 2 {
        log::command(format_args!(
            "< {shown}{}",
            decode::fields(input, "out", out)
        ));
    }
    Some(out)
}

/// A command shorter than its fixed part is refused, and one with bits that its
/// layout does not know.
fn check_shape(name: &str, input: &[u8]) -> Done {
    if let Some(desc) = decode::find(name, "in") {
        // Commands of one union of layouts may be given without its tail.
        let need = match name {
            "set_hca_cap" | "access_reg" => 16,
            _ => desc.bits / 8,
        };
        if input.len() < need {
            refuse!(BAD_INP_LEN, "{} bytes, needs {need}", input.len());
        }
    }
    if let Some(what) = decode::stray(name, input) {
        refuse!(BAD_PARAM, "{what}");
    }
    Ok(())
}

fn dispatch(dev: &mut Device, opcode: u64, i: View<'_>, out: &mut [u8]) -> Done {
    for group in [
        hca::run,
        queues::run,
        vport::run,
        access_reg::run,
        flow::run,
    ] {
        if let Some(done) = group(dev, opcode, i, out) {
            return done;
        }
    }
    refuse!(BAD_OP, "the model does not know it")
}
