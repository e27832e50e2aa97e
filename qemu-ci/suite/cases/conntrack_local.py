# SPDX-License-Identifier: GPL-2.0
"""Packets that the local stack has tracked before they come to the datapath, or
tracks after they left it."""

import shutil
import socket
import subprocess

import frames as f
import ovsattr as o
import ovsnl
from nlcore import string, u32
from registry import case, case_each

from cases._ct import Talk, kinds_of, rule, send

COMMIT = o.ct_commit()
VERSIONS = [("4", False), ("6", True)]
BOTH = ("4", "6")
HOST_MAC = "02:00:00:00:00:99"


def nft(t, text):
    """Load rules for this network namespace."""
    if not shutil.which("nft"):
        raise ovsnl.Skip("no nft")
    done = subprocess.run(["nft", "-f", "-"], input=text.encode(), capture_output=True, check=False)
    if done.returncode:
        raise ovsnl.Skip("nft: " + done.stderr.decode(errors="replace").splitlines()[0])


TABLE = """
table inet t {{
	chain raw {{
		type filter hook output priority raw; policy accept;
		{raw}
	}}
	chain out {{
		type filter hook output priority filter; policy accept;
		{out}
	}}
	chain pre {{
		type filter hook prerouting priority raw; policy accept;
		{pre}
	}}
	chain in {{
		type filter hook input priority filter; policy accept;
		{into}
	}}
}}
"""


def rules(t, raw="", out="ct state new accept", pre="", into=""):
    nft(t, TABLE.format(raw=raw, out=out, pre=pre, into=into))


def of_ipv6_itself(upcall):
    """Is this about a packet that IPv6 sends by itself, to a multicast address?"""
    return any(name == "packet" and data.startswith("3333") for name, data in upcall["a"])


class Host:
    """The local stack, with an address on the datapath's own port. The peer is
    behind port 1."""

    def __init__(self, t, v6):
        self.t, self.v6 = t, v6
        t.switch(2)
        if v6:
            with open("/proc/sys/net/ipv6/conf/dp0/disable_ipv6", "w") as handle:
                handle.write("0")
            with open("/proc/sys/net/ipv6/conf/dp0/accept_ra", "w") as handle:
                handle.write("0")
        t.rt.set("dp0", address=HOST_MAC)
        t.rt.up("dp0", "lo")
        self.talk = Talk(v6)
        self.ip, self.peer = self.talk.ends
        t.rt.address("dp0", self.ip, 64 if v6 else 24)
        t.rt.neighbour("dp0", self.peer, f.M2)
        family = socket.AF_INET6 if v6 else socket.AF_INET
        self.sock = socket.socket(family, socket.SOCK_DGRAM)
        self.sock.bind((self.ip, 1000))
        self.sock.setblocking(False)
        # With a header of ours: the kernel's has a random identification.
        self.raw = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW)
        # What IPv6 tells of itself goes nowhere at first, and later into no record.
        t.settle(1.0 if v6 else 0.1)
        t.skip_upcall = of_ipv6_itself
        t.scrub = lambda text: None if text.startswith("3333") else text
        pid = string(o.VP_NAME, "dp0") + u32(o.VP_UPCALL_PID, t.up.pid)
        t.req("upcalls of the local port", o.VPORT, o.SET, pid)
        t.records.clear()

    def send(self, label, port=2000):
        """From the local stack into the datapath, through its port 0."""
        self.t.drops.read()
        try:
            self.raw.sendto(self.talk.udp_packet(dport=port), (self.peer, 0))
        except OSError as exc:
            self.t.note(f"{label}: {exc.strerror}")
        self.t.note(label, drops=True)
        self.t.connections(label + ": then")

    def receive(self, label, port=2000, data=b"answer"):
        """From the peer, through port 1, to the local stack."""
        packet = self.talk.udp_packet(data, back=True, sport=port)
        frame = f.eth(packet, 0x86DD if self.v6 else 0x0800, f.M2, HOST_MAC)
        send(self.t, label, frame)
        got = []
        try:
            while True:
                got.append(self.sock.recvfrom(100)[0].decode())
        except BlockingIOError:
            pass
        self.t.note(label + ": received", got)


@case_each("conntrack_local", VERSIONS, stock=BOTH)
def seen(t, v6):
    """The key of a packet that is tracked already says so."""
    host = Host(t, v6)
    host.send("not tracked")
    rules(t)
    host.send("tracked")
    host.send("again")
    rule(t, 0, 0, o.a_output(1), kinds_of(v6))
    rule(t, 1, 0, o.a_output(0), kinds_of(v6))
    host.receive("answer")
    t.flush()
    host.send("after the answer")
    host.send("another", 2001)


@case_each("conntrack_local", VERSIONS, stock=BOTH)
def marked(t, v6):
    """Mark, zone and labels of the local stack, in the key and through ct."""
    host = Host(t, v6)
    rules(t, raw="ct zone set 7", out="ct mark set 0x1234")
    host.send("mark and zone")
    see = o.a_userspace(t.up.pid)
    for name, acts in (
        ("ct", o.a_ct()),
        ("ct in its zone", o.a_ct(o.ct_zone(7))),
        ("commit in its zone", o.a_ct(COMMIT, o.ct_zone(7), o.ct_mark(0x5600, 0xFF00))),
        ("commit in another zone", o.a_ct(COMMIT, o.ct_zone(8), o.ct_mark(9))),
        ("labels", o.a_ct(COMMIT, o.ct_zone(7), o.ct_labels(b"\1"))),
        ("clear", o.a_ct_clear()),
        ("force", o.a_ct(o.ct_force(), o.ct_zone(7))),
    ):
        rule(t, 0, 0, acts + o.a_recirc(1), kinds_of(v6))
        rule(t, 0, 1, see + o.a_output(1), kinds_of(v6))
        host.send(name, 3000)
        host.send(name + ", again", 3000)
        t.flush()


@case_each("conntrack_local", VERSIONS, stock=BOTH)
def confirmed(t, v6):
    """Labels and mark of an entry that the local stack has confirmed (row 51)."""
    host = Host(t, v6)
    rules(t, pre="ct state new accept")
    # Confirmed by the local stack: the packets come in for it.
    rule(t, 1, 0, o.a_output(0), kinds_of(v6))
    host.receive("in")
    rule(t, 0, 0, o.a_ct(COMMIT, o.ct_labels(b"\1")) + o.a_output(1), kinds_of(v6))
    host.send("labels")
    rule(t, 0, 0, o.a_ct(COMMIT, o.ct_mark(1)) + o.a_output(1), kinds_of(v6))
    host.send("mark")
    rule(t, 0, 0, o.a_ct(o.ct_force(), o.ct_labels(b"\1")) + o.a_output(1), kinds_of(v6))
    host.send("labels by force")
    host.send("labels by force, again")
    if not v6:
        # The IPv6 stack sends something by itself now and then.
        t.counters()


@case_each("conntrack_local", VERSIONS)
def delivered(t, v6):
    """What ct has attached is gone when the packet comes to the local stack, and
    the stack tracks it for itself."""
    host = Host(t, v6)
    rules(t, into="ct state new counter accept", pre="ct mark 0x77 counter accept")
    for name, acts in (
        ("ct", o.a_ct()),
        ("commit", o.a_ct(COMMIT, o.ct_mark(0x77))),
        ("commit in a zone", o.a_ct(COMMIT, o.ct_zone(5), o.ct_mark(0x77))),
        ("clear", o.a_ct(COMMIT) + o.a_ct_clear()),
        ("nat", o.a_ct(COMMIT, o.ct_nat(o.NAT_DST, host.ip, port=1000))),
    ):
        rule(t, 1, 0, acts + o.a_output(0), kinds_of(v6))
        host.receive(name)
        host.receive(name + ", again")
        t.flush()
        t.ct.flush()


@case_each("conntrack_local", VERSIONS)
def untracked(t, v6):
    """Packets that the local stack does not track on purpose."""
    host = Host(t, v6)
    rules(t, raw="notrack")
    host.send("notrack")
    see = o.a_userspace(t.up.pid)
    for name, acts in (("ct", o.a_ct()), ("commit", o.a_ct(COMMIT)), ("clear", o.a_ct_clear())):
        rule(t, 0, 0, acts + o.a_recirc(1), kinds_of(v6))
        rule(t, 0, 1, see + o.a_output(1), kinds_of(v6))
        host.send(name)
        t.flush()


@case("conntrack_local")
def other_namespace(t):
    """A port that was moved: what comes in there is tracked in the datapath's
    namespace."""
    from cases.lifecycle import Netns

    t.switch(2)
    t.vport("i0", kind=o.T_INTERNAL, port=4, pids=(t.up.pid,))
    other = Netns(t)
    t.rt.set("i0", netns_fd=other.fd)
    with other:
        import rtnl

        rt = rtnl.Rtnl()
        rt.set("i0", address=HOST_MAC)
        rt.up("i0", "lo")
        rt.address("i0", f.IP1, 24)
        rt.neighbour("i0", f.IP2, f.M2)
        try:
            rules(t, raw="ct zone set 9", out="ct mark set 0x99")
        except ovsnl.Skip:
            other.close()
            raise
        sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        rt.close()
    t.mc.drain()
    t.records.clear()
    see = o.a_userspace(t.up.pid)
    for name, acts in (
        ("miss", None),
        ("ct", o.a_ct()),
        ("commit", o.a_ct(COMMIT, o.ct_mark(3))),
        ("again", o.a_ct()),
    ):
        if acts is not None:
            rule(t, 4, 0, acts + o.a_recirc(1), (0x0800,))
            rule(t, 4, 1, see + o.a_output(1), (0x0800,))
        sock.sendto(Talk().udp_packet(), (f.IP2, 0))
        t.note(name)
        t.connections()
        t.flush()
    sock.close()
    other.close()
