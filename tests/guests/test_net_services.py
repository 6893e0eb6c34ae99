#!/usr/bin/env python3
"""What people do with a guest's network, on every board and by every card.

    test_net_services.py HINDCAST [ARCHITECTURE:CARD...]

A Debian kernel gets its address by DHCP, asks libslirp's name server, which asks one of ours, fetches a file by that name, and runs
dropbear: openssh's client of this host comes in by a forwarded port, with its key, sends a file through a command and has a
terminal. The wire looks the same from the past, and the recording replays without any network from every checkpoint.

Exit status 77: packages or ssh are not here, or this hindcast has no --netdev user.
"""

import hashlib
import os
import random
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

import guest_programs
import test_debian_i386
import test_net_i386 as net
from test_debian_i386 import Guest, check, fetched

KERNELS = {"i386": "linux-image-686", "amd64": "linux-image-amd64", "arm64": "linux-image-arm64"}
DROPBEAR = ["dropbear-bin", "libc6", "libcrypt1", "libtomcrypt1", "libtommath1", "libgmp10", "zlib1g"]
CARDS = dict(net.CARDS, **{"virtio-net-device": ["virtio_mmio", "virtio_net"]})
ALL = (["i386:" + card for card in net.CARDS] + ["amd64:virtio-net-pci", "amd64:e1000", "amd64:e1000e"] +
       ["arm64:" + card for card in ("virtio-net-pci", "virtio-net-device", "e1000", "e1000e", "rtl8139")])

NAME, NAME_SERVER = "files.hindcast.test", "127.53.7.1"
DATA = random.Random(11).randbytes(1000000)


class Names(threading.Thread):
    """A name server that knows one name (RFC 1035, 4): the guest's gateway, which is this host."""

    def __init__(self):
        super().__init__(daemon=True)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((NAME_SERVER, 53))

    def run(self):
        while True:
            query, peer = self.socket.recvfrom(2048)
            end = query.index(b"\0", 12) + 5
            name, (kind,) = query[12:end - 5], struct.unpack(">H", query[end - 4:end - 2])
            known = name == b"".join(bytes([len(part)]) + part.encode() for part in NAME.split("."))
            answer = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 60, 4) + bytes([10, 0, 2, 2]) if known and kind == 1 else b""
            self.socket.sendto(query[:2] + struct.pack(">HHHHH", 0x8580 | (0 if known else 3), 1, bool(answer), 0, 0) + query[12:end] + answer, peer)


def name_server(tmp):
    """What a command is started by to ask it. NULL: not permitted here."""
    path = os.path.join(tmp, "resolv.conf")
    with open(path, "w") as f:
        f.write("nameserver %s\n" % NAME_SERVER)
    bound = ["unshare", "-m", "sh", "-c", 'mount --bind %s /etc/resolv.conf && exec "$@"' % path, "sh"]
    if not shutil.which("unshare") or subprocess.run(bound + ["true"], stderr=subprocess.DEVNULL).returncode:
        return None
    try:
        Names().start()
    except OSError:
        return None
    return bound


def with_dropbear(initrd, architecture, root, key):
    """Append dropbear, its libraries and who may come in."""
    guest_programs.add(initrd, architecture, root, ["usr/sbin/dropbear"], [
        ("root/.ssh/authorized_keys", key + ".pub", 0o600), ("etc/dropbear/empty", b"", 0o644), ("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n", 0o644),
        ("etc/group", b"root:x:0:\n", 0o644), ("etc/shells", b"/bin/sh\n", 0o644)])


def ssh(key, port, command, data=b"", options=()):
    """As the host's user; tried again while nobody listens."""
    for _ in range(100):
        done = subprocess.run(["ssh", "-F", "none", "-i", key, "-p", str(port), "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
                               "-o", "BatchMode=yes", "-o", "ConnectTimeout=600", "-o", "LogLevel=ERROR", *options, "root@127.0.0.1"] + command, input=data,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=900)
        if done.returncode != 255 or b"refused" not in done.stderr and b"reset" not in done.stderr and b"closed" not in done.stderr:
            break
        time.sleep(0.5)
    return done.stdout + done.stderr


def use(guest, name, names, http_port, md5, key, forwarded):
    guest.rsp.send("c")
    end, _ = guest.wait_console(rb"guest# ")
    guest.type("udhcpc -i eth0 -s /lease -q -f\n")
    end, match = guest.wait_console(rb"hindcast-guest: lease (\S+) of (\S+)\r?\n", start=end)
    check("%s: DHCP gives an address" % name, match.groups() == (b"10.0.2.15", b"10.0.2.2"), match.groups())
    if names:
        guest.type("echo nameserver 10.0.2.3 >/etc/resolv.conf; nslookup %s 10.0.2.3; nslookup nobody.hindcast.test 10.0.2.3; echo look'ed'\n" % NAME)
        start = end
        end, _ = guest.wait_console(rb"\nlooked", start=end)
        text = guest.console[start:end]
        check("%s: libslirp's name server answers with what the host's knows" % name,
              re.search(rb"Name:\s+files.hindcast.test\r?\nAddress[ 1:]*\s10\.0\.2\.2", text), text)
        check("%s: and says what it does not know" % name, re.search(rb"nobody.hindcast.test: NXDOMAIN", text), text)
    guest.type("wget -q -O - http://%s:%d/file | md5sum; echo fetch'ed'\n" % (NAME if names else "10.0.2.2", http_port))
    end, _ = guest.wait_console(rb"\nfetched", start=end)
    check("%s: a file is fetched by HTTP" % name, md5 in guest.console, guest.console[-500:])
    guest.type("mkdir -p /dev/pts; mount -t devpts devpts /dev/pts; LD_LIBRARY_PATH=/lib dropbear -R -s -p 23; echo star'ted'\n")
    end, _ = guest.wait_console(rb"\nstarted", start=end)
    text = ssh(key, forwarded, ["cat >/tmp/given; md5sum /tmp/given; uname -s"], DATA)
    check("%s: ssh comes in and gives a file to a command" % name, hashlib.md5(DATA).hexdigest().encode() in text and b"Linux" in text, text)
    text = ssh(key, forwarded, [], b"tty; echo $((6 * 7)) from inside\nexit\n", ("-tt",))
    check("%s: ssh has a terminal" % name, b"/dev/pts/0" in text and b"42 from inside" in text, text)
    guest.rsp.interrupt()
    guest.rsp.wait()


def through(tmp, program, what, names):
    architecture, _, card = what.partition(":")
    root, version = fetched(architecture, KERNELS[architecture])
    cache = test_debian_i386.cache_dir()
    if subprocess.run([os.path.join(net.HERE, "fetch-debian"), architecture, cache] + DROPBEAR).returncode:
        sys.exit(77)
    key, recording, forwarded = os.path.join(tmp, "key"), os.path.join(tmp, "r.hcrec"), net.free_port()
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    initrd = net.make_initrd(tmp, root, version, CARDS[card])
    with_dropbear(initrd, architecture, root, key)
    port, md5 = net.serve(2000000)
    guest = Guest.__new__(Guest)
    guest.start((names or []) +
                [program, "--icount", "shift=0,sleep=on", "-m", "256M", "--append", "console=" + ("ttyAMA0" if architecture == "arm64" else "ttyS0"),
                 "--initrd", initrd, "--kernel", "%s/boot/vmlinuz-%s" % (root, version), "--record", recording, "--embed", "--checkpoints-in-file",
                 "every=2000000000", "--object", "filter-dump,id=f0,netdev=nic0,file=" + os.path.join(tmp, "dump.pcapng"),
                 "--nic", "user,model=%s,hostfwd=tcp:127.0.0.1:%d-:23" % (card, forwarded)])
    use(guest, what, names, port, md5, key, forwarded)
    packets, edge, hash_at_edge = net.go_back(guest, tmp)
    guest.close()
    net.elsewhere(tmp, program, recording, packets, edge, hash_at_edge, guest.console)
    done = subprocess.run([program, "verify", "--from", "checkpoints", recording], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    check("%s: the recording replays without a network, from every checkpoint" % what, done.returncode == 0, done.stdout[-300:])


def main():
    program = os.path.abspath(sys.argv[1])
    if not shutil.which("ssh") or not shutil.which("ssh-keygen") or "without libslirp" in subprocess.run(
            [program, "--netdev", "user,id=n", "nothing"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout:
        sys.exit(77)
    with tempfile.TemporaryDirectory() as outer:
        names = name_server(outer)
        if not names:
            print("left out: names (mounting in a name space of its own, and port 53, are root's)")
        for what in sys.argv[2:] or ALL:
            with tempfile.TemporaryDirectory() as tmp:
                through(tmp, program, what, names)
    print("%d passed, %d failed" % (test_debian_i386.passed, test_debian_i386.failed))
    sys.exit(1 if test_debian_i386.failed else 0)


if __name__ == "__main__":
    main()
