"""Guests that mistreat their CPUs: start one at nowhere, reset one while it works, put all to sleep for ever."""
import atexit
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

import harness
from harness import HINDCAST, SOURCE, Server, build_guest, check, contains, equal, patience

# Messages of the local APIC to all others, and a pause in which they arrive.
I386 = """
        cli
        movl $0xfee00300, %ebx
        movl $0xc4500, (%ebx)           # INIT
        call rest
"""
REST = """
done:   movw $0x604, %dx                # power off
        movw $0x2000, %ax
        outw %ax, %dx
1:      hlt
        jmp 1b
rest:   movl $20000, %ecx
2:      loop 2b
        ret
"""


def virt_guest(body):
    directory = tempfile.mkdtemp(prefix="hindcast-guest-")
    atexit.register(shutil.rmtree, directory, True)
    source, elf = os.path.join(directory, "astray.S"), os.path.join(directory, "astray.elf")
    with open(source, "w") as f:
        f.write(".text\n.globl _start\n_start:\n" + body)
    subprocess.run(["aarch64-linux-gnu-gcc", "-nostdlib", "-static", "-Wl,--build-id=none", "-Wl,-z,max-page-size=4096",
                    "-T", os.path.join(SOURCE, "examples", "stale-pointer", "aarch64", "link.ld"), "-o", elf, source], check=True)
    return elf


def ends(guest, *options):
    """The guest comes to its end, the recording of that replays, and history can be gone through."""
    with tempfile.TemporaryDirectory(prefix="hindcast-") as directory:
        name = os.path.join(directory, "astray.hcrec")
        for more in (list(options) + ["--record", name, guest], ["--replay", name]):
            out = subprocess.run([HINDCAST, "--run", "--listen", "none", "--serial", "none"] + more, stdin=subprocess.DEVNULL,
                                 capture_output=True, text=True, timeout=patience(60))
            equal(out.returncode, 0, out)
    with Server(*options, guest=guest) as s:
        c = s.client()
        c.ask("qSupported:swbreak+;vContSupported+")
        contains(c.ask("vCont;c"), "^T20")
        said = c.monitor("info cpus")
        end = c.position()
        for thread in (1, 2):
            c.ask(f"Hc{thread}")
            for _ in range(5):
                c.ask("bs")
        c.monitor(f"seek {end}")
        c.ask("vCont;c")
        equal(c.monitor("info cpus").replace("*", " "), said.replace("*", " "))
    return said


def claim_a_cpu_that_is_started_at_nowhere_harms_nobody():
    said = ends(build_guest(I386 + "movl $0xc4650, (%ebx)\ncall rest\n" + REST), "--smp", "2", "--interleave", "quantum=10000")  # SIPI: 0x50000, where zeros are
    contains(said, r"CPU #1: .*, [1-9]\d* steps$")


def claim_one_cpu_is_reset_while_it_works():
    body = I386 + """
        movl $0x5feebeb, 0x8000         # jmp .
        movl $0xc4608, (%ebx)
        call rest
        movl $0xc4500, (%ebx)
        call rest
""" + REST
    said = ends(build_guest(body), "--smp", "2", "--interleave", "quantum=10000")
    contains(said, r"CPU #0: .*running")
    contains(said, r"CPU #1: .*waiting for SIPI, [1-9]\d* steps$")


def claim_a_virt_cpu_at_nowhere_harms_nobody():
    if harness.AARCH64.missing():
        return
    said = ends(virt_guest("""
        ldr x0, =0xc4000003             // PSCI CPU_ON
        mov x1, #1
        ldr x2, =0x7fffffff000          // there is nothing
        hvc #0
        mov x0, #0x10000
1:      subs x0, x0, #1
        b.ne 1b
        ldr x0, =0x84000008             // SYSTEM_OFF
        hvc #0
"""), "--machine", "virt", "--smp", "2")
    contains(said, r"CPU #0: .*running")


def claim_all_cpus_that_sleep_for_ever_can_be_looked_at():
    body = I386 + """
        movl $0xebf4fa, 0x8000          # cli; hlt; jmp: the bytes after
        movb $0xfc, 0x8003
        movl $0xc4608, (%ebx)
        call rest
3:      hlt
        jmp 3b
""" + REST
    with Server("--smp", "3", guest=build_guest(body)) as s:
        c = s.client()
        c.ask("qSupported:swbreak+;vContSupported+")
        c.send("vCont;c")
        for _ in range(100):
            time.sleep(0.1)
            c.interrupt()
            contains(c.wait(), "^T02")
            said = c.monitor("info cpus")
            if said.count("halted") == 3:
                break
            c.send("vCont;c")
        equal(said.count("halted"), 3, said)
        here, before = c.position(), [int(n) for n in re.findall(r"(\d+) steps", said)]
        for thread in (3, 1, 2):
            c.ask(f"Hc{thread}")
            contains(c.ask("bs"), f"thread:{thread};")
            after = [int(n) for n in re.findall(r"(\d+) steps", c.monitor("info cpus"))]
            check(after[thread - 1] == before[thread - 1] - 1, before, after)
            c.monitor(f"seek {here}")
            c.ask("vCont;c")


DEAF = r"at position \d+ the guest halts with interrupts disabled: only an NMI"


def claim_a_guest_that_halts_with_interrupts_disabled_is_told_of_once():
    halts = """
        movl $0x1ff, 0xfee000f0         # the local APIC is on, and NMIs come by its LINT1
        movl $0x400, 0xfee00360
        movw $0x443, %dx                # the watchdog's NMI comes in 2 seconds
        movb $0xe, %al
        outb %al, %dx
        cli
1:      hlt
        jmp 1b
nmi:    incl 0x9000
        outb %al, %dx
        iretl
"""
    before = """
        movl $idt + 16, %edi            # the gate of vector 2
        movl $nmi, %eax
        movw %ax, (%edi)
        movw %cs, 2(%edi)
        movw $0x8e00, 4(%edi)
        shrl $16, %eax
        movw %ax, 6(%edi)
        lidt idtr
        jmp 0f
        .balign 8
idt:    .fill 24
idtr:   .word 23
        .long idt
0:
"""
    guest = build_guest(before + halts)
    for options in ("--smp", "2"), ("--icount", "sleep=off"), ("--device", "ib700", "--watchdog-action", "inject-nmi"):
        with Server(*options, "--run", guest=guest) as s:
            s.wait_errors(DEAF)
            c = s.client()
            if "ib700" in options:
                c.ask("Z2,9000,4")
                for _ in range(3):
                    contains(c.ask("c"), "watch:")
                equal(c.memory(0x9000, 4)[0], 3, "NMIs that it went on by")
            equal(s.errors.count("interrupts disabled"), 1, s.errors)
            contains(s.errors, r"gets it on \(monitor system_reset\)")
    # Where nobody can come, nobody is sent to the monitor.
    p = subprocess.Popen([HINDCAST, "--run", "--listen", "none", "--serial", "none", guest], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        contains(p.stderr.readline(), DEAF + r".* gets it on \(hindcast waits for that; Ctrl-C ends it\)")
    finally:
        p.kill()
        p.communicate()


def claim_a_guest_that_waits_for_interrupts_is_not_called_deaf():
    awake_soon = """
        sti
1:      hlt
        jmp 1b
"""
    with Server("--run", "--smp", "2", guest=build_guest(awake_soon)) as s:
        time.sleep(1)
        c = s.client()
        contains(c.monitor("info cpus"), "halted")
        check("interrupts disabled" not in s.errors, s.errors)


if __name__ == "__main__":
    harness.main(sys.modules[__name__], (harness.I386,))
