// SPDX-License-Identifier: GPL-2.0

//! Socket buffers.
//!
//! C header: [`include/linux/skbuff.h`](srctree/include/linux/skbuff.h)

use crate::bindings;
use core::ptr::NonNull;

/// An owned socket buffer.
pub struct SkBuff(NonNull<bindings::sk_buff>);

impl SkBuff {
    /// x
    #[inline]
    pub fn may_pull(&mut self, len: u32) -> bool {
        // SAFETY: x
        unsafe { bindings::pskb_may_pull(self.0.as_ptr(), len) }
    }
}
