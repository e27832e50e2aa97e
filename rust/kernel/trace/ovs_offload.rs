// SPDX-License-Identifier: GPL-2.0

//! Flows that move between software and hardware.

use kernel::{
    prelude::*,
    str::CStrExt, //
};

#[cfg(CONFIG_TRACEPOINTS)]
use crate::bindings;
use crate::{
    net::flow_offload::HwDelta,
    tracepoint::enabled, //
};

/// Whether rules that are handed to drivers are traced.
#[inline]
pub fn install_enabled() -> bool {
    enabled!(__tracepoint_ovs_offload_install)
}

/// A driver has been asked to take a rule of so many actions, and took so many
/// nanoseconds for its answer.
pub fn install(dev: &CStr, cookie: usize, chain: u32, n_actions: u32, answer: Result, nsecs: u64) {
    let err = answer.map_or_else(|err| err.to_errno(), |()| 0);

    #[cfg(CONFIG_TRACEPOINTS)]
    // SAFETY: The name is valid during the call.
    unsafe {
        bindings::rust_do_trace_ovs_offload_install(
            dev.as_char_ptr(),
            cookie,
            chain,
            n_actions,
            err,
            nsecs,
        )
    };
    let _ = (dev, cookie, chain, n_actions, err, nsecs);
}

/// Whether flows that stay in software are traced.
#[inline]
pub fn refuse_enabled() -> bool {
    enabled!(__tracepoint_ovs_offload_refuse)
}

/// A flow that matches on a port stays in software, or leaves hardware: its
/// state, the driver's error as a negative number, and the reason.
pub fn refuse(in_port: u16, state: u32, err: i32, reason: &CStr) {
    #[cfg(CONFIG_TRACEPOINTS)]
    // SAFETY: The reason is valid during the call.
    unsafe {
        bindings::rust_do_trace_ovs_offload_refuse(in_port.into(), state, err, reason.as_char_ptr())
    };
    let _ = (in_port, state, err, reason);
}

/// Whether flows that move are traced.
#[inline]
pub fn move_enabled() -> bool {
    enabled!(__tracepoint_ovs_offload_move)
}

/// A flow that matches on a port has moved into hardware or out of it: the
/// cookie of its rule or of its wait, 0 for neither, its state, and its packets
/// a second as far as measured.
pub fn moved(in_port: u16, cookie: usize, state: u32, rate: u32) {
    #[cfg(CONFIG_TRACEPOINTS)]
    // SAFETY: The arguments are numbers.
    unsafe {
        bindings::rust_do_trace_ovs_offload_move(in_port.into(), cookie, state, rate)
    };
    let _ = (in_port, cookie, state, rate);
}

/// Whether counters that are read are traced.
#[inline]
pub fn stats_enabled() -> bool {
    enabled!(__tracepoint_ovs_offload_stats)
}

/// The counters of a rule have been read; hardware has counted so much since
/// they were read last.
pub fn stats(cookie: usize, delta: &HwDelta) {
    #[cfg(CONFIG_TRACEPOINTS)]
    // SAFETY: The arguments are numbers.
    unsafe {
        bindings::rust_do_trace_ovs_offload_stats(
            cookie,
            delta.packets,
            delta.bytes,
            delta.lastused,
        )
    };
    let _ = (cookie, delta);
}
