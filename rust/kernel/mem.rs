// SPDX-License-Identifier: GPL-2.0

//! Memory that begins as zeroes, and how much memory there is.

use core::{
    mem::MaybeUninit,
    sync::atomic::{
        compiler_fence,
        Ordering, //
    },
};

use kernel::{
    alloc::Flags,
    prelude::*, //
};
use zerocopy::FromZeros;

use crate::bindings;

/// Calls `f` with a `T` of zeroes on the stack, made with stores.
///
/// The compiler would call `memset()` for what is larger than 128 bytes, since
/// it may not use vector registers in the kernel, and `memcpy()` for a value
/// that is returned. For something that is on the stack for every packet, these
/// calls cost more than the stores.
#[inline(always)]
pub fn with_zeroed<T: FromZeros, R>(f: impl FnOnce(&mut T) -> R) -> R {
    const CHUNK: usize = 64;

    let mut value = MaybeUninit::<T>::uninit();
    let bytes = value.as_mut_ptr().cast::<u8>();
    let mut offset = 0;
    while offset < size_of::<T>() {
        let rest = size_of::<T>().wrapping_sub(offset);
        let len = if rest < CHUNK { rest } else { CHUNK };
        // SAFETY: `len` bytes from `offset` are within `value`.
        unsafe { bytes.add(offset).write_bytes(0, len) };
        // Keeps the compiler from making one of all the pieces.
        compiler_fence(Ordering::SeqCst);
        offset = offset.wrapping_add(len);
    }
    // SAFETY: All bytes were set to zero, which is a valid `T`.
    let result = f(unsafe { value.assume_init_mut() });
    // SAFETY: As above; it is not used any more.
    unsafe { value.assume_init_drop() };
    result
}

/// A `T` of zeroes that was never on the stack. Fails with `ENOMEM`.
pub fn zeroed_box<T: FromZeros>(flags: Flags) -> Result<KBox<T>> {
    let mut value = KBox::<T>::new_uninit(flags)?;
    // SAFETY: It is valid for writes.
    unsafe { value.as_mut_ptr().write_bytes(0, 1) };
    // SAFETY: All bytes were set to zero, which is a valid `T`.
    Ok(unsafe { value.assume_init() })
}

/// How many pages there are below the high watermarks of the zones that buffers
/// come from: what there is of memory and not what is free of it.
///
/// C: `nr_free_buffer_pages()`.
pub fn nr_free_buffer_pages() -> usize {
    // SAFETY: The function reads numbers of the zones, in any context that may
    // take the RCU read lock.
    unsafe { bindings::nr_free_buffer_pages() as usize }
}

/// Has the CPU fetch the cache line of `place` while it does something else.
///
/// C: `prefetch()`, see [`include/linux/prefetch.h`](srctree/include/linux/prefetch.h).
#[inline(always)]
pub fn prefetch<T>(place: &T) {
    // SAFETY: A prefetch changes nothing but the time that things take.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        core::arch::asm!(
            "prefetcht0 [{0}]",
            in(reg) place,
            options(nostack, preserves_flags, readonly)
        );
    }
    // SAFETY: As above.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        core::arch::asm!(
            "prfm pldl1keep, [{0}]",
            in(reg) place,
            options(nostack, preserves_flags, readonly)
        );
    }
    let _ = place;
}
