# SPDX-License-Identifier: GPL-2.0
"""check_pkt_len: one list for packets up to a length, another for longer
ones."""

import frames as f
import ovsattr as o
from nlcore import attr, nest, u8, u16, u32
from registry import case, case_each
from tap import GSO_TCPV4, GSO_TCPV6, GSO_UDP, GSO_UDP_L4, VNET_NEEDS_CSUM, vnet

from cases.actions import KEYS, install
from cases.traffic import key_of

LESS, GREATER = o.a_output(2), o.a_output(3)
PKT_LEN = u16(o.CP_PKT_LEN, 100)
IF_LESS = nest(o.CP_LESS_EQUAL, LESS)
IF_GREATER = nest(o.CP_GREATER, GREATER)


@case("check_pkt_len")
def forms(t):
    """Its attributes: each missing, twice, of another length, in another
    order."""
    t.switch(1)

    def check(label, *parts):
        for where, after in (("", b""), (", not last", o.a_output(1))):
            install(t, label + where, "udp4", nest(o.A_CHECK_PKT_LEN, *parts) + after)

    check("good", PKT_LEN, IF_LESS, IF_GREATER)
    check("other order", IF_GREATER, PKT_LEN, IF_LESS)
    check("nothing")
    check("no length", IF_LESS, IF_GREATER)
    check("no less_equal", PKT_LEN, IF_GREATER)
    check("no greater", PKT_LEN, IF_LESS)
    check("length twice", u16(o.CP_PKT_LEN, 0), PKT_LEN, IF_LESS, IF_GREATER)
    check("lists twice", PKT_LEN, IF_LESS, IF_GREATER, nest(o.CP_GREATER), nest(o.CP_LESS_EQUAL))
    check("first one bad", PKT_LEN, nest(o.CP_GREATER, attr(99)), IF_LESS, IF_GREATER)
    for length in (0, 1, 13, 14, 1500, 65534, 65535):
        check(f"length {length:d}", u16(o.CP_PKT_LEN, length), IF_LESS, IF_GREATER)
    for size in range(6):
        body = b"\x64\0\0\0\0\0"[:size]
        check(f"length of {size:d} bytes", attr(o.CP_PKT_LEN, body), IF_LESS, IF_GREATER)
    for kind in (0, 4, 5, 6, 100, 0x3FFF):
        check(f"unknown {kind:d}", PKT_LEN, IF_LESS, IF_GREATER, u32(kind, 1))
        check(f"unknown {kind:d} first", u32(kind, 1), PKT_LEN, IF_LESS, IF_GREATER)
    for kind in (o.CP_LESS_EQUAL, o.CP_GREATER):
        other = IF_GREATER if kind == o.CP_LESS_EQUAL else IF_LESS
        for size in range(9):
            body = b"\4\0\5\0\4\0\5\0"[:size]
            check(f"list {kind:d} of {size:d} bytes", PKT_LEN, attr(kind, body), other)
        check(f"list {kind:d} flagged", PKT_LEN, nest(kind, LESS, flag=True), other)
        check(f"list {kind:d} bad", PKT_LEN, nest(kind, o.a_output(70000)), other)
        check(f"list {kind:d} with a tail", PKT_LEN, attr(kind, LESS + b"\1\2\3"), other)
        check(f"drop first in {kind:d}", PKT_LEN, nest(kind, o.a_drop(), LESS), other)
        check(f"drop last in {kind:d}", PKT_LEN, nest(kind, LESS, o.a_drop()), other)
    # Which error is first.
    deep = LESS
    for _ in range(16):
        deep = o.a_clone(deep)
    for name, bad in (("deep", deep), ("bad", o.a_output(70000)), ("drop", o.a_drop() + LESS)):
        for name2, bad2 in (("deep", deep), ("bad", o.a_output(70000)), ("good", LESS)):
            check(f"{name}, {name2}", PKT_LEN, nest(2, bad2), nest(3, bad))
            check(f"{name}, {name2}, turned", PKT_LEN, nest(3, bad), nest(2, bad2))
    for size in range(5):
        install(t, f"{size:d} bytes", "udp4", attr(o.A_CHECK_PKT_LEN, bytes(size)))
    check("tail", PKT_LEN, IF_LESS, IF_GREATER, b"\1\2\3")
    check("cut", PKT_LEN, IF_LESS, attr(o.CP_GREATER, GREATER, length=40))
    install(
        t,
        "flagged",
        "udp4",
        nest(o.A_CHECK_PKT_LEN, PKT_LEN, IF_LESS, IF_GREATER, flag=True),
    )
    check("u8", u8(o.CP_PKT_LEN, 5), IF_LESS, IF_GREATER)


@case("check_pkt_len")
def states(t):
    """What the lists may do in each state that the validator tracks: what one
    does is not known in the other, nor after both."""
    t.switch(1)
    push, pop = o.a_push_vlan(0x1001), o.a_pop_vlan()
    pop_eth = o.a_pop_eth()
    push_eth = o.a_push_eth(f.M1, f.M2)
    udp = o.a_set(o.k_udp(7, 8))
    bodies = {
        "push": push,
        "pop": pop,
        "pop_eth": pop_eth,
        "push_eth": push_eth,
        "pop_eth push_eth": pop_eth + push_eth,
        "push pop_eth": push + pop_eth,
        "udp": udp,
    }
    for key in ("udp4", "vlan", "l3", "llc"):
        for before_name, before in (("", b""), ("push ", push), ("pop_eth ", pop_eth)):
            for name, body in bodies.items():
                for after_name, after in (("", b""), (" pop_eth", pop_eth), (" udp", udp)):
                    label = f"{key} {before_name}({name}){after_name}"
                    for less, greater in ((body, b""), (b"", body)):
                        acts = o.a_check_pkt_len(100, less, greater)
                        install(t, f"{label} {len(less):d}", key, before + acts + after)


@case_each("check_pkt_len", [("less", 0), ("greater", 1), ("mixed", 2)])
def depth(t, how):
    """16 levels are accepted, 17 are not, in whichever list."""
    t.switch(1)
    for levels in (1, 2, 15, 16, 17, 18, 50):
        body = o.a_output(1)
        for i in range(levels):
            if how == 0:
                body = o.a_check_pkt_len(100, body)
            elif how == 1:
                body = o.a_check_pkt_len(100, b"", body)
            elif i % 3 == 0:
                body = o.a_check_pkt_len(100, body, o.a_output(3))
            elif i % 3 == 1:
                body = o.a_dec_ttl(body)
            else:
                body = o.a_sample(0xFFFFFFFF, body)
        install(t, f"{levels:d} levels", "udp4", body)
        install(t, f"{levels:d} levels, not last", "udp4", body + o.a_output(1))


@case("check_pkt_len", stock=False)
def big_lists(t):
    """Lists that an attribute cannot hold as the kernel keeps them."""
    t.switch(1)
    grow = o.a_set(o.k_eth("02:00:00:00:00:0c", "02:00:00:00:00:0d"))  # 20 bytes in, 32 there
    for count in (1000, 1022, 1023, 1024, 2046, 2047, 2048, 2049):
        for name, less, greater in (
            ("less", count, 0),
            ("greater", 0, count),
            ("both", count, count // 2),
            ("second", count // 2, count),
        ):
            acts = o.a_check_pkt_len(9, grow * less, grow * greater)
            if len(acts) < 65532:
                t.flow(f"{count:d} sets in {name}", KEYS["udp4"], acts, flags=0)
                t.flow("get", KEYS["udp4"], None, cmd=o.GET)
                t.flush()
    out = o.a_output(1)
    for less, greater in ((8180, 4), (8184, 0), (8185, 0), (0, 8185), (4090, 4094), (4092, 4093)):
        acts = o.a_check_pkt_len(9, out * less, out * greater)
        if len(acts) < 65532:
            t.flow(f"{less:d} and {greater:d} outputs", KEYS["udp4"], acts, flags=0)
            t.flow("get", KEYS["udp4"], None, cmd=o.GET)
            t.flush()


def sized(size, **kw):
    """A UDP packet of this many bytes without its tags."""
    return f.udp4(payload=bytes(size - 42), **kw)


@case("check_pkt_len")
def lengths(t):
    """At the boundary, on frames with and without tags beside the packet and
    in it. Only what is in the packet counts."""
    (tap, *_) = t.switch(3)
    for name, vlans in (
        ("plain", ()),
        ("tag", (5,)),
        ("dei", (0x1005,)),
        ("two tags", ((5, 0x88A8), 6)),
    ):
        key = key_of(t, tap, sized(60, vlans=vlans))
        before = {
            "": b"",
            "push ": o.a_push_vlan(0x1007),
            "push push ": o.a_push_vlan(0x1007) + o.a_push_vlan(0x1008, 0x88A8),
            "pop ": o.a_pop_vlan(),
            "pop push ": o.a_pop_vlan() + o.a_push_vlan(0x1007),
            "pop pop ": o.a_pop_vlan() + o.a_pop_vlan(),
            "pop_eth ": o.a_pop_eth(),
            "trunc ": o.a_trunc(100),
        }
        for before_name, acts in before.items():
            if vlans and before_name == "pop_eth ":
                acts = o.a_pop_vlan() + acts
            acts += o.a_check_pkt_len(1400, LESS, GREATER)
            if t.flow("flow", key, acts, quiet=True).errno:
                continue
            for size in (60, 1392, 1396, 1397, 1399, 1400, 1401, 1404, 1405, 1413, 1414, 1415):
                t.inject(f"{name} {before_name}{size:d}", tap, sized(size, vlans=vlans))
            t.flush()


@case("check_pkt_len")
def edges(t):
    """The shortest and the longest that can be asked for."""
    (tap, *_) = t.switch(3)
    t.rt.set("t1", mtu=65535)
    for length in (1, 42, 43, 65534, 65535):
        t.in_port_flow(1, o.a_check_pkt_len(length, LESS, o.a_trunc(60) + GREATER))
        for size in (42, 43, 44, 1500, 65535):
            t.inject(f"{size:d} against {length:d}", tap, sized(size))
        t.flush()


BIG = bytes(range(250)) * 12
GSO = {
    "tso4": (f.tcp4(payload=BIG, partial=True), vnet(VNET_NEEDS_CSUM, GSO_TCPV4, 54, 1000, 34, 16)),
    "tso4_options": (
        f.tcp4(payload=BIG, partial=True, options=b"\1" * 12),
        vnet(VNET_NEEDS_CSUM, GSO_TCPV4, 66, 1000, 34, 16),
    ),
    "tso4_tag": (
        f.tcp4(payload=BIG, partial=True, vlans=(5,)),
        vnet(VNET_NEEDS_CSUM, GSO_TCPV4, 58, 1000, 38, 16),
    ),
    "tso6": (f.tcp6(payload=BIG, partial=True), vnet(VNET_NEEDS_CSUM, GSO_TCPV6, 74, 1000, 54, 16)),
    "uso4": (f.udp4(payload=BIG, partial=True), vnet(VNET_NEEDS_CSUM, GSO_UDP_L4, 42, 1000, 34, 6)),
    "ufo4": (f.udp4(payload=BIG, partial=True), vnet(VNET_NEEDS_CSUM, GSO_UDP, 42, 1000, 34, 6)),
}


@case_each("check_pkt_len", sorted(GSO.items()), stock=("tso4", "ufo4"))
def gso(t, value):
    """Of a packet that stands for several, each has to fit; or all of it
    does."""
    frame, header = value
    (tap, *_) = t.switch(3)
    key = key_of(t, tap, frame, header)
    whole = len(frame)
    size = whole - len(BIG) + 1000
    around = {size + more for more in (-21, -20, -19, -9, -8, -7, -5, -4, -3, -1, 0, 1, 4, 5)}
    around |= {whole + more for more in (-5, -4, -3, -1, 0, 1)} | {1, 999, 1000, 2000, 65535}
    for name, before in (
        ("", b""),
        ("push ", o.a_push_vlan(0x1007)),
        ("push push ", o.a_push_vlan(0x1007) + o.a_push_vlan(0x1008, 0x88A8)),
        ("trunc ", o.a_trunc(100)),
    ):
        for length in sorted(around) if not name else (size, size + 4, size + 8):
            acts = before + o.a_check_pkt_len(length, LESS, GREATER)
            t.flow("flow", key, acts, quiet=True)
            t.inject(f"{name}{length:d}", tap, frame, header)
            t.flush()


@case("check_pkt_len")
def mru(t):
    """Of a packet that was put together from fragments the largest of these
    counts, with the MAC header."""
    t.switch(3)
    for name, frame in (
        ("plain", sized(3000)),
        ("tag", sized(3000, vlans=(5,))),
        ("two tags", sized(3000, vlans=((5, 0x88A8), 6))),
        ("short", sized(200)),
        ("other", f.eth(bytes(100), 0x9000)),
    ):
        for value in (0, 1, 1381, 1382, 1383, 1385, 1386, 1387, 1390, 1391, 1400, 1401, 65535):
            if name == "other" and 0 < value < 90:
                continue  # warns once per boot in the C module
            t.execute(
                f"{name} mru {value:d}",
                frame,
                o.a_check_pkt_len(1400, LESS, GREATER),
                extra=u16(o.PK_MRU, value),
            )
    t.execute(
        "longest", sized(3000), o.a_check_pkt_len(65535, LESS, GREATER), extra=u16(o.PK_MRU, 65535)
    )


@case("check_pkt_len")
def order(t):
    """What a list changes ends with it, unless nothing follows."""
    (tap, *_) = t.switch(4)
    see = o.a_userspace(t.up.pid, b"x", actions=True)
    set_udp = o.a_set(o.k_udp(7, 8))
    change = set_udp + o.a_push_vlan(0x1007)
    last = o.a_output(4)
    for name, acts in (
        ("empty last", o.a_check_pkt_len(100)),
        ("empty", o.a_check_pkt_len(100) + last),
        ("changes, last", o.a_check_pkt_len(100, change + LESS, change + GREATER)),
        ("changes", o.a_check_pkt_len(100, change + LESS, change + GREATER) + last),
        ("no changes", o.a_check_pkt_len(100, LESS, GREATER) + last),
        ("trunc", o.a_check_pkt_len(100, o.a_trunc(60) + LESS, o.a_trunc(60)) + last),
        ("trunc before", o.a_trunc(60) + o.a_check_pkt_len(100, LESS, GREATER) + last),
        ("drop", o.a_check_pkt_len(100, o.a_drop(), o.a_drop(3)) + last),
        ("drop, last", o.a_check_pkt_len(100, o.a_drop(), o.a_drop(3))),
        ("userspace", o.a_check_pkt_len(100, see, set_udp + see) + last),
        ("recirc", o.a_check_pkt_len(100, o.a_recirc(1), set_udp + o.a_recirc(1)) + last),
        ("recirc, last", o.a_check_pkt_len(100, o.a_recirc(1), set_udp + o.a_recirc(1))),
        (
            "sample of 0",
            o.a_check_pkt_len(100, o.a_sample(0, LESS), o.a_sample(0xFFFFFFFF, GREATER)) + last,
        ),
        ("clone", o.a_check_pkt_len(100, o.a_clone(change + LESS) + GREATER) + last),
        ("fails", o.a_check_pkt_len(100, o.a_pop_eth() + o.a_output(77)) + last),
        (
            "twice",
            o.a_check_pkt_len(100, set_udp) + o.a_check_pkt_len(70, see + LESS, GREATER) + last,
        ),
        (
            "in each other",
            o.a_check_pkt_len(100, o.a_check_pkt_len(70, LESS, GREATER) + see, see) + last,
        ),
    ):
        t.in_port_flow(1, acts)
        t.in_port_flow(1, see + last, recirc=1)
        for size in (60, 90, 101):
            t.inject(f"{name} {size:d}", tap, sized(size))
        t.flush()
    t.counters(ports=("t1", "t2", "t3", "t4"))


@case("check_pkt_len")
def deferred(t):
    """Lists that are put off, and more of them than there is room for."""
    (tap, *_) = t.switch(3)
    change = o.a_set(o.k_udp(7, 8))
    for levels in range(1, 8):
        body = change + LESS
        for _ in range(levels):
            body = o.a_check_pkt_len(100, change + body) + GREATER
        t.in_port_flow(1, body)
        t.inject(f"{levels:d} levels", tap, sized(60))
        t.flush()
    for count in range(7, 13):
        body = o.a_check_pkt_len(100, change + LESS) * count + GREATER
        for _ in range(3):
            body = o.a_check_pkt_len(100, change + body) + GREATER
        t.in_port_flow(1, body)
        t.inject(f"{count:d} of them", tap, sized(60))
        t.flush()


@case("check_pkt_len")
def failing(t):
    """An error in a list ends the one around it, too."""
    t.switch(3)
    # The packet is too short for its UDP header to be set.
    short = f.eth(f.ipv4(b"\0\1", 17))
    acts = o.a_check_pkt_len(100, o.a_set_masked(o.K_UDP, bytes(4), bytes(4)) + LESS, GREATER)
    key = o.k_eth() + o.k_type(0x0800) + o.k_ipv4("1.1.1.1", "1.1.1.2", 17) + o.k_udp(1, 2)
    for name, after in (("last", b""), ("not last", o.a_output(3))):
        t.execute(f"{name}", short, acts + after, key=key)
        t.execute(f"{name}, good", f.udp4(), acts + after, key=key)


@case("check_pkt_len")
def kept(t):
    """Flows in dumps and in upcalls."""
    (tap, *_) = t.switch(3)
    see = o.a_userspace(t.up.pid, b"x", actions=True)
    acts = o.a_check_pkt_len(100, o.a_set(o.k_udp(7, 8)) + see, o.a_check_pkt_len(200, see, see))
    t.in_port_flow(1, acts + see)
    t.dump("dump", o.FLOW, dp="dp0")
    for size in (60, 150, 250):
        t.inject(f"{size:d}", tap, sized(size))
    t.counters(ports=("t1",))
