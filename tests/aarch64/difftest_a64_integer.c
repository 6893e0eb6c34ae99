/*
 * Generators of integer instructions, branches, loads and stores for difftest_a64.
 */
#include "difftest_a64.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static uint32_t any_of(const char *const *rows, unsigned count)
{
    return a64_random_word(rows[a64_random() % count]);
}

static uint32_t put(uint32_t word, unsigned at, unsigned width, uint32_t v)
{
    uint32_t mask = ((1u << width) - 1) << at;

    return (word & ~mask) | (v << at & mask);
}

#define BITS(word, at, width) ((word) >> (at) & ((1u << (width)) - 1))

/* Keep SP as a result out: rows whose Rd 31 is SP. */
static void immediate(struct a64_program *p)
{
    static const char *const rows[] = {"ADR", "ADDSUB_IMM", "LOGIC_IMM", "MOVE_WIDE", "BITFIELD", "EXTR"};
    uint32_t word = any_of(rows, COUNT(rows));

    if (BITS(word, 0, 5) == 31)
        word = put(word, 0, 5, 30);
    a64_emit(p, word);
}

static void to_zero(struct a64_program *p)
{
    static const char *const rows[] = {"ADDSUB_IMM", "LOGIC_IMM", "ADDSUB_EXT"};
    unsigned n = (unsigned)(a64_random() % COUNT(rows));
    uint32_t word = a64_random_word(rows[n]);

    word = n == 1 ? put(word, 29, 2, 3) : put(word, 29, 1, 1); /* ANDS; S */
    a64_emit(p, put(word, 0, 5, 31));
}

static void stack_pointer(struct a64_program *p)
{
    a64_emit(p, 0x910043ff);                                     /* add sp, sp, #16 */
    a64_emit(p, put(0x910003e0, 0, 5, (uint32_t)(a64_random() % 26))); /* mov xN, sp */
    a64_emit(p, put(0x8b2263e0, 0, 5, (uint32_t)(a64_random() % 26))); /* add xN, sp, x2 */
    a64_emit(p, 0xd10043ff);                                     /* sub sp, sp, #16 */
}

static void registers(struct a64_program *p)
{
    static const char *const rows[] = {"LOGIC_REG", "ADDSUB_REG", "ADDSUB_EXT", "ADC", "CCMP_REG", "CCMP_IMM", "CSEL"};
    uint32_t word = any_of(rows, COUNT(rows));

    if (BITS(word, 0, 5) == 31 && BITS(word, 21, 8) == 0x59)
        word = put(word, 0, 5, 29); /* ADDSUB_EXT: SP */
    a64_emit(p, word);
}

static void sources(struct a64_program *p)
{
    static const char *const rows[] = {"UDIV", "SDIV", "SHIFT_REG", "CRC32", "RBIT", "REV16", "REV32", "REV64",
                                       "CLZ", "CLS", "MADD", "MADDL", "MULH"};
    uint32_t word = any_of(rows, COUNT(rows));

    if (BITS(word, 21, 10) == 0xda || BITS(word, 21, 10) == 0xde)
        word |= 0x7c00; /* UMULH, SMULH: Ra should be ones */
    a64_emit(p, word);
}

static void branches(struct a64_program *p)
{
    static const char *const rows[] = {"B_COND", "B", "CBZ", "TBZ"};
    unsigned n = (unsigned)(a64_random() % COUNT(rows)), over = 1 + (unsigned)(a64_random() % 3);
    uint32_t word = a64_random_word(rows[n]);

    if (n == 1)
        word = put(word, 0, 26, over + 1);
    else if (n == 3)
        word = put(word, 5, 14, over + 1);
    else
        word = put(word, 5, 19, over + 1);
    a64_emit(p, word);
    while (over--)
        registers(p);
}

/* A compare, and something that depends on it. */
static void conditions(struct a64_program *p)
{
    unsigned choice = (unsigned)(a64_random() % 3);
    uint32_t word;

    if (a64_random() % 2) {
        to_zero(p);
    } else {
        word = a64_random_word(a64_random() % 2 ? "ADDSUB_REG" : "ADC");
        a64_emit(p, put(word, 29, 1, 1));
    }
    if (choice == 0)
        a64_emit(p, a64_random_word("CSEL"));
    else if (choice == 1)
        a64_emit(p, a64_random_word("CCMP_REG"));
    a64_emit(p, put(a64_random_word("B_COND"), 5, 19, 2));
    registers(p);
}

/* br, blr, ret to the instruction after the next */
static void indirect(struct a64_program *p)
{
    static const uint32_t kinds[] = {0xd61f0000, 0xd63f0000, 0xd65f0000};
    uint32_t r = (uint32_t)(a64_random() % 26);

    if (a64_random() % 4 == 0)
        r = 30;
    a64_emit(p, put(0x10000060, 0, 5, r)); /* adr xR, . + 12 */
    a64_emit(p, put(kinds[a64_random() % 3], 5, 5, r));
    registers(p);
}

/* ---- memory ---- */

/* The base: the data, SP, or (with write-back) the scratch register, set up here. */
static uint32_t with_base(struct a64_program *p, uint32_t word, bool writes_back, unsigned align)
{
    uint32_t offset = (uint32_t)(a64_random() % 256) & ~(align - 1);

    if (!writes_back)
        return put(word, 5, 5, a64_random() % 4 ? A64_REG_DATA : 31);
    if (a64_random() % 8 == 0) { /* a base near the page's end */
        a64_emit(p, 0x913fc39a); /* add x26, x28, #0xff0 */
        return put(word, 5, 5, A64_REG_BASE);
    }
    a64_emit(p, put(put(put(0x91000000, 0, 5, A64_REG_BASE), 5, 5, A64_REG_DATA), 10, 12, offset)); /* add x26, x28, # */
    return put(word, 5, 5, A64_REG_BASE);
}

static uint32_t integer_only(const char *row)
{
    uint32_t word;

    do
        word = a64_random_word(row);
    while (BITS(word, 26, 1));
    return word;
}

/* An index for an access with that `option`, in the scratch register. */
static uint32_t with_index(struct a64_program *p, uint32_t word)
{
    uint32_t option = BITS(word, 13, 3), small = (uint32_t)(a64_random() % 256);

    if (option == 2) { /* UXTW: the upper half does not count */
        a64_emit(p, put(put(0xd2800000, 0, 5, A64_REG_BASE), 5, 16, small));
        a64_emit(p, put(put(0xf2e00000, 0, 5, A64_REG_BASE), 5, 16, small * 255)); /* movk x26, #, lsl #48 */
    } else {           /* a negative one; SXTW: the upper half is 0 */
        a64_emit(p, put(put(option == 6 ? 0x12800000 : 0x92800000, 0, 5, A64_REG_BASE), 5, 16, small));
    }
    return put(word, 16, 5, A64_REG_BASE);
}

static void loads_and_stores(struct a64_program *p, uint32_t (*choose)(const char *))
{
    static const char *const rows[] = {"UNSCALED", "POST_INDEX", "PRE_INDEX", "REG_OFFSET", "SCALED"};
    unsigned n = (unsigned)(a64_random() % COUNT(rows));
    uint32_t word = choose(rows[n]);

    word = with_base(p, word, n == 1 || n == 2, 1);
    if (n == 3)
        word = with_index(p, word);
    a64_emit(p, word);
}

static void single(struct a64_program *p)
{
    loads_and_stores(p, integer_only);
}

static void unprivileged(struct a64_program *p)
{
    a64_emit(p, with_base(p, a64_random_word("UNPRIVILEGED"), false, 1));
}

static void single_simd(struct a64_program *p)
{
    loads_and_stores(p, a64_random_word);
}

static void pairs(struct a64_program *p)
{
    uint32_t word;

    do
        word = a64_random_word("PAIR");
    while (BITS(word, 22, 1) && BITS(word, 0, 5) == BITS(word, 10, 5)); /* LDP of one register twice */
    a64_emit(p, with_base(p, word, BITS(word, 23, 1), 1));
}

static void literals(struct a64_program *p)
{
    a64_emit(p, put(a64_random_word("LOAD_LITERAL"), 5, 19, (uint32_t)(a64_random() % 16) - 8));
}

/* A load-exclusive and a store-exclusive that may succeed, or not. */
static void exclusives(struct a64_program *p)
{
    bool pair = a64_random() % 2;
    uint32_t load, store, size = (uint32_t)(a64_random() % 4);

    if (pair)
        size |= 2;
    do {
        load = put(a64_random_word(pair ? "EXCLUSIVE_PAIR" : "EXCLUSIVE"), 30, 2, size) | 1u << 22;
    } while (pair && BITS(load, 0, 5) == BITS(load, 10, 5));
    do {
        store = put(a64_random_word(pair ? "EXCLUSIVE_PAIR" : "EXCLUSIVE"), 30, 2, size) & ~(1u << 22);
    } while (BITS(store, 16, 5) == BITS(store, 0, 5) || BITS(store, 16, 5) == BITS(store, 10, 5));
    load |= 0x1f << 16;
    if (!pair) {
        load |= 0x1f << 10;
        store |= 0x1f << 10;
    }
    load = with_base(p, load, true, 16);
    a64_emit(p, load);
    switch (a64_random() % 4) {
    case 0:
        a64_emit(p, 0xd503305f); /* clrex */
        break;
    case 1:
        a64_emit(p, 0xf900037f); /* str xzr, [x27 or x26] */
        p->words[p->count - 1] = put(p->words[p->count - 1], 5, 5, A64_REG_BASE);
        break;
    default:
        break;
    }
    a64_emit(p, put(store, 5, 5, A64_REG_BASE));
}

static void ordered(struct a64_program *p)
{
    a64_emit(p, with_base(p, a64_random_word("ORDERED") | 0x1f7c00, true, 16));
}

static void atomics(struct a64_program *p)
{
    static const char *const rows[] = {"ATOMIC", "SWP", "CAS", "CASP"};
    unsigned n = (unsigned)(a64_random() % COUNT(rows));
    uint32_t word = a64_random_word(rows[n]);

    if (n == 0 && BITS(word, 14, 1))
        word |= 3u << 30; /* libunicorn 2.0 compares whole registers in narrow minima and maxima */
    if (n == 3)
        word = put(put(word, 0, 5, (uint32_t)(a64_random() % 12) * 2), 16, 5, (uint32_t)(a64_random() % 12) * 2);
    word = with_base(p, word, true, 16);
    if (n >= 2 && a64_random() % 2) { /* let the comparison succeed */
        uint32_t rs = BITS(word, 16, 5), size = BITS(word, 30, 2);

        if (n == 3 && rs != 31)
            a64_emit(p, put(put(put(size & 1 ? 0xa9400000 : 0x29400000, 0, 5, rs), 10, 5, rs + 1), 5, 5, A64_REG_BASE));
        else if (rs != 31)
            a64_emit(p, put(put(0xf9400000, 0, 5, rs), 5, 5, A64_REG_BASE));
    }
    a64_emit(p, word);
}

static void structures(struct a64_program *p)
{
    static const char *const rows[] = {"SIMD_MULTIPLE", "SIMD_MULTIPLE_POST", "SIMD_SINGLE", "SIMD_SINGLE_POST"};
    unsigned n = (unsigned)(a64_random() % COUNT(rows));
    uint32_t word = with_base(p, any_of(rows + n, 1), n & 1, 1);

    if ((n & 1) && a64_random() % 2)
        word = put(word, 16, 5, 31);
    a64_emit(p, word);
}

const struct a64_class a64_integer_classes[] = {
    {"immediate", immediate},
    {"to_zero", to_zero},
    {"stack_pointer", stack_pointer},
    {"registers", registers},
    {"sources", sources},
    {"branches", branches},
    {"conditions", conditions},
    {"indirect", indirect},
    {"single", single},
    {"unprivileged", unprivileged},
    {"single_simd", single_simd},
    {"pairs", pairs},
    {"literals", literals},
    {"exclusives", exclusives},
    {"ordered", ordered},
    {"atomics", atomics},
    {"structures", structures},
    {0},
};
