# SPDX-License-Identifier: GPL-2.0
"""The families as the generic netlink controller describes them, and what
generic netlink itself makes of odd messages to them."""

import struct

import nlcore
import ovsattr as o
from nlcore import NLM_F_ACK, string, u32
from registry import case, case_each

NAMES = (o.DP, o.VPORT, o.FLOW, o.PACKET, o.METER, o.CT_LIMIT)


@case_each("ctrl", [(n, n) for n in NAMES], stock=NAMES)
def family(t, name):
    """Version, header, commands with their flags, groups, policy."""
    fam = nlcore.get_family(t.nl, name)
    t.note("family", [fam.name, fam.version, fam.hdrsize, fam.maxattr, fam.ops, sorted(fam.groups)])
    ack, policies, per_op = nlcore.get_policy(t.nl, fam.ident)
    t.note(
        "policy",
        [nlcore.errname(ack.errno), ack.extack, sorted(policies.items()), sorted(per_op.items())],
    )


@case("ctrl")
def every_command(t):
    """Each command number with no attribute, as do and as dump."""
    t.dp()
    for name in NAMES:
        for cmd in range(0, 12):
            for flags in (0, nlcore.NLM_F_DUMP):
                t.req(f"{name} {cmd:d} {flags:#x}", name, cmd, b"", "dp0", flags)


@case("ctrl", stock=False)
def headers(t):
    """Messages too short for their headers, or with odd header fields."""
    t.dp()
    ifindex = struct.pack("=i", t.dps["dp0"])
    for name in NAMES:
        for cmd in (1, 3):
            for size in range(0, 9):
                body = (struct.pack("=BBH", cmd, 1, 0) + ifindex)[:size]
                t.req(f"{name} {cmd:d}: {size:d} bytes", name, cmd, body=body)
            for version in (0, 1, 2, 3, 255):
                t.req(
                    f"{name} {cmd:d}: version {version:d}",
                    name,
                    cmd,
                    b"",
                    "dp0",
                    version=version,
                )
            t.req(
                f"{name} {cmd:d}: reserved",
                name,
                cmd,
                body=struct.pack("=BBH", cmd, 1, 7) + ifindex,
            )


@case("ctrl")
def strict(t):
    """NETLINK_GET_STRICT_CHK changes nothing for these families."""
    t.dp()
    t.nl.sock.setsockopt(nlcore.SOL_NETLINK, nlcore.NETLINK_GET_STRICT_CHK, 1)
    for name in NAMES[:3]:
        t.req(name + " unknown attr", name, o.GET, u32(77, 1), "dp0")
        t.dump(name + " dump", name, dp="dp0")
        t.dump(name + " dump, unknown attr", name, u32(77, 1), "dp0")
        t.dump(name + " dump, trailing", name, b"\1\2\3", "dp0")


@case("ctrl")
def dump_done(t):
    """A dump with NLM_F_ACK, one that nobody reads, and one begun anew."""
    t.dp()
    for _ in range(3):
        t.req("dump with ack", o.DP, o.GET, b"", "dp0", nlcore.NLM_F_DUMP | NLM_F_ACK, ack=False)
    nl = nlcore.Socket()
    body = nlcore.GENLHDR.pack(o.GET, 2, 0) + struct.pack("=i", 0)
    nl.send(t.fam[o.DP].ident, nlcore.NLM_F_REQUEST | nlcore.NLM_F_DUMP, body)
    nl.close()
    t.req("get after an unread dump", o.DP, o.GET, string(o.DP_NAME, "dp0"))


@case("ctrl")
def groups(t):
    """Who hears what: each command's notification, and its own echo."""
    t.dp("a")
    t.dp("b")
    t.vport("i0", "a", o.T_INTERNAL)
    t.req("dp set, no echo", o.DP, o.SET, u32(o.DP_USER_FEATURES, 1), "a")
    t.req("dp get", o.DP, o.GET, b"", "a")
    t.req("vport set, no echo", o.VPORT, o.SET, string(o.VP_NAME, "i0"))
    t.req("vport set, echo", o.VPORT, o.SET, string(o.VP_NAME, "i0"), flags=nlcore.NLM_F_ECHO)
    key = o.k_eth() + o.k_type(0x9000)
    for flags in (0, nlcore.NLM_F_ECHO):
        t.flow(f"flow new {flags:#x}", key, b"", dp="a", flags=flags)
        t.flow(f"flow again {flags:#x}", key, o.a_output(1), dp="a", flags=flags)
        t.flow(f"flow set {flags:#x}", key, b"", dp="a", cmd=o.SET, flags=flags)
        t.flow(f"flow set, no actions {flags:#x}", key, None, dp="a", cmd=o.SET, flags=flags)
        t.flow(f"flow get {flags:#x}", key, None, dp="a", cmd=o.GET, flags=flags)
        t.flow(f"flow del {flags:#x}", key, None, dp="a", cmd=o.DEL, flags=flags)
    t.flow("flow new", key, b"", dp="a")
    t.req("flush", o.FLOW, o.DEL, b"", "a", nlcore.NLM_F_ECHO)
    t.req("vport del, no echo", o.VPORT, o.DEL, string(o.VP_NAME, "i0"))
    t.req("no ack, no echo", o.DP, o.GET, b"", "a", ack=False)
    t.req("dp del, no echo", o.DP, o.DEL, b"", "a")
    t.req("dp del, echo", o.DP, o.DEL, b"", "b", nlcore.NLM_F_ECHO)
