#!/usr/bin/env python3
"""The Xen hypervisor from Debian with a Debian kernel as its dom0, forwards and backwards.

    test_xen_arm64.py HINDCAST [2|3 ...]

Xen is an arm64 Image that wants its dom0's kernel and initramfs named in the
device tree. U-Boot gets both through fw_cfg, writes the tree, and starts Xen at
EL2; Xen runs Linux under two stages of translation with virtual interrupts
(GICv2's frames or GICv3's registers). The debugger sees through both levels.

Exit status 77: the packages cannot be fetched here, there is no U-Boot, or no gdb for aarch64.
"""

import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import firmware_guest as fw  # noqa: E402
import test_debian_arm64 as arm64  # noqa: E402
from firmware_guest import check  # noqa: E402
from test_uboot_arm64 import FAST, UBOOT, prompt, stop_autoboot  # noqa: E402

XEN_AT, DOM0_AT = 0x45000000, 0x48000000
MIB = 1 << 20


def xen_image():
    """Debian's Xen, or None."""
    cache = fw.common.cache_dir()
    if subprocess.run([os.path.join(HERE, "fetch-debian"), "arm64", cache, "xen-hypervisor-4.17-arm64"]).returncode:
        return None
    return os.path.join(cache, "arm64", "root", "boot", "xen-4.17-arm64")


def joined(kernel, initrd, path):
    """One file with dom0's kernel and initramfs, for U-Boot loads only one beside Xen: where each is, and how long."""
    with open(kernel, "rb") as f:
        first = f.read()
    with open(initrd, "rb") as f:
        second = f.read()
    gap = -len(first) % MIB
    with open(path, "wb") as f:
        f.write(first + bytes(gap) + second)
    return (DOM0_AT, len(first)), (DOM0_AT + len(first) + gap, len(second))


def start_xen(guest, modules):
    stop_autoboot(guest)
    prompt(guest, "qfw load %x %x" % (XEN_AT, DOM0_AT))
    prompt(guest, "fdt addr 40000000")
    prompt(guest, 'fdt set /chosen xen,xen-bootargs "console=dtuart dtuart=/pl011@9000000 dom0_mem=256M"')
    prompt(guest, 'fdt set /chosen xen,dom0-bootargs "console=hvc0 quiet"')
    prompt(guest, "fdt set /chosen \\#address-cells <1>")
    prompt(guest, "fdt set /chosen \\#size-cells <1>")
    for n, kind in enumerate(("xen,linux-zimage", "xen,linux-initrd")):
        prompt(guest, "fdt mknod /chosen module@%d" % n)
        prompt(guest, 'fdt set /chosen/module@%d compatible "%s" "xen,multiboot-module"' % (n, kind))
        prompt(guest, "fdt set /chosen/module@%d reg <0x%x 0x%x>" % ((n,) + modules[n]))
    prompt(guest, "booti %x - 40000000" % XEN_AT)


def two_levels(guest, name):
    """From the hypervisor's vectors one step back is the guest's instruction that went there."""
    text = guest.rsp.monitor("info registers")
    vectors = int(re.search(r"EL2:.*VBAR=([0-9a-f]+)", text).group(1), 16)
    guest.type("cat /proc/uptime\n")
    guest.rsp.close()
    out = arm64.gdb(guest.port, ["break *0x%x if ($cpsr & 0xc) == 8" % (vectors + 0x480), "continue",
                                 'printf "A %lx %x\\n", $pc, ($cpsr >> 2) & 3', "reverse-stepi",
                                 'printf "B %lx %x\\n", $pc, ($cpsr >> 2) & 3', "stepi",
                                 'printf "C %lx %x\\n", $pc, ($cpsr >> 2) & 3'])
    places = {m.group(1): (int(m.group(2), 16), int(m.group(3))) for m in
              re.finditer(r"^([ABC]) ([0-9a-f]+) (\d)$", out, re.M)}
    hypervisor = (vectors + 0x480, 2)
    check("%s: a breakpoint in the hypervisor, and one step back to its guest" % name,
          places.get("A") == hypervisor and places.get("B", (0, 9))[1] < 2 and places.get("C") == hypervisor,
          out[-1200:])
    guest.connect()


def run(program, xen, blob, modules, version):
    name = "Xen on GICv%s" % version
    guest = fw.Guest(program, "--bios", UBOOT, "--machine", "virt,virtualization=on,gic-version=" + version, "-m", "1G",
                     "--kernel", xen, "--initrd", blob, *FAST)
    guest.rsp.send("c")
    start_xen(guest, modules)
    guest.expect(rb"guest# ", "dmesg | grep -c 'Xen 4.17 support found'; echo sum-$((6*7))\n")
    guest.expect(rb"sum-42\r")
    check("%s: dom0 boots to its shell" % name, b"(XEN) *** Serial input to DOM0" in guest.console)
    table = arm64.symbols(guest, ["ksys_read", "round_jiffies_relative"])
    fw.stop(guest, name)
    fw.steps(guest, name)
    fw.one_state(guest, name)
    arm64.breakpoints(guest, table, name)
    two_levels(guest, name)
    guest.rsp.send("c")
    guest.type("echo once-$((50+5))\n")
    guest.expect(rb"once-55")
    fw.switched_off(guest, name, "poweroff -f\n")
    guest.close()


def main():
    program = sys.argv[1]
    fw.need(UBOOT)
    xen = xen_image()
    with tempfile.TemporaryDirectory() as tmp:
        images = xen and fw.kernel_and_initrd(tmp)
        if not images:
            sys.exit(77)
        blob = os.path.join(tmp, "dom0")
        modules = joined(images[0], images[1], blob)
        for version in sys.argv[2:] or ("2", "3"):
            run(program, xen, blob, modules, version)
    fw.finish()


if __name__ == "__main__":
    main()
