# SPDX-License-Identifier: GPL-2.0
"""What our module does not have: it answers as a kernel that has never heard
of the attribute. These cases run on ours alone and state what they expect:
the errno and extended ack that a number beyond the last known one gives at
the same place."""

import struct

import frames as f
import ovsattr as o
from nlcore import NLM_F_ECHO, attr, be16, nest
from registry import case

ETH_IP = o.k_eth() + o.k_type(0x0800) + o.k_ipv4("1.1.1.1", "1.1.1.2", 0)
NSH = nest(o.K_NSH, attr(1, bytes((0, 63, 1, 3)) + bytes(4)), attr(2, bytes(16)))

ACTIONS = {
    "push_nsh": (o.A_PUSH_NSH, NSH),
    "pop_nsh": (o.A_POP_NSH, b""),
}

KEYS = {
    "nsh": (NSH, b""),
}


def outcome(t):
    last = t.records[-1]
    return last.get("err"), last.get("ext")


@case("unsupported", ours=True)
def actions(t):
    """In a flow, in EXECUTE, alone, after others and nested."""
    t.switch(1)
    for name, (kind, body) in ACTIONS.items():
        for where, wrap in (
            ("alone", lambda a: a),
            ("after output", lambda a: o.a_output(1) + a),
            ("in clone", o.a_clone),
            ("in sample", lambda a: o.a_sample(1, a)),
        ):
            got = []
            for number in (26, kind):
                acts = wrap(attr(number, body))
                t.flow(f"{name} {where} {number:d}", ETH_IP, acts)
                got.append(outcome(t))
                t.execute(f"{name} {where} {number:d}", f.udp4(), acts)
                got.append(outcome(t))
            t.check(got[:2] == got[2:], f"{name} {where}: {got}")
            t.check(got[0][0] == "EINVAL", f"{name} is refused")
    t.dump("nothing was installed", o.FLOW, dp="dp0")
    t.check("re" not in t.records[-1], "no flow is left")


@case("unsupported", ours=True)
def keys(t):
    """In a key and in a mask of NEW, and in the key of EXECUTE."""
    t.switch(1)
    for name, (key, _) in KEYS.items():
        t.flow(name + " in key", ETH_IP + key, b"")
        t.check(outcome(t)[0] == "EINVAL", name + " in a key is refused")
        t.flow(name + " in key, probe", ETH_IP + key, b"", extra=attr(o.FL_PROBE))
        t.check(outcome(t)[0] == "EINVAL", name + " is refused in a probe")
        t.check("log" not in t.records[-1], name + ": a probe is silent")
        t.flow(name + " get", ETH_IP + key, None, cmd=o.GET)
        t.check(outcome(t)[0] == "EINVAL", name + " in GET is refused")


@case("unsupported", ours=True)
def sets(t):
    """set() and set_masked() of a field that is not known."""
    t.switch(1)
    for name, (key, _) in KEYS.items():
        size, kind = struct.unpack_from("=HH", key)
        body = key[4:size]
        for number, data in ((o.A_SET, body), (o.A_SET_MASKED, body + body)):
            t.flow(f"{name} {number:d}", ETH_IP, nest(number, attr(kind, data)))
            got = outcome(t)
            t.flow(f"beyond {number:d}", ETH_IP, nest(number, attr(33, data)))
            t.check(got == outcome(t), f"{name}: {got}")
            t.check(got[0] == "EINVAL", name + " is refused")


@case("unsupported", ours=True)
def packets(t):
    """Packets of protocols beyond the key set go through, as unknown."""
    (tap, *_) = t.switch(2)
    for name, frame, kind in (("nsh", f.eth(bytes(24), 0x894F), 0x894F),):
        t.inject(name + " miss", tap, frame)
        t.flow(
            "flow",
            o.k_in_port(1) + o.k_eth() + o.k_type(kind),
            o.a_output(2),
            o.k_in_port(0xFFFFFFFF) + o.k_type(0xFFFF),
        )
        reply = t.records[-1].get("err")
        t.inject(name, tap, frame)
        if reply == 0:
            t.check(
                t.records[-1].get("frames") == {"t2": [frame.hex()]},
                name + " is forwarded unchanged",
            )
        t.flush()


_ = (NLM_F_ECHO, be16)
