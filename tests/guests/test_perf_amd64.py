#!/usr/bin/env python3
"""Linux's perf events on the PC: performance counters, overflow interrupts, debug registers.

    test_perf_amd64.py HINDCAST [MODEL...]

What test_perf_arm64.py claims of the virt board, of models with pmu=on: Intel's architectural counters and AMD's. A recording replays.

Exit status 77: the packages cannot be fetched here; no gdb, no compiler.
"""

import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import firmware_guest as fw  # noqa: E402
import test_debian_i386 as common  # noqa: E402
import test_perf_arm64 as perf  # noqa: E402
from firmware_guest import check  # noqa: E402

SCRIPT = """#!/bin/busybox sh
dmesg | grep -E 'Performance Events|PMU driver|num_counters|generic registers|fixed-purpose'
/events
sleep 1 # until the console has said so
poweroff -f
"""
MODELS = {"Haswell,pmu=on": (rb"Performance Events: Haswell events, .*Intel PMU driver", 4, 3),
          "qemu64,pmu=on": (rb"Performance Events: .*AMD PMU driver", 4, 0)}


def run(program, model, kernel, initrd, directory):
    driver, generic, fixed = MODELS[model]
    there = os.path.join(directory, model.partition(",")[0] + ".rec")
    guest = fw.Guest(program, "--cpu", model, "--kernel", kernel, "--initrd", initrd, "--append", "console=ttyS0", "--record", there)
    reply = guest.rsp.ask("c")
    guest.expect(rb"events: done")
    check("%s: the power-off is a stop" % model, reply[:1] == "T", reply)
    check("%s: Linux finds the driver" % model, re.search(driver, guest.console), guest.console)
    check("%s: and the counters" % model, b"generic registers:      %d" % generic in guest.console and
          b"fixed-purpose events:   %d" % fixed in guest.console, guest.console)
    got = re.findall(r"^events: (.*)$", "\n".join(fw.plain(guest.console)), re.M)
    check("%s: what is counted is what was done" % model, got == perf.LINES, got)
    perf.last_sample(guest, perf.address_of("on_sample", os.path.join(directory, "events"), "nm"))
    fw.steps(guest, "%s: there" % model)
    fw.one_state(guest, "%s: with counters running" % model)
    guest.close()
    result = subprocess.run([program, "verify", there], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    out = result.stdout.decode("utf-8", "replace")
    check("%s: its recording replays" % model, result.returncode == 0 and "the whole recording replays" in out, out)


def main():
    program = sys.argv[1]
    fw.need()
    cache = common.cache_dir()
    if subprocess.run([os.path.join(HERE, "fetch-debian"), "amd64", cache, "busybox-static", "linux-image-cloud-amd64"]).returncode:
        sys.exit(77)
    root = os.path.join(cache, "amd64", "root")
    version = open(cache + "/amd64/done/linux-image-cloud-amd64").read().strip()[len("linux-image-"):]
    with tempfile.TemporaryDirectory() as tmp:
        if not perf.build(tmp, "x86_64-linux-gnu-gcc"):
            print("no compiler with a C library for x86-64: skipped")
            sys.exit(77)
        script, initrd = os.path.join(tmp, "script"), os.path.join(tmp, "initrd.gz")
        with open(script, "w") as f:
            f.write(SCRIPT)
        subprocess.run([os.path.join(HERE, "make-initramfs"), root + "/bin/busybox", initrd, script, os.path.join(tmp, "events")], check=True)
        for model in sys.argv[2:] or MODELS:
            run(program, model, "%s/boot/vmlinuz-%s" % (root, version), initrd, tmp)
    fw.finish()


if __name__ == "__main__":
    main()
