#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Compare our netlink families with the kernel's YNL specifications.

For ovs_datapath, ovs_flow, ovs_packet and ovs_vport: each attribute of the policy
in src/ is in Documentation/netlink/specs/, under the number that the header gives
it and with a type that fits the policy; and what the specification lets a request
have is in the policy. The specifications are read line by line, as the tool root
has no YAML parser.
"""

import pathlib
import re
import sys

# Specification: the file of the policy, the attribute set.
FAMILIES = {
    "ovs_datapath": ("src/datapath/dp_cmd.rs", "datapath"),
    "ovs_flow": ("src/datapath/flow_cmd.rs", "flow-attrs"),
    "ovs_packet": ("src/datapath/packet_cmd.rs", "packet"),
    "ovs_vport": ("src/datapath/vport_cmd.rs", "vport"),
}
# What a policy may be for a type of the specification.
KINDS = {
    "string": {"nul_string"},
    "u16": {"u16"},
    "u32": {"u32", "u32_range", "s32", "s32_min"},
    "s32": {"s32", "s32_min"},
    "u64": {"u64"},
    "flag": {"flag"},
    "nest": {"nested"},
    "binary": {"unspec", "binary"},
}
# Where the specification says less than the policy of the C module, which ours is:
# the type that the specification gives, and the C policy.
LOOSE = {
    ("OVS_FLOW_ATTR_PROBE", "binary"): "flag",
    ("OVS_PACKET_ATTR_KEY", "binary"): "nested",
    ("OVS_PACKET_ATTR_ACTIONS", "binary"): "nested",
}


def enums(header: str) -> dict[str, int]:
    """The constants of the enums of a header."""
    header = re.sub(r"/\*.*?\*/", "", header, flags=re.S)
    found = {}
    for body in re.findall(r"\benum\b[^{};]*\{([^}]*)\}", header):
        number = 0
        for item in body.split(","):
            match = re.fullmatch(r"\s*(\w+)\s*(?:=\s*(\d+))?\s*", item)
            if match:
                number = int(match[2]) if match[2] else number
                found[match[1]] = number
                number += 1
    return found


def section(text: str, name: str) -> str:
    """A top-level part of a specification."""
    match = re.search(rf"^{name}:\n(.*?)(?=^\S|\Z)", text, re.S | re.M)
    return match[1] if match else ""


def attribute_set(text: str, name: str) -> tuple[str, dict[str, tuple[int, str]]]:
    """The prefix of an attribute set, and number and type of each attribute."""
    for part in re.split(r"^  -\n", section(text, "attribute-sets"), flags=re.M):
        if not re.match(rf"    name: {name}\n", part):
            continue
        prefix = re.search(r"^    name-prefix: (\S+)", part, re.M)[1]
        attributes, number = {}, 0
        for attribute in re.split(r"^      -\n", part, flags=re.M)[1:]:
            fields = dict(re.findall(r"^        ([\w-]+): (\S+)", attribute, re.M))
            number = int(fields.get("value", number + 1))
            attributes[fields["name"]] = (number, fields["type"])
        return prefix, attributes
    return "", {}


def requests(text: str) -> set[str]:
    """The attributes that requests may have."""
    found = set()
    for body in re.findall(
        r"^        request:\n          attributes:\n((?:            - .*\n?)+)", text, re.M
    ):
        found.update(re.findall(r"- (\S+)", body))
    return found


def upper(prefix: str, name: str) -> str:
    """The constant of a name."""
    return (prefix + name).replace("-", "_").upper()


def policy(source: str) -> dict[str, str]:
    """The kind of each attribute of the policy of a source file, by its constant."""
    constants = dict(
        re.findall(r"^const (\w+): u32 =\s*uapi::ovs_\w+?_attr_(OVS_\w+);", source, re.M)
    )
    body = re.search(
        r"_POLICY: \[NlaPolicy; N_ATTRS\] = NlaPolicy::table\(&\[(.*?)^\]\);", source, re.S | re.M
    )
    return {
        constants.get(name, name): kind
        for name, kind in re.findall(r"\(\s*(\w+),\s*NlaPolicy::(\w+)", body[1] if body else "")
    }


def check(top: pathlib.Path, kernel: pathlib.Path, family: str) -> tuple[int, list[str]]:
    """How many attributes were compared, and what is wrong."""
    source, name = FAMILIES[family]
    spec = (kernel / f"Documentation/netlink/specs/{family}.yaml").read_text()
    numbers = enums((kernel / "include/uapi/linux/openvswitch.h").read_text())
    ours = policy((top / source).read_text())
    prefix, attributes = attribute_set(spec, name)
    if not attributes or not ours:
        return 0, [
            f"{family}: nothing to compare: {len(attributes)} attributes in the "
            f"specification, {len(ours)} in {source}"
        ]
    wrong, asked = [], {upper(prefix, attribute) for attribute in requests(spec)}
    known = {upper(prefix, attribute): entry for attribute, entry in attributes.items()}
    for constant, (number, _) in known.items():
        if numbers.get(constant) != number:
            wrong.append(
                f"{family}: {constant} is {number} in the specification and "
                f"{numbers.get(constant)} in the header"
            )
    for constant, kind in ours.items():
        if constant not in known:
            wrong.append(f"{family}: {constant} of {source} is not in the specification")
        elif kind not in KINDS[known[constant][1]] | {LOOSE.get((constant, known[constant][1]))}:
            wrong.append(
                f"{family}: {constant} is {known[constant][1]} in the specification "
                f"and {kind}() in {source}"
            )
    wrong += [
        f"{family}: {constant} may be in a request and has no policy in {source}"
        for constant in sorted(asked - ours.keys())
    ]
    return len(ours), wrong


def main() -> int:
    top, kernel = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    compared, wrong = 0, []
    for family in FAMILIES:
        count, found = check(top, kernel, family)
        compared += count
        wrong += found
    print("\n".join([*wrong, f"{compared} attributes of {len(FAMILIES)} policies compared"]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
