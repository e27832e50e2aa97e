// SPDX-License-Identifier: GPL-2.0

//! Lines on standard error, with the time since the start, and counts of how
//! many warnings and errors there were.

use std::fmt::Arguments;
use std::sync::atomic::{AtomicU64, AtomicU8, Ordering::Relaxed};
use std::sync::OnceLock;
use std::time::Instant;

static START: OnceLock<Instant> = OnceLock::new();
static LEVEL: AtomicU8 = AtomicU8::new(1);
pub static WARNINGS: AtomicU64 = AtomicU64::new(0);
pub static ERRORS: AtomicU64 = AtomicU64::new(0);

/// 0: errors and warnings; 1: also events; 2: also every command decoded;
/// 3: also doorbells and packets.
pub fn set_level(level: u8) {
    LEVEL.store(level, Relaxed);
    START.get_or_init(Instant::now);
}

pub fn level() -> u8 {
    LEVEL.load(Relaxed)
}

/// Nanoseconds since the model started.
pub fn now_ns() -> u64 {
    START.get_or_init(Instant::now).elapsed().as_nanos() as u64
}

fn line(tag: &str, text: Arguments<'_>) {
    let us = now_ns() / 1000;
    eprintln!("[{:5}.{:06}] {tag}{text}", us / 1_000_000, us % 1_000_000);
}

/// Something the model cannot do its work with.
pub fn error(text: Arguments<'_>) {
    ERRORS.fetch_add(1, Relaxed);
    line("error: ", text);
}

/// Something that a device would refuse or that the driver should not do.
pub fn warn(text: Arguments<'_>) {
    WARNINGS.fetch_add(1, Relaxed);
    line("warning: ", text);
}

pub fn info(text: Arguments<'_>) {
    if level() >= 1 {
        line("", text);
    }
}

/// One decoded command.
pub fn command(text: Arguments<'_>) {
    if level() >= 2 {
        line("", text);
    }
}

pub fn trace(text: Arguments<'_>) {
    if level() >= 3 {
        line("", text);
    }
}
