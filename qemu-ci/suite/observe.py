# SPDX-License-Identifier: GPL-2.0
"""What the kernel said on the side: its log, and why it dropped packets."""

import os
import re

TRACEFS = "/sys/kernel/tracing"
# SKB_DROP_REASON_SUBSYS_OPENVSWITCH << SKB_DROP_REASON_SUBSYS_SHIFT
OVS_REASONS = (
    "OVS_DROP_LAST_ACTION OVS_DROP_ACTION_ERROR OVS_DROP_EXPLICIT "
    "OVS_DROP_EXPLICIT_WITH_ERROR OVS_DROP_METER OVS_DROP_RECURSION_LIMIT "
    "OVS_DROP_DEFERRED_LIMIT OVS_DROP_FRAG_L2_TOO_LONG "
    "OVS_DROP_FRAG_INVALID_PROTO OVS_DROP_CONNTRACK OVS_DROP_IP_TTL"
).split()

OURS = re.compile(
    r"openvswitch|\bovs\b|ovs:|promiscuous|over-mtu|"
    r"netlink:|user features|deferred action|recursion limit|"
    r"cpu_id mismatch"
)
# Lines of no use: namespaces of earlier cases end when they like, and the
# core's warning about lengths has a rate limit that cannot be lifted.
NOISE = re.compile(
    r"^(?!keep)\S+: left promiscuous|"
    r"^ |^Modules linked in|bytes leftover|"
    r"attribute type \d+ has an invalid length"
)
KERNELS = os.path.join(os.path.dirname(__file__), "..", "kernels")
with open(os.path.join(KERNELS, "trouble.re"), encoding="ascii") as lines:
    SPLAT = re.compile("|".join(lines.read().splitlines()))


class KernelLog:
    """The kernel log from the moment of creation on."""

    def __init__(self):
        self.splats = []
        self.fd = -1
        try:
            self.fd = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
            os.lseek(self.fd, 0, os.SEEK_END)
        except OSError:
            pass

    def close(self):
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    @staticmethod
    def flush():
        """End a line that the kernel has left open for more of it."""
        with open("/dev/kmsg", "w") as handle:
            handle.write("-\n")

    def read(self):
        """New lines that concern the module; splats are kept apart too."""
        out = []
        while self.fd >= 0:
            try:
                data = os.read(self.fd, 8192)
            except BlockingIOError:
                break
            except BrokenPipeError:
                out.append("<log overrun>")
                continue
            text = data.decode(errors="replace").split(";", 1)[-1]
            text = text.split("\n")[0]
            if SPLAT.search(text):
                self.splats.append(text)
                # Addresses and line numbers are not the same twice.
                out.append("SPLAT " + re.split(r" at | \[", text)[0])
            elif OURS.search(text) and not NOISE.search(text):
                out.append(text)
        return out


class Drops:
    """skb:kfree_skb events of this process, through tracefs, if it is there.

    `available` says whether it is: a case that is about drop reasons alone
    skips where it is not.
    """

    def __init__(self):
        self.dir = os.path.join(TRACEFS, "instances", f"ovs{os.getpid():d}")
        self.fd = -1
        try:
            os.mkdir(self.dir)
            event = os.path.join(self.dir, "events/skb/kfree_skb")
            with open(event + "/filter", "w") as handle:
                handle.write(f"common_pid == {os.getpid():d}")
            with open(event + "/enable", "w") as handle:
                handle.write("1")
            self.fd = os.open(os.path.join(self.dir, "trace_pipe"), os.O_RDONLY | os.O_NONBLOCK)
        except OSError:
            self.close()
        self.available = self.fd >= 0

    def close(self):
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
        try:
            with open(self.dir + "/events/skb/kfree_skb/enable", "w") as h:
                h.write("0")
        except OSError:
            pass
        try:
            os.rmdir(self.dir)
        except OSError:
            pass

    def read(self):
        """Reasons since the last call, in order."""
        text = ""
        while self.fd >= 0:
            try:
                data = os.read(self.fd, 65536)
            except (BlockingIOError, OSError):
                break
            if not data:
                break
            text += data.decode(errors="replace")
        out = []
        for reason in re.findall(r"kfree_skb:.* reason: (\S+)", text):
            if reason.startswith("0x"):
                low = int(reason, 16) & 0xFFFF
                if 1 <= low <= len(OVS_REASONS):
                    reason = OVS_REASONS[low - 1]
            out.append(reason)
        return out
