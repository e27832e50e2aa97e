// SPDX-License-Identifier: GPL-2.0

//! Flows that differ only in flags of the tunnel that packets came through.
//!
//! No driver matches on the outer "do not fragment" and checksum flags, and
//! ovs-vswitchd's flows match on both. Where policy allows to leave them out of
//! the match, a rule takes the packets of all flows that differ from its own in
//! them alone. So these have to do the same, and to be allowed to run in
//! hardware; otherwise none of them does.

use kernel_ext::{
    net::ip_tunnels::flags,
    sync::rcu::RcuArc, //
};

use super::{
    policy,
    reason::Reason,
    state::Status, //
};
use crate::{
    actions::{
        Action,
        SetField, //
    },
    datapath::Datapath,
    flow::SwFlow, //
};

/// The flags that may be left out.
const FLAGS: u32 = flags::CSUM | flags::DONT_FRAGMENT;

/// All values that they can have.
const VALUES: [u32; 4] = [0, flags::CSUM, flags::DONT_FRAGMENT, FLAGS];

/// Whether a flow matches on any of the flags.
pub(super) fn has_flags(flow: &SwFlow) -> bool {
    flow.mask().key().tun.tun_key.tun_flags & FLAGS != 0
}

/// Calls `f` with the words of the flow's masked key but for the flags, which its
/// twins have too. Out of line, as the key is large.
#[inline(never)]
pub(super) fn with_common_words<R>(flow: &SwFlow, f: impl FnOnce(&[u64]) -> R) -> R {
    let mut key = flow.key();

    key.tun.tun_key.tun_flags &= !FLAGS;
    f(key.words())
}

/// Calls `f` with each flow of the table that differs from this one in the flags
/// alone. Out of line, as the key is large.
#[inline(never)]
fn for_each(dp: &Datapath, flow: &SwFlow, mut f: impl FnMut(&RcuArc<SwFlow>)) {
    let known = flow.mask().key().tun.tun_key.tun_flags & FLAGS;
    let mut key = flow.key();
    let own = key.tun.tun_key.tun_flags;

    for value in VALUES {
        if value & !known != 0 || value == own & FLAGS {
            continue;
        }
        key.tun.tun_key.tun_flags = own & !FLAGS | value;
        if let Some(twin) = dp.table.lookup_masked(flow.mask(), &key) {
            f(&twin);
        }
    }
}

/// Whether there is a flow that differs from this one in the flags alone, and
/// has to be told apart from it.
pub(super) fn differ(dp: &Datapath, flow: &SwFlow) -> bool {
    let actions = flow.load_actions();
    let mut differ = false;

    for_each(dp, flow, |twin| {
        let port = dp.ports.load(twin.key().in_port.into());
        let allowed = port.is_some_and(|port| policy::is_always(dp, twin, &port));

        differ |= !allowed || !same(&actions.list, &twin.load_actions().list);
    });
    differ
}

/// Has those that differ from this flow in the flags alone looked at again, if
/// what it is now makes a difference to where they run.
pub(super) fn sync(dp: &RcuArc<Datapath>, flow: &SwFlow) {
    if !has_flags(flow) {
        return;
    }
    for_each(dp, flow, |twin| {
        let stays = match Reason::from_code(twin.offload.status().reason) {
            Some(Reason::WithoutTunnelFlags) => !differ(dp, twin),
            Some(Reason::TunnelFlagsDiffer) => differ(dp, twin),
            _ => true,
        };

        if !stays {
            super::sync_flow(dp, twin);
        }
    });
}

/// What the flow's status may say if it concerns its twins.
pub(super) fn concerns(status: Status) -> bool {
    matches!(
        Reason::from_code(status.reason),
        Some(Reason::WithoutTunnelFlags | Reason::TunnelFlagsDiffer)
    )
}

/// Whether two lists, of which rules can be made, do the same. In doubt they do
/// not.
fn same(a: &[Action], b: &[Action]) -> bool {
    a.len() == b.len() && Iterator::zip(a.iter(), b).all(|(a, b)| is_same(a, b))
}

fn is_same(a: &Action, b: &Action) -> bool {
    match (a, b) {
        (Action::Output(a), Action::Output(b)) => a == b,
        (Action::Set(a), Action::Set(b)) => is_same_field(&a.field, &b.field),
        (
            Action::PushVlan { tpid, tci },
            Action::PushVlan {
                tpid: other_tpid,
                tci: other_tci,
            },
        ) => tpid == other_tpid && tci == other_tci,
        (Action::PopVlan, Action::PopVlan) | (Action::Drop(_), Action::Drop(_)) => true,
        _ => false,
    }
}

fn is_same_field(a: &SetField, b: &SetField) -> bool {
    use SetField::{
        Ethernet,
        Ipv4,
        Ipv6,
        Tcp,
        Udp, //
    };

    match (a, b) {
        (Ethernet { key, mask }, Ethernet { key: k, mask: m }) => key == k && mask == m,
        (Ipv4 { key, mask }, Ipv4 { key: k, mask: m }) => key == k && mask == m,
        (Ipv6 { key, mask }, Ipv6 { key: k, mask: m }) => key == k && mask == m,
        (Tcp { key, mask }, Tcp { key: k, mask: m })
        | (Udp { key, mask }, Udp { key: k, mask: m }) => key == k && mask == m,
        _ => false,
    }
}
