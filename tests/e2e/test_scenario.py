#!/usr/bin/env python3
"""The acceptance scenario of reverse debugging that QEMU's own tests go through, in the words of a
client that knows nothing but packets; and with a gdb that is driven by hand.

Step over the first instructions and note where they are; step back over them, each must be where it
was; and forward again. Breakpoints on all of them; run to near the end of what was recorded; go back
until something stops: that must be the last of them.

The guests: the examples, SeaBIOS, and Debian's kernels if they were fetched before (tests/guests).
"""

import glob
import os
import re
import socket
import sys
import tempfile

import harness
from harness import Server, check, contains, equal, gdb, patience, record_to

STEPS = 12
M = 1000000
BIOS = "/usr/share/seabios/bios.bin"
CACHE = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "hindcast")


class Raw:
    """Packets with acknowledgements, whole replies compared."""

    def __init__(self, address):
        self.sock = socket.create_connection(address)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.settimeout(patience(120))
        self.pending = b""

    def cmd(self, payload, expected=None):
        self.sock.sendall(b"$" + payload + b"#%02x" % (sum(payload) & 255))
        while not re.search(rb"^\+?\$[^#]*#..", self.pending):
            data = self.sock.recv(65536)
            check(data, "connection closed after %r" % payload)
            self.pending += data
        match = re.search(rb"^\+\$([^#]*)#(..)", self.pending)
        check(match, "no acknowledgement: %r" % self.pending)
        self.pending = self.pending[match.end():]
        self.sock.sendall(b"+")
        reply = match.group(1)
        check(b"*" not in reply or payload[:1] in b"qg", "run-length encoding: %r" % reply)
        if expected is not None:
            equal(reply, expected, payload)
        return reply

    def monitor(self, words):
        text = b""
        reply = self.cmd(b"qRcmd," + words.encode().hex().encode())
        while reply[:1] == b"O" and reply != b"OK":
            text += bytes.fromhex(reply[1:].decode())
            while not re.search(rb"\$[^#]*#..", self.pending):
                self.pending += self.sock.recv(65536)
            match = re.search(rb"\$([^#]*)#..", self.pending)
            self.pending = self.pending[match.end():]
            self.sock.sendall(b"+")
            reply = match.group(1)
        return text.decode()

    def position(self):
        return int(re.search(r"position (\d+)", self.monitor("when")).group(1))

    def register(self, n):
        raw = self.cmd(b"p%x" % n)
        check(re.fullmatch(rb"([0-9a-f]{2})+", raw), "p%x: %r" % (n, raw))
        return int.from_bytes(bytes.fromhex(raw.decode()), "little")


def pc_of(client, target, flat=True):
    """Where it stands; in real mode as segment and offset make it."""
    if target is harness.AARCH64:
        return client.register(32)
    return client.register(8) + (0 if flat else client.register(10) * 16)


def scenario(address, target, end, flat=True):
    client = Raw(address)
    features = client.cmd(b"qSupported")
    check(b"qXfer:features:read+" in features and b"ReverseStep+" in features and b"ReverseContinue+" in features,
          features)
    description = client.cmd(b"qXfer:features:read:target.xml:0,ffb")
    check(description[:1] in b"lm", description)
    steps = []
    for _ in range(STEPS):
        steps.append(pc_of(client, target, flat))
        client.cmd(b"s", b"T05thread:01;")
    for address in reversed(steps):
        client.cmd(b"bs", b"T05thread:01;")
        equal(pc_of(client, target, flat), address, "pc, stepping back")
    for address in steps:
        equal(pc_of(client, target, flat), address, "pc, forward again")
        client.cmd(b"s", b"T05thread:01;")
    for address in steps:
        client.cmd(b"Z1,%x,1" % address, b"OK")
    client.monitor("replay_break %d" % (end - 1))
    client.cmd(b"c")
    for _ in range(50):  # some of them may be run again, later
        if client.position() == end - 1 or flat is False:
            break
        client.cmd(b"c")
    again = client.position() != end - 1
    client.monitor("replay_delete_break")
    reply = client.cmd(b"bc")
    if not again or reply == b"T05thread:01;":
        check(pc_of(client, target, flat) in steps, "bc stands at %x" % pc_of(client, target, flat))
        while client.position() > STEPS:
            client.cmd(b"bc", b"T05thread:01;")
        if flat:
            equal(pc_of(client, target), steps[client.position()], "the last breakpoint")
    client.cmd(b"bc")
    client.monitor("seek 0")
    client.cmd(b"bc")
    equal(pc_of(client, target, flat), steps[0], "the beginning")
    client.sock.close()


def scenario_in_gdb(server, symbols, end):
    out = gdb(server, r"""
python
import re
def pc():
    return int(gdb.parse_and_eval("(unsigned long long)$pc"))
def position():
    return int(re.search(r"position (\d+)", gdb.execute("monitor when", to_string=True)).group(1))
steps = []
for i in range(STEPS):
    steps.append(pc())
    gdb.execute("stepi", to_string=True)
back = []
for i in range(STEPS):
    gdb.execute("reverse-stepi", to_string=True)
    back.append(pc())
print("back", back == steps[::-1])
again = []
for i in range(STEPS):
    again.append(pc())
    gdb.execute("stepi", to_string=True)
print("again", again == steps)
for address in steps:
    gdb.execute("break *0x%x" % address, to_string=True)
gdb.execute("monitor replay_break %d" % (END - 1))
for i in range(50):
    gdb.execute("continue", to_string=True)
    if position() == END - 1:
        break
print("near the end", position() == END - 1)
gdb.execute("reverse-continue", to_string=True)
while position() > STEPS:
    gdb.execute("reverse-continue", to_string=True)
print("last", pc() == steps[position()])
end
""".replace("STEPS", str(STEPS)).replace("END", str(end)), symbols=symbols, seconds=300)
    for what in ("back", "again", "near the end", "last"):
        contains(out, r"^%s True" % what)


def both(target, *options, symbols=None, flat=True, end=60 * M):
    """Recorded first, then gone through with packets and with a gdb; and with packets on the live guest."""
    if target.missing():
        print("     not here: " + target.missing())
        return
    harness.target = target
    try:
        with tempfile.TemporaryDirectory() as directory:
            name = record_to(directory, [end], *options)
            with Server("--replay", name, guest=None) as s:
                scenario(s.address, target, end, flat)
            if flat:
                with Server("--replay", name, guest=None) as s:
                    scenario_in_gdb(s, symbols, end)
        with Server(*options, guest=None) as s:
            scenario(s.address, target, end, flat)
    finally:
        harness.target = harness.I386


def claim_the_i386_example_goes_through_it():
    both(harness.I386, harness.I386.store, symbols=harness.I386.store)


def claim_the_aarch64_example_goes_through_it():
    both(harness.AARCH64, harness.AARCH64.store, symbols=harness.AARCH64.store)


def claim_firmware_from_the_reset_vector_goes_through_it():
    if not os.path.exists(BIOS):
        print("     no SeaBIOS")
        return
    both(harness.I386, "--bios", BIOS, flat=False, end=6 * M)


def debian(target, arch, pattern, *options):
    kernels = glob.glob(os.path.join(CACHE, arch, "root", "boot", "vmlinuz-*" + pattern))
    if not kernels:
        print("     no such Debian kernel here")
        return
    both(target, *options, kernels[0], end=300 * M)


def claim_debians_686_pae_kernel_goes_through_it():
    debian(harness.I386, "i386", "686-pae", "--append", "console=ttyS0")


def claim_debians_arm64_kernel_goes_through_it():
    debian(harness.AARCH64, "arm64", "cloud-arm64", "--append", "console=ttyAMA0")


if __name__ == "__main__":
    harness.main(sys.modules[__name__])
