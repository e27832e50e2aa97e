// SPDX-License-Identifier: GPL-2.0

//! Flow rules: what they match. What they do is in the file beside.
//!
//! C header: [`include/net/flow_dissector.h`](srctree/include/net/flow_dissector.h)

use core::{
    mem::offset_of,
    ptr::NonNull, //
};

use kernel::{
    error::code::ENOMEM,
    prelude::*, //
};
use zerocopy::network_endian::{
    U16 as Be16,
    U32 as Be32, //
};

use crate::{
    bindings,
    net::{
        dst_metadata::MetadataDst,
        netdevice::NetDeviceRef, //
    },
};

/// The packet is a fragment. C: `FLOW_DIS_IS_FRAGMENT`.
pub const FLOW_DIS_IS_FRAGMENT: u32 = bindings::flow_dissector_ctrl_flags_FLOW_DIS_IS_FRAGMENT;
/// The packet is the first fragment. C: `FLOW_DIS_FIRST_FRAG`.
pub const FLOW_DIS_FIRST_FRAG: u32 = bindings::flow_dissector_ctrl_flags_FLOW_DIS_FIRST_FRAG;
/// The outer UDP or GRE header has a checksum. C: `FLOW_DIS_F_TUNNEL_CSUM`.
pub const FLOW_DIS_F_TUNNEL_CSUM: u32 = bindings::flow_dissector_ctrl_flags_FLOW_DIS_F_TUNNEL_CSUM;
/// The outer packet is not to be fragmented.
/// C: `FLOW_DIS_F_TUNNEL_DONT_FRAGMENT`.
pub const FLOW_DIS_F_TUNNEL_DONT_FRAGMENT: u32 =
    bindings::flow_dissector_ctrl_flags_FLOW_DIS_F_TUNNEL_DONT_FRAGMENT;
/// The packet is a control packet of the tunnel. C: `FLOW_DIS_F_TUNNEL_OAM`.
pub const FLOW_DIS_F_TUNNEL_OAM: u32 = bindings::flow_dissector_ctrl_flags_FLOW_DIS_F_TUNNEL_OAM;
/// An option has to be understood. C: `FLOW_DIS_F_TUNNEL_CRIT_OPT`.
pub const FLOW_DIS_F_TUNNEL_CRIT_OPT: u32 =
    bindings::flow_dissector_ctrl_flags_FLOW_DIS_F_TUNNEL_CRIT_OPT;

/// Which kind of addresses a rule matches on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AddrType {
    /// None.
    None,
    /// IPv4 addresses.
    Ipv4,
    /// IPv6 addresses.
    Ipv6,
}

impl AddrType {
    fn as_raw(self) -> u16 {
        match self {
            Self::None => 0,
            Self::Ipv4 => bindings::flow_dissector_key_id_FLOW_DISSECTOR_KEY_IPV4_ADDRS as u16,
            Self::Ipv6 => bindings::flow_dissector_key_id_FLOW_DISSECTOR_KEY_IPV6_ADDRS as u16,
        }
    }
}

/// How many kinds of keys there are.
const KEY_MAX: usize = bindings::flow_dissector_key_id_FLOW_DISSECTOR_KEY_MAX as usize;

/// All that a rule can match on: once for the values, once for the masks.
///
/// Drivers look at some keys without asking whether the rule has them, so each
/// kind has a place; those that cannot be set here share one of zeroes.
#[repr(C)]
pub(super) struct Keys {
    pub(super) control: bindings::flow_dissector_key_control,
    pub(super) basic: bindings::flow_dissector_key_basic,
    pub(super) meta: bindings::flow_dissector_key_meta,
    pub(super) eth: bindings::flow_dissector_key_eth_addrs,
    pub(super) vlan: bindings::flow_dissector_key_vlan,
    pub(super) cvlan: bindings::flow_dissector_key_vlan,
    pub(super) ipv4: bindings::flow_dissector_key_ipv4_addrs,
    pub(super) ipv6: bindings::flow_dissector_key_ipv6_addrs,
    pub(super) ports: bindings::flow_dissector_key_ports,
    pub(super) ip: bindings::flow_dissector_key_ip,
    pub(super) tcp: bindings::flow_dissector_key_tcp,
    pub(super) icmp: bindings::flow_dissector_key_icmp,
    pub(super) arp: bindings::flow_dissector_key_arp,
    pub(super) enc_control: bindings::flow_dissector_key_control,
    pub(super) enc_keyid: bindings::flow_dissector_key_keyid,
    pub(super) enc_ipv4: bindings::flow_dissector_key_ipv4_addrs,
    pub(super) enc_ipv6: bindings::flow_dissector_key_ipv6_addrs,
    pub(super) enc_ports: bindings::flow_dissector_key_ports,
    pub(super) enc_ip: bindings::flow_dissector_key_ip,
    pub(super) enc_opts: bindings::flow_dissector_key_enc_opts,
    rest: [u64; 16],
}

// SAFETY: All fields are integers and arrays and unions of integers, for which
// zeroes are valid.
unsafe impl Zeroable for Keys {}

/// The kinds of keys that have a place of their own, with that place.
const PLACES: [(bindings::flow_dissector_key_id, usize); 20] = [
    (
        bindings::flow_dissector_key_id_FLOW_DISSECTOR_KEY_CONTROL,
        offset_of!(Keys, control),
    ),
    (
        bindings::flow_dissector_key_id_FLOW_DISSECTOR_KEY_BASIC,
        offset_of!(Keys, basic),
    ),
    (
        bindings::flow_dissector_key_id_FLOW_DISSECTOR_KEY_META,
        offset_of!(Keys, meta),
    ),
    (
        bindings::flow_dissector_key_id_FLOW_DISSECTOR_KEY_ETH_ADDRS,
        offset_of!(Keys, eth),
    ),
    (
        bindings::flow_dissector_key_id_FLOW_DISSECTOR_KEY_VLAN,
        offset_of!(Keys, vlan),
    ),
    (
        bindings::flow_dissector_key_id_FLOW_DISSECTOR_KEY_CVLAN,
        offset_of!(Keys, cvlan),
    ),
    (
        bindings::flow_dissector_key_id_FLOW_DISSECTOR_KEY_IPV4_ADDRS,
        offset_of!(Keys, ipv4),
    ),
    (
        bindings::flow_dissector_key_id_FLOW_DISSECTOR_KEY_IPV6_ADDRS,
        offset_of!(Keys, ipv6),
    ),
    (
        bindings::flow_dissector_key_id_FLOW_DISSECTOR_KEY_PORTS,
        offset_of!(Keys, ports),
    ),
    (
        bindings::flow_dissector_key_id_FLOW_DISSECTOR_KEY_IP,
        offset_of!(Keys, ip),
    ),
    (
        bindings::flow_dissector_key_id_FLOW_DISSECTOR_KEY_TCP,
        offset_of!(Keys, tcp),
    ),
    (
        bindings::flow_dissector_key_id_FLOW_DISSECTOR_KEY_ICMP,
        offset_of!(Keys, icmp),
    ),
    (
        bindings::flow_dissector_key_id_FLOW_DISSECTOR_KEY_ARP,
        offset_of!(Keys, arp),
    ),
    (
        bindings::flow_dissector_key_id_FLOW_DISSECTOR_KEY_ENC_CONTROL,
        offset_of!(Keys, enc_control),
    ),
    (
        bindings::flow_dissector_key_id_FLOW_DISSECTOR_KEY_ENC_KEYID,
        offset_of!(Keys, enc_keyid),
    ),
    (
        bindings::flow_dissector_key_id_FLOW_DISSECTOR_KEY_ENC_IPV4_ADDRS,
        offset_of!(Keys, enc_ipv4),
    ),
    (
        bindings::flow_dissector_key_id_FLOW_DISSECTOR_KEY_ENC_IPV6_ADDRS,
        offset_of!(Keys, enc_ipv6),
    ),
    (
        bindings::flow_dissector_key_id_FLOW_DISSECTOR_KEY_ENC_PORTS,
        offset_of!(Keys, enc_ports),
    ),
    (
        bindings::flow_dissector_key_id_FLOW_DISSECTOR_KEY_ENC_IP,
        offset_of!(Keys, enc_ip),
    ),
    (
        bindings::flow_dissector_key_id_FLOW_DISSECTOR_KEY_ENC_OPTS,
        offset_of!(Keys, enc_opts),
    ),
];

/// Where each kind of key is in [`Keys`].
const fn offsets() -> [u16; KEY_MAX] {
    let mut offsets = [offset_of!(Keys, rest) as u16; KEY_MAX];
    let mut i = 0;
    while i < PLACES.len() {
        let (id, place) = PLACES[i];
        offsets[id as usize] = place as u16;
        i += 1;
    }
    offsets
}

const OFFSETS: [u16; KEY_MAX] = offsets();

/// What a rule points to.
pub(super) struct Match {
    pub(super) dissector: bindings::flow_dissector,
    pub(super) key: Keys,
    pub(super) mask: Keys,
}

// SAFETY: As for `Keys`; a dissector is a number and an array of numbers.
unsafe impl Zeroable for Match {}

/// A rule: what packets have to be like, and what is done with them.
///
/// A driver reads the rule during the call that hands it over and keeps nothing
/// of it. The setters take a value and a mask; a key is matched on when it has
/// been set, whatever the mask.
///
/// # Invariants
///
/// `rule` came from `flow_rule_alloc()` with room for `room` actions, of which
/// the first `num_entries` are valid. Its match points into `matches`, where
/// every kind of key has a place. The devices of its actions are in `devs`, their
/// tunnels in `dsts`.
pub struct FlowRule {
    pub(super) rule: NonNull<bindings::flow_rule>,
    pub(super) room: usize,
    pub(super) matches: KBox<Match>,
    pub(super) devs: KVec<NetDeviceRef>,
    pub(super) dsts: KVec<MetadataDst>,
}

// SAFETY: The rule is plain memory, with references to devices, which are
// `Send`.
unsafe impl Send for FlowRule {}
// SAFETY: A shared rule is only read.
unsafe impl Sync for FlowRule {}

/// Allocates C's part of a rule, without actions.
pub(super) fn alloc(room: usize, matches: &mut Match) -> Result<NonNull<bindings::flow_rule>> {
    let n = u32::try_from(room)?;
    // SAFETY: Only a number is passed.
    let rule = NonNull::new(unsafe { bindings::flow_rule_alloc(n) }).ok_or(ENOMEM)?;
    // SAFETY: The rule is new.
    unsafe {
        (*rule.as_ptr()).action.num_entries = 0;
        (*rule.as_ptr()).match_ = bindings::flow_match {
            dissector: &raw mut matches.dissector,
            mask: (&raw mut matches.mask).cast(),
            key: (&raw mut matches.key).cast(),
        };
    }
    Ok(rule)
}

impl FlowRule {
    /// A rule that matches every packet and does nothing, with room for so many
    /// actions; more can be added.
    pub fn new(n_actions: usize) -> Result<Self> {
        let mut matches = KBox::init(pin_init::init_zeroed::<Match>(), GFP_KERNEL)?;
        matches.dissector.offset = OFFSETS;
        let room = n_actions.max(1);
        // INVARIANT: The box does not move its content.
        Ok(Self {
            rule: alloc(room, &mut matches)?,
            room,
            matches,
            devs: KVec::new(),
            dsts: KVec::new(),
        })
    }

    /// A rule that matches the same packets and does nothing.
    pub fn same_match(&self) -> Result<Self> {
        let mut rule = Self::new(1)?;
        // SAFETY: Both are valid and not the same, and are plain numbers. They
        // are large, so the copy is not made on the stack.
        unsafe {
            core::ptr::copy_nonoverlapping(&raw const *self.matches, &raw mut *rule.matches, 1)
        };
        Ok(rule)
    }

    /// Notes that a kind of key is matched on, and gives keys and masks.
    fn matches_on(&mut self, id: bindings::flow_dissector_key_id) -> (&mut Keys, &mut Keys) {
        let Match {
            dissector,
            key,
            mask,
        } = &mut *self.matches;
        dissector.used_keys |= 1u64.wrapping_shl(id);
        (key, mask)
    }

    /// Whether a kind of key is matched on.
    pub(super) fn has(&self, id: bindings::flow_dissector_key_id) -> bool {
        self.matches.dissector.used_keys & 1u64.wrapping_shl(id) != 0
    }

    /// The Ethernet type, behind all VLAN tags, and the IP protocol.
    pub fn basic(&mut self, n_proto: (Be16, Be16), ip_proto: (u8, u8)) {
        let (key, mask) = self.matches_on(bindings::flow_dissector_key_id_FLOW_DISSECTOR_KEY_BASIC);
        (key.basic.n_proto, mask.basic.n_proto) = raw16(n_proto);
        (key.basic.ip_proto, mask.basic.ip_proto) = ip_proto;
    }

    /// Which addresses are matched on, and `FLOW_DIS_*` flags.
    pub fn control(&mut self, addr_type: AddrType, flags: (u32, u32)) {
        let (key, mask) =
            self.matches_on(bindings::flow_dissector_key_id_FLOW_DISSECTOR_KEY_CONTROL);
        key.control.addr_type = addr_type.as_raw();
        mask.control.addr_type = u16::MAX;
        (key.control.flags, mask.control.flags) = flags;
    }

    /// The device that packets come in on; exact.
    pub fn meta(&mut self, ifindex: i32) {
        let (key, mask) = self.matches_on(bindings::flow_dissector_key_id_FLOW_DISSECTOR_KEY_META);
        key.meta.ingress_ifindex = ifindex;
        mask.meta.ingress_ifindex = -1;
    }

    /// Ethernet addresses.
    pub fn eth_addrs(&mut self, src: ([u8; 6], [u8; 6]), dst: ([u8; 6], [u8; 6])) {
        let (key, mask) =
            self.matches_on(bindings::flow_dissector_key_id_FLOW_DISSECTOR_KEY_ETH_ADDRS);
        (key.eth.src, mask.eth.src) = src;
        (key.eth.dst, mask.eth.dst) = dst;
    }

    /// The outer VLAN tag: its type, VLAN id (12 bits), priority (3 bits), and
    /// the Ethernet type behind it.
    pub fn vlan(
        &mut self,
        tpid: (Be16, Be16),
        vid: (u16, u16),
        prio: (u8, u8),
        eth_type: (Be16, Be16),
    ) {
        let (key, mask) = self.matches_on(bindings::flow_dissector_key_id_FLOW_DISSECTOR_KEY_VLAN);
        set_vlan(&mut key.vlan, tpid.0, vid.0, prio.0, eth_type.0);
        set_vlan(&mut mask.vlan, tpid.1, vid.1, prio.1, eth_type.1);
    }

    /// The inner VLAN tag, as [`FlowRule::vlan`].
    pub fn cvlan(
        &mut self,
        tpid: (Be16, Be16),
        vid: (u16, u16),
        prio: (u8, u8),
        eth_type: (Be16, Be16),
    ) {
        let (key, mask) = self.matches_on(bindings::flow_dissector_key_id_FLOW_DISSECTOR_KEY_CVLAN);
        set_vlan(&mut key.cvlan, tpid.0, vid.0, prio.0, eth_type.0);
        set_vlan(&mut mask.cvlan, tpid.1, vid.1, prio.1, eth_type.1);
    }

    /// IPv4 addresses; [`FlowRule::control`] has to say so too.
    pub fn ipv4_addrs(&mut self, src: (Be32, Be32), dst: (Be32, Be32)) {
        let (key, mask) =
            self.matches_on(bindings::flow_dissector_key_id_FLOW_DISSECTOR_KEY_IPV4_ADDRS);
        (key.ipv4.src, mask.ipv4.src) = raw32(src);
        (key.ipv4.dst, mask.ipv4.dst) = raw32(dst);
    }

    /// IPv6 addresses; [`FlowRule::control`] has to say so too.
    pub fn ipv6_addrs(&mut self, src: ([u8; 16], [u8; 16]), dst: ([u8; 16], [u8; 16])) {
        let (key, mask) =
            self.matches_on(bindings::flow_dissector_key_id_FLOW_DISSECTOR_KEY_IPV6_ADDRS);
        (key.ipv6.src, mask.ipv6.src) = (in6(src.0), in6(src.1));
        (key.ipv6.dst, mask.ipv6.dst) = (in6(dst.0), in6(dst.1));
    }

    /// Ports of TCP, UDP or SCTP.
    pub fn ports(&mut self, src: (Be16, Be16), dst: (Be16, Be16)) {
        let (key, mask) = self.matches_on(bindings::flow_dissector_key_id_FLOW_DISSECTOR_KEY_PORTS);
        set_ports(&mut key.ports, src.0, dst.0);
        set_ports(&mut mask.ports, src.1, dst.1);
    }

    /// Type of service (traffic class) and time to live (hop limit).
    pub fn ip(&mut self, tos: (u8, u8), ttl: (u8, u8)) {
        let (key, mask) = self.matches_on(bindings::flow_dissector_key_id_FLOW_DISSECTOR_KEY_IP);
        (key.ip.tos, mask.ip.tos) = tos;
        (key.ip.ttl, mask.ip.ttl) = ttl;
    }

    /// TCP flags, in the low 12 bits.
    pub fn tcp_flags(&mut self, flags: (Be16, Be16)) {
        let (key, mask) = self.matches_on(bindings::flow_dissector_key_id_FLOW_DISSECTOR_KEY_TCP);
        (key.tcp.flags, mask.tcp.flags) = raw16(flags);
    }

    /// ICMP or ICMPv6 type and code.
    pub fn icmp(&mut self, ty: (u8, u8), code: (u8, u8)) {
        let (key, mask) = self.matches_on(bindings::flow_dissector_key_id_FLOW_DISSECTOR_KEY_ICMP);
        (
            key.icmp.__bindgen_anon_1.type_,
            mask.icmp.__bindgen_anon_1.type_,
        ) = ty;
        (
            key.icmp.__bindgen_anon_1.code,
            mask.icmp.__bindgen_anon_1.code,
        ) = code;
    }

    /// ARP: addresses and operation.
    pub fn arp(
        &mut self,
        sip: (Be32, Be32),
        tip: (Be32, Be32),
        op: (u8, u8),
        sha: ([u8; 6], [u8; 6]),
        tha: ([u8; 6], [u8; 6]),
    ) {
        let (key, mask) = self.matches_on(bindings::flow_dissector_key_id_FLOW_DISSECTOR_KEY_ARP);
        (key.arp.sip, mask.arp.sip) = raw32(sip);
        (key.arp.tip, mask.arp.tip) = raw32(tip);
        (key.arp.op, mask.arp.op) = op;
        (key.arp.sha, mask.arp.sha) = sha;
        (key.arp.tha, mask.arp.tha) = tha;
    }

    /// Of the outer header of a tunnel: which addresses, and `FLOW_DIS_F_*`
    /// flags.
    pub fn enc_control(&mut self, addr_type: AddrType, flags: (u32, u32)) {
        let (key, mask) =
            self.matches_on(bindings::flow_dissector_key_id_FLOW_DISSECTOR_KEY_ENC_CONTROL);
        // As for the inner header, whatever the names of the keys are: drivers
        // compare it with those of that one.
        key.enc_control.addr_type = addr_type.as_raw();
        mask.enc_control.addr_type = u16::MAX;
        (key.enc_control.flags, mask.enc_control.flags) = flags;
    }

    /// Which flags of the outer header of a tunnel are matched on.
    pub fn enc_flags(&self) -> u32 {
        self.matches.mask.enc_control.flags
    }

    /// Matches on these flags of the outer header of a tunnel no longer.
    pub fn ignore_enc_flags(&mut self, flags: u32) {
        self.matches.key.enc_control.flags &= !flags;
        self.matches.mask.enc_control.flags &= !flags;
    }

    /// The key of a tunnel, such as a VNI.
    pub fn enc_keyid(&mut self, keyid: (Be32, Be32)) {
        let (key, mask) =
            self.matches_on(bindings::flow_dissector_key_id_FLOW_DISSECTOR_KEY_ENC_KEYID);
        (key.enc_keyid.keyid, mask.enc_keyid.keyid) = raw32(keyid);
    }

    /// IPv4 addresses of the outer header of a tunnel.
    pub fn enc_ipv4_addrs(&mut self, src: (Be32, Be32), dst: (Be32, Be32)) {
        let (key, mask) =
            self.matches_on(bindings::flow_dissector_key_id_FLOW_DISSECTOR_KEY_ENC_IPV4_ADDRS);
        (key.enc_ipv4.src, mask.enc_ipv4.src) = raw32(src);
        (key.enc_ipv4.dst, mask.enc_ipv4.dst) = raw32(dst);
    }

    /// IPv6 addresses of the outer header of a tunnel.
    pub fn enc_ipv6_addrs(&mut self, src: ([u8; 16], [u8; 16]), dst: ([u8; 16], [u8; 16])) {
        let (key, mask) =
            self.matches_on(bindings::flow_dissector_key_id_FLOW_DISSECTOR_KEY_ENC_IPV6_ADDRS);
        (key.enc_ipv6.src, mask.enc_ipv6.src) = (in6(src.0), in6(src.1));
        (key.enc_ipv6.dst, mask.enc_ipv6.dst) = (in6(dst.0), in6(dst.1));
    }

    /// Ports of the outer header of a tunnel.
    pub fn enc_ports(&mut self, src: (Be16, Be16), dst: (Be16, Be16)) {
        let (key, mask) =
            self.matches_on(bindings::flow_dissector_key_id_FLOW_DISSECTOR_KEY_ENC_PORTS);
        set_ports(&mut key.enc_ports, src.0, dst.0);
        set_ports(&mut mask.enc_ports, src.1, dst.1);
    }

    /// Type of service and time to live of the outer header of a tunnel.
    pub fn enc_ip(&mut self, tos: (u8, u8), ttl: (u8, u8)) {
        let (key, mask) =
            self.matches_on(bindings::flow_dissector_key_id_FLOW_DISSECTOR_KEY_ENC_IP);
        (key.enc_ip.tos, mask.enc_ip.tos) = tos;
        (key.enc_ip.ttl, mask.enc_ip.ttl) = ttl;
    }

    /// The C structure, for reading.
    pub(crate) fn as_ptr(&self) -> *mut bindings::flow_rule {
        self.rule.as_ptr()
    }

    /// The Ethernet type that the rule matches on, for
    /// `flow_cls_common_offload.protocol`.
    pub(super) fn protocol(&self) -> u16 {
        self.matches.key.basic.n_proto
    }
}

impl Drop for FlowRule {
    fn drop(&mut self) {
        // SAFETY: By the type invariants; C allocates it with `kzalloc()`.
        unsafe { bindings::kfree(self.rule.as_ptr().cast()) };
    }
}

/// A value and a mask as C keeps them.
fn raw16((value, mask): (Be16, Be16)) -> (u16, u16) {
    (
        u16::from_ne_bytes(value.to_bytes()),
        u16::from_ne_bytes(mask.to_bytes()),
    )
}

/// As [`raw16`].
fn raw32((value, mask): (Be32, Be32)) -> (u32, u32) {
    (
        u32::from_ne_bytes(value.to_bytes()),
        u32::from_ne_bytes(mask.to_bytes()),
    )
}

fn in6(bytes: [u8; 16]) -> bindings::in6_addr {
    let mut addr = bindings::in6_addr::default();
    addr.in6_u.u6_addr8 = bytes;
    addr
}

fn set_vlan(
    to: &mut bindings::flow_dissector_key_vlan,
    tpid: Be16,
    vid: u16,
    prio: u8,
    eth_type: Be16,
) {
    to.__bindgen_anon_1.bindgen_union_field = 0;
    // SAFETY: All views of the union are the same 16 bits.
    let tag = unsafe { to.__bindgen_anon_1.__bindgen_anon_1.as_mut() };
    tag.set_vlan_id(vid & 0xfff);
    tag.set_vlan_priority(u16::from(prio & 7));
    to.vlan_tpid = u16::from_ne_bytes(tpid.to_bytes());
    to.vlan_eth_type = u16::from_ne_bytes(eth_type.to_bytes());
}

fn set_ports(to: &mut bindings::flow_dissector_key_ports, src: Be16, dst: Be16) {
    // SAFETY: All views of the union are the same 32 bits.
    let ports = unsafe { to.__bindgen_anon_1.__bindgen_anon_1.as_mut() };
    ports.src = u16::from_ne_bytes(src.to_bytes());
    ports.dst = u16::from_ne_bytes(dst.to_bytes());
}
