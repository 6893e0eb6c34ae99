/*
 * Start of the hobby kernel: a Multiboot 1 header, or with -DMULTIBOOT2 one of
 * Multiboot 2; paging with the kernel's 4 MiB at 0 and at 3 GiB and the page
 * directory mapped into itself; interrupt entries; ways to ring 3 and back.
 */
#define OFFSET 0xc0000000

    .section .multiboot, "a"
#ifdef MULTIBOOT2
    .balign 8
header:
    .long 0xe85250d6, 0, header_end - header, -(0xe85250d6 + (header_end - header))
#ifdef GRAPHICS
    .balign 8
    .word 5, 0
    .long 20, 800, 600, 32
#endif
    .balign 8
    .word 0, 0
    .long 8
header_end:
#else
    .balign 4
#ifdef GRAPHICS
    .long 0x1badb002, 7, -(0x1badb002 + 7), 0, 0, 0, 0, 0, 0, 800, 600, 32
#else
    .long 0x1badb002, 3, -(0x1badb002 + 3)
#endif
#endif

    .section .boot, "ax"
    .globl start_physical
    .set start_physical, start - OFFSET
start:
    cli
    movl $(boot_tables - OFFSET), %edi      /* one page table: the first 4 MiB */
    movl $3, %edx
    movl $1024, %ecx
1:  movl %edx, (%edi)
    addl $4096, %edx
    addl $4, %edi
    loop 1b
    movl $(page_directory - OFFSET), %edi
    movl $(boot_tables - OFFSET + 3), (%edi)
    movl $(boot_tables - OFFSET + 3), 3072(%edi)
    leal 3(%edi), %edx
    movl %edx, 4092(%edi)                   /* recursive */
    movl %edi, %cr3
    movl %cr0, %ecx
    orl $0x80010000, %ecx                   /* PG, WP */
    movl %ecx, %cr0
    movl $higher_half, %ecx
    jmp *%ecx

    .text
higher_half:
    movl $stack_top, %esp
    pushl %ebx
    pushl %eax
    call kernel_main
1:  hlt
    jmp 1b

    /* Entries of all vectors, 16 bytes each; those without an error code push a zero. */
    .globl entries
    .balign 16
entries:
    .set vector, 0
    .rept 256
    .balign 16
    .if vector != 8 && vector != 17 && (vector < 10 || vector > 14)
    pushl $0
    .endif
    pushl $vector
    jmp common
    .set vector, vector + 1
    .endr

common:
    pushal
    pushl %ds
    movl $0x10, %eax
    movl %eax, %ds
    movl %eax, %es
    pushl %esp
    call interrupt
    addl $4, %esp
    popl %eax
    movl %eax, %ds
    movl %eax, %es
    popal
    addl $8, %esp
    iret

    /* int enter_user(eip, esp): runs ring 3 code until it asks to leave; what it left with is returned. */
    .globl enter_user, leave_user
enter_user:
    movl 4(%esp), %eax
    movl 8(%esp), %ecx
    pushl %ebx
    pushl %esi
    pushl %edi
    pushl %ebp
    movl %esp, user_return
    movl $0x23, %edx
    movl %edx, %ds
    movl %edx, %es
    pushl $0x23
    pushl %ecx
    pushl $0x202
    pushl $0x1b
    pushl %eax
    iret
leave_user:                                  /* void leave_user(int): from a handler */
    movl 4(%esp), %eax
    movl user_return, %esp
    movl $0x10, %edx
    movl %edx, %ds
    movl %edx, %es
    popl %ebp
    popl %edi
    popl %esi
    popl %ebx
    ret

    .globl sysenter_entry
sysenter_entry:                              /* ECX: where to return, EDX: stack; EAX is answered plus one */
    incl %eax
    xchgl %ecx, %edx                         /* SYSEXIT wants EIP in EDX, ESP in ECX */
    sysexit

    /* Ring 3. */
    .globl user_int80, user_sysenter, user_cli
user_int80:
    movl $5, %eax
    int $0x80                                /* the kernel adds 37 */
    movl %eax, %ebx
    movl $1, %eax
    int $0x80                                /* leave with EBX */
user_sysenter:
    movl $99, %eax
    movl $1f, %ecx
    movl %esp, %edx
    sysenter
1:  movl %eax, %ebx
    movl $1, %eax
    int $0x80
user_cli:
    cli                                      /* #GP(0) */
    movl $0, %ebx
    movl $1, %eax
    int $0x80

    .globl load_gdt, double_fault_entry, overflow_stack
load_gdt:                                    /* void load_gdt(pointer) */
    movl 4(%esp), %eax
    lgdt (%eax)
    ljmp $0x08, $1f
1:  movl $0x10, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %fs
    movl %eax, %gs
    movl %eax, %ss
    movl $0x28, %eax
    ltr %ax
    ret
double_fault_entry:                          /* a task of its own: the old stack was of no use */
    call double_fault
1:  iret
    jmp double_fault_entry
overflow_stack:                              /* pushes into an absent page; the handler's task repairs ESP and EIP */
    movl %esp, %ecx
    movl 4(%esp), %esp
    pushl %eax
    .globl overflow_done
overflow_done:
    movl %ecx, %esp
    ret

    .bss
    .balign 4096
    .globl page_directory, boot_tables, user_return
page_directory:
    .skip 4096
boot_tables:
    .skip 4096
    .skip 16384
    .globl stack_top
stack_top:
user_return:
    .skip 4
