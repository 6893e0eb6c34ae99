#!/usr/bin/env python3
"""Other people's tests of processors, in Debian kernels: each checks itself. The recordings replay.

    test_suites.py HINDCAST [bpf-ARCH|crypto-ARCH-MODEL|idle-ARCH...]

bpf: the kernel's test_bpf, a thousand programs that its compiler turns into code of the processor, runs and looks at the results of.
crypto: every module of ciphers and hashes, in C and in each of the processor's extensions that the model has, is tried by known answers,
and RAID 6 is set up. idle: it suspends to idle, as far as each of pm_test's levels and to RAM, and its clock's alarm wakes it.

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

KERNELS = {"i386": "linux-image-686-pae", "amd64": "linux-image-amd64", "arm64": "linux-image-arm64"}
BOARDS = {"i386": ["--machine", "pc"], "amd64": ["--machine", "pc"], "arm64": ["--machine", "virt"]}
CONSOLES = {"i386": "ttyS0", "amd64": "ttyS0", "arm64": "ttyAMA0"}

BPF = """#!/bin/sh
echo 1 >/proc/sys/net/core/bpf_jit_enable
dmesg -n 1
for m in MODULES; do insmod /$m.ko; done
dmesg | grep -E 'test_bpf:.*(Summary|FAIL)' | grep -v 'err=-524' # the compiler of i386 gives up on some of 64 bits (ENOTSUPP)
echo "the guest is done"
sleep 1 # until the console has said so
poweroff -f
"""
# What a model has no instructions for does not load.
CRYPTO = """#!/bin/sh
for m in MODULES; do insmod /$m.ko 2>/dev/null; done
awk '/^driver/ {d = $3} /^selftest/ && $3 != "passed" {print "not passed: " d}' /proc/crypto
echo "drivers $(grep -c ^driver /proc/crypto), passed $(grep -c 'selftest *: passed' /proc/crypto)"
dmesg | grep -E 'alg: .*(fail|wrong)|raid6: using'
echo "the guest is done"
sleep 1 # until the console has said so
poweroff -f
"""
IDLE = """#!/bin/sh
for m in MODULES; do insmod /$m.ko 2>/dev/null; done
echo 0 >/sys/class/rtc/rtc0/wakealarm
echo +3 >/sys/class/rtc/rtc0/wakealarm
echo freeze >/sys/power/state && echo "it is awake again"
echo 1 >/sys/module/suspend/parameters/pm_test_delay
for level in freezer devices platform processors core; do
    echo $level >/sys/power/pm_test
    echo mem >/sys/power/state && echo "tried $level"
done
echo none >/sys/power/pm_test
echo 0 >/sys/class/rtc/rtc0/wakealarm
echo +3 >/sys/class/rtc/rtc0/wakealarm
echo mem >/sys/power/state && echo "it is awake for the last time"
echo "the guest is done"
sleep 1 # until the console has said so
poweroff -f
"""

# By name: what must be said.
BPF_SAYS = [r"test_bpf: Summary: [1-9]\d+ PASSED, \d+ FAILED, \[([1-9]\d+)/\1 JIT'ed\]"]
CRYPTO_SAYS = [r"drivers ([1-9]\d+), passed \1\b", r"raid6: using algorithm"]
SUITES = {"bpf-" + arch: (BPF_SAYS, []) for arch in KERNELS}
SUITES.update(("crypto-%s-%s" % pair, (CRYPTO_SAYS, ["--cpu", pair[1]])) for pair in (
    ("i386", "pentium4"), ("i386", "max32"), ("amd64", "qemu64"), ("amd64", "Nehalem"), ("amd64", "max"), ("arm64", "cortex-a57"), ("arm64", "max")))
SUITES.update(("idle-" + arch, ([r"PM: suspend entry \(s2idle\)", r"PM: suspend exit", r"it is awake again", r"PM: suspend entry \(deep\)",
                                     r"Waking up from system sleep state S3", r"it is awake for the last time"]
                                    + ["tried " + level for level in ("freezer", "devices", "platform", "processors", "core")], [])) for arch in ("i386", "amd64"))


def of_crypto(directory):
    """Its modules, those of extensions last, and then the DRBG: what they stand in for or are made of is there then."""
    modules = disks.find_modules(directory)
    wanted = [m for m, path in sorted(modules.items()) if re.search(r"/kernel/(crypto|lib/crypto|lib/raid6|arch/\w+/crypto)/", path) and m != "tcrypt"]
    return sorted(wanted, key=lambda m: (m == "drbg", "/arch/" in modules[m]))


def initrd_of(tmp, what, arch, root, version):
    modules = "%s/lib/modules/%s" % (root, version)
    if what == "bpf":
        return disks.make_initrd(tmp, root, version, ["test_bpf"], "none", BPF, ())
    if what == "crypto":
        return disks.make_initrd(tmp, root, version, of_crypto(modules), "none", CRYPTO, ())
    return disks.make_initrd(tmp, root, version, ["rtc_cmos"], "none", IDLE, ())


def run(tmp, program, name):
    what, arch = name.split("-")[:2]
    expected, options = SUITES[name]
    root, version = common.fetched(arch, KERNELS[arch])
    initrd = initrd_of(tmp, what, arch, root, version)
    recording = os.path.join(tmp, "r.hcrec")
    done = subprocess.run([program, "--memory", "512M", "--icount", "shift=0,sleep=off", "--kernel", "%s/boot/vmlinuz-%s" % (root, version),
                           "--initrd", initrd, "--append", "console=" + CONSOLES[arch], "--record", recording, "--embed", "--run", "--listen",
                           "none", "--serial", "stdio"] + BOARDS[arch] + options,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=3600)
    text = done.stdout.decode("latin-1").replace("\r", "")
    for pattern in expected + [r"the guest is done"]:
        check("%s: %s" % (name, pattern), re.search(pattern, text) is not None, text[-2500:])
    wrong = re.findall(r".*(?:not passed: |FAIL(?!ED)|alg: .*fail|WARNING: CPU|BUG: |Oops).*", text)
    check(name + ": nothing else is wrong", not wrong, wrong[:10])
    done = subprocess.run([program, "verify", recording], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=3600)
    check(name + ": the recording replays", done.returncode == 0, done.stdout[-500:])


def main():
    for name in sys.argv[2:] or SUITES:
        with tempfile.TemporaryDirectory() as tmp:
            run(tmp, sys.argv[1], name)
    print("%d passed, %d failed" % (common.passed, common.failed))
    sys.exit(1 if common.failed else 0)


if __name__ == "__main__":
    main()
