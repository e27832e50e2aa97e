# SPDX-License-Identifier: GPL-2.0
"""Validation of action lists: each action, each bad form, after each state
that the validator tracks."""

import struct

import ovsattr as o
from nlcore import attr, be16, nest, u8, u16, u32
from registry import case, case_each

ETH = o.k_eth()
KEYS = {
    "udp4": ETH + o.k_type(0x0800) + o.k_ipv4("1.1.1.1", "1.1.1.2", 17) + o.k_udp(1, 2),
    "tcp6": ETH + o.k_type(0x86DD) + o.k_ipv6("::1", "::2", 6) + o.k_tcp(1, 2) + o.k_tcp_flags(2),
    "sctp4": ETH + o.k_type(0x0800) + o.k_ipv4("1.1.1.1", "1.1.1.2", 132) + o.k_sctp(1, 2),
    "later": ETH + o.k_type(0x0800) + o.k_ipv4("1.1.1.1", "1.1.1.2", 17, frag=2),
    "arp": ETH + o.k_type(0x0806) + attr(o.K_ARP, bytes(24)),
    "vlan": ETH
    + o.k_type(0x8100)
    + be16(o.K_VLAN, 0x1005)
    + nest(o.K_ENCAP, o.k_type(0x0800) + o.k_ipv4("1.1.1.1", "1.1.1.2", 17) + o.k_udp(1, 2)),
    "l3": o.k_type(0x0800) + o.k_ipv4("1.1.1.1", "1.1.1.2", 17) + o.k_udp(1, 2),
    "mpls": ETH + o.k_type(0x8847) + o.k_mpls(o.d_lse(5)),
    "mpls_2": ETH + o.k_type(0x8848) + o.k_mpls(o.d_lse(6, bos=False), o.d_lse(5)),
    "nsh": ETH + o.k_type(0x894F) + o.k_nsh(o.n_base(np=1), o.n_md1()),
    "nsh_l3": o.k_type(0x894F) + o.k_nsh(o.n_base(np=3), o.n_md1()),
    "llc": ETH,
}
IN_SCOPE = (
    o.A_OUTPUT,
    o.A_USERSPACE,
    o.A_SET,
    o.A_PUSH_VLAN,
    o.A_POP_VLAN,
    o.A_SAMPLE,
    o.A_RECIRC,
    o.A_HASH,
    o.A_SET_MASKED,
    o.A_TRUNC,
    o.A_PUSH_ETH,
    o.A_POP_ETH,
    o.A_METER,
    o.A_CLONE,
    o.A_CHECK_PKT_LEN,
    o.A_DEC_TTL,
    o.A_DROP,
    o.A_PUSH_MPLS,
    o.A_POP_MPLS,
    o.A_ADD_MPLS,
    o.A_PSAMPLE,
    o.A_PUSH_NSH,
    o.A_POP_NSH,
)


def install(t, label, key, actions, **kw):
    """FLOW_NEW with a list, what a dump shows of it, and back again."""
    reply = t.flow(label, KEYS.get(key, key), actions, **kw)
    if not reply.errno:
        t.flush()


@case_each(
    "actions",
    [(o.ACTION_NAMES[n], n) for n in IN_SCOPE]
    + [("unspec", 0), ("after_psample", 26), ("far", 4000)],
)
def lengths(t, kind):
    """Each action with each length of argument."""
    t.switch(1)
    for size in list(range(0, 14)) + [16, 20, 24, 28]:
        for fill in (0, 0xFF):
            install(t, f"{size:d} bytes of {fill:#x}", "udp4", attr(kind, bytes((fill,)) * size))
    for flag in (0x8000, 0x4000):
        install(t, f"flag {flag:#x}", "udp4", attr(kind | flag, struct.pack("=I", 1)))
    good = o.a_output(1)
    install(t, "first", "udp4", attr(kind, bytes(4)) + good)
    install(t, "last", "udp4", good + attr(kind, bytes(4)))


@case("actions")
def simple(t):
    t.switch(1)
    for port in (0, 1, 65534, 65535, 65536, 0x7FFFFFFF, 0xFFFFFFFF):
        install(t, f"output {port:d}", "udp4", o.a_output(port))
    for length in (0, 1, 13, 14, 15, 1500, 0x7FFFFFFF, 0xFFFFFFFF):
        install(t, f"trunc {length:d}", "udp4", o.a_trunc(length) + o.a_output(1))
        install(t, f"trunc {length:d} alone", "udp4", o.a_trunc(length))
    for alg in (0, 1, 2, 0xFFFFFFFF):
        install(t, f"hash {alg:d}", "udp4", o.a_hash(alg, 5))
    for ident in (0, 1, 0xFFFFFFFF):
        install(t, f"recirc {ident:d}", "udp4", o.a_recirc(ident))
    for code in (0, 1, 0xFFFFFFFF):
        install(t, f"drop {code:d}", "udp4", o.a_drop(code))
        install(t, f"drop {code:d} first", "udp4", o.a_drop(code) + o.a_output(1))
        install(t, f"drop {code:d} last", "udp4", o.a_output(1) + o.a_drop(code))
        install(t, f"drop {code:d} in clone", "udp4", o.a_clone(o.a_drop(code)) + o.a_output(1))
        install(
            t, f"drop {code:d} first in clone", "udp4", o.a_clone(o.a_drop(code) + o.a_output(1))
        )
    install(t, "empty list", "udp4", b"")
    install(t, "trailing bytes", "udp4", o.a_output(1) + b"\1\2\3")
    install(t, "cut", "udp4", o.a_output(1) + attr(o.A_OUTPUT, bytes(4), length=40))
    install(t, "short", "udp4", attr(o.A_OUTPUT, bytes(4), length=3))


def states():
    """Prefixes that leave the validator in each of its states."""
    yield "", b""
    yield "push_vlan ", o.a_push_vlan(0x1001)
    yield "pop_vlan ", o.a_pop_vlan()
    yield "pop_eth ", o.a_pop_eth()
    yield "push_eth ", o.a_push_eth("02:00:00:00:00:0a", "02:00:00:00:00:0b")
    yield (
        "pop_eth push_eth ",
        o.a_pop_eth() + o.a_push_eth("02:00:00:00:00:0a", "02:00:00:00:00:0b"),
    )
    yield "push_mpls ", o.a_push_mpls(o.d_lse(1))
    yield "pop_mpls ", o.a_pop_mpls(0x0800)
    yield "add_mpls ", o.a_add_mpls(o.d_lse(1))
    yield "push_nsh ", o.a_push_nsh(o.n_base(), o.n_md1())
    yield "pop_nsh ", o.a_pop_nsh()
    yield "push_vlan pop_vlan ", o.a_push_vlan(0x1001) + o.a_pop_vlan()
    yield (
        "push_vlan push_vlan pop_vlan ",
        o.a_push_vlan(0x1001) + o.a_push_vlan(0x1002, 0x88A8) + o.a_pop_vlan(),
    )


SETS = {
    "priority": u32(o.K_PRIORITY, 1),
    "mark": u32(o.K_SKB_MARK, 1),
    "eth": o.k_eth("02:00:00:00:00:0c", "02:00:00:00:00:0d"),
    "ipv4": o.k_ipv4("9.9.9.1", "9.9.9.2", 17),
    "ipv4_proto": o.k_ipv4("9.9.9.1", "9.9.9.2", 6),
    "ipv4_frag": o.k_ipv4("9.9.9.1", "9.9.9.2", 17, frag=1),
    "ipv4_later": o.k_ipv4("9.9.9.1", "9.9.9.2", 17, frag=2),
    "ipv6": o.k_ipv6("fd00::1", "fd00::2", 6),
    "ipv6_proto": o.k_ipv6("fd00::1", "fd00::2", 17),
    "ipv6_label": o.k_ipv6("fd00::1", "fd00::2", 6, label=0xFFFFF),
    "ipv6_label_bad": o.k_ipv6("fd00::1", "fd00::2", 6, label=0x100000),
    "tcp": o.k_tcp(7, 8),
    "udp": o.k_udp(7, 8),
    "sctp": o.k_sctp(7, 8),
    "in_port": o.k_in_port(1),
    "type": o.k_type(0x0800),
    "vlan": be16(o.K_VLAN, 0x1001),
    "encap": nest(o.K_ENCAP),
    "icmp": o.k_icmp(1, 2),
    "icmpv6": o.k_icmpv6(1, 2),
    "arp": attr(o.K_ARP, bytes(24)),
    "nd": attr(o.K_ND, bytes(28)),
    "flags": o.k_tcp_flags(1),
    "dp_hash": u32(o.K_DP_HASH, 1),
    "recirc_id": u32(o.K_RECIRC_ID, 1),
    "exthdrs": u16(o.K_EXTHDRS, 1),
    "unspec": attr(0),
    "beyond": u32(33, 1),
    "far": u32(0x3000, 1),
    "mpls": o.k_mpls(o.d_lse(9)),
    "nsh": o.k_nsh(o.n_base(), o.n_md1()),
    "nsh_base": o.k_nsh(o.n_base()),
    "nsh_nothing": o.k_nsh(),
    "nsh_short": attr(o.K_NSH, bytes(3)),
    "mpls_2": o.k_mpls(o.d_lse(9, bos=False), o.d_lse(8)),
    "packet_type": u32(o.K_PACKET_TYPE, 1),
    "tunnel_info": attr(o.K_TUNNEL_INFO, bytes(8)),
}


def masked(key, mask):
    """A key attribute doubled: value (within the mask), then mask."""
    size, kind = struct.unpack_from("=HH", key)
    body = key[4:size]
    part = bytes((mask,)) * len(body)
    value = bytes(a & b for a, b in zip(body, part, strict=False))
    return attr(kind, value + part)


@case_each("actions", sorted(KEYS.items()))
def sets(t, key):
    """Every set and set_masked on every kind of flow, in every state."""
    t.switch(1)
    for state, before in states():
        for name, value in SETS.items():
            install(t, state + "set " + name, key, before + o.a_set(value))
            for mask in (0, 0xFF):
                install(
                    t,
                    f"{state}set_masked {name} {mask:#x}",
                    key,
                    before + nest(o.A_SET_MASKED, masked(value, mask)),
                )


@case("actions", stock=False)
def set_forms(t):
    """The nested attribute of set: exactly one, exactly sized (row 6)."""
    t.switch(1)
    for kind in (o.A_SET, o.A_SET_MASKED):
        for outer in range(0, 17):
            for inner in range(0, 13):
                body = struct.pack("=HH", inner, o.K_PRIORITY) + bytes(16)
                install(
                    t,
                    f"{kind:d} outer {outer:d} inner {inner:d}",
                    "udp4",
                    attr(kind, body[:outer]),
                )
        for name, size in (("udp", 4), ("ipv4", 12), ("eth", 12)):
            number = {"udp": o.K_UDP, "ipv4": o.K_IPV4, "eth": o.K_ETHERNET}[name]
            for length in range(0, 2 * size + 4):
                install(
                    t,
                    f"{kind:d} {name} {length:d}",
                    "udp4",
                    nest(kind, attr(number, bytes(length))),
                )
        install(
            t, f"{kind:d} two keys", "udp4", nest(kind, u32(o.K_PRIORITY, 1), u32(o.K_SKB_MARK, 1))
        )
        install(
            t, f"{kind:d} nested flag", "udp4", nest(kind, attr(o.K_PRIORITY | 0x8000, bytes(8)))
        )


@case("actions")
def set_masked_bits(t):
    """Values outside the mask, masks over what cannot be written."""
    t.switch(1)
    v4 = o.d_ipv4("1.2.3.4", "5.6.7.8", 17)
    for at in range(12):
        mask = bytearray(12)
        mask[at] = 0xFF
        value = bytes(a & b for a, b in zip(v4, mask, strict=False))
        install(t, f"ipv4 byte {at:d}", "udp4", o.a_set_masked(o.K_IPV4, value, bytes(mask)))
        install(
            t, f"ipv4 byte {at:d}, value outside", "udp4", o.a_set_masked(o.K_IPV4, v4, bytes(mask))
        )
    for at in range(40):
        mask = bytearray(40)
        mask[at] = 0xFF
        install(t, f"ipv6 byte {at:d}", "tcp6", o.a_set_masked(o.K_IPV6, bytes(40), bytes(mask)))
    for label in (0xFFFFF, 0x100000, 0xFFF00000):
        mask = bytes(32) + struct.pack("!I", label) + bytes(4)
        install(t, f"label mask {label:#x}", "tcp6", o.a_set_masked(o.K_IPV6, bytes(40), mask))
        install(t, f"label value {label:#x}", "tcp6", o.a_set_masked(o.K_IPV6, mask, mask))
    for kind, key, size in (
        (o.K_TCP, "tcp6", 4),
        (o.K_UDP, "udp4", 4),
        (o.K_SCTP, "sctp4", 4),
        (o.K_ETHERNET, "udp4", 12),
        (o.K_PRIORITY, "udp4", 4),
    ):
        install(
            t, f"key {kind:d} inside", key, o.a_set_masked(kind, b"\x0f" * size, b"\xff" * size)
        )
        install(
            t, f"key {kind:d} outside", key, o.a_set_masked(kind, b"\xff" * size, b"\x0f" * size)
        )
        install(
            t,
            f"key {kind:d} odd length",
            key,
            nest(o.A_SET_MASKED, attr(kind, bytes(2 * size + 1))),
        )


@case_each("actions", sorted(KEYS.items()))
def l2(t, key):
    """Pairs and triples of the actions that change the layer 2 header."""
    t.switch(1)
    parts = {
        "push_vlan": o.a_push_vlan(0x1001),
        "push_ad": o.a_push_vlan(0x1001, 0x88A8),
        "pop_vlan": o.a_pop_vlan(),
        "pop_eth": o.a_pop_eth(),
        "push_eth": o.a_push_eth("02:00:00:00:00:0a", "02:00:00:00:00:0b"),
        "recirc": o.a_recirc(1),
    }
    for one in parts:
        install(t, one, key, parts[one])
        for two in parts:
            install(t, one + " " + two, key, parts[one] + parts[two])
            for three in ("pop_vlan", "push_eth", "pop_eth", "push_vlan"):
                install(t, " ".join((one, two, three)), key, parts[one] + parts[two] + parts[three])
    for tpid in (0x8100, 0x88A8, 0x9100, 0, 0xFFFF):
        for tci in (0x1000, 0, 0x0FFF, 0xFFFF):
            install(t, f"push {tpid:#x} {tci:#x}", key, o.a_push_vlan(tci, tpid))


@case("actions")
def userspace(t):
    t.switch(1)
    pid = u32(o.US_PID, 77)
    forms = {
        "pid": pid,
        "pid 0": u32(o.US_PID, 0),
        "no pid": b"",
        "userdata": pid + attr(o.US_USERDATA, b"12345"),
        "userdata empty": pid + attr(o.US_USERDATA),
        "userdata long": pid + attr(o.US_USERDATA, bytes(5000)),
        "tun port": pid + u32(o.US_EGRESS_TUN_PORT, 1),
        "tun port short": pid + u8(o.US_EGRESS_TUN_PORT, 1),
        "tun port 65535": pid + u32(o.US_EGRESS_TUN_PORT, 65535),
        "actions": pid + attr(o.US_ACTIONS),
        "actions with data": pid + attr(o.US_ACTIONS, b"1234"),
        "pid short": u16(o.US_PID, 1),
        "pid long": attr(o.US_PID, bytes(8)),
        "pid long set": attr(o.US_PID, b"\1" * 8),
        "pid twice": pid + u32(o.US_PID, 0),
        "pid twice ok": u32(o.US_PID, 0) + pid,
        "unknown": pid + u32(9, 1),
        "unspec": attr(0) + pid,
        "trailing": pid + b"\1\2",
        "nested flag": attr(o.US_PID | 0x8000, struct.pack("=I", 5)),
        "zero length": pid + attr(o.US_USERDATA, b"", length=0),
        "too long": pid + attr(o.US_USERDATA, b"1234", length=60),
    }
    for name, form in forms.items():
        install(t, name, "udp4", attr(o.A_USERSPACE, form))
        install(t, name + " then output", "udp4", attr(o.A_USERSPACE, form) + o.a_output(1))


@case("actions")
def sample(t):
    t.switch(1)
    prob = u32(o.SA_PROBABILITY, 5)
    acts = nest(o.SA_ACTIONS, o.a_output(1))
    forms = {
        "good": prob + acts,
        "order": acts + prob,
        "no probability": acts,
        "no actions": prob,
        "empty": b"",
        "empty actions": prob + nest(o.SA_ACTIONS),
        "probability 0": u32(o.SA_PROBABILITY, 0) + acts,
        "probability max": u32(o.SA_PROBABILITY, 0xFFFFFFFF) + acts,
        "probability short": u16(o.SA_PROBABILITY, 5) + acts,
        "probability long": attr(o.SA_PROBABILITY, bytes(8)) + acts,
        "twice": prob + prob + acts,
        "acts twice": prob + acts + acts,
        "unknown": prob + acts + u32(3, 1),
        "unspec": attr(0) + prob + acts,
        "trailing": prob + acts + b"\1",
        "short actions": prob + attr(o.SA_ACTIONS, b"123"),
        "bad inside": prob + nest(o.SA_ACTIONS, o.a_output(70000)),
        "nested flag": prob + nest(o.SA_ACTIONS, o.a_output(1), flag=True),
    }
    for name, form in forms.items():
        install(t, name, "udp4", attr(o.A_SAMPLE, form))
        install(t, name + " then output", "udp4", attr(o.A_SAMPLE, form) + o.a_output(1))
    inside = {
        "set": o.a_set(SETS["eth"]),
        "pop_eth": o.a_pop_eth(),
        "vlan": o.a_push_vlan(0x1001),
        "recirc": o.a_recirc(3),
        "hash": o.a_hash(0),
        "userspace": o.a_userspace(5),
        "trunc": o.a_trunc(50),
        "udp": o.a_set(SETS["udp"]),
        "check_pkt_len": o.a_check_pkt_len(100, o.a_output(1)),
        "dec_ttl": o.a_dec_ttl(o.a_output(1)),
        "psample": o.a_psample(1),
    }
    for name, body in inside.items():
        for after in (
            b"",
            o.a_output(1),
            o.a_push_eth("02:00:00:00:00:0a", "02:00:00:00:00:0b"),
            o.a_pop_eth(),
        ):
            install(t, f"sample({name}) {len(after):d}", "udp4", o.a_sample(1, body) + after)
            install(t, f"clone({name}) {len(after):d}", "udp4", o.a_clone(body) + after)
    for size in range(0, 9):
        install(t, f"clone of {size:d} bytes", "udp4", attr(o.A_CLONE, b"\4\0\5\0\4\0\5\0"[:size]))


@case_each("actions", [("clone", 0), ("sample", 1), ("mixed", 2)])
def depth(t, how):
    """Nesting: 16 levels are accepted, 17 are not (row 4)."""
    t.switch(1)
    for levels in (1, 2, 15, 16, 17, 18, 50, 400):
        body = o.a_output(1)
        for i in range(levels):
            if how == 0 or (how == 2 and i % 2):
                body = o.a_clone(body)
            else:
                body = o.a_sample(0xFFFFFFFF, body)
        install(t, f"{levels:d} levels", "udp4", body)
        install(t, f"{levels:d} levels, not last", "udp4", body + o.a_output(1))
        reply = t.flow(f"{levels:d} levels kept", KEYS["udp4"], body, flags=0)
        if not reply.errno:
            t.dump("dump", o.FLOW, dp="dp0")
            t.flow("get", KEYS["udp4"], None, cmd=o.GET)
            t.flush()


@case("actions", stock=False)
def big_lists(t):
    """Up to the largest attribute, and nested lists that grow beyond it."""
    t.switch(1)
    one = o.a_output(1)
    for count in (1, 100, 1000, 4000, 8190):
        t.flow(f"{count:d} outputs", KEYS["udp4"], one * count, flags=0)
        t.flow("get", KEYS["udp4"], None, cmd=o.GET)
        t.dump("dump", o.FLOW, dp="dp0")
        t.flush()
        t.flow(
            f"clone of {count:d} outputs", KEYS["udp4"], o.a_clone(one * min(count, 8188)), flags=0
        )
        t.flush()
    grow = o.a_set(SETS["eth"])  # 20 bytes in, 32 in the kernel
    for count in (100, 2040, 2047, 2048, 2049, 3000, 3270):
        t.flow(f"clone of {count:d} sets", KEYS["udp4"], o.a_clone(grow * count), flags=0)
        t.flow("get", KEYS["udp4"], None, cmd=o.GET)
        t.flush()
        t.flow(f"{count:d} sets", KEYS["udp4"], grow * count, flags=0)
        t.flush()


@case("actions")
def set_replaces(t):
    """FLOW_SET with bad actions leaves the old ones."""
    t.switch(1)
    t.flow("new", KEYS["udp4"], o.a_output(1))
    t.flow("set bad", KEYS["udp4"], o.a_output(70000), cmd=o.SET)
    t.flow(
        "set good list, then a bad one",
        KEYS["udp4"],
        o.a_output(1) * 20 + attr(o.A_OUTPUT, b"1"),
        cmd=o.SET,
    )
    t.flow("set bad, probe", KEYS["udp4"], o.a_output(70000), cmd=o.SET, extra=attr(o.FL_PROBE))
    t.flow("new bad over it", KEYS["udp4"], attr(99), cmd=o.NEW)
    t.flow("get", KEYS["udp4"], None, cmd=o.GET)


@case("actions")
def large_last(t):
    """One action larger than twice what went before (row 2)."""
    t.switch(1)
    for size in (100, 1000, 10000, 65000):
        acts = o.a_output(1) + o.a_userspace(5, bytes(size))
        install(t, f"userdata of {size}", "udp4", acts)
        install(t, f"userdata of {size}, nested", "udp4", o.a_clone(acts))


@case("actions")
def round_trip(t):
    """What a dump shows installs the same flow again (rows 16 and 17)."""
    t.switch(1)
    lists = [o.a_set(SETS[n]) + o.a_output(1) for n in ("priority", "mark", "eth", "ipv4", "udp")]
    lists += [
        nest(o.A_SET_MASKED, masked(SETS[n], 0xFF)) + o.a_output(1)
        for n in ("priority", "mark", "eth", "udp")
    ]
    lists += [
        o.a_push_vlan(0x1001) + o.a_pop_vlan(),
        o.a_pop_eth() + o.a_push_eth("02:00:00:00:00:0a", "02:00:00:00:00:0b"),
        o.a_userspace(7, b"cookie", 1, True),
        o.a_clone(o.a_set(SETS["eth"]) + o.a_output(1)) + o.a_output(2),
        o.a_sample(5, o.a_set(SETS["udp"]), o.a_userspace(7)) + o.a_recirc(4),
        o.a_clone(o.a_clone(o.a_sample(9, o.a_clone()))),
        o.a_push_mpls(o.d_lse(1), pad=b"ab") + o.a_push_mpls(o.d_lse(2), 0x8848),
        o.a_add_mpls(o.d_lse(1), 0x8848, 0) + o.a_add_mpls(o.d_lse(2), 0x8847, 0xFFFF),
        o.a_push_mpls(o.d_lse(1)) + o.a_set(o.k_mpls(o.d_lse(3))) + o.a_pop_mpls(0x0800),
        o.a_push_mpls(o.d_lse(1))
        + o.a_set_masked(o.K_MPLS, b"\0\0\x10\0", b"\0\0\xf0\0")
        + o.a_clone(o.a_pop_mpls(0x8847)),
        o.a_check_pkt_len(9, o.a_clone(o.a_output(1)), o.a_set(SETS["eth"])) + o.a_output(2),
        o.a_dec_ttl(o.a_dec_ttl() + o.a_set(SETS["udp"])) + o.a_output(2),
        o.a_push_nsh(o.n_base(), o.n_md1())
        + o.a_push_eth("02:00:00:00:00:0a", "02:00:00:00:00:0b"),
        o.a_push_nsh(o.n_md2(b"12345"), o.n_base(2, ttl=0xFF, flags=0xFF)),
        o.a_hash(1, 9) + o.a_trunc(99) + o.a_recirc(1),
        o.a_drop(7),
        b"",
    ]
    for number, acts in enumerate(lists):
        for again in (False, True):
            t.flow(f"{number} {again}", KEYS["udp4"], acts, flags=0)
            reply = t.flow("get", KEYS["udp4"], None, cmd=o.GET)
            shown = reply.attrs().get(o.FL_ACTIONS)
            t.check(shown is not None, f"list {number} is shown")
            t.check(again is False or shown == acts, f"list {number} is shown the same")
            acts = shown or b""
            t.flush()
