#!/usr/bin/env python3
"""USB as guests see it: Debian kernels on every board and controller, SeaBIOS, OVMF and EDK2.

    test_usb.py HINDCAST [NAME...]

A Debian kernel finds keyboard, mouse or tablet, hub and disk, is typed and pointed at, reads and writes the disk; the
same kernel goes back over it, and the recording replays without the image, from every checkpoint. SeaBIOS boots from a USB disk and
takes keys from a USB keyboard; UEFI firmware finds both on xHCI.

Exit status 77: the packages cannot be fetched here.
"""

import hashlib
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import firmware_guest  # noqa: E402
import screen  # noqa: E402
import test_debian_i386 as common  # noqa: E402
import test_disk_i386 as disks  # noqa: E402
from test_debian_i386 import Guest, check  # noqa: E402

SEABIOS, VGABIOS = "/usr/share/seabios/bios-256k.bin", "/usr/share/seabios/vgabios-stdvga.bin"
OVMF, OVMF_VARS = "/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"
EDK2, EDK2_VARS = "/usr/share/AAVMF/AAVMF_CODE.fd", "/usr/share/AAVMF/AAVMF_VARS.fd"

DISK = ["--drive", "file=FILE,if=none,id=d0,format=raw", "--device"]
MODULES = ["xhci_pci", "usbhid", "hid_generic", "evdev", "usb_storage", "sd_mod"]

# By name: architecture, package, console, options, what the kernel has to say of them, the pointer.
GUESTS = {
    "uhci-i386": ("i386", "linux-image-686", "ttyS0",
                  ["--usb", "--device", "usb-hub", "--device", "usb-kbd,port=1.3", "--device", "usb-hub,port=1.8", "--device",
                   "usb-tablet,port=1.8.2"] + DISK + ["usb-storage,drive=d0,port=2"],
                  [r"usb 1-1\.3: Product: USB Keyboard", r"usb 1-1\.8\.2: Product: USB Tablet", r"usb 1-2: new full-speed"], "tablet"),
    "xhci-i386": ("i386", "linux-image-686", "ttyS0",
                  ["--device", "qemu-xhci", "--device", "usb-hub,port=1", "--device", "usb-kbd,port=1.5", "--device", "usb-mouse"] +
                  DISK + ["usb-storage,drive=d0"],
                  [r"usb 1-1\.5: Product: USB Keyboard", r"usb 1-2: Product: USB Mouse", r"usb 2-3: new SuperSpeed"], "mouse"),
    "both-amd64": ("amd64", "linux-image-amd64", "ttyS0",
                   ["--machine", "pc,usb=on", "--device", "qemu-xhci,id=x", "--device", "usb-kbd,bus=x.0", "--device",
                    "usb-mouse,bus=usb-bus.0"] + DISK + ["usb-storage,drive=d0,bus=x.0,port=4"],
                   [r"usb \d-1: new high-speed", r"usb \d-1: new full-speed", r"usb \d-4: new SuperSpeed"], "mouse"),
    "xhci-arm64": ("arm64", "linux-image-arm64", "ttyAMA0",
                   ["--device", "qemu-xhci", "--device", "usb-kbd", "--device", "usb-tablet"] + DISK + ["usb-storage,drive=d0"],
                   [r"usb 1-1: Product: USB Keyboard", r"usb 1-2: Product: USB Tablet", r"usb 2-3: new SuperSpeed"], "tablet"),
    # The hub knows full speed only: EHCI hands its port to the companion.
    "ehci-i386": ("i386", "linux-image-686", "ttyS0",
                  ["--device", "ich9-usb-ehci1,id=e,addr=5.7", "--device", "ich9-usb-uhci1,masterbus=e.0,firstport=0,addr=5.0", "--device",
                   "ich9-usb-uhci2,masterbus=e.0,firstport=2,addr=5.1", "--device", "usb-hub,port=1", "--device", "usb-kbd,port=1.3",
                   "--device", "usb-mouse,port=3"] + DISK + ["usb-storage,drive=d0,port=4"],
                  [r"ehci-pci 0000:00:05\.7: USB 2\.0 started, EHCI 1\.00", r"usb \d-1: new full-speed USB device number \d using uhci_hcd",
                   r"usb \d-3: new high-speed USB device number \d using ehci-pci", r"usb \d-1\.3: Product: USB Keyboard"], "mouse"),
    # Without one, it is of high speed, and what is behind it is reached by split transactions.
    "ehci-arm64": ("arm64", "linux-image-arm64", "ttyAMA0",
                   ["--device", "usb-ehci", "--device", "usb-hub,port=1", "--device", "usb-kbd,port=1.5", "--device", "usb-tablet",
                    "--chardev", "null,id=c", "--device", "usb-serial,chardev=c,port=1.2"] + DISK + ["usb-storage,drive=d0,port=1.1"],
                   [r"usb 1-1: new high-speed USB device number \d using ehci-pci", r"hub 1-1:1\.0: 8 ports detected",
                    r"usb 1-1\.2: new full-speed", r"usb 1-1\.1: new high-speed", r"usb 1-1\.5: Product: USB Keyboard"], "tablet"),
}

SCRIPT = """#!/bin/sh
for m in MODULES; do insmod /$m.ko || echo "no $m"; done
i=0; while [ ! -b /dev/sda ] && [ $i -lt 100 ]; do sleep 0.1; i=$((i + 1)); done
sleep 1
for d in /sys/class/input/event*; do
    case "$(cat $d/device/name)" in HINDCAST*) ln -s /dev/input/$(basename $d) /dev/$(sed 's/.* //' $d/device/name);; esac
done
md5sum /dev/sda
"""

WORK = """dd if=/dev/sda of=/dev/sda bs=64k count=20 seek=60 conv=fsync,notrunc 2>/dev/null; dd if=/dev/sda of=/dev/sda bs=512 count=7 \
seek=9001 conv=fsync,notrunc 2>/dev/null; echo 3 >/proc/sys/vm/drop_caches; md5sum /dev/sda; echo work""" + """ is done
"""

# What a guest prints of each event: time, type, code, value.
WATCH = """hexdump -v -e '"event " %d/2 "%%04x " "\\n"' </dev/%s & sleep 1; echo "listening to" %s
"""

BOOT = """
    bits 16
    org 0x7c00
    xor ax, ax
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov sp, 0x7c00
    mov si, hello
    call print
    ; three sectors from the second on
    mov ax, 0x0203
    mov cx, 2
    mov dh, 0
    mov bx, 0x8000
    int 0x13
    jc bad
    mov si, 0x8000
    call print
key: xor ax, ax
    int 0x16
    call put
    jmp key
bad: mov si, failed
    call print
    jmp $
print: lodsb
    or al, al
    jz .out
    call put
    jmp print
.out: ret
put: push dx
    push ax
    mov dx, 0x3fd
.wait: in al, dx
    test al, 0x20
    jz .wait
    pop ax
    mov dx, 0x3f8
    out dx, al
    pop dx
    ret
hello: db "booted from USB: ", 0
failed: db "no second sector", 0
    times 510-($-$$) db 0
    dw 0xaa55
    db "and more", 0
    times 3072-($-$$) db 0
"""


def data_disk(tmp):
    data, image = bytearray(random.Random(7).randbytes(8 << 20)), os.path.join(tmp, "disk.img")
    with open(image, "wb") as f:
        f.write(data)
    before = hashlib.md5(data).hexdigest()
    data[60 << 16:80 << 16] = data[:20 << 16]
    data[9001 * 512:9008 * 512] = data[:7 * 512]
    return image, before, hashlib.md5(data).hexdigest()


def listen(guest, end, bits, node):
    guest.type(WATCH % (12 if bits == 64 else 8, node, node))
    return guest.wait_console(r"listening to {}\r".format(node).encode(), start=end)[0]


def event(guest, end, kind, code, value):
    """An input event, as a line of half words."""
    words = "%04x %04x %04x %04x" % (kind, code, value & 0xffff, value >> 16 & 0xffff)
    return guest.wait_console(("event .*" + words).encode(), start=end)[0]


def act(guest, command):
    """What the user of a running guest does."""
    guest.rsp.interrupt()
    guest.rsp.wait()
    guest.rsp.monitor(command)
    guest.rsp.send("c")


def point(guest, end, pointer):
    if pointer == "mouse":
        act(guest, "mouse_move 300 -5")
        end = event(guest, end, 2, 0, 127)
        end = event(guest, end, 2, 0, 127)
        end = event(guest, end, 2, 0, 46)
    else:
        act(guest, "tablet_move 1234 32767")
        end = event(guest, end, 3, 0, 1234)
        end = event(guest, end, 3, 1, 32767)
    act(guest, "mouse_button 2")
    return event(guest, end, 1, 0x111, 1)


def use(guest, name, bits, wanted, pointer, before, after):
    guest.rsp.send("c")
    end, _ = guest.wait_console(rb"guest# ")
    for claim in wanted:
        check("%s: %s" % (name, claim), re.search(claim.encode(), guest.console) is not None, guest.console[-3000:])
    check("%s: the disk is read" % name, before.encode() in guest.console)
    guest.type(WORK)
    end, _ = guest.wait_console(rb"\nwork is done", start=end)
    check("%s: what was written is read again" % name, after.encode() in guest.console[-2000:], guest.console[-500:])
    end = listen(guest, end, bits, "Keyboard")
    act(guest, "sendkey shift-a")
    for code, value in (42, 1), (30, 1), (30, 0), (42, 0):
        end = event(guest, end, 1, code, value)
    check("%s: keys are seen, in their order" % name, True)
    end = listen(guest, end, bits, pointer.capitalize())
    end = point(guest, end, pointer)
    check("%s: the %s is seen" % (name, pointer), True)
    guest.rsp.interrupt()
    guest.rsp.wait()


def linux(tmp, program, name):
    architecture, package, console, options, wanted, pointer = GUESTS[name]
    cache = common.cache_dir()
    code = subprocess.run([os.path.join(HERE, "fetch-debian"), architecture, cache, "busybox-static", package]).returncode
    if code:
        sys.exit(code)
    root = os.path.join(cache, architecture, "root")
    with open("%s/%s/done/%s" % (cache, architecture, package)) as f:
        version = f.read().strip()[len("linux-image-"):]
    modules = MODULES + (["uhci_hcd"] if architecture != "arm64" else [])
    if name.startswith("ehci"):
        modules = ["ehci_pci"] + modules
    initrd = disks.make_initrd(tmp, root, version, modules, "sda", SCRIPT, ())
    image, before, after = data_disk(tmp)
    recording = os.path.join(tmp, "r.hcrec")
    guest = Guest(program, "%s/boot/vmlinuz-%s" % (root, version), initrd,
                  ["--append", "console=" + console, "--record", recording, "--embed", "--checkpoints-in-file", "every=1500000000"] +
                  [w.replace("FILE", image) for w in options])
    use(guest, name, 32 if architecture == "i386" else 64, wanted, pointer, before, after)
    told = guest.rsp.monitor("info usb")
    check("%s: info usb lists what is plugged in" % name, told.count(", configured") >= 3 and "USB Storage" in told, told)
    common.back_and_forth(guest, name)
    guest.close()
    disks.verify(program, recording, image)


def run_on(guest, pattern, slices=400, steps=20000000):
    """Forward until the console has it."""
    for _ in range(slices):
        if re.search(pattern, guest.console):
            return True
        screen.run_to(guest.rsp, guest.rsp.position() + steps)
    return bool(re.search(pattern, guest.console))


def seabios(tmp, program, controller):
    firmware_guest.need(SEABIOS, VGABIOS)
    source, image = os.path.join(tmp, "boot.asm"), os.path.join(tmp, "boot.img")
    recording = os.path.join(tmp, "bios.hcrec")
    with open(source, "w") as f:
        f.write(BOOT)
    subprocess.run(["nasm", "-f", "bin", "-o", image, source], check=True)
    os.truncate(image, 4 << 20)
    guest = firmware_guest.Guest(program, "--bios", SEABIOS, "--vga-bios", VGABIOS, "--icount", "shift=4,sleep=off", "--record",
                                 recording, "--embed", "--drive", "file=%s,if=none,id=d0,format=raw" % image, *controller, "--device",
                                 "usb-storage,drive=d0", "--device", "usb-kbd")
    name = "SeaBIOS, " + controller[-1].strip("-")
    check(name + ": it boots from the USB disk", run_on(guest, rb"booted from USB: and more"), guest.console)
    for key in "h", "i":
        guest.rsp.monitor("sendkey %s 20" % key)
        screen.run_to(guest.rsp, guest.rsp.position() + 20000000)
    check(name + ": it takes keys from the USB keyboard", run_on(guest, rb"morehi"), guest.console)
    common.back_and_forth(guest, name)
    guest.close()
    disks.verify(program, recording, image)


def uefi(tmp, program, board, flash):
    """The shell is typed at by the USB keyboard, and shows what is on the USB disk."""
    image = os.path.join(tmp, "fat.img")
    with open(image, "wb") as f:
        f.truncate(8 << 20)
    env = {"MTOOLS_SKIP_CHECK": "1", "PATH": os.environ["PATH"]}
    subprocess.run(["mformat", "-i", image, "-T", "16384", "-h", "16", "-s", "32", "-v", "HINDCAST", "::"], check=True, env=env)
    with open(os.path.join(tmp, "hello.txt"), "w") as f:
        f.write("from the stick\n")
    subprocess.run(["mcopy", "-i", image, os.path.join(tmp, "hello.txt"), "::hello.txt"], check=True, env=env)
    guest = firmware_guest.Guest(program, *flash, "--icount", "shift=4,sleep=off", "--device", "qemu-xhci", "--drive",
                                 "file=%s,if=none,id=d0,format=raw" % image, "--device", "usb-storage,drive=d0", "--device", "usb-kbd")
    guest.rsp.send("c")
    guest.expect(rb"Press .*ESC.* in \d seconds", "\x1b")
    guest.expect(rb"Shell> ", "map -r\r")
    guest.expect(rb"(?s)FS0:.*USB\(")
    check(board + ": UEFI has a file system on the USB disk", True)
    guest.expect(rb"Shell> ", "type fs0:\\hello.txt\r")
    guest.expect(rb"from the stick")
    guest.expect(rb"Shell> ")
    check(board + ": and reads it", True)
    for key in "e", "c", "h", "o", "spc", "6", "x", "7", "ret":
        act(guest, "sendkey %s 60" % key)
        if key != "ret":
            guest.expect({"spc": b" "}.get(key, key.encode()))
    guest.expect(rb"\n(\x1b[^m]*m)*6x7")
    check(board + ": its shell is typed at by the USB keyboard", True)
    guest.rsp.interrupt()
    guest.rsp.wait()
    common.back_and_forth(guest, board)
    guest.close()


def ovmf(tmp, program):
    firmware_guest.need(OVMF, OVMF_VARS)
    flash = os.path.join(tmp, "vars.fd")
    shutil.copy(OVMF_VARS, flash)
    uefi(tmp, program, "OVMF", ["--pflash", OVMF, "--pflash", flash])


def edk2(tmp, program):
    firmware_guest.need(EDK2, EDK2_VARS)
    uefi(tmp, program, "EDK2", ["--pflash", EDK2, "--pflash", EDK2_VARS, "-m", "256M"])


OTHERS = {
    "seabios-uhci": lambda tmp, program: seabios(tmp, program, ["--usb"]),
    "seabios-ehci": lambda tmp, program: seabios(tmp, program, ["--device", "usb-ehci"]),
    "seabios-xhci": lambda tmp, program: seabios(tmp, program, ["--device", "qemu-xhci"]),
    "ovmf": ovmf,
    "edk2": edk2,
}


def main():
    program = os.path.abspath(sys.argv[1])
    for tool in "nasm", "mformat", "mcopy":
        if not shutil.which(tool):
            print("no %s: skipped" % tool)
            sys.exit(77)
    for name in sys.argv[2:] or list(GUESTS) + list(OTHERS):
        with tempfile.TemporaryDirectory() as tmp:
            if name in GUESTS:
                linux(tmp, program, name)
            else:
                OTHERS[name](tmp, program)
    print("%d passed, %d failed" % (common.passed, common.failed))
    sys.exit(1 if common.failed else 0)


if __name__ == "__main__":
    main()
