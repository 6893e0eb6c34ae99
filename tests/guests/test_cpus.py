#!/usr/bin/env python3
"""Guests of ours whose CPUs do to each other all that CPUs can do (tests/guests/cpus): they check it, we check that
it is the same however it is run: on each engine, with every interleaving, recorded and replayed, backwards.

    top_builddir=BUILD test_cpus.py [CLAIM...]
"""

import atexit
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "e2e"))
import harness  # noqa: E402
from harness import Server, check, contains, equal  # noqa: E402

SOURCE = os.path.join(HERE, "cpus")
OPTIONS = ["-O1", "-g", "-std=gnu11", "-Wall", "-Wextra", "-ffreestanding", "-fno-pic", "-fno-stack-protector", "-nostdlib",
           "-static", "-Wl,-z,max-page-size=4096", "-Wl,--build-id=none", "-Wl,-z,noexecstack"]
COMPILERS = {
    "pc": ["gcc", "-m32", "-march=i686", "-mno-sse", "-fcf-protection=none"],
    "virt": ["aarch64-linux-gnu-gcc", "-march=armv8-a", "-mgeneral-regs-only", "-mstrict-align", "-mno-outline-atomics"],
}
FAST = ["--icount", "shift=0,sleep=off", "--memory", "64M"]
directory = tempfile.mkdtemp(prefix="hindcast-cpus-")
atexit.register(shutil.rmtree, directory, True)
built = {}


def kernel(board, *defines):
    key = (board,) + defines
    if key not in built:
        path = os.path.join(directory, "%s.elf" % "-".join(key))
        subprocess.run(COMPILERS[board] + OPTIONS + ["-D" + d for d in defines] +
                       ["-T", os.path.join(SOURCE, board + ".ld"), "-o", path, os.path.join(SOURCE, board + ".S"),
                        os.path.join(SOURCE, board + ".c")], check=True)
        built[key] = path
    return built[key]


def machine(name):
    """Options for a machine of this name: pc:MODEL/CPUS or virt:GIC/CPUS."""
    kind, cpus = name.split("/")
    board, word = kind.split(":")
    if board == "pc":
        return FAST + ["--cpu", word, "--smp", cpus, "--kernel", kernel("pc", "CPUS=" + cpus)]
    return FAST + ["--machine", "virt,gic-version=" + word, "--cpu", "max", "--semihosting", "--smp", cpus, "--kernel",
                   kernel("virt", "GIC=" + word, "CPUS=" + cpus)]


def run(name, *more):
    """Let it run to its end, which must be a good one: the position there."""
    console = os.path.join(directory, "console")
    if os.path.exists(console):
        os.unlink(console)
    r = subprocess.run([harness.HINDCAST, "--run", "--listen", "none", "--serial", "file:" + console] + machine(name) +
                       list(more), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                       timeout=harness.patience(120))
    with open(console, errors="replace") as f:
        text = f.read()
    check("FAIL" not in text and "all hold" in text, "%s %s: %s\n%s" % (name, more, text, r.stderr))
    return int(re.search(r"at position (\d+)", r.stderr).group(1))


def claim_everything_that_cpus_do_to_each_other_holds():
    for name in ("pc:Haswell/2", "pc:core2duo/4", "pc:pentium3/4", "pc:max/17", "pc:max/64",
                 "virt:2/2", "virt:2/8", "virt:3/4", "virt:3/17", "virt:3/64"):
        run(name)


def claim_with_every_interleaving():
    for name in ("pc:Haswell/4", "virt:2/4", "virt:3/4"):
        for how in ("quantum=7", "quantum=1000", "quantum=100000", "seed=1", "seed=2,starve=on", "quantum=50,seed=3"):
            run(name, "--interleave", how)


def claim_engines_and_recordings_agree():
    for name in ("pc:Haswell/4", "virt:2/4", "virt:3/4"):
        recording = os.path.join(directory, "cpus.hcrec")
        how = ["--interleave", "quantum=300,seed=4"]
        end = run(name, "--engine", "interpreter", *how)
        equal(run(name, "--engine", "jit", "--record", recording, "--force", "--checkpoints-in-file", "every=200000", *how), end)
        for start in ("start", "checkpoints"):
            r = subprocess.run([harness.HINDCAST, "verify", recording, "--from", start], capture_output=True, text=True,
                               timeout=harness.patience(120))
            equal(r.returncode, 0, r.stdout + r.stderr)


def go_to(rsp, position):
    rsp.monitor("seek %d" % position)
    rsp.ask("c")
    equal(rsp.position(), position)


def steps(rsp):
    """That each CPU has made."""
    return [int(n) for n in re.findall(r"CPU #\d+: .* (\d+) steps$", rsp.monitor("info cpus"), re.M)]


def claim_there_and_back_on_every_cpu():
    for name in ("pc:Haswell/4", "virt:3/4"):
        with Server("--interleave", "seed=5", *machine(name), guest=None) as s:
            rsp = s.client()
            contains(rsp.ask("c"), "^[TSW]")
            end, hashes = rsp.position(), rsp.monitor("info hash")
            go_to(rsp, end // 2)
            half, made = rsp.monitor("info hash"), steps(rsp)
            for cpu in range(4):
                rsp.ask("Hc%d" % (cpu + 1))
                for step in ("s", "bs"):
                    for _ in range(40):
                        contains(rsp.ask(step), "^T")
                equal(steps(rsp)[cpu], made[cpu], "%s, steps of CPU %d" % (name, cpu))
                go_to(rsp, end // 2)
                equal(rsp.monitor("info hash"), half, "%s, CPU %d" % (name, cpu))
            rsp.ask("c")
            equal(rsp.position(), end)
            equal(rsp.monitor("info hash"), hashes, name)


if __name__ == "__main__":
    for program in ("aarch64-linux-gnu-gcc", "gcc"):
        if not shutil.which(program):
            print("skipped: no " + program)
            sys.exit(77)
    harness.main(sys.modules[__name__])
