/*
 * The pseudo-code of CALL, JMP, RET, IRET and INT (SDM 2) with protection, delivery and task switches (SDM 3A, chapters 5, 6
 * and 8), written down once more, plainly, and without looking at the emulator: what tests hold it against.
 *
 * Memory is the first ORACLE_BYTES of the physical one; what leads out of it is `astray`, and nothing is said about it. So is
 * what the manual leaves to the processor: a segment of 4 GiB gone round; whether a page fault of what is pushed or popped comes
 * before the instruction pointer, or the end of the stack, is found wrong.
 *
 * Pages are mapped 1:1, but for what is said to be wrong with one (oracle.page): so page faults come in the middle of all this
 * (SDM 3A 4.7, 6.15). Descriptor tables, the IDT and TSSs are reached as by level 0, stacks as by the level they are of.
 */
#ifndef HINDCAST_TESTS_I386_ORACLE_H
#define HINDCAST_TESTS_I386_ORACLE_H

#include "i386/cpu.h"

#include <setjmp.h>

#define ORACLE_BYTES 0x20000u

/* ORACLE_OUTSIDE: no instruction, an interrupt from outside. */
enum oracle_kind { ORACLE_CALL, ORACLE_JUMP, ORACLE_RETURN, ORACLE_IRET, ORACLE_INT, ORACLE_OUTSIDE };

/* What a case came by. */
enum oracle_seen {
    SEEN_CODE = 1, SEEN_GATE_LEVEL = 2, SEEN_GATE_INWARD = 4, SEEN_PARAMETERS = 8, SEEN_TASK = 0x10, SEEN_TASK_16 = 0x20,
    SEEN_TASK_VM86 = 0x40, SEEN_TASK_HALF = 0x80, SEEN_TASK_RETURN = 0x100, SEEN_TRAPPED = 0x200, SEEN_OUTWARD = 0x400,
    SEEN_TO_VM86 = 0x800, SEEN_FROM_VM86 = 0x1000, SEEN_LEVEL = 0x2000, SEEN_INWARD = 0x4000, SEEN_IST = 0x8000,
    SEEN_DOUBLE = 0x10000, SEEN_NULL_STACK = 0x20000, SEEN_TASK_FAULT = 0x40000, SEEN_ERROR_TO_TASK = 0x80000,
    SEEN_VIRTUAL = 0x100000, SEEN_PAGE_FAULT = 0x200000, SEEN_PAGE_OLD_TASK = 0x400000, SEEN_PAGE_NEW_TASK = 0x800000,
    SEEN_PAGE_DOUBLE = 0x1000000, SEEN_PAGE_FETCH = 0x2000000, SEEN_PAGE_WRITE = 0x4000000, SEEN_PAGE_USER = 0x8000000,
};

/* What is wrong with a page. */
enum oracle_page { ORACLE_ABSENT = 1, ORACLE_READONLY = 2, ORACLE_SYSTEM = 4, ORACLE_NO_CODE = 8 };
#define ORACLE_PAGES (ORACLE_BYTES / 0x1000)

struct oracle_insn {
    enum oracle_kind kind;
    unsigned size;     /* of operands */
    unsigned len;      /* of the instruction, in bytes */
    uint16_t selector; /* CALL, JMP */
    uint64_t offset;
    uint16_t release;  /* RET */
    unsigned vector;   /* INT n, and of an interrupt */
    uint8_t opcode;    /* of INT: CDh, or CCh (INT3), CEh (INTO), F1h (INT1) */
};

/* All that changes. */
struct oracle_state {
    struct i386_state s; /* without its flags, which are in efl */
    uint32_t efl;
    uint8_t mem[ORACLE_BYTES];
};

struct oracle {
    struct oracle_state now, before; /* `before`: what a fault goes back to */
    jmp_buf caught;
    uint8_t page[2][ORACLE_PAGES]; /* enum oracle_page; of the page directory at CR3, by its bit 12 */
    uint32_t vector, error;
    uint64_t address; /* of a page fault */
    uint32_t ext;
    bool either;   /* a page fault would be one of two that may come first */
    bool roughly;  /* what is being reached comes in whichever order: fields of a TSS, two accessed bits */
    bool rough;    /* so of `address` only the page counts */
    bool astray;   /* nothing is claimed */
    bool shutdown;
    bool faulted;
    bool switching; /* is it all there that a switch needs? */
    bool switched; /* to another task, whose context a fault from now on belongs to */
    bool half;     /* a fault came while that context was loaded */
    bool trapped;  /* by the T bit of its TSS */
    uint32_t seen;
};

/* Make the instruction, and deliver what comes of it. */
void oracle_run(struct oracle *o, const struct oracle_insn *i);

/* Fetch the first byte of the next instruction, and deliver the page fault, if there is one: then true. */
bool oracle_fetch(struct oracle *o);

#endif
