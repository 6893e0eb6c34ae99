/*
 * Branches for the debugger (replay/branches.c; doc/branches.md): the monitor's words, going from one to another, what the
 * guest puts out on one.
 *
 * To go to another branch is a seek: a monitor command cannot tell gdb that the guest is another one now, so `branch switch`
 * and `branch drop` arm, and the next continue goes. A branch that nobody stands on is dropped at once; one that is begun
 * has the state that is there.
 *
 * Output. What the guest puts out on a branch did not happen: it goes to no back end and no network. What comes out of ports
 * is shown to the debugger, in lines that say where it comes from. Once the branch is live, it goes where it always goes.
 */
#include "server_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define LINE_MOST 200u

static struct server *server_of(struct rsp_monitor_call *call)
{
    return call->ctx;
}

/* ---- what they are called ---- */

/* "the trunk", "branch 'try'", "branch 3". */
static void name_of(const struct timeline_branch *b, char *text, size_t size)
{
    if (!b->id)
        snprintf(text, size, "the trunk");
    else if (b->name)
        snprintf(text, size, "branch '%s'", b->name);
    else
        snprintf(text, size, "branch %u", b->id);
}

/* False: there is none of that number. */
static bool branch_of(const struct server *s, unsigned id, struct timeline_branch *out)
{
    struct timeline_branch list[TIMELINE_BRANCHES];
    size_t n = timeline_branches(s->timeline, list);

    for (size_t i = 0; i < n; i++) {
        if (list[i].id != id)
            continue;
        *out = list[i];
        return true;
    }
    return false;
}

void server_branch_text(const struct server *s, char *text, size_t size)
{
    struct timeline_branch b;

    if (branch_of(s, timeline_branch(s->timeline), &b))
        name_of(&b, text, size);
}

void server_branch_describe(const struct server *s, struct buffer *out)
{
    struct timeline_branch b, parent;
    char name[SERVER_BRANCH_TEXT], from[SERVER_BRANCH_TEXT];

    if (!branch_of(s, timeline_branch(s->timeline), &b) || !b.id || !branch_of(s, b.parent, &parent))
        return;
    name_of(&b, name, sizeof(name));
    name_of(&parent, from, sizeof(from));
    buffer_printf(out, "on %s, which leaves %s at position %" PRIu64 "%s%s\n", name, from, b.fork, b.live ? "; live" : "",
                  b.position < b.fork ? "; this position is before that, and is shared" : "");
}

/* ---- a branch that comes to be ---- */

void server_branch_noticed(struct server *s, unsigned before)
{
    struct timeline_branch b, parent;
    char name[SERVER_BRANCH_TEXT], from[SERVER_BRANCH_TEXT], text[240];

    if (timeline_branch(s->timeline) == before || !branch_of(s, timeline_branch(s->timeline), &b) ||
        !branch_of(s, b.parent, &parent))
        return;
    name_of(&b, name, sizeof(name));
    name_of(&parent, from, sizeof(from));
    snprintf(text, sizeof(text), "%s begins here, at position %" PRIu64 "; %s is what it was (monitor branch drop goes back to it)",
             name, b.fork, from);
    server_tell(s, text);
}

/* ---- going to another ---- */

int server_branch_arm(struct rsp_monitor_call *call, unsigned id, bool drop, icount_t position, struct error *err)
{
    struct server *s = server_of(call);
    struct timeline_branch b;
    char name[SERVER_BRANCH_TEXT], from[SERVER_BRANCH_TEXT], what[RSP_ARMED_TEXT];

    if (!branch_of(s, id, &b))
        return error_set(err, -ENOENT, "there is no branch %u", id);
    name_of(&b, name, sizeof(name));
    server_branch_text(s, from, sizeof(from));
    snprintf(what, sizeof(what), drop ? "drop of %s" : "switch to %s", drop ? from : name);
    rsp_arm_move(call->session, position, what);
    s->move = (struct server_move){.branch = id, .drop = drop, .from = timeline_branch(s->timeline)};
    buffer_printf(call->out, "the next continue or reverse-continue goes to %s, position %" PRIu64 "\n", name, position);
    return 0;
}

bool server_branch_armed(const struct server *s, const struct rsp_session *session, char *text, size_t size)
{
    struct timeline_branch b;

    if (!rsp_armed_move(session) || !branch_of(s, s->move.branch, &b))
        return false;
    name_of(&b, text, size);
    return true;
}

int server_branch_move(struct server *s, struct error *err)
{
    struct timeline *tl = s->timeline;
    char name[SERVER_BRANCH_TEXT];
    int r;

    /* (Something may have been written since that was armed.) */
    if (s->move.drop && timeline_branch(tl) != s->move.from)
        return error_set(err, -EINVAL, "another branch has begun since: say again which one is to be dropped");
    r = s->move.drop ? timeline_branch_drop(tl, s->move.from, err) : timeline_branch_use(tl, s->move.branch, err);
    if (r < 0)
        return r;
    server_branch_flush(s);
    server_branch_text(s, name, sizeof(name));
    snprintf(s->moved, sizeof(s->moved), "this is %s now", name);
    return 0;
}

void server_branch_leave(struct server *s)
{
    char name[SERVER_BRANCH_TEXT];

    if (!timeline_branch(s->timeline))
        return;
    server_branch_text(s, name, sizeof(name));
    timeline_branch_use(s->timeline, 0, NULL);
    server_say(s, "%s is left; this is the trunk again, at position %" PRIu64, name, timeline_position(s->timeline));
}

/* ---- output ---- */

void server_branch_flush(struct server *s)
{
    if (!s->branch_line.len)
        return;
    if (s->branch_line.data[s->branch_line.len - 1] != '\n')
        buffer_append_byte(&s->branch_line, '\n');
    server_to_debugger(s, s->branch_line.data, s->branch_line.len);
    buffer_clear(&s->branch_line);
}

void server_branch_output(struct server *s, const struct device *dev, const void *buf, size_t len)
{
    const uint8_t *bytes = buf;
    bool port = false;

    for (unsigned i = 0; i < s->nports; i++)
        port |= s->ports[i].dev == dev;
    for (size_t i = 0; port && i < len; i++) {
        if (bytes[i] == '\r')
            continue;
        if (!s->branch_line.len) {
            char name[SERVER_BRANCH_TEXT];

            server_branch_text(s, name, sizeof(name));
            buffer_printf(&s->branch_line, "[%s] ", name);
        }
        buffer_append_byte(&s->branch_line, bytes[i]);
        if (bytes[i] == '\n' || s->branch_line.len > LINE_MOST)
            server_branch_flush(s);
    }
}

/* ---- the monitor's words ---- */

static void list_branch(const struct timeline_branch *b, struct buffer *out)
{
    buffer_printf(out, "branch=%u name=%s parent=%u fork=%" PRIu64 " end=%" PRIu64 " at=%" PRIu64 " events=%" PRIu64
                  " forks=%u live=%d current=%d\n", b->id, b->name ? b->name : "-", b->parent, b->fork, b->edge, b->position,
                  b->events, b->forks, b->live, b->current);
}

int monitor_branch_list(struct rsp_monitor_call *call, struct error *err)
{
    struct timeline_branch list[TIMELINE_BRANCHES];
    size_t n = timeline_branches(server_of(call)->timeline, list);

    (void)err;
    for (size_t i = 0; i < n; i++)
        list_branch(&list[i], call->out);
    return 0;
}

/* No name: where are we? A branch without a name gets it, else one is begun. */
int monitor_branch(struct rsp_monitor_call *call, struct error *err)
{
    struct server *s = server_of(call);
    struct timeline_branch b;
    char name[SERVER_BRANCH_TEXT];
    int r;

    branch_of(s, timeline_branch(s->timeline), &b);
    if (!call->argc) {
        if (b.id)
            server_branch_describe(s, call->out);
        else
            buffer_printf(call->out, "on the trunk\n");
        return 0;
    }
    if (b.id && !b.name) {
        r = timeline_branch_name(s->timeline, call->argv[0].text, err);
        if (r == 0)
            buffer_printf(call->out, "branch %u is called '%s'\n", b.id, call->argv[0].text);
    } else {
        r = timeline_branch_make(s->timeline, call->argv[0].text, err);
        server_branch_text(s, name, sizeof(name));
        if (r == 0)
            buffer_printf(call->out, "%s begins here, at position %" PRIu64 "\n", name, timeline_position(s->timeline));
    }
    if (r == 0)
        server_record_update(s, true);
    return r;
}

int monitor_branch_switch(struct rsp_monitor_call *call, struct error *err)
{
    struct server *s = server_of(call);
    struct timeline_branch b;
    unsigned id;
    int r = timeline_branch_find(s->timeline, call->argv[0].text, &id, err);

    if (r < 0)
        return r;
    branch_of(s, id, &b);
    return server_branch_arm(call, id, false, b.position, err);
}

int monitor_branch_drop(struct rsp_monitor_call *call, struct error *err)
{
    struct server *s = server_of(call);
    unsigned id = timeline_branch(s->timeline);
    struct timeline_branch b;
    int r = call->argc ? timeline_branch_find(s->timeline, call->argv[0].text, &id, err) : 0;

    if (r < 0)
        return r;
    branch_of(s, id, &b);
    if (b.current && b.id && !b.forks)
        return server_branch_arm(call, b.parent, true, b.position < b.fork ? b.position : b.fork, err);
    r = timeline_branch_drop(s->timeline, id, err);
    if (r < 0)
        return r;
    if (rsp_armed_move(call->session) && s->move.branch == id)
        rsp_disarm_seek(call->session, "by its drop");
    server_record_update(s, true);
    return 0;
}

int monitor_branch_live(struct rsp_monitor_call *call, struct error *err)
{
    struct server *s = server_of(call);
    char name[SERVER_BRANCH_TEXT];
    int r = timeline_branch_live(s->timeline, err);

    if (r < 0)
        return r;
    server_branch_flush(s);
    server_net_reset_connections(s);
    server_tpm_resume(s);
    server_usb_lose(s);
    server_branch_text(s, name, sizeof(name));
    buffer_printf(call->out, "%s is live: from its end on, input, output, network, files and clock are the host's\n", name);
    return 0;
}
