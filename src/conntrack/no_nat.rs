// SPDX-License-Identifier: GPL-2.0

//! Translation of addresses, on a kernel that has none.

use kernel::prelude::*;
use kernel_ext::{
    net::{
        netfilter::NfProto,
        netlink::{
            AttrWriter,
            Nlattr, //
        },
        skbuff::SkBuff, //
    },
    sync::rcu::RcuRead,
};

use super::{
    action::{
        ConntrackInfo,
        CtArgs, //
    },
    execute::Passed,
};
use crate::flow::key::SwFlowKey;

/// The action says nothing about the translation of addresses.
#[derive(Default)]
pub(crate) struct Nat;

impl Nat {
    /// Whether addresses are translated.
    pub(crate) fn is_enabled(&self) -> bool {
        false
    }

    /// Puts what the action says.
    pub(super) fn put(&self, _family: NfProto, _w: &mut impl AttrWriter) -> Result {
        Ok(())
    }
}

/// Refuses the attribute, which is not known.
pub(super) fn parse_nat(_: Nlattr<'_>, _: &mut CtArgs, _ipv6: bool, _log: bool) -> Result {
    Err(EINVAL)
}

/// Leaves the packet as it is.
pub(super) fn ovs_ct_nat(
    _key: &mut SwFlowKey,
    _info: &ConntrackInfo,
    skb: SkBuff,
    _rcu: RcuRead<'_>,
) -> Passed {
    Ok(skb)
}
