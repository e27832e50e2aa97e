// SPDX-License-Identifier: GPL-2.0

//! Tunnels in rules for drivers: each flow as the text of the rule that a driver
//! reads, or the reason why there is none.

use kernel::prelude::*;

#[kunit_tests(openvswitch_offload_tunnel)]
mod tests {
    use super::*;
    use crate::{
        flow::tunnel::MatchKey,
        flow_netlink::uapi::*,
        kunit_offload_flow::*,
        offload::{
            reason::Reason,
            tunnel::has_gre_key, //
        },
    };
    use kernel_ext::net::{
        ip_tunnels::flags,
        netlink::{
            AttrBuf,
            AttrWriter, //
        },
    };

    fn tunnel(w: &mut AttrBuf, put: Put) -> Result {
        nest(w, OVS_KEY_ATTR_TUNNEL, put)
    }

    fn v4(w: &mut AttrBuf) -> Result {
        w.put(OVS_TUNNEL_KEY_ATTR_ID, &[0, 0, 0, 0, 0, 0, 0, 7])?;
        w.put(OVS_TUNNEL_KEY_ATTR_IPV4_SRC, &[10, 0, 0, 1])?;
        w.put(OVS_TUNNEL_KEY_ATTR_IPV4_DST, &[10, 0, 0, 2])?;
        w.put_u8(OVS_TUNNEL_KEY_ATTR_TTL, 64)
    }

    fn v6(w: &mut AttrBuf) -> Result {
        w.put(OVS_TUNNEL_KEY_ATTR_ID, &[0, 0, 0, 0, 0, 0, 0, 7])?;
        w.put(OVS_TUNNEL_KEY_ATTR_IPV6_SRC, &[0x11; 16])?;
        w.put(OVS_TUNNEL_KEY_ATTR_IPV6_DST, &[0x22; 16])?;
        w.put_u8(OVS_TUNNEL_KEY_ATTR_TTL, 64)
    }

    fn udp_port(w: &mut AttrBuf) -> Result {
        w.put_be16(OVS_TUNNEL_KEY_ATTR_TP_DST, 4789)
    }

    fn key_of(w: &mut AttrBuf, put: Put) -> Result {
        tunnel(w, put)?;
        port(w)?;
        eth(w, 0x88cc)
    }

    fn mask_of(w: &mut AttrBuf, put: Put) -> Result {
        w.put_u32(OVS_KEY_ATTR_RECIRC_ID, u32::MAX)?;
        w.put_u32(OVS_KEY_ATTR_IN_PORT, u32::MAX)?;
        eth(w, 0xffff)?;
        tunnel(w, put)
    }

    fn key4(w: &mut AttrBuf) -> Result {
        key_of(w, v4)
    }

    fn plain(w: &mut AttrBuf) -> Result {
        port(w)?;
        eth(w, 0x88cc)
    }

    fn mask_plain(w: &mut AttrBuf) -> Result {
        mask_port(w)?;
        eth(w, 0xffff)
    }

    fn to_tunnel(w: &mut AttrBuf) -> Result {
        output(w, TUNNEL_PORT.into())
    }

    fn set(w: &mut AttrBuf, put: Put) -> Result {
        nest(w, OVS_ACTION_ATTR_SET, |w| tunnel(w, put))
    }

    #[test]
    fn what_came_through_a_tunnel() -> Result {
        assert!(is(
            key4,
            |w| mask_of(w, |w| {
                w.put(OVS_TUNNEL_KEY_ATTR_ID, &[0xff; 8])?;
                w.put(OVS_TUNNEL_KEY_ATTR_IPV4_SRC, &[0xff; 4])?;
                w.put(OVS_TUNNEL_KEY_ATTR_IPV4_DST, &[0xff, 0xff, 0xff, 0])
            }),
            to_2,
            "n_proto=88cc/ffff enc_addr_type=2 enc_flags=0x0/0x0 enc_keyid=00000007/ffffffff \
             enc_src=0a000001/ffffffff enc_dst=0a000000/ffffff00 -> tunnel_decap redirect(lo)",
        )?);
        assert!(is(
            |w| key_of(w, v6),
            |w| mask_of(w, |w| {
                w.put(OVS_TUNNEL_KEY_ATTR_IPV6_DST, &[0xff; 16])?;
                w.put_u8(OVS_TUNNEL_KEY_ATTR_TTL, 0xff)
            }),
            to_2,
            "n_proto=88cc/ffff enc_addr_type=3 enc_flags=0x0/0x0 \
             enc_dst=22222222222222222222222222222222/ffffffffffffffffffffffffffffffff \
             enc_ttl=40/ff -> tunnel_decap redirect(lo)",
        )?);
        // Flags are the driver's to refuse.
        assert!(is(
            |w| key_of(w, |w| {
                v4(w)?;
                udp_port(w)?;
                w.put_flag(OVS_TUNNEL_KEY_ATTR_DONT_FRAGMENT)
            }),
            |w| mask_of(w, |w| {
                w.put_be16(OVS_TUNNEL_KEY_ATTR_TP_DST, 0xffff)?;
                w.put_flag(OVS_TUNNEL_KEY_ATTR_CSUM)?;
                w.put_flag(OVS_TUNNEL_KEY_ATTR_DONT_FRAGMENT)
            }),
            to_2,
            "n_proto=88cc/ffff enc_addr_type=2 enc_flags=0x8/0xc enc_tp_dst=12b5/ffff \
             -> tunnel_decap redirect(lo)",
        )?);
        // IPv6 has no such flag, in no packet.
        assert!(is(
            |w| key_of(w, v6),
            |w| mask_of(w, |w| {
                w.put_flag(OVS_TUNNEL_KEY_ATTR_CSUM)?;
                w.put_flag(OVS_TUNNEL_KEY_ATTR_DONT_FRAGMENT)
            }),
            to_2,
            "n_proto=88cc/ffff enc_addr_type=3 enc_flags=0x0/0x4 -> tunnel_decap redirect(lo)",
        )?);
        Ok(())
    }

    #[test]
    fn matches_that_are_refused() -> Result {
        let cases: &[(Put, Put, Reason)] = &[
            (
                |w| {
                    key_of(w, |w| {
                        v4(w)?;
                        w.put(OVS_TUNNEL_KEY_ATTR_GENEVE_OPTS, &[0, 1, 2, 0])
                    })
                },
                |w| {
                    mask_of(w, |w| {
                        w.put(OVS_TUNNEL_KEY_ATTR_GENEVE_OPTS, &[0, 0, 0xff, 0])
                    })
                },
                Reason::MatchTunnelOptions,
            ),
            (
                |w| {
                    key_of(w, |w| {
                        w.put(OVS_TUNNEL_KEY_ATTR_ID, &[1; 8])?;
                        w.put(OVS_TUNNEL_KEY_ATTR_IPV4_DST, &[10, 0, 0, 2])?;
                        w.put_u8(OVS_TUNNEL_KEY_ATTR_TTL, 64)
                    })
                },
                |w| mask_of(w, |w| w.put(OVS_TUNNEL_KEY_ATTR_ID, &[0xff; 8])),
                Reason::MatchTunnelId,
            ),
            (
                |w| {
                    key_of(w, |w| {
                        w.put(OVS_TUNNEL_KEY_ATTR_IPV4_DST, &[10, 0, 0, 2])?;
                        w.put_u8(OVS_TUNNEL_KEY_ATTR_TTL, 64)
                    })
                },
                |w| mask_of(w, |w| w.put(OVS_TUNNEL_KEY_ATTR_ID, &[0xff; 8])),
                Reason::MatchTunnelId,
            ),
        ];
        for &(key, mask, reason) in cases {
            assert!(refused(key, mask, to_2, reason)?);
        }
        // In a chain, and on to one.
        let any_ttl: Put = |w| mask_of(w, |w| w.put_u8(OVS_TUNNEL_KEY_ATTR_TTL, 0));
        assert!(refused(
            key4,
            any_ttl,
            |w| w.put_u32(OVS_ACTION_ATTR_RECIRC, 9),
            Reason::TunnelRecirc
        )?);
        assert!(refused(
            |w| {
                tunnel(w, v4)?;
                w.put_u32(OVS_KEY_ATTR_RECIRC_ID, 9)?;
                w.put_u32(OVS_KEY_ATTR_IN_PORT, 1)?;
                w.put(OVS_KEY_ATTR_ETHERNET, &MACS)?;
                eth(w, 0x88cc)
            },
            any_ttl,
            to_2,
            Reason::TunnelRecirc
        )?);
        Ok(())
    }

    #[test]
    fn gre_keys() {
        let has = |flags, id, known| {
            let (mut key, mut mask) = (MatchKey::zeroed(), MatchKey::zeroed());
            key.tun.tun_key.tun_flags = flags;
            mask.tun.tun_key.tun_flags = flags;
            key.tun.tun_key.tun_id = [0, 0, 0, 0, 0, 0, 0, id];
            mask.tun.tun_key.tun_id = [known; 8];
            has_gre_key(&key, &mask)
        };
        assert!(has(flags::KEY, 7, 0xff));
        assert!(!has(flags::KEY, 0, 0xff));
        assert!(!has(flags::KEY, 7, 0));
        assert!(has(0, 0, 0));
    }

    #[test]
    fn what_is_sent_through_a_tunnel() -> Result {
        const ENCAP: &str =
            "tunnel_encap(0000000000000007,0a0000010a000002,tos=0,ttl=64,4789,0x4,)";
        let is_encap = |actions: Put, text: &str| -> Result<bool> {
            let whole = kernel::str::CString::try_from_fmt(fmt!("n_proto=88cc/ffff -> {}", text))?;
            is(
                plain,
                mask_plain,
                actions,
                whole.to_str().map_err(|_| EINVAL)?,
            )
        };
        assert!(is_encap(
            |w| {
                set(w, |w| {
                    v4(w)?;
                    udp_port(w)
                })?;
                to_tunnel(w)
            },
            "tunnel_encap(0000000000000007,0a0000010a000002,tos=0,ttl=64,4789,0x4,) redirect(lo)",
        )?);
        // Each output to a tunnel has its own; other ports need none.
        let twice = kernel::str::CString::try_from_fmt(fmt!(
            "mirred(lo) {} mirred(lo) {} redirect(lo)",
            ENCAP,
            ENCAP
        ))?;
        assert!(is_encap(
            |w| {
                set(w, |w| {
                    v4(w)?;
                    udp_port(w)
                })?;
                output(w, 2)?;
                to_tunnel(w)?;
                output(w, GRE_PORT.into())
            },
            twice.to_str().map_err(|_| EINVAL)?,
        )?);
        // GRE has no ports.
        assert!(is_encap(
            |w| {
                set(w, v6)?;
                output(w, GRE_PORT.into())
            },
            "tunnel_encap(0000000000000007,11111111111111111111111111111111\
             22222222222222222222222222222222,\
             tos=0,ttl=64,0,0x4,) redirect(lo)",
        )?);
        // One that nobody sees.
        assert!(is_encap(
            |w| {
                to_2(w)?;
                set(w, v4)
            },
            "redirect(lo)",
        )?);
        Ok(())
    }

    #[test]
    fn sending_that_is_refused() -> Result {
        let cases: &[(Put, Reason)] = &[
            (to_tunnel, Reason::EncapNoTunnel),
            (
                |w| {
                    set(w, v4)?;
                    to_tunnel(w)
                },
                Reason::EncapNoPort,
            ),
            (
                |w| {
                    set(w, |w| w.put_flag(OVS_TUNNEL_KEY_ATTR_IPV4_INFO_BRIDGE))?;
                    to_tunnel(w)
                },
                Reason::EncapNoAddress,
            ),
            (
                |w| {
                    set(w, |w| {
                        v4(w)?;
                        udp_port(w)?;
                        w.put_flag(OVS_TUNNEL_KEY_ATTR_CSUM)
                    })?;
                    to_tunnel(w)
                },
                Reason::EncapFlags,
            ),
        ];
        for &(actions, reason) in cases {
            assert!(refused(plain, mask_plain, actions, reason)?);
        }
        Ok(())
    }
}
