// SPDX-License-Identifier: GPL-2.0

//! Making and copying socket buffers.

use super::SkBuff;
use crate::{
    bindings,
    gfp, //
};
use core::ptr::NonNull;
use kernel::{
    alloc::Flags,
    prelude::*, //
};

impl SkBuff {
    /// A new packet that holds a copy of `bytes`, with the headroom that a
    /// device's receive buffers have and the data aligned so that an IP header
    /// after an Ethernet header is.
    ///
    /// Fails with `ENOMEM`. C: `__dev_alloc_skb()`, `skb_reserve()`,
    /// `skb_put_data()`.
    pub fn dev_alloc_copy(bytes: &[u8], flags: Flags) -> Result<Self> {
        let len = u32::try_from(bytes.len()).map_err(|_| ENOMEM)?;
        // SAFETY: May be called in any context that `flags` allow.
        let ptr = unsafe { bindings::skb_dev_alloc_ip_align(len, gfp::as_raw(flags)) };
        let ptr = NonNull::new(ptr).ok_or(ENOMEM)?;
        // SAFETY: There is room for `len` bytes after the (empty) data.
        unsafe {
            let to = bindings::skb_put(ptr.as_ptr(), len).cast::<u8>();
            to.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        }
        // INVARIANT: A new socket buffer that nobody else knows.
        Ok(Self(ptr))
    }

    /// A clone: a socket buffer of its own that shares the data; the control
    /// block is copied. `None` when there is no memory. C: `skb_clone()`.
    #[inline]
    pub fn try_clone(&self, flags: Flags) -> Option<Self> {
        // SAFETY: By the type invariant.
        let ptr = unsafe { bindings::skb_clone(self.as_ptr(), gfp::as_raw(flags)) };
        // INVARIANT: The clone is a new socket buffer.
        NonNull::new(ptr).map(Self)
    }

    /// Takes over a packet that others may have references to; where they do,
    /// a clone replaces it. `None` when there is no memory: the packet is then
    /// freed. C: `skb_share_check(skb, GFP_ATOMIC)`.
    ///
    /// # Safety
    ///
    /// `ptr` is valid and the caller gives away a reference to it.
    #[inline]
    pub unsafe fn share_check(ptr: *mut bindings::sk_buff) -> Option<Self> {
        // SAFETY: By the safety requirements.
        let users = unsafe { (*ptr).users.refs.counter };
        if users == 1 {
            // INVARIANT: There is one reference and it is the caller's.
            return NonNull::new(ptr).map(Self);
        }
        // SAFETY: By the safety requirements.
        let ptr = unsafe { bindings::skb_share_check(ptr, bindings::GFP_ATOMIC) };
        // INVARIANT: `skb_share_check` returns an unshared socket buffer.
        NonNull::new(ptr).map(Self)
    }

    /// Copies the part of the data that userspace may still write to into
    /// pages of the kernel. Fails with `ENOMEM`. C: `skb_orphan_frags_rx()`.
    pub fn orphan_frags_rx(&mut self, flags: Flags) -> Result {
        // SAFETY: By the type invariant.
        kernel::error::to_result(unsafe {
            bindings::skb_orphan_frags_rx(self.as_ptr(), gfp::as_raw(flags))
        })
    }

    /// Tells the sender of a zero-copy packet that it failed.
    /// C: `skb_tx_error()`.
    pub fn tx_error(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::skb_tx_error(self.as_ptr()) };
    }

    /// How many bytes of this packet `skb_zerocopy()` copies into the linear part
    /// of the packet that it appends to. C: `skb_zerocopy_headlen()`.
    pub fn zerocopy_headlen(&self) -> usize {
        // SAFETY: By the type invariant.
        unsafe { bindings::skb_zerocopy_headlen(self.as_ptr()) as usize }
    }

    /// Whether the data in pages can be read by the CPU.
    /// C: `skb_frags_readable()`.
    pub fn frags_readable(&self) -> bool {
        // SAFETY: By the type invariant.
        unsafe { bindings::skb_frags_readable(self.as_ptr()) }
    }
}

/// For tests.
#[cfg(CONFIG_OPENVSWITCH_KUNIT_TEST)]
impl SkBuff {
    /// A packet that holds a copy of `bytes`, of which only the first `linear`
    /// are in the linear part and the rest in pages.
    pub fn paged_copy(bytes: &[u8], linear: usize) -> Result<Self> {
        let (head, rest) = bytes.split_at_checked(linear).ok_or(EINVAL)?;
        let head_len = u32::try_from(linear).map_err(|_| EINVAL)?;
        let rest_len = u32::try_from(rest.len()).map_err(|_| EINVAL)?;
        let mut err = 0;
        // SAFETY: May be called in process context.
        let ptr = unsafe {
            bindings::alloc_skb_with_frags(linear, rest.len(), 0, &mut err, bindings::GFP_KERNEL)
        };
        let ptr = NonNull::new(ptr).ok_or(ENOMEM)?;
        // SAFETY: A new socket buffer that nobody else knows; there is room
        // for the head in its linear part, and pages for the rest.
        unsafe {
            let skb = ptr.as_ptr();
            let to = bindings::skb_put(skb, head_len).cast::<u8>();
            to.copy_from_nonoverlapping(head.as_ptr(), head.len());
            (*skb).len = (*skb).len.wrapping_add(rest_len);
            (*skb).data_len = rest_len;
            // CAST: As above.
            bindings::skb_store_bits(skb, linear as i32, rest.as_ptr().cast(), rest_len as i32);
        }
        // INVARIANT: As above.
        Ok(Self(ptr))
    }
}
