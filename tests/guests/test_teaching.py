#!/usr/bin/env python3
"""A kernel as courses teach it (tests/guests/teaching) boots from its disk by SeaBIOS, with QEMU's words, on one CPU and on several:
what it says of the machine, its disks, typing, its program in ring 3; recorded, on each engine, and backwards."""

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
import screen  # noqa: E402
from harness import Server, check, contains, equal  # noqa: E402

SHARE = "/usr/share/seabios/"
BIOS = ("--bios", SHARE + "bios-256k.bin", "--vga-bios", SHARE + "vgabios-stdvga.bin")
FAST = ("--icount", "shift=3,sleep=off", "-m", "64", "-display", "none", "-monitor", "none", "-rtc",
        "base=2026-03-04T05:06:07")
USER = 0x400000 # where its program is
directory = tempfile.mkdtemp(prefix="hindcast-teaching-")
atexit.register(shutil.rmtree, directory, True)


def kernel(*defines):
    """The disk that it boots from, built with these -D."""
    name = os.path.join(directory, "os%d" % len(defines))
    source = os.path.join(HERE, "teaching")
    if not os.path.exists(name + ".img"):
        subprocess.run(["gcc", "-m32", "-std=gnu11", "-march=i686", "-mno-sse", "-mno-mmx", "-O1", "-g", "-ffreestanding", "-fno-pic",
                        "-fno-builtin", "-fno-stack-protector", "-fcf-protection=none", "-Wall", "-Wextra", "-nostdlib", "-static",
                        "-Wl,--build-id=none", "-Wl,-z,noexecstack"] + ["-D" + d for d in defines] +
                       ["-T", os.path.join(source, "link.ld"), "-o", name + ".elf", os.path.join(source, "boot.S"),
                        os.path.join(source, "kernel.c")], check=True, stderr=subprocess.PIPE)
        image = b""
        for section, size in (".sector", 512), (".kernel", 48 * 512):
            subprocess.run(["objcopy", "-O", "binary", "-j", section, name + ".elf", name], check=True)
            with open(name, "rb") as f:
                data = f.read()
            check(len(data) <= size, "%s has %d bytes" % (section, len(data)))
            image += data.ljust(size, b"\0")
        with open(name + ".img", "wb") as f:
            f.write(image.ljust(5120000, b"\0"))
    return name + ".img"


def machine(image, cpus):
    """The words that such kernels' makefiles have for QEMU."""
    disk = os.path.join(directory, "fs.img")
    if not os.path.exists(disk):
        with open(disk, "wb") as f:
            f.write(b"".join(bytes([n & 255]) * 512 for n in range(1000)))
    return ["-drive", "file=%s,index=1,media=disk,format=raw" % disk, "-drive", "file=%s,index=0,media=disk,format=raw" % image,
            "-smp", cpus]


def type_serial(rsp, keys):
    for c in keys:
        rsp.monitor("serial " + c)
        screen.run_to(rsp, rsp.position() + 200000)


def go_to(rsp, position, how):
    rsp.monitor("seek %d" % position)
    rsp.ask(how)
    equal(rsp.position(), position)


def back_and_forth(rsp, cpus):
    """Step by step; where several CPUs take turns, a step is one CPU's, so to places."""
    if cpus == 1:
        screen.there_and_back(rsp, 40)
        return
    end, there = rsp.position(), screen.state(rsp)
    for _ in range(40):
        contains(rsp.ask("bs"), r"^T")
    check(rsp.position() < end, "no step back")
    go_to(rsp, end, "c")
    equal(screen.state(rsp), there)
    for place in end - 1000, end // 2:
        go_to(rsp, place, "bc")
        first = screen.state(rsp)
        go_to(rsp, end, "c")
        equal(screen.state(rsp), there)
        go_to(rsp, place, "bc")
        equal(screen.state(rsp), first)
        go_to(rsp, end, "c")


def claim_it_finds_the_machine_and_keeps_what_is_typed():
    for cpus, count in ("1", 1), ("2", 2), ("4,sockets=4", 4):
        recording = os.path.join(directory, "r%d.hcrec" % count)
        with Server(*BIOS, *FAST, *machine(kernel(), cpus), "--record", recording, guest=None, serial="stdio") as s:
            rsp = s.client()
            screen.run_until_output(s, rsp, rb"all tick\r?\n?\$ ", 5000000, 60)
            text = s.output.decode()
            contains(text, r"^%d CPUs, local APIC fee00000, I/O APIC 0" % count)
            equal(sorted(re.findall(r"^cpu(\d) runs", text, re.M)), [str(n) for n in range(count)])
            contains(text, r"^disk 1: d54c6000")
            back_and_forth(rsp, count)
            contains(screen.screen(rsp), r"^all tick")
            rsp.monitor("sendkey a 1")
            screen.run_until_output(s, rsp, rb"key 1e", 2000000, 20)
            type_serial(rsp, [*"hello", "\\r"])
            screen.run_until_output(s, rsp, rb"kept: hello", 2000000, 20)
            contains(rsp.monitor("info block"), r"(?s)ide0-hd1.*differs from its image here in 1 pages")
            back_and_forth(rsp, count)
            type_serial(rsp, ["q", "\\r"])
            contains(rsp.ask("c"), r"^W29|^T")
            rsp.close()
        r = subprocess.run([harness.HINDCAST, "verify", recording], capture_output=True, text=True, timeout=harness.patience(120))
        equal(r.returncode, 0, r.stdout + r.stderr)


def claim_its_program_is_stepped_backwards_and_each_engine_has_the_same_states():
    hashes = {}
    for engine in "interpreter", "jit":
        with Server(*BIOS, *FAST, *machine(kernel("PROGRAM"), "1"), "--engine", engine, guest=None, serial="stdio") as s:
            rsp = s.client()
            for at in USER, USER + 0xa, USER + 0x15:
                rsp.ask("Z1,%x,1" % at)
                contains(rsp.ask("c"), r"^T")
                equal(int.from_bytes(bytes.fromhex(rsp.registers()[64:72]), "little"), at)
                screen.there_and_back(rsp, 40)
                hashes[engine, at] = screen.state(rsp)
                rsp.ask("z1,%x,1" % at)
            screen.run_until_output(s, rsp, rb"may not at 400015", 1000000, 20)
            contains(s.output.decode(), r"(?s)ring 3 asks 1 of 7.*ring 3 asks 2 of 42")
            rsp.close()
    for at in USER, USER + 0xa, USER + 0x15:
        equal(hashes["jit", at], hashes["interpreter", at])


if __name__ == "__main__":
    for needed in (shutil.which("gcc"), shutil.which("objcopy"), os.path.exists(BIOS[1]) and os.path.exists(BIOS[3])):
        if not needed:
            print("skipped: no gcc, objcopy or SeaBIOS")
            sys.exit(77)
    harness.main(sys.modules[__name__])
