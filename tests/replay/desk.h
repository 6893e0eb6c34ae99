/*
 * Where the tests of the timeline sit: a toy machine with its timeline, and a host whose clock, whose user and whose sleeps are ours.
 */
#ifndef HINDCAST_TESTS_DESK_H
#define HINDCAST_TESTS_DESK_H

#include <string.h>

#include "base/buffer.h"
#include "replay/timeline.h"
#include "toy.h"
#include "tests/check_main.h"

#define VA(pa) (TOY_VIRTUAL + (uint64_t)(pa))

struct desk {
    struct timeline *tl;
    struct machine *m;
    uint64_t now, tick;       /* host time; what one look at the clock takes */
    uint64_t polls;
    uint64_t interrupt_poll;  /* the poll that interrupts; 0: none */
    uint64_t interrupted_at;  /* host time then */
    uint64_t waits, waited, last_wait; /* calls, ns in all, ns asked for last */
    uint64_t interrupt_wait;  /* the wait after which the user interrupts, counted down; 0: none */
    uint64_t wake_after;      /* wait() ends early after that many ns; 0: not */
    const char *type_at_wait; /* typed when a wait ends early */
    uint64_t wall;
    unsigned unkept;          /* names of which was said that their checkpoints had to go */
    struct buffer output;
};

__attribute__((unused)) static uint64_t desk_now(void *ctx)
{
    struct desk *d = ctx;

    return d->now += d->tick;
}

__attribute__((unused)) static uint64_t desk_wall(void *ctx)
{
    return ++((struct desk *)ctx)->wall;
}

__attribute__((unused)) static void desk_entropy(void *ctx, void *buf, size_t len)
{
    memset(buf, (int)++((struct desk *)ctx)->wall, len);
}

__attribute__((unused)) static void desk_output(void *ctx, struct device *dev, const void *buf, size_t len)
{
    (void)dev;
    buffer_append(&((struct desk *)ctx)->output, buf, len);
}

__attribute__((unused)) static bool desk_poll(void *ctx)
{
    struct desk *d = ctx;

    if (!d->interrupt_poll || ++d->polls < d->interrupt_poll)
        return false;
    d->interrupt_poll = 0;
    d->interrupted_at = d->now;
    return true;
}

__attribute__((unused)) static uint64_t desk_wait(void *ctx, uint64_t ns)
{
    struct desk *d = ctx;
    uint64_t passed = ns;

    d->waits++;
    if (d->interrupt_wait && !--d->interrupt_wait) {
        d->polls = 0;
        d->interrupt_poll = 1;
    }
    d->last_wait = ns;
    if (ns == UINT64_MAX || (d->wake_after && d->wake_after < ns)) {
        passed = d->wake_after;
        if (d->type_at_wait) {
            timeline_input(d->tl, toy_serial(d->m), d->type_at_wait, strlen(d->type_at_wait), false);
            d->type_at_wait = NULL;
        }
        d->wake_after = 0;
    }
    d->waited += passed;
    d->now += passed;
    return passed;
}

__attribute__((unused)) static void desk_unkept(void *ctx, const struct timeline_snapshot *snapshot)
{
    ck_assert(!snapshot->pinned);
    ((struct desk *)ctx)->unkept++;
}

__attribute__((unused)) static void sit_down(struct desk *d, struct machine *m, struct timeline_config config)
{
    const struct timeline_host host = {
        .ctx = d,
        .now_ns = desk_now,
        .wall_clock_ns = desk_wall,
        .entropy = desk_entropy,
        .output = desk_output,
        .poll = desk_poll,
        .wait = desk_wait,
        .name_unkept = desk_unkept,
    };

    memset(d, 0, sizeof(*d));
    d->tick = 100000;
    d->m = m;
    d->tl = timeline_create(m, &config, &host);
}

__attribute__((unused)) static void get_up(struct desk *d)
{
    timeline_destroy(d->tl);
    buffer_finish(&d->output);
}

__attribute__((unused)) static enum timeline_reason step(struct desk *d, enum direction dir)
{
    struct timeline_stop stop;

    timeline_step(d->tl, dir, TIMELINE_ALL_CPUS, &stop);
    ck_assert(!d->m->between);
    return stop.reason;
}

__attribute__((unused)) static enum timeline_reason cont(struct desk *d, enum direction dir)
{
    struct timeline_stop stop;

    timeline_continue(d->tl, dir, &stop);
    ck_assert(!d->m->between);
    return stop.reason;
}

__attribute__((unused)) static enum timeline_reason seek(struct desk *d, icount_t position)
{
    struct timeline_stop stop;

    timeline_seek(d->tl, position, &stop);
    ck_assert(!d->m->between);
    return stop.reason;
}

__attribute__((unused)) static unsigned watch(struct desk *d, uint32_t pa, uint64_t len)
{
    return timeline_add_point(d->tl, &(struct timeline_point){.kinds = TRAP_WRITE, .address = VA(pa), .len = len});
}

__attribute__((unused)) static unsigned breakpoint(struct desk *d, uint32_t pa)
{
    return timeline_add_point(d->tl, &(struct timeline_point){.kinds = TRAP_EXEC, .address = VA(pa)});
}

__attribute__((unused)) static struct timeline_stats stats_of(const struct desk *d)
{
    struct timeline_stats s;

    timeline_stats(d->tl, &s);
    return s;
}

/* Writes 0x5000 once, then writes 0x7000 for ever. */
__attribute__((unused)) static struct machine *stray_write(void)
{
    struct machine *m = toy_machine();

    toy_put(m, 0, TOY_MOVI, 1, 0, 0, 77);
    toy_put(m, 8, TOY_ST, 1, 0, 0, 0x5000);
    toy_put(m, 16, TOY_ADD, 2, 3, 0, 1);
    toy_put(m, 24, TOY_ST, 2, 0, 0, 0x7000);
    toy_put(m, 32, TOY_JMP, 0, 0, 0, 16);
    return m;
}

/* Sleeps; an interrupt wakes it, it reads a byte, says it, and sleeps again. */
__attribute__((unused)) static struct machine *sleeper(uint32_t timer_flags, uint32_t ns)
{
    struct machine *m = toy_machine();

    toy_put(m, 0, TOY_TIMER, 0, timer_flags, 0, ns);
    toy_put(m, 8, TOY_STI, 0, 0, 0, 0);
    toy_put(m, 16, TOY_HLT, 0, 0, 0, 0);
    toy_put(m, 24, TOY_IN, 4, 0, 0, 0);
    toy_put(m, 32, TOY_OUT, 4, 0, 0, 0);
    toy_put(m, 40, TOY_TIME, 5, 0, 0, 0);
    toy_put(m, 48, TOY_JMP, 0, 0, 0, 16);
    toy_put(m, TOY_VECTOR, TOY_IRET, 0, 0, 0, 0);
    return m;
}

#endif
