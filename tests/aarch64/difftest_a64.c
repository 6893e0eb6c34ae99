/*
 * Random A64 instruction streams, on the emulator (optimised, as lowered, one at a
 * time, and compiled) and on libunicorn: registers, NZCV, FPCR, FPSR and memory must be equal
 * afterwards.
 *
 *     difftest_a64 [-n PROGRAMS] [-s SEED] [-v] [CLASS...]
 *
 * A program is a straight line of instructions (branches go forward) from one
 * class, or from all. When two results differ, the program is cut down to the
 * shortest one that still differs, and shown.
 *
 * Exit status: 77 without libunicorn.
 */
#include "difftest_a64.h"

#include <stdio.h>

#ifndef HAVE_UNICORN

int main(void)
{
    puts("difftest_a64: libunicorn is not there");
    return 77;
}

#else

#include "a64_flat.h"
#include "aarch64/insn.h"
#include "aarch64/lower.h"
#include "base/error.h"
#include "tests/whole/with_jit.h"

#include <stdlib.h>
#include <string.h>
#include <unicorn/unicorn.h>

struct registers {
    uint64_t x[31], sp, pc;
    uint32_t nzcv, fpcr, fpsr, reserved;
    union a64_vreg v[32];
};

struct outcome {
    struct registers r;
    uint8_t data[A64_DATA_SIZE];
};

/* ---- random numbers ---- */

static uint64_t rng_state = 88172645463325252u;

uint64_t a64_random(void)
{
    rng_state ^= rng_state << 13;
    rng_state ^= rng_state >> 7;
    rng_state ^= rng_state << 17;
    return rng_state * UINT64_C(0x2545f4914f6cdd1d) >> 8 ^ rng_state << 40;
}

uint64_t a64_random_value(void)
{
    uint64_t v = a64_random();

    switch (a64_random() % 8) {
    case 0:
        return v & 0xff;
    case 1:
        return UINT64_C(1) << (v & 63);
    case 2:
        return (UINT64_C(1) << (v & 63)) - 1;
    case 3:
        return ~(UINT64_C(1) << (v & 63));
    case 4:
        return (uint64_t)(int64_t)(int32_t)v;
    case 5:
        return (v & 1) ? 0 : UINT64_MAX;
    default:
        return v;
    }
}

/* ---- words ---- */

static bool has_role(unsigned r)
{
    return r >= A64_REG_BASE && r <= A64_REG_DATA;
}

static const struct a64_row *find_row(const char *name)
{
    const struct a64_row *row;

    for (unsigned n = 0; (row = a64_row(n)); n++)
        if (!strcmp(row->name, name))
            return row;
    fprintf(stderr, "difftest_a64: no row %s\n", name);
    exit(2);
}

uint32_t a64_random_word(const char *name)
{
    const struct a64_row *row = find_row(name);
    struct a64_insn i;
    uint32_t word;

    do {
        word = ((uint32_t)a64_random() & ~row->mask) | row->value;
        a64_decode(word, &i);
    } while (i.kind == A64_UNALLOCATED || has_role(i.Rd) || has_role(i.Rt) || has_role(i.Rt2) || has_role(i.Rs));
    return word;
}

/* ---- the emulator ---- */

static struct machine *subject_create(struct a64_cpu **cpu)
{
    struct machine *m = machine_create(((A64_CODE_SIZE + A64_DATA_SIZE) >> PAGE_SHIFT) + 1);
    const struct a64_model *model = a64_model_find("max");

    CHECK(model);
    *cpu = a64_create(m, model, A64_HAS_EL2);
    memory_map(&m->memory, &(struct region){.base = A64_CODE, .size = A64_CODE_SIZE, .kind = REGION_RAM,
                                            .page = memory_alloc(&m->memory, "ram", A64_CODE_SIZE), .enabled = true});
    memory_map(&m->memory, &(struct region){.base = A64_DATA, .size = A64_DATA_SIZE, .kind = REGION_RAM,
                                            .page = memory_alloc(&m->memory, "ram", A64_DATA_SIZE), .enabled = true});
    machine_reset(m);
    a64_flat_map(m, *cpu);
    return m;
}

/* Run `p`. */
static void subject_run(struct machine *m, struct a64_cpu *c, const struct a64_program *p, struct outcome *o)
{
    struct a64_state *s = c->st;
    struct stop stop;

    memory_write_bytes(&m->memory, A64_ENTRY, p->words, p->count * sizeof p->words[0], true);
    memory_write_bytes(&m->memory, A64_DATA, o->data, sizeof o->data, true);
    a64_enter_el(c, 1, A64_ENTRY);
    s->cpacr_el1 = 3u << 20;
    a64_regime_changed(c);
    memcpy(s->x, o->r.x, sizeof s->x);
    s->sp = o->r.sp;
    s->fpcr = o->r.fpcr;
    s->fpsr = o->r.fpsr;
    memcpy(s->v, o->r.v, sizeof s->v);
    a64_set_nzcv(c, o->r.nzcv);
    machine_run(m, m->st->position + p->count + 1, &stop);
    memcpy(o->r.x, s->x, sizeof s->x);
    o->r.sp = s->sp;
    o->r.pc = s->pc;
    o->r.fpcr = s->fpcr;
    o->r.fpsr = s->fpsr;
    memcpy(o->r.v, s->v, sizeof s->v);
    o->r.nzcv = a64_get_nzcv(c);
    CHECK(memory_read_bytes(&m->memory, A64_DATA, o->data, sizeof o->data) == sizeof o->data);
}

/* ---- libunicorn ---- */

static uint8_t host_code[A64_CODE_SIZE] __attribute__((aligned(65536)));
static uint8_t host_data[A64_DATA_SIZE] __attribute__((aligned(65536)));

static uc_engine *reference_create(void)
{
    uc_engine *uc;

    if (uc_open(UC_ARCH_ARM64, UC_MODE_ARM, &uc) || uc_ctl_set_cpu_model(uc, UC_CPU_ARM64_MAX) ||
        uc_mem_map_ptr(uc, A64_CODE, A64_CODE_SIZE, UC_PROT_ALL, host_code) ||
        uc_mem_map_ptr(uc, A64_DATA, A64_DATA_SIZE, UC_PROT_ALL, host_data)) {
        fprintf(stderr, "difftest_a64: libunicorn does not start\n");
        exit(2);
    }
    return uc;
}

static int x_id(unsigned r)
{
    return r < 29 ? UC_ARM64_REG_X0 + (int)r : r == 29 ? UC_ARM64_REG_X29 : UC_ARM64_REG_X30;
}

static void reference_put(uc_engine *uc, const struct registers *r)
{
    uint64_t nzcv = r->nzcv, fpcr = r->fpcr, fpsr = r->fpsr;

    for (unsigned i = 0; i < 31; i++)
        uc_reg_write(uc, x_id(i), &r->x[i]);
    for (int i = 0; i < 32; i++)
        uc_reg_write(uc, UC_ARM64_REG_Q0 + i, &r->v[i]);
    uc_reg_write(uc, UC_ARM64_REG_SP, &r->sp);
    uc_reg_write(uc, UC_ARM64_REG_NZCV, &nzcv);
    uc_reg_write(uc, UC_ARM64_REG_FPCR, &fpcr);
    uc_reg_write(uc, UC_ARM64_REG_FPSR, &fpsr);
}

static void reference_get(uc_engine *uc, struct registers *r)
{
    uint64_t nzcv = 0, fpcr = 0, fpsr = 0;

    for (unsigned i = 0; i < 31; i++)
        uc_reg_read(uc, x_id(i), &r->x[i]);
    for (int i = 0; i < 32; i++)
        uc_reg_read(uc, UC_ARM64_REG_Q0 + i, &r->v[i]);
    uc_reg_read(uc, UC_ARM64_REG_SP, &r->sp);
    uc_reg_read(uc, UC_ARM64_REG_PC, &r->pc);
    uc_reg_read(uc, UC_ARM64_REG_NZCV, &nzcv);
    uc_reg_read(uc, UC_ARM64_REG_FPCR, &fpcr);
    uc_reg_read(uc, UC_ARM64_REG_FPSR, &fpsr);
    r->nzcv = (uint32_t)nzcv & 0xf0000000u;
    r->fpcr = (uint32_t)fpcr;
    r->fpsr = (uint32_t)fpsr;
}

static uc_err reference_run(uc_engine *uc, const struct a64_program *p, struct outcome *o)
{
    uint64_t end = A64_ENTRY + 4 * (p->count - 1);
    uc_err err;

    memcpy(host_code + (A64_ENTRY - A64_CODE), p->words, p->count * sizeof p->words[0]);
    memcpy(host_data, o->data, sizeof o->data);
    uc_ctl_remove_cache(uc, A64_ENTRY, A64_ENTRY + 4 * A64_MAX_WORDS);
    reference_put(uc, &o->r);
    err = uc_emu_start(uc, A64_ENTRY, end, 0, p->count + 1);
    reference_get(uc, &o->r);
    memcpy(o->data, host_data, sizeof o->data);
    return err;
}

/* ---- one program ---- */

static struct outcome start, want, got;

static void random_start(void)
{
    struct registers *r = &start.r;

    memset(r, 0, sizeof *r);
    for (unsigned i = 0; i < 31; i++)
        r->x[i] = a64_random_value();
    for (unsigned i = 0; i < 32; i++)
        for (unsigned k = 0; k < 2; k++)
            r->v[i].d[k] = a64_random_value();
    r->x[A64_REG_INDEX] = a64_random() % 256;
    r->x[A64_REG_DATA] = A64_DATA + A64_DATA_SIZE / 2;
    r->sp = A64_DATA + A64_DATA_SIZE / 2 + 0x400;
    r->nzcv = (uint32_t)a64_random() & 0xf0000000u;
    for (unsigned i = 0; i < A64_DATA_SIZE; i += 8) {
        uint64_t v = a64_random();

        memcpy(start.data + i, &v, 8);
    }
}

enum engine { OPTIMISED, AS_LOWERED, SINGLE, PLAIN_SWITCH, COMPILED, COMPILED_AS_LOWERED, ENGINES };

struct pair {
    struct machine *m, *jit_m; /* an interpreter, and one that compiles */
    struct a64_cpu *c, *jit_c;
    uc_engine *uc;
};

static bool same(void)
{
    return !memcmp(&want.r, &got.r, sizeof want.r) && !memcmp(want.data, got.data, sizeof want.data);
}

/* The first engine that differs from the reference, or ENGINES. */
static enum engine differs(struct pair *t, const struct a64_program *p, uc_err *err)
{
    memcpy(&want, &start, sizeof want);
    *err = reference_run(t->uc, p, &want);
    for (unsigned e = OPTIMISED; e < ENGINES; e++) {
        bool jit = e >= COMPILED;
        struct a64_cpu *c = jit ? t->jit_c : t->c;

        memcpy(&got, &start, sizeof got);
        c->u.no_optimise = e == AS_LOWERED || e == COMPILED_AS_LOWERED;
        c->u.single = e == SINGLE;
        c->u.plain_switch = e == PLAIN_SWITCH;
        subject_run(jit ? t->jit_m : t->m, c, p, &got);
        if (*err || !same())
            return (enum engine)e;
    }
    return ENGINES;
}

static void finish_program(struct a64_program *p)
{
    a64_emit(p, 0x14000000); /* b . */
}

/* Replace instructions by NOP as long as the results still differ, and libunicorn fares as before. */
static void shrink(struct pair *t, struct a64_program *p, uc_err before)
{
    uc_err err;

    for (unsigned i = 0; i + 1 < p->count; i++) {
        uint32_t word = p->words[i];

        p->words[i] = 0xd503201f;
        if (differs(t, p, &err) == ENGINES || err != before)
            p->words[i] = word;
    }
}

static void show_difference(const char *what, uint64_t before, uint64_t w, uint64_t g)
{
    if (w != g)
        printf("  %-6s was %016llx, should be %016llx, is %016llx\n", what, (unsigned long long)before,
               (unsigned long long)w, (unsigned long long)g);
}

static void show(const struct a64_program *p)
{
    char name[16];
    struct a64_insn i;

    for (unsigned n = 0; n < p->count; n++) {
        a64_decode(p->words[n], &i);
        if (p->words[n] != 0xd503201f)
            printf("  %08x  %s\n", p->words[n], a64_kind_name(i.kind));
    }
    for (unsigned r = 0; r < 31; r++) {
        snprintf(name, sizeof name, "x%u", r);
        show_difference(name, start.r.x[r], want.r.x[r], got.r.x[r]);
    }
    for (unsigned r = 0; r < 64; r++) {
        snprintf(name, sizeof name, "v%u.%c", r / 2, r & 1 ? 'h' : 'l');
        show_difference(name, start.r.v[r / 2].d[r & 1], want.r.v[r / 2].d[r & 1], got.r.v[r / 2].d[r & 1]);
    }
    show_difference("sp", start.r.sp, want.r.sp, got.r.sp);
    show_difference("pc", A64_ENTRY, want.r.pc, got.r.pc);
    show_difference("nzcv", start.r.nzcv, want.r.nzcv, got.r.nzcv);
    show_difference("fpcr", start.r.fpcr, want.r.fpcr, got.r.fpcr);
    show_difference("fpsr", start.r.fpsr, want.r.fpsr, got.r.fpsr);
    for (unsigned at = 0, n = 0; at < A64_DATA_SIZE && n < 4; at++)
        if (want.data[at] != got.data[at]) {
            printf("  data + 0x%x was %02x, should be %02x, is %02x\n", at, start.data[at], want.data[at], got.data[at]);
            n++;
        }
}

/* True: equal. */
static bool check_program(struct pair *t, struct a64_program *p, const char *class)
{
    static const char *const engines[] = {"optimised", "as lowered", "single", "plain switch", "compiled",
                                          "compiled as lowered"};
    enum engine e;
    uc_err err;

    finish_program(p);
    e = differs(t, p, &err);
    if (e == ENGINES)
        return true;
    shrink(t, p, err);
    e = differs(t, p, &err);
    printf("%s, %s%s%s:\n", class, e == ENGINES ? "not again" : engines[e], err ? ", unicorn: " : "",
           err ? uc_strerror(err) : "");
    show(p);
    return false;
}

/* ---- all ---- */

static const struct a64_class *classes[64];
static unsigned nclasses;

static void add_classes(const struct a64_class *list, int argc, char **argv)
{
    for (; list->name; list++) {
        bool wanted = argc == 0;

        for (int i = 0; i < argc; i++)
            wanted |= !strcmp(argv[i], list->name);
        if (wanted)
            classes[nclasses++] = list;
    }
}

static void random_program(struct a64_program *p, const struct a64_class *class)
{
    unsigned length = 1 + (unsigned)(a64_random() % 40);

    p->count = 0;
    while (p->count < length && p->count < A64_MAX_WORDS - 12)
        (class ? class : classes[a64_random() % nclasses])->generate(p);
}

int main(int argc, char **argv)
{
    struct pair t = {.uc = reference_create()};
    unsigned long programs = 300, failed = 0;
    bool verbose = false;
    int i = 1;

    for (; i < argc && argv[i][0] == '-'; i++) {
        if (!strcmp(argv[i], "-n") && i + 1 < argc)
            programs = strtoul(argv[++i], NULL, 0);
        else if (!strcmp(argv[i], "-s") && i + 1 < argc)
            rng_state ^= strtoull(argv[++i], NULL, 0) * UINT64_C(0x9e3779b97f4a7c15);
        else if (!strcmp(argv[i], "-v"))
            verbose = true;
    }
    add_classes(a64_integer_classes, argc - i, argv + i);
    add_classes(a64_fp_classes, argc - i, argv + i);
    t.m = subject_create(&t.c);
    t.jit_m = subject_create(&t.jit_c);
    with_jit(&t.jit_c->u);
    random_start();
    for (unsigned c = 0; c <= nclasses && failed < 20; c++) {
        const char *name = c < nclasses ? classes[c]->name : "all";

        if (verbose)
            printf("%s\n", name);
        for (unsigned long n = 0; n < programs && failed < 20; n++) {
            struct a64_program p;

            if (n % 8 == 0)
                random_start();
            random_program(&p, c < nclasses ? classes[c] : NULL);
            failed += !check_program(&t, &p, name);
        }
    }
    printf("%llu blocks were compiled\n", blocks_compiled(&t.jit_c->u));
    machine_destroy(t.m);
    machine_destroy(t.jit_m);
    uc_close(t.uc);
    if (failed)
        printf("difftest_a64: %lu programs differ\n", failed);
    return failed != 0;
}

#endif
