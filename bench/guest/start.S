/* Multiboot 1 header and entry of the benchmark guest. */
    .section .multiboot, "a"
    .align 4
    .long 0x1badb002, 0x00000003, -(0x1badb002 + 0x00000003)

    .section .text.start, "ax"
    .globl _start
_start:
    movl $stack_top, %esp
    pushl %ebx              /* multiboot information */
    call bench_main
    /* debug-exit port: status in eax */
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
