# SPDX-License-Identifier: GPL-2.0
"""The context of one case: a fresh network namespace, sockets, ports, and a
record of everything that can be seen from user space.

Each step of a case makes one record: what was asked, errno and extended ack,
the decoded replies, and, since the step before, multicast messages, upcalls,
frames that left through taps, log lines and drop reasons. A record holds
nothing that two boots of one kernel do not have in common.
"""

import os
import socket
import struct
import time

import ctnl
import nlcore
import observe
import ovsattr as o
import rtnl
import tap as tapmod
from nlcore import GENLHDR, NLM_F_ACK, NLM_F_DUMP, NLM_F_ECHO, attr, nest, s32, string, u32

HDR = struct.Struct("=i")
FAMILIES = (o.DP, o.VPORT, o.FLOW, o.PACKET, o.METER, o.CT_LIMIT)
CMDS = {
    o.PACKET: {1: "MISS", 2: "ACTION", 3: "EXECUTE"},
    o.CT_LIMIT: {1: "SET", 2: "DEL", 3: "GET"},
    o.METER: {1: "FEATURES", 2: "SET", 3: "DEL", 4: "GET"},
}
DEFAULT_CMDS = {1: "NEW", 2: "DEL", 3: "GET", 4: "SET"}


class Skip(Exception):
    """The case cannot run here; the text says why."""


class Failed(Exception):
    """The case's own expectation does not hold."""


class Reply:
    """What one request gave."""

    def __init__(self, ack, msgs):
        self.errno = ack.errno
        self.extack = ack.extack
        self.msgs = msgs

    def attrs(self, index=0):
        """Attributes of a reply message as {type: payload}."""
        if index >= len(self.msgs):
            return {}
        return nlcore.attr_dict(self.msgs[index].payload(HDR.size))


class Upcall:
    """A socket that receives upcalls under a name of its own."""

    def __init__(self, name):
        self.name = name
        self.nl = nlcore.Socket()
        self.pid = self.nl.portid


def families():
    """The families that are there, by name."""
    nl = nlcore.Socket()
    found = {name: nlcore.get_family(nl, name) for name in FAMILIES}
    nl.close()
    return {name: family for name, family in found.items() if isinstance(family, nlcore.Family)}


def setup_netns():
    """A new network namespace that says nothing by itself."""
    os.unshare(os.CLONE_NEWNET)
    quiet_netns()


def quiet_netns(*devices):
    """Have these devices, or all of the namespace, send nothing by themselves."""
    for where in devices or ("all", "default", "lo"):
        path = f"/proc/sys/net/ipv6/conf/{where}/disable_ipv6"
        try:
            with open(path, "w") as handle:
                handle.write("1")
        except OSError:
            pass


class Context:
    """What a case function gets as its argument."""

    def __init__(self, name, families):
        self.name = name
        self.records = []
        self.fam = families
        self.by_id = {f.ident: f for f in families.values()}
        self.pids = {0: 0}
        self.ifnames = {}
        self.upcalls = []
        self.taps = {}
        self.failures = []
        self.ignore_frames = False
        self.scrub = None
        self.skip_upcall = None
        self.nl = nlcore.Socket()
        self.pids[self.nl.portid] = "main"
        self.dec = o.Decoder(self.pid_name, self.if_name)
        self.mc = nlcore.Socket()
        for family in families.values():
            for group in family.groups.values():
                self.mc.join(group)
        self.rt = rtnl.Rtnl()
        self.ct = ctnl.Conntrack()
        self.log = observe.KernelLog()
        self.drops = observe.Drops()
        self.dps = {}
        self.ports = {}

    def close(self):
        for tap in self.taps.values():
            tap.close()
        for up in self.upcalls:
            up.nl.close()
        self.nl.close()
        self.mc.close()
        self.rt.close()
        self.ct.close()
        self.drops.close()
        self.log.close()

    # ---- names ----------------------------------------------------------

    def pid_name(self, pid):
        return self.pids.get(pid, "pid?")

    def if_name(self, index):
        """An ifindex by the name that its device has or last had."""
        if index == 0:
            return 0
        try:
            self.ifnames[index] = socket.if_indextoname(index)
        except OSError:
            pass
        return "if:" + self.ifnames.get(index, "?")

    def remember_links(self):
        for index, name in socket.if_nameindex():
            self.ifnames[index] = name

    # ---- records --------------------------------------------------------

    def message(self, msg, by_id=None):
        """A received genl message as a canonical tree."""
        family = (by_id or self.by_id).get(msg.kind)
        if family is None:
            return {"family": "?", "data": msg.data.hex()}
        cmd, version = msg.genl
        dp = HDR.unpack(msg.userhdr(HDR.size))[0]
        names = CMDS.get(family.name, DEFAULT_CMDS)
        out = {
            "m": f"{family.name[4:]} {names.get(cmd, cmd)}",
            "dp": self.if_name(dp),
            "a": self.dec.tree(o.SCHEMAS[family.name], msg.payload(HDR.size)),
        }
        if version != family.version:
            out["version"] = version
        if msg.flags:
            out["flags"] = f"{msg.flags:#x}"
        if msg.portid:
            out["portid"] = self.pid_name(msg.portid)
        return out

    def observed(self):
        """Everything that came in since the last step."""
        out = {}
        found = []
        for m in self.mc.drain():
            one = self.message(m)
            # The order of the groups matters to nobody; the group does.
            one["seq"] = "own" if m.seq else 0
            found.append(one)
        if found:
            out["mcast"] = found
        ups = []
        for up in self.upcalls:
            for m in up.nl.drain():
                one = self.message(m)
                one["to"] = up.name
                if not (self.skip_upcall and self.skip_upcall(one)):
                    ups.append(one)
        if ups:
            out["upcalls"] = ups
        frames = {}
        for name, tap in self.taps.items():
            got = tap.read(raw=bool(self.scrub))
            if self.scrub:
                got = [one for one in map(self.scrub, got) if one is not None]
            if got:
                frames[name] = got
        if frames and not self.ignore_frames:
            out["frames"] = frames
        events = self.ct.drain()
        if events:
            out["events"] = events
        log = self.log.read()
        if log:
            out["log"] = log
        return out

    def note(self, label, value=None, drops=False, **more):
        """Record a value, with all that was observed since the last step."""
        record = {"s": label}
        if value is not None:
            record["v"] = value
        record.update(more)
        record.update(self.observed())
        reasons = self.drops.read()
        if reasons and drops:
            record["drops"] = reasons
        self.records.append(record)
        return record

    def check(self, condition, text):
        """An expectation of the case itself, for what needs no oracle."""
        if not condition:
            self.failures.append(text)
            self.records.append({"s": "FAILED", "v": text})

    def settle(self, seconds=1.0):
        """Give work queues time, while nothing is lost by it."""
        time.sleep(seconds)

    def wait(self, what, test, seconds=5.0):
        """Poll until test() holds; records whether it did."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if test():
                return True
            time.sleep(0.01)
        self.note("waited in vain: " + what)
        return False

    # ---- requests -------------------------------------------------------

    def req(
        self,
        label,
        family,
        cmd,
        attrs=b"",
        dp=0,
        flags=0,
        ack=True,
        version=None,
        body=None,
        length=None,
        nl=None,
        drops=False,
        quiet=False,
    ):
        """One request; `body` replaces everything after the netlink header."""
        fam = self.fam[family]
        if isinstance(dp, str):
            dp = self.dps[dp]
        if body is None:
            body = (
                GENLHDR.pack(cmd, fam.version if version is None else version, 0)
                + HDR.pack(dp)
                + attrs
            )
        if drops:
            self.drops.read()
        flags |= NLM_F_ACK if ack else 0
        answer, msgs = (nl or self.nl).transact(fam.ident, flags, body, length)
        reply = Reply(answer, msgs)
        record = {"s": label, "err": nlcore.errname(answer.errno)}
        if answer.extack:
            record["ext"] = dict(answer.extack)
        if msgs:
            trees = [self.message(m) for m in msgs]
            if flags & NLM_F_DUMP == NLM_F_DUMP:
                trees.sort(key=repr)
            record["re"] = trees
        record.update(self.observed())
        if drops:
            reasons = self.drops.read()
            if reasons:
                record["drops"] = reasons
        if not (quiet and not answer.errno):
            self.records.append(record)
        return reply

    def dump(self, label, family, attrs=b"", dp=0, cmd=o.GET):
        return self.req(label, family, cmd, attrs, dp, NLM_F_DUMP, ack=False)

    def small_dump(self, label, family, attrs=b"", dp=0):
        """A dump through a buffer so small that it takes many messages."""
        nl = nlcore.Socket()
        nl.bufsize = 4096  # no less: the rest would be lost
        self.pids[nl.portid] = "small"
        reply = self.req(label, family, o.GET, attrs, dp, NLM_F_DUMP, ack=False, nl=nl)
        nl.close()
        return reply

    # ---- datapaths, ports, flows ----------------------------------------

    def upcall(self, name):
        up = Upcall(name)
        self.upcalls.append(up)
        self.pids[up.pid] = name
        return up

    def dp(self, name="dp0", features=None, pid=0, extra=b"", label=None):
        """A datapath; its ifindex is kept under its name."""
        attrs = string(o.DP_NAME, name) + u32(o.DP_UPCALL_PID, pid)
        if features is not None:
            attrs += u32(o.DP_USER_FEATURES, features)
        reply = self.req(label or "dp_new " + name, o.DP, o.NEW, attrs + extra, flags=NLM_F_ECHO)
        if not reply.errno:
            # From the reply: "eth%d" is a name that the kernel completes.
            index = HDR.unpack(reply.msgs[0].userhdr(HDR.size))[0]
            self.dps[name] = index
            self.ifnames[index] = name
        return reply

    def dp_del(self, name="dp0"):
        self.remember_links()
        return self.req("dp_del " + name, o.DP, o.DEL, string(o.DP_NAME, name), flags=NLM_F_ECHO)

    def vport(self, name, dp="dp0", kind=o.T_NETDEV, port=None, pids=(0,), extra=b"", label=None):
        attrs = string(o.VP_NAME, name) + u32(o.VP_TYPE, kind)
        attrs += attr(o.VP_UPCALL_PID, b"".join(struct.pack("=I", p) for p in pids))
        if port is not None:
            attrs += u32(o.VP_PORT_NO, port)
        return self.req(label or "vport_new " + name, o.VPORT, o.NEW, attrs + extra, dp, NLM_F_ECHO)

    def vport_get(self, name, dp=0, label=None):
        return self.req(label or "vport_get " + name, o.VPORT, o.GET, string(o.VP_NAME, name), dp)

    def tap(self, name, **kw):
        tap = tapmod.Tap(name, **kw)
        self.taps[name] = tap
        self.rt.up(name)
        self.remember_links()
        return tap

    def tap_port(self, name, port=None, dp="dp0", pid=0, **kw):
        """A tap device that is a port of the datapath."""
        tap = self.tap(name, **kw)
        self.vport(name, dp, port=port, pids=(pid,))
        return tap

    def switch(self, ports=3, features=o.F_UNALIGNED, dp="dp0", **kw):
        """A datapath with taps t1..tN as ports 1..N and one upcall socket."""
        up = self.upcall("up")
        self.dp(dp, features)
        taps = [self.tap_port(f"t{i:d}", i, dp, up.pid, **kw) for i in range(1, ports + 1)]
        self.up = up
        self.records.clear()
        return taps

    def flow(
        self,
        label,
        key,
        actions,
        mask=None,
        dp="dp0",
        cmd=o.NEW,
        flags=NLM_F_ECHO,
        extra=b"",
        quiet=False,
    ):
        attrs = nest(o.FL_KEY, key)
        if mask is not None:
            attrs += nest(o.FL_MASK, mask)
        if actions is not None:
            attrs += nest(o.FL_ACTIONS, actions)
        return self.req(label, o.FLOW, cmd, attrs + extra, dp, flags, quiet=quiet)

    def in_port_flow(self, port, actions, label=None, dp="dp0", recirc=None, kind=0x0800):
        """Everything of one Ethernet type from one port."""
        key = o.k_in_port(port) + o.k_eth() + o.k_type(kind)
        mask = o.k_in_port(0xFFFFFFFF) + o.k_type(0xFFFF)
        if kind == 0x0800:
            key += o.k_ipv4("0.0.0.0", "0.0.0.0", 0)
        elif kind == 0x86DD:
            key += o.k_ipv6("::", "::", 0)
        elif kind == 0x0806:
            key += attr(o.K_ARP, bytes(24))
        # Exact, or the packet would come back here when it recirculates.
        key += u32(o.K_RECIRC_ID, recirc or 0)
        mask += u32(o.K_RECIRC_ID, 0xFFFFFFFF)
        return self.flow(label or f"flow from {port:d}", key, actions, mask, dp, quiet=True)

    def ct_limit(self, label, cmd, *limits, **kw):
        """A command of ovs_ct_limit on these zones; see ovsattr.zone_limits()."""
        attrs = o.zone_limits(*limits) if limits else b""
        return self.req(label, o.CT_LIMIT, cmd, attrs, **kw)

    def flush(self, dp="dp0"):
        return self.req("flush", o.FLOW, o.DEL, b"", dp, quiet=True)

    def execute(self, label, packet, actions, key=b"", dp="dp0", extra=b"", **kw):
        attrs = attr(o.PK_PACKET, packet) + nest(o.PK_KEY, key) + nest(o.PK_ACTIONS, actions)
        return self.req(label, o.PACKET, o.EXECUTE, attrs + extra, dp, drops=True, **kw)

    def inject(self, label, tap, frame, header=None):
        """Send one frame into a tap and record all that comes of it."""
        self.drops.read()
        err = tap.write(frame, header)
        return self.note(label, drops=True, **({"write": nlcore.errname(err)} if err else {}))

    def connections(self, label="connections"):
        """All connections and expectations of the namespace."""
        expect = self.ct.expectations()
        return self.note(label, self.ct.entries(), **({"expect": expect} if expect else {}))

    def counters(self, label="counters", dp="dp0", ports=()):
        """Statistics of the datapath, its ports and its flows."""
        self.req(label + " dp", o.DP, o.GET, dp=dp)
        for port in ports:
            self.vport_get(port, label=label + " " + port)
        self.dump(label + " flows", o.FLOW, dp=dp)


_ = s32
