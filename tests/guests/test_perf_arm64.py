#!/usr/bin/env python3
"""Linux's perf events on the virt board: performance counters, overflow interrupts, debug registers.

    test_perf_arm64.py HINDCAST

Debian's kernel finds the counters and the breakpoint and watchpoint registers, and perf/events.c
counts with them what is known beforehand. Then history: one state for each position.

Exit status 77: the packages cannot be fetched here; no gdb, no compiler or no C library for aarch64.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import firmware_guest as fw  # noqa: E402
import test_debian_i386 as common  # noqa: E402
from firmware_guest import check  # noqa: E402

SCRIPT = """#!/bin/busybox sh
dmesg | grep -E 'perfevents|hw-breakpoint'
/events
sleep 1 # until the console has said so
poweroff -f
"""

LINES = ["2000 thousand instructions", "2000 thousand cycles", "20 samples", "7 breakpoints", "5 stores", "5 loads",
         "done"]


def build(directory, compiler="aarch64-linux-gnu-gcc"):
    """The program; False: it cannot be built here."""
    compiler = shutil.which(compiler)
    return compiler and not subprocess.run(
        [compiler, "-O1", "-Wall", "-Wextra", "-Werror", "-std=gnu11", "-static", "-o", os.path.join(directory, "events"),
         os.path.join(HERE, "perf", "events.c")]).returncode


def address_of(name, program, nm="aarch64-linux-gnu-nm"):
    out = subprocess.run([nm, program], check=True, stdout=subprocess.PIPE).stdout.decode()
    return int(re.search(r"^(\w+) \w %s$" % name, out, re.M).group(1), 16)


def last_sample(guest, address):
    """Back to the last sample's signal handler."""
    rsp = guest.rsp
    rsp.ask("Z1,%x,4" % address)
    reply = rsp.ask("bc")
    rsp.ask("z1,%x,4" % address)
    check("back at the last sample", "hwbreak" in reply, reply)


def main():
    program = sys.argv[1]
    fw.need()
    with tempfile.TemporaryDirectory() as tmp:
        if not build(tmp):
            print("no compiler with a C library for aarch64: skipped")
            sys.exit(77)
        images = fw.kernel_and_initrd(tmp)
        if not images:
            sys.exit(77)
        kernel, initrd = images
        script = os.path.join(tmp, "script")
        with open(script, "w") as f:
            f.write(SCRIPT)
        busybox = os.path.join(common.cache_dir(), "arm64", "root", "bin", "busybox")
        subprocess.run([os.path.join(HERE, "make-initramfs"), busybox, initrd, script, os.path.join(tmp, "events")],
                       check=True)
        guest = fw.Guest(program, "--machine", "virt", "--kernel", kernel, "--initrd", initrd, "--append",
                         "console=ttyAMA0 quiet")
        reply = guest.rsp.ask("c")
        guest.expect(rb"events: done")
        check("the power-off is a stop", reply[:1] == "T", reply)
        check("Linux finds seven counters", b"7 counters available" in guest.console)
        check("and the debug registers", b"found 6 breakpoint and 4 watchpoint registers" in guest.console)
        got = re.findall(r"^events: (.*)$", "\n".join(fw.plain(guest.console)), re.M)
        check("what is counted is what was done", got == LINES, got)
        last_sample(guest, address_of("on_sample", os.path.join(tmp, "events")))
        fw.steps(guest, "there")
        fw.one_state(guest, "with counters running")
        guest.close()
    fw.finish()


if __name__ == "__main__":
    main()
