// SPDX-License-Identifier: GPL-2.0

//! The receiving half of ports: from a device to a key. The half that packets are
//! sent to is in [`crate::vport`].

use kernel::prelude::*;

use kernel_ext::{
    mem::with_zeroed,
    net::{
        netdevice::ARPHRD_ETHER,
        rx_handler::{
            RxHandler,
            RxHandlerSwitch,
            RxResult, //
        },
        skbuff::SkBuff,
        tc_skb_ext, //
    },
    sync::{
        bh::BhRcu,
        rcu::RcuRead, //
    },
};

use crate::{
    actions::{
        cb::OvsSkbCb,
        execute::Execution, //
    },
    datapath::tc_recirc_sharing,
    flow::{
        extract::ovs_flow_key_extract,
        headers::ETH_HLEN,
        key::SwFlowKey,
        tunnel::TunnelKey, //
    },
    offload_ops::{
        offload,
        Restored, //
    },
    process::ovs_dp_process_packet,
    vport::Vport, //
};

static RX_HANDLER_SWITCH: RxHandlerSwitch = RxHandlerSwitch::new();

impl RxHandler for Vport {
    fn switch() -> &'static RxHandlerSwitch {
        &RX_HANDLER_SWITCH
    }

    /// C: `netdev_frame_hook()` and `netdev_port_receive()`.
    #[inline]
    fn handle_frame(ctx: BhRcu<'_>, port: &Self, mut skb: SkBuff) -> RxResult {
        if port.dev().type_() == ARPHRD_ETHER && skb.push_rcsum(ETH_HLEN).is_err() {
            return RxResult::Consumed;
        }
        // An error is told by nothing but the packet's being dropped.
        let _ = if skb.has_dst() {
            ovs_vport_receive_tunnel(ctx, port, skb)
        } else {
            ovs_vport_receive(ctx, port, skb)
        };
        RxResult::Consumed
    }
}

/// Takes a packet that came in on a port into its datapath. It begins with the
/// Ethernet header if the device is an Ethernet device.
///
/// The error is that of [`ovs_flow_key_extract`]; the packet is gone then too.
///
/// C: `ovs_vport_receive()`.
#[inline]
pub(crate) fn ovs_vport_receive(ctx: BhRcu<'_>, vport: &Vport, mut skb: SkBuff) -> Result {
    receive_init(vport, &mut skb);
    receive(ctx, vport, skb, None)
}

/// As [`ovs_vport_receive`], for a packet that refers to something in place of a
/// route: the tunnel that it came through, or that it was to be sent through.
#[inline(never)]
pub(crate) fn ovs_vport_receive_tunnel(ctx: BhRcu<'_>, vport: &Vport, mut skb: SkBuff) -> Result {
    receive_init(vport, &mut skb);
    let mut tun = TunnelKey::zeroed();
    let tun_proto = match skb.tunnel_info(ctx.rcu()) {
        Some(info) => tun.extract(info),
        None => return receive(ctx, vport, skb, None),
    };
    receive(ctx, vport, skb, Some((tun_proto, &tun)))
}

/// What a packet has that begins its way through the datapath. One from another
/// namespace loses what belongs to that, its tunnel too.
#[inline]
fn receive_init(vport: &Vport, skb: &mut SkBuff) {
    let dp = vport.dp();
    *skb.cb_mut::<OvsSkbCb>() = OvsSkbCb::default();
    if !dp.net().has(vport.dev()) {
        let mark = skb.mark();
        skb.scrub(true);
        skb.set_mark(mark);
    }
}

/// The recirculation id of a packet that came in on a port with the number of a
/// chain that hardware or traffic control did not finish. Nothing if nobody
/// knows the chain any more: the packet may have been changed, and where to go
/// on is not known.
#[cold]
#[inline(never)]
fn restore_recirc_id(rcu: RcuRead<'_>, vport: &Vport, skb: &mut SkBuff, chain: u32) -> Option<u32> {
    match offload().restore(rcu, vport, chain) {
        Restored::Recirc(recirc_id) => {
            // It is not for whoever gets the packet next.
            tc_skb_ext::remove(skb);
            Some(recirc_id)
        }
        Restored::NotOurs if tc_recirc_sharing() => Some(chain),
        Restored::NotOurs => {
            // A chain of traffic control, which no datapath asked for. Without
            // chains in hardware, nobody would have looked.
            skb.cb_mut::<OvsSkbCb>().mru = 0;
            Some(0)
        }
        Restored::Lost => None,
    }
}

/// Extracts a packet's key and processes it.
#[inline(always)]
fn receive<'g>(
    ctx: BhRcu<'g>,
    vport: &'g Vport,
    mut skb: SkBuff,
    tunnel: Option<(u8, &'g TunnelKey)>,
) -> Result {
    with_zeroed(|key: &mut SwFlowKey| {
        ovs_flow_key_extract(&mut skb, vport.port_no(), key)?;
        if key.recirc_id != 0 {
            key.recirc_id =
                restore_recirc_id(ctx.rcu(), vport, &mut skb, key.recirc_id).ok_or(EINVAL)?;
        }
        let tun = tunnel.map(|(tun_proto, tun)| {
            key.tun_proto = tun_proto;
            tun
        });
        let exec = Execution::new(ctx, vport, tun).ok_or(ENODEV)?;
        ovs_dp_process_packet(&exec, skb, key);
        Ok(())
    })
}
