// SPDX-License-Identifier: GPL-2.0

//! Statics that C has to initialise, when they are first used.

use core::sync::atomic::{
    AtomicU8,
    Ordering, //
};

const UNINIT: u8 = 0;
const INITIALISING: u8 = 1;
const READY: u8 = 2;

/// Whether a static is initialised.
pub(crate) struct LazyInit(AtomicU8);

impl LazyInit {
    /// It is not.
    pub(crate) const fn new() -> Self {
        Self(AtomicU8::new(UNINIT))
    }

    /// Whether it is; what initialised it is done then.
    #[inline]
    pub(crate) fn is_ready(&self) -> bool {
        self.0.load(Ordering::Acquire) == READY
    }

    /// Calls `init` if nobody has called one yet. False while somebody else is
    /// at it; otherwise what `init` has done is done.
    #[inline]
    pub(crate) fn ensure(&self, init: impl FnOnce()) -> bool {
        self.is_ready() || self.first(init)
    }

    #[cold]
    fn first(&self, init: impl FnOnce()) -> bool {
        let state =
            self.0
                .compare_exchange(UNINIT, INITIALISING, Ordering::Acquire, Ordering::Acquire);
        if state.is_ok() {
            init();
            self.0.store(READY, Ordering::Release);
        }
        matches!(state, Ok(_) | Err(READY))
    }
}
