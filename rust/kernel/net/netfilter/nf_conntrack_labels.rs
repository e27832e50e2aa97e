// SPDX-License-Identifier: GPL-2.0

//! Labels of connections: 128 bits of each.
//!
//! C header:
//! [`nf_conntrack_labels.h`](srctree/include/net/netfilter/nf_conntrack_labels.h)

use super::nf_conntrack::{
    NfConn,
    Unconfirmed, //
};
use crate::{
    bindings,
    net::namespace::Net, //
};
use core::sync::atomic::{
    AtomicU32,
    Ordering, //
};
use kernel::{
    error::to_result,
    prelude::*, //
};

/// Labels as words, each in host byte order.
pub type Labels = [u32; 4];

const _: () = assert!(size_of::<bindings::nf_conn_labels>() >= size_of::<Labels>());

/// Has connections of a namespace have all labels, from now on, until there were
/// as many calls of [`put`]. C: `nf_connlabels_get(net, 127)`; fails as that.
pub fn get(net: &Net) -> Result {
    // SAFETY: The namespace is valid.
    to_result(unsafe { bindings::nf_connlabels_get(net.as_raw(), 127) })
}

/// Takes back a [`get`]. C: `nf_connlabels_put()`.
pub fn put(net: &Net) {
    // SAFETY: The namespace is valid.
    unsafe { bindings::nf_connlabels_put(net.as_raw()) };
}

impl NfConn {
    /// The words of the labels, if there are labels. C: `nf_ct_labels_find()`.
    #[inline]
    fn label_words(&self) -> Option<&[AtomicU32; 4]> {
        // SAFETY: By the type invariants; labels are in an extension, which does
        // not move while the connection is borrowed: it is confirmed, or an
        // `Unconfirmed` has to be borrowed to be changed. They are words that
        // are aligned, and changed with atomic operations.
        unsafe {
            bindings::nf_ct_labels_find(self.as_ptr())
                .cast::<[AtomicU32; 4]>()
                .as_ref()
        }
    }

    /// The labels, if it has any.
    #[inline]
    pub fn labels(&self) -> Option<Labels> {
        let [a, b, c, d] = self.label_words()?;
        Some([a, b, c, d].map(|word| word.load(Ordering::Relaxed)))
    }

    /// Sets those labels of `mask` that are in `data`, clears the others of
    /// `mask`, and notes that. Fails with `ENOSPC` where there are none.
    /// C: `nf_connlabels_replace()`.
    pub fn replace_labels(&self, data: &Labels, mask: &Labels) -> Result {
        // SAFETY: By the type invariants; both have four words.
        to_result(unsafe {
            bindings::nf_connlabels_replace(self.as_ptr(), data.as_ptr(), mask.as_ptr(), 4)
        })
    }
}

impl Unconfirmed<'_> {
    /// Makes room for labels, if there is none. Without memory, or if nobody in
    /// the namespace uses labels, there is still none.
    /// C: `nf_ct_labels_ext_add()`.
    pub fn labels_ext_add(&mut self) {
        if self.label_words().is_none() {
            // SAFETY: By the type invariants.
            unsafe { bindings::nf_ct_labels_ext_add(self.ct_ptr()) };
        }
    }

    /// Sets the labels. Nothing is done where there are none.
    pub fn set_labels(&mut self, labels: &Labels) {
        if let Some(words) = self.label_words() {
            for (word, label) in words.iter().zip(labels) {
                word.store(*label, Ordering::Relaxed);
            }
        }
    }
}
