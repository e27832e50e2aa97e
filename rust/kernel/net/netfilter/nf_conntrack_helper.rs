// SPDX-License-Identifier: GPL-2.0

//! Helpers: what knows protocols that open connections of their own.
//!
//! C header:
//! [`nf_conntrack_helper.h`](srctree/include/net/netfilter/nf_conntrack_helper.h)

use super::{
    nf_conntrack::{
        NfConn,
        Template,
        Unconfirmed, //
    },
    NfProto,
    Verdict, //
};
use crate::{
    bindings,
    net::skbuff::SkBuff,
    sync::rcu::RcuRead, //
};
use core::ptr::NonNull;
#[cfg(CONFIG_NF_NAT)]
use kernel::sync::rcu;
use kernel::{
    error::to_result,
    prelude::*, //
};

/// A helper, of a [`Template`].
///
/// # Invariants
///
/// The pointer is valid; a reference to the helper is owned, which keeps its
/// module, and one to that of the helper for NAT if `nat` says so.
pub struct Helper {
    helper: NonNull<bindings::nf_conntrack_helper>,
    #[cfg_attr(not(CONFIG_NF_NAT), expect(dead_code, reason = "there is no NAT"))]
    nat: bool,
}

impl Helper {
    /// Takes over a helper from C.
    ///
    /// # Safety
    ///
    /// The caller owns the references of the type invariants, and gives them
    /// away.
    pub(super) unsafe fn from_raw(
        helper: NonNull<bindings::nf_conntrack_helper>,
        nat: bool,
    ) -> Self {
        // INVARIANT: By the safety requirements.
        Self { helper, nat }
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        #[cfg(CONFIG_NF_NAT)]
        if self.nat {
            // The helper for NAT is looked up under RCU, which an action that
            // was never installed is not freed under.
            let _rcu = rcu::read_lock();
            // SAFETY: By the type invariants the reference is owned.
            unsafe { bindings::nf_nat_helper_put(self.helper.as_ptr()) };
        }
        // SAFETY: By the type invariants the reference is owned.
        unsafe { bindings::nf_conntrack_helper_put(self.helper.as_ptr()) };
    }
}

impl NfConn {
    /// Whether it has a place for a helper. C: `nfct_help()`.
    #[inline]
    pub fn has_help(&self) -> bool {
        // SAFETY: By the type invariants.
        unsafe { bindings::nfct_has_help(self.as_ptr()) }
    }

    /// Whether it has a place for a helper, and another one than this is there,
    /// or none.
    #[inline]
    pub fn has_other_helper(&self, helper: &Helper, _rcu: RcuRead<'_>) -> bool {
        // SAFETY: By the type invariants. The helpers are compared only.
        unsafe { bindings::nfct_help_is_other(self.as_ptr(), helper.helper.as_ptr()) }
    }
}

impl Unconfirmed<'_> {
    /// Gives the connection the template's helper. Fails with `ENOMEM`.
    /// C: `__nf_ct_try_assign_helper(ct, tmpl, GFP_ATOMIC)`.
    pub fn try_assign_helper(&mut self, tmpl: &Template, _rcu: RcuRead<'_>) -> Result {
        // SAFETY: By the type invariants; the template's helper stays for as
        // long as it does, and the connection then has it as others have.
        to_result(unsafe {
            bindings::__nf_ct_try_assign_helper(self.ct_ptr(), tmpl.as_ptr(), bindings::GFP_ATOMIC)
        })
    }

    /// Makes room for changes of the sequence numbers, if there is none. Fails
    /// with `EINVAL`. C: `nfct_seqadj()`, `nfct_seqadj_ext_add()`.
    pub fn seqadj_ext_add(&mut self) -> Result {
        // SAFETY: By the type invariants.
        match unsafe { bindings::nfct_seqadj_ext(self.ct_ptr()) } {
            true => Ok(()),
            false => Err(EINVAL),
        }
    }
}

impl SkBuff {
    /// Has the helper of the packet's connection look at the packet, which begins
    /// with its network header, if there is one. C: `nf_ct_helper()`.
    #[inline]
    pub fn nf_ct_helper(mut self, proto: NfProto, _rcu: RcuRead<'_>) -> Verdict {
        let has_help = self.nf_ct().is_some_and(|(ct, _)| ct.has_help());
        if !has_help || !self.has_network_header(proto) {
            return Verdict::Accept(self);
        }
        let (ct, info) = (self.ct_ptr(), self.ctinfo());
        let skb = self.into_raw();
        // SAFETY: The packet is valid, with a connection and a linear network
        // header; the RCU read lock is held.
        let verdict =
            unsafe { bindings::nf_ct_helper(skb, ct, info.as_raw(), u16::from(proto as u8)) };
        // CAST: It is no negative number.
        // SAFETY: The packet was lent to it.
        unsafe { Verdict::from_raw(skb, verdict as u32) }
    }
}
