#!/usr/bin/env python3
"""Tools of Debian's packages look at what hindcast has of input, sound and USB.

    test_tools.py HINDCAST [evtest|psmouse|sound-CARD|lsusb|ethtool-CARD...]

evtest names a USB keyboard, a tablet and the keys that are pressed, and a PS/2 mouse with five buttons. aplay plays a file that is known, speaker-test one on each channel:
what they played is in the WAVE file sample by sample. lsusb reads every descriptor of all USB devices, on UHCI and xHCI. ethtool has
network cards' drivers test them (registers, EEPROM, interrupts, loopback, link), reads registers and EEPROM, and says what is offloaded.
The recordings replay.

Exit status 77: the packages cannot be fetched here.
"""

import os
import random
import re
import struct
import subprocess
import sys
import tempfile

import guest_programs
import test_debian_i386 as common
import test_disk_i386 as disks
import test_serial
import test_sound as sound
from test_debian_i386 import check

PACKAGES = ["alsa-utils", "libasound2", "libasound2-data", "evtest", "usbutils", "libusb-1.0-0", "libudev1", "libc6", "ethtool", "libmnl0"]
CARDS = {
    "sound-ac97": (["--device", "AC97,audiodev=A"], *sound.AC97[:2]),
    "sound-hda": (["--device", "intel-hda", "--device", "hda-duplex,audiodev=A"], *sound.HDA[:2]),
}
LOAD = """#!/bin/sh
for m in MODULES; do insmod /$m.ko || echo "no $m"; done
sleep 1
"""


def with_tools(tmp, modules, files=()):
    root, version = common.fetched("amd64", "linux-image-amd64")
    if subprocess.run([os.path.join(disks.HERE, "fetch-debian"), "amd64", common.cache_dir()] + PACKAGES).returncode:
        sys.exit(77)
    initrd = disks.make_initrd(tmp, root, version, modules, "none", LOAD, ())
    guest_programs.add(initrd, "amd64", root, ["usr/bin/" + name for name in ("aplay", "speaker-test", "amixer", "evtest", "lsusb")] + ["sbin/ethtool"], files,
                       ["usr/share/alsa"])
    return "%s/boot/vmlinuz-%s" % (root, version), initrd


def guest_of(tmp, program, modules, options, files=()):
    kernel, initrd = with_tools(tmp, modules, files)
    guest = common.Guest(program, kernel, initrd, ["--record", os.path.join(tmp, "r.hcrec"), "--embed", "--checkpoints-in-file", "every=3000000000"] + options)
    guest.rsp.send("c")
    guest.type("export LD_LIBRARY_PATH=/lib\n")
    end, _ = guest.wait_console(rb"guest# .*LD_LIBRARY_PATH.*\n(?s:.*)guest# ")
    return guest, end


def evtest(tmp, program, name):
    guest, end = guest_of(tmp, program, ["uhci_hcd", "usbhid", "hid_generic", "evdev"], ["--usb", "--device", "usb-kbd", "--device", "usb-tablet"])
    for device, does, wanted in (
            ("Keyboard", ["sendkey shift-a 50"], [r"EV_KEY\), code 42 \(KEY_LEFTSHIFT\), value 1", r"code 30 \(KEY_A\), value 1", r"code 30 \(KEY_A\), value 0",
                                                  r"code 42 \(KEY_LEFTSHIFT\), value 0"]),
            ("Tablet", ["tablet_move 1000 2000", "mouse_button 1"], [r"EV_ABS\), code 0 \(ABS_X\), value 1000", r"code 1 \(ABS_Y\), value 2000",
                                                                       r"EV_KEY\), code 272 \(BTN_LEFT\), value 1"])):
        guest.type("d=$(grep -l %s /sys/class/input/event*/device/name | head -n 1); d=${d%%/device*}; evtest /dev/input/${d##*/} & \n" % device)
        start = end
        end, _ = guest.wait_console(rb"Testing ... \(interrupt to exit\)", start=start)
        check("evtest knows the %s" % device.lower(), re.search(rb'Input device name: "HINDCAST.*USB %s' % device.encode(), guest.console[start:end]),
              guest.console[start:end])
        for action in does:
            guest.rsp.interrupt()
            guest.rsp.wait()
            guest.rsp.monitor(action)
            guest.rsp.send("c")
        for pattern in wanted:
            end, _ = guest.wait_console(pattern.encode(), start=end)
        check("and says what comes from it, in order", True)
        guest.type("kill $!; echo next' 'one\n")
        end, _ = guest.wait_console(rb"next one", start=end)
    test_serial.stop(tmp, program, guest, name)


def psmouse(tmp, program, name):
    guest, end = guest_of(tmp, program, ["psmouse", "evdev"], [])
    guest.type("sleep 2; d=$(grep -l Explorer /sys/class/input/event*/device/name | head -n 1); d=${d%/device*}; evtest /dev/input/${d##*/} &\n")
    start = end
    end, _ = guest.wait_console(rb"Testing ... \(interrupt to exit\)", start=start)
    check("Linux takes the PS/2 mouse for an IntelliMouse Explorer", b'"ImExPS/2 Generic Explorer Mouse"' in guest.console[start:end], guest.console[start:end])
    for action, pattern in (("mouse_move 5 3 -1", rb"REL_WHEEL\), value 1(?s:.*)REL_X\), value 5(?s:.*)REL_Y\), value 3"), ("mouse_button 8", rb"BTN_SIDE\), value 1"),
                            ("mouse_button 16", rb"BTN_SIDE\), value 0(?s:.*)BTN_EXTRA\), value 1")):
        guest.rsp.interrupt()
        guest.rsp.wait()
        guest.rsp.monitor(action)
        guest.rsp.send("c")
        end, _ = guest.wait_console(pattern, 60, start=end)
    check("and hears of movement, wheel and five buttons", True)
    guest.type("kill $!; echo next' 'one\n")
    end, _ = guest.wait_console(rb"next one", start=end)
    test_serial.stop(tmp, program, guest, name)


def wave(channels, samples):
    data = struct.pack("<%dh" % len(samples), *samples)
    return b"RIFF" + struct.pack("<I", len(data) + 36) + b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, channels, 48000, 96000 * channels, 2 * channels, 16) + \
        b"data" + struct.pack("<I", len(data)) + data


def tools_of_sound(tmp, program, name):
    device, drivers, mixer = CARDS[name]
    draw = random.Random(name)
    known = [draw.randrange(-32768, 32768) for _ in range(2 * 20000)]
    voice = [draw.randrange(-32768, 32768) for _ in range(9000)]
    out = os.path.join(tmp, "out.wav")
    guest, end = guest_of(tmp, program, drivers, ["--audiodev", "wav,id=A,path=%s,out.frequency=48000,out.channels=2" % out] + device,
                          [("known.wav", wave(2, known), 0o644), ("voice.wav", wave(1, voice), 0o644)])
    for control, values in mixer:
        guest.type("amixer -q cset name='%s' %s; echo se't'\n" % (control, values.replace(" ", ",")))
        end, _ = guest.wait_console(rb"\nset", start=end)
    guest.type("aplay -D hw:0,0 /known.wav; echo aplay' 'ends $?\n")
    end, match = guest.wait_console(rb"aplay ends (\d+)", start=end)
    check("%s: aplay plays a file" % name, match.group(1) == b"0", guest.console[-600:])
    guest.type("speaker-test -D hw:0,0 -c 2 -r 48000 -F S16_LE -t wav -w /voice.wav -l 1; echo speaker-test' 'ends $?\n")
    start = end
    end, match = guest.wait_console(rb"speaker-test ends (\d+)", start=end)
    check("%s: speaker-test speaks on both channels" % name, match.group(1) == b"0" and b"Front Left" in guest.console[start:end] and
          b"Front Right" in guest.console[start:end], guest.console[start:end])
    test_serial.stop(tmp, program, guest, name)
    played = sound.played(out)
    first = played.find(struct.pack("<%dh" % len(known), *known))
    check("%s: what aplay played is in the file, sample by sample" % name, first >= 0 and first % 4 == 0, len(played))
    at = first
    for channel, side in enumerate(("left", "right")):
        frames = [0] * (2 * len(voice))
        frames[channel::2] = voice
        at = played.find(struct.pack("<%dh" % len(frames), *frames), at + 4)
        check("%s: what speaker-test played %s, too, with silence on the other side" % (name, side), at > first and at % 4 == 0, at)


def lsusb(tmp, program, name):
    stick = os.path.join(tmp, "stick")
    with open(stick, "wb") as f:
        f.truncate(1 << 20)
    guest, end = guest_of(tmp, program, ["uhci_hcd", "xhci_pci"],
                          ["--usb", "--device", "qemu-xhci,id=x", "--device", "usb-hub,bus=x.0", "--device", "usb-kbd,bus=usb-bus.0", "--device",
                           "usb-mouse,bus=x.0", "--device", "usb-tablet,bus=x.0", "--chardev", "null,id=c", "--device",
                           "usb-serial,chardev=c,bus=x.0", "--drive", "if=none,id=d,format=raw,file=" + stick, "--device",
                           "usb-storage,drive=d,bus=x.0"])
    guest.type("sleep 5; lsusb -v; echo all' 'listed $?\n")
    start = end
    end, match = guest.wait_console(rb"all listed (\d+)", start=start)
    text = guest.console[start:end].decode("latin-1")
    check("lsusb reads all descriptors", match.group(1) == b"0" and not re.search(r"(?i)couldn't|can't get|error|unrecognized|warning|invalid|junk|bad", text), text[-4000:])
    check("of every device", all(re.search(r"iProduct +\d+ (\w+ )?USB " + product, text) for product in ("Keyboard", "Mouse", "Tablet", "Serial", "Storage", "Hub")),
          re.findall(r"iProduct.*", text))
    test_serial.stop(tmp, program, guest, name)


# Card: its driver; does that test it? What it offloads.
NICS = {"e1000": ("e1000", True, ["tx-checksum-ip-generic", "tx-tcp-segmentation", "rx-vlan-offload"]),
        "e1000e": ("e1000e", True, ["tx-checksum-ip-generic", "tx-tcp-segmentation", "tx-tcp6-segmentation", "rx-vlan-offload", "receive-hashing"]),
        "pcnet": ("pcnet32", True, []),
        "rtl8139": ("8139cp", False, ["rx-vlan-offload"]),
        "virtio-net-pci": ("virtio_net", False, ["rx-checksumming", "tx-checksum-ip-generic", "tx-tcp-segmentation", "tx-tcp6-segmentation",
                                                 "tx-tcp-ecn-segmentation", "rx-gro-hw"])}


def ethtool(tmp, program, name):
    card = name.removeprefix("ethtool-")
    driver, tests, offloads = NICS[card]
    guest, end = guest_of(tmp, program, ["virtio_pci", driver], ["--netdev", "user,id=n0", "--device", card + ",netdev=n0"])
    guest.type("ip link set eth0 up; sleep 4; ethtool eth0; ethtool -k eth0; ethtool -d eth0 > /r; ethtool -e eth0 > /e; wc -c /r /e; echo all' 'seen\n")
    start = end
    end, _ = guest.wait_console(rb"all seen", start=start)
    text = guest.console[start:end].decode("latin-1")
    check("%s: ethtool says that the link is up" % card, "Link detected: yes" in text, text)
    off = [o for o in offloads if not re.search(r"\b%s: on" % o, text)]
    check("and what is offloaded", not off, (off, text))
    if tests:
        guest.type("ethtool -t eth0 offline; echo tests' 'end $?\n")
        start = end
        end, match = guest.wait_console(rb"tests end (\d+)", start=start)
        check("its driver's tests find nothing", match.group(1) == b"0", guest.console[start:end].decode("latin-1"))
        guest.type("sleep 4; ethtool -S eth0; ethtool eth0; echo still' 'there\n")
        start = end
        end, _ = guest.wait_console(rb"still there", start=start)
        check("and it works afterwards", b"Link detected: yes" in guest.console[start:end], guest.console[start:end])
    test_serial.stop(tmp, program, guest, name)


TESTS = {"evtest": evtest, "psmouse": psmouse, **{name: tools_of_sound for name in CARDS}, "lsusb": lsusb, **{"ethtool-" + card: ethtool for card in NICS}}


def main():
    program = os.path.abspath(sys.argv[1])
    for name in sys.argv[2:] or TESTS:
        with tempfile.TemporaryDirectory() as tmp:
            TESTS[name](tmp, program, name)
    print("%d passed, %d failed" % (common.passed, common.failed))
    sys.exit(1 if common.failed else 0)


if __name__ == "__main__":
    main()
