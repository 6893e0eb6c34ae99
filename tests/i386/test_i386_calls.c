/*
 * Which instructions are compiled, and which are calls of C functions: every opcode of every map, with and without VEX, with
 * every mandatory prefix, W, L and LOCK, of registers and of memory, in 64-bit mode and in 32-bit code, each compiled once. What
 * calls a C function whenever it is run is listed here, so that what comes to that list, or is no more of it, does so on purpose.
 *
 * What a line says: the opcode map (V: with VEX), opcodes, and of these only the forms: /REG of ModRM, m or r, rmN, prefix, W, L,
 * lock. The list is for hosts with AVX2, FMA and the like; others call more.
 */
#include "i386/insn.h"
#include "i386/fpu.h"
#include "i386/lower.h"
#include "i386_bench64.h"
#include "tests/check_main.h"
#include "tests/whole/with_jit.h"
#include "vm/jit/jit_priv.h"

#include <stdio.h>

i386_helper i386_op_raise; /* helpers.h has names that the JIT has, too */

/* ---- one encoding ---- */

enum dim { DIGIT, FORM, RM, PREFIX, W, L, LOCK, DIMS };
static const unsigned counts[DIMS] = {8, 2, 8, 6, 2, 2, 2};
#define BOX (8 * 2 * 8 * 6 * 2 * 2 * 2)

struct form {
    bool code64, vex;
    unsigned map, opcode, segment; /* segment: the override's byte, or 0 */
    unsigned at[DIMS];
};

/* Prefixes, opcode, ModRM and zeros or threes, of which as many as are wanted. */
static void encode(const struct form *e, uint8_t *bytes)
{
    static const uint8_t prefixes[6] = {0, 0x66, 0xf3, 0xf2, 0xf3, 0xf2};
    const bool gather = e->vex && e->map == 2 && (e->opcode & 0xfc) == 0x90;
    unsigned n = 0;

    memset(bytes, 3, 16);
    if (e->segment)
        bytes[n++] = (uint8_t)e->segment;
    if (e->at[LOCK])
        bytes[n++] = 0xf0;
    if (e->vex) {
        bytes[n++] = 0xc4;
        bytes[n++] = (uint8_t)(0xe0 | e->map);
        bytes[n++] = (uint8_t)(e->at[W] << 7 | 0x78 | e->at[L] << 2 | e->at[PREFIX]);
    } else {
        if (e->at[PREFIX] > 3)
            bytes[n++] = 0x66;
        if (e->at[PREFIX])
            bytes[n++] = prefixes[e->at[PREFIX]];
        if (e->at[W])
            bytes[n++] = 0x48;
        if (e->map)
            bytes[n++] = 0x0f;
        if (e->map > 1)
            bytes[n++] = e->map == 2 ? 0x38 : 0x3a;
    }
    bytes[n++] = (uint8_t)e->opcode;
    bytes[n++] = (uint8_t)(e->at[FORM] << 7 | e->at[FORM] << 6 | e->at[DIGIT] << 3 | (e->at[FORM] ? e->at[RM] : gather ? 4 : 3));
    if (gather)
        bytes[n++] = 2 << 3 | 3; /* [ebx + xmm2] */
}

enum status { ABSENT, CODE, CALLS };

/* Does it call what raises #UD? */
static bool is_absent(const struct bench *b, const struct insn *i, const struct block *block)
{
    const unsigned digit = i->modrm >> 3 & 7;

    if (i->map == 1 && i->opcode >= 0x71 && i->opcode <= 0x73 && !i->vex && /* of MMX registers: the helper knows */
        digit != 2 && digit != 6 && (digit != 4 || i->opcode == 0x73) && ((digit & 3) != 3 || !(i->flags & INSN_OPSIZE)))
        return true;
    for (unsigned n = 0; n < block->nuops; n++) {
        const struct uop *u = &block->uops[n];

        if ((u->op == UOP_CALL && (u->fn == i386_op_raise || u->fn == i386_simd_handler(&b->model, 0x04, 0, 0))) ||
            (u->op == UOP_X87 && u->fn == i386_x87_handler(0xd9, 0x08)))
            return true;
    }
    return false;
}

/* Is it there, and does it call? */
static enum status look(struct bench *b, const struct form *e)
{
    struct ucpu *u = &b->c->u;
    struct jit *j = u->exec->shared->jit;
    struct block_key key = {.pc = KCODE, .va = KCODE, .mode = b->c->block_mode};
    unsigned mode = (e->code64 ? DECODE_CODE64 : DECODE_CODE32) | DECODE_P6 | DECODE_LM | DECODE_VEX | (b->model.amd ? DECODE_AMD : 0);
    struct block *block;
    struct insn i;
    uint8_t bytes[16];
    uint64_t calls = j->calls;

    encode(e, bytes);
    if (i386_decode(bytes, 15, mode, &i) != DECODE_OK)
        return ABSENT;
    if (!(i.flags & INSN_MODRM) && (e->at[DIGIT] || e->at[FORM]))
        return ABSENT;
    if (!e->vex && e->at[W] && (e->at[PREFIX] == 1 || e->at[PREFIX] > 3) && i.op != INSN_SIMD)
        return ABSENT; /* 66 says nothing beside it */
    bytes[i.len] = 0xf4; /* HLT, which is in no block with others */
    poke(b, KCODE, bytes, i.len + 1u);
    block = translate(u, &key, false);
    ck_assert_ptr_nonnull(block);
    if (is_absent(b, &i, block))
        return ABSENT;
    if (!compile(j, block)) {
        jit_throw_away(j);
        ck_assert(compile(j, block));
    }
    return j->calls == calls ? CODE : CALLS;
}

/* ---- an opcode ---- */

static enum status box[BOX];

static unsigned place(const unsigned *at)
{
    unsigned n = 0;

    for (unsigned d = 0; d < DIMS; d++)
        n = n * counts[d] + at[d];
    return n;
}

/* The next point of those where the dimensions of `fixed` stay. */
static bool advance(unsigned *at, unsigned fixed)
{
    for (unsigned d = DIMS; d-- > 0;) {
        if (fixed & 1u << d)
            continue;
        if (++at[d] < counts[d])
            return true;
        at[d] = 0;
    }
    return false;
}

/* What there is among those: bit CODE, bit CALLS. */
static unsigned kinds(const unsigned *from, unsigned fixed)
{
    unsigned at[DIMS], found = 0;

    for (unsigned d = 0; d < DIMS; d++)
        at[d] = fixed & 1u << d ? from[d] : 0;
    do
        found |= 1u << box[place(at)];
    while (advance(at, fixed));
    return found & (1u << CODE | 1u << CALLS);
}

#define BOTH (1u << CODE | 1u << CALLS)

/* By which dimension are those that call best told from those that do not? By one where least of what there is is of both kinds. */
static unsigned best(unsigned *at, unsigned fixed)
{
    unsigned least = UINT32_MAX, which = 0;

    for (unsigned d = 0; d < DIMS; d++) {
        unsigned mixed = 0, there = 0;

        if (fixed & 1u << d)
            continue;
        for (at[d] = 0; at[d] < counts[d]; at[d]++) {
            unsigned found = kinds(at, fixed | 1u << d);

            mixed += found == BOTH;
            there += found != 0;
        }
        if (there > 1 && mixed * 64 / there < least) {
            least = mixed * 64 / there;
            which = d;
        }
    }
    return which;
}

/* A list, a line for each form that calls: `text` with `label` before it. */
struct text { char bytes[65536]; };

static void add(struct text *t, const char *s)
{
    ck_assert_uint_lt(strlen(t->bytes) + strlen(s) + 2, sizeof t->bytes);
    strcat(t->bytes, s);
}

static void label(char *to, unsigned d, unsigned values)
{
    static const char *const names[DIMS][6] = {
        [FORM] = {" m", " r"}, [PREFIX] = {" np", " 66", " f3", " f2", " 66+f3", " 66+f2"}, [W] = {" w0", " w1"}, [L] = {" l0", " l1"},
        [LOCK] = {" unlocked", " lock"}};

    if (d == DIGIT)
        strcat(to, " /");
    if (d == RM)
        strcat(to, " rm");
    for (unsigned v = 0; v < counts[d]; v++)
        if (values & 1u << v) {
            if (d == DIGIT || d == RM)
                sprintf(to + strlen(to), "%u", v);
            else
                strcat(to, names[d][v]);
        }
}

static void tell(struct text *t, unsigned *at, unsigned fixed, const char *before)
{
    unsigned found = kinds(at, fixed), d, pure = 0;
    char line[128];

    if (!(found & 1u << CALLS))
        return;
    if (found != BOTH) {
        add(t, before);
        add(t, ";");
        return;
    }
    d = best(at, fixed);
    for (at[d] = 0; at[d] < counts[d]; at[d]++)
        if (kinds(at, fixed | 1u << d) == 1u << CALLS)
            pure |= 1u << at[d];
    if (pure) {
        strcpy(line, before);
        label(line, d, pure);
        add(t, line);
        add(t, ";");
    }
    for (unsigned v = 0; v < counts[d]; v++) {
        at[d] = v;
        if (pure & 1u << v)
            continue;
        strcpy(line, before);
        label(line, d, 1u << v);
        tell(t, at, fixed | 1u << d, line);
    }
}

/* The same of an operand in a segment that has a base: of what does not call otherwise. */
static enum status look_at_segment(struct bench *b, struct form *e)
{
    const unsigned segment = e->segment;
    enum status s;

    e->segment = 0;
    s = look(b, e);
    e->segment = segment;
    return s == CODE && segment ? look(b, e) : segment ? ABSENT : s;
}

/* All forms of it: what of them calls. */
static void look_at_opcode(struct bench *b, struct form *e, struct text *t)
{
    const bool by_rm = (e->map == 0 && (e->opcode & 0xf8) == 0xd8) || (e->map == 1 && e->opcode == 0x01);
    unsigned at[DIMS] = {0};

    memset(e->at, 0, sizeof e->at);
    do {
        bool wanted = (!e->vex || e->at[PREFIX] < 4) && (e->vex || !e->at[L]) && (e->vex || e->code64 || !e->at[W]) && (!e->vex || !e->at[LOCK]) &&
                      (by_rm && e->at[FORM] ? true : e->at[RM] == 1);

        box[place(e->at)] = wanted && (!e->segment || !e->at[FORM]) ? look_at_segment(b, e) : ABSENT;
    } while (advance(e->at, 0));
    t->bytes[0] = 0;
    tell(t, at, 0, "");
}

/* ---- all of them ---- */

static bool is_prefix(const struct form *e)
{
    unsigned o = e->opcode;

    if (e->vex)
        return false;
    if (e->map == 1)
        return o == 0x38 || o == 0x3a;
    return e->map == 0 && (o == 0x0f || (o & 0xe7) == 0x26 || (o >= 0x64 && o <= 0x67) || o == 0xf0 || o == 0xf2 || o == 0xf3 ||
                           (e->code64 && ((o & 0xf0) == 0x40 || o == 0xc4 || o == 0xc5)));
}

static void put_lines(struct text *all, const struct form *e, unsigned first, unsigned last, const char *forms)
{
    static const char *const maps[2][4] = {{"", "0f ", "0f38 ", "0f3a "}, {"", "V0f ", "V0f38 ", "V0f3a "}};
    char head[32];

    for (const char *at = forms; *at;) {
        const char *end = strchr(at, ';');
        char line[256];

        if (first == last)
            sprintf(head, "%s%02x", maps[e->vex][e->map], first);
        else
            sprintf(head, "%s%02x-%02x", maps[e->vex][e->map], first, last);
        snprintf(line, sizeof line, "%s%.*s\n", head, (int)(end - at), at);
        add(all, line);
        at = end + 1;
    }
}

static void look_at_map(struct bench *b, struct form *e, struct text *all)
{
    static struct text now, before;
    unsigned first = 0;

    before.bytes[0] = 0;
    for (e->opcode = 0; e->opcode < 256; e->opcode++) {
        now.bytes[0] = 0;
        if (!is_prefix(e))
            look_at_opcode(b, e, &now);
        if (strcmp(now.bytes, before.bytes) != 0) {
            put_lines(all, e, first, e->opcode - 1, before.bytes);
            before = now;
            first = e->opcode;
        }
    }
    put_lines(all, e, first, 255, before.bytes);
}

static struct bench *census_bench(bool code64)
{
    struct bench *b = code64 ? bench64_new("max") : bench_new("max");

    b->s->cr4 |= CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE;
    b->s->xcr0 = 7;
    b->s->seg[SEG_FS].base = 0x1000;
    if (!code64)
        b->s->seg[SEG_FS].limit = 0xfffff;
    refresh(b);
    return b;
}

/* Does the host have all that is compiled to its own instructions? */
static bool host_is_good(void)
{
    struct bench *b = census_bench(true);
    const struct jit *j;
    bool good;

    ck_assert(with_jit(&b->c->u));
    j = b->c->u.exec->shared->jit;
    good = host_has(j, VECTOR_HOST_AVX2) && host_has(j, VECTOR_HOST_FMA) && host_has(j, VECTOR_HOST_F16C) &&
           host_has(j, VECTOR_HOST_AES) && host_has(j, VECTOR_HOST_PCLMUL) && j->host_mmx && j->host_x87 == X87_KINDS;
    bench_free(b);
    if (!good)
        fprintf(stderr, "the host lacks instructions: nothing is compared\n");
    return good;
}

static void census(bool code64, unsigned segment, struct text *all)
{
    struct bench *b = census_bench(code64);

    all->bytes[0] = 0;
    ck_assert(with_jit(&b->c->u));
    for (unsigned n = 0; n < 7; n++) {
        struct form e = {.code64 = code64, .vex = n > 3, .map = n > 3 ? n - 3 : n, .segment = segment};

        look_at_map(b, &e, all);
    }
    bench_free(b);
}

/* ---- what is known ---- */

/* In both modes. */
static const char *const calls[] = {
    /* ports, segments, levels: */
    "6c-6f", "e4-e7", "ec-ef", /* INS OUTS IN OUT */
    "8e", "0f b2", "0f b4-b5", /* MOV to a segment register, LSS LFS LGS */
    "0f a1-a2", "0f a9-aa", /* POP FS, CPUID, POP GS, RSM */
    "ff /35", /* CALL, JMP far */
    "f1", "f4", "fa-fb", /* ICEBP, HLT, CLI STI */
    "0f 00-03", /* SLDT..., SGDT..., LAR, LSL */
    "0f 05-09", /* SYSCALL CLTS SYSRET INVD WBINVD */
    "0f 20 lock", "0f 21-23", "0f 30-35", /* MOV from CR8, to and from DR, to CR; WRMSR RDTSC RDMSR RDPMC SYSENTER SYSEXIT */
    "0f38 82", /* INVPCID */
    "90 f3 66+f3", /* PAUSE */
    /* integers */
    "a4-a7 f3 f2 66+f3 66+f2", "aa-af f3 f2 66+f3 66+f2", /* strings with a repetition */
    "c8", /* ENTER of another level than 0 */
    "0f a4 66 66+f3 66+f2", "0f a5 m", "0f a5 r 66 66+f3 66+f2", "0f ac 66 66+f3 66+f2", "0f ad m", "0f ad r 66 66+f3 66+f2", /* SHLD SHRD of words, or of memory by CL */
    "0f 79", /* EXTRQ INSERTQ by register */
    "0f bc-bd 66+f3", /* TZCNT LZCNT of words */
    "0f c7 /3456", "0f c7 /7 np 66", /* XRSTORS XSAVEC XSAVES, RDRAND RDSEED */
    /* x87: FLDENV FNSTENV FRSTOR FNSAVE, transcendental functions, decimals, forms that no manual has */
    "d9 /2 r", "d9 /3 r", "d9 /4 m", "d9 /6 rm012345", "d9 /7 rm03567", "d9 /7 rm1 r", "db /4 rm0134", "dc /2 r", "dc /3 r",
    "dd /6", "dd /0 r", "dd /1 r", "dd /4 m", "de /2 r", "df /0 r", "df /1 r", "df /2 r", "df /3 r", "df /4 m", "df /6 m",
};

static const char *const calls_64[] = {
    "ca-cd", "cf", /* RETF INT IRET */
    "0f c7 /1 w1", /* CMPXCHG16B */
    "0f ae 66", "0f ae np /014", "0f ae np /5 m", "0f ae np /6 m", "0f ae np /7 m", /* CLWB CLFLUSHOPT; FXSAVE... */
};

static const char *const calls_32[] = {
    "07", "17", "1f", "9a", "c4-c5", "ca-cf", "ea", /* POP ES..., CALL, LES LDS, RETF INT INTO IRET, JMP */
    "27", "2f", "37", "3f", "d4-d5", /* decimals */
    "60-61 66 66+f3 66+f2", "62-63", /* PUSHA POPA of words; BOUND ARPL */
    "0f ae /014", "0f ae /5 m", "0f ae /6 m", "0f ae /7 m", /* FXSAVE FXRSTOR XSAVE XRSTOR XSAVEOPT CLFLUSH... */
};

/* What calls only if its operand is in a segment with a base: MMX, masked moves and gathers. */
static const char *const segment_calls[] = {
    "0f 2a np", "0f 2c-2d np 66", "0f 60-6b np", "0f 6e-70 np", "0f 74-76 np", "0f 7e-7f np", "0f c4 np", "0f d1-d5 np",
    "0f d8-e5 np", "0f e7-ef np", "0f f1-f6 np", "0f f8-fe np", "0f38 00-0b np", "0f38 1c-1e np", "0f3a 0f np",
    "V0f38 2c-2f", "V0f38 8c", "V0f38 8e", "V0f38 90-93",
};

/* Take the lines away, each of which must be there once; what is left stays. */
static void take(struct text *all, const char *const *lines, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(lines[i]);
        char *at = all->bytes;

        while (at && (strncmp(at, lines[i], len) != 0 || at[len] != '\n')) {
            at = strchr(at, '\n');
            at = at && at[1] ? at + 1 : NULL;
        }
        if (!at) {
            fprintf(stderr, "not a call any more: %s\n", lines[i]);
            add(all, "?\n");
        } else {
            memmove(at, at + len + 1, strlen(at + len + 1) + 1);
        }
    }
}

START_TEST(calls_are_those_that_are_known)
{
    static struct text all;
    const bool code64 = !(_i & 1);

    if (!host_is_good())
        return;
    census(code64, _i & 2 ? 0x64 : 0, &all);
    if (_i & 2) {
        take(&all, segment_calls, ARRAY_LEN(segment_calls));
    } else {
        take(&all, calls, ARRAY_LEN(calls));
        if (code64)
            take(&all, calls_64, ARRAY_LEN(calls_64));
        else
            take(&all, calls_32, ARRAY_LEN(calls_32));
    }
    ck_assert_msg(!all.bytes[0], "calls that are not known:\n%s", all.bytes);
}
END_TEST

Suite *test_suite(void)
{
    Suite *suite = suite_create("i386_calls");
    TCase *tc = tcase_create("calls");

    tcase_set_timeout(tc, 120);
    suite_add_tcase(suite, tc);
    tcase_add_loop_test(tc, calls_are_those_that_are_known, 0, 4);
    return suite;
}
