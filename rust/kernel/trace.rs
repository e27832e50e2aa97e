// SPDX-License-Identifier: GPL-2.0

//! The tracepoints of the module, which C defines.

pub mod openvswitch;
pub mod ovs_offload;
