/*
 * The guest's TPM, an emulator on the host (host/tpmdev.h).
 *
 * A command comes here from the timeline, once, past the live edge only; its answer goes to the timeline as input. With an answer
 * goes what the TPM's state is after it, as far as that has changed, so a history says at each of its positions what the TPM was
 * (and has its secrets). Whoever goes on live from there (a recording's end, a branch) puts the TPM back to that first: what
 * it has become since is another history's. A command that was not answered then is given to it again. A replay needs no TPM.
 *
 * Input: an answer as vm/dev/tpm.h has it; behind it, for each part of the state that is another one: u32 type, u32 flags, u32
 * bytes, the bytes.
 */
#include "server_internal.h"

#include <string.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "vm/dev/tpm.h"

#define BLOB_HEAD 12u

void server_tpm_init(struct server *s)
{
    for (unsigned i = 0; s->config.tpm && i < s->machine->ndevices; i++)
        if (s->machine->devices[i]->backend_kind == BACKEND_TPMDEV)
            s->tpm.dev = s->machine->devices[i];
}

void server_tpm_finish(struct server *s)
{
    tpmdev_close(s->config.tpm);
}

static void init_blobs(struct tpmdev_blob *blobs)
{
    for (unsigned i = 0; i < TPMDEV_BLOBS; i++) {
        blobs[i] = (struct tpmdev_blob){.type = i + 1};
        buffer_init(&blobs[i].bytes);
    }
}

static void finish_blobs(struct tpmdev_blob *blobs)
{
    for (unsigned i = 0; i < TPMDEV_BLOBS; i++)
        buffer_finish(&blobs[i].bytes);
}

/* ---- what the TPM was ---- */

static void append_state(struct server *s, struct buffer *b)
{
    struct tpmdev_blob blobs[TPMDEV_BLOBS];

    init_blobs(blobs);
    tpmdev_state(s->config.tpm, blobs);
    for (unsigned i = 0; i < TPMDEV_BLOBS; i++) {
        uint64_t hash = hash_bytes(1, blobs[i].bytes.data, blobs[i].bytes.len);

        if (hash == s->tpm.noted[i])
            continue;
        s->tpm.noted[i] = hash;
        buffer_append_le(b, blobs[i].type, 4);
        buffer_append_le(b, blobs[i].flags, 4);
        buffer_append_le(b, blobs[i].bytes.len, 4);
        buffer_append(b, blobs[i].bytes.data, blobs[i].bytes.len);
    }
    finish_blobs(blobs);
}

/* To the guest: an answer (or, with `sequence` 0, none), and to whoever goes on from here: the state after it. */
static void put_in(struct server *s, uint32_t sequence, const struct buffer *answer)
{
    uint8_t head[TPM_INPUT_HEAD];
    struct buffer b;

    buffer_init(&b);
    tpm_input_head(head, sequence, tpmdev_established(s->config.tpm), (uint32_t)answer->len);
    buffer_append(&b, head, sizeof(head));
    buffer_append(&b, answer->data, answer->len);
    append_state(s, &b);
    timeline_input(s->timeline, s->tpm.dev, b.data, b.len, true);
    buffer_finish(&b);
}

/* Take from an event what is not known from a later one. */
static unsigned take_blobs(const struct event *e, struct tpmdev_blob *blobs, bool *known)
{
    size_t at = tpm_input_rest(e->data, e->len);
    unsigned taken = 0;

    while (at && e->len - at >= BLOB_HEAD) {
        const uint8_t *p = e->data + at;
        uint32_t type = get_le32(p), len = get_le32(p + 8);

        if (len > e->len - at - BLOB_HEAD || type < 1 || type > TPMDEV_BLOBS)
            return taken;
        at += BLOB_HEAD + len;
        if (known[type - 1])
            continue;
        known[type - 1] = true;
        blobs[type - 1].flags = get_le32(p + 4);
        buffer_append(&blobs[type - 1].bytes, p + BLOB_HEAD, len);
        taken++;
    }
    return taken;
}

/* What the TPM was at the end of the history in use. False: that is not known. */
static bool find_state(const struct server *s, struct tpmdev_blob *blobs)
{
    const struct event_log *log = timeline_log(s->timeline);
    bool known[TPMDEV_BLOBS] = {false};
    uint64_t count = 0;
    unsigned found = 0;

    while (event_log_get(log, count))
        count++;
    while (count-- && found < TPMDEV_BLOBS) {
        const struct event *e = event_log_get(log, count);

        if (e->kind == EVENT_INPUT && e->source == s->tpm.dev->index)
            found += take_blobs(e, blobs, known);
    }
    return blobs[TPMDEV_PERMANENT - 1].bytes.len || blobs[TPMDEV_VOLATILE - 1].bytes.len;
}

/* It was not switched on, by *err, or has gone: who has gone has not refused. */
static void tell_failure(struct server *s, const struct error *err)
{
    if (tpmdev_gone(s->config.tpm)) {
        s->tpm.told_gone = true;
        server_tell(s, "the TPM's emulator has gone: it answers nothing from here on");
    } else {
        server_tell(s, err->text);
    }
}

static void put_back(struct server *s)
{
    struct tpmdev_blob blobs[TPMDEV_BLOBS];
    struct error err = {0};
    bool known;

    s->tpm.resume = false;
    memset(s->tpm.noted, 0, sizeof(s->tpm.noted));
    init_blobs(blobs);
    known = find_state(s, blobs);
    if (tpmdev_start(s->config.tpm, known ? blobs : NULL, &err) < 0)
        tell_failure(s, &err);
    else
        server_tell(s, known ? "the TPM is what it was at the end of this history: what it has done since, it has not done"
                             : "what the TPM was at the end of this history is not known: it is switched on as it is now");
    finish_blobs(blobs);
}

/* ---- commands and answers ---- */

/* Does it happen now, past what was lived before? */
static bool is_live(const struct server *s)
{
    return timeline_outside(s->timeline) && machine_position(s->machine) >= timeline_edge(s->timeline);
}

void server_tpm_begin(struct server *s)
{
    static const struct buffer none;

    if (s->tpm.dev && !s->config.replay)
        put_in(s, 0, &none);
}

void server_tpm_resume(struct server *s)
{
    bool has = false;

    for (unsigned i = 0; i < s->machine->ndevices; i++)
        has |= s->machine->devices[i]->backend_kind == BACKEND_TPMDEV;
    s->tpm.resume = s->tpm.dev != NULL;
    if (has && !s->tpm.dev)
        server_tell(s, "the guest's TPM is not there any more (--tpmdev): it answers nothing from here on");
}

void server_tpm_poll(const struct server *s, struct poller *poller)
{
    if (s->tpm.dev && timeline_outside(s->timeline))
        tpmdev_poll(s->config.tpm, poller);
}

static void tell_if_gone(struct server *s)
{
    if (tpmdev_gone(s->config.tpm) && !s->tpm.told_gone)
        tell_failure(s, NULL);
}

bool server_tpm_serve(struct server *s)
{
    struct tpm_output pending;
    struct buffer answer;
    uint32_t sequence;
    bool any = false;

    if (!s->tpm.dev || !timeline_outside(s->timeline))
        return false;
    if (s->tpm.resume) {
        if (!is_live(s))
            return false;
        put_back(s);
        if (tpm_pending(s->tpm.dev, &pending))
            tpmdev_send(s->config.tpm, pending.locality, pending.sequence, pending.bytes, pending.len);
    }
    buffer_init(&answer);
    while (tpmdev_receive(s->config.tpm, &sequence, &answer)) {
        put_in(s, sequence, &answer);
        tpmdev_next(s->config.tpm);
        any = true;
    }
    buffer_finish(&answer);
    tell_if_gone(s);
    return any;
}

static void switch_on(struct server *s)
{
    static const struct buffer none;
    struct error err = {0};

    if (tpmdev_start(s->config.tpm, NULL, &err) < 0)
        tell_failure(s, &err);
    put_in(s, 0, &none);
}

bool server_tpm_output(struct server *s, const struct device *dev, const void *data, size_t len)
{
    static const struct buffer none;
    struct tpm_output o;

    if (dev->backend_kind != BACKEND_TPMDEV)
        return false;
    if (!s->tpm.dev || !is_live(s) || !tpm_parse(data, len, &o))
        return true;
    if (s->tpm.resume)
        put_back(s); /* (a command that it had not answered, the guest has given up) */
    switch (o.request) {
    case TPM_COMMAND:
        tpmdev_send(s->config.tpm, o.locality, o.sequence, o.bytes, o.len);
        break;
    case TPM_CANCEL:
        tpmdev_cancel(s->config.tpm);
        break;
    case TPM_RESET:
        switch_on(s);
        break;
    case TPM_RESET_ESTABLISHED:
        tpmdev_reset_established(s->config.tpm, o.locality);
        put_in(s, 0, &none);
        break;
    }
    return true;
}
