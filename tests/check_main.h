/*
 * The one main() of the test programs that use libcheck: a program defines test_suite().
 */
#ifndef HINDCAST_TESTS_CHECK_MAIN_H
#define HINDCAST_TESTS_CHECK_MAIN_H

#include <check.h>

/* All tests of the program. */
Suite *test_suite(void);

#endif
