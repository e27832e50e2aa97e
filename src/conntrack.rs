// SPDX-License-Identifier: GPL-2.0

//! Connection tracking.
//!
//! C: `net/openvswitch/conntrack.c`.

#[cfg(CONFIG_NETFILTER_CONNCOUNT)]
pub(crate) mod limit;
#[cfg(CONFIG_NETFILTER_CONNCOUNT)]
pub(crate) mod netlink;

use kernel::prelude::*;
use kernel_ext::net::{
    namespace::Net,
    netlink::AttrWriter, //
};
use zerocopy::IntoBytes;

use crate::{
    flow::key::SwFlowKey,
    flow_netlink::uapi::*, //
};

/// Logs what is wrong with a request, as [`crate::flow_netlink::nlerr`] does, but
/// without the name of the module: C's file defines no prefix.
///
/// C: `OVS_NLERR()` in conntrack.c.
macro_rules! nlerr {
    ($log:expr, $($args:tt)+) => {
        if $log {
            $crate::flow_netlink::log_out_of_line(|| {
                ::kernel_ext::net_info_ratelimited!("netlink: {}\n", ::core::format_args!($($args)+));
            });
        }
    };
}
use nlerr;

/// Whether this kernel tracks what this key attribute is about, in this network
/// namespace.
///
/// C: `ovs_ct_verify()`.
#[allow(clippy::match_like_matches_macro, reason = "depends on the kernel")]
pub(crate) fn ovs_ct_verify(_net: &Net, attr: u16) -> bool {
    match attr {
        OVS_KEY_ATTR_CT_STATE => cfg!(CONFIG_NF_CONNTRACK),
        OVS_KEY_ATTR_CT_ZONE => cfg!(CONFIG_NF_CONNTRACK_ZONES),
        OVS_KEY_ATTR_CT_MARK => cfg!(CONFIG_NF_CONNTRACK_MARK),
        OVS_KEY_ATTR_CT_LABELS => cfg!(CONFIG_NF_CONNTRACK_LABELS),
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
    if !cfg!(CONFIG_NF_CONNTRACK) {
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
