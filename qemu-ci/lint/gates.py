#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Gates on the text of this tree.

Reads file names on standard input: src/ has no unsafe code and no way to it,
every source is below 800 lines and begins with its SPDX line.
"""

import pathlib
import re
import sys

MAX_LINES = 800
SOURCES = {".rs", ".c", ".h", ".py", ".sh"}
# What only rust/ may have. `unsafe_code` in the attribute is another word.
BANNED = {
    r"\bunsafe\b": "unsafe code",
    r"\bbindings::": "raw bindings",
    r'extern\s+"C"': "an extern block or function",
    r"\*(const|mut)\s+\w": "a raw pointer",
    r"allow\(\s*unsafe_code": "leave to be unsafe",
}


def strip_comments(text: str) -> list[str]:
    """The lines of a Rust source without comments and string contents."""
    text = re.sub(r"/\*.*?\*/", lambda m: "\n" * m[0].count("\n"), text, flags=re.S)
    lines = []
    for line in text.splitlines():
        code = re.sub(r'(?<!extern )"(?:\\.|[^"\\])*"', '""', line)
        lines.append(re.sub(r"//.*", "", code))
    return lines


def check(top: pathlib.Path, name: str) -> list[str]:
    """What is wrong with one file."""
    path = top / name
    if path.suffix not in SOURCES or name.endswith("_generated.rs"):
        return []
    text = path.read_text(errors="replace")
    lines = text.splitlines()
    found = []
    if len(lines) >= MAX_LINES:
        found.append(f"{name}: {len(lines)} lines, {MAX_LINES} are too many: split it by idea")
    if not any("SPDX-License-Identifier: GPL-2.0" in line for line in lines[:2]):
        found.append(f"{name}: no SPDX line at the top")
    if name.startswith("src/") and path.suffix == ".rs":
        for number, code in enumerate(strip_comments(text), 1):
            for pattern, what in BANNED.items():
                if re.search(pattern, code):
                    found.append(f"{name}:{number}: {what}: it belongs in rust/")
    return found


def main() -> int:
    top = pathlib.Path(sys.argv[1])
    names = sys.stdin.read().split("\n")
    found = [line for name in names if name for line in check(top, name)]
    root = top / "src/openvswitch_main.rs"
    if not re.search(r"^#!\[(deny|forbid)\(unsafe_code\)\]", root.read_text(), re.M):
        found.append("src/openvswitch_main.rs: no #![deny(unsafe_code)]")
    print("\n".join(found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
