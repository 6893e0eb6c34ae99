/*
 * What going back costs, and so where checkpoints are: dense at the edge, sparse behind, fewer where memory is dear to copy,
 * within their budget, and before a sleep.
 */
#include <errno.h>
#include <stdio.h>

#include "desk.h"

START_TEST(a_reverse_search_does_not_run_segments_that_never_touched_the_page)
{
    struct timeline_stats before, after;
    struct desk d;

    sit_down(&d, stray_write(), (struct timeline_config){.live = true, .slice_steps = 200});
    d.tick = 400000;
    ck_assert_int_eq(seek(&d, 3000000), TIMELINE_SEEK_DONE);
    ck_assert_uint_gt(checkpoint_count(timeline_checkpoints(d.tl)), 15);
    watch(&d, 0x5000, 4);
    before = stats_of(&d);
    ck_assert_int_eq(cont(&d, BACKWARD), TIMELINE_WATCHPOINT);
    after = stats_of(&d);
    ck_assert_uint_eq(timeline_position(d.tl), 1);
    /* Those that were noted together with the one that did are run, too. */
    ck_assert_uint_ge(after.segments_skipped - before.segments_skipped, 13);
    ck_assert_uint_le(after.segments_replayed - before.segments_replayed, 2);
    ck_assert_uint_lt(after.steps_replayed - before.steps_replayed, 500000);
    /* Forward, too: to the edge, over known ground, where nothing hits. */
    before = after;
    timeline_replay_break(d.tl, 3000000);
    ck_assert_int_eq(step(&d, FORWARD), TIMELINE_WATCHPOINT);
    ck_assert_int_eq(cont(&d, FORWARD), TIMELINE_REPLAY_BREAK);
    after = stats_of(&d);
    ck_assert_uint_eq(timeline_position(d.tl), 3000000);
    ck_assert_uint_lt(after.steps_replayed - before.steps_replayed, 1000000);
    get_up(&d);
}
END_TEST

/* Checkpoints taken while so much processor time goes by at the edge. */
static uint64_t takes_in(struct desk *d, uint64_t ns)
{
    struct checkpoint_store_info before, after;
    uint64_t began = d->now;

    checkpoint_store_info(timeline_checkpoints(d->tl), &before);
    while (d->now - began < ns)
        ck_assert_int_eq(seek(d, timeline_position(d->tl) + 5000), TIMELINE_SEEK_DONE);
    checkpoint_store_info(timeline_checkpoints(d->tl), &after);
    return after.takes - before.takes;
}

START_TEST(a_checkpoint_that_will_cost_much_is_put_off_before_any_has_cost_much)
{
    enum { PAGES = 8000 };
    struct machine *m = stray_write();
    struct sparse_pages much;
    struct desk d;

    sparse_pages_init(&much, "much", (uint64_t)PAGES << PAGE_SHIFT);
    machine_add_pages(m, &much.space);
    sit_down(&d, m, (struct timeline_config){.live = true, .slice_steps = 100});
    ck_assert_uint_ge(takes_in(&d, 100000000), 2);
    /* (Nobody goes back over this.) */
    for (uint64_t n = 0; n < PAGES; n++)
        sparse_page_touch(&much, n)[0] = 1;
    ck_assert_uint_eq(takes_in(&d, 100000000), 0);
    /* Put off, not given up; and the next one costs little again. */
    ck_assert_uint_ge(takes_in(&d, 1000000000), 5);
    get_up(&d);
    sparse_pages_finish(&much);
}
END_TEST

/* Checkpoints taken until the user stops the guest, who does at that poll. */
static uint64_t takes_for_a_stop(struct desk *d, uint64_t poll)
{
    struct checkpoint_store_info before, after;

    checkpoint_store_info(timeline_checkpoints(d->tl), &before);
    d->polls = 0;
    d->interrupt_poll = poll;
    ck_assert_int_eq(cont(d, FORWARD), TIMELINE_INTERRUPTED);
    checkpoint_store_info(timeline_checkpoints(d->tl), &after);
    return after.takes - before.takes;
}

START_TEST(a_checkpoint_is_placed_right_before_where_the_user_stops_the_guest)
{
    enum { PAGES = 8000, MANY = 30000 };
    struct machine *m = stray_write();
    struct timeline_stats before, after;
    struct sparse_pages much;
    struct desk d;

    sparse_pages_init(&much, "much", (uint64_t)MANY << PAGE_SHIFT);
    machine_add_pages(m, &much.space);
    sit_down(&d, m, (struct timeline_config){.live = true, .slice_steps = 100});
    for (uint64_t n = 0; n < PAGES; n++)
        sparse_page_touch(&much, n)[0] = 1;
    /* It is not time for one yet, at what a page costs. */
    ck_assert_uint_eq(takes_for_a_stop(&d, 60), 1);
    before = stats_of(&d);
    ck_assert_int_eq(step(&d, BACKWARD), TIMELINE_STEP_DONE);
    after = stats_of(&d);
    ck_assert_uint_lt(after.steps_replayed - before.steps_replayed, 2000);
    /* None where one is near. */
    ck_assert_uint_eq(takes_for_a_stop(&d, 3), 0);
    get_up(&d);
    sparse_pages_finish(&much);

    /* Nor where it takes longer than running from the one before. */
    m = stray_write();
    sparse_pages_init(&much, "much", (uint64_t)MANY << PAGE_SHIFT);
    machine_add_pages(m, &much.space);
    sit_down(&d, m, (struct timeline_config){.live = true, .slice_steps = 100});
    for (uint64_t n = 0; n < MANY; n++)
        sparse_page_touch(&much, n)[0] = 1;
    ck_assert_uint_eq(takes_for_a_stop(&d, 30), 0);
    ck_assert_uint_eq(takes_for_a_stop(&d, 200), 1);
    get_up(&d);
    sparse_pages_finish(&much);
}
END_TEST

START_TEST(the_way_back_from_a_hit_is_made_short_while_the_user_thinks)
{
    struct timeline_stats before, after;
    struct desk d;
    icount_t here;
    uint64_t hash;

    /* Checkpoints far apart; a breakpoint is hit for the second time. */
    sit_down(&d, stray_write(), (struct timeline_config){.live = true, .slice_steps = 100, .edge_interval_ns = 100000000000});
    ck_assert_int_eq(seek(&d, 2000000), TIMELINE_SEEK_DONE);
    breakpoint(&d, 24);
    ck_assert_int_eq(cont(&d, FORWARD), TIMELINE_BREAKPOINT);
    here = timeline_position(d.tl);
    hash = machine_hash(d.m);
    /* He thinks of something: then it stands as it stood. */
    d.polls = 0;
    d.interrupt_poll = 3;
    ck_assert(!timeline_prepare_back(d.tl));
    ck_assert_uint_eq(timeline_position(d.tl), here);
    ck_assert_uint_eq(machine_hash(d.m), hash);
    ck_assert(timeline_prepare_back(d.tl));
    ck_assert_uint_eq(timeline_position(d.tl), here);
    ck_assert_uint_eq(machine_hash(d.m), hash);
    ck_assert(!d.m->between);
    before = stats_of(&d);
    ck_assert(timeline_prepare_back(d.tl)); /* there is nothing to do */
    ck_assert_int_eq(step(&d, BACKWARD), TIMELINE_STEP_DONE);
    after = stats_of(&d);
    ck_assert_uint_eq(timeline_position(d.tl), here - 1);
    ck_assert_uint_lt(after.steps_replayed - before.steps_replayed, 1500);
    /* What was told is not told again, and what comes next is. */
    ck_assert_int_eq(step(&d, FORWARD), TIMELINE_STEP_DONE);
    ck_assert(timeline_prepare_back(d.tl));
    ck_assert_int_eq(cont(&d, FORWARD), TIMELINE_BREAKPOINT);
    ck_assert_uint_eq(timeline_position(d.tl), here + 3);
    get_up(&d);
}
END_TEST

START_TEST(memory_that_is_filled_bit_by_bit_does_not_put_checkpoints_off_for_ever)
{
    enum { PAGES = 40000 };
    struct machine *m = stray_write();
    struct checkpoint_store_info before, after;
    struct sparse_pages much;
    uint64_t filled = 0, began;
    struct desk d;

    sparse_pages_init(&much, "much", (uint64_t)PAGES << PAGE_SHIFT);
    machine_add_pages(m, &much.space);
    sit_down(&d, m, (struct timeline_config){.live = true, .slice_steps = 100});
    while (filled < 1000)
        sparse_page_touch(&much, filled++)[0] = 1;
    d.tick = 20000000; /* pages are dear to copy here */
    ck_assert_int_eq(seek(&d, 5000), TIMELINE_SEEK_DONE);
    d.tick = 100000;
    checkpoint_store_info(timeline_checkpoints(d.tl), &before);
    began = d.now;
    while (d.now - began < 20000000000) {
        /* (Running is a part of the time only.) At 16 us a page, it is some ten per cent of that to copy them. */
        while (filled < PAGES && filled < 1000 + (d.now - began) / 500000)
            sparse_page_touch(&much, filled++)[0] = 1;
        ck_assert_int_eq(seek(&d, timeline_position(d.tl) + 1000), TIMELINE_SEEK_DONE);
    }
    checkpoint_store_info(timeline_checkpoints(d.tl), &after);
    ck_assert_uint_ge(after.takes - before.takes, 2);
    get_up(&d);
    sparse_pages_finish(&much);
}
END_TEST

START_TEST(the_second_step_backward_runs_a_few_instructions_not_a_segment)
{
    struct timeline_stats before, after;
    struct desk d;

    /* Checkpoints far apart: the first step back is the long one. */
    sit_down(&d, stray_write(),
             (struct timeline_config){.live = true, .slice_steps = 5000, .edge_interval_ns = 100000000000});
    ck_assert_int_eq(seek(&d, 2000000), TIMELINE_SEEK_DONE);
    ck_assert_int_eq(step(&d, BACKWARD), TIMELINE_STEP_DONE);
    before = stats_of(&d);
    ck_assert_uint_ge(before.steps_replayed, 1900000);
    for (unsigned i = 0; i < 5000; i++) {
        ck_assert_int_eq(step(&d, BACKWARD), TIMELINE_STEP_DONE);
        ck_assert_uint_eq(timeline_position(d.tl), 2000000 - 2 - i);
    }
    after = stats_of(&d);
    ck_assert_uint_lt((after.steps_replayed - before.steps_replayed) / 5000, 1500);
    /* Nor does the first one after a seek, in whatever direction that went. */
    ck_assert_int_eq(seek(&d, 900000), TIMELINE_SEEK_DONE);
    ck_assert_int_eq(seek(&d, 1700000), TIMELINE_SEEK_DONE);
    before = stats_of(&d);
    ck_assert_int_eq(step(&d, BACKWARD), TIMELINE_STEP_DONE);
    after = stats_of(&d);
    ck_assert_uint_eq(timeline_position(d.tl), 1700000 - 1);
    ck_assert_uint_lt(after.steps_replayed - before.steps_replayed, 3000);
    get_up(&d);
}
END_TEST

START_TEST(the_first_step_backward_from_where_a_continue_ended_in_the_past_is_short)
{
    struct timeline_stats before, after;
    struct desk d;

    sit_down(&d, stray_write(), (struct timeline_config){.live = true, .slice_steps = 100});
    ck_assert_int_eq(seek(&d, 2000000), TIMELINE_SEEK_DONE);
    for (icount_t to = 600000; to <= 1400000; to += 54321) {
        const struct checkpoint_store *store = timeline_checkpoints(d.tl);

        ck_assert_int_eq(seek(&d, to - 250000), TIMELINE_SEEK_DONE);
        timeline_replay_break(d.tl, to);
        ck_assert_int_eq(cont(&d, FORWARD), TIMELINE_REPLAY_BREAK);
        before = stats_of(&d);
        ck_assert_int_eq(step(&d, BACKWARD), TIMELINE_STEP_DONE);
        after = stats_of(&d);
        ck_assert_uint_eq(timeline_position(d.tl), to - 1);
        ck_assert_uint_lt(after.steps_replayed - before.steps_replayed, 100 * 220);
        timeline_delete_replay_break(d.tl, to);
        /* The way there still has what is to last. */
        for (size_t i = 1; i < checkpoint_count(store); i++)
            ck_assert_uint_le(checkpoint_nth(store, i)->effort_ns - checkpoint_nth(store, i - 1)->effort_ns, 260000000);
    }
    get_up(&d);
}
END_TEST

START_TEST(checkpoints_follow_host_time_dense_at_the_edge_sparse_behind)
{
    const struct checkpoint_store *store;
    const struct checkpoint *c;
    struct desk d;
    size_t n;

    sit_down(&d, stray_write(), (struct timeline_config){.live = true, .slice_steps = 100});
    ck_assert_int_eq(seek(&d, 2000000), TIMELINE_SEEK_DONE); /* 20000 slices of 0.1 ms: two seconds and more */
    store = timeline_checkpoints(d.tl);
    n = checkpoint_count(store);
    ck_assert_uint_ge(n, 6 + 16);
    ck_assert_uint_le(n, 2 * 8 + 16 + 4);
    /* The first step back is short: */
    c = checkpoint_nth(store, n - 1);
    ck_assert_uint_le(2000000 - c->position, 100 * 220);
    for (size_t i = n - 10; i < n; i++)
        ck_assert_uint_le(checkpoint_nth(store, i)->position - checkpoint_nth(store, i - 1)->position, 100 * 220);
    for (size_t i = 1; i < n; i++)
        ck_assert_uint_le(checkpoint_nth(store, i)->effort_ns - checkpoint_nth(store, i - 1)->effort_ns, 260000000);
    get_up(&d);
}
END_TEST

/* Noise all over memory. */
static struct machine *noisy(void)
{
    struct machine *m = toy_machine();

    toy_put(m, 0, TOY_MOVI, 1, 0, 0, 1664525);
    toy_put(m, 8, TOY_MOVI, 5, 0, 0, 8);
    toy_put(m, 16, TOY_MUL, 2, 1, 0, 0);
    toy_put(m, 24, TOY_ADD, 4, 2, 0, 0);
    toy_put(m, 32, TOY_MUL, 4, 5, 0, 0); /* 8 * n + 1: spares the code */
    toy_put(m, 40, TOY_ST, 4, 2, 0, 0);
    toy_put(m, 48, TOY_JMP, 0, 0, 0, 16);
    return m;
}

START_TEST(the_memory_budget_holds_over_a_long_session)
{
    struct checkpoint_store_info info;
    struct desk d;

    sit_down(&d, noisy(), (struct timeline_config){.live = true, .slice_steps = 50, .checkpoint_memory = 2000000});
    for (icount_t p = 100000; p <= 2000000; p += 100000) {
        ck_assert_int_eq(seek(&d, p), TIMELINE_SEEK_DONE);
        timeline_checkpoint(d.tl);
        checkpoint_store_info(timeline_checkpoints(d.tl), &info);
        ck_assert_uint_le(info.bytes, 2000000);
    }
    ck_assert_uint_gt(info.removed, 20);
    ck_assert_int_eq(seek(&d, 777777), TIMELINE_SEEK_DONE);
    ck_assert_uint_eq(timeline_position(d.tl), 777777);
    get_up(&d);
}
END_TEST

START_TEST(a_named_snapshot_survives_thinning)
{
    struct machine *m = stray_write();
    const struct timeline_snapshot *list;
    struct timeline_stop stop;
    struct error err;
    struct desk d;

    sit_down(&d, m, (struct timeline_config){.live = true, .slice_steps = 200, .checkpoint_memory = 500000});
    seek(&d, 12345);
    ck_assert_int_eq(timeline_save_snapshot(d.tl, "here", 0, &err), 0);
    ck_assert_int_eq(timeline_save_snapshot(d.tl, "", 0, &err), -EINVAL);
    seek(&d, 500000);
    timeline_checkpoint(d.tl);
    ck_assert_ptr_nonnull(checkpoint_at(timeline_checkpoints(d.tl), 12345));
    ck_assert_uint_eq(timeline_snapshots(d.tl, &list), 1);
    ck_assert(!strcmp(list[0].name, "here") && list[0].position == 12345);
    ck_assert_int_eq(timeline_load_snapshot(d.tl, "there", &stop, &err), -ENOENT);
    ck_assert_ptr_nonnull(strstr(err.text, "there"));
    ck_assert_int_eq(timeline_load_snapshot(d.tl, "here", &stop, &err), 0);
    ck_assert_uint_eq(timeline_position(d.tl), 12345);
    ck_assert_int_eq(timeline_delete_snapshot(d.tl, "here", &err), 0);
    ck_assert_uint_eq(timeline_snapshots(d.tl, &list), 0);
    get_up(&d);
}
END_TEST

START_TEST(names_keep_within_the_memory_budget_and_stay_places_to_go_to)
{
    enum { NAMES = 60 };
    const uint64_t budget = 2000000;
    struct checkpoint_store_info info;
    uint64_t hash[NAMES];
    struct timeline_stop stop;
    struct error err;
    struct desk d;
    char name[8];

    sit_down(&d, noisy(), (struct timeline_config){.live = true, .slice_steps = 200, .checkpoint_memory = budget});
    for (unsigned i = 0; i < NAMES; i++) {
        ck_assert_int_eq(seek(&d, 100000 + 50000 * i), TIMELINE_SEEK_DONE);
        snprintf(name, sizeof name, "n%u", i);
        ck_assert_int_eq(timeline_save_snapshot(d.tl, name, 0, &err), 0);
        /* The same place, by another name. */
        ck_assert_int_eq(timeline_save_snapshot(d.tl, "newest", 0, &err), 0);
        hash[i] = machine_hash(d.m);
        checkpoint_store_info(timeline_checkpoints(d.tl), &info);
        ck_assert_uint_le(info.bytes, budget);
    }
    /* Those that had to go were said to, each once. */
    ck_assert_uint_ge(info.pinned, 5);
    ck_assert_uint_eq(d.unkept, NAMES - info.pinned);
    ck_assert_ptr_null(checkpoint_at(timeline_checkpoints(d.tl), 100000));
    ck_assert_ptr_nonnull(checkpoint_at(timeline_checkpoints(d.tl), 100000 + 50000 * (NAMES - 2)));
    for (unsigned i = NAMES; i-- > 0;) {
        snprintf(name, sizeof name, "n%u", i);
        ck_assert_int_eq(timeline_load_snapshot(d.tl, name, &stop, &err), 0);
        ck_assert_uint_eq(timeline_position(d.tl), 100000 + 50000 * i);
        ck_assert_uint_eq(machine_hash(d.m), hash[i]);
        /* A name has a pin, or none; either can be given back. */
        ck_assert_int_eq(timeline_delete_snapshot(d.tl, name, &err), 0);
    }
    ck_assert_int_eq(timeline_delete_snapshot(d.tl, "newest", &err), 0);
    checkpoint_store_info(timeline_checkpoints(d.tl), &info);
    ck_assert_uint_eq(info.pinned, 0);
    get_up(&d);
}
END_TEST

/* Each run of the CPU ends in a sleep, which belongs to no position. */
START_TEST(a_guest_that_sleeps_between_short_runs_gets_checkpoints)
{
    struct desk d;

    sit_down(&d, sleeper(1, 1000), (struct timeline_config){.live = true});
    d.tick = 400000;
    seek(&d, 5000);
    ck_assert_uint_gt(checkpoint_count(timeline_checkpoints(d.tl)), 10);
    get_up(&d);
}
END_TEST

/* Counts down for so many steps and sleeps, at COUNTED steps beyond them. Timer 0: flags, ns. */
#define COUNTED 4u
static struct machine *counts_and_sleeps(uint32_t steps, uint32_t timer_flags, uint32_t ns)
{
    struct machine *m = toy_machine();

    toy_put(m, 0, TOY_TIMER, 0, timer_flags, 0, ns);
    toy_put(m, 8, TOY_STI, 0, 0, 0, 0);
    toy_put(m, 16, TOY_MOVI, 4, 0, 0, steps);
    toy_put(m, 24, TOY_DJNZ, 4, 0, 0, 24);
    toy_put(m, 32, TOY_HLT, 0, 0, 0, 0);
    toy_put(m, 40, TOY_JMP, 0, 0, 0, 32);
    toy_put(m, TOY_VECTOR, TOY_IRET, 0, 0, 0, 0);
    return m;
}

START_TEST(what_was_changed_in_much_memory_is_saved_while_the_guest_sleeps)
{
    enum { PAGES = 60000, RUN = 40000 };
    struct machine *m = counts_and_sleeps(RUN, 0, 2000000000);
    struct checkpoint_store_info before, after;
    struct sparse_pages much;
    struct desk d;

    sparse_pages_init(&much, "much", (uint64_t)PAGES << PAGE_SHIFT);
    machine_add_pages(m, &much.space);
    sit_down(&d, m, (struct timeline_config){.live = true, .sleep = true, .slice_steps = 100});
    for (uint64_t n = 0; n < PAGES; n++)
        sparse_page_touch(&much, n)[0] = 1;
    checkpoint_store_info(timeline_checkpoints(d.tl), &before);
    ck_assert_int_eq(seek(&d, RUN + COUNTED), TIMELINE_SEEK_DONE);
    checkpoint_store_info(timeline_checkpoints(d.tl), &after);
    ck_assert_uint_eq(after.takes, before.takes); /* it would have cost too much */
    ck_assert_uint_eq(d.waits, 0);
    ck_assert_int_eq(step(&d, FORWARD), TIMELINE_STEP_DONE); /* the interrupt entry */
    checkpoint_store_info(timeline_checkpoints(d.tl), &after);
    ck_assert_uint_eq(after.takes, before.takes + 1);
    ck_assert_ptr_nonnull(checkpoint_at(timeline_checkpoints(d.tl), RUN + COUNTED));
    ck_assert_uint_ge(d.waited, 1900000000);
    ck_assert_uint_le(d.waited, 2000000000);
    get_up(&d);
    sparse_pages_finish(&much);
}
END_TEST

/* A silent tick each 10 ms: a sleep goes on over them, and is undone when it is interrupted. */
START_TEST(the_way_to_where_an_idle_guest_was_stopped_is_gone_once)
{
    enum { RUN = 40000 };
    struct timeline_stats before, after;
    struct desk d;

    /* (No checkpoints at the edge.) */
    sit_down(&d, counts_and_sleeps(RUN, 3, 10000000),
             (struct timeline_config){.live = true, .sleep = true, .slice_steps = 100, .edge_interval_ns = 100000000000});
    d.tick = 200000;
    ck_assert_int_eq(seek(&d, RUN + COUNTED), TIMELINE_SEEK_DONE);
    for (unsigned i = 0; i < 3; i++) {
        before = stats_of(&d);
        d.interrupt_wait = 2;
        ck_assert_int_eq(cont(&d, FORWARD), TIMELINE_INTERRUPTED);
        ck_assert_uint_eq(timeline_position(d.tl), RUN + COUNTED);
        after = stats_of(&d);
        ck_assert_int_eq(after.steps_replayed - before.steps_replayed > RUN / 2, i == 0);
    }
    get_up(&d);
}
END_TEST

Suite *test_suite(void)
{
    Suite *s = suite_create("placement");
    TCase *t = tcase_create("all");

    tcase_set_timeout(t, 60);
    tcase_add_test(t, a_reverse_search_does_not_run_segments_that_never_touched_the_page);
    tcase_add_test(t, a_checkpoint_that_will_cost_much_is_put_off_before_any_has_cost_much);
    tcase_add_test(t, a_checkpoint_is_placed_right_before_where_the_user_stops_the_guest);
    tcase_add_test(t, the_way_back_from_a_hit_is_made_short_while_the_user_thinks);
    tcase_add_test(t, memory_that_is_filled_bit_by_bit_does_not_put_checkpoints_off_for_ever);
    tcase_add_test(t, the_second_step_backward_runs_a_few_instructions_not_a_segment);
    tcase_add_test(t, the_first_step_backward_from_where_a_continue_ended_in_the_past_is_short);
    tcase_add_test(t, checkpoints_follow_host_time_dense_at_the_edge_sparse_behind);
    tcase_add_test(t, the_memory_budget_holds_over_a_long_session);
    tcase_add_test(t, a_named_snapshot_survives_thinning);
    tcase_add_test(t, names_keep_within_the_memory_budget_and_stay_places_to_go_to);
    tcase_add_test(t, a_guest_that_sleeps_between_short_runs_gets_checkpoints);
    tcase_add_test(t, what_was_changed_in_much_memory_is_saved_while_the_guest_sleeps);
    tcase_add_test(t, the_way_to_where_an_idle_guest_was_stopped_is_gone_once);
    suite_add_tcase(s, t);
    return s;
}
