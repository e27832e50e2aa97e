#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The differential fuzzer outside the guest: plan, compare, shorten, report.

judge.py plan SEED MESSAGES PACKETS FIRST PLAN
judge.py rest PLAN RECORDS REST    prints something if REST is not empty
judge.py compare DIR SHOW          begins the looking into what differs
judge.py step DIR                  takes the answer, asks the next question
judge.py report DIR
"""

import json
import os
import sys

SUITE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "suite")
sys.path.insert(0, SUITE)

import ovsattr as o  # noqa: E402

ROUND = 512
# Lists that are tried in one boot, and how often at most.
WIDTH, STEPS = 24, 14


def load(path):
    with open(path) as handle:
        return json.load(handle)


def save(path, value):
    with open(path, "w") as handle:
        json.dump(value, handle)


def records(path):
    """(what it began with, {round or list: record}, last one begun, how it ended)"""
    head, found, begun, end = {}, {}, [], {"splats": [], "seconds": 0, "unload": None}
    if not os.path.exists(path):
        return head, found, begun, end
    with open(path) as handle:
        for line in handle:
            try:
                one = json.loads(line)
            except ValueError:
                continue
            if "corpus" in one:
                head = one
            elif "round" in one:
                found[one["round"]] = one
            elif "list" in one:
                found[f"list {one['list']:d}"] = one
            elif "begin" in one:
                begun.append(one["begin"])
            elif "end" in one:
                end["splats"] += one["splats"]
                end["seconds"] += one["seconds"]
                end["unload"] = end["unload"] or one["unload"]
    return head, found, begun, end


def plan(seed, messages, packets, first, path):
    count = -(-max(int(messages), int(packets)) // ROUND) or 1
    save(
        path,
        {
            "seed": int(seed),
            "messages": -(-int(messages) // count),
            "packets": -(-int(packets) // count),
            "rounds": list(range(int(first), int(first) + count)),
        },
    )


def rest(path, done, out):
    """What has not begun yet: whatever ended the guest is not tried again."""
    work = load(path)
    _, _, begun, _ = records(done)
    work["rounds"] = [n for n in work.get("rounds", ()) if n not in begun]
    lists = work.get("lists", [])
    left = [n for n in range(len(lists)) if f"list {n:d}" not in begun]
    work["numbers"] = left
    save(out, work)
    if work["rounds"] or left:
        print("more")


def compare(where, show):
    c_head, c, _, _ = records(f"{where}/c.jsonl")
    ours_head, ours, _, _ = records(f"{where}/ours.jsonl")
    work = load(f"{where}/plan.json")
    state = {"work": work, "rounds": {}, "todo": [], "found": []}
    if c_head.get("corpus") != ours_head.get("corpus"):
        state["corpus"] = "the keys of the corpus differ"
    for number in work["rounds"]:
        one, two = c.get(number), ours.get(number)
        if not two:
            verdict = "crashed"
        elif not one:
            verdict = "the C module crashed"
        else:
            verdict = "same" if one["digest"] == two["digest"] else "differs"
        state["rounds"][number] = verdict
    bad = [n for n, v in state["rounds"].items() if v == "differs"]
    state["todo"] = bad[: int(show)]
    state["unseen"] = bad[int(show) :]
    state["digests"] = {str(n): c[n]["digest"] for n in state["todo"]}
    ask_full(where, state)


def ask(where, state, text, **work):
    save(f"{where}/next.json", {**state["work"], "rounds": [], **work})
    save(f"{where}/state.json", state)
    with open(f"{where}/next", "w") as handle:
        handle.write(text)


def ask_full(where, state):
    if not state["todo"]:
        save(f"{where}/state.json", state)
        with open(f"{where}/next", "w") as handle:
            handle.write("done")
        return
    state["now"] = {"stage": "full", "round": state["todo"].pop(0)}
    number = state["now"]["round"]
    ask(where, state, f"round {number:d} in full", rounds=[number], full=True)


def first_difference(one, two):
    """The first place where two lists of what was seen differ, as three lines."""
    for number, (a, b) in enumerate(zip(one, two, strict=False)):
        if a != b:
            return number, a, b
    if len(one) != len(two):
        number = min(len(one), len(two))
        return number, (one[number:] or [None])[0], (two[number:] or [None])[0]
    return None


def differ(c, ours, n):
    one, two = c.get(f"list {n:d}"), ours.get(f"list {n:d}")
    if not one:
        return False
    return not two or one["seen"] != two["seen"]


def candidates(now):
    """Shorter lists, the shortest first: the end alone, and each without one of
    so many pieces."""
    ops = now["ops"]
    out = {}
    for part in (64, 16, 8, 4, 2):
        if len(ops) // part:
            out[len(ops) - len(ops) // part] = ops[-(len(ops) // part) :]
    out = list(out.values())
    for pieces in (now["pieces"], now["pieces"] * 4):
        size = max(1, len(ops) // pieces)
        for at in range(0, len(ops), size):
            out.append(ops[:at] + ops[at + size :])
    return sorted((one for one in out if one), key=len)[: now["width"]]


def batched(ops, alone):
    """One by one, or in the batches that they were in, whose numbers they have."""
    if alone:
        return [[op for _, op in ops[at : at + 1]] for at in range(len(ops))]
    numbers = dict.fromkeys(n for n, _ in ops)
    return [[op for n, op in ops if n == number] for number in numbers]


def ask_lists(where, state, lists, text):
    now = state["now"]
    now["lists"] = lists
    state["work"].pop("full", None)
    ask(where, state, text, lists=[batched(ops, now["alone"]) for ops in lists])


def step(where):
    state = load(f"{where}/state.json")
    now = state["now"]
    _, c, _, _ = records(f"{where}/c-next.jsonl")
    _, ours, _, _ = records(f"{where}/ours-next.jsonl")
    if now["stage"] == "full":
        number = now["round"]
        one, two = c.get(number), ours.get(number)
        if not one or not two or one["seen"] == two["seen"]:
            state["rounds"][str(number)] = "not twice the same"
            return ask_full(where, state)
        at, a, b = first_difference(one["seen"], two["seen"])
        batch = max([s[1] for s in one["seen"][: at + 1] if s[0] == "batch"] or [1])
        ops = [[n, op] for n, ops in enumerate(one["ops"][:batch]) for op in ops]
        now.update(stage="alone", ops=ops, batch=batch, alone=True, first=[a, b])
        return ask_lists(
            where, state, [ops], f"round {number:d}: {len(ops):d} operations one by one"
        )
    lists = now["lists"]
    if now["stage"] == "alone":
        if not differ(c, ours, 0):
            if not now["alone"]:
                return done_with(where, state, now)
            now.update(alone=False, text="differs in batches only:")
            return ask_lists(where, state, [now["ops"]], "the same in batches")
        now.update(stage="shorten", pieces=2, width=WIDTH, steps=0)
        cut(now, c, ours, 0)
    else:
        good = [n for n in range(len(lists)) if differ(c, ours, n)]
        now["steps"] += 1
        if good:
            now["ops"] = lists[good[0]]
            cut(now, c, ours, good[0])
        elif now["pieces"] >= len(now["ops"]):
            return done_with(where, state, now)
        else:
            now["pieces"] = min(len(now["ops"]), now["pieces"] * 4)
            now["width"] = min(120, now["width"] * 2)
    if len(now["ops"]) < 2 or now["steps"] >= STEPS:
        return done_with(where, state, now)
    text = f"round {now['round']:d}: shortening {len(now['ops']):d} operations"
    return ask_lists(where, state, candidates(now), text)


def cut(now, c, ours, n):
    """Nothing behind the first difference is of use; keep what it is."""
    one, two = c.get(f"list {n:d}"), ours.get(f"list {n:d}")
    if not two:
        now["first"] = ["", "crashed"]
        return
    at, a, b = first_difference(one["seen"], two["seen"])
    now["first"] = [a, b]
    batch = [s[1] for s in one["seen"][: at + 1] if s[0] == "batch"]
    if batch and now["alone"]:
        now["ops"] = now["ops"][: batch[-1] + 1]


def done_with(where, state, now):
    one = {k: now.get(k) for k in ("round", "first", "text")}
    state["found"].append({**one, "ops": [op for _, op in now["ops"]]})
    return ask_full(where, state)


def tell_op(op):
    if op[0] == "p":
        return f"packet into t{op[1]:d}: {op[3]}"
    _, family, cmd, flags, attrs, ours = op
    decoder = o.Decoder(str, str)
    tree = decoder.tree(o.SCHEMAS[family], bytes.fromhex(attrs))
    where = "" if ours else " of no datapath"
    return f"{family} command {cmd:d} flags {flags:#x}{where}: {tree}"


def tell_seen(one):
    if not one or len(one) < 3:
        return str(one)
    what, seq, data = one
    data = bytes.fromhex(data)
    if what in ("log", "drops", "connection") or data[:6] == b"error ":
        text = (
            data.decode(errors="replace") if what in ("log", "drops", "connection") else str(data)
        )
        return f"{what} {seq:d}: {text}"
    for family, schema in o.SCHEMAS.items():
        name = family.encode()
        if data.startswith(name):
            head = data[len(name) : len(name) + 10].hex()
            tree = o.Decoder(str, str).tree(schema, data[len(name) + 10 :])
            return f"{what} {seq:d}: {family} {head} {tree}"
    return f"{what} {seq:d}: {data.hex()}"


def report(where):
    state = load(f"{where}/state.json")
    c_head, c, _, c_end = records(f"{where}/c.jsonl")
    _, ours, _, end = records(f"{where}/ours.jsonl")
    work = load(f"{where}/plan.json")
    counts = {"c": {}, "ours": {}}
    for name, side in (("c", c), ("ours", ours)):
        for one in side.values():
            for what, n in one.get("count", {}).items():
                counts[name][what] = counts[name].get(what, 0) + n
    print(f"\n{'seen':<20}{'C':>12}{'ours':>12}")
    for what in sorted(counts["c"] | counts["ours"]):
        print(f"{what:<20}{counts['c'].get(what, 0):12d}{counts['ours'].get(what, 0):12d}")
    rounds = list(state["rounds"].values())
    size = len(rounds) * (work["messages"] + work["packets"])
    print(
        f"{len(rounds):d} rounds of {work['messages']:d} messages and {work['packets']:d} packets, "
        f"seed {work['seed']:d}; C {c_end['seconds']:.0f} s, ours {end['seconds']:.0f} s "
        f"({size / max(end['seconds'], 0.1):.0f} a second)"
    )
    for one in state["found"]:
        print(f"\nround {one['round']:d}: {one['text'] or ''} {len(one['ops']):d} operations")
        for op in one["ops"][:12]:
            print("  " + tell_op(op)[:600])
        print("  C:    " + tell_seen(one["first"][0])[:1500])
        print("  ours: " + tell_seen(one["first"][1])[:1500])
    if state["unseen"]:
        print(f"\nnot looked into: {' '.join(map(str, state['unseen'][:40]))}")
    same = rounds.count("same")
    skipped = rounds.count("not twice the same") + rounds.count("the C module crashed")
    failed = len(rounds) - same - skipped
    for number, verdict in state["rounds"].items():
        if verdict not in ("same", "differs"):
            print(f"round {number}: {verdict}")
    for text in (state.get("corpus"), end["unload"], *end["splats"][:3]):
        if text:
            print("failed: " + text)
            failed += 1
    save(
        f"{where}/diff.json",
        {
            "kernel": c_head.get("kernel"),
            "plan": work,
            "seconds": {"c": c_end["seconds"], "ours": end["seconds"]},
            "seen": counts,
            "rounds": state["rounds"],
            "found": state["found"],
            "passed": same,
            "failed": failed,
            "skipped": skipped,
        },
    )
    print(f"{same:d} passed, {failed:d} failed, {skipped:d} skipped")
    return 1 if failed else 0


COMMANDS = {"plan": plan, "rest": rest, "compare": compare, "step": step, "report": report}

if __name__ == "__main__":
    sys.exit(COMMANDS[sys.argv[1]](*sys.argv[2:]))
