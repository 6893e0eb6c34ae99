/*
 * An EFI application for x86-64 and AArch64 (UEFI 2.9): it writes its text to the console and ends with an error, upon which
 * firmware goes on with what comes next in its order of booting. With `FINAL` defined it switches the machine off instead.
 * The image is its own PE file: no tool makes one for both (Microsoft PE and COFF specification).
 */
        .text
image:  .ascii  "MZ"
        .org    image + 0x3c
        .long   pe - image
pe:     .ascii  "PE\0\0"
#ifdef __aarch64__
        .short  0xaa64
#else
        .short  0x8664
#endif
        .short  1                       // sections
        .long   0, 0, 0
        .short  optional_end - optional
        .short  0x0206                  // executable, no line numbers, debug stripped
optional:
        .short  0x020b                  // PE32+
        .byte   0, 0
        .long   end - start, 0, 0
        .long   start - image           // entry point
        .long   start - image
        .quad   0                       // image base
        .long   0x1000, 0x200           // alignment of sections in memory, in the file
        .short  0, 0, 0, 0, 0, 0
        .long   0
        .long   end - image             // size of the image, of the headers
        .long   0x1000
        .long   0
        .short  10                      // an EFI application
        .short  0
        .quad   0, 0, 0, 0
        .long   0
        .long   6                       // data directories: all empty
        .quad   0, 0, 0, 0, 0, 0
optional_end:
        .ascii  ".text\0\0\0"
        .long   end - start, start - image, end - start, start - image
        .long   0, 0
        .short  0, 0
        .long   0xe0000020              // code; readable, writable, executable

        .org    image + 0x1000
#ifdef __aarch64__
start:  stp     x29, x30, [sp, #-32]!
        str     x1, [sp, #16]
        ldr     x0, [x1, #64]           // EFI_SYSTEM_TABLE.ConOut
        ldr     x2, [x0, #8]            // .OutputString
        adr     x1, text
        blr     x2
#ifdef FINAL
        ldr     x1, [sp, #16]
        ldr     x1, [x1, #88]           // .RuntimeServices
        ldr     x4, [x1, #104]          // .ResetSystem
        mov     x0, #2                  // EfiResetShutdown
        mov     x1, #0
        mov     x2, #0
        mov     x3, #0
        blr     x4
#endif
        ldp     x29, x30, [sp], #32
        mov     x0, #14                 // EFI_NOT_FOUND
        orr     x0, x0, #0x8000000000000000
        ret
#else
start:  push    %rbx
        sub     $32, %rsp
        mov     %rdx, %rbx
        mov     64(%rbx), %rcx
        lea     text(%rip), %rdx
        call    *8(%rcx)
#ifdef FINAL
        mov     88(%rbx), %rax
        mov     $2, %ecx
        xor     %edx, %edx
        xor     %r8d, %r8d
        xor     %r9d, %r9d
        call    *104(%rax)
#endif
        add     $32, %rsp
        pop     %rbx
        movabs  $0x800000000000000e, %rax
        ret
#endif
        .balign 8
text:   .fill   64, 2, 2                // put here by who makes the medium: UCS-2
        .org    image + 0x2000
end:
