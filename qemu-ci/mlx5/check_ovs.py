# SPDX-License-Identifier: GPL-2.0
"""Inside the guest: Open vSwitch's own offload (other_config:hw-offload),
userspace over tc, on the kernel's C module."""

import sys

from check_tc import Lab, enter, leave
from model import cpu_rx, run, sh, time
from suite import Suite, expect, expect_true

suite = Suite("ovs")

suite.case("load the driver, enter switchdev mode")(enter)


@suite.case("Open vSwitch with hw-offload, representors as its ports")
def start(lab):
    run("modprobe openvswitch")
    for m in (
        "sch_ingress",
        "cls_flower",
        "act_mirred",
        "act_gact",
        "act_vlan",
        "act_pedit",
        "act_csum",
        "act_tunnel_key",
    ):
        sh("modprobe", "-q", m, check=False)
    run("/usr/share/openvswitch/scripts/ovs-ctl start --system-id=model --no-monitor")
    run("ovs-vsctl --no-wait set Open_vSwitch . other_config:hw-offload=true")
    run("/usr/share/openvswitch/scripts/ovs-ctl restart --system-id=model --no-monitor")
    run("ovs-vsctl add-br br0")
    for r in lab.reps:
        run(f"ovs-vsctl add-port br0 {r}")
    run("ovs-ofctl del-flows br0")
    ports = {r: run(f"ovs-vsctl get Interface {r} ofport").strip() for r in lab.reps}
    run(f"ovs-ofctl add-flow br0 in_port={ports[lab.reps[0]]},actions=output:{ports[lab.reps[1]]}")


@suite.case("the first packets miss, the flow goes into the device model")
def offload(lab):
    lab.model.send("vf0", count=20, rate=100)
    for _ in range(60):
        flows = run("ovs-appctl dpctl/dump-flows type=offloaded", check=False)
        if "in_port" in flows and "eth_type(0x0800)" in flows:
            break
        time.sleep(0.2)
    expect_true("an offloaded flow", "in_port" in flows, flows)
    return flows.strip()[:200]


@suite.case("packets of the flow pass in the model, and Open vSwitch counts them")
def passes(lab):
    before = cpu_rx(lab.reps[0])
    lab.model.send("vf0", count=2000, rate=10000)
    time.sleep(0.4)
    expect("came out at vf1", lab.model.arrived("vf1"), 2000)
    expect("through the CPU", cpu_rx(lab.reps[0]) - before, 0)
    for _ in range(40):
        flows = run("ovs-appctl dpctl/dump-flows type=offloaded", check=False)
        counts = [
            int(w.split(":")[1].rstrip(",")) for w in flows.split() if w.startswith("packets:")
        ]
        if counts and max(counts) >= 2000:
            break
        time.sleep(0.2)
    expect_true("counted", counts and max(counts) >= 2000, flows)
    return flows.strip()[:200]


@suite.case("a flow that is deleted leaves the model")
def gone(lab):
    before = lab.model.ask("status")["flow_entries"]
    run("ovs-ofctl del-flows br0")
    for _ in range(80):
        now = lab.model.ask("status")["flow_entries"]
        if now < before:
            break
        time.sleep(0.2)
    expect_true("fewer entries", now < before, f"{before} -> {now}")
    run("ovs-vsctl del-br br0")
    run("/usr/share/openvswitch/scripts/ovs-ctl stop")
    expect("datapaths", sh("ovs-dpctl", "dump-dps", check=False).strip(), "")


suite.case("leave switchdev mode, unload: nothing left, no warning")(leave)

if __name__ == "__main__":
    sys.exit(suite.run(Lab(), only=sys.argv[1] if len(sys.argv) > 1 else None))
