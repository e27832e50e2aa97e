# SPDX-License-Identifier: GPL-2.0
"""Without a guest: what a broken client does to the device model's sockets."""

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time

from suite import Suite, expect, expect_true

suite = Suite("fault")


class Lab:
    def __init__(self, binary, folder):
        self.binary, self.dir = binary, os.path.join(folder, "fault")
        self.process = None

    def start(self):
        os.makedirs(self.dir, exist_ok=True)
        self.log = open(os.path.join(self.dir, "model.log"), "w+")
        self.process = subprocess.Popen([self.binary, "run", "--dir", self.dir], stderr=self.log)
        for _ in range(100):
            if "ready" in self.text():
                return
            time.sleep(0.05)
        raise RuntimeError(f"the model did not start: {self.text()}")

    def text(self):
        with open(os.path.join(self.dir, "model.log")) as f:
            return f.read()

    def connect(self):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(5)
        s.connect(os.path.join(self.dir, "device.sock"))
        return s

    def ask(self, line):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(5)
        s.connect(os.path.join(self.dir, "control.sock"))
        s.sendall(line.encode() + b"\n")
        return json.loads(s.makefile().readline())

    def alive(self):
        expect("the model runs", self.process.poll(), None)
        expect("it answers", self.ask('{"cmd":"status"}')["ok"], True)


def message(command, body=b"", number=1, size=None, flags=0):
    return struct.pack("<HHIII", number, command, size or 16 + len(body), flags, 0) + body


def reply(s):
    head = b""
    while len(head) < 16:
        part = s.recv(16 - len(head))
        if not part:
            return None
        head += part
    _, command, size, flags, error = struct.unpack("<HHIII", head)
    body = b""
    while len(body) < size - 16:
        body += s.recv(size - 16 - len(body))
    return command, flags, error, body


VERSION = struct.pack("<HH", 0, 0) + b'{"capabilities":{}}\0'


@suite.case("the model starts, and a second one on its sockets does not")
def start(lab):
    lab.start()
    p = subprocess.run(
        [lab.binary, "run", "--dir", lab.dir],
        capture_output=True,
        text=True,
        timeout=10,
        check=False,
    )
    expect("exit status", p.returncode, 1)
    expect_true(
        "says why", "listens" in p.stderr or "exists" in p.stderr or "in use" in p.stderr, p.stderr
    )


@suite.case("bad usage: one line that says what is wrong, exit status 1")
def usage(lab):
    bad = {
        "": "what to do",
        "run": "--dir",
        "run --dir": "needs a value",
        "run --dir x --vfs 900": "0 to 120",
        "run --dir x --log 9": "0 to 3",
        "run --dir x --cmd-timeout soon": "milliseconds",
        "run --dir x --tap tap0": "PORT=NAME",
        "run --dir x --tap vf0=a --tap vf0=b": "one device for one port",
        "run --dir x --nonsense": "unknown option --nonsense",
        "ctl x": "what to do",
        "ctl /nowhere status": "/nowhere/control.sock",
        f"ctl {lab.dir} gen port": "KEY=VALUE",
        f"run --dir {lab.dir}-tap --tap vf9=t0": "no port 'vf9': there are uplink, vf0",
        f"run --dir {lab.dir}-tap --tap vf0=a/b": "no name for a network device",
    }
    for args, words in bad.items():
        p = subprocess.run(
            [lab.binary, *args.split()], capture_output=True, text=True, timeout=10, check=False
        )
        expect(f"exit status of '{args}'", p.returncode, 1)
        lines = [line for line in p.stderr.splitlines() if line.startswith("error: ")]
        expect(f"lines of '{args}'", (len(lines), p.stdout), (1, ""))
        expect_true(f"'{args}' says why", words in lines[0], lines[0])
    p = subprocess.run([lab.binary, "--help"], capture_output=True, text=True, check=True)
    for word in ("--dir", "--vfs", "--tap", "--cmd-timeout", "--no-vxlan", "--log", "gen port=P"):
        expect_true(f"--help has {word}", word in p.stdout, p.stdout)


@suite.case("an unknown command is refused, and the stream stays in step")
def unknown(lab):
    s = lab.connect()
    s.sendall(message(1, VERSION))
    expect("version", reply(s)[:3], (1, 1, 0))
    s.sendall(message(99, b"x" * 100))
    expect("unknown command", reply(s)[1:3], (0x21, 95))
    s.sendall(message(4, bytes(16)))
    command, flags, error, body = reply(s)
    expect(
        "device information",
        (command, flags, error, struct.unpack("<IIII", body)[2:]),
        (4, 1, 0, (9, 5)),
    )
    s.close()
    lab.alive()


@suite.case("messages with a wrong size, garbage, a client that dies in the middle")
def garbage(lab):
    for data in (
        message(1, VERSION, size=3),
        message(1, VERSION, size=1 << 30),
        os.urandom(4096),
        message(10, struct.pack("<QII", 0, 0, 1 << 20), size=40),
        b"\0" * 7,
    ):
        s = lab.connect()
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
        try:
            while s.recv(4096):
                pass
        except (ConnectionResetError, TimeoutError):
            pass
        s.close()
        lab.alive()


@suite.case("a command queue outside guest memory")
def no_memory(lab):
    s = lab.connect()
    s.sendall(message(1, VERSION))
    reply(s)
    for off, value in ((0x10, 0), (0x14, 0x1000), (0x18, 1)):
        s.sendall(message(10, struct.pack("<QII", off, 0, 4) + struct.pack(">I", value)))
        reply(s)
    time.sleep(0.2)
    expect_true("a clear message", "not guest memory" in lab.text(), lab.text()[-200:])
    s.close()
    lab.alive()


@suite.case("control requests that are none")
def control(lab):
    for line in (
        "",
        "{",
        "[]",
        '{"cmd":1}',
        '{"cmd":"gen"}',
        '{"cmd":"gen","port":"vf9"}',
        '{"cmd":"nonsense"}',
        '{"cmd":"send","port":"vf0","hex":"0"}',
    ):
        expect(f"answer to {line!r}", lab.ask(line)["ok"], False)
    lab.alive()


@suite.case("the model is killed: its client is told at once")
def killed(lab):
    s = lab.connect()
    s.sendall(message(1, VERSION))
    reply(s)
    lab.process.send_signal(signal.SIGKILL)
    lab.process.wait(5)
    expect("end of stream", s.recv(1), b"")
    lab.start()
    lab.alive()
    expect("quit", lab.ask('{"cmd":"quit"}')["ok"], True)
    expect("exit status", lab.process.wait(5), 0)


if __name__ == "__main__":
    sys.exit(suite.run(Lab(sys.argv[1], sys.argv[2])))
