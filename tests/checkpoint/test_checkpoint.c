/*
 * The checkpoint store, on a machine that has memory and no CPU: positions are
 * set by hand, "running" is writing pages.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/page_tree.h"
#include "tests/replay/toy.h"
#include "vm/machine.h"
#include "vm/trap.h"
#include "tests/check_main.h"

#define PAGES 2000u /* needs two levels of tree */

static struct machine *memory_machine(void)
{
    struct machine *m = machine_create(PAGES);
    uint32_t page = memory_alloc(&m->memory, "ram", PAGES << PAGE_SHIFT);

    memory_map(&m->memory, &(struct region){.size = PAGES << PAGE_SHIFT, .kind = REGION_RAM, .page = page,
                                            .enabled = true});
    machine_alloc_state(m, "device", 0, 5000); /* the arena takes more than one page */
    return m;
}

/* Pages full of noise do not compress; pages of text do. */
static void write_page(struct machine *m, uint32_t page, uint64_t seed, bool noise)
{
    uint32_t words[PAGE_SIZE / 4];

    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        words[i] = noise ? toy_rand(&seed) : (uint32_t)(seed % 251 + i % 3);
    memory_write_bytes(&m->memory, (paddr_t)page << PAGE_SHIFT, words, sizeof(words), false);
}

static void advance(struct machine *m, icount_t steps)
{
    m->st->position += steps;
    m->arena[m->arena_len - 100] ^= (uint8_t)m->st->position;
}

static struct checkpoint_store_info info_of(const struct checkpoint_store *s)
{
    struct checkpoint_store_info info;

    checkpoint_store_info(s, &info);
    return info;
}

START_TEST(a_checkpoint_brings_every_byte_back)
{
    struct machine *m = memory_machine();
    struct checkpoint_store *s = checkpoint_store_create(m, 1u << 30);
    uint64_t rng = 1, hash[64];
    struct checkpoint *c[64];

    for (unsigned i = 0; i < 64; i++) {
        for (unsigned n = toy_rand(&rng) % 40; n; n--) {
            uint32_t page = toy_rand(&rng) % PAGES;

            if (toy_rand(&rng) % 4)
                write_page(m, page, toy_rand(&rng), toy_rand(&rng) % 2);
            else
                memory_write(&m->memory, page << PAGE_SHIFT, 8, 0); /* perhaps zero again */
        }
        advance(m, 1 + toy_rand(&rng) % 1000);
        hash[i] = machine_hash(m);
        c[i] = checkpoint_take(s, CHECKPOINT_AUTO);
        if (i % 16 == 15)
            checkpoint_trim(s, 0, 0); /* nothing to do: must do nothing */
    }
    for (unsigned n = 0; n < 500; n++) {
        unsigned i = toy_rand(&rng) % 64;

        /* From wherever we are, dirty or not. */
        if (toy_rand(&rng) % 2)
            write_page(m, toy_rand(&rng) % PAGES, n, true);
        checkpoint_restore(s, c[i]);
        ck_assert_uint_eq(machine_hash(m), hash[i]);
        ck_assert_uint_eq(m->st->position, c[i]->position);
        ck_assert_uint_eq(m->memory.pages.ndirty, 0);
    }
    checkpoint_store_destroy(s);
    machine_destroy(m);
}
END_TEST

#define HUGE (UINT64_C(1) << 40) /* bytes of a space that is nearly all untouched */

START_TEST(a_sparse_space_of_a_terabyte_costs_and_hashes_what_was_touched)
{
    struct machine *m = memory_machine();
    struct sparse_pages disk;
    uint64_t rng = 9, empty = machine_hash(m), hash[32];
    struct checkpoint *c[32];
    struct checkpoint_view *v;
    struct checkpoint_store *s;

    sparse_pages_init(&disk, "disk0", HUGE);
    machine_add_pages(m, &disk.space);
    ck_assert_uint_eq(machine_hash(m), empty);
    s = checkpoint_store_create(m, 1u << 30);
    ck_assert_uint_eq(machine_pages(m), PAGES + 2 + (HUGE >> PAGE_SHIFT));
    v = checkpoint_view_create(s);
    for (unsigned i = 0; i < 32; i++) {
        for (unsigned k = 0; k < 8; k++) {
            uint64_t n = ((uint64_t)toy_rand(&rng) << 8) % (HUGE >> PAGE_SHIFT);

            memset(sparse_page_touch(&disk, k ? n : (HUGE >> PAGE_SHIFT) - 1), (int)(i + k) & 3, 100);
        }
        advance(m, 10);
        hash[i] = machine_hash(m);
        c[i] = checkpoint_take(s, CHECKPOINT_AUTO);
        checkpoint_view_move(v, c[i], NULL, NULL);
        ck_assert_uint_eq(checkpoint_view_hash(v), hash[i]);
    }
    for (unsigned n = 0; n < 200; n++) {
        unsigned i = toy_rand(&rng) % 32;

        memset(sparse_page_touch(&disk, toy_rand(&rng) % disk.space.count), 7, PAGE_SIZE);
        checkpoint_restore(s, c[i]);
        ck_assert_uint_eq(machine_hash(m), hash[i]);
        ck_assert_uint_le(disk.used, 8 * 32);
    }
    checkpoint_view_destroy(v);
    checkpoint_store_destroy(s);
    machine_destroy(m);
    sparse_pages_finish(&disk);
}
END_TEST

START_TEST(unchanged_and_zero_pages_cost_nothing)
{
    struct machine *m = memory_machine();
    struct checkpoint_store *s = checkpoint_store_create(m, 1u << 30);
    struct checkpoint_store_info a, b;
    struct checkpoint *first;

    for (uint32_t i = 0; i < 100; i++)
        write_page(m, i, i, true);
    first = checkpoint_take(s, CHECKPOINT_AUTO);
    a = info_of(s);
    ck_assert_uint_eq(a.in_place_pages, 100);
    ck_assert_uint_le(a.raw_pages, 2); /* the arena's */
    for (unsigned i = 0; i < 1000; i++) {
        advance(m, 1);
        write_page(m, 7, i, true);
        write_page(m, 8, 8, true);                                    /* written, not changed */
        memory_write(&m->memory, (paddr_t)1500 << PAGE_SHIFT, 8, 0);  /* written, still zero */
        checkpoint_take(s, CHECKPOINT_AUTO);
    }
    b = info_of(s);
    /* Each: one page, at most two of the arena, the paths to them; and what it was before, as the one that did not change. */
    ck_assert_uint_le(b.raw_pages - a.raw_pages, 3001);
    ck_assert_uint_eq(b.in_place_pages, 99);
    ck_assert_uint_le(b.nodes - a.nodes, 3000);
    ck_assert_uint_eq(b.checkpoints, 1001);
    /* Back over all of them costs what differs. */
    checkpoint_restore(s, first);
    ck_assert_uint_le(info_of(s).pages_restored, 4); /* the arena's two with them */
    checkpoint_store_destroy(s);
    machine_destroy(m);
}
END_TEST

START_TEST(a_page_is_copied_when_it_changes_and_not_before)
{
    struct machine *m = memory_machine();
    struct checkpoint_store *s = checkpoint_store_create(m, 1u << 30);
    struct checkpoint *c[3];
    struct checkpoint_view *v = checkpoint_view_create(s);
    uint64_t hash[3], copied;

    for (uint32_t i = 0; i < 200; i++)
        write_page(m, i, i, true);
    for (unsigned n = 0; n < 3; n++) {
        hash[n] = machine_hash(m);
        c[n] = checkpoint_take(s, CHECKPOINT_AUTO);
        checkpoint_view_move(v, c[n], NULL, NULL);
        ck_assert_uint_eq(checkpoint_view_hash(v), hash[n]);
        copied = info_of(s).pages_copied;
        advance(m, 1);
        for (uint32_t i = 0; i < 10; i++) /* each twice, some for the first time since it was written */
            for (unsigned twice = 0; twice < 2; twice++)
                write_page(m, 5 * n + i, 1000 * n + 7 * i + twice, true);
        ck_assert_uint_eq(info_of(s).pages_copied - copied, 10);
    }
    ck_assert_uint_eq(info_of(s).in_place_pages, 200 - 10);
    /* Of the 15 that were others there, 5 are dirty and have a copy; the others get one. */
    copied = info_of(s).pages_copied;
    checkpoint_restore(s, c[0]);
    ck_assert_uint_eq(machine_hash(m), hash[0]);
    ck_assert_uint_eq(info_of(s).pages_copied, copied + 10);
    ck_assert_uint_eq(info_of(s).in_place_pages, 200 - 20);
    for (unsigned n = 3; n--;) {
        checkpoint_view_move(v, c[n], NULL, NULL);
        ck_assert_uint_eq(checkpoint_view_hash(v), hash[n]);
        checkpoint_restore(s, c[n]);
        ck_assert_uint_eq(machine_hash(m), hash[n]);
    }
    checkpoint_view_destroy(v);
    checkpoint_store_destroy(s);
    machine_destroy(m);
}
END_TEST

/* Elsewhere: noise that its seed tells. */
struct elsewhere {
    uint64_t seeds;      /* it has those below */
    unsigned found, read;
};

static void noise_page(uint64_t seed, uint8_t *bytes)
{
    uint32_t words[PAGE_SIZE / 4];

    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        words[i] = toy_rand(&seed);
    memcpy(bytes, words, PAGE_SIZE);
}

static bool find_noise(void *ctx, const uint8_t *bytes, struct page_place *where)
{
    struct elsewhere *e = ctx;
    uint8_t noise[PAGE_SIZE];

    for (uint64_t seed = 0; seed < e->seeds; seed++) {
        noise_page(seed, noise);
        if (memcmp(noise, bytes, PAGE_SIZE))
            continue;
        *where = (struct page_place){.at = seed};
        e->found++;
        return true;
    }
    return false;
}

static void read_noise(void *ctx, const struct page_place *where, uint8_t *bytes)
{
    noise_page(where->at, bytes);
    ((struct elsewhere *)ctx)->read++;
}

START_TEST(what_is_still_elsewhere_is_not_copied)
{
    struct elsewhere e = {.seeds = 50};
    struct page_source source = {.ctx = &e, .find = find_noise, .read = read_noise};
    struct machine *m = memory_machine();
    struct checkpoint_store *s = checkpoint_store_create(m, 1u << 30);
    struct checkpoint_view *v = checkpoint_view_create(s);
    struct checkpoint *c[2];
    uint64_t hash[2], bytes;

    checkpoint_store_source(s, &source);
    for (uint32_t i = 0; i < 100; i++)
        write_page(m, i, i, true);
    hash[0] = machine_hash(m);
    c[0] = checkpoint_take(s, CHECKPOINT_AUTO);
    bytes = info_of(s).bytes;
    advance(m, 1);
    for (uint32_t i = 0; i < 100; i++)
        write_page(m, i, 1000 + i, true);
    ck_assert_uint_eq(info_of(s).elsewhere_pages, 50);
    ck_assert_uint_eq(info_of(s).bytes, bytes + 50 * PAGE_SIZE);
    hash[1] = machine_hash(m);
    c[1] = checkpoint_take(s, CHECKPOINT_AUTO);
    for (unsigned n = 0; n < 4; n++) {
        checkpoint_view_move(v, c[n & 1], NULL, NULL);
        ck_assert_uint_eq(checkpoint_view_hash(v), hash[n & 1]);
        checkpoint_restore(s, c[n & 1]);
        ck_assert_uint_eq(machine_hash(m), hash[n & 1]);
    }
    ck_assert_uint_ne(e.read, 0);
    /* What goes with a checkpoint is forgotten. */
    checkpoint_view_destroy(v);
    checkpoint_remove(s, c[1]);
    ck_assert_uint_eq(info_of(s).elsewhere_pages, 50);
    checkpoint_store_destroy(s);
    machine_destroy(m);
}
END_TEST

/* A replica's thread: goes to each checkpoint, again and again, as long as the machine runs. */
struct visitor {
    struct checkpoint_store *s;
    struct machine *m;
    struct checkpoint_seat *seat;
    struct checkpoint *c[8];
    uint64_t hash[8];
    unsigned wrong, visits;
    bool done;
};

static void *visit(void *ctx)
{
    struct visitor *v = ctx;

    do {
        for (unsigned i = 0; i < 8; i++) {
            checkpoint_seat_restore(v->seat, v->c[i]);
            v->wrong += machine_hash(v->m) != v->hash[i];
        }
        v->visits++;
    } while (!__atomic_load_n(&v->done, __ATOMIC_ACQUIRE));
    return NULL;
}

START_TEST(a_replica_goes_to_pages_in_place_while_the_machine_changes_them)
{
    struct machine *m = memory_machine();
    struct checkpoint_store *s = checkpoint_store_create(m, 1u << 30);
    struct visitor v = {.s = s, .m = memory_machine()};
    pthread_t thread;
    uint64_t rng = 1;

    for (uint32_t i = 0; i < PAGES; i++)
        write_page(m, i, i, true);
    for (unsigned i = 0; i < 8; i++) {
        for (unsigned n = 0; n < 5; n++)
            write_page(m, toy_rand(&rng) % PAGES, toy_rand(&rng), true);
        advance(m, 10);
        v.hash[i] = machine_hash(m);
        v.c[i] = checkpoint_take(s, CHECKPOINT_AUTO);
    }
    v.seat = checkpoint_seat_create(s, v.m);
    ck_assert_int_eq(pthread_create(&thread, NULL, visit, &v), 0);
    for (unsigned n = 0; n < 40 * PAGES; n++) {
        write_page(m, toy_rand(&rng) % PAGES, toy_rand(&rng), true);
        if (n % PAGES == 0) {
            advance(m, 10);
            checkpoint_take(s, CHECKPOINT_AUTO);
        }
    }
    __atomic_store_n(&v.done, true, __ATOMIC_RELEASE);
    pthread_join(thread, NULL);
    ck_assert_uint_eq(v.wrong, 0);
    ck_assert_uint_gt(v.visits, 0);
    checkpoint_seat_destroy(v.seat);
    checkpoint_store_destroy(s);
    machine_destroy(v.m);
    machine_destroy(m);
}
END_TEST

START_TEST(dropping_a_checkpoint_frees_what_only_it_held)
{
    struct machine *m = memory_machine();
    struct checkpoint_store *s = checkpoint_store_create(m, 1u << 30);
    struct checkpoint *c;
    uint64_t hash, before;

    write_page(m, 1, 1, true);
    checkpoint_take(s, CHECKPOINT_AUTO);
    advance(m, 10);
    before = info_of(s).raw_pages;
    for (uint32_t i = 0; i < 50; i++)
        write_page(m, i, 99 + i, true);
    c = checkpoint_take(s, CHECKPOINT_AUTO);
    advance(m, 10);
    for (uint32_t i = 0; i < 50; i++)
        write_page(m, i, 1000 + i, true);
    hash = machine_hash(m);
    checkpoint_take(s, CHECKPOINT_AUTO);
    checkpoint_remove(s, c);
    ck_assert_uint_le(info_of(s).raw_pages, before + 52);
    checkpoint_restore(s, checkpoint_nth(s, 0));
    checkpoint_restore(s, checkpoint_nth(s, 1));
    ck_assert_uint_eq(machine_hash(m), hash);
    checkpoint_store_destroy(s);
    machine_destroy(m);
}
END_TEST

START_TEST(the_budget_holds_and_gaps_grow_with_distance)
{
    const uint64_t budget = 4u << 20;
    struct machine *m = memory_machine();
    struct checkpoint_store *s = checkpoint_store_create(m, budget);
    struct checkpoint *named = NULL;
    uint64_t hash = 0;
    icount_t edge;

    for (unsigned i = 0; i < 2000; i++) {
        for (uint32_t n = 0; n < 20; n++)
            write_page(m, n, i * 20 + n, true);
        if (i)
            advance(m, 1000);
        checkpoint_take(s, CHECKPOINT_AUTO);
        if (i == 300) {
            named = checkpoint_at(s, m->st->position);
            checkpoint_pin(s, named);
            hash = machine_hash(m);
        }
        checkpoint_trim(s, m->st->position, m->st->position);
        ck_assert_uint_le(info_of(s).bytes, budget);
    }
    edge = m->st->position;
    ck_assert_uint_eq(checkpoint_nth(s, 0)->position, 0);
    ck_assert_uint_eq(checkpoint_nth(s, checkpoint_count(s) - 1)->position, edge);
    ck_assert_uint_ge(checkpoint_count(s), 25);
    for (size_t i = 1; i + 1 < checkpoint_count(s); i++) {
        icount_t at = checkpoint_nth(s, i)->position, gap = checkpoint_nth(s, i + 1)->position - at;

        /* Never much more than half of the way that one has gone back. */
        ck_assert_uint_le(gap, (edge - at) * 3 / 4 + 1000);
    }
    checkpoint_restore(s, named);
    ck_assert_uint_eq(machine_hash(m), hash);
    checkpoint_unpin(named);
    checkpoint_store_destroy(s);
    machine_destroy(m);
}
END_TEST

START_TEST(pinned_checkpoints_go_last_and_the_least_recently_used_of_them_first)
{
    const uint64_t budget = 4u << 20;
    struct machine *m = memory_machine();
    struct checkpoint_store *s = checkpoint_store_create(m, budget);
    struct checkpoint *used = NULL;
    icount_t oldest = 0;

    /* Every fourth has a name, each some 80 KiB of its own: 200 of them are four times the budget. */
    for (unsigned i = 0; i < 800; i++) {
        struct checkpoint *c;

        for (uint32_t n = 0; n < 20; n++)
            write_page(m, n, i * 20 + n, true);
        advance(m, 1000);
        c = checkpoint_take(s, CHECKPOINT_AUTO);
        if (i % 4 == 1)
            checkpoint_pin(s, c);
        if (i == 5)
            used = c;
        if (used && i % 100 == 0) {
            checkpoint_restore(s, used);
            checkpoint_restore(s, c);
        }
        checkpoint_trim(s, m->st->position, m->st->position);
        ck_assert_uint_le(info_of(s).bytes, budget);
    }
    ck_assert_ptr_eq(checkpoint_at(s, 6000), used);
    /* But for it, those that are left are the last ones that were pinned, all of them, and nothing else. */
    for (size_t n = 2; n + 1 < checkpoint_count(s); n++) {
        ck_assert_uint_eq(checkpoint_nth(s, n)->pins, 1);
        ck_assert(n == 2 || checkpoint_nth(s, n)->position == oldest + 4000);
        oldest = checkpoint_nth(s, n)->position;
    }
    ck_assert_uint_ge(info_of(s).pinned, 30);
    checkpoint_store_destroy(s);
    machine_destroy(m);
}
END_TEST

START_TEST(a_budget_that_cannot_be_held_is_no_failure)
{
    struct machine *m = memory_machine();
    struct checkpoint_store *s = checkpoint_store_create(m, 1000);
    uint64_t first, last;

    for (uint32_t i = 0; i < 100; i++)
        write_page(m, i, i, i % 2);
    first = machine_hash(m);
    checkpoint_take(s, CHECKPOINT_AUTO);
    for (unsigned i = 0; i < 10; i++) {
        advance(m, 1);
        write_page(m, i, i + 7, false);
        checkpoint_take(s, CHECKPOINT_AUTO);
        checkpoint_trim(s, m->st->position, m->st->position);
    }
    last = machine_hash(m);
    ck_assert_uint_eq(checkpoint_count(s), 2);
    ck_assert_uint_ge(info_of(s).compressed_pages, 5); /* of the ten that changed, those that are not noise */
    ck_assert_uint_eq(info_of(s).in_place_pages, 100);
    checkpoint_restore(s, checkpoint_nth(s, 0));
    ck_assert_uint_eq(machine_hash(m), first);
    checkpoint_restore(s, checkpoint_nth(s, 1));
    ck_assert_uint_eq(machine_hash(m), last);
    checkpoint_store_destroy(s);
    machine_destroy(m);
}
END_TEST

/* Each checkpoint shares all but a page or two, and its nodes of the tree, with the next one. */
START_TEST(memory_that_is_filled_bit_by_bit_keeps_its_checkpoints_though_the_newest_alone_is_over_the_budget)
{
    struct machine *m = memory_machine();
    struct checkpoint_store *s = checkpoint_store_create(m, 4u << 20);
    uint64_t hash[20];

    for (uint32_t i = 0; i < 20; i++) {
        for (uint32_t n = 0; n < 100; n++)
            write_page(m, i * 100 + n, i * 100 + n + 1, true);
        advance(m, 1000);
        hash[i] = machine_hash(m);
        checkpoint_take(s, CHECKPOINT_AUTO);
        checkpoint_trim(s, m->st->position, m->st->position);
    }
    ck_assert_uint_eq(checkpoint_count(s), 20);
    ck_assert_uint_le(info_of(s).bytes, 2100u << PAGE_SHIFT);
    for (unsigned i = 0; i < 20; i += 3) {
        checkpoint_restore(s, checkpoint_nth(s, i));
        ck_assert_uint_eq(machine_hash(m), hash[i]);
    }
    checkpoint_store_destroy(s);
    machine_destroy(m);
}
END_TEST

/* Of three, the first has much memory that the second has changed; the second shares all that with the third. */
START_TEST(what_frees_memory_goes_before_what_frees_none)
{
    enum { THREES = 14 };
    struct machine *m = memory_machine();
    struct checkpoint_store *s = checkpoint_store_create(m, 4u << 20);
    unsigned first = 0, second = 0;

    for (uint32_t i = 0; i < 3 * THREES; i++) {
        for (uint32_t n = 0; n < (i % 3 == 2 ? 1u : 40u); n++)
            write_page(m, n, i * 100 + n + 1, true);
        advance(m, 1000);
        checkpoint_take(s, CHECKPOINT_AUTO);
    }
    checkpoint_trim(s, m->st->position, m->st->position);
    ck_assert_uint_le(info_of(s).bytes, 4u << 20);
    for (uint32_t i = 3; i < 3 * THREES - 3; i += 3) {
        ck_assert(checkpoint_at(s, (i + 2) * 1000) || !checkpoint_at(s, (i + 1) * 1000));
        first += checkpoint_at(s, (i + 1) * 1000) != NULL;
        second += checkpoint_at(s, (i + 2) * 1000) != NULL;
    }
    ck_assert_uint_lt(first, second);
    checkpoint_store_destroy(s);
    machine_destroy(m);
}
END_TEST

START_TEST(old_pages_are_compressed_before_anything_is_dropped)
{
    struct machine *m = memory_machine();
    struct checkpoint_store *s = checkpoint_store_create(m, 5u << 20);
    uint64_t hash[100];

    for (unsigned i = 0; i < 100; i++) {
        for (uint32_t n = 0; n < 20; n++)
            write_page(m, n, i * 20 + n, false);
        advance(m, 1000);
        hash[i] = machine_hash(m);
        checkpoint_take(s, CHECKPOINT_AUTO);
        checkpoint_trim(s, m->st->position, m->st->position);
    }
    /* 100 * 20 pages are 8 MiB raw. */
    ck_assert_uint_eq(info_of(s).removed, 0);
    ck_assert_uint_gt(info_of(s).compressed_pages, 500);
    ck_assert_uint_le(info_of(s).compressed_bytes, info_of(s).compressed_pages * 1000);
    for (unsigned i = 0; i < 100; i += 7) {
        checkpoint_restore(s, checkpoint_nth(s, i));
        ck_assert_uint_eq(machine_hash(m), hash[i]);
    }
    checkpoint_store_destroy(s);
    machine_destroy(m);
}
END_TEST

START_TEST(a_page_survives_compression)
{
    struct page_store ps;
    uint8_t bytes[PAGE_SIZE], scratch[PAGE_SIZE];
    struct page *p[64];
    uint64_t rng = 3;

    page_store_init(&ps);
    for (unsigned i = 0; i < 64; i++) {
        for (size_t n = 0; n < PAGE_SIZE; n++)
            bytes[n] = i % 3 ? (uint8_t)(toy_rand(&rng) % (1 + i * 4)) : (uint8_t)i;
        p[i] = page_create(&ps, bytes);
        ck_assert(page_equals(p[i], bytes));
        page_store_compress(&ps, 1);
        ck_assert(!memcmp(page_bytes(&ps, p[i], scratch), bytes, PAGE_SIZE));
    }
    ck_assert_uint_gt(ps.compressed_pages, 20);
    ck_assert_uint_gt(ps.raw_pages, 0); /* those that do not shrink */
    for (unsigned i = 0; i < 64; i++)
        page_unref(&ps, p[i]);
    ck_assert_uint_eq(ps.bytes, 0);
    page_store_finish(&ps);
}
END_TEST

static void note(struct checkpoint_store *s, icount_t from, icount_t to, uint64_t code, uint64_t written)
{
    struct footprint f;

    footprint_init(&f);
    page_set_add(&f.code, code);
    page_set_add(&f.written, written);
    checkpoint_note_footprint(s, from, to, &f);
    footprint_finish(&f);
}

START_TEST(footprints_are_joined_when_a_checkpoint_goes_and_kept_when_one_comes)
{
    struct machine *m = memory_machine();
    struct checkpoint_store *s = checkpoint_store_create(m, 1u << 30);
    struct checkpoint *c[4];
    const struct footprint *f;

    for (unsigned i = 0; i < 4; i++) {
        c[i] = checkpoint_take(s, CHECKPOINT_AUTO);
        ck_assert_ptr_null(checkpoint_footprint(c[i]));
        m->st->position += 100;
    }
    note(s, 0, 100, 10, 20);
    note(s, 0, 299, 11, 21); /* the first is known, the third not within */
    ck_assert_ptr_null(checkpoint_footprint(c[2]));
    /* A new one in a known segment: both parts are no more than the whole. */
    checkpoint_restore(s, c[0]);
    m->st->position = 50;
    f = checkpoint_footprint(checkpoint_take(s, CHECKPOINT_RUNG));
    ck_assert(f && page_set_has(&f->code, 10) && page_set_has(&f->written, 20) && !page_set_has(&f->code, 11));
    checkpoint_remove(s, checkpoint_at(s, 50));
    f = checkpoint_footprint(c[0]);
    ck_assert(page_set_has(&f->code, 10) && !page_set_has(&f->code, 11));
    /* Two known ones become one. */
    checkpoint_remove(s, c[1]);
    f = checkpoint_footprint(c[0]);
    ck_assert(page_set_has(&f->code, 10) && page_set_has(&f->code, 11));
    ck_assert(page_set_has(&f->written, 20) && page_set_has(&f->written, 21));
    ck_assert(!page_set_has(&f->written, 10));
    /* With an unknown one: unknown. */
    checkpoint_remove(s, c[2]);
    ck_assert_ptr_null(checkpoint_footprint(c[0]));
    ck_assert_uint_eq(info_of(s).footprint_bytes, 0);
    checkpoint_store_destroy(s);
    machine_destroy(m);
}
END_TEST

/* The bytes from `offset` on of page 20 (0: none), which somebody ran with a trap on. */
static void note_bytes(struct checkpoint_store *s, icount_t from, icount_t to, unsigned offset)
{
    struct trap trap = {.address = (20u << PAGE_SHIFT) + 8, .len = 1, .kinds = TRAP_WRITE};
    struct touches t;

    touches_follow(&t, &(struct traps){.list = &trap, .count = 1});
    touches_add(&t, TOUCHED_WRITTEN, 20, offset, offset ? 4 : 0);
    touches_add(&t, TOUCHED_READ, 20, 0, PAGE_SIZE);
    touches_add(&t, TOUCHED_WRITTEN, 21, 0, PAGE_SIZE);
    checkpoint_note_touches(s, from, to, &t);
}

static bool written(const struct checkpoint *c, unsigned offset)
{
    uint64_t at = (20u << PAGE_SHIFT) + offset;

    ck_assert(!checkpoint_footprint(c) || !checkpoint_touched(c, TOUCHED_READ, at, at));
    return checkpoint_touched(c, TOUCHED_WRITTEN, at, at);
}

START_TEST(bytes_known_of_a_segment_are_joined_and_cut_as_footprints_are)
{
    struct machine *m = memory_machine();
    struct checkpoint_store *s = checkpoint_store_create(m, 1u << 30);
    struct checkpoint *c[6];
    uint64_t bytes;

    for (unsigned i = 0; i < 6; i++) {
        c[i] = checkpoint_take(s, CHECKPOINT_AUTO);
        m->st->position += 100;
    }
    for (unsigned i = 0; i < 4; i++)
        note(s, i * 100, i * 100 + 100, 10, i == 2 ? 30 : 20);
    ck_assert(written(c[0], 4) && written(c[1], 400) && !written(c[2], 4) && written(c[4], 4));
    bytes = info_of(s).footprint_bytes;
    note_bytes(s, 0, 200, 400);
    ck_assert_uint_gt(info_of(s).footprint_bytes, bytes);
    for (unsigned i = 0; i < 2; i++) {
        ck_assert(written(c[i], 400) && written(c[i], 403) && !written(c[i], 399) && !written(c[i], 408));
        ck_assert(!checkpoint_touched(c[i], TOUCHED_WRITTEN, (20u << PAGE_SHIFT) + 408, (21u << PAGE_SHIFT) + 100));
        ck_assert(checkpoint_touched(c[i], TOUCHED_WRITTEN, (19u << PAGE_SHIFT), (20u << PAGE_SHIFT) + 400));
        ck_assert(checkpoint_touched(c[i], TOUCHED_WRITTEN, 0, UINT64_MAX));
    }
    /* Part of a segment says nothing; what is said twice holds twice. */
    note_bytes(s, 310, 400, 16);
    note_bytes(s, 300, 390, 16);
    ck_assert(written(c[3], 400));
    note_bytes(s, 100, 200, 0);
    ck_assert(!written(c[1], 400));
    note_bytes(s, 100, 200, 400);
    ck_assert(!written(c[1], 400));
    /* Cut: both parts touched no more than the whole. */
    checkpoint_restore(s, c[0]);
    m->st->position = 50;
    ck_assert(written(checkpoint_take(s, CHECKPOINT_RUNG), 400) && !written(checkpoint_at(s, 50), 4));
    note_bytes(s, 50, 100, 0);
    ck_assert(!written(checkpoint_at(s, 50), 400) && written(c[0], 400));
    /* Joined: what either touched; a page that is not in the other's footprint was not touched there. */
    checkpoint_remove(s, checkpoint_at(s, 50));
    ck_assert(written(c[0], 400) && !written(c[0], 4));
    checkpoint_remove(s, c[2]);
    ck_assert(!written(c[1], 400));
    checkpoint_remove(s, c[1]);
    ck_assert(written(c[0], 400) && !written(c[0], 4));
    /* With one of which it is not known: not known. */
    checkpoint_remove(s, c[3]);
    ck_assert(written(c[0], 4) && !c[0]->touches);
    checkpoint_remove(s, c[4]);
    ck_assert_uint_eq(info_of(s).footprint_bytes, 0);
    checkpoint_store_destroy(s);
    machine_destroy(m);
}
END_TEST

START_TEST(what_is_known_of_bytes_is_kept_of_some_pages_and_in_a_part_of_the_budget)
{
    struct machine *m = memory_machine();
    struct checkpoint_store *s = checkpoint_store_create(m, 1u << 20);
    struct trap trap = {.len = TOUCHES_MOST << PAGE_SHIFT, .kinds = TRAP_WRITE};
    struct touches t;
    uint64_t most;

    for (unsigned i = 0; i < 100; i++) {
        struct footprint f;

        footprint_init(&f);
        for (unsigned page = 0; page < 3 * TOUCHES_MOST; page++)
            page_set_add(&f.written, page);
        checkpoint_take(s, CHECKPOINT_AUTO);
        m->st->position += 100;
        checkpoint_take(s, CHECKPOINT_AUTO);
        checkpoint_note_footprint(s, i * 100, i * 100 + 100, &f);
        footprint_finish(&f);
    }
    most = info_of(s).footprint_bytes + (1u << 20) / 16 + sizeof(t);
    for (unsigned i = 0; i < 300; i++) {
        const struct checkpoint *c = checkpoint_nth(s, i % 100);

        trap.address = (uint64_t)(i / 100 * TOUCHES_MOST / 2) << PAGE_SHIFT;
        touches_follow(&t, &(struct traps){.list = &trap, .count = 1});
        ck_assert_uint_eq(t.count, TOUCHES_MOST);
        checkpoint_note_touches(s, c->position, c->position + 100, &t);
        ck_assert(!checkpoint_touched(c, TOUCHED_WRITTEN, trap.address, trap.address + trap.len - 1));
        ck_assert_uint_le(c->touches->count, TOUCHES_MOST);
        ck_assert_uint_le(info_of(s).footprint_bytes, most);
    }
    checkpoint_store_destroy(s);
    machine_destroy(m);
}
END_TEST

START_TEST(rungs_get_ever_denser_towards_the_present)
{
    struct machine *m = memory_machine();
    struct checkpoint_store *s = checkpoint_store_create(m, 1u << 30);
    unsigned far = 0;

    for (unsigned i = 0; i < 100; i++) {
        checkpoint_take(s, i % 10 ? CHECKPOINT_RUNG : CHECKPOINT_AUTO);
        m->st->position += 10;
    }
    checkpoint_trim_rungs(s, 500, 8);
    ck_assert_uint_eq(info_of(s).rungs - (checkpoint_nth(s, checkpoint_count(s) - 1)->kind == CHECKPOINT_RUNG), 8);
    ck_assert_uint_eq(info_of(s).checkpoints - info_of(s).rungs, 10);
    /* Many near ones must not cost those that make the way further back short. */
    ck_assert(checkpoint_at(s, 490) && checkpoint_at(s, 510));
    for (size_t i = 0; i < checkpoint_count(s); i++)
        far += checkpoint_nth(s, i)->kind == CHECKPOINT_RUNG && checkpoint_nth(s, i)->position < 460;
    ck_assert_uint_ge(far, 1);
    checkpoint_store_destroy(s);
    machine_destroy(m);
}
END_TEST

Suite *test_suite(void)
{
    Suite *s = suite_create("checkpoint");
    TCase *t = tcase_create("store");

    tcase_set_timeout(t, 60);
    tcase_add_test(t, a_checkpoint_brings_every_byte_back);
    tcase_add_test(t, a_sparse_space_of_a_terabyte_costs_and_hashes_what_was_touched);
    tcase_add_test(t, unchanged_and_zero_pages_cost_nothing);
    tcase_add_test(t, a_page_is_copied_when_it_changes_and_not_before);
    tcase_add_test(t, what_is_still_elsewhere_is_not_copied);
    tcase_add_test(t, a_replica_goes_to_pages_in_place_while_the_machine_changes_them);
    tcase_add_test(t, dropping_a_checkpoint_frees_what_only_it_held);
    tcase_add_test(t, the_budget_holds_and_gaps_grow_with_distance);
    tcase_add_test(t, pinned_checkpoints_go_last_and_the_least_recently_used_of_them_first);
    tcase_add_test(t, a_budget_that_cannot_be_held_is_no_failure);
    tcase_add_test(t, memory_that_is_filled_bit_by_bit_keeps_its_checkpoints_though_the_newest_alone_is_over_the_budget);
    tcase_add_test(t, what_frees_memory_goes_before_what_frees_none);
    tcase_add_test(t, old_pages_are_compressed_before_anything_is_dropped);
    tcase_add_test(t, a_page_survives_compression);
    tcase_add_test(t, footprints_are_joined_when_a_checkpoint_goes_and_kept_when_one_comes);
    tcase_add_test(t, bytes_known_of_a_segment_are_joined_and_cut_as_footprints_are);
    tcase_add_test(t, what_is_known_of_bytes_is_kept_of_some_pages_and_in_a_part_of_the_budget);
    tcase_add_test(t, rungs_get_ever_denser_towards_the_present);
    suite_add_tcase(s, t);
    return s;
}
