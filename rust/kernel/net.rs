// SPDX-License-Identifier: GPL-2.0

//! Networking.

pub mod dropreason;
pub mod netlink;
pub mod skbuff;
