# SPDX-License-Identifier: GPL-2.0
"""Tunnels: their keys, masks and set() in netlink, and packets through
collect_md devices as ovs-vswitchd makes them."""

import struct

import frames as f
import ovsattr as o
from nlcore import attr, be16, nest, u8, u16, u32
from registry import case, case_each

ID, SRC, DST, TOS, TTL, DF, CSUM, OAM, GENEVE, TP_SRC, TP_DST, VXLAN = range(12)
SRC6, DST6, PAD, ERSPAN, BRIDGE = range(12, 17)

ETH = o.k_in_port(1) + o.k_eth() + o.k_type(0x0800) + o.k_ipv4("1.1.1.1", "1.1.1.2", 0)

T_ID = attr(ID, bytes((0, 0, 0, 0, 0, 1, 2, 3)))
T_SRC, T_DST = attr(SRC, o.ip4("10.9.0.1")), attr(DST, o.ip4("10.9.0.2"))
T_SRC6, T_DST6 = attr(SRC6, o.ip6("fd09::1")), attr(DST6, o.ip6("fd09::2"))
T_TTL = u8(TTL, 64)
V4 = T_ID + T_SRC + T_DST + T_TTL
V6 = T_ID + T_SRC6 + T_DST6 + T_TTL
FULL = (
    T_ID
    + T_SRC
    + T_DST
    + u8(TOS, 4)
    + T_TTL
    + attr(DF)
    + attr(CSUM)
    + be16(TP_SRC, 50000)
    + be16(TP_DST, 4789)
    + attr(OAM)
)


def opt(kind, data, cls=0x0102):
    """A Geneve option."""
    return struct.pack("!HBB", cls, kind, len(data) // 4) + data


def gbp(value):
    return nest(VXLAN, u32(1, value))


OPT4 = opt(3, b"\xa1\xa2\xa3\xa4")
OPTS = OPT4 + opt(4, b"") + opt(5, bytes(range(16)))

TUNNELS = {
    "v4": V4,
    "v6": V6,
    "full": FULL,
    "least4": T_DST + T_TTL,
    "least6": T_DST6 + T_TTL,
    "ttl 0": T_DST + u8(TTL, 0),
    "no id": T_SRC + T_DST + T_TTL,
    "id 0": attr(ID, bytes(8)) + T_DST + T_TTL,
    "id large": attr(ID, b"\xff" * 8) + T_DST + T_TTL,
    "bridge": T_ID + attr(BRIDGE),
    "bridge alone": attr(BRIDGE),
    "bridge and ttl 0": T_ID + attr(BRIDGE) + u8(TTL, 0),
    "bridge and ttl": T_ID + attr(BRIDGE) + T_TTL,
    "bridge and tos": T_ID + attr(BRIDGE) + u8(TOS, 1),
    "bridge and src": T_ID + attr(BRIDGE) + T_SRC,
    "bridge and dst": T_ID + attr(BRIDGE) + T_DST,
    "bridge and port": T_ID + attr(BRIDGE) + be16(TP_DST, 1),
    "bridge and csum": T_ID + attr(BRIDGE) + attr(CSUM),
    "bridge and v6": T_ID + attr(BRIDGE) + T_DST6,
    "bridge and options": T_ID + attr(BRIDGE) + gbp(1),
    "empty": b"",
    "id only": T_ID,
    "ttl only": T_TTL,
    "no ttl": T_DST,
    "no ttl 6": T_DST6,
    "no dst": T_SRC + T_TTL,
    "no dst 6": T_SRC6 + T_TTL,
    "dst 0": attr(DST, bytes(4)) + T_TTL,
    "dst 0 6": attr(DST6, bytes(16)) + T_TTL,
    "mixed": V4 + T_DST6,
    "mixed src": T_SRC6 + T_DST + T_TTL,
    "mixed, no dst": T_SRC6 + T_SRC + T_TTL,
    "twice": V4 + u8(TTL, 1) + attr(ID, bytes(8)),
    "dst twice": V4 + attr(DST, bytes(4)),
    "pad": attr(PAD) + V4 + attr(PAD),
    "pad long": V4 + attr(PAD, bytes(4)),
    "beyond": V4 + attr(17),
    "beyond long": V4 + u32(17, 1),
    "far beyond": V4 + attr(0x3FFF),
    "nested flag": V4 + attr(TOS | 0x8000, b"\1"),
    "trailing": V4 + b"\1\2",
    "cut": V4 + attr(DST, b"1", length=64),
    "zero bytes": bytes(8),
    "order": T_TTL + T_DST + T_SRC + T_ID,
    "ttl unpadded": T_ID + T_DST + attr(TTL, b"\x40", pad=False),
    "port unpadded": T_DST + T_TTL + attr(TP_DST, b"\x12\xb5", pad=False),
    "padded short": T_DST + attr(TTL, b"\x40", pad=False) + b"\0\0",
    "geneve": V4 + attr(GENEVE, OPT4),
    "geneve three": V4 + attr(GENEVE, OPTS),
    "geneve empty": V4 + attr(GENEVE),
    "geneve v6": V6 + attr(GENEVE, OPTS),
    "geneve critical": V4 + attr(GENEVE, opt(0x80, b"abcd")),
    "geneve second critical": V4 + attr(GENEVE, OPT4 + opt(0xFF, b"")),
    "geneve reserved bits": V4 + attr(GENEVE, struct.pack("!HBB", 1, 2, 0xE1) + b"1234"),
    "geneve 252": V4 + attr(GENEVE, opt(1, bytes(124)) + opt(2, bytes(120))),
    "geneve 256": V4 + attr(GENEVE, opt(1, bytes(124)) + opt(2, bytes(124))),
    "geneve 255": V4 + attr(GENEVE, bytes(255)),
    "geneve 6": V4 + attr(GENEVE, bytes(6)),
    "geneve long data": V4 + attr(GENEVE, struct.pack("!HBB", 1, 2, 2) + b"1234"),
    "geneve cut": V4 + attr(GENEVE, OPT4 + bytes((0, 1, 2, 3))),
    "geneve zeros": V4 + attr(GENEVE, bytes(252)),
    "geneve twice": V4 + attr(GENEVE, OPT4) + attr(GENEVE, OPT4),
    "geneve empty twice": V4 + attr(GENEVE) + attr(GENEVE),
    "vxlan": V4 + gbp(0x01020304),
    "vxlan v6": V6 + gbp(0x80000001),
    "vxlan 0": V4 + gbp(0),
    "vxlan empty": V4 + nest(VXLAN),
    "vxlan twice": V4 + gbp(1) + gbp(2),
    "vxlan two": V4 + nest(VXLAN, u32(1, 1), u32(1, 2)),
    "vxlan type 0": V4 + nest(VXLAN, attr(0)),
    "vxlan type 0 long": V4 + nest(VXLAN, u32(0, 1)),
    "vxlan type 2": V4 + nest(VXLAN, u32(2, 1)),
    "vxlan short": V4 + nest(VXLAN, u16(1, 1)),
    "vxlan trailing": V4 + nest(VXLAN, u32(1, 1) + b"\1"),
    "vxlan raw": V4 + attr(VXLAN, b"\1"),
    "erspan": V4 + attr(ERSPAN, bytes(range(1, 13))),
    "erspan v6": V6 + attr(ERSPAN, bytes(range(1, 13))),
    "erspan empty": V4 + attr(ERSPAN),
    "erspan short": V4 + attr(ERSPAN, b"1234"),
    "erspan long": V4 + attr(ERSPAN, bytes(range(1, 41))),
    "erspan 255": V4 + attr(ERSPAN, bytes(255)),
    "erspan 256": V4 + attr(ERSPAN, bytes(256)),
    "two kinds": V4 + attr(GENEVE, OPT4) + gbp(1),
    "two other kinds": V4 + gbp(1) + attr(ERSPAN, bytes(12)),
    "two kinds, first empty": V4 + attr(GENEVE) + attr(ERSPAN, bytes(12)),
}

TUNNEL_KEYS = {"tunnel " + name: ETH + nest(o.K_TUNNEL, t) for name, t in TUNNELS.items()}
TUNNEL_SETS = {"tunnel " + name: nest(o.K_TUNNEL, t) for name, t in TUNNELS.items()}


def tunnel_fill(tunnel, value):
    """A tunnel's attributes with every byte of their payload set."""
    out = b""
    pos = 0
    while len(tunnel) - pos >= 4:
        size, kind = struct.unpack_from("=HH", tunnel, pos)
        if size < 4 or pos + size > len(tunnel):
            break
        body = tunnel[pos + 4 : pos + size]
        body = tunnel_fill(body, value) if kind == VXLAN else bytes((value,)) * len(body)
        out += attr(kind, body)
        pos += (size + 3) & ~3
    return out


def try_key(t, label, key, mask=None):
    """Install, read back, remove."""
    t.flow(label, key, b"", mask)
    t.flow(label + ": get", key, None, cmd=o.GET)
    t.dump(label + ": dump", o.FLOW, dp="dp0")
    t.flow(label + ": del", key, None, cmd=o.DEL)
    t.flush()


MASKS = {
    "none": None,
    "empty": b"",
    "tunnel empty": nest(o.K_TUNNEL),
    "ttl 0": nest(o.K_TUNNEL, u8(TTL, 0)),
    "ones": "ones",
    "zeros": "zeros",
    "bits": "bits",
    "id": nest(o.K_TUNNEL, attr(ID, b"\xff" * 8)),
    "id bits": nest(o.K_TUNNEL, attr(ID, bytes(7) + b"\x0f")),
    "flags": nest(o.K_TUNNEL, attr(DF) + attr(CSUM) + attr(OAM)),
    "v4": nest(o.K_TUNNEL, attr(SRC, b"\xff" * 4) + attr(DST, b"\xff\xff\xff\0")),
    "v6": nest(o.K_TUNNEL, attr(SRC6, b"\xff" * 16) + attr(DST6, b"\xff" * 15 + b"\0")),
    "both": nest(o.K_TUNNEL, attr(SRC, b"\xff" * 4) + attr(DST6, b"\xff" * 16)),
    "ports": nest(o.K_TUNNEL, be16(TP_SRC, 0xFFFF) + be16(TP_DST, 0xFF)),
    "geneve 4": nest(o.K_TUNNEL, attr(GENEVE, b"\xff" * 4)),
    "geneve 8": nest(o.K_TUNNEL, attr(GENEVE, b"\xff" * 8)),
    "geneve 0": nest(o.K_TUNNEL, attr(GENEVE)),
    "geneve odd": nest(o.K_TUNNEL, attr(GENEVE, b"\xff" * 7)),
    "geneve long": nest(o.K_TUNNEL, attr(GENEVE, b"\xff" * 256)),
    "gbp": nest(o.K_TUNNEL, gbp(0xFFFFFFFF)),
    "gbp bits": nest(o.K_TUNNEL, gbp(0xFF00)),
    "erspan": nest(o.K_TUNNEL, attr(ERSPAN, b"\xff" * 12)),
    "erspan 8": nest(o.K_TUNNEL, attr(ERSPAN, b"\xff" * 8)),
    "two kinds": nest(o.K_TUNNEL, gbp(1) + attr(ERSPAN, b"\xff" * 12)),
    "bridge": nest(o.K_TUNNEL, attr(BRIDGE)),
    "beyond": nest(o.K_TUNNEL, attr(17, b"1")),
    "trailing": nest(o.K_TUNNEL, u8(TTL, 255) + b"\1"),
    "twice": nest(o.K_TUNNEL, u8(TTL, 255)) + nest(o.K_TUNNEL, u8(TTL, 255)),
}


@case_each("tunnels", [(name.replace(" ", "_"), name) for name in MASKS])
def masks(t, name):
    """Each tunnel key under one mask."""
    t.switch(1)
    for label, tunnel in TUNNELS.items():
        mask = MASKS[name]
        if mask in ("ones", "zeros", "bits"):
            value = {"ones": 0xFF, "zeros": 0, "bits": 0x5A}[mask]
            mask = nest(o.K_TUNNEL, tunnel_fill(tunnel, value)) + o.k_type(0xFFFF)
        try_key(t, label, ETH + nest(o.K_TUNNEL, tunnel), mask)
    try_key(t, "no tunnel", ETH, None if name == "none" else MASKS["ttl 0"])


@case_each("tunnels", [(str(n), n) for n in range(18)])
def lengths(t, kind):
    """One attribute of a tunnel with each length, in a key, a mask and an
    action."""
    t.switch(1)
    base = T_DST6 + T_TTL if kind in (SRC6, DST6) else T_DST + T_TTL
    for size in [*range(0, 10), 11, 12, 15, 16, 17, 252, 255, 256]:
        tunnel = nest(o.K_TUNNEL, base + attr(kind, b"\1" * size))
        t.flow(f"key {size:d}", ETH + tunnel, b"")
        t.flush()
        t.flow(f"mask {size:d}", ETH + nest(o.K_TUNNEL, base), b"", tunnel)
        t.dump("dump", o.FLOW, dp="dp0")
        t.flush()
        t.flow(f"action {size:d}", ETH, o.a_set(tunnel))
        t.flush()


@case("tunnels")
def places(t):
    """A tunnel anywhere among the attributes (rows 11 and 12)."""
    t.switch(1)
    tun = nest(o.K_TUNNEL, FULL + attr(GENEVE, OPTS))
    vlan = o.k_type(0x8100) + be16(o.K_VLAN, 0x1001)
    inner = o.k_type(0x0800) + o.k_ipv4("1.1.1.1", "1.1.1.2", 0)
    for name, key in (
        ("first", tun + ETH + u32(o.K_SKB_MARK, 7)),
        ("middle", o.k_in_port(1) + u32(o.K_SKB_MARK, 7) + tun + ETH[8:]),
        ("last", ETH + u32(o.K_SKB_MARK, 7) + tun),
        ("twice", tun + ETH + tun),
        ("vlan", tun + o.k_in_port(1) + o.k_eth() + vlan + nest(o.K_ENCAP, inner)),
        ("vlan, inside", o.k_in_port(1) + o.k_eth() + vlan + nest(o.K_ENCAP, tun + inner)),
        (
            "two vlans, inside",
            o.k_eth() + vlan + nest(o.K_ENCAP, vlan + nest(o.K_ENCAP, inner + tun)),
        ),
        ("arp", tun + o.k_eth() + o.k_type(0x0806) + attr(o.K_ARP, bytes(24))),
        ("no ethernet", tun + o.k_type(0x0800) + o.k_ipv4("1.1.1.1", "1.1.1.2", 0)),
        ("alone", tun),
        ("raw", ETH + attr(o.K_TUNNEL, b"\1\2\3")),
        ("nested flag", ETH + attr(o.K_TUNNEL | 0x8000, FULL)),
    ):
        try_key(t, name, key)
        try_key(t, name + ", mask", key, nest(o.K_TUNNEL, T_TTL))
        t.flow(name + ", probe", key, b"", extra=attr(o.FL_PROBE))
        t.flush()


@case("tunnels")
def sets(t):
    """set(tunnel): what is taken, what a dump shows of it."""
    t.switch(2)
    for name, tunnel in TUNNELS.items():
        act = o.a_set(nest(o.K_TUNNEL, tunnel))
        for where, acts in (
            ("", act + o.a_output(2)),
            (" in clone", o.a_clone(act + o.a_output(2)) + o.a_output(2)),
            (" in sample", o.a_sample(0xFFFFFFFF, act) + act),
            (" twice", act + act),
        ):
            t.flow(name + where, ETH, acts)
            t.dump("dump", o.FLOW, dp="dp0")
            t.flush()
        t.flow(name + ", probe", ETH, act, extra=attr(o.FL_PROBE))
        t.flow(name + ", replaced", ETH, act, cmd=o.SET)
        t.flush()
        body = tunnel + tunnel
        t.flow(name + " masked", ETH, o.a_set_masked(o.K_TUNNEL, tunnel, tunnel))
        t.flow(name + " masked ones", ETH, nest(o.A_SET_MASKED, attr(o.K_TUNNEL, body)))
        t.flush()
    tun = nest(o.K_TUNNEL, V4)
    for name, acts in (
        ("two keys", nest(o.A_SET, tun + tun)),
        ("none", nest(o.A_SET)),
        ("no payload", nest(o.A_SET, attr(o.K_TUNNEL))),
        ("trailing", nest(o.A_SET, tun + b"\0\0\0\0")),
        ("info", nest(o.A_SET, attr(o.K_TUNNEL_INFO, bytes(8)))),
    ):
        t.flow(name, ETH, acts)
        t.flush()


@case("tunnels")
def many_sets(t):
    """Many of them, until a list is too long (row 2); all are freed (row 5)."""
    t.switch(2)
    act = o.a_set(nest(o.K_TUNNEL, V4 + attr(GENEVE, OPTS)))
    for count in (1, 50, 600, 700):
        for where, acts in (("", act * count), (" in clone", o.a_clone(act * count))):
            t.flow(f"{count:d}{where}", ETH, acts)
            t.flush()
    for number in range(300):
        t.flow("add", ETH, o.a_clone(act) + act, quiet=True)
        t.flow("change", ETH, act, cmd=o.SET, quiet=True)
        t.flow("del", ETH, None, cmd=o.DEL, quiet=number != 299)


@case("tunnels")
def execute(t):
    """EXECUTE with a tunnel in its key: an upcall and a lookup see it."""
    t.switch(2)
    see = o.a_userspace(t.up.pid, b"x", actions=True)
    for name, tunnel in TUNNELS.items():
        key = o.k_in_port(1) + nest(o.K_TUNNEL, tunnel)
        t.execute(name, f.udp4(), see, key)
        t.execute(name + ", recirculated", f.udp4(), o.a_recirc(5), key)
    t.flow(
        "flow of a tunnel",
        u32(o.K_RECIRC_ID, 5) + ETH + nest(o.K_TUNNEL, V4),
        o.a_output(2),
        u32(o.K_RECIRC_ID, 0xFFFFFFFF) + nest(o.K_TUNNEL, attr(ID, b"\xff" * 8)),
    )
    for name, tunnel in TUNNELS.items():
        key = o.k_in_port(1) + nest(o.K_TUNNEL, tunnel)
        t.execute(name + ", recirculated to a flow", f.udp4(), o.a_recirc(5), key)
    t.execute("no tunnel", f.udp4(), o.a_recirc(5), o.k_in_port(1))
    t.execute("push and pop", f.udp4(), o.a_push_vlan(0x1001) + see, key + b"")
    t.execute(
        "keeps the tunnel",
        f.udp4(),
        o.a_push_vlan(0x1001) + o.a_recirc(6),
        o.k_in_port(1) + nest(o.K_TUNNEL, FULL + attr(GENEVE, OPTS)),
    )
    t.counters()


# ---- devices -------------------------------------------------------------

UNDER_MAC, PEER_MAC = "02:00:00:00:09:01", "02:00:00:00:09:02"
LOCAL4, PEER4 = "10.9.0.1", "10.9.0.2"
LOCAL6, PEER6 = "fd09::1", "fd09::2"

KINDS = {
    "vxlan": ("vxlan", u8(25, 1) + u8(7, 0) + be16(15, 4789) + u8(20, 1)),
    "gbp": ("vxlan", u8(25, 1) + u8(7, 0) + be16(15, 4790) + u8(20, 1) + attr(23)),
    "geneve": ("geneve", attr(6) + be16(5, 6081) + u8(10, 1)),
    "gre": ("gretap", attr(18)),
    "gre6": ("ip6gretap", attr(18)),
    "erspan": ("erspan", attr(18)),
}


def scrubbed(frame):
    """An outer packet without what differs from boot to boot: the IPv4
    identification, the source port, which is a hash, and what sums them up;
    nothing of what IPv6 says by itself."""
    if frame.startswith("3333"):
        return None
    if not frame.startswith(PEER_MAC.replace(":", "")):
        return frame
    kind = frame[24:28]
    data = bytearray.fromhex(frame)
    if kind == "0800":
        data[18:20] = data[24:26] = b"\0\0"
        proto, l4 = data[23], 34
    elif kind == "86dd":
        # The flow label may be made of the hash.
        data[15:18] = b"\0\0\0"
        proto, l4 = data[20], 54
        if proto in (0, 58):
            return None
    else:
        return frame
    if proto == 47 and data[l4 : l4 + 4] == b"\x10\0\x22\xeb" and data[l4 + 8] >> 4 == 2:
        # A time stamp.
        data[l4 + 12 : l4 + 16] = bytes(4)
    if proto == 17:
        zero = data[l4 + 6 : l4 + 8] == b"\0\0"
        data[l4 : l4 + 2] = b"\0\0"
        if not zero:
            data[l4 + 6 : l4 + 8] = b"\xff\xff"
    return data.hex()


def write(path, text):
    with open(path, "w") as handle:
        handle.write(text)


class Underlay:
    """A tap with addresses, beside a datapath with a tap and a tunnel."""

    def __init__(self, t, kind):
        self.t = t
        t.up = t.upcall("up")
        t.dp("dp0", o.F_UNALIGNED)
        self.tap = t.tap_port("t1", 1, pid=t.up.pid)
        self.under = t.tap("u1", vnet_hdr=False)
        t.rt.set("u1", up=False)
        t.rt.set("u1", address=UNDER_MAC)
        write("/proc/sys/net/ipv6/conf/u1/disable_ipv6", "0")
        write("/proc/sys/net/ipv6/conf/u1/accept_dad", "0")
        write("/proc/sys/net/ipv6/conf/u1/router_solicitations", "0")
        t.rt.up("u1", "lo")
        for local, peer, size in ((LOCAL4, PEER4, 24), (LOCAL6, PEER6, 64)):
            t.rt.address("u1", local, size)
            t.rt.neighbour("u1", peer, PEER_MAC)
        self.name = "tun0"
        t.rt.add(self.name, *KINDS[kind])
        t.rt.up(self.name)
        t.remember_links()
        t.vport(self.name, port=2, pids=(t.up.pid,))
        t.settle(0.2)
        self.under.read()
        t.scrub = scrubbed
        t.records.clear()

    def send(self, label, tunnel, frame=None, more=b"", header=None):
        """One frame from the tap through the tunnel."""
        self.t.in_port_flow(1, o.a_set(nest(o.K_TUNNEL, tunnel)) + more + o.a_output(2))
        self.t.inject(label, self.tap, frame or f.udp4(), header)
        self.t.flush()

    def receive(self, label, outer):
        """One outer frame from the peer."""
        self.t.drops.read()
        self.under.write(outer)
        # The tunnel hands packets to softirq.
        self.t.settle(0.05)
        self.t.note(label)


def outer4(payload, proto=17, tos=0, ttl=61, df=True, **kw):
    ip = f.ipv4(payload, proto, PEER4, LOCAL4, tos=tos, ttl=ttl, frag=0x4000 if df else 0, **kw)
    return f.eth(ip, 0x0800, PEER_MAC, UNDER_MAC)


def outer6(payload, proto=17, label=0, tclass=0, hlimit=60):
    ip = f.ipv6(payload, proto, PEER6, LOCAL6, tclass=tclass, label=label, hlimit=hlimit)
    return f.eth(ip, 0x86DD, PEER_MAC, UNDER_MAC)


def udp(payload, dport, v6=False, nocsum=True):
    src, dst = (PEER6, LOCAL6) if v6 else (PEER4, LOCAL4)
    return f.udp(payload, 51234, dport, src, dst, nocsum=nocsum)


def vxlan_hdr(vni, flags=0x08, policy=0, mid=0):
    return struct.pack("!BBHI", flags, mid, policy, vni << 8)


def geneve_hdr(vni, opts=b"", bits=0, proto=0x6558):
    return struct.pack("!BBHI", len(opts) // 4, bits, proto, vni << 8) + opts


def gre_hdr(key=None, csum=False, proto=0x6558, payload=b"", seq=None):
    flags = (0x2000 if key is not None else 0) | (0x8000 if csum else 0)
    flags |= 0x1000 if seq is not None else 0
    rest = struct.pack("!I", key) if key is not None else b""
    rest += struct.pack("!I", seq) if seq is not None else b""
    if not csum:
        return struct.pack("!HH", flags, proto) + rest
    head = struct.pack("!HH", flags, proto)
    value = f.csum(head + bytes(4) + rest + payload)
    return head + struct.pack("!HH", value, 0) + rest


INNER = f.udp4(payload=b"inner")

RECEIVED = {
    "vxlan": [
        ("v4", outer4(udp(vxlan_hdr(5) + INNER, 4789))),
        ("v4 csum", outer4(udp(vxlan_hdr(5) + INNER, 4789, nocsum=False))),
        ("v4 tos ttl", outer4(udp(vxlan_hdr(0xFFFFFF) + INNER, 4789), tos=0xB8, ttl=1)),
        ("v4 no df", outer4(udp(vxlan_hdr(0) + INNER, 4789), df=False)),
        ("v6", outer6(udp(vxlan_hdr(5) + INNER, 4789, True, False))),
        ("v6 label", outer6(udp(vxlan_hdr(5) + INNER, 4789, True, False), label=0x12345)),
        ("v6 no csum", outer6(udp(vxlan_hdr(5) + INNER, 4789, True))),
        ("gbp without", outer4(udp(vxlan_hdr(5, 0x88, 0x1234) + INNER, 4789))),
        ("arp", outer4(udp(vxlan_hdr(5) + f.eth(bytes(28), 0x0806), 4789))),
        ("vlan", outer4(udp(vxlan_hdr(5) + f.udp4(vlans=(0x0005,)), 4789))),
        ("short", outer4(udp(vxlan_hdr(5) + INNER[:10], 4789))),
        ("other port", outer4(udp(vxlan_hdr(5) + INNER, 4788))),
    ],
    "gbp": [
        ("none", outer4(udp(vxlan_hdr(5) + INNER, 4790))),
        ("policy", outer4(udp(vxlan_hdr(5, 0x88, 0x1234) + INNER, 4790))),
        ("flags", outer4(udp(vxlan_hdr(5, 0x88, 0xFFFF, 0x48) + INNER, 4790))),
        ("policy 0", outer6(udp(vxlan_hdr(5, 0x88, 0) + INNER, 4790, True, False))),
    ],
    "geneve": [
        ("v4", outer4(udp(geneve_hdr(7) + INNER, 6081))),
        ("csum", outer4(udp(geneve_hdr(7) + INNER, 6081, nocsum=False))),
        ("one option", outer4(udp(geneve_hdr(7, OPT4) + INNER, 6081))),
        ("three options", outer4(udp(geneve_hdr(7, OPTS) + INNER, 6081))),
        (
            "most options",
            outer4(udp(geneve_hdr(7, opt(1, bytes(124)) + opt(2, bytes(120))) + INNER, 6081)),
        ),
        ("oam", outer4(udp(geneve_hdr(7, b"", 0x80) + INNER, 6081))),
        ("critical", outer4(udp(geneve_hdr(7, opt(0x81, b"1234"), 0x40) + INNER, 6081))),
        ("v6", outer6(udp(geneve_hdr(7, OPT4) + INNER, 6081, True, False), label=5)),
        ("not ethernet", outer4(udp(geneve_hdr(7, b"", 0, 0x0800) + INNER[14:], 6081))),
    ],
    "gre": [
        ("key", outer4(gre_hdr(9) + INNER, 47)),
        ("key 0", outer4(gre_hdr(0) + INNER, 47)),
        ("no key", outer4(gre_hdr() + INNER, 47)),
        ("csum", outer4(gre_hdr(0xFFFFFFFF, True, payload=INNER) + INNER, 47)),
        ("seq", outer4(gre_hdr(9, seq=4) + INNER, 47)),
        ("ip", outer4(gre_hdr(9, proto=0x0800) + INNER[14:], 47)),
    ],
    "gre6": [("key", outer6(gre_hdr(9) + INNER, 47)), ("no key", outer6(gre_hdr() + INNER, 47))],
    "erspan": [],
}


@case_each("tunnels", [(kind, kind) for kind in KINDS if RECEIVED[kind]])
def receive(t, kind):
    """What comes out of a tunnel: keys of upcalls, then flows that match them."""
    u = Underlay(t, kind)
    for name, outer in RECEIVED[kind]:
        u.receive(name, outer)
    # All that is known goes to the tap; one flow for each mask.
    for label, mask in (
        ("any tunnel", MASKS["ttl 0"]),
        ("id", nest(o.K_TUNNEL, attr(ID, b"\xff" * 8))),
        ("addresses", nest(o.K_TUNNEL, attr(SRC, b"\xff" * 4) + attr(DST, b"\xff" * 4))),
    ):
        tunnel = (
            attr(ID, bytes(7) + b"\5") + attr(SRC, o.ip4(PEER4)) + attr(DST, o.ip4(LOCAL4)) + T_TTL
        )
        t.flow(
            label,
            o.k_in_port(2) + nest(o.K_TUNNEL, tunnel) + o.k_eth() + o.k_type(0x9000),
            o.a_output(1),
            o.k_in_port(0xFFFFFFFF) + mask,
        )
        for name, outer in RECEIVED[kind]:
            u.receive(f"{label}: {name}", outer)
        t.counters(ports=("tun0", "t1"))
        t.flush()


@case("tunnels")
def receive_exact(t):
    """A flow made of the key of an upcall, without a mask, matches its packet
    and no other."""
    u = Underlay(t, "geneve")
    base = attr(ID, bytes(7) + b"\7") + attr(SRC, o.ip4(PEER4)) + attr(DST, o.ip4(LOCAL4))
    base += u8(TTL, 61) + attr(DF) + be16(TP_SRC, 51234) + be16(TP_DST, 6081)
    inner = o.k_eth(f.M1, f.M2) + o.k_type(0x0800)
    inner += o.k_ipv4(f.IP1, f.IP2, 17) + o.k_udp(1000, 2000)
    for name, tunnel in (
        ("no option", base),
        ("empty options", base + attr(GENEVE)),
        ("one option", base + attr(GENEVE, OPT4)),
        ("three options", base + attr(GENEVE, OPTS)),
        ("csum", base + attr(CSUM)),
    ):
        t.flow(name, o.k_in_port(2) + nest(o.K_TUNNEL, tunnel) + inner, o.a_output(1))
        for sent, outer in RECEIVED["geneve"]:
            u.receive(f"{name}: {sent}", outer)
        t.flush()


@case("tunnels")
def options_bits(t):
    """Masks of single bytes of options, each its own flow."""
    u = Underlay(t, "geneve")
    for place in range(0, len(OPTS)):
        mask = bytearray(len(OPTS))
        mask[place] = 0xFF
        tunnel = V4 + attr(GENEVE, OPTS)
        t.flow(
            f"byte {place:d}",
            o.k_in_port(2) + nest(o.K_TUNNEL, tunnel) + o.k_eth() + o.k_type(0x9000),
            o.a_output(1),
            o.k_in_port(0xFFFFFFFF) + nest(o.K_TUNNEL, attr(GENEVE, bytes(mask))),
        )
        for other in {0, place, len(OPTS) - 1}:
            opts = bytearray(OPTS)
            if other not in (3, 11, 15):
                opts[other] ^= 1
            u.receive(
                f"byte {other:d} differs", outer4(udp(geneve_hdr(7, bytes(opts)) + INNER, 6081))
            )
        t.flush()
    t.counters()


SENT = {
    "v4": V4,
    "v4 least": T_DST + T_TTL,
    "v4 tos": V4 + u8(TOS, 0xB8),
    "v4 ect": V4 + u8(TOS, 1),
    "v4 df": V4 + attr(DF),
    "v4 csum": V4 + attr(CSUM),
    "v4 ports": V4 + be16(TP_SRC, 50000) + be16(TP_DST, 4800),
    "v4 ttl 1": T_ID + T_SRC + T_DST + u8(TTL, 1),
    "v4 ttl 0": T_ID + T_SRC + T_DST + u8(TTL, 0),
    "v4 oam": V4 + attr(OAM),
    "v4 no route": T_ID + attr(DST, o.ip4("192.0.2.1")) + T_TTL,
    "v4 to itself": T_ID + attr(DST, o.ip4(LOCAL4)) + T_TTL,
    "v4 wrong source": T_ID + attr(SRC, o.ip4("192.0.2.1")) + T_DST + T_TTL,
    "v6": V6,
    "v6 least": T_DST6 + T_TTL,
    "v6 tos": V6 + u8(TOS, 0xB8),
    "v6 csum": V6 + attr(CSUM),
    "v6 df": V6 + attr(DF),
    "one option": V4 + attr(GENEVE, OPT4),
    "three options": V4 + attr(GENEVE, OPTS),
    "critical": V4 + attr(GENEVE, opt(0x81, b"1234")),
    "option v6": V6 + attr(GENEVE, OPT4),
    "gbp": V4 + gbp(0x1234),
    "gbp flags": V4 + gbp(0xFFFFFFFF),
    "erspan 1": V4 + attr(ERSPAN, struct.pack("=iI", 1, 0x01000000) + bytes(4)),
    "erspan 2": V4 + attr(ERSPAN, struct.pack("=iI", 2, 0) + bytes((0, 0, 1, 0))),
    "bridge": T_ID + attr(BRIDGE),
}


@case_each("tunnels", [(kind, kind) for kind in KINDS])
def send(t, kind):
    """What goes out of a tunnel, byte for byte."""
    u = Underlay(t, kind)
    t.dec.raw_tunnels = False
    for name, tunnel in SENT.items():
        u.send(name, tunnel)
    u.send("large", V4, f.udp4(payload=bytes(1400)))
    u.send("too large", V4 + attr(DF), f.udp4(payload=bytes(1460)))
    u.send("vlan", V4, f.udp4(vlans=(0x0005,)))
    u.send("pushed vlan", V4, more=o.a_push_vlan(0x1006))
    u.send("cut", V4, f.udp4(payload=bytes(200)), more=o.a_trunc(60))
    u.send("set, then another", V4, more=o.a_set(nest(o.K_TUNNEL, V4 + u8(TOS, 8))))
    other = o.a_set(nest(o.K_TUNNEL, V4 + u8(TTL, 9)))
    u.send("in a clone", V4, more=o.a_clone(other + o.a_output(2)))
    t.in_port_flow(1, o.a_output(2))
    t.inject("no set", u.tap, f.udp4())
    t.flush()
    t.in_port_flow(1, o.a_set(nest(o.K_TUNNEL, V4)) + o.a_output(1) + o.a_output(0))
    t.inject("to others", u.tap, f.udp4())
    t.flush()
    t.counters(ports=("tun0",))


@case_each("tunnels", [(kind, kind) for kind in KINDS])
def egress(t, kind):
    """USERSPACE with the port of a tunnel: what it would send with."""
    u = Underlay(t, kind)
    t.dec.raw_tunnels = False
    tunnels = "v4", "v4 least", "v4 ports", "v6", "three options", "gbp", "bridge", "v4 no route"
    for port in (2, 1, 0, 99, 65535):
        see = o.a_userspace(t.up.pid, b"cookie", port, True)
        for name in tunnels:
            t.in_port_flow(1, o.a_set(nest(o.K_TUNNEL, SENT[name])) + see + o.a_output(2))
            t.inject(f"{name} port {port:d}", u.tap, f.udp4())
            t.flush()
        t.in_port_flow(1, see)
        t.inject(f"no set port {port:d}", u.tap, f.udp4())
        t.flush()
    # A tag, and segments.
    see = o.a_userspace(t.up.pid, b"", 2)
    t.in_port_flow(1, o.a_set(nest(o.K_TUNNEL, V4)) + o.a_push_vlan(0x1005) + see)
    t.inject("pushed vlan", u.tap, f.udp4())


@case("tunnels")
def turned(t):
    """From one tunnel into the same and into another."""
    u = Underlay(t, "vxlan")
    t.rt.add("tun1", *KINDS["geneve"])
    t.rt.up("tun1")
    t.remember_links()
    t.vport("tun1", port=3, pids=(t.up.pid,))
    for port in (2, 3):
        for tunnel in ("v4", "v6", "three options"):
            t.in_port_flow(2, o.a_set(nest(o.K_TUNNEL, SENT[tunnel])) + o.a_output(port))
            u.receive(f"{tunnel} to {port:d}", RECEIVED["vxlan"][0][1])
            t.flush()
    t.in_port_flow(2, o.a_output(3))
    u.receive("without set", RECEIVED["vxlan"][0][1])
    t.flush()
    t.in_port_flow(2, o.a_output(2))
    u.receive("back without set", RECEIVED["vxlan"][0][1])
    t.flush()
    # The key keeps the tunnel that the packet came through.
    t.in_port_flow(2, o.a_set(nest(o.K_TUNNEL, V6)) + o.a_push_vlan(0x1005) + o.a_recirc(3))
    u.receive("recirculated", RECEIVED["vxlan"][0][1])
    t.flush()
    t.in_port_flow(2, o.a_output(0))
    u.receive("to the local port", RECEIVED["vxlan"][0][1])


@case("tunnels")
def gone(t):
    """A tunnel's device that goes away, with flows that set and match it."""
    u = Underlay(t, "vxlan")
    t.in_port_flow(1, o.a_set(nest(o.K_TUNNEL, V4)) + o.a_output(2))
    t.inject("before", u.tap, f.udp4())
    t.rt.delete("tun0")
    t.settle(0.5)
    t.inject("after", u.tap, f.udp4())
    t.counters(ports=("tun0",))
    t.rt.add("tun0", *KINDS["vxlan"])
    t.rt.up("tun0")
    t.remember_links()
    t.vport("tun0", port=2, pids=(t.up.pid,))
    t.inject("again", u.tap, f.udp4())
    t.dp_del()
