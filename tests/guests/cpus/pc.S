/* Multiboot 1 header and entries of the guest of several CPUs on a PC: flat 32-bit protected mode; others come by
 * STARTUP in real mode at 0x8000, where the trampoline was copied. */
    .section .multiboot, "a"
    .align 4
    .long 0x1badb002, 0x00000003, -(0x1badb002 + 0x00000003)

    .section .text.start, "ax"
    .globl _start, trampoline, trampoline_end, vectors
_start:
    lgdt gdt_pointer
    ljmp $8, $1f
1:  mov $16, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    movl $stacks + 8192, %esp
    lidt idt_pointer
    call main
2:  hlt
    jmp 2b

    .code16
trampoline:
    cli
    xor %ax, %ax
    mov %ax, %ds
    lgdtl 0x8000 + (low_gdt_pointer - trampoline)
    mov %cr0, %eax
    or $1, %al
    and $0x9fffffff, %eax
    mov %eax, %cr0
    ljmpl $8, $protected
low_gdt_pointer:
    .word 23
    .long gdt
trampoline_end:
    .code32
protected:
    mov $16, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    movl $1, %eax               /* the APIC's ID is the CPU's number: its stack */
    cpuid
    shrl $24, %ebx
    addl $2, %ebx
    shll $13, %ebx
    leal stacks(%ebx), %esp
    lidt idt_pointer
    call secondary_main
3:  hlt
    jmp 3b

    /* one entry for each vector, 16 bytes apart */
    .balign 16
vectors:
    .set vector, 0
    .rept 256
    .balign 16
    .if vector == 8 || (vector >= 10 && vector <= 14) || vector == 17
    nop
    .else
    pushl $0
    .endif
    pushl $vector
    jmp common
    .set vector, vector + 1
    .endr
common:
    pushal
    cld
    pushl 36(%esp)              /* the error code's neighbour: EIP is above */
    pushl 36(%esp)
    call on_interrupt           /* (vector, error) */
    addl $8, %esp
    popal
    addl $8, %esp
    iret

    .data
    .balign 8
gdt:
    .quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
gdt_pointer:
    .word 23
    .long gdt
idt_pointer:
    .word 2047
    .long idt

    .bss
    .balign 4096
    .globl stacks, idt
idt: .skip 2048
    .balign 16
stacks: .skip 66 * 8192
    .section .note.GNU-stack, "", @progbits
