// SPDX-License-Identifier: GPL-2.0

//! Netlink messages that are being written.
//!
//! C headers: [`include/net/netlink.h`](srctree/include/net/netlink.h),
//! [`include/net/genetlink.h`](srctree/include/net/genetlink.h)

use crate::{
    bindings,
    gfp,
    net::{
        netlink::{
            attr::{
                nla_align,
                nla_total_size,
                NLA_ALIGNTO,
                NLA_HDRLEN,
                NLA_MAX_PAYLOAD, //
            },
            AttrWriter,
            NestMark, //
        },
        skbuff::SkBuff, //
    }, //
};
use core::{
    marker::PhantomData,
    ops::{
        Deref,
        DerefMut, //
    },
    ptr::NonNull, //
};
use kernel::{
    alloc::Flags,
    error::to_result,
    prelude::*, //
};

/// A socket buffer that messages are written to and that is borrowed: a dump's,
/// or what an [`NlMsg`] owns.
///
/// What [`AttrWriter::len`] counts and offsets are relative to is the
/// buffer's data, with the message headers.
///
/// # Invariants
///
/// The pointer is to a `struct sk_buff` that is valid for `'a` and that nobody
/// else uses meanwhile. Its linear part is initialised.
pub struct MsgBuf<'a> {
    skb: NonNull<bindings::sk_buff>,
    // Neither shrinks nor grows, so that buffers can only be swapped for those
    // that live exactly as long.
    _lifetime: PhantomData<fn(&'a ()) -> &'a ()>,
}

// SAFETY: The socket buffer is owned or borrowed exclusively and is not bound
// to a thread.
unsafe impl Send for MsgBuf<'_> {}

impl MsgBuf<'_> {
    /// Borrows a socket buffer.
    ///
    /// # Safety
    ///
    /// `skb` is valid for the lifetime, its linear part is initialised, and
    /// nobody else uses it meanwhile.
    #[inline]
    pub(crate) unsafe fn from_raw(skb: NonNull<bindings::sk_buff>) -> Self {
        // INVARIANT: The caller promises it.
        Self {
            skb,
            _lifetime: PhantomData,
        }
    }

    /// The socket buffer.
    #[inline]
    pub(crate) fn as_raw(&self) -> *mut bindings::sk_buff {
        self.skb.as_ptr()
    }

    #[inline]
    fn skb(&self) -> &bindings::sk_buff {
        // SAFETY: Valid by the invariants, and written only through `&mut self`.
        unsafe { self.skb.as_ref() }
    }

    /// The length of the linear part in bytes.
    ///
    /// C: `skb_headlen()`.
    #[inline]
    fn headlen(&self) -> usize {
        let skb = self.skb();
        skb.len.wrapping_sub(skb.data_len) as usize
    }

    /// How many bytes can be appended: none if there are page fragments.
    ///
    /// C: `skb_tailroom()`.
    #[inline]
    pub fn tailroom(&self) -> usize {
        let skb = self.skb();
        if skb.data_len != 0 {
            0
        } else {
            skb.end.wrapping_sub(skb.tail) as usize
        }
    }

    /// Makes room for `len` bytes at the end, if there is room.
    ///
    /// What a caller does with it has to leave the bytes initialised.
    ///
    /// C: `skb_put()`, without its check.
    #[inline]
    fn extend(&mut self, len: usize) -> Option<NonNull<u8>> {
        if len > self.tailroom() {
            return None;
        }
        let skb = self.as_raw();
        // SAFETY: The socket buffer is valid and nobody else's; it has no page
        // fragments and `len` bytes between `tail` and `end`, both of which
        // count from `head`.
        unsafe {
            let to = (*skb).head.add((*skb).tail as usize);
            // CAST: No more than `end`, which has 32 bits.
            (*skb).tail = (*skb).tail.wrapping_add(len as u32);
            (*skb).len = (*skb).len.wrapping_add(len as u32);
            Some(NonNull::new_unchecked(to))
        }
    }

    /// What was written, up to the first page fragment.
    #[inline]
    pub fn linear(&self) -> &[u8] {
        // SAFETY: By the invariants the linear part is valid and initialised,
        // and it is only written through `&mut self`.
        unsafe { core::slice::from_raw_parts(self.skb().data, self.headlen()) }
    }

    /// What was written, up to the first page fragment.
    #[inline]
    pub fn linear_mut(&mut self) -> &mut [u8] {
        // SAFETY: As in `linear`, and `self` is borrowed exclusively.
        unsafe { core::slice::from_raw_parts_mut(self.skb().data, self.headlen()) }
    }

    /// Appends the header of an attribute whose payload of `payload_len` bytes
    /// follows by other means, such as [`Self::append_zeroes`] or a zero-copy
    /// of a packet.
    ///
    /// Fails with `EMSGSIZE` if the header does not fit, or if the payload is
    /// longer than an attribute's can be.
    ///
    /// C: `nla_reserve(skb, raw_type, 0)` and setting `nla_len`.
    pub fn put_header(&mut self, raw_type: u16, payload_len: usize) -> Result {
        if payload_len > NLA_MAX_PAYLOAD {
            return Err(EMSGSIZE);
        }
        let mark = self.nest_start(raw_type)?;
        self.set_attr_len(mark, (payload_len as u16).wrapping_add(4));
        Ok(())
    }

    /// Appends zeroes. Fails with `EMSGSIZE` if they do not fit.
    ///
    /// C: `skb_put_zero()`.
    pub fn append_zeroes(&mut self, len: usize) -> Result {
        let to = self.extend(len).ok_or(EMSGSIZE)?;
        // SAFETY: There is room for `len` bytes.
        unsafe { to.write_bytes(0, len) };
        Ok(())
    }

    /// Appends bytes that are not an attribute, and the zeroes that pad them.
    /// Fails with `EMSGSIZE` if they do not fit.
    ///
    /// C: `nla_put_nohdr()`.
    pub fn put_nohdr(&mut self, payload: &[u8]) -> Result {
        let size = nla_align(payload.len());
        let to = self.extend(size).ok_or(EMSGSIZE)?;
        // SAFETY: There is room for `size` bytes, which are no less than the
        // payload's.
        unsafe {
            to.write_bytes(0, size);
            to.as_ptr()
                .copy_from_nonoverlapping(payload.as_ptr(), payload.len());
        }
        Ok(())
    }

    /// Pads what was written to a multiple of 4 bytes. Fails with `EMSGSIZE`
    /// if that does not fit.
    pub fn pad(&mut self) -> Result {
        let len = self.len();
        match nla_align(len).wrapping_sub(len) {
            0 => Ok(()),
            missing => self.append_zeroes(missing),
        }
    }

    /// Appends the first `len` bytes of a packet: copied if they fit, otherwise
    /// `hlen` of them copied and the rest as references to its pages. `hlen` is
    /// what [`SkBuff::zerocopy_headlen`] says, or, if that is above `len`, `len`.
    ///
    /// Fails with `EINVAL` if the packet is not so long or `hlen` is too small,
    /// `EMSGSIZE` if what is copied does not fit, `EFAULT` if the CPU cannot
    /// read the packet, and with `ENOMEM`. After the last two the buffer can
    /// only be freed.
    ///
    /// C: `skb_zerocopy()`.
    pub fn append_skb(&mut self, from: &mut SkBuff, len: usize, hlen: usize) -> Result {
        if len > from.len() || hlen < from.zerocopy_headlen().min(len) {
            return Err(EINVAL);
        }
        // The function copies `hlen` bytes, or has the linear part as a page if
        // that is 0; what is left of the linear part is in neither.
        if hlen != 0 && hlen < from.headlen().min(len) {
            return Err(EINVAL);
        }
        if len == 0 {
            // The function has a BUG() for what has no head to copy.
            return Ok(());
        }
        let copied = if len <= self.tailroom() { len } else { hlen };
        if copied > len || copied > self.tailroom() || self.skb().data_len != 0 {
            return Err(EMSGSIZE);
        }
        let end = self.linear().len();

        // SAFETY: Both socket buffers are valid. The packet has `len` bytes,
        // of which those that are copied fit, as checked above; they are enough
        // for the rest to be in pages.
        let err = unsafe {
            bindings::skb_zerocopy(self.as_raw(), from.as_ptr(), len as i32, hlen as i32)
        };
        if err != 0 && self.skb().data_len == 0 {
            // What was made room for may not be initialised.
            self.trim(end);
        }
        to_result(err)
    }

    /// Sets the length field of the message header at the beginning of the
    /// buffer to all that was written.
    ///
    /// C: `nlmsg_hdr(skb)->nlmsg_len = skb->len`.
    pub fn set_nlmsg_len(&mut self) {
        let len = self.skb().len;
        if let Some(field) = self.linear_mut().first_chunk_mut() {
            *field = len.to_ne_bytes();
        }
    }
}

impl AttrWriter for MsgBuf<'_> {
    // A message about a flow has dozens of attributes, so they are written here
    // and not by a call into C for each.
    fn put(&mut self, raw_type: u16, payload: &[u8]) -> Result {
        if payload.len() > NLA_MAX_PAYLOAD {
            return Err(EMSGSIZE);
        }
        let len = NLA_HDRLEN.wrapping_add(payload.len());
        let size = nla_align(len);
        let to = self.extend(size).ok_or(EMSGSIZE)?.as_ptr();
        // SAFETY: There is room for `size` bytes, a multiple of 4 and at least
        // 4, from which the payload is 4 bytes away and ends at most 3 before
        // the end; the last 4 bytes are the padding or are written again.
        // CAST: At most 65,535.
        unsafe {
            to.add(size.wrapping_sub(NLA_ALIGNTO))
                .cast::<u32>()
                .write_unaligned(0);
            to.cast::<[u16; 2]>()
                .write_unaligned([len as u16, raw_type]);
            to.add(NLA_HDRLEN)
                .copy_from_nonoverlapping(payload.as_ptr(), payload.len());
        }
        Ok(())
    }

    fn put_u32(&mut self, raw_type: u16, value: u32) -> Result {
        const SIZE: usize = nla_total_size(size_of::<u32>());

        let to = self.extend(SIZE).ok_or(EMSGSIZE)?;
        // SAFETY: There is room for these 8 bytes.
        unsafe {
            to.cast::<[u16; 2]>()
                .write_unaligned([SIZE as u16, raw_type]);
            to.add(NLA_HDRLEN).cast::<u32>().write_unaligned(value);
        }
        Ok(())
    }

    fn put_64bit(&mut self, raw_type: u16, payload: &[u8], pad_type: u16) -> Result {
        if cfg!(CONFIG_HAVE_EFFICIENT_UNALIGNED_ACCESS) {
            return self.put(raw_type, payload);
        }
        if payload.len() > NLA_MAX_PAYLOAD {
            return Err(EMSGSIZE);
        }
        // SAFETY: The socket buffer is valid; `payload` is for its length,
        // which an `int` holds. The function checks that there is room.
        to_result(unsafe {
            bindings::nla_put_64bit(
                self.as_raw(),
                i32::from(raw_type),
                payload.len() as i32,
                payload.as_ptr().cast(),
                i32::from(pad_type),
            )
        })
    }

    #[inline]
    fn len(&self) -> usize {
        self.skb().len as usize
    }

    #[inline]
    fn trim(&mut self, len: usize) {
        if len < self.len() {
            // SAFETY: The socket buffer is valid, and `len` is less than its
            // length, which is a `u32`.
            unsafe { bindings::skb_trim(self.as_raw(), len as u32) };
        }
    }

    #[inline]
    fn set_attr_len(&mut self, mark: NestMark, len: u16) {
        let field = self
            .linear_mut()
            .get_mut(mark.0..)
            .and_then(|bytes| bytes.first_chunk_mut());
        if let Some(field) = field {
            *field = len.to_ne_bytes();
        }
    }
}

/// An owned message buffer, freed when it is dropped.
///
/// # Invariants
///
/// Owns the socket buffer.
pub struct NlMsg(MsgBuf<'static>);

impl NlMsg {
    /// Allocates a buffer for one generic-netlink message with `payload` bytes
    /// after the generic-netlink header; the family's own header counts as
    /// payload.
    ///
    /// C: `genlmsg_new()`.
    pub fn new(payload: usize, flags: Flags) -> Result<Self> {
        // SAFETY: The function takes any numbers.
        let skb = unsafe { bindings::genlmsg_new(payload, gfp::as_raw(flags)) };
        let skb = NonNull::new(skb).ok_or(ENOMEM)?;
        // SAFETY: A new socket buffer is nobody else's, and has no data yet.
        let buf = unsafe { MsgBuf::from_raw(skb) };
        // INVARIANT: It was allocated here.
        Ok(Self(buf))
    }

    /// Gives the socket buffer away; who gets it has to free or send it.
    #[inline]
    pub(crate) fn into_raw(self) -> NonNull<bindings::sk_buff> {
        let skb = self.0.skb;
        core::mem::forget(self);
        skb
    }
}

impl Deref for NlMsg {
    type Target = MsgBuf<'static>;

    #[inline]
    fn deref(&self) -> &MsgBuf<'static> {
        &self.0
    }
}

impl DerefMut for NlMsg {
    #[inline]
    fn deref_mut(&mut self) -> &mut MsgBuf<'static> {
        // What replaces the buffer can only be another owned one.
        &mut self.0
    }
}

impl Drop for NlMsg {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: Owned by the invariants and not used any more.
        unsafe { bindings::nlmsg_free(self.0.as_raw()) };
    }
}
