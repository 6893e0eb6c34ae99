/*
 * Entry of the benchmark guest on the virt board: EL1, memory mapped one to one
 * as Normal (exclusives and unaligned accesses want that) in blocks of 1 GiB,
 * caches and floating point on, bench_main(), out by PSCI SYSTEM_OFF.
 */
    .section .text.start, "ax"
    .globl _start
_start:
    ldr x0, =stack_top
    mov sp, x0
    mov x0, #3 << 20            /* CPACR_EL1.FPEN */
    msr cpacr_el1, x0
    ldr x0, =0xff00             /* attribute 0: Device-nGnRnE, 1: Normal write-back */
    msr mair_el1, x0
    ldr x0, =0x80803519         /* TCR_EL1: T0SZ 25, 4 KiB, write-back, inner shareable, no TTBR1 */
    msr tcr_el1, x0
    ldr x0, =table
    msr ttbr0_el1, x0
    dsb sy
    tlbi vmalle1
    dsb sy
    isb
    mrs x0, sctlr_el1
    ldr x1, =0x1005             /* M, C, I */
    orr x0, x0, x1
    bic x0, x0, #2              /* A */
    msr sctlr_el1, x0
    isb
    bl bench_main
    ldr w0, =0x84000008         /* PSCI SYSTEM_OFF */
    hvc #0
1:  wfi
    b 1b

    .data
    .balign 4096
table:                          /* level 1: [0, 1 GiB) devices, [1 GiB, 2 GiB) memory */
    .quad 0x0060000000000401
    .quad 0x0000000040000705
    .fill 510, 8, 0

    .bss
    .balign 16
    .skip 65536
stack_top:
    .section .note.GNU-stack, "", %progbits
