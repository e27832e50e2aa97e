#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The offload bench's two runs as one table with ratios."""

import json
import pathlib
import sys

WIDTH = (54, 18, 18, 8)


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

    if key.startswith(("flows ", "software ")):
        n = f"{ours['count']:,} flows"
        soft = " in software" if key.startswith("software ") else ""
        for what in ("install", "delete"):
            a, b = both(f"{what}_s")
            yield f"{n}: {what}s/s{soft}", ours["count"] / a, c["count"] / b, "/s", b / a
        each = 1e6 / ours["count"]
        a, b = both("install_vswitchd_s")
        yield f"{n}: install, ovs-vswitchd's own code", a * each, b * each, "us", b / a if a else 0
        a, b = both("install_kernel_s")
        yield f"{n}: install, time in the kernel", a * each, b * each, "us", b / a if a else 0
        if soft:
            return
        # Through ovs-appctl, which lists all ports for each flow, on both sides.
        a, b = added(runs["ours"], ours), added(runs["c"], c)
        yield f"{n}: install, what offload adds", a, b, "us", b / a if a > 0 else 0
        a, b = both("dump_kernel_s")
        yield f"{n}: dumps/s, the kernel's part", 1 / a, 1 / b, "/s", b / a
        a, b = both("dump_ovs_s")
        yield f"{n}: dumps/s, dpctl/dump-flows", 1 / a, 1 / b, "/s", b / a
        a, b = both("kernel_bytes")
        yield f"{n}: kernel memory per flow", a, b, "B", b / a if a > 0 else 0
        a, b = both("vswitchd_bytes")
        yield f"{n}: ovs-vswitchd memory per flow", a, b, "B", b / a if a > 0 else 0
    elif key.startswith("ports "):
        n = f"{ours['flows']:,} flows, {ours['ports']} ports"
        a, b = both("dump_kernel_s")
        yield f"{n}: a dump, the kernel's part", a * 1000, b * 1000, "ms", b / a
        a, b = both("dump_ovs_s")
        yield f"{n}: a dump, dpctl/dump-flows", a * 1000, b * 1000, "ms", b / a
    else:
        a, b = both("median_s")
        yield (
            "new flow: first packet to hardware, median",
            a * 1000,
            b * 1000,
            "ms",
            b / a if a else 0,
        )
        a, b = both("worst_s")
        yield (
            "new flow: first packet to hardware, worst",
            a * 1000,
            b * 1000,
            "ms",
            b / a if a else 0,
        )
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
