"""Every kind of query against an oracle that stands at each position and looks: guests in assembly for i386, x86-64 and aarch64,
with interrupts, system calls, exceptions and user mode on one CPU, and another CPU that counts beside it."""
import atexit
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile

import harness
from harness import SOURCE as TREE, Server, build_guest, check, contains, equal, symbol

# What the CPU does that is started second, in real mode.
TRAMPOLINE = """
        .code16
trampoline:
        xorw %ax, %ax
        movw %ax, %ds
1:      incw 0x9000
        jmp 1b
trampoline_end:
"""
# The PIC and the PIT: IRQ 0 each 1.7 us; then INIT and SIPI to the other CPU.
CHIPS = """
        movb $0x11, %al
        outb %al, $0x20
        movb $0x20, %al
        outb %al, $0x21
        movb $4, %al
        outb %al, $0x21
        movb $1, %al
        outb %al, $0x21
        movb $0xfe, %al
        outb %al, $0x21
        movb $0x34, %al
        outb %al, $0x43
        movb $2, %al
        outb %al, $0x40
        xorb %al, %al
        outb %al, $0x40
        movl $trampoline, %esi
        movl $0x8000, %edi
        movl $trampoline_end - trampoline, %ecx
        rep movsb
        movl $0xfee00300, %edi
        movl $0xc4500, (%edi)
        movl $0xc4608, (%edi)
"""
DATA = """
        .data
        .balign 64
counter: .long 0
seen:   .long 0
ticks:  .long 0
        .balign 8
magic:  .quad 0
table:  .skip 32
"""
I386 = """
        .globl tick, system, undefined, user
        .macro gate vector, handler, kind
        movl $\\handler, %eax
        movw %ax, idt + 8 * \\vector
        movw $8, idt + 8 * \\vector + 2
        movw $\\kind, idt + 8 * \\vector + 4
        shrl $16, %eax
        movw %ax, idt + 8 * \\vector + 6
        .endm
        cli
        movl $stack, %esp
        lgdt gdt_pointer
        ljmp $8, $1f
1:      movw $0x10, %ax
        movw %ax, %ss
        movw %ax, %ds
        movw %ax, %es
        movl $tss, %eax
        movw %ax, gdt + 0x2a
        shrl $16, %eax
        movb %al, gdt + 0x2c
        movl $stack, tss + 4
        movl $0x10, tss + 8
        movw $0x28, %ax
        ltr %ax
        gate 6, undefined, 0x8e00
        gate 0x20, tick, 0x8e00
        gate 0x80, system, 0xee00
        lidt idt_pointer
""" + CHIPS + """
        movw $0x23, %ax
        movw %ax, %ds
        movw %ax, %es
        pushl $0x23
        pushl $user_stack
        pushl $0x202
        pushl $0x1b
        pushl $user
        iretl
tick:   pushl %eax
        incl ticks
        movb $0x20, %al
        outb %al, $0x20
        popl %eax
        iretl
system: leal 100(%ebx), %eax
        iretl
undefined:
        addl $2, (%esp)
        iretl
user:
touch1: incl counter
touch2: movl counter, %eax
        movl %eax, %esi
        andl $7, %esi
        movl %eax, table(, %esi, 4)
        testl $3, %eax
        jnz 2f
        movl $20, %eax
        movl %esi, %ebx
        int $0x80
        movl %eax, seen
        movl $0xedcba987, %ecx
        notl %ecx
        movl %ecx, magic
2:
touch3: testl $7, counter
        jnz user
        ud2
        jmp user
""" + TRAMPOLINE + """
        .code32
""" + DATA + """
        .balign 8
gdt:    .quad 0, 0x00cf9a000000ffff, 0x00cf92000000ffff, 0x00cffa000000ffff, 0x00cff2000000ffff, 0x0000890000000067
gdt_pointer:
        .word . - gdt - 1
        .long gdt
idt_pointer:
        .word 8 * 0x81 - 1
        .long idt
        .bss
        .balign 16
idt:    .skip 8 * 0x81
tss:    .skip 0x68
        .skip 1024
stack:  .skip 1024
user_stack:
"""
AMD64 = """
        .globl tick, system, undefined, user
        .macro gate vector, handler
        movl $\\handler, %eax
        movw %ax, idt + 16 * \\vector(%rip)
        movw $8, idt + 16 * \\vector + 2(%rip)
        movw $0x8e00, idt + 16 * \\vector + 4(%rip)
        shrl $16, %eax
        movw %ax, idt + 16 * \\vector + 6(%rip)
        .endm
        .macro msr number, low, high
        movl $\\number, %ecx
        movl $\\low, %eax
        movl $\\high, %edx
        wrmsr
        .endm
        cli
        movl $stack, %esp
        lgdt gdt_pointer
        movl $pdpt + 7, pml4
        movl $low + 7, pdpt
        movl $high + 7, pdpt + 24
        movl $0x87, low
        movl $0xfee00087, high + 8 * 0x1f7
        movl $pml4, %eax
        movl %eax, %cr3
        movl $0x20, %eax
        movl %eax, %cr4
        msr 0xc0000080, 0x101, 0
        movl $0x80000011, %eax
        movl %eax, %cr0
        ljmp $8, $long_mode
        .code64
long_mode:
        movw $0x10, %ax
        movw %ax, %ss
        movw %ax, %ds
        movw %ax, %es
        movl $tss, %eax
        movw %ax, gdt + 0x32(%rip)
        shrl $16, %eax
        movb %al, gdt + 0x34(%rip)
        movl $stack, tss + 4(%rip)
        movw $0x30, %ax
        ltr %ax
        gate 6, undefined
        gate 0x20, tick
        lidt idt_pointer(%rip)
        msr 0xc0000081, 0, 0x00180008
        msr 0xc0000082, system, 0
        msr 0xc0000084, 0x200, 0
""" + CHIPS + """
        pushq $0x23
        movl $user_stack, %eax
        pushq %rax
        pushq $0x202
        pushq $0x2b
        movl $user, %eax
        pushq %rax
        iretq
tick:   pushq %rax
        incl ticks(%rip)
        movb $0x20, %al
        outb %al, $0x20
        popq %rax
        iretq
system: leaq 100(%rdi), %rax
        sysretq
undefined:
        addq $2, (%rsp)
        iretq
user:
touch1: incl counter(%rip)
touch2: movl counter(%rip), %eax
        movl %eax, %esi
        andl $7, %esi
        leaq table(%rip), %rdx
        movl %eax, (%rdx, %rsi, 4)
        testl $3, %eax
        jnz 2f
        movl $20, %eax
        movl %esi, %edi
        syscall
        movl %eax, seen(%rip)
        movl $0xedcba987, %ecx
        notl %ecx
        movl %ecx, magic(%rip)
2:
touch3: testl $7, counter(%rip)
        jnz user
        ud2
        jmp user
""" + TRAMPOLINE + """
        .code32
""" + DATA + """
        .balign 8
gdt:    .quad 0, 0x00af9a000000ffff, 0x00cf92000000ffff, 0x00cffa000000ffff, 0x00cff2000000ffff, 0x00affa000000ffff
        .quad 0x0000890000000067, 0
gdt_pointer:
        .word . - gdt - 1
        .long gdt
idt_pointer:
        .word 16 * 0x21 - 1
        .long idt, 0
        .bss
        .balign 4096
pml4:   .skip 4096
pdpt:   .skip 4096
low:    .skip 4096
high:   .skip 4096
idt:    .skip 16 * 0x21
tss:    .skip 0x68
        .balign 16
        .skip 1024
stack:  .skip 1024
user_stack:
"""
AARCH64 = """
        .text
        .globl _start, tick, system, undefined, user
_start: mrs x0, mpidr_el1
        and x0, x0, #0xff
        cbnz x0, second
        ldr x0, =0xc4000003     // PSCI CPU_ON: the other CPU comes here, too
        mov x1, #1
        adr x2, _start
        mov x3, #0
        hvc #0
        ldr x0, =vectors
        msr vbar_el1, x0
        ldr x0, =0x08000000     // GICv2: the virtual timer's PPI
        mov w1, #1
        str w1, [x0]
        mov w1, #1 << 27
        str w1, [x0, #0x100]
        ldr x0, =0x08010000
        mov w1, #0xff
        str w1, [x0, #4]
        mov w1, #1
        str w1, [x0]
        mov x1, #90
        msr cntv_tval_el0, x1
        mov x1, #1
        msr cntv_ctl_el0, x1
        ldr x0, =user
        msr elr_el1, x0
        msr spsr_el1, xzr
        isb
        eret
second: ldr x9, =counter2
1:      ldr w1, [x9]
        add w1, w1, #1
        str w1, [x9]
        b 1b
user:   ldr x20, =counter
        ldr x21, =table
        ldr x22, =seen
        ldr x23, =magic
1:
touch1: ldr w1, [x20]
        add w1, w1, #1
touch2: str w1, [x20]
        and w2, w1, #7
        str w1, [x21, x2, lsl #2]
        tst w1, #3
        b.ne 2f
        mov x8, #20
        mov w0, w2
        svc #0
        str w0, [x22]
        ldr w3, =0xedcba987
        mvn w3, w3
        str w3, [x23]
2:      tst w1, #7
        b.ne 1b
        .inst 0
        b 1b
        .ltorg
        .balign 2048
vectors:
        .skip 0x400
lower:  mrs x9, esr_el1
        lsr x9, x9, #26
        cmp x9, #0x15
        b.ne undefined
system: add x0, x0, #100
        eret
undefined:
        mrs x9, elr_el1
        add x9, x9, #4
        msr elr_el1, x9
        eret
        .balign 128
tick:   ldr x9, =0x08010000
iar:    ldr w10, [x9, #0xc]
        mov x11, #90
        msr cntv_tval_el0, x11
        ldr x11, =ticks
        ldr w12, [x11]
        add w12, w12, #1
        str w12, [x11]
eoir:   str w10, [x9, #0x10]
        eret
        .ltorg
""" + DATA.replace("table:", "counter2: .quad 0\ntable:")
# Some nanoseconds for each step, so that timers are not far away.
ICOUNT = ("--icount", "shift=4,sleep=off")


class Arch:
    def __init__(self, name, source, target, options, touches):
        self.name, self.source, self.target, self.options, self.touches = name, source, target, options, touches
        self.elf, self.symbols = None, {}

    def guest(self):
        if not self.elf and self.target is harness.I386:
            self.elf = build_guest(self.source, "oracle-" + self.name)
        elif not self.elf:
            directory = tempfile.mkdtemp(prefix="hindcast-guest-")
            atexit.register(shutil.rmtree, directory, True)
            self.elf = os.path.join(directory, "oracle.elf")
            with open(self.elf + ".S", "w") as f:
                f.write(self.source)
            subprocess.run(["aarch64-linux-gnu-gcc", "-nostdlib", "-static", "-g", "-Wl,--build-id=none", "-Wl,-z,max-page-size=4096",
                            "-T", os.path.join(TREE, "examples", "stale-pointer", "aarch64", "link.ld"), "-o", self.elf, self.elf + ".S"],
                           check=True)
        return self.elf

    def at(self, name):
        if name not in self.symbols:
            self.symbols[name] = symbol(self.guest(), name)
        return self.symbols[name]

    def other(self):
        """What the second CPU counts in."""
        return (self.at("counter2"), 4) if self.name == "aarch64" else (0x9000, 2)


ARCHS = (Arch("i386", I386, harness.I386, (), 3), Arch("x86-64", AMD64, harness.I386, ("--cpu", "qemu64"), 3),
         Arch("aarch64", AARCH64, harness.AARCH64, ("--machine", "virt"), 2))


class Look:
    """A CPU at a position; `pc` as answers have it: linear."""

    def __init__(self, arch, raw, cpu):
        self.raw = raw[:268] if arch.name == "aarch64" else raw  # without what the clock changes
        if arch.name == "i386":
            self.value, _, _, _, _, _, self.arg, _, self.pc, _, cs = struct.unpack_from("<11I", raw)
            self.arg = struct.unpack_from("<I", raw, 12)[0]
            self.user = cs & 3 == 3 and not cpu
        elif arch.name == "x86-64":
            values = struct.unpack_from("<17Q", raw)
            self.value, self.arg, self.pc = values[0], values[5], values[16]
            self.user = struct.unpack_from("<I", raw, 17 * 8 + 4)[0] & 3 == 3 and not cpu
        else:
            values = struct.unpack_from("<33Q", raw)
            self.value, self.arg, self.pc = values[1], values[0], values[32]
            self.user = struct.unpack_from("<I", raw, 264)[0] & 0xf == 0
        # The other CPU of a PC is in real mode, where it was started.
        self.pc += 0x8000 if cpu and arch.name != "aarch64" else 0


class Oracle:
    """All positions up to `steps`, and what is asked of them."""

    def __init__(self, arch, cpus):
        self.arch, self.cpus, self.steps = arch, cpus, 350 + 250 * cpus
        self.server = Server(*ICOUNT, *arch.options, "--smp", str(cpus), "--interleave", "quantum=7,seed=5", guest=arch.guest())
        self.rsp = self.server.client()
        self.places = {name: (arch.at(name), size) for name, size in
                       (("counter", 4), ("seen", 4), ("ticks", 4), ("magic", 8), ("table", 32))}
        self.places["other"] = arch.other()
        self.looks, self.memory = [], []
        self.rsp.monitor("seek %d" % (self.steps + 300))
        self.rsp.ask("c")
        equal(self.rsp.position(), self.steps + 300)
        for p in range(self.steps + 1):
            self.rsp.monitor("seek %d" % p)
            self.rsp.ask("c")
            self.looks.append([])
            for cpu in range(cpus):
                self.rsp.ask("Hg%x" % (cpu + 1))
                self.looks[p].append(Look(arch, bytes.fromhex(self.rsp.registers()), cpu))
            self.memory.append({name: self.rsp.memory(*place) for name, place in self.places.items()})
        self.rsp.ask("Hg1")
        # Whose step each is: whose registers change (every instruction here moves the PC, but for a repeated one's steps).
        self.who = [next((c for c in range(cpus) if before[c].raw != after[c].raw), 0)
                    for before, after in zip(self.looks, self.looks[1:])]

    def close(self):
        self.rsp.close()
        self.server.close()

    def ask(self, query, words="", condition=""):
        text = self.rsp.monitor("%s --json to %d %s%s" % (query, self.steps, words, " if " + condition if condition else ""))
        lines = [json.loads(line) for line in text.splitlines()]
        check(lines[-1]["end"] in ("all", "limit"), text)
        return lines[:-1]

    def pc(self, p, after=0):
        return self.looks[p + after][self.who[p]].pc

    def number(self, p, name):
        return int.from_bytes(self.memory[p][name], "little")

    def changes(self, name):
        return [p for p in range(self.steps) if self.memory[p][name] != self.memory[p + 1][name]]

    def entries(self, handler, user=True):
        """Steps by which a CPU comes to a handler."""
        return [p for p in range(self.steps) if self.pc(p, 1) == self.arch.at(handler) and self.pc(p) != self.arch.at(handler) and
                self.looks[p][self.who[p]].user == user]


def unhex(text):
    return int(text, 16)


def same(oracle, query, positions, condition=""):
    """It answers with these, in either order, by any number of threads; each with its CPU and instruction."""
    answers = oracle.ask(query, condition=condition)
    equal([x["position"] for x in answers], positions, query)
    for x in answers:
        equal((x["cpu"], unhex(x["pc"])), (oracle.who[x["position"]], oracle.pc(x["position"])), (query, x))
    equal(oracle.ask(query, "threads 1", condition), answers, query)
    back = oracle.ask(query, "newest first", condition)
    equal([x["position"] for x in back], positions[::-1], query)
    if len(positions) > 2:
        equal(oracle.ask(query, "limit 2", condition), answers[:2], query)
        equal(oracle.ask(query, "from %d" % positions[1], condition), answers[1:], query)
    return answers


def accesses(o):
    for name in ("counter", "seen", "ticks", "magic") + ("other",) * (o.cpus > 1):
        address, size = o.places[name]
        positions = o.changes(name) if name != "seen" and name != "magic" else None
        if positions is None:
            # Whoever writes what was there already writes, too.
            positions = [x["position"] for x in o.ask("writes %#x %d" % (address, size))]
            check(set(o.changes(name)) <= set(positions), name)
        check(positions, "nothing changes %s: the test is none" % name)
        for prefix in ("phys:", "", "virt:") if name != "other" or o.arch.name == "aarch64" else ("phys:",):
            for x in same(o, "writes %s%#x %d" % (prefix, address, size), positions):
                equal((unhex(x["old"]), unhex(x["new"])), (o.number(x["position"], name), o.number(x["position"] + 1, name)), x)
    touches = {o.arch.at("touch%d" % (n + 1)) for n in range(o.arch.touches)}
    touched = [p for p in range(o.steps) if o.who[p] == 0 and o.pc(p) in touches and o.pc(p, 1) != o.arch.at("tick")]
    for prefix in "phys:", "":
        answers = o.ask("accesses %s%#x" % (prefix, o.places["counter"][0]))
        equal(sorted({x["position"] for x in answers}), touched)
        equal([x["position"] for x in answers if x["kind"] == "write"], o.changes("counter"))


def again(o):
    """Fields that share a page, in any order: what is known of it by now leaves nothing out."""
    order = random.Random(11)
    for _ in range(25):
        name = order.choice(("counter", "ticks", "table"))
        address, size = o.places[name]
        first, last = sorted((order.randrange(size), order.randrange(size)))
        part = slice(first, last + 1)
        since = order.choice((0, order.randrange(o.steps)))
        found = {x["position"] for x in o.ask("writes %s%#x %d from %d" % (order.choice(("", "phys:", "virt:")), address + first, last + 1 - first, since))}
        changed = {p for p in o.changes(name) if p >= since and o.memory[p][name][part] != o.memory[p + 1][name][part]}
        check(changed <= found and found <= set(o.changes(name)), (name, first, last, since, changed ^ found))


def conditions(o):
    register = {"i386": "$eax", "x86-64": "$rax", "aarch64": "$x1"}[o.arch.name]
    written = o.changes("table")
    check(len(written) > 12, written)
    for condition, holds in (("%s %% 2 == 1", lambda v: v % 2 == 1), ("(%s & 6) == 2", lambda v: v & 6 == 2), ("%s > 1000000", lambda v: False)):
        same(o, "writes phys:%#x 32" % o.places["table"][0],
             [p for p in written if holds(o.looks[p + 1][o.who[p]].value)], condition % register)
    memory = "*(int*)%#x > 5" % o.places["counter"][0]
    same(o, "writes %#x 32" % o.places["table"][0], [p for p in written if o.number(p + 1, "counter") > 5], memory)
    same(o, "interrupts", [p for p in o.entries("tick") if o.number(p + 1, "counter") > 5], memory)


def values(o):
    for compare, holds in (("== 10", lambda v: v == 10), ("> 12", lambda v: v > 12), ("!= 0", lambda v: v != 0)):
        same(o, "when-value phys:%#x %s" % (o.places["counter"][0], compare),
             [p for p in range(o.steps) if holds(o.number(p + 1, "counter")) and not holds(o.number(p, "counter"))])
    found = o.ask("find %s" % struct.pack("<I", 0xedcba987 ^ 0xffffffff).hex())
    first = o.changes("magic")[0]
    equal([(x["position"], unhex(x["address"])) for x in found], [(first, o.places["magic"][0])])


def events(o):
    ticks = o.entries("tick")
    check(len(ticks) >= 3, ticks)
    for x in same(o, "interrupts", ticks):
        if o.arch.name != "aarch64":
            equal(unhex(x["number"]), 0x20)
    undefined = o.entries("undefined") if o.arch.name != "aarch64" else \
        [p for p in o.entries("lower") if o.rsp_word(o.pc(p)) == 0]
    check(len(undefined) >= 2, undefined)
    same(o, "exceptions %s" % ("undefined" if o.arch.name == "aarch64" else "#UD"), undefined)
    system = o.entries("system") if o.arch.name != "aarch64" else [p for p in o.entries("lower") if p not in undefined]
    check(len(system) >= 3, system)
    # INT n and SVC are among the exceptions, SYSCALL is none.
    same(o, "exceptions", sorted(undefined + (system if o.arch.name != "x86-64" else [])))
    calls = same(o, "syscalls", system)
    same(o, "syscalls 20", system)
    same(o, "syscalls 21", [])
    for x in calls:
        equal((x["number"], unhex(x["arg0"])), (20, o.looks[x["position"]][0].arg), x)
        if x["returned"] == "no":
            continue
        back = next(p for p in range(x["position"] + 1, o.steps) if o.looks[p][0].user)
        equal((x["returned"], unhex(x["result"])), (back, o.looks[x["position"]][0].arg + 100), x)
    switches = [p for p in range(o.steps) if any(a.user != b.user for a, b in zip(o.looks[p], o.looks[p + 1]))]
    answers = o.ask("mode-switches")
    equal([x["position"] for x in answers if ("3" in x["new"][-1:] or x["new"] == "EL0") != ("3" in x["old"][-1:] or x["old"] == "EL0")],
          switches)
    if o.arch.name != "aarch64":
        out = [p for p in range(o.steps) if o.who[p] == 0 and not o.looks[p][0].user and o.memory[p]["ticks"] != bytes(4) and
               o.rsp.memory(o.pc(p), 2) == b"\xe6\x20"]
        same(o, "io 0x20", [p for p in o.ask_positions("io 0x20") if p < ticks[0]] + out)
    else:
        for name, offset in (("iar", 0xc), ("eoir", 0x10)):
            made = [p for p in range(o.steps) if o.who[p] == 0 and o.pc(p) == o.arch.at(name) and o.pc(p, 1) == o.pc(p) + 4]
            check(len(made) >= 3, name)
            same(o, "io phys:%#x" % (0x08010000 + offset), made)
            same(o, "io %#x-%#x" % (0x08010000 + offset, 0x08010003 + offset), made)


def held(arch, cpus):
    if arch.target.missing() or (arch.name == "aarch64" and not shutil.which("aarch64-linux-gnu-gcc")):
        return
    harness.target = arch.target
    oracle = Oracle(arch, cpus)
    oracle.rsp_word = lambda pc: int.from_bytes(oracle.rsp.memory(pc, 4), "little")
    oracle.ask_positions = lambda query: [x["position"] for x in oracle.ask(query)]
    try:
        check(set(oracle.who) == set(range(cpus)), "not all CPUs run")
        for claim in accesses, again, conditions, values, events:
            claim(oracle)
    finally:
        oracle.close()


def claim_i386_is_asked_as_the_oracle_saw_it():
    held(ARCHS[0], 1)


def claim_x86_64_is_asked_as_the_oracle_saw_it():
    held(ARCHS[1], 1)


def claim_aarch64_is_asked_as_the_oracle_saw_it():
    held(ARCHS[2], 1)


def claim_two_cpus_of_i386_are():
    held(ARCHS[0], 2)


def claim_two_cpus_of_x86_64_are():
    held(ARCHS[1], 2)


def claim_two_cpus_of_aarch64_are():
    held(ARCHS[2], 2)


if __name__ == "__main__":
    harness.main(sys.modules[__name__])
