// SPDX-License-Identifier: GPL-2.0

//! Packets in the datapath: the tracepoints of
//! [`net/openvswitch/openvswitch_trace.h`](srctree/net/openvswitch/openvswitch_trace.h).

use kernel::{
    prelude::*,
    str::CStrExt, //
};

#[cfg(CONFIG_TRACEPOINTS)]
use crate::bindings;
use crate::{
    net::skbuff::SkBuff,
    tracepoint::enabled, //
};

/// A packet in a datapath.
pub struct Packet<'a> {
    /// The datapath, of which the address alone is shown.
    pub dp: *const (),
    /// The datapath's name.
    pub dp_name: &'a CStr,
    /// The packet.
    pub skb: &'a SkBuff,
    /// The packet's key, of which the address alone is shown.
    pub key: *const (),
    /// The key's `dp_hash`.
    pub ovs_flow_hash: u32,
    /// The key's recirculation id.
    pub recirc_id: u32,
    /// The key's Ethernet type, as it is in the packet.
    pub eth_type: [u8; 2],
    /// The key's `ct_state`.
    pub ct_state: u8,
    /// The key's `ct_orig_proto`.
    pub ct_orig_proto: u8,
    /// The key's `ct_zone`.
    pub ct_zone: u16,
    /// The key describes the packet.
    pub flow_key_valid: bool,
}

#[cfg(CONFIG_TRACEPOINTS)]
impl Packet<'_> {
    fn raw(&self) -> bindings::ovs_trace_packet {
        bindings::ovs_trace_packet {
            dp: self.dp.cast_mut().cast(),
            dp_name: self.dp_name.as_char_ptr(),
            key: self.key.cast_mut().cast(),
            ovs_flow_hash: self.ovs_flow_hash,
            recirc_id: self.recirc_id,
            eth_type: u16::from_ne_bytes(self.eth_type),
            ct_state: self.ct_state,
            ct_orig_proto: self.ct_orig_proto,
            ct_zone: self.ct_zone,
            flow_key_valid: self.flow_key_valid.into(),
        }
    }
}

/// Whether executed actions are traced. C: `trace_ovs_do_execute_action_enabled()`.
#[inline(always)]
pub fn do_execute_action_enabled() -> bool {
    enabled!(__tracepoint_ovs_do_execute_action)
}

/// Whether upcalls are traced. C: `trace_ovs_dp_upcall_enabled()`.
#[inline(always)]
pub fn dp_upcall_enabled() -> bool {
    enabled!(__tracepoint_ovs_dp_upcall)
}

/// An action is about to be executed. `action` is its address, type and length
/// are those of its netlink attribute.
///
/// C: `trace_ovs_do_execute_action()`.
pub fn do_execute_action(
    packet: &Packet<'_>,
    action_type: u8,
    action_len: u32,
    action: *const (),
    is_last: bool,
) {
    #[cfg(CONFIG_TRACEPOINTS)]
    // SAFETY: Packet and names are valid during the call; packets in a datapath
    // have a device.
    unsafe {
        bindings::rust_do_trace_ovs_do_execute_action(
            &packet.raw(),
            packet.skb.as_ptr(),
            action_type,
            action_len,
            action.cast_mut().cast(),
            is_last.into(),
        )
    };
    let _ = (packet, action_type, action_len, action, is_last);
}

/// A packet is about to be sent to userspace.
///
/// C: `trace_ovs_dp_upcall()`.
pub fn dp_upcall(packet: &Packet<'_>, cmd: u8, portid: u32, mru: u16) {
    #[cfg(CONFIG_TRACEPOINTS)]
    // SAFETY: As in `do_execute_action()`.
    unsafe {
        bindings::rust_do_trace_ovs_dp_upcall(&packet.raw(), packet.skb.as_ptr(), cmd, portid, mru)
    };
    let _ = (packet, cmd, portid, mru);
}
