/*
 * A bench for the PC board's chips: a machine without CPU, virtual time that goes where a
 * test says, lines that are watched. For tests of one program each, which end with
 * CHIP_TESTS(name, group, ...).
 */
#ifndef HINDCAST_TESTS_CHIP_BENCH_H
#define HINDCAST_TESTS_CHIP_BENCH_H

#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "tests/check_main.h"
#include "tests/whole/chip_time.h"
#include "vm/machine.h"

#define MS 1000000ull
#define CHIP_BENCH static __attribute__((unused))

CHIP_BENCH struct machine *m;
CHIP_BENCH struct buffer sent; /* what devices put out */
CHIP_BENCH uint64_t host_ns;   /* the host's clock */
CHIP_BENCH unsigned host_readings;

CHIP_BENCH struct {
    bool level;
    unsigned rises, falls;
    vtime_t rose_at;
} probe[4];

CHIP_BENCH void probe_set(void *ctx, unsigned n, bool level)
{
    (void)ctx;
    if (level && !probe[n].level) {
        probe[n].rises++;
        probe[n].rose_at = machine_now(m);
    }
    if (!level && probe[n].level)
        probe[n].falls++;
    probe[n].level = level;
}

CHIP_BENCH struct line probe_line(unsigned n)
{
    return (struct line){.set = probe_set, .n = n};
}

CHIP_BENCH uint64_t host_clock(void *ctx, struct machine *machine)
{
    (void)ctx, (void)machine;
    host_readings++;
    return host_ns;
}

CHIP_BENCH void output(void *ctx, struct device *dev, const void *buf, size_t len)
{
    (void)ctx, (void)dev;
    buffer_append(&sent, buf, len);
}

static const struct machine_env env = {.host_clock = host_clock, .output = output};

CHIP_BENCH void setup(void)
{
    m = machine_create(16);
    m->env = &env;
    buffer_init(&sent);
    memset(probe, 0, sizeof(probe));
    host_ns = 0;
    host_readings = 0;
}

CHIP_BENCH void teardown(void)
{
    machine_destroy(m);
    buffer_finish(&sent);
}

CHIP_BENCH struct device *add(const struct device_ops *ops, void *wiring)
{
    struct device *dev = machine_add_device(m, ops, ops->name, wiring);

    return dev;
}

CHIP_BENCH void reset_all(void)
{
    for (unsigned i = 0; i < m->ndevices; i++)
        if (m->devices[i]->ops->reset)
            m->devices[i]->ops->reset(m->devices[i]);
}

/* Let virtual time go to `t`, with every deadline on the way served at its moment. */
CHIP_BENCH void run_to(vtime_t t)
{
    while (expire_next(m, t))
        ;
    m->st->warp = t;
}

CHIP_BENCH void run_for(uint64_t ns)
{
    run_to(m->st->warp + ns);
}

CHIP_BENCH uint8_t in(struct device *d, unsigned range, unsigned offset)
{
    return (uint8_t)d->ops->read(d, range, offset, 1);
}

CHIP_BENCH void out(struct device *d, unsigned range, unsigned offset, unsigned value)
{
    d->ops->write(d, range, offset, 1, value);
}

CHIP_BENCH void input(struct device *d, const void *data, size_t len)
{
    const struct event e = {.kind = EVENT_INPUT, .source = d->index, .len = (uint32_t)len, .data = data};

    d->ops->input(d, &e);
}

/* ---- the program ---- */

#define ADD(t) tcase_add_test(tc, t)

CHIP_BENCH Suite *chip_suite(const char *name, void (*const *groups)(TCase *), unsigned count)
{
    Suite *suite = suite_create(name);

    for (unsigned i = 0; i < count; i++) {
        TCase *tc = tcase_create(name);

        tcase_add_checked_fixture(tc, setup, teardown);
        tcase_set_timeout(tc, 30);
        groups[i](tc);
        suite_add_tcase(suite, tc);
    }
    return suite;
}

#define CHIP_TESTS(name, ...) \
    Suite *test_suite(void) \
    { \
        static void (*const groups[])(TCase *) = {__VA_ARGS__}; \
        return chip_suite(name, groups, ARRAY_LEN(groups)); \
    }

#endif
