#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Gate on the floors of src/: no file uses one of a higher floor.

A packet goes down: it is received, its key is extracted, it is looked up, and
its actions run, which end in output or in an upcall. What a file imports is on
its own floor or on a lower one. Documentation/architecture.rst has the picture.
"""

import pathlib
import re
import sys

# From the lowest to the highest. "a" is src/a.rs, "a/" all below src/a/ that is
# not named elsewhere; the longest name counts.
FLOORS = [
    (
        "headers and keys",
        """drop actions/cb flow/headers flow/key flow/stats flow/tunnel flow_netlink/log
        flow_netlink/uapi flow_table/cache""",
    ),
    ("extraction", "flow/extract flow/extract/"),
    (
        "objects",
        """actions conntrack conntrack/ datapath datapath/ovs_net datapath/ports datapath/state
        flow flow/ flow_table flow_table/ meter meter/table offload/policy offload/rate
        offload/reason offload/state offload_ops vport vport/""",
    ),
    ("flows in netlink", "flow_netlink flow_netlink/"),
    ("upcall", "trace upcall"),
    ("actions", "actions/"),
    ("lookup", "process"),
    ("receive", "receive"),
    ("commands", "conntrack/netlink datapath/ dp_notify meter/cmd"),
    ("offload engine", "offload offload/"),
    ("module", "openvswitch_main"),
]

# What uses a higher floor all the same, and why.
EXCEPTIONS = {
    ("actions/execute", "process"): "recirculation: the only way back up",
    (
        "flow/extract",
        "conntrack",
    ): "a packet may come with a connection, a part of its key",
    ("offload/state", "offload/lane"): "a cookie says whether its flow waits",
    ("upcall", "datapath/packet_cmd"): "a family's number and its commands are one object, as in C",
    ("vport/internal_dev", "receive"): "a device's operations, of both directions, are one table",
}


def floor_of(name: str) -> int:
    """The number of the floor that a file, without its suffix, is on; -1 if on none."""
    best = (-1, -1)
    for number, (_, rooms) in enumerate(FLOORS):
        for room in rooms.split():
            if room == name or (room.endswith("/") and name.startswith(room)):
                best = max(best, (len(room) + (room == name), number))
    return best[1]


def uses(text: str) -> list[list[str]]:
    """The paths that a source names, by their parts."""
    text = re.sub(r"/\*.*?\*/|//[^\n]*", "", text, flags=re.S)
    text = re.sub(r'"(?:\\.|[^"\\])*"', '""', text)
    found: list[list[str]] = []

    def tree(prefix: list[str], body: str) -> None:
        depth, part, parts = 0, "", []
        for char in body:
            depth += {"{": 1, "}": -1}.get(char, 0)
            if char == "," and not depth:
                parts.append(part)
                part = ""
            else:
                part += char
        for one in [p.strip() for p in [*parts, part] if p.strip()]:
            head, brace, rest = one.partition("{")
            path = [p.strip() for p in head.split(" as ")[0].split("::") if p.strip()]
            if brace:
                tree(prefix + path, rest.rpartition("}")[0])
            else:
                found.append(prefix + path)

    for match in re.finditer(r"\buse\s+([^;]+);", text):
        tree([], match[1])
    rest = re.sub(r"\buse\s+[^;]+;", "", text)
    found.extend(m[0].split("::") for m in re.finditer(r"\b(?:crate|super|self)(?:::\w+)+", rest))
    return found


def target(name: str, path: list[str], files: set[str]) -> str | None:
    """The file that a path in the file `name` leads to."""
    if path[0] == "crate":
        parts = path[1:]
    elif path[0] in ("self", "super"):
        parts = name.split("/")
        for step in path:
            if step == "super":
                parts = parts[:-1]
        parts += [p for p in path if p not in ("self", "super")]
    else:
        return None
    for n in range(len(parts), 0, -1):
        if "/".join(parts[:n]) in files:
            return "/".join(parts[:n])
    return None


def main() -> int:
    src = pathlib.Path(sys.argv[1]) / "src"
    names = {str(p.relative_to(src).with_suffix("")) for p in src.rglob("*.rs")}
    found, seen = [], set()
    for name in sorted(names):
        floor = floor_of(name)
        if floor < 0:
            found.append(f"src/{name}.rs: on no floor: name it in qemu-ci/lint/rooms.py")
            continue
        for path in uses((src / f"{name}.rs").read_text()):
            to = target(name, path, names)
            if to is None or floor_of(to) <= floor or to == "openvswitch_main":
                continue
            if (name, to) in EXCEPTIONS:
                seen.add((name, to))
                continue
            where = f"{FLOORS[floor][0]} is below {FLOORS[floor_of(to)][0]}"
            found.append(f"src/{name}.rs uses {'::'.join(path)}: {where}")
    for name, to in EXCEPTIONS.keys() - seen:
        found.append(f"rooms.py: src/{name}.rs does not use {to}: no exception is needed")
    print("\n".join(sorted(set(found))))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
