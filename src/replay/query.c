/*
 * Queries, and the crew of replicas that works on them. See query.h.
 *
 * The stretch is cut into jobs: some neighbouring segments between checkpoints that have to be run. Workers take
 * jobs in the order in which answers are wanted, not further ahead of what was answered than the crew can
 * remember. A job keeps what it found until all before it were answered. One that finds more than it may keep gives back
 * what it has (the oldest, or the newest hits, as wanted), and the rest of its stretch is done again
 * as a job of its own, when its turn has come.
 *
 * The caller's thread gives answers out, looks at the host (timeline_host.poll) and thins checkpoints when all is done.
 */
#include "replay/query.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buffer.h"
#include "replay/timeline_internal.h"

#define JOB_STEPS    (UINT64_C(1) << 23) /* segments are put together up to so many steps */
#define JOB_BYTES    ((size_t)8 << 20)   /* kept of a job's hits */
#define JOB_RECORDS  4096u               /* at least so many */
#define AHEAD        4u                  /* jobs in work and waiting to be answered, for each worker */
#define WAIT_NS      5000000             /* the caller's thread looks at the host this often */

enum job_state { JOB_OPEN, JOB_TAKEN, JOB_DONE };

struct job {
    icount_t from, to;
    enum job_state state;
    /* Done: hits of [known_from, known_to), a part of it that is at the end which is wanted first. */
    icount_t known_from, known_to;
    uint8_t *records;     /* position, then record, one after the other, in order of position */
    size_t count, cap;
    enum run_end end;
};

struct worker {
    struct crew *crew;
    struct timeline *tl;  /* its replica */
    struct timeline_host host;
    pthread_t thread;
    bool running;
    bool lost;            /* checkpoints came and went since it ran */
    struct job *job;
    struct page_set ran;  /* for query.coverage */
    icount_t exec_told;   /* the execution hit at this position was noted */
};

struct crew {
    struct timeline *leader;
    struct query_means means;
    struct worker *workers;
    unsigned nworkers;    /* that have a replica */
    pthread_mutex_t lock; /* of all that follows */
    pthread_cond_t opened, done;
    const struct query *q;
    size_t slot;          /* bytes of a record with its position */
    size_t most;          /* records that a job may keep */
    struct job *jobs;
    size_t njobs, next, answered; /* in order; the first that may be open; the first that was not answered */
    unsigned scout;       /* the worker that looks around for the caller */
    bool quit;            /* no more jobs; those in work are to be given up */
};

/* ---- hits ---- */

static uint8_t *nth(const struct crew *k, const struct job *j, size_t n)
{
    return j->records + n * k->slot;
}

static icount_t position_of(const struct crew *k, const struct job *j, size_t n)
{
    icount_t position;

    memcpy(&position, nth(k, j, n), sizeof(position));
    return position;
}

/* There are twice as many as may be kept: the oldest go, all of a position or none, and never those of the newest. */
static void forget_oldest(const struct crew *k, struct job *j)
{
    size_t first = j->count - k->most;
    icount_t cut = position_of(k, j, first - 1);

    if (cut == position_of(k, j, j->count - 1)) {
        while (first && position_of(k, j, first - 1) == cut)
            first--;
        if (!first)
            return;
        j->known_from = cut;
    } else {
        while (position_of(k, j, first) == cut)
            first++;
        j->known_from = cut + 1;
    }
    j->count -= first;
    memmove(j->records, nth(k, j, first), j->count * k->slot);
}

/* Room for one more. */
static uint8_t *add_record(const struct crew *k, struct job *j)
{
    if (j->count == j->cap) {
        j->cap = j->cap ? j->cap * 2 : 64;
        j->records = xrealloc(j->records, j->cap * k->slot);
    }
    return nth(k, j, j->count++);
}

/* struct traps.hit of a replica's machine. True: no more. */
static bool on_hit(void *ctx, const struct trap_hit *hit)
{
    struct worker *w = ctx;
    const struct crew *k = w->crew;
    struct job *j = w->job;
    uint8_t *slot;

    if (!j || hit->position < j->from || hit->position >= j->to)
        return false;
    if (hit->kind == TRAP_EXEC) {
        if (w->exec_told == hit->position)
            return false;
        w->exec_told = hit->position;
    }
    if (hit->position >= j->known_to)
        return true;
    slot = add_record(k, j);
    memcpy(slot, &hit->position, sizeof(hit->position));
    memset(slot + sizeof(hit->position), 0, k->q->record_bytes);
    if (!k->q->note(k->q->ctx, w->tl->m, hit, slot + sizeof(hit->position)))
        j->count--;
    if (k->q->newest_first && j->count >= 2 * k->most)
        forget_oldest(k, j);
    /* Enough is known; there may be more hits of this step. */
    if (!k->q->newest_first && j->count >= k->most)
        j->known_to = hit->position + 1;
    return j->known_to <= hit->position + 1 && j->known_to < j->to;
}

/* ---- workers ---- */

static bool worker_poll(void *ctx)
{
    const struct worker *w = ctx;

    return __atomic_load_n(&w->crew->quit, __ATOMIC_RELAXED);
}

static uint64_t worker_now(void *ctx)
{
    const struct query_means *means = &((const struct worker *)ctx)->crew->means;

    return means->now_ns(means->ctx);
}

static uint64_t worker_work(void *ctx)
{
    const struct query_means *means = &((const struct worker *)ctx)->crew->means;

    return means->work_ns ? means->work_ns(means->ctx) : means->now_ns(means->ctx);
}

static int worker_image_read(void *ctx, const struct drive *d, uint64_t offset, void *buf, size_t len)
{
    struct worker *w = ctx;
    const struct timeline_host *host = &w->crew->leader->host;
    int r;

    pthread_mutex_lock(&w->crew->leader->originals.images);
    r = host->image_read ? host->image_read(host->ctx, d, offset, buf, len) : -EIO;
    pthread_mutex_unlock(&w->crew->leader->originals.images);
    return r;
}

/* Stand at a position from which a run comes by `position`, and not far before it. */
static void go_before(struct worker *w, icount_t position)
{
    struct timeline *tl = w->tl;
    struct checkpoint *c = checkpoint_find(tl->store, position);
    icount_t here = tl->m->st->position;

    if (!w->lost && !tl->m->between && here >= c->position && here <= position)
        return;
    w->lost = false;
    place_restore(tl, c);
}

/* The instructions of just these steps. */
static enum run_end cover(struct worker *w, const struct job *j)
{
    enum run_end end = run_to(w->tl, j->from);

    w->tl->m->coverage = &w->ran;
    if (end == RUN_LIMIT)
        end = run_to(w->tl, j->to);
    w->tl->m->coverage = NULL;
    return end;
}

static void do_job(struct worker *w, struct job *j)
{
    j->known_from = j->from;
    j->known_to = j->to;
    w->exec_told = ICOUNT_MAX;
    w->job = NULL;
    go_before(w, j->from);
    w->job = j;
    w->tl->pace.interrupted = false;
    if (w->crew->q->coverage)
        j->end = cover(w, j);
    else
        j->end = run_to(w->tl, j->to);
    w->job = NULL;
    if (j->end != RUN_HIT)
        return;
    j->end = RUN_LIMIT;
    /* Whoever does the rest begins here. */
    if (!w->tl->m->between && checkpoint_has_room(w->tl->store))
        place_checkpoint(w->tl, CHECKPOINT_RUNG);
}

/* Called with the lock. NULL: there is nothing more to do. */
static struct job *take_job(struct crew *k)
{
    for (;;) {
        if (k->quit || k->answered == k->njobs)
            return NULL;
        /* One that was opened again comes first: it is waited for. */
        if (k->jobs[k->answered].state == JOB_OPEN) {
            k->jobs[k->answered].state = JOB_TAKEN;
            return &k->jobs[k->answered];
        }
        while (k->next < k->njobs && k->jobs[k->next].state != JOB_OPEN)
            k->next++;
        if (k->next < k->njobs && k->next < k->answered + AHEAD * k->nworkers) {
            k->jobs[k->next].state = JOB_TAKEN;
            return &k->jobs[k->next++];
        }
        pthread_cond_wait(&k->opened, &k->lock);
    }
}

static void *work(void *arg)
{
    struct worker *w = arg;
    struct crew *k = w->crew;
    struct job *j;

    pthread_mutex_lock(&k->lock);
    while ((j = take_job(k))) {
        pthread_mutex_unlock(&k->lock);
        do_job(w, j);
        pthread_mutex_lock(&k->lock);
        j->state = JOB_DONE;
        pthread_cond_signal(&k->done);
    }
    pthread_mutex_unlock(&k->lock);
    return NULL;
}

/* ---- the crew ---- */

void timeline_set_query_means(struct timeline *tl, const struct query_means *means)
{
    struct crew *k = xcalloc(1, sizeof(*k));
    pthread_condattr_t monotonic;

    CHECK(!tl->crew && means->workers);
    k->leader = tl;
    k->means = *means;
    if (!k->means.job_steps)
        k->means.job_steps = JOB_STEPS;
    k->workers = xcalloc(means->workers, sizeof(k->workers[0]));
    pthread_mutex_init(&k->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&k->opened, NULL);
    pthread_cond_init(&k->done, &monotonic);
    pthread_condattr_destroy(&monotonic);
    tl->crew = k;
}

void crew_destroy(struct crew *k)
{
    if (!k)
        return;
    for (unsigned i = 0; i < k->nworkers; i++)
        replica_destroy(k->workers[i].tl);
    pthread_mutex_destroy(&k->lock);
    pthread_cond_destroy(&k->opened);
    pthread_cond_destroy(&k->done);
    free(k->workers);
    free(k);
}

void crew_rest(struct crew *k)
{
    for (unsigned i = 0; k && i < k->nworkers; i++)
        replica_rest(k->workers[i].tl);
}

/* Have as many replicas as wanted, or as there can be; all know how far history reaches. */
static int muster(struct timeline *tl, unsigned wanted, struct error *err)
{
    struct crew *k = tl->crew;

    if (!k)
        return error_set(err, -ENOTSUP, "there is no second machine to search with");
    for (unsigned i = 0; i < k->nworkers; i++) {
        replica_catch_up(k->workers[i].tl);
        k->workers[i].lost = true;
    }
    while (k->nworkers < wanted && k->nworkers < k->means.workers) {
        struct worker *w = &k->workers[k->nworkers];
        struct machine *m = k->means.make(k->means.ctx, err);

        if (!m)
            return k->nworkers ? 0 : err->code;
        *w = (struct worker){.crew = k};
        w->host = (struct timeline_host){.ctx = w, .now_ns = worker_now, .work_ns = worker_work, .image_read = worker_image_read, .poll = worker_poll};
        w->tl = replica_create(tl, m, &w->host);
        m->traps->hit = on_hit;
        m->traps->ctx = w;
        k->nworkers++;
    }
    return 0;
}

/* ---- what has to be run ---- */

static bool range_concerns(const struct checkpoint *c, enum touched how, const struct trap *t)
{
    uint64_t last = t->address + (t->len ? t->len - 1 : 0);

    return checkpoint_touched(c, how, t->address, last < t->address ? UINT64_MAX : last);
}

static bool concerns(const struct query *q, const struct checkpoint *c)
{
    const struct footprint *f = checkpoint_footprint(c);

    if (q->notes || q->coverage || !f)
        return true;
    for (unsigned i = 0; i < q->ntraps; i++) {
        const struct trap *t = &q->traps[i];

        if (((t->kinds & TRAP_EXEC) && footprint_has_code(f, t->address)) ||
            ((t->kinds & TRAP_WRITE) && range_concerns(c, t->storage ? TOUCHED_STORAGE : TOUCHED_WRITTEN, t)) ||
            ((t->kinds & TRAP_READ) && range_concerns(c, t->storage ? TOUCHED_FETCHED : TOUCHED_READ, t)) ||
            (t->loads && range_concerns(c, TOUCHED_LOADED, t)))
            return true;
    }
    return false;
}

/* Nothing is noted between two checkpoints: what counts it stands still. */
static bool is_quiet(const struct crew *k, const struct checkpoint *from, const struct checkpoint *to)
{
    const struct query *q = k->q;
    uint8_t before[QUERY_COUNTER_BYTES], after[QUERY_COUNTER_BYTES];

    for (unsigned i = 0; to && i < q->ncounters; i++) {
        const struct component *c = q->counters[i];

        CHECK(c->size <= QUERY_COUNTER_BYTES);
        checkpoint_read_arena(k->leader->store, from, c->offset, before, c->size);
        checkpoint_read_arena(k->leader->store, to, c->offset, after, c->size);
        if (memcmp(before, after, c->size) != 0)
            return false;
    }
    return to && q->ncounters;
}

static void add_job(struct crew *k, icount_t from, icount_t to)
{
    struct job *last = k->njobs ? &k->jobs[k->njobs - 1] : NULL;

    if (last && last->to == from && to - last->from <= k->means.job_steps) {
        last->to = to;
        return;
    }
    if (!(k->njobs & 63))
        k->jobs = xrealloc(k->jobs, (k->njobs + 64) * sizeof(k->jobs[0]));
    k->jobs[k->njobs++] = (struct job){.from = from, .to = to};
}

static void plan(struct crew *k, struct query_result *result)
{
    const struct query *q = k->q;
    struct checkpoint_store *store = k->leader->store;
    const struct checkpoint *c = result->from < result->to ? checkpoint_find(store, result->from) : NULL, *next;

    for (; c && c->position < result->to; c = next) {
        icount_t from = c->position > result->from ? c->position : result->from, to;

        next = checkpoint_next(store, c);
        to = next && next->position < result->to ? next->position : result->to;
        if (concerns(q, c) && !is_quiet(k, c, next)) {
            add_job(k, from, to);
            result->run++;
        } else {
            result->skipped++;
        }
    }
    for (size_t i = 0, n = k->njobs; q->newest_first && i < n / 2; i++) {
        struct job j = k->jobs[i];

        k->jobs[i] = k->jobs[n - 1 - i];
        k->jobs[n - 1 - i] = j;
    }
}

/* ---- answering ---- */

/* Give out what a job has. False: enough. */
static bool give(struct crew *k, const struct job *j, struct query_result *result)
{
    const struct query *q = k->q;

    for (size_t i = 0; i < j->count; i++) {
        size_t n = q->newest_first ? j->count - 1 - i : i;

        result->answers++;
        /* That step may have more. */
        if (q->newest_first)
            result->from = position_of(k, j, n) + 1;
        else
            result->to = position_of(k, j, n);
        if (!q->answer(q->ctx, position_of(k, j, n), nth(k, j, n) + sizeof(icount_t)))
            return false;
        if (q->limit && result->answers == q->limit)
            return false;
    }
    return true;
}

/* Answered: go on to the next, or to the rest of this one. */
static void settle_job(struct crew *k, struct job *j)
{
    bool rest = j->known_from > j->from || j->known_to < j->to;

    free(j->records);
    j->records = NULL;
    j->count = j->cap = 0;
    pthread_mutex_lock(&k->lock);
    if (rest) {
        if (k->q->newest_first)
            j->to = j->known_from;
        else
            j->from = j->known_to;
        j->state = JOB_OPEN;
    } else {
        k->answered++;
    }
    pthread_cond_broadcast(&k->opened);
    pthread_mutex_unlock(&k->lock);
}

static uint64_t steps_of(const struct job *jobs, size_t n)
{
    uint64_t steps = 0;

    for (size_t i = 0; i < n; i++)
        steps += jobs[i].to - jobs[i].from;
    return steps;
}

/* Wait a little for the job whose turn it is. True: it is done. */
static bool wait_for(struct crew *k, const struct job *j)
{
    struct timespec until;
    bool is_done;
    uint64_t at = k->means.now_ns(k->means.ctx) + WAIT_NS;

    until.tv_sec = (time_t)(at / 1000000000u);
    until.tv_nsec = (long)(at % 1000000000u);
    pthread_mutex_lock(&k->lock);
    while (j->state != JOB_DONE && pthread_cond_timedwait(&k->done, &k->lock, &until) == 0)
        ;
    is_done = j->state == JOB_DONE;
    pthread_mutex_unlock(&k->lock);
    return is_done;
}

/* Up to where all was searched, if the jobs from `at` on were not. */
static void cut_result(const struct crew *k, struct query_result *result)
{
    const struct job *j = &k->jobs[k->answered];

    if (k->answered == k->njobs || result->end == QUERY_ENOUGH)
        return;
    if (k->q->newest_first)
        result->from = j->to;
    else
        result->to = j->from;
}

static int collect(struct crew *k, struct query_result *result, struct error *err)
{
    const struct timeline_host *host = &k->leader->host;
    const uint64_t all = steps_of(k->jobs, k->njobs);
    const struct query_result whole = *result;

    while (k->answered < k->njobs) {
        struct job *j = &k->jobs[k->answered];

        if (!wait_for(k, j)) {
            if (k->q->progress)
                k->q->progress(k->q->ctx, steps_of(k->jobs, k->answered), all);
        } else if (j->end == RUN_LIMIT) {
            bool more = give(k, j, result);

            if (!more) {
                result->end = QUERY_ENOUGH;
                return 0;
            }
            settle_job(k, j);
        } else if (j->end == RUN_DIVERGED) {
            return error_set(err, -EIO, "the replay is not what happened");
        } else {
            return error_set(err, -EIO, "position %llu of history is not to be reached again", (unsigned long long)j->to);
        }
        if (host->poll && host->poll(host->ctx)) {
            result->from = whole.from;
            result->to = whole.to;
            result->end = QUERY_INTERRUPTED;
            return 0;
        }
    }
    result->end = QUERY_ALL;
    *result = (struct query_result){.end = QUERY_ALL, .answers = result->answers, .from = whole.from, .to = whole.to,
                                    .run = whole.run, .skipped = whole.skipped};
    return 0;
}

static void start_workers(struct crew *k)
{
    sigset_t every, old;

    sigfillset(&every);
    pthread_sigmask(SIG_SETMASK, &every, &old);
    for (unsigned i = 0; i < k->nworkers && i < k->njobs && (!k->q->threads || i < k->q->threads); i++) {
        struct worker *w = &k->workers[i];

        machine_set_traps(w->tl->m, k->q->traps, k->q->ntraps);
        w->tl->m->traps->notes = k->q->notes;
        run_changed(w->tl);
        w->running = pthread_create(&w->thread, NULL, work, w) == 0;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

static void stop_workers(struct crew *k, struct error *err)
{
    pthread_mutex_lock(&k->lock);
    __atomic_store_n(&k->quit, true, __ATOMIC_RELAXED);
    pthread_cond_broadcast(&k->opened);
    pthread_mutex_unlock(&k->lock);
    for (unsigned i = 0; i < k->nworkers; i++) {
        struct worker *w = &k->workers[i];

        if (!w->running)
            continue;
        pthread_join(w->thread, NULL);
        w->running = false;
        /* What it ran last is known, too, when somebody asks again. */
        place_leave(w->tl);
        w->tl->m->traps->notes = 0;
        page_set_seal(&w->ran);
        if (k->q->coverage)
            page_set_join(k->q->coverage, &w->ran);
        page_set_finish(&w->ran);
        if (err->code && w->tl->truth.bad != ICOUNT_MAX)
            error_set(err, err->code, "%s", w->tl->truth.divergence.text);
    }
}

bool timeline_querying(const struct timeline *tl)
{
    return tl->crew && tl->crew->q;
}

int timeline_query(struct timeline *tl, const struct query *q, struct query_result *result, struct error *err)
{
    struct crew *k = tl->crew;
    int r = muster(tl, q->threads ? q->threads : UINT32_MAX, err);

    if (r < 0)
        return r;
    *result = (struct query_result){.from = q->from > tl->first ? q->from : tl->first, .to = q->to < tl->edge ? q->to : tl->edge};
    if (result->from > result->to)
        result->from = result->to;
    k->q = q;
    k->slot = (sizeof(icount_t) + q->record_bytes + 7) & ~(size_t)7;
    k->most = JOB_BYTES / k->slot > JOB_RECORDS ? JOB_BYTES / k->slot : JOB_RECORDS;
    if (k->means.job_records)
        k->most = k->means.job_records;
    if (q->limit && q->limit < k->most)
        k->most = q->limit;
    k->quit = false;
    k->njobs = k->next = k->answered = 0;
    plan(k, result);
    start_workers(k);
    if (k->njobs && !k->workers[0].running)
        r = error_set(err, -EAGAIN, "no thread can be started");
    else
        r = collect(k, result, err);
    if (r == 0)
        cut_result(k, result);
    stop_workers(k, err);
    for (size_t i = 0; i < k->njobs; i++)
        free(k->jobs[i].records);
    free(k->jobs);
    k->jobs = NULL;
    k->q = NULL;
    place_found(tl);
    return r;
}

/* ---- a scout ---- */

static int scout_end(const struct timeline *tl, enum run_end end, struct error *err)
{
    switch (end) {
    case RUN_LIMIT:
        return 0;
    case RUN_INTERRUPTED:
        return error_set(err, -EINTR, "interrupted");
    case RUN_DIVERGED:
        return error_set(err, -EIO, "%s", tl->truth.divergence.text);
    default:
        return error_set(err, -EIO, "history ends at position %llu", (unsigned long long)tl->m->st->position);
    }
}

static bool scout_poll(void *ctx)
{
    const struct timeline_host *host = &((const struct worker *)ctx)->crew->leader->host;

    return host->poll && host->poll(host->ctx);
}

struct machine *timeline_scout(struct timeline *tl, unsigned n, struct error *err)
{
    struct machine *m;

    if (muster(tl, n + 1, err) < 0)
        return NULL;
    if (tl->crew->nworkers <= n) {
        error_set(err, -ENOMEM, "there is no machine to look around with");
        return NULL;
    }
    tl->crew->scout = n;
    m = tl->crew->workers[n].tl->m;
    machine_set_traps(m, NULL, 0);
    m->traps->notes = 0;
    return m;
}

/* `run`: all of the way, and jump over nothing. */
static int scout_go(struct timeline *tl, icount_t position, bool run, struct error *err)
{
    struct worker *w = &tl->crew->workers[tl->crew->scout];
    enum run_end end;

    if (position < tl->first || position > tl->edge)
        return error_set(err, -ERANGE, "history is from position %llu to %llu", (unsigned long long)tl->first,
                         (unsigned long long)tl->edge);
    w->job = NULL;
    w->tl->host.poll = scout_poll;
    if (w->lost)
        go_before(w, position);
    w->tl->pace.interrupted = false;
    end = run ? run_retrace(w->tl, position) : replica_go(w->tl, position);
    w->tl->host.poll = worker_poll;
    return scout_end(w->tl, end, err);
}

int timeline_scout_to(struct timeline *tl, icount_t position, struct error *err)
{
    return scout_go(tl, position, false, err);
}

int timeline_scout_on(struct timeline *tl, struct error *err)
{
    return scout_go(tl, tl->crew->workers[tl->crew->scout].tl->m->st->position + 1, true, err);
}

int timeline_scout_try(struct timeline *tl, void (*act)(void *ctx, struct machine *m), void *ctx, struct error *err)
{
    struct worker *w = &tl->crew->workers[tl->crew->scout];

    w->lost = true;
    w->tl->truth.astray = false;
    act(ctx, w->tl->m);
    if (!w->tl->truth.astray)
        return 0;
    return error_set(err, -EIO, "the world outside would have to answer (%s)", w->tl->truth.divergence.text);
}

void timeline_scouts_compare(struct timeline *tl, void (*page)(void *ctx, uint64_t global), void *ctx)
{
    CHECK(tl->crew && tl->crew->nworkers > 1);
    checkpoint_seats_compare(tl->crew->workers[0].tl->seat, tl->crew->workers[1].tl->seat, page, ctx);
}

void timeline_scout_stand(struct timeline *tl, struct checkpoint *c)
{
    struct worker *w = &tl->crew->workers[tl->crew->scout];

    w->job = NULL;
    w->lost = true;
    place_restore(w->tl, c);
}

int timeline_scout_step(struct timeline *tl, struct error *err)
{
    struct timeline *scout = tl->crew->workers[tl->crew->scout].tl;
    enum run_end end;

    if (scout->m->st->position >= tl->edge)
        return error_set(err, -ERANGE, "history ends at position %llu", (unsigned long long)tl->edge);
    scout->host.poll = scout_poll;
    scout->pace.interrupted = false;
    end = run_step(scout, UINT64_MAX);
    scout->host.poll = worker_poll;
    return scout_end(scout, end, err);
}
