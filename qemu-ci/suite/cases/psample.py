# SPDX-License-Identifier: GPL-2.0
"""psample: samples of packets to whoever listens to the group."""

import struct

import frames as f
import nlcore
import ovsattr as o
from nlcore import attr, nest, u16, u32, u64
from ovsnl import Skip
from registry import case
from tap import GSO_TCPV4, VNET_NEEDS_CSUM, vnet

from cases.actions import KEYS, install
from cases.tunnels import TUNNELS

NAMES = (
    "iifindex oifindex origsize group seq rate data refcount tunnel pad out_tc out_tc_occ "
    "latency timestamp proto cookie probability"
).split()
OUT = o.a_output(2)


class Listener:
    """A member of the group, and what it got."""

    def __init__(self, t):
        family = nlcore.get_family(t.nl, "psample")
        if not isinstance(family, nlcore.Family):
            raise Skip("the kernel has no psample")
        self.t = t
        self.ident = family.ident
        self.nl = nlcore.Socket()
        self.nl.join(family.groups["packets"])

    def close(self):
        self.nl.close()

    def samples(self):
        return [self.tree(m) for m in self.nl.drain() if m.kind == self.ident]

    def tree(self, message):
        out = []
        attrs, rest = nlcore.parse_attrs(message.payload())
        for kind, value in attrs:
            name = NAMES[kind] if kind < len(NAMES) else kind
            if name == "iifindex":
                value = self.t.if_name(struct.unpack("=H", value)[0])
            elif name == "timestamp":
                value = len(value)
            elif name == "data":
                value = f"{len(value):d} bytes: {o.shorten(value)}"
            elif len(value) in (2, 4):
                value = int.from_bytes(value, "little")
            else:
                value = value.hex()
            out.append([name, value])
        return {"cmd": message.genl, "rest": rest, "attrs": out}


def send(t, listener, label, tap, frame, header=None):
    t.inject(label, tap, frame, header)
    t.note(label + ": samples", listener.samples())


@case("psample")
def forms(t):
    """Its attributes: each missing, twice, unknown, of another length; the
    flag that says that they are nested is needed."""
    t.switch(1)

    def check(label, *parts, flag=True):
        for where, after in (("", b""), (", not last", o.a_output(1))):
            install(t, label + where, "udp4", nest(o.A_PSAMPLE, *parts, flag=flag) + after)

    group, cookie = u32(o.PS_GROUP, 7), attr(o.PS_COOKIE, b"abc")
    check("group", group)
    check("group, cookie", group, cookie)
    check("cookie, group", cookie, group)
    check("no flag", group, flag=False)
    check("no flag, cookie", group, cookie, flag=False)
    check("nothing")
    check("nothing, no flag", flag=False)
    check("cookie alone", cookie)
    check("groups", group, u32(o.PS_GROUP, 8))
    check("cookies", group, cookie, attr(o.PS_COOKIE, b"def0"))
    check("cookies, the first too long", group, attr(o.PS_COOKIE, bytes(17)), cookie)
    for value in (0, 1, 0x7FFFFFFF, 0xFFFFFFFF):
        check(f"group {value:#x}", u32(o.PS_GROUP, value))
    for size in range(9):
        check(f"group of {size:d} bytes", attr(o.PS_GROUP, bytes(size)))
    for size in (*range(19), 32, 1000):
        body = (bytes(range(1, 251)) * 4)[:size]
        check(f"cookie of {size:d} bytes", group, attr(o.PS_COOKIE, body))
        check(f"cookie of {size:d} bytes first", attr(o.PS_COOKIE, body), group)
    for kind in (0, 3, 4, 100, 0x3FFF):
        check(f"unknown {kind:d}", group, u32(kind, 1))
        check(f"unknown {kind:d} first", u32(kind, 1), group)
    check("flagged group", u32(o.PS_GROUP | 0x8000, 7))
    check("flagged cookie", group, attr(o.PS_COOKIE | 0x8000, b"abc"))
    check("byte order", u32(o.PS_GROUP | 0x4000, 7))
    check("cookie, byte order", group, attr(o.PS_COOKIE | 0x4000, b"abc"))
    for size in range(1, 8):
        check(f"tail of {size:d} bytes", group, b"\1" * size)
        check(f"{size:d} bytes", bytes(size))
    check("cut", attr(o.PS_GROUP, bytes(4), length=40))
    check("short", attr(o.PS_GROUP, bytes(4), length=3))
    check("cookie without padding", group, attr(o.PS_COOKIE, b"abc", pad=False))
    check("cookie without padding first", attr(o.PS_COOKIE, b"abc", pad=False), group)
    install(t, "both flags", "udp4", attr(o.A_PSAMPLE | 0xC000, group))
    install(t, "in clone", "udp4", o.a_clone(o.a_psample(7)) + o.a_output(1))
    install(t, "in sample", "udp4", o.a_sample(5, o.a_psample(7, b"x")) + o.a_output(1))
    for key in KEYS:
        install(t, "on " + key, key, o.a_psample(7))


@case("psample")
def listeners(t):
    """Without one, with one, with one that has gone, and with another group's
    number."""
    (tap, *_) = t.switch(2)
    listener = Listener(t)
    listener.close()
    t.in_port_flow(1, o.a_psample(7, b"cookie") + OUT)
    t.inject("nobody", tap, f.udp4())
    listener = Listener(t)
    second = Listener(t)
    send(t, listener, "two", tap, f.udp4())
    t.note("second", second.samples())
    second.close()
    send(t, listener, "one", tap, f.udp4())
    send(t, listener, "again", tap, f.udp4(sport=9))
    t.flush()
    send(t, listener, "no flow", tap, f.udp4())
    for group in (0, 1, 0xFFFFFFFF):
        t.in_port_flow(1, o.a_psample(group))
        send(t, listener, f"group {group:#x}", tap, f.udp4())
        t.flush()
    listener.close()
    t.in_port_flow(1, o.a_psample(7))
    t.inject("nobody again", tap, f.udp4())
    t.counters(ports=("t1", "t2"))


@case("psample")
def cookies(t):
    """Each length that there is."""
    (tap, *_) = t.switch(2)
    listener = Listener(t)
    for size in (None, *range(18)):
        cookie = None if size is None else bytes(range(0xA0, 0xA0 + size))
        if not t.in_port_flow(1, o.a_psample(7, cookie) + OUT).errno:
            send(t, listener, f"cookie {size}", tap, f.udp4())
            t.flush()
    two = nest(
        o.A_PSAMPLE,
        attr(o.PS_COOKIE, b"first"),
        u32(o.PS_GROUP, 1),
        attr(o.PS_COOKIE, b"second"),
        u32(o.PS_GROUP, 2),
        flag=True,
    )
    t.in_port_flow(1, two)
    send(t, listener, "two of each", tap, f.udp4())


@case("psample")
def lists(t):
    """Among other actions: what is sampled is the packet as it is there."""
    (tap, *_) = t.switch(3)
    listener = Listener(t)
    see = o.a_userspace(t.up.pid, b"x", actions=True)
    sample = o.a_psample(7, b"c")
    for name, acts in (
        ("only", sample),
        ("first", sample + OUT),
        ("last", OUT + sample),
        ("twice", sample + o.a_psample(8) + OUT),
        ("drop", sample + o.a_drop()),
        ("set before", o.a_set(o.k_udp(7, 8)) + sample + OUT),
        ("set after", sample + o.a_set(o.k_udp(7, 8)) + OUT),
        ("push before", o.a_push_vlan(0x1005) + sample + OUT),
        ("pushes before", o.a_push_vlan(0x1005) + o.a_push_vlan(0x1006) + sample + OUT),
        ("pop_eth before", o.a_pop_eth() + sample),
        ("clone", o.a_clone(sample) + OUT),
        ("clone, set", o.a_clone(sample + o.a_set(o.k_udp(7, 8)) + sample) + sample + OUT),
        ("clone, not last", o.a_clone(OUT + sample) + OUT),
        ("userspace", sample + see),
        ("recirc", sample + o.a_recirc(1)),
        ("recirc, output", o.a_recirc(1) + sample + OUT),
        ("check_pkt_len", o.a_check_pkt_len(60, sample, sample + sample) + OUT),
        ("dec_ttl", o.a_dec_ttl(sample) + OUT),
        ("no port", sample + o.a_output(77)),
    ):
        t.in_port_flow(1, acts)
        t.in_port_flow(1, sample + see + OUT, recirc=1)
        for kind, frame in (
            ("", f.udp4(payload=b"abc")),
            (", long", f.udp4(payload=bytes(200))),
            (", ttl 1", f.udp4(ttl=1)),
        ):
            send(t, listener, name + kind, tap, frame)
        t.flush()
    t.counters(ports=("t1", "t2"))


@case("psample")
def truncation(t):
    """A sample is cut by what came before, and uses that up."""
    (tap, *_) = t.switch(2)
    listener = Listener(t)
    sample = o.a_psample(7)
    frame = f.udp4(payload=bytes(range(250)))
    for size in (14, 15, 100, 291, 292, 293, 0xFFFFFFFF):
        for name, acts in (
            ("sample", o.a_trunc(size) + sample),
            ("sample, output", o.a_trunc(size) + sample + OUT),
            ("output, sample", o.a_trunc(size) + OUT + sample),
            ("sample, sample", o.a_trunc(size) + sample + sample + OUT),
            ("in clone", o.a_trunc(size) + o.a_clone(sample) + OUT),
            ("clone cuts", o.a_clone(o.a_trunc(size) + sample) + sample + OUT),
            ("in sample", o.a_trunc(size) + o.a_sample(0xFFFFFFFF, sample) + OUT),
            ("sample cuts", o.a_sample(0xFFFFFFFF, o.a_trunc(size) + sample) + sample + OUT),
        ):
            t.in_port_flow(1, acts)
            send(t, listener, f"{name} {size:d}", tap, frame)
            t.flush()


@case("psample")
def probability(t):
    """A sample says with which probability the packet was chosen."""
    (tap, *_) = t.switch(2)
    listener = Listener(t)
    sample, all_of = o.a_psample(7), 0xFFFFFFFF
    # Less than all, and yet all that anybody will see.
    most = all_of - 1
    for name, acts in (
        ("0", o.a_sample(0, sample) + OUT),
        ("0, after", o.a_sample(0, sample) + sample + OUT),
        ("all", o.a_sample(all_of, sample) + OUT),
        ("all, last", o.a_sample(all_of, sample)),
        ("most", o.a_sample(most, sample) + OUT),
        ("most, last", OUT + o.a_sample(most, sample)),
        ("most, after", o.a_sample(most, sample) + sample + OUT),
        ("most, 0 after", o.a_sample(most, sample) + o.a_sample(0, sample) + sample),
        ("most in all", o.a_sample(all_of, o.a_sample(most, sample), sample) + sample),
        ("all in most", o.a_sample(most, o.a_sample(all_of, sample), sample) + sample),
        ("all in most, last", o.a_sample(most, sample, o.a_sample(all_of, sample))),
        ("clone in most", o.a_sample(most, o.a_clone(sample), sample) + sample),
        ("most in clone", o.a_clone(o.a_sample(most, sample), sample) + sample),
        ("recirc in most", o.a_sample(most, o.a_recirc(1)) + sample),
        ("recirc after most", o.a_sample(most, sample) + o.a_recirc(1)),
        ("set in most", o.a_sample(most, o.a_set(o.k_udp(7, 8)), sample) + sample),
        ("check_pkt_len in most", o.a_sample(most, o.a_check_pkt_len(99, sample)) + sample),
        ("dec_ttl in most", o.a_sample(most, o.a_dec_ttl(sample) + sample) + sample),
    ):
        t.in_port_flow(1, acts)
        t.in_port_flow(1, sample + OUT, recirc=1)
        send(t, listener, name, tap, f.udp4())
        send(t, listener, name + ", ttl 1", tap, f.udp4(ttl=1))
        t.flush()


@case("psample", ours=True)
def chance(t):
    """About as many as are asked for, each with the probability."""
    (tap, *_) = t.switch(2)
    listener = Listener(t)
    for share in (0x20000000, 0x80000000, 0xE0000000):
        t.in_port_flow(1, o.a_sample(share, o.a_psample(7)) + OUT)
        got = 0
        for _ in range(800):
            tap.write(f.udp4())
            for one in listener.samples():
                got += 1
                rate = dict(one["attrs"]).get("rate")
                t.check(rate == share, f"the probability is {rate:#x}")
        t.taps["t2"].read()
        expected = 800 * share >> 32
        t.check(abs(got - expected) < 90, f"{got:d} of 800 for {share:#x}")
        t.flush()


FRAMES = {
    "arp": f.arp_frame(),
    "udp6": f.udp6(),
    "other": f.eth(bytes(60), 0x9000),
    "llc": f.eth(b"\x42\x42\3" + bytes(50), 53),
    "tag": f.udp4(vlans=(5,)),
    "two tags": f.udp4(vlans=((5, 0x88A8), 6)),
    "bare": f.udp4()[:14],
}


@case("psample")
def packets(t):
    """Packets of all kinds, short and long, and without an Ethernet header."""
    (tap, *_) = t.switch(2)
    listener = Listener(t)
    t.rt.set("t1", mtu=65535)
    tun = t.tap("tun0", tun=True)
    t.vport("tun0", port=3)
    key = o.k_eth() + o.k_type(0x0800) + o.k_ipv4("0.0.0.0", "0.0.0.0", 0)
    t.flow("all", key, o.a_psample(7, b"all"), o.k_type(0), quiet=True)
    t.flow(
        "layer 3",
        o.k_in_port(3) + o.k_type(0x0800) + o.k_ipv4("0.0.0.0", "0.0.0.0", 0),
        o.a_psample(7, b"l3"),
        o.k_in_port(0xFFFFFFFF) + o.k_type(0xFFFF),
        quiet=True,
    )
    for name, frame in FRAMES.items():
        send(t, listener, name, tap, frame)
    for size in (65000, 65420, 65440, 65450, 65460, 65470, 65480, 65535):
        send(t, listener, f"{size:d} bytes", tap, f.eth(bytes(size - 14), 0x9000))
    big = f.tcp4(payload=bytes(range(250)) * 12, partial=True)
    send(t, listener, "gso", tap, big, vnet(VNET_NEEDS_CSUM, GSO_TCPV4, 54, 1000, 34, 16))
    send(t, listener, "partial", tap, f.udp4(partial=True), vnet(VNET_NEEDS_CSUM, 0, 0, 0, 34, 6))
    send(t, listener, "layer 3", tun, b"\0\0\x08\0" + f.udp4()[14:])


@case("psample")
def execute(t):
    """Packets from userspace: of which device they are."""
    t.switch(2)
    listener = Listener(t)
    for name, key, extra in (
        ("plain", b"", b""),
        ("from 1", o.k_in_port(1), b""),
        ("from 2", o.k_in_port(2), b""),
        ("from nowhere", o.k_in_port(99), b""),
        ("mark", o.k_in_port(1) + u32(o.K_SKB_MARK, 5), b""),
        ("mru", o.k_in_port(1), u16(o.PK_MRU, 60)),
        ("hash", o.k_in_port(1), u64(o.PK_HASH, 5)),
    ):
        t.execute(name, f.udp4(), o.a_psample(7, b"e") + OUT, key=key, extra=extra)
        t.note(name + ": samples", listener.samples())
        t.execute(name + ", cut", f.udp4(), o.a_trunc(20) + o.a_psample(7), key=key, extra=extra)
        t.note(name + ", cut: samples", listener.samples())
    t.execute("refused", f.udp4(), nest(o.A_PSAMPLE, u32(o.PS_GROUP, 1)) + OUT)
    t.note("refused: samples", listener.samples())


@case("psample")
def tunnels(t):
    """The tunnel that was set is told."""
    (tap, *_) = t.switch(2)
    listener = Listener(t)
    for name, tunnel in TUNNELS.items():
        acts = o.a_set(nest(o.K_TUNNEL, tunnel)) + o.a_psample(7, b"t") + OUT
        if not t.in_port_flow(1, acts).errno:
            send(t, listener, name, tap, f.udp4())
            t.flush()


@case("psample")
def kept(t):
    """Flows in dumps and in upcalls."""
    (tap, *_) = t.switch(2)
    see = o.a_userspace(t.up.pid, b"x", actions=True)
    t.in_port_flow(1, o.a_psample(7, b"cookie") + o.a_sample(5, o.a_psample(8)) + see)
    t.dump("dump", o.FLOW, dp="dp0")
    t.inject("seen", tap, f.udp4())
    t.counters(ports=("t1",))
