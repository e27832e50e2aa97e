# SPDX-License-Identifier: GPL-2.0
"""What the demo's scenario stands on: commands, namespaces, Open vSwitch."""

import json
import re
import subprocess
import sys
import time

RUN = "/run/openvswitch"
BRIDGE = "br0"


class Failed(Exception):
    """A command that had to work did not."""


def sh(*args: str, check: bool = True, timeout: float = 60, stdin: str | None = None) -> str:
    """Run a command and return what it printed on either stream."""
    proc = subprocess.run(
        args,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
        input=stdin,
        check=False,
    )
    if check and proc.returncode:
        raise Failed(f"{' '.join(args)}: exit {proc.returncode}: {proc.stdout.strip()}")
    return proc.stdout


def progress(text: str) -> None:
    """One line of progress, seen at once outside."""
    print(f"  {text}", flush=True)


def in_ns(name: str, *args: str) -> tuple[str, ...]:
    """The command that runs args in a network namespace."""
    return ("ip", "netns", "exec", name, *args)


def pings(jobs: dict[str, tuple[str, str, int]]) -> dict[str, str]:
    """Run pings side by side: label -> (namespace, address, count).

    The answer is "received/sent" for each label.
    """
    procs = {}
    for label, (name, addr, count) in jobs.items():
        procs[label] = subprocess.Popen(
            in_ns(name, "ping", "-n", "-q", "-c", str(count), "-i", "0.1", "-W", "3", addr),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    out = {}
    for label, proc in procs.items():
        text = proc.communicate(timeout=60)[0]
        stats = re.search(r"(\d+) packets transmitted, (\d+) received", text)
        out[label] = f"{stats[2]}/{jobs[label][2]}" if stats else text.strip()
    return out


def wait_for_hosts(paths: list[tuple[str, str]]) -> None:
    """Wait until each (namespace, address) has answered once, a minute at most.

    On a busy machine links come up, and vswitchd learns of them, some time
    after the command that asked for it. What never answers is for the rows to
    show.
    """
    end = time.monotonic() + 60
    for name, addr in paths:
        while time.monotonic() < end:
            if pings({addr: (name, addr, 1)})[addr] == "1/1":
                break
            time.sleep(0.2)


def start_ovs(module: str) -> None:
    """Load the module and start ovsdb-server and ovs-vswitchd."""
    sh("modprobe", module)
    sh("mkdir", "-p", RUN, "/var/log/openvswitch", "/etc/openvswitch")
    sh(
        "ovsdb-tool",
        "create",
        "/etc/openvswitch/conf.db",
        "/usr/share/openvswitch/vswitch.ovsschema",
    )
    sh(
        "ovsdb-server", "/etc/openvswitch/conf.db", f"--remote=punix:{RUN}/db.sock",
        "--pidfile", "--detach", "--no-chdir", "--log-file", "-vconsole:off",
    )  # fmt: skip
    sh("ovs-vsctl", "--no-wait", "init")
    sh("ovs-vswitchd", "--pidfile", "--detach", "--no-chdir", "--log-file", "-vconsole:off")


def stop_ovs() -> None:
    """Remove the bridge and end both daemons."""
    sh("ovs-vsctl", "--if-exists", "del-br", BRIDGE)
    for daemon in ("ovs-vswitchd", "ovsdb-server"):
        sh("ovs-appctl", "-t", daemon, "exit", *(["--cleanup"] if daemon == "ovs-vswitchd" else []))
    for _ in range(100):
        if subprocess.run(
            ["pidof", "ovs-vswitchd", "ovsdb-server"], capture_output=True
        ).returncode:
            return
        time.sleep(0.1)
    raise Failed("the daemons did not end")


def add_host(number: int) -> str:
    """The ip -batch lines that make namespace nsN with a veth to port pN."""
    n = number
    return (
        f"netns add ns{n}\n"
        f"link add p{n} type veth peer name e0 netns ns{n}\n"
        f"link set p{n} up\n"
    )  # fmt: skip


def setup_host(number: int) -> None:
    """Addresses of nsN: 10.1.0.N/24, fd01::N/64, MAC 02:00:00:00:00:0N."""
    n = number
    for name in ("default", "all"):
        # Only the addresses given here, and none of the stack's own chatter.
        conf = f"net.ipv6.conf.{name}"
        quiet = [
            f"{conf}.accept_dad=0",
            f"{conf}.addr_gen_mode=1",
            f"{conf}.router_solicitations=0",
        ]
        sh(*in_ns(f"ns{n}", "sysctl", "-qw", *quiet))
    sh(
        "ip", "-n", f"ns{n}", "-batch", "-",
        stdin="link set lo up\n"
        f"link set e0 address 02:00:00:00:00:0{n} up\n"
        f"addr add 10.1.0.{n}/24 dev e0\n"
        f"addr add fd01::{n}/64 dev e0 nodad\n",
    )  # fmt: skip


def static_neighbours(count: int) -> None:
    """No ARP and no neighbour discovery, so that counters are exact."""
    for n in range(1, count + 1):
        lines = ""
        for m in range(1, count + 1):
            if m != n:
                lines += (
                    f"neigh replace 10.1.0.{m} lladdr 02:00:00:00:00:0{m} nud permanent dev e0\n"
                )
                lines += (
                    f"neigh replace fd01::{m} lladdr 02:00:00:00:00:0{m} nud permanent dev e0\n"
                )
        sh("ip", "-n", f"ns{n}", "-batch", "-", stdin=lines)


def of(*flows: str) -> None:
    """Replace the bridge's OpenFlow tables by these flows, in one go."""
    sh(
        "ovs-ofctl",
        "-O",
        "OpenFlow15",
        "--bundle",
        "replace-flows",
        BRIDGE,
        "-",
        stdin="\n".join(flows) + "\n",
    )


def of_counters() -> list[str]:
    """Each OpenFlow flow with its packet counter, without what time changes."""
    rows = []
    for line in sh(
        "ovs-ofctl", "-O", "OpenFlow15", "dump-flows", BRIDGE, "--no-names"
    ).splitlines():
        if "actions=" not in line:
            continue
        packets = re.search(r"n_packets=(\d+)", line)
        table = re.search(r"table=(\d+)", line)
        match = line.split(", ")[-1]
        rows.append(f"table={table[1] if table else 0} {match.strip()} packets={packets[1]}")
    return sorted(rows)


def dp_flows() -> list[str]:
    """The datapath's flows with match, actions and counters, in order."""
    rows = []
    for line in sh("ovs-appctl", "dpctl/dump-flows", "--names").splitlines():
        line = re.sub(r", used:[^,]*", "", line)
        line = re.sub(r"recirc_id\(0x[1-9a-f][0-9a-f]*\)", "recirc_id(N)", line)
        line = re.sub(r"recirc\(0x[0-9a-f]+\)", "recirc(N)", line)
        if "packets:" in line:
            rows.append(line.strip())
    return sorted(rows)


def dp_stats() -> dict[str, int]:
    """The datapath's lookups: hit, missed, lost, and the number of flows."""
    text = sh("ovs-appctl", "dpctl/show")
    found = re.search(r"lookups: hit:(\d+) missed:(\d+) lost:(\d+)", text)
    flows = re.search(r"flows: (\d+)", text)
    return {
        "hit": int(found[1]),
        "missed": int(found[2]),
        "lost": int(found[3]),
        "flows": int(flows[1]),
    }


def iperf(client: str, server: str, addr: str, *args: str) -> dict[str, float]:
    """One short iperf3 run: bytes received and bits per second."""
    daemon = subprocess.Popen(
        in_ns(server, "iperf3", "-s", "-1", "-p", "5201"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(50):
            if ":5201 " in sh(*in_ns(server, "ss", "-Hltn")):
                break
            time.sleep(0.1)
        text = sh(*in_ns(client, "iperf3", "-J", "-c", addr, "-p", "5201", *args), check=False)
        try:
            end = json.loads(text)["end"]
        except (ValueError, KeyError):
            return {"bytes": 0, "bps": 0.0}
        total = end.get("sum_received") or end.get("sum") or {}
        return {"bytes": total.get("bytes", 0), "bps": total.get("bits_per_second", 0.0)}
    finally:
        try:
            daemon.wait(timeout=5)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()


def main_error(err: Exception) -> None:
    """One line for what stopped the scenario."""
    print(f"error: {err}", file=sys.stderr, flush=True)
