/*
 * The event log: everything that happened to a machine and was not a function
 * of its past, in order. With the configuration and the boot images it is the
 * whole history.
 *
 * Append-only, in chunks; an event is named by its number. Events are in order
 * of position, and of happening within a position. What is kept of an event is its
 * fixed-width fields and its bytes, nothing that depends on this run of the program.
 *
 * What is appended stays in memory. What comes from a file stays there: of a *backed* chunk only
 * its bounds are kept, and its events are loaded when one of them is asked for, and forgotten again
 * when others were needed more: so a log costs what is looked at, however long (or forged) it is.
 */
#ifndef HINDCAST_REPLAY_LOG_H
#define HINDCAST_REPLAY_LOG_H

#include "base/types.h"
#include "vm/event.h"

struct event_log;

struct event_log *event_log_create(void);
/* A log that goes on from the events that `log` has before `position`, and shares them. No event before that will be
 * appended to `log` any more. */
struct event_log *event_log_fork(struct event_log *log, icount_t position);
/* Those that a log was forked from stay as long as it needs them. */
void event_log_destroy(struct event_log *log);
/* Number of the first event that it does not share with the log it was forked from. */
uint64_t event_log_base(const struct event_log *log);

/* Append a copy of `e`. Its position must not be before that of the last event, nor of the fork. */
void event_log_append(struct event_log *log, const struct event *e);
/* Number of events. */
uint64_t event_log_count(const struct event_log *log);
/* Event number `n`, or NULL beyond the end. Good as long as the log, if it was appended; if it is backed, as
 * long as no events of EVENT_LOG_KEEPS other chunks are asked for. */
const struct event *event_log_get(const struct event_log *log, uint64_t n);
#define EVENT_LOG_KEEPS 4u
/* Another thread reads, too (from now on, no more). While there is one nobody appends. Each reader may count on
 * EVENT_LOG_KEEPS chunks of its own. */
void event_log_share(struct event_log *log, bool more);
/* Number of the first event at or after `position`; the count if there is none. */
uint64_t event_log_find(const struct event_log *log, icount_t position);

/* How many of the events number `from` to `to` - 1 are input of that source. What was counted before is remembered, by chunks:
 * so this costs what was never looked at, and little more. By the owner's thread. */
uint64_t event_log_inputs(const struct event_log *log, uint16_t source, uint64_t from, uint64_t to);
/* Number of the n-th of them, from 0, at or after number `from`; the count of the log if there are not so many. The same. */
uint64_t event_log_find_input(const struct event_log *log, uint16_t source, uint64_t from, uint64_t n);

/* Where backed chunks come from. */
struct event_log_source {
    void *ctx;
    /* Give the events of the chunk to event_log_loaded(), in order. What is missing afterwards (the file has changed
     * meanwhile) become events that nobody knows: a replay that comes to them diverges. */
    void (*load)(void *ctx, uint64_t token, struct event_log *log);
};
void event_log_set_source(struct event_log *log, const struct event_log_source *source);
/* Append a chunk of `count` > 0 events, the first and last of which have these positions. `token` is the source's
 * name for it. */
void event_log_back(struct event_log *log, uint64_t token, uint32_t count, icount_t from, icount_t to);
void event_log_loaded(struct event_log *log, const struct event *e);
/* Forget what was loaded: the source gives something else from now on. */
void event_log_forget(struct event_log *log);

/* Host memory held. */
uint64_t event_log_bytes(const struct event_log *log);

#endif
