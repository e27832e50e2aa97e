# SPDX-License-Identifier: GPL-2.0
"""The hash of a packet: one for all packets of a flow, whatever its actions
change. The first packet goes through userspace, which gives its hash back."""

import struct

import frames as f
import ovsattr as o
from nlcore import attr, attr_dict, nest, u32
from registry import case

from cases.tunnels import V4, Underlay


def label(value):
    """set_masked(ipv6(label))."""
    field = bytes(32) + struct.pack("!I", value) + bytes(4)
    mask = bytes(32) + struct.pack("!I", 0xFFFFF) + bytes(4)
    return o.a_set_masked(o.K_IPV6, field, mask)


def ports(u):
    """The source ports of the tunnel's packets that went out."""
    got = []
    for frame in u.under.read(raw=True):
        data = bytes.fromhex(frame)
        if data[12:14] == b"\x08\0" and data[23] == 17:
            got.append(struct.unpack_from("!H", data, 34)[0])
    return got


CHANGES = {
    "nothing": (b"", {}),
    "pop_vlan": (o.a_pop_vlan(), {"vlans": (0x1005,)}),
    "push_vlan": (o.a_push_vlan(0x1007), {}),
    "pop and push": (o.a_pop_vlan() + o.a_push_vlan(0x1007), {"vlans": (0x1005,)}),
    "trunc": (o.a_trunc(36), {}),
    "pop, recirc": (o.a_pop_vlan() + o.a_recirc(9), {"vlans": (0x1005,)}),
    "pop in a clone": (None, {"vlans": (0x1005,)}),
    "ipv6 label": (label(0x12345), {"ipv6": True}),
}


@case("hash")
def of_a_flow(t):
    """EXECUTE of the first packet and the flow for those that follow use one
    source port of the tunnel for a packet. Both modules have to, by themselves:
    hashes differ from boot to boot."""
    u = Underlay(t, "vxlan")
    # What goes out of it is looked at here, and not with each request.
    u.under = t.taps.pop("u1")
    send = o.a_set(nest(o.K_TUNNEL, V4)) + o.a_output(2)
    for name, (change, how) in CHANGES.items():
        how = dict(how)
        ipv6 = how.pop("ipv6", False)
        acts = o.a_clone(o.a_pop_vlan() + send) if change is None else change
        if "recirc" not in name and change is not None:
            acts += send
        same = 0
        distinct = set()
        for number in range(20):
            if ipv6:
                frame = f.udp6(sport=3000 + number)
            else:
                frame = f.udp4(sport=3000 + number, **how)
            t.up.nl.drain()
            u.tap.write(frame)
            first = attr_dict(t.up.nl.drain()[0].payload(4))
            extra = attr(o.PK_HASH, first[o.PK_HASH])
            kind = 0x86DD if ipv6 else 0x0800
            mask = o.k_in_port(0xFFFFFFFF) + o.k_type(0xFFFF) + u32(o.K_RECIRC_ID, 0xFFFFFFFF)
            again = o.k_in_port(1) + o.k_eth() + o.k_type(kind) + u32(o.K_RECIRC_ID, 9)
            if ipv6:
                again += o.k_ipv6("::", "::", 0)
            else:
                again += o.k_ipv4("0.0.0.0", "0.0.0.0", 0)
            t.flow("again", again, send, mask, quiet=True, flags=0)
            t.execute(name, first[o.PK_PACKET], acts, first[o.PK_KEY], extra=extra, quiet=True)
            one = ports(u)
            t.flow("flow", first[o.PK_KEY], acts, quiet=True, flags=0)
            u.tap.write(frame)
            two = ports(u)
            t.flush()
            same += one == two and len(one) == 1
            distinct.update(one)
        t.check(same == 20, f"{name}: {same:d} of 20 packets have the port of the first")
        t.check(len(distinct) > 10, f"{name}: ports differ from flow to flow ({len(distinct):d})")
    u.under.close()
    t.records.clear()
