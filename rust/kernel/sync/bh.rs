// SPDX-License-Identifier: GPL-2.0

//! Evidence of the context that packets are processed in.
//!
//! C header: [`include/linux/bottom_half.h`](srctree/include/linux/bottom_half.h)

use core::marker::PhantomData;

use kernel::types::NotThreadSafe;

use super::rcu::RcuRead;
use crate::bindings;

/// Evidence that bottom halves are disabled and that the RCU read lock is held,
/// both for at least `'g`, and the number of the CPU that this is true on.
///
/// This is what a receive handler and `ndo_start_xmit` run under. The type costs
/// one register and is passed by value all the way down the packet path, so
/// that nothing there has to ask again for the lock or the CPU.
///
/// # Invariants
///
/// For `'g`, bottom halves are disabled on this CPU, the RCU read lock is held,
/// this is no hard interrupt, and `cpu` is the number of this CPU.
#[derive(Clone, Copy)]
pub struct BhRcu<'g> {
    cpu: u32,
    _guard: PhantomData<&'g ()>,
    _not_send: NotThreadSafe,
}

impl<'g> BhRcu<'g> {
    /// Takes note that the caller already runs in such a context.
    ///
    /// # Safety
    ///
    /// For `'g`, bottom halves must be disabled, the RCU read lock must be held,
    /// and the caller must not be a hard interrupt's handler.
    #[inline]
    pub unsafe fn assume_held() -> Self {
        // INVARIANT: By the function's safety requirements; with bottom halves
        // disabled there is no migration to another CPU.
        Self {
            // SAFETY: The function only reads the CPU's number.
            cpu: unsafe { bindings::ovs_smp_processor_id() },
            _guard: PhantomData,
            _not_send: NotThreadSafe,
        }
    }

    /// The RCU half of the evidence.
    #[inline]
    pub fn rcu(self) -> RcuRead<'g> {
        // SAFETY: By the type invariants, the RCU read lock is held for `'g`.
        unsafe { RcuRead::assume_held() }
    }

    /// The number of the CPU this runs on.
    #[inline]
    pub fn cpu(self) -> u32 {
        self.cpu
    }
}

/// Bottom halves disabled and RCU read lock held, for the guard's life.
///
/// For paths that come from process context and enter the packet path, such as
/// a packet that userspace asks to be executed.
pub struct BhGuard(NotThreadSafe);

impl BhGuard {
    /// Disables bottom halves and takes the RCU read lock.
    pub fn new() -> Self {
        // SAFETY: Both can be called in any context; they are undone, in
        // reverse order, when the guard is dropped.
        unsafe {
            bindings::ovs_local_bh_disable();
            bindings::rcu_read_lock();
        }
        Self(NotThreadSafe)
    }

    /// The evidence, for as long as the guard is borrowed.
    #[inline]
    pub fn proof(&self) -> BhRcu<'_> {
        // SAFETY: `new()` has disabled bottom halves and taken the RCU read
        // lock, and both stay so until the guard is dropped.
        unsafe { BhRcu::assume_held() }
    }
}

impl Default for BhGuard {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for BhGuard {
    fn drop(&mut self) {
        // SAFETY: `new()` took the lock and disabled bottom halves.
        unsafe {
            bindings::rcu_read_unlock();
            bindings::ovs_local_bh_enable();
        }
    }
}
