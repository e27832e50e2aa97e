#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What must not compile: safe code that would be undefined behaviour.

    compile_fail.py BUILD FILE.rs...

Each file is a crate that uses kernel_ext as src/ does. It has to be refused
with the error that its line `// refused: E0597` names, and has to compile
without the lines that end in `// BAD`: so it is refused because of them.

BUILD is a folder in which the module was built, whose compiler command is
used.
"""

import os
import re
import shlex
import subprocess
import sys
import tempfile

SOURCE = "src/openvswitch_main.rs"


def command(build):
    """(environment, arguments) of the compiler, without input and output."""
    with open(os.path.join(build, "src/.openvswitch_main.o.cmd"), encoding="utf-8") as handle:
        line = handle.readline().split(":=", 1)[1]
    words = shlex.split(line.split(SOURCE)[0])
    env = dict(os.environ, RUSTC_BOOTSTRAP="1")
    while "=" in words[0]:
        name, value = words.pop(0).split("=", 1)
        env[name] = value
    at = words.index("--out-dir")
    del words[at : at + 2]
    return env, [word for word in words if not word.startswith("--emit=")]


def compiles(build, env, args, text):
    """Whether it does, and what the compiler says."""
    with tempfile.TemporaryDirectory() as out:
        source = os.path.join(out, "case.rs")
        with open(source, "w", encoding="utf-8") as handle:
            handle.write(text)
        done = subprocess.run(
            [*args, "--out-dir", out, "--emit=metadata", source],
            cwd=build,
            env=env,
            capture_output=True,
            check=False,
        )
    return not done.returncode, done.stderr.decode(errors="replace")


def check(build, env, args, path):
    """None, or what is wrong with this file."""
    with open(path, encoding="utf-8") as handle:
        text = handle.read()
    code = re.search(r"^// refused: (E\d{4})$", text, re.M)
    if not code or "// BAD\n" not in text:
        return "it has no line `// refused: E0000`, or none that ends in `// BAD`"
    good = "".join(line for line in text.splitlines(True) if not line.endswith("// BAD\n"))
    fine, said = compiles(build, env, args, good)
    if not fine:
        return f"it does not compile without its bad lines:\n{said}"
    fine, said = compiles(build, env, args, text)
    if fine:
        return "it compiles"
    codes = set(re.findall(r"^error\[(E\d{4})\]", said, re.M))
    if codes != {code[1]}:
        return f"it is refused with {sorted(codes)}, not {code[1]}:\n{said}"
    return None


def main():
    build, paths = sys.argv[1], sys.argv[2:]
    env, args = command(build)
    wrong = 0
    for path in paths:
        problem = check(build, env, args, path)
        if problem:
            wrong += 1
            print(f"{path}: {problem}")
    print(f"{len(paths) - wrong} of {len(paths)} files are refused as they should be")
    return 1 if wrong or not paths else 0


if __name__ == "__main__":
    sys.exit(main())
