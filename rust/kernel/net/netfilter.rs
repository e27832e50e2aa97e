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

use crate::{
    bindings,
    net::skbuff::SkBuff, //
};
use core::ptr::NonNull;

/// A protocol family. C: `NFPROTO_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum NfProto {
    /// IPv4.
    Ipv4 = bindings::NFPROTO_IPV4 as u8,
    /// IPv6.
    Ipv6 = bindings::NFPROTO_IPV6 as u8,
}

/// What became of a packet. C: `NF_ACCEPT` and so on.
#[must_use]
pub enum Verdict {
    /// It goes on.
    Accept(SkBuff),
    /// It is to be dropped.
    Drop(SkBuff),
    /// Whoever was asked has kept it, or has freed it.
    Stolen,
}

impl Verdict {
    /// The verdict that C gave on a packet.
    ///
    /// # Safety
    ///
    /// `skb` came from [`SkBuff::into_raw`] and was lent to a function of
    /// netfilter, which returned `verdict`: if that is `NF_STOLEN` it took the
    /// packet, otherwise the packet is the caller's, who gives it away here.
    #[inline]
    pub(crate) unsafe fn from_raw(skb: *mut bindings::sk_buff, verdict: u32) -> Self {
        let verdict = verdict & bindings::NF_VERDICT_MASK;
        if verdict == bindings::NF_STOLEN {
            return Self::Stolen;
        }
        let Some(ptr) = NonNull::new(skb) else {
            return Self::Stolen;
        };
        // SAFETY: By the safety requirements.
        let skb = unsafe { SkBuff::from_raw(ptr) };
        if verdict == bindings::NF_ACCEPT {
            Self::Accept(skb)
        } else {
            Self::Drop(skb)
        }
    }
}
