// SPDX-License-Identifier: GPL-2.0

//! Evidence of the context that packets are processed in.
//!
//! C header: [`include/linux/bottom_half.h`](srctree/include/linux/bottom_half.h)

use core::{
    marker::PhantomData,
    mem::ManuallyDrop, //
};

use kernel::types::NotThreadSafe;

use super::rcu::RcuRead;
use crate::bindings;

/// Evidence that bottom halves are disabled, that the RCU read lock is held, and
/// that no other thread is in such a section on this CPU, all three for at least
/// `'g`, and the number of the CPU that this is true on.
///
/// This is what a receive handler and `ndo_start_xmit` run under, see
/// [`BhSection`]. The type costs one register and is passed by value all the way
/// down the packet path, so that nothing there has to ask again for the lock or
/// the CPU.
///
/// # Invariants
///
/// For `'g`, bottom halves are disabled on this CPU, the RCU read lock is held,
/// a [`BhSection`] of this thread exists, this is no hard interrupt, and `cpu`
/// is the number of this CPU.
#[derive(Clone, Copy)]
pub struct BhRcu<'g> {
    cpu: u32,
    _guard: PhantomData<&'g ()>,
    _not_send: NotThreadSafe,
}

impl<'g> BhRcu<'g> {
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

/// A section of the packet path in which this CPU is its thread's own.
///
/// With bottom halves disabled a thread is not preempted by another one that
/// has them disabled, but on `PREEMPT_RT`: there it may be, on the same CPU, and
/// a lock of the CPU makes up for it, which the outermost section of a thread
/// takes. C takes the same lock around actions, `ovs_pcpu_storage->bh_lock`.
///
/// # Invariants
///
/// Bottom halves are disabled and the RCU read lock is held for as long as this
/// exists. On `PREEMPT_RT` this thread has the lock of its CPU; `locked` says
/// whether it was taken for this section.
pub struct BhSection {
    #[cfg(CONFIG_PREEMPT_RT)]
    locked: bool,
    _not_send: NotThreadSafe,
}

impl BhSection {
    /// Begins a section. Waits, on `PREEMPT_RT`, until other threads that are in
    /// one on this CPU have left theirs.
    ///
    /// # Safety
    ///
    /// For as long as what is returned lives, bottom halves must be disabled and
    /// the RCU read lock must be held. The caller must not be a hard interrupt's
    /// handler. Sections of one thread must end in the reverse order of their
    /// beginning.
    #[inline]
    pub unsafe fn enter() -> Self {
        // INVARIANT: By the safety requirements; the lock is this thread's from
        // here on.
        Self {
            // SAFETY: Bottom halves are disabled, by the safety requirements.
            #[cfg(CONFIG_PREEMPT_RT)]
            locked: unsafe { bindings::ovs_bh_lock() },
            _not_send: NotThreadSafe,
        }
    }

    /// The evidence, for as long as the section is borrowed.
    #[inline]
    pub fn proof(&self) -> BhRcu<'_> {
        // INVARIANT: By the type invariants; with bottom halves disabled there is
        // no migration to another CPU.
        BhRcu {
            // SAFETY: The function only reads the CPU's number.
            cpu: unsafe { bindings::ovs_smp_processor_id() },
            _guard: PhantomData,
            _not_send: NotThreadSafe,
        }
    }
}

#[cfg(CONFIG_PREEMPT_RT)]
impl Drop for BhSection {
    fn drop(&mut self) {
        if self.locked {
            // SAFETY: By the type invariants, this section took the lock, and
            // this is still the same CPU.
            unsafe { bindings::ovs_bh_unlock() };
        }
    }
}

/// Bottom halves disabled, RCU read lock held and the CPU one's own, for the
/// guard's life.
///
/// For paths that come from process context and enter the packet path, such as
/// a packet that userspace asks to be executed.
pub struct BhGuard {
    section: ManuallyDrop<BhSection>,
}

impl BhGuard {
    /// Disables bottom halves, takes the RCU read lock and begins a section.
    pub fn new() -> Self {
        // SAFETY: Both can be called in any context; they are undone, in
        // reverse order, when the guard is dropped.
        unsafe {
            bindings::ovs_local_bh_disable();
            bindings::rcu_read_lock();
        }
        Self {
            // SAFETY: Bottom halves are disabled and the RCU read lock is held
            // until the section is dropped in `drop()`. This is a process's
            // context.
            section: ManuallyDrop::new(unsafe { BhSection::enter() }),
        }
    }

    /// The evidence, for as long as the guard is borrowed.
    #[inline]
    pub fn proof(&self) -> BhRcu<'_> {
        self.section.proof()
    }
}

impl Default for BhGuard {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for BhGuard {
    fn drop(&mut self) {
        // SAFETY: It is not used any more.
        unsafe { ManuallyDrop::drop(&mut self.section) };
        // SAFETY: `new()` took the lock and disabled bottom halves.
        unsafe {
            bindings::rcu_read_unlock();
            bindings::ovs_local_bh_enable();
        }
    }
}
