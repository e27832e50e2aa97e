#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Which functions of an object can panic.

Reads the relocations of an object file and lists, by function, the references
to core::panicking (indexing, overflow, unwrap) and its relatives. A packet or
a netlink message must not reach one. For now the list is a report: with
--strict it is a failure.
"""

import collections
import re
import subprocess
import sys

PANIC = re.compile(
    r"core::(panicking|option::(unwrap|expect)_failed|result::unwrap_failed|slice::index|str::slice_error)"
)


def demangle(names: list[str]) -> list[str]:
    """Rust names as a person reads them, without the hash."""
    proc = subprocess.run(
        ["llvm-cxxfilt-19"], input="\n".join(names), text=True, capture_output=True, check=True
    )
    return proc.stdout.splitlines()


def references(path: str) -> list[tuple[str, str]]:
    """Pairs of function and what it refers to, from the disassembly."""
    out = subprocess.run(
        ["llvm-objdump-19", "-d", "-r", "--no-show-raw-insn", path],
        text=True,
        capture_output=True,
        check=True,
    ).stdout
    pairs = []
    function = "?"
    for line in out.splitlines():
        head = re.match(r"[0-9a-f]+ <(.+)>:$", line)
        if head:
            function = head[1]
            continue
        reloc = re.search(r"R_\w+\s+(\S+?)(?:[-+]0x[0-9a-f]+)?$", line)
        if reloc:
            pairs.append((function, reloc[1]))
    return pairs


def main() -> int:
    strict = "--strict" in sys.argv
    path = next(a for a in sys.argv[1:] if not a.startswith("--"))
    pairs = references(path)
    if not pairs:
        print(f"error: {path} has no relocation in its code: not an object file of this module?")
        return 1
    names = demangle([f"{a}\n{b}" for a, b in pairs])
    found: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for function, target in zip(names[::2], names[1::2], strict=True):
        if PANIC.search(target):
            found[function][target] += 1
    for function in sorted(found):
        print(f"{function}: " + ", ".join(f"{n}x {t}" for t, n in found[function].most_common()))
    total = sum(sum(c.values()) for c in found.values())
    print(f"{total} references to panicking code in {len(found)} functions")
    return 1 if strict and found else 0


if __name__ == "__main__":
    sys.exit(main())
