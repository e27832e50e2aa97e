// SPDX-License-Identifier: GPL-2.0

//! What a message about a flow holds.

use kernel::prelude::*;

use kernel_ext::{
    net::{
        genetlink::GenlHdr,
        netlink::{
            nla_total_size,
            nla_total_size_64bit,
            AttrWriter,
            MsgBuf,
            NlMsg, //
        },
    },
    uapi, //
};

use super::{
    super::genl::OVS_HEADER_LEN,
    DP_FLOW_GENL_FAMILY, //
};
use crate::{
    actions::SwFlowActions,
    flow::{
        stats::used_time,
        total_stats,
        SwFlow,
        SwFlowId, //
    },
    flow_netlink::{
        ovs_key_attr_size,
        ovs_nla_put_actions,
        ovs_nla_put_identifier,
        ovs_nla_put_mask,
        ovs_nla_put_masked_key, //
    },
};

const ACTIONS: u16 = uapi::ovs_flow_attr_OVS_FLOW_ATTR_ACTIONS as u16;
const STATS: u16 = uapi::ovs_flow_attr_OVS_FLOW_ATTR_STATS as u16;
const TCP_FLAGS: u16 = uapi::ovs_flow_attr_OVS_FLOW_ATTR_TCP_FLAGS as u16;
const USED: u16 = uapi::ovs_flow_attr_OVS_FLOW_ATTR_USED as u16;
const PAD: u16 = uapi::ovs_flow_attr_OVS_FLOW_ATTR_PAD as u16;

const OMIT_KEY: u32 = uapi::OVS_UFID_F_OMIT_KEY;
const OMIT_MASK: u32 = uapi::OVS_UFID_F_OMIT_MASK;
const OMIT_ACTIONS: u32 = uapi::OVS_UFID_F_OMIT_ACTIONS;

/// A flow that has no UFID is told by its key, which then is the identifier.
fn should_fill_key(id: &SwFlowId, ufid_flags: u32) -> bool {
    !id.is_key() && ufid_flags & OMIT_KEY == 0
}

fn should_fill_mask(ufid_flags: u32) -> bool {
    ufid_flags & OMIT_MASK == 0
}

/// Whether a message that was asked for with these flags has the actions.
pub(super) fn should_fill_actions(ufid_flags: u32) -> bool {
    ufid_flags & OMIT_ACTIONS == 0
}

/// Bytes that the attributes of a flow take at most. `orig_len` is the length
/// of its actions as userspace gave them.
///
/// C: `ovs_flow_cmd_msg_size()`.
pub(super) fn ovs_flow_cmd_msg_size(
    orig_len: usize,
    id: Option<&SwFlowId>,
    ufid_flags: u32,
) -> usize {
    let key_size = nla_total_size(ovs_key_attr_size());
    let mut len = OVS_HEADER_LEN;

    // OVS_FLOW_ATTR_UFID, or OVS_FLOW_ATTR_KEY in its place.
    len += match id.and_then(SwFlowId::as_ufid) {
        Some(ufid) => nla_total_size(ufid.len()),
        None => key_size,
    };
    // OVS_FLOW_ATTR_KEY.
    if id.is_none_or(|id| should_fill_key(id, ufid_flags)) {
        len += key_size;
    }
    // OVS_FLOW_ATTR_MASK.
    if should_fill_mask(ufid_flags) {
        len += key_size;
    }
    // OVS_FLOW_ATTR_ACTIONS. An attribute's length is at most 65,535.
    if should_fill_actions(ufid_flags) {
        len = len.saturating_add(nla_total_size(orig_len));
    }
    len.saturating_add(
        nla_total_size_64bit(size_of::<uapi::ovs_flow_stats>()) // OVS_FLOW_ATTR_STATS
            + nla_total_size(1) // OVS_FLOW_ATTR_TCP_FLAGS
            + nla_total_size_64bit(8), // OVS_FLOW_ATTR_USED
    )
}

/// A buffer for a message about a flow.
///
/// C: `ovs_flow_cmd_alloc_info()`.
pub(super) fn ovs_flow_cmd_alloc_info(
    orig_len: usize,
    id: Option<&SwFlowId>,
    ufid_flags: u32,
) -> Result<NlMsg> {
    NlMsg::new(ovs_flow_cmd_msg_size(orig_len, id, ufid_flags), GFP_KERNEL)
}

/// C: `ovs_flow_cmd_fill_stats()`.
fn ovs_flow_cmd_fill_stats(flow: &SwFlow, w: &mut impl AttrWriter) -> Result {
    let stats = total_stats(flow);

    if stats.used != 0 {
        w.put_u64_64bit(USED, used_time(stats.used), PAD)?;
    }
    if stats.packets != 0 {
        // `struct ovs_flow_stats`: `n_packets` and `n_bytes`.
        let bytes = [stats.packets, stats.bytes];
        w.put_64bit(STATS, bytes.as_bytes(), PAD)?;
    }
    let tcp_flags = u16::from_be(stats.tcp_flags) as u8;
    if tcp_flags != 0 {
        w.put_u8(TCP_FLAGS, tcp_flags)?;
    }
    Ok(())
}

/// Puts the actions, unless they do not fit and the flow is the `first` in its
/// buffer: a list can be longer than the buffer of a dump, which would end
/// there for good. Userspace can get them with a request for that flow.
///
/// A list whose attributes come out longer than they came in, and than an
/// attribute can be, is left out alike.
///
/// C: `ovs_flow_cmd_fill_actions()`.
fn ovs_flow_cmd_fill_actions(acts: &SwFlowActions, w: &mut impl AttrWriter, first: bool) -> Result {
    let start = match w.nest_start(ACTIONS) {
        Ok(start) => start,
        Err(_) if first => return Ok(()),
        Err(err) => return Err(err),
    };

    match ovs_nla_put_actions(&acts.list, w).and_then(|()| w.nest_end(start)) {
        Err(_) if first => {
            w.nest_cancel(start);
            Ok(())
        }
        result => result,
    }
}

/// Puts the masked key and the mask, as far as they are wanted. Out of line, as
/// the key needs much stack.
#[inline(never)]
fn fill_match(flow: &SwFlow, ufid_flags: u32, w: &mut impl AttrWriter) -> Result {
    let key = flow.key();

    if should_fill_key(flow.id(), ufid_flags) {
        ovs_nla_put_masked_key(&key, w)?;
    }
    if should_fill_mask(ufid_flags) {
        ovs_nla_put_mask(&key, flow.mask().key(), w)?;
    }
    Ok(())
}

/// Puts a message about a flow, or nothing.
///
/// C: `ovs_flow_cmd_fill_info()`.
///
/// # Errors
///
/// `EMSGSIZE` if it does not fit.
pub(super) fn ovs_flow_cmd_fill_info(
    flow: &SwFlow,
    acts: &SwFlowActions,
    dp_ifindex: i32,
    msg: &mut MsgBuf<'_>,
    hdr: GenlHdr,
    ufid_flags: u32,
) -> Result {
    let first = msg.is_empty();

    msg.genlmsg(
        &DP_FLOW_GENL_FAMILY,
        hdr,
        &dp_ifindex.to_ne_bytes(),
        |w: &mut MsgBuf<'_>| {
            ovs_nla_put_identifier(flow.id(), w)?;
            fill_match(flow, ufid_flags, w)?;
            ovs_flow_cmd_fill_stats(flow, w)?;
            if should_fill_actions(ufid_flags) {
                ovs_flow_cmd_fill_actions(acts, w, first)?;
            }
            Ok(())
        },
    )
}
