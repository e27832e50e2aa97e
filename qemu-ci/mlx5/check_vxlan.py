# SPDX-License-Identifier: GPL-2.0
"""Inside the guest: VXLAN encapsulation and decapsulation in the model."""

import os
import sys

from check_tc import Lab, enter, leave
from model import Tc, cpu_rx, raw_send, run, sh, switchdev, time, udp
from suite import Suite, expect, expect_true

suite = Suite("vxlan")
REMOTE_MAC = "02:00:00:00:00:99"
INNER = "02:00:00:00:00:02"

suite.case("load the driver, enter switchdev mode")(enter)


@suite.case("a VXLAN device over the uplink")
def device(lab):
    run(f"ip addr add 192.0.2.1/24 dev {lab.up}")
    run(f"ip neigh replace 192.0.2.2 lladdr {REMOTE_MAC} dev {lab.up} nud permanent")
    sh("modprobe", "-q", "act_tunnel_key", check=False)
    run("ip link add vx0 type vxlan dstport 4789 external udp6zerocsumrx")
    run("ip link set vx0 up")
    lab.tc = Tc(lab.reps[0], "vx0")


@suite.case("encapsulation: the bytes are those of the kernel's own vxlan")
def encap(lab):
    # The kernel's own, for the same inner frame, from a device with a fixed peer.
    run(
        "ip link add vx1 type vxlan id 77 local 192.0.2.1 remote 192.0.2.2 "
        f"dstport 4790 ttl 64 dev {lab.up}"
    )
    run("ip link set vx1 up")
    inner = udp(1, 2)
    soft = [
        f
        for f in lab.model.capture("uplink", lambda: raw_send("vx1", [inner]))
        if f[12:14] == b"\x08\0"
    ]
    run("ip link del vx1")
    lab.tc.add(
        lab.reps[0],
        f"dst_mac {INNER} action tunnel_key set src_ip 192.0.2.1 dst_ip 192.0.2.2 "
        "dst_port 4789 id 77 ttl 64 nocsum pipe action mirred egress redirect dev vx0",
    )
    before = cpu_rx(lab.reps[0])
    hard = lab.model.capture("uplink", lambda: lab.model.send("vf0", count=3))
    hard = [f for f in hard if f[12:14] == b"\x08\0"]
    expect("frames", (len(soft), len(hard)), (1, 3))
    expect("through the CPU", cpu_rx(lab.reps[0]) - before, 0)

    def comparable(f):
        # Identification, header checksum, source port, destination port and
        # the UDP checksum of each may differ.
        f = bytearray(f)
        for start, end in ((18, 22), (24, 26), (34, 38), (40, 42)):
            f[start:end] = bytes(end - start)
        return bytes(f[:50]).hex()

    expect("outer headers", comparable(hard[0]), comparable(soft[0]))
    expect("VXLAN port", int.from_bytes(hard[0][36:38], "big"), 4789)
    expect("inner frame", hard[0][50:64].hex(), inner[:14].hex())
    expect("length", len(hard[0]), 110)
    return f"{hard[0][:50].hex()}"


@suite.case("encapsulation is counted, and none lost")
def encap_count(lab):
    before = lab.model.port_stats("uplink")
    lab.model.send("vf0", count=500, rate=5000)
    time.sleep(0.3)
    after = lab.model.port_stats("uplink")
    expect(
        "came out of the wire", after["received"]["packets"] - before["received"]["packets"], 500
    )
    expect("wrong checksums", after["bad_checksums"] - before["bad_checksums"], 0)
    got = lab.tc.wait_stats(lab.reps[0], 503)
    expect("tc -s", got[0], 503)


@suite.case("decapsulation, and what comes back is what went in")
def decap(lab):
    # tc refuses skip_sw on a device that offloads through another one.
    lab.tc.add(
        "vx0",
        "enc_src_ip 192.0.2.2 enc_dst_ip 192.0.2.1 enc_key_id 77 enc_dst_port 4789 "
        f"dst_mac {INNER} "
        f"action tunnel_key unset pipe action mirred egress redirect dev {lab.reps[1]}",
        where="",
    )
    expect_true("in hardware", lab.tc.stats("vx0")[2])
    inner = udp(3, 2, payload=b"through the tunnel")
    outer = lab.model.capture("uplink", lambda: lab.model.send("vf0", count=1))[-1]
    head = bytearray(outer[:50])
    head[0:6], head[6:12] = outer[6:12], outer[0:6]
    head[26:30], head[30:34] = outer[30:34], outer[26:30]
    frame = bytes(head) + inner.ljust(len(outer) - 50, b"\0")
    before = cpu_rx(lab.up)
    frames = lab.model.capture("vf1", lambda: lab.model.ask("send", port="uplink", hex=frame.hex()))
    expect("frames", len(frames), 1)
    expect("inner frame", frames[0].hex(), frame[50:].hex())
    expect("through the CPU", cpu_rx(lab.up) - before, 0)
    expect_true(
        "another tunnel's packet is not taken",
        not lab.model.capture(
            "vf1",
            lambda: lab.model.ask(
                "send", port="uplink", hex=(frame[:46] + b"\0\0\x4e\0" + frame[50:]).hex()
            ),
        ),
    )


LOCAL6, REMOTE6 = "fd00:1::1", "fd00:1::2"


def over_ipv6(frames):
    return [f for f in frames if f[12:14] == b"\x86\xdd" and f[20] == 17]


@suite.case("IPv6 below: encapsulation, with the bytes of the kernel's own vxlan")
def encap6(lab):
    # The driver reads the device's counters once a second, and gives one that it
    # has not read since to the next rule as it is.
    time.sleep(1.5)
    lab.tc.delete(lab.reps[0])
    run(f"sysctl -qw net.ipv6.conf.{lab.up}.disable_ipv6=0")
    run(f"ip addr add {LOCAL6}/64 dev {lab.up} nodad")
    run(f"ip neigh replace {REMOTE6} lladdr {REMOTE_MAC} dev {lab.up} nud permanent")
    run(
        f"ip link add vx1 type vxlan id 77 local {LOCAL6} remote {REMOTE6} "
        f"dstport 4790 ttl 64 dev {lab.up} udp6zerocsumtx udp6zerocsumrx"
    )
    run("ip link set vx1 up")
    inner = udp(1, 2)
    soft = over_ipv6(lab.model.capture("uplink", lambda: raw_send("vx1", [inner])))
    run("ip link del vx1")
    lab.tc.add(
        lab.reps[0],
        f"dst_mac {INNER} action tunnel_key set src_ip {LOCAL6} dst_ip {REMOTE6} "
        "dst_port 4789 id 77 ttl 64 nocsum pipe action mirred egress redirect dev vx0",
    )
    before = cpu_rx(lab.reps[0])
    hard = over_ipv6(lab.model.capture("uplink", lambda: lab.model.send("vf0", count=3)))
    soft = [f for f in soft if int.from_bytes(f[56:58], "big") == 4790]
    expect("frames", (len(soft), len(hard)), (1, 3))
    expect("through the CPU", cpu_rx(lab.reps[0]) - before, 0)

    def comparable(f):
        # The flow label, the ports and the UDP checksum of each may differ.
        f = bytearray(f)
        for start, end in ((15, 18), (54, 58), (60, 62)):
            f[start:end] = bytes(end - start)
        return bytes(f[:70]).hex()

    expect("outer headers", comparable(hard[0]), comparable(soft[0]))
    expect("VXLAN port", int.from_bytes(hard[0][56:58], "big"), 4789)
    expect("inner frame", hard[0][70:84].hex(), inner[:14].hex())
    got = lab.tc.wait_stats(lab.reps[0], 3)
    expect("tc -s", (got[0], got[2]), (3, True))


@suite.case("IPv6 below: decapsulation")
def decap6(lab):
    lab.tc.delete("vx0")
    lab.tc.add(
        "vx0",
        f"enc_src_ip {REMOTE6} enc_dst_ip {LOCAL6} enc_key_id 77 enc_dst_port 4789 "
        f"dst_mac {INNER} "
        f"action tunnel_key unset pipe action mirred egress redirect dev {lab.reps[1]}",
        where="",
    )
    expect_true("in hardware", lab.tc.stats("vx0")[2])
    outer = over_ipv6(lab.model.capture("uplink", lambda: lab.model.send("vf0", count=1)))[-1]
    head = bytearray(outer[:70])
    head[0:6], head[6:12] = outer[6:12], outer[0:6]
    head[22:38], head[38:54] = outer[38:54], outer[22:38]
    inner = udp(3, 2, payload=b"through the tunnel").ljust(len(outer) - 70, b"\0")
    frame = bytes(head) + inner
    before = cpu_rx(lab.up)
    frames = lab.model.capture("vf1", lambda: lab.model.ask("send", port="uplink", hex=frame.hex()))
    expect("inner frame", [f.hex() for f in frames], [inner.hex()])
    expect("through the CPU", cpu_rx(lab.up) - before, 0)


@suite.case("rules away: encapsulations are freed")
def away(lab):
    lab.tc.close()
    run("ip link del vx0")
    for _ in range(50):
        s = lab.model.ask("status")
        if not s["packet_reformats"] and not s["modify_headers"]:
            break
        time.sleep(0.1)
    expect("packet reformats left", s["packet_reformats"], 0)


suite.case("leave switchdev mode, unload: nothing left, no warning")(leave)


def die(model):
    """Ends this guest at once, in the middle of traffic; check.sh looks at the
    model afterwards, and gives it to the next guest."""
    up, reps = switchdev()
    Tc(reps[0]).add(reps[0], f"dst_mac {INNER} action mirred egress redirect dev {reps[1]}")
    model.ask("gen", port="vf0", count=100_000, rate=500)
    model.ask("gen", port="vf2", count=100_000, rate=500, stream=2)
    time.sleep(1)
    with open(os.path.join(os.environ["RESULTS"], "died"), "w") as f:
        f.write("on purpose\n")
        os.fsync(f.fileno())
    with open("/proc/sysrq-trigger", "w") as f:
        f.write("b")
    time.sleep(30)


if __name__ == "__main__":
    lab = Lab()
    status = suite.run(lab, only=sys.argv[1] if len(sys.argv) > 1 else None)
    if status == 0 and os.environ.get("MLX5_DIE"):
        die(lab.model)
    sys.exit(status)
