/*
 * The fixture of tests of the aarch64 CPU's system side: a bench of model max with EL2, or of
 * what again() asks for in the middle of a test.
 */
#ifndef HINDCAST_TESTS_A64_FIXTURE_H
#define HINDCAST_TESTS_A64_FIXTURE_H

#include "a64_bench.h"

static struct bench *b;
static struct a64_state *s;

static void setup_with(const char *model, unsigned features)
{
    b = bench_new(model, features);
    s = b->s;
}

static void setup(void)
{
    setup_with("max", A64_HAS_EL2);
}

static void teardown(void)
{
    bench_free(b);
}

static void again(const char *model, unsigned features)
{
    teardown();
    setup_with(model, features);
}

#endif
