// SPDX-License-Identifier: GPL-2.0

//! Networking.

pub mod netlink;
pub mod skbuff;
