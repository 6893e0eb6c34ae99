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
/* Witnesses wait for as many others, or for events: an idle guest's file hardly grows. */
#define WITNESS_BATCH 24u

/* How much of the history is in the file. */
struct progress {
    uint64_t events;              /* of the log */
    size_t witnesses;
    uint64_t snapshot_changes;
    icount_t edge;                /* of the last MARK */
    vtime_t edge_vtime;
    bool marked;
    bool hashed, saved;           /* there is a state hash, a checkpoint, */
    icount_t hashed_at, saved_at; /* the last one there */
    uint64_t offset;              /* bytes of the file */
    size_t nindex;
};

struct recorder {
    struct timeline *tl;
    struct recording_writer w;
    uint64_t checkpoint_steps, hash_steps;
    struct progress now;
    struct progress good;         /* at the last MARK */
    struct checkpoint_view *view; /* at the checkpoint hashed last */
    struct checkpoint_view *file; /* at the checkpoint written last */
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
    snprintf(pages, sizeof(pages), "%" PRIu64, m->memory.pages.count);
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
    rec->hash_steps = config->hash_steps ? config->hash_steps : RECORDER_HASH_STEPS;
    rec->view = checkpoint_view_create(timeline_checkpoint_store(tl));
    rec->file = checkpoint_view_create(timeline_checkpoint_store(tl));
    rec->arena = xmalloc(timeline_machine(tl)->arena_len);
    recording_writer_init(&rec->w, config->write, config->ctx);
    rec->w.rewrite = config->rewrite;
    write_config(rec, config);
    recording_write_images(&rec->w, config->images, config->nimages);
    /* Without its beginning the file is none. */
    rec->good.offset = rec->w.failed ? 0 : rec->w.offset;
    rec->good.nindex = rec->w.nindex;
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
    uint32_t sums[CHECKPOINT_PAGE_SUMS], nsums;
    unsigned n;

    checkpoint_view_move(rec->view, c, NULL, NULL);
    n = hash_components(rec->view, timeline_machine(rec->tl), rec->arena, components);
    nsums = checkpoint_view_sums(rec->view, sums);
    recording_write_hash(&rec->w, c->position, c->vtime, checkpoint_view_hash(rec->view), components, n, sums, nsums);
    rec->now.hashed = true;
    rec->now.hashed_at = c->position;
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
    s->count = 0;
}

static void write_part(struct saving *s, bool last)
{
    uint32_t flags = (last ? RECORDING_CHUNK_LAST : 0) | (s->rec->now.saved ? 0 : RECORDING_CHUNK_WHOLE);

    recording_write_checkpoint(&s->rec->w, flags, s->count, s->c->position, &s->b);
}

static void save_page(void *ctx, const struct page_space *space, uint64_t n, const uint8_t *bytes)
{
    struct saving *s = ctx;

    if (s->b.len + PAGE_SIZE + 8 > CHECKPOINT_BYTES) {
        write_part(s, false);
        start_part(s);
    }
    recording_put32(&s->b, (uint32_t)(space->first + n));
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
    rec->now.saved = true;
    rec->now.saved_at = c->position;
}

/* ------------------------------------------------------------------- updating */

/* Write the state of `c`, if it is time for that; with `end`, in any case. */
static void write_state(struct recorder *rec, const struct checkpoint *c, bool end)
{
    const struct progress *p = &rec->now;
    icount_t hashed = p->hashed ? p->hashed_at : timeline_first(rec->tl);
    /* The first lies one interval into history: at its beginning there is the boot. */
    icount_t saved = p->saved_at > timeline_first(rec->tl) ? p->saved_at : timeline_first(rec->tl);
    bool save;

    if (!c || (p->hashed && c->position <= hashed))
        return;
    save = rec->checkpoint_steps && c->position - saved >= rec->checkpoint_steps;
    if (p->hashed && c->position - hashed < rec->hash_steps && !save && !end)
        return;
    write_hash(rec, c);
    if (save)
        write_checkpoint(rec, c);
}

static void write_events(struct recorder *rec, uint64_t events, bool end)
{
    const struct witness_log *witnesses = timeline_witnesses(rec->tl);
    const struct timeline_snapshot *list;
    size_t n = timeline_snapshots(rec->tl, &list);

    if (end || events != rec->now.events || witnesses->count - rec->now.witnesses >= WITNESS_BATCH) {
        recording_write_witnesses(&rec->w, witnesses, rec->now.witnesses, witnesses->count);
        rec->now.witnesses = witnesses->count;
    }
    recording_write_events(&rec->w, timeline_log(rec->tl), rec->now.events, events);
    rec->now.events = events;
    if (rec->now.snapshot_changes != timeline_snapshot_changes(rec->tl))
        recording_write_snapshots(&rec->w, timeline_edge(rec->tl), list, n);
    rec->now.snapshot_changes = timeline_snapshot_changes(rec->tl);
}

static int write_new(struct recorder *rec, bool end)
{
    const struct event_log *log = timeline_log(rec->tl);
    struct progress *p = &rec->now;
    uint64_t events = event_log_count(log);
    icount_t edge = timeline_edge(rec->tl);
    vtime_t vtime = timeline_edge_vtime(rec->tl);

    /* A step in progress may have got answers already. */
    if (events && event_log_get(log, events - 1)->position > edge)
        edge = event_log_get(log, events - 1)->position;
    if (!end && p->marked && edge == p->edge && vtime == p->edge_vtime && events == p->events &&
        p->snapshot_changes == timeline_snapshot_changes(rec->tl) && rec->w.offset == rec->good.offset)
        return rec->w.failed;
    write_events(rec, events, end);
    recording_write_mark(&rec->w, end, edge, vtime, events);
    p->edge = edge;
    p->edge_vtime = vtime;
    p->marked = true;
    p->offset = rec->w.offset;
    p->nindex = rec->w.nindex;
    if (!rec->w.failed)
        rec->good = *p;
    return rec->w.failed;
}

int recorder_update(struct recorder *rec)
{
    if (rec->w.failed)
        return rec->w.failed;
    write_state(rec, checkpoint_find(timeline_checkpoint_store(rec->tl), timeline_edge(rec->tl)), false);
    return write_new(rec, false);
}

uint64_t recorder_good_bytes(const struct recorder *rec)
{
    return rec->good.offset;
}

void recorder_resume(struct recorder *rec)
{
    rec->now = rec->good;
    recording_writer_return(&rec->w, rec->good.offset, rec->good.nindex);
    /* Which checkpoint came last into the file is forgotten: the next one stands by itself. */
    checkpoint_view_destroy(rec->file);
    rec->file = checkpoint_view_create(timeline_checkpoint_store(rec->tl));
    rec->now.saved = false;
}

int recorder_update_all(struct recorder *rec)
{
    const struct checkpoint_store *store = timeline_checkpoint_store(rec->tl);

    for (size_t i = 0; i < checkpoint_count(store) && !rec->w.failed; i++)
        write_state(rec, checkpoint_nth(store, i), false);
    return write_new(rec, false);
}

int recorder_close(struct recorder *rec)
{
    if (!rec->w.failed)
        write_state(rec, checkpoint_find(timeline_checkpoint_store(rec->tl), timeline_edge(rec->tl)), true);
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
    snprintf(number, sizeof(number), "%" PRIu64, m->memory.pages.count);
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
    struct timeline *tl;
    struct checkpoint_builder *b;
    struct checkpoint_view *view;
    uint8_t *arena, *kept;
    bool bad;
};

static void load_page(void *ctx, uint32_t page, const uint8_t *bytes)
{
    struct loading *l = ctx;
    uint64_t n;
    const struct page_space *space = machine_space_of(timeline_machine(l->tl), page, &n);

    l->bad |= !space || !checkpoint_builder_page(l->b, space, n, bytes);
}

/* Is what the view stands at a state that the machine can be in? NULL, or the part that is not. */
static const char *impossible_part(struct loading *l, icount_t position, vtime_t vtime)
{
    struct machine *m = timeline_machine(l->tl);
    const char *part;

    checkpoint_view_arena(l->view, l->arena);
    memcpy(l->kept, m->arena, m->arena_len);
    memcpy(m->arena, l->arena, m->arena_len);
    part = machine_impossible_part(m);
    if (!part && (m->st->position != position || machine_now(m) != vtime))
        part = "machine";
    memcpy(m->arena, l->kept, m->arena_len);
    return part;
}

static int load_checkpoint(struct loading *l, struct recording *r, size_t n, struct error *err)
{
    const struct recording_checkpoint *cp = &r->checkpoints[n];
    const struct recording_hash *h = hash_at(r, cp->position);
    struct checkpoint *c;
    const char *part;

    c = l->bad ? NULL : checkpoint_builder_place(l->b, cp->position, cp->vtime);
    if (c)
        checkpoint_view_move(l->view, c, NULL, NULL);
    if (!c || !h || checkpoint_view_hash(l->view) != h->state)
        return error_set(err, -EINVAL,
                         "the checkpoint at position %" PRIu64 " in the recording is not the state that was hashed "
                         "there: open it with --ignore-checkpoints", cp->position);
    part = impossible_part(l, cp->position, cp->vtime);
    if (part) {
        checkpoint_remove(timeline_checkpoint_store(l->tl), c);
        if (!*r->note)
            snprintf(r->note, sizeof(r->note), "the checkpoint at position %" PRIu64 " is a state that the machine "
                     "cannot be in (%s), and is not used", cp->position, part);
        return 0;
    }
    /* As if far apart in host time: not thinned as recent ones are. */
    c->effort_ns = (n + 1) * UINT64_C(1000000000);
    return 0;
}

static int load_checkpoints(struct timeline *tl, struct recording *r, struct error *err)
{
    struct checkpoint_store *store = timeline_checkpoint_store(tl);
    size_t arena_len = timeline_machine(tl)->arena_len;
    struct loading l = {
        .tl = tl,
        .b = checkpoint_builder_create(store),
        .view = checkpoint_view_create(store),
        .arena = xmalloc(arena_len),
        .kept = xmalloc(arena_len),
    };
    int status = 0;

    for (size_t i = 0; status == 0 && i < r->ncheckpoints; i++) {
        struct error damage = {0};

        if (r->checkpoints[i].whole)
            checkpoint_builder_clear(l.b);
        /* Nothing depends on a checkpoint but the time that it takes to come there. */
        if (recording_checkpoint_pages(r, i, load_page, &l, &damage) < 0) {
            if (!*r->note)
                snprintf(r->note, sizeof(r->note), "%.200s; checkpoints are used up to there", damage.text);
            break;
        }
        status = load_checkpoint(&l, r, i, err);
        if (status == 0)
            checkpoint_trim(store, r->checkpoints[i].position, r->edge);
    }
    checkpoint_view_destroy(l.view);
    checkpoint_builder_destroy(l.b);
    free(l.arena);
    free(l.kept);
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
    timeline_adopt(tl, log, r->edge, r->edge_vtime, &r->witnesses);
    for (size_t i = 0; i < r->nsnapshots; i++)
        if (r->snapshots[i].position >= timeline_first(tl))
            timeline_adopt_snapshot(tl, &r->snapshots[i]);
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

/* Which components of the arena differ; how many. */
static unsigned name_components(struct recorder_checks *k, const struct recording_hash *h, struct buffer *b)
{
    const struct machine *m = timeline_machine(k->tl);
    uint64_t components[MACHINE_MAX_DEVICES + 2];
    unsigned n = hash_components(k->view, m, k->arena, components), named = 0;

    for (unsigned i = 0; i < n && i < h->ncomponents; i++)
        if (components[i] != k->r->component_hashes[h->components + i])
            buffer_printf(b, "%s%s", named++ ? ", " : "", m->components[i].name);
    return named;
}

/* What the sums say of the memory pages that differ. With one such page, the sum over the pages
 * whose number has some bit has changed as much as the sum over all, or not at all: so the
 * number can be read. With more, as many of its high bits as they have in common (mostly: sums
 * may agree by chance). */
static void name_pages(struct recorder_checks *k, const struct recording_hash *h, struct buffer *b)
{
    uint32_t sums[CHECKPOINT_PAGE_SUMS], n = checkpoint_view_sums(k->view, sums);
    uint32_t bit = n - 1, page = 0, all;

    if (h->npages != n)
        return;
    all = h->pages[n - 1] - sums[n - 1];
    if (!all)
        return;
    for (; bit > 0; bit--) {
        uint32_t part = h->pages[bit - 1] - sums[bit - 1];

        if (part && part != all)
            break;
        page |= part ? (uint32_t)1 << (bit - 1) : 0;
    }
    buffer_printf(b, "%s", b->len ? ", " : "");
    if (!bit)
        buffer_printf(b, "page %" PRIu32 " of memory", page);
    else if (bit == n - 1)
        buffer_printf(b, "several pages of memory");
    else
        buffer_printf(b, "several pages of memory from %" PRIu32 " to %" PRIu32, page,
                      page + ((uint32_t)1 << bit) - 1);
}

/* ---- a checkpoint of the file that lies exactly here: what it says of each register, page, byte */

struct page_search {
    struct recorder_checks *k;
    struct buffer *b;
    uint8_t *arena;           /* the recorded one is put together here */
    uint32_t differ, first, offset; /* pages of memory: how many, the first, the byte in it */
    uint8_t ours, theirs;
};

static void compare_page(void *ctx, uint32_t page, const uint8_t *bytes)
{
    struct page_search *s = ctx;
    const struct machine *m = timeline_machine(s->k->tl);
    static const uint8_t zero[PAGE_SIZE];
    uint8_t scratch[PAGE_SIZE];
    const uint8_t *ours, *theirs = bytes ? bytes : zero;
    uint64_t n;
    uint32_t i = 0;
    const struct page_space *space = machine_space_of(m, page, &n);

    if (!space)
        return;
    ours = checkpoint_view_page(s->k->view, space, n, scratch);
    if (space == &m->arena_pages) {
        size_t at = (size_t)n << PAGE_SHIFT;

        memcpy(s->arena + at, theirs, m->arena_len - at < PAGE_SIZE ? m->arena_len - at : PAGE_SIZE);
        return;
    }
    if (!ours)
        ours = zero;
    if (!memcmp(ours, theirs, PAGE_SIZE))
        return;
    if (s->differ++)
        return;
    while (ours[i] == theirs[i])
        i++;
    s->first = (uint32_t)n;
    s->offset = i;
    s->ours = ours[i];
    s->theirs = theirs[i];
}

static void print_value(struct buffer *b, const uint8_t *value, unsigned bytes)
{
    buffer_printf(b, "0x");
    while (bytes > 1 && !value[bytes - 1])
        bytes--;
    while (bytes--)
        buffer_printf(b, "%02x", value[bytes]);
}

/* Registers of the recorded arena and of ours, side by side. */
static void compare_registers(struct page_search *s)
{
    struct machine *m = timeline_machine(s->k->tl);
    const struct cpu_ops *ops = m->cpu->ops;
    unsigned named = 0;

    for (unsigned i = 0; i < ops->nregs && named < 8; i++) {
        uint8_t ours[64] = {0}, theirs[64] = {0};
        unsigned bytes = ops->regs[i].bits / 8u;

        ops->read_reg(m->cpu, i, ours);
        memcpy(s->k->arena, m->arena, m->arena_len);
        memcpy(m->arena, s->arena, m->arena_len);
        ops->read_reg(m->cpu, i, theirs);
        memcpy(m->arena, s->k->arena, m->arena_len);
        if (!memcmp(ours, theirs, bytes))
            continue;
        buffer_printf(s->b, "%s%s is ", named++ ? ", " : "; ", ops->regs[i].name);
        print_value(s->b, ours, bytes);
        buffer_printf(s->b, ", was ");
        print_value(s->b, theirs, bytes);
    }
}

/* Is the arena that was recorded here known, and can the machine be in it? */
static void compare_checkpoint(struct recorder_checks *k, size_t n, struct buffer *b)
{
    struct machine *m = timeline_machine(k->tl);
    struct page_search s = {.k = k, .b = b, .arena = xcalloc(1, m->arena_len)};
    const char *part = NULL;

    checkpoint_view_arena(k->view, s.arena);
    if (recording_checkpoint_pages(k->r, n, compare_page, &s, NULL) == 0) {
        memcpy(k->arena, m->arena, m->arena_len);
        memcpy(m->arena, s.arena, m->arena_len);
        part = machine_impossible_part(m);
        memcpy(m->arena, k->arena, m->arena_len);
        if (!part)
            compare_registers(&s);
    }
    if (s.differ)
        buffer_printf(b, "; page %" PRIu32 "%s, at 0x%03" PRIx32 " there is 0x%02x, was 0x%02x", s.first,
                      s.differ > 1 ? " and others" : "", s.offset, s.ours, s.theirs);
    free(s.arena);
}

static bool check(void *ctx, size_t n, const struct checkpoint *c, struct error *err)
{
    struct recorder_checks *k = ctx;
    const struct recording_hash *h = &k->r->hashes[n];
    struct buffer what;

    checkpoint_view_move(k->view, c, NULL, NULL);
    if (checkpoint_view_hash(k->view) == h->state && c->vtime == h->vtime) {
        k->made++;
        k->good = h->position;
        return true;
    }
    buffer_init(&what);
    name_components(k, h, &what);
    name_pages(k, h, &what);
    if (!what.len)
        buffer_printf(&what, "memory");
    for (size_t i = 0; i < k->r->ncheckpoints; i++)
        if (k->r->checkpoints[i].position == h->position)
            compare_checkpoint(k, i, &what);
    buffer_append_byte(&what, 0);
    error_set(err, -EINVAL, "%s", (const char *)what.data);
    buffer_finish(&what);
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
