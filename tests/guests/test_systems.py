#!/usr/bin/env python3
"""Debian 12 systems on disks, from firmware by GRUB (arm64: EDK2 and the kernel's EFI stub) to the login of systemd.

    test_systems.py HINDCAST [--verify] [--brief] [SYSTEM...]

Each is made here (make-system), boots from a partition on a disk of some controller, is logged in to, installs packages
from a repository of its own, reboots, still has them, and switches itself off; the file system that is saved then is
sound, the image is as it was, and history goes back. With --verify the recording replays elsewhere, from every checkpoint;
with --brief it does not reboot.

Exit status 77: the systems cannot be made here.
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
import test_disk_i386 as disks  # noqa: E402
from firmware_guest import check  # noqa: E402

SEABIOS = "/usr/share/seabios/bios-256k.bin"
EDK2 = "/usr/share/qemu-efi-aarch64/QEMU_EFI.fd"
# By name: architecture, file system, how the disk is plugged in (FILE: the image).
SYSTEMS = {"i386-" + name: ("i386", "ext4", options) for name, (options, _, _) in disks.CONTROLLERS.items()}
# The cloud kernel has no AHCI.
SYSTEMS.update(("amd64-" + name, ("amd64", "ext4", disks.CONTROLLERS[name][0])) for name in ("ide", "virtio-blk", "nvme"))
SYSTEMS["amd64-btrfs"] = ("amd64", "btrfs", disks.CONTROLLERS["virtio-scsi"][0])
USUAL = list(SYSTEMS)
# Of arm64: a system partition, and the root behind it. They are made by their guest, which takes long: only by name.
SYSTEMS.update(("arm64-" + name, ("arm64", "ext4", disks.CONTROLLERS[name][0])) for name in ("virtio-blk", "nvme", "virtio-scsi"))
SYSTEMS["arm64-virtio-mmio"] = ("arm64", "ext4", ["--drive", "file=FILE,if=none,id=d0", "--device", "virtio-blk-device,drive=d0"])
ESP_MIB = 64
PROMPT = rb"root@debian:~# "


def boot(guest, name, again=""):
    """From a reset to the shell."""
    if name.startswith("arm64"):
        guest.expect(rb"EFI stub: Booting Linux")
        check("%s: EDK2 starts the kernel's EFI stub from the disk%s" % (name, again), True)
    else:
        guest.expect(rb"GRUB loads Debian")
        check("%s: GRUB is loaded from the disk%s" % (name, again), True)
    guest.expect(rb"debian login: ", "root\r", seconds=1200)
    check("%s: systemd comes to the login%s" % (name, again), True)
    guest.expect(PROMPT)


def ask(guest, command):
    """Type a command; what it shows."""
    start = guest.after
    guest.type(command + "\r")
    guest.expect(PROMPT, seconds=1200)
    return "\n".join(fw.plain(guest.console[start:guest.after]))


def looks_well(guest, name, filesystem):
    if filesystem == "ext4":
        shown = ask(guest, "journalctl -b -u systemd-fsck-root --no-pager")
        check("%s: fsck finds it clean" % name, re.search(r"root: clean, \d+/\d+ files", shown) is not None, shown)
    check("%s: its root is that file system" % name,
          re.search(r"/dev/\w+[12]\s+%s\s+rw" % filesystem, ask(guest, "findmnt -no SOURCE,FSTYPE,OPTIONS /")) is not None)
    failed = ask(guest, "systemctl --failed --no-legend --plain | wc -l")
    check("%s: no unit has failed" % name, re.search(r"(?m)^0$", failed) is not None,
          failed + ask(guest, "systemctl --failed --no-pager"))


def install(guest, name):
    shown = ask(guest, "apt-get -q update && apt-get -qy install second && second")
    check("%s: a package and what it needs are installed" % name,
          "second says so" in shown and "Setting up first (1.0)" in shown, shown[-800:])
    shown = ask(guest, "dd if=/usr/share/first/numbers of=/root/copy bs=3k conv=fsync && echo 3 >/proc/sys/vm/drop_caches && "
                       "cmp /root/copy /usr/share/second/numbers && dpkg --verify && echo it is all there")
    check("%s: what is written is read again" % name, "\nit is all there" in shown, shown[-500:])


def going_back(guest, name):
    """The last steps, again; and the disk before any of them."""
    edge = guest.rsp.position()
    state = guest.rsp.monitor("info hash")
    guest.rsp.monitor("seek %d" % (edge - 30000000))
    guest.rsp.ask("c")
    guest.rsp.monitor("seek %d" % edge)
    guest.rsp.ask("c")
    check("%s: back and forwards again it is the same state" % name, guest.rsp.monitor("info hash") == state)


def sound(tmp, saved, filesystem, name, mib):
    raw, part = os.path.join(tmp, "saved.raw"), os.path.join(tmp, "part.raw")
    subprocess.run(["qemu-img", "convert", "-O", "raw", saved, raw], check=True)
    subprocess.run(["dd", "if=" + raw, "of=" + part, "bs=1M", "skip=%d" % mib, "conv=sparse", "status=none"], check=True)
    os.remove(raw)
    command = [disks.tool("e2fsck"), "-fn"] if filesystem == "ext4" else [disks.tool("btrfs"), "check", "--readonly"]
    done = subprocess.run(command + [part], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    check("%s: the file system that is saved is sound" % name, done.returncode == 0, done.stdout[-800:])
    os.remove(part)


# ---- arm64 ----

# In the initramfs. switch_root is for process 1 only.
INIT = """#!/bin/sh
# instead of init
for m in MODULES; do insmod /$m.ko; done
until root=$(findfs LABEL=root) && mount -t ext4 -o ro $root /tmp; do sleep 1; done
if [ -e /tmp/second-stage ]; then
    mount -o remount,rw /tmp
    for d in proc sys dev; do mount -o bind /$d /tmp/$d; done
    chroot /tmp /second-stage && echo "the system is installed"
    for d in proc sys dev; do umount /tmp/$d; done
    umount /tmp
    poweroff -f
fi
umount /proc /sys
mount -o move /dev /tmp/dev
exec switch_root /tmp /sbin/init </tmp/dev/console >/tmp/dev/console 2>&1
"""


def arm64_kernel(tmp):
    """Kernel and initramfs, which mounts the root by its label; None: they cannot be had here."""
    cache = common.cache_dir()
    if subprocess.run([os.path.join(HERE, "fetch-debian"), "arm64", cache, "busybox-static", "linux-image-cloud-arm64"]).returncode:
        return None
    root = os.path.join(cache, "arm64", "root")
    with open("%s/arm64/done/linux-image-cloud-arm64" % cache) as f:
        version = f.read().strip()[len("linux-image-"):]
    drivers = ["virtio_pci", "virtio_mmio", "virtio_blk", "virtio_scsi", "sd_mod"]
    return "%s/boot/vmlinuz-%s" % (root, version), disks.make_initrd(tmp, root, version, drivers, "", INIT, ())


def arm64_root(program, tmp, kernel, initrd):
    """The root's file system, kept for the next time: packages that are unpacked here are configured by the guest itself."""
    kept = os.path.join(common.cache_dir(), "systems", "arm64.ext4")
    if os.path.exists(kept):
        return kept
    unpacked, saved = os.path.join(tmp, "unpacked.img"), os.path.join(tmp, "installed.qcow2")
    if subprocess.run([os.path.join(HERE, "make-system"), "arm64", common.cache_dir(), unpacked, "ext4"]).returncode:
        return None
    done = subprocess.run([program, "--machine", "virt", "--run", "--listen", "none", "--serial", "stdio", "--memory", "512M", "--icount",
                           "shift=0,sleep=off", "--kernel", kernel, "--initrd", initrd, "--append", "console=ttyAMA0 quiet", "--drive",
                           "file=%s,if=virtio,write-back=%s" % (unpacked, saved)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    check("arm64: the guest installs itself", b"the system is installed" in done.stdout, done.stdout[-3000:])
    if b"the system is installed" not in done.stdout:
        return None
    subprocess.run(["qemu-img", "convert", "-O", "raw", saved, kept + ".part"], check=True)
    os.rename(kept + ".part", kept)
    os.remove(unpacked)
    os.remove(saved)
    return kept


def make_arm64(program, tmp, image):
    """A disk that EDK2's shell boots. 77: it cannot be made here."""
    made = arm64_kernel(tmp) if os.access(EDK2, os.R_OK) and not media.missing_tool() else None
    root = arm64_root(program, tmp, *made) if made else None
    if not root:
        return 77
    files = {"startup.nsh": b"\\vmlinuz console=ttyAMA0 initrd=\\initrd.gz\r\n"}
    for name, path in zip(("vmlinuz", "initrd.gz"), made):
        with open(path, "rb") as f:
            files[name] = f.read()
    media.esp_disk(image, files, ESP_MIB, root)
    return 0


def live_with(program, tmp, name, verify, brief):
    arch, filesystem, options = SYSTEMS[name]
    image, saved, recording = (os.path.join(tmp, f) for f in ("disk.img", "saved.qcow2", "r.hcrec"))
    if arch == "arm64":
        code = make_arm64(program, tmp, image)
        machine = ["--machine", "virt", "--bios", EDK2]
    else:
        code = subprocess.run([os.path.join(HERE, "make-system"), arch, common.cache_dir(), image, filesystem]).returncode
        machine = ["--bios", SEABIOS, "--cpu", "qemu64" if arch == "amd64" else "pentium4"]
    if code:
        return code
    before = disks.hash_of(image)
    record = ["--record", recording, "--embed", "--checkpoints-in-file", "every=4000000000"] if verify else []
    guest = fw.Guest(program, *machine, "--memory", "512M", "--icount", "shift=0,sleep=off",
                     *[w.replace("FILE", image) for w in options], *record)
    guest.rsp.send("c")
    boot(guest, name)
    looks_well(guest, name, filesystem)
    install(guest, name)
    if not brief:
        guest.type("reboot\r")
        boot(guest, name, ", after a reboot")
        check("%s: and still has them" % name, "second says so" in ask(guest, "second"))
    fw.switched_off(guest, name, "poweroff\r")
    guest.rsp.monitor("commit d0 " + saved)
    going_back(guest, name)
    guest.close()
    check("%s: the image is as it was" % name, disks.hash_of(image) == before)
    sound(tmp, saved, filesystem, name, ESP_MIB if arch == "arm64" else 1)
    if verify:
        disks.verify(program, recording, image)
    return 0


def main():
    arguments = [a for a in sys.argv[2:] if not a.startswith("--")]
    if not shutil.which("qemu-img") or not all(map(disks.tool, ("e2fsck", "btrfs"))):
        sys.exit(77)
    fw.need(SEABIOS)
    for name in arguments or USUAL:
        with tempfile.TemporaryDirectory() as tmp:
            code = live_with(sys.argv[1], tmp, name, "--verify" in sys.argv, "--brief" in sys.argv)
        if code:
            sys.exit(code)
    print("%d passed, %d failed" % (common.passed, common.failed))
    sys.exit(1 if common.failed else 0)


if __name__ == "__main__":
    main()
