#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The demo's two runs side by side: a table, and demo.json."""

import difflib
import json
import pathlib
import sys
from typing import Any

WIDTH = (34, 36, 36, 7)
SHOWN = ("ovs-vsctl show", "ovs-appctl dpctl/show", "ovs-appctl dpctl/dump-flows")


def line(*cells: str) -> str:
    """One table line, each cell cut to its column."""
    cut = [c if len(c) <= w else c[: w - 1] + "…" for c, w in zip(cells, WIDTH, strict=True)]
    return "| " + " | ".join(c.ljust(w) for c, w in zip(cut, WIDTH, strict=True)) + " |"


def judge(ours: dict[str, Any] | None, c: dict[str, Any] | None) -> str:
    """What the last column says of a row."""
    row = ours or c or {}
    if not ours or not c:
        return "MISSING"
    if row["compare"]:
        return "agree" if ours["value"] == c["value"] else "DIFFER"
    if row["unit"] and c["value"]:
        return f"x {ours['value'] / c['value']:.2f}"
    return "(shown)"


def features(runs: dict[str, dict[str, Any]]) -> str:
    """The probes of vswitchd that give another answer on ours than on C."""
    sets = {k: set(v["show"].get("features", "").splitlines()) for k, v in runs.items()}
    differ = sorted(sets["ours"] - sets["c"])
    same = len(sets["ours"] & sets["c"])
    return f"{same} of vswitchd's datapath probes answer alike; on ours: " + (
        ", ".join(differ) or "the rest too"
    )


def main() -> int:
    args = sys.argv[1:]
    full = "--full" in args
    folder = pathlib.Path(next(a for a in args if not a.startswith("--")))
    runs: dict[str, dict[str, Any]] = {}
    for name in ("ours", "c"):
        path = folder / name / "rows.json"
        runs[name] = (
            json.loads(path.read_text())
            if path.exists()
            else {"rows": [], "show": {}, "failed": "no result"}
        )

    show = runs["ours"]["show"]
    for title in SHOWN if not full else list(show):
        if title in show:
            print(f"\n# {title} (on our module)\n{show[title].rstrip()}")

    by_title = {name: {r["title"]: r for r in run["rows"]} for name, run in runs.items()}
    titles = list(dict.fromkeys([r["title"] for name in ("c", "ours") for r in runs[name]["rows"]]))
    rule = "+-" + "-+-".join("-" * w for w in WIDTH) + "-+"
    print("\n" + rule)
    print(
        line("same kernel, same Open vSwitch", "our module (Rust)", "the kernel's module (C)", "")
    )
    print(rule)
    table = []
    for title in titles:
        ours, c = by_title["ours"].get(title), by_title["c"].get(title)
        verdict = judge(ours, c)
        table.append({"title": title, "ours": ours, "c": c, "verdict": verdict})
        print(line(title, ours["text"] if ours else "-", c["text"] if c else "-", verdict))
    print(rule)

    differ = [t for t in table if t["verdict"] in ("DIFFER", "MISSING")]
    for item in differ:
        if item["verdict"] == "DIFFER":
            print(f"\n{item['title']}:")
            sides = [json.dumps(item[n]["value"], indent=1).splitlines() for n in ("c", "ours")]
            print("\n".join(difflib.unified_diff(*sides, "C", "ours", lineterm="", n=1)))
    for name, run in runs.items():
        if run["failed"]:
            print(f"\n{name}: stopped: {run['failed']}")
    if all(run["show"] for run in runs.values()):
        print(features(runs))
    compared = [t for t in table if t["verdict"] in ("agree", "DIFFER", "MISSING")]
    print(
        f"{len(compared) - len(differ)} of {len(compared)} compared rows agree; "
        "speeds are shown, not judged"
    )
    stopped = sum(1 for run in runs.values() if run["failed"])
    failed = len(differ) + stopped + (not compared)
    print(f"{len(compared) - len(differ)} passed, {failed} failed, 0 skipped")
    (folder / "demo.json").write_text(json.dumps({"table": table, "runs": runs}, indent=1))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
