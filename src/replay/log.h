/*
 * The event log: everything that happened to a machine and was not a function
 * of its past, in order. With the configuration and the boot images it is the
 * whole history.
 *
 * Append-only, in memory, in chunks; an event is named by its number. Events
 * are in order of position, and of happening within a position. What is kept
 * of an event is its fixed-width fields and its bytes, nothing that depends on
 * this run of the program, so a chunk can be written to a file as it is.
 */
#ifndef HINDCAST_REPLAY_LOG_H
#define HINDCAST_REPLAY_LOG_H

#include "base/types.h"
#include "vm/event.h"

struct event_log;

struct event_log *event_log_create(void);
void event_log_destroy(struct event_log *log);

/* Append a copy of `e`. Its position must not be before that of the last event. */
void event_log_append(struct event_log *log, const struct event *e);
/* Number of events. */
uint64_t event_log_count(const struct event_log *log);
/* Event number `n`, or NULL beyond the end. Valid as long as the log. */
const struct event *event_log_get(const struct event_log *log, uint64_t n);
/* Number of the first event at or after `position`; the count if there is none. */
uint64_t event_log_find(const struct event_log *log, icount_t position);

/* Chunks, for whoever writes them out: all but the last are complete. */
struct event_chunk {
    uint64_t first;                /* number of its first event */
    uint32_t count;                /* events */
    icount_t from, to;             /* positions of its first and last event */
    const struct event *events;
    uint32_t bytes;                /* of event data */
};
size_t event_log_chunks(const struct event_log *log);
void event_log_chunk(const struct event_log *log, size_t n, struct event_chunk *chunk);

/* Host memory held. */
uint64_t event_log_bytes(const struct event_log *log);

#endif
