# SPDX-License-Identifier: GPL-2.0
"""Loading and unloading, with and without state. These run last."""

import os
import socket
import time

import nlcore
import ovsattr as o
import ovsnl
from registry import case


def fams():
    nl = nlcore.Socket()
    out = {n: nlcore.get_family(nl, n) for n in (o.DP, o.VPORT, o.FLOW, o.PACKET)}
    nl.close()
    return out


@case("module", timeout=60, netns=False)
def load_unload(t):
    """Twenty times, with a datapath made each time."""
    t.mc.close()
    t.mc = nlcore.Socket()
    for i in range(20):
        problem = t.module.unload()
        t.check(problem is None, f"unload {i:d}: {problem}")
        problem = t.module.load()
        t.check(problem is None, f"load {i:d}: {problem}")
        t.fam = fams()
        t.by_id = {fam.ident: fam for fam in t.fam.values()}
        t.check(all(isinstance(fam, nlcore.Family) for fam in t.fam.values()), "families are there")
        t.dp("dpm")
        t.vport("im", "dpm", o.T_INTERNAL)
        t.flow("flow", o.k_eth() + o.k_type(0x9000), o.a_output(1), dp="dpm")
        t.dp_del("dpm")


@case("module", timeout=60, netns=False)
def unload_with_state(t):
    """Unload while datapaths, ports and flows are there, in two namespaces:
    all go, and their devices are free."""
    t.mc.close()
    t.mc = nlcore.Socket()
    t.fam = fams()
    t.by_id = {fam.ident: fam for fam in t.fam.values()}
    t.rt.add("keepm", "dummy")
    ovsnl.quiet_netns("keepm")
    t.rt.up("keepm")
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    os.unshare(os.CLONE_NEWNET)
    ovsnl.quiet_netns()
    there = os.open("/proc/self/ns/net", os.O_RDONLY)
    nl = nlcore.Socket()
    t.pids[nl.portid] = "there"
    t.req(
        "new there",
        o.DP,
        o.NEW,
        nlcore.string(o.DP_NAME, "dpn") + nlcore.u32(o.DP_UPCALL_PID, 0),
        nl=nl,
    )
    nl.close()
    os.setns(home, os.CLONE_NEWNET)
    t.dp("dpm")
    t.vport("keepm", "dpm")
    t.vport("im", "dpm", o.T_INTERNAL)
    for i in range(50):
        t.flow("flow", o.k_eth() + o.k_type(0x9000 + i), o.a_output(1), dp="dpm", quiet=True)
    t.note("im moves", t.rt.set("im", netns_fd=there))
    problem = t.module.unload()
    t.check(problem is None, f"unload with state: {problem}")
    t.note("links", sorted(n for _, n in socket.if_nameindex() if n in ("dpm", "im", "keepm")))
    link = t.rt.get("keepm")
    t.note("free", [link["promiscuity"], link.get("master")])
    problem = t.module.load()
    t.check(problem is None, f"load again: {problem}")
    os.close(there)
    t.rt.delete("keepm")


@case("module", timeout=60, netns=False, ours=True)
def unload_port_over_port(t):
    """Unload while a datapath has a port over the local port of another, in
    the namespace that goes first: that must not wait for the other's. The C
    module does, see lifecycle.py."""
    t.mc.close()
    t.mc = nlcore.Socket()
    t.fam = fams()
    t.by_id = {fam.ident: fam for fam in t.fam.values()}
    t.dp("dpm")
    t.rt.over("um", "vlan", "dpm")
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    os.unshare(os.CLONE_NEWNET)
    ovsnl.quiet_netns()
    there = os.open("/proc/self/ns/net", os.O_RDONLY)
    nl = nlcore.Socket()
    t.pids[nl.portid] = "there"
    attrs = nlcore.string(o.DP_NAME, "dpn") + nlcore.u32(o.DP_UPCALL_PID, 0)
    t.req("new there", o.DP, o.NEW, attrs, nl=nl)
    dpn = socket.if_nametoindex("dpn")
    os.setns(home, os.CLONE_NEWNET)
    t.note("um moves", t.rt.set("um", netns_fd=there))
    attrs = nlcore.string(o.VP_NAME, "um") + nlcore.u32(o.VP_TYPE, o.T_NETDEV)
    attrs += nlcore.attr(o.VP_UPCALL_PID, bytes(4))
    reply = t.req("um is a port there", o.VPORT, o.NEW, attrs, dpn, nl=nl)
    t.check(reply.errno == 0, "um is a port")
    nl.close()
    pid = os.fork()
    if not pid:
        os._exit(t.module.unload() is not None)
    end = time.monotonic() + 20
    while not os.waitpid(pid, os.WNOHANG)[0]:
        if time.monotonic() > end:
            raise ovsnl.Failed("rmmod hangs")
        time.sleep(0.01)
    t.check(not t.module.loaded(), "it is unloaded")
    t.note("links", sorted(n for _, n in socket.if_nameindex() if n in ("dpm", "um")))
    problem = t.module.load()
    t.check(problem is None, f"load again: {problem}")
    os.close(there)


@case("module", timeout=30, netns=False)
def info(t):
    """What modinfo and /proc say of the loaded module."""
    with open("/proc/modules") as handle:
        names = [line.split()[0] for line in handle]
    t.check("openvswitch" in names, "the name is openvswitch")
    t.check(os.path.isdir("/sys/module/openvswitch"), "/sys/module is there")
    t.note("refcount with nothing", open("/sys/module/openvswitch/refcnt").read().strip())
    t.note(
        "parameters",
        sorted(os.listdir("/sys/module/openvswitch/parameters"))
        if os.path.isdir("/sys/module/openvswitch/parameters")
        else [],
    )
