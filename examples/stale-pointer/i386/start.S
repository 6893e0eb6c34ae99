/*
 * First instructions of the example guest: Multiboot 1 header, stack, our own
 * descriptor tables, and the entries of the interrupts that it uses.
 */
        .set    MAGIC, 0x1badb002
        .set    FLAGS, 0

        .section .multiboot, "a"
        .align  4
        .long   MAGIC
        .long   FLAGS
        .long   -(MAGIC + FLAGS)

        .text
        .globl  _start
        .type   _start, @function
_start:
        cli
        movl    $stack_top, %esp
        xorl    %ebp, %ebp
        lgdt    gdt_pointer
        ljmp    $0x08, $1f
1:      movw    $0x10, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %fs
        movw    %ax, %gs
        movw    %ax, %ss
        pushl   $0
        popfl
        call    kernel_main
2:      cli
        hlt
        jmp     2b
        .size   _start, . - _start

        /* IRQ 0: the timer. */
        .globl  timer_entry
        .type   timer_entry, @function
timer_entry:
        .cfi_startproc simple
        .cfi_signal_frame
        .cfi_def_cfa esp, 12
        .cfi_offset eip, -12
        pushal
        .cfi_adjust_cfa_offset 32
        .cfi_rel_offset ebp, 8
        cld
        call    timer_interrupt
        popal
        .cfi_adjust_cfa_offset -32
        iretl
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
        .quad   0x00cf9a000000ffff      /* 08: flat code */
        .quad   0x00cf92000000ffff      /* 10: flat data */
gdt_pointer:
        .word   . - gdt - 1
        .long   gdt

        .bss
        .align  16
        .skip   16384
stack_top:

        .section .note.GNU-stack, "", @progbits
