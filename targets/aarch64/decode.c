/*
 * From an instruction word to struct a64_insn (DDI 0487 C4.1).
 *
 * The rows of a64.def are compiled, once for the process, to masks, values
 * and places of fields, and to a list of candidate rows for each value of bits
 * 28-21. What a pattern cannot say (combinations of field values that are
 * unallocated) is in valid().
 *
 * To add a class of encodings: a row in a64.def, what is unallocated of it in
 * valid(), its meaning in lower*.c.
 */
#include "aarch64/insn.h"

#include "base/error.h"

#include <pthread.h>
#include <stddef.h>
#include <string.h>

#define MAX_FIELDS 10
#define BUCKETS    256u
#define BUCKET_MAX 24

struct place {
    uint16_t offset; /* into struct a64_insn */
    uint8_t shift, width;
};

static const struct {
    const char *name;
    unsigned width, offset;
} fields[] = {
#define F(fname, fwidth) {#fname, fwidth, offsetof(struct a64_insn, fname)},
    A64_FIELDS(F)
#undef F
};

static const struct {
    const char *name, *pattern;
} patterns[] = {
#define A64(rname, rpattern) {#rname, rpattern},
#include "aarch64/a64.def"
#undef A64
};
#define ROWS (sizeof patterns / sizeof patterns[0])

/* Written once, by compile_table(). */
static struct a64_row rows[ROWS];
static struct place places[ROWS][MAX_FIELDS];
static uint8_t nplaces[ROWS];
static uint8_t buckets[BUCKETS][BUCKET_MAX];
static uint8_t bucket_len[BUCKETS];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void compile_field(unsigned row, const char *name, size_t len, unsigned *bit)
{
    for (unsigned f = 0; f < A64_FIELD_COUNT; f++) {
        if (strlen(fields[f].name) != len || memcmp(fields[f].name, name, len))
            continue;
        CHECK(fields[f].width <= *bit && nplaces[row] < MAX_FIELDS);
        *bit -= fields[f].width;
        places[row][nplaces[row]++] = (struct place){
            .offset = (uint16_t)fields[f].offset, .shift = (uint8_t)*bit, .width = (uint8_t)fields[f].width};
        return;
    }
    CHECK(!"a pattern names an unknown field");
}

static void compile_row(unsigned row)
{
    const char *p = patterns[row].pattern;
    unsigned bit = 32;

    rows[row] = (struct a64_row){.name = patterns[row].name};
    while (*p) {
        size_t len = strcspn(p, " ");

        if (strspn(p, "01x") == len) {
            for (size_t i = 0; i < len; i++) {
                CHECK(bit);
                bit--;
                rows[row].mask |= (uint32_t)(p[i] != 'x') << bit;
                rows[row].value |= (uint32_t)(p[i] == '1') << bit;
            }
        } else {
            compile_field(row, p, len, &bit);
        }
        p += len;
        p += strspn(p, " ");
    }
    CHECK(bit == 0);
}

static void compile_table(void)
{
    for (unsigned row = 0; row < ROWS; row++) {
        compile_row(row);
        for (unsigned n = 0; n < BUCKETS; n++) {
            if (((n << 21) ^ rows[row].value) & rows[row].mask & (BUCKETS - 1) << 21)
                continue;
            CHECK(bucket_len[n] < BUCKET_MAX);
            buckets[n][bucket_len[n]++] = (uint8_t)row;
        }
    }
}

const struct a64_row *a64_row(unsigned n)
{
    pthread_once(&once, compile_table);
    return n < ROWS ? &rows[n] : NULL;
}

const char *a64_kind_name(enum a64_kind kind)
{
    return kind == A64_UNALLOCATED ? "UNALLOCATED" : patterns[kind - 1].name;
}

bool a64_bitmask(unsigned n, unsigned imms, unsigned immr, uint64_t *mask)
{
    unsigned size, ones, rotation;
    uint64_t element;

    if (n)
        size = 64;
    else if (imms >= 0x3e)
        return false;
    else
        size = 1u << (31 - __builtin_clz(~imms & 0x3f));
    ones = (imms & (size - 1)) + 1;
    rotation = immr & (size - 1);
    if (ones == size)
        return false;
    element = ((uint64_t)1 << ones) - 1;
    if (rotation)
        element = element >> rotation | element << (size - rotation);
    if (size < 64)
        element &= ((uint64_t)1 << size) - 1;
    for (; size < 64; size *= 2)
        element |= element << size;
    *mask = element;
    return true;
}

/* One register, any addressing but literal: size, V and opc. */
static bool valid_single(const struct a64_insn *i)
{
    if (i->V)
        return i->opc < 2 || i->size == 0;
    if (i->size == 3 && i->opc == 2) /* PRFM */
        return i->kind == A64_UNSCALED || i->kind == A64_REG_OFFSET || i->kind == A64_SCALED;
    return i->opc != 3 || i->size < 2;
}

/* Structures LD1-LD4, ST1-ST4 (C4.1, "Advanced SIMD load/store ..."). */
static bool valid_multiple(const struct a64_insn *i)
{
    switch (i->opcode) {
    case 0: case 4: case 8: /* interleaved: 1D is reserved */
        return i->size != 3 || i->Q;
    case 2: case 6: case 7: case 10:
        return true;
    default:
        return false;
    }
}

static bool valid_structure(const struct a64_insn *i)
{
    switch (i->opc3 >> 1) {
    case 0:
        return true;
    case 1:
        return !(i->size & 1);
    case 2:
        return i->size == 0 || (i->size == 1 && !i->S);
    default: /* replicate */
        return i->L && !i->S;
    }
}

/* SPSel, DAIFSet, DAIFClr, PAN */
static bool valid_msr_imm(const struct a64_insn *i)
{
    unsigned which = i->op1 << 3 | i->op2;

    return which == 005 || which == 036 || which == 037 || which == 004;
}

static bool valid(const struct a64_insn *i)
{
    uint64_t mask;

    switch (i->kind) {
    case A64_LOGIC_IMM:
        return !(i->N && !i->sf) && a64_bitmask(i->N, i->imms, i->immr, &mask);
    case A64_MOVE_WIDE:
        return i->opc != 1 && (i->sf || i->hw < 2);
    case A64_BITFIELD:
        return i->opc != 3 && i->N == i->sf && (i->sf || (i->immr < 32 && i->imms < 32));
    case A64_EXTR:
        return i->N == i->sf && (i->sf || i->imms < 32);
    case A64_DCPS:
        return i->LL != 0;
    case A64_BARRIER:
        return i->op2 == 2 || i->op2 == 4 || i->op2 == 5 || i->op2 == 6;
    case A64_MSR_IMM:
        return valid_msr_imm(i);
    case A64_CRC32:
        return (i->hw == 3) == i->sf;
    case A64_LOGIC_REG:
        return i->sf || i->imm6 < 32;
    case A64_ADDSUB_REG:
        return i->shift != 3 && (i->sf || i->imm6 < 32);
    case A64_ADDSUB_EXT:
        return i->imm3 <= 4;
    case A64_CASP: /* pairs of registers begin with an even one */
        return !((i->Rs | i->Rt) & 1);
    case A64_LOAD_LITERAL:
        return !(i->V && i->opc == 3);
    case A64_PAIR:
        /* mode 0 is the non-temporal pair, which has no sign-extending form */
        return i->opc != 3 && (i->V || i->opc != 1 || (i->L && i->mode != 0));
    case A64_REG_OFFSET:
        return (i->option & 2) && valid_single(i);
    case A64_UNSCALED:
    case A64_POST_INDEX:
    case A64_PRE_INDEX:
    case A64_UNPRIVILEGED:
    case A64_SCALED:
        return valid_single(i);
    case A64_SIMD_MULTIPLE:
    case A64_SIMD_MULTIPLE_POST:
        return valid_multiple(i);
    case A64_SIMD_SINGLE:
    case A64_SIMD_SINGLE_POST:
        return valid_structure(i);
    default:
        return true;
    }
}

static void extract(unsigned row, uint32_t word, struct a64_insn *i)
{
    for (unsigned n = 0; n < nplaces[row]; n++) {
        const struct place *p = &places[row][n];
        uint32_t v = word >> p->shift & (uint32_t)((UINT64_C(1) << p->width) - 1);

        memcpy((uint8_t *)i + p->offset, &v, sizeof v);
    }
}

void a64_decode(uint32_t word, struct a64_insn *i)
{
    unsigned n = word >> 21 & (BUCKETS - 1);

    pthread_once(&once, compile_table);
    *i = (struct a64_insn){.word = word};
    for (unsigned k = 0; k < bucket_len[n]; k++) {
        unsigned row = buckets[n][k];

        if ((word & rows[row].mask) != rows[row].value)
            continue;
        i->kind = (enum a64_kind)(row + 1);
        extract(row, word, i);
        if (!valid(i))
            *i = (struct a64_insn){.word = word};
        return;
    }
}
