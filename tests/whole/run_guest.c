/*
 * Run a Multiboot or ELF guest on a PC without server or debugger, and print what it
 * says on the debug console: run_guest [-jit] KERNEL [STEPS [MODEL [SOCKETS CORES THREADS]]]; -jit: each block is
 * compiled, else interpreted. A tool of the test scripts. Exit status 0: the guest ended by the debug-exit port; 1: otherwise.
 */
#include "i386/pc.h"
#include "image_file.h"
#include "with_jit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print(void *ctx, struct device *dev, const void *buf, size_t len)
{
    (void)ctx;
    if (!strcmp(dev->name, "debugcon"))
        fwrite(buf, 1, len, stdout);
}

int main(int argc, char **argv)
{
    static const struct machine_env env = {.output = print};
    struct pc_config config = PC_CONFIG_INIT;
    struct machine *m;
    struct buffer kernel;
    struct error err;
    struct stop stop;
    bool ended, jit = argc > 1 && !strcmp(argv[1], "-jit");

    argv += jit;
    argc -= jit;
    if (argc < 2 || !read_image(argv[1], &kernel)) {
        fprintf(stderr, "usage: run_guest [-jit] KERNEL [STEPS [MODEL [SOCKETS CORES THREADS]]]\n");
        return 2;
    }
    config.kernel = (struct boot_image){.data = kernel.data, .len = kernel.len, .name = argv[1]};
    config.memory_bytes = 64 << 20;
    if (argc > 3)
        config.cpu_model = argv[3];
    if (argc > 6) {
        struct cpu_topology *top = &config.topology;

        top->sockets = (unsigned)atoi(argv[4]);
        top->cores = (unsigned)atoi(argv[5]);
        top->threads = (unsigned)atoi(argv[6]);
        top->cpus = top->sockets * top->cores * top->threads;
    }
    if (pc_create(&m, &config, &err) < 0) {
        fprintf(stderr, "run_guest: %s\n", err.text);
        return 2;
    }
    m->env = &env;
    if (jit)
        with_jit((struct ucpu *)(void *)m->cpus[0]);
    machine_run(m, argc > 2 ? strtoull(argv[2], NULL, 0) : 1000000000u, &stop);
    ended = m->st->end == GUEST_DEBUG_EXIT;
    if (!ended)
        fprintf(stderr, "run_guest: stopped at step %llu, end %u\n", (unsigned long long)m->st->position, m->st->end);
    machine_destroy(m);
    free((void *)(uintptr_t)config.kernel.data);
    return ended ? 0 : 1;
}
