/*
 * What is read of a recording when it is asked for: its events, for the machine that replays; images, clusters, pages of checkpoints.
 */
#include "replay/recording_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/hash.h"

/* ---- events ---- */

bool recording_note_references(struct recording *r, const struct event *e)
{
    enum layout_kind kind = chunk_source_kind(e->kind);
    uint32_t n = e->source;

    if (e->kind == EVENT_WRITE_REGISTER) {
        if (e->len < 4)
            return true;
        kind = LAYOUT_REGISTER;
        n = (uint32_t)get_le32(e->data);
    }
    if (!kind)
        return true;
    if (n >= layout_count(&r->layout, kind))
        return false;
    r->has_events[kind][n] = true;
    return true;
}

/* The numbers that an event refers to, for the machine that replays. `copy` is room for its data. */
static void map_references(const struct recording *r, struct event *e, struct buffer *copy)
{
    enum layout_kind kind = chunk_source_kind(e->kind);
    uint32_t n;

    if (kind)
        e->source = (uint16_t)r->map.to[kind][e->source];
    if (e->kind != EVENT_WRITE_REGISTER || e->len < 4)
        return;
    n = r->map.to[LAYOUT_REGISTER][get_le32(e->data)];
    buffer_clear(copy);
    buffer_append(copy, &n, 4);
    buffer_append(copy, e->data + 4, e->len - 4);
    e->data = copy->data;
}

/* event_log_source.load: the chunk at that offset, which was good when the file was opened. */
static void load_events(void *ctx, uint64_t offset, struct event_log *log)
{
    struct recording *r = ctx;
    struct chunk_room room = {.stored = {.data = NULL}};
    struct buffer copy;
    struct chunk c;
    struct event e;

    buffer_init(&copy);
    if (!chunk_header(r, offset, &c) && c.type == RECORDING_EVNT && !chunk_payload(r, &c, &room)) {
        struct cursor in = {c.payload, c.raw, false};

        for (uint32_t i = 0; i < c.count && chunk_take_event(&in, &e) && recording_note_references(r, &e); i++) {
            if (r->mapped)
                map_references(r, &e, &copy);
            event_log_loaded(log, &e);
        }
    }
    buffer_finish(&copy);
    chunk_room_finish(&room);
}

/* The same of a part of a branch. */
static void load_part(void *ctx, uint64_t offset, struct event_log *log)
{
    struct recording *r = ctx;
    struct chunk_room room = {.stored = {.data = NULL}};
    struct recording_branch_head h;
    struct buffer copy;
    struct chunk c;
    struct event e;
    uint32_t count;

    buffer_init(&copy);
    if (!chunk_header(r, offset, &c) && c.type == RECORDING_BRAN && !chunk_payload(r, &c, &room)) {
        struct cursor in = {c.payload, c.raw, false};

        if (!chunk_take_branch(&in, &c, &h, &count))
            count = 0;
        for (; count && chunk_take_event(&in, &e) && recording_note_references(r, &e); count--) {
            if (r->mapped)
                map_references(r, &e, &copy);
            event_log_loaded(log, &e);
        }
    }
    buffer_finish(&copy);
    chunk_room_finish(&room);
}

struct event_log *recording_branch_log(struct recording *r, const struct recording_branch *b, struct event_log *parent)
{
    struct event_log *log = event_log_fork(parent, b->head.fork);

    event_log_set_source(log, &(struct event_log_source){.ctx = r, .load = load_part});
    for (size_t i = 0; i < b->nparts; i++)
        event_log_back(log, b->parts[i].offset, b->parts[i].count, b->parts[i].from, b->parts[i].to);
    return log;
}

void recording_load_later(struct recording *r)
{
    event_log_set_source(r->log, &(struct event_log_source){.ctx = r, .load = load_events});
}

int recording_map(struct recording *r, const struct layout *to, struct error *err)
{
    layout_map_finish(&r->map);
    layout_map_init(&r->map, &r->layout, to);
    for (enum layout_kind kind = LAYOUT_COMPONENT; kind < LAYOUT_KINDS; kind++)
        for (uint32_t i = 0; i < layout_count(&r->layout, kind); i++) {
            const struct layout_entry *e = layout_entry(&r->layout, kind, i);
            uint32_t there = layout_find(to, e);

            if (r->has_events[kind][i] && r->map.to[kind][i] == LAYOUT_NONE)
                return error_set(err, -EINVAL, "the recording was made with another machine: it has events for '%s', "
                                 "which is not there: use the version of hindcast that made it", e->name);
            if (kind == LAYOUT_AREA && there != LAYOUT_NONE && layout_entry(to, kind, there)->size != e->size)
                return error_set(err, -EINVAL, "the recording was made with another machine (%s: %llu pages; here: "
                                 "%llu): use the version of hindcast that made it", e->name, (unsigned long long)e->size,
                                 (unsigned long long)layout_entry(to, kind, there)->size);
        }
    r->mapped = true;
    event_log_forget(r->log);
    return 0;
}

/* ---- images and pages ---- */

/* Go through `chunks` chunks side by side from *offset on, which is moved on. NULL, or what is wrong. */
static const char *each_chunk(const struct recording *r, uint64_t *offset, uint32_t chunks,
                              const char *(*each)(void *ctx, const struct chunk *c), void *ctx)
{
    struct chunk_room room = {.stored = {.data = NULL}};
    const char *wrong = NULL;

    for (uint32_t i = 0; !wrong && i < chunks; i++) {
        struct chunk c;

        wrong = chunk_header(r, *offset, &c);
        if (!wrong)
            wrong = chunk_payload(r, &c, &room);
        if (!wrong)
            wrong = each(ctx, &c);
        if (!wrong)
            *offset += RECORDING_CHUNK_BYTES + c.stored;
    }
    chunk_room_finish(&room);
    return wrong;
}

static const char *append_image(void *ctx, const struct chunk *c)
{
    if (c->type != RECORDING_IMGD)
        return "is not a part of an image";
    buffer_append(ctx, c->payload, c->raw);
    return NULL;
}

int recording_image_read(const struct recording *r, size_t n, struct buffer *out, struct error *err)
{
    const struct recording_image *im = &r->images[n];
    uint64_t offset = im->offset;
    size_t before = out->len;
    const char *wrong = im->damaged ? "is damaged" : each_chunk(r, &offset, im->chunks, append_image, out);

    if (!wrong && out->len - before == im->len && hash_bytes(0, out->data + before, im->len) == im->hash)
        return 0;
    return error_set(err, -EINVAL, "the image %s inside the recording is incomplete or damaged%s%s", im->name,
                     wrong ? ": a chunk " : "", wrong ? wrong : "");
}

static int compare_clusters(const void *a, const void *b)
{
    const struct recording_cluster *x = a, *y = b;

    if (x->drive != y->drive)
        return x->drive < y->drive ? -1 : 1;
    return (x->number > y->number) - (x->number < y->number);
}

/* Where the bytes of a cluster go. */
struct cluster_room {
    uint8_t *bytes;
    size_t len;
};

static const char *take_cluster(void *ctx, const struct chunk *c)
{
    struct cluster_room *to = ctx;

    if (c->type != RECORDING_CLST || c->raw > DRIVE_CLUSTER)
        return "is no cluster of an image";
    memcpy(to->bytes, c->payload, c->raw);
    to->len = c->raw;
    return NULL;
}

int recording_read_cluster(struct recording *r, uint32_t drive, uint64_t number, uint8_t *buf, size_t *len)
{
    const struct recording_cluster key = {.number = number, .drive = drive}, *found;
    struct cluster_room to = {.bytes = buf};
    uint64_t offset;

    if (!r->clusters_sorted && r->nclusters)
        qsort(r->clusters, r->nclusters, sizeof(r->clusters[0]), compare_clusters);
    r->clusters_sorted = true;
    found = r->nclusters ? bsearch(&key, r->clusters, r->nclusters, sizeof(key), compare_clusters) : NULL;
    if (!found)
        return -ENOENT;
    offset = found->offset;
    if (each_chunk(r, &offset, 1, take_cluster, &to))
        return -EBADMSG;
    *len = to.len;
    return 0;
}

struct page_reader {
    const struct recording *r;
    recording_page_fn *page;
    void *ctx;
};

static const char *read_pages(void *ctx, const struct chunk *c)
{
    const struct page_reader *p = ctx;

    if (c->type != RECORDING_CKPT)
        return "is not a part of a checkpoint";
    return chunk_pages(p->r, (struct cursor){c->payload, c->raw, false}, c->count, p->page, p->ctx);
}

int recording_checkpoint_pages(const struct recording *r, size_t n, recording_page_fn *page, void *ctx, struct error *err)
{
    const struct recording_checkpoint *cp = &r->checkpoints[n];
    struct page_reader p = {r, page, ctx};
    uint64_t offset = cp->offset;
    const char *wrong = each_chunk(r, &offset, cp->chunks, read_pages, &p);

    if (wrong)
        return error_set(err, -EINVAL, "the checkpoint at position %llu, at byte %llu, %s",
                         (unsigned long long)cp->position, (unsigned long long)offset, wrong);
    return 0;
}
