# SPDX-License-Identifier: GPL-2.0
"""Inside the guest: tc flower rules run in the device model's switch."""

import sys

from model import (
    Model,
    Tc,
    cpu_rx,
    eswitch,
    icmp,
    kernel_trouble,
    load,
    offloaded,
    quiet_ipv6,
    raw_send,
    representors,
    run,
    time,
    udp,
    udp6,
    uplink,
)
from suite import Failed, Suite, expect, expect_true

suite = Suite("tc")
FORWARD = "dst_mac 02:00:00:00:00:02"


class Lab:
    """The switch, and how to see what passed."""

    def __init__(self):
        self.model = Model()
        self.up = self.reps = self.tc = None

    def seen(self):
        return {r: cpu_rx(r) for r in [self.up, *self.reps]}

    def traffic(self, source, count, out=None, cpu=0, wait=0.3, **args):
        """Send `count` frames in at `source`: all come out at each port of
        `out` and none elsewhere, and the CPU receives `cpu` of them."""
        out = out or []
        ports = ["uplink", "vf0", "vf1", "vf2", "vf3"]
        before = self.seen()
        self.model.send(source, count=count, rate=args.pop("rate", 20000), **args)
        time.sleep(wait)
        arrived = {p: self.model.arrived(p, args.get("stream", 1)) for p in ports}
        expect("came out at", {p: n for p, n in arrived.items() if n}, {p: count for p in out})
        after = self.seen()
        expect("the CPU received", sum(after[r] - before[r] for r in after), cpu)

    def counted(self, dev, packets, size, prio=1, chain=0):
        """tc's counters are those of the model."""
        got = self.tc.wait_stats(dev, packets, prio, chain)
        expect("tc -s (packets, bytes, in_hw)", got, (packets, packets * size, True))
        hits = [c["bytes"] for c in offloaded(self.model, packets)]
        expect_true("the model's own counter", packets * size in hits, f"{hits}")


def rules(*devs):
    """A case that begins and ends without rules."""

    def wrap(f):
        def inner(lab):
            lab.tc = Tc(*[lab.up if d == "up" else lab.reps[d] for d in devs])
            lab.refusals = 0
            before = lab.model.ask("status")
            try:
                result = f(lab)
            finally:
                lab.tc.close()
            for _ in range(50):
                now = lab.model.ask("status")
                left = [k for k in ("modify_headers", "packet_reformats") if now[k] > before[k]]
                if not left:
                    break
                time.sleep(0.1)
            expect("left in the model", left, [])
            expect("commands refused", now["refused"] - before["refused"], lab.refusals)
            return result

        return inner

    return wrap


@suite.case("load the driver, enter switchdev mode")
def enter(lab):
    quiet_ipv6()
    load()
    eswitch("switchdev")
    lab.up, lab.reps = uplink(), representors()
    expect("representors", len(lab.reps), 4)
    for n in [lab.up, *lab.reps]:
        run(f"ip link set {n} up")
    expect_true("hw-tc-offload is on", "hw-tc-offload: on" in run(f"ethtool -k {lab.reps[0]}"))
    time.sleep(1)


@suite.case("a packet without a rule goes to its representor")
def miss(lab):
    lab.traffic("vf0", 200, cpu=200, wait=0.6, rate=2000)


@suite.case("redirect: 1000 packets, none through the CPU, counters equal")
@rules(0)
def redirect(lab):
    lab.tc.add(lab.reps[0], f"{FORWARD} action mirred egress redirect dev {lab.reps[1]}")
    lab.traffic("vf0", 1000, ["vf1"])
    lab.counted(lab.reps[0], 1000, 60)
    report = [s for s in lab.model.ask("gen-status")["streams"] if s["stream"] == 1][0]
    expect("lost, as the generator reports it", report["lost"], 0)
    latency = report["arrived"]["vf1"]["latency_ns"]
    expect_true(
        "latency, as the generator reports it",
        0 < latency["min"] <= latency["mean"] <= latency["max"],
        str(latency),
    )
    return (
        "1000 packets, 60000 bytes in tc and in the model, latency "
        f"{latency['mean'] / 1000:.0f} us, 99 % below {latency['p99_below'] / 1000:.0f} us"
    )


@suite.case("a packet that no rule takes is lost, and the generator says so")
@rules(0)
def loss(lab):
    lab.tc.add(lab.reps[0], "ip_proto udp src_port 1000 action drop", proto="ip")
    lab.tc.add(lab.reps[0], f"{FORWARD} action mirred egress redirect dev {lab.reps[1]}", prio=2)
    # Four source ports in turn, one of which is dropped.
    lab.model.send("vf0", count=100, flows=4, rate=20000)
    report = [s for s in lab.model.ask("gen-status")["streams"] if s["stream"] == 1][0]
    expect("sent and lost", (report["sent"], report["lost"]), (100, 25))


@suite.case("delete brings the miss path back")
@rules(0)
def delete(lab):
    lab.tc.add(lab.reps[0], f"{FORWARD} action mirred egress redirect dev {lab.reps[1]}")
    lab.traffic("vf0", 100, ["vf1"])
    lab.tc.delete(lab.reps[0])
    lab.traffic("vf0", 100, cpu=100, wait=0.6, rate=2000)


@suite.case("redirect to the wire, and from the wire")
@rules(0, "up")
def wire(lab):
    lab.tc.add(lab.reps[0], f"{FORWARD} action mirred egress redirect dev {lab.up}")
    lab.tc.add(lab.up, f"{FORWARD} action mirred egress redirect dev {lab.reps[2]}")
    lab.traffic("vf0", 300, ["uplink"])
    lab.traffic("uplink", 300, ["vf2"])


@suite.case("drop")
@rules(0)
def drop(lab):
    lab.tc.add(lab.reps[0], f"{FORWARD} action drop")
    lab.traffic("vf0", 500)
    lab.counted(lab.reps[0], 500, 60)


@suite.case("several destinations")
@rules(0)
def mirror(lab):
    lab.tc.add(
        lab.reps[0],
        f"{FORWARD} action mirred egress mirror dev {lab.reps[1]} "
        f"action mirred egress redirect dev {lab.reps[2]}",
    )
    lab.traffic("vf0", 200, ["vf1", "vf2"])


@suite.case("match on addresses, ports, protocol, priority of rules")
@rules(0)
def match(lab):
    r = lab.reps
    lab.tc.add(
        r[0],
        "ip_proto udp src_ip 10.0.0.1 dst_ip 10.0.0.2 src_port 1000 dst_port 2000 "
        f"action mirred egress redirect dev {r[1]}",
        prio=1,
        proto="ip",
    )
    lab.tc.add(r[0], "ip_proto udp dst_port 2001 action drop", prio=2, proto="ip")
    lab.tc.add(
        r[0], f"dst_ip 10.0.0.0/24 action mirred egress redirect dev {r[3]}", prio=3, proto="ip"
    )
    lab.traffic("vf0", 50, ["vf1"])
    lab.traffic("vf0", 50, [], dport=2001)
    lab.traffic("vf0", 50, ["vf3"], sport=1001)
    lab.traffic("vf0", 50, cpu=50, dst_ip="10.0.1.1", wait=0.6, rate=2000)
    lab.counted(r[0], 50, 60, prio=2)


@suite.case("VLAN push, match and pop")
@rules(0, 1)
def vlan(lab):
    r = lab.reps
    lab.tc.add(
        r[0],
        f"{FORWARD} action vlan push id 42 priority 3 action mirred egress redirect dev {r[1]}",
    )
    frames = lab.model.capture("vf1", lambda: lab.model.send("vf0", count=3))
    expect("tags", [f[12:16].hex() for f in frames], ["8100602a"] * 3)
    expect("length", {len(f) for f in frames}, {64})
    lab.tc.add(
        r[1], f"vlan_id 42 action vlan pop action mirred egress redirect dev {r[2]}", proto="802.1q"
    )
    frames = lab.model.capture("vf2", lambda: lab.model.send("vf1", count=3, vlan="42"))
    expect("untagged", [f[12:14].hex() for f in frames], ["0800"] * 3)
    lab.traffic("vf1", 20, cpu=20, vlan="43", wait=0.6, rate=2000)


@suite.case("two VLAN tags: push, match and pop")
@rules(0, 1)
def qinq(lab):
    r = lab.reps
    lab.tc.add(
        r[0],
        f"{FORWARD} action vlan push id 20 pipe action vlan push protocol 802.1ad id 10 pipe "
        f"action mirred egress redirect dev {r[1]}",
    )
    plain = udp()
    frames = lab.model.capture("vf1", lambda: lab.model.ask("send", port="vf0", hex=plain.hex()))
    expect("both tags", [f[12:20].hex() for f in frames], ["88a8000a81000014"])
    expect("the rest", frames[0][:12] + frames[0][20:], plain)
    lab.tc.add(
        r[1],
        "vlan_id 10 vlan_ethtype 802.1q cvlan_id 20 action vlan pop pipe action vlan pop pipe "
        f"action mirred egress redirect dev {r[2]}",
        proto="802.1ad",
    )
    tagged = frames[0]
    frames = lab.model.capture("vf2", lambda: lab.model.ask("send", port="vf1", hex=tagged.hex()))
    expect("as it was", [f.hex() for f in frames], [plain.hex()])
    other = tagged[:18] + b"\0\x15" + tagged[20:]
    frames = lab.model.capture("vf2", lambda: lab.model.ask("send", port="vf1", hex=other.hex()))
    expect("with another inner tag", len(frames), 0)


@suite.case("a tag pushed on what comes from the wire: by a termination table")
@rules("up")
def termination(lab):
    def tables():
        return [t for t in lab.model.ask("flows")["tables"] if t["termination"]]

    expect("termination tables before", len(tables()), 0)
    lab.tc.add(
        lab.up,
        f"{FORWARD} action vlan push id 7 pipe action mirred egress redirect dev {lab.reps[1]}",
    )
    expect("termination tables", len(tables()), 1)
    frames = lab.model.capture("vf1", lambda: lab.model.send("uplink", count=3))
    expect("tags", [f[12:16].hex() for f in frames], ["81000007"] * 3)
    lab.tc.delete(lab.up)
    for _ in range(30):
        if not tables():
            break
        time.sleep(0.1)
    expect("termination tables after", len(tables()), 0)


@suite.case("from the wire to the wire: by a termination table")
@rules("up")
def hairpin(lab):
    lab.tc.add(lab.up, f"{FORWARD} action mirred egress redirect dev {lab.up}")
    tables = [t for t in lab.model.ask("flows")["tables"] if t["termination"]]
    expect("termination tables", len(tables), 1)
    lab.traffic("uplink", 50, ["uplink"])


@suite.case("header rewrite with right checksums")
@rules(0)
def pedit(lab):
    r = lab.reps
    lab.tc.add(
        r[0],
        "ip_proto udp dst_ip 10.0.0.2 action pedit ex munge eth dst set 0e:00:00:00:00:07 "
        "munge ip dst set 192.0.2.9 munge ip ttl set 9 munge udp dport set 5353 pipe "
        f"action csum ip and udp pipe action mirred egress redirect dev {r[1]}",
        proto="ip",
    )
    bad = lab.model.port_stats("vf1")["bad_checksums"]
    frames = lab.model.capture("vf1", lambda: lab.model.send("vf0", count=2))
    expect("frames", len(frames), 2)
    f = frames[0]
    expect("destination", f[:6].hex(), "0e0000000007")
    expect("address", list(f[30:34]), [192, 0, 2, 9])
    expect("ttl", f[22], 9)
    expect("port", int.from_bytes(f[36:38], "big"), 5353)
    expect("wrong checksums", lab.model.port_stats("vf1")["bad_checksums"] - bad, 0)


@suite.case("IPv6: match, header rewrite with right checksums")
@rules(0)
def pedit6(lab):
    r = lab.reps
    lab.tc.add(
        r[0],
        "ip_proto udp dst_ip fd00::2 dst_port 2000 action pedit ex "
        "munge ip6 src set fd00::8 munge ip6 dst set 2001:db8::9 munge ip6 hoplimit set 9 "
        "munge udp dport set 5353 pipe "
        f"action csum udp pipe action mirred egress redirect dev {r[1]}",
        proto="ipv6",
    )
    bad = lab.model.port_stats("vf1")["bad_checksums"]
    sent = udp6(b"over IPv6")
    frames = lab.model.capture("vf1", lambda: lab.model.ask("send", port="vf0", hex=sent.hex()))
    expect("frames", len(frames), 1)
    f = frames[0]
    expect("source", f[22:38].hex(), "fd" + "00" * 14 + "08")
    expect("destination", f[38:54].hex(), "20010db8" + "00" * 11 + "09")
    expect("hop limit", f[21], 9)
    expect("port", int.from_bytes(f[56:58], "big"), 5353)
    expect("payload", f[62:], sent[62:])
    expect("wrong checksums", lab.model.port_stats("vf1")["bad_checksums"] - bad, 0)
    lab.tc.delete(r[0])
    # A field that the device cannot rewrite is the driver's to refuse.
    try:
        lab.tc.add(
            r[0],
            "ip_proto udp dst_ip fd00::2 action pedit ex munge ip6 flow_lbl set 5 pipe "
            f"action mirred egress redirect dev {r[1]}",
            proto="ipv6",
        )
    except RuntimeError:
        return
    raise Failed("tc accepted a rewrite of the flow label")


@suite.case("match on the type and code of ICMP")
@rules(0)
def icmp_type(lab):
    r = lab.reps
    lab.tc.add(
        r[0],
        f"ip_proto icmp type 8 code 0 action mirred egress redirect dev {r[1]}",
        proto="ip",
    )

    def out(frame):
        frames = lab.model.capture(
            "vf1", lambda: lab.model.ask("send", port="vf0", hex=frame.hex())
        )
        return [f.hex() for f in frames]

    expect("an echo request", out(icmp(8)), [icmp(8).hex()])
    for name, frame in (
        ("a reply", icmp(0)),
        ("another code", icmp(8, 1)),
        ("no ICMP, with the same bytes there", udp(sport=0x800)),
    ):
        expect(name, out(frame), [])


@suite.case("what the driver cannot ask a device for is refused, and nothing is asked")
@rules(0)
def not_offloadable(lab):
    for rule, proto in (
        ("ip_proto sctp dst_port 5 action drop", "ip"),
        ("arp_op request action drop", "arp"),
    ):
        try:
            lab.tc.add(lab.reps[0], rule, proto=proto)
        except RuntimeError:
            continue
        raise Failed(f"tc accepted {rule}")


def through_chain(lab):
    """What the first function sends goes to chain 5, which takes port 2000 only."""
    r = lab.reps
    lab.tc.add(r[0], f"{FORWARD} action goto chain 5")
    lab.tc.add(
        r[0],
        f"ip_proto udp dst_port 2000 action mirred egress redirect dev {r[1]}",
        proto="ip",
        chain=5,
    )


@suite.case("goto chain")
@rules(0)
def chain(lab):
    through_chain(lab)
    lab.traffic("vf0", 100, ["vf1"])
    lab.counted(lab.reps[0], 100, 60, chain=5)


@suite.case("goto chains: four of them, rewrite and tag on the way")
@rules(0)
def chains(lab):
    r = lab.reps
    lab.tc.add(r[0], f"{FORWARD} action goto chain 1")
    lab.tc.add(
        r[0],
        "ip_proto udp action pedit ex munge eth dst set 0e:00:00:00:00:07 pipe action goto chain 2",
        proto="ip",
        chain=1,
    )
    lab.tc.add(r[0], "dst_mac 0e:00:00:00:00:07 action goto chain 7", chain=2)
    lab.tc.add(
        r[0],
        f"action vlan push id 9 pipe action mirred egress redirect dev {r[1]}",
        chain=7,
    )
    frames = lab.model.capture("vf1", lambda: lab.model.send("vf0", count=4))
    expect(
        "frames", [f[:6].hex() + f[12:16].hex() for f in frames], ["0e0000000007" + "81000009"] * 4
    )
    for n in (1, 2, 7):
        got = lab.tc.wait_stats(r[0], 4, chain=n)
        expect(f"counted in chain {n}", got[0], 4)


@suite.case("a rule is counted while packets pass at 64 rules")
@rules(0)
def many(lab):
    r = lab.reps
    for n in range(64):
        lab.tc.add(
            r[0],
            f"ip_proto udp dst_port {3000 + n} action mirred egress redirect dev {r[1 + n % 3]}",
            prio=1,
            handle=n + 1,
            proto="ip",
        )
    for n in (0, 31, 63):
        lab.traffic("vf0", 64, [f"vf{1 + n % 3}"], dport=3000 + n)
    return f"{lab.model.ask('status')['flow_entries']} entries"


@suite.case("a limit of the device: the rule is refused, and nothing is left of it")
@rules(0)
def no_space(lab):
    r = lab.reps
    before = lab.model.ask("status")["flow_entries"]
    lab.model.ask("fault", command="set_flow_table_entry", kind="limit")
    try:
        lab.tc.add(r[0], f"{FORWARD} action drop")
    except RuntimeError:
        pass
    else:
        raise Failed("tc accepted the rule")
    finally:
        lab.model.ask("faults-clear")
        lab.refusals = 1
    for _ in range(30):
        if lab.model.ask("status")["flow_entries"] == before:
            break
        time.sleep(0.1)
    expect("entries", lab.model.ask("status")["flow_entries"], before)
    lab.traffic("vf0", 20, cpu=20, wait=0.6, rate=2000)


@suite.case("a short lack of resources: the rule is tried again, and goes in")
@rules(0)
def short_lack(lab):
    lab.model.ask("fault", command="set_flow_table_entry", kind="no-resources")
    lab.refusals = 1
    lab.tc.add(lab.reps[0], f"{FORWARD} action mirred egress redirect dev {lab.reps[1]}")
    lab.traffic("vf0", 20, ["vf1"])


@suite.case("slow path out of every representor")
def out(lab):
    for n, r in enumerate(lab.reps):
        before = lab.model.port_stats(f"vf{n}")["received"]["packets"]
        raw_send(r, [udp()] * 10)
        time.sleep(0.2)
        expect(
            f"came out at vf{n}", lab.model.port_stats(f"vf{n}")["received"]["packets"] - before, 10
        )


# A kernel without CONFIG_NET_TC_SKB_EXT has no place in a packet to note a chain:
# the driver warns and drops the packet.
RESTORE = "mlx5e_tc_update_skb"


@suite.case("a packet that misses in a chain: the device says which one it was")
@rules(0)
def chain_miss(lab):
    through_chain(lab)
    # What the driver had written to its register for a packet that leaves chain 5.
    tags = set()
    for t in lab.model.ask("flows")["tables"]:
        for e in t["entries"]:
            for step in e["rewrites"]:
                if t["type"] == "Fdb" and step.startswith("set reg_c_0[0+16] = "):
                    tags.add(int(step.split(" = ")[1], 16))
    known = {e["flow_tag"] for t in lab.model.ask("flows")["tables"] for e in t["entries"]}
    lab.model.ask("completions", clear=True)
    lab.model.send("vf0", dport=2001)
    time.sleep(0.5)
    seen = lab.model.ask("completions", clear=True)["completions"]
    expect("packets that the driver got", len(seen), 1)
    tag = seen[0]["flow_tag"]
    expect_true(
        "the tag is one that the driver made for a chain",
        tag in tags and tag in known,
        f"{tag}: {tags}, {known}",
    )
    log = run("dmesg")
    missing = "Couldn't find mapped object"
    expect_true("the driver found the chain for it", missing not in log)
    warned = [line for line in log.splitlines() if "WARNING:" in line and RESTORE in line]
    expect_true("and had no place to note it", warned, "no warning of it")
    # One that misses in chain 0 goes to its representor, with no chain to note.
    lab.model.send("vf0", dst="02:00:00:00:00:03")
    time.sleep(0.5)
    other = lab.model.ask("completions", clear=True)["completions"]
    expect("packets that the driver got", len(other), 1)
    expect_true("another tag", other[0]["flow_tag"] != tag, str(other))
    return f"flow tag {tag:#x} for chain 5, {other[0]['flow_tag']:#x} without"


@suite.case("leave switchdev mode, unload: nothing left, no warning")
def leave(lab):
    eswitch("legacy")
    run("rmmod mlx5_core")
    s = lab.model.ask("status")
    expect("objects left", {k: v for k, v in s["objects"].items() if v}, {})
    expect("left at teardown", s["leftovers"], 0)
    expect("flow entries", s["flow_entries"], 0)
    expect("model errors", s["errors"], 0)
    expect("kernel log", kernel_trouble(known=RESTORE), [])


if __name__ == "__main__":
    sys.exit(suite.run(Lab(), only=sys.argv[1] if len(sys.argv) > 1 else None))
