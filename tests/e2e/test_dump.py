"""monitor dump-guest-memory: a core of the machine as it was at a position, the past included."""
import os
import struct
import sys
import tempfile

import harness
from harness import AARCH64, I386, Server, check, contains, equal
from rspclient import RspError
from test_cli import not_done

# Of an architecture: e_machine, where pr_reg is, and the registers in it by their places in gdb's g packet: (in the note, offset in the
# packet, bytes).
I386_REGS = [(n, 4 * g, 4) for n, g in enumerate((3, 1, 2, 6, 7, 5, 0, 12, 13, 14, 15, None, 8, 10, 9, 4, 11)) if g is not None]
X86_64_REGS = [(n, 8 * g, 8) for n, g in enumerate((15, 14, 13, 12, 6, 1, 11, 10, 9, 8, 0, 2, 3, 4, 5, None, 16, None, None, 7))
               if g is not None] + [(17, 140, 4), (18, 136, 4), (20, 144, 4)]
AARCH64_REGS = [(n, 8 * n, 8) for n in range(33)] + [(33, 264, 4)]
KINDS = {"i386": (3, 72, 4, I386_REGS), "x86-64": (62, 112, 8, X86_64_REGS), "aarch64": (183, 112, 8, AARCH64_REGS)}


class Core:
    def __init__(self, path):
        with open(path, "rb") as f:
            self.data = f.read()
        equal(self.data[:4], b"\177ELF")
        wide = self.data[4] == 2
        kind, self.machine = struct.unpack_from("<HH", self.data, 16)
        equal(kind, 4, "ET_CORE")
        at, = struct.unpack_from("<Q" if wide else "<I", self.data, 32 if wide else 28)
        size, count = struct.unpack_from("<HH", self.data, 54 if wide else 42)
        self.loads, self.notes = [], []
        for n in range(count):
            if wide:
                kind, _, offset, virtual, address, length, _, _ = struct.unpack_from("<IIQQQQQQ", self.data, at + n * size)
            else:
                kind, offset, virtual, address, length, _, _, _ = struct.unpack_from("<8I", self.data, at + n * size)
            equal(virtual, address)
            if kind == 1:
                self.loads.append((address, length, offset))
            else:
                equal(kind, 4, "PT_NOTE")
                self._take_notes(offset, offset + length)

    def _take_notes(self, at, end):
        while at < end:
            name, length, kind = struct.unpack_from("<III", self.data, at)
            at += 12
            self.notes.append((self.data[at:at + name - 1], kind, self.data[at + 8:at + 8 + length]))
            at += 8 + (length + 3 & ~3)
        equal(at, end)

    def memory(self, address, length):
        for start, size, offset in self.loads:
            if start <= address and address + length <= start + size:
                return self.data[offset + address - start:offset + address - start + length]
        check(False, "no memory at %#x" % address)


def is_as_it_stands(rsp, path, kind, text):
    machine, at, word, registers = KINDS[kind]
    core, packet = Core(path), bytes.fromhex(rsp.registers().replace("x", "0"))
    equal(core.machine, machine)
    status = [d for name, n, d in core.notes if (name, n) == (b"CORE", 1)]
    qemu = [d for name, n, d in core.notes if name == b"QEMU"]
    equal((len(status), len(qemu)), (2, 0 if kind == "aarch64" else 2))
    for n, offset, size in registers:
        equal(int.from_bytes(status[0][at + n * word:at + (n + 1) * word], "little"), int.from_bytes(packet[offset:offset + size], "little"), (kind, n))
    if qemu:
        equal(struct.unpack_from("<II", qemu[0]), (1, len(qemu[0])))
        equal(struct.unpack_from("<Q", qemu[0], 8)[0], int.from_bytes(packet[:word], "little"))
    for address in range(text, text + 0x40000, 0x1000):
        equal(core.memory(address, 0x1000), rsp.memory(address, 0x1000), hex(address))
    check(os.stat(path).st_blocks * 512 < len(core.data) // 2, "pages of zeros are holes")
    return core


def dumps(target, kind, *options):
    text = target.words["text"]
    with tempfile.TemporaryDirectory() as d, Server("--smp", "2", "--memory", "64M", *options, target.store, guest=None) as s:
        rsp = s.client()
        cores = []
        for position in 300000, 1000:  # the second one is the past
            rsp.monitor("seek %d" % position)
            rsp.ask("c")
            path = os.path.join(d, str(position))
            contains(rsp.monitor("dump-guest-memory " + path), r"at position %d$" % position)
            cores.append(is_as_it_stands(rsp, path, kind, text))
        check(cores[0].data != cores[1].data)
        with open(path, "rb") as f:
            before = f.read()
        not_done(rsp, "dump-guest-memory " + path, "exists")
        not_done(rsp, "dump-guest-memory -p " + path, "only the plain form")
        not_done(rsp, "dump-guest-memory /dev/null", "plain file")
        with open(path, "rb") as f:
            equal(f.read(), before)
        rsp.monitor("dump-guest-memory %s force" % path)
        equal(sorted(os.listdir(d)), ["1000", "300000"])
        rsp.close()


def claim_a_core_of_an_i386_is_what_the_debugger_sees():
    dumps(I386, "i386", "--cpu", "pentium3")


def claim_a_core_of_an_x86_64_is_what_the_debugger_sees():
    dumps(I386, "x86-64", "--cpu", "max")


def claim_a_core_of_an_aarch64_is_what_the_debugger_sees():
    dumps(AARCH64, "aarch64")


def claim_a_core_that_is_interrupted_leaves_nothing():
    with tempfile.TemporaryDirectory() as d, Server("--machine", "pc", "--memory", "32G", "--cpu", "max", I386.store, guest=None) as s:
        rsp = s.client()
        rsp.send("qRcmd," + ("dump-guest-memory " + os.path.join(d, "core")).encode().hex())
        rsp.interrupt()
        try:
            text = rsp.wait()
        except RspError as e:
            text = str(e)
        contains(text, "interrupted")
        equal(os.listdir(d), [])
        equal(rsp.position(), 0)
        rsp.close()


if __name__ == "__main__":
    harness.main(sys.modules[__name__])
