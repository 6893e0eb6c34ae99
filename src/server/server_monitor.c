/*
 * The monitor's commands that concern the machine and its history. `help`, `seek`,
 * `xp`, `reset`, `quit` and a few more are the protocol layer's own (rsp/monitor.c).
 *
 * A monitor command cannot tell gdb that registers changed. So what goes
 * somewhere (seek, replay_seek, loadvm, last) only arms: the next continue, in
 * either direction, goes there and stops with a real stop reply.
 *
 * Adding a command: a handler, and a line in the table at the end.
 */
#include "server_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/hash.h"
#include "host/clock.h"
#include "server_query.h"
#include "vm/dev/keys.h"
#include "vm/dev/usb.h"
#include "vm/dev/virtio_balloon.h"
#include "vm/exec.h"

#define HANDLER(name) static int name(struct rsp_monitor_call *call, struct error *err)

static struct server *server_of(struct rsp_monitor_call *call)
{
    return call->ctx;
}

/* The thread that the debugger has chosen. */
static const struct cpu *selected_cpu(struct rsp_monitor_call *call)
{
    const struct server *s = server_of(call);

    return s->machine->cpus[s->cpu];
}

static const char *arg(const struct rsp_monitor_call *call, unsigned n)
{
    return n < call->argc ? call->argv[n].text : "";
}

/* ---- where we are ---- */

static const char *edge_name(const struct server *s, char *text, size_t size)
{
    char branch[SERVER_BRANCH_TEXT];

    if (timeline_branch(s->timeline)) {
        server_branch_text(s, branch, sizeof(branch));
        snprintf(text, size, "end of %s", branch);
        return text;
    }
    return s->config.replay && !s->config.continue_live ? "end of the recording" : "live edge";
}

static void print_position(struct server *s, struct buffer *out)
{
    icount_t now = timeline_position(s->timeline), edge = timeline_edge(s->timeline);
    char text[SERVER_BRANCH_TEXT + 16];

    buffer_printf(out, "position %" PRIu64 ", virtual time %.9f s, ", now,
                  (double)machine_now(s->machine) / 1e9);
    if (now == edge)
        buffer_printf(out, "at the %s\n", edge_name(s, text, sizeof(text)));
    else
        buffer_printf(out, "%" PRIu64 " before the %s at %" PRIu64 "\n", edge - now, edge_name(s, text, sizeof(text)), edge);
    server_branch_describe(s, out);
}

/* What each CPU does, and has done; the debugger's thread is marked. */
static void print_cpus(const struct server *s, struct buffer *out)
{
    const struct machine *m = s->machine;

    for (unsigned i = 0; i < m->ncpus; i++) {
        const struct cpu *cpu = m->cpus[i];

        buffer_printf(out, "%s CPU #%u: pc=0x%0*" PRIx64 ", %s, %" PRIu64 " steps\n", i == s->cpu ? "*" : " ", i,
                      (int)cpu->ops->address_bits / 4, cpu->ops->pc(cpu), server_cpu_activity(cpu), cpu->share->steps);
    }
}

HANDLER(cmd_info_cpus)
{
    (void)err;
    print_cpus(server_of(call), call->out);
    return 0;
}

HANDLER(cmd_when)
{
    char branch[SERVER_BRANCH_TEXT];
    icount_t armed;

    (void)err;
    print_position(server_of(call), call->out);
    if (server_of(call)->machine->ncpus > 1)
        print_cpus(server_of(call), call->out);
    if (rsp_armed_seek(call->session, &armed) && server_branch_armed(server_of(call), call->session, branch, sizeof(branch)))
        buffer_printf(call->out, "armed: the next continue or reverse-continue goes to %s, position %" PRIu64 "\n", branch, armed);
    else if (rsp_armed_seek(call->session, &armed))
        buffer_printf(call->out, "armed: the next continue or reverse-continue goes to position %" PRIu64 "\n", armed);
    return 0;
}

HANDLER(cmd_info_status)
{
    struct server *s = server_of(call);
    const struct machine *m = s->machine;

    (void)err;
    /* QEMU's words; what the end was is ours. */
    buffer_printf(call->out, "VM status: paused");
    if (m->st->end != GUEST_RUNS) {
        buffer_printf(call->out, " (shutdown): ");
        server_end_text(s, call->out);
    }
    buffer_append_byte(call->out, '\n');
    print_position(s, call->out);
    return 0;
}

HANDLER(cmd_info_replay)
{
    struct server *s = server_of(call);
    struct timeline_stats st;
    const icount_t *breaks;
    size_t n = timeline_replay_breaks(s->timeline, &breaks);
    const char *file = s->recorder ? s->config.record : s->config.replay ? s->config.replay_name : NULL;

    (void)err;
    timeline_stats(s->timeline, &st);
    /* QEMU's line, then what it has not. */
    buffer_printf(call->out, "%s execution %s%s%s: instruction count = %" PRIu64 "\n",
                  timeline_at_edge(s->timeline) && !(s->config.replay && !s->config.continue_live) ? "Recording" : "Replaying",
                  file ? "'" : "", file ? file : "in memory", file ? "'" : "", timeline_position(s->timeline));
    print_position(s, call->out);
    buffer_printf(call->out, "history: %" PRIu64 " to %" PRIu64 ", %" PRIu64 " recorded events (%" PRIu64 " bytes)\n",
                  timeline_first(s->timeline), timeline_edge(s->timeline),
                  event_log_count(timeline_log(s->timeline)), event_log_bytes(timeline_log(s->timeline)));
    buffer_printf(call->out, "steps: %" PRIu64 " live, %" PRIu64 " replayed; processor time running %.3f s, checkpoints %.3f s\n",
                  st.steps_live, st.steps_replayed, (double)st.run_ns / 1e9, (double)st.checkpoint_ns / 1e9);
    buffer_printf(call->out, "reverse searches: %" PRIu64 " segments replayed, %" PRIu64 " skipped by footprint\n",
                  st.segments_replayed, st.segments_skipped);
    if (s->config.replay)
        buffer_printf(call->out, "replaying a recording that ends at position %" PRIu64
                      ": %zu state hashes agreed, the last at %" PRIu64 "\n", s->config.replay->edge,
                      recorder_checks_made(s->checks), recorder_checks_good(s->checks));
    if (timeline_divergence(s->timeline))
        buffer_printf(call->out, "%s\n", timeline_divergence(s->timeline));
    if (s->recorder)
        buffer_printf(call->out, "recording to %s: %" PRIu64 " bytes%s\n", s->config.record, recorder_bytes(s->recorder),
                      s->record_paused ? "; it cannot be written to just now" : "");
    for (size_t i = 0; i < n; i++)
        buffer_printf(call->out, "replay_break at %" PRIu64 "\n", breaks[i]);
    return 0;
}

/* So many lines are read; of more, a list shows both ends. */
#define CHECKPOINTS_SHOWN 20u
#define CHECKPOINTS_FIRST 5u

static void print_checkpoint(const struct checkpoint *c, struct buffer *out)
{
    buffer_printf(out, "%20" PRIu64 "  %.9f s%s%s\n", c->position, (double)c->vtime / 1e9,
                  c->kind == CHECKPOINT_RUNG ? "  near" : "", c->pins ? "  pinned" : "");
}

/* All of them, or what a person wants to see of many. */
static int print_checkpoints(const struct checkpoint_store *store, const char *which, struct buffer *out, struct error *err)
{
    size_t count = checkpoint_count(store), left_out = count > CHECKPOINTS_SHOWN ? count - CHECKPOINTS_SHOWN : 0;

    if (*which && strcmp(which, "all"))
        return error_set(err, -EINVAL, "'%s' means nothing here: there is all", which);
    if (*which)
        left_out = 0;
    for (size_t n = 0; n < count; n++) {
        if (n == CHECKPOINTS_FIRST && left_out) {
            icount_t from = checkpoint_nth(store, n)->position, to = checkpoint_nth(store, n + left_out)->position;

            buffer_printf(out, "%20s  %zu more, one each %" PRIu64 " instructions (info checkpoints all lists them)\n", "...",
                          left_out, (to - from) / left_out);
            n += left_out;
        }
        print_checkpoint(checkpoint_nth(store, n), out);
    }
    return 0;
}

HANDLER(cmd_info_checkpoints)
{
    struct server *s = server_of(call);
    const struct checkpoint_store *store = timeline_checkpoints(s->timeline);
    struct checkpoint_store_info i;

    checkpoint_store_info(store, &i);
    buffer_printf(call->out, "%zu checkpoints (%zu near the present, %zu pinned), %.1f of %.1f MiB\n",
                  i.checkpoints, i.rungs, i.pinned, (double)i.bytes / 1048576, (double)i.budget_bytes / 1048576);
    if (i.bytes > i.budget_bytes)
        buffer_printf(call->out, "more than --checkpoint-memory: the oldest and the newest stay, and what is used just now; "
                                 "going back is faster with more\n");
    buffer_printf(call->out, "%" PRIu64 " pages in the guest's own memory, %" PRIu64 " as the drives' images have them, %" PRIu64
                             " copied, %" PRIu64 " compressed (%.1f MiB), footprints %.1f MiB\n",
                  i.in_place_pages, i.elsewhere_pages, i.raw_pages, i.compressed_pages, (double)i.compressed_bytes / 1048576,
                  (double)i.footprint_bytes / 1048576);
    return print_checkpoints(store, arg(call, 0), call->out, err);
}

/* 895 KiB, 1.25 MiB: as QEMU writes sizes. */
static void size_text(uint64_t bytes, char *text, size_t size)
{
    static const char units[] = "KMGTPE";
    double n = (double)bytes / 1024;
    unsigned unit = 0;

    for (; n >= 1000 && units[unit + 1]; unit++)
        n /= 1024;
    snprintf(text, size, "%.3g %ciB", n, units[unit]);
}

/* A line of QEMU's table. The size is that of the state that it names. */
static void print_snapshot(const struct server *s, const struct timeline_snapshot *snapshot, struct buffer *out)
{
    uint64_t ms = snapshot->vtime / 1000000;
    char size[24], date[40], clock[40];

    size_text(((uint64_t)s->machine->memory.pages.count << PAGE_SHIFT) + s->machine->arena_len, size, sizeof size);
    host_local_time(snapshot->made_ns, "%Y-%m-%d %H:%M:%S", date, sizeof date);
    snprintf(clock, sizeof clock, "%02" PRIu64 ":%02" PRIu64 ":%02" PRIu64 ".%03" PRIu64, ms / 3600000, ms / 60000 % 60,
             ms / 1000 % 60, ms % 1000);
    buffer_printf(out, "%-9s %-16s %8s%20s%13s%11" PRIu64, "--", snapshot->name, size, date, clock,
                  snapshot->position);
    if (snapshot->branch)
        buffer_printf(out, " on branch %u", snapshot->branch);
    buffer_append_byte(out, '\n');
}

HANDLER(cmd_info_snapshots)
{
    struct server *s = server_of(call);
    const struct timeline_snapshot *list;
    size_t n = timeline_snapshots(s->timeline, &list);

    (void)err;
    if (!n) {
        buffer_printf(call->out, "There is no snapshot available.\n");
        return 0;
    }
    buffer_printf(call->out, "List of snapshots:\n%-9s %-16s %8s%20s%13s%11s\n", "ID", "TAG", "VM SIZE", "DATE", "VM CLOCK",
                  "ICOUNT");
    for (size_t i = 0; i < n; i++)
        print_snapshot(s, &list[i], call->out);
    return 0;
}

HANDLER(cmd_info_hash)
{
    struct server *s = server_of(call);
    struct machine *m = s->machine;

    (void)err;
    buffer_printf(call->out, "hash %016" PRIx64 "\n", machine_hash(m));
    for (unsigned i = 0; i < m->ncomponents; i++)
        buffer_printf(call->out, "  %-12s %016" PRIx64 "\n", m->components[i].name, machine_component_hash(m, i));
    return 0;
}

/* ---- going somewhere ---- */

static int arm(struct rsp_monitor_call *call, icount_t position, const char *what, struct error *err)
{
    struct server *s = server_of(call);
    icount_t first = timeline_first(s->timeline), edge = timeline_edge(s->timeline);

    if (position < first)
        return error_set(err, -ERANGE, "history begins at position %" PRIu64, first);
    rsp_arm_seek(call->session, position);
    buffer_printf(call->out, "the next continue or reverse-continue goes to position %" PRIu64 "%s\n", position, what);
    if (position > edge)
        buffer_printf(call->out, "(that is %" PRIu64 " steps beyond the end of history, to which the guest is run)\n", position - edge);
    return 0;
}

HANDLER(cmd_seek_cpu)
{
    struct server *s = server_of(call);
    icount_t here = timeline_position(s->timeline), there;
    struct timeline_stop back;
    int r;

    if (call->argv[0].number >= s->machine->ncpus)
        return error_set(err, -EINVAL, "there are CPUs 0 to %u", s->machine->ncpus - 1);
    server_begin_search(s);
    r = timeline_find_steps(s->timeline, (unsigned)call->argv[0].number, call->argv[1].number, &there, err);
    timeline_seek(s->timeline, here, &back);
    server_end_search(s);
    return r < 0 ? r : arm(call, there, "", err);
}

bool server_parse_time(const char *text, uint64_t *ns, bool *unit)
{
    static const struct {
        const char *name;
        uint64_t ns;
    } units[] = {{"s", 1000000000}, {"ms", 1000000}, {"us", 1000}, {"ns", 1}, {"", 1000000000}};
    uint64_t whole = 0, part = 0, digit = 100000000; /* part: billionths */
    bool any = false;

    for (; *text >= '0' && *text <= '9'; text++, any = true) {
        if (whole > UINT64_MAX / 1000000000u / 10 - 1)
            return false;
        whole = whole * 10 + (uint64_t)(*text - '0');
    }
    if (*text == '.')
        for (text++; *text >= '0' && *text <= '9'; text++, digit /= 10, any = true)
            part += digit * (uint64_t)(*text - '0');
    for (unsigned i = 0; any && i < ARRAY_LEN(units); i++)
        if (!strcmp(text, units[i].name)) {
            *ns = whole * units[i].ns + part * units[i].ns / 1000000000u;
            *unit = *text;
            return true;
        }
    return false;
}

HANDLER(cmd_seek_time)
{
    struct server *s = server_of(call);
    icount_t here = timeline_position(s->timeline), there;
    struct timeline_stop back;
    vtime_t time;
    bool unit;
    int r;

    if (!server_parse_time(call->argv[0].text, &time, &unit))
        return error_set(err, -EINVAL, "'%s' is no time: seconds, as in 0.25 or 12.5s, or 200ms (when prints the present one)", call->argv[0].text);
    server_begin_search(s);
    r = timeline_find_time(s->timeline, time, &there, err);
    timeline_seek(s->timeline, here, &back);
    server_end_search(s);
    return r < 0 ? r : arm(call, there, "", err);
}

HANDLER(cmd_replay_break)
{
    struct server *s = server_of(call);

    (void)err;
    timeline_replay_break(s->timeline, call->argv[0].number);
    return 0;
}

HANDLER(cmd_replay_delete_break)
{
    struct server *s = server_of(call);
    const icount_t *list;
    size_t n = timeline_replay_breaks(s->timeline, &list);

    if (call->argc) {
        if (timeline_delete_replay_break(s->timeline, call->argv[0].number))
            return 0;
        return error_set(err, -ENOENT, "there is no replay_break at %" PRIu64, (icount_t)call->argv[0].number);
    }
    for (; n; n = timeline_replay_breaks(s->timeline, &list))
        timeline_delete_replay_break(s->timeline, list[0]);
    return 0;
}

/* "phys:ADDRESS" or an address. */
static int take_place(const char *text, uint64_t *address, bool *physical, struct error *err)
{
    char *end;

    *physical = !strncmp(text, "phys:", 5);
    text += *physical ? 5 : 0;
    errno = 0;
    *address = strtoull(text, &end, 0);
    return *end || errno || *text < '0' || *text > '9' ? error_set(err, -EINVAL, "'%s' is no address", text) : 0;
}

/* Who wrote last to the bytes, which the text calls `what`. */
static int tell_last_write(struct rsp_monitor_call *call, const struct timeline_point *where, const char *what,
                           struct error *err)
{
    struct server *s = server_of(call);
    icount_t here = timeline_position(s->timeline), there;
    struct timeline_stop stop, back;
    uint64_t pc = 0;
    int r;

    server_begin_search(s);
    r = timeline_last_write(s->timeline, where, &stop, err);
    there = timeline_position(s->timeline);
    if (r == 0 && stop.reason == TIMELINE_WATCHPOINT)
        pc = s->machine->cpus[stop.cpu]->ops->pc(s->machine->cpus[stop.cpu]);
    s->finishing = true; /* whatever the debugger says meanwhile: it stands where it stood */
    timeline_seek(s->timeline, here, &back);
    s->finishing = false;
    server_end_search(s);
    if (r < 0)
        return r;
    if (stop.reason == TIMELINE_INTERRUPTED)
        return error_set(err, -EINTR, "interrupted");
    if (stop.reason != TIMELINE_WATCHPOINT) {
        buffer_printf(call->out, "%s was not written since the beginning of history\n", what);
        return 0;
    }
    if (stop.writer)
        buffer_printf(call->out, "last written by %s, position %" PRIu64, stop.writer, there);
    else
        buffer_printf(call->out, "last written by the instruction at 0x%" PRIx64 ", position %" PRIu64, pc, there);
    server_wire_blame(s, stop.writer, there, call->out);
    buffer_append_byte(call->out, '\n');
    return arm(call, there, ", before that write", err);
}

#define NO_MEMORY "from physical 0x%" PRIx64 " on there are no %" PRIu64 " bytes of memory (info mtree has the map)"

/* Are all these bytes stored, and beside one another? */
static bool is_memory(const struct memory *m, paddr_t addr, uint64_t len)
{
    const struct region *r = memory_find(m, addr);

    return r && memory_storage_of(m, addr) != UINT32_MAX && len <= r->size - (addr - r->base) &&
           memory_storage_of(m, addr + (len - 1)) == memory_storage_of(m, addr) + ((addr & ~PAGE_MASK) + len - 1) / PAGE_SIZE;
}

/* As many as queries take. */
#define LAST_BYTES 4u

HANDLER(cmd_last)
{
    struct timeline_point where = {.len = call->argc > 1 ? call->argv[1].number : LAST_BYTES};
    char what[32];
    int r = take_place(arg(call, 0), &where.address, &where.physical, err);

    if (r < 0)
        return r;
    if (!where.len || where.address + (where.len - 1) < where.address)
        return error_set(err, -EINVAL, "there are no %" PRIu64 " bytes from 0x%" PRIx64 " on", where.len, where.address);
    if (where.physical && !is_memory(&server_of(call)->machine->memory, where.address, where.len))
        return error_set(err, -EINVAL, NO_MEMORY, where.address, where.len);
    snprintf(what, sizeof(what), "0x%" PRIx64, where.address);
    return tell_last_write(call, &where, what, err);
}

static void add_watch(struct server *s, const struct timeline_point *point)
{
    s->watches = xrealloc(s->watches, (s->nwatches + 1) * sizeof(s->watches[0]));
    s->watches[s->nwatches++] = (struct server_point){
        .type = point->kinds & TRAP_READ ? RSP_WATCH_ACCESS : RSP_WATCH_WRITE, .address = point->address, .len = point->len,
        .physical = point->physical, .drive = point->drive, .id = timeline_add_point(s->timeline, point)};
}

HANDLER(cmd_watch_phys)
{
    struct server *s = server_of(call);
    const struct timeline_point point = {.kinds = TRAP_WRITE, .address = call->argv[0].number, .len = call->argv[1].number,
                                         .physical = true};

    if (!point.len || !is_memory(&s->machine->memory, point.address, point.len))
        return error_set(err, -EINVAL, NO_MEMORY, point.address, point.len);
    add_watch(s, &point);
    return 0;
}

HANDLER(cmd_unwatch_phys)
{
    struct server *s = server_of(call);
    unsigned kept = 0, all = s->nwatches;

    for (unsigned i = 0; i < all; i++) {
        if (s->watches[i].drive || (call->argc && s->watches[i].address != call->argv[0].number))
            s->watches[kept++] = s->watches[i];
        else
            timeline_remove_point(s->timeline, s->watches[i].id);
    }
    s->nwatches = kept;
    if (call->argc && kept == all)
        return error_set(err, -ENOENT, "nothing is watched at physical 0x%" PRIx64, (uint64_t)call->argv[0].number);
    return 0;
}

/* ---- sectors of drives ---- */

HANDLER(cmd_last_disk)
{
    struct timeline_point where = {.kinds = TRAP_WRITE};
    char what[80];
    int r = server_take_sectors(server_of(call), arg(call, 0), call->argv[1].number,
                                call->argc > 2 ? call->argv[2].number : 1, &where, err);

    if (r < 0)
        return r;
    snprintf(what, sizeof(what), "sector %" PRIu64 " of drive %s", (uint64_t)call->argv[1].number, arg(call, 0));
    return tell_last_write(call, &where, what, err);
}

/* DRIVE LBA [SECTORS] [read] */
HANDLER(cmd_watch_disk)
{
    bool reads = call->argc > 3 && !strcmp(arg(call, 3), "read");
    struct timeline_point point = {.kinds = TRAP_WRITE | (reads ? TRAP_READ : 0u)};
    int r = server_take_sectors(server_of(call), arg(call, 0), call->argv[1].number,
                                call->argc > 2 ? call->argv[2].number : 1, &point, err);

    if (r < 0)
        return r;
    if (call->argc > 3 && !reads)
        return error_set(err, -EINVAL, "'%s': read is all that can be said there", arg(call, 3));
    add_watch(server_of(call), &point);
    return 0;
}

HANDLER(cmd_unwatch_disk)
{
    struct server *s = server_of(call);
    unsigned kept = 0, all = s->nwatches;

    for (unsigned i = 0; i < all; i++) {
        const struct drive *d = s->watches[i].drive;

        if (!d || (call->argc && strcmp(d->name, arg(call, 0))))
            s->watches[kept++] = s->watches[i];
        else
            timeline_remove_point(s->timeline, s->watches[i].id);
    }
    s->nwatches = kept;
    if (call->argc && kept == all)
        return error_set(err, -ENOENT, "nothing is watched on drive '%s'", arg(call, 0));
    return 0;
}

HANDLER(cmd_info_watches)
{
    struct server *s = server_of(call);
    const icount_t *breaks;
    size_t n = timeline_replay_breaks(s->timeline, &breaks);

    (void)err;
    for (unsigned i = 0; i < s->nwatches; i++) {
        const struct server_point *w = &s->watches[i];

        if (w->drive)
            buffer_printf(call->out, "watch-disk %s %" PRIu64 " %" PRIu64 "%s\n", w->drive->name,
                          drive_sector_of(w->drive, w->address), w->len / w->drive->c.sector_size,
                          w->type == RSP_WATCH_ACCESS ? " read" : "");
        else
            buffer_printf(call->out, "watch-phys 0x%" PRIx64 " %" PRIu64 "\n", w->address, w->len);
    }
    for (size_t i = 0; i < n; i++)
        buffer_printf(call->out, "replay_break %" PRIu64 "\n", breaks[i]);
    if (!s->nwatches && !n)
        buffer_printf(call->out, "no watch-phys, watch-disk or replay_break is set\n");
    return 0;
}

HANDLER(cmd_disk)
{
    return server_drive_dump(server_of(call), arg(call, 0), call->argv[1].number,
                             call->argc > 2 ? call->argv[2].number : 1, call->out, err);
}

/* ---- checkpoints and snapshots ---- */

/* What one could not tell from a position is no name for one. */
static int name_place(struct rsp_monitor_call *call, const char *name, uint64_t now, struct error *err)
{
    size_t sign = *name == '+' || *name == '-', digits = strspn(name + sign, "0123456789");
    icount_t position;

    if (rsp_parse_position(call->session, name, &position) || (digits && !name[sign + digits]))
        return error_set(err, -EINVAL, "'%.40s' is how a position is written: another name, please", name);
    return timeline_save_snapshot(server_of(call)->timeline, name, now, err);
}

HANDLER(cmd_checkpoint)
{
    struct server *s = server_of(call);

    if (call->argc) {
        int r = name_place(call, arg(call, 0), host_wall_ns(), err);

        if (r < 0)
            return r;
    } else {
        timeline_checkpoint(s->timeline);
        server_record_update(s, true);
    }
    buffer_printf(call->out, "checkpoint at ");
    print_position(s, call->out);
    return 0;
}

/* A name of QEMU's making, if none is given. */
HANDLER(cmd_savevm)
{
    struct server *s = server_of(call);
    uint64_t now = host_wall_ns();
    char name[40];

    int r;

    if (call->argc)
        return name_place(call, arg(call, 0), now, err);
    host_local_time(now, "vm-%Y%m%d%H%M%S", name, sizeof name);
    r = timeline_save_snapshot(s->timeline, name, now, err);
    if (r == 0)
        buffer_printf(call->out, "snapshot '%s': loadvm %s\n", name, name);
    return r;
}

/* The word `force` as argument `n`: may what is written replace another file? */
static int take_force(const struct rsp_monitor_call *call, unsigned n, bool *force, struct error *err)
{
    *force = !strcmp(arg(call, n), "force");
    if (call->argc > n && !*force)
        return error_set(err, -EINVAL, "'%s' means nothing here: there is force", arg(call, n));
    return 0;
}

HANDLER(cmd_save)
{
    struct server *s = server_of(call);
    struct timeline_history trunk;
    uint64_t bytes;
    bool force;
    int r = take_force(call, 1, &force, err);

    if (r == 0)
        r = server_record_save(s, arg(call, 0), force, &bytes, err);
    if (r == 0 && timeline_history(s->timeline, 0, &trunk) == 0)
        buffer_printf(call->out, "%s: %" PRIu64 " bytes, history to position %" PRIu64 "; hindcast --replay %s opens it\n",
                      arg(call, 0), bytes, trunk.edge, arg(call, 0));
    return r;
}

HANDLER(cmd_loadvm)
{
    struct server *s = server_of(call);
    const struct timeline_snapshot *list;
    size_t n = timeline_snapshots(s->timeline, &list);

    for (size_t i = 0; i < n; i++)
        if (!strcmp(list[i].name, arg(call, 0)))
            return timeline_snapshot_here(s->timeline, &list[i])
                       ? arm(call, list[i].position, "", err)
                       : server_branch_arm(call, list[i].branch, false, list[i].position, err);
    return error_set(err, -ENOENT, "Snapshot '%s' does not exist (info snapshots lists those that do)", arg(call, 0));
}

HANDLER(cmd_delvm)
{
    return timeline_delete_snapshot(server_of(call)->timeline, arg(call, 0), err);
}

/* ---- pictures of the machine ---- */

static void print_plain_registers(const struct cpu *cpu, struct buffer *out)
{
    for (unsigned i = 0; i < cpu->ops->nregs; i++) {
        const struct reg_desc *r = &cpu->ops->regs[i];
        uint8_t value[RSP_MAX_REG_BYTES];

        cpu->ops->read_reg(cpu, i, value);
        buffer_printf(out, "%-8s ", r->name);
        for (unsigned b = r->bits / 8; b-- > 0;)
            buffer_printf(out, "%02x", value[b]);
        buffer_append_byte(out, '\n');
    }
}

static void print_registers(const struct server *s, const struct cpu *cpu, struct buffer *out)
{
    if (s->machine->ncpus > 1)
        buffer_printf(out, "CPU #%u\n", cpu->index);
    if (cpu->ops->describe)
        cpu->ops->describe(cpu, out);
    else
        print_plain_registers(cpu, out);
}

HANDLER(cmd_info_registers)
{
    const struct server *s = server_of(call);

    if (!call->argc)
        print_registers(s, selected_cpu(call), call->out);
    else if (strcmp(arg(call, 0), "-a"))
        return error_set(err, -EINVAL, "'%s' means nothing here: there is -a", arg(call, 0));
    for (unsigned i = 0; call->argc && i < s->machine->ncpus; i++)
        print_registers(s, s->machine->cpus[i], call->out);
    return 0;
}

/* QEMU's word, and its answer. */
HANDLER(cmd_gva2gpa)
{
    const struct cpu *cpu = selected_cpu(call);
    paddr_t pa;

    if (!cpu->ops->translate(cpu, call->argv[0].number, &pa))
        return error_set(err, -EFAULT, "0x%" PRIx64 " is not mapped here", (uint64_t)call->argv[0].number);
    buffer_printf(call->out, "gpa: %#" PRIx64 "\n", pa);
    return 0;
}

HANDLER(cmd_info_jit)
{
    struct ucpu_stats stats;

    (void)err;
    ucpu_stats((const struct ucpu *)(const void *)server_of(call)->machine->cpus[0], &stats);
    buffer_printf(call->out, "engine: %s\n", stats.jit ? "JIT and interpreter" : "interpreter");
    buffer_printf(call->out, "blocks: %" PRIu64 " translated, %" PRIu64 " kept, all dropped %" PRIu64 " times\n",
                  stats.blocks_built, stats.blocks_live, stats.flushes);
    if (stats.jit)
        buffer_printf(call->out, "compiled: %" PRIu64 " blocks, %" PRIu64 " bytes of code, all thrown away %" PRIu64
                      " times\n", stats.compiled, stats.code_bytes, stats.code_flushes);
    buffer_printf(call->out, "misses: %" PRIu64 " of the TLB, %" PRIu64 " of the jump cache; %" PRIu64
                  " instructions run alone\n", stats.tlb_misses, stats.jump_misses, stats.alone);
    return 0;
}

HANDLER(cmd_info_tlb)
{
    const struct cpu *cpu = selected_cpu(call);

    if (!cpu->ops->describe_tlb)
        return error_set(err, -ENOSYS, "this CPU has no picture of its translations");
    cpu->ops->describe_tlb(cpu, call->out);
    return 0;
}

/* A stretch of virtual pages that lie side by side in physical memory too. */
struct stretch {
    uint64_t va, len; /* bytes; len 0: none */
    paddr_t pa;
};

/* How many lines were printed. */
static unsigned print_stretch(struct buffer *out, const struct cpu *cpu, const struct stretch *t)
{
    int digits = (int)cpu->ops->address_bits / 4;

    if (!t->len)
        return 0;
    buffer_printf(out, "%0*" PRIx64 "-%0*" PRIx64 " -> %09" PRIx64 "  %" PRIu64 " KiB\n", digits, t->va, digits,
                  t->va + (t->len - 1), t->pa, t->len >> 10);
    return 1;
}

/* A guest's tables can map the same pages in endless repetition: no list is longer than this. */
#define MAX_STRETCHES 10000u
#define MAX_LOOKUPS   (1u << 22)

HANDLER(cmd_info_mem)
{
    const struct cpu *cpu = selected_cpu(call);
    unsigned lookups = 0, printed = 0;
    struct stretch t = {0};
    uint64_t va = 0, len;

    (void)err;
    while ((len = cpu->ops->stretch(cpu, va)) != 0 && lookups++ < MAX_LOOKUPS && printed < MAX_STRETCHES) {
        paddr_t pa = 0;
        bool mapped = cpu->ops->translate(cpu, va, &pa);

        if (mapped && t.len && va == t.va + t.len && pa == t.pa + t.len) {
            t.len += len;
        } else {
            printed += print_stretch(call->out, cpu, &t);
            t = (struct stretch){va, mapped ? len : 0, pa};
        }
        va += len;
        if (!va)
            break;
    }
    print_stretch(call->out, cpu, &t);
    if (lookups > MAX_LOOKUPS || printed == MAX_STRETCHES)
        buffer_printf(call->out, "... and what follows 0x%" PRIx64 "\n", va);
    return 0;
}

HANDLER(cmd_info_mtree)
{
    static const char *const kinds[] = {"RAM", "ROM", "ROM/device", "device"};
    const struct memory *mem = &server_of(call)->machine->memory;

    (void)err;
    for (unsigned i = 0; i < mem->nregions; i++) {
        const struct region *r = &mem->regions[i];

        buffer_printf(call->out, "%09" PRIx64 "-%09" PRIx64 " %s%s%s%s%s%s\n", r->base, r->base + r->size - 1,
                      kinds[r->kind], r->dev ? " " : "", r->dev ? r->dev->name : "",
                      r->secure ? " (Secure)" : "", r->cpu_only ? " (CPUs only)" : "", r->enabled ? "" : " (off)");
    }
    return 0;
}

static void describe_device(const struct device *d, struct buffer *out)
{
    buffer_printf(out, "%s:\n", d->name);
    if (d->ops->describe)
        d->ops->describe(d, out);
    if (out->len && out->data[out->len - 1] != '\n')
        buffer_append_byte(out, '\n');
}

HANDLER(cmd_info_devices)
{
    const struct machine *m = server_of(call)->machine;
    const char *wanted = arg(call, 0);
    bool any = false;

    for (unsigned i = 0; i < m->ndevices; i++) {
        if (*wanted && strcmp(m->devices[i]->name, wanted) && strcmp(m->devices[i]->ops->name, wanted))
            continue; /* neither its name nor what it is */
        describe_device(m->devices[i], call->out);
        any = true;
    }
    return any ? 0 : error_set(err, -ENOENT, "there is no device '%s'", wanted);
}

HANDLER(cmd_info_irq)
{
    const struct machine *m = server_of(call)->machine;

    (void)err;
    for (unsigned i = 0; i < m->ndevices; i++)
        if (m->devices[i]->ops->interrupts)
            describe_device(m->devices[i], call->out);
    return 0;
}

HANDLER(cmd_info_pci)
{
    const struct device *pci = machine_find_device(server_of(call)->machine, "pci");

    if (!pci)
        return error_set(err, -ENODEV, "this machine has no PCI");
    pci->ops->describe(pci, call->out);
    return 0;
}

HANDLER(cmd_info_usb)
{
    const struct machine *m = server_of(call)->machine;

    if (!m->usb)
        return error_set(err, -ENODEV, "this machine has no USB");
    usb_describe(m, call->out);
    return 0;
}

/* ---- the outside world ---- */

static struct device *need_device(struct server *s, const char *name, struct error *err)
{
    struct device *d = machine_find_device(s->machine, name);

    if (!d)
        error_set(err, -ENODEV, "this machine has no %s", name);
    return d;
}

static void say_when_it_arrives(struct server *s, struct buffer *out)
{
    if (!timeline_at_edge(s->timeline))
        buffer_printf(out, "this is the past: it waits, and the guest gets it once it runs at the live edge\n");
}

/* How much memory the guest shall keep. */
HANDLER(cmd_balloon)
{
    struct server *s = server_of(call);
    uint8_t input[VIRTIO_BALLOON_INPUT];

    if (!s->machine->balloon)
        return error_set(err, -ENODEV, "this machine has no balloon: --device virtio-balloon-pci is one");
    if (!call->argv[0].number || call->argv[0].number > UINT32_MAX)
        return error_set(err, -EINVAL, "a size in MB");
    if (call->argv[0].number > virtio_balloon_all(s->machine) >> 20)
        return error_set(err, -EINVAL, "%" PRIu64 " MB: the guest has %" PRIu64 " in all", call->argv[0].number,
                         virtio_balloon_all(s->machine) >> 20);
    put_le64(input, call->argv[0].number << 20);
    timeline_input(s->timeline, s->machine->balloon, input, sizeof input, true);
    if (timeline_at_edge(s->timeline))
        buffer_printf(call->out, "the guest is to keep %" PRIu64 " MB: it hears of it when it runs%s\n", call->argv[0].number,
                      virtio_balloon_driven(s->machine->balloon) ? "" : ", and heeds it once a driver is there (none is so far)");
    say_when_it_arrives(s, call->out);
    return 0;
}

HANDLER(cmd_info_balloon)
{
    const struct device *balloon = server_of(call)->machine->balloon;

    if (!balloon)
        return error_set(err, -ENODEV, "this machine has no balloon: --device virtio-balloon-pci is one");
    virtio_balloon_report(balloon, call->out);
    return 0;
}

#define KEY_HOLD_MS 100u /* as QEMU's */

/* "ctrl-alt-delete": all are pressed in order, held, and let go in the opposite order. */
HANDLER(cmd_sendkey)
{
    struct server *s = server_of(call);
    struct buffer input;
    int r;

    if (!s->machine->keyboard)
        return error_set(err, -ENODEV, "this machine has no keyboard");
    buffer_init(&input);
    r = keys_press(arg(call, 0), call->argc > 1 ? call->argv[1].number : KEY_HOLD_MS, &input, err);
    if (r == 0) {
        timeline_input(s->timeline, s->machine->keyboard, input.data, input.len, true);
        say_when_it_arrives(s, call->out);
    }
    buffer_finish(&input);
    return r;
}

/* To a mouse, or (its place instead of how far it moves) a tablet, which may be NULL. */
static int pointer_event(struct rsp_monitor_call *call, struct device *pointer, const int d[3], struct error *err)
{
    struct server *s = server_of(call);
    int16_t record[4] = {(int16_t)d[0], (int16_t)d[1], (int16_t)d[2], (int16_t)s->mouse_buttons};

    if (!pointer)
        return error_set(err, -ENODEV, "this machine has no such pointer");
    timeline_input(s->timeline, pointer, record, sizeof record, true);
    say_when_it_arrives(s, call->out);
    return 0;
}

static int parse_delta(const char *text, int *out, struct error *err)
{
    char *end;
    long n = strtol(text, &end, 10);

    if (end == text || *end || n < -32768 || n > 32767)
        return error_set(err, -EINVAL, "'%s' is no distance from -32768 to 32767", text);
    *out = (int)n;
    return 0;
}

static int parse_deltas(struct rsp_monitor_call *call, int d[3], struct error *err)
{
    for (unsigned i = 0; i < call->argc && i < 3; i++) {
        int r = parse_delta(arg(call, i), &d[i], err);

        if (r < 0)
            return r;
    }
    return 0;
}

HANDLER(cmd_mouse_move)
{
    int d[3] = {0, 0, 0};
    int r = parse_deltas(call, d, err);

    return r < 0 ? r : pointer_event(call, server_of(call)->machine->mouse, d, err);
}

HANDLER(cmd_tablet_move)
{
    struct server *s = server_of(call);
    int d[3] = {0, 0, 0};
    int r = parse_deltas(call, d, err);

    if (r < 0)
        return r;
    if (d[0] < 0 || d[1] < 0)
        return error_set(err, -EINVAL, "places on a tablet are 0 to 32767");
    s->tablet_at[0] = d[0];
    s->tablet_at[1] = d[1];
    return pointer_event(call, s->machine->tablet, d, err);
}

HANDLER(cmd_mouse_button)
{
    struct server *s = server_of(call);
    const struct machine *m = s->machine;
    bool tablet = m->tablet && (!m->mouse || m->mouse->index < m->tablet->index);
    int d[3] = {0, 0, 0};

    if (call->argv[0].number > 31)
        return error_set(err, -EINVAL, "a sum of 1 (left), 2 (right), 4 (middle), 8 (side) and 16 (extra)");
    s->mouse_buttons = (uint32_t)call->argv[0].number;
    if (tablet)
        memcpy(d, s->tablet_at, sizeof(s->tablet_at));
    return pointer_event(call, tablet ? m->tablet : m->mouse, d, err);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* \n \r \t \e \\ \xHH; other characters stand for themselves. 0, or -EINVAL: \x without two digits. */
static int unescape(const char *text, struct buffer *out, struct error *err)
{
    static const char names[] = "nrte\\", values[] = "\n\r\t\033\\";

    for (; *text; text++) {
        const char *name;

        if (*text != '\\' || !text[1]) {
            buffer_append_byte(out, (uint8_t)*text);
            continue;
        }
        text++;
        name = strchr(names, *text);
        if (name) {
            buffer_append_byte(out, (uint8_t)values[name - names]);
        } else if (*text == 'x' && hex_digit(text[1]) >= 0 && hex_digit(text[2]) >= 0) {
            buffer_append_byte(out, (uint8_t)(hex_digit(text[1]) << 4 | hex_digit(text[2])));
            text += 2;
        } else if (*text == 'x') {
            return error_set(err, -EINVAL, "'%.4s': \\x and two hexadecimal digits are a byte; nothing was typed", text - 1);
        } else {
            buffer_append_byte(out, (uint8_t)*text);
        }
    }
    return 0;
}

HANDLER(cmd_serial)
{
    struct server *s = server_of(call);
    struct device *uart = need_device(s, "uart0", err);
    struct buffer bytes;
    int r;

    if (!uart)
        return -ENODEV;
    buffer_init(&bytes);
    r = unescape(arg(call, 0), &bytes, err);
    if (r == 0) {
        timeline_input(s->timeline, uart, bytes.data, bytes.len, false);
        say_when_it_arrives(s, call->out);
    }
    buffer_finish(&bytes);
    return r;
}

/* The latter half of QEMU's words for it: ringbuf_write ID TEXT, ringbuf_read ID BYTES. */
static struct chardev *need_ring(struct server *s, const char *id, struct error *err)
{
    struct chardev *c = server_ports_ring(s, id);

    if (!c)
        error_set(err, -ENOENT, "%s: there is no --chardev ringbuf with that id (monitor info chardev)", id);
    return c;
}

HANDLER(cmd_ringbuf_write)
{
    struct chardev *c = need_ring(server_of(call), arg(call, 0), err);
    struct buffer bytes;
    int r = c ? 0 : -ENOENT;

    buffer_init(&bytes);
    if (r == 0)
        r = unescape(arg(call, 1), &bytes, err);
    if (r == 0)
        chardev_ring_write(c, bytes.data, bytes.len);
    if (r == 0)
        say_when_it_arrives(server_of(call), call->out);
    buffer_finish(&bytes);
    return r;
}

HANDLER(cmd_send_break)
{
    struct server *s = server_of(call);
    struct device *line = server_ports_line(s, arg(call, 0));

    if (!line)
        return error_set(err, -ENOENT, *arg(call, 0) ? "%s: no serial port is that, or is connected to that (monitor info chardev)"
                                                     : "%sno serial port is connected to anything", arg(call, 0));
    timeline_break(s->timeline, line);
    say_when_it_arrives(s, call->out);
    return 0;
}

HANDLER(cmd_ringbuf_read)
{
    struct chardev *c = need_ring(server_of(call), arg(call, 0), err);
    uint64_t most = call->argv[1].number;
    uint8_t bytes[256];
    size_t n;

    if (!c)
        return -ENOENT;
    while (most && (n = chardev_ring_read(c, bytes, most < sizeof bytes ? (size_t)most : sizeof bytes)) > 0) {
        buffer_append(call->out, bytes, n);
        most -= n;
    }
    return 0;
}

HANDLER(cmd_info_chardev)
{
    (void)err;
    server_ports_describe(server_of(call), call->out);
    return 0;
}

HANDLER(cmd_info_block)
{
    const struct server *s = server_of(call);

    (void)err;
    timeline_look_at_images(s->timeline);
    if (s->config.drives)
        drives_describe(s->config.drives, s->machine, call->out);
    else
        buffer_printf(call->out, "no drives\n");
    return 0;
}

HANDLER(cmd_info_network)
{
    (void)err;
    server_net_describe(server_of(call), call->out);
    return 0;
}

HANDLER(cmd_info_audio)
{
    (void)err;
    server_sound_describe(server_of(call), call->out);
    return 0;
}

/* Into the image itself only at the end: until then history needs it as it is. */
HANDLER(cmd_commit)
{
    const char *moved;
    uint64_t bytes;
    bool force;
    int r = take_force(call, 2, &force, err);

    if (r == 0)
        r = server_drive_commit(server_of(call), arg(call, 0), arg(call, 1), force, &bytes, err);
    if (r == 0)
        buffer_printf(call->out, "%s: drive %s as it is at this position, over its image: %" PRIu64 " KiB\n", arg(call, 1),
                      arg(call, 0), bytes >> 10);
    moved = r == 0 ? drives_moved(server_of(call)->config.drives, drive_find(server_of(call)->machine, arg(call, 0))) : NULL;
    if (moved)
        buffer_printf(call->out, "%s is not that image any more (moved, or replaced): qemu-img rebase -u -b IMAGE -F FORMAT %s says where it is\n",
                      moved, arg(call, 1));
    return r;
}

static void tell_medium(struct rsp_monitor_call *call)
{
    drives_describe(server_of(call)->config.drives, server_of(call)->machine, call->out);
}

HANDLER(cmd_change)
{
    bool read_only = call->argc > 2 && !strcmp(arg(call, call->argc - 1), "read-only");
    unsigned words = call->argc - read_only, branch = timeline_branch(server_of(call)->timeline);
    int r;

    if (words > 3)
        return error_set(err, -EINVAL, "'%s' means nothing here: there is read-only", arg(call, 3));
    r = server_drive_change(server_of(call), arg(call, 0), arg(call, 1), words > 2 ? arg(call, 2) : NULL, read_only, err);
    server_branch_noticed(server_of(call), branch);
    if (r == 0)
        tell_medium(call);
    return r;
}

HANDLER(cmd_eject)
{
    unsigned branch = timeline_branch(server_of(call)->timeline);
    bool force;
    int r;

    if (take_force(call, 1, &force, err) < 0)
        return -EINVAL;
    r = server_drive_eject(server_of(call), arg(call, 0), force, err);
    server_branch_noticed(server_of(call), branch);
    if (r == 0)
        tell_medium(call);
    return r;
}

HANDLER(cmd_save_flash)
{
    uint64_t bytes, n = call->argv[0].number;
    bool force;
    int r = take_force(call, 2, &force, err);

    if (r == 0)
        r = server_flash_save(server_of(call), n, arg(call, 1), force, &bytes, err);
    if (r == 0)
        buffer_printf(call->out, "%s: %" PRIu64 " bytes, flash bank %" PRIu64 " as it is at this position\n",
                      arg(call, 1), bytes, n);
    return r;
}

HANDLER(cmd_system_reset)
{
    struct server *s = server_of(call);
    unsigned branch = timeline_branch(s->timeline);
    int r = timeline_reset(s->timeline, err);

    server_branch_noticed(s, branch);
    if (r == 0)
        buffer_printf(call->out, "the guest stands at its first instruction after a reset; gdb learns its "
                                 "registers by: maintenance flush register-cache\n");
    return r;
}

HANDLER(cmd_system_powerdown)
{
    struct server *s = server_of(call);
    unsigned branch = timeline_branch(s->timeline);
    int r = timeline_powerdown(s->timeline, err);

    server_branch_noticed(s, branch);
    return r;
}

HANDLER(cmd_system_wakeup)
{
    const struct machine *m = server_of(call)->machine;

    if (!m->asleep || !m->asleep(m))
        return error_set(err, -EINVAL, "the guest is not suspended to RAM here: there is nothing to wake");
    return cmd_system_powerdown(call, err); /* as on QEMU's board, the button is what it finds that woke it */
}

/* What a fault of hindcast's own does to the user's history can be tested only by one. */
HANDLER(cmd_maintenance_fail)
{
    (void)err;
    server_of(call)->machine->fail_at = call->argv[0].number;
    return 0;
}

const struct rsp_monitor_command server_monitor_commands[] = {
    {"when", "", "position, virtual time, distance to the live edge; with several CPUs, where each is and how many steps it has made",
     cmd_when},
    {"seek time", "TIME", "arm the next continue to go to the first position at which virtual time (when prints it) is that: 12.5, 200ms", cmd_seek_time},
    {"seek cpu", "CPU:n STEPS:n", "arm the next continue to go to where that CPU has made so many steps", cmd_seek_cpu},
    {"last", "ADDRESS [LENGTH:n]", "who wrote there last; arms the next continue to go there\n"
     "ADDRESS is as mapped here, phys:ADDRESS physical. Without LENGTH 4 bytes, as for writes.", cmd_last},
    {"writes", "ADDRESS...",
     "who wrote there: all of them\n"
     "ADDRESS [LENGTH] is bytes as mapped here, phys:ADDRESS of memory, virt:ADDRESS in whatever address space. Then, as for\n"
     "all queries: from POS, to POS, newest first, limit N, threads N, --json, if CONDITION (last; as in if $eax == 5; asked after the access,\n"
     "so $pc is the next instruction's, not the answer's pc).",
     query_writes},
    {"reads", "ADDRESS...", "who read there; words as for writes", query_reads},
    {"accesses", "ADDRESS...", "who wrote or read there; words as for writes", query_accesses},
    {"when-value", "ADDRESS...", "when a value came to be: ADDRESS[/LENGTH] == VALUE (!=, <, <=, >, >=)", query_when_value},
    {"calls", "ADDRESS...", "calls of the function there, with arguments, returns and results", query_calls},
    {"syscalls", "[NUMBER...]", "system calls, with arguments and results", query_syscalls},
    {"exceptions", "[NAME...]", "exceptions: all, or those of a number or name\n"
     "i386: a vector, 0 to 255, or #PF, PF, #GP, #UD, #DE, NMI...; aarch64: a class (ESR.EC), 0 to 63, or data-abort, undefined, SVC... A number\n"
     "is also INT's.", query_exceptions},
    {"interrupts", "[NUMBER...]", "interrupts that were taken: all, or those of a vector (aarch64: of an offset in the vector table, 0x280)", query_interrupts},
    {"io", "[RANGE...]", "accesses to ports (FIRST-LAST) or to devices in memory (phys:FIRST-LAST)", query_io},
    {"trace", "FROM...", "FROM TO [FILE [force]]: every step from FROM to TO, with the registers that it changes; 10,000 without FILE or limit N", query_trace},
    {"trace-history", "[WORDS...]",
     "[from POS] [to POS], or off: gdb's tstart traces history that there is, without running\n"
     "Tracepoints (trace, tstart, tfind) else find what the guest runs through between tstart and tstop. With this, before or\n"
     "after tstart, they find what there is in a stretch of history: all of it, if nothing else is said. For the\n"
     "experiments to come, too, until trace-history off.",
     server_trace_history},
    {"packets", "[NETDEV...]", "[NETDEV] [WORDS]: what went over the networks, packet by packet, and what became of it", query_packets},
    {"packet", "[NETDEV...]", "[NETDEV] N: the bytes of the N-th packet that came to a card", query_packet},
    {"pcap", "FILE...", "FILE [FROM TO] [force] [if CONDITION]: what went over the networks between two positions, as pcapng", query_pcap},
    {"coverage", "FROM...", "FROM TO [FILE [force]]: addresses of the instructions that ran; the file is of drcov's format", query_coverage},
    {"diff", "POS1...", "POS1 POS2: registers, components and memory that differ", query_diff},
    {"find", "BYTES...", "when these bytes (hexadecimal digits) first appeared in memory", query_find},
    {"mode-switches", "[WORDS...]", "changes of privilege and of mode", query_modes},
    {"watch-phys", "ADDRESS:n LENGTH:n", "stop when anybody writes these bytes of memory, in either direction", cmd_watch_phys},
    {"unwatch-phys", "[ADDRESS:n]", "forget one of these, or all", cmd_unwatch_phys},
    {"last-disk", "DRIVE LBA:n [SECTORS:n]", "who wrote these sectors of a drive last; arms the next continue to go there",
     cmd_last_disk},
    {"watch-disk", "DRIVE LBA:n [SECTORS:n] [read]",
     "stop when these sectors of a drive are written, in either direction; read: or read", cmd_watch_disk},
    {"unwatch-disk", "[DRIVE]", "forget those of one drive, or all", cmd_unwatch_disk},
    {"disk", "DRIVE LBA:n [SECTORS:n]", "what sectors of a drive hold at this position", cmd_disk},
    {"replay_break", "POSITION:n", "runs in either direction stop at POSITION", cmd_replay_break},
    {"replay_delete_break", "[POSITION:n]", "forget one replay_break, or all", cmd_replay_delete_break},
    {"checkpoint", "[NAME]", "make it quick to come back here; with NAME, a snapshot", cmd_checkpoint},
    {"branch", "[NAME]", "on which branch this is; with NAME, call it so, or begin one here", monitor_branch},
    {"branch list", "", "all branches: where each leaves its parent, how far it goes", monitor_branch_list},
    {"branch switch", "NAME", "arm: the next continue goes to where that branch was left (trunk: what happened)", monitor_branch_switch},
    {"branch drop", "[NAME]", "forget a branch; if it is this one, arm: the next continue goes back to where it began", monitor_branch_drop},
    {"branch diff", "A[@POS]...", "what is different on two branches\n"
     "A[@POS] [B[@POS]]: at their ends if no position is given (fork: where A begins, or B if A is the trunk); B is this one,\n"
     "if none is named. Lines and words as for diff", query_branch_diff},
    {"branch live", "", "let the outside answer on this branch: input, output, network, files, clock", monitor_branch_live},
    {"save", "FILE [force]", "write the history so far to a recording; force: in place of another one", cmd_save},
    {"savevm", "[NAME]", "name the present position", cmd_savevm},
    {"loadvm", "NAME", "arm: the next continue goes to the snapshot", cmd_loadvm},
    {"delvm", "NAME", "forget the snapshot", cmd_delvm},
    {"info watches", "", "what watch-phys, watch-disk and replay_break have runs stop at; forgotten when the debugger goes", cmd_info_watches},
    {"info status", "", "does the guest run, and where", cmd_info_status},
    {"info replay", "", "history: extent, events, work done", cmd_info_replay},
    {"info checkpoints", "[all]", "checkpoints and their memory; all: each of them", cmd_info_checkpoints},
    {"info snapshots", "", "named snapshots", cmd_info_snapshots},
    {"info hash", "", "hash of the whole state, and of its parts", cmd_info_hash},
    {"info cpus", "", "the CPUs: where they stand, and how many steps each has made", cmd_info_cpus},
    {"info registers", "[-a]", "the registers of the CPU that the debugger looks at; -a: of all CPUs", cmd_info_registers},
    {"dump-guest-memory", "FILE [force]",
     "the whole machine as it is at this position, as an ELF core in QEMU's form\n"
     "Physical addresses, not paged and not compressed; pages of zeros are holes of the file. force: in place of another file.",
     monitor_dump_guest_memory},
    {"gva2gpa", "ADDRESS:n", "the physical address of a virtual one, for the CPU that the debugger looks at", cmd_gva2gpa},
    {"info tlb", "", "the page tables, page by page", cmd_info_tlb},
    {"info jit", "", "what runs the guest: translated and compiled blocks, misses", cmd_info_jit},
    {"info mem", "", "mapped virtual memory", cmd_info_mem},
    {"info mtree", "", "the physical memory map", cmd_info_mtree},
    {"info irq", "", "interrupt controllers", cmd_info_irq},
    {"info pci", "", "PCI functions: what they are, where they answer, how they interrupt", cmd_info_pci},
    {"info usb", "", "USB: buses, and what is plugged into their ports", cmd_info_usb},
    {"info block", "", "drives: their images, and how much was changed", cmd_info_block},
    {"info chardev", "", "what serial ports and other ports are connected to", cmd_info_chardev},
    {"info network", "", "network cards: what they are connected to, frames", cmd_info_network},
    {"info audio", "", "sound cards: what they are connected to", cmd_info_audio},
    {"info balloon", "", "how much memory the balloon leaves the guest, and what that says of it", cmd_info_balloon},
    {"info displays", "", "displays: their names, and what each of their heads shows here", monitor_info_displays},
    {"info devices", "[NAME]", "the devices' state", cmd_info_devices},
    {"screen", "[DEVICE] [HEAD]", "the text on the screen, or on another display's", monitor_screen},
    {"screendump", "FILE [DEVICE] [HEAD] [-f] [FORMAT] [force]",
     "the picture on the screen, or on another display's, as PNG, or as PPM if the name ends with .ppm\n"
     "-f png or -f ppm: whatever the name says. A PNG says in text chunks at which position and virtual time it was taken.",
     monitor_screendump},
    {"screenshots", "FROM TO EVERY DIR [force]", "a film: what the screen shows from FROM to TO, as PNGs with numbers in a directory\n"
     "FROM, TO: positions, or virtual times (1.5s, 200ms); EVERY: so many steps (20M), or so much time (40ms). Beyond the live edge the\n"
     "guest runs on. In the end it stands where it stood. force: over pictures that are there, and more than 10000 of them.", monitor_screenshots},
    {"screen-wait", "TEXT...", "run on until a text is on the screen: arms the next continue to go there\n"
     "screen-wait [--limit N] TEXT, or screen-wait \"TEXT\" [N]: from here on, no further than N steps (100M) or N of virtual time (5s). Without\n"
     "N: 30s of virtual time. screen-wait --back TEXT is screen-first TEXT. Options stand before TEXT; in quotes, they are text.\n"
     "Text modes only: what is drawn as graphics is not read.", monitor_screen_wait},
    {"screen-first", "TEXT...", "when a text was first on the screen: arms the next continue to go to the step that completed it",
     monitor_screen_first},
    {"console-find", "TEXT...", "when a text first came out of a serial port or console: arms the next continue to go there",
     monitor_console_find},
    {"commit", "DRIVE FILE [force]", "what a drive holds at this position, as a qcow2 over its image", cmd_commit},
    {"change", "DRIVE FILE [FORMAT] [read-only]", "put another medium into a CD-ROM or floppy drive", cmd_change},
    {"eject", "DRIVE [force]", "take the medium out of a CD-ROM or floppy drive", cmd_eject},
    {"save_flash", "BANK:n FILE [force]", "the contents of a flash bank (0 or 1), as they are at this position", cmd_save_flash},
    {"sendkey", "KEYS [MS:n]", "press keys, e.g. ctrl-alt-delete, and hold them (100 ms of virtual time)", cmd_sendkey},
    {"balloon", "MB:n", "how much memory the guest shall keep, if its driver has a balloon", cmd_balloon},
    {"mouse_move", "DX DY [DZ]", "move the mouse", cmd_mouse_move},
    {"tablet_move", "X Y [DZ]", "move the tablet's pen: 0 to 32767, from the left and from the top", cmd_tablet_move},
    {"mouse_button", "STATE:n", "hold mouse buttons: 1 left, 2 right, 4 middle, 8 side, 16 extra, 0 none", cmd_mouse_button},
    {"serial", "TEXT...", "type on the first serial port; \\r ends a line, \\xHH is any byte", cmd_serial},
    {"ringbuf_read", "ID BYTES:n", "take output out of a --chardev ringbuf, the oldest first", cmd_ringbuf_read},
    {"ringbuf_write", "ID TEXT...", "input for the port that is connected to a --chardev ringbuf", cmd_ringbuf_write},
    {"chardev-send-break", "[ID]", "a break on the line of the serial port of that name, or connected to that --chardev (first one)", cmd_send_break},
    {"system_reset", "", "reset the machine", cmd_system_reset},
    {"system_powerdown", "", "press the power button", cmd_system_powerdown},
    {"system_wakeup", "", "wake a pc that is suspended to RAM", cmd_system_wakeup},
    {"maintenance fail", "POSITION:n", "for the tests: hindcast breaks at POSITION", cmd_maintenance_fail},
};
const unsigned server_monitor_count = ARRAY_LEN(server_monitor_commands);
