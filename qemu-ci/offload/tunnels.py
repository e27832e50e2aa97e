# SPDX-License-Identifier: GPL-2.0
"""Inside the guest: ovs-vswitchd's tunnels in the switch of the device model."""

import contextlib
import os
import time

from model import kernel_trouble, run, sh, statistic
from suite import Failed, expect, expect_true

OVS_CTL = "/usr/share/openvswitch/scripts/ovs-ctl"
SYSTEM_PORT = "vxlan_sys_4789"
REMOTE_MAC = bytes.fromhex("020000000099")
DF = 0x40
# The model's names of the ports that are used.
NAMES = ("uplink", "vf0", "vf1")
# Whether the kernel hands over packets that hardware has not finished.
CHAINS = bool(os.environ.get("CHAINS"))
# In captured frames: outer Ethernet, IPv4, UDP and VXLAN header.
OUTER = 50


@contextlib.contextmanager
def vswitchd(lab):
    """ovs-vswitchd runs, with no bridge; the datapath is as it was afterwards."""
    run("ovs-dpctl del-dp dp0")
    sh(OVS_CTL, "start", "--system-id=random", "--no-mlockall")
    try:
        yield
    finally:
        for bridge in run("ovs-vsctl list-br", check=False).split():
            run(f"ovs-vsctl del-br {bridge}", check=False)
        sh(OVS_CTL, "stop", check=False)
        run("ovs-dpctl del-dp ovs-system", check=False)
        run("ovs-dpctl add-dp dp0")
        for dev in lab.devs.values():
            run(f"ovs-dpctl add-if dp0 {dev}")


def checksummed(header):
    """An IPv4 header with its checksum."""
    header = header[:10] + b"\0\0" + header[12:]
    total = sum(int.from_bytes(header[i : i + 2], "big") for i in range(0, 20, 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return header[:10] + (total ^ 0xFFFF).to_bytes(2, "big") + header[12:]


def answer(outer, df):
    """The answer to a packet that came out through the tunnel, with the outer
    "do not fragment" flag or without."""
    ip = bytearray(outer[14:34])
    ip[6:8] = bytes([DF if df else 0, 0])
    ip[12:16], ip[16:20] = outer[30:34], outer[26:30]
    inner = bytearray(outer[OUTER:])
    inner[0:6], inner[6:12] = outer[OUTER + 6 : OUTER + 12], outer[OUTER : OUTER + 6]
    inner[26:30], inner[30:34] = outer[OUTER + 30 : OUTER + 34], outer[OUTER + 26 : OUTER + 30]
    head = outer[6:12] + outer[0:6] + outer[12:14] + checksummed(bytes(ip))
    return head + outer[34:OUTER] + bytes(inner)


def comparable(frame):
    """What hardware fills in as software does: not the identification, "do not
    fragment", the header's checksum and the source port. Up to the inner UDP
    checksum: the generator stamps its payload with the time."""
    frame = bytearray(frame[: OUTER + 40])
    for start, end in ((18, 22), (24, 26), (34, 36)):
        frame[start:end] = bytes(end - start)
    return bytes(frame).hex()


def add_cases(suite, fresh, tool, tool_path):
    """The cases of this file."""

    def policy(setting):
        sh("python3", tool_path, "set", setting)

    @suite.case("ovs-vswitchd: VXLAN both ways, and what the policies make of it")
    @fresh
    def both_ways(lab):
        up = lab.devs["uplink"]
        run(f"ip addr add 192.0.2.1/24 dev {up}")
        mac = ":".join(f"{b:02x}" for b in REMOTE_MAC)
        run(f"ip neigh replace 192.0.2.2 lladdr {mac} dev {up} nud permanent")
        try:
            with vswitchd(lab):
                return through_tunnel(lab)
        finally:
            policy("auto")
            run(f"ip addr del 192.0.2.1/24 dev {up}", check=False)

    @suite.case("VXLAN whose end is on an internal port: the host's part of the way, too")
    @fresh
    def internal_end(lab):
        mac = ":".join(f"{b:02x}" for b in REMOTE_MAC)
        run("ip addr add 192.0.2.1/24 dev dp0")
        run("ip link set dp0 up")
        run(f"ip neigh replace 192.0.2.2 lladdr {mac} dev dp0 nud permanent")
        run("ip link add vx0 type vxlan dstport 4789 external udp6zerocsumrx")
        run("ip link set vx0 up")
        run("ovs-dpctl add-if dp0 vx0")
        try:
            return through_internal(lab)
        finally:
            lab.clear()
            run("ovs-dpctl del-if dp0 vx0", check=False)
            run("ip link del vx0", check=False)
            run("ip addr del 192.0.2.1/24 dev dp0", check=False)
            run("ip link set dp0 down", check=False)

    def through_internal(lab):
        ports = {p["name"]: p["port-no"] for p in tool("ports", "--dp", "dp0")}
        vx0, up, vf0, vf1 = (ports[n] for n in ("vx0", *(lab.devs[d] for d in NAMES)))
        tunnel = "tunnel(tun_id=77,src={},dst={},ttl=64,{}flags({}))"
        there = tunnel.format("192.0.2.1", "192.0.2.2", "tp_dst=4789,", "key")
        back = tunnel.format("192.0.2.2", "192.0.2.1", "", "+key")
        ip = "eth_type(0x0800),ipv4()"

        def addr():
            with open("/sys/class/net/dp0/address") as f:
                return f.read().strip()

        flows = {
            "into the tunnel": (f"in_port({vf0}),eth(),{ip}", f"set({there}),{vx0}"),
            "from the host": (f"in_port(0),eth(),{ip}", str(up)),
            "to the host": (f"in_port({up}),eth(dst={addr()}),{ip}", "0"),
            "out of the tunnel": (f"in_port({vx0}),{back},eth(),{ip}", str(vf1)),
        }
        for key, actions in flows.values():
            sh("ovs-dpctl", "add-flow", "dp0", key, actions)

        def states():
            """State and reason of the flows from a port."""
            return {
                f["port-no"]: (f["state"], f.get("reason") or f.get("driver") or "")
                for f in lab.settle()
            }

        def until(what, port, state, reason=""):
            deadline = time.monotonic() + 5
            while True:
                got = states().get(port)
                if got and got[0] == state and reason in got[1]:
                    return
                if time.monotonic() > deadline:
                    raise Failed(f"{what}: {got}, expected {state} {reason}; all: {states()}")
                time.sleep(0.2)

        if not CHAINS:
            until("to the host", up, "refused", "output to an internal port")
            until("from the host", 0, "refused", "input port is an internal port")
            return "this kernel cannot hand over packets there: refused"
        for what, port in zip(flows, (vf0, 0, up, vx0), strict=True):
            until(what, port, "hardware")

        def encapsulated(count):
            sent = lab.model.capture("uplink", lambda: lab.model.send("vf0", count=count))
            return [f for f in sent if f[12:14] == b"\x08\0"]

        def decapsulated(frame, count):
            def send():
                for _ in range(count):
                    lab.model.ask("send", port="uplink", hex=frame.hex())
                time.sleep(0.3)

            return lab.model.capture("vf1", send)

        before = lab.cpu()
        outer = encapsulated(3)
        expect("frames into the tunnel", [len(f) for f in outer], [110] * 3)
        expect("to", outer[0][:6], REMOTE_MAC)
        expect("the CPU received, on the way there", lab.cpu() - before, 0)
        frame = answer(outer[0], True)
        got = [f.hex() for f in decapsulated(frame, 3)]
        expect("frames out of the tunnel", got, [frame[OUTER:].hex()] * 3)
        expect("the CPU received", lab.cpu() - before, 0)

        # What no rule of the tunnel takes comes in at the host.
        def received():
            return statistic("vx0", "rx_packets")

        sh("ovs-dpctl", "del-flow", "dp0", flows["out of the tunnel"][0])
        time.sleep(0.5)
        before = received()
        expect("frames out of the tunnel", decapsulated(frame, 5), [])
        expect("the tunnel's device received", received() - before, 5)

        # It follows what the device is like.
        run("ip link set dp0 down")
        until("to the host, down", up, "refused", "that is down")
        until("from the host, down", 0, "no-block")
        run("ip link set dp0 up")
        until("to the host, up again", up, "hardware")
        until("from the host, up again", 0, "hardware")
        was = addr()
        run("ip link set dp0 address 02:00:00:00:00:77")
        until("to the host, another address", up, "refused", "may not be for its address")
        run(f"ip link set dp0 address {was}")
        until("to the host, its own address", up, "hardware")
        expect("kernel log", kernel_trouble(), [])
        return "neither way through the CPU"

    def through_tunnel(lab):
        run("ovs-vsctl add-br br0")
        run(f"ovs-vsctl add-port br0 {lab.devs['vf0']}")
        run(
            "ovs-vsctl add-port br0 vx0 -- set interface vx0 type=vxlan "
            "options:remote_ip=192.0.2.2 options:key=77"
        )
        policy("never")
        time.sleep(1)

        def there(count=3):
            lab.model.send("vf0", count=count, rate=200)
            time.sleep(0.5)

        def outer(count=3):
            frames = lab.model.capture("uplink", lambda: there(count))
            return [f for f in frames if f[12:14] == b"\x08\0"]

        def back(frame, count=3):
            def send():
                for _ in range(count):
                    lab.model.ask("send", port="uplink", hex=frame.hex())
                time.sleep(0.5)

            return lab.model.capture("vf0", send)

        def states(number):
            """State and reason of the flows that match on a port. Those that were
            idle for ten seconds have gone: there is traffic first."""
            there(1)
            back(frame, 1)
            time.sleep(1)
            flows = [f for f in tool("flows") if f["port-no"] == number]
            return [(f["state"], f.get("reason") or "") for f in flows]

        # Both ends have to be learned before the flows are not floods.
        soft_out = outer()
        expect("frames through the tunnel, in software", len(soft_out), 3)
        expect("do not fragment, in software", soft_out[0][20] & DF, DF)
        frame, other = answer(soft_out[0], True), answer(soft_out[0], False)
        for _ in range(2):
            back(frame)
            outer()
            time.sleep(0.5)
        inner = [frame[OUTER:].hex()] * 3
        soft_in = [f.hex() for f in back(frame)]
        expect("frames out of the tunnel, in software", soft_in, inner)

        ports = {p["name"]: p for p in tool("ports", "--dp", "ovs-system")}
        expect_true("hardware behind the tunnel", ports[SYSTEM_PORT].get("bound"), str(ports))
        tunnel, vf0 = (ports[name]["port-no"] for name in (SYSTEM_PORT, lab.devs["vf0"]))

        # Exactly as in software: into the tunnel only.
        policy("auto")
        expect("into the tunnel, auto", [s for s, _ in states(vf0)], ["hardware"])
        got = states(tunnel)
        expect("out of the tunnel, auto", [s for s, _ in got], ["refused"])
        expect_true("the reason", "which the driver does not take" in got[0][1], str(got))
        before = lab.cpu()
        back(frame, 20)
        expect("the CPU received, auto", lab.cpu() - before, 20)

        policy("always")
        got = states(tunnel)
        expect("out of the tunnel, always", [s for s, _ in got], ["hardware"])
        expect_true("it says how", "without a match on the tunnel" in got[0][1], str(got))
        expect("into the tunnel, always", [s for s, _ in states(vf0)], ["hardware"])
        before = lab.cpu()
        hard_in = [f.hex() for f in back(frame)]
        expect("frames out of the tunnel", hard_in, soft_in)
        hard_out = outer()
        expect("more of them", len(back(frame, 200)), 200)
        expect("frames into it", [comparable(f) for f in hard_out], [comparable(soft_out[0])] * 3)
        # What this policy is: a packet that differs in the flag alone is not
        # told apart.
        expect("frames with the other flag", len(back(other)), 3)
        cpu = lab.cpu() - before
        expect("the CPU received, always", cpu, 0)

        policy("auto")
        expect("out of the tunnel, auto again", [s for s, _ in states(tunnel)], ["refused"])
        before = lab.cpu()
        expect("frames with the other flag, in software", len(back(other)), 3)
        expect("the CPU received, auto again", lab.cpu() - before, 3)
        return f"{cpu} of 209 packets through the CPU"
