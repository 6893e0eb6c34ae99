#!/usr/bin/env python3
"""Watchdogs and the memory balloon, as a Debian kernel's drivers use them. What is recorded replays.

    test_watchdogs.py HINDCAST [NAME...]

Exit status 77: the packages cannot be fetched here.
"""

import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import test_debian_i386 as common  # noqa: E402
import test_disk_i386 as disks  # noqa: E402
from test_debian_i386 import check  # noqa: E402

SCRIPT = """#!/bin/sh
for m in MODULES; do insmod /$m.ko ARGUMENTS || echo "no $m"; done
WORK
echo "the guest is done"
poweroff -f
"""

# A guest that pats its watchdog, and then does not.
WATCH = """exec 3>/dev/watchdog
for i in 1 2 3; do echo -n . >&3; sleep 3; echo "patted $i"; done
sleep 30"""

# By name: options, modules, their arguments, what the guest does, what it and hindcast say.
GUESTS = {
    "i6300esb": (["--device", "i6300esb", "--watchdog-action", "pause"], ["i6300esb"], "heartbeat=4", WATCH,
                 [r"patted 3", r"the guest's watchdog has run out"]),
    "i6300esb-reset": (["--device", "i6300esb", "--no-reboot"], ["i6300esb"], "heartbeat=4", WATCH,
                       [r"patted 3", r"the guest asked for a reset"]),
    "i6300esb-nmi": (["--device", "i6300esb", "--action", "watchdog=inject-nmi"], ["i6300esb"], "heartbeat=4", WATCH,
                     [r"patted 3", r"Uhhuh. NMI received", r"the guest is done"]),
    "ib700": (["--device", "ib700,action=poweroff"], ["ib700wdt"], "timeout=4", WATCH, [r"patted 3", r"the guest powered off"]),
}


def boot(tmp, program, root, version, name):
    options, modules, arguments, work, expected = GUESTS[name]
    script = SCRIPT.replace("ARGUMENTS", arguments).replace("WORK", work)
    initrd = disks.make_initrd(tmp, root, version, modules, "none", script, ())
    recording = os.path.join(tmp, "r.hcrec")
    done = subprocess.run([program, "--memory", "256M", "--icount", "shift=0,sleep=off", "--kernel", "%s/boot/vmlinuz-%s" % (root, version),
                           "--initrd", initrd, "--append", "console=ttyS0", "--record", recording, "--embed", "--run", "--listen", "none",
                           "--serial", "stdio"] + options,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=900)
    text = done.stdout.decode("latin-1")
    for pattern in expected:
        check("%s: %s" % (name, pattern), re.search(pattern, text) is not None, text[-2500:])
    done = subprocess.run([program, "verify", recording], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=900)
    check(name + ": the recording replays", done.returncode == 0, done.stdout[-500:])


# A balloon: how much it takes and gives back, and what the guest says of its memory.
BALLOON = """#!/bin/sh
for m in MODULES; do insmod /$m.ko || echo "no $m"; done
"""


def kilobytes(guest, name):
    start = len(guest.console)
    guest.type("grep %s /proc/meminfo; echo it is' 'said\n" % name)
    _, match = guest.wait_console(rb"%s:\s+(\d+) kB[\s\S]*it is said" % name.encode(), start=start)
    return int(match.group(1))


def balloon(tmp, program, root, version):
    initrd = disks.make_initrd(tmp, root, version, ["virtio_pci", "virtio_balloon"], "none", BALLOON, ())
    recording = os.path.join(tmp, "r.hcrec")
    guest = common.Guest(program, "%s/boot/vmlinuz-%s" % (root, version), initrd,
                         ["--device", "virtio-balloon-pci,free-page-reporting=on", "--record", recording, "--embed"])
    guest.rsp.send("c")
    guest.wait_console(rb"guest# ")
    before = kilobytes(guest, "MemTotal")

    def wish(megabytes):
        guest.rsp.interrupt()
        guest.rsp.wait()
        guest.rsp.monitor("balloon %d" % megabytes)
        guest.rsp.send("c")
        guest.type("sleep 3; echo some time' 'passes\n")
        guest.wait_console(rb"some time passes", start=len(guest.console))

    wish(176)
    after = kilobytes(guest, "MemTotal")
    check("balloon: the guest has 80 MB less", before - after == 80 << 10, (before, after))
    guest.rsp.interrupt()
    guest.rsp.wait()
    text = guest.rsp.monitor("info balloon")
    check("balloon: and says so", re.search(r"actual=176 wanted=176 \(MB\)\n  the guest said at \d+\.\d{9} s:\n(.|\n)*free_mem \d+", text) is not None, text)
    guest.rsp.send("c")
    wish(256)
    check("balloon: it gets all of it back", kilobytes(guest, "MemTotal") == before)
    guest.rsp.interrupt()
    guest.rsp.wait()
    guest.close()
    done = subprocess.run([program, "verify", recording], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=900)
    check("balloon: the recording replays", done.returncode == 0, done.stdout[-500:])


def main():
    program = os.path.abspath(sys.argv[1])
    root, version = common.fetched("i386", "linux-image-686")
    for name in sys.argv[2:] or list(GUESTS) + ["balloon"]:
        with tempfile.TemporaryDirectory() as tmp:
            if name == "balloon":
                balloon(tmp, program, root, version)
                continue
            boot(tmp, program, root, version, name)
    print("%d passed, %d failed" % (common.passed, common.failed))
    sys.exit(1 if common.failed else 0)


if __name__ == "__main__":
    main()
