// SPDX-License-Identifier: GPL-2.0

//! Actions that add and remove headers.

use kernel::prelude::*;
use kernel_ext::net::{
    nsh::NshHdr,
    skbuff::SkBuff, //
};
use zerocopy::network_endian::{
    U16 as Be16,
    U32 as Be32, //
};

use crate::flow::{
    headers::{
        ETH_P_TEB,
        VLAN_CFI_MASK, //
    },
    key::{
        SwFlowKey,
        VlanHead,
        MAC_PROTO_ETHERNET,
        MAC_PROTO_NONE, //
    }, //
};

/// Removes the outermost VLAN tag, if there is one. Fails with `ENOMEM`.
#[inline]
pub(crate) fn pop_vlan(skb: &mut SkBuff, key: &mut SwFlowKey) -> Result {
    let result = skb.vlan_pop();
    if skb.vlan_tag_present() {
        key.invalidate();
    } else {
        key.vlan = VlanHead::default();
    }
    result
}

/// Adds a VLAN tag as the outermost one. Fails with `ENOMEM`.
#[inline]
pub(crate) fn push_vlan(skb: &mut SkBuff, key: &mut SwFlowKey, tpid: Be16, tci: Be16) -> Result {
    if skb.vlan_tag_present() {
        key.invalidate();
    } else {
        key.vlan = VlanHead { tpid, tci };
    }
    let result = skb.vlan_push(tpid, tci.get() & !VLAN_CFI_MASK);
    skb.reset_mac_len();
    result
}

/// Removes the Ethernet header. There is no VLAN tag: the flow says so. Fails
/// with `EPROTO` for a packet without such a header, and with `ENOMEM`.
pub(crate) fn pop_eth(skb: &mut SkBuff, key: &mut SwFlowKey) -> Result {
    skb.eth_pop()?;
    key.mac_proto = MAC_PROTO_NONE;
    key.invalidate();
    Ok(())
}

/// Adds an Ethernet header. Fails with `EPROTO` for a packet that has a VLAN
/// tag, and with `ENOMEM`.
pub(crate) fn push_eth(
    skb: &mut SkBuff,
    key: &mut SwFlowKey,
    src: &[u8; 6],
    dst: &[u8; 6],
) -> Result {
    skb.eth_push(dst, src)?;
    key.mac_proto = MAC_PROTO_ETHERNET;
    key.invalidate();
    Ok(())
}

/// Adds an entry of an MPLS label stack behind the first `mac_len` bytes, which
/// are all of the MAC header or nothing: what there was of one is then payload.
/// Fails with `EINVAL` for a packet in a tunnel, and with `ENOMEM`.
pub(crate) fn push_mpls(
    skb: &mut SkBuff,
    key: &mut SwFlowKey,
    lse: Be32,
    ethertype: Be16,
    mac_len: u16,
) -> Result {
    skb.mpls_push(lse, ethertype, mac_len, mac_len != 0)?;
    if mac_len == 0 {
        key.mac_proto = MAC_PROTO_NONE;
    }
    key.invalidate();
    Ok(())
}

/// Removes the first entry of the MPLS label stack; where the packet has none,
/// nothing. What is behind it is of the type `ethertype`: with `ETH_P_TEB` an
/// Ethernet header. Fails with `ENOMEM`.
pub(crate) fn pop_mpls(skb: &mut SkBuff, key: &mut SwFlowKey, ethertype: Be16) -> Result {
    skb.mpls_pop(ethertype, key.mac_proto() == MAC_PROTO_ETHERNET)?;
    if ethertype.get() == ETH_P_TEB {
        key.mac_proto = MAC_PROTO_ETHERNET;
    }
    key.invalidate();
    Ok(())
}

/// Adds a network service header. What there is of a MAC header is behind it.
/// Fails with `EAFNOSUPPORT` for a packet that is of a protocol which cannot be
/// behind one, and with `ENOMEM`.
pub(crate) fn push_nsh(skb: &mut SkBuff, key: &mut SwFlowKey, header: &NshHdr) -> Result {
    skb.nsh_push(header)?;
    key.mac_proto = MAC_PROTO_NONE;
    key.invalidate();
    Ok(())
}

/// Removes the network service header that the packet begins with. Fails with
/// `EINVAL` where what is there is none, `EAFNOSUPPORT` for an unknown protocol
/// behind it, and with `ENOMEM`.
pub(crate) fn pop_nsh(skb: &mut SkBuff, key: &mut SwFlowKey) -> Result {
    skb.nsh_pop()?;
    key.mac_proto = if skb.protocol().get() == ETH_P_TEB {
        MAC_PROTO_ETHERNET
    } else {
        MAC_PROTO_NONE
    };
    key.invalidate();
    Ok(())
}
