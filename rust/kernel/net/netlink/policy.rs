// SPDX-License-Identifier: GPL-2.0

//! Netlink attribute policies, and parsing by them.
//!
//! C headers: [`include/net/netlink.h`](srctree/include/net/netlink.h)

use crate::{
    bindings,
    net::netlink::attr::{
        Nlattr,
        NLA_ALIGNTO, //
    },
};
use core::ptr;
use kernel::{
    error::to_result,
    prelude::*, //
};

/// What an attribute of one type has to look like. A policy is an array of
/// these, indexed by type.
///
/// # Invariants
///
/// The union's member is the one that `type` and `validation_type` call for,
/// and a pointer in it is null or has static lifetime.
///
/// C: `struct nla_policy`.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct NlaPolicy(bindings::nla_policy);

// SAFETY: It is never written, and by the invariants its pointers are valid
// everywhere.
unsafe impl Send for NlaPolicy {}
// SAFETY: As above.
unsafe impl Sync for NlaPolicy {}

impl NlaPolicy {
    const fn of(ty: u32, len: u16) -> Self {
        // INVARIANT: No validation; a null pointer.
        Self(bindings::nla_policy {
            type_: ty as u8,
            validation_type: bindings::nla_policy_validation_NLA_VALIDATE_NONE as u8,
            len,
            __bindgen_anon_1: bindings::nla_policy__bindgen_ty_1 {
                nested_policy: ptr::null(),
            },
        })
    }

    const fn limited(ty: u32, validation: u32, min: i16, max: i16) -> Self {
        // INVARIANT: Callers pass one of the validations that read `min` and
        // `max`.
        Self(bindings::nla_policy {
            type_: ty as u8,
            validation_type: validation as u8,
            len: 0,
            __bindgen_anon_1: bindings::nla_policy__bindgen_ty_1 {
                __bindgen_anon_1: bindings::nla_policy__bindgen_ty_1__bindgen_ty_1 { min, max },
            },
        })
    }

    /// Anything, from this many bytes. C: `NLA_UNSPEC`.
    pub const fn unspec(min_len: u16) -> Self {
        Self::of(bindings::NLA_UNSPEC, min_len)
    }

    /// One byte. C: `NLA_U8`.
    pub const fn u8() -> Self {
        Self::of(bindings::NLA_U8, 0)
    }

    /// A 16-bit value. C: `NLA_U16`.
    pub const fn u16() -> Self {
        Self::of(bindings::NLA_U16, 0)
    }

    /// A 32-bit value. C: `NLA_U32`.
    pub const fn u32() -> Self {
        Self::of(bindings::NLA_U32, 0)
    }

    /// A 32-bit value within a range. C: `NLA_POLICY_RANGE(NLA_U32, min, max)`.
    pub const fn u32_range(min: i16, max: i16) -> Self {
        // INVARIANT: The validation reads `min` and `max`.
        Self::limited(
            bindings::NLA_U32,
            bindings::nla_policy_validation_NLA_VALIDATE_RANGE,
            min,
            max,
        )
    }

    /// A signed 32-bit value. C: `NLA_S32`.
    pub const fn s32() -> Self {
        Self::of(bindings::NLA_S32, 0)
    }

    /// A signed 32-bit value of at least `min`.
    /// C: `NLA_POLICY_MIN(NLA_S32, min)`.
    pub const fn s32_min(min: i16) -> Self {
        // INVARIANT: The validation reads `min`.
        Self::limited(
            bindings::NLA_S32,
            bindings::nla_policy_validation_NLA_VALIDATE_MIN,
            min,
            0,
        )
    }

    /// A 64-bit value. C: `NLA_U64`.
    pub const fn u64() -> Self {
        Self::of(bindings::NLA_U64, 0)
    }

    /// No payload. C: `NLA_FLAG`.
    pub const fn flag() -> Self {
        Self::of(bindings::NLA_FLAG, 0)
    }

    /// Attributes, not checked further. C: `NLA_NESTED`.
    pub const fn nested() -> Self {
        Self::of(bindings::NLA_NESTED, 0)
    }

    /// A string with a NUL byte, of at most `max_len` bytes before that.
    /// C: `NLA_NUL_STRING`.
    pub const fn nul_string(max_len: u16) -> Self {
        Self::of(bindings::NLA_NUL_STRING, max_len)
    }

    /// At most this many bytes, or any number for 0. C: `NLA_BINARY`.
    pub const fn binary(max_len: u16) -> Self {
        Self::of(bindings::NLA_BINARY, max_len)
    }

    /// Makes a policy of `N` entries from those that check something, for
    /// constant expressions. C: `{ [TYPE] = { … }, … }`.
    pub const fn table<const N: usize>(entries: &[(u32, NlaPolicy)]) -> [NlaPolicy; N] {
        let mut table = [Self::unspec(0); N];
        let mut i = 0;

        while i < entries.len() {
            table[entries[i].0 as usize] = entries[i].1;
            i += 1;
        }
        table
    }

    /// The policy for C.
    pub const fn as_raw(policy: &'static [NlaPolicy]) -> *const bindings::nla_policy {
        policy.as_ptr().cast()
    }
}

/// How strictly attributes are checked.
///
/// C: `enum netlink_validation` and the sets of its flags.
#[derive(Clone, Copy)]
pub enum Validation {
    /// Unknown types are left out and trailing bytes are ignored, as families
    /// from before 5.2 do. C: `nla_parse_deprecated()`.
    Liberal,
    /// Unknown types and trailing bytes are errors, attributes may be longer
    /// than the policy says. C: `nla_parse_deprecated_strict()`.
    DeprecatedStrict,
    /// All is checked. C: `nla_parse()`.
    Strict,
}

impl Validation {
    fn as_raw(self) -> u32 {
        const DEPRECATED_STRICT: u32 = bindings::netlink_validation_NL_VALIDATE_TRAILING
            | bindings::netlink_validation_NL_VALIDATE_MAXTYPE;
        match self {
            Self::Liberal => bindings::netlink_validation_NL_VALIDATE_LIBERAL,
            Self::DeprecatedStrict => DEPRECATED_STRICT,
            Self::Strict => {
                DEPRECATED_STRICT
                    | bindings::netlink_validation_NL_VALIDATE_UNSPEC
                    | bindings::netlink_validation_NL_VALIDATE_STRICT_ATTRS
                    | bindings::netlink_validation_NL_VALIDATE_NESTED
            }
        }
    }
}

/// Parses a stream of attributes by a policy with one entry for each type from
/// 0 to `N - 1`, and returns the last attribute of each type.
///
/// The kernel's parser does the work, so errors are its own, and what it logs
/// (rate-limited) is too. `stream` is what an attribute's payload or an
/// [`super::AttrBuf`] is, memory that is aligned to 4 bytes; for other memory it
/// fails with `EFAULT`.
///
/// C: `__nla_parse()` without an extended ACK.
pub fn nla_parse<'a, const N: usize>(
    stream: &'a [u8],
    policy: &'static [NlaPolicy; N],
    validation: Validation,
) -> Result<[Option<Nlattr<'a>>; N]> {
    let mut found = [ptr::null_mut::<bindings::nlattr>(); N];
    let max_type = i32::try_from(N).map_err(|_| EINVAL)?.saturating_sub(1);
    let len = i32::try_from(stream.len()).map_err(|_| EINVAL)?;
    // C reads headers and numbers where they are, which some CPUs cannot do at
    // any address.
    if stream.as_ptr().addr() % NLA_ALIGNTO != 0 {
        return Err(EFAULT);
    }

    // SAFETY: `found` and `policy` have an element for each type up to the
    // maximum; `stream` is aligned and valid for `len` bytes, and is only read.
    to_result(unsafe {
        bindings::__nla_parse(
            found.as_mut_ptr(),
            max_type,
            stream.as_ptr().cast(),
            len,
            NlaPolicy::as_raw(policy),
            validation.as_raw(),
            ptr::null_mut(),
        )
    })?;

    Ok(found.map(|attr| {
        if attr.is_null() {
            return None;
        }
        // What was found is in the stream.
        let offset = attr.addr().checked_sub(stream.as_ptr().addr())?;
        Nlattr::first(stream.get(offset..)?)
    }))
}
