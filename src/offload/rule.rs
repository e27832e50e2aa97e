// SPDX-License-Identifier: GPL-2.0

//! Flows as rules for drivers: what packets have to be like.
//!
//! A rule may match fewer packets than its flow does, as what misses goes to
//! software; it never matches others. So each field that a mask has is either
//! put into the rule or refuses it: fields are taken out of a copy of the mask
//! as they are dealt with, and what is left at the end is refused.

use kernel::prelude::*;

use zerocopy::{
    network_endian::{
        U16 as Be16,
        U32 as Be32, //
    },
    FromZeros, //
};

use kernel_ext::{
    net::{
        flow_offload::{
            AddrType,
            FlowRule,
            FLOW_DIS_FIRST_FRAG,
            FLOW_DIS_IS_FRAGMENT, //
        },
        namespace::Net,
        netdevice::NetDevice,
        tc_skb_ext, //
    },
    sync::rcu::RcuArc, //
};

use super::{
    action::{
        put_actions,
        OutKind,
        OutPort,
        Outputs, //
    },
    reason::Reason,
    tunnel::{
        has_gre_key,
        put_device_port,
        put_tunnel,
        tunnel_kind, //
    },
};
use crate::{
    actions::{
        Action,
        SwFlowActions, //
    },
    datapath::Datapath,
    flow::{
        key::{
            VlanHead,
            MAC_PROTO_ETHERNET, //
        },
        tunnel::{
            MatchKey,
            TunnelKey, //
        },
        SwFlow, //
    },
    flow_netlink::uapi::*,
    vport::Vport, //
};

/// `OVS_FRAG_TYPE_FIRST`.
const OVS_FRAG_TYPE_FIRST: u8 = kernel_ext::uapi::ovs_frag_type_OVS_FRAG_TYPE_FIRST as u8;
/// `OVS_FRAG_TYPE_NONE`.
const OVS_FRAG_TYPE_NONE: u8 = kernel_ext::uapi::ovs_frag_type_OVS_FRAG_TYPE_NONE as u8;

/// A flow as a driver takes it.
pub(crate) struct Translated {
    /// What to give to the block of the input port.
    pub(crate) rule: FlowRule,
    /// The port whose block the rule is for.
    pub(crate) in_port: RcuArc<Vport>,
    /// The chain that the rule is in: the flow's recirculation id.
    pub(crate) chain: u32,
    /// The chain that the rule goes to at its end, if it recirculates.
    pub(crate) goto_chain: Option<u32>,
    /// The numbers of the ports that it sends to. The rule has to go when one
    /// of them does.
    pub(crate) out_ports: KVec<u16>,
}

/// A field's value and mask.
type Bits<T> = (T, T);

/// A tag's type, id and priority.
type Tag = (Bits<Be16>, Bits<u16>, Bits<u8>);

/// A flow's match, and which of its mask's bits are still to be dealt with.
struct Match<'a> {
    key: &'a MatchKey,
    mask: &'a MatchKey,
    left: MatchKey,
}

/// Takes a field: its value and mask. It is dealt with then.
macro_rules! take {
    ($m:expr, $($field:ident).+) => {{
        $m.left.$($field).+ = FromZeros::new_zeroed();
        ($m.key.$($field).+, $m.mask.$($field).+)
    }};
}

/// Whether any bit of a mask is set.
fn any<T: FromZeros + PartialEq>(mask: &T) -> bool {
    *mask != T::new_zeroed()
}

impl Match<'_> {
    /// A field that packets from devices have as zero: `reason` unless zero is
    /// what it is matched on.
    fn zero(bits: Bits<u32>, reason: Reason) -> Result<(), Reason> {
        match bits.0 & bits.1 {
            0 => Ok(()),
            _ => Err(reason),
        }
    }

    /// What connection tracking knows of a packet, which is nothing of one that no
    /// rule has tracked.
    fn untracked(&mut self) -> Result<(), Reason> {
        const REASON: Reason = Reason::MatchConntrack;
        let byte = |(key, mask): Bits<u8>| (u32::from(key), u32::from(mask));
        Self::zero(byte(take!(self, ct_state)), REASON)?;
        Self::zero(byte(take!(self, ct_orig_proto)), REASON)?;
        Self::zero(take!(self, ct_mark), REASON)?;
        let (zone, mask) = take!(self, ct_zone);
        Self::zero((zone.into(), mask.into()), REASON)?;
        let (labels, mask) = take!(self, ct_labels);
        match labels.iter().zip(mask).all(|(key, mask)| key & mask == 0) {
            true => Ok(()),
            false => Err(REASON),
        }
    }

    /// What is not in the packet. Returns the input port and the chain.
    fn metadata(&mut self) -> Result<(u16, u32), Reason> {
        let in_port = match take!(self, in_port) {
            (_, 0) | (DP_MAX_PORTS, _) => return Err(Reason::NoInPort),
            (port, u16::MAX) => port,
            _ => return Err(Reason::MatchInPort),
        };
        let chain = match take!(self, recirc_id) {
            (chain, u32::MAX) => chain,
            // Chain 0 has the packets that come from a device, whose id is 0.
            (id, mask) if id & mask == 0 => 0,
            _ => return Err(Reason::MatchRecircId),
        };
        Self::zero(take!(self, priority), Reason::MatchPriority)?;
        Self::zero(take!(self, skb_mark), Reason::MatchSkbMark)?;
        self.untracked()?;
        Self::zero(take!(self, dp_hash), Reason::MatchDpHash)?;

        take!(self, mac_proto);
        if self.key.mac_proto() != MAC_PROTO_ETHERNET {
            return Err(Reason::MatchLayer3);
        }
        Ok((in_port, chain))
    }

    /// A tag's type, id and priority, if the key has it. Its absence is always
    /// matched on, as packets with it have another key.
    fn tag(key: VlanHead, mask: VlanHead) -> Result<Option<Tag>, Reason> {
        let (tci, tci_mask) = (key.tci.get(), mask.tci.get());
        if tci_mask & VLAN_CFI_MASK == 0 {
            // Cannot be: tags are always matched on.
            return Err(Reason::MatchVlanType);
        }
        if tci & VLAN_CFI_MASK == 0 {
            return Ok(None);
        }
        if mask.tpid.get() != 0xffff {
            return Err(Reason::MatchVlanType);
        }
        Ok(Some((
            (key.tpid, mask.tpid),
            (tci & 0xfff, tci_mask & 0xfff),
            ((tci >> 13) as u8, (tci_mask >> 13) as u8),
        )))
    }

    /// Ethernet addresses, type and tags. Returns how many tags there are.
    fn ethernet(&mut self, rule: &mut FlowRule) -> Result<u8, Reason> {
        let src = take!(self, eth_src);
        let dst = take!(self, eth_dst);
        if any(&src.1) || any(&dst.1) {
            rule.eth_addrs(src, dst);
        }

        let eth_type = take!(self, eth_type);
        // Without the type, drivers do not match on the absence of tags.
        if eth_type.1.get() != 0xffff {
            return Err(Reason::MatchAnyEthType);
        }
        if eth_type.0.get() < ETH_P_802_3_MIN {
            return Err(Reason::Match8022);
        }
        if eth_type_vlan(eth_type.0.get()) {
            return Err(Reason::MatchVlanTruncated);
        }

        let (key, mask) = take!(self, vlan);
        let outer = Self::tag(key, mask)?;
        let (key, mask) = take!(self, cvlan);
        let inner = Self::tag(key, mask)?;
        match (outer, inner) {
            (None, None) => Ok(0),
            (Some((tpid, vid, prio)), None) => {
                rule.vlan(tpid, vid, prio, eth_type);
                Ok(1)
            }
            (Some((tpid, vid, prio)), Some((ctpid, cvid, cprio))) => {
                rule.vlan(tpid, vid, prio, ctpid);
                rule.cvlan(ctpid, cvid, cprio, eth_type);
                Ok(2)
            }
            (None, Some(_)) => Err(Reason::MatchVlanTruncated),
        }
    }

    /// Which fragments, as flags for the rule.
    fn fragments(&mut self, ipv6: bool) -> Result<Bits<u32>, Reason> {
        const BOTH: u32 = FLOW_DIS_IS_FRAGMENT | FLOW_DIS_FIRST_FRAG;

        match take!(self, ip_frag) {
            (_, 0) => Ok((0, 0)),
            (OVS_FRAG_TYPE_NONE, 0xff) => Ok((0, FLOW_DIS_IS_FRAGMENT)),
            (_, 0xff) if ipv6 => Err(Reason::MatchIpv6Fragment),
            (OVS_FRAG_TYPE_FIRST, 0xff) => Ok((BOTH, BOTH)),
            (OVS_FRAG_TYPE_LATER, 0xff) => Ok((FLOW_DIS_IS_FRAGMENT, BOTH)),
            _ => Err(Reason::MatchFragment),
        }
    }

    /// IPv4 and IPv6.
    fn ip(&mut self, rule: &mut FlowRule, ipv6: bool) -> Result<(), Reason> {
        let flags = self.fragments(ipv6)?;
        let mut addr_type = AddrType::None;
        if ipv6 {
            let src = take!(self, ipv6_src);
            let dst = take!(self, ipv6_dst);
            if any(&src.1) || any(&dst.1) {
                addr_type = AddrType::Ipv6;
                rule.ipv6_addrs(src, dst);
            }
            if take!(self, ipv6_label).1.get() != 0 {
                return Err(Reason::MatchIpv6Label);
            }
            if take!(self, ip_exthdrs).1 != 0 {
                return Err(Reason::MatchIpv6ExtHdrs);
            }
        } else {
            let src = take!(self, ipv4_src);
            let dst = take!(self, ipv4_dst);
            if any(&src.1) || any(&dst.1) {
                addr_type = AddrType::Ipv4;
                rule.ipv4_addrs(src, dst);
            }
        }
        if addr_type != AddrType::None || flags.1 != 0 {
            rule.control(addr_type, flags);
        }

        let tos = take!(self, ip_tos);
        let ttl = take!(self, ip_ttl);
        if tos.1 != 0 || ttl.1 != 0 {
            rule.ip(tos, ttl);
        }
        self.transport(rule, ipv6)
    }

    /// TCP, UDP, SCTP, ICMP and ICMPv6. That the protocol is matched on where
    /// there are any such fields has been checked with the flow.
    fn transport(&mut self, rule: &mut FlowRule, ipv6: bool) -> Result<(), Reason> {
        let src = take!(self, tp_src);
        let dst = take!(self, tp_dst);
        let flags = take!(self, tcp_flags);
        if !any(&src.1) && !any(&dst.1) && !any(&flags.1) {
            return Ok(());
        }
        // In software a later fragment has ports of zero.
        if self.mask.ip_frag == 0 {
            return Err(Reason::MatchPortsOfFragments);
        }

        match self.key.ip_proto {
            IPPROTO_TCP => {
                if any(&src.1) || any(&dst.1) {
                    rule.ports(src, dst);
                }
                Self::tcp_flags(flags, rule)
            }
            IPPROTO_UDP | IPPROTO_SCTP if !any(&flags.1) => {
                rule.ports(src, dst);
                Ok(())
            }
            IPPROTO_ICMP if !ipv6 && !any(&flags.1) => Self::icmp(src, dst, rule),
            IPPROTO_ICMPV6 if ipv6 && !any(&flags.1) => {
                let target = take!(self, nd_target).1;
                let sll = take!(self, nd_sll).1;
                let tll = take!(self, nd_tll).1;
                if any(&target) || any(&sll) || any(&tll) {
                    return Err(Reason::MatchNd);
                }
                Self::icmp(src, dst, rule)
            }
            _ => Err(Reason::MatchOther),
        }
    }

    /// The key has 12 bits of flags. Hardware knows the lower 9.
    fn tcp_flags((key, mask): Bits<Be16>, rule: &mut FlowRule) -> Result<(), Reason> {
        const KEY_BITS: u16 = 0x0fff;
        const HW_BITS: u16 = 0x01ff;

        let (key, mask) = (key.get() & mask.get(), mask.get());
        // The upper 4 are always zero in packets.
        if key & !KEY_BITS != 0 || mask & KEY_BITS & !HW_BITS != 0 {
            return Err(Reason::MatchTcpFlags);
        }
        if mask & HW_BITS != 0 {
            rule.tcp_flags((key.into(), (mask & HW_BITS).into()));
        }
        Ok(())
    }

    /// Type and code, which the key has as 16-bit numbers below 256.
    fn icmp(ty: Bits<Be16>, code: Bits<Be16>, rule: &mut FlowRule) -> Result<(), Reason> {
        let low = |(key, mask): Bits<Be16>| {
            if key.get() & mask.get() > 0xff {
                return Err(Reason::MatchOther);
            }
            Ok((key.get() as u8, mask.get() as u8))
        };
        let (ty, code) = (low(ty)?, low(code)?);
        if ty.1 != 0 || code.1 != 0 {
            rule.icmp(ty, code);
        }
        Ok(())
    }

    /// ARP and RARP. The operation is kept as an IP protocol is.
    fn arp(&mut self, rule: &mut FlowRule) -> Result<(), Reason> {
        let sip: Bits<Be32> = take!(self, ipv4_src);
        let tip: Bits<Be32> = take!(self, ipv4_dst);
        let op = take!(self, ip_proto);
        let sha = take!(self, arp_sha);
        let tha = take!(self, arp_tha);
        if !matches!(op.1, 0 | 0xff) || (op.1 != 0 && op.0 == 0) {
            // Zero stands for all operations above 255, too.
            return Err(Reason::MatchArpFields);
        }
        if any(&sip.1) || any(&tip.1) || op.1 != 0 || any(&sha.1) || any(&tha.1) {
            rule.arp(sip, tip, op, sha, tha);
        }
        Ok(())
    }

    /// The tunnel that packets came through, if they came through one.
    fn tunnel(&mut self, rule: &mut FlowRule) -> Result<(), Reason> {
        if take!(self, tun_proto).0 != 0 {
            put_tunnel(rule, self.key, self.mask)?;
        } else if self.key.tun.words().iter().any(|&word| word != 0) {
            return Err(Reason::MatchTunnel);
        }
        self.left.tun = TunnelKey::zeroed();
        Ok(())
    }

    /// Puts all of the match into the rule. Returns the input port, the chain
    /// and how many VLAN tags packets have.
    fn put(&mut self, rule: &mut FlowRule) -> Result<(u16, u32, u8), Reason> {
        let (in_port, chain) = self.metadata()?;
        self.tunnel(rule)?;
        let tags = self.ethernet(rule)?;
        let eth_type = (self.key.eth_type, self.mask.eth_type);
        let mut ip_proto = (0, 0);
        match self.key.eth_type.get() {
            ETH_P_IP => {
                ip_proto = take!(self, ip_proto);
                self.ip(rule, false)?;
            }
            ETH_P_IPV6 => {
                ip_proto = take!(self, ip_proto);
                self.ip(rule, true)?;
            }
            ETH_P_ARP | ETH_P_RARP => self.arp(rule)?,
            // Software drops packets whose header is malformed.
            ETH_P_NSH => return Err(Reason::MatchNsh),
            eth_type if eth_p_mpls(eth_type) => {
                let labels = take!(self, mpls_num_labels_mask).1;
                let lses = take!(self, mpls_lse).1;
                if any(&labels) || any(&lses) {
                    return Err(Reason::MatchMpls);
                }
            }
            _ => (),
        }
        rule.basic(eth_type, ip_proto);

        if self.left.words().iter().any(|&word| word != 0) {
            return Err(Reason::MatchOther);
        }
        Ok((in_port, chain, tags))
    }
}

/// Whether a list ends in a recirculation.
fn recirculates(actions: &[Action]) -> bool {
    actions.iter().any(|action| match action {
        Action::Recirc(_) => true,
        Action::Clone(clone) => recirculates(&clone.actions),
        _ => false,
    })
}

/// A rule of a key, a mask and actions, and where it belongs: the input port,
/// the chain, and the chain that it goes to.
pub(crate) struct Rule {
    pub(crate) rule: FlowRule,
    pub(crate) in_port: u16,
    pub(crate) chain: u32,
    pub(crate) goto_chain: Option<u32>,
}

/// Makes a rule of a masked key, its mask and its actions. `port` gives the port
/// that an action sends to.
#[inline(never)]
pub(crate) fn translate_rule(
    key: &MatchKey,
    mask: &MatchKey,
    actions: &[Action],
    port: impl FnMut(u16) -> Result<OutPort, Reason>,
) -> Result<Rule, Reason> {
    let mut rule = FlowRule::new(actions.len())?;
    let mut m = Match {
        key,
        mask,
        left: *mask,
    };
    let (in_port, chain, tags) = m.put(&mut rule)?;
    if key.tun_proto != 0 {
        // A packet that comes back from a chain has no more of its tunnel than
        // the first rule matched on: flags, tos and ttl would be others.
        if chain != 0 || recirculates(actions) {
            return Err(Reason::TunnelRecirc);
        }
        rule.push_tunnel_decap()?;
    }
    let outputs = Outputs { in_port, port };
    let goto_chain = put_actions(&mut rule, key, mask, tags, actions, outputs)?;
    Ok(Rule {
        rule,
        in_port,
        chain,
        goto_chain,
    })
}

/// How packets are given to the host on an internal port. They come in there
/// with what hardware says of them on a kernel with `CONFIG_NET_TC_SKB_EXT`.
fn internal_kind(dev: &NetDevice) -> Result<OutKind, Reason> {
    if !tc_skb_ext::AVAILABLE {
        return Err(Reason::OutputInternal);
    }
    // Rules of tunnels would keep packets from the hooks.
    if !dev.is_up() || !dev.is_in(Net::init()) || dev.has_ingress_hooks() {
        return Err(Reason::InternalDown);
    }
    Ok(OutKind::Internal(dev.eth_addr()))
}

/// Makes a rule of a flow. May sleep.
///
/// Fails with the reason why the flow stays in software.
///
/// Out of line, as drivers, which are called after it, need much stack.
#[inline(never)]
pub(crate) fn translate(
    dp: &RcuArc<Datapath>,
    flow: &SwFlow,
    actions: &SwFlowActions,
) -> Result<Translated, Reason> {
    let key = flow.key();
    let mask = flow.mask().key();

    let mut out_ports = KVec::new();
    let mut to_internal = false;
    let Rule {
        mut rule,
        in_port,
        chain,
        goto_chain,
    } = translate_rule(&key, mask, &actions.list, |port_no| {
        let vport = dp.ports.load(port_no.into()).ok_or(Reason::OutputGone)?;
        out_ports.push(port_no, GFP_KERNEL)?;
        let dev = vport.dev();
        let kind = if vport.is_internal() {
            to_internal = true;
            internal_kind(dev)?
        } else {
            tunnel_kind(dev).map_or(OutKind::Device, |udp| OutKind::Tunnel { udp })
        };
        Ok(OutPort {
            dev: dev.hold(GFP_KERNEL),
            kind,
        })
    })?;

    let in_port = dp.ports.load(in_port.into()).ok_or(Reason::NoInPort)?;
    if in_port.is_internal() && !tc_skb_ext::AVAILABLE {
        return Err(Reason::InPortInternal);
    }
    if to_internal && (in_port.is_internal() || key.tun_proto != 0 || chain != 0) {
        return Err(Reason::InternalFromTunnel);
    }
    if tunnel_kind(in_port.dev()).is_some() != (key.tun_proto != 0) {
        return Err(Reason::MatchTunnel);
    }
    if key.tun_proto != 0 {
        if tunnel_kind(in_port.dev()) == Some(false) && !has_gre_key(&key, mask) {
            return Err(Reason::MatchTunnelId);
        }
        put_device_port(&mut rule, &key, mask, in_port.dev());
    }
    Ok(Translated {
        rule,
        in_port,
        chain,
        goto_chain,
        out_ports,
    })
}
