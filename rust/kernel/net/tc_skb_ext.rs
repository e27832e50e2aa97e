// SPDX-License-Identifier: GPL-2.0

//! What traffic control leaves on a packet for who processes it next.
//!
//! C header: [`include/net/pkt_cls.h`](srctree/include/net/pkt_cls.h)

#[cfg(CONFIG_NET_TC_SKB_EXT)]
use crate::bindings;

/// The kernel is built with the extension.
///
/// C: `CONFIG_NET_TC_SKB_EXT`.
pub const AVAILABLE: bool = cfg!(CONFIG_NET_TC_SKB_EXT);

/// Has traffic control leave its extension on packets, until [`disable`] has
/// been called as often as this. May sleep.
///
/// C: `tc_skb_ext_tc_enable()`.
pub fn enable() {
    #[cfg(CONFIG_NET_TC_SKB_EXT)]
    // SAFETY: It counts up a static key.
    unsafe {
        bindings::tc_skb_ext_tc_enable()
    };
}

/// Takes back one [`enable`]. May sleep.
///
/// C: `tc_skb_ext_tc_disable()`.
pub fn disable() {
    #[cfg(CONFIG_NET_TC_SKB_EXT)]
    // SAFETY: It counts down a static key, which the caller counted up.
    unsafe {
        bindings::tc_skb_ext_tc_disable()
    };
}
