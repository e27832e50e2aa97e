# SPDX-License-Identifier: GPL-2.0
"""Connection tracking as seen through ctnetlink: entries, expectations, events,
and timeout policies.

What two boots do not have in common is left out: the id of an entry, and how
much of its time has passed already. An entry becomes one line of text.
"""

import itertools
import os
import socket
import struct

import nlcore
from nlcore import NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, attr, nest, parse_attrs, string

NETLINK_NETFILTER = 12
CT, EXP, TIMEOUT = 1, 2, 8
# Of the first two: new, get, delete. Groups of events are in this order, for
# connections first.
NEW, GET, DEL = 0, 1, 2
GROUPS = range(1, 7)

SUBSYS = {CT: "ct", EXP: "exp"}
STATUS = (
    "expected seen_reply assured confirmed src_nat dst_nat seq_adjust src_nat_done "
    "dst_nat_done dying fixed_timeout template untracked helper offload hw_offload"
).split()
TCP_STATES = (
    "none syn_sent syn_recv established fin_wait close_wait last_ack time_wait close syn_sent2"
).split()

(
    TUPLE_ORIG,
    TUPLE_REPLY,
    CTA_STATUS,
    PROTOINFO,
    HELP,
    NAT_SRC,
    CTA_TIMEOUT,
    MARK,
    COUNTERS_ORIG,
    COUNTERS_REPLY,
    USE,
    ID,
    NAT_DST,
    MASTER,
    SEQ_ORIG,
    SEQ_REPLY,
    SECMARK,
    ZONE,
    SECCTX,
    TIMESTAMP,
    MARK_MASK,
    LABELS,
    LABELS_MASK,
) = range(1, 24)

# What a timeout policy may be about: the types of its attributes.
TCP_NAMES = dict(
    zip(
        (
            "syn_sent syn_recv established fin_wait close_wait last_ack time_wait close syn_sent2 "
            "retrans unack"
        ).split(),
        range(1, 12),
        strict=True,
    )
)
UDP_NAMES = {"unreplied": 1, "replied": 2}
ICMP_NAMES = {"timeout": 1}


def num(data):
    return int.from_bytes(data, "big")


def address(data):
    return socket.inet_ntop(socket.AF_INET if len(data) == 4 else socket.AF_INET6, data)


def tuple_text(data):
    """A tuple: protocol, addresses, ports or what ICMP has instead."""
    parts = dict(parse_attrs(data)[0])
    ip = dict(parse_attrs(parts.get(1, b""))[0])
    proto = dict(parse_attrs(parts.get(2, b""))[0])
    out = [str(num(proto.get(1, b""))), ">".join(address(ip[k]) for k in sorted(ip))]
    rest = {k: num(v) for k, v in proto.items() if k > 1}
    if set(rest) == {2, 3}:
        out.append(f"{rest[2]:d}>{rest[3]:d}")
    elif rest:
        names = {4: "id", 5: "type", 6: "code", 7: "id", 8: "type", 9: "code"}
        out.append(",".join(f"{names.get(k, k)}={v:d}" for k, v in rest.items()))
    if 3 in parts:
        out.append(f"zone={num(parts[3]):d}")
    return " ".join(out)


def seconds(data):
    """A timeout, up to the ten seconds that may have passed of it."""
    return -(-num(data) // 10) * 10


def protoinfo_text(data):
    (kind, body), *_ = parse_attrs(data)[0] or [(0, b"")]
    parts = dict(parse_attrs(body)[0])
    if kind == 1:
        out = "tcp " + TCP_STATES[num(parts.get(1, b"\0"))]
        for number, name in ((2, "ws"), (3, "ws_reply"), (4, "flags"), (5, "flags_reply")):
            if number in parts:
                out += f" {name}={parts[number].hex()}"
        return out
    return f"{kind:d} " + " ".join(f"{k:d}:{v.hex()}" for k, v in sorted(parts.items()))


def counter_text(data):
    parts = dict(parse_attrs(data)[0])
    return "/".join(str(num(parts[k])) for k in (1, 2) if k in parts)


def entry_text(data, timeouts=True):
    """A connection."""
    parts = parse_attrs(data)[0]
    out = []
    for kind, value in parts:
        if kind in (TUPLE_ORIG, TUPLE_REPLY, MASTER):
            name = {TUPLE_ORIG: "", TUPLE_REPLY: "reply ", MASTER: "master "}[kind]
            out.append(f"{name}({tuple_text(value)})")
        elif kind == CTA_STATUS:
            bits = num(value)
            out.append("[" + " ".join(n for i, n in enumerate(STATUS) if bits >> i & 1) + "]")
        elif kind == PROTOINFO:
            out.append(f"({protoinfo_text(value)})")
        elif kind == HELP:
            out.append("helper=" + dict(parse_attrs(value)[0]).get(1, b"").rstrip(b"\0").decode())
        elif kind == CTA_TIMEOUT:
            if timeouts:
                out.append(f"timeout={seconds(value):d}")
        elif kind in (MARK, ZONE, USE):
            name = {MARK: "mark", ZONE: "zone", USE: "use"}[kind]
            out.append(f"{name}={num(value):#x}")
        elif kind in (COUNTERS_ORIG, COUNTERS_REPLY):
            out.append(f"count{kind - COUNTERS_ORIG:d}=" + counter_text(value))
        elif kind in (SEQ_ORIG, SEQ_REPLY):
            seq = dict(parse_attrs(value)[0])
            out.append(f"seq{kind - SEQ_ORIG:d}=" + "/".join(seq[k].hex() for k in sorted(seq)))
        elif kind == LABELS:
            out.append("labels=" + value.hex())
        elif kind in (ID, TIMESTAMP, SECCTX):
            continue
        else:
            out.append(f"#{kind:d}={value.hex()}")
    return " ".join(out)


def expect_text(data):
    """An expectation."""
    out = []
    for kind, value in parse_attrs(data)[0]:
        if kind in (1, 2, 3):
            out.append(f"{('', 'master', 'tuple', 'mask')[kind]}=({tuple_text(value)})")
        elif kind == 4:
            out.append(f"timeout={seconds(value):d}")
        elif kind in (6, 11):
            out.append(value.rstrip(b"\0").decode())
        elif kind in (7, 8, 9):
            out.append(f"{('zone', 'flags', 'class')[kind - 7]}={num(value):d}")
        elif kind == 10:
            nat = dict(parse_attrs(value)[0])
            out.append(f"nat={num(nat[1]):d} ({tuple_text(nat[2])})")
        elif kind != 5:
            out.append(f"#{kind:d}={value.hex()}")
    return " ".join(out)


class Conntrack:
    """ctnetlink in one network namespace (that of its creation)."""

    def __init__(self):
        self.nl = nlcore.Socket(NETLINK_NETFILTER)
        self.events = None

    def close(self):
        self.nl.close()
        if self.events:
            self.events.close()

    def request(self, subsys, cmd, attrs=b"", flags=0, family=socket.AF_UNSPEC):
        body = struct.pack("!BBH", family, 0, 0) + attrs
        ack = 0 if flags & NLM_F_DUMP == NLM_F_DUMP else NLM_F_ACK
        return self.nl.transact(subsys << 8 | cmd, flags | ack, body)

    def entries(self):
        """All connections of the namespace, sorted."""
        _, msgs = self.request(CT, GET, flags=NLM_F_DUMP)
        return sorted(entry_text(m.body[4:]) for m in msgs)

    def expectations(self):
        _, msgs = self.request(EXP, GET, flags=NLM_F_DUMP)
        return sorted(expect_text(m.body[4:]) for m in msgs)

    def flush(self, family=socket.AF_UNSPEC):
        ack, _ = self.request(CT, DEL, family=family)
        return ack.errno

    def timeout_policy(self, name, l3, l4, names, **values):
        """Makes a timeout policy; the errno."""
        data = b"".join(attr(names[k], struct.pack("!I", v)) for k, v in values.items())
        ack, _ = self.request(
            TIMEOUT,
            NEW,
            string(1, name)
            + attr(2, struct.pack("!H", l3))
            + attr(3, bytes((l4,)))
            + nest(4, data, flag=True),
            NLM_F_CREATE | NLM_F_EXCL,
        )
        return ack.errno

    def timeout_policy_del(self, name):
        ack, _ = self.request(TIMEOUT, DEL, string(1, name))
        return ack.errno

    def listen(self, groups=GROUPS):
        """From now on, drain() gives the events of these groups."""
        self.events = nlcore.Socket(NETLINK_NETFILTER)
        for group in groups:
            self.events.join(group)

    def drain(self):
        """Events since the last call, in their order; entries that go together
        go in that of a hash table, so these are sorted."""
        out = []
        for msg in self.events.drain() if self.events else ():
            subsys, cmd = msg.kind >> 8, msg.kind & 0xFF
            what = "new" if msg.flags & nlcore.NLM_F_CREATE else "update"
            if cmd == DEL:
                what = "destroy"
            text = expect_text if subsys == EXP else entry_text
            out.append(f"{SUBSYS.get(subsys, subsys)} {what}: {text(msg.body[4:])}")
        groups = itertools.groupby(out, lambda line: " destroy:" in line)
        return [line for gone, group in groups for line in (sorted(group) if gone else group)]


def set_sysctl(name, value):
    """Set net.netfilter.NAME of this network namespace; whether it is there."""
    try:
        with open(os.path.join("/proc/sys/net/netfilter", name), "w") as handle:
            handle.write(str(value))
    except OSError:
        return False
    return True
