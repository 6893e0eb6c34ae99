/*
 * What the manual leaves undefined about an integer instruction (SDM 1, appendix
 * A; SDM 2): for tests that compare processors.
 */
#ifndef HINDCAST_TESTS_I386_UNDEFINED_H
#define HINDCAST_TESTS_I386_UNDEFINED_H

#include "i386/insn.h"
#include "vm/flags.h"

/* Flags undefined after `i` with CL == `cl` (SDM 1, appendix A; SDM 2). */
static inline uint32_t undefined_flags(const struct insn *i, uint32_t cl)
{
    unsigned bits = 8u * i->arg[0].size, count, mask = bits == 64 ? 63 : 31;

    switch (i->op) {
    case INSN_DIV: case INSN_IDIV:
        return FLAGS_ALL;
    case INSN_MUL: case INSN_IMUL1: case INSN_IMUL: case INSN_IMUL3:
        return FLAG_S | FLAG_Z | FLAG_A | FLAG_P;
    case INSN_ROL: case INSN_ROR: case INSN_RCL: case INSN_RCR:
        count = (i->arg[1].kind == OPERAND_IMM ? i->imm : cl) & mask;
        return count > 1 ? FLAG_O : 0;
    case INSN_SHL: case INSN_SAL: case INSN_SHR: case INSN_SAR:
        count = (i->arg[1].kind == OPERAND_IMM ? i->imm : cl) & mask;
        return !count ? 0 : FLAG_A | (count > 1 ? FLAG_O : 0) | (count >= bits ? FLAG_C : 0);
    case INSN_SHLD: case INSN_SHRD:
        count = (i->arg[2].kind == OPERAND_IMM ? i->imm : cl) & mask;
        return !count ? 0 : FLAG_A | (count > 1 ? FLAG_O : 0) | (count > bits ? FLAGS_ALL : 0);
    case INSN_BT: case INSN_BTS: case INSN_BTR: case INSN_BTC:
        return FLAG_O | FLAG_S | FLAG_A | FLAG_P;
    case INSN_BSF: case INSN_BSR:
        return FLAG_C | FLAG_O | FLAG_S | FLAG_A | FLAG_P;
    case INSN_AAA: case INSN_AAS:
        return FLAG_O | FLAG_S | FLAG_Z | FLAG_P;
    case INSN_AAM: case INSN_AAD:
        return FLAG_O | FLAG_A | FLAG_C;
    case INSN_DAA: case INSN_DAS:
        return FLAG_O;
    case INSN_TZCNT: case INSN_LZCNT:
        return FLAG_O | FLAG_S | FLAG_A | FLAG_P;
    case INSN_ANDN: case INSN_BLSR: case INSN_BLSMSK: case INSN_BLSI: case INSN_BZHI:
        return FLAG_A | FLAG_P;
    case INSN_BEXTR:
        return FLAG_A | FLAG_S | FLAG_P;
    case INSN_AND: case INSN_OR: case INSN_XOR: case INSN_TEST:
        return FLAG_A;
    default:
        return 0;
    }
}

/* Is even the result undefined? */
static inline bool undefined_result(const struct insn *i, uint32_t cl)
{
    if (i->op == INSN_BSWAP && i->osize == 2)
        return true;
    if ((i->op == INSN_SHLD || i->op == INSN_SHRD) && i->osize == 2)
        return ((i->arg[2].kind == OPERAND_IMM ? i->imm : cl) & 31) > 16;
    return false;
}

#endif
