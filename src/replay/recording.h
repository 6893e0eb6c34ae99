/*
 * Recordings: a session's history as a file. doc/log-format.md specifies the
 * format; here are its writer and its reader. Neither touches files: the writer
 * hands out whole pieces of bytes, the reader asks for those that it needs.
 *
 * Writer. A chunk is handed out in one piece, and what it tells counts once a
 * MARK follows it. So a writer that is killed leaves a file that is good up to
 * its last MARK. One that could not write goes on from there when it can.
 *
 * Reader. Trusts nothing: every length is bounded by what is there, every chunk
 * is checksummed, positions only grow. What is wrong with the header is an
 * error. A chunk whose bytes are damaged costs what it held: if that was no history (part of an image, a hash, a
 * checkpoint...), what follows counts, and what was lost is told (struct recording_harm). What is wrong otherwise ends the
 * recording before it, with a note.
 */
#ifndef HINDCAST_REPLAY_RECORDING_H
#define HINDCAST_REPLAY_RECORDING_H

#include "base/buffer.h"
#include "base/error.h"
#include "base/file_kind.h"
#include "replay/layout.h"
#include "replay/log.h"
#include "replay/timeline.h"
#include "replay/witness.h"

#define RECORDING_VERSION 3u
#define RECORDING_HEADER_BYTES 16u
#define RECORDING_CHUNK_BYTES 48u
/* Flags of a chunk. */
#define RECORDING_CHUNK_DEFLATED 1u
#define RECORDING_CHUNK_LAST     2u /* of a checkpoint's chunks */
#define RECORDING_CHUNK_WHOLE    4u /* of a checkpoint that does not build on the one before */
#define RECORDING_TRAILER_BYTES 24u
#define RECORDING_TRAILER_MAGIC "HCRECEND"
/* Most bytes of a chunk's payload, inflated. */
#define RECORDING_PAYLOAD_MAX ((uint32_t)16 << 20)
/* Most bytes of one event, and of a chunk of them. */
#define RECORDING_EVENT_MAX  ((uint32_t)4 << 20)
#define RECORDING_EVENTS_MAX (RECORDING_EVENT_MAX + ((uint32_t)1 << 20))
/* Most bytes that witnesses take in memory: one each 2^20 steps for 10^11 steps and more. */
#define RECORDING_WITNESS_BYTES ((size_t)64 << 20)
/* Most steps and nanoseconds: what is computed from them does not overflow. */
#define RECORDING_POSITION_MAX (UINT64_C(1) << 62)
#define RECORDING_MAX_IMAGES 80u
#define RECORDING_MAX_SNAPSHOTS TIMELINE_SNAPSHOTS_MOST
#define RECORDING_NAME_MAX TIMELINE_SNAPSHOT_NAME_MOST

#define RECORDING_TYPE(a, b, c, d) \
    ((uint32_t)(a) | (uint32_t)(b) << 8 | (uint32_t)(c) << 16 | (uint32_t)(d) << 24)

enum recording_type {
    RECORDING_CONF = RECORDING_TYPE('C', 'O', 'N', 'F'), /* keys and values */
    RECORDING_LAYO = RECORDING_TYPE('L', 'A', 'Y', 'O'), /* what the machine's state consists of */
    RECORDING_IMGE = RECORDING_TYPE('I', 'M', 'G', 'E'), /* names and hashes of images */
    RECORDING_IMGD = RECORDING_TYPE('I', 'M', 'G', 'D'), /* part of an embedded image */
    RECORDING_CLST = RECORDING_TYPE('c', 'l', 's', 't'), /* a cluster of a drive's image, that the guest read */
    RECORDING_EVNT = RECORDING_TYPE('E', 'V', 'N', 'T'), /* events */
    RECORDING_HASH = RECORDING_TYPE('H', 'A', 'S', 'H'), /* state hashes */
    RECORDING_CKPT = RECORDING_TYPE('C', 'K', 'P', 'T'), /* pages of a checkpoint */
    RECORDING_WITN = RECORDING_TYPE('W', 'I', 'T', 'N'), /* witnesses */
    RECORDING_SNAP = RECORDING_TYPE('S', 'N', 'A', 'P'), /* named places, all of them */
    RECORDING_BRAN = RECORDING_TYPE('b', 'r', 'a', 'n'), /* part of a branch */
    RECORDING_BWIT = RECORDING_TYPE('b', 'w', 'i', 't'), /* witnesses of a branch */
    RECORDING_MARK = RECORDING_TYPE('M', 'A', 'R', 'K'), /* history is complete up to here */
    RECORDING_ENDR = RECORDING_TYPE('E', 'N', 'D', 'R'), /* ... and here it ends */
    RECORDING_INDX = RECORDING_TYPE('I', 'N', 'D', 'X'), /* where the chunks are */
};

enum recording_role {
    RECORDING_KERNEL = 1, RECORDING_MODULE, RECORDING_BIOS, RECORDING_PFLASH0, RECORDING_PFLASH1, RECORDING_VGA_BIOS,
    RECORDING_ROM, RECORDING_DEVICE_ROM,
};

/* An image that the guest was booted from. */
struct recording_image {
    uint32_t role;       /* enum recording_role; modules in order */
    bool embedded;       /* its bytes are in the file */
    uint64_t len, hash;  /* bytes, and hash_bytes() of them */
    char *name;          /* file name as it was given */
    char *words;         /* a module's own command line; "" else */
    struct buffer data;  /* for the writer, when embedded: the bytes */
    /* For recording_image_read(): where they are. */
    uint64_t offset;     /* of its first chunk in the file */
    uint32_t chunks;     /* how many, side by side */
    uint64_t there;      /* bytes in them */
    bool damaged;        /* some of them are not as they were written */
};

/* ---- writing ---- */

struct recording_entry {
    uint64_t offset;
    uint32_t type, count;
    icount_t from, to;
};

struct recording_writer {
    void *ctx;
    /* Take all of these bytes: 0, or negative errno; after a failure it is not called again. */
    int (*write)(void *ctx, const void *data, size_t len);
    /* Put these bytes in place of as many that were written at `offset`; the same. NULL: cannot. */
    int (*rewrite)(void *ctx, uint64_t offset, const void *data, size_t len);
    int failed;          /* what write() said */
    uint64_t offset;     /* bytes written */
    unsigned marks;      /* MARKs side by side at the end: the second may be rewritten */
    uint64_t mark_at;    /* offset of the last one */
    struct recording_entry *index;
    size_t nindex, index_cap;
    struct buffer packed; /* a chunk as it is written */
};

/* Write the file's header. */
void recording_writer_init(struct recording_writer *w, int (*write)(void *, const void *, size_t), void *ctx);
void recording_writer_finish(struct recording_writer *w);
/* Part of a checkpoint: `count` pages; `flags` LAST, WHOLE. */
int recording_write_checkpoint(struct recording_writer *w, uint32_t flags, uint32_t count, icount_t position,
                               const struct buffer *payload);
/* Forget what was written behind `offset`, a place where a chunk ended that was the `nindex`-th,
 * and begin again: the file was cut there. */
void recording_writer_return(struct recording_writer *w, uint64_t offset, size_t nindex);
/* What the machine's state consists of. */
int recording_write_layout(struct recording_writer *w, const struct layout *l);
/* Configuration: `count` pairs of strings. */
int recording_write_config(struct recording_writer *w, const char *const (*pairs)[2], uint32_t count);
/* The images' descriptions, and the bytes of those that are embedded. */
int recording_write_images(struct recording_writer *w, const struct recording_image *images, uint32_t count);
/* Events [from, to) of the log. */
int recording_write_events(struct recording_writer *w, const struct event_log *log, uint64_t from, uint64_t to);
/* One state hash, with the hashes of all `n` components and what all areas come to. */
int recording_write_hash(struct recording_writer *w, icount_t position, vtime_t vtime, uint64_t state,
                         const uint64_t *components, uint32_t n, const struct checkpoint_area *areas, uint32_t nareas);
/* A cluster of a drive's image. */
int recording_write_cluster(struct recording_writer *w, uint32_t drive, uint64_t number, const struct buffer *bytes);
/* A branch as it is told of in a chunk. */
struct recording_branch_head {
    uint32_t id, parent;  /* in this file; 0: the trunk */
    bool dropped;         /* it is no more */
    icount_t fork, edge;
    vtime_t edge_vtime;
    uint64_t before;      /* events of its own that came in earlier chunks */
    char name[TIMELINE_NAME_MOST + 1]; /* "": it has none */
};
/* What is new of a branch: events [from, to) of its log. */
int recording_write_branch(struct recording_writer *w, const struct recording_branch_head *head, const struct event_log *log,
                           uint64_t from, uint64_t to);
/* Witnesses [from, to) of the log, of a branch by its number in the file; 0: of the trunk. */
int recording_write_witnesses(struct recording_writer *w, unsigned branch, const struct witness_log *log, size_t from, size_t to);
/* All named places. */
int recording_write_snapshots(struct recording_writer *w, icount_t edge, const struct timeline_snapshot *list, size_t n);
/* History is complete up to here; the log has `events` events. If two MARKs stand at the end, the
 * second is replaced: a machine that only runs does not make the file longer. */
int recording_write_mark(struct recording_writer *w, bool end, icount_t edge, vtime_t vtime, uint64_t events);
/* Index and trailer; nothing may follow. */
int recording_write_index(struct recording_writer *w);

/* ---- reading ---- */

struct recording_hash {
    icount_t position;
    vtime_t vtime;
    uint64_t state;      /* machine_hash(): of use only where the layouts are the same */
};

/* A whole checkpoint: its chunks are those with these offsets, in order. */
struct recording_checkpoint {
    icount_t position;
    vtime_t vtime;
    uint64_t offset;     /* of its first chunk in the file */
    uint32_t chunks;     /* how many, side by side */
    uint64_t pages;      /* that differ from the checkpoint before */
    bool whole;          /* ... or from nothing: it does not build on the one before */
};

/* A cluster of the image of a drive (by its number in the layout), in a chunk of its own. */
struct recording_cluster {
    uint64_t number, offset;
    uint32_t drive;
};

/* Some events of a branch, in a chunk. */
struct recording_part {
    uint64_t offset;
    uint32_t count;
    icount_t from, to;    /* positions of the first and the last */
};

struct recording_branch {
    struct recording_branch_head head; /* before: all of its events */
    struct recording_part *parts;
    size_t nparts;
    /* The same as far as it was read; the above is what a MARK has counted. */
    struct recording_branch_head read;
    size_t nread;
    struct witness_log witnesses; /* its own */
    size_t nwitnesses;    /* of which a MARK has counted so many */
    bool counted;         /* a MARK has */
    bool cut;             /* a part is missing: it ends before that */
};
#define RECORDING_MAX_BRANCHES 10000u

/* A damaged chunk that was passed over: of it is known what its header says, or the index. */
struct recording_harm {
    uint64_t offset;     /* in the file */
    uint32_t type;       /* enum recording_type; 0: neither header nor index say */
    uint32_t count;
    icount_t from, to;   /* type 0: of it is known that it lies behind the last MARK, at `from` */
    const char *wrong;   /* "is damaged..." */
};
/* So many are kept; more are counted. */
#define RECORDING_HARMS 32u
#define RECORDING_HARM_TEXT 512u

struct recording_pair {
    char *key, *value;
};

/* Where the file's bytes come from. */
struct recording_source {
    void *ctx;
    uint64_t len;
    /* Read all of these bytes, which lie within `len`: 0 or negative errno. */
    int (*read)(void *ctx, uint64_t offset, void *buf, size_t n);
};

/* Where the pages of the arena are in a checkpoint of the file: an area of its own. */
#define RECORDING_ARENA 0xffffu

struct recording {
    struct recording_source source; /* the caller's; must stay */
    struct layout layout;       /* of the machine that it was made with */
    struct layout_map map;      /* from there to the machine that replays it: recording_map() */
    bool mapped;
    bool *has_events[LAYOUT_KINDS]; /* devices, drives: events come from them; registers: are written by some */
    uint64_t len;
    struct recording_pair *config;
    size_t nconfig;
    struct recording_image images[RECORDING_MAX_IMAGES];
    size_t nimages;
    struct event_log *log;      /* backed by the file; may be taken over (set to NULL), but not outlive this */
    struct recording_hash *hashes;
    size_t nhashes, hashes_cap;
    uint8_t *parts;             /* of all hashes: recording_component_hash(), recording_area() */
    size_t part_bytes;          /* of each */
    struct recording_checkpoint *checkpoints;
    size_t ncheckpoints;
    struct recording_cluster *clusters; /* in order of drive and number, once that is asked for */
    size_t nclusters, clusters_cap;
    bool clusters_sorted;
    struct witness_log witnesses; /* may be taken over */
    struct timeline_snapshot *snapshots;
    size_t nsnapshots;
    struct recording_branch *branches; /* in order of their ids, parents before what forks from them */
    size_t nbranches;
    icount_t first, edge;       /* history that the file holds */
    vtime_t edge_vtime;
    uint64_t nchunks;
    uint64_t good_bytes;        /* up to the last MARK */
    bool closed;                /* ends with ENDR, index and trailer */
    bool damaged;               /* it was closed, and something before its trailer is not as it was written */
    struct recording_harm harms[RECORDING_HARMS]; /* in order of their place */
    size_t nharms;
    char note[256];             /* what is wrong with the end of the file; "": nothing */
    /* For recording_open() from memory. */
    const uint8_t *data;
};

/* Take the file apart. 0, or negative errno with a text that says what to do.
 * Afterwards, also after an error, recording_finish(). */
int recording_open(struct recording *r, const void *data, size_t len, struct error *err);
/* The same from anywhere. Checkpoints are left where they are until recording_checkpoint_pages()
 * asks for them (and then may turn out to be damaged), unless `all` is to be looked at. */
int recording_open_source(struct recording *r, const struct recording_source *source, bool all, struct error *err);
void recording_finish(struct recording *r);
/* It is going to be replayed by a machine of this layout: from now on events come with the numbers of its devices
 * and registers. -EINVAL: it has not all that is needed, and *err says what. */
int recording_map(struct recording *r, const struct layout *to, struct error *err);
/* The parts of hash `n`, by their numbers in the recording's layout. */
uint64_t recording_component_hash(const struct recording *r, size_t n, uint32_t component);
void recording_area(const struct recording *r, size_t n, uint32_t area, struct checkpoint_area *sums);
/* Append the bytes of image `n`, which is embedded, to *out; their hash is checked. */
int recording_image_read(const struct recording *r, size_t n, struct buffer *out, struct error *err);
/* What harm `n` (less than both nharms and RECORDING_HARMS) was done to, and what that costs; as long as `r` has its log. */
void recording_harm_text(const struct recording *r, size_t n, char text[RECORDING_HARM_TEXT]);
/* A cluster of a drive's image, which lies in the file: at most DRIVE_CLUSTER bytes. *len: how many. -ENOENT: it does
 * not; -EBADMSG: it does, and is damaged. */
int recording_read_cluster(struct recording *r, uint32_t drive, uint64_t number, uint8_t *buf, size_t *len);
/* The log of a branch that goes on from `parent`, its parent's, where that is an event log of `r` or forked from one. */
struct event_log *recording_branch_log(struct recording *r, const struct recording_branch *b, struct event_log *parent);
/* A configuration value, or NULL. */
const char *recording_value(const struct recording *r, const char *key);
/* A page of an area of the recording's layout (or of RECORDING_ARENA). `bytes` NULL: it is zero. */
typedef void recording_page_fn(void *ctx, uint32_t area, uint64_t n, const uint8_t *bytes);
/* Go through the pages of checkpoint `n`: those that differ from those of checkpoint n - 1, or from nothing. */
int recording_checkpoint_pages(const struct recording *r, size_t n, recording_page_fn *page, void *ctx,
                               struct error *err);

#endif
