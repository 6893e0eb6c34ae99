/*
 * Whose turn it is: what the slots promise, and that a machine's steps are made by who the slots, sleep and
 * yielding say.
 */
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "vm/schedule.h"
#include "tests/check_main.h"
#include "tests/vm/vm_toy.h"

#define POSITIONS 2000000u

static struct time_slot at(const struct schedule *s, unsigned ncpus, icount_t position)
{
    return schedule_slot(s, ncpus, 0, position);
}

START_TEST(without_a_seed_cpus_take_turns)
{
    const struct schedule s = {.quantum = 7};

    for (icount_t p = 0; p < 1000; p++) {
        struct time_slot slot = at(&s, 3, p);

        ck_assert_uint_eq(slot.cpu, p / 7 % 3);
        ck_assert_uint_eq(slot.first, p / 7 * 7);
        ck_assert_uint_eq(slot.end, slot.first + 7);
        ck_assert_uint_eq(slot.starved, SCHEDULE_NOBODY);
    }
}
END_TEST

/* Slots follow each other without gaps, whichever position inside is asked for, and in whatever order. */
START_TEST(slots_are_a_pure_function_of_the_position)
{
    static const icount_t quanta[] = {1, 2, 5, 64, 1000, SCHEDULE_QUANTUM};

    for (unsigned q = 0; q < ARRAY_LEN(quanta); q++)
        for (uint64_t seed = 0; seed < 6; seed++) {
            const struct schedule s = {.quantum = quanta[q], .seed = seed, .seeded = true, .starve = seed & 1};
            icount_t p = 0;

            for (unsigned i = 0; i < 3000; i++) {
                struct time_slot slot = at(&s, 4, p), again = at(&s, 4, slot.first + (slot.end - slot.first) / 2);

                ck_assert_uint_eq(slot.first, p);
                ck_assert_uint_gt(slot.end, p);
                ck_assert_uint_le(slot.end - p, quanta[q]);
                ck_assert_uint_lt(slot.cpu, 4);
                ck_assert(again.first == slot.first && again.end == slot.end && again.cpu == slot.cpu &&
                          again.starved == slot.starved);
                p = slot.end;
            }
        }
}
END_TEST

START_TEST(a_seed_draws_cpus_and_lengths_down_to_single_steps)
{
    const struct schedule s = {.quantum = 4096, .seed = 42, .seeded = true}, other = {.quantum = 4096, .seed = 43, .seeded = true};
    unsigned cpus[4] = {0}, lengths[13] = {0}, differ = 0, slots = 0;

    for (icount_t p = 0; p < POSITIONS * 20ull;) {
        struct time_slot slot = at(&s, 4, p);
        icount_t length = slot.end - slot.first;

        cpus[slot.cpu]++;
        slots++;
        differ += at(&other, 4, p).cpu != slot.cpu;
        if (!(length & (length - 1)))
            lengths[__builtin_ctzll(length)]++;
        p = slot.end;
    }
    for (unsigned i = 0; i < 4; i++)
        ck_assert(cpus[i] > slots / 5 && cpus[i] < slots / 3);
    for (unsigned i = 0; i < 13; i++)
        ck_assert_uint_gt(lengths[i], 0);
    ck_assert_uint_gt(differ, slots / 2);
}
END_TEST

START_TEST(starving_takes_a_fifth_of_the_time_in_long_and_in_short)
{
    const struct schedule s = {.quantum = 500, .seed = 7, .seeded = true, .starve = true};
    uint64_t starved = 0, all = 0;
    icount_t since = 0, longest = 0, shortest = ICOUNT_MAX;

    for (icount_t p = 0; p < UINT64_C(1) << 33;) { /* a sample: each 20th slot or so */
        struct time_slot slot = at(&s, 4, p);

        all++;
        starved += slot.starved != SCHEDULE_NOBODY;
        if (slot.starved == SCHEDULE_NOBODY) {
            if (since && p - since > longest)
                longest = p - since;
            if (since && p - since < shortest)
                shortest = p - since;
            since = 0;
        } else if (!since) {
            since = p;
        }
        p += 10007;
    }
    ck_assert_msg(starved > all / 10 && starved < all / 3, "%llu of %llu", (unsigned long long)starved,
                  (unsigned long long)all);
    ck_assert_uint_gt(longest, 20000000);
    ck_assert_uint_lt(shortest, 100000);
}
END_TEST

/* A machine whose CPUs run in circles, each at its own place. */
static struct machine *circles(unsigned ncpus, enum toy_op first)
{
    struct machine *m = toy_machine_of(ncpus);
    uint8_t code[8] = {(uint8_t)first, TOY_NOP, TOY_JMP, 0, 0, 0};
    int16_t back = -6;

    memcpy(code + 4, &back, 2);
    for (unsigned n = 0; n < ncpus; n++) {
        toy_poke(m, 0x1000 * (n + 1), code, sizeof(code));
        toy_nth(m, n)->st->pc = 0x1000 * (n + 1);
    }
    machine_restored(m);
    return m;
}

static void run_to(struct machine *m, icount_t position, struct stop *stop)
{
    machine_run(m, position, stop);
    ck_assert_int_eq(stop->kind, STOP_LIMIT);
}

START_TEST(a_step_is_made_by_the_cpu_of_its_slot)
{
    struct machine *m = circles(3, TOY_NOP);
    icount_t made[3] = {0};
    struct stop stop;

    m->schedule = (struct schedule){.quantum = 20, .seed = 5, .seeded = true};
    for (icount_t p = 0; p < 5000; p++) {
        unsigned whose = schedule_slot(&m->schedule, 3, m->icount_shift, p).cpu;

        run_to(m, p + 1, &stop);
        ck_assert_uint_eq(stop.cpu, whose);
        made[whose]++;
        for (unsigned n = 0; n < 3; n++)
            ck_assert_uint_eq(m->cpus[n]->share->steps, made[n]);
    }
    machine_destroy(m);
}
END_TEST

START_TEST(a_cpu_that_sleeps_is_passed_over_until_it_is_woken)
{
    struct machine *m = circles(3, TOY_NOP);
    struct stop stop;

    m->schedule.quantum = 10;
    toy_nth(m, 1)->st->halted = 1;
    run_to(m, 3000, &stop);
    ck_assert_uint_eq(m->cpus[1]->share->steps, 0);
    ck_assert_uint_eq(m->cpus[0]->share->steps, 1000);
    ck_assert_uint_eq(m->cpus[2]->share->steps, 2000); /* its own slots, and those of CPU 1 */
    toy_nth(m, 1)->st->irq = 1;
    toy_nth(m, 1)->st->ie = 1;
    run_to(m, 6000, &stop);
    ck_assert_uint_eq(m->cpus[1]->share->steps, 1000);
    machine_destroy(m);
}
END_TEST

START_TEST(a_cpu_that_is_held_makes_no_step_whatever_wakes_it)
{
    struct machine *m = circles(3, TOY_NOP);
    struct stop stop;

    m->schedule.quantum = 10;
    m->cpus[1]->share->held = 1;
    toy_nth(m, 1)->st->irq = 1;
    toy_nth(m, 1)->st->ie = 1;
    ck_assert_uint_eq(machine_held(m), 2);
    run_to(m, 3000, &stop);
    ck_assert_uint_eq(m->cpus[1]->share->steps, 0);
    ck_assert_uint_eq(m->cpus[2]->share->steps, 2000);
    machine_reset(m);
    ck_assert_uint_eq(machine_held(m), 2);
    m->cpus[0]->share->held = m->cpus[2]->share->held = 1;
    machine_run(m, 4000, &stop);
    ck_assert_int_eq(stop.kind, STOP_IDLE);
    ck_assert_uint_eq(m->st->position, 3000);
    ck_assert_ptr_null(machine_impossible_part(m));
    m->cpus[0]->share->held = 2;
    ck_assert_str_eq(machine_impossible_part(m), "cpu's share");
    machine_destroy(m);
}
END_TEST

START_TEST(the_last_one_awake_goes_on_if_all_others_are_held_and_gives_up_its_turn)
{
    struct machine *m = circles(2, TOY_YIELD);
    struct stop stop;

    m->cpus[1]->share->held = 1;
    run_to(m, 1000, &stop);
    ck_assert_uint_eq(m->cpus[0]->share->steps, 1000);
    machine_destroy(m);
}
END_TEST

START_TEST(a_share_of_an_older_layout_holds_nobody)
{
    struct machine *m = circles(2, TOY_NOP);
    const uint64_t old[2] = {5, 7};

    m->cpus[1]->share->held = 1;
    ck_assert(machine_upgrade_share(m->cpus[1], 1, old, sizeof(old)));
    ck_assert_uint_eq(m->cpus[1]->share->steps, 5);
    ck_assert_uint_eq(m->cpus[1]->share->yielded, 7);
    ck_assert_uint_eq(machine_held(m), 0);
    ck_assert(!machine_upgrade_share(m->cpus[1], 1, old, 8));
    ck_assert(!machine_upgrade_share(m->cpus[1], 9, old, sizeof(old)));
    machine_destroy(m);
}
END_TEST

START_TEST(who_yields_gives_the_rest_of_its_slot_to_the_next)
{
    struct machine *m = circles(2, TOY_YIELD);
    struct stop stop;

    m->schedule.quantum = 100;
    toy_poke(m, 0x2000, "", 1); /* CPU 1 does not yield: NOP NOP JMP */
    run_to(m, 100, &stop);
    ck_assert_uint_eq(m->cpus[0]->share->steps, 1);
    ck_assert_uint_eq(m->cpus[1]->share->steps, 99);
    run_to(m, 200, &stop);
    ck_assert_uint_eq(m->cpus[1]->share->steps, 199);
    toy_nth(m, 1)->st->halted = 1; /* nobody else is awake: it goes on alone */
    run_to(m, 1000, &stop);
    ck_assert_uint_eq(m->cpus[0]->share->steps, 801);
    machine_destroy(m);
}
END_TEST

START_TEST(an_interrupt_sent_to_a_sleeper_is_its_next_step)
{
    struct machine *m = circles(2, TOY_NOP);
    uint8_t code[2] = {TOY_IPI, 0};
    struct stop stop;

    m->schedule.quantum = 1000000;
    toy_poke(m, 0x2000, code, sizeof(code)); /* CPU 1: interrupt CPU r0, which is 0 */
    toy_nth(m, 0)->st->halted = 1;
    toy_nth(m, 0)->st->ie = 1;
    run_to(m, 2, &stop);
    ck_assert_uint_eq(m->cpus[1]->share->steps, 1);
    ck_assert_uint_eq(m->cpus[0]->share->steps, 1); /* its slot: it is at once its turn */
    ck_assert_uint_eq(stop.cpu, 0);
    machine_destroy(m);
}
END_TEST

Suite *test_suite(void)
{
    Suite *suite = suite_create("schedule");
    TCase *t = tcase_create("schedule");

    tcase_add_test(t, without_a_seed_cpus_take_turns);
    tcase_add_test(t, slots_are_a_pure_function_of_the_position);
    tcase_add_test(t, a_seed_draws_cpus_and_lengths_down_to_single_steps);
    tcase_add_test(t, starving_takes_a_fifth_of_the_time_in_long_and_in_short);
    tcase_add_test(t, a_step_is_made_by_the_cpu_of_its_slot);
    tcase_add_test(t, a_cpu_that_sleeps_is_passed_over_until_it_is_woken);
    tcase_add_test(t, a_cpu_that_is_held_makes_no_step_whatever_wakes_it);
    tcase_add_test(t, the_last_one_awake_goes_on_if_all_others_are_held_and_gives_up_its_turn);
    tcase_add_test(t, a_share_of_an_older_layout_holds_nobody);
    tcase_add_test(t, who_yields_gives_the_rest_of_its_slot_to_the_next);
    tcase_add_test(t, an_interrupt_sent_to_a_sleeper_is_its_next_step);
    tcase_set_timeout(t, 300);
    suite_add_tcase(suite, t);
    return suite;
}
