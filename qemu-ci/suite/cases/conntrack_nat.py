# SPDX-License-Identifier: GPL-2.0
"""NAT: packets as they go out, keys as they are in the next pass, connections
as they are kept. Ranges have one address and one port, or what is chosen is not
recorded."""

import socket

import frames as f
import ovsattr as o
from nlcore import attr, u32
from registry import case, case_each

from cases._ct import ACK, PSH, SYN, Talk, pipeline, rule, send

COMMIT = o.ct_commit()
VERSIONS = [("4", False), ("6", True)]
BOTH = ("4", "6")
LOOK = o.a_ct(o.ct_nat())


def other(v6, last=77):
    return f"fd00::{last:d}" if v6 else f"10.1.0.{last:d}"


def kinds(v6):
    return (0x86DD if v6 else 0x0800,)


def nat_pipeline(t, v6, nat, more=(), proto=None):
    """ct(nat) in the first pass, ct(commit,nat(..)) in the second one."""
    commit = o.a_ct(COMMIT, nat, *more)
    pipeline(t, LOOK, commit, LOOK, o.a_ct(COMMIT, o.ct_nat()), kinds(v6), proto)


@case_each("conntrack_nat", VERSIONS, stock=BOTH)
def source(t, v6):
    """Source NAT: address, port, both; the replies, and what is sent after."""
    t.switch(2)
    ip = other(v6)
    for number, (name, nat, port) in enumerate(
        (
            ("address", o.ct_nat(o.NAT_SRC, ip), None),
            ("address, port", o.ct_nat(o.NAT_SRC, ip, port=7777), 7777),
            ("port", o.ct_nat(o.NAT_SRC, port=8888), 8888),
            ("equal range", o.ct_nat(o.NAT_SRC, ip, ip, 9999, 9999), 9999),
            ("persistent", o.ct_nat(o.NAT_SRC, ip, flags=(o.NAT_PERSISTENT,)), None),
            ("nothing", o.ct_nat(o.NAT_SRC), None),
        )
    ):
        nat_pipeline(t, v6, nat)
        talk = Talk(v6, 1000 + number)
        port = port or 1000 + number
        to = {"dst": talk.ends[0] if name in ("port", "nothing") else ip, "dport": port}
        send(t, name, talk.udp())
        send(t, name + ", reply", talk.udp(back=True, **to), back=True)
        send(t, name + ", again", talk.udp())
        send(t, name + ", reply to the old", talk.udp(back=True), back=True)
        about = talk.udp_packet(src=to["dst"], sport=port)
        send(t, name + ", error", talk.error(about, dst=to["dst"]), back=True)
        t.flush()
        t.ct.flush()
    t.counters()


@case_each("conntrack_nat", VERSIONS, stock=BOTH)
def destination(t, v6):
    """Destination NAT: address, port, both; replies and errors about both."""
    t.switch(2)
    ip = other(v6)
    for number, (name, nat, port) in enumerate(
        (
            ("address", o.ct_nat(o.NAT_DST, ip), None),
            ("address, port", o.ct_nat(o.NAT_DST, ip, port=7777), 7777),
            ("port", o.ct_nat(o.NAT_DST, port=8888), 8888),
            ("nothing", o.ct_nat(o.NAT_DST), None),
        )
    ):
        nat_pipeline(t, v6, nat)
        talk = Talk(v6, 1000 + number)
        server = {
            "src": talk.ends[1] if name in ("port", "nothing") else ip,
            "sport": port or 2000,
        }
        send(t, name, talk.udp())
        send(t, name + ", reply", talk.udp(back=True, **server), back=True)
        send(t, name + ", again", talk.udp())
        about = talk.udp_packet(dst=server["src"], dport=server["sport"])
        send(t, name + ", error", talk.error(about, src=server["src"]), back=True)
        send(t, name + ", error of a router", talk.error(about, src=other(v6, 55)), back=True)
        reply = talk.udp_packet(back=True)
        send(t, name + ", error about the reply", talk.error(reply, back=False))
        t.flush()
        t.ct.flush()


@case_each("conntrack_nat", VERSIONS, stock=BOTH)
def tcp(t, v6):
    """A TCP connection with source NAT, from SYN to FIN, and its checksums."""
    t.switch(2)
    ip = other(v6)
    nat_pipeline(t, v6, o.ct_nat(o.NAT_SRC, ip, port=7777))
    talk = Talk(v6)
    to = {"dst": ip, "dport": 7777}
    send(t, "syn", talk.tcp(SYN))
    send(t, "syn ack", talk.tcp(SYN | ACK, back=True, **to), back=True)
    send(t, "ack", talk.tcp(ACK))
    send(t, "data", talk.tcp(PSH | ACK, b"hello"))
    send(t, "data back", talk.tcp(PSH | ACK, b"world", back=True, **to), back=True)
    about = talk.tcp_packet(ACK, src=ip, sport=7777)
    send(t, "error", talk.error(about, dst=ip), back=True)
    send(t, "too big", talk.error(about, dst=ip, kind=2 if v6 else 3, code=0 if v6 else 4), True)
    send(t, "bad checksum", talk.tcp(PSH | ACK, b"hello")[:-1] + b"?")
    send(t, "rst", talk.tcp(4 | ACK, back=True, **to), back=True)


@case_each("conntrack_nat", VERSIONS)
def icmp(t, v6):
    """Echo through NAT; identifiers are ports."""
    t.switch(2)
    ip = other(v6)
    for name, nat, ident in (
        ("address", o.ct_nat(o.NAT_SRC, ip), 7),
        ("identifier", o.ct_nat(o.NAT_SRC, ip, port=500), 500),
    ):
        nat_pipeline(t, v6, nat)
        talk = Talk(v6)
        send(t, name, talk.echo())
        send(t, name + ", reply", talk.echo(back=True, dst=ip, ident=ident), back=True)
        t.flush()
        nat_pipeline(t, v6, o.ct_nat(o.NAT_DST, ip))
        send(t, name + ", destination", talk.echo(ident=9))
        send(t, name + ", its reply", talk.echo(back=True, src=ip, ident=9), back=True)
        t.flush()
        t.ct.flush()


@case("conntrack_nat")
def sctp(t):
    """SCTP through NAT: the CRC is calculated anew."""
    t.switch(2)
    init = b"\1\0\0\x14" + b"\0\0\0\7" + bytes(4) + b"\0\1\0\1" + bytes(4)
    for v6 in (False, True):
        nat_pipeline(t, v6, o.ct_nat(o.NAT_SRC, other(v6), port=7777))
        talk = Talk(v6)
        send(t, f"init {v6}", talk.sctp(init, tag=0))
        send(t, f"init {v6}, again", talk.sctp(init, tag=0))
        t.flush()


@case_each("conntrack_nat", VERSIONS)
def once(t, v6):
    """NAT is done once for a packet in a zone, and again in another zone."""
    t.switch(2)
    ip, ip2 = other(v6), other(v6, 88)
    one = o.ct_nat(o.NAT_SRC, ip)
    two = o.ct_nat(o.NAT_DST, ip2)
    see = o.a_userspace(t.up.pid)
    for number, (name, acts) in enumerate(
        (
            ("nat twice", o.a_ct(COMMIT, one) + o.a_ct(COMMIT, one)),
            ("source, then destination", o.a_ct(COMMIT, one) + o.a_ct(COMMIT, two)),
            ("commit, then nat", o.a_ct(COMMIT) + o.a_ct(COMMIT, one)),
            ("two zones", o.a_ct(COMMIT, one) + o.a_ct(COMMIT, two, o.ct_zone(5))),
            ("nat, then look", o.a_ct(COMMIT, one) + o.a_ct() + LOOK),
            ("nat, clear, look", o.a_ct(COMMIT, one) + o.a_ct_clear() + o.a_ct() + LOOK),
            ("nat, clear, nat", o.a_ct(COMMIT, one) + o.a_ct_clear() + o.a_ct(COMMIT, two)),
            ("look, nat", LOOK + o.a_ct(COMMIT, one)),
            ("force", o.a_ct(COMMIT, one) + o.a_ct(o.ct_force(), two)),
            ("in clone", o.a_clone(o.a_ct(COMMIT, one) + see) + see + LOOK),
            ("other zone looks", o.a_ct(COMMIT, one) + o.a_ct(o.ct_zone(6), o.ct_nat())),
        )
    ):
        rule(t, 1, 0, acts + o.a_recirc(1), kinds(v6), name)
        rule(t, 1, 1, see + o.a_output(2), kinds(v6))
        talk = Talk(v6, 100 + number)
        send(t, name, talk.udp())
        send(t, name + ", again", talk.udp())
        t.flush()
        t.ct.flush()


@case_each("conntrack_nat", VERSIONS, stock=BOTH)
def changed(t, v6):
    """Headers set after NAT: what a further ct then finds (row 53), and set() of
    what NAT does not touch."""
    t.switch(2)
    kind, size = (o.K_IPV6, 40) if v6 else (o.K_IPV4, 12)
    ttl, last = (38, 15) if v6 else (10, 3)

    def part(offset, value):
        body, mask = bytearray(size), bytearray(size)
        body[offset], mask[offset] = value, 0xFF
        return o.a_set_masked(kind, bytes(body), bytes(mask))

    nat = o.a_ct(COMMIT, o.ct_nat(o.NAT_SRC, other(v6), port=7777))
    see = o.a_userspace(t.up.pid)
    for number, (name, change) in enumerate(
        (
            ("ttl", part(ttl, 9)),
            ("source", part(last, 0x99)),
            ("destination", part(2 * last + 1, 0x98)),
            ("port", o.a_set_masked(o.K_UDP, b"\x11\x22\0\0", b"\xff\xff\0\0")),
        )
    ):
        for how, acts in (
            ("nat, set", nat + change),
            ("nat, set, ct", nat + change + o.a_ct()),
            ("nat, set, ct(nat)", nat + change + LOOK),
            ("nat, set, commit", nat + change + o.a_ct(COMMIT, o.ct_zone(3))),
            ("set, nat", change + nat),
            ("look, set, nat", LOOK + change + nat),
        ):
            talk = Talk(v6, 100 + number)
            rule(t, 1, 0, acts + o.a_recirc(1), kinds(v6), proto=17)
            rule(t, 1, 1, see + o.a_output(2), kinds(v6))
            send(t, f"{name}: {how}", talk.udp())
            send(t, f"{name}: {how}, again", talk.udp())
            t.flush()
            t.ct.flush()


@case_each("conntrack_nat", VERSIONS)
def hairpin(t, v6):
    """Destination NAT to a host beside the client: from there with source NAT in
    a second zone."""
    t.switch(2)
    server, router = other(v6, 66), other(v6, 99)
    inside = o.a_ct(COMMIT, o.ct_nat(o.NAT_DST, server), o.ct_zone(1))
    outside = o.a_ct(COMMIT, o.ct_nat(o.NAT_SRC, router), o.ct_zone(2))
    see = o.a_userspace(t.up.pid)
    rule(t, 1, 0, inside + outside + o.a_recirc(1), kinds(v6))
    back = o.a_ct(o.ct_nat(), o.ct_zone(2)) + o.a_ct(o.ct_nat(), o.ct_zone(1))
    rule(t, 2, 0, back + o.a_recirc(1), kinds(v6))
    for port in (1, 2):
        rule(t, port, 1, see + o.a_output(3 - port), kinds(v6))
    talk = Talk(v6)
    send(t, "there", talk.udp())
    send(t, "back", talk.udp(back=True, src=server, dst=router), back=True)
    send(t, "there again", talk.udp())
    about = talk.udp_packet(src=router, dst=server)
    send(t, "error", talk.error(about, src=server, dst=router), back=True)


@case_each("conntrack_nat", VERSIONS)
def ranges(t, v6):
    """Out of a range: within it, and the same both ways. Not recorded which."""
    t.switch(2)
    low, high = other(v6, 70), other(v6, 73)
    allowed = [(o.ip6 if v6 else o.ip4)(other(v6, n)) for n in range(70, 74)]
    at = 22 if v6 else 26
    nat_pipeline(t, v6, o.ct_nat(o.NAT_SRC, low, high, 5000, 5063))
    tap, out = t.taps["t1"], t.taps["t2"]
    for i in range(20):
        talk = Talk(v6, 100 + i)
        tap.write(talk.udp())
        got = [bytes.fromhex(one.split()[-1]) for one in out.read(raw=True)]
        t.check(len(got) == 1, f"packet {i:d} went out")
        if len(got) != 1:
            continue
        size = 16 if v6 else 4
        address = got[0][at : at + size]
        l4 = 54 if v6 else 34
        port = int.from_bytes(got[0][l4 : l4 + 2], "big")
        t.check(address in allowed, f"{address.hex()} is in the range")
        t.check(5000 <= port <= 5063, f"{port:d} is in the range")
        out.write(talk.udp(back=True, dst=str_of(address), dport=port))
        back = tap.read(raw=True)
        t.check(
            len(back) == 1 and back[0].split()[-1].endswith(talk.udp(back=True)[l4:].hex()),
            f"its reply comes back: {back}",
        )
        t.up.nl.drain()
    t.note("packets went through")


def str_of(data):
    return socket.inet_ntop(socket.AF_INET6 if len(data) == 16 else socket.AF_INET, data)


@case_each("conntrack_nat", VERSIONS)
def clash(t, v6):
    """All of the range is taken: the packet is dropped, and why."""
    t.switch(2)
    nat_pipeline(t, v6, o.ct_nat(o.NAT_SRC, other(v6), port=7777))
    for i in range(4):
        send(t, f"from port {i:d}", Talk(v6, 100 + i).udp())
    send(t, "to another", Talk(v6, 200, 3000).udp())
    t.counters()


@case("conntrack_nat")
def null_binding(t):
    """NAT without a type on connections that have none, or that are new."""
    t.switch(2)
    for v6 in (False, True):
        talk = Talk(v6)
        for name, one, two in (
            ("look", LOOK, b""),
            ("commit nat", LOOK, o.a_ct(COMMIT, o.ct_nat())),
            ("commit, then look", o.a_ct(COMMIT), LOOK),
            ("mark", o.a_ct(COMMIT, o.ct_nat(), o.ct_mark(1)), LOOK),
        ):
            pipeline(t, one, two, kinds=kinds(v6))
            send(t, name, talk.udp())
            send(t, name + ", back", talk.udp(back=True), back=True)
            send(t, name + ", echo", talk.echo())
            t.flush()
            t.ct.flush()


@case("conntrack_nat")
def offloads(t):
    """NAT of packets whose checksum is not there yet, or that are to be
    segmented."""
    from tap import GSO_TCPV4, GSO_UDP_L4, VNET_NEEDS_CSUM, vnet

    t.switch(2, offload=0x7F)
    nat_pipeline(t, False, o.ct_nat(o.NAT_SRC, other(False), port=7777))
    for name, frame, header in (
        (
            "udp, partial",
            f.eth(f.ipv4(f.udp(partial=True), 17)),
            vnet(VNET_NEEDS_CSUM, start=34, offset=6),
        ),
        (
            "tcp, partial",
            f.eth(f.ipv4(f.tcp(flags=SYN, partial=True), 6)),
            vnet(VNET_NEEDS_CSUM, start=34, offset=16),
        ),
        (
            "tcp, segments",
            f.eth(f.ipv4(f.tcp(b"x" * 4000, flags=PSH | ACK, partial=True), 6)),
            vnet(VNET_NEEDS_CSUM, GSO_TCPV4, 54, 1000, 34, 16),
        ),
        (
            "udp, segments",
            f.eth(f.ipv4(f.udp(b"x" * 4000, sport=5, partial=True), 17)),
            vnet(VNET_NEEDS_CSUM, GSO_UDP_L4, 42, 1000, 34, 6),
        ),
        ("udp, no checksum", f.eth(f.ipv4(f.udp(nocsum=True, sport=6, dport=7), 17)), None),
    ):
        send(t, name, frame, header=header)
        t.ct.flush()


@case("conntrack_nat")
def set_tcp_after(t):
    """set(tcp) after NAT, before it, and between looks."""
    t.switch(2)
    nat = o.a_ct(COMMIT, o.ct_nat(o.NAT_SRC, "10.1.0.77"))
    change = o.a_set_masked(o.K_TCP, b"\x11\x22\0\0", b"\xff\xff\0\0")
    see = o.a_userspace(t.up.pid)
    for number, (name, acts) in enumerate(
        (
            ("nat, set", nat + change),
            ("set, nat", change + nat),
            ("nat, set, ct", nat + change + o.a_ct()),
            ("ct, set, nat", o.a_ct() + change + nat),
        )
    ):
        rule(t, 1, 0, acts + o.a_recirc(1), (0x0800,), proto=6)
        rule(t, 1, 1, see + o.a_output(2), (0x0800,))
        talk = Talk(sport=100 + number)
        send(t, name, talk.tcp(SYN))
        t.flush()


@case("conntrack_nat")
def execute(t):
    """EXECUTE of a packet that NAT has changed: it is found the other way round."""
    t.switch(2)
    for v6 in (False, True):
        ip = other(v6)
        talk = Talk(v6)
        see = o.a_userspace(t.up.pid)
        commit = o.a_ct(COMMIT, o.ct_nat(o.NAT_SRC, ip))
        t.execute("commit", talk.udp(), commit + see, key=o.k_in_port(1))
        t.connections()
        for name, bits in (
            ("source", o.CS_SNAT),
            ("destination", o.CS_DNAT),
            ("none", 0),
            ("both", o.CS_SNAT | o.CS_DNAT),
        ):
            key = o.k_in_port(1) + u32(o.K_CT_STATE, o.CS_TRACKED | o.CS_EST | bits)
            for what, frame in (
                ("as it was", talk.udp()),
                ("changed", talk.udp(src=ip)),
                ("reply", talk.udp(back=True, dst=ip)),
                ("reply, changed", talk.udp(back=True)),
            ):
                for how, acts in (
                    ("ct", o.a_ct()),
                    ("ct(nat)", LOOK),
                    ("commit", o.a_ct(COMMIT, o.ct_mark(3))),
                    ("force", o.a_ct(o.ct_force(), o.ct_zone(0))),
                ):
                    t.execute(f"{name} {what}: {how}", frame, acts + see, key=key)
                t.connections(f"{name} {what}")


_ = attr
