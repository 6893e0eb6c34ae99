/*
 * See p9_fids.h. The pages may come from a file: nothing is believed of them that would lead out of them.
 */
#include "vm/dev/p9_fids.h"

#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"

#define SLOTS (1u << P9_FIDS_LOG)
#define NONE  SLOTS

/* Where a fid would like to be. */
static uint32_t home(uint32_t fid)
{
    return fid * 2654435761u >> (32 - P9_FIDS_LOG);
}

static const struct p9_fid *at(const struct p9_fids *f, uint32_t slot)
{
    const struct p9_fid *e = (const void *)sparse_page(&f->pages, slot);

    return e && e->used == 1 && memchr(e->path, 0, P9_PATH_BYTES) && e->opened <= P9_OPEN_DIRECTORY ? e : NULL;
}

/* The slot of the fid or, if there is none, NONE; *place gets the free one that it would have (NONE: there is none). */
static uint32_t find(const struct p9_fids *f, uint32_t fid, uint32_t *place)
{
    uint32_t slot = home(fid);

    for (uint32_t n = 0; n < SLOTS; n++, slot = (slot + 1) % SLOTS) {
        const struct p9_fid *e = at(f, slot);

        if (!e) {
            *place = slot;
            return NONE;
        }
        if (e->fid == fid)
            return slot;
    }
    *place = NONE;
    return NONE;
}

static struct p9_fid *touch(struct p9_fids *f, uint32_t slot)
{
    return (void *)sparse_page_touch(&f->pages, slot);
}

void p9_fids_init(struct p9_fids *f, const char *name)
{
    sparse_pages_init(&f->pages, name, (uint64_t)SLOTS << PAGE_SHIFT);
}

void p9_fids_finish(struct p9_fids *f)
{
    sparse_pages_finish(&f->pages);
}

const struct p9_fid *p9_fid_find(const struct p9_fids *f, uint32_t fid)
{
    uint32_t place, slot = find(f, fid, &place);

    return slot == NONE ? NULL : at(f, slot);
}

struct p9_fid *p9_fid_change(struct p9_fids *f, uint32_t fid)
{
    uint32_t place, slot = find(f, fid, &place);

    return slot == NONE ? NULL : touch(f, slot);
}

static void count(void *ctx, uint64_t n, const uint8_t *bytes)
{
    const struct p9_fid *e = (const void *)bytes;

    (void)n;
    *(unsigned *)ctx += e->used == 1;
}

unsigned p9_fids_count(const struct p9_fids *f)
{
    unsigned n = 0;

    f->pages.space.ops->pages(&f->pages.space, count, &n);
    return n;
}

bool p9_fid_add(struct p9_fids *f, uint32_t fid, const char *path)
{
    size_t len = strlen(path);
    char copy[P9_PATH_BYTES]; /* `path` may be another fid's */
    uint32_t place, slot = find(f, fid, &place);
    struct p9_fid *e;

    if (slot != NONE || place == NONE || len >= P9_PATH_BYTES || (f->pages.used >= P9_FIDS_MOST && p9_fids_count(f) >= P9_FIDS_MOST))
        return false;
    memcpy(copy, path, len + 1);
    e = touch(f, place);
    memset(e, 0, sizeof(*e));
    e->used = 1;
    e->fid = fid;
    memcpy(e->path, copy, len + 1);
    return true;
}

/* The hole is filled with who would rather be there, and so on (Knuth, 6.4, algorithm R). */
void p9_fid_remove(struct p9_fids *f, uint32_t fid)
{
    uint32_t place, hole = find(f, fid, &place), slot = hole;

    if (hole == NONE)
        return;
    for (uint32_t n = 1; n < SLOTS; n++) {
        const struct p9_fid *e;

        slot = (slot + 1) % SLOTS;
        e = at(f, slot);
        if (!e)
            break;
        if ((slot - home(e->fid)) % SLOTS < (slot - hole) % SLOTS)
            continue;
        memcpy(touch(f, hole), e, sizeof(*e));
        hole = slot;
    }
    memset(touch(f, hole), 0, sizeof(struct p9_fid));
}

/* ---- all of them ---- */

struct slots {
    uint32_t *list;
    unsigned count;
};

static void note(void *ctx, uint64_t n, const uint8_t *bytes)
{
    struct slots *s = ctx;
    const struct p9_fid *e = (const void *)bytes;

    if (e->used)
        s->list[s->count++] = (uint32_t)n;
}

/* In no order. */
static struct slots all(const struct p9_fids *f)
{
    struct slots s = {.list = xcalloc(f->pages.used + 1, sizeof(*s.list))};

    f->pages.space.ops->pages(&f->pages.space, note, &s);
    return s;
}

void p9_fids_clear(struct p9_fids *f)
{
    struct slots s = all(f);

    while (s.count)
        memset(touch(f, s.list[--s.count]), 0, sizeof(struct p9_fid));
    free(s.list);
}

void p9_fids_renamed(struct p9_fids *f, const char *from, const char *to)
{
    size_t was = strlen(from), becomes = strlen(to);
    struct slots s = all(f);

    for (unsigned i = 0; i < s.count; i++) {
        const struct p9_fid *e = at(f, s.list[i]);
        size_t len = e ? strlen(e->path) : 0;
        struct p9_fid *changed;

        if (!e || strncmp(e->path, from, was) != 0 || (e->path[was] && e->path[was] != '/') || len - was + becomes >= P9_PATH_BYTES)
            continue;
        changed = touch(f, s.list[i]);
        memmove(changed->path + becomes, changed->path + was, len - was + 1);
        memcpy(changed->path, to, becomes);
        memset(changed->path + becomes + (len - was), 0, P9_PATH_BYTES - becomes - (len - was));
    }
    free(s.list);
}
