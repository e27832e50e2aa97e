// SPDX-License-Identifier: GPL-2.0

//! Packets in the datapath, for those who trace them.
//!
//! C: `openvswitch_trace.h`.

use kernel_ext::{
    net::{
        netdevice::DeviceName,
        netlink::attr::nla_total_size,
        skbuff::SkBuff, //
    },
    sync::bh::BhRcu,
    trace::openvswitch::{
        self,
        Packet, //
    },
    uapi, //
};

pub(crate) use openvswitch::{
    do_execute_action_enabled,
    dp_upcall_enabled, //
};

use crate::{
    actions::{
        Action,
        SetAction,
        SetField, //
    },
    conntrack::OVS_CONNTRACK_INFO_LEN,
    datapath::Datapath,
    flow::key::SwFlowKey,
    upcall::UpcallInfo, //
};

/// Traces an action that is about to be executed.
#[cold]
#[inline(never)]
pub(crate) fn do_execute_action(
    ctx: BhRcu<'_>,
    dp: &Datapath,
    skb: &SkBuff,
    key: &SwFlowKey,
    action: &Action,
    is_last: bool,
) {
    let (ty, len) = attr_of(action);

    with_packet(ctx, dp, skb, key, |packet| {
        let action = (&raw const *action).cast();

        openvswitch::do_execute_action(packet, ty as u8, len as u32, action, is_last);
    });
}

/// Traces a packet that is about to be sent to userspace.
#[cold]
#[inline(never)]
pub(crate) fn dp_upcall(
    ctx: BhRcu<'_>,
    dp: &Datapath,
    skb: &SkBuff,
    key: &SwFlowKey,
    info: &UpcallInfo<'_>,
) {
    with_packet(ctx, dp, skb, key, |packet| {
        openvswitch::dp_upcall(packet, info.cmd, info.portid, info.mru);
    });
}

fn with_packet(
    ctx: BhRcu<'_>,
    dp: &Datapath,
    skb: &SkBuff,
    key: &SwFlowKey,
    f: impl FnOnce(&Packet<'_>),
) {
    let name = dp.local(ctx.rcu()).map(|port| port.name());

    f(&Packet {
        dp: (&raw const *dp).cast(),
        dp_name: name.as_ref().map_or(c"", DeviceName::as_cstr),
        skb,
        key: (&raw const *key).cast(),
        ovs_flow_hash: key.dp_hash,
        recirc_id: key.recirc_id,
        eth_type: key.eth_type.to_bytes(),
        ct_state: key.ct_state,
        ct_orig_proto: key.ct_orig_proto,
        ct_zone: key.ct_zone,
        flow_key_valid: key.is_valid(),
    });
}

/// The length of a list of actions in the form that C keeps them in.
fn list_len(actions: &[Action]) -> usize {
    actions.iter().fold(0, |len: usize, action| {
        len.saturating_add(nla_total_size(attr_of(action).1))
    })
}

/// The type and the length of the payload that C keeps an action with.
fn attr_of(action: &Action) -> (u32, usize) {
    match action {
        Action::Output(_) => (uapi::ovs_action_attr_OVS_ACTION_ATTR_OUTPUT, 4),
        Action::Userspace(userspace) => (
            uapi::ovs_action_attr_OVS_ACTION_ATTR_USERSPACE,
            userspace.raw.len(),
        ),
        Action::Set(set) => (set_type(set), set_len(set)),
        // A pointer, as a key of its own.
        Action::SetTunnel(_) => (uapi::ovs_action_attr_OVS_ACTION_ATTR_SET, nla_total_size(8)),
        Action::PushVlan { .. } => (uapi::ovs_action_attr_OVS_ACTION_ATTR_PUSH_VLAN, 4),
        Action::PopVlan => (uapi::ovs_action_attr_OVS_ACTION_ATTR_POP_VLAN, 0),
        Action::PushEth { .. } => (uapi::ovs_action_attr_OVS_ACTION_ATTR_PUSH_ETH, 12),
        Action::PopEth => (uapi::ovs_action_attr_OVS_ACTION_ATTR_POP_ETH, 0),
        Action::PushMpls { .. } => (uapi::ovs_action_attr_OVS_ACTION_ATTR_PUSH_MPLS, 8),
        Action::PopMpls(_) => (uapi::ovs_action_attr_OVS_ACTION_ATTR_POP_MPLS, 2),
        Action::AddMpls { .. } => (uapi::ovs_action_attr_OVS_ACTION_ATTR_ADD_MPLS, 8),
        Action::PushNsh(nsh) => (
            uapi::ovs_action_attr_OVS_ACTION_ATTR_PUSH_NSH,
            nsh.raw.len(),
        ),
        Action::PopNsh => (uapi::ovs_action_attr_OVS_ACTION_ATTR_POP_NSH, 0),
        Action::Recirc(_) => (uapi::ovs_action_attr_OVS_ACTION_ATTR_RECIRC, 4),
        Action::Hash { .. } => (uapi::ovs_action_attr_OVS_ACTION_ATTR_HASH, 8),
        // A `struct sample_arg` comes first.
        Action::Sample(sample) => (
            uapi::ovs_action_attr_OVS_ACTION_ATTR_SAMPLE,
            list_len(&sample.nested.actions).saturating_add(nla_total_size(8)),
        ),
        // `OVS_CLONE_ATTR_EXEC` comes first.
        Action::Clone(clone) => (
            uapi::ovs_action_attr_OVS_ACTION_ATTR_CLONE,
            list_len(&clone.actions).saturating_add(nla_total_size(4)),
        ),
        // A `struct check_pkt_len_arg` comes first, each list is in an attribute.
        Action::CheckPktLen(check) => (
            uapi::ovs_action_attr_OVS_ACTION_ATTR_CHECK_PKT_LEN,
            nla_total_size(4)
                .saturating_add(nla_total_size(list_len(&check.if_less_equal.actions)))
                .saturating_add(nla_total_size(list_len(&check.if_greater.actions))),
        ),
        Action::DecTtl(nested) => (
            uapi::ovs_action_attr_OVS_ACTION_ATTR_DEC_TTL,
            nla_total_size(list_len(&nested.actions)),
        ),
        Action::Psample(psample) => (
            uapi::ovs_action_attr_OVS_ACTION_ATTR_PSAMPLE,
            psample.raw.len(),
        ),
        Action::Ct(_) => (
            uapi::ovs_action_attr_OVS_ACTION_ATTR_CT,
            OVS_CONNTRACK_INFO_LEN,
        ),
        Action::CtClear => (uapi::ovs_action_attr_OVS_ACTION_ATTR_CT_CLEAR, 0),
        Action::Trunc(_) => (uapi::ovs_action_attr_OVS_ACTION_ATTR_TRUNC, 4),
        Action::Meter(_) => (uapi::ovs_action_attr_OVS_ACTION_ATTR_METER, 4),
        Action::Drop(_) => (uapi::ovs_action_attr_OVS_ACTION_ATTR_DROP, 4),
    }
}

fn set_type(set: &SetAction) -> u32 {
    if set.from_set {
        uapi::ovs_action_attr_OVS_ACTION_ATTR_SET_TO_MASKED
    } else {
        uapi::ovs_action_attr_OVS_ACTION_ATTR_SET_MASKED
    }
}

/// Value and mask, as an attribute of their own.
fn set_len(set: &SetAction) -> usize {
    if let Some(raw) = &set.as_came {
        return raw.len();
    }
    let len = match set.field {
        SetField::Priority { .. } | SetField::SkbMark { .. } | SetField::CtMark { .. } => 4,
        SetField::CtLabels { .. } => 16,
        SetField::Ethernet { .. } | SetField::Ipv4 { .. } => 12_usize,
        SetField::Ipv6 { .. } => 40,
        SetField::Mpls { .. }
        | SetField::Tcp { .. }
        | SetField::Udp { .. }
        | SetField::Sctp { .. } => 4,
    };
    nla_total_size(len.saturating_mul(2))
}
