#!/usr/bin/env python3
"""CPUID of each model, leaf by leaf, is what QEMU says of its model of that name, but for what is listed here with its reason.

    cpuid_leaves.py BUILD_DIRECTORY
"""

import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
MODELS = {"qemu64": "qemu64", "core2duo": "core2duo", "Nehalem": "Nehalem", "Haswell": "Haswell-noTSX", "coreduo": "coreduo",
          "n270": "n270", "max": "max", "kvm64": "kvm64", "Opteron_G1": "Opteron_G1", "SandyBridge": "SandyBridge", "IvyBridge": "IvyBridge"}
# Sockets, cores of each, threads of each: what leaves 1, 4 and 0Bh say of them, and AMD's.
TOPOLOGIES = [("qemu64", (4, 1, 1)), ("qemu64", (2, 2, 2)), ("core2duo", (1, 4, 1)), ("core2duo", (2, 1, 2)), ("Nehalem", (1, 3, 2)),
              ("Haswell", (2, 2, 2)), ("Haswell", (1, 5, 3)), ("max", (3, 5, 1)), ("max", (1, 1, 4)), ("coreduo", (1, 2, 1))]
# Flags and properties, which mean the same there.
FLAGS = ["qemu64,+ssse3,+sse4.1,+sse4_2,+popcnt,+xsave,+avx,f16c=on,-nx,lahf_lm=off", "Nehalem,+fsgsbase,+smep,+bmi1,+aes,+pdpe1gb,-cx16",
         "qemu64,-lm,-syscall,-cx16,-lahf-lm,family=6,model=44,stepping=7", "core2duo,vendor=AuthenticAMD,model-id=A processor,xlevel=0x80000008",
         "max,-avx,-xsave,-f16c,-fma,-avx2,-vaes,-pku,-xgetbv1,-xsaveopt,level=7", "Haswell,-avx2,-hypervisor,phys-bits=36,arat=off,+movbe"]
INTEL = ("core2duo", "Nehalem", "Haswell", "coreduo", "n270", "kvm64", "SandyBridge", "IvyBridge")
EAX, EBX, ECX, EDX = range(4)

# (models, leaf, subleaf or None, register, bits): bits that may differ.
REASONS = [
    ("QEMU's translator has no virtual-8086 mode extensions", None, 1, 0, EDX, 1 << 1),
    ("QEMU's translator has no virtual-8086 mode extensions", None, 0x80000001, 0, EDX, 1 << 1),
    ("clock modulation is not modelled", None, 1, 0, EDX, 1 << 22),
    ("QEMU's translator has no PCID, x2APIC, TSC deadline and RDRAND", ("SandyBridge", "IvyBridge", "Haswell", "max"), 1, 0, ECX,
     1 << 17 | 1 << 21 | 1 << 24 | 1 << 30),
    ("QEMU tells of MWAIT's extensions only, and where there is no MWAIT, too", None, 5, 0, None, 0xffffffff),
    ("instruction sets of the one or the other alone", ("Haswell", "max"), 7, 0, EBX, 0xffffffff),
    ("instruction sets of the one or the other alone", ("max",), 7, 0, ECX, 0xffffffff),
    ("instruction sets of the one or the other alone", ("max",), 7, 0, EDX, 0xffffffff),
    ("MPX is not modelled", ("max",), 0xd, 0, EAX, 0x18),
    ("MPX is not modelled", ("max",), 0xd, 3, None, 0xffffffff),
    ("MPX is not modelled", ("max",), 0xd, 4, None, 0xffffffff),
    ("XSAVEC and XSAVES, of which QEMU's translator has none", ("max",), 0xd, 1, EAX, 0xa),
    ("the size of compacted areas: only where there are such (SDM 2A)", ("SandyBridge", "IvyBridge", "Haswell", "max", "qemu64"), 0xd, 1, EBX, 0xffffffff),
    ("IDs that there may be are as many as their bits have (SDM 2A): QEMU counts those that there are", INTEL + ("max",), 1, 0, EBX, 0xff << 16),
    ("the same; and threads of a core share its caches", INTEL + ("max",), 4, None, EAX, 0xffffc000),
    ("AMD's processors have it, Intel's not", INTEL + ("max",), 0x80000001, 0, ECX, 1 << 1),
    ("AMD's processors have it, Intel's not", INTEL + ("max",), 0x80000008, 0, ECX, 0xffffffff),
    ("reserved on Intel's processors", INTEL, 0x80000000, 0, None, 0xffffffff),
    ("reserved on Intel's processors", INTEL, 0x80000001, 0, EAX, 0xffffffff),
    ("on Intel's processors SYSCALL shows in 64-bit mode only", INTEL, 0x80000001, 0, EDX, 1 << 11),
    ("AMD's caches are not Intel's", INTEL, 0x80000005, 0, None, 0xffffffff),
    ("AMD's caches are not Intel's", INTEL, 0x80000006, 0, None, 0xffffffff),
    ("address widths are those of the processor", ("core2duo", "coreduo", "n270"), 0x80000008, 0, EAX, 0xffff),
    ("linear addresses have 32 bits without long mode", [f for f in FLAGS if "-lm" in f], 0x80000008, 0, EAX, 0xff00),
    ("PREFETCHW is modelled", ("max",), 0x80000001, 0, ECX, 0x100),
    ("CLZERO, the pointers of x87 errors and WBNOINVD, of which QEMU's translator tells nothing", ("max",), 0x80000008, 0, EBX, 0x205),
    ("3DNow! and FXSAVE without x87 are not modelled", ("max",), 0x80000001, 0, EDX, 0xc2000002),
]


def allowed(model, leaf, sub, register):
    bits = 0
    names = model, model.partition(",")[0]
    for _, models, at, below, which, mask in REASONS:
        if (models is None or any(n in models for n in names)) and at == leaf and below in (None, sub) and which in (None, register):
            bits |= mask
    return bits


def leaves(text):
    out = {}
    for line in text.splitlines():
        words = [int(w, 16) for w in line.strip(".").split()]
        if len(words) == 6:
            out[words[0], words[1]] = words[2:]
    return out


def main():
    build = sys.argv[1]
    with tempfile.TemporaryDirectory() as tmp:
        guest, script, log = (os.path.join(tmp, n) for n in ("guest.elf", "ld.x", "qemu.log"))
        with open(script, "w") as f:
            f.write("ENTRY(_start) SECTIONS { . = 0x100000; .text : { *(.multiboot) *(.text*) } .rodata : { *(.rodata*) }"
                    " .data : { *(.data*) } .bss : { *(.bss*) *(COMMON) } /DISCARD/ : { *(.note*) *(.comment) *(.eh_frame) } }")
        command = [os.environ.get("CC", "cc").split()[-1], "-m32", "-O1", "-std=gnu11", "-ffreestanding", "-fno-pic", "-fno-pie", "-no-pie",
                   "-fno-stack-protector", "-mno-sse", "-mno-mmx", "-fcf-protection=none", "-fno-asynchronous-unwind-tables",
                   "-nostdlib", "-static", "-Wl,-T," + script, "-Wl,--build-id=none", "-o", guest,
                   os.path.join(HERE, "cpuid_diff.c")]
        try:
            if subprocess.run(command, stderr=subprocess.DEVNULL).returncode:
                raise OSError("no compiler for 32-bit guests")
            subprocess.run(["qemu-system-x86_64", "--version"], stdout=subprocess.DEVNULL)
        except OSError as e:
            print("%s: skipped" % e)
            sys.exit(77)
        bad = 0
        for model, topology in [(model, None) for model in list(MODELS) + FLAGS] + TOPOLOGIES:
            base, comma, flags = model.partition(",")
            smp = ["-smp", "%d,sockets=%d,cores=%d,threads=%d" % ((topology[0] * topology[1] * topology[2],) + topology)] if topology else []
            subprocess.run(["qemu-system-x86_64", "-cpu", MODELS[base] + comma + flags, "-m", "64", "-kernel", guest, "-debugcon", "file:" + log, "-display",
                            "none", "-device", "isa-debug-exit,iobase=0xf4", "-no-reboot", "-serial", "none", "-monitor", "none",
                            "-net", "none"] + smp, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=300)
            theirs = leaves(open(log).read())
            ours = leaves(subprocess.run([os.path.join(build, "tests/whole/run_guest"), guest, "100000000", model] +
                                         [str(n) for n in topology or ()],
                                         stdout=subprocess.PIPE, universal_newlines=True, timeout=300).stdout)
            name = model + (", %d sockets of %d cores of %d threads" % topology if topology else "")
            for key in sorted(set(ours) | set(theirs)):
                a, b = ours.get(key, [0] * 4), theirs.get(key, [0] * 4)
                for register in range(4):
                    differ = (a[register] ^ b[register]) & ~allowed(model, *key, register)
                    if differ:
                        bad += 1
                        print("%s: leaf %x.%x %s is %08x, QEMU's %08x (%08x)" %
                              (name, *key, ("EAX", "EBX", "ECX", "EDX")[register], a[register], b[register], differ))
            print("%s: %d leaves" % (name, len(ours)))
        sys.exit(1 if bad else 0)


main()
