# SPDX-License-Identifier: GPL-2.0
"""The part of `make bench` that runs inside the user-mode Linux guest.

It takes the modules in turn, several rounds, measures each case and writes one
line of JSON for each figure. A figure whose packets did not all arrive, whose
flows are not all there or whose upcalls were lost is an error, not a figure.
"""

import argparse
import contextlib
import json
import os
import re
import statistics
import subprocess
import sys
import time

import masks
import pipelines

DATAPATH, IN, OUT = "bench", "bench-in", "bench-out"
# A third port, and the device that tunnels go through.
MORE, UNDER = "bench-more", "bench-under"
PKTGEN = "/proc/net/pktgen"

# Packets per measurement: about half a second each with the C module.
PACKET_CASES = {
    # name: (shape, burst, packets)
    "one-burst32": ("one", 32, 1_600_000),
    "one-burst1": ("one", 1, 800_000),
    "masks32": ("masks32", 1, 300_000),
    "masks256": ("masks256", 1, 120_000),
}
CONTROL_CASES = ("install", "delete", "dump", "dump-terse", "memory", "upcalls")
# Few enough for a socket to hold: about 6 MB.
UPCALLS = 5_000
UPCALL_ROUNDS = 9
DUMPS = 3


class Bench:
    def __init__(self, args):
        self.args = args
        self.round = 0
        self.module = ""

    def run(self, *cmd):
        p = subprocess.run(cmd, capture_output=True, text=True, timeout=120)
        if p.returncode:
            raise RuntimeError(f"{' '.join(cmd)}: {p.stderr.strip()}")
        return p.stdout

    def client(self, *cmd):
        return json.loads(self.run(self.args.client, *cmd))

    def record(self, case, value, unit):
        line = json.dumps(
            {
                "round": self.round,
                "module": self.module,
                "case": case,
                "value": value,
                "unit": unit,
            }
        )
        with open(self.args.out, "a", encoding="ascii") as f:
            f.write(line + "\n")
        print(
            f"  round {self.round} {self.module:>5} {case:<12} {value:>14,.0f} {unit}", flush=True
        )

    # pktgen

    def pktgen(self, file, *commands):
        for c in commands:
            with open(f"{PKTGEN}/{file}", "w", encoding="ascii") as f:
                f.write(c + "\n")

    def send(self, shape, burst, count):
        """Inject `count` packets into IN; packets per second."""
        self.pktgen(
            IN,
            "xmit_mode netif_receive",
            f"count {count}",
            f"burst {burst}",
            "delay 0",
            "pkt_size 64",
            "dst_mac 02:00:00:00:00:02",
            "src_mac 02:00:00:00:00:01",
            "src_min 198.18.0.1",
            "src_max 198.18.0.1",
            "dst_min 198.19.0.1",
            # pktgen leaves the upper end of a random range out.
            "dst_max 198.19.0." + ("251" if shape == "masks256" else "1"),
            "udp_src_min 1024",
            "udp_src_max " + {"one": "1024", "masks32": "2048", "masks256": "1424"}[shape],
            "udp_dst_min 9",
            "udp_dst_max 9",
            ("flag " if shape != "one" else "flag !") + "UDPSRC_RND",
            ("flag " if shape == "masks256" else "flag !") + "IPDST_RND",
        )
        # It may return before the sending thread has begun.
        self.pktgen("pgctrl", "start")
        for _ in range(300):
            with open(f"{PKTGEN}/{IN}", encoding="ascii") as f:
                text = f.read()
            m = re.search(r"Result: OK: (\d+)\(.*?\) usec, (\d+)", text)
            if m:
                break
            time.sleep(0.1)
        if not m or int(m[2]) < count:
            raise RuntimeError("pktgen did not send all: " + text[-300:])
        return int(m[2]), int(m[2]) * 1e6 / int(m[1])

    @staticmethod
    def sent_out(dev=OUT):
        with open(f"/sys/class/net/{dev}/statistics/tx_packets", encoding="ascii") as f:
            return int(f.read())

    @contextlib.contextmanager
    def third_port(self, kind):
        """A device for the datapath's third port: an empty one or a tunnel's."""
        if not kind:
            yield
            return
        args = []
        if kind in pipelines.TUNNEL_PORTS:
            args = ["external", "dstport", str(pipelines.TUNNEL_PORTS[kind])]
        self.run("ip", "link", "add", MORE, "type", *([kind] if args else ["dummy"]), *args)
        self.run("sysctl", "-qw", f"net.ipv6.conf.{MORE}.disable_ipv6=1")
        self.run("ip", "link", "set", MORE, "up")
        try:
            yield
        finally:
            self.run("ip", "link", "del", MORE)

    def feed(self, case, count):
        """Have a device receive the packets of `case`; packets per second."""
        dev = {"in": IN, "under": UNDER}[case.fed]
        args = (f"dev={dev}", f"frame={case.frame.hex()}", f"count={count}")
        self.run("insmod", self.args.feed, *args)
        with open("/sys/module/feed/parameters/ns", encoding="ascii") as f:
            ns = int(f.read())
        self.run("rmmod", "feed")
        return count * 1e9 / ns

    def fed(self, name):
        """One of pipelines.py's cases, whose flows are there."""
        case = pipelines.CASES[name]
        out = {"out": OUT, "under": UNDER}[case.out]
        count = int(case.packets * self.args.scale)
        self.feed(case, count // 10)
        before = self.sent_out(out)
        pps = self.feed(case, count)
        arrived = self.sent_out(out) - before
        if arrived != count:
            raise RuntimeError(f"{self.module} {name}: {count} packets in, {arrived} out")
        self.record(name, pps, "packets/s")

    def pipeline(self, name):
        """A new datapath with the ports and flows of a case, and the case."""
        case = pipelines.CASES[name]
        self.client("setup", IN, OUT)
        with self.third_port(case.more):
            p = pipelines.Pipelines(DATAPATH)
            if case.more:
                p.port(MORE, pipelines.PORT_MORE)
            n = case.install(p)
            p.close()
            there = self.client("stats")["flows"]
            if there != n:
                raise RuntimeError(f"{self.module} {name}: {n} flows installed, {there} there")
            self.fed(name)
        self.client("teardown")

    def forward(self, case):
        shape, burst, count = PACKET_CASES[case]
        count = max(burst * 10, int(count * self.args.scale))
        self.send(shape, burst, max(burst, count // 10 // burst * burst))
        before = self.sent_out()
        sent, pps = self.send(shape, burst, count)
        arrived = self.sent_out() - before
        if arrived != sent:
            raise RuntimeError(f"{self.module} {case}: {sent} packets in, {arrived} out")
        self.record(case, pps, "packets/s")

    # many masks

    def spray(self, case, count):
        """Have IN receive the packets of a case of masks.py; packets per second."""
        dports, sports, addrs = case.prefixes
        args = (f"dev={IN}", f"kind={case.kind}", f"count={count}")
        args += (f"dports={dports}", f"sports={sports}", f"addrs={addrs}")
        self.run("taskset", "-c", "0", "insmod", self.args.spray, *args)
        with open("/sys/module/spray/parameters/ns", encoding="ascii") as f:
            ns = int(f.read())
        self.run("rmmod", "spray")
        return count * 1e9 / ns

    @contextlib.contextmanager
    def churn(self, case):
        """Have masks come and go, if the case is one with that."""
        if not case.churn:
            yield
            return
        cmd = ("taskset", "-c", "1", self.args.client, "churn", case.shape, "600")
        with subprocess.Popen(cmd, stdout=subprocess.PIPE, text=True) as p:
            if p.stdout.readline() != "ready\n":
                raise RuntimeError("the masks that come and go did not start")
            yield
            if p.poll() is not None:
                raise RuntimeError("the masks stopped to come and go")
            p.kill()

    def many_masks(self, name):
        case = masks.CASES[name]
        self.client("setup", IN, OUT)
        n = self.client("install", case.shape)["flows"]
        there = self.client("stats")["flows"]
        if there != n:
            raise RuntimeError(f"{self.module} {name}: {n} flows installed, {there} there")
        count = int(case.packets * self.args.scale)
        with self.churn(case):
            self.spray(case, count // 10)
            before, sent = self.client("stats"), self.sent_out()
            pps = self.spray(case, count)
            after, sent = self.client("stats"), self.sent_out() - sent
        missed = after["missed"] - before["missed"]
        wanted = {"miss": 0, "random": count - missed}.get(case.kind, count)
        if sent != wanted or missed != count - wanted:
            raise RuntimeError(f"{self.module} {name}: {count} in, {sent} out, {missed} missed")
        self.record(name, pps, "packets/s")
        self.client("teardown")

    # memory

    @staticmethod
    def memory():
        """Octets of slab, vmalloc and per-CPU memory, once RCU is quiet."""
        time.sleep(0.3)
        with open("/proc/meminfo", encoding="ascii") as f:
            info = dict(re.findall(r"^(\w+): +(\d+) kB", f.read(), re.M))
        return 1024 * sum(int(info[k]) for k in ("Slab", "VmallocUsed", "Percpu"))

    # upcalls

    def upcalls(self):
        """Misses queued to a socket and read from it, one after the other."""
        count = max(100, int(UPCALLS * self.args.scale))
        seconds, rates = [], []
        with subprocess.Popen(
            [self.args.client, "upcalls", str(count)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as p:
            if p.stdout.readline() != "ready\n":
                raise RuntimeError("the reader of the upcalls did not start")
            for _ in range(UPCALL_ROUNDS):
                _, pps = self.send("one", 1, count)
                p.stdin.write("sent\n")
                p.stdin.flush()
                r = json.loads(p.stdout.readline())
                if r["upcalls"] != count:
                    raise RuntimeError(f"{self.module}: {count} misses, {r['upcalls']} read")
                seconds.append(count / pps + r["seconds"])
                rates.append(pps)
            p.stdin.close()
        lost = self.client("stats")["lost"]
        if lost:
            raise RuntimeError(f"{self.module}: {lost} upcalls lost")
        self.record("upcalls", count / statistics.median(seconds), "upcalls/s")
        self.record("upcalls-sent", statistics.median(rates), "upcalls/s")

    # one module

    @contextlib.contextmanager
    def loaded(self, path):
        name = "openvswitch"
        if self.module == "floor":
            name = "floor"
            self.run("insmod", path, f"in={IN}", f"out={OUT}")
        elif path:
            depends = self.run("modinfo", "-F", "depends", path).strip()
            for dep in filter(None, depends.split(",")):
                self.run("modprobe", dep)
            self.run("insmod", path)
        else:
            self.run("modprobe", name)
        if self.args.kallsyms:
            with open("/proc/kallsyms", encoding="ascii") as f:
                symbols = f.read()
            with open(self.args.kallsyms, "w", encoding="ascii") as f:
                f.write(symbols)
        try:
            yield
        finally:
            for _ in range(50):
                if (
                    subprocess.run(["rmmod", name], capture_output=True, check=False).returncode
                    == 0
                ):
                    break
                time.sleep(0.1)
            else:
                raise RuntimeError(f"{name} cannot be unloaded")

    def flow_shape(self, shape, cases):
        """Install the flows of `shape` in a new datapath and run its cases."""
        wanted = [c for c in PACKET_CASES if PACKET_CASES[c][0] == shape and c in cases]
        control = [c for c in CONTROL_CASES if c != "upcalls" and c in cases]
        if shape != "masks256":
            control = []
        if not wanted and not control:
            return
        self.client("setup", IN, OUT)
        before = self.memory() if "memory" in control else 0
        r = self.client("install", shape)
        n = r["flows"]
        there = self.client("stats")["flows"]
        if there != n:
            raise RuntimeError(f"{self.module}: {n} flows installed, {there} there")
        if "install" in control:
            self.record("install", n / r["seconds"], "flows/s")
        if "memory" in control:
            self.record("memory", (self.memory() - before) / n, "octets/flow")
        for case in wanted:
            self.forward(case)
        for case, arg in (("dump", []), ("dump-terse", ["terse"])):
            if case not in control:
                continue
            rates = []
            for _ in range(DUMPS):
                r = self.client("dump", *arg)
                if r["flows"] != n:
                    raise RuntimeError(f"{self.module}: {n} flows, {r['flows']} dumped")
                rates.append(n / r["seconds"])
            self.record(case, statistics.median(rates), "flows/s")
        if "delete" in control:
            r = self.client("delete", shape)
            there = self.client("stats")["flows"]
            if there:
                raise RuntimeError(f"{self.module}: {there} flows left after delete")
            self.record("delete", n / r["seconds"], "flows/s")
        self.client("teardown")

    def measure(self, path, cases):
        if self.module == "floor":
            with self.loaded(path):
                for case in PACKET_CASES:
                    if case in cases:
                        self.forward(case)
                for name in pipelines.FLOOR_CASES:
                    if name in cases:
                        self.fed(name)
            return
        with self.loaded(path):
            for shape in ("one", "masks32", "masks256"):
                self.flow_shape(shape, cases)
            for name in pipelines.CASES:
                if name in cases:
                    self.pipeline(name)
            for name, case in masks.CASES.items():
                if name in cases and not (case.ours and self.module == "c"):
                    self.many_masks(name)
            if "upcalls" in cases:
                self.client("setup", IN, OUT)
                self.upcalls()
                self.client("teardown")

    @staticmethod
    def touch_memory():
        """Have the host give the guest its memory now and not while it is measured."""
        with open("/tmp/touch", "wb") as f:
            for _ in range(600):
                f.write(bytes(1 << 20))
        os.unlink("/tmp/touch")

    def underlay(self):
        """The device that tunnels go through, and the other end's neighbour entry."""
        self.run(
            *("ip", "link", "add", UNDER, "address", pipelines.UNDER_MAC, "type", "dummy"),
        )
        self.run("sysctl", "-qw", f"net.ipv6.conf.{UNDER}.disable_ipv6=1")
        self.run("ip", "address", "add", pipelines.UNDER + "/24", "dev", UNDER)
        self.run("ip", "link", "set", UNDER, "up")
        self.run(
            *("ip", "neighbour", "add", pipelines.PEER, "lladdr", "02:00:00:00:00:11"),
            *("dev", UNDER, "nud", "permanent"),
        )

    def main(self):
        self.touch_memory()
        self.run("modprobe", "pktgen")
        self.run("modprobe", "dummy", "numdummies=0")
        self.run("modprobe", "-a", *pipelines.TUNNEL_PORTS)
        for dev in (IN, OUT):
            self.run("ip", "link", "add", dev, "type", "dummy")
            self.run("sysctl", "-qw", f"net.ipv6.conf.{dev}.disable_ipv6=1")
            self.run("ip", "link", "set", dev, "up")
        self.pktgen("kpktgend_0", f"add_device {IN}")
        self.underlay()
        modules = [m.split("=", 1) for m in self.args.module]
        cases = self.args.cases.split(",")
        for r in range(self.args.rounds):
            self.round = r + 1
            # Another one first in each round, and every second round backwards.
            turn = modules[r % len(modules) :] + modules[: r % len(modules)]
            if r % 2:
                turn.reverse()
            for self.module, path in turn:
                self.measure(path, cases)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--client", required=True)
    p.add_argument("--feed", required=True, help="feed.ko")
    p.add_argument("--spray", required=True, help="spray.ko")
    p.add_argument("--out", required=True)
    p.add_argument("--rounds", type=int, required=True)
    p.add_argument("--cases", required=True)
    p.add_argument("--scale", type=float, default=1, help="more or fewer packets")
    p.add_argument("--kallsyms", help="where to keep the kernel's and the module's symbols")
    p.add_argument("module", nargs="+", help="NAME=PATH; no path is the kernel's own")
    try:
        Bench(p.parse_args()).main()
    except (RuntimeError, OSError, subprocess.TimeoutExpired) as e:
        sys.exit(f"bench: {e}\n" + os.popen("dmesg | tail -n 25").read())


if __name__ == "__main__":
    main()
