# SPDX-License-Identifier: GPL-2.0
"""Frames, byte by byte, with right checksums unless told otherwise."""

import struct

from ovsattr import d_lse, ip4, ip6, mac

M1, M2, M3 = "02:00:00:00:00:01", "02:00:00:00:00:02", "02:00:00:00:00:03"
IP1, IP2 = "10.1.0.1", "10.1.0.2"
V61, V62 = "fd00::1", "fd00::2"


def csum(data, start=0):
    """The Internet checksum of data (with a starting sum)."""
    if len(data) % 2:
        data += b"\0"
    total = start + sum(struct.unpack(f"!{len(data) // 2:d}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def pseudo(src, dst, proto, length):
    if len(src) == 4:
        return src + dst + struct.pack("!BBH", 0, proto, length)
    return src + dst + struct.pack("!IHBB", length, 0, 0, proto)


def eth(payload, kind=0x0800, src=M1, dst=M2, vlans=()):
    """vlans: (tci,) or (tci, tpid) from the outermost in."""
    tags = b""
    for tag in vlans:
        tci, tpid = tag if isinstance(tag, tuple) else (tag, 0x8100)
        tags += struct.pack("!HH", tpid, tci)
    return mac(dst) + mac(src) + tags + struct.pack("!H", kind) + payload


def ipv4(
    payload,
    proto,
    src=IP1,
    dst=IP2,
    tos=0,
    ttl=64,
    ident=0x1234,
    frag=0,
    options=b"",
    total=None,
    ihl=None,
    version=4,
):
    ihl = 5 + len(options) // 4 if ihl is None else ihl
    total = 20 + len(options) + len(payload) if total is None else total
    head = (
        struct.pack("!BBHHHBBH", version << 4 | ihl, tos, total, ident, frag, ttl, proto, 0)
        + ip4(src)
        + ip4(dst)
        + options
    )
    return head[:10] + struct.pack("!H", csum(head)) + head[12:] + payload


def ipv6(payload, proto, src=V61, dst=V62, tclass=0, label=0, hlimit=64, length=None, version=6):
    length = len(payload) if length is None else length
    return (
        struct.pack("!IHBB", version << 28 | tclass << 20 | label, length, proto, hlimit)
        + ip6(src)
        + ip6(dst)
        + payload
    )


def _l4(head, at, payload, proto, src, dst, partial):
    """Fill the checksum at offset `at` of head."""
    data = head + payload
    src, dst = (ip4(src), ip4(dst)) if "." in src else (ip6(src), ip6(dst))
    fake = pseudo(src, dst, proto, len(data))
    value = (~csum(fake) & 0xFFFF) if partial else csum(fake + data)
    if proto == 17 and not partial and value == 0:
        value = 0xFFFF
    return data[:at] + struct.pack("!H", value) + data[at + 2 :]


def udp(
    payload=b"payload!",
    sport=1000,
    dport=2000,
    src=IP1,
    dst=IP2,
    partial=False,
    nocsum=False,
    length=None,
):
    length = 8 + len(payload) if length is None else length
    head = struct.pack("!HHHH", sport, dport, length, 0)
    if nocsum:
        return head + payload
    return _l4(head, 6, payload, 17, src, dst, partial)


def tcp(
    payload=b"payload!",
    sport=1000,
    dport=2000,
    src=IP1,
    dst=IP2,
    flags=0x18,
    partial=False,
    options=b"",
    doff=None,
    seq=1,
    ack=2,
    window=1024,
):
    doff = 5 + len(options) // 4 if doff is None else doff
    head = struct.pack("!HHIIHHHH", sport, dport, seq, ack, doff << 12 | flags, window, 0, 0)
    head += options
    return _l4(head, 16, payload, 6, src, dst, partial)


_CRC = []


def crc32c(data):
    if not _CRC:
        for i in range(256):
            for _ in range(8):
                i = (i >> 1) ^ (0x82F63B78 if i & 1 else 0)
            _CRC.append(i)
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _CRC[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def sctp(chunks=b"\0\x03\0\x08data", sport=1000, dport=2000, good=True, tag=0x11223344):
    head = struct.pack("!HHI", sport, dport, tag)
    value = crc32c(head + bytes(4) + chunks)
    if not good:
        value ^= 0x5A5A5A5A
    return head + struct.pack("<I", value) + chunks


def icmp(kind=8, code=0, rest=b"\0\1\0\2", payload=b"ping"):
    data = struct.pack("!BBH", kind, code, 0) + rest + payload
    return data[:2] + struct.pack("!H", csum(data)) + data[4:]


def icmpv6(kind=128, code=0, rest=b"\0\1\0\2", payload=b"ping", src=V61, dst=V62):
    head = struct.pack("!BBH", kind, code, 0) + rest
    return _l4(head, 2, payload, 58, src, dst, False)


def nd(kind=135, target="fd00::9", options=b"", code=0, flags=0, **kw):
    """Neighbour solicitation (135) or advertisement (136)."""
    return icmpv6(kind, code, struct.pack("!I", flags), ip6(target) + options, **kw)


def nd_opt(kind, address):
    return bytes((kind, 1)) + mac(address)


def arp(oper=1, sha=M1, spa=IP1, tha="00:00:00:00:00:00", tpa=IP2, hrd=1, pro=0x0800, hln=6, pln=4):
    return (
        struct.pack("!HHBBH", hrd, pro, hln, pln, oper) + mac(sha) + ip4(spa) + mac(tha) + ip4(tpa)
    )


def ext(next_proto, body=b"\0" * 6):
    """A hop-by-hop, destination or routing header of 8n bytes."""
    return bytes((next_proto, (len(body) + 2) // 8 - 1)) + body


def fragment(next_proto, offset=0, more=False, ident=7):
    return struct.pack("!BBHI", next_proto, 0, offset << 3 | int(more), ident)


def labels(count, bos=True, first=16):
    """An MPLS label stack with so many entries. `bos`: the last one says that
    it is the last one."""
    return b"".join(
        d_lse(first + i, i % 8, bos and i == count - 1, 64 + i % 100) for i in range(count)
    )


def mpls(count=1, payload=None, kind=0x8847, bos=True, **kw):
    """A frame with so many labels, of an IPv4 packet if of nothing else."""
    payload = ipv4(udp(), 17) if payload is None else payload
    return eth(labels(count, bos) + payload, kind, **kw)


def nsh(
    payload,
    np=3,
    mdtype=1,
    metadata=bytes(range(16)),
    version=0,
    flags=0,
    ttl=63,
    length=None,
    path=0x000123FF,
):
    """A network service header and what is behind it. `length` is in units of 4
    bytes."""
    length = (8 + len(metadata)) // 4 if length is None else length
    head = version << 14 | flags << 12 | ttl << 6 | length
    return struct.pack("!HBBI", head, mdtype, np, path) + metadata + payload


def nsh_frame(payload=None, vlans=(), **kw):
    """A frame with a network service header: of a frame, if of nothing else."""
    payload = udp4() if payload is None else payload
    return eth(nsh(payload, **kw), 0x894F, vlans=vlans)


def udp4(**kw):
    """A whole UDP over IPv4 frame."""
    e = {k: kw.pop(k) for k in ("vlans",) if k in kw}
    i = {k: kw.pop(k) for k in ("tos", "ttl") if k in kw}
    return eth(ipv4(udp(**kw), 17, **i), **e)


def tcp4(**kw):
    e = {k: kw.pop(k) for k in ("vlans",) if k in kw}
    return eth(ipv4(tcp(**kw), 6), **e)


def sctp4(**kw):
    return eth(ipv4(sctp(**kw), 132))


def icmp4(**kw):
    return eth(ipv4(icmp(**kw), 1))


def udp6(**kw):
    kw.setdefault("src", V61)
    kw.setdefault("dst", V62)
    return eth(ipv6(udp(**kw), 17), 0x86DD)


def tcp6(**kw):
    kw.setdefault("src", V61)
    kw.setdefault("dst", V62)
    return eth(ipv6(tcp(**kw), 6), 0x86DD)


def sctp6(**kw):
    return eth(ipv6(sctp(**kw), 132), 0x86DD)


def arp_frame(**kw):
    return eth(arp(**kw), 0x0806)
