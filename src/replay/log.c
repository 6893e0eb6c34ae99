/*
 * The event log. See log.h.
 *
 * A chunk in memory holds a fixed number of events and a block of their bytes, neither of which
 * ever moves; it is complete when either is full. A backed chunk has them while it is loaded.
 */
#include "replay/log.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/error.h"

#define CHUNK_EVENTS 512u
#define CHUNK_BYTES  16384u
/* ... of one whose first event is so long that no more will find room: network frames are most of what is recorded. */
#define CHUNK_EVENTS_LEAST 16u
/* Bytes of backed chunks that stay loaded, but for EVENT_LOG_KEEPS. */
#define LOADED_BYTES ((uint64_t)32 << 20)

/* Input events of a source. */
struct tally {
    uint16_t source;
    uint32_t inputs;
};

struct chunk {
    uint64_t first;        /* number of its first event */
    uint32_t count;        /* events in use; of a backed one, whether loaded or not */
    icount_t from, to;     /* positions of the first and the last */
    struct event *events;  /* NULL: not loaded */
    uint8_t *data;         /* theirs */
    size_t bytes, room;    /* of data: in use, allocated */
    size_t most;           /* events that there is room for, if it is not backed */
    bool backed;
    uint64_t token;        /* backed: the source's name for it */
    uint64_t used;         /* when it was last asked for */
    struct tally *tallies; /* of the first `counted` events: what is a prefix of the chunk stays one */
    uint32_t counted, ntallies;
};

struct event_log {
    struct event_log *parent; /* has the first `base` events; NULL: nobody */
    uint64_t base;
    icount_t fork;         /* where it was forked */
    unsigned refs;         /* the owner's, and one of each log forked from it */
    struct chunk **chunks; /* the events from number `base` on */
    size_t nchunks, cap;
    uint64_t count;        /* of all events */
    uint64_t bytes;        /* host memory of chunks, with what is loaded */
    struct event_log_source source;
    struct chunk *loading; /* while the source is asked */
    uint32_t nloaded;      /* events that it has given */
    struct chunk *last;    /* looked at last */
    uint64_t clock, loaded_bytes; /* of backed chunks */
    unsigned loaded;
    pthread_mutex_t lock;  /* of what is loaded, while there are other readers */
    unsigned readers;      /* besides the owner */
};

struct event_log *event_log_create(void)
{
    struct event_log *log = xcalloc(1, sizeof(*log));

    pthread_mutex_init(&log->lock, NULL);
    log->refs = 1;
    return log;
}

struct event_log *event_log_fork(struct event_log *log, icount_t position)
{
    struct event_log *fork = event_log_create();

    log->refs++;
    fork->parent = log;
    fork->base = fork->count = event_log_find(log, position);
    fork->fork = position;
    return fork;
}

uint64_t event_log_base(const struct event_log *log)
{
    return log->base;
}

void event_log_share(struct event_log *log, bool more)
{
    for (; log; log = log->parent)
        log->readers += more ? 1u : -1u;
}

static size_t chunk_bytes(const struct chunk *c)
{
    return c->room + (c->backed ? c->count : c->most) * sizeof(c->events[0]);
}

static void unload(struct event_log *log, struct chunk *c)
{
    if (!c->backed || !c->events)
        return;
    log->bytes -= chunk_bytes(c);
    log->loaded_bytes -= chunk_bytes(c);
    log->loaded--;
    free(c->data);
    free(c->events);
    c->data = NULL;
    c->events = NULL;
    c->bytes = c->room = 0;
}

void event_log_forget(struct event_log *log)
{
    for (size_t i = 0; i < log->nchunks; i++) {
        unload(log, log->chunks[i]);
        if (log->chunks[i]->backed)
            log->chunks[i]->counted = log->chunks[i]->ntallies = 0;
    }
}

void event_log_destroy(struct event_log *log)
{
    if (!log || --log->refs)
        return;
    event_log_destroy(log->parent);
    for (size_t i = 0; i < log->nchunks; i++) {
        free(log->chunks[i]->data);
        free(log->chunks[i]->events);
        free(log->chunks[i]->tallies);
        free(log->chunks[i]);
    }
    free(log->chunks);
    pthread_mutex_destroy(&log->lock);
    free(log);
}

static struct chunk *add_chunk(struct event_log *log)
{
    struct chunk *c = xcalloc(1, sizeof(*c));

    c->first = log->count;
    if (log->nchunks == log->cap) {
        log->cap = log->cap ? log->cap * 2 : 16;
        log->chunks = xrealloc(log->chunks, log->cap * sizeof(log->chunks[0]));
    }
    log->chunks[log->nchunks++] = c;
    log->bytes += sizeof(*c);
    return c;
}

static struct chunk *add_memory(struct event_log *log, uint32_t len)
{
    struct chunk *c = add_chunk(log);

    c->room = len > CHUNK_BYTES ? len : CHUNK_BYTES;
    c->data = xmalloc(c->room);
    c->most = CHUNK_EVENTS_LEAST + (len ? 2 * c->room / len : CHUNK_EVENTS);
    if (c->most > CHUNK_EVENTS)
        c->most = CHUNK_EVENTS;
    c->events = xcalloc(c->most, sizeof(c->events[0]));
    log->bytes += chunk_bytes(c);
    return c;
}

void event_log_append(struct event_log *log, const struct event *e)
{
    struct chunk *c = log->nchunks ? log->chunks[log->nchunks - 1] : NULL;
    struct event *to;

    CHECK(e->position >= (c ? c->to : log->fork));
    if (!c || c->backed || c->count == c->most || e->len > c->room - c->bytes)
        c = add_memory(log, e->len);
    to = &c->events[c->count++];
    *to = *e;
    to->data = c->data + c->bytes;
    if (e->len)
        memcpy(c->data + c->bytes, e->data, e->len);
    c->bytes += e->len;
    if (c->count == 1)
        c->from = e->position;
    c->to = e->position;
    log->count++;
}

/* ---- what is in a file ---- */

void event_log_set_source(struct event_log *log, const struct event_log_source *source)
{
    log->source = *source;
}

void event_log_back(struct event_log *log, uint64_t token, uint32_t count, icount_t from, icount_t to)
{
    struct chunk *c = add_chunk(log);

    CHECK(count && from <= to && (log->nchunks < 2 || log->chunks[log->nchunks - 2]->to <= from));
    c->backed = true;
    c->token = token;
    c->count = count;
    c->from = from;
    c->to = to;
    log->count += count;
}

void event_log_loaded(struct event_log *log, const struct event *e)
{
    struct chunk *c = log->loading;

    if (log->nloaded == c->count)
        return;
    if (e->len > c->room - c->bytes) {
        c->room = c->room * 2 + e->len;
        c->data = xrealloc(c->data, c->room);
    }
    if (e->len)
        memcpy(c->data + c->bytes, e->data, e->len);
    c->events[log->nloaded] = *e;
    c->events[log->nloaded++].data = NULL;
    c->bytes += e->len;
}

/* Room for another. */
static void unload_oldest(struct event_log *log)
{
    struct chunk *oldest = NULL;

    for (size_t i = 0; i < log->nchunks; i++) {
        struct chunk *c = log->chunks[i];

        if (c->backed && c->events && (!oldest || c->used < oldest->used))
            oldest = c;
    }
    CHECK(oldest);
    unload(log, oldest);
}

static void load(struct event_log *log, struct chunk *c)
{
    size_t at = 0;

    while (log->loaded > EVENT_LOG_KEEPS * (1 + log->readers) && log->loaded_bytes > LOADED_BYTES)
        unload_oldest(log);
    c->events = xcalloc(c->count, sizeof(c->events[0]));
    log->loading = c;
    log->nloaded = 0;
    log->source.load(log->source.ctx, c->token, log);
    for (uint32_t i = log->nloaded; i < c->count; i++)
        c->events[i] = (struct event){.position = c->to, .source = EVENT_SOURCE_MACHINE};
    for (uint32_t i = 0; i < c->count; i++) {
        c->events[i].data = c->data + at;
        at += c->events[i].len;
    }
    log->loading = NULL;
    log->loaded++;
    log->bytes += chunk_bytes(c);
    log->loaded_bytes += chunk_bytes(c);
}

/* ---- reading ---- */

uint64_t event_log_count(const struct event_log *log)
{
    return log->count;
}

static struct chunk *chunk_of(const struct event_log *log, uint64_t n)
{
    size_t low = 0, high = log->nchunks;

    /* Usually asked for where it was asked for before, or near the end. */
    if (log->last && n - log->last->first < log->last->count)
        return log->last;
    if (n >= log->chunks[high - 1]->first)
        return log->chunks[high - 1];
    while (high - low > 1) {
        size_t mid = low + (high - low) / 2;

        if (log->chunks[mid]->first <= n)
            low = mid;
        else
            high = mid;
    }
    return log->chunks[low];
}

static const struct event *event_in(struct event_log *log, struct chunk *c, uint64_t n)
{
    if (!c->events)
        load(log, c);
    c->used = ++log->clock;
    log->last = c;
    return &c->events[n - c->first];
}

const struct event *event_log_get(const struct event_log *log, uint64_t n)
{
    /* What is loaded is no part of what the log says. */
    struct event_log *loads = (struct event_log *)(uintptr_t)log;
    const struct event *e;

    if (n >= log->count)
        return NULL;
    while (n < loads->base)
        loads = loads->parent;
    log = loads;
    if (!log->readers)
        return event_in(loads, chunk_of(log, n), n);
    pthread_mutex_lock(&loads->lock);
    e = event_in(loads, chunk_of(log, n), n);
    pthread_mutex_unlock(&loads->lock);
    return e;
}

uint64_t event_log_find(const struct event_log *log, icount_t position)
{
    size_t chunk = 0, chunks = log->nchunks;
    uint64_t low = log->parent ? event_log_find(log->parent, position) : 0, high;

    if (low < log->base)
        return low;
    /* The first chunk that does not end before it. */
    while (chunk < chunks) {
        size_t mid = chunk + (chunks - chunk) / 2;

        if (log->chunks[mid]->to < position)
            chunk = mid + 1;
        else
            chunks = mid;
    }
    if (chunk == log->nchunks)
        return log->count;
    low = log->chunks[chunk]->first;
    if (log->chunks[chunk]->from >= position)
        return low;
    high = low + log->chunks[chunk]->count;
    while (low < high) {
        uint64_t mid = low + (high - low) / 2;

        if (event_log_get(log, mid)->position < position)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* ---- input, counted ---- */

/* The log that has event number `n` of its own, and the chunk that it is in; *end: of what `log` has of the chunk. */
static struct chunk *chunk_with(const struct event_log *log, uint64_t n, struct event_log **owner, uint64_t *end)
{
    struct chunk *c;

    *owner = (struct event_log *)(uintptr_t)log;
    for (*end = UINT64_MAX; n < (*owner)->base; *owner = (*owner)->parent)
        *end = (*owner)->base;
    c = chunk_of(*owner, n);
    if (c->first + c->count < *end)
        *end = c->first + c->count;
    return c;
}

static struct tally *tally_of(struct chunk *c, uint16_t source)
{
    for (uint32_t i = 0; i < c->ntallies; i++)
        if (c->tallies[i].source == source)
            return &c->tallies[i];
    c->tallies = xrealloc(c->tallies, (c->ntallies + 1) * sizeof(c->tallies[0]));
    c->tallies[c->ntallies] = (struct tally){source, 0};
    return &c->tallies[c->ntallies++];
}

/* Of a chunk that is wanted whole. */
static uint32_t inputs_of_chunk(const struct event_log *log, struct chunk *c, uint16_t source)
{
    for (; c->counted < c->count; c->counted++) {
        const struct event *e = event_log_get(log, c->first + c->counted);

        if (e->kind == EVENT_INPUT)
            tally_of(c, e->source)->inputs++;
    }
    return tally_of(c, source)->inputs;
}

static bool is_input(const struct event_log *log, uint64_t n, uint16_t source)
{
    const struct event *e = event_log_get(log, n);

    return e->kind == EVENT_INPUT && e->source == source;
}

/* Go on from event number *n to before `to`, or to where `most` + 1 of them would have been met; how many were. */
static uint64_t count_inputs(const struct event_log *log, uint16_t source, uint64_t *n, uint64_t to, uint64_t most)
{
    uint64_t count = 0, here, end;

    while (*n < to) {
        struct event_log *owner;
        struct chunk *c = chunk_with(log, *n, &owner, &end);

        if (*n == c->first && end == c->first + c->count && end <= to) {
            here = inputs_of_chunk(owner, c, source);
            if (count + here <= most) {
                *n += c->count;
                count += here;
                continue;
            }
        }
        here = is_input(log, *n, source);
        if (count + here > most)
            break;
        count += here;
        ++*n;
    }
    return count;
}

uint64_t event_log_inputs(const struct event_log *log, uint16_t source, uint64_t from, uint64_t to)
{
    return count_inputs(log, source, &from, to < log->count ? to : log->count, UINT64_MAX);
}

uint64_t event_log_find_input(const struct event_log *log, uint16_t source, uint64_t from, uint64_t n)
{
    count_inputs(log, source, &from, log->count, n);
    return from < log->count ? from : log->count;
}

/* ---- size ---- */

uint64_t event_log_bytes(const struct event_log *log)
{
    return log->bytes + log->cap * sizeof(log->chunks[0]);
}
