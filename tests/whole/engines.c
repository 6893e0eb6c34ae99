/*
 * Equal states whatever the engine: run a guest with the interpreter, without the
 * optimiser, with the plain-switch interpreter, with the JIT (as it is; compiling every block at
 * once; in so little memory that it throws its code away all the time), in single
 * steps, without a block cache, and with everything derived dropped at odd
 * places; compare the hash of the whole machine at the same positions.
 *
 *     engines [-virt] [-gic3] [-only:WORD] [-smp:N] [-quantum:N] [-seed:N] KERNEL|-bios:FILE STEPS [INITRD [APPEND [MODEL]]]
 *
 * The slow engines make the first hundredth of the steps only, and the JIT in little memory
 * about TINY_STEPS. -only: the engines with WORD in their names, against the interpreter. -smp: so
 * many CPUs, in turns of -quantum: steps, or as -seed: draws (starving, too). Exit status 0: all
 * equal; 1: not; 2: usage. A tool of the test scripts.
 */
#include "aarch64/virt.h"
#include "host/code_memory.h"
#include "i386/cpu.h"
#include "i386/pc.h"
#include "image_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POINTS     24u
#define TINY_STEPS 40000000u /* of the JIT in little memory: it compiles everything again and again */

enum engine { BLOCKS, JIT, JIT_AT_ONCE, JIT_TINY, JIT_DROPPING, SWITCH, UNOPTIMISED, DROPPING, SINGLE, UNCACHED, ENGINES };

static const char *const engine_names[ENGINES] = {
    "blocks", "jit", "jit at once", "jit in little memory", "jit, caches dropped",
    "plain switch", "no optimiser", "caches dropped", "single steps", "no block cache",
};

struct guest {
    bool virt;
    struct pc_config pc;
    struct virt_config board;
};

static bool is_slow(enum engine e)
{
    return e == SINGLE || e == UNCACHED;
}

static bool is_jit(enum engine e)
{
    return e >= JIT && e <= JIT_DROPPING;
}

static bool drops(enum engine e)
{
    return e == DROPPING || e == JIT_DROPPING;
}

/* A wall clock that always shows the same. */
static uint64_t clock_at_rest(void *ctx, struct machine *m)
{
    (void)ctx;
    (void)m;
    return UINT64_C(1700000000) * 1000000000u;
}

static const struct machine_env env = {.host_clock = clock_at_rest};

static void use_jit(struct ucpu *u, enum engine e)
{
    struct code_memory memory;
    struct error err;

    if (code_memory_map(&memory, e == JIT_TINY ? 128 << 10 : 64 << 20, &err) < 0) {
        fprintf(stderr, "engines: %s\n", err.text);
        exit(2);
    }
    if (!ucpu_use_jit(u, &memory, e == JIT ? 0 : 1))
        code_memory_unmap(&memory); /* there is none: the interpreter once more */
}

static struct machine *make(const struct guest *g, enum engine e)
{
    struct machine *m;
    struct error err;
    struct ucpu *u;

    if ((g->virt ? virt_create(&m, &g->board, &err) : pc_create(&m, &g->pc, &err)) < 0) {
        fprintf(stderr, "engines: %s\n", err.text);
        exit(2);
    }
    m->env = &env;
    for (unsigned i = 0; i < m->ncpus; i++) {
        u = (struct ucpu *)(void *)m->cpus[i];
        u->plain_switch = e == SWITCH;
        u->no_optimise = e == UNOPTIMISED || e == SINGLE;
        u->single = e == SINGLE;
        u->no_cache = e == UNCACHED;
    }
    u = (struct ucpu *)(void *)m->cpus[0];
    if (is_jit(e))
        use_jit(u, e);
    return m;
}

static void print_jit(const struct machine *m)
{
    struct ucpu_stats stats;

    ucpu_stats((const struct ucpu *)(const void *)m->cpus[0], &stats);
    printf(" (%llu of %llu blocks compiled, code thrown away %llu times)", (unsigned long long)stats.compiled,
           (unsigned long long)stats.blocks_built, (unsigned long long)stats.code_flushes);
}

/* Go to `position`; the dropping engine forgets everything derived on the way. */
static void go(struct machine *m, icount_t position, enum engine e)
{
    struct stop stop;

    while (drops(e) && position - m->st->position > 70001) {
        machine_run(m, m->st->position + 70001, &stop);
        if (stop.kind != STOP_LIMIT)
            return;
        machine_drop_derived(m);
    }
    machine_run(m, position, &stop);
}

/* Points are denser at the beginning, so that the slow engines see many. */
static icount_t point(icount_t steps, unsigned i)
{
    return i < POINTS / 2 ? steps / 100 * (i + 1) / (POINTS / 2)
                          : steps / 100 + (steps - steps / 100) / (POINTS / 2) * (i + 1 - POINTS / 2);
}

static struct boot_image virt_image(const struct boot_image *i)
{
    return (struct boot_image){.data = i->data, .len = i->len, .name = i->name};
}

static bool read_file(const char *name, struct boot_image *image)
{
    struct buffer b;

    if (!read_image(name, &b))
        return false;
    *image = (struct boot_image){.data = b.data, .len = b.len, .name = name};
    return true;
}

/* The guest of the command line. False: usage, or a file cannot be read. */
static bool read_guest(struct guest *g, int argc, char **argv, struct boot_image files[2])
{
    bool bios;

    if (argc < 2)
        return false;
    bios = !strncmp(argv[0], "-bios:", 6);
    if (!read_file(bios ? argv[0] + 6 : argv[0], &files[0]) ||
        (argc > 2 && *argv[2] && !read_file(argv[2], &files[1])))
        return false;
    g->pc.memory_bytes = g->board.memory_bytes = 128 << 20;
    *(bios ? &g->pc.bios : &g->pc.kernel) = files[0];
    *(bios ? &g->board.bios : &g->board.kernel) = virt_image(&files[0]);
    if (files[1].data) {
        g->pc.modules = &files[1];
        g->pc.nmodules = 1;
        g->board.initrd = virt_image(&files[1]);
    }
    if (argc > 3)
        g->pc.append = g->board.append = argv[3];
    if (argc > 4)
        g->pc.cpu_model = g->board.cpu_model = argv[4];
    return true;
}

/* To how many points an engine goes. */
static unsigned points_of(enum engine e, icount_t steps)
{
    unsigned n = is_slow(e) ? POINTS / 2 : POINTS;

    while (e == JIT_TINY && n > POINTS / 2 && point(steps, n - 1) > TINY_STEPS)
        n--;
    return n;
}

/* Compare one engine's states with those expected; of the first, note them. */
static bool same_states(const struct guest *g, enum engine e, icount_t steps, uint64_t expected[POINTS])
{
    struct machine *m = make(g, e);
    unsigned n = points_of(e, steps);
    bool same = true;

    for (unsigned i = 0; i < n && same; i++) {
        uint64_t hash;

        go(m, point(steps, i), e);
        hash = machine_hash(m);
        if (e == BLOCKS)
            expected[i] = hash;
        same = hash == expected[i];
        if (!same)
            printf("%s: another state at position %llu\n", engine_names[e], (unsigned long long)point(steps, i));
    }
    printf("%s: %u positions up to %llu", engine_names[e], n, (unsigned long long)point(steps, n - 1));
    if (is_jit(e))
        print_jit(m);
    printf("\n");
    fflush(stdout);
    machine_destroy(m);
    return same;
}

/* A word that begins with a dash, other than -bios:FILE. */
static bool take_word(struct guest *g, const char **only, const char *word)
{
    if (!strcmp(word, "-virt"))
        g->virt = true;
    else if (!strcmp(word, "-gic3"))
        g->board.gic_version = 3;
    else if (!strncmp(word, "-only:", 6))
        *only = word + 6;
    else if (!strncmp(word, "-smp:", 5))
        g->pc.topology.cpus = g->board.topology.cpus = (unsigned)atoi(word + 5);
    else if (!strncmp(word, "-quantum:", 9))
        g->pc.schedule.quantum = strtoull(word + 9, NULL, 0);
    else if (!strncmp(word, "-seed:", 6))
        g->pc.schedule = (struct schedule){
            .quantum = SCHEDULE_QUANTUM, .seeded = true, .starve = true, .seed = strtoull(word + 6, NULL, 0)};
    else
        return false;
    g->board.schedule = g->pc.schedule;
    return true;
}

int main(int argc, char **argv)
{
    struct guest g = {.pc = PC_CONFIG_INIT, .board = VIRT_CONFIG_INIT};
    struct boot_image files[2] = {{0}, {0}};
    uint64_t expected[POINTS];
    const char *only = "";
    int first = 1, status = 0;

    for (; first < argc && take_word(&g, &only, argv[first]); first++)
        ;
    if (!read_guest(&g, argc - first, argv + first, files)) {
        fprintf(stderr, "usage: engines [-virt] [-only:WORD] KERNEL|-bios:FILE STEPS [INITRD [APPEND [MODEL]]]\n");
        return 2;
    }
    for (enum engine e = BLOCKS; e < ENGINES; e++)
        if ((e == BLOCKS || strstr(engine_names[e], only)) &&
            !same_states(&g, e, strtoull(argv[first + 1], NULL, 0), expected))
            status = 1;
    free((void *)(uintptr_t)files[0].data);
    free((void *)(uintptr_t)files[1].data);
    return status;
}
