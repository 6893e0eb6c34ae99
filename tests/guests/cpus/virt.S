/* Entry of the guest of several CPUs on the virt board: EL1, memory mapped one to one, caches and vectors on. */
    .section .text.start, "ax"
    .globl _start, secondary_start, mapped_page
_start:
    mov x0, #0
secondary_start:                /* x0: the CPU's number */
    mov x19, x0
    ldr x1, =stacks
    add x2, x19, #1
    add x1, x1, x2, lsl #13
    mov sp, x1
    msr tpidr_el1, x19
    ldr x0, =vectors
    msr vbar_el1, x0
    ldr x0, =0xff00             /* attribute 0: Device-nGnRnE, 1: Normal write-back */
    msr mair_el1, x0
    ldr x0, =0x80803519         /* T0SZ 25, 4 KiB, write-back, inner shareable, no TTBR1 */
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
    mov x0, x19
    cbnz x19, secondary_main
    bl main
1:  wfi
    b 1b

    .balign 2048
vectors:
    .rept 5
    .balign 128
    b sync
    .endr
    .balign 128                 /* IRQ, SP_ELx */
    .macro save
    sub sp, sp, #192
    stp x0, x1, [sp]
    stp x2, x3, [sp, #16]
    stp x4, x5, [sp, #32]
    stp x6, x7, [sp, #48]
    stp x8, x9, [sp, #64]
    stp x10, x11, [sp, #80]
    stp x12, x13, [sp, #96]
    stp x14, x15, [sp, #112]
    stp x16, x17, [sp, #128]
    stp x18, x30, [sp, #144]
    .endm
    b irq
    .balign 128                 /* FIQ */
    b fiq
    .balign 2048
irq:
    save
    mov x0, #1
    bl on_interrupt
    b restore
fiq:
    save
    mov x0, #0
    bl on_interrupt
restore:
    ldp x0, x1, [sp]
    ldp x2, x3, [sp, #16]
    ldp x4, x5, [sp, #32]
    ldp x6, x7, [sp, #48]
    ldp x8, x9, [sp, #64]
    ldp x10, x11, [sp, #80]
    ldp x12, x13, [sp, #96]
    ldp x14, x15, [sp, #112]
    ldp x16, x17, [sp, #128]
    ldp x18, x30, [sp, #144]
    add sp, sp, #192
    eret
sync:
    mov x0, sp
    bl on_fault
1:  wfi
    b 1b

    .data
    .balign 4096
table:                          /* level 1: devices, memory, and 1 GiB that goes through tables */
    .quad 0x0060000000000401
    .quad 0x0000000040000705
    .quad table2 + 3
    .fill 509, 8, 0
table2:                         /* level 2, for 0x80000000 */
    .quad table3 + 3
    .fill 511, 8, 0
    .globl table3
table3:
    .fill 512, 8, 0

    .bss
    .balign 16
    .globl stacks
stacks:
    .skip 65 * 8192
    .section .note.GNU-stack, "", %progbits
