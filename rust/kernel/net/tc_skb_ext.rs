// SPDX-License-Identifier: GPL-2.0

//! What traffic control leaves on a packet for who processes it next.
//!
//! C header: [`include/net/pkt_cls.h`](srctree/include/net/pkt_cls.h)

#[cfg(CONFIG_NET_TC_SKB_EXT)]
use crate::bindings;
use crate::net::skbuff::SkBuff;

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

/// What became of a packet that traffic control had connection tracking look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PostCt {
    /// The zone it was looked up in.
    pub zone: u16,
    /// Source addresses were translated.
    pub snat: bool,
    /// Destination addresses were translated.
    pub dnat: bool,
}

/// What traffic control says of a packet that it could not finish with.
///
/// C: `struct tc_skb_ext`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcSkbExt {
    /// The chain to go on with; 0 where that is not said.
    pub chain: u32,
    /// The largest fragment that the packet was received in; 0 if it was not.
    pub mru: u16,
    /// What connection tracking did with the packet, if it saw it.
    pub post_ct: Option<PostCt>,
}

/// What traffic control says of the packet, if it says something and that is
/// [enabled](enable).
///
/// C: `tc_skb_ext_tc_enabled()`, `skb_ext_find(skb, TC_SKB_EXT)`.
#[inline]
pub fn find(skb: &SkBuff) -> Option<TcSkbExt> {
    #[cfg(CONFIG_NET_TC_SKB_EXT)]
    if skb.has_extensions() {
        // SAFETY: The packet is valid; what is found is part of it.
        return unsafe {
            let ext = bindings::skb_tc_ext(skb.as_ptr());
            (!ext.is_null()).then(|| {
                let ext = bindings::tc_skb_ext_values(ext);
                TcSkbExt {
                    chain: ext.chain,
                    mru: ext.mru,
                    post_ct: ext.post_ct.then_some(PostCt {
                        zone: ext.zone,
                        snat: ext.post_ct_snat,
                        dnat: ext.post_ct_dnat,
                    }),
                }
            })
        };
    }
    let _ = skb;
    None
}

/// Takes what traffic control says off the packet, so that whoever gets it next
/// does not look at it.
///
/// C: `skb_ext_del(skb, TC_SKB_EXT)`.
pub fn remove(skb: &mut SkBuff) {
    #[cfg(CONFIG_NET_TC_SKB_EXT)]
    // SAFETY: The packet is valid, and nobody else uses it.
    unsafe {
        bindings::skb_tc_ext_del(skb.as_ptr())
    };
    let _ = skb;
}
