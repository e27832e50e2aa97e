# SPDX-License-Identifier: GPL-2.0
"""Fragments through ct: put together before they are tracked, and taken apart
again on their way out, to the size that they had."""

import socket

import frames as f
import ovsattr as o
from nlcore import attr, nest, u16
from registry import case, case_each

from cases._ct import Talk, hide_fragment_ids, pipeline, rule, send

COMMIT = o.ct_commit()
VERSIONS = [("4", False), ("6", True)]
BOTH = ("4", "6")
MORE = 0x2000


def split(packet, v6, sizes, ident=0x77, proto=17, tos=0, flags=0):
    """The fragments of an IP packet: payload of these sizes, which but for the
    last are multiples of 8, each as (offset, packet)."""
    head = 40 if v6 else 20
    body = packet[head:]
    out = []
    at = 0
    ends = (packet[8:24], packet[24:40]) if v6 else (packet[12:16], packet[16:20])
    src, dst = (socket_text(end) for end in ends)
    for number, size in enumerate(sizes):
        part = body[at : at + size]
        more = number + 1 < len(sizes)
        if v6:
            ext = f.fragment(proto, at // 8, more, ident)
            out.append(f.ipv6(ext + part, 44, src=src, dst=dst, tclass=tos))
        else:
            frag = (MORE if more else 0) | at // 8 | flags
            out.append(f.ipv4(part, proto, src=src, dst=dst, ident=ident, frag=frag, tos=tos))
        at += size
    return out


def socket_text(data):
    return socket.inet_ntop(socket.AF_INET6 if len(data) == 16 else socket.AF_INET, data)


def parts(talk, sizes, ident=0x77, payload=b"z" * 2000, **kw):
    """Frames with the fragments of a UDP packet."""
    packets = split(talk.udp_packet(payload, **kw), talk.v6, sizes, ident)
    return [talk.frame(one, kw.get("back", False)) for one in packets]


def begin(t, *args, **kw):
    t.switch(2)
    hide_fragment_ids(t)
    pipeline(t, *args, **kw)


@case_each("conntrack_frag", VERSIONS, stock=BOTH)
def two(t, v6):
    """Two fragments, in order and not; the connection that they belong to."""
    begin(t, o.a_ct(), o.a_ct(COMMIT, o.ct_mark(5)))
    talk = Talk(v6)
    for name, order in (("in order", (0, 1)), ("last first", (1, 0))):
        for number, ident in enumerate((1, 2)):
            frames = parts(talk, (1000, 1008), ident + 10 * len(name))
            for i in order:
                send(t, f"{name} {number:d}: {i:d}", frames[i])
    send(t, "whole", talk.udp())
    frames = parts(talk, (1000, 1008), 99, back=True)
    for i in (0, 1):
        send(t, f"reply {i:d}", frames[i], back=True)
    t.counters()


@case_each("conntrack_frag", VERSIONS, stock=BOTH)
def many(t, v6):
    """More fragments, of unequal sizes, to one byte."""
    begin(t, o.a_ct(COMMIT))
    talk = Talk(v6)
    for number, sizes in enumerate(
        (
            (8, 8, 1992),
            (1400, 608),
            (608, 1400),
            (400, 400, 400, 400, 408),
            (1000, 8, 1000),
            (1999 // 8 * 8, 16),
            (2007 // 8 * 8, 8),
        )
    ):
        for i, frame in enumerate(parts(talk, sizes, 100 + number)):
            send(t, f"{sizes}: {i:d}", frame, dump=False)
    t.connections()
    t.counters()


@case_each("conntrack_frag", VERSIONS)
def broken(t, v6):
    """A lone fragment, twice the same, overlapping ones, gaps, too long ones."""
    begin(t, o.a_ct(), o.a_ct(COMMIT))
    talk = Talk(v6)
    packet = talk.udp_packet(b"z" * 2000)

    def piece(at, size, more, ident):
        head = 40 if v6 else 20
        body = packet[head:][at : at + size]
        if v6:
            ext = f.fragment(17, at // 8, more, ident)
            return talk.frame(f.ipv6(ext + body, 44))
        frag = (MORE if more else 0) | at // 8
        return talk.frame(f.ipv4(body, 17, ident=ident, frag=frag))

    for number, (name, pieces) in enumerate(
        (
            ("first alone", ((0, 1000, True),)),
            ("last alone", ((1000, 1008, False),)),
            ("first twice", ((0, 1000, True), (0, 1000, True), (1000, 1008, False))),
            ("last twice", ((1000, 1008, False), (1000, 1008, False), (0, 1000, True))),
            ("overlap", ((0, 1008, True), (1000, 1008, False))),
            ("overlap by all", ((0, 1000, True), (0, 1008, True), (1000, 1008, False))),
            ("inside", ((0, 1000, True), (200, 400, True), (1000, 1008, False))),
            ("gap", ((0, 800, True), (1000, 1008, False))),
            ("gap filled", ((0, 800, True), (1000, 1008, False), (800, 200, True))),
            ("two ends", ((1000, 1008, False), (1000, 500, False), (0, 1000, True))),
            ("beyond the end", ((1000, 504, False), (1504, 496, True), (0, 1000, True))),
            ("not of eight", ((0, 1001, True), (1000, 1008, False))),
            ("empty", ((0, 0, True), (0, 1000, True), (1000, 1008, False))),
            ("tiny", ((0, 8, True), (8, 2000, False))),
            ("at the end of all", ((65528, 100, False), (0, 1000, True))),
            ("atomic", ((0, 2008, False),)),
        )
    ):
        for i, (at, size, more) in enumerate(pieces):
            send(t, f"{name} {i:d}", piece(at, size, more, 200 + number), dump=False)
    t.connections()
    t.counters()


@case("conntrack_frag")
def headers(t):
    """Fragments whose headers differ or are longer: options, extension headers,
    TOS and its congestion bits, DF, TTL."""
    begin(t, o.a_ct(COMMIT))
    talk = Talk()
    packet = talk.udp_packet(b"z" * 1000)
    body = packet[20:]

    def pair(label, ident, first, second):
        for i, (at, kw) in enumerate(((0, first), (504, second))):
            part = body[:504] if i == 0 else body[504:]
            frag = (MORE if i == 0 else 0) | at // 8 | kw.pop("flags", 0)
            packet = f.ipv4(part, 17, ident=ident, frag=frag, **kw)
            send(t, f"{label} {i:d}", talk.frame(packet), dump=False)

    pair("options", 1, {"options": b"\1" * 8}, {})
    pair("options of both", 2, {"options": b"\1" * 8}, {"options": b"\1" * 8})
    pair("copied option", 3, {"options": b"\x94\4\0\0"}, {"options": b"\x94\4\0\0"})
    pair("df", 4, {"flags": 0x4000}, {"flags": 0x4000})
    pair("df of the first", 5, {"flags": 0x4000}, {})
    pair("tos", 6, {"tos": 0x48}, {"tos": 0x20})
    for one in range(4):
        for two in range(4):
            pair(f"ecn {one:d} {two:d}", 16 + one * 4 + two, {"tos": one}, {"tos": two})
    pair("ttl", 7, {"ttl": 3}, {"ttl": 9})
    talk6 = Talk(True)
    packet6 = talk6.udp_packet(b"z" * 1000)
    body6 = packet6[40:]
    for number, (name, before) in enumerate(
        (("hop by hop", (0, f.ext(44))), ("destination", (60, f.ext(44))))
    ):
        kind, ext = before
        for i, part in enumerate((body6[:504], body6[504:])):
            head = ext + f.fragment(17, 63 * i, i == 0, 300 + number)
            send(t, f"{name} {i:d}", talk6.frame(f.ipv6(head + part, kind)), dump=False)
    for number, (one, two) in enumerate(((0, 3), (1, 2), (0, 1), (3, 3))):
        for i, part in enumerate((body6[:504], body6[504:])):
            head = f.fragment(17, 63 * i, i == 0, 400 + number)
            tclass = (one, two)[i]
            frame = talk6.frame(f.ipv6(head + part, 44, tclass=tclass))
            send(t, f"ecn6 {one:d} {two:d} {i:d}", frame, dump=False)
    t.connections()


@case_each("conntrack_frag", VERSIONS)
def protocols(t, v6):
    """Fragments of TCP, ICMP and what has no ports; the key has the right ports."""
    begin(t, o.a_ct(), o.a_ct(COMMIT))
    talk = Talk(v6)
    ends = talk.ends
    echo = f.icmpv6(payload=b"p" * 1000) if v6 else f.icmp(payload=b"p" * 1000)
    for number, (name, data, proto) in enumerate(
        (
            ("tcp", f.tcp(b"d" * 1000, flags=2, src=ends[0], dst=ends[1]), 6),
            ("echo", echo, 58 if v6 else 1),
            ("gre", bytes(1000), 47),
            ("unknown", bytes(1000), 200),
            ("sctp", f.sctp(b"\0\3\4\0" + bytes(1020)), 132),
        )
    ):
        packet = talk.ip(data, proto, *ends)
        for i, one in enumerate(split(packet, v6, (504, len(data) - 504), 50 + number, proto)):
            send(t, f"{name} {i:d}", talk.frame(one))


@case_each("conntrack_frag", VERSIONS, stock=BOTH)
def zones(t, v6):
    """Fragments with one identification in several zones do not mix."""
    t.switch(3)
    hide_fragment_ids(t)
    kind = (0x86DD if v6 else 0x0800,)
    see = o.a_userspace(t.up.pid)
    for port, zone in ((1, 1), (2, 2)):
        rule(t, port, 0, o.a_ct(COMMIT, o.ct_zone(zone)) + o.a_recirc(1), kind)
        rule(t, port, 1, see + o.a_output(3), kind)
    talk = Talk(v6)
    frames = parts(talk, (1000, 1008))
    send(t, "first in 1", frames[0])
    send(t, "last in 2", frames[1], back=True)
    send(t, "last in 1", frames[1])
    send(t, "first in 2", frames[0], back=True)


@case_each("conntrack_frag", VERSIONS, stock=BOTH)
def nat(t, v6):
    """NAT of what was in fragments."""
    t.switch(2)
    hide_fragment_ids(t)
    ip = "fd00::77" if v6 else "10.1.0.77"
    pipeline(
        t,
        o.a_ct(o.ct_nat()),
        o.a_ct(COMMIT, o.ct_nat(o.NAT_SRC, ip, port=7777)),
        o.a_ct(o.ct_nat()),
        o.a_ct(COMMIT, o.ct_nat()),
        (0x86DD if v6 else 0x0800,),
    )
    talk = Talk(v6)
    for i, frame in enumerate(parts(talk, (1000, 1008), 1)):
        send(t, f"there {i:d}", frame)
    for i, frame in enumerate(parts(talk, (1000, 1008), 2, back=True, dst=ip, dport=7777)):
        send(t, f"back {i:d}", frame, back=True)


@case_each("conntrack_frag", VERSIONS)
def outputs(t, v6):
    """Where the packet goes after it was put together: to several ports, cut,
    to user space, with a tag, in clones, into ports with a smaller MTU."""
    t.switch(3)
    hide_fragment_ids(t)
    kinds = (0x86DD if v6 else 0x0800,)
    see = o.a_userspace(t.up.pid)
    two, three = o.a_output(2), o.a_output(3)
    commit = o.a_ct(COMMIT)
    for number, (name, acts) in enumerate(
        (
            ("two ports", commit + two + three),
            ("user space, port", commit + see + two),
            ("trunc", commit + o.a_trunc(500) + two + three),
            ("trunc above", commit + o.a_trunc(1500) + two),
            ("tag", commit + o.a_push_vlan(0x1005) + two),
            ("clone", o.a_clone(commit + two) + three),
            ("sample", o.a_sample(0xFFFFFFFF, commit, two) + three),
            ("ct twice", commit + o.a_ct(COMMIT, o.ct_zone(7)) + two),
            ("ct in clones", o.a_clone(commit + two) + o.a_clone(o.a_ct(o.ct_zone(8)) + three)),
            ("no port", commit),
            ("pop_eth", commit + o.a_pop_eth() + see),
            ("clear", commit + o.a_ct_clear() + two),
            ("recirc", commit + o.a_recirc(1) + three),
            ("ttl", commit + ttl(v6) + two),
        )
    ):
        rule(t, 1, 0, acts, kinds, name)
        rule(t, 1, 1, see + o.a_ct() + two, kinds)
        for i, frame in enumerate(parts(Talk(v6), (1000, 1008), 500 + number)):
            send(t, f"{name} {i:d}", frame, dump=False)
        t.flush()
    rule(t, 1, 0, commit + two + three, kinds)
    for mtu in (1280, 1000, 576, 68):
        if t.rt.set("t2", mtu=mtu):
            continue
        for i, frame in enumerate(parts(Talk(v6), (1000, 1008), 900 + mtu)):
            send(t, f"mtu {mtu:d} {i:d}", frame, dump=False)
    t.counters(ports=("t2", "t3"))


def ttl(v6):
    if v6:
        return o.a_set_masked(o.K_IPV6, bytes(38) + b"\x09\0", bytes(38) + b"\xff\0")
    return o.a_set_masked(o.K_IPV4, bytes(10) + b"\x09\0", bytes(10) + b"\xff\0")


@case_each("conntrack_frag", VERSIONS)
def misses(t, v6):
    """A miss after the packet was put together: MRU in the upcall, and EXECUTE
    with it, which takes it apart again."""
    t.switch(2)
    hide_fragment_ids(t)
    kinds = (0x86DD if v6 else 0x0800,)
    rule(t, 1, 0, o.a_ct() + o.a_recirc(1), kinds)
    talk = Talk(v6)
    frames = parts(talk, (1000, 1008), 1)
    send(t, "first", frames[0])
    send(t, "last", frames[1])
    tap = t.taps["t1"]
    from nlcore import attr_dict

    for number, acts in enumerate(
        (
            o.a_output(2),
            o.a_ct(COMMIT) + o.a_output(2),
            o.a_ct(COMMIT, o.ct_zone(4)) + o.a_output(2),
        )
    ):
        for frame in parts(talk, (1000, 1008), 2 + number):
            tap.write(frame)
        for msg in t.up.nl.drain():
            got = attr_dict(msg.payload(4))
            mru = got.get(o.PK_MRU, b"\0\0")
            t.execute(
                f"back from user space {number:d}",
                got[o.PK_PACKET],
                acts,
                key=got[o.PK_KEY],
                extra=attr(o.PK_MRU, mru[:2]),
            )
            t.execute(f"without MRU {number:d}", got[o.PK_PACKET], acts, key=got[o.PK_KEY])
    t.connections()


@case_each("conntrack_frag", VERSIONS)
def execute(t, v6):
    """Fragments from EXECUTE, with and without MRU."""
    t.switch(2)
    hide_fragment_ids(t)
    talk = Talk(v6)
    see = o.a_userspace(t.up.pid)
    acts = o.a_ct(COMMIT) + see + o.a_output(2)
    for number, extra in enumerate((b"", u16(o.PK_MRU, 1000), u16(o.PK_MRU, 300))):
        frames = parts(talk, (1000, 1008), 600 + number)
        for i, frame in enumerate(frames):
            t.execute(f"{number:d}: {i:d}", frame, acts, key=o.k_in_port(1), extra=extra)
        t.execute(f"{number:d}: whole", talk.udp(b"z" * 1400), acts, o.k_in_port(1), extra=extra)
    for i, frame in enumerate(parts(talk, (1000, 1008), 700)):
        t.execute(f"not the last action: {i:d}", frame, o.a_output(2) + acts, key=o.k_in_port(1))
    t.connections()


@case_each("conntrack_frag", VERSIONS)
def tagged(t, v6):
    """Behind a VLAN tag: it stays, also on the fragments that go out."""
    t.switch(2)
    hide_fragment_ids(t)
    kind = 0x86DD if v6 else 0x0800
    inner = o.k_type(kind) + (o.k_ipv6("::", "::", 0) if v6 else o.k_ipv4("0.0.0.0", "0.0.0.0", 0))
    see = o.a_userspace(t.up.pid)
    for tags in ((5,), (0x3005,), ((5, 0x88A8), 6)):
        body = inner
        level = o.k_type(0xFFFF)
        for tag in reversed(tags):
            tci, tpid = tag if isinstance(tag, tuple) else (tag, 0x8100)
            vlan = attr(o.K_VLAN, (tci | 0x1000).to_bytes(2, "big"))
            body = o.k_type(tpid) + vlan + nest(o.K_ENCAP, body)
            exact = o.k_type(0xFFFF) + attr(o.K_VLAN, b"\x1f\xff")
            level = exact + nest(o.K_ENCAP, level)
        key = o.k_in_port(1) + o.k_eth() + body
        mask = o.k_in_port(0xFFFFFFFF) + level
        reply = t.flow(f"{tags}", key, o.a_ct(COMMIT) + see + o.a_output(2), mask, flags=0)
        t.check(not reply.errno, f"{tags} is installed")
        talk = Talk(v6, vlans=tags)
        for i, frame in enumerate(parts(talk, (1000, 1008), 800 + len(tags))):
            send(t, f"{tags} {i:d}", frame)
        t.flush()


@case("conntrack_frag")
def left(t):
    """Fragments still wait when the namespace ends."""
    begin(t, o.a_ct())
    for v6 in (False, True):
        for i in range(30):
            send(t, f"{v6} {i:d}", parts(Talk(v6), (1000, 1008), i)[i & 1], dump=False)
    t.connections()
