// SPDX-License-Identifier: GPL-2.0

//! Flows in hardware.

mod action;
pub(crate) mod block;
pub(crate) mod reason;
pub(crate) mod rule;

use kernel_ext::net::flow_offload::HwDelta;

use crate::vport::Vport;

/// A port's device can take rules from now on.
pub(crate) fn port_bound(_vport: &Vport) {}

/// The driver no longer has these rules, whose last counters these are. Called
/// with the rtnl lock held.
pub(crate) fn rules_gone(_gone: &[(usize, HwDelta)]) {}
