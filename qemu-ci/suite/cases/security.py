# SPDX-License-Identifier: GPL-2.0
"""Who may do what: the capability contract of each command."""

import json
import os

import nlcore
import ovsattr as o
import ovsnl
from nlcore import attr, nest, string, u32
from registry import case

KEY = nest(o.FL_KEY, o.k_eth() + o.k_type(0x9000))
ACTIONS = nest(o.FL_ACTIONS, b"")
METER = u32(o.M_ID, 1) + nest(o.M_BANDS)


def requests(t, dp):
    """Every command once, in an order in which each finds its object."""
    new = string(o.DP_NAME, "dpq") + u32(o.DP_UPCALL_PID, 0)
    port = string(o.VP_NAME, "iq") + u32(o.VP_TYPE, o.T_INTERNAL) + u32(o.VP_UPCALL_PID, 0)
    packet = attr(o.PK_PACKET, bytes(60)) + nest(o.PK_KEY) + nest(o.PK_ACTIONS)
    yield "dp new", o.DP, o.NEW, new, 0, 0
    yield "dp get", o.DP, o.GET, b"", dp, 0
    yield "dp dump", o.DP, o.GET, b"", 0, nlcore.NLM_F_DUMP
    yield "dp set", o.DP, o.SET, u32(o.DP_USER_FEATURES, 0), dp, 0
    yield "vport new", o.VPORT, o.NEW, port, dp, 0
    yield "vport get", o.VPORT, o.GET, u32(o.VP_PORT_NO, 0), dp, 0
    yield "vport dump", o.VPORT, o.GET, b"", dp, nlcore.NLM_F_DUMP
    yield "vport set", o.VPORT, o.SET, u32(o.VP_PORT_NO, 0), dp, 0
    yield "vport del", o.VPORT, o.DEL, u32(o.VP_PORT_NO, 7), dp, 0
    yield "flow new", o.FLOW, o.NEW, KEY + ACTIONS, dp, 0
    yield "flow get", o.FLOW, o.GET, KEY, dp, 0
    yield "flow dump", o.FLOW, o.GET, b"", dp, nlcore.NLM_F_DUMP
    yield "flow set", o.FLOW, o.SET, KEY + ACTIONS, dp, 0
    yield "flow del", o.FLOW, o.DEL, KEY, dp, 0
    yield "execute", o.PACKET, o.EXECUTE, packet, dp, 0
    yield "meter features", o.METER, o.M_FEATURES, b"", dp, 0
    yield "meter set", o.METER, o.M_SET, METER, dp, 0
    yield "meter get", o.METER, o.M_GET, METER, dp, 0
    yield "meter del", o.METER, o.M_DEL, METER, dp, 0
    yield "execute nothing", o.PACKET, o.EXECUTE, b"", dp, 0
    yield "limit set", o.CT_LIMIT, o.CTL_SET, o.zone_limits((7, 9)), dp, 0
    yield "limit get", o.CT_LIMIT, o.CTL_GET, b"", dp, 0
    yield "limit del", o.CT_LIMIT, o.CTL_DEL, o.zone_limits(7), dp, 0
    yield "unknown command", o.DP, 77, b"", dp, 0
    yield "dp del", o.DP, o.DEL, string(o.DP_NAME, "dpq"), 0, 0


def attempt(t, nl, dp):
    """[[what, errno, extack, how many messages]] of each request."""
    out = []
    for what, family, cmd, attrs, index, flags in requests(t, dp):
        fam = t.fam[family]
        body = nlcore.GENLHDR.pack(cmd, fam.version, 0) + ovsnl.HDR.pack(index) + attrs
        dump = flags & nlcore.NLM_F_DUMP
        ack, msgs = nl.transact(fam.ident, flags | (0 if dump else nlcore.NLM_F_ACK), body)
        out.append([what, nlcore.errname(ack.errno), ack.extack, len(msgs)])
    return out


def user_namespace(flags=0):
    """A new user namespace. None can be made inside a chroot, where the
    user-mode kernel's tests run: entering one's own mount namespace anew
    leads out of it."""
    fd = os.open("/proc/self/ns/mnt", os.O_RDONLY)
    os.setns(fd, os.CLONE_NEWNS)
    os.close(fd)
    os.unshare(os.CLONE_NEWUSER | flags)


def child(t, label, func):
    """Record what func() gives in a process of its own."""
    rd, wr = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(rd)
        try:
            value = func()
        except BaseException as exc:  # pylint: disable=broad-except
            value = f"{type(exc).__name__}: {exc}"
        data = json.dumps(value).encode()
        while data:
            data = data[os.write(wr, data) :]
        os._exit(0)
    os.close(wr)
    data = b""
    while True:
        chunk = os.read(rd, 65536)
        if not chunk:
            break
        data += chunk
    os.close(rd)
    os.waitpid(pid, 0)
    value = json.loads(data)
    t.note(label, value)
    return value


@case("security")
def root(t):
    t.dp()
    t.note("root", attempt(t, t.nl, t.dps["dp0"]))


@case("security")
def plain_user(t):
    t.dp()

    def func():
        os.setresuid(1000, 1000, 1000)
        return attempt(t, nlcore.Socket(), t.dps["dp0"])

    got = child(t, "uid 1000", func)
    admin = {w for w, e, *_ in got if e == "EPERM"}
    t.check(
        admin
        == {
            "dp new",
            "dp set",
            "dp del",
            "vport new",
            "vport set",
            "vport del",
            "flow new",
            "flow set",
            "flow del",
            "execute",
            "limit set",
            "limit del",
            "execute nothing",
            "meter set",
            "meter del",
        },
        f"what a plain user may not do: {sorted(admin)}",
    )


@case("security")
def sibling_user_namespace(t):
    t.dp()

    def func():
        user_namespace()
        return attempt(t, nlcore.Socket(), t.dps["dp0"])

    got = child(t, "root of another user namespace", func)
    t.check(["dp new", "EPERM", {}, 0] in got, "no right over this one")


@case("security")
def own_namespaces(t):
    """Root of a user namespace in a network namespace that it owns."""

    def func():
        user_namespace(os.CLONE_NEWNET)
        nl = nlcore.Socket()
        fam = t.fam[o.DP]
        body = (
            nlcore.GENLHDR.pack(o.NEW, fam.version, 0)
            + ovsnl.HDR.pack(0)
            + string(o.DP_NAME, "dp0")
            + u32(o.DP_UPCALL_PID, 0)
        )
        ack, msgs = nl.transact(fam.ident, nlcore.NLM_F_ACK | nlcore.NLM_F_ECHO, body)
        if ack.errno:
            return [nlcore.errname(ack.errno), ack.extack]
        dp = ovsnl.HDR.unpack(msgs[0].userhdr(4))[0]
        return attempt(t, nl, dp)

    got = child(t, "root of its own namespaces", func)
    t.check(["flow new", 0, {}, 0] in got, "every right over its own")


@case("security")
def borrowed_socket(t):
    """Opener and sender must both be privileged."""
    t.dp()
    os.seteuid(1000)
    weak = nlcore.Socket()
    os.seteuid(0)
    t.note("opened by a user, sent by root", attempt(t, weak, t.dps["dp0"]))
    weak.close()
    strong = nlcore.Socket()
    os.seteuid(1000)
    try:
        got = attempt(t, strong, t.dps["dp0"])
    finally:
        os.seteuid(0)
    t.note("opened by root, sent by a user", got)
    strong.close()


@case("security")
def multicast_open(t):
    """The groups are open to every user."""
    t.dp()

    def func():
        os.setresuid(1000, 1000, 1000)
        nl = nlcore.Socket()
        out = []
        for fam in t.fam.values():
            for name, group in sorted(fam.groups.items()):
                if name not in (o.DP, o.VPORT, o.FLOW, o.METER):
                    continue
                try:
                    nl.join(group)
                    out.append([name, 0])
                except OSError as exc:
                    out.append([name, exc.errno])
        return out

    child(t, "joins by a user", func)
