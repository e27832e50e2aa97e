#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Write the result of `make check-all` as a page of Documentation/.

record.py [--fact NAME=VALUE]... CHECK.json CHECK-KERNEL.json OUT.rst
"""

import argparse
import datetime
import json
import pathlib

HEAD = """.. SPDX-License-Identifier: GPL-2.0

=========================
Last run of all the tests
=========================

Written by ``make check-all``; testing.rst says what the pieces are.
"""


def table(head, rows):
    """A simple table of reStructuredText."""
    rows = [[str(cell) or "\\" for cell in row] for row in [head, *rows]]
    width = [max(len(row[i]) for row in rows) for i in range(len(head))]
    bar = " ".join("=" * w for w in width)
    lines = [
        " ".join(cell.ljust(w) for cell, w in zip(row, width, strict=True)).rstrip() for row in rows
    ]
    return "\n".join(["", bar, lines[0], bar, *lines[1:], bar, ""])


def plain(text):
    """Text that reStructuredText takes as it is."""
    for char in "\\*`|_":
        text = text.replace(char, "\\" + char)
    return text


def kernel_tests(data):
    """What is to be said of Open vSwitch's tests of the kernel module."""
    yield f"\nOpen vSwitch {data['openvswitch']}, make check-kernel\n" + "=" * 60 + "\n"
    both = data["summary"]
    yield (
        f"The C module passes {both['c']['passed']} of {both['c']['of']} tests and skips "
        f"{both['c']['skipped']}; ours passes {both['ours']['passed']} of {both['ours']['of']} "
        f"and skips {both['ours']['skipped']}. All others, and what needed a second try:\n"
    )
    rows = []
    for test in data["tests"]:
        sides = [test.get(side) for side in ("c", "ours")]
        results = [
            "-" if not side else side["result"] + (" (2nd try)" if side["attempt"] > 1 else "")
            for side in sides
        ]
        if test["verdict"] != "passed" or results != ["ok", "ok"]:
            rows.append([test["test"], plain(test["name"]), *results, plain(test["note"])])
    yield table(["test", "name", "C", "ours", "note"], rows)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--fact", action="append", default=[])
    parser.add_argument("check", type=pathlib.Path)
    parser.add_argument("kernel", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    args = parser.parse_args()
    check = json.loads(args.check.read_text())
    facts = [["Date", datetime.date.today().isoformat()]]
    facts += [fact.split("=", 1) for fact in args.fact]
    text = [HEAD, *(f":{name}: {plain(value)}\n" for name, value in facts)]
    rows = [
        [p["piece"], p["passed"], p["failed"], p["skipped"], p["seconds"], plain(p["note"])]
        for p in check["pieces"]
    ]
    total = [check[k] for k in ("passed", "failed", "skipped", "seconds")]
    text.append(table(["piece", "passed", "failed", "skipped", "seconds", "note"], rows))
    text.append("{} passed, {} failed, {} skipped, in {} s.\n".format(*total))
    if args.kernel.exists() and any(p["piece"] == "check-kernel" for p in check["pieces"]):
        text += kernel_tests(json.loads(args.kernel.read_text()))
    args.out.write_text("\n".join(text))


if __name__ == "__main__":
    main()
