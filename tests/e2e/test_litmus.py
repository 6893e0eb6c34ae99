"""Litmus tests (litmus/litmus.c): under many interleavings what CPUs see of each other's accesses is sequentially consistent, and
everything that is, is seen."""
import atexit
import os
import re
import shutil
import subprocess
import sys
import tempfile
from itertools import product

import harness
from harness import HINDCAST, SOURCE, Server, check, contains, equal, patience

HERE = os.path.join(SOURCE, "tests", "e2e", "litmus")
EXAMPLES = os.path.join(SOURCE, "examples")
FLAGS = ("-std=gnu11 -O1 -g -ffreestanding -fno-pic -fno-stack-protector -Wall -Wextra -nostdlib -static -Wl,--build-id=none "
         "-Wl,-z,noexecstack").split()
SEEDS = 24

# What sequential consistency allows. IRIW: the two readers do not see the writes in opposite orders.
ALLOWED = {
    "MP": {"00", "01", "11"},
    "SB": {"01", "10", "11"},
    "LB": {"00", "01", "10"},
    "IRIW": {"".join(o) for o in product("01", repeat=4)} - {"1010"},
    "CoRR": {"00", "01", "11"},
    "2+2W": {"12", "21", "22"},
    "add": {"3"},
    "plain": {"1", "2"},
    "xchg": {"01", "20"},
    "cas": {"001", "010", "100"},
}
guests = {}


def guest():
    if harness.target.name not in guests:
        directory = tempfile.mkdtemp(prefix="hindcast-guest-")
        atexit.register(shutil.rmtree, directory, True)
        elf = os.path.join(directory, "litmus.elf")
        script = os.path.join(EXAMPLES, "stale-pointer", harness.target.name, "link.ld")
        if harness.target.name == "i386":
            command = ["gcc", "-m32", "-march=i686", "-fcf-protection=none", os.path.join(EXAMPLES, "lost-update", "start.S"),
                       os.path.join(EXAMPLES, "lost-update", "pc.c")]
        else:
            command = ["aarch64-linux-gnu-gcc", "-mgeneral-regs-only", "-mstrict-align", "-mno-outline-atomics",
                       "-Wl,-z,max-page-size=4096", os.path.join(HERE, "virt.S")]
        subprocess.run(command + FLAGS + ["-T", script, "-o", elf, os.path.join(HERE, "litmus.c")], check=True)
        guests[harness.target.name] = elf
    return guests[harness.target.name]


def outcomes(interleaving):
    machine = ["--machine", "virt"] if harness.target.name == "aarch64" else []
    out = subprocess.run([HINDCAST, "--smp", "4", "--interleave", interleaving, "--run", "--listen", "none", "--serial", "stdio"] + machine +
                         [guest()], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=patience(60))
    equal(out.returncode, 0, out)
    seen = {}
    for line in out.stdout.splitlines():
        name, *rest = line.split()
        seen[name] = {o.split(":")[0] for o in rest}
    equal(set(seen), set(ALLOWED), out)
    return seen


def steps_of(client, thread):
    return int(re.search(r"CPU #%d: .* (\d+) steps" % (thread - 1), client.monitor("info cpus")).group(1))


def general(client):
    """The registers that do not tick: x0 to cpsr, or as many bytes of the PC's."""
    return client.ask("g")[:2 * (33 * 8 + 4)]


def claim_all_that_is_seen_is_sequentially_consistent_and_all_of_that_is_seen():
    seen = {name: set() for name in ALLOWED}
    ways = [f"quantum={1 << n}" for n in (0, 3, 7)]
    ways += [f"quantum={8 << n % 4},seed={n}" + (",starve=on" if n % 3 == 0 else "") for n in range(SEEDS)]
    for way in ways:
        for name, outcome in outcomes(way).items():
            check(outcome <= ALLOWED[name], name, outcome - ALLOWED[name], way)
            seen[name] |= outcome
    equal(seen, ALLOWED)


def claim_forty_steps_of_each_cpu_and_back_while_all_are_busy():
    machine = ["--machine", "virt"] if harness.target.name == "aarch64" else []
    with Server("--smp", "4", "--interleave", "quantum=50,seed=3", *machine, guest=guest()) as s:
        c = s.client()
        c.ask("qSupported:swbreak+;vContSupported+")
        c.monitor("seek 200000")
        c.ask("vCont;c")
        for thread in (1, 2, 3, 4) * 2:
            c.ask(f"Hc{thread}")
            contains(c.ask("vCont;s:%x;c" % thread), f"thread:{thread};")  # between two steps of its own
            states = [(steps_of(c, thread), general(c))]
            for there, back in (("vCont;s:%x;c" % thread, "bs"), ("bs", "vCont;s:%x;c" % thread)):
                for _ in range(40):
                    contains(c.ask(there), f"^T05.*thread:{thread};")
                    states.append((steps_of(c, thread), general(c)))
                equal(len({n for n, _ in states}), 41)
                while len(states) > 1:
                    states.pop()
                    contains(c.ask(back), f"^T05.*thread:{thread};")
                    equal((steps_of(c, thread), general(c)), states[-1])


if __name__ == "__main__":
    harness.main(sys.modules[__name__], (harness.I386, harness.AARCH64))
