# SPDX-License-Identifier: GPL-2.0
"""Key extraction from real traffic: every frame cut at every length goes
into a port with no flow, and the key of the miss upcall is recorded."""

import itertools

import frames as f
import ovsattr as o
from nlcore import u32
from registry import case, case_each
from tap import vnet

HOP, DST, RT, FRAG, AH, ESP, NONE = 0, 60, 43, 44, 51, 50, 59


def v6_chain(headers, last=17, payload=None):
    """An IPv6 packet with a chain of extension headers."""
    body = payload if payload is not None else f.udp(src=f.V61, dst=f.V62)
    protos = list(headers) + [last]
    out = b""
    for i, head in enumerate(headers):
        after = protos[i + 1]
        if head == FRAG:
            out += f.fragment(after)
        elif head == AH:
            out += bytes((after, 4)) + bytes(22)
        elif head == ESP:
            out += bytes((after, 0)) + bytes(6)
        else:
            out += f.ext(after)
    return f.eth(f.ipv6(out + body, protos[0]), 0x86DD)


CORPUS = {
    "udp4": f.udp4(),
    "tcp4": f.tcp4(),
    "sctp4": f.sctp4(),
    "icmp4": f.icmp4(),
    "udp6": f.udp6(),
    "tcp6": f.tcp6(),
    "sctp6": f.sctp6(),
    "icmp6": f.eth(f.ipv6(f.icmpv6(), 58), 0x86DD),
    "ns": f.eth(f.ipv6(f.nd(options=f.nd_opt(1, f.M1)), 58), 0x86DD),
    "na": f.eth(f.ipv6(f.nd(136, options=f.nd_opt(2, f.M1)), 58), 0x86DD),
    "arp": f.arp_frame(),
    "rarp": f.eth(f.arp(3), 0x8035),
    "vlan": f.udp4(vlans=(0x123,)),
    "vlan_prio": f.udp4(vlans=(0xE000,)),
    "qinq": f.udp4(vlans=((0x11, 0x88A8), 0x22)),
    "qq": f.udp4(vlans=(0x11, 0x22)),
    "triple": f.udp4(vlans=(0x11, 0x22, 0x33)),
    "vlan_arp": f.eth(f.arp(), 0x0806, vlans=(7,)),
    "llc": f.eth(b"\x42\x42\x03" + bytes(40), 43),
    "snap": f.eth(b"\xaa\xaa\x03\0\0\0\x08\0" + f.ipv4(f.udp(), 17), 44),
    "snap_oui": f.eth(b"\xaa\xaa\x03\0\0\1\x08\0" + bytes(20), 44),
    "snap_small": f.eth(b"\xaa\xaa\x03\0\0\0\x01\0" + bytes(20), 44),
    "options": f.eth(f.ipv4(f.tcp(), 6, options=b"\1" * 12)),
    "tcp_options": f.tcp4(options=b"\1" * 20),
    "frag_first": f.eth(f.ipv4(f.udp(), 17, frag=0x2000)),
    "frag_later": f.eth(f.ipv4(bytes(32), 17, frag=0x2003)),
    "frag_last": f.eth(f.ipv4(bytes(32), 17, frag=0x0003)),
    "frag_df": f.eth(f.ipv4(f.udp(), 17, frag=0x4000)),
    "v6_hop": v6_chain((HOP,)),
    "v6_all": v6_chain((HOP, DST, RT, FRAG, DST)),
    "v6_ah": v6_chain((HOP, AH, DST)),
    "v6_esp": v6_chain((ESP,)),
    "v6_frag_later": f.eth(f.ipv6(f.fragment(17, 5) + bytes(30), FRAG), 0x86DD),
    "v6_frag_more": f.eth(
        f.ipv6(f.fragment(17, 0, True) + f.udp(src=f.V61, dst=f.V62), FRAG), 0x86DD
    ),
    "v6_none": f.eth(f.ipv6(bytes(10), NONE), 0x86DD),
    "vlan_v6": f.eth(f.ipv6(f.tcp(src=f.V61, dst=f.V62), 6), 0x86DD, vlans=(9,)),
    "mpls": f.mpls(),
    "mpls_3": f.mpls(3),
    "mpls_4": f.mpls(4),
    "mpls_no_end": f.mpls(5, b"", bos=False),
    "mpls_vlan": f.mpls(2, vlans=(9,)),
    "mpls_qinq": f.mpls(2, vlans=(9, 10)),
    "nsh": f.nsh_frame(),
    "nsh_type2": f.nsh_frame(mdtype=2, metadata=bytes(12)),
    "nsh_type2_empty": f.nsh_frame(mdtype=2, metadata=b""),
    "nsh_vlan": f.nsh_frame(vlans=(9,)),
    "unknown": f.eth(bytes(range(40)), 0x9000),
    "igmp": f.eth(f.ipv4(bytes(8), 2)),
}
# Not of our key set yet: the C module reads on, ours does not have to.


@case_each("parse", sorted(CORPUS.items()), stock=("udp4", "tcp6", "qinq", "ns", "v6_all"))
def truncated(t, frame):
    """Every length from an Ethernet header on, as IP length says and not."""
    (tap,) = t.switch(1)
    for size in range(13, len(frame) + 1):
        t.inject(f"{size:d} bytes", tap, frame[:size])
    t.counters(ports=("t1",))


@case("parse", stock=False)
def ip_fields(t):
    (tap,) = t.switch(1)
    for version in (0, 3, 4, 5, 6, 15):
        t.inject(f"v4 version {version:d}", tap, f.eth(f.ipv4(f.udp(), 17, version=version)))
        t.inject(
            f"v6 version {version:d}",
            tap,
            f.eth(f.ipv6(f.udp(src=f.V61, dst=f.V62), 17, version=version), 0x86DD),
        )
    for ihl in range(16):
        t.inject(f"ihl {ihl:d}", tap, f.eth(f.ipv4(f.udp(bytes(60)), 17, ihl=ihl)))
    for total in (0, 19, 20, 27, 28, 36, 100, 65535):
        t.inject(f"total length {total:d}", tap, f.eth(f.ipv4(f.udp(), 17, total=total)))
        t.inject(
            f"v6 length {total:d}",
            tap,
            f.eth(f.ipv6(f.udp(src=f.V61, dst=f.V62), 17, length=total), 0x86DD),
        )
    for tos in (0, 1, 3, 0xFC, 0xFF):
        t.inject(f"tos {tos:d}", tap, f.udp4(tos=tos))
        t.inject(
            f"tclass {tos:d}",
            tap,
            f.eth(f.ipv6(f.udp(src=f.V61, dst=f.V62), 17, tclass=tos), 0x86DD),
        )
    for ttl in (0, 1, 255):
        t.inject(f"ttl {ttl:d}", tap, f.udp4(ttl=ttl))
    for label in (1, 0x12345, 0xFFFFF):
        t.inject(
            f"label {label:#x}",
            tap,
            f.eth(f.ipv6(f.udp(src=f.V61, dst=f.V62), 17, label=label), 0x86DD),
        )
    for proto in range(0, 256):
        t.inject(f"proto {proto:d}", tap, f.eth(f.ipv4(bytes(range(40)), proto)))
    t.inject(
        "bad checksum", tap, f.eth(f.ipv4(f.udp(), 17)[:10] + b"\0\0" + f.ipv4(f.udp(), 17)[12:])
    )


@case("parse", stock=False)
def v6_protos(t):
    (tap,) = t.switch(1)
    for proto in range(0, 256):
        t.inject(
            f"proto {proto:d}", tap, f.eth(f.ipv6(bytes((59, 0)) + bytes(range(46)), proto), 0x86DD)
        )


@case("parse", stock=False)
def tcp_flags(t):
    (tap,) = t.switch(1)
    for flags in list(range(0, 256, 5)) + [0x100, 0x200, 0x800, 0xFFF]:
        t.inject(f"flags {flags:#x}", tap, f.tcp4(flags=flags))
    for doff in range(16):
        t.inject(f"data offset {doff:d}", tap, f.tcp4(doff=doff, payload=bytes(30)))


@case("parse", stock=False)
def ext_headers(t):
    """All orders of up to four extension headers (row 30)."""
    (tap,) = t.switch(1)
    kinds = {"hop": HOP, "dst": DST, "rt": RT, "frag": FRAG, "ah": AH, "esp": ESP}
    for count in (1, 2, 3):
        for chain in itertools.product(kinds, repeat=count):
            t.inject(" ".join(chain), tap, v6_chain([kinds[k] for k in chain]))
    for chain in (
        ("hop", "dst", "rt", "frag", "ah", "esp", "dst"),
        ("hop", "dst", "rt", "frag", "ah", "dst"),
        ("dst", "dst", "dst"),
        ("rt", "dst", "hop", "frag"),
        ("frag", "frag", "dst"),
        ("ah", "ah", "rt", "rt"),
    ):
        t.inject(" ".join(chain), tap, v6_chain([kinds[k] for k in chain]))


@case("parse")
def ext_header_lengths(t):
    """An extension header that says it is longer than the packet."""
    (tap,) = t.switch(1)
    for kind in (HOP, DST, RT, AH, FRAG):
        for length in (0, 1, 2, 3, 10, 255):
            body = bytes((17, length)) + bytes(6) + bytes(20)
            t.inject(f"{kind:d} length {length:d}", tap, f.eth(f.ipv6(body, kind), 0x86DD))


@case("parse")
def nd_options(t):
    """Neighbour discovery: options in all orders, lengths and numbers."""
    (tap,) = t.switch(1)

    def send(label, options, kind=135, **kw):
        t.inject(
            label, tap, f.eth(f.ipv6(f.nd(kind, options=options, **kw), 58, hlimit=255), 0x86DD)
        )

    sll, tll = f.nd_opt(1, f.M1), f.nd_opt(2, f.M2)
    for kind in (133, 134, 135, 136, 137):
        for name, opts in (
            ("none", b""),
            ("sll", sll),
            ("tll", tll),
            ("both", sll + tll),
            ("both2", tll + sll),
            ("sll twice", sll + sll),
            ("tll twice", tll * 2),
            ("sll tll sll", sll + tll + sll),
            ("other", b"\5\1" + bytes(6) + sll),
            ("zero length", b"\1\0" + bytes(6)),
            ("zero then", sll + b"\2\0" + bytes(6)),
            ("two units", b"\1\2" + bytes(14)),
            ("too long", b"\1\3" + bytes(6)),
            ("null sll twice", f.nd_opt(1, "00:00:00:00:00:00") + sll),
            ("cut", sll + b"\2\1\0\0"),
        ):
            send(f"{kind:d} {name}", opts, kind)
    for code in (0, 1, 255):
        send(f"code {code:d}", sll, code=code)


@case("parse")
def arp_fields(t):
    (tap,) = t.switch(1)
    for oper in (0, 1, 2, 3, 255, 256, 65535):
        t.inject(f"oper {oper:d}", tap, f.arp_frame(oper=oper))
    for name, kw in (
        ("hrd", {"hrd": 6}),
        ("pro", {"pro": 0x86DD}),
        ("hln", {"hln": 8}),
        ("pln", {"pln": 16}),
    ):
        t.inject(name, tap, f.arp_frame(**kw))
        t.inject("rarp " + name, tap, f.eth(f.arp(**kw), 0x8035))


@case("parse", stock=False)
def types(t):
    """Ethernet types and lengths at their limits."""
    (tap,) = t.switch(1)
    for kind in (
        0,
        1,
        40,
        0x5DB,
        0x5DC,
        0x5DD,
        0x5FF,
        0x600,
        0x601,
        0x8100,
        0x88A8,
        0x9100,
        0x9200,
        0x8847,
        0x8848,
        0x894F,
        0x88E5,
        0x6558,
        0xFFFF,
    ):
        t.inject(f"{kind:#x}", tap, f.eth(bytes(range(46)), kind))
        t.inject(f"vlan {kind:#x}", tap, f.eth(bytes(range(46)), kind, vlans=(5,)))
        t.inject(f"empty {kind:#x}", tap, f.eth(b"", kind))
        t.inject(f"vlan empty {kind:#x}", tap, f.eth(b"", kind, vlans=(5,)))
    for dst in ("ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01", "00:00:00:00:00:00", "01:80:c2:00:00:00"):
        t.inject("to " + dst, tap, f.eth(f.ipv4(f.udp(), 17), dst=dst))


@case("parse")
def layer3_port(t):
    """A port without Ethernet: frames of a tun device (row 23)."""
    up = t.upcall("up")
    t.dp(features=o.F_UNALIGNED)
    tun = t.tap("tun0", tun=True, vnet_hdr=False)
    t.vport("tun0", port=1, pids=(up.pid,))
    packets = {
        0x0800: f.ipv4(f.udp(), 17),
        0x86DD: f.ipv6(f.udp(src=f.V61, dst=f.V62), 17),
        0x0806: f.arp(),
        0x6558: f.udp4(),
        0x8100: b"\0\5\x08\0" + f.ipv4(f.udp(), 17),
        0x8847: f.labels(3) + f.ipv4(f.udp(), 17),
        0x8848: f.labels(4, bos=False),
        0x894F: f.nsh(f.ipv4(f.udp(), 17), np=1),
        0x9000: bytes(40),
        0: bytes(40),
        0x0004: bytes(40),
    }
    for kind, data in packets.items():
        # Not 0 bytes: see layer3_empty.
        for size in list(range(1, 21)) + [28, 34, 40, 48, 56, len(data)]:
            if size <= len(data):
                t.inject(
                    f"{kind:#x} {size:d} bytes",
                    tun,
                    b"\0\0" + kind.to_bytes(2, "big") + data[:size],
                )
    t.execute("out, layer 3", f.udp4(), o.a_pop_eth() + o.a_output(1))
    t.execute("out, with Ethernet", f.udp4(), o.a_output(1))
    t.execute("layer 3 in, out", f.ipv4(f.udp(), 17), o.a_output(1), key=o.k_type(0x0800))
    t.execute(
        "layer 3 in, push_eth, up",
        f.ipv4(f.udp(), 17),
        o.a_push_eth(f.M1, f.M2) + o.a_recirc(1),
        key=o.k_type(0x0800) + o.k_in_port(1),
    )
    t.execute("layer 3 in, up", f.ipv4(f.udp(), 17), o.a_userspace(up.pid), key=o.k_type(0x0800))
    t.execute(
        "layer 3 in, recirc",
        f.ipv4(f.udp(), 17),
        o.a_recirc(1),
        key=o.k_type(0x0800) + o.k_in_port(1),
    )
    t.counters(ports=("tun0",))


@case("parse", ours=True)
def layer3_empty(t):
    """A layer 3 packet of no bytes. The C module passes a header length of 0
    to skb_zerocopy(), which is a BUG there; ours must live, and send it up
    like any other packet."""
    up = t.upcall("up")
    t.dp(features=o.F_UNALIGNED)
    tun = t.tap("tun0", tun=True, vnet_hdr=False)
    t.vport("tun0", port=1, pids=(up.pid,))
    for kind in (0x9000, 0x0806, 0x0800, 0x86DD, 0x6558):
        tun.write(b"\0\0" + kind.to_bytes(2, "big"))
        record = t.note(f"{kind:#x}")
        if kind == 0x9000:
            t.check(
                len(record.get("upcalls", [])) == 1, "an empty packet of an unknown type goes up"
            )
    t.execute("14 bytes, pop_eth, up", f.eth(b"", 0x9000), o.a_pop_eth() + o.a_userspace(up.pid))
    tun.write(b"\0\0\x90\0" + bytes(40))
    t.check(len(t.note("a usual one").get("upcalls", [])) == 1, "the port works afterwards")


@case("parse")
def metadata(t):
    """skb priority and mark that other parts of the kernel set."""
    up = t.upcall("up")
    t.dp(features=o.F_UNALIGNED)
    t.vport("int0", kind=o.T_INTERNAL, port=1, pids=(up.pid,))
    t.rt.up("int0")
    t.settle(0.1)
    import socket

    for prio, mark in ((0, 0), (3, 0), (0, 0xABC), (6, 0xFFFFFFFF)):
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
            sock.bind(("int0", 0))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, prio)
            sock.setsockopt(socket.SOL_SOCKET, 36, mark.to_bytes(4, "little"))
            sock.send(f.udp4())
        t.note(f"priority {prio:d} mark {mark:#x}")
    t.counters(ports=("int0",))


@case("parse")
def gso_keys(t):
    """What a GSO packet's key says (fragment for UDP fragmentation)."""
    (tap,) = t.switch(1)
    big = bytes(3000)
    t.inject("tso4", tap, f.tcp4(payload=big, partial=True), vnet(1, 1, 54, 1000, 34, 16))
    t.inject("ufo4", tap, f.udp4(payload=big, partial=True), vnet(1, 3, 42, 1000, 34, 6))
    t.inject("uso4", tap, f.udp4(payload=big, partial=True), vnet(1, 5, 42, 1000, 34, 6))
    t.inject("tso6", tap, f.tcp6(payload=big, partial=True), vnet(1, 4, 74, 1000, 54, 16))
    t.inject("csum", tap, f.udp4(partial=True), vnet(1, 0, 0, 0, 34, 6))


_ = u32


PAGED = {
    "udp4": lambda p: f.udp4(payload=p),
    "tcp4": lambda p: f.tcp4(payload=p, options=b"\1" * 20),
    "options": lambda p: f.eth(f.ipv4(f.udp(p), 17, options=b"\1" * 12)),
    "qinq": lambda p: f.udp4(vlans=((0x11, 0x88A8), 0x22), payload=p),
    "triple": lambda p: f.udp4(vlans=(0x11, 0x22, 0x33), payload=p),
    "arp": lambda p: f.arp_frame() + p,
    "sctp6": lambda p: f.eth(
        f.ipv6(f.sctp(b"\0\3" + (4 + len(p)).to_bytes(2, "big") + p), 132), 0x86DD
    ),
    "ext6": lambda p: v6_chain((HOP, DST, RT, FRAG, DST), payload=f.udp(p, src=f.V61, dst=f.V62)),
    "ns": lambda p: f.eth(
        f.ipv6(f.nd(options=f.nd_opt(5, f.M1) + f.nd_opt(1, f.M2) + p), 58), 0x86DD
    ),
    "icmp6": lambda p: f.eth(f.ipv6(f.icmpv6(payload=p), 58), 0x86DD),
    "mpls": lambda p: f.mpls(6, payload=f.ipv4(f.udp(p), 17)),
    "mpls_no_end": lambda p: f.eth(f.labels(20, bos=False) + p, 0x8847),
    "nsh": lambda p: f.nsh_frame(f.udp4(payload=p)),
    "nsh_type2": lambda p: f.nsh_frame(p, mdtype=2, metadata=bytes(60)),
    "snap": lambda p: f.eth(b"\xaa\xaa\3\0\0\0\x08\0" + f.ipv4(f.udp(p), 17), 44),
}


@case_each("parse", sorted(PAGED.items()), stock=("qinq", "ext6"))
def split(t, build):
    """Headers split between the linear part and pages at each byte (rows 24
    and 26): a large frame, of which the tap puts so many bytes first."""
    (tap,) = t.switch(1)
    frame = build(bytes(5000))
    for linear in list(range(14, 100)) + [200, 1000]:
        t.inject(f"{linear} bytes linear", tap, frame, vnet(0, 0, linear))
