// SPDX-License-Identifier: GPL-2.0
// refused: E0277

//! A packet leaves the section that it came in as one that is kept.

use kernel_ext::net::skbuff::SkBuff;

fn is_send<T: Send>(value: T) -> T {
    value
}

/// Has another thread have a packet, with its device.
pub fn case(skb: SkBuff, other: SkBuff) {
    is_send(skb.keep());
    is_send(other); // BAD
}
