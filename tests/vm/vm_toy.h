/*
 * A small made-up CPU on the shared execution core, and a board for it: what
 * the tests of src/vm run. It has just enough of everything that the core
 * cares for: flags, loads and stores of all sizes, a page table with accessed
 * and dirty bits, exceptions, interrupts, single-stepping, debug registers, a
 * repeated instruction, port-like instructions, and devices by MMIO.
 *
 * Instructions are of 1 to 8 bytes, and every byte string is a program.
 */
#ifndef HINDCAST_TESTS_VM_TOY_H
#define HINDCAST_TESTS_VM_TOY_H

#include "vm/exec.h"
#include "vm/machine.h"

enum toy_op {
    TOY_NOP,    /* 1 byte */
    TOY_MOVI,   /* d, imm32: 6 bytes */
    TOY_ALU,    /* kind, d, a, b: 5 bytes; size in kind bits 6-7 */
    TOY_ALUI,   /* kind, d, a, imm8: 5 bytes */
    TOY_LD,     /* size, d, a, imm16: 6 bytes */
    TOY_ST,     /* size, d, a, imm16: 6 bytes */
    TOY_ADDM,   /* -, d, a, imm16: [a + imm16] += d: 6 bytes */
    TOY_PUSH,   /* d, a: 3 bytes */
    TOY_POP,
    TOY_BR,     /* cond, rel16: 4 bytes */
    TOY_JMP,    /* -, rel16: 4 bytes */
    TOY_JMPR,   /* a: 2 bytes */
    TOY_POS,    /* d: d = position; alone: 2 bytes */
    TOY_FILL,   /* r6 times store byte r0 at r7++, repeated: 1 byte */
    TOY_SETPT,  /* a: page table at a, 0: none: 2 bytes */
    TOY_TRAP,   /* 1 byte: exception */
    TOY_HLT,    /* 1 byte */
    TOY_ERET,   /* 1 byte: pc = epc, interrupts on */
    TOY_EI,     /* on: 2 bytes */
    TOY_TF,     /* on: 2 bytes */
    TOY_SETDR,  /* kind, a: debug register 0: 3 bytes */
    TOY_BASE,   /* imm8: code base = imm8 * 16 (PC unchanged in memory): 2 bytes */
    TOY_SETCC,  /* cond, d: 3 bytes */
    TOY_JECXZ,  /* a, rel16: 4 bytes */
    TOY_YIELD,  /* gives up the slot: 1 byte */
    TOY_IPI,    /* a: interrupts CPU number r[a]: 2 bytes */
    TOY_OPS
};

enum toy_alu {
    TOY_ADD, TOY_SUB, TOY_AND, TOY_OR, TOY_XOR, TOY_CMP, TOY_TEST, TOY_ADC, TOY_SBB, TOY_INC, TOY_DEC,
    TOY_NEG, TOY_SHL, TOY_SHR, TOY_SAR, TOY_ALUS
};

DEVICE_STATE_BEGIN
struct toy_state {
    uint32_t r[8];
    uint32_t pc, zero;
    struct lazy_flags cc;
    uint32_t base;      /* of code */
    uint32_t ptbase;
    uint32_t epc, cause, fault_va;
    uint32_t evec, ivec;
    uint32_t ie, irq, tf, halted;
    uint32_t pending_db, dbcount;
    uint32_t rep_active;
    uint64_t rep_start;
    uint64_t resume_at; /* no break at this position: ERET came from one */
    uint32_t dr_kind, dr_addr;
    uint32_t watch_hits, break_hits;
    uint32_t pending;   /* exception raised by the instruction in progress */
    uint32_t t[3];
};

struct toy_device_state {
    uint64_t deadline;
    uint64_t last_position;
    uint32_t reads, writes, expiries, inputs, alias, reserved;
};
DEVICE_STATE_END

struct toy {
    struct ucpu u;
    struct toy_state *st;
};

/* The board: TOY_RAM bytes of RAM at 0, the device's registers at TOY_MMIO (64 bytes of them) and at TOY_MMIO_PAGE (a page),
 * ROM at TOY_ROM. */
#define TOY_RAM  0x20000u
#define TOY_MMIO 0x20000u
#define TOY_ROM  0x21000u
#define TOY_MMIO_PAGE 0x22000u
/* Entries of a page table: two pages of them. */
#define TOY_PAGES 2048u
/* Device registers, 4 bytes each. */
enum {
    TOY_REG_POSITION = 0, /* read: position */
    TOY_REG_TIMER = 4,    /* write: expire so many ns from now */
    TOY_REG_COUNT = 8,    /* read: reads so far */
    TOY_REG_ACK = 12,     /* write: interrupt line down */
    TOY_REG_DMA = 16,     /* write: store 8 bytes at this physical address */
    TOY_REG_ALIAS = 20,   /* write: odd: page 9 also answers at the address of page 10 */
    TOY_REG_END = 24,     /* write: the guest ends */
};

/* With one CPU, with several. */
struct machine *toy_machine(void);
struct machine *toy_machine_of(unsigned ncpus);
static inline struct toy *toy_nth(const struct machine *m, unsigned n)
{
    return (struct toy *)(void *)m->cpus[n];
}
static inline struct toy *toy_of(const struct machine *m)
{
    return toy_nth(m, 0);
}
static inline struct toy_device_state *toy_device(const struct machine *m)
{
    return m->devices[0]->state;
}
/* Put bytes into RAM as a loader does. */
void toy_poke(struct machine *m, paddr_t at, const void *bytes, size_t len);

#endif
