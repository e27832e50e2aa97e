# SPDX-License-Identifier: GPL-2.0
"""Inside the guest: the far sides are TAP devices, with hosts behind them in
network namespaces outside the guest, which check.sh has made."""

import json
import re
import sys

from check_tc import Lab, leave
from model import (
    Tc,
    cpu_rx,
    eswitch,
    ethtool_stats,
    load,
    quiet_ipv6,
    representors,
    run,
    time,
    uplink,
)
from suite import Suite, expect, expect_true

suite = Suite("far")
# The host behind the wire, as check.sh makes it, and this side.
WIRE_HOST, WIRE_US = "10.9.1.2", "10.9.1.1"
STREAMS = 12


@suite.case("a host behind the wire, in a namespace outside: ping")
def ping(lab):
    quiet_ipv6()
    lab.up = load()
    run(f"ip link set {lab.up} up")
    run(f"ip addr add {WIRE_US}/24 dev {lab.up}")
    out = run(f"ping -c 10 -i 0.1 -W 2 {WIRE_HOST}")
    expect_true("no loss", " 0% packet loss" in out, out)
    return out.strip().splitlines()[-1]


def iperf(*args):
    """One run of iperf3: what it received in Mbit/s, and what it lost."""
    result = json.loads(run(f"iperf3 -J -c {WIRE_HOST} " + " ".join(args)))
    if "error" in result:
        raise RuntimeError(result["error"])
    return result["end"]


def moved(before, after, name):
    return after[name] - before[name]


@suite.case("iperf3 to the host: segmentation and checksums are the device's work")
def transmit(lab):
    bad = lab.model.port_stats("uplink")["bad_checksums"]
    before = ethtool_stats(lab.up)
    end = iperf("-t", "4", "-P", "2")
    after = ethtool_stats(lab.up)
    big, inner = (moved(before, after, n) for n in ("tx_tso_packets", "tx_tso_bytes"))
    expect_true("packets that the device cut up", big > 20, str(big))
    expect_true("their size", inner / big > 2000, f"{inner / big:.0f} bytes")
    left = moved(before, after, "tx_csum_partial")
    expect_true("checksums left to the device", left >= big, f"{left} of {big}")
    now = lab.model.port_stats("uplink")["bad_checksums"]
    expect("frames with a wrong checksum on the wire", now - bad, 0)
    rate = end["sum_received"]["bits_per_second"] / 1e6
    expect_true("data arrived", rate > 0.5, f"{rate} Mbit/s")
    return f"{rate:.0f} Mbit/s, {big} packets of {inner / big:.0f} bytes cut up"


@suite.case("iperf3 from the host: checksums are checked, flows are spread over the queues")
def receive(lab):
    before = ethtool_stats(lab.up)
    end = iperf("-t", "4", "-P", str(STREAMS), "-R")
    after = ethtool_stats(lab.up)
    rings = [n for n in after if re.fullmatch(r"rx\d+_packets", n)]
    share = {n: moved(before, after, n) for n in rings}
    total = sum(share.values())
    expect_true("two queues", len(rings) >= 2, str(rings))
    expect_true("each got its share", min(share.values()) > total / 100, str(share))
    good = sum(moved(before, after, f"rx_csum_{n}") for n in ("complete", "unnecessary"))
    unchecked = moved(before, after, "rx_csum_none")
    expect_true(
        "the device checked the sums", good > 100 * max(unchecked, 1), f"{good}, {unchecked}"
    )
    rate = end["sum_received"]["bits_per_second"] / 1e6
    expect_true("data arrived", rate > 0.5, f"{rate} Mbit/s")
    return f"{rate:.0f} Mbit/s, {share}"


@suite.case("iperf3 with UDP datagrams at a rate that the guest can take: nothing lost")
def datagrams(lab):
    end = iperf("-u", "-b", "2M", "-l", "1000", "-t", "3")["sum"]
    expect_true("sent", end["packets"] > 500, str(end["packets"]))
    expect_true("lost at most 1 %", end["lost_percent"] <= 1, str(end["lost_percent"]))
    return f"{end['packets']} datagrams, {end['lost_percent']:.2f} % lost"


def passed(lab, seconds=2.0):
    """Frames that came out at the two hosts, and what the CPU received."""
    names = ("vf2", "vf3")
    cpu = {r: cpu_rx(r) for r in lab.reps}
    before = [lab.model.port_stats(n)["received"]["packets"] for n in names]
    time.sleep(seconds)
    after = [lab.model.port_stats(n)["received"]["packets"] for n in names]
    return [b - a for a, b in zip(before, after, strict=True)], sum(
        cpu_rx(r) - cpu[r] for r in lab.reps
    )


@suite.case("hosts behind two functions: their packets go to the representors")
def slow(lab):
    run(f"ip addr flush dev {lab.up}")
    eswitch("switchdev")
    lab.up, lab.reps = uplink(), representors()
    for n in [lab.up, *lab.reps]:
        run(f"ip link set {n} up")
    time.sleep(1)
    out, cpu = passed(lab)
    expect("arrived at the other host", out, [0, 0])
    expect_true("pings in the CPU", cpu >= 5, str(cpu))
    return f"{cpu} in 2 s"


@suite.case("tc rules both ways: the hosts ping each other, and the CPU sees none of it")
def fast(lab):
    a, b = lab.reps[2], lab.reps[3]
    lab.tc = Tc(a, b)
    lab.tc.add(a, f"ip_proto icmp action mirred egress redirect dev {b}", proto="ip")
    lab.tc.add(b, f"ip_proto icmp action mirred egress redirect dev {a}", proto="ip")
    time.sleep(0.5)
    out, cpu = passed(lab)
    expect_true("requests and replies", min(out) >= 5, str(out))
    expect("through the CPU", cpu, 0)
    lab.tc.close()
    time.sleep(0.5)
    out, cpu = passed(lab, 1)
    expect("arrived without the rules", out, [0, 0])
    return f"then {cpu} in the CPU"


suite.case("leave switchdev mode, unload: nothing left, no warning")(leave)

if __name__ == "__main__":
    sys.exit(suite.run(Lab(), only=sys.argv[1] if len(sys.argv) > 1 else None))
