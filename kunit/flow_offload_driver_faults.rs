// SPDX-License-Identifier: GPL-2.0

//! What the driver for suites does not take, beside what is for all rules, and
//! packets that it does not finish.

use core::sync::atomic::{
    AtomicBool,
    AtomicI32,
    AtomicU32,
    Ordering::Relaxed, //
};

use kernel::prelude::*;

use crate::{
    bindings,
    net::skbuff::SkBuff, //
};

/// The source address of the rules that fail, and with which error.
static SRC: AtomicU32 = AtomicU32::new(0);
static ERRNO: AtomicI32 = AtomicI32::new(0);

/// How many rules that change packets fit.
static REWRITES: AtomicU32 = AtomicU32::new(u32::MAX);

/// Whether it counts packets.
static COUNTS: AtomicBool = AtomicBool::new(true);

/// The driver does not take rules for packets from `src`.
pub fn fail_for(src: u32, err: Error) {
    SRC.store(src, Relaxed);
    ERRNO.store(err.to_errno(), Relaxed);
}

/// The driver has room for so many rules that change packets.
pub fn set_rewrites(most: u32) {
    REWRITES.store(most, Relaxed);
}

/// Whether the driver counts packets.
pub fn set_counts(counts: bool) {
    COUNTS.store(counts, Relaxed);
}

/// Whether the driver counts packets.
pub(super) fn counts() -> bool {
    COUNTS.load(Relaxed)
}

/// The error for a rule for packets from `src`, if there is one. `rewrites` is
/// how many there are like it, if it changes packets.
pub(super) fn of(src: u32, rewrites: Option<usize>) -> Option<i32> {
    let errno = ERRNO.load(Relaxed);
    if errno != 0 && SRC.load(Relaxed) == src {
        return Some(errno);
    }
    rewrites
        .filter(|&n| n as u64 >= u64::from(REWRITES.load(Relaxed)))
        .map(|_| ENOSPC.to_errno())
}

/// Nothing of this.
pub(super) fn reset() {
    ERRNO.store(0, Relaxed);
    REWRITES.store(u32::MAX, Relaxed);
    COUNTS.store(true, Relaxed);
}

/// A packet that comes back from a chain that it found no rule in.
pub fn from_chain(frame: &[u8], chain: u32) -> Result<SkBuff> {
    let skb = SkBuff::dev_alloc_copy(frame, GFP_KERNEL)?;
    // SAFETY: The packet is valid; what is added is the structure of this name.
    unsafe {
        let ext = bindings::skb_ext_add(skb.as_ptr(), bindings::skb_ext_id_TC_SKB_EXT)
            .cast::<bindings::tc_skb_ext>();
        if ext.is_null() {
            return Err(ENOMEM);
        }
        ext.write(bindings::tc_skb_ext::default());
        (*ext).__bindgen_anon_1.chain = chain;
    }
    Ok(skb)
}
