#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The offload bench's two runs as one table with ratios."""

import json
import pathlib
import sys

WIDTH = (60, 18, 18, 8)


def line(*cells: str) -> str:
    cut = [c[:w] for c, w in zip(cells, WIDTH, strict=True)]
    return (
        "| "
        + " | ".join(
            [cut[0].ljust(WIDTH[0])] + [c.rjust(w) for c, w in zip(cut[1:], WIDTH[1:], strict=True)]
        )
        + " |"
    )


def added(run: dict, found: dict) -> float:
    """What offload adds to an install, in microseconds."""
    soft = next((v for k, v in run["found"].items() if k.startswith("software ")), None)
    if soft is None:
        return 0
    return 1e6 * (found["install_s"] / found["count"] - soft["install_s"] / soft["count"])


def rows(runs: dict, key: str):
    """Title, both values, unit, and how many times better ours is."""

    ours, c = (runs[name]["found"][key] for name in ("ours", "c"))

    def both(name):
        return ours[name], c[name]

    def less(title, name, unit, factor=1.0):
        """A figure that is better if it is small."""
        a, b = (value * factor for value in both(name))
        return title, a, b, unit, b / a if a > 0 and b > 0 else 0

    if key.startswith(("flows ", "software ", "burst ")):
        n = f"{ours['count']:,} flows"
        if c["count"] != ours["count"]:
            n += f" (TC: {c['count']:,})"
        soft = " in software" if key.startswith("software ") else ""
        how = " by packets" if key.startswith("burst ") else ""

        def rate(title, name):
            """Flows a second."""
            a, b = (run["count"] / run[name] for run in (ours, c))
            return f"{n}{how}: {title}", a, b, "/s", a / b

        def each(title, name):
            """What one flow takes."""
            a, b = (1e6 * run[name] / run["count"] for run in (ours, c))
            return f"{n}{how}: {title}", a, b, "us", b / a if a > 0 and b > 0 else 0

        yield rate(f"installs/s{soft}", "install_s")
        yield rate(f"deletes/s{soft}", "delete_s")
        yield each("install, ovs-vswitchd's own code", "install_vswitchd_s")
        yield each("install, time in the kernel", "install_kernel_s")
        if how:
            return
        yield less(f"{n}: kernel memory per flow{soft}", "kernel_bytes", "B")
        if soft:
            return
        # Through ovs-appctl, which lists all ports for each flow, on both sides.
        a, b = added(runs["ours"], ours), added(runs["c"], c)
        yield f"{n}: install, what offload adds", a, b, "us", b / a if a > 0 else 0
        yield rate("flows dumped/s, the kernel's part", "dump_kernel_s")
        yield rate("flows dumped/s, dpctl/dump-flows", "dump_ovs_s")
        yield less(f"{n}: ovs-vswitchd memory per flow", "vswitchd_bytes", "B")
        yield less(f"{n}: processor for flows at rest", "rest_cpu", "%", 100)
        yield less(f"{n}: a busy flow's used time, worst", "used_s", "s")
    elif key.startswith("ports "):
        n = f"{ours['flows']:,} flows, {ours['ports']} ports"
        yield less(f"{n}: a dump, the kernel's part", "dump_kernel_s", "ms", 1000)
        yield less(f"{n}: a dump, dpctl/dump-flows", "dump_ovs_s", "ms", 1000)
    else:
        yield less("new flow: first packet to hardware, median", "median_s", "ms", 1000)
        yield less("new flow: first packet to hardware, worst", "worst_s", "ms", 1000)
        yield "new flows: packets lost on the way", *both("lost"), "", 0


def number(value: float, unit: str) -> str:
    text = f"{value:,.0f}" if value >= 100 or not unit else f"{value:,.1f}"
    return f"{text} {unit}".strip()


def main() -> int:
    if len(sys.argv) != 2:
        print("usage: bench_report.py RESULTS", file=sys.stderr)
        return 2
    folder, runs = pathlib.Path(sys.argv[1]), {}
    for name in ("ours", "c"):
        path = folder / name / "bench.json"
        runs[name] = (
            json.loads(path.read_text())
            if path.exists()
            else {"found": {}, "failed": "no result", "trouble": []}
        )
    rule = "+-" + "-+-".join("-" * w for w in WIDTH) + "-+"
    print(
        "\nThe mlx5 driver on a device model beside an emulated processor: compare the two columns,"
    )
    print("and not with a card. Better is a ratio above 1.\n")
    print(rule)
    print(
        line(
            "same kernel, driver, model and Open vSwitch",
            "our module (Rust)",
            "C module, TC",
            "ratio",
        )
    )
    print(rule)
    table = []
    for key in runs["ours"]["found"]:
        if key not in runs["c"]["found"]:
            continue
        for title, a, b, unit, ratio in rows(runs, key):
            table.append({"title": title, "ours": a, "c": b, "unit": unit, "ratio": ratio})
            print(line(title, number(a, unit), number(b, unit), f"x {ratio:.2f}" if ratio else ""))
    print(rule)
    bad = 0
    for name, run in runs.items():
        for why in [run["failed"], *run["trouble"]]:
            if why:
                bad += 1
                print(f"error: {name}: {why}")
    (folder / "bench.json").write_text(
        json.dumps(
            {"device": "a device model, no hardware", "table": table, "runs": runs}, indent=1
        )
    )
    return 1 if bad or not table else 0


if __name__ == "__main__":
    sys.exit(main())
