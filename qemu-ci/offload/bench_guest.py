#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Inside a guest: how fast flows get into the device model's switch and out again.

The same is done on our module and, by Open vSwitch's own offload through TC,
on the C module: one guest each, which take turns, step by step.
"""

import contextlib
import json
import os
import pathlib
import re
import socket
import statistics
import struct
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
for folder in ("demo", "mlx5"):
    sys.path.insert(0, os.path.join(HERE, "..", folder))

import net  # noqa: E402
from model import Model, kernel_trouble, switchdev, wait_for_other  # noqa: E402
from net import BRIDGE, Failed, of, progress, sh  # noqa: E402

TOOL = os.path.join(HERE, "..", "..", "tools", "net", "ovs-offload")
VFS = 4
TURN = 1800
TRIALS = 10
# As many flows at a time are installed by TC on the C module, which takes so much
# longer; larger sizes are compared with this one.
C_MOST = 10000
# Steps of at most so many flows are done so often, and their median is taken.
FEW, ROUNDS = 2000, 3
# The packets a second of a new flow, and how many there are of them.
NEW_RATE, NEW_COUNT = 1000, 1000
# So many new flows at once, of which each has two packets a second.
BURST, BURST_RATE = 1000, 2000
# For so many seconds flows that have no packets are looked at, and one that has.
REST, FRESH = 5, 6


def dump_raw(family: int, request: bytes) -> int:
    """Ask a netlink family for a dump, take all of it, and count the replies."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, family) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        s.bind((0, 0))
        s.send(request)
        count = 0
        while True:
            data = s.recv(1 << 17)
            at = 0
            while at + 16 <= len(data):
                length, kind = struct.unpack_from("=IH", data, at)
                if kind == 3:
                    return count
                if kind == 2:
                    raise Failed(f"dump: errno {-struct.unpack_from('=i', data, at + 16)[0]}")
                count += 1
                at += (length + 3) & ~3


def genl_id(name: str) -> int:
    """The number of a generic netlink family."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 16) as s:
        s.bind((0, 0))
        payload = name.encode() + b"\0"
        attr = struct.pack("=HH", 4 + len(payload), 2) + payload + b"\0" * (-len(payload) % 4)
        s.send(struct.pack("=IHHII", 20 + len(attr), 16, 1, 1, 0) + b"\3\1\0\0" + attr)
        data = s.recv(65536)[20:]
    at = 0
    while at + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, at)
        if kind == 1:
            return struct.unpack_from("=H", data, at + 4)[0]
        at += (length + 3) & ~3
    raise Failed(f"no family {name}")


def kernel_memory() -> int:
    """Bytes that the kernel uses for itself."""
    pathlib.Path("/proc/sys/vm/drop_caches").write_text("3")
    time.sleep(0.3)
    found = dict(
        re.findall(r"^(\w+): +(\d+)", pathlib.Path("/proc/meminfo").read_text(), re.MULTILINE)
    )
    users = ("MemFree", "Buffers", "Cached", "AnonPages")
    return 1024 * (int(found["MemTotal"]) - sum(int(found[k]) for k in users))


def resident(name: str) -> int:
    """Bytes of memory of a process."""
    pid = sh("pidof", name).split()[0]
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return 1024 * int(re.search(r"VmRSS:\s+(\d+)", status)[1])


def cpu_seconds() -> dict[str, float]:
    """Processor time: ovs-vswitchd's own code, and the kernel's, whoever asked it."""
    tick = os.sysconf("SC_CLK_TCK")
    pid = sh("pidof", "ovs-vswitchd").split()[0]
    own = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    cpu = pathlib.Path("/proc/stat").read_text().split("\n")[0].split()
    return {"vswitchd": int(own[11]) / tick, "kernel": sum(int(cpu[n]) for n in (3, 6, 7)) / tick}


class Bench:
    """One side of the comparison."""

    def __init__(self, name: str, shared: pathlib.Path, results: pathlib.Path):
        self.name, self.shared, self.results = name, shared, results
        self.model = Model()
        self.devs: list[str] = []
        self.found: dict[str, object] = {}
        self.steps = 0
        self.base = 0
        self.rest = 0.0

    # Set-up.

    def enter(self) -> None:
        """The driver, the switch, the bridge."""
        uplink, reps = switchdev()
        self.devs = [*reps, uplink]
        net.start_ovs("openvswitch")
        args = ["--", "add-br", BRIDGE, "--", "set", "bridge", BRIDGE, "fail-mode=secure"]
        for dev in self.devs:
            args += ["--", "add-port", BRIDGE, dev]
        sh("ovs-vsctl", *args)
        self.numbers = self.port_numbers()
        progress("bridge is up")

    def port_numbers(self) -> dict[str, int]:
        """The datapath's number of each port."""
        found = re.findall(r"port (\d+): (\S+)", sh("ovs-appctl", "dpctl/show"))
        return {name: int(number) for number, name in found}

    @contextlib.contextmanager
    def turn(self, title: str):
        """One step, while the other guest waits."""
        self.steps += 1
        if self.name == "c":
            wait_for_other(self.shared, "c", f"ours.{self.steps}", TURN)
        elif self.steps > 1:
            wait_for_other(self.shared, "ours", f"c.{self.steps - 1}", TURN)
        try:
            yield
        finally:
            (self.shared / f"{self.name}.{self.steps}").touch()
        progress(f"{title}: done")

    # What is asked.

    def entries(self) -> int:
        """The rules in the switch, by the model: the same witness for both."""
        return self.model.ask("status")["flow_entries"]

    def wait_entries(self, flows: int, timeout: float = 120) -> float:
        """Wait until so many flows are in the switch; the time when they were.

        TC makes an entry or two more for the flows' table, which goes with them.
        """
        deadline = time.monotonic() + timeout
        while True:
            now = time.monotonic()
            found = self.entries() - self.base
            if found >= flows if flows else found <= 0:
                return now
            if now > deadline:
                raise Failed(f"{found} flows in the switch, not {flows}")
            time.sleep(0.02)

    def flow_files(self, count: int) -> tuple[str, str]:
        """Flows of the functions to the wire, all different in their IPv4 source.

        The first file has them with actions, to add, the second to delete.
        """
        uplink = self.numbers[self.devs[-1]]
        keys = [
            f"ufid:{self.ufid(n)},recirc_id(0),"
            f"in_port({self.numbers[self.devs[n % VFS]]}),"
            "eth(dst=02:00:00:00:00:02),eth_type(0x0800),"
            f"ipv4(src=10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255},proto=17,frag=no),"
            "udp(dst=2000)"
            for n in range(count)
        ]
        for path, actions in (("/tmp/add", f" {uplink}\n"), ("/tmp/delete", "\n")):
            pathlib.Path(path).write_text("".join(key + actions for key in keys))
        return "/tmp/add", "/tmp/delete"

    @staticmethod
    def ufid(number: int) -> str:
        """The name of a flow of flow_files()."""
        return f"{number + 1:08x}-0000-0000-0000-000000000001"

    def command(self, name: str, path: str) -> None:
        """A command of ovs-vswitchd with a file of flows, which it says nothing of."""
        said = sh("ovs-appctl", name, path, timeout=TURN)
        if said.strip():
            raise Failed(f"{name}: {said.splitlines()[0]}")

    def clear(self, command: str = "dpctl/del-flows") -> None:
        """No flow of any kind, and what the switch then has is nobody's."""
        for _ in range(20):
            sh("ovs-appctl", command, timeout=300)
            time.sleep(1)
            # What came in late is deleted in the next round.
            if "in_port" not in sh("ovs-appctl", "dpctl/dump-flows", timeout=300):
                break
        else:
            raise Failed("flows keep coming back")
        if self.name == "ours":
            # The datapath answers before hardware is done.
            self.wait_entries(0)
        else:
            time.sleep(1)
            self.base = self.entries()

    # The measurements.

    def flows(self, count: int) -> dict[str, float]:
        """As many flows as this side is asked for."""
        if self.name == "c" and count > C_MOST:
            count = C_MOST
        done = (
            found
            for key, found in self.found.items()
            if key.startswith("flows ") and found["count"] == count
        )
        return next(done, None) or self.install_dump_delete(count)

    def install_dump_delete(self, count: int) -> dict[str, float]:
        """So many flows in, looked at, and out."""
        add, delete = self.flow_files(count)
        before, cpu = (kernel_memory(), resident("ovs-vswitchd")), cpu_seconds()
        start = time.monotonic()
        self.command("dpctl/add-flows", add)
        asked = time.monotonic() - start
        installed = self.wait_entries(count, 600) - start
        spent = {k: v - cpu[k] for k, v in cpu_seconds().items()}
        time.sleep(2)
        memory = kernel_memory(), resident("ovs-vswitchd")
        rest = self.at_rest()
        used = self.worst_used()

        raw = [self.dump_kernel(count) for _ in range(3)]
        whole = [self.dump_ovs(count) for _ in range(2)]

        start = time.monotonic()
        self.command("dpctl/del-flows", delete)
        answered = time.monotonic() - start
        deleted = self.wait_entries(0, 600) - start
        found = {
            "count": count,
            "install_s": installed,
            "install_command_s": asked,
            "install_vswitchd_s": spent["vswitchd"],
            "install_kernel_s": spent["kernel"],
            "delete_s": deleted,
            "delete_command_s": answered,
            "dump_kernel_s": statistics.median(raw),
            "dump_ovs_s": statistics.median(whole),
            "kernel_bytes": (memory[0] - before[0]) / count,
            "vswitchd_bytes": (memory[1] - before[1]) / count,
            "rest_cpu": rest - self.rest,
            "used_s": used,
        }
        progress(
            f"{count} flows: in after {installed:.1f} s, out after {deleted:.1f} s, "
            f"dump {statistics.median(raw):.2f} s, used up to {used:.1f} s ago"
        )
        return found

    def at_rest(self) -> float:
        """The share of a processor that the kernel takes while nobody asks anything."""
        before = cpu_seconds()["kernel"]
        time.sleep(REST)
        return (cpu_seconds()["kernel"] - before) / REST

    def worst_used(self) -> float:
        """How long ago, at most, a flow says it was used that is used all the time."""
        number = VFS
        self.model.ask(
            "gen", port="vf0", count=1 << 30, rate=50, src_ip=f"10.0.0.{number}", sport=1
        )
        time.sleep(2)
        worst, deadline = 0.0, time.monotonic() + FRESH
        while time.monotonic() < deadline:
            text = sh("ovs-appctl", "dpctl/get-flow", f"ufid:{self.ufid(number)}")
            found = re.search(r"used:([\d.]+)s", text)
            if not found:
                raise Failed(f"a busy flow: {text.strip()}")
            worst = max(worst, float(found[1]))
            time.sleep(0.2)
        self.model.ask("gen-stop")
        return worst

    def software(self, count: int) -> dict[str, float]:
        """The same flows with offload off: what all installs cost without it."""
        add, delete = self.flow_files(count)
        before = kernel_memory()
        cpu, start = cpu_seconds(), time.monotonic()
        self.command("dpctl/add-flows", add)
        took = time.monotonic() - start
        spent = {k: v - cpu[k] for k, v in cpu_seconds().items()}
        time.sleep(1)
        memory = kernel_memory()
        start = time.monotonic()
        self.command("dpctl/del-flows", delete)
        found = {
            "count": count,
            "install_s": took,
            "install_vswitchd_s": spent["vswitchd"],
            "install_kernel_s": spent["kernel"],
            "delete_s": time.monotonic() - start,
            "kernel_bytes": (memory - before) / count,
        }
        return found

    def offload(self, on: bool) -> None:
        """Each side's own switch."""
        if self.name == "ours":
            sh(TOOL, "set", "auto" if on else "never")
        elif on:
            sh("ovs-vsctl", "set", "Open_vSwitch", ".", "other_config:hw-offload=true")

    def dump_kernel(self, count: int) -> float:
        """What a revalidator asks the kernel, without what it then does with it."""
        # OVS_FLOW_CMD_GET, without key, mask and actions.
        head = struct.pack("=BBHi", 3, 1, 0, socket.if_nametoindex("ovs-system"))
        head += struct.pack("=HHI", 8, 10, 7)
        start = time.monotonic()
        found = dump_raw(
            16, struct.pack("=IHHII", 16 + len(head), self.flow_family, 0x301, 1, 0) + head
        )
        if self.name == "c":
            # Open vSwitch asks each port of the datapath; RTM_GETTFILTER, terse.
            for index in self.indices:
                tcm = struct.pack("=BBHiIII", 0, 0, 0, index, 0, 0xFFFFFFF2, 0)
                flags = struct.pack("=HHII", 12, 15, 1, 1)
                body = tcm + flags
                found += dump_raw(0, struct.pack("=IHHII", 16 + len(body), 46, 0x301, 1, 0) + body)
        took = time.monotonic() - start
        if found < count:
            raise Failed(f"a dump had {found} flows of {count}")
        return took

    def dump_ovs(self, count: int) -> float:
        """The same through Open vSwitch, which also makes text of it."""
        start = time.monotonic()
        text = sh("ovs-appctl", "dpctl/dump-flows", timeout=300)
        took = time.monotonic() - start
        if text.count("in_port") < count:
            raise Failed(f"dump-flows had {text.count('in_port')} flows of {count}")
        return took

    def note_ports(self) -> None:
        """What a dump has to go through."""
        self.flow_family = genl_id("ovs_flow")
        names = [p for p in self.port_numbers() if p != "ovs-system"]
        self.indices = [socket.if_nametoindex(n) for n in names]

    def first_packet(self) -> None:
        """A flow that nobody knows, until the switch forwards it."""
        up, first = (self.ofport(d) for d in (self.devs[-1], self.devs[0]))
        of(f"priority=1,in_port={first},ip,actions=output:{up}", "priority=0,actions=drop")
        times, latencies = [], []
        for _ in range(TRIALS):
            # Revalidators run here, and this is how they forget a flow.
            self.clear("revalidator/purge")
            before = self.model.ask("ports")["cpu"]["received"]["packets"]
            self.model.send("vf0", count=NEW_COUNT, rate=NEW_RATE)
            time.sleep(0.3)
            after = self.model.ask("ports")
            times.append((after["cpu"]["received"]["packets"] - before) / NEW_RATE)
            got = after["ports"]["uplink"]["streams"].get("1", {}).get("packets", 0)
            latencies.append(NEW_COUNT - got)
        of("priority=0,actions=drop")
        self.found["first packet"] = {
            "median_s": statistics.median(times),
            "worst_s": max(times),
            "lost": sum(latencies),
            "trials": times,
        }
        progress(f"a new flow is in hardware after {statistics.median(times) * 1000:.0f} ms")

    def burst(self) -> dict[str, float]:
        """Flows that nobody knows, all at once, until the switch forwards them."""
        up, first = (self.ofport(d) for d in (self.devs[-1], self.devs[0]))
        # What an action reads is matched on: each source port is a flow.
        of(
            f"priority=1,in_port={first},udp,"
            f"actions=move:NXM_OF_UDP_SRC[]->NXM_NX_REG0[0..15],output:{up}",
            "priority=0,actions=drop",
        )
        self.clear("revalidator/purge")
        cpu, start = cpu_seconds(), time.monotonic()
        self.model.ask("gen", port="vf0", count=1 << 30, rate=BURST_RATE, flows=BURST, sport=1000)
        installed = self.wait_entries(BURST, 300) - start
        spent = {k: v - cpu[k] for k, v in cpu_seconds().items()}
        self.model.ask("gen-stop")
        time.sleep(1)
        start = time.monotonic()
        sh("ovs-appctl", "revalidator/purge", timeout=300)
        deleted = self.wait_entries(0, 300) - start
        of("priority=0,actions=drop")
        progress(f"{BURST} flows by packets: in after {installed:.1f} s, out after {deleted:.1f} s")
        return {
            "count": BURST,
            "install_s": installed,
            "install_vswitchd_s": spent["vswitchd"],
            "install_kernel_s": spent["kernel"],
            "delete_s": deleted,
        }

    def ofport(self, dev: str) -> str:
        return sh("ovs-vsctl", "get", "Interface", dev, "ofport").strip()

    def ports(self, extra: int, flows: int) -> None:
        """A dump with so many more ports, which have no flow."""
        have = len([d for d in self.port_numbers() if d.startswith("dummy")])
        args, links = [], ""
        for n in range(have, extra):
            links += f"link add dummy{n} type dummy\nlink set dummy{n} up\n"
            args += ["--", "add-port", BRIDGE, f"dummy{n}"]
        if args:
            sh("ip", "-batch", "-", stdin=links, timeout=120)
            sh("ovs-vsctl", *args, timeout=300)
        self.note_ports()
        add, _ = self.flow_files(flows)
        self.command("dpctl/add-flows", add)
        self.wait_entries(flows)
        self.found[f"ports {extra}"] = {
            "ports": len(self.indices),
            "dump_kernel_s": statistics.median(self.dump_kernel(flows) for _ in range(5)),
            "dump_ovs_s": statistics.median(self.dump_ovs(flows) for _ in range(3)),
            "flows": flows,
        }
        self.clear()
        progress(f"dump with {len(self.indices)} ports measured")

    def rounds(self, kind: str, title: str, count: int, step) -> None:
        """A step, more than once where it is short; the median of each figure.

        Of memory the most: later rounds find what the first has left in caches.
        """
        found = []
        for _ in range(ROUNDS if count <= FEW else 1):
            with self.turn(title):
                found.append(step())
        self.found[f"{kind} {count}"] = {
            key: (max if key.endswith("_bytes") else statistics.median)(one[key] for one in found)
            for key in found[0]
        }

    def run(self, sizes: list[int], ports: list[int]) -> None:
        """All steps."""
        self.enter()
        of("priority=0,actions=drop")
        time.sleep(1)
        sh("ovs-appctl", "dpctl/del-flows")
        self.note_ports()
        sh("ovs-appctl", "revalidator/pause")
        self.offload(False)
        count = min(sizes[0], FEW)
        self.rounds("software", "software only", count, lambda: self.software(count))
        self.rest = self.at_rest()
        sh("ovs-appctl", "revalidator/resume")
        self.offload(True)
        time.sleep(1)
        self.base = self.entries()
        sh("ovs-appctl", "revalidator/pause")
        with self.turn("warm-up"):
            add, delete = self.flow_files(100)
            self.command("dpctl/add-flows", add)
            self.wait_entries(100)
            self.command("dpctl/del-flows", delete)
            self.wait_entries(0)
        for count in sizes:
            self.rounds("flows", f"{count} flows", count, lambda n=count: self.flows(n))
        for extra in ports:
            with self.turn(f"{extra} more ports"):
                self.ports(extra, 1000)
        sh("ovs-appctl", "revalidator/resume")
        # Flows stay that get few packets while others wait.
        sh("ovs-vsctl", "set", "Open_vSwitch", ".", "other_config:max-idle=300000")
        self.rounds("burst", "flows by packets", BURST, self.burst)
        with self.turn("the first packet"):
            self.first_packet()
        net.stop_ovs()


def main() -> int:
    if len(sys.argv) != 6 or sys.argv[1] not in ("ours", "c"):
        print("usage: bench_guest.py ours|c RESULT.json SHARED SIZES PORTS", file=sys.stderr)
        return 2
    result, shared = pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
    bench, failed = Bench(sys.argv[1], shared, result.parent), None
    try:
        bench.run(*([int(n) for n in a.split(",") if n] for a in sys.argv[4:6]))
    except Exception as err:  # what was measured up to here is still of use
        failed = f"{type(err).__name__}: {err}"
        net.main_error(err)
    result.write_text(
        json.dumps({"found": bench.found, "failed": failed, "trouble": kernel_trouble()}, indent=1)
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
