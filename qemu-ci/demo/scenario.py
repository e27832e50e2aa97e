#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The demo's scenario, run in the guest: once on each module.

Each step leaves one row: what a user sees of it, in a form that must be the
same on both modules, or a speed, which is only shown.
"""

import json
import pathlib
import re
import sys
import time
from collections.abc import Callable
from typing import Any

import net
from net import BRIDGE, Failed, iperf, of, pings, progress, sh

HOSTS = 4
ROWS: list[dict[str, Any]] = []
SHOW: dict[str, str] = {}
NAME = sys.argv[1] if len(sys.argv) > 3 else ""
SHARED = pathlib.Path(sys.argv[3]) if len(sys.argv) > 3 else pathlib.Path()


def row(title: str, value: Any, text: str, compare: bool = True, better: str = "") -> None:
    """Keep a row; value is compared, or a number of which the ratio is shown."""
    ROWS.append({"title": title, "value": value, "text": text, "compare": compare, "unit": better})
    progress(f"{title}: {text}")


def ovs_log() -> list[str]:
    """What the module said in the kernel log.

    Not what the loader says of any module that is not the kernel's own.
    """
    loader = ("loading out-of-tree module", "module verification failed")
    lines = sh("dmesg", "-t").splitlines()
    return [a for a in lines if "openvswitch:" in a and not any(b in a for b in loader)]


def load() -> None:
    net.start_ovs("openvswitch")
    kind = (
        "Rust"
        if re.search(r"_R\w+\t\[openvswitch\]", pathlib.Path("/proc/kallsyms").read_text())
        else "C"
    )
    path = sh("modinfo", "-n", "openvswitch").strip()
    row(
        "module loaded",
        None,
        f"{kind}, {'updates/' if '/updates/' in path else 'the kernel'}",
        compare=False,
    )
    row(
        "kernel log on load",
        ovs_log(),
        "; ".join(ovs_log()).replace("openvswitch: ", "") or "(nothing)",
    )


def bridge() -> None:
    sh("ip", "-batch", "-", stdin="".join(net.add_host(n) for n in range(1, HOSTS + 1)))
    # A multicast listener report is sent once: a repeat would come at random.
    sh("sysctl", "-qw", "net.ipv6.mld_qrv=1")
    for n in range(1, HOSTS + 1):
        net.setup_host(n)
    args = [
        "--",
        "add-br",
        BRIDGE,
        "--",
        "set",
        "bridge",
        BRIDGE,
        "other-config:hwaddr=02:00:00:00:00:ff",
    ]
    for n in range(1, HOSTS + 1):
        args += [
            "--",
            "add-port",
            BRIDGE,
            f"p{n}",
            "--",
            "set",
            "interface",
            f"p{n}",
            f"ofport_request={n}",
        ]
    sh("ovs-vsctl", *args)
    ports = sorted(re.findall(r"port \d+: (.*)", sh("ovs-appctl", "dpctl/show")))
    row("bridge and ports", ports, f"{len(ports)} datapath ports")
    SHOW["ovs-vsctl show"] = sh("ovs-vsctl", "show")
    # What vswitchd found out by trying.
    SHOW["features"] = sh("ovs-appctl", "dpif/show-dp-features", BRIDGE)
    features = SHOW["features"].splitlines()
    row("datapath features", features, f"{len(features)} probes")


def normal() -> None:
    of("priority=0,actions=NORMAL")
    pairs = [(1, 2), (3, 4), (1, 4), (4, 2)]
    families = (("IPv4", "10.1.0.{}"), ("IPv6", "fd01::{}"))
    net.wait_for_hosts([(f"ns{a}", fmt.format(b)) for a, b in pairs for _, fmt in families])
    for family, fmt in families:
        got = pings({f"{a}->{b}": (f"ns{a}", fmt.format(b), 3) for a, b in pairs})
        row(f"NORMAL: ping {family}", got, f"{tally(got)}, {len(got)} pairs")


def turn(name: str, shared: pathlib.Path) -> None:
    """Wait until both guests are here, and then until it is our turn.

    The module under test goes first. A guest that waits does nothing, so that
    the speeds are those of one guest alone.
    """
    (shared / f"{name}.ready").touch()
    first = name == "ours"
    wanted = shared / ("c.ready" if first else "ours.measured")
    for _ in range(600):
        if wanted.exists():
            return
        time.sleep(0.3)
    progress("the other guest did not come: measuring beside it")


def speed() -> None:
    of("priority=0,actions=NORMAL")
    turn(NAME, SHARED)
    for title, addr, args in (
        ("iperf3 TCP IPv4", "10.1.0.2", ("-t", "2")),
        ("iperf3 TCP IPv6", "fd01::2", ("-t", "2")),
        ("iperf3 UDP IPv4", "10.1.0.2", ("-u", "-b", "20M", "-l", "1400", "-t", "2")),
        ("iperf3 UDP IPv6", "fd01::2", ("-u", "-b", "20M", "-l", "1400", "-t", "2")),
    ):
        got = iperf("ns1", "ns2", addr, *args)
        row(title + ": data arrives", got["bytes"] > 0, "yes" if got["bytes"] else "no")
        row(
            title + ": speed",
            got["bps"],
            f"{got['bps'] / 1e6:.0f} Mbit/s",
            compare=False,
            better="Mbit/s",
        )
    (SHARED / f"{NAME}.measured").touch()


def vlan() -> None:
    sh(
        "ovs-vsctl", "set", "port", "p1", "tag=10", "--", "set", "port", "p2", "tag=10",
        "--", "set", "port", "p3", "tag=20", "--", "set", "port", "p4", "trunks=10,20",
    )  # fmt: skip
    sh(
        "ip", "-n", "ns4", "-batch", "-",
        stdin="link add link e0 name v10 type vlan id 10\n"
        "link add link e0 name v20 type vlan id 20\n"
        "addr flush dev e0\naddr add 10.1.0.4/24 dev v10\naddr add 10.1.0.24/24 dev v20\n"
        "link set v10 up\nlink set v20 up\n"
        "route add 10.1.0.3/32 dev v20 src 10.1.0.24\n",
    )  # fmt: skip
    # ns4 has both VLANs in one subnet: it answers ARP only for the VLAN's own,
    sh(*net.in_ns("ns4", "sysctl", "-qw", "net.ipv4.conf.all.arp_ignore=1"))
    # and ns3 shall not know it from before.
    sh("ip", "-n", "ns3", "neigh", "flush", "dev", "e0")
    got = pings(
        {
            "access 10 -> access 10": ("ns1", "10.1.0.2", 3),
            "access 10 -> access 20": ("ns1", "10.1.0.3", 2),
            "access 10 -> trunk 10": ("ns2", "10.1.0.4", 3),
            "trunk 20 -> access 20": ("ns4", "10.1.0.3", 3),
            "access 20 -> trunk 10": ("ns3", "10.1.0.4", 2),
        }
    )
    row("VLAN access and trunk", got, tally(got))
    sh("ip", "-n", "ns4", "-batch", "-", stdin="link del v10\nlink del v20\n"
       "addr add 10.1.0.4/24 dev e0\naddr add fd01::4/64 dev e0 nodad\n")  # fmt: skip
    sh(
        "ovs-vsctl",
        *[a for n in range(1, 5) for a in ("--", "clear", "port", f"p{n}", "tag", "trunks")],
    )
    net.static_neighbours(HOSTS)


def tally(got: dict[str, str]) -> str:
    """How many of the pings arrived, for the table."""
    done = [
        tuple(map(int, v.split("/"))) if re.fullmatch(r"\d+/\d+", v) else (0, 0)
        for v in got.values()
    ]
    silent = sum(1 for d in done if not d[0])
    text = f"{sum(d[0] for d in done)}/{sum(d[1] for d in done if d[0])} echoes"
    return text + (f", {silent} path{'s' if silent > 1 else ''} closed" if silent else "")


def openflow(title: str, flows: list[str], jobs: dict[str, tuple[str, str, int]]) -> None:
    """Install flows, ping, and compare what arrived and the flows' counters."""
    of(*flows)
    got = pings(jobs)
    # The counters come from the datapath: let vswitchd fetch them all.
    sh("ovs-appctl", "revalidator/purge")
    counters = net.of_counters()
    used = [line for line in counters if not line.endswith("packets=0")]
    row(title, {"pings": got, "flows": counters}, f"{tally(got)}; {len(used)} flows hit")
    SHOW[title] = "\n".join(counters)


def rules() -> None:
    openflow(
        "OpenFlow drop",
        ["priority=10,icmp,nw_dst=10.1.0.3,actions=drop", "priority=5,icmp,actions=NORMAL"],
        {"1->3 dropped": ("ns1", "10.1.0.3", 3), "1->2": ("ns1", "10.1.0.2", 5)},
    )
    sh(
        "ip",
        "-n",
        "ns1",
        "neigh",
        "replace",
        "10.1.0.99",
        "lladdr",
        "02:00:00:00:00:99",
        "dev",
        "e0",
    )
    sh(
        "ip",
        "-n",
        "ns1",
        "neigh",
        "replace",
        "fd01::99",
        "lladdr",
        "02:00:00:00:00:99",
        "dev",
        "e0",
    )
    to_2 = "set_field:02:00:00:00:00:02->eth_dst"
    from_99 = "set_field:02:00:00:00:00:99->eth_src"
    openflow(
        "OpenFlow rewrite",
        [
            f"in_port=1,icmp,nw_dst=10.1.0.99,actions={to_2},set_field:10.1.0.2->ip_dst,set_field:32->nw_tos,"
            "dec_ttl,output:2",
            f"in_port=2,icmp,nw_dst=10.1.0.1,actions={from_99},set_field:10.1.0.99->ip_src,output:1",
            f"in_port=1,icmp6,ipv6_dst=fd01::99,actions={to_2},set_field:fd01::2->ipv6_dst,dec_ttl,output:2",
            f"in_port=2,icmp6,ipv6_dst=fd01::1,actions={from_99},set_field:fd01::99->ipv6_src,output:1",
        ],
        {"IPv4 address and TTL": ("ns1", "10.1.0.99", 5), "IPv6 address": ("ns1", "fd01::99", 5)},
    )
    openflow(
        "OpenFlow resubmit",
        [
            "table=0,ip,actions=set_field:7->reg0,resubmit(,1)",
            "table=1,reg0=7,in_port=1,actions=resubmit(,2)",
            "table=1,in_port=2,actions=resubmit(,3)",
            "table=2,icmp,actions=output:2,resubmit(,9)",
            "table=3,icmp,actions=output:1",
            "table=9,actions=output:3",
        ],
        {"through three tables": ("ns1", "10.1.0.2", 5)},
    )
    sh("ovs-ofctl", "-O", "OpenFlow15", "add-group", BRIDGE,
       "group_id=1,type=select,selection_method=dp_hash,bucket=bucket_id:1,output:2")  # fmt: skip
    openflow(
        "OpenFlow group (hash, recirculate)",
        ["in_port=1,icmp,actions=group:1", "in_port=2,icmp,actions=output:1"],
        {"through the group": ("ns1", "10.1.0.2", 5)},
    )
    of("priority=0,actions=NORMAL")
    sh("ovs-ofctl", "-O", "OpenFlow15", "del-groups", BRIDGE)


def meters() -> None:
    """A meter that lets a burst of packets through, and what it counts.

    Its rate is beyond what the burst holds, so that it never fills again in whole
    milliseconds: the number of packets does not depend on time.
    """
    ofctl = ("ovs-ofctl", "-O", "OpenFlow15")
    sh(*ofctl, "add-meter", BRIDGE,
       "meter=1,pktps,burst,stats,band=type=drop,rate=100000,burst_size=4")  # fmt: skip
    of("in_port=1,icmp,actions=meter:1,output:2", "in_port=2,icmp,actions=output:1")
    got = pings({"1->2, metered": ("ns1", "10.1.0.2", 10)})
    view = sh(*ofctl, "meter-features", BRIDGE) + sh(*ofctl, "meter-stats", BRIDGE)
    view = re.sub(r"xid=0x[0-9a-f]+|duration:[0-9.]+s", "N", view)
    dropped = re.search(r"0: packet_count:(\d+)", view)
    SHOW["OpenFlow meter"] = view
    row(
        "OpenFlow meter",
        {"pings": got, "meter": view.splitlines()},
        f"{tally(got)}; {dropped[1] if dropped else 'nothing'} dropped",
    )
    of("priority=0,actions=NORMAL")
    sh(*ofctl, "del-meters", BRIDGE)


def tunnels() -> None:
    """A host behind a tunnel device of another network stack."""
    of("priority=0,actions=NORMAL")
    sh("ip", "-batch", "-", stdin="netns add far\nlink add under type veth peer name e0 netns far\n"
       "addr add 10.9.0.1/24 dev under\nlink set under up\n")  # fmt: skip
    sh("ip", "-n", "far", "-batch", "-", stdin="addr add 10.9.0.2/24 dev e0\nlink set e0 up\n")
    for kind, title, more in (("vxlan", "VXLAN", "dstport 4789"), ("geneve", "Geneve", "")):
        sh("ip", "-n", "far", "-batch", "-", stdin=f"link add t0 address 02:00:00:00:00:07 "
           f"type {kind} id 7 remote 10.9.0.1 {more}\n"
           "addr add 10.1.0.7/24 dev t0\nlink set t0 up\n")  # fmt: skip
        sh("ovs-vsctl", "add-port", BRIDGE, "t0", "--", "set", "interface", "t0",
           f"type={kind}", "options:remote_ip=10.9.0.2", "options:key=7")  # fmt: skip
        got = pings({f"{n}->far": (f"ns{n}", "10.1.0.7", 5) for n in (1, 2)})
        flows = sh("ovs-appctl", "dpctl/dump-flows", "--names")
        SHOW[f"{title} flows"] = "\n".join(a for a in flows.splitlines() if "tunnel" in a)
        row(f"{title} tunnel: ping", got, tally(got))
        sh("ovs-vsctl", "del-port", BRIDGE, "t0")
        sh("ip", "-n", "far", "link", "del", "t0")
    sh("ip", "netns", "del", "far")


def counters() -> None:
    """A known number of packets, and every counter that they move."""
    of("in_port=1,icmp,actions=output:2", "in_port=2,icmp,actions=output:1")
    time.sleep(0.5)
    sh("ovs-appctl", "revalidator/purge")
    before = net.dp_stats()
    upcalls = upcall_counts()
    # One packet each way makes the flows; all that follow shall be hits.
    pings({"1->2": ("ns1", "10.1.0.2", 1)})
    time.sleep(0.5)
    got = pings({"1->2": ("ns1", "10.1.0.2", 10)})
    flows = net.dp_flows()
    after = net.dp_stats()
    delta = {k: after[k] - before[k] for k in ("hit", "missed", "lost")}
    SHOW["ovs-appctl dpctl/dump-flows"] = sh("ovs-appctl", "dpctl/dump-flows", "--names")
    SHOW["ovs-appctl dpctl/show"] = sh("ovs-appctl", "dpctl/show")
    row(
        "datapath flows and counters",
        {"ping": got, "flows": flows},
        " ".join(re.sub(r".*packets:(\d+), bytes:(\d+).*", r"\1p/\2B", f) for f in flows),
    )
    row("datapath lookups", delta, ", ".join(f"{k} {v}" for k, v in delta.items()))
    now = upcall_counts()
    moved = {k: now[k] - upcalls.get(k, 0) for k in sorted(now) if now[k] != upcalls.get(k, 0)}
    row(
        "upcalls by port", moved, ", ".join(f"{k} {v}" for k, v in moved.items()) or "none reported"
    )


def upcall_counts() -> dict[str, int]:
    """Upcalls as the datapath counts them for each port."""
    # The statistics in the database are refreshed every 5 s; ask the datapath.
    out = {}
    text = sh("ovs-appctl", "dpctl/show", "-s")
    for name, block in re.findall(r"port \d+: (\S+)(.*?)(?=port \d+:|\Z)", text, re.S):
        found = re.search(r"upcall packets:(\d+)", block, re.I)
        if found:
            out[name] = int(found[1])
    return out


def action_upcall() -> None:
    of("in_port=1,icmp,actions=controller(max_len=64),output:2", "in_port=2,actions=output:1")
    got = pings({"1->2": ("ns1", "10.1.0.2", 5)})
    sh("ovs-appctl", "revalidator/purge")
    row("upcall by action (controller)", {"ping": got, "flows": net.of_counters()}, tally(got))


def unload() -> None:
    net.stop_ovs()
    for _ in range(3):
        sh("modprobe", "-r", "openvswitch")
        sh("modprobe", "openvswitch")
    sh("modprobe", "-r", "openvswitch")
    gone = not pathlib.Path("/sys/module/openvswitch").exists()
    row("unload and load again, 3 times", gone, "yes" if gone else "no")


STEPS: list[tuple[str, Callable[[], None]]] = [
    ("load the module, start Open vSwitch", load),
    ("a bridge over four network namespaces", bridge),
    ("NORMAL switching", normal),
    ("VLANs", vlan),
    ("OpenFlow rules", rules),
    ("OpenFlow meters", meters),
    ("tunnels", tunnels),
    ("datapath counters", counters),
    ("upcalls by action", action_upcall),
    ("iperf3", speed),
    ("unload", unload),
]


def main() -> int:
    if len(sys.argv) != 4:
        print("usage: scenario.py ours|c RESULT.json SHARED-FOLDER", file=sys.stderr)
        return 2
    result = pathlib.Path(sys.argv[2])
    failed = None
    begin = time.monotonic()
    for title, step in STEPS:
        start = time.monotonic()
        try:
            step()
        except Exception as err:  # each row up to here is still of use
            failed = f"{title}: {err}"
            net.main_error(Failed(failed))
            break
        progress(f"  ({title}: {time.monotonic() - start:.1f} s)")
    log = pathlib.Path("/var/log/openvswitch/ovs-vswitchd.log")
    result.write_text(
        json.dumps(
            {
                "rows": ROWS,
                "show": SHOW,
                "failed": failed,
                "seconds": round(time.monotonic() - begin, 1),
                "vswitchd_log": log.read_text()[-20000:] if log.exists() else "",
            },
            indent=1,
        )
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
