// SPDX-License-Identifier: GPL-2.0

//! Socket buffers between devices and the stack.
//!
//! C header: [`include/linux/netdevice.h`](srctree/include/linux/netdevice.h)

use super::SkBuff;
use crate::bindings;

impl SkBuff {
    /// Gives the packet to its device's transmit queue. The caller has
    /// disabled bottom halves or may be interrupted by them.
    /// C: `dev_queue_xmit()`; returns as that.
    ///
    /// A packet without a device is dropped.
    #[inline]
    pub(crate) fn dev_queue_xmit(self) -> i32 {
        if self.dev_ptr().is_null() {
            return 0;
        }
        // SAFETY: `self` is given away, its device is valid.
        unsafe { bindings::__dev_queue_xmit(self.into_raw(), core::ptr::null_mut()) }
    }

    /// Gives the packet to the stack as received by its device.
    /// C: `netif_rx()`; returns as that.
    ///
    /// A packet without a device is dropped.
    #[inline]
    pub(crate) fn netif_rx(self) -> i32 {
        if self.dev_ptr().is_null() {
            return 0;
        }
        // SAFETY: `self` is given away, its device is valid.
        unsafe { bindings::netif_rx(self.into_raw()) }
    }

    /// Takes the Ethernet header off, which must be in the linear part, and
    /// sets the packet's type, protocol and device from it.
    /// False, with nothing done, where the packet is too short.
    /// C: `skb->protocol = eth_type_trans(skb, dev)`, then
    /// `skb_postpull_rcsum(skb, eth_hdr(skb), ETH_HLEN)`.
    ///
    /// # Safety
    ///
    /// `dev` is valid for as long as the packet is used.
    pub(crate) unsafe fn eth_type_trans(&mut self, dev: *mut bindings::net_device) -> bool {
        if !self.may_pull(bindings::ETH_HLEN as usize) {
            return false;
        }
        // SAFETY: By the type invariant and the safety requirements; there is
        // an Ethernet header.
        unsafe { bindings::skb_eth_type_trans_rcsum(self.as_ptr(), dev) };
        true
    }

    /// Drops the route. C: `skb_dst_drop()`.
    #[inline]
    pub fn dst_drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::skb_dst_drop(self.as_ptr()) };
    }

    /// Forgets the connection. C: `nf_reset_ct()`.
    #[inline]
    pub fn nf_reset_ct(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::nf_reset_ct(self.as_ptr()) };
    }

    /// Forgets the connection and marks the packet as not to be tracked.
    /// C: `nf_reset_ct()`, `nf_ct_set(skb, NULL, IP_CT_UNTRACKED)`.
    #[inline]
    pub fn ct_clear(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::skb_ct_clear(self.as_ptr()) };
    }

    /// Forgets the IPsec path. C: `secpath_reset()`.
    #[inline]
    pub fn secpath_reset(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::secpath_reset(self.as_ptr()) };
    }

    /// Clears what must not pass from one namespace into another (`xnet`), or
    /// through a tunnel. C: `skb_scrub_packet()`.
    pub fn scrub(&mut self, xnet: bool) {
        // SAFETY: By the type invariant.
        unsafe { bindings::skb_scrub_packet(self.as_ptr(), xnet) };
    }

    /// Whether the packet was merged by a device in a way that it cannot be
    /// forwarded; warns if it was. C: `skb_warn_if_lro()`.
    #[inline]
    pub fn warn_if_lro(&self) -> bool {
        // SAFETY: By the type invariant.
        unsafe { bindings::skb_warn_if_lro(self.as_ptr()) }
    }

    /// Forgets when the packet came. C: `skb_clear_tstamp()`.
    #[inline]
    pub fn clear_tstamp(&mut self) {
        // A time of delivery stays; a time of arrival goes.
        if self.headers().tstamp_type() == 0 {
            // SAFETY: By the type invariant; both views of the union are
            // 64-bit numbers.
            unsafe { (*self.as_ptr()).__bindgen_anon_2.tstamp = 0 };
        }
    }
}
