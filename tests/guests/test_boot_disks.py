#!/usr/bin/env python3
"""Firmware boots from disks, in the order that bootindex says, on both boards.

    test_boot_disks.py HINDCAST [--all] [edk2] [ovmf] [u-boot] [seabios] [cd]

Disks and CDs are made here (boot_media.py). On each of a firmware's disks is a program of ours that says where it is and hands
back to firmware, which goes on with the next: so one boot goes through all controllers. The last has a Debian kernel, which comes to
its shell: by its EFI stub, by GRUB, which is loaded from one disk after the other, or by U-Boot's extlinux. With
--all each controller has a kernel once.

Exit status 77: a firmware, a tool or Debian's packages are missing.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import boot_media as media  # noqa: E402
import firmware_guest as fw  # noqa: E402
import test_debian_i386 as common  # noqa: E402
from firmware_guest import check  # noqa: E402

EDK2 = os.environ.get("QEMU_EFI", "/usr/share/qemu-efi-aarch64/QEMU_EFI.fd")
OVMF, OVMF_VARS = "/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"
UBOOT = os.environ.get("UBOOT", "/usr/lib/u-boot/qemu_arm64/u-boot.bin")
SEABIOS = "/usr/share/seabios/bios-256k.bin"
FAST = ("--icount", "shift=0,sleep=off")

# By name: how a disk is plugged in. ID: the drive; N: a number of its own.
PCI = {
    "nvme": ["nvme,serial=N,drive=ID"],
    "virtio-blk": ["virtio-blk-pci,drive=ID"],
    "virtio-blk-modern": ["virtio-blk-pci,disable-legacy=on,drive=ID"],
    "virtio-scsi": ["virtio-scsi-pci,id=busN", "scsi-hd,bus=busN.0,scsi-id=3,drive=ID"],
    "behind-bridge": ["pci-bridge,id=bridgeN", "nvme,bus=bridgeN,addr=2,serial=N,drive=ID"],
}
MMIO = {
    "virtio-blk-mmio": ["virtio-blk-device,drive=ID"],
    "virtio-scsi-mmio": ["virtio-scsi-device,id=busN", "scsi-hd,bus=busN.0,scsi-id=2,drive=ID"],
}
PC = {
    "ahci": ["ich9-ahci,id=busN", "ide-hd,bus=busN.2,drive=ID"],
    "ide": ["ide-hd,bus=ide.1,unit=1,drive=ID"],
}


def plugged(disks, first=0):
    """Options for disks: (name of a way to plug it in, its image), in the order in which they are to be booted. The order
    on the board is the opposite one."""
    ways = {**PCI, **MMIO, **PC}
    options = []
    for n, (way, image) in reversed(list(enumerate(disks, first))):
        number = str(n)
        words = [w.replace("ID", "d" + number).replace("N", number) for w in ways[way]]
        options += ["--drive", "if=none,id=d%d,file=%s" % (n, image)]
        options += [o for w in words[:-1] for o in ("--device", w)] + ["--device", words[-1] + ",bootindex=%d" % n]
    return options


def kernel_and_initrd(arch, directory):
    """Debian's cloud kernel, and an initramfs whose shell powers off; None: they cannot be had here."""
    cache = common.cache_dir()
    package = "linux-image-cloud-" + arch
    if subprocess.run([os.path.join(HERE, "fetch-debian"), arch, cache, "busybox-static", package]).returncode:
        return None
    root = os.path.join(cache, arch, "root")
    with open(os.path.join(cache, arch, "done", package)) as f:
        version = f.read().strip()[len("linux-image-"):]
    script, initrd = os.path.join(directory, "script"), os.path.join(directory, "initrd-%s.gz" % arch)
    with open(script, "w") as f:
        f.write("#!/bin/sh\necho \"words: $(cat /proc/cmdline)\"\necho the-shell-is-there\npoweroff -f\n")
    subprocess.run([os.path.join(HERE, "make-initramfs"), root + "/bin/busybox", initrd, script], check=True)
    with open("%s/boot/vmlinuz-%s" % (root, version), "rb") as k, open(initrd, "rb") as i:
        return k.read(), i.read()


def run(program, *options):
    """The console of a guest that ends by itself."""
    result = subprocess.run([program, "--run", "--listen", "none", "--serial", "stdio", *FAST, *options], stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return result.returncode, re.sub(r"\x1b\[[0-9;=?]*[A-Za-z]", "", result.stdout.decode("latin-1")).replace("\0", "")


def said_in_order(name, text, words):
    found = re.findall(r"this is ([\w-]+)", text)
    check("%s: boots from %s, in the order of bootindex" % (name, ", ".join(words)), found == list(words), text[-3000:])


def reached_the_shell(name, status, text, pattern="the-shell-is-there"):
    check("%s: the kernel comes to its shell and powers off" % name, status == 0 and re.search(pattern, text), text[-3000:])


# ---- EDK2 on virt ----

def edk2_disks(ways, directory):
    disks = []
    for way in ways:
        hello = media.efi_program("aarch64", "\r\nthis is %s\r\n" % way, directory)
        if not hello:
            return None
        disks.append((way, media.esp_disk(os.path.join(directory, "edk2-%s.img" % way), {"EFI/BOOT/BOOTAA64.EFI": hello})))
    return disks


def edk2(program, directory, everything):
    ways = ["nvme", "virtio-blk-modern", "virtio-scsi", "virtio-blk", "virtio-scsi-mmio", "virtio-blk-mmio", "behind-bridge"]
    disks = edk2_disks(ways, directory)
    linux = kernel_and_initrd("arm64", directory)
    if not disks or not linux or not os.access(EDK2, os.R_OK):
        print("no EDK2, compiler or kernel for aarch64: skipped")
        return False
    # What EDK2 finds nothing else to boot on, its shell does: it starts the script, and that the kernel by its EFI stub.
    script = "\\vmlinuz console=ttyAMA0 quiet initrd=\\initrd.gz from=NAME\r\n"
    for n, way in enumerate(ways if everything else ["nvme"]):
        image = media.esp_disk(os.path.join(directory, "kernel.img"),
                               {"startup.nsh": script.replace("NAME", way).encode(), "vmlinuz": linux[0], "initrd.gz": linux[1]}, mib=64)
        first = disks if n == 0 else []
        status, text = run(program, "--machine", "virt", "-m", "512M", "--bios", EDK2, *plugged(first + [(way, image)]))
        if n == 0:
            said_in_order("EDK2", text, ways)
        reached_the_shell("EDK2, the EFI stub from %s" % way, status, text, "from=%s(?s:.*)the-shell-is-there" % way)
    return True


PARTS = {"edk2": edk2}


def main():
    program = sys.argv[1]
    everything = "--all" in sys.argv[2:]
    chosen = [a for a in sys.argv[2:] if a in PARTS] or list(PARTS)
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    tool = media.missing_tool()
    if tool:
        print("no %s: skipped" % tool)
        sys.exit(77)
    done = False
    with tempfile.TemporaryDirectory() as tmp:
        for part in chosen:
            done |= bool(PARTS[part](program, tmp, everything))
    if not done:
        sys.exit(77)
    fw.finish()


if __name__ == "__main__":
    main()
