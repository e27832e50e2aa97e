# SPDX-License-Identifier: GPL-2.0
"""The ct and ct_clear actions and the CT_* keys in netlink: what is accepted,
what is logged, and what is given back."""

import struct

import frames as f
import ovsattr as o
from nlcore import attr, nest, u8, u16, u32
from registry import case, case_each

from cases.keys import ETH, IP4, IP6, KEYS, ND, PORT, fill, try_key, v4, v6

COMMIT = o.ct_commit()
SRC = o.ct_nat(o.NAT_SRC, "10.1.1.1")
FLOWS = {
    "udp4": v4(17) + o.k_udp(1, 2),
    "tcp6": v6(6) + o.k_tcp(1, 2) + o.k_tcp_flags(2),
    "icmp4": v4(1) + o.k_icmp(8, 0),
    "icmp6": v6(58) + o.k_icmpv6(128, 0),
    "later": v4(17, frag=2),
    "noproto": v4(0),
    "arp": KEYS["arp"],
    "llc": ETH,
    "vlan": KEYS["vlan"],
    "qinq": KEYS["qinq"],
    "vlan_empty": KEYS["vlan_zero"],
    "l3": KEYS["ethertype_only"],
    "other": KEYS["other"],
}


def install(t, label, actions, key="udp4"):
    """FLOW_NEW, what a dump shows, and back again."""
    reply = t.flow(label, FLOWS[key], actions, flags=0)
    if not reply.errno:
        t.flow(label + ": get", FLOWS[key], None, cmd=o.GET)
        t.flush()


@case("conntrack")
def families(t):
    """On each kind of flow: only what is IPv4 or IPv6 there can be tracked."""
    t.switch(1)
    pushes = {
        "": b"",
        "push_vlan ": o.a_push_vlan(0x1001),
        "pop_vlan ": o.a_pop_vlan(),
        "pop_eth ": o.a_pop_eth(),
        "pop_eth push_eth ": o.a_pop_eth() + o.a_push_eth(f.M1, f.M2),
    }
    for key in FLOWS:
        for name, before in pushes.items():
            for what, act in (
                ("ct", o.a_ct()),
                ("ct(commit)", o.a_ct(COMMIT)),
                ("ct_clear", o.a_ct_clear()),
            ):
                install(t, f"{key}: {name}{what}", before + act, key)
        install(t, f"{key}: ct(nat)", o.a_ct(o.ct_nat()), key)
        for ip in ("10.1.1.1", "fd00::1"):
            install(t, f"{key}: ct(commit,nat({ip}))", o.a_ct(COMMIT, o.ct_nat(1, ip)), key)


@case_each("conntrack", [(str(n), n) for n in range(0, 12)] + [("far", 0x1FFF)])
def lengths(t, kind):
    """Each attribute of ct with each length, with commit before, after, without."""
    t.switch(1)
    for size in [*range(0, 21), 31, 32, 33, 34, 40]:
        for fill_byte in (0, 1, 0x61):
            body = bytes((fill_byte,)) * size
            one = attr(kind, body)
            label = f"{size:d} of {fill_byte:#x}"
            install(t, label, o.a_ct(one))
            install(t, label + ", commit before", o.a_ct(COMMIT, one))
            install(t, label + ", commit after", o.a_ct(one, COMMIT))
        if size:
            ended = attr(kind, b"a" * (size - 1) + b"\0")
            install(t, f"{size:d}, NUL at its end", o.a_ct(COMMIT, ended))
    for flag in (0x8000, 0x4000):
        install(t, f"flag {flag:#x}", o.a_ct(COMMIT, attr(kind | flag, struct.pack("=I", 5))))


@case("conntrack")
def forms(t):
    """Trailing bytes, cut attributes, flags of the nest, in sample and clone."""
    t.switch(1)
    for key in ("udp4", "tcp6"):
        for name, body in {
            "empty": b"",
            "one byte": b"\1",
            "three bytes": b"\1\2\3",
            "trailing": COMMIT + b"\1\2\3",
            "cut": COMMIT + attr(o.CT_ZONE, b"\1\0", length=20),
            "short": COMMIT + attr(o.CT_ZONE, b"\1\0", length=3),
            "zero": bytes(4),
            "zeroes": bytes(8),
            "unknown": COMMIT + attr(10),
            "unknown first": attr(10) + COMMIT,
        }.items():
            install(t, f"{key} {name}", attr(o.A_CT, body), key)
            install(t, f"{key} {name}, output", attr(o.A_CT, body) + o.a_output(1), key)
        install(t, f"{key} nested flag", nest(o.A_CT, COMMIT, flag=True), key)
        install(t, f"{key} in clone", o.a_clone(o.a_ct(COMMIT)) + o.a_ct(), key)
        install(t, f"{key} in sample", o.a_sample(5, o.a_ct(COMMIT, o.ct_zone(1))), key)
        install(t, f"{key} bad in clone", o.a_clone(o.a_output(1), o.a_ct(attr(10))), key)
        install(t, f"{key} bad after good", o.a_ct(COMMIT) + o.a_ct(attr(10)), key)
        install(t, f"{key} twice", o.a_ct() * 2, key)
    for size in range(0, 9):
        install(t, f"ct_clear of {size:d}", attr(o.A_CT_CLEAR, bytes(size)))
    install(t, "ct_clear, flag", attr(o.A_CT_CLEAR | 0x8000))
    install(t, "ct_clear first", o.a_ct_clear() + o.a_ct(COMMIT) + o.a_ct_clear())


PARTS = {
    "commit": COMMIT,
    "force": o.ct_force(),
    "zone": o.ct_zone(7),
    "zone max": o.ct_zone(65535),
    "mark": o.ct_mark(0x55, 0xFF),
    "mark outside": o.ct_mark(0x5500, 0xFF),
    "mark no mask": o.ct_mark(5, 0),
    "labels": o.ct_labels(b"\1\2", b"\xff\xff"),
    "labels outside": o.ct_labels(b"\xff" * 16, b"\x0f"),
    "labels no mask": o.ct_labels(b"\1", b""),
    "nat": o.ct_nat(),
    "snat": SRC,
    "eventmask": u32(o.CT_EVENTMASK, 0x77),
    "eventmask 0": u32(o.CT_EVENTMASK, 0),
    "helper": o.ct_helper("ftp"),
    "no helper": o.ct_helper("nothing"),
    "timeout": o.ct_timeout("nothing"),
}


@case("conntrack")
def pairs(t):
    """Each two attributes in both orders, and each one twice."""
    t.switch(1)
    for one in PARTS:
        install(t, one, o.a_ct(PARTS[one]))
        for two in PARTS:
            install(t, f"{one}, {two}", o.a_ct(PARTS[one], PARTS[two]))
            install(t, f"commit, {one}, {two}", o.a_ct(COMMIT, PARTS[one], PARTS[two]))
    install(t, "all", o.a_ct(*PARTS.values()))


@case_each("conntrack", [("udp4", "udp4"), ("tcp6", "tcp6"), ("icmp4", "icmp4")])
def nat(t, key):
    """NAT: types, ranges, flags; each attribute with each length."""
    t.switch(1)
    for kind in range(0, 12):
        for size in (0, 1, 2, 3, 4, 5, 8, 15, 16, 17):
            body = attr(kind, b"\1" * size)
            for name, parts in (
                ("alone", body),
                ("src before", attr(o.NAT_SRC) + body),
                ("dst after", body + attr(o.NAT_DST)),
            ):
                label = f"{kind:d} of {size:d}, {name}"
                install(t, label, o.a_ct(COMMIT, attr(o.CT_NAT, parts)), key)
    ips = ("10.1.1.1", "10.1.1.9", "0.0.0.0") if key != "tcp6" else ("fd00::1", "fd00::9", "::")
    for kind in (None, o.NAT_SRC, o.NAT_DST):
        for low, high in (
            (None, None),
            (ips[0], None),
            (ips[0], ips[0]),
            (ips[0], ips[1]),
            (ips[1], ips[0]),
            (None, ips[1]),
            (ips[2], ips[2]),
            (ips[2], ips[1]),
        ):
            for first, last in (
                (None, None),
                (0, None),
                (1, None),
                (1, 1),
                (1000, 2000),
                (2000, 1000),
                (None, 5),
                (65535, None),
            ):
                label = f"{kind} {low} {high} {first} {last}"
                parts = o.ct_nat(kind, low, high, first, last)
                install(t, label, o.a_ct(COMMIT, parts), key)
    for kind in (None, o.NAT_SRC):
        for bits in range(8):
            flags = [7 + i for i in range(3) if bits >> i & 1]
            install(t, f"{kind} flags {bits}", o.a_ct(COMMIT, o.ct_nat(kind, flags=flags)), key)
            part = o.ct_nat(kind, ips[0], port=9, flags=flags)
            install(t, f"{kind} all {bits}", o.a_ct(COMMIT, part), key)
    for name, parts in {
        "src dst": attr(o.NAT_SRC) + attr(o.NAT_DST),
        "src src": attr(o.NAT_SRC) * 2,
        "trailing": attr(o.NAT_SRC) + b"\1\2",
        "cut": attr(o.NAT_SRC) + attr(o.NAT_PROTO_MIN, b"\1\0", length=30),
        "ip twice": attr(o.NAT_SRC) + u32(o.NAT_IP_MIN, 1) + u32(o.NAT_IP_MIN, 2),
        "nested flag": attr(o.NAT_SRC | 0x8000),
    }.items():
        nat_attr = attr(o.CT_NAT, parts)
        install(t, name, o.a_ct(COMMIT, nat_attr), key)
        install(t, name + ", force", o.a_ct(o.ct_force(), nat_attr), key)
        install(t, name + ", no commit", o.a_ct(nat_attr), key)
        install(t, name + ", commit later", o.a_ct(nat_attr, COMMIT), key)
    install(t, "nat twice", o.a_ct(COMMIT, SRC, SRC), key)
    install(t, "nat, snat", o.a_ct(COMMIT, o.ct_nat(), SRC), key)
    install(t, "nested flag", o.a_ct(COMMIT, nest(o.CT_NAT, attr(o.NAT_SRC), flag=True)), key)


@case("conntrack")
def helpers(t):
    """Names of helpers, known for this protocol or not, and their lengths."""
    t.switch(1)
    keys = {
        "tcp4": v4(6) + o.k_tcp(1, 21) + o.k_tcp_flags(2),
        "udp4": FLOWS["udp4"],
        "tcp6": FLOWS["tcp6"],
        "udp6": v6(17) + o.k_udp(1, 2),
        "noproto": FLOWS["noproto"],
    }
    for key, flow in keys.items():
        FLOWS["x"] = flow
        for name in ("ftp", "tftp", "nothing", "", "a" * 15, "a" * 16, "ftp\0", "ftp\0\0", "f\0tp"):
            for how, parts in (
                ("", ()),
                (", commit", (COMMIT,)),
                (", nat", (COMMIT, SRC if key[-1] == "4" else o.ct_nat(1, "fd00::9"))),
                (", ct(nat)", (o.ct_nat(),)),
            ):
                label = f"{key} {name!r}{how}"
                install(t, label, o.a_ct(*parts, o.ct_helper(name)), "x")
    del FLOWS["x"]
    for name in (b"ftp", b"ftp\0", b"ftp\0\0\0\0\0\0", b"a" * 16, b"a" * 15 + b"\0"):
        install(t, f"{name}", o.a_ct(attr(o.CT_HELPER, name)))
    for name in (b"\xff\0", b"f\x80p\0", "f\u00fcr".encode() + b"\0", b"a\nb%s\x01\0"):
        install(t, f"{name}", o.a_ct(attr(o.CT_HELPER, name)))
        install(t, f"{name}, timeout", o.a_ct(attr(o.CT_TIMEOUT, name)))
    two = o.ct_helper("tftp") + o.ct_helper("nothing")
    install(t, "two, the last unknown", o.a_ct(two))
    two = o.ct_helper("nothing") + o.ct_helper("tftp")
    install(t, "two, the last known", o.a_ct(two))
    install(t, "in clone", o.a_clone(o.a_ct(COMMIT, o.ct_helper("tftp"))))
    acts = o.a_ct(COMMIT, o.ct_helper("tftp")) + o.a_output(70000)
    install(t, "given back after an error", acts)


@case("conntrack")
def timeouts(t):
    """Names of timeout policies; that they exist, for this protocol."""
    t.switch(1)
    from ctnl import ICMP_NAMES, UDP_NAMES

    t.note("make", t.ct.timeout_policy("udp4", 2, 17, UDP_NAMES, unreplied=70, replied=90))
    t.note("make", t.ct.timeout_policy("icmp6", 10, 58, ICMP_NAMES, timeout=50))
    long = "n" * 31
    t.note("make", t.ct.timeout_policy(long, 2, 17, UDP_NAMES, unreplied=70))
    for key in ("udp4", "icmp6", "tcp6", "icmp4", "later"):
        for name in ("udp4", "icmp6", "nothing", "", long, "n" * 30):
            for commit in (b"", COMMIT):
                install(t, f"{key} {name!r}", o.a_ct(commit, o.ct_timeout(name)), key)
    for body in (b"udp4", b"udp4\0\0", b"n" * 32, b"n" * 33, b"u\0dp4\0"):
        install(t, f"{body}", o.a_ct(attr(o.CT_TIMEOUT, body)))
    two = o.ct_timeout("nothing-at-all") + o.ct_timeout("udp4")
    install(t, "two", o.a_ct(two))
    reply = t.flow("kept", FLOWS["udp4"], o.a_ct(COMMIT, o.ct_timeout("udp4")))
    t.check(not reply.errno, "a flow with a timeout policy")
    t.note("in use", t.ct.timeout_policy_del("udp4"))
    t.flow("get", FLOWS["udp4"], None, cmd=o.GET)
    t.flush()
    t.settle(0.1)
    t.note("not in use", t.ct.timeout_policy_del("udp4"))
    t.note("not in use", t.ct.timeout_policy_del("icmp6"))


@case("conntrack", stock=False)
def large(t):
    """Nested lists that are larger in the kernel than in netlink."""
    t.switch(1)
    for count in (1, 100, 400, 500, 600, 1000, 3000):
        many = o.a_ct() * count
        t.flow(f"{count:d}", FLOWS["udp4"], many, flags=0)
        t.flow("get", FLOWS["udp4"], None, cmd=o.GET)
        t.flush()
        t.flow(f"clone of {count:d}", FLOWS["udp4"], o.a_clone(many), flags=0)
        t.flow("get", FLOWS["udp4"], None, cmd=o.GET)
        t.flush()


@case("conntrack")
def round_trip(t):
    """What a dump shows installs the same flow again."""
    t.switch(1)
    lists = [o.a_ct(), o.a_ct(COMMIT, PARTS["zone"], PARTS["mark"], PARTS["labels"])]
    lists += [
        o.a_ct(o.ct_force(), PARTS["eventmask"], PARTS["mark outside"]),
        o.a_ct(COMMIT, o.ct_nat(o.NAT_SRC, "10.1.1.1", "10.1.1.9", 5, 6, (7, 8, 9))),
        o.a_ct(COMMIT, o.ct_nat(o.NAT_DST, "10.1.1.1", "10.1.1.1", 5, 5)),
        o.a_ct(COMMIT, o.ct_helper("tftp"), o.ct_timeout("x"), o.ct_nat(o.NAT_DST)),
        o.a_clone(o.a_ct(COMMIT) + o.a_ct_clear()) + o.a_ct(o.ct_nat()),
    ]
    for number, acts in enumerate(lists):
        for again in (False, True):
            t.flow(f"{number} {again}", FLOWS["udp4"], acts, flags=0)
            reply = t.flow("get", FLOWS["udp4"], None, cmd=o.GET)
            shown = reply.attrs().get(o.FL_ACTIONS)
            t.check(shown is not None, f"list {number} is shown")
            t.check(again is False or shown == acts, f"list {number} is shown the same")
            acts = shown or b""
            t.flush()


@case("conntrack")
def probe_is_silent(t):
    """A probe logs nothing of what is wrong with ct."""
    t.switch(1)
    for name, part in PARTS.items():
        acts = o.a_ct(part, attr(10))
        t.flow(name, FLOWS["udp4"], acts, extra=attr(o.FL_PROBE))
        t.flow(name + ", arp", FLOWS["arp"], o.a_ct(part), extra=attr(o.FL_PROBE))


# ---- keys ---------------------------------------------------------------

STATE = o.CS_TRACKED | o.CS_EST


def state(bits=STATE):
    return u32(o.K_CT_STATE, bits)


def orig4(proto=17):
    ends = o.ip4("9.9.9.9") + o.ip4("8.8.8.8")
    return attr(o.K_CT_ORIG4, ends + struct.pack("!HHB3x", 1, 2, proto))


def orig6(proto=17):
    ends = o.ip6("fd00::a") + o.ip6("fd00::b")
    return attr(o.K_CT_ORIG6, ends + struct.pack("!HHB3x", 1, 2, proto))


CT_KEYS = {
    "state": state(),
    "zone": u16(o.K_CT_ZONE, 0x1234),
    "mark": u32(o.K_CT_MARK, 0x12345678),
    "labels": attr(o.K_CT_LABELS, bytes(range(16))),
    "orig4": orig4(),
    "orig6": orig6(),
    "orig4, no protocol": orig4(0),
    "orig6, no protocol": orig6(0),
}
FULL = CT_KEYS["state"] + CT_KEYS["zone"] + CT_KEYS["mark"] + CT_KEYS["labels"]
CARRIERS = {
    "udp4": FLOWS["udp4"],
    "tcp6": FLOWS["tcp6"],
    "ns": v6(58) + o.k_icmpv6(135, 0) + ND,
    "na": v6(58) + o.k_icmpv6(136, 0) + ND,
    "echo6": FLOWS["icmp6"],
    "noproto": v4(0),
    "noproto6": v6(0),
    "arp": FLOWS["arp"],
    "vlan": FLOWS["vlan"],
    "llc": ETH,
}


@case_each("conntrack", sorted(CARRIERS.items()), stock=("udp4", "ns"))
def keys(t, flow):
    """Each CT_* key, alone and beside the state, on each kind of flow."""
    t.switch(1)
    for name, key in CT_KEYS.items():
        for what, more in (
            ("alone", b""),
            ("state", state()),
            ("state 0", state(0)),
            ("not tracked", state(o.CS_NEW)),
            ("invalid", state(o.CS_TRACKED | o.CS_INV)),
            ("all", FULL),
        ):
            if name in ("state",) and more:
                continue
            whole = flow + more + key
            if more == FULL and name in ("zone", "mark", "labels"):
                whole = flow + FULL
            for how, mask in (
                ("exact", None),
                ("ones", fill(whole, 0xFF)),
                ("part", fill(whole, 0x5A)),
                ("zeroes", fill(whole, 0)),
                ("none", b""),
                ("only it", fill(key, 0xFF)),
            ):
                try_key(t, f"{name}, {what}, {how}", whole, mask)
    try_key(t, "both tuples", flow + FULL + orig4() + orig6())
    try_key(t, "key twice", flow + state() + state())


@case("conntrack")
def states(t):
    """Each bit of ct_state in key and mask."""
    t.switch(1)
    for bit in range(32):
        for name, bits in (("", 1 << bit), (" tracked", 1 << bit | o.CS_TRACKED)):
            try_key(t, f"bit {bit:d}{name}", IP4 + o.k_ipv4("1.1.1.1", "2.2.2.2", 0) + state(bits))
        mask = o.k_type(0xFFFF) + state(1 << bit)
        base = IP4 + o.k_ipv4("1.1.1.1", "2.2.2.2", 0)
        try_key(t, f"mask {bit:d}", base + state(o.CS_TRACKED), mask)
        try_key(t, f"mask {bit:d}, no state in key", base, mask)
    for bits in (0, 0xFF, 0x100, 0xFFFF, 0xFFFFFFFF):
        for mask in (None, 0, 0xFF, 0x5A, 0x100, 0xFFFFFFFF):
            extra = None if mask is None else o.k_type(0xFFFF) + state(mask)
            try_key(t, f"{bits:#x} {mask}", base + state(bits), extra)


@case("conntrack")
def tuple_masks(t):
    """Masks of the original tuple and what has to be exact beside them."""
    t.switch(1)
    for name, flow, orig in (("4", v4(0), orig4()), ("6", v6(0), orig6())):
        for what, st in (("state", state()), ("no state", b""), ("state 0", state(0))):
            key = flow + st + orig
            kind = o.k_type(0xFFFF)
            size = len(orig) - 4
            for how, mask in {
                "type": kind,
                "state": kind + state(0xFFFFFFFF),
                "tracked": kind + state(o.CS_TRACKED),
                "established": kind + state(o.CS_EST),
                "tuple": kind + fill(orig, 0xFF),
                "tuple, no type": fill(orig, 0xFF),
                "tuple, half a type": o.k_type(0xFF00) + fill(orig, 0xFF),
                "state, tuple": kind + state(o.CS_TRACKED) + fill(orig, 0xFF),
                "source": kind + state(0xFF) + attr(o.K_CT_ORIG4, b"\xff" * 4 + bytes(12)),
                "wrong version": kind + state(0xFF) + attr(o.K_CT_ORIG6, b"\xff" * 40),
                "protocol": kind + state(0xFF) + attr(orig[2], bytes(size - 4) + b"\xff\0\0\0"),
                "ports": kind + state(0xFF) + attr(orig[2], bytes(size - 8) + b"\xff\xff\0\0" * 2),
                "pad": kind + state(0xFF) + attr(orig[2], bytes(size - 3) + b"\xff\xff\xff"),
            }.items():
                try_key(t, f"{name} {what} {how}", key, mask)


@case("conntrack")
def execute_keys(t):
    """EXECUTE with CT_* keys: what an upcall then shows, and what does not go
    together."""
    t.switch(1)
    see = o.a_userspace(t.up.pid)
    frames = {
        "udp4": f.udp4(),
        "udp6": f.udp6(),
        "ns": f.eth(f.ipv6(f.nd(), 58, hlimit=255), 0x86DD),
        "arp": f.arp_frame(),
        "vlan": f.udp4(vlans=(5,)),
    }
    for name, frame in frames.items():
        for what, key in CT_KEYS.items():
            for how, more in (
                ("", b""),
                (", state", state()),
                (", state 0", state(0)),
                (", all", FULL),
                (", type 4", o.k_eth() + o.k_type(0x0800)),
                (", type 6", o.k_eth() + o.k_type(0x86DD)),
            ):
                whole = more.replace(key, b"") + key
                t.execute(f"{name}: {what}{how}", frame, see, key=PORT + whole)
        t.execute(f"{name}: both", frame, see, key=PORT + FULL + orig4() + orig6())
    for bits in (0x100, 0x80000020, 0xFFFFFFFF):
        t.execute(f"state {bits:#x}", f.udp4(), see, key=PORT + state(bits))
    for kind in (o.K_CT_STATE, o.K_CT_ZONE, o.K_CT_MARK, o.K_CT_LABELS):
        for size in (0, 1, 2, 4, 8, 16):
            key = PORT + attr(kind, bytes(size))
            t.execute(f"{o.KEY_NAMES[kind]} of {size:d}", f.udp4(), see, key=key)
            t.execute(f"{o.KEY_NAMES[kind]} probe", f.udp4(), see, key=key, extra=attr(o.PK_PROBE))


@case("conntrack")
def sets(t):
    """set() and set_masked() of what is tracked: some can be installed, none
    can be run."""
    t.switch(2)
    for name, key in CT_KEYS.items():
        size, kind = struct.unpack_from("=HH", key)
        body = key[4:size]
        for flow in ("udp4", "tcp6", "arp"):
            install(t, f"{flow} set {name}", o.a_set(key), flow)
            for mask in (0, 0x0F, 0xFF):
                part = bytes((mask,)) * len(body)
                value = bytes(a & b for a, b in zip(body, part, strict=True))
                acts = nest(o.A_SET_MASKED, attr(kind, value + part))
                install(t, f"{flow} set_masked {name} {mask:#x}", acts, flow)
            install(t, f"{flow} short", o.a_set(attr(kind, body[:-1])), flow)
        for acts in (o.a_set(key), nest(o.A_SET_MASKED, attr(kind, body + b"\xff" * len(body)))):
            t.execute(f"run {name}", f.udp4(), acts + o.a_output(2), key=PORT)
            t.execute(f"run {name} last", f.udp4(), o.a_output(2) + acts, key=PORT)
            t.execute(f"run {name} in clone", f.udp4(), o.a_clone(acts) + o.a_output(2), key=PORT)
    t.in_port_flow(1, o.a_set(CT_KEYS["mark"]) + o.a_output(2))
    t.inject("in a flow", t.taps["t1"], f.udp4())
    t.counters()


_ = (u8, IP6)
