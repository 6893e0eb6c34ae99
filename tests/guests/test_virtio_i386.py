#!/usr/bin/env python3
"""A Debian kernel with virtio devices that are neither disk nor network.

    test_virtio_i386.py HINDCAST

It draws entropy, talks on a console and on a named port, and sees keys and a pen; going back and again forward leads to the
same state, and so does the recording, elsewhere.

Exit status 77: the packages cannot be fetched here.
"""

import os
import re
import socket
import subprocess
import sys
import tempfile
import time

import test_debian_i386
from test_debian_i386 import Guest, fetched, check
from test_disk_i386 import HERE
from test_net_i386 import free_port, make_initrd

DRIVERS = ["virtio_pci", "virtio_rng", "virtio_console", "virtio_input", "evdev"]


class Peer:
    """The host's end of a port."""

    def __init__(self, port):
        for _ in range(200):
            try:
                self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
                break
            except ConnectionError:
                time.sleep(0.1)
        self.seen = b""

    def expect(self, pattern):
        while not re.search(pattern, self.seen):
            piece = self.socket.recv(1000)
            if not piece:
                return False
            self.seen += piece
        return True


def events_of(name, count, out):
    """Shell words that keep so many events of the device with that name."""
    return ("for d in /sys/class/input/event*; do grep -q '%s' $d/device/name && "
            "dd if=/dev/input/${d##*/} bs=16 count=%d of=%s 2>/dev/null & done; " % (name, count, out))


def use(guest, console, channel):
    guest.rsp.send("c")
    end, _ = guest.wait_console(rb"guest# ")
    guest.type("dd if=/dev/hwrng bs=64 count=1 2>/dev/null | wc -c; cat /sys/class/misc/hw_random/rng_current; echo dr'awn'\n")
    guest.wait_console(rb"64\r\nvirtio_rng.0\r\ndrawn", start=end)
    check("entropy comes from virtio-rng", True)
    guest.type("echo on the console >/dev/hvc0; read x </dev/hvc0; echo got:$x\n")
    check("output of hvc0 is seen", console.expect(rb"on the console"))
    console.socket.sendall(b"typed here\n")
    guest.wait_console(rb"got:typed here", start=end)
    check("and what is typed there", True)
    guest.type("cat /sys/class/virtio-ports/vport*/name; p=$(ls /dev/vport*p1); read y <$p; echo got:$y; echo answer >$p\n")
    guest.wait_console(rb"org.hindcast.test", start=end)
    channel.socket.sendall(b"question\n")
    guest.wait_console(rb"got:question", start=end)
    check("a port is found by its name and works", channel.expect(rb"answer\n"))
    guest.type(events_of("hindcast virtio keyboard", 4, "/tmp/k") + events_of("hindcast virtio tablet", 3, "/tmp/t") +
               "sleep 1; echo list'ening'\n")
    guest.wait_console(rb"listening", start=end)
    guest.rsp.interrupt()
    guest.rsp.wait()
    guest.rsp.monitor("sendkey q")
    guest.rsp.monitor("tablet_move 100 200")
    guest.rsp.send("c")
    guest.type("sleep 1; hexdump -v -e '8/2 \"%04x \" \"\\n\"' /tmp/k /tmp/t; echo sh'own'\n")
    end, _ = guest.wait_console(rb"shown", start=end)
    text = guest.console[:end]
    check("a key goes down and up", re.search(rb" 0001 0010 0001 0000 *\r\n[^\r]* 0000 0000 0000 0000 *\r\n[^\r]* 0001 0010 0000 0000 *\r\n", text), text[-700:])
    check("the pen is where it was put", re.search(rb" 0003 0000 0064 0000 *\r\n[^\r]* 0003 0001 00c8 0000 *\r\n", text), text[-700:])
    guest.rsp.interrupt()
    guest.rsp.wait()


def go_back(guest):
    edge, there = guest.rsp.position(), guest.rsp.monitor("info hash")
    for position in edge // 2, edge:
        guest.rsp.monitor("seek %d" % position)
        guest.rsp.ask("c")
    check("from the past the same input leads to the same state", guest.rsp.monitor("info hash") == there)


def through(tmp, program, root, version):
    recording, ports = os.path.join(tmp, "r.hcrec"), [free_port(), free_port()]
    chardevs = [word for n, port in enumerate(ports)
                for word in ("--chardev", "socket,id=c%d,host=127.0.0.1,port=%d,server=on,wait=off" % (n, port))]
    guest = Guest(program, "%s/boot/vmlinuz-%s" % (root, version), make_initrd(tmp, root, version, DRIVERS),
                  ["--record", recording, "--embed", "--checkpoints-in-file", "every=1500000000", "--device", "virtio-rng-pci",
                   "--device", "virtio-serial-pci", "--device", "virtconsole,chardev=c0",
                   "--device", "virtserialport,chardev=c1,name=org.hindcast.test", "--device", "virtio-keyboard-pci",
                   "--device", "virtio-tablet-pci"] + chardevs)
    use(guest, Peer(ports[0]), Peer(ports[1]))
    go_back(guest)
    guest.close()
    done = subprocess.run([program, "verify", "--from", "checkpoints", recording], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    check("the recording replays by itself, from every checkpoint", done.returncode == 0, done.stdout[-300:])


def main():
    program, (root, version) = sys.argv[1], fetched("i386", "linux-image-686")
    with tempfile.TemporaryDirectory() as tmp:
        through(tmp, program, root, version)
    print("%d passed, %d failed" % (test_debian_i386.passed, test_debian_i386.failed))
    sys.exit(1 if test_debian_i386.failed else 0)


if __name__ == "__main__":
    main()
