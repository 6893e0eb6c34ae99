"""Breakpoints are linear addresses, and gdb's PC is EIP: where the base of CS is not 0 they differ, and
gdb must stop all the same: in a protected segment, in virtual-8086 mode and in real mode."""
import sys

import harness
from harness import Server, build_guest, contains, equal, gdb, symbol

# A code segment that begins at 1 MiB (as old Unix kernels have), then VM86 code at 2000:0000, which a HLT
# there leaves by #GP. At the end the guest turns back to real mode, at 3000:0000.
SOURCE = r"""
        cli
        movl $stack, %esp
        movl $to_real, %eax
        movw %ax, gdt + 0x1a
        shrl $16, %eax
        movb %al, gdt + 0x1c
        movl $tss, %eax
        movw %ax, gdt + 0x22
        shrl $16, %eax
        movb %al, gdt + 0x24
        lgdt gdt_pointer
        lidt idt_pointer
        movw $0x20, %ax
        ltr %ax
        ljmp $0x08, $(based - 0x100000)
        .globl based, based_target, based_after, based_function
based:  movw $0x10, %ax
        movw %ax, %ds
        movw %ax, %es
        movw %ax, %ss
        movl $2, %ecx
1:      nop
based_target:
        call based_function
based_after:
        loop 1b
        movl $(code16_end - code16), %ecx
        movl $code16, %esi
        movl $0x20000, %edi
        rep movsb
        movl $(code16_end - code16), %ecx
        movl $code16, %esi
        movl $0x30000, %edi
        rep movsb
        movl $gp - 0x100000, %eax
        movw %ax, idt + 13 * 8
        movw $0x08, idt + 13 * 8 + 2
        movw $0x8e00, idt + 13 * 8 + 4
        shrl $16, %eax
        movw %ax, idt + 13 * 8 + 6
        pushl $0
        pushl $0
        pushl $0
        pushl $0
        pushl $0x2000       # SS:SP
        pushl $0x8000
        pushl $0x20002      # EFLAGS.VM
        pushl $0x2000       # CS:IP
        pushl $0
        iret
based_function:
        incl %edx
        ret

gp:     movl $stack, %esp
        ljmp $0x18, $0
        .code16
        .globl to_real
to_real:
        movl %cr0, %eax
        andl $0xfffffffe, %eax
        movl %eax, %cr0
        ljmp $0x3000, $0

code16: movw %cs, %ax
        movw %ax, %ds
        movw %ax, %ss
        movw $0x8000, %sp
        movw $2, %cx
1:      nop
        call 3f
        loop 1b
        testw $0x1000, %ax
        jz 2f
        movb $0x31, %al     # in real mode: the end
        outb %al, $0xf4
2:      hlt
3:      incw %bx
        ret
code16_end:
        .code32
        .data
        .balign 8
gdt:    .quad 0
        .word 0xffff, 0, 0x9a10, 0x00cf   # 0x08: code, base 0x100000
        .word 0xffff, 0, 0x9200, 0x00cf   # 0x10: data
        .word 0xffff, 0, 0x9a00, 0x0000   # 0x18: code of 16 bits, base to_real
        .word 0x67, 0, 0x8900, 0x0000     # 0x20: TSS
gdt_pointer:
        .word . - gdt - 1
        .long gdt
idt_pointer:
        .word 14 * 8 - 1
        .long idt
        .balign 8
idt:    .skip 14 * 8
tss:    .long 0, stack, 0x10
        .skip 92
        .skip 4096
stack:
"""
PLACES = [("0x100064", "0x64", "0x100000"), ("0x20010", "0x10", "0x20000"), ("0x30010", "0x10", "0x30000")]
guests = []


def guest():
    if not guests:
        guests.append(build_guest(SOURCE, "segments"))
        equal(symbol(guests[0], "based_target"), 0x100064)
    return guests[0]


def run(commands):
    with Server("--no-reboot", guest=guest()) as s:
        return gdb(s, commands, symbols=None)


SHOW = 'printf "at %#x, base %#x\\n", (unsigned)$eip, $cs_base'


def claim_breakpoints_are_hit_where_the_base_of_cs_is_not_0():
    # Each is run over twice: in a protected segment, in VM86 and in real mode.
    for kind in ("break", "hbreak"):
        out = run(["%s *%s" % (kind, place) for place, _, _ in PLACES] + ["continue", SHOW] * 6 +
                  ["continue"] + ["reverse-continue", SHOW] * 6 + ["reverse-continue"])
        seen = harness.re.findall(r"^at (0x\w+), base (0x\w+)$", out, harness.re.M)
        forwards = [(eip, base) for _, eip, base in PLACES for _ in range(2)]
        equal(seen, forwards + forwards[::-1])
        contains(out, r"SIGPWR")
        contains(out, harness.NO_HISTORY)


def claim_a_condition_is_asked_at_such_a_breakpoint_in_both_directions():
    out = run(["break *0x20010 if ($ecx & 0xffff) == 1", "continue", SHOW, "p $ecx & 0xffff", "continue", "reverse-continue", SHOW,
               "p $ecx & 0xffff"])
    equal(harness.re.findall(r"^at (0x\w+), base (0x\w+)$", out, harness.re.M), [("0x10", "0x20000")] * 2)
    contains(out, r"^\$1 = 1$")
    contains(out, r"^\$2 = 1$")


def claim_a_breakpoint_with_the_number_that_eip_has_there_does_not_swallow_the_stop():
    # gdb takes a trap where EIP is 0x10 for its breakpoint at 0x10, and would go on without a word.
    out = run(["break *0x10 if $eip == 1", "break *0x20010", "continue", SHOW, "reverse-stepi", "continue", SHOW])
    equal(harness.re.findall(r"^at (0x\w+), base (0x\w+)$", out, harness.re.M), [("0x10", "0x20000")] * 2)


def claim_steps_over_calls_end_where_gdb_cannot_see_the_frames():
    for place, eip, base in PLACES:
        out = run(["break *" + place, "continue", "delete", "nexti", SHOW, "stepi", "nexti", SHOW, "reverse-nexti", "reverse-nexti",
                   "reverse-stepi", SHOW])
        seen = harness.re.findall(r"^at (0x\w+), base (0x\w+)$", out, harness.re.M)
        equal((len(seen), seen[-1]), (3, (eip, base)), out)


if __name__ == "__main__":
    harness.main(sys.modules[__name__])
