# SPDX-License-Identifier: GPL-2.0
"""The table and the JSON file of `make bench`, from the guest's lines.

A ratio is the median, over the rounds, of one module's figure divided by the
other's of the same round: what slows the machine for a while slows both.
"""

import argparse
import json
import statistics
import sys

TITLES = {
    "one-burst32": "one flow, bursts of 32",
    "one-burst1": "one flow, bursts of 1",
    "masks32": "1,024 flows, 32 masks",
    "masks256": "100,000 flows, 256 masks",
    "install": "installs",
    "delete": "deletes",
    "dump": "dump, whole flows",
    "dump-terse": "dump, UFID and counters",
    "upcalls": "upcalls",
    "memory": "memory",
}


def figure(v):
    if v >= 1e6:
        return f"{v / 1e6:.2f} M"
    if v >= 1e4:
        return f"{v / 1e3:.0f} k"
    return f"{v:.0f}"


def ratio(rounds, a, b):
    pairs = [(r[a] / r[b]) for r in rounds.values() if a in r and r.get(b)]
    return statistics.median(pairs) if pairs else None


def summarise(lines):
    cases = {}
    for e in lines:
        c = cases.setdefault(e["case"], {"unit": e["unit"], "rounds": {}})
        c["rounds"].setdefault(e["round"], {})[e["module"]] = e["value"]
    for c in cases.values():
        names = {m for r in c["rounds"].values() for m in r}
        c["modules"] = {}
        for m in sorted(names):
            v = [r[m] for r in c["rounds"].values() if m in r]
            c["modules"][m] = {
                "median": statistics.median(v),
                "min": min(v),
                "max": max(v),
                "rounds": len(v),
            }
        c["ratios"] = {
            f"{a}/{b}": ratio(c["rounds"], a, b)
            for a, b in (("ours", "c"), ("ours", "floor"), ("c", "floor"))
            if a in names and b in names
        }
    return cases


def table(cases):
    cols = ("c", "ours", "floor")
    out = [
        f"{'case':<26}{'unit':<12}"
        + "".join(f"{m:>10} {'(min-max)':>17}" for m in cols)
        + f"{'ours/c':>9}{'ours/floor':>12}"
    ]
    for name, title in TITLES.items():
        c = cases.get(name)
        if not c:
            continue
        row = f"{title:<26}{c['unit']:<12}"
        for m in cols:
            s = c["modules"].get(m)
            spread = f"({figure(s['min'])}-{figure(s['max'])})" if s else ""
            row += f"{figure(s['median']) if s else '-':>10} {spread:>17}"
        for r, width in (("ours/c", 9), ("ours/floor", 12)):
            v = c["ratios"].get(r)
            row += f"{v:>{width}.2f}" if v is not None else f"{'-':>{width}}"
        out.append(row)
    out.append(
        "Medians over the rounds. A ratio above 1 is better for ours, "
        "except for memory, where less is better."
    )
    return "\n".join(out)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("lines")
    p.add_argument("json")
    p.add_argument("--note", action="append", default=[], help="KEY=VALUE for the JSON file")
    p.add_argument("--expect", type=int, required=True, help="figures that the run must have")
    args = p.parse_args()
    with open(args.lines, encoding="ascii") as f:
        lines = [json.loads(x) for x in f]
    if len(lines) < args.expect:
        sys.exit(f"error: {len(lines)} figures, {args.expect} expected")
    cases = summarise(lines)
    with open(args.json, "w", encoding="ascii") as f:
        json.dump({"notes": dict(n.split("=", 1) for n in args.note), "cases": cases}, f, indent=1)
        f.write("\n")
    print(table(cases))


if __name__ == "__main__":
    main()
