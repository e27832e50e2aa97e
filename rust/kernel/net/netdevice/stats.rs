// SPDX-License-Identifier: GPL-2.0

//! Statistics of network devices.

use super::NetDevice;
use crate::bindings;

/// A device's statistics. C: `struct rtnl_link_stats64`.
pub struct RtnlLinkStats64(bindings::rtnl_link_stats64);

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        impl RtnlLinkStats64 {
            $($(#[$doc])*
            #[inline]
            pub fn $name(&self) -> u64 {
                self.0.$name
            })*
        }
    };
}

counters! {
    /// Packets received.
    rx_packets,
    /// Packets sent.
    tx_packets,
    /// Bytes received.
    rx_bytes,
    /// Bytes sent.
    tx_bytes,
    /// Bad packets received.
    rx_errors,
    /// Packets that could not be sent for an error.
    tx_errors,
    /// Packets received and dropped.
    rx_dropped,
    /// Packets dropped before they were sent.
    tx_dropped,
}

impl NetDevice {
    /// The statistics of the device. C: `dev_get_stats()`.
    ///
    /// May sleep for some devices.
    pub fn stats(&self) -> RtnlLinkStats64 {
        let mut stats = bindings::rtnl_link_stats64::default();
        // SAFETY: The device is valid by the type invariants, `stats` is there.
        unsafe { bindings::dev_get_stats(self.as_ptr(), &raw mut stats) };
        RtnlLinkStats64(stats)
    }

    /// Counts a transmit error. C: `DEV_STATS_INC(dev, tx_errors)`.
    pub fn count_tx_error(&self) {
        // SAFETY: The device is valid by the type invariants.
        unsafe { bindings::dev_stats_inc_tx_errors(self.as_ptr()) };
    }

    /// Counts a received packet that was dropped.
    /// C: `DEV_STATS_INC(dev, rx_dropped)`.
    pub fn count_rx_dropped(&self) {
        // SAFETY: The device is valid by the type invariants.
        unsafe { bindings::dev_stats_inc_rx_dropped(self.as_ptr()) };
    }
}
