/*
 * First instructions of the CPUs of the example guest on the virt board, all alike: a stack for each, in the order in which
 * they come.
 */
        .text
        .globl  _start
        .type   _start, %function
_start:
        msr     daifset, #15
        ldr     x1, =stacks_given
1:      ldaxr   w0, [x1]
        add     w2, w0, #1
        stlxr   w3, w2, [x1]
        cbnz    w3, 1b
        ldr     x1, =stacks
        add     x1, x1, x2, lsl #12
        mov     sp, x1
        mov     x29, xzr
        mov     x30, xzr
        bl      cpu_main
2:      wfi
        b       2b
        .size   _start, . - _start

        .bss
        .balign 4096
stacks: .skip   64 * 4096
stacks_given:
        .skip   4

        .section .note.GNU-stack, "", %progbits
