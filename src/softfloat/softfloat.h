/*
 * IEEE 754 binary16, binary32 and binary64 arithmetic in integers (and, where nothing else can
 * come out, by the host's instructions): the same bits on every host.
 *
 * Values travel as their encodings (uint16_t, uint32_t, uint64_t); floatx80.h
 * adds the 80-bit format. Everything that an architecture may choose is in
 * `struct float_status`, which the caller owns; there are no globals. The flags
 * accumulate: clear `flags` before an operation to learn what it alone raised. With FLOAT_INEXACT
 * set before it, an operation is faster.
 *
 * Flags are those of IEEE 754-2008 clause 7 plus what the x87 and A64 add to
 * them. Order of precedence as in SDM 1, 4.9.2: a NaN operand hides
 * FLOAT_DENORMAL; an invalid operation hides everything else.
 *
 * Not here: decimal formats, binary128, A64's alternative half precision.
 * To add a binary format of at most 64 significant bits: a `struct format` in
 * softfloat.c and one line of DEFINE_FORMAT.
 */
#ifndef HINDCAST_SOFTFLOAT_SOFTFLOAT_H
#define HINDCAST_SOFTFLOAT_SOFTFLOAT_H

#include "base/types.h"

/* The first four are numbered as the RC field of the x87 and MXCSR. */
enum float_rounding {
    ROUND_NEAREST_EVEN, ROUND_DOWN, ROUND_UP, ROUND_ZERO,
    ROUND_NEAREST_AWAY,
    ROUND_ODD, /* to the odd neighbour when inexact: for rounding twice without harm */
};

/* Flags; the first six are at the places of the x87 status word and MXCSR. */
#define FLOAT_INVALID     0x0001u
#define FLOAT_DENORMAL    0x0002u /* an operand was denormal, and was used as such */
#define FLOAT_DIVZERO     0x0004u
#define FLOAT_OVERFLOW    0x0008u
#define FLOAT_UNDERFLOW   0x0010u
#define FLOAT_INEXACT     0x0020u
#define FLOAT_FLAGS       0x003fu
#define FLOAT_FLUSHED     0x0080u /* a denormal operand was taken as zero (A64's IDC) */
#define FLOAT_ROUNDED_UP  0x0200u /* the significand's magnitude was rounded up (the x87's C1) */

enum float_nan_rule {
    NAN_FIRST,  /* SSE: the first operand that is a NaN */
    NAN_LARGER, /* x87: a quiet one before a signaling one, then the larger significand (SDM 1, table 4-7) */
    NAN_SIGNALING_FIRST, /* A64: the first signaling one, else the first quiet one; fma: the addend comes first */
};

enum float_flush {
    FLUSH_NEVER,
    FLUSH_TINY,         /* x86 FTZ: a tiny result becomes zero, underflow and inexact */
    FLUSH_TINY_EXACTLY, /* A64 FZ: the same, but only underflow is raised */
};

struct float_status {
    uint8_t rounding;        /* enum float_rounding */
    uint8_t nan_rule;        /* enum float_nan_rule */
    uint8_t flush;           /* enum float_flush: results */
    uint8_t precision;       /* floatx80 add, sub, mul, div, sqrt: 24, 53 or 64 bits (0: 64) */
    bool denormals_are_zero; /* operands (never floatx80 ones) */
    bool default_nan;        /* every NaN result is the default one */
    bool positive_default;   /* the default NaN's sign is clear (A64); x86: set */
    bool tiny_before;        /* tininess is detected before rounding (A64); x86: after */
    bool saturate;           /* float to int out of range: the nearest integer, NaN: 0 (A64);
                              * x86: the integer indefinite, top bit alone */
    bool trap_overflow;      /* overflow is unmasked: floatx80: the exponent is wrapped (SDM 1, 8.5.4);
                              * other formats: the caller drops the result; inexact says whether the
                              * significand is, were the exponent unbounded */
    bool trap_underflow;     /* underflow is unmasked: the same, signalled when tiny, even if exact */
    uint8_t reserved;
    uint16_t flags;          /* FLOAT_*, accumulated */
};

enum float_relation { FLOAT_LESS = -1, FLOAT_EQUAL = 0, FLOAT_GREATER = 1, FLOAT_UNORDERED = 2 };

/* A `quiet` comparison signals invalid for signaling NaNs only, the other for any NaN.
 * to_int and to_uint convert a * 2^scale to an integer of `bits` bits (1 to 64), with the
 * given rounding; from_* round v * 2^-scale. Signed results come sign-extended. */
#define FLOAT_OPERATIONS(f, T) \
    T f##_add(T a, T b, struct float_status *s); \
    T f##_sub(T a, T b, struct float_status *s); \
    T f##_mul(T a, T b, struct float_status *s); \
    T f##_div(T a, T b, struct float_status *s); \
    T f##_rem(T a, T b, struct float_status *s); /* IEEE remainder, exact */ \
    T f##_sqrt(T a, struct float_status *s); \
    T f##_fma(T a, T b, T c, struct float_status *s); /* a * b + c */ \
    T f##_round_to_int(T a, enum float_rounding rounding, struct float_status *s); \
    enum float_relation f##_compare(T a, T b, bool quiet, struct float_status *s); \
    int64_t f##_to_int(T a, int scale, unsigned bits, enum float_rounding rounding, struct float_status *s); \
    uint64_t f##_to_uint(T a, int scale, unsigned bits, enum float_rounding rounding, struct float_status *s); \
    T f##_from_int(int64_t v, int scale, struct float_status *s); \
    T f##_from_uint(uint64_t v, int scale, struct float_status *s); \
    bool f##_is_nan(T a); \
    bool f##_is_snan(T a); \
    T f##_default_nan(const struct float_status *s);

FLOAT_OPERATIONS(f16, uint16_t)
FLOAT_OPERATIONS(f32, uint32_t)
FLOAT_OPERATIONS(f64, uint64_t)

/* Between formats: rounded, NaNs quieted with the top of their payload kept. */
uint32_t f16_to_f32(uint16_t a, struct float_status *s);
uint64_t f16_to_f64(uint16_t a, struct float_status *s);
uint16_t f32_to_f16(uint32_t a, struct float_status *s);
uint64_t f32_to_f64(uint32_t a, struct float_status *s);
uint16_t f64_to_f16(uint64_t a, struct float_status *s);
uint32_t f64_to_f32(uint64_t a, struct float_status *s);

#endif
