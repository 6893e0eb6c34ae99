/* The toy machine; see toy.h. */
#include "toy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/error.h"
#include "vm/footprint.h"

uint32_t toy_rand(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

/* ---- devices ---- */

DEVICE_STATE_BEGIN
struct timer_state {
    uint64_t when;      /* VTIME_NEVER: off */
    uint64_t period;    /* 0: one-shot */
    uint32_t silent;
    uint32_t count;     /* expiries */
    uint64_t clock;     /* host clock at the last expiry (timer 2 only) */
};
struct serial_state {
    uint8_t fifo[4];
    uint32_t count;
};
struct disk_state {
    uint64_t when;      /* the operation is done then; VTIME_NEVER: there is none */
    uint64_t place;     /* on the disk */
    uint32_t address;   /* in memory */
    uint32_t len;
    uint32_t write;
    uint32_t status;    /* sum of what became of operations */
};
DEVICE_STATE_END

static void raise_irq(struct machine *m, unsigned cpu)
{
    toy_state_of(m, cpu % m->ncpus)->irq = 1;
    machine_attention(m);
}

static void timer_reset(struct device *d)
{
    *(struct timer_state *)d->state = (struct timer_state){.when = VTIME_NEVER};
}

static vtime_t timer_deadline(const struct device *d)
{
    return ((const struct timer_state *)d->state)->when;
}

static void timer_expire(struct device *d, vtime_t now)
{
    struct timer_state *t = d->state;

    (void)now;
    t->count++;
    t->when = t->period ? t->when + t->period : VTIME_NEVER;
    if (d->name[5] == '2')
        t->clock = machine_host_clock(d->machine);
    if (!t->silent)
        raise_irq(d->machine, d->index);
    if (t->count % 7 == 0)
        machine_output(d, "t", 1);
}

static const struct device_ops timer_ops = {
    .name = "timer",
    .state_size = sizeof(struct timer_state),
    .reset = timer_reset,
    .deadline = timer_deadline,
    .expire = timer_expire,
};

static void serial_reset(struct device *d)
{
    memset(d->state, 0, sizeof(struct serial_state));
}

static void serial_input(struct device *d, const struct event *e)
{
    struct serial_state *s = d->state;

    for (uint32_t i = 0; i < e->len && s->count < sizeof(s->fifo); i++)
        s->fifo[s->count++] = e->data[i];
    raise_irq(d->machine, d->index);
}

static size_t serial_room(const struct device *d)
{
    const struct serial_state *s = d->state;

    return sizeof(s->fifo) - s->count;
}

static bool serial_possible(const struct device *d)
{
    const struct serial_state *s = d->state;

    return s->count <= sizeof(s->fifo);
}

/* Version 99 is the same bytes: for tests of recordings that are older than this toy. */
static bool serial_upgrade(struct device *dev, uint32_t version, const void *old, size_t len)
{
    if (version != 99 || len != dev->ops->state_size)
        return false;
    memcpy(dev->state, old, len);
    return true;
}

static const struct device_ops serial_ops = {
    .name = "serial",
    .state_size = sizeof(struct serial_state),
    .reset = serial_reset,
    .input = serial_input,
    .input_room = serial_room,
    .possible = serial_possible,
    .upgrade = serial_upgrade,
};

struct device *toy_serial(struct machine *m)
{
    return m->devices[3];
}

static uint32_t serial_read(struct machine *m)
{
    struct serial_state *s = toy_serial(m)->state;
    uint32_t byte;

    if (!s->count)
        return UINT32_MAX;
    byte = s->fifo[0];
    memmove(s->fifo, s->fifo + 1, --s->count);
    return byte;
}

static void timer_set(struct machine *m, unsigned n, unsigned flags, uint32_t ns)
{
    struct timer_state *t = m->devices[n % 3]->state;

    if (!ns)
        ns = 1;
    t->when = machine_now(m) + ns;
    t->period = flags & 1 ? ns : 0;
    t->silent = (flags & 2) != 0;
    machine_attention(m);
}

static void disk_reset(struct device *d)
{
    *(struct disk_state *)d->state = (struct disk_state){.when = VTIME_NEVER};
}

static vtime_t disk_deadline(const struct device *d)
{
    return ((const struct disk_state *)d->state)->when;
}

static void disk_expire(struct device *d, vtime_t now)
{
    struct disk_state *s = d->state;
    struct drive *drive = d->machine->drives[0];
    uint8_t buf[8192] = {0};
    uint64_t done = 0;

    (void)now;
    s->when = VTIME_NEVER;
    if (s->write) {
        memory_read_bytes(&d->machine->memory, s->address, buf, s->len);
        s->status = s->status * 31 + drive_write(drive, s->place, buf, s->len, &done);
    } else {
        s->status = s->status * 31 + drive_read(drive, s->place, buf, s->len, &done);
        memory_write_bytes(&d->machine->memory, s->address, buf, done, false);
    }
    s->status += (uint32_t)done;
    raise_irq(d->machine, d->index);
}

static bool disk_possible(const struct device *d)
{
    const struct disk_state *s = d->state;

    return s->len <= 8192;
}

static const struct device_ops disk_ops = {
    .name = "disk",
    .state_size = sizeof(struct disk_state),
    .reset = disk_reset,
    .deadline = disk_deadline,
    .expire = disk_expire,
    .possible = disk_possible,
};

#define PROTECTED 0x2000u

static void disk_start(struct machine *m, bool write, uint32_t address, uint32_t place)
{
    struct disk_state *s = m->devices[4]->state;

    if (s->when != VTIME_NEVER)
        return;
    s->len = 1 + place % 8192;
    s->address = PROTECTED + address % (TOY_BYTES - PROTECTED - s->len);
    s->place = place % TOY_DISK_BYTES; /* now and then beyond its end */
    s->write = write;
    s->when = machine_now(m) + drive_duration(m->drives[0], s->len);
    machine_attention(m);
}

int toy_image_read(void *ctx, struct machine *m, const struct drive *d, uint64_t offset, void *buf, size_t len)
{
    (void)ctx;
    (void)m;
    (void)d;
    for (size_t i = 0; i < len; i++)
        ((uint8_t *)buf)[i] = (uint8_t)((offset + i) * 0x9e3779b97f4a7c15u >> 40);
    return 0;
}

/* ---- CPU ---- */

struct toy *toy_of(struct machine *m)
{
    return (struct toy *)m->cpus[0];
}

struct toy_state *toy_state_of(struct machine *m, unsigned n)
{
    return m->cpus[n]->state;
}

struct toy_state *toy_state(struct machine *m)
{
    return toy_state_of(m, 0);
}

static void toy_reset(struct cpu *cpu)
{
    struct toy_state *s = cpu->state;
    uint32_t entries = s->entries;

    memset(s, 0, sizeof(*s));
    s->pc = TOY_START + (entries ? 8 * (entries % 4) : 0) + 8 * 24 * cpu->index;
    s->entries = entries;
    s->halted = s->enabled = cpu->index >= 2;
}

struct step {
    struct toy *toy;
    struct machine *m;
    struct toy_access accesses[4];
    unsigned naccesses;
};

static uint32_t wrap(uint32_t address)
{
    return address % (TOY_BYTES - 4);
}

static void note(struct step *st, unsigned kind, uint32_t pa, uint32_t len)
{
    struct footprint *f = st->m->footprint;
    uint64_t va = pa + TOY_VIRTUAL;

    st->accesses[st->naccesses++] = (struct toy_access){kind, va, len};
    for (uint32_t i = 0; st->m->touches && i < len; i++)
        touches_add(st->m->touches, kind == TRAP_WRITE ? TOUCHED_WRITTEN : TOUCHED_READ, (va + i) >> PAGE_SHIFT,
                    (unsigned)((va + i) & ~PAGE_MASK), 1);
    if (!f)
        return;
    for (uint64_t page = va >> PAGE_SHIFT; page <= (va + len - 1) >> PAGE_SHIFT; page++)
        page_set_add(kind == TRAP_WRITE ? &f->written : &f->read, page);
}

static uint32_t load(struct step *st, uint32_t address)
{
    uint32_t pa = wrap(address);

    note(st, TRAP_READ, pa, 4);
    return (uint32_t)memory_read(&st->m->memory, pa, 4);
}

static void store(struct step *st, uint32_t address, uint32_t value, unsigned size)
{
    uint32_t pa = wrap(address);

    /* Code is modified now and then, not all the time. */
    if (pa < PROTECTED && value % 8)
        pa += PROTECTED;
    note(st, TRAP_WRITE, pa, size);
    memory_write(&st->m->memory, pa, size, value);
}

static void rep(struct step *st, struct toy_state *s, const uint8_t *i, icount_t position)
{
    uint32_t *from = &s->r[i[1] & 7], *to = &s->r[i[2] & 7], *count = &s->r[i[3] & 7], value;

    if (!(*count & 1023)) {
        s->began = 0;
        s->pc += 8;
        return;
    }
    if (!s->began)
        s->began = position + 1;
    value = load(st, *from);
    /* It must not turn itself into something else half-way. */
    store(st, wrap(*to) < PROTECTED ? wrap(*to) + PROTECTED : *to, value, 4);
    *from += 4;
    *to += 4;
    *count = (*count & 1023) - 1;
    if (*count)
        return;
    s->began = 0;
    s->pc += 8;
}

static void execute(struct step *st, struct toy_state *s, icount_t position)
{
    struct machine *m = st->m;
    uint8_t i[8];
    uint32_t imm;

    memory_read_bytes(&m->memory, s->pc, i, sizeof(i));
    memcpy(&imm, i + 4, 4);
    if (i[0] == TOY_REP) {
        rep(st, s, i, position);
        s->pc = wrap(s->pc) & ~7u;
        return;
    }
    s->pc += 8;
    s->began = 0; /* another CPU may have made something else of a repeated instruction */
    switch (i[0]) {
    case TOY_MOVI:
        s->r[i[1] & 7] = imm;
        break;
    case TOY_ADD:
        s->r[i[1] & 7] += s->r[i[2] & 7] + imm;
        break;
    case TOY_XOR:
        s->r[i[1] & 7] ^= s->r[i[2] & 7];
        break;
    case TOY_MUL:
        s->r[i[1] & 7] = s->r[i[1] & 7] * s->r[i[2] & 7] + 1;
        break;
    case TOY_LD:
        s->r[i[1] & 7] = load(st, s->r[i[2] & 7] + imm);
        break;
    case TOY_ST:
        store(st, s->r[i[2] & 7] + imm, s->r[i[1] & 7], 4);
        break;
    case TOY_STB:
        store(st, s->r[i[2] & 7] + imm, s->r[i[1] & 7] & 0xff, 1);
        break;
    case TOY_JNZ:
        if (s->r[i[1] & 7])
            s->pc = imm;
        break;
    case TOY_DJNZ:
        if (--s->r[i[1] & 7])
            s->pc = imm;
        break;
    case TOY_JMP:
        s->pc = imm;
        break;
    case TOY_HLT:
        /* Deaf sleep is for ever: rare. */
        s->halted = s->enabled || s->r[i[1] & 7] % 64 == 1;
        break;
    case TOY_STI:
        s->enabled = !s->in_handler;
        break;
    case TOY_CLI:
        s->enabled = 0;
        break;
    case TOY_IRET:
        if (s->in_handler) {
            s->in_handler = 0;
            s->enabled = 1;
            s->pc = s->return_pc;
        }
        break;
    case TOY_CLOCK:
        s->r[i[1] & 7] = (uint32_t)machine_host_clock(m);
        break;
    case TOY_RANDOM:
        machine_entropy(m, &s->r[i[1] & 7], 4);
        break;
    case TOY_OUT:
        machine_output(toy_serial(m), &s->r[i[1] & 7], 4);
        break;
    case TOY_IN:
        s->r[i[1] & 7] = serial_read(m);
        machine_attention(m);
        break;
    case TOY_TIMER:
        timer_set(m, i[1], i[2], imm);
        break;
    case TOY_TIME:
        s->r[i[1] & 7] = (uint32_t)machine_now(m);
        break;
    case TOY_DISK:
        disk_start(m, i[1] & 1, s->r[i[2] & 7], s->r[i[3] & 7] + imm);
        break;
    case TOY_END:
        machine_end(m, i[1] & 1 ? GUEST_TRIPLE_FAULT : GUEST_POWEROFF, imm);
        break;
    case TOY_KICK:
        raise_irq(m, s->r[i[1] & 7]);
        break;
    case TOY_YIELD:
        machine_yield(&st->toy->cpu, position);
        break;
    case TOY_RESET:
        machine_request_reset(m);
        break;
    default:
        break;
    }
    s->pc = wrap(s->pc) & ~7u;
}

static bool interrupt_ready(const struct toy_state *s)
{
    return s->irq && s->enabled;
}

static void enter_handler(struct toy_state *s)
{
    s->irq = 0;
    s->enabled = 0;
    s->in_handler = 1;
    s->halted = 0;
    s->began = 0;
    s->return_pc = s->pc;
    s->pc = TOY_VECTOR;
    s->entries++;
}

/* Report the accesses of the step from `position`; the machine stands after it. */
static bool report_accesses(struct step *st, icount_t position)
{
    struct traps *traps = st->m->traps;
    bool stop = false;

    for (unsigned i = 0; i < st->naccesses; i++) {
        const struct toy_access *a = &st->accesses[i];

        for (unsigned n = 0; n < traps->count; n++) {
            const struct trap *t = &traps->list[n];
            uint64_t first = t->address > a->address ? t->address : a->address;

            if (!(t->kinds & a->kind) || t->storage || !t->len || t->address >= a->address + a->len ||
                a->address >= t->address + t->len)
                continue;
            stop |= traps_report(st->m, &(struct trap_hit){
                .kind = a->kind, .cpu = st->toy->cpu.index, .position = position, .address = first,
                .trap = n + 1, .changed = true});
        }
    }
    return stop;
}

/* One step. True: leave run(). */
static bool one_step(struct toy *toy)
{
    struct machine *m = toy->cpu.machine;
    struct toy_state *s = toy->cpu.state;
    struct step st = {.toy = toy, .m = m};
    icount_t position = m->st->position;
    uint64_t va = s->pc + (uint64_t)TOY_VIRTUAL;
    bool began = false;

    if (interrupt_ready(s)) {
        enter_handler(s);
    } else {
        began = !s->began;
        if (began && traps_have_exec(m->traps, va) &&
            traps_report(m, &(struct trap_hit){
                .kind = TRAP_EXEC, .cpu = toy->cpu.index, .position = position, .address = va}))
            return true;
        if (m->footprint)
            footprint_add_code(m->footprint, va, 1);
        toy->cpu.running = true;
        toy->cpu.limit = position + 1;
        toy->cpu.budget = 0;
        toy->cpu.steps = 1;
        execute(&st, s, position);
        toy->cpu.running = false;
    }
    machine_stand(m, position + 1);
    toy->steps_made++;
    for (volatile uint64_t i = 0; i < toy->host_work; i++)
        ;
    if (toy->trace) {
        *toy->trace = (struct toy_trace){
            .by = 1 + toy->cpu.index, .began = began, .pc = va, .naccesses = st.naccesses};
        memcpy(toy->trace->accesses, st.accesses, sizeof(st.accesses));
    }
    return report_accesses(&st, position);
}

static bool toy_idle(const struct cpu *cpu)
{
    const struct toy_state *s = cpu->state;

    return s->halted && !interrupt_ready(s);
}

static void toy_run(struct cpu *cpu, icount_t until)
{
    const struct toy *toy = (const struct toy *)cpu;
    bool alone = until == cpu->machine->st->position + 1;

    while (cpu->machine->st->position < until && !toy_idle(cpu)) {
        if (toy->glitch_at && cpu->machine->st->position == toy->glitch_at && !alone)
            ((struct toy_state *)cpu->state)->r[3] ^= 4;
        if (one_step((struct toy *)cpu) || cpu->attention ||
            (cpu->to_boundary && cpu->ops->in_progress(cpu) == ICOUNT_MAX))
            return;
    }
}

static bool toy_translate(const struct cpu *cpu, uint64_t va, paddr_t *pa)
{
    (void)cpu;
    if (va < TOY_VIRTUAL || va >= TOY_VIRTUAL + TOY_BYTES)
        return false;
    *pa = va - TOY_VIRTUAL;
    return true;
}

static uint64_t toy_pc(const struct cpu *cpu)
{
    return ((const struct toy_state *)cpu->state)->pc + (uint64_t)TOY_VIRTUAL;
}

static icount_t toy_in_progress(const struct cpu *cpu)
{
    const struct toy_state *s = cpu->state;

    return s->began ? s->began - 1 : ICOUNT_MAX;
}

static void toy_drop_derived(struct cpu *cpu)
{
    (void)cpu;
}

static void toy_destroy(struct cpu *cpu)
{
    free(cpu);
}

static void toy_read_reg(const struct cpu *cpu, unsigned n, void *buf)
{
    const struct toy_state *s = cpu->state;

    memcpy(buf, n < 8 ? &s->r[n] : &s->pc, 4);
}

/* The program counter must be aligned; writing it ends a repeated instruction. */
static bool toy_write_reg(struct cpu *cpu, unsigned n, const void *buf)
{
    struct toy_state *s = cpu->state;
    uint32_t value;

    memcpy(&value, buf, 4);
    if (n < 8) {
        s->r[n] = value;
        return true;
    }
    if (value % 8 || value >= TOY_BYTES - 8)
        return false;
    s->pc = value;
    s->began = 0;
    return true;
}

static const struct reg_desc toy_regs[] = {
    {"r0", 32, "int32", "general", "toy", false, false, 0}, {"r1", 32, "int32", "general", "toy", false, false, 0},
    {"r2", 32, "int32", "general", "toy", false, false, 0}, {"r3", 32, "int32", "general", "toy", false, false, 0},
    {"r4", 32, "int32", "general", "toy", false, false, 0}, {"r5", 32, "int32", "general", "toy", false, false, 0},
    {"r6", 32, "int32", "general", "toy", false, false, 0}, {"r7", 32, "int32", "general", "toy", false, false, 0},
    {"pc", 32, "code_ptr", "general", "toy", false, false, 0},
};

static const struct cpu_ops toy_ops = {
    .arch = "toy",
    .state_size = sizeof(struct toy_state),
    .reset = toy_reset,
    .run = toy_run,
    .idle = toy_idle,
    .translate = toy_translate,
    .pc = toy_pc,
    .in_progress = toy_in_progress,
    .drop_derived = toy_drop_derived,
    .destroy = toy_destroy,
    .regs = toy_regs,
    .nregs = ARRAY_LEN(toy_regs),
    .pc_reg = 8,
    .read_reg = toy_read_reg,
    .write_reg = toy_write_reg,
};

/* ---- machine ---- */

static void add_cpu(struct machine *m)
{
    struct toy *toy = xcalloc(1, sizeof(*toy));
    char name[16];

    snprintf(name, sizeof(name), "cpu%u", m->ncpus);
    toy->cpu.ops = &toy_ops;
    toy->cpu.machine = m;
    toy->cpu.state = machine_alloc_state(m, name, 0, sizeof(struct toy_state));
    machine_add_cpu(m, &toy->cpu);
}

struct machine *toy_machine(void)
{
    return toy_machine_of(1, NULL);
}

struct machine *toy_machine_of(unsigned ncpus, const struct schedule *schedule)
{
    static const char *const names[] = {"timer0", "timer1", "timer2"};
    static const struct drive_fault fault = {.first = 40, .count = 3};
    const struct drive_config disk = {.name = "disk0", .size = TOY_DISK_BYTES, .sector_size = 512, .latency_ns = 300,
                                      .rate = DRIVE_MAX_RATE, .faults = &fault, .nfaults = 1};
    struct machine *m = machine_create(TOY_PAGES + 8);
    struct drive *drive;

    CHECK(m);
    for (unsigned i = 0; i < ncpus; i++)
        add_cpu(m);
    if (schedule)
        m->schedule = *schedule;
    m->icount_shift = 2;
    for (unsigned i = 0; i < 3; i++)
        machine_add_device(m, &timer_ops, names[i], NULL);
    machine_add_device(m, &serial_ops, "serial", NULL);
    machine_add_device(m, &disk_ops, "disk", NULL);
    CHECK(drive_create(&drive, m, &disk, NULL) == 0);
    memory_map(&m->memory, &(struct region){
                               .base = 0,
                               .size = TOY_BYTES,
                               .kind = REGION_RAM,
                               .page = memory_alloc(&m->memory, "ram", TOY_BYTES),
                               .enabled = true,
                           });
    machine_reset(m);
    return m;
}

void toy_put(struct machine *m, uint32_t address, enum toy_op op, unsigned a, unsigned b, unsigned c, uint32_t imm)
{
    uint8_t i[8] = {(uint8_t)op, (uint8_t)a, (uint8_t)b, (uint8_t)c};

    memcpy(i + 4, &imm, 4);
    memory_write_bytes(&m->memory, address, i, sizeof(i), false);
}

/* Code is in [0, CODE_END), the handler in [TOY_VECTOR, HANDLER_END), within it. */
#define CODE_INSNS 160u
#define DATA       PROTECTED

static void put_random(struct machine *m, uint64_t *rng, uint32_t at, bool may_end)
{
    static const uint8_t ops[] = {
        TOY_MOVI, TOY_MOVI, TOY_ADD, TOY_ADD, TOY_XOR, TOY_MUL, TOY_LD, TOY_LD, TOY_ST, TOY_ST,
        TOY_ST, TOY_STB, TOY_REP, TOY_JNZ, TOY_DJNZ, TOY_JMP, TOY_HLT, TOY_HLT, TOY_STI, TOY_STI,
        TOY_STI, TOY_CLI, TOY_CLOCK, TOY_RANDOM, TOY_OUT, TOY_IN, TOY_IN, TOY_TIMER, TOY_TIMER, TOY_TIME,
    };
    enum toy_op op = ops[toy_rand(rng) % ARRAY_LEN(ops)];
    uint32_t imm = toy_rand(rng);

    if (may_end && toy_rand(rng) % 300 == 0)
        op = TOY_END;
    switch (op) {
    case TOY_JNZ:
    case TOY_DJNZ:
    case TOY_JMP:
        imm = toy_rand(rng) % CODE_INSNS * 8;
        break;
    case TOY_LD:
    case TOY_ST:
    case TOY_STB:
        imm = DATA + imm % (TOY_BYTES - DATA - 64);
        break;
    case TOY_TIMER:
        imm = 50 + imm % 4000;
        break;
    case TOY_MOVI:
        imm = imm % 3 ? imm % 40 : DATA + imm % (TOY_BYTES - DATA - 64);
        break;
    default:
        break;
    }
    toy_put(m, at, op, toy_rand(rng), toy_rand(rng), toy_rand(rng), imm);
}

void toy_random_program(struct machine *m, uint64_t seed, bool may_end)
{
    uint64_t rng = seed * 0x9e3779b97f4a7c15u + 1;
    uint32_t at;

    for (at = 0; at < CODE_INSNS * 8; at += 8)
        put_random(m, &rng, at, may_end);
    toy_put(m, at, TOY_JMP, 0, 0, 0, 0);
    /* A timer runs from the start, so that few programs sleep for ever. */
    toy_put(m, 0, TOY_TIMER, 0, 1, 0, 700 + toy_rand(&rng) % 3000);
    toy_put(m, 8, TOY_STI, 0, 0, 0, 0);
    for (at = TOY_VECTOR; at < TOY_VECTOR + 8 * 8; at += 8)
        put_random(m, &rng, at, false);
    toy_put(m, at, TOY_IRET, 0, 0, 0, 0);
    for (uint32_t i = 0; i < 64; i++) {
        uint32_t word = toy_rand(&rng);

        memory_write_bytes(&m->memory, DATA + toy_rand(&rng) % (TOY_BYTES - DATA - 4), &word, 4, false);
    }
}

void toy_random_disk(struct machine *m, uint64_t seed)
{
    uint64_t rng = seed * 0x9e3779b97f4a7c15u + 2;

    for (unsigned i = 0; i < CODE_INSNS / 16; i++)
        toy_put(m, (2 + toy_rand(&rng) % (CODE_INSNS - 2)) * 8, TOY_DISK, toy_rand(&rng), toy_rand(&rng), toy_rand(&rng),
                toy_rand(&rng));
}

void toy_random_cpus(struct machine *m, uint64_t seed)
{
    static const uint8_t ops[] = {TOY_KICK, TOY_KICK, TOY_KICK, TOY_YIELD, TOY_YIELD, TOY_RESET};
    uint64_t rng = seed * 0x9e3779b97f4a7c15u + 3;

    for (unsigned i = 0; i < CODE_INSNS / 12; i++) {
        uint32_t at = (2 + toy_rand(&rng) % (CODE_INSNS - 2)) * 8;
        enum toy_op op = ops[toy_rand(&rng) % (seed % 4 ? ARRAY_LEN(ops) - 1 : ARRAY_LEN(ops))];

        toy_put(m, at, op, toy_rand(&rng), 0, 0, 0);
    }
}
