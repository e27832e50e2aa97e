// SPDX-License-Identifier: GPL-2.0

//! What the engine does, for those who trace it.

use kernel::{
    prelude::*,
    str::CString, //
};

use kernel_ext::{
    net::flow_offload::HwDelta,
    time::boot_nsecs,
    trace::ovs_offload, //
};

use super::{
    reason::Reason,
    rule::Translated, //
};
use crate::flow::SwFlow;

/// When a driver is asked, if somebody wants to know.
pub(super) fn begin() -> Option<u64> {
    ovs_offload::install_enabled().then(boot_nsecs)
}

/// A driver has answered.
pub(super) fn install(begin: Option<u64>, cookie: usize, rule: &Translated, answer: Result) {
    if let Some(begin) = begin {
        ovs_offload::install(
            rule.in_port.name().as_cstr(),
            cookie,
            rule.chain,
            rule.rule.n_actions() as u32,
            answer,
            boot_nsecs().saturating_sub(begin),
        );
    }
}

/// A flow stays in software or leaves hardware. Its status says why.
pub(super) fn refuse(flow: &SwFlow) {
    if !ovs_offload::refuse_enabled() {
        return;
    }
    let status = flow.offload.status();
    let text = match flow.offload.driver_text() {
        Some(text) => CString::try_from_fmt(fmt!("{}", kernel::str::BStr::from_bytes(&text))),
        None => {
            let reason = Reason::from_code(status.reason).map_or("", Reason::as_str);

            CString::try_from_fmt(fmt!("{reason}"))
        }
    };
    ovs_offload::refuse(
        flow.key().in_port,
        status.state as u32,
        i32::from(status.errno).wrapping_neg(),
        text.as_ref().map_or(c"", |text| text),
    );
}

/// A flow has moved.
pub(super) fn moved(flow: &SwFlow) {
    if ovs_offload::move_enabled() {
        ovs_offload::moved(
            flow.key().in_port,
            flow.offload.cookie().unwrap_or(0),
            flow.offload.status().state as u32,
            flow.offload.rate.per_second().unwrap_or(0),
        );
    }
}

/// Counters of a rule have been read.
pub(super) fn stats(cookie: usize, delta: &HwDelta) {
    if ovs_offload::stats_enabled() {
        ovs_offload::stats(cookie, delta);
    }
}
