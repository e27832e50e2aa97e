// SPDX-License-Identifier: GPL-2.0

//! The data of socket buffers and where the headers are in it.

use super::{
    IpSummed,
    SkBuff, //
};
use crate::bindings;
use kernel::{
    error::to_result,
    prelude::*, //
};
use zerocopy::{
    Immutable,
    KnownLayout,
    Unaligned, //
};

/// A header that can be read from a packet in place: of bytes only.
pub trait Header: FromBytes + Immutable + KnownLayout + Unaligned {}
impl<T: FromBytes + Immutable + KnownLayout + Unaligned> Header for T {}

impl SkBuff {
    /// The linear part of the packet. C: `skb->data`, `skb_headlen()` bytes.
    #[inline]
    pub fn data(&self) -> &[u8] {
        // SAFETY: By the type invariant the linear part is `headlen` bytes
        // from `data`; who shares it does not write to it, see `writable`.
        unsafe { core::slice::from_raw_parts((*self.as_ptr()).data, self.headlen()) }
    }

    /// Makes sure that the first `len` bytes are in the linear part. False
    /// where the packet is too short or there is no memory.
    /// C: `pskb_may_pull()`.
    #[inline]
    pub fn may_pull(&mut self, len: usize) -> bool {
        let headlen = self.headlen();
        if len <= headlen {
            return true;
        }
        if len > self.len() {
            return false;
        }
        // CAST: No more than `skb->len`.
        let delta = len.wrapping_sub(headlen) as i32;
        // SAFETY: By the type invariant; there are `delta` bytes to pull.
        !unsafe { bindings::__pskb_pull_tail(self.as_ptr(), delta) }.is_null()
    }

    /// The header of type `T` at `offset`, if it is in the linear part.
    #[inline]
    pub fn header<T: Header>(&self, offset: usize) -> Option<&T> {
        let bytes = self.data().get(offset..)?;
        T::ref_from_prefix(bytes).ok().map(|(header, _)| header)
    }

    /// Makes sure that the first `len` bytes are in the linear part and are not
    /// shared with clones, and gives the linear part (at least `len` bytes, of
    /// which no others may be written) back.
    ///
    /// Fails with `ENOMEM`, also where the packet is too short.
    /// C: `skb_ensure_writable()`.
    #[inline]
    pub fn ensure_writable(&mut self, len: usize) -> Result<&mut [u8]> {
        if len > self.headlen() || self.headers_cloned() {
            let len = u32::try_from(len).map_err(|_| ENOMEM)?;
            // SAFETY: By the type invariant.
            to_result(unsafe { bindings::skb_ensure_writable(self.as_ptr(), len) })?;
        }
        // SAFETY: These bytes are in the linear part and not shared.
        Ok(unsafe { core::slice::from_raw_parts_mut((*self.as_ptr()).data, len) })
    }

    /// Whether the data may be shared with a clone. C: `skb->cloned`.
    #[inline]
    fn headers_cloned(&self) -> bool {
        // SAFETY: By the type invariant.
        unsafe { (*self.as_ptr()).cloned() != 0 }
    }

    /// Puts all of the packet into the linear part. Fails with `ENOMEM`.
    /// C: `skb_linearize()`.
    #[inline]
    pub fn linearize(&mut self) -> Result {
        if self.data_len() == 0 || self.may_pull(self.len()) {
            Ok(())
        } else {
            Err(ENOMEM)
        }
    }

    /// Copies bytes from anywhere in the packet. False where it is too short.
    /// C: `skb_copy_bits()`.
    pub fn copy_bits(&self, offset: usize, to: &mut [u8]) -> bool {
        let (Ok(offset), Ok(len)) = (i32::try_from(offset), i32::try_from(to.len())) else {
            return false;
        };
        // SAFETY: By the type invariant; `to` has room for `len` bytes.
        unsafe { bindings::skb_copy_bits(self.as_ptr(), offset, to.as_mut_ptr().cast(), len) == 0 }
    }

    /// Cuts the packet to `len` bytes if it is longer. Fails with `ENOMEM`.
    /// C: `pskb_trim()`.
    pub fn trim(&mut self, len: usize) -> Result {
        if len >= self.len() {
            return Ok(());
        }
        // CAST: Less than `skb->len`.
        // SAFETY: By the type invariant.
        to_result(unsafe { bindings::pskb_trim(self.as_ptr(), len as u32) })
    }

    /// The offset from `data` that a position from `head` stands for; negative
    /// where headers were pulled.
    #[inline]
    fn offset_of(&self, header: u16) -> isize {
        (header as isize).wrapping_sub(self.headroom() as isize)
    }

    /// Where the Ethernet header is; negative where it was pulled.
    /// C: `skb_mac_offset()`.
    #[inline]
    pub fn mac_offset(&self) -> isize {
        self.offset_of(self.headers().mac_header)
    }

    /// Where the network header is. C: `skb_network_offset()`.
    #[inline]
    pub fn network_offset(&self) -> isize {
        self.offset_of(self.headers().network_header)
    }

    /// Where the transport header is. C: `skb_transport_offset()`.
    #[inline]
    pub fn transport_offset(&self) -> isize {
        self.offset_of(self.headers().transport_header)
    }

    /// The position from `head` of the byte at `offset`, which is capped to
    /// the end of the packet. Wraps as C does for packets that do not fit into
    /// 16 bits.
    #[inline]
    fn position_of(&self, offset: usize) -> u16 {
        // CAST: As in C.
        self.headroom().wrapping_add(offset.min(self.len())) as u16
    }

    /// The packet begins with its MAC header. C: `skb_reset_mac_header()`.
    #[inline]
    pub fn reset_mac_header(&mut self) {
        let position = self.position_of(0);
        self.headers_mut().mac_header = position;
    }

    /// Sets where the network header is. C: `skb_set_network_header()`.
    #[inline]
    pub fn set_network_offset(&mut self, offset: usize) {
        let position = self.position_of(offset);
        self.headers_mut().network_header = position;
    }

    /// The packet begins with its network header.
    /// C: `skb_reset_network_header()`.
    #[inline]
    pub fn reset_network_header(&mut self) {
        self.set_network_offset(0);
    }

    /// Sets where the network header is that is within another one.
    /// C: `skb_set_inner_network_header()`.
    #[inline]
    pub fn set_inner_network_offset(&mut self, offset: usize) {
        let position = self.position_of(offset);
        self.headers_mut().inner_network_header = position;
    }

    /// Where the network header is that is within another one.
    /// C: `skb_inner_network_offset()`.
    #[inline]
    pub fn inner_network_offset(&self) -> isize {
        self.offset_of(self.headers().inner_network_header)
    }

    /// The network header is where the inner one is.
    #[inline]
    pub fn reset_network_to_inner(&mut self) {
        let position = self.headers().inner_network_header;
        self.headers_mut().network_header = position;
    }

    /// Sets where the transport header is. C: `skb_set_transport_header()`.
    #[inline]
    pub fn set_transport_offset(&mut self, offset: usize) {
        let position = self.position_of(offset);
        self.headers_mut().transport_header = position;
    }

    /// The transport header is where the network header is.
    #[inline]
    pub fn reset_transport_to_network(&mut self) {
        let position = self.headers().network_header;
        self.headers_mut().transport_header = position;
    }

    /// The length of the MAC header. C: `skb->mac_len`.
    #[inline]
    pub fn mac_len(&self) -> u16 {
        // SAFETY: By the type invariant.
        unsafe { (*self.as_ptr()).mac_len }
    }

    /// Sets the length of the MAC header to what is between it and the network
    /// header. C: `skb_reset_mac_len()`.
    #[inline]
    pub fn reset_mac_len(&mut self) {
        let headers = self.headers();
        let len = headers.network_header.wrapping_sub(headers.mac_header);
        // SAFETY: By the type invariant.
        unsafe { (*self.as_ptr()).mac_len = len };
    }

    /// Takes back `len` bytes before the packet that were pulled before, and
    /// adds them to the checksum. Fails with `ENOMEM` where there are not that
    /// many. C: `skb_push_rcsum()`.
    #[inline]
    pub fn push_rcsum(&mut self, len: usize) -> Result {
        if len > self.headroom() {
            return Err(ENOMEM);
        }
        // CAST: The headroom is no more than 32 bits.
        let len32 = len as u32;
        let skb = self.as_ptr();
        if self.ip_summed() == IpSummed::Complete {
            // SAFETY: By the type invariant; there is enough headroom.
            unsafe { bindings::skb_push_rcsum(skb, len32) };
        } else {
            // SAFETY: As above. There is no sum to be changed, so this is all
            // that C does.
            unsafe {
                (*skb).data = (*skb).data.sub(len);
                (*skb).len = (*skb).len.wrapping_add(len32);
            }
        }
        Ok(())
    }

    /// Removes the Ethernet header at the start of the packet, which must have
    /// one in the linear part (`EINVAL`). C: `skb_eth_pop()`; fails as that.
    pub fn eth_pop(&mut self) -> Result {
        // SAFETY: By the type invariant.
        to_result(unsafe { bindings::skb_eth_pop(self.as_ptr()) })
    }

    /// Puts an Ethernet header before the packet. C: `skb_eth_push()`; fails as
    /// that.
    pub fn eth_push(&mut self, dst: &[u8; 6], src: &[u8; 6]) -> Result {
        // SAFETY: By the type invariant; the addresses are 6 bytes.
        to_result(unsafe { bindings::skb_eth_push(self.as_ptr(), dst.as_ptr(), src.as_ptr()) })
    }
}
