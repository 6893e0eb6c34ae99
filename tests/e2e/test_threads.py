"""A gdb thread is a CPU: a real gdb on a guest of two, both ways."""
import atexit
import os
import re
import shutil
import subprocess
import sys
import tempfile

import harness
from harness import SOURCE as TREE, Server, contains, equal, gdb

SOURCE = """
        .text
        .globl _start
_start: mrs x0, mpidr_el1
        and x0, x0, #0xff
        cbnz x0, second
        ldr x0, =0xc4000003     // PSCI CPU_ON: the other CPU comes here, too
        mov x1, #1
        adr x2, _start
        mov x3, #0
        hvc #0
        ldr x9, =counter
1:      ldr x1, [x9]
        add x1, x1, #1
        str x1, [x9]
        .globl first_loop
first_loop:
        b 1b
second: ldr x9, =counter2
2:      ldr x1, [x9]
        add x1, x1, #1
        .globl second_store
second_store:
        str x1, [x9]
        .globl second_loop
second_loop:
        b 2b
        .data
        .globl counter, counter2
counter: .quad 0
counter2: .quad 0
"""
guests = []


def guest():
    if not guests:
        directory = tempfile.mkdtemp(prefix="hindcast-guest-")
        atexit.register(shutil.rmtree, directory, True)
        source, elf = os.path.join(directory, "threads.S"), os.path.join(directory, "threads.elf")
        with open(source, "w") as f:
            f.write(SOURCE)
        subprocess.run(["aarch64-linux-gnu-gcc", "-nostdlib", "-static", "-g", "-Wl,--build-id=none", "-Wl,-z,max-page-size=4096",
                        "-T", os.path.join(TREE, "examples", "stale-pointer", "aarch64", "link.ld"), "-o", elf, source],
                       check=True)
        guests.append(elf)
    return guests[0]


def run(commands):
    with Server("--machine", "virt", "--smp", "2", guest=guest()) as s:
        return gdb(s, commands, symbols=guest())


def steps(text):
    """What `monitor info cpus` says that each CPU has made."""
    return [int(n) for n in re.findall(r"CPU #\d+: .* (\d+) steps$", text, re.M)]


def claim_a_hit_says_whose_it_is_and_each_thread_has_its_own_registers():
    out = run(["info threads", "echo ON\\n", "break second_loop", "continue", "info threads", "p $x1", "thread 1", "p/x $pc == (long)first_loop || $pc < (long)second_loop",
               "delete", "watch *(long *)&counter2", "continue", "reverse-continue", "info threads"])
    before, after = out.split("ON\n")
    contains(before, r'^\* 1 +Thread 1 "CPU#0" \(running, ')
    contains(before, r'^  2 +Thread 2 "CPU#1" \(off, ')
    contains(after, r'^Thread 2 "CPU#1" hit Breakpoint 1, second_loop')
    contains(after, r'^\* 2 +Thread 2 "CPU#1"')
    contains(after, r"^\$1 = 1$")
    equal(len(re.findall(r'^Thread 2 "CPU#1" hit Hardware watchpoint 2', after, re.M)), 2, after)


def claim_a_step_of_one_thread_and_back_is_symmetric_in_its_own_count():
    out = run(["break second_loop", "continue", "delete", "monitor info cpus", "echo |\\n", "thread 2"] + ["stepi"] * 5 +
              ["monitor info cpus", "echo |\\n"] + ["reverse-stepi"] * 5 + ["monitor info cpus", "echo |\\n", "thread 1"] + ["stepi"] * 3 +
              ["monitor info cpus"])
    a, b, c, d = [steps(part) for part in out.split("|\n")]
    equal((b[1] - a[1], c[1], d[0] - c[0]), (5, a[1], 3), out)


def claim_what_is_written_is_that_cpus():
    out = run(["break second_loop", "continue", "delete", "set var $x1 = 1000", "thread 1", "p $x1 == 1000", "thread 2", "p $x1",
               "break second_store", "continue", "p $x1", "reverse-continue", "reverse-continue", "p $x1"])
    equal(re.findall(r"^\$\d+ = (\d+)", out, re.M)[:2], ["0", "1000"], out)


def claim_thread_specific_breakpoints_stop_for_their_thread_alone():
    out = run(["break second_loop thread 2 if $x1 > 5", "break first_loop thread 2", "continue", "p $x1"])
    contains(out, r'^Thread 2 "CPU#1" hit Breakpoint 1')
    contains(out, r"^\$1 = 6$")


if __name__ == "__main__":
    harness.main(sys.modules[__name__], (harness.AARCH64,))
