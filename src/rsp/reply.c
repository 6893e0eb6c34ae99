/*
 * Making replies: OK, errors, values of registers, and why the guest stands.
 *
 * gdb manual, "Packets" (replies) and "Stop Reply Packets"; lldb's additions are in its "GDB
 * Remote Protocol Extensions". Everything here appends to s->reply; session.c sends it.
 */
#include "rsp/session.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum rsp_verdict rsp_reply_text(struct rsp_session *s, const char *text)
{
    buffer_clear(&s->reply);
    buffer_append(&s->reply, text, strlen(text));
    return RSP_ANSWER;
}

enum rsp_verdict rsp_reply_ok(struct rsp_session *s)
{
    return rsp_reply_text(s, "OK");
}

/* gdb does not undo escapes in E.text, and shows it on one line. */
static void append_error_text(struct buffer *out, const char *text)
{
    for (; *text; text++) {
        char c = *text;

        if (c < ' ' || c > '~' || strchr("#$}*", c))
            c = ' ';
        buffer_append_byte(out, (uint8_t)c);
    }
}

static void put_error(struct rsp_session *s, int code, const char *text)
{
    unsigned number = (unsigned)(code < 0 ? -code : code) & 0xff;

    if (!number)
        number = EIO;
    buffer_clear(&s->reply);
    if (s->lldb_errors) {
        buffer_printf(&s->reply, "E%02x;", number);
        rsp_put_hex(&s->reply, text, strlen(text));
    } else if (*text && (s->client_error_text || s->text_errors)) {
        buffer_append(&s->reply, "E.", 2);
        append_error_text(&s->reply, text);
    } else {
        buffer_printf(&s->reply, "E%02x", number);
    }
}

enum rsp_verdict rsp_reply_error(struct rsp_session *s, int code, const char *fmt, ...)
{
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    put_error(s, code, text);
    return RSP_ANSWER;
}

enum rsp_verdict rsp_reply_failed(struct rsp_session *s, const struct error *err)
{
    put_error(s, err->code, err->text);
    return RSP_ANSWER;
}

enum rsp_verdict rsp_reply_malformed(struct rsp_session *s)
{
    return rsp_reply_error(s, EINVAL, "malformed packet");
}

/* ---- values of memory and registers ---- */

size_t rsp_read_memory(struct rsp_session *s, uint64_t addr, void *buf, size_t len)
{
    uint64_t mask = s->physical ? UINT64_MAX : rsp_address_mask(s);

    if (!len || addr > mask)
        return 0;
    if (len - 1 > mask - addr)
        len = (size_t)(mask - addr + 1);
    return s->ops->read_memory(s->ctx, s->physical, addr, buf, len);
}

void rsp_select_thread(struct rsp_session *s, unsigned thread)
{
    s->thread = thread;
    if (s->ops->select_thread)
        s->ops->select_thread(s->ctx, rsp_frame_selected(s) ? rsp_frame_thread(s) : thread);
}

bool rsp_read_pc(struct rsp_session *s, uint64_t *pc)
{
    uint8_t raw[RSP_MAX_REG_BYTES] = {0};

    if (!s->ops->read_register(s->ctx, s->info->pc_reg, raw))
        return false;
    memcpy(pc, raw, sizeof(*pc));
    *pc &= rsp_address_mask(s);
    return true;
}

void rsp_put_register(struct rsp_session *s, struct buffer *out, unsigned n)
{
    uint8_t value[RSP_MAX_REG_BYTES] = {0};
    size_t len = s->info->regs[n].bits / 8;

    if (s->ops->read_register(s->ctx, n, value)) {
        rsp_put_hex(out, value, len);
        return;
    }
    memset(buffer_reserve(out, 2 * len), 'x', 2 * len);
    out->len += 2 * len;
}

/* ---- stop replies ---- */

/* Is this a hit of a breakpoint at what the client sees as the PC? */
static bool stands_at_its_breakpoint(struct rsp_session *s)
{
    uint64_t pc;

    return (s->stop.reason == RSP_STOP_SWBREAK || s->stop.reason == RSP_STOP_HWBREAK) && rsp_read_pc(s, &pc) &&
           pc == s->stop.address;
}

unsigned rsp_stop_signal(struct rsp_session *s)
{
    if (s->stop.signal)
        return s->stop.signal & 0xff;
    switch (s->stop.reason) {
    case RSP_STOP_SWBREAK:
    case RSP_STOP_HWBREAK:
    case RSP_STOP_POSITION:
        /* gdb takes a trap at a breakpoint's address for that breakpoint, and goes on without a word
         * if its condition is false. */
        return !stands_at_its_breakpoint(s) && rsp_breakpoint_at_pc(s) ? 2 : 5;
    case RSP_STOP_INTERRUPT:
        return 2; /* GDB_SIGNAL_INT */
    case RSP_STOP_GUEST_END:
        /* GDB_SIGNAL_PWR: "Power fail/restart". Who was told to pass over that signal resumes the guest at its
         * end again and again, and would for ever: the third time it is an interrupt. */
        return s->ends < 3 ? 32 : 2;
    default:
        return 5; /* GDB_SIGNAL_TRAP */
    }
}

/* gdb checks a stop marked swbreak or hwbreak against its own breakpoints, and goes on without a
 * word if there is none at the PC: the mark is for stops at a Z breakpoint only, and not where the PC is
 * another number than the breakpoint's address (i386, where the base of CS is not 0). */
static void append_reason(struct rsp_session *s)
{
    struct buffer *out = &s->reply;

    switch (s->stop.reason) {
    case RSP_STOP_SWBREAK:
        if (s->client_swbreak && stands_at_its_breakpoint(s))
            buffer_printf(out, "swbreak:;");
        break;
    case RSP_STOP_HWBREAK:
        if (s->client_hwbreak && stands_at_its_breakpoint(s))
            buffer_printf(out, "hwbreak:;");
        break;
    case RSP_STOP_WATCH:
        buffer_printf(out, "watch:%" PRIx64 ";", s->stop.address);
        break;
    case RSP_STOP_RWATCH:
        buffer_printf(out, "rwatch:%" PRIx64 ";", s->stop.address);
        break;
    case RSP_STOP_AWATCH:
        buffer_printf(out, "awatch:%" PRIx64 ";", s->stop.address);
        break;
    case RSP_STOP_HISTORY_BEGIN:
        buffer_printf(out, "replaylog:begin;");
        break;
    case RSP_STOP_HISTORY_END:
        buffer_printf(out, "replaylog:end;");
        break;
    case RSP_STOP_STEP:
    case RSP_STOP_INTERRUPT:
    case RSP_STOP_POSITION:
    case RSP_STOP_GUEST_END:
        break;
    }
}

static void append_threads_and_pcs(struct rsp_session *s)
{
    unsigned selected = s->thread;
    uint64_t pc = 0;

    for (unsigned i = 0; i < s->info->nthreads; i++)
        buffer_printf(&s->reply, "%s%x", i ? "," : "threads:", i + 1);
    for (unsigned i = 0; i < s->info->nthreads; i++) {
        rsp_select_thread(s, i);
        rsp_read_pc(s, &pc);
        buffer_printf(&s->reply, "%s%" PRIx64, i ? "," : ";thread-pcs:", pc);
    }
    buffer_append_byte(&s->reply, ';');
    rsp_select_thread(s, selected);
}

const char *rsp_lldb_reason(const struct rsp_session *s, struct buffer *description)
{
    const struct rsp_stop *stop = &s->stop;
    icount_t first, here, last;

    switch (stop->reason) {
    case RSP_STOP_SWBREAK:
    case RSP_STOP_HWBREAK:
        return "breakpoint";
    case RSP_STOP_STEP:
        return "trace";
    case RSP_STOP_WATCH:
    case RSP_STOP_RWATCH:
    case RSP_STOP_AWATCH: /* address; number, which lldb finds by that; the same address */
        buffer_printf(description, "%" PRIu64 " %" PRIu32 " %" PRIu64, stop->address, UINT32_MAX, stop->address);
        return "watchpoint";
    case RSP_STOP_INTERRUPT:
        return "signal";
    case RSP_STOP_POSITION:
        if (!s->ops->positions)
            return "signal";
        s->ops->positions(s->ctx, &first, &here, &last);
        buffer_printf(description, "position %" PRIu64, here);
        break;
    case RSP_STOP_HISTORY_BEGIN:
        buffer_printf(description, "beginning of history");
        break;
    case RSP_STOP_HISTORY_END:
        buffer_printf(description, "end of the recording");
        break;
    case RSP_STOP_GUEST_END:
        buffer_printf(description, "end of the guest");
        break;
    }
    return "exception"; /* which lldb shows by its description */
}

/* What lldb wants beside (lldb's "GDB Remote Protocol Extensions", "Stop reply packet extensions"). It makes the
 * reason of a watchpoint's hit, and of a signal, of the rest. */
static void append_lldb_reason(struct rsp_session *s)
{
    struct buffer description;
    const char *reason;

    if (s->threads_in_stop)
        append_threads_and_pcs(s);
    if (!s->thread_suffix && !s->threads_in_stop)
        return;
    buffer_printf(&s->reply, "name:%s%u;", s->info->cpu_name, s->thread);
    buffer_init(&description);
    reason = rsp_lldb_reason(s, &description);
    if (!strcmp(reason, "watchpoint") || !strcmp(reason, "signal")) {
        buffer_finish(&description);
        return;
    }
    buffer_printf(&s->reply, "reason:%s;", reason);
    if (description.len) {
        buffer_printf(&s->reply, "description:");
        rsp_put_hex(&s->reply, description.data, description.len);
        buffer_append_byte(&s->reply, ';');
    }
    buffer_finish(&description);
}

static void append_expedited(struct rsp_session *s, unsigned n)
{
    if (n >= s->info->nregs)
        return;
    buffer_printf(&s->reply, "%02x:", n);
    rsp_put_register(s, &s->reply, n);
    buffer_append_byte(&s->reply, ';');
}

enum rsp_verdict rsp_reply_stop(struct rsp_session *s)
{
    if (s->gone)
        return rsp_reply_text(s, "W00");
    buffer_clear(&s->reply);
    rsp_select_thread(s, s->stop.thread);
    s->asked_thread = s->stop.thread;
    buffer_printf(&s->reply, "T%02x", rsp_stop_signal(s));
    /* Scripts compare the whole reply with what QEMU's stub sends, which is this. */
    if (s->client_bare) {
        buffer_printf(&s->reply, "thread:%02x;", s->thread + 1);
        append_reason(s);
        return RSP_ANSWER;
    }
    append_expedited(s, s->info->pc_reg);
    append_expedited(s, s->info->sp_reg);
    append_expedited(s, s->info->fp_reg);
    append_expedited(s, s->info->flags_reg);
    buffer_printf(&s->reply, "thread:%x;", s->thread + 1);
    append_reason(s);
    append_lldb_reason(s);
    return RSP_ANSWER;
}
