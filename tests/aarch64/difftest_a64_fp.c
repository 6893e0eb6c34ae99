/*
 * Generators of floating point and SIMD instructions for difftest_a64.
 */
#include "difftest_a64.h"

const struct a64_class a64_fp_classes[] = {
    {0},
};
