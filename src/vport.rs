// SPDX-License-Identifier: GPL-2.0

//! Ports of a datapath.
//!
//! A port is found by its number in its datapath, by its name in the
//! datapath's namespace, and from its device: a netdev port by the data of the
//! device's receive handler, an internal port by the device's private data.
//! Each of those owns a reference. Deleting a port takes it out of all of
//! them; it is dropped a grace period after that, and with it go its
//! references to the device and to the datapath.

pub(crate) mod internal_dev;
pub(crate) mod netdev;

use kernel::prelude::*;

use zerocopy::network_endian::U16 as Be16;

use kernel_ext::{
    net::{
        namespace::Net,
        netdevice::{
            DeviceName,
            NetDevice,
            NetDeviceRef,
            ARPHRD_ETHER,
            ARPHRD_NONE, //
        },
        netlink::{
            AttrWriter,
            Nlattr, //
        },
        skbuff::SkBuff, //
    },
    net_warn_ratelimited,
    percpu::{
        nr_cpu_ids,
        Counter,
        PerCpu, //
    },
    sync::{
        bh::BhRcu,
        rcu::{
            RcuArc,
            RcuRead,
            RcuSlot, //
        },
    },
    uapi, //
};

use self::internal_dev::LeavingLink;
use crate::{
    datapath::{
        ovs_net::{
            name_hash,
            OVS_NET, //
        },
        state::OvsGuard,
        Datapath, //
    },
    flow::{
        headers::{
            eth_type_vlan,
            ETH_P_TEB,
            VLAN_HLEN, //
        },
        key::{
            MAC_PROTO_ETHERNET,
            MAC_PROTO_NONE, //
        },
    },
    offload_ops::PortOffload, //
};

/// What kind of port it is. C: `enum ovs_vport_type`, as far as there are such
/// ports.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum VportType {
    /// A device that exists on its own.
    Netdev,
    /// A device that is the port's.
    Internal,
}

/// The netlink ports that a port's upcalls go to, at least one.
///
/// C: `struct vport_portids`.
pub(crate) struct VportPortids {
    /// `u32`s in host byte order, as in the netlink attribute.
    ids: KVec<u8>,
}

impl VportPortids {
    /// The length of an id in bytes.
    const ID_LEN: usize = size_of::<u32>();

    /// From an array of ids. `EINVAL` where it is empty, is not of whole ids,
    /// or has more than there are CPUs.
    fn new(ids: Nlattr<'_>) -> Result<RcuArc<Self>> {
        let len = ids.len();
        if len == 0 || len % Self::ID_LEN != 0 {
            return Err(EINVAL);
        }
        if len / Self::ID_LEN > nr_cpu_ids() as usize {
            return Err(EINVAL);
        }
        let mut copy = KVec::with_capacity(len, GFP_KERNEL)?;
        copy.extend_from_slice(ids.payload(), GFP_KERNEL)?;
        Ok(RcuArc::new(Self { ids: copy }, GFP_KERNEL)?)
    }

    /// The id at a place.
    fn get(&self, index: usize) -> Option<u32> {
        let bytes = self.ids.get(index.checked_mul(Self::ID_LEN)?..)?;
        Some(u32::from_ne_bytes(*bytes.first_chunk()?))
    }

    /// How many ids there are.
    fn len(&self) -> usize {
        self.ids.len() / Self::ID_LEN
    }
}

/// What one CPU counts of a port's upcalls.
///
/// C: `struct vport_upcall_stats_percpu`.
#[derive(Zeroable)]
struct VportUpcallStats {
    n_success: Counter,
    n_fail: Counter,
}

/// A port of a datapath.
///
/// C: `struct vport`.
pub(crate) struct Vport {
    // What a packet that goes out or comes in needs is first.
    dev: NetDeviceRef,
    dp: RcuArc<Datapath>,
    port_no: u16,
    vport_type: VportType,
    /// The hash of the name that the device had when the port was made.
    name_hash: u64,
    upcall_portids: RcuSlot<VportPortids>,
    upcall_stats: PerCpu<VportUpcallStats>,
    offload: PortOffload,
    /// For an internal port that was deleted.
    leaving: LeavingLink,
}

/// What a new port is to be.
///
/// C: `struct vport_parms`.
pub(crate) struct VportParms<'a> {
    /// The name of the device: what a netdev port takes and an internal port
    /// makes.
    pub(crate) name: &'a CStr,
    /// `OVS_VPORT_TYPE_*`.
    pub(crate) vport_type: u32,
    /// The datapath it is for.
    pub(crate) dp: &'a RcuArc<Datapath>,
    /// Its number there, which is free.
    pub(crate) port_no: u16,
    /// `OVS_VPORT_ATTR_UPCALL_PID`.
    pub(crate) upcall_portids: Nlattr<'a>,
    /// The index that a new device is to have; 0 for any.
    pub(crate) desired_ifindex: i32,
}

/// A port without its device: what can fail before there is one.
///
/// C: `ovs_vport_alloc()`.
struct VportInit {
    upcall_portids: RcuSlot<VportPortids>,
    upcall_stats: PerCpu<VportUpcallStats>,
    offload: PortOffload,
}

impl VportInit {
    fn new(parms: &VportParms<'_>) -> Result<Self> {
        let upcall_stats = PerCpu::new(GFP_KERNEL)?;
        // As in C, also if there was no memory for them.
        let ids = VportPortids::new(parms.upcall_portids).map_err(|_| EINVAL)?;
        Ok(Self {
            upcall_portids: RcuSlot::new(ids),
            upcall_stats,
            offload: PortOffload::new()?,
        })
    }

    fn with_device(
        self,
        parms: &VportParms<'_>,
        vport_type: VportType,
        dev: NetDeviceRef,
    ) -> Result<RcuArc<Vport>> {
        let name_hash = name_hash(dev.name().as_bytes());
        Ok(RcuArc::new(
            Vport {
                dev,
                dp: parms.dp.clone(),
                port_no: parms.port_no,
                vport_type,
                name_hash,
                upcall_portids: self.upcall_portids,
                upcall_stats: self.upcall_stats,
                offload: self.offload,
                leaving: LeavingLink::new(),
            },
            GFP_KERNEL,
        )?)
    }
}

/// Finds the port whose device has this name, in a datapath of `net`.
///
/// As in C, a device that was renamed since it became a port is found by
/// neither name.
///
/// C: `ovs_vport_locate()`.
pub(crate) fn ovs_vport_locate(net: &Net, name: &CStr) -> Option<RcuArc<Vport>> {
    let name = name.to_bytes();
    OVS_NET
        .load(net)?
        .ports
        .find_arc(name_hash(name), |vport| vport.name().as_bytes() == name)
}

/// Makes a port. It is not among the datapath's ports yet, but can be found by
/// its name.
///
/// C: `ovs_vport_add()`. `EAFNOSUPPORT` for a type that there is not.
pub(crate) fn ovs_vport_add(lock: &OvsGuard, parms: &VportParms<'_>) -> Result<RcuArc<Vport>> {
    let vport = match parms.vport_type {
        uapi::ovs_vport_type_OVS_VPORT_TYPE_NETDEV => netdev::create(lock, parms)?,
        uapi::ovs_vport_type_OVS_VPORT_TYPE_INTERNAL => internal_dev::create(lock, parms)?,
        _ => return Err(EAFNOSUPPORT),
    };
    let added = OVS_NET
        .load_of(vport.dp.net())
        .ok_or(ENODEV)
        .and_then(|ovs_net| {
            ovs_net
                .ports
                .insert(vport.name_hash, vport.clone(), |v| v.name_hash)
        });
    match added {
        Ok(()) => Ok(vport),
        Err(e) => {
            destroy(lock, vport);
            Err(e)
        }
    }
}

/// Deletes a port, which is no longer among the datapath's ports. It may sleep.
///
/// An internal port's device goes with it, when the lock is released: that waits
/// for all references to the port, so the caller must have none then but the one
/// it gives away.
///
/// C: `ovs_vport_del()`.
pub(crate) fn ovs_vport_del(lock: &OvsGuard, vport: RcuArc<Vport>) {
    if let Some(ovs_net) = OVS_NET.load_of(vport.dp.net()) {
        ovs_net.ports.remove(vport.name_hash, &vport);
    }
    destroy(lock, vport);
}

fn destroy(lock: &OvsGuard, vport: RcuArc<Vport>) {
    match vport.vport_type {
        VportType::Netdev => netdev::destroy(lock, vport),
        VportType::Internal => internal_dev::destroy(lock, vport),
    }
}

/// The length that counts against the MTU, in bytes.
///
/// Only one tag is left out: most drivers allow for one above the MTU, hardly
/// any for two.
fn packet_length(skb: &SkBuff, dev: &NetDevice) -> i64 {
    let mut length = (skb.len() as i64).wrapping_sub(i64::from(dev.hard_header_len()));
    if !skb.vlan_tag_present() && eth_type_vlan(skb.protocol().get()) {
        length = length.wrapping_sub(VLAN_HLEN as i64);
    }
    length.max(0)
}

impl Vport {
    /// The port's device.
    #[inline]
    pub(crate) fn dev(&self) -> &NetDevice {
        &self.dev
    }

    /// The datapath that the port is of.
    #[inline]
    pub(crate) fn dp(&self) -> &RcuArc<Datapath> {
        &self.dp
    }

    /// The port's number in its datapath.
    #[inline]
    pub(crate) fn port_no(&self) -> u16 {
        self.port_no
    }

    /// What kind of port it is: `OVS_VPORT_TYPE_*`.
    pub(crate) fn vport_type(&self) -> u32 {
        match self.vport_type {
            VportType::Netdev => uapi::ovs_vport_type_OVS_VPORT_TYPE_NETDEV,
            VportType::Internal => uapi::ovs_vport_type_OVS_VPORT_TYPE_INTERNAL,
        }
    }

    /// Whether the port's device is the port's own.
    pub(crate) fn is_internal(&self) -> bool {
        self.vport_type == VportType::Internal
    }

    /// The name of the port, which is that of the device.
    ///
    /// C: `ovs_vport_name()`.
    pub(crate) fn name(&self) -> DeviceName {
        self.dev.name()
    }

    /// The port's part in offloading.
    pub(crate) fn offload(&self) -> &PortOffload {
        &self.offload
    }

    /// Sends a packet out of the port. `mac_proto` says whether it begins with
    /// an Ethernet header.
    ///
    /// C: `ovs_vport_send()`.
    #[inline]
    pub(crate) fn send(&self, ctx: BhRcu<'_>, mut skb: SkBuff, mac_proto: u8) {
        let dev = self.dev();
        let mtu = i64::from(dev.mtu());

        match dev.type_() {
            ARPHRD_ETHER => {
                if mac_proto != MAC_PROTO_ETHERNET {
                    return drop(skb);
                }
            }
            ARPHRD_NONE => match mac_proto {
                MAC_PROTO_ETHERNET => {
                    skb.reset_network_header();
                    skb.reset_mac_len();
                    skb.set_protocol(Be16::new(ETH_P_TEB));
                }
                MAC_PROTO_NONE => (),
                _ => return drop(skb),
            },
            _ => return drop(skb),
        }

        if packet_length(&skb, dev) > mtu && !skb.is_gso() {
            self.over_mtu(&skb, mtu);
            return drop(skb);
        }

        skb.clear_tstamp();
        match self.vport_type {
            VportType::Netdev => dev.queue_xmit(skb, ctx.rcu()),
            VportType::Internal => internal_dev::recv(ctx, dev, skb),
        }
    }

    /// Counts and logs a packet that is too long.
    #[cold]
    fn over_mtu(&self, skb: &SkBuff, mtu: i64) {
        let dev = self.dev();
        dev.count_tx_error();
        if dev.is_up() {
            net_warn_ratelimited!(
                "{}: dropped over-mtu packet: {} > {}\n",
                dev.name(),
                packet_length(skb, dev),
                mtu
            );
        }
    }

    /// The statistics of the port, which are those of the device.
    ///
    /// C: `ovs_vport_get_stats()`.
    pub(crate) fn get_stats(&self) -> uapi::ovs_vport_stats {
        let stats = self.dev.stats();
        uapi::ovs_vport_stats {
            rx_packets: stats.rx_packets(),
            tx_packets: stats.tx_packets(),
            rx_bytes: stats.rx_bytes(),
            tx_bytes: stats.tx_bytes(),
            rx_errors: stats.rx_errors(),
            tx_errors: stats.tx_errors(),
            rx_dropped: stats.rx_dropped(),
            tx_dropped: stats.tx_dropped(),
        }
    }

    /// Counts an upcall of a packet that came in on the port.
    ///
    /// C: `ovs_vport_update_upcall_stats()`.
    #[inline]
    pub(crate) fn count_upcall(&self, ctx: BhRcu<'_>, sent: bool) {
        let stats = self.upcall_stats.this(ctx);
        if sent {
            stats.n_success.add(1);
        } else {
            stats.n_fail.add(1);
        }
    }

    /// Appends `OVS_VPORT_ATTR_UPCALL_STATS`. `EMSGSIZE` if it does not fit.
    ///
    /// C: `ovs_vport_get_upcall_stats()`.
    pub(crate) fn get_upcall_stats(&self, w: &mut impl AttrWriter) -> Result {
        let (mut success, mut fail) = (0u64, 0u64);
        self.upcall_stats.for_each(|stats| {
            success = success.wrapping_add(stats.n_success.get());
            fail = fail.wrapping_add(stats.n_fail.get());
        });

        let pad = uapi::ovs_vport_attr_OVS_VPORT_ATTR_PAD as u16;
        let nest = w.nest_start(uapi::ovs_vport_attr_OVS_VPORT_ATTR_UPCALL_STATS as u16)?;
        let put = w
            .put_u64_64bit(
                uapi::ovs_vport_upcall_attr_OVS_VPORT_UPCALL_ATTR_SUCCESS as u16,
                success,
                pad,
            )
            .and_then(|()| {
                w.put_u64_64bit(
                    uapi::ovs_vport_upcall_attr_OVS_VPORT_UPCALL_ATTR_FAIL as u16,
                    fail,
                    pad,
                )
            });
        match put {
            Ok(()) => w.nest_end(nest),
            Err(e) => {
                w.nest_cancel(nest);
                Err(e)
            }
        }
    }

    /// Sets where upcalls go, from `OVS_VPORT_ATTR_UPCALL_PID`. `EINVAL` where
    /// it is empty, is not of whole ids, or has more than there are CPUs.
    ///
    /// C: `ovs_vport_set_upcall_portids()`.
    pub(crate) fn set_upcall_portids(&self, _lock: &OvsGuard, ids: Nlattr<'_>) -> Result {
        self.upcall_portids.replace(Some(VportPortids::new(ids)?));
        Ok(())
    }

    /// Appends `OVS_VPORT_ATTR_UPCALL_PID`: all ids if userspace knows of more
    /// than one, otherwise the first. `EMSGSIZE` if it does not fit.
    ///
    /// C: `ovs_vport_get_upcall_portids()`.
    pub(crate) fn get_upcall_portids(&self, w: &mut impl AttrWriter, rcu: RcuRead<'_>) -> Result {
        let attr = uapi::ovs_vport_attr_OVS_VPORT_ATTR_UPCALL_PID as u16;
        let ids = self.upcall_portids.get(rcu).ok_or(EINVAL)?;
        if self.dp.has_feature(uapi::OVS_DP_F_VPORT_PIDS) {
            w.put(attr, &ids.ids)
        } else {
            w.put_u32(attr, ids.get(0).unwrap_or(0))
        }
    }

    /// Where the upcall of this packet goes: packets of a flow to the same id.
    ///
    /// C: `ovs_vport_find_upcall_portid()`.
    pub(crate) fn find_upcall_portid(&self, rcu: RcuRead<'_>, skb: &mut SkBuff) -> u32 {
        let Some(ids) = self.upcall_portids.get(rcu) else {
            return 0;
        };
        let index = match ids.len() {
            1 => 0,
            // C multiplies by the reciprocal: the remainder is the same.
            n => (skb.hash() as usize).checked_rem(n).unwrap_or(0),
        };
        ids.get(index).unwrap_or(0)
    }
}
