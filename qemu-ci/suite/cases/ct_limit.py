# SPDX-License-Identifier: GPL-2.0
"""ovs_ct_limit: how many connections each zone may have."""

import os
import signal
import struct
import time

import nlcore
import ovsattr as o
import ovsnl
from nlcore import attr, nest, u32
from registry import case, case_each

from cases import _ct
from cases._ct import Talk, pipeline, rule
from cases.lifecycle import Netns

SET, DEL, GET = o.CTL_SET, o.CTL_DEL, o.CTL_GET
NAMES = {SET: "set", DEL: "del", GET: "get"}
EDGES = (0, 1, 511, 512, 513, 32767, 32768, 65535)


def show(t, label="all"):
    return t.ct_limit(label, GET)


@case("ct_limit")
def lengths(t):
    """Each command with each length of its attribute, in an aligned message and
    in one that ends with the attribute."""
    for cmd, name in NAMES.items():
        for size in list(range(0, 30)) + [36, 47, 48, 49]:
            body = (struct.pack("=iII", 3, 30, 300) * 5)[:size]
            t.req(f"{name} of {size:d}", o.CT_LIMIT, cmd, attr(o.CTL_ZONE_LIMIT, body))
            bare = attr(o.CTL_ZONE_LIMIT, body, pad=False)
            t.req(f"{name} of {size:d}, no padding", o.CT_LIMIT, cmd, bare)
            show(t)
        t.req(f"{name} and no attribute", o.CT_LIMIT, cmd)
        t.req(f"{name} too long", o.CT_LIMIT, cmd, attr(o.CTL_ZONE_LIMIT, bytes(12), length=40))
        t.req(f"{name} too short", o.CT_LIMIT, cmd, attr(o.CTL_ZONE_LIMIT, bytes(12), length=3))
    show(t)


@case("ct_limit")
def attributes(t):
    """Unknown attributes, the attribute twice, its flags, odd headers."""
    one, two = o.zone_limits((1, 10)), o.zone_limits((2, 20))
    for cmd, name in NAMES.items():
        for what, attrs in (
            ("twice", one + two),
            ("unknown before", u32(2, 1) + one),
            ("unknown after", one + u32(0x3000, 1)),
            ("unspec", attr(0) + one),
            ("trailing bytes", one + b"\1\2\3"),
            ("nested flag", nest(o.CTL_ZONE_LIMIT, one[4:], flag=True)),
            ("byte order flag", attr(o.CTL_ZONE_LIMIT | 0x4000, one[4:])),
        ):
            t.req(f"{name} {what}", o.CT_LIMIT, cmd, attrs)
            show(t)
        for version in (0, 1, 2, 255):
            t.req(f"{name} version {version:d}", o.CT_LIMIT, cmd, one, version=version)
        for flags in (nlcore.NLM_F_ECHO, nlcore.NLM_F_DUMP, nlcore.NLM_F_EXCL):
            t.req(f"{name} flags {flags:#x}", o.CT_LIMIT, cmd, one, flags=flags)
        t.req(f"{name} without ack", o.CT_LIMIT, cmd, one, ack=False)
        # The header's ifindex is not looked up and comes back as it was.
        for ifindex in (1, 77, 0x7FFFFFFF):
            t.req(f"{name} ifindex {ifindex:d}", o.CT_LIMIT, cmd, one, dp=ifindex)
    for cmd in (0, 4, 5, 255):
        t.req(f"command {cmd:d}", o.CT_LIMIT, cmd, one)


@case("ct_limit")
def zones(t):
    """Zones at the edges of their range and beyond it, one by one and together."""
    beyond = (-2, -(1 << 31), 65536, 65537, 131072, (1 << 31) - 1)
    show(t, "at first")
    for zone in (*EDGES, *beyond, o.DEFAULT_ZONE):
        t.ct_limit(f"get {zone:d}", GET, zone)
        t.ct_limit(f"set {zone:d}", SET, (zone, 5))
        t.ct_limit(f"get {zone:d}", GET, zone)
        t.ct_limit(f"set {zone:d} again", SET, (zone, 6))
        show(t)
        t.ct_limit(f"del {zone:d}", DEL, zone)
        t.ct_limit(f"del {zone:d} again", DEL, zone)
        show(t)
    every = (*EDGES, *beyond, o.DEFAULT_ZONE)
    t.ct_limit("set all", SET, *((zone, i + 1) for i, zone in enumerate(every)))
    show(t)
    t.ct_limit("get all by name", GET, *every)
    t.ct_limit("get some twice", GET, 1, 1, -1, -1, 2)
    t.ct_limit("del all", DEL, *every)
    show(t)


@case("ct_limit")
def values(t):
    """Limits; a zone of its own does not follow the default, others do."""
    for limit in (0, 1, 2, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF):
        t.ct_limit(f"set {limit:#x}", SET, (4, limit))
        t.ct_limit(f"default {limit:#x}", SET, (-1, limit ^ 0xF))
        t.ct_limit("get", GET, 4, 5, -1)
        show(t)
    t.ct_limit("in one message, twice", SET, (9, 1), (9, 2), (-1, 3), (-1, 4), (9, 3))
    show(t)
    t.ct_limit("delete the default", DEL, -1)
    t.ct_limit("get", GET, 4, 5, -1)


@case("ct_limit")
def order(t):
    """Zones that share a bucket, in the order in which they came; what is set
    anew keeps its place."""
    shared = (7, 519, 1031, 65031, 512 + 7 + 1024)
    for zone in shared:
        t.ct_limit(f"set {zone:d}", SET, (zone, zone))
        show(t)
    for zone in (1031, 7, shared[-1]):
        t.ct_limit(f"set {zone:d} anew", SET, (zone, 1))
        show(t)
    for zone in (1031, 7, 8, 519, 65031, shared[-1]):
        t.ct_limit(f"del {zone:d}", DEL, zone)
        show(t)
        t.ct_limit("each", GET, *shared)
    t.ct_limit("set in reverse", SET, *((zone, 2) for zone in reversed(shared)))
    show(t)


def filled(t, count, first=0):
    t.ct_limit(f"set {count:d}", SET, *((first + zone, zone + 1) for zone in range(count)))


@case("ct_limit")
def large(t):
    """As many zones as a message holds, and as a reply holds (row 52: each
    count is that of its zone)."""
    low, high = 1, 2000
    # What fits depends on the size of a buffer, not on what is in it.
    while low < high:
        middle = (low + high + 1) // 2
        ack, _ = t.nl.transact(
            t.fam[o.CT_LIMIT].ident,
            nlcore.NLM_F_ACK,
            nlcore.GENLHDR.pack(GET, 1, 0) + bytes(4) + o.zone_limits(*range(middle)),
        )
        low, high = (low, middle - 1) if ack.errno else (middle, high)
    t.note("zones in a reply", low)
    t.ct_limit("get as many", GET, *range(low))
    t.ct_limit("get one more", GET, *range(low + 1))
    filled(t, low - 1)
    show(t, "as many are there")
    filled(t, 1, low)
    show(t, "one more is there")
    filled(t, 5000)
    show(t, "far too many are there")
    t.ct_limit("get some", GET, *range(4990, 5010))
    t.ct_limit("del most", DEL, *range(10, 5000))
    t.ct_limit("del the rest", DEL, low)
    show(t, "ten")


@case("ct_limit", stock=False)
def all_zones(t):
    """A limit for each of the 65536 zones."""
    for first in range(0, 65536, 4096):
        filled(t, 4096, first)
    show(t)
    t.ct_limit("some", GET, *EDGES)
    for first in range(0, 65536, 4096):
        t.ct_limit("del", DEL, *range(first + 1, first + 4096))
    show(t)


@case("ct_limit")
def namespaces(t):
    """Each namespace has limits of its own, whatever the header says."""
    t.dp()
    t.ct_limit("set here", SET, (1, 11), (-1, 10))
    other = Netns(t)
    with other:
        nl = nlcore.Socket()
        t.pids[nl.portid] = "other"
    t.ct_limit("there, at first", GET, nl=nl)
    t.ct_limit("set there", SET, (1, 21), (2, 22), nl=nl, dp="dp0")
    t.ct_limit("there", GET, nl=nl)
    show(t, "here")
    t.ct_limit("del there", DEL, 1, nl=nl)
    t.ct_limit("there", GET, nl=nl)
    show(t, "here")
    nl.close()
    other.close()
    show(t, "here, alone again")


@case("ct_limit")
def netns_exit(t):
    """Namespaces end with limits in them (row 47)."""
    for i in range(10):
        other = Netns(t)
        with other:
            nl = nlcore.Socket()
            t.pids[nl.portid] = "other"
        t.ct_limit("set", SET, *((zone * 3, zone) for zone in range(5000)), nl=nl)
        t.ct_limit("del", DEL, *range(0, 15000, 7), nl=nl)
        t.ct_limit("one", GET, 3, nl=nl, quiet=i < 9)
        nl.close()
        other.close()
    t.settle(0.2)
    show(t)


@case("ct_limit", timeout=60)
def netns_life(t):
    """Namespaces with limits come and go while others are asked for theirs."""
    from cases.stress import during, fire

    def limits(nl, i):
        fire(nl, t, o.CT_LIMIT, SET, o.zone_limits(*((z, i) for z in range(i % 64, 2000, 64))))
        fire(nl, t, o.CT_LIMIT, GET, o.zone_limits(-1, *range(0, 400)))
        fire(nl, t, o.CT_LIMIT, GET, b"")
        fire(nl, t, o.CT_LIMIT, DEL, o.zone_limits(*range(0, 2000, 3)))

    nl = nlcore.Socket()
    count = [0]

    def beside():
        count[0] += 1
        limits(nl, count[0])

    def churn(i):
        other = Netns(t)
        with other:
            inner = nlcore.Socket()
        limits(inner, i)
        inner.close()
        other.close()
        limits(t.nl, i)

    during(t, beside, churn)
    nl.close()
    t.ct_limit("del all", DEL, *range(2000))
    show(t, "none is left")


def send(t, *args, **kw):
    """As _ct.send(), after what is gone was found to be gone: that is looked for
    once in a tick at most."""
    t.settle(0.05)
    _ct.send(t, *args, **kw)
    t.settle(0.05)


def commit(zone, *more):
    return o.a_ct(o.ct_commit(), o.ct_zone(zone), *more)


@case_each("ct_limit", [("4", False), ("6", True)], stock=("4", "6"))
def over(t, v6):
    """Connections over the limit are dropped, with a line in the log; those that
    are there go on, and so does what comes after one is gone."""
    t.switch(2)
    t.ct_limit("set", SET, (5, 3))
    rule(t, 1, 0, commit(5) + o.a_output(2))
    for i in range(5):
        send(t, f"connection {i:d}", Talk(v6, 100 + i).udp())
        t.ct_limit("count", GET, 5)
    send(t, "the first again", Talk(v6, 100).udp())
    for label, number, acts in (
        ("executed", 200, commit(5) + o.a_output(2)),
        ("in a clone", 201, o.a_clone(commit(5)) + o.a_output(2)),
        ("not committed", 202, o.a_ct(o.ct_zone(5))),
    ):
        t.execute(label, Talk(v6, number).udp(), acts, key=o.k_in_port(1))
        t.settle(0.05)
    t.ct_limit("higher", SET, (5, 4))
    send(t, "one more", Talk(v6, 104).udp())
    send(t, "no more", Talk(v6, 105).udp())
    t.ct_limit("lower", SET, (5, 1))
    send(t, "the first again", Talk(v6, 100).udp())
    send(t, "none", Talk(v6, 106).udp())
    t.ct_limit("none", SET, (5, 0))
    send(t, "without a limit", Talk(v6, 107).udp())
    t.ct_limit("count", GET, 5)
    t.ct_limit("all", GET)
    t.note("flush", t.ct.flush())
    t.settle(1.5)
    t.ct_limit("count", GET, 5)
    t.ct_limit("one", SET, (5, 1))
    send(t, "after the flush", Talk(v6, 108).udp())
    t.counters()


@case("ct_limit")
def default(t):
    """The default limit is each zone's own; zones with one do not have it."""
    t.switch(2)
    t.ct_limit("set", SET, (-1, 2), (9, 4), (10, 0))
    for zone in (0, 1, 9, 10, 65535):
        rule(t, 1, 0, commit(zone) + o.a_output(2), (0x0800,))
        for i in range(6):
            send(t, f"zone {zone:d}: {i:d}", Talk(sport=100 + i).udp(), dump=False)
        t.flush()
    t.ct_limit("counts", GET, 0, 1, 9, 10, 65535, 7, -1)
    t.ct_limit("all", GET)
    t.connections()
    t.ct_limit("del", DEL, -1, 9)
    rule(t, 1, 0, commit(1) + o.a_output(2), (0x0800,))
    send(t, "no limit any more", Talk(sport=500).udp(), dump=False)
    t.ct_limit("counts", GET, 0, 1, 9)


@case("ct_limit")
def protocols(t):
    """All protocols of a zone count together, of both IP versions; related and
    invalid packets."""
    t.switch(2)
    t.ct_limit("set", SET, (3, 4))
    pipeline(t, o.a_ct(o.ct_zone(3)), commit(3, o.ct_mark(1)))
    talk, talk6 = Talk(), Talk(True)
    for name, frame in (
        ("udp", talk.udp()),
        ("udp6", talk6.udp()),
        ("syn", talk.tcp(2)),
        ("echo", talk.echo()),
        ("syn6", talk6.tcp(2)),
        ("echo6", talk6.echo()),
    ):
        send(t, name, frame)
        t.ct_limit("count", GET, 3)
    send(t, "reply", talk.udp(back=True), back=True)
    send(t, "error", talk.error(talk.udp_packet()), back=True)
    send(t, "invalid", talk.tcp(3, seq=5))
    t.note("flush", t.ct.flush())
    nat = o.ct_nat(o.NAT_SRC, "10.1.0.77")
    t.flush()
    rule(t, 1, 0, commit(3, nat) + o.a_output(2), (0x0800,))
    t.ct_limit("one", SET, (3, 1))
    t.settle(1.5)
    send(t, "nat", Talk(sport=700).udp())
    send(t, "nat, too many", Talk(sport=701).udp())
    send(t, "nat, again", Talk(sport=700).udp())


@case("ct_limit")
def log_line(t):
    """One line for each packet over the limit, with the zone."""
    t.switch(2)
    for zone in (0, 1, 65535):
        t.ct_limit("set", SET, (zone, 1))
        for i in range(4):
            acts = commit(zone) + o.a_output(2)
            t.execute(f"{zone:d}: {i:d}", Talk(sport=i + 1).udp(), acts, key=o.k_in_port(1))
            t.settle(0.05)


@case("ct_limit")
def other_namespace(t):
    """The limits are those of the datapath's namespace."""
    t.switch(2)
    other = Netns(t)
    with other:
        nl = nlcore.Socket()
        t.pids[nl.portid] = "other"
    t.ct_limit("there", SET, (1, 1), (-1, 1), nl=nl)
    rule(t, 1, 0, commit(1) + o.a_output(2), (0x0800,))
    for i in range(3):
        send(t, f"{i:d}", Talk(sport=100 + i).udp())
    t.ct_limit("counts there", GET, 1, nl=nl)
    t.ct_limit("counts here", GET, 1)
    nl.close()
    other.close()


@case("ct_limit", timeout=60)
def netns_exit_under_traffic(t):
    """A namespace ends while packets commit connections in it, with limits (row
    48)."""
    from cases.stress import SECONDS

    end = time.monotonic() + SECONDS
    rounds = 0
    while time.monotonic() < end or rounds < 3:
        pid = os.fork()
        if not pid:
            try:
                nested(t)
            finally:
                os._exit(0)
        # It ends in the middle of what it does.
        time.sleep(0.05 * (1 + rounds % 4))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        rounds += 1
    t.settle(1.0)
    t.mc.drain()
    t.log.read()
    t.note("it went on")


def nested(t):
    """Packets without end in a namespace of its own, over its limits."""
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    ovsnl.setup_netns()
    inner = ovsnl.Context(t.name, t.fam)
    (tap, *_) = inner.switch(2)
    inner.ct_limit("set", SET, *((zone, 2) for zone in range(8)), (-1, 3))
    acts = b"".join(o.a_clone(commit(zone)) for zone in range(12))
    rule(inner, 1, 0, acts + o.a_output(2))
    parent = os.getpid()
    other = os.fork()
    i = 0
    while True:
        talk = Talk(bool(other), 1 + i % 1000)
        tap.write(talk.udp())
        inner.taps["t2"].read()
        i += 1
        if not other and os.getppid() != parent:
            os._exit(0)
