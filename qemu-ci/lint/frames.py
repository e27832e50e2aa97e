#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Fails if a function of the module needs more stack than the kernel allows.

    frames.py MODULE.ko LIMIT

For C the compiler warns (CONFIG_FRAME_WARN); rustc does not. So the frames are
measured in what was built: what a function's code takes off the stack pointer,
and the registers that it saves. With inlining that is the stack of all that the
compiler put into one function. Only what ALLOWED lists may be above the limit.
"""

import re
import subprocess
import sys

# What may need more, how much, and why that does no harm: (name, bytes, reason).
ALLOWED = []

FUNCTION = re.compile(r"^[0-9a-f]+ <(.*)>:$")
# `sub $0x88,%rsp`, also that of each page of a large frame, and for a loop over
# pages the whole frame: `lea -0x3000(%rsp),%r11`.
SUB = re.compile(r"\ssub\s+\$0x([0-9a-f]+),%rsp$")
LOOP = re.compile(r"\slea\s+-0x([0-9a-f]+)\(%rsp\),%r11$")
ALIGN = re.compile(r"\sand\s+\$0x([0-9a-f]+),%rsp$")
PUSH = re.compile(r"\spush\s+%(rbx|rbp|r12|r13|r14|r15)$")


class Frame:
    """What one function takes from the stack."""

    def __init__(self):
        self.bytes = 0
        self.loop = 0
        self.align = 0
        self.saved = set()

    def read(self, line):
        if m := SUB.search(line):
            self.bytes += int(m[1], 16)
        elif m := LOOP.search(line):
            self.loop = max(self.loop, int(m[1], 16))
        elif m := ALIGN.search(line):
            self.align = 2**64 - int(m[1], 16)
        elif m := PUSH.search(line):
            self.saved.add(m[1])

    def size(self):
        return max(self.bytes, self.loop) + self.align + 8 * len(self.saved)


def frames(path):
    """The size of each function's frame, by name."""
    command = ["objdump", "-d", "--no-show-raw-insn", path]
    frame, out = None, {}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as dump:
        for line in dump.stdout:
            line = line.rstrip("\n")
            if m := FUNCTION.match(line):
                frame = out.setdefault(m[1], Frame())
            elif frame:
                frame.read(line)
    if dump.returncode:
        sys.exit(f"error: objdump ended with status {dump.returncode}")
    # __pfx_ is what the padding before a function is called.
    return {name: f.size() for name, f in out.items() if not name.startswith("__pfx_")}


def demangle(names):
    proc = subprocess.run(
        ["llvm-cxxfilt-19"], input="\n".join(names), text=True, capture_output=True, check=True
    )
    return proc.stdout.rstrip("\n").split("\n")


def main():
    path, limit = sys.argv[1], int(sys.argv[2])
    sizes = frames(path)
    if not any(sizes.values()):
        sys.exit(f"error: {path} has no function that needs stack: not a module for x86-64?")
    largest = sorted(sizes, key=sizes.get, reverse=True)
    refused = 0
    for mangled, name in zip(largest, demangle(largest), strict=True):
        size = sizes[mangled]
        if size <= limit:
            break
        if any(name == one and size <= most for one, most, _ in ALLOWED):
            continue
        print(f"{size} bytes of stack, more than {limit}: {name}")
        refused += 1
    print(f"{len(sizes)} functions; the largest frames:")
    for mangled, name in zip(largest[:5], demangle(largest[:5]), strict=True):
        print(f"{sizes[mangled]:6d} {name}")
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main())
