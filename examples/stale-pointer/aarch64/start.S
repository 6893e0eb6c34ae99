/*
 * First instructions of the example guest on the virt board: stack, floating
 * point off, the exception vectors, and the entry of the one interrupt it uses.
 */
        .text
        .globl  _start
        .type   _start, %function
_start:
        msr     daifset, #15
        ldr     x0, =stack_top
        mov     sp, x0
        ldr     x0, =vectors
        msr     vbar_el1, x0
        isb
        mov     x29, xzr
        mov     x30, xzr
        bl      kernel_main
1:      wfi
        b       1b
        .size   _start, . - _start

        .balign 2048
        /* 16 entries of 128 bytes; only IRQ from the current level with SP_EL1 is expected. */
vectors:
        .rept   5
        b       fault_entry
        .balign 128
        .endr
        b       timer_entry
        .balign 128
        .rept   10
        b       fault_entry
        .balign 128
        .endr

        .globl  timer_entry
        .type   timer_entry, %function
timer_entry:
        .cfi_startproc
        .cfi_signal_frame
        sub     sp, sp, #192
        .cfi_def_cfa_offset 192
        stp     x29, x30, [sp]
        .cfi_rel_offset x29, 0
        stp     x0, x1, [sp, #16]
        stp     x2, x3, [sp, #32]
        stp     x4, x5, [sp, #48]
        stp     x6, x7, [sp, #64]
        stp     x8, x9, [sp, #80]
        stp     x10, x11, [sp, #96]
        stp     x12, x13, [sp, #112]
        stp     x14, x15, [sp, #128]
        stp     x16, x17, [sp, #144]
        mrs     x0, elr_el1
        mrs     x1, spsr_el1
        stp     x18, x1, [sp, #160]
        str     x0, [sp, #176]
        .cfi_rel_offset x30, 176
        bl      timer_interrupt
        ldr     x0, [sp, #176]
        ldp     x18, x1, [sp, #160]
        msr     elr_el1, x0
        msr     spsr_el1, x1
        ldp     x16, x17, [sp, #144]
        ldp     x14, x15, [sp, #128]
        ldp     x12, x13, [sp, #112]
        ldp     x10, x11, [sp, #96]
        ldp     x8, x9, [sp, #80]
        ldp     x6, x7, [sp, #64]
        ldp     x4, x5, [sp, #48]
        ldp     x2, x3, [sp, #32]
        ldp     x0, x1, [sp, #16]
        ldp     x29, x30, [sp]
        add     sp, sp, #192
        eret
        .cfi_endproc
        .size   timer_entry, . - timer_entry

        .type   fault_entry, %function
fault_entry:
        bl      unexpected_fault
        .size   fault_entry, . - fault_entry

        .bss
        .balign 16
        .skip   16384
stack_top:

        .section .note.GNU-stack, "", %progbits
