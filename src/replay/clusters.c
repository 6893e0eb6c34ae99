/*
 * What is known of the drives' images: the outside of drive_read() and drive_write().
 *
 * An image is a pure function, so it is asked in the past as at the edge and what it says is not logged. Logged
 * is (EVENT_IMAGE), where a cluster is first read, its hash: whoever replays the history with an image that was
 * changed since is told so at the position where that begins to matter. And where the host could not read it,
 * the error: it is the answer to everything that asks for that cluster in that step, and to nothing else.
 *
 * The log is gone through once, as far as the present; what it says of clusters is kept in a table. No
 * order is asked for within a position: the table is a function of log and position, as all that is read is.
 */
#include "replay/timeline_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/hash.h"

#define NONE UINT32_MAX
/* EVENT_IMAGE: cluster, error, zero, hash. */
#define IMAGE_EVENT 24u
#define IMAGE_ERROR_MAX 4095u

/* One event. */
struct cluster {
    uint64_t number;
    icount_t position;
    uint64_t hash;
    uint32_t error;      /* of the host; 0: it was read */
    uint32_t next;       /* index of an older one with the same slot, or NONE */
    uint16_t drive;
    uint16_t noted;      /* its pages that originals.c knows: a bit each */
    uint32_t verified;   /* originals.changes when the image had it; 0: it was never looked at */
};

/* ---- the table ---- */

static uint32_t slot_of(const struct clusters *t, unsigned drive, uint64_t number)
{
    return (uint32_t)((number * UINT64_C(0x9e3779b97f4a7c15) + drive * UINT64_C(0xc2b2ae3d27d4eb4f)) >> 32) & (t->nslots - 1);
}

static void link_in(struct clusters *t, uint32_t i)
{
    uint32_t slot = slot_of(t, t->list[i].drive, t->list[i].number);

    t->list[i].next = t->slots[slot];
    t->slots[slot] = i;
}

static void grow(struct clusters *t)
{
    t->nslots = t->nslots ? t->nslots * 2 : 256;
    t->slots = xrealloc(t->slots, t->nslots * sizeof(*t->slots));
    t->list = xrealloc(t->list, t->nslots * sizeof(*t->list));
    memset(t->slots, 0xff, t->nslots * sizeof(*t->slots));
    for (uint32_t i = 0; i < t->count; i++)
        link_in(t, i);
}

static struct cluster *add(struct clusters *t, const struct event *e)
{
    struct cluster *c;

    if (t->count == t->nslots)
        grow(t);
    c = &t->list[t->count];
    *c = (struct cluster){
        .number = get_le(e->data, 8),
        .position = e->position,
        .hash = get_le(e->data + 16, 8),
        .error = (uint32_t)get_le(e->data + 8, 4),
        .drive = e->source,
    };
    link_in(t, t->count++);
    return c;
}

/* Take in the log's events up to position `here`. One from a file may be malformed: it says nothing. */
static void catch_up(struct timeline *tl, icount_t here)
{
    struct clusters *t = &tl->clusters;
    const struct event *e;

    while ((e = event_log_get(tl->log, t->seen)) && e->position <= here) {
        if (e->kind == EVENT_IMAGE && e->len == IMAGE_EVENT && get_le(e->data + 8, 4) <= IMAGE_ERROR_MAX)
            add(t, e);
        t->seen++;
    }
}

/* What the log says of a cluster at `here`: an error of this very step, else that it was read by then. */
static struct cluster *known(struct timeline *tl, unsigned drive, uint64_t number, icount_t here)
{
    struct clusters *t = &tl->clusters;
    struct cluster *found = NULL;

    for (uint32_t i = t->nslots ? t->slots[slot_of(t, drive, number)] : NONE; i != NONE; i = t->list[i].next) {
        struct cluster *c = &t->list[i];

        if (c->number != number || c->drive != drive || c->position > here)
            continue;
        if (c->error && c->position == here)
            return c;
        if (!c->error)
            found = c;
    }
    return found;
}

/* What this history says of it anywhere, in the future of `tl` too, because an image does not change: NULL: it was never read. */
static struct cluster *known_ever(struct timeline *tl, unsigned drive, uint64_t number)
{
    struct clusters *t = &tl->clusters;

    catch_up(tl, ICOUNT_MAX);
    for (uint32_t i = t->nslots ? t->slots[slot_of(t, drive, number)] : NONE; i != NONE; i = t->list[i].next)
        if (t->list[i].number == number && t->list[i].drive == drive && !t->list[i].error)
            return &t->list[i];
    return NULL;
}

void clusters_finish(struct clusters *t)
{
    free(t->list);
    free(t->slots);
    free(t->last);
    *t = (struct clusters){.count = 0};
}

/* ---- the questions ---- */

static int ask_host(struct timeline *tl, const struct drive *d, uint64_t offset, void *buf, size_t len)
{
    int r = tl->host.image_read ? tl->host.image_read(tl->host.ctx, d, offset, buf, len) : -EIO;

    return r < -(int)IMAGE_ERROR_MAX || r > 0 ? -EIO : r;
}

/* What the host says of its error. */
static const char *reason(const struct timeline *tl, const struct drive *d, int error)
{
    const char *why = tl->host.image_why ? tl->host.image_why(tl->host.ctx, d) : NULL;

    return why ? why : strerror(-error);
}

/* The answer cannot be had as it was. */
static int lost(struct timeline *tl, const struct drive *d, icount_t here, uint64_t number, const char *why, void *buf,
                size_t len)
{
    uint64_t offset = number << DRIVE_CLUSTER_SHIFT;

    env_diverged(tl, here, "bytes %llu to %llu of the image of drive %s %s", (unsigned long long)offset,
                 (unsigned long long)(offset + drive_cluster_bytes(d, number) - 1), d->name, why);
    memset(buf, 0, len);
    return 0;
}

void timeline_look_at_images(struct timeline *tl)
{
    for (unsigned i = 0; tl->host.image_changed && i < tl->m->ndrives; i++) {
        if (!tl->host.image_changed(tl->host.ctx, tl->m->drives[i]))
            continue;
        tl->originals.changes++;
        originals_forget(tl);
    }
}

/* Bytes that were there cannot be had any more. */
static int lost_by(struct timeline *tl, const struct drive *d, icount_t here, uint64_t number, int error, void *buf, size_t len)
{
    struct error why = {0};

    if (error == -EBADMSG)
        return lost(tl, d, here, number, "are damaged in the recording, and the image is not here", buf, len);
    error_set(&why, error, "cannot be read any more: %s", reason(tl, d, error));
    return lost(tl, d, here, number, why.text, buf, len);
}

/* Has the image what it had? Reads the cluster to `whole`. */
static int verify(struct timeline *tl, const struct drive *d, struct cluster *c, icount_t here, uint8_t *whole)
{
    size_t len = drive_cluster_bytes(d, c->number);
    int r = ask_host(tl, d, c->number << DRIVE_CLUSTER_SHIFT, whole, len);

    if (r < 0)
        return lost_by(tl, d, here, c->number, r, whole, len);
    c->verified = hash_bytes(0, whole, len) == c->hash ? tl->originals.changes : 0;
    if (!c->verified)
        lost(tl, d, here, c->number, "are not what the guest read: the image was changed since", whole, len);
    return 0;
}

/* The first time: ask the host, and log what it said. */
static int read_first(struct timeline *tl, const struct drive *d, uint64_t number, icount_t here, uint8_t *whole)
{
    size_t len = drive_cluster_bytes(d, number);
    int r = ask_host(tl, d, number << DRIVE_CLUSTER_SHIFT, whole, len);
    uint64_t data[3] = {number, (uint32_t)-r, r < 0 ? 0 : hash_bytes(0, whole, len)};
    const struct event e = {
        .position = here,
        .vtime = machine_now(tl->m),
        .kind = EVENT_IMAGE,
        .source = (uint16_t)d->index,
        .len = IMAGE_EVENT,
        .data = (const uint8_t *)data,
    };

    _Static_assert(sizeof(data) == IMAGE_EVENT, "an event's bytes");
    event_log_append(tl->log, &e);
    tl->clusters.seen = event_log_count(tl->log);
    add(&tl->clusters, &e)->verified = tl->originals.changes;
    return r < 0 ? -r : 0;
}

/* `whole` is what cluster `number` was found to hold. */
static void keep_last(struct clusters *t, const struct drive *d, uint64_t number, const uint8_t *whole)
{
    if (!t->last)
        t->last = xmalloc(DRIVE_CLUSTER);
    memcpy(t->last, whole, drive_cluster_bytes(d, number));
    t->last_number = number;
    t->last_drive = d->index;
}

_Static_assert(DRIVE_CLUSTER / PAGE_SIZE == 16, "cluster.noted has a bit for each page");

/* These bytes are the image's: its whole pages among them are originals. */
static void note_pages(struct timeline *tl, const struct drive *d, struct cluster *c, uint64_t offset, const uint8_t *buf, size_t len)
{
    size_t skip = (size_t)(-offset & (PAGE_SIZE - 1)), pages = len > skip ? (len - skip) / PAGE_SIZE : 0;
    uint16_t mask = (uint16_t)(((1u << pages) - 1) << ((offset + skip) % DRIVE_CLUSTER >> PAGE_SHIFT));

    if (!pages || ((c->noted & mask) == mask && !tl->originals.forgot))
        return;
    originals_note(tl, d, offset + skip, buf + skip, pages * PAGE_SIZE);
    c->noted |= mask;
}

int clusters_read(void *ctx, struct machine *m, const struct drive *d, uint64_t offset, void *buf, size_t len)
{
    struct timeline *tl = ctx;
    icount_t here = machine_position(m);
    uint64_t number = offset >> DRIVE_CLUSTER_SHIFT;
    uint8_t whole[DRIVE_CLUSTER];
    struct cluster *c;
    bool verified;
    int r;

    catch_up(tl, here);
    c = known(tl, d->index, number, here);
    if (c && c->error)
        return (int)c->error;
    verified = c && c->verified == tl->originals.changes;
    if (verified && tl->clusters.last && tl->clusters.last_number == number && tl->clusters.last_drive == d->index) {
        memcpy(buf, tl->clusters.last + (offset & (DRIVE_CLUSTER - 1)), len);
        return 0;
    }
    if (verified) {
        r = ask_host(tl, d, offset, buf, len);
        if (r == 0)
            note_pages(tl, d, c, offset, buf, len);
        return r == 0 ? 0 : lost_by(tl, d, here, number, r, buf, len);
    }
    if (!c && (here < tl->edge || !tl->cfg.live))
        return lost(tl, d, here, number, "are asked for by the guest; the log does not know them", buf, len);
    r = c ? verify(tl, d, c, here, whole) : read_first(tl, d, number, here, whole);
    if (r == 0 && (!c || c->verified == tl->originals.changes)) {
        keep_last(&tl->clusters, d, number, whole);
        c = c ? c : known(tl, d->index, number, here);
        note_pages(tl, d, c, number << DRIVE_CLUSTER_SHIFT, whole, drive_cluster_bytes(d, number));
    }
    memcpy(buf, whole + (offset & (DRIVE_CLUSTER - 1)), len);
    return r;
}

/* ---- from outside ---- */

/* A cluster as it is now; *stale: the guest has read it when it was something else. */
static int look_at(struct timeline *tl, const struct drive *d, uint64_t number, uint8_t *whole, bool *stale)
{
    size_t len = drive_cluster_bytes(d, number);
    const struct cluster *c = known_ever(tl, d->index, number);
    int r = ask_host(tl, d, number << DRIVE_CLUSTER_SHIFT, whole, len);

    *stale = r == 0 && c && hash_bytes(0, whole, len) != c->hash;
    return r;
}

int timeline_image_read(struct timeline *tl, const struct drive *d, uint64_t offset, void *buf, size_t len, struct error *err)
{
    uint8_t whole[DRIVE_CLUSTER], *to = buf;

    while (len) {
        uint64_t number = offset >> DRIVE_CLUSTER_SHIFT, first = number << DRIVE_CLUSTER_SHIFT;
        size_t within = offset & (DRIVE_CLUSTER - 1), n = DRIVE_CLUSTER - within < len ? DRIVE_CLUSTER - within : len;
        bool stale;
        int r = look_at(tl, d, number, whole, &stale);

        if (r < 0)
            return error_set(err, r, "bytes %llu to %llu of the image of drive %s cannot be read: %s", (unsigned long long)first,
                             (unsigned long long)(first + drive_cluster_bytes(d, number) - 1), d->name, reason(tl, d, r));
        if (stale)
            return error_set(err, -ESTALE, "bytes %llu to %llu of the image of drive %s are not what the guest read: the image was changed "
                             "since", (unsigned long long)first, (unsigned long long)(first + drive_cluster_bytes(d, number) - 1), d->name);
        memcpy(to, whole + within, n);
        offset += n;
        to += n;
        len -= n;
    }
    return 0;
}
