/*
 * Lazy arithmetic flags.
 *
 * A flag-setting micro-op notes what it did (op, result, operand); the flags
 * are computed when somebody asks. FLAGS_EXPLICIT holds them as bits, at the
 * places of the x86 FLAGS register (SDM 1, 3.4.3); another architecture maps
 * its own flags to them (A64: N=S, Z=Z, C=C, V=O). The carry of a subtraction
 * is a borrow for x86 and "no borrow" for others: these have subtractions and
 * unsigned conditions of their own (SUBN, HI...).
 *
 * The canonical form, which is what a stopped CPU holds, is FLAGS_EXPLICIT.
 */
#ifndef HINDCAST_VM_FLAGS_H
#define HINDCAST_VM_FLAGS_H

#include "base/types.h"

#define FLAG_C 0x0001u
#define FLAG_P 0x0004u /* even parity of the low result byte */
#define FLAG_A 0x0010u /* carry out of bit 3 */
#define FLAG_Z 0x0040u
#define FLAG_S 0x0080u
#define FLAG_O 0x0800u
#define FLAGS_ALL (FLAG_C | FLAG_P | FLAG_A | FLAG_Z | FLAG_S | FLAG_O)

/* Low two bits of an op: log2 of the operand size in bytes. */
enum flags_op {
    FLAGS_EXPLICIT = 0, /* dst: FLAG_* bits */
    FLAGS_ADD   = 1 << 2, /* dst = a + src */
    FLAGS_ADC   = 2 << 2, /* dst = a + src + 1 (carry was set; else FLAGS_ADD) */
    FLAGS_SUB   = 3 << 2, /* dst = a - src */
    FLAGS_SBB   = 4 << 2, /* dst = a - src - 1 (borrow was set; else FLAGS_SUB) */
    FLAGS_LOGIC = 5 << 2, /* dst = result; C = O = A = 0 */
    FLAGS_INC   = 6 << 2, /* dst = a + 1; src = the carry kept */
    FLAGS_DEC   = 7 << 2, /* dst = a - 1; src = the carry kept */
    FLAGS_SHL   = 8 << 2, /* dst = result; src = the operand shifted by count - 1 */
    FLAGS_SHR   = 9 << 2, /* dst = result; src = the operand shifted right by count - 1 (SAR: sign-filled) */
    FLAGS_MUL   = 10 << 2, /* dst = low half of the product; src = not 0 if C = O = 1; A = 0 */
    FLAGS_SUBN  = 11 << 2, /* dst = a - src; C = no borrow */
    FLAGS_SBBN  = 12 << 2, /* dst = a - src - 1; C = no borrow */
};

struct lazy_flags {
    uint32_t op;       /* enum flags_op | log2 size */
    uint32_t reserved; /* 0 */
    uint64_t dst;      /* zero-extended from the operand size */
    uint64_t src;
};

/* Conditions, numbered as in the low four bits of x86's Jcc; then unsigned comparisons
 * for those whose carry means "no borrow". The odd one of two is the even one's opposite. */
enum cond {
    COND_O, COND_NO, COND_C, COND_NC, COND_Z, COND_NZ, COND_BE, COND_A,
    COND_S, COND_NS, COND_P, COND_NP, COND_L, COND_GE, COND_LE, COND_G,
    COND_LS, COND_HI, /* !C || Z, C && !Z */
};

/* All six flags as FLAG_* bits. */
uint32_t flags_compute(const struct lazy_flags *f);
/* Is it in canonical form? */
static inline bool flags_canonical(const struct lazy_flags *f)
{
    return f->op == FLAGS_EXPLICIT && !f->reserved && !(f->dst & ~(uint64_t)FLAGS_ALL) && !f->src;
}
/* Bring to canonical form. */
void flags_settle(struct lazy_flags *f);
/* One condition; cheaper than computing all flags. */
bool flags_cond(const struct lazy_flags *f, enum cond c);
bool flags_carry(const struct lazy_flags *f);

#endif
