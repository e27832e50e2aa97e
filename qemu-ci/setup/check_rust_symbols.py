#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Compare the Rust symbols of a rebuilt tree with those a kernel exports.

A Rust module links against mangled names that hold a hash of the compiler's
version and of the crates' contents. Where the rebuilt metadata gives other
names than the running kernel's, a module built from it cannot load; say so
here, with the cause, and not at insmod.
"""

import pathlib
import re
import sys


def exported(symvers: pathlib.Path) -> set[str]:
    """The Rust and rust_helper symbols that Module.symvers lists."""
    names = set()
    for line in symvers.read_text().splitlines():
        fields = line.split("\t")
        if len(fields) > 1 and re.match(r"_R|rust_helper_", fields[1]):
            names.add(fields[1])
    return names


def rebuilt(build: pathlib.Path) -> set[str]:
    """The symbols that the rebuilt rust/ folder would export."""
    names = set()
    for header in (build / "rust").glob("exports_*_generated.h"):
        names.update(re.findall(r"EXPORT_SYMBOL_RUST_GPL\((\w+)\)", header.read_text()))
    return names


def main() -> int:
    build = pathlib.Path(sys.argv[1])
    want = exported(build / "Module.symvers")
    have = rebuilt(build)
    if not want:
        print(f"error: {build}/Module.symvers lists no Rust symbol: that kernel has no CONFIG_RUST")
        return 1
    missing = sorted(want - have)
    print(
        f"{len(want)} Rust symbols exported, {len(want) - len(missing)} match the rebuilt metadata"
    )
    if missing:
        print(
            f"error: {len(missing)} exported Rust symbols differ (first: {missing[0]}): "
            "the compiler is not the one the kernel was built with; "
            "use the distribution's own rustc"
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
