/*
 * Flags and micro-ops against direct, naive evaluations of what their names
 * promise.
 */
#include "vm_toy.h"

#include "base/buffer.h"
#include "vm/exec_priv.h"
#include "vm/flags.h"
#include "tests/check_main.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* As ck_assert_msg, without its cost when the claim holds: there are millions. */
#define MUST(claim, ...) \
    do { \
        if (!(claim)) \
            ck_abort_msg(__VA_ARGS__); \
    } while (0)

/* ---- naive arithmetic, bit by bit ---- */

struct naive {
    uint64_t r;
    uint32_t flags;
};

static uint64_t mask_of(unsigned n)
{
    return n == 64 ? UINT64_MAX : ((uint64_t)1 << n) - 1;
}

static uint32_t result_flags(uint64_t r, unsigned n)
{
    unsigned ones = 0;
    uint32_t f = 0;

    for (unsigned i = 0; i < 8; i++)
        ones += r >> i & 1;
    if (ones % 2 == 0)
        f |= FLAG_P;
    if (!(r & mask_of(n)))
        f |= FLAG_Z;
    if (r >> (n - 1) & 1)
        f |= FLAG_S;
    return f;
}

static struct naive naive_add(uint64_t a, uint64_t b, unsigned carry, unsigned n)
{
    struct naive v = {0};
    unsigned c = carry, into_top = 0, half = 0;

    for (unsigned i = 0; i < n; i++) {
        unsigned x = a >> i & 1, y = b >> i & 1;

        if (i == 4)
            half = c;
        if (i == n - 1)
            into_top = c;
        v.r |= (uint64_t)(x ^ y ^ c) << i;
        c = (x & y) | (x & c) | (y & c);
    }
    v.flags = result_flags(v.r, n) | (c ? FLAG_C : 0) | (half ? FLAG_A : 0) | (c != into_top ? FLAG_O : 0);
    return v;
}

/* a - b - borrow as a + ~b + !borrow, carries inverted. */
static struct naive naive_sub(uint64_t a, uint64_t b, unsigned borrow, unsigned n)
{
    struct naive v = naive_add(a, ~b & mask_of(n), !borrow, n);

    v.flags ^= FLAG_C | FLAG_A;
    return v;
}

static struct naive naive_logic(uint64_t r, unsigned n)
{
    return (struct naive){.r = r & mask_of(n), .flags = result_flags(r & mask_of(n), n)};
}

/* One bit at a time; the overflow rule is the one-bit rule of the last bit. */
static struct naive naive_shift(char kind, uint64_t a, unsigned count, unsigned n)
{
    uint64_t r = a & mask_of(n);
    bool carry = false, over = false;

    for (unsigned i = 0; i < count; i++) {
        bool top = r >> (n - 1) & 1;

        if (kind == 'l') {
            carry = top;
            r = r << 1 & mask_of(n);
            over = carry != (r >> (n - 1) & 1);
        } else {
            carry = r & 1;
            r >>= 1;
            over = kind == 'r' && top;
            if (kind == 'a' && top)
                r |= (uint64_t)1 << (n - 1);
        }
    }
    return (struct naive){.r = r, .flags = result_flags(r, n) | (carry ? FLAG_C : 0) | (over ? FLAG_O : 0)};
}

static bool naive_cond(uint32_t f, unsigned c)
{
    bool cf = f & FLAG_C, zf = f & FLAG_Z, sf = f & FLAG_S, of = f & FLAG_O, pf = f & FLAG_P, v = false;

    switch (c & 30) {
    case 16: v = zf || !cf; break;
    case 0: v = of; break;
    case 2: v = cf; break;
    case 4: v = zf; break;
    case 6: v = cf || zf; break;
    case 8: v = sf; break;
    case 10: v = pf; break;
    case 12: v = sf != of; break;
    case 14: v = zf || sf != of; break;
    }
    return v != (c & 1);
}

/* ---- lazy flags, all 8-bit operands ---- */

static void check_lazy(uint32_t op, uint64_t dst, uint64_t src, uint32_t want)
{
    struct lazy_flags f = {.op = op, .dst = dst, .src = src};

    MUST(flags_compute(&f) == want, "op %u dst %llx src %llx: %x, not %x", op, (unsigned long long)dst,
                  (unsigned long long)src, flags_compute(&f), want);
    MUST(flags_carry(&f) == ((want & FLAG_C) != 0), "op %u", op);
    for (unsigned c = 0; c < 18; c++)
        MUST(flags_cond(&f, c) == naive_cond(want, c), "op %u condition %u", op, c);
    flags_settle(&f);
    MUST(f.op == FLAGS_EXPLICIT && f.dst == want && !f.src && !f.reserved, "op %u", op);
    MUST(flags_compute(&f) == want, "op %u", op);
    for (unsigned c = 0; c < 18; c++)
        MUST(flags_cond(&f, c) == naive_cond(want, c), "op %u", op);
}

START_TEST(lazy_flags_of_every_pair_of_bytes)
{
    for (unsigned a = 0; a < 256; a++)
        for (unsigned b = 0; b < 256; b++) {
            struct naive v = naive_add(a, b, 0, 8);

            check_lazy(FLAGS_ADD, v.r, b, v.flags);
            v = naive_add(a, b, 1, 8);
            check_lazy(FLAGS_ADC, v.r, b, v.flags);
            v = naive_sub(a, b, 0, 8);
            check_lazy(FLAGS_SUB, v.r, b, v.flags);
            v = naive_sub(a, b, 1, 8);
            check_lazy(FLAGS_SBB, v.r, b, v.flags);
            check_lazy(FLAGS_SBBN, v.r, b, v.flags ^ FLAG_C);
            v = naive_sub(a, b, 0, 8);
            check_lazy(FLAGS_SUBN, v.r, b, v.flags ^ FLAG_C);
        }
}
END_TEST

START_TEST(lazy_flags_of_every_byte)
{
    for (unsigned a = 0; a < 256; a++) {
        struct naive v = naive_logic(a, 8);

        check_lazy(FLAGS_LOGIC, v.r, 0x55, v.flags);
        for (unsigned c = 0; c < 2; c++) {
            v = naive_add(a, 1, 0, 8);
            check_lazy(FLAGS_INC, v.r, c, (v.flags & ~FLAG_C) | c);
            v = naive_sub(a, 1, 0, 8);
            check_lazy(FLAGS_DEC, v.r, c, (v.flags & ~FLAG_C) | c);
            v = naive_logic(a, 8);
            check_lazy(FLAGS_MUL, v.r, c, v.flags | (c ? FLAG_C | FLAG_O : 0));
        }
        for (unsigned n = 1; n < 8; n++) {
            v = naive_shift('l', a, n, 8);
            check_lazy(FLAGS_SHL, v.r, (uint8_t)(a << (n - 1)), v.flags);
            v = naive_shift('r', a, n, 8);
            check_lazy(FLAGS_SHR, v.r, a >> (n - 1), v.flags);
            v = naive_shift('a', a, n, 8);
            check_lazy(FLAGS_SHR, v.r, (uint8_t)((int8_t)a >> (n - 1)), v.flags);
        }
    }
}
END_TEST

START_TEST(lazy_flags_at_the_edges_of_wide_operands)
{
    static const uint64_t edges[] = {0, 1, 2, 0xf, 0x10, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff,
                                     UINT64_C(0x7fffffffffffffff), UINT64_C(0x8000000000000000), UINT64_MAX};

    for (unsigned size = 1; size < 4; size++)
        for (unsigned i = 0; i < ARRAY_LEN(edges); i++)
            for (unsigned k = 0; k < ARRAY_LEN(edges); k++) {
                unsigned n = 8u << size;
                uint64_t a = edges[i] & mask_of(n), b = edges[k] & mask_of(n);
                struct naive v = naive_add(a, b, 0, n);

                check_lazy(FLAGS_ADD | size, v.r, b, v.flags);
                v = naive_add(a, b, 1, n);
                check_lazy(FLAGS_ADC | size, v.r, b, v.flags);
                v = naive_sub(a, b, 0, n);
                check_lazy(FLAGS_SUB | size, v.r, b, v.flags);
                v = naive_sub(a, b, 1, n);
                check_lazy(FLAGS_SBB | size, v.r, b, v.flags);
                check_lazy(FLAGS_SBBN | size, v.r, b, v.flags ^ FLAG_C);
                v = naive_sub(a, b, 0, n);
                check_lazy(FLAGS_SUBN | size, v.r, b, v.flags ^ FLAG_C);
            }
}
END_TEST

/* ---- one micro-op ---- */

#define OFF(member) ((unsigned)offsetof(struct toy_state, member))
#define DATA 0x8000u

/* Registers: 0 d, 1 a, 2 b, 3 a pointer into DATA, 4 an index, 5 a fourth operand. */
struct sample {
    struct uop u;
    uint32_t r[8];
    uint32_t flags;
    uint8_t mem[64];
    int edge; /* taken: 1, not: 0; -1: no branch */
    bool flags_set;
};

static uint64_t state = 88172645463325252u;

static uint64_t rng(void)
{
    static const uint32_t edges[] = {0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff};

    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % 5 ? state >> 11 : edges[(state >> 20) % ARRAY_LEN(edges)];
}

static uint64_t get(const void *p, unsigned n)
{
    uint64_t v = 0;

    memcpy(&v, p, n / 8);
    return v;
}

static void put(void *p, unsigned n, uint64_t v)
{
    memcpy(p, &v, n / 8);
}

static int64_t sign(uint64_t v, unsigned n)
{
    return (int64_t)(v << (64 - n)) >> (64 - n);
}

static bool starts(const char *name, const char *prefix)
{
    return !strncmp(name, prefix, strlen(prefix));
}

static bool has(const char *name, const char *part)
{
    return strstr(name, part) != NULL;
}

/* The number in a name, e.g. 16 in ADD16I_F. */
static unsigned size_in(const char *name)
{
    while (*name && (*name < '0' || *name > '9'))
        name++;
    return (unsigned)atoi(name);
}

static void set_result(struct sample *s, unsigned n, struct naive v, bool flagged)
{
    put(&s->r[0], n, v.r);
    if (flagged) {
        s->flags = v.flags;
        s->flags_set = true;
    }
}

static bool arithmetic(struct sample *s, const char *name)
{
    static const char *const names[] = {"ADD", "SUB", "AND", "OR", "XOR", "CMP", "TEST", "ADC", "SBB",
                                        "INC", "DEC", "NEG", "NOT"};
    unsigned n = size_in(name), kind;
    char form[32], rest[32];
    uint64_t a = get(&s->r[1], n), b = get(&s->r[2], n);
    struct naive v;

    for (kind = 0; kind < ARRAY_LEN(names); kind++)
        if (starts(name, names[kind]) && name[strlen(names[kind])] >= '0' && name[strlen(names[kind])] <= '9')
            break;
    if (kind == ARRAY_LEN(names) || has(name, "_W"))
        return false;
    snprintf(form, sizeof(form), "%s%u", names[kind], n);
    snprintf(rest, sizeof(rest), "%s", name + strlen(form));
    if (rest[0] == 'I')
        b = s->u.imm & mask_of(n);
    switch (kind) {
    case 0: v = naive_add(a, b, 0, n); break;
    case 1: case 5: v = naive_sub(a, b, 0, n); break;
    case 2: case 6: v = naive_logic(a & b, n); break;
    case 3: v = naive_logic(a | b, n); break;
    case 4: v = naive_logic(a ^ b, n); break;
    case 7: v = naive_add(a, b, s->flags & FLAG_C, n); break;
    case 8: v = naive_sub(a, b, s->flags & FLAG_C, n); break;
    case 9:
        v = naive_add(a, 1, 0, n);
        v.flags = (v.flags & ~FLAG_C) | (s->flags & FLAG_C);
        break;
    case 10:
        v = naive_sub(a, 1, 0, n);
        v.flags = (v.flags & ~FLAG_C) | (s->flags & FLAG_C);
        break;
    case 11: v = naive_sub(0, a, 0, n); break;
    default: v = naive_logic(~a, n); break;
    }
    if (kind == 5 || kind == 6) { /* no result; perhaps a branch */
        static const char *const conds[] = {"O", "NO", "C", "NC", "Z", "NZ", "BE", "A",
                                            "S", "NS", "P", "NP", "L", "GE", "LE", "G"};
        const char *br = strstr(rest, "_BR_");

        s->flags = v.flags;
        s->flags_set = true;
        for (unsigned c = 0; br && c < 16; c++)
            if (!strcmp(br + 4, conds[c]))
                s->edge = naive_cond(v.flags, c);
        return true;
    }
    set_result(s, n, v, has(rest, "_F"));
    return true;
}

static bool shifts(struct sample *s, const char *name)
{
    char kind = starts(name, "SHL") ? 'l' : starts(name, "SHR") ? 'r' : starts(name, "SAR") ? 'a' : 0;
    unsigned n = size_in(name), count = s->u.imm;

    if (!kind || name[3] == 'D')
        return false;
    if (name[3] == 'R')
        count = s->r[2] & 31;
    set_result(s, n, naive_shift(kind, get(&s->r[1], n), count, n), has(name, "_F") && count);
    return true;
}

static bool rotations(struct sample *s, const char *name)
{
    bool left = starts(name, "ROL32I");
    uint32_t x = s->r[1];
    bool carry = false;

    if (!left && !starts(name, "ROR32I"))
        return false;
    for (unsigned i = 0; i < s->u.imm; i++) {
        carry = left ? x >> 31 : x & 1;
        x = left ? x << 1 | carry : x >> 1 | (uint32_t)carry << 31;
    }
    s->r[0] = x;
    if (has(name, "_F")) {
        bool over = (x >> 31) != (left ? carry : x >> 30 & 1);

        s->flags = (s->flags & ~(FLAG_C | FLAG_O)) | (carry ? FLAG_C : 0) | (over ? FLAG_O : 0);
        s->flags_set = true;
    }
    return true;
}

/* One bit at a time: what comes in is the next bit of r2, from its top or its bottom. */
static bool double_shifts(struct sample *s, const char *name)
{
    bool left = starts(name, "SHLD"), carry = false, over = false;
    uint32_t x = s->r[1];
    unsigned count;

    if (!left && !starts(name, "SHRD"))
        return false;
    count = name[4] == 'R' ? s->r[5] & 31 : s->u.imm;
    for (unsigned i = 0; i < count; i++) {
        bool top = x >> 31;

        carry = left ? top : x & 1;
        x = left ? x << 1 | (s->r[2] >> (31 - i) & 1) : x >> 1 | (s->r[2] >> i & 1) << 31;
        over = top != x >> 31;
    }
    s->r[0] = x;
    if (has(name, "_F") && count) {
        s->flags = result_flags(x, 32) | (carry ? FLAG_C : 0) | (over ? FLAG_O : 0);
        s->flags_set = true;
    }
    return true;
}

static bool products(struct sample *s, const char *name)
{
    bool is_signed = name[0] == 'I', wide = starts(name, "MULW") || starts(name, "IMULW"), fits;
    unsigned n = size_in(name);
    int64_t p;

    if (!wide && strcmp(name, "IMUL16_F"))
        return false;
    if (is_signed)
        p = sign(get(&s->r[1], n), n) * sign(get(&s->r[2], n), n);
    else
        p = (int64_t)(get(&s->r[1], n) * get(&s->r[2], n));
    fits = is_signed ? p == sign((uint64_t)p, n) : !((uint64_t)p >> n);
    put(&s->r[0], n == 8 ? 16 : n, (uint64_t)p);
    if (wide && n > 8)
        put(&s->r[5], n, (uint64_t)p >> n);
    if (has(name, "_F")) {
        s->flags = result_flags((uint64_t)p & mask_of(n), n) | (fits ? 0 : FLAG_C | FLAG_O);
        s->flags_set = true;
    }
    return true;
}

static bool single_bits(struct sample *s, const char *name)
{
    uint32_t bit = 1u << ((!strcmp(name, "BT32I_F") ? s->u.imm : s->r[2]) & 31);

    if (starts(name, "BT32")) {
        s->flags = (s->flags & ~FLAG_C) | (s->r[1] & bit ? FLAG_C : 0);
        s->flags_set = true;
    } else if (starts(name, "BTS32")) {
        s->r[0] = s->r[1] | bit;
    } else if (starts(name, "BTR32")) {
        s->r[0] = s->r[1] & ~bit;
    } else if (starts(name, "BTC32")) {
        s->r[0] = s->r[1] ^ bit;
    } else if (starts(name, "BSF32") || starts(name, "BSR32")) {
        for (unsigned i = 0; i < 32; i++) {
            unsigned at = name[2] == 'F' ? 31 - i : i;

            if (s->r[1] >> at & 1)
                s->r[0] = at;
        }
        s->flags = result_flags(s->r[1], 32);
        s->flags_set = true;
    } else if (starts(name, "PICK")) {
        if (get(&s->r[1], size_in(name)) != get(&s->r[2], size_in(name)))
            put(&s->r[0], size_in(name), s->r[1]);
    } else {
        return false;
    }
    return true;
}

static bool multiplies(struct sample *s, const char *name)
{
    int64_t p = (int64_t)(int32_t)s->r[1] * (int32_t)s->r[2];

    if (strcmp(name, "MUL32") && strcmp(name, "IMUL32_F"))
        return false;
    s->r[0] = (uint32_t)p;
    if (name[0] == 'I') {
        s->flags = result_flags((uint32_t)p, 32) | (p == (int32_t)p ? 0 : FLAG_C | FLAG_O);
        s->flags_set = true;
    }
    return true;
}

static bool moves(struct sample *s, const char *name)
{
    unsigned from, to;
    uint32_t t;

    if (sscanf(name, "ZX%u_%u", &from, &to) == 2) {
        put(&s->r[0], to, get(&s->r[1], from));
    } else if (sscanf(name, "SX%u_%u", &from, &to) == 2) {
        put(&s->r[0], to, (uint64_t)sign(get(&s->r[1], from), from));
    } else if (sscanf(name, "MOVI%u", &to) == 1) {
        put(&s->r[0], to, to == 64 ? s->u.imm64 : s->u.imm);
    } else if (sscanf(name, "MOV%u", &to) == 1) {
        uint64_t v = get(&s->r[1], to); /* 64: r[1] and r[2], over r[0] and r[1] */

        put(&s->r[0], to, v);
    } else if (sscanf(name, "XCHG%u", &to) == 1) {
        t = s->r[0];
        put(&s->r[0], to, s->r[1]);
        put(&s->r[1], to, t);
    } else if (!strcmp(name, "LEA_W")) {
        s->r[0] = s->r[1] + s->u.imm;
    } else if (!strcmp(name, "LEAX_W")) {
        s->r[0] = s->r[1] + (s->r[2] << s->u.aux) + s->u.imm;
    } else if (!strcmp(name, "BSWAP32")) {
        s->r[0] = (s->r[1] >> 24) | (s->r[1] >> 8 & 0xff00) | (s->r[1] << 8 & 0xff0000) | s->r[1] << 24;
    } else if (!strcmp(name, "SETCC")) {
        put(&s->r[0], 8, naive_cond(s->flags, s->u.b));
    } else if (sscanf(name, "CMOV%u", &to) == 1) {
        if (naive_cond(s->flags, s->u.b))
            put(&s->r[0], to, s->r[1]);
    } else if (strcmp(name, "NOP") && strcmp(name, "CALLS")) {
        return false;
    }
    return true;
}

static bool memory(struct sample *s, const char *name)
{
    uint32_t at = s->r[3] + s->u.imm - DATA, atx = at + (s->r[4] << (s->u.aux & 31));
    unsigned n, to;

    if (sscanf(name, "LDZ%u_%u_W", &n, &to) == 2)
        put(&s->r[0], to, get(s->mem + at, n));
    else if (sscanf(name, "LDS%u_%u_W", &n, &to) == 2)
        put(&s->r[0], to, (uint64_t)sign(get(s->mem + at, n), n));
    else if (!strcmp(name, "LD32_POST_W"))
        s->r[0] = (uint32_t)get(s->mem + at - s->u.imm, 32), s->r[3] += s->u.imm;
    else if (!strcmp(name, "ST32_PRE_W"))
        s->r[3] -= s->u.imm, put(s->mem + s->r[3] - DATA, 32, s->r[0]);
    else if (!strcmp(name, "STI32_PRE_W"))
        s->r[3] -= s->u.imm, put(s->mem + s->r[3] - DATA, 32, s->u.aux);
    else if (sscanf(name, "LDRWX%u_W", &n) == 1 || sscanf(name, "LDX%u_W", &n) == 1)
        put(&s->r[0], n, get(s->mem + atx, n));
    else if (sscanf(name, "LDRW%u_W", &n) == 1 || sscanf(name, "LD%u_W", &n) == 1)
        put(&s->r[0], n, get(s->mem + at, n));
    else if (sscanf(name, "STX%u_W", &n) == 1)
        put(s->mem + atx, n, get(&s->r[0], n));
    else if (sscanf(name, "STI%u_W", &n) == 1)
        put(s->mem + at, n, s->u.aux);
    else if (sscanf(name, "ST%u_W", &n) == 1)
        put(s->mem + at, n, get(&s->r[0], n));
    else
        return false;
    return true;
}

static bool branches(struct sample *s, const char *name)
{
    if (!strcmp(name, "JMP"))
        s->edge = 1;
    else if (!strcmp(name, "FALL"))
        s->edge = 0;
    else if (!strcmp(name, "BR"))
        s->edge = naive_cond(s->flags, s->u.b);
    else if (!strcmp(name, "BRZ32"))
        s->edge = s->r[1] == 0;
    else if (!strcmp(name, "BRNZ32"))
        s->edge = s->r[1] != 0;
    else
        return false;
    return true;
}

/* A rotation, bit by bit, each time as far as one by 1 goes. */
static bool rotates(struct sample *s, const char *name)
{
    unsigned kind = s->u.aux & 3, bits = 8u << (s->u.aux >> 2 & 3), count = s->r[2] & (bits == 64 ? 63 : 31);
    uint64_t x = get(&s->r[1], bits);
    bool carry = s->flags & FLAG_C, over = s->flags & FLAG_O;

    if (strcmp(name, "ROTATE") && strcmp(name, "ROTATE_F"))
        return false;
    for (unsigned i = 0; i < count; i++) {
        bool out = kind & 1 ? x & 1 : x >> (bits - 1) & 1, in = kind & 2 ? carry : out;

        x = kind & 1 ? x >> 1 | (uint64_t)in << (bits - 1) : (x << 1 | in) & mask_of(bits);
        carry = kind & 2 ? out : kind & 1 ? x >> (bits - 1) & 1 : x & 1;
        over = kind & 1 ? (x >> (bits - 1) ^ x >> (bits - 2)) & 1 : (x >> (bits - 1) & 1) != carry;
    }
    put(&s->r[0], s->u.aux & 16 ? 64 : bits, x);
    if (name[6]) {
        s->flags = (s->flags & ~(FLAG_C | FLAG_O)) | (carry ? FLAG_C : 0) | (over ? FLAG_O : 0);
        s->flags_set = true;
    }
    return true;
}

static bool flags_alone(struct sample *s, const char *name)
{
    if (!strcmp(name, "FLAGS_CHANGE"))
        s->flags = ((s->flags & s->u.imm) ^ s->u.aux) & FLAGS_ALL;
    else if (!strcmp(name, "FLAGS_TAKE"))
        s->flags = (s->flags & ~s->u.imm) | (s->r[1] & s->u.imm & FLAGS_ALL);
    else if (!strcmp(name, "FLAGS_GET"))
        s->r[0] = s->flags;
    else
        return false;
    s->flags_set = strcmp(name, "FLAGS_GET") != 0;
    return true;
}

/* What the micro-op should do to the sample. False: its name says nothing to us. */
static bool expect(struct sample *s, const char *name)
{
    return memory(s, name) || branches(s, name) || arithmetic(s, name) || shifts(s, name) || rotations(s, name) ||
           double_shifts(s, name) || products(s, name) || single_bits(s, name) || multiplies(s, name) || moves(s, name) ||
           rotates(s, name) || flags_alone(s, name);
}

static bool is_memory(const char *name)
{
    return uop_infos[0].name && (starts(name, "LD") || starts(name, "ST"));
}

/* Micro-ops of 64, 80 and 128 bits: the toy has no such registers, the tests of instructions do. */
static bool is_wide(unsigned op)
{
    const char *name = uop_infos[op].name;

    return (op >= UOP_MOV32Z && op <= UOP_CHECK64) || (op >= UOP_BRZ64 && op <= UOP_JMPR64) || starts(name, "CMPN") ||
           starts(name, "TST") || has(name, "128") || (has(name, "64") && !is_memory(name)) ||
           starts(name, "X87") || starts(name, "SSE") || (op >= UOP_VAND && op <= UOP_VFMLS64);
}

static struct sample random_sample(unsigned op)
{
    const char *name = uop_infos[op].name;
    struct sample s = {.edge = -1};

    for (unsigned i = 0; i < 8; i++)
        s.r[i] = (uint32_t)rng();
    for (unsigned i = 0; i < sizeof(s.mem); i++)
        s.mem[i] = (uint8_t)rng();
    s.flags = (uint32_t)rng() & FLAGS_ALL;
    s.u = (struct uop){.op = (uint16_t)op, .d = OFF(r[0]), .a = OFF(r[1]), .b = OFF(r[2]), .imm = (uint32_t)rng(),
                       .aux = (uint32_t)rng()};
    if (is_memory(name)) {
        s.r[3] = DATA + 16 + (uint32_t)(rng() & 7);
        s.r[4] = (uint32_t)rng() & 1;
        s.u.a = OFF(r[3]);
        s.u.b = OFF(r[4]);
        s.u.imm = (uint32_t)rng() & 15;
        if (!starts(name, "STI"))
            s.u.aux &= 3;
    } else if (starts(name, "LEAX")) {
        s.u.aux &= 3;
    } else if (!strcmp(name, "SETCC") || starts(name, "CMOV") || !strcmp(name, "BR")) {
        s.u.b = (uint16_t)(rng() & 15);
    } else if (starts(name, "MULW") || starts(name, "IMULW") || starts(name, "SHLDR") || starts(name, "SHRDR")) {
        s.u.imm = OFF(r[5]);
    } else if (starts(name, "SH") || starts(name, "SAR") || starts(name, "ROL") || starts(name, "ROR")) {
        s.u.imm = 1 + (uint32_t)rng() % (size_in(name) - 1);
    }
    return s;
}

/* Run it as a block of its own. Returns the edge taken, or -1 for UOP_EXIT after it. */
static int run_sample(struct machine *m, struct sample *s, bool plain_switch)
{
    struct ucpu *c = &toy_of(m)->u;
    struct toy_state *st = toy_of(m)->st;
    struct uop uops[2] = {s->u, {.op = UOP_EXIT}};
    struct block_insn insn = {.len = 1};
    struct block b = {.uops = uops, .insns = &insn, .steps = 1, .alone = true, .key = {.pc = 0x1000, .va = 0x1000},
                      .target = {0x2000, 0x3000}, .page = {1, UINT32_MAX}};
    enum left left;

    memcpy(st->r, s->r, sizeof(s->r));
    st->cc = (struct lazy_flags){.op = FLAGS_EXPLICIT, .dst = s->flags};
    toy_poke(m, DATA, s->mem, sizeof(s->mem));
    c->cpu.budget = c->cpu.limit = 1;
    left = plain_switch ? interp_run_switch(c, &b) : interp_run(c, &b);
    memcpy(s->r, st->r, sizeof(s->r));
    memory_read_bytes(&m->memory, DATA, s->mem, sizeof(s->mem));
    MUST(st->cc.reserved == 0, "reserved");
    s->flags = flags_compute(&st->cc);
    if (left == LEFT_EXIT) {
        MUST(c->exec->go_pc == 0x2000, "leaves for %llx", (unsigned long long)c->exec->go_pc);
        return -1;
    }
    MUST(left == LEFT_GO, "left by %d", left);
    return c->exec->go_pc == 0x3000;
}

START_TEST(micro_ops_do_what_their_names_say)
{
    struct machine *m = toy_machine();
    unsigned known = 0, wide = 0;

    for (unsigned op = 0; op < UOP_COUNT; op++) {
        const char *name = uop_infos[op].name;

        if (is_wide(op)) {
            wide++;
            continue;
        }

        for (unsigned i = 0; i < 400; i++) {
            struct sample before = random_sample(op), want = before;

            if (!expect(&want, name))
                break;
            known += i == 0;
            for (unsigned plain = 0; plain < 2; plain++) {
                struct sample got = before;
                int edge = run_sample(m, &got, plain);

                MUST(edge == want.edge, "%s: edge %d, not %d", name, edge, want.edge);
                MUST(got.flags == want.flags, "%s: flags %x, not %x (r1 %x r2 %x imm %x)", name, got.flags,
                              want.flags, before.r[1], before.r[2], before.u.imm);
                MUST(!memcmp(got.r, want.r, sizeof(got.r)), "%s: r0 %x, not %x; r1 %x, not %x; r3 %x, not %x",
                              name, got.r[0], want.r[0], got.r[1], want.r[1], got.r[3], want.r[3]);
                MUST(!memcmp(got.mem, want.mem, sizeof(got.mem)), "%s: memory", name);
            }
            /* The attributes tell the optimiser the truth. */
            if (want.flags_set)
                MUST(uop_infos[op].attributes & UOP_SETF, "%s sets flags", name);
            if (want.edge >= 0)
                MUST(uop_infos[op].attributes & UOP_ENDS, "%s ends its block", name);
            if (is_memory(name))
                MUST(uop_infos[op].attributes & UOP_FAULTS, "%s may fault", name);
        }
    }
    /* all but calls, divisions, indirect jumps and returns, EXIT, BR_DST_* and what others add */
    ck_assert_uint_ge(known, UOP_COUNT - wide - 29);
    machine_destroy(m);
}
END_TEST

static const char *name_of(unsigned offset)
{
    return offset == OFF(r[0]) ? "r0" : NULL;
}

START_TEST(pictures_name_operands_as_the_table_says)
{
    struct buffer out;
    struct uop u = {.op = UOP_ADD32I_F, .d = OFF(r[0]), .a = OFF(r[1]), .imm = 0x10};

    buffer_init(&out);
    uop_print(&out, &u, name_of);
    ck_assert_str_eq((char *)out.data, "ADD32I_F r0 [4] 0x10");
    buffer_clear(&out);
    u = (struct uop){.op = UOP_MOVI64, .d = OFF(r[0]), .imm64 = UINT64_C(0x123456789)};
    uop_print(&out, &u, NULL);
    ck_assert_str_eq((char *)out.data, "MOVI64 [0] 0x123456789");
    buffer_finish(&out);
}
END_TEST

Suite *test_suite(void)
{
    Suite *s = suite_create("vm micro-ops");
    TCase *t = tcase_create("flags");

    tcase_set_timeout(t, 60);
    tcase_add_test(t, lazy_flags_of_every_pair_of_bytes);
    tcase_add_test(t, lazy_flags_of_every_byte);
    tcase_add_test(t, lazy_flags_at_the_edges_of_wide_operands);
    suite_add_tcase(s, t);
    t = tcase_create("uops");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, micro_ops_do_what_their_names_say);
    tcase_add_test(t, pictures_name_operands_as_the_table_says);
    suite_add_tcase(s, t);
    return s;
}
