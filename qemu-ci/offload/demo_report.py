#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The offload part of the demo: a table of its phases, and what is checked."""

import json
import pathlib
import sys
from typing import Any

COLUMNS = (
    ("ours", "offload off"),
    ("ours", "offload on"),
    ("ours", "one flow off"),
    ("c", "offload off"),
    ("c", "offload on"),
)
HEADS = {"ours": "our module (Rust)", "c": "C module, TC by userspace"}
FIRST, WIDTH = 38, 13
SHOWN = ("ovs-ofctl dump-flows", "dpctl/dump-flows", "ovs-offload flows")
NOT_A_CARD = (
    "The device is a model beside an emulated processor, no card: rates and latencies are this\n"
    "machine's and judge nothing. What it shows is who forwards the packets, and what that\n"
    "costs the processor."
)


class Phase:
    """What happened between the two looks at the counters."""

    def __init__(self, run: dict[str, Any], found: dict[str, Any]):
        before, after = found["before"], found["after"]
        self.how, self.flows = found["how"], found["flows"]
        self.seconds = after["at"] - before["at"]
        self.streams = {
            number: {
                **run["streams"][number],
                **{
                    k: after["streams"][number][k] - before["streams"][number][k]
                    for k in ("sent", "delivered", "latency_sum")
                },
            }
            for number in run["streams"]
        }
        self.sent = sum(s["sent"] for s in self.streams.values())
        self.delivered = sum(s["delivered"] for s in self.streams.values())
        self.to_cpu = after["model_to_cpu"] - before["model_to_cpu"]
        self.from_cpu = after["model_from_cpu"] - before["model_from_cpu"]
        self.softnet = after["softnet"] - before["softnet"]
        # By the port that the packets came in at.
        self.rx = {p: n - before["driver_rx"][p] for p, n in after["driver_rx"].items()}
        cpu = {k: n - before["cpu_after"][k] for k, n in after["cpu_before"].items()}
        self.load = 100 * cpu["kernel"] / max(cpu["all"], 1)
        latency = sum(s["latency_sum"] for s in self.streams.values())
        self.latency_us = latency / max(self.delivered, 1) / 1000

    def share(self) -> float:
        """The processor's share of what was sent, in percent."""
        return 100 * min(self.to_cpu, self.sent) / max(self.sent, 1)

    def record(self) -> dict[str, Any]:
        """For the JSON file."""
        return {k: v for k, v in vars(self).items()} | {"cpu_share_percent": self.share()}


def rate(packets: float, phase: Phase) -> str:
    return f"{packets / phase.seconds:,.0f}"


def rows(ports: list[str], streams: dict[str, Any]) -> list[tuple[str, Any]]:
    """Title of each row, and what it shows of a phase."""
    into = {s["from"]: s["what"] for s in streams.values()}
    return [
        ("packets/s offered, 64 bytes", lambda p: rate(p.sent, p)),
        ("packets/s delivered", lambda p: rate(p.delivered, p)),
        ("packets/s that touched the CPU", lambda p: rate(p.to_cpu, p)),
        ("the CPU's share of the packets", lambda p: f"{p.share():.1f} %"),
        *(
            (f"  packets, {into[port]}", lambda p, port=port: f"{p.rx[port]:,}")
            for port in ports
            if port in into
        ),
        ("packets the network stack took in", lambda p: f"{p.softnet:,}"),
        ("CPU load, softirq and system", lambda p: f"{p.load:.1f} %"),
        ("flows in hardware", lambda p: str(p.flows["hardware"])),
        ("flows in software", lambda p: str(p.flows["software"])),
        ("mean latency", lambda p: f"{p.latency_us:,.0f} us"),
    ]


def checks(runs: dict[str, Any], phases: dict[tuple[str, str], Phase]):
    """What has to be so: text, and whether it is."""
    for name in ("ours", "c"):
        why = runs[name]["failed"] or "; ".join(runs[name]["trouble"])
        yield f"{HEADS[name]}: ran to its end, nothing in the kernel log ({why or 'ok'})", not why
    off, on, one = (phases.get(("ours", t)) for t in ("offload off", "offload on", "one flow off"))
    if not (off and on and one):
        yield "all phases on our module were measured", False
        return
    flows = len(on.streams)
    yield (
        "offload off: every delivered packet went through the CPU",
        off.from_cpu >= off.delivered > 0 and off.flows["hardware"] == 0,
    )
    yield (
        f"offload on: {flows} of {flows} flows in hardware",
        on.flows
        == {
            "hardware": flows,
            "software": 0,
        },
    )
    yield (
        f"offload on: of {on.sent:,} packets of established flows, {on.to_cpu} went to the CPU",
        on.sent > 0 and on.to_cpu == 0 and not any(on.rx.values()),
    )
    yield (
        f"offload on: {on.sent - on.delivered} of {on.sent:,} packets lost",
        on.sent == on.delivered > 0,
    )
    yield (
        f"offload on: CPU load of networking {on.load:.1f} % from {off.load:.1f} %",
        on.load < off.load,
    )
    moved = one.streams["1"]
    rest = [s for s in one.streams.values() if s is not moved]
    touched = {port: n for port, n in one.rx.items() if n}
    yield (
        f"one flow off: the CPU got packets of {', '.join(touched) or 'none'}, and of no other",
        set(touched) == {moved["from"]} and one.flows == {"hardware": flows - 1, "software": 1},
    )
    yield (
        "one flow off: the flows in hardware lost nothing",
        all(s["sent"] == s["delivered"] > 0 for s in rest),
    )


def cell(text: str, width: int = WIDTH) -> str:
    return text[:width].rjust(width)


def main() -> int:
    if len(sys.argv) != 2:
        print("usage: demo_report.py RESULTS", file=sys.stderr)
        return 2
    folder = pathlib.Path(sys.argv[1])
    runs, phases = {}, {}
    for name in ("ours", "c"):
        path = folder / name / "offload.json"
        runs[name] = (
            json.loads(path.read_text())
            if path.exists()
            else {"phases": [], "show": {}, "failed": "no result", "trouble": [], "streams": {}}
        )
        for found in runs[name]["phases"]:
            phases[name, found["title"]] = Phase(runs[name], found)

    for title in SHOWN:
        if title in runs["ours"]["show"]:
            print(
                f"\n# {title} (on our module, one flow off)\n{runs['ours']['show'][title].rstrip()}"
            )

    print(f"\n{NOT_A_CARD}\n")
    rule = "+-" + "-" * FIRST + "-+-" + "-+-".join("-" * WIDTH for _ in COLUMNS) + "-+"
    heads = {n: [t for name, t in COLUMNS if name == n] for n in HEADS}
    spans = [text.center(len(heads[n]) * (WIDTH + 3) - 3) for n, text in HEADS.items()]
    print(rule)
    print(
        f"| {'same kernel, Open vSwitch and rules':{FIRST}.{FIRST}} | " + " | ".join(spans) + " |"
    )
    print(f"| {'':{FIRST}} | " + " | ".join(cell(t) for _, t in COLUMNS) + " |")
    print(rule)
    first = next(iter(phases.values()), None)
    streams = first.streams if first else {}
    table = []
    for title, show in rows(list(first.rx) if first else [], streams):
        cells = [show(phases[c]) if c in phases else "-" for c in COLUMNS]
        table.append(
            {"title": title, **{" ".join(c): v for c, v in zip(COLUMNS, cells, strict=True)}}
        )
        print(f"| {title:{FIRST}} | " + " | ".join(cell(c) for c in cells) + " |")
    print(rule)
    idle = [phases[n, "no traffic"].load for n in HEADS if (n, "no traffic") in phases]
    if idle:
        print(
            "CPU load without traffic: "
            + ", ".join(f"{v:.1f} %" for v in idle)
            + " (the measuring itself)"
        )
    for column in COLUMNS:
        if column in phases:
            print(f"{HEADS[column[0]]}, {column[1]}: {phases[column].how}")

    print()
    results = list(checks(runs, phases))
    for text, good in results:
        print(f"{'PASS' if good else 'FAIL'} {text}")
    failed = sum(not good for _, good in results)
    print(f"{len(results) - failed} passed, {failed} failed, 0 skipped")
    (folder / "offload.json").write_text(
        json.dumps(
            {
                "device": "a device model, no hardware",
                "table": table,
                "phases": {" ".join(k): v.record() for k, v in phases.items()},
                "checks": [{"check": t, "passed": bool(g)} for t, g in results],
                "runs": runs,
            },
            indent=1,
        )
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
