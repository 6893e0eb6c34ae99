/*
 * Packets that do: registers, memory, resuming, the life of the session.
 *
 * gdb manual, "Packets" (letters in its order) and "vCont Packet". Queries are in
 * query.c.
 */
#include "rsp/session.h"

#include <stdlib.h>
#include <string.h>

/* Memory packets answer with at most this much; asking for more gets a short answer, as
 * the protocol allows. */
#define MAX_TRANSFER (RSP_PACKET_SIZE / 2 - 16)

/* ---- what cannot be understood (see session.c) ---- */

static enum rsp_verdict on_bad_sum(struct rsp_session *s, struct rsp_request *r)
{
    (void)r;
    return rsp_reply_error(s, EILSEQ, "packet with a wrong checksum");
}

static enum rsp_verdict on_too_long(struct rsp_session *s, struct rsp_request *r)
{
    (void)r;
    return rsp_reply_error(s, EMSGSIZE, "packet longer than %u bytes", RSP_PACKET_SIZE);
}

/* ---- session ---- */

static enum rsp_verdict on_extended(struct rsp_session *s, struct rsp_request *r)
{
    (void)r;
    s->extended = true;
    return rsp_reply_ok(s);
}

static enum rsp_verdict on_why(struct rsp_session *s, struct rsp_request *r)
{
    (void)r;
    return rsp_reply_stop(s);
}

/* The guest and its history outlive a client: under extended-remote, `kill` and `detach` only
 * mean that this client wants no process for now. */
static enum rsp_verdict on_detach(struct rsp_session *s, struct rsp_request *r)
{
    if (!rsp_at_end(r))
        return rsp_reply_error(s, EINVAL, "there is one process: D has no argument");
    rsp_leave_frame(s);
    rsp_disarm_seek(s, NULL);
    if (s->extended)
        s->gone = true;
    else
        s->ended = RSP_DETACHED;
    return rsp_reply_ok(s);
}

static enum rsp_verdict on_k(struct rsp_session *s, struct rsp_request *r)
{
    (void)r;
    rsp_leave_frame(s);
    rsp_disarm_seek(s, NULL);
    if (s->extended)
        s->gone = true;
    else
        s->ended = RSP_KILLED;
    return RSP_SILENT;
}

static enum rsp_verdict on_vkill(struct rsp_session *s, struct rsp_request *r)
{
    uint64_t pid;

    /* Without the multiprocess extension gdb makes a number up (42000): any will do. */
    if (!rsp_take_hex(r, &pid) || !rsp_at_end(r))
        return rsp_reply_malformed(s);
    on_k(s, r);
    return rsp_reply_ok(s);
}

static enum rsp_verdict on_vattach(struct rsp_session *s, struct rsp_request *r)
{
    uint64_t pid;

    if (!rsp_take_hex(r, &pid) || !rsp_at_end(r))
        return rsp_reply_malformed(s);
    s->gone = false;
    s->stop = (struct rsp_stop){.reason = RSP_STOP_STEP}; /* what happened before is not news */
    return rsp_reply_stop(s);
}

/* Breakpoints are the client's business across a restart; the rest starts afresh. */
static void begin_again(struct rsp_session *s)
{
    s->gone = false;
    rsp_disarm_seek(s, NULL);
}

static enum rsp_verdict on_restart(struct rsp_session *s, struct rsp_request *r)
{
    struct rsp_run run = {.kind = RSP_RUN_SEEK};

    (void)r;
    if (!s->extended)
        return rsp_reply_error(s, EPERM, "R needs extended mode");
    begin_again(s);
    rsp_parse_position(s, "start", &run.position);
    return rsp_begin_silent_run(s, &run); /* R has no reply */
}

/* vRun;FILE;ARG...: `run N` goes to position N, `run` restarts from the start of history.
 *
 * gdb's `run` is a vRun whose stop it does not show, and a continue. So that the user stands at N in the
 * end, that continue goes there: as `monitor seek` does, this arms. (After `starti N`,
 * which does not continue, the user's own first continue is the one that stays.) */
static enum rsp_verdict on_vrun(struct rsp_session *s, struct rsp_request *r)
{
    struct rsp_run run = {.kind = RSP_RUN_SEEK, .brief = true};
    const char *semicolon = memchr(r->p, ';', (size_t)(r->end - r->p));
    struct buffer arg;
    bool good = true, given;

    buffer_init(&arg);
    if (semicolon) {
        r->p = semicolon + 1;
        if (memchr(r->p, ';', (size_t)(r->end - r->p)))
            good = false;
        else
            good = rsp_take_hex_bytes(r, &arg);
    }
    buffer_append_byte(&arg, 0);
    given = arg.len > 1;
    if (good)
        good = rsp_parse_position(s, given ? (const char *)arg.data : "start", &run.position);
    buffer_finish(&arg);
    if (!good)
        return rsp_reply_error(s, EINVAL,
                               "run takes one argument, the position to go to "
                               "(a number, start or end), or none");
    begin_again(s);
    rsp_begin_quiet_run(s, &run); /* gdb waits for a stop, not for a console */
    if (given) {
        rsp_arm_seek(s, run.position);
        s->armed_by_run = true;
    }
    return RSP_LATER;
}

/* ---- threads ---- */

static enum rsp_verdict on_set_thread(struct rsp_session *s, struct rsp_request *r)
{
    bool general = rsp_take(r, "g");
    unsigned thread;

    if (!general && !rsp_take(r, "c"))
        return rsp_reply_malformed(s);
    if (!rsp_take_thread(s, r, &thread) || !rsp_at_end(r))
        return rsp_reply_error(s, ESRCH, "no such thread");
    if (!general)
        s->resume_thread = thread;
    else if (thread != RSP_ANY_THREAD)
        rsp_select_thread(s, thread);
    return rsp_reply_ok(s);
}

static enum rsp_verdict on_thread_alive(struct rsp_session *s, struct rsp_request *r)
{
    unsigned thread;

    if (s->gone || !rsp_take_thread(s, r, &thread) || !rsp_at_end(r))
        return rsp_reply_error(s, ESRCH, "no such thread");
    if (thread != RSP_ANY_THREAD)
        s->asked_thread = thread;
    return rsp_reply_ok(s);
}

/* ---- registers ---- */

static enum rsp_verdict on_read_registers(struct rsp_session *s, struct rsp_request *r)
{
    if (!rsp_at_end_of_thread_packet(s, r))
        return rsp_reply_malformed(s);
    for (unsigned n = 0; n < s->info->nregs; n++)
        rsp_put_register(s, &s->reply, n);
    return RSP_ANSWER;
}

/* Write a register that differs. A debugger write is an event of the recording, and some registers
 * refuse to be written: G repeats all that the client did not touch. */
static int write_changed(struct rsp_session *s, unsigned n, const uint8_t *value, struct error *err)
{
    uint8_t now[RSP_MAX_REG_BYTES] = {0};

    if (s->ops->read_register(s->ctx, n, now) && memcmp(now, value, s->info->regs[n].bits / 8) == 0)
        return 0;
    return s->ops->write_register(s->ctx, n, value, err);
}

static enum rsp_verdict on_write_registers(struct rsp_session *s, struct rsp_request *r)
{
    uint8_t value[RSP_MAX_REG_BYTES];
    struct error err = {0};

    if (rsp_frame_selected(s))
        return rsp_refuse_in_frame(s);
    for (unsigned n = 0; n < s->info->nregs; n++) {
        size_t len = s->info->regs[n].bits / 8;

        if (rsp_at_end(r))
            break; /* a short G leaves the rest alone */
        if ((size_t)(r->end - r->p) >= 2 * len && r->p[0] == 'x') {
            r->p += 2 * len; /* not available: leave alone */
            continue;
        }
        if (!rsp_take_hex_exactly(r, value, len))
            return rsp_reply_malformed(s);
        if (write_changed(s, n, value, &err))
            return rsp_reply_failed(s, &err);
    }
    return rsp_at_end_of_thread_packet(s, r) ? rsp_reply_ok(s) : rsp_reply_malformed(s);
}

static bool take_register(struct rsp_session *s, struct rsp_request *r, unsigned *n)
{
    uint64_t number;

    if (!rsp_take_hex(r, &number) || number >= s->info->nregs)
        return false;
    *n = (unsigned)number;
    return true;
}

static enum rsp_verdict on_read_register(struct rsp_session *s, struct rsp_request *r)
{
    unsigned n;

    if (!take_register(s, r, &n))
        return rsp_reply_error(s, EINVAL, "no such register");
    if (!rsp_at_end_of_thread_packet(s, r))
        return rsp_reply_malformed(s);
    rsp_put_register(s, &s->reply, n);
    return RSP_ANSWER;
}

static enum rsp_verdict on_write_register(struct rsp_session *s, struct rsp_request *r)
{
    uint8_t value[RSP_MAX_REG_BYTES];
    struct error err = {0};
    unsigned n;

    if (!take_register(s, r, &n))
        return rsp_reply_error(s, EINVAL, "no such register");
    if (!rsp_take(r, "=") || !rsp_take_hex_exactly(r, value, s->info->regs[n].bits / 8) ||
        !rsp_at_end_of_thread_packet(s, r))
        return rsp_reply_error(s, EINVAL, "%s has %u bits", s->info->regs[n].name, s->info->regs[n].bits);
    if (rsp_frame_selected(s))
        return rsp_refuse_in_frame(s);
    if (s->ops->write_register(s->ctx, n, value, &err))
        return rsp_reply_failed(s, &err);
    return rsp_reply_ok(s);
}

/* ---- memory ---- */

/* "addr,len" */
static bool take_range(struct rsp_session *s, struct rsp_request *r, uint64_t *addr, uint64_t *len)
{
    return rsp_take_address(s, r, addr) && rsp_take(r, ",") && rsp_take_hex(r, len);
}

/* Read into a fresh buffer; how much was readable, at most MAX_TRANSFER. */
static size_t read_some(struct rsp_session *s, uint64_t addr, uint64_t len, uint8_t **data)
{
    size_t want = len > MAX_TRANSFER ? MAX_TRANSFER : (size_t)len;

    *data = xmalloc(want);
    return rsp_read_memory(s, addr, *data, want);
}

static enum rsp_verdict no_memory_at(struct rsp_session *s, uint64_t addr)
{
    return rsp_reply_error(s, EFAULT, "no memory at %s0x%" PRIx64, s->physical ? "physical address " : "",
                           addr);
}

static enum rsp_verdict on_read_memory(struct rsp_session *s, struct rsp_request *r)
{
    uint64_t addr, len;
    uint8_t *data;
    size_t got;

    if (!take_range(s, r, &addr, &len) || !rsp_at_end(r))
        return rsp_reply_error(s, EINVAL, "malformed packet, or an address that does not exist");
    got = read_some(s, addr, len, &data);
    if (got || !len)
        rsp_put_hex(&s->reply, data, got);
    else
        no_memory_at(s, addr);
    free(data);
    return RSP_ANSWER;
}

/* binary-upload: 'b' and the bytes. Escapes may double them, so half of the packet. */
static enum rsp_verdict on_read_binary(struct rsp_session *s, struct rsp_request *r)
{
    uint64_t addr, len;
    uint8_t *data;
    size_t got;

    if (!take_range(s, r, &addr, &len) || !rsp_at_end(r))
        return rsp_reply_error(s, EINVAL, "malformed packet, or an address that does not exist");
    got = read_some(s, addr, len, &data);
    if (got || !len) {
        buffer_append_byte(&s->reply, 'b');
        buffer_append(&s->reply, data, got);
    } else {
        no_memory_at(s, addr);
    }
    free(data);
    return RSP_ANSWER;
}

static enum rsp_verdict write_memory(struct rsp_session *s, uint64_t addr, const void *data, size_t len)
{
    uint64_t mask = s->physical ? UINT64_MAX : rsp_address_mask(s);
    struct error err = {0};

    if (!len) /* gdb asks so whether X is known */
        return rsp_reply_ok(s);
    if (rsp_frame_selected(s))
        return rsp_refuse_in_frame(s);
    if (len - 1 > mask - addr)
        return rsp_reply_error(s, EFAULT, "the range runs over the end of the address space");
    if (!s->ops->write_memory(s->ctx, s->physical, addr, data, len, &err))
        return rsp_reply_ok(s);
    /* All that gdb shows of an error here is "Cannot access memory". */
    if (err.code == -EROFS && !s->told_past) {
        s->told_past = true;
        rsp_console(s, err.text, strlen(err.text));
        rsp_console(s, "\n", 1);
    }
    return rsp_reply_failed(s, &err);
}

static enum rsp_verdict on_write_memory(struct rsp_session *s, struct rsp_request *r)
{
    enum rsp_verdict verdict;
    struct buffer data;
    uint64_t addr, len;

    if (!take_range(s, r, &addr, &len) || !rsp_take(r, ":"))
        return rsp_reply_error(s, EINVAL, "malformed packet, or an address that does not exist");
    buffer_init(&data);
    if (rsp_take_hex_bytes(r, &data) && data.len == len)
        verdict = write_memory(s, addr, data.data, data.len);
    else
        verdict = rsp_reply_error(s, EINVAL, "length and data do not agree");
    buffer_finish(&data);
    return verdict;
}

static enum rsp_verdict on_write_binary(struct rsp_session *s, struct rsp_request *r)
{
    uint64_t addr, len;

    if (!take_range(s, r, &addr, &len) || !rsp_take(r, ":"))
        return rsp_reply_error(s, EINVAL, "malformed packet, or an address that does not exist");
    if (len != (uint64_t)(r->end - r->p))
        return rsp_reply_error(s, EINVAL, "length and data do not agree");
    return write_memory(s, addr, r->p, (size_t)len);
}

/* ---- resuming ---- */

static enum rsp_verdict no_process(struct rsp_session *s)
{
    return rsp_reply_error(s, ESRCH, "no process: use run or attach");
}

/* What s and bs step. */
static uint64_t thread_to_step(const struct rsp_session *s)
{
    return (uint64_t)1 << (s->resume_thread == RSP_ANY_THREAD ? s->asked_thread : s->resume_thread);
}

/* Resume at an address: the program counter is written first. */
static enum rsp_verdict resume(struct rsp_session *s, struct rsp_request *r, enum rsp_run_kind kind)
{
    struct rsp_run run = {.kind = kind, .alone = true, .steppers = thread_to_step(s)};
    uint8_t value[RSP_MAX_REG_BYTES] = {0};
    struct error err = {0};
    uint64_t pc;

    if (s->gone)
        return no_process(s);
    if (rsp_frame_selected(s))
        return rsp_refuse_in_frame(s);
    if (rsp_at_end(r))
        return rsp_begin_run(s, &run);
    if (!rsp_take_hex(r, &pc) || pc > rsp_address_mask(s) || !rsp_at_end(r))
        return rsp_reply_malformed(s);
    memcpy(value, &pc, sizeof(pc));
    if (s->ops->write_register(s->ctx, s->info->pc_reg, value, &err))
        return rsp_reply_failed(s, &err);
    return rsp_begin_run(s, &run);
}

static enum rsp_verdict on_continue(struct rsp_session *s, struct rsp_request *r)
{
    return resume(s, r, RSP_RUN_CONTINUE);
}

static enum rsp_verdict on_step(struct rsp_session *s, struct rsp_request *r)
{
    return resume(s, r, RSP_RUN_STEP);
}

/* C sig[;addr]: there is nobody to deliver a signal to; it is dropped. */
static enum rsp_verdict resume_with_signal(struct rsp_session *s, struct rsp_request *r,
                                           enum rsp_run_kind kind)
{
    uint64_t signal;

    if (!rsp_take_hex(r, &signal))
        return rsp_reply_malformed(s);
    if (!rsp_at_end(r) && !rsp_take(r, ";"))
        return rsp_reply_malformed(s);
    return resume(s, r, kind);
}

static enum rsp_verdict on_continue_signal(struct rsp_session *s, struct rsp_request *r)
{
    return resume_with_signal(s, r, RSP_RUN_CONTINUE);
}

static enum rsp_verdict on_step_signal(struct rsp_session *s, struct rsp_request *r)
{
    return resume_with_signal(s, r, RSP_RUN_STEP);
}

static bool can_reverse(const struct rsp_session *s)
{
    return s->info->reverse;
}

static bool can_seek(const struct rsp_session *s)
{
    return s->info->seek;
}

static enum rsp_verdict resume_backwards(struct rsp_session *s, enum rsp_run_kind kind)
{
    struct rsp_run run = {.kind = kind, .reverse = true, .steppers = thread_to_step(s)};

    if (s->gone)
        return no_process(s);
    if (s->resume_thread != RSP_ANY_THREAD) /* Hc named it: it alone */
        run.left_out = UINT64_MAX >> (RSP_MAX_THREADS - s->info->nthreads) & ~run.steppers;
    return rsp_begin_run(s, &run);
}

static enum rsp_verdict on_reverse_step(struct rsp_session *s, struct rsp_request *r)
{
    (void)r;
    return resume_backwards(s, RSP_RUN_STEP);
}

static enum rsp_verdict on_reverse_continue(struct rsp_session *s, struct rsp_request *r)
{
    (void)r;
    return resume_backwards(s, RSP_RUN_CONTINUE);
}

static enum rsp_verdict on_vcont_query(struct rsp_session *s, struct rsp_request *r)
{
    (void)r;
    return rsp_reply_text(s, "vCont;c;C;s;S;r");
}

/* One action of vCont's. */
struct action {
    bool step;
    struct rsp_range range; /* to step out of; empty: one step */
};

/* c, C sig, s, S sig, r start,end. */
static bool take_action(struct rsp_session *s, struct rsp_request *r, struct action *a)
{
    uint64_t signal;

    *a = (struct action){.step = false};
    if (rsp_take(r, "c"))
        return true;
    if (rsp_take(r, "C"))
        return rsp_take_hex(r, &signal);
    a->step = true;
    if (rsp_take(r, "s"))
        return true;
    if (rsp_take(r, "S"))
        return rsp_take_hex(r, &signal);
    return rsp_take(r, "r") && rsp_take_hex(r, &a->range.start) && rsp_take(r, ",") &&
           rsp_take_hex(r, &a->range.end) && a->range.end <= rsp_address_mask(s);
}

/* The action is that of these threads. */
static void apply_action(struct rsp_run *run, const struct action *a, uint64_t threads)
{
    if (!a->step || !threads)
        return;
    run->steppers |= threads;
    if (run->kind == RSP_RUN_CONTINUE)
        run->kind = RSP_RUN_STEP;
    if (a->range.start >= a->range.end)
        return;
    run->kind = RSP_RUN_RANGE;
    for (unsigned i = 0; i < RSP_MAX_THREADS; i++)
        if (threads >> i & 1)
            run->ranges[i] = a->range;
}

/* vCont;action[:thread]...: of each thread the leftmost action that names it, or all. The guest runs as a whole,
 * until one of those that are to step has stepped. Whether those that are left out are held is the target's to say. */
static enum rsp_verdict on_vcont(struct rsp_session *s, struct rsp_request *r)
{
    struct rsp_run run = {.kind = RSP_RUN_CONTINUE};
    uint64_t left = UINT64_MAX >> (RSP_MAX_THREADS - s->info->nthreads), named;
    unsigned thread, actions = 0;
    struct action action;

    if (s->gone)
        return no_process(s);
    do {
        if (!take_action(s, r, &action))
            return rsp_reply_error(s, EINVAL, "unknown or malformed resume action");
        thread = RSP_ANY_THREAD;
        if (rsp_take(r, ":") && !rsp_take_thread(s, r, &thread))
            return rsp_reply_error(s, ESRCH, "no such thread");
        named = thread == RSP_ANY_THREAD ? left : left & (uint64_t)1 << thread;
        left &= ~named;
        apply_action(&run, &action, named);
        actions++;
    } while (rsp_take(r, ";"));
    if (!rsp_at_end(r))
        return rsp_reply_malformed(s);
    run.left_out = left;
    run.alone = actions == 1;
    return rsp_begin_run(s, &run);
}

/* An interrupt as a packet; while the guest runs it is seen on arrival (session.c). */
static enum rsp_verdict on_ctrl_c(struct rsp_session *s, struct rsp_request *r)
{
    (void)r;
    return rsp_reply_ok(s);
}

#define EXACT      true, false
#define EXACT_TEXT true, true
#define HEAD       false, false
#define HEAD_TEXT  false, true

/* Longer names before the shorter ones that they start with. */
const struct rsp_rule rsp_packet_rules[] = {
    {"vCont?", on_vcont_query, EXACT, NULL},
    {"vCont;", on_vcont, HEAD_TEXT, NULL},
    {"vCtrlC", on_ctrl_c, EXACT, NULL},
    {"vKill;", on_vkill, HEAD_TEXT, NULL},
    {"vAttach;", on_vattach, HEAD_TEXT, NULL},
    {"vRun;", on_vrun, HEAD_TEXT, can_seek},
    {"vRun", on_vrun, EXACT_TEXT, can_seek},
    {"!", on_extended, EXACT, NULL},
    {"?", on_why, EXACT, NULL},
    {"bc", on_reverse_continue, EXACT_TEXT, can_reverse},
    {"bs", on_reverse_step, EXACT_TEXT, can_reverse},
    {"c", on_continue, HEAD_TEXT, NULL},
    {"C", on_continue_signal, HEAD_TEXT, NULL},
    {"D", on_detach, HEAD_TEXT, NULL},
    {"g", on_read_registers, HEAD_TEXT, NULL},
    {"G", on_write_registers, HEAD_TEXT, NULL},
    {"H", on_set_thread, HEAD, NULL},
    {"k", on_k, EXACT, NULL},
    {"m", on_read_memory, HEAD, NULL},
    {"M", on_write_memory, HEAD, NULL},
    {"p", on_read_register, HEAD, NULL},
    {"P", on_write_register, HEAD_TEXT, NULL},
    {"R", on_restart, HEAD, can_seek},
    {"s", on_step, HEAD_TEXT, NULL},
    {"S", on_step_signal, HEAD_TEXT, NULL},
    {"T", on_thread_alive, HEAD, NULL},
    {"x", on_read_binary, HEAD, NULL},
    {"X", on_write_binary, HEAD, NULL},
    {"z", rsp_remove_breakpoint, HEAD_TEXT, NULL},
    {"Z", rsp_insert_breakpoint, HEAD_TEXT, NULL},
    {"\001sum", on_bad_sum, EXACT, NULL},
    {"\001long", on_too_long, EXACT, NULL},
    {NULL, NULL, false, false, NULL},
};
