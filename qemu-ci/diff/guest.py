#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The differential fuzzer inside the guest: play rounds on one module.

    guest.py --module C|FILE.ko --work WORK.json --out FILE.jsonl

WORK says what to play: {"seed", "messages", "packets" (per round), "rounds":
[number...]} gives one line per round with a digest of everything that could be
seen; with "full", and for each list of operations in "lists", a line holds all
of it. A line is written when a round begins, so that a crash can be told.
"""

import argparse
import hashlib
import json
import os
import socket
import struct
import sys
import time

SUITE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "suite")
sys.path[:0] = [SUITE, os.path.dirname(os.path.abspath(__file__))]

import ctnl  # noqa: E402
import generate  # noqa: E402
import module as modlib  # noqa: E402
import nlcore  # noqa: E402
import observe  # noqa: E402
import ovsattr as o  # noqa: E402
import ovsnl  # noqa: E402
import rtnl  # noqa: E402
import tap as tapmod  # noqa: E402
from nlcore import GENLHDR, NLHDR, NLM_F_ACK, NLM_F_DUMP, attr, string, u32  # noqa: E402

MAIN, UP, GROUPS = 1001, generate.UP, 1003
HDR = struct.Struct("=i")
BUF = memoryview(bytearray(1 << 18))


def write_file(path, text):
    try:
        with open(path, "w") as handle:
            handle.write(text)
    except OSError:
        pass


def netlink(port):
    """A socket with a port id that is the same in each boot."""
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, nlcore.NETLINK_GENERIC)
    sock.bind((port, 0))
    nl = nlcore.Socket(sock=sock)
    sock.setsockopt(socket.SOL_SOCKET, 32, 1 << 23)
    return nl


def drain(nl):
    """All that waits in a socket's queue: [bytes]."""
    out = []
    recv = nl.sock.recv_into
    while True:
        try:
            size = recv(BUF, 0, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return out
        except OSError as exc:
            out.append(b"lost" + str(exc.errno).encode())
            continue
        out.append(bytes(BUF[:size]))


def some(data):
    return b"\1" * len(data) if any(data) else data


def packet_hash(data):
    """Its flags, and whether it is set."""
    return some(data[:4]) + data[4:]


def blank(table, data):
    """The attributes with what no two boots have in common replaced."""
    out = bytearray(data)
    pos = 0
    end = len(data)
    while end - pos >= 4:
        size, kind = struct.unpack_from("=HH", data, pos)
        if size < 4 or size > end - pos:
            break
        how = table.get(kind & 0x3FFF)
        if how is not None:
            body = data[pos + 4 : pos + size]
            out[pos + 4 : pos + size] = blank(how, body) if isinstance(how, dict) else how(body)
        pos += (size + 3) & ~3
    return bytes(out)


def zero(data):
    return bytes(len(data))


CHANCE = {
    o.FLOW: {o.FL_USED: zero},
    o.METER: {o.M_USED: zero},
    o.DP: {o.DP_MEGAFLOW_STATS: lambda d: bytes(8) + d[8:12] + bytes(len(d) - 12)},
    o.PACKET: {
        o.PK_HASH: packet_hash,
        o.PK_KEY: {o.K_DP_HASH: some},
        o.PK_EGRESS_TUN_KEY: {9: some},
    },
}


class World:
    """A network namespace with one datapath and three taps."""

    def __init__(self, fams, drops):
        ovsnl.setup_netns()
        self.fams = fams
        self.names = {f.ident: name for name, f in fams.items()}
        self.nl = netlink(MAIN)
        self.up = netlink(UP)
        self.mc = netlink(GROUPS)
        self.rt = rtnl.Rtnl()
        self.ct = ctnl.Conntrack()
        self.log = observe.KernelLog()
        self.drops = drops
        self.taps = []
        body = string(o.DP_NAME, "dp0") + u32(o.DP_UPCALL_PID, 0) + u32(o.DP_USER_FEATURES, 1)
        self.must(o.DP, o.NEW, body, 0)
        self.dp = socket.if_nametoindex("dp0")
        for n in generate.PORTS:
            tap = tapmod.Tap(f"t{n:d}", offload=0)
            self.taps.append(tap)
            self.rt.up(tap.name)
            body = string(o.VP_NAME, tap.name) + u32(o.VP_TYPE, o.T_NETDEV)
            body += attr(o.VP_UPCALL_PID, struct.pack("=I", UP)) + u32(o.VP_PORT_NO, n)
            self.must(o.VPORT, o.NEW, body, self.dp)
        for number, kind in ((1, 7), (2, o.BAND_DROP)):
            band = generate.meter.band(1, 0, kind=kind)
            self.must(o.METER, o.M_SET, u32(o.M_ID, number) + nlcore.nest(o.M_BANDS, band), self.dp)
        for family in fams.values():
            for group in family.groups.values():
                self.mc.join(group)

    def close(self):
        for tap in self.taps:
            tap.close()
        for one in (self.nl, self.up, self.mc, self.rt, self.ct, self.log):
            one.close()

    def body(self, family, cmd, attrs, dp):
        return GENLHDR.pack(cmd, self.fams[family].version, 0) + HDR.pack(dp) + attrs

    def must(self, family, cmd, attrs, dp):
        ack, _ = self.nl.transact(
            self.fams[family].ident, NLM_F_ACK, self.body(family, cmd, attrs, dp)
        )
        if ack.errno:
            raise SystemExit(f"{family} {cmd:d}: {os.strerror(ack.errno)}")

    def tell(self, what, data, see):
        """Give `see` the messages in what one recv() gave, the same in each boot."""
        for msg in nlcore.split_messages(data):
            if msg.kind == nlcore.NLMSG_ERROR:
                code = struct.unpack_from("=i", msg.body)[0]
                # Behind it is the request's header, with our sequence number.
                see(what, msg.seq - self.base, b"error %d " % -code + msg.body[20:])
                continue
            family = self.names.get(msg.kind)
            if family is None:
                see(what, msg.seq, b"type %d" % msg.kind)
                continue
            head = msg.body[: GENLHDR.size + HDR.size]
            rest = msg.body[GENLHDR.size + HDR.size :]
            table = CHANCE.get(family)
            if table:
                rest = blank(table, rest)
            seq = msg.seq - self.base if msg.seq else -1
            see(what, seq, family.encode() + struct.pack("=H", msg.flags) + head + rest)

    def play(self, ops, see):
        """One batch: all its messages, then its packets, then what came of it."""
        out = []
        seq = self.base = self.nl.seq + 1
        for op in ops:
            if op[0] == "m":
                _, family, cmd, flags, attrs, ours = op
                body = self.body(family, cmd, attrs, self.dp if ours else 99)
                size = NLHDR.size + len(body)
                out.append(
                    NLHDR.pack(size, self.fams[family].ident, flags | 1, seq, 0)
                    + body
                    + bytes(-size % 4)
                )
            seq += 1
        self.nl.seq = seq
        if out:
            self.nl.sock.send(b"".join(out))
            for data in drain(self.nl):
                self.tell("reply", data, see)
        for number, op in enumerate(ops):
            if op[0] == "p":
                error = self.taps[op[1] - 1].write(op[3], op[2] or None)
                if error:
                    see("write", number, str(error).encode())
        for data in drain(self.up):
            self.tell("upcall", data, see)
        for data in drain(self.mc):
            self.tell("group", data, see)
        for tap in self.taps:
            while True:
                try:
                    size = os.readv(tap.fd, [BUF])
                except OSError:
                    break
                see(tap.name, -1, bytes(BUF[:size]))
        for line in self.log.read():
            see("log", -1, line.encode())
        if self.drops:
            # Sockets and taps of the world before this one end when they like.
            reasons = [r for r in self.drops.read() if r != "QUEUE_PURGE"]
            see("drops", -1, " ".join(reasons).encode())

    def dump(self, see):
        """What there is now: flows, ports, meters, limits, connections."""
        for family, cmd in (
            (o.FLOW, o.GET),
            (o.VPORT, o.GET),
            (o.DP, o.GET),
            (o.METER, o.M_GET),
        ):
            self.base = self.nl.seq + 1
            fam = self.fams[family]
            flags = NLM_F_DUMP
            attrs = b""
            if family == o.METER:
                flags, attrs = 0, u32(o.M_ID, 1)
            _, msgs = self.nl.transact(fam.ident, flags, self.body(family, cmd, attrs, self.dp))
            got = Full()
            for msg in msgs:
                self.tell("", msg.data, got)
            for _, _, data in sorted(got.seen):
                see("dump " + family, -1, bytes.fromhex(data))
        for line in self.ct.entries():
            see("connection", -1, line.encode())

    def flush(self):
        self.nl.transact(self.fams[o.FLOW].ident, NLM_F_ACK, self.body(o.FLOW, o.DEL, b"", self.dp))


def corpus(fams):
    """[(frame, key)]: the keys are those of upcalls that nothing matches."""
    world = World(fams, None)
    out = []
    for data in generate.base_frames():
        world.taps[0].write(data)
        keys = []
        for raw in drain(world.up):
            for msg in nlcore.split_messages(raw):
                keys.append(nlcore.attr_dict(msg.payload(HDR.size)).get(o.PK_KEY, b""))
        out.append((data, keys[0] if keys else b""))
    world.close()
    return [one for one in out if one[1]]


class Digest:
    def __init__(self):
        self.hash = hashlib.blake2b(digest_size=12)
        self.count = {}

    def __call__(self, what, seq, data):
        self.hash.update(b"%s %d %d " % (what.encode(), seq, len(data)))
        self.hash.update(data)
        if data[:6] == b"error " and data[6:8] != b"0 ":
            what = "error"
        self.count[what] = self.count.get(what, 0) + 1


class Full:
    def __init__(self):
        self.seen = []

    def __call__(self, what, seq, data):
        self.seen.append([what, seq, data.hex()])


def pack(op):
    """An operation as JSON has it."""
    return [one.hex() if isinstance(one, bytes) else one for one in op]


def unpack(op):
    if op[0] == "m":
        return ("m", op[1], op[2], op[3], bytes.fromhex(op[4]), op[5])
    return ("p", op[1], bytes.fromhex(op[2]), bytes.fromhex(op[3]))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--module", required=True)
    parser.add_argument("--work", required=True)
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    with open(args.work) as handle:
        work = json.load(handle)
    os.sched_setaffinity(0, {0})
    if os.path.isdir(observe.TRACEFS) and not os.path.isdir(observe.TRACEFS + "/instances"):
        modlib.run("mount", "-t", "tracefs", "tracefs", observe.TRACEFS)
    write_file("/proc/sys/net/core/message_cost", "0")
    write_file("/proc/sys/kernel/printk_ratelimit", "0")
    write_file("/proc/sys/kernel/printk", "1 4 1 7")
    write_file("/sys/kernel/rcu_expedited", "1")
    modlib.Module.prepare()
    module = modlib.Module(args.module)
    log = observe.KernelLog()
    problem = module.load()
    if problem:
        raise SystemExit("the module does not load: " + problem)
    fams = ovsnl.families()
    drops = observe.Drops()
    drops = drops if drops.available else None
    start = time.monotonic()
    with open(args.out, "w") as out:

        def emit(**record):
            out.write(json.dumps(record) + "\n")
            out.flush()

        known = corpus(fams)
        text = b"".join(a + b for a, b in known)
        emit(
            corpus=hashlib.sha256(text).hexdigest()[:16], frames=len(known), kernel=modlib.kernel()
        )
        told = time.monotonic()
        for done, number in enumerate(work.get("rounds", ())):
            emit(begin=number)
            rounds = generate.Round(work["seed"], number, known)
            world = World(fams, drops)
            see = Full() if work.get("full") else Digest()
            ops = []
            if drops:
                drops.read()
            for batch in rounds.batches(work["messages"], work["packets"]):
                if work.get("full"):
                    ops.append([pack(op) for op in batch])
                    see("batch", len(ops), b"")
                world.play(batch, see)
            world.dump(see)
            world.close()
            if work.get("full"):
                emit(round=number, seen=see.seen, ops=ops)
            else:
                emit(round=number, digest=see.hash.hexdigest(), count=see.count)
            if time.monotonic() - told > 10:
                told = time.monotonic()
                rate = (done + 1) * (work["messages"] + work["packets"]) / (told - start)
                print(f"round {done + 1:d} of {len(work['rounds']):d}, {rate:.0f}/s", flush=True)
        for number in work.get("numbers", ()):
            batches = work["lists"][number]
            emit(begin=f"list {number:d}")
            world = World(fams, drops)
            see = Full()
            if drops:
                drops.read()
            for at, batch in enumerate(batches):
                see("batch", at, b"")
                world.play([unpack(op) for op in batch], see)
            world.dump(see)
            world.close()
            emit(list=number, seen=see.seen)
        seconds = round(time.monotonic() - start, 1)
        if drops:
            drops.close()
        problem = module.unload()
        log.read()
        emit(end=True, seconds=seconds, unload=problem, splats=log.splats)
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(main())
