// SPDX-License-Identifier: GPL-2.0

//! The command of `ovs_packet`. What the datapath sends in this family is in
//! [`crate::upcall`].

use kernel::prelude::*;

use kernel_ext::{
    net::{
        genetlink::{
            Doit,
            Family,
            GenlInfo,
            SmallOp, //
        },
        netlink::NlaPolicy,
        skbuff::SkBuff, //
    },
    sync::bh::BhGuard,
    uapi, //
};

use super::{
    genl,
    get_dp_rcu, //
};
use crate::{
    actions::{
        cb::OvsSkbCb,
        execute::{
            ovs_execute_actions,
            Execution, //
        },
        SwFlowActions, //
    },
    flow::{
        extract::key_extract_packet,
        headers::ETH_HLEN,
        tunnel::MatchKey, //
    },
    flow_netlink::{
        ovs_nla_copy_actions,
        ovs_nla_get_flow_metadata, //
    },
    upcall::{
        HASH_L4,
        HASH_SW, //
    },
};

const PACKET: u32 = uapi::ovs_packet_attr_OVS_PACKET_ATTR_PACKET;
const KEY: u32 = uapi::ovs_packet_attr_OVS_PACKET_ATTR_KEY;
const ACTIONS: u32 = uapi::ovs_packet_attr_OVS_PACKET_ATTR_ACTIONS;
const PROBE: u32 = uapi::ovs_packet_attr_OVS_PACKET_ATTR_PROBE;
const MRU: u32 = uapi::ovs_packet_attr_OVS_PACKET_ATTR_MRU;
const HASH: u32 = uapi::ovs_packet_attr_OVS_PACKET_ATTR_HASH;
const UPCALL_PID: u32 = uapi::ovs_packet_attr_OVS_PACKET_ATTR_UPCALL_PID;
const N_ATTRS: usize = uapi::ovs_packet_attr___OVS_PACKET_ATTR_MAX as usize;

const CMD_EXECUTE: u32 = uapi::ovs_packet_cmd_OVS_PACKET_CMD_EXECUTE;

static PACKET_POLICY: [NlaPolicy; N_ATTRS] = NlaPolicy::table(&[
    (PACKET, NlaPolicy::unspec(ETH_HLEN as u16)),
    (KEY, NlaPolicy::nested()),
    (ACTIONS, NlaPolicy::nested()),
    (PROBE, NlaPolicy::flag()),
    (MRU, NlaPolicy::u16()),
    (HASH, NlaPolicy::u64()),
    (UPCALL_PID, NlaPolicy::u32()),
]);

static DP_PACKET_GENL_OPS: [SmallOp; 1] = [SmallOp::new(CMD_EXECUTE)
    .uns_admin_perm()
    .doit::<PacketExecute>()];

/// The family `ovs_packet`.
pub(crate) static DP_PACKET_GENL_FAMILY: Family = genl::family(
    uapi::OVS_PACKET_FAMILY,
    uapi::OVS_PACKET_VERSION,
    &PACKET_POLICY,
    &DP_PACKET_GENL_OPS,
    &[],
    CMD_EXECUTE,
);

/// `OVS_PACKET_CMD_EXECUTE`.
struct PacketExecute;

impl PacketExecute {
    /// The packet of a request, its key and what to do with it.
    ///
    /// Not inlined, so that what parsing needs is not on the stack while the
    /// packet goes its way.
    #[inline(never)]
    fn parse(info: &GenlInfo<'_>, key: &mut MatchKey) -> Result<(SkBuff, SwFlowActions)> {
        let log = info.attr(PROBE).is_none();
        let (Some(packet), Some(key_attr), Some(actions)) =
            (info.attr(PACKET), info.attr(KEY), info.attr(ACTIONS))
        else {
            return Err(EINVAL);
        };

        let mut skb = Self::packet(info, packet.payload())?;

        let tuples = ovs_nla_get_flow_metadata(info.net(), key_attr, key, log)?;
        key_extract_packet(&mut skb, key)?;
        if !tuples.are_valid_for(key) {
            return Err(EINVAL);
        }

        let acts = ovs_nla_copy_actions(info.net(), actions, key, log)?;

        skb.set_priority(key.priority);
        skb.set_mark(key.skb_mark);
        Ok((skb, acts))
    }

    /// The packet of a request, with what the request says of it beside its
    /// key.
    fn packet(info: &GenlInfo<'_>, bytes: &[u8]) -> Result<SkBuff> {
        let mut skb = SkBuff::dev_alloc_copy(bytes, GFP_KERNEL)?;
        let mut cb = OvsSkbCb::default();

        if let Some(mru) = info.attr(MRU) {
            cb.mru = mru.get_u16().unwrap_or(0);
            skb.set_ignore_df();
        }
        if let Some(hash) = info.attr(HASH).and_then(|a| a.get_u64()) {
            skb.set_hash(hash as u32, hash & HASH_SW != 0, hash & HASH_L4 != 0);
        }
        cb.upcall_pid = info.attr(UPCALL_PID).and_then(|a| a.get_u32()).unwrap_or(0);

        *skb.cb_mut() = cb;
        Ok(skb)
    }
}

/// C: `ovs_packet_cmd_execute()`.
impl Doit for PacketExecute {
    fn doit(info: &GenlInfo<'_>) -> Result {
        let mut key = MatchKey::zeroed();
        let (mut skb, acts) = Self::parse(info, &mut key)?;

        let guard = BhGuard::new();
        let ctx = guard.proof();
        let dp = get_dp_rcu(ctx.rcu(), info.net(), genl::dp_ifindex(info)).ok_or(ENODEV)?;
        let in_port = dp
            .port(key.in_port.into(), ctx.rcu())
            .or_else(|| dp.local(ctx.rcu()))
            .ok_or(ENODEV)?;

        in_port.dev().set_skb_dev(&mut skb, ctx.rcu());
        let MatchKey { key, tun } = &mut key;
        let tun = (key.tun_proto != 0).then_some(&*tun);
        let exec = Execution::new(ctx, in_port, tun).ok_or(ENODEV)?;
        ovs_execute_actions(&exec, skb, &acts, key)
    }
}
