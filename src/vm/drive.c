/*
 * Drives. See drive.h.
 *
 * The image is asked for pieces that lie within one cluster, so that what cannot be read is one
 * cluster's bytes and no others'.
 */
#include "vm/drive.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "vm/footprint.h"
#include "vm/machine.h"
#include "vm/trap.h"

#define SERIAL_MOST 20u /* characters that every kind of device can tell */

static const uint8_t zeros[PAGE_SIZE];

/* Sectors of 512 bytes, and the format that has so many. */
static const struct {
    uint32_t total;
    struct drive_geometry g;
} floppies[] = {
    {320, {40, 1, 8}},    {360, {40, 1, 9}},    {640, {40, 2, 8}},    {720, {40, 2, 9}},    {1440, {80, 2, 9}},
    {1600, {80, 2, 10}},  {1640, {82, 2, 10}},  {1660, {83, 2, 10}},  {2080, {80, 2, 13}},  {2240, {80, 2, 14}},
    {2400, {80, 2, 15}},  {2880, {80, 2, 18}},  {3200, {80, 2, 20}},  {3360, {80, 2, 21}},  {3444, {82, 2, 21}},
    {3486, {83, 2, 21}},  {3520, {80, 2, 22}},  {3680, {80, 2, 23}},  {3840, {80, 2, 24}},  {5760, {80, 2, 36}},
};

/* Sizes (in sectors, too) of formats that no drive of ours reads: 10 or 11 sectors on tracks of 5.25 inches, 18 on more
 * than 80 of them; 39 to 48. */
static const uint16_t unread_floppies[] = {820, 840, 1760, 2952, 2988, 6240, 6400, 7040, 7680};

static const struct drive_geometry *floppy_format(uint64_t size)
{
    for (unsigned i = 0; i < ARRAY_LEN(floppies); i++)
        if (floppies[i].total == size / 512)
            return &floppies[i].g;
    return NULL;
}

static bool can_change(enum drive_media media)
{
    return media != DRIVE_DISK;
}

/* ---- media that an image is too small for ---- */

/* A size that no format has is that of an image that was made without one (a boot sector and what it loads): as in QEMU it lies
 * at the beginning of a 2.88M floppy, whose tracks are the longest there are. NULL: nothing reads such a floppy. */
static const struct drive_geometry *floppy_geometry(uint64_t size)
{
    const struct drive_geometry *g = floppy_format(size);

    for (unsigned i = 0; i < ARRAY_LEN(unread_floppies); i++)
        if (unread_floppies[i] == size / 512)
            return NULL;
    return g ? g : size ? &floppies[ARRAY_LEN(floppies) - 1].g : NULL;
}

/* A medium of that kind with an image of so many bytes. */
static uint64_t padded(enum drive_media media, uint64_t size, uint32_t sector_size)
{
    uint64_t whole = (size + sector_size - 1) / sector_size * sector_size;
    const struct drive_geometry *g = media == DRIVE_FLOPPY ? floppy_geometry(whole) : NULL;
    uint64_t formatted = g ? (uint64_t)g->cylinders * g->heads * g->sectors * 512 : 0;

    return whole > formatted ? whole : formatted;
}

uint64_t drive_padded(const struct drive *d, uint64_t size)
{
    return padded(d->c.media, size, d->c.sector_size);
}

bool drive_is_formatted(const struct drive *d)
{
    return d->c.media != DRIVE_FLOPPY || d->c.empty || floppy_format(padded(DRIVE_DISK, d->image_size, 512));
}

/* ---- configuration ---- */

static int check_config(const struct machine *m, const struct drive_config *c, struct error *err)
{
    if (m->ndrives == MACHINE_MAX_DRIVES)
        return error_set(err, -EINVAL, "more than %d drives", MACHINE_MAX_DRIVES);
    if (!*c->name || strlen(c->name) >= sizeof(((struct drive *)0)->name))
        return error_set(err, -EINVAL, "a drive's name has 1 to 31 characters: '%.40s'", c->name);
    if (drive_find(m, c->name))
        return error_set(err, -EINVAL, "there are two drives named '%s'", c->name);
    if (c->sector_size != 512 && c->sector_size != 2048 && c->sector_size != 4096)
        return error_set(err, -EINVAL, "drive '%s': sectors of %u bytes", c->name, c->sector_size);
    if (c->size > DRIVE_MAX_BYTES || (c->empty && c->size))
        return error_set(err, -EINVAL, "drive '%s': no drive has %llu bytes", c->name, (unsigned long long)c->size);
    if (c->latency_ns > DRIVE_MAX_LATENCY_NS)
        return error_set(err, -EINVAL, "drive '%s': a latency of more than a minute", c->name);
    if (c->rate && (c->rate < DRIVE_MIN_RATE || c->rate > DRIVE_MAX_RATE))
        return error_set(err, -EINVAL, "drive '%s': a rate of %llu bytes in a second", c->name,
                         (unsigned long long)c->rate);
    if (c->serial && strlen(c->serial) > SERIAL_MOST)
        return error_set(err, -EINVAL, "drive '%s': a serial number has at most 20 characters", c->name);
    if (can_change(c->media) && c->size > DRIVE_MEDIUM_BYTES)
        return error_set(err, -EINVAL, "drive '%s': a medium that can be changed has at most 128 GiB", c->name);
    return 0;
}

/* State says what is in it. */
static void add_medium(struct drive *d)
{
    char name[16];

    snprintf(name, sizeof(name), "medium%u", d->index);
    d->medium = machine_alloc_state(d->machine, name, 0, sizeof(*d->medium));
    *d->medium = (struct drive_medium){.size = d->c.size, .count = 1, .present = !d->c.empty, .read_only = d->c.read_only};
}

int drive_create(struct drive **made, struct machine *m, const struct drive_config *c, struct error *err)
{
    struct drive_fault *faults;
    struct drive *d;
    int r = check_config(m, c, err);

    if (r < 0)
        return r;
    d = xcalloc(1, sizeof(*d));
    d->machine = m;
    d->index = m->ndrives;
    d->c = *c;
    strcpy(d->name, c->name);
    strncpy(d->serial, c->serial ? c->serial : c->name, SERIAL_MOST);
    d->identity.rotation_rate = 1;
    d->c.name = d->name;
    d->c.serial = d->serial;
    faults = xcalloc(c->nfaults + 1, sizeof(*faults));
    if (c->nfaults)
        memcpy(faults, c->faults, c->nfaults * sizeof(*faults));
    d->c.faults = faults;
    d->image_size = d->first_size = c->size;
    if (can_change(c->media))
        add_medium(d);
    d->c.size = drive_padded(d, c->size);
    sparse_pages_init(&d->pages, d->name, d->medium ? DRIVE_MEDIUM_BYTES * DRIVE_MAX_MEDIA : d->c.size);
    machine_add_pages(m, &d->pages.space);
    m->drives[m->ndrives++] = d;
    *made = d;
    return 0;
}

void drive_destroy(struct drive *d)
{
    if (!d)
        return;
    sparse_pages_finish(&d->pages);
    free((void *)(uintptr_t)d->c.faults);
    free(d);
}

struct drive *drive_find(const struct machine *m, const char *name)
{
    for (unsigned i = 0; i < m->ndrives; i++)
        if (!strcmp(m->drives[i]->name, name))
            return m->drives[i];
    return NULL;
}

/* ---- media ---- */

uint64_t drive_base(const struct drive *d)
{
    return d->medium ? (uint64_t)d->medium->number << DRIVE_MEDIUM_SHIFT : 0;
}

size_t drive_cluster_bytes(const struct drive *d, uint64_t number)
{
    uint64_t offset = number << DRIVE_CLUSTER_SHIFT;

    if (d->medium && offset >= DRIVE_MEDIUM_BYTES)
        return DRIVE_CLUSTER;
    if (offset >= d->first_size)
        return 0;
    return d->first_size - offset < DRIVE_CLUSTER ? (size_t)(d->first_size - offset) : (size_t)DRIVE_CLUSTER;
}

uint32_t drive_changes(const struct drive *d)
{
    return d->medium ? d->medium->changes : 0;
}

bool drive_locked(const struct drive *d)
{
    return d->medium && d->medium->locked;
}

void drive_lock(struct drive *d, bool locked)
{
    if (d->medium)
        d->medium->locked = locked;
}

void drive_restored(struct drive *d)
{
    const struct drive_medium *s = d->medium;

    if (!s)
        return;
    d->image_size = s->present ? s->size : 0;
    d->c.size = drive_padded(d, d->image_size);
    d->c.empty = !s->present;
    d->c.read_only = s->read_only;
}

bool drive_possible(const struct drive *d)
{
    const struct drive_medium *s = d->medium;

    return !s || (s->count && s->count <= DRIVE_MAX_MEDIA && s->number < s->count && s->size <= DRIVE_MEDIUM_BYTES);
}

int drive_can_insert(const struct drive *d, const struct drive_insertion *in, struct error *err)
{
    if (!d->medium)
        return error_set(err, -EINVAL, "the medium of drive %s is built in: those of CD-ROM and floppy drives can be changed",
                         d->name);
    if (in->size > DRIVE_MEDIUM_BYTES)
        return error_set(err, -EINVAL, "drive %s takes at most 128 GiB", d->name);
    if (in->size && (d->medium->count == DRIVE_MAX_MEDIA || in->number >= DRIVE_MAX_MEDIA))
        return error_set(err, -EINVAL, "drive %s has had %u media: that is the most in one history", d->name, DRIVE_MAX_MEDIA);
    if (in->size && in->number && in->number < d->medium->count)
        return error_set(err, -EINVAL, "a medium of drive %s has that number", d->name);
    if (d->c.media == DRIVE_FLOPPY && in->size && !floppy_geometry(in->size))
        return error_set(err, -EINVAL, "a floppy image of %llu bytes: no drive reads its format",
                         (unsigned long long)in->size);
    if (in->size && d->fits && !d->fits(d, drive_padded(d, in->size)))
        return error_set(err, -EINVAL, "a medium of %llu bytes does not fit into drive %s", (unsigned long long)in->size,
                         d->name);
    return 0;
}

void drive_insert(struct drive *d, const struct drive_insertion *in)
{
    struct drive_medium *s = d->medium;

    s->present = in->size != 0;
    s->locked = 0;
    s->changes++;
    if (in->size) {
        s->number = in->number ? in->number : s->count;
        s->count = s->number + 1;
        s->size = in->size;
        s->read_only = in->read_only;
    }
    drive_restored(d);
}

/* ---- reading, writing ---- */

/* The most bytes from `offset` on that are free of configured faults, at most `len`. */
static uint64_t good_bytes(const struct drive *d, uint64_t offset, uint64_t len)
{
    uint64_t sector = d->c.sector_size;

    for (unsigned i = 0; i < d->c.nfaults && len; i++) {
        const struct drive_fault *f = &d->c.faults[i];
        uint64_t first = offset / sector, end = (offset + len + sector - 1) / sector;

        if (f->first >= end || (f->first < first && f->count <= first - f->first) || !f->count)
            continue;
        len = f->first * sector > offset ? f->first * sector - offset : 0;
    }
    return len;
}

/* What the image holds there: within one cluster. False: the host could not read it. */
static bool image_read(struct drive *d, uint64_t offset, uint8_t *buf, uint64_t len)
{
    const struct machine_env *env = d->machine->env;
    uint64_t there = offset < d->image_size ? d->image_size - offset : 0;

    if (there > len)
        there = len;
    memset(buf + there, 0, len - there);
    if (!there)
        return true;
    if (env && env->image_read)
        return env->image_read(env->ctx, d->machine, d, drive_base(d) + offset, buf, there) == 0;
    memset(buf, 0, there);
    return true;
}

static void xor_bytes(uint8_t *to, const uint8_t *with, uint64_t n)
{
    uint64_t i = 0;

    for (; i + sizeof(uint64_t) <= n; i += sizeof(uint64_t)) {
        uint64_t a, b;

        memcpy(&a, to + i, sizeof(a));
        memcpy(&b, with + i, sizeof(b));
        a ^= b;
        memcpy(to + i, &a, sizeof(a));
    }
    for (; i < n; i++)
        to[i] ^= with[i];
}

/* From here to the end of its page, at most `len`. */
static uint64_t in_page(uint64_t offset, uint64_t len)
{
    uint64_t n = PAGE_SIZE - (offset & ~PAGE_MASK);

    return n < len ? n : len;
}

static bool read_piece(struct drive *d, uint64_t offset, uint8_t *buf, uint64_t len)
{
    if (!image_read(d, offset, buf, len))
        return false;
    offset += drive_base(d);
    while (len) {
        uint64_t n = in_page(offset, len);
        const uint8_t *page = sparse_page(&d->pages, offset >> PAGE_SHIFT);

        if (page)
            xor_bytes(buf, page + (offset & ~PAGE_MASK), n);
        offset += n;
        buf += n;
        len -= n;
    }
    return true;
}

static bool is_zero(const uint8_t *p, uint64_t n)
{
    while (n) {
        uint64_t piece = n < PAGE_SIZE ? n : PAGE_SIZE;

        if (memcmp(p, zeros, piece))
            return false;
        p += piece;
        n -= piece;
    }
    return true;
}

/* `buf` NULL: zeros. */
static bool write_piece(struct drive *d, uint64_t offset, const uint8_t *buf, uint64_t len)
{
    uint8_t image[DRIVE_CLUSTER];
    const uint8_t *from = image;

    if (!image_read(d, offset, image, len))
        return false;
    if (buf)
        xor_bytes(image, buf, len);
    offset += drive_base(d);
    while (len) {
        uint64_t n = in_page(offset, len), number = offset >> PAGE_SHIFT;

        /* What is written as it was costs nothing. */
        if (sparse_page(&d->pages, number) || !is_zero(from, n))
            memcpy(sparse_page_touch(&d->pages, number) + (offset & ~PAGE_MASK), from, n);
        offset += n;
        from += n;
        len -= n;
    }
    return true;
}

/* May the request be made at all? */
static enum drive_status check_request(const struct drive *d, uint64_t offset, uint64_t len, bool writes)
{
    if (d->c.empty)
        return DRIVE_NO_MEDIUM;
    if (offset > d->c.size || len > d->c.size - offset)
        return DRIVE_OUT_OF_RANGE;
    return writes && d->c.read_only ? DRIVE_WRITE_PROTECTED : DRIVE_OK;
}

/* A piece ends with its cluster. */
static uint64_t in_cluster(uint64_t offset, uint64_t len)
{
    uint64_t n = DRIVE_CLUSTER - (offset & (DRIVE_CLUSTER - 1));

    return n < len ? n : len;
}

/* A controller reads or writes these bytes: for watchpoints and reverse searches. */
static void note(struct drive *d, unsigned kind, uint64_t offset, uint64_t len)
{
    const struct page_space *s = &d->pages.space;
    struct footprint *f = d->machine->footprint;

    offset += drive_base(d);
    for (uint64_t page = offset >> PAGE_SHIFT; f && page <= (offset + len - 1) >> PAGE_SHIFT; page++)
        page_set_add(kind == TRAP_WRITE ? &f->storage : &f->fetched, s->first + page);
    for (uint64_t at = offset, n; s->watched && d->machine->touches && at < offset + len; at += n) {
        n = PAGE_SIZE - (at & ~PAGE_MASK) < offset + len - at ? PAGE_SIZE - (at & ~PAGE_MASK) : offset + len - at;
        touches_add(d->machine->touches, kind == TRAP_WRITE ? TOUCHED_STORAGE : TOUCHED_FETCHED, s->first + (at >> PAGE_SHIFT),
                    (unsigned)(at & ~PAGE_MASK), (unsigned)n);
    }
    if (s->watched)
        traps_touch(d->machine, kind, s, offset, len);
}

enum access { ACCESS_READ, ACCESS_WRITE, ACCESS_VERIFY };

/* Go through the request piece by piece, as far as the sectors are good. `buf` may be NULL for
 * ACCESS_WRITE (zeros) and ACCESS_VERIFY. */
static enum drive_status transfer(struct drive *d, enum access access, uint64_t offset, uint8_t *buf, uint64_t len,
                                  uint64_t *done)
{
    enum drive_status status = check_request(d, offset, len, access == ACCESS_WRITE);
    uint64_t at = 0, good, none;
    uint8_t scratch[DRIVE_CLUSTER];
    bool ok = true;

    done = done ? done : &none;
    *done = 0;
    if (status != DRIVE_OK)
        return status;
    good = good_bytes(d, offset, len);
    while (ok && at < good) {
        uint64_t n = in_cluster(offset + at, good - at);
        uint8_t *piece = buf ? buf + at : NULL;

        ok = access == ACCESS_WRITE ? write_piece(d, offset + at, piece, n)
                                    : read_piece(d, offset + at, access == ACCESS_VERIFY ? scratch : piece, n);
        if (ok && access != ACCESS_VERIFY)
            note(d, access == ACCESS_WRITE ? TRAP_WRITE : TRAP_READ, offset + at, n);
        if (ok)
            at += n;
    }
    *done = at;
    return at == len ? DRIVE_OK : DRIVE_BAD_SECTOR;
}

enum drive_status drive_read(struct drive *d, uint64_t offset, void *buf, uint64_t len, uint64_t *done)
{
    return transfer(d, ACCESS_READ, offset, buf, len, done);
}

enum drive_status drive_write(struct drive *d, uint64_t offset, const void *buf, uint64_t len, uint64_t *done)
{
    return transfer(d, ACCESS_WRITE, offset, (uint8_t *)(uintptr_t)buf, len, done);
}

enum drive_status drive_write_zeroes(struct drive *d, uint64_t offset, uint64_t len, uint64_t *done)
{
    return transfer(d, ACCESS_WRITE, offset, NULL, len, done);
}

enum drive_status drive_verify(struct drive *d, uint64_t offset, uint64_t len, uint64_t *done)
{
    return transfer(d, ACCESS_VERIFY, offset, NULL, len, done);
}

enum drive_status drive_discard(struct drive *d, uint64_t offset, uint64_t len, uint64_t *done)
{
    enum drive_status status;

    if (d->c.discard == DRIVE_DISCARD_ZERO)
        return drive_write_zeroes(d, offset, len, done);
    status = check_request(d, offset, len, true);
    if (done)
        *done = status == DRIVE_OK ? len : 0;
    return status;
}

size_t drive_piece(const struct drive *d)
{
    return d->c.nfaults ? PAGE_SIZE : DRIVE_PIECE;
}

/* ---- time, shape ---- */

vtime_t drive_duration(const struct drive *d, uint64_t len)
{
    uint64_t ns = d->c.latency_ns;

    if (len > DRIVE_MAX_BYTES)
        len = DRIVE_MAX_BYTES;
    if (d->c.rate) /* whole seconds first: between the limits, no product overflows */
        ns += len / d->c.rate * 1000000000u + len % d->c.rate * 1000000000u / d->c.rate;
    return ns ? ns : 1;
}

struct drive_geometry drive_geometry(const struct drive *d)
{
    uint64_t total = d->c.size / 512, cylinders = total / (16 * 63);

    if (d->c.media == DRIVE_FLOPPY) {
        const struct drive_geometry *g = floppy_geometry(d->c.size);

        return g ? *g : (struct drive_geometry){0};
    }
    if (cylinders < DRIVE_LEAST_CYLINDERS)
        cylinders = DRIVE_LEAST_CYLINDERS;
    return (struct drive_geometry){cylinders > 16383 ? 16383 : (uint32_t)cylinders, 16, 63};
}
