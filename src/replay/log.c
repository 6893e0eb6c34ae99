/*
 * The event log in memory. A chunk holds a fixed number of events and a block of
 * their bytes, neither of which ever moves, so what event_log_get() returns stays
 * valid. A chunk is complete when either is full.
 */
#include "replay/log.h"

#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/error.h"

#define CHUNK_EVENTS 512u
#define CHUNK_BYTES  16384u

struct chunk {
    uint64_t first;      /* number of its first event */
    uint32_t count;      /* events in use */
    uint32_t bytes;      /* of data in use */
    uint32_t room;       /* bytes at data */
    uint8_t *data;
    struct event events[CHUNK_EVENTS];
};

struct event_log {
    struct chunk **chunks;
    size_t nchunks, cap;
    uint64_t count;
    uint64_t bytes;      /* host memory of chunks */
};

struct event_log *event_log_create(void)
{
    return xcalloc(1, sizeof(struct event_log));
}

void event_log_destroy(struct event_log *log)
{
    if (!log)
        return;
    for (size_t i = 0; i < log->nchunks; i++) {
        free(log->chunks[i]->data);
        free(log->chunks[i]);
    }
    free(log->chunks);
    free(log);
}

static struct chunk *add_chunk(struct event_log *log, uint32_t len)
{
    struct chunk *c = xcalloc(1, sizeof(*c));

    c->first = log->count;
    c->room = len > CHUNK_BYTES ? len : CHUNK_BYTES;
    c->data = xmalloc(c->room);
    if (log->nchunks == log->cap) {
        log->cap = log->cap ? log->cap * 2 : 16;
        log->chunks = xrealloc(log->chunks, log->cap * sizeof(log->chunks[0]));
    }
    log->chunks[log->nchunks++] = c;
    log->bytes += sizeof(*c) + c->room;
    return c;
}

void event_log_append(struct event_log *log, const struct event *e)
{
    struct chunk *c = log->nchunks ? log->chunks[log->nchunks - 1] : NULL;
    struct event *to;

    CHECK(!c || c->events[c->count - 1].position <= e->position);
    if (!c || c->count == CHUNK_EVENTS || e->len > c->room - c->bytes)
        c = add_chunk(log, e->len);
    to = &c->events[c->count++];
    *to = *e;
    to->data = c->data + c->bytes;
    if (e->len)
        memcpy(c->data + c->bytes, e->data, e->len);
    c->bytes += e->len;
    log->count++;
}

uint64_t event_log_count(const struct event_log *log)
{
    return log->count;
}

const struct event *event_log_get(const struct event_log *log, uint64_t n)
{
    size_t low = 0, high = log->nchunks;
    const struct chunk *c;

    if (n >= log->count)
        return NULL;
    /* Usually asked for near the end. */
    c = log->chunks[high - 1];
    if (n >= c->first)
        return &c->events[n - c->first];
    while (high - low > 1) {
        size_t mid = low + (high - low) / 2;

        if (log->chunks[mid]->first <= n)
            low = mid;
        else
            high = mid;
    }
    c = log->chunks[low];
    return &c->events[n - c->first];
}

uint64_t event_log_find(const struct event_log *log, icount_t position)
{
    uint64_t low = 0, high = log->count;

    while (low < high) {
        uint64_t mid = low + (high - low) / 2;

        if (event_log_get(log, mid)->position < position)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

size_t event_log_chunks(const struct event_log *log)
{
    return log->nchunks;
}

void event_log_chunk(const struct event_log *log, size_t n, struct event_chunk *chunk)
{
    const struct chunk *c;

    CHECK(n < log->nchunks);
    c = log->chunks[n];
    *chunk = (struct event_chunk){
        .first = c->first,
        .count = c->count,
        .from = c->events[0].position,
        .to = c->events[c->count - 1].position,
        .events = c->events,
        .bytes = c->bytes,
    };
}

uint64_t event_log_bytes(const struct event_log *log)
{
    return log->bytes + log->cap * sizeof(log->chunks[0]);
}
