/*
 * The arithmetic of lazy flags, inlined where speed counts (the interpreter);
 * everybody else calls vm/flags.h. One function for each flag, over the noted
 * operation.
 *
 * Undefined by the manual and settled here, as P6 and NetBurst leave them: AF
 * is 0 after logic and shifts; OF after shifts by more than one is what the
 * one-bit rule gives for the last bit shifted.
 */
#ifndef HINDCAST_VM_FLAGS_INLINE_H
#define HINDCAST_VM_FLAGS_INLINE_H

#include "vm/flags.h"

#define FLAGS_SIZE_MASK 3u

static inline unsigned flags_bits(const struct lazy_flags *f)
{
    return 8u << (f->op & FLAGS_SIZE_MASK);
}

static inline uint64_t flags_mask(const struct lazy_flags *f)
{
    return UINT64_MAX >> (64 - flags_bits(f));
}

static inline bool flags_msb(const struct lazy_flags *f, uint64_t v)
{
    return v >> (flags_bits(f) - 1) & 1;
}

static inline bool flags_inline_c(const struct lazy_flags *f)
{
    switch (f->op & ~FLAGS_SIZE_MASK) {
    case FLAGS_ADD:
        return f->dst < f->src;
    case FLAGS_ADC:
        return f->dst <= f->src;
    case FLAGS_SUB:
        return ((f->dst + f->src) & flags_mask(f)) < f->src;
    case FLAGS_SBB:
        return ((f->dst + f->src + 1) & flags_mask(f)) <= f->src;
    case FLAGS_SUBN:
        return ((f->dst + f->src) & flags_mask(f)) >= f->src;
    case FLAGS_SBBN:
        return ((f->dst + f->src + 1) & flags_mask(f)) > f->src;
    case FLAGS_LOGIC:
        return false;
    case FLAGS_INC:
    case FLAGS_DEC:
    case FLAGS_SHR:
        return f->src & 1;
    case FLAGS_MUL:
        return f->src != 0;
    case FLAGS_SHL:
        return flags_msb(f, f->src);
    default:
        return f->dst & FLAG_C;
    }
}

static inline bool flags_inline_z(const struct lazy_flags *f)
{
    return f->op == FLAGS_EXPLICIT ? (f->dst & FLAG_Z) != 0 : f->dst == 0;
}

static inline bool flags_inline_s(const struct lazy_flags *f)
{
    return f->op == FLAGS_EXPLICIT ? (f->dst & FLAG_S) != 0 : flags_msb(f, f->dst);
}

static inline bool flags_inline_p(const struct lazy_flags *f)
{
    return f->op == FLAGS_EXPLICIT ? (f->dst & FLAG_P) != 0 : !__builtin_parity((uint8_t)f->dst);
}

static inline bool flags_inline_o(const struct lazy_flags *f)
{
    uint64_t a;

    switch (f->op & ~FLAGS_SIZE_MASK) {
    case FLAGS_ADD:
        a = f->dst - f->src;
        return flags_msb(f, ~(a ^ f->src) & (a ^ f->dst));
    case FLAGS_ADC:
        a = f->dst - f->src - 1;
        return flags_msb(f, ~(a ^ f->src) & (a ^ f->dst));
    case FLAGS_SUB:
    case FLAGS_SUBN:
        a = f->dst + f->src;
        return flags_msb(f, (a ^ f->src) & (a ^ f->dst));
    case FLAGS_SBB:
    case FLAGS_SBBN:
        a = f->dst + f->src + 1;
        return flags_msb(f, (a ^ f->src) & (a ^ f->dst));
    case FLAGS_LOGIC:
        return false;
    case FLAGS_INC:
        return f->dst == (flags_mask(f) >> 1) + 1;
    case FLAGS_DEC:
        return f->dst == flags_mask(f) >> 1;
    case FLAGS_SHL:
    case FLAGS_SHR:
        return flags_msb(f, f->src ^ f->dst);
    case FLAGS_MUL:
        return f->src != 0;
    default:
        return (f->dst & FLAG_O) != 0;
    }
}

static inline bool flags_inline_a(const struct lazy_flags *f)
{
    switch (f->op & ~FLAGS_SIZE_MASK) {
    case FLAGS_ADD:
        return ((f->dst - f->src) ^ f->src ^ f->dst) & 0x10;
    case FLAGS_ADC:
        return ((f->dst - f->src - 1) ^ f->src ^ f->dst) & 0x10;
    case FLAGS_SUB:
    case FLAGS_SUBN:
        return ((f->dst + f->src) ^ f->src ^ f->dst) & 0x10;
    case FLAGS_SBB:
    case FLAGS_SBBN:
        return ((f->dst + f->src + 1) ^ f->src ^ f->dst) & 0x10;
    case FLAGS_INC:
        return (f->dst & 0xf) == 0;
    case FLAGS_DEC:
        return (f->dst & 0xf) == 0xf;
    case FLAGS_EXPLICIT:
        return (f->dst & FLAG_A) != 0;
    default:
        return false;
    }
}

/* a < b as signed numbers, where the noted operation was a - b, or the same in flags: S != O. */
static inline bool flags_inline_less(const struct lazy_flags *f)
{
    return flags_inline_s(f) != flags_inline_o(f);
}

static inline bool flags_inline_cond(const struct lazy_flags *f, unsigned c)
{
    bool v;

    switch (c >> 1) {
    case COND_O >> 1:
        v = flags_inline_o(f);
        break;
    case COND_C >> 1:
        v = flags_inline_c(f);
        break;
    case COND_Z >> 1:
        v = flags_inline_z(f);
        break;
    case COND_BE >> 1:
        v = flags_inline_z(f) || flags_inline_c(f);
        break;
    case COND_S >> 1:
        v = flags_inline_s(f);
        break;
    case COND_P >> 1:
        v = flags_inline_p(f);
        break;
    case COND_L >> 1:
        v = flags_inline_less(f);
        break;
    case COND_LS >> 1:
        v = flags_inline_z(f) || !flags_inline_c(f);
        break;
    default:
        v = flags_inline_z(f) || flags_inline_less(f);
        break;
    }
    return v != (c & 1);
}

#endif
