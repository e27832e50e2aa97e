# SPDX-License-Identifier: GPL-2.0
"""Recirculation, hash, sample, clone, deferred actions and their limits."""

import frames as f
import ovsattr as o
import ovsnl
from nlcore import attr, be16, nest, string, u32
from registry import case, case_each

FRAME = f.udp4()
OUT = o.a_output(2)


def recirc_flow(t, ident, actions, extra_mask=b"", extra=b""):
    """Whatever recirculates with this id from any port."""
    key = (
        u32(o.K_RECIRC_ID, ident)
        + o.k_in_port(1)
        + o.k_eth()
        + o.k_type(0x0800)
        + o.k_ipv4("0.0.0.0", "0.0.0.0", 0)
        + extra
    )
    mask = u32(o.K_RECIRC_ID, 0xFFFFFFFF) + o.k_type(0xFFFF) + extra_mask
    return t.flow(f"recirc flow {ident:d}", key, actions, mask, quiet=True, flags=0)


@case("recirc")
def chain(t):
    """1, 2, .. n recirculations, up to and beyond the recursion limit."""
    (tap, *_) = t.switch(2)
    for count in (1, 2, 3, 4, 5, 6, 8):
        t.in_port_flow(1, o.a_recirc(1))
        for i in range(1, count):
            recirc_flow(t, i, o.a_recirc(i + 1))
        recirc_flow(t, count, OUT)
        t.inject(f"chain of {count:d}", tap, FRAME)
        t.counters(f"counters {count:d}")
        t.flush()


@case("recirc")
def loop(t):
    """A flow that recirculates to itself ends at the limit."""
    (tap, *_) = t.switch(2)
    t.in_port_flow(1, o.a_recirc(1))
    recirc_flow(t, 1, o.a_recirc(1))
    t.inject("last action", tap, FRAME)
    t.flush()
    t.in_port_flow(1, o.a_recirc(1) + OUT)
    recirc_flow(t, 1, o.a_recirc(1) + OUT)
    t.inject("not the last", tap, FRAME)
    t.execute("execute", FRAME, o.a_recirc(1), key=o.k_in_port(1))
    t.counters()


@case_each("recirc", [(str(n), n) for n in (1, 2, 3, 4, 5, 6, 9, 10, 11, 12, 15)])
def deferred(t, count):
    """Many clones that change the flow, at depth, fill the fifo."""
    (tap, *_) = t.switch(2)
    change = o.a_set(o.k_eth(f"02:00:00:00:00:{count:02x}", f.M2))
    nested = OUT
    for i in range(count):
        nested = o.a_clone(o.a_set(o.k_eth(f"02:00:00:00:01:{i:02x}", f.M2)) + nested) + OUT
    t.in_port_flow(1, nested)
    t.inject(f"nested {count:d} deep", tap, FRAME)
    t.flush()
    deep = o.a_clone(change + OUT) * count
    for _ in range(3):
        deep = o.a_clone(change + deep) + OUT
    t.in_port_flow(1, deep)
    t.inject(f"{count:d} at depth 4", tap, FRAME)
    t.flush()
    t.in_port_flow(1, (o.a_recirc(1)) * count + OUT)
    recirc_flow(t, 1, o.a_recirc(2) * 2 + OUT)
    recirc_flow(t, 2, o.a_recirc(3) * 2 + OUT)
    recirc_flow(t, 3, o.a_recirc(4) + OUT)
    recirc_flow(t, 4, OUT)
    t.inject(f"{count:d} recircs, fan out", tap, FRAME)
    t.counters()


@case("recirc")
def isolation(t):
    """Clone and sample change a packet of their own, set changes the key."""
    (tap, *_) = t.switch(3)
    to3 = o.a_output(3)
    change = o.a_set(o.k_eth("02:cc:00:00:00:01", "02:cc:00:00:00:02"))
    see = o.a_userspace(t.up.pid)
    for name, wrap in (
        ("clone", o.a_clone),
        ("sample all", lambda *a: o.a_sample(0xFFFFFFFF, *a)),
        ("sample none", lambda *a: o.a_sample(0, *a)),
    ):
        for what, acts in (
            ("set", change + OUT),
            ("set, see", change + see),
            ("vlan", o.a_push_vlan(0x1001) + OUT),
            ("pop_eth", o.a_pop_eth()),
            ("recirc", o.a_recirc(5)),
            ("set recirc", change + o.a_recirc(5)),
            ("see", see),
            ("nothing", b""),
            ("nested", o.a_clone(change + OUT) + OUT),
            ("hash", o.a_hash(0) + see),
        ):
            t.in_port_flow(1, wrap(acts))
            t.inject(f"{name} {what} last", tap, FRAME)
            t.flush()
            t.in_port_flow(1, wrap(acts) + see + to3)
            t.inject(f"{name} {what} not last", tap, FRAME)
            t.flush()


@case("recirc")
def hashes(t):
    """dp_hash: same for one flow of packets, seen after recirculation."""
    (tap, *_) = t.switch(3)
    for alg in (0, 1):
        for basis in (0, 1, 0xFFFFFFFF):
            t.in_port_flow(1, o.a_hash(alg, basis) + o.a_recirc(1))
            t.inject(f"{alg:d} {basis:#x}", tap, FRAME)
            t.inject(f"{alg:d} {basis:#x}, other", tap, f.udp4(sport=9))
            t.flush()
    # With a symmetric hash both directions fall into one bucket.
    t.in_port_flow(1, o.a_hash(1, 0) + o.a_recirc(1))
    t.dec.raw_hash = True
    got = []
    for src, dst, sport, dport in ((f.IP1, f.IP2, 5, 6), (f.IP2, f.IP1, 6, 5)):
        tap.write(f.eth(f.ipv4(f.udp(sport=sport, dport=dport), 17, src=src, dst=dst)))
        for msg in t.up.nl.drain():
            from nlcore import attr_dict

            got.append(attr_dict(attr_dict(msg.payload(4))[o.PK_KEY])[o.K_DP_HASH])
    t.dec.raw_hash = False
    t.check(
        len(got) == 2 and got[0] == got[1] and any(got[0]),
        f"a symmetric hash is the same both ways: {got}",
    )


@case("recirc")
def key_after_change(t):
    """Recirculation extracts the key anew after a change of headers."""
    (tap, *_) = t.switch(2)
    for name, acts in (
        ("set udp", o.a_set(o.k_udp(1, 2))),
        (
            "set ip",
            o.a_set_masked(
                o.K_IPV4, o.d_ipv4("7.7.7.7", "0.0.0.0", 0, ttl=0), b"\xff" * 4 + bytes(8)
            ),
        ),
        ("push_vlan", o.a_push_vlan(0x1007)),
        ("two vlans", o.a_push_vlan(0x1007) + o.a_push_vlan(0x1008)),
        ("eth", o.a_set(o.k_eth(f.M3, f.M3))),
        ("mark", o.a_set(u32(o.K_SKB_MARK, 0x77))),
        ("priority", o.a_set(u32(o.K_PRIORITY, 0x66))),
        ("pop push eth", o.a_pop_eth() + o.a_push_eth(f.M3, f.M1)),
        ("pop_eth", o.a_pop_eth()),
    ):
        t.flow(
            "flow",
            o.k_in_port(1)
            + o.k_eth(f.M1, f.M2)
            + o.k_type(0x0800)
            + o.k_ipv4(f.IP1, f.IP2, 17)
            + o.k_udp(1000, 2000),
            acts + o.a_recirc(3),
            quiet=True,
            flags=0,
        )
        t.inject(name, tap, FRAME)
        t.flush()


@case("recirc")
def probability(t):
    """Over many packets a sample of one half takes some and leaves some."""
    (tap, *_) = t.switch(2)
    t.in_port_flow(1, o.a_sample(0x80000000, OUT))
    for _ in range(200):
        tap.write(FRAME)
    taken = len(t.taps["t2"].read())
    t.check(50 < taken < 150, f"a half of 200 packets is not {taken:d}")


@case("recirc")
def recursion_limit(t):
    """A VLAN device on an internal port is a port of the same datapath: what
    goes out there comes in again, within the actions that send it. With three
    recirculations before that it is one level too deep at the second time."""
    (tap, *_) = t.switch(1)
    t.vport("int0", kind=o.T_INTERNAL, port=2, pids=(t.up.pid,))
    t.rt.set("int0", address="02:00:00:00:00:99")
    lower = u32(5, t.rt.index("int0"))  # IFLA_LINK
    try:
        t.rt.add("v5", "vlan", data=attr(1, b"\5\0"), extra=lower)
    except OSError as exc:
        raise ovsnl.Skip(f"no VLAN device: {exc}") from exc
    # The namespace does not end, with C either, while the device is a port.
    try:
        t.rt.up("int0", "v5")
        t.settle(0.2)
        t.vport("v5", port=3)
        tagged = o.k_in_port(2) + o.k_eth() + o.k_type(0x8100) + be16(o.K_VLAN, 0x1005)
        mask = o.k_in_port(0xFFFFFFFF) + o.k_type(0xFFFF) + be16(o.K_VLAN, 0xFFFF)
        inner = o.k_type(0x0800) + o.k_ipv4("0.0.0.0", "0.0.0.0", 0)
        t.flow(
            "tagged, from int0",
            tagged + nest(o.K_ENCAP, inner),
            o.a_pop_vlan() + o.a_output(3),
            mask + nest(o.K_ENCAP, o.k_type(0xFFFF)),
        )
        for rounds in (0, 1, 2, 3):
            t.in_port_flow(1, o.a_recirc(1) if rounds else o.a_output(3))
            for i in range(1, rounds):
                recirc_flow(t, i, o.a_recirc(i + 1))
            if rounds:
                recirc_flow(t, rounds, o.a_output(3))
            t.inject(f"{rounds:d} recirculations", tap, FRAME)
            t.counters(f"counters {rounds:d}", ports=("int0", "v5", "t1"))
            key = o.k_in_port(1) + o.k_eth() + o.k_type(0x0800)
            key += o.k_ipv4("0.0.0.0", "0.0.0.0", 0) + u32(o.K_RECIRC_ID, 0)
            mask1 = o.k_in_port(0xFFFFFFFF) + o.k_type(0xFFFF) + u32(o.K_RECIRC_ID, 0xFFFFFFFF)
            t.flow("gone", key, None, mask1, cmd=o.DEL, quiet=True)
    finally:
        t.req("vport_del v5", o.VPORT, o.DEL, string(o.VP_NAME, "v5"))
        t.rt.delete("v5")


CHANGE = o.a_set(o.k_eth("02:cc:00:00:00:01", "02:cc:00:00:00:02"))


def fans(depth):
    """A clone in a clone in a clone, each with a change, that end at port 2."""
    acts = o.a_output(2)
    for _ in range(depth):
        acts = o.a_clone(CHANGE + acts) + o.a_output(3)
    return acts


@case_each(
    "recirc",
    [(f"{depth:d}_{count:d}", (depth, count)) for depth in (0, 1, 2, 3, 4) for count in (1, 2, 3)],
)
def two_datapaths(t, how):
    """What goes out of one datapath comes in at another one by a VLAN device, at
    the level that it has reached, and recirculates there or in a clone: whatever
    is put off is gone on with at the first level."""
    depth, count = how
    (tap, *_) = t.switch(3)
    t.dp("dp1", o.F_UNALIGNED)
    far = t.tap_port("f1", 1, dp="dp1", pid=t.up.pid)
    t.rt.set("dp1", address="02:00:00:00:00:98")
    lower = u32(5, t.rt.index("dp1"))  # IFLA_LINK
    try:
        t.rt.add("v6", "vlan", data=attr(1, b"\6\0"), extra=lower)
    except OSError as exc:
        raise ovsnl.Skip(f"no VLAN device: {exc}") from exc
    # The namespace does not end, with C either, while the device is a port.
    try:
        t.rt.up("dp1", "v6")
        t.settle(0.2)
        t.req("vport_del t2", o.VPORT, o.DEL, string(o.VP_NAME, "t2"))
        t.vport("v6", port=2, pids=(t.up.pid,))
        key = o.k_in_port(0) + o.k_eth() + o.k_type(0x8100) + be16(o.K_VLAN, 0x1006)
        mask = o.k_in_port(0xFFFFFFFF) + o.k_type(0xFFFF) + be16(o.K_VLAN, 0xFFFF)
        inner = o.k_type(0x0800) + o.k_ipv4("0.0.0.0", "0.0.0.0", 0)
        for name, acts in (
            ("recirc last", o.a_recirc(1)),
            ("recirc", o.a_recirc(1) * count + o.a_output(1)),
            ("clone", o.a_clone(CHANGE + o.a_output(1)) * count + o.a_output(1)),
            ("clone, recirc", o.a_clone(CHANGE + o.a_recirc(1)) * count + o.a_userspace(t.up.pid)),
        ):
            t.flow(
                "tagged, from dp1",
                key + nest(o.K_ENCAP, inner),
                o.a_pop_vlan() + acts,
                mask + nest(o.K_ENCAP, o.k_type(0xFFFF)),
                dp="dp1",
                quiet=True,
                flags=0,
            )
            back = o.k_in_port(0) + o.k_eth() + o.k_type(0x0800) + u32(o.K_RECIRC_ID, 1)
            back += o.k_ipv4("0.0.0.0", "0.0.0.0", 0)
            masks = o.k_in_port(0xFFFFFFFF) + o.k_type(0xFFFF) + u32(o.K_RECIRC_ID, 0xFFFFFFFF)
            t.flow("again", back, o.a_output(1), masks, dp="dp1", quiet=True, flags=0)
            t.in_port_flow(1, fans(depth))
            t.inject(f"{name}, {count:d} times behind {depth:d} clones", tap, FRAME)
            t.counters(f"{name}", dp="dp1", ports=("dp1", "f1", "v6"))
            t.flush()
            t.flush("dp1")
        far.read()
    finally:
        t.req("vport_del v6", o.VPORT, o.DEL, string(o.VP_NAME, "v6"))
        t.rt.delete("v6")


@case("recirc")
def execute_forms(t):
    """Last and not last, with an inner error (rows 37 and 38)."""
    t.switch(2)
    parts = {
        "recirc": o.a_recirc(1),
        "clone": o.a_clone(OUT),
        "sample": o.a_sample(0xFFFFFFFF, OUT),
        "user": o.a_userspace(t.up.pid),
        "output": OUT,
        "clone(drop)": o.a_clone(o.a_drop(1)),
    }
    short = f.eth(f.ipv4(f.udp(), 17))[:30]
    for one, first in parts.items():
        t.execute(one, FRAME, first, key=o.k_in_port(1))
        t.execute(one + " of a short packet", short, first, key=o.k_in_port(1))
        for two, second in parts.items():
            t.execute(one + " " + two, FRAME, first + second, key=o.k_in_port(1))
    for name, frame in (
        ("udp4", FRAME),
        ("short", short),
        ("vlan", f.udp4(vlans=(5,))),
        ("tiny", f.eth(b"\x45", 0x0800)),
    ):
        for what, acts in (
            ("pop_vlan", o.a_pop_vlan()),
            ("push_vlan", o.a_push_vlan(0x1001)),
            ("pop_eth", o.a_pop_eth()),
        ):
            t.execute(f"{name} {what} recirc", frame, acts + o.a_recirc(2), key=o.k_in_port(1))
            t.execute(
                f"{name} {what} recirc not last",
                frame,
                acts + o.a_recirc(2) + OUT,
                key=o.k_in_port(1),
            )


_ = (attr, nest)
