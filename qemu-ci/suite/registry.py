# SPDX-License-Identifier: GPL-2.0
"""The list of cases.

    from registry import case

    @case("vport")
    def add_twice(t):
        ...

`t` is an ovsnl.Context. Options: `stock=False` keeps a case that is long out
of the short list that runs under emulation; `ours=True` runs it on our
module alone (the case then checks by itself); `timeout` in seconds at native
speed.
"""

import importlib
import os

CASES = []

# What runs on the debug kernel, which takes minutes for what takes seconds
# elsewhere: whatever locks, allocates, frees, waits or races.
DEBUG = (
    "stress.*",
    "lifecycle.*",
    "module.*",
    "dp.life",
    "dp.per_cpu_pids",
    "vport.*_life",
    "flow.life",
    "flow.identity_mix",
    "actions.depth_mixed",
    "actions.large_last",
    "meter.life",
    "meter.keep_and_clear",
    "meter.grow",
    "meter.where",
    "meter.two_datapaths",
    "meter.namespaces",
    "packet.life",
    "packet.mru",
    "packet.mru_malformed",
    "parse.split_qinq",
    "parse.layer3_empty",
    "recirc.loop",
    "recirc.isolation",
    "traffic.outputs",
    "traffic.split_udp4",
    "upcalls.nobody",
    "upcalls.per_cpu",
    "upcalls.gso_tso4",
    "check_pkt_len.deferred",
    "check_pkt_len.gso_tso4",
    "dec_ttl.packets",
    "psample.lists",
    "tunnels.many_sets",
    "tunnels.receive_geneve",
    "tunnels.send_vxlan",
    "tunnels.egress_vxlan",
    "tunnels.turned",
    "tunnels.gone",
    "ct_limit.netns_exit",
    "ct_limit.netns_exit_under_traffic",
    "ct_limit.netns_life",
    "ct_limit.over_4",
    "conntrack_frag.broken_4",
    "conntrack_frag.left",
    "conntrack_frag.nat_6",
    "conntrack_frag.outputs_4",
    "conntrack_helper.flushed_4",
    "conntrack_helper.ftp_nat_4",
    "conntrack_helper.module_in_use",
    "conntrack_local.seen_4",
    "conntrack_nat.source_4",
    "conntrack_stress.*",
    "conntrack_traffic.clone_helper_4",
    "conntrack_traffic.force_4",
    "conntrack_traffic.nested_4",
    "conntrack_traffic.timeout_policies",
    "fuzz.messages_0",
)


class Case:
    def __init__(self, group, func, stock, ours, timeout, netns, source=None):
        self.name = f"{group}.{func.__name__}"
        self.group = group
        self.func = func
        self.source = source or func
        self.stock = stock
        self.ours = ours
        self.timeout = timeout
        self.netns = netns


def case(group, stock=True, ours=False, timeout=20, netns=True, source=None):
    """Register a function as a case of a group."""

    def add(func):
        CASES.append(Case(group, func, stock, ours, timeout, netns, source))
        return func

    return add


def case_each(group, values, stock=None, **kw):
    """One case per (name, value): func(t, value) for each of them. Of these
    the short list has those that `stock` names, or else the first."""

    def add(func):
        for number, (name, value) in enumerate(values):

            def one(t, value=value):
                return func(t, value)

            one.__name__ = f"{func.__name__}_{name}"
            short = number == 0 if stock is None else name in stock
            case(group, stock=short, source=func, **kw)(one)
        return func

    return add


def load():
    """Import every file of cases/, in order of name."""
    here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "cases")
    for name in sorted(os.listdir(here)):
        if name.endswith(".py") and not name.startswith("_"):
            importlib.import_module("cases." + name[:-3])
    names = [c.name for c in CASES]
    twice = {n for n in names if names.count(n) > 1}
    if twice:
        raise SystemExit("two cases of one name: " + " ".join(sorted(twice)))
    return CASES
