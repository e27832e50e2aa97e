# SPDX-License-Identifier: GPL-2.0
"""Tracepoints: their formats, and what they say of packets."""

import os
import re

import frames as f
import ovsattr as o
from nlcore import attr
from observe import TRACEFS
from ovsnl import Skip
from registry import case

EVENTS = ("ovs_dp_upcall", "ovs_do_execute_action")
# Addresses differ from boot to boot, memory with the way a frame came in.
ADDRESS = re.compile(r"\b(\w+addr|action_data)=\S+ ?")
# Netlink gives out numbers of sockets at random.
PORT = re.compile(r"upcall_port=(?!0 |12345 )\d+")
# A hash of the packet has a key of its own in each boot.
HASH = re.compile(r"ovs_flow_hash=0x(?!00000000)\S+")


class Trace:
    """The module's events while the block runs, in an instance of their own."""

    def __init__(self, name):
        self.dir = os.path.join(TRACEFS, "instances", f"ovs-{name}-{os.getpid():d}")

    def put(self, path, text):
        with open(os.path.join(self.dir, path), "w") as handle:
            handle.write(text)

    def __enter__(self):
        try:
            os.mkdir(self.dir)
        except OSError as err:
            raise Skip("the kernel has no tracefs") from err
        try:
            for event in EVENTS:
                self.put(f"events/openvswitch/{event}/enable", "1")
        except OSError as err:
            os.rmdir(self.dir)
            raise Skip("the kernel has no tracepoints") from err
        return self

    def __exit__(self, *_):
        for event in EVENTS:
            self.put(f"events/openvswitch/{event}/enable", "0")
        os.rmdir(self.dir)

    def lines(self):
        """What has been traced since the last call."""
        with open(os.path.join(self.dir, "trace")) as handle:
            text = handle.read()
        self.put("trace", "")
        out = []
        for line in text.splitlines():
            got = re.search(r": (ovs_\w+: .*)", line)
            if got:
                line = PORT.sub("upcall_port=(some)", ADDRESS.sub("", got[1]))
                out.append(HASH.sub("ovs_flow_hash=(some)", line))
        return out


@case("trace")
def formats(t):
    """The fields and the format of both events."""
    t.switch(1)
    for event in EVENTS:
        path = os.path.join(TRACEFS, "events/openvswitch", event, "format")
        try:
            with open(path) as handle:
                text = handle.read()
        except OSError as err:
            raise Skip("the kernel has no tracepoints") from err
        # The number of an event is given out at run time.
        t.note(event, re.sub(r"^ID: \d+$", "", text, flags=re.M))


@case("trace")
def upcalls(t):
    """Misses and userspace actions."""
    tap, *_ = t.switch(2)
    with Trace("upcalls") as trace:
        t.inject("nobody listens", tap, f.udp4())
        t.note("nobody listens", trace.lines())
        t.in_port_flow(1, o.a_userspace(12345) + o.a_output(2))
        t.inject("userspace", tap, f.udp4())
        t.note("userspace", trace.lines())


@case("trace")
def actions(t):
    """Each action with its type and length, in nested lists too."""
    tap, *_ = t.switch(2)
    out = o.a_output(2)
    udp = o.k_eth() + o.k_type(0x0800) + o.k_ipv4("1.1.1.1", "1.1.1.2", 17) + o.k_udp(1, 2)
    lists = {
        "output": out,
        "drop": b"",
        "explicit drop": o.a_drop(),
        "twice": out + o.a_output(2),
        "vlan": o.a_push_vlan(0x1005) + o.a_pop_vlan() + out,
        "mpls": o.a_push_mpls(o.d_lse(1))
        + o.a_set(o.k_mpls(o.d_lse(2)))
        + o.a_pop_mpls(0x0800)
        + out,
        "nsh": o.a_push_nsh(o.n_base(), o.n_md1()) + o.a_push_eth(f.M1, f.M2) + out,
        "nsh type 2": o.a_push_nsh(o.n_base(2), o.n_md2(bytes(9))),
        "add_mpls": o.a_add_mpls(o.d_lse(1)) + out,
        "trunc": o.a_trunc(100) + out,
        "hash": o.a_hash(0) + out,
        "meter": o.a_meter(7) + out,
        "meter in clone": o.a_clone(o.a_meter(7), out) + out,
        "recirc": o.a_recirc(7),
        "set": o.a_set(o.k_udp(7, 8)) + out,
        "set ethernet": o.a_set(o.k_eth()) + out,
        "set masked": o.a_set_masked(o.K_UDP, b"\0\7\0\0", b"\xff\xff\0\0") + out,
        "clone": o.a_clone(o.a_set(o.k_udp(7, 8)), out) + out,
        "sample": o.a_sample(0xFFFFFFFF, o.a_push_vlan(0x1005), out) + out,
        "nested": o.a_clone(o.a_clone(o.a_trunc(60), out), o.a_hash(0)) + out,
        "userspace": o.a_userspace(12345, userdata=b"abc"),
        "check_pkt_len": o.a_check_pkt_len(100, o.a_set(o.k_udp(7, 8)) + out, out) + out,
        "check_pkt_len, empty": o.a_check_pkt_len(100) + out,
        "dec_ttl": o.a_dec_ttl(o.a_clone(out)) + out,
        "dec_ttl, empty": o.a_dec_ttl(),
        "psample": o.a_psample(1) + o.a_psample(1, b"abc") + out,
        "output to nowhere": o.a_output(77),
    }
    mask = o.k_in_port(0xFFFFFFFF) + o.k_type(0xFFFF)
    mask += attr(o.K_IPV4, bytes(8) + b"\xff\0\0\0")
    with Trace("actions") as trace:
        for name, actions_of in lists.items():
            t.flow(
                name,
                o.k_in_port(1) + udp,
                actions_of,
                mask,
                quiet=True,
            )
            t.inject(name, tap, f.udp4())
            t.note(name, trace.lines())
            t.flush()
