# SPDX-License-Identifier: GPL-2.0
"""TAP and TUN devices: exact frames in and out."""

import fcntl
import os
import struct

from ovsattr import shorten

TUNSETIFF = 0x400454CA
TUNSETOFFLOAD = 0x400454D0
TUNSETVNETHDRSZ = 0x400454D8
IFF_TUN, IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 1, 2, 0x1000, 0x4000
TUN_F_CSUM, TUN_F_TSO4, TUN_F_TSO6, TUN_F_USO4, TUN_F_USO6 = 1, 2, 4, 32, 64

VNET_NEEDS_CSUM, VNET_DATA_VALID = 1, 2
GSO_NONE, GSO_TCPV4, GSO_UDP, GSO_TCPV6, GSO_UDP_L4 = 0, 1, 3, 4, 5
VNET = struct.Struct("=BBHHHH")


def vnet(flags=0, gso=GSO_NONE, hdr_len=0, gso_size=0, start=0, offset=0):
    """A virtio_net_hdr."""
    return VNET.pack(flags, gso, hdr_len, gso_size, start, offset)


class Tap:
    """A tap (or tun) device of this network namespace.

    Frames are bytes; with `vnet_hdr` each one is preceded by its header, and
    read() shows the header when it says anything.
    """

    def __init__(self, name, tun=False, vnet_hdr=True, offload=0):
        self.name = name
        self.fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        flags = IFF_TUN if tun else IFF_TAP
        flags |= 0 if tun else IFF_NO_PI
        if vnet_hdr:
            flags |= IFF_VNET_HDR
        fcntl.ioctl(self.fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), flags))
        if vnet_hdr:
            fcntl.ioctl(self.fd, TUNSETVNETHDRSZ, struct.pack("=i", VNET.size))
            fcntl.ioctl(self.fd, TUNSETOFFLOAD, offload)
        self.vnet_hdr = vnet_hdr

    def close(self):
        if self.fd >= 0:
            os.close(self.fd)
        self.fd = -1

    def write(self, frame, header=None):
        """Inject one frame; returns 0 or the errno of the write."""
        if self.vnet_hdr:
            frame = (header or bytes(VNET.size)) + frame
        try:
            os.write(self.fd, frame)
        except OSError as exc:
            return exc.errno
        return 0

    def read(self, raw=False):
        """All frames that wait, as hex with what the header says; long ones
        are shortened unless `raw`."""
        out = []
        if self.fd < 0:
            return out
        while True:
            try:
                data = os.read(self.fd, 70000)
            except (BlockingIOError, OSError):
                return out
            note = ""
            if self.vnet_hdr:
                head, data = data[: VNET.size], data[VNET.size :]
                if any(head):
                    note = f"vnet{VNET.unpack(head)} "
            out.append(note + (data.hex() if raw else shorten(data)))
