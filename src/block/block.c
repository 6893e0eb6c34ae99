/*
 * Opening images and chains of them; the raw format. See block.h.
 */
#include "block/block.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"

static const struct block_format *const formats[] = {&block_qcow2, &block_raw};

#define FORMAT_NAMES "raw, qcow2"

/* ---- raw ---- */

static int raw_open(struct block_image *im, const char *snapshot, const struct block_opener *opener, struct error *err)
{
    (void)opener;
    if (snapshot)
        return error_set(err, -EINVAL, "%s: a raw image has no snapshots", im->source.name);
    im->size = im->source.size;
    return 0;
}

static int raw_read(struct block_image *im, uint64_t offset, void *buf, size_t len)
{
    return im->source.read(im->source.ctx, offset, buf, len);
}

static void raw_close(struct block_image *im)
{
    (void)im;
}

const struct block_format block_raw = {.name = "raw", .open = raw_open, .read = raw_read, .close = raw_close};

/* ---- opening ---- */

/* Formats that are not read, by what their first bytes are (a disk in one of them, taken for a raw one, would show the guest
 * the format's own tables). Of qcow version 1 and newer ones of qcow2's the qcow2 reader tells. */
static const struct {
    const char *name; /* qemu-img's */
    size_t offset;
    const char *magic;
} foreign[] = {
    {"vmdk", 0, "KDMV"},      {"vmdk", 0, "COWD"},
    {"vmdk", 0, "# Disk DescriptorFile"},
    {"vdi", 64, "\x7f\x10\xda\xbe"},
    {"vhdx", 0, "vhdxfile"},  {"vpc", 0, "conectix"},
    {"qed", 0, "QED"},        {"parallels", 0, "WithoutFreeSpace"},
    {"parallels", 0, "WithouFreSpacExt"},
    {"bochs", 0, "Bochs Virtual HD Image"},
};

const char *block_foreign_format(const void *head, size_t len)
{
    if (block_qcow2.probe(head, len))
        return block_qcow2.name;
    for (size_t i = 0; i < ARRAY_LEN(foreign); i++) {
        size_t n = strlen(foreign[i].magic);

        if (foreign[i].offset + n <= len && !memcmp((const char *)head + foreign[i].offset, foreign[i].magic, n))
            return foreign[i].name;
    }
    return NULL;
}

const char *block_unknown_format(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(formats); i++)
        if (!strcmp(formats[i]->name, name))
            return NULL;
    return FORMAT_NAMES;
}

static const struct block_format *format_named(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(formats); i++)
        if (!strcmp(formats[i]->name, name))
            return formats[i];
    return NULL;
}

/* What the first bytes say: raw if nothing. */
static int probe(struct block_image *im, struct error *err)
{
    const char *other;
    uint8_t head[512];
    size_t len = im->source.size < sizeof(head) ? (size_t)im->source.size : sizeof(head);
    int r = len ? im->source.read(im->source.ctx, 0, head, len) : 0;

    if (r < 0)
        return error_set(err, r, "%s: cannot read: %s", im->source.name, strerror(-r));
    for (size_t i = 0; i < ARRAY_LEN(formats) && !im->format; i++)
        if (formats[i]->probe && formats[i]->probe(head, len))
            im->format = formats[i];
    if (im->format)
        return 0;
    im->format = &block_raw;
    other = block_foreign_format(head, len);
    if (!other)
        return 0;
    return error_set(err, -EINVAL, "%s looks like a %s image, which is not read: make one that is (qemu-img convert -O qcow2 FILE "
                     "NEW); if the guest is to see these very bytes, say so: format=raw", im->source.name, other);
}

static int choose_format(struct block_image *im, const char *format, struct error *err)
{
    if (!format)
        return probe(im, err);
    im->format = format_named(format);
    if (im->format)
        return 0;
    return error_set(err, -EINVAL, "%s: image format '%.40s' is not known; the formats are: " FORMAT_NAMES,
                     im->source.name, format);
}

/* A chain that comes back to itself has no end. */
static int check_chain(const struct block_image *im, struct error *err)
{
    unsigned depth = 0;

    for (const struct block_image *o = im->over; o; o = o->over) {
        if (!memcmp(o->source.identity, im->source.identity, sizeof(o->source.identity)))
            return error_set(err, -ELOOP, "%s is its own backing file", im->source.name);
        if (++depth >= BLOCK_MAX_CHAIN)
            return error_set(err, -ELOOP, "%s: more than %u images on top of each other", im->source.name,
                             BLOCK_MAX_CHAIN);
    }
    return 0;
}

static int open_image(struct block_image **made, const struct block_image *over, const char *name, const char *format,
                      const char *snapshot, const struct block_opener *opener, struct error *err)
{
    struct block_image *im = xcalloc(1, sizeof(*im));
    int r = opener->open(opener->ctx, name, &im->source, err);

    if (r < 0) {
        free(im);
        return r;
    }
    im->over = over;
    r = check_chain(im, err);
    if (r == 0)
        r = choose_format(im, format, err);
    if (r == 0)
        r = im->format->open(im, snapshot, opener, err);
    if (r == 0 && im->size > BLOCK_MAX_BYTES)
        r = error_set(err, -EFBIG, "%s: no disk has %llu bytes", name, (unsigned long long)im->size);
    if (r < 0) {
        block_close(im);
        return r;
    }
    *made = im;
    return 0;
}

int block_open(struct block_image **im, const char *name, const char *format, const char *snapshot,
               const struct block_opener *opener, struct error *err)
{
    return open_image(im, NULL, name, format, snapshot, opener, err);
}

int block_open_backing(struct block_image *over, const char *name, const char *format,
                       const struct block_opener *opener, struct error *err)
{
    char *path = block_resolve(over, name);
    int r = open_image(&over->backing, over, path, format, NULL, opener, err);

    if (r < 0)
        error_prefix(err, "%s: backing file", over->source.name);
    free(path);
    return r;
}

void block_close(struct block_image *im)
{
    if (!im)
        return;
    block_close(im->backing);
    if (im->format)
        im->format->close(im);
    if (im->data.close)
        im->data.close(im->data.ctx);
    free(im->data.name);
    im->source.close(im->source.ctx);
    free(im->source.name);
    free(im);
}

char *block_resolve(const struct block_image *im, const char *name)
{
    const char *slash = im->source.local ? strrchr(im->source.name, '/') : NULL;
    struct buffer b;

    if (!strncmp(name, "file:", 5))
        name += 5;
    buffer_init(&b);
    if (slash && *name != '/' && !strstr(name, "://") && strncmp(name, "nbd:", 4))
        buffer_append(&b, im->source.name, (size_t)(slash - im->source.name) + 1);
    buffer_append(&b, name, strlen(name) + 1);
    return (char *)b.data;
}

/* ---- reading ---- */

int block_read(struct block_image *im, uint64_t offset, void *buf, size_t len)
{
    uint64_t there = offset < im->size ? im->size - offset : 0;
    int r;

    if (there < len) {
        memset((uint8_t *)buf + there, 0, len - there);
        len = (size_t)there;
    }
    im->why.code = 0;
    r = len ? im->format->read(im, offset, buf, len) : 0;
    if (r < 0 && !im->why.code)
        error_set(&im->why, r, "%s: cannot read: %s", im->source.name, strerror(-r));
    return r;
}

bool block_is_direct(struct block_image *im, uint64_t offset, size_t len)
{
    uint64_t there = offset < im->size ? im->size - offset : 0;

    if (there < len)
        len = (size_t)there;
    return !len || (im->format->direct ? im->format->direct(im, offset, len) : im->source.local);
}

const struct block_source *block_file_of(const struct block_image *im, unsigned i)
{
    for (; im; im = im->backing) {
        if (!i--)
            return &im->source;
        if (im->data.read && !i--)
            return &im->data;
    }
    return NULL;
}

enum block_change block_changed(const struct block_image *im, const char **name)
{
    enum block_change worst = BLOCK_SAME;
    const struct block_source *s;

    /* All of them are asked: what is told once is not to be told again. */
    for (unsigned i = 0; (s = block_file_of(im, i)); i++) {
        enum block_change change = s->changed ? s->changed(s->ctx) : BLOCK_SAME;

        if (change > worst) {
            worst = change;
            *name = s->name;
        }
    }
    return worst;
}
