/*
 * A session: the wire, the dispatch of packets, runs and their ends.
 *
 * gdb manual, "Overview", "Packet Acknowledgment", "Interrupts", "Stop Reply
 * Packets". Not modelled: non-stop mode, threads that are held while others run.
 */
#include "rsp/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct rsp_session *rsp_create(const struct rsp_target_info *info, const struct rsp_target_ops *ops,
                               void *ctx)
{
    struct rsp_session *s = xcalloc(1, sizeof(*s));

    CHECK(info->nregs > 0 && info->pc_reg < info->nregs);
    CHECK(info->pointer_bytes == 4 || info->pointer_bytes == 8);
    CHECK(ops->read_register && ops->write_register && ops->read_memory && ops->write_memory);
    CHECK(!info->seek || ops->positions);
    for (unsigned i = 0; i < info->nregs; i++)
        CHECK(info->regs[i].bits % 8 == 0 && info->regs[i].bits / 8 <= RSP_MAX_REG_BYTES);
    s->info = info;
    s->ops = ops;
    s->ctx = ctx;
    s->stop.reason = RSP_STOP_STEP;
    s->resume_thread = RSP_ANY_THREAD;
    rsp_decoder_init(&s->decoder, RSP_PACKET_SIZE);
    return s;
}

void rsp_begin_with(struct rsp_session *s, unsigned thread)
{
    s->stop.thread = thread;
}

void rsp_destroy(struct rsp_session *s)
{
    if (!s)
        return;
    rsp_decoder_finish(&s->decoder);
    buffer_finish(&s->out);
    buffer_finish(&s->last);
    buffer_finish(&s->queue);
    buffer_finish(&s->reply);
    buffer_finish(&s->console);
    buffer_finish(&s->fed);
    buffer_finish(&s->xml);
    rsp_breakpoints_finish(s);
    free(s);
}

enum rsp_end rsp_ended(const struct rsp_session *s)
{
    return s->ended;
}

/* ---- sending ---- */

/* Frame, send and remember. */
static void send_packet(struct rsp_session *s, const void *body, size_t len)
{
    size_t start = s->out.len;

    rsp_encode(&s->out, body, len, s->client_runs);
    if (s->no_ack)
        return;
    buffer_clear(&s->last);
    buffer_append(&s->last, s->out.data + start, s->out.len - start);
}

/* The one place where packets are answered. */
static void finish_reply(struct rsp_session *s, enum rsp_verdict verdict)
{
    if (verdict == RSP_ANSWER)
        send_packet(s, s->reply.data, s->reply.len);
    buffer_clear(&s->reply);
}

/* ---- console ---- */

void rsp_send_console(struct rsp_session *s, const char *text, size_t len)
{
    struct buffer body;

    buffer_init(&body);
    while (len && s->out.len < RSP_CONSOLE_MAX) {
        size_t n = len > 8192 ? 8192 : len;

        buffer_clear(&body);
        buffer_append_byte(&body, 'O');
        rsp_put_hex(&body, text, n);
        send_packet(s, body.data, body.len);
        text += n;
        len -= n;
    }
    buffer_finish(&body);
}

void rsp_keep_waiting(struct rsp_session *s)
{
    if ((s->asking || s->in_monitor) && !s->out.len)
        send_packet(s, "O", 1);
}

void rsp_console(struct rsp_session *s, const char *text, size_t len)
{
    if ((s->running && !s->run_quiet) || s->in_monitor)
        rsp_send_console(s, text, len);
    else if (s->console.len + len <= RSP_CONSOLE_KEPT)
        buffer_append(&s->console, text, len);
}

/* ---- dispatch ---- */

static const struct rsp_rule *const tables[] = {rsp_packet_rules, rsp_query_rules, rsp_lldb_rules, rsp_trace_rules};

static bool rule_matches(const struct rsp_rule *rule, const char *body, size_t len)
{
    size_t n = strlen(rule->name);

    if (len < n || memcmp(body, rule->name, n) != 0)
        return false;
    return !rule->exact || len == n;
}

static const struct rsp_rule *find_rule(const struct rsp_session *s, const char *body, size_t len)
{
    for (unsigned t = 0; t < ARRAY_LEN(tables); t++) {
        for (const struct rsp_rule *rule = tables[t]; rule->name; rule++) {
            if (rule_matches(rule, body, len))
                return !rule->offered || rule->offered(s) ? rule : NULL;
        }
    }
    return NULL;
}

/* A step has come between a seek and the continue that it waits for. Is it the debugger's own, off a breakpoint? Then that is
 * put back and the continue follows; on the way gdb reads what it watches and which frame it is in, lldb the stack. After a
 * step of the user's both ask for the threads, before anything else can be asked or told. */
static void disarm_if_shown(struct rsp_session *s, const char *body)
{
    static const char *const between[] = {"Z", "H", "vCont;", "c", "C", "bc", "g", "m", "p", "x"};

    for (unsigned i = 0; i < ARRAY_LEN(between); i++)
        if (!strncmp(body, between[i], strlen(between[i])))
            return;
    rsp_disarm_seek(s, "by a step");
}

static void dispatch(struct rsp_session *s, const char *body, size_t len)
{
    const struct rsp_rule *rule = find_rule(s, body, len);
    struct rsp_request r;
    enum rsp_verdict verdict;

    buffer_clear(&s->reply);
    if (s->armed_over_step)
        disarm_if_shown(s, body);
    rsp_select_by_suffix(s, body, len);
    if (s->refusal) {
        s->text_errors = true;
        finish_reply(s, rsp_reply_error(s, EBUSY, "%s", s->refusal));
        return;
    }
    if (!rule) {
        finish_reply(s, RSP_ANSWER); /* empty: not supported */
        return;
    }
    r = (struct rsp_request){.p = body + strlen(rule->name), .end = body + len};
    s->text_errors = rule->text_errors;
    s->busy = true;
    s->asking = rule >= rsp_trace_rules && rule < rsp_trace_rules + rsp_trace_rule_count;
    verdict = rule->handle(s, &r);
    if (s->asking)
        s->interrupts = 0; /* they were meant for it */
    s->busy = s->asking = false;
    CHECK((verdict == RSP_LATER) == (s->running && !s->run_silent));
    finish_reply(s, verdict);
}

/* ---- the queue of packets ---- */

static void enqueue(struct rsp_session *s, const void *body, size_t len)
{
    uint32_t n = (uint32_t)len;

    if (s->queue.len - s->queue_head + len > RSP_QUEUE_MAX) {
        s->ended = RSP_DETACHED;
        return;
    }
    buffer_append(&s->queue, &n, sizeof(n));
    buffer_append(&s->queue, body, len);
    buffer_append_byte(&s->queue, 0);
}

static void process_queue(struct rsp_session *s)
{
    if (s->busy)
        return;
    while (s->queue_head < s->queue.len && !s->running && !s->ended && s->out.len < RSP_OUTPUT_HIGH) {
        const char *body = (const char *)s->queue.data + s->queue_head + sizeof(uint32_t);
        uint32_t n;

        memcpy(&n, body - sizeof(n), sizeof(n));
        s->queue_head += sizeof(n) + n + 1u;
        dispatch(s, body, n);
    }
    if (s->queue_head > s->queue.len / 2) {
        buffer_consume(&s->queue, s->queue_head);
        s->queue_head = 0;
    }
}

/* A packet that cannot be understood still gets its one reply, in its turn: it is queued as a
 * packet that says so ("\001..." is no packet a client can mean). */
static const char bad_sum_packet[] = "\001sum", too_long_packet[] = "\001long";

static void take_packet(struct rsp_session *s)
{
    const struct buffer *body = &s->decoder.body;

    if (!s->no_ack)
        buffer_append_byte(&s->out, '+');
    if (s->running && body->len == 6 && memcmp(body->data, "vCtrlC", 6) == 0)
        s->interrupts++;
    enqueue(s, body->data, body->len);
}

static void take_event(struct rsp_session *s, enum rsp_wire_event event)
{
    switch (event) {
    case RSP_WIRE_NOTHING:
    case RSP_WIRE_ACK:
        return;
    case RSP_WIRE_PACKET:
        take_packet(s);
        break;
    case RSP_WIRE_BAD_SUM:
        /* Without acks nothing makes the client repeat it; it waits for a reply. */
        if (!s->no_ack)
            buffer_append_byte(&s->out, '-');
        else
            enqueue(s, bad_sum_packet, sizeof(bad_sum_packet) - 1);
        break;
    case RSP_WIRE_TOO_LONG:
        if (!s->no_ack)
            buffer_append_byte(&s->out, '+');
        enqueue(s, too_long_packet, sizeof(too_long_packet) - 1);
        break;
    case RSP_WIRE_NAK:
        if (!s->no_ack && s->out.len < RSP_OUTPUT_HIGH)
            buffer_append(&s->out, s->last.data, s->last.len);
        break;
    case RSP_WIRE_INTERRUPT:
        s->interrupts++;
        break;
    }
    process_queue(s);
}

/* A web page can make the browser that shows it send to any port of this host, packets in the body. No debugger
 * begins with "POST " or the like. */
static void look_at_greeting(struct rsp_session *s, uint8_t byte)
{
    if (byte >= 'A' && byte <= 'Z' && s->letters < 16)
        s->letters++;
    else if (byte == ' ' && s->letters >= 3)
        s->ended = RSP_FOREIGN;
    else
        s->debugger = true;
}

/* A monitor command that takes long has us called again from within a packet's handler: what is behind that packet
 * comes first. */
void rsp_feed(struct rsp_session *s, const void *data, size_t len)
{
    buffer_append(&s->fed, data, len);
    process_queue(s);
    while (s->fed_done < s->fed.len && !s->ended) {
        uint8_t byte = s->fed.data[s->fed_done++];

        if (!s->debugger)
            look_at_greeting(s, byte);
        if (!s->ended)
            take_event(s, rsp_decoder_push(&s->decoder, byte));
    }
    if (s->fed_done == s->fed.len || s->ended) {
        buffer_clear(&s->fed);
        s->fed_done = 0;
    }
}

void rsp_turn_away(struct rsp_session *s, const char *why)
{
    s->refusal = why;
}

struct buffer *rsp_output(struct rsp_session *s)
{
    process_queue(s);
    return &s->out;
}

/* ---- running ---- */

bool rsp_in_frame(const struct rsp_session *s)
{
    return rsp_frame_selected(s);
}

const struct rsp_run *rsp_wants_run(const struct rsp_session *s)
{
    return s->running ? &s->run : NULL;
}

bool rsp_interrupt_requested(const struct rsp_session *s)
{
    return (s->in_monitor || s->asking || (s->running && !s->run_silent)) && s->interrupts;
}

void rsp_arm_seek(struct rsp_session *s, icount_t position)
{
    /* (Of two seeks the later one is meant; what drops a branch, or goes to one, is not forgotten without a word.) */
    if (s->armed && s->armed_move)
        rsp_disarm_seek(s, "by what is armed now");
    s->armed = true;
    s->armed_by_run = s->armed_over_step = s->armed_move = false;
    s->armed_position = position;
    snprintf(s->armed_what, sizeof(s->armed_what), "seek to position %" PRIu64, position);
}

void rsp_arm_move(struct rsp_session *s, icount_t position, const char *what)
{
    /* (The same again takes nothing's place.) */
    if (rsp_armed_move(s) && !strcmp(s->armed_what, what))
        rsp_disarm_seek(s, NULL);
    rsp_arm_seek(s, position);
    s->armed_move = true;
    snprintf(s->armed_what, sizeof(s->armed_what), "%s", what);
}

bool rsp_armed_move(const struct rsp_session *s)
{
    return s->armed && s->armed_move;
}

void rsp_disarm_seek(struct rsp_session *s, const char *how)
{
    char text[sizeof(s->armed_what) + 64];

    if (s->armed && !s->armed_by_run && how) {
        snprintf(text, sizeof(text), "hindcast: the %s was disarmed %s\n", s->armed_what, how);
        rsp_console(s, text, strlen(text));
    }
    s->armed = s->armed_by_run = s->armed_over_step = false;
}

bool rsp_armed_seek(const struct rsp_session *s, icount_t *position)
{
    *position = s->armed_position;
    return s->armed;
}

/* A run begins: is it the one that an armed seek waits for, does it leave it armed, or disarm it? */
static void apply_armed(struct rsp_session *s)
{
    bool over_step = s->run.kind == RSP_RUN_STEP && s->run.alone && !s->run.reverse && s->client_runs;

    if (!s->armed)
        return;
    if (s->run.kind == RSP_RUN_CONTINUE && !(s->armed_by_run && s->run.reverse)) {
        s->run = (struct rsp_run){.kind = RSP_RUN_SEEK, .left_out = s->run.left_out, .position = s->armed_position, .move = s->armed_move};
        rsp_disarm_seek(s, NULL);
    } else if (over_step && !s->armed_by_run) {
        s->armed_over_step = true;
    } else {
        rsp_disarm_seek(s, "by a step");
    }
}

/* A debugger's own step off a breakpoint that ends by something else is shown, and the continue does not follow. */
static void keep_armed(struct rsp_session *s, enum rsp_stop_reason reason)
{
    char text[sizeof(s->armed_what) + 64];

    if (!s->armed_over_step || reason == RSP_STOP_STEP)
        return;
    if (reason == RSP_STOP_INTERRUPT) {
        rsp_disarm_seek(s, "by an interrupt");
        return;
    }
    s->armed_over_step = false;
    snprintf(text, sizeof(text), "hindcast: the %s is still armed\n", s->armed_what);
    rsp_console(s, text, strlen(text));
}

static void start_run(struct rsp_session *s, const struct rsp_run *run, bool quiet, bool silent)
{
    s->run = *run;
    apply_armed(s);
    s->run_quiet = quiet;
    s->run_silent = silent;
    s->running = true;
    if (quiet)
        return;
    if (s->console.len)
        rsp_send_console(s, (const char *)s->console.data, s->console.len);
    buffer_clear(&s->console);
}

enum rsp_verdict rsp_begin_run(struct rsp_session *s, const struct rsp_run *run)
{
    if (rsp_frame_selected(s))
        return rsp_refuse_in_frame(s);
    start_run(s, run, false, false);
    return RSP_LATER;
}

enum rsp_verdict rsp_begin_quiet_run(struct rsp_session *s, const struct rsp_run *run)
{
    rsp_leave_frame(s);
    start_run(s, run, true, false);
    return RSP_LATER;
}

enum rsp_verdict rsp_begin_silent_run(struct rsp_session *s, const struct rsp_run *run)
{
    rsp_leave_frame(s);
    start_run(s, run, true, true);
    return RSP_SILENT;
}

/* The answer to the packet that started the run is in s->reply. */
static void end_run(struct rsp_session *s)
{
    bool silent = s->run_silent;

    s->running = false;
    s->run_silent = s->run_quiet = false;
    finish_reply(s, silent ? RSP_SILENT : RSP_ANSWER);
    process_queue(s);
}

void rsp_report_stop(struct rsp_session *s, const struct rsp_stop *stop)
{
    if (stop->text)
        rsp_console(s, stop->text, strlen(stop->text));
    s->ends = stop->reason != RSP_STOP_GUEST_END ? 0 : s->ends + 1;
    if (s->running && stop->reason == RSP_STOP_INTERRUPT && s->interrupts)
        s->interrupts--;
    s->stop = *stop;
    s->stop.text = NULL;
    rsp_tracing_note_stop(s);
    if (!s->running)
        return;
    keep_armed(s, stop->reason);
    rsp_reply_stop(s);
    end_run(s);
}

void rsp_fail_run(struct rsp_session *s, const struct error *err)
{
    CHECK(s->running);
    s->text_errors = true;
    rsp_reply_failed(s, err);
    end_run(s);
}
