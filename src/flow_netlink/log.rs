// SPDX-License-Identifier: GPL-2.0

//! Logging what is wrong with a request.

/// Calls `log` out of line: what formats a message needs much stack, which the
/// functions that find errors should not have for each of their messages.
#[cold]
#[inline(never)]
pub(crate) fn log_out_of_line(log: impl FnOnce()) {
    log();
}
