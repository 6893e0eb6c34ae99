/*
 * The drives of a run: their images opened, what the boards get of them, and what is kept of what they hold.
 */
#ifndef HINDCAST_DRIVES_H
#define HINDCAST_DRIVES_H

#include "block/block.h"
#include "options.h"
#include "replay/recording.h"
#include "replay/timeline.h"
#include "vm/machine.h"

/* A medium that the user put into a drive during the run. */
struct drives_medium {
    char *file;                   /* NULL: none of this run has that number */
    struct block_image *image;    /* NULL: not here */
};

/* Lives as long as the machines that are made with its parts. All zero: none. */
struct drives {
    bool opened;
    struct machine_parts parts;
    struct block_image *images[MACHINE_MAX_DRIVES]; /* in the order of parts.drives; NULL: empty, or not here */
    struct drives_medium *media[MACHINE_MAX_DRIVES]; /* those after the configured one, by number less one */
    unsigned nmedia[MACHINE_MAX_DRIVES];
    const struct options *options;
    struct recording *recording;  /* holds what the guest read of images, perhaps; NULL: there is none */
    /* The cluster that was taken from it last: many reads are of one. */
    uint8_t cluster[DRIVE_CLUSTER];
    size_t cluster_len;           /* 0: none */
    uint64_t cluster_number;
    unsigned cluster_drive;
    bool told_damaged[MACHINE_MAX_DRIVES]; /* that some of its clusters there are damaged */
    struct drives_trouble {
        char *unreadable;               /* why an image could not be read the last time; NULL: it always could */
        enum block_change changed;      /* the worst of what was found */
        char *changed_file;             /* in which file, and when */
        icount_t changed_at;
    } trouble[MACHINE_MAX_DRIVES];      /* what has become of images since they were opened */
};

/* Open the images that the options name. Of a recording's drives: where the options say that they are, where they were,
 * or beside the recording; one that is nowhere may be missing if the recording holds what the guest read. Says in *o how
 * large they are. 0 or negative errno with *err. */
int drives_open(struct drives *ds, struct options *o, struct recording *r, struct error *err);
/* Lines about what is strange about the drives of a machine that was just made, and yet goes. */
void drives_remark(const struct drives *ds, const struct machine *m, struct buffer *out);
void drives_close(struct drives *ds);

/* What the image of drive `n` holds there: struct timeline_host.image_read. 0 or negative errno. */
int drives_read(struct drives *ds, unsigned n, uint64_t offset, void *buf, size_t len);
/* struct timeline_host.image_why */
const char *drives_why(const struct drives *ds, unsigned n);
/* The name of the image that is in a drive, if the file of that name is another one by now, or none: what is written over it does not find
 * it. NULL: it is there. */
const char *drives_moved(const struct drives *ds, const struct drive *d);
/* What has become of the images of drive `n` since they were opened or this was asked; *file: of which file that is told. What was found is
 * what `info block` says from now on, as of position `here`. */
enum block_change drives_changed(struct drives *ds, unsigned n, icount_t here, const char **file);
/* The end of a sentence on a file that has changed. */
const char *drives_change_name(enum block_change change);
/* Does that come as it is from a file of this host: struct timeline_host.image_direct. */
bool drives_direct(const struct drives *ds, unsigned n, uint64_t offset, size_t len);

/* What the medium in the drive holds there now (`offset` counts from the first medium on: drive_base()), for who looks from outside: no trace of it
 * is left in history. The image is read by `tl`, which compares. 0 or negative errno with *err. */
int drives_contents(struct drives *ds, struct timeline *tl, const struct drive *d, uint64_t offset, void *buf, size_t len,
                    struct error *err);

/* Open an image that is to be the next medium of drive `n`, whose number is returned; *size and *format are its. Or negative errno
 * with *err. */
int drives_add_medium(struct drives *ds, unsigned n, const char *file, const char **format, uint64_t *size,
                      struct error *err);
/* Open the images of media that were put in on a recording's branches. One that is missing is that branch's trouble, and told. */
void drives_open_branches(struct drives *ds, const struct timeline *tl);
/* That did not come about. */
void drives_drop_medium(struct drives *ds, unsigned n);

/* Write what the drive holds now: to a new qcow2 `path` over its image, or (NULL) into the image itself, which must be
 * raw. Of the medium that is in it, or (`configured`) of the one that was in it at first. *bytes: how much
 * was changed. 0 or negative errno with *err. */
int drives_commit(struct drives *ds, struct timeline *tl, const struct drive *d, bool configured, const char *path, unsigned may,
                  uint64_t *bytes, struct error *err);

/* `info block`. */
void drives_describe(const struct drives *ds, const struct machine *m, struct buffer *out);

#endif
