// SPDX-License-Identifier: GPL-2.0

//! Netfilter: what there is for those who call it without its hooks.
//!
//! C header: [`include/linux/netfilter.h`](srctree/include/linux/netfilter.h)

#[cfg(CONFIG_NF_CONNTRACK_OVS)]
pub mod nf_conntrack;
#[cfg(CONFIG_NETFILTER_CONNCOUNT)]
pub mod nf_conntrack_count;
#[cfg(CONFIG_NF_CONNTRACK_OVS)]
pub mod nf_conntrack_helper;
#[cfg(all(CONFIG_NF_CONNTRACK_OVS, CONFIG_NF_CONNTRACK_LABELS))]
pub mod nf_conntrack_labels;
#[cfg(all(CONFIG_NF_CONNTRACK_OVS, CONFIG_NF_NAT_OVS))]
pub mod nf_nat;

#[cfg(CONFIG_NF_CONNTRACK_OVS)]
mod verdict;

#[cfg(CONFIG_NF_CONNTRACK_OVS)]
pub use self::verdict::Verdict;

use crate::bindings;

/// A protocol family. C: `NFPROTO_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum NfProto {
    /// IPv4.
    Ipv4 = bindings::NFPROTO_IPV4 as u8,
    /// IPv6.
    Ipv6 = bindings::NFPROTO_IPV6 as u8,
}
