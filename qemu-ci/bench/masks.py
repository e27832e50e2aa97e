# SPDX-License-Identifier: GPL-2.0
"""Cases of `make bench` with many masks: the attack of doi 10.1145/3359989.3365431
(flows as ovs-vswitchd makes them for a whitelist of a destination port, a source
port and a source address), masks that come and go, and many recirculation ids.
"""


class Case:
    """One of them. `shape` is a shape of ovsbench.c, with so many different
    prefixes of each field; `kind` is what spray.c sends; `packets` takes about half
    a second with the C module. With `churn` masks come and go meanwhile. C has
    room for 4,096 masks: what needs more is `ours` only."""

    def __init__(self, shape, kind, packets, churn=False, ours=False):
        self.shape = shape
        self.kind = kind
        self.packets = packets
        self.churn = churn
        self.ours = ours
        self.prefixes = SHAPES[shape]


# Destination ports, source ports, source addresses.
SHAPES = {
    "attack32": (16, 2, 1),
    "attack64": (16, 4, 1),
    "attack512": (16, 16, 2),
    "attack3840": (16, 16, 15),
    "attack8192": (16, 16, 32),
    "stages": (1, 1, 1),
}

CASES = {
    "attack32": Case("attack32", "attack", 300_000),
    "attack64": Case("attack64", "attack", 150_000),
    "attack512": Case("attack512", "attack", 30_000),
    "attack4k": Case("attack3840", "attack", 10_000),
    "attack8k": Case("attack8192", "attack", 300_000, ours=True),
    "victim512": Case("attack512", "victim", 500_000),
    "victim4k": Case("attack3840", "victim", 500_000),
    "victim8k": Case("attack8192", "victim", 500_000, ours=True),
    "churn512": Case("attack512", "attack", 30_000, churn=True),
    "random512": Case("attack512", "random", 50_000),
    "miss512": Case("attack512", "miss", 30_000),
    "stages": Case("stages", "victim", 200_000),
}
