/*
 * Differential test of 16-bit code: random instructions in real mode, one at a
 * time, on libunicorn and on the emulator, with 16- and 32-bit operands and
 * addresses, all segments and overrides, segment loads, far transfers, IRET.
 *
 * From the same states the emulator goes on for some steps more, into whatever the bytes
 * after the instruction mean, twice: interpreted and compiled. That must be the same,
 * undefined flags included.
 *
 *   difftest_unicorn [cases [seed]]
 *
 * Where they may differ: unicorn does not check segment limits, so a case that
 * ends in #GP or #SS here is not compared; flags that the manual leaves
 * undefined are masked.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unicorn/unicorn.h>
#include <unistd.h>

#include "i386/cpu.h"
#include "i386/insn.h"
#include "i386_undefined.h"
#include "tests/whole/with_jit.h"

#define RAM       0x120000u /* up to FFFF:FFFF and a fetch beyond */
#define HANDLERS  0x8000u /* segment of the handlers: vector n at n * 4 */
#define COMPARED  (FLAGS_ALL | EFLAGS_TF | EFLAGS_IF | EFLAGS_DF | EFLAGS_IOPL | EFLAGS_NT)

static const uint16_t start_selectors[6] = {0x3000, 0x1000, 0x4000, 0x2000, 0x5000, 0x6000};

struct regs {
    uint32_t gpr[8], eip, eflags;
    uint16_t selector[6]; /* ES CS SS DS FS GS */
};

static uint64_t rng_state;

static uint32_t rnd(void)
{
    rng_state = rng_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(rng_state >> 33) ^ (uint32_t)(rng_state >> 13);
}

static uint32_t below(uint32_t n)
{
    return rnd() % n;
}

/* ---- cases ---- */

struct one_case {
    struct regs regs;
    uint8_t code[16];
    struct insn insn;
    uint32_t undefined;
};

static bool wanted(const struct insn *i)
{
    switch (i->op) {
    case INSN_X87: case INSN_FWAIT: case INSN_SIMD: case INSN_IN: case INSN_OUT: case INSN_INS: case INSN_OUTS:
    case INSN_HLT: case INSN_CLI: case INSN_STI: case INSN_INT: case INSN_INT3: case INSN_INTO: case INSN_ICEBP:
    case INSN_NOP: case INSN_CPUID: case INSN_BOUND: case INSN_BSWAP:
        return false;
    case INSN_TEST: /* the second encoding of TEST with an immediate is #UD there */
        return (i->opcode != 0xf6 && i->opcode != 0xf7) || !(i->modrm & 0x38);
    case INSN_POP_SREG: case INSN_MOV_TO_SREG: case INSN_LOAD_FAR:
        return true;
    default:
        return i->op < INSN_SLDT && i->op != INSN_UD;
    }
}

static void make_case(struct one_case *c, uint32_t ip)
{
    struct regs *r = &c->regs;

    do {
        unsigned at = 0;

        if (below(3) == 0)
            c->code[at++] = 0x66;
        if (below(4) == 0)
            c->code[at++] = 0x67;
        if (below(6) == 0)
            c->code[at++] = (const uint8_t[]){0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65}[below(6)];
        if (below(12) == 0)
            c->code[at++] = (const uint8_t[]){0xf2, 0xf3, 0xf0}[below(3)];
        if (below(4) == 0)
            c->code[at++] = 0x0f;
        while (at < sizeof c->code)
            c->code[at++] = (uint8_t)rnd();
    } while (i386_decode(c->code, 15, DECODE_P6, &c->insn) != DECODE_OK || !wanted(&c->insn) ||
             ((c->insn.flags & (INSN_REP | INSN_REPNE)) && (c->insn.op < INSN_MOVS || c->insn.op > INSN_SCAS)));
    for (unsigned n = 0; n < 8; n++)
        r->gpr[n] = below(3) ? rnd() & 0xffff : below(2) ? rnd() & 0x1ff : rnd();
    if (c->insn.asize == 4) { /* most addresses within the segments */
        for (unsigned n = 0; n < 8; n++)
            r->gpr[n] &= 0x1fff;
        if (c->insn.flags & INSN_MEM)
            memset(c->code + c->insn.len - (c->insn.len > 4 ? 2 : 0), 0, 2);
    }
    if (c->insn.op >= INSN_MOVS && c->insn.op <= INSN_SCAS)
        r->gpr[ECX] = below(40);
    if (below(3) == 0)
        r->gpr[EDX] &= 0xff;
    if (below(8) || r->gpr[ESP] % 0x10000 < 8) /* no frame of an exception around the end: that is a shutdown */
        r->gpr[ESP] &= 0xfffe;
    r->eflags = (rnd() & (FLAGS_ALL | EFLAGS_DF)) | EFLAGS_1;
    r->eip = ip;
    memcpy(r->selector, start_selectors, sizeof r->selector);
}

/* ---- the emulator ---- */

struct guest {
    struct machine *m;
    struct i386_cpu *c;
    uint8_t *ram;
};

static void guest_init(struct guest *g)
{
    static const struct machine_env env = {0};
    struct region ram = {.base = 0, .size = RAM, .kind = REGION_RAM, .enabled = true};

    g->m = machine_create(RAM >> PAGE_SHIFT);
    g->m->env = &env;
    ram.page = memory_alloc(&g->m->memory, "ram", RAM);
    memory_map(&g->m->memory, &ram);
    g->ram = g->m->memory.host + ((size_t)ram.page << PAGE_SHIFT);
    g->c = i386_create(g->m, i386_model_find("pentium4"));
    machine_reset(g->m);
}

static void guest_prepare(struct guest *g, const struct one_case *c)
{
    struct i386_state *st = g->c->st;
    const struct regs *r = &c->regs;

    for (unsigned n = 0; n < 8; n++)
        st->gpr[n] = r->gpr[n];
    st->rip = r->eip;
    st->cc = (struct lazy_flags){.op = FLAGS_EXPLICIT, .dst = r->eflags & FLAGS_ALL};
    st->eflags = r->eflags & ~FLAGS_ALL;
    st->shadow = 0;
    for (unsigned n = 0; n < 6; n++)
        st->seg[n] = (struct i386_segment){.selector = r->selector[n], .attr = 0x93, .limit = 0xffff, .valid = 1,
                                           .base = (uint32_t)r->selector[n] << 4};
    st->idtr = (struct i386_dtr){.limit = 0x3ff};
    memory_write_bytes(&g->m->memory, st->seg[SEG_CS].base + r->eip, c->code, sizeof c->code, false);
    g->m->cpus[0]->ops->drop_derived(g->m->cpus[0]);
}

static void guest_regs(struct guest *g, struct regs *out)
{
    const struct i386_state *st = g->c->st;

    for (unsigned n = 0; n < 8; n++)
        out->gpr[n] = (uint32_t)st->gpr[n];
    out->eip = (uint32_t)st->rip;
    out->eflags = i386_get_eflags(g->c);
    for (unsigned n = 0; n < 6; n++)
        out->selector[n] = st->seg[n].selector;
}

/* One instruction. */
static void guest_run(struct guest *g, const struct one_case *c, struct regs *out)
{
    struct stop stop;

    guest_prepare(g, c);
    do
        machine_run(g->m, g->m->st->position + 1, &stop);
    while (g->c->st->rep_active);
    guest_regs(g, out);
}

/* ---- unicorn ---- */

static const int uc_gpr[8] = {UC_X86_REG_EAX, UC_X86_REG_ECX, UC_X86_REG_EDX, UC_X86_REG_EBX,
                              UC_X86_REG_ESP, UC_X86_REG_EBP, UC_X86_REG_ESI, UC_X86_REG_EDI};
static const int uc_seg[6] = {UC_X86_REG_ES, UC_X86_REG_CS, UC_X86_REG_SS, UC_X86_REG_DS, UC_X86_REG_FS, UC_X86_REG_GS};

static uint32_t uc_vector;

static void on_interrupt(uc_engine *uc, uint32_t vector, void *data)
{
    (void)data;
    uc_vector = vector;
    uc_emu_stop(uc);
}

static bool unicorn_run(uc_engine *uc, const struct one_case *c, struct regs *out)
{
    const struct regs *r = &c->regs;
    uint32_t linear = ((uint32_t)r->selector[SEG_CS] << 4) + r->eip;
    bool repeated = c->insn.flags & (INSN_REP | INSN_REPNE);
    uc_err err;

    for (unsigned n = 0; n < 6; n++)
        uc_reg_write(uc, uc_seg[n], &r->selector[n]);
    for (unsigned n = 0; n < 8; n++)
        uc_reg_write(uc, uc_gpr[n], &r->gpr[n]);
    uc_reg_write(uc, UC_X86_REG_EFLAGS, &r->eflags);
    uc_mem_write(uc, linear, c->code, sizeof c->code);
    uc_ctl_remove_cache(uc, linear, linear + 16);
    uc_vector = 0xff;
    err = uc_emu_start(uc, linear, linear + c->insn.len, 0, repeated ? 0 : 1);
    for (unsigned n = 0; n < 8; n++)
        uc_reg_read(uc, uc_gpr[n], &out->gpr[n]);
    for (unsigned n = 0; n < 6; n++)
        uc_reg_read(uc, uc_seg[n], &out->selector[n]);
    out->eip = 0;
    uc_reg_read(uc, UC_X86_REG_EIP, &out->eip);
    uc_reg_read(uc, UC_X86_REG_EFLAGS, &out->eflags);
    return err == UC_ERR_OK;
}

static uc_engine *unicorn_open(uint8_t *ram)
{
    uc_engine *uc;
    uc_hook hook;

    if (uc_open(UC_ARCH_X86, UC_MODE_16, &uc) != UC_ERR_OK ||
        uc_mem_map_ptr(uc, 0, RAM, UC_PROT_ALL, ram) != UC_ERR_OK ||
        uc_hook_add(uc, &hook, UC_HOOK_INTR, (void *)on_interrupt, NULL, 1, 0) != UC_ERR_OK)
        exit(77);
    return uc;
}

/* ---- comparison ---- */

static void print(const char *who, const struct regs *r)
{
    printf("  %-8s eip %08x eflags %08x", who, r->eip, r->eflags);
    for (unsigned n = 0; n < 8; n++)
        printf(" %08x", r->gpr[n]);
    for (unsigned n = 0; n < 6; n++)
        printf(" %04x", r->selector[n]);
    printf("\n");
}

static bool same(const struct one_case *c, const struct regs *a, const struct regs *b)
{
    /* After some instructions unicorn 2.0 gives the linear address for EIP. */
    bool same_eip = a->eip == b->eip || a->eip + ((uint32_t)a->selector[SEG_CS] << 4) == b->eip;

    return !memcmp(a->gpr, b->gpr, sizeof a->gpr) && !memcmp(a->selector, b->selector, sizeof a->selector) &&
           same_eip && !((a->eflags ^ b->eflags) & COMPARED & ~c->undefined);
}

static bool two_repeats(const struct one_case *c)
{
    unsigned n = 0;

    for (unsigned k = 0; k + 1u < c->insn.len; k++)
        n += c->code[k] == 0xf2 || c->code[k] == 0xf3;
    return n > 1 && (c->insn.flags & (INSN_REP | INSN_REPNE));
}

/* Known to be wrong there: ENTER with 32-bit operands on a 16-bit stack writes BP only,
 * LOCK NEG gets its flags from something else, of F2 and F3 the first one counts. */
static bool unicorn_errs(const struct one_case *c)
{
    return (c->insn.op == INSN_ENTER && c->insn.osize == 4) ||
           (c->insn.op == INSN_NEG && (c->insn.flags & INSN_LOCK)) || two_repeats(c);
}

static bool took_exception(const struct regs *ours, const struct regs *other)
{
    /* A far transfer may go to their segment, too. */
    return ours->selector[SEG_CS] == HANDLERS && (other->selector[SEG_CS] != HANDLERS || other->eip != ours->eip);
}

/* 1: agree, 0: differ, -1: not comparable */
static int compare(const struct one_case *c, struct guest *g, uint8_t *theirs, bool ran, const struct regs *ours,
                   const struct regs *other)
{
    uint32_t vector = ours->eip / 4;

    if (took_exception(ours, other)) {
        if (vector == EXC_GP || vector == EXC_SS)
            return -1;
        /* After several exceptions unicorn, which never saw a handler return, tells no
         * vector any more: it just does not go on. */
        return other->eip == c->regs.eip && (vector == EXC_UD || vector == EXC_DE);
    }
    if (unicorn_errs(c) || memcmp(g->ram + ((uint32_t)c->regs.selector[SEG_CS] << 4) + c->regs.eip, c->code, sizeof c->code))
        return -1; /* or the instruction wrote to itself */
    if (!ran || uc_vector != 0xff)
        return 0;
    if (!same(c, ours, other))
        return 0;
    return !memcmp(g->ram, theirs, RAM);
}

static void report(const struct one_case *c, const struct guest *g, const uint8_t *theirs, const struct regs *ours,
                   const struct regs *other)
{
    printf("  ");
    for (unsigned n = 0; n < c->insn.len; n++)
        printf("%02x ", c->code[n]);
    printf("(instruction %u), undefined flags %03x, unicorn's vector %u\n", c->insn.op, c->undefined, uc_vector);
    print("before", &c->regs);
    print("unicorn", other);
    print("emulator", ours);
    for (unsigned n = 0; n < RAM; n++)
        if (g->ram[n] != theirs[n]) {
            printf("  memory at %05x: unicorn %02x, emulator %02x\n", n, theirs[n], g->ram[n]);
            break;
        }
}

/* ---- batches ---- */

#define BATCH 4000

static void fill_memory(struct guest *g, uint8_t *theirs, unsigned long seed)
{
    rng_state = seed;
    for (unsigned n = 0; n < RAM; n++)
        g->ram[n] = (uint8_t)(below(4) ? rnd() : 0);
    for (uint32_t v = 0; v < 256; v++) {
        uint32_t entry = HANDLERS << 16 | v * 4;

        memcpy(g->ram + 4 * v, &entry, 4);
    }
    memcpy(theirs, g->ram, RAM);
}

static void random_case(struct one_case *c, unsigned long n, unsigned long seed)
{
    rng_state = seed * 1000003u + n;
    for (unsigned k = 0; k < 4; k++)
        rnd();
    make_case(c, (uint32_t)(n * 16) & 0xfff0);
}

/* ---- interpreted and compiled ---- */

#define STEPS 60u          /* how far each case goes on */
#define LOOK_AT_MEMORY 50u /* after so many cases: that takes longer than they do */

struct two {
    struct guest interpreter, jit;
};

static void two_init(struct two *t, const uint8_t *ram)
{
    guest_init(&t->interpreter);
    guest_init(&t->jit);
    memcpy(t->interpreter.ram, ram, RAM);
    memcpy(t->jit.ram, ram, RAM);
    with_jit(&t->jit.c->u);
}

/* Several steps; what was a shutdown begins anew next time. */
static void run_on(struct guest *g, const struct one_case *c, struct regs *out, struct stop *stop)
{
    struct machine *m = g->m;

    guest_prepare(g, c);
    machine_run(m, m->st->position + STEPS, stop);
    guest_regs(g, out);
    if (stop->kind != STOP_LIMIT)
        machine_reset(m);
}

static bool same_compiled(struct two *t, const struct one_case *c, bool memory)
{
    struct regs a, b;
    struct stop stop_a, stop_b;

    run_on(&t->interpreter, c, &a, &stop_a);
    run_on(&t->jit, c, &b, &stop_b);
    if (memcmp(&a, &b, sizeof a) || stop_a.kind != stop_b.kind ||
        t->interpreter.m->st->position != t->jit.m->st->position) {
        printf("%u steps on, what is compiled does something else\n", STEPS);
        print("before", &c->regs);
        print("interpr.", &a);
        print("compiled", &b);
        return false;
    }
    if (!memory || !memcmp(t->interpreter.ram, t->jit.ram, RAM))
        return true;
    printf("up to %u cases ago, what is compiled began to leave another memory\n", LOOK_AT_MEMORY);
    return false;
}

/* One case; 1, 0 or -1 as compare(). */
static int run_case(struct guest *g, uc_engine *uc, uint8_t *theirs, unsigned long n, unsigned long seed)
{
    struct regs ours, other;
    struct one_case c;
    bool ran;
    int r;

    random_case(&c, n, seed);
    if (i386_decode(c.code, 15, DECODE_P6, &c.insn) != DECODE_OK)
        return -1;
    c.undefined = undefined_flags(&c.insn, c.regs.gpr[ECX] & 0xff);
    if (undefined_result(&c.insn, c.regs.gpr[ECX] & 0xff))
        return -1;
    ran = unicorn_run(uc, &c, &other);
    guest_run(g, &c, &ours);
    r = compare(&c, g, theirs, ran, &ours, &other);
    if (r == 0) {
        report(&c, g, theirs, &ours, &other);
        printf("case %lu of seed %lu differs\n", n, seed);
    }
    if (r != 1 || took_exception(&ours, &other))
        memcpy(theirs, g->ram, RAM);
    return r;
}

/* The same batch, without unicorn. Exit status as below. */
static int run_two(unsigned long first, unsigned long count, unsigned long seed)
{
    uint8_t *ram = aligned_alloc(4096, RAM);
    unsigned long failures = 0;
    struct one_case c;
    struct guest g;
    struct two t;

    guest_init(&g);
    fill_memory(&g, ram, seed);
    two_init(&t, ram);
    machine_destroy(g.m);
    free(ram);
    for (unsigned long n = first; n < first + count && failures < 3; n++) {
        random_case(&c, n, seed);
        if (same_compiled(&t, &c, n % LOOK_AT_MEMORY == LOOK_AT_MEMORY - 1))
            continue;
        printf("case %lu of seed %lu\n", n, seed);
        failures++;
    }
    printf("%llu blocks were compiled\n", blocks_compiled(&t.jit.c->u));
    machine_destroy(t.interpreter.m);
    machine_destroy(t.jit.m);
    return failures != 0;
}

/* Exit status: 0 all agree, 1 some differ or too few could be compared. */
static int run_batch(unsigned long first, unsigned long count, unsigned long seed)
{
    uint8_t *theirs = aligned_alloc(4096, RAM);
    uc_engine *uc = unicorn_open(theirs);
    unsigned long agree = 0, failures = 0;
    struct guest g;

    guest_init(&g);
    fill_memory(&g, theirs, seed);
    for (unsigned long n = first; n < first + count && failures < 10; n++) {
        int r = run_case(&g, uc, theirs, n, seed);

        agree += r == 1;
        failures += r == 0;
    }
    machine_destroy(g.m);
    uc_close(uc);
    free(theirs);
    return failures || agree < count / 2;
}

int main(int argc, char **argv)
{
    unsigned long cases = argc > 1 ? strtoul(argv[1], NULL, 0) : 20000, done = 0;
    unsigned long seed = argc > 2 ? strtoul(argv[2], NULL, 0) : 1;

    /* unicorn 2.0 aborts now and then inside its translator; then a batch says nothing. */
    for (unsigned long first = 0; first < cases; first += BATCH) {
        unsigned long count = cases - first < BATCH ? cases - first : BATCH;
        int status = run_two(first, count, seed);
        pid_t child;

        fflush(stdout);
        if (status)
            return status;
        child = fork();
        if (child == 0) {
            status = run_batch(first, count, seed);
            fflush(stdout);
            _exit(status);
        }
        if (child < 0 || waitpid(child, &status, 0) != child)
            return 1;
        if (WIFEXITED(status) && WEXITSTATUS(status))
            return WEXITSTATUS(status);
        if (WIFEXITED(status))
            done += count;
        else
            printf("unicorn gave up between cases %lu and %lu\n", first, first + count);
    }
    printf("%lu cases agree as far as they can be compared\n", done);
    return done < cases / 2;
}
