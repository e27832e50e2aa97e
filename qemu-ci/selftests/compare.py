#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Compare two runs of the kernel's openvswitch selftests, test by test."""

import json
import pathlib
import re
import sys

LINE = re.compile(r"^TEST: (.+?)\s+\[\s*(OK|FAIL|SKIP|START|NOMOD)\s*\]")


def results(path: pathlib.Path) -> dict[str, str]:
    """Description -> the last verdict of each test."""
    found: dict[str, str] = {}
    if path.exists():
        for line in path.read_text(errors="replace").splitlines():
            match = LINE.match(line)
            if match and match[2] != "START":
                found[match[1].strip()] = match[2]
    return found


def names(script: pathlib.Path) -> dict[str, str]:
    """Description -> name of the test, from the script's own list."""
    listed = re.search(r'^tests="\n(.*?)"$', script.read_text(), re.S | re.M)
    if not listed:
        return {}
    pairs = (line.strip().split("\t", 1) for line in listed[1].splitlines() if "\t" in line.strip())
    return {desc.strip(): name for name, desc in pairs}


def main() -> int:
    baseline, ours_path, later_path, out = map(pathlib.Path, sys.argv[1:5])
    c, ours = results(baseline), results(ours_path)
    name_of = names(ours_path.parent / "ours" / "src" / "openvswitch.sh")
    later = dict(
        line.split("\t", 1)
        for line in later_path.read_text().splitlines()
        if line and not line.startswith("#")
    )
    count = {"passed": 0, "failed": 0, "skipped": 0}
    table = []
    for desc in dict.fromkeys([*c, *ours]):
        name = name_of.get(desc, desc)
        on_c, on_ours = c.get(desc, "missing"), ours.get(desc, "missing")
        note = ""
        if on_ours == "OK":
            verdict = "passed"
        elif on_c == on_ours == "SKIP":
            verdict, note = "skipped", "on both"
        elif on_c == on_ours == "FAIL":
            verdict, note = "skipped", "fails on the C module too"
        elif name in later and on_ours in ("FAIL", "SKIP"):
            verdict, note = "skipped", f"not done yet: {later[name]}"
        else:
            verdict = "failed"
        count[verdict] += 1
        table.append({"name": name, "c": on_c, "ours": on_ours, "verdict": verdict, "note": note})
        print(f"{verdict:8} {name:20} C {on_c:8} ours {on_ours:8} {note}")
    if not ours or not c:
        print("error: " + ("the C module" if not c else "ours") + " ran no test")
        count["failed"] += 1
    out.write_text(json.dumps({"tests": table, **count}, indent=1))
    print("{passed} passed, {failed} failed, {skipped} skipped".format(**count))
    return 1 if count["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
