#!/usr/bin/env python3
"""OVMF on the pc board: its shell and its variables; GRUB from a CD; what Linux makes of the firmware tables.

    test_ovmf_amd64.py HINDCAST

Debian's OVMF comes to its shell, keeps a variable in flash over a power-off, and starts GRUB from a CD, which starts
Debian's kernel in 64 bits; that run is recorded and replays. The ACPI and SMBIOS tables as Linux has them, of OVMF, of
SeaBIOS and of no firmware at all, are taken apart by iasl and dmidecode, and Linux complains of nothing; its
clock and its timer are the HPET when it is told so.

Exit status 77: firmware, tools or packages are missing.
"""

import base64
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import firmware_guest  # noqa: E402
import test_debian_i386 as common  # noqa: E402
from firmware_guest import check  # noqa: E402

CODE, VARS = "/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"
SEABIOS = "/usr/share/seabios/bios-256k.bin"
GUID = "7b1e3c52-6d3f-4a2a-9d53-0c1f4e6a8b90"
UUID = "01234567-89ab-cdef-0123-456789abcdef"

# (What is still on its way to the console when the power goes is lost.)
SCRIPT = """#!/bin/sh
echo "BEGIN log"; dmesg; echo; echo END
cd /sys/devices/system
echo clock $(cat clocksource/clocksource0/current_clocksource) event $(cat clockevents/clockevent0/current_device)
for f in /sys/firmware/acpi/tables/[A-Z]* /sys/firmware/dmi/tables/*; do
    [ -f $f ] && { echo "BEGIN $(basename $f)"; base64 $f; echo END; }
done
echo +3 >/sys/class/rtc/rtc0/wakealarm
echo mem >/sys/power/state && echo "awake again"
sleep 1
poweroff -f
"""
COMPLAINTS = r"ACPI (BIOS )?(Error|Warning|Exception)|Firmware Bug|FW_BUG|BIOS bug|No IRQ known|can't (find|derive) IRQ|" \
             r"hpet.*(fail|error)|DMI not present"


def shell(program, flash):
    """The shell is typed at, and what it sets is there after a power-off."""
    guest = firmware_guest.Guest(program, *flash, "--icount", "shift=4,sleep=off")
    guest.rsp.send("c")
    guest.expect(rb"Press .*ESC.* in \d seconds", "\x1b")
    guest.expect(rb"Shell> ", "setvar hindcast -guid %s -nv -bs =0x2a\r" % GUID)
    guest.expect(rb"Shell> ", "reset -s\r")
    reply = guest.rsp.wait()
    check("OVMF: reset -s powers off", reply[:1] in "TSW", reply)
    guest.rsp.send("k")
    guest.process.wait(600)
    with open(flash[3].partition(",")[0], "rb") as f:
        check("OVMF: a variable is written back to its file", "hindcast".encode("utf-16-le") in f.read())
    guest.close()
    guest = firmware_guest.Guest(program, *flash, "--icount", "shift=4,sleep=off")
    guest.rsp.send("c")
    guest.expect(rb"Press .*ESC.* in \d seconds", "\x1b")
    guest.expect(rb"Shell> ", "dmpstore hindcast -guid %s\r" % GUID)
    guest.expect(rb"00000000: 2A")
    guest.expect(rb"Shell> ")
    check("OVMF: the variable is there at the next start", True)
    guest.type("pci\r")
    guest.expect(rb"(?s)Vendor 8086 .?Device 1237|8086.{1,20}1237")
    check("OVMF: the shell lists the board's PCI functions", True)
    guest.close()


def make_cd(directory, kernel, initrd):
    os.makedirs(directory + "/iso/boot/grub")
    shutil.copy(kernel, directory + "/iso/boot/vmlinuz")
    shutil.copy(initrd, directory + "/iso/boot/initrd.gz")
    with open(directory + "/iso/boot/grub/grub.cfg", "w") as f:
        f.write("serial --unit=0 --speed=115200\nterminal_output serial\nterminal_input serial\nset timeout=0\n"
                "menuentry linux {\n linux /boot/vmlinuz console=ttyS0 quiet\n initrd /boot/initrd.gz\n}\n")
    subprocess.run(["grub-mkrescue", "-o", directory + "/cd.iso", directory + "/iso"], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return directory + "/cd.iso"


def parts(console):
    """What stands between BEGIN NAME and END."""
    text = re.sub(rb"\x1b\[[0-9;=?]*[A-Za-z]", b"", console).decode("latin-1").replace("\r", "")
    found = dict(re.findall(r"(?s)BEGIN (\w+)\n(.*?)\nEND", text))
    clock = re.search(r"^clock (\w+ event \w+)", text, re.M)
    return found, clock.group(1) if clock else None


def tables(name, found, directory):
    """iasl takes the tables apart and, the DSDT, puts it together again without a word."""
    where = os.path.join(directory, name)
    os.makedirs(where)
    for table in ("APIC", "DSDT", "FACP", "HPET", "WAET"):
        check("%s: there is a table %s" % (name, table), table in found)
        with open(os.path.join(where, table + ".dat"), "wb") as f:
            f.write(base64.b64decode(found.get(table, "")))
        out = subprocess.run(["iasl", "-d", table + ".dat"], cwd=where, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT).stdout.decode("latin-1")
        check("%s: iasl reads %s" % (name, table), not re.search(r"(?i)error|warning|invalid", out), out)
    out = subprocess.run(["iasl", "DSDT.dsl"], cwd=where, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT).stdout.decode("latin-1")
    check("%s: iasl compiles the DSDT again" % name, "0 Errors, 0 Warnings, 0 Remarks" in out, out)


def structures(name, found, directory):
    """dmidecode finds the machine's names."""
    entry, dmi = (bytearray(base64.b64decode(found[n])) for n in ("smbios_entry_point", "DMI"))
    dump = os.path.join(directory, name + ".dmi")
    entry[24:28] = (32).to_bytes(4, "little")  # the structures follow in the dump
    for at, first in (21, 16), (4, 0):
        entry[at] = 0
        entry[at] = -sum(entry[first:31]) & 0xff
    with open(dump, "wb") as f:
        f.write(bytes(entry).ljust(32, b"\0") + dmi)
    out = subprocess.run(["dmidecode", "--from-dump", dump], stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT).stdout.decode("latin-1")
    check("%s: dmidecode finds what --smbios says" % name, "Serial Number: SN-77" in out and UUID in out, out)
    check("%s: dmidecode finds nothing wrong" % name, not re.search(r"(?i)<truncated>|broken|invalid|wrong|bad index", out), out)


def linux(program, name, options, directory, clock):
    """Linux to its end; what it says of the tables."""
    result = subprocess.run([program, "--run", "--listen", "none", "--icount", "sleep=off", "--smp", "2",
                             "--smbios", "type=1,serial=SN-77", "--uuid", UUID] + options,
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    found, current = parts(result.stdout)
    check("%s: Linux comes to its shell and powers off" % name, result.returncode == 0 and "log" in found,
          result.stdout[-2000:].decode("latin-1"))
    bad = re.findall(r".*(?:%s).*" % COMPLAINTS, found.get("log", ""))
    check("%s: Linux finds nothing wrong with the tables" % name, not bad and "ACPI: Interpreter enabled" in found["log"], bad)
    check("%s: the interrupt links are there" % name, "link LNKD configured for IRQ" in found["log"])
    check("%s: its clock and timer are %s" % (name, clock), current == clock, current)
    check("%s: Linux suspends to RAM and is waked by its alarm" % name, b"awake again" in result.stdout,
          result.stdout[-2000:].decode("latin-1"))
    tables(name, found, directory)
    structures(name, found, directory)


def main():
    program = sys.argv[1]
    firmware_guest.need(CODE, VARS, SEABIOS)
    os.environ["PATH"] += ":/usr/sbin"  # where dmidecode is
    for tool in "iasl", "dmidecode", "grub-mkrescue", "xorriso", "mformat":
        if not shutil.which(tool):
            print("no %s: skipped" % tool)
            sys.exit(77)
    cache = common.cache_dir()
    if subprocess.run([os.path.join(HERE, "fetch-debian"), "amd64", cache, "busybox-static",
                       "linux-image-cloud-amd64"]).returncode:
        sys.exit(77)
    root = os.path.join(cache, "amd64", "root")
    with open(os.path.join(cache, "amd64", "done", "linux-image-cloud-amd64")) as f:
        kernel = "%s/boot/vmlinuz-%s" % (root, f.read().strip()[len("linux-image-"):])
    with tempfile.TemporaryDirectory() as tmp:
        script, initrd, flash = (os.path.join(tmp, n) for n in ("script", "initrd.gz", "vars.fd"))
        with open(script, "w") as f:
            f.write(SCRIPT)
        subprocess.run([os.path.join(HERE, "make-initramfs"), root + "/bin/busybox", initrd, script], check=True)
        shutil.copy(VARS, flash)
        shell(program, ["--pflash", CODE, "--pflash", flash + ",write-back"])
        shutil.copy(VARS, flash)  # what it would start first was noted in there
        cd, recording = make_cd(tmp, kernel, initrd), os.path.join(tmp, "ovmf.hcrec")
        linux(program, "ovmf", ["--drive", "if=pflash,readonly=on,file=" + CODE, "--drive", "if=pflash,file=" + flash,
                                "--cdrom", cd, "--record", recording], tmp, "hpet event lapic")
        out = subprocess.run([program, "verify", recording], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        check("ovmf: its recording replays", out.returncode == 0, out.stdout[-2000:].decode("latin-1"))
        linux(program, "seabios", ["--bios", SEABIOS, "--cpu", "qemu64", "--cdrom", cd], tmp, "hpet event lapic")
        linux(program, "none", [kernel, "--smp", "1", "--initrd", initrd, "--append",
                                "console=ttyS0 quiet clocksource=hpet noapictimer"], tmp, "hpet event hpet")
    print("%d passed, %d failed" % (common.passed, common.failed))
    sys.exit(1 if common.failed else 0)


if __name__ == "__main__":
    main()
