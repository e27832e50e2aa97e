// SPDX-License-Identifier: GPL-2.0

//! Network devices.
//!
//! C header: [`include/linux/netdevice.h`](srctree/include/linux/netdevice.h)
//!
//! What the packet path looks at is read in place, with no call into C.

pub mod driver;
mod link;
mod stats;

pub use self::stats::RtnlLinkStats64;

use core::{
    cell::UnsafeCell,
    ops::Deref,
    ptr::{
        self,
        NonNull, //
    },
};

use kernel::{
    alloc::Flags,
    prelude::*,
    types::Opaque, //
};

use super::{
    namespace::Net,
    rtnetlink::Rtnl,
    skbuff::SkBuff, //
};
use crate::{
    bindings,
    sync::rcu::RcuRead, //
};

/// The size of a device's name with its NUL. C: `IFNAMSIZ`.
pub const IFNAMSIZ: usize = bindings::IFNAMSIZ as usize;
/// A device without a link layer. C: `ARPHRD_NONE`.
pub const ARPHRD_NONE: u16 = bindings::ARPHRD_NONE as u16;
/// An Ethernet device. C: `ARPHRD_ETHER`.
pub const ARPHRD_ETHER: u16 = bindings::ARPHRD_ETHER as u16;
/// The device is up. C: `IFF_UP`.
pub const IFF_UP: u32 = bindings::net_device_flags_IFF_UP;
/// The device is a loopback device. C: `IFF_LOOPBACK`.
pub const IFF_LOOPBACK: u32 = bindings::net_device_flags_IFF_LOOPBACK;

/// A network device.
///
/// # Invariants
///
/// The content is a valid `struct net_device`.
#[repr(transparent)]
pub struct NetDevice(Opaque<bindings::net_device>);

// SAFETY: A device is used from all CPUs; what is called on it here has its own
// locking or takes evidence of the lock.
unsafe impl Send for NetDevice {}
// SAFETY: As above.
unsafe impl Sync for NetDevice {}

/// Two are equal if they are the same one.
impl PartialEq for NetDevice {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        ptr::eq(self, other)
    }
}

impl Eq for NetDevice {}

/// Reads a field that C may change at the same time. C: `READ_ONCE(dev->field)`.
macro_rules! read_field {
    ($dev:expr, $($field:tt)+) => {{
        let dev = $dev.as_ptr();
        // SAFETY: By the type invariants the device is valid. The field is no
        // larger than a word and aligned.
        unsafe { (&raw const (*dev).$($field)+).read_volatile() }
    }};
}
use read_field;

/// Names a switch. C: `struct netdev_phys_item_id`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PortParentId([u8; size_of::<bindings::netdev_phys_item_id>()]);

impl NetDevice {
    /// Borrows a device from C.
    ///
    /// # Safety
    ///
    /// `ptr` must be valid for `'a`.
    #[inline]
    pub(crate) unsafe fn from_raw<'a>(ptr: *const bindings::net_device) -> &'a Self {
        // SAFETY: By the function's safety requirement; the type is transparent.
        unsafe { &*ptr.cast() }
    }

    /// The C structure.
    #[inline]
    pub(crate) fn as_ptr(&self) -> *mut bindings::net_device {
        self.0.get()
    }

    /// The device of this number in a namespace. C: `dev_get_by_index_rcu()`.
    #[inline]
    pub fn get_by_index<'g>(net: &Net, ifindex: i32, _rcu: RcuRead<'g>) -> Option<&'g Self> {
        // SAFETY: The namespace is valid, the RCU read lock is held.
        let dev = unsafe { bindings::dev_get_by_index_rcu(net.as_raw(), ifindex) };
        // SAFETY: Devices are freed a grace period after they are unlinked.
        unsafe { dev.cast::<Self>().as_ref() }
    }

    /// The device of this name, or alternative name, in a namespace.
    /// C: `dev_get_by_name()`. For process context.
    pub fn get_by_name(net: &Net, name: &CStr) -> Option<NetDeviceRef> {
        // SAFETY: The namespace is valid and the name ends with a NUL.
        let dev = unsafe { bindings::dev_get_by_name(net.as_raw(), name.as_char_ptr()) };
        // SAFETY: The reference that came back is given to the new object.
        NonNull::new(dev).map(|dev| unsafe { NetDeviceRef::from_untracked(dev) })
    }

    /// Takes a reference. C: `netdev_hold()`.
    pub fn hold(&self, gfp: Flags) -> NetDeviceRef {
        let dev = self.as_ptr();
        // SAFETY: The device is valid; the reference belongs to the new object.
        unsafe {
            NetDeviceRef::with_tracker(NonNull::new_unchecked(dev), |tracker| {
                bindings::netdev_hold(dev, tracker, crate::gfp::as_raw(gfp))
            })
        }
    }

    /// The number of the device in its namespace. C: `dev->ifindex`.
    #[inline]
    pub fn ifindex(&self) -> i32 {
        read_field!(self, ifindex)
    }

    /// A copy of the name. It may change at any time; where that is done under
    /// a lock that the caller does not hold, the copy may be of both names.
    /// C: `dev->name`.
    #[inline]
    pub fn name(&self) -> DeviceName {
        let dev = self.as_ptr();
        // SAFETY: By the type invariants the device is valid; any content is.
        let mut bytes = unsafe {
            (&raw const (*dev).name)
                .cast::<[u8; IFNAMSIZ]>()
                .read_volatile()
        };
        // The last byte never changes, but nothing here relies on it.
        if let Some(last) = bytes.last_mut() {
            *last = 0;
        }
        // INVARIANT: There is a NUL.
        DeviceName(bytes)
    }

    /// `IFF_*`, as the kernel keeps them. C: `dev->flags`.
    #[inline]
    pub fn flags(&self) -> u32 {
        read_field!(self, flags)
    }

    /// Whether the device is up. C: `dev->flags & IFF_UP`.
    #[inline]
    pub fn is_up(&self) -> bool {
        self.flags() & IFF_UP != 0
    }

    /// Whether the device is up, as the packet path sees it.
    /// C: `netif_running()`.
    #[inline]
    pub fn is_running(&self) -> bool {
        read_field!(self, state) >> bindings::netdev_state_t___LINK_STATE_START & 1 != 0
    }

    /// Whether the device has a carrier. C: `netif_carrier_ok()`.
    #[inline]
    pub fn carrier_ok(&self) -> bool {
        read_field!(self, state) >> bindings::netdev_state_t___LINK_STATE_NOCARRIER & 1 == 0
    }

    /// `ARPHRD_*`. C: `dev->type`.
    #[inline]
    pub fn type_(&self) -> u16 {
        read_field!(self, type_)
    }

    /// The largest payload in bytes. C: `dev->mtu`.
    #[inline]
    pub fn mtu(&self) -> u32 {
        read_field!(self, mtu)
    }

    /// The longest link-layer header in bytes. C: `dev->hard_header_len`.
    #[inline]
    pub fn hard_header_len(&self) -> u16 {
        read_field!(self, hard_header_len)
    }

    /// `NETIF_F_*`. C: `dev->features`.
    #[inline]
    pub fn features(&self) -> u64 {
        read_field!(self, features)
    }

    /// `IFF_*` of the kernel's own. C: `dev->priv_flags`.
    #[inline]
    fn priv_flags(&self) -> u32 {
        // SAFETY: By the type invariants the device is valid; the group is this
        // structure of bit fields.
        let fast = unsafe {
            (&raw const (*self.as_ptr()).__bindgen_anon_1)
                .cast::<driver::PrivFlagsFast>()
                .read_volatile()
        };
        fast.priv_flags() as u32
    }

    /// The device is a port of an Open vSwitch datapath.
    /// C: `netif_is_ovs_port()`.
    #[inline]
    pub fn is_ovs_port(&self) -> bool {
        self.priv_flags() & bindings::netdev_priv_flags_IFF_OVS_DATAPATH != 0
    }

    /// The driver may take rules: `ethtool -K DEV hw-tc-offload` is on.
    /// C: `tc_can_offload()`.
    #[inline]
    pub fn has_hw_tc(&self) -> bool {
        self.features() >> bindings::NETIF_F_HW_TC_BIT & 1 != 0
    }

    /// Something looks at what the device receives before its receive handler:
    /// a program, a qdisc or a netfilter chain.
    pub fn has_ingress_hooks(&self) -> bool {
        // SAFETY: By the type invariants.
        unsafe { bindings::netdev_has_ingress_hooks(self.as_ptr()) }
    }

    /// As [`Self::has_ingress_hooks`], at what the device is given to send.
    pub fn has_egress_hooks(&self) -> bool {
        // SAFETY: By the type invariants.
        unsafe { bindings::netdev_has_egress_hooks(self.as_ptr()) }
    }

    /// The address of an Ethernet device. It may be half of an older and half of
    /// a newer one while it is changed, after which notifiers hear of
    /// `NETDEV_CHANGEADDR`. C: `dev->dev_addr`.
    pub fn eth_addr(&self) -> [u8; 6] {
        let addr = read_field!(self, dev_addr).cast::<[u8; 6]>();
        // SAFETY: By the type invariants; a device has room for 32 bytes of
        // address for as long as it is there, and bytes have no alignment.
        unsafe { ptr::read_volatile(addr) }
    }

    /// What names the switch that the device is a port of; nothing if the driver
    /// knows of none. C: `netif_get_port_parent_id()`.
    pub fn port_parent_id(&self, _rtnl: Rtnl<'_>) -> Option<PortParentId> {
        let mut id = bindings::netdev_phys_item_id::default();
        // SAFETY: By the type invariants; the structure is written only. Lower
        // devices are looked at under the rtnl lock.
        let err = unsafe { bindings::netif_get_port_parent_id(self.as_ptr(), &raw mut id, true) };
        (err == 0).then_some(PortParentId(id._bindgen_opaque_blob))
    }

    /// Says whether the device is a port of a datapath: `IFF_OVS_DATAPATH`.
    pub fn set_ovs_port(&self, yes: bool, _rtnl: Rtnl<'_>) {
        // SAFETY: By the type invariants; flags change under the rtnl lock.
        unsafe { bindings::netdev_set_ovs_port(self.as_ptr(), yes) };
    }

    /// Whether the device is registered, and not about to go away.
    /// C: `dev->reg_state == NETREG_REGISTERED`.
    #[inline]
    pub fn is_registered(&self) -> bool {
        u32::from(read_field!(self, reg_state)) == bindings::netdev_reg_state_NETREG_REGISTERED
    }

    /// The namespace that the device is in. It is so for as long as the RCU read
    /// lock or the rtnl lock is held. C: `dev_net_rcu()`.
    #[inline]
    pub fn net<'g>(&self, _rcu: RcuRead<'g>) -> &'g Net {
        let net = read_field!(self, nd_net.net);
        // SAFETY: A device is always in a namespace, whose memory lives on for
        // a grace period after its devices have left.
        unsafe { Net::from_raw(net) }
    }

    /// Whether the device is in `net`. C: `net_eq(dev_net(dev), net)`.
    #[inline]
    pub fn is_in(&self, net: &Net) -> bool {
        ptr::eq(self.net_ptr(), net.as_raw())
    }

    /// The namespace that the device is in, to be compared. C: `dev_net(dev)`.
    #[inline]
    pub(crate) fn net_ptr(&self) -> *mut bindings::net {
        read_field!(self, nd_net.net)
    }

    /// What kind of virtual device it is, if it is one. C:
    /// `dev->rtnl_link_ops->kind`.
    pub fn link_kind(&self) -> Option<&CStr> {
        let ops = read_field!(self, rtnl_link_ops);
        // SAFETY: The operations of a device are static and stay at least as
        // long as the device; the kind is a C string.
        unsafe {
            let kind = ops.as_ref()?.kind;
            (!kind.is_null()).then(|| CStr::from_char_ptr(kind))
        }
    }

    /// Makes the packet one of this device, for as long as it is processed
    /// under the RCU read lock. C: `skb->dev = dev`.
    #[inline]
    pub fn set_skb_dev(&self, skb: &mut SkBuff, _rcu: RcuRead<'_>) {
        // SAFETY: The device is valid while the RCU read lock is held; what
        // keeps a packet for longer takes a reference or is flushed when the
        // device goes.
        unsafe { skb.set_dev_ptr(self.as_ptr()) };
    }

    /// Sends a packet out of the device. C: `skb->dev = dev` and
    /// `dev_queue_xmit(skb)`.
    #[inline]
    pub fn queue_xmit(&self, mut skb: SkBuff, _rcu: RcuRead<'_>) {
        // SAFETY: The device is valid while the RCU read lock is held, or has
        // a reference; the queue has its own.
        unsafe { skb.set_dev_ptr(self.as_ptr()) };
        skb.dev_queue_xmit();
    }
}

/// The name of a device, copied.
///
/// # Invariants
///
/// There is a NUL.
#[derive(Clone, Copy)]
pub struct DeviceName([u8; IFNAMSIZ]);

impl DeviceName {
    /// The name without the NUL.
    pub fn as_bytes(&self) -> &[u8] {
        let len = self.0.iter().position(|&b| b == 0).unwrap_or(0);
        self.0.get(..len).unwrap_or_default()
    }

    /// The name.
    pub fn as_cstr(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.0).unwrap_or_default()
    }
}

impl kernel::fmt::Display for DeviceName {
    fn fmt(&self, f: &mut kernel::fmt::Formatter<'_>) -> kernel::fmt::Result {
        kernel::fmt::Display::fmt(kernel::str::BStr::from_bytes(self.as_bytes()), f)
    }
}

/// A reference to a device, known to the kernel's reference tracker.
///
/// The device cannot finish unregistering while there is one. Dropping it does
/// not sleep.
///
/// # Invariants
///
/// `dev` is valid, and one of its references, which `tracker` stands for,
/// belongs to this object.
pub struct NetDeviceRef {
    dev: NonNull<bindings::net_device>,
    tracker: UnsafeCell<bindings::netdevice_tracker>,
}

// SAFETY: A reference may be dropped anywhere; `NetDevice` is `Send` and `Sync`.
unsafe impl Send for NetDeviceRef {}
// SAFETY: As above; the tracker is used only when it is made and dropped.
unsafe impl Sync for NetDeviceRef {}

impl NetDeviceRef {
    /// Takes over a reference that has no tracker. C: `netdev_tracker_alloc()`.
    ///
    /// # Safety
    ///
    /// The caller must own a reference to `dev` that was taken with
    /// `dev_hold()`, and gives it away.
    unsafe fn from_untracked(dev: NonNull<bindings::net_device>) -> Self {
        // SAFETY: By the function's safety requirement; the device is valid and
        // the tracker is new.
        unsafe {
            Self::with_tracker(dev, |tracker| {
                bindings::netdev_tracker_alloc(dev.as_ptr(), tracker, bindings::GFP_KERNEL)
            })
        }
    }

    /// With a tracker that `init` makes.
    ///
    /// # Safety
    ///
    /// The caller must own a reference to `dev`, which the tracker is made for,
    /// and gives it away.
    unsafe fn with_tracker(
        dev: NonNull<bindings::net_device>,
        init: impl FnOnce(*mut bindings::netdevice_tracker),
    ) -> Self {
        // SAFETY: It is a pointer or an empty structure, by the kernel's
        // configuration; null and zeroes are valid for them.
        let mut tracker: bindings::netdevice_tracker = unsafe { core::mem::zeroed() };
        init(&raw mut tracker);
        // INVARIANT: The caller's reference moves in. What C keeps is a pointer
        // in the tracker, not one to it, so the tracker may move.
        Self {
            dev,
            tracker: UnsafeCell::new(tracker),
        }
    }
}

impl Deref for NetDeviceRef {
    type Target = NetDevice;

    #[inline]
    fn deref(&self) -> &NetDevice {
        // SAFETY: By the type invariants.
        unsafe { NetDevice::from_raw(self.dev.as_ptr()) }
    }
}

impl Drop for NetDeviceRef {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: By the type invariants, with the tracker made for it.
        unsafe { bindings::netdev_put(self.dev.as_ptr(), self.tracker.get()) };
    }
}
