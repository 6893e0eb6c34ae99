#!/usr/bin/env python3
"""Other people's guests on the PC: memtest86+, iPXE, U-Boot, GRUB, SeaBIOS, GNU Mach, from Debian packages.

    test_guests_i386.py [CLAIM...]

Each is run to a place that one can see on its screen or its serial port, typed at, and stepped
backwards with equal hashes. A guest whose package is not installed is left out; exit status 77:
none is.
"""

import atexit
import gzip
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
from harness import Server, check, contains  # noqa: E402

MEMTEST = "/boot/memtest86+ia32.bin"
IPXE = "/boot/ipxe.lkrn"
UBOOT = "/usr/lib/u-boot/qemu-x86/u-boot.rom"
SEABIOS = "/usr/share/seabios/bios-256k.bin"
VGABIOS = "/usr/share/seabios/vgabios-stdvga.bin"
GRUB_PC = "/usr/lib/grub/i386-pc"
GRUB_COREBOOT = "/usr/lib/grub/i386-coreboot"
GRUB_QEMU = "/usr/share/qemu/grub.bin"
VIRTIO_VGABIOS = "/usr/share/seabios/vgabios-virtio.bin"
BIOS = ("--bios", SEABIOS, "--vga-bios", VGABIOS)
M = 1000000

directory = tempfile.mkdtemp(prefix="hindcast-guests-")
atexit.register(shutil.rmtree, directory, True)


def cached(*path):
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.path.join(base, "hindcast", "i386", "root", *path)


def needs(*files):
    """The claim is about files that may not be there."""
    def mark(claim):
        claim.needs = files
        return claim
    return mark


def started(*arguments, shift=0, memory="64M"):
    """A guest on the first serial port's stdio, without real time."""
    return Server("--icount", "shift=%d,sleep=off" % shift, "--memory", memory, *arguments, guest=None, serial="stdio",
                  stdin=subprocess.PIPE)


def type_serial(server, rsp, text):
    for c in text:
        rsp.monitor("serial " + {"\r": "\\r", " ": "\\x20"}.get(c, c))
        screen.run_to(rsp, rsp.position() + 1 * M)


@needs(MEMTEST)
def claim_memtest86plus_passes_tests_and_obeys_keys():
    with started("--append", "console=ttyS0,115200", MEMTEST, memory="16M") as s:
        rsp = s.client()
        text = screen.run_until_screen(rsp, r"#[1-9]  \[", 100 * M, 60)
        contains(text, r"Memtest86\+")
        contains(text, r"Errors: 0$")
        check(b"Memtest86+ v" in s.output, "nothing on the serial port")
        screen.there_and_back(rsp)
        rsp.monitor("sendkey f1")
        screen.run_until_screen(rsp, r"Settings", 50 * M, 20)
        rsp.close()


@needs(MEMTEST, SEABIOS, VGABIOS)
def claim_memtest86plus_is_started_by_seabios():
    with started(*BIOS, "--kernel", MEMTEST) as s:
        rsp = s.client()
        screen.run_until_screen(rsp, r"<F1> Configuration", 100 * M, 30)
        rsp.close()


@needs(IPXE, SEABIOS, VGABIOS)
def claim_ipxe_finds_no_network_and_has_a_command_line():
    with started(*BIOS, "--kernel", IPXE, shift=6) as s:
        rsp = s.client()
        screen.run_until_screen(rsp, r"iPXE initialising", 3 * M, 100)
        rsp.monitor("sendkey ctrl-b") # the BIOS keeps it; the question is asked while nearly no instruction runs
        screen.run_until_screen(rsp, r"^iPXE>", 3 * M, 50)
        screen.there_and_back(rsp)
        screen.press(rsp, "echo hi\n")
        screen.run_until_screen(rsp, r"^hi$", 3 * M, 20)
        rsp.close()


@needs(UBOOT)
def claim_uboot_comes_to_its_prompt():
    with started("--bios", UBOOT, shift=6, memory="256M") as s:
        rsp = s.client()
        screen.run_until_output(s, rsp, rb"stop autoboot", 5 * M, 60)
        type_serial(s, rsp, "\r")
        screen.run_until_output(s, rsp, rb"=> ", 5 * M, 60)
        screen.there_and_back(rsp)
        type_serial(s, rsp, "echo 6x7\r")
        screen.run_until_output(s, rsp, rb"\r?\n6x7\r?\n", 5 * M, 20)
        type_serial(s, rsp, "pci\r")
        screen.run_until_output(s, rsp, rb"00\.02\.00 +0x1234 +0x1111", 5 * M, 20)
        rsp.close()


def grub_image(platform, *modules):
    """A GRUB whose shell is on the serial port, with a small Multiboot kernel in its memory disk."""
    boot = os.path.join(directory, "boot")
    os.makedirs(os.path.join(boot, "grub"), exist_ok=True)
    kernel = harness.build_guest("movw $0x3f8, %dx\nmovb $'M', %al\noutb %al, %dx\nmovb $'B', %al\noutb %al, %dx\n"
                                 "movb $'!', %al\noutb %al, %dx\n1: jmp 1b", "small")
    subprocess.run(["strip", "-o", os.path.join(boot, "small.elf"), kernel], check=True)
    with open(os.path.join(boot, "grub", "grub.cfg"), "w") as f:
        f.write("serial --unit=0 --speed=115200\nterminal_input serial\nterminal_output serial\necho hello from grub\n")
    tar, image = os.path.join(directory, "memdisk.tar"), os.path.join(directory, platform)
    subprocess.run(["tar", "cf", tar, "-C", directory, "boot"], check=True)
    subprocess.run(["grub-mkimage", "-O", platform, "-p", "(memdisk)/boot/grub", "-m", tar, "-o", image] + list(modules) +
                   "memdisk tar normal serial terminal echo lsmmap cpuid multiboot ls minicmd boot reboot halt test".split(),
                   check=True)
    return image


def use_grub(s, rsp, slice_steps):
    screen.run_until_output(s, rsp, rb"hello from grub", slice_steps, 60)
    screen.run_until_output(s, rsp, rb"grub> ", slice_steps, 60)
    screen.there_and_back(rsp)
    type_serial(s, rsp, "lsmmap\r")
    screen.run_until_output(s, rsp, rb"base_addr = 0x100000, length = 0x[0-9a-f]+, available RAM", slice_steps, 20)
    type_serial(s, rsp, "if cpuid -p; then echo has_pae; fi\r")
    screen.run_until_output(s, rsp, rb"has_pae", slice_steps, 20)
    type_serial(s, rsp, "multiboot (memdisk)/boot/small.elf\r")
    type_serial(s, rsp, "boot\r")
    screen.run_until_output(s, rsp, rb"MB!", slice_steps, 40)


@needs(GRUB_COREBOOT, "/usr/bin/grub-mkimage")
def claim_grub_runs_as_a_coreboot_payload():
    with started("--kernel", grub_image("i386-coreboot")) as s:
        rsp = s.client()
        use_grub(s, rsp, 50 * M)
        rsp.close()


def grub_for_linux_loaders():
    """GRUB for the BIOS, in the form of a Linux kernel."""
    core, image = grub_image("i386-pc", "biosdisk"), os.path.join(directory, "grub.lkrn")
    with open(image, "wb") as out:
        for part in (os.path.join(GRUB_PC, "lnxboot.img"), core):
            with open(part, "rb") as f:
                out.write(f.read())
    return image


@needs(GRUB_PC, "/usr/bin/grub-mkimage", SEABIOS, VGABIOS)
def claim_grub_for_the_bios_is_started_as_a_linux_kernel():
    with started(*BIOS, "--kernel", grub_for_linux_loaders(), shift=3) as s:
        rsp = s.client()
        use_grub(s, rsp, 50 * M)
        rsp.close()


@needs(GRUB_QEMU)
def claim_grub_as_firmware_shows_its_menu():
    with started("--bios", GRUB_QEMU) as s:
        rsp = s.client()
        text = screen.run_until_screen(rsp, r"Search & load /boot/multiboot.img", 100 * M, 40)
        contains(text, r"GNU GRUB  version")
        screen.there_and_back(rsp)
        _, _, pixel = screen.picture(rsp, os.path.join(directory, "menu.ppm"))
        check(any(pixel(x, y) != (0, 0, 0) for y in range(60, 100) for x in range(0, 640, 2)), "the picture is black")
        rsp.monitor("sendkey c")
        screen.run_until_screen(rsp, r"^grub>", 20 * M, 20)
        rsp.close()


@needs(SEABIOS, VGABIOS, VIRTIO_VGABIOS)
def claim_seabios_finds_nothing_to_boot():
    for options in BIOS, ("--bios", SEABIOS, "--vga", "virtio", "--vga-bios", VIRTIO_VGABIOS):
        with started(*options) as s:
            rsp = s.client()
            text = screen.run_until_screen(rsp, r"No bootable device", 20 * M, 60)
            contains(text, r"^SeaBIOS \(version ")
            contains(text, r"^Booting from Hard Disk")
            screen.there_and_back(rsp)
            rsp.close()


@needs(SEABIOS, VGABIOS)
def claim_seabios_sets_up_system_management_mode():
    """The save map of either form: it relocates its SMBASE to SMRAM, closes that, and answers at port B2h."""
    for model in "pentium3", "qemu64":
        with started(*BIOS, "--cpu", model) as s:
            rsp = s.client()
            screen.run_until_screen(rsp, r"No bootable device", 20 * M, 60)
            contains(rsp.monitor("info registers"), r"SMM=0 (?s:.*)SMBASE=000a0000")
            contains(rsp.monitor("info devices"), r"SMRAM: 0a")
            rsp.close()


@needs(SEABIOS, VGABIOS)
def claim_seabios_writes_to_the_serial_port_only_where_there_is_no_display():
    with started(*BIOS) as s:
        rsp = s.client()
        screen.run_until_screen(rsp, r"No bootable device", 20 * M, 60)
        check(b"SeaBIOS" not in s.output, "text on the serial port beside a display")
        rsp.close()
    with started("--bios", SEABIOS, "--vga", "none") as s:
        rsp = s.client()
        screen.run_until_output(s, rsp, rb"No bootable device", 20 * M, 60)
        rsp.close()


def boot_disk():
    """64 MiB whose first sector writes B to the serial port and ends the guest."""
    path = os.path.join(directory, "boot.img")
    code = bytes.fromhex("baf803 b042 ee baf400 b000 ee f4".replace(" ", ""))
    with open(path, "wb") as f:
        f.write(code.ljust(510, b"\0") + b"\x55\xaa")
        f.truncate(64 << 20)
    return path


def boot_cd():
    """The same as the boot image of an El Torito CD."""
    tree, path = os.path.join(directory, "cd"), os.path.join(directory, "boot.iso")
    os.makedirs(tree, exist_ok=True)
    with open(boot_disk(), "rb") as disk, open(os.path.join(tree, "boot.bin"), "wb") as f:
        f.write(disk.read(2048))
    subprocess.run(["xorriso", "-as", "mkisofs", "-quiet", "-b", "boot.bin", "-no-emul-boot", "-boot-load-size", "4",
                    "-o", path, tree], check=True, stderr=subprocess.DEVNULL)
    return path


@needs(SEABIOS, "/usr/bin/xorriso")
def claim_seabios_boots_from_every_disk_and_cd():
    disk, cd = "file=%s,format=raw,if=none,id=d" % boot_disk(), "file=%s,media=cdrom,if=none,id=d" % boot_cd()
    ways = [("-hda", boot_disk()), ("--cdrom", boot_cd())]
    ways += [("--drive", disk) + way for way in (
        ("--device", "virtio-blk-pci,drive=d"), ("--device", "virtio-blk-pci,drive=d,disable-legacy=on"),
        ("--device", "nvme,drive=d"), ("--device", "ich9-ahci", "--device", "ide-hd,drive=d"),
        ("--device", "virtio-scsi-pci", "--device", "scsi-hd,drive=d"))]
    ways += [("--drive", cd) + way for way in (("--device", "ich9-ahci", "--device", "ide-cd,drive=d"),
                                               ("--device", "virtio-scsi-pci", "--device", "scsi-cd,drive=d"))]
    for way in ways:
        done = subprocess.run([harness.HINDCAST, "--machine", "pc", "--bios", SEABIOS, "--vga", "none", "--run", "--listen",
                               "none", "--serial", "stdio", *way], stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=harness.patience(60))
        check(done.stdout.rstrip().endswith(b"B"), "%s: %r" % (" ".join(way), done.stdout[-80:]))


@needs(cached("boot", "gnumach-1.8-486.gz"))
def claim_gnu_mach_comes_to_where_it_wants_a_server():
    kernel = os.path.join(directory, "gnumach")
    with gzip.open(cached("boot", "gnumach-1.8-486.gz")) as f, open(kernel, "wb") as out:
        out.write(f.read())
    with started("--append", "console=com0", kernel, shift=6, memory="256M") as s:
        rsp = s.client()
        screen.run_until_output(s, rsp, rb"panic .*No bootstrap code loaded", 20 * M, 60)
        check(re.search(rb"biosmem: .*100000:.*available", s.output), "no memory map")
        screen.there_and_back(rsp)
        rsp.close()


@needs(cached("boot", "invaders.exec"))
def claim_invaders_come_down_the_screen():
    with started(cached("boot", "invaders.exec"), shift=3) as s:
        rsp = s.client()
        before = screen.run_until_screen(rsp, r"-\*-  -\*-", 20 * M, 40)
        contains(before, r"^ *_\n *\/ \\$")
        screen.there_and_back(rsp)
        screen.run_to(rsp, rsp.position() + 30 * M)
        after = rsp.monitor("screen")
        check(after.count("-*-") > 10 and after != before, "nothing moves:\n" + after)
        rsp.close()


def fetch():
    """Packages of another architecture, or with dependencies that nobody wants: fetched, not installed."""
    base = os.path.dirname(os.path.dirname(cached()))
    subprocess.run(["sh", os.path.join(HERE, "fetch-debian"), "i386", base.rstrip("/"), "gnumach-image-1.8-486",
                    "grub-invaders"],
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def main():
    module = sys.modules[__name__]
    if not all(map(os.path.exists, (cached("boot", "gnumach-1.8-486.gz"), cached("boot", "invaders.exec")))) and "--no-fetch" not in sys.argv:
        fetch()
    sys.argv = [a for a in sys.argv if a != "--no-fetch"]
    for name, claim in list(vars(module).items()):
        missing = [f for f in getattr(claim, "needs", ()) if not os.path.exists(f)]
        if missing:
            print("left out: %s (no %s)" % (name[6:], ", ".join(missing)))
            delattr(module, name)
    harness.main(module)


if __name__ == "__main__":
    main()
