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
#include "replay/recording_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/hash.h"

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
    size_t kept_witnesses;     /* of all branches */
    struct timeline_snapshot *snapshots; /* those to come into force with the next MARK */
    size_t nsnapshots;
    bool named;                /* ... there are such, perhaps none */
    const struct recording_image *image; /* the chunk before was part of */
    bool in_checkpoint;        /* its last chunk is still to come */
    struct recording_checkpoint checkpoint;
    bool hash_before;          /* since the last chunk of a checkpoint, or that could be one, there was a hash */
    bool chain_lost;           /* checkpoints build on one that is damaged */
    bool gap;                  /* a chunk is missing of which nothing is known */
    struct recording_index index;
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
        size_t key = (size_t)cursor_take(&in, 4), value = (size_t)cursor_take(&in, 4);
        struct recording_pair *p = &r->config[r->nconfig++];

        p->key = cursor_string(&in, key);
        p->value = cursor_string(&in, value);
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
        struct layout_entry e = {.kind = (enum layout_kind)cursor_take(&in, 4), .version = (uint32_t)cursor_take(&in, 4)};
        const uint8_t *name;
        size_t len;

        e.at = cursor_take(&in, 8);
        e.size = cursor_take(&in, 8);
        len = (size_t)cursor_take(&in, 4);
        name = len <= LAYOUT_NAME_MAX ? cursor_bytes(&in, len) : NULL;
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

        im->role = (uint32_t)cursor_take(&in, 4);
        embedded = cursor_take(&in, 4);
        im->embedded = embedded;
        im->len = cursor_take(&in, 8);
        im->hash = cursor_take(&in, 8);
        name = (size_t)cursor_take(&in, 4);
        words = (size_t)cursor_take(&in, 4);
        im->name = cursor_string(&in, name);
        im->words = cursor_string(&in, words);
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
static const char *read_events(struct reader *rd, struct cursor in, const struct chunk *c)
{
    struct pending *p;
    struct event e;

    if (!c->count || c->raw > RECORDING_EVENTS_MAX || c->from < rd->last_event)
        return "is malformed";
    for (uint32_t i = 0; i < c->count; i++) {
        icount_t last = i ? rd->last_event : c->from;

        if (!chunk_take_event(&in, &e) || e.position < last || e.position > RECORDING_POSITION_MAX ||
            e.vtime > RECORDING_POSITION_MAX || e.kind < EVENT_INPUT || e.kind >= EVENT_KINDS ||
            e.len > RECORDING_EVENT_MAX || (!i && e.position != c->from) || !recording_note_references(rd->r, &e))
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

    h.vtime = cursor_take(&in, 8);
    h.state = cursor_take(&in, 8);
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
    return get_le64(r->parts + n * r->part_bytes + 8u * component);
}

void recording_area(const struct recording *r, size_t n, uint32_t area, struct checkpoint_area *sums)
{
    struct cursor in = {r->parts + n * r->part_bytes, r->part_bytes, false};

    cursor_bytes(&in, layout_count(&r->layout, LAYOUT_COMPONENT) * 8u);
    for (uint32_t i = 0; i <= area; i++) {
        *sums = (struct checkpoint_area){.hash = cursor_take(&in, 8)};
        sums->nsums = checkpoint_page_sums(layout_entry(&r->layout, LAYOUT_AREA, i)->size);
        for (unsigned k = 0; k < sums->nsums; k++)
            sums->sums[k] = (uint32_t)cursor_take(&in, 4);
    }
    CHECK(!in.bad);
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
        const char *wrong = chunk_pages(r, (struct cursor){c->payload, c->raw, false}, c->count, NULL, NULL);

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

static const char *read_witnesses(struct reader *rd, struct witness_log *l, struct cursor in, const struct chunk *c)
{
    size_t bytes = witness_bytes(&l->shape);
    const uint8_t *before = NULL, *known;
    icount_t position = 0;

    if (cursor_take(&in, 4) != l->shape.ncomponents || cursor_take(&in, 4) != l->shape.nregs)
        return "is malformed";
    known = cursor_bytes(&in, (bytes + 7) / 8);
    if (in.bad || in.left != (size_t)c->count * (bytes + 8))
        return "is malformed";
    if ((rd->kept_witnesses + c->count) * (bytes + 8) > RECORDING_WITNESS_BYTES)
        return NULL;
    rd->kept_witnesses += c->count;
    read_known(l, known, c->count);
    for (uint32_t i = 0; i < c->count; i++) {
        const uint8_t *differences;
        uint64_t distance = cursor_take(&in, 8);
        uint8_t *tags;

        if (distance > RECORDING_POSITION_MAX || position + distance < c->from || position + distance > c->to ||
            (l->count && position + distance <= l->positions[l->count - 1]))
            return "is out of order";
        position += distance;
        differences = cursor_bytes(&in, bytes);
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

        s->position = cursor_take(&in, 8);
        s->vtime = cursor_take(&in, 8);
        s->made_ns = cursor_take(&in, 8);
        len = (size_t)cursor_take(&in, 4);
        s->name = len && len <= RECORDING_NAME_MAX ? cursor_string(&in, len) : NULL;
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

/* The events of a part, in order, on their branch from position `last` on. */
static bool check_part(struct recording *r, struct cursor in, const struct recording_branch_head *h, icount_t last,
                       struct recording_part *part)
{
    struct event e;

    for (uint32_t i = 0; i < part->count; i++) {
        if (!chunk_take_event(&in, &e) || e.position < last || e.position > h->edge || e.vtime > RECORDING_POSITION_MAX ||
            e.kind < EVENT_INPUT || e.kind >= EVENT_KINDS || e.len > RECORDING_EVENT_MAX || !recording_note_references(r, &e))
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
    witness_log_init(&r->branches[r->nbranches].witnesses, r->witnesses.shape);
    return &r->branches[r->nbranches++];
}

static void note_harm(struct recording *r, const struct chunk *c, const char *wrong)
{
    if (r->nharms < RECORDING_HARMS)
        r->harms[r->nharms] = (struct recording_harm){c->offset, c->type, c->count, c->from, c->to, wrong};
    r->nharms++;
}

/* What is known of a branch's own states. What is wrong with it is told, and costs no more. */
static void read_branch_witnesses(struct reader *rd, struct cursor in, const struct chunk *c)
{
    struct recording_branch *b = find_branch(rd->r, (uint32_t)cursor_take(&in, 4));
    const char *wrong;

    if (!b || b->cut || b->read.dropped || c->from < b->read.fork)
        return;
    wrong = read_witnesses(rd, &b->witnesses, in, c);
    if (wrong)
        note_harm(rd->r, c, wrong);
}

/* What is wrong with a branch is wrong with that alone. */
static void read_branch(struct reader *rd, struct cursor in, const struct chunk *c)
{
    struct recording *r = rd->r;
    struct recording_branch_head h;
    struct recording_part part = {.offset = c->offset};
    struct recording_branch *b;
    bool good = chunk_take_branch(&in, c, &h, &part.count);

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
        b->nwitnesses = b->witnesses.count;
    }
}

static const char *read_mark(struct reader *rd, struct cursor in, const struct chunk *c)
{
    struct recording *r = rd->r;
    vtime_t vtime = cursor_take(&in, 8);
    uint64_t events = cursor_take(&in, 8);

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
        return read_witnesses(rd, &rd->r->witnesses, in, c);
    case RECORDING_BWIT:
        read_branch_witnesses(rd, in, c);
        return NULL;
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

static int read_header(const struct recording *r, struct error *err)
{
    uint8_t bytes[RECORDING_HEADER_BYTES];
    size_t n = r->len < sizeof(bytes) ? (size_t)r->len : sizeof(bytes);
    struct cursor in = {bytes, n, false};
    uint32_t version, crc;

    if (r->source.read(r->source.ctx, 0, bytes, n) < 0)
        return error_set(err, -EIO, "the recording cannot be read");
    if (!n || (!bytes[0] && recording_zero_tail(r) == 0))
        return error_set(err, -EINVAL, "there is nothing in the recording%s: its writer, or the host of that, stopped before "
                         "anything was on the disk", n ? " but zeros" : "");
    if (n < RECORDING_MAGIC_BYTES || memcmp(bytes, RECORDING_MAGIC, RECORDING_MAGIC_BYTES))
        return error_set(err, -EINVAL, "this is not a hindcast recording (those are made with --record FILE)");
    cursor_bytes(&in, RECORDING_MAGIC_BYTES);
    version = (uint32_t)cursor_take(&in, 4);
    crc = (uint32_t)cursor_take(&in, 4);
    if (in.bad || crc != chunk_crc(bytes, 12))
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

        if (cursor_take(&in, 8) != e->offset || cursor_take(&in, 4) != e->type || cursor_take(&in, 4) != e->count ||
            cursor_take(&in, 8) != e->from || cursor_take(&in, 8) != e->to)
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
    if (memcmp(bytes, RECORDING_TRAILER_MAGIC, 8) || chunk_crc(bytes, 20) != (uint32_t)get_le32(bytes + 20))
        return "the trailer is damaged";
    cursor_bytes(&in, 8);
    if (cursor_take(&in, 8) != index->offset || cursor_take(&in, 4))
        return "the trailer is damaged";
    return left > sizeof(bytes) ? "something follows the trailer" : NULL;
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

    if (!c && !rd->index.sought)
        recording_seek_index(r, &rd->index);
    if (!c)
        next = rd->index.entries ? recording_next_by_index(r, &rd->index, &lost) : recording_next_by_search(r, offset);
    /* Where nothing follows (but zeros, perhaps, of a disk that never got it), this is where the writer was stopped. */
    if (!next || recording_zero_tail(r) < next || holds_history(rd, lost.type) || do_without(rd, &lost))
        return 0;
    lost.offset = offset;
    note_harm(r, &lost, wrong);
    r->damaged = recording_has_trailer(r);
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
            recording_note_zeros(r, recording_zero_tail(r));
            return;
        }
        if (!wrong && rd->ended)
            wrong = "comes after the end";
        if (!wrong)
            wrong = read_chunk(rd, &c);
        if (wrong) {
            recording_note_damage(r, offset, wrong);
            r->damaged = recording_has_trailer(r);
            return;
        }
        note_seen(rd, &c);
        r->nchunks++;
        offset += RECORDING_CHUNK_BYTES + c.stored;
    }
    snprintf(r->note, sizeof(r->note), "the file was not closed: its writer was killed or is still running");
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
    for (size_t i = 0; i < r->nbranches; i++)
        witness_log_cut(&r->branches[i].witnesses, r->branches[i].nwitnesses);
    witness_log_cut(&r->witnesses, rd.nwitnesses);
    chunk_room_finish(&rd.room);
    free(rd.events);
    free_snapshots(rd.snapshots, rd.nsnapshots);
    free(rd.seen);
    free(rd.index.entries);
}

static int open_source(struct recording *r, const struct recording_source *source, bool all, struct error *err)
{
    int status;

    r->source = *source;
    r->len = source->len;
    r->log = event_log_create();
    recording_load_later(r);
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
    for (size_t i = 0; i < r->nbranches; i++) {
        free(r->branches[i].parts);
        witness_log_finish(&r->branches[i].witnesses);
    }
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
