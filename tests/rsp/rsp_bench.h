/*
 * A bench for the protocol layer: the fake target, a client of it, and what tests ask. For tests of one program each.
 */
#ifndef HINDCAST_TESTS_RSP_BENCH_H
#define HINDCAST_TESTS_RSP_BENCH_H

#include <string.h>

#include "test_rsp_client.h"
#include "tests/check_main.h"

#define RSP_BENCH static __attribute__((unused))

RSP_BENCH struct fake f;

RSP_BENCH void setup(void)
{
    client_begin(&f);
}

RSP_BENCH void setup_quiet(void)
{
    fake_init(&f);
    client_no_ack(&f);
}

RSP_BENCH void teardown(void)
{
    fake_finish(&f);
}

#define ASK(body, expected) ck_assert_str_eq(client_ask(&f, body), expected)

RSP_BENCH bool starts(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

RSP_BENCH void expect_error(const char *body)
{
    const char *a = client_ask(&f, body);

    ck_assert_msg(a[0] == 'E', "%s answers %s", body, a);
}

RSP_BENCH unsigned answers_to(const void *bytes, size_t len, struct answers *a)
{
    client_raw(&f, bytes, len);
    client_take(&f, a);
    return a->npackets;
}

#define ANSWERS_TO(literal, a) answers_to(literal, sizeof(literal) - 1, a)

#endif
