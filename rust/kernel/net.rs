// SPDX-License-Identifier: GPL-2.0

//! Networking.

pub mod dropreason;
pub mod genetlink;
pub mod namespace;
pub mod netdevice;
pub mod netlink;
pub mod notifier;
pub mod ratelimit;
pub mod rtnetlink;
pub mod rx_handler;
pub mod skbuff;
