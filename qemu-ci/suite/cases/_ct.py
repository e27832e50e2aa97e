# SPDX-License-Identifier: GPL-2.0
"""What cases of connection tracking have in common: conversations, packet by
packet, and pipelines of two passes, as Open vSwitch has them."""

import frames as f
import ovsattr as o
from nlcore import attr, u32

# What a key with an IP protocol needs; masks leave it out.
L4_KEYS = {
    1: o.k_icmp(0, 0),
    6: o.k_tcp(0, 0) + o.k_tcp_flags(0),
    17: o.k_udp(0, 0),
    58: o.k_icmpv6(0, 0),
}
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16


class Talk:
    """Two ends that talk. Frames go from the first to the second end, or back
    with `back`; `src`, `dst`, `sport` and `dport` replace what NAT has changed."""

    def __init__(self, v6=False, sport=1000, dport=2000, src=None, dst=None, vlans=()):
        self.v6 = v6
        self.ends = (src or (f.V61 if v6 else f.IP1), dst or (f.V62 if v6 else f.IP2))
        self.ports = (sport, dport)
        self.vlans = vlans
        self.seq = [1000, 5000]

    def addresses(self, back, kw):
        one, two = reversed(self.ends) if back else self.ends
        return kw.pop("src", None) or one, kw.pop("dst", None) or two

    def l4(self, back, kw):
        """Addresses and ports, as arguments for the packets of frames.py."""
        src, dst = self.addresses(back, kw)
        sport, dport = reversed(self.ports) if back else self.ports
        return {
            "src": src,
            "dst": dst,
            "sport": kw.pop("sport", None) or sport,
            "dport": kw.pop("dport", None) or dport,
        }

    def ip(self, payload, proto, src, dst, back=False, **kw):
        """An IP packet."""
        if self.v6:
            return f.ipv6(payload, proto, src=src, dst=dst, **kw)
        return f.ipv4(payload, proto, src=src, dst=dst, **kw)

    def frame(self, packet, back=False):
        macs = (f.M2, f.M1) if back else (f.M1, f.M2)
        kind = 0x86DD if self.v6 else 0x0800
        return f.eth(packet, kind, *macs, vlans=self.vlans)

    def udp_packet(self, payload=b"payload!", back=False, **kw):
        ends = self.l4(back, kw)
        return self.ip(f.udp(payload, **ends), 17, ends["src"], ends["dst"], **kw)

    def udp(self, payload=b"payload!", back=False, **kw):
        return self.frame(self.udp_packet(payload, back, **kw), back)

    def tcp_packet(self, flags, payload=b"", back=False, seq=None, ack=None, **kw):
        ends = self.l4(back, kw)
        me, other = (1, 0) if back else (0, 1)
        first = self.seq[me] if seq is None else seq
        if seq is None:
            self.seq[me] += len(payload) + bool(flags & (SYN | FIN))
        if ack is None:
            ack = self.seq[other] if flags & ACK else 0
        options = kw.pop("options", b"")
        data = f.tcp(payload, flags=flags, seq=first, ack=ack, options=options, **ends)
        return self.ip(data, 6, ends["src"], ends["dst"], **kw)

    def tcp(self, flags, payload=b"", back=False, **kw):
        return self.frame(self.tcp_packet(flags, payload, back, **kw), back)

    def sctp(self, chunks=b"\0\x03\0\x08data", back=False, tag=0x11223344, **kw):
        ends = self.l4(back, kw)
        data = f.sctp(chunks, sport=ends["sport"], dport=ends["dport"], tag=tag)
        return self.frame(self.ip(data, 132, ends["src"], ends["dst"], **kw), back)

    def echo(self, back=False, ident=7, payload=b"ping", **kw):
        """An echo request, or the reply."""
        src, dst = self.addresses(back, kw)
        rest = ident.to_bytes(2, "big") + b"\0\1"
        if self.v6:
            data = f.icmpv6(129 if back else 128, 0, rest, payload, src=src, dst=dst)
        else:
            data = f.icmp(0 if back else 8, 0, rest, payload)
        return self.frame(self.ip(data, 58 if self.v6 else 1, src, dst, **kw), back)

    def error(self, packet, back=True, kind=None, code=0, **kw):
        """An ICMP error about an IP packet."""
        src, dst = self.addresses(back, kw)
        if self.v6:
            data = f.icmpv6(kind or 1, code, bytes(4), packet[:200], src=src, dst=dst)
        else:
            data = f.icmp(kind or 3, code, bytes(4), packet[:200])
        return self.frame(self.ip(data, 58 if self.v6 else 1, src, dst, **kw), back)


def without_fragment_id(text):
    """A frame, as a tap shows it, without the identification of an IPv6 fragment,
    which is random."""
    note, _, data = text.rpartition(" ")
    at = 24
    while data[at : at + 4] in ("8100", "88a8"):
        at += 8
    if data[at : at + 4] != "86dd":
        return text
    kind, at = data[at + 16 : at + 18], at + 84
    while kind in ("00", "2b", "3c"):
        kind, at = data[at : at + 2], at + 16 + 16 * int(data[at + 2 : at + 4], 16)
    if kind != "2c":
        return text
    return f"{note} {data[: at + 8]}<id>{data[at + 16 :]}".lstrip()


def hide_fragment_ids(t):
    t.scrub = without_fragment_id


def kinds_of(v6):
    """The Ethernet type of an IP version, for rules."""
    return (0x86DD if v6 else 0x0800,)


def any_key(kind, port, recirc, proto=None):
    """All packets of an Ethernet type, or of an IP protocol, from a port: (key,
    mask)."""
    ones = 0xFFFFFFFF
    key = o.k_in_port(port) + o.k_eth() + o.k_type(kind) + u32(o.K_RECIRC_ID, recirc)
    mask = o.k_in_port(ones) + o.k_type(0xFFFF) + u32(o.K_RECIRC_ID, ones)
    if kind == 0x0800:
        key += o.k_ipv4("0.0.0.0", "0.0.0.0", proto or 0)
        if proto:
            key += L4_KEYS[proto]
            mask += attr(o.K_IPV4, bytes(8) + b"\xff\0\0\0")
    elif kind == 0x86DD:
        key += o.k_ipv6("::", "::", proto or 0)
        if proto:
            key += L4_KEYS[proto]
            mask += attr(o.K_IPV6, bytes(36) + b"\xff\0\0\0")
    return key, mask


def rule(t, port, recirc, actions, kinds=(0x0800, 0x86DD), label=None, proto=None):
    """Flows for all that comes from a port with a recirculation id. `actions`
    may be a function of the Ethernet type."""
    for kind in kinds:
        key, mask = any_key(kind, port, recirc, proto)
        acts = actions(kind) if callable(actions) else actions
        name = label or f"rule {port:d} {recirc:d} {kind:#x}"
        reply = t.flow(name, key, acts, mask, quiet=True, flags=0)
        t.check(not reply.errno, f"{name} is installed")


def pipeline(t, first, second=b"", back=None, back_second=None, kinds=(0x0800, 0x86DD), proto=None):
    """Two passes between ports 1 and 2. `first` is what is done with packets from
    port 1 before they recirculate; then they are seen in an upcall, `second` is
    done, and they go out. `back` and `back_second` for those from port 2, if
    that is not the same. With `proto`, only for that IP protocol."""
    back = first if back is None else back
    back_second = second if back_second is None else back_second
    see = o.a_userspace(t.up.pid)
    for port, one, two in ((1, first, second), (2, back, back_second)):
        out = o.a_output(3 - port)
        for kind in kinds:
            a = one(kind) if callable(one) else one
            b = two(kind) if callable(two) else two
            rule(t, port, 0, a + o.a_recirc(1), (kind,), proto=proto)
            rule(t, port, 1, see + b + out, (kind,), proto=proto)


def send(t, label, frame, back=False, header=None, dump=True):
    """One frame into port 1, or with `back` into port 2: what comes of it, and
    what is tracked then."""
    t.inject(label, t.taps["t2" if back else "t1"], frame, header)
    if dump:
        t.connections(label + ": then")
