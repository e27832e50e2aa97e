// SPDX-License-Identifier: GPL-2.0

//! Netfilter: what there is for those who call it without its hooks.
//!
//! C header: [`include/linux/netfilter.h`](srctree/include/linux/netfilter.h)

#[cfg(CONFIG_NETFILTER_CONNCOUNT)]
pub mod nf_conntrack_count;

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
