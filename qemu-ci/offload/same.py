#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Compare what same_guest.py saw on both modules; results as suite.py has them."""

import difflib
import json
import pathlib
import sys


def main() -> int:
    if len(sys.argv) != 2:
        print("usage: same.py RESULTS", file=sys.stderr)
        return 2
    folder, results, sides = pathlib.Path(sys.argv[1]), [], {}

    def result(case: str, good: bool, detail: str) -> None:
        status = "pass" if good else "fail"
        results.append(
            {"suite": "same", "case": case, "status": status, "detail": detail, "seconds": 0}
        )
        print(f"{status.upper()} {case}  {detail if not good else ''}".rstrip())

    for name in ("ours", "c"):
        path = folder / name / "view.txt"
        sides[name] = json.loads(path.read_text()) if path.exists() else {"failed": "no result"}
        failed = sides[name]["failed"]
        result(f"{name}: the scenario ran", not failed, failed or "")
    hard, soft = (sides[n].get("flows", {}) for n in ("ours", "c"))
    result(
        "our flows are in hardware, those of the C module in software",
        hard.get("software") == 0 == soft.get("hardware")
        and hard.get("hardware") == soft.get("software"),
        f"{hard} {soft}",
    )
    views = [sides[n].get("view", {}) for n in ("c", "ours")]
    for title in views[0]:
        both = [v.get(title, []) for v in views]
        diff = list(difflib.unified_diff(*both, "C", "ours", lineterm="", n=0))[2:]
        if diff:
            print("\n".join(diff))
        result(f"{title}: no difference", bool(both[0]) and not diff, " ".join(diff))
    (folder / "same.json").write_text(json.dumps(results, indent=1))
    return 1 if any(r["status"] == "fail" for r in results) else 0


if __name__ == "__main__":
    sys.exit(main())
