/* A guest's image from a file, for programs that run guests without a server. */
#ifndef HINDCAST_TESTS_IMAGE_FILE_H
#define HINDCAST_TESTS_IMAGE_FILE_H

#include <stdio.h>

#include "base/buffer.h"
#include "host/file.h"

/* The whole file; `contents` is the caller's. False: it is said why not. */
static inline bool read_image(const char *name, struct buffer *contents)
{
    struct error err = {0};

    buffer_init(contents);
    if (host_load_file(name, UINT64_C(1) << 30, "what a guest of these tests may have", contents, &err) == 0)
        return true;
    fprintf(stderr, "%s\n", err.text);
    return false;
}

#endif
