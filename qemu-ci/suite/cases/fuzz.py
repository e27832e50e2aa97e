# SPDX-License-Identifier: GPL-2.0
"""Generated messages: a seeded grammar, and a mutator on top of it.

Both modules get the same messages. What is up to chance or to the time is left
out, and what the C module has a bug for that ends it.
"""

import os
import random
import struct

import frames as f
import ovsattr as o
from nlcore import NLM_F_ECHO, attr, nest, string, u16, u32, u64
from registry import case_each

from cases import actions, conntrack, keys, meter, tunnels
from cases.keys import fill

SEED = int(os.environ.get("OVS_SEED") or 1)
COUNT = int(os.environ.get("OVS_COUNT") or 5000)
CASES = 10
CLOSE = bool(os.environ.get("OVS_CLOSE"))

KEYS = keys.KEYS | tunnels.TUNNEL_KEYS
CT_KEYS = list(conntrack.CT_KEYS.values())
CT_PARTS = list(conntrack.PARTS.values())
CT_GOOD = [conntrack.PARTS[n] for n in ("force", "zone", "mark", "labels", "nat", "eventmask")]
MASKS = keys.MASKS | {
    "tunnel " + name: mask for name, mask in tunnels.MASKS.items() if isinstance(mask, bytes)
}
SETS = actions.SETS | tunnels.TUNNEL_SETS

# Of a NAT, what leaves the choice of an address or a port to chance.
NAT_CHANCE = {o.NAT_IP_MAX, o.NAT_PROTO_MAX, o.NAT_PROTO_HASH, o.NAT_PROTO_RANDOM}
# Zones with limits: what counts depends on the time, so none of those that
# connections are in.
LIMITED = range(100, 300)


def walk(data):
    """(type, payload) as the kernel would walk, until it would stop."""
    pos = 0
    while len(data) - pos >= 4:
        size, kind = struct.unpack_from("=HH", data, pos)
        if size < 4 or size > len(data) - pos:
            return
        yield kind & 0x3FFF, data[pos + 4 : pos + size]
        pos += (size + 3) & ~3


def foreign(data, level):
    """Does a message hold what is up to chance, or what is not the same in C on
    purpose?"""
    for kind, body in walk(data):
        if level in ("flow", "packet"):
            names = (
                {o.FL_KEY: "key", o.FL_MASK: "key", o.FL_ACTIONS: "actions"}
                if level == "flow"
                else {o.PK_KEY: "key", o.PK_ACTIONS: "actions"}
            )
            if kind in names and foreign(body, names[kind]):
                return True
        elif level == "key":
            # In C these share the memory of what else a key has.
            if kind in (o.K_CT_ORIG4, o.K_CT_ORIG6) and not tuple_fits(data, kind):
                return True
            if kind == o.K_ENCAP and foreign(body, "key"):
                return True
        elif level == "actions":
            if kind in (o.A_SET, o.A_SET_MASKED) and foreign(body, "key"):
                return True
            if kind == o.A_CT and any(
                inner == o.CT_NAT and NAT_CHANCE & {one for one, _ in walk(part)}
                for inner, part in walk(body)
            ):
                return True
            if kind == o.A_CLONE and foreign(body, "actions"):
                return True
            if kind in (o.A_CHECK_PKT_LEN, o.A_DEC_TTL) and any(
                foreign(part, "actions") for _, part in walk(body)
            ):
                return True
            if kind == o.A_SAMPLE:
                for inner, part in walk(body):
                    if foreign(part, "actions"):
                        return True
                    # Chance is not the same twice.
                    if inner == o.SA_PROBABILITY and part not in (bytes(4), b"\xff" * 4):
                        return True
    return False


def all_actions(data, depth=0):
    """The kinds of all actions in a list, also of those within others."""
    out = set()
    for kind, body in walk(data):
        out.add(kind)
        if depth < 12:
            out |= all_actions(body, depth + 1)
    return out


def tuple_fits(key, kind):
    """Is an original tuple the only thing in its place of C's key?"""
    parts = dict(walk(key))
    if kind == o.K_CT_ORIG6:
        return parts.get(o.K_ETHERTYPE) == b"\x86\xdd" and o.K_ND not in parts
    return parts.get(o.K_ETHERTYPE) == b"\x08\0" and o.K_ARP not in parts


class Grammar:
    """Messages that mostly make sense."""

    def __init__(self, rng):
        self.rng = rng

    def key(self):
        rng = self.rng
        key = rng.choice(list(KEYS.values()))
        if rng.random() < 0.3:
            key += u32(o.K_RECIRC_ID, rng.randrange(3))
        if rng.random() < 0.5:
            key = o.k_in_port(rng.randrange(4)) + key
        if rng.random() < 0.2:
            # With an id that no other key has: C finds a flow also by a key that
            # lacks the last of its attributes, in the order of C's structure.
            if o.K_RECIRC_ID not in dict(walk(key)):
                key += u32(o.K_RECIRC_ID, 9)
                key += b"".join(rng.sample(CT_KEYS, rng.randrange(1, 4)))
        return key

    def ct(self):
        rng = self.rng
        if rng.random() < 0.7:
            parts = [o.ct_commit(), *rng.sample(CT_GOOD, rng.randrange(4))]
        else:
            parts = rng.sample(CT_PARTS, rng.randrange(4))
        if rng.random() < 0.2:
            ip = rng.choice(("10.1.1.1", "fd00::77"))
            kind = rng.choice((None, o.NAT_SRC, o.NAT_DST))
            parts.append(o.ct_nat(kind, rng.choice((None, ip)), port=rng.choice((None, 7777))))
        return o.a_ct(*parts)

    def mask(self, key):
        rng = self.rng
        pick = rng.random()
        if pick < 0.3:
            return None
        if pick < 0.6:
            return fill(key, rng.choice((0, 0xFF, 0xF0, 0x01)))
        return rng.choice(list(MASKS.values()))

    def action(self, depth=0):
        rng = self.rng
        simple = [
            lambda: o.a_output(rng.choice((0, 1, 2, 3, 99, 65535))),
            lambda: o.a_push_vlan(
                rng.choice((0x1001, 0x1000, 1)), rng.choice((0x8100, 0x88A8, 0x9100))
            ),
            o.a_pop_vlan,
            o.a_pop_eth,
            lambda: o.a_push_mpls(o.d_lse(rng.randrange(9)), rng.choice((0x8847, 0x8848, 0x0800))),
            lambda: o.a_pop_mpls(rng.choice((0x0800, 0x8847, 0x6558))),
            lambda: o.a_push_nsh(
                o.n_base(rng.randrange(3), rng.randrange(7)),
                rng.choice((o.n_md1(), o.n_md2(bytes(rng.choice((0, 4, 5, 244, 248)))), b"")),
            ),
            o.a_pop_nsh,
            lambda: o.a_add_mpls(o.d_lse(7), 0x8847, rng.randrange(4)),
            lambda: o.a_push_eth(f.M1, f.M2),
            lambda: o.a_trunc(rng.choice((13, 14, 60, 1500))),
            lambda: o.a_hash(rng.randrange(3), 1),
            lambda: o.a_recirc(rng.randrange(3)),
            lambda: o.a_set(rng.choice(list(SETS.values()))),
            lambda: o.a_userspace(rng.choice((0, 0x7FFFFFF0)), b"abc"),
            o.a_drop,
            self.ct,
            self.ct,
            o.a_ct_clear,
            lambda: o.a_meter(rng.choice((0, 1, 2, 1025))),
            lambda: o.a_psample(rng.randrange(3), rng.choice((None, b"abc", bytes(17)))),
        ]
        if depth < 4 and rng.random() < 0.2:
            inner = self.actions(depth + 1)
            how = rng.randrange(6)
            if how < 2:
                return o.a_clone(inner)
            if how < 4:
                return o.a_sample(rng.choice((0, 0xFFFFFFFF)), inner)
            if how == 4:
                return o.a_dec_ttl(inner)
            return o.a_check_pkt_len(
                rng.choice((0, 60, 100, 65535)), inner, self.actions(depth + 1)
            )
        return rng.choice(simple)()

    def actions(self, depth=0):
        return b"".join(self.action(depth) for _ in range(self.rng.randrange(4)))

    def flow(self):
        rng = self.rng
        key = self.key()
        cmd = rng.choice((o.NEW, o.NEW, o.NEW, o.SET, o.GET, o.DEL))
        parts = [nest(o.FL_KEY, key)]
        mask = self.mask(key)
        if mask is not None:
            parts.append(nest(o.FL_MASK, mask))
        if cmd in (o.NEW, o.SET) and rng.random() < 0.9:
            parts.append(nest(o.FL_ACTIONS, self.actions()))
        if rng.random() < 0.4:
            parts.append(attr(o.FL_UFID, bytes((rng.randrange(4),)) * rng.choice((1, 4, 16, 17))))
        if rng.random() < 0.3:
            parts.append(u32(o.FL_UFID_FLAGS, rng.randrange(9)))
        if rng.random() < 0.1:
            parts.append(attr(o.FL_CLEAR))
        if rng.random() < 0.2:
            parts.append(attr(o.FL_PROBE))
        if rng.random() < 0.2:
            rng.shuffle(parts)
        return "flow", o.FLOW, cmd, b"".join(parts)

    def packet(self):
        rng = self.rng
        key = rng.choice(
            (
                b"",
                o.k_in_port(1),
                u32(o.K_SKB_MARK, 5),
                u32(o.K_PRIORITY, 5),
                o.k_type(0x0800),
                u32(o.K_RECIRC_ID, 1),
                o.k_in_port(1) + rng.choice(CT_KEYS),
            )
        )
        frame = rng.choice(
            (
                f.udp4(payload=bytes(40)),
                f.tcp6(),
                f.eth(f.ipv4(f.icmp(payload=bytes(40)), 1)),
                f.udp4(vlans=(5,)),
                f.arp_frame(),
                f.eth(bytes(60), 0x9000),
                f.mpls(rng.randrange(1, 5)),
                f.nsh_frame(np=rng.randrange(7)),
            )
        )
        acts = self.actions()
        if rng.random() < 0.3:
            acts = self.ct() + acts
        out = attr(o.PK_PACKET, frame) + nest(o.PK_KEY, key) + nest(o.PK_ACTIONS, acts)
        if rng.random() < 0.2:
            out += u64(o.PK_HASH, 0x3_0000_0005)
        if rng.random() < 0.2:
            out += attr(o.PK_PROBE)
        return "packet", o.PACKET, o.EXECUTE, out

    def vport(self):
        rng = self.rng
        cmd = rng.choice((o.NEW, o.GET, o.GET, o.SET, o.DEL))
        parts = [
            rng.choice(
                (
                    string(o.VP_NAME, rng.choice(("i0", "i1", "dp0", "t1", "nosuch"))),
                    u32(o.VP_PORT_NO, rng.choice((0, 1, 5, 70000))),
                )
            )
        ]
        if cmd == o.NEW or rng.random() < 0.2:
            parts.append(u32(o.VP_TYPE, rng.choice((1, 2, 2, 4))))
        if cmd == o.NEW or rng.random() < 0.3:
            parts.append(
                attr(o.VP_UPCALL_PID, bytes(4 * rng.randrange(3) + rng.choice((0, 0, 0, 1))))
            )
        if rng.random() < 0.2:
            parts.append(u32(o.VP_PORT_NO, rng.randrange(8)))
        if rng.random() < 0.1:
            parts.append(nest(o.VP_OPTIONS))
        return "vport", o.VPORT, cmd, b"".join(parts)

    def dp(self):
        rng = self.rng
        cmd = rng.choice((o.GET, o.SET, o.SET, o.NEW))
        parts = []
        if cmd == o.NEW or rng.random() < 0.2:
            parts.append(string(o.DP_NAME, rng.choice(("dp0", "t1"))))
        if cmd == o.NEW:
            parts.append(u32(o.DP_UPCALL_PID, 0))
        if rng.random() < 0.7:
            parts.append(u32(o.DP_USER_FEATURES, rng.randrange(20) & ~4))
        if rng.random() < 0.3:
            parts.append(u32(o.DP_MASKS_CACHE_SIZE, rng.choice((0, 64, 100, 5000))))
        if rng.random() < 0.3:
            parts.append(attr(o.DP_PER_CPU_PIDS, bytes(rng.randrange(13))))
        return "dp", o.DP, cmd, b"".join(parts)

    def ct_limit(self):
        rng = self.rng
        cmd = rng.choice((o.CTL_SET, o.CTL_SET, o.CTL_DEL, o.CTL_GET))
        zones = [rng.choice((100, 200, 299, 70000, -7)) for _ in range(rng.randrange(5))]
        attrs = o.zone_limits(*((zone, rng.randrange(5)) for zone in zones))
        return "ct_limit", o.CT_LIMIT, cmd, attrs

    def message(self):
        pick = self.rng.random()
        if pick < 0.02:
            return self.ct_limit()
        if pick < 0.6:
            return self.flow()
        if pick < 0.8:
            return self.packet()
        return self.vport() if pick < 0.9 else self.dp()


def mutate(rng, data):
    """One or a few small harms to a message."""
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        if len(data) < 4:
            break
        how = rng.randrange(7)
        at = rng.randrange(len(data))
        if how == 0:
            data[at] ^= 1 << rng.randrange(8)
        elif how == 1:
            data[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF))
        elif how == 2:
            del data[at:]
        elif how == 3:
            del data[at : at + rng.choice((1, 4, 8))]
        elif how == 4:
            data[at:at] = bytes(rng.choice((1, 4, 8)))
        elif how == 5:
            at &= ~3
            struct.pack_into(
                "=H", data, min(at, len(data) - 2), rng.choice((0, 3, 4, 5, 8, 100, 65535))
            )
        else:
            at &= ~3
            size = rng.choice((8, 12, 16))
            data[at:at] = data[at : at + size]
    return bytes(data)


@case_each("fuzz", [(str(n), n) for n in range(CASES)], timeout=90)
def messages(t, number):
    rng = random.Random(f"{SEED:d}/{number:d}")
    grammar = Grammar(rng)
    t.switch(2)
    t.ignore_frames = False
    # One that lets all through and one that lets nothing through.
    meter.put(t, 1, meter.band(1, 0, kind=7))
    meter.put(t, 2, meter.band(1, 0))
    done = 0
    while done < COUNT // CASES:
        level, family, cmd, attrs = grammar.message()
        flags = rng.choice((0, NLM_F_ECHO, NLM_F_ECHO, 0x400))
        if rng.random() < 0.6:
            attrs = mutate(rng, attrs)
        if foreign(attrs, level):
            continue
        if dangerous(family, attrs):
            continue
        t.req(f"{done:d} {level} {cmd:d} {attrs[:4].hex()}", family, cmd, attrs, "dp0", flags)
        done += 1
        if CLOSE and family == o.PACKET:
            # To find the message behind a difference in some counter.
            t.note("message", attrs.hex())
            t.counters(ports=("dp0", "t1", "t2"))
        if done % 40 == 0:
            # So that one difference does not lead to all that follow.
            t.dump("flows", o.FLOW, dp="dp0")
            t.flush()
            t.connections()
            t.ct.flush()
            for name in ("i0", "i1"):
                t.req("clean", o.VPORT, o.DEL, string(o.VP_NAME, name), quiet=True)
            t.req("features", o.DP, o.SET, u32(o.DP_USER_FEATURES, 1), dp="dp0", quiet=True)


def dangerous(family, attrs):
    """What is not the same on purpose, or would end the C module: packets
    that a BUG of it may meet (see layer3_empty) or that make it warn once in
    a boot, and a datapath's change that fails half way (dp.all_or_nothing)."""
    kinds = dict(walk(attrs))
    if family == o.PACKET:
        key = dict(walk(kinds.get(o.PK_KEY, b"")))
        acts = all_actions(kinds.get(o.PK_ACTIONS, b""))
        # See conntrack_traffic.empty.
        bare = o.A_POP_ETH in acts or (o.K_ETHERTYPE in key and o.K_ETHERNET not in key)
        if bare and o.A_CT in acts and acts & {o.A_USERSPACE, o.A_RECIRC}:
            return True
        return len(kinds.get(o.PK_PACKET, b"")) < 60 or o.PK_MRU in kinds
    if family == o.CT_LIMIT:
        body = kinds.get(o.CTL_ZONE_LIMIT, b"")
        zones = [int.from_bytes(body[i : i + 4], "little") for i in range(0, len(body), 12)]
        return any(zone not in LIMITED and (zone < 65536 or zone > 1 << 31) for zone in zones)
    if family == o.VPORT:
        # Which of several a packet goes to is up to its hash.
        pids = kinds.get(o.VP_UPCALL_PID, b"")
        return len(pids) > 4 and pids[4:] != pids[:-4]
    if family == o.DP and o.DP_PER_CPU_PIDS in kinds:
        size = len(kinds[o.DP_PER_CPU_PIDS])
        return size == 0 or size % 4 != 0
    return False


_ = u16
