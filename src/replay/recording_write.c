/*
 * The writer of recordings (doc/log-format.md).
 */
#include "replay/recording.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

/* Bytes of events after which a chunk is closed: one that is backed is in memory as a whole. And of an image in
 * one chunk. */
#define EVENTS_BYTES ((size_t)256 << 10)
#define IMAGE_BYTES  ((size_t)4 << 20)

static void put_crc(struct buffer *b)
{
    buffer_append_le(b, (uint32_t)crc32(0, b->data, (uInt)b->len), 4);
}

static int hand_out(struct recording_writer *w, const struct buffer *b)
{
    if (w->failed)
        return w->failed;
    w->failed = w->write(w->ctx, b->data, b->len);
    if (!w->failed) {
        w->offset += b->len;
        w->marks = 0;
    }
    return w->failed;
}

void recording_writer_init(struct recording_writer *w, int (*write)(void *, const void *, size_t), void *ctx)
{
    *w = (struct recording_writer){.ctx = ctx, .write = write};
    buffer_init(&w->packed);
    buffer_append(&w->packed, RECORDING_MAGIC, RECORDING_MAGIC_BYTES);
    buffer_append_le(&w->packed, RECORDING_VERSION, 4);
    put_crc(&w->packed);
    hand_out(w, &w->packed);
}

void recording_writer_finish(struct recording_writer *w)
{
    buffer_finish(&w->packed);
    free(w->index);
    w->index = NULL;
}

static void note_in_index(struct recording_writer *w, const struct recording_entry *e)
{
    if (w->nindex == w->index_cap) {
        w->index_cap = w->index_cap ? w->index_cap * 2 : 64;
        w->index = xrealloc(w->index, w->index_cap * sizeof(w->index[0]));
    }
    w->index[w->nindex++] = *e;
}

/* Samples of a long payload say whether it is worth the time: files that come over a network are packed already. */
#define SAMPLES      8u
#define SAMPLE_BYTES 512u

static bool looks_packed(const struct buffer *payload)
{
    uint8_t samples[SAMPLES * SAMPLE_BYTES], out[SAMPLES * SAMPLE_BYTES + 64];
    uLongf n = sizeof(out);

    if (payload->len < 8 * sizeof(samples))
        return false;
    for (unsigned i = 0; i < SAMPLES; i++)
        memcpy(samples + i * SAMPLE_BYTES, payload->data + (payload->len - SAMPLE_BYTES) / SAMPLES * i, SAMPLE_BYTES);
    return compress2(out, &n, samples, sizeof(samples), 1) != Z_OK || n >= sizeof(samples) - sizeof(samples) / 64;
}

/* The payload deflated, behind room for the header. False: that does not make it smaller. */
static bool deflate_payload(struct buffer *out, const struct buffer *payload)
{
    uLongf n = compressBound((uLong)payload->len);

    if (payload->len < 64 || looks_packed(payload))
        return false;
    if (compress2(buffer_reserve(out, n), &n, payload->data, (uLong)payload->len, 1) != Z_OK || n >= payload->len)
        return false;
    out->len += n;
    return true;
}

/* The chunk in w->packed. */
static void pack(struct recording_writer *w, uint32_t type, uint32_t flags, uint32_t count, icount_t from, icount_t to,
                 const struct buffer *payload)
{
    struct buffer header;
    bool deflated;
    size_t stored;

    CHECK(payload->len <= RECORDING_PAYLOAD_MAX);
    buffer_clear(&w->packed);
    memset(buffer_reserve(&w->packed, RECORDING_CHUNK_BYTES), 0, RECORDING_CHUNK_BYTES);
    w->packed.len = RECORDING_CHUNK_BYTES;
    deflated = deflate_payload(&w->packed, payload);
    if (!deflated)
        buffer_append(&w->packed, payload->data, payload->len);
    stored = w->packed.len - RECORDING_CHUNK_BYTES;
    buffer_init(&header);
    buffer_append(&header, "HCCK", 4);
    buffer_append_le(&header, type, 4);
    buffer_append_le(&header, (uint32_t)stored, 4);
    buffer_append_le(&header, (uint32_t)payload->len, 4);
    buffer_append_le(&header, count, 4);
    buffer_append_le(&header, flags | (deflated ? RECORDING_CHUNK_DEFLATED : 0), 4);
    buffer_append_le(&header, from, 8);
    buffer_append_le(&header, to, 8);
    buffer_append_le(&header, (uint32_t)crc32(0, w->packed.data + RECORDING_CHUNK_BYTES, (uInt)stored), 4);
    put_crc(&header);
    CHECK(header.len == RECORDING_CHUNK_BYTES);
    memcpy(w->packed.data, header.data, header.len);
    buffer_finish(&header);
}

static int write_chunk(struct recording_writer *w, uint32_t type, uint32_t flags, uint32_t count, icount_t from,
                       icount_t to, const struct buffer *payload)
{
    const struct recording_entry e = {w->offset, type, count, from, to};

    if (w->failed)
        return w->failed;
    pack(w, type, flags, count, from, to, payload);
    if (hand_out(w, &w->packed) == 0)
        note_in_index(w, &e);
    return w->failed;
}

/* Write a chunk; its payload is compressed if that makes it smaller. 0 or negative errno. */
static int put_chunk(struct recording_writer *w, uint32_t type, uint32_t count, icount_t from, icount_t to,
                     const struct buffer *payload)
{
    return write_chunk(w, type, 0, count, from, to, payload);
}

int recording_write_checkpoint(struct recording_writer *w, uint32_t flags, uint32_t count, icount_t position,
                               const struct buffer *payload)
{
    return write_chunk(w, RECORDING_CKPT, flags, count, position, position, payload);
}

int recording_write_cluster(struct recording_writer *w, uint32_t drive, uint64_t number, const struct buffer *bytes)
{
    return write_chunk(w, RECORDING_CLST, 0, drive, number, number, bytes);
}

void recording_writer_return(struct recording_writer *w, uint64_t offset, size_t nindex)
{
    CHECK(offset <= w->offset && nindex <= w->nindex);
    w->offset = offset;
    w->nindex = nindex;
    w->failed = 0;
    w->marks = 0;
}

static void put_string(struct buffer *b, const char *s, size_t len)
{
    buffer_append(b, s, len);
}

int recording_write_config(struct recording_writer *w, const char *const (*pairs)[2], uint32_t count)
{
    struct buffer b;
    int r;

    buffer_init(&b);
    for (uint32_t i = 0; i < count; i++) {
        size_t key = strlen(pairs[i][0]), value = strlen(pairs[i][1]);

        buffer_append_le(&b, (uint32_t)key, 4);
        buffer_append_le(&b, (uint32_t)value, 4);
        put_string(&b, pairs[i][0], key);
        put_string(&b, pairs[i][1], value);
    }
    r = put_chunk(w, RECORDING_CONF, count, 0, 0, &b);
    buffer_finish(&b);
    return r;
}

int recording_write_layout(struct recording_writer *w, const struct layout *l)
{
    struct buffer b;
    int r;

    buffer_init(&b);
    for (uint32_t i = 0; i < l->count; i++) {
        const struct layout_entry *e = &l->list[i];
        size_t len = strlen(e->name);

        buffer_append_le(&b, e->kind, 4);
        buffer_append_le(&b, e->version, 4);
        buffer_append_le(&b, e->at, 8);
        buffer_append_le(&b, e->size, 8);
        buffer_append_le(&b, (uint32_t)len, 4);
        put_string(&b, e->name, len);
    }
    r = put_chunk(w, RECORDING_LAYO, l->count, 0, 0, &b);
    buffer_finish(&b);
    return r;
}

static int write_image_data(struct recording_writer *w, uint32_t number, const struct recording_image *im)
{
    int r = 0;

    for (size_t done = 0; r == 0 && done < im->data.len;) {
        struct buffer part = {.data = im->data.data + done, .len = im->data.len - done};

        if (part.len > IMAGE_BYTES)
            part.len = IMAGE_BYTES;
        r = put_chunk(w, RECORDING_IMGD, number, done, done + part.len, &part);
        done += part.len;
    }
    return r;
}

int recording_write_images(struct recording_writer *w, const struct recording_image *images, uint32_t count)
{
    struct buffer b;
    int r;

    buffer_init(&b);
    for (uint32_t i = 0; i < count; i++) {
        const struct recording_image *im = &images[i];
        size_t name = strlen(im->name), words = strlen(im->words);

        buffer_append_le(&b, im->role, 4);
        buffer_append_le(&b, im->embedded, 4);
        buffer_append_le(&b, im->len, 8);
        buffer_append_le(&b, im->hash, 8);
        buffer_append_le(&b, (uint32_t)name, 4);
        buffer_append_le(&b, (uint32_t)words, 4);
        put_string(&b, im->name, name);
        put_string(&b, im->words, words);
    }
    r = put_chunk(w, RECORDING_IMGE, count, 0, 0, &b);
    buffer_finish(&b);
    for (uint32_t i = 0; r == 0 && i < count; i++)
        if (images[i].embedded)
            r = write_image_data(w, i, &images[i]);
    return r;
}

static void put_event(struct buffer *b, const struct event *e)
{
    buffer_append_le(b, e->position, 8);
    buffer_append_le(b, e->vtime, 8);
    buffer_append_le(b, e->kind, 2);
    buffer_append_le(b, e->source, 2);
    buffer_append_le(b, e->len, 4);
    buffer_append(b, e->data, e->len);
}

int recording_write_events(struct recording_writer *w, const struct event_log *log, uint64_t from, uint64_t to)
{
    struct buffer b;
    int r = 0;

    buffer_init(&b);
    while (r == 0 && from < to) {
        icount_t first = event_log_get(log, from)->position, last = first;
        uint32_t count = 0;

        buffer_clear(&b);
        for (; from < to && b.len < EVENTS_BYTES; from++, count++) {
            const struct event *e = event_log_get(log, from);

            /* Events come from bounded queues and packets. */
            CHECK(e->len <= RECORDING_EVENT_MAX);
            last = e->position;
            put_event(&b, e);
        }
        r = put_chunk(w, RECORDING_EVNT, count, first, last, &b);
    }
    buffer_finish(&b);
    return r;
}

int recording_write_branch(struct recording_writer *w, const struct recording_branch_head *head, const struct event_log *log,
                           uint64_t from, uint64_t to)
{
    uint64_t before = head->before;
    struct buffer b, events;
    int r;

    buffer_init(&b);
    buffer_init(&events);
    do {
        uint32_t count = 0;

        buffer_clear(&b);
        buffer_clear(&events);
        for (; from < to && events.len < EVENTS_BYTES; from++, count++) {
            CHECK(event_log_get(log, from)->len <= RECORDING_EVENT_MAX);
            put_event(&events, event_log_get(log, from));
        }
        buffer_append_le(&b, head->parent, 4);
        buffer_append_le(&b, head->dropped, 4);
        buffer_append_le(&b, head->edge_vtime, 8);
        buffer_append_le(&b, before, 8);
        buffer_append_le(&b, count, 4);
        buffer_append_le(&b, (uint32_t)strlen(head->name), 4);
        put_string(&b, head->name, strlen(head->name));
        buffer_append(&b, events.data, events.len);
        before += count;
        r = put_chunk(w, RECORDING_BRAN, head->id, head->fork, head->edge, &b);
    } while (r == 0 && from < to);
    buffer_finish(&b);
    buffer_finish(&events);
    return r;
}

int recording_write_hash(struct recording_writer *w, icount_t position, vtime_t vtime, uint64_t state,
                         const uint64_t *components, uint32_t n, const struct checkpoint_area *areas, uint32_t nareas)
{
    struct buffer b;
    int r;

    buffer_init(&b);
    buffer_append_le(&b, vtime, 8);
    buffer_append_le(&b, state, 8);
    for (uint32_t i = 0; i < n; i++)
        buffer_append_le(&b, components[i], 8);
    for (uint32_t i = 0; i < nareas; i++) {
        buffer_append_le(&b, areas[i].hash, 8);
        for (unsigned k = 0; k < areas[i].nsums; k++)
            buffer_append_le(&b, areas[i].sums[k], 4);
    }
    r = put_chunk(w, RECORDING_HASH, n, position, position, &b);
    buffer_finish(&b);
    return r;
}

/* Which bytes of the tags say something: a bit each. */
static void put_known(struct buffer *b, const struct witness_log *log, size_t n)
{
    for (size_t i = 0; i < witness_bytes(&log->shape); i += 8) {
        uint8_t bits = 0;

        for (size_t k = i; k < i + 8 && k < witness_bytes(&log->shape); k++)
            bits |= (uint8_t)((n >= log->partial || log->known[k]) << (k - i));
        buffer_append_byte(b, bits);
    }
}

/* Positions and tags as differences from the witness before: most of them are zero, and
 * deflating makes little of those. */
int recording_write_witnesses(struct recording_writer *w, unsigned branch, const struct witness_log *log, size_t from, size_t to)
{
    size_t bytes = witness_bytes(&log->shape), most = RECORDING_PAYLOAD_MAX / 2 / (bytes + 8);
    int r = 0;

    while (r == 0 && from < to) {
        size_t n = to - from < most ? to - from : most;
        struct buffer b;

        /* One chunk has one kind. */
        if (from < log->partial && n > log->partial - from)
            n = log->partial - from;

        buffer_init(&b);
        if (branch)
            buffer_append_le(&b, branch, 4);
        buffer_append_le(&b, log->shape.ncomponents, 4);
        buffer_append_le(&b, log->shape.nregs, 4);
        put_known(&b, log, from);
        for (size_t i = from; i < from + n; i++) {
            const uint8_t *tags = witness_log_tags(log, i), *before = i > from ? witness_log_tags(log, i - 1) : NULL;

            buffer_append_le(&b, log->positions[i] - (i > from ? log->positions[i - 1] : 0), 8);
            for (size_t k = 0; k < bytes; k++)
                buffer_append_byte(&b, (uint8_t)(tags[k] ^ (before ? before[k] : 0)));
        }
        r = put_chunk(w, branch ? RECORDING_BWIT : RECORDING_WITN, (uint32_t)n, log->positions[from], log->positions[from + n - 1], &b);
        buffer_finish(&b);
        from += n;
    }
    return r;
}

int recording_write_snapshots(struct recording_writer *w, icount_t edge, const struct timeline_snapshot *list, size_t n)
{
    uint32_t count = 0;
    struct buffer b;
    int r;

    buffer_init(&b);
    for (size_t i = 0; i < n && count < RECORDING_MAX_SNAPSHOTS; i++) {
        size_t len = strlen(list[i].name);

        /* One whose name no terminal would hold, or that lies in a step that is not over. */
        if (len > RECORDING_NAME_MAX || list[i].position > edge)
            continue;
        buffer_append_le(&b, list[i].position, 8);
        buffer_append_le(&b, list[i].vtime, 8);
        buffer_append_le(&b, list[i].made_ns, 8);
        buffer_append_le(&b, (uint32_t)len, 4);
        put_string(&b, list[i].name, len);
        count++;
    }
    r = put_chunk(w, RECORDING_SNAP, count, edge, edge, &b);
    buffer_finish(&b);
    return r;
}

int recording_write_mark(struct recording_writer *w, bool end, icount_t edge, vtime_t vtime, uint64_t events)
{
    uint32_t type = end ? RECORDING_ENDR : RECORDING_MARK;
    unsigned marks = w->marks;
    struct buffer b;

    if (w->failed)
        return w->failed;
    buffer_init(&b);
    buffer_append_le(&b, vtime, 8);
    buffer_append_le(&b, events, 8);
    if (!end && marks >= 2 && w->rewrite) {
        pack(w, type, 0, 0, edge, edge, &b);
        w->failed = w->rewrite(w->ctx, w->mark_at, w->packed.data, w->packed.len);
        w->index[w->nindex - 1].from = w->index[w->nindex - 1].to = edge;
    } else {
        w->mark_at = w->offset;
        put_chunk(w, type, 0, edge, edge, &b);
        w->marks = end ? 0 : marks + 1;
    }
    buffer_finish(&b);
    return w->failed;
}

int recording_write_index(struct recording_writer *w)
{
    uint64_t at = w->offset;
    size_t most = RECORDING_PAYLOAD_MAX / 32, n = w->nindex < most ? w->nindex : most;
    struct buffer b;
    int r;

    buffer_init(&b);
    for (size_t i = 0; i < n; i++) {
        const struct recording_entry *e = &w->index[i];

        buffer_append_le(&b, e->offset, 8);
        buffer_append_le(&b, e->type, 4);
        buffer_append_le(&b, e->count, 4);
        buffer_append_le(&b, e->from, 8);
        buffer_append_le(&b, e->to, 8);
    }
    r = put_chunk(w, RECORDING_INDX, (uint32_t)n, 0, 0, &b);
    buffer_clear(&b);
    buffer_append(&b, RECORDING_TRAILER_MAGIC, 8);
    buffer_append_le(&b, at, 8);
    buffer_append_le(&b, 0, 4);
    put_crc(&b);
    if (r == 0)
        r = hand_out(w, &b);
    buffer_finish(&b);
    return r;
}
