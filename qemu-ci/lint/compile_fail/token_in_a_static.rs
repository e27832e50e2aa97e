// SPDX-License-Identifier: GPL-2.0
// refused: E0277

//! That a lock is held is known to the thread that holds it.

use kernel_ext::sync::{
    bh::BhRcu,
    rcu::RcuRead, //
};

fn is_send<T: Send>(value: T) -> T {
    value
}

/// Has another thread have the evidence.
pub fn case(ctx: BhRcu<'_>) {
    let rcu: RcuRead<'_> = ctx.rcu();
    is_send(ctx.cpu());
    is_send(rcu); // BAD
}
