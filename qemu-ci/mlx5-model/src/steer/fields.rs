// SPDX-License-Identifier: GPL-2.0

//! The match parameters that the device offers: one table that the
//! capabilities are made of, and that masks are checked against.

use super::params::{words, BYTES, WORDS};
use crate::bits::{set, F, S};
use crate::ifc::*;
use std::sync::OnceLock;

use flow_table_fields_supported as cap;
use fte_match_set_lyr_2_4 as m;
use fte_match_set_misc as m1;
use fte_match_set_misc2 as m2;
use fte_match_set_misc3 as m3;

const OUTER: S = fte_match_param::OUTER_HEADERS;
const INNER: S = fte_match_param::INNER_HEADERS;
const MISC: S = fte_match_param::MISC_PARAMETERS;
const MISC_2: S = fte_match_param::MISC_PARAMETERS_2;
const MISC_3: S = fte_match_param::MISC_PARAMETERS_3;

/// A capability, where it is, and the parameters that it stands for.
type Row = (F, S, &'static [F]);

const fn whole(s: S) -> F {
    F::new(s.at, s.bits)
}

const SOURCE: &[F] = &[whole(m::SRC_IPV4_SRC_IPV6)];
const DESTINATION: &[F] = &[whole(m::DST_IPV4_DST_IPV6)];

const OFFERED: &[Row] = &[
    (cap::OUTER_DMAC, OUTER, &[m::DMAC_47_16, m::DMAC_15_0]),
    (cap::OUTER_SMAC, OUTER, &[m::SMAC_47_16, m::SMAC_15_0]),
    (cap::OUTER_ETHER_TYPE, OUTER, &[m::ETHERTYPE]),
    (cap::OUTER_IP_VERSION, OUTER, &[m::IP_VERSION]),
    (cap::OUTER_FIRST_PRIO, OUTER, &[m::FIRST_PRIO]),
    (cap::OUTER_FIRST_CFI, OUTER, &[m::FIRST_CFI]),
    (
        cap::OUTER_FIRST_VID,
        OUTER,
        &[m::FIRST_VID, m::CVLAN_TAG, m::SVLAN_TAG],
    ),
    (cap::OUTER_IPV4_TTL, OUTER, &[m::TTL_HOPLIMIT]),
    (cap::OUTER_SECOND_PRIO, MISC, &[m1::OUTER_SECOND_PRIO]),
    (cap::OUTER_SECOND_CFI, MISC, &[m1::OUTER_SECOND_CFI]),
    (
        cap::OUTER_SECOND_VID,
        MISC,
        &[
            m1::OUTER_SECOND_VID,
            m1::OUTER_SECOND_CVLAN_TAG,
            m1::OUTER_SECOND_SVLAN_TAG,
        ],
    ),
    (cap::OUTER_SIP, OUTER, SOURCE),
    (cap::OUTER_DIP, OUTER, DESTINATION),
    (cap::OUTER_FRAG, OUTER, &[m::FRAG]),
    (cap::OUTER_IP_PROTOCOL, OUTER, &[m::IP_PROTOCOL]),
    (cap::OUTER_IP_ECN, OUTER, &[m::IP_ECN]),
    (cap::OUTER_IP_DSCP, OUTER, &[m::IP_DSCP]),
    (cap::OUTER_UDP_SPORT, OUTER, &[m::UDP_SPORT]),
    (cap::OUTER_UDP_DPORT, OUTER, &[m::UDP_DPORT]),
    (cap::OUTER_TCP_SPORT, OUTER, &[m::TCP_SPORT]),
    (cap::OUTER_TCP_DPORT, OUTER, &[m::TCP_DPORT]),
    (cap::OUTER_TCP_FLAGS, OUTER, &[m::TCP_FLAGS]),
    (cap::OUTER_VXLAN_VNI, MISC, &[m1::VXLAN_VNI]),
    (
        cap::SOURCE_ESWITCH_PORT,
        MISC,
        &[
            m1::SOURCE_PORT,
            m1::SOURCE_ESWITCH_OWNER_VHCA_ID,
            m1::SOURCE_SQN,
        ],
    ),
    (cap::INNER_DMAC, INNER, &[m::DMAC_47_16, m::DMAC_15_0]),
    (cap::INNER_SMAC, INNER, &[m::SMAC_47_16, m::SMAC_15_0]),
    (cap::INNER_ETHER_TYPE, INNER, &[m::ETHERTYPE]),
    // There is no capability for the inner time to live: it goes with this one.
    (
        cap::INNER_IP_VERSION,
        INNER,
        &[m::IP_VERSION, m::TTL_HOPLIMIT],
    ),
    (cap::INNER_FIRST_PRIO, INNER, &[m::FIRST_PRIO]),
    (cap::INNER_FIRST_CFI, INNER, &[m::FIRST_CFI]),
    (
        cap::INNER_FIRST_VID,
        INNER,
        &[m::FIRST_VID, m::CVLAN_TAG, m::SVLAN_TAG],
    ),
    (cap::INNER_SIP, INNER, SOURCE),
    (cap::INNER_DIP, INNER, DESTINATION),
    (cap::INNER_FRAG, INNER, &[m::FRAG]),
    (cap::INNER_IP_PROTOCOL, INNER, &[m::IP_PROTOCOL]),
    (cap::INNER_IP_ECN, INNER, &[m::IP_ECN]),
    (cap::INNER_IP_DSCP, INNER, &[m::IP_DSCP]),
    (cap::INNER_UDP_SPORT, INNER, &[m::UDP_SPORT]),
    (cap::INNER_UDP_DPORT, INNER, &[m::UDP_DPORT]),
    (cap::INNER_TCP_SPORT, INNER, &[m::TCP_SPORT]),
    (cap::INNER_TCP_DPORT, INNER, &[m::TCP_DPORT]),
    (cap::INNER_TCP_FLAGS, INNER, &[m::TCP_FLAGS]),
    (cap::METADATA_REG_C_0, MISC_2, &[m2::METADATA_REG_C_0]),
    (cap::METADATA_REG_C_1, MISC_2, &[m2::METADATA_REG_C_1]),
    (cap::METADATA_REG_C_2, MISC_2, &[m2::METADATA_REG_C_2]),
    (cap::METADATA_REG_C_3, MISC_2, &[m2::METADATA_REG_C_3]),
    (cap::METADATA_REG_C_4, MISC_2, &[m2::METADATA_REG_C_4]),
    (cap::METADATA_REG_C_5, MISC_2, &[m2::METADATA_REG_C_5]),
    (cap::METADATA_REG_C_6, MISC_2, &[m2::METADATA_REG_C_6]),
    (cap::METADATA_REG_C_7, MISC_2, &[m2::METADATA_REG_C_7]),
];

/// Parameters that go with a capability of the whole device: the type and code of
/// ICMP, which it has in `flex_parser_protocols`.
const BESIDES: &[F] = &[
    m3::ICMP_TYPE,
    m3::ICMP_CODE,
    m3::ICMPV6_TYPE,
    m3::ICMPV6_CODE,
];
pub const FLEX_PARSER_PROTOCOLS: u64 = MLX5_FLEX_PROTO_ICMP | MLX5_FLEX_PROTO_ICMPV6;

/// Sets the capabilities in the structure at `at`.
pub fn advertise(b: &mut [u8], at: S) {
    for (f, _, _) in OFFERED {
        set(b, at.field(*f), 1);
    }
}

/// All bits that a mask may have.
fn offered() -> &'static [u32; WORDS] {
    static ALL: OnceLock<[u32; WORDS]> = OnceLock::new();
    ALL.get_or_init(|| {
        let mut b = [0u8; BYTES];
        let rows = OFFERED.iter().map(|(_, at, fields)| (at, *fields));
        for (at, fields) in rows.chain([(&MISC_3, BESIDES)]) {
            for f in fields {
                // A field can be wider than what set() takes.
                for bit in 0..f.bits {
                    set(&mut b, F::new(at.at + f.at + bit, 1), 1);
                }
            }
        }
        words(&b)
    })
}

/// The bits of a mask that are not offered.
pub fn not_offered(mask: &[u32; WORDS]) -> Vec<u8> {
    let extra = mask.iter().zip(offered()).map(|(m, o)| m & !o);
    extra.flat_map(u32::to_be_bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_offered_passes_and_nothing_else() {
        assert!(not_offered(offered()).iter().all(|b| *b == 0));
        let mut b = [0u8; BYTES];
        set(&mut b, MISC.field(m1::GENEVE_VNI), 1);
        set(&mut b, MISC.field(m1::VXLAN_VNI), 0xff_ffff);
        let left = not_offered(&words(&b));
        assert_eq!(left.iter().filter(|b| **b != 0).count(), 1);
    }
}
