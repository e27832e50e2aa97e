# SPDX-License-Identifier: GPL-2.0
"""OVS_PACKET_CMD_EXECUTE: attributes, metadata, and what comes out."""

import re
import struct

import frames as f
import ovsattr as o
from nlcore import attr, be16, nest, s32, u8, u16, u32, u64
from registry import case, case_each

FRAME = f.udp4()


def attrs(packet=FRAME, key=b"", actions=None):
    out = b""
    if packet is not None:
        out += attr(o.PK_PACKET, packet)
    if key is not None:
        out += nest(o.PK_KEY, key)
    if actions is not None:
        out += nest(o.PK_ACTIONS, actions)
    return out


@case("packet")
def life(t):
    t.switch(3)
    t.execute("output 2", FRAME, o.a_output(2))
    t.execute("output 1, 2, 3", FRAME, o.a_output(1) + o.a_output(2) + o.a_output(3))
    t.execute("no action", FRAME, b"")
    t.execute("local", FRAME, o.a_output(0))
    t.execute("unknown port", FRAME, o.a_output(77))
    t.execute("to user space", FRAME, o.a_userspace(t.up.pid, b"cookie"))
    t.execute("pid of nobody", FRAME, o.a_userspace(0x7FFFFFF0))
    t.execute("wrong datapath", FRAME, o.a_output(2), dp=9999)
    t.execute("no datapath", FRAME, o.a_output(2), dp=0)
    t.counters(ports=("t1", "t2", "t3", "dp0"))


@case("packet")
def missing(t):
    t.switch(1)
    for packet in (FRAME, None):
        for key in (b"", None):
            for actions in (b"", None):
                t.req(
                    f"{packet is not None} {key is not None} {actions is not None}",
                    o.PACKET,
                    o.EXECUTE,
                    attrs(packet, key, actions),
                    "dp0",
                )
    for cmd in (0, 1, 2, 4, 5):
        t.req(f"command {cmd:d}", o.PACKET, cmd, attrs(actions=b""), "dp0")
        t.req(f"dump {cmd:d}", o.PACKET, cmd, attrs(actions=b""), "dp0", flags=0x300)


@case_each("packet", [(str(n), n) for n in range(1, 14)])
def attr_lengths(t, kind):
    t.switch(2)
    for size in list(range(0, 20)) + [32, 60]:
        t.req(
            f"len {size:d}",
            o.PACKET,
            o.EXECUTE,
            attrs(actions=o.a_output(2)) + attr(kind, bytes(size)),
            "dp0",
            drops=True,
        )
    t.req(
        "nested flag",
        o.PACKET,
        o.EXECUTE,
        attrs(actions=o.a_output(2)) + attr(kind | 0x8000, bytes(16)),
        "dp0",
    )


@case("packet")
def sizes(t):
    """Frames from 0 bytes to the largest attribute."""
    t.switch(2)
    for size in list(range(0, 36)) + [59, 60, 1513, 1514, 1515, 1518, 1519]:
        t.execute(f"{size:d} zero bytes", bytes(size), o.a_output(2))
        if size >= 14:
            t.execute(
                f"{size:d} bytes, IPv4",
                (FRAME + bytes(2000))[:size],
                o.a_output(2) + o.a_userspace(t.up.pid),
            )
    for size in (9000, 32000, 65000, 65531):
        frame = f.eth(bytes(size - 14), 0x9999)
        t.execute(f"{size:d} bytes", frame, o.a_userspace(t.up.pid))
        t.execute(f"{size:d} bytes out", frame, o.a_output(2))


META = [
    ("in_port", o.k_in_port(1)),
    ("in_port 0", o.k_in_port(0)),
    ("in_port unknown", o.k_in_port(500)),
    ("in_port max", o.k_in_port(65535)),
    ("in_port over", o.k_in_port(65536)),
    ("priority", u32(o.K_PRIORITY, 0x12345)),
    ("mark", u32(o.K_SKB_MARK, 0xABCD)),
    ("dp_hash", u32(o.K_DP_HASH, 0x55AA)),
    ("recirc_id", u32(o.K_RECIRC_ID, 9)),
    ("ethertype alone", o.k_type(0x0800)),
    ("ethertype small", o.k_type(0x0100)),
    ("ethernet", o.k_eth()),
    ("both", o.k_eth() + o.k_type(0x0800)),
    ("ipv6 ethertype", o.k_type(0x86DD)),
    ("other fields are ignored", o.k_ipv4("1.1.1.1", "2.2.2.2", 99)),
    ("vlan", o.k_eth() + o.k_type(0x8100) + be16(o.K_VLAN, 0x1005) + nest(o.K_ENCAP)),
    ("duplicate", o.k_in_port(1) + o.k_in_port(1)),
    ("short", attr(o.K_IN_PORT, b"12")),
    ("unknown", u32(99, 1)),
    ("unspec", attr(0)),
    ("trailing", o.k_in_port(1) + b"\1\2\3"),
    ("packet_type", u32(o.K_PACKET_TYPE, 1)),
    ("exthdrs", u16(o.K_EXTHDRS, 1)),
]


@case("packet")
def metadata(t):
    t.switch(2)
    for name, key in META:
        for probe in (b"", attr(o.PK_PROBE)):
            t.execute(
                name + (" probe" if probe else ""),
                FRAME,
                o.a_userspace(t.up.pid) + o.a_output(2),
                key=key,
                extra=probe,
            )


@case("packet")
def hash_and_pid(t):
    t.switch(2)
    other = t.upcall("other")
    t.dec.raw_hash = True
    for value in (0, 1, 0x1_0000_0001, 0x2_0000_0002, 0x3_FFFF_FFFF, 0xFFFF_FFFF_FFFF_FFFF):
        t.execute(f"hash {value:#x}", FRAME, o.a_userspace(t.up.pid), extra=u64(o.PK_HASH, value))
        if value & 0xFFFFFFFF:
            for alg in (0, 1):
                t.dec.raw_hash = alg == 0
                t.execute(
                    f"hash {value:#x} action {alg:d}",
                    FRAME,
                    o.a_hash(alg, 7) + o.a_recirc(5),
                    extra=u64(o.PK_HASH, value),
                )
                t.dec.raw_hash = True
    t.execute(
        "upcall pid wins", FRAME, o.a_userspace(t.up.pid), extra=u32(o.PK_UPCALL_PID, other.pid)
    )
    t.dec.raw_hash = False
    t.execute(
        "upcall pid of a miss",
        FRAME,
        o.a_recirc(1),
        key=o.k_in_port(1),
        extra=u32(o.PK_UPCALL_PID, other.pid) + u64(o.PK_HASH, 77),
    )
    t.dec.raw_hash = True
    t.execute(
        "upcall pid 0",
        FRAME,
        o.a_userspace(t.up.pid),
        extra=u32(o.PK_UPCALL_PID, 0) + u64(o.PK_HASH, 77),
    )


@case("packet")
def mru(t):
    t.switch(2)
    # The identification of an IPv6 fragment is random.
    t.scrub = lambda text: re.sub(r"^(\w{24}86dd\w{12}2c\w{2}\w{64}\w{8})\w{8}", r"\1<id>", text)
    big = f.eth(f.ipv4(f.udp(b"z" * 3000), 17))
    big6 = f.eth(f.ipv6(f.udp(b"z" * 3000, src=f.V61, dst=f.V62), 17), 0x86DD)
    arp = f.eth(bytes(3000), 0x0806)
    for name, frame in (
        ("v4", big),
        ("v6", big6),
        ("arp", arp),
        ("small", FRAME),
        ("vlan", f.eth(f.ipv4(f.udp(b"z" * 3000), 17), vlans=(5,))),
    ):
        for value in (0, 68, 576, 1280, 1400, 1500, 1501, 3000, 9000, 65535):
            if name == "arp" and 0 < value <= 1500:
                continue  # warns once per boot in the C module
            t.execute(
                f"{name} mru {value:d}",
                frame,
                o.a_userspace(t.up.pid) + o.a_output(2),
                extra=u16(o.PK_MRU, value),
            )


@case("packet")
def mru_options(t):
    """IP options are in each fragment, on whichever device and behind
    whichever link layer header."""
    t.switch(2)
    for options in (b"", b"\x01" * 4, b"\x94\x04\0\0" + b"\x01" * 36):
        packet = f.ipv4(f.udp(b"z" * 300), 17, options=options)
        for name, frame in (
            ("plain", f.eth(packet)),
            ("qinq", f.eth(packet, vlans=(5, 6))),
            ("snap", snap(packet)),
        ):
            for value in (27, 28, 67, 68, 75, 76, 320, 359, 360):
                t.execute(
                    f"{name} {len(options):d} mru {value:d}",
                    frame,
                    o.a_output(2),
                    extra=u16(o.PK_MRU, value),
                )


def snap(packet, vlans=(5, 6)):
    """Behind two tags, of which one stays in the data, and LLC/SNAP: the
    longest header before an IP packet that is parsed."""
    return f.eth(b"\xaa\xaa\x03\0\0\0\x08\0" + packet, len(packet) + 8, vlans=vlans)


@case("packet", ours=True)
def mru_dei(t):
    """Fragments have the packet's VLAN tag. In the C module that is without
    the DEI bit, which it takes for a flag that there is a tag."""
    t.switch(2)
    for tci in (5, 0x1000, 0x1005, 0xFFFF):
        frame = f.eth(f.ipv4(f.udp(b"z" * 300), 17), vlans=(tci,))
        t.execute(f"tag {tci:#x}", frame, o.a_output(2), extra=u16(o.PK_MRU, 68))
        out = t.records[-1].get("frames", {}).get("t2", [])
        tags = {one.split()[-1][24:32] for one in out}
        t.check(tags == {f"8100{tci:04x}"} and len(out) == 7, f"tag {tci:#x}: {out}")


@case("packet", ours=True)
def mru_malformed(t):
    """Packets that were said to be made of fragments, with an IP header that
    is longer than they are, or that is not there. The C module has
    ip_do_fragment() and ip6_fragment() copy bytes that do not exist, which is
    a BUG there. Ours must drop them."""
    t.switch(2)
    t.tap("tun0", tun=True, vnet_hdr=False)
    t.vport("tun0", port=3)
    # By port: how much longer than the MRU a packet may be.
    hard_header_len = {2: 14, 3: 0}
    dropped = 0

    def try_one(label, frame, l2_len, header_len, mru, cut=None):
        """The packet has to be dropped where it would be made fragments of
        and ends before its header does."""
        nonlocal dropped
        actions = o.a_trunc(cut) if cut else b""
        # The outer tag is not in the data.
        size = min(len(frame) - 4, cut or 65535)
        for port, more in hard_header_len.items():
            reply = t.execute(
                f"{label}, mru {mru:d}, to {port:d}",
                frame,
                actions + o.a_output(port),
                extra=u16(o.PK_MRU, mru),
            )
            t.check(reply.errno == 0, f"{label}: errno {reply.errno:d}")
            if size > mru + more and size < l2_len + header_len:
                dropped += 1
                out = t.records[-1].get("frames")
                t.check(not out, f"{label}, mru {mru:d}, to {port:d}: came out")

    for ihl in (0, 1, 4, 5, 6, 15):
        for size in range(20, 64):
            # No header is shorter than 20 bytes.
            need = ihl * 4 if ihl >= 5 else 65535
            packet = f.ipv4(bytes(size - 20), 17, ihl=ihl)
            for mru in {ihl * 4 + 8, 28, 68}:
                try_one(f"ihl {ihl:d}, {size:d} bytes", snap(packet), 26, need, mru)
    udp = f.ipv4(f.udp(b"z" * 300), 17)
    udp6 = f.ipv6(f.udp(b"z" * 300, src=f.V61, dst=f.V62), 17)
    for cut in range(14, 60):
        for mru in (1, 2, 8, 28, 44):
            try_one(f"IPv4 cut to {cut:d}", snap(udp), 26, 20, mru, cut)
            tagged = f.eth(udp6, 0x86DD, vlans=(5, 6))
            try_one(f"IPv6 cut to {cut:d}", tagged, 18, 40, mru, cut)
    t.check(dropped > 100, "packets were dropped")
    for port, name in ((2, "t2"), (3, "tun0")):
        t.execute(f"a good one to {port:d}", snap(udp), o.a_output(port), extra=u16(o.PK_MRU, 68))
        out = t.records[-1].get("frames", {}).get(name, [])
        t.check(len(out) == 7, f"a good one is {len(out):d} fragments")


@case_each(
    "packet",
    [
        (k, v)
        for k, v in (
            ("udp4", f.udp4()),
            ("tcp4", f.tcp4()),
            ("sctp4", f.sctp4()),
            ("icmp4", f.icmp4()),
            ("udp6", f.udp6()),
            ("tcp6", f.tcp6()),
            ("arp", f.arp_frame()),
            ("vlan", f.udp4(vlans=(0x123,))),
            ("qinq", f.udp4(vlans=((1, 0x88A8), 2))),
            ("llc", f.eth(b"\x42\x42\x03" + bytes(40), 43)),
        )
    ],
)
def every_length(t, frame):
    """EXECUTE of a frame cut at every length, its key shown in an upcall."""
    t.switch(1)
    for size in range(14, len(frame) + 1):
        t.execute(f"{size:d} bytes", frame[:size], o.a_userspace(t.up.pid))


@case("packet")
def ct_tuple(t):
    """Metadata that conntrack leaves (CVE-2024-38558's sequence)."""
    t.switch(1)
    tuple6 = attr(
        o.K_CT_ORIG6, o.ip6("fd00::a") + o.ip6("fd00::b") + struct.pack("!HHB3x", 1, 2, 58)
    )
    tuple4 = attr(
        o.K_CT_ORIG4, o.ip4("9.9.9.9") + o.ip4("8.8.8.8") + struct.pack("!HHB3x", 1, 2, 17)
    )
    for name, frame in (
        ("udp4", FRAME),
        ("udp6", f.udp6()),
        ("ns", f.eth(f.ipv6(f.nd(), 58, hlimit=255), 0x86DD)),
        ("echo6", f.eth(f.ipv6(f.icmpv6(), 58), 0x86DD)),
        ("arp", f.arp_frame()),
    ):
        for kind, key in (("4", tuple4), ("6", tuple6)):
            t.execute(f"{name} with tuple {kind}", frame, o.a_userspace(t.up.pid), key=key)


_ = (s32, u8)
