/*
 * Integer instructions that are too large for micro-ops: shifts and rotates,
 * division, bit instructions, decimal adjustment (SDM 2).
 *
 * Flags that the manual leaves undefined, as they are left here. P6 and
 * NetBurst processors do this where it is known; * marks what is a guess, and
 * "host" what tests on another family must mask:
 *
 *   SHL SHR SAR      AF = 0. OF for counts above 1: as the last one-bit step
 *                    would leave it (host)
 *   SHLD SHRD        AF = 0; OF for counts above 1 likewise (host); a 16-bit
 *                    operand with a count above 16 shifts the 48-bit string
 *                    operand:bits:operand* (host)
 *   ROL ROR RCL RCR  OF for counts above 1: by the result, as for a count of 1
 *   MUL IMUL         SF ZF PF from the low half of the product, AF = 0 (host)
 *   DIV IDIV         all six unchanged* (host)
 *   BT BTS BTR BTC   OF SF ZF AF PF unchanged
 *   BSF BSR          as TEST of the source* (host); the destination
 *                    is unchanged if the source is 0
 *   AAA AAS          SF ZF PF from AL, OF = 0* (host)
 *   AAM AAD          OF AF CF = 0* (host)
 *   DAA DAS          OF = 0* (host)
 *   AND OR XOR TEST  AF = 0
 */
#include "i386/helpers.h"

#include <string.h>

__extension__ typedef unsigned __int128 uint128;
__extension__ typedef __int128 int128;

/* ---- flags and operands ---- */

static struct i386_state *state_of(struct ucpu *u)
{
    return i386_of(u)->st;
}

static void set_flags(struct i386_state *st, uint32_t flags)
{
    st->cc = (struct lazy_flags){.op = FLAGS_EXPLICIT, .dst = flags};
}

static uint64_t get(const struct ucpu *u, unsigned off, unsigned size)
{
    uint64_t v = 0;

    memcpy(&v, u->s + off, size);
    return v;
}

/* Into a register or temporary: 32 bits are zero-extended, which outside 64-bit mode changes nothing. */
static void put(struct ucpu *u, unsigned off, unsigned size, uint64_t v)
{
    if (size == 4) {
        v = (uint32_t)v;
        size = 8;
    }
    memcpy(u->s + off, &v, size);
}

static uint64_t mask_of(unsigned size)
{
    return UINT64_MAX >> (64 - 8 * size);
}

static uint64_t sign_of(unsigned size)
{
    return (uint64_t)1 << (8 * size - 1);
}

static int64_t sign_extend(uint64_t v, unsigned size)
{
    return (int64_t)(v << (64 - 8 * size)) >> (64 - 8 * size);
}

/* SF, ZF and PF of a result. */
static uint32_t result_flags(uint64_t v, unsigned size)
{
    v &= mask_of(size);
    return (v & sign_of(size) ? FLAG_S : 0) | (v ? 0 : FLAG_Z) | (__builtin_parity((unsigned)v & 0xff) ? 0 : FLAG_P);
}

/* Exclusive or of the two top bits. */
static bool top_bits_differ(uint64_t v, unsigned size)
{
    return (v ^ v << 1) & sign_of(size);
}

/* ---- shifts ---- */

struct shifted {
    uint64_t value;
    bool carry, overflow;
};

/* Rotate; `count` is 1-31 (of 64 bits: 1-63). */
static struct shifted rotate(unsigned kind, uint64_t x, unsigned size, unsigned count)
{
    unsigned bits = 8 * size, n = count & (bits - 1);
    struct shifted r;

    if (kind == SHIFT_ROR)
        n = (bits - n) & (bits - 1);
    r.value = n ? (x << n | x >> (bits - n)) & mask_of(size) : x;
    if (kind == SHIFT_ROL) {
        r.carry = r.value & 1;
        r.overflow = r.carry != !!(r.value & sign_of(size));
    } else {
        r.carry = r.value & sign_of(size);
        r.overflow = top_bits_differ(r.value, size);
    }
    return r;
}

/* Rotate through carry: a rotation of bits + 1 bits. */
static struct shifted rotate_carry(unsigned kind, uint64_t x, unsigned size, unsigned count, bool carry)
{
    unsigned bits = 8 * size, n = count % (bits + 1);
    uint128 wide = (uint128)carry << bits | x;
    struct shifted r;

    if (kind == SHIFT_RCR)
        n = (bits + 1 - n) % (bits + 1);
    if (n)
        wide = wide << n | wide >> (bits + 1 - n);
    r.value = (uint64_t)wide & mask_of(size);
    r.carry = wide >> bits & 1;
    r.overflow = kind == SHIFT_RCL ? r.carry != !!(r.value & sign_of(size)) : top_bits_differ(r.value, size);
    return r;
}

static struct shifted shift(unsigned kind, uint64_t x, unsigned size, unsigned count)
{
    int64_t s = sign_extend(x, size);
    struct shifted r;

    switch (kind) {
    case SHIFT_SHR:
        r.value = x >> count;
        r.carry = x >> (count - 1) & 1;
        r.overflow = count == 1 && (x & sign_of(size));
        return r;
    case SHIFT_SAR:
        r.value = (uint64_t)(s >> count) & mask_of(size);
        r.carry = s >> (count - 1) & 1;
        r.overflow = false;
        return r;
    default:
        r.value = (x << count) & mask_of(size);
        r.carry = (uint128)x << count >> (8 * size) & 1;
        r.overflow = r.carry != !!(r.value & sign_of(size));
        return r;
    }
}

static struct shifted double_shift(unsigned kind, uint64_t x, uint64_t y, unsigned size, unsigned count)
{
    struct shifted r;

    if (size == 8) {
        uint128 v = kind == SHIFT_SHLD ? (uint128)x << 64 | y : (uint128)y << 64 | x;

        r.value = kind == SHIFT_SHLD ? (uint64_t)(v << count >> 64) : (uint64_t)(v >> count);
        r.carry = kind == SHIFT_SHLD ? v >> (128 - count) & 1 : v >> (count - 1) & 1;
    } else if (size == 4) {
        uint64_t v = kind == SHIFT_SHLD ? x << 32 | (uint32_t)y : y << 32 | x;

        r.value = kind == SHIFT_SHLD ? (uint32_t)(v << count >> 32) : (uint32_t)(v >> count);
        r.carry = kind == SHIFT_SHLD ? v >> (64 - count) & 1 : v >> (count - 1) & 1;
    } else {
        uint64_t v = x << 32 | (y & 0xffff) << 16 | x;

        r.value = (kind == SHIFT_SHLD ? v << count >> 32 : v >> count) & 0xffff;
        r.carry = kind == SHIFT_SHLD ? v >> (48 - count) & 1 : v >> (count - 1) & 1;
    }
    r.overflow = kind == SHIFT_SHLD ? r.carry != !!(r.value & sign_of(size)) : top_bits_differ(r.value, size);
    return r;
}

int i386_op_shift(struct ucpu *u, const struct uop *op)
{
    struct i386_state *st = state_of(u);
    unsigned kind = op->b & 15, size = op->b >> SHIFT_SIZE_SHIFT & 15, count = (unsigned)st->t[4] & (size == 8 ? 63 : 31);
    uint64_t x = get(u, op->a, size);
    uint32_t old = flags_compute(&st->cc), flags;
    struct shifted r;

    if (count == 0) {
        put(u, op->d, size, x);
        st->t[5] = old;
        return UOP_NEXT;
    }
    if (kind <= SHIFT_RCR) {
        r = kind <= SHIFT_ROR ? rotate(kind, x, size, count) : rotate_carry(kind, x, size, count, old & FLAG_C);
        flags = old & ~(FLAG_C | FLAG_O);
    } else {
        r = kind <= SHIFT_SAR ? shift(kind, x, size, count) : double_shift(kind, x, st->t[6], size, count);
        flags = result_flags(r.value, size);
    }
    flags |= (r.carry ? FLAG_C : 0) | (r.overflow ? FLAG_O : 0);
    put(u, op->d, size, r.value);
    if (op->b & SHIFT_DEFER)
        st->t[5] = flags;
    else
        set_flags(st, flags);
    return UOP_NEXT;
}

int i386_op_commit_flags(struct ucpu *u, const struct uop *op)
{
    (void)op;
    set_flags(state_of(u), (uint32_t)state_of(u)->t[5]);
    return UOP_NEXT;
}

/* ---- multiplication and division ---- */

/* The dividend, as wide as a 64-bit number. */
static uint64_t dividend(const struct ucpu *u, unsigned size)
{
    if (size == 1)
        return get(u, S_GPR16(EAX), 2);
    return get(u, S_GPR32(EDX), size) << (8 * size) | get(u, S_GPR32(EAX), size);
}

static void put_quotient(struct ucpu *u, unsigned size, uint64_t quotient, uint64_t remainder)
{
    put(u, S_GPR32(EAX), size, quotient);
    put(u, size == 1 ? S_GPR8(4) : S_GPR32(EDX), size, remainder);
}

static int divide(struct ucpu *u, unsigned divisor, unsigned size, bool is_signed)
{
    uint64_t y = get(u, divisor, size), n = dividend(u, size);

    if (!y)
        return i386_raise(i386_of(u), EXC_DE);
    if (is_signed) {
        int64_t sn = (int64_t)(n << (64 - 16 * size)) >> (64 - 16 * size), sy = sign_extend(y, size), q;

        if (sn == INT64_MIN && sy == -1)
            return i386_raise(i386_of(u), EXC_DE);
        q = sn / sy;
        if (q != sign_extend((uint64_t)q, size))
            return i386_raise(i386_of(u), EXC_DE);
        put_quotient(u, size, (uint64_t)q, (uint64_t)(sn % sy));
        return UOP_NEXT;
    }
    if (n / y > mask_of(size))
        return i386_raise(i386_of(u), EXC_DE);
    put_quotient(u, size, n / y, n % y);
    return UOP_NEXT;
}

int i386_op_div8(struct ucpu *u, const struct uop *op)
{
    return divide(u, op->a, 1, false);
}

int i386_op_idiv8(struct ucpu *u, const struct uop *op)
{
    return divide(u, op->a, 1, true);
}

int i386_op_div16(struct ucpu *u, const struct uop *op)
{
    return divide(u, op->a, 2, false);
}

int i386_op_idiv16(struct ucpu *u, const struct uop *op)
{
    return divide(u, op->a, 2, true);
}

int i386_op_div32(struct ucpu *u, const struct uop *op)
{
    return divide(u, op->a, 4, false);
}

int i386_op_idiv32(struct ucpu *u, const struct uop *op)
{
    return divide(u, op->a, 4, true);
}

/* 128 bits by 64. */
int i386_op_div64(struct ucpu *u, const struct uop *op)
{
    uint64_t y = get(u, op->a, 8), high = get(u, S_GPR64(EDX), 8);
    uint128 n = (uint128)high << 64 | get(u, S_GPR64(EAX), 8);

    if (high >= y)
        return i386_raise(i386_of(u), EXC_DE);
    put_quotient(u, 8, (uint64_t)(n / y), (uint64_t)(n % y));
    return UOP_NEXT;
}

int i386_op_idiv64(struct ucpu *u, const struct uop *op)
{
    int64_t y = (int64_t)get(u, op->a, 8);
    uint128 bits = (uint128)get(u, S_GPR64(EDX), 8) << 64 | get(u, S_GPR64(EAX), 8);
    int128 n = (int128)bits, q;

    if (!y || (y == -1 && bits == (uint128)1 << 127))
        return i386_raise(i386_of(u), EXC_DE);
    q = n / y;
    if (q != (int64_t)q)
        return i386_raise(i386_of(u), EXC_DE);
    put_quotient(u, 8, (uint64_t)q, (uint64_t)(n % y));
    return UOP_NEXT;
}

/* ---- bits ---- */

int i386_op_count_16(struct ucpu *u, const struct uop *op)
{
    unsigned v = (uint16_t)get(u, op->a, 2), n;

    if (!v)
        n = 16;
    else
        n = op->b == COUNT_TRAILING ? (unsigned)__builtin_ctz(v) : (unsigned)__builtin_clz(v) - 16;
    set_flags(state_of(u), (v ? 0 : FLAG_C) | (n ? 0 : FLAG_Z));
    put(u, op->d, 2, n);
    return UOP_NEXT;
}

int i386_op_cmpxchg16b(struct ucpu *u, const struct uop *op)
{
    struct i386_cpu *c = i386_of(u);
    struct i386_state *st = c->st;
    uint64_t linear, old[2], value[2];
    struct planned_store plan;
    uint32_t flags = flags_compute(&st->cc) & ~FLAG_Z;

    if (!i386_linear_aligned(c, op->a, st->t[0], 16, 1, true, &linear))
        return UOP_FAULT;
    if (linear & 15)
        return i386_raise_error(c, EXC_GP, 0);
    if (!ucpu_plan_store(u, u->tlb_mode, linear, 16, &plan) || !ucpu_load(u, linear, old, 16))
        return UOP_FAULT;
    if (old[0] == st->gpr[EAX] && old[1] == st->gpr[EDX]) {
        value[0] = st->gpr[EBX];
        value[1] = st->gpr[ECX];
        flags |= FLAG_Z;
    } else {
        memcpy(value, old, sizeof value);
        st->gpr[EAX] = old[0];
        st->gpr[EDX] = old[1];
    }
    ucpu_make_store(u, &plan, value);
    set_flags(st, flags);
    return UOP_NEXT;
}

/* ---- decimal adjustment ---- */

static void decimal_adjust(struct i386_state *st, bool subtract)
{
    uint32_t old = flags_compute(&st->cc), flags = 0;
    uint8_t al = (uint8_t)st->gpr[EAX], r = al;

    if ((al & 15) > 9 || (old & FLAG_A)) {
        r = (uint8_t)(subtract ? r - 6 : r + 6);
        flags |= FLAG_A | (old & FLAG_C) | ((subtract ? al < 6 : al > 0xf9) ? FLAG_C : 0);
    }
    if (al > 0x99 || (old & FLAG_C)) {
        r = (uint8_t)(subtract ? r - 0x60 : r + 0x60);
        flags |= FLAG_C;
    } else if (!subtract) {
        flags &= ~FLAG_C;
    }
    st->gpr[EAX] = (st->gpr[EAX] & ~(uint64_t)0xff) | r;
    set_flags(st, flags | result_flags(r, 1));
}

static void ascii_adjust(struct i386_state *st, bool subtract)
{
    uint32_t flags = 0;
    uint16_t ax = (uint16_t)st->gpr[EAX];

    if ((ax & 15) > 9 || (flags_compute(&st->cc) & FLAG_A)) {
        ax = (uint16_t)(subtract ? ax - 0x106 : ax + 0x106);
        flags = FLAG_A | FLAG_C;
    }
    ax &= 0xff0f;
    st->gpr[EAX] = (st->gpr[EAX] & ~(uint64_t)0xffff) | ax;
    set_flags(st, flags | result_flags(ax, 1));
}

int i386_op_bcd(struct ucpu *u, const struct uop *op)
{
    struct i386_state *st = state_of(u);
    uint8_t al = (uint8_t)st->gpr[EAX], ah = (uint8_t)(st->gpr[EAX] >> 8);

    switch (op->a) {
    case 0x27: case 0x2f:
        decimal_adjust(st, op->a == 0x2f);
        return UOP_NEXT;
    case 0x37: case 0x3f:
        ascii_adjust(st, op->a == 0x3f);
        return UOP_NEXT;
    case 0xd4:
        if (!op->b)
            return i386_raise(i386_of(u), EXC_DE);
        ah = (uint8_t)(al / op->b);
        al = (uint8_t)(al % op->b);
        break;
    default:
        al = (uint8_t)(al + ah * op->b);
        ah = 0;
    }
    put(u, S_GPR16(EAX), 2, (uint32_t)ah << 8 | al);
    set_flags(st, result_flags(al, 1));
    return UOP_NEXT;
}

/* ---- flags and the rest ---- */

/* The adjusted selector, and whether there was anything to adjust. */
static bool adjust_rpl(uint16_t *dest, uint16_t src)
{
    if ((*dest & 3) >= (src & 3))
        return false;
    *dest = (uint16_t)((*dest & ~3) | (src & 3));
    return true;
}

static int arpl_done(struct i386_state *st, bool adjusted)
{
    set_flags(st, (flags_compute(&st->cc) & ~FLAG_Z) | (adjusted ? FLAG_Z : 0));
    return UOP_NEXT;
}

int i386_op_arpl_reg(struct ucpu *u, const struct uop *op)
{
    uint16_t v = (uint16_t)get(u, op->d, 2);
    bool adjusted = adjust_rpl(&v, (uint16_t)get(u, op->a, 2));

    put(u, op->d, 2, v);
    return arpl_done(state_of(u), adjusted);
}

int i386_op_arpl_mem(struct ucpu *u, const struct uop *op)
{
    struct i386_cpu *c = i386_of(u);
    bool adjusted;
    uint16_t v;

    if (!i386_read(c, op->d, c->st->t[0], &v, 2))
        return UOP_FAULT;
    adjusted = adjust_rpl(&v, (uint16_t)get(u, op->a, 2));
    if (adjusted && !i386_write(c, op->d, c->st->t[0], &v, 2))
        return UOP_FAULT;
    return arpl_done(c->st, adjusted);
}

int i386_op_bound(struct ucpu *u, const struct uop *op)
{
    struct i386_cpu *c = i386_of(u);
    unsigned size = op->b;
    uint32_t lower = 0, upper = 0;
    int64_t index = sign_extend(get(u, op->a, size), size);

    if (!i386_read(c, op->d, c->st->t[0], &lower, size) || !i386_read(c, op->d, c->st->t[0] + size, &upper, size))
        return UOP_FAULT;
    if (index < sign_extend(lower, size) || index > sign_extend(upper, size))
        return i386_raise(c, EXC_BR);
    return UOP_NEXT;
}
