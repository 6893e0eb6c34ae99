/*
 * Runs the tests of a program. The exit status is not 0 if one fails.
 */
#include "tests/check_main.h"

#include <stdlib.h>

int main(void)
{
    SRunner *runner;
    int failed;

    /* Time is for finding out what hangs, not what is slow: a busy host may need many times as long. */
    setenv("CK_DEFAULT_TIMEOUT", "60", 0);
    setenv("CK_TIMEOUT_MULTIPLIER", "4", 0);
    runner = srunner_create(test_suite());
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
