#!/usr/bin/env python3
"""Displays as Debian kernels drive them: text by fbcon, and a pattern written to /dev/fb0, pixel by pixel.

    test_display.py HINDCAST [NAME...]

Each guest shows its console, then a pattern of ours; screendump has both, at the edge and when it is gone back to. The same
kernel goes over it again, and the recording replays elsewhere, from every checkpoint and without compiled code.

Exit status 77: the packages cannot be fetched here.
"""

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
from test_debian_i386 import Guest, check  # noqa: E402

EDK2, EDK2_VARS = "/usr/share/AAVMF/AAVMF_CODE.fd", "/usr/share/AAVMF/AAVMF_VARS.fd"
WIDTH, HEIGHT = 640, 480
SIZE = "xres=%d,yres=%d" % (WIDTH, HEIGHT)

# By name: architecture, package, options, the driver's modules, what the kernel says of it, the display's name.
GUESTS = {
    "bochs-i386": ("i386", "linux-image-686", ["--vga", "none", "--device", "bochs-display,vgamem=8M,id=b," + SIZE], ["bochs"],
                   r"fb0: bochs-drmdrmfb", "b"),
    "bochs-arm64": ("arm64", "linux-image-arm64", ["--device", "bochs-display," + SIZE], ["bochs"], r"fb0: bochs-drmdrmfb",
                    "bochs-display0"),
    "secondary-amd64": ("amd64", "linux-image-amd64", ["--vga", "none", "--device", "secondary-vga," + SIZE], ["bochs"],
                        r"fb0: bochs-drmdrmfb", "secondary-vga0"),
    "gpu-i386": ("i386", "linux-image-686", ["--vga", "none", "--device", "virtio-gpu-pci,id=g,packed=on," + SIZE],
                 ["virtio_pci", "virtio_gpu"], r"fb0: virtio_gpudrmfb", "g"),
    "vga-i386": ("i386", "linux-image-686", ["--vga", "std," + SIZE], ["bochs"], r"fb0: bochs-drmdrmfb", "vga"),
    "virtio-vga-amd64": ("amd64", "linux-image-amd64", ["--device", "virtio-vga," + SIZE], ["virtio_pci", "virtio_gpu"],
                         r"fb0: virtio_gpudrmfb", "vga"),
    "gpu-arm64": ("arm64", "linux-image-arm64", ["--device", "virtio-gpu-pci," + SIZE], ["virtio_pci", "virtio_gpu"],
                  r"fb0: virtio_gpudrmfb", "virtio-gpu-pci0"),
    "gpu-slot-arm64": ("arm64", "linux-image-arm64", ["--device", "virtio-gpu-device," + SIZE], ["virtio_mmio", "virtio_gpu"],
                       r"fb0: virtio_gpudrmfb", "virtio-gpu-device0"),
    # Firmware sets it up, and the kernel takes it over as it is.
    "ramfb-arm64": ("arm64", "linux-image-arm64", ["--pflash", EDK2, "--pflash", EDK2_VARS, "--device", "ramfb"], [],
                    r"fb0: (EFI VGA|simpledrm)", "ramfb0"),
}

SCRIPT = """#!/bin/sh
for m in MODULES; do insmod /$m.ko || echo "no $m"; done
i=0; while [ ! -c /dev/fb0 ] && [ $i -lt 100 ]; do sleep 0.1; i=$((i + 1)); done
cd /sys/class/graphics/fb0; echo "size $(cat virtual_size) depth $(cat bits_per_pixel) stride $(cat stride)"; cd /
printf '\\033[2J\\033[H\\033[?25lwhat fbcon shows\\n' >/dev/tty0
"""

# fbcon draws no more; then the pattern.
WORK = """for v in /sys/class/vtconsole/vtcon*; do grep -q frame $v/name && echo 0 >$v/bind; done; cat /pattern >/dev/fb0; sleep 1; \
echo work""" + """ is done
"""


def stop(guest):
    guest.rsp.interrupt()
    guest.rsp.wait()


def shown(guest, tmp, display):
    """Width, height, RGB bytes."""
    path = os.path.join(tmp, "shown.ppm")
    guest.rsp.monitor("screendump %s %s force" % (path, display))
    with open(path, "rb") as f:
        data = f.read()
    match = re.match(rb"P6\n(\d+) (\d+)\n255\n", data)
    return int(match.group(1)), int(match.group(2)), data[match.end():]


def pattern():
    """Pixels as the framebuffer has them (blue, green, red, nothing), and as screendump does."""
    raw = bytearray(random.Random(5).randbytes(WIDTH * HEIGHT * 4))
    rgb = bytearray(WIDTH * HEIGHT * 3)
    for n in range(3):
        rgb[n::3] = raw[2 - n::4]
    return bytes(raw), bytes(rgb)


def has_text(pixels, width):
    """Something is written in the first line of 16 pixels' height, and nothing at the end of it."""
    rows = [pixels[3 * width * y:3 * width * (y + 1)] for y in range(16)]
    dots = [any(row[3 * x:3 * x + 3] != b"\0\0\0" for row in rows) for x in range(width)]
    return any(dots[:16 * 8]) and not any(dots[16 * 8:])


def initrd_of(tmp, root, version, modules, raw):
    path = os.path.join(tmp, "pattern")
    with open(path, "wb") as f:
        f.write(raw)
    initrd = disks.make_initrd(tmp, root, version, modules, "none", SCRIPT, ())
    extra = os.path.join(tmp, "extra.gz")
    subprocess.run("echo pattern | cpio --quiet -o -H newc | gzip -1n >%s" % extra, shell=True, cwd=tmp, check=True)
    with open(initrd, "ab") as f, open(extra, "rb") as more:
        f.write(more.read())
    return initrd


def linux(tmp, program, name):
    architecture, package, options, modules, told, display = GUESTS[name]
    if "ramfb" in options and not os.path.exists(EDK2):
        print("no %s: skipped" % EDK2)
        return
    root, version = common.fetched(architecture, package)
    raw, rgb = pattern()
    recording = os.path.join(tmp, "r.hcrec")
    guest = Guest(program, "%s/boot/vmlinuz-%s" % (root, version), initrd_of(tmp, root, version, modules, raw),
                  ["--append", "console=tty0 console=" + ("ttyAMA0" if architecture == "arm64" else "ttyS0"), "--record", recording,
                   "--embed", "--checkpoints-in-file", "every=1500000000"] + options)
    guest.rsp.send("c")
    end, _ = guest.wait_console(rb"guest# ")
    check("%s: the driver takes it" % name, re.search(told.encode(), guest.console) is not None, guest.console[-3000:])
    size = [int(n) for n in re.search(rb"size (\d+),(\d+) depth 32 stride (\d+)", guest.console).groups()]
    if "ramfb" not in options:  # (its size is the firmware's choice)
        check("%s: in the size that its EDID prefers" % name, size == [WIDTH, HEIGHT, 4 * WIDTH], size)
    stop(guest)
    width, height, text = shown(guest, tmp, display)
    check("%s: screendump has that size" % name, [width, height] == size[:2], (width, height))
    check("%s: and shows what fbcon writes" % name, has_text(text, width))
    before = guest.rsp.position()
    guest.rsp.send("c")
    guest.type(WORK)
    guest.wait_console(rb"\nwork is done", start=end)
    stop(guest)
    check("%s: a pattern written to /dev/fb0 is shown, pixel by pixel" % name, shown(guest, tmp, display)[2][:len(rgb)] == rgb)
    edge, there = guest.rsp.position(), common.state_hash(guest.rsp)
    guest.rsp.monitor("seek %d" % before)
    guest.rsp.ask("c")
    check("%s: back where it showed text, it shows that text" % name, shown(guest, tmp, display)[2] == text)
    guest.rsp.monitor("seek %d" % edge)
    guest.rsp.ask("c")
    check("%s: the same state on the way back" % name, common.state_hash(guest.rsp) == there)
    check("%s: and the same picture" % name, shown(guest, tmp, display)[2][:len(rgb)] == rgb)
    guest.close()
    disks.verify(program, recording)


def main():
    program = os.path.abspath(sys.argv[1])
    for name in sys.argv[2:] or GUESTS:
        with tempfile.TemporaryDirectory() as tmp:
            linux(tmp, program, name)
    print("%d passed, %d failed" % (common.passed, common.failed))
    sys.exit(1 if common.failed else 0)


if __name__ == "__main__":
    main()
