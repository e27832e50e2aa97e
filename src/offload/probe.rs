// SPDX-License-Identifier: GPL-2.0

//! Finding out why a driver does not take a rule.
//!
//! A driver's error is the same for all that it does not take. To ask again and
//! again for what it never takes costs time, and some write a line into the
//! kernel's log each time.

use kernel::{
    error::code::EOPNOTSUPP,
    prelude::*, //
};

use kernel_ext::net::flow_offload::{
    DriverText,
    FlowBlock,
    FlowRule, //
};
use zerocopy::network_endian::U32 as Be32;

use super::{
    engine::PRIO,
    tunnel::IGNORABLE_FLAGS, //
};
use crate::flow::{
    tunnel::AF_INET6,
    SwFlow, //
};

/// Whether a driver takes no match on flags of a tunnel, seen by a flow's rule
/// that it did not take: the flags are why if it takes a rule without them, and
/// does not take it with them. Sleeps. `cookie` gives new cookies.
///
/// For that, rules are in hardware for a moment. They drop what no host has
/// sent, as software would: packets whose outer source is the limited broadcast
/// address, or a multicast one, and whose outer destination is none.
#[inline(never)]
pub(super) fn refuses_flags(
    block: &FlowBlock,
    rule: &FlowRule,
    flow: &SwFlow,
    mut cookie: impl FnMut() -> usize,
) -> bool {
    let ipv6 = flow.key().tun_proto == AF_INET6;
    let mut asked = |flags| -> Result {
        let rule = probe(rule, ipv6, flags)?;
        let cookie = cookie();

        block.replace(cookie, PRIO, 0, &rule, &mut DriverText::new())?;
        // An error is that it has gone with its port.
        let _ = block.destroy(cookie);
        Ok(())
    };

    asked(false) == Ok(()) && asked(true) == Err(EOPNOTSUPP)
}

/// A rule that drops packets of a tunnel that nobody sends, with a match on its
/// flags or without.
fn probe(rule: &FlowRule, ipv6: bool, flags: bool) -> Result<FlowRule> {
    let mut probe = rule.same_match()?;

    // To no destination, as drivers look for the way back from there.
    if ipv6 {
        let all = [0xff; 16];

        probe.enc_ipv6_addrs((all, all), ([0; 16], all));
    } else {
        let all = Be32::new(u32::MAX);

        probe.enc_ipv4_addrs((all, all), (Be32::new(0), all));
    }
    if !flags {
        probe.ignore_enc_flags(IGNORABLE_FLAGS);
    }
    probe.push_tunnel_decap()?;
    probe.push_drop()?;
    Ok(probe)
}
