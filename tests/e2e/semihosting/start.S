/* A stack, vectors, and the trap. */
        .text
        .globl  _start
_start:
        ldr     x0, =stack_top
        mov     sp, x0
        adr     x0, vectors
        msr     vbar_el1, x0
        bl      main
1:      wfi
        b       1b

        .globl  semihost
        .type   semihost, %function
semihost:
        hlt     #0xf000
        ret
        .size   semihost, . - semihost

/* 1: the trap is undefined at EL0. */
        .globl  semihost_at_el0
        .type   semihost_at_el0, %function
semihost_at_el0:
        mrs     x9, spsr_el1
        mov     x0, #0
        msr     spsr_el1, x0
        adr     x0, at_el0
        msr     elr_el1, x0
        mov     x10, sp
        mov     x11, x30
        eret
at_el0: mov     x0, #3
        adr     x1, text
        hlt     #0xf000
        svc     #0

        .balign 2048
vectors:
        .rept   8
        b       .
        .balign 128
        .endr
        mrs     x0, esr_el1             /* from EL0: 0 in EC is what is undefined */
        lsr     x0, x0, #26
        cmp     x0, #0
        cset    x0, eq
        mov     sp, x10
        br      x11
        .balign 128
text:   .asciz  "!"
        .bss
        .balign 16
        .space  16384
stack_top:
