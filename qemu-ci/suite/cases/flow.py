# SPDX-License-Identifier: GPL-2.0
"""Flow commands: identifiers, flags, duplicates, overlaps, dumps."""

import struct

import frames as f
import ovsattr as o
from nlcore import NLM_F_CREATE, NLM_F_ECHO, NLM_F_EXCL, attr, nest, u8, u32
from registry import case, case_each

UDP = (
    o.k_in_port(1)
    + o.k_eth(f.M1, f.M2)
    + o.k_type(0x0800)
    + o.k_ipv4(f.IP1, f.IP2, 17)
    + o.k_udp(1000, 2000)
)


def udp(sport=1000, dport=2000, port=1):
    return (
        o.k_in_port(port)
        + o.k_eth(f.M1, f.M2)
        + o.k_type(0x0800)
        + o.k_ipv4(f.IP1, f.IP2, 17)
        + o.k_udp(sport, dport)
    )


def ufid(data):
    return attr(o.FL_UFID, data)


@case("flow")
def life(t):
    t.switch(2)
    t.flow("new", UDP, o.a_output(2))
    t.flow("get", UDP, None, cmd=o.GET)
    t.dump("dump", o.FLOW, dp="dp0")
    t.inject("hit", t.taps["t1"], f.udp4())
    t.flow("get after a packet", UDP, None, cmd=o.GET)
    t.flow("set actions", UDP, o.a_output(1), cmd=o.SET)
    t.flow("set nothing", UDP, None, cmd=o.SET)
    t.flow("set to drop", UDP, b"", cmd=o.SET)
    t.inject("dropped", t.taps["t1"], f.udp4())
    t.flow("clear", UDP, None, cmd=o.SET, extra=attr(o.FL_CLEAR))
    t.flow("get after clear", UDP, None, cmd=o.GET)
    t.inject("dropped", t.taps["t1"], f.udp4())
    t.flow("clear and actions", UDP, o.a_output(2), cmd=o.SET, extra=attr(o.FL_CLEAR))
    t.inject("hit", t.taps["t1"], f.udp4())
    t.flow("del", UDP, None, cmd=o.DEL)
    t.flow("get gone", UDP, None, cmd=o.GET)
    t.flow("del gone", UDP, None, cmd=o.DEL)
    t.flow("set gone", UDP, b"", cmd=o.SET)
    t.flow("set gone, no actions", UDP, None, cmd=o.SET)
    t.inject("miss", t.taps["t1"], f.udp4())
    t.counters()


@case("flow")
def tcp_flags(t):
    """The flags of all packets of a flow add up, until they are cleared."""
    (tap, *_) = t.switch(2)
    t.in_port_flow(1, o.a_output(2))
    for flags_ in (0x02, 0x10, 0x18, 0x01, 0x1C0, 0):
        t.inject(f"flags {flags_:#x}", tap, f.tcp4(flags=flags_))
        t.dump("dump", o.FLOW, dp="dp0")
    t.inject("not TCP", tap, f.udp4())
    t.dump("dump", o.FLOW, dp="dp0")
    key = o.k_in_port(1) + o.k_eth() + o.k_type(0x0800) + o.k_ipv4("0.0.0.0", "0.0.0.0", 0)
    t.flow("clear", key + u32(o.K_RECIRC_ID, 0), None, cmd=o.SET, extra=attr(o.FL_CLEAR))
    t.dump("dump", o.FLOW, dp="dp0")
    t.inject("after", tap, f.tcp4(flags=4))
    t.dump("dump", o.FLOW, dp="dp0")


@case("flow")
def missing(t):
    t.switch(1)
    probe = attr(o.FL_PROBE)
    for extra in (b"", probe):
        for cmd in (o.NEW, o.SET, o.GET, o.DEL):
            what = f"cmd {cmd:d}{(' probe' if extra else '')} "
            t.req(what + "nothing", o.FLOW, cmd, extra, "dp0")
            t.req(what + "key", o.FLOW, cmd, nest(o.FL_KEY, UDP) + extra, "dp0")
            t.req(what + "actions", o.FLOW, cmd, nest(o.FL_ACTIONS, o.a_output(1)) + extra, "dp0")
            t.req(what + "mask", o.FLOW, cmd, nest(o.FL_MASK) + extra, "dp0")
            t.req(what + "ufid", o.FLOW, cmd, ufid(bytes(16)) + extra, "dp0")
            t.req(
                what + "ufid and actions",
                o.FLOW,
                cmd,
                ufid(bytes(16)) + nest(o.FL_ACTIONS) + extra,
                "dp0",
            )
            t.req(
                what + "empty key", o.FLOW, cmd, nest(o.FL_KEY) + nest(o.FL_ACTIONS) + extra, "dp0"
            )
            t.req(
                what + "wrong dp",
                o.FLOW,
                cmd,
                nest(o.FL_KEY, UDP) + nest(o.FL_ACTIONS) + extra,
                4321,
            )
    t.dump("dump of a wrong dp", o.FLOW, dp=4321)


@case("flow")
def flags(t):
    """NLM_F_CREATE, EXCL and ECHO on a new and on an existing flow."""
    t.switch(2)
    for flags_ in (
        0,
        NLM_F_ECHO,
        NLM_F_CREATE,
        NLM_F_EXCL,
        NLM_F_CREATE | NLM_F_EXCL,
        NLM_F_CREATE | NLM_F_ECHO,
        0x100,
        0x300,
    ):
        for ident in (b"", ufid(b"u" * 16)):
            if flags_ & 0x300 == 0x300:
                continue
            what = "{:#x}{} ".format(flags_, " ufid" if ident else "")
            t.flow(what + "new", UDP, o.a_output(2), flags=flags_, extra=ident)
            t.flow(what + "again", UDP, o.a_output(1), flags=flags_, extra=ident)
            t.flow(what + "set", UDP, o.a_output(2), flags=flags_, cmd=o.SET, extra=ident)
            t.flow(what + "get", UDP, None, flags=flags_, cmd=o.GET, extra=ident)
            t.flow(what + "del", UDP, None, flags=flags_, cmd=o.DEL, extra=ident)


@case("flow")
def ufid_sizes(t):
    t.switch(2)
    for size in (0, 1, 2, 3, 4, 5, 8, 12, 15, 16, 17, 20, 32, 64):
        ident = ufid(bytes(range(1, size + 1)))
        t.flow(f"new {size:d}", UDP, o.a_output(2), extra=ident)
        t.req(f"get by ufid {size:d}", o.FLOW, o.GET, ident, "dp0")
        t.flow(f"get by key {size:d}", UDP, None, cmd=o.GET)
        t.dump("dump", o.FLOW, dp="dp0")
        t.req(
            f"set by ufid {size:d}",
            o.FLOW,
            o.SET,
            ident + nest(o.FL_KEY, UDP) + nest(o.FL_ACTIONS, o.a_output(1)),
            "dp0",
            NLM_F_ECHO,
        )
        t.req(f"clear by ufid {size:d}", o.FLOW, o.SET, ident + attr(o.FL_CLEAR), "dp0", NLM_F_ECHO)
        t.req(f"del by ufid {size:d}", o.FLOW, o.DEL, ident, "dp0", NLM_F_ECHO)
        t.flush()


@case("flow")
def ufid_prefixes(t):
    """Identifiers that differ in length alone are different."""
    t.switch(2)
    for i, ident in enumerate((b"a", b"a\0", b"a\0\0\0", b"aaaa", b"aaaab")):
        t.flow(f"new {ident!r}", udp(sport=i), b"", extra=ufid(ident))
    for ident in (b"a", b"a\0", b"a\0\0", b"a\0\0\0", b"aaaa", b"aaaab", b"aaaabb"):
        t.req(f"get {ident!r}", o.FLOW, o.GET, ufid(ident), "dp0")
    t.dump("dump", o.FLOW, dp="dp0")


@case("flow")
def identity_mix(t):
    """A flow by UFID and one by key: who finds whom."""
    t.switch(2)
    one, two = ufid(b"1" * 16), ufid(b"2" * 16)
    t.flow("by ufid", UDP, o.a_output(2), extra=one)
    t.flow("same key, other ufid", UDP, o.a_output(1), extra=two)
    t.flow("same key, no ufid", UDP, b"")
    t.flow("other key, same ufid", udp(sport=5), b"", extra=one)
    t.dump("dump", o.FLOW, dp="dp0")
    t.flow("get by key", UDP, None, cmd=o.GET)
    t.flow("set by key", UDP, o.a_output(1), cmd=o.SET)
    t.flow("del by key", UDP, None, cmd=o.DEL)
    t.req(
        "del by ufid, key of another",
        o.FLOW,
        o.DEL,
        one + nest(o.FL_KEY, udp(sport=9)),
        "dp0",
        NLM_F_ECHO,
    )
    t.flow("by key", UDP, o.a_output(2))
    # CVE list row 67: a short UFID that misses, the key hits a key flow.
    t.flow("with ufid on it", UDP, o.a_output(1), extra=ufid(b"x"))
    t.req("get by that ufid", o.FLOW, o.GET, ufid(b"x"), "dp0")
    t.flow("get by key", UDP, None, cmd=o.GET)
    t.flow("excl with ufid", UDP, b"", flags=NLM_F_CREATE, extra=ufid(b"y" * 16))
    t.dump("dump", o.FLOW, dp="dp0")


@case("flow", stock=False)
def omit(t):
    """Every set of OMIT flags, in every command, with and without UFID."""
    t.switch(2)
    for ident in (b"", ufid(b"i" * 16)):
        for bits in list(range(8)) + [8, 0xFFFFFFFF]:
            extra = ident + u32(o.FL_UFID_FLAGS, bits)
            what = "{} {:#x} ".format("ufid" if ident else "key", bits)
            t.flow(what + "new", UDP, o.a_output(2), extra=extra)
            t.flow(what + "new again", UDP, o.a_output(1), extra=extra)
            t.flow(what + "set", UDP, o.a_output(2), cmd=o.SET, extra=extra)
            t.flow(what + "set nothing", UDP, None, cmd=o.SET, extra=extra)
            t.flow(what + "get", UDP, None, cmd=o.GET, extra=extra)
            t.dump(what + "dump", o.FLOW, u32(o.FL_UFID_FLAGS, bits), "dp0")
            t.flow(what + "del", UDP, None, cmd=o.DEL, extra=extra)


@case("flow", stock=False)
def overlaps(t):
    """Megaflows that overlap: what is the same flow (row 88)."""
    t.switch(2)
    wide = o.k_in_port(0xFFFFFFFF) + o.k_type(0xFFFF)
    ipm = attr(o.K_IPV4, b"\xff" * 4 + bytes(8))
    portm = attr(o.K_IPV4, bytes(8) + b"\xff" + bytes(3)) + attr(o.K_UDP, b"\xff\xff\0\0")
    masks = {"wide": wide, "src": wide + ipm, "port": wide + portm, "exact": None, "empty": b""}
    for first, mask1 in masks.items():
        for second, mask2 in masks.items():
            for flags_ in (0, NLM_F_CREATE):
                what = f"{first} then {second} {flags_:#x}: "
                t.flow(what + "first", UDP, o.a_output(1), mask1)
                t.flow(what + "same key", UDP, o.a_output(2), mask2, flags=NLM_F_ECHO | flags_)
                t.flow(
                    what + "other port",
                    udp(sport=7),
                    o.a_output(2),
                    mask2,
                    flags=NLM_F_ECHO | flags_,
                )
                t.dump(what + "dump", o.FLOW, dp="dp0")
                t.flow(what + "get", UDP, None, cmd=o.GET)
                t.flow(what + "get other", udp(sport=7), None, cmd=o.GET)
                t.flush()


@case("flow")
def flush(t):
    t.switch(2)
    for i in range(50):
        t.flow("new", udp(sport=i), b"", quiet=True, flags=0)
    t.flush()
    t.dump("dump after flush", o.FLOW, dp="dp0")
    t.counters()
    t.req("flush of an empty table", o.FLOW, o.DEL, b"", "dp0", NLM_F_ECHO)
    t.req("flush with a mask", o.FLOW, o.DEL, nest(o.FL_MASK), "dp0")
    t.req("ufid out of range means flush", o.FLOW, o.DEL, ufid(bytes(17)), "dp0")
    t.flow("new", UDP, b"")
    t.req("ufid out of range means flush", o.FLOW, o.DEL, ufid(bytes(17)), "dp0")
    t.dump("dump", o.FLOW, dp="dp0")
    t.flow("new in the flushed table", UDP, b"")


@case("flow", stock=False)
def many(t):
    """A dump of many messages; each flow is there once."""
    t.switch(2)
    for i in range(1500):
        mask = (
            None
            if i % 3
            else o.k_in_port(0xFFFFFFFF)
            + o.k_type(0xFFFF)
            + attr(o.K_IPV4, b"\xff" * 12)
            + attr(o.K_UDP, b"\xff\xff\0\0")
        )
        t.flow(
            "new",
            udp(sport=i),
            o.a_output(2),
            mask,
            flags=0,
            extra=ufid(struct.pack("=IIII", i, 1, 2, 3)),
            quiet=True,
        )
    t.records.clear()
    bits = u32(o.FL_UFID_FLAGS, 7)
    t.small_dump("ids", o.FLOW, bits, "dp0")
    t.dump("all", o.FLOW, u32(o.FL_UFID_FLAGS, 4), "dp0")
    t.req("dp", o.DP, o.GET, dp="dp0")
    for i in range(0, 1500, 2):
        t.req("del", o.FLOW, o.DEL, ufid(struct.pack("=IIII", i, 1, 2, 3)), "dp0", quiet=True)
    t.mc.drain()
    t.small_dump("half", o.FLOW, bits, "dp0")
    t.req("dp", o.DP, o.GET, dp="dp0")
    for i in range(0, 1500, 101):
        t.inject(f"packet {i:d}", t.taps["t1"], f.udp4(sport=i))


@case("flow")
def many_masks(t):
    """Flows of 60 masks that do not overlap: each packet finds its own,
    while masks come and go around it."""
    (tap, *_) = t.switch(3)
    made = []
    for i in range(60):
        # Destination ports differ, so that no packet fits two flows.
        bits = 0xFFFF ^ (1 << (i % 16)) if i < 16 else 0xFFFF ^ (3 << (i % 15))
        mask = (
            o.k_in_port(0xFFFFFFFF)
            + o.k_type(0xFFFF)
            + attr(o.K_IPV4, b"\xff" * 4 + bytes(4) + b"\xff" + bytes((0xFF if i & 1 else 0, 0, 0)))
            + attr(o.K_UDP, bits.to_bytes(2, "big") + b"\xff\xff")
            + (u32(o.K_SKB_MARK, i // 15) if i // 15 else b"")
        )
        key = udp(sport=1000, dport=3000 + i)
        t.flow(f"new {i}", key, o.a_output(2 + i % 2), mask, flags=0, quiet=True)
        made.append(key)
    t.req("masks", o.DP, o.GET, dp="dp0")
    for i in range(0, 60, 7):
        t.inject(f"packet {i}", tap, f.udp4(dport=3000 + i))
    for i in range(0, 60, 2):
        t.flow(f"del {i}", made[i], None, cmd=o.DEL, flags=0, quiet=True)
    t.req("fewer masks", o.DP, o.GET, dp="dp0")
    for i in range(0, 60, 7):
        t.inject(f"packet {i} again", tap, f.udp4(dport=3000 + i))
    t.counters(ports=("t1", "t2", "t3"))


@case_each("flow", [(str(n), n) for n in range(1, 14)])
def attr_lengths(t, kind):
    t.switch(1)
    for size in list(range(0, 9)) + [12, 16, 17, 24]:
        bad = attr(kind, bytes(size))
        for cmd, actions in ((o.NEW, o.a_output(1)), (o.SET, b""), (o.GET, None), (o.DEL, None)):
            t.flow(f"cmd {cmd:d} len {size:d}", UDP, actions, cmd=cmd, extra=bad)
            t.req(
                f"cmd {cmd:d} first len {size:d}",
                o.FLOW,
                cmd,
                bad + nest(o.FL_KEY, UDP) + nest(o.FL_ACTIONS),
                "dp0",
            )
        t.dump(f"dump len {size:d}", o.FLOW, bad, "dp0")
    for flag in (0x8000, 0x4000):
        t.flow(f"flag {flag:#x}", UDP, b"", extra=attr(kind | flag, bytes(4)))
        t.dump(f"dump flag {flag:#x}", o.FLOW, attr(kind | flag, bytes(4)), "dp0")


@case("flow")
def unknown_commands(t):
    t.switch(1)
    for cmd in (0, 5, 6, 255):
        for flags_ in (0, 0x300):
            t.req(f"cmd {cmd:d} {flags_:#x}", o.FLOW, cmd, nest(o.FL_KEY, UDP), "dp0", flags_)
    for version in (0, 2, 255):
        t.req(f"version {version:d}", o.FLOW, o.GET, nest(o.FL_KEY, UDP), "dp0", version=version)


_ = u8
