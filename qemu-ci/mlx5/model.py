# SPDX-License-Identifier: GPL-2.0
"""What runs inside the guest: the model's control port, the driver, tc."""

import array
import fcntl
import glob
import json
import os
import re
import socket
import struct
import subprocess
import time

KERNELS = os.path.join(os.path.dirname(__file__), "..", "kernels")
with open(os.path.join(KERNELS, "trouble.re"), encoding="ascii") as lines:
    TROUBLE = re.compile("|".join(lines.read().splitlines()))


class Refused(Exception):
    """The model refused a request."""


class Model:
    """The device model's control socket, as a serial port of the guest."""

    def __init__(self):
        # The port is there when virtio_console has found it.
        deadline = time.monotonic() + 20
        while True:
            for name in glob.glob("/sys/class/virtio-ports/*/name"):
                with open(name) as f:
                    if f.read().strip() == "mlx5-model":
                        node = "/dev/" + name.split("/")[-2]
                        self.port = open(node, "r+b", buffering=0)
                        return
            if time.monotonic() > deadline:
                raise RuntimeError("no serial port named mlx5-model")
            subprocess.run(["modprobe", "-q", "virtio_console"], check=False)
            time.sleep(0.2)

    def ask(self, cmd, **args):
        """One request; keys as `mlx5-model ctl` has them."""
        line = json.dumps(dict(args, cmd=cmd)) + "\n"
        self.port.write(line.encode())
        answer = b""
        while not answer.endswith(b"\n"):
            part = self.port.read(65536)
            if not part:
                raise RuntimeError("the model has closed its control socket")
            answer += part
        result = json.loads(answer)
        if not result.get("ok"):
            raise Refused(result.get("error"))
        return result

    def port_stats(self, port):
        return self.ask("ports")["ports"][port]

    def send(self, port, count=1, timeout=20, **args):
        """Send frames into the switch from the far side; wait till all left."""
        stream = args.setdefault("stream", 1)
        self.ask("gen", port=port, count=count, **args)
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            for s in self.ask("gen-status")["streams"]:
                if s["stream"] == stream and s["done"]:
                    return
            time.sleep(0.02)
        raise RuntimeError(f"stream {stream} did not end in {timeout} s")

    def arrived(self, port, stream=1):
        """Frames of a stream that came out at a port."""
        streams = self.port_stats(port)["streams"]
        return streams.get(str(stream), {}).get("packets", 0)

    def capture(self, port, action):
        """The frames that come out at a port while action() runs."""
        self.ask("capture", port=port, on=True)
        try:
            action()
            time.sleep(0.1)
            frames = self.ask("captured", port=port)["frames"]
        finally:
            self.ask("capture", port=port, on=False)
        return [bytes.fromhex(f) for f in frames]


def sh(*args, check=True):
    """Run a command; give what it printed."""
    p = subprocess.run(args, capture_output=True, text=True, check=False)
    if check and p.returncode:
        raise RuntimeError(f"{' '.join(args)}: {p.stderr.strip() or p.stdout.strip()}")
    return p.stdout


def run(line, check=True):
    return sh(*line.split(), check=check)


def wait_for_other(shared, name, mark, timeout):
    """Wait for a mark in what two guests share, or for the end of the one without
    this name: see mlx5_both in lib.sh.
    """
    over = shared / ("c.over" if name == "ours" else "ours.over")
    deadline = time.monotonic() + timeout
    while not (shared / mark).exists() and not over.exists():
        if time.monotonic() > deadline:
            raise RuntimeError(f"the other guest did not get to {mark}")
        time.sleep(0.3)


def pci_device():
    """The model's address on the PCI bus."""
    for d in glob.glob("/sys/bus/pci/devices/*"):
        with open(d + "/vendor") as v, open(d + "/device") as p:
            if (v.read().strip(), p.read().strip()) == ("0x15b3", "0x1017"):
                return os.path.basename(d)
    raise RuntimeError("no PCI device 15b3:1017")


def netdevs():
    return {n for n in os.listdir("/sys/class/net")}


def statistic(dev, name):
    with open(f"/sys/class/net/{dev}/statistics/{name}") as f:
        return int(f.read())


def ethtool_stats(dev):
    """ethtool -S as a dictionary, without a process."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:

        def ask(data):
            address = data.buffer_info()[0]
            fcntl.ioctl(s, 0x8946, struct.pack("16sP8x", dev.encode(), address))  # SIOCETHTOOL

        info = array.array(
            "B", struct.pack("=IIQI", 0x37, 0, 1 << 1, 0)
        )  # GSSET_INFO, ETH_SS_STATS
        ask(info)
        n = struct.unpack_from("=I", info, 16)[0]
        names = array.array("B", struct.pack("=III", 0x1B, 1, n) + bytes(32 * n))  # GSTRINGS
        ask(names)
        values = array.array("B", struct.pack("=II", 0x1D, n) + bytes(8 * n))  # GSTATS
        ask(values)
    names, values = names.tobytes()[12:], struct.unpack_from(f"={n}Q", values, 8)
    return {names[32 * i : 32 * i + 32].split(b"\0")[0].decode(): v for i, v in enumerate(values)}


def cpu_rx(dev):
    """Frames that the CPU received on a netdev. A representor's own RX counter
    is that of its function's vport, which counts what the switch forwarded."""
    return ethtool_stats(dev)["rx_packets"]


def load(timeout=60):
    """Load the driver and give the uplink's netdev. $MLX5_KO names a module
    file to load in place of the kernel's own."""
    module = os.environ.get("MLX5_KO")
    if module and not os.path.exists("/sys/module/mlx5_core"):
        for dep in ("mlxfw", "psample", "vxlan", "pci-hyperv-intf", "act_ct", "nf_flow_table"):
            sh("modprobe", "-q", dep, check=False)
        run(f"insmod {module}")
    else:
        run("modprobe mlx5_core")
    pci = pci_device()
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        names = glob.glob(f"/sys/bus/pci/devices/{pci}/net/*")
        if names:
            return os.path.basename(names[0])
        time.sleep(0.1)
    raise RuntimeError("the driver made no netdev")


def eswitch(mode):
    run(f"devlink dev eswitch set pci/{pci_device()} mode {mode}")


def representors():
    """Names of the representors, in the order of their functions: the far
    side of the first is the model's port vf0."""
    ports = json.loads(run("devlink -j port show"))["port"]
    vfs = [(p["vfnum"], p["netdev"]) for p in ports.values() if p.get("flavour") == "pcivf"]
    return [name for _, name in sorted(vfs)]


def uplink():
    ports = json.loads(run("devlink -j port show"))["port"]
    return [p["netdev"] for p in ports.values() if p.get("flavour") == "physical"][0]


def quiet_ipv6():
    """No unasked-for frames from the guest's own stack."""
    for key in ("default", "all"):
        with open(f"/proc/sys/net/ipv6/conf/{key}/disable_ipv6", "w") as f:
            f.write("1")


def switchdev():
    """Driver loaded, switchdev mode, all ports up: uplink and representors."""
    quiet_ipv6()
    load()
    eswitch("switchdev")
    up, reps = uplink(), representors()
    for n in [up, *reps]:
        run(f"ip link set {n} up")
    return up, reps


def raw_send(dev, frames):
    """Send frames out of a netdev."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as s:
        s.bind((dev, 0))
        for f in frames:
            s.send(f)


def checksum(data):
    """Ones' complement sum over 16-bit words, as it goes into a header."""
    data = data + b"\0" * (len(data) % 2)
    s = sum(int.from_bytes(data[i : i + 2], "big") for i in range(0, len(data), 2))
    while s >> 16:
        s = (s & 0xFFFF) + (s >> 16)
    return (~s & 0xFFFF).to_bytes(2, "big")


def icmp(kind, code=0):
    """An ICMP frame from 02::01 10.0.0.1 to 02::02 10.0.0.2."""
    f = bytearray(udp())
    f[23], f[24:26] = 1, b"\0\0"
    f[24:26] = checksum(bytes(f[14:34]))
    f[34:38] = bytes([kind, code, 0, 0])
    f[36:38] = checksum(bytes(f[34:]))
    return bytes(f)


def udp(src=1, dst=2, sport=1000, dport=2000, payload=b"", size=60):
    """A UDP frame from 02::src 10.0.0.src to 02::dst 10.0.0.dst."""
    payload = payload.ljust(size - 42, b"\0")
    length = 28 + len(payload)
    ip = bytearray([0x45, 0]) + length.to_bytes(2, "big") + bytes([0, 0, 0, 0, 64, 17, 0, 0])
    ip += bytes([10, 0, 0, src, 10, 0, 0, dst])
    ip[10:12] = checksum(bytes(ip))
    head = bytes([2, 0, 0, 0, 0, dst, 2, 0, 0, 0, 0, src, 8, 0])
    ports = sport.to_bytes(2, "big") + dport.to_bytes(2, "big")
    return head + bytes(ip) + ports + (length - 20).to_bytes(2, "big") + b"\0\0" + payload


class Tc:
    """Flower rules on a device's ingress."""

    def __init__(self, *devs):
        for m in (
            "sch_ingress",
            "cls_flower",
            "act_mirred",
            "act_gact",
            "act_vlan",
            "act_pedit",
            "act_csum",
        ):
            sh("modprobe", "-q", m, check=False)
        self.devs = devs
        for d in devs:
            run(f"tc qdisc add dev {d} ingress")

    def close(self):
        for d in self.devs:
            run(f"tc qdisc del dev {d} ingress", check=False)

    @staticmethod
    def add(dev, rule, prio=1, proto="all", chain=0, handle=1, where="skip_sw"):
        run(
            f"tc filter add dev {dev} ingress protocol {proto} chain {chain} prio {prio} "
            f"handle {handle} flower {where} {rule}"
        )

    @staticmethod
    def delete(dev, prio=1, chain=0):
        run(f"tc filter del dev {dev} ingress chain {chain} prio {prio}")

    @staticmethod
    def show(dev):
        return json.loads(run(f"tc -s -j filter show dev {dev} ingress"))

    @classmethod
    def stats(cls, dev, prio=1, chain=0):
        """Hardware packets and bytes of a rule, and whether it is in hardware."""
        for f in cls.show(dev):
            o = f.get("options", {})
            if f.get("pref") == prio and f.get("chain", 0) == chain and "actions" in o:
                # Not every action has counters of its own.
                stats = [a.get("stats", {}) for a in o["actions"]]
                packets, size = max((s.get("hw_packets", 0), s.get("hw_bytes", 0)) for s in stats)
                return packets, size, o.get("in_hw", False)
        raise RuntimeError(f"no rule of priority {prio} on {dev}")

    @classmethod
    def wait_stats(cls, dev, packets, prio=1, chain=0, timeout=6):
        """The driver reads the counters once a second."""
        deadline = time.monotonic() + timeout
        while True:
            got = cls.stats(dev, prio, chain)
            if got[0] >= packets or time.monotonic() > deadline:
                return got
            time.sleep(0.2)


def udp6(payload=b"", size=78):
    """A UDP frame from 02::1 fd00::1 to 02::2 fd00::2, with its checksum."""
    payload = payload.ljust(size - 62, b"\0")
    length = (8 + len(payload)).to_bytes(2, "big")
    addresses = bytes.fromhex("fd" + "00" * 14 + "01" + "fd" + "00" * 14 + "02")
    ports = (1000).to_bytes(2, "big") + (2000).to_bytes(2, "big")
    data = addresses + length + b"\0\x11" + ports + length + payload
    head = bytes([2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x86, 0xDD])
    ip = b"\x60\0\0\0" + length + b"\x11\x40" + addresses
    return head + ip + ports + length + checksum(data) + payload


def offloaded(model, packets):
    """The model's own count: entries whose counter stands at `packets`."""
    hits = []
    for t in model.ask("flows")["tables"]:
        for e in t["entries"]:
            hits += [c for c in e["counters"] if c["packets"] == packets]
    return hits


def kernel_trouble(known=None):
    """Lines of the kernel log that must not be there, but for a warning of the
    function `known`. A stall that RCU reports is none of them: it says that this
    machine gave the guest no time. Nor is what PROVE_RCU_LIST says of the driver,
    which goes through its list of tunnels under a mutex."""
    known = re.compile("INFO: rcu|soft lockup" + (f"|WARNING:.*{known}" if known else ""))
    log = run("dmesg").splitlines()
    found = []
    for n, line in enumerate(log):
        place = "".join(log[n + 1 : n + 5])
        drivers_own = "suspicious RCU" in line and "/mellanox/mlx5/core/en/tc_tun_encap.c" in place
        if TROUBLE.search(line) and not known.search(line) and not drivers_own:
            found.append(line)
    return found


def kernel_leaks():
    """What kmemleak finds, on a kernel that has it: two scans, as pointers may be
    in registers during one of them."""
    path = "/sys/kernel/debug/kmemleak"
    if not os.path.exists(path):
        return ""
    for _ in range(2):
        time.sleep(6)
        with open(path, "w") as f:
            f.write("scan")
    with open(path) as f:
        return f.read()
