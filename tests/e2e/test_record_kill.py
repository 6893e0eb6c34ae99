#!/usr/bin/env python3
"""Writers of recordings, killed at random moments.

HINDCAST_KILLS says how often (default 16; 6 in a sanitizer build).
"""

import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time

import harness
import hcrec
from harness import SLOW, Server, build_guest, check, equal, contains, patience

# How old the end of a file may be, in seconds; instrumented code is late with everything.
OLD = 2.0 if harness.sanitized() else 1.0
# A writer that the host does not let run, or whose disk is busy, is late too: in one round of so many, that is passed over.
LATE = 10
ROUNDS = int(os.environ.get("HINDCAST_KILLS", "6" if harness.sanitized() else "16"))

# Does nothing but sleep and wake up, and shows a letter at each fourth tick of the timer (18.2 Hz).
SLEEPER = """
    cli
    mov     $stack, %esp
    lgdt    gdtr
    ljmp    $8, $1f
1:  mov     $16, %eax
    mov     %eax, %ds
    mov     %eax, %es
    mov     %eax, %ss
    mov     $tick, %eax
    mov     %ax, idt + 8 * 32
    shr     $16, %eax
    mov     %ax, idt + 8 * 32 + 6
    lidt    idtr
    mov     $0x11, %al
    out     %al, $0x20
    mov     $0x20, %al
    out     %al, $0x21
    mov     $0x04, %al
    out     %al, $0x21
    mov     $0x01, %al
    out     %al, $0x21
    mov     $0xfe, %al
    out     %al, $0x21
    mov     $0x34, %al
    out     %al, $0x43
    xor     %eax, %eax
    out     %al, $0x40
    out     %al, $0x40
    sti
2:  hlt
    jmp     2b
tick:
    incl    %ecx
    test    $3, %ecx
    jnz     3f
    mov     %ecx, %eax
    shr     $2, %eax
    and     $15, %eax
    add     $97, %eax
    mov     $0x3f8, %edx
    out     %al, %dx
3:  mov     $0x20, %al
    out     %al, $0x20
    iret
    .data
    .balign 8
gdt:  .quad 0, 0x00cf9a000000ffff, 0x00cf92000000ffff
gdtr: .word 23
      .long gdt
idtr: .word 8 * 33 - 1
      .long idt
    .balign 8
idt:  .fill 32, 8, 0
      .word 0, 8, 0x8e00, 0
    .bss
    .skip 4096
stack:
"""

# Computes without end; what is typed goes into the sum; shows a letter of it now and then.
GUEST = """
    cli
    mov     $0x1234567, %esi
    xor     %ecx, %ecx
1:  imul    $1664525, %esi, %esi
    add     $1013904223, %esi
    mov     %ecx, %ebx
    and     $0xffff, %ebx
    mov     %esi, table(, %ebx, 4)
    inc     %ecx
    test    $0x3fff, %ecx
    jnz     1b
    mov     $0x3fd, %edx
    in      %dx, %al
    test    $1, %al
    jz      2f
    mov     $0x3f8, %edx
    in      %dx, %al
    movzbl  %al, %eax
    xor     %eax, %esi
2:  test    $0x3ffff, %ecx
    jnz     1b
    mov     $0x3f8, %edx
    mov     %esi, %eax
    shr     $20, %eax
    and     $15, %eax
    add     $97, %eax
    out     %al, %dx
    jmp     1b
    .bss
    .balign 4096
table: .skip 0x40000
"""


class Writer:
    """A process that records and will be killed; what it showed, and when."""

    def __init__(self, name, guest, *options):
        self.shown = []
        self.process = subprocess.Popen(
            [harness.HINDCAST, "--run", "--listen", "none", "--serial", "stdio", "--record", name, *options, guest],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        while True:
            data = os.read(self.process.stdout.fileno(), 65536)
            if not data:
                return
            self.shown.append((time.monotonic(), data))

    def live(self, seconds):
        """Type at random moments, until the end."""
        end = time.monotonic() + seconds
        while True:
            pause = random.uniform(0.01, 0.3)
            if time.monotonic() + pause > end:
                time.sleep(max(0, end - time.monotonic()))
                break
            time.sleep(pause)
            self.process.stdin.write(bytes(random.choices(b"abcdefgh0123", k=random.choice((1, 1, 2, 5)))))
            self.process.stdin.flush()
        self.killed = time.monotonic()
        self.process.kill()
        self.process.wait()
        self.reader.join(10)

    def before(self, seconds):
        """What it had shown that long before it was killed."""
        return b"".join(data for when, data in self.shown if when <= self.killed - seconds)


def verify(name):
    p = subprocess.run([harness.HINDCAST, "verify", name], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, timeout=patience(60))
    out = p.stdout.decode()
    equal(p.returncode, 0, "verify: " + out)
    return out


def straight_run(guest, recording):
    """A guest that nothing is recorded of, given the same bytes at the same positions. Compares its states with the
    recorded hashes and gives back what it has shown at the recording's end."""
    places = {position: state for position, _, state in recording.hashes}
    inputs = {}
    for position, _, kind, _, data in recording.events:
        equal(kind, 1, "kind of event")
        inputs[position] = inputs.get(position, b"") + data
    with Server("--icount", "sleep=off", guest=guest, serial="stdio") as s:
        rsp = s.client()
        for place in sorted(set(places) | set(inputs) | {recording.edge}):
            if place > rsp.position():
                rsp.monitor("replay_break %d" % place)
                rsp.ask("c")
                rsp.monitor("replay_delete_break")
            equal(rsp.position(), place, "went to")
            if place in places:
                contains(rsp.monitor("info hash").splitlines()[0], places[place])
            if place in inputs:
                rsp.monitor("serial " + "".join("\\x%02x" % byte for byte in inputs[place]))
        rsp.close()
    return s.whole_output()


class Ages:
    """How old the ends of files were: too old at most once in LATE rounds."""

    def __init__(self):
        self.late = []

    def agree(self, shown, again, old):
        """The file's console, and what had been seen of the process: all but the last second of it."""
        check(shown.startswith(again) or again.startswith(shown),
              "what was shown is not what is recorded: %r, %r" % (shown[-200:], again[-200:]))
        self.young(again.startswith(old), "shown a second before the end: %d bytes; in the recording: %d" %
                   (len(old), len(again)))

    def young(self, condition, what):
        if not condition:
            self.late.append(what)
            print("     late: " + what, flush=True)

    def check(self, rounds):
        check(len(self.late) <= max(1, rounds // LATE), "%d of %d files were too old: %s" % (len(self.late), rounds, self.late))


def claim_what_killed_writers_leave_agrees_with_a_straight_run():
    guest = build_guest(GUEST)
    directory = tempfile.mkdtemp(prefix="hindcast-kill-")
    hashes = events = 0
    ages = Ages()
    for n in range(ROUNDS):
        name = os.path.join(directory, "%d.hcrec" % n)
        options = ["--icount", "sleep=off"] + (["--checkpoints-in-file", "every=20M"] if n % 3 == 0 else [])
        writer = Writer(name, guest, *options)
        # Also before there is anything, and late enough for something to be a second old.
        writer.live(random.uniform(*random.choice(((0.02, 0.2), (0.2, 1.0), (0.2, 1.0), (1.1, 1.8)))) * SLOW)
        check(os.path.exists(name) or not writer.shown, "shown, and no file")
        if not os.path.exists(name) or os.path.getsize(name) < 16:
            continue  # it had not begun
        recording = hcrec.load(name)
        if recording.edge is None:
            ages.young(not writer.before(OLD), "a second old, and nothing recorded")
            continue
        out = verify(name)
        check(not recording.closed)
        contains(out, r"was not closed")
        contains(out, r"what is good of the recording replays, to position %d: %d state hashes agree" %
                 (recording.edge, len(recording.hashes)))
        ages.agree(writer.before(0), straight_run(guest, recording), writer.before(OLD))
        hashes += len(recording.hashes)
        events += len(recording.events)
        os.unlink(name)
    print("     %d rounds, %d states and %d inputs compared" % (ROUNDS, hashes, events))
    ages.check(ROUNDS)
    shutil.rmtree(directory)


def claim_the_same_of_a_guest_that_sleeps():
    guest = build_guest(SLEEPER)
    directory = tempfile.mkdtemp(prefix="hindcast-kill-")
    ages = Ages()
    rounds = max(2, ROUNDS // 10)
    for n in range(rounds):
        name = os.path.join(directory, "%d.hcrec" % n)
        writer = Writer(name, guest)
        writer.live(random.uniform(1.2, 2.2) * SLOW)
        verify(name)
        p = subprocess.run([harness.HINDCAST, "--replay", name, "--run", "--listen", "none", "--serial", "stdio"],
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        check(len(writer.before(0)) >= 3, "it did not tick: %r" % writer.before(0))
        ages.agree(writer.before(0), p.stdout, writer.before(OLD))
        ages.young(hcrec.load(name).edge_vtime > (writer.killed - writer.shown[0][0] - OLD) * 1e9, "its clock is old")
        os.unlink(name)
    ages.check(rounds)
    shutil.rmtree(directory)


if __name__ == "__main__":
    harness.main(sys.modules[__name__])
