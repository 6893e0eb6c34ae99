/*
 * What nested.c, the guest of a guest, and vm.c, the KVM user program that runs it, agree on.
 * Addresses are the nested guest's physical ones (IPA).
 */
#ifndef NESTED_H
#define NESTED_H

#define RAM_AT 0x80000000u       /* its memory, and the address nested.bin is linked at */
#define RAM_BYTES 0x400000u
#define CONSOLE 0x09000000u      /* a byte stored here is printed */
#define DOORBELL 0x09000008u     /* 64 bits: a command in the top byte, its argument below */
#define SENSOR 0x09000010u       /* whatever is read here: SENSOR_VALUE */
#define ANY_SIZE 0x09000020u     /* stores here are told with their size and value */
#define DEMAND_AT 0x90000000u    /* memory appears here, DEMAND_BYTES of it, once it is read */
#define DEMAND_BYTES 0x10000u
#define READ_ONLY_AT 0x98000000u /* a page that can only be read */
#define GICD_AT 0x08000000u
#define GICC_AT 0x08010000u      /* GICv2 */
#define GICR_AT 0x080a0000u      /* GICv3 */

#define SENSOR_VALUE 0x8765432180c1f0e1u
#define COUNTER_START 0x100000000000u /* the virtual counter begins here */
#define SPI 40                        /* the interrupt that vm.c raises */

enum command {
    LEVEL = 1,   /* SPI's level: the argument */
    RESIDENT,    /* is the page at the argument in memory? */
    DIRTY,       /* which pages of the memory at DEMAND_AT were written? */
    CLOBBER,     /* use every FP/SIMD register, and show the guest's V5 and FPCR */
    STEP,        /* step so many instructions */
    BREAK_AT,    /* a hardware breakpoint */
    WATCH,       /* a hardware watchpoint on the 8 bytes there, for stores */
    BRK,         /* BRK instructions are the debugger's */
    NEIGHBOUR,   /* run another guest meanwhile, at the same addresses */
};

#endif
