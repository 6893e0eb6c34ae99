"""What architecture gdb and lldb see of a 64-bit CPU, by default and with --gdb-arch: registers, breakpoints, steps, segment
bases in 16-, 32- and 64-bit code; a debugger that comes again sees the same, and so does one of the recording."""
import os
import subprocess
import sys
import tempfile

import harness
from harness import Server, build_guest, check, contains, equal, gdb, lacks, symbol

# From 32-bit code through a 16-bit segment into 64-bit mode, where GS points to per-CPU data.
SOURCE = r"""
        cli
        movl $stack, %esp
        lgdt gdt_pointer
        .globl in_32, in_16, in_64, target_64, percpu
        movl $0x11223344, %eax
        pushl %eax
in_32:  incl %eax
        nop
        movw $0x18, %ax
        movw %ax, %ss
        ljmp $0x10, $in_16
        .code16
in_16:  addw $0x1234, %ax
        nop
        ljmpl $0x20, $back
        .code32
back:   movl $pdpt + 3, pml4
        movl $pd + 3, pdpt
        movl $0x83, pd
        movl $pml4, %eax
        movl %eax, %cr3
        movl $0x20, %eax
        movl %eax, %cr4
        movl $0xc0000080, %ecx
        xorl %edx, %edx
        movl $0x100, %eax
        wrmsr
        movl $0x80000011, %eax
        movl %eax, %cr0
        ljmp $0x08, $long_mode
        .code64
long_mode:
        movl $0xc0000101, %ecx
        movl $percpu, %eax
        xorl %edx, %edx
        wrmsr
        movabsq $0x123456789abcdef0, %rbx
        movq %rbx, %gs:8
        movq %rbx, %r12
        movl $2, %ecx
1:      nop
in_64:  call target_64
        loop 1b
        movb $0x31, %al
        outb %al, $0xf4
2:      hlt
        jmp 2b
target_64:
        incq %r12
        ret
        .code32
        .data
        .balign 8
gdt:    .quad 0
        .quad 0x00af9b000000ffff          # 0x08: 64-bit code
        .word 0xffff, 0, 0x9b00, 0x008f   # 0x10: 16-bit code, to 1 MiB and more
        .quad 0x00cf93000000ffff          # 0x18: data
        .quad 0x00cf9b000000ffff          # 0x20: 32-bit code
gdt_pointer:
        .word . - gdt - 1
        .long gdt
        .balign 8
percpu: .quad 0x5555, 0
        .bss
        .balign 4096
pml4:   .skip 4096
pdpt:   .skip 4096
pd:     .skip 4096
        .skip 4096
stack:
"""
guests = []


def guest():
    if not guests:
        guests.append(build_guest(SOURCE, "modes"))
    return guests[0]


def server(*options):
    return Server("--no-reboot", "--cpu", "qemu64", *options, guest=guest())


def at(*names):
    return ["break *%#x" % symbol(guest(), name) for name in names]


WALK = ["continue", 'printf "32: pc %#lx eax %#lx top %#x\\n", (long)$pc, (long)$X, *(unsigned *)$sp', "stepi",
        'printf "inc: %#lx\\n", (long)$X', "reverse-stepi", 'printf "back: %#lx\\n", (long)$X',
        "continue", 'printf "16: pc %#lx\\n", (long)$pc', "stepi", 'printf "add: %#lx\\n", (long)$X',
        "continue", 'printf "64: pc %#lx gs %#lx word %#lx\\n", (long)$pc, (long)$gs_base, *(long long *)($gs_base + 8)',
        "continue", 'printf "called: pc %#lx\\n", (long)$pc', "reverse-continue", 'printf "64 again: pc %#lx\\n", (long)$pc',
        "reverse-continue", 'printf "16 again: pc %#lx\\n", (long)$pc']


def walk(out):
    where = {name: symbol(guest(), name) for name in ("in_32", "in_16", "in_64", "target_64", "percpu")}
    contains(out, r"^32: pc %#x eax 0x11223344 top 0x11223344$" % where["in_32"])
    contains(out, r"^inc: 0x11223345$")
    contains(out, r"^back: 0x11223344$")
    contains(out, r"^16: pc %#x$" % where["in_16"])
    contains(out, r"^add: 0x1122124c$")
    contains(out, r"^64: pc %#x gs %#x word 0x123456789abcdef0$" % (where["in_64"], where["percpu"]))
    contains(out, r"^called: pc %#x$" % where["target_64"])
    contains(out, r"^64 again: pc %#x$" % where["in_64"])
    contains(out, r"^16 again: pc %#x$" % where["in_16"])


def commands(register):
    return at("in_32", "in_16", "in_64", "target_64") + [line.replace("$X", "$" + register) for line in WALK]


def claim_a_64_bit_cpu_is_x86_64_whatever_mode_it_is_in():
    with server() as s:
        out = gdb(s, ["show architecture"] + commands("rax") +
                  ["reverse-continue", "show architecture", "info registers cs_base ss_base ds_base es_base k_gs_base cr3 lstar"], symbols=None)
        walk(out)
        equal(len(harness.re.findall(r'currently "?i386:x86-64"?', out)), 2, out)
        for name in "cs_base", "ss_base", "ds_base", "es_base", "k_gs_base", "cr3", "lstar":
            contains(out, r"^%s +0x" % name)


def claim_a_64_bit_kernel_gets_a_64_bit_cpu_from_firmware_too():
    with tempfile.TemporaryDirectory() as directory:
        kernel, bios = os.path.join(directory, "bzImage"), os.path.join(directory, "bios")
        with open(bios, "wb") as f:
            f.write(b"\xf4" * 65536)
        # Linux's boot protocol: setup_sects, boot_flag; HdrS, its version, loadflags; xloadflags.
        for bits, xloadflags in ((32, 0), (64, 1)):
            image = bytearray(8192)
            for at, data in ((0x1f1, b"\1"), (0x1fe, b"\x55\xaa"), (0x202, b"HdrS\x0c\x02"), (0x211, b"\1"), (0x236, bytes([xloadflags]))):
                image[at:at + len(data)] = data
            with open(kernel, "wb") as f:
                f.write(image)
            with Server("--bios", bios, "--kernel", kernel, guest=None) as s:
                contains(gdb(s, ["show architecture"], symbols=None), 'currently "?%s"?' % ("i386" if bits == 32 else "i386:x86-64"))


def claim_with_gdb_arch_i386_boot_code_is_shown_as_what_it_is():
    with server("--gdb-arch", "i386") as s:
        out = gdb(s, ["show architecture"] + commands("eax") +
                  ["reverse-continue", "x/2i $pc", "info registers cs_base gs_base gdtr_base"], symbols=None)
        walk(out)
        contains(out, r'currently "?i386"?')
        contains(out, r"^=> 0x\w+:\tinc +%eax\n +0x\w+:\tnop")
        for name in "cs_base", "gs_base", "gdtr_base":
            contains(out, r"^%s +0x" % name)


def claim_with_gdb_arch_i8086_16_bit_code_is_shown_as_what_it_is():
    with server("--gdb-arch", "i8086") as s:
        out = gdb(s, ["show architecture"] + commands("eax") + ["x/2i $pc"], symbols=None)
        walk(out)
        contains(out, r'currently "?i8086"?')
        contains(out, r"^=> 0x\w+:\tadd +\$0x1234,%ax\n +0x\w+:\tnop")


def claim_no_core_is_written_of_registers_that_are_not_shown():
    with server("--gdb-arch", "i386") as s, tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "core")
        out = gdb(s, at("in_32") + ["continue", "delete", "monitor dump-guest-memory %s.32" % path], symbols=None)
        contains(out, r"core.32: memory")
        out = gdb(s, at("in_64") + ["continue", "delete", "monitor dump-guest-memory " + path], symbols=None)
        contains(out, r"--gdb-arch.*64-bit code")
        equal(os.listdir(directory), ["core.32"])


def claim_a_debugger_that_comes_again_sees_the_same():
    for options, register in ((), "rax"), (("--gdb-arch", "i386"), "eax"), (("--gdb-arch", "i8086"), "eax"):
        with server(*options) as s:
            first = gdb(s, at("in_32") + ["continue", "delete", "show architecture", "info registers", "disconnect",
                                          "target remote " + s.where, "show architecture", "info registers"], symbols=None)
            arch = harness.re.findall(r'currently "?([\w:-]+?)"?\)?\.$', first, harness.re.M)
            equal(arch, [options[-1] if options else "i386:x86-64"] * 2, first)
            shown = harness.re.findall(r"^%s .*$" % register, first, harness.re.M)
            check(len(shown) == 2 and shown[0] == shown[1], first)
            # And a gdb of its own, from there on.
            walk(gdb(s, ["monitor seek 0", "continue"] + commands(register), symbols=None))


def claim_a_recording_is_seen_as_what_it_was_recorded_as():
    with tempfile.TemporaryDirectory() as directory:
        recording = os.path.join(directory, "r.hcrec")
        with server("--gdb-arch", "i386", "--record", recording) as s:
            gdb(s, ["continue"], symbols=None)
        with Server("--replay", recording, guest=None) as s:
            out = gdb(s, ["show architecture"] + commands("eax"), symbols=None)
            walk(out)
            contains(out, r'currently "?i386"?\)')


def claim_x86_64_is_refused_of_a_cpu_of_32_bits():
    r = subprocess.run([harness.HINDCAST, "--cpu", "pentium3", "--gdb-arch", "x86-64", guest()], stdin=subprocess.DEVNULL,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=harness.patience(60))
    check(r.returncode not in (0, -6, -11))
    contains(r.stdout.decode(), r"--gdb-arch x86-64: the CPU pentium3 has 32 bits")


def claim_lldb_sees_64_bit_code():
    lldb = harness.lldb()
    if not lldb:
        return
    with server() as s:
        out = subprocess.run([lldb, "--no-lldbinit", "-b", "-o", "gdb-remote " + s.where,
                              "-o", "breakpoint set -a %#x" % symbol(guest(), "target_64"), "-o", "continue",
                              "-o", "register read rip rbx gs_base", "-o", "thread step-inst", "-o", "register read r12",
                              "-o", "process plugin packet monitor when"],
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             timeout=harness.patience(120)).stdout.decode("utf-8", "replace")
        contains(out, r"rip = 0x0*%x\b" % symbol(guest(), "target_64"))
        contains(out, r"rbx = 0x123456789abcdef0")
        contains(out, r"gs_base = 0x0*%x\b" % symbol(guest(), "percpu"))
        contains(out, r"r12 = 0x123456789abcdef1")
        lacks(out, r"error:")


if __name__ == "__main__":
    harness.main(sys.modules[__name__])
