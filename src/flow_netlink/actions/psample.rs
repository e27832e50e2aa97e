// SPDX-License-Identifier: GPL-2.0

//! `OVS_ACTION_ATTR_PSAMPLE` from netlink.

use crate::{
    actions::PsampleAction,
    flow_netlink::uapi::*, //
};
use kernel::prelude::*;
use kernel_ext::net::{
    netlink::{
        policy::nla_parse,
        NlaPolicy,
        Nlattr,
        Validation, //
    },
    psample, //
};

/// `NLA_F_NESTED`: a flag in the type of an attribute.
const NLA_F_NESTED: u16 = 1 << 15;

/// Checks and copies an action that sends a sample. Fails with `EOPNOTSUPP` on
/// a kernel without samples.
///
/// C: `validate_psample()`.
#[inline(never)]
pub(super) fn validate_psample(action: Nlattr<'_>) -> Result<PsampleAction> {
    const COUNT: usize = OVS_PSAMPLE_ATTR_COUNT as usize;
    static POLICY: [NlaPolicy; COUNT] = {
        let mut policy = [const { NlaPolicy::unspec(0) }; COUNT];
        policy[OVS_PSAMPLE_ATTR_GROUP as usize] = NlaPolicy::u32();
        policy[OVS_PSAMPLE_ATTR_COOKIE as usize] =
            NlaPolicy::binary(OVS_PSAMPLE_COOKIE_MAX_SIZE as u16);
        policy
    };

    if !psample::AVAILABLE {
        return Err(EOPNOTSUPP);
    }
    // C: `nla_parse_nested()`.
    if action.raw_type() & NLA_F_NESTED == 0 {
        return Err(EINVAL);
    }
    let attrs = nla_parse(action.payload(), &POLICY, Validation::Strict)?;
    let attr = |ty: u16| attrs.get(usize::from(ty)).copied().flatten();

    let group = attr(OVS_PSAMPLE_ATTR_GROUP)
        .and_then(|attr| attr.get_u32())
        .ok_or(EINVAL)?;
    let cookie = attr(OVS_PSAMPLE_ATTR_COOKIE).map_or(&[][..], |attr| attr.payload());
    PsampleAction::new(group, cookie, action.payload())
}
