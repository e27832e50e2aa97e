# SPDX-License-Identifier: GPL-2.0
"""The functions that sampled addresses are in, by a guest's /proc/kallsyms."""

import argparse
import bisect
import collections
import re
import subprocess
import sys


class Symbols:
    def __init__(self, path):
        found = {}
        with open(path, encoding="ascii") as f:
            for line in f:
                p = line.split()
                if p[1] in "tTwW":
                    module = p[3].strip("[]") if len(p) > 3 else ""
                    found.setdefault(int(p[0], 16), (p[2], module))
        self.start = sorted(found)
        self.names = [found[a] for a in self.start]

    def find(self, ip):
        if ip >> 47:
            return ("[host kernel]", ""), 0
        i = bisect.bisect_right(self.start, ip) - 1
        if i < 0 or ip - self.start[i] > 0x100000:
            return ("[user space]", ""), 0
        return self.names[i], ip - self.start[i]


def demangled(names):
    """Rust's v0 names as rustc's own demangling crates show them, if a tool has it."""
    try:
        p = subprocess.run(
            ["llvm-cxxfilt-19"],
            input="\n".join(names),
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return dict(zip(names, names, strict=True))
    return dict(zip(names, p.stdout.split("\n"), strict=False))


def disassemble(obj, function, samples):
    text = subprocess.run(
        ["llvm-objdump-19", "-dr", "--no-show-raw-insn", "--demangle", obj],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    start = None
    total = sum(samples.values()) or 1
    for line in text.splitlines():
        m = re.match(r"([0-9a-f]+) <(.*)>:$", line)
        if m:
            start = int(m[1], 16) if function in m[2] else None
            if start is not None:
                print(line)
            continue
        m = re.match(r" *([0-9a-f]+):", line)
        if start is not None and m:
            n = samples.get(int(m[1], 16) - start, 0)
            print(f"{100 * n / total:6.2f} {line}" if n else f"       {line}")


def main():
    p = argparse.ArgumentParser()
    p.add_argument("ips")
    p.add_argument("kallsyms")
    p.add_argument("--top", type=int, default=40)
    p.add_argument("--disasm")
    p.add_argument("--object")
    p.add_argument("--while", dest="during", help="only from its first sample to its last")
    args = p.parse_args()
    symbols = Symbols(args.kallsyms)
    count = collections.Counter()
    inside = collections.defaultdict(collections.Counter)
    with open(args.ips, encoding="ascii") as f:
        samples = [(symbols.find(int(line, 16))) for line in f if line.strip()]
    if args.during:
        at = [i for i, ((name, _), _) in enumerate(samples) if args.during in name]
        if not at:
            sys.exit(f"error: no sample is in {args.during}")
        samples = samples[at[0] : at[-1] + 1]
    for name, offset in samples:
        count[name] += 1
        inside[name][offset] += 1
    total = sum(count.values())
    if not total:
        sys.exit("error: perf took no samples")
    names = demangled([n for (n, _) in count])
    # What the guest's processes and the host's kernel take is set-up.
    work = total - sum(n for (s, _), n in count.items() if s[0] == "[")
    modules = collections.Counter()
    for (_, module), n in count.items():
        modules[module or "kernel"] += n
    print(f"{total} samples, {work} of them in the guest's kernel and modules")
    for module, n in modules.most_common():
        if module != "kernel":
            print(f"{100 * n / work:6.2f} %  all of [{module}]")
    for (name, module), n in count.most_common(args.top):
        share = f"{100 * n / work:6.2f} %" if name[0] != "[" else " " * 8
        print(f"{share} {n:7}  {names[name]}{f' [{module}]' if module else ''}")
    if args.disasm:
        for (name, _), offsets in inside.items():
            if args.disasm in names[name]:
                disassemble(args.object, names[name], offsets)


if __name__ == "__main__":
    main()
