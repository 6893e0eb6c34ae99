/*
 * What the timeline promises beyond standing in the right place (which
 * test_timeline.c sees to; what that costs is test_placement.c's): what it says, when it waits.
 * Hand-written programs on the toy machine, a host whose clock is ours.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "replay/timeline.h"
#include "desk.h"
#include "tests/check_main.h"

/* A CPU of an architecture that reports watchpoints before the access. */
static struct machine *watching_before(struct machine *m, struct cpu_ops *ops)
{
    *ops = *m->cpus[0]->ops;
    ops->watch_before = true;
    m->cpus[0]->ops = ops;
    return m;
}

START_TEST(a_watchpoint_before_the_access_stops_a_step_earlier_on_the_way)
{
    struct timeline_stop stop;
    struct cpu_ops ops;
    struct desk d;
    unsigned id;

    /* The steps from 3, 6, 9, 12... write 1, 2, 3, 4... */
    sit_down(&d, watching_before(stray_write(), &ops), (struct timeline_config){.live = true});
    id = watch(&d, 0x7000, 4);
    ck_assert_int_eq(cont(&d, FORWARD), TIMELINE_WATCHPOINT);
    ck_assert_uint_eq(timeline_position(d.tl), 3);
    ck_assert_uint_eq(memory_read(&d.m->memory, 0x7000, 4), 0);
    /* As gdb does it. */
    timeline_remove_point(d.tl, id);
    ck_assert_int_eq(step(&d, FORWARD), TIMELINE_STEP_DONE);
    ck_assert_uint_eq(timeline_position(d.tl), 4);
    ck_assert_uint_eq(memory_read(&d.m->memory, 0x7000, 4), 1);
    id = watch(&d, 0x7000, 4);
    ck_assert_int_eq(cont(&d, FORWARD), TIMELINE_WATCHPOINT);
    ck_assert_uint_eq(timeline_position(d.tl), 6);
    /* Without taking it out, too. */
    ck_assert_int_eq(cont(&d, FORWARD), TIMELINE_WATCHPOINT);
    ck_assert_uint_eq(timeline_position(d.tl), 9);
    ck_assert_int_eq(step(&d, FORWARD), TIMELINE_STEP_DONE);
    ck_assert_uint_eq(timeline_position(d.tl), 10);
    ck_assert_int_eq(step(&d, FORWARD), TIMELINE_STEP_DONE);
    ck_assert_int_eq(step(&d, FORWARD), TIMELINE_STEP_DONE);
    ck_assert_int_eq(step(&d, FORWARD), TIMELINE_WATCHPOINT);
    ck_assert_uint_eq(timeline_position(d.tl), 12);

    ck_assert_int_eq(cont(&d, BACKWARD), TIMELINE_WATCHPOINT);
    ck_assert_uint_eq(timeline_position(d.tl), 10);
    ck_assert_uint_eq(memory_read(&d.m->memory, 0x7000, 4), 3);
    timeline_remove_point(d.tl, id);
    ck_assert_int_eq(step(&d, BACKWARD), TIMELINE_STEP_DONE);
    ck_assert_uint_eq(timeline_position(d.tl), 9);
    ck_assert_uint_eq(memory_read(&d.m->memory, 0x7000, 4), 2);
    watch(&d, 0x7000, 4);
    ck_assert_int_eq(cont(&d, BACKWARD), TIMELINE_WATCHPOINT);
    ck_assert_uint_eq(timeline_position(d.tl), 7);
    ck_assert_int_eq(cont(&d, BACKWARD), TIMELINE_WATCHPOINT);
    ck_assert_uint_eq(timeline_position(d.tl), 4);
    ck_assert_int_eq(step(&d, BACKWARD), TIMELINE_STEP_DONE);
    ck_assert_uint_eq(timeline_position(d.tl), 3);
    /* Turning round on the spot, the access lies ahead again. */
    ck_assert_int_eq(cont(&d, FORWARD), TIMELINE_WATCHPOINT);
    ck_assert_uint_eq(timeline_position(d.tl), 3);
    ck_assert_int_eq(step(&d, FORWARD), TIMELINE_STEP_DONE);
    ck_assert_int_eq(step(&d, BACKWARD), TIMELINE_WATCHPOINT);
    ck_assert_uint_eq(timeline_position(d.tl), 4);
    /* The question for the last write is about the position, whatever the architecture. */
    timeline_last_write(d.tl, &(struct timeline_point){.address = VA(0x7000), .len = 4}, &stop, NULL);
    ck_assert_int_eq(stop.reason, TIMELINE_WATCHPOINT);
    ck_assert_uint_eq(timeline_position(d.tl), 3);
    get_up(&d);
}
END_TEST

/* ---- frames, and interrupts ---- */

/* Takes bytes from the serial device for ever, and adds them up. */
static struct machine *adds_up(void)
{
    struct machine *m = toy_machine();

    toy_put(m, 0, TOY_IN, 1, 0, 0, 0);
    toy_put(m, 8, TOY_MUL, 2, 1, 0, 0);
    toy_put(m, 16, TOY_JMP, 0, 0, 0, 0);
    return m;
}

START_TEST(frames_that_came_together_are_given_together_as_long_as_there_is_room)
{
    enum { FRAMES = 11 };
    const struct event_log *log;
    icount_t first;
    uint64_t sum;
    struct desk d;

    sit_down(&d, adds_up(), (struct timeline_config){.live = true, .slice_steps = 1000});
    ck_assert_int_eq(seek(&d, 5000), TIMELINE_SEEK_DONE);
    for (unsigned i = 0; i < FRAMES; i++)
        timeline_input(d.tl, toy_serial(d.m), &(char){(char)('a' + i)}, 1, true);
    ck_assert_int_eq(seek(&d, 20000), TIMELINE_SEEK_DONE);
    log = timeline_log(d.tl);
    ck_assert_uint_eq(event_log_count(log), FRAMES);
    /* The device holds four. */
    first = event_log_get(log, 0)->position;
    for (uint64_t n = 0; n < FRAMES; n++) {
        const struct event *e = event_log_get(log, n);

        ck_assert_int_eq(e->position == first, n < 4);
        ck_assert_int_eq(e->len, 1);
        ck_assert_int_eq(*e->data, 'a' + (int)n);
    }
    sum = machine_hash(d.m);
    ck_assert_int_eq(seek(&d, 0), TIMELINE_SEEK_DONE);
    ck_assert_int_eq(seek(&d, 20000), TIMELINE_SEEK_DONE);
    ck_assert_uint_eq(machine_hash(d.m), sum);
    ck_assert_uint_eq(event_log_count(log), FRAMES);
    /* Nor does standing there again, where input was given, give more. */
    timeline_input(d.tl, toy_serial(d.m), "z", 1, true);
    ck_assert_int_eq(seek(&d, first), TIMELINE_SEEK_DONE);
    ck_assert_int_eq(seek(&d, first + 10), TIMELINE_SEEK_DONE);
    ck_assert_uint_eq(event_log_count(log), FRAMES);
    get_up(&d);
}
END_TEST

START_TEST(an_interrupt_is_answered_soon_in_either_direction)
{
    struct desk d;
    icount_t from;

    sit_down(&d, stray_write(),
             (struct timeline_config){.live = true, .slice_steps = 100, .edge_interval_ns = 100000000000});
    d.interrupt_poll = 300;
    ck_assert_int_eq(cont(&d, FORWARD), TIMELINE_INTERRUPTED);
    ck_assert_uint_lt(d.now - d.interrupted_at, 20000000);
    from = timeline_position(d.tl);
    watch(&d, 0x7000, 4); /* every segment is of interest, */
    timeline_add_point(d.tl, &(struct timeline_point){.kinds = TRAP_EXEC, .address = VA(0x4000)});
    d.tick = 1000000;
    d.polls = 0;
    d.interrupt_poll = 3;
    ck_assert_int_eq(cont(&d, BACKWARD), TIMELINE_INTERRUPTED); /* but the first pass takes long */
    ck_assert_uint_lt(d.now - d.interrupted_at, 20000000);
    ck_assert_uint_eq(timeline_position(d.tl), from);
    get_up(&d);
}
END_TEST

/* ---- what steps are ---- */

/* A copy of 100 words at position 3, from 0x6000 to 0x7000. */
static struct machine *copier(void)
{
    struct machine *m = toy_machine();

    toy_put(m, 0, TOY_MOVI, 1, 0, 0, 0x6000);
    toy_put(m, 8, TOY_MOVI, 2, 0, 0, 0x7000);
    toy_put(m, 16, TOY_MOVI, 3, 0, 0, 100);
    toy_put(m, 24, TOY_REP, 1, 2, 3, 0);
    toy_put(m, 32, TOY_NOP, 0, 0, 0, 0);
    toy_put(m, 40, TOY_JMP, 0, 0, 0, 32);
    return m;
}

START_TEST(a_repeated_instruction_is_one_step_in_both_directions)
{
    struct desk d;

    sit_down(&d, copier(), (struct timeline_config){.live = true});
    seek(&d, 3);
    ck_assert_int_eq(step(&d, FORWARD), TIMELINE_STEP_DONE);
    ck_assert_uint_eq(timeline_position(d.tl), 103);
    ck_assert_int_eq(step(&d, BACKWARD), TIMELINE_STEP_DONE);
    ck_assert_uint_eq(timeline_position(d.tl), 3);
    /* From its midst, too. */
    seek(&d, 50);
    ck_assert_int_eq(step(&d, FORWARD), TIMELINE_STEP_DONE);
    ck_assert_uint_eq(timeline_position(d.tl), 103);
    seek(&d, 50);
    ck_assert_int_eq(step(&d, BACKWARD), TIMELINE_STEP_DONE);
    ck_assert_uint_eq(timeline_position(d.tl), 3);
    get_up(&d);
}
END_TEST

START_TEST(a_watched_byte_stops_a_repeated_instruction_after_and_before_the_access)
{
    struct timeline_stop stop;
    struct desk d;
    unsigned id;

    sit_down(&d, copier(), (struct timeline_config){.live = true});
    seek(&d, 3);
    id = watch(&d, 0x7000 + 4 * 40 + 1, 1); /* in the iteration from 43 to 44 */
    timeline_step(d.tl, FORWARD, TIMELINE_ALL_CPUS, &stop);
    ck_assert_int_eq(stop.reason, TIMELINE_WATCHPOINT);
    ck_assert_uint_eq(stop.point, id);
    ck_assert_uint_eq(stop.access, TRAP_WRITE);
    ck_assert_uint_eq(stop.address, VA(0x7000 + 4 * 40 + 1));
    ck_assert_uint_eq(timeline_position(d.tl), 44);
    ck_assert_int_eq(step(&d, FORWARD), TIMELINE_STEP_DONE);
    ck_assert_uint_eq(timeline_position(d.tl), 103);
    timeline_step(d.tl, BACKWARD, TIMELINE_ALL_CPUS, &stop);
    ck_assert_int_eq(stop.reason, TIMELINE_WATCHPOINT);
    ck_assert_uint_eq(stop.address, VA(0x7000 + 4 * 40 + 1));
    ck_assert_uint_eq(timeline_position(d.tl), 43);
    ck_assert_int_eq(step(&d, BACKWARD), TIMELINE_STEP_DONE);
    ck_assert_uint_eq(timeline_position(d.tl), 3);
    get_up(&d);
}
END_TEST

START_TEST(breakpoint_at_current_pc_is_not_reported_again_in_either_direction)
{
    struct desk d;
    unsigned id;

    sit_down(&d, stray_write(), (struct timeline_config){.live = true});
    id = breakpoint(&d, 16);
    ck_assert_int_eq(cont(&d, FORWARD), TIMELINE_BREAKPOINT);
    ck_assert_uint_eq(timeline_position(d.tl), 2);
    ck_assert_uint_eq(timeline_breakpoint_here(d.tl, 0), id);
    ck_assert_int_eq(cont(&d, FORWARD), TIMELINE_BREAKPOINT);
    ck_assert_uint_eq(timeline_position(d.tl), 5);
    ck_assert_int_eq(cont(&d, BACKWARD), TIMELINE_BREAKPOINT);
    ck_assert_uint_eq(timeline_position(d.tl), 2);
    ck_assert_int_eq(cont(&d, BACKWARD), TIMELINE_REPLAY_BEGIN);
    ck_assert_uint_eq(timeline_position(d.tl), 0);
    ck_assert_int_eq(cont(&d, BACKWARD), TIMELINE_REPLAY_BEGIN);
    ck_assert_int_eq(step(&d, BACKWARD), TIMELINE_REPLAY_BEGIN);
    ck_assert_uint_eq(timeline_breakpoint_here(d.tl, 0), 0);
    ck_assert(timeline_remove_point(d.tl, id));
    ck_assert(!timeline_remove_point(d.tl, id));
    get_up(&d);
}
END_TEST

START_TEST(last_write_goes_before_the_last_write_whatever_else_is_watched)
{
    struct timeline_stop stop;
    struct desk d;

    sit_down(&d, stray_write(), (struct timeline_config){.live = true});
    seek(&d, 1000);
    breakpoint(&d, 16);
    watch(&d, 0x7000, 4);
    timeline_replay_break(d.tl, 500);
    timeline_last_write(d.tl, &(struct timeline_point){.address = VA(0x4ffe), .len = 3}, &stop, NULL);
    ck_assert_int_eq(stop.reason, TIMELINE_WATCHPOINT);
    ck_assert_uint_eq(stop.address, VA(0x5000));
    ck_assert_uint_eq(timeline_position(d.tl), 1);
    seek(&d, 1000);
    timeline_last_write(d.tl, &(struct timeline_point){.address = VA(0x9000), .len = 4}, &stop, NULL);
    ck_assert_int_eq(stop.reason, TIMELINE_REPLAY_BEGIN);
    /* The others are in force again. */
    ck_assert_int_eq(cont(&d, FORWARD), TIMELINE_BREAKPOINT);
    get_up(&d);
}
END_TEST

/* ---- sleep and input ---- */

START_TEST(breakpoints_told_at_the_edge_are_found_again_though_input_came_while_it_stood_there)
{
    struct machine *m = toy_machine();
    icount_t told[6];
    struct desk d;

    toy_put(m, 0, TOY_STI, 0, 0, 0, 0);
    toy_put(m, 8, TOY_IN, 4, 0, 0, 0);
    toy_put(m, 16, TOY_ADD, 1, 2, 0, 1);
    toy_put(m, 24, TOY_JMP, 0, 0, 0, 8);
    toy_put(m, TOY_VECTOR, TOY_IRET, 0, 0, 0, 0);
    sit_down(&d, m, (struct timeline_config){.live = true});
    breakpoint(&d, 16);
    for (unsigned i = 0; i < ARRAY_LEN(told); i++) {
        ck_assert_int_eq(cont(&d, FORWARD), TIMELINE_BREAKPOINT);
        told[i] = timeline_position(d.tl);
        /* An interrupt request: were it taken at once, the step told would be its entry. */
        timeline_input(d.tl, toy_serial(d.m), "x", 1, false);
    }
    for (unsigned i = ARRAY_LEN(told) - 1; i-- > 0;) {
        ck_assert_int_eq(cont(&d, BACKWARD), TIMELINE_BREAKPOINT);
        ck_assert_uint_eq(timeline_position(d.tl), told[i]);
    }
    seek(&d, timeline_edge(d.tl));
    ck_assert_uint_gt(toy_state(d.m)->entries, 0);
    get_up(&d);
}
END_TEST

START_TEST(with_sleep_on_a_sleeping_guest_waits_for_its_deadline)
{
    struct desk d;

    sit_down(&d, sleeper(0, 5000000), (struct timeline_config){.live = true, .sleep = true});
    seek(&d, 3);
    ck_assert_uint_eq(d.waits, 0);
    ck_assert_int_eq(step(&d, FORWARD), TIMELINE_STEP_DONE); /* the interrupt entry */
    ck_assert_uint_eq(d.waits, 1);
    ck_assert_uint_ge(d.waited, 5000000 - 100);
    ck_assert_uint_le(d.waited, 5000000);
    ck_assert_uint_eq(toy_state(d.m)->entries, 1);
    /* Again, in the past: no waiting. */
    ck_assert_int_eq(step(&d, BACKWARD), TIMELINE_STEP_DONE);
    ck_assert_uint_eq(toy_state(d.m)->halted, 1);
    ck_assert_int_eq(step(&d, FORWARD), TIMELINE_STEP_DONE);
    ck_assert_uint_eq(d.waits, 1);
    get_up(&d);
}
END_TEST

START_TEST(with_sleep_off_the_clock_jumps)
{
    struct desk d;

    sit_down(&d, sleeper(1, 5000000), (struct timeline_config){.live = true});
    seek(&d, 1000);
    ck_assert_uint_eq(d.waits, 0);
    ck_assert_uint_gt(machine_now(d.m), 5000000 * 100);
    get_up(&d);
}
END_TEST

START_TEST(input_ends_a_sleep_early_and_replays_at_the_same_instant)
{
    struct timeline_stop stop;
    const struct event *e;
    uint64_t hash;
    struct desk d;

    sit_down(&d, sleeper(0, 5000000), (struct timeline_config){.live = true, .sleep = true});
    d.wake_after = 1234567;
    d.type_at_wait = "x";
    timeline_seek(d.tl, 10, &stop);
    ck_assert_int_eq(stop.reason, TIMELINE_SEEK_DONE);
    ck_assert_uint_eq(event_log_count(timeline_log(d.tl)), 1);
    e = event_log_get(timeline_log(d.tl), 0);
    ck_assert_uint_eq(e->position, 3);
    ck_assert_uint_eq(e->vtime, 3 * 4 + 1234567);
    ck_assert_uint_eq(toy_state(d.m)->r[4], 'x');
    hash = machine_hash(d.m);
    seek(&d, 0);
    seek(&d, 10);
    ck_assert_uint_eq(machine_hash(d.m), hash);
    ck_assert_uint_eq(d.waits, 1);
    ck_assert_uint_eq(d.output.len, 4); /* heard once */
    get_up(&d);
}
END_TEST

static bool never_heard(const struct device *dev)
{
    (void)dev;
    return true;
}

/* A sleep of 34.567890 ms over a silent timer's ticks each 10 ms, ended by input. The state at the end; how often the host slept. */
static uint64_t sleep_over_ticks(bool heard, unsigned *waits)
{
    struct machine *m = sleeper(3, 10000000);
    struct device_ops timer = *m->devices[0]->ops;
    const struct event *e;
    uint64_t hash;
    struct desk d;

    timer.unheard = heard ? NULL : never_heard;
    for (unsigned i = 0; i < 3; i++)
        m->devices[i]->ops = &timer;
    sit_down(&d, m, (struct timeline_config){.live = true, .sleep = true});
    if (!heard) {
        d.wake_after = 34567890;
        d.type_at_wait = "x";
    }
    if (heard) {
        /* What the host wakes for is waited for in pieces: the input comes in the fourth. */
        d.interrupt_wait = 3;
        ck_assert_int_eq(cont(&d, FORWARD), TIMELINE_INTERRUPTED);
        d.wake_after = 34567890 + 3 * 4 - 30000000;
        d.type_at_wait = "x";
    }
    ck_assert_int_eq(seek(&d, 10), TIMELINE_SEEK_DONE);
    e = event_log_get(timeline_log(d.tl), 0);
    ck_assert_uint_eq(event_log_count(timeline_log(d.tl)), 1);
    ck_assert_uint_eq(e->position, 3);
    ck_assert_uint_eq(e->vtime, 3 * 4 + 34567890);
    hash = machine_hash(m);
    *waits = d.waits;
    seek(&d, 0);
    seek(&d, 10);
    ck_assert_uint_eq(machine_hash(m), hash);
    get_up(&d);
    return hash;
}

START_TEST(a_sleep_goes_on_over_deadlines_that_wake_nobody_and_the_state_is_the_same)
{
    unsigned over, often;

    ck_assert_uint_eq(sleep_over_ticks(false, &over), sleep_over_ticks(true, &often));
    ck_assert_uint_eq(over, 1);
    ck_assert_uint_eq(often, 4);
}
END_TEST

START_TEST(a_sleep_over_deadlines_lasts_a_second_at_most_and_no_time_is_lost)
{
    struct machine *m = sleeper(3, 10000000);
    struct device_ops timer = *m->devices[0]->ops;
    struct desk d;

    timer.unheard = never_heard;
    for (unsigned i = 0; i < 3; i++)
        m->devices[i]->ops = &timer;
    sit_down(&d, m, (struct timeline_config){.live = true, .sleep = true});
    d.interrupt_wait = 3;
    ck_assert_int_eq(cont(&d, FORWARD), TIMELINE_INTERRUPTED);
    ck_assert_uint_ge(d.waited, 3000000000);
    ck_assert_uint_le(d.waited, 3100000000);
    ck_assert_uint_ge(timeline_edge_vtime(d.tl), 2000000000);
    get_up(&d);
}
END_TEST

START_TEST(an_interrupted_sleep_goes_on_where_it_was)
{
    struct desk d;

    /* A silent timer ticks every 10 ms and wakes nobody. */
    sit_down(&d, sleeper(3, 10000000), (struct timeline_config){.live = true, .sleep = true});
    d.interrupt_wait = 5;
    ck_assert_int_eq(cont(&d, FORWARD), TIMELINE_INTERRUPTED);
    ck_assert_uint_eq(timeline_position(d.tl), 3);
    ck_assert_uint_eq(machine_now(d.m), 3 * 4); /* the state that the position names */
    ck_assert_uint_ge(d.waited, 49000000);
    ck_assert_uint_eq(timeline_edge_vtime(d.tl), 50000000);
    /* Half a tick more, then Ctrl-C, then the other half: */
    d.waited = 0;
    d.wake_after = 5000000;
    d.interrupt_wait = 1;
    ck_assert_int_eq(cont(&d, FORWARD), TIMELINE_INTERRUPTED);
    ck_assert_uint_eq(d.last_wait, 10000000);
    ck_assert_uint_eq(d.waited, 5000000);
    d.interrupt_wait = 2;
    d.waited = 0;
    ck_assert_int_eq(cont(&d, FORWARD), TIMELINE_INTERRUPTED);
    ck_assert_uint_eq(d.waited, 5000000 + 10000000);
    /* What is typed now comes after all that. */
    timeline_input(d.tl, toy_serial(d.m), "y", 1, false);
    ck_assert_int_eq(step(&d, FORWARD), TIMELINE_STEP_DONE);
    ck_assert_uint_eq(event_log_get(timeline_log(d.tl), 0)->vtime, 70000000);
    get_up(&d);
}
END_TEST

START_TEST(input_waits_for_room_and_messages_stay_whole)
{
    struct desk d;

    sit_down(&d, sleeper(1, 1000), (struct timeline_config){.live = true});
    timeline_input(d.tl, toy_serial(d.m), "abcdefghij", 10, false);
    timeline_input(d.tl, toy_serial(d.m), "XYZ", 3, true);
    seek(&d, 2000);
    ck_assert_uint_eq(timeline_input_pending(d.tl, toy_serial(d.m)), 0);
    for (uint64_t i = 0, at = 0; i < event_log_count(timeline_log(d.tl)); i++) {
        const struct event *e = event_log_get(timeline_log(d.tl), i);

        ck_assert_uint_le(e->len, 4);
        ck_assert(!memcmp(e->data, "abcdefghijXYZ" + at, e->len));
        at += e->len;
        if (at == 13)
            ck_assert_uint_eq(e->len, 3);
    }
    /* In the past nothing is delivered. */
    seek(&d, 100);
    timeline_input(d.tl, toy_serial(d.m), "late", 4, false);
    seek(&d, 1999);
    ck_assert_uint_eq(timeline_input_pending(d.tl, toy_serial(d.m)), 4);
    seek(&d, 2500);
    ck_assert_uint_eq(timeline_input_pending(d.tl, toy_serial(d.m)), 0);
    get_up(&d);
}
END_TEST

/* Of a machine that is given input for certain times: when it came. */
static void check_times(struct machine *m, struct timeline_config config, uint64_t tick)
{
    static const vtime_t due[] = {5003, 5003, 12345, 300000};
    const struct event *e;
    struct desk d;

    config.live = true;
    sit_down(&d, m, config);
    d.tick = tick;
    for (unsigned i = 0; i < ARRAY_LEN(due); i++)
        timeline_input_at(d.tl, toy_serial(d.m), "abcd" + i, 1, due[i]);
    while (timeline_input_pending(d.tl, toy_serial(d.m)))
        seek(&d, timeline_edge(d.tl) + 3);
    ck_assert_uint_eq(event_log_count(timeline_log(d.tl)), ARRAY_LEN(due));
    for (unsigned i = 0; i < ARRAY_LEN(due); i++) {
        e = event_log_get(timeline_log(d.tl), i);
        ck_assert_int_eq(e->data[0], "abcd"[i]);
        /* Where the clock first shows that, or more; of two for the same time the second one comes after the first was taken. */
        ck_assert_msg(e->vtime >= due[i] && e->vtime < due[i] + (1u << d.m->icount_shift) + (i == 1 ? 200 : 0), "%u at %llu", i, (unsigned long long)e->vtime);
    }
    get_up(&d);
}

START_TEST(input_that_has_its_time_comes_then_whatever_the_host_does)
{
    static const uint64_t slices[] = {0, 1000, 7000}, ticks[] = {1, 100000, 9000000};

    for (unsigned i = 0; i < ARRAY_LEN(slices) * ARRAY_LEN(ticks); i++)
        for (unsigned sleep = 0; sleep < 2; sleep++) {
            const struct timeline_config config = {.sleep = sleep, .slice_steps = slices[i % 3]};
            struct machine *busy = toy_machine();

            check_times(sleeper(1, 10000), config, ticks[i / 3]);
            toy_put(busy, 0, TOY_JMP, 0, 0, 0, 0);
            check_times(busy, config, ticks[i / 3]);
        }
}
END_TEST

START_TEST(input_that_has_its_time_and_no_room_waits_for_it)
{
    struct machine *m = toy_machine();
    const struct event *e;
    struct desk d;

    /* Reads nothing, ever: there is room for four bytes. */
    toy_put(m, 0, TOY_JMP, 0, 0, 0, 0);
    sit_down(&d, m, (struct timeline_config){.live = true});
    timeline_input_at(d.tl, toy_serial(d.m), "abcd", 4, 5000);
    timeline_input_at(d.tl, toy_serial(d.m), "efg", 3, 5000);
    seek(&d, 1100000);
    ck_assert_uint_eq(event_log_count(timeline_log(d.tl)), 1);
    e = event_log_get(timeline_log(d.tl), 0);
    ck_assert(e->len == 4 && e->vtime == 5000);
    ck_assert_uint_eq(timeline_input_pending(d.tl, toy_serial(d.m)), 3);
    get_up(&d);
}
END_TEST

/* ---- changing things, and not ---- */

START_TEST(the_past_is_refused_with_a_text_that_says_what_to_do)
{
    uint32_t value = 8;
    struct error err;
    struct desk d;

    sit_down(&d, stray_write(), (struct timeline_config){.live = true});
    seek(&d, 1000);
    seek(&d, 400);
    ck_assert_int_eq(timeline_write_memory(d.tl, VA(0x3000), false, &value, 4, &err), -EROFS);
    ck_assert_ptr_nonnull(strstr(err.text, "position 400"));
    ck_assert_ptr_nonnull(strstr(err.text, "monitor seek 1000"));
    ck_assert_int_eq(timeline_write_register(d.tl, 0, &value, 4, &err), -EROFS);
    ck_assert_int_eq(timeline_reset(d.tl, &err), -EROFS);
    ck_assert_int_eq(timeline_powerdown(d.tl, &err), -EROFS);
    ck_assert_uint_eq(timeline_position(d.tl), 400);
    get_up(&d);
}
END_TEST

/* Three that count, each for itself. */
static struct machine *counters(void)
{
    struct machine *m = toy_machine_of(3, &(struct schedule){.quantum = 7});

    for (unsigned n = 0; n < 3; n++) {
        uint32_t at = 8 * 24 * n;

        toy_put(m, at, TOY_ADD, 1, 2, 0, 1);
        toy_put(m, at + 8, TOY_JMP, 0, 0, 0, at);
        toy_state_of(m, n)->halted = 0;
    }
    return m;
}

/* Reads the clock, draws a number, says something, sleeps; once more. */
static struct machine *asker(void)
{
    struct machine *m = toy_machine();
    uint32_t at = 0;

    toy_put(m, at, TOY_CLOCK, 1, 0, 0, 0), at += 8;
    toy_put(m, at, TOY_RANDOM, 2, 0, 0, 0), at += 8;
    toy_put(m, at, TOY_OUT, 2, 0, 0, 0), at += 8;
    toy_put(m, at, TOY_ADD, 3, 1, 0, 0), at += 8;
    toy_put(m, at, TOY_JNZ, 4, 0, 0, at + 16), at += 8; /* r4: do not sleep */
    toy_put(m, at, TOY_HLT, 0, 0, 0, 0), at += 8;
    toy_put(m, at, TOY_JMP, 0, 0, 0, 0);
    toy_state(m)->r[4] = toy_state(m)->enabled = 1;
    return m;
}

START_TEST(on_a_branch_the_outside_is_not_asked)
{
    struct desk d;
    struct timeline_stop stop;
    uint32_t value = 8;
    uint64_t wall, hashes[2];
    size_t heard;

    sit_down(&d, asker(), (struct timeline_config){.live = true, .sleep = true, .branches = true});
    seek(&d, 1000);
    wall = d.wall;
    ck_assert_uint_gt(wall, 10);
    for (unsigned i = 0; i < 2; i++) {
        seek(&d, 400);
        heard = d.output.len;
        ck_assert_int_eq(timeline_write_memory(d.tl, VA(0x3000), false, &value, 4, NULL), 0);
        ck_assert(!timeline_outside(d.tl));
        seek(&d, 900);
        hashes[i] = machine_hash(d.m);
        ck_assert_uint_eq(d.wall, wall);
        ck_assert_uint_gt(d.output.len, heard); /* told, once: */
        heard = d.output.len;
        seek(&d, 401);
        seek(&d, 900);
        ck_assert_uint_eq(d.output.len, heard);
        ck_assert_uint_eq(machine_hash(d.m), hashes[i]);
        ck_assert_int_eq(timeline_branch_use(d.tl, 0, NULL), 0);
    }
    ck_assert_uint_eq(hashes[0], hashes[1]);
    /* Asleep for good: nobody waits. */
    ck_assert_int_eq(timeline_branch_use(d.tl, 2, NULL), 0);
    value = 0;
    ck_assert_int_eq(timeline_write_register(d.tl, 4, &value, 4, NULL), 0);
    timeline_continue(d.tl, FORWARD, &stop);
    ck_assert_int_eq(stop.reason, TIMELINE_ASLEEP);
    ck_assert_uint_eq(d.waits, 0);
    /* Live, it is asked, and waited for. */
    ck_assert_int_eq(timeline_branch_live(d.tl, NULL), 0);
    d.interrupt_wait = 1;
    timeline_continue(d.tl, FORWARD, &stop);
    ck_assert_int_eq(stop.reason, TIMELINE_INTERRUPTED);
    ck_assert_uint_eq(d.waits, 1);
    get_up(&d);
}
END_TEST

START_TEST(cpus_can_be_held_on_a_branch_that_begins_in_the_past)
{
    struct error err = {0};
    icount_t made;
    uint64_t hash;
    struct desk d;

    sit_down(&d, counters(), (struct timeline_config){.live = true, .branches = true});
    seek(&d, 3000);
    hash = machine_hash(d.m);
    seek(&d, 900);
    made = d.m->cpus[1]->share->steps;
    ck_assert_int_eq(timeline_hold(d.tl, 2, &err), -EROFS);
    ck_assert_int_eq(timeline_branch_make(d.tl, "held", &err), 0);
    ck_assert_int_eq(timeline_hold(d.tl, 2, &err), 0);
    seek(&d, 2000);
    ck_assert_uint_eq(d.m->cpus[1]->share->steps, made);
    ck_assert_int_eq(timeline_branch_drop(d.tl, timeline_branch(d.tl), &err), 0);
    ck_assert_uint_eq(timeline_position(d.tl), 900);
    ck_assert_uint_eq(machine_held(d.m), 0);
    seek(&d, 3000);
    ck_assert_uint_eq(machine_hash(d.m), hash);
    /* What was wanted there is wanted no more. */
    seek(&d, 3100);
    ck_assert_uint_eq(machine_held(d.m), 0);
    get_up(&d);
}
END_TEST

START_TEST(a_cpu_held_at_the_edge_stands_and_in_the_past_it_stood_where_it_did)
{
    icount_t made;
    struct error err;
    uint64_t hash;
    struct desk d;

    sit_down(&d, counters(), (struct timeline_config){.live = true});
    seek(&d, 1000);
    ck_assert_int_eq(timeline_hold(d.tl, 0, &err), 0);
    ck_assert_uint_eq(timeline_position(d.tl), 1000); /* nothing is changed: no event */
    made = d.m->cpus[1]->share->steps;
    ck_assert_int_eq(timeline_hold(d.tl, 2, &err), 0);
    ck_assert_uint_eq(timeline_position(d.tl), 1001);
    ck_assert_uint_eq(event_log_count(timeline_log(d.tl)), 1);
    seek(&d, 3000);
    ck_assert_uint_eq(d.m->cpus[1]->share->steps, made);
    hash = machine_hash(d.m);
    /* Before that, nobody can be held; after it, those and none else. */
    seek(&d, 900);
    ck_assert_uint_eq(machine_held(d.m), 0);
    ck_assert_int_eq(timeline_hold(d.tl, 2, &err), -EROFS);
    ck_assert_ptr_nonnull(strstr(err.text, "cannot hold a CPU in the past"));
    seek(&d, 2000);
    ck_assert_int_eq(timeline_hold(d.tl, 2, &err), 0);
    ck_assert_int_eq(timeline_hold(d.tl, 4, &err), -EROFS);
    /* Who lets it go in the past goes through what happened, and has it go at the edge. */
    ck_assert_int_eq(timeline_hold(d.tl, 0, &err), 0);
    seek(&d, 3000);
    ck_assert_uint_eq(machine_hash(d.m), hash);
    seek(&d, 4000);
    ck_assert_uint_eq(machine_held(d.m), 0);
    ck_assert_uint_eq(event_log_count(timeline_log(d.tl)), 2);
    ck_assert_uint_eq(event_log_get(timeline_log(d.tl), 1)->position, 3000);
    ck_assert_uint_gt(d.m->cpus[1]->share->steps, made);
    get_up(&d);
}
END_TEST

START_TEST(if_all_are_held_the_guest_sleeps)
{
    struct desk d;

    sit_down(&d, counters(), (struct timeline_config){.live = true});
    seek(&d, 100);
    ck_assert_int_eq(timeline_hold(d.tl, 7, NULL), 0);
    d.interrupt_wait = 1;
    ck_assert_int_eq(cont(&d, FORWARD), TIMELINE_INTERRUPTED);
    ck_assert_uint_eq(timeline_position(d.tl), 101);
    ck_assert_int_eq(timeline_hold(d.tl, 0, NULL), 0);
    ck_assert_int_eq(seek(&d, 200), TIMELINE_SEEK_DONE);
    get_up(&d);
}
END_TEST

START_TEST(a_write_at_the_edge_is_one_step_that_steps_pass_over)
{
    uint32_t value = 0xabcd, bad = 3;
    struct error err;
    uint64_t hash;
    struct desk d;

    sit_down(&d, stray_write(), (struct timeline_config){.live = true});
    seek(&d, 1000);
    hash = machine_hash(d.m);
    ck_assert_int_eq(timeline_write_register(d.tl, 8, &bad, 4, &err), -EINVAL); /* not aligned */
    ck_assert_int_eq(timeline_write_register(d.tl, 9, &value, 4, &err), -EINVAL);
    ck_assert_int_eq(timeline_write_register(d.tl, 2, &value, 3, &err), -EINVAL);
    ck_assert_int_eq(timeline_write_memory(d.tl, 5, false, &value, 4, &err), -EFAULT);
    ck_assert_int_eq(timeline_write_memory(d.tl, TOY_BYTES - 2, true, &value, 4, &err), -EFAULT);
    ck_assert_uint_eq(machine_hash(d.m), hash); /* none of them left a trace */
    ck_assert_uint_eq(event_log_count(timeline_log(d.tl)), 0);
    ck_assert_int_eq(timeline_write_register(d.tl, 6, &value, 4, &err), 0);
    ck_assert_int_eq(timeline_write_memory(d.tl, VA(0x3ffe), false, &value, 4, &err), 0);
    ck_assert_uint_eq(timeline_position(d.tl), 1002);
    ck_assert_uint_eq(toy_state(d.m)->r[6], 0xabcd);
    ck_assert_uint_eq(memory_read(&d.m->memory, 0x3ffe, 4), 0xabcd);
    ck_assert_int_eq(step(&d, FORWARD), TIMELINE_STEP_DONE);
    ck_assert_uint_eq(timeline_position(d.tl), 1003);
    ck_assert_int_eq(step(&d, BACKWARD), TIMELINE_STEP_DONE);
    ck_assert_uint_eq(timeline_position(d.tl), 1002);
    ck_assert_int_eq(step(&d, BACKWARD), TIMELINE_STEP_DONE);
    ck_assert_uint_eq(timeline_position(d.tl), 999);
    ck_assert_uint_eq(toy_state(d.m)->r[6], 0);
    ck_assert_int_eq(step(&d, FORWARD), TIMELINE_STEP_DONE);
    ck_assert_uint_eq(timeline_position(d.tl), 1002);
    ck_assert_uint_eq(toy_state(d.m)->r[6], 0xabcd);
    get_up(&d);
}
END_TEST

START_TEST(the_guests_end_is_a_stop_that_one_can_go_back_from)
{
    struct machine *m = toy_machine();
    struct desk d;

    toy_put(m, 16, TOY_END, 0, 0, 0, 5);
    sit_down(&d, m, (struct timeline_config){.live = true});
    ck_assert_int_eq(cont(&d, FORWARD), TIMELINE_GUEST_END);
    ck_assert_uint_eq(timeline_position(d.tl), 3);
    ck_assert_uint_eq(d.m->st->end_status, 5);
    ck_assert_int_eq(cont(&d, FORWARD), TIMELINE_GUEST_END);
    ck_assert_int_eq(step(&d, FORWARD), TIMELINE_GUEST_END);
    ck_assert_uint_eq(timeline_position(d.tl), 3);
    ck_assert_int_eq(step(&d, BACKWARD), TIMELINE_STEP_DONE);
    ck_assert_uint_eq(d.m->st->end, GUEST_RUNS);
    ck_assert_int_eq(cont(&d, FORWARD), TIMELINE_GUEST_END);
    /* Only a reset goes on from there; it is history then. */
    ck_assert_int_eq(timeline_reset(d.tl, NULL), 0);
    ck_assert_uint_eq(toy_state(d.m)->pc, 0);
    ck_assert_int_eq(step(&d, FORWARD), TIMELINE_STEP_DONE);
    ck_assert_uint_eq(timeline_position(d.tl), 5);
    ck_assert_int_eq(seek(&d, 1), TIMELINE_SEEK_DONE);
    ck_assert_int_eq(seek(&d, 5), TIMELINE_SEEK_DONE);
    get_up(&d);
}
END_TEST

START_TEST(going_on_from_a_triple_fault_resets_the_machine)
{
    struct machine *m = toy_machine();
    struct desk d;

    toy_put(m, 16, TOY_END, 1, 0, 0, 0);
    sit_down(&d, m, (struct timeline_config){.live = true});
    ck_assert_int_eq(cont(&d, FORWARD), TIMELINE_GUEST_END);
    ck_assert_int_eq(cont(&d, FORWARD), TIMELINE_GUEST_END); /* once round */
    ck_assert_uint_eq(timeline_position(d.tl), 7);
    d.m->no_reboot = true;
    ck_assert_int_eq(cont(&d, FORWARD), TIMELINE_GUEST_END);
    ck_assert_uint_eq(timeline_position(d.tl), 7);
    /* It is a stop again for whoever comes there by running or stepping, not on the way to a place. */
    ck_assert_int_eq(seek(&d, 5), TIMELINE_SEEK_DONE);
    ck_assert_int_eq(seek(&d, 1), TIMELINE_SEEK_DONE);
    ck_assert_int_eq(cont(&d, FORWARD), TIMELINE_GUEST_END);
    ck_assert_uint_eq(timeline_position(d.tl), 3);
    ck_assert_int_eq(cont(&d, FORWARD), TIMELINE_GUEST_END);
    ck_assert_uint_eq(timeline_position(d.tl), 7);
    ck_assert_int_eq(seek(&d, 2), TIMELINE_SEEK_DONE);
    ck_assert_int_eq(step(&d, FORWARD), TIMELINE_GUEST_END);
    ck_assert_uint_eq(timeline_position(d.tl), 3);
    ck_assert_int_eq(step(&d, FORWARD), TIMELINE_STEP_DONE);
    ck_assert_uint_eq(timeline_position(d.tl), 5);
    get_up(&d);
}
END_TEST

/* ---- recordings ---- */

/* Asks everything of the outside. */
static struct machine *curious(void)
{
    struct machine *m = toy_machine();

    toy_put(m, 0, TOY_TIMER, 2, 1, 0, 3000);
    toy_put(m, 8, TOY_STI, 0, 0, 0, 0);
    toy_put(m, 16, TOY_HLT, 0, 0, 0, 0);
    toy_put(m, 24, TOY_CLOCK, 1, 0, 0, 0);
    toy_put(m, 32, TOY_RANDOM, 2, 0, 0, 0);
    toy_put(m, 40, TOY_OUT, 2, 0, 0, 0);
    toy_put(m, 48, TOY_JMP, 0, 0, 0, 16);
    toy_put(m, TOY_VECTOR, TOY_ST, 1, 2, 0, 0x3000);
    toy_put(m, TOY_VECTOR + 8, TOY_IRET, 0, 0, 0, 0);
    return m;
}

static struct event_log *copy_log(const struct event_log *from, bool without_clock)
{
    struct event_log *to = event_log_create();

    for (uint64_t n = 0; n < event_log_count(from); n++) {
        const struct event *e = event_log_get(from, n);

        if (!(without_clock && n == 40))
            event_log_append(to, e);
    }
    return to;
}

START_TEST(a_history_replays_on_another_machine_to_the_same_states)
{
    uint64_t hash[51];
    struct timeline_config replay = {.live = false}, go_on = {.live = true};
    struct error err;
    struct desk a, b;

    sit_down(&a, curious(), (struct timeline_config){.live = true, .sleep = true});
    for (unsigned i = 0; i <= 50; i++) {
        timeline_input(a.tl, toy_serial(a.m), "q", 1, false);
        ck_assert_int_eq(seek(&a, i * 100), TIMELINE_SEEK_DONE);
        hash[i] = machine_hash(a.m);
    }
    sit_down(&b, curious(), replay);
    timeline_adopt(b.tl, copy_log(timeline_log(a.tl), false), timeline_edge(a.tl), timeline_edge_vtime(a.tl), NULL);
    b.wall = 1000000; /* another day */
    for (unsigned i = 0; i <= 50; i++) {
        ck_assert_int_eq(seek(&b, i * 100), TIMELINE_SEEK_DONE);
        ck_assert_uint_eq(machine_hash(b.m), hash[i]);
    }
    ck_assert_uint_eq(b.wall, 1000000);
    ck_assert_uint_eq(a.output.len, b.output.len);
    ck_assert(!memcmp(a.output.data, b.output.data, a.output.len));
    ck_assert_int_eq(cont(&b, FORWARD), TIMELINE_REPLAY_END);
    ck_assert_int_eq(step(&b, FORWARD), TIMELINE_REPLAY_END);
    ck_assert_int_eq(seek(&b, 6000), TIMELINE_REPLAY_END);
    ck_assert_uint_eq(timeline_position(b.tl), 5000);
    ck_assert_int_eq(timeline_reset(b.tl, &err), -EROFS);
    for (unsigned i = 50; i-- > 0;) {
        ck_assert_int_eq(seek(&b, i * 100), TIMELINE_SEEK_DONE);
        ck_assert_uint_eq(machine_hash(b.m), hash[i]);
    }
    get_up(&b);
    /* Or it goes on from there. */
    sit_down(&b, curious(), go_on);
    timeline_adopt(b.tl, copy_log(timeline_log(a.tl), false), timeline_edge(a.tl), timeline_edge_vtime(a.tl), NULL);
    ck_assert_int_eq(seek(&b, 6000), TIMELINE_SEEK_DONE);
    ck_assert_uint_gt(b.wall, 0);
    seek(&b, 5000);
    ck_assert_uint_eq(machine_hash(b.m), hash[50]);
    get_up(&b);
    get_up(&a);
}
END_TEST

START_TEST(a_replay_that_disagrees_with_its_log_says_where)
{
    struct machine *other = curious();
    struct desk a, b;

    sit_down(&a, curious(), (struct timeline_config){.live = true});
    seek(&a, 5000);
    /* An answer is missing. */
    sit_down(&b, curious(), (struct timeline_config){.live = false});
    timeline_adopt(b.tl, copy_log(timeline_log(a.tl), true), 5000, 0, NULL);
    ck_assert_int_eq(cont(&b, FORWARD), TIMELINE_DIVERGED);
    ck_assert_ptr_nonnull(strstr(timeline_divergence(b.tl), "diverges at position"));
    ck_assert_int_eq(seek(&b, 10), TIMELINE_SEEK_DONE);
    ck_assert_int_eq(cont(&b, FORWARD), TIMELINE_DIVERGED);
    get_up(&b);
    /* Another program, which does not ask. */
    toy_put(other, 24, TOY_NOP, 0, 0, 0, 0);
    sit_down(&b, other, (struct timeline_config){.live = false});
    timeline_adopt(b.tl, copy_log(timeline_log(a.tl), false), 5000, 0, NULL);
    ck_assert_int_eq(cont(&b, FORWARD), TIMELINE_DIVERGED);
    get_up(&b);
    get_up(&a);
}
END_TEST

Suite *test_suite(void)
{
    Suite *s = suite_create("timeline claims");
    TCase *t = tcase_create("all");

    tcase_set_timeout(t, 60);
    tcase_add_test(t, a_watchpoint_before_the_access_stops_a_step_earlier_on_the_way);
    tcase_add_test(t, frames_that_came_together_are_given_together_as_long_as_there_is_room);
    tcase_add_test(t, an_interrupt_is_answered_soon_in_either_direction);
    tcase_add_test(t, a_repeated_instruction_is_one_step_in_both_directions);
    tcase_add_test(t, a_watched_byte_stops_a_repeated_instruction_after_and_before_the_access);
    tcase_add_test(t, breakpoint_at_current_pc_is_not_reported_again_in_either_direction);
    tcase_add_test(t, breakpoints_told_at_the_edge_are_found_again_though_input_came_while_it_stood_there);
    tcase_add_test(t, last_write_goes_before_the_last_write_whatever_else_is_watched);
    tcase_add_test(t, with_sleep_on_a_sleeping_guest_waits_for_its_deadline);
    tcase_add_test(t, with_sleep_off_the_clock_jumps);
    tcase_add_test(t, input_ends_a_sleep_early_and_replays_at_the_same_instant);
    tcase_add_test(t, a_sleep_goes_on_over_deadlines_that_wake_nobody_and_the_state_is_the_same);
    tcase_add_test(t, a_sleep_over_deadlines_lasts_a_second_at_most_and_no_time_is_lost);
    tcase_add_test(t, an_interrupted_sleep_goes_on_where_it_was);
    tcase_add_test(t, input_waits_for_room_and_messages_stay_whole);
    tcase_add_test(t, input_that_has_its_time_comes_then_whatever_the_host_does);
    tcase_add_test(t, input_that_has_its_time_and_no_room_waits_for_it);
    tcase_add_test(t, the_past_is_refused_with_a_text_that_says_what_to_do);
    tcase_add_test(t, a_cpu_held_at_the_edge_stands_and_in_the_past_it_stood_where_it_did);
    tcase_add_test(t, on_a_branch_the_outside_is_not_asked);
    tcase_add_test(t, cpus_can_be_held_on_a_branch_that_begins_in_the_past);
    tcase_add_test(t, if_all_are_held_the_guest_sleeps);
    tcase_add_test(t, a_write_at_the_edge_is_one_step_that_steps_pass_over);
    tcase_add_test(t, the_guests_end_is_a_stop_that_one_can_go_back_from);
    tcase_add_test(t, going_on_from_a_triple_fault_resets_the_machine);
    tcase_add_test(t, a_history_replays_on_another_machine_to_the_same_states);
    tcase_add_test(t, a_replay_that_disagrees_with_its_log_says_where);
    suite_add_tcase(s, t);
    return s;
}
