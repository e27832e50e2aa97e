// SPDX-License-Identifier: GPL-2.0

//! The action that sends a sample of the packet to userspace.

use kernel_ext::net::{
    psample::{
        sample_packet,
        PsampleMetadata, //
    },
    skbuff::SkBuff, //
};

use super::{
    cb::OvsSkbCb,
    execute::Execution,
    PsampleAction, //
};

/// Sends a sample of the packet to who listens, cut to what the last truncation
/// keeps of it, with the probability that the packet was chosen with.
///
/// C: `execute_psample()`.
#[inline(never)]
pub(super) fn execute_psample(exec: &Execution<'_>, skb: &SkBuff, action: &PsampleAction) {
    let cb: &OvsSkbCb = skb.cb();
    // CAST: `skb->len` is an `unsigned int`.
    let len = skb.len() as u32;
    let md = PsampleMetadata {
        group_num: action.group,
        in_ifindex: exec.in_port().dev().ifindex(),
        trunc_size: len.min(cb.cutlen),
        probability: match cb.probability {
            0 => u32::MAX,
            probability => probability,
        },
        user_cookie: action.cookie(),
    };
    if let Some(net) = exec.dp().net().get(exec.ctx().rcu()) {
        sample_packet(net, skb, &md);
    }
}
