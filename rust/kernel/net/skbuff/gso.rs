// SPDX-License-Identifier: GPL-2.0

//! Segmentation of socket buffers.
//!
//! C header: [`include/net/gso.h`](srctree/include/net/gso.h)

use super::SkBuff;
use crate::bindings;
use core::ptr::NonNull;
use kernel::{
    error::from_err_ptr,
    prelude::*, //
};

impl SkBuff {
    /// Whether the packet stands for several. C: `skb_is_gso()`.
    #[inline]
    pub fn is_gso(&self) -> bool {
        // SAFETY: By the type invariant the shared info is at `end`.
        unsafe { (*self.shared_info()).gso_size != 0 }
    }

    /// `SKB_GSO_*`. C: `skb_shinfo(skb)->gso_type`.
    #[inline]
    pub fn gso_type(&self) -> u32 {
        // SAFETY: By the type invariant the shared info is at `end`.
        unsafe { (*self.shared_info()).gso_type }
    }

    /// What is shared between clones. C: `skb_shinfo()`.
    #[inline]
    fn shared_info(&self) -> *const bindings::skb_shared_info {
        // SAFETY: By the type invariant `end` is within the allocation that
        // `head` points to.
        unsafe {
            let skb = self.as_ptr();
            (*skb).head.add((*skb).end as usize).cast()
        }
    }

    /// Cuts the packet into segments for a device that can gather fragments
    /// (`NETIF_F_SG`). Fails as C does; `EINVAL` where there is nothing to cut.
    /// The packet's control block is kept, each segment has a copy of it.
    /// C: `__skb_gso_segment(skb, NETIF_F_SG, false)`.
    pub fn gso_segment(&mut self) -> Result<Segments> {
        // SAFETY: By the type invariant.
        let list = unsafe { bindings::skb_gso_segment_sg(self.as_ptr()) };
        let list = from_err_ptr(list)?;
        if list.is_null() {
            return Err(EINVAL);
        }
        // INVARIANT: The list is new and given to the caller.
        Ok(Segments(list))
    }
}

/// The segments of a packet, in order.
///
/// # Invariants
///
/// The pointer is null or to the first of a list of owned socket buffers that
/// are linked by `next`.
pub struct Segments(*mut bindings::sk_buff);

impl Iterator for Segments {
    type Item = SkBuff;

    fn next(&mut self) -> Option<SkBuff> {
        let skb = NonNull::new(self.0)?;
        // SAFETY: By the type invariant. `skb_mark_not_on_list()` is the
        // second statement. INVARIANT: What is left is the rest of the list.
        unsafe {
            let link = &raw mut (*skb.as_ptr()).__bindgen_anon_1.__bindgen_anon_1.next;
            self.0 = *link;
            *link = core::ptr::null_mut();
        }
        // SAFETY: It is owned, no longer in the list, and new.
        Some(unsafe { SkBuff::from_raw(skb) })
    }
}

impl Drop for Segments {
    fn drop(&mut self) {
        for skb in self.by_ref() {
            drop(skb);
        }
    }
}
