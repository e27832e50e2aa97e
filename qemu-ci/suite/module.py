# SPDX-License-Identifier: GPL-2.0
"""Loading and unloading the module under test."""

import os
import subprocess
import time

# What the C module links to, and ours to some of it.
DEPENDS = (
    "nf_conntrack nf_nat nf_conncount nf_defrag_ipv4 nf_defrag_ipv6 "
    "nf_conntrack_ovs nsh psample libcrc32c"
).split()
PORTS = "tun bareudp veth dummy vxlan geneve ip_gre ip6_gre 8021q macvlan".split()
# Nothing is loaded on demand while cases run.
CONNTRACK = (
    "nf_conntrack nf_conntrack_netlink nfnetlink_cttimeout nf_conntrack_ftp nf_conntrack_tftp "
    "nf_nat_ftp nf_nat_tftp nf_tables nft_ct"
).split()


def run(*cmd):
    """(exit status, what it printed)"""
    done = subprocess.run(cmd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return done.returncode, done.stdout.decode(errors="replace").strip()


class Module:
    """`path` is a .ko file, or "C" for the kernel's own module."""

    def __init__(self, path, name="openvswitch"):
        self.path = path
        self.name = name

    @staticmethod
    def prepare(ports=True):
        """Load what cases need; what a kernel has not is no error here."""
        for name in PORTS + CONNTRACK if ports else ():
            run("modprobe", "-q", name)

    def loaded(self):
        with open("/proc/modules") as handle:
            return any(line.split()[0] == self.name for line in handle)

    def load(self):
        """None, or why it failed."""
        if self.path == "C":
            # -i: whatever is installed over the kernel's own is not meant.
            status, text = run("modprobe", self.name)
        else:
            for name in DEPENDS:
                run("modprobe", "-q", name)
            status, text = run("insmod", self.path)
        if status or not self.loaded():
            return text or "not loaded"
        return None

    def unload(self, seconds=10):
        """None, or why it failed: a reference that nobody gives back."""
        end = time.monotonic() + seconds
        while True:
            status, text = run("rmmod", self.name)
            if not status:
                return None
            if time.monotonic() > end:
                return text
            time.sleep(0.2)

    def no_autoload(self):
        """Nothing else may load a module of this name behind our back."""
        try:
            with open("/proc/sys/kernel/modprobe", "w") as handle:
                handle.write("\n")
        except OSError:
            pass

    def srcversion(self):
        try:
            with open(f"/sys/module/{self.name}/srcversion") as handle:
                return handle.read().strip()
        except OSError:
            return ""


def kernel():
    return os.uname().release
