/*
 * Drives: what a controller reads and writes. A drive is an image that never changes, and pages of
 * state over it.
 *
 * What the guest sees of page n is (page n of the image) XOR (page n of the drive's state). So a drive
 * that was not written has no pages, costs nothing and hashes to nothing; checkpoints share what they
 * share, and going back restores a drive as it does memory. Only pages that are not zero are kept:
 * a drive may be of any size.
 *
 * The image answers through machine_env.image_read(): a pure function of the drive and the place, at
 * every position (doc/DETERMINISM.md). Where the host cannot read it, that is an event, and the guest
 * sees a bad sector.
 *
 * How long an operation takes is a pure function of the drive's configuration and the request
 * (drive_duration()): a controller makes it a deadline, and moves the data when that comes.
 *
 * A drive whose media can be changed (a CD-ROM or floppy drive) has a window of pages for each medium that was ever
 * in it, numbered in the order in which they came: 0 is the configured one. Which one is in it, is state; so going back
 * over a change brings back the medium, with what was written to it. Controllers compare drive_changes().
 *
 * To add a kind of medium: enum drive_media; geometry in drive_geometry(). Not here: what a controller
 * knows of its drive (trays, features, error registers).
 */
#ifndef HINDCAST_VM_DRIVE_H
#define HINDCAST_VM_DRIVE_H

#include "base/error.h"
#include "base/types.h"
#include "vm/device.h"
#include "vm/page_space.h"

struct machine;

#define MACHINE_MAX_DRIVES 32

enum drive_media { DRIVE_DISK, DRIVE_CDROM, DRIVE_FLOPPY };

/* What becomes of a discard. */
enum drive_discard {
    DRIVE_DISCARD_IGNORE, /* the sectors keep what they hold */
    DRIVE_DISCARD_ZERO,   /* they read as zero */
};

/* Sectors that cannot be read or written, counted in the drive's sectors. */
struct drive_fault {
    uint64_t first, count;
};

struct drive_config {
    const char *name;        /* unique in a machine, 1 to 31 bytes: in messages, the log, recordings */
    enum drive_media media;
    bool empty;              /* no medium; size is 0 */
    uint64_t size;           /* bytes; zeros follow: see drive_padded() */
    uint32_t sector_size;    /* 512, 2048 or 4096 */
    bool read_only;
    enum drive_discard discard;
    const char *serial;      /* at most 20 bytes; NULL: made of the name */
    uint64_t latency_ns;     /* of each operation; at most DRIVE_MAX_LATENCY_NS */
    uint64_t rate;           /* bytes in a second, DRIVE_MIN_RATE to DRIVE_MAX_RATE; 0: no end of them */
    const struct drive_fault *faults; /* copied */
    unsigned nfaults;
};

#define DRIVE_SERIAL_MOST    36 /* of a device's property; drive_config.serial is shorter */
#define DRIVE_MAX_LATENCY_NS UINT64_C(60000000000)
#define DRIVE_MAX_BYTES      ((uint64_t)1 << 50)
#define DRIVE_MIN_RATE       ((uint64_t)1 << 16)
#define DRIVE_MAX_RATE       ((uint64_t)1 << 34)
/* The defaults: those of a fast disk, so that guests that poll do not poll for long. */
#define DRIVE_LATENCY_NS 20000u
#define DRIVE_RATE       1000000000u

/* Of a drive whose media can be changed: how large a medium is at most (a power of two: their windows follow one another),
 * and how many there are in one history, with its branches. */
#define DRIVE_MEDIUM_SHIFT 37
#define DRIVE_MEDIUM_BYTES ((uint64_t)1 << DRIVE_MEDIUM_SHIFT)
#define DRIVE_MAX_MEDIA    128u

/* The image is read, and what it said is logged, in pieces of so many bytes. */
#define DRIVE_CLUSTER_SHIFT 16
#define DRIVE_CLUSTER       ((uint64_t)1 << DRIVE_CLUSTER_SHIFT)

DEVICE_STATE_BEGIN
/* What is in a drive whose media can be changed. */
struct drive_medium {
    uint64_t size;       /* of its image, bytes */
    uint32_t number;     /* which medium; it keeps the last one's while it is empty */
    uint32_t count;      /* one more than the highest number that there was: numbers between are other branches' */
    uint32_t changes;    /* insertions and removals */
    uint32_t seen;       /* of which a SCSI unit knows */
    uint8_t present, read_only;
    uint8_t locked;      /* the guest does not want it removed */
    uint8_t event;       /* that a SCSI unit has to tell (MMC-5, table 274); 0: none */
    uint8_t reserved[4];
};
DEVICE_STATE_END

/* What the device that has the drive says of itself, where its properties say so (vm/dev/disk_props.h): "" and 0 are the device's
 * usual words. Configuration. */
struct drive_identity {
    char vendor[9], product[17], version[9], model[41], device_id[21];
    uint64_t wwn, port_wwn;
    uint16_t port_index;
    uint16_t rotation_rate;  /* as SBC-3 and ATA have it: 0 not told, 1 none */
    uint32_t physical_block; /* bytes; 0: a sector */
    uint32_t min_io, opt_io; /* sectors; 0: not told */
};

struct drive {
    struct machine *machine;
    unsigned index;          /* in machine.drives: `source` of its events */
    struct drive_config c;   /* `faults`, `name` and `serial` point to copies of its own; size padded. `size`, `empty` and
                              * `read_only` are those of the medium */
    struct drive_medium *medium; /* its state; NULL: the medium is built in */
    uint64_t image_size;     /* bytes that the medium's image has */
    uint64_t first_size;     /* bytes that the configured image has */
    struct sparse_pages pages; /* its state */
    void *wiring;            /* the controller that has it; NULL: none yet */
    bool (*fits)(const struct drive *, uint64_t size); /* would a medium of that (padded) size fit into it? NULL: any does */
    char name[32], serial[DRIVE_SERIAL_MOST + 1];
    struct drive_identity identity;
};

enum drive_status {
    DRIVE_OK,
    DRIVE_NO_MEDIUM,    /* empty */
    DRIVE_OUT_OF_RANGE, /* the request goes beyond the end: nothing was done */
    DRIVE_WRITE_PROTECTED, /* nothing was done */
    DRIVE_BAD_SECTOR,   /* everything before it was done */
};

/* ---- for boards and controllers ---- */

/* Add a drive to a machine, before it is first reset. 0, or -EINVAL and what is wrong with the configuration. */
int drive_create(struct drive **d, struct machine *m, const struct drive_config *c, struct error *err);
void drive_destroy(struct drive *d);
/* NULL: there is none of that name. */
struct drive *drive_find(const struct machine *m, const char *name);

/* Another medium, or (size 0) none: EVENT_MEDIUM is made of it. 0, or -EINVAL: that cannot be. */
struct drive_insertion {
    uint64_t size;           /* bytes; 0: the drive is emptied */
    uint32_t number;         /* its own among the media of all branches of history, above those that were in the drive; 0: the next */
    bool read_only;
};
int drive_can_insert(const struct drive *d, const struct drive_insertion *in, struct error *err);
void drive_insert(struct drive *d, const struct drive_insertion *in);
/* The size of a medium whose image has so many bytes: the last sector is filled up with zeros, and a floppy that has no format's size
 * is one of 2.88M, as in QEMU (more sectors on a track than on others, so that what was written for others is found, too). */
uint64_t drive_padded(const struct drive *d, uint64_t size);
/* Is the image in it as large as the medium is, but for its last sector? False: it is a floppy of no format's size. */
bool drive_is_formatted(const struct drive *d);
/* A count that goes up when the medium is changed. */
uint32_t drive_changes(const struct drive *d);
/* The guest wants the medium to stay, or not any more. */
void drive_lock(struct drive *d, bool locked);
bool drive_locked(const struct drive *d);
/* The arena was replaced. */
void drive_restored(struct drive *d);
/* Is its state one that it can be in? */
bool drive_possible(const struct drive *d);
/* Bytes of cluster `number` of what image_read() has: whole ones, but for the end of the configured image. */
size_t drive_cluster_bytes(const struct drive *d, uint64_t number);
/* Where the medium that is in it begins, in the image_read() of the outside and in its pages: bytes. */
uint64_t drive_base(const struct drive *d);

/* The sector of its medium that byte `at` of its pages is in. */
static inline uint64_t drive_sector_of(const struct drive *d, uint64_t at)
{
    return (d->medium ? at & (DRIVE_MEDIUM_BYTES - 1) : at) / d->c.sector_size;
}

/* The size in sectors. */
static inline uint64_t drive_sectors(const struct drive *d)
{
    return d->c.size / d->c.sector_size;
}

/* `offset` and `len` are bytes, of any alignment, for controllers whose sectors are not the drive's. *done
 * (may be NULL): the bytes that were read or written: `len`, or those before the first bad sector. */
enum drive_status drive_read(struct drive *d, uint64_t offset, void *buf, uint64_t len, uint64_t *done);
enum drive_status drive_write(struct drive *d, uint64_t offset, const void *buf, uint64_t len, uint64_t *done);
enum drive_status drive_write_zeroes(struct drive *d, uint64_t offset, uint64_t len, uint64_t *done);
/* The contents are not wanted any more. */
enum drive_status drive_discard(struct drive *d, uint64_t offset, uint64_t len, uint64_t *done);
/* Are these sectors good? For VERIFY and seeks that check; reads the image as drive_read() does. */
enum drive_status drive_verify(struct drive *d, uint64_t offset, uint64_t len, uint64_t *done);

/* Bytes that a controller moves at once, at most DRIVE_PIECE: from or to a drive with bad sectors little, so that what lies before such
 * a one has been moved. */
#define DRIVE_PIECE ((size_t)32 << 10)
size_t drive_piece(const struct drive *d);

/* How long it takes to move `len` bytes (0: a flush, a seek): nanoseconds of virtual time, at least 1. */
vtime_t drive_duration(const struct drive *d, uint64_t len);

struct drive_geometry {
    uint32_t cylinders, heads, sectors; /* the last: in a track, counted from 1 */
};
/* Fewer cylinders no disk has, however small its image is: firmware takes one of none for no disk. As in QEMU; what lies behind
 * the image's end cannot be read, however it is addressed. */
#define DRIVE_LEAST_CYLINDERS 2u

/* Disks: 16 heads of 63 sectors, as many cylinders as are whole, from DRIVE_LEAST_CYLINDERS to 16383. Floppies: the format
 * of that size (160K to 2.88M), 2.88M if none has it; cylinders 0: one that no drive reads. */
struct drive_geometry drive_geometry(const struct drive *d);

#endif
