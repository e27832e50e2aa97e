# SPDX-License-Identifier: GPL-2.0
"""Packets through ct: what is tracked, what the key says in the next pass, and
what goes out."""

import frames as f
import ovsattr as o
from ctnl import ICMP_NAMES, TCP_NAMES, UDP_NAMES, set_sysctl
from nlcore import attr, nest, u16, u32
from registry import case, case_each

from cases._ct import (
    ACK,
    FIN,
    PSH,
    RST,
    SYN,
    Talk,
    any_key,
    pipeline,
    rule,
    send,
)

COMMIT = o.ct_commit()
VERSIONS = [("4", False), ("6", True)]
BOTH = ("4", "6")


def handshake(t, talk):
    send(t, "syn", talk.tcp(SYN))
    send(t, "syn ack", talk.tcp(SYN | ACK, back=True), back=True)
    send(t, "ack", talk.tcp(ACK))


@case_each("conntrack_traffic", VERSIONS, stock=BOTH)
def udp(t, v6):
    """New, established, reply: looked at in one pass, committed in the other."""
    t.switch(2)
    talk = Talk(v6)
    pipeline(t, o.a_ct(), o.a_ct(COMMIT))
    send(t, "first", talk.udp())
    send(t, "again", talk.udp())
    send(t, "reply", talk.udp(back=True), back=True)
    send(t, "after the reply", talk.udp())
    send(t, "other ports", Talk(v6, 5, 6).udp())
    send(t, "others' reply first", Talk(v6, 7, 8).udp(back=True), back=True)
    t.note("flush", t.ct.flush())
    send(t, "reply after the flush", talk.udp(back=True), back=True)
    t.counters()


@case_each("conntrack_traffic", VERSIONS)
def never_committed(t, v6):
    """Only looked at: always new. Confirmed only by a commit."""
    t.switch(2)
    talk = Talk(v6)
    pipeline(t, o.a_ct())
    for i in range(3):
        send(t, f"packet {i:d}", talk.udp())
        send(t, f"reply {i:d}", talk.udp(back=True), back=True)
    t.flush()
    pipeline(t, o.a_ct(COMMIT))
    send(t, "committed at once", talk.udp())
    send(t, "reply", talk.udp(back=True), back=True)


@case_each("conntrack_traffic", VERSIONS, stock=BOTH)
def tcp(t, v6):
    """A connection from its SYN to its end."""
    t.switch(2)
    talk = Talk(v6)
    pipeline(t, o.a_ct(), o.a_ct(COMMIT))
    handshake(t, talk)
    send(t, "data", talk.tcp(PSH | ACK, b"hello"))
    send(t, "data back", talk.tcp(PSH | ACK, b"world", back=True), back=True)
    send(t, "fin", talk.tcp(FIN | ACK))
    send(t, "fin ack", talk.tcp(FIN | ACK, back=True), back=True)
    send(t, "last ack", talk.tcp(ACK))
    send(t, "syn anew", talk.tcp(SYN, seq=90000))
    t.counters()


@case_each("conntrack_traffic", VERSIONS)
def tcp_invalid(t, v6):
    """What no connection can be: invalid, or out of the window, which is taken."""
    t.switch(2)
    talk = Talk(v6)
    pipeline(t, o.a_ct(), o.a_ct(COMMIT))
    for name, flags in (
        ("syn ack", SYN | ACK),
        ("rst", RST),
        ("fin", FIN | ACK),
        ("nothing", 0),
        ("syn fin", SYN | FIN),
        ("all", 0x3F),
    ):
        send(t, name + " of nobody", talk.tcp(flags, seq=1, ack=1))
        send(t, name + " of nobody, back", talk.tcp(flags, back=True, seq=1, ack=1), back=True)
        t.ct.flush()
    send(t, "middle of a connection", talk.tcp(PSH | ACK, b"x"))
    send(t, "its answer", talk.tcp(ACK, back=True), back=True)
    t.ct.flush()
    talk = Talk(v6)
    handshake(t, talk)
    send(t, "out of the window", talk.tcp(PSH | ACK, b"far", seq=0x70000000))
    send(t, "ack of what was not sent", talk.tcp(ACK, ack=0x60000000))
    send(t, "syn in between", talk.tcp(SYN, seq=77))
    send(t, "rst out of the window", talk.tcp(RST, back=True, seq=0x12345678), back=True)
    send(t, "bad checksum", talk.tcp(PSH | ACK, b"y")[:-1] + b"z")
    send(t, "rst", talk.tcp(RST | ACK))
    send(t, "after the rst", talk.tcp(PSH | ACK, b"late", back=True), back=True)


@case("conntrack_traffic")
def malformed(t):
    """Packets that are cut, wrong or unknown are invalid, or are not looked at."""
    t.switch(2)
    pipeline(t, o.a_ct(COMMIT, o.ct_mark(1)))
    talk, talk6 = Talk(), Talk(True)
    udp4, tcp4 = talk.udp(), talk.tcp(SYN)
    for name, frame in {
        "udp cut": udp4[:40],
        "udp, half a header": udp4[:36],
        "udp, no header": f.eth(f.ipv4(b"", 17)),
        "udp, length too large": talk.frame(talk.ip(f.udp(length=200), 17, f.IP1, f.IP2)),
        "udp, length too small": talk.frame(talk.ip(f.udp(length=4), 17, f.IP1, f.IP2)),
        "udp, bad checksum": udp4[:-1] + b"?",
        "udp, no checksum": talk.frame(talk.ip(f.udp(nocsum=True), 17, f.IP1, f.IP2)),
        "tcp cut": tcp4[:50],
        "tcp, small offset": talk.frame(talk.ip(f.tcp(doff=2), 6, f.IP1, f.IP2)),
        "tcp, large offset": talk.frame(talk.ip(f.tcp(doff=15), 6, f.IP1, f.IP2)),
        "tcp, port 0": Talk(sport=1).tcp(SYN, sport=0),
        "ip, total beyond": f.eth(f.ipv4(f.udp(), 17, total=200)),
        "ip, total below": f.eth(f.ipv4(f.udp(), 17, total=24)),
        "ip, total below a header": f.eth(f.ipv4(f.udp(), 17, total=10)),
        "ip, padding": udp4 + bytes(30),
        "ip, version": f.eth(f.ipv4(f.udp(), 17, version=5)),
        "ip, ihl": f.eth(f.ipv4(f.udp(), 17, ihl=4)),
        "ip, ihl beyond": f.eth(f.ipv4(f.udp(), 17, ihl=15)),
        "ip, options": f.eth(f.ipv4(f.udp(), 17, options=b"\1" * 8)),
        "ip, checksum": udp4[:24] + b"\0\0" + udp4[26:],
        "ip cut": udp4[:30],
        "gre": f.eth(f.ipv4(bytes(8), 47)),
        "gre, key": f.eth(f.ipv4(b"\x20\0\x08\0\0\0\0\5" + bytes(20), 47)),
        "protocol 99": f.eth(f.ipv4(bytes(20), 99)),
        "protocol 0": f.eth(f.ipv4(bytes(20), 0)),
        "igmp": f.eth(f.ipv4(bytes(8), 2)),
        "icmp reply": talk.echo(back=True, src=f.IP1, dst=f.IP2),
        "icmp type 77": f.eth(f.ipv4(f.icmp(77), 1)),
        "icmp cut": f.eth(f.ipv4(b"\x08\0", 1)),
        "icmp, bad checksum": talk.echo()[:-1] + b"?",
        "icmp error, empty": f.eth(f.ipv4(f.icmp(3, 1, bytes(4), b""), 1)),
        "icmp error, half a header": f.eth(f.ipv4(f.icmp(3, 1, bytes(4), udp4[14:24]), 1)),
        "icmp error of nobody": talk.error(talk.udp_packet()),
        "udp6 cut": talk6.udp()[:60],
        "udp6, no header": f.eth(f.ipv6(b"", 17), 0x86DD),
        "udp6, no checksum": talk6.frame(talk6.ip(f.udp(nocsum=True), 17, f.V61, f.V62)),
        "ip6, length beyond": f.eth(f.ipv6(f.udp(), 17, length=200), 0x86DD),
        "ip6, length 0": f.eth(f.ipv6(f.udp(), 17, length=0), 0x86DD),
        "ip6, padding": talk6.udp() + bytes(30),
        "ip6, version": f.eth(f.ipv6(f.udp(), 17, version=4), 0x86DD),
        "ip6, hop by hop": f.eth(f.ipv6(f.ext(17) + f.udp(src=f.V61, dst=f.V62), 0), 0x86DD),
        "ip6, no next header": f.eth(f.ipv6(b"", 59), 0x86DD),
        "ip6, header cut": f.eth(f.ipv6(b"\x11", 0), 0x86DD),
        "icmp6 error, empty": f.eth(f.ipv6(f.icmpv6(1, 0, bytes(4), b""), 58), 0x86DD),
        "icmp6 error of nobody": talk6.error(talk6.udp_packet()),
        "icmp6 reply": talk6.echo(back=True, src=f.V61, dst=f.V62),
        "icmp6, bad checksum": talk6.echo()[:-1] + b"?",
    }.items():
        send(t, name, frame)
        t.ct.flush()
    t.counters()


@case_each("conntrack_traffic", VERSIONS, stock=BOTH)
def icmp(t, v6):
    """Echo, and errors about connections that are there or not, either way."""
    t.switch(2)
    talk = Talk(v6)
    pipeline(t, o.a_ct(), o.a_ct(COMMIT))
    send(t, "echo", talk.echo())
    send(t, "reply", talk.echo(back=True), back=True)
    send(t, "echo again", talk.echo())
    send(t, "another id", talk.echo(ident=8))
    send(t, "reply of nobody", talk.echo(back=True, ident=9), back=True)
    send(t, "udp", talk.udp())
    send(t, "error about it", talk.error(talk.udp_packet()), back=True)
    send(t, "error from a router", talk.error(talk.udp_packet(), src=None), back=True)
    send(t, "udp reply", talk.udp(back=True), back=True)
    send(t, "error about the reply", talk.error(talk.udp_packet(back=True), back=False))
    too_big = talk.error(talk.udp_packet(), kind=2 if v6 else 3, code=0 if v6 else 4)
    send(t, "too big", too_big, back=True)
    tcp_talk = Talk(v6, 30, 40)
    send(t, "syn", tcp_talk.tcp(SYN))
    send(t, "error about it", tcp_talk.error(tcp_talk.tcp_packet(SYN)), back=True)
    send(t, "error about nothing", talk.error(Talk(v6, 1, 2).udp_packet()), back=True)
    send(t, "error in the wrong direction", talk.error(talk.udp_packet(), back=False))


@case("conntrack_traffic")
def nd(t):
    """Neighbour discovery is not tracked, and its key has no original tuple."""
    t.switch(2)
    pipeline(t, o.a_ct(COMMIT, o.ct_mark(3)))
    for kind in (133, 134, 135, 136, 137, 143, 130):
        frame = f.eth(f.ipv6(f.nd(kind, options=f.nd_opt(1, f.M1)), 58, hlimit=255), 0x86DD)
        send(t, f"type {kind:d}", frame)
        again = f.eth(f.ipv6(f.nd(kind, code=1), 58, hlimit=255), 0x86DD)
        send(t, f"type {kind:d}, code 1", again)
    t.counters()


@case("conntrack_traffic")
def sctp(t):
    """SCTP: INIT and what follows; a chunk in the middle."""
    t.switch(2)
    talk = Talk()
    pipeline(t, o.a_ct(), o.a_ct(COMMIT))
    init = b"\1\0\0\x14" + b"\0\0\0\7" + bytes(4) + b"\0\1\0\1" + bytes(4)
    init_ack = b"\2\0\0\x14" + b"\0\0\0\x09" + bytes(4) + b"\0\1\0\1" + bytes(4)
    send(t, "init", talk.sctp(init, tag=0))
    send(t, "init ack", talk.sctp(init_ack, back=True, tag=7), back=True)
    send(t, "cookie echo", talk.sctp(b"\x0a\0\0\4", tag=9))
    send(t, "cookie ack", talk.sctp(b"\x0b\0\0\4", back=True, tag=7), back=True)
    send(t, "data", talk.sctp(tag=9))
    send(t, "wrong tag", talk.sctp(tag=10))
    t.ct.flush()
    send(t, "data of nobody", talk.sctp())


@case_each("conntrack_traffic", VERSIONS, stock=BOTH)
def zones(t, v6):
    """The same packet in several zones, one after the other and at once."""
    t.switch(2)
    talk = Talk(v6)
    pipeline(t, o.a_ct(o.ct_zone(1)), o.a_ct(COMMIT, o.ct_zone(1)))
    send(t, "zone 1", talk.udp())
    send(t, "zone 1 reply", talk.udp(back=True), back=True)
    t.flush()
    pipeline(t, o.a_ct(o.ct_zone(2)), o.a_ct(COMMIT, o.ct_zone(2), o.ct_mark(2)))
    send(t, "zone 2", talk.udp())
    t.flush()
    pipeline(t, o.a_ct(o.ct_zone(1)), o.a_ct(COMMIT, o.ct_zone(2)))
    send(t, "seen in 1, committed in 2", talk.udp())
    t.flush()
    pipeline(t, o.a_ct(o.ct_zone(65535)) + o.a_ct(o.ct_zone(2)) + o.a_ct(o.ct_zone(1)))
    send(t, "65535, 2, 1", talk.udp())
    t.flush()
    pipeline(t, o.a_ct(o.ct_zone(1)), o.a_ct(o.ct_zone(1)) + o.a_ct(COMMIT, o.ct_zone(3)))
    send(t, "1, 1, commit in 3", talk.udp(back=True), back=True)
    t.flush()
    pipeline(t, b"", o.a_ct(COMMIT) + o.a_ct(COMMIT, o.ct_zone(9)))
    send(t, "default, then 9", Talk(v6, 3, 4).udp())
    t.counters()


@case_each("conntrack_traffic", VERSIONS)
def mark_and_labels(t, v6):
    """Values and masks, on new and on known connections; what the key shows."""
    t.switch(2)
    talk = Talk(v6)
    for number, (mark, mask, labels, label_mask) in enumerate(
        (
            (0x12345678, 0xFFFFFFFF, b"\1" * 16, b"\xff" * 16),
            (0x0000FF00, 0x0000FF00, b"\2" * 16, b"\x0f" * 16),
            (0xFFFFFFFF, 0x000000F0, bytes(15) + b"\x80", bytes(15) + b"\x80"),
            (0xF0F0F0F0, 0x0F0F0F0F, b"\xf0" * 16, b"\x0f" * 16),
            (0, 0xFFFFFFFF, bytes(16), b"\xff" * 16),
            (0, 0xFFFFFFFF, bytes(16), b"\xff" * 16),
        )
    ):
        both = (o.ct_mark(mark, mask), o.ct_labels(labels, label_mask))
        for name, parts in (("mark", both[:1]), ("labels", both[1:]), ("both", both)):
            pipeline(t, o.a_ct(), o.a_ct(COMMIT, *parts) + o.a_recirc(2))
            for port in (1, 2):
                rule(t, port, 2, o.a_userspace(t.up.pid))
            send(t, f"{number:d} {name}", talk.udp())
            send(t, f"{number:d} {name} back", talk.udp(back=True), back=True)
            new = Talk(v6, 5000 + number, len(parts))
            send(t, f"{number:d} {name}, new", new.udp(), dump=False)
            t.flush()
    t.connections()


@case_each("conntrack_traffic", VERSIONS, stock=BOTH)
def force(t, v6):
    """Commit by force takes a connection over for the packet's direction."""
    t.switch(2)
    talk = Talk(v6)
    pipeline(t, o.a_ct(), o.a_ct(o.ct_force(), o.ct_mark(1)))
    send(t, "first", talk.udp())
    send(t, "back by force", talk.udp(back=True), back=True)
    send(t, "back again", talk.udp(back=True), back=True)
    send(t, "forth by force", talk.udp())
    t.flush()
    # Without a look before, the entry is found by the packet alone.
    pipeline(t, b"", o.a_ct(o.ct_force(), o.ct_mark(2)))
    send(t, "no look before", talk.udp(back=True), back=True)
    send(t, "and again", talk.udp())
    t.flush()
    # The reply direction of an entry that is not confirmed (row 54).
    pipeline(t, o.a_ct(), o.a_ct(COMMIT), o.a_ct(), o.a_ct(o.ct_force()))
    new = Talk(v6, 50, 60)
    send(t, "new", new.udp())
    send(t, "reply by force", new.udp(back=True), back=True)
    send(t, "reply", new.udp())
    t.counters()


@case_each("conntrack_traffic", VERSIONS)
def clear(t, v6):
    """ct_clear, before and after: the state of the key and what is attached."""
    t.switch(2)
    talk = Talk(v6)
    both = o.a_ct() + o.a_ct_clear()
    for name, one, two in (
        ("alone", o.a_ct_clear(), b""),
        ("after ct", both, b""),
        ("between", both + o.a_ct(), o.a_ct(COMMIT)),
        ("then commit", both, o.a_ct(COMMIT)),
        ("after commit", o.a_ct(COMMIT), o.a_ct_clear() + o.a_recirc(2)),
        ("twice", both + o.a_ct_clear(), b""),
        ("in clone", o.a_ct() + o.a_clone(o.a_ct_clear()), o.a_ct(COMMIT)),
        ("zone", o.a_ct(o.ct_zone(4)) + o.a_ct_clear() + o.a_ct(o.ct_zone(5)), b""),
    ):
        pipeline(t, one, two)
        for port in (1, 2):
            rule(t, port, 2, o.a_userspace(t.up.pid))
        send(t, name, talk.udp())
        send(t, name + " back", talk.udp(back=True), back=True)
        t.flush()
        t.ct.flush()


@case_each("conntrack_traffic", VERSIONS)
def nested(t, v6):
    """ct in clones and samples: what the packet outside then has (row 50)."""
    t.switch(2)
    commit = o.a_ct(COMMIT, o.ct_mark(7))
    labels = o.a_ct(COMMIT, o.ct_labels(b"\7"), o.ct_nat(o.NAT_SRC))
    for number, (name, acts) in enumerate(
        (
            ("clone(commit), ct", o.a_clone(commit) + o.a_ct()),
            ("ct, clone(commit), ct", o.a_ct() + o.a_clone(commit) + o.a_ct()),
            ("ct, clone(commit), commit", o.a_ct() + o.a_clone(commit) + labels),
            ("clone(ct), commit", o.a_clone(o.a_ct()) + commit),
            ("ct, clone(ct), commit", o.a_ct() + o.a_clone(o.a_ct()) + commit),
            ("ct, two clones", o.a_ct() + o.a_clone(commit) + o.a_clone(labels)),
            ("sample(commit), ct", o.a_sample(0xFFFFFFFF, commit) + o.a_ct()),
            ("ct, sample(commit)", o.a_ct() + o.a_sample(0xFFFFFFFF, commit) + commit),
            ("sample of none", o.a_sample(0, commit) + o.a_ct()),
            ("clone(clear)", o.a_ct() + o.a_clone(o.a_ct_clear()) + commit),
            ("clone(ct, recirc)", o.a_clone(commit + o.a_recirc(2)) + o.a_ct()),
        )
    ):
        pipeline(t, acts)
        for port in (1, 2):
            rule(t, port, 2, o.a_userspace(t.up.pid))
        talk = Talk(v6, 100 + number)
        send(t, name, talk.udp())
        send(t, name + ", reply", talk.udp(back=True), back=True)
        t.flush()


@case_each("conntrack_traffic", VERSIONS)
def clone_helper(t, v6):
    """Two copies of a packet with one unconfirmed entry, both committed, with
    helper, labels, mark and NAT (rows 49 and 50)."""
    t.switch(2)
    ip = "fd00::77" if v6 else "10.1.0.77"
    ftp = o.a_ct(COMMIT, o.ct_helper("ftp"))
    full = o.a_ct(
        COMMIT, o.ct_mark(5), o.ct_labels(b"\5"), o.ct_helper("ftp"), o.ct_nat(o.NAT_SRC, ip)
    )
    for number, (name, acts) in enumerate(
        (
            ("helper, then all", o.a_ct() + o.a_clone(ftp) + full),
            ("all, then helper", o.a_ct() + o.a_clone(full) + ftp),
            ("all twice", o.a_ct() + o.a_clone(full) + full),
            ("helper, ct", o.a_clone(ftp) + o.a_ct()),
        )
    ):
        rule(t, 1, 0, acts + o.a_output(2), (0x86DD if v6 else 0x0800,), proto=6)
        send(t, name, Talk(v6, 100 + number, 21).tcp(SYN))
        t.flush()
    t.note("flush", t.ct.flush())
    t.connections()


@case_each("conntrack_traffic", VERSIONS, stock=BOTH)
def changed(t, v6):
    """Headers that are set after ct belong to another connection: the entry is
    forgotten (row 53)."""
    t.switch(2)
    kind, size = (o.K_IPV6, 40) if v6 else (o.K_IPV4, 12)
    at = 16 if v6 else 4
    ttl = 38 if v6 else 10
    tos = 37 if v6 else 9

    def part(offset, value):
        body, mask = bytearray(size), bytearray(size)
        body[offset : offset + len(value)] = value
        mask[offset : offset + len(value)] = b"\xff" * len(value)
        return o.a_set_masked(kind, bytes(body), bytes(mask))

    last = at - 1
    ends = (f.V61, f.V62) if v6 else (f.IP1, f.IP2)
    same = (o.ip6 if v6 else o.ip4)(ends[0])
    for number, (name, change) in enumerate(
        (
            ("source", part(last, b"\x99")),
            ("destination", part(last + at, b"\x98")),
            ("the same source", part(0, same)),
            ("ttl", part(ttl, b"\x05")),
            ("tos", part(tos, b"\x48")),
            ("ports", o.a_set_masked(o.K_UDP, b"\x11\x22\0\0", b"\xff\xff\0\0")),
            ("destination port", o.a_set_masked(o.K_UDP, b"\0\0\x33\x44", b"\0\0\xff\xff")),
            ("the same port", o.a_set_masked(o.K_UDP, b"\0\0\x07\xd0", b"\0\0\xff\xff")),
            ("ethernet", o.a_set(o.k_eth("02:00:00:00:00:77", f.M2))),
        )
    ):
        talk = Talk(v6, 100 + number)
        for how, one, two in (
            ("ct, set, ct", o.a_ct() + change + o.a_ct(), o.a_ct(COMMIT)),
            ("commit, set, ct", o.a_ct(COMMIT) + change, o.a_ct()),
            ("ct, set", o.a_ct() + change, b""),
        ):
            kinds = (0x86DD if v6 else 0x0800,)
            rule(t, 1, 0, one + o.a_recirc(1), kinds, proto=17)
            rule(t, 1, 1, o.a_userspace(t.up.pid) + two + o.a_output(2), kinds)
            send(t, f"{name}: {how}", talk.udp())
            t.flush()
        t.ct.flush()


@case("conntrack_traffic")
def push_pop(t):
    """Changes of layer 2 between two looks, and ct behind a VLAN tag."""
    t.switch(2)
    for number, (name, change) in enumerate(
        (
            ("push_vlan", o.a_push_vlan(0x1005)),
            ("push_vlan pop_vlan", o.a_push_vlan(0x1005) + o.a_pop_vlan()),
            ("pop_eth", o.a_pop_eth()),
            ("pop_eth push_eth", o.a_pop_eth() + o.a_push_eth(f.M3, f.M2)),
        )
    ):
        for v6 in (False, True):
            kind = 0x86DD if v6 else 0x0800
            talk = Talk(v6, 100 + number)
            see = o.a_userspace(t.up.pid)
            rule(t, 1, 0, o.a_ct() + change + o.a_ct(COMMIT) + see, (kind,), name)
            send(t, f"{name} {kind:#x}", talk.udp())
            if name != "pop_eth":
                rule(t, 1, 0, change + o.a_ct() + change + o.a_recirc(1), (kind,), name)
                send(t, f"{name} {kind:#x} twice", talk.udp())
            t.flush()


@case_each("conntrack_traffic", VERSIONS, stock=BOTH)
def vlan(t, v6):
    """Tagged packets: with one tag and with two, tracked as those without."""
    t.switch(2)
    kind = 0x86DD if v6 else 0x0800
    inner = o.k_type(kind) + (o.k_ipv6("::", "::", 0) if v6 else o.k_ipv4("0.0.0.0", "0.0.0.0", 0))
    for tags in ((5,), (0x6005,), ((5, 0x88A8), 6)):
        for name, first in (("ct", o.a_ct()), ("commit", o.a_ct(COMMIT, o.ct_mark(9)))):
            talk = Talk(v6, vlans=tags)
            t.inject(f"{tags} miss", t.taps["t1"], talk.udp())
            body = inner
            for tag in reversed(tags):
                tci, tpid = tag if isinstance(tag, tuple) else (tag, 0x8100)
                body = (
                    o.k_type(tpid)
                    + attr(o.K_VLAN, (tci | 0x1000).to_bytes(2, "big"))
                    + nest(o.K_ENCAP, body)
                )
            for port in (1, 2):
                key = o.k_in_port(port) + o.k_eth() + body
                for recirc, acts in (
                    (0, first + o.a_recirc(1)),
                    (1, o.a_userspace(t.up.pid) + o.a_ct(COMMIT) + o.a_output(3 - port)),
                ):
                    ident = u32(o.K_RECIRC_ID, recirc)
                    mask = o.k_in_port(0xFFFFFFFF) + u32(o.K_RECIRC_ID, 0xFFFFFFFF)
                    one = o.k_type(0xFFFF) + attr(o.K_VLAN, b"\x1f\xff")
                    level = o.k_type(0xFFFF)
                    for _ in tags:
                        level = one + nest(o.K_ENCAP, level)
                    t.flow(f"{tags} {name}", key + ident, acts, mask + level, flags=0)
            send(t, f"{tags} {name}", talk.udp())
            send(t, f"{tags} {name} back", talk.udp(back=True), back=True)
            send(t, f"{tags} {name}, no tag", Talk(v6).udp())
            t.flush()
            t.ct.flush()


@case("conntrack_traffic")
def matching(t):
    """Flows that match on what is tracked."""
    t.switch(2)
    talk = Talk()
    rule(t, 1, 0, o.a_ct() + o.a_recirc(1), (0x0800,))
    rule(t, 2, 0, o.a_ct() + o.a_recirc(1), (0x0800,))
    see = o.a_userspace(t.up.pid, b"seen")
    tracked = o.CS_TRACKED
    for name, value, bits, acts in (
        ("new", tracked | o.CS_NEW, tracked | o.CS_NEW, o.a_ct(COMMIT, o.ct_mark(0xA5)) + see),
        ("established", tracked | o.CS_EST, tracked | o.CS_EST | o.CS_REPLY, o.a_output(2)),
        ("reply", tracked | o.CS_EST | o.CS_REPLY, tracked | o.CS_EST | o.CS_REPLY, o.a_output(1)),
        ("invalid", tracked | o.CS_INV, tracked | o.CS_INV, see),
    ):
        key = (
            u32(o.K_RECIRC_ID, 1)
            + o.k_in_port(1)
            + o.k_eth()
            + o.k_type(0x0800)
            + o.k_ipv4("0.0.0.0", "0.0.0.0", 0)
            + u32(o.K_CT_STATE, value)
        )
        mask = u32(o.K_RECIRC_ID, 0xFFFFFFFF) + o.k_type(0xFFFF) + u32(o.K_CT_STATE, bits)
        t.flow(name, key, acts, mask)
    send(t, "first", talk.udp())
    send(t, "reply", talk.udp(back=True), back=True)
    send(t, "again", talk.udp())
    send(t, "invalid", talk.tcp(SYN | FIN))
    t.counters()
    t.flush()
    rule(t, 1, 0, o.a_ct() + o.a_recirc(1), (0x0800,))
    base, mask = any_key(0x0800, 1, 1)
    state = u32(o.K_CT_STATE, tracked | o.CS_EST)
    for name, key, bits in (
        ("mark", u32(o.K_CT_MARK, 0xA5), u32(o.K_CT_MARK, 0xFF)),
        ("zone", u16(o.K_CT_ZONE, 0), u16(o.K_CT_ZONE, 0xFFFF)),
        ("labels", attr(o.K_CT_LABELS, bytes(16)), attr(o.K_CT_LABELS, b"\xff" * 16)),
        (
            "tuple",
            attr(o.K_CT_ORIG4, o.ip4(f.IP1) + o.ip4(f.IP2) + b"\x03\xe8\x07\xd0\x11\0\0\0"),
            attr(o.K_CT_ORIG4, b"\xff" * 13 + bytes(3)),
        ),
        ("other mark", u32(o.K_CT_MARK, 0xA6), u32(o.K_CT_MARK, 0xFF)),
    ):
        more = mask + u32(o.K_CT_STATE, 0xFF) + bits
        t.flow("by " + name, base + state + key, o.a_output(2), more, flags=0)
        send(t, "by " + name, talk.udp(), dump=False)
        t.flow("away", base + state + key, None, more, cmd=o.DEL)


@case_each("conntrack_traffic", VERSIONS)
def execute(t, v6):
    """EXECUTE of what an upcall told: the entry is found again, or not."""
    t.switch(2)
    talk = Talk(v6)
    see = o.a_userspace(t.up.pid)
    kind = 0x86DD if v6 else 0x0800
    tracked = u32(o.K_CT_STATE, o.CS_TRACKED | o.CS_EST)
    natted = u32(o.K_CT_STATE, o.CS_TRACKED | o.CS_EST | o.CS_SNAT)
    new = u32(o.K_CT_STATE, o.CS_TRACKED | o.CS_NEW)
    invalid = u32(o.K_CT_STATE, o.CS_TRACKED | o.CS_INV)
    for name, before in (("nothing is tracked", b""), ("tracked", b"x")):
        if before:
            t.execute("commit", talk.udp(), o.a_ct(COMMIT, o.ct_mark(4)), key=o.k_in_port(1))
            t.connections()
        for what, key in (
            ("no state", b""),
            ("established", tracked),
            ("another zone", tracked + u16(o.K_CT_ZONE, 3)),
            ("new", new),
            ("invalid", invalid),
            ("natted", natted),
            ("mark", tracked + u32(o.K_CT_MARK, 9)),
        ):
            for how, acts in (
                ("ct", o.a_ct()),
                ("commit", o.a_ct(COMMIT, o.ct_mark(2, 2))),
                ("force", o.a_ct(o.ct_force())),
                ("nat", o.a_ct(o.ct_nat())),
                ("clear", o.a_ct_clear()),
                ("zone 3", o.a_ct(o.ct_zone(3))),
                ("userspace", b""),
            ):
                label = f"{name}: {what}, {how}"
                t.execute(label, talk.udp(), acts + see, key=o.k_in_port(1) + key)
                t.execute(
                    label + " back",
                    talk.udp(back=True),
                    acts + see,
                    key=o.k_in_port(1) + o.k_eth() + o.k_type(kind) + key,
                )
            t.connections(f"{name}: {what}")
    t.execute("no port", talk.udp(), o.a_ct(COMMIT) + see)
    # With the next header, which C reads from behind the end of a shorter packet.
    short = talk.udp()[: 24 if v6 else 20]
    t.execute("a short packet", short, o.a_ct(COMMIT) + see, key=o.k_in_port(1))
    t.execute("arp", f.arp_frame(), o.a_ct(COMMIT) + see, key=o.k_in_port(1))


@case_each("conntrack_traffic", VERSIONS)
def execute_orig(t, v6):
    """EXECUTE with the original tuple that an upcall showed, ICMP too."""
    t.switch(2)
    talk = Talk(v6)
    pipeline(t, o.a_ct(), o.a_ct(COMMIT))
    send(t, "udp", talk.udp())
    send(t, "echo", talk.echo())
    t.flush()
    see = o.a_userspace(t.up.pid)
    from nlcore import attr_dict

    for name, frame in (("udp", talk.udp()), ("echo", talk.echo()), ("back", talk.echo(True))):
        rule(t, 1, 0, o.a_ct() + see, (0x86DD if v6 else 0x0800,))
        t.up.nl.drain()
        t.taps["t1"].write(frame)
        for msg in t.up.nl.drain():
            key = attr_dict(msg.payload(4))[o.PK_KEY]
            t.execute(name, frame, see, key=key)
            t.execute(name + ", ct", frame, o.a_ct() + see, key=key)
            t.execute(name + ", commit", frame, o.a_ct(COMMIT, o.ct_mark(1)) + see, key=key)
            t.execute(name + ", another packet", talk.tcp(SYN), o.a_ct() + see, key=key)
        t.flush()
    t.connections()


@case("conntrack_traffic")
def accounting(t):
    """Packets are counted once, however often they are looked at."""
    t.switch(2)
    t.note("sysctl", set_sysctl("nf_conntrack_acct", 1))
    for v6 in (False, True):
        talk = Talk(v6)
        pipeline(t, o.a_ct(), o.a_ct(COMMIT) + o.a_ct() + o.a_ct(COMMIT))
        for i in range(3):
            send(t, f"{i:d}", talk.udp(payload=bytes(i)))
            send(t, f"{i:d} back", talk.udp(back=True), back=True)
        padded = talk.udp() + bytes(20)
        send(t, "padding", padded)
        t.flush()


@case("conntrack_traffic")
def events(t):
    """Events of new, changed and deleted connections, with and without an
    eventmask."""
    t.switch(2)
    t.ct.listen()
    for number, bits in enumerate((None, 0, 1, 0x2, 0x77, 1 << 7, 1 << 10, 0xFFFFFFFF)):
        mask = () if bits is None else (u32(o.CT_EVENTMASK, bits),)
        pipeline(
            t,
            o.a_ct(),
            o.a_ct(COMMIT, o.ct_mark(number + 1), o.ct_labels(bytes((number + 1,))), *mask),
        )
        talk = Talk(sport=100 + number)
        t.note(f"mask {bits}")
        handshake(t, talk)
        send(t, "data", talk.tcp(PSH | ACK, b"x"))
        send(t, "fin", talk.tcp(FIN | ACK))
        udp_talk = Talk(sport=200 + number)
        send(t, "udp", udp_talk.udp())
        send(t, "udp back", udp_talk.udp(back=True), back=True)
        t.flush()
        pipeline(t, o.a_ct(COMMIT, o.ct_mark(0x100)), b"")
        send(t, "another mark", udp_talk.udp())
        t.flush()
        pipeline(t, o.a_ct(COMMIT, o.ct_labels(b"\xff")), b"")
        send(t, "other labels", udp_talk.udp())
        send(t, "the same labels", udp_talk.udp())
        t.flush()
        pipeline(t, o.a_ct(o.ct_force()), b"")
        send(t, "by force", udp_talk.udp(back=True), back=True)
        t.flush()
        t.note("flush", t.ct.flush())
        t.note("flushed")


@case("conntrack_traffic")
def event_labels(t):
    """Labels alone are part of the first event."""
    t.switch(2)
    t.ct.listen()
    for v6 in (False, True):
        pipeline(t, o.a_ct(COMMIT, o.ct_labels(b"\3")))
        send(t, "labels", Talk(v6, 1, 2).udp())
        t.flush()
        pipeline(t, o.a_ct(COMMIT))
        send(t, "nothing", Talk(v6, 3, 4).udp())
        t.flush()


@case("conntrack_traffic")
def timeout_policies(t):
    """A policy gives an entry its time; one that is not there does not."""
    t.switch(2)
    t.note("tcp", t.ct.timeout_policy("tcp", 2, 6, TCP_NAMES, syn_sent=1000, established=5000))
    t.note("udp", t.ct.timeout_policy("udp", 2, 17, UDP_NAMES, unreplied=2000, replied=3000))
    t.note("udp6", t.ct.timeout_policy("udp6", 10, 17, UDP_NAMES, unreplied=2500, replied=3500))
    t.note("icmp", t.ct.timeout_policy("icmp", 2, 1, ICMP_NAMES, timeout=4000))
    t.note("icmp6", t.ct.timeout_policy("icmp6", 10, 58, ICMP_NAMES, timeout=4500))
    for name in ("tcp", "udp", "udp6", "icmp", "icmp6"):
        v6 = name.endswith("6")
        number = {"tcp": 6, "udp": 17, "udp6": 17, "icmp": 1, "icmp6": 58}[name]
        kinds = (0x86DD if v6 else 0x0800,)
        for policy in (name, "nothing"):
            for port in (1, 2):
                acts = o.a_ct(COMMIT, o.ct_timeout(policy)) + o.a_output(3 - port)
                rule(t, port, 0, acts, kinds, proto=number)
            talk = Talk(v6)
            if name == "tcp":
                handshake(t, talk)
            elif "udp" in name:
                send(t, name, talk.udp())
                send(t, name + " back", talk.udp(back=True), back=True)
            else:
                send(t, name, talk.echo())
                send(t, name + " back", talk.echo(back=True), back=True)
            t.flush()
            # A look with another policy is not served from the cache (row 57).
            send(t, name + ", no flow", talk.udp())
            t.ct.flush()
    for name in ("tcp", "udp", "udp6", "icmp", "icmp6"):
        t.wait(f"{name} is free", lambda name=name: t.ct.timeout_policy_del(name) == 0)
    t.note("gone")


@case("conntrack_traffic")
def timeout_cached(t):
    """The policy of an entry and that of the action: looked up anew, or not."""
    t.switch(2)
    t.note("one", t.ct.timeout_policy("one", 2, 17, UDP_NAMES, unreplied=1000, replied=2000))
    t.note("two", t.ct.timeout_policy("two", 2, 17, UDP_NAMES, unreplied=3000, replied=4000))
    key, mask = any_key(0x0800, 1, 0, 17)
    lists = {
        "one": o.a_ct(COMMIT, o.ct_timeout("one")),
        "two": o.a_ct(COMMIT, o.ct_timeout("two")),
        "one two": o.a_ct(o.ct_timeout("one")) + o.a_ct(COMMIT, o.ct_timeout("two")),
        "none one": o.a_ct() + o.a_ct(COMMIT, o.ct_timeout("one")),
        "one none": o.a_ct(o.ct_timeout("one")) + o.a_ct(COMMIT),
    }
    for number, (name, acts) in enumerate(lists.items()):
        talk = Talk(sport=300 + number)
        t.flow(name, key, acts + o.a_output(2), mask, flags=0)
        send(t, name, talk.udp())
        send(t, name + " again", talk.udp())
        send(t, "the entry of the first", Talk(sport=300).udp())
        t.flow("away", key, None, mask, cmd=o.DEL)
    t.ct.flush()


@case("conntrack_traffic")
def bad_header_length(t):
    """What is not of the action's IP version."""
    t.switch(2)
    talk = Talk()
    key = o.k_in_port(1) + o.k_eth() + o.k_type(0x0800) + o.k_ipv4("0.0.0.0", "0.0.0.0", 0)
    t.flow("ct", key, o.a_ct(COMMIT) + o.a_output(2), o.k_type(0xFFFF))
    for cut in range(14, 60, 3):
        send(t, f"{cut:d} bytes", talk.udp()[:cut], dump=False)
    t.connections()
    t.counters()


@case("conntrack_traffic", ours=True)
def empty(t):
    """ct cuts a packet to what its IP header says. If that is 0 bytes, and there
    is no Ethernet header, an upcall of it is a BUG() in C (see parse.layer3_empty);
    ours sends it up."""
    t.switch(2)
    see = o.a_userspace(t.up.pid)
    packet = f.ipv4(f.udp(), 17, total=0)
    for name, frame, acts, key in (
        ("layer 3", packet + bytes(8), o.a_ct(COMMIT), o.k_type(0x0800)),
        ("pop_eth", f.eth(packet), o.a_pop_eth() + o.a_ct(COMMIT), b""),
        ("pop_eth later", f.eth(packet), o.a_ct(COMMIT) + o.a_pop_eth(), b""),
    ):
        for what, more in (
            ("up", see),
            ("out", o.a_output(2)),
            ("up, again", o.a_clone(see) + o.a_ct() + see),
            ("recirc", o.a_recirc(5)),
        ):
            t.execute(f"{name}: {what}", frame, acts + more, key=o.k_in_port(1) + key)
    key = o.k_in_port(1) + o.k_type(0x0800)
    t.execute("up", packet + bytes(8), o.a_ct(COMMIT) + see, key=key)
    ups = t.records[-1].get("upcalls", [])
    t.check(len(ups) == 1 and ["packet", ""] in ups[0]["a"], f"an empty packet goes up: {ups}")
    send(t, "a usual one", Talk().udp())
