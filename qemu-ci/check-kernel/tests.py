#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What check-kernel.sh has to know of Open vSwitch's tests and of their results.

A result is a line of JSON that guest.py wrote, see there. A recording is a file
of such lines, one for each test that ran on the C module.
"""

import argparse
import datetime
import json
import pathlib
import re
import sys

SUITE = "tests/system-kmod-testsuite"
MACROS = ("system-kmod-macros.at", "system-common-macros.at")


def die(text):
    sys.exit(f"error: check-kernel.sh: {text} (see --help)")


class Tests:
    """The tests of the suite, by number: (name, file:line)."""

    def __init__(self, tree):
        self.folder = tree / "tests"
        text = (tree / SUITE).read_text(errors="replace")
        found = re.search(r'^at_help_all="(.*?)^"$', text, re.S | re.M)
        lines = [line.split(";") for line in found[1].splitlines()]
        self.all = {int(line[0]): (line[2], line[1]) for line in lines}
        version = re.search(r"openvswitch ([\d.]+) test suite", text)
        self.version = version[1] if version else "?"

    def pick(self, args):
        """The numbers that the options ask for."""
        numbers = list(self.all)
        if args.tests:
            wanted = set()
            for part in args.tests.split(","):
                match = re.fullmatch(r"(\d+)(?:-(\d*))?", part)
                if not match:
                    die(f"--tests is a list such as 1-20,33, not '{args.tests}'")
                first = int(match[1])
                last = first if match[2] is None else int(match[2] or max(numbers))
                if not 1 <= first <= last <= max(numbers):
                    die(f"--tests {part}: the tests are 1 to {max(numbers)}")
                wanted.update(range(first, last + 1))
            numbers = [n for n in numbers if n in wanted]
        if args.only:
            try:
                only = re.compile(args.only)
            except re.error as exc:
                die(f"--only '{args.only}' is no regular expression: {exc}")
            numbers = [n for n in numbers if only.search(self.all[n][0])]
        if args.part:
            match = re.fullmatch(r"(\d+)/(\d+)", args.part)
            if not match or not 1 <= int(match[1]) <= int(match[2]):
                die(f"--part is I/N with I from 1 to N, not '{args.part}'")
            numbers = [n for n in numbers if n % int(match[2]) == int(match[1]) - 1]
        if not numbers:
            die("no test matches")
        return numbers

    def why_skipped(self, text):
        """What the line that skipped the test says, and the comment of its macro."""
        match = re.search(r"\((\S+\.at):(\d+)\)", text)
        if not match:
            return text
        lines = (self.folder / match[1]).read_text(errors="replace").splitlines()
        line = lines[int(match[2]) - 1].strip()
        macro = re.match(r"[A-Z0-9_]+", line)
        for name in MACROS if macro else ():
            source = (self.folder / name).read_text(errors="replace")
            found = re.search(
                rf"^# {macro[0]}\b[^\n]*\n((?:#[^\n]*\n)+)m4_define\(\[{macro[0]}\]", source, re.M
            )
            if found:
                comment = " ".join(found[1].replace("#", " ").split())
                comment = re.sub(r"Perform requirements checks? [^.]*(?:\. |$)", "", comment)
                return f"{macro[0]}: {comment}"
        return line


def read(path):
    """The last result of each test in a file, by number."""
    out = {}
    if path and path.exists():
        for line in path.read_text().splitlines():
            record = json.loads(line)
            if "test" in record:
                out[record["test"]] = record
    return out


def write(path, results):
    new = path.with_suffix(".new")
    new.write_text("".join(json.dumps(results[n]) + "\n" for n in sorted(results)))
    new.rename(path)


def good(record):
    return record["result"] == "ok" and not record["events"]


def endless(record):
    """Is this a test that this machine is too slow for?"""
    return any(e.startswith("did not end") for e in record["events"])


def left(path, status, numbers, error):
    """The tests that have not run yet. The one that did not end with its guest
    gets its result here."""
    begun = None
    ran = set()
    for line in path.read_text().splitlines() if path.exists() else ():
        record = json.loads(line)
        if "begin" in record:
            begun = record["begin"]
        else:
            begun = None
        ran.add(begun or record.get("test"))
    if begun:
        trouble = [line for line in error if re.search(r"error:|BUG|WARNING|panic|Oops|RIP", line)]
        event = f"the guest died, status {status}: " + "; ".join(t.strip() for t in trouble[-3:])
        record = {
            "test": begun,
            "name": "",
            "result": "fail",
            "text": "FAILED (the guest died)",
            "seconds": 0,
            "events": [event],
            "held": [],
            "attempt": 1,
        }
        with path.open("a") as out:
            out.write(json.dumps(record) + "\n")
    return [n for n in numbers if n not in ran]


def again(path, numbers):
    """The tests that deserve a second try: they failed, but without trouble."""
    results = read(path)
    return [
        n
        for n in numbers
        if n in results
        and results[n]["result"] == "fail"
        and not results[n]["events"]
        and results[n]["attempt"] == 1
    ]


def share(recorded, jobs, numbers):
    """The tests in as many heaps, of about the same time by what they took before."""
    heaps = [[0.0, []] for _ in range(min(jobs, len(numbers)))]
    took = {n: recorded[n]["seconds"] if n in recorded else 8.0 for n in numbers}
    for number in sorted(numbers, key=lambda n: -took[n]):
        heap = min(heaps, key=lambda h: h[0])
        heap[0] += took[number]
        heap[1].append(number)
    return [sorted(heap[1]) for heap in heaps]


def word(record):
    """One word for a table."""
    if record is None:
        return "-"
    if record["result"] == "ok":
        text = "ok" if not record["events"] else "TROUBLE"
    else:
        text = {"skip": "skip", "fail": "FAILED"}[record["result"]]
    return text + ("*" if record["attempt"] > 1 and text == "ok" else "")


def details(record):
    return "; ".join([*record["events"], *([record["text"]] if record["result"] == "fail" else [])])


def judge(tests, c, ours):
    """(verdict, note) of one test."""
    if c is None:
        return "skipped", "no result of the C module"
    if endless(c):
        return "skipped", f"the C module: {details(c)}"
    if ours is None:
        return "failed", "did not run on ours"
    if ours["result"] == "skip":
        why = tests.why_skipped(ours["text"])
        if c["result"] == "ok":
            return "failed", f"runs on C, skipped on ours: {why}"
        return "skipped", why
    if good(ours):
        more = [h for h in ours["held"] if h not in c["held"]] if good(c) else []
        if more:
            why = "after the unload, references are left that C gives back: "
            return "failed", why + ", ".join(more)
        if not good(c):
            return "passed", "not on C: " + (details(c) or word(c))
        return "passed", ""
    if c["result"] == "fail" or c["events"]:
        return "skipped", f"fails on C, too: {details(c)}"
    return "failed", details(ours)


def report(tests, args):
    c, ours = read(args.recorded), read(args.ours)
    rows = []
    count = {"passed": 0, "failed": 0, "skipped": 0}
    for number in args.numbers:
        name, place = tests.all[number]
        one, two = c.get(number), ours.get(number)
        if args.ours:
            verdict, note = judge(tests, one, two)
        elif one is None:
            verdict, note = "failed", "did not run"
        elif one["result"] == "skip":
            verdict, note = "skipped", tests.why_skipped(one["text"])
        else:
            verdict, note = ("passed", "") if good(one) else ("failed", details(one))
        count[verdict] += 1
        row = {"test": number, "name": name, "at": place, "verdict": verdict, "note": note}
        for side, record in (("c", one), ("ours", two)):
            if record:
                row[side] = {k: v for k, v in record.items() if k not in ("test", "name")}
        rows.append(row)
        if args.quiet and verdict != "failed":
            continue
        took = [f"{r['seconds']:.1f}" if r else "-" for r in (one, two)]
        print(
            f"{verdict:7} {number:3d} {name[:58]:58} C {word(one):8}{took[0]:>6} s"
            f"  ours {word(two):8}{took[1]:>6} s  {note}".rstrip()
        )
    runs = {"c": c, "ours": ours}
    summary = {
        side: {
            "passed": sum(1 for n in args.numbers if n in of and good(of[n])),
            "second try": sum(
                1 for n in args.numbers if n in of and good(of[n]) and of[n]["attempt"] > 1
            ),
            "skipped": sum(1 for n in args.numbers if n in of and of[n]["result"] == "skip"),
            "of": sum(1 for n in args.numbers if n in of),
            "seconds": round(sum(of[n]["seconds"] for n in args.numbers if n in of)),
        }
        for side, of in runs.items()
    }
    for side, s in summary.items():
        if s["of"]:
            print(
                f"{side}: {s['passed']} of {s['of']} pass "
                f"({s['second try']} at the second try, *), "
                f"{s['skipped']} skipped, {s['seconds']} s in all"
            )
    args.json.write_text(
        json.dumps(
            {
                "date": datetime.date.today().isoformat(),
                "openvswitch": tests.version,
                **dict(fact.split("=", 1) for fact in args.fact),
                "of": len(tests.all),
                "summary": summary,
                "count": count,
                "tests": rows,
            },
            indent=1,
        )
    )
    if not summary["c"]["of"]:
        print("failed   nothing is recorded of the C module: run without --side ours")
        count["failed"] += 1
    print("{passed} passed, {failed} failed, {skipped} skipped".format(**count))
    return 1 if count["failed"] else 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tree", type=pathlib.Path, required=True)
    parser.add_argument("--recorded", type=pathlib.Path)
    parser.add_argument("--only")
    parser.add_argument("--tests")
    parser.add_argument("--part")
    parser.add_argument("--list", action="store_true")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("pick")
    for name in ("forget", "missing", "ours", "share", "left", "again", "report"):
        sub = commands.add_parser(name)
        if name == "share":
            sub.add_argument("jobs", type=int)
        if name in ("left", "again"):
            sub.add_argument("path", type=pathlib.Path)
        if name == "left":
            sub.add_argument("status")
        if name == "report":
            sub.add_argument("--ours", type=pathlib.Path)
            sub.add_argument("--json", type=pathlib.Path, required=True)
            sub.add_argument("--quiet", action="store_true")
            sub.add_argument("--fact", action="append", default=[])
        sub.add_argument("numbers", type=int, nargs="*")
    sub = commands.add_parser("record")
    sub.add_argument("path", type=pathlib.Path)
    args = parser.parse_args()
    tests = Tests(args.tree)
    recorded = read(args.recorded)
    lines = []
    if args.command == "pick":
        lines = tests.pick(args)
        if args.list:
            lines = [f"{n:3d}  {tests.all[n][0]}" for n in lines]
    elif args.command == "forget":
        write(args.recorded, {n: r for n, r in recorded.items() if n not in args.numbers})
    elif args.command == "missing":
        lines = [n for n in args.numbers if n not in recorded]
    elif args.command == "ours":
        lines = [n for n in args.numbers if n not in recorded or not endless(recorded[n])]
    elif args.command == "record":
        write(args.recorded, {**recorded, **read(args.path)})
    elif args.command == "share":
        lines = [" ".join(map(str, heap)) for heap in share(recorded, args.jobs, args.numbers)]
    elif args.command == "left":
        lines = left(args.path, args.status, args.numbers, sys.stdin.read().splitlines())
    elif args.command == "again":
        lines = again(args.path, args.numbers)
        if recorded:
            lines = [n for n in lines if n in recorded and good(recorded[n])]
    else:
        return report(tests, args)
    for line in lines:
        print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
