#!/usr/bin/env python3
"""Debian kernels on several CPUs, with work for all of them.

    test_smp.py HINDCAST [--long] [686-pae|amd64|arm64:2|arm64:3|spin-table[/CPUS[/INTERLEAVE]] ...]

Each boots with so many CPUs, runs a shell loop of many processes on every one of them and powers off; was recorded
meanwhile, and the recording replays: every state hash agrees, from the beginning and from every checkpoint in the file. :2 and :3 are the interrupt controllers of the virt board; on
spin-table the kernel starts CPUs by that, and not by PSCI.

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
from test_debian_i386 import check  # noqa: E402
from test_debian_record import Kind  # noqa: E402

DEFAULT = ("686-pae/2", "686-pae/8/seed=5,starve=on", "686-pae/8", "arm64:2/2", "arm64:3/4/seed=5,starve=on", "arm64:2/8",
           "arm64:3/17", "spin-table/4", "spin-table/18/seed=3")
LONG = ("686-pae/17", "686-pae/32", "amd64/17", "amd64/64", "arm64:3/64")
MOST = {"686-pae": 32} # CPUs that the kernel is built for

SCRIPT = """#!/bin/busybox sh
n=$(grep -c ^processor /proc/cpuinfo)
echo "cpus: $n"
i=0
while [ $i -lt $n ]; do
    (j=0; while [ $j -lt 25 ]; do j=$((j+1)); echo $j | md5sum >/dev/null; done; echo "worker $i is done") &
    i=$((i+1))
done
wait
echo "all is done"
sleep 1 # until the console has said so
poweroff -f
"""


class SpinTable(Kind):
    def __init__(self):
        super().__init__("arm64:3")
        self.name = "spin-table"
        self.options = ["--machine", "virt,gic-version=3,enable-method=spin-table", "--append", "console=ttyAMA0"]


def run(program, arguments):
    """Output and the position where the guest ended."""
    result = subprocess.run([program] + arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, timeout=3000)
    end = re.search(rb"powered off at position (\d+)", result.stderr)
    return result.stdout, int(end.group(1)) if end else None


def boot(program, kind, cpus, interleave, kernel, initrd, more):
    append = [] if kind.arm else ["--append", "console=ttyS0"] + (["--cpu", "max"] if kind.arch == "amd64" else [])
    return run(program, ["--icount", "sleep=off", "--memory", "256M", "--kernel", kernel, "--initrd", initrd, "--smp",
                         str(cpus), "--listen", "none", "--run", "--serial", "stdio"] + kind.options + append +
               (["--interleave", interleave] if interleave else []) + more)


def one(program, kind, cpus, interleave, kernel, initrd, tmp):
    name = "%s, %d CPUs%s" % (kind.name, cpus, interleave and ", " + interleave)
    recording = os.path.join(tmp, "smp.hindcast")
    console, end = boot(program, kind, cpus, interleave, kernel, initrd, ["--record", recording, "--force"])
    cpus = min(cpus, MOST.get(kind.flavour, cpus))
    workers = len(re.findall(rb"worker \d+ is done", console))
    check("%s: the kernel finds all CPUs" % name, b"cpus: %d\r" % cpus in console, console[-2000:])
    check("%s: all of them work, and the guest powers off" % name, end and workers == cpus, console[-2000:])
    check("%s: the kernel complains of nothing" % name, not re.search(rb"BUG:|WARNING:|stall|lockup|segfault|Oops", console), console)
    for start in ("start", "checkpoints"):
        result = subprocess.run([program, "verify", recording, "--from", start], stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, timeout=3000)
        check("%s: the recording replays from its %s" % (name, start), result.returncode == 0, result.stdout[-500:])
    return console, end


def main():
    program = sys.argv[1]
    cache = common.cache_dir()
    with tempfile.TemporaryDirectory() as tmp:
        script = os.path.join(tmp, "script")
        with open(script, "w") as f:
            f.write(SCRIPT)
        names = [text for text in sys.argv[2:] if text != "--long"] or DEFAULT + (LONG if "--long" in sys.argv else ())
        for text in names:
            name, _, rest = text.partition("/")
            cpus, _, interleave = rest.partition("/")
            kind = SpinTable() if name == "spin-table" else Kind(name)
            code = subprocess.run([os.path.join(HERE, "fetch-debian"), kind.arch, cache, "busybox-static",
                                   "linux-image-" + kind.flavour]).returncode
            if code:
                sys.exit(code)
            initrd = os.path.join(tmp, kind.arch + ".gz")
            subprocess.run([os.path.join(HERE, "make-initramfs"), "%s/%s/root/bin/busybox" % (cache, kind.arch), initrd,
                            script], check=True)
            kernel = kind.kernel(cache)
            one(program, kind, int(cpus or 2), interleave, kernel, initrd, tmp)
    print("%d passed, %d failed" % (common.passed, common.failed))
    sys.exit(1 if common.failed else 0)


if __name__ == "__main__":
    main()
