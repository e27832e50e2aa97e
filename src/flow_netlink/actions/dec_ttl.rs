// SPDX-License-Identifier: GPL-2.0

//! `OVS_ACTION_ATTR_DEC_TTL` from netlink.

use super::{
    add_nested_action_end,
    nested,
    Copier, //
};
use crate::{
    actions::Action,
    flow_netlink::{
        nlerr,
        uapi::*, //
    }, //
};
use kernel::prelude::*;
use kernel_ext::net::netlink::{
    attr::{
        nla_total_size,
        NLA_HDRLEN, //
    },
    Nlattr, //
};

/// The list of what is done with packets whose time is over.
#[inline(never)]
fn parse(action: Nlattr<'_>, log: bool) -> Result<Nlattr<'_>> {
    let mut actions = None;
    let mut attrs = action.nested();
    for a in attrs.by_ref() {
        let ty = a.ty();
        // Ignore unknown attributes to be future proof.
        if ty > OVS_DEC_TTL_ATTR_MAX {
            continue;
        }
        if ty != OVS_DEC_TTL_ATTR_ACTION || actions.is_some() {
            nlerr!(log, "Duplicate or invalid key (type {}).", ty);
            return Err(EINVAL);
        }
        actions = Some(a);
    }

    let rem = attrs.remaining();
    if rem != 0 {
        nlerr!(log, "Message has {} unknown bytes.", rem);
        return Err(EINVAL);
    }

    match actions {
        Some(actions) if actions.is_empty() || actions.len() >= NLA_HDRLEN => Ok(actions),
        _ => {
            nlerr!(log, "Missing valid actions attribute.");
            Err(EINVAL)
        }
    }
}

impl Copier<'_> {
    /// C: `validate_and_copy_dec_ttl()`.
    #[inline(never)]
    pub(super) fn dec_ttl(&self, action: Nlattr<'_>, depth: u32) -> Result<(Action, usize)> {
        let actions = parse(action, self.log)?;
        let copied = self.copy_actions(actions.nested(), depth.saturating_add(1))?;
        let actions_len = add_nested_action_end(copied.kernel_len)?;
        let kernel_len = add_nested_action_end(nla_total_size(actions_len))?;
        // Where the list runs, the packet's own list has ended.
        let in_place = true;
        Ok((Action::DecTtl(nested(in_place, copied.list)?), kernel_len))
    }
}
