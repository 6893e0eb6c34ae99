/*
 * Recordings on the command line. See recordings.h; doc/log-format.md lists the
 * header's keys.
 */
#include "recordings.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/clock.h"
#include "host/file.h"
#include "host/poller.h"
#include "images.h"
#include "replay/recorder.h"

#define RECORDING_LIMIT ((uint64_t)1 << 50)
#define PROGRESS_NS     500000000u
#define STATUS_UNUSABLE 1
#define STATUS_DIVERGED 2

/* ---- the header ---- */

static void pair(struct recordings_text *t, const char *key, const char *value)
{
    CHECK(t->npairs < ARRAY_LEN(t->pairs));
    t->pairs[t->npairs][0] = key;
    t->pairs[t->npairs++][1] = value;
}

/* The n-th of several: "drive0". Takes over `value`. */
static void pair_numbered(struct recordings_text *t, const char *key, unsigned n, char *value)
{
    char *name = xmalloc(24);

    snprintf(name, 24, "%s%u", key, n);
    t->made[t->nmade++] = name;
    t->made[t->nmade++] = value;
    pair(t, name, value);
}

static void pair_number(struct recordings_text *t, const char *key, uint64_t n)
{
    char *text = xmalloc(24);

    snprintf(text, 24, "%" PRIu64, n);
    t->made[t->nmade++] = text;
    pair(t, key, text);
}

static void describe_drives(const struct options *o, struct recordings_text *t)
{
    const struct option_drives *od = &o->drives;
    struct buffer b;

    for (unsigned i = 0; i < od->count; i++) {
        buffer_init(&b);
        option_drive_describe(&od->list[i], &b);
        pair_numbered(t, "drive", i, (char *)b.data);
    }
    for (unsigned i = 0; i < od->ndevices; i++)
        pair_numbered(t, "device", i, xstrdup(od->devices[i]));
    if (*od->boot_order)
        pair(t, "boot-order", od->boot_order);
    if (*od->boot_once)
        pair(t, "boot-once", od->boot_once);
    if (od->boot_menu)
        pair(t, "boot-menu", "on");
    if (od->boot_strict)
        pair(t, "boot-strict", "on");
    if (od->boot_wait_ms)
        pair_number(t, "boot-wait", od->boot_wait_ms);
    if (od->boot_retry_ms > 0)
        pair_number(t, "boot-retry", (uint64_t)od->boot_retry_ms);
    if (od->count && o->embed)
        pair(t, "drive-clusters", "embedded");
}

void recordings_text_finish(struct recordings_text *t)
{
    while (t->nmade)
        free(t->made[--t->nmade]);
}

void recordings_describe(const struct options *o, const char *version, struct recordings_text *t)
{
    size_t n = 0;

    memset(t, 0, sizeof(*t));
    snprintf(t->memory, sizeof(t->memory), "%" PRIu64, o->memory_bytes);
    snprintf(t->icount, sizeof(t->icount), "%u", o->icount_shift);
    for (unsigned i = 0; i < o->debug_exit_count; i++)
        n += (size_t)snprintf(t->debug_exit + n, sizeof(t->debug_exit) - n, "%s%u", i ? "," : "",
                              (unsigned)o->debug_exit[i]);
    pair(t, "writer", version);
    pair(t, "machine", o->machine);
    pair(t, "cpu", o->cpu);
    pair(t, "memory", t->memory);
    pair(t, "icount-shift", t->icount);
    pair(t, "sleep", o->sleep ? "on" : "off");
    pair(t, "no-reboot", o->no_reboot ? "on" : "off");
    pair(t, "debug-exit", t->debug_exit);
    if (o->kind == MACHINE_PC)
        pair(t, "vga", o->vga);
    if (o->kind == MACHINE_PC)
        pair(t, "hpet", o->hpet ? "on" : "off");
    if (o->kind == MACHINE_PC)
        pair(t, "s3", o->s3 ? "on" : "off");
    if (o->clock.follows_host)
        pair(t, "rtc-clock", "host");
    if (o->kind == MACHINE_PC && o->serial_ports > 2)
        pair(t, "serial-ports", o->serial_ports > 3 ? "4" : "3");
    if (o->its)
        pair(t, "its", "on");
    if (o->uuid)
        pair(t, "uuid", o->uuid);
    for (unsigned i = 0; i < o->smbios_count; i++)
        pair_numbered(t, "smbios", i, xstrdup(o->smbios[i]));
    if (o->topology.cpus > 1)
        pair(t, "smp", o->smp);
    if (o->topology.cpus > 1 && o->interleave)
        pair(t, "interleave", o->interleave);
    if (o->gdb_arch)
        pair(t, "gdb-arch", o->gdb_arch);
    if (o->append)
        pair(t, "append", o->append);
    if (o->semihosting)
        pair(t, "semihosting", "on");
    if (o->semihosting && o->semihost_args)
        pair(t, "semihosting-args", o->semihost_args);
    if (o->flash_read_only[0] || o->flash_read_only[1])
        pair(t, "pflash-readonly", !o->flash_read_only[1] ? "0" : o->flash_read_only[0] ? "0,1" : "1");
    describe_drives(o, t);
}

static int need(const struct recording *r, const char *key, const char **value, struct error *err)
{
    *value = recording_value(r, key);
    if (*value)
        return 0;
    return error_set(err, -EINVAL, "the recording does not say what the machine's %s is", key);
}

static int need_number(const struct recording *r, const char *key, uint64_t most, uint64_t *n, struct error *err)
{
    const char *text;
    char *end;

    if (need(r, key, &text, err) < 0)
        return err->code;
    errno = 0;
    *n = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno || *n > most)
        return error_set(err, -EINVAL, "the recording's %s is '%.40s', which this version cannot be", key, text);
    return 0;
}

static int need_switch(const struct recording *r, const char *key, bool *on, struct error *err)
{
    const char *text;

    if (need(r, key, &text, err) < 0)
        return err->code;
    *on = !strcmp(text, "on");
    return 0;
}

static int configure_debug_exit(const struct recording *r, struct options *o, struct error *err)
{
    const char *p;

    if (need(r, "debug-exit", &p, err) < 0)
        return err->code;
    for (o->debug_exit_count = 0; *p;) {
        char *end;
        unsigned long port = strtoul(p, &end, 10);

        if (end == p || port > 0xffff || o->debug_exit_count == OPTIONS_MAX_DEBUG_EXIT || (*end && *end != ','))
            return error_set(err, -EINVAL, "the recording's debug-exit ports are malformed");
        o->debug_exit[o->debug_exit_count++] = (uint16_t)port;
        p = *end ? end + 1 : end;
    }
    return 0;
}

/* Recordings from before there was such a thing do not mention it. */
static void configure_semihosting(const struct recording *r, struct options *o)
{
    const char *on = recording_value(r, "semihosting"), *args = recording_value(r, "semihosting-args");

    free(o->semihost_args);
    o->semihost_args = args ? xstrdup(args) : NULL;
    o->semihosting = on && !strcmp(on, "on");
}

/* The value of "drive0"... */
static const char *numbered(const struct recording *r, const char *key, unsigned n)
{
    char name[24];

    snprintf(name, sizeof(name), "%s%u", key, n);
    return recording_value(r, name);
}

static int configure_boot(const struct recording *r, struct option_drives *o, struct error *err)
{
    const char *order = recording_value(r, "boot-order"), *once = recording_value(r, "boot-once");
    uint64_t retry = 0;
    int status = 0;

    if ((order && strlen(order) >= sizeof(o->boot_order)) || (once && strlen(once) >= sizeof(o->boot_once)))
        return error_set(err, -EINVAL, "the recording's order of booting is malformed");
    strcpy(o->boot_order, order ? order : "");
    strcpy(o->boot_once, once ? once : "");
    o->boot_menu = recording_value(r, "boot-menu") != NULL;
    o->boot_strict = recording_value(r, "boot-strict") != NULL;
    if (recording_value(r, "boot-retry"))
        status = need_number(r, "boot-retry", UINT16_MAX, &retry, err);
    if (status == 0 && recording_value(r, "boot-wait"))
        status = need_number(r, "boot-wait", UINT16_MAX, &o->boot_wait_ms, err);
    o->boot_retry_ms = (int32_t)retry;
    return status;
}

/* The drives that options name say where the recorded ones' images are now. */
static int configure_drives(const struct recording *r, struct options *o, struct error *err)
{
    struct option_drives given = o->drives;
    enum drive_interface usual = options_usual_interface(o);
    int status = option_drives_settle(&given, usual, err);

    memset(&o->drives, 0, sizeof(o->drives));
    for (unsigned i = 0; status == 0 && numbered(r, "drive", i); i++) {
        status = option_drive_take(&o->drives, numbered(r, "drive", i), err);
        if (status < 0)
            error_prefix(err, "the recording's drive %u", i);
    }
    for (unsigned i = 0; status == 0 && numbered(r, "device", i); i++)
        status = option_device_take(&o->drives, numbered(r, "device", i), err);
    if (status == 0)
        status = option_drives_settle(&o->drives, usual, err);
    if (status == 0)
        status = option_drives_locate(&o->drives, &given, err);
    if (status == 0)
        status = configure_boot(r, &o->drives, err);
    option_drives_finish(&given);
    return status;
}

/* Nor this, where it says nothing new. */
static int configure_cpus(const struct recording *r, struct options *o, struct error *err)
{
    const char *smp = recording_value(r, "smp"), *interleave = recording_value(r, "interleave");

    if (options_take_smp(o, smp ? smp : "1", err) < 0)
        return error_set(err, -EINVAL, "the recording's CPUs are '%.40s', which this version cannot have", smp);
    /* (None: it was the usual one then.) */
    if (options_take_interleave(o, interleave ? interleave : "starve=off", err) < 0)
        return error_set(err, -EINVAL, "the recording's interleaving is '%.40s', which this version has not", interleave);
    return 0;
}

int recordings_configure(const struct recording *r, struct options *o, struct error *err)
{
    uint64_t shift, ports = 0;

    if (need(r, "machine", &o->machine, err) < 0 || need(r, "cpu", &o->cpu, err) < 0 ||
        need_number(r, "memory", (uint64_t)1 << 40, &o->memory_bytes, err) < 0 ||
        need_number(r, "icount-shift", 10, &shift, err) < 0 ||
        need_switch(r, "sleep", &o->sleep, err) < 0 || need_switch(r, "no-reboot", &o->no_reboot, err) < 0 ||
        configure_debug_exit(r, o, err) < 0)
        return err->code;
    if (options_take_machine(o, o->machine, NULL) < 0)
        return error_set(err, -EINVAL, "the recording is of a machine '%.40s', which this version of hindcast has not",
                         o->machine);
    o->its = o->its && recording_value(r, "its");
    if (o->kind == MACHINE_PC) { /* recordings from before there was one do not mention it */
        o->vga = recording_value(r, "vga");
        if (!o->vga || options_take_vga(o, o->vga, NULL) < 0)
            o->vga = "none";
        o->hpet = o->hpet && recording_value(r, "hpet");
        o->s3 = o->s3 && recording_value(r, "s3");
        o->uuid = recording_value(r, "uuid");
        o->serial_ports = 0; /* recordings with the usual two do not mention it */
        if (recording_value(r, "serial-ports") && need_number(r, "serial-ports", OPTIONS_MAX_SERIAL, &ports, err) < 0)
            return err->code;
        o->serial_ports = (unsigned)ports;
        for (o->smbios_count = 0; o->smbios_count < OPTIONS_MAX_SMBIOS && numbered(r, "smbios", o->smbios_count);
             o->smbios_count++)
            o->smbios[o->smbios_count] = numbered(r, "smbios", o->smbios_count);
    }
    if (configure_drives(r, o, err) < 0 || configure_cpus(r, o, err) < 0)
        return err->code;
    o->clock.follows_host = recording_value(r, "rtc-clock") != NULL;
    o->icount_shift = (unsigned)shift;
    o->append = recording_value(r, "append");
    for (unsigned n = 0; n < OPTIONS_MAX_PFLASH; n++)
        o->flash_read_only[n] = recording_value(r, "pflash-readonly") &&
                                strchr(recording_value(r, "pflash-readonly"), n ? '1' : '0');
    o->gdb_arch = recording_value(r, "gdb-arch"); /* what debuggers wrote is in its registers' numbers */
    configure_semihosting(r, o);
    if (o->memory_bytes < (uint64_t)1 << 20 || o->memory_bytes & ~PAGE_MASK)
        return error_set(err, -EINVAL, "the recording's memory size is no machine's");
    return 0;
}

/* ---- files ---- */

static int read_recording(void *ctx, uint64_t offset, void *buf, size_t n)
{
    return host_reader_read(ctx, offset, buf, n);
}

int recordings_load(const char *path, struct host_reader *file, bool all, struct recording *r, struct error *err)
{
    struct recording_source source = {.ctx = file, .read = read_recording};
    int status = host_reader_open(file, path, RECORDING_LIMIT, "any recording", err);

    if (status < 0)
        return status;
    source.len = file->len;
    status = recording_open_source(r, &source, all, err);
    if (status < 0) {
        error_prefix(err, "%s", path);
        recording_finish(r);
    }
    return status;
}

void recordings_tell_harms(const struct recording *r, FILE *f, const char *before)
{
    char text[RECORDING_HARM_TEXT];

    for (size_t i = 0; i < r->nharms && i < RECORDING_HARMS; i++) {
        recording_harm_text(r, i, text);
        fprintf(f, "%s%s\n", before, text);
    }
    if (r->nharms > RECORDING_HARMS)
        fprintf(f, "%sand %zu damaged chunks more\n", before, r->nharms - RECORDING_HARMS);
}

/* ---- verify ---- */

struct verification {
    struct timeline *tl;
    struct recording *r;
    struct drives *drives;
    struct recorder_checks *checks;
    const struct recording_checkpoint *from; /* begins there; NULL: at the start */
    icount_t began;                          /* its position */
    uint64_t began_ns, told_ns;
    bool terminal, told;
};

static int verify_image(void *ctx, const struct drive *d, uint64_t offset, void *buf, size_t len)
{
    return drives_read(((struct verification *)ctx)->drives, d->index, offset, buf, len);
}

static uint64_t verify_now(void *ctx)
{
    (void)ctx;
    return host_monotonic_ns();
}

static double mips(const struct verification *v)
{
    return (double)(timeline_position(v->tl) - v->began) * 1e3 / (double)(host_monotonic_ns() - v->began_ns + 1);
}

static bool verify_poll(void *ctx)
{
    struct verification *v = ctx;
    uint64_t now = host_monotonic_ns();

    if (v->terminal && now - v->told_ns >= PROGRESS_NS) {
        v->told_ns = now;
        v->told = true;
        fprintf(stderr, "\r\033[Khindcast: position %" PRIu64 " of %" PRIu64 " (%.0f %%), %zu of %zu hashes agree, %.0f MIPS",
                timeline_position(v->tl), v->r->edge, (double)timeline_position(v->tl) * 100 / (double)(v->r->edge + 1),
                recorder_checks_made(v->checks), v->r->nhashes, mips(v));
    }
    return host_signal_pending() != 0;
}

/* How many hashes lie on the way. (A checkpoint's own was compared when it was loaded.) */
static size_t hashes_ahead(const struct verification *v)
{
    size_t n = 0;

    for (size_t i = 0; i < v->r->nhashes; i++)
        n += v->r->hashes[i].position > v->began;
    return n;
}

static int tell_verified(const struct verification *v, enum timeline_reason reason)
{
    size_t made = recorder_checks_made(v->checks);

    if (v->told)
        fprintf(stderr, "\r\033[K");
    if (reason == TIMELINE_DIVERGED) {
        printf("verify: %s\n", timeline_divergence(v->tl));
        printf("verify: the last state that agreed was at position %" PRIu64
               "; look at it with: hindcast --replay FILE, then in gdb: monitor seek %" PRIu64 "\n",
               recorder_checks_good(v->checks), recorder_checks_good(v->checks));
        return STATUS_DIVERGED;
    }
    if (timeline_position(v->tl) != v->r->edge) {
        printf("verify: stopped at position %" PRIu64 " of %" PRIu64 "\n", timeline_position(v->tl), v->r->edge);
        return STATUS_DIVERGED;
    }
    if (made < hashes_ahead(v)) {
        printf("verify: only %zu of %zu states could be compared\n", made, hashes_ahead(v));
        return STATUS_DIVERGED;
    }
    if (v->from)
        printf("verify: from the checkpoint at %" PRIu64 " it replays: %zu state hashes agree, %.1f MIPS\n",
               v->began, made, mips(v));
    else
        printf("verify: %s replays, to position %" PRIu64 ": %zu state hashes agree, %.1f MIPS\n",
               *v->r->note || v->r->nharms ? "what is good of the recording" : "the whole recording", v->r->edge, made, mips(v));
    return v->r->damaged || v->r->nharms ? STATUS_DIVERGED : 0;
}

/* Each of its branches replays, too: what is known of its states are its witnesses. */
static int verify_branches(struct verification *v, struct error *err)
{
    struct timeline_branch list[TIMELINE_BRANCHES];
    size_t n = timeline_branches(v->tl, list);
    struct timeline_stop stop = {0};

    for (size_t i = 1; i < n; i++) {
        const char *name = list[i].name ? list[i].name : "-";
        struct timeline_history h;

        if (timeline_branch_use(v->tl, list[i].id, err) < 0)
            return err->code;
        /* (A branch goes on beyond what there is of it.) */
        timeline_seek(v->tl, list[i].edge, &stop);
        if (stop.reason == TIMELINE_DIVERGED) {
            printf("verify: branch '%s': %s\n", name, timeline_divergence(v->tl));
            return STATUS_DIVERGED;
        }
        if (timeline_position(v->tl) != list[i].edge) {
            printf("verify: branch '%s': stopped at position %" PRIu64 " of %" PRIu64 "\n", name, timeline_position(v->tl), list[i].edge);
            return STATUS_DIVERGED;
        }
        timeline_history(v->tl, list[i].id, &h);
        printf("verify: branch '%s' replays, from position %" PRIu64 " to %" PRIu64 ": %zu witnesses agree\n", name, list[i].fork, list[i].edge,
               h.witnesses->count - witness_log_find(h.witnesses, list[i].fork));
    }
    return 0;
}

/* Of the file nothing is taken but the events, and the checkpoint that it begins with: so every hash is that of
 * a state that was reached by running from there, those of the other checkpoints too. */
static int verify_timeline(struct verification *v, struct recording *events, struct error *err)
{
    struct timeline_stop stop = {0};
    int status, branches;

    if (recorder_adopt(v->tl, events, v->from != NULL, err) < 0)
        return err->code;
    if (v->drives)
        drives_open_branches(v->drives, v->tl);
    v->began = v->from ? v->from->position : timeline_first(v->tl);
    v->checks = recorder_checks_create(v->tl, v->r);
    v->began_ns = v->told_ns = host_monotonic_ns();
    if (v->from)
        timeline_seek(v->tl, v->began, &stop);
    do
        timeline_continue(v->tl, FORWARD, &stop);
    while (stop.reason == TIMELINE_GUEST_END && timeline_position(v->tl) < v->r->edge);
    status = tell_verified(v, stop.reason);
    if (v->from || (status && stop.reason == TIMELINE_DIVERGED))
        return status;
    branches = verify_branches(v, err);
    return branches ? branches : status;
}

/* One run, with a machine and a log of its own. */
static int verify_run(const char *path, struct recording *r, struct drives *drives,
                      const struct recording_checkpoint *from, recordings_build *build, void *ctx)
{
    struct verification v = {.r = r, .drives = drives, .from = from, .terminal = host_stderr_is_terminal()};
    const struct timeline_config config = {.live = false};
    const struct timeline_host host = {.ctx = &v, .now_ns = verify_now, .poll = verify_poll,
                                       .image_read = verify_image};
    struct recording events;
    struct machine *m = NULL;
    struct error err = {0};
    int status = recording_open_source(&events, &r->source, false, &err);

    if (status == 0)
        status = build(ctx, &m, &err);
    if (status == 0)
        status = recorder_check_machine(r, m, &err);
    if (status == 0) {
        v.tl = timeline_create(m, &config, &host);
        m = NULL;
        status = verify_timeline(&v, &events, &err);
        recorder_checks_destroy(v.checks);
        timeline_destroy(v.tl);
    }
    if (status < 0) {
        fprintf(stderr, "hindcast: %s: %s\n", path, err.text);
        status = STATUS_UNUSABLE;
    }
    if (m)
        machine_destroy(m);
    recording_finish(&events);
    return status;
}

/* The last checkpoint at or before; NULL: the start. */
static const struct recording_checkpoint *checkpoint_before(const struct recording *r, icount_t position)
{
    const struct recording_checkpoint *c = NULL;

    for (size_t i = 0; i < r->ncheckpoints && r->checkpoints[i].position <= position; i++)
        c = &r->checkpoints[i];
    return c;
}

int recordings_verify(const struct options *o, struct recording *r, struct drives *drives, recordings_build *build,
                      void *ctx)
{
    const char *path = o->replay;
    const struct recording_checkpoint *first = NULL;
    char text[256];
    int status;

    if (o->from == FROM_POSITION && o->from_position > r->edge) {
        fprintf(stderr, "hindcast: %s: ends at position %" PRIu64 ": nothing is to be compared from %" PRIu64 " on\n", path, r->edge,
                o->from_position);
        return STATUS_UNUSABLE;
    }
    if (*r->note)
        printf("verify: %s: good up to byte %" PRIu64 " of %" PRIu64 ": %s\n", path, r->good_bytes, r->len, r->note);
    recordings_tell_harms(r, stdout, "verify: ");
    if (recorder_other_semantics(r, text, sizeof(text)))
        printf("verify: %s: %s\n", path, text);
    if (o->from == FROM_POSITION)
        first = checkpoint_before(r, o->from_position);
    status = verify_run(path, r, drives, first, build, ctx);
    if (o->from == FROM_CHECKPOINTS)
        for (size_t i = 0; status == 0 && i < r->ncheckpoints; i++)
            status = verify_run(path, r, drives, &r->checkpoints[i], build, ctx);
    if (status == 0 && r->nhashes)
        printf("verify: the last state hash, %016" PRIx64 " at position %" PRIu64 "\n", r->hashes[r->nhashes - 1].state,
               r->hashes[r->nhashes - 1].position);
    return status;
}
