#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""That each function of the C module can be found by its name.

usage: names.py TOP C, with the folder of the C module: its functions have to be
named in src/ or rust/, or in Documentation/architecture.rst's table of those that
are not, which in turn has no others.
"""

import pathlib
import re
import sys

DEFINITION = re.compile(r"^(?![#\s/}{])(?!.*=)[A-Za-z_][^;{}()]*?\W(\w+)\([^;{}]*?\)\n\{", re.M)
TABLE = re.compile(r"^C functions that are not here\n=+\n(.*?)(?=^\S.*\n===|\Z)", re.M | re.S)


def main() -> int:
    top, c_dir = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    sources = sorted(c_dir.glob("*.c"))
    if not sources:
        print(f"names of C functions are not checked: no C module in {c_dir}")
        return 0
    c = {name: path.name for path in sources for name in DEFINITION.findall(path.read_text())}
    table = TABLE.search((top / "Documentation/architecture.rst").read_text())
    listed = set(re.findall(r"``(\w+)\(\)``", table[1] if table else ""))
    ours = set()
    for path in [*top.glob("src/**/*.rs"), *top.glob("rust/**/*.rs"), *top.glob("rust/**/*.c")]:
        ours.update(re.findall(r"\w+", path.read_text()))

    found = [
        f"{c[name]}: {name}() is named neither in src/ or rust/ nor in architecture.rst's table"
        for name in sorted(c.keys() - ours - listed)
    ]
    found += [
        f"Documentation/architecture.rst: the C module has no {name}()"
        for name in sorted(listed - c.keys())
    ]
    print("\n".join(found), end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
