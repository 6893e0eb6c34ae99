#!/usr/bin/env python3
"""Serial lines of Debian guests: breaks, and an FTDI chip on USB.

    test_serial.py HINDCAST [NAME...]

sysrq-ARCHITECTURE: a break on the console's line and a key are a SysRq of the kernel's. ftdi-...: ftdi_sio finds the usb-serial, what goes
either way is what was sent, byte by byte, and a break is seen where it came. The recordings replay from every checkpoint.

Exit status 77: the packages cannot be fetched here.
"""

import hashlib
import os
import random
import re
import socket
import subprocess
import sys
import tempfile
import threading

import test_debian_i386 as common
import test_disk_i386 as disks
from test_debian_i386 import Guest, check

KERNELS = {"i386": "linux-image-686", "amd64": "linux-image-amd64", "arm64": "linux-image-arm64"}
CONSOLES = {"i386": "ttyS0", "amd64": "ttyS0", "arm64": "ttyAMA0"}
# By name: architecture, the controller, its driver.
FTDI = {
    "ftdi-uhci-i386": ("i386", ["--usb"], "uhci_hcd"),
    "ftdi-xhci-amd64": ("amd64", ["--device", "qemu-xhci"], "xhci_pci"),
    "ftdi-xhci-arm64": ("arm64", ["--device", "qemu-xhci"], "xhci_pci"),
}
SYSRQ = ["sysrq-i386", "sysrq-arm64"]

SCRIPT = """#!/bin/sh
for m in MODULES; do insmod /$m.ko || echo "no $m"; done
i=0; while [ ! -c /dev/ttyUSB0 ] && [ $i -lt 100 ]; do sleep 0.1; i=$((i + 1)); done
"""

DATA = random.Random(3).randbytes(30000)


def start(tmp, program, architecture, script, modules, options):
    root, version = common.fetched(architecture, KERNELS[architecture])
    initrd = disks.make_initrd(tmp, root, version, modules, "none", script, ())
    guest = Guest(program, "%s/boot/vmlinuz-%s" % (root, version), initrd,
                  ["--append", "sysrq_always_enabled console=" + CONSOLES[architecture], "--record", os.path.join(tmp, "r.hcrec"), "--embed",
                   "--checkpoints-in-file", "every=3000000000"] + options)
    guest.rsp.send("c")
    end, _ = guest.wait_console(rb"guest# ")
    return guest, end


def stop(tmp, program, guest, name):
    guest.rsp.interrupt()
    guest.rsp.wait()
    common.back_and_forth(guest, name)
    guest.close()
    done = subprocess.run([program, "verify", "--from", "checkpoints", os.path.join(tmp, "r.hcrec")], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    check("%s: the recording replays, from every checkpoint" % name, done.returncode == 0, done.stdout[-300:])


def send_break(guest, words=""):
    guest.rsp.interrupt()
    guest.rsp.wait()
    guest.rsp.monitor("chardev-send-break" + words)
    guest.rsp.send("c")


def sysrq(tmp, program, name):
    guest, end = start(tmp, program, name.split("-")[1], "#!/bin/sh\n", [], [])
    send_break(guest)
    guest.type("h")
    guest.wait_console(rb"sysrq: HELP", start=end)
    check("%s: a break and a key on the console's line are a SysRq" % name, True)
    guest.type("echo still' 'typed\n")
    guest.wait_console(rb"still typed", start=end)
    check("%s: and what is typed then is typed" % name, True)
    stop(tmp, program, guest, name)


def ftdi(tmp, program, name):
    architecture, controller, driver = FTDI[name]
    with socket.create_server(("127.0.0.1", 0)) as server:
        where = ",".join("%s=%s" % pair for pair in zip(("host", "port"), server.getsockname()))
        guest, end = start(tmp, program, architecture, SCRIPT, [driver, "ftdi_sio"], controller +
                           ["--chardev", "socket,id=line," + where, "--device", "usb-serial,chardev=line"])
        line, _ = server.accept()
    check("%s: the driver finds an FT232BM" % name, re.search(rb"FTDI USB Serial Device converter now attached to ttyUSB0", guest.console) and
          re.search(rb"Detected FT232B\b", guest.console), guest.console[-1500:])
    # stty keeps what it was told while somebody has the port open.
    guest.type("exec 3<>/dev/ttyUSB0; stty -F /dev/ttyUSB0 115200 raw -echo; (head -c %d <&3 | md5sum; echo all' 'came) & sleep 1; echo rea'dy'\n" % len(DATA))
    end, _ = guest.wait_console(rb"\nready", start=end)
    sender = threading.Thread(target=line.sendall, args=(DATA,))
    sender.start()
    start_of_answer = end
    end, _ = guest.wait_console(rb"all came", start=end)
    sender.join()
    check("%s: what is sent to the guest comes, byte by byte" % name, hashlib.md5(DATA).hexdigest().encode() in guest.console[start_of_answer:])
    guest.type("head -c %d /bin/busybox | tee /tmp/f >&3; md5sum /tmp/f; echo se'nt'\n" % len(DATA))
    got = b""
    while len(got) < len(DATA):
        piece = line.recv(65536)
        if not piece:
            break
        got += piece
    start_of_answer = end
    end, _ = guest.wait_console(rb"\nsent", start=end)
    check("%s: what it sends comes out" % name, hashlib.md5(got).hexdigest().encode() in guest.console[start_of_answer:], len(got))
    guest.type("stty -F /dev/ttyUSB0 -ignbrk -brkint parmrk; (head -c 5 <&3 | hexdump -C; echo a' 'break) & sleep 1; echo rea'dy'\n")
    end, _ = guest.wait_console(rb"\nready", start=end)
    line.sendall(b"A")
    guest.type("sleep 1; echo on' 'on\n")
    end, _ = guest.wait_console(rb"on on", start=end)
    send_break(guest, " line")
    guest.type("sleep 1; echo on' 'on\n")
    guest.wait_console(rb"on on", start=end)
    line.sendall(b"B")
    end, _ = guest.wait_console(rb"a break", start=end)
    check("%s: a break is seen where it came" % name, re.search(rb"41 ff 00 00 42", guest.console), guest.console[-600:])
    line.close()
    stop(tmp, program, guest, name)


def main():
    program = os.path.abspath(sys.argv[1])
    for name in sys.argv[2:] or SYSRQ + list(FTDI):
        with tempfile.TemporaryDirectory() as tmp:
            (ftdi if name in FTDI else sysrq)(tmp, program, name)
    print("%d passed, %d failed" % (common.passed, common.failed))
    sys.exit(1 if common.failed else 0)


if __name__ == "__main__":
    main()
