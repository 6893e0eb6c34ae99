/*
 * For tests of integer instructions alone: no FP or SIMD instruction is allocated.
 */
#include "aarch64/lower.h"

a64_helper *a64_fp_handler(uint32_t insn, const struct a64_model *model)
{
    (void)insn;
    (void)model;
    return NULL;
}
