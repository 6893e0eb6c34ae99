/* Multiboot 1 header and entry of the benchmark guest on a PC: SSE on, and AVX if it is built for that, bench_main(), out by the debug-exit port. */
    .section .multiboot, "a"
    .align 4
    .long 0x1badb002, 0x00000003, -(0x1badb002 + 0x00000003)

    .section .text.start, "ax"
    .globl _start
_start:
    movl $stack_top, %esp
    movl %cr0, %eax
    andl $~0xc, %eax        /* no EM, no TS */
    orl $2, %eax            /* MP */
    movl %eax, %cr0
    movl %cr4, %eax
    orl $0x600, %eax        /* OSFXSR, OSXMMEXCPT */
    movl %eax, %cr4
#ifdef __AVX__
    orl $0x40000, %eax      /* OSXSAVE */
    movl %eax, %cr4
    xorl %ecx, %ecx
    xorl %edx, %edx
    movl $7, %eax           /* XCR0: x87, SSE, AVX */
    xsetbv
#endif
    fninit
    call bench_main
    /* debug-exit port: status in eax */
    movl $0x10, %eax
    movw $0xf4, %dx
    outl %eax, %dx
1:  cli
    hlt
    jmp 1b

    .bss
    .align 16
    .skip 65536
stack_top:
    .section .note.GNU-stack, "", @progbits
