/*
 * Compiled code does what the interpreter does: every micro-op alone, every
 * condition after every operation that notes flags, and random blocks, with
 * operands that are the same or overlap, accesses that cross pages, fault, or are
 * not served in line. Compared are the whole state, the memory, how the block was
 * left, and where.
 *
 * The CPU is made for this: it has 14 registers of 64 bits, of which operands are any
 * part, eight pages of memory with different permissions, and nothing else.
 */
#include "base/buffer.h"
#include "base/error.h"
#include "host/code_memory.h"
#include "softfloat/softfloat.h"
#include "vm/bits.h"
#include "vm/jit/jit.h"
#include "tests/check_main.h"

#include <stdlib.h>
#include <string.h>

#define REGS 14u
#define ADDRESS_REG 8u  /* from here on: addresses near page boundaries */
#define INDEX_REG   12u /* from here on: small numbers */
#define DATA   UINT64_C(0x10000)
#define PAGES  8u
#define WINDOW 256u     /* bytes on each side of a boundary that accesses go to */
#define BLOCK_UOPS 12u

DEVICE_STATE_BEGIN
struct bare_state {
    struct lazy_flags cc;
    uint64_t reserved;
    uint64_t r[REGS];
    uint64_t fault_va;
    uint64_t calls;
    uint32_t rounding; /* and flushing: bit 2 */
    uint32_t raised;   /* FLOAT_* */
};
DEVICE_STATE_END

struct bare {
    struct ucpu u;
    struct bare_state *st;
};

#define OFF(member) ((unsigned)offsetof(struct bare_state, member))

/* ---- random numbers ---- */

static uint64_t seed = 88172645463325252u;

static uint64_t rng(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static unsigned below(unsigned n)
{
    return (unsigned)(rng() >> 20) % n;
}

/* ---- the CPU ---- */

static struct bare *bare_of(struct ucpu *c)
{
    return (struct bare *)(void *)c;
}

/* Pages 2 and 5 are read-only, 3 and 6 are not there. */
static bool bare_walk(struct ucpu *c, uint64_t va, enum access access, unsigned mode, struct translation *t)
{
    uint64_t n = (va - DATA) >> PAGE_SHIFT;
    bool writable = n != 2 && n != 5;

    (void)mode;
    if (n >= PAGES || n == 3 || n == 6 || (access == ACCESS_WRITE && !writable)) {
        bare_of(c)->st->fault_va = va;
        return false;
    }
    *t = (struct translation){.page = n << PAGE_SHIFT, .read = true, .write = writable, .fetch = true};
    return true;
}

static void bare_destroy(struct cpu *cpu)
{
    ucpu_finish((struct ucpu *)(void *)cpu);
    free(cpu);
}

static void bare_reset(struct cpu *cpu)
{
    (void)cpu;
}

static uint64_t element_op(unsigned op, bool is_64, uint64_t d, uint64_t a, uint64_t b, struct float_status *f)
{
#define EITHER(name) (is_64 ? f64_##name(a, b, f) : f32_##name((uint32_t)a, (uint32_t)b, f))
    switch (op) {
    case UOP_VFADD32: case UOP_VFADD64: return EITHER(add);
    case UOP_VFSUB32: case UOP_VFSUB64: return EITHER(sub);
    case UOP_VFMUL32: case UOP_VFMUL64: return EITHER(mul);
    case UOP_VFDIV32: case UOP_VFDIV64: return EITHER(div);
    default: break;
    }
    if (op == UOP_VFMLS32 || op == UOP_VFMLS64)
        a ^= is_64 ? (uint64_t)1 << 63 : 0x80000000u;
    return is_64 ? f64_fma(a, b, d, f) : f32_fma((uint32_t)a, (uint32_t)b, (uint32_t)d, f);
}

static void bare_vector_op(struct ucpu *c, const struct uop *u, struct float_status *f)
{
    bool is_64 = strstr(uop_infos[u->op].name, "64") != NULL;
    unsigned bytes = is_64 ? 8 : 4;
    uint8_t r[16];

    for (unsigned i = 0; i < 16; i += bytes) {
        uint64_t d = 0, a = 0, b = 0;

        memcpy(&d, c->s + u->d + i, bytes);
        memcpy(&a, c->s + u->a + i, bytes);
        memcpy(&b, c->s + u->b + i, bytes);
        d = element_op(u->op, is_64, d, a, b, f);
        memcpy(r + i, &d, bytes);
    }
    memcpy(c->s + u->d, r, 16);
}

/* The floating-point micro-ops, by libsoftfloat. */
static void bare_float_op(struct ucpu *c, const struct uop *u)
{
    struct bare_state *s = bare_of(c)->st;
    struct float_status f = {.rounding = s->rounding & 3, .denormals_are_zero = s->rounding & 4, .flags = (uint16_t)s->raised,
                             .flush = s->rounding & 4 ? FLUSH_TINY_EXACTLY : FLUSH_NEVER, .tiny_before = true};
    bool is_64 = strstr(uop_infos[u->op].name, "64") != NULL;
    uint64_t a, b, x = 0, r[2] = {0};

    if (u->op >= UOP_VFADD32) {
        bare_vector_op(c, u, &f);
        s->raised |= f.flags & FLOAT_FLAGS & ~FLOAT_DENORMAL;
        return;
    }
    memcpy(&a, c->s + u->a, 8);
    memcpy(&b, c->s + u->b, 8);
    if (strchr(uop_infos[u->op].operands, 'i'))
        memcpy(&x, c->s + u->imm, 8);
#define BOTH(call64, call32) (is_64 ? (call64) : (call32))
#define N32 0x80000000u
#define N64 ((uint64_t)1 << 63)
#define A32 (uint32_t)a
#define B32 (uint32_t)b
#define X32 (uint32_t)x
    switch (u->op) {
    case UOP_FADD32: case UOP_FADD64: r[0] = BOTH(f64_add(a, b, &f), f32_add(A32, B32, &f)); break;
    case UOP_FSUB32: case UOP_FSUB64: r[0] = BOTH(f64_sub(a, b, &f), f32_sub(A32, B32, &f)); break;
    case UOP_FMUL32: case UOP_FMUL64: r[0] = BOTH(f64_mul(a, b, &f), f32_mul(A32, B32, &f)); break;
    case UOP_FDIV32: case UOP_FDIV64: r[0] = BOTH(f64_div(a, b, &f), f32_div(A32, B32, &f)); break;
    case UOP_FMADD32: case UOP_FMADD64: r[0] = BOTH(f64_fma(a, b, x, &f), f32_fma(A32, B32, X32, &f)); break;
    case UOP_FMSUB32: case UOP_FMSUB64: r[0] = BOTH(f64_fma(a ^ N64, b, x, &f), f32_fma(A32 ^ N32, B32, X32, &f)); break;
    case UOP_FNMADD32:
    case UOP_FNMADD64: r[0] = BOTH(f64_fma(a ^ N64, b, x ^ N64, &f), f32_fma(A32 ^ N32, B32, X32 ^ N32, &f)); break;
    case UOP_FNMSUB32: case UOP_FNMSUB64: r[0] = BOTH(f64_fma(a, b, x ^ N64, &f), f32_fma(A32, B32, X32 ^ N32, &f)); break;
    default: r[0] = BOTH(f64_from_int((int64_t)a, 0, &f), f32_from_int((int64_t)a, 0, &f)); break;
    }
    memcpy(c->s + u->d, r, sizeof(r));
    s->raised |= f.flags & FLOAT_FLAGS & ~FLOAT_DENORMAL; /* the rules do not ask for denormal operands */
}

static const struct frontend bare_frontend = {.va_bits = 64, .walk = bare_walk, .float_op = bare_float_op};

static const struct cpu_ops bare_ops = {
    .arch = "bare",
    .state_size = sizeof(struct bare_state),
    .reset = bare_reset,
    .destroy = bare_destroy,
};

/* Its JIT compiles a block at once (blocks_made()): as a trace, or, with a threshold of more than 1, as code that counts, and as
 * a trace when that was entered some more times. */
static struct machine *bare_machine(size_t code_bytes, int threshold)
{
    struct machine *m = machine_create(PAGES);
    struct bare *b = xcalloc(1, sizeof(*b));
    struct code_memory memory;
    struct error err;

    b->st = machine_alloc_state(m, "cpu", 0, sizeof(*b->st));
    ucpu_init(&b->u, m, &bare_ops, &bare_frontend, b->st, OFF(cc));
    b->u.float_rules = (struct float_rules){.clear_at = OFF(rounding), .clear = 7, .set_at = OFF(raised), .set = FLOAT_INEXACT};
    memory_map(&m->memory, &(struct region){.base = 0, .size = PAGES << PAGE_SHIFT, .kind = REGION_RAM,
                                            .page = memory_alloc(&m->memory, "ram", PAGES << PAGE_SHIFT), .enabled = true});
    machine_reset(m);
    ck_assert_int_eq(code_memory_map(&memory, code_bytes, &err), 0);
    if (!ucpu_use_jit(&b->u, &memory, (unsigned)threshold)) {
        code_memory_unmap(&memory);
        machine_destroy(m);
        return NULL;
    }
    return m;
}

/* ---- samples ---- */

struct sample {
    struct bare_state st;
    uint8_t mem[PAGES + 1][2 * WINDOW]; /* around each boundary */
    enum left left;
    uint64_t go_pc;
    unsigned go_edge;
    long fault;
    uint64_t budget;
    bool retry;
    bool no_budget;
};

static uint64_t random_value(void)
{
    static const uint64_t edges[] = {0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000u, 0xffffffffu,
                                     UINT64_MAX >> 1, UINT64_C(1) << 63, UINT64_MAX, 31, 32, 33, 63, 64,
                                     /* infinities, the least normal numbers, NaNs, as two floats and as a double */
                                     0x7f8000007f800000u, 0xff800000ff800000u, 0xff8000003f800000u, 0x80000000800000u,
                                     0x7ff0000000000000u, 0xfff0000000000000u, 0x10000000000000u, 0x7fc000007f800001u,
                                     0x7ff8000000000000u};

    switch (below(6)) {
    case 0:
        return edges[below(ARRAY_LEN(edges))];
    case 1:
        return rng() & 0xff;
    case 2: /* a double of moderate size; two floats */
        return (rng() & 0x800fffffffffffffu) | (uint64_t)(1023 - 8 + below(16)) << 52;
    case 3:
        return (rng() & 0x807fffff807fffffu) | (uint64_t)(127 - 8 + below(16)) << 55 | (uint64_t)(127 - 8 + below(16)) << 23;
    case 4:
        return rng() & 0xff00ff00ff00ffu;
    default:
        return rng();
    }
}

static void random_flags(struct lazy_flags *f)
{
    static const uint8_t ops[] = {FLAGS_ADD, FLAGS_SUB, FLAGS_LOGIC, FLAGS_SUBN, FLAGS_INC, FLAGS_DEC, FLAGS_SHL, FLAGS_SHR, FLAGS_MUL};

    if (below(2)) {
        *f = (struct lazy_flags){.op = FLAGS_EXPLICIT, .dst = rng() & FLAGS_ALL};
    } else {
        unsigned log2 = below(4);
        uint64_t mask = UINT64_MAX >> (64 - (8u << log2));

        *f = (struct lazy_flags){.op = ops[below(ARRAY_LEN(ops))] | log2, .dst = random_value() & mask,
                                 .src = random_value() & mask};
    }
}

static void random_state(struct sample *s)
{
    memset(s, 0, sizeof(*s));
    for (unsigned i = 0; i < REGS; i++)
        s->st.r[i] = i >= INDEX_REG ? rng() & 7 : random_value();
    for (unsigned i = ADDRESS_REG; i < INDEX_REG; i++)
        if (below(16))
            s->st.r[i] = DATA + ((uint64_t)below(PAGES + 1) << PAGE_SHIFT) - 64 + below(128);
    random_flags(&s->st.cc);
    s->st.rounding = below(4) ? 0 : (uint32_t)below(8);
    s->st.raised = below(4) ? FLOAT_INEXACT : 0;
    for (unsigned i = 0; i <= PAGES; i++)
        for (unsigned k = 0; k < sizeof(s->mem[i]); k++)
            s->mem[i][k] = (uint8_t)rng();
    s->no_budget = below(16) == 0;
}

/* The offset of the window of a boundary, and how much of it there is. */
static unsigned window(unsigned i, unsigned *len)
{
    *len = i == 0 || i == PAGES ? WINDOW : 2 * WINDOW;
    return i == 0 ? 0 : (i << PAGE_SHIFT) - WINDOW;
}

static void put_memory(struct machine *m, const struct sample *s)
{
    static const uint8_t nothing[PAGES << PAGE_SHIFT];
    unsigned len;

    memory_write_bytes(&m->memory, 0, nothing, sizeof(nothing), true); /* what a run before this left elsewhere */
    for (unsigned i = 0; i <= PAGES; i++) {
        unsigned at = window(i, &len);

        memory_write_bytes(&m->memory, at, s->mem[i], len, true);
    }
}

static void get_memory(struct machine *m, struct sample *s)
{
    unsigned len;

    for (unsigned i = 0; i <= PAGES; i++) {
        unsigned at = window(i, &len);

        memory_read_bytes(&m->memory, at, s->mem[i], len);
    }
}

/* ---- micro-ops ---- */

static bool has(const char *s, const char *part)
{
    return strstr(s, part) != NULL;
}

static bool starts(const char *s, const char *with)
{
    return !strncmp(s, with, strlen(with));
}

static bool is_access(unsigned op)
{
    return uop_infos[op].attributes & (UOP_LOAD | UOP_STORE);
}

/* What it does depends on the state, as with helpers of targets: nothing, a change, a fault, the end. */
static int helper(struct ucpu *c, const struct uop *u)
{
    struct bare_state *s = bare_of(c)->st;
    unsigned what = (unsigned)(s->r[u->b % REGS] & 7);

    if (what == 0) {
        s->fault_va = 1;
        return UOP_FAULT;
    }
    s->calls++;
    s->r[u->a % REGS] += s->calls;
    if (what == 1)
        flags_settle(&s->cc);
    c->exec->go_pc = 0x5555; /* as a target's PC would be set */
    return what == 2 ? UOP_LEAVE : UOP_NEXT;
}

/* A check changes nothing unless it faults. */
static int check_helper(struct ucpu *c, const struct uop *u)
{
    struct bare_state *s = bare_of(c)->st;

    if (s->r[0] & 1)
        return UOP_NEXT;
    s->fault_va = u->a;
    return UOP_FAULT;
}

/* A division that does not fit changes both results, or faults. */
static int divide_helper(struct ucpu *c, const struct uop *u)
{
    struct bare_state *s = bare_of(c)->st;

    if (s->r[0] & 1) {
        s->fault_va = u->a;
        return UOP_FAULT;
    }
    memcpy(c->s + u->d, &s->r[1], 4);
    memcpy(c->s + u->b, &s->r[2], 4);
    return UOP_NEXT;
}

/* Any operand of up to 16 bytes; narrow ones anywhere in a register. */
static uint16_t random_operand(const char *name)
{
    unsigned reg = below(4) ? below(4) : below(REGS - 1), at = OFF(r[reg]);

    if (has(name, "128") || (has(name, "V") && !starts(name, "VDUP")))
        return (uint16_t)(OFF(r[0]) + 16 * below(REGS / 2 - 1));
    if (has(name, "64") || has(name, "32Z") || below(2))
        return (uint16_t)at;
    if (has(name, "32"))
        return (uint16_t)(at + 4 * below(2));
    if (has(name, "16"))
        return (uint16_t)(at + 2 * below(4));
    if (has(name, "8"))
        return (uint16_t)(at + below(8));
    return (uint16_t)at;
}

static unsigned bits_of(const char *name)
{
    return has(name, "64") ? 64 : has(name, "16") ? 16 : has(name, "32") ? 32 : 8;
}

/* The same of bytes and words. */
static int divide_narrow_helper(struct ucpu *c, const struct uop *u)
{
    struct bare_state *s = bare_of(c)->st;

    if (s->r[0] & 1) {
        s->fault_va = u->a;
        return UOP_FAULT;
    }
    memcpy(c->s + u->d, &s->r[1], 2);
    if (u->op == UOP_DIVW16 || u->op == UOP_IDIVW16)
        memcpy(c->s + u->b, &s->r[2], 2);
    return UOP_NEXT;
}

static struct uop random_uop(unsigned op)
{
    const char *name = uop_infos[op].name;
    unsigned n = bits_of(name);
    struct uop u = {.op = (uint16_t)op, .d = random_operand(name), .a = random_operand(name), .b = random_operand(name),
                    .imm = (uint32_t)random_value(), .aux = (uint32_t)rng()};

    if (strchr(uop_infos[op].operands, 'l'))
        u.imm64 = random_value();
    if (is_access(op)) {
        if (below(16))
            u.a = (uint16_t)OFF(r[ADDRESS_REG + below(INDEX_REG - ADDRESS_REG)]);
        if (strchr(uop_infos[op].operands, 'b') && !starts(name, "LDP") && !starts(name, "STP"))
            u.b = (uint16_t)OFF(r[INDEX_REG + below(REGS - INDEX_REG)]);
        else
            u.b = (uint16_t)OFF(r[below(8)]);
        u.imm = (uint32_t)below(64) - 32;
        if (starts(name, "STXC") || starts(name, "CAS")) {
            u.d = (uint16_t)OFF(r[below(4)]);
            u.b = (uint16_t)OFF(r[below(8)]);
            u.imm = OFF(r[4]) + 8 * below(3);
            u.aux = OFF(r[7]);
            return u;
        }
        if (!starts(name, "STI"))
            u.aux = below(has(name, "_X") ? 5 : 4);
    } else if (starts(name, "FM") || starts(name, "FN")) {
        u.imm = OFF(r[below(REGS - 1)]);
    } else if (op == UOP_VZERO) {
        u.d = (uint16_t)(OFF(r[0]) + 8 * below(4));
        u.imm = 16 * below(3);
    } else if (op == UOP_VEXT) {
        u.imm = 1 + below(15);
    } else if (starts(name, "VDUP")) {
        u.d = (uint16_t)(OFF(r[0]) + 16 * below(REGS / 2 - 1));
    } else if (starts(name, "VS")) {
        u.imm = op == UOP_VSHUF32 ? below(256) : below(bits_of(name));
    } else if (starts(name, "LEAX")) {
        u.aux &= 3;
    } else if (op == UOP_SETCC || op == UOP_CMOV16 || op == UOP_CMOV32 || op == UOP_BR) {
        u.b = (uint16_t)below(18);
    } else if (starts(name, "CS")) {
        u.imm = below(18);
    } else if (strchr(uop_infos[op].operands, 'n')) {
        u.d = (uint16_t)below(18);
        u.aux &= FLAGS_ALL;
        u.imm &= 31;
    } else if (starts(name, "MADD") || starts(name, "MSUB") || starts(name, "UM") || starts(name, "SM")) {
        u.imm = OFF(r[below(REGS)]);
    } else if (starts(name, "MULW") || starts(name, "IMULW") || starts(name, "SHLDR") || starts(name, "SHRDR")) {
        /* a part of a register: operands that lie across two are nobody's */
        u.imm = (unsigned)OFF(r[below(REGS - 1)]) + (has(name, "64") || has(name, "32Z") ? 0 : has(name, "32") ? 4 * below(2) : 2 * below(4));
    } else if (starts(name, "ROTATE")) {
        unsigned bytes;

        u.aux &= 31;
        bytes = u.aux & ROTATE_WIDE ? 8 : 1u << (u.aux >> ROTATE_SIZE_SHIFT & 3);
        u.d = (uint16_t)(OFF(r[below(REGS - 1)]) + bytes * below(8 / bytes));
        bytes = 1u << (u.aux >> ROTATE_SIZE_SHIFT & 3);
        u.a = below(4) && bytes == 8 ? u.d : (uint16_t)(OFF(r[below(REGS - 1)]) + bytes * below(8 / bytes));
        u.b = (uint16_t)(OFF(r[below(REGS - 1)]) + below(8));
    } else if (starts(name, "FLAGS_")) {
        u.a = u.d = (uint16_t)(OFF(r[below(REGS - 1)]) + 4 * below(2));
        if (below(4) == 0)
            u.imm = FLAGS_ALL;
    } else if (op == UOP_DIVW8 || op == UOP_IDIVW8 || op == UOP_DIVW16 || op == UOP_IDIVW16) {
        u.a = (uint16_t)(OFF(r[below(REGS / 2)]) + n / 8 * below(64 / n));
        u.d = (uint16_t)(OFF(r[below(REGS / 2)]) + 2 * below(4));
        u.b = (uint16_t)(OFF(r[REGS / 2 + below(REGS / 2)]) + 2 * below(4));
        u.fn = divide_narrow_helper;
    } else if (starts(name, "DIVW") || starts(name, "IDIVW")) {
        unsigned half = has(name, "64") || has(name, "32Z") ? 0 : 4;

        u.d = (uint16_t)(OFF(r[below(REGS / 2)]) + half * below(2));
        u.b = (uint16_t)(OFF(r[REGS / 2 + below(REGS / 2)]) + half * below(2));
        u.fn = divide_helper;
    } else if (starts(name, "SHL") || starts(name, "SHR") || starts(name, "SAR") || starts(name, "EXTR") ||
               starts(name, "ROL") || starts(name, "ROR32I") || (starts(name, "ROR") && has(name, "I_F"))) {
        u.imm = 1 + below(n - 1);
    } else if (starts(name, "BF")) {
        u.aux = 1 + below(n);
    } else if (starts(name, "UBF") || starts(name, "SBF")) {
        u.aux = u.imm = below(n);
        if (below(2))
            u.aux = below(n);
    } else if (op == UOP_CALL || op == UOP_LIMIT32 || op == UOP_CANON64 || op == UOP_CHECK32 || op == UOP_CHECK64) {
        u.fn = op == UOP_CALL ? helper : check_helper;
        if (op == UOP_CALL)
            u.d = u.a = u.b = (uint16_t)below(1000);
        else
            u.d = (uint16_t)below(16);
    }
    return u;
}

/* ---- running ---- */

struct program {
    struct uop uops[BLOCK_UOPS + 1];
    unsigned n;
    unsigned blocks;  /* this one and those behind it in an array, which lead to each other; */
    uint8_t to[2];    /* numbers of those that this one is chained to; others: no chain */
    unsigned budget;  /* of the first; 0: enough for one */
};
#define MAX_BLOCKS 4u

static uint64_t pc_of(const struct program *p, unsigned number, uint64_t other)
{
    return number < p->blocks ? 0x1000 + 0x100 * number : other;
}

static struct block block_of(const struct program *all, unsigned number, struct block_insn *insns)
{
    const struct program *p = &all[number];
    uint64_t pc = pc_of(all, number, 0);

    return (struct block){.uops = (struct uop *)(uintptr_t)p->uops, .nuops = p->n, .insns = insns, .steps = (uint16_t)p->n,
                          .valid = true, .key = {.pc = pc, .va = pc, .mode = 7}, .page = {1, NO_PAGE},
                          .target = {pc_of(all, p->to[0], 0x1800), pc_of(all, p->to[1], 0x7000)}};
}

/* All of the program's blocks, chained. */
static void make_blocks(const struct program *p, struct block *blocks, struct block_insn *insns, bool wide)
{
    unsigned count = p->blocks ? p->blocks : 1;

    for (unsigned i = 0; i < count; i++) {
        blocks[i] = block_of(p, i, insns);
        blocks[i].wide = wide;
    }
    for (unsigned i = 0; i < count; i++)
        for (unsigned edge = 0; edge < 2; edge++)
            if (p[i].to[edge] < p->blocks)
                blocks[i].next[edge] = &blocks[p[i].to[edge]];
}

static void prepare(struct machine *m, const struct program *p, const struct sample *s)
{
    struct bare *b = (struct bare *)(void *)m->cpus[0];
    struct ucpu *c = &b->u;

    *b->st = s->st;
    put_memory(m, s);
    if (below(2)) {
        ucpu_flush_tlb(c);
        if (below(2))
            page_space_clean(&m->memory.pages);
    }
    c->cpu.budget = s->no_budget ? p->n - 1 : p->budget ? p->budget : 1000;
    c->cpu.limit = 1000;
    c->cpu.running = true;
    c->retry_alone = false;
    c->exec->go_pc = c->exec->go_edge = 0;
    c->exec->fault_uop = p->uops;
}

/* Number of the micro-op in either of two arrays of programs. */
static long number_in(const struct uop *u, const struct program *p, const struct program *q)
{
    long at = ((const char *)u - (const char *)q) / (long)sizeof(*u);

    return at >= 0 && at < (long)(MAX_BLOCKS * sizeof(*q) / sizeof(*u)) ? at : ((const char *)u - (const char *)p) / (long)sizeof(*u);
}

static void look(struct machine *m, struct sample *s, const struct program *p, const struct program *q)
{
    struct bare *b = (struct bare *)(void *)m->cpus[0];
    struct ucpu *c = &b->u;

    c->cpu.running = false;
    s->st = *b->st;
    flags_settle(&s->st.cc); /* how they are noted is not state */
    get_memory(m, s);
    s->go_pc = s->left == LEFT_FAULT ? 0 : c->exec->go_pc;
    s->go_edge = s->left == LEFT_GO ? c->exec->go_edge : 0;
    if (s->go_edge == EDGE_RETURN) /* as an interpreter, to which returns are jumps as any */
        s->go_edge = EDGE_NONE;
    s->fault = number_in(c->exec->fault_uop, p, q);
    s->budget = c->cpu.budget;
    s->retry = c->retry_alone;
    c->cpu.steps = 0;
}

static enum left run_compiled(struct machine *m, struct block *b)
{
    struct ucpu *c = &((struct bare *)(void *)m->cpus[0])->u;

    return jit_run(c->exec->shared->jit, c, b);
}

static void blocks_made(struct machine *m, struct block *blocks, unsigned count)
{
    struct jit *jit = ((struct bare *)(void *)m->cpus[0])->u.exec->shared->jit;

    for (unsigned i = 0; i < count; i++) {
        jit_block_made(jit, &blocks[i]);
        blocks[i].heat = 1;
    }
}

/* Room for blocks where the JIT looks for them. */
static struct block *pool_of(const struct machine *m)
{
    return (struct block *)(void *)((struct bare *)(void *)m->cpus[0])->u.exec->shared->pool;
}

static void run(struct machine *m, const struct program *p, struct sample *s, bool compiled)
{
    struct block_insn insns[BLOCK_UOPS + 1] = {{0}};
    struct block *blocks = pool_of(m);

    make_blocks(p, blocks, insns, compiled && below(2)); /* a hint */
    prepare(m, p, s);
    if (compiled) {
        blocks_made(m, blocks, p->blocks ? p->blocks : 1);
        s->left = run_compiled(m, blocks);
    } else {
        s->left = interp_run(&((struct bare *)(void *)m->cpus[0])->u, blocks);
    }
    look(m, s, p, p);
}

/* After the program `p` was run, compiled, those of its blocks that `replaced` names make place for `q`'s, as when their bytes were written. */
static void run_replaced(struct machine *m, const struct program *p, const struct program *q, unsigned replaced, struct sample *s)
{
    struct jit *jit = ((struct bare *)(void *)m->cpus[0])->u.exec->shared->jit;
    struct block_insn insns[BLOCK_UOPS + 1] = {{0}};
    struct block *old = pool_of(m), *new = old + MAX_BLOCKS, *now[MAX_BLOCKS];
    bool wide = below(2);

    make_blocks(p, old, insns, wide);
    make_blocks(q, new, insns, wide);
    prepare(m, p, s);
    blocks_made(m, old, p->blocks);
    blocks_made(m, new, p->blocks);
    run_compiled(m, old);
    for (unsigned i = 0; i < p->blocks; i++) {
        old[i].valid = !(replaced >> i & 1);
        now[i] = old[i].valid ? &old[i] : &new[i];
    }
    for (unsigned i = 0; i < p->blocks; i++)
        for (unsigned edge = 0; edge < 2; edge++)
            if (q[i].to[edge] < p->blocks) {
                now[i]->next[edge] = now[q[i].to[edge]];
                jit_chained(jit, now[i], edge);
            }
    prepare(m, q, s);
    s->left = run_compiled(m, now[0]);
    look(m, s, p, q);
}

static void tell(const struct program *p, const struct sample *before, const struct sample *want, const struct sample *got)
{
    struct buffer out;

    buffer_init(&out);
    for (unsigned k = 0; k < (p->blocks ? p->blocks : 1); k++) {
        if (p->blocks)
            buffer_printf(&out, "block %u, to %u and %u:\n", k, p[k].to[0], p[k].to[1]);
        for (unsigned i = 0; i < p[k].n; i++) {
            uop_print(&out, &p[k].uops[i], NULL);
            buffer_printf(&out, "\n");
        }
    }
    buffer_printf(&out, "left %d, compiled %d; go %llx, %llx; edge %u, %u; fault %ld, %ld; budget %llu, %llu; retry %d, %d\n",
                  want->left, got->left, (unsigned long long)want->go_pc, (unsigned long long)got->go_pc, want->go_edge,
                  got->go_edge, want->fault, got->fault, (unsigned long long)want->budget, (unsigned long long)got->budget,
                  want->retry, got->retry);
    for (unsigned i = 0; i < sizeof(struct bare_state) / 8; i++) {
        const uint64_t *b = (const uint64_t *)(const void *)&before->st, *w = (const uint64_t *)(const void *)&want->st,
                       *g = (const uint64_t *)(const void *)&got->st;

        if (w[i] != g[i])
            buffer_printf(&out, "[%u]: before %llx, interpreted %llx, compiled %llx\n", 8 * i, (unsigned long long)b[i],
                          (unsigned long long)w[i], (unsigned long long)g[i]);
    }
    if (memcmp(want->mem, got->mem, sizeof(want->mem)))
        buffer_printf(&out, "and memory\n");
    ck_abort_msg("%s", (const char *)out.data);
}

/* Where the sample has the byte at `va`, or NULL. */
static const uint8_t *sample_at(const struct sample *s, uint64_t va)
{
    uint64_t at = va - DATA, i = (at + WINDOW) >> PAGE_SHIFT;
    unsigned len;

    if (va - DATA > (PAGES << PAGE_SHIFT) - 8 || i > PAGES || at - window((unsigned)i, &len) > len - 8)
        return NULL;
    return &s->mem[i][at - window((unsigned)i, &len)];
}

/* Let an atomic at the beginning find what it expects. */
static void arrange_success(const struct program *p, struct sample *s)
{
    const struct uop *u = &p->uops[0];
    const char *name = uop_infos[u->op].name;
    uint8_t *state = (uint8_t *)&s->st;
    const uint8_t *value;
    uint32_t bytes = bits_of(name) / 8;
    uint64_t va;

    memcpy(&va, state + u->a, 8);
    value = sample_at(s, va);
    if (!value || below(8) == 0)
        return;
    if (starts(name, "CAS")) {
        memcpy(state + u->d, value, bytes);
    } else if (starts(name, "STXC")) {
        memcpy(state + u->imm + 8, value, bytes);
        memcpy(state + u->aux, &bytes, 4);
        memcpy(state + u->imm, &va, 8);
    }
}

static void compare(struct machine *m, const struct program *p)
{
    static struct sample before, want, got;

    random_state(&before);
    arrange_success(p, &before);
    want = got = before;
    run(m, p, &want, false);
    run(m, p, &got, true);
    if (memcmp(&want, &got, sizeof(want)))
        tell(p, &before, &want, &got);
}

static bool ends(unsigned op)
{
    return uop_infos[op].attributes & UOP_ENDS;
}

/* Some micro-ops need flags that were noted in their block. */
static bool needs_noted(unsigned op)
{
    return starts(uop_infos[op].name, "BR_DST");
}

/* The host's own instructions: tests/guests/fpu_diff.c compares them. */
static bool is_hosts_own(unsigned op)
{
    return op == UOP_SSE || op == UOP_SSE_COMPARE || op == UOP_VECTOR || op == UOP_VECTOR_TEST || op == UOP_VECTOR_STRINGS ||
           op == UOP_X87 || op == UOP_VECTOR_MASKED;
}

static unsigned random_op(bool end)
{
    unsigned op;

    do
        op = below(UOP_COUNT);
    while (ends(op) != end || needs_noted(op) || is_hosts_own(op));
    return op;
}

START_TEST(every_micro_op)
{
    struct machine *m = bare_machine(1 << 20, _i);

    for (unsigned op = 0; m && op < UOP_COUNT; op++)
        for (unsigned i = 0; i < 200 && !is_hosts_own(op); i++) {
            struct program p = {.n = 2};

            p.uops[0] = random_uop(ends(op) ? (unsigned)UOP_TEST32 : op);
            p.uops[1] = random_uop(ends(op) ? op : (unsigned)UOP_FALL);
            compare(m, &p);
        }
    machine_destroy(m);
}
END_TEST

START_TEST(every_condition_after_every_noted_operation)
{
    struct machine *m = bare_machine(1 << 20, _i);

    for (unsigned op = 0; m && op < UOP_COUNT; op++)
        for (unsigned cond = 0; cond < 18 && (uop_infos[op].attributes & UOP_SETF) && !ends(op) && !is_hosts_own(op); cond++)
            for (unsigned i = 0; i < 24; i++) {
                struct program p = {.n = 4};

                p.uops[0] = random_uop(op);
                p.uops[1] = (struct uop){.op = UOP_SETCC, .d = (uint16_t)OFF(r[5]), .b = (uint16_t)cond};
                p.uops[2] = random_uop(i & 1 ? UOP_CSEL64 : UOP_CSNEG32Z);
                p.uops[2].imm = cond;
                if (i & 2) /* all flags, then */
                    p.uops[1] = random_uop(i & 4 ? UOP_BT32I_F : UOP_ROL32I_F);
                p.uops[3] = random_uop(UOP_BR);
                p.uops[3].b = (uint16_t)cond;
                compare(m, &p);
            }
    machine_destroy(m);
}
END_TEST

/* Branches on the result noted last, with something between or not: what the host's flags are then is not always that. */
START_TEST(branches_on_the_result_that_was_noted_last)
{
    static const uint16_t branches[] = {UOP_BR_DST_Z, UOP_BR_DST_NZ, UOP_BR_DST8_S, UOP_BR_DST16_NS, UOP_BR_DST32_S, UOP_BR_DST32_NS,
                                        UOP_BR_DST64_S, UOP_BR_DST64_NS};
    struct machine *m = bare_machine(1 << 20, _i);

    for (unsigned op = 0; m && op < UOP_COUNT; op++)
        for (unsigned i = 0; i < 64 && (uop_infos[op].attributes & UOP_SETF) && !ends(op) && !is_hosts_own(op); i++) {
            struct program p = {.n = 3};

            p.uops[0] = random_uop(op);
            p.uops[1] = random_uop(i & 1 ? UOP_MOV64 : i & 2 ? UOP_XOR32_F : i & 4 ? UOP_SUB64_F : UOP_TEST8I);
            if (i & 8) /* nothing is computed then */
                p.uops[1].b = p.uops[1].a;
            p.uops[2] = random_uop(branches[below(ARRAY_LEN(branches))]);
            compare(m, &p);
        }
    machine_destroy(m);
}
END_TEST

static void random_blocks(size_t code_bytes, int threshold, unsigned count)
{
    struct machine *m = bare_machine(code_bytes, threshold);

    for (unsigned i = 0; m && i < count; i++) {
        struct program p = {.n = 2 + below(BLOCK_UOPS - 1)};

        for (unsigned k = 0; k < p.n; k++)
            p.uops[k] = random_uop(random_op(k == p.n - 1));
        compare(m, &p);
    }
    machine_destroy(m);
}

START_TEST(random_blocks_of_micro_ops)
{
    random_blocks(1 << 20, _i, 60000);
}
END_TEST

/* What an instruction changes in memory: a load that faults as a store does, and a store to the same place. */
static void change_memory(struct uop *load, struct uop *store)
{
    static const uint16_t pairs[][2] = {
        {UOP_LDRW8_W, UOP_ST8_W}, {UOP_LDRW16_W, UOP_ST16_W}, {UOP_LDRW32_W, UOP_ST32_W}, {UOP_LDRW64_W, UOP_ST64_W},
        {UOP_LDRWX8_W, UOP_STX8_W}, {UOP_LDRWX16_W, UOP_STX16_W}, {UOP_LDRWX32_W, UOP_STX32_W}, {UOP_LDRWX64_W, UOP_STX64_W},
        {UOP_LDRW8_X, UOP_ST8_X}, {UOP_LDRW16_X, UOP_ST16_X}, {UOP_LDRWZ32_X, UOP_ST32_X}, {UOP_LDRW64_X, UOP_ST64_X},
        {UOP_LDRWX8_X, UOP_STX8_X}, {UOP_LDRWX16_X, UOP_STX16_X}, {UOP_LDRWXZ32_X, UOP_STX32_X}, {UOP_LDRWX64_X, UOP_STX64_X},
        {UOP_LDRW8_W, UOP_STI8_W}, {UOP_LDRW32_W, UOP_STI32_W}, {UOP_LDRW64_X, UOP_STI64_X},
        {UOP_LDRW32_W, UOP_ST16_W}, {UOP_LDRWX32_W, UOP_ST32_W}, /* not the same place, or not as much of it */
    };
    const uint16_t *pair = pairs[below(ARRAY_LEN(pairs))];
    uint16_t d;

    *load = random_uop(pair[0]);
    d = random_uop(pair[1]).d;
    *store = *load;
    store->op = pair[1];
    store->d = d;
    if (below(16) == 0)
        store->imm += 8 * below(3);
    if (below(16) == 0)
        store->aux ^= 1;
}

START_TEST(what_is_loaded_to_be_changed_is_stored_to_the_same_place)
{
    struct machine *m = bare_machine(1 << 20, _i);

    for (unsigned i = 0; m && i < 60000; i++) {
        struct program p = {.n = 3 + below(6)};
        unsigned at;

        for (unsigned k = 0; k < p.n; k++)
            p.uops[k] = random_uop(random_op(k == p.n - 1));
        at = below(p.n - 2);
        change_memory(&p.uops[at], &p.uops[at + 1 + below(p.n - 2 - at)]);
        compare(m, &p);
    }
    machine_destroy(m);
}
END_TEST

/* A branch that is often taken, or one at random. */
static void end_of_loop(struct program *p)
{
    static const uint16_t ends_often[] = {UOP_BRNZ32, UOP_BRNZ64, UOP_BRBC64, UOP_CMP32I_BR_NZ, UOP_CMPN64I_BR_NZ, UOP_BR};
    struct uop *end = &p->uops[p->n - 1];

    if (below(4) == 0) {
        do
            *end = random_uop(random_op(true));
        while (end->op == UOP_FALL || end->op == UOP_EXIT);
        return;
    }
    *end = random_uop(ends_often[below(ARRAY_LEN(ends_often))]);
    if (end->op == UOP_BR)
        end->b |= 1;
}

static void random_middle(struct program *p)
{
    for (unsigned k = 0; k + 1 < p->n; k++)
        p->uops[k] = random_uop(random_op(false));
}

START_TEST(blocks_that_branch_to_themselves)
{
    struct machine *m = bare_machine(1 << 20, _i);

    for (unsigned i = 0; m && i < 60000; i++) {
        struct program p = {.n = 2 + below(BLOCK_UOPS - 1), .blocks = 1, .to = {UINT8_MAX, 0}, .budget = 1 + below(100)};

        random_middle(&p);
        end_of_loop(&p);
        compare(m, &p);
    }
    machine_destroy(m);
}
END_TEST

static void random_blocks_in_a_ring(struct program *p, unsigned blocks)
{
    for (unsigned k = 0; k < blocks; k++) {
        p[k].n = 2 + below(BLOCK_UOPS / 2);
        p[k].blocks = blocks;
        p[k].budget = 1 + below(200);
        random_middle(&p[k]);
        if (below(3))
            end_of_loop(&p[k]);
        else
            p[k].uops[p[k].n - 1] = random_uop(below(2) ? UOP_JMP : UOP_FALL);
        for (unsigned edge = 0; edge < 2; edge++)
            p[k].to[edge] = (uint8_t)(below(4) ? (k + 1) % blocks : below(blocks + 1));
    }
}

START_TEST(blocks_that_lead_to_each_other)
{
    struct machine *m = bare_machine(1 << 20, _i);

    for (unsigned i = 0; m && i < 60000; i++) {
        struct program p[MAX_BLOCKS] = {{.n = 0}};
        unsigned blocks = 2 + below(MAX_BLOCKS - 1);

        random_blocks_in_a_ring(p, blocks);
        compare(m, p);
    }
    machine_destroy(m);
}
END_TEST

/* Many copies of one value, and others that want registers meanwhile. */
static void copies_in_a_ring(struct program *p)
{
    for (unsigned k = 0; k < MAX_BLOCKS; k++) {
        p[k] = (struct program){.n = BLOCK_UOPS, .blocks = MAX_BLOCKS, .budget = 200};
        for (unsigned i = 0; i + 1 < BLOCK_UOPS; i++)
            p[k].uops[i] = below(10) == 0 ? random_uop(random_op(false)) :
                                            (struct uop){.op = UOP_MOV32, .d = (uint16_t)(OFF(r[1 + below(REGS - 1)]) + 4 * below(2)),
                                                         .a = (uint16_t)OFF(r[0])};
        p[k].uops[BLOCK_UOPS - 1] = random_uop(below(2) ? UOP_JMP : UOP_FALL);
        p[k].to[0] = p[k].to[1] = (uint8_t)((k + 1) % MAX_BLOCKS);
    }
}

START_TEST(copies_of_one_value_leave_room_for_others)
{
    struct machine *m = bare_machine(1 << 20, _i);

    for (unsigned i = 0; m && i < 5000; i++) {
        struct program p[MAX_BLOCKS];

        copies_in_a_ring(p);
        compare(m, p);
    }
    machine_destroy(m);
}
END_TEST

/* What makes accesses belong together, and what parts them: loads and stores near one of two registers, sums and copies of these, and
 * anything. */
static void near_middle(struct program *p)
{
    static const uint16_t moves[] = {
        UOP_MOV32, UOP_MOV64, UOP_ADD32I, UOP_SUB32I, UOP_ADD32I_F, UOP_SUB32I_F, UOP_INC32_F, UOP_DEC32_F, UOP_LEA_W, UOP_ADD64I, UOP_SUB64I,
        UOP_ADD64I_F, UOP_SUB64I_F, UOP_SUBN64I_F, UOP_INC64_F, UOP_DEC64_F, UOP_MOV32Z, UOP_ADD32ZI, UOP_MOV16, UOP_ZX8_32,
    };

    for (unsigned k = 0; k + 1 < p->n; k++) {
        struct uop *u = &p->uops[k];
        unsigned what = below(20), op;

        if (what < 12) {
            do
                op = random_op(false);
            while (!is_access(op) || starts(uop_infos[op].name, "CAS") || starts(uop_infos[op].name, "STXC"));
            *u = random_uop(op);
            u->a = (uint16_t)OFF(r[ADDRESS_REG + below(2)]);
            u->imm = below(80) - 40u;
        } else if (what < 17) {
            *u = random_uop(moves[below(ARRAY_LEN(moves))]);
            u->a = (uint16_t)OFF(r[ADDRESS_REG + below(3)]);
            u->d = (uint16_t)OFF(r[ADDRESS_REG + below(3)]);
            if (strchr(uop_infos[u->op].operands, 'l'))
                u->imm64 = below(80) - (uint64_t)40;
            else
                u->imm = below(80) - 40u;
        } else {
            *u = random_uop(random_op(false));
        }
    }
}

START_TEST(accesses_near_each_other)
{
    struct machine *m = bare_machine(1 << 20, _i);

    for (unsigned i = 0; m && i < 100000; i++) {
        struct program p[MAX_BLOCKS] = {{.n = 0}};
        unsigned blocks = 1 + below(MAX_BLOCKS);

        random_blocks_in_a_ring(p, blocks);
        for (unsigned k = 0; k < blocks; k++) {
            struct uop end = p[k].uops[p[k].n - 1];

            p[k].n = 4 + below(BLOCK_UOPS - 3);
            near_middle(&p[k]);
            p[k].uops[p[k].n - 1] = end;
        }
        compare(m, p);
    }
    machine_destroy(m);
}
END_TEST

START_TEST(blocks_that_are_replaced_after_they_were_run_are_not_run_again)
{
    struct machine *m = bare_machine(1 << 20, _i);

    for (unsigned i = 0; m && i < 30000; i++) {
        struct program p[MAX_BLOCKS] = {{.n = 0}}, q[MAX_BLOCKS] = {{.n = 0}};
        unsigned blocks = 2 + below(MAX_BLOCKS - 1), replaced = 0;
        static struct sample before, want, got;

        random_blocks_in_a_ring(p, blocks);
        random_blocks_in_a_ring(q, blocks);
        for (unsigned k = 0; k < blocks; k++) {
            memcpy(q[k].to, p[k].to, sizeof(p[k].to)); /* so the blocks that stay have the targets that they had */
            if (below(2))
                replaced |= 1u << k;
            else
                q[k] = p[k];
        }
        random_state(&before);
        want = got = before;
        run(m, q, &want, false);
        run_replaced(m, p, q, replaced, &got);
        if (memcmp(&want, &got, sizeof(want)))
            tell(q, &before, &want, &got);
    }
    machine_destroy(m);
}
END_TEST

START_TEST(code_that_does_not_fit_throws_the_rest_away)
{
    random_blocks(16 << 10, _i, 2000);
}
END_TEST

START_TEST(too_little_memory_means_no_jit)
{
    ck_assert_ptr_null(bare_machine(4096, 1));
}
END_TEST

Suite *test_suite(void)
{
    Suite *s = suite_create("vm jit");
    TCase *t = tcase_create("jit");

    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, every_micro_op, 1, 3);
    tcase_add_loop_test(t, every_condition_after_every_noted_operation, 1, 3);
    tcase_add_loop_test(t, branches_on_the_result_that_was_noted_last, 1, 3);
    tcase_add_loop_test(t, random_blocks_of_micro_ops, 1, 3);
    tcase_add_loop_test(t, what_is_loaded_to_be_changed_is_stored_to_the_same_place, 1, 3);
    tcase_add_loop_test(t, blocks_that_branch_to_themselves, 1, 3);
    tcase_add_loop_test(t, blocks_that_lead_to_each_other, 1, 3);
    tcase_add_loop_test(t, copies_of_one_value_leave_room_for_others, 1, 3);
    tcase_add_loop_test(t, accesses_near_each_other, 1, 3);
    tcase_add_loop_test(t, blocks_that_are_replaced_after_they_were_run_are_not_run_again, 1, 3);
    tcase_add_loop_test(t, code_that_does_not_fit_throws_the_rest_away, 1, 3);
    tcase_add_test(t, too_little_memory_means_no_jit);
    suite_add_tcase(s, t);
    return s;
}
