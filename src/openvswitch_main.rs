// SPDX-License-Identifier: GPL-2.0

//! The Open vSwitch kernel datapath.

#![deny(unsafe_code)]

use kernel::prelude::*;

use kernel_ext::{
    net::{
        dropreason,
        genetlink,
        namespace::PernetRegistration,
        rtnetlink::RtnlLinkRegistration, //
    },
    static_percpu::StaticPerCpuMemory,
    sync::rcu::BarrierOnDrop, //
};

use self::{
    actions::execute::{
        OvsPcpuStorage,
        OVS_PCPU_STORAGE, //
    },
    datapath::{
        genl::Families,
        ovs_net::{
            self,
            OvsNetOps, //
        },
    },
    dp_notify::DpNotify,
    drop::DROP_REASONS,
    offload::{
        engine::EngineGuard,
        netlink::OVS_OFFLOAD_GENL_FAMILY,
        policy::{
            Setting,
            GLOBAL, //
        }, //
    },
    vport::internal_dev::ovs_internal_dev_rtnl_link_register, //
};

mod actions;
mod conntrack;
mod datapath;
mod dp_notify;
mod drop;
mod flow;
mod flow_netlink;
mod flow_table;
mod meter;
mod offload;
mod offload_ops;
mod process;
mod receive;
mod trace;
mod upcall;
mod vport;

#[cfg(CONFIG_OPENVSWITCH_KUNIT_TEST)]
#[path = "../kunit/actions_check_pkt_len.rs"]
mod kunit_actions_check_pkt_len;
#[cfg(CONFIG_OPENVSWITCH_KUNIT_TEST)]
#[path = "../kunit/actions_push_pop.rs"]
mod kunit_actions_push_pop;
#[cfg(CONFIG_OPENVSWITCH_KUNIT_TEST)]
#[path = "../kunit/actions_set.rs"]
mod kunit_actions_set;
#[cfg(all(CONFIG_OPENVSWITCH_KUNIT_TEST, CONFIG_NF_CONNTRACK_OVS))]
#[path = "../kunit/conntrack.rs"]
mod kunit_conntrack;
#[cfg(CONFIG_OPENVSWITCH_KUNIT_TEST)]
#[path = "../kunit/flow_extract.rs"]
mod kunit_flow_extract;
#[cfg(CONFIG_OPENVSWITCH_KUNIT_TEST)]
#[path = "../kunit/flow_netlink.rs"]
mod kunit_flow_netlink;
#[cfg(CONFIG_OPENVSWITCH_KUNIT_TEST)]
#[path = "../kunit/flow_netlink_actions.rs"]
mod kunit_flow_netlink_actions;
#[cfg(CONFIG_OPENVSWITCH_KUNIT_TEST)]
#[path = "../kunit/flow_table.rs"]
mod kunit_flow_table;
#[cfg(CONFIG_OPENVSWITCH_KUNIT_TEST)]
#[path = "../kunit/flow_table_masks.rs"]
mod kunit_flow_table_masks;
#[cfg(CONFIG_OPENVSWITCH_KUNIT_TEST)]
#[path = "../kunit/meter.rs"]
mod kunit_meter;
#[cfg(CONFIG_OPENVSWITCH_KUNIT_TEST)]
#[path = "../kunit/mpls.rs"]
mod kunit_mpls;
#[cfg(CONFIG_OPENVSWITCH_KUNIT_TEST)]
#[path = "../kunit/offload_action.rs"]
mod kunit_offload_action;
#[cfg(CONFIG_OPENVSWITCH_KUNIT_TEST)]
#[path = "../kunit/offload_engine.rs"]
mod kunit_offload_engine;
#[cfg(CONFIG_OPENVSWITCH_KUNIT_TEST)]
#[path = "../kunit/offload_flow.rs"]
mod kunit_offload_flow;
#[cfg(CONFIG_OPENVSWITCH_KUNIT_TEST)]
#[path = "../kunit/offload_lab.rs"]
mod kunit_offload_lab;
#[cfg(CONFIG_OPENVSWITCH_KUNIT_TEST)]
#[path = "../kunit/offload_rule.rs"]
mod kunit_offload_rule;
#[cfg(CONFIG_OPENVSWITCH_KUNIT_TEST)]
#[path = "../kunit/offload_storm.rs"]
mod kunit_offload_storm;
#[cfg(CONFIG_OPENVSWITCH_KUNIT_TEST)]
#[path = "../kunit/offload_tunnel.rs"]
mod kunit_offload_tunnel;
#[cfg(CONFIG_OPENVSWITCH_KUNIT_TEST)]
#[path = "../kunit/offload_twin.rs"]
mod kunit_offload_twin;
#[cfg(CONFIG_OPENVSWITCH_KUNIT_TEST)]
#[path = "../kunit/tunnel.rs"]
mod kunit_tunnel;

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
    params: {
        offload: bool {
            default: true,
            description: "Have hardware run flows where it can (default Y)",
        },
        offload_always: bool {
            default: false,
            description: "Leave out outer flags that drivers do not match on (default N)",
        },
    },
}

/// All that the module has registered. Fields are dropped in their order, so
/// what uses something stands before it; they are made in the opposite order.
struct OvsModule {
    // No more commands.
    _genl: Families,
    _offload_genl: genetlink::Registration,
    // No more news of devices.
    _notify: DpNotify,
    // No more datapaths.
    _net: PernetRegistration<OvsNetOps>,
    _drop_reasons: dropreason::Registration,
    // No more rules in hardware.
    _engine: EngineGuard,
    // Ports and flows that wait for a grace period still need what follows.
    _barrier: BarrierOnDrop,
    _link: RtnlLinkRegistration,
    _pcpu_storage: StaticPerCpuMemory<OvsPcpuStorage>,
}

impl kernel::Module for OvsModule {
    /// C: `dp_init()`; dropping the fields is `dp_cleanup()`.
    fn init(_module: &'static ThisModule) -> Result<Self> {
        pr_info!("Open vSwitch switching datapath\n");

        let pcpu_storage = OVS_PCPU_STORAGE.alloc()?;
        let link = ovs_internal_dev_rtnl_link_register()?;
        let barrier = BarrierOnDrop;
        let offload = module_parameters::offload.value();
        let always = module_parameters::offload_always.value();
        GLOBAL.set(match (offload, always) {
            (false, _) => Setting::Never,
            (true, false) => Setting::Auto,
            (true, true) => Setting::Always,
        });
        let engine = EngineGuard::new()?;
        offload_ops::register(&offload::Ops);
        let net = ovs_net::register()?;
        let notify = DpNotify::register()?;
        let offload_genl = OVS_OFFLOAD_GENL_FAMILY.register()?;
        let genl = Families::register()?;
        Ok(OvsModule {
            _genl: genl,
            _offload_genl: offload_genl,
            _notify: notify,
            _net: net,
            _drop_reasons: dropreason::Registration::new(&DROP_REASONS),
            _engine: engine,
            _barrier: barrier,
            _link: link,
            _pcpu_storage: pcpu_storage,
        })
    }
}
