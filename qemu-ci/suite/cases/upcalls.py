# SPDX-License-Identifier: GPL-2.0
"""Upcalls: who gets them, all their attributes, segmentation, losses."""

import struct

import frames as f
import ovsattr as o
from nlcore import attr, string, u32
from registry import case, case_each
from tap import GSO_TCPV4, GSO_TCPV6, GSO_UDP, GSO_UDP_L4, VNET_NEEDS_CSUM, vnet


@case_each("upcalls", [("unaligned", o.F_UNALIGNED), ("aligned", 0)])
def padding(t, features):
    """The last attribute is padded unless user space can do without."""
    (tap,) = t.switch(1, features=features)
    for size in range(0, 9):
        t.inject(f"miss {size:d}", tap, f.udp4(payload=bytes(size)))
    t.in_port_flow(1, o.a_userspace(t.up.pid, b"abc", actions=True))
    for size in range(0, 9):
        t.inject(f"action {size:d}", tap, f.udp4(payload=bytes(size)))
    t.inject("large", tap, f.udp4(payload=bytes(1400)))


@case("upcalls")
def attributes(t):
    """USERSPACE with each set of its attributes."""
    (tap, *_) = t.switch(2)
    for cookie in (None, b"", b"1", b"12345678", bytes(range(200))):
        for port in (None, 0, 2, 99):
            for actions in (False, True):
                for last in (True, False):
                    acts = o.a_userspace(t.up.pid, cookie, port, actions)
                    acts += b"" if last else o.a_output(2)
                    t.in_port_flow(1, acts)
                    t.inject(
                        f"data {cookie and len(cookie)} port {port} actions {actions} last {last}",
                        tap,
                        f.udp4(),
                    )
                    t.flush()


@case("upcalls")
def actions_attr(t):
    """ACTIONS shows the list that it stands in, as a dump would (row 34)."""
    (tap, *_) = t.switch(2)
    see = o.a_userspace(t.up.pid, b"", actions=True)
    for name, acts in (
        ("alone", see),
        ("first", see + o.a_output(2)),
        ("last", o.a_output(2) + see),
        ("in clone", o.a_clone(see + o.a_output(2)) + o.a_output(2)),
        ("in sample", o.a_sample(0xFFFFFFFF, see) + o.a_output(2)),
        ("after set", o.a_set(o.k_eth(f.M1, f.M3)) + see),
        ("after many sets", o.a_set(u32(o.K_PRIORITY, 1)) * 100 + see),
        ("nested", o.a_clone(o.a_clone(o.a_clone(see)))),
        ("long", o.a_output(99) * 500 + see),
        ("very long", o.a_output(99) * 4000 + see),
    ):
        t.in_port_flow(1, acts)
        t.inject(name, tap, f.udp4())
        t.flush()


@case("upcalls")
def nobody(t):
    """PID 0, a closed socket, a full one: what is counted as lost."""
    up = t.upcall("up")
    t.dp()
    tap = t.tap_port("t1", 1, pid=0)
    t.inject("pid 0", tap, f.udp4())
    t.counters("pid 0", ports=("t1",))
    t.req("pid", o.VPORT, o.SET, string(o.VP_NAME, "t1") + u32(o.VP_UPCALL_PID, up.pid))
    t.inject("pid of a socket", tap, f.udp4())
    t.counters("socket", ports=("t1",))
    up.nl.close()
    t.upcalls.clear()
    t.inject("closed socket", tap, f.udp4())
    t.in_port_flow(1, o.a_userspace(up.pid))
    t.inject("closed socket, action", tap, f.udp4())
    t.execute("closed socket, execute", f.udp4(), o.a_userspace(up.pid))
    t.execute(
        "closed socket, execute with in_port", f.udp4(), o.a_userspace(up.pid), key=o.k_in_port(1)
    )
    t.counters("closed", ports=("t1", "dp0"))


@case("upcalls")
def full_socket(t):
    """A socket whose buffer is full: the packet is lost and counted."""
    import socket

    up = t.upcall("up")
    up.nl.sock.setsockopt(socket.SOL_SOCKET, 33, 2304)
    t.dp()
    tap = t.tap_port("t1", 1, pid=up.pid)
    frame = f.udp4(payload=bytes(1000))
    for _ in range(30):
        tap.write(frame)
    got = 0
    for _ in range(3):
        got += len(up.nl.drain())
    t.check(0 < got < 30, f"some but not all arrive: {got:d}")
    reply = t.req("dp", o.DP, o.GET, dp="dp0", quiet=True)
    hit, missed, lost, _ = struct.unpack("=4Q", reply.attrs()[o.DP_STATS])
    t.check(hit == 0 and missed == 30, f"all are misses: {missed:d}")
    t.check(lost == 30 - got, f"lost are the rest: {lost:d} of {got:d}")
    t.vport_get("t1")


@case("upcalls")
def many_pids(t):
    """Several PIDs on a port: each flow of packets keeps to one."""
    ups = [t.upcall(f"u{i:d}") for i in range(2)]
    t.dp(features=o.F_VPORT_PIDS | o.F_UNALIGNED)
    tap = t.tap("t1")
    t.vport("t1", port=1, pids=[u.pid for u in ups])
    seen = {}
    for _ in range(3):
        for sport in range(40):
            tap.write(f.udp4(sport=sport))
            who = [u.name for u in ups for _ in u.nl.drain()]
            t.check(len(who) == 1, f"one upcall: {who}")
            t.check(seen.setdefault(sport, who) == who, "the same socket for the same packets")
    t.check(len({tuple(w) for w in seen.values()}) == 2, "both sockets are used")
    t.counters(ports=("t1",))


@case("upcalls")
def per_cpu(t):
    """Per-CPU dispatch: this processor's socket, for misses and actions."""
    ups = [t.upcall(f"u{i:d}") for i in range(4)]
    pids = struct.pack("=4I", *[u.pid for u in ups])
    t.dp(features=o.F_PER_CPU | o.F_UNALIGNED, extra=attr(o.DP_PER_CPU_PIDS, pids))
    other = t.upcall("other")
    tap = t.tap("t1")
    t.vport("t1", port=1, pids=(other.pid,))
    t.inject("miss", tap, f.udp4())
    t.in_port_flow(1, o.a_userspace(other.pid))
    t.inject("action", tap, f.udp4())
    t.execute("execute", f.udp4(), o.a_userspace(other.pid))
    t.execute(
        "execute with a pid",
        f.udp4(),
        o.a_userspace(ups[1].pid),
        extra=u32(o.PK_UPCALL_PID, other.pid),
    )
    import os

    try:
        os.sched_setaffinity(0, {1})
    except OSError:
        pass
    else:
        t.inject("action on processor 1", tap, f.udp4())
        t.req(
            "one socket for all",
            o.DP,
            o.SET,
            u32(o.DP_USER_FEATURES, o.F_PER_CPU) + attr(o.DP_PER_CPU_PIDS, pids[:4]),
            dp="dp0",
        )
        tap.write(f.udp4())
        t.log.flush()
        t.note("processor 1, one socket")
        os.sched_setaffinity(0, {0})
    t.req("no dispatch", o.DP, o.SET, u32(o.DP_USER_FEATURES, 0), dp="dp0")
    t.inject("action", tap, f.udp4())
    t.flush()
    t.inject("miss", tap, f.udp4())
    t.counters(ports=("t1",))


@case("upcalls")
def per_cpu_without_pids(t):
    """The feature without sockets: nobody to tell."""
    other = t.upcall("other")
    t.dp(features=o.F_PER_CPU)
    tap = t.tap("t1")
    t.vport("t1", port=1, pids=(other.pid,))
    t.inject("miss", tap, f.udp4())
    t.in_port_flow(1, o.a_userspace(other.pid))
    t.inject("action", tap, f.udp4())
    t.counters(ports=("t1",))


BIG = bytes(range(250)) * 12
GSO = {
    "tso4": (f.tcp4(payload=BIG, partial=True), vnet(VNET_NEEDS_CSUM, GSO_TCPV4, 54, 1000, 34, 16)),
    "tso4_push": (
        f.tcp4(payload=BIG, partial=True, flags=0x19),
        vnet(VNET_NEEDS_CSUM, GSO_TCPV4, 54, 700, 34, 16),
    ),
    "tso4_ecn": (
        f.tcp4(payload=BIG, partial=True, flags=0x98),
        vnet(VNET_NEEDS_CSUM, GSO_TCPV4 | 0x80, 54, 1000, 34, 16),
    ),
    "tso6": (f.tcp6(payload=BIG, partial=True), vnet(VNET_NEEDS_CSUM, GSO_TCPV6, 74, 1000, 54, 16)),
    "uso4": (f.udp4(payload=BIG, partial=True), vnet(VNET_NEEDS_CSUM, GSO_UDP_L4, 42, 1000, 34, 6)),
    "uso6": (f.udp6(payload=BIG, partial=True), vnet(VNET_NEEDS_CSUM, GSO_UDP_L4, 62, 1000, 54, 6)),
    "ufo4": (f.udp4(payload=BIG, partial=True), vnet(VNET_NEEDS_CSUM, GSO_UDP, 42, 1000, 34, 6)),
    "tso_vlan": (
        f.tcp4(payload=BIG, partial=True, vlans=(5,)),
        vnet(VNET_NEEDS_CSUM, GSO_TCPV4, 58, 1000, 38, 16),
    ),
    "one_segment": (
        f.tcp4(payload=bytes(500), partial=True),
        vnet(VNET_NEEDS_CSUM, GSO_TCPV4, 54, 1000, 34, 16),
    ),
}


@case_each("upcalls", sorted(GSO.items()), stock=("tso4", "ufo4", "tso_vlan"))
def gso(t, value):
    """A GSO packet goes up as its segments (rows 33 and 41)."""
    frame, header = value
    (tap, *_) = t.switch(2)
    t.inject("miss", tap, frame, header)
    see = o.a_userspace(t.up.pid, b"x")
    vlan = frame[12:14] == b"\x81\0"
    kind = int.from_bytes(frame[16:18] if vlan else frame[12:14], "big")
    if vlan:
        t.counters(ports=("t1",))
        return
    for name, acts in (
        ("action", see),
        ("action, output", see + o.a_output(2)),
        ("vlan", o.a_push_vlan(0x1001) + see),
        ("clone", o.a_clone(see) + see),
    ):
        t.in_port_flow(1, acts, kind=kind)
        t.inject(name, tap, frame, header)
        t.flush()
    for size in (14, 60, 999, 1053, 1054, 1055, 3000, 65535):
        t.in_port_flow(1, o.a_trunc(size) + see + o.a_output(2), kind=kind)
        t.inject(f"trunc {size:d}", tap, frame, header)
        t.flush()
    t.counters(ports=("t1", "t2"))


@case("upcalls")
def checksum(t):
    """A partial checksum is completed before the packet goes up."""
    (tap,) = t.switch(1)
    for name, frame, at, off in (
        ("udp4", f.udp4(partial=True), 34, 6),
        ("tcp4", f.tcp4(partial=True), 34, 16),
        ("udp6", f.udp6(partial=True), 54, 6),
        ("tcp6", f.tcp6(partial=True), 54, 16),
        ("vlan", f.udp4(partial=True, vlans=(3,)), 38, 6),
        ("other place", f.udp4(), 34, 4),
    ):
        t.inject(name, tap, frame, vnet(VNET_NEEDS_CSUM, 0, 0, 0, at, off))
    t.inject("valid", tap, f.udp4(), vnet(2))


@case("upcalls")
def stats(t):
    """UPCALL_STATS and the datapath's counts, step by step."""
    (tap, *_) = t.switch(2)
    t.counters("start", ports=("t1", "t2", "dp0"))
    t.inject("miss", tap, f.udp4())
    t.counters("miss", ports=("t1", "dp0"))
    t.in_port_flow(1, o.a_userspace(t.up.pid) + o.a_userspace(0x7FFFFFF0))
    t.inject("two actions, one lost", tap, f.udp4())
    t.counters("lost", ports=("t1", "dp0"))
    t.execute("execute", f.udp4(), o.a_userspace(t.up.pid))
    t.counters("execute", ports=("t1", "dp0"))
    t.execute("execute in_port 2", f.udp4(), o.a_userspace(t.up.pid), key=o.k_in_port(2))
    t.counters("execute 2", ports=("t1", "t2", "dp0"))
    t.flush()
    frame, header = GSO["tso4"]
    t.inject("gso miss", tap, frame, header)
    t.counters("gso", ports=("t1", "dp0"))


@case("upcalls")
def too_big(t):
    """A packet that no attribute can hold is lost (EFBIG)."""
    (tap,) = t.switch(1)
    t.rt.set("t1", mtu=65535)
    for size in (65400, 65517, 65518, 65519, 65520, 65531, 65535):
        t.inject(f"{size:d} bytes", tap, f.eth(bytes(size - 14), 0x9000))
    t.counters(ports=("t1",))
