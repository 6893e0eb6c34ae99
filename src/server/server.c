/*
 * The event loop: debugger connection, runs, serial ports, signals.
 *
 *   the guest stands: wait for bytes of the debugger, or for a debugger
 *   the guest runs:   inside a timeline call, which calls on_poll() every few ms
 *                     and on_wait() while the guest sleeps
 * Both look at the same descriptors in serve().
 *
 * The connection itself is server_client.c's. See server.h for who starts and stops the guest when.
 */
#include "server.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "host/clock.h"
#include "host/poller.h"
#include "replay/query.h"
#include "server_internal.h"

#define MS 1000000u
/* Output that waits for the host: beyond this the guest is held back. */
#define OUTPUT_BACKLOG ((size_t)1 << 18)
#define PREPARE_AFTER_NS  200000000u
#define PROGRESS_AFTER_NS 1000000000u
#define KEEP_WAITING_NS   800000000u /* gdb waits two seconds for a reply, unless it is told something */
#define BRIEF_NS          1000000000u
#define PROGRESS_EVERY_NS 250000000u
/* A reverse search that has to run more than that is made by all of the host's cores, if that costs no more memory than
 * checkpoints may. */
#define FAR_STEPS (UINT64_C(1) << 28)
#define STATUS_NOT_WRITTEN 1
#define STATUS_ODD_END 3

/* ---- messages ---- */

static void end_progress(struct server *s)
{
    if (s->progress_shown)
        fprintf(stderr, "\r\033[K");
    s->progress_shown = false;
}

/* (The terminal's output processing stays on in raw mode.) */
void server_say(struct server *s, const char *format, ...)
{
    va_list ap;

    end_progress(s);
    fprintf(stderr, "hindcast: ");
    va_start(ap, format);
    vfprintf(stderr, format, ap);
    va_end(ap);
    fprintf(stderr, "\n");
}

void server_tell(struct server *s, const char *text)
{
    server_say(s, "%s", text);
    /* (A gdb that started hindcast shows what it says on stderr, at once.) */
    if (!s->session || s->config.gdb_stdio)
        return;
    rsp_console(s->session, "hindcast: ", 10);
    rsp_console(s->session, text, strlen(text));
    rsp_console(s->session, "\n", 1);
}

/* Going back or seeking for more than a second: show that something happens. */
static void show_progress(struct server *s)
{
    uint64_t now = host_monotonic_ns();

    if (!s->progress || now - s->run_began_ns < PROGRESS_AFTER_NS || now < s->progress_next_ns ||
        !host_stderr_is_terminal())
        return;
    s->progress_next_ns = now + PROGRESS_EVERY_NS;
    s->progress_shown = true;
    fprintf(stderr, "\r\033[Khindcast: searching at position %" PRIu64 " of %" PRIu64 " (%.0f s)",
            machine_position(s->machine), timeline_edge(s->timeline),
            (double)(now - s->run_began_ns) / 1e9);
}

void server_show_search(struct server *s, uint64_t done, uint64_t all)
{
    uint64_t now = host_monotonic_ns();

    if (now - s->run_began_ns < PROGRESS_AFTER_NS || now < s->progress_next_ns || !host_stderr_is_terminal())
        return;
    s->progress_next_ns = now + PROGRESS_EVERY_NS;
    s->progress_shown = true;
    fprintf(stderr, "\r\033[Khindcast: %.0f %% searched (%.0f s)", all ? 100.0 * (double)done / (double)all : 100.0,
            (double)(now - s->run_began_ns) / 1e9);
}

static const char *end_name(enum guest_end end)
{
    switch (end) {
    case GUEST_POWEROFF:
        return "the guest powered off";
    case GUEST_DEBUG_EXIT:
        return "the guest ended itself through the debug-exit port";
    case GUEST_TRIPLE_FAULT:
        return "the guest triple-faulted";
    case GUEST_RESET:
        return "the guest asked for a reset";
    case GUEST_EXIT:
        return "the guest's program exited";
    case GUEST_WATCHDOG:
        return "the guest's watchdog has run out";
    default:
        return "the guest runs";
    }
}

static int end_status(const struct machine_state *st)
{
    switch ((enum guest_end)st->end) {
    case GUEST_RUNS:
    case GUEST_POWEROFF:
        return 0;
    case GUEST_DEBUG_EXIT:
    case GUEST_EXIT:
        return (int)(st->end_status & 0xff);
    default:
        return STATUS_ODD_END;
    }
}

/* Of a triple fault: whose, what came up last, and what the guest may have wanted. */
static void shutdown_text(const struct server *s, struct buffer *out)
{
    uint32_t status = s->machine->st->end_status, exceptions = SHUTDOWN_EXCEPTIONS(status);
    const struct cpu_ops *ops = s->machine->cpus[0]->ops;
    const char *name = exceptions && ops->exception_name ? ops->exception_name(exceptions - 1) : NULL;

    if (s->machine->ncpus > 1)
        buffer_printf(out, " on CPU #%" PRIu32, SHUTDOWN_CPU(status));
    if (name)
        buffer_printf(out, " by %s (error code 0x%" PRIx32 ") when #DF was delivered", name, SHUTDOWN_ERROR(status));
    if (s->config.small_cpu)
        buffer_printf(out, " (its CPU has no 64-bit mode; --cpu %s has)", s->config.small_cpu);
}

void server_end_text(const struct server *s, struct buffer *out)
{
    const struct machine_state *st = s->machine->st;

    buffer_printf(out, "%s", end_name((enum guest_end)st->end));
    if (st->end == GUEST_DEBUG_EXIT || st->end == GUEST_EXIT)
        buffer_printf(out, " with status %" PRIu32, st->end_status);
    if (st->end == GUEST_TRIPLE_FAULT)
        shutdown_text(s, out);
}

static void print_to_buffer(struct buffer *b, const struct server *s)
{
    buffer_printf(b, "hindcast: ");
    server_end_text(s, b);
    buffer_printf(b, " at position %" PRIu64, timeline_position(s->timeline));
}

/* ---- descriptors ---- */

/* Look at everything, waiting at most `timeout_ns` for something to happen. */
static void serve(struct server *s, uint64_t timeout_ns)
{
    struct poller p;

    poller_clear(&p);
    server_client_poll(s, &p, &timeout_ns);
    server_ports_poll(s, &p);
    server_net_poll(s, &p, &timeout_ns);
    server_tpm_poll(s, &p);
    server_usb_poll(s, &p, &timeout_ns);
    poller_wait(&p, timeout_ns);
    server_client_serve(s);
    server_ports_serve(s);
    server_net_serve(s, &p);
    server_tpm_serve(s);
    server_usb_serve(s);
    server_sound_serve(s);
    if (host_signal_pending())
        s->quit = true;
}

void server_serve_client(struct server *s)
{
    serve(s, 50 * MS);
}

/* ---- what the timeline asks ---- */

static bool run_must_end(const struct server *s)
{
    if (s->quit || s->client_lost || (s->brief && host_monotonic_ns() - s->run_began_ns > BRIEF_NS))
        return true;
    if (s->free_running)
        return s->session != NULL;
    return s->session && rsp_interrupt_requested(s->session);
}

/* What looks like a guest that hangs, or like hindcast. Once: some go on by NMIs, again and again. */
static void tell_of_deafness(struct server *s)
{
    bool live = timeline_outside(s->timeline) && timeline_position(s->timeline) >= timeline_edge(s->timeline);

    if (s->told_deaf || !live || !machine_is_deaf(s->machine))
        return;
    s->told_deaf = true;
    server_say(s, "at position %" PRIu64 " the guest halts with interrupts disabled: only an NMI, an SMI or a reset gets it on (%s)",
               machine_position(s->machine), s->config.exit_at_end ? "hindcast waits for that; Ctrl-C ends it" : "monitor system_reset");
}

/* Does anything want to be served? */
static bool is_wanted(const struct server *s)
{
    uint64_t timeout_ns = 0;
    struct poller p;

    poller_clear(&p);
    server_client_poll(s, &p, &timeout_ns);
    return poller_wait(&p, 0) || host_signal_pending();
}

static bool on_poll(void *ctx)
{
    struct server *s = ctx;
    uint64_t done, all;

    if (s->finishing)
        return false;
    if (s->preparing)
        return is_wanted(s);
    if (s->session && host_monotonic_ns() - s->run_began_ns > KEEP_WAITING_NS * (s->kept_waiting + 1)) {
        s->kept_waiting++;
        rsp_keep_waiting(s->session);
    }
    serve(s, 0);
    while (server_ports_backlog(s) > OUTPUT_BACKLOG && !run_must_end(s))
        serve(s, 50 * MS);
    if (server_ports_clients_read(s, OUTPUT_BACKLOG))
        serve(s, 50 * MS); /* so much for a client that is slow, and no more */
    if (!timeline_querying(s->timeline)) {
        server_record_update(s, false);
        tell_of_deafness(s); /* (without sleeping, time jumps on, and there is no waiting) */
        show_progress(s);
    } else if (timeline_searching_far(s->timeline, &done, &all)) {
        server_show_search(s, done, all);
    }
    return run_must_end(s);
}

bool server_interrupted(struct server *s)
{
    return on_poll(s);
}

static uint64_t on_wait(void *ctx, uint64_t ns)
{
    struct server *s = ctx;
    uint64_t began = host_monotonic_ns(), due = server_record_due(s);

    if (server_ports_take_input(s) || server_net_take_input(s) || server_usb_take_input(s) || server_tpm_serve(s))
        ns = 0;
    tell_of_deafness(s);
    if (s->brief && ns > BRIEF_NS)
        ns = BRIEF_NS;
    serve(s, ns < due ? ns : due);
    return host_monotonic_ns() - began;
}

static uint64_t on_now(void *ctx)
{
    (void)ctx;
    return host_monotonic_ns();
}

static uint64_t on_work(void *ctx)
{
    (void)ctx;
    return host_thread_ns();
}

static struct machine *on_make(void *ctx, struct error *err)
{
    const struct server *s = ctx;

    return s->config.make_machine(s->config.make_ctx, err);
}

static uint64_t on_wall_clock(void *ctx)
{
    const struct server *s = ctx;

    return guest_clock_tell(&s->config.clock, host_wall_ns(), s->began_ns, machine_now(s->machine));
}

/* While a recording's own past is run nothing of it happens. */
static void on_told(void *ctx, struct device *dev, const char *text)
{
    struct server *s = ctx;
    char line[160];

    if (!timeline_outside(s->timeline))
        return;
    snprintf(line, sizeof(line), "%s %s at position %" PRIu64, dev->name, text, machine_position(s->machine));
    server_tell(s, line);
}

static void on_entropy(void *ctx, void *buf, size_t len)
{
    struct server *s = ctx;
    uint8_t *p = buf;

    if (!s->config.seeded) {
        host_random(buf, len);
        return;
    }
    while (len) {
        uint64_t word[3] = {s->config.seed, s->machine->st->position, s->drawn++}, drawn = hash_bytes(0, word, sizeof word);
        size_t n = len < sizeof drawn ? len : sizeof drawn;

        memcpy(p, &drawn, n);
        p += n;
        len -= n;
    }
}

void server_to_debugger(struct server *s, const void *buf, size_t len)
{
    if (s->session && rsp_output(s->session)->len + s->client.queue.len < SERVER_CONSOLE_BACKLOG)
        rsp_console(s->session, buf, len);
}

/* Once is enough: whoever names many places has been told what becomes of them. */
static const char *on_fixed(void *ctx)
{
    const struct server *s = ctx;

    return s->session && rsp_in_frame(s->session) ? "a trace frame is selected, and tfind none leaves it" : NULL;
}

static void on_name_unkept(void *ctx, const struct timeline_snapshot *snapshot)
{
    struct server *s = ctx;
    char text[160];

    if (s->told_unkept)
        return;
    s->told_unkept = true;
    snprintf(text, sizeof text, "no memory is left for the checkpoint of '%.40s': going there, and to others named before, "
             "takes a run (--checkpoint-memory)", snapshot->name);
    server_tell(s, text);
}

static void on_output(void *ctx, struct device *dev, const void *buf, size_t len)
{
    struct server *s = ctx;

    if (!timeline_outside(s->timeline)) {
        server_branch_output(s, dev, buf, len);
        return;
    }
    if (server_net_output(s, dev, buf, len) || server_sound_output(s, dev, buf, len) || server_usb_output(s, dev, buf, len) ||
        server_tpm_output(s, dev, buf, len))
        return;
    end_progress(s);
    server_ports_output(s, dev, buf, len);
}

/* ---- runs ---- */

void server_begin_run(struct server *s, bool forward, bool progress)
{
    server_ports_guest_runs(s);
    s->running = true;
    s->forward = forward;
    s->progress = progress;
    s->run_began_ns = host_monotonic_ns();
    s->kept_waiting = 0;
    s->condition_known = s->cut_short = s->others_moved = false;
    s->passed_over = 0;
    s->moved[0] = 0;
    s->refusal = (struct error){0};
}

void server_begin_search(struct server *s)
{
    server_begin_run(s, false, true);
}

static void end_run(struct server *s)
{
    end_progress(s);
    server_branch_flush(s);
    s->running = s->brief = false;
    s->condition_known = false;
    server_record_update(s, true);
}

void server_end_search(struct server *s)
{
    end_run(s);
}

static enum rsp_breakpoint_type point_type(const struct server *s, unsigned id)
{
    for (unsigned i = 0; i < s->npoints; i++)
        if (s->points[i].id == id)
            return s->points[i].type;
    return RSP_BREAK_SW;
}

static enum rsp_stop_reason break_reason(enum rsp_breakpoint_type type)
{
    switch (type) {
    case RSP_BREAK_HW:
        return RSP_STOP_HWBREAK;
    case RSP_WATCH_WRITE:
        return RSP_STOP_WATCH;
    case RSP_WATCH_READ:
        return RSP_STOP_RWATCH;
    case RSP_WATCH_ACCESS:
        return RSP_STOP_AWATCH;
    default:
        return RSP_STOP_SWBREAK;
    }
}

/* NULL: it is the debugger's. */
static const struct server_point *own_watch(const struct server *s, unsigned id)
{
    for (unsigned i = 0; i < s->nwatches; i++)
        if (s->watches[i].id == id)
            return &s->watches[i];
    return NULL;
}

/* Who touched watched bytes, where that is not plain from a stop at an instruction. */
static void watch_text(const struct server *s, const struct timeline_stop *stop, struct buffer *text)
{
    const struct server_point *own = own_watch(s, stop->point);
    const char *done = stop->access == TRAP_READ ? "read" : "written";

    if (own && own->drive)
        buffer_printf(text, "hindcast: sector %" PRIu64 " of drive %s is %s", drive_sector_of(own->drive, stop->address),
                      own->drive->name, done);
    else
        buffer_printf(text, "hindcast: the watched bytes at %s0x%" PRIx64 " are %s", own ? "physical " : "", stop->address,
                      done);
    buffer_printf(text, " by %s", stop->writer ? stop->writer : "an instruction");
    server_wire_blame(s, stop->writer, stop->position, text);
    buffer_printf(text, "\n");
}

static enum rsp_stop_reason stop_reason(const struct server *s, const struct timeline_stop *stop)
{
    switch (stop->reason) {
    case TIMELINE_BREAKPOINT:
    case TIMELINE_WATCHPOINT:
        /* What the debugger does not know of is just a stop for it. */
        if (own_watch(s, stop->point))
            return RSP_STOP_STEP;
        return break_reason(point_type(s, stop->point));
    case TIMELINE_REPLAY_BEGIN:
        return RSP_STOP_HISTORY_BEGIN;
    case TIMELINE_REPLAY_END:
        return RSP_STOP_HISTORY_END;
    case TIMELINE_REPLAY_BREAK:
    case TIMELINE_SEEK_DONE:
        return RSP_STOP_POSITION;
    case TIMELINE_INTERRUPTED:
    case TIMELINE_DIVERGED:
    case TIMELINE_ASLEEP:
        return RSP_STOP_INTERRUPT;
    case TIMELINE_GUEST_END:
        return RSP_STOP_GUEST_END;
    default:
        return RSP_STOP_STEP;
    }
}

/* Why nothing wakes the guest. */
static void asleep_text(const struct server *s, struct buffer *text)
{
    const struct machine *m = s->machine;

    if (!machine_waits_for_held(m)) {
        buffer_printf(text, "hindcast: the guest sleeps, and nothing on this branch will wake it (doc/branches.md)\n");
        return;
    }
    buffer_printf(text, "hindcast: ");
    for (unsigned i = 0; i < m->ncpus; i++)
        if (!m->cpus[i]->share->held)
            buffer_printf(text, "CPU #%u waits for %s, ", i, m->cpus[i]->ops->awaits(m->cpus[i]));
    buffer_printf(text, "and all others are held (set scheduler-locking off lets them go)\n");
}

/* Text that explains a stop which the protocol has no word for; NUL-terminated. */
static void stop_text(const struct server *s, const struct timeline_stop *stop, struct buffer *text)
{
    if (stop->reason == TIMELINE_GUEST_END) {
        print_to_buffer(text, s);
        buffer_printf(text, "; it can go backwards from here\n");
    } else if (stop->reason == TIMELINE_DIVERGED) {
        buffer_printf(text, "hindcast: the replay is not what happened: %s\n",
                      timeline_divergence(s->timeline));
    } else if (stop->reason == TIMELINE_WATCHPOINT && (stop->writer || own_watch(s, stop->point))) {
        watch_text(s, stop, text);
    }
    if (stop->reason == TIMELINE_ASLEEP)
        asleep_text(s, text);
    if (s->refusal.code)
        buffer_printf(text, "hindcast: %s\n", s->refusal.text);
    if (s->moved[0])
        buffer_printf(text, "hindcast: %s\n", s->moved);
    if (s->cut_short && stop->reason == TIMELINE_STEP_DONE)
        buffer_printf(text, "hindcast: on the way to that step of CPU #%u another one comes to a breakpoint or watchpoint; the same step "
                      "again passes over it\n", stop->cpu);
    else if (stop->reason == TIMELINE_REPLAY_BEGIN && timeline_position(s->timeline) != timeline_first(s->timeline))
        buffer_printf(text, "hindcast: CPU #%u has made no step before this position\n", stop->cpu);
    if (s->others_moved)
        buffer_printf(text, "hindcast: other CPUs have made steps, too, as they did (they are held at the live edge alone); maintenance flush "
                      "register-cache has gdb look at them anew\n");
    if (s->passed_over)
        buffer_printf(text, "hindcast: passed over %" PRIu64 " break- or watchpoint hits of other CPUs than the one that was to go\n",
                      s->passed_over);
    for (unsigned i = 0; s->info.watch_before && i < stop->nothers; i++)
        buffer_printf(text, "hindcast: the same instruction touches watched bytes at 0x%" PRIx64 ", too\n",
                      stop->others[i].address);
    if (text->len)
        buffer_append_byte(text, 0);
}

static void report(struct server *s, const struct timeline_stop *stop)
{
    struct buffer text;
    struct rsp_stop r = {.reason = stop_reason(s, stop), .address = stop->address, .thread = stop->cpu};

    buffer_init(&text);
    stop_text(s, stop, &text);
    r.text = text.len ? (const char *)text.data : NULL;
    rsp_report_stop(s->session, &r);
    buffer_finish(&text);
    server_client_flush(s);
    s->prepare = true;
    s->heard_ns = host_monotonic_ns();
}

unsigned server_ended_cpu(const struct server *s)
{
    const struct machine_state *st = s->machine->st;

    /* (A state from a file may say anything.) */
    return st->end == GUEST_TRIPLE_FAULT && SHUTDOWN_CPU(st->end_status) < s->machine->ncpus ? SHUTDOWN_CPU(st->end_status) :
                                                                                               machine_whose_turn(s->machine);
}

/* Which thread the debugger is told of: that whose hit or step it is; of a step that was not made, the one that was to make
 * it; of the guest's end, the one whose end it is; else the one whose turn it is, if it is not believed to stand. */
static unsigned whose_stop(const struct server *s, const struct rsp_run *run, const struct timeline_stop *stop)
{
    unsigned turn;

    if (stop->reason == TIMELINE_BREAKPOINT || stop->reason == TIMELINE_WATCHPOINT || stop->reason == TIMELINE_STEP_DONE)
        return stop->cpu;
    if (run->kind == RSP_RUN_STEP || run->kind == RSP_RUN_RANGE)
        return (unsigned)__builtin_ctzll(run->steppers);
    turn = stop->reason == TIMELINE_GUEST_END ? server_ended_cpu(s) : machine_whose_turn(s->machine);
    return run->left_out >> turn & 1 ? (unsigned)__builtin_ctzll(~run->left_out) : turn;
}

/* The debugger's next run, if it wants one. */
static bool run_for_client(struct server *s)
{
    const struct rsp_run *run = rsp_wants_run(s->session);
    struct timeline_stop stop = {0};

    if (!run)
        return false;
    /* A Ctrl-C that came too late for the run before it is meant for this one. */
    if (rsp_interrupt_requested(s->session))
        stop.reason = TIMELINE_INTERRUPTED;
    else
        server_make_run(s, run, &stop);
    if (s->client_lost || s->quit)
        return true;
    stop.cpu = whose_stop(s, run, &stop);
    server_note_told(s, &stop, run->reverse);
    report(s, &stop);
    /* Has the client more to say, or gone, before the next of its packets is carried out? */
    if (rsp_wants_run(s->session))
        serve(s, 0);
    return true;
}

static void tell_guest_end(struct server *s)
{
    struct buffer text;

    buffer_init(&text);
    print_to_buffer(&text, s);
    buffer_append_byte(&text, 0);
    end_progress(s);
    fprintf(stderr, "%s%s\n", (const char *)text.data,
            s->config.exit_at_end ? "" : "; a debugger can attach and go backwards from there");
    buffer_finish(&text);
}

/* Nobody is connected and the guest runs, until a debugger comes. */
static void run_free(struct server *s)
{
    struct timeline_stop stop = {0};

    /* What a debugger tried out is not gone on with. */
    if (!timeline_outside(s->timeline))
        server_branch_leave(s);
    server_begin_run(s, true, false);
    /* Whoever held CPUs is gone. */
    timeline_hold(s->timeline, 0, NULL);
    timeline_continue(s->timeline, FORWARD, &stop);
    end_run(s);
    if (stop.reason == TIMELINE_INTERRUPTED) {
        s->free_running = s->free_running && !s->session;
        return;
    }
    s->free_running = false;
    if (stop.reason == TIMELINE_REPLAY_END) {
        server_say(s, "the recording ends here, at position %" PRIu64, timeline_position(s->timeline));
        s->quit = s->config.exit_at_end;
    }
    if (stop.reason == TIMELINE_DIVERGED) {
        server_say(s, "the replay is not what happened: %s", timeline_divergence(s->timeline));
        s->exit_status = STATUS_ODD_END;
        s->quit = s->config.exit_at_end;
    }
    if (stop.reason != TIMELINE_GUEST_END)
        return;
    tell_guest_end(s);
    if (s->config.exit_at_end) {
        s->exit_status = end_status(s->machine->st);
        s->quit = true;
    }
}

/* ---- the loop ---- */

static void greet(struct server *s)
{
    const struct server_config *c = &s->config;
    bool terminal = server_ports_have_terminal(s);
    struct buffer gdb;

    if (c->gdb_stdio || c->listener.fd < 0)
        return;
    buffer_init(&gdb);
    buffer_printf(&gdb, strcmp(s->machine->cpus[0]->ops->arch, "aarch64") ? "gdb " : "gdb-multiarch ");
    if (c->symbols) {
        buffer_quote(&gdb, c->symbols);
        buffer_printf(&gdb, " ");
    }
    buffer_printf(&gdb, "-ex 'target remote %s'", c->listener.name);
    if (c->run)
        server_say(s, "the guest runs (%s ends hindcast); stop it and look with: %.*s", terminal ? "Ctrl-a x" : "Ctrl-c",
                   (int)gdb.len, (const char *)gdb.data);
    else
        server_say(s, "the guest waits at its first instruction (%s hindcast); start gdb with: %.*s",
                   terminal ? "Ctrl-c ends, once the guest runs Ctrl-a x ends" : "Ctrl-c ends", (int)gdb.len,
                   (const char *)gdb.data);
    buffer_finish(&gdb);
}

/* What is to be kept goes into files as it is at the live edge, wherever in history the end came. False: some
 * could not be. */
static bool write_back(struct server *s)
{
    bool flash = server_flash_wants_write_back(s), drives = server_drives_want_write_back(s), good = true;
    struct timeline_stop stop;

    if (!flash && !drives)
        return true;
    s->finishing = true;
    if (!timeline_at_edge(s->timeline))
        timeline_seek(s->timeline, timeline_edge(s->timeline), &stop);
    if (!timeline_at_edge(s->timeline)) {
        server_say(s, "nothing is written back: position %" PRIu64 " is not to be reached again", timeline_edge(s->timeline));
        return false;
    }
    if (flash)
        good = server_flash_write_back(s);
    return (!drives || server_drives_write_back(s)) && good;
}

/* The guest stands, and a debugger is connected: how long until the way back is prepared? */
static uint64_t until_prepared(const struct server *s)
{
    uint64_t silent = host_monotonic_ns() - s->heard_ns;

    return silent < PREPARE_AFTER_NS ? PREPARE_AFTER_NS - silent : 0;
}

/* The user thinks. */
static void prepare_back(struct server *s)
{
    s->preparing = true;
    s->prepare = !timeline_prepare_back(s->timeline);
    s->preparing = false;
    s->heard_ns = host_monotonic_ns();
}

int server_run(struct server *s)
{
    greet(s);
    s->free_running = s->config.run && !s->config.gdb_stdio;
    while (!s->quit) {
        if (s->session && run_for_client(s)) {
            if (!s->quit)
                server_client_check(s);
        } else if (s->free_running && !s->session) {
            run_free(s);
        } else {
            bool prepare = s->prepare && s->session && !rsp_in_frame(s->session);

            if (prepare && !until_prepared(s) && !is_wanted(s))
                prepare_back(s);
            else
                serve(s, prepare ? until_prepared(s) : POLLER_WAIT_FOREVER);
            if (s->session && !s->quit)
                server_client_check(s);
        }
    }
    server_client_flush(s);
    server_branch_leave(s);
    if (!write_back(s) && s->exit_status == 0)
        s->exit_status = STATUS_NOT_WRITTEN;
    server_record_end(s);
    if (s->record_lacks && s->exit_status == 0)
        s->exit_status = STATUS_NOT_WRITTEN;
    return s->exit_status;
}

void server_rescue(const struct server *s)
{
    struct buffer text;

    server_record_rescue(s);
    buffer_init(&text);
    buffer_printf(&text, "position %" PRIu64 " of %" PRIu64 "\n", s->machine->st->position,
                  timeline_edge(s->timeline));
    if (s->machine->cpus[0]->ops->describe)
        s->machine->cpus[0]->ops->describe(s->machine->cpus[0], &text);
    fwrite(text.data, 1, text.len, stderr);
    buffer_finish(&text);
}

struct server *server_create(const struct server_config *config, struct error *err)
{
    struct server *s = xcalloc(1, sizeof *s);
    const unsigned workers = host_processors();
    const uint64_t memory = (uint64_t)config->machine->memory.pages.count << PAGE_SHIFT;
    struct timeline_config timeline = {
        .checkpoint_memory = config->checkpoint_bytes,
        .live = !config->replay || config->continue_live,
        .sleep = config->sleep,
        .far_steps = workers >= 2 && memory * workers <= config->checkpoint_bytes ? FAR_STEPS : 0,
        .branches = true,
    };
    struct timeline_host host = {
        .ctx = s,
        .now_ns = on_now,
        .work_ns = on_work,
        .wall_clock_ns = on_wall_clock,
        .entropy = on_entropy,
        .file_call = server_file_call,
        .sound = server_sound_input,
        .image_read = server_image_read,
        .image_why = server_image_why,
        .image_changed = server_image_changed,
        .image_direct = server_image_direct,
        .output = on_output,
        .arrived = server_net_arrived,
        .told = on_told,
        .poll = on_poll,
        .wait = on_wait,
        .name_unkept = on_name_unkept,
        .fixed = on_fixed,
    };

    s->cut_at = ICOUNT_MAX;
    s->config = *config;
    s->began_ns = host_wall_ns();
    s->machine = config->machine;
    server_ports_init(s);
    server_net_init(s);
    server_tpm_init(s);
    server_sound_init(s);
    server_semihost_init(s);
    stream_init(&s->client);
    s->record.fd = -1;
    host_random(&timeline.secret, sizeof timeline.secret);
    s->timeline = timeline_create(s->machine, &timeline, &host);
    if (config->make_machine) {
        const struct query_means means = {.ctx = s, .make = on_make, .now_ns = on_now, .work_ns = on_work, .workers = workers < 2 ? 2 : workers};

        timeline_set_query_means(s->timeline, &means);
    }
    if (server_record_start(s, err) < 0) {
        server_destroy(s);
        return NULL;
    }
    server_net_begin(s);
    server_tpm_begin(s);
    server_target_init(s);
    if (config->replay && config->continue_live) {
        server_net_reset_connections(s);
        server_tpm_resume(s);
        server_usb_lose(s);
    }
    if (config->make_machine)
        server_trace_init(s);
    if (config->gdb_stdio) {
        stream_from_stdio(&s->client);
        s->session = rsp_create(&s->info, &s->ops, s);
        rsp_set_tracing(s->session, s->tracing);
    }
    return s;
}

void server_destroy(struct server *s)
{
    if (!s)
        return;
    server_record_end(s);
    server_client_finish(s);
    server_ports_finish(s);
    server_net_finish(s);
    server_tpm_finish(s);
    server_usb_finish(s);
    server_sound_finish(s);
    server_semihost_finish(s);
    server_files_finish(s);
    buffer_finish(&s->branch_line);
    server_trace_finish(s);
    free(s->points);
    free(s->watches);
    timeline_destroy(s->timeline);
    free(s->regs);
    free(s);
}
