// SPDX-License-Identifier: GPL-2.0

//! Why a flow cannot be given to hardware: each refusal has its own reason.

/// Defines the reasons and their texts. Codes count from 1 in the order of the
/// list; new ones go to the end, as userspace sees the codes.
macro_rules! reasons {
    ($($(#[$meta:meta])* $name:ident = $text:literal,)*) => {
        /// Why a flow's translation was refused.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(u8)]
        pub(crate) enum Reason {
            $($(#[$meta])* #[doc = $text] $name,)*
        }

        impl Reason {
            const ALL: &'static [Reason] = &[$(Reason::$name,)*];

            /// The reason as text.
            pub(crate) fn as_str(self) -> &'static str {
                match self {
                    $(Reason::$name => $text,)*
                }
            }

            /// The reason with this code, which counts from 1.
            pub(crate) fn from_code(code: u8) -> Option<Self> {
                Self::ALL.get(usize::from(code.checked_sub(1)?)).copied()
            }
        }
    };
}

reasons! {
    NoMemory = "out of memory",
    NoInPort = "match on no input port, or on one that is gone",
    InPortInternal = "input port is an internal port",
    MatchInPort = "match on a part of the input port number",
    MatchRecircId = "match on a part of the recirculation id",
    MatchPriority = "match on skb_priority",
    MatchSkbMark = "match on skb_mark",
    MatchDpHash = "match on dp_hash",
    MatchLayer3 = "match on a packet without Ethernet header",
    MatchAnyEthType = "match on any Ethernet type",
    Match8022 = "match on an 802.2 frame",
    MatchVlanType = "match on any VLAN type",
    MatchVlanTruncated = "match on more VLAN tags than two, or on a truncated one",
    MatchArpFields = "match on a part of the ARP operation",
    MatchFragment = "match on a part of the fragment type",
    MatchIpv6Fragment = "match on IPv6 fragments",
    MatchPortsOfFragments = "match on ports whether or not packets are fragments",
    MatchIpv6Label = "match on the IPv6 flow label",
    MatchIpv6ExtHdrs = "match on IPv6 extension headers",
    MatchTcpFlags = "match on reserved TCP flags",
    MatchNd = "match on neighbour discovery fields",
    MatchOther = "match on a field that hardware has no key for",
    ActionUserspace = "action userspace",
    ActionSample = "action sample",
    ActionClone = "action clone with changes that end with it",
    ActionTrunc = "action trunc",
    ActionHash = "action hash",
    ActionPushEth = "action push_eth",
    ActionPopEth = "action pop_eth",
    ActionRecircNotLast = "action recirc that others follow",
    ActionSetPriority = "action set of skb_priority",
    ActionSetSkbMark = "action set of skb_mark",
    ActionSetSctp = "action set of SCTP ports",
    ActionSetEcn = "action set of ECN bits",
    ActionSetIpv6Label = "action set of the IPv6 flow label",
    RewriteAnyProtocol = "rewrite of IP addresses of any protocol",
    RewriteFragments = "rewrite of addresses or ports of fragments",
    RewriteAfterOutput = "rewrite after a rewrite and an output",
    VlanPopUntagged = "pop of a VLAN tag that the packet does not have",
    VlanPopTwicePush = "pop of two VLAN tags with a push",
    OutputGone = "output to a port that does not exist",
    OutputInternal = "output to an internal port",
    OutputToInPort = "output to the input port",
    TooManyActions = "more actions than drivers take",
    NoChains = "recirculation, of which hardware cannot hand over an unfinished packet here",
    TooDeep = "clones nested deeper than four",
    MatchTunnel = "match on a tunnel and on a port that is none, or the reverse",
    MatchTunnelId = "match on no tunnel id, or on one of more than 32 bits",
    MatchTunnelOptions = "match on tunnel options",
    MatchTunnelLabel = "match on the IPv6 flow label of a tunnel",
    EncapNoTunnel = "output to a tunnel's port without a tunnel that was set",
    EncapNoAddress = "send through a tunnel without addresses",
    EncapNoPort = "send through a tunnel without a destination port",
    EncapFlags = "send through a tunnel with checksum, OAM flag or critical options",
    Displaced = "flows with more packets have the room",
    FullBefore = "no room when a flow was tried last",
    DriverFailed = "the driver failed and is left alone for a while",
    MatchTunnelFlags =
        "match on the tunnel's flags for do-not-fragment and checksum, which the driver does not take",
    WithoutTunnelFlags =
        "in hardware without a match on the tunnel's flags for do-not-fragment and checksum",
    TunnelRecirc =
        "recirculation out of a tunnel, of which hardware does not hand back all with the packet",
    TunnelFlagsDiffer =
        "a flow that differs only in the tunnel's flags does something else, or stays in software",
    InternalNotAlone = "output to an internal port and to others",
    InternalOtherHost = "output to an internal port of packets that may not be for its address",
    InternalDown = "output to an internal port that is down, in another namespace or has hooks",
    InternalFromTunnel =
        "output to an internal port from a tunnel, from another one, or after recirculation",
    MatchConntrack = "match on connection tracking",
    ActionConntrack = "action of connection tracking",
    ActionMeter = "action meter",
    MatchMpls = "match on MPLS",
    ActionMpls = "action push_mpls, pop_mpls, add_mpls or set of MPLS",
    ActionCheckPktLen = "action check_pkt_len",
    ActionDecTtl = "action dec_ttl",
    ActionPsample = "action psample",
    MatchNsh = "match on a network service header",
    ActionNsh = "action push_nsh or pop_nsh",
}

impl Reason {
    /// The reason's code, from 1.
    pub(crate) const fn code(self) -> u8 {
        (self as u8).wrapping_add(1)
    }

    /// Whether this is the code of a reason that a port which is sent to may take
    /// away.
    pub(super) fn is_of_output(code: u8) -> bool {
        matches!(
            Self::from_code(code),
            Some(Self::OutputGone | Self::InternalDown | Self::InternalOtherHost)
        )
    }
}

impl From<kernel::error::Error> for Reason {
    /// For errors of building a rule.
    fn from(err: kernel::error::Error) -> Self {
        if err == kernel::error::code::E2BIG {
            Reason::TooManyActions
        } else {
            Reason::NoMemory
        }
    }
}

impl From<kernel::alloc::AllocError> for Reason {
    fn from(_: kernel::alloc::AllocError) -> Self {
        Reason::NoMemory
    }
}
