# SPDX-License-Identifier: GPL-2.0
"""Flows that come, change and go all the time, while ports, the driver and the
device do."""

import json
import os
import random
import sys
import threading
import time

from model import kernel_trouble, pci_device, run, sh
from suite import Failed, expect, expect_true

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "suite"))
import nlcore  # noqa: E402
import ovsattr as o  # noqa: E402
from nlcore import NLM_F_ACK, nest, u32  # noqa: E402

# Matches that each thread has.
MATCHES = 24
# How long a storm goes on while something else happens, in seconds.
CALM = 1.5


class Storm(threading.Thread):
    """Adds, changes and deletes flows as fast as it can. What fails fails:
    ports and flows come and go."""

    def __init__(self, dp_ifindex, number, ports, netns=None):
        super().__init__(daemon=True)
        self.dp = dp_ifindex
        self.number = number
        self.ports = ports
        self.netns = netns
        self.nl = self.family = None
        self.random = random.Random(number)
        self.over = threading.Event()
        self.done = dict.fromkeys((o.NEW, o.SET, o.DEL), 0)

    def request(self, cmd, match, actions=None):
        key = (
            u32(o.K_RECIRC_ID, 0)
            + o.k_in_port(2)
            + o.k_eth()
            + o.k_type(0x0800)
            + o.k_ipv4(f"10.{self.number}.0.{match}", "0.0.0.0", 0)
        )
        mask = (
            u32(o.K_RECIRC_ID, 0xFFFFFFFF)
            + o.k_in_port(0xFFFFFFFF)
            + o.k_type(0xFFFF)
            + nlcore.attr(o.K_IPV4, b"\xff" * 4 + bytes(8))
        )
        attrs = nest(o.FL_KEY, key) + nest(o.FL_MASK, mask)
        if actions is not None:
            attrs += nest(o.FL_ACTIONS, actions)
        body = nlcore.GENLHDR.pack(cmd, self.family.version, 0)
        body += self.dp.to_bytes(4, sys.byteorder) + attrs
        answer, _ = self.nl.transact(self.family.ident, NLM_F_ACK, body)
        if not answer.errno:
            self.done[cmd] += 1

    def busy(self):
        """It was one: enough requests of each kind have come through."""
        return all(n > 5 for n in self.done.values())

    def run(self):
        if self.netns:
            nlcore.in_netns(self.netns)
        self.nl = nlcore.Socket()
        self.family = nlcore.get_family(self.nl, "ovs_flow")
        rnd = self.random
        while not self.over.is_set():
            match = rnd.randrange(MATCHES)
            cmd = rnd.choice((o.NEW, o.NEW, o.SET, o.DEL))
            out = b"".join(o.a_output(p) for p in rnd.sample(self.ports, rnd.randint(1, 2)))
            self.request(cmd, match, None if cmd == o.DEL else out)
        self.nl.close()


def storm(lab, tool, what, restore):
    """Does `what` a few times in a storm; then nothing must be left."""
    dp = [d for d in tool("show")["datapaths"] if d["name"] == "dp0"][0]
    storms = [Storm(dp["dp-ifindex"], n, [3, 4, 5]) for n in (1, 2)]
    before = tool("show")["total"]
    for s in storms:
        s.start()
    try:
        for _ in range(3):
            time.sleep(CALM)
            what()
        time.sleep(CALM)
        # On a slow kernel few requests come through until here.
        deadline = time.monotonic() + 30
        while not all(s.busy() for s in storms) and time.monotonic() < deadline:
            time.sleep(0.1)
    finally:
        for s in storms:
            s.over.set()
        for s in storms:
            s.join(30)
        restore()
    if any(s.is_alive() for s in storms):
        raise Failed("a request does not come back")
    for s in storms:
        expect_true("requests", s.busy(), str(s.done))
    lab.clear()
    deadline = time.monotonic() + 20
    while True:
        total = tool("show")["total"]
        if not total["rules"] and not total["waiting"]:
            break
        if time.monotonic() > deadline:
            raise Failed(f"rules left: {total}")
        time.sleep(0.2)
    expect("kernel log", kernel_trouble(), [])
    installed = total["installed"] - before["installed"]
    expect("removed", total["removed"] - before["removed"], installed)
    done = [sum(s.done[cmd] for s in storms) for cmd in (o.NEW, o.SET, o.DEL)]
    return f"{done[0]} added, {done[1]} changed, {done[2]} deleted, {installed} rules"


def add_cases(suite, fresh, tool, tool_path):
    """The cases of this file."""

    def stormy(title, what, restore=lambda _: None):
        @suite.case(title)
        @fresh
        def case(lab):
            return storm(lab, tool, lambda: what(lab), lambda: restore(lab))

        return case

    def port(lab):
        run(f"ovs-dpctl del-if dp0 {lab.devs['vf2']}")
        run(f"ovs-dpctl add-if dp0 {lab.devs['vf2']},port_no=4")

    def in_port(lab):
        run(f"ovs-dpctl del-if dp0 {lab.devs['vf0']}")
        run(f"ovs-dpctl add-if dp0 {lab.devs['vf0']},port_no=2")

    def switched(lab):
        # The driver may refuse while it has rules.
        for state in ("off", "on"):
            sh("ethtool", "-K", lab.devs["vf0"], "hw-tc-offload", state, check=False)

    def policies(lab):
        for state in ("never", "auto"):
            sh("python3", tool_path, "set", "--dp", "dp0", state)

    def link(lab):
        for state in ("down", "up"):
            run(f"ip link set {lab.devs['vf0']} {state}")
        for up in (False, True):
            lab.model.ask("link", up=up)

    def faults(lab):
        for kind in ("internal", "limit"):
            lab.model.ask("fault", command="set_flow_table_entry", kind=kind, times=3, skip=2)

    def room(lab):
        lab.model.ask("room", entries=lab.model.ask("status")["flow_entries"] + 4)
        time.sleep(1)
        lab.model.ask("room")

    stormy("storm: an output port comes and goes", port)
    stormy("storm: the input port comes and goes", in_port)
    stormy("storm: hw-tc-offload goes off and on", switched)
    stormy("storm: policy goes to never and back", policies)
    stormy("storm: links go down and up", link)

    def well(lab):
        lab.model.ask("room")
        lab.model.ask("faults-clear")

    stormy("storm: the hardware is full now and then", room, well)
    stormy("storm: the device fails now and then", faults, well)


def module_goes(lab, ports):
    """Our module is removed while rules are in hardware and traffic runs: from
    under the datapath, as the C module can be, and after the datapath."""
    key = "eth(),eth_type(0x0800),ipv4()"
    before = lab.model.ask("status")["flow_entries"]
    for with_dp in (True, False):
        for source, to in ((2, 3), (3, 2), (1, 4)):
            sh("ovs-dpctl", "add-flow", "dp0", f"in_port({source}),{key}", str(to))
        expect("states", [f["state"] for f in lab.settle()], ["hardware"] * 3)
        # For longer than a busy machine takes for what follows.
        for stream, port in ((1, "vf0"), (2, "vf1")):
            lab.model.ask("gen", port=port, count=300000, rate=3000, stream=stream)
        time.sleep(0.5)
        if not with_dp:
            run("ovs-dpctl del-dp dp0")
        run("rmmod openvswitch")
        left = lab.model.ask("status")["flow_entries"]
        running = [s["stream"] for s in lab.model.ask("gen-status")["streams"] if not s["done"]]
        expect("streams that still ran", sorted(running), [1, 2])
        if left > before:
            raise Failed(f"{left - before} entries left in the model")
        expect("the module is gone", os.path.exists("/sys/module/openvswitch"), False)
        time.sleep(1)
        lab.model.ask("gen-stop")
        expect("kernel log", kernel_trouble(), [])
        run("modprobe openvswitch")
        run("ovs-dpctl add-dp dp0")
        for dev in ports:
            run(f"ovs-dpctl add-if dp0 {dev}")


def namespace_goes():
    """A network namespace goes with the datapath, the ports and the tunnel in
    it, while flows come and go there. Such flows stay in software, but the
    engine hears of them."""
    asked = 0
    for _ in range(5):
        run("ip netns add gone")
        run("ip link add gone0 type veth peer name p0 netns gone")
        inside = "ip netns exec gone"
        run(f"{inside} ip link set p0 up")
        run(f"{inside} ovs-dpctl add-dp dpx")
        run(f"{inside} ovs-dpctl add-if dpx p0")
        run(f"{inside} ip link add vx1 type vxlan external dstport 4799")
        run(f"{inside} ovs-dpctl add-if dpx vx1")
        dp = json.loads(run("ip -n gone -j link show dpx"))[0]["ifindex"]
        storms = [Storm(dp, n, [0, 1, 2], "/run/netns/gone") for n in (1, 2)]
        for s in storms:
            s.start()
        time.sleep(CALM / 3)
        # It goes with the last thread and socket in it.
        run("ip netns del gone")
        time.sleep(CALM / 3)
        for s in storms:
            s.over.set()
        for s in storms:
            s.join(30)
            asked += sum(s.done.values())
        expect("requests that do not come back", sum(s.is_alive() for s in storms), 0)
        deadline = time.monotonic() + 20
        while os.path.exists("/sys/class/net/gone0"):
            if time.monotonic() > deadline:
                raise Failed("the namespace does not go")
            time.sleep(0.05)
    expect("kernel log", kernel_trouble(), [])
    expect_true("requests", asked > 50, f"only {asked} came through")
    return f"{asked} requests in 5 namespaces"


def driver_goes(lab, tool):
    """The driver is unbound from its device while flows come and go. There are
    no ports afterwards."""
    dp = [d for d in tool("show")["datapaths"] if d["name"] == "dp0"][0]
    storms = [Storm(dp["dp-ifindex"], n, [3, 4, 5]) for n in (1, 2)]
    for s in storms:
        s.start()
    time.sleep(CALM)
    with open("/sys/bus/pci/drivers/mlx5_core/unbind", "w") as f:
        f.write(pci_device())
    time.sleep(CALM)
    for s in storms:
        s.over.set()
    for s in storms:
        s.join(30)
    expect("requests that do not come back", sum(s.is_alive() for s in storms), 0)
    expect("rules", tool("show")["total"]["rules"], 0)
    run("ovs-dpctl del-dp dp0")
