# SPDX-License-Identifier: GPL-2.0
"""Actions on real packets: the frames that come out, byte for byte."""

import struct

import frames as f
import ovsattr as o
from nlcore import attr, be16, nest, u32
from registry import case, case_each
from tap import GSO_TCPV4, GSO_TCPV6, GSO_UDP_L4, VNET_NEEDS_CSUM, vnet

FRAMES = {
    "udp4": f.udp4(),
    "tcp4": f.tcp4(),
    "sctp4": f.sctp4(),
    "icmp4": f.icmp4(),
    "udp6": f.udp6(),
    "tcp6": f.tcp6(),
    "sctp6": f.sctp6(),
    "icmp6": f.eth(f.ipv6(f.icmpv6(), 58), 0x86DD),
    "arp": f.arp_frame(),
    "vlan": f.udp4(vlans=(0x123,)),
    "qinq": f.udp4(vlans=((0x11, 0x88A8), 0x22)),
    "udp4_nocsum": f.udp4(nocsum=True),
    "other": f.eth(bytes(50), 0x9000),
    "options": f.eth(f.ipv4(f.udp(), 17, options=b"\1" * 8)),
    "frag_later": f.eth(f.ipv4(bytes(32), 17, frag=0x2003)),
    "v6_later": f.eth(f.ipv6(f.fragment(17, 5) + bytes(30), 44), 0x86DD),
    "v6_route": f.eth(
        f.ipv6(f.ext(17, b"\0\1" + bytes(4) + o.ip6("fd00::77")) + f.udp(src=f.V61, dst=f.V62), 43),
        0x86DD,
    ),
    "v6_hop": f.eth(f.ipv6(f.ext(17) + f.udp(src=f.V61, dst=f.V62), 0), 0x86DD),
    "bad_udp_csum": f.udp4()[:40] + b"\x12\x34" + f.udp4()[42:],
    "bad_sctp": f.sctp4(good=False),
    "dscp": f.udp4(tos=0xB9),
    "ns": f.eth(f.ipv6(f.nd(options=f.nd_opt(1, f.M1)), 58), 0x86DD),
}


def key_of(t, tap, frame, header=None):
    """The key of a frame, as the kernel itself tells in a miss upcall.

    Installing it back is what ovs-vswitchd does for an exact flow.
    """
    t.up.nl.drain()
    tap.write(frame, header)
    for msg in t.up.nl.drain():
        got = dict(__import__("nlcore").parse_attrs(msg.payload(4))[0])
        return got[o.PK_KEY]
    return None


def through(t, name, frame, actions, header=None):
    """Frame in at t1, with a flow of its own; what comes out at t2."""
    tap = t.taps["t1"]
    key = key_of(t, tap, frame)
    if key is None:
        t.note(name + ": no upcall")
        return
    t.mc.drain()
    reply = t.flow(name + ": flow", key, actions, flags=0, quiet=True)
    if not reply.errno:
        t.inject(name, tap, frame, header)
        t.flush()


SHORT = ("udp4", "tcp6", "vlan", "sctp4")
OUT = o.a_output(2)


def ones(size):
    return b"\xff" * size


SETS = {
    "eth": o.a_set(o.k_eth("02:aa:00:00:00:01", "02:aa:00:00:00:02")),
    "eth_part": o.a_set_masked(
        o.K_ETHERNET,
        o.d_eth("00:00:00:00:00:77", "55:00:00:00:00:00"),
        o.d_eth("00:00:00:00:00:ff", "ff:00:00:00:00:00"),
    ),
    "priority": o.a_set(u32(o.K_PRIORITY, 5)),
    "mark": o.a_set(u32(o.K_SKB_MARK, 5)),
    "ipv4_src": o.a_set_masked(
        o.K_IPV4, o.d_ipv4("9.8.7.6", "0.0.0.0", 0, ttl=0), ones(4) + bytes(8)
    ),
    "ipv4_dst": o.a_set_masked(
        o.K_IPV4, o.d_ipv4("0.0.0.0", "9.8.7.6", 0, ttl=0), bytes(4) + ones(4) + bytes(4)
    ),
    "ipv4_dst_part": o.a_set_masked(
        o.K_IPV4, o.d_ipv4("0.0.0.0", "9.0.0.6", 0, ttl=0), bytes(4) + b"\xff\0\0\xff" + bytes(4)
    ),
    "ipv4_same": o.a_set_masked(o.K_IPV4, o.d_ipv4(f.IP1, f.IP2, 0, ttl=0), ones(8) + bytes(4)),
    "tos": o.a_set_masked(o.K_IPV4, bytes(9) + b"\x5d\0\0", bytes(9) + b"\xff\0\0"),
    "tos_dscp": o.a_set_masked(o.K_IPV4, bytes(9) + b"\x5c\0\0", bytes(9) + b"\xfc\0\0"),
    "ttl": o.a_set_masked(o.K_IPV4, bytes(10) + b"\x09\0", bytes(10) + b"\xff\0"),
    "ttl_bits": o.a_set_masked(o.K_IPV4, bytes(10) + b"\x05\0", bytes(10) + b"\x0f\0"),
    "ipv6_src": o.a_set_masked(o.K_IPV6, o.ip6("fd99::1") + bytes(24), ones(16) + bytes(24)),
    "ipv6_dst": o.a_set_masked(
        o.K_IPV6, bytes(16) + o.ip6("fd99::2") + bytes(8), bytes(16) + ones(16) + bytes(8)
    ),
    "ipv6_part": o.a_set_masked(
        o.K_IPV6, bytes(15) + b"\x99" + bytes(24), bytes(15) + b"\xff" + bytes(24)
    ),
    "ipv6_label": o.a_set_masked(
        o.K_IPV6, bytes(32) + b"\0\x01\x23\x45" + bytes(4), bytes(32) + b"\0\x0f\xff\xff" + bytes(4)
    ),
    "ipv6_tclass": o.a_set_masked(o.K_IPV6, bytes(37) + b"\xb9\0\0", bytes(37) + b"\xff\0\0"),
    "ipv6_hlimit": o.a_set_masked(o.K_IPV6, bytes(38) + b"\x07\0", bytes(38) + b"\xff\0"),
    "tcp": o.a_set(o.k_tcp(7777, 8888)),
    "tcp_src": o.a_set_masked(o.K_TCP, b"\x11\x22\0\0", b"\xff\xff\0\0"),
    "tcp_bits": o.a_set_masked(o.K_TCP, b"\0\x05\0\x05", b"\0\x0f\0\x0f"),
    "udp": o.a_set(o.k_udp(7777, 8888)),
    "udp_dst": o.a_set_masked(o.K_UDP, b"\0\0\x11\x22", b"\0\0\xff\xff"),
    "sctp": o.a_set(o.k_sctp(7777, 8888)),
    "sctp_src": o.a_set_masked(o.K_SCTP, b"\x11\x22\0\0", b"\xff\xff\0\0"),
}


@case_each("traffic", sorted(FRAMES.items()), stock=SHORT)
def sets(t, frame):
    """Each set on each frame that validation lets it be set on."""
    t.switch(2)
    for name, action in SETS.items():
        through(t, name, frame, action + OUT)
        through(t, name + ", and seen by user space", frame, action + o.a_userspace(t.up.pid) + OUT)


@case_each("traffic", sorted(FRAMES.items()), stock=SHORT)
def vlans(t, frame):
    t.switch(2)
    push, ad, pop = (o.a_push_vlan(0x1005), o.a_push_vlan(0xF006, 0x88A8), o.a_pop_vlan())
    see = o.a_userspace(t.up.pid)
    for name, acts in (
        ("push", push),
        ("push ad", ad),
        ("pop", pop),
        ("push push", push + ad),
        ("push pop", push + pop),
        ("pop pop", pop + pop),
        ("pop push", pop + push),
        ("push push pop", push + ad + pop),
        ("push push push", push + ad + push),
        ("push push pop pop pop", push + ad + pop + pop + pop),
        ("push, eth", push + SETS["eth"]),
        ("push, trunc", push + o.a_trunc(30)),
    ):
        through(t, name, frame, acts + OUT)
        through(t, name + ", seen", frame, acts + see + OUT)
        through(t, name + ", recirc", frame, acts + o.a_recirc(4))


@case_each("traffic", sorted(FRAMES.items()), stock=SHORT)
def eth_header(t, frame):
    t.switch(2)
    pop, push = o.a_pop_eth(), o.a_push_eth("02:00:00:00:00:0a", "02:00:00:00:00:0b")
    see = o.a_userspace(t.up.pid)
    for name, acts in (
        ("pop", pop),
        ("pop push", pop + push),
        ("pop, seen", pop + see),
        ("pop push, seen", pop + push + see),
        ("pop, recirc", pop + o.a_recirc(1)),
        ("pop push, recirc", pop + push + o.a_recirc(1)),
        ("pop push vlan", pop + push + o.a_push_vlan(0x1001)),
    ):
        through(t, name, frame, acts + OUT)
        through(t, name + ", no output", frame, acts)


@case("traffic")
def outputs(t):
    """Ports: many, unknown, local, the one it came from, down ones."""
    t.switch(4)
    frame = f.udp4()
    through(t, "2, 3, 4", frame, OUT + o.a_output(3) + o.a_output(4))
    through(t, "back", frame, o.a_output(1))
    through(t, "unknown", frame, o.a_output(99))
    through(t, "unknown, then 2", frame, o.a_output(99) + OUT)
    through(t, "local, down", frame, o.a_output(0))
    t.rt.up("dp0")
    t.settle(0.1)
    through(t, "local, up", frame, o.a_output(0))
    through(t, "twice", frame, OUT + OUT)
    t.rt.set("t2", up=False)
    t.settle(0.1)
    through(t, "down", frame, OUT)
    through(t, "down, then 3", frame, OUT + o.a_output(3))
    t.rt.set("t3", mtu=100)
    through(t, "over the MTU", f.udp4(payload=bytes(200)), o.a_output(3))
    for size in (58, 59, 60, 61, 62, 63):
        through(t, f"payload {size:d} at MTU 100", f.udp4(payload=bytes(size + 10)), o.a_output(3))
        through(
            t,
            f"payload {size:d} at MTU 100, tagged",
            f.udp4(payload=bytes(size + 10)),
            o.a_push_vlan(0x1001) + o.a_output(3),
        )
    t.counters(ports=("t1", "t2", "t3", "t4", "dp0"))
    for name in ("t1", "t2", "t3", "dp0"):
        t.note("link " + name, t.rt.get(name)["stats"])


@case("traffic")
def trunc(t):
    t.switch(3)
    frame = f.udp4(payload=bytes(range(100)))
    see = o.a_userspace(t.up.pid)
    for size in (14, 15, 33, 34, 41, 42, 100, 141, 142, 143, 1500, 0xFFFFFFFF):
        cut = o.a_trunc(size)
        through(t, f"{size:d} output", frame, cut + OUT)
        through(t, f"{size:d} output output", frame, cut + OUT + o.a_output(3))
        through(t, f"{size:d} user", frame, cut + see)
        through(t, f"{size:d} user output", frame, cut + see + OUT)
        through(t, f"{size:d} in clone", frame, o.a_clone(cut + OUT) + o.a_output(3))
        through(t, f"{size:d}, clone", frame, cut + o.a_clone(OUT) + o.a_output(3))
        through(t, f"{size:d}, sample", frame, cut + o.a_sample(0xFFFFFFFF, OUT) + o.a_output(3))
        through(t, f"{size:d}, recirc", frame, cut + o.a_recirc(7))
        through(t, f"{size:d} vlan", frame, o.a_push_vlan(0x1001) + cut + OUT)
        through(t, f"{size:d} pop_eth", frame, cut + o.a_pop_eth() + o.a_push_eth(f.M1, f.M2) + OUT)
        through(t, f"{size:d} {size + 1:d}", frame, cut + o.a_trunc((size + 1) & 0xFFFFFFFF) + OUT)


@case("traffic")
def drops(t):
    """Ends of an action list, and their drop reasons."""
    t.switch(2)
    frame = f.udp4()
    for name, acts in (
        ("empty", b""),
        ("drop 0", o.a_drop(0)),
        ("drop 5", o.a_drop(5)),
        ("output drop", OUT + o.a_drop(0)),
        ("clone(drop)", o.a_clone(o.a_drop(1))),
        ("clone(drop) output", o.a_clone(o.a_drop(1)) + OUT),
        ("sample 0", o.a_sample(0, OUT)),
        ("sample 0, output", o.a_sample(0, OUT) + OUT),
        ("sample all(drop)", o.a_sample(0xFFFFFFFF, o.a_drop(3))),
        ("clone()", o.a_clone()),
        ("clone() output", o.a_clone() + OUT),
        ("set alone", SETS["udp"]),
        ("set mark alone", SETS["mark"]),
        ("pop_eth alone", o.a_pop_eth()),
        ("hash alone", o.a_hash(0)),
        ("trunc alone", o.a_trunc(20)),
        ("userspace to nobody", o.a_userspace(0x7FFFFFF0)),
        ("output unknown", o.a_output(99)),
        ("layer 3 out of a tap", o.a_pop_eth() + OUT),
    ):
        through(t, name, frame, acts)
    t.counters(ports=("t1", "t2"))


HEADERS = {
    "none": (f.udp4(), None),
    "partial udp": (f.udp4(partial=True), vnet(VNET_NEEDS_CSUM, 0, 0, 0, 34, 6)),
    "partial tcp": (f.tcp4(partial=True), vnet(VNET_NEEDS_CSUM, 0, 0, 0, 34, 16)),
    "partial udp6": (f.udp6(partial=True), vnet(VNET_NEEDS_CSUM, 0, 0, 0, 54, 6)),
    "partial tcp6": (f.tcp6(partial=True), vnet(VNET_NEEDS_CSUM, 0, 0, 0, 54, 16)),
    "tso4": (
        f.tcp4(payload=bytes(3000), partial=True),
        vnet(VNET_NEEDS_CSUM, GSO_TCPV4, 54, 1000, 34, 16),
    ),
    "tso6": (
        f.tcp6(payload=bytes(3000), partial=True),
        vnet(VNET_NEEDS_CSUM, GSO_TCPV6, 74, 1000, 54, 16),
    ),
    "uso4": (
        f.udp4(payload=bytes(3000), partial=True),
        vnet(VNET_NEEDS_CSUM, GSO_UDP_L4, 42, 1000, 34, 6),
    ),
    "valid": (f.udp4(), vnet(2)),
}


@case_each("traffic", [("plain", 0), ("offload", 0x1 | 0x2 | 0x4 | 32 | 64)])
def offloads(t, offload):
    """Sets on packets with partial checksums and on GSO packets."""
    t.switch(2, offload=offload)
    tap = t.taps["t1"]
    for name, (frame, header) in HEADERS.items():
        key = key_of(
            t,
            tap,
            f.tcp4()
            if frame[23:24] == b"\6"
            else f.udp4()
            if frame[12:14] == b"\x08\0"
            else f.tcp6()
            if frame[20:21] == b"\6"
            else f.udp6(),
        )
        for what, action in (
            [("output", b"")]
            + [(k, v) for k, v in SETS.items()]
            + [
                ("push_vlan", o.a_push_vlan(0x1001)),
                ("trunc", o.a_trunc(80)),
                ("pop push", o.a_pop_eth() + o.a_push_eth(f.M1, f.M2)),
            ]
        ):
            t.mc.drain()
            reply = t.flow(name + " " + what + ": flow", key, action + OUT, flags=0, quiet=True)
            if not reply.errno:
                t.inject(name + " " + what, tap, frame, header)
                t.flush()


@case("traffic")
def internal_ports(t):
    """Packets from and to an internal port."""
    import socket

    t.switch(1)
    t.vport("int0", kind=o.T_INTERNAL, port=9, pids=(t.up.pid,))
    t.rt.set("int0", address="02:00:00:00:00:99")
    t.rt.up("int0")
    t.settle(0.1)
    t.in_port_flow(9, o.a_output(1))
    t.in_port_flow(1, o.a_output(9))
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as sock:
        sock.bind(("int0", 0))
        sock.setblocking(False)
        for name in ("udp4", "tcp4", "vlan", "other"):
            frame = FRAMES[name]
            sock.send(frame)
            t.note("out of int0: " + name)
            t.inject("into int0: " + name, t.taps["t1"], frame)
            t.note("received", read_packets(sock))
        for size in (14, 20, 1500, 1514):
            try:
                sock.send(f.udp4(payload=bytes(1500))[:size])
            except OSError as exc:
                t.note("errno", exc.errno)
            t.note(f"out of int0: {size:d} bytes")
    t.rt.set("int0", up=False)
    t.inject("into int0, down", t.taps["t1"], f.udp4())
    t.counters(ports=("int0", "t1", "dp0"))
    t.note("link", t.rt.get("int0")["stats"])


@case("traffic")
def stack_over_internal(t):
    """The kernel's own stack sends through an internal port: UDP with
    segmentation left to the kernel (row 46), to user space and a tap."""
    import socket

    t.switch(1)
    t.vport("int0", kind=o.T_INTERNAL, port=9, pids=(t.up.pid,))
    t.rt.set("int0", address="02:00:00:00:00:99")
    t.rt.up("int0")
    t.settle(0.1)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
        raw.bind(("int0", 0))
        raw.setsockopt(263, 15, 1)  # SOL_PACKET, PACKET_VNET_HDR
        for what, frame, header in (
            ("plain", f.udp4(), vnet()),
            ("partial", f.udp4(partial=True), vnet(VNET_NEEDS_CSUM, 0, 0, 0, 34, 6)),
            ("tso4", *HEADERS["tso4"]),
            ("uso4", *HEADERS["uso4"]),
            ("tso6", *HEADERS["tso6"]),
        ):
            kind = int.from_bytes(frame[12:14], "big")
            for name, acts in (
                ("miss", None),
                ("user, output", o.a_userspace(t.up.pid) + o.a_output(1)),
                ("output, user", o.a_output(1) + o.a_userspace(t.up.pid)),
                ("vlan, user, output", o.a_push_vlan(0x1001) + o.a_userspace(t.up.pid) + OUT),
            ):
                if acts is not None:
                    t.in_port_flow(9, acts, kind=kind)
                raw.send(header + frame)
                t.note(f"{what}: {name}")
                t.flush()
    t.counters(ports=("int0", "t1"))


def read_packets(sock):
    out = []
    while True:
        try:
            data, where = sock.recvfrom(65536)
        except BlockingIOError:
            return out
        out.append([where[2], f"{where[1]:#06x}", data.hex()])


_ = (struct, attr, be16, nest)


@case_each("traffic", [(n, n) for n in ("udp4", "tcp4", "udp6", "tcp6", "qinq")], stock=("udp4",))
def split(t, name):
    """Actions on packets whose headers are not linear."""
    t.switch(2)
    t.rt.set("t2", mtu=9000)
    tap = t.taps["t1"]
    payload = bytes(5000)
    if name == "qinq":
        frame = f.udp4(vlans=((0x11, 0x88A8), 0x22), payload=payload)
    else:
        frame = getattr(f, name)(payload=payload)
    key = key_of(t, tap, frame)
    t.mc.drain()
    layer2 = {
        "push_vlan": o.a_push_vlan(0x1005),
        "pop_vlan": o.a_pop_vlan(),
        "pop_vlan pop_vlan": o.a_pop_vlan() + o.a_pop_vlan(),
        "pop push eth": o.a_pop_eth() + o.a_push_eth(f.M3, f.M1),
    }
    for what, action in list(SETS.items()) + list(layer2.items()):
        see = o.a_userspace(t.up.pid)
        reply = t.flow(what + ": flow", key, action + see + OUT, flags=0, quiet=True)
        if reply.errno:
            continue
        for linear in (14, 15, 18, 22, 26, 34, 38, 42, 54, 60, 74):
            t.inject(f"{what}, {linear} bytes linear", tap, frame, vnet(0, 0, linear))
        t.flush()
