// SPDX-License-Identifier: GPL-2.0

//! Why the datapath drops packets, as the `skb:kfree_skb` tracepoint shows it.
//!
//! Numbers and names are those of C's `net/openvswitch/drop.h`.

use kernel_ext::net::dropreason::{
    DropReason,
    DropReasonList,
    ReasonName, //
};

/// Defines the reasons and the list of their names, from 1 on.
macro_rules! drop_reasons {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $text:literal;)*) => {
        $(
            $(#[$doc])*
            pub(crate) const $name: DropReason = DropReason::openvswitch($number);
        )*

        static NAMES: [ReasonName; 12] = [
            ReasonName::NONE,
            $(ReasonName::new($text),)*
        ];
    };
}

// All of C's are registered, since names go by number.
drop_reasons! {
    /// There was no action left.
    OVS_DROP_LAST_ACTION = 1, c"OVS_DROP_LAST_ACTION";
    /// An action failed.
    OVS_DROP_ACTION_ERROR = 2, c"OVS_DROP_ACTION_ERROR";
    /// The drop action, with error code 0.
    OVS_DROP_EXPLICIT = 3, c"OVS_DROP_EXPLICIT";
    /// The drop action, with another error code.
    OVS_DROP_EXPLICIT_WITH_ERROR = 4, c"OVS_DROP_EXPLICIT_WITH_ERROR";
    /// A meter was exceeded.
    OVS_DROP_METER = 5, c"OVS_DROP_METER";
    /// The datapath was entered too often for one packet.
    OVS_DROP_RECURSION_LIMIT = 6, c"OVS_DROP_RECURSION_LIMIT";
    /// Too many actions were put off.
    OVS_DROP_DEFERRED_LIMIT = 7, c"OVS_DROP_DEFERRED_LIMIT";
    /// The link layer header is too long to repeat it for each fragment.
    OVS_DROP_FRAG_L2_TOO_LONG = 8, c"OVS_DROP_FRAG_L2_TOO_LONG";
    /// The packet is to be fragmented and is not IP.
    OVS_DROP_FRAG_INVALID_PROTO = 9, c"OVS_DROP_FRAG_INVALID_PROTO";
    /// Connection tracking said so.
    #[cfg_attr(not(CONFIG_NF_CONNTRACK_OVS), expect(dead_code, reason = "is not there"))]
    OVS_DROP_CONNTRACK = 10, c"OVS_DROP_CONNTRACK";
    /// The time to live is over.
    OVS_DROP_IP_TTL = 11, c"OVS_DROP_IP_TTL";
}

/// The names, to be registered.
pub(crate) static DROP_REASONS: DropReasonList = DropReasonList::new(&NAMES);
