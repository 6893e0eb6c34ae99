"""How a guest ends is told wherever one comes to its end: at the live edge, in the past, from a checkpoint, and out of a recording."""
import os
import shutil
import subprocess
import sys
import tempfile

import harness
from harness import Server, build_guest, check, contains, equal, gdb

COUNT = """
        movl $20, %%ecx
1:      incl counter
        decl %%ecx
        jnz 1b
        %s
        .data
counter: .long 0
        .text
"""
# #UD without a gate, so #GP, #DF, and the CPU shuts down.
TRIPLE = COUNT % """movl $300000, %ecx
2:      decl %ecx
        jnz 2b
        lidt nothing
last:   ud2
        .data
nothing: .word 0
        .long 0
        .text"""
PAUSED = "movw $0x443, %dx\nmovb $14, %al\noutb %al, %dx\n1: hlt\njmp 1b"
# Guest, options, what is said of it, status.
ENDS = {
    "poweroff": (COUNT % "movw $0x604, %dx\nmovw $0x2000, %ax\noutw %ax, %dx", (), "the guest powered off", 0),
    "debug-exit": (COUNT % "movb $7, %al\noutb %al, $0xf4", ("--debug-exit", "0xf4"),
                   "the guest ended itself through the debug-exit port with status 15", 15),
    "triple": (TRIPLE.replace("300000", "3"), (), r"the guest triple-faulted by #GP \(error code 0x43\) when #DF was delivered", 3),
    "reset": (COUNT % "movb $0xfe, %al\noutb %al, $0x64\n3: jmp 3b", ("--no-reboot",), "the guest asked for a reset", 3),
    "watchdog": (PAUSED, ("--device", "ib700,action=pause", "--icount", "sleep=off"), "the guest's watchdog has run out", 3),
}
VIRT_SOURCE = """
volatile unsigned counter;
int main(void)
{
    for (unsigned i = 0; i < 20; i++)
        counter++;
    __asm__ volatile("%s" : : : "x0", "x1", "memory");
    return 0;
}
"""
VIRT_ENDS = {
    "off": ("ldr x0, =0x84000008; hvc #0", (), "the guest powered off", 0),
    "exit": ("mov x0, #9; str x0, [sp, #-16]!; mov x0, #0x26; movk x0, #2, lsl #16; str x0, [sp, #-16]!; ldr x1, [sp, #16]; str x1, [sp, #8];"
             "mov x1, sp; mov x0, #0x20; hlt #0xf000", ("--semihosting",), "the guest's program exited with status 9", 9),
}
SIGPWR = "T20"


def stands_at_its_end(rsp, text, position):
    rsp.console = ""
    reply = rsp.ask("c")
    check(reply.startswith(SIGPWR), reply)
    said = rsp.console
    equal(rsp.position(), position)
    contains(said, r"%s at position %d; it can go backwards" % (text, position))
    contains(rsp.monitor("info status"), "shutdown.*%s" % text.split(" with")[0])


def replays_as_it_ended(name, guest, options, text, status):
    with tempfile.TemporaryDirectory() as d:
        recording = os.path.join(d, "r")
        with Server("--record", recording, "--embed", *options, guest=guest) as s:
            rsp = s.client()
            rsp.ask("c")
            position = rsp.position()
            rsp.ask("bs")
            stands_at_its_end(rsp, text, position)
            rsp.close()
        for more in (), ("--engine", "interpreter"):
            with Server("--replay", recording, *more, guest=None) as s:
                rsp = s.client()
                stands_at_its_end(rsp, text, position)
                stands_at_its_end(rsp, text, position)
                rsp.ask("bs")
                stands_at_its_end(rsp, text, position)
                rsp.monitor("seek %d" % (position - 2))
                rsp.ask("c")
                reply = None
                while rsp.position() < position:
                    reply = rsp.ask("s")
                check(reply.startswith(SIGPWR), name, reply)
                rsp.close()
        done = subprocess.run([harness.HINDCAST, "--replay", recording, "--run", "--listen", "none"], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=harness.patience(60))
        contains(done.stderr.decode(), "%s at position %d" % (text, position))
        equal(done.returncode, status, name)
        equal(subprocess.run([harness.HINDCAST, "verify", recording], stdout=subprocess.DEVNULL).returncode, 0)


def claim_a_replay_ends_as_the_guest_did():
    for name, (source, options, text, status) in ENDS.items():
        replays_as_it_ended(name, build_guest(source, name), options, text, status)


def claim_a_replay_of_virt_ends_as_the_guest_did():
    if harness.AARCH64.missing() or not shutil.which("aarch64-linux-gnu-gcc"):
        return
    harness.target = harness.AARCH64
    try:
        for name, (source, options, text, status) in VIRT_ENDS.items():
            guest = harness.build_c_guest(VIRT_SOURCE % source, name)[1]
            replays_as_it_ended(name, guest, ("--machine", "virt") + options, text, status)
    finally:
        harness.target = harness.I386


# A SIPI starts the second CPU in real mode at 8000h: LIDT CS:[FF00h], where zeros are, and UD2. The first one works on.
STARTS_ANOTHER = """
        cli
        movl $0x1e010f2e, 0x8000
        movl $0x0b0fff00, 0x8004
        movl $0xfee00300, %ebx
        movl $0xc4500, (%ebx)           # INIT
        movl $20000, %ecx
1:      loop 1b
        movl $0xc4608, (%ebx)           # SIPI
2:      jmp 2b
"""


def claim_a_triple_fault_is_told_of_the_cpu_whose_it_is():
    guest = build_guest(STARTS_ANOTHER, "another")
    smp = ("--smp", "2", "--interleave", "quantum=10000")
    with Server(*smp, guest=guest) as s:
        rsp = s.client()
        rsp.ask("qSupported:swbreak+;vContSupported+")
        contains(rsp.ask("vCont;c"), "^T20.*thread:2;")
        contains(rsp.monitor("info status"), r"the guest triple-faulted on CPU #1 by #GP \(error code 0x43\) when #DF was delivered")
        where = rsp.position()
        rsp.ask("bs")
        contains(rsp.ask("vCont;c"), "^T20.*thread:2;")
        equal(rsp.position(), where)
        rsp.close()
    # Who comes when it has happened finds that CPU, too.
    with Server("--run", *smp, guest=guest) as s:
        s.wait_errors(r"triple-faulted on CPU #1")
        out = gdb(s, ["info threads", "thread"], symbols=guest)
        contains(out, r"triple-faulted on CPU #1")
        contains(out, r"Current thread is 2")


def claim_a_triple_fault_that_history_went_past_stops_it_again():
    guest = build_guest(TRIPLE, "triple")
    with tempfile.TemporaryDirectory() as d:
        recording = os.path.join(d, "r")
        ends = []
        with Server("--record", recording, "--embed", guest=guest) as s:
            rsp = s.client()
            for _ in range(3):
                check(rsp.ask("c").startswith("T"))
                contains(rsp.monitor("info status"), "triple-faulted")
                ends.append(rsp.position())
            rounds(rsp, ends)
            rsp.close()
        with Server("--replay", recording, guest=None) as s:
            rsp = s.client()
            rounds(rsp, ends)
            rsp.close()


def rounds(rsp, ends):
    """Forward from the beginning: all of them, however one goes, and what a query has made known of the way makes no difference."""
    for again in range(2):
        rsp.monitor("seek 0")
        rsp.ask("c")
        for end in ends:
            rsp.ask("c")
            equal(rsp.position(), end, "where")
            contains(rsp.monitor("info status"), "triple-faulted")
        for end in ends[:2]:
            rsp.monitor("seek %d" % (end - 1))
            rsp.ask("c")
            check(rsp.ask("s").startswith(SIGPWR))
            equal(rsp.position(), end, "where")
            check(rsp.ask("s").startswith("T05"))
            equal(rsp.position(), end + 2)  # the reset, and an instruction
            rsp.ask("bs")
        lines = rsp.monitor("exceptions").splitlines()[:-1]
        equal([(int(line.split()[0][9:]), line.split("name=")[1].split()[0], "taken=no" in line) for line in lines],
              [(end - 1, name, True) for end in ends for name in ("#UD", "#GP", "#DF", "#GP")])
        equal([int(line.split()[0][9:]) for line in rsp.monitor("exceptions #DF").splitlines()[:-1]], [end - 1 for end in ends])


def claim_gdb_is_told_of_each():
    guest = build_guest(TRIPLE, "triple")
    with Server(guest=guest) as s:
        out = gdb(s, "continue\ncontinue\nmonitor seek 0\ncontinue\ncontinue\nmonitor when", symbols=guest)
    equal(out.count("SIGPWR"), 3, out)
    contains(out, r"^position 600064, .* before the live edge at 1200129")


if __name__ == "__main__":
    harness.main(sys.modules[__name__])
