#!/usr/bin/env python3
"""Guests that boot from the network.

    test_netboot.py HINDCAST [--all] [tftp|http|uboot|uefi|uefi-rom|debian|CARD...]

SeaBIOS starts iPXE from a card's ROM (romfile=), which finds a server by DHCP and boots a small kernel of ours by TFTP or, from a
server here, by HTTP (debian: Debian's, to its shell); U-Boot on the virt board does dhcp, tftpboot and booti; OVMF boots a program of ours by PXE, with its own
driver and with iPXE's. Each is recorded; the recording
replays without any network and without the images: the same console, the same state, from its beginning and from every checkpoint.

CARD: tftp by that card; --all: by every one that has a ROM, and debian. Exit status 77: a part is not there, or this hindcast has no --netdev user.
"""

import functools
import http.server
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import boot_media as media  # noqa: E402
import firmware_guest as fw  # noqa: E402
import test_debian_record as recorded  # noqa: E402
import test_firmware_record as firmware  # noqa: E402
import test_guests_i386 as pc  # noqa: E402
import test_uboot_arm64 as uboot  # noqa: E402
from firmware_guest import check  # noqa: E402
from harness import build_guest  # noqa: E402
from test_debian_i386 import fetched  # noqa: E402

ROMS = "/usr/lib/ipxe/qemu/pxe-%s.rom"
CARDS = {"rtl8139": "rtl8139", "ne2k_pci": "ne2k_pci", "pcnet": "pcnet", "e1000": "e1000", "virtio-net-pci": "virtio"}
OVMF, OVMF_VARS = "/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"
EFI_ROM = "/usr/lib/ipxe/qemu/efi-e1000.rom"
AARCH64 = "aarch64-linux-gnu-"
FAST = ["--icount", "shift=0,sleep=off"]
SLOW = ["--icount", "shift=3,sleep=off"] # iPXE waits for keys, by the clock


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def serve(directory):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=directory))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def write(directory, name, text):
    with open(os.path.join(directory, name), "w") as f:
        f.write(text)


def seabios(card, network, rom):
    return ["--bios", pc.SEABIOS, "--vga", "none", "-m", "256M", "--boot", "n", "--embed",
            "--nic", "user,model=%s,romfile=%s,%s" % (card, rom, network)] + SLOW


def replayed(program, name, guest, files):
    """What was recorded, with nothing but the recording."""
    end = recorded.state(guest.rsp)
    text = guest.rsp.monitor("info network")
    check("%s: frames went both ways, none was lost" % name, re.search(r" [1-9]\d* delivered, .* it sent [1-9].* 0 refused", text, re.S), text)
    guest.close()
    shutil.rmtree(files)
    with tempfile.TemporaryDirectory() as clean:
        there = shutil.move(guest.recording, os.path.join(clean, "moved.hcrec"))
        recorded.replays(program, there, clean, guest.console, end, name)
        status, out = recorded.run(program, "verify", "--from", "checkpoints", there, cwd=clean)
        check("%s: verify passes, from every checkpoint" % name, status == 0 and "the whole recording replays" in out, out)


def start(program, tmp, options, every):
    recording = os.path.join(tmp, "r.hcrec")
    guest = fw.Guest(program, *options, "--record", recording, "--checkpoints-in-file", "every=" + every)
    guest.recording = recording
    guest.rsp.send("c")
    return guest


def files_in(tmp, card):
    """A directory with a copy of the card's ROM, which is gone when the recording replays."""
    files = os.path.join(tmp, "files")
    os.mkdir(files)
    return files, shutil.copy(ROMS % CARDS[card], files)


def small_kernel(path):
    """Multiboot; says MB! on the first serial port."""
    kernel = build_guest("movw $0x3f8, %dx\nmovb $'M', %al\noutb %al, %dx\nmovb $'B', %al\noutb %al, %dx\n"
                         "movb $'!', %al\noutb %al, %dx\n1: jmp 1b", "netboot")
    subprocess.run(["strip", "-o", path, kernel], check=True)


def small_image(path):
    """An arm64 Image; says A64! on the PL011."""
    elf = path + ".elf"
    source = (".globl _start\n_start: b 1f\n.long 0\n.quad 0, end - _start, 10, 0, 0, 0\n.long 0x644d5241, 0\n1: mov x1, #0x09000000\n" +
              "".join("mov w0, #%d\nstr w0, [x1]\n" % c for c in b"A64!\r\n") + "2: wfi\nb 2b\n.balign 4096\nend:\n")
    subprocess.run([AARCH64 + "gcc", "-c", "-x", "assembler", "-o", elf, "-"],
                   input=source.encode(), check=True)
    subprocess.run([AARCH64 + "objcopy", "-O", "binary", "-j", ".text", elf, path], check=True)
    os.remove(elf)


def by_tftp(program, tmp, card):
    files, rom = files_in(tmp, card)
    small_kernel(os.path.join(files, "small.elf"))
    write(files, "boot.ipxe", "#!ipxe\necho the script runs\nkernel small.elf\nboot\n")
    guest = start(program, tmp, seabios(card, "tftp=%s,bootfile=boot.ipxe" % files, rom), "200M")
    guest.expect(rb"Booting from ROM")
    guest.expect(rb"the script runs")
    guest.expect(rb"MB!")
    fw.stop(guest, "TFTP, " + card)
    replayed(program, "TFTP, " + card, guest, files)


def by_http(program, tmp, card="rtl8139"):
    """A small kernel, with a module."""
    files, rom = files_in(tmp, card)
    small_kernel(os.path.join(files, "small.elf"))
    with open(os.path.join(files, "module"), "wb") as f:
        f.write(random.Random(3).randbytes(300000))
    write(files, "boot.ipxe", "#!ipxe\nkernel small.elf\nmodule module\nboot\n")
    server = serve(files)
    guest = start(program, tmp, seabios(card, "bootfile=http://10.0.2.2:%d/boot.ipxe" % server.server_address[1], rom), "200M")
    guest.expect(rb"module\.\.\. o")
    guest.expect(rb"MB!")
    fw.stop(guest, "HTTP, " + card)
    server.shutdown()
    replayed(program, "HTTP, " + card, guest, files)


def debian_by_http(program, tmp, card="rtl8139"):
    root, version = fetched("i386", "linux-image-686")
    files, rom = files_in(tmp, card)
    shutil.copy("%s/boot/vmlinuz-%s" % (root, version), os.path.join(files, "vmlinuz"))
    subprocess.run([os.path.join(HERE, "make-initramfs"), root + "/bin/busybox", os.path.join(files, "initrd.gz")], check=True)
    write(files, "boot.ipxe", "#!ipxe\nkernel vmlinuz console=ttyS0\ninitrd initrd.gz\nboot\n")
    server = serve(files)
    guest = start(program, tmp, seabios(card, "bootfile=http://10.0.2.2:%d/boot.ipxe" % server.server_address[1], rom), "2G")
    guest.expect(rb"initrd.gz\.\.\. o")
    guest.expect(rb"guest# ", "echo booted from the net'work'\n")
    guest.expect(rb"booted from the network\r")
    fw.stop(guest, "Debian by HTTP")
    server.shutdown()
    replayed(program, "Debian by HTTP", guest, files)


def by_uboot(program, tmp):
    """The card is on PCI; the kernel is the file that DHCP names."""
    files = os.path.join(tmp, "files")
    os.mkdir(files)
    small_image(os.path.join(files, "Image"))
    bios = shutil.copy(uboot.UBOOT, files)
    guest = start(program, tmp, ["--bios", bios, "--machine", "virt", "-m", "256M", "--embed", "--nic",
                                 "user,model=virtio-net-pci,tftp=%s,bootfile=Image" % files] + FAST, "1G")
    uboot.stop_autoboot(guest)
    uboot.prompt(guest, "dhcp ${kernel_addr_r}")
    shown = uboot.prompt(guest, "tftpboot ${ramdisk_addr_r} Image")
    check("U-Boot: dhcp fetches the file that it names", "Bytes transferred = 4096" in shown, shown)
    uboot.prompt(guest, "booti ${kernel_addr_r} - ${fdtcontroladdr}")
    guest.expect(rb"Starting kernel")
    guest.expect(rb"A64!")
    fw.stop(guest, "U-Boot")
    replayed(program, "U-Boot, dhcp and tftpboot", guest, files)


def by_uefi(program, tmp, card, rom):
    """OVMF's own driver, or iPXE's in a card's ROM, which loads a program of ours by PXE; that hands back to firmware."""
    files = os.path.join(tmp, "files")
    os.mkdir(files)
    hello = media.efi_program("x86_64", "\r\nthis came by PXE\r\n", tmp)
    with open(os.path.join(files, "hello.efi"), "wb") as f:
        f.write(hello)
    name = "OVMF, PXE by " + card
    options = ["--pflash", shutil.copy(OVMF, files), "--pflash", shutil.copy(OVMF_VARS, files), "-m", "256M", "--vga", "none", "--embed", "--nic",
               "user,model=%s,%stftp=%s,bootfile=hello.efi" % (card, "romfile=%s," % shutil.copy(rom, files) if rom else "", files)]
    guest = start(program, tmp, options + ["--icount", "shift=5,sleep=off"], "500M") # (it polls the clock)
    guest.expect(rb"this came by PXE")
    fw.stop(guest, name)
    replayed(program, name, guest, files)


def has_user_network(program):
    done = subprocess.run([program, "--netdev", "user,id=n", "nothing"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return "without libslirp" not in done.stdout


def main():
    program = os.path.abspath(sys.argv[1])
    wanted = [word for word in sys.argv[2:] if word != "--all"] or ["tftp", "http", "uboot", "uefi", "uefi-rom"] + (list(CARDS) + ["debian"] if "--all" in sys.argv else [])
    here = {"tftp": (pc.SEABIOS, ROMS % "ne2k_pci", "/usr/bin/gcc"), "http": (pc.SEABIOS, ROMS % "rtl8139", "/usr/bin/gcc"),
            "debian": (pc.SEABIOS, ROMS % "rtl8139"), "uboot": (uboot.UBOOT, shutil.which(AARCH64 + "gcc") or AARCH64 + "gcc")}
    tests = {"tftp": lambda tmp: by_tftp(program, tmp, "ne2k_pci"), "http": functools.partial(by_http, program),
             "debian": functools.partial(debian_by_http, program), "uboot": functools.partial(by_uboot, program)}
    here.update({"uefi": (OVMF, OVMF_VARS, "/usr/bin/gcc"), "uefi-rom": (OVMF, OVMF_VARS, EFI_ROM, "/usr/bin/gcc")})
    tests.update({"uefi": functools.partial(by_uefi, program, card="virtio-net-pci", rom=None),
                  "uefi-rom": functools.partial(by_uefi, program, card="e1000", rom=EFI_ROM)})
    for card, rom in CARDS.items():
        here[card] = (pc.SEABIOS, ROMS % rom, "/usr/bin/gcc")
        tests[card] = functools.partial(by_tftp, program, card=card)
    if not has_user_network(program):
        sys.exit(77)
    for name in wanted:
        missing = [f for f in here[name] if not os.path.exists(f)]
        if missing:
            print("left out: %s (no %s)" % (name, ", ".join(missing)))
            continue
        with tempfile.TemporaryDirectory() as tmp:
            tests[name](tmp)
    if not fw.common.passed + fw.common.failed:
        sys.exit(77)
    print("%d passed, %d failed" % (fw.common.passed, fw.common.failed))
    sys.exit(1 if fw.common.failed else 0)


if __name__ == "__main__":
    main()
