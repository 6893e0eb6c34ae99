/*
 * Histories to recordings and back.
 *
 * State hashes. With each update the newest checkpoint's state is hashed: the
 * pages that changed since the one hashed before (checkpoint_view), and each
 * component of the arena by itself, so that whoever compares can name it.
 *
 * Checkpoints in the file hold the pages that changed since the checkpoint in
 * the file before; so they must be read from the first on.
 */
#include "replay/recorder.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

/* Bytes of pages in one chunk of a checkpoint. */
#define CHECKPOINT_BYTES ((size_t)4 << 20)

struct recorder {
    struct timeline *tl;
    struct recording_writer w;
    uint64_t checkpoint_steps;
    uint64_t events;              /* of the log, written */
    icount_t edge;                /* of the last MARK */
    vtime_t edge_vtime;
    bool marked;
    struct checkpoint_view *view; /* at the checkpoint hashed last */
    bool hashed;
    icount_t hashed_at;
    struct checkpoint_view *file; /* at the checkpoint written last */
    bool saved;
    icount_t saved_at;
    uint8_t *arena;               /* scratch */
};

static void component_names(const struct machine *m, struct buffer *b)
{
    for (unsigned i = 0; i < m->ncomponents; i++)
        buffer_printf(b, "%s%s", i ? " " : "", m->components[i].name);
    buffer_append_byte(b, 0);
}

static void device_names(const struct machine *m, struct buffer *b)
{
    for (unsigned i = 0; i < m->ndevices; i++)
        buffer_printf(b, "%s%s", i ? " " : "", m->devices[i]->name);
    buffer_append_byte(b, 0);
}

/* What every recording says of its machine. */
static void write_config(struct recorder *rec, const struct recorder_config *config)
{
    const struct machine *m = timeline_machine(rec->tl);
    const char *(*pairs)[2] = xcalloc(config->npairs + 6u, sizeof(*pairs));
    struct buffer components, devices;
    char pages[24], arena[24], first[24];
    uint32_t n = 0;

    buffer_init(&components);
    buffer_init(&devices);
    component_names(m, &components);
    device_names(m, &devices);
    snprintf(pages, sizeof(pages), "%" PRIu32, m->memory.npages);
    snprintf(arena, sizeof(arena), "%zu", m->arena_len);
    snprintf(first, sizeof(first), "%" PRIu64, timeline_first(rec->tl));
    for (; n < config->npairs; n++) {
        pairs[n][0] = config->pairs[n][0];
        pairs[n][1] = config->pairs[n][1];
    }
    pairs[n][0] = "state-components", pairs[n++][1] = (const char *)components.data;
    pairs[n][0] = "state-devices", pairs[n++][1] = (const char *)devices.data;
    pairs[n][0] = "state-pages", pairs[n++][1] = pages;
    pairs[n][0] = "state-bytes", pairs[n++][1] = arena;
    pairs[n][0] = "first-position", pairs[n++][1] = first;
    recording_write_config(&rec->w, (const char *const (*)[2])pairs, n);
    free(pairs);
    buffer_finish(&components);
    buffer_finish(&devices);
}

struct recorder *recorder_create(struct timeline *tl, const struct recorder_config *config)
{
    struct recorder *rec = xcalloc(1, sizeof(*rec));

    rec->tl = tl;
    rec->checkpoint_steps = config->checkpoint_steps;
    rec->view = checkpoint_view_create(timeline_checkpoint_store(tl));
    rec->file = checkpoint_view_create(timeline_checkpoint_store(tl));
    rec->arena = xmalloc(timeline_machine(tl)->arena_len);
    recording_writer_init(&rec->w, config->write, config->ctx);
    write_config(rec, config);
    recording_write_images(&rec->w, config->images, config->nimages);
    return rec;
}

void recorder_destroy(struct recorder *rec)
{
    if (!rec)
        return;
    recording_writer_finish(&rec->w);
    checkpoint_view_destroy(rec->view);
    checkpoint_view_destroy(rec->file);
    free(rec->arena);
    free(rec);
}

uint64_t recorder_bytes(const struct recorder *rec)
{
    return rec->w.offset;
}

static unsigned hash_components(const struct checkpoint_view *v, const struct machine *m, uint8_t *arena,
                                uint64_t *hashes)
{
    checkpoint_view_arena(v, arena);
    for (unsigned i = 0; i < m->ncomponents; i++)
        hashes[i] = hash_bytes(0, arena + m->components[i].offset, m->components[i].size);
    return m->ncomponents;
}

static void write_hash(struct recorder *rec, const struct checkpoint *c)
{
    uint64_t components[MACHINE_MAX_DEVICES + 2];
    unsigned n;

    checkpoint_view_move(rec->view, c, NULL, NULL);
    n = hash_components(rec->view, timeline_machine(rec->tl), rec->arena, components);
    recording_write_hash(&rec->w, c->position, c->vtime, checkpoint_view_hash(rec->view), components, n);
    rec->hashed = true;
    rec->hashed_at = c->position;
}

/* ------------------------------------------------- checkpoints into the file */

struct saving {
    struct recorder *rec;
    const struct checkpoint *c;
    struct buffer b;
    uint32_t count;
};

static void start_part(struct saving *s)
{
    buffer_clear(&s->b);
    recording_put64(&s->b, s->c->vtime);
    recording_put32(&s->b, 0);
    recording_put32(&s->b, 0);
    s->count = 0;
}

static void write_part(struct saving *s, bool last)
{
    s->b.data[8] = last;
    recording_write_chunk(&s->rec->w, RECORDING_CKPT, s->count, s->c->position, s->c->position, &s->b);
}

static void save_page(void *ctx, uint32_t page, const uint8_t *bytes)
{
    struct saving *s = ctx;

    if (s->b.len + PAGE_SIZE + 8 > CHECKPOINT_BYTES) {
        write_part(s, false);
        start_part(s);
    }
    recording_put32(&s->b, page);
    recording_put32(&s->b, bytes != NULL);
    if (bytes)
        buffer_append(&s->b, bytes, PAGE_SIZE);
    s->count++;
}

static void write_checkpoint(struct recorder *rec, const struct checkpoint *c)
{
    struct saving s = {.rec = rec, .c = c};

    buffer_init(&s.b);
    start_part(&s);
    checkpoint_view_move(rec->file, c, save_page, &s);
    write_part(&s, true);
    buffer_finish(&s.b);
    rec->saved = true;
    rec->saved_at = c->position;
}

/* ------------------------------------------------------------------- updating */

static void write_state(struct recorder *rec, const struct checkpoint *c)
{
    if (!c || (rec->hashed && c->position <= rec->hashed_at))
        return;
    write_hash(rec, c);
    /* The first lies one interval into history: at its beginning there is the boot. */
    if (rec->checkpoint_steps &&
        c->position - (rec->saved ? rec->saved_at : timeline_first(rec->tl)) >= rec->checkpoint_steps)
        write_checkpoint(rec, c);
}

static int write_new(struct recorder *rec, bool end)
{
    const struct event_log *log = timeline_log(rec->tl);
    uint64_t events = event_log_count(log);
    icount_t edge = timeline_edge(rec->tl);
    vtime_t vtime = timeline_edge_vtime(rec->tl);

    /* A step in progress may have got answers already. */
    if (events && event_log_get(log, events - 1)->position > edge)
        edge = event_log_get(log, events - 1)->position;
    if (!end && rec->marked && edge == rec->edge && vtime == rec->edge_vtime && events == rec->events)
        return rec->w.failed;
    recording_write_events(&rec->w, log, rec->events, events);
    rec->events = events;
    recording_write_mark(&rec->w, end, edge, vtime, events);
    rec->edge = edge;
    rec->edge_vtime = vtime;
    rec->marked = true;
    return rec->w.failed;
}

int recorder_update(struct recorder *rec)
{
    write_state(rec, checkpoint_find(timeline_checkpoint_store(rec->tl), timeline_edge(rec->tl)));
    return write_new(rec, false);
}

int recorder_update_all(struct recorder *rec)
{
    const struct checkpoint_store *store = timeline_checkpoint_store(rec->tl);

    for (size_t i = 0; i < checkpoint_count(store) && !rec->w.failed; i++)
        write_state(rec, checkpoint_nth(store, i));
    return write_new(rec, false);
}

int recorder_close(struct recorder *rec)
{
    recorder_update(rec);
    write_new(rec, true);
    recording_write_index(&rec->w);
    return rec->w.failed;
}

/* ------------------------------------------------------------------ adopting */

static int compare_value(const struct recording *r, const char *key, const char *ours, struct error *err)
{
    const char *theirs = recording_value(r, key);

    if (theirs && !strcmp(theirs, ours))
        return 0;
    return error_set(err, -EINVAL,
                     "the recording was made with another machine (%s: %.150s; here: %.150s): "
                     "use the version of hindcast that made it", key, theirs ? theirs : "not given", ours);
}

int recorder_check_machine(const struct recording *r, const struct machine *m, struct error *err)
{
    struct buffer b;
    char number[24];
    int status;

    buffer_init(&b);
    device_names(m, &b);
    status = compare_value(r, "state-devices", (const char *)b.data, err);
    buffer_clear(&b);
    component_names(m, &b);
    if (status == 0)
        status = compare_value(r, "state-components", (const char *)b.data, err);
    buffer_finish(&b);
    snprintf(number, sizeof(number), "%" PRIu32, m->memory.npages);
    if (status == 0)
        status = compare_value(r, "state-pages", number, err);
    snprintf(number, sizeof(number), "%zu", m->arena_len);
    if (status == 0)
        status = compare_value(r, "state-bytes", number, err);
    snprintf(number, sizeof(number), "%" PRIu64, m->st->position);
    if (status == 0)
        status = compare_value(r, "first-position", number, err);
    return status;
}

static const struct recording_hash *hash_at(const struct recording *r, icount_t position)
{
    for (size_t i = r->nhashes; i-- > 0;)
        if (r->hashes[i].position == position)
            return &r->hashes[i];
    return NULL;
}

struct loading {
    struct checkpoint_builder *b;
    bool bad;
};

static void load_page(void *ctx, uint32_t page, const uint8_t *bytes)
{
    struct loading *l = ctx;

    l->bad |= !checkpoint_builder_page(l->b, page, bytes);
}

static int load_checkpoint(struct loading *l, struct checkpoint_view *v, const struct recording *r, size_t n,
                           struct error *err)
{
    const struct recording_checkpoint *cp = &r->checkpoints[n];
    const struct recording_hash *h = hash_at(r, cp->position);
    struct checkpoint *c;
    int status = recording_checkpoint_pages(r, n, load_page, l, err);

    if (status < 0)
        return status;
    c = l->bad ? NULL : checkpoint_builder_place(l->b, cp->position, cp->vtime);
    if (c)
        checkpoint_view_move(v, c, NULL, NULL);
    if (!c || !h || checkpoint_view_hash(v) != h->state)
        return error_set(err, -EINVAL,
                         "the checkpoint at position %" PRIu64 " in the recording is not the state that was hashed "
                         "there: open it with --ignore-checkpoints", cp->position);
    /* As if far apart in host time: not thinned as recent ones are. */
    c->effort_ns = (n + 1) * UINT64_C(1000000000);
    return 0;
}

static int load_checkpoints(struct timeline *tl, const struct recording *r, struct error *err)
{
    struct checkpoint_store *store = timeline_checkpoint_store(tl);
    struct loading l = {.b = checkpoint_builder_create(store)};
    struct checkpoint_view *v = checkpoint_view_create(store);
    int status = 0;

    for (size_t i = 0; status == 0 && i < r->ncheckpoints; i++)
        status = load_checkpoint(&l, v, r, i, err);
    checkpoint_view_destroy(v);
    checkpoint_builder_destroy(l.b);
    return status;
}

int recorder_adopt(struct timeline *tl, struct recording *r, bool checkpoints, struct error *err)
{
    struct event_log *log = r->log;
    const struct event *e = event_log_get(log, 0);
    int status;

    if (r->edge < timeline_first(tl) || (e && e->position < timeline_first(tl)))
        return error_set(err, -EINVAL, "the recording ends before the machine's first position");
    status = checkpoints ? load_checkpoints(tl, r, err) : 0;
    if (status < 0)
        return status;
    r->log = NULL;
    timeline_adopt(tl, log, r->edge, r->edge_vtime);
    return 0;
}

/* -------------------------------------------------------------------- checks */

struct recorder_checks {
    struct timeline *tl;
    const struct recording *r;
    struct checkpoint_view *view;
    icount_t *positions;
    uint8_t *arena;
    size_t made;
    icount_t good;
};

/* Names the first component that differs; memory if none does. */
static void name_difference(struct recorder_checks *k, const struct recording_hash *h, struct buffer *b)
{
    const struct machine *m = timeline_machine(k->tl);
    uint64_t components[MACHINE_MAX_DEVICES + 2];
    unsigned n = hash_components(k->view, m, k->arena, components);
    bool any = false;

    for (unsigned i = 0; i < n && i < h->ncomponents; i++) {
        if (components[i] == k->r->component_hashes[h->components + i])
            continue;
        buffer_printf(b, "%s%s", any ? ", " : "", m->components[i].name);
        any = true;
    }
    if (!any)
        buffer_printf(b, "memory");
    buffer_append_byte(b, 0);
}

/* In a checkpoint of the file that lies exactly here: the first page that differs. */
struct page_search {
    struct recorder_checks *k;
    bool found;
    uint32_t page;
};

static void compare_page(void *ctx, uint32_t page, const uint8_t *bytes)
{
    struct page_search *s = ctx;
    uint8_t scratch[PAGE_SIZE];
    const uint8_t *ours = checkpoint_view_page(s->k->view, page, scratch);
    static const uint8_t zero[PAGE_SIZE];

    if (s->found || !memcmp(ours ? ours : zero, bytes ? bytes : zero, PAGE_SIZE))
        return;
    s->found = true;
    s->page = page;
}

static void name_page(struct recorder_checks *k, icount_t position, struct buffer *b)
{
    struct page_search s = {.k = k};

    for (size_t i = 0; i < k->r->ncheckpoints; i++)
        if (k->r->checkpoints[i].position == position)
            recording_checkpoint_pages(k->r, i, compare_page, &s, NULL);
    if (s.found && s.page < timeline_machine(k->tl)->memory.npages)
        buffer_printf(b, ", page %" PRIu32, s.page);
}

static bool check(void *ctx, size_t n, const struct checkpoint *c, struct error *err)
{
    struct recorder_checks *k = ctx;
    const struct recording_hash *h = &k->r->hashes[n];
    struct buffer what, page;

    checkpoint_view_move(k->view, c, NULL, NULL);
    if (checkpoint_view_hash(k->view) == h->state && c->vtime == h->vtime) {
        k->made++;
        k->good = h->position;
        return true;
    }
    buffer_init(&what);
    buffer_init(&page);
    name_difference(k, h, &what);
    name_page(k, h->position, &page);
    buffer_append_byte(&page, 0);
    error_set(err, -EINVAL, "the state is not the recorded one (%s%s); at position %" PRIu64 " it still was",
              (const char *)what.data, (const char *)page.data, k->good);
    buffer_finish(&what);
    buffer_finish(&page);
    return false;
}

struct recorder_checks *recorder_checks_create(struct timeline *tl, const struct recording *r)
{
    struct recorder_checks *k = xcalloc(1, sizeof(*k));

    k->tl = tl;
    k->r = r;
    k->view = checkpoint_view_create(timeline_checkpoint_store(tl));
    k->arena = xmalloc(timeline_machine(tl)->arena_len);
    k->positions = xcalloc(r->nhashes + 1, sizeof(k->positions[0]));
    k->good = timeline_first(tl);
    for (size_t i = 0; i < r->nhashes; i++)
        k->positions[i] = r->hashes[i].position;
    timeline_set_checks(tl, k->positions, r->nhashes, check, k);
    return k;
}

void recorder_checks_destroy(struct recorder_checks *k)
{
    if (!k)
        return;
    timeline_set_checks(k->tl, NULL, 0, NULL, NULL);
    checkpoint_view_destroy(k->view);
    free(k->positions);
    free(k->arena);
    free(k);
}

size_t recorder_checks_made(const struct recorder_checks *k)
{
    return k->made;
}

icount_t recorder_checks_good(const struct recorder_checks *k)
{
    return k->good;
}
