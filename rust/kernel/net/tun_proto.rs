// SPDX-License-Identifier: GPL-2.0

//! What headers of VXLAN-GPE and NSH call the protocol behind them.
//!
//! C header: [`include/net/tun_proto.h`](srctree/include/net/tun_proto.h)

use crate::bindings;

/// An Ethernet header follows.
pub const TUN_P_ETHERNET: u8 = 0x03;

/// The protocols, and their Ethernet types.
const PROTOCOLS: [(u8, u32); 5] = [
    (0x01, bindings::ETH_P_IP),
    (0x02, bindings::ETH_P_IPV6),
    (TUN_P_ETHERNET, bindings::ETH_P_TEB),
    (0x04, bindings::ETH_P_NSH),
    (0x05, bindings::ETH_P_MPLS_UC),
];

/// The Ethernet type (host byte order) of a protocol, if it is a known one.
/// C: `tun_p_to_eth_p()`.
pub fn tun_p_to_eth_p(proto: u8) -> Option<u16> {
    let (_, eth_type) = PROTOCOLS.iter().find(|(tun_p, _)| *tun_p == proto)?;
    u16::try_from(*eth_type).ok()
}

/// The protocol with an Ethernet type (host byte order), if there is one.
/// C: `tun_p_from_eth_p()`.
pub fn tun_p_from_eth_p(eth_type: u16) -> Option<u8> {
    let known = PROTOCOLS
        .iter()
        .find(|(_, eth_p)| *eth_p == eth_type.into());
    known.map(|(tun_p, _)| *tun_p)
}
