/*
 * The timeline of a machine: the only thing that a debugger session drives.
 *
 * It owns the machine, the event log and the checkpoints, answers the machine's
 * questions to the outside (struct machine_env), and moves in both directions.
 *
 *   first            position()                     edge
 *   |----------------|------------------------------|- - - - >
 *   begin of history  the present                    live: recorded as it happens
 *
 * Before the edge everything is answered from the log and output is silent; at
 * the edge (`config.live`) the host is asked and what it says is logged. Going
 * forward passes from the one to the other without a stop.
 *
 * After every call that returns a stop the machine stands at a canonical state:
 * the one that its position names (doc/DETERMINISM.md). What the caller may read
 * then: registers, memory, machine_hash()... What it may write: nothing, except
 * through the calls here.
 *
 * None of this is thread-safe; callbacks are made from within the calls.
 */
#ifndef HINDCAST_REPLAY_TIMELINE_H
#define HINDCAST_REPLAY_TIMELINE_H

#include "base/error.h"
#include "base/types.h"
#include "checkpoint/checkpoint.h"
#include "replay/log.h"
#include "vm/machine.h"

struct timeline;
struct timeline_snapshot;

/* What the host supplies. */
struct timeline_host {
    void *ctx;
    /* Monotonic time, ns: when to look at the host. Never for the guest. */
    uint64_t (*now_ns)(void *ctx);
    /* Processor time of the calling thread, ns: what work costs, for slices and placement of checkpoints. A busy host
     * makes it take longer, not more. NULL: now_ns. */
    uint64_t (*work_ns)(void *ctx);
    /* Wall clock, ns since 1970 UTC, and random bytes: asked at the live edge only. */
    uint64_t (*wall_clock_ns)(void *ctx);
    void (*entropy)(void *ctx, void *buf, size_t len);
    /* The guest wants something of a file: asked at the live edge only. NULL: every request is refused. */
    void (*file_call)(void *ctx, const struct file_request *, struct file_answer *);
    /* What a sound card records, as struct machine_env has it: asked at the live edge only. NULL: silence. */
    size_t (*sound)(void *ctx, struct device *dev, uint64_t at, uint32_t rate, int32_t *samples, size_t n);
    /* Bytes of a drive's image, which does not change: asked in the past, too. 0 or negative errno. NULL: there
     * are no images. */
    int (*image_read)(void *ctx, const struct drive *d, uint64_t offset, void *buf, size_t len);
    /* Why it could not, the last time that it was asked of this drive; NULL: there is no more to say. May be NULL. */
    const char *(*image_why)(void *ctx, const struct drive *d);
    /* Has a drive's image been written to since this was asked? Then what the guest has read of it is compared before it is believed
     * again. Asked at each restore and in each slice. NULL: nobody can tell. */
    bool (*image_changed)(void *ctx, const struct drive *d);
    /* Can these be read again at any time, in microseconds, as from a file of this host? NULL: none can. */
    bool (*image_direct)(void *ctx, const struct drive *d, uint64_t offset, size_t len);
    /* The guest sent bytes; called once for each byte of history. */
    void (*output)(void *ctx, struct device *dev, const void *buf, size_t len);
    /* A network card was given a frame, as machine_env.arrived() has it; the same. May be NULL. */
    void (*arrived)(void *ctx, struct device *dev, const void *frame, size_t len, uint64_t number, const char *dropped);
    /* A device did something that the user is to hear of, as machine_env.told() has it; the same. May be NULL. */
    void (*told)(void *ctx, struct device *dev, const char *text);
    /* Called every few ms while running, in either direction: look for host input
     * (timeline_input() may be called from here) and say whether the user wants
     * the run to be interrupted. */
    bool (*poll)(void *ctx);
    /* The guest sleeps: wait `ns` (UINT64_MAX: for ever), but no longer than until
     * there is something for poll() to see. Returns the ns that passed. poll() is
     * called after it. */
    uint64_t (*wait)(void *ctx, uint64_t ns);
    /* There was no memory left for the checkpoint of that name: it stays, and going there takes a run. NULL: nobody
     * wants to know. */
    void (*name_unkept)(void *ctx, const struct timeline_snapshot *snapshot);
    /* Why the guest is neither to be changed nor to begin a branch just now; NULL, or nobody asked: it may. */
    const char *(*fixed)(void *ctx);
};

struct timeline_config {
    uint64_t checkpoint_memory;      /* budget in bytes; 0: 1 GiB */
    uint64_t secret;                 /* random: what nobody knows who wants to make two pages that seem the same */
    bool live;                       /* goes on past the edge; false: a recording that ends there */
    bool sleep;                      /* a sleeping guest sleeps in real time; false: its clock jumps */
    bool branches;                   /* who writes to the guest in the past makes a branch; false: is refused */
    /* Tuning, for tests; 0: the default. */
    uint64_t checkpoint_interval_ns; /* work_ns between lasting checkpoints (250 ms) */
    uint64_t edge_interval_ns;       /* work_ns between checkpoints near the live edge (10 ms) */
    uint64_t slice_steps;            /* most steps between two looks at the host (adaptive) */
    icount_t ladder_steps;           /* distance of the nearest rung (1000) */
    icount_t far_steps;              /* a reverse search that has to run more than so many steps is made by all cores; 0: none is */
};

enum direction { FORWARD, BACKWARD };

enum timeline_reason {
    TIMELINE_STEP_DONE,    /* the debugger's step is done */
    TIMELINE_BREAKPOINT,   /* stands at a breakpoint: `point`, `address` (PC) */
    TIMELINE_WATCHPOINT,   /* forward: after the access; backward: before it: `point`, `access`, `address`
                            * (with cpu_ops.watch_before: the other way round) */
    TIMELINE_REPLAY_BEGIN, /* stands at the first position */
    TIMELINE_REPLAY_END,   /* stands at the end of a recording */
    TIMELINE_REPLAY_BREAK, /* stands at a replay_break position */
    TIMELINE_SEEK_DONE,    /* stands where it was asked to go */
    TIMELINE_INTERRUPTED,  /* poll() asked for it */
    TIMELINE_GUEST_END,    /* the guest has ended (machine.st->end); going back is possible */
    TIMELINE_DIVERGED,     /* replay disagrees with the log: timeline_divergence() says how */
    TIMELINE_ASLEEP,       /* at the end of a branch the guest sleeps, and nothing on it will wake it; or, there or at the live edge,
                            * who is not held waits for who is: machine_waits_for_held() */
};

#define TIMELINE_MAX_OTHERS 7

struct timeline_stop {
    enum timeline_reason reason;
    unsigned point;   /* id of the break- or watchpoint */
    unsigned access;  /* TRAP_WRITE or TRAP_READ */
    unsigned cpu;     /* whose hit it is; STEP_DONE: whose step */
    uint64_t address; /* of the instruction, or first watched byte that was touched */
    /* WATCHPOINT: other points that the same step hits, and the bytes touched; the one told is one whose bytes
     * change, if there is such a one. */
    unsigned nothers;
    struct timeline_other {
        unsigned point;
        uint64_t address;
    } others[TIMELINE_MAX_OTHERS];
    icount_t position;  /* WATCHPOINT: where the step that touches it begins */
    const char *writer; /* WATCHPOINT: who touched it, if it was not an instruction; NULL: that */
};

/* Take over `m` (set up, reset, never run) with an empty history. The position
 * where it stands is the first one. */
struct timeline *timeline_create(struct machine *m, const struct timeline_config *config,
                                 const struct timeline_host *host);
/* Give a new timeline, before anything else, a history that was recorded by an
 * equal machine: its log (taken over), how far it reached, and its witnesses (taken
 * over too, if they are of such a machine; NULL: none). Its output is heard again,
 * once. Whether it goes on past the edge is config.live. */
struct witness_log;
void timeline_adopt(struct timeline *tl, struct event_log *log, icount_t edge, vtime_t edge_vtime,
                    struct witness_log *witnesses);
/* Those of the history so far. */
const struct witness_log *timeline_witnesses(const struct timeline *tl);
/* Places of the trunk at which the state is known, for a timeline that replays: `check` is called
 * with the machine standing at each of these (sorted) positions that it passes for
 * the first time, and a checkpoint of it. It returns false and says in *err what
 * differs; then the run ends with TIMELINE_DIVERGED. The array must stay. */
void timeline_set_checks(struct timeline *tl, const icount_t *positions, size_t count,
                         bool (*check)(void *ctx, size_t n, const struct checkpoint *c, struct error *err), void *ctx);
/* The store, for whoever reads checkpoints or adds those of a recording. */
struct checkpoint_store *timeline_checkpoint_store(struct timeline *tl);
/* Destroys the machine too. */
void timeline_destroy(struct timeline *tl);
/* Are checkpoints not what they were, because an image was changed under them? */
bool timeline_lost(const struct timeline *tl);

struct machine *timeline_machine(struct timeline *tl);
const struct event_log *timeline_log(const struct timeline *tl);
const struct checkpoint_store *timeline_checkpoints(const struct timeline *tl);

icount_t timeline_position(const struct timeline *tl);
/* The furthest position that exists. */
icount_t timeline_edge(const struct timeline *tl);
/* How far the clock had come there (a sleep may be unfinished). */
vtime_t timeline_edge_vtime(const struct timeline *tl);
icount_t timeline_first(const struct timeline *tl);
bool timeline_at_edge(const struct timeline *tl);

/* One debugger's step, of one of `cpus` (bit n: CPU n; TIMELINE_ALL_CPUS). The whole guest runs until the first of
 * them has made an instruction, or goes back to before the last one that one of them made: stop.cpu says which. A
 * sleeping CPU's step is the interrupt entry that wakes it. A watched access on the way stops it earlier, whoever
 * makes it, as does a breakpoint of a CPU that is not among `cpus`; theirs are not looked at. REPLAY_BEGIN: none of
 * them has made a step before this position, where the machine stays. */
#define TIMELINE_ALL_CPUS UINT64_MAX
void timeline_step(struct timeline *tl, enum direction dir, uint64_t cpus, struct timeline_stop *stop);
/* The same forward, but another CPU's breakpoint at the present position is hit at once. */
void timeline_step_from_here(struct timeline *tl, uint64_t cpus, struct timeline_stop *stop);
/* Run until something stops it. A breakpoint at the present position is not
 * hit again. Backward and interrupted: everything between where it stops and
 * where it began has been searched. */
void timeline_continue(struct timeline *tl, enum direction dir, struct timeline_stop *stop);
/* The same forward, but a breakpoint at the present position is hit at once, if the step from
 * here begins its instruction. */
void timeline_continue_from_here(struct timeline *tl, struct timeline_stop *stop);
/* Where the last operation ended: see to it that the first step backward takes no longer than the next ones, by going back once, if
 * it would. Nothing is different afterwards. False: it was interrupted, and can be asked for again. */
bool timeline_prepare_back(struct timeline *tl);
/* Go to a position, whatever lies on the way. Past a live edge it runs on live. */
void timeline_seek(struct timeline *tl, icount_t position, struct timeline_stop *stop);
/* Break- and watchpoints. */
struct timeline_point {
    unsigned kinds;   /* TRAP_EXEC, or TRAP_WRITE and TRAP_READ or-ed */
    /* Virtual, as in struct trap; or `physical`, or a drive's. A virtual watchpoint hits accesses of a CPU to
     * this address, in whatever address space. Besides, one for writing hits writes by anybody (DMA, flash, walks,
     * debuggers, resets, CPUs by another address), one for reading reads by devices, of the bytes that the address was
     * translated to where the operation (step, continue) began; a physical one (TRAP_WRITE only), those at the address,
     * as memory was mapped there. */
    uint64_t address;
    uint64_t len;     /* bytes; ignored for TRAP_EXEC */
    bool physical;
    /* Not NULL: the bytes are this drive's, `address` counts from its beginning; and it is controllers that write and
     * read them. */
    const struct drive *drive;
    /* May be NULL (always). Asked with the machine standing at the hit: an
     * instruction not yet made, an access just made; the same in both
     * directions. May read registers and memory only. It can be asked more than
     * once about one hit. `cpu`: whose hit it is. */
    bool (*condition)(void *ctx, unsigned id, unsigned cpu);
    void *ctx;
};
/* The first position at which that CPU has made n steps, in the history there is: *position, and 0. Moves through history, and
 * stands anywhere afterwards: timeline_seek(). -ERANGE: it never has; -EINTR: the user interrupted. *err says more. */
int timeline_find_steps(struct timeline *tl, unsigned cpu, icount_t n, icount_t *position, struct error *err);
/* The first position at which virtual time is `time` or later, likewise. -ERANGE: it never is. */
int timeline_find_time(struct timeline *tl, vtime_t time, icount_t *position, struct error *err);
/* Go back to before the last write to the bytes that `where` means here (address, len, physical, drive), by whomever
 * and by whatever address: WATCHPOINT (stop.writer says who), or REPLAY_BEGIN if there was none. -EFAULT with *err:
 * there are no such bytes. */
int timeline_last_write(struct timeline *tl, const struct timeline_point *where, struct timeline_stop *stop,
                        struct error *err);
/* Returns an id, never 0. */
unsigned timeline_add_point(struct timeline *tl, const struct timeline_point *point);
/* False: there is no such point. */
bool timeline_remove_point(struct timeline *tl, unsigned id);
/* Is there a breakpoint (condition true) at that CPU's PC? Its id or 0. */
unsigned timeline_breakpoint_here(struct timeline *tl, unsigned cpu);

/* Positions at which timeline_continue() stops, in either direction. */
void timeline_replay_break(struct timeline *tl, icount_t position);
/* False: there was none. */
bool timeline_delete_replay_break(struct timeline *tl, icount_t position);
size_t timeline_replay_breaks(const struct timeline *tl, const icount_t **positions);

/* Through which CPU's eyes the user looks (at first: the first one's): by its translation addresses of watchpoints
 * and of timeline_last_write() are found, and to its address space and registers writes go. */
void timeline_look_by(struct timeline *tl, unsigned cpu);

/* The outside world acts on the guest. These are recorded. All but input take a
 * step of their own, at once. In the past, with config.branches, a write, a reset or the power button begins a branch and
 * is its first step; all else is refused (-EROFS) with a text that says what to do. Return 0 or a negative errno with *err. */
int timeline_write_memory(struct timeline *tl, uint64_t address, bool physical, const void *data,
                          uint32_t len, struct error *err);
int timeline_write_register(struct timeline *tl, unsigned number, const void *value, uint32_t len,
                            struct error *err);
int timeline_reset(struct timeline *tl, struct error *err);
int timeline_powerdown(struct timeline *tl, struct error *err);
/* From the live edge on, these CPUs (bit n: CPU n) make no steps, and the others do. At the edge that is a step of its own, at
 * once, if it changes anything. Elsewhere it is made when the edge is come to, and until then who was held stands and
 * nobody else does: a CPU that does not stand here cannot be held in the past (-EROFS, nothing is changed). If none that
 * are awake are left, the guest sleeps. At first, nobody. */
int timeline_hold(struct timeline *tl, uint64_t cpus, struct error *err);
/* Another medium in a drive, or (size 0) none; in the past on a branch that begins there. The image must be there when it is asked
 * for, as the drive's medium of that number (struct drive_insertion). */
struct timeline_medium {
    uint64_t size;           /* bytes of its image */
    uint32_t number;
    bool read_only;
    const char *file, *format; /* for whoever replays it; NULL: none */
};
int timeline_change_medium(struct timeline *tl, const struct drive *d, const struct timeline_medium *medium,
                           struct error *err);
/* Input for a device, in the device's own layout; whoever feeds bytes may be
 * split as room (device_ops.input_room) comes up. Waits in the host until the
 * machine runs at the live edge. With `whole` the bytes are one message that
 * must not be split (a key, a packet). */
void timeline_input(struct timeline *tl, struct device *dev, const void *data, size_t len, bool whole);
/* A break on the line of a serial port (device_ops.takes_break), after the input that waits: an event of no bytes. */
void timeline_break(struct timeline *tl, struct device *dev);
/* The same, whole, but not before the guest's clock shows `due`: exactly then, if the device has room, else at the first
 * whole number of TIMELINE_RETRY_NS after it at which it has. So when it comes is a function of history. */
#define TIMELINE_RETRY_NS 1000000u
void timeline_input_at(struct timeline *tl, struct device *dev, const void *data, size_t len, vtime_t due);
/* Bytes that wait for that device: back-pressure for whoever feeds it. */
size_t timeline_input_pending(const struct timeline *tl, const struct device *dev);
/* How many inputs they are. */
uint64_t timeline_inputs_waiting(const struct timeline *tl, const struct device *dev);

/* Branches: other histories. One leaves its parent at a position, its *fork*: what lies before is the parent's history and
 * its own, shared; from there on it has a log, states and an edge of its own, and its parent's are what they were. All that
 * is said here of positions, of the edge and of the past is said of the branch in use. Number 0 is the trunk: the history
 * that the machine began with.
 *
 * The outside answers nothing on a branch: no input comes by itself, output is told with timeline_outside() false, the
 * host's clock goes on from its last reading by virtual time, random bytes are a function of fork and position, files are
 * refused, sleeps cost no time. What was answered is logged there. Once it is made live, all this is as on the trunk. */
struct timeline_branch {
    unsigned id;
    const char *name;       /* NULL: it has none */
    unsigned parent;        /* id; the trunk's is its own */
    icount_t fork, edge, position; /* position: where the machine stands on it, or stood when it was left */
    uint64_t events;        /* of its own */
    unsigned forks;         /* branches that have it as parent */
    bool live, current;
};
/* Most branches, with the trunk; and how many without a name, a fork and not in use are kept: the oldest goes when another
 * is made. */
#define TIMELINE_BRANCHES  64u
#define TIMELINE_NAMELESS  8u
#define TIMELINE_NAME_MOST 63u /* bytes of a branch's name */
/* Id of the one in use. */
unsigned timeline_branch(const struct timeline *tl);
/* In the order they were made. *list is good until branches change. Returns how many. */
size_t timeline_branches(const struct timeline *tl, struct timeline_branch list[TIMELINE_BRANCHES]);
/* By name, or by number as text. 0 and *id, or -ENOENT with *err. */
int timeline_branch_find(const struct timeline *tl, const char *name, unsigned *id, struct error *err);
/* Begin a branch at the present position, and use it; name may be NULL. Names begin with a letter, and are of letters,
 * digits and . _ - : -EINVAL, -EEXIST, -ENOSPC. */
int timeline_branch_make(struct timeline *tl, const char *name, struct error *err);
/* Name the one in use, or name it otherwise. */
int timeline_branch_name(struct timeline *tl, const char *name, struct error *err);
/* A branch of a history that was recorded, while the trunk is in use: its log, forked from its parent's, is taken over, and its own
 * witnesses are copied. What
 * lies at its fork is run to when it is first used. 0 and *id, or -EINVAL, -EEXIST, -ENOSPC with *err: the log is the caller's. */
int timeline_adopt_branch(struct timeline *tl, const char *name, unsigned parent, icount_t fork, struct event_log *log,
                          icount_t edge, vtime_t edge_vtime, const struct witness_log *witnesses, unsigned *id, struct error *err);
/* Use another one: the machine stands where it was left. (-EINTR, -EIO: one that was adopted could not be come to.) */
int timeline_branch_use(struct timeline *tl, unsigned id, struct error *err);
/* Forget one. If it is in use, its parent is used, at the fork, or where we stand if that is before it. -EBUSY: others fork
 * from it, or it is the trunk. */
int timeline_branch_drop(struct timeline *tl, unsigned id, struct error *err);
/* From now on the outside answers on the branch in use. -EROFS: the trunk is not live, either. */
int timeline_branch_live(struct timeline *tl, struct error *err);
/* Does the outside answer on the branch in use? */
bool timeline_outside(const struct timeline *tl);
/* A checkpoint of a position of any branch, held until timeline_release(). The machine goes there and comes back. -ERANGE:
 * history there does not reach so far; -EINTR: the user interrupted; -EIO: it is not to be reached again. */
int timeline_hold_place(struct timeline *tl, unsigned branch, icount_t position, struct checkpoint **c, struct error *err);
void timeline_release(struct timeline *tl, struct checkpoint *c);
/* What whoever writes the history of a branch down has to know. */
struct timeline_history {
    const struct event_log *log;
    const struct witness_log *witnesses;
    const struct checkpoint_line *line;
    icount_t edge;
    vtime_t edge_vtime;
};
/* -ENOENT: there is no such branch (any more). */
int timeline_history(const struct timeline *tl, unsigned id, struct timeline_history *h);

/* Named snapshots: names for positions. The checkpoint that lies at one is the last that has to go when memory for
 * checkpoints is short; going there then restores the nearest one before it, and runs. */
struct timeline_snapshot {
    char *name;
    icount_t position;
    vtime_t vtime;
    uint64_t made_ns;  /* the caller's note: when it was named, ns since 1970 */
    bool pinned;       /* a checkpoint there is kept for it, as long as there is memory */
    unsigned branch;   /* id: whose position it is */
};
#define TIMELINE_SNAPSHOT_NAME_MOST 1000u /* bytes */
#define TIMELINE_SNAPSHOTS_MOST     10000u
/* Name the present (replacing an older snapshot of that name). -EINVAL: it is no name; -ENOSPC: there are so many. */
int timeline_save_snapshot(struct timeline *tl, const char *name, uint64_t made_ns, struct error *err);
/* Name a place of history that the machine need not have come to yet (of a recording). */
void timeline_adopt_snapshot(struct timeline *tl, const struct timeline_snapshot *snapshot);
/* Counts changes to the list. */
uint64_t timeline_snapshot_changes(const struct timeline *tl);
/* Go there, to its branch; -ENOENT with *err if there is none of that name. */
int timeline_load_snapshot(struct timeline *tl, const char *name, struct timeline_stop *stop, struct error *err);
/* Is its place on the branch in use? */
bool timeline_snapshot_here(const struct timeline *tl, const struct timeline_snapshot *snapshot);
int timeline_delete_snapshot(struct timeline *tl, const char *name, struct error *err);
size_t timeline_snapshots(const struct timeline *tl, const struct timeline_snapshot **list);
/* Place a checkpoint here and now; thinning may drop it. */
void timeline_checkpoint(struct timeline *tl);

/* Bytes of the image of what is in a drive (they lie within it; `offset` counts from the first medium on), for who looks from outside:
 * no trace of that is left in history. Clusters that the guest has read in this history are compared, as its own reads are. 0, or negative
 * errno with *err: -ESTALE if the image is another one by now. */
int timeline_image_read(struct timeline *tl, const struct drive *d, uint64_t offset, void *buf, size_t len, struct error *err);
/* Look now whether images have been written to: what was read of them has to be compared again then. */
void timeline_look_at_images(struct timeline *tl);

/* Why a replay stopped with TIMELINE_DIVERGED, or NULL. */
const char *timeline_divergence(const struct timeline *tl);

struct timeline_stats {
    uint64_t steps_live;          /* made at the edge */
    uint64_t steps_replayed;      /* made again */
    uint64_t segments_replayed;   /* by reverse searches */
    uint64_t segments_skipped;    /* by reverse searches, thanks to a footprint */
    uint64_t slices, polls;
    uint64_t run_ns;              /* processor time inside machine_run() */
    uint64_t checkpoint_ns;       /* processor time taking checkpoints */
};
void timeline_stats(const struct timeline *tl, struct timeline_stats *stats);

#endif
