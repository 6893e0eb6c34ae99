/*
 * The drives of a run. See drives.h.
 *
 * An image is opened for reading and stays as it is while anything runs: what the guest wrote is state, and
 * goes to a file only when the user asks. Then a disk is written by clusters: those with a page of state.
 */
#include "drives.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "block/qcow2_write.h"
#include "host/block_file.h"
#include "host/file.h"
#include "host/output.h"
#include "host/path.h"
#include "host/writer.h"

static const struct block_opener opener = {.open = host_open_block};

/* ---- opening ---- */

static bool is_local(const char *name)
{
    return strncmp(name, "nbd", 3) || !strchr(name, ':');
}

/* Where a recorded image is now: a new string, or NULL: nowhere. */
static char *find_recorded(const struct option_drive *d, const char *recording)
{
    char *near;

    if (d->where)
        return xstrdup(d->where);
    if (!is_local(d->file) || host_file_exists(d->file))
        return xstrdup(d->file);
    near = host_path_beside(recording, d->file);
    if (host_file_exists(near))
        return near;
    free(near);
    return NULL;
}

static int check_size(const struct option_drive *d, const struct block_image *im, struct error *err)
{
    if (!d->size || d->size == im->size)
        return 0;
    return error_set(err, -EINVAL, "%s is not the image of drive %s that was recorded: it has %" PRIu64 " bytes, recorded "
                     "were %" PRIu64 ". Say where the right one is with --drive id=%s,file=FILE", im->source.name, d->id,
                     im->size, d->size, d->id);
}

static int open_image(struct drives *ds, unsigned n, struct option_drive *d, const struct options *o, struct error *err)
{
    const char *embedded = ds->recording ? recording_value(ds->recording, "drive-clusters") : NULL;
    char *path = ds->recording ? find_recorded(d, o->replay) : xstrdup(d->file);
    int r;

    if (!path && embedded && !o->continue_live)
        return 0; /* what the guest read is in the recording */
    if (!path)
        return error_set(err, -ENOENT, "the recording needs the image of drive %s, %s, which is not there (and not beside "
                         "the recording): say where it is with --drive id=%s,file=FILE", d->id, d->file, d->id);
    r = block_open(&ds->images[n], path, d->format, d->snapshot, &opener, err);
    free(path);
    if (r == 0)
        r = check_size(d, ds->images[n], err);
    if (r < 0)
        return r;
    d->size = ds->images[n]->size;
    if (!d->size && !ds->recording)
        return error_set(err, -EINVAL, "%s is empty: no drive has 0 bytes", ds->images[n]->source.name);
    if (!d->format)
        d->format = xstrdup(ds->images[n]->format->name);
    return 0;
}

static uint32_t sector_size(const struct option_drive *d)
{
    if (d->sector_size)
        return d->sector_size;
    return d->media == DRIVE_CDROM && d->interface != DRIVE_IF_VIRTIO ? 2048 : 512;
}

static void describe_part(struct drive_part *part, const struct option_drive *d)
{
    *part = (struct drive_part){
        .interface = d->interface,
        .index = d->index,
        .config = {
            .name = d->id, .media = d->media, .empty = !d->file, .size = d->size, .sector_size = sector_size(d),
            .read_only = d->read_only, .discard = d->discard, .serial = d->serial, .latency_ns = d->latency_ns,
            .rate = d->rate, .faults = d->faults, .nfaults = d->nfaults,
        },
    };
}

/* Sectors that are to be bad are sectors of the drive. (What is recorded was so.) */
static int check_faults(const struct option_drive *d, struct error *err)
{
    uint64_t sectors = d->size / sector_size(d) + (d->size % sector_size(d) != 0);

    for (unsigned i = 0; i < d->nfaults; i++) {
        const struct drive_fault *f = &d->faults[i];

        if (f->first >= sectors || f->count > sectors - f->first)
            return error_set(err, -EINVAL, "--drive fail=%" PRIu64 "+%" PRIu64 ": drive %s has sectors 0 to %" PRIu64, f->first,
                             f->count, d->id, sectors - 1);
    }
    return 0;
}

/* At the end is too late to say that what a guest wrote cannot be kept. */
static int check_write_back(const struct option_drive *d, const struct block_image *im, bool force, struct error *err)
{
    if (d->write_back && d->snapshot)
        return error_set(err, -EINVAL, "drive %s shows the snapshot '%s' of %s, over which nothing can be kept: make an image of "
                         "it first (qemu-img convert -l %s)", d->id, d->snapshot, d->file, d->snapshot);
    if (d->write_back_file)
        return host_output_replaceable(d->write_back_file, HOST_EMPTY_ONLY | (force ? HOST_FORCE : 0), err);
    if (!d->write_back || (im->format == &block_raw && im->source.local))
        return 0;
    return error_set(err, -EINVAL, "%s is no raw file, and only such a one can be written back to: name a new file for the "
                     "changes, write-back=NEW.qcow2 (qemu-img commit can put it into the image)", im->source.name);
}

/* Does the drive read that file, also as an image beneath its own or as one's data file? */
static bool reads(const struct block_image *im, const struct block_source *s)
{
    const struct block_source *file;

    for (unsigned i = 0; (file = block_file_of(im, i)); i++)
        if (!memcmp(file->identity, s->identity, sizeof(s->identity)))
            return true;
    return false;
}

/* An image that is written in the end is nobody else's: not another drive's, by whatever name, and in no other program. */
static int claim_image(struct drives *ds, unsigned n, struct error *err)
{
    const struct option_drive *list = ds->options->drives.list;
    struct block_source *s = &ds->images[n]->source;

    for (unsigned i = 0; i < ds->options->drives.count; i++)
        if (i != n && ds->images[i] && reads(ds->images[i], s))
            return error_set(err, -EBUSY, "%s: drive %s reads it too, so the changes to drive %s cannot be written back to it: "
                             "name a new file, write-back=NEW.qcow2", s->name, list[i].id, list[n].id);
    if (s->claim && !s->claim(s->ctx))
        return error_set(err, -EBUSY, "%s: another program (hindcast, QEMU) has it open and would see it change: name a new file "
                         "for the changes, write-back=NEW.qcow2", s->name);
    return 0;
}

/* A flash bank that is written in the end has its file for itself, too. */
static int check_flash(const struct options *o, unsigned n, struct error *err)
{
    const char *path = options_file(o, IMAGE_PFLASH0 + n);

    for (unsigned k = 0; k < OPTIONS_MAX_PFLASH; k++)
        if (k != n && options_file(o, IMAGE_PFLASH0 + k) && host_file_same(path, options_file(o, IMAGE_PFLASH0 + k)))
            return error_set(err, -EBUSY, "%s: both flash banks have it, so neither can be written back to it", path);
    for (unsigned i = 0; i < o->drives.count; i++)
        if (o->drives.list[i].file && host_file_same(path, o->drives.list[i].file))
            return error_set(err, -EBUSY, "%s: drive %s has it, so flash bank %u cannot be written back to it", path,
                             o->drives.list[i].id, n);
    return 0;
}

static int claim_images(struct drives *ds, struct error *err)
{
    const struct option_drives *od = &ds->options->drives;

    for (unsigned n = 0; n < OPTIONS_MAX_PFLASH; n++)
        if (ds->options->write_back[n] && check_flash(ds->options, n, err) < 0)
            return -EBUSY;

    for (unsigned i = 0; i < od->count; i++) {
        const struct option_drive *d = &od->list[i];

        if (d->write_back && !d->write_back_file && ds->images[i] && claim_image(ds, i, err) < 0)
            return -EBUSY;
        for (unsigned k = 0; d->write_back_file && k < i; k++)
            if (od->list[k].write_back_file && !strcmp(od->list[k].write_back_file, d->write_back_file))
                return error_set(err, -EINVAL, "write-back=%s: two drives have that file", d->write_back_file);
    }
    return 0;
}

/* ---- media that come later ---- */

/* There are numbers up to this one. */
static void number_media(struct drives *ds, unsigned n, unsigned count)
{
    if (count <= ds->nmedia[n])
        return;
    ds->media[n] = xrealloc(ds->media[n], count * sizeof(*ds->media[n]));
    while (ds->nmedia[n] < count)
        ds->media[n][ds->nmedia[n]++] = (struct drives_medium){.file = NULL};
}

static struct drives_medium *next_medium(struct drives *ds, unsigned n, const char *file)
{
    struct drives_medium *m;

    number_media(ds, n, ds->nmedia[n] + 1);
    m = &ds->media[n][ds->nmedia[n] - 1];
    m->file = xstrdup(file);
    return m;
}

void drives_drop_medium(struct drives *ds, unsigned n)
{
    struct drives_medium *m = &ds->media[n][--ds->nmedia[n]];

    block_close(m->image);
    free(m->file);
}

int drives_add_medium(struct drives *ds, unsigned n, const char *file, const char **format, uint64_t *size,
                      struct error *err)
{
    struct drives_medium *m = next_medium(ds, n, file);
    int r = block_open(&m->image, file, *format, NULL, &opener, err);

    if (r == 0 && !m->image->size)
        r = error_set(err, -EINVAL, "%s is empty", file);
    if (r < 0) {
        drives_drop_medium(ds, n);
        return r;
    }
    *format = m->image->format->name;
    *size = m->image->size;
    return (int)ds->nmedia[n];
}

/* One that the recording tells of: the file where it was, or beside the recording. */
static int open_changed(struct drives *ds, const struct event *e, const char *file, const char *format, struct error *err)
{
    const struct option_drive named = {.file = (char *)(uintptr_t)file};
    const char *id = ds->options->drives.list[e->source].id;
    char *path = find_recorded(&named, ds->options->replay);
    uint64_t size = get_le64(e->data);
    uint32_t number = (uint32_t)get_le(e->data + 8, 4);
    struct drives_medium *m;
    int r;

    number_media(ds, e->source, number);
    m = &ds->media[e->source][number - 1];
    m->file = xstrdup(file);

    if (!path && recording_value(ds->recording, "drive-clusters") && !ds->options->continue_live)
        return 0;
    if (!path)
        return error_set(err, -ENOENT, "the recording needs %s, which was put into drive %s and is not there: lay it beside "
                         "the recording", file, id);
    r = block_open(&m->image, path, *format ? format : NULL, NULL, &opener, err);
    if (r == 0 && m->image->size != size)
        r = error_set(err, -EINVAL, "%s is not the image that was put into drive %s: it has %" PRIu64 " bytes, recorded were "
                      "%" PRIu64, path, id, m->image->size, size);
    free(path);
    return r;
}

/* Does it put in a medium that is not known yet? */
static bool is_insertion(const struct drives *ds, const struct event *e)
{
    uint64_t number;

    if (e->kind != EVENT_MEDIUM || e->len < EVENT_MEDIUM_HEAD + 2 || !get_le64(e->data) || e->source >= ds->options->drives.count)
        return false;
    number = get_le(e->data + 8, 4);
    return number && number < DRIVE_MAX_MEDIA && (number > ds->nmedia[e->source] || !ds->media[e->source][number - 1].file);
}

/* The log of a recording tells of media that were changed, by events from number `from` on: open those. */
static int open_all_changed(struct drives *ds, const struct event_log *log, uint64_t from, struct error *err)
{
    const struct event *e;

    for (uint64_t i = from; (e = event_log_get(log, i)); i++) {
        const char *file = (const char *)e->data + EVENT_MEDIUM_HEAD, *end = (const char *)e->data + e->len, *format;
        int r;

        if (!is_insertion(ds, e))
            continue;
        format = memchr(file, 0, (size_t)(end - file));
        if (!format || ++format == end || end[-1])
            return error_set(err, -EINVAL, "the recording's change of a medium has no names");
        r = open_changed(ds, e, file, format, err);
        if (r < 0)
            return r;
    }
    return 0;
}

void drives_open_branches(struct drives *ds, const struct timeline *tl)
{
    struct timeline_branch list[TIMELINE_BRANCHES];
    size_t n = timeline_branches(tl, list);

    for (size_t i = 1; i < n; i++) {
        struct timeline_history h;
        struct error err = {0};

        if (timeline_history(tl, list[i].id, &h) == 0 && open_all_changed(ds, h.log, event_log_base(h.log), &err) < 0)
            fprintf(stderr, "hindcast: branch '%s': %s\n", list[i].name ? list[i].name : "-", err.text);
    }
}

/* No new medium gets a number of which the recording has clusters: also of branches that were dropped. */
static void number_recorded(struct drives *ds, const struct recording *r)
{
    for (size_t i = 0; i < r->nclusters; i++) {
        uint32_t n = r->clusters[i].drive;
        uint64_t number = r->clusters[i].number >> (DRIVE_MEDIUM_SHIFT - DRIVE_CLUSTER_SHIFT);

        if (n < ds->options->drives.count && ds->options->drives.list[n].media != DRIVE_DISK && number < DRIVE_MAX_MEDIA)
            number_media(ds, n, (unsigned)number);
    }
}

/* ---- all of them ---- */

int drives_open(struct drives *ds, struct options *o, struct recording *r, struct error *err)
{
    struct option_drives *od = &o->drives;

    if (ds->opened)
        return 0;
    ds->opened = true;
    ds->options = o;
    ds->recording = r;
    for (unsigned i = 0; i < od->count; i++) {
        if (od->list[i].file && (open_image(ds, i, &od->list[i], o, err) < 0 ||
                                 (ds->images[i] && check_write_back(&od->list[i], ds->images[i], o->force, err) < 0)))
            return err->code;
        if (!r && check_faults(&od->list[i], err) < 0)
            return err->code;
        describe_part(&ds->parts.drives[ds->parts.ndrives++], &od->list[i]);
    }
    if (claim_images(ds, err) < 0)
        return err->code;
    for (unsigned i = 0; i < od->ndevices; i++)
        ds->parts.devices[ds->parts.ndevices++] = od->devices[i];
    strcpy(ds->parts.boot_order, od->boot_order);
    strcpy(ds->parts.boot_once, od->boot_once);
    ds->parts.boot_menu = od->boot_menu;
    ds->parts.boot_strict = od->boot_strict;
    ds->parts.boot_wait_ms = (uint16_t)od->boot_wait_ms;
    ds->parts.boot_retry_ms = od->boot_retry_ms;
    if (r)
        number_recorded(ds, r);
    return r ? open_all_changed(ds, r->log, 0, err) : 0;
}

void drives_remark(const struct drives *ds, const struct machine *m, struct buffer *out)
{
    for (unsigned i = 0; i < m->ndrives; i++) {
        const struct drive *d = m->drives[i];
        const struct option_drive *o = &ds->options->drives.list[i];

        if (!d->wiring)
            buffer_printf(out, "hindcast: drive %s%s%s%s: no --device uses it (--device NAME,drive=%s)\n", d->name,
                          o->file ? " (" : "", o->file ? o->file : "", o->file ? ")" : "", d->name);
        if (!drive_is_formatted(d))
            buffer_printf(out, "hindcast: drive %s: %s has %" PRIu64 " bytes, as no format of a floppy: it is the beginning of a 2.88M one, and zeros follow\n",
                          d->name, o->file, o->size);
        else if (o->size % d->c.sector_size)
            buffer_printf(out, "hindcast: drive %s: %s has %" PRIu64 " bytes, no whole number of sectors of %u: zeros fill the last one up\n",
                          d->name, o->file, o->size, d->c.sector_size);
    }
}

void drives_close(struct drives *ds)
{
    for (unsigned i = 0; i < MACHINE_MAX_DRIVES; i++) {
        block_close(ds->images[i]);
        while (ds->nmedia[i])
            drives_drop_medium(ds, i);
        free(ds->media[i]);
        free(ds->trouble[i].unreadable);
        free(ds->trouble[i].changed_file);
    }
    memset(ds, 0, sizeof(*ds));
}

/* ---- reading ---- */

/* Has the recording that cluster? 0: then it is in ds->cluster; -ENOENT; -EBADMSG: it had, and that is damaged. */
static int take_cluster(struct drives *ds, unsigned n, uint64_t number)
{
    int r;

    if (!ds->recording)
        return -ENOENT;
    if (ds->cluster_len && ds->cluster_drive == n && ds->cluster_number == number)
        return 0;
    ds->cluster_len = 0;
    ds->cluster_drive = n;
    ds->cluster_number = number;
    r = recording_read_cluster(ds->recording, n, number, ds->cluster, &ds->cluster_len);
    if (r == -EBADMSG && !ds->told_damaged[n]) {
        ds->told_damaged[n] = true;
        fprintf(stderr, "hindcast: %s: cluster %" PRIu64 " of drive %s in it (65536 bytes) is damaged; it, and others that may be, "
                "are taken from the image%s\n", ds->options->replay, number, ds->options->drives.list[n].id,
                ds->images[n] ? "" : ", which is not here");
    }
    return r;
}

/* The image behind byte *offset of what the drive's image_read() has, which becomes a byte of that. NULL: it is not here. */
static struct block_image *image_at(const struct drives *ds, unsigned n, uint64_t *offset)
{
    uint64_t number = *offset >> DRIVE_MEDIUM_SHIFT;

    if (ds->parts.drives[n].config.media == DRIVE_DISK || !number)
        return ds->images[n];
    *offset &= DRIVE_MEDIUM_BYTES - 1;
    return number <= ds->nmedia[n] ? ds->media[n][number - 1].image : NULL;
}

/* An image has failed. That is told when it begins; afterwards `info block` has the latest. */
static void note_unreadable(struct drives *ds, unsigned n, const char *why)
{
    struct drives_trouble *t = &ds->trouble[n];

    if (!t->unreadable)
        fprintf(stderr, "hindcast: drive %s: %s (the guest is told of a sector that cannot be read)\n", ds->options->drives.list[n].id, why);
    free(t->unreadable);
    t->unreadable = xstrdup(why);
}

const char *drives_why(const struct drives *ds, unsigned n)
{
    return n < MACHINE_MAX_DRIVES ? ds->trouble[n].unreadable : NULL;
}

int drives_read(struct drives *ds, unsigned n, uint64_t offset, void *buf, size_t len)
{
    size_t within = offset & (DRIVE_CLUSTER - 1);
    struct block_image *im;
    int r;

    if (n >= MACHINE_MAX_DRIVES)
        return -ENODEV;
    r = take_cluster(ds, n, offset >> DRIVE_CLUSTER_SHIFT);
    if (r == 0 && within + len <= ds->cluster_len) {
        memcpy(buf, ds->cluster + within, len);
        return 0;
    }
    im = image_at(ds, n, &offset);
    if (!im)
        return r == -EBADMSG ? r : -ENODEV;
    r = block_read(im, offset, buf, len);
    if (r < 0)
        note_unreadable(ds, n, im->why.text);
    return r;
}

const char *drives_moved(const struct drives *ds, const struct drive *d)
{
    uint64_t offset = drive_base(d);
    const struct block_image *im = image_at(ds, d->index, &offset);

    return im && !host_block_is_there(&im->source) ? im->source.name : NULL;
}

enum block_change drives_changed(struct drives *ds, unsigned n, icount_t here, const char **file)
{
    enum block_change worst, change;
    struct drives_trouble *t;
    const char *name;

    if (n >= MACHINE_MAX_DRIVES)
        return BLOCK_SAME;
    worst = block_changed(ds->images[n], file);
    for (unsigned i = 0; i < ds->nmedia[n]; i++) {
        change = block_changed(ds->media[n][i].image, &name);
        if (change > worst) {
            worst = change;
            *file = name;
        }
    }
    t = &ds->trouble[n];
    if (worst > t->changed) {
        free(t->changed_file);
        *t = (struct drives_trouble){t->unreadable, worst, xstrdup(*file), here};
    }
    return worst;
}

bool drives_direct(const struct drives *ds, unsigned n, uint64_t offset, size_t len)
{
    bool recorded = ds->recording && ds->recording->nclusters;
    struct block_image *im = n < MACHINE_MAX_DRIVES && !recorded ? image_at(ds, n, &offset) : NULL;

    return im && block_is_direct(im, offset, len);
}

/* What a medium holds, without a trace in history. */
struct contents {
    struct timeline *tl;
    const struct drive *d;
    struct error why;        /* it cannot be read; code 0: it can */
    uint64_t base;           /* where it begins */
    uint64_t size, image_size;
    const struct block_image *image;
    struct host_writer out;
};

static int contents_read(void *ctx, uint64_t offset, void *buf, size_t len)
{
    struct contents *c = ctx;
    uint8_t *to = buf;
    uint64_t there = offset < c->image_size ? c->image_size - offset : 0;
    int r = 0;

    there = there < len ? there : len;
    memset(to + there, 0, len - there);
    if (there)
        r = timeline_image_read(c->tl, c->d, c->base + offset, to, there, &c->why);
    for (uint64_t at = 0; r == 0 && at < len; at += PAGE_SIZE) {
        const uint8_t *page = sparse_page(&c->d->pages, (c->base + offset + at) >> PAGE_SHIFT);

        for (uint64_t i = 0; page && i < PAGE_SIZE && at + i < len; i++)
            to[at + i] ^= page[i];
    }
    return r;
}

/* Of the medium whose window begins at `base`. */
static struct contents contents_of(const struct drives *ds, struct timeline *tl, const struct drive *d, uint64_t base)
{
    struct contents c = {.tl = tl, .d = d, .base = base};
    uint64_t offset = base;

    c.image = image_at(ds, d->index, &offset);
    c.image_size = c.image ? c.image->size : d->image_size;
    c.size = drive_padded(d, c.image_size);
    return c;
}

int drives_contents(struct drives *ds, struct timeline *tl, const struct drive *d, uint64_t offset, void *buf, size_t len,
                    struct error *err)
{
    struct contents c = contents_of(ds, tl, d, drive_base(d));
    uint8_t page[PAGE_SIZE], *to = buf;
    int r = 0;

    offset -= c.base;
    while (r == 0 && len) {
        size_t within = offset & ~PAGE_MASK, n = PAGE_SIZE - within < len ? PAGE_SIZE - within : len;

        r = contents_read(&c, offset & PAGE_MASK, page, sizeof(page));
        memcpy(to, page + within, n);
        offset += n;
        to += n;
        len -= n;
    }
    if (r < 0)
        *err = c.why;
    return r;
}

/* ---- keeping ---- */

/* Clusters with something in them that differs from the image. */
struct changed {
    uint64_t *list, n, cap;
    uint64_t first, count; /* pages of the drive that are looked at */
};

static void note_page(void *ctx, uint64_t page, const uint8_t *bytes)
{
    struct changed *c = ctx;

    (void)bytes;
    if (page < c->first || page - c->first >= c->count)
        return;
    if (c->n == c->cap) {
        c->cap = c->cap ? c->cap * 2 : 256;
        c->list = xrealloc(c->list, c->cap * sizeof(*c->list));
    }
    c->list[c->n++] = (page - c->first) >> (DRIVE_CLUSTER_SHIFT - PAGE_SHIFT);
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static void find_changed(const struct contents *contents, struct changed *c)
{
    const struct drive *d = contents->d;
    uint64_t kept = 0;

    *c = (struct changed){.first = contents->base >> PAGE_SHIFT, .count = (contents->size + PAGE_SIZE - 1) >> PAGE_SHIFT};
    d->pages.space.ops->pages(&d->pages.space, note_page, c);
    if (!c->n)
        return;
    qsort(c->list, c->n, sizeof(*c->list), compare);
    for (uint64_t i = 1; i < c->n; i++)
        if (c->list[i] != c->list[kept])
            c->list[++kept] = c->list[i];
    c->n = kept + 1;
}

static int contents_write(void *ctx, const void *data, size_t len)
{
    struct contents *c = ctx;

    return host_writer_write(&c->out, data, len);
}

static int commit_to_overlay(struct contents *c, const struct changed *changed, const char *path, unsigned may,
                             struct error *err)
{
    const struct block_image *im = c->image;
    char *backing = im->source.local ? host_path_from(path, im->source.name) : xstrdup(im->source.name);
    const struct qcow2_writer w = {
        .size = c->size, .backing = backing, .backing_format = im->format->name, .clusters = changed->list,
        .nclusters = changed->n, .ctx = c, .read = contents_read, .write = contents_write,
    };
    int r = host_writer_open_whole(&c->out, path, may, err);

    if (r == 0) {
        r = qcow2_write(&w, err);
        if (r < 0) {
            error_prefix(err, "%s", path);
            host_writer_close(&c->out);
        } else if ((r = host_writer_commit(&c->out)) < 0) {
            error_set(err, r, "%s: cannot write: %s", path, strerror(-r));
        }
    }
    free(backing);
    return r;
}

/* What a guest has written must not turn a raw image into another format for whoever opens it next. */
static int check_raw(struct contents *c, const struct changed *changed, struct error *err)
{
    const struct block_image *im = c->image;
    uint8_t head[512];

    if (im->format != &block_raw || !im->source.local)
        return error_set(err, -EINVAL, "%s is no raw file: name a new file for the changes (qemu-img commit can put it into "
                         "the image)", im->source.name);
    if (changed->n && !changed->list[0] && c->size >= sizeof(head) && contents_read(c, 0, head, sizeof(head)) == 0 &&
        block_foreign_format(head, sizeof(head)))
        return error_set(err, -EINVAL, "%s: the guest has written the header of a %s image to its first sector; name a new file for "
                         "the changes", im->source.name, block_foreign_format(head, sizeof(head)));
    return 0;
}

/* All that is to be written can be read, and has a place in the image: bytes behind its end (drive_padded()) have none. */
static int check_changes(struct contents *c, const struct changed *changed, struct error *err)
{
    uint8_t cluster[DRIVE_CLUSTER];
    int r = 0;

    for (uint64_t i = 0; r == 0 && i < changed->n; i++) {
        uint64_t offset = changed->list[i] << DRIVE_CLUSTER_SHIFT;
        uint64_t from = c->image_size > offset ? c->image_size - offset : 0;

        r = contents_read(c, offset, cluster, DRIVE_CLUSTER);
        for (; r == 0 && from < DRIVE_CLUSTER; from++)
            if (cluster[from])
                return error_set(err, -EINVAL, "%s has %" PRIu64 " bytes, and the guest has written to byte %" PRIu64 " of its drive; "
                                 "name a new file for the changes", c->image->source.name, c->image_size, offset + from);
    }
    return r < 0 ? error_set(err, r, "%s: cannot read: %s", c->image->source.name, strerror(-r)) : 0;
}

static int commit_to_image(struct contents *c, const struct changed *changed, struct error *err)
{
    const char *name = c->image->source.name;
    uint8_t cluster[DRIVE_CLUSTER];
    int fd, r = check_raw(c, changed, err);

    if (r == 0)
        r = check_changes(c, changed, err);
    if (r < 0)
        return r;
    fd = host_patch_open(&c->image->source, err);
    if (fd < 0)
        return fd;
    for (uint64_t i = 0; r == 0 && i < changed->n; i++) {
        uint64_t offset = changed->list[i] << DRIVE_CLUSTER_SHIFT, len = c->image_size - offset;

        if (offset >= c->image_size)
            break;
        len = len < DRIVE_CLUSTER ? len : DRIVE_CLUSTER;
        r = contents_read(c, offset, cluster, len);
        if (r == 0)
            r = host_patch_write(fd, offset, cluster, len);
    }
    r = host_patch_close(fd, r);
    return r < 0 ? error_set(err, r, "%s: only a part of the changes is there: %s", name, strerror(-r)) : 0;
}

int drives_commit(struct drives *ds, struct timeline *tl, const struct drive *d, bool configured, const char *path, unsigned may,
                  uint64_t *bytes, struct error *err)
{
    struct contents c = contents_of(ds, tl, d, configured ? 0 : drive_base(d));
    struct changed changed;
    int r;

    *bytes = 0;
    if (!c.image)
        return error_set(err, -ENOENT, "drive %s has no image here", d->name);
    find_changed(&c, &changed);
    r = path ? commit_to_overlay(&c, &changed, path, may, err) : commit_to_image(&c, &changed, err);
    if (r < 0 && c.why.code)
        *err = c.why;
    *bytes = changed.n << DRIVE_CLUSTER_SHIFT;
    free(changed.list);
    return r;
}

/* ---- info block ---- */

static const char *media_name(const struct drive *d)
{
    return d->c.media == DRIVE_CDROM ? "cdrom" : d->c.media == DRIVE_FLOPPY ? "floppy" : "disk";
}

const char *drives_change_name(enum block_change change)
{
    return change == BLOCK_CUT ? "was cut short by another program" : "was written to by another program";
}

static void describe_trouble(const struct drives_trouble *t, struct buffer *out)
{
    if (t->changed != BLOCK_SAME)
        buffer_printf(out, "    %s %s (noticed at position %" PRIu64 "): what the guest had read of it is compared\n", t->changed_file,
                      drives_change_name(t->changed), t->changed_at);
    if (t->unreadable)
        buffer_printf(out, "    could not be read: %s\n", t->unreadable);
}

static void describe_drive(const struct drives *ds, const struct drive *d, struct buffer *out)
{
    const struct option_drive *od = &ds->options->drives.list[d->index];
    uint64_t base = drive_base(d);
    const struct block_image *im = d->c.empty ? NULL : image_at(ds, d->index, &base);
    const char *file = drive_base(d) && d->medium->number <= ds->nmedia[d->index] ? ds->media[d->index][d->medium->number - 1].file : od->file;

    buffer_printf(out, "%s: ", d->name);
    if (d->c.empty)
        buffer_printf(out, "empty");
    else if (!im)
        buffer_printf(out, "%s (not here; the recording has what the guest read)", file);
    for (bool first = true; im; im = im->backing, first = false)
        buffer_printf(out, "%s%s (%s)", first ? "" : ", over ", im->source.name, im->format->name);
    buffer_printf(out, "\n    %s, %" PRIu64 " bytes, sectors of %u%s, %s\n", media_name(d), d->c.size, d->c.sector_size,
                  d->c.read_only ? ", read only" : "", d->wiring ? "plugged in" : "not plugged in");
    buffer_printf(out, "    latency %" PRIu64 " us, rate ", d->c.latency_ns / 1000);
    if (d->c.rate)
        buffer_printf(out, "%" PRIu64 " MB/s\n", d->c.rate / 1000000);
    else
        buffer_printf(out, "without end\n");
    for (unsigned i = 0; i < d->c.nfaults; i++)
        buffer_printf(out, "    bad sectors: %" PRIu64 " from %" PRIu64 " on\n", d->c.faults[i].count, d->c.faults[i].first);
    buffer_printf(out, "    differs from its image here in %" PRIu64 " pages of 4 KiB\n", d->pages.used);
    describe_trouble(&ds->trouble[d->index], out);
    if (od->write_back)
        buffer_printf(out, "    at the end goes into %s\n", od->write_back_file ? od->write_back_file : od->file);
}

void drives_describe(const struct drives *ds, const struct machine *m, struct buffer *out)
{
    if (!m->ndrives)
        buffer_printf(out, "no drives\n");
    for (unsigned i = 0; i < m->ndrives; i++)
        describe_drive(ds, m->drives[i], out);
}
