# SPDX-License-Identifier: GPL-2.0
"""Meters: their commands, good and bad, and packets that meet them.

Where a case counts what a meter lets through, time has no part in it: a band
whose rate is beyond its burst (in thousands) never fills again.
"""

import itertools
import random
import struct

import frames as f
import nlcore
import ovsattr as o
from nlcore import attr, be16, nest, u8, u16, u32, u64
from registry import case, case_each

from cases.lifecycle import Netns
from cases.stress import during, fire

CMDS = {"features": o.M_FEATURES, "set": o.M_SET, "get": o.M_GET, "del": o.M_DEL}
# In one place of the smallest table, all three.
SAME = (1, 1025, 4227858433)
NEVER = 0xFFFFFFFF


def band(rate=NEVER, burst=0, kind=o.BAND_DROP, extra=b""):
    return nest(0, u32(o.B_TYPE, kind), u32(o.B_RATE, rate), u32(o.B_BURST, burst), extra)


def flags(kbps=False, clear=False):
    return (attr(o.M_KBPS) if kbps else b"") + (attr(o.M_CLEAR) if clear else b"")


def stats(packets, size):
    return attr(o.M_STATS, struct.pack("=QQ", packets, size))


def put(t, ident, *bands, label=None, dp="dp0", extra=b"", quiet=True):
    """SET of one meter, recorded if it fails or is not `quiet`."""
    attrs = u32(o.M_ID, ident) + extra + nest(o.M_BANDS, *bands)
    return t.req(label or f"set {ident:d}", o.METER, o.M_SET, attrs, dp, quiet=quiet)


def get(t, ident, label=None, dp="dp0"):
    return t.req(label or f"get {ident:d}", o.METER, o.M_GET, u32(o.M_ID, ident), dp)


def delete(t, ident, label=None, dp="dp0", quiet=False):
    label = label or f"del {ident:d}"
    return t.req(label, o.METER, o.M_DEL, u32(o.M_ID, ident), dp, quiet=quiet)


@case("meter")
def features(t):
    """What ovs-vswitchd asks first, and what it asks of what is no datapath."""
    t.dp()
    t.vport("i0", kind=o.T_INTERNAL)
    t.rt.add("x0", "dummy")
    t.vport("x0")
    t.remember_links()
    for name, cmd in CMDS.items():
        for where, dp in (
            ("dp0", "dp0"),
            ("an internal port", t.rt.index("i0")),
            ("a device that is a port", t.rt.index("x0")),
            ("lo", 1),
            ("nothing", 0),
            ("nobody", 54321),
            ("a negative number", -1),
        ):
            attrs = u32(o.M_ID, 1) + nest(o.M_BANDS)
            t.req(f"{name} of {where}", o.METER, cmd, attrs, dp)
    for extra in (b"", u32(o.M_MAX_METERS, 5), u32(77, 1), b"\1\2\3"):
        t.req(f"features {extra.hex()}", o.METER, o.M_FEATURES, extra, "dp0")


@case("meter")
def life(t):
    t.dp()
    put(t, 1, band(1000, 10), quiet=False)
    get(t, 1)
    put(t, 1, band(2000, 20), quiet=False, label="again")
    get(t, 1)
    delete(t, 1)
    delete(t, 1, "del of none")
    get(t, 1)
    for cmd in CMDS.values():
        t.dump(f"dump {cmd:d}", o.METER, u32(o.M_ID, 1), "dp0", cmd=cmd)


@case("meter")
def missing(t):
    """Attributes that are not there, in all combinations."""
    t.dp()
    parts = {
        "id": u32(o.M_ID, 1),
        "kbps": attr(o.M_KBPS),
        "stats": stats(1, 2),
        "bands": nest(o.M_BANDS, band(5, 5)),
        "clear": attr(o.M_CLEAR),
    }
    for n in range(len(parts) + 1):
        for names in itertools.combinations(parts, n):
            attrs = b"".join(parts[name] for name in names)
            for name, cmd in CMDS.items():
                t.req(f"{name} {' '.join(names)}", o.METER, cmd, attrs, "dp0")
                t.req(f"{name} {' '.join(names)}, nowhere", o.METER, cmd, attrs)
    t.req("bad rate and no id", o.METER, o.M_SET, nest(o.M_BANDS, band(0)))
    t.req("bad rate, nowhere", o.METER, o.M_SET, u32(o.M_ID, 1) + nest(o.M_BANDS, band(0)))


@case("meter")
def lengths(t):
    """Each attribute of each length, with flags in its type, and twice."""
    t.dp()
    for kind in range(0, 12):
        for name, cmd in CMDS.items():
            rest = b"" if kind == o.M_ID else u32(o.M_ID, 1)
            rest += b"" if kind == o.M_BANDS else nest(o.M_BANDS, band(5, 5))
            for size in (0, 1, 3, 4, 5, 7, 8, 9, 15, 16, 17, 32):
                body = bytes((1,)) + bytes(size - 1) if size else b""
                label = f"{name}: {kind:d} of {size:d} bytes"
                t.req(label, o.METER, cmd, attr(kind, body) + rest, "dp0")
            for flag in (0x8000, 0x4000, 0xC000):
                label = f"{name}: {kind:d} with {flag:#x}"
                t.req(label, o.METER, cmd, attr(kind | flag, bytes(16)) + rest, "dp0")
    two = u32(o.M_ID, 1) + nest(o.M_BANDS, band(0)) + u32(o.M_ID, 2) + nest(o.M_BANDS, band(5))
    t.req("the last of two", o.METER, o.M_SET, two, "dp0")
    get(t, 1)
    get(t, 2)
    cut = u32(o.M_ID, 3) + attr(o.M_BANDS, band(5), length=200)
    t.req("longer than the message", o.METER, o.M_SET, cut, "dp0")
    t.req("trailing", o.METER, o.M_SET, u32(o.M_ID, 3) + nest(o.M_BANDS) + b"\1\2", "dp0")


@case("meter")
def bands(t):
    """Bands: how many, and each attribute of each."""
    t.dp()

    def one(label, *parts):
        reply = put(t, 7, *parts, label=label, quiet=False)
        if not reply.errno:
            delete(t, 7, "del: " + label)

    for n in range(0, 4):
        one(f"{n:d} bands", *(band(5, 5) for _ in range(n)))
    one("two, the second with no rate", band(5, 5), band(0))
    one("short rest", band(5, 5), b"\1\2\3")
    one("rest of a header", band(5, 5), struct.pack("=HH", 40, 0))
    one("not a band", u32(o.B_TYPE, 1))
    one("empty band", nest(0))
    one("an attribute of no length", struct.pack("=HH", 0, 0))
    good = {
        o.B_TYPE: u32(o.B_TYPE, 1),
        o.B_RATE: u32(o.B_RATE, 5),
        o.B_BURST: u32(o.B_BURST, 6),
        o.B_STATS: attr(o.B_STATS, struct.pack("=QQ", 8, 9)),
    }
    for n in range(len(good) + 1):
        for kinds in itertools.permutations(good, n):
            one(f"attributes {kinds}", nest(0, *(good[kind] for kind in kinds)))
    for kind in range(0, 7):
        rest = b"".join(body for other, body in good.items() if other != kind)
        for size in (0, 1, 3, 4, 5, 8, 15, 16, 17):
            body = attr(kind, (b"\1" + bytes(size))[:size])
            one(f"{kind:d} of {size:d} bytes first", nest(0, body, rest))
            one(f"{kind:d} of {size:d} bytes last", nest(0, rest, body))
        one(f"{kind:d} with flags", nest(0, attr(kind | 0x8000, b"\1\0\0\0" * 4), rest))
    for flag in (1, 0x8000, 0x3FFF):
        one(f"band of type {flag:#x}", attr(flag, band(5, 5)[4:]))
    one("trailing bytes in a band", nest(0, *good.values(), b"\1\2\3"))
    one("cut", nest(0, good[o.B_TYPE], good[o.B_RATE], attr(o.B_BURST, bytes(4), length=60)))
    for rate in (0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF):
        for burst in (0, 1, 0x7FFFFFFF, 0xFFFFFFFF):
            for kind in (0, 1, 2, 0xFFFFFFFF):
                one(f"{kind:d} {rate:d} {burst:d}", band(rate, burst, kind))
    one("rate 0 and no burst", nest(0, good[o.B_TYPE], u32(o.B_RATE, 0)))


@case("meter")
def keep_and_clear(t):
    """What is told of the meter that was replaced, and what the new one has."""
    t.dp()
    kinds = {
        "plain": b"",
        "clear": attr(o.M_CLEAR),
        "stats": stats(3, 4),
        "clear stats": attr(o.M_CLEAR) + stats(5, 6),
        "kbps used": attr(o.M_KBPS) + u64(o.M_USED, 7),
        "long stats": attr(o.M_STATS, struct.pack("=QQQ", 7, 8, 9)),
    }
    for (old, first), (new, second) in itertools.product(kinds.items(), repeat=2):
        for n in (0, 1):
            label = f"{old} to {new}, {n:d}"
            put(t, 9, *[band(5, 5)] * n, extra=first)
            t.execute("a packet", f.udp4(), o.a_meter(9), quiet=True)
            put(t, 9, *[band(5, 5)] * (1 - n), extra=second, label=label, quiet=False)
            get(t, 9, "get: " + label)
            t.execute("a packet", f.udp4(), o.a_meter(9), quiet=True)
            delete(t, 9, "del: " + label)


@case("meter")
def same_place(t):
    """Numbers that share a place, set, replaced and deleted in every order."""
    t.dp()
    steps = [(verb, ident) for ident in SAME for verb in ("set", "del")]
    for number, order in enumerate(itertools.permutations(steps, 4)):
        for verb, ident in order:
            if verb == "set":
                put(t, ident, band(5, 5), extra=stats(number, ident), quiet=False)
            else:
                delete(t, ident)
        for ident in SAME:
            get(t, ident)
        for ident in SAME:
            delete(t, ident, quiet=True)
    for ident in (0, 1024, 0xFFFFFFFF, 1023, 2047):
        put(t, ident, band(5, 5), quiet=False)
        put(t, ident, band(5, 5), quiet=False, label=f"replace {ident:d}")
    for ident in (0, 1024, 0xFFFFFFFF, 1023, 2047):
        get(t, ident)


def found(t, idents, dp="dp0"):
    """Which of the numbers there are, without a record of each."""
    out = []
    for ident in idents:
        ack, _ = fire(t.nl, t, o.METER, o.M_GET, u32(o.M_ID, ident), t.dps[dp])
        if not ack.errno:
            out.append(ident)
    return out


def ranges(numbers):
    """Sorted numbers as [first, last] of each run."""
    out = []
    for number in numbers:
        if out and out[-1][1] == number - 1:
            out[-1][1] = number
        else:
            out.append([number, number])
    return out


def fill(t, idents, *bands):
    """SET of many; the errors that came."""
    errors = []
    body = nest(o.M_BANDS, *bands)
    for ident in idents:
        ack, _ = fire(t.nl, t, o.METER, o.M_SET, u32(o.M_ID, ident) + body, t.dps["dp0"])
        if ack.errno:
            errors.append([ident, nlcore.errname(ack.errno)])
    return errors


def clear(t, idents):
    for ident in idents:
        fire(t.nl, t, o.METER, o.M_DEL, u32(o.M_ID, ident), t.dps["dp0"])


@case("meter", stock=False, timeout=60)
def grow(t):
    """The table grows with the meters and shrinks with them; what is found, and
    which places are taken, is C's."""
    t.switch(2)
    far = (3000, 2048 + 900, 0x80000000 + 500)
    t.note("far", fill(t, far))
    everything = list(range(0, 4200)) + [0x80000000 + 500]
    sizes = (900, 1018, 1019, 1020, 1021, 1022, 1023, 1024, 1500, 2040, 2050, 2100)
    before = 0
    for size in sizes:
        t.note(f"up to {size:d}", fill(t, range(before, size)))
        before = size
        t.note("found", ranges(found(t, everything)))
    for ident in (*far, 900, 952, 500, 1, 1025):
        put(t, ident, band(5, 0), quiet=False)
    t.note("found", ranges(found(t, everything)))
    for start, stop in ((1024, 2100), (600, 1024), (500, 600), (255, 500), (0, 255)):
        clear(t, range(start, stop))
        t.note(f"less {start:d} to {stop:d}", ranges(found(t, everything)))
        for ident in (1, 1025, SAME[2], *far):
            put(t, ident, quiet=False, label=f"set {ident:d} at {start:d}")
            delete(t, ident, quiet=True)
    for ident in (*far, 900, 952, 500, 1, 1025):
        delete(t, ident)
    t.note("left", ranges(found(t, everything)))


@case("meter", stock=False, timeout=60)
def mixed(t):
    """Random sets and deletes of numbers that share places, where the table is
    about to grow and to shrink."""
    rng = random.Random(5)
    t.dp()
    numbers = list(range(0, 1100)) + [1024 * k + i for k in (1, 2, 3, 4194303) for i in range(40)]
    for turn in range(4):
        rng.shuffle(numbers)
        t.note(f"set {turn:d}", fill(t, numbers))
        there = found(t, sorted(numbers))
        t.note(f"there {turn:d}", ranges(there))
        some = rng.sample(numbers, 600 + 150 * turn)
        clear(t, some)
        t.note(f"left {turn:d}", ranges(found(t, sorted(numbers))))
    t.dp_del()


def frame(size):
    """A UDP packet over IPv4 of this many bytes."""
    return f.udp4(payload=bytes(size - 42))


def sends(t, tap, label, n, packet=None):
    for i in range(n):
        t.inject(f"{label} {i:d}", tap, packet or frame(100))


@case("meter")
def packets(t):
    """As many packets as the burst has, and then none."""
    tap, *_ = t.switch(2)
    for burst in (0, 1, 3):
        put(t, 1, band(burst=burst))
        t.in_port_flow(1, o.a_meter(1) + o.a_output(2))
        sends(t, tap, f"burst {burst:d}", burst + 2)
        get(t, 1)
    t.counters(ports=("t1", "t2"))
    put(t, 1, quiet=False, label="no band")
    sends(t, tap, "no band", 2)
    delete(t, 1)
    sends(t, tap, "no meter", 2)
    put(t, 1, band(burst=1), label="a meter again")
    sends(t, tap, "a meter again", 3)
    put(t, 1, band(burst=1), label="replaced", quiet=False)
    sends(t, tap, "replaced", 3)
    delete(t, 1)


@case("meter")
def kilobits(t):
    """Bits of the packet as it is where the meter stands."""
    tap, *_ = t.switch(2)
    put(t, 1, band(burst=1), extra=flags(kbps=True))
    t.in_port_flow(1, o.a_meter(1) + o.a_output(2))
    # 1,000 bits: 125 bytes.
    for size in (64, 60, 62, 61, 60):
        t.inject(f"{size:d} bytes", tap, frame(size))
    get(t, 1)
    for name, before, packet in (
        ("vlan", b"", f.udp4(payload=bytes(60), vlans=(5,))),
        ("push_vlan", o.a_push_vlan(0x1005), frame(100)),
        ("two", o.a_push_vlan(0x1005) + o.a_push_vlan(0x1006, 0x88A8), frame(100)),
        ("trunc", o.a_trunc(60), frame(100)),
        ("pop_eth", o.a_pop_eth(), frame(100)),
        ("set", o.a_set(o.k_ipv4(f.IP2, f.IP1, 17)), frame(100)),
    ):
        t.flush()
        put(t, 2, band(burst=100), extra=flags(kbps=True))
        inner = o.k_type(0x0800) + o.k_ipv4(f.IP1, f.IP2, 17) + o.k_udp(1000, 2000)
        if name == "vlan":
            inner = o.k_type(0x8100) + be16(o.K_VLAN, 0x1005) + nest(o.K_ENCAP, inner)
        acts = before + o.a_meter(2) + o.a_output(2)
        t.flow(name, o.k_in_port(1) + o.k_eth() + inner, acts)
        sends(t, tap, name, 2, packet)
        get(t, 2, name)


@case("meter")
def other_types(t):
    """A band of another type counts and drops nothing."""
    tap, *_ = t.switch(2)
    t.in_port_flow(1, o.a_meter(1) + o.a_output(2))
    for kind in (0, 2, 0xFFFFFFFF):
        put(t, 1, band(burst=1, kind=kind))
        sends(t, tap, f"type {kind:d}", 3)
        get(t, 1)


@case("meter")
def where(t):
    """In every place of a list, in nested lists, twice, with others."""
    tap, *_ = t.switch(3)
    out = o.a_output(2)
    meters = {
        1: band(burst=1),
        2: band(burst=100),
        3: band(burst=100, kind=7),
    }
    lists = {
        "alone": o.a_meter(1),
        "last": out + o.a_meter(1),
        "first": o.a_meter(1) + out,
        "between": out + o.a_meter(1) + o.a_output(3),
        "twice": o.a_meter(1) + o.a_meter(1) + out,
        "two": o.a_meter(2) + o.a_meter(1) + out,
        "two, the other first": o.a_meter(1) + o.a_meter(2) + out,
        "missing": o.a_meter(1025) + out,
        "missing and one": o.a_meter(0) + o.a_meter(1) + out,
        "in clone": o.a_clone(o.a_meter(1), out) + o.a_output(3),
        "in the last clone": o.a_output(3) + o.a_clone(o.a_meter(1), out),
        "in sample": o.a_sample(NEVER, o.a_meter(1), out) + o.a_output(3),
        "in the last sample": o.a_sample(NEVER, o.a_meter(1), out),
        "before clone": o.a_meter(1) + o.a_clone(out) + o.a_output(3),
        "after set": o.a_set(o.k_udp(7, 8)) + o.a_meter(1) + out,
        "before set": o.a_meter(1) + o.a_set(o.k_udp(7, 8)) + out,
        "after trunc": o.a_trunc(60) + o.a_meter(3) + out,
        "before recirc": o.a_meter(1) + o.a_recirc(5),
        "before drop": o.a_meter(1) + o.a_drop(),
        "before userspace": o.a_meter(1) + o.a_userspace(t.up.pid, b"x", actions=True),
        "after userspace": o.a_userspace(t.up.pid, b"x", actions=True) + o.a_meter(1) + out,
    }
    t.in_port_flow(1, o.a_output(3), recirc=5)
    for name, acts in lists.items():
        for ident, one in meters.items():
            put(t, ident, one)
        t.in_port_flow(1, acts, label=name)
        sends(t, tap, name, 3, f.udp4(payload=bytes(58)))
        for ident in meters:
            get(t, ident, f"{name}: get {ident:d}")


@case("meter")
def upcalls(t):
    """A packet without a flow passes no meter; one that userspace sends
    does."""
    tap, *_ = t.switch(2)
    put(t, 1, band(burst=2))
    t.inject("no flow", tap, frame(100))
    for i in range(4):
        t.execute(f"execute {i:d}", frame(100), o.a_meter(1) + o.a_output(2), o.k_in_port(1))
    t.execute("of none", frame(100), o.a_meter(5) + o.a_output(2), o.k_in_port(1))
    get(t, 1)
    t.counters(ports=("t1", "t2"))


@case("meter", timeout=40)
def refill(t):
    """A bucket fills with time, to the burst and not beyond it."""
    tap, *_ = t.switch(2)
    # 250 bytes are 2,000 bits: two seconds of this rate.
    put(t, 1, band(1, 4), extra=flags(kbps=True))
    t.in_port_flow(1, o.a_meter(1) + o.a_output(2))
    sends(t, tap, "the burst", 3, frame(250))
    t.settle(2.5)
    sends(t, tap, "after a while", 2, frame(250))
    get(t, 1)
    # A thousand in a second, which never saves up more than ten.
    put(t, 2, band(1000, 10), extra=flags())
    t.in_port_flow(1, o.a_meter(2) + o.a_output(2))
    sends(t, tap, "many", 3)
    t.settle(0.1)
    sends(t, tap, "many more", 3)
    get(t, 2)


@case("meter")
def used(t):
    """USED is when the last packet came, and first when the meter was set."""
    tap, *_ = t.switch(2)

    def ms():
        body = get(t, 1).attrs().get(o.M_USED, bytes(8))
        return int.from_bytes(body, "little")

    put(t, 1, band(5, 5))
    first = ms()
    t.settle(0.05)
    t.check(ms() == first, "nothing changes without packets")
    t.in_port_flow(1, o.a_meter(1) + o.a_output(2))
    t.inject("a packet", tap, frame(100))
    second = ms()
    t.check(50 <= second - first < 60000, f"{second - first:d} ms later")
    with open("/proc/uptime") as handle:
        now = int(float(handle.read().split()[0]) * 1000)
    t.check(abs(now - second) < 60000, f"{second:d} ms since boot, and it is {now:d}")


@case("meter")
def dumped(t):
    """Flows show the action, whether or not there is such a meter."""
    t.switch(2)
    put(t, 1, band(5, 5))
    keys = o.k_in_port(1) + o.k_eth()
    lists = {
        "one": o.a_meter(1) + o.a_output(2),
        "none": o.a_meter(77),
        "largest": o.a_meter(NEVER),
        "in clone": o.a_clone(o.a_meter(1), o.a_output(2)) + o.a_meter(0),
        "in sample": o.a_sample(1, o.a_meter(1)),
        "many": b"".join(o.a_meter(i) for i in range(200)),
    }
    for i, (name, acts) in enumerate(lists.items()):
        key = keys + o.k_type(0x9000 + i)
        t.flow(name, key, acts)
        t.flow(name + ": get", key, None, cmd=o.GET)
        t.flow(name + ": probe", key, acts, extra=attr(o.FL_PROBE))
    t.dump("flows", o.FLOW, dp="dp0")
    for bad in (attr(o.A_METER), u8(o.A_METER, 1), u16(o.A_METER, 1), u64(o.A_METER, 1)):
        t.flow(f"bad {bad.hex()}", keys + o.k_type(0x9FFF), bad + o.a_output(2))
        t.execute(f"bad {bad.hex()}", frame(100), bad + o.a_output(2))
        t.flow(f"bad {bad.hex()} in clone", keys + o.k_type(0x9FFF), o.a_clone(bad))
    delete(t, 1)
    t.dump("flows without the meter", o.FLOW, dp="dp0")


@case("meter")
def two_datapaths(t):
    """Each has its own, and they go with it."""
    tap, *_ = t.switch(2)
    t.dp("dp1")
    put(t, 1, band(burst=1))
    put(t, 1, band(burst=9), dp="dp1", extra=stats(5, 6))
    put(t, 2, band(burst=9), dp="dp1")
    for dp in ("dp0", "dp1"):
        for ident in (1, 2):
            get(t, ident, f"{dp} {ident:d}", dp)
    t.in_port_flow(1, o.a_meter(1) + o.a_output(2))
    sends(t, tap, "dp0", 3)
    get(t, 1, "dp1 1", "dp1")
    t.dp_del("dp1")
    get(t, 1, "gone", t.dps["dp1"])
    t.dp("dp1")
    get(t, 1, "a new one has none", "dp1")
    get(t, 1)
    t.dp_del()
    t.dp()
    get(t, 1, "nor this")
    put(t, 1, band(burst=1), quiet=False)


@case("meter")
def namespaces(t):
    """Another namespace sees no meter of this one, and ends with its own."""
    t.dp()
    put(t, 1, band(5, 5))
    for turn in range(2):
        other = Netns(t)
        with other:
            nl = nlcore.Socket()
            t.pids[nl.portid] = "other"
            for name, cmd in CMDS.items():
                attrs = u32(o.M_ID, 1) + nest(o.M_BANDS)
                t.req(f"{name} from another namespace", o.METER, cmd, attrs, "dp0", nl=nl)
            new = nlcore.string(o.DP_NAME, "x0") + u32(o.DP_UPCALL_PID, 0)
            reply = t.req("new", o.DP, o.NEW, new, nl=nl, flags=nlcore.NLM_F_ECHO)
            dp = int.from_bytes(reply.msgs[0].userhdr(4), "little")
            t.ifnames[dp] = "x0"
            for ident in range(5):
                attrs = u32(o.M_ID, ident) + nest(o.M_BANDS, band(5, 5))
                t.req(f"set {ident:d}", o.METER, o.M_SET, attrs, dp, nl=nl)
            for name, cmd in CMDS.items():
                t.req(f"{name} there {turn:d}", o.METER, cmd, u32(o.M_ID, 3), dp, nl=nl)
            nl.close()
        other.close()
    get(t, 1)


@case("meter", stock=False)
def replies(t):
    """With and without ACK, echo and dump flags; nobody else is told."""
    t.dp()
    attrs = u32(o.M_ID, 1) + nest(o.M_BANDS, band(5, 5))
    for bits in (0, nlcore.NLM_F_ECHO, 0x100, 0x200, 0x400, 0x800):
        for name, cmd in (*CMDS.items(), ("unknown", 5), ("zero", 0)):
            for ack in (False, True):
                if not ack and name in ("unknown", "zero"):
                    continue
                label = f"{name} {bits:#x} {ack:d}"
                t.req(label, o.METER, cmd, attrs, "dp0", bits, ack=ack)
    for version in (0, 1, 2, 255):
        t.req(f"version {version:d}", o.METER, o.M_SET, attrs, "dp0", version=version)


@case_each("meter", [(str(n), n) for n in range(4)], timeout=60)
def fuzz(t, number):
    """Generated commands, whole and harmed."""
    from cases.fuzz import mutate

    rng = random.Random(f"meter/{number:d}")
    t.dp()
    for step in range(400):
        cmd = rng.choice((o.M_SET, o.M_SET, o.M_SET, o.M_GET, o.M_DEL, o.M_FEATURES))
        kind = rng.choice((0, 1, 1, 7))
        one = band(rng.choice((0, 1, NEVER)), rng.choice((0, 5, NEVER)), kind)
        parts = [u32(o.M_ID, rng.choice((*SAME, 2, 3)))]
        if rng.random() < 0.9:
            parts.append(nest(o.M_BANDS, *[one] * rng.choice((0, 1, 1, 1, 2))))
        if rng.random() < 0.3:
            parts.append(flags(rng.random() < 0.5, rng.random() < 0.5))
        if rng.random() < 0.3:
            parts.append(stats(step, number))
        rng.shuffle(parts)
        attrs = b"".join(parts)
        if rng.random() < 0.5:
            attrs = mutate(rng, attrs)
        t.req(f"{step:d} {cmd:d} {attrs.hex()}", o.METER, cmd, attrs, "dp0")
    for ident in (*SAME, 2, 3):
        get(t, ident)


@case("meter", stock=False, timeout=120)
def limit(t):
    """As many as there can be, and not one more; then all go at once."""
    t.dp()
    most = t.req("features", o.METER, o.M_FEATURES, b"", "dp0").attrs()
    most = int.from_bytes(most[o.M_MAX_METERS], "little")
    errors = fill(t, range(0, most + 2))
    t.note("errors", errors)
    t.note("found", found(t, range(most - 5, most + 3)))
    put(t, 0, band(5, 5), label="one that is there", quiet=False)
    delete(t, 5)
    put(t, most + 1, band(5, 5), label="room for one", quiet=False)
    put(t, most, band(5, 5), label="and no more", quiet=False)
    t.dp_del()
    t.dp()
    t.note("none", found(t, range(0, 5)))


def change(t, nl, rng):
    """A meter that packets may be at is set, replaced, read or deleted."""
    ident = rng.choice((*SAME, 2))
    attrs = u32(o.M_ID, ident) + nest(o.M_BANDS, band(rng.choice((1, 5000, NEVER)), 3))
    cmd = rng.choice((o.M_SET, o.M_SET, o.M_SET, o.M_GET, o.M_DEL))
    fire(nl, t, o.METER, cmd, attrs, t.dps["dp0"])


@case("stress", timeout=60)
def meters_under_traffic(t):
    """Meters come, are replaced and go, and the table grows and shrinks, while
    packets pass them (rows 81, 82, 84)."""
    tap, *_ = t.switch(2)
    acts = b"".join(o.a_clone(o.a_meter(i), o.a_output(2)) for i in (*SAME, 2))
    t.in_port_flow(1, acts)
    rng = random.Random(1)

    def traffic():
        for _ in range(8):
            tap.write(frame(100))
        t.taps["t2"].read()

    def churn(i):
        for _ in range(20):
            change(t, t.nl, rng)
        if i % 4 == 0:
            fill(t, range(3, 1030))
        elif i % 4 == 2:
            clear(t, range(3, 1030))

    during(t, traffic, churn)
    t.flush()


@case("stress", timeout=60)
def meters_from_two_sides(t):
    """Two processes change the same meters; a third thing is that their datapath
    goes with all of them."""
    t.dp()
    other = nlcore.Socket()
    rng = random.Random(2)
    theirs = random.Random(3)
    packet = attr(o.PK_PACKET, frame(100)) + nest(o.PK_KEY, o.k_in_port(1))
    packet += nest(o.PK_ACTIONS, *(o.a_meter(i) for i in (*SAME, 2)))
    new = nlcore.string(o.DP_NAME, "dp0") + u32(o.DP_UPCALL_PID, 0)

    def beside():
        change(t, other, theirs)
        fire(other, t, o.PACKET, o.EXECUTE, packet, t.dps["dp0"])

    def churn(i):
        change(t, t.nl, rng)
        if i % 500 == 499:
            fire(t.nl, t, o.DP, o.DEL, b"", t.dps["dp0"])
            fire(t.nl, t, o.DP, o.NEW, new)
            t.dps["dp0"] = t.rt.index("dp0")

    during(t, beside, churn)
    other.close()
