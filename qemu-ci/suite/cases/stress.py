# SPDX-License-Identifier: GPL-2.0
"""Two processes at a time, each on a processor of its own, doing what must
not disturb each other. There is little to compare: the kernel has to stay
silent and whole. The debug kernel is where these matter most."""

import os
import signal
import socket
import subprocess
import tempfile
import time

import frames as f
import nlcore
import ovsattr as o
import ovsnl
from nlcore import attr, nest, string, u32
from registry import case

SECONDS = 1.5


class Beside:
    """A function that runs again and again in a process beside this one."""

    def __init__(self, func):
        self.pid = os.fork()
        if not self.pid:
            try:
                os.sched_setaffinity(0, {1})
            except OSError:
                pass
            try:
                while True:
                    func()
            finally:
                os._exit(0)

    def stop(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def fire(nl, t, family, cmd, attrs, dp=0, flags=0):
    """A request whose answer is of no interest."""
    fam = t.fam[family]
    body = nlcore.GENLHDR.pack(cmd, fam.version, 0) + ovsnl.HDR.pack(dp) + attrs
    dump = flags & nlcore.NLM_F_DUMP
    return nl.transact(fam.ident, flags | (0 if dump else nlcore.NLM_F_ACK), body)


def during(t, beside, func):
    """func(i) again and again while `beside` runs; then quiet."""
    other = Beside(beside)
    end = time.monotonic() + SECONDS
    i = 0
    try:
        while time.monotonic() < end or i < 3:
            func(i)
            i += 1
    finally:
        other.stop()
    for up in t.upcalls:
        up.nl.drain()
    t.mc.drain()
    for tap in t.taps.values():
        tap.read()
    t.log.read()


def udp_key(sport, bits=0xFFFF):
    key = (
        o.k_in_port(1)
        + o.k_eth()
        + o.k_type(0x0800)
        + o.k_ipv4(f.IP1, f.IP2, 17)
        + o.k_udp(sport, 2000)
    )
    mask = (
        o.k_in_port(0xFFFFFFFF)
        + o.k_type(0xFFFF)
        + attr(o.K_IPV4, bytes(8) + b"\xff\0\0\0")
        + attr(o.K_UDP, bits.to_bytes(2, "big") + b"\0\0")
    )
    return nest(o.FL_KEY, key) + nest(o.FL_MASK, mask)


@case("stress", timeout=60)
def flows_under_traffic(t):
    """Flows and up to 64 masks come and go under packets (rows 69, 80)."""
    (tap, *_) = t.switch(2)
    dp = t.dps["dp0"]
    frames = [f.udp4(sport=i * 977 & 0xFFFF) for i in range(32)]

    def traffic():
        for frame in frames:
            tap.write(frame)

    def churn(i):
        bits = (i * 40503 & 0xFFFF) | 1
        attrs = udp_key(i * 977 & 0xFFFF, bits)
        fire(t.nl, t, o.FLOW, o.NEW, attrs + nest(o.FL_ACTIONS, o.a_output(2)), dp)
        if i % 3:
            fire(t.nl, t, o.FLOW, o.SET, attrs + nest(o.FL_ACTIONS, b""), dp)
        if i % 64 > 30:
            fire(t.nl, t, o.FLOW, o.DEL, udp_key(i * 977 & 0xFFFF, bits)[:], dp)
        if i % 200 == 199:
            fire(t.nl, t, o.FLOW, o.DEL, b"", dp)

    during(t, traffic, churn)
    t.flush()
    t.dump("empty", o.FLOW, dp="dp0")


@case("stress", timeout=60)
def dumps_under_changes(t):
    """Dumps while flows, ports and datapaths come and go (rows 70, 75)."""
    t.switch(1)
    dp = t.dps["dp0"]
    nl = nlcore.Socket()

    def changes():
        for i in range(50):
            fire(nl, t, o.FLOW, o.NEW, udp_key(i) + nest(o.FL_ACTIONS), dp)
        new = string(o.DP_NAME, "dq") + u32(o.DP_UPCALL_PID, 0)
        fire(nl, t, o.DP, o.NEW, new)
        port = string(o.VP_NAME, "iq") + u32(o.VP_TYPE, o.T_INTERNAL) + u32(o.VP_UPCALL_PID, 0)
        fire(nl, t, o.VPORT, o.NEW, port, dp)
        fire(nl, t, o.VPORT, o.DEL, string(o.VP_NAME, "iq"))
        fire(nl, t, o.DP, o.DEL, string(o.DP_NAME, "dq"))
        fire(nl, t, o.FLOW, o.DEL, b"", dp)

    def dumps(_):
        for family in (o.DP, o.VPORT, o.FLOW):
            fire(t.nl, t, family, o.GET, b"", dp, nlcore.NLM_F_DUMP)
        fire(t.nl, t, o.VPORT, o.GET, string(o.VP_NAME, "iq"))

    during(t, changes, dumps)
    nl.close()


@case("stress", ours=True, timeout=60)
def dump_across_changes(t):
    """Between two reads of one dump flows come, go and change. Those that are
    left alone come exactly once, and nothing comes that never was there. In C
    they may come twice or not at all: a dump there goes on from a position in
    a list, which others that go have shifted."""
    t.switch(1)
    dp = t.dps["dp0"]
    stays, goes, comes = range(0, 300, 2), range(1, 300, 2), range(1000, 1150)

    def ident(i):
        return attr(o.FL_UFID, i.to_bytes(4, "little") + bytes(12))

    def new(i, acts=b""):
        flow = ident(i) + udp_key(i) + nest(o.FL_ACTIONS, acts)
        fire(t.nl, t, o.FLOW, o.NEW, flow, dp)

    for i in (*stays, *goes):
        new(i)
    dump = nlcore.Socket()
    dump.bufsize = 4096
    fam = t.fam[o.FLOW]
    body = nlcore.GENLHDR.pack(o.GET, fam.version, 0) + ovsnl.HDR.pack(dp)
    dump.send(fam.ident, nlcore.NLM_F_REQUEST | nlcore.NLM_F_DUMP, body)
    left = [list(goes), list(comes), list(stays)]
    seen, done, reads = [], None, 0
    while done is None:
        for msg in dump.recv():
            if msg.kind in (nlcore.NLMSG_ERROR, nlcore.NLMSG_DONE):
                done = nlcore.parse_ack(msg)
            else:
                attrs = dict(nlcore.parse_attrs(msg.payload(ovsnl.HDR.size))[0])
                seen.append(int.from_bytes(attrs[o.FL_UFID][:4], "little"))
        reads += 1
        for _ in range(10):
            if left[0]:
                fire(t.nl, t, o.FLOW, o.DEL, ident(left[0].pop()), dp)
            if left[1]:
                new(left[1].pop())
            if left[2]:
                i = left[2].pop()
                acts = nest(o.FL_ACTIONS, o.a_trunc(100) + o.a_output(1))
                fire(t.nl, t, o.FLOW, o.SET, ident(i) + udp_key(i) + acts, dp)
    dump.close()
    t.note("end of the dump", nlcore.errname(done.errno))
    t.check(reads > 5, f"the dump took {reads:d} reads: too few to be interrupted")
    counts = {i: seen.count(i) for i in stays}
    wrong = {i: n for i, n in counts.items() if n != 1}
    t.check(not wrong, f"flows that stay came not once: {wrong}")
    strange = set(seen) - set(stays) - set(goes) - set(comes)
    t.check(not strange, f"flows that never were: {strange}")
    t.mc.drain()
    t.flush()


@case("stress", timeout=60)
def ports_under_traffic(t):
    """Ports are added and removed while packets go to them (rows 36, 72)."""
    (tap, *_) = t.switch(2)
    t.rt.add("x0", "dummy")
    t.rt.up("x0")
    dp = t.dps["dp0"]
    t.in_port_flow(1, o.a_output(7) + o.a_output(8) + o.a_output(2))
    port = string(o.VP_NAME, "x0") + u32(o.VP_TYPE, o.T_NETDEV) + u32(o.VP_UPCALL_PID, 0)
    inner = string(o.VP_NAME, "i8") + u32(o.VP_TYPE, o.T_INTERNAL) + u32(o.VP_UPCALL_PID, 0)

    def traffic():
        tap.write(f.udp4())
        t.taps["t2"].read()

    def churn(_):
        fire(t.nl, t, o.VPORT, o.NEW, port + u32(o.VP_PORT_NO, 7), dp)
        fire(t.nl, t, o.VPORT, o.NEW, inner + u32(o.VP_PORT_NO, 8), dp)
        t.rt.set("i8", up=True)
        fire(t.nl, t, o.VPORT, o.DEL, string(o.VP_NAME, "x0"))
        fire(t.nl, t, o.VPORT, o.DEL, string(o.VP_NAME, "i8"))

    during(t, traffic, churn)


@case("stress", timeout=60)
def unregister_against_delete(t):
    """A device goes while its port is deleted (rows 63, 64)."""
    t.dp()
    dp = t.dps["dp0"]
    nl = nlcore.Socket()

    def deletes():
        fire(nl, t, o.VPORT, o.DEL, string(o.VP_NAME, "x0"))

    def churn(_):
        t.rt.add("x0", "dummy")
        port = string(o.VP_NAME, "x0") + u32(o.VP_TYPE, o.T_NETDEV) + u32(o.VP_UPCALL_PID, 0)
        fire(t.nl, t, o.VPORT, o.NEW, port, dp)
        t.rt.delete("x0")

    during(t, deletes, churn)
    nl.close()


@case("stress", timeout=60)
def datapaths_under_traffic(t):
    """Whole datapaths come and go under packets."""
    up = t.upcall("up")
    tap = t.tap("t1")
    new = string(o.DP_NAME, "dp0") + u32(o.DP_UPCALL_PID, 0)
    port = string(o.VP_NAME, "t1") + u32(o.VP_TYPE, o.T_NETDEV) + u32(o.VP_UPCALL_PID, up.pid)

    def traffic():
        tap.write(f.udp4())

    def churn(_):
        ack, msgs = fire(t.nl, t, o.DP, o.NEW, new, 0, nlcore.NLM_F_ECHO)
        if ack.errno:
            return
        dp = ovsnl.HDR.unpack(msgs[0].userhdr(4))[0]
        fire(t.nl, t, o.VPORT, o.NEW, port, dp)
        fire(t.nl, t, o.FLOW, o.NEW, udp_key(1000) + nest(o.FL_ACTIONS, o.a_output(0)), dp)
        fire(t.nl, t, o.DP, o.DEL, string(o.DP_NAME, "dp0"))
        up.nl.drain()

    during(t, traffic, churn)


@case("stress", timeout=60)
def execute_beside_traffic(t):
    """EXECUTE with recirculation on one processor, packets on the other
    (row 85), with features and the mask cache changing."""
    (tap, *_) = t.switch(2)
    dp = t.dps["dp0"]
    t.in_port_flow(1, o.a_clone(o.a_set(o.k_eth(f.M1, f.M3)) + o.a_output(2)) + o.a_output(2))

    def traffic():
        tap.write(f.udp4())
        t.taps["t2"].read()

    packet = attr(o.PK_PACKET, f.udp4()) + nest(o.PK_KEY, o.k_in_port(1))
    acts = nest(o.PK_ACTIONS, o.a_recirc(0), o.a_clone(o.a_recirc(0)), o.a_output(2))

    def churn(i):
        fire(t.nl, t, o.PACKET, o.EXECUTE, packet + acts, dp)
        size = (0, 64, 256, 1024)[i % 4]
        fire(t.nl, t, o.DP, o.SET, u32(o.DP_MASKS_CACHE_SIZE, size), dp)

    during(t, traffic, churn)


def napi_threads(names):
    """The kernel threads that poll these devices, by their names."""
    found = {}
    for entry in os.listdir("/proc"):
        try:
            with open(f"/proc/{entry}/comm") as handle:
                comm = handle.read().strip()
        except (OSError, NotADirectoryError):
            continue
        for name in names:
            if comm.startswith(f"napi/{name}-"):
                found[name] = int(entry)
    return found


@case("stress", timeout=60)
def threaded_napi(t):
    """Two devices whose packets are polled by threads of one processor, of which
    one preempts the other where the kernel allows for that, while flows come
    and go. After that, nothing is stuck."""
    (tap, *_) = t.switch(1)
    dp = t.dps["dp0"]
    ports = {2: "na1", 3: "nb1"}
    senders = []
    # The devices of this namespace: /sys has those of the one it was mounted in.
    sysfs = tempfile.mkdtemp()
    subprocess.run(["mount", "-t", "sysfs", "sysfs", sysfs], check=True)
    for number, name in ports.items():
        far = name.replace("1", "0")
        t.rt.veth(far, name)
        ovsnl.quiet_netns(far, name)
        t.rt.up(far, name)
        subprocess.run(["ethtool", "-K", name, "gro", "on"], check=True, capture_output=True)
        try:
            with open(f"{sysfs}/class/net/{name}/threaded", "w") as handle:
                handle.write("1")
        except OSError as exc:
            subprocess.run(["umount", sysfs], check=True)
            raise ovsnl.Skip(f"no threaded NAPI: {exc}") from exc
        t.vport(name, port=number, pids=(t.up.pid,))
        sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        sender.bind((far, 0))
        senders.append(sender)
    subprocess.run(["umount", sysfs], check=True)
    os.rmdir(sysfs)
    threads = napi_threads(ports.values())
    t.check(len(threads) == 2, f"both devices have a thread: {threads}")
    for priority, pid in enumerate(threads.values(), 5):
        os.sched_setaffinity(pid, {0})
        os.sched_setscheduler(pid, os.SCHED_FIFO, os.sched_param(priority))
    t.records.clear()
    frame = f.udp4()
    again = o.a_clone(o.a_set(o.k_eth(f.M3, f.M1)) + o.a_recirc(1)) + o.a_output(1)

    def install(number):
        key = o.k_in_port(number) + o.k_eth() + o.k_type(0x0800) + u32(o.K_RECIRC_ID, 0)
        key += o.k_ipv4("0.0.0.0", "0.0.0.0", 0)
        mask = o.k_in_port(0xFFFFFFFF) + o.k_type(0xFFFF) + u32(o.K_RECIRC_ID, 0xFFFFFFFF)
        attrs = nest(o.FL_KEY, key) + nest(o.FL_MASK, mask) + nest(o.FL_ACTIONS, again)
        fire(t.nl, t, o.FLOW, o.NEW, attrs, dp)
        key = o.k_eth() + o.k_type(0x0800) + u32(o.K_RECIRC_ID, 1)
        key += o.k_in_port(number) + o.k_ipv4("0.0.0.0", "0.0.0.0", 0)
        attrs = nest(o.FL_KEY, key) + nest(o.FL_MASK, mask) + nest(o.FL_ACTIONS, o.a_output(1))
        fire(t.nl, t, o.FLOW, o.NEW, attrs, dp)

    def send():
        for sender in senders:
            for _ in range(16):
                sender.send(frame)

    def churn(i):
        install(2 + i % 2)
        if i % 5 == 4:
            fire(t.nl, t, o.FLOW, o.DEL, b"", dp)
        tap.read()
        t.up.nl.drain()

    during(t, send, churn)
    for number in ports:
        install(number)
    t.settle(0.3)
    tap.read()
    for _ in range(5):
        send()
        t.settle(0.05)
    t.settle(0.3)
    got = len(tap.read())
    t.check(got == 5 * 2 * 16 * 2, f"of {5 * 2 * 16} packets, {got} copies came out")
    for sender in senders:
        sender.close()
    t.flush()
