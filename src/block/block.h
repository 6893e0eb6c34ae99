/*
 * Disk images: what a disk holds, whatever the format of the file. Read only.
 *
 * An image is a format (raw, qcow2) over a source of bytes (base/block_source.h), and perhaps a backing
 * image, which has what this one does not mention. Images come from anywhere: every number in them is
 * bounded before it is used, and what is wrong is an error with the name of the file.
 *
 * To add a format: its `struct block_format` and its line in formats[] (block.c).
 */
#ifndef HINDCAST_BLOCK_BLOCK_H
#define HINDCAST_BLOCK_BLOCK_H

#include "base/block_source.h"

/* Most images on top of each other. */
#define BLOCK_MAX_CHAIN 64u
/* Most bytes of an image. */
#define BLOCK_MAX_BYTES ((uint64_t)1 << 50)

struct block_image;
struct block_snapshot;

struct block_format {
    const char *name;
    /* Do these first bytes begin such an image? NULL: never by themselves (raw). */
    bool (*probe)(const void *head, size_t len);
    /* Set up *im, whose source is open. 0 or negative errno. */
    int (*open)(struct block_image *im, const char *snapshot, const struct block_opener *opener, struct error *err);
    /* Read bytes that lie within im->size. 0 or negative errno. */
    int (*read)(struct block_image *im, uint64_t offset, void *buf, size_t len);
    /* Do these bytes, which lie within im->size, come as they are from a local source? NULL: they do if the source is. */
    bool (*direct)(struct block_image *im, uint64_t offset, size_t len);
    void (*close)(struct block_image *im);
};

struct block_image {
    const struct block_format *format;
    struct block_source source;
    struct block_source data;    /* what lies in a file beside it (qcow2's data file); read NULL: nothing does */
    uint64_t size;               /* bytes of the disk */
    struct block_image *backing; /* NULL: none */
    const struct block_image *over; /* whose backing this is; NULL: nobody's */
    void *state;                 /* the format's own */
    struct error why;            /* why bytes of it could not be read the last time; code 0: they could */
};

/* Open an image and those that it is based on. `format` NULL: what its first bytes say. `snapshot` NULL: the
 * present contents; else those that an internal snapshot of that name or number has. 0 or negative errno. */
int block_open(struct block_image **im, const char *name, const char *format, const char *snapshot,
               const struct block_opener *opener, struct error *err);
void block_close(struct block_image *im);
/* The same for the image beneath `over`. */
int block_open_backing(struct block_image *over, const char *name, const char *format,
                       const struct block_opener *opener, struct error *err);

/* What the disk holds there; zeros behind its end. 0 or negative errno, and im->why names the file, of a chain that which is to
 * blame. */
int block_read(struct block_image *im, uint64_t offset, void *buf, size_t len);

/* Is reading that again as good as reading a local file: neither a connection nor compression between? */
bool block_is_direct(struct block_image *im, uint64_t offset, size_t len);

/* The files that make up an image and those that it is based on, one for each `i` from 0 on; NULL: there are no more. */
const struct block_source *block_file_of(const struct block_image *im, unsigned i);
/* What has become of them since they were opened or this was asked; *name: the file of which that is told. */
enum block_change block_changed(const struct block_image *im, const char **name);

/* `name`, which stands in the image `im`, as a name to open: relative names begin where the image is. A new string. */
char *block_resolve(const struct block_image *im, const char *name);
/* The format that these first bytes begin an image of, if it is not raw: qcow2, or one that is not read. NULL: none that is known. */
const char *block_foreign_format(const void *head, size_t len);
/* Whether format names name formats: NULL, or the names that there are. */
const char *block_unknown_format(const char *name);

extern const struct block_format block_raw, block_qcow2;

#endif
