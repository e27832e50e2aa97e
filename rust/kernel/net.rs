// SPDX-License-Identifier: GPL-2.0

//! Networking.

pub mod dropreason;
pub mod genetlink;
pub mod namespace;
pub mod netlink;
pub mod skbuff;
