# SPDX-License-Identifier: GPL-2.0
"""Network service headers: in keys, and the actions that push and pop them."""

import itertools
import struct

import frames as f
import ovsattr as o
from nlcore import attr, be16, nest, u16, u32, u64
from registry import case, case_each
from tap import GSO_TCPV4, GSO_TCPV6, GSO_UDP_L4, VNET_NEEDS_CSUM, vnet

from cases.actions import KEYS as FLOW_KEYS
from cases.actions import install

OUT = o.a_output(2)
BIG = bytes(range(250)) * 12
PUSH = o.a_push_nsh(o.n_base(), o.n_md1())
PUSH2 = o.a_push_nsh(o.n_base(2, 1, 3, 0x3F, 0xABCDEF01), o.n_md2(bytes(range(12))))
PUSH_ETH = o.a_push_eth(f.M3, f.M1)
POP_ETH = o.a_pop_eth()
POP = o.a_pop_nsh()
LSE = o.d_lse(0x12345)


def nsh_flow(t, label, base, md1, actions, base_mask=None, md1_mask=None, **kw):
    """A flow on a network service header of packets from port 1; without a mask,
    whatever it says."""
    key = o.k_in_port(1) + o.k_eth() + o.k_type(0x894F) + u32(o.K_RECIRC_ID, 0)
    key += o.k_nsh(attr(o.NSH_BASE, base), attr(o.NSH_MD1, md1))
    mask = o.k_in_port(0xFFFFFFFF) + o.k_type(0xFFFF) + u32(o.K_RECIRC_ID, 0xFFFFFFFF)
    parts = []
    if base_mask is not None:
        parts.append(attr(o.NSH_BASE, base_mask))
    if md1_mask is not None:
        parts.append(attr(o.NSH_MD1, md1_mask))
    if parts:
        mask += o.k_nsh(*parts)
    return t.flow(label, key, actions, mask, **kw)


@case("nsh")
def malformed(t):
    """Headers that say what cannot be: the packet is dropped."""
    (tap, *_) = t.switch(2)
    for version in range(4):
        t.inject(f"version {version:d}", tap, f.nsh_frame(version=version))
    for mdtype in (0, 1, 2, 3, 15, 16, 0x7F, 0xFE, 0xFF):
        for length in range(64):
            t.inject(
                f"type {mdtype:d} of {length:d}",
                tap,
                f.nsh_frame(bytes(300), mdtype=mdtype, length=length),
            )
            t.inject(
                f"type {mdtype:d} of {length:d}, short",
                tap,
                f.nsh_frame(bytes(20), mdtype=mdtype, length=length),
            )
    for np in (*range(8), 0x7F, 0x80, 0xFF):
        t.inject(f"next protocol {np:d}", tap, f.nsh_frame(np=np))
    for flags in range(4):
        for ttl in (0, 1, 62, 63):
            t.inject(f"flags {flags:d} ttl {ttl:d}", tap, f.nsh_frame(flags=flags, ttl=ttl))
    for path in (0, 0xFFFFFFFF, 0x80000001):
        t.inject(f"path {path:#x}", tap, f.nsh_frame(path=path))
    t.counters(ports=("t1",))
    see = o.a_userspace(t.up.pid)
    for size in range(14, 50):
        for mdtype in (1, 2, 3):
            frame = f.nsh_frame(mdtype=mdtype)[:size]
            t.execute(f"type {mdtype:d}, {size:d} bytes", frame, see)
    t.execute("version", f.nsh_frame(version=1), see)


@case("nsh")
def match(t):
    """Which flows packets hit, by each part of the header."""
    (tap, *_) = t.switch(2)
    base = struct.pack("!BBBBI", 1, 42, 1, 3, 0x000123FF)
    context = bytes(range(16))
    frames = {
        "same": f.nsh_frame(flags=1, ttl=42),
        "flags": f.nsh_frame(flags=2, ttl=42),
        "ttl": f.nsh_frame(flags=1, ttl=41),
        "type 2": f.nsh_frame(flags=1, ttl=42, mdtype=2),
        "protocol": f.nsh_frame(flags=1, ttl=42, np=1),
        "path": f.nsh_frame(flags=1, ttl=42, path=0x000124FF),
        "index": f.nsh_frame(flags=1, ttl=42, path=0x000123FE),
        "context": f.nsh_frame(flags=1, ttl=42, metadata=bytes(15) + b"\x0f"),
        "bad": f.nsh_frame(flags=1, ttl=42, version=1),
    }
    masks = {
        "nothing": (None, None),
        "all": (b"\xff" * 8, b"\xff" * 16),
        "base": (b"\xff" * 8, None),
        "context": (None, b"\xff" * 16),
        "last of context": (None, bytes(15) + b"\xff"),
        "flags": (b"\xff" + bytes(7), None),
        "ttl": (b"\0\xff" + bytes(6), None),
        "type": (b"\0\0\xff" + bytes(5), None),
        "protocol": (bytes(3) + b"\xff" + bytes(4), None),
        "path": (bytes(4) + b"\xff\xff\xff\0", None),
        "index": (bytes(7) + b"\xff", None),
        "bits": (b"\1\x0f\1\1\0\0\1\1", b"\1" * 16),
    }
    for name, (base_mask, md1_mask) in masks.items():
        nsh_flow(t, name, base, context, OUT, base_mask, md1_mask)
        for what, frame in frames.items():
            t.inject(f"{name}: {what}", tap, frame)
        t.counters(name)
        t.flush()


@case("nsh")
def exact(t):
    """A flow made of the key that a packet has."""
    (tap, *_) = t.switch(2)
    for name, frame in (
        ("type 1", f.nsh_frame()),
        ("type 2", f.nsh_frame(mdtype=2, metadata=bytes(range(20)))),
        ("type 2, nothing", f.nsh_frame(mdtype=2, metadata=b"")),
        ("tagged", f.nsh_frame(vlans=(5,))),
    ):
        t.up.nl.drain()
        tap.write(frame)
        for msg in t.up.nl.drain():
            key = dict(__import__("nlcore").parse_attrs(msg.payload(4))[0])[o.PK_KEY]
            t.flow(name, key, OUT)
            t.flow(name + ", zero mask", key, OUT, b"")
        t.inject(name, tap, frame)
        t.dump(name, o.FLOW, dp="dp0")
        t.flush()


@case("nsh")
def orders(t):
    """Without a mask, all of each attribute is matched on, in whichever order
    they come (rows 11 and 12)."""
    t.switch(1)
    parts = {
        "nsh": o.k_nsh(o.n_base(), o.n_md1()),
        "tunnel": nest(
            o.K_TUNNEL,
            u64(0, 5),
            attr(1, o.ip4("1.2.3.4")),
            attr(2, o.ip4("1.2.3.5")),
            attr(4, b"\x40"),
        ),
        "mark": u32(o.K_SKB_MARK, 5),
        "in_port": o.k_in_port(1),
        "ct_state": u32(o.K_CT_STATE, 0x21),
        "type": o.k_eth() + o.k_type(0x894F),
    }
    for order in itertools.permutations(parts):
        t.flow(" ".join(order), b"".join(parts[name] for name in order), b"")
        t.dump("dump", o.FLOW, dp="dp0")
        t.flush()
    tagged = o.k_eth() + o.k_type(0x8100) + be16(o.K_VLAN, 0x1005)
    for order in itertools.permutations(("nsh", "type")):
        inside = {"nsh": parts["nsh"], "type": o.k_type(0x894F)}
        encap = nest(o.K_ENCAP, *(inside[name] for name in order))
        for before, after in ((b"", parts["mark"]), (parts["tunnel"], b"")):
            t.flow("tagged " + " ".join(order), before + tagged + encap + after, b"")
            t.dump("dump", o.FLOW, dp="dp0")
            t.flush()


@case("nsh")
def push_forms(t):
    """The attributes of a header that is to be pushed (row 9)."""
    t.switch(2)
    base, md1 = o.n_base(), o.n_md1()
    forms = {
        "good": o.k_nsh(base, md1),
        "order": o.k_nsh(md1, base),
        "type 2": o.k_nsh(o.n_base(2), o.n_md2(bytes(8))),
        "type 2, no bytes": o.k_nsh(o.n_base(2), o.n_md2(b"")),
        "no metadata": o.k_nsh(base),
        "no base": o.k_nsh(md1),
        "no base, type 2": o.k_nsh(o.n_md2(bytes(4))),
        "both": o.k_nsh(base, md1, o.n_md2(bytes(4))),
        "both, type 2": o.k_nsh(o.n_base(2), md1, o.n_md2(bytes(4))),
        "type 2 says 1": o.k_nsh(base, o.n_md2(bytes(4))),
        "type 1 says 2": o.k_nsh(o.n_base(2), md1),
        "type 0": o.k_nsh(o.n_base(0), md1),
        "type 3": o.k_nsh(o.n_base(3), o.n_md2(bytes(4))),
        "base twice": o.k_nsh(o.n_base(2, ttl=1), o.n_base(1, ttl=9), md1),
        "base after": o.k_nsh(base, md1, o.n_base(1, ttl=9, path=7)),
        "metadata twice": o.k_nsh(base, md1, o.n_md1(bytes(16))),
        "type 2 twice": o.k_nsh(o.n_base(2), o.n_md2(b"x" * 20), o.n_md2(b"y" * 8)),
        "type 2, the first too long": o.k_nsh(o.n_base(2), o.n_md2(bytes(248)), o.n_md2(bytes(8))),
        "nothing": o.k_nsh(),
        "unspec": o.k_nsh(attr(0), base, md1),
        "unspec long": o.k_nsh(u32(0, 1), base, md1),
        "unknown": o.k_nsh(base, md1, u32(4, 1)),
        "base short": o.k_nsh(attr(o.NSH_BASE, bytes(7)), md1),
        "metadata short": o.k_nsh(base, attr(o.NSH_MD1, bytes(15))),
        "trailing": o.k_nsh(base, md1, b"\1\2\3"),
        "all bits": o.k_nsh(attr(o.NSH_BASE, b"\xff\xff\1\xff\xff\xff\xff\xff"), md1),
        "nested flag": nest(o.K_NSH, base, md1, flag=True),
        "flag inside": o.k_nsh(
            attr(o.NSH_BASE | 0x8000, b"\0\1\1\3" + bytes(4)), attr(o.NSH_MD1 | 0x4000, bytes(16))
        ),
        "two": o.k_nsh(base, md1) * 2,
        "sibling": o.k_nsh(base, md1) + u32(o.K_PRIORITY, 1),
        "other": o.k_mpls(LSE),
        "none": b"",
        "no nest": base + md1,
    }
    for size in (*range(9), 240, 241, 243, 244, 245, 247, 248, 252, 256, 1000, 60000):
        forms[f"type 2 of {size:d}"] = o.k_nsh(
            o.n_base(2), o.n_md2(bytes(i % 251 for i in range(size)))
        )
    for name, form in forms.items():
        acts = attr(o.A_PUSH_NSH, form)
        install(t, name, "udp4", acts)
        t.execute(name, f.udp4(), acts + PUSH_ETH + OUT)
        t.execute(name + ", nested", f.udp4(), o.a_clone(acts + PUSH_ETH + OUT) + OUT)
        t.flow(name + ", probe", FLOW_KEYS["udp4"], acts, extra=attr(o.FL_PROBE))
        t.flush()
    good = forms["good"]
    kind, body = struct.unpack_from("=H", good, 2)[0], good[4:]
    for inner in (*range(9), *range(len(good) - 4, len(good) + 5), 0xFFFF):
        for outer in (0, 1, 3, 4, 5, 8, len(good) - 4, len(good) - 1, len(good), len(good) + 4):
            form = (struct.pack("=HH", inner, kind) + body + bytes(8))[:outer]
            acts = attr(o.A_PUSH_NSH, form)
            install(t, f"inner {inner:d} outer {outer:d}", "udp4", acts)
            t.execute(f"inner {inner:d} outer {outer:d}", f.udp4(), acts + PUSH_ETH + OUT)


@case("nsh")
def set_is_refused(t):
    """set(nsh()) is in no kernel any more (row 8)."""
    t.switch(1)
    base, md1 = attr(o.NSH_BASE, bytes(8)), attr(o.NSH_MD1, bytes(16))
    forms = {
        "good": base + md1,
        "base": base,
        "metadata": md1,
        "nothing": b"",
        "doubled": base + md1 + base + md1,
        "masked base": attr(o.NSH_BASE, bytes(16)),
        "masked": attr(o.NSH_BASE, bytes(16)) + attr(o.NSH_MD1, bytes(32)),
        "short": bytes(3),
        "odd": base + b"\1",
        "unknown": u32(9, 1),
    }
    for name, form in forms.items():
        for kind in (o.A_SET, o.A_SET_MASKED):
            acts = nest(kind, attr(o.K_NSH, form))
            for key in ("nsh", "nsh_l3", "udp4"):
                install(t, f"{kind:d} {name} {key}", key, acts)
            t.execute(f"{kind:d} {name}", f.nsh_frame(), acts + o.a_output(1))


PARTS = {
    "push": PUSH,
    "push type 2": PUSH2,
    "pop": POP,
    "push_eth": PUSH_ETH,
    "pop_eth": POP_ETH,
    "push_vlan": o.a_push_vlan(0x1001),
    "pop_vlan": o.a_pop_vlan(),
    "push_mpls": o.a_push_mpls(LSE),
    "push_mpls mc": o.a_push_mpls(LSE, 0x8848),
    "add_mpls": o.a_add_mpls(LSE),
    "pop_mpls ip": o.a_pop_mpls(0x0800),
    "pop_mpls teb": o.a_pop_mpls(0x6558),
    "set eth": o.a_set(o.k_eth(f.M3, f.M1)),
    "set ipv4": o.a_set_masked(o.K_IPV4, b"\1\2\3\4" + bytes(8), b"\xff" * 4 + bytes(8)),
    "set mpls": o.a_set(o.k_mpls(LSE)),
}
CHANGES = [name for name in PARTS if not name.startswith("set")]
KEYS = {name: FLOW_KEYS[name] for name in ("udp4", "tcp6", "arp", "vlan", "l3", "llc")} | {
    f"nsh_{np:d}": o.k_eth() + o.k_type(0x894F) + o.k_nsh(o.n_base(np=np), o.n_md1())
    for np in range(7)
}
KEYS |= {
    "nsh_l3": o.k_type(0x894F) + o.k_nsh(o.n_base(np=3), o.n_md1()),
    "arp_l3": o.k_type(0x0806) + attr(o.K_ARP, bytes(24)),
    "mpls": o.k_eth() + o.k_type(0x8847) + o.k_mpls(LSE),
    "mpls_l3": o.k_type(0x8847) + o.k_mpls(LSE),
    "mpls_mc_l3": o.k_type(0x8848) + o.k_mpls(LSE),
    "other_l3": o.k_type(0x9000),
}


def refused(t, key, acts):
    """The errno with which a flow is refused."""
    reply = t.flow("flow", key, acts, flags=0, quiet=True)
    if reply.errno:
        t.records.pop()
    else:
        t.flush()
    return reply.errno


@case_each("nsh", sorted(KEYS.items()), stock=("udp4", "nsh_3", "l3"), timeout=60)
def validate(t, key):
    """Lists of up to three actions: which may follow which, in a list and in a
    nested one (row 19)."""
    t.switch(1)
    for one in PARTS:
        t.note(one, refused(t, key, PARTS[one]))
    for count in (1, 2):
        for before in itertools.product(CHANGES, repeat=count):
            acts = b"".join(PARTS[name] for name in before)
            taken = [last for last in PARTS if not refused(t, key, acts + PARTS[last])]
            t.note(" ".join(before), taken)
    for before, inner in itertools.product(("", *CHANGES), CHANGES):
        taken = []
        for last in PARTS:
            nested = o.a_clone(PARTS[inner] + PARTS[last])
            after = o.a_clone(PARTS[inner]) + PARTS[last]
            taken += [refused(t, key, PARTS.get(before, b"") + acts) for acts in (nested, after)]
        t.note(f"{before}, {inner}", taken)


@case("nsh")
def wildcarded_protocol(t):
    """What is popped to is known by the flow's key, as far as its mask goes."""
    t.switch(1)
    for np in range(7):
        for mask in (0, 1, 2, 4, 7, 0xFF):
            for name, last in (("", b""), ("push_eth", PUSH_ETH), ("pop_eth", POP_ETH)):
                nsh_flow(
                    t,
                    f"{np:d} {mask:#x} {name}",
                    struct.pack("!BBBBI", 0, 1, 1, np, 5),
                    bytes(16),
                    POP_ETH + POP + last,
                    bytes((0, 0, 0, mask, 0, 0, 0, 0)),
                )
                t.flush()


LISTS = {
    "push": PUSH,
    "push type 2": PUSH2,
    "push, push_eth": PUSH + PUSH_ETH,
    "push type 2, push_eth": PUSH2 + PUSH_ETH,
    "push, push_eth, push, push_eth": (PUSH + PUSH_ETH) * 2,
    "push twice": PUSH * 2 + PUSH_ETH,
    "push, push_eth, vlan": PUSH + PUSH_ETH + o.a_push_vlan(0x1001),
    "vlan, push, push_eth": o.a_push_vlan(0x1001) + PUSH + PUSH_ETH,
    "pop_vlan, push, push_eth": o.a_pop_vlan() + PUSH + PUSH_ETH,
    "push, set priority, push_eth": PUSH + o.a_set(u32(o.K_PRIORITY, 5)) + PUSH_ETH,
    "pop_eth, push": POP_ETH + PUSH,
    "pop_eth, push, push_eth": POP_ETH + PUSH + PUSH_ETH,
    "pop_eth, pop": POP_ETH + POP,
    "pop_eth, pop, push_eth": POP_ETH + POP + PUSH_ETH,
    "pop_eth, pop, pop": POP_ETH + POP + POP,
    "pop": POP,
    "pop, set eth": POP + o.a_set(o.k_eth(f.M3, f.M1)),
    "push, push_mpls": PUSH + o.a_push_mpls(LSE),
    "push_mpls, push, push_eth": o.a_push_mpls(LSE) + PUSH + PUSH_ETH,
    "push, push_mpls, push_eth": PUSH + o.a_push_mpls(LSE) + PUSH_ETH,
    "add_mpls, push, push_eth": o.a_add_mpls(LSE) + PUSH + PUSH_ETH,
    "push, set ipv4": PUSH
    + o.a_set_masked(o.K_IPV4, b"\1\2\3\4" + bytes(8), b"\xff" * 4 + bytes(8)),
    "push, trunc": PUSH + PUSH_ETH + o.a_trunc(40),
}
FRAMES = {
    "udp4": f.udp4(),
    "udp6": f.udp6(),
    "arp": f.arp_frame(),
    "vlan": f.udp4(vlans=(0x123,)),
    "qinq": f.udp4(vlans=((0x11, 0x88A8), 0x22)),
    "mpls": f.mpls(2),
    "nsh_ip": f.nsh_frame(f.ipv4(f.udp(), 17), np=1),
    "nsh_ip6": f.nsh_frame(f.ipv6(f.udp(src=f.V61, dst=f.V62), 17), np=2),
    "nsh_eth": f.nsh_frame(),
    "nsh_nsh": f.nsh_frame(f.nsh(f.udp4()), np=4),
    "nsh_mpls": f.nsh_frame(f.labels(2) + f.ipv4(f.udp(), 17), np=5),
    "nsh_0": f.nsh_frame(bytes(20), np=0),
    "nsh_6": f.nsh_frame(bytes(20), np=6),
    "nsh_type2": f.nsh_frame(mdtype=2, metadata=bytes(range(60))),
    "nsh_length0": f.nsh_frame(mdtype=2, metadata=b"", length=0),
    "nsh_length1": f.nsh_frame(mdtype=2, metadata=b"", length=1),
    "nsh_vlan": f.nsh_frame(vlans=(7,)),
    "nsh_short_eth": f.nsh_frame(b"\2\0\0", np=3),
    "nsh_bad_nsh": f.nsh_frame(f.nsh(f.udp4(), version=1), np=4),
    # Not an empty packet: its upcall is a BUG() in C.
    "nsh_one_byte": f.nsh_frame(b"\x45", np=1),
    # A MAC address that reads as a header, if it is popped with Ethernet on.
    "odd_mac": f.eth(f.nsh(f.udp4()), 0x894F, dst="00:02:01:03:00:00"),
    "other": f.eth(bytes(50), 0x9000),
}


@case_each("nsh", sorted(FRAMES.items()), stock=("udp4", "nsh_eth", "nsh_nsh"), timeout=40)
def execute(t, frame):
    """What the actions make of a packet: as sent, and as a key that is extracted
    again (rows 28 and 37)."""
    t.switch(2)
    t.tap("tun0", tun=True, vnet_hdr=False)
    t.vport("tun0", port=3)
    key = o.k_in_port(1)
    see = o.a_userspace(t.up.pid)
    for name, acts in LISTS.items():
        t.execute(name, frame, acts + OUT, key=key)
        t.execute(name + ", layer 3", frame, acts + o.a_output(3), key=key)
        t.execute(name + ", up", frame, acts + see + OUT, key=key)
        t.execute(name + ", recirc", frame, acts + o.a_recirc(7), key=key)
        t.execute(name + ", recirc not last", frame, acts + o.a_recirc(7) + OUT, key=key)
        t.execute(name + ", in clone", frame, o.a_clone(acts + o.a_recirc(7)) + OUT, key=key)
        t.execute(name + ", goes on", frame, o.a_clone(acts + OUT) + o.a_recirc(8), key=key)
        t.execute(name + ", hash", frame, acts + o.a_hash(0, 1) + o.a_recirc(7))


@case("nsh")
def layer3(t):
    """Packets without Ethernet header, in and out."""
    t.switch(2)
    tun = t.tap("tun0", tun=True, vnet_hdr=False)
    t.vport("tun0", port=3, pids=(t.up.pid,))
    packets = {
        "ip": (0x0800, f.ipv4(f.udp(), 17)),
        "ip6": (0x86DD, f.ipv6(f.udp(src=f.V61, dst=f.V62), 17)),
        "arp": (0x0806, f.arp()),
        "nsh eth": (0x894F, f.nsh(f.udp4())),
        "nsh ip": (0x894F, f.nsh(f.ipv4(f.udp(), 17), np=1)),
        "nsh nsh": (0x894F, f.nsh(f.nsh(f.udp4()), np=4)),
        "nsh bad": (0x894F, f.nsh(f.udp4(), version=2)),
        "mpls": (0x8847, f.labels(1) + f.ipv4(f.udp(), 17)),
        "mpls mc": (0x8848, f.labels(1) + f.ipv4(f.udp(), 17)),
    }
    for what, (kind, packet) in packets.items():
        t.inject(what, tun, b"\0\0" + kind.to_bytes(2, "big") + packet)
        for name, acts in LISTS.items():
            key = o.k_in_port(3) + o.k_type(kind)
            t.execute(f"{what}: {name}", packet, acts + o.a_output(3), key=key)
            t.execute(f"{what}: {name}, Ethernet", packet, acts + OUT, key=key)
            t.execute(f"{what}: {name}, recirc", packet, acts + o.a_recirc(1), key=key)


@case("nsh")
def truncated(t):
    """Packets that end before what an action takes away (row 37)."""
    t.switch(2)
    for what, whole in (
        ("ethernet", f.nsh_frame()),
        ("ip", f.nsh_frame(f.ipv4(f.udp(), 17), np=1)),
        ("nsh", f.nsh_frame(f.nsh(f.ipv4(f.udp(), 17), np=1), np=4)),
        ("mpls", f.nsh_frame(f.labels(2), np=5)),
        ("type 2", f.nsh_frame(mdtype=2, metadata=bytes(8))),
    ):
        for size in range(14, len(whole) + 1):
            if size - 14 in (16, 24, 48):
                # Nothing would be left, and the upcall of that is a BUG() in C.
                continue
            for name in ("pop", "pop_eth, pop", "pop_eth, pop, pop"):
                acts = LISTS[name]
                frame = whole[:size]
                key = o.k_in_port(1)
                t.execute(f"{what} {size:d}: {name}", frame, acts + OUT, key=key)
                again = acts + o.a_recirc(1)
                t.execute(f"{what} {size:d}: {name}, recirc", frame, again, key=key)
                t.execute(f"{what} {size:d}: {name}, recirc, out", frame, again + OUT, key=key)


@case("nsh")
def through(t):
    """A packet gets a header on its way in, and loses it on its way out."""
    (tap, *_) = t.switch(3)
    t.in_port_flow(1, PUSH + PUSH_ETH + OUT)
    t.inject("pushed", tap, f.udp4())
    t.flush()
    base = struct.pack("!BBBBI", 0, 63, 1, 3, 0x000123FF)
    nsh_flow(t, "popped", base, bytes(range(16)), POP_ETH + POP + o.a_recirc(1), b"\xff" * 8)
    again = u32(o.K_RECIRC_ID, 1) + o.k_in_port(1) + o.k_eth() + o.k_type(0x0800)
    t.flow(
        "what was in it",
        again + o.k_ipv4("0.0.0.0", "0.0.0.0", 0),
        OUT,
        u32(o.K_RECIRC_ID, 0xFFFFFFFF) + o.k_type(0xFFFF),
    )
    for name, frame in (
        ("right", f.nsh_frame()),
        ("other index", f.nsh_frame(path=0x000123FE)),
        ("bad", f.nsh_frame(version=1)),
        ("ARP in it", f.nsh_frame(f.arp_frame())),
        ("short", f.nsh_frame(f.udp4()[:13])),
    ):
        t.inject(name, tap, frame)
    t.counters(ports=("t1", "t2"))


@case("nsh", ours=True)
def mru(t):
    """A packet that is to be cut, whose network header is none of IP: it may be
    dropped, or cut as C cuts it, but no more than that."""
    t.switch(2)
    big = f.eth(f.ipv4(f.udp(b"z" * 3000), 17))
    big6 = f.eth(f.ipv6(f.udp(b"z" * 3000, src=f.V61, dst=f.V62), 17), 0x86DD)
    for frame in (big, big6, f.nsh_frame(big)):
        for ttl in (0, 3, 4, 7, 60, 63):
            for flags in range(4):
                push = o.a_push_nsh(o.n_base(ttl=ttl, flags=flags), o.n_md1())
                for acts in (push, push + PUSH_ETH, push + PUSH_ETH + o.a_push_vlan(0x1001) * 2):
                    for value in (68, 600, 1280, 1500):
                        t.execute("push", frame, acts + OUT, extra=u16(o.PK_MRU, value))
        t.execute("pop", frame, POP_ETH + POP + OUT, extra=u16(o.PK_MRU, 1280))
    t.execute("alive", f.udp4(), OUT)
    t.check("frames" in t.records[-1], "packets go out afterwards")


@case("nsh")
def checksum(t):
    """A checksum that is still to be filled in is where the packet has moved."""
    (tap, *_) = t.switch(2)
    for name, frame, header in (
        ("udp4", f.udp4(partial=True), vnet(VNET_NEEDS_CSUM, 0, 0, 0, 34, 6)),
        ("tcp6", f.tcp6(partial=True), vnet(VNET_NEEDS_CSUM, 0, 0, 0, 54, 16)),
    ):
        kind = int.from_bytes(frame[12:14], "big")
        for what in ("push, push_eth", "push type 2, push_eth", "pop_eth, push, push_eth"):
            for last in (OUT, o.a_userspace(t.up.pid) + OUT):
                t.in_port_flow(1, LISTS[what] + last, kind=kind)
                t.inject(f"{name} {what}", tap, frame, header)
                t.flush()
    inside = f.nsh_frame(f.udp4(partial=True))
    base = struct.pack("!BBBBI", 0, 63, 1, 3, 0x000123FF)
    nsh_flow(t, "pop", base, bytes(16), POP_ETH + POP + OUT, b"\0\0\0\xff" + bytes(4))
    t.inject("popped", tap, inside, vnet(VNET_NEEDS_CSUM, 0, 0, 0, 38 + 34, 6))


GSO = {
    "tso4": (f.tcp4(payload=BIG, partial=True), vnet(VNET_NEEDS_CSUM, GSO_TCPV4, 54, 1000, 34, 16)),
    "tso6": (f.tcp6(payload=BIG, partial=True), vnet(VNET_NEEDS_CSUM, GSO_TCPV6, 74, 1000, 54, 16)),
    "uso4": (f.udp4(payload=BIG, partial=True), vnet(VNET_NEEDS_CSUM, GSO_UDP_L4, 42, 1000, 34, 6)),
}


@case_each("nsh", sorted(GSO.items()), timeout=40)
def gso(t, value):
    """A packet that stands for several gets a header: as sent, and as sent up."""
    frame, header = value
    (tap, *_) = t.switch(2)
    t.tap("tun0", tun=True, vnet_hdr=False)
    t.vport("tun0", port=3)
    kind = int.from_bytes(frame[12:14], "big")
    for name in (
        "push",
        "push, push_eth",
        "push type 2, push_eth",
        "push, push_eth, vlan",
        "pop_eth, push, push_eth",
        "push, push_eth, push, push_eth",
        "push_mpls, push, push_eth",
    ):
        for where, last in (
            ("out", OUT),
            ("out, layer 3", o.a_output(3)),
            ("up", o.a_userspace(t.up.pid)),
            ("up and out", o.a_userspace(t.up.pid) + OUT),
            ("again", o.a_recirc(3)),
        ):
            t.in_port_flow(1, LISTS[name] + last, kind=kind)
            t.inject(f"{name} {where}", tap, frame, header)
            t.flush()
    t.counters(ports=("t1", "t2"))


PAGED = {
    "udp4": lambda p: f.udp4(payload=p),
    "nsh": lambda p: f.nsh_frame(f.udp4(payload=p)),
    "type2": lambda p: f.nsh_frame(p, mdtype=2, metadata=bytes(40)),
}


@case_each("nsh", sorted(PAGED.items()))
def split(t, build):
    """Headers split between the linear part and pages at each byte (row 26)."""
    (tap, *_) = t.switch(2)
    frame = build(bytes(5000))
    kind = int.from_bytes(frame[12:14], "big")
    base = struct.pack("!BBBBI", 0, 63, 1, 3, 0x000123FF)
    for linear in [*range(14, 70), 200, 1000]:
        if kind == 0x0800:
            t.in_port_flow(1, PUSH + PUSH_ETH + OUT)
        else:
            acts = POP_ETH + POP + OUT
            nsh_flow(t, "flow", base, bytes(16), acts, b"\0\0\0\xff" + bytes(4), quiet=True)
        t.inject(f"{linear:d} bytes linear", tap, frame, vnet(0, 0, linear))
        t.flush()
