#!/usr/bin/env python3
"""AMD's SVM: guests of guests of a program of ours, and Linux's KVM.

    test_svm_amd64.py [HINDCAST [bare|kvm[:MODEL] ...] [--brief]]

bare: svm/ runs some hundred guests in a VMCB each, and says what came of each; svm/expected has what AMD's manual (APM volume 2,
chapter 15) says must. QEMU 7.2 runs the same program, and does the same but for the cases in svm/qemu-differs, where it deviates
from the manual. Both models that have SVM, each engine, recorded and replayed, and backwards out of a guest, over VMRUN and #VMEXIT.

kvm: a Debian kernel with kvm_amd on max (nested paging) and on qemu64 (shadow paging); kvm/amd64/vm.c runs a guest in real mode, and one
in 64-bit mode whose every line is known, and is the same under QEMU. Then backwards through it; its recording replays.

Without HINDCAST: `bare`, of top_builddir. With --brief the recordings of kvm are not replayed by the interpreter. Exit status 77: no compiler, or packages cannot be fetched.
"""

import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.dirname(HERE))
import firmware_guest as fw  # noqa: E402
import test_debian_i386 as common  # noqa: E402
import rspclient  # noqa: E402
from firmware_guest import check, state_hash  # noqa: E402

MODELS = "max", "qemu64"
ENGINES = ("jit", "interpreter") if platform.machine() == "x86_64" else ("interpreter",)
GUEST_CODE = 0x2020000  # GCODE of svm/svm.h


def symbols(elf):
    out = subprocess.run(["nm", elf], check=True, stdout=subprocess.PIPE).stdout.decode()
    return {m.group(2): int(m.group(1), 16) for m in re.finditer(r"^(\w+) \w (\w+)$", out, re.M)}


def build(directory, output):
    status = subprocess.run([os.path.join(HERE, directory, "build"), output]).returncode
    if status:
        sys.exit(77)


def pc(rsp):
    return int.from_bytes(bytes.fromhex(rsp.ask("p10")), "little")


def state(rsp):
    return rsp.position(), rsp.registers(), state_hash(rsp)


def go(rsp, position):
    forward = position >= rsp.position()
    rsp.monitor("seek %d" % position)
    rsp.ask("c" if forward else "bc")


def back_to(rsp, address):
    """Back to the last time that something was executed there."""
    rsp.ask("Z1,%x,1" % address)
    reply = rsp.ask("bc")
    rsp.ask("z1,%x,1" % address)
    return "hwbreak" in reply and pc(rsp) == address


def there_and_back(rsp, n, ways=("s", "bs")):
    """n steps one way and back again: what is not as it was, and the addresses that were passed."""
    trail, bad = [], []
    for _ in range(n):
        trail.append(state(rsp))
        rsp.ask(ways[0])
    passed = [pc(rsp)]
    for want in reversed(trail):
        rsp.ask(ways[1])
        passed.append(pc(rsp))
        if state(rsp) != want:
            bad.append(want[0])
    return bad, passed


# -------------------------------- bare --------------------------------

def cases_of(text):
    """Name and outcome of each."""
    found = {}
    for line in text.replace("\r", "").split("\n"):
        name, bar, outcome = line.partition(" |")
        if bar:
            found[name] = outcome.strip()
    return found


def expected(model):
    with open(os.path.join(HERE, "svm", "expected")) as f:
        lines = [re.match(r"(?:\[(\w+)\] )?(.*)", line.rstrip("\n")).groups() for line in f]
    return cases_of("\n".join(line for of, line in lines if of in (None, model)))


def differences(got, want, names=None):
    return ["%s | %s, not %s" % (name, got.get(name), want.get(name)) for name in list(want) + [n for n in got if n not in want]
            if got.get(name) != want.get(name) and (names is None or name not in names)]


def in_qemu(elf, model, tmp):
    """The program's outcomes there; None: there is no QEMU, or another one."""
    version = shutil.which("qemu-system-x86_64") and subprocess.run(["qemu-system-x86_64", "--version"], stdout=subprocess.PIPE).stdout
    if not version or b"version 7.2" not in version:
        return None
    log = os.path.join(tmp, "qemu.log")
    subprocess.run(["qemu-system-x86_64", "-accel", "tcg", "-cpu", model, "-m", "128M", "-kernel", elf, "-display", "none", "-device",
                    "isa-debug-exit,iobase=0xf4", "-no-reboot", "-serial", "file:" + log, "-monitor", "none", "-net", "none"],
                   stdin=subprocess.DEVNULL, timeout=300)
    with open(log, encoding="latin-1") as f:
        return cases_of(f.read())


def backwards(program, elf, model):
    """From the last case's end back over #VMEXIT, through the guest, over VMRUN, and forward again."""
    table = symbols(elf)
    guest = fw.Guest(program, "--kernel", elf, "--cpu", model, "--memory", "128M", "--icount", "sleep=off")
    rsp = guest.rsp
    rsp.ask("c")
    end = state(rsp)
    check("%s: back behind the last #VMEXIT" % model, back_to(rsp, table["after_vmrun"]), hex(pc(rsp)))
    outside = state(rsp)
    rsp.ask("bs")
    check("%s: a step back, and it is in the guest" % model, GUEST_CODE <= pc(rsp) < GUEST_CODE + 0x1000, hex(pc(rsp)))
    rsp.ask("s")
    check("%s: a step forward over #VMEXIT leads to the same state" % model, state(rsp) == outside, hex(pc(rsp)))
    bad, passed = there_and_back(rsp, 12, ("bs", "s"))
    check("%s: 12 steps back through a guest and over VMRUN, and forward again" % model,
          not bad and table["after_vmrun"] - 3 in passed, (bad, [hex(p) for p in passed]))
    check("%s: back at the last guest's first instruction" % model, back_to(rsp, GUEST_CODE), hex(pc(rsp)))
    first = state(rsp)
    check("%s: back at its VMRUN" % model, back_to(rsp, table["after_vmrun"] - 3), hex(pc(rsp)))
    vmrun = rsp.position()
    rsp.ask("s")
    check("%s: VMRUN leads to its first instruction" % model, state(rsp) == first and first[0] == vmrun + 1, (vmrun, first[0]))
    # Long ago: guests of another mode, with interrupts.
    bad = []
    for _ in range(40):
        if not back_to(rsp, table["after_vmrun"]):
            break
        outside = state(rsp)
        rsp.ask("bs")
        rsp.ask("s")
        if state(rsp) != outside:
            bad.append(outside[0])
    check("%s: 40 times back to a #VMEXIT, over it and forward" % model, not bad, bad)
    middle = state(rsp)
    go(rsp, end[0])
    check("%s: and to the end, which is as it was" % model, state(rsp) == end)
    go(rsp, middle[0])
    check("%s: and to there again" % model, state(rsp) == middle)
    guest.close()


def bare(program, tmp):
    elf = os.path.join(tmp, "svm.elf")
    build("svm", elf)
    for model in MODELS:
        want, outputs = expected(model), []
        for engine in ENGINES:
            recording = os.path.join(tmp, "svm-%s-%s.hcrec" % (model, engine))
            r = subprocess.run([program, "--run", "--listen", "none", "--engine", engine, "--kernel", elf, "--cpu", model, "--memory", "128M",
                                "--icount", "sleep=off", "--record", recording], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, timeout=1800)
            got = cases_of(r.stdout.decode("latin-1"))
            wrong = differences(got, want)
            check("%s, %s: %d cases are as the manual says" % (model, engine, len(want)), r.returncode == 33 and not wrong,
                  "status %d\n%s\n%s" % (r.returncode, "\n".join(wrong), r.stderr.decode()[-500:]))
            outputs.append((r.stdout, r.stderr.split(b" at position ")[-1]))
            r = subprocess.run([program, "verify", recording], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            check("%s, %s: the recording replays" % (model, engine), r.returncode == 0, r.stdout.decode()[-1000:])
        check("%s: each engine has the same output, and ends at the same position" % model, len(set(outputs)) == 1,
              [o[1] for o in outputs])
        there = in_qemu(elf, model, tmp)
        if there is not None:
            with open(os.path.join(HERE, "svm", "qemu-differs")) as f:
                names = {line.rstrip("\n") for line in f if not line.startswith("# ")}
            wrong = differences(there, want, names)
            check("%s: QEMU does the same but for what is known" % model, not wrong, "\n".join(wrong))
        backwards(program, elf, model)


# -------------------------------- KVM --------------------------------

SCRIPT = """#!/bin/busybox sh
# instead of init
insmod /irqbypass.ko && insmod /kvm.ko && insmod /kvm-amd.ko
echo "vm: npt $(cat /sys/module/kvm_amd/parameters/npt)"
/vm /nested.bin
sleep 1 # until the console has said so
poweroff -f
"""

LINES = """vm: npt {npt}
vm: real mode: out 300, 19
vm: real mode: out 300, 10
vm: real mode: out 300, 9
vm: real mode: out 300, 4
vm: real mode: out 300, 1
vm: real mode: out 41, 34
vm: real mode: out 45, 2121
vm: 1 bytes stored at d0004: 5a
vm: real mode: out 42, 2211
vm: real mode: out 43, 68
vm: real mode: out 43, 69
vm: real mode: halted, AX 2211, CX 0, 34 in memory
vm: real mode: out 44, 77
vm: real mode: halted, AX 77, CX 0, 34 in memory
guest: 64 bits
guest: CPUID tells of a hypervisor: 0
guest: CR0: 80010031
guest: CR4: 620
guest: computed: efddd36d
guest: #UD: 6
guest: #DE: 0
guest: #GP: d
guest: its error code: 1238
guest: an MSR that is not there: d
guest: #PF: e
guest: its error code: 2
guest: its address: 5000000000
guest: int3: 3
guest: demand paging: 14d60
guest: accessed and dirty: 403067
guest: one page after the other: 2ec2000
guest: write to a page to be read: e
guest: its error code: 3
guest: code in data: e
guest: its error code: 11
guest: timer interrupts while it slept: 3
guest: the timer was periodic: 1
guest: interrupts of its own: 1
guest: the line's, masked: 0
guest: the line's: 1
guest: below CR8: 1
guest: not any more: 2
guest: NMIs: 1
vm: 1 bytes stored at d0000000: 11
vm: 2 bytes stored at d0000002: 2233
vm: 4 bytes stored at d0000004: 44556677
vm: 8 bytes stored at d0000008: 8899aabbccddeeff
guest: loads: 11
guest: loads: 8877665544332211
guest: read-only memory: 2222
vm: 4 bytes stored at d1000000: 5
guest: still: 2222
guest: outs
guest: calls from CPL 3: 1
guest: SYSCALL returns behind itself: 1
guest: DR0: 123456
guest: all done
vm: status 0
"""
NOT_IN_QEMU = "guest: below CR8: 1", "guest: not any more: 2"


def lines_of(console):
    return [line for line in fw.plain(console) if re.match(r"(vm|guest): ", line)]


def first_difference(got, want):
    for n in range(max(len(got), len(want))):
        if got[n:n + 1] != want[n:n + 1]:
            return "line %d: %r, not %r" % (n, got[n:n + 1], want[n:n + 1])
    return ""


def images(tmp):
    """Kernel and initramfs."""
    cache = common.cache_dir()
    if subprocess.run([os.path.join(HERE, "fetch-debian"), "amd64", cache, "busybox-static", "linux-image-cloud-amd64"]).returncode:
        sys.exit(77)
    build("kvm/amd64", tmp)
    root = os.path.join(cache, "amd64", "root")
    with open(os.path.join(cache, "amd64", "done", "linux-image-cloud-amd64")) as f:
        version = f.read().strip()[len("linux-image-"):]
    modules = "%s/lib/modules/%s/kernel/" % (root, version)
    script, initrd = os.path.join(tmp, "script"), os.path.join(tmp, "kvm.gz")
    with open(script, "w") as f:
        f.write(SCRIPT)
    subprocess.run([os.path.join(HERE, "make-initramfs"), root + "/bin/busybox", initrd, script, os.path.join(tmp, "vm"),
                    os.path.join(tmp, "nested.bin")] + [modules + m for m in ("virt/lib/irqbypass.ko", "arch/x86/kvm/kvm.ko",
                                                                            "arch/x86/kvm/kvm-amd.ko")], check=True)
    return "%s/boot/vmlinuz-%s" % (root, version), initrd


def kvm_in_qemu(kernel, initrd, model):
    if not shutil.which("qemu-system-x86_64"):
        return None
    guest = fw.Console(["qemu-system-x86_64", "-accel", "tcg", "-cpu", model, "-m", "256M", "-nographic", "-monitor", "none", "-no-reboot",
                        "-net", "none", "-kernel", kernel, "-initrd", initrd, "-append", "console=ttyS0 quiet"])
    try:
        guest.expect(rb"vm: status \d+", seconds=300)
    finally:
        guest.close()
    return lines_of(guest.console)


def through_history(guest, table, name):
    """Positions in the nested guest with their states, from the end backwards."""
    rsp = guest.rsp
    marks = [(rsp.position(), state_hash(rsp))]
    check("%s: back in the guest's guest, before it reaches a device" % name, back_to(rsp, table["device"]), hex(pc(rsp)))
    marks.append((rsp.position(), state_hash(rsp)))
    bad, passed = there_and_back(rsp, 60)
    check("%s: 60 steps from there and back go through equal states" % name, not bad, bad)
    check("%s: some of them lead through the hypervisor" % name, any(p >> 63 for p in passed), [hex(p) for p in passed])
    check("%s: back in its interrupt handler" % name, back_to(rsp, table["trap"]), hex(pc(rsp)))
    marks.append((rsp.position(), state_hash(rsp)))
    bad, passed = there_and_back(rsp, 40, ("bs", "s"))
    check("%s: 40 steps back from there and forward go through equal states" % name, not bad, bad)
    check("%s: back at its beginning" % name, back_to(rsp, table["nested_main"]), hex(pc(rsp)))
    marks.append((rsp.position(), state_hash(rsp)))
    tlb = rsp.monitor("info tlb")
    check("%s: its tables are listed" % name, re.search(r"^[0-9a-f]{16}-", tlb, re.M), tlb[:300])
    switches = rsp.monitor("mode-switches newest first limit 4000 to %d" % marks[-1][0])
    entries = re.findall(r"pc=0x(\w+) old=64bit-ring0 new=guest-real", switches)
    check("%s: a VMRUN to another mode is where the host has it" % name, entries and all(len(e) == 16 for e in entries), entries[:4])
    bad = []
    for position, want in reversed(marks):
        go(rsp, position)
        if (rsp.position(), state_hash(rsp)) != (position, want):
            bad.append(position)
    check("%s: each of these positions has one state, from any checkpoint" % name, not bad, bad)
    return marks


def replays(program, recording, marks, name, engines):
    for engine in engines:
        process = subprocess.Popen([program, "--replay", recording, "--listen", "127.0.0.1:0", "--serial", "none", "--engine", engine],
                                   stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        rsp = rspclient.connect(("127.0.0.1", common.listens_at(process)), seconds=60, timeout=900)
        rsp.start()
        bad = []
        for position, want in sorted(marks):
            go(rsp, position)
            if (rsp.position(), state_hash(rsp)) != (position, want):
                bad.append((position, rsp.position()))
        rsp.close()
        process.terminate()
        process.wait()
        check("%s: run straight by engine %s, the same states to the end" % (name, engine), not bad, bad)


def kvm(program, tmp, model, kernel, initrd, brief):
    name = "KVM on " + model
    recording = os.path.join(tmp, "kvm-%s.hcrec" % model)
    want = LINES.format(npt="Y" if model == "max" else "N").splitlines()
    guest = fw.Guest(program, "--engine", ENGINES[0], "--cpu", model, "--memory", "256M", "--kernel", kernel, "--initrd", initrd, "--append",
                     "console=ttyS0 quiet", "--icount", "sleep=off", "--record", recording)
    reply = guest.rsp.ask("c")
    guest.expect(rb"vm: status \d+")
    check("%s: the host's power-off is a stop" % name, reply[:1] == "T", reply)
    got = lines_of(guest.console)
    check("%s: its guests see what the architecture says" % name, got == want, first_difference(got, want))
    there = kvm_in_qemu(kernel, initrd, model)
    if there is not None:
        mine = [line for line in want[1:] if line not in NOT_IN_QEMU]
        there = [line for line in there if not line.startswith("vm: npt")]  # which may come amid the kernel's lines
        check("%s: QEMU's lines are the same" % name, there == mine, first_difference(there, mine))
    marks = through_history(guest, symbols(os.path.join(tmp, "nested.elf")), name)
    guest.close()
    replays(program, recording, marks, name, ENGINES[:1] if brief else ENGINES)
    r = subprocess.run([program, "verify", recording], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    check("%s: the whole recording replays" % name, r.returncode == 0, r.stdout.decode()[-1000:])


def main():
    words = [word for word in sys.argv[1:] if word != "--brief"]
    program = words.pop(0) if words else os.path.join(os.environ.get("top_builddir", "."), "hindcast")
    kinds = words or (["bare", "kvm"] if len(sys.argv) > 1 else ["bare"])
    with tempfile.TemporaryDirectory() as tmp:
        if "bare" in kinds:
            bare(program, tmp)
        models = [m for m in MODELS if "kvm" in kinds or "kvm:" + m in kinds]
        if models:
            kernel, initrd = images(tmp)
        for model in models:
            kvm(program, tmp, model, kernel, initrd, "--brief" in sys.argv)
    fw.finish()


if __name__ == "__main__":
    main()
