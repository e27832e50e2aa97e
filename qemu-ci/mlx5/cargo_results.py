#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Turn the output of `cargo test` into results, one for each test."""

import json
import re
import sys

rows = []
for line in sys.stdin:
    m = re.match(r"test (\S+) \.\.\. (ok|FAILED|ignored)", line)
    if m:
        status = {"ok": "pass", "FAILED": "fail", "ignored": "skip"}[m[2]]
        rows.append({"suite": "unit", "case": m[1], "status": status, "detail": "", "seconds": 0})
if sys.argv[1] != "0" or not rows:
    rows.append(
        {
            "suite": "unit",
            "case": "cargo test",
            "status": "fail",
            "detail": "see unit.log",
            "seconds": 0,
        }
    )
json.dump(rows, sys.stdout)
