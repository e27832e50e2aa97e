# SPDX-License-Identifier: GPL-2.0
"""dec_ttl: the time to live less one, and what is done when it is over."""

import frames as f
import ovsattr as o
from nlcore import attr, nest, u32
from registry import case, case_each
from tap import GSO_TCPV4, VNET_NEEDS_CSUM, vnet

from cases.actions import KEYS, install
from cases.traffic import key_of

OUT, OVER = o.a_output(2), o.a_output(3)


@case("dec_ttl")
def forms(t):
    """Its attributes: missing, twice, unknown, of another length."""
    t.switch(1)

    def check(label, *parts):
        for where, after in (("", b""), (", not last", o.a_output(1))):
            install(t, label + where, "udp4", nest(o.A_DEC_TTL, *parts) + after)

    good = nest(o.DT_ACTION, o.a_output(1))
    check("good", good)
    check("empty list", nest(o.DT_ACTION))
    check("nothing")
    check("twice", good, good)
    check("twice, empty", nest(o.DT_ACTION), nest(o.DT_ACTION))
    for kind in (0, 2, 3, 100, 0x3FFF):
        check(f"unknown {kind:d} alone", u32(kind, 1))
        check(f"unknown {kind:d} before", u32(kind, 1), good)
        check(f"unknown {kind:d} after", good, u32(kind, 1))
    check("unknown, flagged", attr(0x8002), good)
    check("flagged list", nest(o.DT_ACTION, o.a_output(1), flag=True))
    for size in range(9):
        check(f"list of {size:d} bytes", attr(o.DT_ACTION, b"\4\0\5\0\4\0\5\0"[:size]))
        check(f"list of {size:d} zeros", attr(o.DT_ACTION, bytes(size)))
    for size in range(1, 8):
        check(f"tail of {size:d} bytes", good, b"\1" * size)
        install(t, f"{size:d} bytes", "udp4", attr(o.A_DEC_TTL, bytes(size)))
        install(t, f"{size:d} ones", "udp4", attr(o.A_DEC_TTL, b"\1" * size))
    check("cut", attr(o.DT_ACTION, o.a_output(1), length=40))
    check("cut after", good, attr(o.DT_ACTION, b"", length=40))
    check("no padding", attr(o.DT_ACTION, o.a_output(1) + b"\5\0\5\0\0", pad=False))
    check("bad list", nest(o.DT_ACTION, o.a_output(70000)))
    check("unknown action", nest(o.DT_ACTION, attr(99)))
    check("tail in the list", attr(o.DT_ACTION, o.a_output(1) + b"\1\2\3"))
    check("drop", nest(o.DT_ACTION, o.a_drop()))
    check("drop first", nest(o.DT_ACTION, o.a_drop(), o.a_output(1)))
    install(t, "flagged", "udp4", nest(o.A_DEC_TTL, good, flag=True))
    t.flow("silent", KEYS["udp4"], nest(o.A_DEC_TTL), extra=attr(o.FL_PROBE))
    t.flow("silent, twice", KEYS["udp4"], nest(o.A_DEC_TTL, good, good), extra=attr(o.FL_PROBE))


@case("dec_ttl")
def keys(t):
    """On every kind of flow: what it is is not asked for."""
    t.switch(1)
    for key in KEYS:
        install(t, key, key, o.a_dec_ttl())
        install(t, key + ", set inside", key, o.a_dec_ttl(o.a_set(o.k_udp(7, 8))))
        install(t, key + ", pop_eth inside", key, o.a_dec_ttl(o.a_pop_eth()) + o.a_pop_eth())
        install(t, key + ", push_eth inside", key, o.a_pop_eth() + o.a_dec_ttl(o.a_pop_eth()))


@case("dec_ttl")
def depth(t):
    """16 levels are accepted, 17 are not."""
    t.switch(1)
    for levels in (1, 2, 15, 16, 17, 18, 50):
        body = o.a_output(1)
        for _ in range(levels):
            body = o.a_dec_ttl(body)
        install(t, f"{levels:d} levels", "udp4", body)
        install(t, f"{levels:d} levels, not last", "udp4", body + o.a_output(1))


@case("dec_ttl", stock=False)
def big_lists(t):
    """Lists that an attribute cannot hold as the kernel keeps them."""
    t.switch(1)
    grow = o.a_set(o.k_eth("02:00:00:00:00:0c", "02:00:00:00:00:0d"))  # 20 bytes in, 32 there
    for count in (2000, 2046, 2047, 2048, 2049):
        t.flow(f"{count:d} sets", KEYS["udp4"], o.a_dec_ttl(grow * count), flags=0)
        t.flow("get", KEYS["udp4"], None, cmd=o.GET)
        t.flush()
    for count in (8185, 8186, 8187, 8188):
        # The last 4 bytes are what makes it exact.
        for tail in (b"", o.a_pop_vlan()):
            acts = o.a_dec_ttl(o.a_output(1) * count + tail)
            if len(acts) < 65532:
                t.flow(f"{count:d} outputs {len(tail):d}", KEYS["udp4"], acts, flags=0)
                t.flow("get", KEYS["udp4"], None, cmd=o.GET)
                t.flush()


def v4(ttl, **kw):
    vlans = kw.pop("vlans", ())
    return f.eth(f.ipv4(f.udp(), 17, ttl=ttl, **kw), vlans=vlans)


def v6(hlimit, **kw):
    vlans = kw.pop("vlans", ())
    return f.eth(f.ipv6(f.udp(src=f.V61, dst=f.V62), 17, hlimit=hlimit, **kw), 0x86DD, vlans=vlans)


def any_flow(t, port, acts, recirc=0):
    """Everything from one port."""
    key = o.k_in_port(port) + o.k_eth() + o.k_type(0x0800) + o.k_ipv4("0.0.0.0", "0.0.0.0", 0)
    key += u32(o.K_RECIRC_ID, recirc)
    mask = o.k_in_port(0xFFFFFFFF) + o.k_type(0) + u32(o.K_RECIRC_ID, 0xFFFFFFFF)
    return t.flow("flow", key, acts, mask, quiet=True)


TTLS = (0, 1, 2, 3, 64, 128, 255)


@case_each("dec_ttl", [("v4", v4), ("v6", v6)], stock=("v4", "v6"))
def times(t, make):
    """Each time to live, with an empty list, one that sends, nested ones."""
    (tap, *_) = t.switch(3)
    see = o.a_userspace(t.up.pid, b"x", actions=True)
    over = {
        "empty": b"",
        "output": OVER,
        "outputs": OVER + OUT,
        "drop": o.a_drop(),
        "drop with an error": o.a_drop(7),
        "userspace": see,
        "userspace, output": see + OVER,
        "clone": o.a_clone(OVER),
        "empty clone": o.a_clone(),
        "clone, output": o.a_clone(o.a_push_vlan(0x1005) + OVER) + OVER,
        "sample": o.a_sample(0xFFFFFFFF, OVER),
        "sample of 0": o.a_sample(0, OVER),
        "check_pkt_len": o.a_check_pkt_len(1000, OVER, OUT),
        "dec_ttl": o.a_dec_ttl(OVER) + OUT,
        "dec_ttl, empty": o.a_dec_ttl() + OUT,
        "recirc": o.a_recirc(1),
        "recirc, output": o.a_recirc(1) + OVER,
        "push": o.a_push_vlan(0x1005) + OVER,
        "no port": o.a_output(77),
        "trunc": o.a_trunc(20),
        "trunc, output": o.a_trunc(20) + OVER,
    }
    for name, inner in over.items():
        for after_name, after in (("", b""), (", output", OUT), (", userspace", see)):
            any_flow(t, 1, o.a_dec_ttl(inner) + after)
            any_flow(t, 1, see + OVER, recirc=1)
            for ttl in TTLS if name in ("empty", "output") else (0, 1, 2):
                t.inject(f"{name}{after_name}, {ttl:d}", tap, make(ttl))
            t.flush()
    t.counters(ports=("t1", "t2", "t3"))


@case("dec_ttl")
def packets(t):
    """Packets of other kinds, and of IP in other forms."""
    (tap, *_) = t.switch(3)
    see = o.a_userspace(t.up.pid, b"x")
    bad_csum = bytearray(v4(7))
    bad_csum[24] ^= 0x5A
    frames = {
        "arp": f.arp_frame(),
        "other": f.eth(bytes(60), 0x9000),
        "llc": f.eth(b"\x42\x42\3" + bytes(50), 53),
        "options": v4(7, options=b"\1" * 8),
        "tos": v4(7, tos=0xB9),
        "wrong checksum": bytes(bad_csum),
        "first fragment": v4(7, frag=0x2000),
        "later fragment": v4(7, frag=0x2003),
        "version 5": v4(7, version=5),
        "version 5, over": v4(1, version=5),
        "ihl 4": v4(7, ihl=4),
        "total": v4(7, total=10),
        "v6 hop-by-hop": f.eth(f.ipv6(f.ext(59), 0, hlimit=7), 0x86DD),
        "v6 later": f.eth(f.ipv6(f.fragment(17, 5) + bytes(30), 44, hlimit=7), 0x86DD),
        "v6 class": v6(7, tclass=0xB9, label=0x12345),
        "v6 version 4": v6(7, version=4),
        "tcp": f.eth(f.ipv4(f.tcp(), 6, ttl=7)),
        "sctp": f.eth(f.ipv4(f.sctp(), 132, ttl=7)),
    }
    for size in (14, 15, 22, 23, 24, 33, 34):
        frames[f"v4 of {size:d} bytes"] = v4(7)[:size]
        frames[f"v4 of {size:d} bytes, over"] = v4(1)[:size]
    for size in (14, 20, 21, 22, 53, 54):
        frames[f"v6 of {size:d} bytes"] = v6(7)[:size]
        frames[f"v6 of {size:d} bytes, over"] = v6(1)[:size]
    for name, frame in frames.items():
        for acts_name, acts in (
            ("", o.a_dec_ttl(OVER) + see + OUT),
            (" twice", o.a_dec_ttl() + o.a_dec_ttl(OVER) + OUT),
            (" last", OUT + o.a_dec_ttl(OVER)),
            (" in clone", o.a_clone(o.a_dec_ttl(OVER) + OUT) + OUT),
        ):
            any_flow(t, 1, acts)
            t.inject(name + acts_name, tap, frame)
            t.flush()
            t.execute(f"execute {name}{acts_name}", frame, acts)


@case("dec_ttl")
def checksums(t):
    """The checksum of the header for all times to live, and those of others
    with it."""
    (tap, *_) = t.switch(3)
    any_flow(t, 1, o.a_dec_ttl(OVER) + OUT)
    for ttl in range(256):
        t.inject(f"{ttl:d}", tap, v4(ttl, ident=(0x1234 + 257 * ttl) & 0xFFFF))
    # Where the sum has a carry, or is zero.
    for ident in (0, 0x00FF, 0x0100, 0xFFFF, 0xFEFF, 0x8E51, 0x8F51, 0x9051):
        for ttl in (2, 3, 254, 255):
            t.inject(f"{ident:#x}, {ttl:d}", tap, v4(ttl, ident=ident))
    partial = f.eth(f.ipv4(f.tcp(payload=bytes(3000), partial=True), 6, ttl=9))
    t.inject("gso", tap, partial, vnet(VNET_NEEDS_CSUM, GSO_TCPV4, 54, 1000, 34, 16))
    t.inject("unnecessary", tap, v4(9), vnet(2))


@case("dec_ttl")
def tags(t):
    """Behind tags: what the packet's protocol is then."""
    (tap, *_) = t.switch(3)
    see = o.a_userspace(t.up.pid, b"x")
    before = {
        "": b"",
        "push ": o.a_push_vlan(0x1007),
        "push push ": o.a_push_vlan(0x1007) + o.a_push_vlan(0x1008, 0x88A8),
        "push pop ": o.a_push_vlan(0x1007) + o.a_pop_vlan(),
        "pop ": o.a_pop_vlan(),
        "pop pop ": o.a_pop_vlan() + o.a_pop_vlan(),
        "pop push ": o.a_pop_vlan() + o.a_push_vlan(0x1007),
        "pop_eth ": o.a_pop_eth(),
        "pop_eth push_eth ": o.a_pop_eth() + o.a_push_eth(f.M2, f.M3),
    }
    for make_name, make in (("v4", v4), ("v6", v6)):
        for tag_name, vlans in (
            ("plain", ()),
            ("one", (5,)),
            ("two", ((5, 0x88A8), 6)),
            ("three", (5, 6, 7)),
        ):
            for name, acts in before.items():
                if vlans and "pop_eth" in name:
                    acts = o.a_pop_vlan() + acts
                acts += o.a_dec_ttl(OVER) + see + OUT
                for ttl in (1, 2):
                    frame = make(ttl, vlans=vlans)
                    if t.flow("flow", key_of(t, tap, frame), acts, quiet=True).errno:
                        continue
                    t.inject(f"{make_name} {tag_name} {name}{ttl:d}", tap, frame)
                    t.flush()


@case("dec_ttl")
def order(t):
    """With other actions around it."""
    (tap, *_) = t.switch(3)
    see = o.a_userspace(t.up.pid, b"x", actions=True)
    ttl = o.a_set_masked(o.K_IPV4, bytes(10) + b"\x02\0", bytes(10) + b"\xff\0")
    dec = o.a_dec_ttl(OVER)
    for name, acts in (
        ("set before", ttl + dec + OUT),
        ("set after", dec + ttl + see + OUT),
        ("set, twice", ttl + dec + dec + OUT),
        ("output before", OUT + dec + OUT),
        ("clones", o.a_clone(dec + OUT) + o.a_clone(dec + OUT) + see + OUT),
        ("sample", o.a_sample(0xFFFFFFFF, dec + OUT) + see + OUT),
        ("recirc", dec + o.a_recirc(1)),
        ("recirc, output", dec + o.a_recirc(1) + OUT),
        ("recirc with it", o.a_recirc(2) + OUT),
        ("trunc", o.a_trunc(60) + dec + OUT),
        ("drop", dec + o.a_drop(3)),
        ("three", dec + dec + dec + OUT),
        ("only", dec),
    ):
        any_flow(t, 1, acts)
        any_flow(t, 1, see + OUT, recirc=1)
        any_flow(t, 1, dec + see + OUT, recirc=2)
        for value in (1, 2, 3, 4, 64):
            t.inject(f"{name}, {value:d}", tap, v4(value))
        t.flush()
    key = o.k_in_port(1) + o.k_eth() + o.k_type(0x0800)
    t.flow("exact", key + o.k_ipv4(f.IP1, f.IP2, 17, ttl=9) + o.k_udp(1000, 2000), dec + OUT)
    t.inject("exact", tap, v4(9))
    t.inject("another", tap, v4(8))
    t.dump("dump", o.FLOW, dp="dp0")
    t.counters(ports=("t1", "t2", "t3"))


@case("dec_ttl")
def layer3(t):
    """Packets without an Ethernet header."""
    t.switch(3)
    tun = t.tap("tun0", tun=True)
    t.vport("tun0", port=4)
    mask = o.k_in_port(0xFFFFFFFF) + o.k_type(0xFFFF)
    for name, key, packet in (
        ("v4", o.k_type(0x0800) + o.k_ipv4("0.0.0.0", "0.0.0.0", 0), v4),
        ("v6", o.k_type(0x86DD) + o.k_ipv6("::", "::", 0), v6),
    ):
        for ends in (b"", o.a_push_eth(f.M1, f.M2)):
            acts = o.a_dec_ttl(o.a_output(4)) + ends + OUT
            t.flow("flow", o.k_in_port(4) + key, acts, mask, quiet=True)
            for ttl in (0, 1, 2, 64):
                kind = b"\x08\x00" if name == "v4" else b"\x86\xdd"
                frame = b"\0\0" + kind + packet(ttl)[14:]
                t.inject(f"{name} {ttl:d} {len(ends):d}", tun, frame)
            t.flush()
