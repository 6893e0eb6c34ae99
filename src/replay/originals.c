/*
 * Pages that the drives' images have: the checkpoints' page source.
 *
 * What a guest has read of a disk lies in its memory as it lies in the image, often for long; when that memory is used for
 * something else, a checkpoint need not keep a copy. Of each page of an image that a drive reads, the hash is noted with its place;
 * a page in memory that has a known hash is there. So it does not matter how the bytes came to where they are, and what is noted may
 * be forgotten. The hashes' seed is a secret of this run: nobody can make two pages that have the same.
 *
 * An image does not change while it is in use; if it does nevertheless, the hashes tell.
 */
#include "replay/timeline_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

/* An image's page. */
struct original {
    uint64_t hash;
    uint64_t at;           /* drive and byte of its image; NOWHERE: none */
};

#define NOWHERE       UINT64_MAX
#define DRIVE_SHIFT   56   /* (DRIVE_MAX_BYTES is less) */
#define FEWEST_NOTED  ((uint64_t)1 << 12)
#define MOST_NOTED    ((uint64_t)1 << 18)
#define WAYS          4u   /* it may be in one of so many slots, a line of the host's cache */

_Static_assert(DRIVE_MAX_BYTES <= (uint64_t)1 << DRIVE_SHIFT && MACHINE_MAX_DRIVES < 0xff, "a place fits");

static struct original *ways_of(const struct originals *o, uint64_t hash)
{
    return &o->list[hash >> 32 & (o->nslots - 1) & ~(uint64_t)(WAYS - 1)];
}

/* NULL: it is not known. */
static const struct original *known(const struct originals *o, uint64_t hash)
{
    const struct original *ways = ways_of(o, hash);

    for (unsigned i = 0; i < WAYS; i++)
        if (ways[i].hash == hash && ways[i].at != NOWHERE)
            return &ways[i];
    return NULL;
}

/* Where all ways are taken, one of them is forgotten. */
static void put(struct originals *o, const struct original *made)
{
    struct original *ways = ways_of(o, made->hash), *slot = &ways[made->hash & (WAYS - 1)];

    for (unsigned i = WAYS; i--;)
        if (ways[i].at == NOWHERE || ways[i].hash == made->hash)
            slot = &ways[i];
    o->used += slot->at == NOWHERE;
    o->forgot |= slot->at != NOWHERE && slot->hash != made->hash;
    *slot = *made;
}

static void grow(struct originals *o)
{
    struct original *old = o->list;
    uint64_t n = o->nslots;

    o->nslots = n ? n * 2 : FEWEST_NOTED;
    o->list = xmalloc(o->nslots * sizeof(*o->list));
    memset(o->list, 0xff, o->nslots * sizeof(*o->list));
    o->used = 0;
    for (uint64_t i = 0; i < n; i++)
        if (old[i].at != NOWHERE)
            put(o, &old[i]);
    free(old);
}

void originals_forget(struct timeline *tl)
{
    struct originals *o = &tl->originals;

    free(o->list);
    o->list = NULL;
    o->nslots = o->used = 0;
    o->forgot = true;
}

static int read_image(struct timeline *tl, uint64_t at, uint8_t *bytes)
{
    const struct drive *d = tl->m->drives[at >> DRIVE_SHIFT];
    int r;

    pthread_mutex_lock(&tl->originals.images);
    r = tl->host.image_read(tl->host.ctx, d, at & (((uint64_t)1 << DRIVE_SHIFT) - 1), bytes, PAGE_SIZE);
    pthread_mutex_unlock(&tl->originals.images);
    return r;
}

void originals_note(struct timeline *tl, const struct drive *d, uint64_t offset, const uint8_t *bytes, size_t len)
{
    struct originals *o = &tl->originals;

    if (tl->leader || !tl->host.image_direct || !tl->host.image_direct(tl->host.ctx, d, offset, len))
        return;
    for (size_t i = 0; i < len; i += PAGE_SIZE) {
        struct original made = {hash_bytes(o->secret, bytes + i, PAGE_SIZE), (uint64_t)d->index << DRIVE_SHIFT | (offset + i)};

        if (o->used >= o->nslots / 2 && o->nslots < MOST_NOTED)
            grow(o);
        put(o, &made);
    }
}

static bool find(void *ctx, const uint8_t *bytes, struct page_place *where)
{
    struct timeline *tl = ctx;
    const struct originals *o = &tl->originals;
    uint64_t hash = o->used ? hash_bytes(o->secret, bytes, PAGE_SIZE) : 0;
    const struct original *same = o->used ? known(o, hash) : NULL;

    if (same)
        *where = (struct page_place){.at = same->at, .hash = hash};
    return same != NULL;
}

static void read_again(void *ctx, const struct page_place *where, uint8_t *bytes)
{
    struct timeline *tl = ctx;

    if (read_image(tl, where->at, bytes) == 0 && hash_bytes(tl->originals.secret, bytes, PAGE_SIZE) == where->hash)
        return;
    memset(bytes, 0, PAGE_SIZE);
    __atomic_store_n(&tl->originals.lost, where->at, __ATOMIC_RELAXED);
}

bool originals_lost(const struct timeline *tl, char *text, size_t size)
{
    const struct timeline *owner = tl->leader ? tl->leader : tl;
    uint64_t lost = __atomic_load_n(&owner->originals.lost, __ATOMIC_RELAXED);

    if (lost == NOWHERE)
        return false;
    snprintf(text, size, "byte %llu of the image of drive %s is not what the guest read any more: the image was changed since",
             (unsigned long long)(lost & (((uint64_t)1 << DRIVE_SHIFT) - 1)), tl->m->drives[lost >> DRIVE_SHIFT]->name);
    return true;
}

void originals_init(struct timeline *tl)
{
    const struct page_source source = {.ctx = tl, .find = find, .read = read_again};

    tl->originals = (struct originals){.secret = tl->cfg.secret, .changes = 1, .lost = NOWHERE};
    pthread_mutex_init(&tl->originals.images, NULL);
    checkpoint_store_source(tl->store, &source);
}

void originals_finish(struct timeline *tl)
{
    pthread_mutex_destroy(&tl->originals.images);
    free(tl->originals.list);
}
