// SPDX-License-Identifier: GPL-2.0

//! Tracepoints of a module.
//!
//! The kernel crate's `declare_trace!` takes tracepoints from its own bindings
//! alone. C header: [`include/linux/tracepoint.h`](srctree/include/linux/tracepoint.h)

/// Whether somebody has switched a tracepoint of this crate's bindings on: a
/// branch that is patched, where the architecture has those.
///
/// C: `trace_NAME_enabled()`.
macro_rules! enabled {
    ($tracepoint:ident) => {{
        #[cfg(all(CONFIG_TRACEPOINTS, CONFIG_JUMP_LABEL))]
        // SAFETY: The variable is a static tracepoint of C, with a static key.
        let enabled = unsafe {
            kernel::jump_label::static_branch_unlikely!(
                $crate::bindings::$tracepoint,
                $crate::bindings::tracepoint,
                key
            )
        };
        #[cfg(all(CONFIG_TRACEPOINTS, not(CONFIG_JUMP_LABEL)))]
        // SAFETY: As above; the counter changes under us, hence the volatile
        // read.
        let enabled = unsafe {
            (&raw const $crate::bindings::$tracepoint.key.key.enabled.counter).read_volatile() > 0
        };
        #[cfg(not(CONFIG_TRACEPOINTS))]
        let enabled = false;
        enabled
    }};
}
pub(crate) use enabled;
