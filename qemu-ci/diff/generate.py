# SPDX-License-Identifier: GPL-2.0
"""What the differential fuzzer sends: rounds of netlink messages and packets.

A round depends on the seed, its number and the corpus alone. The corpus is a
list of frames with the flow keys that the module itself extracts from them,
so that flows and packets meet.
"""

import random
import struct

import frames as f
import ovsattr as o
from cases import fuzz, meter
from nlcore import NLM_F_ECHO, attr, nest, parse_attrs, u32, u64

# The keys that the module extracts have a connection's state; its tuple shares
# memory with other fields in C.
fuzz.FOREIGN_KEYS = {o.K_CT_ORIG4, o.K_CT_ORIG6}

UP = 1002
BATCH = 32
PORTS = (1, 2, 3)

FORMS = (
    "udp4 tcp4 icmp4 sctp4 udp6 tcp6 sctp6 arp nd4 icmp6 vlan qinq mpls1 mpls3 nsh1 nsh2 "
    "frag4 later4 frag6 later6 ext6 options4 other llc"
).split()


def frame(form, rng):
    """A frame of that form, with a few values of its fields."""
    one = rng.randrange(3)
    more = {"sport": 1000 + one, "dport": rng.choice((53, 80, 2000))}
    body = bytes(rng.choice((8, 40, 100, 700)))
    if form == "udp4":
        return f.udp4(
            payload=body, ttl=rng.choice((1, 2, 64)), tos=rng.choice((0, 3, 0xB8)), **more
        )
    if form == "tcp4":
        return f.tcp4(payload=body, flags=rng.choice((2, 0x12, 0x10, 0x18, 4, 1)), **more)
    if form == "icmp4":
        return f.icmp4(kind=rng.choice((0, 8, 3, 11)), code=one, payload=body)
    if form == "sctp4":
        return f.sctp4(**more)
    if form == "udp6":
        return f.udp6(payload=body, **more)
    if form == "tcp6":
        return f.tcp6(payload=body, flags=rng.choice((2, 0x12, 0x10)), **more)
    if form == "sctp6":
        return f.sctp6(**more)
    if form == "arp":
        return f.arp_frame(oper=rng.choice((1, 2, 3, 300))) + bytes(18)
    if form == "nd4":
        kind = rng.choice((135, 136))
        opts = f.nd_opt(kind - 134, f.M1) if one else b""
        return f.eth(f.ipv6(f.nd(kind, options=opts), 58, hlimit=255), 0x86DD)
    if form == "icmp6":
        return f.eth(f.ipv6(f.icmpv6(rng.choice((128, 129, 1))), 58, hlimit=1 + one), 0x86DD)
    if form == "vlan":
        return f.udp4(vlans=(rng.choice((0, 5, 0xE00A)),), payload=body, **more)
    if form == "qinq":
        return f.udp4(vlans=((7, 0x88A8), 9), payload=body, **more)
    if form == "mpls1":
        return f.mpls(1, kind=rng.choice((0x8847, 0x8848)))
    if form == "mpls3":
        return f.mpls(rng.choice((2, 3, 4)), bos=bool(one))
    if form == "nsh1":
        return f.nsh_frame(np=rng.randrange(6), ttl=rng.choice((0, 1, 63)))
    if form == "nsh2":
        return f.nsh_frame(mdtype=2, metadata=bytes(rng.choice((0, 4, 16))))
    if form == "frag4":
        return f.eth(f.ipv4(f.udp(payload=body, **more), 17, frag=0x2000))
    if form == "later4":
        return f.eth(f.ipv4(bytes(64), 17, frag=100 + one))
    if form == "frag6":
        inner = f.fragment(17, 0, True) + f.udp(payload=body, src=f.V61, dst=f.V62)
        return f.eth(f.ipv6(inner, 44), 0x86DD)
    if form == "later6":
        return f.eth(f.ipv6(f.fragment(17, 10, False) + bytes(64), 44), 0x86DD)
    if form == "ext6":
        inner = f.udp(payload=body, src=f.V61, dst=f.V62)
        return f.eth(f.ipv6(f.ext(60) + f.ext(17) + inner, 0), 0x86DD)
    if form == "options4":
        return f.eth(f.ipv4(f.udp(payload=body, **more), 17, options=b"\x94\x04\0\0"))
    if form == "llc":
        return f.eth(b"\xaa\xaa\3\0\0\0\x08\0" + bytes(52), 60)
    return f.eth(bytes(60), rng.choice((0x9000, 0x88CC, 0x0101)))


def base_frames():
    """The frames of the corpus, always the same."""
    rng = random.Random("corpus")
    return list(dict.fromkeys(frame(form, rng) for form in FORMS for _ in range(12)))


def wildcards(rng, key):
    """A mask for a key: of each attribute all, nothing, or some bits. What tells
    one class of packets from another is matched on in full."""
    out = []
    for kind, body in parse_attrs(key)[0]:
        if kind == o.K_ENCAP:
            out.append(nest(kind, wildcards(rng, body)))
            continue
        if kind == o.K_NSH:
            out.append(nest(kind, fuzz.keys.nsh_fill(body, 0xFF)))
            continue
        if kind in (o.K_TUNNEL, o.K_DP_HASH):
            continue
        pick = rng.random()
        if kind in EXACT or 0.4 < pick < 0.7:
            fill = b"\xff" * len(body)
        elif pick < 0.4:
            if kind not in (o.K_IPV4, o.K_IPV6):
                continue
            fill = bytes(len(body))
        else:
            fill = bytes(rng.choice((0, 0xFF, 0xF0, 1)) for _ in body)
        if kind == o.K_CT_STATE:
            fill = fill[:1] + bytes(3)
        elif kind == o.K_IPV4:
            fill = fill[:8] + b"\xff" + fill[9:11] + b"\xff"
        elif kind == o.K_IPV6:
            fill = fill[:32] + b"\0" + fill[33:36] + b"\xff" + fill[37:39] + b"\xff"
        out.append(attr(kind, fill))
    return b"".join(out)


EXACT = {o.K_ETHERTYPE, o.K_VLAN, o.K_IN_PORT, o.K_RECIRC_ID, o.K_ICMPV6}


def class_of(key):
    """What two flows of different classes never match both."""
    out = []
    for kind, body in parse_attrs(key)[0]:
        if kind == o.K_ENCAP:
            out.append((kind, class_of(body)))
        elif kind == o.K_ETHERTYPE:
            out.append((kind, body))
        elif kind == o.K_VLAN:
            out.append((kind, b""))
        elif kind == o.K_IPV4:
            out.append((kind, body[8:9] + body[11:12]))
        elif kind == o.K_IPV6:
            out.append((kind, body[36:37] + body[39:40]))
        elif kind in (o.K_ND, o.K_MPLS, o.K_NSH):
            out.append((kind, b"%d" % len(body)))
    return tuple(out)


def has_action(data, kind, depth=0):
    """Is there such an action in a list, or in one within it?"""
    for one, body in fuzz.walk(data):
        if one == kind or (depth < 12 and has_action(body, kind, depth + 1)):
            return True
    return False


def has_ufid(attrs):
    """Does a request have an identifier that is one?"""
    return any(kind == o.FL_UFID and 1 <= len(body) <= 16 for kind, body in fuzz.walk(attrs))


class Round(fuzz.Grammar):
    """The messages and packets of one round.

    Which of two flows a packet gets that match it both is not the same in the two
    modules, nor need it be. So there are rounds of packets, in which flows do not
    overlap, and rounds of messages, in which no packet looks for a flow.
    """

    def __init__(self, seed, number, corpus):
        super().__init__(random.Random(f"{seed:d}/{number:d}"))
        self.corpus = corpus
        # No mask can say that there is no Ethernet type.
        self.typed = [one for one in corpus if o.K_ETHERTYPE in dict(parse_attrs(one[1])[0])]
        self.packets = number % 4 != 0
        # With flows of both kinds it would matter which of those that overlap is
        # found by the key of a new one.
        self.ufids = self.rng.random() < 0.5
        self.masks = {}
        self.key_parts = []
        self.mutation = self.rng.choice((0.0, 0.05, 0.1, 0.3, 0.7))

    # ---- actions --------------------------------------------------------

    def fitting_set(self):
        """A set action of some field that the flow's key has."""
        rng = self.rng
        parts = [p for p in self.key_parts if p[0] in SETTABLE and len(p[1]) <= 40]
        if not parts:
            return o.a_set(u32(o.K_SKB_MARK, rng.randrange(3)))
        kind, body = rng.choice(parts)
        value = bytearray(body)
        for _ in range(rng.randrange(1, 4)):
            at = rng.randrange(len(value)) if value else 0
            if at < len(value) and at not in FIXED.get(kind, ()):
                value[at] = rng.choice((0, 1, 2, 0x40, 0xFE, value[at] ^ 1))
        if kind == o.K_IPV6 and len(value) == 40:
            value[32] = 0
        if rng.random() < 0.5:
            return o.a_set(attr(kind, bytes(value)))
        mask = bytearray(rng.choice((0, 0xFF, 0xFF, 0x0F)) for _ in value)
        for at in FIXED.get(kind, ()):
            if at < len(mask):
                mask[at] = 0
        if kind == o.K_IPV6 and len(mask) == 40:
            mask[32] = 0
        value = bytes(v & m for v, m in zip(value, mask, strict=True))
        return o.a_set_masked(kind, value, bytes(mask))

    def action(self, depth=0):
        rng = self.rng
        pick = rng.random()
        if pick < 0.35:
            return o.a_output(rng.choice(PORTS))
        if pick < 0.45:
            return self.fitting_set()
        if pick < 0.53:
            return o.a_userspace(
                UP,
                rng.choice((None, b"abcd", bytes(17))),
                rng.choice((None, None, 1, 7)),
                rng.random() < 0.3,
            )
        if pick < 0.57:
            return o.a_recirc(rng.randrange(3))
        if pick < 0.60:
            return o.a_push_vlan(0x1005, rng.choice((0x8100, 0x88A8)))
        if pick < 0.63:
            return o.a_pop_vlan()
        if pick < 0.66:
            return o.a_meter(rng.choice((1, 2, 3)))
        if pick < 0.72:
            return o.a_trunc(rng.choice((14, 60, 100)))
        if pick < 0.75:
            return o.a_drop(rng.randrange(2))
        if pick < 0.88 and depth < 3:
            inner = self.actions(depth + 1)
            if pick < 0.79:
                return o.a_clone(inner)
            if pick < 0.83:
                return o.a_sample(rng.choice((0, 0xFFFFFFFF)), inner)
            if pick < 0.86:
                sizes = (60, 100, 142, 65535)
                return o.a_check_pkt_len(rng.choice(sizes), inner, self.actions(depth + 1))
            return o.a_dec_ttl(inner)
        if rng.random() < 0.5:
            return o.a_output(rng.choice(PORTS))
        return super().action(depth)

    def actions(self, depth=0):
        return b"".join(self.action(depth) for _ in range(self.rng.choice((0, 1, 1, 2, 2, 3, 5))))

    # ---- messages -------------------------------------------------------

    def mask_of(self, key):
        """None, or the mask: in a round of packets one for each class of keys."""
        rng = self.rng
        name = class_of(key)
        if not self.packets or name not in self.masks:
            self.masks[name] = wildcards(rng, key) if rng.random() < 0.8 else None
        return self.masks[name]

    def corpus_flow(self):
        """A flow for a frame of the corpus."""
        rng = self.rng
        key = rng.choice(self.typed if self.packets else self.corpus)[1]
        parts = [(k, b) for k, b in parse_attrs(key)[0] if k != o.K_DP_HASH]
        edited = []
        for kind, body in parts:
            if kind == o.K_IN_PORT and rng.random() < 0.6:
                body = struct.pack("=I", rng.choice(PORTS))
            elif kind == o.K_RECIRC_ID and rng.random() < 0.3:
                body = struct.pack("=I", rng.randrange(3))
            edited.append((kind, body))
        self.key_parts = edited
        key = b"".join(attr(k, b) for k, b in edited)
        cmd = rng.choice((o.NEW, o.NEW, o.NEW, o.NEW, o.SET, o.GET, o.DEL))
        out = [nest(o.FL_KEY, key)]
        mask = self.mask_of(key)
        if mask:
            out.append(nest(o.FL_MASK, mask))
        if cmd in (o.NEW, o.SET):
            out.append(nest(o.FL_ACTIONS, self.actions()))
        if rng.random() < 0.3:
            out.append(attr(o.FL_UFID, bytes((rng.randrange(8),)) * 16))
            if rng.random() < 0.3:
                out.append(u32(o.FL_UFID_FLAGS, rng.randrange(8)))
        if rng.random() < 0.1:
            out.append(attr(o.FL_CLEAR))
        return "flow", o.FLOW, cmd, b"".join(out)

    def corpus_packet(self):
        """EXECUTE with a frame of the corpus."""
        rng = self.rng
        data, key = rng.choice(self.corpus)
        self.key_parts = parse_attrs(key)[0]
        key = rng.choice(
            (b"", o.k_in_port(rng.choice(PORTS)), o.k_in_port(1) + u32(o.K_SKB_MARK, 5))
        )
        out = attr(o.PK_PACKET, data) + nest(o.PK_KEY, key) + nest(o.PK_ACTIONS, self.actions())
        if rng.random() < 0.2:
            out += u64(o.PK_HASH, 0x3_0000_0005)
        return "packet", o.PACKET, o.EXECUTE, out

    def meters(self):
        """Meters that let all or nothing through: the time is no matter."""
        rng = self.rng
        cmd = rng.choice((o.M_SET, o.M_SET, o.M_SET, o.M_DEL, o.M_GET, o.M_FEATURES))
        out = [u32(o.M_ID, rng.choice((1, 2, 3, 4, 1025)))]
        if cmd == o.M_SET:
            bands = [
                meter.band(rng.choice((0, 0xFFFFFFFF)), rng.choice((0, 9)), rng.choice((1, 1, 7)))
                for _ in range(rng.choice((0, 1, 1, 1, 2)))
            ]
            out.append(nest(o.M_BANDS, *bands))
            if rng.random() < 0.3:
                out.append(attr(rng.choice((o.M_KBPS, o.M_CLEAR))))
        return "meter", o.METER, cmd, b"".join(out)

    def message(self):
        pick = self.rng.random()
        if pick < 0.6:
            return self.corpus_flow()
        if pick < 0.8:
            return self.corpus_packet()
        if pick < 0.83:
            return self.meters()
        while True:
            message = super().message()
            if not self.packets or message[1] != o.FLOW:
                return message

    def one_message(self):
        """("m", family, cmd, flags, attributes, which datapath)"""
        rng = self.rng
        while True:
            level, family, cmd, attrs = self.message()
            flags = rng.choice((0, 0, NLM_F_ECHO, NLM_F_ECHO, 0x400, 4, 12))
            changes = family == o.FLOW and cmd != o.GET and self.packets
            if rng.random() < self.mutation and not changes:
                attrs = fuzz.mutate(rng, attrs)
                if rng.random() < 0.1 and not (self.packets and family == o.FLOW):
                    cmd = rng.randrange(7)
            if not allowed(level, family, cmd, attrs):
                continue
            if not self.packets and level == "packet" and has_action(attrs, o.A_RECIRC):
                continue
            if not self.packets and level == "flow" and has_ufid(attrs) != self.ufids:
                continue
            return ("m", family, cmd, flags, attrs, rng.random() < 0.99)

    def one_packet(self):
        """("p", port, virtio header, frame)"""
        rng = self.rng
        data = rng.choice(self.corpus)[0]
        pick = rng.random()
        if pick < 0.3:
            data = bytearray(data)
            for _ in range(rng.choice((1, 1, 2))):
                data[rng.randrange(12, len(data))] = rng.choice((0, 1, 0xFF, rng.randrange(256)))
            data = bytes(data)
        elif pick < 0.35:
            data = data[: rng.randrange(14, len(data) + 1)]
        return ("p", rng.choice(PORTS), b"", data)

    def batches(self, messages, packets):
        """Lists of operations. Each list's messages are sent at once. The numbers
        are averages over rounds."""
        if self.packets:
            messages, packets = messages // 2, packets * 4 // 3
        else:
            messages, packets = messages * 5 // 2, 0
        while messages > 0 or packets > 0:
            m, p = min(BATCH, messages), min(BATCH, packets)
            messages -= m
            packets -= p
            yield [self.one_message() for _ in range(m)] + [self.one_packet() for _ in range(p)]


SETTABLE = {
    o.K_PRIORITY,
    o.K_ETHERNET,
    o.K_IPV4,
    o.K_IPV6,
    o.K_TCP,
    o.K_UDP,
    o.K_SCTP,
    o.K_SKB_MARK,
    o.K_MPLS,
    o.K_ND,
    o.K_ARP,
    o.K_ICMP,
}
# Bytes that a set action must leave: protocol and fragment.
FIXED = {o.K_IPV4: (8, 11), o.K_IPV6: (32, 36, 39)}


def allowed(level, family, cmd, attrs):
    """Nothing that is up to chance or to the time, or what ends the C module."""
    if level == "meter":
        for kind, body in fuzz.walk(attrs):
            if kind == o.M_BANDS:
                for _, band in fuzz.walk(body):
                    parts = dict(fuzz.walk(band))
                    rate = int.from_bytes(parts.get(o.B_RATE, b"")[:4], "little")
                    if 0 < rate < 0xF0000000:
                        return False
    elif fuzz.foreign(attrs, level):
        return False
    if family == o.DP and cmd == o.DEL:
        return False
    if level == "flow":
        for kind, body in fuzz.walk(attrs):
            if kind == o.FL_MASK:
                for inner, part in fuzz.walk(body):
                    if inner == o.K_DP_HASH and any(part):
                        return False
    return not fuzz.dangerous(family, attrs)
