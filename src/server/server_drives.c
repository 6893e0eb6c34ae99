/*
 * The guest's drives in the server: their images, and what is kept of what they hold.
 */
#include "server_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"

int server_image_read(void *ctx, const struct drive *d, uint64_t offset, void *buf, size_t len)
{
    struct server *s = ctx;

    return s->config.drives ? drives_read(s->config.drives, d->index, offset, buf, len) : -ENODEV;
}

const char *server_image_why(void *ctx, const struct drive *d)
{
    const struct server *s = ctx;

    return s->config.drives ? drives_why(s->config.drives, d->index) : NULL;
}

bool server_image_changed(void *ctx, const struct drive *d)
{
    const struct server *s = ctx;
    const char *file = NULL;
    icount_t here = machine_position(s->machine);
    enum block_change change = s->config.drives ? drives_changed(s->config.drives, d->index, here, &file) : BLOCK_SAME;

    if (change != BLOCK_SAME)
        fprintf(stderr, "hindcast: at position %" PRIu64 ": %s %s: what the guest has read of it is compared from now on, and where it is "
                        "something else the replay says so; put it back as it was\n", here, file,
                drives_change_name(change));
    return change != BLOCK_SAME;
}

bool server_image_direct(void *ctx, const struct drive *d, uint64_t offset, size_t len)
{
    const struct server *s = ctx;

    return s->config.drives && drives_direct(s->config.drives, d->index, offset, len);
}

/* A drive with something in it; NULL with *err: there is none of that name. */
static const struct drive *find_drive(const struct server *s, const char *name, struct error *err)
{
    const struct drive *d = drive_find(s->machine, name);

    if (!d || !s->config.drives) {
        error_set(err, -ENODEV, "this machine has no drive '%s': info block lists them", name);
        return NULL;
    }
    if (d->c.empty)
        error_set(err, -ENODEV, "drive %s is empty", name);
    return d->c.empty ? NULL : d;
}

int server_take_sectors(const struct server *s, const char *name, uint64_t first, uint64_t count,
                        struct timeline_point *point, struct error *err)
{
    const struct drive *d = find_drive(s, name, err);

    if (!d)
        return -ENODEV;
    if (!count || first >= drive_sectors(d) || count > drive_sectors(d) - first)
        return error_set(err, -ERANGE, "drive %s has sectors 0 to %" PRIu64, name, drive_sectors(d) - 1);
    point->drive = d;
    point->address = drive_base(d) + first * d->c.sector_size;
    point->len = count * d->c.sector_size;
    return 0;
}

#define DUMP_BYTES 65536u

/* Lines of 16 bytes, numbered from the beginning of their sector; equal ones are shown once. */
static void dump_sector(uint64_t number, const uint8_t *bytes, uint32_t len, struct buffer *out)
{
    bool same = false;

    buffer_printf(out, "sector %" PRIu64 "\n", number);
    for (uint32_t at = 0; at < len; at += 16) {
        if (at && at + 16 < len && !memcmp(bytes + at, bytes + at - 16, 16)) {
            if (!same)
                buffer_printf(out, "*\n");
            same = true;
            continue;
        }
        same = false;
        buffer_printf(out, "%04x ", at);
        for (uint32_t i = at; i < at + 16; i++)
            buffer_printf(out, " %02x", bytes[i]);
        buffer_printf(out, "  ");
        for (uint32_t i = at; i < at + 16; i++)
            buffer_append_byte(out, bytes[i] >= ' ' && bytes[i] <= '~' ? bytes[i] : '.');
        buffer_append_byte(out, '\n');
    }
}

int server_drive_dump(const struct server *s, const char *name, uint64_t first, uint64_t count, struct buffer *out,
                      struct error *err)
{
    struct timeline_point where;
    uint8_t *bytes;
    uint32_t sector;
    int r = server_take_sectors(s, name, first, count, &where, err);

    if (r < 0)
        return r;
    if (where.len > DUMP_BYTES)
        return error_set(err, -E2BIG, "that is more than %u KiB", DUMP_BYTES >> 10);
    bytes = xmalloc(where.len);
    sector = where.drive->c.sector_size;
    r = drives_contents(s->config.drives, s->timeline, where.drive, where.address, bytes, where.len, err);
    for (uint64_t i = 0; r == 0 && i < count; i++)
        dump_sector(first + i, bytes + i * sector, sector, out);
    free(bytes);
    return r;
}

int server_drive_commit(struct server *s, const char *name, const char *path, bool force, uint64_t *bytes,
                        struct error *err)
{
    const struct drive *d = find_drive(s, name, err);

    if (!d)
        return -ENODEV;
    if (s->config.drives->options->drives.list[d->index].snapshot)
        return error_set(err, -EINVAL, "drive %s shows a snapshot of its image, over which nothing can be kept: qemu-img convert "
                         "-l makes an image of it", name);
    return drives_commit(s->config.drives, s->timeline, d, false, path, HOST_MONITOR | HOST_EMPTY_ONLY | (force ? HOST_FORCE : 0), bytes, err);
}

/* A drive whose medium the user may take out. */
static struct drive *removable(struct server *s, const char *name, bool force, struct error *err)
{
    struct drive *d = drive_find(s->machine, name);

    if (!d || !s->config.drives)
        error_set(err, -ENODEV, "this machine has no drive '%s': info block lists them", name);
    else if (!force && drive_locked(d))
        error_set(err, -EBUSY, "the guest has locked drive %s (eject %s force takes the medium out all the same)", name, name);
    else
        return d;
    return NULL;
}

int server_drive_eject(struct server *s, const char *name, bool force, struct error *err)
{
    const struct timeline_medium none = {.size = 0};
    const struct drive *d = removable(s, name, force, err);

    return d ? timeline_change_medium(s->timeline, d, &none, err) : -ENODEV;
}

int server_drive_change(struct server *s, const char *name, const char *file, const char *format, bool read_only,
                        struct error *err)
{
    struct drives *ds = s->config.drives;
    const struct drive *d = removable(s, name, false, err);
    const char *unknown = format ? block_unknown_format(format) : NULL;
    struct timeline_medium medium = {.file = file, .format = format};
    int r;

    if (unknown)
        return error_set(err, -EINVAL, "image formats are %s, not %s", unknown, format);
    if (!d)
        return -ENODEV;
    if (!d->medium)
        return timeline_change_medium(s->timeline, d, &medium, err); /* says so */
    r = drives_add_medium(ds, d->index, file, &medium.format, &medium.size, err);
    if (r < 0)
        return r;
    medium.number = (uint32_t)r;
    medium.read_only = read_only || d->c.media == DRIVE_CDROM || ds->options->drives.list[d->index].read_only;
    r = timeline_change_medium(s->timeline, d, &medium, err);
    if (r < 0)
        drives_drop_medium(ds, d->index);
    return r;
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

    if (drives_commit(s->config.drives, s->timeline, d, true, o->write_back_file, 0, &bytes, &err) < 0) {
        server_say(s, "what drive %s holds is lost: %s", d->name, err.text);
        return false;
    }
    server_say(s, "%s: the changes to drive %s up to position %" PRIu64 ", %" PRIu64 " KiB",
               o->write_back_file ? o->write_back_file : o->file, d->name, timeline_position(s->timeline), bytes >> 10);
    if (o->write_back_file && drives_moved(s->config.drives, d))
        server_say(s, "%s is not the image of drive %s any more (moved, or replaced): qemu-img rebase -u -b IMAGE -F FORMAT %s says where it is",
                   o->file, d->name, o->write_back_file);
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
