#!/usr/bin/env python3
"""A 64-bit kernel of our own (tests/guests/hobby64) by Multiboot 2: it checks what it is given, and goes backwards."""

import atexit
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "e2e"))
import harness  # noqa: E402
from harness import Server, check, equal  # noqa: E402

directory = tempfile.mkdtemp(prefix="hindcast-hobby64-")
atexit.register(shutil.rmtree, directory, True)
built = []


def options():
    """The kernel, built, with its module."""
    path, module = os.path.join(directory, "kernel64.elf"), os.path.join(directory, "module")
    if not built:
        source = os.path.join(HERE, "hobby64")
        subprocess.run(["gcc", "-m64", "-std=gnu11", "-O1", "-g", "-ffreestanding", "-fno-pic", "-mcmodel=kernel",
                        "-mno-red-zone", "-mno-sse", "-fno-stack-protector", "-fcf-protection=none", "-Wall", "-Wextra",
                        "-Wno-main", "-nostdlib", "-static", "-Wl,--build-id=none", "-Wl,-z,noexecstack",
                        "-Wl,-z,max-page-size=4096", "-Wl,--no-warn-rwx-segments", "-T", source + "/link.ld", "-o", path,
                        source + "/boot.S", source + "/kernel.c"], check=True, stderr=subprocess.PIPE)
        with open(module, "wb") as f:
            f.write(b"a module's contents\0")
        built.append(path)
    return [path, "--append", "one two", "--initrd", module + " words", "--memory", "64M", "--icount", "sleep=off"]


def run(*more):
    r = subprocess.run([harness.HINDCAST, "--run", "--listen", "none"] + options() + list(more), stdin=subprocess.DEVNULL,
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60 * harness.SLOW)
    text = r.stdout.decode("latin-1")
    check("FAIL" not in text and "all claims hold" in text, "claims of the kernel:\n" + text + r.stderr.decode())
    equal(r.returncode, 33)
    return re.findall(r"^ok   .*", text, re.M)


def claim_all_that_the_kernel_checks_is_so():
    check(len(run()) > 12)


def claim_it_is_so_on_every_64_bit_cpu():
    for cpu in "core2duo", "Nehalem", "Haswell", "max":
        run("--cpu", cpu)


def claim_a_recording_of_it_replays():
    recording = os.path.join(directory, "r.hcrec")
    run("--record", recording)
    status = subprocess.run([harness.HINDCAST, "verify", recording], stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL).returncode
    equal(status, 0)


def claim_it_goes_back_from_64_bits_to_its_32_bit_beginning():
    with Server(*options(), guest=None) as s:
        rsp = s.client()
        rsp.start()
        rsp.ask("c")
        end = rsp.position()
        rsp.ask("bs")
        check(0 < rsp.position() < end)
        rsp.ask("bc")
        equal(rsp.position(), 0)
        rsp.ask("c")
        equal(rsp.position(), end)


if __name__ == "__main__":
    harness.main(sys.modules[__name__])
