# SPDX-License-Identifier: GPL-2.0
"""Inside the guest: the stock driver on the device model, without tc offload."""

import os
import socket
import struct
import sys

from model import (
    Model,
    cpu_rx,
    eswitch,
    ethtool_stats,
    kernel_trouble,
    load,
    pci_device,
    quiet_ipv6,
    raw_send,
    representors,
    run,
    sh,
    statistic,
    time,
    udp,
    uplink,
)
from suite import Suite, expect, expect_true

suite = Suite("nic")
CYCLES = int(os.environ.get("MLX5_CYCLES", "20"))
FAR = "02:00:00:00:00:99"


class Lab:
    def __init__(self):
        self.model = Model()
        self.up = self.reps = None

    def all_gone(self):
        s = self.model.ask("status")
        expect("objects left", {k: v for k, v in s["objects"].items() if v}, {})
        expect("left at teardown", s["leftovers"], 0)
        expect("flow entries and tables", (s["flow_entries"], s["flow_tables"]), (0, 0))


@suite.case("PCI device 15b3:1017, MSI-X")
def pci(lab):
    with open(f"/sys/bus/pci/devices/{pci_device()}/config", "rb") as f:
        config = f.read()
    expect("vendor and device", config[:4].hex(), "b3151710")
    at, caps = config[0x34], []
    while at:
        caps.append(config[at])
        at = config[at + 1]
    expect("capabilities", sorted(caps), [0x01, 0x10, 0x11])


@suite.case("the stock driver probes; link up; MSI-X in use")
def probe(lab):
    quiet_ipv6()
    lab.up = load()
    run(f"ip link set {lab.up} up")
    run(f"ip addr add 10.9.0.1/24 dev {lab.up}")
    for _ in range(50):
        if "LOWER_UP" in run(f"ip link show {lab.up}"):
            break
        time.sleep(0.1)
    expect_true("link up", "LOWER_UP" in run(f"ip link show {lab.up}"))
    with open("/proc/interrupts") as f:
        lines = [line for line in f if "mlx5" in line]
    expect_true("MSI-X vectors", len(lines) >= 2 and "MSI" in lines[0], str(lines))
    drv = run(f"ethtool -i {lab.up}")
    expect_true("mlx5_core", "mlx5_core" in drv, drv)
    return f"{lab.model.ask('status')['commands']} commands"


@suite.case("ping a host behind the wire")
def ping(lab):
    lab.model.ask("responder", port="uplink", mac=FAR, ip="10.9.0.2")
    out = run("ping -c 20 -i 0.05 -W 2 10.9.0.2")
    expect_true("no loss", " 0% packet loss" in out, out)
    return out.strip().splitlines()[-1]


@suite.case("ping with 1472 bytes")
def big_ping(lab):
    out = run("ping -c 5 -i 0.05 -s 1472 -M do -W 2 10.9.0.2")
    expect_true("no loss", " 0% packet loss" in out, out)


@suite.case("transmit checksum offload")
def tx_checksum(lab):
    run(f"ip neigh replace 10.9.0.2 lladdr {FAR} dev {lab.up}")
    expect_true(
        "offload is on",
        "tx-checksum-ip-generic: on" in run(f"ethtool -k {lab.up}")
        or "tx-checksum-ipv4: on" in run(f"ethtool -k {lab.up}"),
    )
    bad = lab.model.port_stats("uplink")["bad_checksums"]

    def send():
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for n in range(20):
            s.sendto(b"x" * (n + 1), ("10.9.0.2", 7))

    frames = [f for f in lab.model.capture("uplink", send) if f[23] == 17]
    expect("frames", len(frames), 20)
    expect("wrong checksums", lab.model.port_stats("uplink")["bad_checksums"] - bad, 0)
    # The stack leaves the sum of the pseudo-header; the device finishes it.
    expect_true("checksums are not all the same", len({f[40:42] for f in frames}) > 10)
    csum = ethtool_stats(lab.up)["tx_csum_partial"]
    expect_true("the driver left them to the device", csum >= 20, str(csum))


@suite.case("TCP segmentation offload")
def tso(lab):
    payload = bytes(n & 0xFF for n in range(20000))
    eth = bytes.fromhex(FAR.replace(":", "")) + bytes.fromhex("026d6c350000") + b"\x08\x00"
    ip = bytearray(
        struct.pack(
            "!BBHHHBBH4s4s",
            0x45,
            0,
            40 + len(payload),
            7,
            0x4000,
            64,
            6,
            0,
            bytes([10, 9, 0, 1]),
            bytes([10, 9, 0, 2]),
        )
    )
    s = sum(struct.unpack("!10H", ip))
    ip[10:12] = struct.pack("!H", ~(s + (s >> 16)) & 0xFFFF)
    pseudo = sum(struct.unpack("!4H", ip[12:20])) + 6 + 20 + len(payload)
    while pseudo >> 16:
        pseudo = (pseudo & 0xFFFF) + (pseudo >> 16)
    tcp = struct.pack("!HHIIBBHHH", 1, 2, 1000, 0, 0x50, 0x19, 100, pseudo, 0)
    # virtio_net_hdr: needs a checksum, TCPv4 segments of 1400 bytes.
    hdr = struct.pack("=BBHHHH", 1, 1, 54, 1400, 34, 16)
    bad = lab.model.port_stats("uplink")["bad_checksums"]

    def send():
        p = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        p.setsockopt(263, 15, 1)  # SOL_PACKET, PACKET_VNET_HDR
        p.bind((lab.up, 0))
        p.send(hdr + eth + bytes(ip) + tcp + payload)

    before = ethtool_stats(lab.up)
    frames = [f for f in lab.model.capture("uplink", send) if f[23] == 6]
    after = ethtool_stats(lab.up)
    expect("segments", [len(f) - 54 for f in frames], [1400] * 14 + [400])
    expect_true("payload", b"".join(f[54:] for f in frames) == payload)
    expect(
        "sequence numbers",
        [int.from_bytes(f[38:42], "big") for f in frames],
        [1000 + 1400 * n for n in range(15)],
    )
    expect("FIN and PSH on the last only", [f[47] & 9 for f in frames], [0] * 14 + [9])
    expect("wrong checksums", lab.model.port_stats("uplink")["bad_checksums"] - bad, 0)
    expect(
        "packets that the driver left to the device",
        after["tx_tso_packets"] - before["tx_tso_packets"],
        1,
    )


@suite.case("VLAN: tag inserted on send, stripped on receive")
def vlan(lab):
    run(f"ip link add link {lab.up} name {lab.up}.7 type vlan id 7")
    run(f"ip link set {lab.up}.7 up")
    frames = lab.model.capture("uplink", lambda: raw_send(f"{lab.up}.7", [udp()] * 5))
    expect("tags", [f[12:16].hex() for f in frames if f[12:14] == b"\x81\0"], ["81000007"] * 5)
    before = statistic(f"{lab.up}.7", "rx_packets")
    lab.model.send("uplink", count=10, vlan="7", dst="02:6d:6c:35:00:00", dst_ip="10.9.7.1")
    time.sleep(0.3)
    expect("received on the VLAN device", statistic(f"{lab.up}.7", "rx_packets") - before, 10)
    run(f"ip link del {lab.up}.7")


@suite.case("receive: address filter, spreading by flow, wrong checksum noticed")
def receive(lab):
    before = cpu_rx(lab.up)
    lab.model.send("uplink", count=50, dst="02:6d:6c:35:00:00")
    lab.model.send("uplink", count=50, dst="02:6d:6c:35:00:01")
    time.sleep(0.3)
    expect("received of two addresses", cpu_rx(lab.up) - before, 50)
    before = ethtool_stats(lab.up)
    lab.model.send("uplink", count=400, flows=200, rate=4000, dst="02:6d:6c:35:00:00")
    time.sleep(0.5)
    now = ethtool_stats(lab.up)
    names = [f"rx{n}_packets" for n in range(2)]
    rings = {q: now[q] - before[q] for q in names}
    expect("all rings together", sum(rings.values()), 400)
    expect_true(
        "every ring got some", len(rings) >= 2 and all(v > 50 for v in rings.values()), str(rings)
    )
    return str(rings)


@suite.case("vport and port counters")
def counters(lab):
    s = ethtool_stats(lab.up)
    wire = lab.model.port_stats("uplink")
    expect("tx_packets_phy", s["tx_packets_phy"], wire["received"]["packets"])
    expect("rx_packets_phy", s["rx_packets_phy"], wire["sent"]["packets"])


@suite.case("MTU")
def mtu(lab):
    run(f"ip link set {lab.up} mtu 4000")
    out = run("ping -c 3 -i 0.05 -s 3900 -M do -W 2 10.9.0.2")
    expect_true("no loss", " 0% packet loss" in out, out)
    run(f"ip link set {lab.up} mtu 1500")


@suite.case("link down and up again")
def link(lab):
    def wait(word):
        for _ in range(60):
            if (word == "up") == ("LOWER_UP" in run(f"ip link show {lab.up}")):
                return True
            time.sleep(0.1)
        return False

    lab.model.ask("link", up=False)
    expect_true("carrier goes", wait("down"))
    lab.model.ask("link", up=True)
    expect_true("carrier comes", wait("up"))
    expect_true("ping", " 0% packet loss" in run("ping -c 3 -i 0.1 -W 2 10.9.0.2"))


@suite.case("a command that fails is an error to its user, and no more")
def fault(lab):
    lab.model.ask("fault", command="create_tir", kind="no-resources")
    p = sh("ethtool", "-L", lab.up, "combined", "1", check=False)
    lab.model.ask("faults-clear")
    run(f"ethtool -L {lab.up} combined 2", check=False)
    run(f"ip link set {lab.up} up")
    run(f"ip addr replace 10.9.0.1/24 dev {lab.up}")
    time.sleep(0.5)
    expect_true("ping", " 0% packet loss" in run("ping -c 3 -i 0.1 -W 2 10.9.0.2"), p)


class Raw:
    """Commands as bytes, through the driver's own debugfs files."""

    def __init__(self):
        self.dir = f"/sys/kernel/debug/mlx5/{pci_device()}/cmd"

    def write(self, name, data):
        with open(f"{self.dir}/{name}", "wb", buffering=0) as f:
            f.write(data)

    def run(self, command, out_len=16):
        """0, or the error of the command."""
        self.write("in", command)
        self.write("out_len", b"%d" % out_len)
        try:
            self.write("run", b"go")
        except OSError as e:
            return e.errno
        return 0


def command(opcode, op_mod=0, size=16, **words):
    """The bytes of a command; words by their number as w2=..."""
    b = bytearray(size)
    b[0:2], b[6:8] = opcode.to_bytes(2, "big"), op_mod.to_bytes(2, "big")
    for name, v in words.items():
        at = 4 * int(name[1:])
        b[at : at + 4] = v.to_bytes(4, "big")
    return bytes(b)


QUERY_ISSI, QUERY_HCA_CAP, DESTROY_TIR, QUERY_CQ = 0x10A, 0x100, 0x902, 0x402


@suite.case("strict: unknown commands, fields, handles and lengths are refused, and logged")
def strict(lab):
    raw = Raw()
    expect("a command that is right", raw.run(command(QUERY_ISSI), 112), 0)
    bad = {
        "an opcode that nobody knows": command(0x7FF),
        "an opcode that the model does not know": command(QUERY_CQ),
        "a bit that the layout reserves": command(QUERY_ISSI, w2=0x10),
        "capabilities that there are not": command(QUERY_HCA_CAP, op_mod=0x7E),
        "a handle that does not exist": command(DESTROY_TIR, w2=0x777777),
        "a command that is too short": command(QUERY_HCA_CAP, size=8),
    }
    before = lab.model.ask("status")
    for what, c in bad.items():
        expect_true(what, raw.run(c, 4112) != 0, "was accepted")
    now = lab.model.ask("status")
    expect("refused", now["refused"] - before["refused"], len(bad))
    expect("warnings in the model's log", now["warnings"] - before["warnings"], len(bad))
    log = run("dmesg")
    for word in ("bad operation", "bad parameter", "bad resource", "bad input length"):
        expect_true(f"the driver says '{word}'", word in log)
    expect_true("ping", " 0% packet loss" in run("ping -c 2 -i 0.1 -W 2 10.9.0.2"))


@suite.case("a command that fails inside the device is an error, and the driver goes on")
def internal(lab):
    raw = Raw()
    for kind in ("internal", "bad-param", "limit"):
        lab.model.ask("fault", command="query_issi", kind=kind)
        expect_true(kind, raw.run(command(QUERY_ISSI), 112) != 0, "no error")
    expect("and then", raw.run(command(QUERY_ISSI), 112), 0)


@suite.case("a late command is waited for")
def late(lab):
    lab.model.ask("fault", command="query_vport_state", kind="late", ms=1500, times=1)
    start = time.monotonic()
    run(f"ip link set {lab.up} down")
    run(f"ip link set {lab.up} up")
    time.sleep(0.5)
    expect_true("ping", " 0% packet loss" in run("ping -c 3 -i 0.1 -W 3 10.9.0.2"))
    return f"{time.monotonic() - start:.1f} s"


@suite.case("unload: nothing left")
def unload(lab):
    run("modprobe -r mlx5_core")
    lab.all_gone()


@suite.case(f"load, switchdev with 4 representors, slow path, unload: {CYCLES} times")
def cycles(lab):
    for n in range(CYCLES):
        load()
        eswitch("switchdev")
        up, reps = uplink(), representors()
        expect(f"cycle {n}: representors", len(reps), 4)
        if n % 5 == 0:
            r = reps[n % 4]
            run(f"ip link set {up} up")
            run(f"ip link set {r} up")
            time.sleep(0.3)
            before = cpu_rx(r)
            lab.model.send(f"vf{n % 4}", count=20, rate=1000)
            raw_send(r, [udp()] * 10)
            for _ in range(20):
                if cpu_rx(r) - before == 20:
                    break
                time.sleep(0.1)
            expect(f"cycle {n}: from vf{n % 4} to its representor", cpu_rx(r) - before, 20)
        if n % 2:
            eswitch("legacy")
        run("modprobe -r mlx5_core")
        lab.all_gone()
    expect("kernel log", kernel_trouble(), [])
    s = lab.model.ask("status")
    expect("model errors", s["errors"], 0)
    return f"{s['commands']} commands, {s['refused']} refused"


@suite.case("a command that is not answered: the driver's timeout, and it goes on")
def timeout(lab):
    lab.model.ask("cmd-timeout", ms=8000)
    lab.up = load()
    run(f"ip link set {lab.up} up")
    lab.model.ask("fault", command="query_issi", kind="timeout")
    start = time.monotonic()
    errno = Raw().run(command(QUERY_ISSI), 112)
    took = time.monotonic() - start
    lab.model.ask("cmd-timeout", ms=0)
    expect("error", errno, 110)
    expect_true("after 8 s", 7 < took < 40, f"{took:.1f} s")
    expect_true("reported", "timeout. Will cause a leak of a command resource" in run("dmesg"))
    expect("the next one", Raw().run(command(QUERY_ISSI), 112), 0)
    # The driver cannot be unloaded before it has got the command's slot back.
    expect("answered too late", lab.model.ask("answer-late")["answered"], 1)
    for _ in range(50):
        if "completion arrived after timeout" in run("dmesg"):
            break
        time.sleep(0.1)
    expect_true("noticed", "completion arrived after timeout" in run("dmesg"))
    run("modprobe -r mlx5_core")
    lab.all_gone()
    return f"after {took:.1f} s"


@suite.case("a fatal health error is reported, and the driver unloads")
def health(lab):
    load()
    lab.model.ask("health", syndrome=1)
    for _ in range(30):
        time.sleep(1)
        if "firmware internal error" in run("dmesg"):
            break
    expect_true("reported", "firmware internal error" in run("dmesg"))
    lab.model.ask("health", syndrome=0)
    run("modprobe -r mlx5_core")


@suite.case("the model dies: the driver says so, and the guest lives on")
def model_dies(lab):
    lab.up = load()
    run(f"ip link set {lab.up} up")
    seen = run("dmesg")
    lab.model.ask("quit")
    words = ("health compromised", "Fatal error", "device's health", "failed reading from pci")
    for _ in range(60):
        log = run("dmesg")[len(seen) :]
        if any(w in log for w in words):
            break
        time.sleep(0.5)
    expect_true("the driver noticed", any(w in log for w in words), log[-300:])
    expect("the guest's own network", run("ping -c 1 127.0.0.1").count("1 received"), 1)
    return [line for line in log.splitlines() if any(w in line for w in words)][0]


if __name__ == "__main__":
    sys.exit(suite.run(Lab(), only=sys.argv[1] if len(sys.argv) > 1 else None))
