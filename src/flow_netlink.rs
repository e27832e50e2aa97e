// SPDX-License-Identifier: GPL-2.0

//! Flow keys, masks and actions in netlink.
//!
//! What comes from userspace is checked here, with the errors, the log lines
//! and the order of checks of C's `net/openvswitch/flow_netlink.c`; the rest of
//! the module works on types that can only hold what passed. What goes to
//! userspace has the attributes that C puts, in its order.
//!
//! To add an attribute, it gets an entry in the table of its kind ([`key_attrs`],
//! [`actions`]) and a place in the functions beside that.

pub(crate) mod actions;
mod actions_put;
mod flow_match;
mod identifier;
mod key_attrs;
mod key_get;
mod key_put;
pub(crate) mod log;
mod nsh;
mod set;
mod set_tunnel;
mod tunnel;
mod tunnel_put;
pub(crate) mod uapi;
mod vlan;

pub(crate) use self::{
    actions::ovs_nla_copy_actions,
    actions_put::ovs_nla_put_actions,
    flow_match::{
        ovs_nla_get_key,
        ovs_nla_get_match,
        SwFlowMatch, //
    },
    identifier::{
        ovs_nla_get_identifier,
        ovs_nla_get_ufid,
        ovs_nla_get_ufid_flags, //
    },
    key_get::ovs_nla_get_flow_metadata,
    key_put::{
        ovs_key_attr_size,
        ovs_nla_put_identifier,
        ovs_nla_put_key,
        ovs_nla_put_mask,
        ovs_nla_put_masked_key, //
    },
    tunnel_put::{
        ovs_nla_put_tunnel_info,
        ovs_tun_key_attr_size, //
    },
};

/// Logs what is wrong with a request, if the request allows logging, limited
/// to the rate of all of networking's messages.
///
/// C: `OVS_NLERR()`.
macro_rules! nlerr {
    ($log:expr, $($args:tt)+) => {
        if $log && ::kernel_ext::ratelimit::net_ratelimit() {
            $crate::flow_netlink::log::log_out_of_line(|| {
                ::kernel::prelude::pr_info!("netlink: {}\n", ::core::format_args!($($args)+));
            });
        }
    };
}
pub(crate) use nlerr;
