#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Fails if code of ours can panic: a packet or a netlink message must not.

Reads the relocations of the module's Rust objects. Each call of
core::panicking (overflow, index, unwrap) or a relative of it is handed the
place in the source that it stands for; that place, and not the function that
it was inlined into, says whose code it is. Only what ALLOWED lists may stay.
"""

import bisect
import collections
import re
import struct
import subprocess
import sys

PANIC = re.compile(
    r"core::(panicking|option::(unwrap|expect)_failed|result::unwrap_failed"
    r"|slice::index|slice::copy_from_slice|str::slice_error|cell::panic_)"
)

# What may panic, and why it does not.
ALLOWED = [
    (
        re.compile(r"rust/kernel/alloc/kvec\.rs$"),
        re.compile(r""),
        "the kernel's Vec: its length is at most its capacity, and that at most isize::MAX bytes",
    ),
    (
        re.compile(r"core/src/ffi/c_str\.rs$"),
        re.compile(r""),
        "CStr without its NUL byte: there always is one",
    ),
    (
        re.compile(r"rust/kernel/net/genetlink(/ops)?\.rs$"),
        re.compile(r"genetlink::(Family|MulticastGroup|ops::SmallOp)>::\w+$"),
        "constructors of statics: they run in the compiler, which reports the panic",
    ),
]


class Object:
    """As much of an ELF64 relocatable file as is needed."""

    def __init__(self, path):
        with open(path, "rb") as f:
            self.data = data = f.read()
        if data[:6] != b"\x7fELF\x02\x01":
            sys.exit(f"error: {path} is not a 64-bit little-endian object file")
        at, size, count = (
            struct.unpack_from("<Q10xHH", data, 40)[0],
            *struct.unpack_from("<HH", data, 58),
        )
        self.sections = [
            struct.unpack_from("<IIQQQQIIQQ", data, at + i * size) for i in range(count)
        ]
        self.relocations = {}
        self.symbols = []
        self.functions = collections.defaultdict(list)
        for s in self.sections:
            if s[1] == 2:
                self.read_symbols(s)
        for s in self.sections:
            if s[1] == 4:
                self.relocations[s[7]] = sorted(
                    struct.unpack_from("<QIIq", data, s[4] + i) for i in range(0, s[5], 24)
                )

    def text(self, at):
        return self.data[at : self.data.index(b"\0", at)].decode()

    def read_symbols(self, table):
        names = self.sections[table[6]][4]
        for i in range(table[4], table[4] + table[5], 24):
            name, info, _, section, value, _ = struct.unpack_from("<IBBHQQ", self.data, i)
            self.symbols.append((self.text(names + name), section, value))
            if info & 15 == 2:
                self.functions[section].append((value, self.symbols[-1][0]))
        for f in self.functions.values():
            f.sort()

    def function(self, section, offset):
        f = self.functions[section]
        return f[bisect.bisect_right(f, (offset, "\x7f")) - 1][1] if f else "?"

    def place(self, section, offset):
        """The file and line of the core::panic::Location at this place, if there is one."""
        if section >= len(self.sections) or self.sections[section][1] != 1:
            return None
        for where, _, symbol, addend in self.relocations.get(section, []):
            if where == offset:
                _, sec, value = self.symbols[symbol]
                length, line = struct.unpack_from(
                    "<QI", self.data, self.sections[section][4] + offset + 8
                )
                start = self.sections[sec][4] + value + addend
                return self.data[start : start + length].decode(errors="replace"), line
        return None

    def panics(self):
        """Triples of function, what it calls, and file and line."""
        for section, relocations in self.relocations.items():
            if section not in self.functions:
                continue
            for i, (offset, _, symbol, _) in enumerate(relocations):
                if PANIC.search(self.demangled[self.symbols[symbol][0]]):
                    yield (
                        self.function(section, offset),
                        self.symbols[symbol][0],
                        self.argument(relocations, i),
                    )

    def argument(self, relocations, i):
        """The place that the call of relocation `i` is handed, among the operands before it."""
        offset = relocations[i][0]
        for where, kind, symbol, addend in reversed(relocations[max(0, i - 3) : i]):
            if offset - where > 40:
                break
            _, section, value = self.symbols[symbol]
            # R_X86_64_PC32 and PLT32 count from the end of their four bytes.
            place = self.place(section, value + addend + (4 if kind in (2, 4) else 0))
            if place:
                return place
        return "?", 0

    def demangle(self):
        names = sorted({name for name, _, _ in self.symbols})
        proc = subprocess.run(
            ["llvm-cxxfilt-19"], input="\n".join(names), text=True, capture_output=True, check=True
        )
        self.demangled = dict(zip(names, proc.stdout.split("\n"), strict=False))


def allowed(file, function):
    return any(f.search(file) and g.search(function) for f, g, _ in ALLOWED)


def main():
    refused, passed = collections.Counter(), 0
    for path in sys.argv[1:]:
        obj = Object(path)
        if not any(s in obj.functions for s in obj.relocations):
            sys.exit(f"error: {path} has no relocation in its code: not an object of this module?")
        obj.demangle()
        for function, target, (file, line) in obj.panics():
            name = obj.demangled[function]
            if name.startswith("core::panicking::"):
                # A panic's own code: who calls it is counted.
                continue
            if allowed(file, name):
                passed += 1
            else:
                refused[f"{file}:{line}: {obj.demangled[target]} in {name}"] += 1
    for text, n in sorted(refused.items()):
        print(text + (f" ({n} times)" if n > 1 else ""))
    print(
        f"{sum(refused.values())} references to panicking code; "
        f"{passed} more are on the list of those that cannot be reached"
    )
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main())
