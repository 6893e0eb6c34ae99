#!/usr/bin/env python3
"""A Debian arm64 kernel reads disks of every controller of the virt board: by messages through the ITS of a GICv3, by
GICv2m, in the slots of virtio-mmio. What is recorded replays.

    test_disk_arm64.py HINDCAST [pci-3|pci-2|bridged|mmio|mmio-1 ...]

Exit status 77: the packages cannot be fetched here.
"""

import hashlib
import os
import random
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import test_debian_i386 as common  # noqa: E402
import test_disk_i386 as disks  # noqa: E402
from test_debian_i386 import check  # noqa: E402

SCRIPT = """#!/bin/sh
for m in MODULES; do insmod /$m.ko || echo "no $m"; done
sleep 1
for d in DISK; do
    dd if=/dev/$d bs=64k 2>/dev/null | md5sum
    dd if=/dev/$d of=/dev/$d bs=64k count=8 seek=40 conv=fsync,notrunc 2>/dev/null
    dd if=/dev/$d bs=64k skip=40 count=8 2>/dev/null | md5sum
done
cat /proc/interrupts
sleep 1 # until the console has said so
poweroff -f
"""

PCI = {
    "nvme0n1": ["--device", "nvme,drive=DRIVE,serial=n"],
    "vda": ["--device", "virtio-blk-pci,drive=DRIVE,num-queues=2"],
    "sda": ["--device", "virtio-scsi-pci,num_queues=2", "--device", "scsi-hd,drive=DRIVE"],
    "sdb": ["--device", "ich9-ahci", "--device", "ide-hd,drive=DRIVE"],
    "mmcblk0": ["--device", "sdhci-pci", "--device", "sd-card,drive=DRIVE"],
}
MMIO = {
    "vda": ["--device", "virtio-blk-device,drive=DRIVE"],
    "sda": ["--device", "virtio-scsi-device", "--device", "scsi-hd,drive=DRIVE"],
}
# The same with the registers of before virtio 1.0.
OLD_MMIO = {
    "vda": ["--global", "virtio-mmio.force-legacy=on", "--device", "virtio-blk-device,drive=DRIVE"],
    "sda": ["--device", "virtio-scsi-device,force-legacy=on", "--device", "scsi-hd,drive=DRIVE"],
}
# Behind bridges.
BRIDGED = {
    "nvme0n1": ["--device", "pcie-root-port,id=rp", "--device", "nvme,drive=DRIVE,serial=n,bus=rp"],
    "vda": ["--device", "pci-bridge,id=br", "--device", "virtio-blk-pci,drive=DRIVE,bus=br"],
}
PCI_DRIVERS = ["nvme", "virtio_pci", "virtio_blk", "virtio_scsi", "sd_mod", "ahci", "sdhci_pci"]
# By name: the machine, the disks, the modules, what /proc/interrupts has of each.
CASES = {
    "pci-3": ("virt,gic-version=3", PCI, PCI_DRIVERS, r"ITS-MSI"),
    "pci-2": ("virt,gic-version=2", PCI, PCI_DRIVERS, r"MSI"),
    "bridged": ("virt,gic-version=3", BRIDGED, ["nvme", "virtio_pci", "virtio_blk"], r"ITS-MSI"),
    "mmio-1": ("virt,gic-version=2", OLD_MMIO, ["virtio_mmio", "virtio_blk", "virtio_scsi", "sd_mod"], r"GIC-0 .*virtio"),
    "mmio": ("virt,gic-version=2", MMIO, ["virtio_mmio", "virtio_blk", "virtio_scsi", "sd_mod"], r"GIC-0 .*virtio"),
}


def boot(tmp, program, root, version, name):
    machine, wanted, drivers, interrupts = CASES[name]
    initrd = disks.make_initrd(tmp, root, version, drivers, " ".join(wanted), SCRIPT, ())
    recording, words, contents = os.path.join(tmp, "r.hcrec"), [], {}
    for node, device in wanted.items():
        contents[node] = random.Random(node).randbytes(4 << 20)
        path = os.path.join(tmp, node + ".img")
        with open(path, "wb") as f:
            f.write(contents[node])
        words += ["--drive", "file=%s,format=raw,if=none,id=%s" % (path, node)] + [w.replace("DRIVE", node) for w in device]
    done = subprocess.run([program, "--machine", machine, "--smp", "2", "--memory", "512M", "--icount", "shift=0,sleep=off",
                           "--kernel", "%s/boot/vmlinuz-%s" % (root, version), "--initrd", initrd, "--append", "console=ttyAMA0",
                           "--record", recording, "--embed", "--run", "--listen", "none", "--serial", "stdio"] + words,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=900)
    text = done.stdout.decode("latin-1")
    check(name + ": the guest powers off", "powered off" in text, text[-2000:])
    for node, data in contents.items():
        check("%s: %s is read" % (name, node), hashlib.md5(data).hexdigest() in text, text[-4000:])
        check("%s: %s is written" % (name, node), hashlib.md5(data[:8 << 16]).hexdigest() in text, text[-4000:])
        with open(os.path.join(tmp, node + ".img"), "rb") as f:
            check("the image is as it was", f.read() == data)
    counts = [re.findall(r"\d+", line)[1:3] for line in text.splitlines() if re.search(interrupts, line) and ":" in line]
    check(name + ": by such interrupts", sum(int(a) + int(b) for a, b in counts) > 40, text[-3000:])
    done = subprocess.run([program, "verify", "--from", "checkpoints", recording], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=900)
    check(name + ": the recording replays", done.returncode == 0, done.stdout[-500:])


def main():
    program, cache = sys.argv[1], common.cache_dir()
    code = subprocess.run([os.path.join(HERE, "fetch-debian"), "arm64", cache, "busybox-static", "linux-image-arm64"]).returncode
    if code:
        sys.exit(code)
    root = os.path.join(cache, "arm64", "root")
    with open("%s/arm64/done/linux-image-arm64" % cache) as f:
        version = f.read().strip()[len("linux-image-"):]
    for name in sys.argv[2:] or CASES:
        with tempfile.TemporaryDirectory() as tmp:
            boot(tmp, program, root, version, name)
    print("%d passed, %d failed" % (common.passed, common.failed))
    sys.exit(1 if common.failed else 0)


if __name__ == "__main__":
    main()
