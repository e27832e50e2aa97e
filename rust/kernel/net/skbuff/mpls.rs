// SPDX-License-Identifier: GPL-2.0

//! MPLS label stacks of socket buffers.
//!
//! C header: [`include/net/mpls.h`](srctree/include/net/mpls.h)

use super::SkBuff;
use crate::bindings;
use kernel::{
    error::to_result,
    prelude::*, //
};
use zerocopy::network_endian::{
    U16 as Be16,
    U32 as Be32, //
};

/// Whether an Ethernet type is that of MPLS. C: `eth_p_mpls()`.
#[inline]
pub(super) fn is_mpls(proto: Be16) -> bool {
    matches!(
        u32::from(proto.get()),
        bindings::ETH_P_MPLS_UC | bindings::ETH_P_MPLS_MC
    )
}

impl SkBuff {
    /// Puts an entry of a label stack behind the first `mac_len` bytes of the
    /// packet, which begins with its MAC header. `ethernet` says that this is one
    /// of Ethernet, which gets the type `proto`.
    ///
    /// Fails with `EINVAL` where `proto` is not that of MPLS, the packet is in a
    /// tunnel or does not begin with a MAC header of that length, and with
    /// `ENOMEM`. C: `skb_mpls_push()`.
    pub fn mpls_push(&mut self, lse: Be32, proto: Be16, mac_len: u16, ethernet: bool) -> Result {
        if self.mac_offset() != 0 || usize::from(mac_len) > self.headlen() {
            return Err(EINVAL);
        }
        // SAFETY: By the type invariant; the MAC header is at the start, and as
        // many bytes are in the linear part.
        to_result(unsafe {
            bindings::skb_mpls_push(
                self.as_ptr(),
                u32::from_ne_bytes(lse.to_bytes()),
                u16::from_ne_bytes(proto.to_bytes()),
                mac_len.into(),
                ethernet,
            )
        })
    }

    /// Takes the entry of a label stack away that is behind the MAC header, with
    /// which the packet begins. `ethernet` says that this is one of Ethernet,
    /// which gets the type `next_proto`. A packet that is not MPLS is left as it
    /// is.
    ///
    /// Fails with `EINVAL` where the packet does not begin with a MAC header or
    /// the label stack is not behind that, and with `ENOMEM`, also where the
    /// packet is too short. C: `skb_mpls_pop()`.
    pub fn mpls_pop(&mut self, next_proto: Be16, ethernet: bool) -> Result {
        if !is_mpls(self.protocol()) {
            return Ok(());
        }
        self.check_label_stack()?;
        // SAFETY: By the type invariant; the MAC header is at the start and the
        // label stack behind it.
        to_result(unsafe {
            bindings::skb_mpls_pop(
                self.as_ptr(),
                u16::from_ne_bytes(next_proto.to_bytes()),
                self.mac_len().into(),
                ethernet,
            )
        })
    }

    /// Sets the first entry of the label stack.
    ///
    /// Fails with `EINVAL` for a packet that is not MPLS, or whose label stack is
    /// not behind its MAC header, and with `ENOMEM`, also where the packet is too
    /// short. C: `skb_mpls_update_lse()`.
    pub fn mpls_update_lse(&mut self, lse: Be32) -> Result {
        if is_mpls(self.protocol()) {
            self.check_label_stack()?;
        }
        // SAFETY: By the type invariant; the label stack is behind the MAC
        // header.
        to_result(unsafe {
            bindings::skb_mpls_update_lse(self.as_ptr(), u32::from_ne_bytes(lse.to_bytes()))
        })
    }

    /// What C relies on: the packet begins with its MAC header, and the label
    /// stack is behind that.
    fn check_label_stack(&self) -> Result {
        let mac_len = isize::try_from(self.mac_len()).map_err(|_| EINVAL)?;
        if self.mac_offset() != 0 || self.network_offset() != mac_len {
            return Err(EINVAL);
        }
        Ok(())
    }
}
