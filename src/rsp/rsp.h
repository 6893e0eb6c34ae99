/*
 * The GDB remote serial protocol (gdb manual, appendix "Remote Protocol"), as
 * a machine without I/O: bytes in, bytes out. doc/protocol.md lists what is
 * answered.
 *
 * How the server drives it:
 *
 *     s = rsp_create(&info, &ops, ctx);
 *     for (;;) {
 *         bytes from the client     -> rsp_feed(s, bytes, n)
 *         rsp_output(s)             -> to the client, then buffer_consume()
 *         if (rsp_ended(s))         -> flush the output, drop the client
 *         run = rsp_wants_run(s);
 *         if (run)                  -> a slice of *run; once it is over, rsp_report_stop().
 *                                      Poll input meanwhile; rsp_interrupt_requested()
 *                                      means that the client wants a stop now
 *     }
 *     rsp_destroy(s);
 *
 * A session is one client's connection. Breakpoints belong to it and go with
 * it; the target outlives it. Nothing here blocks, and nothing that a client
 * sends can make it answer twice: a handler fills one reply, and one place
 * (finish_reply in session.c) sends it.
 */
#ifndef HINDCAST_RSP_RSP_H
#define HINDCAST_RSP_RSP_H

#include "rsp/target.h"

/* What PacketSize announces: the longest packet, in bytes between '$' and '#'. */
#define RSP_PACKET_SIZE 0x20000u

struct rsp_session;

/* info, ops and ctx must outlive the session. The guest must be standing. */
struct rsp_session *rsp_create(const struct rsp_target_info *info, const struct rsp_target_ops *ops,
                               void *ctx);
void rsp_destroy(struct rsp_session *s);
/* Right after rsp_create(): the thread that the client is told of first, if it is another one than 0. */
void rsp_begin_with(struct rsp_session *s, unsigned thread);

/* Take bytes from the client. They are all consumed; complete packets are
 * answered at once, or, while a run is under way, after its end, or, while a
 * megabyte of output waits to be taken, when rsp_output() is called again after that. A
 * client that sends on and on without being answered ends the session. */
void rsp_feed(struct rsp_session *s, const void *data, size_t len);
/* Bytes for the client. The caller takes them with buffer_consume(). */
struct buffer *rsp_output(struct rsp_session *s);

/* How a session ends. */
enum rsp_end {
    RSP_GOES_ON = 0,
    RSP_DETACHED, /* the client said goodbye: the guest and its history stay */
    RSP_KILLED,   /* the client asked for the end of the target (`kill`, `monitor quit`) */
    RSP_FOREIGN,  /* what speaks is no debugger but HTTP: a web page in somebody's browser */
};
enum rsp_end rsp_ended(const struct rsp_session *s);

/* Answer everything that this client sends with an error, and do nothing of it: there is no room for
 * it. `why` must stay. */
void rsp_turn_away(struct rsp_session *s, const char *why);

/* ---- running ---- */

enum rsp_run_kind {
    RSP_RUN_CONTINUE, /* to the next breakpoint, watchpoint, interrupt, edge of history, or guest's end */
    RSP_RUN_STEP,     /* one instruction or exception entry of one of `steppers` */
    RSP_RUN_RANGE,    /* forward steps, at least one, until one of `steppers` is out of its range, unless something
                       * that ends RSP_RUN_CONTINUE comes first */
    RSP_RUN_SEEK,     /* to `position`, in whichever direction it lies; breakpoints do not count */
};

#define RSP_ANY_THREAD UINT32_MAX
#define RSP_MAX_THREADS 64u

struct rsp_range {
    uint64_t start, end; /* [start, end); equal: none */
};

/* The guest runs as a whole, but for threads that are held: CONTINUE holds those that are left out. */
struct rsp_run {
    enum rsp_run_kind kind;
    uint64_t steppers;    /* STEP, RANGE: bit n: the run ends when thread n (from 0) has stepped */
    uint64_t left_out;    /* bit n: thread n was not named (vCont; backwards, Hc names one), so the client believes that it stands: its stop is
                           * none that the client would understand */
    bool reverse;         /* CONTINUE, STEP: backwards */
    bool alone;           /* STEP: and nothing but that; how gdb steps off a breakpoint before it continues */
    bool brief;           /* SEEK: the client waits for it no longer than for any other reply: after a second it
                           * is to end wherever it is, as if that were the place; the next run goes on */
    struct rsp_range ranges[RSP_MAX_THREADS]; /* RANGE: of each of the steppers */
    icount_t position;    /* SEEK */
    bool move;            /* SEEK: that of rsp_arm_move() */
};

/* The run that the client waits for, or NULL while the guest stands. The same until
 * rsp_report_stop() or rsp_fail_run(). */
const struct rsp_run *rsp_wants_run(const struct rsp_session *s);
/* Does an interrupt (0x03) of the client's want to end the run? Each ends one: what arrives while the guest
 * stands is meant for the next run, which is then not begun (gdb manual, "Interrupts"). */
bool rsp_interrupt_requested(const struct rsp_session *s);

enum rsp_stop_reason {
    RSP_STOP_STEP,          /* a step or range step is done */
    RSP_STOP_SWBREAK,       /* PC is at a Z0 breakpoint */
    RSP_STOP_HWBREAK,       /* ... at a Z1 breakpoint */
    RSP_STOP_WATCH,         /* Z2; `address` is the data address */
    RSP_STOP_RWATCH,        /* Z3 */
    RSP_STOP_AWATCH,        /* Z4 */
    RSP_STOP_INTERRUPT,     /* the client interrupted */
    RSP_STOP_POSITION,      /* a position was reached: end of RSP_RUN_SEEK, `replay_break` */
    RSP_STOP_HISTORY_BEGIN, /* backwards: the start of history */
    RSP_STOP_HISTORY_END,   /* forwards: the end of a recording */
    RSP_STOP_GUEST_END,     /* the guest powered off, triple-faulted...: one can go backwards from there */
};

struct rsp_stop {
    enum rsp_stop_reason reason;
    uint64_t address;  /* watchpoints: of the data; breakpoints: of the breakpoint */
    unsigned signal;   /* in gdb's numbering; 0: the one usual for the reason */
    unsigned thread;   /* whose stop it is, from 0 */
    const char *text;  /* printed on the client's console first, with '\n'; may be NULL */
};

/* The run is over (or, with no run under way, remember why the guest stands: the
 * answer to `?`). Packets that waited are answered, which may start the next run. */
void rsp_report_stop(struct rsp_session *s, const struct rsp_stop *stop);
/* The run could not be made; the guest stands. */
void rsp_fail_run(struct rsp_session *s, const struct error *err);

/* Text for the client's console. Sent at once while the guest runs or a monitor
 * command is at work; else kept until the guest runs next. */
void rsp_console(struct rsp_session *s, const char *text, size_t len);

/* What the client asked for takes long: if its packet is a monitor command or one of tracepoints, tell it to wait on (about once a second). */
void rsp_keep_waiting(struct rsp_session *s);

/* Does the client look at a trace frame, with the guest standing there? */
bool rsp_in_frame(const struct rsp_session *s);

/* A position as a person writes it: a number (123, 0x7b, 1_000_000, 16k...), "start", "end", "+N" or "-N" from here. */
/* 123, 0x7b, 1_000_000, 16k, 2M, 3G: what a monitor command takes for a number. False: it is none. */
bool rsp_parse_number(const char *text, uint64_t *value);
bool rsp_parse_position(struct rsp_session *s, const char *text, icount_t *position);
/* Make the next continue, in either direction, a RSP_RUN_SEEK to `position`
 * (what `monitor seek` does: a monitor command cannot tell gdb that the
 * registers changed, so it arms, and a continue goes). */
void rsp_arm_seek(struct rsp_session *s, icount_t position);
/* The same, with run.move, for a target with more than one history: to a position of the one that it has chosen itself.
 * `what`: as the user knows it, if it comes to nothing: "drop of branch 2". */
#define RSP_ARMED_TEXT 128
void rsp_arm_move(struct rsp_session *s, icount_t position, const char *what);
/* What is armed, if anything, is off. `how`: said on the client's console, "by ..."; NULL: nothing is. */
void rsp_disarm_seek(struct rsp_session *s, const char *how);
bool rsp_armed_move(const struct rsp_session *s);
/* Is one armed, and where would it go? A step other than the debugger's own, off a breakpoint, disarms. */
bool rsp_armed_seek(const struct rsp_session *s, icount_t *position);

/* ---- break- and watchpoints ---- */

enum rsp_breakpoint_type { /* the number in Z and z packets */
    RSP_BREAK_SW = 0,
    RSP_BREAK_HW = 1,
    RSP_WATCH_WRITE = 2,
    RSP_WATCH_READ = 3,
    RSP_WATCH_ACCESS = 4,
};

struct agent_expr;

struct rsp_breakpoint {
    enum rsp_breakpoint_type type;
    uint64_t address; /* virtual */
    bool physical;    /* `address` is physical: a watchpoint for writing that was set while Qqemu.PhyMemMode was 1 */
    uint64_t len;     /* watchpoints: bytes, at least 1; breakpoints: the client's `kind` */
    struct agent_expr *conditions; /* any of them true: it counts; none: always */
    unsigned nconditions;
    struct agent_expr *commands;   /* run in place of stopping (dprintf) */
    unsigned ncommands;
    bool persist;     /* commands go on without a client; not supported: they go with the session */
};

/* The break- and watchpoints in force; they change only while the guest stands. */
const struct rsp_breakpoint *rsp_breakpoints(const struct rsp_session *s, unsigned *count);

/* The guest stands (in mid-run) before the instruction at pc. Does a breakpoint
 * stop the run here, its conditions considered? Fills *stop then. `commands`:
 * run the commands of breakpoints that have them (true only where the run passes for
 * good: forward, or at the hit that a reverse run ends at). A condition that
 * cannot be evaluated counts as true, so that the client evaluates it and complains. */
bool rsp_exec_hit(struct rsp_session *s, uint64_t pc, bool commands, struct rsp_stop *stop);
/* The step just made touched what this watchpoint watches. Do its conditions, which see the state as it
 * is now, let it count? False, too, if there is none of that type at that place. */
bool rsp_watch_counts(struct rsp_session *s, enum rsp_breakpoint_type type, bool physical, uint64_t address,
                      uint64_t len);
/* Is the guest to stop at once, if it is continued where it stands at a breakpoint? A debugger steps off a breakpoint
 * that it sees at the PC before it continues; if it does not, it means to be stopped there (after a jump, at the
 * beginning of a function that it calls). `told`: this hit is what it was told last. */
bool rsp_stops_at_once(struct rsp_session *s, bool told);

#endif
