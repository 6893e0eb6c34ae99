/*
 * The server's recordings: the one that is replayed, the one that is written.
 *
 * What is new is written each UPDATE_NS of host time while the guest runs, and
 * when it stops, and the disk is asked to keep it, which a thread waits for
 * (host/file.h): what a killed server or a power cut leaves is never more than
 * that behind. If writing fails (a full disk), that is told once, on stderr and to
 * the debugger; the guest and its history in memory go on. The file is cut back to
 * its last whole chunk, and every RETRY_NS it is tried to go on from there.
 */
#include "server_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/clock.h"
#include "host/file.h"

/* Half of the second that is promised: updates may come late. */
#define UPDATE_NS 500000000u
#define RETRY_NS  3000000000u

static int write_file(void *ctx, const void *data, size_t len)
{
    return host_writer_write(ctx, data, len);
}

static int rewrite_file(void *ctx, uint64_t offset, const void *data, size_t len)
{
    return host_writer_rewrite(ctx, offset, data, len);
}

static int read_image(void *ctx, unsigned drive, uint64_t offset, void *buf, size_t len)
{
    return drives_read(ctx, drive, offset, buf, len);
}

static struct recorder *start(struct server *s, struct host_writer *file, uint64_t checkpoint_steps)
{
    const struct server_description *d = &s->config.description;
    struct recorder_config c = {
        .ctx = file,
        .write = write_file,
        .rewrite = file->seekable ? rewrite_file : NULL,
        .pairs = d->pairs,
        .npairs = d->npairs,
        .images = d->images,
        .nimages = d->nimages,
        .checkpoint_steps = checkpoint_steps,
        .image_read = s->config.drives && s->config.drives->options->embed ? read_image : NULL,
        .image_ctx = s->config.drives,
    };

    return recorder_create(s->timeline, &c);
}

static int start_replay(struct server *s, struct error *err)
{
    struct recording *r = s->config.replay;
    int status = recorder_check_machine(r, s->machine, err);
    bool noted = *r->note;
    char text[256];

    if (recorder_other_semantics(r, text, sizeof(text)))
        server_say(s, "%s: %s", s->config.replay_name, text);
    if (status == 0)
        status = recorder_adopt(s->timeline, r, !s->config.ignore_checkpoints, err);
    if (status == 0 && s->config.drives)
        drives_open_branches(s->config.drives, s->timeline);
    if (status == 0)
        s->checks = recorder_checks_create(s->timeline, r);
    if (status == 0 && !noted && *r->note)
        server_say(s, "%s: %s", s->config.replay_name, r->note);
    return status;
}

/* The recording has come to its end, one way or the other. */
static void stop_recording(struct server *s)
{
    recorder_destroy(s->recorder);
    s->recorder = NULL;
    host_writer_close(&s->record);
}

/* Can the file be made whole again, and gone on with? */
static bool cut_back(struct server *s)
{
    uint64_t good = recorder_good_bytes(s->recorder);

    return good && s->record.seekable && host_writer_cut(&s->record, good) == 0;
}

/* Writing has failed. */
static void pause_recording(struct server *s, int status)
{
    bool again = cut_back(s);
    struct buffer text;

    s->record_retry_ns = host_monotonic_ns() + RETRY_NS;
    if (again && s->record_paused)
        return;
    buffer_init(&text);
    buffer_printf(&text, "recording to %s stopped: %s; %s, the guest goes on (monitor save FILE writes all of its "
                  "history elsewhere)", s->config.record, strerror(-status),
                  again ? "it is tried again every few seconds" : "the file is good up to its last whole chunk");
    buffer_append_byte(&text, 0);
    server_tell(s, (const char *)text.data);
    buffer_finish(&text);
    s->record_paused = again;
    s->record_lacks = true;
    if (!again)
        stop_recording(s);
}

static void go_on_recording(struct server *s)
{
    struct buffer text;

    s->record_paused = s->record_lacks = false;
    buffer_init(&text);
    buffer_printf(&text, "recording to %s goes on", s->config.record);
    buffer_append_byte(&text, 0);
    server_tell(s, (const char *)text.data);
    buffer_finish(&text);
}

int server_record_start(struct server *s, struct error *err)
{
    int status = s->config.replay ? start_replay(s, err) : 0;

    if (status < 0 || !s->config.record)
        return status;
    status = host_writer_open(&s->record, s->config.record, HOST_EMPTY_ONLY | (s->config.force ? HOST_FORCE : 0), err);
    if (status < 0)
        return status;
    s->recorder = start(s, &s->record, s->config.checkpoint_steps);
    server_record_update(s, true);
    return 0;
}

/* Ask the disk to keep it. */
static void sync_recording(struct server *s)
{
    int status = host_writer_sync(&s->record);
    struct buffer text;

    if (status == 0 || s->record_sync_told)
        return;
    s->record_sync_told = true;
    buffer_init(&text);
    buffer_printf(&text, "%s: the disk does not keep what is written: %s (monitor save FILE writes all of the history "
                  "elsewhere)", s->config.record, strerror(-status));
    buffer_append_byte(&text, 0);
    server_tell(s, (const char *)text.data);
    buffer_finish(&text);
}

void server_record_update(struct server *s, bool now)
{
    uint64_t t;
    int status;

    if (!s->recorder)
        return;
    t = host_monotonic_ns();
    if (s->record_paused ? t < s->record_retry_ns : !now && t - s->recorded_ns < UPDATE_NS)
        return;
    s->recorded_ns = t;
    if (s->record_paused)
        recorder_resume(s->recorder);
    status = recorder_update(s->recorder);
    if (status < 0) {
        pause_recording(s, status);
        return;
    }
    if (s->record_paused)
        go_on_recording(s);
    sync_recording(s);
}

uint64_t server_record_due(const struct server *s)
{
    uint64_t t;

    if (!s->recorder)
        return UINT64_MAX;
    t = host_monotonic_ns();
    if (s->record_paused)
        return t < s->record_retry_ns ? s->record_retry_ns - t : 0;
    t -= s->recorded_ns;
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
    if (s->record_paused)
        recorder_resume(s->recorder);
    status = recorder_close(s->recorder);
    if (status < 0) {
        s->record_paused = false;
        pause_recording(s, status);
    }
    if (s->recorder) {
        if (status == 0) {
            s->record_lacks = false;
            sync_recording(s);
        }
        stop_recording(s);
    }
}

/* ---- a broken invariant ---- */

#define RESCUE_IMAGES ((uint64_t)64 << 20) /* images of no more than this are put into the file */
#define RESCUE_TRIES  1000

/* A file that was not there before. */
static int open_rescue(struct host_writer *file, char name[64], struct error *err)
{
    static const char *const places[] = {"", "/tmp/"};
    int status = -EEXIST;

    for (unsigned p = 0; p < ARRAY_LEN(places); p++)
        for (unsigned n = 1; n <= RESCUE_TRIES; n++) {
            snprintf(name, 64, "%shindcast-rescued-%u.hcrec", places[p], n);
            if (host_file_exists(name))
                continue;
            status = host_writer_open(file, name, HOST_EMPTY_ONLY, err);
            if (status == 0)
                return 0;
            break; /* another name in this place will not do, either */
        }
    return status;
}

static void rescue(const struct server *s, unsigned branch, struct recorder_config *c, const char *what)
{
    const char *until = branch == timeline_branch(s->timeline) ? ", to the step that broke," : "";
    struct host_writer file;
    struct error err = {0};
    char name[64];
    int status = open_rescue(&file, name, &err);

    if (status < 0) {
        fprintf(stderr, "hindcast: %s could not be saved: %s\n", what, err.text);
        return;
    }
    c->ctx = &file;
    status = recorder_rescue(s->timeline, branch, c);
    if (host_writer_close(&file) < 0 || status < 0)
        fprintf(stderr, "hindcast: %s holds %s as far as it could be written: %s\n", name, what, strerror(-status));
    else
        fprintf(stderr, "hindcast: %s%s is saved: hindcast --replay %s\n", what, until, name);
}

void server_record_rescue(const struct server *s)
{
    const struct server_description *d = &s->config.description;
    struct recording_image images[RECORDING_MAX_IMAGES];
    struct recorder_config c = {.write = write_file, .pairs = d->pairs, .npairs = d->npairs,
                                .images = images, .nimages = d->nimages};
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < d->nimages; i++)
        bytes += d->images[i].len;
    for (uint32_t i = 0; i < d->nimages; i++) {
        images[i] = d->images[i];
        images[i].embedded |= bytes <= RESCUE_IMAGES;
    }
    rescue(s, 0, &c, "all of the history");
    if (timeline_branch(s->timeline))
        rescue(s, timeline_branch(s->timeline), &c, "the history of the branch");
}

int server_record_save(struct server *s, const char *path, bool force, uint64_t *bytes, struct error *err)
{
    struct host_writer file;
    struct recorder *rec;
    int status = host_writer_open_whole(&file, path, HOST_MONITOR | HOST_EMPTY_ONLY | (force ? HOST_FORCE : 0), err);

    if (status < 0)
        return status;
    if (timeline_at_edge(s->timeline))
        timeline_checkpoint(s->timeline);
    rec = start(s, &file, s->config.checkpoint_steps);
    recorder_update_all(rec);
    status = recorder_close(rec);
    *bytes = recorder_bytes(rec);
    recorder_destroy(rec);
    if (status == 0)
        status = host_writer_commit(&file);
    else
        host_writer_close(&file);
    if (status < 0)
        return error_set(err, status, "%s: cannot write: %s", path, strerror(-status));
    return 0;
}
