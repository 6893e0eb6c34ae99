/*
 * `hindcast info`: what a recording holds, for people and, with --json, for programs.
 *
 * In JSON positions and sizes are numbers, hashes are strings of hexadecimal digits, times are nanoseconds. Members
 * may be added; those that are there keep their meaning.
 */
#include "recordings.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "images.h"

#define STATUS_UNUSABLE 1

static const char *const kind_names[] = {
    [EVENT_INPUT] = "input", [EVENT_HOST_CLOCK] = "host clock", [EVENT_ENTROPY] = "entropy",
    [EVENT_WRITE_MEMORY] = "debugger's memory writes", [EVENT_WRITE_REGISTER] = "debugger's register writes",
    [EVENT_RESET] = "resets", [EVENT_POWERDOWN] = "power button", [EVENT_FILE] = "files",
    [EVENT_IMAGE] = "clusters of drives' images", [EVENT_MEDIUM] = "changes of media",
    [EVENT_HOLD] = "CPUs held or let go", [EVENT_SOUND] = "sound that was recorded",
};

/* How many events came from where, and their bytes. */
struct event_counts {
    uint32_t ndevices;
    uint64_t (*devices)[2];         /* input by device */
    uint64_t kinds[EVENT_KINDS][2]; /* the others by kind */
};

static void count_events(const struct recording *r, struct event_counts *c)
{
    uint64_t n = event_log_count(r->log);

    memset(c->kinds, 0, sizeof c->kinds);
    c->ndevices = layout_count(&r->layout, LAYOUT_DEVICE);
    c->devices = xcalloc(c->ndevices + 1, sizeof(*c->devices));
    for (uint64_t i = 0; i < n; i++) {
        const struct event *e = event_log_get(r->log, i);
        uint64_t *count = e->kind == EVENT_INPUT ? c->devices[e->source] : c->kinds[e->kind];

        count[0]++;
        count[1] += e->len;
    }
}

/* Each source that there was something from. */
static void each_source(const struct recording *r, void (*source)(const char *name, const uint64_t count[2]))
{
    struct event_counts c;

    count_events(r, &c);
    for (uint32_t i = 0; i < c.ndevices; i++)
        if (c.devices[i][0])
            source(layout_entry(&r->layout, LAYOUT_DEVICE, i)->name, c.devices[i]);
    for (unsigned i = 1; i < EVENT_KINDS; i++)
        if (c.kinds[i][0])
            source(kind_names[i], c.kinds[i]);
    free(c.devices);
}

/* ---- as text ---- */

static void print_source(const char *name, const uint64_t count[2])
{
    printf("  %-26s %8" PRIu64 " (%" PRIu64 " bytes)\n", name, count[0], count[1]);
}

/* Is it there to be used? */
static bool has_branch(const struct recording_branch *b)
{
    return b->counted && !b->head.dropped;
}

static void print_branch(const struct recording_branch *b)
{
    if (has_branch(b))
        printf("branch        %u '%s' leaves %u at %" PRIu64 ", to %" PRIu64 ", %" PRIu64 " events\n", b->head.id, b->head.name,
               b->head.parent, b->head.fork, b->head.edge, b->head.before);
}

static void print_rest(const struct recording *r)
{
    printf("state hashes  %zu", r->nhashes);
    if (r->nhashes)
        printf(", the last at %" PRIu64 ": %016" PRIx64, r->hashes[r->nhashes - 1].position,
               r->hashes[r->nhashes - 1].state);
    printf("\nwitnesses     %zu\n", r->witnesses.count);
    printf("snapshots     %zu\n", r->nsnapshots);
    for (size_t i = 0; i < r->nsnapshots; i++)
        printf("  %20" PRIu64 "  %.9f s  %s\n", r->snapshots[i].position, (double)r->snapshots[i].vtime / 1e9,
               r->snapshots[i].name);
    for (size_t i = 0; i < r->nbranches; i++)
        print_branch(&r->branches[i]);
    printf("checkpoints   %zu\n", r->ncheckpoints);
    for (size_t i = 0; i < r->ncheckpoints; i++)
        printf("  %20" PRIu64 "  %.9f s  %" PRIu64 " pages\n", r->checkpoints[i].position,
               (double)r->checkpoints[i].vtime / 1e9, r->checkpoints[i].pages);
    if (r->closed && r->nharms)
        printf("integrity     closed, and %zu of %" PRIu64 " chunks damaged\n", r->nharms, r->nchunks);
    else if (r->closed)
        printf("integrity     whole and closed: %" PRIu64 " chunks, every CRC matches\n", r->nchunks);
    else
        printf("integrity     good up to byte %" PRIu64 " of %" PRIu64 ": %s\n", r->good_bytes, r->len, r->note);
    recordings_tell_harms(r, stdout, "  ");
}

static void print_text(const char *path, const struct recording *r)
{
    printf("%s: hindcast recording, format %u, %" PRIu64 " bytes\n", path, RECORDING_VERSION, r->len);
    for (size_t i = 0; i < r->nconfig; i++)
        if (strcmp(r->config[i].key, "first-position"))
            printf("%-13s %s\n", r->config[i].key, r->config[i].value);
    for (size_t i = 0; i < r->nimages; i++)
        printf("%-13s %s%s%s (%" PRIu64 " bytes, hash %016" PRIx64 "%s)\n", images_option(r->images[i].role),
               r->images[i].name, *r->images[i].words ? " " : "", r->images[i].words, r->images[i].len,
               r->images[i].hash, r->images[i].embedded ? ", embedded" : "");
    printf("length        %" PRIu64 " instructions, virtual time %.9f s\n", r->edge, (double)r->edge_vtime / 1e9);
    printf("events        %" PRIu64 "\n", event_log_count(r->log));
    each_source(r, print_source);
    print_rest(r);
}

/* ---- as JSON (RFC 8259) ---- */

/* A string; what is no UTF-8 is shown as Latin-1 would be. */
static void json_string(const char *text)
{
    putchar('"');
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        if (*p == '"' || *p == '\\')
            printf("\\%c", *p);
        else if (*p < 0x20 || *p >= 0x7f)
            printf("\\u%04x", *p);
        else
            putchar(*p);
    }
    putchar('"');
}

static void json_member(const char *name, const char *text)
{
    json_string(name);
    printf(": ");
    json_string(text);
}

/* Each of a list but the first is behind a comma. */
static const char *comma(size_t i)
{
    return i ? ",\n    " : "\n    ";
}

static void json_source(const char *name, const uint64_t count[2])
{
    printf(",\n    ");
    json_string(name);
    printf(": {\"count\": %" PRIu64 ", \"bytes\": %" PRIu64 "}", count[0], count[1]);
}

static void json_images(const struct recording *r)
{
    printf("  \"images\": [");
    for (size_t i = 0; i < r->nimages; i++) {
        const struct recording_image *im = &r->images[i];

        printf("%s{", comma(i));
        json_member("option", images_option(im->role));
        printf(", ");
        json_member("name", im->name);
        printf(", ");
        json_member("words", im->words);
        printf(", \"bytes\": %" PRIu64 ", \"hash\": \"%016" PRIx64 "\", \"embedded\": %s}", im->len, im->hash,
               im->embedded ? "true" : "false");
    }
    printf("],\n");
}

static void json_branches(const struct recording *r)
{
    size_t n = 0;

    printf("],\n  \"branches\": [");
    for (size_t i = 0; i < r->nbranches; i++) {
        const struct recording_branch_head *h = &r->branches[i].head;

        if (!has_branch(&r->branches[i]))
            continue;
        printf("%s{\"branch\": %u, \"parent\": %u, \"fork\": %" PRIu64 ", \"end\": %" PRIu64 ", \"events\": %" PRIu64 ", ",
               comma(n++), h->id, h->parent, h->fork, h->edge, h->before);
        json_member("name", h->name);
        printf("}");
    }
}

static void json_places(const struct recording *r)
{
    printf("  \"state_hashes\": [");
    for (size_t i = 0; i < r->nhashes; i++)
        printf("%s{\"position\": %" PRIu64 ", \"hash\": \"%016" PRIx64 "\"}", comma(i), r->hashes[i].position,
               r->hashes[i].state);
    printf("],\n  \"snapshots\": [");
    for (size_t i = 0; i < r->nsnapshots; i++) {
        printf("%s{\"position\": %" PRIu64 ", \"virtual_time_ns\": %" PRIu64 ", ", comma(i), r->snapshots[i].position,
               r->snapshots[i].vtime);
        json_member("name", r->snapshots[i].name);
        printf("}");
    }
    json_branches(r);
    printf("],\n  \"checkpoints\": [");
    for (size_t i = 0; i < r->ncheckpoints; i++)
        printf("%s{\"position\": %" PRIu64 ", \"virtual_time_ns\": %" PRIu64 ", \"pages\": %" PRIu64 "}", comma(i),
               r->checkpoints[i].position, r->checkpoints[i].vtime, r->checkpoints[i].pages);
    printf("],\n");
}

static void json_harms(const struct recording *r)
{
    char text[RECORDING_HARM_TEXT];

    printf(",\n  \"damaged_chunks\": %zu, \"damage\": [", r->nharms);
    for (size_t i = 0; i < r->nharms && i < RECORDING_HARMS; i++) {
        recording_harm_text(r, i, text);
        printf("%s{\"at_byte\": %" PRIu64 ", ", comma(i), r->harms[i].offset);
        json_member("text", text);
        printf("}");
    }
    printf("]");
}

static void print_json(const char *path, const struct recording *r)
{
    printf("{\n  ");
    json_member("file", path);
    printf(",\n  \"format\": %u, \"bytes\": %" PRIu64 ",\n  \"configuration\": {", RECORDING_VERSION, r->len);
    for (size_t i = 0; i < r->nconfig; i++) {
        printf("%s", comma(i));
        json_member(r->config[i].key, r->config[i].value);
    }
    printf("},\n");
    json_images(r);
    printf("  \"instructions\": %" PRIu64 ", \"virtual_time_ns\": %" PRIu64 ",\n", r->edge, r->edge_vtime);
    printf("  \"events\": {\n    \"all\": {\"count\": %" PRIu64 ", \"bytes\": %" PRIu64 "}", event_log_count(r->log),
           event_log_bytes(r->log));
    each_source(r, json_source);
    printf("},\n  \"witnesses\": %zu,\n", r->witnesses.count);
    json_places(r);
    printf("  \"closed\": %s, \"good_bytes\": %" PRIu64 ", ", r->closed ? "true" : "false", r->closed ? r->len : r->good_bytes);
    json_member("note", r->note);
    json_harms(r);
    printf("\n}\n");
}

int recordings_info(const char *path, bool json)
{
    struct host_reader file;
    struct recording r;
    struct error err = {0};

    if (recordings_load(path, &file, true, &r, &err) < 0) {
        fprintf(stderr, "hindcast: %s\n", err.text);
        host_reader_close(&file);
        return STATUS_UNUSABLE;
    }
    if (json)
        print_json(path, &r);
    else
        print_text(path, &r);
    recording_finish(&r);
    host_reader_close(&file);
    return 0;
}
