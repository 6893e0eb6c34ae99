/*
 * Error texts and the end of the program on a broken invariant.
 */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void (*panic_hook)(void);

int error_set(struct error *err, int code, const char *fmt, ...)
{
    va_list ap;

    if (!err)
        return code;
    err->code = code;
    va_start(ap, fmt);
    vsnprintf(err->text, sizeof(err->text), fmt, ap);
    va_end(ap);
    return code;
}

void error_prefix(struct error *err, const char *fmt, ...)
{
    char prefix[sizeof(err->text)];
    size_t len, keep;
    va_list ap;

    if (!err)
        return;
    va_start(ap, fmt);
    vsnprintf(prefix, sizeof(prefix), fmt, ap);
    va_end(ap);

    len = strlen(prefix);
    if (len + 2 >= sizeof(err->text))
        return;
    keep = strlen(err->text);
    if (keep > sizeof(err->text) - 1 - len - 2)
        keep = sizeof(err->text) - 1 - len - 2;
    memmove(err->text + len + 2, err->text, keep);
    err->text[len + 2 + keep] = '\0';
    memcpy(err->text, prefix, len);
    memcpy(err->text + len, ": ", 2);
}

void panic(const char *file, int line, const char *fmt, ...)
{
    void (*hook)(void) = panic_hook;
    va_list ap;

    fprintf(stderr, "hindcast: %s:%d: ", file, line);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    panic_hook = NULL; /* an invariant that breaks inside the hook must not call it again */
    if (hook)
        hook();
    fflush(stderr);
    abort();
}
