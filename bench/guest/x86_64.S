/* PVH note and entry of the benchmark guest in 64 bits on a PC: long mode with SSE on, and AVX if it is built for that, bench_main(), out by the
 * debug-exit port. */
    .section .note.Xen, "a", @note
    .align 4
    .long 4, 8, 18          /* XEN_ELFNOTE_PHYS32_ENTRY */
    .asciz "Xen"
    .quad _start

    .section .text.start, "ax"
    .code32
    .globl _start
_start:
    movl $stack_top, %esp
    movl $pdpt + 3, pml4    /* the first GiB in pages of 2 MiB */
    movl $pd + 3, pdpt
    movl $0x83, %eax
    movl $pd, %ecx
1:  movl %eax, (%ecx)
    addl $0x200000, %eax
    addl $8, %ecx
    cmpl $pd + 4096, %ecx
    jne 1b
    movl $pml4, %eax
    movl %eax, %cr3
    movl %cr4, %eax
    orl $0x620, %eax        /* OSFXSR, OSXMMEXCPT, PAE */
#ifdef __AVX__
    orl $0x40000, %eax      /* OSXSAVE */
#endif
    movl %eax, %cr4
#ifdef __AVX__
    xorl %ecx, %ecx
    xorl %edx, %edx
    movl $7, %eax           /* XCR0: x87, SSE, AVX */
    xsetbv
#endif
    movl $0xc0000080, %ecx  /* EFER.LME */
    rdmsr
    orl $0x100, %eax
    wrmsr
    movl %cr0, %eax
    andl $~0x6000000c, %eax /* caches on; no EM, no TS */
    orl $0x80000003, %eax   /* PG, MP, PE */
    movl %eax, %cr0
    lgdt gdt_pointer
    ljmp $8, $2f
    .code64
2:  movw $16, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movq $stack_top, %rsp
    fninit
    call bench_main
    /* debug-exit port: status in eax */
    movl $0x10, %eax
    movw $0xf4, %dx
    outl %eax, %dx
3:  cli
    hlt
    jmp 3b

    .section .rodata
    .align 8
gdt:
    .quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff
gdt_pointer:
    .short . - gdt - 1
    .long gdt

    .bss
    .align 4096
pml4: .skip 4096
pdpt: .skip 4096
pd:   .skip 4096
    .skip 65536
stack_top:
    .section .note.GNU-stack, "", @progbits
