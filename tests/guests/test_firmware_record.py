#!/usr/bin/env python3
"""Whole firmware, recorded to files and replayed from them.

    test_firmware_record.py HINDCAST [--brief] [seabios|uboot|edk2 ...]

SeaBIOS with a video BIOS and a GRUB that it starts, typed at, keys pressed; U-Boot in flash that saves its
environment there, resets and finds it; EDK2 in flash that stores a variable there, resets and finds it. Each
recording, taken to another directory, is what test_debian_record.py asks of one: the same console byte for byte, the
same state at its end, hashes that agree from the beginning and from every checkpoint in it; the same with all
images inside and nothing else left (--brief: either, by turns). No checkpoint is taken for a state that the machine cannot be in.

Exit status 77: none of this firmware is there.
"""

import os
import re
import shutil
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import firmware_guest as fw  # noqa: E402
import test_debian_record as recorded  # noqa: E402
import test_edk2_arm64 as edk2  # noqa: E402
import test_guests_i386 as pc  # noqa: E402
import test_uboot_arm64 as uboot  # noqa: E402
from firmware_guest import check  # noqa: E402
from test_debian_record import run, state  # noqa: E402

M = 1000000


def seabios(guest):
    """GRUB's prompt on the serial port, and a kernel started from there."""
    guest.expect(rb"grub> ", "lsmmap\r")
    guest.expect(rb"available RAM")
    guest.expect(rb"grub> ", "multiboot (memdisk)/boot/small.elf\r")
    guest.expect(rb"grub> ", "boot\r")
    guest.expect(rb"MB!")
    fw.stop(guest, "SeaBIOS")
    for key in ("a", "shift-b"):
        guest.rsp.monitor("sendkey " + key)
        run_to(guest.rsp, guest.rsp.position() + 10 * M)


def run_to(rsp, position):
    rsp.monitor("replay_break %d" % position)
    rsp.ask("c")
    rsp.monitor("replay_delete_break")


def checkpoint(rsp):
    """Here and now, in memory; the next stop looks whether it is time for one in the file."""
    rsp.monitor("checkpoint")
    rsp.ask("s")


def grub(path):
    """GRUB behind the first sector of a Linux kernel."""
    shutil.copy(pc.grub_for_linux_loaders(), path)


def empty_bank(path):
    with open(path, "wb") as f:
        f.truncate(64 << 20)


def uboot_saves(guest):
    uboot.stop_autoboot(guest)
    uboot.prompt(guest, "setenv greeting hello-from-flash")
    uboot.prompt(guest, "saveenv")
    saved = uboot.prompt(guest, "reset")
    check("U-Boot: saveenv programs the flash", "Writing to Flash... done" in saved, saved)
    uboot.stop_autoboot(guest)
    uboot.prompt(guest, "printenv greeting")
    shown = uboot.prompt(guest)
    check("U-Boot: a reset keeps it", "greeting=hello-from-flash" in shown, shown)
    fw.stop(guest, "U-Boot")


def edk2_stores(guest):
    edk2.to_the_shell(guest)
    edk2.shell(guest, "setvar %s -nv -bs -rt =L\"cast\"" % edk2.VARIABLE)
    edk2.shell(guest, "reset")
    edk2.to_the_shell(guest)
    edk2.shell(guest, "dmpstore " + edk2.VARIABLE)
    shown = edk2.shell(guest)
    check("EDK2: a variable outlives a reset", "63 00 61 00 73 00 74 00" in shown, shown)
    fw.stop(guest, "EDK2")


class Firmware:
    """What is booted, how it is used, and how far apart checkpoints in the file are, in millions of steps."""

    def __init__(self, name, options, files, use, every, content, needs=()):
        self.name = name
        self.options = options  # those that name a file of `files` have it in braces
        self.files = files
        self.use = use
        self.every = every
        self.content = content  # of files that are made here: who makes them
        self.needs = needs      # what else must be there

    def there(self):
        missing = [f for f in list(self.files.values()) + list(self.needs) if f and not os.path.exists(f)]
        if missing:
            print("left out: %s (no %s)" % (self.name, ", ".join(missing)))
        return not missing

    def images(self, directory):
        """Copies of all its files."""
        paths = {}
        for key, origin in self.files.items():
            paths[key] = os.path.join(directory, key)
            if origin:
                shutil.copy(origin, paths[key])
            else:
                self.content[key](paths[key])
        return [option.format(**paths) for option in self.options]


ALL = (
    Firmware("seabios", ("--bios", "{bios}", "--vga-bios", "{vga}", "--kernel", "{kernel}", "-m", "64M",
                         "--icount", "shift=3,sleep=off"),
             {"bios": pc.SEABIOS, "vga": pc.VGABIOS, "kernel": None}, seabios, 20, {"kernel": grub},
             (pc.GRUB_PC, "/usr/bin/grub-mkimage", "/usr/bin/gcc")),
    Firmware("uboot", ("--pflash", "{code}", "--pflash", "{env}", "-m", "256M") + uboot.FAST,
             {"code": uboot.UBOOT, "env": None}, uboot_saves, 20, {"env": empty_bank}),
    Firmware("edk2", ("--pflash", "{code}", "--pflash", "{vars}", "-m", "256M") + edk2.SLOW,
             {"code": edk2.CODE, "vars": edk2.VARS}, edk2_stores, 200, {}),
)


def record(program, firmware, options):
    """Boot it and use it: the console, and the state at the end. There are two checkpoints at least."""
    guest = fw.Guest(program, *options)
    run_to(guest.rsp, (firmware.every + 1) * M)
    checkpoint(guest.rsp)
    guest.rsp.send("c")
    firmware.use(guest)
    checkpoint(guest.rsp)
    end = state(guest.rsp)
    guest.close()
    return guest.console, end


def by_path(program, firmware, tmp):
    """Images are where they were; checkpoints are in the file."""
    name = os.path.join(tmp, "r.hcrec")
    options = firmware.images(tmp)
    began = time.monotonic()
    console, end = record(program, firmware, options + ["--record", name, "--checkpoints-in-file", "every=%dM" % firmware.every])
    print("     %s: recorded in %.1f s" % (firmware.name, time.monotonic() - began), flush=True)
    with tempfile.TemporaryDirectory() as clean:
        there = shutil.move(name, os.path.join(clean, "moved.hcrec"))
        status, out = run(program, "info", there)
        check("%s: info says that the file is whole" % firmware.name,
              status == 0 and re.search(r"^integrity +whole and closed", out, re.M) and
              re.search(r"^length +%d " % end[0], out, re.M), out)
        places = re.findall(r"^ +(\d+) +[\d.]+ s +\d+ pages", out, re.M)
        check("%s: there are checkpoints" % firmware.name, len(places) > 1, out)
        recorded.replays(program, there, clean, console, end, firmware.name)
        began = time.monotonic()
        status, out = run(program, "verify", "--from", "checkpoints", there, cwd=clean)
        check("%s: verify passes from the start" % firmware.name,
              status == 0 and "the whole recording replays" in out, out)
        check("%s: and from every checkpoint in the file" % firmware.name,
              re.findall(r"from the checkpoint at (\d+) it replays", out) == places, out)
        check("%s: each is a state that the machine can be in" % firmware.name, "cannot be in" not in out, out)
        print("     %s: %d steps, %d checkpoints, verified in %.1f s" %
              (firmware.name, end[0], len(places), time.monotonic() - began), flush=True)


def embedded(program, firmware, tmp):
    """Nothing is left but the file."""
    images = os.path.join(tmp, "images")
    os.mkdir(images)
    name = os.path.join(tmp, "e.hcrec")
    console, end = record(program, firmware, firmware.images(images) + ["--record", name, "--embed"])
    shutil.rmtree(images)
    with tempfile.TemporaryDirectory() as clean:
        there = shutil.move(name, os.path.join(clean, "moved.hcrec"))
        status, out = run(program, "info", there, cwd=clean)
        check("%s, embedded: info" % firmware.name, status == 0 and "whole and closed" in out, out)
        recorded.replays(program, there, clean, console, end, firmware.name + ", embedded")
        status, out = run(program, "verify", there, cwd=clean)
        check("%s, embedded: verify" % firmware.name, status == 0 and "the whole recording replays" in out, out)
        print("     %s, embedded: %d bytes" % (firmware.name, os.path.getsize(there)), flush=True)


def main():
    program = os.path.abspath(sys.argv[1])
    brief, names = "--brief" in sys.argv[2:], [word for word in sys.argv[2:] if word != "--brief"]
    for number, firmware in enumerate(f for f in ALL if (not names or f.name in names) and f.there()):
        for test in (by_path, embedded)[number % 2:number % 2 + 1] if brief else (by_path, embedded):
            with tempfile.TemporaryDirectory() as tmp:
                test(program, firmware, tmp)
    if not fw.common.passed + fw.common.failed:
        sys.exit(77)
    fw.finish()


if __name__ == "__main__":
    main()
