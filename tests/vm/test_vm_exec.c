/*
 * The execution core, on the toy CPU: nothing that it caches, chains, optimises
 * or does in bulk may show in a position or a state.
 *
 * The reference is the slowest way of running: one instruction at a time, every
 * block translated anew, micro-ops as lowered, plain switch. Random programs
 * (code that writes itself, page tables that change, devices, timers, debug
 * registers) must give the same states at the same positions in every other
 * way.
 */
#include "vm_toy.h"

#include "base/buffer.h"
#include "base/hash.h"
#include "vm/footprint.h"
#include "tests/check_main.h"
#include "tests/storm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- random programs ---- */

static uint64_t rng(uint64_t *s)
{
    *s ^= *s << 13;
    *s ^= *s >> 7;
    *s ^= *s << 17;
    return *s;
}

static uint32_t interesting_address(uint64_t *s)
{
    static const uint32_t at[] = {0x1000, 0x1100, 0x1ff8, 0x2000, 0x2ffc, 0x4000, 0x4800, 0x8000, 0x8ffe,
                                  0x9000, 0xa000, 0x10000, 0x10004, 0x10020, 0x10040, TOY_MMIO, TOY_MMIO_PAGE,
                                  TOY_ROM, 0x1f000, 0x30000, 0xfffffffe};

    return at[rng(s) % ARRAY_LEN(at)] + (rng(s) % 3 ? 0 : rng(s) % 64);
}

static unsigned put_random_insn(uint8_t *p, uint64_t *s)
{
    static const uint8_t ops[] = {
        TOY_MOVI, TOY_MOVI, TOY_MOVI, TOY_ALU, TOY_ALU, TOY_ALU, TOY_ALUI, TOY_ALUI, TOY_ALUI, TOY_LD, TOY_LD,
        TOY_LD, TOY_ST, TOY_ST, TOY_ST, TOY_ADDM, TOY_PUSH, TOY_POP, TOY_BR, TOY_BR, TOY_BR, TOY_BR, TOY_JMP,
        TOY_JECXZ, TOY_JMPR, TOY_POS, TOY_FILL, TOY_SETPT, TOY_TRAP, TOY_ERET, TOY_EI, TOY_TF, TOY_SETDR,
        TOY_BASE, TOY_SETCC, TOY_HLT, TOY_NOP, TOY_ALU, TOY_ALUI, TOY_LD, TOY_ST};
    uint8_t op = ops[rng(s) % ARRAY_LEN(ops)];
    uint64_t r = rng(s);
    uint32_t v;

    if ((op == TOY_JMPR || op == TOY_SETPT || op == TOY_HLT || op == TOY_BASE || op == TOY_TF) && rng(s) % 6)
        op = TOY_ALU;
    memcpy(p, &r, 8);
    p[0] = op;
    switch (op) {
    case TOY_MOVI:
        v = interesting_address(s);
        if (rng(s) % 4 == 0)
            v = (uint32_t)rng(s) & 0xff;
        memcpy(p + 2, &v, 4);
        return 6;
    case TOY_ALU:
    case TOY_ALUI:
        p[1] = (uint8_t)((rng(s) % 3) << 6 | rng(s) % TOY_ALUS);
        return 5;
    case TOY_LD:
    case TOY_ST:
    case TOY_ADDM:
        p[4] &= 0x3f;
        p[5] = rng(s) % 8 ? 0 : 1;
        return 6;
    case TOY_BR:
    case TOY_JMP:
    case TOY_JECXZ:
        v = (uint32_t)(rng(s) % 160) - 80u;
        p[2] = (uint8_t)v;
        p[3] = (uint8_t)(v >> 8);
        return 4;
    case TOY_PUSH:
    case TOY_POP:
    case TOY_SETDR:
    case TOY_SETCC:
        return 3;
    case TOY_BASE:
        p[1] &= 0x7f;
        return 2;
    case TOY_JMPR:
    case TOY_POS:
    case TOY_SETPT:
    case TOY_EI:
    case TOY_TF:
        return 2;
    default:
        return 1;
    }
}

/* The same, but r3, r4, r6, r7 stay the pointers that they are, and memory is reached
 * through them: such code lives longer. */
static unsigned put_tame_insn(uint8_t *p, uint64_t *s)
{
    static const uint8_t data[] = {0, 1, 2, 5}, pointers[] = {3, 4, 6, 7, 7, 6};
    unsigned n = put_random_insn(p, s);

    switch (p[0]) {
    case TOY_MOVI:
    case TOY_POS:
        p[1] = data[rng(s) % 4];
        break;
    case TOY_ALU:
    case TOY_ALUI:
        p[2] = data[rng(s) % 4];
        break;
    case TOY_LD:
    case TOY_ST:
    case TOY_ADDM:
        p[2] = data[rng(s) % 4];
        p[3] = pointers[rng(s) % 6];
        break;
    case TOY_PUSH:
    case TOY_POP:
        p[1] = data[rng(s) % 4];
        p[2] = 7;
        break;
    case TOY_SETCC:
        p[2] = data[rng(s) % 4];
        break;
    case TOY_SETDR:
        p[2] = pointers[rng(s) % 6];
        break;
    case TOY_FILL:
    case TOY_SETPT:
    case TOY_JMPR:
    case TOY_TRAP:
    case TOY_HLT:
    case TOY_BASE:
        if (rng(s) % 4)
            return put_tame_insn(p, s);
        break;
    default:
        break;
    }
    return n;
}

static void put_code(struct machine *m, uint32_t from, uint32_t to, uint64_t *s)
{
    static const uint8_t prologue[] = {
        TOY_MOVI, 3, 0, 0, 2, 0,        /* the device */
        TOY_MOVI, 4, 0xe0, 0x10, 0, 0,  /* code */
        TOY_MOVI, 6, 0xf8, 0x8f, 0, 0,  /* the end of a page */
        TOY_MOVI, 7, 0x00, 0x00, 1, 0}; /* the page table */
    uint8_t code[0x4000];
    bool tame = rng(s) % 3;
    uint32_t n = 0;

    if (tame) {
        memcpy(code, prologue, sizeof(prologue));
        n = sizeof(prologue);
    }
    while (n < to - from)
        n += tame ? put_tame_insn(code + n, s) : put_random_insn(code + n, s);
    toy_poke(m, from, code, to - from);
}

/* Handlers: acknowledge the device, now and then go elsewhere, return. */
static void put_handlers(struct machine *m, uint64_t *s)
{
    static const uint8_t interrupt[] = {
        TOY_MOVI, 3, 0, 0x20, 2, 0,                    /* r3 = TOY_MMIO_PAGE */
        TOY_ST, 2, 3, 3, TOY_REG_ACK, 0,
        TOY_ST, 2, 4, 3, TOY_REG_TIMER, 0,             /* again after r4 */
        TOY_ERET};
    static const uint8_t exception[] = {
        TOY_MOVI, 7, 0, 0x80, 0, 0,
        TOY_MOVI, 3, 0, 0, 2, 0,
        TOY_ST, 2, 4, 3, TOY_REG_TIMER, 0,
        TOY_POS, 5,                                    /* go on somewhere in the code */
        TOY_MOVI, 3, 0xff, 0x1f, 0, 0,
        TOY_ALU, 0x80 | TOY_AND, 5, 5, 3,
        TOY_MOVI, 3, 0, 0x10, 0, 0,
        TOY_ALU, 0x80 | TOY_ADD, 5, 5, 3,
        TOY_EI, 1,
        TOY_JMPR, 5};

    toy_poke(m, 0x4000, exception, sizeof(exception));
    put_code(m, 0x4000 + sizeof(exception), 0x4800, s);
    toy_poke(m, 0x4800, interrupt, sizeof(interrupt));
}

static void put_page_table(struct machine *m, uint64_t *s)
{
    uint32_t table[1024];

    for (uint32_t i = 0; i < 1024; i++) {
        uint32_t page = i < 64 ? i : (uint32_t)rng(s) % 64;

        if (i >= 8 && i != 16 && i < 64 && rng(s) % 6 == 0)
            page = (uint32_t)rng(s) % 0x20;
        table[i] = page << 12 | (i < 8 || rng(s) % 8 ? 3 : (uint32_t)rng(s) & 0x83);
    }
    toy_poke(m, 0x10000, table, sizeof(table));
}

/* What comes from outside: now and then new code, a new PC, an input. Every run of
 * a seed sees the same. */
#define EVENTS 60

struct script {
    struct event events[EVENTS];
    uint8_t data[EVENTS][128];
    unsigned n, next;
};

static const struct event *peek_script(void *ctx, struct machine *m)
{
    struct script *s = ctx;

    (void)m;
    return s->next < s->n ? &s->events[s->next] : NULL;
}

static void take_script(void *ctx, struct machine *m)
{
    struct script *s = ctx;

    (void)m;
    s->next++;
}

static void put_u64(uint8_t *p, uint64_t v)
{
    memcpy(p, &v, 8);
}

static void write_script(struct script *sc, uint64_t *s)
{
    icount_t at = 20;

    for (sc->n = 0; sc->n < EVENTS; sc->n++) {
        struct event *e = &sc->events[sc->n];
        uint8_t *data = sc->data[sc->n];
        uint32_t v;

        at += 1 + rng(s) % 380;
        *e = (struct event){.position = at, .source = EVENT_SOURCE_MACHINE, .data = data};
        switch (rng(s) % 12) {
        case 0:
        case 5:
        case 6:
            e->kind = EVENT_INPUT;
            e->source = 0;
            e->len = 3;
            break;
        case 1:
        case 2:
        case 3:
            e->kind = EVENT_WRITE_REGISTER;
            e->source = (uint16_t)(rng(s) % 4);
            e->len = 8;
            v = 2; /* PC */
            memcpy(data, &v, 4);
            v = 0x1000 + (uint32_t)rng(s) % 0x1f00;
            memcpy(data + 4, &v, 4);
            break;
        case 4:
            e->kind = rng(s) % 4 ? EVENT_POWERDOWN : EVENT_RESET;
            break;
        default:
            e->kind = EVENT_WRITE_MEMORY;
            put_u64(data, 0x1000 + rng(s) % 0x1f00);
            data[8] = 1;
            for (e->len = 9; e->len < 100;)
                e->len += put_random_insn(data + e->len, s);
            break;
        }
    }
}

static void begin(struct toy_state *t, unsigned n, uint64_t *s)
{
    for (unsigned i = 0; i < 8; i++)
        t->r[i] = interesting_address(s);
    t->ie = 1;
    if (rng(s) % 3)
        t->ptbase = 0x10000;
    if (n)
        t->pc = 0x1000 + (uint32_t)rng(s) % 0x1f00;
}

/* Of one to four CPUs. */
static struct machine *random_machine(uint64_t seed)
{
    uint64_t s = seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
    struct machine *m = toy_machine_of(1 + (unsigned)(seed % 4));
    struct script *sc = xcalloc(1, sizeof(*sc));
    struct machine_env *env = xcalloc(1, sizeof(*env));

    *env = (struct machine_env){.ctx = sc, .peek_event = peek_script, .take_event = take_script};
    m->env = env;
    for (int i = 0; i < 8; i++)
        rng(&s);
    put_code(m, 0x1000, 0x3000, &s);
    put_handlers(m, &s);
    put_page_table(m, &s);
    for (unsigned n = 0; n < m->ncpus; n++)
        begin(toy_nth(m, n)->st, n, &s);
    m->icount_shift = (unsigned)(rng(&s) % 4);
    m->schedule = (struct schedule){
        .quantum = 1 + rng(&s) % (rng(&s) & 1 ? 300 : 5), .seed = seed, .seeded = rng(&s) & 1, .starve = rng(&s) & 1};
    write_script(sc, &s);
    machine_restored(m);
    return m;
}

static void random_machine_free(struct machine *m)
{
    free(m->env->ctx);
    free((void *)m->env);
    machine_destroy(m);
}

/* ---- the reference and its recordings ---- */

#define POSITIONS 12000u
#define MAX_HITS  65536u

struct recording {
    uint64_t hash[POSITIONS + 1]; /* of the arena at each position reached */
    uint64_t full[POSITIONS / 100 + 1];
    icount_t end;                 /* where the guest ended or fell asleep for good */
    struct trap_hit *hits;
    unsigned nhits;
    uint64_t ran[POSITIONS];      /* what the step from there ran, as machine.coverage has it; 0: no instruction */
};

struct way {
    const char *name;
    bool single, no_cache, no_optimise, plain_switch;
    unsigned stride;  /* longest run between two checks */
    bool disturb;     /* drop caches, clean pages, set traps, note footprints at random */
    bool restore;     /* go back to an earlier state now and then */
    bool traps;
    bool noted;       /* each run has a footprint of its own: it must have all that was run */
};

static const struct way slowest = {.single = true, .no_cache = true, .no_optimise = true, .plain_switch = true};

static void run_as(struct machine *m, const struct way *w)
{
    for (unsigned n = 0; n < m->ncpus; n++) {
        struct ucpu *c = &toy_nth(m, n)->u;

        c->single = w->single;
        c->no_cache = w->no_cache;
        c->no_optimise = w->no_optimise;
        c->plain_switch = w->plain_switch;
    }
}

static uint64_t arena_hash(struct machine *m)
{
    return hash_bytes(0, m->arena, m->arena_len);
}

static bool collect_hit(void *ctx, const struct trap_hit *hit)
{
    struct recording *r = ctx;

    if (r->nhits < MAX_HITS)
        r->hits[r->nhits++] = *hit;
    return false;
}

static const struct trap observer[] = {
    {.address = 0x1010, .kinds = TRAP_EXEC},           {.address = 0x1100, .kinds = TRAP_EXEC},
    {.address = 0x4000, .kinds = TRAP_EXEC},           {.address = 0x8002, .len = 3, .kinds = TRAP_WRITE},
    {.address = 0x1100, .len = 8, .kinds = TRAP_WRITE}, {.address = 0x9000, .len = 1, .kinds = TRAP_READ},
    {.address = 0x8ffc, .len = 8, .kinds = TRAP_READ | TRAP_WRITE},
    {.address = 0x1200, .kinds = TRAP_EXEC},
};

static struct recording *record(uint64_t seed, bool traps)
{
    struct recording *r = xcalloc(1, sizeof(*r));
    struct machine *m = random_machine(seed);
    struct page_set ran;
    struct stop stop;

    r->hits = xcalloc(MAX_HITS, sizeof(r->hits[0]));
    page_set_init(&ran);
    m->coverage = &ran;
    run_as(m, &slowest);
    if (traps) {
        machine_set_traps(m, observer, ARRAY_LEN(observer));
        m->traps->hit = collect_hit;
        m->traps->ctx = r;
    }
    for (icount_t p = 0; p <= POSITIONS; p++) {
        machine_run(m, p, &stop);
        ck_assert_int_ne(stop.kind, STOP_TRAP);
        r->end = m->st->position;
        if (p && ran.count)
            r->ran[p - 1] = ran.last - 1;
        page_set_clear(&ran);
        if (stop.kind != STOP_LIMIT)
            break;
        ck_assert_uint_eq(m->st->position, p);
        r->hash[p] = arena_hash(m);
        if (p % 100 == 0)
            r->full[p / 100] = machine_hash(m);
        machine_drop_derived(m); /* nothing is cached from one step to the next */
    }
    if (getenv("VM_TOY_VERBOSE")) {
        struct toy_state *t = toy_of(m)->st;
        printf("%llu: end %llu hits %u dev %u/%u/%u db %u brk %u watch %u cause %u pt %x\n", (unsigned long long)seed,
               (unsigned long long)r->end, r->nhits, toy_device(m)->reads, toy_device(m)->writes,
               toy_device(m)->expiries, t->dbcount, t->break_hits, t->watch_hits, t->cause, t->ptbase);
    }
    m->coverage = NULL;
    page_set_finish(&ran);
    random_machine_free(m);
    return r;
}

static void recording_free(struct recording *r)
{
    free(r->hits);
    free(r);
}

/* Which words of the arena differ from the reference's. */
static void tell_difference(struct machine *m, uint64_t seed)
{
    struct machine *ref = random_machine(seed);
    struct stop stop;

    run_as(ref, &slowest);
    machine_run(ref, m->st->position, &stop);
    for (size_t i = 0; i < m->arena_len; i += 4)
        if (memcmp(m->arena + i, ref->arena + i, 4))
            printf("arena + %zu: %08x, reference %08x\n", i, *(uint32_t *)(void *)(m->arena + i),
                   *(uint32_t *)(void *)(ref->arena + i));
    random_machine_free(ref);
}

static void check_here(struct machine *m, const struct recording *r, uint64_t seed, const char *way)
{
    icount_t p = m->st->position;

    ck_assert_msg(p <= r->end, "seed %llu, %s: ran past the end, %llu > %llu",
                  (unsigned long long)seed, way, (unsigned long long)p, (unsigned long long)r->end);
    if ((p < r->end || p == POSITIONS) && arena_hash(m) != r->hash[p])
        tell_difference(m, seed);
    if (p < r->end || p == POSITIONS)
        ck_assert_msg(arena_hash(m) == r->hash[p], "seed %llu, %s: other state at position %llu",
                      (unsigned long long)seed, way, (unsigned long long)p);
    if (p % 100 == 0 && p < r->end)
        ck_assert_msg(machine_hash(m) == r->full[p / 100], "seed %llu, %s: other memory at position %llu",
                      (unsigned long long)seed, way, (unsigned long long)p);
}

struct saved {
    uint8_t *arena, *pages;
};

static void save(struct machine *m, struct saved *s)
{
    s->arena = memcpy(xmalloc(m->arena_len), m->arena, m->arena_len);
    s->pages = memcpy(xmalloc((size_t)m->memory.pages.count << PAGE_SHIFT), m->memory.host,
                      (size_t)m->memory.pages.count << PAGE_SHIFT);
    page_space_clean(&m->memory.pages);
}

static void restore(struct machine *m, struct saved *s)
{
    struct script *sc = m->env->ctx;

    for (uint32_t page = 0; page < m->memory.pages.count; page++) {
        const uint8_t *old = s->pages + ((size_t)page << PAGE_SHIFT);

        if (m->memory.flags[page] & PAGE_FLAG_DIRTY)
            page_space_restore(&m->memory.pages, page, old);
        ck_assert(!memcmp(old, memory_page(&m->memory, page), PAGE_SIZE));
    }
    page_space_clean(&m->memory.pages);
    memcpy(m->arena, s->arena, m->arena_len);
    machine_restored(m);
    while (sc->next > 0 && sc->events[sc->next - 1].position >= m->st->position)
        sc->next--;
    free(s->arena);
    free(s->pages);
    s->arena = NULL;
}

static void disturb(struct machine *m, uint64_t *s, struct footprint *f, bool traps, bool clean)
{
    switch (rng(s) % 8) {
    case 0:
        if (clean)
            page_space_clean(&m->memory.pages);
        break;
    case 1:
        machine_drop_derived(m);
        break;
    case 2:
        machine_set_footprint(m, rng(s) & 1 ? f : NULL);
        break;
    case 3:
        if (!traps)
            machine_set_traps(m, observer + rng(s) % 3, (unsigned)(rng(s) % 5));
        break;
    case 4:
        toy_of(m)->u.no_optimise = rng(s) & 1;
        break;
    default:
        break;
    }
}

/* All that ran from `from` on is in the footprint. */
static void check_footprint(const struct machine *m, const struct recording *r, icount_t from, const struct footprint *f, uint64_t seed)
{
    for (icount_t p = from; p < m->st->position; p++) {
        uint64_t va = r->ran[p] >> COVERAGE_LEN_BITS, len = r->ran[p] & ((1u << COVERAGE_LEN_BITS) - 1);

        for (uint64_t i = 0; r->ran[p] && i < len; i++)
            ck_assert_msg(footprint_has_code(f, va + i), "seed %llu: %llx, which the step from %llu runs, is not in the footprint",
                          (unsigned long long)seed, (unsigned long long)(va + i), (unsigned long long)p);
    }
}

static void run_way(uint64_t seed, const struct way *w, const struct recording *r)
{
    struct machine *m = random_machine(seed);
    struct recording hits = {.hits = xcalloc(MAX_HITS, sizeof(struct trap_hit))};
    struct footprint f;
    struct saved saved = {0};
    uint64_t s = seed + 77;
    struct stop stop;

    footprint_init(&f);
    run_as(m, w);
    if (w->traps) {
        machine_set_traps(m, observer, ARRAY_LEN(observer));
        m->traps->hit = collect_hit;
        m->traps->ctx = &hits;
    }
    while (m->st->position < r->end) {
        icount_t from = m->st->position, to = from + 1 + rng(&s) % w->stride;

        if (w->noted) {
            footprint_clear(&f);
            machine_set_footprint(m, &f);
        }
        machine_run(m, to < r->end ? to : r->end, &stop);
        check_here(m, r, seed, w->name);
        if (w->noted) {
            machine_set_footprint(m, NULL);
            check_footprint(m, r, from, &f, seed);
        }
        if (stop.kind != STOP_LIMIT)
            break;
        if (w->disturb)
            disturb(m, &s, &f, w->traps, !w->restore);
        if (w->restore && saved.arena && rng(&s) % 6 == 0)
            restore(m, &saved);
        else if (w->restore && !saved.arena && rng(&s) % 4 == 0)
            save(m, &saved);
    }
    ck_assert_uint_eq(m->st->position, r->end);
    if (w->traps) {
        ck_assert_uint_eq(hits.nhits, r->nhits);
        for (unsigned i = 0; i < r->nhits; i++) {
            ck_assert_uint_eq(hits.hits[i].position, r->hits[i].position);
            ck_assert_uint_eq(hits.hits[i].kind, r->hits[i].kind);
            ck_assert_uint_eq(hits.hits[i].cpu, r->hits[i].cpu);
            ck_assert_uint_eq(hits.hits[i].address, r->hits[i].address);
        }
    }
    free(hits.hits);
    free(saved.arena);
    if (saved.arena)
        free(saved.pages);
    footprint_finish(&f);
    random_machine_free(m);
}

static const struct way ways[] = {
    {.name = "blocks, long runs", .stride = 5000},
    {.name = "blocks, short runs", .stride = 40},
    {.name = "plain switch", .stride = 700, .plain_switch = true},
    {.name = "unoptimised", .stride = 700, .no_optimise = true},
    {.name = "uncached", .stride = 700, .no_cache = true},
    {.name = "single", .stride = 700, .single = true},
    {.name = "disturbed", .stride = 100, .disturb = true},
    {.name = "restored", .stride = 300, .restore = true, .disturb = true},
    {.name = "noted", .stride = 200, .noted = true},
    {.name = "noted, trapped", .stride = 400, .noted = true, .traps = true},
    {.name = "noted, restored", .stride = 50, .noted = true, .restore = true},
    {.name = "trapped", .stride = 2000, .traps = true},
    {.name = "trapped, disturbed", .stride = 100, .disturb = true, .traps = true},
};

/* VM_TOY_SEEDS: first and last seed, for a longer hunt. */
static void seeds(uint64_t *from, uint64_t *to)
{
    const char *s = getenv("VM_TOY_SEEDS");
    unsigned long a = 1, b = STORM(60);

    if (s)
        sscanf(s, "%lu-%lu", &a, &b);
    *from = a;
    *to = b;
}

START_TEST(every_way_of_running_gives_the_same_states)
{
    uint64_t first, last;

    seeds(&first, &last);
    for (uint64_t seed = first; seed <= last; seed++) {
        struct recording *plain = record(seed, false);
        struct recording *trapped = record(seed, true);

        ck_assert_uint_eq(plain->end, trapped->end);
        ck_assert(!memcmp(plain->hash, trapped->hash, sizeof(plain->hash)));
        for (unsigned i = 0; i < ARRAY_LEN(ways); i++)
            run_way(seed, &ways[i], ways[i].traps ? trapped : plain);
        recording_free(plain);
        recording_free(trapped);
    }
}
END_TEST

Suite *test_suite(void)
{
    Suite *s = suite_create("vm exec");
    TCase *t = tcase_create("ways");

    tcase_set_timeout(t, 120);
    tcase_add_test(t, every_way_of_running_gives_the_same_states);
    suite_add_tcase(s, t);
    return s;
}
