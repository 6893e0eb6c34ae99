"""
How chips are played against QEMU's: the same reads and writes of registers, and steps of virtual time, go to one of hindcast's boards
(qtest_board) and to QEMU (qtest protocol). What is read, and the levels of the interrupt lines, must be the same, but for what
chips_accepted.py says: there the data sheet has it otherwise, or leaves it open.

QEMU's CPU runs a loop that gdb's protocol starts with a count, so that under -icount time passes to the nanosecond where it is wanted.
That needs no QEMU with an accelerator for tests.

A scenario is a function under @scenario; it makes accesses by p.outb(port, value), p.inb(port, tag)...; `tag` is what
chips_accepted.py names, and what a difference is told by.
"""
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time

BOARD = os.path.join(os.environ.get("top_builddir", "."), "tests/whole/qtest_board")
SEEDS = int(os.environ.get("HINDCAST_FUZZ_SEEDS", "2"))
CHUNK = 150  # commands under way at once: less than pipes hold
START = "2023-11-14T22:13:20"  # qtest_board.c's
VERBOSE = False
SCENARIOS = {}
SLOW = set()
ACCEPTED = []  # chips_diff.py fills it


def scenario(board, own=(), qemu=(), shift=7, slow=False):
    """`own`: arguments of qtest_board; `qemu`: of QEMU; time passes in steps of 2 << shift ns. `slow`: some seconds, for long
    tests only."""
    def take(function):
        SCENARIOS[function.__name__] = (function, board, own, qemu, shift)
        if slow:
            SLOW.add(function.__name__)
        return function
    return take


class Side:
    """A process that speaks qtest."""

    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        stderr=None if VERBOSE else subprocess.DEVNULL)
        self.levels = set()

    def play(self, commands):
        """For each: (value or None, levels of the lines after it)."""
        self.process.stdin.write("".join(c + "\n" for c in commands))
        self.process.stdin.flush()
        answers = []
        while len(answers) < len(commands):
            line = self.process.stdout.readline()
            if not line:
                raise RuntimeError(f"{self.process.args[0]} ended: {self.process.wait()}")
            words = line.split()
            if words[:1] == ["IRQ"]:
                (self.levels.add if words[1] == "raise" else self.levels.discard)(int(words[2]))
            elif words[:1] == ["OK"]:
                answers.append((words[1] if len(words) > 1 else None, frozenset(self.levels)))
            elif words[:1] in (["ERR"], ["FAIL"]):
                raise RuntimeError(f"{commands[len(answers)]}: {line}")
        return answers

    def close(self):
        self.process.kill()
        self.process.wait()


class Qemu(Side):
    def __init__(self, board, options, shift, work):
        self.arm = board.startswith("virt")
        self.granule = 2 << shift
        self.protected = False
        firmware = bytearray(65536)
        if self.arm:  # subs x0, x0, #1; b.ne .-4; b .
            firmware[0:12] = bytes.fromhex("000400f1e1ffff5400000014")
        else:         # dec ecx; jnz .-2; jmp .
            firmware[0xfff0:0xfff6] = bytes.fromhex("664975fcebfe")
            # lgdt cs:[e020h]; CR0.PE = 1; jmp 8:ffffe040h; the register for it, the table; ds = 10h; b .; load; b .; store; b .
            for at, code in ((0xe000, "2e660f011620e0" "0f20c0" "0c01" "0f22c0" "66ea40e0ffff0800"), (0xe020, "170028e0ffff"),
                             (0xe028, "0000000000000000" "ffff0000009acf00" "ffff00000092cf00"), (0xe040, "b810000000" "8ed8" "ebfe"),
                             (0xe050, "8b02ebfe"), (0xe060, "8902ebfe")):
                firmware[at:at + len(code) // 2] = bytes.fromhex(code)
        image, path = os.path.join(work, "firmware"), os.path.join(work, "gdb")
        with open(image, "wb") as f:
            f.write(firmware)
        program = "qemu-system-aarch64" if self.arm else "qemu-system-x86_64"
        super().__init__([program, "-M", board, "-accel", "tcg,thread=single", "-icount", f"shift={shift},sleep=off", "-S",
                          "-gdb", f"unix:{path},server=on,wait=off", "-qtest", "stdio", "-qtest-log", "/dev/null", "-display", "none",
                          "-nodefaults", "-m", "64", "-bios", image, "-rtc", f"base={START},clock=vm",
                          *([] if self.arm else ["-global", "hpet.timers=4"]), *options])
        self.play(["readb 0"])
        self.gdb = socket.socket(socket.AF_UNIX)
        for _ in range(600):
            try:
                self.gdb.connect(path)
                break
            except OSError:
                time.sleep(0.05)
        self.gdb.settimeout(60)
        self.packet("qXfer:features:read:target.xml:0,ffb")
        self.packet("Z0,8,4" if self.arm else "Z0,fffffff4,1")
        self.now, self.hpet_zero = 0, None
        if not self.arm:
            self.play(["irq_intercept_in ioapic"])

    def play(self, commands):
        """The local APIC answers a CPU only: it is read and written by instructions."""
        apic = re.compile(r"(read|write)l 0xfee[0-9a-f]{5}\b")
        if self.arm or not any(apic.match(c) for c in commands):
            return super().play(commands)
        if not self.protected:
            self.packet("Z0,ffffe047,1")
            self.packet("P10=" + (0xe000).to_bytes(8, "little").hex())
            self.packet("c")
            self.protected = True
        answers = []
        for c in commands:
            words = c.split()
            if not apic.match(c):
                answers += super().play([c])
                continue
            load = words[0] == "readl"
            for register, value in ((3, int(words[1], 16)), (0, 0 if load else int(words[2], 16)), (0x10, 0xffffe050 if load else 0xffffe060)):
                self.packet(f"P{register:x}=" + value.to_bytes(8, "little").hex())
            self.packet("s")
            value = int.from_bytes(bytes.fromhex(self.packet("p0"))[:4], "little")
            answers.append((hex(value) if load else None, super().play(["readb 0"])[0][1]))
        return answers

    def packet(self, text):
        self.gdb.sendall(f"${text}#{sum(text.encode()) & 255:02x}".encode())
        got = b""
        while not re.search(rb"\$[^#]*#..", got):
            data = self.gdb.recv(4096)
            if not data:
                raise RuntimeError("QEMU's gdb stub is gone")
            got += data
        self.gdb.sendall(b"+")
        return re.search(rb"\$([^#]*)#", got)[1].decode()

    def step(self, ns):
        """About so long; returns how long. When gdb's stub stops the CPU, QEMU's clock leaps to the next timer's deadline: there is
        one of our own soon after the end, a comparator of the HPET that interrupts nobody."""
        hpet = 0xfed00000
        if self.hpet_zero is None:
            self.hpet_zero = self.now
            self.play([f"writel {hpet + 0x10:#x} 1", f"writel {hpet + 0x160:#x} {23 << 9:#x}"])
        count = max(1, ns // self.granule)
        elapsed = self.now - self.hpet_zero
        compare = (elapsed + count * self.granule) // 10 + 1
        self.play([f"writeq {hpet + 0x168:#x} {compare:#x}"])
        self.packet("P2=" + count.to_bytes(8, "little").hex())
        self.packet("P10=" + 0xfff0.to_bytes(8, "little").hex())
        self.packet("c")
        passed = (compare - elapsed // 10) * 10
        self.now += passed
        measured = int(self.play([f"readq {hpet + 0xf0:#x}"])[0][0], 16)  # and what interrupts did meanwhile
        if measured != (self.now - self.hpet_zero) // 10:
            raise RuntimeError(f"a timer of QEMU's fell upon the end of a step: {measured}, not {(self.now - self.hpet_zero) // 10}")
        return passed


class Pair:
    """Both, and what differed."""

    def __init__(self, name, own, qemu):
        self.name, self.own, self.qemu = name, own, qemu
        self.queue, self.history, self.found, self.ops = [], [], [], 0
        self.rules = [(re.compile(tag), mask) for where, tag, mask, _ in ACCEPTED if re.fullmatch(where, name)]
        self.values, self.apart = [], frozenset()

    def __getattr__(self, verb):
        if not re.fullmatch(r"(in|out|read|write)[bwlq]", verb):
            raise AttributeError(verb)

        def call(address, *words):
            value = None if verb.startswith(("in", "read")) else words[0]
            tag = words[0 if value is None else 1] if len(words) > (value is not None) else None
            self.add(f"{verb} {address:#x}" + ("" if value is None else f" {value:#x}"), tag)
        return call

    def add(self, command, tag=None):
        self.queue.append((command, tag))
        if len(self.queue) >= CHUNK:
            self.flush()

    def flush(self):
        commands = [c for c, _ in self.queue]
        if not commands:
            return
        ours, theirs = self.own.play(commands), self.qemu.play(commands)
        for (command, tag), a, b in zip(self.queue, ours, theirs):
            self.compare(command, tag, a, b)
        self.values += [a for a in zip(ours, theirs)]
        self.queue = []

    def compare(self, command, tag, a, b):
        self.ops += 1
        self.history.append(f"{command} -> {a[0]}" if a[0] else command)
        value = [int(x[0], 16) if x[0] and len(x[0]) < 20 else x[0] for x in (a, b)]
        if value[0] != value[1] and not self.accepted(command, tag, *value):
            self.found.append((tag or command, f"{command}: hindcast {a[0]}, QEMU {b[0]}", self.history[-9:-1]))
        apart, self.apart = self.apart, a[1] ^ b[1]
        if self.apart - apart and not self.accepted(command, f"{tag or command} lines", a[1], b[1]):
            self.found.append((f"{tag or command} lines",
                               f"{command}: lines hindcast {sorted(a[1])}, QEMU {sorted(b[1])}", self.history[-9:-1]))

    def accepted(self, command, tag, a, b):
        for pattern, mask in self.rules:
            if pattern.fullmatch(tag or command):
                if mask is None or (isinstance(a, int) and not (a ^ b) & ~mask):
                    return True
        return False

    def get(self, command, tag=None):
        """Play it now: hindcast's value."""
        self.add(command, tag)
        self.flush()
        return int(self.values[-1][0][0], 16)

    def step(self, ns):
        """Time passes: whole granules only."""
        self.flush()
        ns = self.qemu.step(ns)
        self.own.play([f"clock_step {ns}"])
        self.history.append(f"step {ns}")
        self.add("readb 0", "after a step")

    def hpet_starts(self):
        """The event timers' counter, which was 0, runs from now on: step() needs to know."""
        self.add("writel 0xfed00010 1")
        self.flush()
        self.qemu.hpet_zero = self.qemu.now
        self.qemu.play([f"writel 0xfed00160 {23 << 9:#x}"])

    def patterns(self, width=8):
        return [0, (1 << width) - 1, *(1 << n for n in range(width)), *((1 << width) - 1 ^ 1 << n for n in range(width)),
                int("a5" * (width // 8), 16), int("5a" * (width // 8), 16)]

    # PCI configuration by mechanism 1 or the ECAM.
    def config(self, bdf, offset):
        self.outl(0xcf8, 0x80000000 | bdf << 8 | offset & 0xfc)

    def config_read(self, bdf, offset, size=4, tag=None):
        self.config(bdf, offset)
        self.add(f"in{'?bw?l'[size]} {0xcfc + (offset & 3):#x}", tag)

    def get_config(self, bdf, offset):
        self.config(bdf, offset)
        return self.get("inl 0xcfc", "saved")

    def config_write(self, bdf, offset, value, size=4):
        self.config(bdf, offset)
        self.add(f"out{'?bw?l'[size]} {0xcfc + (offset & 3):#x} {value:#x}")


def play(name):
    function, board, own, qemu, shift = SCENARIOS[name]
    with tempfile.TemporaryDirectory(prefix="hc-chips-") as work:
        ours = theirs = None
        try:
            ours = Side([BOARD, "virt" if board.startswith("virt") else "pc", *own])
            theirs = Qemu(board, qemu, shift, work)
            p = Pair(name, ours, theirs)
            if board.startswith("pc"):  # counter 0's output is low on both, and not after a reset
                for side in (ours, theirs):
                    side.play(["outb 0x43 0x30", "outb 0x40 0", "outb 0x40 0"])
            function(p)
            p.flush()
        finally:
            for side in (ours, theirs):
                if side:
                    side.close()
    return p


def report(p, seconds):
    print(f"{p.name}: {p.ops} accesses, {len(p.found)} differences" + (f", {seconds:.1f} s" if VERBOSE else ""))
    told = {}
    for tag, text, history in p.found:
        told[tag] = told.get(tag, 0) + 1
        if told[tag] <= (4 if VERBOSE else 2) and len(told) <= 400:
            print(f"  [{tag}] {text}")
            if VERBOSE and told[tag] == 1:
                print("      after " + "; ".join(history))
    for tag, count in told.items():
        if count > 4:
            print(f"  [{tag}] {count} times")
