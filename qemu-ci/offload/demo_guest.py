#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Inside a guest: Open vSwitch over the mlx5 device model, without and with offload.

Traffic runs all the time; what changes is who forwards it. Each phase is
measured between two looks at the counters, and what was seen goes into a JSON
file for demo_report.py.
"""

import importlib.machinery
import importlib.util
import json
import os
import pathlib
import re
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
for folder in ("demo", "mlx5"):
    sys.path.insert(0, os.path.join(HERE, "..", folder))

import net  # noqa: E402
from model import Model, cpu_rx, kernel_trouble, switchdev, wait_for_other  # noqa: E402
from net import BRIDGE, Failed, of, progress, sh  # noqa: E402

TOOL = os.path.join(HERE, "..", "..", "tools", "net", "ovs-offload")
# Packets a second of each stream, and how long a phase is looked at.
RATE = 2500
SECONDS = 7
VLAN = 100
# Stream: what enters where, what has to come out where.
STREAMS = {
    1: {"from": "vf0", "to": "vf1", "what": "VF to VF"},
    2: {"from": "vf1", "to": "vf0", "what": "VF to VF, back"},
    3: {"from": "vf2", "to": "uplink", "what": "VF to wire, VLAN pushed"},
    4: {"from": "uplink", "to": "vf2", "what": "wire to VF, VLAN popped"},
}
PORTS = ("vf0", "vf1", "vf2", "uplink")
OFPORT = {port: number for number, port in enumerate(PORTS, 1)}
RULES = (
    f"priority=10,ip,in_port={OFPORT['vf0']},actions=output:{OFPORT['vf1']}",
    f"priority=10,ip,in_port={OFPORT['vf1']},actions=output:{OFPORT['vf0']}",
    f"priority=10,ip,in_port={OFPORT['vf2']},"
    f"actions=push_vlan:0x8100,set_field:{0x1000 | VLAN}->vlan_vid,output:{OFPORT['uplink']}",
    f"priority=10,ip,dl_vlan={VLAN},in_port={OFPORT['uplink']},"
    f"actions=pop_vlan,output:{OFPORT['vf2']}",
    "priority=0,actions=drop",
)


def tool_module():
    """The project's tool as a module: looking often shall not start a process."""
    loader = importlib.machinery.SourceFileLoader("ovs_offload", TOOL)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


def cpu_times() -> dict[str, int]:
    """Both processors' time: all of it, and what the kernel used for itself.

    user nice system idle iowait irq softirq steal; the packets of an interrupt
    are worked off in softirq, or in ksoftirqd, which is system.
    """
    times = [int(v) for v in pathlib.Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]
    return {"all": sum(times), "kernel": times[2] + times[5] + times[6]}


def softnet() -> int:
    """Packets that the network stack took in, on all processors."""
    lines = pathlib.Path("/proc/net/softnet_stat").read_text().splitlines()
    return sum(int(line.split()[0], 16) for line in lines)


class Lab:
    """The guest's side of the demonstration."""

    def __init__(self, name: str):
        self.name = name
        self.model = Model()
        self.tool = tool_module()
        self.show: dict[str, str] = {}
        self.asking = threading.Lock()
        self.devs: dict[str, str] = {}
        self.samples: list[dict[str, float]] = []
        self.phases: list[dict[str, object]] = []
        self.stop = threading.Event()
        self.epoch = time.monotonic()

    def ask(self, cmd: str, **args):
        """One request at a time: the sampler asks as well."""
        with self.asking:
            return self.model.ask(cmd, **args)

    # What is there.

    def enter(self) -> None:
        """The driver, the switch, the bridge and its rules."""
        uplink, reps = switchdev()
        self.devs = dict(zip(PORTS, [*reps[:3], uplink], strict=True))
        for dev in self.devs.values():
            # What the driver counts is then what the model sent, one to one.
            sh("ethtool", "-K", dev, "gro", "off", check=False)
        net.start_ovs("openvswitch")
        args = ["--", "add-br", BRIDGE, "--", "set", "bridge", BRIDGE, "fail-mode=secure"]
        for port, dev in self.devs.items():
            args += ["--", "add-port", BRIDGE, dev]
            args += ["--", "set", "interface", dev, f"ofport_request={OFPORT[port]}"]
        sh("ovs-vsctl", *args)
        of(*RULES)
        progress(f"bridge {BRIDGE}: " + ", ".join(f"{d} ({p})" for p, d in self.devs.items()))

    def start_traffic(self, seconds: float) -> None:
        """All streams, until they are stopped."""
        for number, stream in STREAMS.items():
            extra = {"vlan": VLAN} if stream["from"] == "uplink" else {}
            self.ask(
                "gen",
                port=stream["from"],
                stream=number,
                rate=RATE,
                count=int(RATE * seconds),
                size=60,
                src=f"02:00:00:00:01:0{number}",
                dst=f"02:00:00:00:02:0{number}",
                **extra,
            )

    # What is counted.

    def look(self) -> dict[str, object]:
        """All counters, at about the same moment."""
        before, cpu_before = time.monotonic(), cpu_times()
        rx = {port: cpu_rx(dev) for port, dev in self.devs.items()}
        found = self.ask("ports")
        now = time.monotonic()
        streams = {}
        for number, stream in STREAMS.items():
            got = found["ports"][stream["to"]]["streams"].get(str(number), {})
            streams[number] = {
                "sent": self.sent(number, found),
                "delivered": got.get("packets", 0),
                "latency_sum": got.get("packets", 0) * got.get("latency_ns", {}).get("mean", 0),
            }
        return {
            "at": now - self.epoch,
            "took": now - before,
            # The looking shall not count as load.
            "cpu_before": cpu_before,
            "cpu_after": cpu_times(),
            "softnet": softnet(),
            "driver_rx": rx,
            "model_to_cpu": found["cpu"]["received"]["packets"],
            "model_from_cpu": found["cpu"]["sent"]["packets"],
            "streams": streams,
        }

    @staticmethod
    def sent(number: int, found: dict[str, object]) -> int:
        """Frames of a stream that entered the switch: nothing else enters there."""
        return found["ports"][STREAMS[number]["from"]]["sent"]["packets"]

    def sample(self) -> None:
        """What the picture is drawn from, twice a second."""
        while not self.stop.wait(0.5):
            found = self.ask("ports")
            self.samples.append(
                {
                    "at": round(time.monotonic() - self.epoch, 3),
                    "offered": sum(self.sent(n, found) for n in STREAMS),
                    "delivered": sum(
                        found["ports"][s["to"]]["streams"].get(str(n), {}).get("packets", 0)
                        for n, s in STREAMS.items()
                    ),
                    "to_cpu": found["cpu"]["received"]["packets"],
                    "from_cpu": found["cpu"]["sent"]["packets"],
                    **{f"time_{k}": v for k, v in cpu_times().items()},
                }
            )

    def flows(self) -> dict[str, int]:
        """How many of the datapath's flows run where."""
        if self.name == "ours":
            netlink = self.tool.Netlink()
            found = [
                flow
                for dp in netlink.dump(self.tool.DP_GET)
                for flow in netlink.dump(
                    self.tool.FLOW_GET, self.tool.u32("dp-ifindex", dp["dp-ifindex"])
                )
            ]
            netlink.sock.close()
            hard = sum(f["state"] == "hardware" for f in found)
            return {"hardware": hard, "software": len(found) - hard}
        kinds = {"hardware": "offloaded", "software": "ovs"}
        return {
            where: len(re.findall("in_port", sh("ovs-appctl", "dpctl/dump-flows", f"type={kind}")))
            for where, kind in kinds.items()
        }

    def settle(self, hardware: int, flows: int = len(STREAMS), timeout: float = 30) -> None:
        """Wait until so many flows are in hardware."""
        deadline = time.monotonic() + timeout
        while True:
            found = self.flows()
            if found == {"hardware": hardware, "software": flows - hardware}:
                return
            if time.monotonic() > deadline:
                progress(f"not settled: {found}, expected {hardware} of {flows} in hardware")
                return
            time.sleep(0.2)

    def phase(self, title: str, hardware: int | None, how: str) -> None:
        """Measure one phase."""
        if hardware is not None:
            self.settle(hardware)
            # What was on its way before comes out.
            time.sleep(2)
        before = self.look()
        time.sleep(SECONDS if hardware is not None else SECONDS / 2)
        after = self.look()
        flows = self.flows() if hardware is not None else {"hardware": 0, "software": 0}
        self.phases.append(
            {"title": title, "how": how, "before": before, "after": after, "flows": flows}
        )
        seconds = after["at"] - before["at"]
        delivered = sum(
            after["streams"][n]["delivered"] - before["streams"][n]["delivered"] for n in STREAMS
        )
        progress(
            f"{title}: {delivered / seconds:.0f} packets/s delivered, "
            f"{(after['model_to_cpu'] - before['model_to_cpu']) / seconds:.0f} through the CPU"
        )

    # The phases.

    def run_ours(self) -> None:
        """Our module decides in the kernel; its policy is set while traffic runs."""
        sh(TOOL, "set", "never")
        how = "ovs-offload set never"
        self.start_traffic(600)
        self.phase("offload off", 0, how)
        sh(TOOL, "set", "auto")
        self.phase("offload on", len(STREAMS), "ovs-offload set auto")
        ufid = self.ufid_of("vf0")
        sh(TOOL, "set", "--dp", "ovs-system", "--ufid", ufid, "never")
        how = "ovs-offload set --dp ovs-system --ufid UFID never"
        self.phase("one flow off", len(STREAMS) - 1, how)

    def ufid_of(self, port: str) -> str:
        """The flow that a port's packets match."""
        for line in sh("ovs-appctl", "dpctl/dump-flows", "-m").splitlines():
            if f"in_port({self.devs[port]})" in line:
                return re.search(r"ufid:([0-9a-f-]+)", line)[1]
        raise Failed(f"no flow of port {port}")

    def run_c(self) -> None:
        """Open vSwitch decides in userspace, and talks to TC."""
        how = "other_config:hw-offload=false"
        self.start_traffic(600)
        self.phase("offload off", 0, how)
        sh("ovs-vsctl", "set", "Open_vSwitch", ".", "other_config:hw-offload=true")
        # Flows that are there stay where they are; new ones go to TC.
        sh("ovs-appctl", "revalidator/purge")
        self.phase("offload on", len(STREAMS), "other_config:hw-offload=true")

    def run(self, shared: pathlib.Path) -> None:
        """Everything, in turn with the other guest where it is measured."""
        self.enter()
        (shared / f"{self.name}.ready").touch()
        wait_for_other(
            shared, self.name, "c.ready" if self.name == "ours" else "ours.measured", 240
        )
        self.epoch = time.monotonic()
        threading.Thread(target=self.sample, daemon=True).start()
        try:
            self.phase("no traffic", None, "the measuring alone")
            (self.run_ours if self.name == "ours" else self.run_c)()
        finally:
            self.stop.set()
            self.ask("gen-stop")
            (shared / f"{self.name}.measured").touch()
        self.show = {
            "ovs-vsctl show": sh("ovs-vsctl", "show"),
            "ovs-ofctl dump-flows": sh("ovs-ofctl", "-O", "OpenFlow15", "dump-flows", BRIDGE),
            "dpctl/dump-flows": sh("ovs-appctl", "dpctl/dump-flows", "--names"),
        }
        if self.name == "ours":
            self.show["ovs-offload show"] = sh(TOOL, "show")
            self.show["ovs-offload flows"] = sh(TOOL, "flows")
        net.stop_ovs()


def main() -> int:
    if len(sys.argv) != 4 or sys.argv[1] not in ("ours", "c"):
        print("usage: demo_guest.py ours|c RESULT.json SHARED-FOLDER", file=sys.stderr)
        return 2
    lab, failed = Lab(sys.argv[1]), None
    try:
        lab.run(pathlib.Path(sys.argv[3]))
    except Exception as err:  # what was measured up to here is still of use
        failed = f"{type(err).__name__}: {err}"
        net.main_error(err)
    pathlib.Path(sys.argv[2]).write_text(
        json.dumps(
            {
                "name": lab.name,
                "streams": STREAMS,
                "rate": RATE,
                "rules": RULES,
                "phases": lab.phases,
                "samples": lab.samples,
                "show": lab.show,
                "trouble": kernel_trouble(),
                "failed": failed,
            },
            indent=1,
        )
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
