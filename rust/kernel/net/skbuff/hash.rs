// SPDX-License-Identifier: GPL-2.0

//! The flow hash of socket buffers.

use super::SkBuff;
use crate::bindings;

impl SkBuff {
    /// The hash as it stands; 0 where none was calculated.
    /// C: `skb_get_hash_raw()`.
    #[inline]
    pub fn hash_raw(&self) -> u32 {
        self.headers().hash
    }

    /// The hash, which is calculated when there is none. C: `skb_get_hash()`.
    #[inline]
    pub fn hash(&mut self) -> u32 {
        if !self.l4_hash() && !self.sw_hash() {
            // SAFETY: By the type invariant.
            unsafe { bindings::__skb_get_hash_net(core::ptr::null(), self.as_ptr()) };
        }
        self.hash_raw()
    }

    /// A hash that is the same in both directions.
    /// C: `__skb_get_hash_symmetric()`.
    pub fn hash_symmetric(&self) -> u32 {
        // SAFETY: By the type invariant.
        unsafe { bindings::__skb_get_hash_symmetric_net(core::ptr::null(), self.as_ptr()) }
    }

    /// The hash is over the ports too. C: `skb->l4_hash`.
    #[inline]
    pub fn l4_hash(&self) -> bool {
        self.headers().l4_hash() != 0
    }

    /// The hash was calculated by software. C: `skb->sw_hash`.
    #[inline]
    pub fn sw_hash(&self) -> bool {
        self.headers().sw_hash() != 0
    }

    /// Sets the hash. C: `__skb_set_hash()`.
    #[inline]
    pub fn set_hash(&mut self, hash: u32, is_sw: bool, is_l4: bool) {
        let headers = self.headers_mut();
        headers.set_l4_hash(is_l4.into());
        headers.set_sw_hash(is_sw.into());
        headers.hash = hash;
    }

    /// Forgets the hash. C: `skb_clear_hash()`.
    #[inline]
    pub fn clear_hash(&mut self) {
        self.set_hash(0, false, false);
    }
}
