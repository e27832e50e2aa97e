// SPDX-License-Identifier: GPL-2.0

//! Flows as rules for drivers: what is done with packets.
//!
//! Drivers gather all changes to headers in one step. mlx5 sends to the outputs
//! before the last change first, unchanged, then changes, then sends to the
//! outputs after. So a rule has at most one run of changes: what would need a
//! second one is refused. Changes are gathered here and put as one, so that no
//! driver sees two to the same field; those that nothing follows are left out,
//! as they change nothing that anybody sees.

use kernel::prelude::*;

use kernel_ext::net::{
    dst_metadata::MetadataDst,
    flow_offload::{
        csum,
        FlowRule,
        MangleBase, //
    },
    netdevice::{
        NetDevice,
        NetDeviceRef, //
    }, //
};
use zerocopy::network_endian::U16 as Be16;

use super::{
    reason::Reason,
    tunnel::put_encap, //
};
use crate::{
    actions::{
        Action,
        SetField, //
    },
    flow::key::SwFlowKey,
    flow_netlink::uapi::*, //
};

/// The bits of a type of service or traffic class that are ECN's.
const INET_ECN_MASK: u8 = 3;

/// How deep clones nest at most: less than software allows, as each level takes
/// stack before a driver does.
const MAX_DEPTH: u32 = 4;

/// How many VLAN tags a rule pushes at most. More are refused as too many
/// actions.
const MAX_PUSHES: usize = 2;

/// A port that is sent to.
pub(crate) struct OutPort {
    /// Its device.
    pub(crate) dev: NetDeviceRef,
    /// What is behind it.
    pub(crate) kind: OutKind,
}

/// What is behind a port that is sent to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum OutKind {
    /// A device that sends.
    Device,
    /// A tunnel.
    Tunnel {
        /// Its packets go to a UDP port.
        udp: bool,
    },
    /// The host, which receives what is for this address.
    Internal([u8; 6]),
}

/// Where outputs go.
pub(super) struct Outputs<F> {
    /// The port that packets came in on.
    pub(super) in_port: u16,
    /// The port with a number.
    pub(super) port: F,
}

/// Bits to write of a header, as bytes in the packet.
struct Header<const N: usize> {
    base: MangleBase,
    value: [u8; N],
    mask: [u8; N],
}

impl<const N: usize> Header<N> {
    const fn new(base: MangleBase) -> Self {
        Self {
            base,
            value: [0; N],
            mask: [0; N],
        }
    }

    /// Has these bits written at `offset`, whatever was to be written before.
    fn write(&mut self, offset: usize, value: &[u8], mask: &[u8]) {
        let (Some(to), Some(to_mask)) = (self.value.get_mut(offset..), self.mask.get_mut(offset..))
        else {
            return;
        };
        for ((to, to_mask), (value, mask)) in to.iter_mut().zip(to_mask).zip(value.iter().zip(mask))
        {
            *to = *to & !mask | value & mask;
            *to_mask |= mask;
        }
    }

    /// Whether bits from `offset` on are written, in `len` bytes.
    fn touches(&self, offset: usize, len: usize) -> bool {
        let end = offset.saturating_add(len).min(N);
        self.mask
            .get(offset..end)
            .is_some_and(|masks| masks.iter().any(|&mask| mask != 0))
    }

    fn is_empty(&self) -> bool {
        !self.touches(0, N)
    }

    /// Puts what is written into the rule, by words of 32 bits.
    fn put(&self, rule: &mut FlowRule) -> Result<(), Reason> {
        let words = self.value.chunks_exact(4).zip(self.mask.chunks_exact(4));
        let mut offset = 0u32;
        for (value, mask) in words {
            let (Some(value), Some(mask)) = (value.first_chunk(), mask.first_chunk()) else {
                continue;
            };
            if *mask != [0; 4] {
                rule.push_mangle(self.base, offset, *value, *mask)?;
            }
            offset = offset.wrapping_add(4);
        }
        Ok(())
    }
}

/// Changes to a packet that have not been put into the rule.
struct Changes {
    eth: Header<12>,
    ipv4: Header<20>,
    ipv6: Header<40>,
    tcp: Header<4>,
    udp: Header<4>,
    pops: u8,
    pushes: KVec<(Be16, u16)>,
}

impl Changes {
    const fn new() -> Self {
        Self {
            eth: Header::new(MangleBase::Eth),
            ipv4: Header::new(MangleBase::Ip4),
            ipv6: Header::new(MangleBase::Ip6),
            tcp: Header::new(MangleBase::Tcp),
            udp: Header::new(MangleBase::Udp),
            pops: 0,
            pushes: KVec::new(),
        }
    }

    fn is_empty(&self) -> bool {
        self.eth.is_empty()
            && self.ipv4.is_empty()
            && self.ipv6.is_empty()
            && self.tcp.is_empty()
            && self.udp.is_empty()
            && self.pops == 0
            && self.pushes.is_empty()
    }

    /// Whether something is written that a checksum of the transport layer
    /// covers.
    fn touch_transport(&self) -> bool {
        self.ipv4.touches(12, 8)
            || self.ipv6.touches(8, 32)
            || !self.tcp.is_empty()
            || !self.udp.is_empty()
    }
}

/// Makes a rule's actions.
struct Builder<'a, F> {
    rule: &'a mut FlowRule,
    key: &'a SwFlowKey,
    mask: &'a SwFlowKey,
    /// How many VLAN tags of the packet are left.
    tags: u8,
    outputs: Outputs<F>,
    /// The tunnel that was set.
    tunnel: Option<&'a MetadataDst>,
    changes: Changes,
    /// A run of changes is in the rule.
    changed: bool,
}

/// What the packet has in a field, as far as the flow matches on it.
#[derive(Clone, Copy)]
struct Known<'a> {
    value: &'a [u8],
    mask: &'a [u8],
}

impl Known<'_> {
    /// Whether writing these bits leaves all packets as they are.
    fn is_no_change(&self, value: &[u8], mask: &[u8]) -> bool {
        let known = self.value.iter().zip(self.mask);
        known
            .zip(value.iter().zip(mask))
            .all(|((is, known), (value, mask))| mask & !known == 0 && (is ^ value) & mask == 0)
    }
}

/// Writes a field, if that changes anything.
fn write_field<const N: usize>(
    header: &mut Header<N>,
    offset: usize,
    known: Known<'_>,
    value: &[u8],
    mask: &[u8],
) {
    let again = header.touches(offset, mask.len());
    if again || !known.is_no_change(value, mask) {
        header.write(offset, value, mask);
    }
}

impl<'a, F: FnMut(u16) -> Result<OutPort, Reason>> Builder<'a, F> {
    /// Puts the changes so far into the rule.
    fn put_changes(&mut self) -> Result<(), Reason> {
        if self.changes.is_empty() {
            return Ok(());
        }
        if self.changed {
            return Err(Reason::RewriteAfterOutput);
        }
        self.changed = true;
        let changes = core::mem::replace(&mut self.changes, Changes::new());

        if changes.pops > 1 && !changes.pushes.is_empty() {
            // mlx5 makes a pop and a push one change, and forgets which pop.
            return Err(Reason::VlanPopTwicePush);
        }
        for _ in 0..changes.pops {
            self.rule.push_vlan_pop()?;
        }
        for &(tpid, tci) in &changes.pushes {
            // Software pushes tags without the bit that says there is one.
            let (vid, prio) = (tci & 0x0fff, (tci >> 13) as u8);
            self.rule.push_vlan_push(tpid, vid, prio)?;
        }

        changes.eth.put(self.rule)?;
        changes.ipv4.put(self.rule)?;
        changes.ipv6.put(self.rule)?;
        changes.tcp.put(self.rule)?;
        changes.udp.put(self.rule)?;
        self.put_checksums(&changes)
    }

    /// Has hardware correct the checksums that changes are covered by.
    fn put_checksums(&mut self, changes: &Changes) -> Result<(), Reason> {
        let mut flags = 0;
        if !changes.ipv4.is_empty() {
            flags |= csum::IPV4HDR;
        }
        if changes.touch_transport() {
            if self.mask.ip_proto != 0xff {
                return Err(Reason::RewriteAnyProtocol);
            }
            // The checksum of a packet that was cut into fragments is in the
            // first, and covers all.
            if self.mask.ip_frag != 0xff || self.key.ip_frag != 0 {
                return Err(Reason::RewriteFragments);
            }
            flags |= match self.key.ip_proto {
                IPPROTO_TCP => csum::TCP,
                IPPROTO_UDP => csum::UDP,
                IPPROTO_ICMPV6 if !changes.ipv6.is_empty() => csum::ICMP,
                _ => 0,
            };
        }
        if flags != 0 {
            self.rule.push_csum(flags)?;
        }
        Ok(())
    }

    /// Sets a type of service or traffic class at `offset` of a header, shifted
    /// left by `shift` bits into two bytes. ECN bits are refused, unless they
    /// stay as they are.
    fn tos_mask(&self, value: u8, mask: u8) -> Result<u8, Reason> {
        let ecn = mask & INET_ECN_MASK;
        let known = Known {
            value: &[self.key.ip_tos],
            mask: &[self.mask.ip_tos],
        };
        if ecn == 0 || known.is_no_change(&[value], &[ecn]) {
            Ok(mask & !INET_ECN_MASK)
        } else {
            Err(Reason::ActionSetEcn)
        }
    }

    /// `struct ovs_key_ipv4` into `struct iphdr`. The protocol and the fragment
    /// type cannot be set.
    fn set_ipv4(&mut self, value: &OvsKeyIpv4, mask: &OvsKeyIpv4) -> Result<(), Reason> {
        let tos_mask = self.tos_mask(value.ipv4_tos, mask.ipv4_tos)?;
        let (key, known) = (self.key, self.mask);
        let header = &mut self.changes.ipv4;

        let tos = Known {
            value: &[key.ip_tos],
            mask: &[known.ip_tos],
        };
        write_field(header, 1, tos, &[value.ipv4_tos], &[tos_mask]);
        let ttl = Known {
            value: &[key.ip_ttl],
            mask: &[known.ip_ttl],
        };
        write_field(header, 8, ttl, &[value.ipv4_ttl], &[mask.ipv4_ttl]);
        for (offset, is, value, mask) in [
            (
                12,
                (key.ipv4_src, known.ipv4_src),
                value.ipv4_src,
                mask.ipv4_src,
            ),
            (
                16,
                (key.ipv4_dst, known.ipv4_dst),
                value.ipv4_dst,
                mask.ipv4_dst,
            ),
        ] {
            let is = Known {
                value: &is.0.to_bytes(),
                mask: &is.1.to_bytes(),
            };
            write_field(header, offset, is, &value.to_bytes(), &mask.to_bytes());
        }
        Ok(())
    }

    /// `struct ovs_key_ipv6` into `struct ipv6hdr`.
    fn set_ipv6(&mut self, value: &OvsKeyIpv6, mask: &OvsKeyIpv6) -> Result<(), Reason> {
        if mask.ipv6_label.get() != 0 {
            return Err(Reason::ActionSetIpv6Label);
        }
        let class_mask = self.tos_mask(value.ipv6_tclass, mask.ipv6_tclass)?;
        let (key, known) = (self.key, self.mask);
        let header = &mut self.changes.ipv6;

        // The version is in the upper 4 bits, the traffic class in the 8 after.
        let class = |class: u8| (u16::from(class) << 4).to_be_bytes();
        let is = Known {
            value: &class(key.ip_tos),
            mask: &class(known.ip_tos),
        };
        write_field(header, 0, is, &class(value.ipv6_tclass), &class(class_mask));
        let hop_limit = Known {
            value: &[key.ip_ttl],
            mask: &[known.ip_ttl],
        };
        write_field(
            header,
            7,
            hop_limit,
            &[value.ipv6_hlimit],
            &[mask.ipv6_hlimit],
        );
        let src = Known {
            value: &key.ipv6_src,
            mask: &known.ipv6_src,
        };
        write_field(header, 8, src, &value.ipv6_src, &mask.ipv6_src);
        let dst = Known {
            value: &key.ipv6_dst,
            mask: &known.ipv6_dst,
        };
        write_field(header, 24, dst, &value.ipv6_dst, &mask.ipv6_dst);
        Ok(())
    }

    /// Notes a change to a header.
    fn set(&mut self, field: &SetField) -> Result<(), Reason> {
        let (key, known) = (self.key, self.mask);
        // Ports and what is known of them, for source and destination.
        let ports = |value: Be16, mask: Be16| (value.to_bytes(), mask.to_bytes());
        match field {
            SetField::Priority { .. } => return Err(Reason::ActionSetPriority),
            SetField::SkbMark { .. } => return Err(Reason::ActionSetSkbMark),
            SetField::CtMark { .. } | SetField::CtLabels { .. } => {
                return Err(Reason::ActionConntrack)
            }
            SetField::Sctp { .. } => return Err(Reason::ActionSetSctp),
            SetField::Mpls { .. } => return Err(Reason::ActionMpls),
            SetField::Ethernet { key: value, mask } => {
                let is = Known {
                    value: &key.eth_dst,
                    mask: &known.eth_dst,
                };
                write_field(&mut self.changes.eth, 0, is, &value.eth_dst, &mask.eth_dst);
                let is = Known {
                    value: &key.eth_src,
                    mask: &known.eth_src,
                };
                write_field(&mut self.changes.eth, 6, is, &value.eth_src, &mask.eth_src);
            }
            SetField::Ipv4 { key, mask } => self.set_ipv4(key, mask)?,
            SetField::Ipv6 { key, mask } => self.set_ipv6(key, mask)?,
            SetField::Tcp { key: value, mask } | SetField::Udp { key: value, mask } => {
                let header = match field {
                    SetField::Tcp { .. } => &mut self.changes.tcp,
                    _ => &mut self.changes.udp,
                };
                let (src, src_mask) = ports(key.tp_src, known.tp_src);
                let (dst, dst_mask) = ports(key.tp_dst, known.tp_dst);
                let &[v0, v1, v2, v3] = value;
                let &[m0, m1, m2, m3] = mask;
                let is = Known {
                    value: &src,
                    mask: &src_mask,
                };
                write_field(header, 0, is, &[v0, v1], &[m0, m1]);
                let is = Known {
                    value: &dst,
                    mask: &dst_mask,
                };
                write_field(header, 2, is, &[v2, v3], &[m2, m3]);
            }
        }
        Ok(())
    }

    /// Notes that a tag is popped: one that was pushed before, or one of the
    /// packet's.
    fn pop_vlan(&mut self) -> Result<(), Reason> {
        if self.changes.pushes.pop().is_some() {
            return Ok(());
        }
        self.tags = self.tags.checked_sub(1).ok_or(Reason::VlanPopUntagged)?;
        self.changes.pops = self.changes.pops.saturating_add(1);
        Ok(())
    }

    /// Notes that a tag is pushed.
    fn push_vlan(&mut self, tpid: Be16, tci: Be16) -> Result<(), Reason> {
        if self.changes.pushes.len() >= MAX_PUSHES {
            return Err(Reason::TooManyActions);
        }
        self.changes.pushes.push((tpid, tci.get()), GFP_KERNEL)?;
        Ok(())
    }

    /// Sends to a port; `last` if nothing that anybody sees follows.
    fn output(&mut self, port_no: u32, last: bool) -> Result<(), Reason> {
        let port_no = u16::try_from(port_no).map_err(|_| Reason::OutputGone)?;
        if port_no == self.outputs.in_port {
            return Err(Reason::OutputToInPort);
        }
        let port = (self.outputs.port)(port_no)?;
        if let OutKind::Internal(addr) = port.kind {
            return self.output_internal(&port.dev, addr, last);
        }
        self.put_changes()?;
        if let OutKind::Tunnel { udp } = port.kind {
            let dst = self.tunnel.ok_or(Reason::EncapNoTunnel)?;
            put_encap(self.rule, dst, udp)?;
        }
        if last {
            self.rule.push_redirect(&port.dev)?;
        } else {
            self.rule.push_mirred(&port.dev)?;
        }
        Ok(())
    }

    /// Has the host receive packets on an internal port with this address.
    ///
    /// Rules of a tunnel that ends at the host may take them before they get
    /// there. Those that they leave come in on the port as packets for this
    /// host, so they must be.
    fn output_internal(
        &mut self,
        dev: &NetDevice,
        addr: [u8; 6],
        last: bool,
    ) -> Result<(), Reason> {
        if !last || self.rule.n_actions() != 0 {
            return Err(Reason::InternalNotAlone);
        }
        let for_host = self.mask.eth_dst == [0xff; 6] && self.key.eth_dst == addr;
        if !for_host || self.changes.eth.touches(0, addr.len()) {
            return Err(Reason::InternalOtherHost);
        }
        self.put_changes()?;
        self.rule.push_ptype_host()?;
        Ok(self.rule.push_redirect_ingress(dev)?)
    }

    /// Goes through a list: all actions, or a clone's. At its end the packet is
    /// done with if `last`. Returns the chain that it goes on in.
    fn list(
        &mut self,
        actions: &'a [Action],
        last: bool,
        depth: u32,
    ) -> Result<Option<u32>, Reason> {
        let depth = depth.checked_sub(1).ok_or(Reason::TooDeep)?;
        let seen = visible(actions, depth);

        let mut rest = seen.iter();
        while let Some(action) = rest.next() {
            let last = last && rest.as_slice().is_empty();
            match action {
                Action::Output(port_no) => self.output(*port_no, last)?,
                Action::Set(set) => self.set(&set.field)?,
                Action::SetTunnel(dst) => self.tunnel = Some(dst),
                Action::PushVlan { tpid, tci } => self.push_vlan(*tpid, *tci)?,
                Action::PopVlan => self.pop_vlan()?,
                Action::Recirc(recirc_id) => {
                    if !last {
                        return Err(Reason::ActionRecircNotLast);
                    }
                    self.put_changes()?;
                    self.rule.push_goto(*recirc_id)?;
                    return Ok(Some(*recirc_id));
                }
                Action::Clone(clone) => {
                    // What a clone changes ends with it.
                    if !last && !visible(&clone.actions, depth).iter().all(is_output) {
                        return Err(Reason::ActionClone);
                    }
                    let chain = self.list(&clone.actions, last, depth)?;
                    if chain.is_some() {
                        return Ok(chain);
                    }
                }
                // The last thing that a list does, and nothing to see.
                Action::Drop(_) => (),
                Action::Userspace(_) => return Err(Reason::ActionUserspace),
                Action::Sample(_) => return Err(Reason::ActionSample),
                Action::CheckPktLen(_) => return Err(Reason::ActionCheckPktLen),
                Action::DecTtl(_) => return Err(Reason::ActionDecTtl),
                Action::Psample(_) => return Err(Reason::ActionPsample),
                Action::Ct(_) | Action::CtClear => return Err(Reason::ActionConntrack),
                Action::Trunc(_) => return Err(Reason::ActionTrunc),
                Action::Hash { .. } => return Err(Reason::ActionHash),
                Action::Meter(_) => return Err(Reason::ActionMeter),
                Action::PushEth { .. } => return Err(Reason::ActionPushEth),
                Action::PopEth => return Err(Reason::ActionPopEth),
                Action::PushMpls { .. } | Action::PopMpls(_) | Action::AddMpls { .. } => {
                    return Err(Reason::ActionMpls)
                }
                Action::PushNsh(_) | Action::PopNsh => return Err(Reason::ActionNsh),
            }
        }
        Ok(None)
    }
}

/// The list without what follows the last action that anybody sees.
fn visible(actions: &[Action], depth: u32) -> &[Action] {
    let mut seen = actions;
    while let [before @ .., last] = seen {
        if is_visible(last, depth) {
            break;
        }
        seen = before;
    }
    seen
}

fn is_output(action: &Action) -> bool {
    matches!(action, Action::Output(_))
}

/// Whether anybody sees an action that ends a list: it sends the packet
/// somewhere, or is refused anyway.
fn is_visible(action: &Action, depth: u32) -> bool {
    match action {
        Action::Set(_)
        | Action::SetTunnel(_)
        | Action::PushVlan { .. }
        | Action::PopVlan
        | Action::PushEth { .. }
        | Action::PopEth
        | Action::PushMpls { .. }
        | Action::PopMpls(_)
        | Action::AddMpls { .. }
        | Action::PushNsh(_)
        | Action::PopNsh
        | Action::Hash { .. }
        | Action::CtClear
        | Action::Trunc(_)
        | Action::Drop(_) => false,
        Action::Clone(clone) => match depth.checked_sub(1) {
            Some(depth) => clone.actions.iter().any(|action| is_visible(action, depth)),
            None => true,
        },
        // A meter counts.
        Action::Output(_)
        | Action::Userspace(_)
        | Action::Recirc(_)
        | Action::Sample(_)
        | Action::CheckPktLen(_)
        | Action::DecTtl(_)
        | Action::Psample(_)
        | Action::Ct(_)
        | Action::Meter(_) => true,
    }
}

/// Puts the actions of a flow with this key and mask, whose packets have `tags`
/// VLAN tags, into a rule. Returns the chain that it goes to.
#[inline(never)]
pub(super) fn put_actions(
    rule: &mut FlowRule,
    key: &SwFlowKey,
    mask: &SwFlowKey,
    tags: u8,
    actions: &[Action],
    outputs: Outputs<impl FnMut(u16) -> Result<OutPort, Reason>>,
) -> Result<Option<u32>, Reason> {
    let mut builder = Builder {
        rule,
        key,
        mask,
        tags,
        outputs,
        tunnel: None,
        changes: Changes::new(),
        changed: false,
    };
    let goto_chain = builder.list(actions, true, MAX_DEPTH.wrapping_add(1))?;
    if builder.rule.n_actions() == 0 {
        // No driver takes a rule that does nothing.
        builder.rule.push_drop()?;
    }
    Ok(goto_chain)
}
