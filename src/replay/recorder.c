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
#include "vm/semantics.h"

/* Bytes of pages in one chunk of a checkpoint. */
#define CHECKPOINT_BYTES ((size_t)4 << 20)
/* Witnesses wait for as many others, or for events: an idle guest's file hardly grows. */
#define WITNESS_BATCH 24u

/* How much of a branch is in the file. */
struct branch_progress {
    unsigned id;
    uint64_t events;              /* of its own */
    size_t witnesses;             /* the same */
    icount_t edge;
    vtime_t edge_vtime;
    bool named;
};

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
    struct branch_progress branches[TIMELINE_BRANCHES];
    size_t nbranches;
    uint64_t offset;              /* bytes of the file */
    size_t nindex;
};

struct recorder {
    struct timeline *tl;
    struct recording_writer w;
    uint64_t checkpoint_steps, hash_steps;
    int (*image_read)(void *ctx, unsigned drive, uint64_t offset, void *buf, size_t len); /* NULL: no clusters are written */
    void *image_ctx;
    struct progress now;
    struct progress good;         /* at the last MARK */
    struct checkpoint_view *view; /* at the checkpoint hashed last */
    struct checkpoint_view *file; /* at the checkpoint written last */
    uint8_t *arena;               /* scratch */
};

/* What every recording says of its machine. */
static void write_machine(struct recorder *rec, const struct recorder_config *config)
{
    const char *(*pairs)[2] = xcalloc(config->npairs + 2u, sizeof(*pairs));
    char first[24], semantics[24];
    struct layout layout;
    uint32_t n = 0;

    snprintf(first, sizeof(first), "%" PRIu64, timeline_first(rec->tl));
    snprintf(semantics, sizeof(semantics), "%u", MACHINE_SEMANTICS);
    for (; n < config->npairs; n++) {
        pairs[n][0] = config->pairs[n][0];
        pairs[n][1] = config->pairs[n][1];
    }
    pairs[n][0] = "semantics", pairs[n++][1] = semantics;
    pairs[n][0] = "first-position", pairs[n++][1] = first;
    recording_write_config(&rec->w, (const char *const (*)[2])pairs, n);
    free(pairs);
    layout_of_machine(&layout, timeline_machine(rec->tl));
    recording_write_layout(&rec->w, &layout);
    layout_finish(&layout);
}

struct recorder *recorder_create(struct timeline *tl, const struct recorder_config *config)
{
    struct recorder *rec = xcalloc(1, sizeof(*rec));

    rec->tl = tl;
    rec->checkpoint_steps = config->checkpoint_steps;
    rec->image_read = config->image_read;
    rec->image_ctx = config->image_ctx;
    rec->hash_steps = config->hash_steps ? config->hash_steps : RECORDER_HASH_STEPS;
    rec->view = checkpoint_view_create(timeline_checkpoint_store(tl));
    rec->file = checkpoint_view_create(timeline_checkpoint_store(tl));
    rec->arena = xmalloc(timeline_machine(tl)->arena_len);
    recording_writer_init(&rec->w, config->write, config->ctx);
    rec->w.rewrite = config->rewrite;
    write_machine(rec, config);
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

/* False: what the checkpoint is made of cannot be had any more. */
static bool write_hash(struct recorder *rec, const struct checkpoint *c)
{
    const struct machine *m = timeline_machine(rec->tl);
    uint64_t components[MACHINE_MAX_COMPONENTS];

    checkpoint_view_move(rec->view, c, NULL, NULL);
    checkpoint_view_arena(rec->view, rec->arena);
    if (timeline_lost(rec->tl))
        return false;
    for (unsigned i = 0; i < m->ncomponents; i++)
        components[i] = component_hash(&m->components[i], rec->arena + m->components[i].offset);
    recording_write_hash(&rec->w, c->position, c->vtime, checkpoint_view_hash(rec->view), components, m->ncomponents,
                         checkpoint_view_areas(rec->view), m->nareas);
    rec->now.hashed = true;
    rec->now.hashed_at = c->position;
    return true;
}

/* ---- checkpoints into the file ---- */

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

/* The number by which the file knows the area of page `*n`, and in *n the page's number in it. */
static uint32_t area_number(const struct machine *m, const struct page_space *space, uint64_t *n)
{
    const struct page_area *area = page_space_area(space, *n);

    for (uint32_t i = 0; area && i < m->nareas; i++) {
        if (m->areas[i] != area)
            continue;
        *n -= area->first;
        return i;
    }
    return RECORDING_ARENA;
}

static void save_page(void *ctx, const struct page_space *space, uint64_t n, const uint8_t *bytes)
{
    struct saving *s = ctx;

    if (s->b.len + PAGE_SIZE + 12 > CHECKPOINT_BYTES) {
        write_part(s, false);
        start_part(s);
    }
    buffer_append_le(&s->b, (uint16_t)area_number(timeline_machine(s->rec->tl), space, &n), 2);
    buffer_append_le(&s->b, bytes != NULL, 2);
    buffer_append_le(&s->b, n, 8);
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

/* ---- updating ---- */

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
    if (write_hash(rec, c) && save)
        write_checkpoint(rec, c);
}

/* The cluster that an event tells of, if its image still has it: who replays asks for its hash anyway. */
static void write_cluster(struct recorder *rec, const struct event *e)
{
    const struct machine *m = timeline_machine(rec->tl);
    uint64_t words[3];
    uint32_t drive = e->source;
    struct buffer b;

    if (e->len != sizeof(words) || drive >= m->ndrives)
        return;
    memcpy(words, e->data, sizeof(words));
    if ((uint32_t)words[1] || words[0] > DRIVE_MAX_BYTES >> DRIVE_CLUSTER_SHIFT ||
        !drive_cluster_bytes(m->drives[drive], words[0]))
        return;
    buffer_init(&b);
    buffer_reserve(&b, DRIVE_CLUSTER);
    b.len = drive_cluster_bytes(m->drives[drive], words[0]);
    if (rec->image_read(rec->image_ctx, drive, words[0] << DRIVE_CLUSTER_SHIFT, b.data, b.len) == 0 &&
        hash_bytes(0, b.data, b.len) == words[2])
        recording_write_cluster(&rec->w, drive, words[0], &b);
    buffer_finish(&b);
}

static void write_clusters(struct recorder *rec, const struct event_log *log, uint64_t from, uint64_t to)
{
    for (uint64_t n = from; rec->image_read && n < to; n++) {
        const struct event *e = event_log_get(log, n);

        if (e->kind == EVENT_IMAGE)
            write_cluster(rec, e);
    }
}

/* The names of places of the trunk, of all there are. Free it. */
static struct timeline_snapshot *trunk_names(const struct timeline *tl, size_t *count)
{
    const struct timeline_snapshot *list;
    size_t n = timeline_snapshots(tl, &list);
    struct timeline_snapshot *names = xcalloc(n + 1, sizeof(*names));

    *count = 0;
    for (size_t i = 0; i < n; i++)
        if (!list[i].branch)
            names[(*count)++] = list[i];
    return names;
}

static void write_names(struct recorder *rec, icount_t edge)
{
    size_t n;
    struct timeline_snapshot *names = trunk_names(rec->tl, &n);

    recording_write_snapshots(&rec->w, edge, names, n);
    free(names);
}

static void write_events(struct recorder *rec, const struct timeline_history *h, uint64_t events, bool end)
{
    const struct witness_log *witnesses = h->witnesses;

    if (end || events != rec->now.events || witnesses->count - rec->now.witnesses >= WITNESS_BATCH) {
        recording_write_witnesses(&rec->w, 0, witnesses, rec->now.witnesses, witnesses->count);
        rec->now.witnesses = witnesses->count;
    }
    write_clusters(rec, h->log, rec->now.events, events);
    recording_write_events(&rec->w, h->log, rec->now.events, events);
    rec->now.events = events;
    if (rec->now.snapshot_changes != timeline_snapshot_changes(rec->tl))
        write_names(rec, h->edge);
    rec->now.snapshot_changes = timeline_snapshot_changes(rec->tl);
}

/* What is recorded, whichever branch is in use. */
static struct timeline_history trunk_of(const struct recorder *rec)
{
    struct timeline_history h;

    CHECK(timeline_history(rec->tl, 0, &h) == 0);
    return h;
}

/* The trunk's newest checkpoint. */
static const struct checkpoint *newest(const struct recorder *rec)
{
    struct timeline_history h = trunk_of(rec);

    return checkpoint_line_find(timeline_checkpoint_store(rec->tl), h.line, h.edge);
}

/* ---- branches ---- */

/* Those that have a name are written, and those that they come from. */
static void choose_branches(const struct timeline_branch *list, size_t n, bool *chosen)
{
    memset(chosen, 0, n * sizeof(*chosen));
    for (size_t i = n; i-- > 1;) {
        chosen[i] |= list[i].name != NULL;
        for (size_t k = 1; chosen[i] && k < i; k++)
            chosen[k] |= list[k].id == list[i].parent;
    }
}

static struct branch_progress *progress_of(struct progress *p, unsigned id)
{
    for (size_t i = 0; i < p->nbranches; i++)
        if (p->branches[i].id == id)
            return &p->branches[i];
    return NULL;
}

/* What is new of a branch. True: something is. `write`: write it. */
static bool write_branch(struct recorder *rec, const struct timeline_branch *b, bool write)
{
    struct branch_progress *p = progress_of(&rec->now, b->id), none = {.id = b->id};
    struct recording_branch_head head = {.id = b->id, .parent = b->parent, .fork = b->fork};
    struct timeline_history h;
    uint64_t base, events;
    size_t first, last;

    CHECK(timeline_history(rec->tl, b->id, &h) == 0);
    base = event_log_base(h.log);
    events = event_log_count(h.log) - base;
    head.edge = h.edge;
    head.edge_vtime = h.edge_vtime;
    /* A step in progress may have got answers already. */
    if (events && event_log_get(h.log, base + events - 1)->position > head.edge)
        head.edge = event_log_get(h.log, base + events - 1)->position;
    if (p && p->events == events && p->edge == head.edge && p->edge_vtime == head.edge_vtime && p->named == !!b->name)
        return false;
    if (!write)
        return true;
    if (!p) {
        CHECK(rec->now.nbranches < TIMELINE_BRANCHES);
        p = &rec->now.branches[rec->now.nbranches++];
        *p = none;
    }
    head.before = p->events;
    snprintf(head.name, sizeof(head.name), "%s", b->name ? b->name : "");
    write_clusters(rec, h.log, base + p->events, base + events);
    recording_write_branch(&rec->w, &head, h.log, base + p->events, base + events);
    first = witness_log_find(h.witnesses, b->fork);
    last = witness_log_find(h.witnesses, head.edge + 1);
    recording_write_witnesses(&rec->w, b->id, h.witnesses, first + p->witnesses, last);
    *p = (struct branch_progress){b->id, events, last - first, head.edge, head.edge_vtime, b->name != NULL};
    return true;
}

/* Those in the file that are no more. */
static bool drop_branches(struct recorder *rec, const struct timeline_branch *list, const bool *chosen, size_t n, bool write)
{
    struct progress *p = &rec->now;
    bool any = false;

    for (size_t i = p->nbranches; i-- > 0;) {
        struct recording_branch_head head = {.id = p->branches[i].id, .dropped = true, .before = p->branches[i].events};
        bool there = false;

        for (size_t k = 1; k < n; k++)
            there |= chosen[k] && list[k].id == head.id;
        if (there)
            continue;
        any = true;
        if (!write)
            continue;
        recording_write_branch(&rec->w, &head, NULL, 0, 0);
        p->branches[i] = p->branches[--p->nbranches];
    }
    return any;
}

static bool write_branches(struct recorder *rec, bool write)
{
    struct timeline_branch list[TIMELINE_BRANCHES];
    bool chosen[TIMELINE_BRANCHES], any;
    size_t n = timeline_branches(rec->tl, list);

    choose_branches(list, n, chosen);
    any = drop_branches(rec, list, chosen, n, write);
    for (size_t i = 1; i < n; i++)
        if (chosen[i])
            any |= write_branch(rec, &list[i], write);
    return any;
}

static int write_new(struct recorder *rec, bool end)
{
    struct timeline_history h = trunk_of(rec);
    struct progress *p = &rec->now;
    uint64_t events = event_log_count(h.log);
    icount_t edge = h.edge;
    vtime_t vtime = h.edge_vtime;

    /* A step in progress may have got answers already. */
    if (events && event_log_get(h.log, events - 1)->position > edge)
        edge = event_log_get(h.log, events - 1)->position;
    if (!end && p->marked && edge == p->edge && vtime == p->edge_vtime && events == p->events &&
        p->snapshot_changes == timeline_snapshot_changes(rec->tl) && rec->w.offset == rec->good.offset &&
        !write_branches(rec, false))
        return rec->w.failed;
    write_events(rec, &h, events, end);
    write_branches(rec, true);
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
    write_state(rec, newest(rec), false);
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
    const struct checkpoint_line *line = trunk_of(rec).line;

    for (size_t i = 0; i < checkpoint_line_count(store, line) && !rec->w.failed; i++)
        write_state(rec, checkpoint_line_nth(store, line, i), false);
    return write_new(rec, false);
}

int recorder_close(struct recorder *rec)
{
    if (!rec->w.failed)
        write_state(rec, newest(rec), true);
    write_new(rec, true);
    recording_write_index(&rec->w);
    return rec->w.failed;
}

/* ---- rescue ---- */

int recorder_rescue(struct timeline *tl, unsigned branch, const struct recorder_config *config)
{
    const struct machine *m = timeline_machine(tl);
    icount_t edge, end = machine_position(m) + 1;
    struct recorder rec = {.tl = tl};
    struct timeline_history h;
    uint64_t events;
    vtime_t vtime;
    int status;

    timeline_history(tl, branch, &h);
    events = event_log_count(h.log);
    edge = h.edge;
    vtime = h.edge_vtime;
    if (branch == timeline_branch(tl) && end > edge) { /* replaying it must come to the step that broke */
        edge = end;
        vtime = (end << m->icount_shift) + m->st->warp;
    }
    recording_writer_init(&rec.w, config->write, config->ctx);
    write_machine(&rec, config);
    recording_write_images(&rec.w, config->images, config->nimages);
    write_events(&rec, &h, events, true);
    if (!branch)
        write_branches(&rec, true);
    recording_write_mark(&rec.w, true, edge, vtime, events);
    recording_write_index(&rec.w);
    status = rec.w.failed;
    recording_writer_finish(&rec.w);
    return status;
}

/* ---- adopting ---- */

int recorder_check_machine(struct recording *r, const struct machine *m, struct error *err)
{
    const char *first = recording_value(r, "first-position");
    char here[24];
    struct layout layout;
    int status;

    snprintf(here, sizeof(here), "%" PRIu64, m->st->position);
    if (!first || strcmp(first, here))
        return error_set(err, -EINVAL, "the recording was made with another machine (its history begins at %.40s, here at "
                         "%s): use the version of hindcast that made it", first ? first : "no position", here);
    layout_of_machine(&layout, m);
    status = recording_map(r, &layout, err);
    layout_finish(&layout);
    return status;
}

bool recorder_other_semantics(const struct recording *r, char *text, size_t size)
{
    const char *theirs = recording_value(r, "semantics");
    char ours[24];

    snprintf(ours, sizeof(ours), "%u", MACHINE_SEMANTICS);
    if (theirs && !strcmp(theirs, ours))
        return false;
    snprintf(text, size, "made by a hindcast whose machines do some things otherwise (semantics %.20s; here: %s): it is "
             "replayed, and what does not agree is told", theirs ? theirs : "unknown", ours);
    return true;
}

static bool hash_at(const struct recording *r, icount_t position, size_t *n)
{
    for (size_t i = r->nhashes; i-- > 0;) {
        if (r->hashes[i].position != position)
            continue;
        *n = i;
        return true;
    }
    return false;
}

_Static_assert(sizeof(((struct component *)0)->name) == LAYOUT_NAME_MAX + 1, "names of components fit layouts");

/* Checkpoints of a recording on their way to a machine that need not have the same layout. */
struct loading {
    struct timeline *tl;
    struct recording *r;
    struct checkpoint_builder *b;
    struct checkpoint_view *view;
    uint8_t *recorded; /* the arena as it was recorded; whole pages */
    uint8_t *arena;    /* the machine's made of it */
    uint8_t *kept;     /* scratch */
    bool homeless;     /* a page is of an area that the machine has not */
};

static void loading_init(struct loading *l, struct timeline *tl, struct recording *r)
{
    size_t arena_len = timeline_machine(tl)->arena_len;

    *l = (struct loading){.tl = tl, .r = r};
    l->recorded = xcalloc(1, r->layout.arena_bytes + PAGE_SIZE);
    l->arena = xcalloc(1, arena_len + PAGE_SIZE);
    l->kept = xmalloc(arena_len);
}

static void loading_finish(struct loading *l)
{
    checkpoint_view_destroy(l->view);
    checkpoint_builder_destroy(l->b);
    free(l->recorded);
    free(l->arena);
    free(l->kept);
}

static void put_page(uint8_t *to, const uint8_t *bytes)
{
    if (bytes)
        memcpy(to, bytes, PAGE_SIZE);
    else
        memset(to, 0, PAGE_SIZE);
}

static void load_page(void *ctx, uint32_t area, uint64_t n, const uint8_t *bytes)
{
    struct loading *l = ctx;
    const struct machine *m = timeline_machine(l->tl);
    uint32_t there;

    if (area == RECORDING_ARENA) {
        put_page(l->recorded + (n << PAGE_SHIFT), bytes);
        return;
    }
    there = l->r->map.to[LAYOUT_AREA][area];
    if (there == LAYOUT_NONE)
        l->homeless |= bytes != NULL;
    else
        CHECK(checkpoint_builder_page(l->b, m->areas[there]->space, m->areas[there]->first + n, bytes));
}

/* A component's state, of what it was in an older version. False: that is not known how. */
static bool upgrade(struct machine *m, const struct component *c, const struct layout_entry *e, const uint8_t *old)
{
    uint8_t *state = m->arena + c->offset;

    for (unsigned i = 0; i < m->ncpus; i++) {
        struct cpu *cpu = m->cpus[i];

        if (cpu->state == state)
            return cpu->ops->upgrade && cpu->ops->upgrade(cpu, e->version, old, e->size);
        if ((uint8_t *)cpu->share == state)
            return machine_upgrade_share(cpu, e->version, old, e->size);
    }
    for (unsigned i = 0; i < m->ndevices; i++) {
        struct device *d = m->devices[i];

        if (d->state == state)
            return d->ops->upgrade && d->ops->upgrade(d, e->version, old, e->size);
    }
    return false;
}

/* Why a checkpoint is left out. */
static const char unknown_layout[] = "of a layout that this version does not know";
static const char impossible_state[] = "a state that the machine cannot be in";

/* Make the machine's arena of the recorded one. NULL, or the part that cannot be made. */
static const char *convert(struct machine *m, const struct layout *l, const uint8_t *recorded)
{
    memset(m->arena, 0, m->arena_len);
    for (unsigned i = 0; i < m->ncomponents; i++) {
        const struct component *c = &m->components[i];
        struct layout_entry e = {.kind = LAYOUT_COMPONENT, .version = c->version, .size = c->size};
        const struct layout_entry *there;
        uint32_t n;

        strcpy(e.name, c->name);
        n = layout_find(l, &e);
        if (n == LAYOUT_NONE)
            return c->name;
        there = layout_entry(l, LAYOUT_COMPONENT, n);
        if (layout_same(there, &e))
            memcpy(m->arena + c->offset, recorded + there->at, c->size);
        else if (!upgrade(m, c, there, recorded + there->at))
            return c->name;
    }
    return NULL;
}

/* The machine's arena of l->recorded, in l->arena. What is wrong with it: NULL (nothing), or a part, of which
 * *what says what is wrong with it. */
static const char *make_arena(struct loading *l, const char **what)
{
    struct machine *m = timeline_machine(l->tl);
    const char *part;

    memcpy(l->kept, m->arena, m->arena_len);
    part = convert(m, &l->r->layout, l->recorded);
    *what = unknown_layout;
    if (!part) {
        *what = impossible_state;
        part = machine_impossible_part(m);
    }
    memcpy(l->arena, m->arena, m->arena_len);
    memcpy(m->arena, l->kept, m->arena_len);
    return part;
}

static bool components_agree(const struct loading *l, size_t n)
{
    const struct layout *layout = &l->r->layout;

    for (uint32_t i = 0; i < layout_count(layout, LAYOUT_COMPONENT); i++) {
        const struct layout_entry *e = layout_entry(layout, LAYOUT_COMPONENT, i);
        struct component c = {.size = (uint32_t)e->size};

        strcpy(c.name, e->name);
        if (component_hash(&c, l->recorded + e->at) != recording_component_hash(l->r, n, i))
            return false;
    }
    return true;
}

static bool areas_agree(const struct loading *l, size_t n)
{
    const struct checkpoint_area *ours = checkpoint_view_areas(l->view);

    for (uint32_t i = 0; i < layout_count(&l->r->layout, LAYOUT_AREA); i++) {
        uint32_t there = l->r->map.to[LAYOUT_AREA][i];
        struct checkpoint_area theirs;

        recording_area(l->r, n, i, &theirs);
        if (there != LAYOUT_NONE && ours[there].hash != theirs.hash)
            return false;
    }
    return true;
}

/* Place what was put together. *part as make_arena(). NULL: it is not what was hashed there. */
static struct checkpoint *place(struct loading *l, const struct recording_checkpoint *cp, const char **part,
                                const char **what)
{
    struct machine *m = timeline_machine(l->tl);
    struct checkpoint *c;
    size_t n;

    *part = make_arena(l, what);
    if (!hash_at(l->r, cp->position, &n) || !components_agree(l, n))
        return NULL;
    for (uint64_t i = 0; i < m->arena_pages.count; i++)
        checkpoint_builder_page(l->b, &m->arena_pages, i, l->arena + (i << PAGE_SHIFT));
    c = checkpoint_builder_place(l->b, cp->position, cp->vtime);
    if (!c)
        return NULL;
    checkpoint_view_move(l->view, c, NULL, NULL);
    return areas_agree(l, n) ? c : NULL;
}

static bool times_fit(struct loading *l, const struct recording_checkpoint *cp)
{
    struct machine *m = timeline_machine(l->tl);
    bool fit;

    memcpy(l->kept, m->arena, m->arena_len);
    memcpy(m->arena, l->arena, m->arena_len);
    fit = m->st->position == cp->position && machine_now(m) == cp->vtime;
    memcpy(m->arena, l->kept, m->arena_len);
    return fit;
}

static int load_checkpoint(struct loading *l, size_t n, struct error *err)
{
    struct recording *r = l->r;
    const struct recording_checkpoint *cp = &r->checkpoints[n];
    const char *part, *what;
    struct checkpoint *c = place(l, cp, &part, &what);

    /* Where a part is unknown, nothing can be placed, and nothing is missed. */
    if (!c && !(part && what == unknown_layout))
        return error_set(err, -EINVAL,
                         "the checkpoint at position %" PRIu64 " in the recording is not the state that was hashed "
                         "there: open it with --ignore-checkpoints", cp->position);
    if (!part && !times_fit(l, cp)) {
        part = "machine";
        what = impossible_state;
    }
    if (!part && l->homeless) {
        part = "memory";
        what = unknown_layout;
    }
    if (part) {
        if (c && cp->position != timeline_first(l->tl))
            checkpoint_remove(timeline_checkpoint_store(l->tl), c);
        if (!*r->note)
            snprintf(r->note, sizeof(r->note), "the checkpoint at position %" PRIu64 " is %s (%s), and is not used",
                     cp->position, what, part);
        return 0;
    }
    /* As if far apart in host time: not thinned as recent ones are. */
    c->effort_ns = (n + 1) * UINT64_C(1000000000);
    return 0;
}

static int load_checkpoints(struct timeline *tl, struct recording *r, struct error *err)
{
    struct checkpoint_store *store = timeline_checkpoint_store(tl);
    bool lost = false;
    struct loading l;
    int status = 0;

    loading_init(&l, tl, r);
    l.b = checkpoint_builder_create(store);
    l.view = checkpoint_view_create(store);
    for (size_t i = 0; status == 0 && i < r->ncheckpoints; i++) {
        struct error damage = {0};

        lost = lost && !r->checkpoints[i].whole;
        if (lost)
            continue;
        if (r->checkpoints[i].whole) {
            checkpoint_builder_clear(l.b);
            memset(l.recorded, 0, r->layout.arena_bytes);
            l.homeless = false;
        }
        /* Nothing depends on a checkpoint but the time that it takes to come there, and the ones that build on it. */
        if (recording_checkpoint_pages(r, i, load_page, &l, &damage) < 0) {
            if (!*r->note)
                snprintf(r->note, sizeof(r->note), "%.180s; it, and those that build on it, are not used", damage.text);
            lost = true;
            continue;
        }
        status = load_checkpoint(&l, i, err);
        if (status == 0)
            checkpoint_trim(store, r->checkpoints[i].position, r->edge);
    }
    loading_finish(&l);
    return status;
}

/* Witnesses of the recording, in the machine's shape. */
static void map_witnesses(const struct recording *r, struct witness_log *old, const struct machine *m)
{
    const struct layout_map *map = &r->map;
    size_t regs = (size_t)old->shape.ncomponents * 2;
    struct witness_log l;

    if (map->whole)
        return;
    witness_log_init(&l, witness_shape_of(m));
    l.known = xcalloc(witness_bytes(&l.shape) + 1, sizeof(bool));
    l.partial = old->count;
    for (size_t n = 0; n < old->count; n++) {
        const uint8_t *from = witness_log_tags(old, n);
        uint8_t *to = witness_log_add(&l, old->positions[n]);

        memset(to, 0, witness_bytes(&l.shape));
        for (size_t i = 0; i < witness_bytes(&old->shape); i++) {
            uint32_t there = i < regs ? map->to[LAYOUT_COMPONENT][i / 2] : map->to[LAYOUT_REGISTER][i - regs];
            size_t at = i < regs ? (size_t)there * 2 + i % 2 : (size_t)l.shape.ncomponents * 2 + there;

            if (there == LAYOUT_NONE || (old->partial && !old->known[i]))
                continue;
            to[at] = from[i];
            l.known[at] = true;
        }
    }
    witness_log_finish(old);
    *old = l;
}

/* The recording's branches, as far as what they come from is there. */
static void adopt_branches(struct timeline *tl, struct recording *r)
{
    unsigned *ids = xcalloc(r->nbranches + 1, sizeof(*ids));

    for (size_t i = 0; i < r->nbranches; i++) {
        struct recording_branch *b = &r->branches[i];
        struct timeline_history from;
        struct event_log *log;
        struct error err = {0};
        unsigned parent = 0;

        for (size_t k = 0; k < i; k++)
            if (r->branches[k].read.id == b->head.parent)
                parent = ids[k];
        if (!b->counted || b->head.dropped || (b->head.parent && !parent) || timeline_history(tl, parent, &from) < 0)
            continue;
        log = recording_branch_log(r, b, (struct event_log *)(uintptr_t)from.log);
        map_witnesses(r, &b->witnesses, timeline_machine(tl));
        if (timeline_adopt_branch(tl, *b->head.name ? b->head.name : NULL, parent, b->head.fork, log, b->head.edge,
                                  b->head.edge_vtime, &b->witnesses, &ids[i], &err) == 0)
            continue;
        event_log_destroy(log);
        if (!*r->note)
            snprintf(r->note, sizeof(r->note), "branch '%s' is not used: %.150s", b->head.name, err.text);
    }
    free(ids);
}

int recorder_adopt(struct timeline *tl, struct recording *r, bool checkpoints, struct error *err)
{
    struct event_log *log = r->log;
    const struct event *e;
    int status = r->mapped ? 0 : recorder_check_machine(r, timeline_machine(tl), err);

    if (status < 0)
        return status;
    e = event_log_get(log, 0);
    if (r->edge < timeline_first(tl) || (e && e->position < timeline_first(tl)))
        return error_set(err, -EINVAL, "the recording ends before the machine's first position");
    status = checkpoints ? load_checkpoints(tl, r, err) : 0;
    if (status < 0)
        return status;
    r->log = NULL;
    map_witnesses(r, &r->witnesses, timeline_machine(tl));
    timeline_adopt(tl, log, r->edge, r->edge_vtime, &r->witnesses);
    for (size_t i = 0; i < r->nsnapshots; i++)
        if (r->snapshots[i].position >= timeline_first(tl))
            timeline_adopt_snapshot(tl, &r->snapshots[i]);
    adopt_branches(tl, r);
    return 0;
}

/* ---- checks ---- */

struct recorder_checks {
    struct timeline *tl;
    struct recording *r;
    struct checkpoint_view *view;
    icount_t *positions;
    uint8_t *arena;
    size_t made;
    icount_t good;
};

/* Which components of the arena differ. */
static void name_components(struct recorder_checks *k, size_t n, struct buffer *b)
{
    const struct machine *m = timeline_machine(k->tl);
    const uint32_t *to = k->r->map.to[LAYOUT_COMPONENT];

    checkpoint_view_arena(k->view, k->arena);
    for (uint32_t i = 0; i < layout_count(&k->r->layout, LAYOUT_COMPONENT); i++) {
        const struct component *c = to[i] != LAYOUT_NONE ? &m->components[to[i]] : NULL;

        if (c && component_hash(c, k->arena + c->offset) != recording_component_hash(k->r, n, i))
            buffer_printf(b, "%s%s", b->len ? ", " : "", c->name);
    }
}

/* What the sums say of the pages of an area that differ. With one such page, the sum over the pages
 * whose number has some bit has changed as much as the sum over all, or not at all: so the
 * number can be read. With more, as many of its high bits as they have in common (mostly: sums
 * may agree by chance). */
static void name_pages(const char *area, const struct checkpoint_area *ours, const struct checkpoint_area *theirs,
                       struct buffer *b)
{
    unsigned n = theirs->nsums, bit = n - 1;
    uint32_t all = theirs->sums[n - 1] - ours->sums[n - 1];
    uint64_t page = 0;

    for (; bit > 0; bit--) {
        uint32_t part = theirs->sums[bit - 1] - ours->sums[bit - 1];

        if (part && part != all)
            break;
        page |= part ? (uint64_t)1 << (bit - 1) : 0;
    }
    buffer_printf(b, "%s", b->len ? ", " : "");
    if (!bit)
        buffer_printf(b, "page %" PRIu64 " of %s", page, area);
    else if (bit == n - 1)
        buffer_printf(b, "several pages of %s", area);
    else
        buffer_printf(b, "several pages of %s from %" PRIu64 " to %" PRIu64, area, page,
                      page + ((uint64_t)1 << bit) - 1);
}

static void name_areas(struct recorder_checks *k, size_t n, struct buffer *b)
{
    const struct checkpoint_area *ours = checkpoint_view_areas(k->view);
    const uint32_t *to = k->r->map.to[LAYOUT_AREA];

    for (uint32_t i = 0; i < layout_count(&k->r->layout, LAYOUT_AREA); i++) {
        struct checkpoint_area theirs;

        recording_area(k->r, n, i, &theirs);
        if (to[i] != LAYOUT_NONE && ours[to[i]].hash != theirs.hash)
            name_pages(timeline_machine(k->tl)->areas[to[i]]->name, &ours[to[i]], &theirs, b);
    }
}

/* ---- a checkpoint of the file that lies exactly here: what it says of each register, page, byte ---- */

struct page_search {
    struct recorder_checks *k;
    struct buffer *b;
    struct loading l;
    uint64_t differ, first;   /* pages: how many, the first, */
    const char *area;         /* in which area, */
    uint32_t offset;          /* the byte in it */
    uint8_t ours, theirs;
};

static void compare_page(void *ctx, uint32_t area, uint64_t n, const uint8_t *bytes)
{
    struct page_search *s = ctx;
    static const uint8_t zero[PAGE_SIZE];
    uint8_t scratch[PAGE_SIZE];
    const uint8_t *ours, *theirs = bytes ? bytes : zero;
    const struct page_area *a;
    uint32_t i = 0, there;

    if (area == RECORDING_ARENA) {
        put_page(s->l.recorded + (n << PAGE_SHIFT), bytes);
        return;
    }
    there = s->k->r->map.to[LAYOUT_AREA][area];
    if (there == LAYOUT_NONE)
        return;
    a = timeline_machine(s->k->tl)->areas[there];
    ours = checkpoint_view_page(s->k->view, a->space, a->first + n, scratch);
    if (!ours)
        ours = zero;
    if (!memcmp(ours, theirs, PAGE_SIZE))
        return;
    if (s->differ++)
        return;
    while (ours[i] == theirs[i])
        i++;
    s->first = n;
    s->area = a->name;
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

/* Registers of a CPU in the recorded arena and in ours, side by side. */
static void compare_registers(struct page_search *s, struct cpu *cpu)
{
    struct machine *m = cpu->machine;
    const struct cpu_ops *ops = cpu->ops;
    unsigned named = 0;

    for (unsigned i = 0; i < ops->nregs && named < 8; i++) {
        uint8_t ours[64] = {0}, theirs[64] = {0};
        unsigned bytes = ops->regs[i].bits / 8u;

        ops->read_reg(cpu, i, ours);
        memcpy(s->k->arena, m->arena, m->arena_len);
        memcpy(m->arena, s->l.arena, m->arena_len);
        ops->read_reg(cpu, i, theirs);
        memcpy(m->arena, s->k->arena, m->arena_len);
        if (!memcmp(ours, theirs, bytes))
            continue;
        buffer_printf(s->b, named ? ", " : "; ");
        if (m->ncpus > 1 && !named)
            buffer_printf(s->b, "of CPU %u ", cpu->index);
        buffer_printf(s->b, "%s is ", ops->regs[i].name);
        named++;
        print_value(s->b, ours, bytes);
        buffer_printf(s->b, ", was ");
        print_value(s->b, theirs, bytes);
    }
}

/* The file's checkpoints are differences: those up to number `n`, one over the other. */
static bool put_together(const struct recording *r, size_t n, recording_page_fn *page, void *ctx)
{
    size_t first = n;

    while (first && !r->checkpoints[first].whole)
        first--;
    for (size_t i = first; i <= n; i++)
        if (recording_checkpoint_pages(r, i, page, ctx, NULL) < 0)
            return false;
    return true;
}

/* Only the arena's. */
static void arena_page(void *ctx, uint32_t area, uint64_t n, const uint8_t *bytes)
{
    struct page_search *s = ctx;

    if (area == RECORDING_ARENA)
        put_page(s->l.recorded + (n << PAGE_SHIFT), bytes);
}

static void compare_checkpoint(struct recorder_checks *k, size_t n, struct buffer *b)
{
    const struct machine *m = timeline_machine(k->tl);
    struct page_search s = {.k = k, .b = b};
    const char *what;

    loading_init(&s.l, k->tl, k->r);
    if (put_together(k->r, n, arena_page, &s) && recording_checkpoint_pages(k->r, n, compare_page, &s, NULL) == 0 &&
        !make_arena(&s.l, &what))
        for (unsigned i = 0; i < m->ncpus; i++)
            compare_registers(&s, m->cpus[i]);
    if (s.differ)
        buffer_printf(b, "; page %" PRIu64 " of %s%s, at 0x%03" PRIx32 " there is 0x%02x, was 0x%02x", s.first, s.area,
                      s.differ > 1 ? " and others" : "", s.offset, s.ours, s.theirs);
    loading_finish(&s.l);
}

static bool check(void *ctx, size_t n, const struct checkpoint *c, struct error *err)
{
    struct recorder_checks *k = ctx;
    const struct recording_hash *h = &k->r->hashes[n];
    struct buffer what;
    bool agrees;

    checkpoint_view_move(k->view, c, NULL, NULL);
    buffer_init(&what);
    name_components(k, n, &what);
    name_areas(k, n, &what);
    agrees = !what.len && c->vtime == h->vtime;
    if (agrees) {
        k->made++;
        k->good = h->position;
    } else {
        if (!what.len)
            buffer_printf(&what, "the clock");
        for (size_t i = 0; i < k->r->ncheckpoints; i++)
            if (k->r->checkpoints[i].position == h->position)
                compare_checkpoint(k, i, &what);
        buffer_append_byte(&what, 0);
        error_set(err, -EINVAL, "%s", (const char *)what.data);
    }
    buffer_finish(&what);
    return agrees;
}

struct recorder_checks *recorder_checks_create(struct timeline *tl, struct recording *r)
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
