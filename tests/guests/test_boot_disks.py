#!/usr/bin/env python3
"""Firmware boots from disks, in the order that bootindex says, on both boards.

    test_boot_disks.py HINDCAST [--all] [edk2] [ovmf] [u-boot] [seabios] [cd]

Disks and CDs are made here (boot_media.py). On each of a UEFI's or U-Boot's disks is a program of ours that says where it is and
hands back to firmware, which goes on with the next: so one boot goes through all controllers. The last has a Debian
kernel, which comes to its shell: by its EFI stub, by GRUB, which is loaded from one disk after the other, or by U-Boot's
extlinux. SeaBIOS loads a boot sector that tries INT 13h, from each controller, and CDs of every kind that El Torito has,
isolinux, iPXE, and what grub-mkrescue makes, as a CD and as a disk. With --all each controller has a kernel, and each such
image, once.

Exit status 77: a firmware, a tool or Debian's packages are missing.
"""

import os
import re
import shutil
import struct
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
ISOLINUX, LDLINUX = "/usr/lib/ISOLINUX/isolinux.bin", "/usr/lib/syslinux/modules/bios/ldlinux.c32"
IPXE = "/usr/lib/ipxe/ipxe.iso"
SYSLINUX_MBR = "/usr/lib/syslinux/mbr/mbr.bin"
SEABIOS = "/usr/share/seabios/bios-256k.bin"
PATIENCE = float(os.environ.get("PATIENCE", 900))  # seconds that a hanging guest is waited for
FAST = ("--icount", "shift=0,sleep=off")

# By name: how a disk is plugged in. ID: the drive; N: a number of its own.
PCI = {
    "nvme": ["nvme,serial=N,drive=ID"],
    "virtio-blk": ["virtio-blk-pci,drive=ID"],
    "virtio-blk-modern": ["virtio-blk-pci,disable-legacy=on,drive=ID"],
    "virtio-scsi": ["virtio-scsi-pci,id=busN", "scsi-hd,bus=busN.0,scsi-id=3,drive=ID"],
    "usb": ["qemu-xhci,id=busN", "usb-storage,bus=busN.0,drive=ID"],
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
CD = {
    "cd-ahci": ["ich9-ahci,id=busN", "ide-cd,bus=busN.0,drive=ID"],
    "cd-ide": ["ide-cd,bus=ide.0,drive=ID"],
    "cd-virtio-scsi": ["virtio-scsi-pci,id=busN", "scsi-cd,bus=busN.0,drive=ID"],
}


def plugged(disks, first=0):
    """Options for disks: (name of a way to plug it in, its image), in the order in which they are to be booted. The order
    on the board is the opposite one."""
    ways = {**PCI, **MMIO, **PC, **CD}
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
    """Exit status and console of a guest that ends by itself. Status None: it did not."""
    command = [program, "--run", "--listen", "none", "--serial", "stdio", *FAST, *options]
    try:
        result = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE)
        status, out = result.returncode, result.stdout
    except subprocess.TimeoutExpired as e:
        status, out = None, e.stdout or b""
    return status, re.sub(r"\x1b\[[0-9;=?]*[A-Za-z]", "", out.decode("latin-1")).replace("\0", "")


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
    ways = ["nvme", "virtio-blk-modern", "virtio-scsi", "virtio-blk", "virtio-scsi-mmio", "usb", "virtio-blk-mmio", "behind-bridge"]
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


# ---- OVMF on the pc ----

def grub(directory, *modules):
    """GRUB for x86-64 UEFI, which reads what is beside it."""
    early, out = os.path.join(directory, "early.cfg"), os.path.join(directory, "grub.efi")
    with open(early, "w") as f:
        f.write("set prefix=($root)/grub\nconfigfile ($root)/grub/grub.cfg\n")
    media.quietly("grub-mkimage", "-O", "x86_64-efi", "-o", out, "-c", early, "-p", "/grub", "part_gpt", "fat", "normal", "echo",
                  "search", "search_fs_file", "chain", "linux", "configfile", "serial", "terminal", *modules)
    with open(out, "rb") as f:
        return f.read()


GRUB_HEAD = "serial --unit=0 --speed=115200\nterminal_output serial\necho GRUB is from %s\n"
GRUB_NEXT = "search --no-floppy --file /is-%s --set=root\nchainloader /EFI/BOOT/BOOTX64.EFI\nboot\n"
GRUB_LINUX = "linux /vmlinuz console=ttyS0 quiet from=%s\ninitrd /initrd.gz\nboot\n"


def grub_disks(ways, linux, directory):
    """Disks with GRUB, each of which starts that of the next; the last one has a kernel."""
    program = grub(directory)
    disks = []
    for n, way in enumerate(ways):
        config = GRUB_HEAD % way
        files = {"EFI/BOOT/BOOTX64.EFI": program, "is-" + way: b"this one"}
        if n + 1 < len(ways):
            config += GRUB_NEXT % ways[n + 1]
        else:
            config += GRUB_LINUX % way
            files.update({"vmlinuz": linux[0], "initrd.gz": linux[1]})
        files["grub/grub.cfg"] = config.encode()
        disks.append((way, media.esp_disk(os.path.join(directory, "grub-%s.img" % way), files, mib=64)))
    return disks


def ovmf(program, directory, everything):
    ways = ["nvme", "cd-ide", "virtio-blk-modern", "usb", "cd-virtio-scsi", "ahci", "virtio-scsi", "ide", "cd-ahci", "virtio-blk",
            "behind-bridge"]
    linux = kernel_and_initrd("amd64", directory)
    if not linux or not os.access(OVMF, os.R_OK) or not os.path.isdir("/usr/lib/grub/x86_64-efi") or not shutil.which("grub-mkimage"):
        print("no OVMF, GRUB or kernel for amd64: skipped")
        return False
    disks = []
    for way in ways:
        hello = media.efi_program("x86_64", "\r\nthis is %s\r\n" % way, directory)
        image, files = os.path.join(directory, "ovmf-%s.img" % way), {"EFI/BOOT/BOOTX64.EFI": hello}
        disks.append((way, media.efi_cd(image, files, directory) if way in CD else media.esp_disk(image, files)))
    loaders = ["virtio-blk", "ahci", "nvme"]
    flash = os.path.join(directory, "vars.fd")
    for n in range(len(loaders) if everything else 1):
        shutil.copy(OVMF_VARS, flash)
        others = disks if n == 0 else []
        chain = loaders[n:] + loaders[:n]
        status, text = run(program, "--cpu", "qemu64", "-m", "512M", "--pflash", OVMF, "--pflash", flash,
                           *plugged(others + grub_disks(chain, linux, directory)))
        if n == 0:
            said_in_order("OVMF", text, ways)
        check("OVMF: GRUB is loaded from %s" % ", ".join(chain), re.findall(r"GRUB is from ([\w-]+)", text) == chain, text[-3000:])
        reached_the_shell("OVMF, GRUB from %s" % chain[-1], status, text, "from=%s(?s:.*)the-shell-is-there" % chain[-1])
    return True


# ---- U-Boot on virt ----

def u_boot(program, directory, everything):
    """Its usual course goes through the disks: scripts, EFI programs and extlinux.conf."""
    linux = kernel_and_initrd("arm64", directory)
    if not linux or not os.access(UBOOT, os.R_OK):
        print("no U-Boot or kernel for arm64: skipped")
        return False
    # By itself it looks at the first virtio disk only. The script there has it look at the others, too, in one line: theirs
    # take its place in memory.
    more = ("echo this is virtio-blk-mmio\ndevtype=virtio; for devnum in 1 2; do run scan_dev_for_boot_part; done; "
            "run bootcmd_nvme0\n")
    hello = media.efi_program("aarch64", "\r\nthis is virtio-blk-modern\r\n", directory)
    disks = [("virtio-blk-mmio", {"boot.scr": media.uboot_script(more)}),
             ("virtio-blk", {"boot/boot.scr.uimg": media.uboot_script("echo this is virtio-blk\n")}),
             ("virtio-blk-modern", {"EFI/BOOT/BOOTAA64.EFI": hello}),
             ("nvme", {"extlinux/extlinux.conf": b"timeout 1\ndefault l\nlabel l\n linux /vmlinuz\n initrd /initrd.gz\n"
                                                 b" append console=ttyAMA0 quiet from=nvme\n", "vmlinuz": linux[0], "initrd.gz": linux[1]})]
    disks = [(way, media.esp_disk(os.path.join(directory, "u-boot-%s.img" % way), files, mib=64)) for way, files in disks]
    status, text = run(program, "--machine", "virt", "-m", "512M", "--bios", UBOOT, *plugged(disks))
    found = set(re.findall(r"this is ([\w-]+)", text))
    check("U-Boot: starts scripts and an EFI program of virtio disks", found == {w for w, _ in disks[:3]}, text[-4000:])
    reached_the_shell("U-Boot, extlinux from nvme", status, text, "from=nvme(?s:.*)the-shell-is-there")
    return True


# ---- SeaBIOS on the pc ----

WELL = 5  # what the boot sector's end is to hindcast
# What ends in the same way, and has syslinux start it.
END_SECTOR = b"\xb0\x02\xe6\xf4\xf4".ljust(510, b"\0") + b"\x55\xaa"
END_CONFIG = b"SERIAL 0 115200\nDEFAULT end\nPROMPT 0\nLABEL end\n KERNEL end.bs\n"

PLACES = {
    **{way: plugged([(way, "IMAGE")]) for way in (*PCI, "ahci") if way != "behind-bridge"},
    "ide-0": ["-hda", "IMAGE"], "ide-1": ["-hdb", "IMAGE"], "ide-2": ["-hdc", "IMAGE"], "ide-3": ["-hdd", "IMAGE"],
    "sd": ["--device", "sdhci-pci", "--drive", "if=none,id=d,file=IMAGE", "--device", "sd-card,drive=d,bootindex=0"],
    "usb": ["--device", "piix3-usb-uhci", "--drive", "if=none,id=d,file=IMAGE", "--device", "usb-storage,drive=d,bootindex=0"],
    "floppy": ["-fda", "IMAGE"],
    "floppy-b": ["--drive", "if=none,id=d,file=IMAGE", "--device", "floppy,unit=0,drive=d,bootindex=0"],
}
CD_PLACES = {
    "ide": ["--cdrom", "IMAGE"],
    "ide-first": ["--drive", "if=none,id=d,file=IMAGE", "--device", "ide-cd,bus=ide.0,drive=d,bootindex=0"],
    "ahci": ["--device", "ich9-ahci,id=a", "--drive", "if=none,id=d,file=IMAGE", "--device", "ide-cd,bus=a.1,drive=d,bootindex=0"],
    "virtio-scsi": ["--device", "virtio-scsi-pci,id=a", "--drive", "if=none,id=d,file=IMAGE", "--device",
                    "scsi-cd,bus=a.0,drive=d,bootindex=0"],
}


def placed(words, image):
    return [w.replace("IMAGE", image) for w in words]


def seabios(program, directory, everything):
    sector = media.boot_sector(directory)
    if not sector or not os.access(SEABIOS, os.R_OK):
        print("no SeaBIOS, or no compiler for x86: skipped")
        return False
    for way, words in PLACES.items():
        image = os.path.join(directory, "sector.img")
        with open(image, "wb") as f:
            f.write(media.numbered_disk(sector, 1440 if "floppy" in way else 8192))
        status, text = run(program, "--bios", SEABIOS, *placed(words, image))
        services = r"drive 0[01] chs well" if "floppy" in way else r"drive 80 lba chs well"
        check("SeaBIOS boots from %s, and its disk services work" % way, status == WELL and re.search(services, text), (status, text[-600:]))
    syslinux(program, directory, everything)
    return True


def syslinux(program, directory, everything):
    """From a FAT file system in the active partition of a disk."""
    if not os.access(SYSLINUX_MBR, os.R_OK) or not shutil.which("syslinux"):
        print("no syslinux: it is not tried")
        return
    image = os.path.join(directory, "syslinux.img")
    with open(SYSLINUX_MBR, "rb") as f:
        mbr = f.read().ljust(446, b"\0") + struct.pack("<BBBBBBBBII", 0x80, 254, 255, 255, 6, 254, 255, 255, 2048, 14 * 2048) + bytes(48)
    with open(image, "wb") as f:
        f.write(mbr + b"\x55\xaa")
        f.truncate(15 << 20)
    media.quietly("mformat", "-i", image + "@@1M", "-T", str(14 * 2048), "-h", "16", "-s", "63", "-H", "2048", "::")
    media.fat(image, 1 << 20, {"end.bs": END_SECTOR, "syslinux.cfg": END_CONFIG})
    media.quietly("syslinux", "--install", "--offset", str(1 << 20), image)
    for way in PLACES if everything else ("ide-0", "nvme"):
        if "floppy" not in way:
            status, text = run(program, "--bios", SEABIOS, *placed(PLACES[way], image))
            check("SeaBIOS boots syslinux from a disk on %s" % way, status == WELL and "SYSLINUX" in text, (status, text[-600:]))


# ---- CDs ----

def end_by_grub(directory):
    """A CD that is also a disk: GRUB for BIOS and UEFI, which ends the guest."""
    tree = os.path.join(directory, "hybrid")
    os.makedirs(os.path.join(tree, "boot/grub"), exist_ok=True)
    with open(os.path.join(tree, "boot/grub/grub.cfg"), "w") as f:
        f.write("serial --unit=0 --speed=115200\nterminal_output serial\necho GRUB for $grub_platform is there\ninsmod iorw\noutb 0xf4 2\n")
    out = os.path.join(directory, "hybrid.iso")
    media.quietly("grub-mkrescue", "-o", out, tree)
    return out


def cds(program, directory, everything):
    numbered = media.boot_sector(directory)
    if not numbered or not shutil.which("grub-mkrescue") or not all(os.access(f, os.R_OK) for f in (SEABIOS, OVMF)):
        print("no SeaBIOS, OVMF, GRUB or compiler for x86: skipped")
        return False

    def cd(name, boot, *options):
        return media.el_torito(os.path.join(directory, name + ".iso"), boot, directory, *options)

    made = {
        "no emulation": (cd("plain", media.boot_sector(directory, "-DCDROM").ljust(2048, b"\0"), "-no-emul-boot", "-boot-load-size", "4"),
                         r"drive [9A-F]\w lba well"),
        "floppy emulation": (cd("floppy", media.numbered_disk(numbered, 1440)), r"drive 00 chs well"),
        "hard disk emulation": (cd("disk", media.numbered_disk(numbered, 8192, partition=True), "-hard-disk-boot"),
                                r"drive 80 (lba )?chs well"),
    }
    for place, words in CD_PLACES.items():
        for kind, (image, pattern) in made.items():
            status, text = run(program, "--bios", SEABIOS, *placed(words, image), "--boot", "d")
            check("SeaBIOS boots a CD with %s on %s" % (kind, place), status == WELL and re.search(pattern, text), (status, text[-600:]))
    isolinux(program, directory, everything)
    ipxe(program)
    hybrids(program, directory, everything)
    return True


def isolinux(program, directory, everything):
    if not os.access(ISOLINUX, os.R_OK):
        print("no isolinux: it is not tried")
        return
    with open(ISOLINUX, "rb") as f, open(LDLINUX, "rb") as modules:
        files = [("end.bs", END_SECTOR), ("ldlinux.c32", modules.read()), ("isolinux.cfg", END_CONFIG)]
        image = media.el_torito(os.path.join(directory, "isolinux.iso"), f.read(), directory, "-no-emul-boot", "-boot-load-size", "4",
                                "-boot-info-table", files=files)
    for place, words in CD_PLACES.items():
        if everything or place in ("ide", "virtio-scsi"):
            status, text = run(program, "--bios", SEABIOS, *placed(words, image), "--boot", "d")
            check("SeaBIOS boots isolinux from a CD on %s" % place, status == WELL and "ISOLINUX" in text, (status, text[-600:]))


def ipxe(program):
    """Its CD, which ISOLINUX starts."""
    if not os.access(IPXE, os.R_OK):
        print("no iPXE: it is not tried")
        return
    guest = fw.Guest(program, "--bios", SEABIOS, "--vga", "none", *FAST, *placed(CD_PLACES["ahci"], IPXE))
    guest.rsp.send("c")
    guest.expect(rb"iPXE initialising devices")
    check("SeaBIOS boots iPXE's CD", True)
    guest.close()


def hybrids(program, directory, everything):
    """grub-mkrescue's image is a CD and a disk, for BIOS and UEFI."""
    image, flash = end_by_grub(directory), os.path.join(directory, "cd-vars.fd")
    disks = {p: PLACES[p] for p in ("virtio-blk", "nvme", "ahci", "ide-0")}
    for kind, places in ("CD", CD_PLACES), ("disk", disks):
        for n, (place, words) in enumerate(reversed(places.items())):
            if n == 0 or everything:
                status, text = run(program, "--bios", SEABIOS, *placed(words, image), "--boot", "dc")
                check("SeaBIOS boots grub-mkrescue's image, a %s on %s" % (kind, place), status == WELL and "GRUB for pc is there" in text,
                      (status, text[-600:]))
            if (n == 0 and kind == "CD") or everything:
                shutil.copy(OVMF_VARS, flash)
                status, text = run(program, "--cpu", "qemu64", "--pflash", OVMF, "--pflash", flash, *placed(words, image))
                check("OVMF boots grub-mkrescue's image, a %s on %s" % (kind, place), status == WELL and "GRUB for efi is there" in text,
                      (status, text[-600:]))


PARTS = {"edk2": edk2, "ovmf": ovmf, "u-boot": u_boot, "seabios": seabios, "cd": cds}


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
