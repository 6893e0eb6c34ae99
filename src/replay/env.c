/*
 * What the machine asks of the outside, and the outside of the machine.
 *
 * Two cursors run through the log: one over events that the machine is given
 * (input and step events), one over answers to what it asks (host clock,
 * entropy, files, sound). Their orders are independent within a position, and each is exact.
 *
 * A question is answered from the log if the log has an answer for this very
 * position; only where history ends is the host asked. This holds also for a
 * step that was begun and abandoned (an interrupted sleep): what it asked then
 * it is told again.
 */
#include "replay/timeline_internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

/* Most inputs that follow another at one position: a quarter of a usual ring. */
#define BURST_MOST 64u

/* What the machine is given; all else it asks for. */
static bool is_push(uint16_t kind)
{
    return kind == EVENT_INPUT || event_is_step(kind);
}

/* Answers whose order matters. (What is known of images is clusters.c's.) */
static bool is_pull(uint16_t kind)
{
    return kind == EVENT_HOST_CLOCK || kind == EVENT_ENTROPY || kind == EVENT_FILE || kind == EVENT_SOUND;
}

void env_diverged(struct timeline *tl, icount_t position, const char *fmt, ...)
{
    va_list ap;
    int n;

    if (tl->truth.astray && tl->truth.bad <= position)
        return; /* the first is the one that matters */
    tl->truth.astray = true;
    tl->truth.bad = position;
    n = snprintf(tl->truth.divergence.text, sizeof(tl->truth.divergence.text), "replay diverges at position %llu: ",
                 (unsigned long long)position);
    va_start(ap, fmt);
    vsnprintf(tl->truth.divergence.text + n, sizeof(tl->truth.divergence.text) - (size_t)n, fmt, ap);
    va_end(ap);
    tl->truth.divergence.code = -1;
    tl->truth.undiagnosed = false;
}

/* ---- pulled values ---- */

static const char *question(uint16_t kind)
{
    return kind == EVENT_HOST_CLOCK ? "the host's clock" : kind == EVENT_ENTROPY ? "random bytes"
         : kind == EVENT_SOUND ? "sound" : "a file";
}

/* The log's answer to the question of that kind that is asked now, of `least` to `most` bytes. NULL: the
 * host is to be asked, unless the replay is astray. */
static const struct event *logged_answer(struct timeline *tl, uint16_t kind, size_t least, size_t most)
{
    icount_t here = machine_position(tl->m);
    const struct event *e;

    while ((e = event_log_get(tl->log, tl->reader.pull_cursor)) && !is_pull(e->kind))
        tl->reader.pull_cursor++;
    if (e && e->position == here && e->kind == kind && e->len >= least && e->len <= most) {
        tl->reader.pull_cursor++;
        return e;
    }
    if (e && e->position <= here)
        env_diverged(tl, here, "the guest asks for %s, the log has an answer of kind %u, %u bytes, for position %llu",
                     question(kind), (unsigned)e->kind, (unsigned)e->len, (unsigned long long)e->position);
    else if (e || here < tl->edge || !tl->cfg.live)
        env_diverged(tl, here, "the guest asks for %s, the log has no answer", question(kind));
    return NULL;
}

/* Log what the host has answered. */
static void log_answer(struct timeline *tl, uint16_t kind, const void *data, size_t len)
{
    const struct event made = {
        .position = machine_position(tl->m),
        .vtime = machine_now(tl->m),
        .kind = kind,
        .source = EVENT_SOURCE_MACHINE,
        .len = (uint32_t)len,
        .data = data,
    };

    event_log_append(tl->log, &made);
    tl->reader.pull_cursor = event_log_count(tl->log);
}

/* Answer from the log, else from the host (`ask`), which is then logged. */
static void pull(struct timeline *tl, uint16_t kind, void *buf, size_t len,
                 void (*ask)(struct timeline *, void *buf, size_t len))
{
    const struct event *e = logged_answer(tl, kind, len, len);

    if (e) {
        memcpy(buf, e->data, len);
    } else if (tl->truth.astray) {
        memset(buf, 0, len);
    } else {
        ask(tl, buf, len);
        log_answer(tl, kind, buf, len);
    }
}

void env_check(struct timeline *tl)
{
    const struct event *e;

    while ((e = event_log_get(tl->log, tl->reader.pull_cursor)) && !is_pull(e->kind))
        tl->reader.pull_cursor++;
    if (e && e->position < tl->m->st->position)
        env_diverged(tl, e->position, "the log has an answer to a question (kind %u) that the guest does not ask here",
                     (unsigned)e->kind);
}

static void ask_clock(struct timeline *tl, void *buf, size_t len)
{
    uint64_t ns = tl->outside ? tl->host.wall_clock_ns(tl->host.ctx) : branches_clock(tl);

    memcpy(buf, &ns, len);
}

static void ask_entropy(struct timeline *tl, void *buf, size_t len)
{
    if (tl->outside)
        tl->host.entropy(tl->host.ctx, buf, len);
    else
        branches_entropy(tl, buf, len);
}

static uint64_t env_host_clock(void *ctx, struct machine *m)
{
    uint64_t ns;

    (void)m;
    pull(ctx, EVENT_HOST_CLOCK, &ns, sizeof(ns), ask_clock);
    return ns;
}

static void env_entropy(void *ctx, struct machine *m, void *buf, size_t len)
{
    (void)m;
    pull(ctx, EVENT_ENTROPY, buf, len, ask_entropy);
}

/* EVENT_FILE: operation, error, value, offset, then the bytes that were answered. */
#define FILE_HEAD 24u

/* What the log says of this request. */
static void file_answer_logged(struct timeline *tl, const struct event *e, const struct file_request *request,
                               struct file_answer *answer)
{
    size_t read = e->len - FILE_HEAD;

    answer->error = (uint32_t)get_le(e->data + 4, 4);
    answer->value = get_le(e->data + 8, 8);
    answer->offset = get_le(e->data + 16, 8);
    if (get_le(e->data, 4) == request->op && answer->error <= FILE_ERROR_MAX &&
        (file_op_answers_bytes(request->op) ? answer->value == read : read == 0) &&
        (request->op != FILE_WRITE || answer->value <= request->len)) {
        if (read)
            memcpy(answer->data, e->data + FILE_HEAD, read);
        return;
    }
    env_diverged(tl, e->position, "the guest's request for a file (operation %u) is not the one that was answered",
                 (unsigned)request->op);
    answer->error = EIO;
    answer->value = answer->offset = 0;
}

static void ask_file(struct timeline *tl, const struct file_request *request, struct file_answer *answer)
{
    uint8_t event[FILE_HEAD + FILE_PIECE];
    size_t read;

    if (tl->outside && tl->host.file_call)
        tl->host.file_call(tl->host.ctx, request, answer);
    if (answer->error)
        answer->value = answer->offset = 0;
    read = file_op_answers_bytes(request->op) ? (size_t)answer->value : 0;
    CHECK(read <= request->len && answer->error <= FILE_ERROR_MAX);
    put_le(event, request->op, 4);
    put_le(event + 4, answer->error, 4);
    put_le(event + 8, answer->value, 8);
    put_le(event + 16, answer->offset, 8);
    if (read)
        memcpy(event + FILE_HEAD, answer->data, read);
    log_answer(tl, EVENT_FILE, event, FILE_HEAD + read);
}

static void env_file_call(void *ctx, struct machine *m, const struct file_request *request, struct file_answer *answer)
{
    struct timeline *tl = ctx;
    size_t room = file_op_answers_bytes(request->op) ? request->len : 0;
    const struct event *e;

    (void)m;
    CHECK(request->len <= FILE_PIECE);
    e = logged_answer(tl, EVENT_FILE, FILE_HEAD, FILE_HEAD + room);
    if (e)
        file_answer_logged(tl, e, request, answer);
    else if (!tl->truth.astray)
        ask_file(tl, request, answer);
}

/* EVENT_SOUND: bytes of a sample, then the samples. */
#define SOUND_HEAD        4u
#define SOUND_FRAMES_MOST 4096u
#define SOUND_CHANNELS    2u

/* Is it what a card can be given that asks for `n` frames? */
static bool sound_is_answer(struct timeline *tl, const struct event *e, size_t n)
{
    uint64_t width = get_le(e->data, SOUND_HEAD);
    bool is = (width == 2 || width == 4) && (e->len - SOUND_HEAD) % (width * SOUND_CHANNELS) == 0 &&
              (e->len - SOUND_HEAD) / (width * SOUND_CHANNELS) <= n;

    if (!is)
        env_diverged(tl, e->position, "the log's sound is malformed");
    return is;
}

static size_t sound_logged(const struct event *e, int32_t *samples)
{
    unsigned width = (unsigned)get_le(e->data, SOUND_HEAD);
    size_t count = (e->len - SOUND_HEAD) / width;

    for (size_t i = 0; i < count; i++)
        samples[i] = (int32_t)((uint32_t)get_le(e->data + SOUND_HEAD + i * width, width) << (32 - 8 * width));
    return count / SOUND_CHANNELS;
}

static size_t ask_sound(struct timeline *tl, struct device *dev, uint64_t at, uint32_t rate, int32_t *samples, size_t n)
{
    uint8_t event[SOUND_HEAD + SOUND_FRAMES_MOST * SOUND_CHANNELS * 4];
    size_t got = tl->outside && tl->host.sound ? tl->host.sound(tl->host.ctx, dev, at, rate, samples, n) : 0;
    unsigned width = 2;

    CHECK(got <= n);
    for (size_t i = 0; i < got * SOUND_CHANNELS; i++)
        if (samples[i] & 0xffff)
            width = 4;
    put_le(event, width, SOUND_HEAD);
    for (size_t i = 0; i < got * SOUND_CHANNELS; i++)
        put_le(event + SOUND_HEAD + i * width, (uint32_t)samples[i] >> (32 - 8 * width), width);
    log_answer(tl, EVENT_SOUND, event, SOUND_HEAD + got * SOUND_CHANNELS * width);
    return got;
}

static size_t env_sound(void *ctx, struct device *dev, uint64_t at, uint32_t rate, int32_t *samples, size_t n)
{
    struct timeline *tl = ctx;
    const struct event *e;

    CHECK(n <= SOUND_FRAMES_MOST);
    e = logged_answer(tl, EVENT_SOUND, SOUND_HEAD, SOUND_HEAD + n * SOUND_CHANNELS * 4);
    if (e)
        e = sound_is_answer(tl, e, n) ? e : NULL;
    if (e)
        return sound_logged(e, samples);
    return tl->truth.astray ? 0 : ask_sound(tl, dev, at, rate, samples, n);
}

/* ---- output ---- */

/* Something goes out, or is to be told, here. Is it the first time in history? */
static bool first_time(struct timeline *tl)
{
    icount_t here = machine_position(tl->m);

    if (tl->reader.now_position != here) {
        tl->reader.now_position = here;
        tl->reader.now_calls = 0;
    }
    tl->reader.now_calls++;
    if (here < tl->reader.out_position || (here == tl->reader.out_position && tl->reader.now_calls <= tl->reader.out_calls))
        return false;
    tl->reader.out_position = here;
    tl->reader.out_calls = tl->reader.now_calls;
    return true;
}

static void env_output(void *ctx, struct device *dev, const void *buf, size_t len)
{
    struct timeline *tl = ctx;

    /* A recording's output up to its end was heard when it was made, but not here. */
    if (first_time(tl) && tl->host.output)
        tl->host.output(tl->host.ctx, dev, buf, len);
}

static void env_arrived(void *ctx, struct device *dev, const void *frame, size_t len, uint64_t number, const char *dropped)
{
    struct timeline *tl = ctx;

    if (first_time(tl) && tl->host.arrived)
        tl->host.arrived(tl->host.ctx, dev, frame, len, number, dropped);
}

static void env_told(void *ctx, struct device *dev, const char *text)
{
    struct timeline *tl = ctx;

    if (first_time(tl) && tl->host.told)
        tl->host.told(tl->host.ctx, dev, text);
}

/* ---- events ---- */

static const struct event *next_push(struct timeline *tl)
{
    const struct event *e;

    while ((e = event_log_get(tl->log, tl->reader.push_cursor)) && !is_push(e->kind))
        tl->reader.push_cursor++;
    return e;
}

static bool feed_device(struct timeline *tl, struct device *dev, vtime_t when, bool more);

/* Frames that came together are given together, as long as there is room: who finds many on a ring works off many at one interrupt.
 * Room is asked of the state, so each must have been applied before the next; and what finds none ends it, because a
 * replay would apply a later one before whatever made room. False: no more at this position. */
static bool feed_more(struct timeline *tl)
{
    struct burst *b = &tl->reader.burst;
    bool fed = false;

    if (!b->left || b->position != tl->m->st->position || tl->m->st->end)
        return false;
    for (unsigned i = 0; i < tl->m->ndevices; i++)
        fed |= feed_device(tl, tl->m->devices[i], b->when, true);
    b->left = fed ? b->left - 1 : 0;
    return fed;
}

void env_may_burst(struct timeline *tl, bool may)
{
    tl->reader.burst = (struct burst){.may = may, .position = tl->m->st->position};
}

/* An input is being given at the edge. */
static void begin_burst(struct timeline *tl, const struct event *e)
{
    struct burst *b = &tl->reader.burst;

    if (!b->may || b->begun || b->position != tl->m->st->position || e->kind != EVENT_INPUT)
        return;
    b->when = e->vtime;
    b->left = BURST_MOST;
    b->begun = true;
}

static const struct event *env_peek_event(void *ctx, struct machine *m)
{
    struct timeline *tl = ctx;
    const struct event *e = next_push(tl);

    if (!e && feed_more(tl))
        e = next_push(tl);
    /* Only a file can hold such an event: ours are bound to where they are applied. */
    if (e && e->position < m->st->position) {
        env_diverged(tl, e->position, "the log's event (kind %u) does not come to be applied here", (unsigned)e->kind);
        return NULL;
    }
    return e;
}

static void env_take_event(void *ctx, struct machine *m)
{
    struct timeline *tl = ctx;

    (void)m;
    begin_burst(tl, next_push(tl));
    tl->reader.push_cursor++;
}

const struct event *env_event_here(struct timeline *tl)
{
    const struct event *e = next_push(tl);

    return e && e->position == tl->m->st->position ? e : NULL;
}

void env_seek(struct timeline *tl)
{
    tl->reader.push_cursor = tl->reader.pull_cursor = event_log_find(tl->log, tl->m->st->position);
    tl->reader.now_position = ICOUNT_MAX;
    tl->reader.now_calls = 0;
    timeline_look_at_images(tl);
    tl->truth.astray = false; /* whoever runs into it again will see it again */
    tl->truth.next_witness = witness_log_find(&tl->truth.witnesses, tl->m->st->position);
}

bool env_step_event_at(const struct timeline *tl, icount_t position)
{
    uint64_t n = event_log_count(tl->log);
    const struct event *e;

    /* Beyond the last event, where one mostly is. */
    if (!n || event_log_get(tl->log, n - 1)->position < position)
        return false;
    for (n = event_log_find(tl->log, position); (e = event_log_get(tl->log, n)) && e->position == position; n++) {
        if (event_is_step(e->kind))
            return true;
    }
    return false;
}

bool env_resets_between(const struct timeline *tl, icount_t from, icount_t to)
{
    const struct event *e;

    for (uint64_t n = event_log_find(tl->log, from + 1); (e = event_log_get(tl->log, n)) && e->position < to; n++)
        if (e->kind == EVENT_RESET)
            return true;
    return false;
}

vtime_t env_edge_now(const struct timeline *tl)
{
    vtime_t now = machine_now(tl->m);

    return now > tl->edge_vtime ? now : tl->edge_vtime;
}

void env_append_step(struct timeline *tl, uint16_t kind, uint16_t source, const void *data, uint32_t len)
{
    const struct event e = {
        .position = tl->m->st->position,
        .vtime = env_edge_now(tl),
        .kind = kind,
        .source = source,
        .len = len,
        .data = data,
    };

    diverge_expect(tl);
    event_log_append(tl->log, &e);
}

/* ---- input ---- */

static void queue_input(struct timeline *tl, struct device *dev, const void *data, size_t len, bool whole, vtime_t due)
{
    struct input_queue *q = &tl->reader.inputs[dev->index];
    struct input *in = xmalloc(sizeof(*in) + len);

    *in = (struct input){.len = len, .whole = whole, .due = due};
    if (len)
        memcpy(in->data, data, len);
    if (q->last)
        q->last->next = in;
    else
        q->first = in;
    q->last = in;
    q->bytes += len;
}

void timeline_input(struct timeline *tl, struct device *dev, const void *data, size_t len, bool whole)
{
    if (len)
        queue_input(tl, dev, data, len, whole, 0);
}

void timeline_break(struct timeline *tl, struct device *dev)
{
    CHECK(dev->ops->takes_break);
    queue_input(tl, dev, NULL, 0, true, 0);
}

void timeline_input_at(struct timeline *tl, struct device *dev, const void *data, size_t len, vtime_t due)
{
    queue_input(tl, dev, data, len, true, due);
}

vtime_t env_input_due(const struct timeline *tl)
{
    vtime_t first = VTIME_NEVER;

    for (unsigned i = 0; i < tl->m->ndevices; i++) {
        const struct input *in = tl->reader.inputs[i].first;

        if (in && in->due && in->due < first)
            first = in->due;
    }
    return first;
}

uint64_t timeline_inputs_waiting(const struct timeline *tl, const struct device *dev)
{
    uint64_t n = 0;

    for (const struct input *in = tl->reader.inputs[dev->index].first; in; in = in->next)
        n++;
    return n;
}

size_t timeline_input_pending(const struct timeline *tl, const struct device *dev)
{
    return tl->reader.inputs[dev->index].bytes;
}

/* Most bytes of one event: what is pasted must not become one huge event. */
#define INPUT_MAX 65536u

/* `more`: of what is given whole, and something was given here already. */
static bool feed_device(struct timeline *tl, struct device *dev, vtime_t when, bool more)
{
    struct input_queue *q = &tl->reader.inputs[dev->index];
    struct input *in = q->first;
    size_t room, n;
    struct event e;

    if (!in)
        return false;
    if (in->due > when || (more && !in->whole))
        return false;
    room = dev->ops->input_room ? dev->ops->input_room(dev) : SIZE_MAX;
    n = in->len - in->done;
    if (in->whole && (n > room || !room)) {
        if (in->due)
            in->due = when - when % TIMELINE_RETRY_NS + TIMELINE_RETRY_NS;
        return false;
    }
    if (!in->whole)
        n = n > room ? room : n > INPUT_MAX ? INPUT_MAX : n;
    if (!n && in->len)
        return false;
    if (!more)
        diverge_expect(tl);
    e = (struct event){
        .position = tl->m->st->position,
        .vtime = when,
        .kind = EVENT_INPUT,
        .source = dev->index,
        .len = (uint32_t)n,
        .data = in->data + in->done,
    };
    event_log_append(tl->log, &e);
    in->done += n;
    q->bytes -= n;
    if (in->done < in->len)
        return true;
    q->first = in->next;
    if (!q->first)
        q->last = NULL;
    free(in);
    return true;
}

bool env_feed_input(struct timeline *tl, vtime_t when)
{
    bool fed = false;

    /* Room is asked of the present state, so what was fed before must have been applied. */
    if (next_push(tl) || tl->m->st->end)
        return false;
    for (unsigned i = 0; i < tl->m->ndevices; i++)
        fed |= feed_device(tl, tl->m->devices[i], when, false);
    return fed;
}

/* ---- set-up ---- */

void env_init(struct timeline *tl)
{
    tl->env = (struct machine_env){
        .ctx = tl,
        .host_clock = env_host_clock,
        .entropy = env_entropy,
        .file_call = env_file_call,
        .sound = env_sound,
        .image_read = clusters_read,
        .output = env_output,
        .arrived = env_arrived,
        .told = env_told,
        .peek_event = env_peek_event,
        .take_event = env_take_event,
    };
    tl->m->env = &tl->env;
    tl->reader.now_position = ICOUNT_MAX;
}

void env_drop_input(struct reader *r)
{
    for (unsigned i = 0; i < MACHINE_MAX_DEVICES; i++) {
        struct input *in = r->inputs[i].first;

        while (in) {
            struct input *next = in->next;

            free(in);
            in = next;
        }
        r->inputs[i] = (struct input_queue){.bytes = 0};
    }
}

void env_finish(struct timeline *tl)
{
    env_drop_input(&tl->reader);
    clusters_finish(&tl->clusters);
    tl->m->env = NULL;
}
