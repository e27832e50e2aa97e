// SPDX-License-Identifier: GPL-2.0

//! Reasons for dropping a packet.
//!
//! C header: [`include/net/dropreason.h`](srctree/include/net/dropreason.h)

use crate::bindings;
use core::ffi::c_char;

/// Why a packet is dropped, as the `skb:kfree_skb` tracepoint reports it.
///
/// C: `enum skb_drop_reason`, or a subsystem's own enumeration.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct DropReason(u32);

impl DropReason {
    /// No reason was given.
    pub const NOT_SPECIFIED: Self = Self(bindings::skb_drop_reason_SKB_DROP_REASON_NOT_SPECIFIED);
    /// Out of memory.
    pub const NOMEM: Self = Self(bindings::skb_drop_reason_SKB_DROP_REASON_NOMEM);
    /// The output device is not ready.
    pub const DEV_READY: Self = Self(bindings::skb_drop_reason_SKB_DROP_REASON_DEV_READY);
    /// There is something wrong with the IP header.
    pub const IP_INHDR: Self = Self(bindings::skb_drop_reason_SKB_DROP_REASON_IP_INHDR);
    /// The packet is too big for the output device.
    pub const PKT_TOO_BIG: Self = Self(bindings::skb_drop_reason_SKB_DROP_REASON_PKT_TOO_BIG);

    /// The reason `index` of Open vSwitch's own list.
    ///
    /// C: `SKB_DROP_REASON_SUBSYS_OPENVSWITCH << SKB_DROP_REASON_SUBSYS_SHIFT`
    /// plus `index`.
    pub const fn openvswitch(index: u16) -> Self {
        let subsys = bindings::skb_drop_reason_subsys_SKB_DROP_REASON_SUBSYS_OPENVSWITCH;
        Self((subsys << bindings::SKB_DROP_REASON_SUBSYS_SHIFT) | index as u32)
    }

    /// The number that C uses.
    pub const fn as_raw(self) -> u32 {
        self.0
    }
}

/// A list of names, in the form that [`Registration`] takes.
///
/// # Invariants
///
/// `list.reasons` points to `list.n_reasons` pointers, each of which is null or
/// points to a string that ends with a NUL byte; all of them live for ever.
#[repr(transparent)]
pub struct DropReasonList {
    list: bindings::drop_reason_list,
}

// SAFETY: The list and what it points to are never written to.
unsafe impl Sync for DropReasonList {}

/// The name of a reason, for an array of names.
///
/// # Invariants
///
/// It points to a string that ends with a NUL byte and lives for ever, or is
/// null.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub struct ReasonName(*const c_char);

// SAFETY: The string is never written to.
unsafe impl Sync for ReasonName {}

impl ReasonName {
    /// No name: the entry for `__OVS_DROP_REASON`-like zero values.
    // INVARIANT: It is null.
    pub const NONE: Self = Self(core::ptr::null());

    /// A name.
    pub const fn new(name: &'static core::ffi::CStr) -> Self {
        // INVARIANT: A static `CStr` is what the invariant asks for.
        Self(name.to_bytes_with_nul().as_ptr().cast())
    }
}

impl DropReasonList {
    /// A list of names, indexed by the low 16 bits of a reason.
    pub const fn new(names: &'static [ReasonName]) -> Self {
        // INVARIANT: By the type of `names`.
        Self {
            list: bindings::drop_reason_list {
                reasons: names.as_ptr().cast(),
                n_reasons: names.len(),
            },
        }
    }
}

/// The registration of Open vSwitch's drop reasons.
///
/// # Invariants
///
/// The list of `SKB_DROP_REASON_SUBSYS_OPENVSWITCH` is registered, and this is
/// the only registration.
pub struct Registration(());

impl Registration {
    /// Registers the names.
    ///
    /// C: `drop_reasons_register_subsys()`.
    pub fn new(list: &'static DropReasonList) -> Self {
        let subsys = bindings::skb_drop_reason_subsys_SKB_DROP_REASON_SUBSYS_OPENVSWITCH;
        // SAFETY: By the invariants of `list`; it is static, and the module
        // cannot go before `drop` below, which waits for readers.
        unsafe { bindings::drop_reasons_register_subsys(subsys, &list.list) };
        // INVARIANT: Just registered.
        Self(())
    }
}

impl Drop for Registration {
    /// Sleeps for a grace period.
    fn drop(&mut self) {
        let subsys = bindings::skb_drop_reason_subsys_SKB_DROP_REASON_SUBSYS_OPENVSWITCH;
        // SAFETY: By the type invariant it is registered.
        unsafe { bindings::drop_reasons_unregister_subsys(subsys) };
    }
}
