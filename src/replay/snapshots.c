/*
 * Named snapshots: the user's names for places of history.
 */
#include "replay/timeline_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

static struct timeline_snapshot *find_snapshot(const struct timeline *tl, const char *name)
{
    for (size_t i = 0; i < tl->names.count; i++) {
        if (!strcmp(tl->names.list[i].name, name))
            return &tl->names.list[i];
    }
    return NULL;
}

static struct timeline_snapshot *need_snapshot(const struct timeline *tl, const char *name, struct error *err)
{
    struct timeline_snapshot *s = find_snapshot(tl, name);

    if (!s)
        error_set(err, -ENOENT, "Snapshot '%s' does not exist (info snapshots lists those that do)", name);
    return s;
}

static struct checkpoint *checkpoint_of(const struct timeline *tl, const struct timeline_snapshot *s)
{
    return checkpoint_line_at(tl->store, branches_line(tl, branches_by_id(tl, s->branch)), s->position);
}

void snapshots_trimmed(struct timeline *tl)
{
    for (size_t i = 0; i < tl->names.count; i++) {
        struct timeline_snapshot *s = &tl->names.list[i];

        if (!s->pinned || checkpoint_of(tl, s))
            continue;
        s->pinned = false;
        if (tl->host.name_unkept)
            tl->host.name_unkept(tl->host.ctx, s);
    }
}

/* Its checkpoint need not be kept for it any more. */
static void let_go(struct timeline *tl, const struct timeline_snapshot *s)
{
    struct checkpoint *c = checkpoint_of(tl, s);

    if (!s->pinned)
        return;
    CHECK(c);
    checkpoint_unpin(c);
}

/* The one of that name, which begins to exist if need be. */
static struct timeline_snapshot *make_snapshot(struct timeline *tl, const char *name)
{
    struct timeline_snapshot *s = find_snapshot(tl, name);

    tl->names.changes++;
    if (s) {
        let_go(tl, s);
        s->pinned = false;
        return s;
    }
    tl->names.list = xrealloc(tl->names.list, (tl->names.count + 1) * sizeof(*tl->names.list));
    s = &tl->names.list[tl->names.count++];
    *s = (struct timeline_snapshot){.name = xstrdup(name)};
    return s;
}

int timeline_save_snapshot(struct timeline *tl, const char *name, uint64_t made_ns, struct error *err)
{
    struct timeline_snapshot *s;

    if (!*name)
        return error_set(err, -EINVAL, "a snapshot needs a name");
    if (strlen(name) > TIMELINE_SNAPSHOT_NAME_MOST)
        return error_set(err, -EINVAL, "a name of %zu bytes is too long: %u", strlen(name), TIMELINE_SNAPSHOT_NAME_MOST);
    if (tl->names.count >= TIMELINE_SNAPSHOTS_MOST && !find_snapshot(tl, name))
        return error_set(err, -ENOSPC, "there are %u names already", TIMELINE_SNAPSHOTS_MOST);
    s = make_snapshot(tl, name);
    checkpoint_pin(tl->store, place_checkpoint(tl, CHECKPOINT_AUTO));
    s->pinned = true;
    s->position = tl->m->st->position;
    s->branch = branches_owner(tl, s->position)->id;
    s->vtime = machine_now(tl->m);
    s->made_ns = made_ns;
    place_trim(tl);
    return 0;
}

void timeline_adopt_snapshot(struct timeline *tl, const struct timeline_snapshot *snapshot)
{
    struct timeline_snapshot *s = make_snapshot(tl, snapshot->name);

    s->position = snapshot->position;
    s->branch = snapshot->branch;
    s->vtime = snapshot->vtime;
    s->made_ns = snapshot->made_ns;
}

uint64_t timeline_snapshot_changes(const struct timeline *tl)
{
    return tl->names.changes;
}

bool timeline_snapshot_here(const struct timeline *tl, const struct timeline_snapshot *snapshot)
{
    return branches_owner(tl, snapshot->position)->id == snapshot->branch;
}

int timeline_load_snapshot(struct timeline *tl, const char *name, struct timeline_stop *stop, struct error *err)
{
    const struct timeline_snapshot *s = need_snapshot(tl, name, err);

    int r = s ? 0 : -ENOENT;

    if (r == 0 && !timeline_snapshot_here(tl, s))
        r = timeline_branch_use(tl, s->branch, err);
    if (r == 0)
        timeline_seek(tl, s->position, stop);
    return r;
}

static void forget(struct timeline *tl, struct timeline_snapshot *s)
{
    let_go(tl, s);
    tl->names.changes++;
    free(s->name);
    tl->names.count--;
    memmove(s, s + 1, (tl->names.count - (size_t)(s - tl->names.list)) * sizeof(*s));
}

int timeline_delete_snapshot(struct timeline *tl, const char *name, struct error *err)
{
    struct timeline_snapshot *s = need_snapshot(tl, name, err);

    if (!s)
        return -ENOENT;
    forget(tl, s);
    return 0;
}

void snapshots_forget(struct timeline *tl, unsigned branch)
{
    for (size_t i = tl->names.count; i-- > 0;)
        if (tl->names.list[i].branch == branch)
            forget(tl, &tl->names.list[i]);
}

size_t timeline_snapshots(const struct timeline *tl, const struct timeline_snapshot **list)
{
    *list = tl->names.list;
    return tl->names.count;
}

void snapshots_finish(struct timeline *tl)
{
    for (size_t i = 0; i < tl->names.count; i++)
        free(tl->names.list[i].name);
    free(tl->names.list);
}
