#!/usr/bin/env python3
"""A Debian kernel with a network card.

    test_net_i386.py HINDCAST [--long] [CARD... | played | goes-on]

The guest gets its address by DHCP, fetches a file (10 MB; --long: 100 MB) from a server here, and is reached from here through
a forwarded port, all by libslirp. What went over the wire is the same packets, from live, from the past, as filter-dump wrote
it, and from the recording, which replays without any network, from every checkpoint, to the same states and the same console.
played: a capture comes to a guest that sleeps. goes-on: a recording goes on live while a connection is open.

Exit status 77: the packages cannot be fetched here, or this hindcast has no --netdev user.
"""

import hashlib
import http.server
import os
import random
import re
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

import test_debian_i386
import capture
from test_debian_i386 import Guest, fetched, check
from test_disk_i386 import HERE, copy_module, find_modules, needs

# By card: the modules that its driver is, with their parameters.
CARDS = {"virtio-net-pci": ["virtio_pci", "virtio_net"], "e1000": ["e1000"], "e1000e": ["e1000e"], "rtl8139": ["8139cp"], "rtl8139,chip=c": ["8139too"],
         "ne2k_pci": ["ne2k_pci"], "ne2k_isa,irq=10": ["ne io=0x300 irq=10"],
         "pcnet": ["pcnet32"]}

SCRIPT = """#!/bin/sh
LOAD
ip link set lo up
ip link set eth0 up
[ -z "$address" ] || ip addr add "$address/24" dev eth0
"""

LEASE = """#!/bin/sh
[ "$1" = bound ] || exit 0
ip addr add $ip/$mask dev $interface
ip route add default via $router
echo "hindcast-guest: lease $ip of $router"
"""


def make_initrd(tmp, root, version, drivers):
    modules = find_modules("%s/lib/modules/%s" % (root, version))
    parameters = dict(driver.partition(" ")[::2] for driver in drivers)
    order = []
    for module in list(parameters) + ["af_packet"]:
        if module in modules:
            order += needs(modules, module)
    order = list(dict.fromkeys(order))
    load = "\n".join("insmod /%s.ko %s || echo no %s" % (module, parameters.get(module, ""), module) for module in order)
    files = [copy_module(modules[module], tmp, module) for module in order]
    for name, text in (("lease", LEASE), ("script", SCRIPT.replace("LOAD", load))):
        path = os.path.join(tmp, name)
        with open(path, "w") as f:
            f.write(text)
        os.chmod(path, 0o755)
    initrd = os.path.join(tmp, "initrd.gz")
    subprocess.run([os.path.join(HERE, "make-initramfs"), root + "/bin/busybox", initrd, os.path.join(tmp, "script"),
                    os.path.join(tmp, "lease")] + files, check=True)
    return initrd


class Server(http.server.BaseHTTPRequestHandler):
    """Serves one file, of so many bytes."""
    data = b""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.data)))
        self.end_headers()
        self.wfile.write(self.data)

    def log_message(self, *_):
        pass


def serve(size):
    Server.data = random.Random(7).randbytes(size)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1], hashlib.md5(Server.data).hexdigest().encode()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def ask(port, text):
    """Talk to the guest through the forwarded port."""
    for _ in range(100):
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=120) as s:
                s.sendall(text)
                answer = s.recv(4096)
                if answer:
                    return answer
        except ConnectionError:
            pass # nobody listens there so far
        time.sleep(0.2)
    return b""


def use_the_network(guest, http_port, md5, forwarded):
    guest.rsp.send("c")
    end, _ = guest.wait_console(rb"guest# ")
    guest.type("udhcpc -i eth0 -s /lease -q -f\n")
    end, match = guest.wait_console(rb"hindcast-guest: lease (\S+) of (\S+)\r?\n", start=end)
    check("DHCP gives an address", match.groups() == (b"10.0.2.15", b"10.0.2.2"), match.groups())
    guest.type("wget -q -O /tmp/file http://10.0.2.2:%d/file; md5sum /tmp/file; echo fetch'ed'\n" % http_port)
    end, _ = guest.wait_console(rb"\nfetched", start=end)
    check("a file is fetched by HTTP", md5 in guest.console, guest.console[-500:])
    guest.type("echo hello from inside | nc -l -p 23; echo serv'ed'\n")
    check("the guest is reached through a forwarded port", ask(forwarded, b"hello\n") == b"hello from inside\n")
    guest.wait_console(rb"\nserved", start=end)
    guest.rsp.interrupt()
    guest.rsp.wait()


def captured(guest, path, words=""):
    """What `monitor pcap` writes."""
    text = guest.rsp.monitor("pcap %s %s" % (path, words))
    check("pcap writes a capture", re.search(r"\d+ packets, from position", text), text)
    with open(path, "rb") as f:
        return f.read()


def counted(text):
    """Of `info network`: came, delivered, dropped, sent; came here, accepted, refused, wait, went out."""
    return [int(n) for n in re.findall(r"(\d+) (?:frames|delivered|dropped|were|refused|of those|went)|sent (\d+)", text) for n in n if n]


def go_back(guest, tmp):
    edge, hash_at_edge = guest.rsp.position(), guest.rsp.monitor("info hash")
    text = guest.rsp.monitor("info network")
    came, delivered, dropped, sent, here, accepted, refused, wait, out = counted(text)
    joined = sum(int(n) for n in re.findall(r"(\d+) came as part", text))
    # What has just come from outside may wait still.
    check("frames went both ways, and what was accepted came to the card, or waits",
          came and sent and came == delivered + dropped and came + wait + joined == accepted and accepted + refused == here and sent == out, text)
    packets = captured(guest, os.path.join(tmp, "edge.pcapng"))
    guest.rsp.monitor("seek %d" % (edge // 2))
    guest.rsp.ask("c")
    check("from the past the wire looks the same", captured(guest, os.path.join(tmp, "past.pcapng")) == packets)
    check("the counters are those of the position", counted(guest.rsp.monitor("info network"))[0] <= came)
    guest.rsp.monitor("seek %d" % edge)
    guest.rsp.ask("c")
    check("from the past the same frames lead to the same state", guest.rsp.monitor("info hash") == hash_at_edge)
    again = counted(guest.rsp.monitor("info network"))
    check("and nothing was sent again", (again[3], again[8]) == (sent, out), again) # (what comes may be more by now)
    read = capture.read(os.path.join(tmp, "edge.pcapng"))
    check("the capture has all of them", len(read) == came + sent, (len(read), came, sent))
    check("in order, and numbered", [p.time for p in read] == sorted(p.time for p in read) and
          [int(re.search(r"number=(\d+)", p.comment).group(1)) for p in read if p.direction == "in"] == list(range(1, came + 1)))
    check("filter-dump wrote the same", capture.read(os.path.join(tmp, "dump.pcapng")) == read)
    return packets, guest.rsp.position(), hash_at_edge


def elsewhere(tmp, program, recording, packets, edge, hash_at_edge, console):
    """The recording, without any network."""
    guest = Guest.__new__(Guest)
    guest.start([program, "--replay", recording])
    guest.rsp.ask("c") # first: what is known of it already is jumped over
    check("a recording has the same packets", captured(guest, os.path.join(tmp, "replay.pcapng")) == packets)
    check("it ends where it ended", guest.rsp.position() == edge)
    check("and the same state at its end", guest.rsp.monitor("info hash") == hash_at_edge)
    guest.close()
    check("and the same console", guest.console == console, (guest.console[-200:], console[-200:]))


# ---- a recording goes on live ----


def goes_on(tmp, program, root, version, initrd):
    """The guest reads from a connection whose other end is gone when its recording goes on."""
    recording = os.path.join(tmp, "open.hcrec")
    with socket.create_server(("127.0.0.1", 0)) as server:
        guest = Guest(program, "%s/boot/vmlinuz-%s" % (root, version), initrd,
                      ["--icount", "shift=0,sleep=on", "--record", recording, "--embed", "--checkpoints-in-file", "every=1000000000",
                       "--nic", "user,model=virtio-net-pci"])
        guest.rsp.send("c")
        guest.wait_console(rb"guest# ")
        guest.type("ip addr add 10.0.2.15/24 dev eth0; nc 10.0.2.2 %d; echo nc en'ded'\n" % server.getsockname()[1])
        peer, _ = server.accept()
        with peer:
            peer.sendall(b"hello from the past\n")
            guest.wait_console(rb"\nhello from the past\r?\n")
            guest.rsp.interrupt()
            guest.rsp.wait()
            guest.close()
    guest = Guest.__new__(Guest)
    guest.start([program, "--replay", recording, "--continue-live", "--netdev", "user,id=nic0"])
    guest.rsp.send("c")
    guest.wait_console(rb"nc ended")
    guest.rsp.interrupt()
    guest.rsp.wait()
    text = guest.rsp.monitor("packets newest first limit 200")
    check("a connection of the past is reset", re.search(r"direction=in .*TCP-\d+>\d+-RA\n", text), text)
    check("and nothing that was sent before is sent again", counted(guest.rsp.monitor("info network"))[8] < 20,
          guest.rsp.monitor("info network"))
    guest.close()


# ---- a capture that is played ----


def sum16(data):
    total = sum(struct.unpack(">%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def echo_request(number):
    data = struct.pack(">BBHHH", 8, 0, 0, 7, number) + bytes(range(56))
    data = data[:2] + struct.pack(">H", sum16(data)) + data[4:]
    head = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(data), number, 0, 64, 1, 0, b"\x0a\0\x02\x02", b"\x0a\0\x02\x0f")
    return CARD_MAC + PEER_MAC + b"\x08\0" + head[:10] + struct.pack(">H", sum16(head)) + head[12:] + data


CARD_MAC, PEER_MAC = b"\x52\x54\0\x12\x34\x56", b"\x52\x55\x0a\0\x02\x02"
ARP = b"\xff" * 6 + PEER_MAC + b"\x08\x06" + struct.pack(">HHBBH", 1, 0x800, 6, 4, 1) + PEER_MAC + b"\x0a\0\x02\x02" + bytes(6) + \
    b"\x0a\0\x02\x0f"


def played(tmp, program, root, version, initrd):
    """Somebody asks for the guest's address and sends echo requests, while it sleeps at its shell."""
    frames = [ARP] + [echo_request(n) for n in range(1, 6)]
    path, out = os.path.join(tmp, "in.pcap"), os.path.join(tmp, "out.pcapng")
    with open(path, "wb") as f:
        f.write(capture.pcap([(n * 333333333, frame) for n, frame in enumerate(frames)], nano=True))
    guest = Guest.__new__(Guest)
    guest.start([program, "--icount", "shift=0,sleep=off", "--memory", "256M", "--append", "console=ttyS0 address=10.0.2.15", "--initrd",
                 initrd, "--kernel", "%s/boot/vmlinuz-%s" % (root, version), "--record", os.path.join(tmp, "p.hcrec"), "--embed",
                 "--netdev", "pcap,id=n0,in=%s,out=%s,start=600.5" % (path, out), "--device", "virtio-net-pci,netdev=n0"])
    guest.rsp.send("c")
    guest.wait_console(rb"guest# ")
    guest.type("sleep 700; echo sl'ept'\n")
    guest.wait_console(rb"\nslept")
    guest.rsp.interrupt()
    guest.rsp.wait()
    guest.rsp.monitor("pcap %s/played" % tmp)
    guest.close()
    came = [p for p in capture.read(tmp + "/played") if p.direction == "in"]
    check("a capture comes to a guest that sleeps, at its times", [(p.time, p.data) for p in came] ==
          [(600500000000 + n * 333333333, frame) for n, frame in enumerate(frames)], [p.time for p in came])
    replies = [p.data for p in capture.read(out) if p.data[:6] == PEER_MAC]
    check("and is answered", [r[12:14] for r in replies[:1]] == [b"\x08\x06"] and
          [r[40:] for r in replies[1:len(frames)]] == [f[40:] for f in frames[1:]], len(replies))
    done = subprocess.run([program, "verify", os.path.join(tmp, "p.hcrec")], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    check("its recording replays", done.returncode == 0, done.stdout[-300:])


def through(tmp, program, root, version, card, size):
    initrd, recording, forwarded = make_initrd(tmp, root, version, CARDS[card]), os.path.join(tmp, "r.hcrec"), free_port()
    port, md5 = serve(size)
    guest = Guest(program, "%s/boot/vmlinuz-%s" % (root, version), initrd,
                  ["--icount", "shift=0,sleep=on", "--record", recording, "--embed", "--checkpoints-in-file", "every=1500000000",
                   "--object", "filter-dump,id=f0,netdev=nic0,file=" + os.path.join(tmp, "dump.pcapng"),
                   "--nic", "user,model=%s,hostfwd=tcp::%d-:23" % (card, forwarded)])
    use_the_network(guest, port, md5, forwarded)
    packets, edge, hash_at_edge = go_back(guest, tmp)
    guest.close()
    elsewhere(tmp, program, recording, packets, edge, hash_at_edge, guest.console)
    done = subprocess.run([program, "verify", "--from", "checkpoints", recording], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    check("the recording replays without a network, from every checkpoint", done.returncode == 0, done.stdout[-300:])


def main():
    program, (root, version) = sys.argv[1], fetched("i386", "linux-image-686")
    if "without libslirp" in subprocess.run([program, "--netdev", "user,id=n", "nothing"], stdout=subprocess.PIPE,
                                            stderr=subprocess.STDOUT, text=True).stdout:
        sys.exit(77)
    words = sys.argv[2:]
    size = 100000000 if "--long" in words else 10000000
    for name in [w for w in words if w != "--long"] or list(CARDS) + ["played", "goes-on"]:
        with tempfile.TemporaryDirectory() as tmp:
            if name in CARDS:
                through(tmp, program, root, version, name, size)
            else:
                {"played": played, "goes-on": goes_on}[name](tmp, program, root, version,
                                                             make_initrd(tmp, root, version, CARDS["virtio-net-pci"]))
    print("%d passed, %d failed" % (test_debian_i386.passed, test_debian_i386.failed))
    sys.exit(1 if test_debian_i386.failed else 0)


if __name__ == "__main__":
    main()
