// SPDX-License-Identifier: GPL-2.0

//! Messages about packets, limited in rate together with those of the whole
//! network stack (`net.core.message_cost`).
//!
//! C header: [`include/linux/net.h`](srctree/include/linux/net.h)

use kernel::{
    ffi::c_void,
    fmt,
    str::CStrExt, //
};

use crate::bindings;

/// Prints a warning, without a prefix, unless there were too many messages
/// lately. For [`net_warn_ratelimited!`](crate::net_warn_ratelimited).
#[doc(hidden)]
pub fn warn(args: fmt::Arguments<'_>) {
    // SAFETY: May be called in any context. The format takes a pointer to
    // `fmt::Arguments`, which are there during the call.
    unsafe {
        if bindings::net_ratelimit() != 0 {
            bindings::_printk(
                c"\x014%pA".as_char_ptr(),
                (&raw const args).cast::<c_void>(),
            );
        }
    }
}

/// Prints a warning unless there were too many messages lately.
/// C: `net_warn_ratelimited()`. The text ends with a newline.
#[macro_export]
macro_rules! net_warn_ratelimited {
    ($($arg:tt)+) => {
        $crate::net::ratelimit::warn(::kernel::prelude::fmt!($($arg)+))
    };
}
