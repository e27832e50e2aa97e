// SPDX-License-Identifier: GPL-2.0

//! The checksums of socket buffers.
//!
//! C header: [`include/net/checksum.h`](srctree/include/net/checksum.h)

use super::{
    IpSummed,
    SkBuff, //
};
use crate::bindings;
use kernel::{
    error::to_result,
    prelude::*, //
};

impl SkBuff {
    /// Fills in the checksum where that is left to the device
    /// ([`IpSummed::Partial`]). Fails as C does.
    /// C: `skb_csum_hwoffload_help(skb, 0)`.
    pub fn checksum_help(&mut self) -> Result {
        if self.ip_summed() != IpSummed::Partial {
            return Ok(());
        }
        // SAFETY: By the type invariant.
        to_result(unsafe { bindings::skb_csum_hwoffload_help(self.as_ptr()) })
    }

    /// The sum over the packet. Only of use where [`SkBuff::ip_summed`] is
    /// [`IpSummed::Complete`]. C: `skb->csum`.
    #[inline]
    pub fn csum(&self) -> u32 {
        // SAFETY: All views of the union are integers.
        unsafe { self.headers().__bindgen_anon_1.csum }
    }

    /// Sets the sum over the packet; nothing is done unless there is one,
    /// since the place is used otherwise then.
    #[inline]
    pub fn set_csum(&mut self, csum: u32) {
        if self.ip_summed() == IpSummed::Complete {
            self.headers_mut().__bindgen_anon_1.csum = csum;
        }
    }

    /// Takes bytes that were removed from the start of the packet out of the
    /// sum over the packet. C: `skb_postpull_rcsum()`.
    #[inline]
    pub fn postpull_rcsum(&mut self, bytes: &[u8]) {
        match self.ip_summed() {
            IpSummed::Complete | IpSummed::Partial => {
                // CAST: Less than the packet's length.
                // SAFETY: By the type invariant; `bytes` has that many.
                unsafe {
                    bindings::skb_postpull_rcsum(
                        self.as_ptr(),
                        bytes.as_ptr().cast(),
                        bytes.len() as u32,
                    )
                }
            }
            _ => {}
        }
    }

    /// Adds bytes that were put before the packet to the sum over the packet.
    /// C: `skb_postpush_rcsum()`.
    #[inline]
    pub fn postpush_rcsum(&mut self, bytes: &[u8]) {
        if self.ip_summed() == IpSummed::Complete {
            // CAST: Less than the packet's length.
            // SAFETY: By the type invariant; `bytes` has that many.
            unsafe {
                bindings::skb_postpush_rcsum(
                    self.as_ptr(),
                    bytes.as_ptr().cast(),
                    bytes.len() as u32,
                )
            };
        }
    }
}
