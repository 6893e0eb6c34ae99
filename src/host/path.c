/*
 * Names of files. See path.h.
 */
#include "host/path.h"

#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"

/* The part up to and with the last slash; "" if there is none. */
static char *directory_of(const char *name)
{
    const char *slash = strrchr(name, '/');
    size_t len = slash ? (size_t)(slash - name) + 1 : 0;
    char *dir = xmalloc(len + 1);

    memcpy(dir, name, len);
    dir[len] = 0;
    return dir;
}

static const char *last_of(const char *name)
{
    const char *slash = strrchr(name, '/');

    return slash ? slash + 1 : name;
}

char *host_path_beside(const char *file, const char *name)
{
    char *dir = directory_of(file);
    struct buffer b;

    buffer_init(&b);
    buffer_printf(&b, "%s%s", dir, last_of(name));
    buffer_append_byte(&b, 0);
    free(dir);
    return (char *)b.data;
}

char *host_path_from(const char *from, const char *target)
{
    char *there = realpath(target, NULL), *from_dir = directory_of(from), *found;
    char *here = realpath(*from_dir ? from_dir : ".", NULL);
    char *dir = there ? directory_of(there) : NULL;

    /* Of one, the slash at the end is wanted as well. */
    if (here && dir && strlen(dir) == strlen(here) + 1 && !strncmp(dir, here, strlen(here)))
        found = xstrdup(last_of(there));
    else
        found = xstrdup(there ? there : target);
    free(there);
    free(here);
    free(from_dir);
    free(dir);
    return found;
}
