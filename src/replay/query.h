/*
 * Queries: every hit in a stretch of history, instead of the next one or the last.
 *
 * A query is answered by replicas (replica.c), one in a thread for each of the host's cores: machines made from the
 * same configuration, that restore the checkpoints of the timeline's store and run a segment each. The
 * timeline itself stands where it is, and so does its machine. Segments whose footprint shows that nothing of
 * interest was touched are not run. Answers come in order of position, oldest or newest first, as soon as all
 * segments before them in that order are known; in which thread a segment was run, and when, makes no difference.
 *
 * Asking costs the time to run what has to be run, divided by the cores, and for each hit some microseconds.
 */
#ifndef HINDCAST_REPLAY_QUERY_H
#define HINDCAST_REPLAY_QUERY_H

#include "base/error.h"
#include "replay/timeline.h"

/* Most bytes of one of query.counters. */
#define QUERY_COUNTER_BYTES 256u

struct query {
    /* Steps from these positions on, before that one; what lies outside of history is left out. */
    icount_t from, to;
    bool newest_first;
    unsigned threads;         /* most; 0: as many as there are means for */
    uint64_t limit;           /* most answers; 0: all there are */
    /* What hits: traps (vm/trap.h), and the TRAP_* that are noted. */
    const struct trap *traps;
    unsigned ntraps;
    unsigned notes;
    /* Components of the state that change whenever something is noted, and never come to be again what they were: a
     * segment at whose ends they are the same is not run. None: all are, for what is noted. */
    const struct component *const *counters;
    unsigned ncounters;
    /* Or: the instructions that are run are added to it, as machine.coverage has them; nothing else is asked. */
    struct page_set *coverage;
    size_t record_bytes;      /* of what is kept of a hit */
    void *ctx;
    /* In a replica's thread, its machine `m` standing at the hit (before an instruction; after an access or what was
     * noted): fill in the record. False: it is none. May read registers and memory only, and nothing that other threads
     * write. */
    bool (*note)(void *ctx, struct machine *m, const struct trap_hit *hit, void *record);
    /* In the caller's thread, in order. False: that is enough. */
    bool (*answer)(void *ctx, icount_t position, const void *record);
    /* Now and then in the caller's thread: so much of all that has to be run is done. May be NULL. */
    void (*progress)(void *ctx, uint64_t steps_done, uint64_t steps);
};

enum query_end {
    QUERY_ALL,         /* all of the stretch was searched */
    QUERY_ENOUGH,      /* the limit was reached, or answer() said so */
    QUERY_INTERRUPTED, /* poll() asked for it */
};

struct query_result {
    enum query_end end;
    uint64_t answers;
    icount_t from, to;        /* what was searched: hits in there have been answered, others not */
    uint64_t run, skipped;    /* segments */
};

/* How a timeline comes by replicas. */
struct query_means {
    void *ctx;
    /* Another machine like the timeline's, set up and reset. NULL with *err: it cannot be made. In the caller's thread. */
    struct machine *(*make)(void *ctx, struct error *err);
    /* Monotonic time, ns, that pthread_cond_timedwait() understands; asked in any thread. */
    uint64_t (*now_ns)(void *ctx);
    /* Processor time of the calling thread, ns. NULL: now_ns. */
    uint64_t (*work_ns)(void *ctx);
    unsigned workers;         /* threads; at least 1 */
    /* Tuning, for tests; 0: the default. */
    uint64_t job_steps;       /* segments are put together up to so many steps */
    size_t job_records;       /* kept of a job's hits */
};
void timeline_set_query_means(struct timeline *tl, const struct query_means *means);

/* Are replicas at work? Then log and checkpoints are theirs, too: whoever is called meanwhile (timeline_host.poll) leaves
 * them alone. */
bool timeline_querying(const struct timeline *tl);
/* Is it for a reverse search? Then *done of *all steps that it has to run have been. */
bool timeline_searching_far(const struct timeline *tl, uint64_t *done, uint64_t *all);
/* 0, or a negative errno with *err: there are no means (-ENOTSUP), a replica diverged (-EIO: what was answered until then
 * holds)... */
int timeline_query(struct timeline *tl, const struct query *q, struct query_result *result, struct error *err);

/* A replica for one who looks at places and steps by himself, in the caller's thread: the machine of number `n`; NULL with
 * *err. It is good until the next query. */
struct machine *timeline_scout(struct timeline *tl, unsigned n, struct error *err);
/* The one that was asked for last goes to a position of history. 0, -EINTR, or another errno with *err. */
int timeline_scout_to(struct timeline *tl, icount_t position, struct error *err);
/* From there on by one position, which is run though there be a checkpoint at its end: the machine's runner, coverage and hits are its. */
int timeline_scout_on(struct timeline *tl, struct error *err);
/* Call `act` with the scout's machine, where it stands, which may do to it what a step from there could. What it changes is gone when a scout is
 * asked for again. -EIO with *err: the outside would have to say something (a clock, an image). */
int timeline_scout_try(struct timeline *tl, void (*act)(void *ctx, struct machine *m), void *ctx, struct error *err);
/* Call `page` with the pages (global numbers) in which those of numbers 0 and 1 may differ; as checkpoint_seats_compare(). */
void timeline_scouts_compare(struct timeline *tl, void (*page)(void *ctx, uint64_t global), void *ctx);
/* It takes the state of a checkpoint, of whatever branch, and does not run from there: timeline_scout_to() first. */
void timeline_scout_stand(struct timeline *tl, struct checkpoint *c);
/* It makes a step: an instruction, or an entry. The same. */
int timeline_scout_step(struct timeline *tl, struct error *err);

#endif
