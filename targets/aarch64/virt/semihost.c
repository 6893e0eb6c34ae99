/*
 * Semihosting for AArch64 ("Semihosting for AArch32 and AArch64", Arm ABI
 * 2020-semihosting): a program asks for what its debugger's host has by
 *     HLT #0xF000      W0 = operation, X1 = parameter or block of 64-bit fields, X0 = result
 * All operations of the specification, from EL1, EL2 and EL3. From EL0 the
 * instruction stays undefined: what runs under an operating system is not meant.
 *
 * Handles, positions and names are state of this device; the host is asked
 * through machine_file_call(), whose answers are recorded. TIME is the recorded
 * host clock; CLOCK and ELAPSED (1 GHz) are virtual time since the first reset,
 * so they agree with the generic timer.
 *
 * The console is a device like a serial port: output is machine_output(), input
 * is EVENT_INPUT: u8 0 and bytes, or u8 1: the input's end (told to one read). A
 * read of the console without input makes the CPU sleep at the instruction, which
 * is made again when input comes or an interrupt was taken.
 *
 * Memory is reached as the instruction's exception level reaches it; a bad address
 * is an error of the operation (EFAULT), never an exception.
 *
 * Choices that the specification leaves open: SYSTEM is refused (ENOSYS), and so
 * are numbers that mean nothing; 0x19 (SYS_SYNCCACHE of other implementations)
 * does nothing; REMOVE and RENAME fail with -1. Names from TMPNAM are the same for
 * the same number, always. A program's exit that is no ADP_Stopped_ApplicationExit
 * has status 1. HEAPINFO tells the largest part of RAM in which nothing was loaded.
 *
 * Not modelled: semihosting by HLT from AArch32 and by SVC or BRK.
 */
#include <errno.h>
#include <string.h>

#include "aarch64/system.h"
#include "aarch64/virt/semihost.h"
#include "base/bytes.h"

enum {
    SYS_OPEN = 0x01, SYS_CLOSE = 0x02, SYS_WRITEC = 0x03, SYS_WRITE0 = 0x04, SYS_WRITE = 0x05, SYS_READ = 0x06,
    SYS_READC = 0x07, SYS_ISERROR = 0x08, SYS_ISTTY = 0x09, SYS_SEEK = 0x0a, SYS_FLEN = 0x0c, SYS_TMPNAM = 0x0d,
    SYS_REMOVE = 0x0e, SYS_RENAME = 0x0f, SYS_CLOCK = 0x10, SYS_TIME = 0x11, SYS_SYSTEM = 0x12, SYS_ERRNO = 0x13,
    SYS_GET_CMDLINE = 0x15, SYS_HEAPINFO = 0x16, SYS_EXIT = 0x18, SYS_SYNCCACHE = 0x19, SYS_EXIT_EXTENDED = 0x20,
    SYS_ELAPSED = 0x30, SYS_TICKFREQ = 0x31,
};

#define APPLICATION_EXIT 0x20026u
#define TICKS_A_SECOND   1000000000u
#define CENTISECOND_NS   10000000u
#define SECOND_NS        1000000000u
/* Most bytes that WRITE0 looks for a string's end in. */
#define STRING_MAX ((uint64_t)16 << 20)
#define TMPNAM_BYTES 17u /* "semihost-xx.tmp" and its end */

uint64_t semihost_fail(struct semihost_call *c, uint32_t error)
{
    c->st->error = error;
    return SEMIHOST_FAILED;
}

/* ---- guest memory ---- */

/* What a failed access has left behind: the instruction does not fault. */
static bool forgive(struct semihost_call *c, bool ok)
{
    if (!ok)
        c->cpu->exc = (struct a64_exception){0};
    return ok;
}

/* The rest of the page, at most `len` and what an access can have. */
static unsigned piece_at(uint64_t va, size_t len)
{
    size_t piece = PAGE_SIZE - (size_t)(va & ~PAGE_MASK);

    piece = piece < 64 ? piece : 64;
    return (unsigned)(piece < len ? piece : len);
}

bool semihost_load(struct semihost_call *c, uint64_t va, void *buf, size_t len)
{
    for (size_t done = 0; done < len;) {
        unsigned n = piece_at(va + done, len - done);

        if (!forgive(c, ucpu_load_units(&c->cpu->u, va + done, (uint8_t *)buf + done, n, 1)))
            return false;
        done += n;
    }
    return true;
}

bool semihost_store(struct semihost_call *c, uint64_t va, const void *buf, size_t len)
{
    for (size_t done = 0; done < len;) {
        unsigned n = piece_at(va + done, len - done);

        if (!forgive(c, ucpu_store_units(&c->cpu->u, va + done, (const uint8_t *)buf + done, n, 1)))
            return false;
        done += n;
    }
    return true;
}

bool semihost_writable(struct semihost_call *c, uint64_t va, size_t len)
{
    struct ucpu *u = &c->cpu->u;

    for (size_t done = 0; done < len;) {
        size_t n = PAGE_SIZE - (size_t)((va + done) & ~PAGE_MASK);

        n = n < len - done ? n : len - done;
        if (!forgive(c, ucpu_probe(u, u->tlb_mode, va + done, (unsigned)n, ACCESS_WRITE)))
            return false;
        done += n;
    }
    return true;
}

static bool load_args(struct semihost_call *c, unsigned n)
{
    uint8_t bytes[8 * ARRAY_LEN(c->args)];

    if (!semihost_load(c, c->cpu->st->x[1], bytes, 8u * n))
        return false;
    for (unsigned i = 0; i < n; i++)
        c->args[i] = get_le64(bytes + 8u * i);
    return true;
}

static bool store64(struct semihost_call *c, uint64_t va, uint64_t value)
{
    uint8_t bytes[8];

    put_le64(bytes, value);
    return semihost_store(c, va, bytes, 8);
}

/* ---- console ---- */

void semihost_print(struct semihost_call *c, const void *buf, size_t len)
{
    machine_output(c->v->semihost, buf, len);
}

static uint64_t write_char(struct semihost_call *c)
{
    uint8_t byte;

    if (!semihost_load(c, c->cpu->st->x[1], &byte, 1))
        return semihost_fail(c, EFAULT);
    semihost_print(c, &byte, 1);
    return 0;
}

static uint64_t write_string(struct semihost_call *c)
{
    uint64_t va = c->cpu->st->x[1];
    uint8_t text[64];

    for (uint64_t done = 0; done < STRING_MAX;) {
        unsigned n = piece_at(va + done, sizeof(text));
        const uint8_t *end;

        if (!semihost_load(c, va + done, text, n))
            return semihost_fail(c, EFAULT);
        end = memchr(text, 0, n);
        if (end)
            n = (unsigned)(end - text);
        if (n)
            semihost_print(c, text, n);
        if (end)
            return 0;
        done += n;
    }
    return semihost_fail(c, E2BIG);
}

static uint64_t read_char(struct semihost_call *c)
{
    struct semihost_state *st = c->st;
    uint8_t byte;

    if (!st->count && st->ended) {
        st->ended = 0;
        return SEMIHOST_FAILED;
    }
    if (!st->count) {
        c->wait = true;
        return 0;
    }
    byte = st->input[st->first];
    st->first = (st->first + 1) % SEMIHOST_INPUT_MAX;
    st->count--;
    return byte;
}

/* ---- time, errors, the environment ---- */

static uint64_t elapsed(struct semihost_call *c)
{
    if (!store64(c, c->cpu->st->x[1], machine_now(c->v->machine)))
        return semihost_fail(c, EFAULT);
    return 0;
}

static uint64_t temporary_name(struct semihost_call *c)
{
    static const char hex[] = "0123456789abcdef";
    char name[TMPNAM_BYTES] = "semihost-xx.tmp";

    if (c->args[1] > 255 || c->args[2] < sizeof("semihost-xx.tmp"))
        return semihost_fail(c, EINVAL);
    name[9] = hex[c->args[1] >> 4];
    name[10] = hex[c->args[1] & 15];
    if (!semihost_store(c, c->args[0], name, sizeof("semihost-xx.tmp")))
        return semihost_fail(c, EFAULT);
    return 0;
}

static uint64_t command_line(struct semihost_call *c)
{
    const char *line = c->v->config.semihost_cmdline ? c->v->config.semihost_cmdline : "";
    size_t len = strlen(line);

    if (c->args[1] < len + 1)
        return semihost_fail(c, E2BIG);
    if (!semihost_writable(c, c->cpu->st->x[1] + 8, 8) || !semihost_store(c, c->args[0], line, len + 1) ||
        !store64(c, c->cpu->st->x[1] + 8, len))
        return semihost_fail(c, EFAULT);
    return 0;
}

/* The largest gap between what was loaded. */
static void find_heap(const struct virt *v, paddr_t *base, paddr_t *limit)
{
    const struct a64_boot_plan *plan = &v->plan;
    paddr_t top = VIRT_RAM_BASE + v->config.memory_bytes, at = VIRT_RAM_BASE;
    paddr_t dtb = v->direct ? plan->dtb : VIRT_RAM_BASE;

    *base = *limit = top;
    while (at < top) {
        paddr_t next = top, after = top; /* what begins first at or after `at`, and its end */

        for (unsigned i = 0; i <= plan->nchunks; i++) {
            paddr_t from = i < plan->nchunks ? plan->chunks[i].at : dtb;
            paddr_t to = from + (i < plan->nchunks ? plan->chunks[i].size : A64_DTB_BYTES);

            if (to > at && from < next) {
                next = from;
                after = to;
            }
        }
        if (next > at && next - at > *limit - *base) {
            *base = at;
            *limit = next & ~(paddr_t)15;
        }
        at = (after + 15) & ~(paddr_t)15;
    }
}

static uint64_t heap_info(struct semihost_call *c)
{
    paddr_t base, limit;
    uint64_t block;

    find_heap(c->v, &base, &limit);
    block = c->args[0];
    if (!semihost_writable(c, block, 32) || !store64(c, block, base) || !store64(c, block + 8, limit) ||
        !store64(c, block + 16, limit) || !store64(c, block + 24, base))
        return semihost_fail(c, EFAULT);
    return 0;
}

static uint64_t leave(struct semihost_call *c)
{
    bool normal = (uint32_t)c->args[0] == APPLICATION_EXIT;

    c->st->exit_reason = (uint32_t)c->args[0];
    machine_end(c->v->machine, GUEST_EXIT, normal ? (uint32_t)c->args[1] : 1);
    return c->cpu->st->x[0];
}

/* ---- dispatch ---- */

static uint64_t operate(struct semihost_call *c, uint32_t op)
{
    switch (op) {
    case SYS_OPEN:        return semihost_open(c);
    case SYS_CLOSE:       return semihost_close(c);
    case SYS_WRITEC:      return write_char(c);
    case SYS_WRITE0:      return write_string(c);
    case SYS_WRITE:       return semihost_write(c);
    case SYS_READ:        return semihost_read(c);
    case SYS_READC:       return read_char(c);
    case SYS_ISERROR:     return c->args[0] >> 63;
    case SYS_ISTTY:       return semihost_istty(c);
    case SYS_SEEK:        return semihost_seek(c);
    case SYS_FLEN:        return semihost_flen(c);
    case SYS_TMPNAM:      return temporary_name(c);
    case SYS_REMOVE:      return semihost_remove(c);
    case SYS_RENAME:      return semihost_rename(c);
    case SYS_CLOCK:       return machine_now(c->v->machine) / CENTISECOND_NS;
    case SYS_TIME:        return machine_host_clock(c->v->machine) / SECOND_NS;
    case SYS_ERRNO:       return c->st->error;
    case SYS_GET_CMDLINE: return command_line(c);
    case SYS_HEAPINFO:    return heap_info(c);
    case SYS_EXIT:
    case SYS_EXIT_EXTENDED: return leave(c);
    case SYS_SYNCCACHE:   return 0;
    case SYS_ELAPSED:     return elapsed(c);
    case SYS_TICKFREQ:    return TICKS_A_SECOND;
    default:              return semihost_fail(c, ENOSYS); /* SYS_SYSTEM, too */
    }
}

/* How many fields the parameter block has; 0: X1 is something else. */
static unsigned fields(uint32_t op)
{
    static const uint8_t n[] = {
        [SYS_OPEN] = 3, [SYS_CLOSE] = 1, [SYS_WRITE] = 3, [SYS_READ] = 3, [SYS_ISERROR] = 1, [SYS_ISTTY] = 1,
        [SYS_SEEK] = 2, [SYS_FLEN] = 1, [SYS_TMPNAM] = 3, [SYS_REMOVE] = 2, [SYS_RENAME] = 4, [SYS_GET_CMDLINE] = 2,
        [SYS_HEAPINFO] = 1, [SYS_EXIT] = 2, [SYS_EXIT_EXTENDED] = 2,
    };

    return op < ARRAY_LEN(n) ? n[op] : 0;
}

enum a64_semihost virt_semihost(void *ctx, struct a64_cpu *cpu)
{
    struct semihost_call c = {.v = ctx, .cpu = cpu};
    uint32_t op = (uint32_t)cpu->st->x[0];
    uint64_t result;

    if (cpu->st->el == 0)
        return A64_SEMIHOST_NOT;
    c.st = c.v->semihost->state;
    c.st->waiting = 0;
    if (!load_args(&c, fields(op)))
        result = semihost_fail(&c, EFAULT);
    else
        result = operate(&c, op);
    if (c.wait) {
        c.st->waiting = 1;
        machine_attention(c.v->machine);
        return A64_SEMIHOST_WAITS;
    }
    cpu->st->x[0] = result;
    return A64_SEMIHOST_DONE;
}

/* ---- the device ---- */

static void semihost_reset(struct device *dev)
{
    struct semihost_state *st = dev->state;
    uint64_t opened = st->opened;

    memset(st, 0, sizeof(*st));
    st->opened = opened;
}

static void semihost_input(struct device *dev, const struct event *e)
{
    struct semihost_state *st = dev->state;
    struct virt *v = dev->wiring;

    if (!e->len)
        return;
    if (e->data[0])
        st->ended = 1;
    for (uint32_t i = 1; i < e->len && !e->data[0] && st->count < SEMIHOST_INPUT_MAX; i++)
        st->input[(st->first + st->count++) % SEMIHOST_INPUT_MAX] = e->data[i];
    for (unsigned n = 0; n < v->machine->ncpus; n++)
        if (virt_cpu(v, n)->st->halted == HALTED_SEMIHOST)
            virt_cpu(v, n)->st->halted = 0;
    machine_attention(v->machine);
}

/* Only a program that waits for input is given any: what it does not read is the serial port's. */
static size_t semihost_input_room(const struct device *dev)
{
    const struct semihost_state *st = dev->state;

    return st->waiting && !st->count && !st->ended ? SEMIHOST_INPUT_MAX : 0;
}

static bool semihost_possible(const struct device *dev)
{
    const struct semihost_state *st = dev->state;

    for (unsigned i = 0; i < SEMIHOST_HANDLES; i++) {
        const struct semihost_handle *h = &st->handles[i];

        if (h->kind >= SEMIHOST_KINDS || h->name[SEMIHOST_NAME_MAX] || h->position > INT64_MAX)
            return false;
    }
    return st->first < SEMIHOST_INPUT_MAX && st->count <= SEMIHOST_INPUT_MAX;
}

static void semihost_describe(const struct device *dev, struct buffer *out)
{
    static const char *const kinds[] = {"", "console, read", "console, written", "features", "file"};
    const struct semihost_state *st = dev->state;

    buffer_printf(out, "errno %u%s", st->error, st->waiting ? ", waits for console input" : "");
    if (dev->machine->st->end == GUEST_EXIT)
        buffer_printf(out, ", exit reason %#x", st->exit_reason);
    buffer_printf(out, "\n");
    for (unsigned i = 0; i < SEMIHOST_HANDLES; i++) {
        const struct semihost_handle *h = &st->handles[i];

        if (h->kind)
            buffer_printf(out, "handle %u: %s %s, position %llu\n", i + 1, kinds[h->kind], h->name,
                          (unsigned long long)h->position);
    }
}

const struct device_ops semihost_ops = {
    .name = "semihosting",
    .state_size = sizeof(struct semihost_state),
    .reset = semihost_reset,
    .input = semihost_input,
    .input_room = semihost_input_room,
    .possible = semihost_possible,
    .describe = semihost_describe,
};
