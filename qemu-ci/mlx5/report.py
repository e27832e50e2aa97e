#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Print the results of a check as a table; the exit status says if it passed."""

import glob
import json
import sys


def main():
    rows = []
    for name in sorted(glob.glob(sys.argv[1] + "/**/*.json", recursive=True)):
        with open(name) as f:
            rows += json.load(f)
    print(f"\n{'suite':6} {'result':6} {'time':>7}  case")
    for r in rows:
        print(f"{r['suite']:6} {r['status']:6} {r['seconds']:6}s  {r['case']}")
        if r["detail"] and r["status"] != "pass":
            print(f"{'':23}{r['detail']}")
    count = {s: sum(r["status"] == s for r in rows) for s in ("pass", "fail", "skip")}
    if len(sys.argv) > 2:
        with open(sys.argv[2], "w") as f:
            json.dump({"results": rows, **count}, f, indent=1)
    print(f"{count['pass']} passed, {count['fail']} failed, {count['skip']} skipped")
    return 1 if count["fail"] or not rows else 0


sys.exit(main())
