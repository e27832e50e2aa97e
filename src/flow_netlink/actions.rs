// SPDX-License-Identifier: GPL-2.0

//! Actions from netlink: checked against the flow's key and copied to the form
//! that packets run.

mod check_pkt_len;
mod dec_ttl;
mod psample;

use self::psample::validate_psample;
use super::{
    nsh::validate_push_nsh,
    set::SetContext,
    uapi::*, //
};
use crate::{
    actions::{
        Action,
        ActionList,
        NestedActions,
        SampleAction,
        SwFlowActions,
        UserspaceAction, //
    },
    conntrack::{
        ovs_ct_copy_action,
        OVS_CONNTRACK_INFO_LEN, //
    },
    flow::key::{
        SwFlowKey,
        MAC_PROTO_ETHERNET,
        MAC_PROTO_NONE, //
    },
};
use kernel::{
    prelude::*,
    sync::Arc, //
};
use kernel_ext::net::{
    namespace::Net,
    netlink::{
        attr::{
            nla_total_size,
            NLA_HDRLEN, //
        },
        policy::nla_parse,
        AttrIter,
        NlaPolicy,
        Nlattr,
        Validation, //
    },
    tun_proto::{
        tun_p_from_eth_p,
        tun_p_to_eth_p,
        TUN_P_ETHERNET, //
    }, //
};
use zerocopy::FromBytes;

/// How deep actions nest at most below the outermost list.
const OVS_COPY_ACTIONS_MAX_DEPTH: u32 = 16;

/// What C's copy of a clone has before its actions: `OVS_CLONE_ATTR_EXEC`.
const CLONE_OVERHEAD: usize = nla_total_size(size_of::<u32>());

/// What C's copy of a sample has before its actions: `OVS_SAMPLE_ATTR_ARG`
/// with a `struct sample_arg`.
const SAMPLE_OVERHEAD: usize = nla_total_size(8);

/// Whether these actions may change the packet's key, or use up the packet: all
/// but a few.
///
/// C: `actions_may_change_flow()`.
fn actions_may_change_flow(mut actions: AttrIter<'_>) -> bool {
    actions.any(|action| {
        !matches!(
            action.ty(),
            OVS_ACTION_ATTR_OUTPUT
                | OVS_ACTION_ATTR_RECIRC
                | OVS_ACTION_ATTR_TRUNC
                | OVS_ACTION_ATTR_USERSPACE
                | OVS_ACTION_ATTR_DROP
                | OVS_ACTION_ATTR_PSAMPLE
        )
    })
}

/// How long an action's payload has to be: this many bytes, or any number.
/// What is not here is refused as a type past the last one is.
///
/// C: `action_lens`.
const fn action_len(ty: u16) -> Option<Option<usize>> {
    Some(match ty {
        OVS_ACTION_ATTR_OUTPUT
        | OVS_ACTION_ATTR_RECIRC
        | OVS_ACTION_ATTR_METER
        | OVS_ACTION_ATTR_DROP => Some(4),
        OVS_ACTION_ATTR_TRUNC => Some(size_of::<kernel_ext::uapi::ovs_action_trunc>()),
        OVS_ACTION_ATTR_HASH => Some(size_of::<kernel_ext::uapi::ovs_action_hash>()),
        OVS_ACTION_ATTR_PUSH_VLAN => Some(size_of::<OvsActionPushVlan>()),
        OVS_ACTION_ATTR_PUSH_ETH => Some(size_of::<OvsActionPushEth>()),
        OVS_ACTION_ATTR_POP_VLAN
        | OVS_ACTION_ATTR_POP_ETH
        | OVS_ACTION_ATTR_POP_NSH
        | OVS_ACTION_ATTR_CT_CLEAR => Some(0),
        OVS_ACTION_ATTR_PUSH_MPLS => Some(size_of::<OvsActionPushMpls>()),
        OVS_ACTION_ATTR_POP_MPLS => Some(2),
        OVS_ACTION_ATTR_ADD_MPLS => Some(size_of::<OvsActionAddMpls>()),
        OVS_ACTION_ATTR_USERSPACE
        | OVS_ACTION_ATTR_SET
        | OVS_ACTION_ATTR_SET_MASKED
        | OVS_ACTION_ATTR_SAMPLE
        | OVS_ACTION_ATTR_PUSH_NSH
        | OVS_ACTION_ATTR_CLONE
        | OVS_ACTION_ATTR_CHECK_PKT_LEN
        | OVS_ACTION_ATTR_DEC_TTL
        | OVS_ACTION_ATTR_CT
        | OVS_ACTION_ATTR_PSAMPLE => None,
        _ => return None,
    })
}

/// A list that was copied, and how long C's copy of it would be: a nested one
/// that an attribute cannot hold is refused.
struct Copied {
    list: ActionList,
    kernel_len: usize,
}

impl Copied {
    /// Adds an action whose payload has this length in C's copy.
    fn push(&mut self, action: Action, payload_len: usize) -> Result {
        self.list.push(action, GFP_KERNEL)?;
        self.kernel_len = self.kernel_len.saturating_add(nla_total_size(payload_len));
        Ok(())
    }

    /// The payload's length in C's copy of an action with these nested actions
    /// after `overhead` bytes. Fails with `EMSGSIZE` if an attribute cannot
    /// hold that.
    fn nested_len(&self, overhead: usize) -> Result<usize> {
        add_nested_action_end(self.kernel_len.saturating_add(overhead))
    }
}

/// The length of a nested attribute's payload in C's copy. Fails with
/// `EMSGSIZE` if an attribute cannot hold that.
///
/// C: `add_nested_action_end()`.
fn add_nested_action_end(payload_len: usize) -> Result<usize> {
    match u16::try_from(payload_len.saturating_add(NLA_HDRLEN)) {
        Ok(_) => Ok(payload_len),
        Err(_) => Err(EMSGSIZE),
    }
}

/// What is known about the packet as actions change it.
///
/// Lists nest, and the functions that call each other for that have frames as
/// small as they can be: what does not call them is out of line.
#[derive(Clone, Copy)]
struct Copier<'a> {
    /// The network namespace that the actions are executed in.
    net: &'a Net,
    /// The flow's masked key.
    key: &'a SwFlowKey,
    /// Ethernet type, host byte order.
    eth_type: u16,
    /// Outermost VLAN tag, 0 for none. Host byte order.
    vlan_tci: u16,
    mac_proto: u8,
    /// How many MPLS labels are known to be there. C counts below zero, too.
    mpls_label_count: u32,
    /// Errors are logged.
    log: bool,
}

impl Copier<'_> {
    /// C: `validate_and_copy_sample()`.
    #[inline(never)]
    fn sample(&self, action: Nlattr<'_>, last: bool, depth: u32) -> Result<(Action, usize)> {
        let (probability, actions) = parse_sample(action)?;
        let copied = self.copy_actions(actions.nested(), depth.saturating_add(1))?;
        let kernel_len = copied.nested_len(SAMPLE_OVERHEAD)?;
        let exec = last || !actions_may_change_flow(actions.nested());
        let sample = SampleAction {
            probability,
            nested: nested(exec, copied.list)?,
        };
        Ok((Action::Sample(KBox::new(sample, GFP_KERNEL)?), kernel_len))
    }

    /// C: `validate_and_copy_clone()`.
    #[inline(never)]
    fn clone_action(&self, action: Nlattr<'_>, last: bool, depth: u32) -> Result<(Action, usize)> {
        if !action.is_empty() && action.len() < NLA_HDRLEN {
            return Err(EINVAL);
        }
        let copied = self.copy_actions(action.nested(), depth.saturating_add(1))?;
        let kernel_len = copied.nested_len(CLONE_OVERHEAD)?;
        let exec = last || !actions_may_change_flow(action.nested());
        Ok((Action::Clone(nested(exec, copied.list)?), kernel_len))
    }

    /// Checks and copies a ct action.
    #[inline(never)]
    fn ct(&self, action: Nlattr<'_>) -> Result<(Action, usize)> {
        let info = ovs_ct_copy_action(self.net, action, self.key, self.log)?;
        Ok((Action::Ct(info), OVS_CONNTRACK_INFO_LEN))
    }

    /// Checks and copies a set action.
    #[inline(never)]
    fn set(&self, action: Nlattr<'_>, masked: bool) -> Result<(Action, usize)> {
        let context = SetContext {
            key: self.key,
            mac_proto: self.mac_proto,
            eth_type: self.eth_type,
        };
        context.validate_set(action, masked, self.log)
    }

    /// Checks and copies an action whose payload is no list and no key. The
    /// length of the payload has been checked.
    #[inline(never)]
    fn plain(&mut self, a: Nlattr<'_>, last: bool) -> Result<Action> {
        let ethernet = self.mac_proto == MAC_PROTO_ETHERNET;
        Ok(match a.ty() {
            OVS_ACTION_ATTR_OUTPUT => {
                let port = a.get_u32().ok_or(EINVAL)?;
                if port >= u32::from(DP_MAX_PORTS) {
                    return Err(EINVAL);
                }
                Action::Output(port)
            }

            OVS_ACTION_ATTR_USERSPACE => Action::Userspace(KBox::new(userspace(a)?, GFP_KERNEL)?),

            OVS_ACTION_ATTR_TRUNC => {
                let max_len = a.get_u32().ok_or(EINVAL)?;
                if max_len < ETH_HLEN as u32 {
                    return Err(EINVAL);
                }
                Action::Trunc(max_len)
            }

            OVS_ACTION_ATTR_HASH => {
                let [alg, basis] = <[u32; 2]>::read_from_bytes(a.payload()).map_err(|_| EINVAL)?;
                if alg > kernel_ext::uapi::ovs_hash_alg_OVS_HASH_ALG_SYM_L4 {
                    return Err(EINVAL);
                }
                Action::Hash { alg, basis }
            }

            OVS_ACTION_ATTR_POP_VLAN if ethernet => {
                self.vlan_tci = 0;
                Action::PopVlan
            }

            OVS_ACTION_ATTR_PUSH_VLAN if ethernet => {
                let vlan = OvsActionPushVlan::ref_from_bytes(a.payload()).map_err(|_| EINVAL)?;
                if !eth_type_vlan(vlan.vlan_tpid.get()) || vlan.vlan_tci.get() & VLAN_CFI_MASK == 0
                {
                    return Err(EINVAL);
                }
                self.vlan_tci = vlan.vlan_tci.get();
                Action::PushVlan {
                    tpid: vlan.vlan_tpid,
                    tci: vlan.vlan_tci,
                }
            }

            OVS_ACTION_ATTR_PUSH_MPLS => {
                let mpls = OvsActionPushMpls::ref_from_bytes(a.payload()).map_err(|_| EINVAL)?;
                self.push_mpls(mpls.mpls_ethertype.get(), true)?;
                Action::PushMpls {
                    lse: mpls.mpls_lse,
                    ethertype: mpls.mpls_ethertype,
                    pad: mpls.pad,
                }
            }

            OVS_ACTION_ATTR_ADD_MPLS => {
                let mpls = OvsActionAddMpls::ref_from_bytes(a.payload()).map_err(|_| EINVAL)?;
                let tun_flags = u16::from_ne_bytes(mpls.tun_flags);
                let l3 = u32::from(tun_flags) & kernel_ext::uapi::OVS_MPLS_L3_TUNNEL_FLAG_MASK;
                self.push_mpls(mpls.mpls_ethertype.get(), l3 != 0)?;
                Action::AddMpls {
                    lse: mpls.mpls_lse,
                    ethertype: mpls.mpls_ethertype,
                    tun_flags,
                }
            }

            OVS_ACTION_ATTR_POP_MPLS => {
                let ethertype = a.get_be16().ok_or(EINVAL)?;
                self.pop_mpls(ethertype)?;
                Action::PopMpls(ethertype.into())
            }

            OVS_ACTION_ATTR_PUSH_NSH if ethernet || tun_p_from_eth_p(self.eth_type).is_some() => {
                self.mac_proto = MAC_PROTO_NONE;
                Action::PushNsh(validate_push_nsh(a, self.log)?)
            }

            OVS_ACTION_ATTR_POP_NSH if self.eth_type == ETH_P_NSH => {
                let np = self.key.nsh.np;
                tun_p_to_eth_p(np).ok_or(EINVAL)?;
                self.mac_proto = match np {
                    TUN_P_ETHERNET => MAC_PROTO_ETHERNET,
                    _ => MAC_PROTO_NONE,
                };
                Action::PopNsh
            }

            OVS_ACTION_ATTR_RECIRC => Action::Recirc(a.get_u32().ok_or(EINVAL)?),

            // A meter that is not there is none that limits anything.
            OVS_ACTION_ATTR_METER => Action::Meter(a.get_u32().ok_or(EINVAL)?),

            // Disallow pushing an Ethernet header if one is already present.
            OVS_ACTION_ATTR_PUSH_ETH if self.mac_proto == MAC_PROTO_NONE => {
                self.mac_proto = MAC_PROTO_ETHERNET;
                let OvsActionPushEth { addresses } =
                    OvsActionPushEth::ref_from_bytes(a.payload()).map_err(|_| EINVAL)?;
                Action::PushEth {
                    src: addresses.eth_src,
                    dst: addresses.eth_dst,
                }
            }

            OVS_ACTION_ATTR_POP_ETH if ethernet && self.vlan_tci & VLAN_CFI_MASK == 0 => {
                self.mac_proto = MAC_PROTO_NONE;
                Action::PopEth
            }

            OVS_ACTION_ATTR_CT_CLEAR => Action::CtClear,

            OVS_ACTION_ATTR_DROP if last => Action::Drop(a.get_u32().ok_or(EINVAL)?),

            OVS_ACTION_ATTR_PSAMPLE => {
                Action::Psample(KBox::new(validate_psample(a)?, GFP_KERNEL)?)
            }

            _ => return Err(EINVAL),
        })
    }

    /// An entry of an MPLS label stack is put behind the MAC header (`l3`), which
    /// is only done to packets whose tags are known to be in an order that makes
    /// sense, or before it.
    fn push_mpls(&mut self, ethertype: u16, l3: bool) -> Result {
        if !eth_p_mpls(ethertype) {
            return Err(EINVAL);
        }
        let known = matches!(
            self.eth_type,
            ETH_P_IP | ETH_P_IPV6 | ETH_P_ARP | ETH_P_RARP
        ) || eth_p_mpls(self.eth_type);
        if l3 && (self.vlan_tci & VLAN_CFI_MASK != 0 || !known) {
            return Err(EINVAL);
        }

        if !l3 && self.mac_proto == MAC_PROTO_ETHERNET {
            self.mpls_label_count = 1;
            self.mac_proto = MAC_PROTO_NONE;
        } else {
            self.mpls_label_count = self.mpls_label_count.wrapping_add(1);
        }
        self.eth_type = ethertype;
        Ok(())
    }

    /// An entry of an MPLS label stack is taken away. Behind the last one is what
    /// the action says; that it is that cannot be checked here, so no action may
    /// rely on it until the packet has been recirculated.
    fn pop_mpls(&mut self, ethertype: u16) -> Result {
        if self.vlan_tci & VLAN_CFI_MASK != 0 || !eth_p_mpls(self.eth_type) {
            return Err(EINVAL);
        }
        if ethertype == ETH_P_TEB && self.mac_proto != MAC_PROTO_NONE {
            return Err(EINVAL);
        }
        self.mpls_label_count = self.mpls_label_count.wrapping_sub(1);
        self.eth_type = if eth_p_mpls(ethertype) && self.mpls_label_count != 0 {
            ethertype
        } else {
            0
        };
        Ok(())
    }

    /// Checks and copies a list of actions, `depth` levels below the outermost.
    /// Tags and the Ethernet type go on as they are here, but the MAC layer is
    /// again the key's.
    ///
    /// C: `__ovs_nla_copy_actions()`.
    fn copy_actions(&self, mut actions: AttrIter<'_>, depth: u32) -> Result<Copied> {
        let mut state = Self {
            mac_proto: self.key.mac_proto(),
            ..*self
        };
        let mut copied = Copied {
            list: ActionList::new(),
            kernel_len: 0,
        };

        if depth > OVS_COPY_ACTIONS_MAX_DEPTH {
            return Err(EOVERFLOW);
        }

        while let Some(a) = actions.next() {
            let ty = a.ty();
            match action_len(ty) {
                None => return Err(EINVAL),
                Some(Some(len)) if len != a.len() => return Err(EINVAL),
                Some(_) => (),
            }

            let last = actions.is_last(&a);
            let (action, payload_len) = match ty {
                OVS_ACTION_ATTR_SAMPLE => state.sample(a, last, depth)?,
                OVS_ACTION_ATTR_CLONE => state.clone_action(a, last, depth)?,
                OVS_ACTION_ATTR_CHECK_PKT_LEN => state.check_pkt_len(a, last, depth)?,
                OVS_ACTION_ATTR_DEC_TTL => state.dec_ttl(a, depth)?,
                OVS_ACTION_ATTR_CT => state.ct(a)?,
                OVS_ACTION_ATTR_SET => state.set(a, false)?,
                OVS_ACTION_ATTR_SET_MASKED => state.set(a, true)?,
                _ => (state.plain(a, last)?, a.len()),
            };
            copied.push(action, payload_len)?;
        }

        if actions.remaining() > 0 {
            return Err(EINVAL);
        }
        Ok(copied)
    }
}

/// A list that was copied, for the action that it is in.
fn nested(exec: bool, actions: ActionList) -> Result<Arc<NestedActions>> {
    Ok(Arc::new(NestedActions { exec, actions }, GFP_KERNEL)?)
}

/// The probability and the actions of a sample action.
#[inline(never)]
fn parse_sample(action: Nlattr<'_>) -> Result<(u32, Nlattr<'_>)> {
    let mut probability = None;
    let mut actions = None;
    let mut attrs = action.nested();
    for a in attrs.by_ref() {
        let seen = match a.ty() {
            OVS_SAMPLE_ATTR_PROBABILITY => probability.replace(a),
            OVS_SAMPLE_ATTR_ACTIONS => actions.replace(a),
            _ => return Err(EINVAL),
        };
        if seen.is_some() {
            return Err(EINVAL);
        }
    }
    if attrs.remaining() != 0 {
        return Err(EINVAL);
    }

    let probability = probability.ok_or(EINVAL)?;
    if probability.len() != size_of::<u32>() {
        return Err(EINVAL);
    }
    let actions = actions.ok_or(EINVAL)?;
    if !actions.is_empty() && actions.len() < NLA_HDRLEN {
        return Err(EINVAL);
    }
    Ok((probability.get_u32().ok_or(EINVAL)?, actions))
}

/// Checks and copies an action that sends to userspace.
///
/// C: `validate_userspace()`.
#[inline(never)]
fn userspace(action: Nlattr<'_>) -> Result<UserspaceAction> {
    const COUNT: usize = OVS_USERSPACE_ATTR_COUNT as usize;
    static POLICY: [NlaPolicy; COUNT] = {
        let mut policy = [const { NlaPolicy::unspec(0) }; COUNT];
        policy[OVS_USERSPACE_ATTR_PID as usize] = NlaPolicy::u32();
        policy[OVS_USERSPACE_ATTR_EGRESS_TUN_PORT as usize] = NlaPolicy::u32();
        policy
    };

    let attrs = nla_parse(action.payload(), &POLICY, Validation::DeprecatedStrict)?;
    let attr = |ty: u16| attrs.get(usize::from(ty)).copied().flatten();
    let copy = |bytes: &[u8]| -> Result<KVec<u8>> {
        let mut copy = KVec::new();
        copy.extend_from_slice(bytes, GFP_KERNEL)?;
        Ok(copy)
    };

    let pid = attr(OVS_USERSPACE_ATTR_PID)
        .and_then(|attr| attr.get_u32())
        .filter(|&pid| pid != 0)
        .ok_or(EINVAL)?;
    Ok(UserspaceAction {
        pid,
        userdata: match attr(OVS_USERSPACE_ATTR_USERDATA) {
            Some(userdata) => Some(copy(userdata.payload())?),
            None => None,
        },
        egress_tun_port: attr(OVS_USERSPACE_ATTR_EGRESS_TUN_PORT).and_then(|attr| attr.get_u32()),
        actions: attr(OVS_USERSPACE_ATTR_ACTIONS).is_some(),
        raw: copy(action.payload())?,
    })
}

/// Checks the actions in `attr` against a flow with the masked key `key`, and
/// copies them.
///
/// Fails with `EINVAL` if they are wrong, `EOVERFLOW` if they nest too deep,
/// `EMSGSIZE` if a nested list is too long, `ERANGE` if an attribute of a
/// userspace action is too short, and with `ENOMEM`.
///
/// C: `ovs_nla_copy_actions()`.
pub(crate) fn ovs_nla_copy_actions(
    net: &Net,
    attr: Nlattr<'_>,
    key: &SwFlowKey,
    log: bool,
) -> Result<SwFlowActions> {
    let copier = Copier {
        net,
        key,
        eth_type: key.eth_type.get(),
        vlan_tci: key.vlan.tci.get(),
        mac_proto: key.mac_proto(),
        mpls_label_count: if eth_p_mpls(key.eth_type.get()) {
            key.mpls_num_labels_mask.count_ones()
        } else {
            0
        },
        log,
    };
    Ok(SwFlowActions::new(
        attr.len(),
        copier.copy_actions(attr.nested(), 0)?.list,
    ))
}
