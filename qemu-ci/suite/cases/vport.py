# SPDX-License-Identifier: GPL-2.0
"""Port commands: every attribute, good and bad; netdev and internal ports."""

import struct

import ovsattr as o
import rtnl
from nlcore import NLM_F_ECHO, attr, nest, s32, string, u32
from registry import case, case_each


def base(name="d0", kind=o.T_NETDEV, pid=0):
    return string(o.VP_NAME, name) + u32(o.VP_TYPE, kind) + u32(o.VP_UPCALL_PID, pid)


@case("vport")
def netdev_life(t):
    t.dp()
    t.rt.add("d0", "dummy")
    t.note("before", t.rt.get("d0"))
    t.vport("d0", port=7)
    t.note("after", t.rt.get("d0"))
    t.vport_get("d0")
    t.req("get by number", o.VPORT, o.GET, u32(o.VP_PORT_NO, 7), dp="dp0")
    t.dump("dump", o.VPORT, dp="dp0")
    t.req("del", o.VPORT, o.DEL, string(o.VP_NAME, "d0"), flags=NLM_F_ECHO)
    t.note("gone", t.rt.get("d0"))
    t.vport_get("d0")
    t.vport("d0", label="again, any number")


@case("vport")
def internal_life(t):
    t.dp()
    t.vport("int0", kind=o.T_INTERNAL)
    link = t.rt.get("int0")
    t.note("link", link)
    t.note("driver", rtnl.ethtool_driver("int0"))
    t.note("carrier", rtnl.ethtool_link("int0"))
    t.note("features", rtnl.ethtool_features("int0"))
    t.note("local's features", rtnl.ethtool_features("dp0"))
    t.rt.up("int0")
    t.note("up", t.rt.get("int0"))
    t.note("carrier", rtnl.ethtool_link("int0"))
    for mtu in (68, 67, 1500, 9000, 65535, 65536):
        t.note(f"mtu {mtu:d}", [t.rt.set("int0", mtu=mtu), t.rt.get("int0").get("mtu")])
    t.note("mac", t.rt.set("int0", address="02:11:22:33:44:55"))
    t.note("multicast mac", t.rt.set("int0", address="03:11:22:33:44:55"))
    t.note("ip link del is refused", t.rt.delete("int0"))
    t.note("ip link add of the type", err_of(lambda: t.rt.add("x0", "openvswitch")))
    t.vport_get("int0")
    t.req("del", o.VPORT, o.DEL, string(o.VP_NAME, "int0"), flags=NLM_F_ECHO)
    t.note("gone", t.rt.get("int0"))
    t.dp_del()
    t.note("local gone", t.rt.get("dp0"))


def err_of(func):
    try:
        func()
    except OSError as exc:
        return exc.errno
    return 0


@case("vport")
def device_kinds(t):
    """Which devices may be ports."""
    t.dp()
    t.dp("dp1")
    t.vport("int0", kind=o.T_INTERNAL)
    t.vport("lo")
    t.vport("nosuch")
    t.vport("dp0", label="local port as netdev")
    t.vport("int0", label="internal as netdev")
    t.vport("dp1", label="another's local port")
    t.rt.add("d0", "dummy")
    t.rt.altname("d0", "altname0")
    t.vport("altname0")
    t.vport("d0", dp="dp1")
    t.vport("d0", label="a port already")
    t.rt.veth("v0", "v1")
    t.vport("v0")
    t.note("v0", t.rt.get("v0"))
    t.tap("tap0")
    t.vport("tap0")
    t.tap("tun0", tun=True)
    t.vport("tun0", label="layer 3 device")
    t.note("tun0", t.rt.get("tun0"))
    t.rt.add("d1", "dummy")
    t.note("master", t.rt.set("d1", master=t.rt.index("dp0")))
    t.note("unmaster a port", t.rt.set("d0", master=0))
    t.vport_get("d0")
    t.vport("dp0", kind=o.T_INTERNAL, label="internal of a used name")
    t.vport("d1", kind=o.T_INTERNAL, label="internal named as a dummy")


@case("vport")
def types(t):
    t.dp()
    t.rt.add("d0", "dummy")
    for kind in (0, 3, 4, 5, 6, 100, 0xFFFFFFFF):
        t.vport("d0", kind=kind, label=f"type {kind:d}")
    t.req(
        "options with netdev",
        o.VPORT,
        o.NEW,
        base() + nest(o.VP_OPTIONS, u32(1, 1)),
        "dp0",
        NLM_F_ECHO,
    )
    t.req(
        "set options",
        o.VPORT,
        o.SET,
        string(o.VP_NAME, "d0") + nest(o.VP_OPTIONS),
        flags=NLM_F_ECHO,
    )
    for kind in (0, 1, 2, 4):
        t.req(
            f"set type {kind:d}",
            o.VPORT,
            o.SET,
            string(o.VP_NAME, "d0") + u32(o.VP_TYPE, kind),
            flags=NLM_F_ECHO,
        )


@case("vport")
def missing(t):
    t.dp()
    t.rt.add("d0", "dummy")
    full = {
        "name": string(o.VP_NAME, "d0"),
        "type": u32(o.VP_TYPE, o.T_NETDEV),
        "pid": u32(o.VP_UPCALL_PID, 0),
    }
    for drop in full:
        t.req(
            "without " + drop,
            o.VPORT,
            o.NEW,
            b"".join(v for k, v in full.items() if k != drop),
            "dp0",
        )
    for cmd in (o.NEW, o.DEL, o.GET, o.SET):
        t.req(f"cmd {cmd:d} nothing", o.VPORT, cmd, b"", "dp0")
        t.req(f"cmd {cmd:d} no dp", o.VPORT, cmd, base())
        t.req(f"cmd {cmd:d} wrong dp", o.VPORT, cmd, base(), 4321)
        t.req(f"cmd {cmd:d} unknown number", o.VPORT, cmd, u32(o.VP_PORT_NO, 99), "dp0")
        t.req(f"cmd {cmd:d} number, no dp", o.VPORT, cmd, u32(o.VP_PORT_NO, 0))
        t.req(f"cmd {cmd:d} name and wrong dp", o.VPORT, cmd, string(o.VP_NAME, "dp0"), 4321)
        t.req(
            f"cmd {cmd:d} with ifindex",
            o.VPORT,
            cmd,
            string(o.VP_NAME, "dp0") + s32(o.VP_IFINDEX, 5),
            "dp0",
        )
    t.req("delete local", o.VPORT, o.DEL, string(o.VP_NAME, "dp0"))
    t.req("delete local by number", o.VPORT, o.DEL, u32(o.VP_PORT_NO, 0), "dp0")
    t.dump("dump without dp", o.VPORT)
    t.dump("dump of a wrong dp", o.VPORT, dp=4321)


@case("vport")
def numbers(t):
    t.dp()
    for i in range(8):
        t.rt.add(f"d{i:d}", "dummy")
    t.vport("d0", port=3)
    t.vport("d1", port=3, label="taken")
    t.vport("d1", port=0, label="0 is any")
    t.vport("d2", label="next free")
    t.vport("d3", label="skips 3")
    t.vport("d4", port=65534)
    t.vport("d5", port=65535)
    t.vport("d5", port=65536)
    t.vport("d5", port=0xFFFFFFFF)
    t.req("get 65535", o.VPORT, o.GET, u32(o.VP_PORT_NO, 65535), "dp0")
    t.req("get 65534", o.VPORT, o.GET, u32(o.VP_PORT_NO, 65534), "dp0")
    t.req("get 0", o.VPORT, o.GET, u32(o.VP_PORT_NO, 0), "dp0")
    t.req("del by number", o.VPORT, o.DEL, u32(o.VP_PORT_NO, 3), "dp0", NLM_F_ECHO)
    t.vport("d5", label="takes 3 again")
    t.dump("dump", o.VPORT, dp="dp0")


@case_each("vport", [("plain", 0), ("vport_pids", o.F_VPORT_PIDS)])
def upcall_pids(t, features):
    t.dp(features=features)
    t.rt.add("d0", "dummy")
    ncpu = 64

    def pids(count):
        return attr(o.VP_UPCALL_PID, b"\0\0\0\0" * count)

    head = string(o.VP_NAME, "d0") + u32(o.VP_TYPE, o.T_NETDEV)
    a, b = t.upcall("a"), t.upcall("b")
    two = attr(o.VP_UPCALL_PID, struct.pack("=II", a.pid, b.pid))
    for label, more in (
        ("no bytes", attr(o.VP_UPCALL_PID)),
        ("1 byte", attr(o.VP_UPCALL_PID, b"1")),
        ("6 bytes", attr(o.VP_UPCALL_PID, b"123456")),
        ("too many", pids(ncpu)),
        ("far too many", pids(16000)),
        ("one", pids(1)),
        ("two", two),
    ):
        t.req("new " + label, o.VPORT, o.NEW, head + more, "dp0", NLM_F_ECHO)
        t.req("set " + label, o.VPORT, o.SET, string(o.VP_NAME, "dp0") + more, flags=NLM_F_ECHO)
        t.vport_get("dp0")
        t.req("del", o.VPORT, o.DEL, string(o.VP_NAME, "d0"))
    t.req(
        "features change the form",
        o.DP,
        o.SET,
        u32(o.DP_USER_FEATURES, features ^ o.F_VPORT_PIDS),
        "dp0",
    )
    t.vport_get("dp0")


@case("vport")
def ifindex(t):
    t.dp()
    t.rt.add("d0", "dummy")
    for value in (0, 1, 5555, 0x7FFFFFFF, -1, -0x80000000):
        t.vport(
            "i0", kind=o.T_INTERNAL, extra=s32(o.VP_IFINDEX, value), label=f"internal {value:d}"
        )
        t.req("del", o.VPORT, o.DEL, string(o.VP_NAME, "i0"))
        t.vport("d0", extra=s32(o.VP_IFINDEX, value), label=f"netdev {value:d}")
        t.req(f"get {value:d}", o.VPORT, o.GET, s32(o.VP_IFINDEX, value), "dp0")
    used = t.rt.index("d0")
    t.vport("i0", kind=o.T_INTERNAL, extra=s32(o.VP_IFINDEX, used), label="used ifindex")


@case_each("vport", [(str(n), n) for n in range(1, 12)])
def attr_lengths(t, kind):
    t.dp()
    t.rt.add("d0", "dummy")
    t.vport("int0", kind=o.T_INTERNAL, port=5)
    for size in list(range(0, 10)) + [15, 16, 17, 32, 63, 64, 65]:
        bad = attr(kind, bytes(size))
        t.req(f"new len {size:d}", o.VPORT, o.NEW, base("d0") + bad, "dp0", NLM_F_ECHO)
        t.req(
            f"set len {size:d}", o.VPORT, o.SET, string(o.VP_NAME, "int0") + bad, flags=NLM_F_ECHO
        )
        t.req(f"get len {size:d}", o.VPORT, o.GET, string(o.VP_NAME, "int0") + bad)
        t.req(f"get first len {size:d}", o.VPORT, o.GET, bad + string(o.VP_NAME, "int0"))
        t.req("del", o.VPORT, o.DEL, string(o.VP_NAME, "d0"))
    t.req("nested flag", o.VPORT, o.GET, attr(kind | 0x8000, bytes(4)) + string(o.VP_NAME, "int0"))


@case("vport")
def names(t):
    t.dp()
    for name in ("a" * 15, "a" * 16, "", ".", "..", "a/b", "a b", "a:b", "int%d", "%s"):
        t.vport(name, kind=o.T_INTERNAL, label=f"internal {name!r}")
        t.vport(name, label=f"netdev {name!r}")
    t.dump("dump", o.VPORT, dp="dp0")


@case("vport", stock=False)
def many(t):
    """More ports than one dump message holds, numbered and found."""
    t.dp()
    for i in range(60):
        t.req("new", o.VPORT, o.NEW, base(f"i{i:d}", o.T_INTERNAL), "dp0", quiet=True)
    t.records.clear()
    t.mc.drain()
    t.log.read()
    t.remember_links()
    t.small_dump("dump", o.VPORT, dp="dp0")
    for i in range(0, 60, 7):
        t.req(f"del {i:d}", o.VPORT, o.DEL, u32(o.VP_PORT_NO, i + 1), "dp0")
    t.vport("again", kind=o.T_INTERNAL)
    t.dump("dump", o.VPORT, dp="dp0")
