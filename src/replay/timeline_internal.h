/*
 * The parts of the timeline, for each other:
 *   timeline.c   making it, giving it a history, looking at it
 *   branches.c   other histories, and what is answered on them
 *   points.c     break- and watchpoints, hits, replay_break positions
 *   outside.c    what the outside world does to the guest
 *   snapshots.c  the user's names for places
 *   env.c        what the machine asks the outside (struct machine_env), input queues
 *   clusters.c   what is known of the drives' images
 *   run.c        running forward from a canonical state: slices, idling
 *   place.c      where checkpoints and footprints come to be
 *   navigate.c   step, continue, seek, in both directions
 *   steps.c      which step was whose
 *   replica.c    timelines that run over the history of another one, with a machine of their own
 *   query.c      searches for every hit, by replicas in threads
 *   diverge.c    comparing with witnesses; what can be said about a replay that went astray
 */
#ifndef HINDCAST_REPLAY_TIMELINE_INTERNAL_H
#define HINDCAST_REPLAY_TIMELINE_INTERNAL_H

#include <pthread.h>

#include "base/buffer.h"
#include "replay/timeline.h"
#include "replay/witness.h"

/* Live input that waits for the live edge and for room in the device. */
struct input {
    struct input *next;
    size_t len;      /* bytes at data + done still to be delivered: len - done */
    size_t done;
    bool whole;      /* one message: all or nothing */
    vtime_t due;     /* not before; 0: whenever */
    uint8_t data[];
};

struct input_queue {
    struct input *first, *last;
    size_t bytes;    /* still to be delivered */
};

struct point {
    unsigned id;
    struct timeline_point p;
    bool bytes_only;       /* writes to the bytes that the address means, not accesses to the address */
};

/* Bytes of storage that a point means. */
struct point_bytes {
    size_t point;          /* its index in the list in force */
    uint64_t storage, len; /* as a storage trap has them */
    uint64_t address;      /* what the point calls the first */
    unsigned kinds;        /* the point's */
};

/* What the trap callback does with hits. */
enum hit_mode {
    HITS_IGNORED,  /* seeking */
    HITS_STOP,     /* going forward: stop at the first that is true */
    HITS_COLLECT,  /* going forward on behalf of a reverse search: remember the last */
};

struct found {
    bool any;
    unsigned point;        /* its id */
    unsigned rank;         /* an access: how much it is worth telling (points.c) */
    struct trap_hit hit;
    unsigned nothers;      /* other points that the same step hits */
    struct timeline_other others[TIMELINE_MAX_OTHERS];
};

/* How a run ended. */
enum run_end {
    RUN_LIMIT,       /* at the position asked for (or where a step is done, if asked for) */
    RUN_HIT,         /* HITS_STOP: see timeline.found */
    RUN_INTERRUPTED,
    RUN_GUEST_END,
    RUN_REPLAY_END,
    RUN_DIVERGED,
    RUN_ASLEEP,      /* TIMELINE_ASLEEP */
};

/* Where in the history somebody is who runs it: the timeline, a worker of a search. */
/* Inputs that are given at one position of the live edge, one after the other, while it is run from there. */
struct burst {
    bool may;
    icount_t position;
    vtime_t when;             /* the first one's time, and theirs */
    unsigned left;            /* so many more may follow */
    bool begun;               /* the first one was given */
};

struct reader {
    /* In the log: set by seeking, moved by applying. */
    uint64_t push_cursor;     /* next event that the machine is to be given */
    uint64_t pull_cursor;     /* next answer to a pulled value */
    /* Output is counted by (position, how many within the step), so that a step that is made again, or begun,
     * abandoned and made again, is silent as far as it was heard: up to out_*. */
    icount_t out_position, now_position;
    uint64_t out_calls, now_calls;
    icount_t reached;         /* up to here the history was run: what was put out there was heard */
    struct input_queue inputs[MACHINE_MAX_DEVICES]; /* waits for the live edge */
    struct burst burst;
};

/* What stops a run, and what it has come upon. */
struct search {
    enum hit_mode mode;
    unsigned hit_kinds;       /* TRAP_* looked at */
    const struct point *only; /* look for this one alone (timeline_last_write) */
    icount_t not_before;      /* hits of steps before this are none */
    icount_t exec_ignored;    /* the breakpoint at this position is none (HITS_STOP) */
    uint64_t exec_unasked;    /* bit n: breakpoints of CPU n are none: it is the one that steps */
    icount_t watch_ignored;   /* accesses of the step from this position are none: they were told */
    bool skipping;            /* known segments without interest may be jumped over */
    bool far;                 /* replicas are searching, */
    uint64_t far_done, far_all; /* and have searched so many of so many steps */
    struct found found;
    /* With cpu_ops.watch_before: the access last told, not yet passed; ICOUNT_MAX: none. */
    icount_t told_access;     /* position of the step that makes it, */
    enum direction told_direction;
    icount_t told_at;         /* a breakpoint hit was told at this position of the live edge: the step
                               * from here must stay the one that hit, so no input comes before it.
                               * ICOUNT_MAX: none */
};

/* How long a run goes on before somebody looks at the host, and whether it may be ended. */
struct pace {
    bool uninterruptible;     /* a bounded stretch that must be finished */
    bool interrupted;         /* poll() has said so during this operation */
    uint64_t slice_steps;     /* of the next slice */
    uint64_t polled_ns;       /* when poll() was last called */
    icount_t slept_position;  /* where, */
    vtime_t slept_from;       /* from what virtual time, */
    uint64_t slept_ns;        /* and how long a sleep has lasted that is not over */
};

/* Which checkpoint we come from, and when it is time for the next. */
struct placement {
    struct checkpoint *segment; /* the newest at or before the present; held */
    icount_t segment_end;     /* position of the one after it; ICOUNT_MAX: none */
    struct footprint fp;      /* of the way from position fp_from, a checkpoint's, to here */
    bool recording;           /* ... is being noted */
    icount_t fp_from;
    uint64_t fp_ns;           /* processor time run from there to `segment` */
    struct touches touches;   /* of pages under traps, on the way from position touches_from, a checkpoint's, to here; */
    icount_t touches_from;
    uint64_t touches_traps;   /* traps.generation then: with other traps nothing is known */
    uint64_t since_ns;        /* processor time run since `segment` */
    uint64_t rungs_ns;        /* time run from the newest that is to last to `segment`, which is a rung */
    uint64_t effort_ns;       /* processor time run at the live edge, in all */
    uint64_t take_ns;         /* what taking one of no pages costs, about; 0: not known yet */
    uint64_t page_ns;         /* ... and each dirty page; 0: not known yet */
    uint64_t copies_ns;       /* time that copies of changing pages took between the newest and the one before */
    uint64_t copies_seen_ns;  /* checkpoint_copy_ns() when that ended */
    uint64_t credit_ns;       /* what may be spent on the next one ahead of time */
    uint64_t slept_credit_ns; /* ... on one before a sleep */
    uint64_t trimmed_ns;      /* effort_ns when the store was last trimmed at the edge */
    icount_t consolidated;    /* checkpoints up to here have been thinned to the lasting interval */
};

/* What is known of this history's states, and whether the replay agrees with it. */
struct truth {
    struct witness_log witnesses;
    size_t next_witness;      /* the next to be compared with, when replaying */
    icount_t witness_due;     /* position at which to take one, at the live edge */
    icount_t witness_gap;     /* how far that was from the one before */
    icount_t witness_soon;    /* position where they last began to be close together */
    /* Places at which the whole state is known (timeline_set_checks()). */
    const icount_t *checks;   /* sorted positions */
    size_t nchecks, next_check; /* those before next_check have been made */
    bool (*check)(void *ctx, size_t n, const struct checkpoint *c, struct error *err);
    void *check_ctx;
    /* Replay does not agree with the log, or the state not with what is known of it: at the
     * step from position `bad` (ICOUNT_MAX: so far it does), or in the state there. Nothing
     * runs on from there. */
    icount_t bad;
    struct error divergence;  /* says how */
    bool astray;              /* found out in the slice in progress */
    bool undiagnosed;         /* diverge_diagnose() has not seen it yet */
    bool diagnosing;          /* it is at work: nothing is compared or placed */
};

/* Break- and watchpoints, and positions at which to stop. */
struct points {
    struct point *list;
    size_t count;
    unsigned last_id;
    struct point_bytes *bytes; /* of those in force, as they were translated where the operation began */
    size_t nbytes;
    /* The machine's traps are those of virtual addresses, then one for each of `bytes`. */
    size_t *virtuals;         /* indices in the list in force of the points of the first */
    size_t nvirtual;
    icount_t *breaks;         /* replay_break positions, sorted */
    size_t nbreaks;
};

/* The user's names for places. */
struct names {
    struct timeline_snapshot *list;
    size_t count;
    uint64_t changes;
};

/* What the log says of the clusters of drives' images: by drive and number, as far as it was gone through. */
struct cluster;
struct clusters {
    struct cluster *list;     /* in order of the log */
    uint32_t count, nslots;   /* a power of two, of both arrays */
    uint32_t *slots;          /* by hash: index of the newest, chained by cluster.next */
    uint64_t seen;            /* events of the log that are in it */
    uint8_t *last;            /* the bytes of the one that was read and compared last: requests go through them in pieces; NULL: none */
    uint64_t last_number;
    unsigned last_drive;
};

/* Which pages the drives' images have. */
struct originals {
    uint64_t secret;          /* the hashes' seed */
    struct original *list;
    uint64_t nslots, used;    /* a power of two or 0; those with something in them */
    bool forgot;              /* something that was in it is not any more */
    uint32_t changes;         /* how often an image was found to have been written to, plus 1 */
    uint64_t lost;            /* the place of one that is not there any more; UINT64_MAX: none */
    pthread_mutex_t images;   /* whoever reads an image while others may holds it */
};

/* What is a history's own: in the timeline while it is in use, else here. */
struct history {
    struct event_log *log;
    struct checkpoint_line *line; /* NULL: it was adopted, and nobody has been at its fork */
    icount_t edge;
    vtime_t edge_vtime;
    bool live, sleep;         /* config's */
    bool outside;
    uint64_t hold;
    struct reader reader;
    struct clusters clusters;
    struct truth truth;
    uint64_t effort_ns;       /* placement's */
    icount_t consolidated;
};

struct branch {
    unsigned id;
    char *name;               /* NULL: none */
    struct branch *parent;    /* NULL: it is the trunk */
    icount_t fork;
    struct history h;         /* good while it is not in use */
    struct checkpoint *left;  /* where it was left; held. NULL: it is in use, or has never been */
};

struct branches {
    struct branch **list;     /* in the order they were made; the first is the trunk */
    size_t count;
    struct branch *now;       /* in use */
    unsigned last_id;
};

struct timeline {
    struct machine *m;
    struct timeline_config cfg;
    struct timeline_host host;
    struct machine_env env;
    struct event_log *log;
    struct checkpoint_store *store;
    struct checkpoint_seat *seat; /* our machine's place there */
    const struct timeline *leader; /* whose history, log and store these are; NULL: our own (replica.c) */
    struct crew *crew;          /* who works for queries; NULL: nobody yet (query.c) */

    /* How far history reaches. At the edge position itself the clock may have gone on
     * (a sleep that was left unfinished): up to edge_vtime everything has been lived
     * and is repeated, not asked for again. */
    icount_t first, edge;
    vtime_t edge_vtime;

    struct reader reader;       /* env.c */
    struct clusters clusters;   /* clusters.c */
    struct originals originals; /* originals.c; a replica has none of its own */
    struct search search;       /* navigate.c; hits: points.c */
    unsigned eyes;              /* timeline_look_by() */
    uint64_t hold;              /* timeline_hold(): from the live edge on, these are held */
    struct pace pace;           /* run.c */
    struct placement placement; /* place.c */
    struct truth truth;         /* diverge.c */
    struct points points;       /* points.c */
    struct names names;         /* snapshots.c */
    struct branches branches;   /* branches.c; a replica has none */
    bool outside;               /* the outside answers questions at the edge */
    struct timeline_stats stats;
};

/* branches.c */
void branches_init(struct timeline *tl);
void branches_finish(struct timeline *tl);
/* The guest is about to be changed at the present position: be where that may be. `what`: "write memory". 0, or -EROFS... */
int branches_make_way(struct timeline *tl, const char *what, struct error *err);
/* What the trunk's states are compared with. */
struct truth *branches_trunk_truth(struct timeline *tl);
/* Whose position it is, seen from the branch in use. */
const struct branch *branches_owner(const struct timeline *tl, icount_t position);
const struct branch *branches_by_id(const struct timeline *tl, unsigned id);
/* The line of checkpoints of a branch. */
struct checkpoint_line *branches_line(const struct timeline *tl, const struct branch *b);
/* Answers where the outside gives none: ns since 1970; random bytes. */
uint64_t branches_clock(struct timeline *tl);
void branches_entropy(struct timeline *tl, void *buf, size_t len);

/* env.c */
void env_init(struct timeline *tl);
void env_finish(struct timeline *tl);
/* Forget input that waits. */
void env_drop_input(struct reader *r);
/* The machine was put at its present position: find our place in the log. */
void env_seek(struct timeline *tl);
/* The next event that was not yet applied and is bound to the present position, or NULL. */
const struct event *env_event_here(struct timeline *tl);
/* May more input follow what is given at the present position? Only while it is run from there. */
void env_may_burst(struct timeline *tl, bool may);
/* Move queued input that has room into the log, bound to here and to `when`. True: some. */
bool env_feed_input(struct timeline *tl, vtime_t when);
/* When the first input is due that waits for its time (timeline_input_at()); VTIME_NEVER: none. */
vtime_t env_input_due(const struct timeline *tl);
/* Record an event that is a step of its own, bound to here and now (the live edge). */
void env_append_step(struct timeline *tl, uint16_t kind, uint16_t source, const void *data, uint32_t len);
/* Is the step from `position` an event? */
bool env_step_event_at(const struct timeline *tl, icount_t position);
/* Is there a reset that was logged after position `from` and before `to`? The guest may have ended there. */
bool env_resets_between(const struct timeline *tl, icount_t from, icount_t to);
/* The machine has come to its present position: did it ask for all that it should? */
void env_check(struct timeline *tl);
/* The step from `position`, or the state there, is not what was recorded. */
void env_diverged(struct timeline *tl, icount_t position, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* The virtual time to which an event is bound that happens now, at the edge. */
vtime_t env_edge_now(const struct timeline *tl);

/* clusters.c */
/* struct machine_env.image_read. */
int clusters_read(void *ctx, struct machine *m, const struct drive *d, uint64_t offset, void *buf, size_t len);
void clusters_finish(struct clusters *t);

/* originals.c */
void originals_init(struct timeline *tl);
void originals_finish(struct timeline *tl);
/* A drive's image has these pages there: whole ones, at a multiple of their size. */
void originals_note(struct timeline *tl, const struct drive *d, uint64_t offset, const uint8_t *bytes, size_t len);
/* Images may not be what they were: what is noted of them is not to be relied on. */
void originals_forget(struct timeline *tl);
/* Is there a page of checkpoints that cannot be had any more? Then states that were restored since may be wrong, and `text` (of `size`; 0: not wanted) says why. */
bool originals_lost(const struct timeline *tl, char *text, size_t size);

/* outside.c */
/* -EROFS with *err, which says that one cannot do `what` here, unless we stand at a live edge. */
int outside_check_edge(const struct timeline *tl, const char *what, struct error *err);
/* We stand at the live edge: if other CPUs are to be held than are, the step from here is that event. */
void outside_hold(struct timeline *tl);

/* diverge.c */
void diverge_init(struct timeline *tl);
void diverge_finish(struct timeline *tl);
/* What is known of a branch that begins at `fork`, on a history with these witnesses. */
void diverge_fork(const struct witness_log *parents, struct truth *t, icount_t fork);
/* Something from outside is about to be recorded for the present position: see to it
 * that a replay that treats it differently is soon found out. */
void diverge_expect(struct timeline *tl);
/* The position up to which to run before the next look at witnesses, at most `limit`. */
icount_t diverge_limit(const struct timeline *tl, icount_t limit);
/* The machine has come to its present position: take a witness that is due, compare with
 * one that is there. */
void diverge_look(struct timeline *tl);
/* The state at the present position is not the recorded one; `what` differs. `whole`: it was compared with its hash. */
void diverge_state(struct timeline *tl, const char *what, bool whole);
/* The run has ended because of that: find out more, and stand where it was found. */
void diverge_diagnose(struct timeline *tl);

/* run.c */
void run_init(struct timeline *tl);
/* timeline_host.work_ns, or what stands for it. */
uint64_t run_work_now(const struct timeline *tl);
/* Run to `until`, hits as tl->search.mode says. The state may be left "between" except
 * after RUN_LIMIT. */
enum run_end run_to(struct timeline *tl, icount_t until);
/* The same of a way that the user, or who is asked for him, has come: where it ends there may be what the replay does wrong. That was told. */
enum run_end run_retrace(struct timeline *tl, icount_t until);
/* Run until one of `cpus` (bits) has made an instruction, and no event takes the place of the next step. */
enum run_end run_step(struct timeline *tl, uint64_t cpus);
/* Which of `cpus` made a step last, as far as the way that led here shows; NULL: none. `stepped` says when. */
const struct cpu *run_last_stepper(const struct timeline *tl, uint64_t cpus);
/* The machine has other traps, which may slow it down a hundredfold: begin anew to measure how many steps fit into a
 * slice. */
void run_changed(struct timeline *tl);

/* place.c */
void place_init(struct timeline *tl);
void place_finish(struct timeline *tl);
/* Another line of checkpoints is about to be used, or nobody knows when this machine runs again, and place_restore() is called before
 * it does: note what is known of this one. */
void place_leave(struct timeline *tl);
/* Restore a checkpoint. */
void place_restore(struct timeline *tl, struct checkpoint *c);
/* Place one at the present (canonical) position. */
struct checkpoint *place_checkpoint(struct timeline *tl, enum checkpoint_kind kind);
/* Thin; forget which checkpoints are neighbours of the present, find them again. */
void place_trim(struct timeline *tl);
/* Replicas have placed some, maybe between the present and what was the newest before it. Then the same. */
void place_found(struct timeline *tl);
/* So much processor time was spent running, at the live edge or not. */
void place_ran(struct timeline *tl, uint64_t ns, bool live);
/* The guest slept for so long, at the live edge, and so did we. */
void place_slept(struct timeline *tl, uint64_t ns);
/* The guest is about to sleep at the live edge: a checkpoint, if the sleep so far makes good for what it costs. Else so much more
 * of it, in ns, would; UINT64_MAX: none is wanted. */
uint64_t place_before_sleep(struct timeline *tl);
/* The user wants to stop here: a checkpoint from which to go back, if none is near and it does not take long. True: one was placed, and
 * a few steps more make it useful. */
bool place_before_stop(struct timeline *tl);
/* After each slice: is it time for a checkpoint? */
void place_if_due(struct timeline *tl);
/* The end of the segment has been reached. */
void place_pass_end(struct timeline *tl);

/* points.c */
/* Points in force: all, or the only one. */
size_t points_in_force(const struct timeline *tl, const struct point **list);
/* May one of them, of a kind in tl->search.hit_kinds, be hit in the segment that begins at `c`? */
bool points_concern(const struct timeline *tl, const struct checkpoint *c);
/* An operation begins, or another point is in force: translate addresses where we stand, give the machine its traps. */
void points_apply(struct timeline *tl);
/* The machine asks (struct traps). */
bool points_on_hit(void *ctx, const struct trap_hit *hit);
void points_finish(struct timeline *tl);

/* steps.c */
/* Which of `cpus` made the last step before the present, and when: `stepped`. May run through history, and end anywhere.
 * NULL: none made one, or *end says what stopped us. */
const struct cpu *steps_find_last(struct timeline *tl, uint64_t cpus, enum run_end *end);

/* snapshots.c */
/* Checkpoints were dropped for want of memory. */
void snapshots_trimmed(struct timeline *tl);
/* A branch is about to be forgotten: so are the names of its places. */
void snapshots_forget(struct timeline *tl, unsigned branch);
void snapshots_finish(struct timeline *tl);

/* replica.c */
/* A timeline over the history of `leader`, whose machine is its equal and stands at the first position: never live,
 * silent, with its own place in log and store. It may run in another thread while the leader stands. */
struct timeline *replica_create(const struct timeline *leader, struct machine *m, const struct timeline_host *host);
void replica_destroy(struct timeline *tl);
/* The leader is about to use another history: stand where all begin, and let go of this one. */
void replica_rest(struct timeline *tl);
/* The leader has gone on, and is about to stand: take over how far history reaches. */
void replica_catch_up(struct timeline *tl);
/* Go to a position of history, by the nearest checkpoint. Hits go to the machine's traps.hit. Anything but RUN_LIMIT: did not get there. */
enum run_end replica_go(struct timeline *tl, icount_t position);

/* query.c */
void crew_destroy(struct crew *crew);
/* replica_rest() of all replicas. NULL: nobody. */
void crew_rest(struct crew *crew);

#endif
