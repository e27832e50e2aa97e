// SPDX-License-Identifier: GPL-2.0

//! Counting the connections that have something in common.
//!
//! C header:
//! [`nf_conntrack_count.h`](srctree/include/net/netfilter/nf_conntrack_count.h)

use core::ptr::{
    self,
    NonNull, //
};

use kernel::{
    error::from_err_ptr,
    prelude::*, //
};

use super::NfProto;
use crate::{
    bindings,
    net::{
        namespace::Net,
        skbuff::SkBuff, //
    },
    sync::rcu::RcuRead, //
};

/// Connections of one namespace, counted by a key of 32 bits.
///
/// A connection counts from the packet that [`Self::count_skb`] was called with
/// until it is found to be gone, which the next call for its key looks for.
///
/// It has to be dropped by the time that `exit` returns for the namespace, as what
/// is in a [`PernetSlot`](crate::net::namespace::PernetSlot) is. The drop sleeps.
///
/// # Invariants
///
/// The pointer came from `nf_conncount_init()` with a key of four bytes and the
/// namespace, and has not been given to `nf_conncount_destroy()`.
pub struct ConnCount {
    data: NonNull<bindings::nf_conncount_data>,
    net: NonNull<Net>,
}

// SAFETY: It has locks of its own and belongs to no thread.
unsafe impl Send for ConnCount {}
// SAFETY: As above.
unsafe impl Sync for ConnCount {}

impl ConnCount {
    /// Nothing is counted yet. May sleep.
    ///
    /// C: `nf_conncount_init()`.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn new(net: &Net) -> Result<Self> {
        // SAFETY: The namespace is valid; `Self` sees to the rest.
        let data = from_err_ptr(unsafe {
            bindings::nf_conncount_init(net.as_raw(), size_of::<u32>() as u32)
        })?;
        // INVARIANT: It has just come from there.
        Ok(Self {
            data: NonNull::new(data).ok_or(ENOMEM)?,
            net: NonNull::from(net),
        })
    }

    /// How many connections have this key. If there is a packet, its connection
    /// is counted from now on and with them; 0 if that is not possible.
    ///
    /// A packet begins with its network header, or has that where
    /// `network_header` says.
    ///
    /// C: `nf_conncount_count_skb()`.
    pub fn count_skb(&self, skb: Option<(&SkBuff, NfProto)>, key: u32, _rcu: RcuRead<'_>) -> u32 {
        let (skb, l3num) = match skb {
            None => (ptr::null(), 0),
            Some((skb, proto)) => (skb.as_ptr().cast_const(), u16::from(proto as u8)),
        };
        // SAFETY: By the type invariants, `data` is of this namespace, with keys
        // of as many bytes as this one has. The packet is null or valid, and is
        // read by functions that check its length. The RCU read lock is held.
        unsafe {
            bindings::nf_conncount_count_skb(
                self.net.as_ptr().cast(),
                skb,
                l3num,
                self.data.as_ptr(),
                &raw const key,
            )
        }
    }
}

impl Drop for ConnCount {
    fn drop(&mut self) {
        // SAFETY: By the type invariants it came from `nf_conncount_init()` and
        // is given back once. Nobody uses it any more.
        unsafe {
            bindings::nf_conncount_destroy(self.net.as_ptr().cast(), self.data.as_ptr());
        }
    }
}
