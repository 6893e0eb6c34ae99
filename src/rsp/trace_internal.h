/*
 * Inside of tracing; shared by trace.c (packets) and trace_run.c (the experiment) only.
 */
#ifndef HINDCAST_RSP_TRACE_INTERNAL_H
#define HINDCAST_RSP_TRACE_INTERNAL_H

#include "rsp/session.h"
#include "rsp/trace.h"

#define TRACE_MAX_POINTS    1024u
#define TRACE_MAX_AT_ONE    16u   /* enabled ones at one address */
#define TRACE_MAX_ACTIONS   256u  /* of a tracepoint */
#define TRACE_MAX_VARIABLES 256u
#define TRACE_MAX_SOURCE    ((size_t)64 << 10) /* bytes of a tracepoint's source lines */
#define TRACE_MAX_COLLECT   ((uint64_t)1 << 20) /* bytes that one action collects at a hit */
#define TRACE_MAX_FRAMES    ((size_t)1 << 20)
#define TRACE_BUFFER        ((uint64_t)64 << 20) /* bytes, unless QTBuffer:size says otherwise; */
#define TRACE_BUFFER_MOST   ((uint64_t)1 << 30)  /* and at most */

enum trace_action_kind { TRACE_REGISTERS, TRACE_MEMORY, TRACE_EXPRESSION, TRACE_NOTHING };

struct trace_action {
    enum trace_action_kind kind;
    bool stepping;          /* of the frames of `while-stepping` */
    uint32_t base;          /* MEMORY: a register that is added to `offset`; TRACE_NO_BASE: none */
    uint64_t offset, len;
    struct agent_expr expr;
    char *text;             /* as it came: to be uploaded */
};

#define TRACE_NO_BASE UINT32_MAX

struct tracepoint {
    unsigned number;        /* the client's; several locations have the same */
    uint64_t address;
    bool enabled;
    char kind;              /* 'T', 'F' (fast), 'S' (static): all work the same */
    uint64_t original;      /* FAST: length of the instruction that gdb would replace */
    uint64_t steps, pass;   /* while-stepping, passcount; 0: none */
    bool conditional;
    struct agent_expr condition;
    char *condition_text;   /* "len,hex" */
    struct trace_action *actions;
    unsigned nactions;
    bool stepping_actions;  /* those that follow are */
    bool stateful;          /* uses variables: what it does depends on the hits before */
    struct buffer sources;  /* QTDPsrc's "type:start:len:hex", each with a zero byte */
    /* of the experiment */
    uint64_t hits, bytes;
};

struct trace_variable {
    unsigned number;
    uint64_t value, initial;
    bool builtin;
    char *name;             /* hex digits */
};

struct trace_frame {
    icount_t position;
    uint64_t pc;
    uint32_t bytes;         /* that it would take in a trace buffer */
    uint16_t point;         /* index */
    uint16_t thread;
    bool step;              /* of while-stepping */
};

/* A while-stepping that is not done. */
struct trace_stepping {
    unsigned point, thread;
    uint64_t left;
};

enum trace_end { TRACE_NOT_RUN, TRACE_RUNS, TRACE_STOPPED, TRACE_FULL, TRACE_DISCONNECTED, TRACE_PASSED, TRACE_FAILED };

struct rsp_tracing {
    const struct rsp_target_info *info;
    const struct rsp_target_ops *ops;
    void *ctx;

    struct tracepoint *points;
    unsigned npoints;
    struct trace_variable *variables;
    unsigned nvariables;

    /* What is set for experiments. */
    bool circular, disconnected;
    uint64_t capacity;      /* bytes */
    char *user, *notes, *stop_notes; /* hex digits; NULL: none */
    bool stretch;           /* rsp_tracing_set_stretch() */
    icount_t stretch_from, stretch_to;

    bool defining;          /* between QTinit and QTStart */

    /* The experiment. */
    enum trace_end end;
    unsigned end_point;     /* number of the tracepoint that ended it; 0: none */
    char end_text[128];
    unsigned history;
    icount_t from;          /* it began there */
    icount_t furthest;      /* the guest was seen there since */
    icount_t known;         /* hits before this position are in `frames` */
    struct trace_stepping *steppings;
    unsigned nsteppings;
    icount_t stepped;       /* steps before this position were counted for them */
    bool gone;              /* its client is: nothing is added */
    bool looking;           /* look_at() was asked since the last find_hits() */

    struct trace_frame *frames; /* in order of position */
    uint64_t *values;       /* of variables, nvalues for each frame */
    unsigned nvalues;
    size_t first, nframes, cap; /* frames[first...first + nframes) are there */
    uint64_t created, used; /* frames; bytes */

    /* The frame that is selected. */
    bool selected;
    size_t frame;           /* counted from `first` */
    icount_t came_from;     /* the guest stood there */

    struct buffer upload;   /* answers of qTf..., qTs..., each with a zero byte */
    size_t uploaded;
    struct buffer raw;      /* what qTBuffer reads */
    bool raw_made;
};

/* ---- trace_run.c ---- */

int trace_start(struct rsp_tracing *t, struct error *err);
/* Up to here, then no more. */
int trace_stop(struct rsp_tracing *t, enum trace_end end, struct error *err);
/* All that happened until now is in `frames`. -EINTR: the rest is looked for the next time. */
int trace_catch_up(struct rsp_tracing *t, struct error *err);
/* The guest stands: it may have gone further than ever. */
void trace_note_position(struct rsp_tracing *t);
void trace_forget_frames(struct rsp_tracing *t);
struct trace_variable *trace_find_variable(const struct rsp_tracing *t, unsigned number);
struct trace_frame *trace_frame(const struct rsp_tracing *t, size_t n);
/* All frames as a trace buffer has them (gdb manual, "Trace File Format"), in t->raw. */
int trace_make_raw(struct rsp_tracing *t, struct error *err);

#endif
