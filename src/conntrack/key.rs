// SPDX-License-Identifier: GPL-2.0

//! What connection tracking knows of a packet, in its key.

use kernel_ext::{
    net::{
        netfilter::{
            nf_conntrack::{
                CtInfo,
                NfConn,
                Zone, //
            },
            NfProto, //
        },
        skbuff::SkBuff, //
    },
    uapi::{
        OVS_CS_F_DST_NAT,
        OVS_CS_F_ESTABLISHED,
        OVS_CS_F_INVALID,
        OVS_CS_F_NEW,
        OVS_CS_F_RELATED,
        OVS_CS_F_REPLY_DIR,
        OVS_CS_F_SRC_NAT,
        OVS_CS_F_TRACKED, //
    },
};
use zerocopy::network_endian::U16 as Be16;

use super::action::ConntrackInfo;
use crate::flow::{
    headers::{
        ETH_P_IP,
        ETH_P_IPV6,
        IPPROTO_ICMP,
        NEXTHDR_ICMP, //
    },
    key::SwFlowKey, //
};

/// The flags of `ct_state` that say that addresses were translated.
///
/// C: `OVS_CS_F_NAT_MASK`.
pub(super) const OVS_CS_F_NAT_MASK: u8 = (OVS_CS_F_SRC_NAT | OVS_CS_F_DST_NAT) as u8;

/// The flags of a packet that stands to its connection like this.
///
/// C: `ovs_ct_get_state()`.
fn ovs_ct_get_state(ctinfo: CtInfo) -> u32 {
    OVS_CS_F_TRACKED
        | match ctinfo {
            CtInfo::ESTABLISHED => OVS_CS_F_ESTABLISHED,
            CtInfo::ESTABLISHED_REPLY => OVS_CS_F_ESTABLISHED | OVS_CS_F_REPLY_DIR,
            CtInfo::RELATED => OVS_CS_F_RELATED,
            CtInfo::RELATED_REPLY => OVS_CS_F_RELATED | OVS_CS_F_REPLY_DIR,
            CtInfo::NEW => OVS_CS_F_NEW,
            _ => 0,
        }
}

/// The labels of a connection; those of the one that expected it until it is
/// confirmed.
///
/// C: `ovs_ct_get_labels()`.
#[cfg(CONFIG_NF_CONNTRACK_LABELS)]
fn ovs_ct_get_labels(ct: &NfConn) -> [u8; 16] {
    let ct = match ct.master() {
        Some(master) if !ct.is_confirmed() => master,
        _ => ct,
    };
    ct.labels().map_or([0; 16], super::labels::to_key)
}

#[cfg(not(CONFIG_NF_CONNTRACK_LABELS))]
fn ovs_ct_get_labels(_ct: &NfConn) -> [u8; 16] {
    [0; 16]
}

/// Puts addresses and ports of the connection's first packet into the key, of
/// the connection that expected it if there is one. They are not there unless
/// they are of the packet's IP version.
///
/// C: the second half of `__ovs_ct_update_key()`, and
/// `__ovs_ct_update_key_orig_tp()`.
fn update_key_orig(key: &mut SwFlowKey, ct: Option<&NfConn>) {
    let orig = ct.map(|ct| ct.master().unwrap_or(ct).original());
    let orig = match (orig, key.eth_type.get()) {
        (Some(orig), ETH_P_IP) if orig.is_of(NfProto::Ipv4) => Some((orig, IPPROTO_ICMP)),
        (Some(orig), ETH_P_IPV6) if !key.is_nd() && orig.is_of(NfProto::Ipv6) => {
            Some((orig, NEXTHDR_ICMP))
        }
        _ => None,
    };
    let Some((orig, icmp_proto)) = orig else {
        // Zero marks that the others are not there, which C leaves as they were.
        key.ct_orig_proto = 0;
        key.ct_orig_src = [0; 16];
        key.ct_orig_dst = [0; 16];
        key.ct_orig_tp_src = Be16::ZERO;
        key.ct_orig_tp_dst = Be16::ZERO;
        return;
    };

    key.ct_orig_proto = orig.protonum();
    key.ct_orig_src = orig.src();
    key.ct_orig_dst = orig.dst();
    if orig.protonum() == icmp_proto {
        let (ty, code) = orig.icmp();
        key.ct_orig_tp_src = Be16::new(ty.into());
        key.ct_orig_tp_dst = Be16::new(code.into());
    } else {
        key.ct_orig_tp_src = orig.src_port();
        key.ct_orig_tp_dst = orig.dst_port();
    }
}

/// Puts what is known of the packet's connection into the key.
///
/// `post_ct` says that the packet has been to connection tracking by a ct
/// action, that of `info`. `keep_nat_flags` says that the flags for translated
/// addresses stay as they are in the key; otherwise they are the connection's.
///
/// C: `ovs_ct_update_key()` and `__ovs_ct_update_key()`.
pub(super) fn ovs_ct_update_key(
    skb: &SkBuff,
    info: Option<&ConntrackInfo>,
    key: &mut SwFlowKey,
    post_ct: bool,
    keep_nat_flags: bool,
) {
    let mut state = 0;
    let mut zone = Zone::default();

    let ct = skb.nf_ct();
    if let Some((ct, ctinfo)) = ct {
        state = ovs_ct_get_state(ctinfo);
        // All unconfirmed entries are NEW connections.
        if !ct.is_confirmed() {
            state |= OVS_CS_F_NEW;
        }
        // The related flag stays for as long as the connection.
        if ct.master().is_some() {
            state |= OVS_CS_F_RELATED;
        }
        if keep_nat_flags {
            state |= u32::from(key.ct_state & OVS_CS_F_NAT_MASK);
        } else {
            if ct.has_src_nat() {
                state |= OVS_CS_F_SRC_NAT;
            }
            if ct.has_dst_nat() {
                state |= OVS_CS_F_DST_NAT;
            }
        }
        zone = ct.zone();
    } else if post_ct {
        state = OVS_CS_F_TRACKED | OVS_CS_F_INVALID;
        if let Some(info) = info {
            zone = info.zone();
        }
    }

    let ct = ct.map(|(ct, _)| ct);
    // CAST: All flags are in the lowest eight bits.
    key.ct_state = state as u8;
    key.ct_zone = zone.0;
    key.ct_mark = ct.map_or(0, NfConn::mark);
    key.ct_labels = ct.map_or([0; 16], ovs_ct_get_labels);
    update_key_orig(key, ct);
}

/// Puts into the key what a packet brings of connection tracking that comes from
/// the local stack, or from traffic control.
///
/// C: `ovs_ct_fill_key()`.
pub(crate) fn ovs_ct_fill_key(skb: &SkBuff, key: &mut SwFlowKey, post_ct: bool) {
    ovs_ct_update_key(skb, None, key, post_ct, false);
}
