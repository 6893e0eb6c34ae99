/*
 * The reader of recordings (doc/log-format.md). See recording.h for what it
 * promises about files that are not as they should be.
 *
 * It goes through the file once, from chunk to chunk, and keeps what it says in
 * memory, but for events, images and checkpoints, of which it keeps where they are: so what it
 * takes is bounded by the number of chunks, not by what they inflate to. Of images and
 * checkpoints it reads the headers only, unless all is to be looked at.
 * The index is compared with what was found; nothing depends on it.
 */
#include "replay/recording.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/bytes.h"
#include "base/hash.h"

/* A chunk's header, and its payload once that was inflated. */
struct chunk {
    uint64_t offset;
    uint32_t type, stored, raw, count, flags;
    icount_t from, to;
    uint32_t crc;
    const uint8_t *payload;
};

/* Bytes that are taken one field after the other; `bad` once there were too few. */
struct cursor {
    const uint8_t *at;
    size_t left;
    bool bad;
};

static uint64_t take(struct cursor *c, unsigned bytes)
{
    uint64_t v;

    if (c->left < bytes) {
        c->bad = true;
        c->left = 0;
        return 0;
    }
    v = get_le(c->at, bytes);
    c->at += bytes;
    c->left -= bytes;
    return v;
}

static const uint8_t *take_bytes(struct cursor *c, size_t n)
{
    const uint8_t *p = c->at;

    if (c->left < n) {
        c->bad = true;
        c->left = 0;
        return NULL;
    }
    c->at += n;
    c->left -= n;
    return p;
}

/* A new string, or NULL; a string with a NUL in it is none. */
static char *take_string(struct cursor *c, size_t n)
{
    const uint8_t *p = take_bytes(c, n);
    char *s;

    if (!p || memchr(p, 0, n)) {
        c->bad = true;
        return NULL;
    }
    s = xmalloc(n + 1);
    memcpy(s, p, n);
    s[n] = 0;
    return s;
}

static uint64_t take_at(const uint8_t *p, unsigned bytes)
{
    return take(&(struct cursor){p, bytes, false}, bytes);
}

static uint32_t crc_of(const uint8_t *data, size_t len)
{
    return (uint32_t)crc32(0, data, (uInt)len);
}

/* ---- chunks ---- */

static const char cut_off[] = "is cut off";

/* The header at `offset`: NULL, or what is wrong. */
static const char *chunk_header(const struct recording *r, uint64_t offset, struct chunk *c)
{
    uint8_t bytes[RECORDING_CHUNK_BYTES];
    struct cursor in = {bytes, sizeof(bytes), false};
    uint64_t room;

    if (offset > r->len || r->len - offset < RECORDING_CHUNK_BYTES)
        return cut_off;
    room = r->len - offset - RECORDING_CHUNK_BYTES;
    if (r->source.read(r->source.ctx, offset, bytes, sizeof(bytes)) < 0)
        return "cannot be read";
    if (memcmp(in.at, "HCCK", 4))
        return "is not one (no HCCK)";
    if (crc_of(bytes, RECORDING_CHUNK_BYTES - 4) != take_at(bytes + RECORDING_CHUNK_BYTES - 4, 4))
        return "has a damaged header";
    take_bytes(&in, 4);
    *c = (struct chunk){.offset = offset};
    c->type = (uint32_t)take(&in, 4);
    c->stored = (uint32_t)take(&in, 4);
    c->raw = (uint32_t)take(&in, 4);
    c->count = (uint32_t)take(&in, 4);
    c->flags = (uint32_t)take(&in, 4);
    c->from = take(&in, 8);
    c->to = take(&in, 8);
    c->crc = (uint32_t)take(&in, 4);
    if (c->stored > room)
        return cut_off;
    if (c->raw > RECORDING_PAYLOAD_MAX || (c->type != RECORDING_CKPT && c->flags > RECORDING_CHUNK_DEFLATED) ||
        (!(c->flags & RECORDING_CHUNK_DEFLATED) && c->raw != c->stored) || c->from > c->to ||
        c->stored > RECORDING_PAYLOAD_MAX + RECORDING_PAYLOAD_MAX / 64)
        return "has an impossible header";
    return NULL;
}

/* What a chunk is read into. */
struct chunk_room {
    struct buffer stored, inflated;
};

static void chunk_room_finish(struct chunk_room *room)
{
    buffer_finish(&room->stored);
    buffer_finish(&room->inflated);
}

/* Read the payload, check it and inflate it. */
static const char *chunk_payload(const struct recording *r, struct chunk *c, struct chunk_room *room)
{
    struct buffer *out = &room->inflated;
    uLongf n = c->raw;

    buffer_clear(&room->stored);
    c->payload = buffer_reserve(&room->stored, (size_t)c->stored + 1);
    if (r->source.read(r->source.ctx, c->offset + RECORDING_CHUNK_BYTES, room->stored.data, c->stored) < 0)
        return "cannot be read";
    if (crc_of(c->payload, c->stored) != c->crc)
        return "is damaged (its CRC does not match)";
    if (!(c->flags & RECORDING_CHUNK_DEFLATED))
        return NULL;
    buffer_clear(out);
    if (uncompress(buffer_reserve(out, (size_t)c->raw + 1), &n, c->payload, c->stored) != Z_OK || n != c->raw)
        return "cannot be inflated";
    out->len = n;
    c->payload = out->data;
    return NULL;
}

/* ---- the reader ---- */

/* An EVNT chunk that waits for its MARK. */
struct pending {
    uint64_t offset;
    uint32_t count;
    icount_t from, to;
};

struct reader {
    struct recording *r;
    bool all;                  /* look at the bytes of checkpoints, too */
    struct chunk_room room;
    struct recording_entry *seen; /* chunks, for the comparison with the index */
    size_t nseen, seen_cap;
    struct pending *events;    /* EVNT since the last MARK */
    size_t npending, pending_cap;
    uint64_t nevents;          /* in them */
    uint64_t logged;           /* events in the log */
    icount_t last_event;       /* their order */
    size_t nhashes;            /* counted by the last MARK */
    size_t ncheckpoints;
    size_t nwitnesses;
    struct timeline_snapshot *snapshots; /* those to come into force with the next MARK */
    size_t nsnapshots;
    bool named;                /* ... there are such, perhaps none */
    const struct recording_image *image; /* the chunk before was part of */
    bool in_checkpoint;        /* its last chunk is still to come */
    struct recording_checkpoint checkpoint;
    bool hash_before;          /* since the last chunk of a checkpoint, or that could be one, there was a hash */
    bool chain_lost;           /* checkpoints build on one that is damaged */
    bool gap;                  /* a chunk is missing of which nothing is known */
    struct recording_entry *index; /* what the INDX at the end says, if it was asked for and is sound */
    size_t nindex;
    bool index_sought;
    bool config, layout, images, ended;
};

static const char *read_config(struct reader *rd, struct cursor in, const struct chunk *c)
{
    struct recording *r = rd->r;

    if (rd->config || c->count > 1000)
        return "is out of place";
    rd->config = true;
    r->config = xcalloc((size_t)c->count + 1, sizeof(r->config[0]));
    for (uint32_t i = 0; i < c->count; i++) {
        size_t key = (size_t)take(&in, 4), value = (size_t)take(&in, 4);
        struct recording_pair *p = &r->config[r->nconfig++];

        p->key = take_string(&in, key);
        p->value = take_string(&in, value);
        if (!p->key || !p->value)
            return "is malformed";
    }
    return in.bad || in.left ? "is malformed" : NULL;
}

/* Bytes of what a HASH says of each part. */
static size_t part_bytes(const struct layout *l)
{
    size_t n = layout_count(l, LAYOUT_COMPONENT) * 8u;

    for (uint32_t i = 0; i < layout_count(l, LAYOUT_AREA); i++)
        n += 8 + 4u * checkpoint_page_sums(layout_entry(l, LAYOUT_AREA, i)->size);
    return n;
}

static const char *read_layout(struct reader *rd, struct cursor in, const struct chunk *c)
{
    struct recording *r = rd->r;

    if (rd->layout || c->count > LAYOUT_MAX)
        return "is out of place";
    rd->layout = true;
    for (uint32_t i = 0; i < c->count; i++) {
        struct layout_entry e = {.kind = (enum layout_kind)take(&in, 4), .version = (uint32_t)take(&in, 4)};
        const uint8_t *name;
        size_t len;

        e.at = take(&in, 8);
        e.size = take(&in, 8);
        len = (size_t)take(&in, 4);
        name = len <= LAYOUT_NAME_MAX ? take_bytes(&in, len) : NULL;
        if (!name || in.bad || memchr(name, 0, len))
            return "is malformed";
        memcpy(e.name, name, len);
        if (!layout_add(&r->layout, &e))
            return "describes an impossible machine";
    }
    if (in.left)
        return "is malformed";
    for (enum layout_kind kind = LAYOUT_COMPONENT; kind < LAYOUT_KINDS; kind++)
        r->has_events[kind] = xcalloc(layout_count(&r->layout, kind) + 1, sizeof(bool));
    r->part_bytes = part_bytes(&r->layout);
    if (layout_count(&r->layout, LAYOUT_REGISTER) > WITNESS_MAX_REGS ||
        layout_count(&r->layout, LAYOUT_COMPONENT) > WITNESS_MAX_COMPONENTS)
        return "describes an impossible machine";
    witness_log_init(&r->witnesses, (struct witness_shape){layout_count(&r->layout, LAYOUT_COMPONENT),
                                                           layout_count(&r->layout, LAYOUT_REGISTER)});
    return NULL;
}

static const char *read_images(struct reader *rd, struct cursor in, const struct chunk *c)
{
    struct recording *r = rd->r;

    if (rd->images || c->count > RECORDING_MAX_IMAGES)
        return "is out of place";
    rd->images = true;
    for (uint32_t i = 0; i < c->count; i++) {
        struct recording_image *im = &r->images[r->nimages++];
        uint64_t embedded;
        size_t name, words;

        im->role = (uint32_t)take(&in, 4);
        embedded = take(&in, 4);
        im->embedded = embedded;
        im->len = take(&in, 8);
        im->hash = take(&in, 8);
        name = (size_t)take(&in, 4);
        words = (size_t)take(&in, 4);
        im->name = take_string(&in, name);
        im->words = take_string(&in, words);
        if (in.bad || embedded > 1 || im->role < RECORDING_KERNEL || im->role > RECORDING_DEVICE_ROM)
            return "is malformed";
    }
    return in.left ? "is malformed" : NULL;
}

static const char *read_image_data(struct reader *rd, const struct chunk *c)
{
    struct recording_image *im = c->count < rd->r->nimages ? &rd->r->images[c->count] : NULL;

    if (im && rd->gap && im->embedded && c->from > im->there && c->from < im->len) {
        im->damaged = true; /* what lies between was in the gap */
        im->there = c->from;
    }
    if (!im || !im->embedded || c->from != im->there || c->to != c->from + c->raw || c->to > im->len)
        return "is out of place";
    if (!im->chunks)
        im->offset = c->offset;
    else if (rd->image != im && !rd->gap)
        return "is apart from the rest of its image";
    im->chunks++;
    im->there = c->to;
    rd->image = im;
    return NULL;
}

/* Which table of the layout the source of such an event is in; 0: none. */
static enum layout_kind source_kind(uint16_t kind)
{
    return kind == EVENT_INPUT ? LAYOUT_DEVICE : kind == EVENT_IMAGE || kind == EVENT_MEDIUM ? LAYOUT_DRIVE : 0;
}

/* It refers to parts of the machine by numbers of the layout. False: there are no such. */
static bool note_references(struct recording *r, const struct event *e)
{
    enum layout_kind kind = source_kind(e->kind);
    uint32_t n = e->source;

    if (e->kind == EVENT_WRITE_REGISTER) {
        if (e->len < 4)
            return true;
        kind = LAYOUT_REGISTER;
        n = (uint32_t)take_at(e->data, 4);
    }
    if (!kind)
        return true;
    if (n >= layout_count(&r->layout, kind))
        return false;
    r->has_events[kind][n] = true;
    return true;
}

static bool take_event(struct cursor *in, struct event *e)
{
    *e = (struct event){.position = take(in, 8)};
    e->vtime = take(in, 8);
    e->kind = (uint16_t)take(in, 2);
    e->source = (uint16_t)take(in, 2);
    e->len = (uint32_t)take(in, 4);
    e->data = take_bytes(in, e->len);
    return !in->bad;
}

static const char *read_events(struct reader *rd, struct cursor in, const struct chunk *c)
{
    struct pending *p;
    struct event e;

    if (!c->count || c->raw > RECORDING_EVENTS_MAX || c->from < rd->last_event)
        return "is malformed";
    for (uint32_t i = 0; i < c->count; i++) {
        icount_t last = i ? rd->last_event : c->from;

        if (!take_event(&in, &e) || e.position < last || e.position > RECORDING_POSITION_MAX ||
            e.vtime > RECORDING_POSITION_MAX || e.kind < EVENT_INPUT || e.kind >= EVENT_KINDS ||
            e.len > RECORDING_EVENT_MAX || (!i && e.position != c->from) || !note_references(rd->r, &e))
            return "holds an impossible event";
        rd->last_event = e.position;
    }
    if (in.left || rd->last_event != c->to)
        return "is malformed";
    rd->nevents += c->count;
    if (rd->npending == rd->pending_cap) {
        rd->pending_cap = rd->pending_cap ? rd->pending_cap * 2 : 16;
        rd->events = xrealloc(rd->events, rd->pending_cap * sizeof(rd->events[0]));
    }
    p = &rd->events[rd->npending++];
    *p = (struct pending){c->offset, c->count, c->from, c->to};
    return NULL;
}

/* They count now. */
static void log_events(struct reader *rd)
{
    for (size_t i = 0; i < rd->npending; i++) {
        const struct pending *p = &rd->events[i];

        event_log_back(rd->r->log, p->offset, p->count, p->from, p->to);
    }
    rd->logged += rd->nevents;
    rd->nevents = 0;
    rd->npending = 0;
}

static const char *read_hash(struct reader *rd, struct cursor in, const struct chunk *c)
{
    struct recording *r = rd->r;
    struct recording_hash h = {.position = c->from};

    h.vtime = take(&in, 8);
    h.state = take(&in, 8);
    if (in.bad || in.left != r->part_bytes || c->count != layout_count(&r->layout, LAYOUT_COMPONENT))
        return "is malformed";
    if (r->nhashes && c->from < r->hashes[r->nhashes - 1].position)
        return "is out of order";
    if (r->nhashes == r->hashes_cap) {
        r->hashes_cap = r->hashes_cap ? r->hashes_cap * 2 : 64;
        r->hashes = xrealloc(r->hashes, r->hashes_cap * sizeof(r->hashes[0]));
        r->parts = xrealloc(r->parts, r->hashes_cap * r->part_bytes + 1);
    }
    memcpy(r->parts + r->nhashes * r->part_bytes, in.at, r->part_bytes);
    r->hashes[r->nhashes++] = h;
    rd->hash_before = true;
    return NULL;
}

uint64_t recording_component_hash(const struct recording *r, size_t n, uint32_t component)
{
    CHECK(n < r->nhashes && component < layout_count(&r->layout, LAYOUT_COMPONENT));
    return take_at(r->parts + n * r->part_bytes + 8u * component, 8);
}

void recording_area(const struct recording *r, size_t n, uint32_t area, struct checkpoint_area *sums)
{
    struct cursor in = {r->parts + n * r->part_bytes, r->part_bytes, false};

    take_bytes(&in, layout_count(&r->layout, LAYOUT_COMPONENT) * 8u);
    for (uint32_t i = 0; i <= area; i++) {
        *sums = (struct checkpoint_area){.hash = take(&in, 8)};
        sums->nsums = checkpoint_page_sums(layout_entry(&r->layout, LAYOUT_AREA, i)->size);
        for (unsigned k = 0; k < sums->nsums; k++)
            sums->sums[k] = (uint32_t)take(&in, 4);
    }
    CHECK(!in.bad);
}

/* How many pages an area has in this recording; 0: there is none. */
static uint64_t area_pages(const struct recording *r, uint32_t area)
{
    if (area == RECORDING_ARENA)
        return (r->layout.arena_bytes + PAGE_SIZE - 1) >> PAGE_SHIFT;
    return area < layout_count(&r->layout, LAYOUT_AREA) ? layout_entry(&r->layout, LAYOUT_AREA, area)->size : 0;
}

/* Go through the pages; `page` may be NULL. NULL, or what is wrong. */
static const char *checkpoint_chunk(const struct recording *r, struct cursor in, uint32_t count, recording_page_fn *page,
                                    void *ctx)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t area = (uint32_t)take(&in, 2);
        uint64_t form = take(&in, 2), number = take(&in, 8);
        const uint8_t *bytes = form == 1 ? take_bytes(&in, PAGE_SIZE) : NULL;

        if (in.bad || form > 1 || number >= area_pages(r, area))
            return "is malformed";
        if (page)
            page(ctx, area, number, bytes);
    }
    return in.bad || in.left ? "is malformed" : NULL;
}

/* A checkpoint's chunks: their headers say all but the pages. */
static const char *read_checkpoint(struct reader *rd, const struct chunk *c)
{
    const uint32_t known = RECORDING_CHUNK_DEFLATED | RECORDING_CHUNK_LAST | RECORDING_CHUNK_WHOLE;
    struct recording *r = rd->r;
    struct recording_checkpoint *cp = &rd->checkpoint;
    const struct recording_hash *h = r->nhashes ? &r->hashes[r->nhashes - 1] : NULL;
    bool whole = c->flags & RECORDING_CHUNK_WHOLE;

    if (c->flags & ~known)
        return "has an impossible header";
    if (rd->all) {
        const char *wrong = checkpoint_chunk(r, (struct cursor){c->payload, c->raw, false}, c->count, NULL, NULL);

        if (wrong)
            return wrong;
    }
    if (rd->chain_lost && !(whole && rd->hash_before && h->position == c->from))
        return NULL;
    rd->chain_lost = rd->hash_before = false;
    if (!h || h->position != c->from)
        return "is a checkpoint without a state hash";
    if (!rd->in_checkpoint) {
        *cp = (struct recording_checkpoint){
            .position = c->from, .vtime = h->vtime, .offset = c->offset, .whole = whole};
        if (r->ncheckpoints && c->from <= r->checkpoints[r->ncheckpoints - 1].position)
            return "is out of order";
        if (!r->ncheckpoints && !whole)
            return "builds on a checkpoint that is not there";
    }
    if (c->from != cp->position || c->to != cp->position || whole != cp->whole)
        return "is out of place";
    cp->chunks++;
    cp->pages += c->count;
    rd->in_checkpoint = !(c->flags & RECORDING_CHUNK_LAST);
    if (rd->in_checkpoint)
        return NULL;
    if ((r->ncheckpoints & (r->ncheckpoints - 1)) == 0)
        r->checkpoints = xrealloc(r->checkpoints, (r->ncheckpoints ? r->ncheckpoints * 2 : 1) * sizeof(*cp));
    r->checkpoints[r->ncheckpoints++] = *cp;
    return NULL;
}

/* The mask in a WITN chunk: which bytes of its tags say something. Bytes that some chunk does not know are not
 * known of any before it. */
static void read_known(struct witness_log *l, const uint8_t *bits, uint32_t count)
{
    size_t bytes = witness_bytes(&l->shape);
    bool all = true;

    for (size_t i = 0; i < bytes; i++)
        all &= bits[i / 8] >> (i % 8) & 1;
    if (all)
        return;
    if (!l->known) {
        l->known = xcalloc(bytes, sizeof(bool));
        memset(l->known, true, bytes);
    }
    for (size_t i = 0; i < bytes; i++)
        l->known[i] &= bits[i / 8] >> (i % 8) & 1;
    l->partial = l->count + count;
}

static const char *read_witnesses(struct reader *rd, struct cursor in, const struct chunk *c)
{
    struct witness_log *l = &rd->r->witnesses;
    size_t bytes = witness_bytes(&l->shape);
    const uint8_t *before = NULL, *known;
    icount_t position = 0;

    if (take(&in, 4) != l->shape.ncomponents || take(&in, 4) != l->shape.nregs)
        return "is malformed";
    known = take_bytes(&in, (bytes + 7) / 8);
    if (in.bad || in.left != (size_t)c->count * (bytes + 8))
        return "is malformed";
    if ((l->count + c->count) * (bytes + 8) > RECORDING_WITNESS_BYTES)
        return NULL;
    read_known(l, known, c->count);
    for (uint32_t i = 0; i < c->count; i++) {
        const uint8_t *differences;
        uint64_t distance = take(&in, 8);
        uint8_t *tags;

        if (distance > RECORDING_POSITION_MAX || position + distance < c->from || position + distance > c->to ||
            (l->count && position + distance <= l->positions[l->count - 1]))
            return "is out of order";
        position += distance;
        differences = take_bytes(&in, bytes);
        tags = witness_log_add(l, position);
        /* It may have moved. */
        before = i ? witness_log_tags(l, l->count - 2) : NULL;
        for (size_t k = 0; k < bytes; k++)
            tags[k] = (uint8_t)(differences[k] ^ (before ? before[k] : 0));
    }
    return NULL;
}

static void free_snapshots(struct timeline_snapshot *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(list[i].name);
    free(list);
}

static const char *read_snapshots(struct reader *rd, struct cursor in, const struct chunk *c)
{
    if (c->count > RECORDING_MAX_SNAPSHOTS)
        return "is malformed";
    free_snapshots(rd->snapshots, rd->nsnapshots);
    rd->snapshots = xcalloc(c->count + 1, sizeof(rd->snapshots[0]));
    rd->nsnapshots = 0;
    rd->named = true;
    for (uint32_t i = 0; i < c->count; i++) {
        struct timeline_snapshot *s = &rd->snapshots[rd->nsnapshots++];
        size_t len;

        s->position = take(&in, 8);
        s->vtime = take(&in, 8);
        s->made_ns = take(&in, 8);
        len = (size_t)take(&in, 4);
        s->name = len && len <= RECORDING_NAME_MAX ? take_string(&in, len) : NULL;
        if (in.bad || !s->name || s->position > c->to || s->vtime > RECORDING_POSITION_MAX)
            return "is malformed";
    }
    return in.left ? "is malformed" : NULL;
}

/* ---- branches ---- */

static struct recording_branch *find_branch(const struct recording *r, uint32_t id)
{
    for (size_t i = r->nbranches; i-- > 0;)
        if (r->branches[i].read.id == id)
            return &r->branches[i];
    return NULL;
}

/* The head of a chunk and the number of events that follow. False: malformed. */
static bool take_branch(struct cursor *in, const struct chunk *c, struct recording_branch_head *h, uint32_t *count)
{
    uint64_t dropped;
    size_t len;
    char *name;

    *h = (struct recording_branch_head){.id = c->count, .fork = c->from, .edge = c->to};
    h->parent = (uint32_t)take(in, 4);
    dropped = take(in, 4);
    h->dropped = dropped;
    h->edge_vtime = take(in, 8);
    h->before = take(in, 8);
    *count = (uint32_t)take(in, 4);
    len = (size_t)take(in, 4);
    name = len <= TIMELINE_NAME_MOST ? take_string(in, len) : NULL;
    if (name)
        strcpy(h->name, name);
    free(name);
    return name && !in->bad && dropped <= 1 && h->id && h->parent < h->id && h->edge <= RECORDING_POSITION_MAX &&
           h->edge_vtime <= RECORDING_POSITION_MAX;
}

/* The events of a part, in order, on their branch from position `last` on. */
static bool check_part(struct recording *r, struct cursor in, const struct recording_branch_head *h, icount_t last,
                       struct recording_part *part)
{
    struct event e;

    for (uint32_t i = 0; i < part->count; i++) {
        if (!take_event(&in, &e) || e.position < last || e.position > h->edge || e.vtime > RECORDING_POSITION_MAX ||
            e.kind < EVENT_INPUT || e.kind >= EVENT_KINDS || e.len > RECORDING_EVENT_MAX || !note_references(r, &e))
            return false;
        part->from = i ? part->from : e.position;
        last = part->to = e.position;
    }
    return !in.left;
}

/* A branch that is new, if this is its beginning. */
static struct recording_branch *new_branch(struct recording *r, const struct recording_branch_head *h)
{
    if (h->before || r->nbranches == RECORDING_MAX_BRANCHES || (h->parent && !find_branch(r, h->parent)) ||
        (r->nbranches && r->branches[r->nbranches - 1].read.id >= h->id))
        return NULL;
    if ((r->nbranches & (r->nbranches - 1)) == 0)
        r->branches = xrealloc(r->branches, (r->nbranches ? 2 * r->nbranches : 1) * sizeof(r->branches[0]));
    r->branches[r->nbranches] = (struct recording_branch){.read = *h};
    r->branches[r->nbranches].read.edge = h->fork;
    return &r->branches[r->nbranches++];
}

static void note_harm(struct recording *r, const struct chunk *c, const char *wrong)
{
    if (r->nharms < RECORDING_HARMS)
        r->harms[r->nharms] = (struct recording_harm){c->offset, c->type, c->count, c->from, c->to, wrong};
    r->nharms++;
}

/* What is wrong with a branch is wrong with that alone. */
static void read_branch(struct reader *rd, struct cursor in, const struct chunk *c)
{
    struct recording *r = rd->r;
    struct recording_branch_head h;
    struct recording_part part = {.offset = c->offset};
    struct recording_branch *b;
    bool good = take_branch(&in, c, &h, &part.count);

    b = find_branch(r, c->count);
    if (good && !b)
        b = new_branch(r, &h);
    if (!b || b->cut || b->read.dropped)
        return;
    if (good && h.dropped) {
        b->read.dropped = true;
        return;
    }
    good = good && h.parent == b->read.parent && h.fork == b->read.fork && h.edge >= b->read.edge && h.before == b->read.before &&
           check_part(r, in, &h, b->nread ? b->parts[b->nread - 1].to : h.fork, &part);
    if (!good) {
        b->cut = true;
        if (!rd->gap) /* else what is missing was told */
            note_harm(r, c, "does not go on where the branch was");
        return;
    }
    if (part.count) {
        if ((b->nread & (b->nread - 1)) == 0)
            b->parts = xrealloc(b->parts, (b->nread ? 2 * b->nread : 1) * sizeof(b->parts[0]));
        b->parts[b->nread++] = part;
    }
    h.before += part.count;
    b->read = h;
}

/* What was read of them counts. */
static void count_branches(struct recording *r)
{
    for (size_t i = 0; i < r->nbranches; i++) {
        struct recording_branch *b = &r->branches[i];

        b->counted = true;
        b->head = b->read;
        b->nparts = b->nread;
    }
}

static const char *read_mark(struct reader *rd, struct cursor in, const struct chunk *c)
{
    struct recording *r = rd->r;
    vtime_t vtime = take(&in, 8);
    uint64_t events = take(&in, 8);

    if (in.bad || in.left)
        return "is malformed";
    if (c->from < r->edge || c->from < rd->last_event || c->from > RECORDING_POSITION_MAX ||
        vtime > RECORDING_POSITION_MAX || events != rd->logged + rd->nevents ||
        (r->nhashes && r->hashes[r->nhashes - 1].position > c->from) ||
        (r->ncheckpoints && r->checkpoints[r->ncheckpoints - 1].position > c->from) ||
        (r->witnesses.count && r->witnesses.positions[r->witnesses.count - 1] > c->from))
        return "does not fit what came before it";
    r->edge = c->from;
    r->edge_vtime = vtime;
    rd->ended = c->type == RECORDING_ENDR;
    rd->nhashes = r->nhashes;
    rd->ncheckpoints = r->ncheckpoints;
    rd->nwitnesses = r->witnesses.count;
    count_branches(r);
    if (rd->named) {
        free_snapshots(r->snapshots, r->nsnapshots);
        r->snapshots = rd->snapshots;
        r->nsnapshots = rd->nsnapshots;
        rd->snapshots = NULL;
        rd->nsnapshots = 0;
        rd->named = false;
    }
    log_events(rd);
    r->good_bytes = c->offset + RECORDING_CHUNK_BYTES + c->stored;
    return NULL;
}

/* It is looked at when it is asked for. */
static const char *note_cluster(struct recording *r, const struct chunk *c)
{
    if (c->from != c->to || c->raw > DRIVE_CLUSTER)
        return "is malformed";
    if (r->nclusters == r->clusters_cap) {
        r->clusters_cap = r->clusters_cap ? r->clusters_cap * 2 : 64;
        r->clusters = xrealloc(r->clusters, r->clusters_cap * sizeof(r->clusters[0]));
    }
    r->clusters[r->nclusters++] = (struct recording_cluster){c->from, c->offset, c->count};
    return NULL;
}

static const char *read_chunk(struct reader *rd, const struct chunk *c)
{
    struct cursor in = {c->payload, c->raw, false};

    if (rd->in_checkpoint && c->type != RECORDING_CKPT)
        return "is in the midst of a checkpoint";
    if (!rd->config && c->type != RECORDING_CONF)
        return "comes before the configuration";
    if (!rd->layout && c->type != RECORDING_CONF && c->type != RECORDING_LAYO)
        return "comes before the layout";
    if (c->type != RECORDING_IMGD)
        rd->image = NULL;
    switch ((enum recording_type)c->type) {
    case RECORDING_CONF:
        return read_config(rd, in, c);
    case RECORDING_LAYO:
        return read_layout(rd, in, c);
    case RECORDING_IMGE:
        return read_images(rd, in, c);
    case RECORDING_IMGD:
        return read_image_data(rd, c);
    case RECORDING_CLST:
        return note_cluster(rd->r, c);
    case RECORDING_EVNT:
        return read_events(rd, in, c);
    case RECORDING_HASH:
        return read_hash(rd, in, c);
    case RECORDING_CKPT:
        return read_checkpoint(rd, c);
    case RECORDING_WITN:
        return read_witnesses(rd, in, c);
    case RECORDING_SNAP:
        return read_snapshots(rd, in, c);
    case RECORDING_BRAN:
        read_branch(rd, in, c);
        return NULL;
    case RECORDING_MARK:
    case RECORDING_ENDR:
        return read_mark(rd, in, c);
    case RECORDING_INDX:
        break;
    }
    /* What a reader may do without begins with a small letter. */
    return c->type & 0x20 ? NULL : "is of a kind that this version does not know";
}

/* ---- the whole file ---- */

/* Where the zeros begin with which the file ends. A host that lost its power may have kept how long the
 * file had become, and not what was in it. */
static uint64_t zero_tail(const struct recording *r)
{
    uint64_t at = r->len;
    uint8_t piece[4096];

    while (at) {
        size_t n = at < sizeof(piece) ? (size_t)at : sizeof(piece);

        if (r->source.read(r->source.ctx, at - n, piece, n) < 0)
            break;
        for (; n && !piece[n - 1]; n--)
            at--;
        if (n)
            break;
    }
    return at;
}

static int read_header(const struct recording *r, struct error *err)
{
    uint8_t bytes[RECORDING_HEADER_BYTES];
    size_t n = r->len < sizeof(bytes) ? (size_t)r->len : sizeof(bytes);
    struct cursor in = {bytes, n, false};
    uint32_t version, crc;

    if (r->source.read(r->source.ctx, 0, bytes, n) < 0)
        return error_set(err, -EIO, "the recording cannot be read");
    if (!n || (!bytes[0] && zero_tail(r) == 0))
        return error_set(err, -EINVAL, "there is nothing in the recording%s: its writer, or the host of that, stopped before "
                         "anything was on the disk", n ? " but zeros" : "");
    if (n < RECORDING_MAGIC_BYTES || memcmp(bytes, RECORDING_MAGIC, RECORDING_MAGIC_BYTES))
        return error_set(err, -EINVAL, "this is not a hindcast recording (those are made with --record FILE)");
    take_bytes(&in, RECORDING_MAGIC_BYTES);
    version = (uint32_t)take(&in, 4);
    crc = (uint32_t)take(&in, 4);
    if (in.bad || crc != crc_of(bytes, 12))
        return error_set(err, -EINVAL, "the recording's header is damaged: get the file again from where it came from");
    if (version != RECORDING_VERSION)
        return error_set(err, -EINVAL,
                         "the recording is of format %u and this hindcast reads format %u: use the version "
                         "that made it%s", version, RECORDING_VERSION,
                         version > RECORDING_VERSION ? ", or one that is newer" : "");
    return 0;
}

/* Does the index list the chunks that are there? */
static bool index_fits(const struct reader *rd, const struct chunk *index)
{
    struct cursor in = {index->payload, index->raw, false};
    size_t most = RECORDING_PAYLOAD_MAX / 32;

    if (index->count != (rd->nseen < most ? rd->nseen : most) || index->raw != index->count * 32u)
        return false;
    for (uint32_t i = 0; i < index->count; i++) {
        const struct recording_entry *e = &rd->seen[i];

        if (take(&in, 8) != e->offset || take(&in, 4) != e->type || take(&in, 4) != e->count ||
            take(&in, 8) != e->from || take(&in, 8) != e->to)
            return false;
    }
    return true;
}

/* The index and what follows; NULL, or what is wrong. */
static const char *read_end(const struct reader *rd, const struct chunk *index)
{
    const struct recording *r = rd->r;
    uint64_t at = index->offset + RECORDING_CHUNK_BYTES + index->stored, left = r->len - at;
    uint8_t bytes[RECORDING_TRAILER_BYTES];
    struct cursor in = {bytes, sizeof(bytes), false};

    if (!index_fits(rd, index))
        return "the index does not fit the chunks";
    if (left < sizeof(bytes))
        return "the trailer is missing";
    if (r->source.read(r->source.ctx, at, bytes, sizeof(bytes)) < 0)
        return "the trailer cannot be read";
    if (memcmp(bytes, RECORDING_TRAILER_MAGIC, 8) || crc_of(bytes, 20) != (uint32_t)take_at(bytes + 20, 4))
        return "the trailer is damaged";
    take_bytes(&in, 8);
    if (take(&in, 8) != index->offset || take(&in, 4))
        return "the trailer is damaged";
    return left > sizeof(bytes) ? "something follows the trailer" : NULL;
}

/* Does the file end with a trailer? */
static bool has_trailer(const struct recording *r)
{
    uint8_t bytes[RECORDING_TRAILER_BYTES];

    return r->len >= sizeof(bytes) && r->source.read(r->source.ctx, r->len - sizeof(bytes), bytes, sizeof(bytes)) >= 0 &&
           !memcmp(bytes, RECORDING_TRAILER_MAGIC, 8) && crc_of(bytes, 20) == (uint32_t)get_le32(bytes + 20);
}

/* To what is wrong, add that the file ends in zeros, if it does: that is no damage on the way from there to here. */
static void note_zeros(struct recording *r, uint64_t zeros)
{
    size_t n = strlen(r->note);

    /* Some a sound file ends with, too. */
    if (r->len - zeros > RECORDING_CHUNK_BYTES)
        snprintf(r->note + n, sizeof(r->note) - n, "; from byte %llu on there are zeros: the host of its writer stopped, "
                 "or lost its power, before the disk had the rest", (unsigned long long)zeros);
}

/* What is wrong with the chunk at `offset`, where reading ends. */
static void note_damage(struct recording *r, uint64_t offset, const char *wrong)
{
    uint64_t zeros = zero_tail(r);

    if (zeros <= offset && r->len - offset > RECORDING_CHUNK_BYTES) {
        snprintf(r->note, sizeof(r->note), "the file was not closed");
        note_zeros(r, offset);
        return;
    }
    snprintf(r->note, sizeof(r->note), "chunk %llu, at byte %llu, %s", (unsigned long long)r->nchunks,
             (unsigned long long)offset, wrong);
    note_zeros(r, zeros);
}

static void note_seen(struct reader *rd, const struct chunk *c)
{
    if (rd->nseen == rd->seen_cap) {
        rd->seen_cap = rd->seen_cap ? rd->seen_cap * 2 : 64;
        rd->seen = xrealloc(rd->seen, rd->seen_cap * sizeof(rd->seen[0]));
    }
    rd->seen[rd->nseen++] = (struct recording_entry){c->offset, c->type, c->count, c->from, c->to};
}

/* ---- damage ---- */

/* The index at the end of the file, by which the chunk behind a damaged header is found, and what that was. */
static void seek_index(struct reader *rd)
{
    struct recording *r = rd->r;
    struct chunk_room room = {.stored = {.data = NULL}};
    uint8_t bytes[RECORDING_TRAILER_BYTES];
    struct chunk c;

    rd->index_sought = true;
    if (has_trailer(r) && r->source.read(r->source.ctx, r->len - sizeof(bytes), bytes, sizeof(bytes)) >= 0 &&
        !chunk_header(r, get_le(bytes + 8, 8), &c) && c.type == RECORDING_INDX && !chunk_payload(r, &c, &room) &&
        c.raw == c.count * 32u) {
        struct cursor in = {c.payload, c.raw, false};

        rd->index = xcalloc((size_t)c.count + 1, sizeof(rd->index[0]));
        for (; rd->nindex < c.count; rd->nindex++) {
            struct recording_entry *e = &rd->index[rd->nindex];

            e->offset = take(&in, 8);
            e->type = (uint32_t)take(&in, 4);
            e->count = (uint32_t)take(&in, 4);
            e->from = take(&in, 8);
            e->to = take(&in, 8);
        }
        /* An end for the last one. */
        rd->index[rd->nindex++] = (struct recording_entry){.offset = c.offset, .type = RECORDING_INDX};
    }
    chunk_room_finish(&room);
}

/* What the index says of the damaged chunk; where the next one begins, or 0. */
static uint64_t next_by_index(const struct reader *rd, struct chunk *lost)
{
    for (size_t i = 0; i + 1 < rd->nindex; i++) {
        const struct recording_entry *e = &rd->index[i];

        if (e->offset != lost->offset)
            continue;
        lost->type = e->type;
        lost->count = e->count;
        lost->from = e->from;
        lost->to = e->to;
        lost->raw = e->to - e->from <= RECORDING_PAYLOAD_MAX ? (uint32_t)(e->to - e->from) : 0;
        return e[1].offset > e->offset && e[1].offset < rd->r->len && e->from <= e->to ? e[1].offset : 0;
    }
    return 0;
}

/* Do headers lead from here to where the writer stopped? (A chunk may hold a file that holds chunks.) */
static bool leads_to_end(const struct recording *r, uint64_t offset, uint64_t zeros)
{
    while (offset < zeros && r->len - offset > RECORDING_CHUNK_BYTES) {
        struct chunk c;
        const char *wrong = chunk_header(r, offset, &c);

        if (wrong)
            return wrong == cut_off;
        if (c.type == RECORDING_INDX)
            return true;
        offset += RECORDING_CHUNK_BYTES + c.stored;
    }
    return true;
}

/* The next chunk behind a damaged header of a file without an index, or 0. Its own is not longer than the longest. */
static uint64_t next_by_search(const struct recording *r, uint64_t offset)
{
    uint64_t zeros = zero_tail(r), end = offset + 2 * RECORDING_CHUNK_BYTES + RECORDING_PAYLOAD_MAX + RECORDING_PAYLOAD_MAX / 64;
    uint8_t piece[65536];
    struct chunk c;

    end = end < zeros ? end : zeros;
    for (uint64_t at = offset + 1; at + 4 <= end; at += sizeof(piece) - 3) {
        size_t n = end - at < sizeof(piece) ? (size_t)(end - at) : sizeof(piece);

        if (r->source.read(r->source.ctx, at, piece, n) < 0)
            return 0;
        for (size_t i = 0; i + 4 <= n; i++)
            if (piece[i] == 'H' && !memcmp(piece + i, "HCCK", 4) && !chunk_header(r, at + i, &c) &&
                leads_to_end(r, at + i, zeros))
                return at + i;
    }
    return 0;
}

/* Is history lost with such a chunk, or what it means? 0: of any type. Should that have been events, the next MARK counts them. */
static bool holds_history(const struct reader *rd, uint32_t type)
{
    switch (type) {
    case 0:
    case RECORDING_IMGD:
    case RECORDING_CLST:
    case RECORDING_HASH:
    case RECORDING_CKPT:
    case RECORDING_WITN:
    case RECORDING_SNAP:
    case RECORDING_MARK:
        return rd->ended || !rd->images;
    default: /* what a reader may do without begins with a small letter */
        return rd->ended || !rd->images || !(type & 0x20);
    }
}

/* What follows from the loss of a chunk; NULL, or what is wrong. */
static const char *do_without(struct reader *rd, const struct chunk *lost)
{
    if (lost->type == RECORDING_CKPT || lost->type == RECORDING_HASH || !lost->type) {
        rd->in_checkpoint = rd->hash_before = false;
        rd->chain_lost = true;
    }
    if (!lost->type)
        rd->gap = true;
    if (lost->type == RECORDING_BRAN && find_branch(rd->r, lost->count))
        find_branch(rd->r, lost->count)->cut = true;
    if (lost->type != RECORDING_IMGD)
        return NULL;
    if (lost->count < rd->r->nimages)
        rd->r->images[lost->count].damaged = true;
    return read_image_data(rd, lost);
}

/* The chunk at `offset` is damaged. `c`: what its header says, if that is sound. Where reading goes on; 0: nowhere. */
static uint64_t pass_over(struct reader *rd, uint64_t offset, const struct chunk *c, const char *wrong)
{
    struct recording *r = rd->r;
    struct chunk lost = c ? *c : (struct chunk){.offset = offset, .from = r->edge, .to = r->edge};
    uint64_t next = c ? offset + RECORDING_CHUNK_BYTES + c->stored : 0;

    if (!c && !rd->index_sought)
        seek_index(rd);
    if (!c)
        next = rd->index ? next_by_index(rd, &lost) : next_by_search(r, offset);
    /* Where nothing follows (but zeros, perhaps, of a disk that never got it), this is where the writer was stopped. */
    if (!next || zero_tail(r) < next || holds_history(rd, lost.type) || do_without(rd, &lost))
        return 0;
    lost.offset = offset;
    note_harm(r, &lost, wrong);
    r->damaged = has_trailer(r);
    note_seen(rd, &lost);
    r->nchunks++;
    return next;
}

static void read_chunks(struct reader *rd)
{
    struct recording *r = rd->r;
    uint64_t offset = RECORDING_HEADER_BYTES, next;

    while (offset < r->len) {
        struct chunk c;
        const char *wrong = chunk_header(r, offset, &c);
        bool known = !wrong;

        if (!wrong && (rd->all || (c.type != RECORDING_CKPT && c.type != RECORDING_IMGD && c.type != RECORDING_CLST)))
            wrong = chunk_payload(r, &c, &rd->room);
        next = wrong ? pass_over(rd, offset, known ? &c : NULL, wrong) : 0;
        if (next) {
            offset = next;
            continue;
        }
        if (!wrong && rd->ended && c.type == RECORDING_INDX) {
            wrong = read_end(rd, &c);
            r->closed = !wrong;
            if (!wrong)
                return;
            snprintf(r->note, sizeof(r->note), "%s", wrong);
            note_zeros(r, zero_tail(r));
            return;
        }
        if (!wrong && rd->ended)
            wrong = "comes after the end";
        if (!wrong)
            wrong = read_chunk(rd, &c);
        if (wrong) {
            note_damage(r, offset, wrong);
            r->damaged = has_trailer(r);
            return;
        }
        note_seen(rd, &c);
        r->nchunks++;
        offset += RECORDING_CHUNK_BYTES + c.stored;
    }
    snprintf(r->note, sizeof(r->note), "the file was not closed: its writer was killed or is still running");
}

/* Where a cluster of a drive's image was first read; ICOUNT_MAX: nowhere. */
static icount_t first_read(const struct recording *r, uint32_t drive, uint64_t number)
{
    const struct event *e;

    for (uint64_t i = 0; (e = event_log_get(r->log, i)); i++)
        if (e->kind == EVENT_IMAGE && e->source == drive && e->len >= 16 && take_at(e->data, 8) == number &&
            !take_at(e->data + 8, 4))
            return e->position;
    return ICOUNT_MAX;
}

/* What was lost with a chunk. */
static void name_loss(const struct recording *r, const struct recording_harm *h, char *text, size_t size)
{
    unsigned long long from = h->from, to = h->to;
    icount_t read;

    switch (h->type) {
    case RECORDING_IMGD:
        snprintf(text, size, "with it, bytes %llu to %llu of the image %s", from, to - !!to,
                 h->count < r->nimages ? r->images[h->count].name : "");
        break;
    case RECORDING_CLST:
        read = first_read(r, h->count, h->from);
        if (read == ICOUNT_MAX || h->count >= layout_count(&r->layout, LAYOUT_DRIVE))
            snprintf(text, size, "with it, a cluster of a drive's image that the guest did not read");
        else
            snprintf(text, size, "with it, bytes %llu to %llu of the image of drive %s, which the guest first read at position "
                     "%llu: without that image, history ends there", from << DRIVE_CLUSTER_SHIFT,
                     ((from + 1) << DRIVE_CLUSTER_SHIFT) - 1, layout_entry(&r->layout, LAYOUT_DRIVE, h->count)->name,
                     (unsigned long long)read);
        break;
    case RECORDING_HASH:
        snprintf(text, size, "with it, the hash of the state at position %llu; a checkpoint there, and those that build on it, are "
                 "not used", from);
        break;
    case RECORDING_CKPT:
        snprintf(text, size, "with it, the checkpoint at position %llu; it, and those that build on it, are not used", from);
        break;
    case RECORDING_WITN:
        snprintf(text, size, "with it, witnesses of positions %llu to %llu", from, to);
        break;
    case RECORDING_SNAP:
        snprintf(text, size, "with it, names of places that were given up to position %llu", from);
        break;
    case RECORDING_BRAN:
        snprintf(text, size, "with it, a part of branch number %u, which leaves its parent at position %llu: it ends before that, "
                 "or is not there", h->count, from);
        break;
    case RECORDING_MARK:
        snprintf(text, size, "nothing is missing: history up to position %llu is counted by the next mark", from);
        break;
    default:
        snprintf(text, size, "with it, something behind position %llu that was no event", from);
    }
}

void recording_harm_text(const struct recording *r, size_t n, char text[RECORDING_HARM_TEXT])
{
    const struct recording_harm *h = &r->harms[n];
    int len = snprintf(text, RECORDING_HARM_TEXT, "the chunk at byte %llu %s; ", (unsigned long long)h->offset, h->wrong);

    name_loss(r, h, text + len, RECORDING_HARM_TEXT - (size_t)len);
}

/* What there is not of an embedded image. */
static int check_embedded(struct recording *r, struct error *err)
{
    for (size_t i = 0; i < r->nimages; i++) {
        struct recording_image *im = &r->images[i];

        if (im->embedded && im->there != im->len && r->nharms)
            im->damaged = true;
        else if (im->embedded && im->there != im->len)
            return error_set(err, -EINVAL, "the image %s inside the recording is incomplete or damaged%s%s", im->name,
                             *r->note ? ": " : "", r->note);
    }
    return 0;
}

static int read_memory(void *ctx, uint64_t offset, void *buf, size_t n)
{
    const struct recording *r = ctx;

    if (n)
        memcpy(buf, r->data + offset, n);
    return 0;
}

/* Everything behind the header. */
static void read_all(struct recording *r, bool all)
{
    struct reader rd = {.r = r, .all = all};

    read_chunks(&rd);
    r->nhashes = rd.nhashes;
    r->ncheckpoints = rd.ncheckpoints;
    r->witnesses.count = rd.nwitnesses;
    if (r->witnesses.partial > r->witnesses.count)
        r->witnesses.partial = r->witnesses.count;
    chunk_room_finish(&rd.room);
    free(rd.events);
    free_snapshots(rd.snapshots, rd.nsnapshots);
    free(rd.seen);
    free(rd.index);
}

/* The numbers that an event refers to, for the machine that replays. `copy` is room for its data. */
static void map_references(const struct recording *r, struct event *e, struct buffer *copy)
{
    enum layout_kind kind = source_kind(e->kind);
    uint32_t n;

    if (kind)
        e->source = (uint16_t)r->map.to[kind][e->source];
    if (e->kind != EVENT_WRITE_REGISTER || e->len < 4)
        return;
    n = r->map.to[LAYOUT_REGISTER][take_at(e->data, 4)];
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

        for (uint32_t i = 0; i < c.count && take_event(&in, &e) && note_references(r, &e); i++) {
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

        if (!take_branch(&in, &c, &h, &count))
            count = 0;
        for (; count && take_event(&in, &e) && note_references(r, &e); count--) {
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

static int open_source(struct recording *r, const struct recording_source *source, bool all, struct error *err)
{
    int status;

    r->source = *source;
    r->len = source->len;
    r->log = event_log_create();
    event_log_set_source(r->log, &(struct event_log_source){.ctx = r, .load = load_events});
    status = read_header(r, err);
    if (status < 0)
        return status;
    read_all(r, all);
    if (!r->good_bytes)
        return error_set(err, -EINVAL, "the recording holds no history%s%s", *r->note ? ": " : "", r->note);
    return check_embedded(r, err);
}

int recording_open_source(struct recording *r, const struct recording_source *source, bool all, struct error *err)
{
    memset(r, 0, sizeof(*r));
    return open_source(r, source, all, err);
}

int recording_open(struct recording *r, const void *data, size_t len, struct error *err)
{
    const struct recording_source source = {.ctx = r, .len = len, .read = read_memory};

    memset(r, 0, sizeof(*r));
    r->data = data;
    return open_source(r, &source, true, err);
}

void recording_finish(struct recording *r)
{
    for (size_t i = 0; i < r->nconfig; i++) {
        free(r->config[i].key);
        free(r->config[i].value);
    }
    for (size_t i = 0; i < r->nimages; i++) {
        free(r->images[i].name);
        free(r->images[i].words);
    }
    free(r->config);
    free(r->hashes);
    free(r->parts);
    for (unsigned kind = LAYOUT_COMPONENT; kind < LAYOUT_KINDS; kind++)
        free(r->has_events[kind]);
    layout_map_finish(&r->map);
    layout_finish(&r->layout);
    free(r->checkpoints);
    for (size_t i = 0; i < r->nbranches; i++)
        free(r->branches[i].parts);
    free(r->branches);
    free(r->clusters);
    witness_log_finish(&r->witnesses);
    free_snapshots(r->snapshots, r->nsnapshots);
    event_log_destroy(r->log);
    memset(r, 0, sizeof(*r));
}

const char *recording_value(const struct recording *r, const char *key)
{
    for (size_t i = 0; i < r->nconfig; i++)
        if (!strcmp(r->config[i].key, key))
            return r->config[i].value;
    return NULL;
}

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
    return checkpoint_chunk(p->r, (struct cursor){c->payload, c->raw, false}, c->count, p->page, p->ctx);
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
