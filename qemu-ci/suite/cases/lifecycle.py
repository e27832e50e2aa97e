# SPDX-License-Identifier: GPL-2.0
"""Devices and namespaces that come, move, are renamed and go."""

import os
import time

import frames as f
import ovsattr as o
import ovsnl
from nlcore import NLM_F_ECHO, attr, string, u32
from registry import case, case_each


class Netns:
    """Another network namespace, entered and left."""

    def __init__(self, t):
        self.t = t
        self.home = os.open("/proc/self/ns/net", os.O_RDONLY)
        os.unshare(os.CLONE_NEWNET)
        ovsnl.quiet_netns()
        self.fd = os.open("/proc/self/ns/net", os.O_RDONLY)
        os.setns(self.home, os.CLONE_NEWNET)

    def __enter__(self):
        os.setns(self.fd, os.CLONE_NEWNET)
        return self

    def __exit__(self, *exc):
        os.setns(self.home, os.CLONE_NEWNET)

    def close(self):
        """Let go of it: with nobody in it, it ends."""
        os.close(self.fd)
        self.fd = -1


def gone(t, name, dp="dp0"):
    """Wait until no port of the datapath has the name."""

    def test():
        reply = t.req("x", o.VPORT, o.GET, string(o.VP_NAME, name), dp, quiet=True)
        if t.records and t.records[-1]["s"] == "x":
            t.records.pop()
        return reply.errno != 0

    return t.wait(f"port {name} goes", test)


@case("lifecycle")
def link_delete(t):
    """A device that is deleted leaves the datapath and says so (row 74)."""
    t.switch(1)
    for kind in ("dummy", "veth"):
        if kind == "veth":
            t.rt.veth("x0", "x1")
        else:
            t.rt.add("x0", kind)
        t.vport("x0", port=5)
        t.flow("flow to it", o.k_in_port(1) + o.k_eth() + o.k_type(0x9000), o.a_output(5))
        t.note("delete", t.rt.delete("x0"))
        gone(t, "x0")
        t.note("gone")
        t.inject("packet to it", t.taps["t1"], f.eth(bytes(50), 0x9000))
        t.flush()
        t.dump("ports", o.VPORT, dp="dp0")
    tap = t.tap_port("t9", 9)
    tap.close()
    gone(t, "t9")
    t.note("tap closed")
    t.dump("ports", o.VPORT, dp="dp0")
    t.rt.veth("y0", "y1")
    t.vport("y0", port=6)
    t.vport("y1", port=7)
    t.note("both ends", t.rt.delete("y1"))
    gone(t, "y0")
    gone(t, "y1")
    t.mc.drain()
    t.dump("ports", o.VPORT, dp="dp0")


@case("lifecycle")
def rename(t):
    """A renamed device keeps its place, and is found by either name as C
    finds it."""
    t.dp()
    t.rt.add("x0", "dummy")
    t.vport("x0", port=3)
    t.vport("i0", kind=o.T_INTERNAL, port=4)
    for old, new in (("x0", "x1"), ("i0", "i1"), ("dp0", "dp1")):
        t.note("rename " + old, t.rt.set(old, new_name=new))
        t.remember_links()
        t.vport_get(old)
        t.vport_get(new)
    t.dps["dp0"] = t.rt.index("dp1")
    t.dump("ports", o.VPORT, dp="dp0")
    t.req("dp", o.DP, o.GET, dp="dp0")
    t.rt.add("x0", "dummy")
    t.vport("x0", label="another with the old name")
    t.req("del by new name", o.VPORT, o.DEL, string(o.VP_NAME, "x1"), flags=NLM_F_ECHO)
    t.req("del by number", o.VPORT, o.DEL, u32(o.VP_PORT_NO, 4), "dp0", NLM_F_ECHO)
    t.rt.up("dp1")
    t.note("rename while up", t.rt.set("dp1", new_name="dp2"))


@case("lifecycle")
def promiscuity(t):
    """Promiscuity and master come and go with the port."""
    t.dp()
    t.rt.add("x0", "dummy")
    t.rt.up("x0")

    def look(label):
        link = t.rt.get("x0")
        t.note(label, [link["promiscuity"], link.get("master"), link["slave_kind"], link["flags"]])

    look("before")
    for _ in range(3):
        t.vport("x0")
        look("port")
        t.req("del", o.VPORT, o.DEL, string(o.VP_NAME, "x0"))
        look("no port")
    t.vport("x0")
    t.dp_del()
    look("datapath gone")


@case("lifecycle")
def log_left(t):
    """Leaving promiscuous mode is logged once."""
    t.dp()
    t.rt.add("keep0", "dummy")
    t.vport("keep0")
    t.req("del", o.VPORT, o.DEL, string(o.VP_NAME, "keep0"))
    t.vport("keep0")
    t.note("delete", t.rt.delete("keep0"))
    gone(t, "keep0")


@case("lifecycle")
def netns_isolation(t):
    """Another namespace sees no datapath of this one."""
    t.dp()
    t.vport("i0", kind=o.T_INTERNAL)
    other = Netns(t)
    with other:
        import nlcore

        nl = nlcore.Socket()
        t.pids[nl.portid] = "other"
        t.req("dp by name", o.DP, o.GET, string(o.DP_NAME, "dp0"), nl=nl)
        t.req("dp by ifindex", o.DP, o.GET, dp="dp0", nl=nl)
        t.req("vport by name", o.VPORT, o.GET, string(o.VP_NAME, "i0"), nl=nl)
        t.req("flow dump", o.FLOW, o.GET, b"", "dp0", 0x300, ack=False, nl=nl)
        t.req("dp dump", o.DP, o.GET, b"", 0, 0x300, ack=False, nl=nl)
        t.req(
            "new of the same name",
            o.DP,
            o.NEW,
            string(o.DP_NAME, "dp0") + u32(o.DP_UPCALL_PID, 0),
            nl=nl,
            flags=NLM_F_ECHO,
        )
        t.req("dp dump", o.DP, o.GET, b"", 0, 0x300, ack=False, nl=nl)
        nl.close()
    t.req("dp dump here", o.DP, o.GET, b"", 0, 0x300, ack=False)
    other.close()


@case("lifecycle")
def netns_move_internal(t):
    """An internal port lives in another namespace; then that one ends."""
    t.switch(1)
    t.vport("i0", kind=o.T_INTERNAL, port=4, pids=(t.up.pid,))
    other = Netns(t)
    t.note("local cannot move", t.rt.set("dp0", netns_fd=other.fd))
    t.note("move", t.rt.set("i0", netns_fd=other.fd))
    t.vport_get("i0")
    t.vport_get("i0", "dp0", label="by name and dp")
    t.dump("ports", o.VPORT, dp="dp0")
    with other:
        import socket

        import rtnl

        rt = rtnl.Rtnl()
        rt.set("i0", address="02:00:00:00:00:44")
        rt.up("i0")
        t.note("there", rt.get("i0"))
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
            sock.bind(("i0", 0))
            sock.setsockopt(socket.SOL_SOCKET, 36, 0x99)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, 5)
            sock.send(f.udp4())
        rt.close()
    t.note("scrubbed, mark kept")
    t.in_port_flow(1, o.a_output(4))
    t.inject("into it", t.taps["t1"], f.udp4())
    t.vport_get("i0")
    other.close()
    gone(t, "i0")
    t.note("its namespace ended")
    t.dump("ports", o.VPORT, dp="dp0")
    t.inject("to the lost port", t.taps["t1"], f.udp4())


@case("lifecycle")
def netns_move_netdev(t):
    """A netdev port that moves away is no port any more."""
    t.dp()
    t.rt.add("x0", "dummy")
    t.vport("x0", port=3)
    other = Netns(t)
    t.note("move", t.rt.set("x0", netns_fd=other.fd))
    gone(t, "x0")
    t.note("moved")
    t.dump("ports", o.VPORT, dp="dp0")
    with other:
        import rtnl

        rt = rtnl.Rtnl()
        t.note("there", [rt.get("x0")["promiscuity"], rt.get("x0").get("master")])
        rt.close()
    other.close()


@case("lifecycle")
def netns_end_with_datapath(t):
    """A namespace ends with datapaths, ports and flows in it."""
    t.dp()
    t.vport("i0", kind=o.T_INTERNAL)
    for _ in range(3):
        other = Netns(t)
        with other:
            import nlcore

            nl = nlcore.Socket()
            t.pids[nl.portid] = "other"
            t.req(
                "new",
                o.DP,
                o.NEW,
                string(o.DP_NAME, "x0") + u32(o.DP_UPCALL_PID, 0),
                nl=nl,
                flags=NLM_F_ECHO,
            )
            nl.close()
        t.note("i0 moves", t.rt.set("i0", netns_fd=other.fd))
        other.close()
        gone(t, "i0")
        t.vport("i0", kind=o.T_INTERNAL)
    t.dump("ports", o.VPORT, dp="dp0")


@case("lifecycle")
def dp_delete_with_state(t):
    """A datapath goes with ports and flows; its devices are free again."""
    taps = t.switch(3)
    t.vport("i0", kind=o.T_INTERNAL)
    t.in_port_flow(1, o.a_output(2))
    t.inject("works", taps[0], f.udp4())
    t.dp_del()
    t.inject("no port any more", taps[0], f.udp4())
    for name in ("t1", "t2", "t3"):
        link = t.rt.get(name)
        t.note(name, [link["promiscuity"], link.get("master")])
    t.note("i0", t.rt.get("i0"))
    t.dp()
    t.vport("t1", port=1)
    t.inject("new datapath, miss to nobody", taps[0], f.udp4())
    t.counters(ports=("t1",))


@case("lifecycle")
def churn(t):
    """Ports and datapaths come and go under traffic, in this process."""
    up = t.upcall("up")
    tap = t.tap("t1")
    for i in range(15):
        t.dp(features=o.F_UNALIGNED)
        t.vport("t1", port=1, pids=(up.pid,))
        tap.write(f.udp4(sport=i))
        t.in_port_flow(1, o.a_output(0))
        tap.write(f.udp4(sport=i))
        t.req("del port", o.VPORT, o.DEL, string(o.VP_NAME, "t1"))
        tap.write(f.udp4(sport=i))
        t.dp_del()


@case("lifecycle")
def headroom(t):
    """The largest headroom of any port reaches every port."""
    t.dp()
    t.rt.add("x0", "dummy")
    t.vport("x0")
    t.rt.veth("v0", "v1")
    t.vport("v0")
    t.req("del", o.VPORT, o.DEL, string(o.VP_NAME, "v0"), flags=NLM_F_ECHO)
    t.vport("v1")
    t.dump("ports", o.VPORT, dp="dp0")


@case("lifecycle")
def carrier(t):
    """No output to a port without carrier or that is down."""
    t.switch(1)
    t.rt.veth("v0", "v1")
    t.vport("v0", port=5)
    t.in_port_flow(1, o.a_output(5))
    t.inject("down", t.taps["t1"], f.udp4())
    t.rt.up("v0")
    t.inject("up, no carrier", t.taps["t1"], f.udp4())
    t.rt.up("v1")
    t.wait("carrier", lambda: t.rt.get("v0").get("operstate") == 6)
    t.settle(0.2)
    t.inject("carrier", t.taps["t1"], f.udp4())
    t.vport_get("v0")
    t.note("peer", t.rt.get("v1")["stats"])


def in_time(t, label, func, seconds=20):
    """Call func in a process of its own, which may never come back from the
    kernel, and record the errno that it gives."""
    pid = os.fork()
    if not pid:
        err = 255
        try:
            err = func()
        finally:
            os._exit(err)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            t.note(label, os.waitstatus_to_exitcode(status))
            return
        time.sleep(0.01)
    # Nothing that takes ovs_mutex comes back now, and the rest of the case
    # would not end.
    raise ovsnl.Failed(label + " hangs")


def delete(t, family, attrs, dp=0):
    """A function that sends a DEL request and gives its errno."""
    return lambda: t.req("x", family, o.DEL, attrs, dp).errno


# Devices over a port of one datapath are ports of another: what the kernel
# waits for when the lower one goes is a reference that the other port has.
# The C module waits with ovs_mutex held, which that port needs to go: none of
# these ends there, ever, nor does any other request.


@case_each("lifecycle", [("vlan", "vlan"), ("macvlan", "macvlan")], ours=True)
def port_over_port(t, kind):
    """The lower port is the local one of a datapath that is deleted, and then
    an internal one that is deleted, and then of a datapath that goes with
    it."""
    t.switch(1)
    for lower, what in (("dp1", "dp"), ("i0", "port"), ("i0", "dp")):
        label = f"{what} {lower}: "
        t.dp("dp1")
        t.vport("i0", "dp1", kind=o.T_INTERNAL)
        t.rt.up(lower)
        for i in range(3):
            t.rt.over(f"u{i:d}", kind if i == 0 else "macvlan", lower)
            t.vport(f"u{i:d}", port=5 + i, pids=(t.up.pid,))
        t.remember_links()
        t.mc.drain()
        if what == "dp":
            gone_too = delete(t, o.DP, string(o.DP_NAME, "dp1"))
        else:
            gone_too = delete(t, o.VPORT, string(o.VP_NAME, "i0"))
        in_time(t, label + "delete", gone_too)
        for i in range(3):
            gone(t, f"u{i:d}")
        links = t.rt.get(lower)
        t.check(links == {"errno": "ENODEV"}, f"{label}the device is there: {links}")
        t.dump(label + "ports", o.VPORT, dp="dp0")
        t.in_port_flow(1, o.a_output(5))
        t.inject(label + "packet to the lost port", t.taps["t1"], f.udp4())
        t.flush()
        if what == "port":
            in_time(t, label + "rest", delete(t, o.DP, string(o.DP_NAME, "dp1")))
    in_time(t, "dp0", delete(t, o.DP, string(o.DP_NAME, "dp0")))


@case("lifecycle", ours=True)
def netns_end_with_port_over_port(t):
    """A namespace ends, with two datapaths in it, of which the one that goes
    first has the device that a port of the other is over."""
    for _ in range(3):
        other = Netns(t)
        with other:
            import nlcore
            import rtnl

            nl = nlcore.Socket()
            rt = rtnl.Rtnl()
            for name in ("x0", "x1"):
                attrs = string(o.DP_NAME, name) + u32(o.DP_UPCALL_PID, 0)
                t.req("new", o.DP, o.NEW, attrs, nl=nl)
            rt.over("u0", "vlan", "x0")
            attrs = string(o.VP_NAME, "u0") + u32(o.VP_TYPE, o.T_NETDEV)
            attrs += attr(o.VP_UPCALL_PID, bytes(4))
            reply = t.req("port", o.VPORT, o.NEW, attrs, rt.index("x1"), nl=nl)
            t.check(reply.errno == 0, "u0 is a port")
            nl.close()
            rt.close()
        other.close()
        t.settle(0.5)
        in_time(t, "dp0", lambda: t.dp("dp0").errno)
        in_time(t, "dp0 goes", delete(t, o.DP, string(o.DP_NAME, "dp0")))


@case("lifecycle", ours=True, timeout=40)
def netns_end_below_port(t):
    """A namespace ends, with the lower one of two ports in it, while the upper
    one is in the other namespace: of a datapath there, and of an internal
    port that was moved there."""
    t.switch(1)
    t.vport("i0", kind=o.T_INTERNAL)
    for lower in ("x0", "i0"):
        other = Netns(t)
        if lower == "i0":
            t.note("i0 moves", t.rt.set("i0", netns_fd=other.fd))
        with other:
            import nlcore
            import rtnl

            rt = rtnl.Rtnl()
            if lower == "x0":
                nl = nlcore.Socket()
                attrs = string(o.DP_NAME, "x0") + u32(o.DP_UPCALL_PID, 0)
                t.req("new", o.DP, o.NEW, attrs, nl=nl)
                nl.close()
            for i in range(2):
                rt.over(f"u{i:d}", "macvlan", lower)
            for i in range(2):
                t.note("it moves", rt.set(f"u{i:d}", netns_fd=other.home))
            rt.close()
        for i in range(2):
            t.vport(f"u{i:d}", port=5 + i)
        t.mc.drain()
        other.close()
        for i in range(2):
            gone(t, f"u{i:d}")
        if lower == "i0":
            gone(t, "i0")
        t.dump("ports", o.VPORT, dp="dp0")
    in_time(t, "dp0", delete(t, o.DP, string(o.DP_NAME, "dp0")))
