# SPDX-License-Identifier: GPL-2.0
"""Inside the guest: tc flower rules run in the device model's switch."""

import sys

from model import (
    Model,
    Tc,
    cpu_rx,
    eswitch,
    kernel_trouble,
    load,
    offloaded,
    quiet_ipv6,
    raw_send,
    representors,
    run,
    time,
    udp,
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
            expect(
                "commands refused", now["refused"] - before["refused"], getattr(lab, "refusals", 0)
            )
            lab.refusals = 0
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
    return "1000 packets, 60000 bytes in tc and in the model"


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


@suite.case("goto chain")
@rules(0)
def chain(lab):
    r = lab.reps
    lab.tc.add(r[0], f"{FORWARD} action goto chain 5")
    lab.tc.add(
        r[0],
        f"ip_proto udp dst_port 2000 action mirred egress redirect dev {r[1]}",
        proto="ip",
        chain=5,
    )
    lab.traffic("vf0", 100, ["vf1"])
    lab.counted(r[0], 100, 60, chain=5)


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


@suite.case("leave switchdev mode, unload: nothing left, no warning")
def leave(lab):
    eswitch("legacy")
    run("rmmod mlx5_core")
    s = lab.model.ask("status")
    expect("objects left", {k: v for k, v in s["objects"].items() if v}, {})
    expect("left at teardown", s["leftovers"], 0)
    expect("flow entries", s["flow_entries"], 0)
    expect("model errors", s["errors"], 0)
    expect("kernel log", kernel_trouble(), [])


if __name__ == "__main__":
    sys.exit(suite.run(Lab(), only=sys.argv[1] if len(sys.argv) > 1 else None))
