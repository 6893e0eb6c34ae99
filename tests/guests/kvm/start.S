/*
 * The nested guest's entry, vectors, translation tables, and the parts of it
 * that must be these instructions and no others.
 */
#define TABLE 0x3
#define BLOCK 0x1
#define PAGE 0x3
#define AF (1 << 10)
#define SHARED (3 << 8)
#define READ_ONLY (2 << 6)
#define USER (1 << 6)
#define DEVICE (1 << 2) /* MAIR_EL1's second */

    .section .text.start, "ax"
    .global _start
_start: // x0: the GIC's version; x1: not 0: the neighbour
    ldr x9, =stack_top
    mov sp, x9
    mov x9, #(3 << 20) // CPACR_EL1.FPEN
    msr cpacr_el1, x9
    ldr x9, =vectors
    msr vbar_el1, x9
    isb
    bl nested_main
    ldr x0, =0x84000008 // SYSTEM_OFF
    hvc #0
1:  b 1b

    .text
    .macro entry handler
    .balign 128
    sub sp, sp, #272
    stp x0, x1, [sp, #0]
    adr x1, \handler
    b take
    .endm

    .balign 2048
vectors:
    .rept 4
    entry unexpected
    .endr
    entry trap
    entry interrupt
    entry unexpected
    entry unexpected
    entry trap
    entry unexpected
    entry unexpected
    entry unexpected
    .rept 4
    entry unexpected
    .endr

take: // x1: the handler, to be given the registers' frame
    stp x2, x3, [sp, #16]
    stp x4, x5, [sp, #32]
    stp x6, x7, [sp, #48]
    stp x8, x9, [sp, #64]
    stp x10, x11, [sp, #80]
    stp x12, x13, [sp, #96]
    stp x14, x15, [sp, #112]
    stp x16, x17, [sp, #128]
    stp x18, x19, [sp, #144]
    stp x20, x21, [sp, #160]
    stp x22, x23, [sp, #176]
    stp x24, x25, [sp, #192]
    stp x26, x27, [sp, #208]
    stp x28, x29, [sp, #224]
    mrs x2, elr_el1
    mrs x3, spsr_el1
    stp x30, x2, [sp, #240]
    str x3, [sp, #256]
    mov x0, sp
    blr x1
    ldr x3, [sp, #256]
    ldp x30, x2, [sp, #240]
    msr elr_el1, x2
    msr spsr_el1, x3
    ldp x2, x3, [sp, #16]
    ldp x4, x5, [sp, #32]
    ldp x6, x7, [sp, #48]
    ldp x8, x9, [sp, #64]
    ldp x10, x11, [sp, #80]
    ldp x12, x13, [sp, #96]
    ldp x14, x15, [sp, #112]
    ldp x16, x17, [sp, #128]
    ldp x18, x19, [sp, #144]
    ldp x20, x21, [sp, #160]
    ldp x22, x23, [sp, #176]
    ldp x24, x25, [sp, #192]
    ldp x26, x27, [sp, #208]
    ldp x28, x29, [sp, #224]
    ldp x0, x1, [sp, #0]
    add sp, sp, #272
    eret

// fpu_kept(doorbell, command): fills V0-V31, FPCR and FPSR, rings, and gives back how many have changed.
    .global fpu_kept
fpu_kept:
    mov x9, #0x00c00000 // round towards zero
    msr fpcr, x9
    mov x9, #0x9        // IOC, UFC
    msr fpsr, x9
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    mov x9, #(0x1100 + \n)
    dup v\n\().2d, x9
    add x9, x9, #0x7000
    mov v\n\().d[1], x9
    .endr
    str x1, [x0]
    mov x0, #0
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    mov x10, v\n\().d[0]
    mov x9, #(0x1100 + \n)
    cmp x10, x9
    cinc x0, x0, ne
    mov x10, v\n\().d[1]
    add x9, x9, #0x7000
    cmp x10, x9
    cinc x0, x0, ne
    .endr
    mrs x9, fpcr
    cmp x9, #0x00c00000
    cinc x0, x0, ne
    mrs x9, fpsr
    cmp x9, #0x9
    cinc x0, x0, ne
    ret

// stepped(doorbell, command, word): rings for a debugger's single steps, then a few instructions to step.
    .global stepped, step_0, step_1, step_2, step_3, step_4
stepped:
    str x1, [x0]
step_0:
    mov x9, #3
    str x9, [x2]
    b step_2
step_1:
    ret
step_2:
    ldr x10, [x2]
    hvc #0x7f  // not of SMCCC: KVM answers "not supported"
step_3:
    svc #9     // a step goes into the handler
step_4:
    b step_1

// A function to stop at, with a store to watch and a BRK: poke(word, value), brk_here().
    .global poke, poke_store, brk_here
poke:
    nop
poke_store:
    str x1, [x0]
    ret
brk_here:
    brk #0x123
    ret

// enter_user(pc, sp): ERET to EL0; trap() comes back to the caller on SVC.
    .global enter_user
enter_user:
    msr elr_el1, x0
    msr sp_el0, x1
    msr spsr_el1, xzr
    eret

// Seen by EL0 at another address.
    .global user_page
    .balign 4096
user_page:
    mrs x0, tpidrro_el0
    mov x1, sp
    svc #0x42
    .balign 4096

    .data
    .balign 4096
    .global level1
level1: // 39 bits of address, 4 KiB granule
    .quad 0x0 + AF + DEVICE + BLOCK                  // devices
    .quad 0x80000000 + AF + SHARED + BLOCK           // 40000000: memory once more
    .quad level2 + TABLE
    .fill 509, 8, 0
level2: // 80000000
    .quad 0x80000000 + AF + SHARED + BLOCK
    .quad level3 + TABLE
    .fill 126, 8, 0
    .quad 0x90000000 + AF + SHARED + BLOCK
    .fill 63, 8, 0
    .quad 0x98000000 + AF + SHARED + BLOCK
    .fill 319, 8, 0
level3: // 80200000
    .quad 0x80200000 + AF + SHARED + PAGE
    .quad 0x80201000 + AF + SHARED + READ_ONLY + PAGE
    .quad 0
    .quad 0x80203000 + SHARED + PAGE                 // access flag clear
    .quad user_page + AF + SHARED + READ_ONLY + USER + PAGE
    .fill 251, 8, 0
    .quad 0x80300000 + AF + SHARED + PAGE            // 80300000
    .fill 255, 8, 0

    .balign 4096
    .fill 8192
stack_top:
