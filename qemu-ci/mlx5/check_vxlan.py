# SPDX-License-Identifier: GPL-2.0
"""Inside the guest: VXLAN encapsulation and decapsulation in the model."""

import sys

from check_tc import Lab, enter, leave
from model import Tc, cpu_rx, raw_send, run, sh, time, udp
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

if __name__ == "__main__":
    sys.exit(suite.run(Lab(), only=sys.argv[1] if len(sys.argv) > 1 else None))
