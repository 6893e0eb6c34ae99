/*
 * Running 32-bit code on the host's own processor, inside a 64-bit Linux
 * process: far jump to the compatibility-mode code segment, far jump back.
 * x86-64 Linux only; elsewhere host32_init() says no.
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
 * (below 2 GiB), and a page for the passage at base + size. False: not possible here. */
bool host32_init(uint32_t base, uint32_t size);
/* Write the code that leaves at `at`. */
void host32_leave(uint8_t *at);
/* Run from r->eip with r's registers until the leaving code or an exception. */
void host32_run(struct host32_regs *r);

#endif
