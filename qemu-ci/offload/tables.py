# SPDX-License-Identifier: GPL-2.0
"""Each key and each action, one flow each: where it runs, what comes out of the
switch, what is counted. All flows are there at once, told apart by the source
address of their frames. What hardware does is compared with what software does
with the same frames under the same flow."""

import contextlib
import os
import re
import struct
import sys
import time
from dataclasses import dataclass

from model import run, sh
from suite import Failed, expect

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "suite"))
import frames as f  # noqa: E402
import nlcore  # noqa: E402
import ovsattr as o  # noqa: E402

# Port numbers of the datapath: vf0 is where all comes in.
UPLINK, VF0, VF1, VF2 = 1, 2, 3, 4
OUTS = {"uplink": UPLINK, "vf1": VF1, "vf2": VF2, "vf3": 5}

# Payloads that make frames of even and of odd length, none shorter than 60 bytes.
PAYLOADS = (b"even" * 10, b"odd" * 15)


@dataclass
class Entry:
    """A flow. `ME` in the key stands for the source address of its frames."""

    name: str
    key: str
    # As text, or as attributes where ovs-dpctl has no words for them.
    actions: str | bytes
    # Frames that match, and frames that only just do not.
    hits: list
    misses: list = ()
    # Why the flow is not in hardware, if it is not to be.
    why: str = ""


def udp4(**kw):
    e = {k: kw.pop(k) for k in ("dst_mac", "vlans") if k in kw}
    i = {k: kw.pop(k) for k in ("tos", "ttl", "frag", "options") if k in kw}
    l4 = {k: kw[k] for k in ("src", "dst") if k in kw}
    out = []
    for payload in PAYLOADS:
        body = f.ipv4(f.udp(payload=payload, **kw), 17, **i, **l4)
        out.append(f.eth(body, dst=e.get("dst_mac", f.M2), vlans=e.get("vlans", ())))
    return out


def l4v4(make, proto, **kw):
    return [f.eth(f.ipv4(make(payload=p, **kw), proto)) for p in PAYLOADS]


def l4v6(make, proto, ip=None, **kw):
    if make is not f.sctp:
        kw = dict(kw, src=f.V61, dst=f.V62)
    return [f.eth(f.ipv6(make(payload=p, **kw), proto, **(ip or {})), 0x86DD) for p in PAYLOADS]


def udp6(**kw):
    ip = {k: kw.pop(k) for k in ("tclass", "hlimit", "label") if k in kw}
    at = {k: kw.pop(k, d) for k, d in (("src", f.V61), ("dst", f.V62))}
    return [f.eth(f.ipv6(f.udp(payload=p, **at, **kw), 17, **at, **ip), 0x86DD) for p in PAYLOADS]


def tcp4(**kw):
    return l4v4(f.tcp, 6, **kw)


def sctp4(**kw):
    return [f.eth(f.ipv4(f.sctp(chunks=b"\0\x03\0\x24" + bytes(32), **kw), 132))]


def arp(**kw):
    return [f.arp_frame(**kw).ljust(60, b"\0")]


FRAGMENT6 = [f.eth(f.ipv6(f.fragment(17, more=True) + f.udp(bytes(40)), 44), 0x86DD)]

ETH = "eth(ME)"
V4 = f"{ETH},eth_type(0x0800)"
V6 = f"{ETH},eth_type(0x86dd)"
# With an IP protocol, whose own key has to follow.
IS_UDP, IS_TCP, IS_SCTP, IS_ICMP = (f"{V4},ipv4(proto={p},frag=no)" for p in (17, 6, 132, 1))
IS_UDP6, IS_TCP6, IS_ICMP6 = (f"{V6},ipv6(proto={p},frag=no)" for p in (17, 6, 58))
UDP4, TCP4 = f"{IS_UDP},udp()", f"{IS_TCP},tcp(),tcp_flags(0/0)"
UDP6, TCP6 = f"{IS_UDP6},udp()", f"{IS_TCP6},tcp(),tcp_flags(0/0)"
VLAN = f"{ETH},eth_type(0x8100)"
TO1 = str(VF1)

KEYS = [
    Entry(
        "eth dst", f"eth(ME,dst={f.M2}),eth_type(0x0800),ipv4()", TO1, udp4(), udp4(dst_mac=f.M3)
    ),
    Entry(
        "eth dst, part",
        "eth(ME,dst=02:00:00:00:00:00/ff:ff:ff:ff:ff:fc),eth_type(0x0800),ipv4()",
        TO1,
        udp4(),
        udp4(dst_mac="02:00:00:00:00:04"),
    ),
    Entry("eth type", f"{V4},ipv4()", TO1, udp4(), udp6()),
    Entry("eth type, ARP", f"{ETH},eth_type(0x0806),arp()", TO1, arp(), udp4()),
    Entry(
        "eth type, of its own", f"{ETH},eth_type(0x88b5)", TO1, [f.eth(bytes(50), 0x88B5)], arp()
    ),
    Entry("no VLAN tag", UDP4, TO1, udp4(), udp4(vlans=(5,))),
    Entry(
        "vlan vid",
        f"{VLAN},vlan(vid=42),encap(eth_type(0x0800),ipv4())",
        TO1,
        udp4(vlans=(42,)) + udp4(vlans=(0x6000 | 42,)),
        udp4(vlans=(43,)) + udp4(),
    ),
    Entry(
        "vlan vid and pcp",
        f"{VLAN},vlan(vid=42,pcp=3),encap(eth_type(0x0800),ipv4())",
        TO1,
        udp4(vlans=(0x6000 | 42,)),
        udp4(vlans=(42,)),
    ),
    Entry(
        "vlan and what is in it",
        f"{VLAN},vlan(vid=42),encap(eth_type(0x0800),ipv4(proto=17,frag=no),udp(dst=2000))",
        TO1,
        udp4(vlans=(42,)),
        udp4(vlans=(42,), dport=2001),
    ),
    Entry(
        "two tags",
        f"{ETH},eth_type(0x88a8),vlan(vid=7),encap(eth_type(0x8100),vlan(vid=8),"
        "encap(eth_type(0x0800),ipv4()))",
        TO1,
        udp4(vlans=((7, 0x88A8), 8)),
        udp4(vlans=((7, 0x88A8), 9)),
    ),
    Entry("ipv4 src", f"{V4},ipv4(src=10.1.0.1)", TO1, udp4(), udp4(src="10.1.0.9")),
    Entry("ipv4 dst", f"{V4},ipv4(dst=10.1.0.2)", TO1, udp4(), udp4(dst="10.1.0.3")),
    Entry(
        "ipv4 addresses, parts",
        f"{V4},ipv4(src=10.1.0.0/255.255.255.0,dst=10.0.0.0/255.0.0.0)",
        TO1,
        udp4() + udp4(src="10.1.0.77", dst="10.9.9.9"),
        udp4(src="10.1.1.1") + udp4(dst="11.1.0.2"),
    ),
    Entry("ipv4 proto", f"{V4},ipv4(proto=17),udp()", TO1, udp4(), tcp4()),
    Entry("ipv4 tos", f"{V4},ipv4(tos=0x28)", TO1, udp4(tos=0x28), udp4(tos=0x29)),
    Entry(
        "ipv4 dscp",
        f"{V4},ipv4(tos=0x28/0xfc)",
        TO1,
        udp4(tos=0x2B) + udp4(tos=0x28),
        udp4(tos=0x2C),
    ),
    Entry("ipv4 ttl", f"{V4},ipv4(ttl=64)", TO1, udp4(), udp4(ttl=63)),
    Entry("ipv4, no fragment", f"{V4},ipv4(frag=no)", TO1, udp4(), udp4(frag=0x2000)),
    Entry("ipv4, first fragment", f"{V4},ipv4(frag=first)", TO1, udp4(frag=0x2000), why="."),
    Entry("ipv4, later fragment", f"{V4},ipv4(frag=later)", TO1, udp4(frag=0x0010), why="."),
    Entry("ipv6 src", f"{V6},ipv6(src=fd00::1)", TO1, udp6(), udp6(src="fd00::3")),
    Entry(
        "ipv6 addresses, parts",
        f"{V6},ipv6(src=fd00::/ffff::,dst=fd00::/ffff:ffff:ffff:ffff::)",
        TO1,
        udp6() + udp6(src="fd00:1::1"),
        udp6(dst="fd00:1::2"),
    ),
    Entry("ipv6 proto", f"{V6},ipv6(proto=17),udp()", TO1, udp6(), l4v6(f.tcp, 6)),
    Entry("ipv6 tclass", f"{V6},ipv6(tclass=0x28)", TO1, udp6(tclass=0x28), udp6(tclass=0x29)),
    Entry("ipv6 hlimit", f"{V6},ipv6(hlimit=64)", TO1, udp6(), udp6(hlimit=63)),
    Entry("ipv6 label", f"{V6},ipv6(label=0x12345)", TO1, udp6(label=0x12345), why="flow label"),
    Entry("ipv6, no fragment", f"{V6},ipv6(frag=no)", TO1, udp6(), FRAGMENT6),
    Entry("ipv6, first fragment", f"{V6},ipv6(frag=first)", TO1, FRAGMENT6, why="IPv6 fragments"),
    Entry("udp src", f"{IS_UDP},udp(src=1000)", TO1, udp4(), udp4(sport=1001)),
    Entry("udp dst", f"{IS_UDP},udp(dst=2000)", TO1, udp4(), udp4(dport=2001)),
    Entry(
        "udp ports, parts",
        f"{IS_UDP},udp(src=0x3e0/0xfff0,dst=0x700/0xff00)",
        TO1,
        udp4() + udp4(sport=0x3EF, dport=0x701),
        udp4(sport=0x3F0) + udp4(dport=0x800),
    ),
    Entry("udp over ipv6", f"{IS_UDP6},udp(dst=2000)", TO1, udp6(), udp6(dport=2001)),
    Entry(
        "tcp ports",
        f"{IS_TCP},tcp(src=1000,dst=2000),tcp_flags(0/0)",
        TO1,
        tcp4(),
        tcp4(sport=7) + tcp4(dport=7),
    ),
    Entry(
        "tcp over ipv6",
        f"{IS_TCP6},tcp(src=1000),tcp_flags(0/0)",
        TO1,
        l4v6(f.tcp, 6),
        l4v6(f.tcp, 6, sport=9),
    ),
    Entry(
        "tcp flags",
        f"{IS_TCP},tcp(),tcp_flags(+syn-ack)",
        TO1,
        tcp4(flags=2) + tcp4(flags=0xC2),
        tcp4(flags=0x12) + tcp4(flags=0x10),
    ),
    Entry("sctp ports", f"{IS_SCTP},sctp(dst=2000)", TO1, sctp4(), why="."),
    Entry(
        "icmp",
        f"{IS_ICMP},icmp(type=8,code=0)",
        TO1,
        l4v4(f.icmp, 1),
        l4v4(f.icmp, 1, kind=0),
    ),
    Entry(
        "icmpv6",
        f"{IS_ICMP6},icmpv6(type=128,code=0)",
        TO1,
        l4v6(f.icmpv6, 58),
        l4v6(f.icmpv6, 58, kind=129),
    ),
    Entry(
        "neighbour discovery",
        f"{IS_ICMP6},icmpv6(type=135,code=0),nd(target=fd00::9)",
        TO1,
        [f.eth(f.ipv6(f.nd(), 58), 0x86DD)],
        why="neighbour discovery",
    ),
    Entry("arp fields", f"{ETH},eth_type(0x0806),arp(tip=10.1.0.2,op=1)", TO1, arp(), why="."),
    Entry("skb_priority", f"skb_priority(0x1),{V4},ipv4()", TO1, [], why="skb_priority"),
    Entry("skb_mark", f"skb_mark(0x1/0x1),{V4},ipv4()", TO1, [], why="skb_mark"),
    Entry("dp_hash", f"dp_hash(0x1/0xf),{V4},ipv4()", TO1, [], why="dp_hash"),
]

SET_ETH = "set(eth(src=0e:00:00:00:00:01,dst=0e:00:00:00:00:02))"
ACTIONS = [
    Entry("output", UDP4, TO1, udp4()),
    Entry("outputs", UDP4, f"{VF1},{VF2},{UPLINK}", udp4()),
    Entry("drop", UDP4, "drop", udp4()),
    Entry("output to a port that is gone", UDP4, "99", udp4(), why="does not exist"),
    Entry("output to the input port", UDP4, f"{VF0}", udp4(), why="input port"),
    Entry("set eth", UDP4, f"{SET_ETH},{VF1}", udp4()),
    Entry("set eth dst", UDP4, f"set(eth(dst=0e:00:00:00:00:02)),{VF1}", udp4()),
    Entry(
        "set eth, part", UDP4, f"set(eth(dst=0e:00:00:00:00:00/ff:ff:ff:00:00:00)),{VF1}", udp4()
    ),
    Entry("set ipv4 src", UDP4, f"set(ipv4(src=192.0.2.1)),{VF1}", udp4() + udp4(nocsum=True)),
    Entry("set ipv4 dst", UDP4, f"set(ipv4(dst=192.0.2.2)),{VF1}", udp4()),
    Entry("set ipv4 src of tcp", TCP4, f"set(ipv4(src=192.0.2.1,dst=192.0.2.2)),{VF1}", tcp4()),
    Entry(
        "set ipv4 dst of icmp",
        f"{IS_ICMP},icmp()",
        f"set(ipv4(dst=192.0.2.2)),{VF1}",
        l4v4(f.icmp, 1),
    ),
    Entry("set ipv4, part", UDP4, f"set(ipv4(dst=192.0.2.0/255.255.255.0)),{VF1}", udp4()),
    Entry(
        "set ipv4 of any protocol",
        f"{V4},ipv4()",
        f"set(ipv4(dst=192.0.2.2)),{VF1}",
        udp4(),
        why="any prot",
    ),
    Entry("set ipv4 dscp", UDP4, f"set(ipv4(tos=0x28/0xfc)),{VF1}", udp4(tos=0x02)),
    Entry("set ipv4 ecn", UDP4, f"set(ipv4(tos=0x1/0x3)),{VF1}", udp4(), why="ECN"),
    Entry("set ipv4 ttl", UDP4, f"set(ipv4(ttl=9)),{VF1}", udp4()),
    Entry(
        "set ipv6",
        UDP6,
        f"set(ipv6(src=fd01::1,dst=fd01::2)),{VF1}",
        udp6(),
    ),
    Entry("set ipv6 src of tcp", TCP6, f"set(ipv6(src=fd01::1)),{VF1}", l4v6(f.tcp, 6)),
    Entry(
        "set ipv6 dscp", UDP6, f"set(ipv6(tclass=0x28/0xfc)),{VF1}", udp6(tclass=1, label=0x54321)
    ),
    Entry("set ipv6 hlimit", UDP6, f"set(ipv6(hlimit=9)),{VF1}", udp6()),
    Entry("set ipv6 label", UDP6, f"set(ipv6(label=0x1)),{VF1}", udp6(), why="flow label"),
    Entry("set udp", UDP4, f"set(udp(src=7,dst=8)),{VF1}", udp4() + udp4(nocsum=True)),
    Entry("set udp, part", UDP4, f"set(udp(dst=0x100/0xff00)),{VF1}", udp4()),
    Entry("set udp over ipv6", UDP6, f"set(udp(dst=8)),{VF1}", udp6()),
    Entry("set tcp", TCP4, f"set(tcp(src=7,dst=8)),{VF1}", tcp4()),
    Entry("set tcp over ipv6", TCP6, f"set(tcp(dst=8)),{VF1}", l4v6(f.tcp, 6)),
    Entry(
        "set sctp",
        f"{IS_SCTP},sctp()",
        f"set(sctp(dst=8)),{VF1}",
        sctp4(),
        why="SCTP",
    ),
    Entry(
        "several sets",
        UDP4,
        f"{SET_ETH},set(ipv4(src=192.0.2.1,dst=192.0.2.2,ttl=9)),set(udp(dst=8)),{VF1},{VF2}",
        udp4(),
    ),
    Entry("output, set, output", UDP4, f"{VF1},{SET_ETH},{VF2}", udp4()),
    Entry(
        "set, output, set, output",
        UDP4,
        f"set(eth(dst=0e:00:00:00:00:07)),{VF1},set(ipv4(ttl=9)),{VF2}",
        udp4(),
        why="rewrite after",
    ),
    Entry("push vlan", UDP4, f"push_vlan(vid=42,pcp=3),{VF1}", udp4()),
    Entry("push vlan, 802.1ad", UDP4, f"push_vlan(tpid=0x88a8,vid=42,pcp=0),{VF1}", udp4()),
    Entry(
        "pop vlan",
        f"{VLAN},vlan(vid=42),encap(eth_type(0x0800),ipv4())",
        f"pop_vlan,{VF1}",
        udp4(vlans=(42,)),
    ),
    Entry(
        "pop vlan, set, output",
        f"{VLAN},vlan(vid=42),encap(eth_type(0x0800),ipv4(proto=17,frag=no),udp())",
        f"pop_vlan,set(ipv4(dst=192.0.2.2)),{VF1}",
        udp4(vlans=(42,)),
    ),
    Entry(
        "another vlan",
        f"{VLAN},vlan(vid=42,pcp=0),encap(eth_type(0x0800),ipv4())",
        f"pop_vlan,push_vlan(vid=43,pcp=0),{VF1}",
        udp4(vlans=(42,)),
    ),
    Entry("output, push vlan, output", UDP4, f"{VF1},push_vlan(vid=42,pcp=0),{VF2}", udp4()),
    Entry("trunc", UDP4, f"trunc(62),{VF1}", udp4(), why="trunc"),
    Entry("clone", UDP4, f"clone({SET_ETH},{VF1}),{VF2}", udp4(), why="clone"),
    Entry("clone at the end", UDP4, f"{VF2},clone({SET_ETH},{VF1})", udp4()),
    Entry("sample", UDP4, f"sample(sample=100.0%,actions({VF1}))", udp4(), why="sample"),
    Entry("userspace", UDP4, f"userspace(pid=4294967280),{VF1}", udp4(), why="userspace"),
    Entry(
        "check_pkt_len",
        UDP4,
        o.a_check_pkt_len(1400, o.a_output(VF1), o.a_output(VF2)),
        udp4(),
        why="check_pkt_len",
    ),
    Entry("dec_ttl", UDP4, o.a_dec_ttl() + o.a_output(VF1), udp4(), why="dec_ttl"),
    Entry("psample", UDP4, o.a_psample(7) + o.a_output(VF1), udp4(), why="psample"),
    Entry("hash", UDP4, o.a_hash(0) + o.a_output(VF1), udp4(), why="hash"),
    Entry("pop_eth", UDP4, o.a_pop_eth() + o.a_output(VF1), udp4(), why="pop_eth"),
    Entry(
        "push_eth",
        UDP4,
        o.a_pop_eth() + o.a_push_eth(f.M1, f.M2) + o.a_output(VF1),
        udp4(),
        why="_eth",
    ),
    Entry("set skb_mark", UDP4, f"set(skb_mark(1)),{VF1}", udp4(), why="skb_mark"),
    Entry("set skb_priority", UDP4, f"set(skb_priority(1)),{VF1}", udp4(), why="skb_priority"),
]


def address(n):
    return bytes((2, 0, 0, 0, 1, n))


def ufid(n):
    return f"{n:08x}-0000-0000-0000-000000000000"


def outputs(actions):
    """The ports that actions name."""
    return {p for p, no in OUTS.items() if re.search(rf"(^|[,(]){no}($|[,)])", actions)}


def mine(frame, n):
    return frame[:6] + address(n) + frame[12:]


class Table:
    """The flows of a table, all installed."""

    def __init__(self, lab, tool, entries):
        self.lab = lab
        self.tool = tool
        self.entries = list(enumerate(entries, 1))
        for n, e in self.entries:
            key = e.key.replace("ME", f"src={address(n).hex(':')}")
            try:
                actions = e.actions if isinstance(e.actions, str) else "drop"
                sh("ovs-dpctl", "add-flow", "dp0", f"ufid:{ufid(n)},in_port({VF0}),{key}", actions)
            except RuntimeError as err:
                raise Failed(f"{e.name}: {' '.join(str(err).split())}") from None

        if any(isinstance(e.actions, bytes) for e in entries):
            self.set_actions()

    def set_actions(self):
        """What is given as attributes."""
        dp = self.tool("show")["datapaths"][0]["dp-ifindex"]
        self.lab.settle()
        with contextlib.closing(nlcore.Socket()) as nl:
            family = nlcore.get_family(nl, "ovs_flow")
            for n, e in self.entries:
                if isinstance(e.actions, str):
                    continue
                # The flow is found by its UFID; actions are checked with the key.
                key = o.k_in_port(VF0) + o.k_eth() + o.k_type(0x0800)
                key += o.k_ipv4(f.IP1, f.IP2, 17) + o.k_udp(1000, 2000)
                attrs = nlcore.nest(o.FL_KEY, key)
                attrs += nlcore.attr(o.FL_UFID, struct.pack("=4I", n, 0, 0, 0))
                attrs += nlcore.nest(o.FL_ACTIONS, e.actions)
                body = nlcore.GENLHDR.pack(o.SET, family.version, 0) + dp.to_bytes(4, sys.byteorder)
                answer, _ = nl.transact(family.ident, nlcore.NLM_F_ACK, body + attrs)
                if answer.errno:
                    raise Failed(f"{e.name}: {answer}")

    def states(self):
        """The tool's view of each entry's flow, by its number."""
        return {int(flow["ufid"][:8], 16): flow for flow in self.lab.settle(20)}

    def packets(self, wanted, timeout=5):
        """The datapath's counters of each flow, once there are as many packets."""
        deadline = time.monotonic() + timeout
        while True:
            got = {}
            for line in run("ovs-dpctl -m dump-flows dp0").splitlines():
                m = re.search(r"eth\(src=([0-9a-f:]+).*packets:(\d+), bytes:(\d+)", line)
                n = bytes.fromhex(m[1].replace(":", ""))[5] if m else None
                if m:
                    got[n] = (int(m[2]), int(m[3]))
            if sum(p for p, _ in got.values()) >= wanted or time.monotonic() > deadline:
                return got
            time.sleep(0.2)

    def come_out(self, n, frames, expected=None):
        """What comes out where as these frames go in."""
        ask = self.lab.model.ask
        for port in OUTS:
            ask("capture", port=port, on=True)
        for frame in frames:
            ask("send", port="vf0", hex=mine(frame, n).hex())
        deadline = time.monotonic() + 3
        while True:
            time.sleep(0.03)
            got = {p: ask("captured", port=p)["frames"] for p in OUTS}
            got = {p: frames for p, frames in got.items() if frames}
            if expected is None or got == expected or time.monotonic() > deadline:
                return got


def check(lab, tool, entries):
    """The flows of a table, in hardware and then in software."""
    wrong = []

    def agree(e, what, got, wanted):
        if got != wanted:
            wrong.append(f"{e.name}: {what}: {got}, expected {wanted}")

    table = Table(lab, tool, entries)
    flows = table.states()
    hard = []
    for n, e in table.entries:
        got = flows.get(n)
        if not got:
            raise Failed(f"{e.name}: no such flow")
        said = " ".join(str(got.get(k) or "") for k in ("reason", "driver"))
        if e.why:
            state = got["state"] in ("refused", "failed") and re.search(e.why, said)
            agree(e, "not in hardware as", state and e.why or (got["state"], said), e.why)
        else:
            agree(e, f"state ({said.strip()})", got["state"], "hardware")
        if got["state"] == "hardware":
            hard.append((n, e))
    # What hardware does, and that it alone does it.
    before = lab.cpu()
    out = {n: table.come_out(n, e.hits) for n, e in hard}
    for n, e in hard:
        agree(e, "ports", sorted(out[n]), sorted(outputs(e.actions)))
    time.sleep(0.5)
    expect("frames to the CPU", lab.cpu() - before, 0)
    # What does not match.
    misses = [(n, frame) for n, e in hard for frame in e.misses]
    before = lab.cpu()
    for n, frame in misses:
        lab.model.ask("send", port="vf0", hex=mine(frame, n).hex())
    deadline = time.monotonic() + 5
    while lab.cpu() - before < len(misses) and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(0.2)
    expect("frames that do not match", lab.cpu() - before, len(misses))
    sent = sum(len(e.hits) for _, e in hard)
    first = table.packets(sent)
    # The same in software.
    tool("set", "--dp", "dp0", "never")
    table.states()
    for n, e in hard:
        agree(e, "hardware gives", out[n], table.come_out(n, e.hits, out[n]))
        agree(e, "packets", first.get(n, (0, 0))[0], len(e.hits))
    soft = [(n, e) for n, e in table.entries if (n, e) not in hard]
    for n, e in soft:
        table.come_out(n, e.hits)
    second = table.packets(2 * sent + sum(len(e.hits) for _, e in soft))
    for n, e in table.entries:
        times = 2 if (n, e) in hard else 1
        agree(e, "packets in all", second.get(n, (0, 0))[0], times * len(e.hits))
    for n, e in hard:
        agree(e, "bytes in all", second[n][1], 2 * first[n][1])
    tool("set", "--dp", "dp0", "auto")
    if wrong:
        raise Failed("; ".join(wrong))
    return f"{len(hard)} in hardware, {len(soft)} refused, {sent} frames the same"


def add_cases(suite, fresh, tool):
    """The cases of this file."""

    @suite.case("every key: where it runs, what matches and what only just does not")
    @fresh
    def keys(lab):
        return check(lab, tool, KEYS)

    @suite.case("every action: the same frames from hardware and from software")
    @fresh
    def actions(lab):
        return check(lab, tool, ACTIONS)
