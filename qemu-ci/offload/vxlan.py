# SPDX-License-Identifier: GPL-2.0
"""Inside the guest: flows into and out of VXLAN, over IPv4 and over IPv6."""

import time
from dataclasses import dataclass
from functools import partial

from model import run, sh
from suite import expect
from tunnels import checksummed

IP = "eth(),eth_type(0x0800),ipv4()"
REMOTE_MAC = "02:00:00:00:00:99"


@dataclass
class Family:
    """What is different between the two, and where it is in a frame."""

    name: str
    net: str
    ends: tuple
    # The names of the addresses in a key.
    keys: tuple
    eth_type: bytes
    # Where the inner frame begins; where the addresses are, and the TTL.
    inner: int
    src: int
    dst: int
    ttl: int
    # A flag that the driver does not take a match on.
    refused: str

    @property
    def vni(self):
        return self.inner - 4

    def correct(self, frame):
        """The frame with the checksum of its outer header, if that has one."""
        if self.eth_type == b"\x08\0":
            frame = frame[:14] + checksummed(frame[14:34]) + frame[34:]
        return frame

    def answered(self, frame):
        """The frame on its way back."""
        half = self.dst - self.src
        src, dst = frame[self.src : self.dst], frame[self.dst : self.dst + half]
        head = frame[6:12] + frame[:6] + frame[12 : self.src] + dst + src
        return head + frame[self.dst + half :]


V4 = Family(
    "IPv4",
    "192.0.2.1/24",
    ("192.0.2.1", "192.0.2.2"),
    ("src", "dst"),
    b"\x08\0",
    inner=50,
    src=26,
    dst=30,
    ttl=22,
    refused="-df",
)
V6 = Family(
    "IPv6",
    "fd02::1/64",
    ("fd02::1", "fd02::2"),
    ("ipv6_src", "ipv6_dst"),
    b"\x86\xdd",
    inner=70,
    src=22,
    dst=38,
    ttl=21,
    refused="-csum",
)


def tunnel(family, ends, more, flags):
    """A tunnel's part of a key, or what set() has."""
    src, dst = (f"{key}={end}" for key, end in zip(family.keys, ends, strict=True))
    return f"tunnel(tun_id=77,{src},{dst},ttl=64,{more}flags({flags}))"


def through(lab, family, port, number):
    """Into the tunnel, and out of it; `port` is the tunnel's."""
    ask = lab.model.ask
    there = tunnel(family, family.ends, "tp_dst=4789,", "key")
    lab.add(IP, f"set({there}),{port}")
    lab.only("hardware")
    before = lab.cpu()
    outer = lab.model.capture("uplink", lambda: lab.model.send("vf0", count=3))
    udp = family.inner - 16
    outer = [
        f for f in outer if f[12:14] == family.eth_type and f[udp + 2 : udp + 4] == b"\x12\xb5"
    ]
    expect("frames through the tunnel", [len(f) for f in outer], [60 + family.inner] * 3)
    expect("the tunnel's id", outer[0][family.vni : family.vni + 3].hex(), "00004d")
    expect("the CPU received", lab.cpu() - before, 0)
    lab.counted(3, 180)
    lab.clear()

    back = tunnel(family, reversed(family.ends), "", "+key")
    sh("ovs-dpctl", "add-flow", "dp0", f"in_port({port}),{back},{IP}", str(number("vf1")))
    lab.only("hardware")
    frame = family.answered(outer[0])

    def sent(frame):
        return lab.model.capture("vf1", partial(ask, "send", port="uplink", hex=frame.hex()))

    before = lab.cpu()
    expect(
        "frames out of the tunnel", [f.hex() for f in sent(frame)], [frame[family.inner :].hex()]
    )
    expect("the CPU received", lab.cpu() - before, 0)
    lab.counted(1)
    # Packets of another tunnel are another flow's.
    end = family.dst - family.src - 1
    for what, at, value in (
        ("id", family.vni + 2, 0x4E),
        ("source", family.src + end, 3),
        ("destination", family.dst + end, 4),
        ("TTL", family.ttl, 63),
    ):
        other = family.correct(frame[:at] + bytes([value]) + frame[at + 1 :])
        before = lab.cpu()
        expect(f"frames of a tunnel with another {what}", sent(other), [])
        time.sleep(0.3)
        expect(f"the CPU received what has another {what}", lab.cpu() - before, 1)
    lab.counted(1)
    lab.clear()

    # What the driver does not say is software's.
    back = tunnel(family, reversed(family.ends), "", family.refused + "+key")
    sh("ovs-dpctl", "add-flow", "dp0", f"in_port({port}),{back},{IP}", str(number("vf1")))
    lab.only("refused", "which the driver does not take")
    lab.clear()
    lab.add(IP, str(port))
    lab.only("refused", "without a tunnel")


def add_cases(suite, fresh, number, ports):
    """The cases of this file."""

    def case_of(family):
        @suite.case(f"VXLAN over {family.name}: into the tunnel, and what comes out of it alone")
        @fresh
        def case(lab):
            up = lab.devs["uplink"]
            with open(f"/proc/sys/net/ipv6/conf/{up}/disable_ipv6", "w") as f:
                f.write("0" if family is V6 else "1")
            run(f"ip addr add {family.net} dev {up}" + (" nodad" if family is V6 else ""))
            run(f"ip neigh replace {family.ends[1]} lladdr {REMOTE_MAC} dev {up} nud permanent")
            run("ip link add vx0 type vxlan dstport 4789 external udp6zerocsumrx")
            run("ip link set vx0 up")
            run("ovs-dpctl add-if dp0 vx0")
            try:
                through(lab, family, len(ports) + 1, number)
            finally:
                lab.clear()
                run("ovs-dpctl del-if dp0 vx0", check=False)
                run("ip link del vx0", check=False)
                run(f"ip addr del {family.net} dev {up}", check=False)
                with open(f"/proc/sys/net/ipv6/conf/{up}/disable_ipv6", "w") as f:
                    f.write("1")

        return case

    for family in (V4, V6):
        case_of(family)
