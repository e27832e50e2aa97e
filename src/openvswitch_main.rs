// SPDX-License-Identifier: GPL-2.0

//! The Open vSwitch kernel datapath.

#![deny(unsafe_code)]

use kernel::prelude::*;

use kernel_ext::sync::rcu::BarrierOnDrop;

mod actions;
mod datapath;
mod drop;
mod flow;
mod flow_netlink;
mod flow_table;

#[cfg(CONFIG_OPENVSWITCH_KUNIT_TEST)]
#[path = "../kunit/flow_table.rs"]
mod kunit_flow_table;

module! {
    type: OvsModule,
    name: "openvswitch",
    authors: ["Open vSwitch Rust datapath team"],
    description: "Open vSwitch switching datapath",
    license: "GPL",
    alias: [
        "net-pf-16-proto-16-family-ovs_datapath",
        "net-pf-16-proto-16-family-ovs_vport",
        "net-pf-16-proto-16-family-ovs_flow",
        "net-pf-16-proto-16-family-ovs_packet",
        "net-pf-16-proto-16-family-ovs_meter",
        "net-pf-16-proto-16-family-ovs_ct_limit",
    ],
}

/// All that the module has registered. Fields are dropped in their order, so
/// what uses something stands before it.
struct OvsModule {
    /// Nothing may still be waiting for a grace period when the code goes away.
    _barrier: BarrierOnDrop,
}

impl kernel::Module for OvsModule {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        pr_info!("Open vSwitch switching datapath\n");
        Ok(OvsModule {
            _barrier: BarrierOnDrop,
        })
    }
}
