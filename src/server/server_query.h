/*
 * What the monitor's queries share: the words that all of them take, the lines that they answer in (doc/queries.md),
 * conditions.
 */
#ifndef HINDCAST_SERVER_QUERY_H
#define HINDCAST_SERVER_QUERY_H

#include "replay/query.h"
#include "rsp/agent.h"
#include "server_internal.h"

#define QUERY_WORDS 6u

/* A query as it was asked: its own words, and those of all. */
struct asked {
    struct server *s;
    struct rsp_monitor_call *call;
    const char *words[QUERY_WORDS]; /* in `line` */
    unsigned nwords;
    char *line;
    icount_t from, to;
    bool newest, json, conditional, registers;
    unsigned said;            /* words of all queries that were there */
    uint64_t limit, threads;
    struct agent_expr condition;
    struct buffer text;       /* the line in the making */
    unsigned nfields;
};

/* Take a command's line apart. 0, or negative with *err. Whatever it says, asked_finish() ends it. */
int asked_init(struct asked *a, struct rsp_monitor_call *call, unsigned least, unsigned most, struct error *err);
void asked_finish(struct asked *a);
/* Word `n` as a number; `what` it should be. */
int asked_number(const struct asked *a, unsigned n, const char *what, uint64_t *value, struct error *err);
/* The same for a position. */
int asked_position(const struct asked *a, const char *word, icount_t *position, struct error *err);

/* Does the condition, if there is one, hold for that CPU as the machine stands? In any thread. */
bool asked_holds(const struct asked *a, const struct machine *m, unsigned cpu);
/* The low 64 bits of the register of that name; 0: there is none. */
uint64_t asked_register(const struct cpu *cpu, const char *name);

/* A line of the answer: fields by name, then its end. */
void line_decimal(struct asked *a, const char *name, uint64_t value);
void line_hex(struct asked *a, const char *name, uint64_t value);
void line_word(struct asked *a, const char *name, const char *value);
/* Bytes of memory: as a number, if there are 1, 2, 4 or 8. */
void line_bytes(struct asked *a, const char *name, const uint8_t *bytes, size_t len);
/* Sends it. False: the debugger wants no more. */
bool line_end(struct asked *a);

/* Ask the timeline, and say at the end what was searched. `query` has what hits, note() and answer(). */
int asked_run(struct asked *a, struct query *query, struct query_result *result, struct error *err);
void asked_tell_end(struct asked *a, const char *what, const struct query_result *result);

/* What is noted of a hit, for all kinds. */
struct noted {
    struct trap_hit hit;
    uint64_t pc, sp, root;
    uint8_t now[TRAP_BYTES];
};
/* note() for queries whose records begin with a struct noted: fills it in, asks the condition. */
bool asked_note(void *ctx, struct machine *m, const struct trap_hit *hit, void *record);

/* An address as typed: ADDR as the debugger's CPU sees it here, phys:ADDR, virt:ADDR in whatever address space. */
struct place {
    uint64_t address, len;
    bool physical, everywhere;
    struct trap *traps;       /* one for each page; */
    uint64_t *called;         /* what their first bytes are called */
    unsigned count;
};
int place_find(struct place *p, const struct asked *a, const char *word, uint64_t len, unsigned kinds, struct error *err);
void place_done(struct place *p);

/* server_query.c, server_calls.c, server_history.c, server_wire.c: the handlers. */
int query_writes(struct rsp_monitor_call *call, struct error *err);
int query_reads(struct rsp_monitor_call *call, struct error *err);
int query_accesses(struct rsp_monitor_call *call, struct error *err);
int query_exceptions(struct rsp_monitor_call *call, struct error *err);
int query_interrupts(struct rsp_monitor_call *call, struct error *err);
int query_io(struct rsp_monitor_call *call, struct error *err);
int query_modes(struct rsp_monitor_call *call, struct error *err);
int query_when_value(struct rsp_monitor_call *call, struct error *err);
int query_calls(struct rsp_monitor_call *call, struct error *err);
int query_syscalls(struct rsp_monitor_call *call, struct error *err);
int query_trace(struct rsp_monitor_call *call, struct error *err);
int query_packets(struct rsp_monitor_call *call, struct error *err);
int query_packet(struct rsp_monitor_call *call, struct error *err);
int query_pcap(struct rsp_monitor_call *call, struct error *err);
int query_coverage(struct rsp_monitor_call *call, struct error *err);
int query_diff(struct rsp_monitor_call *call, struct error *err);
int query_branch_diff(struct rsp_monitor_call *call, struct error *err);
int query_find(struct rsp_monitor_call *call, struct error *err);

#endif
