#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Runs the cases on one module, inside the guest.

    guest.py --module C|FILE.ko --out FILE.jsonl [--only PATTERN]...
    guest.py --module C --list [--only PATTERN]...

Writes one JSON line for each case, between a line about the run and a line
about its end (did the module unload, did the kernel complain). Exit status:
0 when the module loaded, all ran and it unloaded; else 1.
"""

import argparse
import fnmatch
import hashlib
import inspect
import json
import os
import select
import signal
import sys
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import module as modlib  # noqa: E402
import observe  # noqa: E402
import ovsnl  # noqa: E402
import registry  # noqa: E402


def write_file(path, text):
    try:
        with open(path, "w") as handle:
            handle.write(text)
    except OSError:
        pass


def digest(*paths):
    """Tells versions of these files apart."""
    out = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as handle:
            out.update(handle.read())
    return out.hexdigest()[:16]


def suite_digest():
    """Tells versions of all that cases have in common apart."""
    here = os.path.dirname(os.path.abspath(__file__))
    names = sorted(n for n in os.listdir(here) if n.endswith(".py") and n != "compare.py")
    return digest(*(os.path.join(here, n) for n in names))


def in_child(case, fams, module, out_fd):
    """The child: run one case, write its result, exit."""
    result = {"case": case.name, "group": case.group}
    ctx = None
    try:
        os.sched_setaffinity(0, {0})
        if case.netns:
            ovsnl.setup_netns()
        ctx = ovsnl.Context(case.name, fams)
        ctx.module = module
        case.func(ctx)
        ctx.note("end")
        result["status"] = "failed" if ctx.failures else "ok"
        if ctx.failures:
            result["why"] = "; ".join(ctx.failures)
    except ovsnl.Skip as exc:
        result["status"] = "skipped"
        result["why"] = str(exc)
    except BaseException as exc:  # pylint: disable=broad-except
        result["status"] = "error"
        result["why"] = f"{type(exc).__name__}: {exc}"
        result["trace"] = traceback.format_exc().splitlines()[-6:]
    if ctx:
        result["records"] = ctx.records
        result["splats"] = ctx.log.splats
        try:
            ctx.close()
        except OSError:
            pass
    data = json.dumps(result).encode()
    while data:
        data = data[os.write(out_fd, data) :]
    os._exit(0)


def wait_for(pid, seconds):
    """The status of a child, or None if it does not end."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return status
        time.sleep(0.001)
    return None


def run_case(case, fams, module, factor):
    """Fork, and gather the child's result within its time."""
    rd, wr = os.pipe()
    start = time.monotonic()
    pid = os.fork()
    if not pid:
        os.close(rd)
        in_child(case, fams, module, wr)
    os.close(wr)
    end = start + case.timeout * factor
    data = b""
    timeout = False
    while True:
        left = end - time.monotonic()
        if left <= 0:
            timeout = True
            break
        ready, _, _ = select.select([rd], [], [], left)
        if not ready:
            continue
        chunk = os.read(rd, 1 << 16)
        if not chunk:
            break
        data += chunk
    os.close(rd)
    if timeout:
        os.kill(pid, signal.SIGKILL)
    status = wait_for(pid, 10 * factor)
    if status is None:
        result = {
            "case": case.name,
            "group": case.group,
            "status": "error",
            "why": "the case's process cannot be killed: it waits in the kernel",
            "stuck": True,
        }
    elif timeout:
        result = {
            "case": case.name,
            "group": case.group,
            "status": "error",
            "why": f"timeout after {case.timeout * factor:g}s",
        }
    elif not data:
        result = {
            "case": case.name,
            "group": case.group,
            "status": "error",
            "why": f"the case's process died ({status:#x})",
        }
    else:
        result = json.loads(data)
    result["ours"] = case.ours
    result["digest"] = digest(inspect.getsourcefile(case.source))
    result["seconds"] = round(time.monotonic() - start, 3)
    return result


def select_cases(args):
    cases = registry.load()
    if args.stock:
        cases = [c for c in cases if c.stock]
    if args.module == "C" and not args.all:
        cases = [c for c in cases if not c.ours]
    if args.debug:
        cases = [c for c in cases if any(fnmatch.fnmatch(c.name, p) for p in registry.DEBUG)]
    if args.only:
        cases = [c for c in cases if any(fnmatch.fnmatch(c.name, p) for p in args.only)]
    # Cases that load and unload the module come after all others.
    return sorted(cases, key=lambda c: c.group == "module")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--module", required=True)
    parser.add_argument("--out")
    parser.add_argument("--list", action="store_true", help="print the cases and their versions")
    parser.add_argument("--only", action="append")
    parser.add_argument("--stock", action="store_true", help="the short list, for emulation")
    parser.add_argument("--debug", action="store_true", help="the list for the debug kernel")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--slow", type=float, default=1, help="multiply each case's time limit")
    args = parser.parse_args()
    cases = select_cases(args)
    if not cases:
        sys.exit("no such case")
    if args.list:
        for case in cases:
            print(case.name, digest(inspect.getsourcefile(case.source)))
        return 0
    if not args.out:
        parser.error("--out is missing")

    if os.path.isdir(observe.TRACEFS) and not os.path.isdir(observe.TRACEFS + "/instances"):
        modlib.run("mount", "-t", "tracefs", "tracefs", observe.TRACEFS)
    # No rate limit on log lines: what is compared must not depend on time.
    write_file("/proc/sys/net/core/message_cost", "0")
    write_file("/proc/sys/kernel/printk_ratelimit", "0")
    # Modules of tunnels make devices of their own in each namespace.
    write_file("/proc/sys/net/core/fb_tunnels_only_for_init_net", "1")
    # Devices come and go all the time here, and each waits for RCU.
    write_file("/sys/kernel/rcu_expedited", "1")
    modlib.Module.prepare()
    log = observe.KernelLog()
    module = modlib.Module(args.module)
    start = time.monotonic()
    problem = module.load()
    with open(args.out, "w") as out:

        def emit(record):
            out.write(json.dumps(record) + "\n")
            out.flush()

        emit(
            {
                "begin": os.path.basename(args.module),
                "error": problem,
                "kernel": modlib.kernel(),
                "cases": [c.name for c in cases],
                "suite": suite_digest(),
                "srcversion": module.srcversion(),
                "tracefs": os.path.isdir(observe.TRACEFS + "/instances"),
            }
        )
        if problem:
            print("the module does not load: " + problem)
            return 1
        module.no_autoload()
        fams = ovsnl.families()
        count = {}
        for case in cases:
            result = run_case(case, fams, module, args.slow)
            emit(result)
            status = result["status"]
            count[status] = count.get(status, 0) + 1
            if status not in ("ok", "skipped"):
                print("{} {}: {}".format(status, case.name, result.get("why")), flush=True)
            if result.get("stuck"):
                # Whatever it waits for, or holds meanwhile, the others need.
                return 1
        problem = module.unload()
        log.read()
        seconds = round(time.monotonic() - start, 1)
        emit({"end": True, "unload": problem, "splats": log.splats, "seconds": seconds})
    told = ", ".join(f"{n} {s}" for s, n in sorted(count.items()))
    how = "unload: " + problem if problem else "unloaded"
    name = os.path.basename(args.module)
    print(f"{name}: {told}; {how}; {len(log.splats)} splats; {seconds} s")
    return 1 if problem or log.splats else 0


if __name__ == "__main__":
    sys.exit(main())
