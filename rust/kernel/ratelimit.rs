// SPDX-License-Identifier: GPL-2.0

//! Messages that are limited in rate.
//!
//! C header: [`include/linux/ratelimit.h`](srctree/include/linux/ratelimit.h)

use kernel::str::{
    CStr,
    CStrExt, //
};

use crate::bindings;

/// Prints a message at level INFO unless there were too many lately.
///
/// C: `pr_info_ratelimited()`, but with one limit for all callers.
pub fn pr_info_ratelimited(text: &'static CStr) {
    // SAFETY: The text is a C string and is printed with a format of its own.
    unsafe { bindings::pr_info_ratelimited(text.as_char_ptr()) };
}
