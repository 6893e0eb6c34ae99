/*
 * Values of options, guesses at what was meant, memory in large pieces.
 */
#include <stdlib.h>
#include <string.h>

#include "base/big_memory.h"
#include "base/buffer.h"
#include "base/guess.h"
#include "base/option_list.h"
#include "tests/check_main.h"

static const struct option_key keys[] = {
    {"file", "FILE"}, {"readonly", "on|off"}, {"size", "SIZE"}, {"index", "N"}, {"cache", "none|full"},
    {"fail", "LBA..."}, {"rom", "[FILE]"}, {NULL, NULL},
};

static struct error err;

static void parse(struct option_list *l, const char *text)
{
    ck_assert_msg(option_list_parse(l, "--drive", text, "file", keys, &err) == 0, "%s: %s", text, err.text);
}

static const char *refusal(const char *text)
{
    struct option_list l;

    ck_assert_int_lt(option_list_parse(&l, "--drive", text, "file", keys, &err), 0);
    option_list_finish(&l);
    return err.text;
}

START_TEST(keys_have_values_switches_need_none_and_two_commas_are_one)
{
    struct option_list l;
    bool readonly = false;

    parse(&l, "a,,b.img,readonly,index=0x10,size=64K");
    ck_assert_str_eq(option_list_get(&l, "file"), "a,b.img");
    ck_assert_int_eq(option_list_switch(&l, "readonly", &readonly, &err), 0);
    ck_assert(readonly);
    ck_assert_ptr_null(option_list_get(&l, "cache"));
    option_list_finish(&l);
    parse(&l, "file=x=y,noreadonly,fail=3,fail=5+2,rom=");
    ck_assert_int_eq(option_list_switch(&l, "readonly", &readonly, &err), 0);
    ck_assert(!readonly);
    ck_assert_str_eq(option_list_get(&l, "file"), "x=y");
    ck_assert_str_eq(option_list_get(&l, "rom"), "");
    ck_assert_str_eq(option_list_nth(&l, "fail", 0), "3");
    ck_assert_str_eq(option_list_nth(&l, "fail", 1), "5+2");
    ck_assert_ptr_null(option_list_nth(&l, "fail", 2));
    option_list_finish(&l);
}
END_TEST

START_TEST(unknown_keys_are_refused_by_name)
{
    ck_assert(strstr(refusal("x,raedonly=on"), "--drive raedonly=on: there is no 'raedonly'; did you mean readonly?"));
    ck_assert(strstr(refusal("x,colour=red"), "there is no 'colour'; there are file=FILE, readonly=on|off"));
    ck_assert(strstr(refusal("x,=y"), "a key is missing"));
    ck_assert(strstr(refusal("x,"), "a key is missing"));
}
END_TEST

START_TEST(a_key_is_given_once_and_has_a_value)
{
    ck_assert_str_eq(refusal("x,index=1,size=1,index=2"), "--drive index=2: index is given twice, before as 1");
    ck_assert_str_eq(refusal("x,readonly,noreadonly"), "--drive readonly=off: readonly is given twice, before as on");
    ck_assert_str_eq(refusal("x,file=y"), "--drive file=y: file is given twice, before as x");
    ck_assert_str_eq(refusal("x,size="), "--drive size=: the value is missing: SIZE");
}
END_TEST

START_TEST(values_that_cannot_be_are_named)
{
    static const char *const caches[] = {"none", "full", NULL};
    struct option_list l;
    bool readonly;
    uint64_t n = 7;
    unsigned choice;

    parse(&l, "x,readonly=maybe,size=12Q,index=11,cache=some");
    ck_assert_int_lt(option_list_switch(&l, "readonly", &readonly, &err), 0);
    ck_assert_str_eq(err.text, "--drive readonly=maybe: write on or off");
    ck_assert_int_lt(option_list_size(&l, "size", 1, &n, &err), 0);
    ck_assert(strstr(err.text, "--drive size=12Q: write a size"));
    ck_assert_int_lt(option_list_number(&l, "index", 0, 10, &n, &err), 0);
    ck_assert_str_eq(err.text, "--drive index=11: write a number from 0 to 10");
    ck_assert_int_lt(option_list_choice(&l, "cache", caches, &choice, &err), 0);
    ck_assert_str_eq(err.text, "--drive cache=some: write none or full");
    ck_assert_uint_eq(n, 7);
    option_list_finish(&l);
}
END_TEST

START_TEST(sizes_and_numbers_are_whole_and_never_wrap)
{
    static const struct { const char *text; uint64_t bytes; } good[] = {
        {"1", 1 << 20}, {"64k", 64 << 10}, {"3M", 3 << 20}, {"2g", (uint64_t)2 << 30}, {"1T", (uint64_t)1 << 40},
        {"0x10", (uint64_t)16 << 20}, {"0", 0},
    };
    static const char *const bad[] = {"", "k", "-1", "+1", " 1", "1 ", "1MB", "99999999999T", "0x", "1.5G",
                                      "18446744073709551616", "111111111111111111111111111111111111"};
    uint64_t n;

    for (unsigned i = 0; i < ARRAY_LEN(good); i++) {
        ck_assert_msg(option_parse_size(good[i].text, 1 << 20, &n), "%s", good[i].text);
        ck_assert_uint_eq(n, good[i].bytes);
    }
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
        ck_assert_msg(!option_parse_size(bad[i], 1 << 20, &n), "%s", bad[i]);
    ck_assert(option_parse_number("0xffffffffffffffff", &n) && n == UINT64_MAX);
    ck_assert(!option_parse_number("0xfffffffffffffffff", &n));
}
END_TEST

static const char *guessed(const char *given)
{
    static const char *const names[] = {"memory", "serial", "help", "kernel", NULL};
    struct guess g;

    guess_begin(&g, given, strlen(given));
    for (unsigned i = 0; names[i]; i++)
        guess_consider(&g, names[i]);
    return g.best ? g.best : "";
}

START_TEST(near_words_are_guessed_and_far_ones_are_not)
{
    ck_assert_str_eq(guessed("memroy"), "memory");
    ck_assert_str_eq(guessed("serail"), "serial");
    ck_assert_str_eq(guessed("kernal"), "kernel");
    ck_assert_str_eq(guessed("hlep"), "help");
    ck_assert_str_eq(guessed("smp"), "");
    ck_assert_str_eq(guessed("device"), "");
    ck_assert_str_eq(guessed("x"), "");
    ck_assert_str_eq(guessed(""), "");
}
END_TEST

START_TEST(a_word_is_quoted_for_the_shell_where_it_must_be)
{
    static const char *const words[][2] = {
        {"a/b-c.elf", "a/b-c.elf"}, {"my kernel", "'my kernel'"}, {"it's", "'it'\\''s'"}, {"", "''"}, {"$x;", "'$x;'"},
    };

    for (unsigned i = 0; i < ARRAY_LEN(words); i++) {
        struct buffer b;

        buffer_init(&b);
        buffer_quote(&b, words[i][0]);
        buffer_append_byte(&b, 0);
        ck_assert_str_eq((const char *)b.data, words[i][1]);
        buffer_finish(&b);
    }
}
END_TEST

#define PAGES 3000u

START_TEST(a_region_is_aligned_zero_and_as_large_as_it_was_wanted)
{
    static const size_t sizes[] = {1, 4096, 5000, (2u << 20) - 1, 2u << 20, (6u << 20) + 4096};

    for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
        uint8_t *p = region_map(sizes[i]);

        ck_assert_ptr_nonnull(p);
        ck_assert_uint_eq((uintptr_t)p & ((2u << 20) - 1), 0);
        ck_assert_uint_eq(p[0], 0);
        ck_assert_uint_eq(p[sizes[i] - 1], 0);
        p[0] = p[sizes[i] - 1] = 1;
        region_unmap(p, sizes[i]);
    }
    ck_assert_ptr_null(region_map(SIZE_MAX - 4096));
    region_unmap(NULL, 4096);
}
END_TEST

/* In an order that leaves holes everywhere, some of them given back and taken again. */
START_TEST(pages_of_a_slab_are_each_ones_own_and_go_when_all_are_given_back)
{
    static uint8_t *pages[PAGES];
    struct page_slab slab = {0};

    for (unsigned round = 0; round < 4; round++) {
        for (unsigned i = 0; i < PAGES; i++) {
            if (pages[i])
                continue;
            pages[i] = page_slab_take(&slab);
            ck_assert_uint_eq((uintptr_t)pages[i] & (PAGE_SIZE - 1), 0);
            memset(pages[i], (int)(i + i / 256), PAGE_SIZE);
        }
        ck_assert_uint_eq(slab.used, PAGES);
        for (unsigned i = 0; i < PAGES; i++)
            ck_assert_msg(pages[i][0] == (uint8_t)(i + i / 256) && pages[i][PAGE_SIZE - 1] == pages[i][0], "page %u", i);
        for (unsigned i = 0; i < PAGES; i++)
            if (i % 5 != round) {
                page_slab_give(&slab, pages[i]);
                pages[i] = NULL;
            }
    }
    for (unsigned i = 0; i < PAGES; i++)
        if (pages[i])
            page_slab_give(&slab, pages[i]);
    page_slab_finish(&slab);
    ck_assert_uint_eq(slab.free, 0);
}
END_TEST

/* What is held beyond what is in use is bounded, whoever stays. */
START_TEST(a_slab_gives_back_what_is_not_wanted_any_more)
{
    const unsigned many = 36000;
    uint8_t **pages = calloc(many, sizeof(*pages));
    struct page_slab slab = {0};

    for (unsigned i = 0; i < many; i++)
        pages[i] = page_slab_take(&slab);
    for (unsigned i = 0; i < many; i++)
        page_slab_give(&slab, pages[i]);
    ck_assert_uint_eq(slab.used, 0);
    ck_assert_uint_le(slab.free, 17000 + many / 4);
    for (unsigned i = 0; i < many; i++) {
        pages[i] = page_slab_take(&slab);
        pages[i][0] = 1;
    }
    /* One of each chunk stays: the others go page by page. */
    for (unsigned i = 0; i < many; i++)
        if (i % 511 != 100)
            page_slab_give(&slab, pages[i]);
    for (unsigned i = 100; i < many; i += 511) {
        ck_assert_uint_eq(pages[i][0], 1);
        page_slab_give(&slab, pages[i]);
    }
    page_slab_finish(&slab);
    free(pages);
}
END_TEST

Suite *test_suite(void)
{
    Suite *suite = suite_create("base");
    TCase *tc = tcase_create("options");

    tcase_add_test(tc, keys_have_values_switches_need_none_and_two_commas_are_one);
    tcase_add_test(tc, unknown_keys_are_refused_by_name);
    tcase_add_test(tc, a_key_is_given_once_and_has_a_value);
    tcase_add_test(tc, values_that_cannot_be_are_named);
    tcase_add_test(tc, sizes_and_numbers_are_whole_and_never_wrap);
    tcase_add_test(tc, near_words_are_guessed_and_far_ones_are_not);
    tcase_add_test(tc, a_word_is_quoted_for_the_shell_where_it_must_be);
    tcase_set_timeout(tc, 120); /* the host clears what it gives */
    tcase_add_test(tc, a_region_is_aligned_zero_and_as_large_as_it_was_wanted);
    tcase_add_test(tc, pages_of_a_slab_are_each_ones_own_and_go_when_all_are_given_back);
    tcase_add_test(tc, a_slab_gives_back_what_is_not_wanted_any_more);
    suite_add_tcase(suite, tc);
    return suite;
}
