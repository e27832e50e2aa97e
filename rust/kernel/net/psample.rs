// SPDX-License-Identifier: GPL-2.0

//! Samples of packets, which userspace gets from a multicast group of netlink.
//!
//! C header: [`include/net/psample.h`](srctree/include/net/psample.h)

use crate::net::{
    namespace::Net,
    skbuff::SkBuff, //
};

/// The kernel is built with it.
///
/// C: `IS_ENABLED(CONFIG_PSAMPLE)`.
pub const AVAILABLE: bool = cfg!(CONFIG_PSAMPLE);

/// What is said of a sample.
///
/// C: the fields of `struct psample_group` and `struct psample_metadata` that
/// the datapath sets.
pub struct PsampleMetadata<'a> {
    /// The number of the group that the sample is of.
    pub group_num: u32,
    /// The index of the device that the packet came in on; 0 for none.
    pub in_ifindex: i32,
    /// How many bytes of the packet are shown at most.
    pub trunc_size: u32,
    /// Out of `u32::MAX`, with what probability the packet was chosen.
    pub probability: u32,
    /// What the user that asked for the sample recognises it by.
    pub user_cookie: &'a [u8],
}

/// Sends a sample of the packet to those who listen in the namespace. Nothing
/// is said of a sample that could not be sent. Does not sleep.
///
/// Without [`AVAILABLE`] nothing is done.
///
/// C: `psample_sample_packet()`.
pub fn sample_packet(net: &Net, skb: &SkBuff, md: &PsampleMetadata<'_>) {
    #[cfg(CONFIG_PSAMPLE)]
    {
        use crate::bindings;

        let mut group = bindings::psample_group {
            net: net.as_raw(),
            group_num: md.group_num,
            ..Default::default()
        };
        let mut metadata = bindings::psample_metadata {
            in_ifindex: md.in_ifindex,
            trunc_size: md.trunc_size,
            user_cookie: md.user_cookie.as_ptr(),
            // CAST: A cookie is part of a netlink attribute.
            user_cookie_len: md.user_cookie.len() as u32,
            ..Default::default()
        };
        metadata.set_rate_as_probability(1);

        // SAFETY: All are valid for the call, which keeps none of them. Of the
        // group it uses the namespace and the numbers only.
        unsafe {
            bindings::psample_sample_packet(
                &raw mut group,
                skb.as_ptr(),
                md.probability,
                &raw const metadata,
            )
        };
    }
    #[cfg(not(CONFIG_PSAMPLE))]
    let _ = (net, skb, md);
}
