/*
 * Lazy flags for everybody outside the interpreter. See flags.h.
 */
#include "vm/flags.h"

#include "vm/flags_inline.h"

uint32_t flags_compute(const struct lazy_flags *f)
{
    uint32_t v = 0;

    if (f->op == FLAGS_EXPLICIT)
        return (uint32_t)f->dst & FLAGS_ALL;
    if (flags_inline_c(f))
        v |= FLAG_C;
    if (flags_inline_p(f))
        v |= FLAG_P;
    if (flags_inline_a(f))
        v |= FLAG_A;
    if (flags_inline_z(f))
        v |= FLAG_Z;
    if (flags_inline_s(f))
        v |= FLAG_S;
    if (flags_inline_o(f))
        v |= FLAG_O;
    return v;
}

void flags_settle(struct lazy_flags *f)
{
    *f = (struct lazy_flags){.op = FLAGS_EXPLICIT, .dst = flags_compute(f)};
}

bool flags_cond(const struct lazy_flags *f, enum cond c)
{
    return flags_inline_cond(f, c);
}

bool flags_carry(const struct lazy_flags *f)
{
    return flags_inline_c(f);
}
