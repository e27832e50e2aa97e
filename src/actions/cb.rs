// SPDX-License-Identifier: GPL-2.0

//! What goes with a packet while actions run on it.

use kernel::prelude::*;
use zerocopy_derive::{
    Immutable,
    KnownLayout, //
};

/// The datapath's data in the control block of a socket buffer. A clone has a
/// copy.
///
/// C: `struct ovs_skb_cb`, but for the input port, which is passed along.
#[repr(C)]
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct OvsSkbCb {
    /// How many bytes of the packet the next output keeps.
    pub(crate) cutlen: u32,
    /// The probability that the packet was sampled with; 0 if it was not,
    /// `u32::MAX` for all packets.
    pub(crate) probability: u32,
    /// The netlink port that this packet's upcalls go to; 0 for the usual one.
    pub(crate) upcall_pid: u32,
    /// The largest fragment that the packet was received in; 0 if it was not.
    pub(crate) mru: u16,
    /// The length in bytes of the netlink form of the flow's actions.
    pub(crate) acts_origlen: u16,
}

impl Default for OvsSkbCb {
    /// What a packet that was just received has.
    #[inline]
    fn default() -> Self {
        Self {
            cutlen: u32::MAX,
            probability: 0,
            upcall_pid: 0,
            mru: 0,
            acts_origlen: 0,
        }
    }
}
