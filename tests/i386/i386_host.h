/*
 * Running code on the host's own processor, inside a 64-bit Linux process: of 64 bits, until an
 * exception; of 32 bits by a far jump to the compatibility-mode code segment, and a far jump back; of 16 bits likewise,
 * in a segment of the process's LDT.
 * x86-64 Linux only; elsewhere host32_init(), host16_init() and host64_init() say no.
 */
#ifndef HINDCAST_TESTS_I386_HOST_H
#define HINDCAST_TESTS_I386_HOST_H

#include <stdbool.h>
#include <stdint.h>

/* Selectors of user code and data, in the host's GDT. */
#define HOST32_CS 0x23
#define HOST32_DS 0x2b

struct host32_regs {
    uint32_t gpr[8]; /* EAX ECX EDX EBX ESP EBP ESI EDI */
    uint32_t eip;
    uint32_t eflags;
    uint32_t vector; /* out: exception that ended the run, or HOST32_DONE */
    uint32_t error;  /* out: its error code */
};
#define HOST32_DONE 0xffu

/* Bytes of the code that leaves: to be put after the last instruction. */
#define HOST32_LEAVE_BYTES 7

/* Map `size` bytes of memory, readable, writable and executable, at `base`
 * (below 2 GiB), and a page for the passage at base + size. False: not possible here, or the kernel lets nobody run 32-bit code. */
bool host32_init(uint32_t base, uint32_t size);
/* Write the code that leaves at `at`. */
void host32_leave(uint8_t *at);
/* Run from r->eip with r's registers until the leaving code or an exception. */
void host32_run(struct host32_regs *r);

/* ---- 16 bits ---- */

/* After host32_init(): code and data segments of 64 KiB at `base`. False: the host gives no LDT. */
bool host16_init(uint32_t base);
/* host32_run() with CS, DS and ES of them, CS of 16 bits; SS is flat, of 32 bits. r->eip is an offset, before and after. */
void host16_run(struct host32_regs *r);

/* ---- 64 bits ---- */

struct host64_regs {
    uint64_t gpr[16]; /* RAX RCX RDX RBX RSP RBP RSI RDI R8... */
    uint64_t rip, rflags;
    uint64_t vector; /* out: exception that ended the run */
    uint64_t error, address; /* out: its error code, CR2 */
};

/* Map `size` bytes at `base` as above, without a passage; may be called for several. */
bool host64_init(uint64_t base, uint32_t size);
/* Run from r->rip with r's registers until an exception, in 64-bit mode. */
void host64_run(struct host64_regs *r);

#endif
