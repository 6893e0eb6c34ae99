/*
 * First instructions of the example guest in 64 bits: the note by which loaders find the 32-bit
 * entry (PVH), page tables, the way into 64-bit mode, and the entries of the interrupts that it uses.
 */
        .section .note.Xen, "a", @note
        .align  4
        .long   4, 8, 18                /* name, description, XEN_ELFNOTE_PHYS32_ENTRY */
        .asciz  "Xen"
        .quad   _start

        .text
        .code32
        .globl  _start
        .type   _start, @function
_start:
        cli
        movl    $stack_top, %esp
        movl    $pdpt + 3, pml4         /* the first GiB in pages of 2 MiB */
        movl    $pd + 3, pdpt
        movl    $0x83, %eax
        movl    $pd, %ecx
1:      movl    %eax, (%ecx)
        addl    $0x200000, %eax
        addl    $8, %ecx
        cmpl    $pd + 4096, %ecx
        jne     1b
        movl    $pml4, %eax
        movl    %eax, %cr3
        movl    %cr4, %eax
        orl     $0x20, %eax             /* PAE */
        movl    %eax, %cr4
        movl    $0xc0000080, %ecx       /* EFER.LME */
        rdmsr
        orl     $0x100, %eax
        wrmsr
        movl    %cr0, %eax
        orl     $0x80000001, %eax
        movl    %eax, %cr0
        lgdt    gdt_pointer
        ljmp    $0x08, $2f
        .code64
2:      movw    $0x10, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %fs
        movw    %ax, %gs
        movw    %ax, %ss
        movq    $stack_top, %rsp
        xorl    %ebp, %ebp
        pushq   $0
        popfq
        call    kernel_main
3:      cli
        hlt
        jmp     3b
        .size   _start, . - _start

        /* IRQ 0: the timer. */
        .globl  timer_entry
        .type   timer_entry, @function
timer_entry:
        .cfi_startproc simple
        .cfi_signal_frame
        .cfi_def_cfa rsp, 40
        .cfi_offset rip, -40
        .cfi_offset rsp, -16
        pushq   %rax
        pushq   %rcx
        pushq   %rdx
        pushq   %rsi
        pushq   %rdi
        pushq   %r8
        pushq   %r9
        pushq   %r10
        pushq   %r11
        .cfi_adjust_cfa_offset 72
        cld
        call    timer_interrupt
        popq    %r11
        popq    %r10
        popq    %r9
        popq    %r8
        popq    %rdi
        popq    %rsi
        popq    %rdx
        popq    %rcx
        popq    %rax
        .cfi_adjust_cfa_offset -72
        iretq
        .cfi_endproc
        .size   timer_entry, . - timer_entry

        /* Any exception: none is expected. The error code, if any, is on the stack. */
        .globl  fault_entry
        .type   fault_entry, @function
fault_entry:
        cld
        call    unexpected_fault
        .size   fault_entry, . - fault_entry

        .section .rodata
        .align  8
gdt:    .quad   0
        .quad   0x00af9a000000ffff      /* 08: 64-bit code */
        .quad   0x00cf92000000ffff      /* 10: data */
gdt_pointer:
        .word   . - gdt - 1
        .long   gdt

        .bss
        .align  4096
pml4:   .skip   4096
pdpt:   .skip   4096
pd:     .skip   4096
        .skip   16384
stack_top:

        .section .note.GNU-stack, "", @progbits
