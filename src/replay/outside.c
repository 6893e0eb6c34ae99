/*
 * What the outside world does to the guest while it stands still: a debugger's writes, a reset,
 * the power button, another disk in a drive, CPUs held. Each is an event that is a step of its own, made at once, at the live edge.
 * (Who is to be held is remembered until the edge is come to.)
 */
#include "replay/timeline_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"

/* Does the guest stand where what happens is recorded? */
int outside_check_edge(const struct timeline *tl, const char *what, struct error *err)
{
    if (!tl->cfg.live)
        return error_set(err, -EROFS, "cannot %s: this is a recording, and a recording cannot be changed "
                         "(--continue-live goes on at its end)", what);
    if (tl->m->st->position < tl->edge)
        return error_set(err, -EROFS,
                         "cannot %s in the past: this is position %llu, the guest has run to %llu; "
                         "history cannot be changed, go to its end first (monitor seek %llu)",
                         what, (unsigned long long)tl->m->st->position, (unsigned long long)tl->edge,
                         (unsigned long long)tl->edge);
    return 0;
}

/* The next step is an event: make it. */
static void make_step(struct timeline *tl)
{
    tl->search.mode = HITS_IGNORED;
    tl->pace.uninterruptible = true;
    CHECK(run_to(tl, tl->m->st->position + 1) == RUN_LIMIT);
    tl->pace.uninterruptible = false;
}

/* Record an event that is a step and make that step. (One that is recorded for here already, by a run that was interrupted
 * before it made it, comes first.) */
static void step_event_of(struct timeline *tl, uint16_t kind, uint16_t source, const void *data, uint32_t len)
{
    if (env_step_event_at(tl, tl->m->st->position))
        make_step(tl);
    env_append_step(tl, kind, source, data, len);
    make_step(tl);
}

static void step_event(struct timeline *tl, uint16_t kind, const void *data, uint32_t len)
{
    step_event_of(tl, kind, tl->eyes ? (uint16_t)tl->eyes : EVENT_SOURCE_MACHINE, data, len);
}

/* Is there memory behind all of [address, address + len)? */
static bool memory_is_there(struct timeline *tl, uint64_t address, bool physical, uint32_t len)
{
    const struct cpu *cpu = tl->m->cpus[tl->eyes];

    while (len) {
        uint64_t n = PAGE_SIZE - (address & ~PAGE_MASK);
        paddr_t pa = address;

        if (!physical && !cpu->ops->translate(cpu, address, &pa))
            return false;
        if (memory_page_of(&tl->m->memory, pa) == UINT32_MAX)
            return false;
        if (n >= len)
            return true;
        address += n;
        len -= (uint32_t)n;
    }
    return true;
}

void timeline_look_by(struct timeline *tl, unsigned cpu)
{
    CHECK(cpu < tl->m->ncpus);
    tl->eyes = cpu;
}

int timeline_write_memory(struct timeline *tl, uint64_t address, bool physical, const void *data,
                          uint32_t len, struct error *err)
{
    uint8_t flag = physical;
    struct buffer b;
    int r;

    if (!len)
        return 0;
    if (!memory_is_there(tl, address, physical, len))
        return error_set(err, -EFAULT, "cannot write memory: there is none at all of 0x%llx..0x%llx",
                         (unsigned long long)address, (unsigned long long)(address + (len - 1)));
    r = branches_make_way(tl, "write memory", err);
    if (r < 0)
        return r;
    buffer_init(&b);
    buffer_append(&b, &address, sizeof(address));
    buffer_append(&b, &flag, 1);
    buffer_append(&b, data, len);
    step_event(tl, EVENT_WRITE_MEMORY, b.data, (uint32_t)b.len);
    buffer_finish(&b);
    return 0;
}

/* Would the CPU take this value? Tried on the state, which is then put back. *lost: the bits that it would drop, of a
 * register where that is refused. */
static bool register_takes(struct timeline *tl, uint32_t number, const void *value, uint64_t *lost)
{
    struct machine *m = tl->m;
    struct cpu *cpu = m->cpus[tl->eyes];
    const struct reg_desc *desc = &cpu->ops->regs[number];
    uint8_t *arena = xmalloc(m->arena_len);
    bool takes;

    memcpy(arena, m->arena, m->arena_len);
    takes = cpu->ops->write_reg(cpu, number, value);
    *lost = 0;
    if (takes && desc->exact) { /* it has 64 bits at most */
        uint8_t now[8];

        cpu->ops->read_reg(cpu, number, now);
        *lost = get_le(value, desc->bits / 8u) & ~get_le(now, desc->bits / 8u);
    }
    memcpy(m->arena, arena, m->arena_len);
    machine_restored(m);
    free(arena);
    return takes;
}

int timeline_write_register(struct timeline *tl, unsigned number, const void *value, uint32_t len,
                            struct error *err)
{
    const struct cpu_ops *ops = tl->m->cpus[tl->eyes]->ops;
    uint32_t n = number;
    uint64_t lost;
    struct buffer b;
    int r;

    if (number >= ops->nregs)
        return error_set(err, -EINVAL, "there is no register number %u", number);
    if (len != ops->regs[number].bits / 8u)
        return error_set(err, -EINVAL, "register %s has %u bits, not %u", ops->regs[number].name,
                         (unsigned)ops->regs[number].bits, len * 8);
    if (!register_takes(tl, n, value, &lost))
        return error_set(err, -EINVAL, "register %s cannot be written, or not with this value",
                         ops->regs[number].name);
    if (lost)
        return error_set(err, -EINVAL, "register %s cannot have these bits of the value: 0x%" PRIx64 " (reserved)", ops->regs[number].name, lost);
    r = branches_make_way(tl, "write a register", err);
    if (r < 0)
        return r;
    buffer_init(&b);
    buffer_append(&b, &n, sizeof(n));
    buffer_append(&b, value, len);
    step_event(tl, EVENT_WRITE_REGISTER, b.data, (uint32_t)b.len);
    buffer_finish(&b);
    return 0;
}

void outside_hold(struct timeline *tl)
{
    uint8_t mask[8];

    if (machine_held(tl->m) == tl->hold || tl->m->st->end || env_step_event_at(tl, tl->m->st->position))
        return;
    put_le(mask, tl->hold, sizeof(mask));
    env_append_step(tl, EVENT_HOLD, EVENT_SOURCE_MACHINE, mask, sizeof(mask));
}

int timeline_hold(struct timeline *tl, uint64_t cpus, struct error *err)
{
    icount_t here = tl->m->st->position;
    int r = cpus & ~machine_held(tl->m) ? outside_check_edge(tl, "hold a CPU", err) : 0;

    if (r < 0)
        return r;
    tl->hold = cpus;
    if (!tl->cfg.live || here < tl->edge)
        return 0;
    outside_hold(tl);
    if (env_step_event_at(tl, here))
        make_step(tl);
    return 0;
}

int timeline_reset(struct timeline *tl, struct error *err)
{
    int r = branches_make_way(tl, "reset the machine", err);

    if (r < 0)
        return r;
    step_event(tl, EVENT_RESET, NULL, 0);
    return 0;
}

int timeline_powerdown(struct timeline *tl, struct error *err)
{
    int r = branches_make_way(tl, "press the power button", err);

    if (r < 0)
        return r;
    step_event(tl, EVENT_POWERDOWN, NULL, 0);
    return 0;
}

int timeline_change_medium(struct timeline *tl, const struct drive *d, const struct timeline_medium *medium,
                           struct error *err)
{
    const struct drive_insertion in = {.size = medium->size, .number = medium->number, .read_only = medium->read_only};
    uint8_t head[EVENT_MEDIUM_HEAD] = {0};
    struct buffer b;
    int r = drive_can_insert(d, &in, err);

    if (r == 0)
        r = branches_make_way(tl, "change a medium", err);
    if (r < 0)
        return r;
    put_le64(head, in.size);
    put_le32(head + 8, !in.size ? d->medium->number : in.number ? in.number : d->medium->count);
    head[12] = in.read_only;
    buffer_init(&b);
    buffer_append(&b, head, sizeof(head));
    buffer_printf(&b, "%s", medium->file ? medium->file : "");
    buffer_append_byte(&b, 0);
    buffer_printf(&b, "%s", medium->format ? medium->format : "");
    buffer_append_byte(&b, 0);
    step_event_of(tl, EVENT_MEDIUM, (uint16_t)d->index, b.data, (uint32_t)b.len);
    buffer_finish(&b);
    return 0;
}
