/*
 * Errors that a person reads.
 *
 * A function that can fail because of its input (a file, an option, a packet)
 * returns 0 or a negative errno and, through `struct error`, says what was
 * wrong and what to do. Broken invariants are not errors: they go to `panic`.
 */
#ifndef HINDCAST_BASE_ERROR_H
#define HINDCAST_BASE_ERROR_H

#include "base/types.h"

struct error {
    int  code;      /* negative errno; 0: no error */
    char text[1500]; /* one line, without a final newline */
};

/* Fill *err (which may be NULL) and return `code`, so that a caller can write
 * `return error_set(err, -EINVAL, ...)`. */
int error_set(struct error *err, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Put "prefix: " before the text that is already in *err. */
void error_prefix(struct error *err, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* A hook that prints where the machine is (position, registers, last events)
 * when an invariant breaks; set once by the program. */
extern void (*panic_hook)(void);

/* An invariant of hindcast itself is broken: say so, call the hook, abort. */
_Noreturn void panic(const char *file, int line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Checked in release builds too. */
#define CHECK(cond) \
    do { \
        if (__builtin_expect(!(cond), 0)) \
            panic(__FILE__, __LINE__, "broken invariant: %s", #cond); \
    } while (0)

#endif
