/*
 * The target of a debugger's session: registers, memory, break- and
 * watchpoints, in terms of the timeline and its machine (rsp/target.h).
 *
 * Memory is what the CPU sees, by its own translation, or physical memory. Of devices server_device.c tells.
 */
#include "server_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

/* ---- registers ---- */

static bool read_register(void *ctx, unsigned n, void *buf)
{
    struct server *s = ctx;
    struct cpu *cpu = s->machine->cpus[s->cpu];

    cpu->ops->read_reg(cpu, n, buf);
    return true;
}

static int write_register(void *ctx, unsigned n, const void *buf, struct error *err)
{
    struct server *s = ctx;
    uint8_t old[RSP_MAX_REG_BYTES];
    size_t len = s->info.regs[n].bits / 8;
    unsigned branch;
    int r;

    /* gdb writes back what it just read: not worth an event. */
    read_register(s, n, old);
    if (!memcmp(old, buf, len))
        return 0;
    branch = timeline_branch(s->timeline);
    r = timeline_write_register(s->timeline, n, buf, (uint32_t)len, err);
    server_branch_noticed(s, branch);
    return r;
}

/* ---- memory ---- */

static size_t read_physical(const struct memory *mem, paddr_t pa, void *buf, size_t len)
{
    size_t done = 0;

    while (done < len) {
        size_t offset = (size_t)((pa + done) & (PAGE_SIZE - 1)), piece = PAGE_SIZE - offset;
        uint32_t page = memory_storage_of(mem, pa + done);

        if (piece > len - done)
            piece = len - done;
        if (page == UINT32_MAX)
            return done;
        memcpy((uint8_t *)buf + done, memory_page(mem, page) + offset, piece);
        done += piece;
    }
    return done;
}

size_t server_read_memory(const struct machine *m, const struct cpu *cpu, bool physical, uint64_t addr, void *buf, size_t len)
{
    size_t done = 0;

    if (physical)
        return read_physical(&m->memory, addr, buf, len);
    while (done < len) {
        uint64_t va = addr + done;
        size_t piece = PAGE_SIZE - (size_t)(va & (PAGE_SIZE - 1));
        paddr_t pa;

        if (piece > len - done)
            piece = len - done;
        if (!cpu->ops->translate(cpu, va, &pa) || read_physical(&m->memory, pa, (uint8_t *)buf + done, piece) != piece)
            return done;
        done += piece;
    }
    return done;
}

static size_t read_guest(struct server *s, bool physical, uint64_t addr, void *buf, size_t len)
{
    return server_read_memory(s->machine, s->machine->cpus[s->cpu], physical, addr, buf, len);
}

/* Whoever asks for just a register of a device is told what the CPU would read. */
static size_t read_memory(void *ctx, bool physical, uint64_t addr, void *buf, size_t len)
{
    struct server *s = ctx;
    size_t there = read_guest(s, physical, addr, buf, len);
    const struct cpu *cpu = s->machine->cpus[s->cpu];
    struct error err;
    uint64_t value;
    paddr_t pa = addr;

    if (there || physical || len > 8 || (len & (len - 1)) || (addr & (len - 1)) || !cpu->ops->translate(cpu, addr, &pa) ||
        server_read_device(s, false, pa, (unsigned)len, &value, &err) < 0)
        return there;
    put_le(buf, value, (unsigned)len);
    return len;
}

static int write_memory(void *ctx, bool physical, uint64_t addr, const void *buf, size_t len, struct error *err)
{
    struct server *s = ctx;
    uint8_t *old;
    size_t there;
    unsigned branch;
    bool same;
    int r;

    if (len == 0)
        return 0;
    old = xmalloc(len);
    there = read_guest(s, physical, addr, old, len);
    same = there == len && !memcmp(old, buf, len);
    free(old);
    if (there != len)
        return error_set(err, -EFAULT, "no memory at %s address 0x%" PRIx64, physical ? "physical" : "virtual",
                         addr + there);
    if (same)
        return 0;
    branch = timeline_branch(s->timeline);
    r = timeline_write_memory(s->timeline, addr, physical, buf, (uint32_t)len, err);
    server_branch_noticed(s, branch);
    return r;
}

static const struct rsp_memory_area *get_memory_map(void *ctx, unsigned *count)
{
    /* Virtual addresses are looked up in it too, so all of it is memory. */
    static const struct rsp_memory_area all32[] = {{0, (uint64_t)1 << 32, RSP_MEMORY_RAM}};
    static const struct rsp_memory_area all64[] = {{0, (uint64_t)1 << 63, RSP_MEMORY_RAM},
                                                   {(uint64_t)1 << 63, (uint64_t)1 << 63, RSP_MEMORY_RAM}};
    const struct server *s = ctx;

    *count = s->info.pointer_bytes == 4 ? ARRAY_LEN(all32) : ARRAY_LEN(all64);
    return s->info.pointer_bytes == 4 ? all32 : all64;
}

static bool is_mapped(struct server *s, uint64_t page)
{
    struct cpu *cpu = s->machine->cpus[s->cpu];
    paddr_t pa;

    return cpu->ops->translate(cpu, page << PAGE_SHIFT, &pa) &&
           memory_storage_of(&s->machine->memory, pa) != UINT32_MAX;
}

/* How far to look for the end of a region, in pages. */
#define REGION_REACH 4096u

static void memory_region(void *ctx, uint64_t addr, struct rsp_memory_region *out)
{
    struct server *s = ctx;
    uint64_t last = (s->info.pointer_bytes == 4 ? UINT32_MAX : UINT64_MAX) >> PAGE_SHIFT;
    uint64_t low = addr >> PAGE_SHIFT, high = low;
    bool mapped = is_mapped(s, low);

    while (low > 0 && (addr >> PAGE_SHIFT) - low < REGION_REACH && is_mapped(s, low - 1) == mapped)
        low--;
    while (high < last && high - (addr >> PAGE_SHIFT) < REGION_REACH && is_mapped(s, high + 1) == mapped)
        high++;
    *out = (struct rsp_memory_region){
        .start = low << PAGE_SHIFT,
        .len = (high - low + 1) << PAGE_SHIFT,
        .mapped = mapped,
        .read = mapped,
        .write = mapped,
        .exec = mapped,
    };
}

/* ---- the rest ---- */

static const char *feature_types(void *ctx, const char *feature)
{
    struct server *s = ctx;
    const struct cpu_ops *ops = s->machine->cpus[0]->ops;

    return ops->feature_types ? ops->feature_types(feature) : NULL;
}

const char *server_cpu_activity(const struct cpu *cpu)
{
    if (cpu->share->held)
        return "held";
    if (cpu->ops->activity)
        return cpu->ops->activity(cpu);
    return cpu->ops->idle && cpu->ops->idle(cpu) ? "halted" : "running";
}

static void describe_cpu(void *ctx, struct buffer *out)
{
    struct server *s = ctx;
    struct machine *m = s->machine;

    if (m->st->end == GUEST_RUNS || (m->st->end == GUEST_TRIPLE_FAULT && server_ended_cpu(s) != s->cpu))
        buffer_printf(out, "%s", server_cpu_activity(m->cpus[s->cpu]));
    else
        server_end_text(s, out);
    buffer_printf(out, ", ");
    buffer_printf(out, "position %" PRIu64, timeline_position(s->timeline));
    if (!timeline_at_edge(s->timeline))
        buffer_printf(out, " of %" PRIu64, timeline_edge(s->timeline));
    if (timeline_branch(s->timeline)) {
        char name[SERVER_BRANCH_TEXT];

        server_branch_text(s, name, sizeof(name));
        buffer_printf(out, ", %s", name);
    }
}

static void select_thread(void *ctx, unsigned thread)
{
    struct server *s = ctx;

    s->cpu = thread;
    timeline_look_by(s->timeline, thread);
}

static void positions(void *ctx, icount_t *first, icount_t *now, icount_t *last)
{
    struct server *s = ctx;

    *first = timeline_first(s->timeline);
    *now = timeline_position(s->timeline);
    *last = timeline_edge(s->timeline);
}

void server_target_init(struct server *s)
{
    const struct cpu_ops *ops = s->machine->cpus[0]->ops;

    s->regs = xcalloc(ops->nregs, sizeof *s->regs);
    for (unsigned i = 0; i < ops->nregs; i++) {
        const struct reg_desc *r = &ops->regs[i];

        CHECK(r->bits / 8 <= RSP_MAX_REG_BYTES);
        s->regs[i] = (struct rsp_reg){.name = r->name, .bits = r->bits, .type = r->type, .group = r->group,
                                      .feature = r->feature, .dwarf = r->dwarf,
                                      .no_save = r->no_save};
    }
    s->info = (struct rsp_target_info){
        .version = s->config.version,
        .arch = ops->arch,
        .triple = s->config.triple,
        .char_unsigned = ops->char_unsigned,
        .pointer_bytes = ops->address_bits / 8,
        .regs = s->regs,
        .nregs = ops->nregs,
        .watch_before = ops->watch_before,
        .pc_reg = ops->pc_reg,
        .sp_reg = ops->sp_reg,
        .fp_reg = ops->fp_reg,
        .flags_reg = ops->flags_reg,
        .reverse = true,
        .seek = true,
        .cpu_name = "CPU#",
        .nthreads = s->machine->ncpus,
    };
    s->ops = (struct rsp_target_ops){
        .read_register = read_register,
        .write_register = write_register,
        .read_memory = read_memory,
        .read_device = server_read_device,
        .write_memory = write_memory,
        .memory_map = get_memory_map,
        .memory_region = memory_region,
        .feature_types = feature_types,
        .describe_cpu = describe_cpu,
        .select_thread = select_thread,
        .positions = positions,
        .monitor = server_monitor_commands,
        .nmonitor = server_monitor_count,
        .words = server_monitor_words,
        .nwords = server_monitor_nwords,
    };
}

/* ---- break- and watchpoints ---- */

static bool is_exec(enum rsp_breakpoint_type type)
{
    return type == RSP_BREAK_SW || type == RSP_BREAK_HW;
}

static const struct server_point *find_point(const struct server *s, unsigned id)
{
    for (unsigned i = 0; i < s->npoints; i++)
        if (s->points[i].id == id)
            return &s->points[i];
    return NULL;
}

bool server_has_point(const struct server *s, unsigned id)
{
    return find_point(s, id) != NULL;
}

/* The timeline asks whether a hit counts. It may ask twice about one hit; the
 * commands of a breakpoint must run once, so the answer is kept. */
static bool point_counts(void *ctx, unsigned id, unsigned cpu)
{
    struct server *s = ctx;
    const struct server_point *p = find_point(s, id);
    icount_t position = machine_position(s->machine);
    unsigned selected = s->cpu;
    struct rsp_stop stop;
    bool answer;

    if (!p || !s->session)
        return p != NULL;
    if (s->condition_known && s->condition_position == position && s->condition_id == id && s->condition_cpu == cpu)
        return s->condition_answer;
    s->cpu = cpu;
    if (is_exec(p->type))
        answer = rsp_exec_hit(s->session, p->address, s->forward, &stop);
    else
        answer = rsp_watch_counts(s->session, p->type, p->physical, p->address, p->len);
    s->cpu = selected;
    s->condition_known = true;
    s->condition_position = position;
    s->condition_id = id;
    s->condition_cpu = cpu;
    s->condition_answer = answer;
    return answer;
}

static unsigned trap_kinds(enum rsp_breakpoint_type type)
{
    switch (type) {
    case RSP_WATCH_WRITE:
        return TRAP_WRITE;
    case RSP_WATCH_READ:
        return TRAP_READ;
    case RSP_WATCH_ACCESS:
        return TRAP_READ | TRAP_WRITE;
    default:
        return TRAP_EXEC;
    }
}

void server_forget_stops(struct server *s)
{
    const icount_t *breaks;

    for (unsigned i = 0; i < s->npoints; i++)
        timeline_remove_point(s->timeline, s->points[i].id);
    free(s->points);
    s->points = NULL;
    s->npoints = 0;
    for (unsigned i = 0; i < s->nwatches; i++)
        timeline_remove_point(s->timeline, s->watches[i].id);
    s->nwatches = 0;
    while (timeline_replay_breaks(s->timeline, &breaks))
        timeline_delete_replay_break(s->timeline, breaks[0]);
}

/* Add `bp` to the list of wanted points; breakpoints at one address are one point. */
static void want_point(struct server_point *list, unsigned *n, const struct rsp_breakpoint *bp)
{
    bool conditional = bp->nconditions || bp->ncommands;

    for (unsigned i = 0; i < *n && is_exec(bp->type); i++) {
        if (is_exec(list[i].type) && list[i].address == bp->address) {
            list[i].conditional = list[i].conditional && conditional;
            return;
        }
    }
    list[(*n)++] = (struct server_point){
        .type = bp->type, .address = bp->address, .len = bp->len, .physical = bp->physical, .conditional = conditional};
}

static bool same_point(const struct server_point *a, const struct server_point *b)
{
    return a->type == b->type && a->address == b->address && a->len == b->len && a->physical == b->physical &&
           a->conditional == b->conditional;
}

/* Keep the points of the old list that are wanted, drop the others, add what is new. */
static void replace_points(struct server *s, struct server_point *wanted, unsigned n)
{
    for (unsigned i = 0; i < s->npoints; i++) {
        bool kept = false;

        for (unsigned j = 0; j < n && !kept; j++) {
            kept = !wanted[j].id && same_point(&s->points[i], &wanted[j]);
            if (kept)
                wanted[j].id = s->points[i].id;
        }
        if (!kept)
            timeline_remove_point(s->timeline, s->points[i].id);
    }
    for (unsigned j = 0; j < n; j++) {
        struct timeline_point point = {
            .kinds = trap_kinds(wanted[j].type),
            .address = wanted[j].address,
            .len = wanted[j].len,
            .physical = wanted[j].physical,
            .condition = wanted[j].conditional ? point_counts : NULL,
            .ctx = s,
        };

        if (!wanted[j].id)
            wanted[j].id = timeline_add_point(s->timeline, &point);
    }
    free(s->points);
    s->points = wanted;
    s->npoints = n;
}

static bool has_exec(const struct server_point *list, unsigned n, uint64_t address)
{
    for (unsigned i = 0; i < n; i++)
        if (is_exec(list[i].type) && list[i].address == address)
            return true;
    return false;
}

bool server_breakpoint_removed(const struct server *s, uint64_t address)
{
    unsigned count;
    const struct rsp_breakpoint *bps = rsp_breakpoints(s->session, &count);

    for (unsigned i = 0; i < count; i++)
        if (is_exec(bps[i].type) && bps[i].address == address)
            return false;
    return has_exec(s->points, s->npoints, address);
}

void server_sync_points(struct server *s, bool keep_removed)
{
    unsigned count, n = 0;
    const struct rsp_breakpoint *bps = rsp_breakpoints(s->session, &count);
    struct server_point *wanted = xcalloc(count + s->npoints + 1, sizeof *wanted);

    for (unsigned i = 0; i < count; i++)
        want_point(wanted, &n, &bps[i]);
    for (unsigned i = 0; keep_removed && i < s->npoints; i++)
        if (is_exec(s->points[i].type) && !has_exec(wanted, n, s->points[i].address)) {
            wanted[n] = s->points[i];
            wanted[n++].id = 0;
        }
    replace_points(s, wanted, n);
}
