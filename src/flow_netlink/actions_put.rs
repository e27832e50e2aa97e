// SPDX-License-Identifier: GPL-2.0

//! Actions into netlink, as userspace gave them.

use super::{
    tunnel_put::{
        ip_tun_to_nlattr,
        Tunnel, //
    },
    uapi::*, //
};
use crate::actions::{
    Action,
    CheckPktLenAction,
    SampleAction,
    SetAction, //
};
use crate::conntrack::ovs_ct_action_to_attr;
use kernel::prelude::*;
use kernel_ext::net::netlink::AttrWriter;
use zerocopy::IntoBytes;

/// Puts attribute `ty` with what `inner` puts in it, or nothing.
fn put_nest<W: AttrWriter>(w: &mut W, ty: u16, inner: impl FnOnce(&mut W) -> Result) -> Result {
    let nest = w.nest_start(ty)?;
    let result = inner(w).and_then(|()| w.nest_end(nest));
    if result.is_err() {
        w.nest_cancel(nest);
    }
    result
}

/// C: `sample_action_to_attr()`.
fn sample_action_to_attr<W: AttrWriter>(sample: &SampleAction, w: &mut W) -> Result {
    put_nest(w, OVS_ACTION_ATTR_SAMPLE, |w| {
        w.put_u32(OVS_SAMPLE_ATTR_PROBABILITY, sample.probability)?;
        put_nest(w, OVS_SAMPLE_ATTR_ACTIONS, |w| {
            ovs_nla_put_actions(&sample.nested.actions, w)
        })
    })
}

/// C: `check_pkt_len_action_to_attr()`.
fn check_pkt_len_action_to_attr<W: AttrWriter>(action: &CheckPktLenAction, w: &mut W) -> Result {
    put_nest(w, OVS_ACTION_ATTR_CHECK_PKT_LEN, |w| {
        w.put_u16(OVS_CHECK_PKT_LEN_ATTR_PKT_LEN, action.pkt_len)?;
        put_nest(w, OVS_CHECK_PKT_LEN_ATTR_ACTIONS_IF_LESS_EQUAL, |w| {
            ovs_nla_put_actions(&action.if_less_equal.actions, w)
        })?;
        put_nest(w, OVS_CHECK_PKT_LEN_ATTR_ACTIONS_IF_GREATER, |w| {
            ovs_nla_put_actions(&action.if_greater.actions, w)
        })
    })
}

/// C: `set_action_to_attr()` and `masked_set_action_to_set_action_attr()`.
fn set_action_to_attr<W: AttrWriter>(set: &SetAction, w: &mut W) -> Result {
    let (ty, key, mask) = set.field.as_attr();
    if set.from_set {
        return put_nest(w, OVS_ACTION_ATTR_SET, |w| w.put(ty, key));
    }
    if let Some(payload) = &set.as_came {
        return w.put(OVS_ACTION_ATTR_SET_MASKED, payload);
    }
    // The longest field has 40 bytes.
    let mut both = [0; 80];
    let len = key.len().saturating_add(mask.len());
    for (to, from) in both.iter_mut().zip(Iterator::chain(key.iter(), mask)) {
        *to = *from;
    }
    let both = both.get(..len).ok_or(EINVAL)?;
    put_nest(w, OVS_ACTION_ATTR_SET_MASKED, |w| w.put(ty, both))
}

/// C: the default case of `ovs_nla_put_actions()`, `clone_action_to_attr()`,
/// `dec_ttl_action_to_attr()`, and what it calls.
fn action_to_attr<W: AttrWriter>(action: &Action, w: &mut W) -> Result {
    match action {
        Action::Output(port) => w.put_u32(OVS_ACTION_ATTR_OUTPUT, *port),
        Action::Userspace(userspace) => w.put(OVS_ACTION_ATTR_USERSPACE, &userspace.raw),
        Action::Set(set) => set_action_to_attr(set, w),
        Action::SetTunnel(dst) => put_nest(w, OVS_ACTION_ATTR_SET, |w| {
            let info = dst.tun_info();
            ip_tun_to_nlattr(w, &Tunnel::of_info(info, &info.key()))
        }),
        Action::PushVlan { tpid, tci } => {
            let vlan = OvsActionPushVlan {
                vlan_tpid: *tpid,
                vlan_tci: *tci,
            };
            w.put(OVS_ACTION_ATTR_PUSH_VLAN, vlan.as_bytes())
        }
        Action::PopVlan => w.put_flag(OVS_ACTION_ATTR_POP_VLAN),
        Action::PushEth { src, dst } => {
            let addresses = OvsKeyEthernet {
                eth_src: *src,
                eth_dst: *dst,
            };
            w.put(OVS_ACTION_ATTR_PUSH_ETH, addresses.as_bytes())
        }
        Action::PopEth => w.put_flag(OVS_ACTION_ATTR_POP_ETH),
        Action::PushMpls {
            lse,
            ethertype,
            pad,
        } => {
            let mpls = OvsActionPushMpls {
                mpls_lse: *lse,
                mpls_ethertype: *ethertype,
                pad: *pad,
            };
            w.put(OVS_ACTION_ATTR_PUSH_MPLS, mpls.as_bytes())
        }
        Action::PopMpls(ethertype) => w.put_be16(OVS_ACTION_ATTR_POP_MPLS, ethertype.get()),
        Action::AddMpls {
            lse,
            ethertype,
            tun_flags,
        } => {
            let mpls = OvsActionAddMpls {
                mpls_lse: *lse,
                mpls_ethertype: *ethertype,
                tun_flags: tun_flags.to_ne_bytes(),
            };
            w.put(OVS_ACTION_ATTR_ADD_MPLS, mpls.as_bytes())
        }
        Action::PushNsh(nsh) => w.put(OVS_ACTION_ATTR_PUSH_NSH, &nsh.raw),
        Action::PopNsh => w.put_flag(OVS_ACTION_ATTR_POP_NSH),
        Action::Recirc(recirc_id) => w.put_u32(OVS_ACTION_ATTR_RECIRC, *recirc_id),
        Action::Hash { alg, basis } => w.put(OVS_ACTION_ATTR_HASH, [*alg, *basis].as_bytes()),
        Action::Sample(sample) => sample_action_to_attr(sample, w),
        Action::Clone(clone) => put_nest(w, OVS_ACTION_ATTR_CLONE, |w| {
            ovs_nla_put_actions(&clone.actions, w)
        }),
        Action::CheckPktLen(action) => check_pkt_len_action_to_attr(action, w),
        Action::DecTtl(nested) => put_nest(w, OVS_ACTION_ATTR_DEC_TTL, |w| {
            put_nest(w, OVS_DEC_TTL_ATTR_ACTION, |w| {
                ovs_nla_put_actions(&nested.actions, w)
            })
        }),
        Action::Psample(psample) => w.put(OVS_ACTION_ATTR_PSAMPLE, &psample.raw),
        Action::Ct(info) => ovs_ct_action_to_attr(info, w),
        Action::CtClear => w.put_flag(OVS_ACTION_ATTR_CT_CLEAR),
        Action::Trunc(max_len) => w.put_u32(OVS_ACTION_ATTR_TRUNC, *max_len),
        Action::Meter(meter_id) => w.put_u32(OVS_ACTION_ATTR_METER, *meter_id),
        Action::Drop(error) => w.put_u32(OVS_ACTION_ATTR_DROP, *error),
    }
}

/// Puts a list of actions. It nests as deep as the list does, which is bounded
/// where lists are made.
///
/// Fails with `EMSGSIZE` if they do not fit; what was put until then is left.
///
/// C: `ovs_nla_put_actions()`.
pub(crate) fn ovs_nla_put_actions<W: AttrWriter>(actions: &[Action], w: &mut W) -> Result {
    actions
        .iter()
        .try_for_each(|action| action_to_attr(action, w))
}
