# SPDX-License-Identifier: GPL-2.0
"""Cases of `make bench` in which a packet goes through more than one flow with
an output: what is installed for each, and the frame that is sent.

Flows match on what ovs-vswitchd's do, and no more. They are made by the
builders of the differential suite.
"""

import os
import socket
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../suite"))

import frames as f  # noqa: E402
import nlcore  # noqa: E402
import ovsattr as o  # noqa: E402
from nlcore import attr, be16, nest, string, u32  # noqa: E402

PORT_IN, PORT_OUT, PORT_MORE = 1, 2, 3
MACS = {"src": "02:00:00:00:00:01", "dst": "02:00:00:00:00:02"}
SRC, DST, SPORT, DPORT = "198.18.0.1", "198.19.0.1", 1024, 9
NAT_ADDRESS = "198.18.1.1"

# The underlay: our end, and one that is not there but has a neighbour entry.
UNDER, UNDER_MAC, PEER = "198.20.0.1", "02:00:00:00:00:10", "198.20.0.2"
VNI = 0x7B
TUNNEL_PORTS = {"vxlan": 4789, "geneve": 6081}
# As OVN's: logical ingress and egress port.
GENEVE_OPTION = struct.pack("!HBBI", 0x0102, 0x80, 1, 0x00010002)

TUN_ID, TUN_SRC, TUN_DST, TUN_TTL, TUN_DF, TUN_OPTS = 0, 1, 2, 4, 5, 8
TUN_TP_DST = 10

ALL = 0xFFFFFFFF
# Kilobits a second: more than there are.
METER_RATE = 4_000_000_000
ESTABLISHED = o.CS_TRACKED | o.CS_EST


def packet(src=SRC, dst=DST, sport=SPORT, dport=DPORT, size=60, **macs):
    """A UDP packet without a checksum, which is what pktgen sends."""
    udp = struct.pack("!HHHH", sport, dport, size - 34, 0) + bytes(size - 42)
    return f.eth(f.ipv4(udp, 17, src, dst), **(macs or MACS))


def tunnelled(kind):
    """The packet as it comes from the underlay."""
    if kind == "vxlan":
        head = struct.pack("!II", 0x08000000, VNI << 8)
    else:
        head = struct.pack("!BBHI", len(GENEVE_OPTION) // 4, 0, 0x6558, VNI << 8) + GENEVE_OPTION
    body = head + packet()
    udp = struct.pack("!HHHH", 50_000, TUNNEL_PORTS[kind], 8 + len(body), 0)
    return f.eth(f.ipv4(udp + body, 17, PEER, UNDER), dst=UNDER_MAC)


class Pipelines:
    """The netlink side, on a datapath that is there."""

    def __init__(self, datapath):
        self.nl = nlcore.Socket()
        self.ifindex = socket.if_nametoindex(datapath)
        # A zone of its own, so that no connection is another run's.
        self.zone = os.getpid() & 0xFFF

    def close(self):
        self.nl.close()

    def request(self, family, cmd, attrs):
        fam = nlcore.get_family(self.nl, family)
        body = nlcore.GENLHDR.pack(cmd, fam.version, 0) + struct.pack("=i", self.ifindex) + attrs
        ack, _ = self.nl.transact(fam.ident, nlcore.NLM_F_ACK, body)
        if ack.errno:
            raise OSError(ack.errno, f"{family} {cmd}: {os.strerror(ack.errno)} {ack.extack}")

    def port(self, name, number):
        attrs = string(o.VP_NAME, name) + u32(o.VP_TYPE, o.T_NETDEV) + u32(o.VP_PORT_NO, number)
        self.request(o.VPORT, o.NEW, attrs + u32(o.VP_UPCALL_PID, 0))

    def flow(self, actions, port=PORT_IN, recirc=0, key=b"", mask=b""):
        """A flow for all UDP packets from a port."""
        key += o.k_in_port(port) + o.k_eth() + o.k_type(0x0800) + u32(o.K_RECIRC_ID, recirc)
        key += o.k_ipv4("0.0.0.0", "0.0.0.0", 17) + o.k_udp(0, 0)
        mask += o.k_in_port(ALL) + o.k_type(0xFFFF) + u32(o.K_RECIRC_ID, ALL)
        # Protocol and fragment.
        mask += attr(o.K_IPV4, bytes(8) + b"\xff\0\0\xff")
        attrs = nest(o.FL_KEY, key) + nest(o.FL_MASK, mask) + nest(o.FL_ACTIONS, actions)
        self.request(o.FLOW, o.NEW, attrs)

    def execute(self, frame, actions):
        attrs = attr(o.PK_PACKET, frame) + nest(o.PK_KEY, o.k_in_port(PORT_IN))
        self.request(o.PACKET, o.EXECUTE, attrs + nest(o.PK_ACTIONS, actions))

    # The cases. Each gives the number of its flows.

    def plain(self):
        self.flow(o.a_output(PORT_OUT))
        return 1

    def recirc(self):
        self.flow(o.a_recirc(1))
        self.flow(o.a_output(PORT_OUT), recirc=1)
        return 2

    def connection(self, commit=b"", look=b"", back=SRC):
        """Packets of an established connection are looked up in connection
        tracking, then by what that says."""
        zone = o.ct_zone(self.zone)
        look = o.a_ct(zone, look)
        self.execute(packet(), o.a_ct(o.ct_commit(), zone, commit))
        self.execute(packet(DST, back, DPORT, SPORT), look)
        self.flow(look + o.a_recirc(1))
        state = u32(o.K_CT_STATE, ESTABLISHED)
        self.flow(o.a_output(PORT_OUT), recirc=1, key=state, mask=state)
        return 2

    def connection_nat(self):
        return self.connection(o.ct_nat(o.NAT_SRC, NAT_ADDRESS), o.ct_nat(), NAT_ADDRESS)

    def meter(self):
        band = u32(o.B_TYPE, 1) + u32(o.B_RATE, METER_RATE) + u32(o.B_BURST, METER_RATE)
        attrs = u32(o.M_ID, 1) + attr(o.M_KBPS) + nest(o.M_BANDS, nest(0, band))
        self.request(o.METER, o.M_SET, attrs)
        self.flow(o.a_meter(1) + o.a_output(PORT_OUT))
        return 1

    def sample(self):
        """One packet of 16 also goes elsewhere."""
        self.flow(o.a_sample(ALL // 16, o.a_output(PORT_MORE)) + o.a_output(PORT_OUT))
        return 1

    def tunnel_in(self, options):
        exact = b"\xff"
        key = u64_be(TUN_ID, VNI) + attr(TUN_SRC, o.ip4(PEER)) + attr(TUN_DST, o.ip4(UNDER))
        mask = attr(TUN_ID, exact * 8) + attr(TUN_SRC, exact * 4) + attr(TUN_DST, exact * 4)
        key += attr(TUN_TTL, b"\x40")
        mask += attr(TUN_TTL, b"\0")
        if options:
            key += attr(TUN_OPTS, options)
            mask += attr(TUN_OPTS, exact * len(options))
        key, mask = nest(o.K_TUNNEL, key), nest(o.K_TUNNEL, mask)
        self.flow(o.a_output(PORT_OUT), PORT_MORE, key=key, mask=mask)
        return 1

    def tunnel_out(self, options, kind):
        tun = u64_be(TUN_ID, VNI) + attr(TUN_DST, o.ip4(PEER)) + attr(TUN_TTL, b"\x40")
        tun += attr(TUN_DF) + be16(TUN_TP_DST, TUNNEL_PORTS[kind])
        if options:
            tun += attr(TUN_OPTS, options)
        self.flow(o.a_set(nest(o.K_TUNNEL, tun)) + o.a_output(PORT_MORE))
        return 1


def u64_be(kind, value):
    return attr(kind, struct.pack("!Q", value))


class Case:
    """One of them: `more` is the datapath's third port, `fed` and `out` are the
    devices whose packets go in and are counted; `packets` takes about half a
    second with the C module."""

    def __init__(self, install, packets, more=None, fed="in", out="out", frame=None):
        self.install = install
        self.packets = packets
        self.more = more
        self.fed = fed
        self.out = out
        self.frame = frame or packet()


def tunnel_cases(kind):
    options = GENEVE_OPTION if kind == "geneve" else b""
    return {
        f"{kind}-in": Case(
            lambda p: p.tunnel_in(options),
            1_200_000,
            more=kind,
            fed="under",
            frame=tunnelled(kind),
        ),
        f"{kind}-out": Case(
            lambda p: p.tunnel_out(options, kind),
            1_200_000,
            more=kind,
            out="under",
        ),
    }


CASES = {
    "fed": Case(Pipelines.plain, 2_500_000),
    "recirc": Case(Pipelines.recirc, 1_800_000),
    "ct": Case(Pipelines.connection, 1_300_000),
    "ct-nat": Case(Pipelines.connection_nat, 1_300_000),
    "meter": Case(Pipelines.meter, 2_000_000),
    "sample": Case(Pipelines.sample, 2_000_000, more="more"),
    **tunnel_cases("vxlan"),
    **tunnel_cases("geneve"),
}
# Which of them the floor does as well: from one device to another.
FLOOR_CASES = ("fed",)
