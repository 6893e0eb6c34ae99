/*
 * The target of test_rsp_fake.h.
 */
#include "test_rsp_fake.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "rsp/agent.h"

enum { EAX, ECX, EDX, EBX, ESP, EBP, ESI, EDI, EIP, EFLAGS, ST0, CR3 };

#define CORE "org.gnu.gdb.i386.core"
#define REG(n, t, g)                                                                                         \
    {                                                                                                        \
        .name = n, .bits = 32, .type = t, .group = g, .feature = CORE                                        \
    }

static const struct rsp_reg regs[] = {
    REG("eax", "int32", "general"),
    REG("ecx", "int32", "general"),
    REG("edx", "int32", "general"),
    REG("ebx", "int32", "general"),
    REG("esp", "data_ptr", "general"),
    REG("ebp", "data_ptr", "general"),
    REG("esi", "int32", "general"),
    REG("edi", "int32", "general"),
    REG("eip", "code_ptr", "general"),
    REG("eflags", "i386_eflags", "general"),
    REG("cs", "int32", "general"),
    REG("ss", "int32", "general"),
    REG("ds", "int32", "general"),
    REG("es", "int32", "general"),
    REG("fs", "int32", "general"),
    REG("gs", "int32", "general"),
#define ST(n)                                                                                                \
    {                                                                                                        \
        "st" #n, 80, "i387_ext", "float", CORE, false, 0                                                               \
    }
    ST(0),
    ST(1),
    ST(2),
    ST(3),
    ST(4),
    ST(5),
    ST(6),
    ST(7),
    REG("fctrl", "int", "float"),
    REG("fstat", "int", "float"),
    REG("ftag", "int", "float"),
    REG("fiseg", "int", "float"),
    REG("fioff", "int", "float"),
    REG("foseg", "int", "float"),
    REG("fooff", "int", "float"),
    REG("fop", "int", "float"),
    {"cr0", 32, "int32", "system", "org.hindcast.i386.system", true, 0},
    {"cr3", 32, "int32", "system", "org.hindcast.i386.system", true, 0},
};

const struct rsp_target_info fake_info = {
    .version = "0.0.test",
    .arch = "i386",
    .triple = "i386-unknown-unknown",
    .pointer_bytes = 4,
    .regs = regs,
    .nregs = ARRAY_LEN(regs),
    .pc_reg = EIP,
    .sp_reg = ESP,
    .fp_reg = EBP,
    .flags_reg = EFLAGS,
    .reverse = true,
    .seek = true,
    .cpu_name = "CPU#",
    .nthreads = 1,
};

static uint32_t pc_at(icount_t n)
{
    return 0x1000 + (uint32_t)(n % 100);
}

static bool read_register(void *ctx, unsigned n, void *buf)
{
    struct fake *f = ctx;
    uint32_t value = 0;

    memset(buf, 0, regs[n].bits / 8);
    if (strcmp(regs[n].name, "cr3") == 0)
        return false;
    if (n == EIP)
        value = pc_at(f->position);
    else if (n == EAX)
        value = (uint32_t)f->position + 0x10000 * f->thread;
    else if (n == ESP || n == EBP)
        value = 0x8000;
    if (n < ARRAY_LEN(f->regs) && (f->written >> n & 1))
        value = f->regs[n];
    memcpy(buf, &value, sizeof(value));
    return true;
}

static int may_write(struct fake *f, struct error *err)
{
    if (!f->past_readonly || f->position == FAKE_END)
        return 0;
    return error_set(err, -EROFS, "the past cannot be written: this is position %u of %u",
                     (unsigned)f->position, FAKE_END);
}

static int write_register(void *ctx, unsigned n, const void *buf, struct error *err)
{
    struct fake *f = ctx;
    int result = may_write(f, err);

    if (result)
        return result;
    if (n >= ARRAY_LEN(f->regs))
        return error_set(err, -EINVAL, "%s cannot be written", regs[n].name);
    memcpy(&f->regs[n], buf, 4);
    f->written |= (uint16_t)(1u << n);
    f->writes++;
    return 0;
}

static uint8_t *byte_at(struct fake *f, uint64_t addr)
{
    if (addr < FAKE_MEMORY)
        return &f->memory[addr];
    if (addr >= FAKE_TOP && addr - FAKE_TOP < sizeof(f->top))
        return &f->top[addr - FAKE_TOP];
    return NULL;
}

static size_t read_memory(void *ctx, bool physical, uint64_t addr, void *buf, size_t len)
{
    struct fake *f = ctx;
    uint32_t word = (uint32_t)(f->position / 10);
    uint8_t *out = buf;
    size_t i;

    f->physical_reads += physical;
    memcpy(f->memory + 0x2000, &word, 4);
    for (i = 0; i < len; i++) {
        const uint8_t *p = byte_at(f, addr + i);

        if (!p)
            break;
        out[i] = *p;
    }
    return i;
}

static int write_memory(void *ctx, bool physical, uint64_t addr, const void *buf, size_t len,
                        struct error *err)
{
    struct fake *f = ctx;
    const uint8_t *in = buf;
    int result = may_write(f, err);

    (void)physical;
    if (result)
        return result;
    for (size_t i = 0; i < len; i++) {
        if (!byte_at(f, addr + i))
            return error_set(err, -EFAULT, "no memory at 0x%llx", (unsigned long long)(addr + i));
    }
    for (size_t i = 0; i < len; i++)
        *byte_at(f, addr + i) = in[i];
    f->writes++;
    return 0;
}

static int check_breakpoint(void *ctx, const struct rsp_breakpoint *bp, struct error *err)
{
    (void)ctx;
    if (bp->type >= RSP_WATCH_WRITE && bp->len > 4096)
        return error_set(err, -EINVAL, "a watchpoint of more than 4096 bytes");
    return 0;
}

static const struct rsp_memory_area *memory_map(void *ctx, unsigned *count)
{
    static const struct rsp_memory_area areas[] = {
        {0, 0xffff0000u, RSP_MEMORY_RAM},
        {0xffff0000u, 0x10000, RSP_MEMORY_ROM},
    };

    (void)ctx;
    *count = ARRAY_LEN(areas);
    return areas;
}

static void memory_region(void *ctx, uint64_t addr, struct rsp_memory_region *out)
{
    (void)ctx;
    if (addr < FAKE_MEMORY)
        *out = (struct rsp_memory_region){0, FAKE_MEMORY, true, true, true, true, "ram"};
    else
        *out = (struct rsp_memory_region){.start = FAKE_MEMORY, .len = FAKE_TOP - FAKE_MEMORY};
}

static const char *feature_types(void *ctx, const char *feature)
{
    (void)ctx;
    if (strcmp(feature, CORE) != 0)
        return NULL;
    return "<flags id=\"i386_eflags\" size=\"4\"><field name=\"CF\" start=\"0\" end=\"0\"/></flags>";
}

static void describe_cpu(void *ctx, struct buffer *out)
{
    struct fake *f = ctx;

    buffer_printf(out, "at %u <&>", (unsigned)f->position);
}

static void select_thread(void *ctx, unsigned thread)
{
    ((struct fake *)ctx)->thread = thread;
}

static void positions(void *ctx, icount_t *first, icount_t *now, icount_t *last)
{
    struct fake *f = ctx;

    *first = 0;
    *now = f->position;
    *last = FAKE_END;
}

/* ---- tracepoints ---- */

static bool look_register(void *ctx, unsigned thread, unsigned n, void *buf)
{
    struct fake *f = ctx;
    icount_t here = f->position;
    bool good;

    (void)thread;
    f->position = f->look;
    good = read_register(f, n, buf);
    f->position = here;
    return good;
}

static bool env_register(void *ctx, unsigned n, uint64_t *value)
{
    uint8_t raw[RSP_MAX_REG_BYTES] = {0};

    if (!look_register(ctx, 0, n, raw))
        return false;
    memcpy(value, raw, sizeof(*value));
    return true;
}

static bool env_memory(void *ctx, uint64_t addr, void *buf, size_t len)
{
    struct fake *f = ctx;
    icount_t here = f->position;
    size_t got;

    f->position = f->look;
    got = read_memory(f, false, addr, buf, len);
    f->position = here;
    return got == len;
}

static void look_env(void *ctx, unsigned thread, struct agent_env *env)
{
    (void)thread;
    *env = (struct agent_env){.ctx = ctx, .read_register = env_register, .read_memory = env_memory, .long_bits = 32};
}

/* No more than seven answers at a time. */
static int find_hits(void *ctx, const struct rsp_hits_wanted *w, icount_t *reached, struct error *err)
{
    struct fake *f = ctx;
    struct agent_env env;
    uint64_t record[64];

    (void)err;
    CHECK(w->record_bytes <= sizeof(record));
    look_env(f, 0, &env);
    *reached = w->to;
    for (icount_t p = w->from, answers = 0; p < w->to && p < FAKE_END; p++) {
        struct rsp_moment at = {.position = p, .pc = pc_at(p)};
        bool wanted = false;

        for (unsigned i = 0; i < w->npcs; i++)
            wanted = wanted || w->pcs[i] == at.pc;
        memset(record, 0, sizeof(record));
        f->look = p;
        if (!wanted || !w->note(w->ctx, &at, &env, record))
            continue;
        if (!w->answer(w->ctx, &at, record) || ++answers == 7) {
            *reached = p + 1;
            break;
        }
    }
    return 0;
}

static int look_at(void *ctx, icount_t position, bool again, struct error *err)
{
    (void)again;
    (void)err;
    CHECK(position <= FAKE_END);
    ((struct fake *)ctx)->look = position;
    return 0;
}

static int look_step(void *ctx, icount_t *position, unsigned *thread, struct error *err)
{
    (void)err;
    *position = ++((struct fake *)ctx)->look;
    *thread = 0;
    return 0;
}

static int stand_at(void *ctx, icount_t position, bool surely, struct error *err)
{
    (void)surely;
    (void)err;
    CHECK(position <= FAKE_END);
    ((struct fake *)ctx)->position = position;
    return 0;
}

static unsigned history(void *ctx, unsigned of, icount_t *shared)
{
    const struct fake *f = ctx;

    *shared = of == f->branch ? ICOUNT_MAX : 500;
    return f->branch;
}

void fake_trace(struct fake *f)
{
    f->tracing = rsp_tracing_create(&fake_info, &fake_ops, f);
    rsp_set_tracing(f->s, f->tracing);
}

/* ---- monitor ---- */

static int run_when(struct rsp_monitor_call *call, struct error *err)
{
    struct fake *f = call->ctx;

    (void)err;
    buffer_printf(call->out, "position %u\n", (unsigned)f->position);
    return 0;
}

static int run_system_reset(struct rsp_monitor_call *call, struct error *err)
{
    struct fake *f = call->ctx;

    (void)err;
    f->resets++;
    buffer_printf(call->out, "reset\n");
    return 0;
}

static int run_args(struct rsp_monitor_call *call, struct error *err)
{
    (void)err;
    for (unsigned i = 0; i < call->argc; i++)
        buffer_printf(call->out, "[%s=%llu]", call->argv[i].text, (unsigned long long)call->argv[i].number);
    buffer_printf(call->out, "\n");
    return 0;
}

static int run_fail(struct rsp_monitor_call *call, struct error *err)
{
    buffer_printf(call->out, "so far so good\n");
    return error_set(err, -EIO, "then it broke");
}

/* Is the client told to wait on? */
static int run_slow(struct rsp_monitor_call *call, struct error *err)
{
    struct buffer *out = rsp_output(call->session);
    size_t before = out->len;

    (void)err;
    rsp_keep_waiting(call->session);
    rsp_keep_waiting(call->session);
    buffer_printf(call->out, "%.*s\n", (int)(out->len - before), (const char *)out->data + before);
    return 0;
}

static const struct rsp_monitor_command commands[] = {
    {"when", "", "Show the position.", run_when},
    {"system_reset", "", "Reset the machine.", run_system_reset},
    {"info replay", "", "About the recording.", run_args},
    {"info registers", "[NAME]", "Registers.", run_args},
    {"last", "ADDR:n [LEN:n]", "Last write to an address.\nMore about it.", run_args},
    {"serial", "TEXT...", "Type on the serial line.", run_args},
    {"mode", "fast|slow [NAME]", "Choose.", run_args},
    {"dump", "[/FMT] ADDR:n", "Dump.", run_args},
    {"fail", "", "Fails.", run_fail},
    {"slow", "", "Takes long.", run_slow},
};

const struct rsp_target_ops fake_ops = {
    .read_register = read_register,
    .write_register = write_register,
    .read_memory = read_memory,
    .write_memory = write_memory,
    .check_breakpoint = check_breakpoint,
    .memory_map = memory_map,
    .memory_region = memory_region,
    .feature_types = feature_types,
    .describe_cpu = describe_cpu,
    .select_thread = select_thread,
    .positions = positions,
    .find_hits = find_hits,
    .look_at = look_at,
    .look_step = look_step,
    .look_env = look_env,
    .look_register = look_register,
    .stand_at = stand_at,
    .history = history,
    .monitor = commands,
    .nmonitor = ARRAY_LEN(commands),
};

void fake_init(struct fake *f)
{
    memset(f, 0, sizeof(*f));
    for (unsigned i = 0; i < FAKE_MEMORY; i++)
        f->memory[i] = (uint8_t)(i * 7 ^ i >> 8);
    memset(f->top, 0x5a, sizeof(f->top));
    f->s = rsp_create(&fake_info, &fake_ops, f);
}

void fake_finish(struct fake *f)
{
    rsp_tracing_destroy(f->tracing);
    rsp_destroy(f->s);
    f->s = NULL;
}

/* ---- running ---- */

/* Does a watchpoint of the client's count an access of the word at `address`? */
static bool word_touched(struct fake *f, bool write, uint64_t address, struct rsp_stop *stop)
{
    unsigned count;
    const struct rsp_breakpoint *bp = rsp_breakpoints(f->s, &count);

    for (unsigned i = 0; i < count; i++, bp++) {
        if (bp->type < RSP_WATCH_WRITE || bp->type == (write ? RSP_WATCH_READ : RSP_WATCH_WRITE) ||
            address > bp->address + (bp->len - 1) || bp->address > address + 3 ||
            !rsp_watch_counts(f->s, bp->type, false, bp->address, bp->len))
            continue;
        *stop = (struct rsp_stop){
            .reason = bp->type == RSP_WATCH_WRITE ? RSP_STOP_WATCH
                                                  : bp->type == RSP_WATCH_READ ? RSP_STOP_RWATCH : RSP_STOP_AWATCH,
            .address = address > bp->address ? address : bp->address,
        };
        return true;
    }
    return false;
}

/* Did the step n -> n + 1 touch something watched? The guest stands where conditions are to see it. */
static bool step_touched(struct fake *f, icount_t n, struct rsp_stop *stop)
{
    if (n % 10 == 9 && word_touched(f, true, 0x2000, stop))
        return true;
    return n % 10 == 4 && word_touched(f, false, 0x2010, stop);
}

static bool run_over(struct fake *f, const struct rsp_run *run, struct rsp_stop *stop)
{
    uint32_t pc = pc_at(f->position);

    if (step_touched(f, f->position - 1, stop))
        return true;
    switch (run->kind) {
    case RSP_RUN_STEP:
        *stop = (struct rsp_stop){.reason = RSP_STOP_STEP};
        return true;
    case RSP_RUN_RANGE:
        if (pc < run->ranges[0].start || pc >= run->ranges[0].end) {
            *stop = (struct rsp_stop){.reason = RSP_STOP_STEP};
            return true;
        }
        break;
    default:
        break;
    }
    return rsp_exec_hit(f->s, pc, true, stop);
}

static void run_forward(struct fake *f, const struct rsp_run *run, struct rsp_stop *stop)
{
    do {
        if (f->position == FAKE_END) {
            *stop = (struct rsp_stop){.reason = RSP_STOP_HISTORY_END};
            if (f->guest_ends)
                *stop = (struct rsp_stop){.reason = RSP_STOP_GUEST_END, .text = "the guest ended\n"};
            return;
        }
        f->position++;
    } while (!run_over(f, run, stop));
}

static void run_back(struct fake *f, const struct rsp_run *run, struct rsp_stop *stop)
{
    do {
        if (f->position == 0) {
            *stop = (struct rsp_stop){.reason = RSP_STOP_HISTORY_BEGIN};
            return;
        }
        f->position--;
        if (step_touched(f, f->position, stop))
            return;
        if (run->kind == RSP_RUN_STEP) {
            *stop = (struct rsp_stop){.reason = RSP_STOP_STEP};
            return;
        }
    } while (!rsp_exec_hit(f->s, pc_at(f->position), false, stop));
}

void fake_serve(struct fake *f)
{
    const struct rsp_run *run;

    while (!rsp_ended(f->s) && (run = rsp_wants_run(f->s))) {
        struct rsp_stop stop = {.reason = RSP_STOP_POSITION};

        f->last_run = *run;
        if (rsp_interrupt_requested(f->s)) {
            stop.reason = RSP_STOP_INTERRUPT;
        } else if (f->stuck) {
            return;
        } else if (run->kind == RSP_RUN_SEEK) {
            f->position = run->position < FAKE_END ? run->position : FAKE_END;
        } else if (run->reverse) {
            run_back(f, run, &stop);
        } else {
            run_forward(f, run, &stop);
        }
        f->runs++;
        f->written = 0;
        rsp_report_stop(f->s, &stop);
    }
}
