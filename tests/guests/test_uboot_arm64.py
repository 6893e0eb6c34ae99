#!/usr/bin/env python3
"""Debian's U-Boot for QEMU's virt board, forwards and backwards.

    test_uboot_arm64.py HINDCAST

As --bios and as --pflash, with GICv2 and GICv3: to the prompt, commands there,
the console line by line that of QEMU where QEMU is installed; the environment
saved in flash and found again after a reset; steps, hashes and watchpoints backwards; a Linux kernel through fw_cfg to
its shell, and back by reboot; power-off.

Exit status 77: there is no U-Boot (Debian's u-boot-qemu), or no gdb for aarch64.
"""

import hashlib
import os
import re
import shutil
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import firmware_guest as fw  # noqa: E402
from firmware_guest import check  # noqa: E402

UBOOT = os.environ.get("UBOOT", "/usr/lib/u-boot/qemu_arm64/u-boot.bin")
PROMPT = rb"\n=> $"
FAST = ("--icount", "shift=0,sleep=off")

# What is not alike, and why.
EXPLAINED = (
    r"Core: ",          # QEMU has a PCI host bridge and a network card
    r"Net: |.*eth",     # the network card
    r"Date: ",          # the hour
    r"bios-geometry|bootorder|etc/",  # files for ACPI, SMBIOS, disks
    r" +Buffer write timeout",  # QEMU's chips announce twice the buffer that they have; U-Boot fails to use it
    r"fdt_blob|new_fdt|irq_sp|sp start| reserved\[|Early malloc",  # the device tree that U-Boot keeps is another
)


def prompt(guest, command=None):
    """At the prompt, type a command; gives back what the one before showed."""
    start = guest.after
    guest.expect(rb"=> ", None if command is None else command + "\n")
    return guest.console[start:guest.after].decode("latin-1")


def stop_autoboot(guest):
    guest.expect(rb"any key to stop autoboot", "\n")


def talk(guest):
    stop_autoboot(guest)
    for command in ("version", "bdinfo", "virtio info", "flinfo", "md.l 40000000 1", "date", "qfw list", "dm tree"):
        prompt(guest, command)
    prompt(guest)


def lines_of(console):
    """The lines that must be alike; the tree of devices ends the comparison."""
    lines = fw.plain(console)
    lines = lines[:next((i for i, line in enumerate(lines) if line.endswith("dm tree")), len(lines))]
    lines = [re.sub(r"autoboot: .*", "autoboot", line) for line in lines]
    return [line for line in lines if line and not re.match("|".join(EXPLAINED), line)]


def like_qemu(program):
    if not shutil.which("qemu-system-aarch64"):
        print("no qemu-system-aarch64: the console is not compared")
        return
    theirs = fw.Console(["qemu-system-aarch64", "-machine", "virt", "-cpu", "cortex-a57", "-m", "256", "-nographic",
                         "-net", "none", "-bios", UBOOT])
    talk(theirs)
    theirs.close()
    ours = fw.Guest(program, "--bios", UBOOT, "--machine", "virt", "-m", "256M", *FAST)
    ours.rsp.send("c")
    talk(ours)
    ours.close()
    a, b = lines_of(theirs.console), lines_of(ours.console)
    different = [(x, y) for x, y in zip(a, b) if x != y]
    check("U-Boot's console is the one it has on QEMU", len(a) > 120 and len(a) == len(b) and not different,
          (len(a), len(b), different[:10]))


def debugger(program):
    name = "U-Boot"
    guest = fw.Guest(program, "--bios", UBOOT, "--machine", "virt,gic-version=3", "-m", "256M", *FAST)
    check("%s starts at address 0, at EL1" % name, guest.rsp.memory(0, 4) == open(UBOOT, "rb").read(4))
    guest.rsp.send("c")
    stop_autoboot(guest)
    prompt(guest, "mw.l 48000000 c0ffee01 40")
    prompt(guest, "md.l 48000010 1")
    shown = prompt(guest)
    check("%s: commands at the prompt work" % name, "c0ffee01" in shown, shown)
    fw.stop(guest, name)
    fw.steps(guest, name)
    fw.one_state(guest, name)
    fw.who_wrote(guest, name, 0x48000010, 0, 0xc0ffee01)
    fw.live_again(guest, name, "echo live-again\n", rb"live-again\r+\nlive-again")
    guest.after = guest.wait_console(rb"=> $", start=guest.after)[0]
    fw.switched_off(guest, name, "poweroff\n")
    guest.close()


def sha(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def flash(program, tmp):
    """The environment in the second flash bank: erased, programmed, read after a reset."""
    name = "U-Boot in flash"
    code, env = os.path.join(tmp, "code.fd"), os.path.join(tmp, "env.fd")
    shutil.copy(UBOOT, code)
    with open(env, "wb") as f:
        f.truncate(64 << 20)
    before = sha(env)
    guest = fw.Guest(program, "--pflash", code, "--pflash", env, "-m", "256M", *FAST)
    guest.rsp.send("c")
    stop_autoboot(guest)
    prompt(guest, "setenv greeting hello-from-flash")
    prompt(guest, "saveenv")
    saved = prompt(guest, "reset")
    check("%s: saveenv erases and programs the second bank" % name, "Writing to Flash... done" in saved, saved)
    stop_autoboot(guest)
    prompt(guest, "printenv greeting")
    shown = prompt(guest)
    check("%s: a reset keeps it" % name, "greeting=hello-from-flash" in shown, shown)
    fw.stop(guest, name)
    fw.one_state(guest, name)
    guest.close()
    check("%s: the files are only read" % name, sha(env) == before)


def linux(program, images):
    name = "U-Boot, Linux"
    guest = fw.Guest(program, "--bios", UBOOT, "--machine", "virt,virtualization=on,gic-version=3", "-m", "512M",
                     "--kernel", images[0], "--initrd", images[1], "--append", "console=ttyAMA0 quiet", *FAST)
    guest.rsp.send("c")
    stop_autoboot(guest)
    prompt(guest, "qfw load ${kernel_addr_r} ${ramdisk_addr_r}")
    prompt(guest, "booti ${kernel_addr_r} ${ramdisk_addr_r}:${filesize} ${fdt_addr}")
    guest.expect(rb"guest# ", "dmesg | grep -E 'kvm|CPU: All'; echo sum-$((6*7))\n")
    guest.expect(rb"sum-42")
    check("%s: a kernel from fw_cfg boots to its shell" % name, b"started at EL2" in guest.console)
    guest.expect(rb"guest# ", "reboot -f\n")
    stop_autoboot(guest)
    check("%s: reboot ends in U-Boot again" % name, True)
    fw.stop(guest, name)
    fw.steps(guest, name, 5)
    guest.close()


def main():
    program = sys.argv[1]
    fw.need(UBOOT)
    like_qemu(program)
    debugger(program)
    with tempfile.TemporaryDirectory() as tmp:
        flash(program, tmp)
        images = fw.kernel_and_initrd(tmp)
        if images:
            linux(program, images)
    fw.finish()


if __name__ == "__main__":
    main()
