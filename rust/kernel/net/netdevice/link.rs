// SPDX-License-Identifier: GPL-2.0

//! How network devices are tied to each other, and their settings that need the
//! rtnl lock.

use kernel::{
    error::to_result,
    prelude::*, //
};

use super::{
    read_field,
    NetDevice, //
};
use crate::{
    bindings,
    net::rtnetlink::Rtnl, //
};

impl NetDevice {
    /// Adds to, or takes from, how many want the device to be promiscuous.
    /// C: `dev_set_promiscuity()`.
    pub fn set_promiscuity(&self, inc: i32, _rtnl: Rtnl<'_>) -> Result {
        // SAFETY: The device is valid and the rtnl lock is held.
        to_result(unsafe { bindings::dev_set_promiscuity(self.as_ptr(), inc) })
    }

    /// Makes the device stop merging packets that cannot be forwarded then.
    /// C: `dev_disable_lro()`.
    pub fn disable_lro(&self, _rtnl: Rtnl<'_>) {
        // SAFETY: The device is valid and the rtnl lock is held.
        unsafe { bindings::dev_disable_lro(self.as_ptr()) };
    }

    /// Makes `upper` the master of this device. C:
    /// `netdev_master_upper_dev_link()`.
    ///
    /// `EBUSY` if there is a master already or a loop would be made, `EEXIST` if
    /// they are linked.
    pub fn master_upper_dev_link(&self, upper: &NetDevice, _rtnl: Rtnl<'_>) -> Result {
        // SAFETY: Both are valid and the rtnl lock is held; there is no private
        // data, no information for drivers and no extended ack.
        to_result(unsafe {
            bindings::netdev_master_upper_dev_link(
                self.as_ptr(),
                upper.as_ptr(),
                core::ptr::null_mut(),
                core::ptr::null_mut(),
                core::ptr::null_mut(),
            )
        })
    }

    /// Unties this device from `upper`. C: `netdev_upper_dev_unlink()`.
    pub fn upper_dev_unlink(&self, upper: &NetDevice, _rtnl: Rtnl<'_>) {
        // SAFETY: Both are valid and the rtnl lock is held. C warns if they
        // are not linked.
        unsafe { bindings::netdev_upper_dev_unlink(self.as_ptr(), upper.as_ptr()) };
    }

    /// The master of this device. C: `netdev_master_upper_dev_get()`.
    pub fn master_upper_dev<'a>(&self, _rtnl: Rtnl<'a>) -> Option<&'a NetDevice> {
        // SAFETY: The device is valid and the rtnl lock is held.
        let upper = unsafe { bindings::netdev_master_upper_dev_get(self.as_ptr()) };
        // SAFETY: The link has a reference to the master, and links change
        // under the rtnl lock only; the master is freed after that is released.
        unsafe { upper.cast::<NetDevice>().as_ref() }
    }

    /// How much room a packet that is forwarded to this device should have
    /// before it. C: `netdev_get_fwd_headroom()`.
    pub fn fwd_headroom(&self) -> u32 {
        if self.priv_flags() & bindings::netdev_priv_flags_IFF_PHONY_HEADROOM != 0 {
            0
        } else {
            u32::from(read_field!(self, needed_headroom))
        }
    }

    /// Tells the device how much room is wanted before what it receives.
    /// C: `netdev_set_rx_headroom()`.
    pub fn set_rx_headroom(&self, headroom: i32) {
        // SAFETY: The device is valid by the type invariants.
        unsafe { bindings::netdev_set_rx_headroom(self.as_ptr(), headroom) };
    }

    /// Sets that room to the device's own. C: `netdev_reset_rx_headroom()`.
    pub fn reset_rx_headroom(&self) {
        self.set_rx_headroom(-1);
    }

    /// Lets packets be queued to the device. C: `netif_start_queue()`.
    pub fn start_queue(&self) {
        // SAFETY: The device is valid by the type invariants and has a queue.
        unsafe { bindings::netif_start_queue(self.as_ptr()) };
    }

    /// Has no more packets queued to the device. C: `netif_stop_queue()`.
    pub fn stop_queue(&self) {
        // SAFETY: The device is valid by the type invariants and has a queue.
        unsafe { bindings::netif_stop_queue(self.as_ptr()) };
    }

    /// `IF_OPER_*`. C: `dev->operstate`.
    pub fn operstate(&self) -> u32 {
        read_field!(self, operstate)
    }
}
