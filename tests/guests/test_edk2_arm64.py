#!/usr/bin/env python3
"""Debian's EDK2 (UEFI) for QEMU's virt board, forwards and backwards.

    test_edk2_arm64.py HINDCAST

Boots to the UEFI shell from two flash banks; a variable goes to the second one
and is found after a reset; a Linux kernel through fw_cfg and its EFI stub to a
shell, with GICv2 and GICv3; steps, hashes, a watchpoint backwards; power-off.

Exit status 77: there is no EDK2 (Debian's qemu-efi-aarch64), or no gdb for aarch64.
"""

import os
import re
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import firmware_guest as fw  # noqa: E402
from firmware_guest import check  # noqa: E402

FLAT = os.environ.get("QEMU_EFI", "/usr/share/qemu-efi-aarch64/QEMU_EFI.fd")
CODE = os.environ.get("AAVMF_CODE", "/usr/share/AAVMF/AAVMF_CODE.fd")
VARS = os.environ.get("AAVMF_VARS", "/usr/share/AAVMF/AAVMF_VARS.fd")
VARIABLE = "hindcast -guid e3e4b8d0-0000-4000-8000-000000000001"
# The shell counts five seconds down by the clock, in a loop: longer instructions make that fewer of them.
SLOW = ("--icount", "shift=4,sleep=off")
FAST = ("--icount", "shift=0,sleep=off")


def shell(guest, command=None):
    """At the shell's prompt, type a command; gives back what the one before showed."""
    start = guest.after
    guest.expect(rb"Shell> ", None if command is None else command + "\r")
    return "\n".join(fw.plain(guest.console[start:guest.after]))


def to_the_shell(guest):
    guest.expect(rb"to skip", "\x1b")


def before_mm(guest):
    """The word that `mm` changes, as it was long before that."""
    here = guest.rsp.position()
    guest.rsp.monitor("seek %d" % (here // 3))
    guest.rsp.ask("bc")
    text = guest.rsp.monitor("xp /1wx 0x4c000000")
    guest.rsp.monitor("seek %d" % here)
    guest.rsp.ask("c")
    return int(re.search(r":\s+0x([0-9a-f]+)", text).group(1), 16)


def uefi_shell(program):
    name = "EDK2"
    guest = fw.Guest(program, "--pflash", CODE, "--pflash", VARS, "-m", "256M", *SLOW)
    guest.rsp.send("c")
    to_the_shell(guest)
    check("%s boots to the UEFI shell" % name, True)
    shell(guest, "ver")
    shell(guest, "setvar %s -nv -bs -rt =L\"cast\"" % VARIABLE)
    shell(guest, "dmpstore " + VARIABLE)
    shown = shell(guest, "mm 4c000000 11223344 -w 4 -n")
    check("%s: a variable is stored" % name, "63 00 61 00 73 00 74 00" in shown, shown)
    shell(guest)
    fw.stop(guest, name)
    fw.steps(guest, name)
    fw.one_state(guest, name)
    fw.who_wrote(guest, name, 0x4c000000, before_mm(guest), 0x11223344)
    fw.live_again(guest, name, "ver\r", rb"UEFI v2")
    guest.after = len(guest.console)
    guest.type("\r")
    shell(guest, "reset")
    to_the_shell(guest)
    shell(guest, "dmpstore " + VARIABLE)
    shown = shell(guest)
    check("%s: a variable outlives a reset" % name, "63 00 61 00 73 00 74 00" in shown, shown)
    fw.switched_off(guest, name, "reset -s\r")
    guest.close()


def linux(program, images, machine):
    name = "EDK2, Linux on " + machine
    guest = fw.Guest(program, "--bios", FLAT, "--machine", machine, "-m", "512M", "--kernel", images[0],
                     "--initrd", images[1], "--append", "console=ttyAMA0 quiet", *FAST)
    guest.rsp.send("c")
    guest.expect(rb"guest# ", "ls -d /sys/firmware/efi /sys/firmware/devicetree; dmesg | grep 'efi: EFI'; "
                 "echo sum-$((6*7))\n")
    guest.expect(rb"sum-42\r")
    check("%s: the EFI stub boots to the shell" % name, b"by EDK II" in guest.console)
    fw.stop(guest, name)
    fw.steps(guest, name, 5)
    fw.one_state(guest, name)
    guest.rsp.send("c")
    guest.expect(rb"guest# ")
    fw.switched_off(guest, name, "poweroff -f\n")
    guest.close()


def main():
    program = sys.argv[1]
    fw.need(FLAT, CODE, VARS)
    uefi_shell(program)
    with tempfile.TemporaryDirectory() as tmp:
        images = fw.kernel_and_initrd(tmp)
        for machine in ("virt,gic-version=2", "virt,gic-version=3") if images else ():
            linux(program, images, machine)
    fw.finish()


if __name__ == "__main__":
    main()
