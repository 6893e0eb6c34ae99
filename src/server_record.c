/*
 * The server's recordings: the one that is replayed, the one that is written.
 *
 * What is new is written each UPDATE_NS of host time while the guest runs, and
 * when it stops: what a killed server leaves is never more than that behind. If
 * writing fails (a full disk), that is told once, on stderr and to the debugger;
 * the guest and its history in memory go on.
 */
#include "server_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host/clock.h"

/* Half of the second that is promised: updates may come late. */
#define UPDATE_NS 500000000u

static int write_file(void *ctx, const void *data, size_t len)
{
    return host_writer_write(ctx, data, len);
}

static struct recorder *start(struct server *s, struct host_writer *file, uint64_t checkpoint_steps)
{
    const struct server_description *d = &s->config.description;
    struct recorder_config c = {
        .ctx = file,
        .write = write_file,
        .pairs = d->pairs,
        .npairs = d->npairs,
        .images = d->images,
        .nimages = d->nimages,
        .checkpoint_steps = checkpoint_steps,
    };

    return recorder_create(s->timeline, &c);
}

static int start_replay(struct server *s, struct error *err)
{
    struct recording *r = s->config.replay;
    int status = recorder_check_machine(r, s->machine, err);

    if (status == 0)
        status = recorder_adopt(s->timeline, r, !s->config.ignore_checkpoints, err);
    if (status == 0)
        s->checks = recorder_checks_create(s->timeline, r);
    return status;
}

/* The recording has come to its end, one way or the other. */
static void stop_recording(struct server *s)
{
    recorder_destroy(s->recorder);
    s->recorder = NULL;
    host_writer_close(&s->record);
}

static void give_up(struct server *s, int status)
{
    struct buffer text;

    stop_recording(s);
    buffer_init(&text);
    buffer_printf(&text, "recording to %s stopped: %s; the file is good up to its last whole chunk, the guest goes on "
                  "(monitor save FILE writes all of its history elsewhere)", s->config.record, strerror(-status));
    buffer_append_byte(&text, 0);
    server_say(s, "%s", (const char *)text.data);
    text.data[text.len - 1] = '\n';
    if (s->session) {
        rsp_console(s->session, "hindcast: ", 10);
        rsp_console(s->session, (const char *)text.data, text.len);
    }
    buffer_finish(&text);
}

int server_record_start(struct server *s, struct error *err)
{
    int status = s->config.replay ? start_replay(s, err) : 0;

    if (status < 0 || !s->config.record)
        return status;
    status = host_writer_open(&s->record, s->config.record, err);
    if (status < 0)
        return status;
    s->recorder = start(s, &s->record, s->config.checkpoint_steps);
    server_record_update(s, true);
    return 0;
}

void server_record_update(struct server *s, bool now)
{
    uint64_t t;
    int status;

    if (!s->recorder)
        return;
    t = host_monotonic_ns();
    if (!now && t - s->recorded_ns < UPDATE_NS)
        return;
    s->recorded_ns = t;
    status = recorder_update(s->recorder);
    if (status < 0)
        give_up(s, status);
}

uint64_t server_record_due(const struct server *s)
{
    uint64_t t;

    if (!s->recorder)
        return UINT64_MAX;
    t = host_monotonic_ns() - s->recorded_ns;
    return t < UPDATE_NS ? UPDATE_NS - t : 0;
}

void server_record_end(struct server *s)
{
    int status;

    recorder_checks_destroy(s->checks);
    s->checks = NULL;
    if (!s->recorder)
        return;
    /* The hash of the last state of all, if this is it. */
    if (timeline_at_edge(s->timeline))
        timeline_checkpoint(s->timeline);
    status = recorder_close(s->recorder);
    if (status < 0)
        give_up(s, status);
    else
        stop_recording(s);
}

int server_record_save(struct server *s, const char *path, uint64_t *bytes, struct error *err)
{
    struct host_writer file;
    struct recorder *rec;
    int status, closed;

    if (s->recorder && !strcmp(path, s->config.record))
        return error_set(err, -EBUSY, "%s is being recorded to: name another file", path);
    status = host_writer_open(&file, path, err);
    if (status < 0)
        return status;
    if (timeline_at_edge(s->timeline))
        timeline_checkpoint(s->timeline);
    rec = start(s, &file, s->config.checkpoint_steps);
    recorder_update_all(rec);
    status = recorder_close(rec);
    *bytes = recorder_bytes(rec);
    recorder_destroy(rec);
    closed = host_writer_close(&file);
    if (status == 0)
        status = closed;
    if (status < 0)
        return error_set(err, status, "%s: cannot write: %s", path, strerror(-status));
    return 0;
}
