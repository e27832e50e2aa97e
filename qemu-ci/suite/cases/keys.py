# SPDX-License-Identifier: GPL-2.0
"""Flow keys and masks in netlink: each attribute valid, short, long, twice,
missing, unmasked, and what the kernel gives back."""

import struct

import ovsattr as o
from nlcore import NLM_F_ECHO, attr, be16, nest, u8, u16, u32
from registry import case, case_each

from cases.tunnels import tunnel_fill

ETH = o.k_eth()
PORT = o.k_in_port(1)
IP4 = ETH + o.k_type(0x0800)
IP6 = ETH + o.k_type(0x86DD)


def v4(proto, **kw):
    return IP4 + o.k_ipv4("10.0.0.1", "10.0.0.2", proto, **kw)


def v6(proto, **kw):
    return IP6 + o.k_ipv6("fd00::1", "fd00::2", proto, **kw)


TCP = o.k_tcp(1, 2) + o.k_tcp_flags(0x12)
ND = o.k_nd("fd00::9", "02:00:00:00:00:09", "02:00:00:00:00:0a")
ARP = o.k_arp("10.0.0.1", "10.0.0.2", 1, "02:00:00:00:00:01", "00:00:00:00:00:00")


def vlan(tci, inner, tpid=0x8100):
    return o.k_type(tpid) + be16(o.K_VLAN, tci) + nest(o.K_ENCAP, inner)


MPLS = ETH + o.k_type(0x8847)
NSH = ETH + o.k_type(0x894F)
LSE1, LSE2, LSE3 = o.d_lse(100), o.d_lse(0xABCDE, 5, False, 7), o.d_lse(3, 0, False, 255)

KEYS = {
    "ethernet": ETH,
    "ethertype_only": o.k_type(0x0800) + o.k_ipv4("1.1.1.1", "2.2.2.2", 1) + o.k_icmp(8, 0),
    "nothing": b"",
    "llc": ETH,
    "other": ETH + o.k_type(0x9000),
    "ip4_noproto": v4(0),
    "tcp": v4(6) + TCP,
    "udp": v4(17) + o.k_udp(1, 2),
    "sctp": v4(132) + o.k_sctp(1, 2),
    "icmp": v4(1) + o.k_icmp(8, 0),
    "igmp": v4(2),
    "gre": v4(47),
    "frag_first": v4(17, frag=1) + o.k_udp(1, 2),
    "frag_later": v4(17, frag=2),
    "frag_bad": v4(17, frag=3),
    "frag_later_with_ports": v4(17, frag=2) + o.k_udp(1, 2),
    "tos_ttl": v4(0, tos=0xFF, ttl=1),
    "tcp_no_ports": v4(6),
    "tcp_no_flags": v4(6) + o.k_tcp(1, 2),
    "udp_no_ports": v4(17),
    "udp_with_tcp": v4(17) + TCP,
    "tcp6": v6(6) + TCP,
    "udp6": v6(17) + o.k_udp(1, 2),
    "sctp6": v6(132) + o.k_sctp(1, 2),
    "icmp6": v6(58) + o.k_icmpv6(128, 0),
    "icmp_in_v6": v6(1),
    "icmp6_in_v4": v4(58),
    "ns": v6(58) + o.k_icmpv6(135, 0) + ND,
    "na": v6(58) + o.k_icmpv6(136, 0) + ND,
    "ns_no_nd": v6(58) + o.k_icmpv6(135, 0),
    "echo_with_nd": v6(58) + o.k_icmpv6(128, 0) + ND,
    "ns_code": v6(58) + o.k_icmpv6(135, 1) + ND,
    "label": v6(0, label=0xFFFFF),
    "label_bad": v6(0, label=0x100000),
    "v6_frag": v6(44, frag=2),
    "v6_frag_bad": v6(44, frag=7),
    "exthdrs": v6(0) + u16(o.K_EXTHDRS, 0x1FF),
    "exthdrs_v4": v4(0) + u16(o.K_EXTHDRS, 1),
    "arp": ETH + o.k_type(0x0806) + ARP,
    "rarp": ETH + o.k_type(0x8035) + ARP,
    "arp_missing": ETH + o.k_type(0x0806),
    "arp_op": ETH
    + o.k_type(0x0806)
    + o.k_arp("1.1.1.1", "1.1.1.2", 0x100, "02:00:00:00:00:01", "00:00:00:00:00:00"),
    "arp_op255": ETH
    + o.k_type(0x0806)
    + o.k_arp("1.1.1.1", "1.1.1.2", 0xFF, "02:00:00:00:00:01", "00:00:00:00:00:00"),
    "arp_in_ip": v4(0) + ARP,
    "type_small": ETH + o.k_type(0x05FF),
    "type_min": ETH + o.k_type(0x0600),
    "type_zero": ETH + o.k_type(0),
    "no_eth_no_type": PORT,
    "ip_no_eth_no_type": o.k_ipv4("1.1.1.1", "1.1.1.2", 1),
    "eth_ip_no_type": ETH + o.k_ipv4("1.1.1.1", "1.1.1.2", 0),
    "vlan": ETH + vlan(0x1001, v4(0)[len(ETH) :]),
    "vlan_ad": ETH + vlan(0x1001, v4(0)[len(ETH) :], 0x88A8),
    "vlan_no_cfi": ETH + vlan(0x0001, v4(0)[len(ETH) :]),
    "vlan_zero": ETH + vlan(0, b""),
    "vlan_zero_filled": ETH + vlan(0, o.k_type(0x0800)),
    "vlan_empty": ETH + vlan(0x1001, b""),
    "vlan_no_encap": ETH + o.k_type(0x8100) + be16(o.K_VLAN, 0x1001),
    "vlan_no_tci": ETH + o.k_type(0x8100) + nest(o.K_ENCAP),
    "vlan_type_only": ETH + o.k_type(0x8100),
    "vlan_no_eth": vlan(0x1001, o.k_type(0x0800)),
    "vlan_wrong_type": ETH + vlan(0x1001, b"", 0x9100),
    "vlan_attr_alone": ETH + be16(o.K_VLAN, 0x1001),
    "encap_alone": ETH + o.k_type(0x0800) + nest(o.K_ENCAP),
    "vlan_ip_outside": ETH + vlan(0x1001, o.k_type(0x0800)) + o.k_ipv4("1.1.1.1", "1.1.1.2", 0),
    "qinq": ETH + vlan(0x1001, vlan(0x1002, v4(0)[len(ETH) :]), 0x88A8),
    "qinq_inner_empty": ETH + vlan(0x1001, vlan(0, b"")),
    "qinq_inner_no_cfi": ETH + vlan(0x1001, vlan(2, o.k_type(0x0800))),
    "qinq_inner_no_encap": ETH + vlan(0x1001, o.k_type(0x8100) + be16(o.K_VLAN, 0x1002)),
    "triple": ETH + vlan(0x1001, vlan(0x1002, vlan(0x1003, b""))),
    "triple_truncated": ETH + vlan(0x1001, vlan(0x1002, o.k_type(0x8100))),
    "vlan_eth_inside": ETH + vlan(0x1001, v4(0)),
    "vlan_llc": ETH + vlan(0x1001, b""),
    "mpls": MPLS + o.k_mpls(LSE1),
    "mpls_mc": ETH + o.k_type(0x8848) + o.k_mpls(LSE1),
    "mpls_2": MPLS + o.k_mpls(LSE2, LSE1),
    "mpls_3": MPLS + o.k_mpls(LSE3, LSE2, LSE1),
    "mpls_4": MPLS + o.k_mpls(LSE3, LSE2, LSE2, LSE1),
    "mpls_0": MPLS + o.k_mpls(),
    "mpls_zero": MPLS + o.k_mpls(bytes(4)),
    "mpls_odd": MPLS + o.k_mpls(LSE1, b"\0"),
    "mpls_missing": MPLS,
    "mpls_twice": MPLS + o.k_mpls(LSE1) + o.k_mpls(LSE1),
    "mpls_with_ip": MPLS + o.k_mpls(LSE1) + o.k_ipv4("1.1.1.1", "1.1.1.2", 0),
    "mpls_l3": o.k_type(0x8847) + o.k_mpls(LSE1),
    "mpls_vlan": ETH + vlan(0x1001, o.k_type(0x8847) + o.k_mpls(LSE2, LSE1)),
    "mpls_qinq": ETH + vlan(0x1001, vlan(0x1002, o.k_type(0x8848) + o.k_mpls(LSE1)), 0x88A8),
    "mpls_vlan_outside": ETH + vlan(0x1001, o.k_type(0x8847)) + o.k_mpls(LSE1),
    "nsh": NSH + o.k_nsh(o.n_base(), o.n_md1()),
    "nsh_order": NSH + o.k_nsh(o.n_md1(), o.n_base()),
    "nsh_type2": NSH + o.k_nsh(o.n_base(2)),
    "nsh_type3": NSH + o.k_nsh(o.n_base(3)),
    "nsh_base": NSH + o.k_nsh(o.n_base()),
    "nsh_md1": NSH + o.k_nsh(o.n_md1()),
    "nsh_md1_type2": NSH + o.k_nsh(o.n_base(2), o.n_md1()),
    "nsh_md2": NSH + o.k_nsh(o.n_base(2), o.n_md2(bytes(8))),
    "nsh_md2_alone": NSH + o.k_nsh(o.n_md2(bytes(8))),
    "nsh_both": NSH + o.k_nsh(o.n_base(), o.n_md1(), o.n_md2(bytes(4))),
    "nsh_nothing": NSH + o.k_nsh(),
    "nsh_twice": NSH + o.k_nsh(o.n_base(), o.n_md1()) + o.k_nsh(o.n_base(), o.n_md1()),
    "nsh_base_twice": NSH + o.k_nsh(o.n_base(2), o.n_base(1, ttl=1), o.n_md1()),
    "nsh_md1_twice": NSH + o.k_nsh(o.n_base(), o.n_md1(), o.n_md1(bytes(16))),
    "nsh_unspec": NSH + o.k_nsh(attr(0), o.n_base()),
    "nsh_unspec_long": NSH + o.k_nsh(u32(0, 1), o.n_base()),
    "nsh_beyond": NSH + o.k_nsh(o.n_base(), u32(4, 1)),
    "nsh_far_beyond": NSH + o.k_nsh(u32(0x3FFF, 1)),
    "nsh_base_short": NSH + o.k_nsh(attr(o.NSH_BASE, bytes(7))),
    "nsh_base_long": NSH + o.k_nsh(attr(o.NSH_BASE, bytes(9))),
    "nsh_md1_short": NSH + o.k_nsh(o.n_base(), attr(o.NSH_MD1, bytes(12))),
    "nsh_trailing": NSH + o.k_nsh(o.n_base(), o.n_md1(), b"\1\2"),
    "nsh_cut": NSH + o.k_nsh(o.n_base(), attr(o.NSH_MD1, bytes(8), length=20)),
    "nsh_nested_flag": NSH + nest(o.K_NSH, o.n_base(), o.n_md1(), flag=True),
    "nsh_flag_inside": NSH + o.k_nsh(attr(o.NSH_BASE | 0x8000, b"\0\1\2\3" + bytes(4))),
    "nsh_missing": NSH,
    "nsh_with_ip": NSH + o.k_nsh(o.n_base(), o.n_md1()) + o.k_ipv4("1.1.1.1", "1.1.1.2", 0),
    "nsh_in_other": ETH + o.k_type(0x9000) + o.k_nsh(o.n_base()),
    "nsh_l3": o.k_type(0x894F) + o.k_nsh(o.n_base(), o.n_md1()),
    "nsh_all_bits": NSH
    + o.k_nsh(attr(o.NSH_BASE, b"\xff\xff\1\xff" + b"\xff" * 4), o.n_md1(b"\xff" * 16)),
    "nsh_vlan": ETH + vlan(0x1001, o.k_type(0x894F) + o.k_nsh(o.n_base(), o.n_md1())),
    "nsh_vlan_outside": ETH + vlan(0x1001, o.k_type(0x894F)) + o.k_nsh(o.n_base()),
    "in_port_max": o.k_in_port(65534) + ETH,
    "in_port_over": o.k_in_port(65535) + ETH,
    "in_port_huge": o.k_in_port(0xFFFFFFFF) + ETH,
    "meta": u32(o.K_PRIORITY, 5)
    + u32(o.K_SKB_MARK, 6)
    + u32(o.K_DP_HASH, 7)
    + u32(o.K_RECIRC_ID, 8)
    + PORT
    + ETH,
    "packet_type": ETH + u32(o.K_PACKET_TYPE, 0),
    "nd_ext": ETH + attr(o.K_ND_EXT, bytes(8)),
    "tunnel_info": ETH + attr(o.K_TUNNEL_INFO, bytes(8)),
    "unspec": ETH + attr(0),
    "beyond": ETH + u32(33, 0),
    "far_beyond": ETH + u32(0x3FFF, 0),
    "twice": ETH + ETH,
    "port_twice": PORT + PORT + ETH,
    "type_twice": IP4 + o.k_type(0x0800),
    "nested_flag": attr(o.K_ETHERNET | 0x8000, bytes(12)),
    "trailing": ETH + b"\1\2",
    "cut": ETH + attr(o.K_IN_PORT, b"1", length=64),
    "short_len": ETH + attr(o.K_IN_PORT, bytes(4), length=3),
    "order": o.k_udp(1, 2) + o.k_ipv4("1.1.1.1", "1.1.1.2", 17) + o.k_type(0x0800) + ETH + PORT,
}


def try_key(t, label, key, mask=None, extra=b""):
    """Install, read back, remove: what the kernel makes of a key."""
    t.flow(label, key, b"", mask, extra=extra)
    t.flow(label + ": get", key, None, cmd=o.GET)
    t.dump(label + ": dump", o.FLOW, dp="dp0")
    t.flow(label + ": del", key, None, cmd=o.DEL)
    t.flush()


@case_each(
    "keys",
    [
        ("exact", None),
        ("empty", b""),
        ("ones", "ones"),
        ("zeros", "zeros"),
        ("port", PORT),
        ("type", o.k_type(0xFFFF)),
    ],
)
def shapes(t, mask):
    """Each key, with masks of several forms."""
    t.switch(1)
    for name, key in KEYS.items():
        if mask in ("ones", "zeros"):
            how = fill(key, 0xFF if mask == "ones" else 0)
        else:
            how = mask
        try_key(t, name, key, how)


def fill(key, value):
    """The key's attributes with every byte of their payload set."""
    out = b""
    pos = 0
    while len(key) - pos >= 4:
        size, kind = struct.unpack_from("=HH", key, pos)
        if size < 4 or pos + size > len(key):
            break
        body = key[pos + 4 : pos + size]
        if kind == o.K_ENCAP:
            out += nest(kind, fill(body, value))
        elif kind == o.K_NSH:
            out += nest(kind, nsh_fill(body, value))
        elif kind == o.K_TUNNEL:
            out += nest(kind, tunnel_fill(body, value))
        else:
            out += attr(kind, bytes((value,)) * len(body))
        pos += (size + 3) & ~3
    return out


def nsh_fill(body, value):
    """As fill(), of what is in the attribute of a network service header."""
    out = b""
    while len(body) >= 4:
        size, kind = struct.unpack_from("=HH", body)
        if size < 4 or size > len(body):
            break
        out += attr(kind, bytes((value,)) * (size - 4))
        body = body[(size + 3) & ~3 :]
    return out


@case("keys")
def probe_is_silent(t):
    t.switch(1)
    for name, key in KEYS.items():
        t.flow(name, key, b"", extra=attr(o.FL_PROBE))
        t.flush()


@case_each("keys", [(o.KEY_NAMES[n], n) for n in range(1, 33)] + [("beyond", 33)])
def lengths(t, kind):
    """One attribute of a key, and of a mask, with each length."""
    t.switch(1)
    rest = b"" if kind == o.K_ETHERNET else ETH
    if kind != o.K_ETHERTYPE:
        rest += o.k_type({o.K_ARP: 0x0806, o.K_MPLS: 0x8847, o.K_NSH: 0x894F}.get(kind, 0x0800))
    for size in list(range(0, 9)) + [11, 12, 13, 16, 24, 28, 30, 40, 41]:
        body = bytes((kind * 7 + i) & 0x0F for i in range(size))
        try_key(t, f"key {size:d}", rest + attr(kind, body))
        try_key(
            t,
            f"mask {size:d}",
            IP4 + o.k_ipv4("10.0.0.1", "10.0.0.2", 0),
            attr(kind, b"\xff" * size),
        )
        try_key(
            t,
            f"zero mask {size:d}",
            IP4 + o.k_ipv4("10.0.0.1", "10.0.0.2", 0),
            attr(kind, bytes(size)),
        )


MASKS = {
    "partial_src": attr(o.K_IPV4, b"\xff\xff\0\0" + bytes(8)),
    "odd_bits": attr(o.K_IPV4, b"\xa5\x5a\x01\x80" + b"\x10" * 8),
    "proto_half": attr(o.K_IPV4, bytes(8) + b"\x0f\0\0\0"),
    "frag_any": attr(o.K_IPV4, bytes(8) + b"\xff\0\0\0"),
    "ports_no_proto": attr(o.K_UDP, b"\xff" * 4),
    "ports_proto": attr(o.K_IPV4, bytes(8) + b"\xff\0\0\0") + attr(o.K_UDP, b"\xff\0\xff\0"),
    "ports_proto_half": attr(o.K_IPV4, bytes(8) + b"\xfe\0\0\0") + attr(o.K_UDP, b"\xff\0\xff\0"),
    "wrong_l4": attr(o.K_IPV4, bytes(8) + b"\xff\0\0\0") + attr(o.K_TCP, b"\xff" * 4),
    "other_l3": attr(o.K_IPV6, b"\xff" * 40),
    "arp": attr(o.K_ARP, b"\xff" * 24),
    "type_partial": o.k_type(0xFF00),
    "type_zero": o.k_type(0),
    "type_exact": o.k_type(0xFFFF),
    "eth_partial": attr(o.K_ETHERNET, b"\xff" * 3 + bytes(9)),
    "port_partial": u32(o.K_IN_PORT, 0xFF),
    "port_zero": u32(o.K_IN_PORT, 0),
    "meta_partial": u32(o.K_PRIORITY, 0xF0) + u32(o.K_SKB_MARK, 1),
    "recirc_partial": u32(o.K_RECIRC_ID, 0xF0),
    "dp_hash": u32(o.K_DP_HASH, 0xFF),
    "vlan": be16(o.K_VLAN, 0xFFFF),
    "vlan_full": o.k_type(0xFFFF) + be16(o.K_VLAN, 0xFFFF) + nest(o.K_ENCAP),
    "encap": nest(o.K_ENCAP),
    "twice": o.k_type(0xFFFF) + o.k_type(0xFFFF),
    "twice_zero": o.k_type(0) + o.k_type(0),
    "unknown": u32(40, 0xFFFFFFFF),
    "unknown_zero": u32(40, 0),
    "trailing": o.k_type(0xFFFF) + b"\0",
    "tunnel_empty": nest(o.K_TUNNEL),
    "flags": be16(o.K_TCP_FLAGS, 0xFFF),
    "exthdrs": u16(o.K_EXTHDRS, 0xFFFF),
    "nd": attr(o.K_ND, b"\xff" * 28),
    "mpls": attr(o.K_MPLS, b"\xff" * 4),
    "mpls_2": attr(o.K_MPLS, b"\xff" * 8),
    "mpls_3": attr(o.K_MPLS, b"\xff" * 12),
    "mpls_4": attr(o.K_MPLS, b"\xff" * 16),
    "mpls_label": attr(o.K_MPLS, b"\xff\xff\xf0\0"),
    "mpls_second": attr(o.K_MPLS, bytes(4) + b"\xff\xff\xf0\0"),
    "mpls_odd": attr(o.K_MPLS, b"\xff" * 5),
    "nsh": o.k_nsh(attr(o.NSH_BASE, b"\xff" * 8), attr(o.NSH_MD1, b"\xff" * 16)),
    "nsh_base": o.k_nsh(attr(o.NSH_BASE, b"\xff" * 8)),
    "nsh_path": o.k_nsh(attr(o.NSH_BASE, bytes(4) + b"\xff\xff\xff\0")),
    "nsh_md1": o.k_nsh(attr(o.NSH_MD1, b"\xff" * 16)),
    "nsh_md1_part": o.k_nsh(attr(o.NSH_MD1, b"\xff\0\0\0" + bytes(12))),
    "nsh_no_type": o.k_nsh(attr(o.NSH_BASE, b"\3\x3f\0\xff" + b"\xff" * 4), o.n_md1()),
    "nsh_zero": o.k_nsh(attr(o.NSH_BASE, bytes(8)), attr(o.NSH_MD1, bytes(16))),
    "nsh_nothing": o.k_nsh(),
    "nsh_md2": o.k_nsh(o.n_md2(b"\xff" * 8)),
    "nsh_base_twice": o.k_nsh(o.n_base(), o.n_base(0xFF)),
    "nsh_bad": o.k_nsh(attr(o.NSH_BASE, b"\xff" * 7)),
    "nsh_unknown": o.k_nsh(u32(4, 1)),
    "nsh_trailing": o.k_nsh(attr(o.NSH_BASE, b"\xff" * 8), b"\1"),
    "nsh_type": o.k_type(0xFFFF) + o.k_nsh(attr(o.NSH_BASE, b"\0\0\xff\xff" + bytes(4))),
    "mpls_type": o.k_type(0xFFFF) + attr(o.K_MPLS, b"\xff\xff\xf1\0"),
    "icmp": attr(o.K_ICMP, b"\xff\xff"),
}


@case_each(
    "keys",
    [
        ("udp", PORT + v4(17) + o.k_udp(0x1234, 0x5678)),
        ("tcp6", v6(6) + TCP),
        ("ns", v6(58) + o.k_icmpv6(135, 0) + ND),
        ("arp", ETH + o.k_type(0x0806) + ARP),
        ("vlan", KEYS["vlan"]),
        ("qinq", KEYS["qinq"]),
        ("l3", KEYS["ethertype_only"]),
        ("mpls", KEYS["mpls"]),
        ("nsh", KEYS["nsh"]),
        ("nsh_type2", KEYS["nsh_type2"]),
        ("nsh_vlan", KEYS["nsh_vlan"]),
        ("mpls_3", KEYS["mpls_3"]),
        ("mpls_vlan", KEYS["mpls_vlan"]),
        ("llc", ETH),
    ],
)
def masks(t, key):
    t.switch(1)
    for name, mask in MASKS.items():
        try_key(t, name, key, mask)


@case("keys", stock=False)
def vlan_masks(t):
    """Masks of tagged keys: TPID and CFI must be exact."""
    t.switch(1)
    one, two = KEYS["vlan"], KEYS["qinq"]
    for tpid in (0xFFFF, 0xFF00, 0):
        for tci in (0xFFFF, 0x1FFF, 0x1000, 0x0FFF, 0):
            for inner in (
                b"",
                o.k_type(0xFFFF),
                vlan(tci, b"", tpid),
                vlan(0xFFFF, o.k_type(0xFFFF), 0xFFFF),
            ):
                mask = vlan(tci, inner, tpid)
                what = f"{tpid:#x} {tci:#x} {len(inner):d} "
                try_key(t, what + "one tag", one, mask)
                try_key(t, what + "two tags", two, mask)
                try_key(t, what + "no tag", v4(0), mask)


@case("keys", stock=False)
def masked_value(t):
    """Bits outside the mask read back as zero, whatever was sent."""
    t.switch(1)
    key = (
        PORT
        + attr(o.K_ETHERNET, b"\xff" * 12)
        + o.k_type(0x0800)
        + attr(o.K_IPV4, b"\xff" * 8 + b"\x11\xff\xff\0")
        + attr(o.K_UDP, b"\xff" * 4)
        + u32(o.K_SKB_MARK, 0xFFFFFFFF)
        + u32(o.K_PRIORITY, 0xFFFFFFFF)
    )
    for size in range(0, 12):
        part = b"\xff" * size + bytes(12 - size)
        for name, mask in (("eth", attr(o.K_ETHERNET, part)), ("ipv4", attr(o.K_IPV4, part))):
            t.flow(f"{name} {size:d}", key, b"", mask, extra=attr(o.FL_UFID, b"f" * 16))
            t.dump("dump", o.FLOW, dp="dp0")
            t.flush()


_ = (u8, NLM_F_ECHO)
