// SPDX-License-Identifier: GPL-2.0

//! Networking.

pub mod checksum;
pub mod dropreason;
pub mod dst_metadata;
pub mod flow_offload;
pub mod genetlink;
pub mod ip_tunnels;
pub mod namespace;
pub mod netdevice;
pub mod netlink;
pub mod notifier;
pub mod ratelimit;
pub mod rtnetlink;
pub mod rx_handler;
pub mod skbuff;
pub mod tc_skb_ext;

/// Whether a message may be logged: all of networking shares one limit of
/// rate. Logs how many were not, when it allows again.
///
/// C: `net_ratelimit()`.
pub fn net_ratelimit() -> bool {
    // SAFETY: The function has no preconditions.
    unsafe { crate::bindings::net_ratelimit() != 0 }
}
