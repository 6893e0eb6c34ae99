/* Where things are: shared by the assembler and C. */
#define KERNBASE       0x80000000
#define LOAD           0x100000
#define TRAMPOLINE     0x7000
#define KERNEL_SECTORS 48
