#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Compare two runs of the suite, case by case and record by record.

    compare.py ORACLE.jsonl OURS.jsonl [--json OUT] [--all] [--stored]

A case passes when both runs made the same records, or when each difference
is listed in differences.json with its reason. What the oracle could not run
is skipped, with the reason, never passed. An oracle that is --stored is one of
an earlier run, which may have been of other cases: those that ours was not to
run are left out; those that it has no records of, or of another version, are
skipped, and when all are that is a failure. Ends with the line
`N passed, N failed, N skipped`; exit status 1 when a case failed.
"""

import argparse
import fnmatch
import json
import os
import re
import sys


def read(path):
    """(begin, {case: result}, end) of a run."""
    begin, end, cases = {}, None, {}
    with open(path) as handle:
        for line in handle:
            record = json.loads(line)
            if "begin" in record:
                begin = record
            elif "end" in record:
                end = record
            else:
                cases[record["case"]] = record
    return begin, cases, end


class Known:
    """Intended differences: case and step patterns, what may differ, why."""

    def __init__(self, path):
        with open(path) as handle:
            data = json.load(handle)
        self.rules = data["differences"]
        self.absent = data["absent"]
        for rule in self.rules + self.absent:
            if not rule.get("reason"):
                raise SystemExit(f"a known difference without a reason: {rule}")
        self.used = {}

    def strip(self, tree, count):
        """A tree of the oracle without what ours does not put in."""
        if isinstance(tree, dict):
            out = {k: self.strip(v, count) for k, v in tree.items()}
            if any(line.startswith("SPLAT") for line in out.get("log", ())):
                # The C module's own trouble: ours does not have to have it.
                out["log"] = [line for line in out["log"] if not line.startswith("SPLAT")]
                if not out["log"]:
                    del out["log"]
                count.append(1)
            return out
        if not isinstance(tree, list):
            return tree
        out = []
        for one in tree:
            if (
                isinstance(one, list)
                and len(one) == 2
                and any(rule["attr"] == one[0] and rule["value"] == one[1] for rule in self.absent)
            ):
                count.append(1)
                continue
            out.append(self.strip(one, count))
        return out

    def find(self, case, step, where, one, two):
        """The first rule that covers this difference."""
        for number, rule in enumerate(self.rules):
            if not fnmatch.fnmatchcase(case, rule["case"]):
                continue
            if rule.get("only") and not any(case.endswith("_" + name) for name in rule["only"]):
                continue
            if not fnmatch.fnmatchcase(str(step), rule.get("step", "*")):
                continue
            if not re.search(rule.get("where", ""), where):
                continue
            if not re.search(rule.get("c", ""), str(one)):
                continue
            if not re.search(rule.get("ours", ""), str(two)):
                continue
            self.used[number] = self.used.get(number, 0) + 1
            return rule
        return None


def differences(one, two, where=""):
    """(where, in one, in two) for each place where two trees differ."""
    if isinstance(one, dict) and isinstance(two, dict):
        for key in list(one) + [k for k in two if k not in one]:
            if one.get(key) != two.get(key):
                yield from differences(one.get(key), two.get(key), f"{where}.{key}")
    elif isinstance(one, list) and isinstance(two, list) and len(one) == len(two):
        for i, (a, b) in enumerate(zip(one, two, strict=False)):
            if a != b:
                name = i
                if isinstance(a, list) and a and isinstance(a[0], str):
                    name = a[0]
                yield from differences(a, b, f"{where}.{name}")
    elif one != two:
        yield where, one, two


def compare_case(name, one, two, known):
    """([(step, where, one, two)], how many were known)"""
    out = []
    allowed = 0
    a, b = one.get("records", []), two.get("records", [])
    for i in range(max(len(a), len(b))):
        x = a[i] if i < len(a) else None
        y = b[i] if i < len(b) else None
        if x == y:
            continue
        if x is not None:
            stripped = []
            x = known.strip(x, stripped)
            allowed += len(stripped)
            if x == y:
                continue
        step = (x or y).get("s")
        if x is None or y is None or x.get("s") != y.get("s"):
            out.append((f"{i:d}: {step}", "step", x, y))
            break
        for where, p, q in differences(x, y):
            if known.find(name, step, where, p, q):
                allowed += 1
            else:
                out.append((f"{i:d}: {step}", where, p, q))
    return out, allowed


def short(value, width=300):
    text = value if isinstance(value, str) else json.dumps(value)
    if len(text) > width:
        text = text[:width] + f"… ({len(text):d} characters)"
    return text


def judge(name, one, two, known):
    """(verdict, note, differences) of one case."""
    if two is None:
        return "failed", "did not run on our module", []
    if two.get("ours"):
        why = two.get("why", "own expectations")
        if two.get("splats"):
            return "failed", "splat: " + two["splats"][0], []
        return {"ok": "passed", "skipped": "skipped"}.get(two["status"], "failed"), why, []
    if one is None:
        return "failed", "did not run on the C module", []
    if one["status"] == "skipped":
        return "skipped", one.get("why", ""), []
    if one["status"] != "ok":
        return "skipped", "the C module: " + one.get("why", ""), []
    if two["status"] != "ok":
        diffs, _ = compare_case(name, one, two, known)
        return "failed", "{}: {}".format(two["status"], two.get("why", "")), diffs
    if two.get("splats") and not one.get("splats"):
        return "failed", "splat: " + two["splats"][0], []
    diffs, allowed = compare_case(name, one, two, known)
    if diffs:
        return "failed", f"{len(diffs):d} differences", diffs
    note = f"{allowed:d} known differences" if allowed else ""
    return "passed", note, []


def fit(cases1, begin1, cases2, begin2):
    """What of a stored oracle is of the cases that ours was to run, and why the
    others cannot be compared: ({case: result}, {case: reason})."""
    wanted = [*begin2.get("cases", []), *cases2]
    cases = {name: cases1[name] for name in cases1 if name in wanted}
    unfit = {}
    for name in cases2:
        if cases2[name].get("ours"):
            continue
        if name not in cases:
            unfit[name] = "not in the stored records"
        elif begin1.get("suite") != begin2.get("suite"):
            unfit[name] = "the stored records are of another version of the suite"
        elif cases[name].get("digest") != cases2[name].get("digest"):
            unfit[name] = "the stored records are of another version of the case"
    return cases, unfit


def show_kinds(rows):
    """The differences of all cases by the place where they are: often it is
    one difference that shows in many cases."""
    kinds = {}
    for row in rows:
        for one in row["differences"]:
            where = re.sub(r"\.\d+(?=\.|$)", "", one["where"])
            kinds.setdefault(where, []).append((row["case"], one))
    if len(rows) < 2 or not kinds:
        return
    print("by place:")
    for where, found in sorted(kinds.items(), key=lambda item: -len(item[1]))[:20]:
        cases = list(dict.fromkeys(case for case, _ in found))
        case, one = found[0]
        print(f"{len(found):6d} in {len(cases):3d} cases at {where}: {case}, {one['step']}:")
        print(f"         C {short(one['c'], 100)} ours {short(one['ours'], 100)}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("oracle")
    parser.add_argument("ours")
    parser.add_argument("--json")
    parser.add_argument(
        "--all", action="store_true", help="show every difference, not each case's first"
    )
    parser.add_argument("--quiet", action="store_true", help="do not list the cases that passed")
    parser.add_argument(
        "--no-known", action="store_true", help="no difference is allowed (oracle with itself)"
    )
    parser.add_argument(
        "--stored",
        action="store_true",
        help="the oracle is of an earlier run, maybe of other cases",
    )
    parser.add_argument("--failure", action="append", help="one more failure, found outside")
    args = parser.parse_args()
    known = Known(os.path.join(os.path.dirname(os.path.abspath(__file__)), "differences.json"))
    if args.no_known:
        known.rules = known.absent = []
    begin1, cases1, end1 = read(args.oracle)
    begin2, cases2, end2 = read(args.ours)
    unfit = {}
    if args.stored:
        if begin1.get("kernel") != begin2.get("kernel"):
            raise SystemExit(
                f"the stored records are of the kernel {begin1.get('kernel')}, "
                f"not of {begin2.get('kernel')}: run without --c"
            )
        cases1, unfit = fit(cases1, begin1, cases2, begin2)
    count = {"passed": 0, "failed": 0, "skipped": 0}
    rows = []
    for name in list(cases1) + [n for n in cases2 if n not in cases1]:
        one, two = cases1.get(name), cases2.get(name)
        if name in unfit:
            verdict, note, diffs = "skipped", unfit[name] + ": run without --c", []
        else:
            verdict, note, diffs = judge(name, one, two, known)
        count[verdict] += 1
        rows.append(
            {
                "case": name,
                "verdict": verdict,
                "note": note,
                "differences": [
                    {"step": s, "where": w, "c": a, "ours": b} for s, w, a, b in diffs[:50]
                ],
            }
        )
        if verdict == "passed" and args.quiet:
            continue
        steps = len((one or two).get("records", []))
        print(f"{verdict:<8} {name:<42} {steps:5d} steps  {note}")
        for step, where, a, b in diffs if args.all else diffs[:1]:
            print(f"         step {step}, at {where}")
            print(f"           C    {short(a)}")
            print(f"           ours {short(b)}")

    show_kinds(rows)
    for what, begin, end in (("oracle", begin1, end1), ("ours", begin2, end2)):
        if begin.get("error"):
            problem = "does not load: " + begin["error"]
        elif end is None:
            problem = "the run did not end (the guest crashed or hung)"
        elif end["unload"]:
            problem = "does not unload: " + end["unload"]
        elif end["splats"]:
            problem = "kernel splat: " + end["splats"][0]
            if what == "oracle":
                # Its own trouble; what it recorded is compared all the same.
                print(f"note     the C module made a {problem}")
                continue
        else:
            continue
        if what == "oracle" and args.stored:
            print(f"note     the stored run of the C module: {problem}")
            continue
        print("failed   {} ({}): {}".format(what, begin.get("begin"), problem))
        count["failed"] += 1
    for text in args.failure or []:
        print(f"failed   {text}")
        count["failed"] += 1
    if not rows:
        print("failed   no case ran")
        count["failed"] += 1
    elif unfit and not count["passed"]:
        print("failed   the stored records have none of these cases as they are now")
        count["failed"] += 1
    if args.json:
        with open(args.json, "w") as handle:
            json.dump(
                {
                    "kernel": begin1.get("kernel"),
                    "oracle": begin1.get("begin"),
                    "ours": begin2.get("begin"),
                    "count": count,
                    "cases": rows,
                },
                handle,
                indent=1,
            )
    print("{passed} passed, {failed} failed, {skipped} skipped".format(**count))
    return 1 if count["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
