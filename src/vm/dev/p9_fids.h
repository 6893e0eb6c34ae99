/*
 * The fids of a 9P connection: what a client calls files by (9P2000.L; "fid" in intro(5) of Plan 9's manual, section 5).
 *
 * They are state, a page of a sparse page space each, in a table with open addressing by the fid's number: so as many
 * as a kernel likes cost what they are, and checkpoints and hashes know them. A fid is a path below the shared directory
 * ("": that itself, no "." or ".." or empty components), and perhaps open.
 */
#ifndef HINDCAST_VM_DEV_P9_FIDS_H
#define HINDCAST_VM_DEV_P9_FIDS_H

#include "vm/page_space.h"

#define P9_FIDS_LOG   16
#define P9_FIDS_MOST  (3u << (P9_FIDS_LOG - 2)) /* at once */
#define P9_PATH_BYTES 4064u

enum p9_opened { P9_NOT_OPEN, P9_OPEN_FILE, P9_OPEN_DIRECTORY };

/* A page. */
struct p9_fid {
    uint32_t used;       /* 1: this is one */
    uint32_t fid;
    uint32_t opened;     /* enum p9_opened */
    uint32_t access;     /* FILE_ACCESS_..., FILE_APPEND of an open file */
    uint64_t file;       /* its number for file calls */
    uint64_t reserved;
    char path[P9_PATH_BYTES];
};
_Static_assert(sizeof(struct p9_fid) == 4096, "a fid is a page");

struct p9_fids {
    struct sparse_pages pages;
};

void p9_fids_init(struct p9_fids *f, const char *name);
void p9_fids_finish(struct p9_fids *f);
/* NULL: there is none. To change it, p9_fid_change(). Good until the next fid is made or removed. */
const struct p9_fid *p9_fid_find(const struct p9_fids *f, uint32_t fid);
struct p9_fid *p9_fid_change(struct p9_fids *f, uint32_t fid);
/* A new one, which is not open. False: there are too many, or the path is too long. */
bool p9_fid_add(struct p9_fids *f, uint32_t fid, const char *path);
void p9_fid_remove(struct p9_fids *f, uint32_t fid);
/* All of them. */
void p9_fids_clear(struct p9_fids *f);
/* `from` is `to` now: so is what is below it. Those whose paths would be too long keep them. */
void p9_fids_renamed(struct p9_fids *f, const char *from, const char *to);
unsigned p9_fids_count(const struct p9_fids *f);

#endif
