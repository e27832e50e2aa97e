// SPDX-License-Identifier: GPL-2.0

//! What functions that look at packets say of them.
//!
//! C header: [`include/uapi/linux/netfilter.h`](srctree/include/uapi/linux/netfilter.h)

use crate::{
    bindings,
    net::skbuff::SkBuff, //
};
use core::ptr::NonNull;

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
    pub(super) unsafe fn from_raw(skb: *mut bindings::sk_buff, verdict: u32) -> Self {
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
