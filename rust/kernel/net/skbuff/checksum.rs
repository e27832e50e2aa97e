// SPDX-License-Identifier: GPL-2.0

//! The checksums of socket buffers.
//!
//! C header: [`include/net/checksum.h`](srctree/include/net/checksum.h)

use super::{
    IpSummed,
    SkBuff, //
};
use crate::{
    bindings,
    net::checksum::{
        csum_add,
        csum_fold,
        csum_replace,
        csum_replace4,
        csum_sub,
        csum_unfold,
        Wsum, //
    }, //
};
use kernel::{
    error::to_result,
    prelude::*, //
};

impl SkBuff {
    /// Fills in the checksum where that is left to the device
    /// ([`IpSummed::Partial`]). Fails as C does.
    /// C: `skb_csum_hwoffload_help(skb, 0)`.
    pub fn checksum_help(&mut self) -> Result {
        if self.ip_summed() != IpSummed::Partial {
            return Ok(());
        }
        // SAFETY: By the type invariant.
        to_result(unsafe { bindings::skb_csum_hwoffload_help(self.as_ptr()) })
    }

    /// The sum over the packet. Only of use where [`SkBuff::ip_summed`] is
    /// [`IpSummed::Complete`]. C: `skb->csum`.
    #[inline]
    pub fn csum(&self) -> u32 {
        // SAFETY: All views of the union are integers.
        unsafe { self.headers().__bindgen_anon_1.csum }
    }

    /// Sets the sum over the packet; nothing is done unless there is one,
    /// since the place is used otherwise then.
    #[inline]
    pub fn set_csum(&mut self, csum: u32) {
        if self.ip_summed() == IpSummed::Complete {
            self.headers_mut().__bindgen_anon_1.csum = csum;
        }
    }

    /// Changes the first `len` bytes of the packet, which are made writable
    /// first, and keeps up the sum over the packet. Fails with `ENOMEM`, also
    /// where the packet is shorter.
    ///
    /// C: `skb_ensure_writable()`, `skb_postpull_rcsum()`, the change, and
    /// `skb_postpush_rcsum()`.
    #[inline]
    pub fn edit_rcsum(&mut self, len: usize, edit: impl FnOnce(&mut [u8])) -> Result {
        let summed = self.ip_summed();
        if summed == IpSummed::Partial || summed == IpSummed::Complete {
            self.ensure_writable(len)?;
            // SAFETY: By the type invariant; there are `len` bytes.
            unsafe { bindings::skb_postpull_rcsum(self.as_ptr(), self.data_ptr(), len as u32) };
        }
        edit(self.ensure_writable(len)?);
        if summed == IpSummed::Complete {
            // SAFETY: By the type invariant; there are `len` bytes.
            unsafe { bindings::skb_postpush_rcsum(self.as_ptr(), self.data_ptr(), len as u32) };
        }
        Ok(())
    }

    /// Where the packet begins.
    #[inline]
    fn data_ptr(&self) -> *const core::ffi::c_void {
        self.data().as_ptr().cast()
    }

    /// The CRC32c over all from the SCTP header at `offset`, as that holds it,
    /// with the checksum in it taken as zero. Fails with `ENOMEM` where there
    /// is no such header or it cannot be made writable.
    ///
    /// C: `sctp_compute_cksum()`.
    pub fn sctp_compute_cksum(&mut self, offset: usize) -> Result<[u8; 4]> {
        const SCTPHDR: usize = 12;
        self.ensure_writable(offset.checked_add(SCTPHDR).ok_or(ENOMEM)?)?;
        // CAST: Less than `skb->len`.
        // SAFETY: By the type invariant; the header is linear and writable.
        let cksum = unsafe { bindings::sctp_compute_cksum(self.as_ptr(), offset as u32) };
        Ok(cksum.to_ne_bytes())
    }

    /// What it takes to keep up transport checksums of this packet.
    #[inline]
    pub fn proto_csum(&self) -> ProtoCsum {
        ProtoCsum {
            summed: self.ip_summed(),
            csum: self.csum(),
        }
    }

    /// Sets the sum over the packet to what it is after changes.
    #[inline]
    pub fn apply_csum(&mut self, csum: ProtoCsum) {
        self.set_csum(csum.csum);
    }
}

/// The checksum state of a packet while its headers are changed: taken from the
/// packet before and [applied](SkBuff::apply_csum) after.
pub struct ProtoCsum {
    /// How the checksum stands.
    pub summed: IpSummed,
    /// The sum over the packet, if it is [`IpSummed::Complete`].
    pub csum: Wsum,
}

impl ProtoCsum {
    /// Updates the transport checksum `check` after 4 bytes of what it is over
    /// were changed; `pseudohdr` says that they are of the pseudo header.
    /// C: `inet_proto_csum_replace4()`.
    pub fn replace4(&mut self, check: &mut [u8; 2], from: [u8; 4], to: [u8; 4], pseudohdr: bool) {
        if self.summed != IpSummed::Partial {
            csum_replace4(check, from, to);
            if self.summed == IpSummed::Complete && pseudohdr {
                self.csum =
                    !csum_replace(!self.csum, u32::from_ne_bytes(from), u32::from_ne_bytes(to));
            }
        } else if pseudohdr {
            *check = not(csum_fold(csum_replace(
                csum_unfold(*check),
                u32::from_ne_bytes(from),
                u32::from_ne_bytes(to),
            )));
        }
    }

    /// Updates the transport checksum `check` after a port was changed.
    /// C: `inet_proto_csum_replace2()`, not for the pseudo header.
    pub fn replace2(&mut self, check: &mut [u8; 2], from: [u8; 2], to: [u8; 2]) {
        if self.summed != IpSummed::Partial {
            let sum = csum_sub(!csum_unfold(*check), csum_unfold(from));
            *check = csum_fold(csum_add(sum, csum_unfold(to)));
        }
    }

    /// Updates the transport checksum `check` after an IPv6 address of the
    /// pseudo header was changed. C: `inet_proto_csum_replace16()`.
    pub fn replace16(&mut self, check: &mut [u8; 2], from: &[u8; 16], to: &[u8; 16]) {
        let partial = self.summed == IpSummed::Partial;
        let mut sum = csum_unfold(*check);
        if !partial {
            sum = !sum;
        }
        let words = |address: &[u8; 16]| u128::from_ne_bytes(*address);
        for shift in [0, 32, 64, 96] {
            // CAST: Each time the lowest 32 bits are wanted.
            let (from, to) = ((words(from) >> shift) as u32, (words(to) >> shift) as u32);
            sum = csum_replace(sum, from, to);
        }
        *check = if partial {
            not(csum_fold(sum))
        } else {
            csum_fold(sum)
        };
    }
}

/// The one's complement.
#[inline]
fn not([a, b]: [u8; 2]) -> [u8; 2] {
    [!a, !b]
}

/// For tests.
#[cfg(CONFIG_OPENVSWITCH_KUNIT_TEST)]
impl SkBuff {
    /// Sets how the checksum stands; with [`IpSummed::Complete`] the sum over
    /// the packet is calculated.
    pub fn set_ip_summed(&mut self, summed: IpSummed) {
        let raw = match summed {
            IpSummed::None => bindings::CHECKSUM_NONE,
            IpSummed::Unnecessary => bindings::CHECKSUM_UNNECESSARY,
            IpSummed::Complete => bindings::CHECKSUM_COMPLETE,
            IpSummed::Partial => bindings::CHECKSUM_PARTIAL,
        };
        // CAST: All are below 4.
        self.headers_mut().set_ip_summed(raw as u8);
        let sum = self.packet_sum();
        self.set_csum(sum);
    }

    /// The sum over the packet, calculated. C: `skb_checksum()`.
    pub fn packet_sum(&self) -> Wsum {
        // CAST: A packet is shorter than that.
        // SAFETY: By the type invariant.
        unsafe { bindings::skb_checksum(self.as_ptr(), 0, self.len() as i32, 0) }
    }
}
