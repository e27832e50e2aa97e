# SPDX-License-Identifier: GPL-2.0
"""MPLS: label stacks in keys, and the actions that change them."""

import itertools
import re

import frames as f
import ovsattr as o
from nlcore import attr, be16, nest, u16, u32
from registry import case, case_each
from tap import GSO_TCPV4, GSO_TCPV6, GSO_UDP_L4, VNET_NEEDS_CSUM, vnet

from cases.actions import KEYS as FLOW_KEYS
from cases.actions import install

LSE = o.d_lse(0x12345, 3, True, 77)
LSE2 = o.d_lse(0x54321, 1, False, 33)
OUT = o.a_output(2)
ALL = b"\xff" * 4
L3 = 1  # OVS_MPLS_L3_TUNNEL_FLAG_MASK
BIG = bytes(range(250)) * 12


def mpls_flow(t, label, entries, actions, masks=None, kind=0x8847, **kw):
    """A flow on the first labels of MPLS packets from port 1."""
    key = o.k_in_port(1) + o.k_eth() + o.k_type(kind) + u32(o.K_RECIRC_ID, 0) + o.k_mpls(*entries)
    mask = o.k_in_port(0xFFFFFFFF) + o.k_type(0xFFFF) + u32(o.K_RECIRC_ID, 0xFFFFFFFF)
    if masks is None:
        masks = [ALL] * len(entries)
    mask += o.k_mpls(*masks) if masks else b""
    return t.flow(label, key, actions, mask, **kw)


def again(t, ident, actions, kind, inner):
    """What recirculates with this id and is of this type."""
    key = u32(o.K_RECIRC_ID, ident) + o.k_in_port(1) + o.k_eth() + o.k_type(kind) + inner
    mask = u32(o.K_RECIRC_ID, 0xFFFFFFFF) + o.k_type(0xFFFF)
    return t.flow(f"recirc flow {ident:d}", key, actions, mask, quiet=True, flags=0)


@case("mpls")
def labels(t):
    """Stacks of many labels, with and without an entry that ends them (row
    21): the first three are matched on, and none where the stack does not end."""
    (tap, *_) = t.switch(2)
    for name in ("t1", "t2"):
        t.rt.set(name, mtu=9000)
    for count in (1, 2, 3, 4, 5, 10, 254, 255, 256, 257, 258, 300, 511, 512, 513, 2000):
        for bos in (True, False):
            for kind in (0x8847, 0x8848):
                t.inject(f"{count:d} {bos} {kind:#x}", tap, f.mpls(count, kind=kind, bos=bos))
            t.inject(f"{count:d} {bos}, no more", tap, f.mpls(count, b"", bos=bos))
            t.inject(f"{count:d} {bos}, 3 bytes", tap, f.mpls(count, b"\0\0\1", bos=bos))
            t.execute(
                f"{count:d} {bos}, execute",
                f.mpls(count, bos=bos),
                o.a_userspace(t.up.pid),
                key=o.k_in_port(1),
            )
    # Entries that are the last one, at each place.
    for place in range(6):
        stack = b"".join(o.d_lse(16 + i, bos=i == place) for i in range(6))
        t.inject(f"ends at {place:d}", tap, f.eth(stack, 0x8847))
    t.counters(ports=("t1",))


@case("mpls")
def match(t):
    """Which flows packets with 1 to 4 labels hit."""
    (tap, *_) = t.switch(2)
    entries = [o.d_lse(16 + i, i % 8, False, 64 + i % 100) for i in range(3)]
    last = [o.d_lse(16 + i, i % 8, True, 64 + i % 100) for i in range(3)]
    label = b"\xff\xff\xf0\0"
    flows = {
        "any": (entries[:1], []),
        "any 3": (entries, []),
        "1": (last[:1], None),
        "1 of more": (entries[:1], None),
        "1 label": (entries[:1], [label]),
        "2": (entries[:1] + last[1:2], None),
        "2 labels": (entries[:2], [label] * 2),
        "3": (entries[:2] + last[2:], None),
        "3 labels": (entries, [label] * 3),
        "3 matched on 1": (entries, [ALL]),
        "3 matched on 2": (entries, [label] * 2),
        "1 matched on 3": (last[:1], [ALL] * 3),
        "other label": ([o.d_lse(99)], [label]),
        "first of 2": (entries[:2], [ALL, bytes(4)]),
        "second of 2": (entries[:2], [bytes(4), ALL]),
        "ttl": (entries[:1], [b"\0\0\0\xff"]),
        "tc": ([o.d_lse(0, 1, False, 0)] * 2, [bytes(4), b"\0\0\x0e\0"]),
    }
    for name, (keys, masks) in flows.items():
        mpls_flow(t, name, keys, OUT, masks)
        for count in (1, 2, 3, 4):
            t.inject(f"{name}: {count:d}", tap, f.mpls(count))
            t.inject(f"{name}: {count:d} without end", tap, f.mpls(count, b"", bos=False))
        t.inject(f"{name}: no label", tap, f.eth(b"", 0x8847))
        t.inject(f"{name}: multicast", tap, f.mpls(1, kind=0x8848))
        t.counters(name)
        t.flush()


@case("mpls")
def exact(t):
    """A flow made of a packet's key is hit by that packet alone, as far as three
    labels tell. A packet whose stack does not end has a key of no label, which
    cannot be given back."""
    (tap, *_) = t.switch(2)
    for count in (1, 2, 3, 4):
        for bos in (True, False):
            frame = f.mpls(count, bos=bos)
            t.inject(f"{count:d} {bos} miss", tap, f.mpls(count, b"" if not bos else None, bos=bos))
            entries = [o.d_lse(16 + i, i % 8, bos and i == count - 1, 64 + i) for i in range(count)]
            key = o.k_in_port(1) + o.k_eth(f.M1, f.M2) + o.k_type(0x8847) + o.k_mpls(*entries[:3])
            t.flow(f"{count:d} {bos} flow", key, OUT)
            for other in (1, 2, 3, 4):
                t.inject(f"{count:d} {bos}: {other:d}", tap, f.mpls(other))
            t.inject(f"{count:d} {bos}: same", tap, frame)
            t.dump(f"{count:d} {bos} dump", o.FLOW, dp="dp0")
            t.flush()


PARTS = {
    "push": o.a_push_mpls(LSE),
    "push mc": o.a_push_mpls(LSE2, 0x8848),
    "push ip": o.a_push_mpls(LSE, 0x0800),
    "pop ip": o.a_pop_mpls(0x0800),
    "pop mpls": o.a_pop_mpls(0x8847),
    "pop mc": o.a_pop_mpls(0x8848),
    "pop teb": o.a_pop_mpls(0x6558),
    "pop 0": o.a_pop_mpls(0),
    "add": o.a_add_mpls(LSE),
    "add l3": o.a_add_mpls(LSE, 0x8848, L3),
    "add ip": o.a_add_mpls(LSE, 0x0800, L3),
    "push_vlan": o.a_push_vlan(0x1001),
    "pop_vlan": o.a_pop_vlan(),
    "push_eth": o.a_push_eth(f.M1, f.M3),
    "pop_eth": o.a_pop_eth(),
    "set eth": o.a_set(o.k_eth(f.M3, f.M1)),
    "set ipv4": o.a_set_masked(o.K_IPV4, b"\1\2\3\4" + bytes(8), ALL + bytes(8)),
    "set udp": o.a_set(o.k_udp(7, 8)),
    "set mpls": o.a_set(o.k_mpls(LSE2)),
    "set mpls part": o.a_set_masked(o.K_MPLS, b"\0\0\x10\0", b"\0\0\xf0\0"),
    "recirc": o.a_recirc(1),
}
# What changes what the next action may be.
CHANGES = [name for name in PARTS if not name.startswith("set") and name != "recirc"]
KEYS = {name: FLOW_KEYS[name] for name in ("udp4", "tcp6", "arp", "vlan", "l3", "llc")} | {
    "mpls": o.k_eth() + o.k_type(0x8847) + o.k_mpls(LSE),
    "mpls_2": o.k_eth() + o.k_type(0x8848) + o.k_mpls(LSE2, LSE),
    "mpls_3": o.k_eth() + o.k_type(0x8847) + o.k_mpls(LSE2, LSE2, LSE),
    "mpls_l3": o.k_type(0x8847) + o.k_mpls(LSE2, LSE),
    "mpls_vlan": o.k_eth()
    + o.k_type(0x8100)
    + be16(o.K_VLAN, 0x1005)
    + nest(o.K_ENCAP, o.k_type(0x8847) + o.k_mpls(LSE)),
    "other": o.k_eth() + o.k_type(0x9000),
    "rarp": o.k_eth() + o.k_type(0x8035) + attr(o.K_ARP, bytes(24)),
}


@case_each("mpls", sorted(KEYS.items()), stock=("udp4", "mpls_2", "l3"), timeout=60)
def validate(t, key):
    """Lists of up to four actions, of which the last one shows what state the
    ones before have led to (rows 10 and 19)."""
    t.switch(1)
    for one in PARTS:
        install(t, one, key, PARTS[one], quiet=True)
        t.note(one, t.records.pop().get("err") if t.records else 0)
    for count in (1, 2):
        for before in itertools.product(CHANGES, repeat=count):
            acts = b"".join(PARTS[name] for name in before)
            taken = [last for last in PARTS if not refused(t, key, acts + PARTS[last])]
            t.note(" ".join(before), taken)
    for last in CHANGES:
        for before in itertools.product(("push", "add", "add l3", "pop mpls", "pop ip"), repeat=3):
            acts = b"".join(PARTS[name] for name in before)
            t.note(" ".join((*before, last)), refused(t, key, acts + PARTS[last]))


def refused(t, key, acts):
    """The errno with which a flow is refused."""
    reply = t.flow("flow", key, acts, flags=0, quiet=True)
    if reply.errno:
        t.records.pop()
    else:
        t.flush()
    return reply.errno


@case_each(
    "mpls",
    [(name, KEYS[name]) for name in ("udp4", "mpls_2", "mpls_l3", "vlan")],
    stock=("udp4",),
    timeout=60,
)
def validate_nested(t, key):
    """What a nested list begins with, and what one leaves behind: nothing."""
    t.switch(1)
    for wrap in (o.a_clone, lambda *a: o.a_sample(5, *a)):
        for before, inner in itertools.product(("", *CHANGES), CHANGES):
            taken = []
            for last in PARTS:
                for acts in (
                    PARTS.get(before, b"") + wrap(PARTS[inner] + PARTS[last]),
                    PARTS.get(before, b"") + wrap(PARTS[inner]) + PARTS[last],
                ):
                    taken.append(refused(t, key, acts))
            t.note(f"{before}, {inner}", taken)


@case("mpls")
def masked_labels(t):
    """How many labels a flow is known to have is how many its mask has."""
    t.switch(1)
    pops = [o.a_pop_mpls(0x8847) * n for n in range(6)]
    for count in (1, 2, 3):
        key = o.k_eth() + o.k_type(0x8847) + o.k_mpls(*([LSE2] * count))
        for masks in (0, 1, 2, 3):
            mask = o.k_type(0xFFFF) + (o.k_mpls(*([ALL] * masks)) if masks else b"")
            for number, acts in enumerate(pops):
                for name in ("pop ip", "pop mpls", "push", "set mpls"):
                    t.flow(
                        f"{count:d} labels, {masks:d} in the mask, {number:d} pops, {name}",
                        key,
                        acts + PARTS[name],
                        mask,
                        flags=0,
                    )
                    t.flush()


@case("mpls")
def arguments(t):
    """Types, labels, flags and padding of the actions."""
    t.switch(1)
    for kind in (0, 0x0800, 0x8846, 0x8847, 0x8848, 0x8849, 0x4788, 0xFFFF):
        for flags in (0, 1, 2, 3, 0x0100, 0xFFFF):
            install(t, f"add {kind:#x} {flags:#x}", "udp4", o.a_add_mpls(LSE, kind, flags))
        install(t, f"push {kind:#x}", "udp4", o.a_push_mpls(LSE, kind, b"\xa5\x5a"))
        install(t, f"pop {kind:#x}", "mpls", o.a_pop_mpls(kind))
    for entry in (bytes(4), ALL, LSE, LSE2):
        install(t, f"push {entry.hex()}", "udp4", o.a_push_mpls(entry))
        install(t, f"set {entry.hex()}", "mpls", o.a_set(o.k_mpls(entry)))
        install(t, f"set_masked {entry.hex()}", "mpls", o.a_set_masked(o.K_MPLS, LSE2, entry))
    for size in range(17):
        for key in ("mpls", "udp4"):
            for body in (bytes(size), b"\xff" * size):
                for kind in (o.A_SET, o.A_SET_MASKED):
                    install(t, f"{kind:d} of {size:d} {key}", key, nest(kind, attr(o.K_MPLS, body)))
    install(t, "nested flag", "mpls", nest(o.A_SET_MASKED, attr(o.K_MPLS | 0x8000, bytes(8))))


LISTS = {
    "push": PARTS["push"],
    "push mc": PARTS["push mc"],
    "push 2": PARTS["push"] + PARTS["push mc"],
    "push 3": PARTS["push"] * 3,
    "push 20": PARTS["push"] * 20,
    "push set": PARTS["push"] + PARTS["set mpls"],
    "push set part": PARTS["push"] + PARTS["set mpls part"],
    "push pop": PARTS["push"] + PARTS["pop ip"],
    "push 2 pop 2": PARTS["push"] * 2 + PARTS["pop mpls"] + PARTS["pop ip"],
    "push push_vlan": PARTS["push"] + PARTS["push_vlan"],
    "push push_vlan 2": PARTS["push"] + PARTS["push_vlan"] * 2,
    "push push_vlan pop_vlan": PARTS["push"] + PARTS["push_vlan"] + PARTS["pop_vlan"],
    "pop_vlan push": PARTS["pop_vlan"] + PARTS["push"],
    "pop_vlan push push_vlan": PARTS["pop_vlan"] + PARTS["push"] + PARTS["push_vlan"],
    "pop_vlan 2 push": PARTS["pop_vlan"] * 2 + PARTS["push"],
    "push set eth": PARTS["push"] + PARTS["set eth"],
    "pop": PARTS["pop ip"],
    "pop mpls": PARTS["pop mpls"],
    "pop 0": PARTS["pop 0"],
    "pop 2": PARTS["pop mpls"] + PARTS["pop ip"],
    "pop 3": PARTS["pop mpls"] * 2 + PARTS["pop ip"],
    "pop set eth": PARTS["pop ip"] + PARTS["set eth"],
    "pop push_vlan": PARTS["pop ip"] + PARTS["push_vlan"],
    "set": PARTS["set mpls"],
    "set part": PARTS["set mpls part"],
    "set pop": PARTS["set mpls"] + PARTS["pop ip"],
    "add": PARTS["add"],
    "add 2": PARTS["add"] * 2,
    "add push": PARTS["add"] + PARTS["push"],
    "add push_eth": PARTS["add"] + PARTS["push_eth"],
    "add set push_eth": PARTS["add"] + PARTS["set mpls"] + PARTS["push_eth"],
    "add l3": PARTS["add l3"],
    "add l3 2": PARTS["add l3"] * 2,
    "add push_eth push_vlan": PARTS["add"] + PARTS["push_eth"] + PARTS["push_vlan"],
    "add pop teb": PARTS["add"] + PARTS["pop teb"],
    "add pop ip push_eth": PARTS["add"] + PARTS["pop ip"] + PARTS["push_eth"],
    "pop_eth push": PARTS["pop_eth"] + PARTS["push"],
    "pop_eth push push_eth": PARTS["pop_eth"] + PARTS["push"] + PARTS["push_eth"],
    "pop_eth pop push_eth": PARTS["pop_eth"] + PARTS["pop ip"] + PARTS["push_eth"],
    "pop_eth pop teb": PARTS["pop_eth"] + PARTS["pop teb"],
    "pop_eth add": PARTS["pop_eth"] + PARTS["add"],
    "pop_eth add l3 push_eth": PARTS["pop_eth"] + PARTS["add l3"] + PARTS["push_eth"],
}
FRAMES = {
    "udp4": f.udp4(),
    "udp6": f.udp6(),
    "arp": f.arp_frame(),
    "vlan": f.udp4(vlans=(0x123,)),
    "qinq": f.udp4(vlans=((0x11, 0x88A8), 0x22)),
    "mpls": f.mpls(),
    "mpls_2": f.mpls(2),
    "mpls_3": f.mpls(3),
    "mpls_5": f.mpls(5),
    "mpls_no_end": f.mpls(6, b"", bos=False),
    "mpls_mc": f.mpls(2, kind=0x8848),
    "mpls_vlan": f.mpls(2, vlans=(9,)),
    "mpls_qinq": f.mpls(1, vlans=(9, 10)),
    "mpls_eth": f.mpls(1, f.udp4()),
    "mpls_short": f.mpls(1, b"\x45\0\0"),
    "other": f.eth(bytes(50), 0x9000),
}


@case_each("mpls", sorted(FRAMES.items()), stock=("udp4", "mpls_2", "mpls_vlan"), timeout=40)
def execute(t, frame):
    """What the actions make of a packet: as sent, as a key that is extracted
    again, and in segments of lists that begin with it (rows 28 and 37)."""
    t.switch(2)
    t.tap("tun0", tun=True, vnet_hdr=False)
    t.vport("tun0", port=3)
    for name, acts in LISTS.items():
        t.execute(name, frame, acts + OUT, key=o.k_in_port(1))
        t.execute(name + ", layer 3", frame, acts + o.a_output(3), key=o.k_in_port(1))
        t.execute(name + ", recirc", frame, acts + o.a_recirc(7), key=o.k_in_port(1))
        t.execute(name + ", recirc not last", frame, acts + o.a_recirc(7) + OUT, key=o.k_in_port(1))
        t.execute(
            name + ", in clone",
            frame,
            o.a_clone(acts + o.a_recirc(7)) + OUT,
            key=o.k_in_port(1),
        )
        t.execute(
            name + ", in clone, goes on",
            frame,
            o.a_clone(acts + OUT) + o.a_recirc(8),
            key=o.k_in_port(1),
        )
        t.execute(name + ", hash", frame, acts + o.a_hash(0, 1) + o.a_recirc(7))


@case("mpls")
def layer3(t):
    """Packets without Ethernet header, in and out."""
    t.switch(2)
    tun = t.tap("tun0", tun=True, vnet_hdr=False)
    t.vport("tun0", port=3, pids=(t.up.pid,))
    packets = {
        "ip": (0x0800, f.ipv4(f.udp(), 17)),
        "mpls": (0x8847, f.labels(2) + f.ipv4(f.udp(), 17)),
        "mpls eth": (0x8847, f.labels(1) + f.udp4()),
        "no end": (0x8848, f.labels(3, bos=False)),
    }
    for what, (kind, packet) in packets.items():
        t.inject(what, tun, b"\0\0" + kind.to_bytes(2, "big") + packet)
        for name, acts in LISTS.items():
            key = o.k_in_port(3) + o.k_type(kind)
            t.execute(f"{what}: {name}", packet, acts + o.a_output(3), key=key)
            t.execute(f"{what}: {name}, Ethernet", packet, acts + OUT, key=key)
            t.execute(f"{what}: {name}, recirc", packet, acts + o.a_recirc(1), key=key)


@case("mpls")
def upcall_key(t):
    """An action that sends up before the key is extracted again shows the old
    one, but for what is not in it any more."""
    t.switch(2)
    see = o.a_userspace(t.up.pid, actions=True)
    for what in ("udp4", "mpls_2", "vlan"):
        for name, acts in LISTS.items():
            t.execute(f"{what}: {name}", FRAMES[what], acts + see + OUT, key=o.k_in_port(1))


@case("mpls")
def truncated(t):
    """Packets that end before what an action changes (row 37)."""
    t.switch(2)
    for what, frame in (
        ("one", f.mpls()),
        ("two", f.mpls(2)),
        ("no end", f.mpls(4, b"", bos=False)),
        ("tagged", f.mpls(1, vlans=(3,))),
        ("ethernet", f.mpls(1, f.udp4())),
    ):
        for size in range(14, min(len(frame), 60)):
            for name in ("pop ip", "pop mpls", "set mpls", "push", "add", "add l3"):
                t.execute(
                    f"{what} {size:d}: {name}",
                    frame[:size],
                    PARTS[name] + OUT,
                    key=o.k_in_port(1),
                )
                t.execute(
                    f"{what} {size:d}: {name}, recirc",
                    frame[:size],
                    PARTS[name] + o.a_recirc(1),
                    key=o.k_in_port(1),
                )
            t.execute(
                f"{what} {size:d}: pop to Ethernet",
                frame[:size],
                PARTS["pop_eth"] + PARTS["pop teb"] + o.a_recirc(1) + OUT,
                key=o.k_in_port(1),
            )


@case("mpls")
def through(t):
    """Packets from a port: labels pushed, swapped and popped on the way."""
    (tap, *_) = t.switch(2)
    t.in_port_flow(1, PARTS["push"] + PARTS["push mc"] + OUT)
    t.inject("pushed", tap, f.udp4())
    t.flush()
    first = [o.d_lse(16, 0, False, 64)]
    for name, acts in (
        ("swap", PARTS["set mpls"] + OUT),
        ("pop one", PARTS["pop mpls"] + OUT),
        ("pop and look again", PARTS["pop mpls"] + o.a_recirc(5)),
        ("to both", OUT + PARTS["pop mpls"] + o.a_output(1)),
    ):
        mpls_flow(t, name, first, acts)
        for count in (1, 2, 3):
            t.inject(f"{name}: {count:d}", tap, f.mpls(count))
        t.counters(name, ports=("t1", "t2"))
        t.flush()
    for count in (1, 2, 3):
        t.in_port_flow(1, PARTS["push"] * count + o.a_recirc(1))
        again(t, 1, PARTS["pop mpls"] + o.a_recirc(2), 0x8847, o.k_mpls(LSE))
        again(t, 2, PARTS["pop ip"] + o.a_recirc(3), 0x8847, o.k_mpls(LSE))
        again(t, 3, OUT, 0x0800, o.k_ipv4("0.0.0.0", "0.0.0.0", 0))
        t.inject(f"pushed and popped, {count:d}", tap, f.udp4())
        t.counters(f"pushed and popped, {count:d}")
        t.flush()


def fixed_ids(text):
    """Without the identification of IPv6 fragments, which is random."""
    return re.sub(r"(60000000\w{4}2c\w{2}\w{64}\w{8})\w{8}", r"\1<id>", text)


@case_each("mpls", [("v4", False), ("v6", True)], timeout=40)
def mru(t, six):
    """Fragments have the label stack, up to the length that a header before an
    IP packet may have (row 32)."""
    t.switch(2)
    t.scrub = fixed_ids
    if six:
        packet = f.ipv6(f.udp(b"z" * 3000, src=f.V61, dst=f.V62), 17)
        kind, inner = 0x86DD, o.k_ipv6("::", "::", 0)
    else:
        packet = f.ipv4(f.udp(b"z" * 3000), 17)
        kind, inner = 0x0800, o.k_ipv4("0.0.0.0", "0.0.0.0", 0)
    pop = o.a_pop_mpls(kind)
    frames = {
        "plain": f.eth(packet, kind),
        "vlan": f.eth(packet, kind, vlans=(5,)),
        "qinq": f.eth(packet, kind, vlans=(5, 6)),
    }
    for what, frame in frames.items():
        untag = {"plain": b"", "vlan": o.a_pop_vlan(), "qinq": o.a_pop_vlan() * 2}[what]
        for count in range(6):
            push = untag + PARTS["push"] * count
            for name, acts in (
                ("push", push),
                ("push, tag", push + PARTS["push_vlan"]),
                ("push, pop one", push + (o.a_pop_mpls(0x8847) if count > 1 else b"")),
                ("push, set", push + (PARTS["set mpls"] if count else b"")),
            ):
                for value in (600, 1280, 1500):
                    t.execute(
                        f"{what} {name} {count:d}, mru {value:d}",
                        frame,
                        acts + OUT,
                        key=o.k_in_port(1),
                        extra=u16(o.PK_MRU, value),
                    )
            # A push after all were popped must not take what an earlier one has
            # noted for where the IP header is.
            pops = o.a_pop_mpls(0x8847) * (count - 1) + pop if count else b""
            for more in (b"", PARTS["push"], PARTS["push"] * 2):
                again(t, 1, more + OUT, kind, inner)
                t.execute(
                    f"{what} push {count:d}, pop all, recirc, push {len(more) // 12:d}",
                    frame,
                    push + pops + o.a_recirc(1),
                    key=o.k_in_port(1),
                    extra=u16(o.PK_MRU, 1280),
                )
                t.flush()


@case("mpls", ours=True)
def mru_mpls(t):
    """A packet that was looked up as MPLS is not cut: C warns once, and ours says
    so too."""
    t.switch(2)
    big = f.mpls(2, f.ipv4(f.udp(b"z" * 3000), 17))
    t.execute("mpls", big, OUT, key=o.k_in_port(1), extra=u16(o.PK_MRU, 1280))
    t.check("frames" not in t.records[-1], "nothing comes out")
    t.check(
        any("Failed fragment" in line for line in t.records[-1].get("log", [])),
        "the reason is logged",
    )


@case("mpls")
def checksum(t):
    """A checksum that is still to be filled in is where the packet has moved."""
    (tap, *_) = t.switch(2)
    for name, frame, header in (
        ("udp4", f.udp4(partial=True), vnet(VNET_NEEDS_CSUM, 0, 0, 0, 34, 6)),
        ("tcp4", f.tcp4(partial=True), vnet(VNET_NEEDS_CSUM, 0, 0, 0, 34, 16)),
        ("udp6", f.udp6(partial=True), vnet(VNET_NEEDS_CSUM, 0, 0, 0, 54, 6)),
    ):
        kind = int.from_bytes(frame[12:14], "big")
        for acts in (
            PARTS["push"],
            PARTS["push"] * 2,
            PARTS["push"] + PARTS["push_vlan"],
            PARTS["push"] + o.a_pop_mpls(kind),
            PARTS["add"] + PARTS["push_eth"],
        ):
            t.in_port_flow(1, acts + OUT, kind=kind)
            t.inject(f"{name} out", tap, frame, header)
            t.flush()
            t.in_port_flow(1, acts + o.a_userspace(t.up.pid) + OUT, kind=kind)
            t.inject(f"{name} up", tap, frame, header)
            t.flush()


GSO = {
    "tso4": (f.tcp4(payload=BIG, partial=True), vnet(VNET_NEEDS_CSUM, GSO_TCPV4, 54, 1000, 34, 16)),
    "tso6": (f.tcp6(payload=BIG, partial=True), vnet(VNET_NEEDS_CSUM, GSO_TCPV6, 74, 1000, 54, 16)),
    "uso4": (f.udp4(payload=BIG, partial=True), vnet(VNET_NEEDS_CSUM, GSO_UDP_L4, 42, 1000, 34, 6)),
    "tso_vlan": (
        f.tcp4(payload=BIG, partial=True, vlans=(5,)),
        vnet(VNET_NEEDS_CSUM, GSO_TCPV4, 58, 1000, 38, 16),
    ),
}


@case_each("mpls", sorted(GSO.items()), timeout=40)
def gso(t, value):
    """A packet that stands for several gets labels: as sent, and as sent up."""
    frame, header = value
    (tap, *_) = t.switch(2)
    vlan = frame[12:14] == b"\x81\0"
    kind = int.from_bytes(frame[16:18] if vlan else frame[12:14], "big")
    if vlan:
        inner = o.k_type(0x0800) + o.k_ipv4("0.0.0.0", "0.0.0.0", 0)
        key = o.k_in_port(1) + o.k_eth() + o.k_type(0x8100) + be16(o.K_VLAN, 0x1005)
        key += nest(o.K_ENCAP, inner)
        mask = o.k_in_port(0xFFFFFFFF) + o.k_type(0xFFFF) + be16(o.K_VLAN, 0x1000)
        mask += nest(o.K_ENCAP, o.k_type(0xFFFF))
    for name, acts in (
        ("push", PARTS["push"]),
        ("push 2", PARTS["push"] * 2),
        ("push, tag", PARTS["push"] + PARTS["push_vlan"]),
        ("push, set", PARTS["push"] + PARTS["set mpls"]),
        ("push, pop", PARTS["push"] + o.a_pop_mpls(kind)),
        ("add, push_eth", PARTS["add"] + PARTS["push_eth"]),
    ):
        for where, last in (
            ("out", OUT),
            ("up", o.a_userspace(t.up.pid)),
            ("up and out", o.a_userspace(t.up.pid) + OUT),
            ("again", o.a_recirc(3)),
        ):
            if vlan:
                t.flow("flow", key, o.a_pop_vlan() + acts + last, mask, quiet=True)
            else:
                t.in_port_flow(1, acts + last, kind=kind)
            t.inject(f"{name} {where}", tap, frame, header)
            t.flush()
    t.counters(ports=("t1", "t2"))


PAGED = {
    "udp4": lambda p: f.udp4(payload=p),
    "mpls": lambda p: f.mpls(2, f.ipv4(f.udp(p), 17)),
    "vlan": lambda p: f.udp4(vlans=(5,), payload=p),
}


@case_each("mpls", sorted(PAGED.items()))
def split(t, build):
    """Headers split between the linear part and pages at each byte (row 26)."""
    (tap, *_) = t.switch(2)
    frame = build(bytes(5000))
    acts = {
        "udp4": PARTS["push"] * 2 + PARTS["set mpls"],
        "mpls": PARTS["set mpls"] + PARTS["pop mpls"] + PARTS["pop ip"],
        "vlan": PARTS["pop_vlan"] + PARTS["push"] + PARTS["push_vlan"],
    }
    kind = int.from_bytes(frame[12:14], "big")
    for linear in [*range(14, 60), 200, 1000]:
        if kind == 0x0800:
            t.in_port_flow(1, acts["udp4"] + OUT)
        elif kind == 0x8847:
            mpls_flow(t, "flow", [LSE], acts["mpls"] + OUT, [], quiet=True)
        else:
            t.flow(
                "flow",
                o.k_in_port(1)
                + o.k_eth()
                + o.k_type(0x8100)
                + be16(o.K_VLAN, 0x1005)
                + nest(o.K_ENCAP, o.k_type(0x0800) + o.k_ipv4("0.0.0.0", "0.0.0.0", 0)),
                acts["vlan"] + OUT,
                o.k_in_port(0xFFFFFFFF)
                + o.k_type(0xFFFF)
                + be16(o.K_VLAN, 0x1000)
                + nest(o.K_ENCAP, o.k_type(0xFFFF)),
                quiet=True,
            )
        t.inject(f"{linear:d} bytes linear", tap, frame, vnet(0, 0, linear))
        t.flush()
