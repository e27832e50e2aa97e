# SPDX-License-Identifier: GPL-2.0
"""Connections under changes: packets on one processor, and on another what
takes away what they use. See stress.py."""

import nlcore
import ovsattr as o
import ovsnl
from ctnl import UDP_NAMES
from nlcore import attr, nest, string, u32
from registry import case

from cases._ct import SYN, Talk, any_key
from cases.conntrack_frag import parts
from cases.stress import during, fire

COMMIT = o.ct_commit()


def flow(kind, port, actions, recirc=0, proto=None):
    """Attributes of a flow for a message."""
    key, mask = any_key(kind, port, recirc, proto)
    return nest(o.FL_KEY, key) + nest(o.FL_MASK, mask) + nest(o.FL_ACTIONS, actions)


def packets(talks):
    """Frames of conversations, there and back."""
    out = []
    for talk in talks:
        out += [(0, talk.udp()), (1, talk.udp(back=True)), (0, talk.tcp(SYN)), (0, talk.echo())]
    return out


def traffic(t, frames):
    taps = (t.taps["t1"], t.taps["t2"])

    def run():
        for back, frame in frames:
            taps[back].write(frame)
        for tap in taps:
            tap.read()

    return run


def many(count=16):
    return packets([Talk(bool(i & 1), 1000 + i) for i in range(count)])


@case("conntrack_stress", timeout=60)
def actions_replaced(t):
    """Flows with templates, helpers and timeout policies are replaced under
    packets, and the policies go."""
    t.switch(2)
    dp = t.dps["dp0"]
    nat = o.ct_nat(o.NAT_SRC, "10.1.0.77")
    lists = (
        o.a_ct(COMMIT, o.ct_mark(1), o.ct_timeout("p")),
        o.a_ct(o.ct_force(), o.ct_helper("tftp")),
        o.a_ct(COMMIT, o.ct_zone(5), o.ct_helper("tftp"), nat),
        o.a_ct() + o.a_clone(o.a_ct(COMMIT, o.ct_labels(b"\1"))) + o.a_ct_clear(),
        o.a_ct(o.ct_nat()) + o.a_recirc(1),
        b"",
    )
    fire(t.nl, t, o.FLOW, o.NEW, flow(0x0800, 1, o.a_ct(COMMIT) + o.a_output(2), 1, 17), dp)
    frames = [(0, Talk(sport=1000 + i, dport=69).udp(b"\0\1f\0octet\0")) for i in range(16)]

    def churn(i):
        t.ct.timeout_policy("p", 2, 17, UDP_NAMES, unreplied=10)
        acts = lists[i % len(lists)] + o.a_output(2)
        fire(t.nl, t, o.FLOW, o.NEW, flow(0x0800, 1, acts, 0, 17), dp)
        t.ct.timeout_policy_del("p")
        if i % 7 == 6:
            t.ct.flush()

    during(t, traffic(t, frames), churn)
    t.flush()
    t.note("flush", t.ct.flush())
    t.connections()


@case("conntrack_stress", timeout=60)
def entries_flushed(t):
    """Entries are deleted, dumped and counted under packets that commit them, in
    several zones, with NAT, by force."""
    t.switch(2)
    dp = t.dps["dp0"]
    for kind, ip in ((0x0800, "10.1.0.77"), (0x86DD, "fd00::77")):
        one = o.a_ct(COMMIT, o.ct_nat(o.NAT_SRC, ip), o.ct_mark(1), o.ct_labels(b"\1"))
        two = o.a_ct(o.ct_force(), o.ct_zone(2), o.ct_mark(2))
        for port in (1, 2):
            acts = one + two + o.a_ct(o.ct_nat()) + o.a_output(3 - port)
            fire(t.nl, t, o.FLOW, o.NEW, flow(kind, port, acts), dp)

    def churn(i):
        if i % 3 == 0:
            t.ct.flush()
        t.ct.entries()
        fire(t.nl, t, o.CT_LIMIT, o.CTL_SET, o.zone_limits((0, 40 * (i % 2)), (2, 50)))
        fire(t.nl, t, o.CT_LIMIT, o.CTL_GET, o.zone_limits(0, 2))

    during(t, traffic(t, many()), churn)
    t.note("flush", t.ct.flush())
    t.connections()


@case("conntrack_stress", timeout=60)
def both_sides(t):
    """Two processors commit the same connections, with different values, one of
    them by EXECUTE."""
    t.switch(2)
    dp = t.dps["dp0"]
    acts = o.a_ct() + o.a_ct(COMMIT, o.ct_mark(1), o.ct_labels(b"\1")) + o.a_output(2)
    for kind in (0x0800, 0x86DD):
        fire(t.nl, t, o.FLOW, o.NEW, flow(kind, 1, acts), dp)
    frames = many()
    lists = (
        o.a_ct(COMMIT, o.ct_mark(2), o.ct_labels(b"\2")),
        o.a_ct(o.ct_force(), o.ct_mark(3)),
        o.a_clone(o.a_ct(COMMIT)) + o.a_ct(COMMIT, o.ct_labels(b"\4")),
    )

    def churn(i):
        _, frame = frames[i % len(frames)]
        request = attr(o.PK_PACKET, frame) + nest(o.PK_KEY, o.k_in_port(1))
        request += nest(o.PK_ACTIONS, lists[i % len(lists)])
        fire(t.nl, t, o.PACKET, o.EXECUTE, request, dp)
        if i % 40 == 39:
            t.ct.flush()

    during(t, traffic(t, frames), churn)
    t.note("flush", t.ct.flush())
    t.connections()


@case("conntrack_stress", timeout=60)
def fragments(t):
    """Fragments of the same packets come from both sides."""
    t.switch(2)
    dp = t.dps["dp0"]
    for kind in (0x0800, 0x86DD):
        acts = o.a_ct(COMMIT, o.ct_zone(1)) + o.a_output(2)
        fire(t.nl, t, o.FLOW, o.NEW, flow(kind, 1, acts), dp)
    frames = []
    for ident in range(8):
        for v6 in (False, True):
            frames += [(0, one) for one in parts(Talk(v6), (400, 800, 808), ident)]

    def churn(i):
        _, frame = frames[(i * 5) % len(frames)]
        request = attr(o.PK_PACKET, frame) + nest(o.PK_KEY, o.k_in_port(1))
        request += nest(o.PK_ACTIONS, o.a_ct(o.ct_zone(1)) + o.a_output(2))
        fire(t.nl, t, o.PACKET, o.EXECUTE, request, dp)

    during(t, traffic(t, frames), churn)
    t.note("flush", t.ct.flush())
    t.connections()


@case("conntrack_stress", timeout=60)
def datapath_gone(t):
    """The datapath goes while packets are in ct, and comes again."""
    up = t.upcall("up")
    tap = t.tap("t1")
    new = string(o.DP_NAME, "dp0") + u32(o.DP_UPCALL_PID, 0)
    port = string(o.VP_NAME, "t1") + u32(o.VP_TYPE, o.T_NETDEV) + u32(o.VP_UPCALL_PID, up.pid)
    frames = many(4)

    def run():
        for _, frame in frames:
            tap.write(frame)

    def churn(_):
        ack, msgs = fire(t.nl, t, o.DP, o.NEW, new, 0, nlcore.NLM_F_ECHO)
        if ack.errno:
            return
        dp = ovsnl.HDR.unpack(msgs[0].userhdr(4))[0]
        fire(t.nl, t, o.VPORT, o.NEW, port + u32(o.VP_PORT_NO, 1), dp)
        acts = o.a_ct() + o.a_ct(COMMIT, o.ct_zone(3)) + o.a_recirc(1)
        for kind in (0x0800, 0x86DD):
            fire(t.nl, t, o.FLOW, o.NEW, flow(kind, 1, acts), dp)
        fire(t.nl, t, o.DP, o.DEL, string(o.DP_NAME, "dp0"))
        up.nl.drain()

    during(t, run, churn)
    t.note("flush", t.ct.flush())
    t.connections()
