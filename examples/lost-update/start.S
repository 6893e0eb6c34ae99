/*
 * First instructions of the CPUs of the example guest. The first one comes from Multiboot in protected mode; the others wake up in
 * real mode, in the page that a STARTUP message names.
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
        lgdt    gdt_pointer
        ljmp    $0x08, $begin
        .size   _start, . - _start

        /* All CPUs, in protected mode: a stack for each, in the order in which they come. */
        .type   begin, @function
begin:
        movw    $0x10, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %fs
        movw    %ax, %gs
        movw    %ax, %ss
        movl    $4096, %eax
        lock xaddl %eax, stacks_given
        leal    stacks + 4096(%eax), %esp
        xorl    %ebp, %ebp
        shrl    $12, %eax
        pushl   %eax
        call    cpu_main
1:      cli
        hlt
        jmp     1b
        .size   begin, . - begin

        /* Copied to a page below 1 MiB. */
        .globl  wake_up, wake_up_end
        .code16
wake_up:
        cli
        movw    %cs, %ax
        movw    %ax, %ds
        lgdtl   wake_up_gdt - wake_up
        movl    %cr0, %eax
        orb     $1, %al
        movl    %eax, %cr0
        ljmpl   $0x08, $begin
wake_up_gdt:
        .word   23
        .long   gdt
wake_up_end:
        .code32

        .section .rodata
        .align  8
gdt:    .quad   0
        .quad   0x00cf9a000000ffff      /* 08: flat code */
        .quad   0x00cf92000000ffff      /* 10: flat data */
gdt_pointer:
        .word   23
        .long   gdt

        .bss
        .align  4096
stacks: .skip   64 * 4096
        .globl  stacks_given
stacks_given:
        .skip   4

        .section .note.GNU-stack, "", @progbits
