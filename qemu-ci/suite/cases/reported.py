# SPDX-License-Identifier: GPL-2.0
"""Bugs that C had, or that were reported for it, and that no other case is about.
Documentation/regressions.rst says which case is about which."""

import shutil
import socket
import subprocess

import frames as f
import nlcore
import ovsattr as o
import ovsnl
from nlcore import NLM_F_ECHO, attr, be16, nest, string, u32
from registry import case, case_each

from cases._ct import Talk, kinds_of, rule, send
from cases.lifecycle import Netns, gone
from cases.stress import during, fire

KEY = o.k_in_port(1) + o.k_eth() + o.k_type(0x0800) + o.k_ipv4(f.IP1, f.IP2, 17)
KEY += o.k_udp(1000, 2000)


@case("reported")
def short_ufid_misses(t):
    """A new flow with a short identifier, whose key is that of a flow without one
    (row 67): the reply has the key, for which it has to be large enough."""
    t.dp()
    for size in (1, 4, 15, 16):
        for flags in (0, NLM_F_ECHO):
            ufid = attr(o.FL_UFID, bytes((size,)) * size)
            for omit in (0, o.OMIT_KEY, o.OMIT_KEY | o.OMIT_MASK | o.OMIT_ACTIONS):
                extra = ufid + u32(o.FL_UFID_FLAGS, omit)
                t.flow("by key", KEY, o.a_output(1), flags=0)
                t.flow(f"{size:d} bytes, {omit:d}", KEY, o.a_output(2), flags=flags, extra=extra)
                t.dump("flows", o.FLOW, dp="dp0")
                t.flush()


@case("reported")
def name_taken(t):
    """A datapath whose local port cannot be made, again and again (row 59)."""
    t.dp()
    t.rt.add("x0", "dummy")
    attrs = (
        u32(o.DP_UPCALL_PID, 0) + u32(o.DP_USER_FEATURES, 8) + attr(o.DP_PER_CPU_PIDS, bytes(64))
    )
    for name in ("dp0", "x0"):
        for _ in range(200):
            t.req(name, o.DP, o.NEW, string(o.DP_NAME, name) + attrs, quiet=True)
        t.req("the last " + name, o.DP, o.NEW, string(o.DP_NAME, name) + attrs)
    t.dump("datapaths", o.DP)


@case("reported")
def egress_of_a_device_that_is_down(t):
    """What a tunnel that is down would send with (row 45): nothing is known."""
    t.switch(2)
    try:
        # Port 6635, MPLS.
        t.rt.add("bu0", "bareudp", be16(1, 6635) + be16(2, 0x8847))
    except OSError as exc:
        raise ovsnl.Skip(f"no bareudp device: {exc}") from exc
    t.vport("bu0", port=5)
    tunnel = attr(2, bytes((10, 9, 0, 2))) + attr(5, b"\x40")
    see = o.a_userspace(t.up.pid, tun_port=5)
    for label, acts in (("no tunnel", see), ("tunnel", o.a_set(nest(o.K_TUNNEL, tunnel)) + see)):
        t.execute(label, f.udp4(), acts, o.k_in_port(1))
        t.in_port_flow(1, acts)
        t.inject(label + ", flow", t.taps["t1"], f.udp4())
        t.flush()


@case("reported")
def received_time(t):
    """A packet that was given the time at which it came leaves at once through a
    qdisc that sends when a packet says (row 44)."""
    t.switch(2)
    if not shutil.which("tc"):
        raise ovsnl.Skip("no tc")
    done = subprocess.run(
        ["tc", "qdisc", "replace", "dev", "t2", "root", "fq"], capture_output=True, check=False
    )
    if done.returncode:
        raise ovsnl.Skip("no fq: " + done.stderr.decode(errors="replace").strip())
    t.in_port_flow(1, o.a_output(2))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stamps:
        # SO_TIMESTAMPNS: as long as it is set, packets get a time.
        stamps.setsockopt(socket.SOL_SOCKET, 35, 1)
        for number in range(5):
            t.inject(f"packet {number:d}", t.taps["t1"], f.udp4())
    t.counters(ports=("t2",))


@case("reported", timeout=60)
def ports_of_ending_namespaces(t):
    """Ports are asked for while their namespaces end (row 62)."""
    t.switch(1)
    new = string(o.VP_NAME, "iq") + u32(o.VP_TYPE, o.T_INTERNAL) + u32(o.VP_UPCALL_PID, 0)
    dp = t.dps["dp0"]
    nl = nlcore.Socket()

    def dumps():
        fire(nl, t, o.VPORT, o.GET, b"", dp, nlcore.NLM_F_DUMP)
        fire(nl, t, o.VPORT, o.GET, string(o.VP_NAME, "iq"))

    def moves(_):
        fire(t.nl, t, o.VPORT, o.NEW, new, dp)
        other = Netns(t)
        t.rt.set("iq", netns_fd=other.fd)
        other.close()
        fire(t.nl, t, o.VPORT, o.DEL, string(o.VP_NAME, "iq"))

    during(t, dumps, moves)
    nl.close()
    fire(t.nl, t, o.VPORT, o.DEL, string(o.VP_NAME, "iq"))
    gone(t, "iq")
    t.dump("ports", o.VPORT, dp="dp0")


@case_each("reported", [("4", False), ("6", True)], stock=("4", "6"))
def forced_back(t, v6):
    """A commit by force of what is new, in the direction of replies (row 54): its
    namespace can end."""
    t.switch(2)
    talk = Talk(v6)
    rule(t, 1, 0, o.a_ct() + o.a_recirc(1), kinds_of(v6))
    force = o.a_ct(o.ct_force())
    rule(t, 1, 1, force + o.a_ct(o.ct_force(), o.ct_zone(2)) + o.a_output(2), kinds_of(v6))
    rule(t, 2, 0, o.a_ct() + force + o.a_output(1), kinds_of(v6))
    for number in range(4):
        send(t, f"forth {number:d}", talk.udp())
        send(t, f"back {number:d}", talk.udp(back=True), back=True)


@case_each("reported", [("4", False), ("6", True)], stock=("4", "6"))
def nat_and_time_to_live(t, v6):
    """ct(commit,nat), then the time to live is set, in one list; an ICMP error about
    it comes back through the same NAT."""
    t.switch(2)
    talk = Talk(v6)
    nat = "fd00::77" if v6 else "10.1.0.77"
    kind, size, at = (o.K_IPV6, 40, 38) if v6 else (o.K_IPV4, 12, 10)
    value, mask = bytearray(size), bytearray(size)
    value[at], mask[at] = 9, 0xFF
    ttl = o.a_set_masked(kind, bytes(value), bytes(mask))
    see = o.a_userspace(t.up.pid)
    commit = o.a_ct(o.ct_commit(), o.ct_nat(o.NAT_SRC, nat, port=7777))
    rule(t, 1, 0, commit + ttl + see + o.a_output(2), kinds_of(v6))
    rule(t, 2, 0, o.a_ct(o.ct_nat()) + o.a_recirc(1), kinds_of(v6))
    rule(t, 2, 1, see + ttl + o.a_output(1), kinds_of(v6))
    about = talk.udp_packet(src=nat, sport=7777)
    for again in ("", ", again"):
        send(t, "forth" + again, talk.udp())
        send(t, "back" + again, talk.udp(back=True, dst=nat, dport=7777), back=True)
        for code in (0, 1, 3):
            error = talk.error(about, code=code, dst=nat)
            send(t, f"error {code:d}{again}", error, back=True)
        late = talk.error(about, kind=3 if v6 else 11, dst=nat)
        send(t, "time exceeded" + again, late, back=True)
