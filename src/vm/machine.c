/*
 * The machine: its arena, and the order of things around the CPU's steps. See
 * machine.h, which states that order; machine_run() is the only place that
 * carries it out.
 *
 * Deadlines are asked for again only when a device may have changed: at the
 * start of a run, after an expiry or an event, and when the CPU came back with
 * cpu.attention set.
 */
#include "vm/machine.h"

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/error.h"
#include "base/hash.h"
#include "vm/line.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_ALIGN 64u /* of each component; the arena itself begins on a page */

/* ---- the arena in pages ---- */

static const uint8_t *arena_page(const struct page_space *s, uint64_t n)
{
    const struct machine *m = s->owner;

    return m->arena + ((size_t)n << PAGE_SHIFT);
}

static void arena_each(const struct page_space *s, page_space_fn *each, void *ctx)
{
    for (uint64_t n = 0; n < s->count; n++)
        each(ctx, n, arena_page(s, n));
}

static bool arena_is_dirty(const struct page_space *s, uint64_t n)
{
    (void)s;
    (void)n;
    return true;
}

static void arena_restore(struct page_space *s, uint64_t n, const uint8_t *bytes)
{
    struct machine *m = s->owner;
    size_t at = (size_t)n << PAGE_SHIFT, len = m->arena_len - at < PAGE_SIZE ? m->arena_len - at : PAGE_SIZE;

    CHECK(n < s->count);
    if (bytes)
        memcpy(m->arena + at, bytes, len);
    else
        memset(m->arena + at, 0, len);
}

static const struct page_space_ops arena_ops = {
    .page = arena_page,
    .pages = arena_each,
    .is_dirty = arena_is_dirty,
    .restore = arena_restore,
};

/* ---- making and parts ---- */

void machine_add_pages(struct machine *m, struct page_space *s)
{
    CHECK(m->nspaces < MACHINE_MAX_SPACES);
    for (unsigned i = 0; i < m->nspaces; i++)
        CHECK(strcmp(m->spaces[i]->name, s->name));
    m->spaces[m->nspaces++] = s;
}

void machine_lay_out(struct machine *m)
{
    uint64_t first = 0;

    m->arena_pages.count = (m->arena_len + PAGE_SIZE - 1) >> PAGE_SHIFT;
    m->nareas = 0;
    for (unsigned i = 0; i < m->nspaces; i++) {
        m->spaces[i]->first = first;
        first += m->spaces[i]->count;
        for (unsigned k = 0; k < m->spaces[i]->nareas; k++)
            m->areas[m->nareas++] = &m->spaces[i]->areas[k];
    }
}

uint64_t machine_pages(const struct machine *m)
{
    const struct page_space *last = m->spaces[m->nspaces - 1];

    return last->first + last->count;
}

struct page_space *machine_space_of(const struct machine *m, uint64_t global, uint64_t *n)
{
    for (unsigned i = 0; i < m->nspaces; i++) {
        struct page_space *s = m->spaces[i];

        if (global < s->first || global - s->first >= s->count)
            continue;
        *n = global - s->first;
        return s;
    }
    return NULL;
}

struct machine *machine_create(uint32_t max_pages)
{
    struct machine *m = xcalloc(1, sizeof(*m));

    m->arena = aligned_alloc(PAGE_SIZE, MACHINE_ARENA_BYTES);
    CHECK(m->arena);
    memset(m->arena, 0, MACHINE_ARENA_BYTES);
    m->traps = xcalloc(1, sizeof(*m->traps));
    m->traps->asked = ICOUNT_MAX;
    m->st = machine_alloc_state(m, "machine", MACHINE_STATE_VERSION, sizeof(*m->st));
    m->schedule.quantum = SCHEDULE_QUANTUM;
    if (memory_init(&m->memory, m, max_pages) < 0) {
        machine_destroy(m);
        return NULL;
    }
    page_space_init(&m->arena_pages, "arena", &arena_ops, m);
    m->arena_pages.always_dirty = true;
    machine_add_pages(m, &m->memory.pages);
    machine_add_pages(m, &m->arena_pages);
    return m;
}

void machine_destroy(struct machine *m)
{
    if (!m)
        return;
    if (m->board_destroy)
        m->board_destroy(m);
    for (unsigned i = 0; i < m->ncpus; i++)
        if (m->cpus[i]->ops->destroy)
            m->cpus[i]->ops->destroy(m->cpus[i]);
    for (unsigned i = 0; i < m->ndevices; i++) {
        if (m->devices[i]->ops->destroy)
            m->devices[i]->ops->destroy(m->devices[i]);
        free(m->devices[i]->owned);
        free(m->devices[i]);
    }
    for (unsigned i = 0; i < m->ndrives; i++)
        drive_destroy(m->drives[i]);
    memory_finish(&m->memory);
    free(m->traps->list);
    traps_drop_pending(m->traps);
    free(m->traps->pending);
    free(m->traps);
    free(m->arena);
    free(m);
}

void *machine_alloc_state(struct machine *m, const char *name, uint32_t version, size_t size)
{
    size_t room = (size + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
    struct component *c;
    void *p = m->arena + m->arena_len;

    CHECK(m->ncomponents < ARRAY_LEN(m->components));
    CHECK(room >= size && room <= MACHINE_ARENA_BYTES - m->arena_len);
    CHECK(strlen(name) < sizeof(c->name));
    c = &m->components[m->ncomponents++];
    strcpy(c->name, name);
    c->offset = (uint32_t)m->arena_len;
    c->size = (uint32_t)size;
    c->version = version;
    m->arena_len += room;
    return p;
}

void machine_add_cpu(struct machine *m, struct cpu *cpu)
{
    char name[32];

    CHECK(m->ncpus < MACHINE_MAX_CPUS);
    snprintf(name, sizeof(name), "cpu%u.share", m->ncpus);
    cpu->share = machine_alloc_state(m, name, CPU_SHARE_VERSION, sizeof(*cpu->share));
    cpu->index = m->ncpus;
    cpu->line = LINE_NONE;
    m->cpus[m->ncpus++] = cpu;
    if (!m->runner)
        m->runner = cpu;
}

struct device *machine_add_device(struct machine *m, const struct device_ops *ops, const char *name,
                                  void *wiring)
{
    struct device *dev = xcalloc(1, sizeof(*dev));

    CHECK(m->ndevices < MACHINE_MAX_DEVICES);
    CHECK(strlen(name) < sizeof(dev->name));
    CHECK(!machine_find_device(m, name));
    dev->ops = ops;
    dev->machine = m;
    dev->wiring = wiring;
    dev->index = (uint16_t)m->ndevices;
    strcpy(dev->name, name);
    dev->state = machine_alloc_state(m, name, ops->state_version, ops->state_size);
    m->devices[m->ndevices++] = dev;
    return dev;
}

struct device *machine_add_owned_device(struct machine *m, const struct device_ops *ops, const char *name, size_t size)
{
    void *wiring = xcalloc(1, size);
    struct device *dev = machine_add_device(m, ops, name, wiring);

    dev->owned = wiring;
    return dev;
}

struct device *machine_find_device(const struct machine *m, const char *name)
{
    for (unsigned i = 0; i < m->ndevices; i++)
        if (!strcmp(m->devices[i]->name, name))
            return m->devices[i];
    return NULL;
}

static void reset_as(struct machine *m, enum reset_kind kind)
{
    m->acting = "a reset";
    m->resetting = kind;
    m->st->end = GUEST_RUNS;
    m->st->end_status = 0;
    m->st->reset_request = 0;
    for (unsigned i = 0; i < m->ndrives; i++)
        drive_lock(m->drives[i], false);
    if (m->board_reset)
        m->board_reset(m);
    for (unsigned i = 0; i < m->ndevices; i++)
        if (m->devices[i]->ops->reset)
            m->devices[i]->ops->reset(m->devices[i]);
    for (unsigned i = 0; i < m->ncpus; i++)
        if (m->cpus[i]->ops->reset)
            m->cpus[i]->ops->reset(m->cpus[i]);
    if (m->board_started)
        m->board_started(m);
    machine_drop_derived(m);
    m->acting = NULL;
    m->resetting = RESET_NONE;
}

void machine_reset(struct machine *m)
{
    reset_as(m, RESET_SYSTEM);
}

void machine_drop_derived(struct machine *m)
{
    m->awake_stale = true;
    for (unsigned i = 0; i < m->ncpus; i++)
        if (m->cpus[i]->ops->drop_derived)
            m->cpus[i]->ops->drop_derived(m->cpus[i]);
    line_renew(m);
}

void machine_restored(struct machine *m)
{
    m->between = false;
    traps_drop_pending(m->traps);
    for (unsigned i = 0; i < m->ncpus; i++)
        m->cpus[i]->stepped = 0;
    for (unsigned i = 0; i < m->ndrives; i++)
        drive_restored(m->drives[i]);
    for (unsigned i = 0; i < m->ndevices; i++)
        if (m->devices[i]->ops->restored)
            m->devices[i]->ops->restored(m->devices[i]);
    if (m->board_restored)
        m->board_restored(m);
    machine_drop_derived(m);
}

/* Positions and times that do not overflow, whatever is done with them. */
#define TIME_MAX ((uint64_t)1 << 62)

static bool state_possible(const struct machine *m)
{
    const struct machine_state *st = m->st;

    return st->position <= TIME_MAX >> m->icount_shift && st->warp <= TIME_MAX &&
           (st->position << m->icount_shift) + st->warp <= TIME_MAX && st->end <= GUEST_WATCHDOG &&
           st->reset_request <= RESET_WAKE;
}

bool machine_deadline_possible(const struct machine *m, vtime_t t)
{
    vtime_t now = machine_now(m);

    return t == VTIME_NEVER || (t < TIME_MAX * 2 && t + 1000000000u >= now);
}

static bool device_possible(const struct device *d)
{
    if (d->ops->possible && !d->ops->possible(d))
        return false;
    return !d->ops->deadline || machine_deadline_possible(d->machine, d->ops->deadline(d));
}

const char *machine_impossible_part(const struct machine *m)
{
    if (!state_possible(m))
        return "machine";
    for (unsigned i = 0; i < m->ndrives; i++)
        if (!drive_possible(m->drives[i]))
            return m->drives[i]->name;
    for (unsigned i = 0; i < m->ndevices; i++)
        if (!device_possible(m->devices[i]))
            return m->devices[i]->name;
    for (unsigned i = 0; i < m->ncpus; i++) {
        const struct cpu *cpu = m->cpus[i];

        if (cpu->ops->possible && !cpu->ops->possible(cpu))
            return "cpu";
        if (cpu->share->steps > m->st->position || cpu->share->yielded > m->st->position ||
            cpu->share->held > 1)
            return "cpu's share";
    }
    return NULL;
}

/* ---- position and time ---- */

icount_t machine_position(const struct machine *m)
{
    const struct cpu *cpu = m->runner;

    if (cpu && cpu->running)
        return cpu->limit - cpu->budget - cpu->steps;
    return m->st->position;
}

vtime_t machine_now(const struct machine *m)
{
    return (machine_position(m) << m->icount_shift) + m->st->warp;
}

void machine_warp(struct machine *m, vtime_t to)
{
    vtime_t now = machine_now(m);

    CHECK(to >= now && to != VTIME_NEVER);
    m->st->warp += to - now;
    m->between = true;
}

/* The first position at which the clock shows `t` or later; ICOUNT_MAX for never. */
static icount_t position_of(const struct machine *m, vtime_t t)
{
    vtime_t step = (vtime_t)1 << m->icount_shift;
    vtime_t since;

    if (t == VTIME_NEVER)
        return ICOUNT_MAX;
    if (t <= m->st->warp)
        return 0;
    since = t - m->st->warp;
    return (since >> m->icount_shift) + ((since & (step - 1)) != 0);
}

/* ---- requests of device and CPU code ---- */

void machine_attention(struct machine *m)
{
    m->awake_stale = true;
    if (m->runner)
        m->runner->attention = true;
}

void machine_end(struct machine *m, enum guest_end end, uint32_t status)
{
    m->st->end = end;
    m->st->end_status = status;
    machine_attention(m);
}

bool machine_stops_here(const struct machine *m)
{
    return m->stop_at_end && m->st->end && m->st->position != m->end_passed;
}

void machine_request_reset(struct machine *m)
{
    if (m->no_reboot) {
        machine_end(m, GUEST_RESET, 0);
        return;
    }
    m->st->reset_request = RESET_SYSTEM;
    machine_attention(m);
}

void machine_request_sleep(struct machine *m)
{
    m->st->reset_request = RESET_SLEEP;
    machine_attention(m);
}

void machine_request_wake(struct machine *m)
{
    m->st->reset_request = RESET_WAKE;
    machine_attention(m);
}

uint64_t machine_host_clock(struct machine *m)
{
    return m->env && m->env->host_clock ? m->env->host_clock(m->env->ctx, m) : 0;
}

void machine_entropy(struct machine *m, void *buf, size_t len)
{
    memset(buf, 0, len);
    if (m->env && m->env->entropy)
        m->env->entropy(m->env->ctx, m, buf, len);
}

void machine_file_call(struct machine *m, const struct file_request *request, struct file_answer *answer)
{
    answer->error = EACCES;
    answer->value = answer->offset = 0;
    if (m->env && m->env->file_call)
        m->env->file_call(m->env->ctx, m, request, answer);
}

size_t machine_sound(struct device *dev, uint64_t at, uint32_t rate, int32_t *samples, size_t n)
{
    const struct machine_env *env = dev->machine->env;

    return env && env->sound ? env->sound(env->ctx, dev, at, rate, samples, n) : 0;
}

/* For who searches what was put out. */
static void note_output(const struct device *dev, const uint8_t *bytes, size_t len)
{
    for (size_t at = 0; at < len; at += TRAP_BYTES) {
        struct trap_hit note = {.kind = TRAP_OUTPUT, .number = dev->index, .len = len - at < TRAP_BYTES ? len - at : TRAP_BYTES};

        memcpy(note.before, bytes + at, note.len);
        traps_add_note(dev->machine, &note);
    }
}

void machine_output(struct device *dev, const void *buf, size_t len)
{
    const struct machine_env *env = dev->machine->env;

    if (dev->machine->traps->notes & TRAP_OUTPUT)
        note_output(dev, buf, len);
    if (env && env->output)
        env->output(env->ctx, dev, buf, len);
}

void machine_arrived(struct device *dev, const void *frame, size_t len, uint64_t number, const char *dropped)
{
    const struct machine_env *env = dev->machine->env;

    if (env && env->arrived)
        env->arrived(env->ctx, dev, frame, len, number, dropped);
}

void machine_tell(struct device *dev, const char *text)
{
    const struct machine_env *env = dev->machine->env;

    if (env && env->told)
        env->told(env->ctx, dev, text);
}

/* ---- who acts ---- */

static vtime_t deadline_of(const struct device *dev)
{
    return dev->ops->deadline ? dev->ops->deadline(dev) : VTIME_NEVER;
}

static size_t room_of(const struct device *dev)
{
    return dev->ops->input_room ? dev->ops->input_room(dev) : SIZE_MAX;
}

/* What an access to a device may change that the run depends on, if it is calm. */
struct calm {
    vtime_t deadline;
    size_t room;
};

static inline struct calm calm_now(const struct device *dev)
{
    return (struct calm){deadline_of(dev), room_of(dev)};
}

static inline void look_at_calm(struct device *dev, struct calm before)
{
    if (deadline_of(dev) != before.deadline || room_of(dev) != before.room)
        machine_attention(dev->machine);
}

uint64_t device_read(struct device *dev, unsigned range, uint64_t offset, unsigned size)
{
    struct machine *m = dev->machine;
    const char *acted = m->acting;
    uint64_t value;

    m->acting = dev->name;
    if (dev->ops->calm_reads) {
        struct calm before = calm_now(dev);

        value = dev->ops->read(dev, range, offset, size);
        look_at_calm(dev, before);
    } else {
        machine_attention(m);
        value = dev->ops->read(dev, range, offset, size);
    }
    m->acting = acted;
    return value;
}

void device_write(struct device *dev, unsigned range, uint64_t offset, unsigned size, uint64_t value)
{
    struct machine *m = dev->machine;
    const char *acted = m->acting;

    m->acting = dev->name;
    if (dev->ops->calm_writes) {
        struct calm before = calm_now(dev);

        dev->ops->write(dev, range, offset, size, value);
        look_at_calm(dev, before);
    } else {
        machine_attention(m);
        dev->ops->write(dev, range, offset, size, value);
    }
    m->acting = acted;
}

static void expire(struct device *dev, vtime_t now)
{
    dev->machine->acting = dev->name;
    dev->ops->expire(dev, now);
    dev->machine->acting = NULL;
}

/* ---- events ---- */

/* Whose address, whose register: the event's source. */
static struct cpu *cpu_of_event(const struct machine *m, const struct event *e)
{
    return m->ncpus ? m->cpus[e->source < m->ncpus ? e->source : 0] : NULL;
}

/* EVENT_WRITE_MEMORY: bytes behind unmapped addresses are dropped. */
static void write_memory(struct machine *m, const struct event *e)
{
    const struct cpu *cpu = cpu_of_event(m, e);
    uint64_t addr;
    const uint8_t *p;
    size_t len;
    bool physical;

    if (e->len < 9)
        return;
    addr = get_le(e->data, 8);
    physical = e->data[8] != 0;
    p = e->data + 9;
    len = e->len - 9;
    while (len) {
        size_t n = PAGE_SIZE - (addr & ~PAGE_MASK);
        paddr_t pa = addr;

        if (n > len)
            n = len;
        if (physical || (cpu && cpu->ops->translate && cpu->ops->translate(cpu, addr, &pa)))
            memory_write_bytes(&m->memory, pa, p, n, true);
        addr += n;
        p += n;
        len -= n;
    }
}

/* EVENT_WRITE_REGISTER. */
static void write_register(struct machine *m, const struct event *e)
{
    struct cpu *cpu = cpu_of_event(m, e);
    const struct cpu_ops *ops = cpu ? cpu->ops : NULL;
    uint32_t n;

    if (!ops || !ops->write_reg || e->len < 4)
        return;
    n = (uint32_t)get_le(e->data, 4);
    if (n >= ops->nregs || e->len - 4 != ops->regs[n].bits / 8u)
        return;
    ops->write_reg(cpu, n, e->data + 4);
}

static void change_medium(struct machine *m, const struct event *e)
{
    struct drive_insertion in;
    struct error err;

    if (e->len < EVENT_MEDIUM_HEAD || e->source >= m->ndrives)
        return;
    in = (struct drive_insertion){.size = get_le(e->data, 8), .number = (uint32_t)get_le(e->data + 8, 4), .read_only = e->data[12]};
    if (drive_can_insert(m->drives[e->source], &in, &err) == 0)
        drive_insert(m->drives[e->source], &in);
}

static void hold_cpus(struct machine *m, const struct event *e)
{
    if (e->len != 8)
        return;
    for (unsigned i = 0; i < m->ncpus; i++)
        m->cpus[i]->share->held = (uint32_t)(get_le(e->data, 8) >> i & 1);
}

/* Events come from files too: what makes no sense is ignored, but a step stays a step. */
static void apply_event(struct machine *m, const struct event *e)
{
    struct device *dev;

    m->between = m->awake_stale = true;
    switch (e->kind) {
    case EVENT_INPUT:
        dev = e->source < m->ndevices ? m->devices[e->source] : NULL;
        m->acting = dev ? dev->name : NULL;
        if (dev && dev->ops->input) {
            dev->refused = NULL;
            dev->ops->input(dev, e);
            if (dev->listener)
                dev->listener->ops->input(dev->listener, e);
        }
        break;
    case EVENT_WRITE_MEMORY:
        m->acting = "the debugger";
        write_memory(m, e);
        break;
    case EVENT_WRITE_REGISTER:
        write_register(m, e);
        break;
    case EVENT_RESET:
        machine_reset(m);
        break;
    case EVENT_POWERDOWN:
        if (m->powerdown)
            m->powerdown(m);
        break;
    case EVENT_MEDIUM:
        change_medium(m, e);
        break;
    case EVENT_HOLD:
        hold_cpus(m, e);
        break;
    default:
        break;
    }
    m->acting = NULL;
    if (event_is_step(e->kind)) {
        m->st->position++;
        m->between = false;
    }
}

/* ---- running ---- */

/* The device whose deadline comes first (the oldest of equals), or NULL. */
static struct device *least_deadline(const struct machine *m, vtime_t *when)
{
    struct device *first = NULL;

    *when = VTIME_NEVER;
    for (unsigned i = 0; i < m->ndevices; i++) {
        struct device *dev = m->devices[i];
        vtime_t t = dev->ops->deadline ? dev->ops->deadline(dev) : VTIME_NEVER;

        if (t < *when) {
            *when = t;
            first = dev;
        }
    }
    return first;
}

vtime_t machine_heard_deadline(const struct machine *m)
{
    vtime_t least = VTIME_NEVER;

    for (unsigned i = 0; i < m->ndevices; i++) {
        const struct device *dev = m->devices[i];
        vtime_t t = deadline_of(dev);

        if (t < least && !(dev->ops->unheard && dev->ops->unheard(dev)))
            least = t;
    }
    return least;
}

static const struct event *peek_event(struct machine *m)
{
    const struct event *e = m->env && m->env->peek_event ? m->env->peek_event(m->env->ctx, m) : NULL;

    if (e)
        CHECK(e->position >= m->st->position);
    return e;
}

static void take_event(struct machine *m, const struct event *e)
{
    struct event copy = *e;

    if (m->env->take_event)
        m->env->take_event(m->env->ctx, m);
    apply_event(m, &copy);
}

static bool is_awake(const struct cpu *cpu)
{
    if (cpu->share->held)
        return false;
    return !cpu->ops->idle || !cpu->ops->idle(cpu);
}

/* Bit n: cpus[n] is awake. */
static uint64_t who_is_awake(struct machine *m)
{
    if (m->awake_stale) {
        m->awake_stale = false;
        m->awake = 0;
        for (unsigned i = 0; i < m->ncpus; i++)
            m->awake |= (uint64_t)is_awake(m->cpus[i]) << i;
    }
    return m->awake;
}

/* ---- turns ---- */

static const struct time_slot *slot_at(struct machine *m, icount_t position)
{
    if (position < m->slot.first || position >= m->slot.end)
        m->slot = schedule_slot(&m->schedule, m->ncpus, m->icount_shift, position);
    return &m->slot;
}

/* Whose is the step from here, and before which position may it be another's? At least one is awake. */
static struct cpu *whose_turn(struct machine *m, icount_t *end)
{
    uint64_t awake = who_is_awake(m);
    const struct time_slot *slot;
    struct cpu *best = NULL;
    unsigned least = UINT_MAX;

    *end = ICOUNT_MAX;
    if (!(awake & (awake - 1)))
        return m->cpus[__builtin_ctzll(awake)];
    slot = slot_at(m, m->st->position);
    *end = slot->end;
    for (unsigned i = 0, n = slot->cpu; i < m->ncpus && least; i++, n = n + 1 == m->ncpus ? 0 : n + 1) {
        unsigned behind = 2u * (n == slot->starved) + (m->cpus[n]->share->yielded == slot->first + 1);

        if ((awake >> n & 1) && behind < least) {
            least = behind;
            best = m->cpus[n];
        }
    }
    return best;
}

unsigned machine_whose_turn(struct machine *m)
{
    icount_t end;

    m->awake_stale = true;
    return who_is_awake(m) ? whose_turn(m, &end)->index : 0;
}

uint64_t machine_held(const struct machine *m)
{
    uint64_t held = 0;

    for (unsigned i = 0; i < m->ncpus; i++)
        held |= (uint64_t)(m->cpus[i]->share->held != 0) << i;
    return held;
}

bool machine_waits_for_held(const struct machine *m)
{
    uint64_t held = machine_held(m);
    bool waits = false;

    for (unsigned i = 0; held && i < m->ncpus; i++) {
        if (held >> i & 1)
            continue;
        waits = m->cpus[i]->ops->awaits && m->cpus[i]->ops->awaits(m->cpus[i]);
        if (!waits)
            return false;
    }
    return waits;
}

bool machine_is_deaf(const struct machine *m)
{
    bool deaf = false;

    if (m->asleep && m->asleep(m))
        return false;
    for (unsigned i = 0; i < m->ncpus; i++) {
        const struct cpu *cpu = m->cpus[i];

        if (cpu->ops->deaf && cpu->ops->deaf(cpu))
            deaf = true;
        else if (!cpu->ops->awaits || !cpu->ops->awaits(cpu))
            return false;
    }
    return deaf;
}

bool machine_upgrade_share(struct cpu *cpu, uint32_t version, const void *old, size_t len)
{
    if (version != 1 || len != offsetof(struct cpu_share, held))
        return false;
    memcpy(cpu->share, old, len);
    cpu->share->held = cpu->share->reserved = 0;
    return true;
}

bool machine_yield(struct cpu *cpu, icount_t position)
{
    struct machine *m = cpu->machine;
    icount_t mark;

    if (m->ncpus == 1)
        return false;
    mark = slot_at(m, position)->first + 1;
    if (cpu->share->yielded == mark)
        return false; /* whose turn it is was settled with that */
    cpu->share->yielded = mark;
    if (!(who_is_awake(m) & ~((uint64_t)1 << cpu->index)))
        return false;
    cpu->attention = true;
    return true;
}

/* What one round of machine_run() has to look at. */
struct agenda {
    vtime_t deadline;      /* the least, */
    struct device *device; /* and whose it is */
    bool stale;            /* both must be asked for again */
};

/* Do one thing that belongs to the step from the current position and is due
 * now (rule 1). False: nothing is due; *e is the next event or NULL. */
static bool do_one_due(struct machine *m, struct agenda *a, const struct event **event)
{
    vtime_t now = machine_now(m);
    const struct event *e = peek_event(m);
    bool event_here = e && e->position == m->st->position;

    *event = e;
    if (a->stale) {
        a->device = least_deadline(m, &a->deadline);
        a->stale = false;
    }
    if (a->device && a->deadline <= now && !(event_here && e->vtime < a->deadline)) {
        m->between = m->awake_stale = true;
        expire(a->device, now);
        a->stale = true;
        return true;
    }
    /* An event later than the clock waits for the CPUs to sleep until then; if one
     * does not sleep it comes now, for it belongs to this position. */
    if (event_here && (e->vtime <= now || who_is_awake(m))) {
        take_event(m, e);
        a->stale = true;
        return true;
    }
    return false;
}

/* All CPUs sleep (rule 2). True: the clock was moved; false: *stop says why not. */
static bool sleep_on(struct machine *m, const struct agenda *a, const struct event *e, struct stop *stop)
{
    vtime_t wake = a->deadline;

    if (e && e->position == m->st->position && e->vtime < wake)
        wake = e->vtime;
    if (m->stop_when_idle || wake == VTIME_NEVER) {
        stop->kind = STOP_IDLE;
        stop->wake = wake;
        return false;
    }
    machine_warp(m, wake);
    return true;
}

/* Let the CPU whose turn it is make steps (rule 3), up to whatever comes first. */
static void run_cpu(struct machine *m, icount_t until, struct agenda *a, const struct event *e)
{
    icount_t limit = until, end;
    icount_t due = position_of(m, a->deadline);
    struct cpu *cpu = whose_turn(m, &end);

    if (end < limit)
        limit = end;
    /* What was touched before the step is told after it. */
    if (m->traps->npending)
        limit = m->st->position + 1;
    if (due < limit)
        limit = due;
    if (e && e->position < limit)
        limit = e->position;
    if (m->fail_at > m->st->position && m->fail_at < limit)
        limit = m->fail_at;
    if (cpu->ops->room) {
        icount_t room = cpu->ops->room(cpu);

        if (room < limit - m->st->position)
            limit = m->st->position + room;
    }
    CHECK(!m->fail_at || m->fail_at != m->st->position);
    CHECK(limit > m->st->position);
    m->run_from = m->st->position;
    m->runner = cpu;
    cpu->attention = false;
    cpu->ops->run(cpu, limit);
    CHECK(m->st->position >= m->run_from && m->st->position <= limit);
    if (m->st->position != m->run_from) {
        m->between = false;
        if (cpu->ops->stood)
            cpu->ops->stood(cpu);
    }
    a->stale |= cpu->attention;
    m->awake = (m->awake & ~((uint64_t)1 << cpu->index)) | (uint64_t)is_awake(cpu) << cpu->index;
}

/* The guest has ended: apply an event that is bound to here, if any. */
static bool do_event_at_end(struct machine *m)
{
    const struct event *e = peek_event(m);

    if (!e || e->position != m->st->position)
        return false;
    take_event(m, e);
    return true;
}

/* Was a step made from `start` that ends where an instruction does, and is that all that is wanted? */
static bool at_wanted_boundary(const struct machine *m, icount_t start)
{
    const struct cpu *cpu = m->runner;

    if (!m->wanted || m->st->position == start)
        return false;
    /* A step of nobody's. */
    if (cpu->stepped != m->st->position)
        return true;
    return cpu->to_boundary && cpu->ops->in_progress(cpu) == ICOUNT_MAX;
}

/* A step is no CPU's, and happens to all. */
static void step_of_all(struct machine *m)
{
    m->st->position++;
    m->between = false;
    for (unsigned i = 0; i < m->ncpus; i++)
        m->cpus[i]->stepped = m->st->position;
}

static enum stop_kind run(struct machine *m, icount_t until, struct stop *stop)
{
    struct agenda a = {.stale = true};
    icount_t start = m->st->position;
    const struct event *e;

    for (;;) {
        if (m->traps->npending)
            traps_report_pending(m);
        if (m->traps->stopped) {
            stop->hit = m->traps->stop_hit;
            return STOP_TRAP;
        }
        if (m->st->position == until || at_wanted_boundary(m, start))
            return STOP_LIMIT;
        if (m->st->end) {
            if (machine_stops_here(m) || !do_event_at_end(m))
                return STOP_GUEST_END;
            a.stale = true;
            continue;
        }
        if (do_one_due(m, &a, &e)) {
            /* An end that a deadline brought (a watchdog's) is in the state of no position, as long as no step follows. */
            if (m->st->end && m->between) {
                step_of_all(m);
                if (m->wanted)
                    return STOP_LIMIT;
            }
            continue;
        }
        if (m->st->reset_request) {
            reset_as(m, m->st->reset_request);
            step_of_all(m);
            a.stale = true;
            if (m->wanted)
                return STOP_LIMIT;
            continue;
        }
        if (!who_is_awake(m)) {
            if (!sleep_on(m, &a, e, stop))
                return STOP_IDLE;
            continue;
        }
        run_cpu(m, until, &a, e);
    }
}

static void run_until(struct machine *m, icount_t until, struct stop *stop)
{
    CHECK(m->ncpus && !m->runner->running);
    CHECK(until >= m->st->position);
    *stop = (struct stop){.wake = VTIME_NEVER};
    m->traps->asked = ICOUNT_MAX;
    m->traps->stopped = false;
    traps_forget_pending(m);
    m->run_from = m->st->position;
    m->awake_stale = true;
    stop->kind = run(m, until, stop);
    stop->cpu = stop->kind == STOP_TRAP ? stop->hit.cpu : m->runner->index;
}

static void set_wanted(struct machine *m, uint64_t cpus)
{
    m->wanted = cpus;
    for (unsigned i = 0; i < m->ncpus; i++)
        m->cpus[i]->to_boundary = cpus >> i & 1;
}

void machine_run(struct machine *m, icount_t until, struct stop *stop)
{
    set_wanted(m, 0);
    run_until(m, until, stop);
}

void machine_run_instruction(struct machine *m, icount_t until, uint64_t cpus, struct stop *stop)
{
    set_wanted(m, cpus);
    run_until(m, until, stop);
}

/* ---- hashes ---- */

uint64_t machine_hash(struct machine *m)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < m->nspaces; i++)
        sum += page_space_hash(m->spaces[i]);
    for (unsigned i = 0; i < m->ncomponents; i++)
        sum += machine_component_hash(m, i);
    return sum;
}

uint64_t component_hash(const struct component *c, const uint8_t *bytes)
{
    return hash_bytes(hash_bytes(0, c->name, strlen(c->name)), bytes, c->size);
}

uint64_t machine_component_hash(const struct machine *m, unsigned component)
{
    CHECK(component < m->ncomponents);
    return component_hash(&m->components[component], m->arena + m->components[component].offset);
}
