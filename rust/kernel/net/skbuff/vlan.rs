// SPDX-License-Identifier: GPL-2.0

//! VLAN tags of socket buffers.
//!
//! C header: [`include/linux/if_vlan.h`](srctree/include/linux/if_vlan.h)

use super::SkBuff;
use crate::bindings;
use core::ptr::NonNull;
use kernel::{
    error::to_result,
    prelude::*, //
};
use zerocopy::network_endian::U16 as Be16;

/// Whether an Ethernet type is that of a VLAN tag. C: `eth_type_vlan()`.
#[inline]
fn is_vlan(proto: Be16) -> bool {
    matches!(
        u32::from(proto.get()),
        bindings::ETH_P_8021Q | bindings::ETH_P_8021AD
    )
}

impl SkBuff {
    /// The tag that is kept beside the packet, if there is one: protocol, and
    /// tag control information in host byte order.
    /// C: `skb_vlan_tag_present()`, `skb->vlan_proto`, `skb->vlan_tci`.
    #[inline]
    pub fn vlan_tag(&self) -> Option<(Be16, u16)> {
        // SAFETY: All views of the union are integers.
        let (all, tag) = unsafe {
            let vlan = &self.headers().__bindgen_anon_2;
            (vlan.vlan_all, vlan.__bindgen_anon_1)
        };
        (all != 0).then(|| (Be16::from_bytes(tag.vlan_proto.to_ne_bytes()), tag.vlan_tci))
    }

    /// Whether a tag is kept beside the packet. C: `skb_vlan_tag_present()`.
    #[inline]
    pub fn vlan_tag_present(&self) -> bool {
        self.vlan_tag().is_some()
    }

    /// Sets the tag beside the packet. C: `__vlan_hwaccel_put_tag()`.
    #[inline]
    pub fn set_vlan_tag(&mut self, proto: Be16, tci: u16) {
        self.headers_mut().__bindgen_anon_2.__bindgen_anon_1 =
            bindings::sk_buff__bindgen_ty_4__bindgen_ty_1__bindgen_ty_2__bindgen_ty_1 {
                vlan_proto: u16::from_ne_bytes(proto.to_bytes()),
                vlan_tci: tci,
            };
    }

    /// Forgets the tag beside the packet. C: `__vlan_hwaccel_clear_tag()`.
    #[inline]
    pub fn clear_vlan_tag(&mut self) {
        self.headers_mut().__bindgen_anon_2.vlan_all = 0;
    }

    /// Moves the tag beside the packet into it. `None` when there is no memory:
    /// the packet is then freed. C: `__vlan_hwaccel_push_inside()`.
    pub fn vlan_push_inside(self) -> Option<SkBuff> {
        // SAFETY: `self` is given away; the result is owned.
        unsafe {
            let ptr = bindings::__vlan_hwaccel_push_inside(self.into_raw());
            NonNull::new(ptr).map(|ptr| SkBuff::from_raw(ptr))
        }
    }

    /// Removes the outermost tag; where there is another one, it is moved
    /// beside the packet. C: `skb_vlan_pop()`; fails as that.
    #[inline]
    pub fn vlan_pop(&mut self) -> Result {
        if self.vlan_tag_present() && !is_vlan(self.protocol()) {
            self.clear_vlan_tag();
            return Ok(());
        }
        // SAFETY: By the type invariant.
        to_result(unsafe { bindings::skb_vlan_pop(self.as_ptr()) })
    }

    /// Moves the tag in the packet beside it: returns the tag control
    /// information in host byte order. The packet begins with its Ethernet
    /// header. C: `__skb_vlan_pop()`; fails as that.
    pub fn vlan_pop_inside(&mut self) -> Result<u16> {
        let mut tci = 0;
        // SAFETY: By the type invariant.
        to_result(unsafe { bindings::__skb_vlan_pop(self.as_ptr(), &mut tci) })?;
        Ok(tci)
    }

    /// Adds a tag as the outermost. C: `skb_vlan_push()`; fails as that.
    #[inline]
    pub fn vlan_push(&mut self, proto: Be16, tci: u16) -> Result {
        if !self.vlan_tag_present() {
            self.set_vlan_tag(proto, tci);
            return Ok(());
        }
        // SAFETY: By the type invariant.
        to_result(unsafe {
            bindings::skb_vlan_push(self.as_ptr(), u16::from_ne_bytes(proto.to_bytes()), tci)
        })
    }
}
