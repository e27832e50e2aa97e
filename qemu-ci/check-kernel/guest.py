#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Runs tests of Open vSwitch's system-kmod-testsuite, inside the guest.

    guest.py --path DIR --limit SECONDS --attempt N NUMBER...

Writes lines of JSON to $RESULTS/tests.jsonl: {"begin": N} when a test begins,
and its result when it has ended. After trouble that the next test would suffer
from (a module that stays loaded, a kernel that complained, a test that does not
end) the rest is left to another guest: exit status 3.
"""

import argparse
import json
import os
import pathlib
import re
import select
import shutil
import signal
import subprocess
import sys
import time

SUITE = "system-kmod-testsuite"
BEGIN = re.compile(rb"^ *(\d+): (.*?)$")
END = re.compile(
    rb"^ *(\d+): (.*?) +"
    rb"(ok|skipped \(.*?\)|FAILED \(.*?\)|expected failure \(.*?\)|UNEXPECTED PASS)$"
)
RESULTS = pathlib.Path(os.environ["RESULTS"])
EVENTS = pathlib.Path(os.environ["EVENTS"])
# What of a failed test's folder is worth keeping.
KEEP = ("*.log", "stdout", "stderr", "at-stdout", "at-stderr", "cleanup", "*.pcap", "*.txt")


def emit(record):
    with open(RESULTS / "tests.jsonl", "a") as out:
        out.write(json.dumps(record) + "\n")


def keep(number, attempt):
    """Copy the logs of a test that failed to where they outlive the guest."""
    folder = next(pathlib.Path(f"_debian/tests/{SUITE}.dir").glob(f"{number:0>3}"), None)
    if not folder:
        return
    to = RESULTS / f"test-{number:03d}-{attempt}"
    to.mkdir(exist_ok=True)
    for pattern in KEEP:
        for path in folder.glob(pattern):
            if path.is_file() and path.stat().st_size < 4 << 20:
                shutil.copyfile(path, to / path.name)


def events():
    """What the modprobe of the tests has told, and no longer has."""
    lines = EVENTS.read_text(errors="replace").splitlines()
    EVENTS.write_text("")
    return lines


class Run:
    """One invocation of the suite."""

    def __init__(self, args):
        self.args = args
        self.stop = None
        self.line = b""
        self.number = None
        self.start = 0.0
        path = f"{args.path}:/ovs/tests:/ovs/_debian/tests:/ovs/_debian/ipsec"
        command = ["/bin/bash", f"tests/{SUITE}", "-C", "_debian/tests", "-j1"]
        self.child = subprocess.Popen(
            [*command, f"AUTOTEST_PATH={path}", *map(str, args.numbers)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def begun(self, number):
        self.number = number
        self.start = time.monotonic()
        emit({"begin": number})

    def ended(self, number, name, text, trouble):
        told = trouble + events()
        record = {
            "test": number,
            "name": name,
            "result": {"ok": "ok", "skipped": "skip"}.get(text.split()[0], "fail"),
            "text": text,
            "seconds": round(time.monotonic() - self.start, 1),
            "events": [e for e in told if not e.startswith("held ")],
            "held": sorted(e[5:] for e in told if e.startswith("held ")),
            "attempt": self.args.attempt,
        }
        if record["result"] == "fail" or record["events"]:
            keep(number, self.args.attempt)
        emit(record)
        note = "; ".join([record["text"], *record["events"]])
        print(f"{number}: {name}: {note} ({record['seconds']} s)", flush=True)
        if record["events"]:
            self.stop = "; ".join(record["events"])
        self.number = None

    def text(self, data):
        """Take what the suite has printed."""
        for char in re.split(rb"(\n)", data):
            if char != b"\n":
                self.line += char
                match = BEGIN.match(self.line)
                # The name comes in one piece, the result in another.
                if match and self.number is None and int(match[1]) and not END.match(self.line):
                    self.begun(int(match[1]))
                continue
            match = END.match(self.line)
            if match:
                number = int(match[1])
                if self.number != number:
                    self.begun(number)
                self.ended(number, match[2].decode(), match[3].decode(), [])
            self.line = b""
            if self.stop:
                pathlib.Path(f"_debian/tests/{SUITE}.dir/at-stop").touch()

    def wait(self):
        """Until the suite has ended; False if a test did not."""
        pipe = self.child.stdout
        while True:
            left = 60.0
            if self.number is not None:
                left = self.start + self.args.limit - time.monotonic()
            ready, _, _ = select.select([pipe], [], [], max(left, 0))
            if ready:
                data = os.read(pipe.fileno(), 1 << 16)
                if not data:
                    self.child.wait()
                    return True
                self.text(data)
                if self.stop:
                    return False
            elif self.number is not None and left <= 0:
                os.killpg(self.child.pid, signal.SIGKILL)
                name = BEGIN.match(self.line)[2].decode().strip()
                what = f"did not end within {self.args.limit} s"
                self.ended(self.number, name, f"FAILED ({what})", [what])
                return False


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--path", required=True)
    parser.add_argument("--limit", type=int, default=300)
    parser.add_argument("--attempt", type=int, default=1)
    parser.add_argument("numbers", nargs="+", type=int)
    return 0 if Run(parser.parse_args()).wait() else 3


if __name__ == "__main__":
    sys.exit(main())
