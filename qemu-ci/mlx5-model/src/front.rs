// SPDX-License-Identifier: GPL-2.0

//! The registers: what a transport reads and writes. Reads are answered here
//! at once; everything that is work goes to the device's own thread.

use crate::pci::{self, Config};
use crate::transport::PciFunction;
use crate::{device::Event, log};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};

/// 32 commands of 64 bytes.
const CMDQ_SHAPE: u32 = 0x56;
pub const UAR_PAGE: u64 = 4096;

const FW_REV: u64 = 0;
const CMDIF_REV: u64 = 4;
const CMDQ_ADDR_H: u64 = 0x10;
const CMDQ_ADDR_L: u64 = 0x14;
const CMD_DOORBELL: u64 = 0x18;
const INITIALIZING: u64 = 0x1fc;
const HEALTH: u64 = 0x200;
const CMD_EXEC_TO: u64 = 0xff8;
const CMD_Q_INIT_TO: u64 = 0xffc;
const TIMER_H: u64 = 0x1000;
const TIMER_L: u64 = 0x1004;
const HEALTH_COUNTER: u64 = 0x1010;

/// How long the driver waits for the interface to come up, where the command
/// timeout is given too: the one is read only with the other.
const INIT_TIMEOUT_MS: u32 = 2000;

/// Version of the model, where a device has its firmware version.
pub const FW_MAJOR: u32 = 16;
pub const FW_MINOR: u32 = 99;
pub const FW_SUB: u32 = 1;

/// Registers that both the transport and the device's thread look at.
#[derive(Default)]
pub struct Regs {
    pub cmdq: AtomicU64,
    /// What the guest wrote to the low word, with the interface state in it.
    cmdq_low: AtomicU32,
    health_counter: AtomicU32,
    /// How long the driver shall wait for a command, in milliseconds; 0: it
    /// keeps its own limit. Read when the driver starts.
    pub cmd_timeout: AtomicU32,
    /// A fault on request: the health counter stands still.
    pub health_stopped: AtomicBool,
    /// A fault on request: the syndrome in the health buffer.
    pub health_syndrome: AtomicU32,
}

impl Regs {
    fn read(&self, off: u64) -> u32 {
        match off {
            FW_REV => (FW_MINOR << 16) | FW_MAJOR,
            CMDIF_REV => (5 << 16) | FW_SUB,
            CMDQ_ADDR_H => (self.cmdq.load(Relaxed) >> 32) as u32,
            CMDQ_ADDR_L => {
                let low = self.cmdq_low.load(Relaxed);
                (low & !0xff) | CMDQ_SHAPE
            }
            INITIALIZING => 0,
            // health_buffer: fw_ver, hw_id, then severity and syndrome.
            o if o == HEALTH + 0x30 => (FW_MAJOR << 24) | (FW_MINOR << 16) | FW_SUB,
            o if o == HEALTH + 0x34 => 0x020d,
            o if o == HEALTH + 0x3c => self.health_syndrome.load(Relaxed) << 16,
            // A unit in the upper bits, 0 for milliseconds, and 20 bits of value.
            CMD_EXEC_TO => self.cmd_timeout.load(Relaxed),
            CMD_Q_INIT_TO if self.cmd_timeout.load(Relaxed) != 0 => INIT_TIMEOUT_MS,
            TIMER_H => (log::now_ns() >> 32) as u32,
            TIMER_L => log::now_ns() as u32,
            HEALTH_COUNTER => {
                let step = u32::from(!self.health_stopped.load(Relaxed));
                self.health_counter.fetch_add(step, Relaxed)
            }
            _ => 0,
        }
    }
}

/// The register side of the device.
pub struct Front {
    config: Mutex<Config>,
    regs: Arc<Regs>,
    events: Sender<Event>,
}

impl Front {
    pub fn new(regs: Arc<Regs>, events: Sender<Event>) -> Self {
        Self {
            config: Mutex::new(Config::default()),
            regs,
            events,
        }
    }

    /// The device's thread is gone only when the process ends.
    fn send(&self, e: Event) {
        drop(self.events.send(e));
    }

    fn write32(&self, off: u64, v: u32) {
        let r = &self.regs;
        match off {
            CMDQ_ADDR_H => {
                let low = r.cmdq.load(Relaxed) & 0xffff_ffff;
                r.cmdq.store((u64::from(v) << 32) | low, Relaxed);
            }
            CMDQ_ADDR_L => {
                let high = r.cmdq.load(Relaxed) & !0xffff_ffff;
                r.cmdq_low.store(v, Relaxed);
                r.cmdq.store(high | u64::from(v & !0xfff), Relaxed);
            }
            CMD_DOORBELL => self.send(Event::Command(v)),
            _ => log::warn(format_args!(
                "write of {v:#x} to register {off:#x}, which is none"
            )),
        }
    }
}

impl PciFunction for Front {
    fn bar_size(&self, bar: usize) -> u64 {
        match bar {
            0 => pci::BAR0_SIZE,
            pci::MSIX_BAR => pci::MSIX_BAR_SIZE,
            _ => 0,
        }
    }

    fn vectors(&self) -> u16 {
        pci::VECTORS
    }

    fn config_read(&self, off: usize, buf: &mut [u8]) {
        self.config
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .read(off, buf);
    }

    fn config_write(&self, off: usize, buf: &[u8]) {
        let flr = self
            .config
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .write(off, buf);
        if flr {
            log::info(format_args!("function-level reset"));
            self.reset();
        }
    }

    fn bar_read(&self, bar: usize, off: u64, buf: &mut [u8]) {
        buf.fill(0);
        if bar != 0 || off >= UAR_PAGE * 2 {
            return;
        }
        // Any alignment and size, as the sum of aligned big-endian words.
        for (i, b) in buf.iter_mut().enumerate() {
            let at = off + i as u64;
            if at % 4 == 0 || i == 0 {
                let word = self.regs.read(at & !3).to_be_bytes();
                *b = word.get((at % 4) as usize).copied().unwrap_or(0);
                continue;
            }
            let word = self.regs.read_again(at & !3).to_be_bytes();
            *b = word.get((at % 4) as usize).copied().unwrap_or(0);
        }
    }

    fn bar_write(&self, bar: usize, off: u64, buf: &[u8]) {
        if bar != 0 {
            return;
        }
        if off < UAR_PAGE {
            match buf.try_into().map(u32::from_be_bytes) {
                Ok(v) => self.write32(off, v),
                Err(_) => log::warn(format_args!(
                    "write of {} bytes to register {off:#x}",
                    buf.len()
                )),
            }
            return;
        }
        let page = (off / UAR_PAGE) as u32;
        let at = (off % UAR_PAGE) as u32;
        let e = match *buf {
            [a, b, c, d] => Event::Doorbell {
                page,
                at,
                data: u64::from(u32::from_be_bytes([a, b, c, d])),
                wide: false,
            },
            [a, b, c, d, e, f, g, h] => Event::Doorbell {
                page,
                at,
                data: u64::from_be_bytes([a, b, c, d, e, f, g, h]),
                wide: true,
            },
            _ => {
                log::warn(format_args!("doorbell of {} bytes at {off:#x}", buf.len()));
                return;
            }
        };
        self.send(e);
    }

    fn reset(&self) {
        *self.config.lock().unwrap_or_else(PoisonError::into_inner) = Config::default();
        self.regs.cmdq.store(0, Relaxed);
        self.regs.cmdq_low.store(0, Relaxed);
        self.send(Event::Reset);
    }
}

impl Regs {
    /// The further bytes of a word: without the effect of a read.
    fn read_again(&self, off: u64) -> u32 {
        match off {
            HEALTH_COUNTER => self.health_counter.load(Relaxed),
            _ => self.read(off),
        }
    }
}
