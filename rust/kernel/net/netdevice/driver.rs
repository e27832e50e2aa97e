// SPDX-License-Identifier: GPL-2.0

//! Making network devices: virtual Ethernet devices whose packets a driver
//! written in Rust takes.
//!
//! C headers: [`include/linux/netdevice.h`](srctree/include/linux/netdevice.h),
//! [`include/linux/ethtool.h`](srctree/include/linux/ethtool.h)

use core::{
    marker::PhantomData,
    mem::ManuallyDrop,
    ptr::NonNull, //
};

use kernel::{
    error::{
        from_result,
        to_result, //
    },
    ffi,
    prelude::*,
    sync::rcu,
    types::Opaque, //
};

use super::{
    NetDevice,
    NetDeviceRef, //
};
use crate::{
    bindings,
    net::{
        namespace::Net,
        rtnetlink::{
            Rtnl,
            RtnlLinkOps, //
        },
        skbuff::SkBuff, //
    },
    sync::bh::{
        BhRcu,
        BhSection, //
    }, //
};

/// Features of devices, by the names that C has for them.
pub mod features {
    use crate::bindings;

    const fn bit(n: u32) -> u64 {
        1u64 << n
    }

    /// Fragments beside the linear part.
    pub const NETIF_F_SG: u64 = bit(bindings::NETIF_F_SG_BIT);
    /// Lists of packets as fragments.
    pub const NETIF_F_FRAGLIST: u64 = bit(bindings::NETIF_F_FRAGLIST_BIT);
    /// Memory of any address.
    pub const NETIF_F_HIGHDMA: u64 = bit(bindings::NETIF_F_HIGHDMA_BIT);
    /// Checksums of any protocol.
    pub const NETIF_F_HW_CSUM: u64 = bit(bindings::NETIF_F_HW_CSUM_BIT);
    /// Segmentation that software can do.
    pub const NETIF_F_GSO_SOFTWARE: u64 = bindings::OVS_CONST_NETIF_F_GSO_SOFTWARE;
    /// Segmentation of encapsulated packets.
    pub const NETIF_F_GSO_ENCAP_ALL: u64 = bindings::OVS_CONST_NETIF_F_GSO_ENCAP_ALL;
    /// Inserting an 802.1Q tag.
    pub const NETIF_F_HW_VLAN_CTAG_TX: u64 = bit(bindings::NETIF_F_HW_VLAN_CTAG_TX_BIT);
    /// Inserting an 802.1ad tag.
    pub const NETIF_F_HW_VLAN_STAG_TX: u64 = bit(bindings::NETIF_F_HW_VLAN_STAG_TX_BIT);
}

/// What a driver does for its devices. Its own data for each device are a value
/// of the type itself. C: `struct net_device_ops`.
pub trait NetDeviceOps: Send + Sync + 'static {
    /// The driver's name in `ethtool -i`.
    const DRIVER: &'static CStr;

    /// The `static` that the devices are made with.
    fn ops() -> &'static DeviceOps<Self>
    where
        Self: Sized;

    /// Fills in a new device.
    fn setup(dev: &mut NewDevice<'_>);

    /// The device is brought up. C: `ndo_open`.
    fn open(&self, dev: &NetDevice, rtnl: Rtnl<'_>) -> Result;

    /// The device is brought down. C: `ndo_stop`.
    fn stop(&self, dev: &NetDevice, rtnl: Rtnl<'_>) -> Result;

    /// A packet is sent out of the device; it begins with the link-layer
    /// header and is not shared. C: `ndo_start_xmit`, with `NETDEV_TX_OK`.
    fn start_xmit(&self, ctx: BhRcu<'_>, dev: &NetDevice, skb: SkBuff);
}

/// The tables of operations of a driver, for a `static`. Their address tells
/// the driver's devices from others.
///
/// # Invariants
///
/// `netdev` is the operations table of exactly the devices whose private data
/// are a `T`.
pub struct DeviceOps<T: NetDeviceOps> {
    netdev: Opaque<bindings::net_device_ops>,
    ethtool: Opaque<bindings::ethtool_ops>,
    link: &'static RtnlLinkOps,
    _driver: PhantomData<fn() -> T>,
}

// SAFETY: The tables never change.
unsafe impl<T: NetDeviceOps> Sync for DeviceOps<T> {}

impl<T: NetDeviceOps> DeviceOps<T> {
    /// The tables of a driver whose devices are of the kind `link`.
    pub const fn new(link: &'static RtnlLinkOps) -> Self {
        // SAFETY: All-zeroes is valid for the structure: every field is an
        // integer, a pointer or an optional function.
        let mut netdev: bindings::net_device_ops = unsafe { core::mem::zeroed() };
        netdev.ndo_open = Some(open_callback::<T>);
        netdev.ndo_stop = Some(stop_callback::<T>);
        netdev.ndo_start_xmit = Some(start_xmit_callback::<T>);
        netdev.ndo_set_mac_address = Some(bindings::eth_mac_addr);
        // SAFETY: As above.
        let mut ethtool: bindings::ethtool_ops = unsafe { core::mem::zeroed() };
        ethtool.get_drvinfo = Some(get_drvinfo_callback::<T>);
        ethtool.get_link = Some(get_link_callback);
        Self {
            netdev: Opaque::new(netdev),
            ethtool: Opaque::new(ethtool),
            link,
            _driver: PhantomData,
        }
    }

    /// Whether `dev` is one of the driver's devices.
    #[inline]
    pub fn is_device(&'static self, dev: &NetDevice) -> bool {
        core::ptr::eq(super::read_field!(dev, netdev_ops), self.netdev.get())
    }

    /// The driver's data of `dev`, if that is one of its devices.
    #[inline]
    pub fn data<'a>(&'static self, dev: &'a NetDevice) -> Option<&'a T> {
        if !self.is_device(dev) {
            return None;
        }
        // SAFETY: By the type invariants the private data are a `T`.
        Some(unsafe { private(dev.as_ptr()) })
    }
}

/// The driver's data of a device.
///
/// # Safety
///
/// `dev` must be valid for `'a` and its private data a `T`.
#[inline]
unsafe fn private<'a, T>(dev: *mut bindings::net_device) -> &'a T {
    // SAFETY: By the function's safety requirements; the private data follow
    // the structure, aligned to a cache line.
    unsafe { &*(&raw const (*dev).priv_).cast::<T>() }
}

/// Called by C.
///
/// # Safety
///
/// Only for C, with a device of the driver and the rtnl lock held.
unsafe extern "C" fn open_callback<T: NetDeviceOps>(dev: *mut bindings::net_device) -> ffi::c_int {
    // SAFETY: C calls this for the driver's devices, with the rtnl lock held.
    let (data, dev, rtnl) = unsafe {
        (
            private::<T>(dev),
            NetDevice::from_raw(dev),
            Rtnl::assume_held(),
        )
    };
    from_result(|| data.open(dev, rtnl).map(|()| 0))
}

/// Called by C.
///
/// # Safety
///
/// Only for C, with a device of the driver and the rtnl lock held.
unsafe extern "C" fn stop_callback<T: NetDeviceOps>(dev: *mut bindings::net_device) -> ffi::c_int {
    // SAFETY: As for `open_callback`.
    let (data, dev, rtnl) = unsafe {
        (
            private::<T>(dev),
            NetDevice::from_raw(dev),
            Rtnl::assume_held(),
        )
    };
    from_result(|| data.stop(dev, rtnl).map(|()| 0))
}

/// Called by C.
///
/// # Safety
///
/// Only for C, with a device of the driver and a packet that is given away,
/// with bottom halves disabled.
unsafe extern "C" fn start_xmit_callback<T: NetDeviceOps>(
    skb: *mut bindings::sk_buff,
    dev: *mut bindings::net_device,
) -> bindings::netdev_tx_t {
    // SAFETY: Only reads the CPU's state.
    if unsafe { bindings::ovs_in_hardirq() } {
        // Only netpoll does this, for netconsole, whatever it has interrupted.
        // It keeps the packet then, and sends it from a work item.
        return bindings::netdev_tx_NETDEV_TX_BUSY;
    }
    // SAFETY: C calls this for the driver's devices, and gives the packet away.
    // The devices do not have `IFF_TX_SKB_SHARING`, so it is not shared.
    let (data, dev, skb) = unsafe {
        (
            private::<T>(dev),
            NetDevice::from_raw(dev),
            SkBuff::from_raw(NonNull::new_unchecked(skb)),
        )
    };
    // Not every caller holds it: `__dev_direct_xmit()` does not.
    let _rcu = rcu::read_lock();
    // SAFETY: C calls this with bottom halves disabled, and the RCU read lock was
    // taken before; both stay so for longer than the section lives.
    let section = unsafe { BhSection::enter() };
    data.start_xmit(section.proof(), dev, skb);
    bindings::netdev_tx_NETDEV_TX_OK
}

/// Called by C.
///
/// # Safety
///
/// Only for C, with a device of the driver and a structure to be filled in.
unsafe extern "C" fn get_drvinfo_callback<T: NetDeviceOps>(
    _dev: *mut kernel::bindings::net_device,
    info: *mut bindings::ethtool_drvinfo,
) {
    // SAFETY: C passes a structure of its own, zeroed but for the command.
    let driver = unsafe { &mut (*info).driver };
    let name = T::DRIVER.to_bytes();
    let last = driver.len().saturating_sub(1);
    for (to, from) in driver.iter_mut().take(last).zip(name) {
        *to = *from;
    }
}

/// Called by C.
///
/// # Safety
///
/// Only for C, with a valid device.
unsafe extern "C" fn get_link_callback(dev: *mut kernel::bindings::net_device) -> u32 {
    // SAFETY: C passes a valid device.
    unsafe { bindings::ethtool_op_get_link(dev.cast()) }
}

/// Called by C for a new device, to fill it in.
///
/// # Safety
///
/// Only for C, with a new device that has private data of a `T`'s size.
unsafe extern "C" fn setup_callback<T: NetDeviceOps>(dev: *mut bindings::net_device) {
    let ops = T::ops();
    // SAFETY: The device is new, zeroed, and only this function sees it.
    unsafe {
        bindings::ether_setup(dev);
        (*dev).netdev_ops = ops.netdev.get();
        (*dev).ethtool_ops = ops.ethtool.get();
        (*dev).rtnl_link_ops = ops.link.as_ptr();
        (*dev).needs_free_netdev = true;
        (*dev).set_pcpu_stat_type(bindings::netdev_stat_type_NETDEV_PCPU_STAT_TSTATS);
        let fast =
            &mut *(&raw mut (*dev).__bindgen_anon_1.__bindgen_anon_1).cast::<PrivFlagsFast>();
        let priv_flags = fast.priv_flags();
        // A driver here takes the packet as its own.
        fast.set_priv_flags(
            priv_flags & !(bindings::netdev_priv_flags_IFF_TX_SKB_SHARING as ffi::c_ulong),
        );
    }
    // SAFETY: As above.
    T::setup(&mut NewDevice(unsafe { &mut *dev }));
}

/// Called by C for a device that is about to be freed.
///
/// # Safety
///
/// `dev` must be valid, its private data a `T` that nothing uses any more.
unsafe extern "C" fn destructor_callback<T: NetDeviceOps>(dev: *mut bindings::net_device) {
    // SAFETY: C calls this once, for a device that nothing uses any more. The
    // private data are a `T`.
    unsafe { (&raw mut (*dev).priv_).cast::<T>().drop_in_place() };
}

/// The bit fields at the beginning of a device.
pub(super) type PrivFlagsFast = bindings::net_device__bindgen_ty_1__bindgen_ty_1;

/// A device that is being made: an Ethernet device with C's defaults
/// (`ether_setup()`), per-CPU statistics and none of the features.
pub struct NewDevice<'a>(&'a mut bindings::net_device);

impl NewDevice<'_> {
    /// The largest MTU that may be set, in bytes.
    pub fn max_mtu(&mut self, mtu: u32) -> &mut Self {
        self.0.max_mtu = mtu;
        self
    }

    /// `NETIF_F_*`: what the device can do (`features`), and the same for
    /// packets with a VLAN tag inside and for encapsulated ones.
    pub fn all_features(&mut self, features: u64) -> &mut Self {
        self.0.features = features;
        self.0.vlan_features = features;
        self.0.hw_enc_features = features;
        self
    }

    /// `NETIF_F_*`: more that the device can do, for plain packets.
    pub fn more_features(&mut self, features: u64) -> &mut Self {
        self.0.features |= features;
        self
    }

    /// Lets users switch all of the features that are set so far.
    pub fn features_changeable(&mut self) -> &mut Self {
        self.0.hw_features = self.0.features;
        self
    }

    /// Sets flags of the kernel's own. C: `dev->priv_flags |= …`.
    pub fn priv_flags(&mut self, flags: PrivFlags) -> &mut Self {
        let fast = self.fast();
        let old = fast.priv_flags();
        fast.set_priv_flags(old | flags.0 as ffi::c_ulong);
        self
    }

    /// The driver needs no lock around its transmit function. C: `dev->lltx`.
    pub fn lltx(&mut self) -> &mut Self {
        self.fast().set_lltx(1);
        self
    }

    /// Gives the device a random address. C: `eth_hw_addr_random()`.
    pub fn random_address(&mut self) -> &mut Self {
        // SAFETY: The device is valid and an Ethernet device.
        unsafe { bindings::eth_hw_addr_random(self.0) };
        self
    }

    fn fast(&mut self) -> &mut PrivFlagsFast {
        // SAFETY: The group is this structure; both views of it are the same
        // bits.
        unsafe { &mut *(&raw mut self.0.__bindgen_anon_1).cast::<PrivFlagsFast>() }
    }
}

/// Flags of the kernel's own that a driver may set. C: `enum netdev_priv_flags`.
#[derive(Clone, Copy)]
pub struct PrivFlags(u32);

impl PrivFlags {
    /// The address may change while the device is up.
    pub const LIVE_ADDR_CHANGE: Self = Self(bindings::netdev_priv_flags_IFF_LIVE_ADDR_CHANGE);
    /// The device is the master of an Open vSwitch datapath, or its port.
    pub const OPENVSWITCH: Self = Self(bindings::netdev_priv_flags_IFF_OPENVSWITCH);
    /// The device has no queue: packets go to the driver at once.
    pub const NO_QUEUE: Self = Self(bindings::netdev_priv_flags_IFF_NO_QUEUE);

    /// Both sets of flags.
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// A device that has been made and is not registered yet. Dropping it frees it.
///
/// # Invariants
///
/// `dev` is valid, not registered, and belongs to this object. Its operations
/// are those of `T` and its private data are a `T`.
pub struct UnregisteredDevice<T: NetDeviceOps> {
    dev: NonNull<bindings::net_device>,
    _driver: PhantomData<T>,
}

impl<T: NetDeviceOps> UnregisteredDevice<T> {
    /// Makes a device that will be in `net`. C: `alloc_netdev()`.
    ///
    /// `ifindex` is its number, 0 for any. `ENAMETOOLONG` if the name does not
    /// fit, `ENOMEM` without memory. May sleep.
    pub fn new(net: &Net, name: &CStr, ifindex: i32, data: T) -> Result<Self> {
        const {
            assert!(align_of::<T>() <= 64);
        }
        if name.to_bytes_with_nul().len() > super::IFNAMSIZ {
            return Err(ENAMETOOLONG);
        }
        let size = ffi::c_int::try_from(size_of::<T>())?;
        // SAFETY: The name fits; the set-up function is for new devices.
        let dev = unsafe {
            bindings::alloc_netdev_mqs(
                size,
                name.as_char_ptr(),
                bindings::NET_NAME_USER as ffi::c_uchar,
                Some(setup_callback::<T>),
                1,
                1,
            )
        };
        let dev = NonNull::new(dev).ok_or(ENOMEM)?;
        // SAFETY: The device is new, and its private data have the size of a
        // `T` and are aligned to a cache line.
        unsafe {
            (&raw mut (*dev.as_ptr()).priv_).cast::<T>().write(data);
            bindings::dev_net_set(dev.as_ptr(), net.as_raw());
            (*dev.as_ptr()).ifindex = ifindex;
        }
        // INVARIANT: The set-up function gave it the operations of `T`.
        Ok(Self {
            dev,
            _driver: PhantomData,
        })
    }

    /// Keeps the device from being moved to another namespace.
    /// C: `dev->netns_immutable`.
    pub fn set_netns_immutable(&mut self) {
        // SAFETY: By the type invariants nothing else uses the device.
        unsafe { (*self.dev.as_ptr()).set_netns_immutable(1) };
    }

    /// Registers the device and gives a reference to it. It is the kernel's
    /// then, until [`DeviceOps::unregister`]; `T` is dropped when the last
    /// reference has gone. C: `register_netdevice()`; fails as that.
    pub fn register(self, _rtnl: Rtnl<'_>) -> Result<NetDeviceRef> {
        // SAFETY: By the type invariants; the rtnl lock is held.
        to_result(unsafe { bindings::register_netdevice(self.dev.as_ptr()) })?;
        let this = ManuallyDrop::new(self);
        // SAFETY: The device is registered, so it goes by way of
        // `netdev_run_todo()`, which calls the destructor.
        let dev = unsafe {
            (*this.dev.as_ptr()).priv_destructor = Some(destructor_callback::<T>);
            NetDevice::from_raw(this.dev.as_ptr())
        };
        Ok(dev.hold(GFP_KERNEL))
    }
}

impl<T: NetDeviceOps> Drop for UnregisteredDevice<T> {
    fn drop(&mut self) {
        let dev = self.dev.as_ptr();
        // SAFETY: By the type invariants. If registering failed late, C has the
        // device on its way out already (`NETREG_UNREGISTERING`, and the rtnl
        // lock is still held): it calls the destructor then, and frees the
        // device because of `free_netdev()`.
        unsafe {
            if u32::from((*dev).reg_state) == bindings::netdev_reg_state_NETREG_UNREGISTERING {
                (*dev).priv_destructor = Some(destructor_callback::<T>);
            } else {
                destructor_callback::<T>(dev);
            }
            bindings::free_netdev(dev);
        }
    }
}

impl<T: NetDeviceOps> DeviceOps<T> {
    /// Unregisters one of the driver's devices, if it is one and is registered.
    /// C: `unregister_netdevice()`. Waits for a grace period.
    ///
    /// When the rtnl lock is released, that waits until all references to the
    /// device have gone. The caller's have to go before.
    pub fn unregister(&'static self, dev: &NetDevice, _rtnl: Rtnl<'_>) {
        if self.is_device(dev) && dev.is_registered() {
            // SAFETY: The device is registered and the rtnl lock is held.
            unsafe { bindings::unregister_netdevice_queue(dev.as_ptr(), core::ptr::null_mut()) };
        }
    }

    /// Counts packets that were sent out of one of the driver's devices.
    /// C: `dev_sw_netstats_tx_add()`.
    #[inline]
    pub fn count_tx(&'static self, _ctx: BhRcu<'_>, dev: &NetDevice, packets: u32, bytes: u32) {
        if self.is_device(dev) {
            // SAFETY: The driver's devices have these statistics once they
            // are registered, and before that they have no packets.
            unsafe { bindings::dev_sw_netstats_tx_add(dev.as_ptr(), packets, bytes) };
        }
    }

    /// Gives a packet to the stack as received by one of the driver's devices.
    /// It begins with an Ethernet header, and is freed where it is too short
    /// for one. C: what a virtual device's receive function does:
    /// `eth_type_trans()`, `dev_sw_netstats_rx_add()` and `netif_rx()`.
    pub fn receive(&'static self, _ctx: BhRcu<'_>, dev: &NetDevice, mut skb: SkBuff) {
        if !self.is_device(dev) {
            return;
        }
        // SAFETY: The device is valid for as long as the RCU read lock is held,
        // and the stack sees to it after that.
        if !unsafe { skb.eth_type_trans(dev.as_ptr()) } {
            return;
        }
        // SAFETY: As in `count_tx()`.
        unsafe { bindings::dev_sw_netstats_rx_add(dev.as_ptr(), skb.len() as u32) };
        skb.netif_rx();
    }
}
