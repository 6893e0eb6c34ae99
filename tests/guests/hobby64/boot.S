/* A 64-bit kernel by Multiboot 2: from the 32-bit state that the loader leaves into long mode, as tutorials do it. */
    .section .multiboot, "a"
    .align 8
header:
    .long 0xe85250d6, 0, header_end - header, -(0xe85250d6 + header_end - header)
    .align 8
    .short 1, 0         /* information that it cannot do without: memory map, ELF sections, modules */
    .long 20, 6, 9, 3
    .align 8
    .short 5, 1         /* a framebuffer, if there is one */
    .long 20, 800, 600, 32
    .align 8
    .short 6, 0         /* modules at page boundaries */
    .long 8
    .align 8
    .short 0, 0
    .long 8
header_end:

    .section .boot, "ax"
    .code32
    .globl _start
_start:
    cli
    movl $boot_stack_top, %esp
    movl %eax, %edi     /* main()'s arguments */
    movl %ebx, %esi
    movl $pdpt + 3, pml4
    movl $pdpt + 3, pml4 + 511 * 8
    movl $0x83, pdpt    /* the first GiB, here and in the higher half */
    movl $0x83, pdpt + 510 * 8
    movl $0x80000001, %eax
    cpuid
    testl $1 << 26, %edx /* 1 GiB pages? else 2 MiB ones */
    jnz 2f
    movl $pd + 3, pdpt
    movl $pd + 3, pdpt + 510 * 8
    movl $0x83, %eax
    movl $pd, %ecx
1:  movl %eax, (%ecx)
    addl $0x200000, %eax
    addl $8, %ecx
    cmpl $pd + 4096, %ecx
    jne 1b
2:  movl $pml4, %eax
    movl %eax, %cr3
    movl %cr4, %eax
    orl $0x20, %eax
    movl %eax, %cr4
    movl $0xc0000080, %ecx
    rdmsr
    orl $0x100, %eax
    wrmsr
    movl %cr0, %eax
    orl $0x80000001, %eax
    movl %eax, %cr0
    lgdt gdt_pointer
    ljmp $8, $long_mode

    .code64
long_mode:
    movw $16, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movabsq $stack_top, %rsp
    movl %edi, %edi
    movl %esi, %esi
    movabsq $main, %rax
    call *%rax
1:  hlt
    jmp 1b

    .align 8
gdt:
    .quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff
gdt_pointer:
    .short . - gdt - 1
    .long gdt

    .section .bootbss, "aw", @nobits
    .align 4096
pml4: .skip 4096
pdpt: .skip 4096
pd:   .skip 4096
    .skip 1024
boot_stack_top:

    .bss
    .align 16
    .skip 16384
stack_top:
