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
    "fed": "one flow, packets anew",
    "vxlan-in": "VXLAN, in",
    "vxlan-out": "VXLAN, out",
    "geneve-in": "Geneve, in",
    "geneve-out": "Geneve, out",
    "recirc": "recirculation",
    "ct": "ct, established",
    "ct-nat": "ct, established, NAT",
    "meter": "meter",
    "sample": "sample, 1 of 16",
    "install": "installs",
    "delete": "deletes",
    "dump": "dump, whole flows",
    "dump-terse": "dump, UFID and counters",
    "upcalls": "upcalls, sent and read",
    "upcalls-sent": "upcalls, sent",
    "memory": "memory",
    "attack32": "attack, 32 masks",
    "attack64": "attack, 64 masks",
    "attack512": "attack, 512 masks",
    "attack4k": "attack, 3,840 masks",
    "attack8k": "attack, 8,192 masks",
    "victim512": "victim, 512 masks",
    "victim4k": "victim, 3,840 masks",
    "victim8k": "victim, 8,192 masks",
    "churn512": "masks coming and going",
    "random512": "random packets, 512 masks",
    "miss512": "misses, 512 masks",
    "stages": "50 recirculation ids",
}


def figure(v):
    if v >= 1e6:
        return f"{v / 1e6:.2f} M"
    if v >= 1e4:
        return f"{v / 1e3:.0f} k"
    return f"{v:.0f}"


def ratio(rounds, a, b):
    """The median, the least and the greatest ratio of a round."""
    pairs = [(r[a] / r[b]) for r in rounds.values() if a in r and r.get(b)]
    if not pairs:
        return None
    return {"median": statistics.median(pairs), "min": min(pairs), "max": max(pairs)}


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


def cell(s):
    """A median, and how far the rounds are apart on either side of it."""
    if not s:
        return "-"
    spread = 50 * (s["max"] - s["min"]) / s["median"] if s["median"] else 0
    return f"{figure(s['median'])} ±{spread:3.0f} %"


def table(cases):
    cols = (("c", "C"), ("ours", "ours"), ("floor", "floor"))
    out = [
        f"{'case':<26}{'unit':<12}"
        + "".join(f"{title:>17}" for _, title in cols)
        + f"{'ours/C':>8} {'(rounds)':<13}{'ours/floor':>10}"
    ]
    for name, title in TITLES.items():
        c = cases.get(name)
        if not c:
            continue
        row = f"{title:<26}{c['unit']:<12}"
        row += "".join(f"{cell(c['modules'].get(m)):>17}" for m, _ in cols)
        r = c["ratios"].get("ours/c")
        row += f"{r['median']:>8.2f} {'({min:.2f}-{max:.2f})'.format(**r):<13}" if r else " " * 22
        r = c["ratios"].get("ours/floor")
        row += f"{r['median']:>10.2f}" if r else ""
        out.append(row.rstrip())
    out.append(
        "Medians over the rounds, and half the distance from the least to the greatest. "
        "A ratio\nabove 1 is better for ours, except for memory, where less is better."
    )
    return "\n".join(out)


def machine(notes):
    """What else the machine did, without which figures say little."""
    if "load" not in notes:
        return ""
    before, after = notes["load"].split(",")
    text = f"Load of the machine, which has {notes['cpus']} CPUs: {before} before, {after} after."
    # The run itself counts for one.
    if float(before) > 1 or float(after) > 2:
        text += "\nIt was not quiet: absolute figures are too low, ratios uncertain."
    return text


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
    notes = dict(n.split("=", 1) for n in args.note)
    with open(args.json, "w", encoding="ascii") as f:
        json.dump({"notes": notes, "cases": cases}, f, indent=1)
        f.write("\n")
    print(table(cases))
    print(machine(notes))


if __name__ == "__main__":
    main()
