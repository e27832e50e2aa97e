// SPDX-License-Identifier: GPL-2.0

//! Actions: the typed form that packets run, made from netlink by
//! [`crate::flow_netlink`].

pub(crate) mod cb;
pub(crate) mod check_pkt_len;
pub(crate) mod dec_ttl;
pub(crate) mod execute;
mod output;
mod psample;
pub(crate) mod push_pop;
pub(crate) mod set;

use kernel::{
    prelude::*,
    sync::Arc, //
};

use kernel_ext::net::{
    dst_metadata::MetadataDst,
    nsh::NshHdr, //
};
use zerocopy::network_endian::{
    U16 as Be16,
    U32 as Be32, //
};

use crate::{
    conntrack::ConntrackInfo,
    flow_netlink::uapi::{
        OvsKeyEthernet,
        OvsKeyIpv4,
        OvsKeyIpv6,
        OVS_PSAMPLE_COOKIE_MAX_SIZE, //
    },
};

/// A flow's actions. Freed a grace period after they are replaced.
///
/// C: `struct sw_flow_actions`.
pub(crate) struct SwFlowActions {
    /// The length of the netlink attribute they were made from, which is what
    /// an upcall reserves for `OVS_PACKET_ATTR_ACTIONS`.
    pub(crate) orig_len: usize,
    /// What is done, in order.
    pub(crate) list: ActionList,
    /// The packet's hash has to be calculated before the actions run, see
    /// [`HashUse`]. C calculates it for every packet.
    pub(crate) needs_hash: bool,
}

impl SwFlowActions {
    /// Actions made from a netlink attribute of `orig_len` bytes.
    pub(crate) fn new(orig_len: usize, list: ActionList) -> Self {
        let mut hash = HashUse::default();
        hash.list(&list);
        Self {
            orig_len,
            list,
            needs_hash: hash.needed,
        }
    }
}

/// Finds out whether it can be seen when a packet's hash is calculated.
///
/// A hash that is calculated when somebody asks for it is over the headers that
/// the packet has then. Userspace is shown it, a tunnel's source port and the
/// transmit queue are chosen by it, and all packets of a flow have to agree. So
/// it is calculated first where it is used after a change of what it is over.
#[derive(Default)]
struct HashUse {
    /// Headers that the hash is over may have changed.
    changed: bool,
    /// The hash has to be calculated first.
    needed: bool,
}

impl HashUse {
    /// Goes through a list, in order, and through those nested in it. Lists are
    /// nested no deeper than the check of the netlink form permits.
    fn list(&mut self, actions: &[Action]) {
        for action in actions {
            match action.hash_effect() {
                HashEffect::Shows => self.needed = true,
                HashEffect::Changes => self.changed = true,
                HashEffect::Uses => self.needed |= self.changed,
                HashEffect::None => (),
            }
            for nested in action.children() {
                self.list(&nested.actions);
            }
        }
    }
}

/// What an action means to the packet's hash.
enum HashEffect {
    /// Nothing.
    None,
    /// It shows it, or calculates with it.
    Shows,
    /// It changes what the hash is over.
    Changes,
    /// What happens to the packet then depends on the hash.
    Uses,
}

/// A list of actions, at the top or nested.
pub(crate) type ActionList = KVec<Action>;

/// One action. Small: what is large or rare is boxed.
pub(crate) enum Action {
    /// Send to a port of the datapath.
    Output(u32),
    /// Send to userspace.
    Userspace(KBox<UserspaceAction>),
    /// Change header fields under a mask; also SET, whose mask is all ones.
    Set(KBox<SetAction>),
    /// Send the packet through this tunnel, by a port that is one's. Also the
    /// tunnel's SET.
    SetTunnel(MetadataDst),
    /// Push a VLAN tag. `tci` has `VLAN_CFI_MASK` set, as from userspace.
    PushVlan {
        /// The tag's protocol.
        tpid: Be16,
        /// Tag control information.
        tci: Be16,
    },
    /// Pop the outermost VLAN tag.
    PopVlan,
    /// Push an Ethernet header.
    PushEth {
        /// Source address.
        src: [u8; 6],
        /// Destination address.
        dst: [u8; 6],
    },
    /// Pop the Ethernet header.
    PopEth,
    /// Push an MPLS label stack entry behind the MAC header.
    PushMpls {
        /// The entry.
        lse: Be32,
        /// The Ethernet type that the packet gets.
        ethertype: Be16,
        /// What is behind that in `struct ovs_action_push_mpls`: a dump gives it
        /// back.
        pad: [u8; 2],
    },
    /// Pop the outermost MPLS label stack entry. The packet gets this Ethernet
    /// type.
    PopMpls(Be16),
    /// Push an MPLS label stack entry behind the MAC header or before it.
    AddMpls {
        /// The entry.
        lse: Be32,
        /// The Ethernet type that the packet gets.
        ethertype: Be16,
        /// `OVS_MPLS_*`, host byte order.
        tun_flags: u16,
    },
    /// Push a network service header.
    PushNsh(KBox<PushNsh>),
    /// Pop the network service header.
    PopNsh,
    /// Look the packet up again under this recirculation id.
    Recirc(u32),
    /// Compute `dp_hash`.
    Hash {
        /// One of `OVS_HASH_ALG_*`.
        alg: u32,
        /// Mixed into the hash.
        basis: u32,
    },
    /// Run actions on some packets.
    Sample(KBox<SampleAction>),
    /// Run actions on a copy.
    Clone(Arc<NestedActions>),
    /// Run one list of actions on packets up to a length, another one on longer
    /// ones.
    CheckPktLen(KBox<CheckPktLenAction>),
    /// Decrement the time to live. A packet whose time is over goes through
    /// these actions instead of the rest of the list.
    DecTtl(Arc<NestedActions>),
    /// Send a sample to userspace.
    Psample(KBox<PsampleAction>),
    /// Cut what later actions send to this many bytes.
    Trunc(u32),
    /// Drop if this meter says so.
    Meter(u32),
    /// Have connection tracking look at the packet.
    Ct(KBox<ConntrackInfo>),
    /// Have the packet be one that was not to connection tracking.
    CtClear,
    /// Drop, with this error code (`OVS_DROP_EXPLICIT` for 0, otherwise
    /// `OVS_DROP_EXPLICIT_WITH_ERROR`).
    Drop(u32),
}

/// `OVS_ACTION_ATTR_USERSPACE`.
pub(crate) struct UserspaceAction {
    /// Netlink port to send to (`OVS_USERSPACE_ATTR_PID`).
    pub(crate) pid: u32,
    /// `OVS_USERSPACE_ATTR_USERDATA`.
    pub(crate) userdata: Option<KVec<u8>>,
    /// `OVS_USERSPACE_ATTR_EGRESS_TUN_PORT`: the port whose tunnel is told.
    pub(crate) egress_tun_port: Option<u32>,
    /// `OVS_USERSPACE_ATTR_ACTIONS` is present.
    pub(crate) actions: bool,
    /// The payload as it came: what a dump gives back.
    pub(crate) raw: KVec<u8>,
}

impl Action {
    /// The lists that are nested in the action, in the order of their netlink
    /// form.
    pub(crate) fn children(&self) -> impl Iterator<Item = &Arc<NestedActions>> {
        let lists = match self {
            Self::Sample(sample) => [Some(&sample.nested), None],
            Self::Clone(clone) => [Some(clone), None],
            Self::DecTtl(nested) => [Some(nested), None],
            Self::CheckPktLen(check) => [Some(&check.if_less_equal), Some(&check.if_greater)],
            _ => [None, None],
        };
        lists.into_iter().flatten()
    }

    fn hash_effect(&self) -> HashEffect {
        match self {
            Self::Userspace(_) | Self::Hash { .. } => HashEffect::Shows,
            Self::Output(_) | Self::Recirc(_) => HashEffect::Uses,
            Self::PushVlan { .. }
            | Self::PopVlan
            | Self::PushEth { .. }
            | Self::PopEth
            | Self::PushMpls { .. }
            | Self::PopMpls(_)
            | Self::AddMpls { .. }
            | Self::PushNsh(_)
            | Self::PopNsh
            // It may cut headers off.
            | Self::Trunc(_) => HashEffect::Changes,
            // What changes addresses and ports forgets the hash; a flow label is
            // changed without that.
            Self::Set(set) => match &set.field {
                SetField::Ipv6 { .. } => HashEffect::Changes,
                _ => HashEffect::None,
            },
            Self::Ct(info) if info.nat().is_enabled() => HashEffect::Changes,
            Self::SetTunnel(_)
            | Self::Sample(_)
            | Self::Clone(_)
            | Self::Meter(_)
            | Self::CheckPktLen(_)
            | Self::DecTtl(_)
            | Self::Psample(_)
            | Self::Ct(_)
            | Self::CtClear
            | Self::Drop(_) => HashEffect::None,
        }
    }
}

/// A list of actions in an action. It has an owner of its own, so that a packet
/// that was put off can keep it.
pub(crate) struct NestedActions {
    /// The list can run in place: nothing follows it, or it does not change the
    /// packet's key. C: `struct sample_arg.exec`, the internal
    /// `OVS_CLONE_ATTR_EXEC` and their like.
    pub(crate) exec: bool,
    /// What is done.
    pub(crate) actions: ActionList,
}

/// `OVS_ACTION_ATTR_PUSH_NSH`.
pub(crate) struct PushNsh {
    /// The header.
    pub(crate) header: NshHdr,
    /// The payload as it came: what a dump gives back.
    pub(crate) raw: KVec<u8>,
}

/// `OVS_ACTION_ATTR_SAMPLE`.
pub(crate) struct SampleAction {
    /// Out of `u32::MAX`, what share of packets.
    pub(crate) probability: u32,
    /// What is done with them.
    pub(crate) nested: Arc<NestedActions>,
}

/// `OVS_ACTION_ATTR_CHECK_PKT_LEN`.
pub(crate) struct CheckPktLenAction {
    /// The longest packet that the first list is for, in bytes with the MAC
    /// header. Not 0.
    pub(crate) pkt_len: u16,
    /// What is done with packets of up to this length.
    pub(crate) if_less_equal: Arc<NestedActions>,
    /// What is done with longer ones.
    pub(crate) if_greater: Arc<NestedActions>,
}

/// `OVS_ACTION_ATTR_PSAMPLE`.
pub(crate) struct PsampleAction {
    /// The number of the group that the sample is of.
    pub(crate) group: u32,
    /// The payload as it came: what a dump gives back.
    pub(crate) raw: KVec<u8>,
    cookie: [u8; OVS_PSAMPLE_COOKIE_MAX_SIZE],
    cookie_len: u8,
}

impl PsampleAction {
    /// Fails with `ERANGE` for a cookie of more than
    /// [`OVS_PSAMPLE_COOKIE_MAX_SIZE`] bytes, and with `ENOMEM`.
    pub(crate) fn new(group: u32, cookie: &[u8], payload: &[u8]) -> Result<Self> {
        let mut bytes = [0; OVS_PSAMPLE_COOKIE_MAX_SIZE];
        bytes
            .get_mut(..cookie.len())
            .ok_or(ERANGE)?
            .copy_from_slice(cookie);
        let mut raw = KVec::new();
        raw.extend_from_slice(payload, GFP_KERNEL)?;
        Ok(Self {
            group,
            raw,
            cookie: bytes,
            // CAST: At most `OVS_PSAMPLE_COOKIE_MAX_SIZE`.
            cookie_len: cookie.len() as u8,
        })
    }

    /// What the sample comes with, so that the user knows what it is of.
    pub(crate) fn cookie(&self) -> &[u8] {
        self.cookie
            .get(..self.cookie_len.into())
            .unwrap_or_default()
    }
}

/// `OVS_ACTION_ATTR_SET` and `OVS_ACTION_ATTR_SET_MASKED`.
pub(crate) struct SetAction {
    /// What is set; fields are already masked.
    pub(crate) field: SetField,
    /// It came as SET (C: `OVS_ACTION_ATTR_SET_TO_MASKED`) and is dumped so.
    pub(crate) from_set: bool,
    /// The payload as it came, where a dump could not make it from the field: a
    /// masked one may be a byte too long, or have flags in its type.
    pub(crate) as_came: Option<KVec<u8>>,
}

/// The field of a set action: value and mask, in the order of the userspace
/// API's structures, network byte order where they have it.
pub(crate) enum SetField {
    /// `OVS_KEY_ATTR_PRIORITY`, host order.
    Priority { key: u32, mask: u32 },
    /// `OVS_KEY_ATTR_SKB_MARK`, host order.
    SkbMark { key: u32, mask: u32 },
    /// `OVS_KEY_ATTR_CT_MARK`, host order. As in C, it can be asked for, but not
    /// be set.
    CtMark { key: u32, mask: u32 },
    /// `OVS_KEY_ATTR_CT_LABELS`, as `CtMark`.
    CtLabels { key: [u8; 16], mask: [u8; 16] },
    /// `OVS_KEY_ATTR_ETHERNET`.
    Ethernet {
        key: OvsKeyEthernet,
        mask: OvsKeyEthernet,
    },
    /// `OVS_KEY_ATTR_IPV4`.
    Ipv4 { key: OvsKeyIpv4, mask: OvsKeyIpv4 },
    /// `OVS_KEY_ATTR_IPV6`.
    Ipv6 { key: OvsKeyIpv6, mask: OvsKeyIpv6 },
    /// `OVS_KEY_ATTR_MPLS`: the first label stack entry.
    Mpls { key: [u8; 4], mask: [u8; 4] },
    /// `OVS_KEY_ATTR_TCP`: source and destination port.
    Tcp { key: [u8; 4], mask: [u8; 4] },
    /// `OVS_KEY_ATTR_UDP`.
    Udp { key: [u8; 4], mask: [u8; 4] },
    /// `OVS_KEY_ATTR_SCTP`.
    Sctp { key: [u8; 4], mask: [u8; 4] },
}
