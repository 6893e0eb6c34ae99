/*
 * The monitor's commands that look at displays over a stretch of history: films of pictures, and when a text came onto the screen
 * or out of a port.
 *
 * A film goes from place to place, writes what is shown there, and comes back. A place is a position, or a virtual time: that is the
 * first position at or after it.
 *
 * A text comes onto the screen in a step: a write to the memory that holds characters, or an access to the display. These are what
 * the query (replay/query.h) looks at, so the answer is exact. On forward, beyond the live edge, the guest runs some way, and that way
 * is searched. Only displays with a text mode have text: what is drawn as graphics is not read.
 */
#include "server_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "picture.h"
#include "server_query.h"
#include "vm/dev/display.h"

#define WAIT_STEPS      20000000u  /* on live, between two searches: at first, */
#define WAIT_STEPS_MOST 320000000u /* and at most */
#define TEXT_MOST       1024u      /* bytes that are looked for */
#define PICTURES_MOST   10000u     /* of a film, without the word force */

/* ---- places ---- */

/* Where a monitor command stands in the end is where it stood. */
static void go_home(struct server *s, icount_t home)
{
    struct timeline_stop back;

    s->finishing = true;
    timeline_seek(s->timeline, home, &back);
    s->finishing = false;
}

/* 0, or a negative errno: why the guest did not come there. */
static int go(struct server *s, icount_t position, struct error *err)
{
    struct timeline_stop stop;

    timeline_seek(s->timeline, position, &stop);
    switch (stop.reason) {
    case TIMELINE_SEEK_DONE:
        return 0;
    case TIMELINE_INTERRUPTED:
        return error_set(err, -EINTR, "interrupted");
    case TIMELINE_DIVERGED:
        return error_set(err, -EIO, "the replay is not what happened (monitor info replay)");
    default:
        return error_set(err, -ERANGE, "history ends at position %" PRIu64, timeline_position(s->timeline));
    }
}

static bool parse_time(const char *text, uint64_t *ns)
{
    bool unit;

    return server_parse_time(text, ns, &unit) && unit;
}

/* A place, as it was said. */
struct place_said {
    bool timed;
    uint64_t value; /* a position, or ns of virtual time */
};

static int take_place(struct rsp_monitor_call *call, const char *word, struct place_said *p, struct error *err)
{
    p->timed = parse_time(word, &p->value);
    if (p->timed || rsp_parse_position(call->session, word, &p->value))
        return 0;
    return error_set(err, -EINVAL, "'%s' is no position (a number, start, end, +N, -N) and no virtual time (1.5s, 200ms)", word);
}

/* The last checkpoint before that time, and the first that is not; the edge bounds it. */
static void bracket(const struct server *s, vtime_t t, icount_t *low, icount_t *high)
{
    const struct checkpoint_store *store = timeline_checkpoints(s->timeline);

    *low = timeline_first(s->timeline);
    *high = timeline_edge(s->timeline);
    for (size_t n = 0; n < checkpoint_count(store); n++) {
        const struct checkpoint *c = checkpoint_nth(store, n);

        if (c->vtime < t && c->position > *low)
            *low = c->position;
        if (c->vtime >= t && c->position < *high)
            *high = c->position;
    }
}

/* Go to the first position whose virtual time is `t` or later. */
static int go_to_time(struct server *s, vtime_t t, struct error *err)
{
    unsigned shift = s->machine->icount_shift;
    icount_t low, high;
    int r;

    bracket(s, t, &low, &high);
    if (timeline_edge_vtime(s->timeline) < t) { /* further than history: each step takes some time */
        low = timeline_edge(s->timeline);
        r = go(s, low, err);
        if (r < 0)
            return r;
        if (machine_now(s->machine) < t) {
            high = low + ((t - machine_now(s->machine)) >> shift) + 1;
            r = go(s, high, err);
            if (r < 0)
                return r;
        }
    }
    /* Before `high` it is too early, or the guest slept: then it lies between. */
    for (icount_t at = high > low ? high - 1 : low; low < high; at = low + (high - low) / 2) {
        icount_t enough;

        r = go(s, at, err);
        if (r < 0)
            return r;
        if (machine_now(s->machine) >= t) {
            high = at;
            continue;
        }
        low = at + 1;
        enough = at + ((t - machine_now(s->machine)) >> shift) + 1;
        if (enough < high)
            high = enough;
    }
    return go(s, high, err);
}

static int go_to_place(struct server *s, const struct place_said *p, struct error *err)
{
    return p->timed ? go_to_time(s, p->value, err) : go(s, p->value, err);
}

/* ---- films ---- */

struct film {
    struct place_said from, to, every;
    const char *directory;
    bool force;
    icount_t first, last;    /* positions of `from` and `to`; */
    vtime_t first_ns, last_ns; /* and when they are */
    unsigned pictures, blank;
};

static int take_film(struct rsp_monitor_call *call, struct film *f, struct error *err)
{
    const char *every = call->argv[2].text;

    f->directory = call->argv[3].text;
    if (call->argc > 4) {
        f->force = !strcmp(call->argv[4].text, "force");
        if (!f->force)
            return error_set(err, -EINVAL, "'%s' means nothing here: there is force", call->argv[4].text);
    }
    if (take_place(call, call->argv[0].text, &f->from, err) < 0 || take_place(call, call->argv[1].text, &f->to, err) < 0)
        return -EINVAL;
    f->every.timed = parse_time(every, &f->every.value);
    if (!f->every.timed && (strchr("+-", *every) || !rsp_parse_number(every, &f->every.value)))
        f->every.value = 0;
    return f->every.value ? 0 : error_set(err, -EINVAL, "'%s': a picture each so many steps (20M) or so much virtual time (40ms)", every);
}

/* Picture `n`'s place. */
static struct place_said place_of(const struct film *f, uint64_t n)
{
    struct place_said p = {.timed = f->every.timed};

    p.value = (f->every.timed ? f->first_ns : f->first) + n * f->every.value;
    return p;
}

static int take_picture(struct server *s, struct film *f, struct error *err)
{
    char path[4096];
    int r;

    if ((size_t)snprintf(path, sizeof(path), "%s/%06u.png", f->directory, f->pictures) >= sizeof(path))
        return error_set(err, -ENAMETOOLONG, "%.40s...: too long a name", f->directory);
    r = server_write_picture(s, path, f->force, err);
    if (r == -ENODATA) {
        f->blank++; /* the display was not set up yet: there is nothing to draw */
        return 0;
    }
    f->pictures += r == 0;
    return r;
}

static int make_film(struct server *s, struct film *f, struct error *err)
{
    uint64_t count;
    int r = go_to_place(s, &f->to, err);

    if (r < 0)
        return r;
    f->last = timeline_position(s->timeline);
    f->last_ns = machine_now(s->machine);
    r = go_to_place(s, &f->from, err);
    if (r < 0)
        return r;
    f->first = timeline_position(s->timeline);
    f->first_ns = machine_now(s->machine);
    if (f->first > f->last)
        return error_set(err, -EINVAL, "position %" PRIu64 " is after %" PRIu64, f->first, f->last);
    count = (f->every.timed ? f->last_ns - f->first_ns : f->last - f->first) / f->every.value + 1;
    if (count > PICTURES_MOST && !f->force)
        return error_set(err, -E2BIG, "%" PRIu64 " pictures are more than %u: say a longer EVERY, or the word force after DIR", count, PICTURES_MOST);
    r = host_output_directory(f->directory, err);
    if (r < 0)
        return r;
    for (uint64_t n = 0;; n++) {
        struct place_said p = place_of(f, n);

        if (p.timed ? false : p.value > f->last)
            return 0;
        r = go_to_place(s, &p, err);
        if (r == -ERANGE && n)
            return 0; /* time's end */
        if (r < 0)
            return r;
        if (timeline_position(s->timeline) > f->last)
            return 0;
        r = take_picture(s, f, err);
        if (r < 0)
            return r;
        server_show_search(s, timeline_position(s->timeline) - f->first, f->last - f->first);
        if (server_interrupted(s))
            return error_set(err, -EINTR, "interrupted");
    }
}

int monitor_screenshots(struct rsp_monitor_call *call, struct error *err)
{
    struct server *s = call->ctx;
    struct film f = {.pictures = 0};
    icount_t home = timeline_position(s->timeline);
    int r = take_film(call, &f, err);

    if (r == 0 && !display_find(s->machine, NULL, err))
        r = -ENODEV;
    if (r < 0)
        return r;
    server_begin_search(s);
    r = make_film(s, &f, err);
    go_home(s, home);
    server_end_search(s);
    if (r < 0 && r != -EINTR)
        return r;
    buffer_printf(call->out, "%s%s: %u pictures, 000000.png and so on, of positions %" PRIu64 " to %" PRIu64 "\n",
                  r < 0 ? "interrupted; " : "", f.directory, f.pictures, f.first, f.last);
    if (f.blank)
        buffer_printf(call->out, "at %u other places the display showed nothing\n", f.blank);
    return 0;
}

/* ---- text on the screen ---- */

/* A debugger cannot interrupt a monitor command: so it ends by itself. */
#define USUAL_LIMIT "30s"

struct wanted {
    struct asked a;          /* first: as queries have it; only its server and its call are used */
    char text[TEXT_MOST];
    struct trap traps[DISPLAY_TEXT_AREAS];
    unsigned ntraps;
    const char *display;     /* its name */
    bool found;
    icount_t position;       /* where it is there, if found */
    uint64_t limit;          /* steps, or ns; 0: none */
    bool limit_timed, back;
};

/* Is it on the screen of that machine? Within a line. */
static bool is_shown(const struct wanted *w, const struct machine *m)
{
    struct error err = {0};
    struct buffer b;
    bool shown;

    buffer_init(&b);
    shown = display_read(m, w->display, 0, &b, &err) == 0;
    buffer_append_byte(&b, 0);
    shown = shown && strstr((const char *)b.data, w->text);
    buffer_finish(&b);
    return shown;
}

static bool note_shown(void *ctx, struct machine *m, const struct trap_hit *hit, void *record)
{
    const struct wanted *w = ctx;

    (void)record;
    if ((hit->kind == TRAP_IO_WRITE || hit->kind == TRAP_IO_READ) && (!hit->writer || strcmp(hit->writer, w->display)))
        return false;
    return is_shown(w, m);
}

static bool take_shown(void *ctx, icount_t position, const void *record)
{
    struct wanted *w = ctx;

    (void)record;
    w->found = true;
    w->position = position + 1; /* after the step */
    return false;
}

/* An option behind a text without quotes; NULL: there is none. */
static const char *option_after(const char *text)
{
    static const char *const options[] = {"--limit", "--back"};

    for (unsigned i = 0; i < ARRAY_LEN(options); i++) {
        const char *at = strstr(text, options[i]);
        size_t len = strlen(options[i]);

        if (at && at > text && at[-1] == ' ' && (!at[len] || at[len] == ' '))
            return options[i];
    }
    return NULL;
}

/* [--back] [--limit N] TEXT, or "TEXT" [N]. With --back, all of history is searched: there is no N. */
static int take_text(struct rsp_monitor_call *call, struct wanted *w, struct error *err)
{
    const char *line = call->argv[0].text, *end, *limit = NULL;
    char word[64], after[64];
    size_t len;

    for (;;) {
        line += strspn(line, " ");
        if (!strncmp(line, "--back ", 7)) {
            w->back = true;
            line += 7;
        } else if (sscanf(line, "--limit %63s", word) == 1) {
            limit = word;
            line += 8 + strspn(line + 8, " ") + strlen(word);
        } else {
            break;
        }
    }
    end = line + strlen(line);
    while (end > line && end[-1] == ' ')
        end--;
    if (*line == '"' && (end = strrchr(line, '"')) != line) {
        int used = 0;

        if (sscanf(end + 1, "%63s%n", after, &used) == 1) {
            if (limit || strspn(end + 1 + used, " ") < strlen(end + 1 + used))
                return error_set(err, -EINVAL, "'%s': behind \"TEXT\" there is one limit at most", end + 1);
            limit = after;
        }
        line++;
    } else if (option_after(line)) {
        return error_set(err, -EINVAL, "%s stands before TEXT (as a part of it: write \"TEXT\")", option_after(line));
    }
    len = (size_t)(end - line);
    if (!len || len >= sizeof(w->text) || strspn(line, " ") >= len)
        return error_set(err, -EINVAL, "a text of 1 to %u bytes is missing", TEXT_MOST - 1);
    memcpy(w->text, line, len);
    w->text[len] = 0;
    if (limit && w->back)
        return error_set(err, -EINVAL, "'%s': all of history is searched, without a limit", limit);
    if (!limit && !w->back)
        limit = USUAL_LIMIT;
    if (!limit)
        return 0;
    w->limit_timed = parse_time(limit, &w->limit);
    if (!w->limit_timed && !rsp_parse_number(limit, &w->limit))
        w->limit = 0;
    return w->limit ? 0 : error_set(err, -EINVAL, "'%s': a limit is a number of steps (100M) or virtual time (5s)", limit);
}

/* The first display that has text. */
static int find_text_display(const struct machine *m, struct wanted *w, struct error *err)
{
    struct display_pages areas[DISPLAY_TEXT_AREAS];

    for (unsigned i = 0; i < m->ndevices && !w->display; i++)
        if (m->devices[i]->ops->display && m->devices[i]->ops->display->text) {
            w->display = m->devices[i]->name;
            w->ntraps = m->devices[i]->ops->display->text_pages(m->devices[i], areas);
        }
    if (!w->display)
        return error_set(err, -ENODEV, "this machine has no display with a text mode: what is drawn as graphics is not read "
                         "(console-find searches what came out of serial ports)");
    for (unsigned i = 0; i < w->ntraps; i++)
        w->traps[i] = (struct trap){.address = traps_storage_at(&m->memory.pages, (uint64_t)areas[i].first << PAGE_SHIFT),
                                    .len = (uint64_t)areas[i].count << PAGE_SHIFT, .kinds = TRAP_WRITE, .storage = true};
    return 0;
}

static void show_progress(void *ctx, uint64_t done, uint64_t all)
{
    server_show_search(((const struct wanted *)ctx)->a.s, done, all);
}

/* When it first is on the screen in these positions. */
static int search(struct wanted *w, icount_t from, icount_t to, struct error *err)
{
    struct query q = {.from = from, .to = to, .limit = 1, .traps = w->traps, .ntraps = w->ntraps,
                      .notes = TRAP_IO_READ | TRAP_IO_WRITE, .ctx = w, .note = note_shown, .answer = take_shown, .progress = show_progress};
    struct query_result result;
    struct timeline *tl = w->a.s->timeline;
    struct machine *m = timeline_scout(tl, 0, err);
    int r = m ? timeline_scout_to(tl, from, err) : err->code;

    if (r < 0)
        return r;
    if (is_shown(w, m)) {
        w->found = true;
        w->position = from;
        return 0;
    }
    r = from < to ? timeline_query(tl, &q, &result, err) : 0;
    if (r == 0 && from < to && result.end == QUERY_INTERRUPTED)
        return error_set(err, -EINTR, "interrupted");
    return r;
}

/* Let the guest run on, and search what it did, until it is there or the limit is. */
static int search_on(struct wanted *w, struct error *err)
{
    struct server *s = w->a.s;
    icount_t home = timeline_position(s->timeline), from = home, steps = WAIT_STEPS;
    icount_t to = w->limit && !w->limit_timed && w->limit < ICOUNT_MAX - home ? home + w->limit : ICOUNT_MAX;
    vtime_t until = w->limit_timed ? machine_now(s->machine) + w->limit : VTIME_NEVER;
    int r = 0;

    if (w->limit_timed) {
        r = go_to_time(s, until, err);
        if (r < 0 && r != -ERANGE)
            return r;
        to = timeline_position(s->timeline);
    }
    for (bool more = true; r == 0 && more && !w->found;) {
        icount_t edge = timeline_edge(s->timeline), next = edge > from ? edge : edge + steps;

        next = next < to ? next : to;
        if (next > edge) {
            r = go(s, next, err);
            more = r != -ERANGE; /* the guest has ended */
            next = timeline_position(s->timeline);
            if (r < 0 && r != -ERANGE)
                return r;
        }
        r = search(w, from, next, err);
        from = next;
        more = more && next < to;
        steps = steps < WAIT_STEPS_MOST ? steps * 2 : steps;
    }
    return r == -ERANGE ? 0 : r;
}

/* What came of it; the next continue goes there. */
static int tell_place(struct rsp_monitor_call *call, const struct wanted *w, const char *what)
{
    const struct server *s = call->ctx;

    if (!w->found) {
        buffer_printf(call->out, "'%s' was not %s\n", w->text, what);
        return 0;
    }
    if (w->position == timeline_position(s->timeline)) {
        buffer_printf(call->out, "'%s' is there at this position, %" PRIu64 "\n", w->text, w->position);
        return 0;
    }
    rsp_arm_seek(call->session, w->position);
    buffer_printf(call->out, "'%s' is there from position %" PRIu64 " on; the next continue or reverse-continue goes there\n", w->text,
                  w->position);
    return 0;
}

static int find_on_screen(struct rsp_monitor_call *call, bool back, struct error *err)
{
    struct server *s = call->ctx;
    struct wanted w = {.a = {.s = s, .call = call}, .back = back};
    icount_t home = timeline_position(s->timeline);
    int r = take_text(call, &w, err);

    if (r == 0)
        r = find_text_display(s->machine, &w, err);
    if (r < 0)
        return r;
    server_begin_search(s);
    r = w.back ? search(&w, timeline_first(s->timeline), timeline_edge(s->timeline), err) : search_on(&w, err);
    go_home(s, home);
    server_end_search(s);
    return r < 0 ? r : tell_place(call, &w, w.back ? "on the screen, as far as history reaches (text modes are searched, no graphics)"
                                                   : "on the screen on that way (text modes are searched, no graphics)");
}

int monitor_screen_wait(struct rsp_monitor_call *call, struct error *err)
{
    return find_on_screen(call, false, err);
}

int monitor_screen_first(struct rsp_monitor_call *call, struct error *err)
{
    return find_on_screen(call, true, err);
}

/* ---- text out of ports ---- */

/* A device's output as far as it agrees with the text (Knuth, Morris and Pratt). */
struct heard {
    struct wanted w;
    size_t fail[TEXT_MOST];
    size_t len;
    size_t at[MACHINE_MAX_DEVICES];
};

struct spoken {
    uint32_t device, len;
    uint8_t bytes[TRAP_BYTES];
};

static bool note_output(void *ctx, struct machine *m, const struct trap_hit *hit, void *record)
{
    struct spoken *said = record;

    (void)ctx;
    if (m->devices[hit->number]->backend_kind == BACKEND_NETDEV)
        return false;
    said->device = (uint32_t)hit->number;
    said->len = (uint32_t)hit->len;
    memcpy(said->bytes, hit->before, TRAP_BYTES);
    return true;
}

static bool take_output(void *ctx, icount_t position, const void *record)
{
    struct heard *h = ctx;
    const struct spoken *said = record;
    size_t *at = &h->at[said->device];

    for (uint32_t i = 0; i < said->len; i++) {
        while (*at && (uint8_t)h->w.text[*at] != said->bytes[i])
            *at = h->fail[*at - 1];
        *at += (uint8_t)h->w.text[*at] == said->bytes[i];
        if (*at == h->len) {
            h->w.display = h->w.a.s->machine->devices[said->device]->name;
            h->w.found = true;
            h->w.position = position + 1;
            return false;
        }
    }
    return true;
}

static void prepare(struct heard *h)
{
    size_t k = 0;

    h->len = strlen(h->w.text);
    for (size_t i = 1; i < h->len; i++) {
        while (k && h->w.text[i] != h->w.text[k])
            k = h->fail[k - 1];
        k += h->w.text[i] == h->w.text[k];
        h->fail[i] = k;
    }
}

int monitor_console_find(struct rsp_monitor_call *call, struct error *err)
{
    struct server *s = call->ctx;
    struct heard *h = xcalloc(1, sizeof(*h));
    struct query q = {.to = timeline_edge(s->timeline), .notes = TRAP_OUTPUT, .record_bytes = sizeof(struct spoken), .ctx = h,
                      .note = note_output, .answer = take_output, .progress = show_progress};
    struct query_result result;
    int r;

    h->w.a.s = s;
    h->w.a.call = call;
    h->w.back = true;
    r = take_text(call, &h->w, err);
    if (r == 0) {
        prepare(h);
        server_begin_search(s);
        r = timeline_query(s->timeline, &q, &result, err);
        server_end_search(s);
    }
    if (r == 0 && result.end == QUERY_INTERRUPTED)
        r = error_set(err, -EINTR, "interrupted");
    if (r == 0 && h->w.found)
        buffer_printf(call->out, "out of %s: ", h->w.display);
    if (r == 0)
        r = tell_place(call, &h->w, "put out by any port, as far as history reaches");
    free(h);
    return r;
}
