// SPDX-License-Identifier: GPL-2.0

//! What is known about the tunnel of a packet.
//!
//! C header: [`include/net/ip_tunnels.h`](srctree/include/net/ip_tunnels.h)

use crate::{
    bindings,
    net::netdevice::NetDevice, //
};
use kernel::{
    prelude::*,
    types::Opaque, //
};
use zerocopy::{
    network_endian::{
        U16 as Be16,
        U32 as Be32, //
    },
    FromZeros, //
};
use zerocopy_derive::{
    Immutable,
    KnownLayout, //
};

/// Flags of a tunnel's packets, each the bit that C has it at in `tun_flags`.
pub mod flags {
    use crate::bindings;

    /// Outer UDP or GRE checksum. C: `IP_TUNNEL_CSUM_BIT`.
    pub const CSUM: u32 = 1 << bindings::OVS_CONST_IP_TUNNEL_CSUM_BIT;
    /// There is an id. C: `IP_TUNNEL_KEY_BIT`.
    pub const KEY: u32 = 1 << bindings::OVS_CONST_IP_TUNNEL_KEY_BIT;
    /// The outer packet is not to be fragmented.
    /// C: `IP_TUNNEL_DONT_FRAGMENT_BIT`.
    pub const DONT_FRAGMENT: u32 = 1 << bindings::OVS_CONST_IP_TUNNEL_DONT_FRAGMENT_BIT;
    /// A control packet. C: `IP_TUNNEL_OAM_BIT`.
    pub const OAM: u32 = 1 << bindings::OVS_CONST_IP_TUNNEL_OAM_BIT;
    /// An option has to be understood by who receives it.
    /// C: `IP_TUNNEL_CRIT_OPT_BIT`.
    pub const CRIT_OPT: u32 = 1 << bindings::OVS_CONST_IP_TUNNEL_CRIT_OPT_BIT;
    /// Options are Geneve's. C: `IP_TUNNEL_GENEVE_OPT_BIT`.
    pub const GENEVE_OPT: u32 = 1 << bindings::OVS_CONST_IP_TUNNEL_GENEVE_OPT_BIT;
    /// Options are a `struct vxlan_metadata`. C: `IP_TUNNEL_VXLAN_OPT_BIT`.
    pub const VXLAN_OPT: u32 = 1 << bindings::OVS_CONST_IP_TUNNEL_VXLAN_OPT_BIT;
    /// Options are a `struct erspan_metadata`.
    /// C: `IP_TUNNEL_ERSPAN_OPT_BIT`.
    pub const ERSPAN_OPT: u32 = 1 << bindings::OVS_CONST_IP_TUNNEL_ERSPAN_OPT_BIT;
    /// There are options of any kind. C: `ip_tunnel_is_options_present()`.
    pub const OPTIONS_PRESENT: u32 = GENEVE_OPT
        | VXLAN_OPT
        | ERSPAN_OPT
        | 1 << bindings::OVS_CONST_IP_TUNNEL_GTP_OPT_BIT
        | 1 << bindings::OVS_CONST_IP_TUNNEL_PFCP_OPT_BIT;
}

/// The longest options a tunnel header has, in bytes.
/// C: `IP_TUNNEL_OPTS_MAX`.
pub const IP_TUNNEL_OPTS_MAX: usize = 255;

/// The tunnel parameters are for a packet to be sent.
pub const IP_TUNNEL_INFO_TX: u8 = bindings::IP_TUNNEL_INFO_TX as u8;
/// The addresses are IPv6 addresses.
pub const IP_TUNNEL_INFO_IPV6: u8 = bindings::IP_TUNNEL_INFO_IPV6 as u8;
/// There is an id and nothing else.
pub const IP_TUNNEL_INFO_BRIDGE: u8 = bindings::IP_TUNNEL_INFO_BRIDGE as u8;

/// The fields of a tunnel's outer headers, without padding.
///
/// C: `struct ip_tunnel_key`, but for `nhid` and `flow_flags`, which are for
/// the routing of packets that are sent.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct IpTunnelKey {
    /// The tunnel's id, network byte order; as many of the lower bits as the
    /// protocol has.
    pub tun_id: [u8; 8],
    /// Source and destination: of 16 bytes each, or of 4 each with the rest
    /// zero. C: the union `u`.
    pub addrs: [u8; 32],
    /// See [`flags`]. Host byte order.
    pub tun_flags: u32,
    /// The IPv6 flow label.
    pub label: Be32,
    /// IPv4's type of service, IPv6's traffic class.
    pub tos: u8,
    /// IPv4's time to live, IPv6's hop limit.
    pub ttl: u8,
    /// The outer source port.
    pub tp_src: Be16,
    /// The outer destination port.
    pub tp_dst: Be16,
    /// Zero.
    pub pad: u16,
}

impl IpTunnelKey {
    /// An address of 4 bytes at `offset` of the addresses.
    #[inline]
    fn ipv4_at(&self, offset: usize) -> [u8; 4] {
        let bytes = self.addrs.get(offset..).and_then(<[u8]>::first_chunk);
        bytes.copied().unwrap_or_default()
    }

    /// The source address of an IPv4 tunnel, network byte order.
    #[inline]
    pub fn ipv4_src(&self) -> [u8; 4] {
        self.ipv4_at(0)
    }

    /// The destination address of an IPv4 tunnel, network byte order.
    #[inline]
    pub fn ipv4_dst(&self) -> [u8; 4] {
        self.ipv4_at(4)
    }

    /// The source address of an IPv6 tunnel.
    #[inline]
    pub fn ipv6_src(&self) -> [u8; 16] {
        self.addrs.first_chunk().copied().unwrap_or_default()
    }

    /// The destination address of an IPv6 tunnel.
    #[inline]
    pub fn ipv6_dst(&self) -> [u8; 16] {
        self.addrs.last_chunk().copied().unwrap_or_default()
    }

    fn set_addr(&mut self, offset: usize, addr: &[u8]) {
        for (to, from) in self.addrs.iter_mut().skip(offset).zip(addr) {
            *to = *from;
        }
    }

    /// Sets the source address of an IPv4 tunnel.
    pub fn set_ipv4_src(&mut self, addr: &[u8; 4]) {
        self.set_addr(0, addr);
    }

    /// Sets the destination address of an IPv4 tunnel.
    pub fn set_ipv4_dst(&mut self, addr: &[u8; 4]) {
        self.set_addr(4, addr);
    }

    /// Sets the source address of an IPv6 tunnel.
    pub fn set_ipv6_src(&mut self, addr: &[u8; 16]) {
        self.set_addr(0, addr);
    }

    /// Sets the destination address of an IPv6 tunnel.
    pub fn set_ipv6_dst(&mut self, addr: &[u8; 16]) {
        self.set_addr(16, addr);
    }

    /// From C's fields.
    #[inline]
    pub(crate) fn from_raw(key: &bindings::ip_tunnel_key) -> Self {
        let [flags] = key.tun_flags;
        // SAFETY: The union is of addresses, any of whose contents is valid as
        // bytes; the larger of its members has all of them.
        let addrs = unsafe { *(&raw const key.u).cast::<[u8; 32]>() };
        Self {
            tun_id: key.tun_id.to_ne_bytes(),
            addrs,
            // CAST: There are fewer than 32 flags.
            tun_flags: flags as u32,
            label: Be32::from_bytes(key.label.to_ne_bytes()),
            tos: key.tos,
            ttl: key.ttl,
            tp_src: Be16::from_bytes(key.tp_src.to_ne_bytes()),
            tp_dst: Be16::from_bytes(key.tp_dst.to_ne_bytes()),
            pad: 0,
        }
    }

    /// Writes C's fields, all of them.
    pub(crate) fn write_raw(&self, key: &mut bindings::ip_tunnel_key) {
        *key = bindings::ip_tunnel_key {
            tun_id: u64::from_ne_bytes(self.tun_id),
            tun_flags: [self.tun_flags as usize],
            label: u32::from_ne_bytes(self.label.to_bytes()),
            tos: self.tos,
            ttl: self.ttl,
            tp_src: u16::from_ne_bytes(self.tp_src.to_bytes()),
            tp_dst: u16::from_ne_bytes(self.tp_dst.to_bytes()),
            ..Default::default()
        };
        // SAFETY: As for `from_raw`; any bytes are addresses.
        unsafe { *(&raw mut key.u).cast::<[u8; 32]>() = self.addrs };
    }
}

impl Default for IpTunnelKey {
    fn default() -> Self {
        FromZeros::new_zeroed()
    }
}

const _: () = assert!(size_of::<bindings::ip_tunnel_key__bindgen_ty_1>() == 32);

/// The tunnel that a packet came through or is to be sent through.
///
/// # Invariants
///
/// The content is a valid `struct ip_tunnel_info`, with its options behind it,
/// that nobody changes.
#[repr(transparent)]
pub struct IpTunnelInfo(Opaque<bindings::ip_tunnel_info>);

impl IpTunnelInfo {
    /// Borrows what C has.
    ///
    /// # Safety
    ///
    /// `ptr` is valid for `'a`, as are its options, and nobody changes it.
    #[inline]
    pub(crate) unsafe fn from_raw<'a>(ptr: *const bindings::ip_tunnel_info) -> &'a Self {
        // SAFETY: By the safety requirements; the type is transparent.
        unsafe { &*ptr.cast() }
    }

    /// The C structure, for reading.
    #[inline]
    pub(crate) fn as_ptr(&self) -> *const bindings::ip_tunnel_info {
        self.0.get()
    }

    #[inline]
    fn as_ref(&self) -> &bindings::ip_tunnel_info {
        // SAFETY: By the type invariants.
        unsafe { &*self.0.get() }
    }

    /// The outer headers' fields. C: `info->key`.
    #[inline]
    pub fn key(&self) -> IpTunnelKey {
        IpTunnelKey::from_raw(&self.as_ref().key)
    }

    /// `IP_TUNNEL_INFO_*`. C: `info->mode`.
    #[inline]
    pub fn mode(&self) -> u8 {
        self.as_ref().mode
    }

    /// Whether the addresses are IPv6 addresses. C: `ip_tunnel_info_af()`.
    #[inline]
    pub fn is_ipv6(&self) -> bool {
        self.mode() & IP_TUNNEL_INFO_IPV6 != 0
    }

    /// The options, in the form that the protocol's flag says.
    /// C: `ip_tunnel_info_opts()`, `info->options_len`.
    #[inline]
    pub fn options(&self) -> &[u8] {
        let len = usize::from(self.as_ref().options_len);
        if len == 0 {
            return &[];
        }
        // SAFETY: By the type invariants there are `len` bytes of options that
        // nobody changes.
        unsafe {
            let opts = bindings::ip_tunnel_info_opts(self.0.get());
            core::slice::from_raw_parts(opts.cast::<u8>(), len)
        }
    }
}

impl NetDevice {
    /// The UDP port that a VXLAN device listens on. Nothing for other devices.
    pub fn vxlan_dst_port(&self) -> Option<Be16> {
        // SAFETY: The device is valid.
        let port = unsafe { bindings::vxlan_dst_port(self.as_ptr()) };
        (port != 0).then(|| Be16::from_bytes(port.to_ne_bytes()))
    }
}
