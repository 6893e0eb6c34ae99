/*
 * An emulated machine in long mode that runs a user program's code at privilege level 3, as a process of the host
 * does: the same memory at a low and at a high address. What is behind it (page tables, handlers) is of no concern
 * to the code, and is at the end of its memory.
 */
#ifndef HINDCAST_TESTS_I386_USER_H
#define HINDCAST_TESTS_I386_USER_H

#include "i386/cpu.h"
#include "i386_host.h"

#define USER_SIZE 0x10000u /* what the code has, at each of */
extern const uint64_t user_bases[2];

struct user_guest {
    struct machine *m;
    struct i386_cpu *c;
    uint8_t *ram; /* USER_SIZE bytes, and more */
};

enum user_mode { USER_64, USER_32, USER_16 }; /* 16: CS, DS and ES at the low base, SS flat and of 32 bits */

struct user_outcome {
    struct host64_regs regs; /* in: from where; out: at the exception, without error code and address */
    icount_t steps;
};

void user_guest_init(struct user_guest *g, const char *model);
void user_guest_write(struct user_guest *g, uint32_t at, const void *bytes, unsigned len);
/* A page of the low base is there, or not. */
void user_guest_map(struct user_guest *g, uint32_t at, bool present);
/* Run to the exception that ends it. False: it does not end. */
bool user_guest_run(struct user_guest *g, enum user_mode mode, struct user_outcome *o);

#endif
