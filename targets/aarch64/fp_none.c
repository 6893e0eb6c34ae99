/*
 * TODO: stands in until fp.c has a64_fp_handler(); then this file goes. Without
 * floating point every such instruction is UNDEFINED. The linker takes
 * it only while no file that precedes it in the library defines the function.
 */
#include "aarch64/lower.h"

a64_helper *a64_fp_handler(uint32_t insn, const struct a64_model *model)
{
    (void)insn, (void)model;
    return NULL;
}
