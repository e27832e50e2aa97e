// SPDX-License-Identifier: GPL-2.0

//! Network namespaces.
//!
//! C header: [`include/net/net_namespace.h`](srctree/include/net/net_namespace.h)

use kernel::types::Opaque;

use crate::bindings;

/// A network namespace.
///
/// # Invariants
///
/// It is valid for as long as the reference, and its generic netlink socket
/// exists.
#[repr(transparent)]
pub struct Net(Opaque<bindings::net>);

// SAFETY: A namespace is not bound to a thread.
unsafe impl Send for Net {}
// SAFETY: What is done through a shared reference is done by functions that
// lock for themselves.
unsafe impl Sync for Net {}

impl Net {
    /// Borrows a namespace.
    ///
    /// # Safety
    ///
    /// `net` must stay valid, with its generic netlink socket, for `'a`.
    #[inline]
    pub(crate) unsafe fn from_raw<'a>(net: *mut bindings::net) -> &'a Net {
        // CAST: The type is transparent.
        // SAFETY: The function's safety requirements.
        unsafe { &*net.cast() }
    }

    /// The namespace for C.
    #[inline]
    pub(crate) fn as_raw(&self) -> *mut bindings::net {
        self.0.get()
    }
}

/// C: `net_eq()`.
impl PartialEq for Net {
    #[inline]
    fn eq(&self, other: &Net) -> bool {
        core::ptr::eq(self, other)
    }
}

impl Eq for Net {}
