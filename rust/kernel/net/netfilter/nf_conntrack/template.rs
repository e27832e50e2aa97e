// SPDX-License-Identifier: GPL-2.0

//! What connections are made from.
//!
//! C header: [`include/net/netfilter/nf_conntrack.h`](srctree/include/net/netfilter/nf_conntrack.h)

use super::{
    super::{
        nf_conntrack_helper::Helper,
        NfProto, //
    },
    Zone, //
};
use crate::{
    bindings,
    gfp::as_raw,
    net::namespace::Net, //
};
use core::ptr::NonNull;
use kernel::{
    alloc::Flags,
    error::to_result,
    prelude::*,
    str::CStrExt, //
};

/// What a connection gets when it is made: its zone, and a helper and a timeout
/// policy if the template has them. C: a `struct nf_conn` with `IPS_TEMPLATE`.
///
/// It may be dropped in softirq, when all packets that it was used for are
/// done with that.
///
/// # Invariants
///
/// - The pointer is to a template, of which a reference is owned. Nobody changes
///   it when it has been set up.
/// - `helper` is the helper in it.
pub struct Template {
    ct: NonNull<bindings::nf_conn>,
    helper: Option<Helper>,
    has_timeout: bool,
}

// SAFETY: It does not change, and the count of references is atomic.
unsafe impl Send for Template {}
// SAFETY: As above.
unsafe impl Sync for Template {}

impl Template {
    /// A template for connections of this namespace and zone. Fails with
    /// `ENOMEM`. C: `nf_ct_tmpl_alloc()`.
    pub fn new(net: &Net, zone: Zone, flags: Flags) -> Result<Self> {
        // SAFETY: The namespace is valid.
        let ct = unsafe { bindings::nf_ct_tmpl_alloc(net.as_raw(), &zone.raw(), as_raw(flags)) };
        // INVARIANT: It is new, with a reference that is the caller's.
        Ok(Self {
            ct: NonNull::new(ct).ok_or(ENOMEM)?,
            helper: None,
            has_timeout: false,
        })
    }

    /// The C structure.
    #[inline]
    pub(crate) fn as_ptr(&self) -> *mut bindings::nf_conn {
        self.ct.as_ptr()
    }

    /// The helper.
    #[inline]
    pub fn helper(&self) -> Option<&Helper> {
        self.helper.as_ref()
    }

    /// Gives connections of this IP protocol the helper of this name, for whose
    /// packets addresses are translated if `nat` says so. May sleep and load
    /// modules.
    ///
    /// Fails with `EINVAL` if there is no such helper, `ENOENT` if there is none
    /// for NAT, and with `ENOMEM`.
    ///
    /// C: `nf_ct_add_helper()`.
    pub fn add_helper(&mut self, name: &CStr, proto: NfProto, l4proto: u8, nat: bool) -> Result {
        if self.helper.is_some() {
            return Err(EEXIST);
        }
        let mut helper = core::ptr::null_mut();
        // SAFETY: All are valid; nobody uses the template yet.
        to_result(unsafe {
            bindings::nf_ct_add_helper(
                self.as_ptr(),
                name.as_char_ptr(),
                proto as u8,
                l4proto,
                nat,
                &mut helper,
            )
        })?;
        // SAFETY: A reference to the helper, and one to that for NAT if there
        // is NAT, is the caller's now.
        self.helper = NonNull::new(helper).map(|helper| unsafe { Helper::from_raw(helper, nat) });
        Ok(())
    }

    /// Gives connections of this IP protocol the timeout policy of this name.
    /// Fails with `ENOENT` if there is none, `EINVAL` if it is for another
    /// protocol, and with `ENOMEM`, `EOPNOTSUPP` if the kernel has no such
    /// policies.
    ///
    /// C: `nf_ct_set_timeout()`.
    pub fn set_timeout(&mut self, net: &Net, proto: NfProto, l4proto: u8, name: &CStr) -> Result {
        #[cfg(CONFIG_NF_CONNTRACK_TIMEOUT)]
        {
            // SAFETY: All are valid; nobody uses the template yet.
            to_result(unsafe {
                bindings::nf_ct_set_timeout(
                    net.as_raw(),
                    self.as_ptr(),
                    proto as u8,
                    l4proto,
                    name.as_char_ptr(),
                )
            })?;
            self.has_timeout = true;
            Ok(())
        }
        #[cfg(not(CONFIG_NF_CONNTRACK_TIMEOUT))]
        {
            let _ = (net, proto, l4proto, name);
            Err(EOPNOTSUPP)
        }
    }

    /// Whether it has a timeout policy.
    #[inline]
    pub fn has_timeout(&self) -> bool {
        self.has_timeout
    }

    /// Marks it as for connections that are confirmed at once.
    /// C: `__set_bit(IPS_CONFIRMED_BIT, &tmpl->status)`.
    pub fn set_confirmed(&mut self) {
        // SAFETY: By the type invariants; nobody uses the template yet.
        unsafe { (*self.as_ptr()).status |= bindings::ip_conntrack_status_IPS_CONFIRMED as usize };
    }
}

impl Drop for Template {
    fn drop(&mut self) {
        // As in C, the helper goes first.
        self.helper = None;
        #[cfg(CONFIG_NF_CONNTRACK_TIMEOUT)]
        if self.has_timeout {
            // SAFETY: By the type invariants; no packet uses the template any
            // more.
            unsafe { bindings::nf_ct_destroy_timeout(self.as_ptr()) };
        }
        // SAFETY: The reference is given away. C frees the template whoever
        // else has one, which nobody has.
        unsafe { bindings::nf_ct_put(self.as_ptr()) };
    }
}
