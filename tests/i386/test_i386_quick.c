/*
 * Transfers of control and loads of segment registers in their usual shape, which quick.c and what SYSCALL and its like make of a change of level cut short, against all
 * of the rules (ucpu.careful): pairs of machines that are the same but for that, with random tables, stacks, frames and flags, come to
 * the same states, notes and footprints, whether the transfer succeeds or faults. A good half of the descriptors is usual.
 */
#include "i386_bench64.h"
#include "tests/check_main.h"
#include "tests/page_sets.h"

#include "i386/lower.h"
#include "vm/footprint.h"

#include <inttypes.h>

#define STEPS 4u

enum { FREE = 0xe0, SLOTS = 24, QUICK_GDT_LIMIT = FREE + 8 * SLOTS - 1, ENTRY = 0x48, RING_STACK = 0x48000 };
enum kind { PLAIN_32, PAGED_32, LONG_64, KINDS };

/* Where memory is other than 0. */
static const struct { uint32_t at, len; } ranges[] = {{0, RING_STACK + 0x5000}, {PAGES, 0x2000}, {PML4, 0x6000}};

struct side {
    struct bench *b;
    uint8_t *arena, *memory[ARRAY_LEN(ranges)]; /* as they were at first */
    struct footprint footprint;
    uint64_t told; /* a hash of what was noted */
    uint64_t random;
};

static uint32_t roll(struct side *t, uint32_t n)
{
    t->random = t->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(t->random >> 33) % n;
}

static bool chance(struct side *t, unsigned percent)
{
    return roll(t, 100) < percent;
}

static bool note(void *ctx, const struct trap_hit *hit)
{
    struct side *t = ctx;
    const uint64_t what[] = {hit->kind, hit->position, hit->address, hit->pc, hit->number, hit->value, hit->asked, hit->untaken};

    for (unsigned i = 0; i < ARRAY_LEN(what); i++)
        t->told = (t->told ^ what[i]) * UINT64_C(0x9e3779b97f4a7c15);
    return false;
}

/* What poke() and its like do; they tell libcheck of each byte. */
static void put(struct side *t, uint32_t at, const void *bytes, unsigned len)
{
    CHECK(memory_write_bytes(&t->b->m->memory, at, bytes, len, true) == len);
}

static void put16(struct side *t, uint32_t at, uint16_t v) { put(t, at, &v, 2); }
static void put32(struct side *t, uint32_t at, uint32_t v) { put(t, at, &v, 4); }
static void put64(struct side *t, uint32_t at, uint64_t v) { put(t, at, &v, 8); }

static void put_gate(struct side *t, uint32_t at, uint16_t selector, uint64_t offset, unsigned type, unsigned ist)
{
    put64(t, at, (offset & 0xffff) | (uint64_t)selector << 16 | (uint64_t)(type << 8 | ist) << 32 | (offset >> 16 & 0xffff) << 48);
}

static void put_descriptor(struct side *t, uint32_t at, uint32_t base, uint32_t limit, unsigned type, unsigned flags)
{
    put32(t, at, (base & 0xffff) << 16 | (limit & 0xffff));
    put32(t, at + 4, (base & 0xff000000) | flags << 20 | (limit & 0xf0000) | type << 8 | (base >> 16 & 0xff));
}

/* ---- what is made at random ---- */

/* Slots of the GDT: code and stack segments of each level, usual ones first; some with a bit that is not. */
static void make_segments(struct side *t, enum kind kind)
{
    for (unsigned n = 0; n < SLOTS; n++) {
        unsigned dpl = n / 2 % 4, type = (n & 1 ? 0x93 : 0x9b) | dpl << 5, flags = kind == LONG_64 && !(n & 1) ? 2 : 0xc;
        uint32_t base = 0, limit = 0xfffff;

        if (n >= 8 && chance(t, 60))
            type ^= 1u << roll(t, 8);
        if (n >= 8 && chance(t, 20))
            flags ^= 1u << roll(t, 4);
        if (n >= 8 && chance(t, 20))
            limit = roll(t, 0x60);
        if (n >= 8 && chance(t, 20))
            base = roll(t, 0x2000);
        put_descriptor(t, GDT + FREE + n * 8, base, limit, type, flags);
    }
}

/* A selector of code (0) or a stack (1), most often one that is usual at this level. */
static uint16_t selector(struct side *t, unsigned which, unsigned level)
{
    unsigned n = chance(t, 75) ? level * 2 + which : roll(t, SLOTS), rpl = chance(t, 90) ? n / 2 % 4 : roll(t, 4);

    if (chance(t, 4))
        return (uint16_t)roll(t, 4);
    return (uint16_t)(FREE + n * 8 + rpl + (chance(t, 3) ? 4 : 0));
}

static uint64_t stack_pointer(struct side *t, enum kind kind)
{
    uint64_t sp = RING_STACK + roll(t, 4) * 0x1000 + (chance(t, 30) ? roll(t, 0x60) : 0x800);

    if (chance(t, 10))
        sp += roll(t, 16);
    if (chance(t, 2))
        sp = roll(t, 0x100);
    if (kind == LONG_64 && chance(t, 30))
        sp += HIGH;
    if (kind == LONG_64 && chance(t, 3))
        sp ^= (uint64_t)1 << 50;
    return sp;
}

static uint64_t target(struct side *t, enum kind kind)
{
    uint64_t at = chance(t, 90) ? UCODE + roll(t, 0x100) : roll(t, 0x100);

    if (kind == LONG_64 && chance(t, 3))
        at ^= (uint64_t)1 << 55;
    return at;
}

static uint32_t flags(struct side *t)
{
    uint32_t f = EFLAGS_1 | (chance(t, 50) ? EFLAGS_IF : 0) | (roll(t, 64) & FLAGS_ALL);

    if (chance(t, 30))
        f |= EFLAGS_AC;
    if (chance(t, 10))
        f |= roll(t, 4) << 12;
    if (chance(t, 15))
        f |= 1u << (8 + roll(t, 14));
    return f;
}

static void make_gates(struct side *t, enum kind kind)
{
    static const unsigned vectors[] = {0x80, 0x81, EXC_BP, EXC_OF, EXC_UD, EXC_DB};

    for (unsigned i = 0; i < ARRAY_LEN(vectors); i++) {
        unsigned type = (chance(t, 50) ? 0x8e : 0x8f) | roll(t, 4) << 5;
        uint16_t code = selector(t, 0, chance(t, 80) ? 0 : roll(t, 4));

        if (chance(t, 80))
            type |= 0x60;
        if (chance(t, 15))
            type ^= 1u << roll(t, 8);
        if (kind == LONG_64)
            put_gate(t, IDT64 + vectors[i] * 16, code, target(t, kind), type, chance(t, 15) ? roll(t, 8) : 0);
        else
            put_gate(t, IDT + vectors[i] * 8, code, target(t, kind), type, 0);
        if (kind == LONG_64)
            put32(t, IDT64 + vectors[i] * 16 + 8, chance(t, 90) ? 0 : chance(t, 50) ? 0xffff8000 : 0x8000);
        if (kind == LONG_64 && chance(t, 3))
            put32(t, IDT64 + vectors[i] * 16 + 12, 1u << roll(t, 16));
    }
}

static void make_tss(struct side *t, enum kind kind)
{
    for (unsigned level = 0; level < 3; level++)
        if (kind == LONG_64) {
            put64(t, TSS64 + TSS64_RSP(level), stack_pointer(t, kind));
        } else {
            put32(t, TSS + 4 + level * 8, (uint32_t)stack_pointer(t, kind));
            put16(t, TSS + 8 + level * 8, selector(t, 1, level));
        }
    if (chance(t, 5))
        t->b->s->seg[SEG_TR].limit = roll(t, 32);
    if (chance(t, 3))
        t->b->s->seg[SEG_TR].valid = 0;
    if (kind != LONG_64 && chance(t, 3))
        t->b->s->seg[SEG_TR].attr ^= 8;
}

static void put_frame(struct side *t, uint64_t sp, unsigned size, enum kind kind, unsigned cpl)
{
    unsigned level = chance(t, 60) ? cpl : cpl + roll(t, 4 - cpl);
    uint64_t frame[] = {target(t, kind), selector(t, 0, level), flags(t), stack_pointer(t, kind), selector(t, 1, level)};

    if (chance(t, 20))
        frame[3] = roll(t, 0x7fffffff);
    if (chance(t, 10))
        frame[1] |= (uint64_t)roll(t, 0x10000) << 16;
    for (unsigned i = 0; i < ARRAY_LEN(frame); i++)
        put(t, (uint32_t)(sp & 0x3fffff) + i * size, &frame[i], size);
}

/* The segment registers at a level. */
static void make_registers(struct side *t, enum kind kind, unsigned cpl)
{
    struct i386_state *s = t->b->s;

    for (unsigned n = SEG_ES; n <= SEG_GS; n++) {
        unsigned level = chance(t, 70) ? 3 : roll(t, 4);

        s->seg[n] = i386_flat_segment((uint16_t)(FREE + 16 * level + 8), 3, level, SEG_ATTR_DB);
        if (chance(t, 15))
            s->seg[n] = (struct i386_segment){.selector = (uint16_t)roll(t, 4)};
        else if (chance(t, 8))
            s->seg[n].attr = (s->seg[n].attr & ~SEG_ATTR_TYPE) | roll(t, 16);
    }
    s->seg[SEG_CS] = i386_flat_segment((uint16_t)(FREE + 16 * cpl), 11, cpl, kind == LONG_64 ? SEG_ATTR_L : SEG_ATTR_DB);
    s->seg[SEG_SS] = i386_flat_segment((uint16_t)(FREE + 16 * cpl + 8), 3, cpl, SEG_ATTR_DB);
    if (chance(t, 20))
        s->seg[SEG_SS].base = roll(t, 0x1000);
    if (chance(t, 10))
        s->seg[SEG_SS].limit = RING_STACK + roll(t, 0x3000);
    if (chance(t, 5))
        s->seg[SEG_SS].attr ^= chance(t, 50) ? SEG_ATTR_DB : 1u << roll(t, 4);
    if (chance(t, 10))
        s->seg[SEG_CS].limit = UCODE + roll(t, 0x10000);
}

static void make_msrs(struct side *t, enum kind kind)
{
    struct i386_state *s = t->b->s;

    s->sysenter_cs = chance(t, 90) ? FREE : roll(t, 8);
    s->sysenter_esp = stack_pointer(t, kind);
    s->sysenter_eip = target(t, kind);
    s->star = (uint64_t)(FREE + roll(t, 4)) << 32 | (uint64_t)(FREE + 16 + roll(t, 4)) << 48 | (uint32_t)target(t, kind);
    s->lstar = target(t, kind);
    s->cstar = target(t, kind);
    s->sfmask = chance(t, 80) ? 0x47700 : roll(t, 0x400000);
    if (chance(t, 90))
        s->efer |= EFER_SCE;
    for (unsigned r = 0; r < 16; r++)
        if (r != ESP && (r < 8 || kind == LONG_64))
            s->gpr[r] = target(t, kind);
    s->gpr[EAX] = selector(t, 1, chance(t, 50) ? s->cpl : roll(t, 4));
    if (chance(t, 20))
        s->gpr[EAX] = (s->gpr[EAX] & ~(uint64_t)3) | s->cpl;
    s->gpr[ECX] = chance(t, 70) ? target(t, kind) : stack_pointer(t, kind);
    if (kind == LONG_64)
        s->gpr[11] = flags(t);
    else
        s->gpr[ECX] = (uint32_t)s->gpr[ECX];
}

static void make_code(struct side *t, enum kind kind)
{
    static const uint8_t codes[][4] = {{0xcd, 0x80}, {0xcd, 0x81}, {0xcc}, {0xce}, {0x0f, 0x0b}, {0xf1},
                                       {0x0f, 0x34}, {0x0f, 0x35}, {0x0f, 0x05}, {0x0f, 0x07}, {0x48, 0x0f, 0x07}, {0x48, 0x0f, 0x35},
                                       {0x8e, 0xd8}, {0x8e, 0xc0}, {0x8e, 0xd0}, {0x8e, 0xe0}, {0x8e, 0xe8}}; /* MOV to DS ES SS FS GS */
    static const uint8_t irets[][2] = {{0xcf}, {0x66, 0xcf}, {0x48, 0xcf}};
    const uint8_t *code = codes[chance(t, 60) ? roll(t, 2) : roll(t, ARRAY_LEN(codes))];
    unsigned len = 4;

    if (chance(t, 45)) {
        code = irets[chance(t, 80) ? (kind == LONG_64 ? 2 : 0) : roll(t, 3)];
        len = 2;
    }
    put(t, ENTRY + DATA, code, len);
}

/* Let inline accesses be allowed where most of them are going to be. */
static void warm(struct side *t, unsigned mode, uint64_t va)
{
    uint8_t byte;

    if (ucpu_load_mode(&t->b->c->u, mode, va, &byte, 1))
        ucpu_store_mode(&t->b->c->u, mode, va, &byte, 1);
    t->b->c->exc.pending = false;
    t->b->c->u.retry_alone = false;
}

static void warm_all(struct side *t, enum kind kind)
{
    const uint32_t tables[] = {GDT, IDT, IDT64, TSS, TSS64};

    for (unsigned mode = MMU_SUPERVISOR; mode <= MMU_OPEN; mode++) {
        for (unsigned i = 0; i < ARRAY_LEN(tables); i++)
            if (chance(t, 95))
                warm(t, mode, tables[i]);
        for (unsigned i = 0; i < 5; i++)
            if (chance(t, 95))
                warm(t, mode, RING_STACK + i * 0x1000 + (kind == LONG_64 && chance(t, 30) ? HIGH : 0));
    }
}

/* The first 2 MiB, and the tables of long mode behind them: what only levels 0 to 2 use may be theirs alone, so that SMAP lets them. */
static void map_pages(struct side *t, enum kind kind)
{
    const uint32_t tables = kind == LONG_64 ? PT : PAGES + 0x1000;
    unsigned own = chance(t, 60) ? 0 : 4, size = kind == LONG_64 ? 8 : 4;

    for (unsigned i = 0; i < 512; i++) {
        bool users = i >= UCODE >> 12 && i < RING_STACK >> 12;
        uint64_t entry = (uint64_t)i << 12 | (chance(t, 96) || users ? 3 | (users ? 4 : own) : roll(t, 8)) | (chance(t, 90) ? 0x60 : 0);

        put(t, tables + size * i, &entry, size);
    }
    if (kind == LONG_64) {
        put64(t, PD, PT | 7);
        put64(t, PD + 8, 0x200083 | own);
        return;
    }
    put32(t, PAGES, tables | 7);
    t->b->s->cr3 = PAGES;
    t->b->s->cr0 |= CR0_PG | CR0_WP;
}

static void arrange(struct side *t, enum kind kind)
{
    struct i386_state *s = t->b->s;
    unsigned cpl = chance(t, 40) ? 3 : chance(t, 70) ? 0 : roll(t, 4);

    if (kind == LONG_64)
        long_mode(t->b, 0);
    make_segments(t, kind);
    make_gates(t, kind);
    make_tss(t, kind);
    make_registers(t, kind, cpl);
    s->cpl = cpl;
    make_msrs(t, kind);
    make_code(t, kind);
    s->gdtr.limit = chance(t, 95) ? QUICK_GDT_LIMIT : FREE + roll(t, 0x60);
    if (chance(t, 4))
        s->idtr.limit = (uint32_t)roll(t, 0x900);
    if (kind != PLAIN_32)
        map_pages(t, kind);
    if (i386_has(t->b->c->model, FEATURE_SMAP) && chance(t, 50))
        s->cr4 |= CR4_SMAP;
    if (chance(t, 50))
        s->cr0 |= CR0_AM;
    s->rip = DATA + ENTRY;
    s->gpr[ESP] = stack_pointer(t, kind);
    if (chance(t, 5))
        s->seg[SEG_SS].limit = (uint32_t)s->gpr[ESP] + roll(t, 24);
    s->eflags = (flags(t) & ~(FLAGS_ALL | EFLAGS_VM)) | EFLAGS_1;
    s->nmi_blocked = roll(t, 2);
    if (chance(t, 70))
        put_frame(t, s->gpr[ESP] + (kind == LONG_64 ? 0 : s->seg[SEG_SS].base), chance(t, 90) ? (kind == LONG_64 ? 8 : 4) : 2, kind, cpl);
    refresh(t->b);
    ucpu_flush_tlb(&t->b->c->u);
}

/* ---- comparing ---- */

#define same_if(condition, ...) \
    do { \
        if (!(condition)) \
            ck_abort_msg(__VA_ARGS__); \
    } while (0)

static void same_sets(const struct page_set *a, const struct page_set *b, uint64_t seed)
{
    same_if(a->count == b->count && page_set_is_part(a, b), "seed %u: another footprint", (unsigned)seed);
}

static void same(struct side *a, struct side *b, uint64_t seed, unsigned step)
{
    const struct i386_cpu *q = a->b->c, *w = b->b->c;

    same_if(!memcmp(q->st, w->st, sizeof(*q->st)), "seed %u, step %u: other registers (rip %" PRIx64 " for %" PRIx64 ")", (unsigned)seed, step,
                  q->st->rip, w->st->rip);
    for (unsigned i = 0; i < ARRAY_LEN(ranges); i++)
        same_if(!memcmp(a->b->m->memory.host + ranges[i].at, b->b->m->memory.host + ranges[i].at, ranges[i].len),
                      "seed %u, step %u: other bytes in memory", (unsigned)seed, step);
    same_if(a->b->m->st->position == b->b->m->st->position, "seed %u, step %u: another position", (unsigned)seed, step);
    same_if(q->block_mode == w->block_mode && q->u.tlb_mode == w->u.tlb_mode && q->noted_mode == w->noted_mode,
                  "seed %u, step %u: another mode", (unsigned)seed, step);
    same_if(q->block_mode == i386_block_mode(q), "seed %u, step %u: not the mode of the state", (unsigned)seed, step);
    same_if(a->told == b->told, "seed %u, step %u: other notes", (unsigned)seed, step);
    same_sets(&a->footprint.read, &b->footprint.read, seed);
    same_sets(&a->footprint.written, &b->footprint.written, seed);
    same_sets(&a->footprint.loaded, &b->footprint.loaded, seed);
}

static void create(struct side *t, enum kind kind, const char *model, bool careful)
{
    *t = (struct side){.b = kind == LONG_64 ? bench64_new(model) : bench_new(model)};
    t->b->c->u.careful = careful;
    t->b->m->traps->hit = note;
    t->b->m->traps->ctx = t;
    t->b->m->traps->notes = TRAP_MODE | TRAP_SYSCALL | TRAP_EXCEPTION | TRAP_INTERRUPT;
    t->arena = xmalloc(t->b->m->arena_len);
    memcpy(t->arena, t->b->m->arena, t->b->m->arena_len);
    for (unsigned i = 0; i < ARRAY_LEN(ranges); i++) {
        t->memory[i] = xmalloc(ranges[i].len);
        memcpy(t->memory[i], t->b->m->memory.host + ranges[i].at, ranges[i].len);
    }
}

static void destroy(struct side *t)
{
    for (unsigned i = 0; i < ARRAY_LEN(ranges); i++)
        free(t->memory[i]);
    free(t->arena);
    bench_free(t->b);
}

static void begin(struct side *t, enum kind kind, uint64_t seed)
{
    t->random = seed * UINT64_C(0x9e3779b97f4a7c15);
    t->told = 0;
    memcpy(t->b->m->arena, t->arena, t->b->m->arena_len);
    for (unsigned i = 0; i < ARRAY_LEN(ranges); i++)
        put(t, ranges[i].at, t->memory[i], ranges[i].len);
    roll(t, 1);
    arrange(t, kind);
    footprint_init(&t->footprint);
    if (chance(t, 20))
        machine_set_footprint(t->b->m, &t->footprint);
    if (chance(t, 90))
        warm_all(t, kind);
    if (chance(t, 10)) {
        t->b->s->dr[0] = RING_STACK + 0x7f0;
        t->b->s->dr[7] = DR7_FIXED | 0xf0001;
    }
    i386_update_traps(t->b->c);
}

static void end(struct side *t)
{
    machine_set_footprint(t->b->m, NULL);
    footprint_finish(&t->footprint);
}

static void compare(enum kind kind, const char *model)
{
    const char *more = getenv("HINDCAST_FUZZ_SEEDS");
    uint64_t cases = 6000 * (more ? strtoul(more, NULL, 10) : 1);
    struct side quick, careful;

    create(&quick, kind, model, false);
    create(&careful, kind, model, true);
    for (uint64_t seed = 1; seed <= cases; seed++) {
        begin(&quick, kind, seed);
        begin(&careful, kind, seed);
        same(&quick, &careful, seed, 0);
        for (unsigned n = 1; n <= STEPS; n++) {
            enum stop_kind stop = steps(quick.b, 1);

            same_if(steps(careful.b, 1) == stop, "seed %u, step %u: another end", (unsigned)seed, n);
            same(&quick, &careful, seed, n);
        }
        end(&quick);
        end(&careful);
    }
    destroy(&quick);
    destroy(&careful);
}

START_TEST(transfers_of_32_bits_are_those_of_the_rules)
{
    compare(PLAIN_32, "pentium4");
}
END_TEST

START_TEST(transfers_of_32_bits_under_paging_are_those_of_the_rules)
{
    compare(PAGED_32, "max32");
}
END_TEST

START_TEST(transfers_of_64_bits_are_those_of_the_rules)
{
    compare(LONG_64, "max");
}
END_TEST

START_TEST(transfers_of_64_bits_are_those_of_the_rules_on_amd)
{
    compare(LONG_64, "qemu64");
}
END_TEST

START_TEST(transfers_of_64_bits_are_those_of_the_rules_where_levels_are_counted)
{
    compare(LONG_64, "Haswell,pmu=on");
}
END_TEST

Suite *test_suite(void)
{
    Suite *suite = suite_create("i386_quick");
    TCase *tc = tcase_create("transfers");

    tcase_set_timeout(tc, 3600);
    tcase_add_test(tc, transfers_of_32_bits_are_those_of_the_rules);
    tcase_add_test(tc, transfers_of_32_bits_under_paging_are_those_of_the_rules);
    tcase_add_test(tc, transfers_of_64_bits_are_those_of_the_rules);
    tcase_add_test(tc, transfers_of_64_bits_are_those_of_the_rules_on_amd);
    tcase_add_test(tc, transfers_of_64_bits_are_those_of_the_rules_where_levels_are_counted);
    suite_add_tcase(suite, tc);
    return suite;
}
