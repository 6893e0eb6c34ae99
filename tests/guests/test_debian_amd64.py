#!/usr/bin/env python3
"""Unmodified Debian kernels for amd64, forwards, backwards, recorded and replayed.

    test_debian_amd64.py HINDCAST [FLAVOUR[:CPU] ...]

What test_debian_i386.py claims of 32-bit kernels, of these; then a recording of a boot that was typed at is
made and replayed from the beginning, in which the guest sleeps and wakes. Without arguments the cloud kernel on the model that 64-bit kernels get and
on max, and the ordinary one on Haswell.

Exit status 77: the packages cannot be fetched here.
"""

import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import test_debian_i386 as debian  # noqa: E402

check = debian.check
debian.ARCHITECTURE = "i386:x86-64"


def jiffies(guest, table):
    """The address of jiffies_64, which do_timer() adds to: add %rdi, disp32(%rip)."""
    code = guest.rsp.memory(table["do_timer"], 64)
    match = re.search(rb"\x48\x01\x3d(....)", code, re.S)
    return match and table["do_timer"] + match.end() + int.from_bytes(match.group(1), "little", signed=True)


debian.jiffies = jiffies


def recorded(program, kernel, initrd, cpu, name, tmp):
    """A boot, typed at, and its recording replays to the same states."""
    there = os.path.join(tmp, name.replace(":", "-") + ".rec")
    guest = debian.Guest(program, kernel, initrd, ["--record", there] + (["--cpu", cpu] if cpu else []))
    guest.rsp.send("c")
    after, _ = guest.wait_console(rb"hindcast-guest: shell is up")
    after, _ = guest.wait_console(rb"guest# ", start=after)
    guest.type("echo product-$((6*9)); ls / | wc -l\n")
    guest.wait_console(rb"product-54", start=after)
    debian.sleeping(guest, name)
    debian.stop_guest(guest)
    guest.close()
    result = subprocess.run([program, "verify", there], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    out = result.stdout.decode("utf-8", "replace")
    check("%s: its recording replays" % name, result.returncode == 0 and "the whole recording replays" in out, out)


def main():
    program = sys.argv[1]
    kinds = sys.argv[2:] or ["cloud-amd64", "cloud-amd64:max", "amd64:Haswell"]
    flavours = sorted({kind.split(":")[0] for kind in kinds})
    cache = debian.cache_dir()
    code = subprocess.run([os.path.join(HERE, "fetch-debian"), "amd64", cache, "busybox-static"]
                          + ["linux-image-" + f for f in flavours]).returncode
    if code:
        sys.exit(code)
    root = os.path.join(cache, "amd64", "root")
    with tempfile.TemporaryDirectory() as tmp:
        initrd = os.path.join(tmp, "initrd.gz")
        subprocess.run([os.path.join(HERE, "make-initramfs"), root + "/bin/busybox", initrd], check=True)
        for kind in kinds:
            flavour, _, cpu = kind.partition(":")
            version = open("%s/amd64/done/linux-image-%s" % (cache, flavour)).read().strip()[len("linux-image-"):]
            kernel = "%s/boot/vmlinuz-%s" % (root, version)
            if kind == kinds[0]:
                debian.engines(program, ["-only:jit", kernel, "3000000000", initrd, "console=ttyS0", "max"], kind)
            guest, table = debian.boot(program, kernel, initrd, kind, ["--cpu", cpu] if cpu else [],
                                       ["do_timer", "do_sys_openat2", "ksys_read", "kernel_clone", "wake_up_new_task"], flavour)
            debian.stepping(guest, kind)
            debian.seeking(guest, kind)
            debian.breakpoints(guest, table, kind)
            debian.watchpoints(guest, table, kind)
            debian.queries(guest, table, kind)
            debian.history_edges(guest, kind)
            debian.power_off(guest, kind)
            guest.close()
            recorded(program, kernel, initrd, cpu, kind, tmp)
    print("%d passed, %d failed" % (debian.passed, debian.failed))
    sys.exit(1 if debian.failed else 0)


if __name__ == "__main__":
    main()
