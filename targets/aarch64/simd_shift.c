/*
 * Advanced SIMD shifts, by immediate and by register, vector and scalar forms
 * (DDI 0487 C4.1.96, C7.2).
 */
#include "aarch64/fp.h"

/* a shifted left, or right for negative `shift`; the result is exact before saturation. */
INLINE uint64_t shift_element(struct fp_env *e, uint64_t a, int shift, unsigned size, bool is_unsigned, bool rounds,
                              bool saturates)
{
    const int bits = 8 << size;
    a64_i128 v = is_unsigned ? (a64_i128)zx(a, size) : (a64_i128)sx(a, size);

    if (shift < 0) {
        int n = shift < -(bits + 1) ? bits + 1 : -shift;

        if (rounds)
            v += (a64_i128)1 << (n - 1);
        return (uint64_t)(v >> n);
    }
    if (!saturates)
        return shift >= bits ? 0 : (uint64_t)v << shift;
    if (shift >= bits) /* anything but zero saturates */
        return saturate(e, v == 0 ? 0 : v < 0 ? -((a64_i128)1 << 64) : (a64_i128)1 << 64, size, is_unsigned);
    return saturate(e, v * ((a64_i128)1 << shift), size, is_unsigned);
}

#define SHIFT_OP(name, is_unsigned, rounds, saturates) \
    INLINE uint64_t name(struct fp_env *e, uint64_t d, uint64_t a, uint64_t b, unsigned size) \
    { \
        (void)d; \
        return shift_element(e, a, (int8_t)b, size, is_unsigned, rounds, saturates); \
    }
SHIFT_OP(el_sshl, false, false, false)
SHIFT_OP(el_ushl, true, false, false)
SHIFT_OP(el_srshl, false, true, false)
SHIFT_OP(el_urshl, true, true, false)
SHIFT_OP(el_sqshl, false, false, true)
SHIFT_OP(el_uqshl, true, false, true)
SHIFT_OP(el_sqrshl, false, true, true)
SHIFT_OP(el_uqrshl, true, true, true)

BY_SIZE(sshl, loop_three, el_sshl, false)
BY_SIZE(ushl, loop_three, el_ushl, false)
BY_SIZE(srshl, loop_three, el_srshl, false)
BY_SIZE(urshl, loop_three, el_urshl, false)
BY_SIZE(sqshl, loop_three, el_sqshl, false)
BY_SIZE(uqshl, loop_three, el_uqshl, false)
BY_SIZE(sqrshl, loop_three, el_sqrshl, false)
BY_SIZE(uqrshl, loop_three, el_uqrshl, false)

a64_helper *a64_simd_shift_register(uint32_t w)
{
    static const struct simd_row table[2][4] = {
        {{SIZES(sshl), 15, 8}, {SIZES(sqshl), 15, 15}, {SIZES(srshl), 15, 8}, {SIZES(sqrshl), 15, 15}},
        {{SIZES(ushl), 15, 8}, {SIZES(uqshl), 15, 15}, {SIZES(urshl), 15, 8}, {SIZES(uqrshl), 15, 15}},
    };

    return simd_row_pick(&table[BIT(w, 29)][BITS(w, 11, 2)], w, BITS(w, 22, 2));
}

/* ---- by immediate ---- */

/* Right by b, 1 to the element's bits. */
#define RIGHT_OP(name, expr) \
    INLINE uint64_t name(struct fp_env *e, uint64_t d, uint64_t a, uint64_t b, unsigned size) \
    { \
        const int n = (int)b; \
        (void)e, (void)d, (void)size; \
        return (expr); \
    }
#define SIGNED_RIGHT(rounds)   shift_element(e, a, -n, size, false, rounds, false)
#define UNSIGNED_RIGHT(rounds) shift_element(e, a, -n, size, true, rounds, false)
RIGHT_OP(el_sshr, SIGNED_RIGHT(false))
RIGHT_OP(el_ushr, UNSIGNED_RIGHT(false))
RIGHT_OP(el_ssra, d + SIGNED_RIGHT(false))
RIGHT_OP(el_usra, d + UNSIGNED_RIGHT(false))
RIGHT_OP(el_srshr, SIGNED_RIGHT(true))
RIGHT_OP(el_urshr, UNSIGNED_RIGHT(true))
RIGHT_OP(el_srsra, d + SIGNED_RIGHT(true))
RIGHT_OP(el_ursra, d + UNSIGNED_RIGHT(true))
RIGHT_OP(el_sri, n == 64 ? d : (d & ~(element_mask(size) >> n)) | a >> n)
/* Left by b, 0 to the element's bits - 1. */
RIGHT_OP(el_shl, a << n)
RIGHT_OP(el_sli, (d & (((uint64_t)1 << n) - 1)) | a << n)
RIGHT_OP(el_sqshlu, saturate(e, (a64_i128)sx(a, size) * ((a64_i128)1 << n), size, true))
/* Narrowing: from twice the size. */
RIGHT_OP(el_shrn, a >> n)
RIGHT_OP(el_rshrn, shift_element(e, a, -n, size + 1, true, true, false))
#define NARROW_SIGNED(rounds)   sx(shift_element(e, a, -n, size + 1, false, rounds, false), 3)
#define NARROW_UNSIGNED(rounds) shift_element(e, a, -n, size + 1, true, rounds, false)
RIGHT_OP(el_sqshrn, saturate(e, NARROW_SIGNED(false), size, false))
RIGHT_OP(el_sqrshrn, saturate(e, NARROW_SIGNED(true), size, false))
RIGHT_OP(el_uqshrn, saturate(e, NARROW_UNSIGNED(false), size, true))
RIGHT_OP(el_uqrshrn, saturate(e, NARROW_UNSIGNED(true), size, true))
RIGHT_OP(el_sqshrun, saturate(e, NARROW_SIGNED(false), size, true))
RIGHT_OP(el_sqrshrun, saturate(e, NARROW_SIGNED(true), size, true))
/* Lengthening. */
RIGHT_OP(el_sshll, (uint64_t)sx(a, size) << n)
RIGHT_OP(el_ushll, a << n)

INLINE int shift_right(struct ucpu *u, const struct uop *op, unsigned size, element_op *f)
{
    return loop_two(u, op, size, f, (16u << size) - BITS(a64_fp_word(op), 16, 7), false);
}

INLINE int shift_left(struct ucpu *u, const struct uop *op, unsigned size, element_op *f)
{
    return loop_two(u, op, size, f, BITS(a64_fp_word(op), 16, 7) - (8u << size), false);
}

INLINE int shift_narrow(struct ucpu *u, const struct uop *op, unsigned size, element_op *f)
{
    return loop_narrow(u, op, size, f, false, (16u << size) - BITS(a64_fp_word(op), 16, 7), false);
}

INLINE int shift_long(struct ucpu *u, const struct uop *op, unsigned size, element_op *f)
{
    struct a64_state *s = fp_state(u);
    const uint32_t w = a64_fp_word(op);
    const unsigned count = 8u >> size, first = BIT(w, 30) ? count : 0, shift = BITS(w, 16, 7) - (8u << size);
    union a64_vreg r;

    for (unsigned i = 0; i < count; i++)
        set_element(&r, size + 1, i, f(NULL, 0, element(&s->v[RN(w)], size, first + i), shift, size));
    s->v[RD(w)] = r;
    return UOP_NEXT;
}

BY_SIZE(sshr, shift_right, el_sshr)
BY_SIZE(ushr, shift_right, el_ushr)
BY_SIZE(ssra, shift_right, el_ssra)
BY_SIZE(usra, shift_right, el_usra)
BY_SIZE(srshr, shift_right, el_srshr)
BY_SIZE(urshr, shift_right, el_urshr)
BY_SIZE(srsra, shift_right, el_srsra)
BY_SIZE(ursra, shift_right, el_ursra)
BY_SIZE(sri, shift_right, el_sri)
BY_SIZE(shl, shift_left, el_shl)
BY_SIZE(sli, shift_left, el_sli)
BY_SIZE(sqshlu, shift_left, el_sqshlu)
BY_SIZE(sqshl_i, shift_left, el_sqshl)
BY_SIZE(uqshl_i, shift_left, el_uqshl)
BY_SIZE_BHS(shrn, shift_narrow, el_shrn)
BY_SIZE_BHS(rshrn, shift_narrow, el_rshrn)
BY_SIZE_BHS(sqshrn, shift_narrow, el_sqshrn)
BY_SIZE_BHS(sqrshrn, shift_narrow, el_sqrshrn)
BY_SIZE_BHS(uqshrn, shift_narrow, el_uqshrn)
BY_SIZE_BHS(uqrshrn, shift_narrow, el_uqrshrn)
BY_SIZE_BHS(sqshrun, shift_narrow, el_sqshrun)
BY_SIZE_BHS(sqrshrun, shift_narrow, el_sqrshrun)
BY_SIZE_BHS(sshll, shift_long, el_sshll)
BY_SIZE_BHS(ushll, shift_long, el_ushll)

a64_helper *a64_simd_shift(uint32_t w)
{
    static const struct simd_row table[2][21] = {
        {[0] = {SIZES(sshr), 15, 8}, [2] = {SIZES(ssra), 15, 8}, [4] = {SIZES(srshr), 15, 8},
         [6] = {SIZES(srsra), 15, 8}, [10] = {SIZES(shl), 15, 8}, [14] = {SIZES(sqshl_i), 15, 15},
         [16] = {SIZES_BHS(shrn), 7, 0}, [17] = {SIZES_BHS(rshrn), 7, 0}, [18] = {SIZES_BHS(sqshrn), 7, 7},
         [19] = {SIZES_BHS(sqrshrn), 7, 7}, [20] = {SIZES_BHS(sshll), 7, 0}},
        {[0] = {SIZES(ushr), 15, 8}, [2] = {SIZES(usra), 15, 8}, [4] = {SIZES(urshr), 15, 8},
         [6] = {SIZES(ursra), 15, 8}, [8] = {SIZES(sri), 15, 8}, [10] = {SIZES(sli), 15, 8},
         [12] = {SIZES(sqshlu), 15, 15}, [14] = {SIZES(uqshl_i), 15, 15}, [16] = {SIZES_BHS(sqshrun), 7, 7},
         [17] = {SIZES_BHS(sqrshrun), 7, 7}, [18] = {SIZES_BHS(uqshrn), 7, 7}, [19] = {SIZES_BHS(uqrshrn), 7, 7},
         [20] = {SIZES_BHS(ushll), 7, 0}},
    };
    unsigned opcode = BITS(w, 11, 5), size = 31 - (unsigned)__builtin_clz(BITS(w, 19, 4));

    if (opcode == 0x1c || opcode == 0x1f)
        return a64_simd_fp_shift(w);
    return opcode <= 20 ? simd_row_pick(&table[BIT(w, 29)][opcode], w, size) : NULL;
}
