/* What litmus.c needs of the virt board: see examples/lost-update/jobs.h. */
        .text
        .globl _start
_start: mrs     x0, mpidr_el1
        and     x0, x0, #0xff
        ldr     x1, =stacks
        add     x2, x0, #1
        add     x1, x1, x2, lsl #12
        mov     sp, x1
        mov     x29, xzr
        bl      cpu_main
1:      wfi
        b       1b

        .globl wake_others
wake_others:
        mov     x9, #1
2:      ldr     x0, =0xc4000003         // PSCI CPU_ON
        mov     x1, x9
        adr     x2, _start
        mov     x3, #0
        hvc     #0
        add     x9, x9, #1
        cbz     w0, 2b
        ret

        .globl print
print:  mov     x1, #0x09000000         // PL011
3:      ldrb    w2, [x0], #1
        cbz     w2, 4f
        str     w2, [x1]
        b       3b
4:      ret

        .globl end
end:    ldr     x0, =0x84000008         // PSCI SYSTEM_OFF
        hvc     #0

        .bss
        .balign 4096
stacks: .skip   4 * 4096
