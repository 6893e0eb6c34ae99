/*
 * The guest's drives in the server: their images, and what is kept of what they hold.
 */
#include "server_internal.h"

#include <errno.h>
#include <inttypes.h>

int server_image_read(void *ctx, const struct drive *d, uint64_t offset, void *buf, size_t len)
{
    struct server *s = ctx;

    return s->config.drives ? drives_read(s->config.drives, d->index, offset, buf, len) : -ENODEV;
}

int server_drive_commit(struct server *s, const char *name, const char *path, bool force, uint64_t *bytes,
                        struct error *err)
{
    const struct drive *d = drive_find(s->machine, name);

    if (!d || !s->config.drives)
        return error_set(err, -ENODEV, "this machine has no drive '%s': info block lists them", name);
    if (d->c.empty)
        return error_set(err, -ENODEV, "drive %s is empty", name);
    return drives_commit(s->config.drives, d, path, HOST_EMPTY_ONLY | (force ? HOST_FORCE : 0), bytes, err);
}

bool server_drives_want_write_back(const struct server *s)
{
    const struct option_drives *o = s->config.drives ? &s->config.drives->options->drives : NULL;

    for (unsigned i = 0; o && i < o->count; i++)
        if (o->list[i].write_back)
            return true;
    return false;
}

static bool write_back(struct server *s, const struct drive *d, const struct option_drive *o)
{
    struct error err = {0};
    uint64_t bytes;

    if (drives_commit(s->config.drives, d, o->write_back_file, 0, &bytes, &err) < 0) {
        server_say(s, "what drive %s holds is lost: %s", d->name, err.text);
        return false;
    }
    server_say(s, "%s: the changes to drive %s up to position %" PRIu64 ", %" PRIu64 " KiB",
               o->write_back_file ? o->write_back_file : o->file, d->name, timeline_position(s->timeline), bytes >> 10);
    return true;
}

bool server_drives_write_back(struct server *s)
{
    const struct option_drives *o = &s->config.drives->options->drives;
    bool good = true;

    for (unsigned i = 0; i < o->count; i++)
        if (o->list[i].write_back)
            good = write_back(s, s->machine->drives[i], &o->list[i]) && good;
    return good;
}
