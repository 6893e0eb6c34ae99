/*
 * Inside of a session; shared by the files of src/rsp/ only.
 *
 * A packet goes: rsp_feed -> decoder (packet.c) -> queue -> dispatch() finds its rule (all
 * session.c) -> the handler reads its arguments (request.c), fills s->reply (reply.c) and says by
 * its verdict what is to be done with it -> finish_reply() sends (session.c).
 *
 * To add a packet: a row in a rule table (packets.c, query.c, lldb.c) and a
 * handler.
 */
#ifndef HINDCAST_RSP_SESSION_H
#define HINDCAST_RSP_SESSION_H

#include "rsp/agent.h"
#include "rsp/packet.h"
#include "rsp/rsp.h"

#include <errno.h>
#include <inttypes.h>

/* No more packets are answered while this much output waits for the client. */
#define RSP_OUTPUT_HIGH ((size_t)1 << 20)
/* A client that has this much waiting to be answered is broken: it is dropped. */
#define RSP_QUEUE_MAX ((size_t)4 << 20)
/* Console text beyond this, with a client that does not read, is lost. */
#define RSP_CONSOLE_MAX ((size_t)16 << 20)
/* So much of what the guest says is kept while the client cannot be told; what follows is lost. */
#define RSP_CONSOLE_KEPT ((size_t)1 << 20)
#define RSP_MAX_BREAKPOINTS 4096u

/* What is to be done after a handler. */
enum rsp_verdict {
    RSP_ANSWER, /* send s->reply */
    RSP_LATER,  /* the reply is that of rsp_report_stop() */
    RSP_SILENT, /* this packet has no reply */
};

/* A packet's arguments, not yet read. The byte at `end` is zero. */
struct rsp_request {
    const char *p;
    const char *end;
    bool text_errors; /* clients have always taken E.text in answer to this packet */
};

typedef enum rsp_verdict rsp_handler(struct rsp_session *s, struct rsp_request *r);

struct rsp_rule {
    const char *name;      /* start of the packet, with its separator; handlers see what follows */
    rsp_handler *handle;
    bool exact;            /* nothing may follow the name */
    bool text_errors;
    bool (*offered)(const struct rsp_session *s); /* NULL: always */
};

struct rsp_session {
    const struct rsp_target_info *info;
    const struct rsp_target_ops *ops;
    void *ctx;

    /* the wire */
    struct rsp_decoder decoder;
    struct buffer out;
    struct buffer last;     /* the packet sent last, framed, for retransmission */
    struct buffer queue;    /* packets to answer: u32 length, body, zero byte */
    size_t queue_head;      /* bytes of `queue` already answered */
    bool no_ack;            /* QStartNoAckMode */
    bool busy;              /* inside a handler */
    unsigned letters;       /* capital letters that the connection began with */
    bool debugger;          /* it has begun like one */
    const char *refusal;    /* rsp_turn_away() */

    /* the reply being made */
    struct buffer reply;
    bool text_errors;       /* of the packet being answered */

    /* what the client can do (qSupported) */
    bool client_bare;       /* qSupported without a list: a script, not a debugger */
    bool client_runs;       /* qSupported with a list: it decodes run lengths */
    bool client_swbreak, client_hwbreak, client_error_text;
    /* lldb */
    bool lldb_errors;       /* QEnableErrorStrings: Exx;hex */
    bool thread_suffix;     /* QThreadSuffixSupported */
    bool threads_in_stop;   /* QListThreadsInStopReply */

    bool extended;          /* '!' */
    bool gone;              /* extended: killed or detached, until vRun, vAttach or R */
    bool physical;          /* Qqemu.PhyMemMode: memory packets name physical addresses */
    enum rsp_end ended;

    unsigned thread;        /* selected, from 0: what packets about registers and memory mean */
    unsigned resume_thread; /* Hc: what s and bs step; RSP_ANY_THREAD: asked_thread */
    unsigned asked_thread;  /* of the last stop, or what T has asked for since: gdb does when its user chooses one, while it
                               selects every one (Hg) only to list them */

    /* running */
    bool running;
    bool run_silent;        /* the end of this run is not reported (R) */
    bool run_quiet;         /* the client takes no O packet before its end: R, vRun */
    struct rsp_run run;
    unsigned interrupts;    /* that have not ended a run yet */
    struct rsp_stop stop;   /* why the guest stands; text is not kept */
    unsigned ends;          /* how often it was told in a row that the guest has ended */
    bool armed;             /* rsp_arm_seek */
    bool armed_by_run;      /* ... by vRun: any other resume than a continue forward disarms */
    bool armed_over_step;   /* one instruction was stepped since: only a resume keeps that from disarming */
    bool armed_move;        /* rsp_arm_move */
    icount_t armed_position;
    char armed_what[RSP_ARMED_TEXT]; /* "seek to position 5" */

    /* console */
    bool in_monitor;
    bool told_past;         /* it was said why the past cannot be written to */
    struct buffer fed;      /* bytes of the client: done up to */
    size_t fed_done;
    struct buffer console;  /* text that waits for the guest to run */

    struct rsp_tracing *tracing; /* NULL: there are no tracepoints */
    bool asking;            /* inside a tracepoint packet, whose client takes O packets before the reply */

    struct rsp_breakpoint *breakpoints;
    unsigned nbreakpoints;

    struct buffer xml;      /* the document that qXfer reads from, remade at offset 0 */
    char xml_name[24];      /* which one it is */
};

/* ---- request.c ---- */

/* Reading a request. The takers move r->p only when they succeed. */
bool rsp_take(struct rsp_request *r, const char *literal);
bool rsp_take_hex(struct rsp_request *r, uint64_t *value); /* 1 digit or more, 64 bits at most */
/* All that is left, as hex bytes (appended). */
bool rsp_take_hex_bytes(struct rsp_request *r, struct buffer *out);
/* `len` bytes of hex. */
bool rsp_take_hex_exactly(struct rsp_request *r, void *out, size_t len);
bool rsp_take_address(struct rsp_session *s, struct rsp_request *r, uint64_t *addr);
/* A thread id, as a number from 0; RSP_ANY_THREAD for 0 (any) and -1 (all). False: there is no such thread. */
bool rsp_take_thread(struct rsp_session *s, struct rsp_request *r, unsigned *thread);
/* lldb's ";thread:1;" at the end of a packet selects the thread for it. */
void rsp_select_by_suffix(struct rsp_session *s, const char *body, size_t len);
bool rsp_at_end(const struct rsp_request *r);
/* lldb's ";thread:1;" at the end, if any; then the end. */
bool rsp_at_end_of_thread_packet(struct rsp_session *s, struct rsp_request *r);

/* ---- reply.c ---- */

/* What is read and written from now on is this thread's. */
void rsp_select_thread(struct rsp_session *s, unsigned thread);

/* The reply so far is dropped for an error reply. */
enum rsp_verdict rsp_reply_error(struct rsp_session *s, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
enum rsp_verdict rsp_reply_failed(struct rsp_session *s, const struct error *err);
enum rsp_verdict rsp_reply_malformed(struct rsp_session *s);
enum rsp_verdict rsp_reply_text(struct rsp_session *s, const char *text);
enum rsp_verdict rsp_reply_ok(struct rsp_session *s);
/* Append a stop reply to s->reply. */
enum rsp_verdict rsp_reply_stop(struct rsp_session *s);
/* The signal by which a stop is told, in gdb's numbering. */
unsigned rsp_stop_signal(struct rsp_session *s);
/* The reason of the stop in lldb's words, with a description (appended) where it has one. */
const char *rsp_lldb_reason(const struct rsp_session *s, struct buffer *description);
/* Value of a register as hex, or x's. */
void rsp_put_register(struct rsp_session *s, struct buffer *out, unsigned n);
/* The program counter as the client sees it. False: not available. */
bool rsp_read_pc(struct rsp_session *s, uint64_t *pc);
uint64_t rsp_address_mask(const struct rsp_session *s);
/* read_memory, that much of it which lies in the address space. */
size_t rsp_read_memory(struct rsp_session *s, uint64_t addr, void *buf, size_t len);

/* ---- session.c ---- */

/* Start a run whose end answers the packet. */
enum rsp_verdict rsp_begin_run(struct rsp_session *s, const struct rsp_run *run);
/* The same for a client that takes a stop reply only: the guest's console waits. */
enum rsp_verdict rsp_begin_quiet_run(struct rsp_session *s, const struct rsp_run *run);
/* Start a run that is not reported; packets that follow wait for its end. */
enum rsp_verdict rsp_begin_silent_run(struct rsp_session *s, const struct rsp_run *run);
/* One 'O' packet (or several). */
void rsp_send_console(struct rsp_session *s, const char *text, size_t len);

/* ---- monitor.c ---- */

/* Carry out a command line. What is to be shown goes to out. */
int rsp_monitor(struct rsp_session *s, const char *line, struct buffer *out, struct error *err);

/* ---- rule tables ---- */
extern const struct rsp_rule rsp_packet_rules[];
extern const struct rsp_rule rsp_query_rules[];
extern const struct rsp_rule rsp_lldb_rules[];
extern const struct rsp_rule rsp_trace_rules[];
extern const unsigned rsp_trace_rule_count;

/* ---- trace.c ---- */
bool rsp_traces(const struct rsp_session *s);
/* What qSupported says of it, from ';' on. */
void rsp_put_trace_features(struct buffer *out);
/* The client looks at a trace frame: the guest stands there, and is neither to be run nor to be changed. */
bool rsp_frame_selected(const struct rsp_session *s);
/* By whose eyes. */
unsigned rsp_frame_thread(const struct rsp_session *s);
enum rsp_verdict rsp_refuse_in_frame(struct rsp_session *s);
/* None is selected any more. */
void rsp_leave_frame(struct rsp_session *s);
/* The guest has come to stand. */
void rsp_tracing_note_stop(struct rsp_session *s);

/* ---- breakpoint.c ---- */
rsp_handler rsp_insert_breakpoint, rsp_remove_breakpoint;
void rsp_breakpoints_finish(struct rsp_session *s);
/* Does the client see the PC at a breakpoint of its own, whatever its condition says? */
bool rsp_breakpoint_at_pc(struct rsp_session *s);

/* ---- features.c ---- */
void rsp_make_target_xml(struct rsp_session *s, struct buffer *out);
/* The number of register n in DWARF and unwinding tables; -1: it has none. */
int rsp_dwarf_number(const struct rsp_target_info *info, unsigned n);
void rsp_make_memory_map(struct rsp_session *s, struct buffer *out);
void rsp_make_threads(struct rsp_session *s, struct buffer *out);

#endif
