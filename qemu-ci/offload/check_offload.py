# SPDX-License-Identifier: GPL-2.0
"""Inside the guest: flows of our datapath run in the device model's switch.

Every case asserts where a flow runs, what comes out of the switch, how much of
it the CPU saw, and that the datapath's counters are the sum of both.
"""

import json
import os
import re
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "mlx5"))
import races  # noqa: E402
import tables  # noqa: E402
import tunnels  # noqa: E402
import vxlan  # noqa: E402
from model import (  # noqa: E402
    Model,
    cpu_rx,
    eswitch,
    kernel_leaks,
    kernel_trouble,
    load,
    quiet_ipv6,
    representors,
    run,
    sh,
    uplink,
)
from suite import Failed, Suite, expect, expect_true  # noqa: E402

TOOL = os.path.join(os.path.dirname(__file__), "..", "..", "tools", "net", "ovs-offload")
PORTS = ["uplink", "vf0", "vf1", "vf2", "vf3"]
# The generator's frames: UDP from port 1000 to 2000, 10.0.0.1 to 10.0.0.2.
IP = "eth(),eth_type(0x0800),ipv4()"
UDP = "eth(),eth_type(0x0800),ipv4(proto=17,frag=no),udp(dst=2000)"

DISPLACED = "flows with more packets have the room"

suite = Suite("offload")


def tool(*args):
    """The project's own tool, as JSON."""
    said = sh("python3", TOOL, *args, "--json")
    return json.loads(said) if said else None


def number(port):
    """The datapath's port number of the model's port."""
    return PORTS.index(port) + 1


class Lab:
    """A datapath with the uplink and four representors as ports 1 to 5."""

    def __init__(self):
        self.model = Model()
        self.devs = {}

    def cpu(self):
        return sum(cpu_rx(d) for d in self.devs.values())

    def add(self, key, actions, port="vf0"):
        run_args = ["ovs-dpctl", "add-flow", "dp0", f"in_port({number(port)}),{key}", actions]
        sh(*run_args)

    def flows(self):
        """State, reason, packets of each flow, by the tool."""
        found = tool("flows", "--dp", "dp0")
        return found["flows"] if isinstance(found, dict) else found

    def settle(self, timeout=5):
        """Wait until no flow waits to be looked at."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            flows = self.flows()
            if all(f["state"] != "queued" for f in flows):
                return flows
            time.sleep(0.1)
        raise Failed(f"flows still queued: {flows}")

    def only(self, state, reason=None):
        """The datapath's one flow is in this state."""
        flows = self.settle()
        expect("flows", len(flows), 1)
        got = flows[0]
        expect(f"state ({got.get('reason')}, {got.get('driver')})", got["state"], state)
        if reason:
            text = got.get("reason") or ""
            expect_true("the reason", re.search(reason, text), repr(text))
        return got

    def traffic(self, source, count, out=(), cpu=0, wait=0.4, **args):
        """Frames sent in at `source` come out at `out` and nowhere else; the
        CPU receives `cpu` of them."""
        before = self.cpu()
        rate = args.pop("rate", 20000 if cpu == 0 else 2000)
        self.model.send(source, count=count, rate=rate, **args)
        time.sleep(wait if cpu == 0 else wait + 0.6)
        arrived = {p: self.model.arrived(p) for p in PORTS}
        expect("came out at", {p: n for p, n in arrived.items() if n}, {p: count for p in out})
        expect("the CPU received", self.cpu() - before, cpu)

    def counted(self, packets, octets=None, timeout=5):
        """The datapath's own counters of its one flow, software and hardware."""
        deadline = time.monotonic() + timeout
        while True:
            dump = run("ovs-dpctl dump-flows dp0")
            got = re.search(r"packets:(\d+), bytes:(\d+)", dump)
            n = (int(got[1]), int(got[2])) if got else None
            if n and n[0] >= packets or time.monotonic() > deadline:
                break
            time.sleep(0.2)
        expect("packets of the flow", n and n[0], packets)
        if octets is not None:
            expect("bytes of the flow", n[1], octets)

    def clear(self):
        run("ovs-dpctl del-flows dp0")

    def restore(self):
        """No flows, whatever a case that failed has left."""
        if "dp0" not in run("ovs-dpctl dump-dps", check=False):
            run("modprobe openvswitch")
            run("ovs-dpctl add-dp dp0")
            for dev in self.devs.values():
                run(f"ovs-dpctl add-if dp0 {dev}", check=False)
        self.clear()


def fresh(f):
    """A case that begins and ends without flows, in the model too."""

    def wrapped(lab):
        lab.clear()
        before = lab.model.ask("status")["flow_entries"]
        try:
            return f(lab)
        finally:
            lab.model.ask("faults-clear")
            lab.model.ask("room")
            lab.model.ask("gen-stop")
            lab.restore()
            for _ in range(40):
                if lab.model.ask("status")["flow_entries"] <= before:
                    break
                time.sleep(0.1)
            expect("entries left in the model", lab.model.ask("status")["flow_entries"] - before, 0)

    wrapped.__name__ = f.__name__
    return wrapped


@suite.case("driver in switchdev mode, our module, five ports with hardware behind them")
def enter(lab):
    quiet_ipv6()
    load()
    eswitch("switchdev")
    lab.devs = dict(zip(PORTS, [uplink(), *representors()], strict=True))
    expect("ports", len(lab.devs), 5)
    run("modprobe openvswitch")
    expect_true(
        "our module",
        os.path.exists("/sys/module/openvswitch/taint")
        and "O" in open("/sys/module/openvswitch/taint").read(),
    )
    run("ovs-dpctl add-dp dp0")
    for dev in lab.devs.values():
        run(f"ip link set {dev} up")
        run(f"ovs-dpctl add-if dp0 {dev}")
    time.sleep(1)
    found = tool("ports", "--dp", "dp0")
    ports = found["ports"] if isinstance(found, dict) else found
    print(json.dumps(ports))
    bound = [p["name"] for p in ports if p.get("bound")]
    expect("ports with hardware behind them", sorted(bound), sorted(lab.devs.values()))


@suite.case("a miss goes to software")
@fresh
def miss(lab):
    lab.traffic("vf0", 50, cpu=50)


@suite.case("redirect: 1000 packets, none through the CPU, counters equal")
@fresh
def redirect(lab):
    lab.add(IP, str(number("vf1")))
    lab.only("hardware")
    lab.traffic("vf0", 1000, ["vf1"])
    lab.counted(1000, 60000)
    got = lab.only("hardware")
    expect("the tool's count", got["packets"], 1000)


@suite.case("delete brings the miss back")
@fresh
def delete(lab):
    lab.add(IP, str(number("vf1")))
    lab.only("hardware")
    lab.traffic("vf0", 100, ["vf1"])
    lab.clear()
    lab.traffic("vf0", 50, cpu=50)


@suite.case("to the wire and from the wire")
@fresh
def wire(lab):
    lab.add(IP, str(number("uplink")))
    lab.add(IP, str(number("vf2")), port="uplink")
    for f in lab.settle():
        expect("state", f["state"], "hardware")
    lab.traffic("vf0", 200, ["uplink"])
    lab.traffic("uplink", 200, ["vf2"])


@suite.case("drop")
@fresh
def drop(lab):
    lab.add(IP, "drop")
    lab.only("hardware")
    lab.traffic("vf0", 300)
    lab.counted(300, 18000)


@suite.case("two outputs")
@fresh
def mirror(lab):
    lab.add(IP, f"{number('vf1')},{number('vf2')}")
    lab.only("hardware")
    lab.traffic("vf0", 200, ["vf1", "vf2"])
    lab.counted(200)


@suite.case("match on layer 4: what matches is in hardware, what does not misses")
@fresh
def match(lab):
    lab.add(UDP, str(number("vf1")))
    lab.only("hardware")
    lab.traffic("vf0", 100, ["vf1"])
    lab.traffic("vf0", 20, cpu=20, dport=2001)
    lab.counted(100)


@suite.case("masked addresses")
@fresh
def masked(lab):
    lab.add("eth(),eth_type(0x0800),ipv4(dst=10.0.0.0/255.255.255.0)", str(number("vf3")))
    lab.only("hardware")
    lab.traffic("vf0", 100, ["vf3"])
    lab.traffic("vf0", 20, cpu=20, dst_ip="10.0.1.1")


@suite.case("VLAN push and pop")
@fresh
def vlan(lab):
    lab.add(IP, f"push_vlan(vid=42,pcp=3),{number('vf1')}")
    lab.only("hardware")
    frames = lab.model.capture("vf1", lambda: lab.model.send("vf0", count=3))
    expect("tags", [f[12:16].hex() for f in frames], ["8100602a"] * 3)
    lab.clear()
    lab.add(
        "eth(),eth_type(0x8100),vlan(vid=42,pcp=0),encap(eth_type(0x0800),ipv4())",
        f"pop_vlan,{number('vf2')}",
        port="vf1",
    )
    lab.only("hardware")
    frames = lab.model.capture("vf2", lambda: lab.model.send("vf1", count=3, vlan="42"))
    expect("untagged", [f[12:14].hex() for f in frames], ["0800"] * 3)


@suite.case("rewrite: the same frame from hardware and from software, checksums right")
@fresh
def rewrite(lab):
    key = "eth(),eth_type(0x0800),ipv4(proto=17,ttl=64,frag=no),udp(dst=2000)"
    actions = (
        "set(eth(dst=0e:00:00:00:00:07)),set(ipv4(dst=192.0.2.9,ttl=9)),"
        f"set(udp(dst=5353)),{number('vf1')}"
    )
    bad = lab.model.port_stats("vf1")["bad_checksums"]
    frames = {}

    def two_frames():
        lab.model.send("vf0", count=2)
        time.sleep(0.5)

    for policy in ("auto", "never"):
        run(f"python3 {TOOL} set --dp dp0 {policy}")
        lab.add(key, actions)
        lab.only("hardware" if policy == "auto" else "policy")
        frames[policy] = lab.model.capture("vf1", two_frames)
        lab.clear()
    run(f"python3 {TOOL} set --dp dp0 auto")
    expect("frames", len(frames["auto"]), 2)
    # Up to the UDP checksum: the generator stamps its payload with the time.
    heads = {p: [f[:40].hex() for f in fs] for p, fs in frames.items()}
    expect("software's frames", heads["never"], heads["auto"])
    expect("destination", frames["auto"][0][:6].hex(), "0e0000000007")
    expect("wrong checksums", lab.model.port_stats("vf1")["bad_checksums"] - bad, 0)


@suite.case("what hardware cannot do stays in software, with a reason")
@fresh
def refused(lab):
    v1 = number("vf1")
    set_src, set_dst = "set(eth(src=0e:00:00:00:00:01))", "set(eth(dst=0e:00:00:00:00:07))"
    for key, actions in [
        (f"skb_mark(0x1/0x1),{IP}", "drop"),
        (IP, f"userspace(pid=0xfffffff0),{v1}"),
        (IP, f"sample(sample=50%,actions({v1}))"),
        (IP, f"trunc(100),{v1}"),
        (IP, f"{set_src},{v1},{set_dst},{number('vf2')}"),
    ]:
        lab.add(key, actions)
        try:
            got = lab.only("refused")
        except Failed as e:
            raise Failed(f"{key} {actions}: {e}") from None
        expect_true("a reason", got.get("reason"), f"for {actions}")
        lab.clear()
    lab.add(IP, f"trunc(100),{v1}")
    lab.only("refused")
    lab.traffic("vf0", 50, ["vf1"], cpu=50)
    lab.counted(50, 3000)


@suite.case("an output before a rewrite gets the packet as it came")
@fresh
def before_rewrite(lab):
    lab.add(IP, f"{number('vf1')},set(eth(dst=0e:00:00:00:00:07)),{number('vf2')}")
    lab.only("hardware")
    for port, dst in (("vf1", "020000000002"), ("vf2", "0e0000000007")):
        frames = lab.model.capture(port, lambda: lab.model.send("vf0", count=2))
        expect(f"destinations at {port}", [f[:6].hex() for f in frames], [dst] * 2)


@suite.case("new actions: counters carried over, traffic follows")
@fresh
def modify(lab):
    lab.add(IP, str(number("vf1")))
    lab.only("hardware")
    lab.traffic("vf0", 100, ["vf1"])
    lab.counted(100)
    sh("ovs-dpctl", "mod-flow", "dp0", f"in_port({number('vf0')}),{IP}", str(number("vf2")))
    lab.only("hardware")
    lab.traffic("vf0", 100, ["vf2"])
    lab.counted(200, 12000)


@suite.case("policy: never and auto, for the datapath and for a port")
@fresh
def policy(lab):
    lab.add(IP, str(number("vf1")))
    lab.only("hardware")
    lab.traffic("vf0", 100, ["vf1"])
    total = 100
    for scope in ([], ["--port", lab.devs["vf0"]]):
        # What the driver has not seen of its hardware is lost with the rule.
        lab.counted(total)
        sh("python3", TOOL, "set", "--dp", "dp0", *scope, "never")
        lab.only("policy")
        lab.traffic("vf0", 20, ["vf1"], cpu=20)
        sh("python3", TOOL, "set", "--dp", "dp0", *scope, "auto")
        lab.only("hardware")
        lab.traffic("vf0", 100, ["vf1"])
        total += 120
    lab.counted(total)


def to_host(n):
    """A match on one of several sources, which the generator can be told of."""
    return f"eth(),eth_type(0x0800),ipv4(src=10.0.0.{n})"


def by_source(lab):
    """The datapath's flows by the last byte of their source address: packets."""
    found = {}
    for line in run("ovs-dpctl dump-flows dp0").splitlines():
        got = re.search(r"src=10\.0\.0\.(\d+).*packets:(\d+)", line)
        if got:
            found[int(got[1])] = int(got[2])
    return found


def states(lab):
    """How many flows are in each state."""
    count = {}
    for f in lab.flows():
        count[f["state"]] = count.get(f["state"], 0) + 1
    return count


def waited(what, f, timeout):
    """Waits until f() is true."""
    deadline = time.monotonic() + timeout
    while not f():
        if time.monotonic() > deadline:
            raise Failed(f"{what}: not in {timeout} s")
        time.sleep(0.1)


@suite.case("out of space: the flow runs in software, and moves up when there is room")
@fresh
def no_space(lab):
    lab.model.ask("room", entries=lab.model.ask("status")["flow_entries"])
    try:
        lab.add(IP, str(number("vf1")))
        lab.only("no-space")
        lab.traffic("vf0", 20, ["vf1"], cpu=20)
        lab.counted(20)
    finally:
        lab.model.ask("room")
    waited("moving up", lambda: lab.flows()[0]["state"] == "hardware", 10)
    lab.traffic("vf0", 100, ["vf1"])
    lab.counted(120)


@suite.case("full hardware runs the busiest flows; none is counted twice")
@fresh
def busiest(lab):
    v1 = str(number("vf1"))
    lab.model.ask("room", entries=lab.model.ask("status")["flow_entries"] + 2)
    try:
        for n in (1, 2, 3):
            lab.add(to_host(n), v1)
            lab.settle()
        expect("states", states(lab), {"hardware": 2, "no-space": 1})
        # The first has much traffic, the second none, the third some; it is
        # the one that found no room.
        sent = {1: 0, 2: 0, 3: 0}

        def rate_of_first():
            lab.model.send("vf0", count=300, rate=500, src_ip="10.0.0.1")
            sent[1] += 300
            return any(f["state"] == "hardware" and f.get("rate", 0) >= 40 for f in lab.flows())

        # Rates in hardware are known some seconds later than those in software.
        waited("a rate in hardware", rate_of_first, 30)
        # Enough packets a round that a machine that is busy with other things
        # still makes a rate of them.
        deadline = time.monotonic() + 60
        while True:
            for n, count in ((1, 300), (3, 200)):
                lab.model.send("vf0", count=count, rate=500, src_ip=f"10.0.0.{n}")
                sent[n] += count
            flows = lab.flows()
            reasons = {f.get("reason") for f in flows if f["state"] == "no-space"}
            busy = [f for f in flows if f["state"] == "hardware" and f.get("rate", 0) >= 20]
            if len(busy) == 2 and reasons == {DISPLACED}:
                break
            if time.monotonic() > deadline:
                raise Failed(f"no move in 60 s, reasons {reasons}: {lab.flows()}")
        before = lab.cpu()
        for n in (1, 3):
            lab.model.send("vf0", count=200, rate=2000, src_ip=f"10.0.0.{n}")
            sent[n] += 200
        time.sleep(0.5)
        expect("the CPU received", lab.cpu() - before, 0)
        # What a driver has not looked at is lost with a rule that goes, a second's
        # packets at most; nothing is counted twice.
        waited("counts", lambda: all(0 <= sent[n] - by_source(lab)[n] <= 500 for n in sent), 5)
        ports = {p["name"]: p for p in tool("ports", "--dp", "dp0")}
        expect("room", ports[lab.devs["vf0"]].get("capacity") in (2, 3), True)
    finally:
        lab.model.ask("room")


@suite.case("a failing driver is left alone for a while, and then used again")
@fresh
def backoff(lab):
    def port():
        found = {p["name"]: p for p in tool("ports", "--dp", "dp0")}
        return found[lab.devs["vf0"]]

    lab.model.ask("fault", command="set_flow_table_entry", kind="internal", times=1000)
    lab.add(to_host(1), str(number("vf1")))
    waited("failing", lambda: states(lab) == {"failed": 1}, 5)
    # Long enough to look around.
    waited("time left", lambda: port().get("retry", 0) > 2500, 15)
    expect_true("the reason of the port", "left alone" in port()["reason"], str(port()))
    lab.add(to_host(2), str(number("vf1")))
    flows = lab.settle()
    expect_true("the reason of a flow", "left alone" in str(flows), str(flows))
    lab.traffic("vf0", 20, ["vf1"], cpu=20, src_ip="10.0.0.1")
    lab.model.ask("faults-clear")
    waited("both in hardware", lambda: states(lab) == {"hardware": 2}, 40)
    lab.traffic("vf0", 100, ["vf1"], src_ip="10.0.0.1")
    waited("counts", lambda: by_source(lab) == {1: 120, 2: 0}, 5)


@suite.case("flows that are to have packets first")
@fresh
def delayed(lab):
    sh("python3", TOOL, "set", "--dp", "dp0", "--after", "10")
    try:
        lab.add(IP, str(number("vf1")))
        lab.only("delayed")
        lab.traffic("vf0", 9, ["vf1"], cpu=9)
        lab.only("delayed")
        lab.traffic("vf0", 1, ["vf1"], cpu=1)
        waited("in hardware", lambda: lab.flows()[0]["state"] == "hardware", 3)
        lab.traffic("vf0", 100, ["vf1"])
        lab.counted(110)
    finally:
        sh("python3", TOOL, "set", "--dp", "dp0", "--after", "default")


@suite.case("recirculation: what misses in the middle of chains goes on in software")
@fresh
def recirculation(lab):
    v1 = number("vf1")
    first = f"recirc_id(0),{IP}"
    lab.add(first, "set(eth(dst=0e:00:00:00:00:07)),recirc(17)")
    if not tunnels.CHAINS:
        lab.only("refused", "cannot hand over an unfinished packet")
        return "this kernel has no chains: refused"
    second = f"recirc_id(17),{IP}"

    def frames(**args):
        before = lab.cpu()
        found = lab.model.capture("vf1", lambda: lab.model.send("vf0", count=5, **args))
        time.sleep(0.5)
        return [f[:40].hex() for f in found], lab.cpu() - before

    lab.only("hardware")
    lab.traffic("vf0", 50, cpu=50)
    lab.counted(50)
    lab.add(second, str(v1))
    waited("both in hardware", lambda: states(lab) == {"hardware": 2}, 5)
    lab.traffic("vf0", 200, ["vf1"])
    hard, cpu = frames()
    expect("the CPU received", cpu, 0)
    expect("destinations", [f[:12] for f in hard], ["0e0000000007"] * 5)
    # One that hardware cannot do: it gets what the first one has changed.
    sh("ovs-dpctl", "mod-flow", "dp0", f"in_port({number('vf0')}),{second}", f"trunc(1000),{v1}")
    waited("one in software", lambda: states(lab) == {"hardware": 1, "refused": 1}, 5)
    soft, cpu = frames(rate=100)
    expect("the CPU received", cpu, 5)
    expect("software's frames", soft, hard)
    lab.traffic("vf0", 50, ["vf1"], cpu=50)

    def packets():
        dump = run("ovs-dpctl dump-flows dp0")
        return sorted(int(n) for n in re.findall(r"packets:(\d+)", dump))

    waited("counts", lambda: packets() == [260, 310], 5)
    # What has no first flow does not get to the second.
    sh("ovs-dpctl", "del-flow", "dp0", f"in_port({number('vf0')}),{first}")
    time.sleep(0.5)
    lab.traffic("vf0", 20, cpu=20)
    expect("counts", packets(), [260])


vxlan.add_cases(suite, fresh, number, PORTS)


@suite.case("ovs-vswitchd: NORMAL switching, established flows bypass the CPU")
@fresh
def vswitchd(lab):
    run("ovs-dpctl del-dp dp0")
    sh("/usr/share/openvswitch/scripts/ovs-ctl", "start", "--system-id=random", "--no-mlockall")
    try:
        run("ovs-vsctl --may-exist add-br br0")
        for dev in lab.devs.values():
            run(f"ovs-vsctl add-port br0 {dev}")
        time.sleep(2)
        # Both ends have to be learned before the flow is not a flood.
        back = {"src": "02:00:00:00:00:02", "dst": "02:00:00:00:00:01"}
        for _ in range(2):
            lab.model.send("vf0", count=3, rate=5)
            lab.model.send("vf1", count=3, rate=5, **back)
            time.sleep(1.5)
        before = lab.cpu()
        lab.model.send("vf0", count=2000, rate=2000)
        time.sleep(0.5)
        cpu = lab.cpu() - before
        dump = run("ovs-appctl dpctl/dump-flows")
        flows = tool("flows")
        flows = flows["flows"] if isinstance(flows, dict) else flows
        hard = sum(f["state"] == "hardware" for f in flows)
        expect_true("the CPU's share of 2000 packets", cpu <= 20, f"is {cpu}; {dump}; {flows}")
        expect("arrived", lab.model.arrived("vf1"), 2000)
        expect_true("flows in hardware", hard >= 1, str(flows))
        return f"{hard} flows in hardware, {cpu} of 2000 packets through the CPU"
    finally:
        run("ovs-vsctl --if-exists del-br br0", check=False)
        sh("/usr/share/openvswitch/scripts/ovs-ctl", "stop", check=False)
        run("ovs-dpctl del-dp ovs-system", check=False)
        run("ovs-dpctl add-dp dp0")
        for dev in lab.devs.values():
            run(f"ovs-dpctl add-if dp0 {dev}")


tables.add_cases(suite, fresh, tool)
tunnels.add_cases(suite, fresh, tool, TOOL)
races.add_cases(suite, fresh, tool, TOOL)


@suite.case("storm: a namespace goes with its datapath")
@fresh
def namespace(_lab):
    return races.namespace_goes()


@suite.case("our module goes, with rules in hardware and traffic, and comes back")
@fresh
def unload(lab):
    races.module_goes(lab, lab.devs.values())


@suite.case("a port goes, switchdev mode ends, with flows in hardware: nothing left")
def leave(lab):
    for port in ("vf1", "vf2"):
        lab.add(IP, str(number("vf3")), port=port)
    lab.settle()
    run(f"ovs-dpctl del-if dp0 {lab.devs['vf1']}")
    # As with TC, the driver does not leave switchdev mode while there are rules.
    run("ovs-dpctl del-dp dp0")
    eswitch("legacy")
    run("rmmod openvswitch")
    run("rmmod mlx5_core")
    status = lab.model.ask("status")
    expect("objects left", {k: v for k, v in status["objects"].items() if v}, {})
    expect("flow entries", status["flow_entries"], 0)
    expect("model errors", status["errors"], 0)
    expect("kernel log", kernel_trouble(), [])
    expect("memory that nothing points to", kernel_leaks(), "")


@suite.case("the driver goes while flows come and go, and then our module")
def unbind(lab):
    run("ovs-dpctl del-dp dp0", check=False)
    enter(lab)
    races.driver_goes(lab, tool)
    run("rmmod openvswitch")
    run("rmmod mlx5_core")
    expect("model errors", lab.model.ask("status")["errors"], 0)
    expect("kernel log", kernel_trouble(), [])
    expect("memory that nothing points to", kernel_leaks(), "")


@suite.case("the kernel's log")
def log(_lab):
    expect("kernel log", kernel_trouble(), [])


if __name__ == "__main__":
    if len(sys.argv) > 1:
        words = sys.argv[1].split(",")
        first, *rest, last = suite.cases
        suite.cases = [first, *(c for c in rest if any(w in c[0] for w in words)), last]
    sys.exit(suite.run(Lab()))
