# SPDX-License-Identifier: GPL-2.0
"""The ct action: its netlink form, and connections of a few packets."""

import re
import struct

import frames as f
import ovsattr as o
from nlcore import attr, nest, string, u16, u32
from registry import case, case_each

(
    CT_COMMIT,
    CT_ZONE,
    CT_MARK,
    CT_LABELS,
    CT_HELPER,
    CT_NAT,
    CT_FORCE_COMMIT,
    CT_EVENTMASK,
    CT_TIMEOUT,
) = range(1, 10)
(
    NAT_SRC,
    NAT_DST,
    NAT_IP_MIN,
    NAT_IP_MAX,
    NAT_PROTO_MIN,
    NAT_PROTO_MAX,
    NAT_PERSISTENT,
    NAT_HASH,
    NAT_RANDOM,
) = range(1, 10)

ETH4 = o.k_eth() + o.k_type(0x0800) + o.k_ipv4("1.1.1.1", "1.1.1.2", 6) + o.k_tcp(1, 2)
ETH6 = o.k_eth() + o.k_type(0x86DD) + o.k_ipv6("fd00::1", "fd00::2", 17) + o.k_udp(1, 2)
ARP = o.k_eth() + o.k_type(0x0806) + attr(o.K_ARP, bytes(24))
SYN, ACK, FIN, RST, PSH = 2, 16, 1, 4, 8
CLEAR = attr(o.A_CT_CLEAR)


def ct(*attrs):
    return nest(o.A_CT, *attrs)


def mark(value, mask=0xFFFFFFFF):
    return attr(CT_MARK, struct.pack("=II", value, mask))


def labels(value, mask=b"\xff" * 16):
    return attr(CT_LABELS, value.ljust(16, b"\0") + mask.ljust(16, b"\0"))


def nat(*attrs):
    return nest(CT_NAT, *attrs)


COMMIT = attr(CT_COMMIT)
FORCE = attr(CT_FORCE_COMMIT)
SNAT4 = nat(attr(NAT_SRC), attr(NAT_IP_MIN, o.ip4("10.1.1.100")))
DNAT4 = nat(attr(NAT_DST), attr(NAT_IP_MIN, o.ip4("10.1.1.200")), u16(NAT_PROTO_MIN, 99))

WRONG = {
    "type 0": attr(0),
    "type 0 with data": u32(0, 1),
    "type 10": attr(10),
    "commit with data": u32(CT_COMMIT, 1),
    "force with data": u16(CT_FORCE_COMMIT, 1),
    "zone empty": attr(CT_ZONE),
    "zone u32": u32(CT_ZONE, 1),
    "mark u32": COMMIT + u32(CT_MARK, 1),
    "mark 0": COMMIT + mark(0, 0),
    "mark without commit": mark(1),
    "labels short": COMMIT + attr(CT_LABELS, bytes(31)),
    "labels 0": COMMIT + labels(b"", b""),
    "labels without commit": labels(b"\1"),
    "mark and labels without commit": mark(1) + labels(b"\1"),
    "helper empty": attr(CT_HELPER),
    "helper unterminated": attr(CT_HELPER, b"ftp"),
    "helper long": attr(CT_HELPER, b"a" * 16 + b"\0"),
    "helper nosuch": string(CT_HELPER, "nosuch"),
    "helper nothing": attr(CT_HELPER, b"\0"),
    "eventmask u16": u16(CT_EVENTMASK, 1),
    "timeout empty": attr(CT_TIMEOUT),
    "timeout unterminated": attr(CT_TIMEOUT, b"x"),
    "timeout long": attr(CT_TIMEOUT, b"a" * 33),
    "tail": COMMIT + b"\0\0\0",
    "tail attr": COMMIT + struct.pack("=HH", 20, 1) + b"\0\0\0\0",
    "nat type 0": COMMIT + nat(attr(0)),
    "nat type 10": COMMIT + nat(attr(10)),
    "nat src with data": COMMIT + nat(u32(NAT_SRC, 1)),
    "nat src and dst": COMMIT + nat(attr(NAT_SRC), attr(NAT_DST)),
    "nat twice": COMMIT + nat(attr(NAT_SRC)) + nat(attr(NAT_SRC)),
    "nat then src": COMMIT + nat() + nat(attr(NAT_SRC)),
    "nat src, no commit": nat(attr(NAT_SRC)),
    "nat src, commit later": nat(attr(NAT_SRC)) + COMMIT,
    "nat flags alone": COMMIT + nat(attr(NAT_HASH)),
    "nat ip alone": COMMIT + nat(attr(NAT_IP_MIN, o.ip4("1.1.1.1"))),
    "nat proto u32": COMMIT + nat(attr(NAT_SRC), u32(NAT_PROTO_MIN, 1)),
    "nat tail": COMMIT + nat(attr(NAT_SRC), b"\1"),
    "nat ip of the other version": COMMIT
    + nat(attr(NAT_SRC), attr(NAT_IP_MIN, bytes(16)), attr(NAT_IP_MAX, bytes(4))),
    "nat payload": COMMIT + attr(CT_NAT, b"\1\2\3"),
}

RIGHT = {
    "nothing": b"",
    "commit": COMMIT,
    "force": FORCE,
    "both": FORCE + COMMIT,
    "zone": u16(CT_ZONE, 5),
    "zone twice": u16(CT_ZONE, 5) + u16(CT_ZONE, 6),
    "zone max": COMMIT + u16(CT_ZONE, 0xFFFF),
    "mark": COMMIT + mark(0x12345678),
    "mark beyond the mask": COMMIT + mark(0xFFFFFFFF, 0xFF),
    "mark then commit": mark(3, 1) + COMMIT,
    "labels": COMMIT + labels(bytes(range(16))),
    "labels masked": COMMIT + labels(b"\xff" * 16, b"\0\1"),
    "helper ftp": string(CT_HELPER, "ftp"),
    "helper ftp, commit": COMMIT + string(CT_HELPER, "ftp"),
    "helper ftp, nat": COMMIT + string(CT_HELPER, "ftp") + nat(),
    "helper tftp": COMMIT + string(CT_HELPER, "tftp"),
    "helper padded": COMMIT + attr(CT_HELPER, b"ftp\0garbage"),
    "helper twice": string(CT_HELPER, "nosuch") + string(CT_HELPER, "ftp"),
    "eventmask": COMMIT + u32(CT_EVENTMASK, 0x123),
    "eventmask 0": u32(CT_EVENTMASK, 0),
    "eventmask large": COMMIT + u32(CT_EVENTMASK, 0xFFFFFFFF),
    "timeout nothing": attr(CT_TIMEOUT, b"\0"),
    "timeout nosuch": string(CT_TIMEOUT, "nosuch"),
    "timeout longest": attr(CT_TIMEOUT, b"a" * 31 + b"\0"),
    "nat": nat(),
    "nat twice": nat() + nat(),
    "nat src": COMMIT + nat(attr(NAT_SRC)),
    "nat dst": COMMIT + nat(attr(NAT_DST)),
    "nat src proto": COMMIT + nat(attr(NAT_SRC), u16(NAT_PROTO_MIN, 5), u16(NAT_PROTO_MAX, 7)),
    "nat src proto max": COMMIT + nat(attr(NAT_SRC), u16(NAT_PROTO_MAX, 7)),
    "nat src proto same": COMMIT + nat(attr(NAT_SRC), u16(NAT_PROTO_MIN, 7), u16(NAT_PROTO_MAX, 7)),
    "nat flags": COMMIT
    + nat(attr(NAT_RANDOM), attr(NAT_HASH), attr(NAT_PERSISTENT), attr(NAT_SRC)),
    "all": FORCE
    + u32(CT_EVENTMASK, 7)
    + nat(attr(NAT_DST))
    + labels(b"\1", b"\1")
    + mark(5, 7)
    + u16(CT_ZONE, 9),
}


def nat_ip(size):
    one, two = bytes(size - 1) + b"\1", bytes(size - 1) + b"\2"
    return {
        "min": attr(NAT_IP_MIN, one),
        "max": attr(NAT_IP_MAX, two),
        "both": attr(NAT_IP_MIN, one) + attr(NAT_IP_MAX, two),
        "same": attr(NAT_IP_MIN, one) + attr(NAT_IP_MAX, one),
    }


@case_each("ct", [("v4", (ETH4, 4)), ("v6", (ETH6, 16))])
def parse(t, what):
    """What is refused, how, and what a dump gives back."""
    key, size = what
    t.switch(1)
    for name, body in WRONG.items():
        t.flow(name, key, ct(body))
        t.flow(name + ", probe", key, ct(body), extra=attr(o.FL_PROBE))
    t.dump("nothing was installed", o.FLOW, dp="dp0")
    for name, body in RIGHT.items():
        t.flow(name, key, ct(body))
        t.flush()
        t.flow(name + " in clone", key, o.a_clone(ct(body) + o.a_output(1)) + ct(body))
        t.flush()
    for name, body in nat_ip(size).items():
        for kind in (NAT_SRC, NAT_DST):
            t.flow(f"nat ip {name} {kind}", key, ct(COMMIT + nat(attr(kind) + body)))
            t.flush()


@case("ct")
def parse_family(t):
    """Only IPv4 and IPv6 have connections; ct_clear has no payload."""
    t.switch(1)
    for name, key in (
        ("arp", ARP),
        ("any", o.k_eth() + o.k_type(0x88CC)),
        ("802.2", o.k_eth() + b""),
        ("v4", ETH4),
        ("v6", ETH6),
    ):
        t.flow(name, key, ct())
        t.flow(name + " clear", key, CLEAR)
        t.flow(name + " clear with data", key, u32(o.A_CT_CLEAR, 1))
        t.flush()
    helpers = (("ftp", ETH6), ("tftp", ETH4), ("ftp", o.k_eth() + o.k_type(0x0800)))
    for name, key in helpers:
        t.flow(f"helper {name} of another protocol", key, ct(string(CT_HELPER, name)))
        t.flush()


@case("ct")
def size(t):
    """How long nested lists may be is a matter of C's copy."""
    t.switch(1)
    for count in (300, 390, 391, 392, 398, 399, 400, 401, 409, 410, 420):
        t.flow(f"{count} in a clone", ETH4, o.a_clone(ct() * count))
        t.flush()


def switch(t, zone=0, kind=0x0800, first=b"", nat_=b""):
    """Two ports: what comes in goes through ct() and is looked up again."""
    taps = t.switch(3)
    for port in (1, 2):
        acts = first + ct(u16(CT_ZONE, zone), nat_) + o.a_recirc(1)
        t.in_port_flow(port, acts, kind=kind)
    return taps


def then(t, port, actions, state=None, kind=0x0800, recirc=1, out=b""):
    """What a packet of this port does after it was recirculated."""
    key = u32(o.K_RECIRC_ID, recirc) + o.k_in_port(port) + o.k_eth() + o.k_type(kind)
    mask = u32(o.K_RECIRC_ID, 0xFFFFFFFF) + o.k_in_port(0xFFFFFFFF) + o.k_type(0xFFFF)
    key += o.k_ipv4("0.0.0.0", "0.0.0.0", 0) if kind == 0x0800 else o.k_ipv6("::", "::", 0)
    if state is not None:
        key += u32(o.K_CT_STATE, state[0])
        mask += u32(o.K_CT_STATE, state[1])
    return t.flow(f"then {port}", key, actions + out, mask)


def tcp4(flags, reverse=False, seq=1, payload=b"", sport=1000, dport=2000, **kw):
    src, dst = (f.IP2, f.IP1) if reverse else (f.IP1, f.IP2)
    if reverse:
        sport, dport = dport, sport
    head = f.tcp(payload, sport, dport, src, dst, flags, seq=seq)
    return f.eth(f.ipv4(head, 6, src, dst, **kw))


def handshake(t, one, two, client=None, server=None):
    """Three packets, and one each way."""
    client = client or {}
    server = server or {}
    t.inject("syn", one, tcp4(SYN, **client))
    t.inject("syn ack", two, tcp4(SYN | ACK, True, **server))
    t.inject("ack", one, tcp4(ACK, seq=2, **client))
    t.inject("data", one, tcp4(ACK | PSH, seq=2, payload=b"hello", **client))
    t.inject("reply", two, tcp4(ACK | PSH, True, seq=2, payload=b"world", **server))


NEW, EST, REL, RPL, INV, TRK, SNAT, DNAT = (1 << i for i in range(8))


@case_each("ct", [("0", 0), ("5", 5), ("ffff", 0xFFFF)])
def zones(t, zone):
    """The key of the packets of a connection, before it is committed and after."""
    one, two, _ = switch(t, zone)
    t.inject("syn, miss", one, tcp4(SYN))
    t.inject("syn again", one, tcp4(SYN))
    then(t, 1, ct(COMMIT, u16(CT_ZONE, zone), mark(0x55)) + o.a_output(2), (TRK | NEW, TRK | NEW))
    handshake(t, one, two)
    then(t, 1, o.a_output(2), (TRK | EST, TRK | EST))
    then(t, 2, o.a_output(1), (TRK | EST | RPL, TRK | EST | RPL))
    t.inject("data", one, tcp4(ACK | PSH, seq=7, payload=b"hello"))
    t.inject("reply", two, tcp4(ACK | PSH, True, seq=7, payload=b"world"))
    t.inject("fin", one, tcp4(ACK | FIN, seq=12))
    t.inject("rst", two, tcp4(RST, True, seq=12))
    t.inject("invalid", two, tcp4(ACK | SYN | FIN, True, sport=7))
    t.counters()


@case("ct")
def clear(t):
    """ct_clear, and set actions, which take a packet away from its connection."""
    one, two, _ = t.switch(3)
    see = o.a_userspace(t.up.pid)
    t.in_port_flow(1, ct(COMMIT, mark(7)) + see + CLEAR + see + o.a_recirc(1))
    t.inject("commit", one, tcp4(SYN))
    t.in_port_flow(2, ct() + see + CLEAR + ct() + see)
    t.inject("clear and again", two, tcp4(SYN | ACK, True))
    for name, change in (
        ("address", o.a_set_masked(o.K_IPV4, bytes(8) + bytes(4), bytes(12))),
        (
            "same address",
            o.a_set_masked(o.K_IPV4, o.ip4(f.IP2) + bytes(8), b"\xff" * 4 + bytes(8)),
        ),
        (
            "other address",
            o.a_set_masked(o.K_IPV4, o.ip4("10.1.0.9") + bytes(8), b"\xff" * 4 + bytes(8)),
        ),
    ):
        t.in_port_flow(2, ct() + change + see + ct() + see)
        t.inject(name, two, tcp4(SYN | ACK, True))


@case("ct")
def marks(t):
    """Masked marks and labels, on new connections and on old ones."""
    one, two, _ = t.switch(3)
    see = o.a_userspace(t.up.pid)
    for number, body in enumerate(
        (
            mark(0xFF00FF00),
            mark(0x0F, 0xFF),
            mark(0x1000, 0xF000),
            labels(bytes(range(1, 17))),
            labels(b"\xaa", b"\x0f"),
            labels(bytes(15) + b"\x80", bytes(15) + b"\x80"),
            mark(0x77) + labels(b"\x11" * 16),
        )
    ):
        t.in_port_flow(1, ct(COMMIT, body) + see + ct() + see)
        t.inject(f"change {number}", one, tcp4(SYN))
        t.in_port_flow(1, ct(COMMIT, body) + see + o.a_recirc(1))
        t.inject(f"new {number}", one, tcp4(SYN, sport=2000 + number))
    t.in_port_flow(2, ct() + see)
    t.inject("reply sees them", two, tcp4(SYN | ACK, True))


@case_each("ct", [("src", SNAT4), ("dst", DNAT4), ("src_zone", u16(CT_ZONE, 3) + SNAT4)])
def nats(t, how):
    """Addresses are translated, and back; the key has those of the packet."""
    one, two, _ = t.switch(3)
    zone = u16(CT_ZONE, 3) if how.startswith(u16(CT_ZONE, 3)) else b""
    see = o.a_userspace(t.up.pid)
    t.in_port_flow(1, ct(COMMIT, how) + see + o.a_recirc(1))
    t.in_port_flow(2, ct(zone, nat()) + see + o.a_recirc(1))
    then(t, 1, o.a_output(2))
    then(t, 2, o.a_output(1))
    t.inject("syn", one, tcp4(SYN))
    source = "10.1.1.100" if how is not DNAT4 else f.IP1
    there = f.IP2 if how is not DNAT4 else "10.1.1.200"
    port = 2000 if how is not DNAT4 else 99
    reply = f.tcp(b"", port, 1000, there, source, SYN | ACK)
    t.inject("syn ack", two, f.eth(f.ipv4(reply, 6, there, source)))
    t.inject("ack", one, tcp4(ACK, seq=2))
    t.inject("syn again", one, tcp4(SYN))
    t.inject("icmp error", two, f.eth(f.ipv4(icmp_error(source, there, port), 1, there, source)))
    t.counters()


def icmp_error(src, dst, dport):
    inner = f.ipv4(f.tcp(b"", 1000, dport, src, dst, SYN), 6, src, dst)[:28]
    head = struct.pack("!BBHI", 3, 1, 0, 0) + inner
    return head[:2] + struct.pack("!H", f.csum(head)) + head[4:]


@case("ct")
def icmp(t):
    """ICMP echo and what is related; type and code in the original tuple."""
    one, two, _ = t.switch(3)
    see = o.a_userspace(t.up.pid)

    def echo(kind, src, dst):
        head = struct.pack("!BBHHH", kind, 0, 0, 77, 1) + b"payload!"
        head = head[:2] + struct.pack("!H", f.csum(head)) + head[4:]
        return f.eth(f.ipv4(head, 1, src, dst))

    t.in_port_flow(1, ct(COMMIT) + see)
    t.in_port_flow(2, ct() + see)
    t.inject("request", one, echo(8, f.IP1, f.IP2))
    t.inject("reply", two, echo(0, f.IP2, f.IP1))
    t.inject("reply to nothing", two, echo(0, f.IP2, "10.1.0.77"))
    t.inject("udp", one, f.udp4())
    t.inject("related", two, f.eth(f.ipv4(udp_error(), 1, f.IP2, f.IP1)))
    t.inject("no ports", one, f.eth(f.ipv4(b"x" * 20, 99)))
    t.inject("truncated tcp", one, f.eth(f.ipv4(b"12345", 6)))
    t.inject("padded", one, tcp4(SYN, sport=9) + b"\0" * 9)
    t.inject("bad checksum", one, tcp4(SYN, sport=9)[:-1] + b"\7")


def udp_error():
    inner = f.ipv4(f.udp(), 17)[:28]
    head = struct.pack("!BBHI", 3, 3, 0, 0) + inner
    return head[:2] + struct.pack("!H", f.csum(head)) + head[4:]


def fragments4(size, payload, proto=17, ident=0x77):
    """The fragments of an IPv4 datagram."""
    out = []
    for at in range(0, len(payload), size):
        more = 0x2000 if at + size < len(payload) else 0
        out.append(f.eth(f.ipv4(payload[at : at + size], proto, frag=at // 8 | more, ident=ident)))
    return out


@case("ct")
def fragments(t):
    """Fragments wait for each other, and go out as they came."""
    one, _, _ = t.switch(3)
    see = o.a_userspace(t.up.pid)
    t.in_port_flow(1, ct(COMMIT) + see + o.a_output(2) + o.a_recirc(1))
    then(t, 1, o.a_output(3))
    for name, size, length in (("two", 80, 100), ("many", 40, 500), ("exact", 48, 96)):
        parts = fragments4(size, f.udp(b"z" * (length - 8)))
        for number, part in enumerate(parts):
            t.inject(f"{name} {number}", one, part)
        for number, part in enumerate(reversed(parts)):
            t.inject(f"{name} reversed {number}", one, part)
    parts = fragments4(40, f.udp(b"z" * 60))
    t.inject("one alone", one, parts[0])
    t.in_port_flow(1, o.a_clone(ct(COMMIT) + o.a_output(2)) + see + o.a_output(3))
    for number, part in enumerate(fragments4(40, f.udp(b"y" * 92), ident=0x99)):
        t.inject(f"in a clone {number}", one, part)
    t.counters()


@case("ct", ours=True)
def truncated(t):
    """C reads the length in an IP header that is not there, and cuts the packet."""
    (one, *_) = t.switch(1)
    for name, kind, head in (("v4", 0x0800, b"\x45"), ("v6", 0x86DD, b"\x60")):
        t.in_port_flow(1, ct() + o.a_userspace(t.up.pid), kind=kind)
        frame = f.eth(head + bytes(8), kind)
        t.inject(name, one, frame)
        t.check(frame.hex() in repr(t.records[-1]), name + " is not cut")
        invalid = ["ct_state", TRK | INV]
        t.check(repr(invalid) in repr(t.records[-1]), name + " is invalid")


@case("ct")
def execute(t):
    """EXECUTE with the key of an upcall finds the connection again."""
    one, two, _ = t.switch(3)
    see = o.a_userspace(t.up.pid)
    t.in_port_flow(1, ct(COMMIT, SNAT4) + o.a_output(2))
    t.inject("syn", one, tcp4(SYN))
    t.in_port_flow(2, ct(nat()) + o.a_output(1))
    reply = f.tcp(b"", 2000, 1000, f.IP2, "10.1.1.100", SYN | ACK)
    t.inject("syn ack", two, f.eth(f.ipv4(reply, 6, f.IP2, "10.1.1.100")))
    frame = tcp4(ACK, seq=2)
    for name, key in (
        ("nothing", b""),
        ("tracked", u32(o.K_CT_STATE, TRK | EST)),
        ("natted", u32(o.K_CT_STATE, TRK | EST | SNAT)),
        ("invalid", u32(o.K_CT_STATE, TRK | INV)),
        ("another zone", u32(o.K_CT_STATE, TRK | EST) + u16(o.K_CT_ZONE, 4)),
        ("reply", u32(o.K_CT_STATE, TRK | EST | RPL)),
    ):
        for what, acts in (
            ("ct", ct()),
            ("nat", ct(nat())),
            ("force", ct(FORCE)),
            ("commit", ct(COMMIT, mark(3))),
        ):
            t.execute(f"{name} {what}", frame, acts + see + o.a_output(2), key + o.k_in_port(1))
    turned = tcp4(ACK, True, seq=2)
    for what, acts in (("force", ct(FORCE)), ("force nat", ct(FORCE, SNAT4))):
        t.execute(f"turned {what}", turned, acts + see, o.k_in_port(2))
    t.counters()


@case("ct")
def recursion(t):
    """ct in clones and samples, shared by copies, twice, and after recirculation."""
    one, two, _ = t.switch(3)
    see = o.a_userspace(t.up.pid)
    out = o.a_output(2)
    helper = string(CT_HELPER, "ftp")
    for number, acts in enumerate(
        (
            o.a_clone(ct() + see) + ct(COMMIT, mark(1)) + see + out,
            ct() + o.a_clone(ct(COMMIT, mark(2)) + see) + ct(COMMIT, mark(3)) + see + out,
            ct() + o.a_sample(0xFFFFFFFF, ct(COMMIT, mark(2)) + see) + see + out,
            ct(u16(CT_ZONE, 1)) + see + ct(u16(CT_ZONE, 2)) + see + ct(u16(CT_ZONE, 1)) + see,
            ct(COMMIT) + ct(COMMIT, u16(CT_ZONE, 1)) + ct(COMMIT, u16(CT_ZONE, 2)) + see + out,
            ct() + o.a_clone(ct(COMMIT, helper)) + ct(COMMIT, labels(b"\1"), nat()) + see,
            ct(COMMIT, helper) + see + ct(COMMIT, helper, labels(b"\1")) + see,
            ct(FORCE) + see + ct(FORCE) + see,
            CLEAR + see + ct() + see + CLEAR + see,
        )
    ):
        t.in_port_flow(1, acts)
        t.inject(f"list {number}", one, tcp4(SYN, sport=3000 + number, dport=21))
        t.inject(f"list {number} again", one, tcp4(SYN, sport=3000 + number, dport=21))
        t.in_port_flow(2, ct() + see)
        t.inject(f"reply {number}", two, tcp4(SYN | ACK, True, sport=3000 + number, dport=21))
        t.flush()


@case("ct")
def v6(t):
    """IPv6: TCP, UDP, ICMPv6, neighbour discovery, and translation."""
    # The identification of fragments is random.
    t.scrub = lambda text: re.sub(r"^(\w{24}86dd\w{12}2c\w{2}\w{64}\w{8})\w{8}", r"\1<id>", text)
    one, two, _ = t.switch(3)
    see = o.a_userspace(t.up.pid)
    t.in_port_flow(1, ct(COMMIT, mark(1)) + see, kind=0x86DD)
    t.in_port_flow(2, ct() + see, kind=0x86DD)
    t.inject("udp", one, f.eth(f.ipv6(f.udp(src=f.V61, dst=f.V62), 17), 0x86DD))
    back = f.ipv6(f.udp(b"", 2000, 1000, f.V62, f.V61), 17, f.V62, f.V61)
    t.inject("back", two, f.eth(back, 0x86DD))
    echo = struct.pack("!BBHHH", 128, 0, 0, 5, 1) + b"payload!"
    t.inject("echo", one, f.eth(f.ipv6(icmp6(echo), 58), 0x86DD))
    solicit = struct.pack("!BBHI", 135, 0, 0, 0) + o.ip6(f.V62)
    t.inject("nd", one, f.eth(f.ipv6(icmp6(solicit), 58, hlimit=255), 0x86DD))
    dst6 = o.ip6("fd00::99")
    t.in_port_flow(1, ct(COMMIT, nat(attr(NAT_SRC), attr(NAT_IP_MIN, dst6))) + see, kind=0x86DD)
    t.inject("snat", one, f.eth(f.ipv6(f.udp(b"", 5, 6, f.V61, f.V62), 17), 0x86DD))
    t.in_port_flow(2, ct(nat()) + see, kind=0x86DD)
    back = f.ipv6(f.udp(b"", 6, 5, f.V62, "fd00::99"), 17, f.V62, "fd00::99")
    t.inject("snat back", two, f.eth(back, 0x86DD))
    t.in_port_flow(1, ct(COMMIT) + see + o.a_output(3), kind=0x86DD)
    payload = f.udp(b"q" * 200, 7, 8, f.V61, f.V62)
    for at in range(0, len(payload), 96):
        more = 1 if at + 96 < len(payload) else 0
        head = struct.pack("!BBHI", 17, 0, at | more, 0x4242)
        part = f.ipv6(head + payload[at : at + 96], 44)
        t.inject(f"fragment {at}", one, f.eth(part, 0x86DD))
    t.counters()


def icmp6(head):
    fake = f.pseudo(o.ip6(f.V61), o.ip6(f.V62), 58, len(head))
    return head[:2] + struct.pack("!H", f.csum(fake + head)) + head[4:]


@case("ct")
def helpers(t):
    """An FTP command makes the data connection related."""
    one, two, _ = t.switch(3)
    see = o.a_userspace(t.up.pid)
    for number, extra in enumerate((b"", nat(), SNAT4, labels(b"\5") + mark(9))):
        sport = 4000 + number
        helper = string(CT_HELPER, "ftp")
        t.in_port_flow(1, ct(COMMIT, helper, extra) + see + o.a_output(2))
        t.in_port_flow(2, ct(COMMIT, nat() if extra else b"") + see + o.a_output(1))
        t.inject("syn", one, tcp4(SYN, sport=sport, dport=21))
        to = "10.1.1.100" if extra is SNAT4 else f.IP1

        def from2(flags, seq, payload=b"", src=21, to=to, sport=sport):
            head = f.tcp(payload, src, sport, f.IP2, to, flags, seq=seq)
            return f.eth(f.ipv4(head, 6, f.IP2, to))

        t.inject("syn ack", two, from2(SYN | ACK, 1))
        t.inject("ack", one, tcp4(ACK, seq=2, sport=sport, dport=21))
        port = b"PORT 10,1,0,1,20,%d\r\n" % number
        t.inject("port", one, tcp4(ACK | PSH, seq=2, sport=sport, dport=21, payload=port))
        t.inject("data syn", two, from2(SYN, 1, src=20, sport=5120 + number))
        t.flush()
    t.counters()
