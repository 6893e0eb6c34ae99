/* The boot sector, and the entries of the kernel's first CPU and of the others: see kernel.c. */
#include "layout.h"

    .section .sector, "ax"
    .code16
    .globl start_sector
start_sector:
    cli
    xorw %ax, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
1:  inb $0x64, %al              /* A20, by the keyboard controller */
    testb $2, %al
    jnz 1b
    movb $0xd1, %al
    outb %al, $0x64
2:  inb $0x64, %al
    testb $2, %al
    jnz 2b
    movb $0xdf, %al
    outb %al, $0x60
    lgdtl sector_gdtr
    movl %cr0, %eax
    orl $1, %eax
    movl %eax, %cr0
    ljmpl $8, $sector_32

    .code32
wait_disk:
    movw $0x1f7, %dx
1:  inb %dx, %al
    andb $0xc0, %al
    cmpb $0x40, %al             /* DRDY without BSY */
    jne 1b
    ret

sector_32:
    movw $16, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movl $0x7c00, %esp
    movl $1, %esi               /* sectors from 1 on, one by one, to 1 MiB */
    movl $LOAD, %edi
    cld
read_sector:
    call wait_disk
    movw $0x1f2, %dx
    movb $1, %al
    outb %al, %dx
    movl %esi, %eax
    incw %dx
    outb %al, %dx
    shrl $8, %eax
    incw %dx
    outb %al, %dx
    shrl $8, %eax
    incw %dx
    outb %al, %dx
    movb $0xe0, %al
    incw %dx
    outb %al, %dx
    incw %dx
    movb $0x20, %al
    outb %al, %dx
    call wait_disk
    movw $0x1f0, %dx
    movl $128, %ecx
    rep insl
    incl %esi
    cmpl $KERNEL_SECTORS, %esi
    jbe read_sector
    jmp enter - KERNBASE

    .balign 4
    .globl sector_gdt
sector_gdt:
    .quad 0, 0x00cf9a000000ffff, 0x00cf92000000ffff
sector_gdtr:
    .word 23
    .long sector_gdt
    .org 510
    .word 0xaa55

    .section .enter, "ax"
    .globl enter
enter:                          /* the first CPU, by physical addresses */
    movl %cr4, %eax
    orl $0x10, %eax             /* pages of 4 MiB */
    movl %eax, %cr4
    movl $page_directory - KERNBASE, %eax
    movl %eax, %cr3
    movl %cr0, %eax
    orl $0x80010000, %eax
    movl %eax, %cr0
    movl $first_stack + 4096, %esp
    movl $kernel_main, %eax
    jmp *%eax

/* Copied to TRAMPOLINE; the other CPUs begin there, with their stack and their function below it. */
    .globl trampoline, trampoline_end
    .code16
trampoline:
    cli
    xorw %ax, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    lgdtl TRAMPOLINE + (trampoline_gdtr - trampoline)
    movl %cr0, %eax
    orl $1, %eax
    movl %eax, %cr0
    ljmpl $8, $(TRAMPOLINE + (trampoline_32 - trampoline))
    .code32
trampoline_32:
    movw $16, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movl %cr4, %eax
    orl $0x10, %eax
    movl %eax, %cr4
    movl $page_directory - KERNBASE, %eax
    movl %eax, %cr3
    movl %cr0, %eax
    orl $0x80010000, %eax
    movl %eax, %cr0
    movl TRAMPOLINE - 4, %esp
    call *TRAMPOLINE - 8
    .balign 4
trampoline_gdt:
    .quad 0, 0x00cf9a000000ffff, 0x00cf92000000ffff
trampoline_gdtr:
    .word 23
    .long TRAMPOLINE + (trampoline_gdt - trampoline)
trampoline_end:

    .text
    .globl vectors
all:                            /* error code (or 0) and number are on the stack */
    pushl %ds
    pushl %es
    pushal
    movl $16, %eax
    movl %eax, %ds
    movl %eax, %es
    pushl %esp
    call trap
    addl $4, %esp
    popal
    popl %es
    popl %ds
    addl $8, %esp
    iret
vectors:                        /* 8 bytes of code each */
    .set n, 0
    .rept 128
    .balign 16
    .if (n != 8) && (n < 10 || n > 14) && (n != 17)
    pushl $0
    .endif
    pushl $n
    jmp all
    .set n, n + 1
    .endr

    .globl user, user_end
    .balign 16
user:                           /* what runs in ring 3, at address 0x400000 */
    movl $7, %ebx
    movl $1, %eax
    int $64
    addl %eax, %ebx
    movl $2, %eax
    int $64
1:  cli                         /* not for it */
    jmp 1b
user_end:
