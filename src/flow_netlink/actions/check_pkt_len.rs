// SPDX-License-Identifier: GPL-2.0

//! `OVS_ACTION_ATTR_CHECK_PKT_LEN` from netlink.

use super::{
    actions_may_change_flow,
    add_nested_action_end,
    nested,
    Copier, //
};
use crate::{
    actions::{
        Action,
        CheckPktLenAction, //
    },
    flow_netlink::uapi::*, //
};
use kernel::prelude::*;
use kernel_ext::net::netlink::{
    attr::nla_total_size,
    policy::nla_parse,
    NlaPolicy,
    Nlattr,
    Validation, //
};

/// What C's copy has before the lists: `OVS_CHECK_PKT_LEN_ATTR_ARG` with a
/// `struct check_pkt_len_arg`.
const OVERHEAD: usize = nla_total_size(4);

/// What the action says.
struct Parsed<'a> {
    pkt_len: u16,
    if_less_equal: Nlattr<'a>,
    if_greater: Nlattr<'a>,
}

#[inline(never)]
fn parse(action: Nlattr<'_>) -> Result<Parsed<'_>> {
    const COUNT: usize = OVS_CHECK_PKT_LEN_ATTR_COUNT as usize;
    static POLICY: [NlaPolicy; COUNT] = {
        let mut policy = [const { NlaPolicy::unspec(0) }; COUNT];
        policy[OVS_CHECK_PKT_LEN_ATTR_PKT_LEN as usize] = NlaPolicy::u16();
        policy[OVS_CHECK_PKT_LEN_ATTR_ACTIONS_IF_GREATER as usize] = NlaPolicy::nested();
        policy[OVS_CHECK_PKT_LEN_ATTR_ACTIONS_IF_LESS_EQUAL as usize] = NlaPolicy::nested();
        policy
    };

    let attrs = nla_parse(action.payload(), &POLICY, Validation::DeprecatedStrict)?;
    let attr = |ty: u16| attrs.get(usize::from(ty)).copied().flatten().ok_or(EINVAL);
    match attr(OVS_CHECK_PKT_LEN_ATTR_PKT_LEN)?.get_u16() {
        None | Some(0) => Err(EINVAL),
        Some(pkt_len) => Ok(Parsed {
            pkt_len,
            if_less_equal: attr(OVS_CHECK_PKT_LEN_ATTR_ACTIONS_IF_LESS_EQUAL)?,
            if_greater: attr(OVS_CHECK_PKT_LEN_ATTR_ACTIONS_IF_GREATER)?,
        }),
    }
}

impl Copier<'_> {
    /// C: `validate_and_copy_check_pkt_len()`.
    #[inline(never)]
    pub(super) fn check_pkt_len(
        &self,
        action: Nlattr<'_>,
        last: bool,
        depth: u32,
    ) -> Result<(Action, usize)> {
        let depth = depth.saturating_add(1);
        let parsed = parse(action)?;

        let less_equal = self.copy_actions(parsed.if_less_equal.nested(), depth)?;
        let less_equal_len = add_nested_action_end(less_equal.kernel_len)?;
        let exec = last || !actions_may_change_flow(parsed.if_less_equal.nested());
        let if_less_equal = nested(exec, less_equal.list)?;

        let greater = self.copy_actions(parsed.if_greater.nested(), depth)?;
        let greater_len = add_nested_action_end(greater.kernel_len)?;
        let exec = last || !actions_may_change_flow(parsed.if_greater.nested());
        let if_greater = nested(exec, greater.list)?;

        let kernel_len = add_nested_action_end(
            OVERHEAD
                .saturating_add(nla_total_size(less_equal_len))
                .saturating_add(nla_total_size(greater_len)),
        )?;
        let action = CheckPktLenAction {
            pkt_len: parsed.pkt_len,
            if_less_equal,
            if_greater,
        };
        Ok((
            Action::CheckPktLen(KBox::new(action, GFP_KERNEL)?),
            kernel_len,
        ))
    }
}
