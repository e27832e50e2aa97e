// SPDX-License-Identifier: GPL-2.0

//! Connection tracking.
//!
//! C: `net/openvswitch/conntrack.c`.

#[cfg(CONFIG_NF_CONNTRACK_OVS)]
mod action;
#[cfg(CONFIG_NF_CONNTRACK_OVS)]
mod execute;
#[cfg(CONFIG_NF_CONNTRACK_OVS)]
mod key;
#[cfg(all(CONFIG_NF_CONNTRACK_OVS, CONFIG_NF_CONNTRACK_LABELS))]
mod labels;
#[cfg(CONFIG_NETFILTER_CONNCOUNT)]
pub(crate) mod limit;
#[cfg(all(CONFIG_NF_CONNTRACK_OVS, CONFIG_NF_NAT_OVS))]
mod nat;
#[cfg(all(CONFIG_NF_CONNTRACK_OVS, not(CONFIG_NF_NAT_OVS)))]
#[path = "conntrack/no_nat.rs"]
mod nat;
#[cfg(CONFIG_NETFILTER_CONNCOUNT)]
pub(crate) mod netlink;
#[cfg(not(CONFIG_NF_CONNTRACK_OVS))]
mod none;
#[cfg(CONFIG_NF_CONNTRACK_OVS)]
pub(crate) mod uapi;

#[cfg(not(CONFIG_NF_CONNTRACK_OVS))]
pub(crate) use self::none::*;
#[cfg(CONFIG_NF_CONNTRACK_OVS)]
pub(crate) use self::{
    action::{
        ovs_ct_action_to_attr,
        ovs_ct_copy_action,
        ConntrackInfo,
        OVS_CONNTRACK_INFO_LEN, //
    },
    execute::{
        ovs_ct_clear,
        ovs_ct_execute, //
    },
    key::ovs_ct_fill_key, //
};

use core::sync::atomic::Ordering;

use kernel::prelude::*;
#[cfg(all(CONFIG_NF_CONNTRACK_OVS, CONFIG_NF_CONNTRACK_LABELS))]
use kernel_ext::net::netfilter::nf_conntrack_labels;
use kernel_ext::net::{
    namespace::Net,
    netlink::AttrWriter, //
};
use zerocopy::IntoBytes;

use crate::{
    datapath::ovs_net::{
        OvsNet,
        OVS_NET, //
    },
    flow::key::SwFlowKey,
    flow_netlink::uapi::*, //
};

/// Logs what is wrong with a request, as [`crate::flow_netlink::nlerr`] does, but
/// without the name of the module: C's file defines no prefix.
///
/// C: `OVS_NLERR()` in conntrack.c.
#[cfg(any(CONFIG_NF_CONNTRACK_OVS, CONFIG_NETFILTER_CONNCOUNT))]
macro_rules! nlerr {
    ($log:expr, $($args:tt)+) => {
        if $log {
            $crate::flow_netlink::log::log_out_of_line(|| {
                ::kernel_ext::net_info_ratelimited!(
                    "netlink: {}\n",
                    ::kernel::prelude::fmt!($($args)+)
                );
            });
        }
    };
}
#[cfg(any(CONFIG_NF_CONNTRACK_OVS, CONFIG_NETFILTER_CONNCOUNT))]
use nlerr;

/// Has connections of a namespace that has come up have labels, if that is
/// possible.
///
/// C: `ovs_ct_init()`.
pub(crate) fn ovs_ct_init(net: &Net, ovs_net: &OvsNet) {
    #[cfg(all(CONFIG_NF_CONNTRACK_OVS, CONFIG_NF_CONNTRACK_LABELS))]
    match nf_conntrack_labels::get(net) {
        Ok(()) => ovs_net.xt_label.store(true, Ordering::Relaxed),
        Err(_) => nlerr!(true, "Failed to set connlabel length"),
    }
    let _ = (net, ovs_net);
}

/// Takes back what [`ovs_ct_init`] did for a namespace that goes away.
///
/// C: `ovs_ct_exit_finish()`.
pub(crate) fn ovs_ct_exit(net: &Net, ovs_net: &OvsNet) {
    #[cfg(all(CONFIG_NF_CONNTRACK_OVS, CONFIG_NF_CONNTRACK_LABELS))]
    if ovs_net.xt_label.swap(false, Ordering::Relaxed) {
        nf_conntrack_labels::put(net);
    }
    let _ = (net, ovs_net);
}

/// Whether this kernel tracks what this key attribute is about, in this network
/// namespace.
///
/// C: `ovs_ct_verify()`.
pub(crate) fn ovs_ct_verify(net: &Net, attr: u16) -> bool {
    if !cfg!(CONFIG_NF_CONNTRACK_OVS) {
        return false;
    }
    match attr {
        OVS_KEY_ATTR_CT_STATE => true,
        OVS_KEY_ATTR_CT_ZONE => cfg!(CONFIG_NF_CONNTRACK_ZONES),
        OVS_KEY_ATTR_CT_MARK => cfg!(CONFIG_NF_CONNTRACK_MARK),
        OVS_KEY_ATTR_CT_LABELS => OVS_NET
            .load(net)
            .is_some_and(|ovs_net| ovs_net.xt_label.load(Ordering::Relaxed)),
        _ => false,
    }
}

/// Puts what connection tracking knows of a packet: of `output`, the key `swkey`
/// itself or its mask.
///
/// Fails with `EMSGSIZE` if it does not fit.
///
/// C: `ovs_ct_put_key()`.
pub(crate) fn ovs_ct_put_key(
    swkey: &SwFlowKey,
    output: &SwFlowKey,
    w: &mut impl AttrWriter,
) -> Result {
    if !cfg!(CONFIG_NF_CONNTRACK_OVS) {
        return Ok(());
    }
    w.put_u32(OVS_KEY_ATTR_CT_STATE, output.ct_state.into())?;
    if cfg!(CONFIG_NF_CONNTRACK_ZONES) {
        w.put_u16(OVS_KEY_ATTR_CT_ZONE, output.ct_zone)?;
    }
    if cfg!(CONFIG_NF_CONNTRACK_MARK) {
        w.put_u32(OVS_KEY_ATTR_CT_MARK, output.ct_mark)?;
    }
    if cfg!(CONFIG_NF_CONNTRACK_LABELS) {
        w.put(OVS_KEY_ATTR_CT_LABELS, &output.ct_labels)?;
    }

    if swkey.ct_orig_proto == 0 {
        return Ok(());
    }
    match swkey.eth_type.get() {
        ETH_P_IP => {
            let orig = OvsKeyCtTupleIpv4 {
                ipv4_src: ipv4_of(&output.ct_orig_src),
                ipv4_dst: ipv4_of(&output.ct_orig_dst),
                src_port: output.ct_orig_tp_src,
                dst_port: output.ct_orig_tp_dst,
                ipv4_proto: output.ct_orig_proto,
                pad: [0; 3],
            };
            w.put(OVS_KEY_ATTR_CT_ORIG_TUPLE_IPV4, orig.as_bytes())
        }
        ETH_P_IPV6 => {
            let orig = OvsKeyCtTupleIpv6 {
                ipv6_src: output.ct_orig_src,
                ipv6_dst: output.ct_orig_dst,
                src_port: output.ct_orig_tp_src,
                dst_port: output.ct_orig_tp_dst,
                ipv6_proto: output.ct_orig_proto,
                pad: [0; 3],
            };
            w.put(OVS_KEY_ATTR_CT_ORIG_TUPLE_IPV6, orig.as_bytes())
        }
        _ => Ok(()),
    }
}

/// The IPv4 address in the place of an address of the original direction.
fn ipv4_of(addr: &[u8; 16]) -> [u8; 4] {
    addr.first_chunk().copied().unwrap_or_default()
}
