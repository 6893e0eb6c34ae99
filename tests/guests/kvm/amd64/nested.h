/* What nested.c, the guest of a guest, and vm.c, the KVM user program that runs it, agree on. */
#ifndef NESTED_H
#define NESTED_H

#define RAM_BYTES 0x800000u
#define CODE_AT 0x100000u         /* nested.bin; entered there in 64-bit mode */
#define STACK_TOP 0x90000u
#define TABLES_AT 0x10000u        /* PML4, PDPT, 4 directories: the first 4 GiB, at the same addresses */
#define GDT_AT 0x8000u
#define CONSOLE 0xe9              /* a byte that is written here is printed */
#define IRQ_PORT 0x200            /* this interrupt line goes up, and down again */
#define END_PORT 0x201
#define NMI_PORT 0x202
#define CAREFUL_AT 0x7000u        /* not 0: without what QEMU 7.2 ends at (a write to CR8 while an interrupt waits) */
#define DEVICE_AT 0xd0000000u     /* stores are told; loads give DEVICE_VALUE */
#define DEVICE_VALUE 0x8877665544332211u
#define READ_ONLY_AT 0xd1000000u  /* a page that can only be read */

#endif
