/*
 * Equal states whatever the engine: run a guest with blocks, without the
 * optimiser, with the plain-switch interpreter, in single steps, without a block
 * cache, and with everything derived dropped at odd places; compare the hash of
 * the whole machine at the same positions.
 *
 *     engines KERNEL|-bios:FILE STEPS [INITRD [APPEND [MODEL]]]
 *
 * The slow engines make the first hundredth of the steps only. Exit status 0:
 * all equal; 1: not; 2: usage. A tool of the test scripts.
 */
#include "base/buffer.h"
#include "i386/cpu.h"
#include "i386/pc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POINTS 24u

enum engine { BLOCKS, SWITCH, UNOPTIMISED, DROPPING, SINGLE, UNCACHED, ENGINES };

static const char *const engine_names[ENGINES] = {
    "blocks", "plain switch", "no optimiser", "caches dropped", "single steps", "no block cache",
};

static bool slow(enum engine e)
{
    return e == SINGLE || e == UNCACHED;
}

static bool read_file(const char *name, struct pc_image *image)
{
    FILE *f = fopen(name, "rb");
    struct buffer b;
    size_t n;

    if (!f)
        return false;
    buffer_init(&b);
    do {
        n = fread(buffer_reserve(&b, 65536), 1, 65536, f);
        b.len += n;
    } while (n);
    fclose(f);
    *image = (struct pc_image){.data = b.data, .len = b.len, .name = name};
    return true;
}

/* A wall clock that always shows the same. */
static uint64_t clock_at_rest(void *ctx, struct machine *m)
{
    (void)ctx;
    (void)m;
    return UINT64_C(1700000000) * 1000000000u;
}

static const struct machine_env env = {.host_clock = clock_at_rest};

static struct machine *make(const struct pc_config *config, enum engine e)
{
    struct machine *m;
    struct error err;
    struct ucpu *u;

    if (pc_create(&m, config, &err) < 0) {
        fprintf(stderr, "engines: %s\n", err.text);
        exit(2);
    }
    m->env = &env;
    u = (struct ucpu *)(void *)m->cpu;
    u->plain_switch = e == SWITCH;
    u->no_optimise = e == UNOPTIMISED || e == SINGLE;
    u->single = e == SINGLE;
    u->no_cache = e == UNCACHED;
    return m;
}

/* Go to `position`; the dropping engine forgets everything derived on the way. */
static void go(struct machine *m, icount_t position, enum engine e)
{
    struct stop stop;

    while (e == DROPPING && position - m->st->position > 70001) {
        machine_run(m, m->st->position + 70001, &stop);
        if (stop.kind != STOP_LIMIT)
            return;
        m->cpu->ops->drop_derived(m->cpu);
    }
    machine_run(m, position, &stop);
}

/* Points are denser at the beginning, so that the slow engines see many. */
static icount_t point(icount_t steps, unsigned i)
{
    return i < POINTS / 2 ? steps / 100 * (i + 1) / (POINTS / 2)
                          : steps / 100 + (steps - steps / 100) / (POINTS / 2) * (i + 1 - POINTS / 2);
}

int main(int argc, char **argv)
{
    struct pc_config config = PC_CONFIG_INIT;
    struct pc_image initrd = {0};
    uint64_t expected[POINTS];
    icount_t steps;
    int status = 0;

    if (argc < 3) {
        fprintf(stderr, "usage: engines KERNEL|-bios:FILE STEPS [INITRD [APPEND [MODEL]]]\n");
        return 2;
    }
    if (!(strncmp(argv[1], "-bios:", 6) ? read_file(argv[1], &config.kernel) : read_file(argv[1] + 6, &config.bios)) ||
        (argc > 3 && *argv[3] && !read_file(argv[3], &initrd))) {
        fprintf(stderr, "engines: cannot read the guest\n");
        return 2;
    }
    steps = strtoull(argv[2], NULL, 0);
    if (initrd.data) {
        config.modules = &initrd;
        config.nmodules = 1;
    }
    config.memory_bytes = 128 << 20;
    if (argc > 4)
        config.append = argv[4];
    if (argc > 5)
        config.cpu_model = argv[5];
    for (enum engine e = BLOCKS; e < ENGINES; e++) {
        struct machine *m = make(&config, e);
        unsigned n = slow(e) ? POINTS / 2 : POINTS;

        for (unsigned i = 0; i < n; i++) {
            uint64_t hash;

            go(m, point(steps, i), e);
            hash = machine_hash(m);
            if (e == BLOCKS)
                expected[i] = hash;
            if (hash == expected[i])
                continue;
            printf("%s: another state at position %llu\n", engine_names[e], (unsigned long long)point(steps, i));
            status = 1;
            break;
        }
        printf("%s: %u positions up to %llu\n", engine_names[e], n, (unsigned long long)point(steps, n - 1));
        fflush(stdout);
        machine_destroy(m);
    }
    free((void *)(uintptr_t)config.kernel.data);
    free((void *)(uintptr_t)config.bios.data);
    free((void *)(uintptr_t)initrd.data);
    return status;
}
