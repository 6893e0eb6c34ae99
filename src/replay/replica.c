/*
 * Replicas: timelines that run over the history of another one, with a machine of their own that was made from
 * the same configuration.
 *
 * State is a value, so the machines share nothing; what the timelines share (log, checkpoints, witnesses) is read by all
 * and extended by nobody while replicas are at work, but for checkpoints and footprints, which the store lets them add.
 * A replica is never live: its history ends at the leader's edge, and where it asks for more it has diverged.
 */
#include "replay/timeline_internal.h"

#include <stdlib.h>

#include "base/buffer.h"

struct timeline *replica_create(const struct timeline *leader, struct machine *m, const struct timeline_host *host)
{
    struct timeline *tl = xcalloc(1, sizeof(*tl));

    CHECK(m->st->position == leader->first);
    tl->m = m;
    tl->leader = leader;
    tl->cfg = leader->cfg;
    tl->cfg.live = tl->cfg.sleep = false;
    tl->host = *host;
    tl->store = leader->store;
    tl->seat = checkpoint_seat_create(tl->store, m);
    tl->first = leader->first;
    env_init(tl);
    tl->truth.bad = ICOUNT_MAX;
    tl->outside = true;
    tl->originals.changes = 1;
    run_init(tl);
    place_init(tl);
    replica_catch_up(tl);
    return tl;
}

void replica_rest(struct timeline *tl)
{
    if (!tl->log)
        return;
    replica_catch_up(tl); /* the leader's witnesses may lie elsewhere by now */
    /* (A branch may begin at the first position, too.) */
    place_restore(tl, checkpoint_line_nth(tl->store, branches_line(tl->leader, branches_by_id(tl->leader, 0)), 0));
    place_leave(tl);
    clusters_finish(&tl->clusters);
    event_log_share(tl->log, false);
    tl->log = NULL;
}

void replica_catch_up(struct timeline *tl)
{
    const struct timeline *leader = tl->leader;
    bool moved = false;

    if (tl->log != leader->log) {
        CHECK(!tl->log);
        tl->log = leader->log;
        event_log_share(tl->log, true);
        moved = true;
    }
    tl->edge = leader->edge;
    tl->edge_vtime = leader->edge_vtime;
    tl->truth.witnesses = leader->truth.witnesses;
    tl->truth.bad = leader->truth.bad;
    if (moved)
        env_seek(tl);
}

enum run_end replica_go(struct timeline *tl, icount_t position)
{
    struct checkpoint *c = checkpoint_find(tl->store, position);
    icount_t here = tl->m->st->position;

    if (tl->m->between || here > position || c->position > here)
        place_restore(tl, c);
    tl->pace.interrupted = false;
    return run_retrace(tl, position);
}

void replica_destroy(struct timeline *tl)
{
    if (!tl)
        return;
    place_finish(tl);
    env_finish(tl);
    if (tl->placement.segment)
        checkpoint_release(tl->placement.segment);
    checkpoint_seat_destroy(tl->seat);
    if (tl->log)
        event_log_share(tl->log, false);
    machine_destroy(tl->m);
    free(tl);
}
