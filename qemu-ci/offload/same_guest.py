#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Inside a guest: what Open vSwitch's own tools show, for same.sh to compare.

The same traffic on our module with its flows in hardware, and on the C module
without offload: nobody who only looks at Open vSwitch shall see which it is.
"""

import json
import pathlib
import re
import sys
import time

from demo_guest import STREAMS, VLAN, Lab
from net import BRIDGE, Failed, main_error, progress, sh, stop_ovs

COUNT = 100
# What the log says of time and memory, and of features that the module has:
# the demo compares those.
NOISE = re.compile(r"^(timeval|coverage|poll_loop|memory)\||Datapath (supports|does not)|probed as")


def send(lab: Lab, number: int, count: int) -> None:
    """Packets of one stream, until all have left."""
    extra = {"vlan": VLAN} if STREAMS[number]["from"] == "uplink" else {}
    lab.model.send(STREAMS[number]["from"], stream=number, count=count, rate=500, **extra)


def counted() -> list[int]:
    """The packets of each OpenFlow rule that any matched."""
    text = sh("ovs-ofctl", "-O", "OpenFlow15", "dump-flows", BRIDGE)
    return [int(n) for n in re.findall(r"n_packets=(\d+)", text) if n != "0"]


def log_lines() -> list[str]:
    """ovs-vswitchd's log, without times, threads' names and numbers that count them."""
    lines = []
    for line in pathlib.Path("/var/log/openvswitch/ovs-vswitchd.log").read_text().splitlines():
        parts = line.split("|", 4)
        if len(parts) < 5:
            lines.append(line)
            continue
        text = f"{re.sub(r'[(].*', '', parts[2])}|{parts[3]}|{parts[4]}"
        if not NOISE.search(text):
            volatile = r"#\d+|in the last \d+ s|pid \d+|(?<=datapath ID )[0-9a-f]+"
            lines.append(re.sub(volatile, "N", text))
    # Threads write it: the order of lines is nobody's.
    return sorted(lines)


def view() -> dict[str, list[str]]:
    """Each tool's lines, without what differs from run to run."""
    flows = sh("ovs-ofctl", "-O", "OpenFlow15", "dump-flows", BRIDGE)
    dp = sh("ovs-dpctl", "dump-flows", "--names")
    verbose = sh("ovs-appctl", "dpctl/dump-flows", "-m")
    ports = re.findall(r"port \d+: (.*)", sh("ovs-dpctl", "show"))
    used = re.compile(r"used:[\d.]+s")
    return {
        # Ports come in any order.
        "ovs-vsctl show": sorted(sh("ovs-vsctl", "show").splitlines()[1:]),
        "ovs-ofctl dump-flows": sorted(
            re.sub(r"(duration|idle_age)=[\d.]+s?, |\(xid=.*", "", x) for x in flows.splitlines()
        ),
        "ovs-dpctl dump-flows": sorted(
            used.sub("used:T", x) for x in dp.splitlines() if not NOISE.search(x)
        ),
        "dpctl/dump-flows -m": sorted(
            re.sub(
                r"ufid:[0-9a-f-]+, |ct_\w+\([^)]*\),|, (dp|offloaded):\w+",
                "",
                used.sub("used:T", x),
            )
            for x in verbose.splitlines()
        )
        + sorted(set(re.findall(r"(?:dp|offloaded):\w+", verbose))),
        "ovs-dpctl show, ports": sorted(ports),
        "ovs-vswitchd.log": log_lines(),
    }


def main() -> int:
    if len(sys.argv) != 3 or sys.argv[1] not in ("ours", "c"):
        print("usage: same_guest.py ours|c RESULT", file=sys.stderr)
        return 2
    found, failed, lab = {}, None, Lab(sys.argv[1])
    try:
        lab.enter()
        for number in STREAMS:
            send(lab, number, 1)
            time.sleep(0.5)
        lab.settle(len(STREAMS) if lab.name == "ours" else 0)
        found["flows"] = lab.flows()
        for number in STREAMS:
            send(lab, number, COUNT)
        for _ in range(60):
            if counted() == [COUNT + 1] * len(STREAMS):
                break
            time.sleep(0.5)
        found["view"] = view()
        progress(f"{lab.name}: flows {found['flows']}")
        stop_ovs()
    except Exception as err:  # same.sh says what is missing
        failed = f"{type(err).__name__}: {err}"
        main_error(Failed(failed))
    pathlib.Path(sys.argv[2]).write_text(json.dumps({**found, "failed": failed}, indent=1))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
