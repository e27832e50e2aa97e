// SPDX-License-Identifier: GPL-2.0

//! Netlink attributes on byte slices.
//!
//! An attribute is a 4-byte header (length with the header, then type, both in
//! host byte order) and a payload, padded to a multiple of 4 bytes.
//!
//! C headers: [`include/net/netlink.h`](srctree/include/net/netlink.h),
//! [`include/uapi/linux/netlink.h`](srctree/include/uapi/linux/netlink.h)

use kernel::prelude::*;

/// The length of an attribute's header in bytes.
///
/// C: `NLA_HDRLEN`.
pub const NLA_HDRLEN: usize = 4;

/// Attributes begin at multiples of this many bytes.
///
/// C: `NLA_ALIGNTO`.
pub const NLA_ALIGNTO: usize = 4;

/// What of the type field is the type; the rest is flags.
///
/// C: `NLA_TYPE_MASK`.
pub const NLA_TYPE_MASK: u16 = 0x3fff;

/// The longest payload that the 16-bit length field can express.
pub const NLA_MAX_PAYLOAD: usize = u16::MAX as usize - NLA_HDRLEN;

/// Rounds up to the attribute alignment; saturates.
///
/// C: `NLA_ALIGN`.
#[inline]
pub const fn nla_align(len: usize) -> usize {
    len.saturating_add(NLA_ALIGNTO - 1) & !(NLA_ALIGNTO - 1)
}

/// The bytes that an attribute with this much payload takes, padding included.
///
/// C: `nla_total_size()`.
#[inline]
pub const fn nla_total_size(payload: usize) -> usize {
    nla_align(payload.saturating_add(NLA_HDRLEN))
}

/// As [`nla_total_size`], with room for the attribute that pads a 64-bit value
/// on architectures where it has to be aligned.
///
/// C: `nla_total_size_64bit()`.
#[inline]
pub const fn nla_total_size_64bit(payload: usize) -> usize {
    if cfg!(CONFIG_HAVE_EFFICIENT_UNALIGNED_ACCESS) {
        nla_total_size(payload)
    } else {
        nla_total_size(payload).saturating_add(nla_total_size(0))
    }
}

/// A received attribute.
///
/// C: `struct nlattr`.
#[derive(Clone, Copy, Debug)]
pub struct Nlattr<'a> {
    raw_type: u16,
    payload: &'a [u8],
}

impl<'a> Nlattr<'a> {
    /// An attribute that was not received but made here.
    #[inline]
    pub const fn new(raw_type: u16, payload: &'a [u8]) -> Self {
        Self { raw_type, payload }
    }

    /// The attribute at the beginning of `bytes`, or [`None`] if there is no
    /// whole one.
    ///
    /// C: `nla_ok()`.
    #[inline]
    pub fn first(bytes: &'a [u8]) -> Option<Self> {
        let (&[l0, l1, t0, t1], _) = bytes.split_first_chunk::<NLA_HDRLEN>()?;
        let len = usize::from(u16::from_ne_bytes([l0, l1]));
        let payload = bytes.get(NLA_HDRLEN..len)?;
        Some(Self {
            raw_type: u16::from_ne_bytes([t0, t1]),
            payload,
        })
    }

    /// The type, without the flags.
    ///
    /// C: `nla_type()`.
    #[inline]
    pub fn ty(&self) -> u16 {
        self.raw_type & NLA_TYPE_MASK
    }

    /// The type field as received: the type and the flags `NLA_F_NESTED` and
    /// `NLA_F_NET_BYTEORDER`.
    #[inline]
    pub fn raw_type(&self) -> u16 {
        self.raw_type
    }

    /// The payload, without padding.
    ///
    /// C: `nla_data()` and `nla_len()`.
    #[inline]
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// The payload's length in bytes, without padding.
    ///
    /// C: `nla_len()`.
    #[inline]
    pub fn len(&self) -> usize {
        self.payload.len()
    }

    /// Whether the payload is empty.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.payload.is_empty()
    }

    /// The first `N` bytes of the payload, if it has so many.
    #[inline]
    pub fn get<const N: usize>(&self) -> Option<&'a [u8; N]> {
        self.payload.first_chunk::<N>()
    }

    /// The payload's first byte.
    ///
    /// C: `nla_get_u8()`.
    #[inline]
    pub fn get_u8(&self) -> Option<u8> {
        self.payload.first().copied()
    }

    /// The payload's first two bytes, in host byte order.
    ///
    /// C: `nla_get_u16()`.
    #[inline]
    pub fn get_u16(&self) -> Option<u16> {
        self.get().copied().map(u16::from_ne_bytes)
    }

    /// The payload's first four bytes, in host byte order.
    ///
    /// C: `nla_get_u32()`.
    #[inline]
    pub fn get_u32(&self) -> Option<u32> {
        self.get().copied().map(u32::from_ne_bytes)
    }

    /// The payload's first eight bytes, in host byte order.
    ///
    /// C: `nla_get_u64()`.
    #[inline]
    pub fn get_u64(&self) -> Option<u64> {
        self.get().copied().map(u64::from_ne_bytes)
    }

    /// The payload's first four bytes as a signed number in host byte order.
    ///
    /// C: `nla_get_s32()`.
    #[inline]
    pub fn get_s32(&self) -> Option<i32> {
        self.get().copied().map(i32::from_ne_bytes)
    }

    /// A value of the payload's first two bytes, which are in network byte
    /// order.
    ///
    /// C: `ntohs(nla_get_be16())`.
    #[inline]
    pub fn get_be16(&self) -> Option<u16> {
        self.get().copied().map(u16::from_be_bytes)
    }

    /// A value of the payload's first four bytes, which are in network byte
    /// order.
    ///
    /// C: `ntohl(nla_get_be32())`.
    #[inline]
    pub fn get_be32(&self) -> Option<u32> {
        self.get().copied().map(u32::from_be_bytes)
    }

    /// The payload up to the first NUL byte, or all of it where there is none.
    #[inline]
    pub fn get_str(&self) -> &'a [u8] {
        self.payload
            .split(|&byte| byte == 0)
            .next()
            .unwrap_or_default()
    }

    /// The attributes in the payload.
    ///
    /// C: `nla_for_each_nested()`.
    #[inline]
    pub fn nested(&self) -> AttrIter<'a> {
        AttrIter::new(self.payload)
    }
}

/// Iterates over a stream of attributes and stops at the first that is not
/// whole.
///
/// C: `nla_for_each_attr()`.
#[derive(Clone, Debug)]
pub struct AttrIter<'a> {
    rest: &'a [u8],
    /// By how much the last attribute's padding is past the end of the stream.
    missing_padding: u8,
}

impl<'a> AttrIter<'a> {
    /// Iterates over the attributes in `bytes`.
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            missing_padding: 0,
        }
    }

    /// How many bytes were not part of an attribute, when the iterator is at
    /// its end. Negative where the last attribute's padding is past the end of
    /// the stream.
    ///
    /// C: the variable `rem` of `nla_for_each_attr()`, after the loop.
    #[inline]
    pub fn remaining(&self) -> i32 {
        if self.missing_padding != 0 {
            -i32::from(self.missing_padding)
        } else {
            i32::try_from(self.rest.len()).unwrap_or(i32::MAX)
        }
    }

    /// Whether the attribute that was returned last ends the stream: nothing
    /// follows it but its own padding, and that only if the stream ends before
    /// the padding or with none.
    ///
    /// C: `nla_is_last()`, which compares the attribute's length without
    /// padding with all that remains.
    #[inline]
    pub fn is_last(&self, attr: &Nlattr<'_>) -> bool {
        let padding = (NLA_ALIGNTO - attr.len() % NLA_ALIGNTO) % NLA_ALIGNTO;
        self.rest.is_empty() && usize::from(self.missing_padding) == padding
    }
}

impl<'a> Iterator for AttrIter<'a> {
    type Item = Nlattr<'a>;

    #[inline]
    fn next(&mut self) -> Option<Nlattr<'a>> {
        let attr = Nlattr::first(self.rest)?;
        let size = nla_total_size(attr.len());
        match self.rest.get(size..) {
            Some(rest) => self.rest = rest,
            None => {
                // At most 3, as the attribute itself is whole.
                self.missing_padding = size.wrapping_sub(self.rest.len()) as u8;
                self.rest = &[];
            }
        }
        Some(attr)
    }
}

/// Where a nest begins: an offset into what was written.
#[derive(Clone, Copy, Debug)]
#[must_use = "a nest has to be ended or cancelled"]
pub struct NestMark(pub(crate) usize);

/// A place that attributes are written to.
///
/// A method that fails writes nothing.
pub trait AttrWriter {
    /// Appends an attribute and the zeroes that pad it. `raw_type` is the type
    /// with its flags.
    ///
    /// Fails with `EMSGSIZE` if it does not fit.
    ///
    /// C: `nla_put()`.
    fn put(&mut self, raw_type: u16, payload: &[u8]) -> Result;

    /// Appends an attribute whose payload is a 64-bit value, after an empty
    /// one of type `pad_type` on architectures where it has to be aligned.
    ///
    /// Fails with `EMSGSIZE` if it does not fit.
    ///
    /// C: `nla_put_64bit()`.
    fn put_64bit(&mut self, raw_type: u16, payload: &[u8], pad_type: u16) -> Result;

    /// How many bytes have been written.
    fn len(&self) -> usize;

    /// Whether nothing has been written.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Gives up what was written after the first `len` bytes. Does nothing if
    /// there are not so many.
    ///
    /// C: `nlmsg_trim()`.
    fn trim(&mut self, len: usize);

    /// Sets the length field of the attribute that begins at `mark`.
    fn set_attr_len(&mut self, mark: NestMark, len: u16);

    /// Appends an attribute with one byte of payload.
    ///
    /// C: `nla_put_u8()`.
    #[inline]
    fn put_u8(&mut self, raw_type: u16, value: u8) -> Result {
        self.put(raw_type, &[value])
    }

    /// Appends a 16-bit value in host byte order.
    ///
    /// C: `nla_put_u16()`.
    #[inline]
    fn put_u16(&mut self, raw_type: u16, value: u16) -> Result {
        self.put(raw_type, &value.to_ne_bytes())
    }

    /// Appends a 32-bit value in host byte order.
    ///
    /// C: `nla_put_u32()`.
    #[inline]
    fn put_u32(&mut self, raw_type: u16, value: u32) -> Result {
        self.put(raw_type, &value.to_ne_bytes())
    }

    /// Appends a 64-bit value in host byte order.
    ///
    /// C: `nla_put_u64_64bit()`.
    #[inline]
    fn put_u64_64bit(&mut self, raw_type: u16, value: u64, pad_type: u16) -> Result {
        self.put_64bit(raw_type, &value.to_ne_bytes(), pad_type)
    }

    /// Appends a 16-bit value in network byte order.
    ///
    /// C: `nla_put_be16(htons())`.
    #[inline]
    fn put_be16(&mut self, raw_type: u16, value: u16) -> Result {
        self.put(raw_type, &value.to_be_bytes())
    }

    /// Appends a 32-bit value in network byte order.
    ///
    /// C: `nla_put_be32(htonl())`.
    #[inline]
    fn put_be32(&mut self, raw_type: u16, value: u32) -> Result {
        self.put(raw_type, &value.to_be_bytes())
    }

    /// Appends an attribute without payload.
    ///
    /// C: `nla_put_flag()`.
    #[inline]
    fn put_flag(&mut self, raw_type: u16) -> Result {
        self.put(raw_type, &[])
    }

    /// Appends a string and its NUL byte.
    ///
    /// C: `nla_put_string()`.
    #[inline]
    fn put_str(&mut self, raw_type: u16, value: &CStr) -> Result {
        self.put(raw_type, value.to_bytes_with_nul())
    }

    /// Begins an attribute that holds attributes, without `NLA_F_NESTED`.
    ///
    /// Fails with `EMSGSIZE` if the header does not fit.
    ///
    /// C: `nla_nest_start_noflag()`.
    #[inline]
    fn nest_start(&mut self, raw_type: u16) -> Result<NestMark> {
        let mark = NestMark(self.len());
        self.put(raw_type, &[])?;
        Ok(mark)
    }

    /// Ends a nest: sets its length. Fails with `EMSGSIZE` if it is longer
    /// than an attribute can be; the caller then cancels it or gives up.
    ///
    /// C: `nla_nest_end_safe()`.
    #[inline]
    fn nest_end(&mut self, mark: NestMark) -> Result {
        let len = self.len().checked_sub(mark.0).ok_or(EINVAL)?;
        self.set_attr_len(mark, u16::try_from(len).map_err(|_| EMSGSIZE)?);
        Ok(())
    }

    /// Gives up a nest and all that is in it.
    ///
    /// C: `nla_nest_cancel()`.
    #[inline]
    fn nest_cancel(&mut self, mark: NestMark) {
        self.trim(mark.0);
    }
}

/// Attributes in plain memory.
///
/// # Invariants
///
/// The length is a multiple of [`NLA_ALIGNTO`].
pub struct AttrBuf {
    bytes: KVec<u8>,
    limit: usize,
}

impl AttrBuf {
    /// A buffer that grows as needed.
    #[inline]
    pub const fn new() -> Self {
        Self::with_limit(usize::MAX)
    }

    /// A buffer that takes at most `limit` bytes.
    #[inline]
    pub const fn with_limit(limit: usize) -> Self {
        // INVARIANT: Zero is a multiple.
        Self {
            bytes: KVec::new(),
            limit,
        }
    }

    /// What was written.
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        self.bytes.as_slice()
    }

    /// The attributes that were written.
    #[inline]
    pub fn iter(&self) -> AttrIter<'_> {
        AttrIter::new(self.as_slice())
    }

    /// The first attribute that was written.
    #[inline]
    pub fn first(&self) -> Option<Nlattr<'_>> {
        Nlattr::first(self.as_slice())
    }
}

impl Default for AttrBuf {
    fn default() -> Self {
        Self::new()
    }
}

impl AttrWriter for AttrBuf {
    /// Fails with `ENOMEM` too.
    fn put(&mut self, raw_type: u16, payload: &[u8]) -> Result {
        let len = payload.len().saturating_add(NLA_HDRLEN);
        let nla_len = u16::try_from(len).map_err(|_| EMSGSIZE)?;
        let size = nla_align(len);
        let free = self.limit.saturating_sub(self.bytes.len());
        if size > free {
            return Err(EMSGSIZE);
        }
        self.bytes.reserve(size, GFP_KERNEL)?;
        self.bytes
            .extend_from_slice(&nla_len.to_ne_bytes(), GFP_KERNEL)?;
        self.bytes
            .extend_from_slice(&raw_type.to_ne_bytes(), GFP_KERNEL)?;
        self.bytes.extend_from_slice(payload, GFP_KERNEL)?;
        let end = nla_align(self.bytes.len());
        // INVARIANT: A multiple is what it grows to.
        self.bytes.resize(end, 0, GFP_KERNEL)?;
        Ok(())
    }

    fn put_64bit(&mut self, raw_type: u16, payload: &[u8], _pad_type: u16) -> Result {
        self.put(raw_type, payload)
    }

    fn len(&self) -> usize {
        self.bytes.len()
    }

    fn trim(&mut self, len: usize) {
        // INVARIANT: `len` is one that the buffer had.
        self.bytes.truncate(nla_align(len));
    }

    fn set_attr_len(&mut self, mark: NestMark, len: u16) {
        let field = self
            .bytes
            .get_mut(mark.0..)
            .and_then(|bytes| bytes.first_chunk_mut());
        if let Some(field) = field {
            *field = len.to_ne_bytes();
        }
    }
}
