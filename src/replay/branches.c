/*
 * Branches: what happened, and what would have happened.
 *
 * A branch is a log that goes on from its parent's at the fork, a line of checkpoints that does the same, and whatever else
 * a history has of its own (struct history). One is in use: its parts are in the timeline, where all others find them, and
 * know nothing of branches. To use another one is to put these parts away, take up the other's, and restore a checkpoint of
 * it. While a branch is not in use the checkpoint where it was left is held, so coming back costs a restore.
 *
 * Where one stands on a branch before its fork, one stands in its parent's history; going forward follows the branch. A
 * branch that is made there leaves the parent. No line forks where its parent does: at the fork itself nothing is the
 * branch's own yet, and whoever acts there makes a sibling.
 *
 * Answers. What the guest asks for at the edge of a branch is answered here, as long as the outside does not: by functions
 * of the history, so that the same writes at the same place make the same branch. Logged they are all the same: the branch
 * is then replayed as any history.
 */
#include "replay/query.h"
#include "replay/timeline_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/hash.h"

/* Where no reading of the host's clock is known: 2000-01-01. */
#define SOME_TIME_NS UINT64_C(946684800000000000)

/* ---- looking ---- */

unsigned timeline_branch(const struct timeline *tl)
{
    return tl->branches.now->id;
}

bool timeline_outside(const struct timeline *tl)
{
    return tl->outside;
}

const struct branch *branches_by_id(const struct timeline *tl, unsigned id)
{
    for (size_t i = 0; i < tl->branches.count; i++)
        if (tl->branches.list[i]->id == id)
            return tl->branches.list[i];
    return NULL;
}

static struct branch *trunk(const struct timeline *tl)
{
    return tl->branches.list[0];
}

const struct branch *branches_owner(const struct timeline *tl, icount_t position)
{
    const struct branch *b = tl->branches.now;

    while (b->parent && position < b->fork)
        b = b->parent;
    return b;
}

struct checkpoint_line *branches_line(const struct timeline *tl, const struct branch *b)
{
    return b == tl->branches.now ? checkpoint_line(tl->store) : b->h.line;
}

struct truth *branches_trunk_truth(struct timeline *tl)
{
    return tl->branches.now == trunk(tl) ? &tl->truth : &trunk(tl)->h.truth;
}

static unsigned forks_of(const struct timeline *tl, const struct branch *b)
{
    unsigned n = 0;

    for (size_t i = 0; i < tl->branches.count; i++)
        n += tl->branches.list[i]->parent == b;
    return n;
}

static void describe(const struct timeline *tl, const struct branch *b, struct timeline_branch *out)
{
    bool now = b == tl->branches.now;
    const struct event_log *log = now ? tl->log : b->h.log;

    *out = (struct timeline_branch){
        .id = b->id,
        .name = b->parent ? b->name : "trunk",
        .parent = b->parent ? b->parent->id : b->id,
        .fork = b->fork,
        .edge = now ? tl->edge : b->h.edge,
        .position = now ? tl->m->st->position : b->left ? b->left->position : b->fork,
        .events = event_log_count(log) - event_log_base(log),
        .forks = forks_of(tl, b),
        .live = now ? tl->outside && tl->cfg.live : b->h.outside && b->h.live,
        .current = now,
    };
}

size_t timeline_branches(const struct timeline *tl, struct timeline_branch list[TIMELINE_BRANCHES])
{
    for (size_t i = 0; i < tl->branches.count; i++)
        describe(tl, tl->branches.list[i], &list[i]);
    return tl->branches.count;
}

int timeline_branch_find(const struct timeline *tl, const char *name, unsigned *id, struct error *err)
{
    for (size_t i = 0; i < tl->branches.count; i++) {
        const struct branch *b = tl->branches.list[i];
        char number[16];

        snprintf(number, sizeof(number), "%u", b->id);
        if (strcmp(name, number) && strcmp(name, b->parent ? b->name ? b->name : "" : "trunk"))
            continue;
        *id = b->id;
        return 0;
    }
    return error_set(err, -ENOENT, "there is no branch '%.64s' (branch list shows those that there are)", name);
}

int timeline_history(const struct timeline *tl, unsigned id, struct timeline_history *h)
{
    const struct branch *b = branches_by_id(tl, id);

    if (!b)
        return -ENOENT;
    if (b == tl->branches.now)
        *h = (struct timeline_history){.log = tl->log, .witnesses = &tl->truth.witnesses, .line = checkpoint_line(tl->store),
                                       .edge = tl->edge, .edge_vtime = tl->edge_vtime};
    else
        *h = (struct timeline_history){.log = b->h.log, .witnesses = &b->h.truth.witnesses, .line = b->h.line,
                                       .edge = b->h.edge, .edge_vtime = b->h.edge_vtime};
    return 0;
}

/* ---- using another one ---- */

static void store_history(struct timeline *tl, struct history *h)
{
    *h = (struct history){
        .log = tl->log,
        .line = checkpoint_line(tl->store),
        .edge = tl->edge,
        .edge_vtime = tl->edge_vtime,
        .live = tl->cfg.live,
        .sleep = tl->cfg.sleep,
        .outside = tl->outside,
        .hold = tl->hold,
        .reader = tl->reader,
        .clusters = tl->clusters,
        .truth = tl->truth,
        .effort_ns = tl->placement.effort_ns,
        .consolidated = tl->placement.consolidated,
    };
}

static void load_history(struct timeline *tl, const struct history *h)
{
    tl->log = h->log;
    checkpoint_line_use(tl->store, h->line);
    tl->edge = h->edge;
    tl->edge_vtime = h->edge_vtime;
    tl->cfg.live = h->live;
    tl->cfg.sleep = h->sleep;
    tl->outside = h->outside;
    tl->hold = h->hold;
    tl->reader = h->reader;
    tl->clusters = h->clusters;
    tl->truth = h->truth;
    tl->placement.effort_ns = tl->placement.trimmed_ns = h->effort_ns;
    tl->placement.consolidated = h->consolidated;
}

/* Nobody is in the midst of anything on the branch in use. */
static void leave(struct timeline *tl)
{
    CHECK(!tl->m->between && !timeline_querying(tl));
    place_leave(tl);
    crew_rest(tl->crew);
}

static void put_away(struct timeline *tl)
{
    struct branch *b = tl->branches.now;

    b->left = place_checkpoint(tl, CHECKPOINT_AUTO);
    checkpoint_hold(b->left);
    leave(tl);
    store_history(tl, &b->h);
}

/* Stand on `b` at `c`, a checkpoint that is on it or has the state that is there. */
static void take_up(struct timeline *tl, struct branch *b, struct checkpoint *c)
{
    load_history(tl, &b->h);
    tl->branches.now = b;
    tl->search.told_at = tl->search.told_access = ICOUNT_MAX;
    tl->pace.slept_position = ICOUNT_MAX;
    place_restore(tl, c);
    place_checkpoint(tl, CHECKPOINT_AUTO);
    if (b->left)
        checkpoint_release(b->left);
    b->left = NULL;
    place_trim(tl);
}

/* The line of one that was adopted begins with the state at its fork. */
static int make_line(struct timeline *tl, struct branch *b, struct error *err)
{
    struct checkpoint *c;
    int r = timeline_hold_place(tl, b->parent->id, b->fork, &c, err);

    if (r < 0)
        return r;
    b->h.line = checkpoint_line_fork(tl->store, branches_line(tl, b->parent), c);
    b->h.effort_ns = c->effort_ns;
    checkpoint_release(c);
    b->left = checkpoint_line_at(tl->store, b->h.line, b->fork);
    checkpoint_hold(b->left);
    return 0;
}

int timeline_branch_use(struct timeline *tl, unsigned id, struct error *err)
{
    struct branch *b = (struct branch *)(uintptr_t)branches_by_id(tl, id);
    int r;

    if (!b)
        return error_set(err, -ENOENT, "there is no branch %u", id);
    if (b == tl->branches.now)
        return 0;
    r = b->h.line ? 0 : make_line(tl, b, err);
    if (r < 0)
        return r;
    put_away(tl);
    take_up(tl, b, b->left);
    return 0;
}

/* ---- making and dropping ---- */

/* Words of the monitor's that are no names. */
static const char *const reserved[] = {"trunk", "list", "switch", "drop", "diff", "live", "help"};

static int check_name(const struct timeline *tl, const char *name, struct error *err)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", more[] = "0123456789._-";
    size_t len = strlen(name), n = strspn(name, letters);

    while (n && n < len && (strchr(letters, name[n]) || strchr(more, name[n])))
        n++;
    if (!len || n < len || len > TIMELINE_NAME_MOST)
        return error_set(err, -EINVAL, "'%.80s' is no name for a branch: a letter, then letters, digits, and . _ -, at most %u",
                         name, TIMELINE_NAME_MOST);
    for (size_t i = 0; i < ARRAY_LEN(reserved); i++)
        if (!strcmp(name, reserved[i]))
            return error_set(err, -EINVAL, "'%s' is a word that no branch can be called by", name);
    for (size_t i = 1; i < tl->branches.count; i++)
        if (tl->branches.list[i]->name && !strcmp(tl->branches.list[i]->name, name))
            return error_set(err, -EEXIST, "there is a branch '%s'", name);
    return 0;
}

static struct branch *add_branch(struct timeline *tl, struct branch *parent, icount_t fork)
{
    struct branch *b = xcalloc(1, sizeof(*b));

    b->id = parent ? ++tl->branches.last_id : 0;
    b->parent = parent;
    b->fork = fork;
    tl->branches.list = xrealloc(tl->branches.list, (tl->branches.count + 1) * sizeof(tl->branches.list[0]));
    tl->branches.list[tl->branches.count++] = b;
    return b;
}

static void free_history(struct history *h)
{
    env_drop_input(&h->reader);
    clusters_finish(&h->clusters);
    witness_log_finish(&h->truth.witnesses);
    event_log_destroy(h->log);
}

/* It is not in use, and nobody forks from it. */
static void remove_branch(struct timeline *tl, struct branch *b)
{
    size_t i = 0;

    CHECK(b != tl->branches.now && !forks_of(tl, b));
    crew_rest(tl->crew); /* machines of queries may stand on it */
    if (b->left)
        checkpoint_release(b->left);
    snapshots_forget(tl, b->id);
    if (b->h.line)
        checkpoint_line_remove(tl->store, b->h.line);
    free_history(&b->h);
    while (tl->branches.list[i] != b)
        i++;
    tl->branches.count--;
    memmove(&tl->branches.list[i], &tl->branches.list[i + 1], (tl->branches.count - i) * sizeof(tl->branches.list[0]));
    free(b->name);
    free(b);
}

/* Those without a name that nobody forks from and nobody uses, but for the `keep` newest. */
static void forget_nameless(struct timeline *tl, size_t keep)
{
    size_t kept = 0;

    for (size_t i = tl->branches.count; i-- > 1;) {
        struct branch *b = tl->branches.list[i];

        if (!b->name && b != tl->branches.now && !forks_of(tl, b) && kept++ >= keep)
            remove_branch(tl, b);
    }
}

/* A history that nobody has gone on with yet. */
static void begin_history(struct timeline *tl, struct branch *b, struct event_log *log, struct checkpoint_line *from,
                          const struct checkpoint *c)
{
    b->h = (struct history){
        .log = event_log_fork(log, c->position),
        .line = checkpoint_line_fork(tl->store, from, c),
        .edge = c->position,
        .edge_vtime = c->vtime,
        .live = true,
        .reader = {.out_position = c->position},
        .effort_ns = c->effort_ns,
        .consolidated = c->position,
    };
    b->h.reader.now_position = ICOUNT_MAX;
}

static int check_fixed(const struct timeline *tl, const char *what, struct error *err)
{
    const char *why = tl->host.fixed ? tl->host.fixed(tl->host.ctx) : NULL;

    return why ? error_set(err, -EBUSY, "one cannot %s here: %s", what, why) : 0;
}

int timeline_branch_make(struct timeline *tl, const char *name, struct error *err)
{
    icount_t here = tl->m->st->position;
    struct branch *parent = tl->branches.now, *b;
    struct checkpoint *c;
    int r = check_fixed(tl, "begin a branch", err);

    if (r == 0 && name)
        r = check_name(tl, name, err);

    if (r < 0)
        return r;
    if (tl->truth.bad <= here)
        return error_set(err, -EIO, "no branch can begin where the replay is not what happened");
    for (size_t keep = TIMELINE_NAMELESS; tl->branches.count == TIMELINE_BRANCHES && keep--;)
        forget_nameless(tl, keep);
    if (tl->branches.count == TIMELINE_BRANCHES)
        return error_set(err, -ENOSPC, "there are %u branches beside what happened: drop one first (monitor branch list)",
                         TIMELINE_BRANCHES - 1);
    while (parent->parent && here <= parent->fork)
        parent = parent->parent;
    c = place_checkpoint(tl, CHECKPOINT_AUTO);
    b = add_branch(tl, parent, here);
    begin_history(tl, b, parent == tl->branches.now ? tl->log : parent->h.log, branches_line(tl, parent), c);
    diverge_fork(&tl->truth.witnesses, &b->h.truth, here);
    b->h.hold = machine_held(tl->m);
    b->name = name ? xstrdup(name) : NULL;
    put_away(tl);
    take_up(tl, b, checkpoint_line_at(tl->store, b->h.line, here));
    forget_nameless(tl, TIMELINE_NAMELESS);
    return 0;
}

int timeline_adopt_branch(struct timeline *tl, const char *name, unsigned parent, icount_t fork, struct event_log *log,
                          icount_t edge, vtime_t edge_vtime, const struct witness_log *witnesses, unsigned *id, struct error *err)
{
    struct branch *from = (struct branch *)(uintptr_t)branches_by_id(tl, parent), *b;
    int r = name ? check_name(tl, name, err) : 0;

    CHECK(from && !tl->branches.now->parent);
    if (r < 0)
        return r;
    if (tl->branches.count == TIMELINE_BRANCHES)
        return error_set(err, -ENOSPC, "there are %u branches", TIMELINE_BRANCHES);
    if (fork < tl->first || (from->parent && fork <= from->fork) || edge < fork ||
        fork > (from == tl->branches.now ? tl->edge : from->h.edge))
        return error_set(err, -EINVAL, "a branch cannot leave another one at position %llu", (unsigned long long)fork);
    b = add_branch(tl, from, fork);
    b->name = name ? xstrdup(name) : NULL;
    b->h = (struct history){.log = log, .edge = edge, .edge_vtime = edge_vtime, .live = true,
                            .reader = {.out_position = fork, .now_position = ICOUNT_MAX}, .consolidated = fork};
    diverge_fork(from == tl->branches.now ? &tl->truth.witnesses : &from->h.truth.witnesses, &b->h.truth, fork);
    witness_log_append(&b->h.truth.witnesses, witnesses, fork, edge);
    b->h.truth.witness_due = edge;
    *id = b->id;
    return 0;
}

int timeline_branch_name(struct timeline *tl, const char *name, struct error *err)
{
    struct branch *b = tl->branches.now;
    int r;

    if (!b->parent)
        return error_set(err, -EINVAL, "the trunk has no other name");
    if (b->name && !strcmp(b->name, name))
        return 0;
    r = check_name(tl, name, err);
    if (r < 0)
        return r;
    free(b->name);
    b->name = xstrdup(name);
    return 0;
}

int timeline_branch_drop(struct timeline *tl, unsigned id, struct error *err)
{
    struct branch *b = (struct branch *)(uintptr_t)branches_by_id(tl, id);
    struct checkpoint *c;

    if (!b)
        return error_set(err, -ENOENT, "there is no branch %u", id);
    if (!b->parent)
        return error_set(err, -EBUSY, "the trunk is what happened: it cannot be dropped");
    if (forks_of(tl, b))
        return error_set(err, -EBUSY, "other branches begin on it: drop these first (monitor branch list)");
    if (b == tl->branches.now) {
        c = tl->m->st->position < b->fork ? place_checkpoint(tl, CHECKPOINT_AUTO) : checkpoint_at(tl->store, b->fork);
        leave(tl);
        store_history(tl, &b->h);
        take_up(tl, b->parent, c);
    }
    remove_branch(tl, b);
    return 0;
}

int timeline_branch_live(struct timeline *tl, struct error *err)
{
    struct branch *b = tl->branches.now;

    if (!b->parent)
        return error_set(err, -EINVAL, "this is the trunk: it is live as it is");
    if (!trunk(tl)->h.live)
        return error_set(err, -EROFS, "the guest of a recording has no outside (--continue-live connects it)");
    tl->outside = true;
    tl->cfg.sleep = trunk(tl)->h.sleep;
    return 0;
}

int branches_make_way(struct timeline *tl, const char *what, struct error *err)
{
    int r = check_fixed(tl, what, err);

    if (r < 0 || (tl->cfg.live && tl->m->st->position >= tl->edge))
        return r;
    return tl->cfg.branches ? timeline_branch_make(tl, NULL, err) : outside_check_edge(tl, what, err);
}

/* ---- places ---- */

static int go_to_place(struct timeline *tl, icount_t position, struct checkpoint **c, struct error *err)
{
    struct timeline_stop stop;

    if (position < tl->first || position > tl->edge)
        return error_set(err, -ERANGE, "history there is from position %llu to %llu", (unsigned long long)tl->first,
                         (unsigned long long)tl->edge);
    timeline_seek(tl, position, &stop);
    if (stop.reason == TIMELINE_INTERRUPTED)
        return error_set(err, -EINTR, "interrupted");
    if (tl->m->st->position != position)
        return error_set(err, -EIO, "position %llu is not to be reached again", (unsigned long long)position);
    *c = place_checkpoint(tl, CHECKPOINT_AUTO);
    checkpoint_hold(*c);
    return 0;
}

int timeline_hold_place(struct timeline *tl, unsigned branch, icount_t position, struct checkpoint **c, struct error *err)
{
    unsigned here = tl->branches.now->id;
    struct checkpoint *home;
    int r = timeline_branch_use(tl, branch, err);

    if (r < 0)
        return r;
    home = place_checkpoint(tl, CHECKPOINT_AUTO);
    checkpoint_hold(home);
    r = go_to_place(tl, position, c, err);
    place_restore(tl, home);
    checkpoint_release(home);
    timeline_branch_use(tl, here, NULL);
    return r;
}

void timeline_release(struct timeline *tl, struct checkpoint *c)
{
    checkpoint_release(c);
    place_trim(tl);
}

/* ---- answers ---- */

/* What the clock that was read in `e` shows now. NULL or no reading: false. */
static bool clock_by(const struct timeline *tl, const struct event *e, uint64_t *ns)
{
    if (!e || e->kind != EVENT_HOST_CLOCK || e->len != 8)
        return false;
    *ns = get_le64(e->data) + (machine_now(tl->m) - e->vtime);
    return true;
}

/* The last reading, or else the first that the parent has behind the fork. */
uint64_t branches_clock(struct timeline *tl)
{
    const struct branch *b = tl->branches.now;
    const struct event *e;
    uint64_t ns;

    for (uint64_t n = event_log_count(tl->log); n-- > 0;)
        if (clock_by(tl, event_log_get(tl->log, n), &ns))
            return ns;
    for (uint64_t n = event_log_base(tl->log); (e = event_log_get(b->parent->h.log, n)); n++)
        if (clock_by(tl, e, &ns))
            return ns;
    return SOME_TIME_NS + machine_now(tl->m);
}

void branches_entropy(struct timeline *tl, void *buf, size_t len)
{
    uint8_t key[32], *to = buf;

    put_le64(key, tl->branches.now->fork);
    put_le64(key + 8, machine_position(tl->m));
    put_le64(key + 16, event_log_count(tl->log) - event_log_base(tl->log));
    for (size_t i = 0; i < len; i += 8) {
        uint8_t word[8];

        put_le64(key + 24, i);
        put_le64(word, hash_bytes(0, key, sizeof(key)));
        memcpy(to + i, word, len - i < 8 ? len - i : 8);
    }
}

/* ---- set-up ---- */

void branches_init(struct timeline *tl)
{
    tl->branches.now = add_branch(tl, NULL, tl->first);
}

/* (The parts of the one in use are the timeline's.) */
void branches_finish(struct timeline *tl)
{
    for (size_t i = 0; i < tl->branches.count; i++) {
        struct branch *b = tl->branches.list[i];

        if (b != tl->branches.now)
            free_history(&b->h);
        free(b->name);
        free(b);
    }
    free(tl->branches.list);
}
