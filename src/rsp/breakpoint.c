/*
 * Break- and watchpoints: the Z and z packets, and the question whether a hit
 * counts. gdb manual, "Packets" (z, Z) and "Agent Expressions".
 *
 * Break- and watchpoints never touch guest memory: the list here is all there
 * is, and the server hands it to the timeline before each run.
 */
#include "rsp/session.h"

#include <stdlib.h>
#include <string.h>

#define MAX_EXPRESSIONS 256u

static void expressions_finish(struct agent_expr *list, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        agent_finish(&list[i]);
    free(list);
}

static void breakpoint_finish(struct rsp_breakpoint *bp)
{
    expressions_finish(bp->conditions, bp->nconditions);
    expressions_finish(bp->commands, bp->ncommands);
}

void rsp_breakpoints_finish(struct rsp_session *s)
{
    for (unsigned i = 0; i < s->nbreakpoints; i++)
        breakpoint_finish(&s->breakpoints[i]);
    free(s->breakpoints);
    s->breakpoints = NULL;
    s->nbreakpoints = 0;
}

const struct rsp_breakpoint *rsp_breakpoints(const struct rsp_session *s, unsigned *count)
{
    *count = s->nbreakpoints;
    return s->breakpoints;
}

static struct rsp_breakpoint *find(struct rsp_session *s, const struct rsp_breakpoint *like)
{
    for (unsigned i = 0; i < s->nbreakpoints; i++) {
        struct rsp_breakpoint *bp = &s->breakpoints[i];

        if (bp->type == like->type && bp->physical == like->physical && bp->address == like->address &&
            bp->len == like->len)
            return bp;
    }
    return NULL;
}

/* ---- parsing ---- */

/* "type,addr,kind" */
static bool take_place(struct rsp_session *s, struct rsp_request *r, struct rsp_breakpoint *bp)
{
    uint64_t type;

    *bp = (struct rsp_breakpoint){0};
    if (!rsp_take_hex(r, &type) || type > RSP_WATCH_ACCESS || !rsp_take(r, ","))
        return false;
    bp->type = (enum rsp_breakpoint_type)type;
    bp->physical = s->physical && bp->type >= RSP_WATCH_WRITE;
    return rsp_take_hex(r, &bp->address) && (bp->physical || bp->address <= rsp_address_mask(s)) && rsp_take(r, ",") &&
           rsp_take_hex(r, &bp->len);
}

/* "len,hex" after an 'X', appended to a list. */
static int take_expression(struct rsp_session *s, struct rsp_request *r, struct agent_expr **list,
                           unsigned *count, struct error *err)
{
    struct agent_expr e;
    uint64_t len;
    uint8_t *code;
    int result;

    if (!rsp_take_hex(r, &len) || !rsp_take(r, ",") || len > (uint64_t)(r->end - r->p) / 2 ||
        *count == MAX_EXPRESSIONS)
        return error_set(err, -EINVAL, "malformed condition or command list");
    code = xmalloc((size_t)len);
    if (rsp_take_hex_exactly(r, code, (size_t)len))
        result = agent_init(&e, code, (size_t)len, s->info->nregs, err);
    else
        result = error_set(err, -EINVAL, "malformed bytecode");
    free(code);
    if (result)
        return result;
    if (agent_uses_variables(&e)) {
        agent_finish(&e);
        return error_set(err, -ENOTSUP, "trace state variables are of tracepoints: a breakpoint's condition is asked more than once");
    }
    *list = xrealloc(*list, (*count + 1) * sizeof(**list));
    (*list)[(*count)++] = e;
    return 0;
}

/* [;Xlen,code...][;cmds:persist,Xlen,code...] */
static int take_lists(struct rsp_session *s, struct rsp_request *r, struct rsp_breakpoint *bp,
                      struct error *err)
{
    bool commands = false;
    uint64_t persist;
    int result = 0;

    while (!rsp_at_end(r) && !result) {
        if (rsp_take(r, "X")) {
            result = commands ? take_expression(s, r, &bp->commands, &bp->ncommands, err)
                              : take_expression(s, r, &bp->conditions, &bp->nconditions, err);
        } else if (rsp_take(r, ";cmds:") || rsp_take(r, "cmds:")) {
            if (commands || !rsp_take_hex(r, &persist) || !rsp_take(r, ","))
                return error_set(err, -EINVAL, "malformed command list");
            bp->persist = persist != 0;
            commands = true;
        } else if (!rsp_take(r, ";")) {
            return error_set(err, -EINVAL, "malformed condition list");
        }
    }
    return result;
}

/* Watchpoints are of bytes that exist. */
static int check_place(struct rsp_session *s, const struct rsp_breakpoint *bp, struct error *err)
{
    if (bp->type < RSP_WATCH_WRITE)
        return 0;
    if (!bp->len)
        return error_set(err, -EINVAL, "a watchpoint of no bytes");
    if (bp->physical && bp->type != RSP_WATCH_WRITE)
        return error_set(err, -ENOTSUP, "physical addresses are watched for writes only");
    if (bp->len - 1 > (bp->physical ? UINT64_MAX : rsp_address_mask(s)) - bp->address)
        return error_set(err, -EINVAL, "the watchpoint runs over the end of the address space");
    return 0;
}

static int add(struct rsp_session *s, const struct rsp_breakpoint *bp, struct error *err)
{
    struct rsp_breakpoint *old = find(s, bp);
    int result;

    if (old) { /* gdb sends a breakpoint again when its conditions changed */
        breakpoint_finish(old);
        *old = *bp;
        return 0;
    }
    if (s->nbreakpoints == RSP_MAX_BREAKPOINTS)
        return error_set(err, -ENOSPC, "more than %u breakpoints", RSP_MAX_BREAKPOINTS);
    if (s->ops->check_breakpoint) {
        result = s->ops->check_breakpoint(s->ctx, bp, err);
        if (result)
            return result;
    }
    s->breakpoints = xrealloc(s->breakpoints, (s->nbreakpoints + 1) * sizeof(*bp));
    s->breakpoints[s->nbreakpoints++] = *bp;
    return 0;
}

enum rsp_verdict rsp_insert_breakpoint(struct rsp_session *s, struct rsp_request *r)
{
    struct rsp_breakpoint bp;
    struct error err = {0};
    int result;

    /* A type that does not exist is not supported, rather than an error. */
    if (r->p<r->end && * r->p> '4')
        return rsp_reply_text(s, "");
    if (!take_place(s, r, &bp))
        return rsp_reply_error(s, EINVAL, "malformed breakpoint, or an address that does not exist");
    result = check_place(s, &bp, &err);
    if (!result)
        result = take_lists(s, r, &bp, &err);
    if (!result)
        result = add(s, &bp, &err);
    if (!result)
        return rsp_reply_ok(s);
    breakpoint_finish(&bp);
    return rsp_reply_failed(s, &err);
}

enum rsp_verdict rsp_remove_breakpoint(struct rsp_session *s, struct rsp_request *r)
{
    struct rsp_breakpoint place, *bp;

    if (r->p<r->end && * r->p> '4')
        return rsp_reply_text(s, "");
    if (!take_place(s, r, &place) || !rsp_at_end(r))
        return rsp_reply_error(s, EINVAL, "malformed breakpoint, or an address that does not exist");
    bp = find(s, &place);
    if (bp) { /* removing what is not there is right too: the packets are idempotent */
        breakpoint_finish(bp);
        *bp = s->breakpoints[--s->nbreakpoints];
    }
    return rsp_reply_ok(s);
}

/* ---- hits ---- */

static bool eval_register(void *ctx, unsigned n, uint64_t *value)
{
    struct rsp_session *s = ctx;
    uint8_t bytes[RSP_MAX_REG_BYTES] = {0};

    if (n >= s->info->nregs || !s->ops->read_register(s->ctx, n, bytes))
        return false;
    memset(bytes + s->info->regs[n].bits / 8, 0, sizeof(bytes) - s->info->regs[n].bits / 8);
    memcpy(value, bytes, sizeof(*value));
    return true;
}

/* Expressions compute with 64 bits; addresses wrap at the target's width. */
static bool eval_memory(void *ctx, uint64_t addr, void *buf, size_t len)
{
    struct rsp_session *s = ctx;
    uint64_t mask = rsp_address_mask(s);

    addr &= mask;
    if (len - 1 > mask - addr)
        return false;
    return s->ops->read_memory(s->ctx, false, addr, buf, len) == len;
}

static void eval_print(void *ctx, const char *text, size_t len)
{
    rsp_console(ctx, text, len);
}

static struct agent_env eval_env(struct rsp_session *s)
{
    return (struct agent_env){
        .ctx = s,
        .read_register = eval_register,
        .read_memory = eval_memory,
        .print = eval_print,
        .long_bits = 8 * s->info->pointer_bytes,
    };
}

static bool conditions_hold(struct rsp_session *s, const struct rsp_breakpoint *bp)
{
    struct agent_env env = eval_env(s);
    uint64_t value;

    for (unsigned i = 0; i < bp->nconditions; i++) {
        if (agent_eval(&bp->conditions[i], &env, &value, NULL) || value)
            return true;
    }
    return !bp->nconditions;
}

static void run_commands(struct rsp_session *s, const struct rsp_breakpoint *bp)
{
    struct agent_env env = eval_env(s);
    struct error err = {0};
    uint64_t value;

    for (unsigned i = 0; i < bp->ncommands; i++) {
        if (!agent_eval(&bp->commands[i], &env, &value, &err))
            continue;
        rsp_console(s, err.text, strlen(err.text));
        rsp_console(s, "\n", 1);
    }
}

bool rsp_breakpoint_at_pc(struct rsp_session *s)
{
    uint64_t pc;

    if (!rsp_read_pc(s, &pc))
        return false;
    for (unsigned i = 0; i < s->nbreakpoints; i++)
        if (s->breakpoints[i].type <= RSP_BREAK_HW && s->breakpoints[i].address == pc)
            return true;
    return false;
}

bool rsp_exec_hit(struct rsp_session *s, uint64_t pc, bool commands, struct rsp_stop *stop)
{
    bool hit = false;

    for (unsigned i = 0; i < s->nbreakpoints; i++) {
        const struct rsp_breakpoint *bp = &s->breakpoints[i];

        if (bp->type > RSP_BREAK_HW || bp->address != pc || !conditions_hold(s, bp))
            continue;
        /* A breakpoint with commands does not stop (as in gdbserver). */
        if (bp->ncommands) {
            if (commands)
                run_commands(s, bp);
            continue;
        }
        if (hit)
            continue;
        hit = true;
        *stop = (struct rsp_stop){
            .reason = bp->type == RSP_BREAK_SW ? RSP_STOP_SWBREAK : RSP_STOP_HWBREAK,
            .address = pc,
        };
    }
    return hit;
}

bool rsp_watch_counts(struct rsp_session *s, enum rsp_breakpoint_type type, bool physical, uint64_t address,
                      uint64_t len)
{
    const struct rsp_breakpoint like = {.type = type, .physical = physical, .address = address, .len = len};
    const struct rsp_breakpoint *bp = find(s, &like);

    return bp && conditions_hold(s, bp);
}

bool rsp_stops_at_once(struct rsp_session *s, bool told)
{
    return !told || (s->client_runs && rsp_breakpoint_at_pc(s));
}
