# SPDX-License-Identifier: GPL-2.0
"""Datapath commands: every attribute, good and bad."""

import struct

import frames as f
import ovsattr as o
from nlcore import NLM_F_ECHO, attr, attr_dict, s32, string, u8, u16, u32, u64
from registry import case, case_each


def base(name="dp0", pid=0):
    return string(o.DP_NAME, name) + u32(o.DP_UPCALL_PID, pid)


@case("dp")
def life(t):
    t.dp("dp0")
    t.req("get by name", o.DP, o.GET, string(o.DP_NAME, "dp0"))
    t.req("get by ifindex", o.DP, o.GET, dp="dp0")
    t.dump("dump", o.DP)
    t.note("link", t.rt.get("dp0"))
    t.dp_del("dp0")
    t.req("get gone", o.DP, o.GET, string(o.DP_NAME, "dp0"))
    t.dump("dump empty", o.DP)


@case("dp")
def missing(t):
    t.req("nothing", o.DP, o.NEW)
    t.req("name only", o.DP, o.NEW, string(o.DP_NAME, "dp0"))
    t.req("pid only", o.DP, o.NEW, u32(o.DP_UPCALL_PID, 0))
    for cmd in (o.DEL, o.GET, o.SET):
        t.req(f"cmd {cmd:d} nothing", o.DP, cmd)
        t.req(f"cmd {cmd:d} bad ifindex", o.DP, cmd, dp=12345)
        t.req(f"cmd {cmd:d} bad name", o.DP, cmd, string(o.DP_NAME, "nope"))
        t.req(f"cmd {cmd:d} empty name", o.DP, cmd, string(o.DP_NAME, ""))


@case("dp")
def names(t):
    for name in (
        "a" * 15,
        "a" * 16,
        "",
        ".",
        "..",
        "a/b",
        "a b",
        "a:b",
        "lo",
        "eth%d",
        "%s",
        "\u00e9",
    ):
        t.dp(name, label=f"new {name!r}")
        if name in t.dps:
            t.req("del", o.DP, o.DEL, dp=name)
            del t.dps[name]
    t.req(
        "unterminated",
        o.DP,
        o.NEW,
        attr(o.DP_NAME, b"dp0") + u32(o.DP_UPCALL_PID, 0),
        flags=NLM_F_ECHO,
    )
    t.req("name of no bytes", o.DP, o.NEW, attr(o.DP_NAME) + u32(o.DP_UPCALL_PID, 0))
    t.req(
        "trailing bytes",
        o.DP,
        o.NEW,
        attr(o.DP_NAME, b"dp1\0xyz\0") + u32(o.DP_UPCALL_PID, 0),
        flags=NLM_F_ECHO,
    )
    t.dump("dump", o.DP)


@case("dp")
def twice(t):
    t.dp("dp0", features=o.F_UNALIGNED)
    t.dp("dp0", features=0, label="again")
    t.rt.add("dummy0", "dummy")
    t.dp("dummy0", label="name of a dummy")
    t.req("still the features", o.DP, o.GET, dp="dp0")
    for version in (0, 1, 2, 3, 255):
        t.req(f"again, version {version:d}", o.DP, o.NEW, base(), version=version)
        t.req(f"features after {version:d}", o.DP, o.GET, dp="dp0")
        t.req("set features", o.DP, o.SET, u32(o.DP_USER_FEATURES, o.F_UNALIGNED), dp="dp0")
    t.req("dummy, version 1", o.DP, o.NEW, base("dummy0"), version=1)
    t.vport("int0", kind=o.T_INTERNAL)
    t.req("name of a port", o.DP, o.NEW, base("int0"), version=1)
    t.req("features", o.DP, o.GET, dp="dp0")


@case("dp")
def features(t):
    t.dp("dp0")
    for bit in range(32):
        t.req(
            f"set bit {bit:d}",
            o.DP,
            o.SET,
            u32(o.DP_USER_FEATURES, 1 << bit),
            dp="dp0",
            flags=NLM_F_ECHO,
        )
    t.req("set all known", o.DP, o.SET, u32(o.DP_USER_FEATURES, 0xB), dp="dp0", flags=NLM_F_ECHO)
    t.req("set without features clears them", o.DP, o.SET, dp="dp0", flags=NLM_F_ECHO)
    for bit in range(32):
        t.dp("dpx", features=1 << bit, label=f"new bit {bit:d}")
        if "dpx" in t.dps:
            t.dp_del("dpx")
            del t.dps["dpx"]


@case("dp")
def masks_cache(t):
    t.dp("dp0")
    for size in (
        0,
        1,
        2,
        3,
        255,
        256,
        512,
        1000,
        1024,
        4095,
        4096,
        4097,
        8192,
        0x7FFFFFFF,
        0x80000000,
        0xFFFFFFFF,
    ):
        t.req(
            f"set {size:d}",
            o.DP,
            o.SET,
            u32(o.DP_MASKS_CACHE_SIZE, size),
            dp="dp0",
            flags=NLM_F_ECHO,
        )
        t.req("get", o.DP, o.GET, dp="dp0")
    for size in (0, 3, 256, 4096, 4097):
        t.dp("dpx", extra=u32(o.DP_MASKS_CACHE_SIZE, size), label=f"new {size:d}")
        if "dpx" in t.dps:
            t.dp_del("dpx")
            del t.dps["dpx"]


@case("dp")
def masks_cache_hits(t):
    """Without a mask cache nothing is a hit of it; with one a packet of the
    same flow as those before it is."""
    tap, *_ = t.switch(2)
    t.in_port_flow(1, o.a_output(2))

    def hits():
        reply = t.req("get", o.DP, o.GET, dp="dp0", quiet=True)
        stats = attr_dict(reply.msgs[0].payload(4))[o.DP_MEGAFLOW_STATS]
        return struct.unpack("=QIIQQ", stats)[3]

    for size in (256, 0, 256, 0, 1):
        t.req(
            f"set {size:d}",
            o.DP,
            o.SET,
            u32(o.DP_MASKS_CACHE_SIZE, size) + u32(o.DP_USER_FEATURES, o.F_UNALIGNED),
            dp="dp0",
        )
        before = hits()
        for number in range(4):
            t.inject(f"packet {number:d}", tap, f.udp4())
        # How many is the table's own business, unless it is none.
        t.note(f"hits with the size {size:d}", "some" if hits() - before else "none")


@case("dp")
def per_cpu_pids(t):
    t.dp("dp0", features=o.F_PER_CPU)
    up = t.upcall("u0")

    def pids(*values):
        return attr(o.DP_PER_CPU_PIDS, struct.pack(f"={len(values):d}I", *values))

    feature = u32(o.DP_USER_FEATURES, o.F_PER_CPU)
    for label, more in (
        ("one", pids(up.pid)),
        ("two", pids(up.pid, 0)),
        ("many", pids(*[up.pid] * 500)),
        ("none", pids()),
        ("odd", attr(o.DP_PER_CPU_PIDS, b"123456")),
        ("three bytes", attr(o.DP_PER_CPU_PIDS, b"123")),
    ):
        t.req("set " + label, o.DP, o.SET, feature + more, dp="dp0", flags=NLM_F_ECHO)
        t.req("get " + label, o.DP, o.GET, dp="dp0")
        t.req("without the feature: " + label, o.DP, o.SET, more, dp="dp0", flags=NLM_F_ECHO)
        t.req("feature back", o.DP, o.SET, feature, dp="dp0", flags=NLM_F_ECHO)
        t.dp("dpx", features=o.F_PER_CPU, extra=more, label="new " + label)
        if "dpx" in t.dps:
            t.dp_del("dpx")
            del t.dps["dpx"]
    # The reply shows at most as many as there are processors, but all work.
    t.dp("dp0", features=o.F_PER_CPU, extra=pids(1, 2), label="name exists")


@case("dp", ours=True)
def all_or_nothing(t):
    """A change that fails changes nothing. The C module stores the features
    and resizes the mask cache before it looks at the sockets."""
    t.dp("dp0", features=o.F_UNALIGNED)
    before = t.req("before", o.DP, o.GET, dp="dp0").attrs()
    for bad in (b"", b"123", b"123456"):
        reply = t.req(
            f"sockets of {len(bad)} bytes",
            o.DP,
            o.SET,
            u32(o.DP_USER_FEATURES, o.F_PER_CPU)
            + u32(o.DP_MASKS_CACHE_SIZE, 1024)
            + attr(o.DP_PER_CPU_PIDS, bad),
            dp="dp0",
        )
        t.check(reply.errno == 22, "it is refused")
        after = t.req("after", o.DP, o.GET, dp="dp0").attrs()
        for kind in (o.DP_USER_FEATURES, o.DP_MASKS_CACHE_SIZE):
            t.check(before[kind] == after[kind], f"attribute {kind} is as before")


@case("dp")
def ifindex(t):
    t.rt.add("dummy0", "dummy")
    used = t.rt.index("dummy0")
    for value in (0, 1, used, 7777, 0x7FFFFFFF, -1, -0x80000000, -0x10000):
        t.dp("dpx", extra=s32(o.DP_IFINDEX, value), label=f"new {value:d}")
        if "dpx" in t.dps:
            if value > 1:
                t.check(t.dps["dpx"] == value, "ifindex is the one asked for")
            t.dp_del("dpx")
            del t.dps["dpx"]
    t.dp("dp0")
    t.req("set ignores it", o.DP, o.SET, s32(o.DP_IFINDEX, 99), dp="dp0", flags=NLM_F_ECHO)
    t.req(
        "set refuses a negative one", o.DP, o.SET, s32(o.DP_IFINDEX, -1), dp="dp0", flags=NLM_F_ECHO
    )


LENGTHS = [(str(n), n) for n in range(1, 12)]


@case_each("dp", LENGTHS)
def attr_lengths(t, kind):
    """Each attribute with every length from 0 to 36, in each command."""
    t.dp("dp0")
    for size in list(range(0, 13)) + [15, 16, 17, 32, 36]:
        bad = attr(kind, bytes(size))
        t.req(f"new len {size:d}", o.DP, o.NEW, base("dpy") + bad, flags=NLM_F_ECHO)
        t.req("del", o.DP, o.DEL, string(o.DP_NAME, "dpy"))
        t.req(f"set len {size:d}", o.DP, o.SET, bad, dp="dp0", flags=NLM_F_ECHO)
        t.req(f"get len {size:d}", o.DP, o.GET, bad, dp="dp0")
    t.req("nested flag", o.DP, o.SET, attr(kind | 0x8000, bytes(4)), dp="dp0")
    t.req("net order flag", o.DP, o.SET, attr(kind | 0x4000, bytes(4)), dp="dp0")


@case("dp")
def malformed(t):
    t.dp("dp0")
    for cmd in (o.NEW, o.DEL, o.GET, o.SET):
        what = f"cmd {cmd:d} "
        t.req(what + "unknown attr", o.DP, cmd, attr(99, b"1234"))
        t.req(what + "short nla_len", o.DP, cmd, attr(o.DP_NAME, b"dp0\0", length=2))
        t.req(what + "nla_len 3", o.DP, cmd, attr(o.DP_NAME, b"dp0\0", length=3))
        t.req(what + "long nla_len", o.DP, cmd, attr(o.DP_NAME, b"nope\0", length=40))
        t.req(what + "trailing 3 bytes", o.DP, cmd, string(o.DP_NAME, "nope") + b"\1\2\3")
        t.req(
            what + "duplicate name",
            o.DP,
            cmd,
            string(o.DP_NAME, "nope") + string(o.DP_NAME, "nop2"),
        )
        t.req(what + "no ovs header", o.DP, cmd, body=struct.pack("=BBH", cmd, 2, 0))
        t.req(what + "half an ovs header", o.DP, cmd, body=struct.pack("=BBHH", cmd, 2, 0, 0))
        t.req(what + "no genl header", o.DP, cmd, body=b"")
    for cmd in (0, 5, 6, 100, 255):
        t.req(f"unknown command {cmd:d}", o.DP, cmd)
        t.req(f"unknown command {cmd:d}, dump", o.DP, cmd, flags=0x300)
    for cmd in (o.NEW, o.DEL, o.SET):
        t.req(f"dump of {cmd:d}", o.DP, cmd, flags=0x300)
    t.req(
        "reserved genl field",
        o.DP,
        o.GET,
        body=struct.pack("=BBHi", o.GET, 2, 0xFFFF, t.dps["dp0"]),
    )
    t.req("old integers", o.DP, o.SET, u8(o.DP_USER_FEATURES, 1), dp="dp0")
    t.req("wide integers", o.DP, o.SET, u64(o.DP_USER_FEATURES, 1), dp="dp0")
    t.req("16 bits", o.DP, o.SET, u16(o.DP_USER_FEATURES, 1), dp="dp0")


@case("dp")
def by_port_name(t):
    """A datapath is found by the name of its local port only."""
    t.dp("dp0")
    t.vport("int0", kind=o.T_INTERNAL)
    for cmd in (o.GET, o.SET, o.DEL):
        t.req(f"cmd {cmd:d} by port", o.DP, cmd, string(o.DP_NAME, "int0"))
    t.req("name wins over ifindex", o.DP, o.GET, string(o.DP_NAME, "dp0"), dp=4242)
    t.rt.set("dp0", new_name="dp1")
    t.remember_links()
    t.req("old name", o.DP, o.GET, string(o.DP_NAME, "dp0"))
    t.req("new name", o.DP, o.GET, string(o.DP_NAME, "dp1"))
    t.req("ifindex", o.DP, o.GET, dp="dp0")
    t.req("del by ifindex", o.DP, o.DEL, dp="dp0", flags=NLM_F_ECHO)


@case("dp", stock=False)
def many(t):
    """More datapaths than one dump message holds."""
    for i in range(40):
        t.req("new", o.DP, o.NEW, base(f"dp{i:d}"), quiet=True)
    t.records.clear()
    t.mc.drain()
    t.remember_links()
    t.small_dump("dump", o.DP)
    for i in range(0, 40, 3):
        t.req(f"del {i:d}", o.DP, o.DEL, string(o.DP_NAME, f"dp{i:d}"))
    t.dump("dump", o.DP)
