// SPDX-License-Identifier: GPL-2.0

//! Connection tracking, on a kernel that has none.
//!
//! C: the second half of `net/openvswitch/conntrack.h`.

use kernel::prelude::*;
use kernel_ext::{
    net::{
        namespace::Net,
        netlink::{
            AttrWriter,
            Nlattr, //
        },
        skbuff::SkBuff, //
    },
    sync::rcu::RcuRead,
};

use crate::flow::key::SwFlowKey;

/// There are no ct actions, so nothing has to be done for them.
pub(crate) enum ConntrackInfo {}

/// No translation of addresses.
pub(crate) enum Nat {}

impl Nat {
    /// Whether addresses are translated.
    pub(crate) fn is_enabled(&self) -> bool {
        match *self {}
    }
}

impl ConntrackInfo {
    /// The translation of addresses.
    pub(crate) fn nat(&self) -> &Nat {
        match *self {}
    }
}

/// The payload that C keeps the action with.
pub(crate) const OVS_CONNTRACK_INFO_LEN: usize = 0;

/// Refuses the action, with `ENOTSUPP`.
pub(crate) fn ovs_ct_copy_action(
    _net: &Net,
    _attr: Nlattr<'_>,
    _key: &SwFlowKey,
    _log: bool,
) -> Result<KBox<ConntrackInfo>> {
    Err(ENOTSUPP)
}

/// Puts a ct action.
pub(crate) fn ovs_ct_action_to_attr(info: &ConntrackInfo, _w: &mut impl AttrWriter) -> Result {
    match *info {}
}

/// Executes a ct action.
pub(crate) fn ovs_ct_execute(
    _rcu: RcuRead<'_>,
    _net: &Net,
    _skb: SkBuff,
    _key: &mut SwFlowKey,
    info: &ConntrackInfo,
) -> Result<Option<SkBuff>> {
    match *info {}
}

/// Fails with `ENOTSUPP`.
pub(crate) fn ovs_ct_clear(_skb: &mut SkBuff, _key: &mut SwFlowKey) -> Result {
    Err(ENOTSUPP)
}

/// A key has nothing of connection tracking in it.
pub(crate) fn ovs_ct_fill_key(_skb: &SkBuff, _key: &mut SwFlowKey, _post_ct: bool) {}
