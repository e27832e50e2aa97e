// SPDX-License-Identifier: GPL-2.0

//! Messages that are limited in rate: each place in the source by itself, or
//! all those about packets together (`net.core.message_cost`).
//!
//! C headers: [`include/linux/ratelimit.h`](srctree/include/linux/ratelimit.h),
//! [`include/linux/net.h`](srctree/include/linux/net.h)

use kernel::{
    ffi::c_void,
    fmt,
    prelude::*,
    str::CStrExt,
    types::Opaque, //
};

use crate::{
    bindings,
    sync::lazy_init::LazyInit, //
};

/// A limit of rate: at most ten messages in five seconds.
///
/// C: `DEFINE_RATELIMIT_STATE()` with the default interval and burst.
///
/// # Invariants
///
/// `inner` is initialised if `state` says so.
pub struct RatelimitState {
    inner: Opaque<bindings::ratelimit_state>,
    state: LazyInit,
}

// SAFETY: The functions that take a `struct ratelimit_state` lock it.
unsafe impl Sync for RatelimitState {}

impl RatelimitState {
    /// A limit that is initialised when it is first asked.
    #[allow(clippy::new_without_default, reason = "is for statics")]
    pub const fn new() -> Self {
        Self {
            inner: Opaque::uninit(),
            state: LazyInit::new(),
        }
    }

    /// Whether a message may be printed. Prints how many were not, under the
    /// name `func`, when it allows again. Any context.
    ///
    /// C: `__ratelimit()`.
    pub fn allows(&'static self, func: &'static CStr) -> bool {
        let ready = self.state.ensure(|| {
            // SAFETY: Only one thread gets here.
            unsafe { bindings::ratelimit_default_init(self.inner.get()) };
        });
        if !ready {
            // Somebody else is about to print this message.
            return false;
        }
        // SAFETY: By the type invariants it is initialised; the name is static.
        unsafe { bindings::___ratelimit(self.inner.get(), func.as_char_ptr()) != 0 }
    }
}

/// Prints a message at level INFO unless this place in the source has printed
/// too many lately. The first argument is the name of the function, which C adds
/// by itself.
///
/// C: `pr_info_ratelimited()`.
#[macro_export]
macro_rules! pr_info_ratelimited {
    ($func:literal, $($arg:tt)+) => {{
        static STATE: $crate::ratelimit::RatelimitState =
            $crate::ratelimit::RatelimitState::new();

        if STATE.allows($func) {
            ::kernel::prelude::pr_info!($($arg)+);
        }
    }};
}

/// Whether a message about a packet may be printed: all of networking shares one
/// limit of rate. Prints how many were not, when it allows again.
///
/// C: `net_ratelimit()`.
pub fn net_ratelimit() -> bool {
    // SAFETY: The function has no preconditions.
    unsafe { bindings::net_ratelimit() != 0 }
}

/// Prints a message, without a prefix, unless there were too many lately. For
/// [`net_warn_ratelimited!`](crate::net_warn_ratelimited) and
/// [`net_info_ratelimited!`](crate::net_info_ratelimited): `format` is the level
/// and `%pA`.
#[doc(hidden)]
pub fn net_print(format: &'static NetFormat, args: fmt::Arguments<'_>) {
    if !net_ratelimit() {
        return;
    }
    // SAFETY: May be called in any context. By the invariants of the type the
    // format takes a pointer to `fmt::Arguments`, which are there during the
    // call.
    unsafe {
        bindings::_printk(format.0.as_char_ptr(), (&raw const args).cast::<c_void>());
    }
}

/// A format for `printk()`.
///
/// # Invariants
///
/// It has a level and takes a pointer to `fmt::Arguments`.
#[doc(hidden)]
pub struct NetFormat(&'static CStr);

/// C: `KERN_WARNING`.
#[doc(hidden)]
pub static NET_WARN: NetFormat = NetFormat(c"\x014%pA");

/// C: `KERN_INFO`.
#[doc(hidden)]
pub static NET_INFO: NetFormat = NetFormat(c"\x016%pA");

/// Prints a warning unless there were too many messages lately.
/// C: `net_warn_ratelimited()`. The text ends with a newline.
#[macro_export]
macro_rules! net_warn_ratelimited {
    ($($arg:tt)+) => {
        $crate::ratelimit::net_print(
            &$crate::ratelimit::NET_WARN,
            ::kernel::prelude::fmt!($($arg)+),
        )
    };
}

/// Prints a message at level INFO unless there were too many messages lately.
/// C: `net_info_ratelimited()`. The text ends with a newline.
#[macro_export]
macro_rules! net_info_ratelimited {
    ($($arg:tt)+) => {
        $crate::ratelimit::net_print(
            &$crate::ratelimit::NET_INFO,
            ::kernel::prelude::fmt!($($arg)+),
        )
    };
}

/// Prints `before`, a name and `after` at level INFO unless there were too many
/// messages lately. The name may have bytes that are not UTF-8, which
/// [`net_info_ratelimited!`](crate::net_info_ratelimited) cannot print. `after`
/// ends with a newline.
///
/// C: `net_info_ratelimited()` with a `%s`.
pub fn net_info_named(before: &'static CStr, name: &CStr, after: fmt::Arguments<'_>) {
    if !net_ratelimit() {
        return;
    }
    // SAFETY: May be called in any context. The format takes two strings and a
    // pointer to `fmt::Arguments`, which are there during the call.
    unsafe {
        bindings::_printk(
            c"\x016%s%s%pA".as_char_ptr(),
            before.as_char_ptr(),
            name.as_char_ptr(),
            (&raw const after).cast::<c_void>(),
        );
    }
}

/// Prints `text`, `name`, a colon and the number of an error, if dynamic
/// debugging is on for it and there were not too many messages lately.
///
/// C: `net_dbg_ratelimited()`, whose place is in `rust/helpers/ratelimit.c` for
/// all callers.
pub fn net_dbg_ratelimited(text: &'static CStr, name: &CStr, error: Error) {
    // SAFETY: Both are C strings, which the function prints.
    unsafe {
        bindings::net_dbg_ratelimited(text.as_char_ptr(), name.as_char_ptr(), error.to_errno());
    }
}
