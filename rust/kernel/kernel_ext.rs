// SPDX-License-Identifier: GPL-2.0

//! Safe abstractions that the `kernel` crate lacks, for networking.
//!
//! Every file below `kernel/` has the path it would have in the kernel tree's
//! `rust/` folder; this file is the only one that would not move there. What is
//! here is staged until it can be moved to the `kernel` crate, so a `crate::`
//! path names something new and a `kernel::` path something that exists.

/// The prefix of this crate's messages.
const __LOG_PREFIX: &[u8] = b"openvswitch\0";

#[allow(
    clippy::all,
    clippy::cast_lossless,
    clippy::ptr_as_ptr,
    clippy::ref_as_ptr,
    clippy::undocumented_unsafe_blocks,
    dead_code,
    improper_ctypes,
    missing_docs,
    non_camel_case_types,
    non_upper_case_globals,
    non_snake_case,
    unreachable_pub,
    unsafe_op_in_unsafe_fn,
    unused_imports
)]
mod bindings {
    include!("../bindings/bindings_generated.rs");
}

/// The userspace API of Open vSwitch, as `include/uapi/linux/openvswitch.h` has it.
#[allow(
    clippy::all,
    clippy::cast_lossless,
    clippy::ptr_as_ptr,
    clippy::ref_as_ptr,
    clippy::undocumented_unsafe_blocks,
    dead_code,
    missing_docs,
    non_camel_case_types,
    non_upper_case_globals,
    non_snake_case,
    unreachable_pub,
    unsafe_op_in_unsafe_fn,
    unused_imports
)]
pub mod uapi {
    include!("../uapi/uapi_generated.rs");
}

mod gfp;
pub mod jhash;
pub mod mem;
pub mod net;
pub mod percpu;
pub mod random;
pub mod ratelimit;
pub mod rcu_table;
pub mod rcu_vec;
pub mod static_percpu;
pub mod sync;
pub mod time;
pub mod trace;
mod tracepoint;
pub mod workqueue;

#[cfg(CONFIG_OPENVSWITCH_KUNIT_TEST)]
#[path = "../../kunit/flow_offload.rs"]
mod kunit_flow_offload;
#[cfg(CONFIG_OPENVSWITCH_KUNIT_TEST)]
#[path = "../../kunit/flow_offload_driver.rs"]
pub mod kunit_flow_offload_driver;
#[cfg(CONFIG_OPENVSWITCH_KUNIT_TEST)]
#[path = "../../kunit/flow_offload_indirect.rs"]
mod kunit_flow_offload_indirect;
#[cfg(CONFIG_OPENVSWITCH_KUNIT_TEST)]
#[path = "../../kunit/genetlink.rs"]
mod kunit_genetlink;
#[cfg(CONFIG_OPENVSWITCH_KUNIT_TEST)]
#[path = "../../kunit/namespace.rs"]
mod kunit_namespace;
#[cfg(CONFIG_OPENVSWITCH_KUNIT_TEST)]
#[path = "../../kunit/netlink.rs"]
mod kunit_netlink;
#[cfg(CONFIG_OPENVSWITCH_KUNIT_TEST)]
#[path = "../../kunit/rcu.rs"]
mod kunit_rcu;
#[cfg(CONFIG_OPENVSWITCH_KUNIT_TEST)]
#[path = "../../kunit/workqueue.rs"]
mod kunit_workqueue;
