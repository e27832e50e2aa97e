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
pub mod netfilter;
pub mod netlink;
pub mod notifier;
pub mod nsh;
pub mod psample;
pub mod rtnetlink;
pub mod rx_handler;
pub mod skbuff;
pub mod tc_skb_ext;
pub mod tun_proto;
