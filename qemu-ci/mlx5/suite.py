# SPDX-License-Identifier: GPL-2.0
"""Cases, and the results that check.sh reads."""

import json
import os
import sys
import time
import traceback


class Skip(Exception):
    """A case that cannot run here, and why."""


class Failed(Exception):
    """What was seen is not what was expected."""


def expect(what, got, want):
    if got != want:
        raise Failed(f"{what}: {got!r}, expected {want!r}")


def expect_true(what, ok, detail=""):
    if not ok:
        raise Failed(f"{what} {detail}".strip())


class Suite:
    def __init__(self, name):
        self.name = name
        self.cases = []

    def case(self, title):
        def add(f):
            self.cases.append((title, f))
            return f

        return add

    def run(self, *args, only=None):
        """Run all cases in order, or those with one of the comma-separated
        words of `only` in their title, and write $RESULTS/<name>.json."""
        results = []
        for title, f in self.cases:
            if only and not any(w in title for w in only.split(",")):
                continue
            start = time.monotonic()
            status, detail = "pass", ""
            try:
                detail = f(*args) or ""
            except Skip as e:
                status, detail = "skip", str(e)
            except Failed as e:
                status, detail = "fail", str(e)
            except Exception as e:  # a case that breaks is a case that fails
                where = traceback.extract_tb(sys.exc_info()[2])[-1]
                status, detail = (
                    "fail",
                    f"{type(e).__name__}: {e} ({os.path.basename(where.filename)}:{where.lineno})",
                )
            row = {
                "suite": self.name,
                "case": title,
                "status": status,
                "detail": str(detail)[:400],
                "seconds": round(time.monotonic() - start, 1),
            }
            results.append(row)
            print(f"{status.upper():4} {row['seconds']:5}s {title}  {row['detail']}", flush=True)
            with open(os.path.join(os.environ.get("RESULTS", "."), f"{self.name}.json"), "w") as f:
                json.dump(results, f)
        return 1 if any(r["status"] == "fail" for r in results) else 0
