/*
 * monitor dump-guest-memory: the whole machine, as it is at the present position, as an ELF core file (System V gABI, 4 and 5) with
 * physical addresses, as crash, gdb and drgn take it. As QEMU writes it without paging: a PT_NOTE, and a PT_LOAD for each stretch of RAM and
 * ROM, whose virtual addresses are the physical ones.
 *
 * Notes: for each CPU an NT_PRSTATUS in the layout of Linux (struct elf_prstatus of the architecture), whose pr_pid is the CPU's
 * number plus 1, and NT_PRFPREG on AArch64; then, on x86, QEMU's "QEMU" note for each (struct QEMUCPUState, version 1).
 *
 * Pages are written one by one, from where the guest has them; those of nothing but zeros are holes of the file.
 *
 * Not here: compressed (kdump) and paged forms; the attributes of segments in QEMU's note (they are 0); VMCOREINFO, as there is no
 * device by which a guest would give it.
 */
#include "server_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "host/writer.h"
#include "vm/memory.h"

#define EM_386     3u
#define EM_X86_64  62u
#define EM_AARCH64 183u
#define NT_PRSTATUS 1u
#define NT_PRFPREG  2u
#define QEMU_VERSION 1u
#define QEMU_CPU_STATE_BYTES 440u
#define LOOK_EVERY 1024u /* pages between looks at the user */

static const char *const regs_i386[] = {"ebx", "ecx", "edx", "esi", "edi", "ebp", "eax", "ds", "es", "fs", "gs", "", "eip", "cs", "eflags", "esp",
                                        "ss", NULL};
static const char *const regs_x86_64[] = {"r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx", "rdx", "rsi", "rdi",
                                          "", "rip", "cs", "eflags", "rsp", "ss", "fs_base", "gs_base", "ds", "es", "fs", "gs", NULL};
static const char *const regs_aarch64[] = {"x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15",
                                           "x16", "x17", "x18", "x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27", "x28", "x29",
                                           "x30", "sp", "pc", "cpsr", NULL};
static const char *const qemu_i386[] = {"eax", "ebx", "ecx", "edx", "esi", "edi", "esp", "ebp", "", "", "", "", "", "", "", "", "eip", "eflags",
                                        NULL};
static const char *const qemu_x86_64[] = {"rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rsp", "rbp", "r8", "r9", "r10", "r11", "r12", "r13", "r14",
                                          "r15", "rip", "eflags", NULL};

/* What a core of an architecture is like. */
struct kind {
    unsigned machine;
    unsigned word;             /* bytes of a register in NT_PRSTATUS */
    unsigned pid, at, bytes;   /* offsets of pr_pid and pr_reg, and the note's size */
    const char *const *regs;   /* "": one that there is not (0) */
    const char *const *qemu;   /* NULL: no QEMU note */
};

static const struct kind kind_i386 = {EM_386, 4, 24, 72, 144, regs_i386, qemu_i386};
static const struct kind kind_x86_64 = {EM_X86_64, 8, 32, 112, 336, regs_x86_64, qemu_x86_64};
static const struct kind kind_aarch64 = {EM_AARCH64, 8, 32, 112, 392, regs_aarch64, NULL};

static bool read_named(const struct cpu *cpu, const char *name, void *value, size_t len)
{
    uint8_t bytes[RSP_MAX_REG_BYTES] = {0};

    memset(value, 0, len);
    for (unsigned i = 0; *name && i < cpu->ops->nregs; i++)
        if (!strcmp(cpu->ops->regs[i].name, name)) {
            size_t n = cpu->ops->regs[i].bits / 8;

            cpu->ops->read_reg(cpu, i, bytes);
            memcpy(value, bytes, n < len ? n : len);
            return true;
        }
    return false;
}

static uint64_t read_number(const struct cpu *cpu, const char *name)
{
    uint8_t bytes[8];

    read_named(cpu, name, bytes, sizeof(bytes));
    return get_le64(bytes);
}

static const struct kind *kind_of(const struct cpu *cpu)
{
    uint8_t value[8];

    if (read_named(cpu, "x0", value, sizeof(value)))
        return &kind_aarch64;
    return read_named(cpu, "rip", value, sizeof(value)) ? &kind_x86_64 : &kind_i386;
}

/* Does code run whose registers are wider than those that are shown? */
static bool runs_wider_code(const struct machine *m, const struct kind *k)
{
    for (unsigned i = 0; i < m->ncpus; i++)
        if (m->cpus[i]->ops->abi(m->cpus[i], false)->word > k->word)
            return true;
    return false;
}

/* ---- notes ---- */

static void put(struct buffer *out, uint64_t value, unsigned size)
{
    uint8_t bytes[8];

    put_le64(bytes, value);
    buffer_append(out, bytes, size);
}

static void begin_note(struct buffer *out, const char *name, unsigned type, unsigned bytes)
{
    put(out, 5, 4); /* both names have four characters and a NUL */
    put(out, bytes, 4);
    put(out, type, 4);
    buffer_append(out, name, 5);
    put(out, 0, 3);
}

static void put_prstatus(struct buffer *out, const struct kind *k, const struct cpu *cpu)
{
    uint8_t status[512] = {0};

    put_le32(status + k->pid, cpu->index + 1);
    for (unsigned i = 0; k->regs[i]; i++) {
        uint8_t value[8];

        put_le64(value, read_number(cpu, k->regs[i]));
        memcpy(status + k->at + i * k->word, value, k->word);
    }
    begin_note(out, "CORE", NT_PRSTATUS, k->bytes);
    buffer_append(out, status, k->bytes);
}

/* struct user_fpsimd_state */
static void put_fpsimd(struct buffer *out, const struct cpu *cpu)
{
    begin_note(out, "CORE", NT_PRFPREG, 528);
    for (unsigned i = 0; i < 32; i++) {
        uint8_t value[16];
        char name[8];

        snprintf(name, sizeof(name), "v%u", i);
        read_named(cpu, name, value, sizeof(value));
        buffer_append(out, value, sizeof(value));
    }
    put(out, read_number(cpu, "fpsr"), 4);
    put(out, read_number(cpu, "fpcr"), 4);
    put(out, 0, 8);
}

static void put_qemu(struct buffer *out, const struct kind *k, const struct cpu *cpu)
{
    static const char *const segments[] = {"cs", "ds", "es", "fs", "gs", "ss", "ldtr", "tr", "gdtr", "idtr"};
    static const char *const control[] = {"cr0", "", "cr2", "cr3", "cr4", "k_gs_base"};

    begin_note(out, "QEMU", 0, QEMU_CPU_STATE_BYTES);
    put(out, QEMU_VERSION, 4);
    put(out, QEMU_CPU_STATE_BYTES, 4);
    for (unsigned i = 0; k->qemu[i]; i++)
        put(out, read_number(cpu, k->qemu[i]), 8);
    for (unsigned i = 0; i < ARRAY_LEN(segments); i++) {
        char name[16];

        put(out, read_number(cpu, segments[i]), 4); /* tables have none */
        snprintf(name, sizeof(name), "%s_limit", segments[i]);
        put(out, read_number(cpu, name), 4);
        put(out, 0, 8); /* attributes, padding */
        snprintf(name, sizeof(name), "%s_base", segments[i]);
        put(out, read_number(cpu, name), 8);
    }
    for (unsigned i = 0; i < ARRAY_LEN(control); i++)
        put(out, read_number(cpu, control[i]), 8);
}

static void put_notes(struct buffer *out, const struct kind *k, const struct machine *m)
{
    for (unsigned i = 0; i < m->ncpus; i++) {
        put_prstatus(out, k, m->cpus[i]);
        if (k->machine == EM_AARCH64)
            put_fpsimd(out, m->cpus[i]);
    }
    for (unsigned i = 0; k->qemu && i < m->ncpus; i++)
        put_qemu(out, k, m->cpus[i]);
}

/* ---- memory ---- */

struct stretch {
    paddr_t from;
    uint64_t len, offset; /* the latter: in the file */
};

struct core {
    const struct kind *kind;
    bool wide; /* ELFCLASS64 */
    struct stretch stretches[2 * MEMORY_MAX_REGIONS + 1];
    unsigned count;
    struct buffer notes;
    uint64_t bytes, end;
};

/* RAM and ROM as all CPUs and devices see it. */
static void find_stretches(struct core *c, const struct memory *m)
{
    for (unsigned i = 0; i < m->nspans; i++) {
        const struct region *r = m->spans[i].region < 0 ? NULL : &m->regions[m->spans[i].region];
        struct stretch *last = c->count ? &c->stretches[c->count - 1] : NULL;
        paddr_t from = m->spans[i].from;
        uint64_t len;

        if (!r || (r->kind != REGION_RAM && r->kind != REGION_ROM) || r->cpu_only || r->secure)
            continue;
        len = (i + 1 < m->nspans ? m->spans[i + 1].from : r->base + r->size) - from;
        if (last && last->from + last->len == from)
            last->len += len;
        else
            c->stretches[c->count++] = (struct stretch){from, len, 0};
        c->bytes += len;
    }
}

static bool is_zero(const uint8_t *p, size_t len)
{
    return !len || (!*p && !memcmp(p, p + 1, len - 1));
}

static int write_memory(struct server *s, const struct core *c, struct host_writer *w)
{
    const struct memory *m = &s->machine->memory;
    uint64_t done = 0, pages = 0;

    for (unsigned i = 0; i < c->count; i++)
        for (uint64_t at = 0, piece; at < c->stretches[i].len; at += piece, done += piece) {
            paddr_t addr = c->stretches[i].from + at;
            const uint8_t *bytes = memory_page(m, memory_storage_of(m, addr)) + (addr & (PAGE_SIZE - 1));
            int r = 0;

            piece = PAGE_SIZE - (addr & (PAGE_SIZE - 1));
            if (piece > c->stretches[i].len - at)
                piece = c->stretches[i].len - at;
            if (!is_zero(bytes, (size_t)piece))
                r = host_writer_rewrite(w, c->stretches[i].offset + at, bytes, (size_t)piece);
            if (r < 0)
                return r;
            if (pages++ % LOOK_EVERY == 0) {
                server_show_search(s, done, c->bytes);
                if (server_interrupted(s))
                    return -EINTR;
            }
        }
    return host_writer_cut(w, c->end);
}

/* ---- the file ---- */

static void put_segment(struct buffer *out, bool wide, uint32_t type, uint64_t offset, paddr_t addr, uint64_t len)
{
    unsigned word = wide ? 8 : 4;

    put(out, type, 4);
    if (wide)
        put(out, 0, 4); /* flags */
    put(out, offset, word);
    put(out, addr, word); /* virtual address */
    put(out, addr, word);
    put(out, len, word); /* in the file, and in memory */
    put(out, len, word);
    if (!wide)
        put(out, 0, 4);
    put(out, 0, word); /* alignment */
}

static void put_headers(struct buffer *out, struct core *c)
{
    unsigned word = c->wide ? 8 : 4, header = c->wide ? 64 : 52, segment = c->wide ? 56 : 32;
    uint64_t notes = header + (uint64_t)segment * (c->count + 1), at = (notes + c->notes.len + PAGE_SIZE - 1) / PAGE_SIZE * PAGE_SIZE;

    buffer_append(out, "\177ELF", 4);
    put(out, c->wide ? 2 : 1, 1);
    put(out, 0x0101, 2); /* little-endian, version 1 */
    put(out, 0, 8);
    put(out, 0, 1);
    put(out, 4, 2); /* ET_CORE */
    put(out, c->kind->machine, 2);
    put(out, 1, 4);
    put(out, 0, word);
    put(out, header, word);
    put(out, 0, word);
    put(out, 0, 4);
    put(out, header, 2);
    put(out, segment, 2);
    put(out, c->count + 1, 2);
    put(out, 0, 6);
    put_segment(out, c->wide, 4, notes, 0, c->notes.len); /* PT_NOTE */
    for (unsigned i = 0; i < c->count; i++) {
        c->stretches[i].offset = at;
        put_segment(out, c->wide, 1, at, c->stretches[i].from, c->stretches[i].len); /* PT_LOAD */
        at += c->stretches[i].len;
    }
    buffer_append(out, c->notes.data, c->notes.len);
    c->end = at;
}

static int write_core(struct server *s, struct core *c, struct host_writer *w)
{
    struct buffer head;
    int r = w->seekable ? 0 : -ESPIPE;

    buffer_init(&head);
    put_headers(&head, c);
    if (r == 0)
        r = host_writer_write(w, head.data, head.len);
    if (r == 0)
        r = write_memory(s, c, w);
    buffer_finish(&head);
    return r;
}

static int dump(struct server *s, struct core *c, const char *path, bool force, struct error *err)
{
    struct host_writer w;
    int r = host_writer_open_whole(&w, path, HOST_MONITOR | HOST_EMPTY_ONLY | (force ? HOST_FORCE : 0), err);

    if (r < 0)
        return r;
    server_begin_search(s);
    r = write_core(s, c, &w);
    server_end_search(s);
    if (r == 0)
        r = host_writer_commit(&w);
    else
        host_writer_close(&w);
    if (r == -EINTR)
        return error_set(err, r, "interrupted: %s is not written", path);
    return r < 0 ? error_set(err, r, "%s: cannot write: %s", path, r == -ESPIPE ? "a core is written to a plain file" : strerror(-r)) : 0;
}

/* FILE [force] */
int monitor_dump_guest_memory(struct rsp_monitor_call *call, struct error *err)
{
    struct server *s = call->ctx;
    const char *path = call->argv[0].text, *more = call->argc > 1 ? call->argv[1].text : "";
    const struct kind *kind;
    struct core *c;
    int r;

    if (*path == '-')
        return error_set(err, -EINVAL, "%s: there is only the plain form, dump-guest-memory FILE: all of memory, by physical addresses, "
                                       "not compressed", path);
    if (*more && strcmp(more, "force"))
        return error_set(err, -EINVAL, "'%s' means nothing here: there is force", more);
    kind = kind_of(s->machine->cpus[0]);
    if (runs_wider_code(s->machine, kind))
        return error_set(err, -EINVAL, "the registers that a debugger sees are an i386's (--gdb-arch), and a CPU runs 64-bit code: a core of them "
                                       "would be wrong");
    c = xcalloc(1, sizeof(*c));
    c->kind = kind;
    buffer_init(&c->notes);
    put_notes(&c->notes, c->kind, s->machine);
    find_stretches(c, &s->machine->memory);
    c->wide = c->kind->word == 8 || (c->count && c->stretches[c->count - 1].from + c->stretches[c->count - 1].len > UINT64_C(1) << 32);
    r = dump(s, c, path, *more, err);
    if (r == 0)
        buffer_printf(call->out, "%s: memory (%" PRIu64 " MiB) and CPUs as they are at position %" PRIu64 "\n", path, c->bytes >> 20,
                      timeline_position(s->timeline));
    buffer_finish(&c->notes);
    free(c);
    return r;
}
