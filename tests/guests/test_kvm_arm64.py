#!/usr/bin/env python3
"""Linux's KVM as the hypervisor, with a guest of its own, forwards and backwards.

    test_kvm_arm64.py HINDCAST [--brief] [2|3 ...]

Debian's kernel starts at EL2 (virtualization=on), and kvm/vm.c in its initramfs makes a virtual
machine with a vGIC of the version named (default: both) for kvm/nested.c: an EL1 guest under two
stages of translation whose every line is known beforehand, and is the same under QEMU. Then the
debugger goes through the guest's guest: its symbols, its memory, steps out of it into the
hypervisor and back, and one state for each position whatever the way there and the engine.

Then vm.c runs the same Debian kernel as its guest, at the addresses at which the host's kernel is, too: what
tells a breakpoint in the one from that in the other are the hypervisor's registers. (--brief: with GICv3 alone, and
its recording is not replayed by the interpreter.)

Exit status 77: the packages cannot be fetched here; no gdb, no compiler or no C library for aarch64.
"""

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import firmware_guest as fw  # noqa: E402
import test_debian_arm64 as arm64  # noqa: E402
import test_debian_i386 as common  # noqa: E402
import rspclient  # noqa: E402
from firmware_guest import check, state_hash  # noqa: E402

SCRIPT = """#!/bin/busybox sh
dmesg | grep kvm
/vm /nested.bin
echo "vm: status $?"
sleep 1 # until the console has said so
poweroff -f
"""

# The host's, where a Debian kernel is the guest. Without KASLR both kernels have their symbols at the same addresses.
LINUX_SCRIPT = """#!/bin/busybox sh
grep ' ksys_read$' /proc/kallsyms
/vm /vmlinuz /nested.gz /nested.dtb
echo "vm: status $?"
sleep 1 # until the console has said so
poweroff -f
"""
LINUX_WORDS = "quiet earlycon=pl011,mmio,0x9000000 keep_bootcon cma=0 initrd=0x46000000,%d"

# And the guest's: there is no console but the kernel's messages.
NESTED_SCRIPT = """#!/bin/busybox sh
exec </dev/null >/dev/kmsg 2>&1
sum=$(sha256sum </bin/busybox)
i=0
while [ $i -lt 50 ]; do i=$((i + $(/bin/busybox echo 1))); done
sleep 0.2
echo "<3>nested: $(uname -m), $i processes, $(grep -c arch_timer /proc/interrupts) timer, $sum"
sleep 1 # until the console has said so
poweroff -f
"""

# {word}, {step_0}... are addresses of the nested guest's symbols.
LINES = """\
vm: the guest starts
vm: 1 bytes stored at 9000020: 88
vm: 2 bytes stored at 9000020: 7788
vm: 4 bytes stored at 9000020: 55667788
vm: 8 bytes stored at 9000020: 1122334455667788
vm: 8 bytes stored at 9000020: 0
guest: loads e1 f0e1 80c1f0e1 8765432180c1f0e1
guest: at EL1, MPIDR 80000000
guest: PSCI version 10001, an unknown call ffffffffffffffff, by SMC ffffffffffffffff
guest: virtual counter at 100000000000, ahead of the physical one: 1
guest: the MMU is on: 5eed by another address
guest: AT: 0 at 80201000
guest: AT of a read-only page: 1f
guest: abort: ESR 96000005 FAR c0001238
guest: abort: ESR 9600004f FAR 80201010
guest: abort: ESR 96000047 FAR 80202fff
guest: abort: ESR 9600000b FAR 80203004
guest: abort: ESR 96000021 FAR {word+1}
guest: abort: ESR 86000005 FAR c0000000
guest: svc: ESR 56000007
guest: svc: ESR 56000042 from EL0 with SP 1230 TPIDRRO 7e57
vm: the page at 80300000 is not there
vm: the page at 80300000 is there
vm: memory at 90000000 from now on
guest: 1111 was read where nothing was
guest: d0000010 and d0002000 without asking
vm: dirty pages: 28
vm: dirty pages: 8
vm: memory at 98000000 from now on
guest: 2222 in read-only memory
vm: 4 bytes stored at 98000000: bad
guest: still d0000000
guest: 3 ticks while waiting
guest: 6 ticks with those while running, the last interrupt a01b
guest: sgi: a005
guest: spi: 9028
guest: the mask lets 9028 through
guest: then a006 after it, a interrupts in all
vm: V5 is 8105:1105, FPCR c00000; here D31 is eeeeeeeeeeeeeeee
guest: FP/SIMD: 0 registers lost
vm: debug exit at {step_0}, class 32
vm: debug exit at {step_0+4}, class 32
vm: debug exit at {step_0+8}, class 32
vm: debug exit at {step_2}, class 32
vm: debug exit at {step_2+4}, class 32
vm: debug exit at {step_3}, class 32
vm: debug exit at {vectors+0x200}, class 32
vm: debug exit at {vectors+0x204}, class 32
vm: debug exit at {vectors+0x208}, class 32
vm: debug exit at {vectors+0x20c}, class 32
vm: debug exit at {take}, class 32
vm: debug exit at {take+4}, class 32
vm: debug exit at {take+8}, class 32
vm: debug exit at {take+12}, class 32
vm: debug exit at {take+16}, class 32
vm: debug exit at {take+20}, class 32
guest: stepped: word 3
vm: debug exit at {poke_store}, class 30
vm: debug exit at {poke_store}, class 34, address {word}
vm: debug exit at {brk_here}, class 3c
guest: debugged: word 78
neighbour: the neighbour has b where 80200000
vm: neighbour: exit 24, type 1
guest: and here is a still
vm: guest: exit 24, type 1
vm: status 0
"""


def nested_symbols(elf):
    out = subprocess.run(["aarch64-linux-gnu-nm", elf], check=True, stdout=subprocess.PIPE).stdout.decode()
    return {m.group(2): int(m.group(1), 16) for m in re.finditer(r"^(\w+) \w (\w+)$", out, re.M)}


def expected(symbols):
    """The lines, with the symbols' addresses in them."""
    def address(m):
        return "%x" % (symbols[m.group(1)] + int(m.group(2) or "0", 0))
    return re.sub(r"{(\w+)(?:\+(\w+))?}", address, LINES).splitlines()


def lines_of(console):
    """From the virtual machine's first line to its last."""
    return [line for line in fw.plain(console) if re.match(r"(vm|guest|neighbour): ", line)]


def first_difference(got, want):
    for n in range(max(len(got), len(want))):
        if got[n:n + 1] != want[n:n + 1]:
            return "line %d: %r, not %r" % (n, got[n:n + 1], want[n:n + 1])
    return ""


def in_qemu(kernel, initrd, version):
    """The same image's lines there; None: there is no QEMU."""
    if not shutil.which("qemu-system-aarch64"):
        return None
    guest = fw.Console(["qemu-system-aarch64", "-machine", "virt,virtualization=on,gic-version=" + version, "-cpu",
                        "cortex-a57", "-m", "512M", "-nographic", "-monitor", "none", "-no-reboot", "-kernel", kernel,
                        "-initrd", initrd, "-append", "console=ttyAMA0 quiet"])
    try:
        guest.expect(rb"vm: status \d+", seconds=300)
    finally:
        guest.close()
    return lines_of(guest.console)


def engine(which):
    """The options for an engine, where this host has it."""
    return ["--engine", which if platform.machine() == "x86_64" else "interpreter"]


def boot(program, kernel, initrd, version, recording, name):
    """The whole run, to the power-off."""
    guest = fw.Guest(program, *engine("jit"), "--machine", "virt,virtualization=on,gic-version=" + version, "-m", "512M",
                     "--kernel", kernel, "--initrd", initrd, "--append", "console=ttyAMA0 quiet", "--icount",
                     "shift=0,sleep=off", "--record", recording)
    reply = guest.rsp.ask("c")
    guest.expect(rb"vm: status \d+")
    check("%s: the host's power-off is a stop" % name, reply[:1] == "T", reply)
    return guest


def pc(rsp):
    return int.from_bytes(bytes.fromhex(rsp.ask("p20")), "little")


def level(rsp):
    return int.from_bytes(bytes.fromhex(rsp.ask("p21")), "little") >> 2 & 3


def back_and_forth(guest, name, claim):
    """20 steps back and forward again. Position and hash here, and the exception levels that were seen."""
    rsp = guest.rsp
    here = rsp.position(), state_hash(rsp)
    trail, levels = [], set()
    for _ in range(20):
        trail.append((rsp.position(), rsp.registers(), state_hash(rsp)))
        levels.add(level(rsp))
        rsp.ask("bs")
    bad = []
    for want in reversed(trail):
        rsp.ask("s")
        now = rsp.position(), rsp.registers(), state_hash(rsp)
        if now != want:
            bad.append((want[0], now[0]))
    check("%s: 20 steps back from %s and 20 forward go through equal states" % (name, claim), not bad, bad)
    return here + (levels,)


def back_to(guest, address, el, name, claim):
    """Back to the last time that the nested guest was there."""
    rsp = guest.rsp
    rsp.ask("Z1,%x,4" % address)
    reply = rsp.ask("bc")
    rsp.ask("z1,%x,4" % address)
    check("%s: back in the guest's guest, %s" % (name, claim),
          "hwbreak" in reply and pc(rsp) == address and level(rsp) == el, reply)
    return back_and_forth(guest, name, claim)


def through_history(guest, symbols, name):
    """Positions in the nested guest with their hashes, from the end backwards."""
    rsp = guest.rsp
    end = rsp.position(), state_hash(rsp)
    places = [back_to(guest, *place, name, claim) for place, claim in (
        ((symbols["poke_store"] + 4, 1), "past a watchpoint of KVM's"),
        ((symbols["poke_store"], 1), "a store"),
        ((symbols["interrupt"], 1), "its interrupt handler"),
        ((0x80204008, 0), "its EL0"))]
    check("%s: some steps lead through the hypervisor" % name, any(2 in p[2] for p in places), places)
    marks = [end] + [p[:2] for p in places]
    bad = []
    for position, want in reversed(marks):
        go(rsp, position)
        if (rsp.position(), state_hash(rsp)) != (position, want):
            bad.append(position)
    check("%s: each of these positions has one state, from any checkpoint" % name, not bad, bad)
    return marks


def go(rsp, position):
    forward = position >= rsp.position()
    rsp.monitor("seek %d" % position)
    rsp.ask("c" if forward else "bc")


def with_symbols(guest, elf, symbols, name):
    """A real gdb that knows the nested guest's symbols, from the end of the host."""
    guest.rsp.close()
    out = arm64.gdb(guest.port, ["add-symbol-file " + elf, "hbreak poke_store", "reverse-continue", "delete",
                                 'printf "vmid %d vm %d\\n", $VTTBR_EL2 >> 48, $HCR_EL2 & 1', "backtrace 3",
                                 "print counter", "watch counter", "reverse-continue", "reverse-continue",
                                 "backtrace 3", "monitor last &counter 8", "continue", "print counter"])
    check("%s: the VMID is set in the guest's guest" % name, re.search(r"^vmid [1-9]\d* vm 1$", out, re.M), out[-3000:])
    check("%s: gdb knows who called whom there" % name,
          re.search(r"#0 .*poke_store.*\n#1 .*debugger .*\n#2 .*nested_main ", out), out[-3000:])
    pairs = [(int(a), int(b)) for a, b in re.findall(r"Old value = (\d+)\s+New value = (\d+)", out)]
    check("%s: a watchpoint on its variable, backwards and forwards" % name, pairs == [(6, 5), (5, 4), (4, 5)],
          out[-3000:])
    check("%s: the ticks are counted in its interrupt handler" % name, re.search(r"#0 .*interrupt ", out), out[-3000:])
    guest.connect()


ENGINES = ("jit", "interpreter")


class Replay:
    """The recording, by some engine."""

    def __init__(self, program, recording, which):
        self.process = subprocess.Popen([program, "--replay", recording, "--listen", "127.0.0.1:0", "--serial", "none"]
                                        + engine(which), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.rsp = rspclient.connect(("127.0.0.1", common.listens_at(self.process)), seconds=60, timeout=900)
        self.rsp.start()

    def close(self):
        self.rsp.close()
        self.process.terminate()
        self.process.wait()


def replays(program, recording, marks, name, engines=ENGINES):
    """Run straight through the marks, by each engine: the same states."""
    for which in engines:
        replay = Replay(program, recording, which)
        bad = []
        for position, want in sorted(marks):
            go(replay.rsp, position)
            if (replay.rsp.position(), state_hash(replay.rsp)) != (position, want):
                bad.append((position, replay.rsp.position()))
        replay.close()
        check("%s: run straight by engine %s, the same states to the end" % (name, which), not bad, bad)


def bare_guest(program, kernel, initrd, tmp, version):
    name = "KVM on GICv" + version
    elf = os.path.join(tmp, "nested.elf")
    symbols = nested_symbols(elf)
    recording = os.path.join(tmp, "kvm%s.hcrec" % version)
    want = expected(symbols)
    guest = boot(program, kernel, initrd, version, recording, name)
    check("%s: KVM has EL2" % name, b"Hyp mode initialized successfully" in guest.console)
    got = lines_of(guest.console)
    check("%s: its guest sees what the architecture says" % name, got == want, first_difference(got, want))
    there = in_qemu(kernel, initrd, version)
    if there is not None:
        check("%s: QEMU's lines are the same" % name, there == want, first_difference(there, want))
    marks = through_history(guest, symbols, name)
    with_symbols(guest, elf, symbols, name)
    guest.close()
    replays(program, recording, marks, name)


def untimed(lines):
    """What the nested kernel's user program says, and the end, without the kernel's times."""
    return [re.sub(r"\[ *\d+\.\d+\] ", "", line) for line in lines if re.search(r"nested: |reboot: |exit|status", line)]


def one_address_two_kernels(guest, name):
    """A breakpoint at an address of both kernels, in the one and in the other. The marks."""
    end = guest.rsp.position(), state_hash(guest.rsp)
    address = int(re.search(rb"([0-9a-f]{16}) \w ksys_read\r", guest.console).group(1), 16)
    where = 'printf "%c %d %lx\\n", $HCR_EL2 & 1 ? 78 : 72, ($cpsr >> 2) & 3, $pc'
    guest.rsp.close()
    out = arm64.gdb(guest.port, ["hbreak *0x%x if $HCR_EL2 & 1" % address, "reverse-continue", where, "monitor when",
                                 "reverse-continue", where, "monitor when", "continue", where, "monitor when", "delete",
                                 "hbreak *0x%x if ($HCR_EL2 & 1) == 0" % address, "reverse-continue", where,
                                 "monitor when"])
    stops = [(m.group(1), int(m.group(2)), int(m.group(3), 16), int(m.group(4))) for m in
             re.finditer(r"^([NH]) (\d) ([0-9a-f]+)\n\D*(\d+)", out, re.M)]
    check("%s: a breakpoint in the nested kernel, or in the host's at the same address" % name,
          [stop[:3] for stop in stops] == 3 * [("N", 1, address)] + [("H", 1, address)] and
          end[0] > stops[0][3] > stops[1][3] and stops[2] == stops[0] and stops[3][3] < stops[0][3], out[-3000:])
    guest.connect()
    go(guest.rsp, stops[0][3])
    check("%s: the nested kernel's read is gone to by its position" % name, pc(guest.rsp) == address, pc(guest.rsp))
    return [end, back_and_forth(guest, name, "a read in the nested kernel")[:2]]


def linux_guest(program, kernel, tmp, version, engines=ENGINES):
    """Debian's kernel under KVM under Debian's kernel."""
    name = "Linux in KVM on GICv" + version
    busybox = busybox_of_cache()
    files = [os.path.join(tmp, f) for f in ("vm", "vmlinuz", "nested.gz", "nested.dtb")]
    shutil.copy(kernel, files[1])
    initramfs(files[2], NESTED_SCRIPT, tmp)
    subprocess.run([program, "--machine", "virt,gic-version=" + version, "-m", "128M", "--kernel", kernel, "--append",
                    LINUX_WORDS % os.path.getsize(files[2]), "--force", "--dumpdtb", files[3]], check=True)
    initrd = os.path.join(tmp, "linux.gz")
    initramfs(initrd, LINUX_SCRIPT, tmp, *files)
    with open(busybox, "rb") as f:
        digest = hashlib.sha256(f.read()).hexdigest()
    want = ["guest: nested: aarch64, 50 processes, 1 timer, %s  -" % digest, "guest: reboot: Power down",
            "vm: guest: exit 24, type 1", "vm: status 0"]
    recording = os.path.join(tmp, "linux%s.hcrec" % version)
    guest = boot(program, kernel, initrd, version, recording, name)
    got = untimed(lines_of(guest.console))
    check("%s: the nested Linux boots, computes and powers off" % name, got == want, first_difference(got, want))
    if version == "3":
        there = in_qemu(kernel, initrd, version)
        check("%s: it does in QEMU" % name, there is None or untimed(there) == want, there)
    marks = one_address_two_kernels(guest, name)
    guest.close()
    replays(program, recording, marks, name, engines)


def busybox_of_cache():
    return os.path.join(common.cache_dir(), "arm64", "root", "bin", "busybox")


def initramfs(output, script, tmp, *files):
    """One whose init runs this script."""
    name = os.path.join(tmp, "script")
    with open(name, "w") as f:
        f.write(script)
    subprocess.run([os.path.join(HERE, "make-initramfs"), busybox_of_cache(), output, name] + list(files), check=True)


def main():
    program = sys.argv[1]
    fw.need()
    with tempfile.TemporaryDirectory() as tmp:
        code = subprocess.run([os.path.join(HERE, "kvm", "build"), tmp]).returncode
        if code:
            sys.exit(code)
        images = fw.kernel_and_initrd(tmp)
        if not images:
            sys.exit(77)
        kernel, initrd = images
        initramfs(initrd, SCRIPT, tmp, os.path.join(tmp, "vm"), os.path.join(tmp, "nested.bin"))
        brief = "--brief" in sys.argv[2:]
        for version in [word for word in sys.argv[2:] if word != "--brief"] or ("2", "3"):
            bare_guest(program, kernel, initrd, tmp, version)
            if not brief:
                linux_guest(program, kernel, tmp, version)
            elif version == "3":
                linux_guest(program, kernel, tmp, version, ("jit",))
    fw.finish()


if __name__ == "__main__":
    main()
