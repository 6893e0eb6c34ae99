#!/usr/bin/env python3
"""Kernels that nobody here works with every day, unmodified: older and newer ones,
with pages of 16 KiB, with PREEMPT_RT.

    test_kernels.py HINDCAST [--long] [NAME[/MODEL] ...]

Each boots to a shell, tells its version and its page size, can be stopped, stepped
and reverse-stepped with equal states, taken to the past and back, and powers off. With --long
those of amd64 do so on each model of MODELS.

Exit status 77: none of the packages can be fetched here.
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

ARM = ("--append", "console=ttyAMA0", "--machine")
# name: architecture, suite, package, what uname -r says, KiB of a page, options
KERNELS = {
    "5.10-686": ("i386", "bullseye", "linux-image-686", r"5\.10\.", 4, ()),
    "rt-686-pae": ("i386", None, "linux-image-rt-686-pae", r"rt", 4, ()),
    "rt-amd64": ("amd64", None, "linux-image-rt-amd64", r"rt", 4, ("--cpu", "max")),
    "6.12-amd64": ("amd64", "bookworm-backports", "linux-image-cloud-amd64", r"6\.1\d\.", 4, ("--cpu", "Haswell")),
    "5.10-arm64": ("arm64", "bullseye", "linux-image-arm64", r"5\.10\.", 4, ARM + ("virt,gic-version=3",)),
    "16k-arm64": ("arm64", "bookworm-backports", "linux-image-arm64-16k", r"16k", 16, ARM + ("virt,gic-version=2",)),
    "rt-arm64": ("arm64", "bookworm-backports", "linux-image-rt-arm64", r"rt", 4,
                 ARM + ("virt,gic-version=3,virtualization=on",)),
}
MODELS = "qemu64", "Haswell", "max"


def fetch(cache, arch, suite, package):
    """The kernel's path, or None."""
    args = [os.path.join(HERE, "fetch-debian")] + (["--suite", suite] if suite else []) + [arch, cache, package]
    if subprocess.run(args).returncode:
        return None
    top = os.path.join(cache, arch + ("-" + suite if suite else ""))
    with open(os.path.join(top, "done", package)) as f:
        version = f.read().strip()[len("linux-image-"):]
    return os.path.join(top, "root", "boot", "vmlinuz-" + version)


def initramfs(cache, arch, directory):
    if subprocess.run([os.path.join(HERE, "fetch-debian"), arch, cache, "busybox-static"]).returncode:
        return None
    name = os.path.join(directory, arch + ".gz")
    if not os.path.exists(name):
        subprocess.run([os.path.join(HERE, "make-initramfs"), os.path.join(cache, arch, "root/bin/busybox"), name], check=True)
    return name


def ask(guest, command, pattern):
    """Type a command; the match of what it answers."""
    start = len(guest.console)
    guest.type(command + "\n")
    return guest.wait_console(pattern, start=start)[1]


def run(program, name, kernel, initrd, version, page, options):
    guest = common.Guest(program, kernel, initrd, extra=options)
    guest.rsp.send("c")
    guest.wait_console(rb"guest# ")
    check("%s: boots to a shell" % name, True)
    text = ask(guest, "uname -r; echo u-$((6*7))", rb"([\x20-\x7e]+)\r+\nu-42").group(1).decode()
    check("%s: it is that kernel" % name, re.search(version, text), text)
    text = ask(guest, "grep -m1 KernelPageSize /proc/self/smaps", rb"KernelPageSize: +(\d+) kB").group(1)
    check("%s: pages of %d KiB" % (name, page), int(text) == page, text)
    stop = common.stop_guest(guest)
    check("%s: Ctrl-C stops it" % name, stop.startswith("T"), stop)
    common.stepping(guest, name)
    common.seeking(guest, name)
    guest.rsp.send("c")
    common.power_off(guest, name)
    bad = [line for line in guest.console.decode("latin-1").splitlines()
           if re.search(r"cut here|BUG:|WARNING:|Oops|Unhandled|unexpected", line)]
    check("%s: it has nothing to complain of" % name, not bad, bad[:5])
    guest.close()


def main():
    cache = common.cache_dir()
    ran = 0
    with tempfile.TemporaryDirectory() as tmp:
        names = sys.argv[2:] or list(KERNELS)
        if names == ["--long"]:
            names = [name + model for name, row in KERNELS.items() for model in (["/" + m for m in MODELS] if row[0] == "amd64" else [""])]
        for name in names:
            arch, suite, package, version, page, options = KERNELS[name.partition("/")[0]]
            if "/" in name:
                options = ("--cpu", name.partition("/")[2])
            kernel, initrd = fetch(cache, arch, suite, package), initramfs(cache, arch, tmp)
            if not kernel or not initrd:
                print("cannot fetch %s of %s for %s" % (package, suite or "the host's suite", arch))
                continue
            run(sys.argv[1], name, kernel, initrd, version, page, options)
            ran += 1
    if not ran:
        sys.exit(77)
    print("%d passed, %d failed" % (common.passed, common.failed))
    sys.exit(1 if common.failed else 0)


if __name__ == "__main__":
    main()
