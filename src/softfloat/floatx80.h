/*
 * The 80-bit double extended format of the x87 (SDM 1, 4.2.2 and chapter 8):
 * arithmetic with precision control, and the transcendental functions.
 *
 * Encodings that the format does not support (unnormals, pseudo-infinities,
 * pseudo-NaNs) are invalid operands; pseudo-denormals are denormal operands.
 *
 * The transcendental functions are computed with 128-bit significands and
 * rounded once, in the current rounding mode, to 64 bits whatever the precision
 * control: errors are far below one ulp (within 2^-50 ulp of correct rounding).
 * FSIN, FCOS and FPTAN reduce their argument by the 66-bit value of pi that the
 * processors hold (SDM 1, 8.3.8).
 */
#ifndef HINDCAST_SOFTFLOAT_FLOATX80_H
#define HINDCAST_SOFTFLOAT_FLOATX80_H

#include "softfloat/softfloat.h"

struct floatx80 {
    uint64_t sig; /* with explicit integer bit 63 */
    uint16_t se;  /* bit 15 sign, 0-14 exponent biased by 16383 */
};

enum floatx80_class { X80_UNSUPPORTED, X80_NAN, X80_NORMAL, X80_INFINITY, X80_ZERO, X80_DENORMAL };
enum floatx80_class fx80_classify(struct floatx80 a);

struct floatx80 fx80_add(struct floatx80 a, struct floatx80 b, struct float_status *s);
struct floatx80 fx80_sub(struct floatx80 a, struct floatx80 b, struct float_status *s);
struct floatx80 fx80_mul(struct floatx80 a, struct floatx80 b, struct float_status *s);
struct floatx80 fx80_div(struct floatx80 a, struct floatx80 b, struct float_status *s);
struct floatx80 fx80_sqrt(struct floatx80 a, struct float_status *s);
struct floatx80 fx80_round_to_int(struct floatx80 a, struct float_status *s);
enum float_relation fx80_compare(struct floatx80 a, struct floatx80 b, bool quiet, struct float_status *s);

/* Integer of `bits` bits; out of range or NaN: the integer indefinite, invalid. */
int64_t fx80_to_int(struct floatx80 a, unsigned bits, enum float_rounding rounding, struct float_status *s);
struct floatx80 fx80_from_int(int64_t v);
/* Narrowing never raises FLOAT_DENORMAL; widening does (FST and FLD, SDM 2). */
uint32_t fx80_to_f32(struct floatx80 a, struct float_status *s);
uint64_t fx80_to_f64(struct floatx80 a, struct float_status *s);
struct floatx80 fx80_from_f32(uint32_t a, struct float_status *s);
struct floatx80 fx80_from_f64(uint64_t a, struct float_status *s);
/* For memory operands of arithmetic: widened without raising anything, signaling NaNs
 * stay signaling; *denormal says that `a` was denormal (the result never is). */
struct floatx80 fx80_operand_f32(uint32_t a, bool *denormal);
struct floatx80 fx80_operand_f64(uint64_t a, bool *denormal);
struct floatx80 fx80_default_nan(void);

/* FPREM (`nearest` false: truncating) and FPREM1. *quotient gets the low bits of the integer
 * quotient. Returns in *partial whether the reduction is incomplete (C2): then the exponent
 * shrank by 32 to 63. */
struct floatx80 fx80_rem(struct floatx80 a, struct floatx80 b, bool nearest, uint64_t *quotient,
                         bool *partial, struct float_status *s);
struct floatx80 fx80_scale(struct floatx80 a, struct floatx80 b, struct float_status *s);
/* FXTRACT: returns the significand, *exponent gets the unbiased exponent. */
struct floatx80 fx80_extract(struct floatx80 a, struct floatx80 *exponent, struct float_status *s);

struct floatx80 fx80_2xm1(struct floatx80 a, struct float_status *s);
struct floatx80 fx80_yl2x(struct floatx80 x, struct floatx80 y, struct float_status *s);
struct floatx80 fx80_yl2xp1(struct floatx80 x, struct floatx80 y, struct float_status *s);
/* The angle of the point (x, y). */
struct floatx80 fx80_patan(struct floatx80 x, struct floatx80 y, struct float_status *s);
/* False: |a| >= 2^63, nothing was computed. Each pointer may be NULL; `tangent` is FPTAN's. */
bool fx80_trig(struct floatx80 a, struct floatx80 *sine, struct floatx80 *cosine, struct floatx80 *tangent,
               struct float_status *s);

#endif
