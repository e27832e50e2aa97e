# SPDX-License-Identifier: GPL-2.0
"""The few rtnetlink and ioctl operations that cases need (no ip(8): starting
a program costs seconds under emulation)."""

import fcntl
import os
import socket
import struct

import nlcore
from nlcore import attr, nest, string, u32

RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK = 16, 17, 18
IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_LINK, IFLA_MASTER = 1, 3, 4, 5, 10
IFLA_LINKINFO, IFLA_NET_NS_FD, IFLA_PROMISCUITY = 18, 28, 30
IFLA_STATS64, IFLA_ALT_IFNAME, IFLA_PROP_LIST = 23, 53, 52
IFF_UP = 1
IFINFO = struct.Struct("=BxHiII")
SIOCETHTOOL = 0x8946
RTM_NEWLINKPROP = 108
RTM_NEWADDR, RTM_NEWNEIGH = 20, 28
IFA_ADDRESS, IFA_LOCAL, IFA_F_NODAD = 1, 2, 2
NDA_DST, NDA_LLADDR, NUD_PERMANENT = 1, 2, 0x80


def packed(address):
    """(family, bytes) of an IP address."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return family, socket.inet_pton(family, address)


class Rtnl:
    """Link operations in one network namespace (that of its creation)."""

    def __init__(self):
        self.nl = nlcore.Socket(nlcore.NETLINK_ROUTE)

    def close(self):
        self.nl.close()

    def _do(self, kind, flags, index=0, set_flags=0, change=0, attrs=b""):
        body = IFINFO.pack(0, 0, index, set_flags, change) + attrs
        ack, msgs = self.nl.transact(kind, flags | nlcore.NLM_F_ACK, body)
        return ack, msgs

    def _check(self, what, ack):
        if ack.errno:
            raise OSError(ack.errno, f"{what}: {os.strerror(ack.errno)}")

    def index(self, name):
        return socket.if_nametoindex(name)

    def add(self, name, kind, data=b"", extra=b""):
        info = nest(IFLA_LINKINFO, string(1, kind), nest(2, data) if data else b"")
        ack, _ = self._do(
            RTM_NEWLINK,
            nlcore.NLM_F_CREATE | nlcore.NLM_F_EXCL,
            attrs=string(IFLA_IFNAME, name) + extra + info,
        )
        self._check(f"add {name}", ack)

    def veth(self, name, peer):
        data = nest(1, IFINFO.pack(0, 0, 0, 0, 0), string(IFLA_IFNAME, peer))
        self.add(name, "veth", data)

    def over(self, name, kind, lower):
        """A virtual device whose packets go through another: it goes when
        that does."""
        data = {"vlan": attr(1, struct.pack("=H", 10)), "macvlan": u32(1, 4)}[kind]
        self.add(name, kind, data, u32(IFLA_LINK, self.index(lower)))

    def delete(self, name):
        ack, _ = self._do(RTM_DELLINK, 0, self.index(name))
        return ack.errno

    def set(self, name, up=None, mtu=None, address=None, new_name=None, netns_fd=None, master=None):
        """Change a link; returns the errno."""
        attrs = b""
        if mtu is not None:
            attrs += u32(IFLA_MTU, mtu)
        if address is not None:
            attrs += attr(IFLA_ADDRESS, bytes.fromhex(address.replace(":", "")))
        if new_name is not None:
            attrs += string(IFLA_IFNAME, new_name)
        if netns_fd is not None:
            attrs += u32(IFLA_NET_NS_FD, netns_fd)
        if master is not None:
            attrs += u32(IFLA_MASTER, master)
        flags = change = 0
        if up is not None:
            change = IFF_UP
            flags = IFF_UP if up else 0
        ack, _ = self._do(RTM_NEWLINK, 0, self.index(name), flags, change, attrs)
        return ack.errno

    def up(self, *names):
        for name in names:
            self._check(f"up {name}", nlcore.Ack(self.set(name, up=True)))

    def address(self, name, address, size):
        """Give a link an address with a prefix of `size` bits."""
        family, data = packed(address)
        ack, _ = self.nl.transact(
            RTM_NEWADDR,
            nlcore.NLM_F_CREATE | nlcore.NLM_F_EXCL | nlcore.NLM_F_ACK,
            struct.pack("=BBBBI", family, size, IFA_F_NODAD, 0, self.index(name))
            + attr(IFA_LOCAL, data)
            + attr(IFA_ADDRESS, data),
        )
        self._check(f"address {address}", ack)

    def neighbour(self, name, address, mac):
        """Tell a link where a neighbour is."""
        family, data = packed(address)
        ack, _ = self.nl.transact(
            RTM_NEWNEIGH,
            nlcore.NLM_F_CREATE | nlcore.NLM_F_EXCL | nlcore.NLM_F_ACK,
            struct.pack("=BxxxiHBB", family, self.index(name), NUD_PERMANENT, 0, 0)
            + attr(NDA_DST, data)
            + attr(NDA_LLADDR, bytes.fromhex(mac.replace(":", ""))),
        )
        self._check(f"neighbour {address}", ack)

    def altname(self, name, alt):
        ack, _ = self._do(
            RTM_NEWLINKPROP,
            nlcore.NLM_F_CREATE | nlcore.NLM_F_EXCL,
            self.index(name),
            attrs=nest(IFLA_PROP_LIST, string(IFLA_ALT_IFNAME, alt), flag=True),
        )
        self._check("altname", ack)

    def get(self, name):
        """What a user sees of a link."""
        ack, msgs = self._do(RTM_GETLINK, 0, attrs=string(IFLA_IFNAME, name))
        if ack.errno:
            return {"errno": nlcore.errname(ack.errno)}
        body = msgs[0].body
        flags = struct.unpack_from("=I", body, 8)[0]
        attrs = nlcore.attr_dict(body[IFINFO.size :])
        info = nlcore.attr_dict(attrs.get(IFLA_LINKINFO, b""))
        stats = struct.unpack("=24Q", attrs[IFLA_STATS64][:192])
        names = (
            "rx_packets tx_packets rx_bytes tx_bytes rx_errors tx_errors rx_dropped tx_dropped"
        ).split()

        def text(value):
            return value.rstrip(b"\0").decode() if value else None

        master = attrs.get(IFLA_MASTER)
        out = {
            "flags": f"{flags:#x}",
            "type": struct.unpack_from("=H", body, 2)[0],
            "mtu": struct.unpack("=I", attrs[IFLA_MTU])[0],
            "promiscuity": struct.unpack("=I", attrs[IFLA_PROMISCUITY])[0],
            "kind": text(info.get(1)),
            "slave_kind": text(info.get(4)),
            "stats": dict(zip(names, stats, strict=False)),
        }
        for number, key in (
            (50, "min_mtu"),
            (51, "max_mtu"),
            (13, "txqlen"),
            (31, "tx_queues"),
            (32, "rx_queues"),
            (16, "operstate"),
            (33, "carrier"),
        ):
            if number in attrs:
                out[key] = int.from_bytes(attrs[number], "little")
        if 6 in attrs:
            out["qdisc"] = text(attrs[6])
        if master:
            number = struct.unpack("=I", master)[0]
            try:
                out["master"] = socket.if_indextoname(number)
            except OSError:
                out["master"] = "?"
        return out


def _ethtool(name, request):
    """One SIOCETHTOOL; returns (errno, the buffer as the kernel left it)."""
    import array

    buf = array.array("B", request)
    addr, _ = buf.buffer_info()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            fcntl.ioctl(sock, SIOCETHTOOL, struct.pack("16sP", name.encode(), addr))
        except OSError as exc:
            return exc.errno, b""
    return 0, buf.tobytes()


def ethtool_driver(name):
    err, data = _ethtool(name, struct.pack("=I", 3) + bytes(192))
    if err:
        return nlcore.errname(err)
    return data[4:36].split(b"\0")[0].decode()


def ethtool_link(name):
    err, data = _ethtool(name, struct.pack("=II", 0xA, 0))
    return nlcore.errname(err) if err else struct.unpack("=II", data)[1]


def ethtool_features(name):
    """The five feature words blocks (available, requested, active, never)."""
    err, data = _ethtool(name, struct.pack("=II", 0x3A, 2) + bytes(32))
    return nlcore.errname(err) if err else data[8:].hex()
