/*
 * Runs the tests of a program. The exit status is not 0 if one fails.
 *
 * Each test has a process of its own, so that one that breaks does not take the others with it. Not in the build with
 * sanitizers, whose reports say what broke where: there a process costs several times what most tests do, and the
 * search for leaks at the end of each even more. One search at the end of all finds the same. CK_FORK=yes: as usual.
 */
#include "tests/check_main.h"

#include <stdlib.h>
#include <unistd.h>

#include "tests/storm.h"

/* After so many seconds a program without processes for its tests hangs: libcheck ends only processes. */
#define HANGS_S 1800u

int main(void)
{
    SRunner *runner;
    int failed;

    /* Time is for finding out what hangs, not what is slow: a busy host may need many times as long. */
    setenv("CK_DEFAULT_TIMEOUT", "60", 0);
    setenv("CK_TIMEOUT_MULTIPLIER", "4", 0);
#ifdef STORM_SANITIZED
    setenv("CK_FORK", "no", 0);
    alarm(HANGS_S);
#endif
    runner = srunner_create(test_suite());
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
