/*
 * What differential tests against the host's processor in 64-bit and in compatibility mode share: a case is code with a state before it; it
 * is run natively and on the emulator, at privilege level 3 behind four levels of page tables, and
 * registers, flags, vectors, memory and exceptions must agree. Then the emulator runs it again in other ways:
 * blocks of one instruction, without optimisation, with the plain interpreter, compiled; position and state must be
 * the same each time.
 *
 * Both sides have the same memory at a low and at a high address.
 */
#ifndef HINDCAST_TESTS_I386_HOST64_H
#define HINDCAST_TESTS_I386_HOST64_H

#include "i386/cpu.h"

#define SIZE      0x10000u /* what both sides have */
#define CODE      0x0000u
#define DATA      0x4000u
#define STACK     0x8000u
#define AREA      0x2000u
#define LAST      0x40u   /* bytes at the end that are 0 to begin with */

extern const uint64_t bases[2];

/* ---- random numbers ---- */

extern uint64_t rng_state;
uint64_t rnd(void);
uint32_t below(uint32_t n);
/* Often at an edge. */
uint64_t value(void);

/* ---- cases ---- */

#define MAX_CODE 500

struct one_case {
    bool compat; /* 32-bit code: base and registers are of 32 bits */
    bool varies; /* processors differ: what the host does does not matter */
    uint64_t base;
    uint64_t gpr[16];
    uint64_t rip;
    uint32_t eflags, undefined; /* undefined: flags that may differ */
    uint32_t mxcsr;
    uint8_t ymm[16][32];
    bool with_x87; /* it matters, too: */
    uint16_t fcw, fsw, fsw_undefined; /* the last: bits that may differ */
    uint8_t ftag;
    struct i386_fpr fpr[8]; /* by physical numbers */
    uint8_t code[MAX_CODE];
    unsigned len, op;
    uint8_t data[AREA], stack[AREA];
};

struct regs {
    uint64_t gpr[16], rip, rflags;
    uint64_t vector;
    uint64_t mxcsr;
    uint8_t ymm[16][32];
    uint64_t fcw, fsw, ftag;
    struct i386_fpr fpr[8];
};

void byte(struct one_case *c, unsigned b);
void bytes(struct one_case *c, const void *p, unsigned n);
void word32(struct one_case *c, uint32_t v);
/* MOV of a constant to a general register. */
void mov_imm(struct one_case *c, unsigned r, uint64_t v);
/* An address somewhere in the middle of the data. */
uint64_t data_pointer(const struct one_case *c);

/* ---- both sides ---- */

struct guest {
    struct machine *m;
    struct i386_cpu *c;
    uint8_t *ram;
};

/* The host's side, the guest, and the one whose code is compiled. False: the memory for host code cannot be mapped, which is said.
 * Where the host lets nobody run 32-bit code, such code is run by the emulator alone. */
bool sides_begin(struct guest *g, struct guest *jit);
/* Say how many cases agree, if none failed. The exit status. */
int sides_end(struct guest *g, struct guest *jit, unsigned long cases, bool failed);
/* Has the host YMM registers? Else their upper halves are not compared. */
bool host_has_avx(void);
/* Natively, on g, and on g and `jit`, which compiles, in all the other ways. False: they differ, which is printed. */
bool run_case(struct guest *g, struct guest *jit, const struct one_case *c);

#endif
