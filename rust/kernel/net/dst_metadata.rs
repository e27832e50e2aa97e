// SPDX-License-Identifier: GPL-2.0

//! Tunnel parameters that go with a packet, in place of a route.
//!
//! C header: [`include/net/dst_metadata.h`](srctree/include/net/dst_metadata.h)

use crate::{
    bindings,
    gfp::as_raw,
    net::{
        ip_tunnels::{
            flags,
            IpTunnelInfo,
            IpTunnelKey, //
        },
        netdevice::NetDevice,
        skbuff::SkBuff, //
    },
    sync::rcu::RcuRead,
};
use core::ptr::NonNull;
use kernel::{
    alloc::Flags,
    error::to_result,
    prelude::*, //
};

/// Parameters of a tunnel that packets are sent through: a reference to a
/// `struct metadata_dst` of type `METADATA_IP_TUNNEL`.
///
/// Dropping it may be done in softirq.
///
/// # Invariants
///
/// The pointer is valid and owns a reference. The parameters do not change; the
/// cached routes, one for each CPU, are changed by whoever sends.
pub struct MetadataDst(NonNull<bindings::metadata_dst>);

// SAFETY: The parameters do not change, the cache is per CPU and the count of
// references is atomic.
unsafe impl Send for MetadataDst {}
// SAFETY: As above.
unsafe impl Sync for MetadataDst {}

impl MetadataDst {
    /// Parameters with these outer headers, this mode (`IP_TUNNEL_INFO_*`), and
    /// at most 255 bytes of options, whose kind the key's flags say.
    ///
    /// Fails with `ENOMEM`, and with `EINVAL` if the options are too long.
    ///
    /// C: `metadata_dst_alloc()`, `dst_cache_init()` and
    /// `ip_tunnel_info_opts_set()`.
    pub fn new(key: &IpTunnelKey, mode: u8, options: &[u8], gfp: Flags) -> Result<Self> {
        let options_len = u8::try_from(options.len()).map_err(|_| EINVAL)?;
        // SAFETY: The function has no preconditions.
        let ptr = unsafe {
            bindings::metadata_dst_alloc(
                options_len,
                bindings::metadata_type_METADATA_IP_TUNNEL,
                as_raw(gfp),
            )
        };
        // INVARIANT: It is new, with one reference; nobody else sees it until
        // this function returns.
        let this = Self(NonNull::new(ptr).ok_or(ENOMEM)?);

        // SAFETY: It is valid, and is all zero behind `dst` and the type.
        to_result(unsafe { bindings::metadata_dst_cache_init(ptr, as_raw(gfp)) })?;
        // SAFETY: It is valid and nobody else's; there is room for as many
        // options as were asked for. All flags that are to be set are already
        // in the key's.
        unsafe {
            let info = bindings::metadata_dst_tun_info(ptr);
            (*info).mode = mode;
            key.write_raw(&mut (*info).key);
            bindings::ip_tunnel_info_opts_set(
                info,
                options.as_ptr().cast(),
                options_len.into(),
                [(key.tun_flags & flags::OPTIONS_PRESENT) as usize].as_ptr(),
            );
        }
        Ok(this)
    }

    /// The parameters. C: `&md_dst->u.tun_info`.
    pub fn tun_info(&self) -> &IpTunnelInfo {
        // SAFETY: By the type invariants it is valid for as long as the
        // reference is owned, and does not change but for the cache, which
        // nothing here reads.
        unsafe { IpTunnelInfo::from_raw(bindings::metadata_dst_tun_info(self.0.as_ptr())) }
    }
}

impl Clone for MetadataDst {
    /// Another reference. C: `dst_hold()`.
    fn clone(&self) -> Self {
        // SAFETY: The pointer is valid; `dst` is the first member.
        unsafe { bindings::dst_hold(self.0.as_ptr().cast()) };
        // INVARIANT: The reference was just taken.
        Self(self.0)
    }
}

impl Drop for MetadataDst {
    fn drop(&mut self) {
        // SAFETY: A reference is owned and given away; `dst` is the first
        // member.
        unsafe { bindings::dst_release(self.0.as_ptr().cast()) };
    }
}

impl SkBuff {
    /// The tunnel that the packet came through or is to be sent through.
    /// C: `skb_tunnel_info()`.
    #[inline]
    pub fn tunnel_info<'a>(&'a self, _rcu: RcuRead<'a>) -> Option<&'a IpTunnelInfo> {
        if !self.has_dst() {
            return None;
        }
        // SAFETY: By the type invariant. A route without a reference is valid
        // under the RCU read lock. What is found belongs to what the packet
        // refers to, which can be changed with `&mut self` only.
        unsafe {
            let info = bindings::skb_tunnel_info(self.as_ptr());
            (!info.is_null()).then(|| IpTunnelInfo::from_raw(info))
        }
    }

    /// Whether there is a route or what stands for it. C: `skb->_skb_refdst`.
    #[inline]
    pub fn has_dst(&self) -> bool {
        // SAFETY: By the type invariant; the owner of a packet that is in no
        // queue of TCP has the route in this union.
        unsafe {
            (*self.as_ptr())
                .__bindgen_anon_3
                .__bindgen_anon_1
                ._skb_refdst
                != 0
        }
    }

    /// Has the packet sent through this tunnel, by a device that is one's.
    /// C: `skb_dst_drop()`, `dst_hold()` and `skb_dst_set()`.
    #[inline]
    pub fn set_tunnel_dst(&mut self, dst: &MetadataDst) {
        // SAFETY: Both are valid; the packet gets a reference of its own.
        unsafe { bindings::skb_dst_replace(self.as_ptr(), dst.0.as_ptr().cast()) };
    }
}

impl NetDevice {
    /// Fills in what the device would send the packet with: source address and
    /// ports of the packet's tunnel parameters, in a copy that the packet then
    /// refers to.
    ///
    /// Fails with `EINVAL` if the device is not a tunnel's, or the packet has
    /// no tunnel parameters; otherwise with the device's error.
    ///
    /// C: `dev_fill_metadata_dst()`.
    pub fn fill_metadata_dst(&self, skb: &mut SkBuff, _rcu: RcuRead<'_>) -> Result {
        // SAFETY: Both are valid, and the RCU read lock is held.
        to_result(unsafe { bindings::dev_fill_metadata_dst(self.as_ptr(), skb.as_ptr()) })
    }
}
