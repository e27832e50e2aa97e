# SPDX-License-Identifier: GPL-2.0
"""Inside the guest: a tc rule moves traffic from the CPU to the switch."""

import sys

from model import Model, Tc, cpu_rx, offloaded, run, switchdev, time

COUNT, RATE = 4000, 2000


def title(text):
    print(f"\n== {text}", flush=True)


def main():
    model = Model()
    title("The mlx5_core driver on a device model (no hardware is here)")
    up, reps = switchdev()
    print(
        run(f"ethtool -i {up}").splitlines()[0]
        + ", "
        + run(
            "devlink dev eswitch show pci/"
            + run(f"ethtool -i {up}").split("bus-info: ")[1].split()[0]
        ).strip()
    )
    for n, r in enumerate(reps):
        print(f"  representor {r}: its function's far side is port vf{n} of the model")
    tc = Tc(reps[0])
    run("ip link add br0 type bridge")
    for r in reps[:2]:
        run(f"ip link set {r} master br0")
    run("ip link set br0 up")
    time.sleep(1)

    def step(text):
        title(text)
        cpu = cpu_rx(reps[0])
        start = time.monotonic()
        model.send("vf0", count=COUNT, rate=RATE, timeout=60)
        time.sleep(1)
        took = time.monotonic() - start - 1
        s = model.port_stats("vf1")["streams"].get("1", {})
        cpu = cpu_rx(reps[0]) - cpu
        latency = s.get("latency_ns", {})
        print(f"  sent by the model at vf0:   {COUNT} frames of 64 bytes in {took:.1f} s")
        print(f"  through the guest's CPU:    {cpu}")
        print(
            f"  came out at vf1:            {s.get('packets', 0)}, lost {s.get('lost', COUNT)},"
            f" mean latency {latency.get('mean', 0) / 1000:.0f} us"
        )
        return cpu, s.get("packets", 0)

    slow = step("Without a rule: every packet goes through the CPU, over a Linux bridge")
    rule = f"dst_mac 02:00:00:00:00:02 action mirred egress redirect dev {reps[1]}"
    tc.add(reps[0], rule)
    print(f"\n# tc filter add dev {reps[0]} ingress flower skip_sw {rule}")
    fast = step("With the rule: the device model's switch forwards")
    counted = tc.wait_stats(reps[0], COUNT)
    packets, size, in_hw = counted
    print(f"  tc -s, hardware counter:    {packets} packets, {size} bytes, in_hw {in_hw}")
    print(f"  the model's own counter:    {offloaded(model, COUNT)}")
    tc.delete(reps[0])
    print(f"\n# tc filter del dev {reps[0]} ingress")
    back = step("Without the rule again")
    good = fast == (0, COUNT) and counted[:2] == (COUNT, COUNT * 60) and slow[0] > 0 and back[0] > 0
    verdict = "The rule took all packets off the CPU, and the counters agree."
    print("\n" + (verdict if good else "NOT AS EXPECTED."))
    return 0 if good else 1


sys.exit(main())
