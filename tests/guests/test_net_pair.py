#!/usr/bin/env python3
"""Two hindcasts, a cable between them.

    test_net_pair.py HINDCAST

Two Debian guests, one with virtio-net and one with an e1000, ping each other and move a file by nc over a stream. Both are
recorded; each replays alone, without the other, to the same state, and with the same packets; and what one sent is what came to
the other.

Exit status 77: the packages cannot be fetched here.
"""

import os
import re
import subprocess
import sys
import tempfile

import test_debian_i386
import capture
from test_debian_i386 import Guest, check, fetched
from test_net_i386 import CARDS, captured, make_initrd

SIZE = 300000


class End:
    """One of the two."""

    def __init__(self, program, tmp, root, version, name, card, address, netdev):
        self.tmp, self.name, self.address, self.card = os.path.join(tmp, name), name, address, card
        os.mkdir(self.tmp)
        self.recording = os.path.join(self.tmp, "r.hcrec")
        self.guest = Guest(program, "%s/boot/vmlinuz-%s" % (root, version), make_initrd(self.tmp, root, version, CARDS[card]),
                           ["--icount", "shift=0,sleep=on", "--record", self.recording, "--embed", "--netdev", netdev, "--device",
                            "%s,netdev=wire,mac=52:54:00:00:00:0%s" % (card, name)])
        self.at = 0

    def boot(self):
        self.guest.rsp.send("c")
        self.until(rb"guest# ")
        self.do("ip addr add %s/24 dev eth0; echo addr'ess'" % self.address, rb"\naddress")

    def type(self, text):
        self.guest.type(text + "\n")

    def until(self, pattern):
        self.at, match = self.guest.wait_console(pattern, start=self.at)
        return match

    def do(self, text, pattern):
        self.type(text)
        return self.until(pattern)

    def stop(self):
        self.guest.rsp.interrupt()
        self.guest.rsp.wait()
        self.edge, self.hash = self.guest.rsp.position(), self.guest.rsp.monitor("info hash")
        captured(self.guest, os.path.join(self.tmp, "live.pcapng"))
        self.packets = capture.read(os.path.join(self.tmp, "live.pcapng"))
        self.guest.close()

    def replay(self, program):
        """Alone."""
        done = subprocess.run([program, "verify", self.recording], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        check("%s: the recording replays alone" % self.card, done.returncode == 0, done.stdout[-300:])
        guest = Guest.__new__(Guest)
        guest.start([program, "--replay", self.recording])
        captured(guest, os.path.join(self.tmp, "replay.pcapng"))
        check("%s: with the same packets" % self.card, capture.read(os.path.join(self.tmp, "replay.pcapng")) == self.packets)
        guest.rsp.ask("c")
        check("%s: to the same state" % self.card, (guest.rsp.position(), guest.rsp.monitor("info hash")) == (self.edge, self.hash))
        guest.close()


def frames(end, direction):
    return [p.data for p in end.packets if p.direction == direction]


def talk(a, b):
    match = b.do("ping -c 3 %s" % a.address, rb"3 packets transmitted, (\d+) packets received")
    check("each hears the other's ping", match.group(1) == b"3", match.group(0))
    a.do("head -c %d /bin/busybox > /f; md5sum /f; nc -l -p 7 < /f; echo ser'ved'" % SIZE, rb"([0-9a-f]{32})  /f")
    md5 = re.findall(rb"([0-9a-f]{32})  /f", a.guest.console)[-1]
    match = b.do("sleep 1; nc %s 7 | md5sum" % a.address, rb"([0-9a-f]{32})  -")
    check("a file goes from one to the other", match.group(1) == md5, (match.group(1), md5))
    a.until(rb"\nserved")


def main():
    program, (root, version) = sys.argv[1], fetched("i386", "linux-image-686")
    with tempfile.TemporaryDirectory() as tmp:
        cable = "addr.type=unix,addr.path=%s/cable" % tmp
        a = End(program, tmp, root, version, "1", "virtio-net-pci", "10.0.0.1", "stream,id=wire,server=on," + cable)
        b = End(program, tmp, root, version, "2", "e1000", "10.0.0.2", "stream,id=wire," + cable)
        a.boot()
        b.boot()
        talk(a, b)
        a.stop()
        b.stop()
        # (The first ones of each may have found nobody there, the last ones may still have been on their way.)
        for one, other in (a, b), (b, a):
            sent, came = frames(one, "out"), frames(other, "in")
            check("what one sent came to the other, in order",
                  came and any(sent[i:i + len(came)] == came for i in range(len(sent) - len(came) + 1)), (len(sent), len(came)))
        a.replay(program)
        b.replay(program)
    print("%d passed, %d failed" % (test_debian_i386.passed, test_debian_i386.failed))
    sys.exit(1 if test_debian_i386.failed else 0)


if __name__ == "__main__":
    main()
