/* Entry of the SVM test program by PVH in long mode (the first 4 GiB in pages of 2 MiB, at the same addresses), VMRUN with all registers,
 * and what the host's interrupts come to. */
    .section .note.Xen, "a", @note
    .align 4
    .long 4, 8, 18          /* XEN_ELFNOTE_PHYS32_ENTRY */
    .asciz "Xen"
    .quad _start

    .section .text.start, "ax"
    .code32
    .globl _start
_start:
    cli
    movl $stack_top, %esp
    movl $pdpt + 7, pml4
    movl $pd + 7, pdpt
    movl $pd + 0x1007, pdpt + 8
    movl $pd + 0x2007, pdpt + 16
    movl $pd + 0x3007, pdpt + 24
    movl $0x87, %eax
    movl $pd, %ecx
1:  movl %eax, (%ecx)
    addl $0x200000, %eax
    addl $8, %ecx
    cmpl $pd + 0x4000, %ecx
    jne 1b
    movl $pml4, %eax
    movl %eax, %cr3
    movl $0x620, %eax       /* OSFXSR, OSXMMEXCPT, PAE */
    movl %eax, %cr4
    movl $0xc0000080, %ecx  /* EFER: LME, NXE */
    rdmsr
    orl $0x900, %eax
    wrmsr
    movl %cr0, %eax
    andl $~0x6000000c, %eax /* caches on; no EM, no TS */
    orl $0x80010003, %eax   /* PG, WP, MP, PE */
    movl %eax, %cr0
    lgdt gdt_pointer
    ljmp $8, $2f
    .code64
2:  movw $16, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    xorl %eax, %eax
    movw %ax, %fs
    movw %ax, %gs
    movq $stack_top, %rsp
    fninit
    call main
    movl $0x10, %eax        /* out by the debug-exit port */
    movw $0xf4, %dx
    outl %eax, %dx
3:  cli
    hlt
    jmp 3b

/* void enter(uint64_t vmcb, uint64_t *regs): VMRUN with RBX, RCX, RDX, RSI, RDI, RBP, R8 to R15 out of regs, and back into it. */
    .globl enter, entered
enter:
    pushq %rbx
    pushq %rbp
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    pushq %rsi
    movq %rsp, enter_rsp
    movq %rdi, %rax
    movq (%rsi), %rbx
    movq 8(%rsi), %rcx
    movq 16(%rsi), %rdx
    movq 32(%rsi), %rdi
    movq 40(%rsi), %rbp
    movq 48(%rsi), %r8
    movq 56(%rsi), %r9
    movq 64(%rsi), %r10
    movq 72(%rsi), %r11
    movq 80(%rsi), %r12
    movq 88(%rsi), %r13
    movq 96(%rsi), %r14
    movq 104(%rsi), %r15
    movq 24(%rsi), %rsi
    vmrun %rax
    .globl after_vmrun
after_vmrun:
    movq %rax, entered_rax
    movq %rsp, entered_rsp
    movq enter_rsp, %rsp
    pushfq
    popq entered_rflags
    xchgq %rsi, (%rsp)
    movq %rbx, (%rsi)
    movq %rcx, 8(%rsi)
    movq %rdx, 16(%rsi)
    movq %rdi, 32(%rsi)
    movq %rbp, 40(%rsi)
    movq %r8, 48(%rsi)
    movq %r9, 56(%rsi)
    movq %r10, 64(%rsi)
    movq %r11, 72(%rsi)
    movq %r12, 80(%rsi)
    movq %r13, 88(%rsi)
    movq %r14, 96(%rsi)
    movq %r15, 104(%rsi)
    popq %rax
    movq %rax, 24(%rsi)
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbp
    popq %rbx
    cld
    ret

/* The host's interrupts: a stub of each vector pushes 0 where the processor pushes no error code, and the vector. */
    .globl host_common
host_common:
    pushq %rax
    pushq %rcx
    pushq %rdx
    pushq %rsi
    pushq %rdi
    pushq %r8
    pushq %r9
    pushq %r10
    pushq %r11
    leaq 72(%rsp), %rdi
    cld
    call host_trap
    popq %r11
    popq %r10
    popq %r9
    popq %r8
    popq %rdi
    popq %rsi
    popq %rdx
    popq %rcx
    popq %rax
    addq $16, %rsp
    iretq

/* What the stubs of a 64-bit guest come to: told in seen[] (guest.h), then VMMCALL, or back if that is wanted. */
    .globl guest_common64, guest_common64_end, guest_common32, guest_common32_end
guest_common64:
    pushq %rax
    movq 8(%rsp), %rax
    movl %eax, 0x2000004    /* vector */
    movq 16(%rsp), %rax
    movl %eax, 0x2000008    /* error code */
    movq 24(%rsp), %rax
    movq %rax, 0x2000010    /* RIP */
    movq 32(%rsp), %rax
    movq %rax, 0x2000018    /* CS */
    movq 40(%rsp), %rax
    movq %rax, 0x2000020    /* RFLAGS */
    movq 48(%rsp), %rax
    movq %rax, 0x2000028    /* RSP */
    movl 0x2000000, %eax
    andl $15, %eax
    pushq %rcx
    movl 16(%rsp), %ecx
    movb %cl, 0x2000040(%rax)
    popq %rcx
    incl 0x2000000
    popq %rax
    cmpb $0, 0x2000030      /* go on? */
    jne 1f
    vmmcall
1:  addq $16, %rsp
    iretq
guest_common64_end:

    .code32
guest_common32:
    pushl %eax
    movl 4(%esp), %eax
    movl %eax, 0x2000004
    movl 8(%esp), %eax
    movl %eax, 0x2000008
    movl 12(%esp), %eax
    movl %eax, 0x2000010
    movl 16(%esp), %eax
    movl %eax, 0x2000018
    movl 20(%esp), %eax
    movl %eax, 0x2000020
    incl 0x2000000
    popl %eax
    cmpb $0, 0x2000030
    jne 1f
    vmmcall
1:  addl $8, %esp
    iretl
guest_common32_end:
    .code64

    .section .data
    .align 8
    .globl gdt, gdt_pointer
gdt:
    .quad 0
    .quad 0x00af9b000000ffff    /* 08: code of 64 bits */
    .quad 0x00cf93000000ffff    /* 10: data */
    .quad 0x00affb000000ffff    /* 18: the user's */
    .quad 0x00cff3000000ffff    /* 20 */
    .quad 0x00cf9b000000ffff    /* 28: code of 32 bits */
    .quad 0x00009b000000ffff    /* 30: code of 16 bits */
    .quad 0x000093000000ffff    /* 38: data of 16 bits */
    .skip 8 * 24                /* 40: TSS, LDT, others */
gdt_pointer:
    .short . - gdt - 1
    .quad gdt

    .bss
    .align 8
    .globl enter_rsp, entered_rax, entered_rsp, entered_rflags
enter_rsp: .skip 8
entered_rax: .skip 8
entered_rsp: .skip 8
entered_rflags: .skip 8
    .align 4096
    .globl pml4, pdpt, pd
pml4: .skip 4096
pdpt: .skip 4096
pd:   .skip 4 * 4096
    .skip 65536
stack_top:
    .section .note.GNU-stack, "", @progbits
