/*
 * See host64.h. Exceptions come as signals; their handler leaves the code by a detour, and sigreturn has the vectors as
 * they were when it happened.
 */
#if defined(__x86_64__) && defined(__linux__)
#include "host64.h"
#include "tests/whole/with_jit.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "i386/insn.h"
#include "i386/protect.h"

/* The emulator's own, behind SIZE. */
#define GDT       0x10000u
#define IDT       0x11000u
#define TSS       0x12000u
#define HANDLERS  0x13000u
#define KSTACK    0x15000u
#define PAGES     0x18000u
#define GUEST     0x40000u

const uint64_t bases[2] = {0x40000000u, 0x2bcdef000000u};

/* ---- random numbers ---- */

uint64_t rng_state;

uint64_t rnd(void)
{
    uint64_t z = rng_state += 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

uint32_t below(uint32_t n)
{
    return (uint32_t)(rnd() >> 20) % n;
}

uint64_t value(void)
{
    static const uint64_t edges[] = {0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000u, 0xffffffffu,
                                     0x100000000u, INT64_MAX, (uint64_t)1 << 63, UINT64_MAX, 63, 64};

    switch (below(4)) {
    case 0: return edges[below(ARRAY_LEN(edges))] + (below(4) ? 0 : below(3) - 1);
    case 1: return below(256);
    case 2: return (uint64_t)(int64_t)(int32_t)rnd();
    default: return rnd();
    }
}

/* ---- cases ---- */

void byte(struct one_case *c, unsigned b) { c->code[c->len++] = (uint8_t)b; }
void bytes(struct one_case *c, const void *p, unsigned n)
{
    memcpy(c->code + c->len, p, n);
    c->len += n;
}
void word32(struct one_case *c, uint32_t v) { bytes(c, &v, 4); }

void mov_imm(struct one_case *c, unsigned r, uint64_t v)
{
    if (!c->compat)
        byte(c, 0x48 | r >> 3);
    byte(c, 0xb8 | (r & 7));
    bytes(c, &v, c->compat ? 4 : 8);
}

uint64_t data_pointer(const struct one_case *c)
{
    return c->base + DATA + AREA / 4 + below(AREA / 2);
}

/* ---- the host's side ---- */

static struct regs passage;
static uint64_t passage_stack __attribute__((used));
static volatile bool passage_open;
/* Where to go in compatibility mode; no selector: 64-bit code */
static struct { uint32_t offset; uint16_t selector, reserved; } passage_far __attribute__((used));
static uint8_t passage_avx __attribute__((used));
static const uint32_t passage_mxcsr __attribute__((used)) = 0x1f80;
_Static_assert(offsetof(struct regs, mxcsr) == 152 && offsetof(struct regs, ymm) == 160, "the code below knows the offsets");
static uint8_t signal_stack[65536];

void host64_enter(void);
extern const char host64_resume[];
__asm__(".text\n.globl host64_enter\nhost64_enter:\n"
        "    push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
        "    mov %rsp, passage_stack(%rip)\n"
        "    mov $0x2b, %eax; mov %eax, %ds; mov %eax, %es\n" /* for 32-bit code */
        "    mov passage+0(%rip), %rax; mov passage+8(%rip), %rcx; mov passage+16(%rip), %rdx; mov passage+24(%rip), %rbx\n"
        "    mov passage+40(%rip), %rbp; mov passage+48(%rip), %rsi; mov passage+56(%rip), %rdi\n"
        "    mov passage+64(%rip), %r8; mov passage+72(%rip), %r9; mov passage+80(%rip), %r10; mov passage+88(%rip), %r11\n"
        "    mov passage+96(%rip), %r12; mov passage+104(%rip), %r13; mov passage+112(%rip), %r14; mov passage+120(%rip), %r15\n"
        "    ldmxcsr passage+152(%rip)\n"
        "    cmpb $0, passage_avx(%rip); je 1f\n"
        ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15; vmovdqu passage+160+32*\\n(%rip), %ymm\\n; .endr\n"
        "    jmp 2f\n"
        "1:\n"
        ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15; movdqu passage+160+32*\\n(%rip), %xmm\\n; .endr\n"
        "2:\n"
        "    cmpw $0, passage_far+4(%rip); jne 3f\n"
        "    pushq passage+136(%rip); popfq\n"
        "    mov passage+32(%rip), %rsp\n"
        "    jmp *passage+128(%rip)\n"
        "3:\n"
        "    pushq passage+136(%rip); popfq\n"
        "    mov passage+32(%rip), %rsp\n"
        "    ljmpl *passage_far(%rip)\n"
        ".globl host64_resume\nhost64_resume:\n"
        "    cld\n"
        "    stmxcsr passage+152(%rip); ldmxcsr passage_mxcsr(%rip)\n" /* sigreturn left the vectors as they were */
        "    cmpb $0, passage_avx(%rip); je 1f\n"
        ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15; vmovdqu %ymm\\n, passage+160+32*\\n(%rip); .endr\n"
        "    vzeroupper; jmp 2f\n"
        "1:\n"
        ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15; movdqu %xmm\\n, passage+160+32*\\n(%rip); .endr\n"
        "2:\n"
        "    pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
        "    ret\n");

static void on_signal(int n, siginfo_t *info, void *context)
{
    static const int order[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                  REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
    ucontext_t *u = context;
    greg_t *g = u->uc_mcontext.gregs;

    (void)info;
    if (!passage_open) { /* the emulator's own */
        signal(n, SIG_DFL);
        return;
    }
    for (unsigned r = 0; r < 16; r++)
        passage.gpr[r] = (uint64_t)g[order[r]];
    passage.rip = (uint64_t)g[REG_RIP];
    passage.rflags = (uint64_t)g[REG_EFL];
    passage.vector = (uint64_t)g[REG_TRAPNO];
    g[REG_RIP] = (greg_t)(uintptr_t)host64_resume;
    g[REG_CSGSFS] = (g[REG_CSGSFS] & ~(greg_t)0xffff) | 0x33;
    g[REG_RSP] = (greg_t)passage_stack;
    g[REG_EFL] &= ~(greg_t)(EFLAGS_AC | EFLAGS_TF | EFLAGS_DF);
}

bool host_has_avx(void)
{
    return __builtin_cpu_supports("avx");
}

static bool host_init(void)
{
    static const int signals[] = {SIGTRAP, SIGSEGV, SIGILL, SIGFPE, SIGBUS};
    struct sigaction sa = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    stack_t stack = {.ss_sp = signal_stack, .ss_size = sizeof(signal_stack)};

    for (unsigned i = 0; i < 2; i++)
        if (mmap((void *)(uintptr_t)bases[i], SIZE, PROT_READ | PROT_WRITE | PROT_EXEC,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != (void *)(uintptr_t)bases[i])
            return false;
    passage_avx = host_has_avx();
    sigaltstack(&stack, NULL);
    for (unsigned i = 0; i < ARRAY_LEN(signals); i++)
        sigaction(signals[i], &sa, NULL);
    return true;
}

/* The image of FNSAVE and FRSTOR (SDM 1, figure 8-9). */
struct x87_image { uint32_t control, status, tags, addresses[4]; uint8_t st[8][10]; };

static struct x87_image image_of(const struct one_case *c)
{
    struct x87_image image = {.control = c->fcw, .status = c->fsw};

    for (unsigned n = 0; n < 8; n++) {
        const struct i386_fpr *r = &c->fpr[((c->fsw >> 11) + n) & 7];

        image.tags |= c->ftag >> n & 1 ? 0 : 3u << 2 * n;
        memcpy(image.st[n], &r->mantissa, 8);
        memcpy(image.st[n] + 8, &r->exponent, 2);
    }
    return image;
}

static void regs_from_image(struct regs *r, const struct x87_image *image)
{
    r->fcw = (uint16_t)image->control;
    r->fsw = (uint16_t)image->status;
    r->ftag = 0;
    for (unsigned n = 0; n < 8; n++) {
        struct i386_fpr *to = &r->fpr[((r->fsw >> 11) + n) & 7];

        r->ftag |= (uint64_t)((image->tags >> 2 * n & 3) != 3) << n;
        memset(to, 0, sizeof(*to));
        memcpy(&to->mantissa, image->st[n], 8);
        memcpy(&to->exponent, image->st[n] + 8, 2);
    }
}

static void host_run(const struct one_case *c, struct regs *out)
{
    struct x87_image image = image_of(c);
    uint16_t control;
    uint8_t *host = (uint8_t *)(uintptr_t)c->base;

    memcpy(host + (c->rip - c->base), c->code, c->len);
    host[c->rip - c->base + c->len] = 0xcc;
    memcpy(host + DATA, c->data, AREA);
    memcpy(host + STACK, c->stack, AREA);
    memset(host + SIZE - LAST, 0, LAST);
    memcpy(passage.gpr, c->gpr, sizeof(c->gpr));
    passage.rip = c->rip;
    passage.rflags = c->eflags;
    passage.mxcsr = c->mxcsr;
    memcpy(passage.ymm, c->ymm, sizeof(c->ymm));
    passage_far.offset = (uint32_t)c->rip;
    passage_far.selector = c->compat ? 0x23 : 0;
    passage_open = true;
    if (c->with_x87) /* compiled C leaves it alone, and sigreturn does */
        __asm__ volatile("fnstcw %1; frstor %0" : : "m"(image), "m"(control) : "memory");
    host64_enter();
    if (c->with_x87)
        __asm__ volatile("fnsave %0; fldcw %1" : "+m"(image) : "m"(control) : "memory");
    passage_open = false;
    regs_from_image(&passage, &image);
    *out = passage;
}

static bool host_has_compat;

/* Does 32-bit code get to its breakpoint? */
static bool compat_runs(void)
{
    static struct one_case c;
    struct regs h;

    c.compat = true;
    c.base = bases[0];
    c.rip = c.base + CODE;
    c.gpr[ESP] = c.base + STACK + AREA / 2;
    c.eflags = EFLAGS_1 | EFLAGS_IF;
    c.mxcsr = passage_mxcsr;
    byte(&c, 0x90);
    host_run(&c, &h);
    return h.vector == 3 && h.rip == c.rip + 2;
}

/* ---- the emulator's side ---- */

static void poke64(struct guest *g, uint32_t at, uint64_t v)
{
    memcpy(g->ram + at, &v, 8);
}

static uint64_t peek64(const struct guest *g, uint64_t at)
{
    uint64_t v;

    memcpy(&v, g->ram + (at & (GUEST - 1)), 8);
    return v;
}

/* The kernel's view of everything is at the low base. */
static void make_tables(struct guest *g)
{
    const uint32_t base = (uint32_t)bases[0];
    uint32_t next = PAGES + 0x1000;

    poke64(g, GDT + 0x08, 0x00209b0000000000u); /* 64-bit code, level 0 */
    poke64(g, GDT + 0x10, 0x00cf93000000ffffu);
    poke64(g, GDT + 0x20, 0x00cffb000000ffffu); /* 32-bit code, level 3 */
    poke64(g, GDT + 0x28, 0x00cff3000000ffffu);
    poke64(g, GDT + 0x30, 0x0020fb0000000000u); /* 64-bit code, level 3 */
    for (unsigned v = 0; v < 256; v++) {
        uint64_t to = base + HANDLERS + 16 * v;

        poke64(g, IDT + 16 * v, (to & 0xffff) | 0x080000u | (uint64_t)(v == 3 ? 0xee00 : 0x8e00) << 32 | (to >> 16 & 0xffff) << 48);
        poke64(g, IDT + 16 * v + 8, to >> 32);
        g->ram[HANDLERS + 16 * v] = 0xf4;
    }
    poke64(g, TSS + 4, base + KSTACK + 0x1000);
    for (unsigned n = 0; n < 2; n++) {
        uint32_t table = PAGES;

        for (unsigned shift = 39; shift > 12; shift -= 9) {
            uint32_t entry = table + 8 * (unsigned)(bases[n] >> shift & 511);

            if (!peek64(g, entry)) {
                poke64(g, entry, next | 7);
                next += 0x1000;
            }
            table = (uint32_t)peek64(g, entry) & ~0xfffu;
        }
        for (unsigned page = 0; page < GUEST >> 12; page++)
            poke64(g, table + 8 * page, page << 12 | (page < SIZE >> 12 ? 7 : 3));
    }
}

static void guest_init(struct guest *g)
{
    static const struct machine_env env = {0};
    struct region ram = {.base = 0, .size = GUEST, .kind = REGION_RAM, .enabled = true};

    g->m = machine_create(GUEST >> PAGE_SHIFT);
    g->m->env = &env;
    g->m->stop_when_idle = true;
    ram.page = memory_alloc(&g->m->memory, "ram", GUEST);
    memory_map(&g->m->memory, &ram);
    g->ram = g->m->memory.host + ((size_t)ram.page << PAGE_SHIFT);
    g->c = i386_create(g->m, i386_model_find("max"));
    machine_reset(g->m);
    make_tables(g);
}

static void guest_prepare(struct guest *g, const struct one_case *c)
{
    static const uint8_t zeros[LAST] = {0};
    struct i386_state *st = g->c->st;
    struct memory *mem = &g->m->memory;
    uint32_t at = (uint32_t)(c->rip - c->base);

    memory_write_bytes(mem, at, c->code, c->len, false);
    memory_write_bytes(mem, at + c->len, "\xcc", 1, false);
    memory_write_bytes(mem, DATA, c->data, AREA, false);
    memory_write_bytes(mem, STACK, c->stack, AREA, false);
    memory_write_bytes(mem, SIZE - LAST, zeros, LAST, false);
    memcpy(st->gpr, c->gpr, sizeof(st->gpr));
    st->rip = c->rip;
    st->cc = (struct lazy_flags){.op = FLAGS_EXPLICIT, .dst = c->eflags & FLAGS_ALL};
    st->eflags = c->eflags & ~FLAGS_ALL;
    st->cr0 = CR0_PE | CR0_ET | CR0_NE | CR0_WP | CR0_PG;
    st->cr3 = PAGES;
    st->cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE;
    st->xcr0 = XCR0_X87 | XCR0_SSE | XCR0_AVX;
    st->mxcsr = c->mxcsr;
    for (unsigned n = 0; n < 16; n++) {
        memcpy(&st->xmm[n], c->ymm[n], 16);
        memcpy(&st->ymm_high[n], c->ymm[n] + 16, 16);
    }
    if (c->with_x87) {
        st->fcw = c->fcw;
        st->fsw = c->fsw;
        st->ftag = c->ftag;
        memcpy(st->fpr, c->fpr, sizeof(st->fpr));
        st->fip = st->fdp = 0x123456789abcu;
        st->fcs = st->fds = st->fop = 0x234;
    }
    st->efer = EFER_LME | EFER_LMA | EFER_SCE | EFER_NXE;
    st->cpl = 3;
    st->halted = 0;
    for (unsigned n = SEG_ES; n <= SEG_GS; n++)
        st->seg[n] = (struct i386_segment){0};
    st->seg[SEG_CS] = c->compat ? i386_flat_segment(0x23, 11, 3, SEG_ATTR_DB) : i386_flat_segment(0x33, 11, 3, SEG_ATTR_L);
    if (c->compat)
        st->seg[SEG_DS] = st->seg[SEG_ES] = i386_flat_segment(0x2b, 3, 3, SEG_ATTR_DB);
    st->seg[SEG_SS] = i386_flat_segment(0x2b, 3, 3, SEG_ATTR_DB);
    st->seg[SEG_TR] = (struct i386_segment){.selector = 0x38, .base = bases[0] + TSS, .limit = 0x67, .valid = 1,
                                            .attr = SEG_ATTR_P | 11};
    st->gdtr = (struct i386_dtr){.base = bases[0] + GDT, .limit = 0x37};
    st->idtr = (struct i386_dtr){.base = bases[0] + IDT, .limit = 0xfff};
    i386_mode_changed(g->c);
    if (c->rip & 1) /* else what cases before have left there serves accesses in line */
        ucpu_flush_tlb(&g->c->u);
}

struct outcome {
    struct regs regs;
    uint64_t fip, fdp, fcs, fds, fop;
    icount_t steps;
};

/* Run to the exception that ends it, and take the state back from the frame. */
static bool guest_run(struct guest *g, const struct one_case *c, struct outcome *o)
{
    struct i386_state *st = g->c->st;
    icount_t from = g->m->st->position;
    struct stop stop;
    uint64_t frame, vector;

    guest_prepare(g, c);
    machine_run(g->m, from + 100000, &stop);
    vector = (st->rip - bases[0] - HANDLERS) / 16;
    if (stop.kind != STOP_IDLE || vector > 255) {
        fprintf(stderr, "the emulator stopped with %d at %llx\n", stop.kind, (unsigned long long)st->rip);
        return false;
    }
    frame = st->gpr[ESP] - bases[0];
    if (vector == 8 || (vector >= 10 && vector <= 14) || vector == 17)
        frame += 8;
    memcpy(o->regs.gpr, st->gpr, sizeof(st->gpr));
    o->regs.mxcsr = st->mxcsr;
    for (unsigned n = 0; n < 16; n++) {
        memcpy(o->regs.ymm[n], &st->xmm[n], 16);
        memcpy(o->regs.ymm[n] + 16, &st->ymm_high[n], 16);
    }
    o->regs.fcw = st->fcw;
    o->regs.fsw = st->fsw;
    o->regs.ftag = st->ftag;
    memcpy(o->regs.fpr, st->fpr, sizeof(o->regs.fpr));
    o->fip = st->fip;
    o->fdp = st->fdp;
    o->fcs = st->fcs;
    o->fds = st->fds;
    o->fop = st->fop;
    o->regs.vector = vector;
    o->regs.rip = peek64(g, frame);
    o->regs.rflags = peek64(g, frame + 16);
    o->regs.gpr[ESP] = peek64(g, frame + 24);
    o->steps = g->m->st->position - from;
    return true;
}

/* ---- comparison ---- */

static void print_case(const struct one_case *c)
{
    printf("  at %llx:", (unsigned long long)c->rip);
    for (unsigned n = 0; n < c->len; n++)
        printf(" %02x", c->code[n]);
    printf("\n  flags %08x mxcsr %x", c->eflags, c->mxcsr);
    for (unsigned r = 0; r < 16; r++)
        printf(" %llx", (unsigned long long)c->gpr[r]);
    printf("\n");
}

static void print_vectors(const struct regs *a, const struct regs *b)
{
    if (a->mxcsr != b->mxcsr)
        printf("  mxcsr %x, %x\n", (unsigned)a->mxcsr, (unsigned)b->mxcsr);
    for (unsigned n = 0; n < 16; n++) {
        if (!memcmp(a->ymm[n], b->ymm[n], 32))
            continue;
        printf("  ymm%u", n);
        for (unsigned k = 0; k < 64; k++)
            printf("%s%02x", k == 32 ? ", " : k & 7 ? "" : " ", (k < 32 ? a : b)->ymm[n][k & 31]);
        printf("\n");
    }
}

static void print_x87(const struct one_case *c, const struct regs *a, const struct regs *b)
{
    printf("  x87 before: %04x %04x tags %02x; then %04x %04x %02x, %04x %04x %02x\n", c->fcw, c->fsw, c->ftag, (unsigned)a->fcw,
           (unsigned)a->fsw, (unsigned)a->ftag, (unsigned)b->fcw, (unsigned)b->fsw, (unsigned)b->ftag);
    for (unsigned n = 0; n < 8; n++)
        printf("  fpr%u %04x.%016llx; %04x.%016llx, %04x.%016llx\n", n, c->fpr[n].exponent, (unsigned long long)c->fpr[n].mantissa,
               a->fpr[n].exponent, (unsigned long long)a->fpr[n].mantissa, b->fpr[n].exponent, (unsigned long long)b->fpr[n].mantissa);
}

static void print_regs(const char *who, const struct regs *r)
{
    printf("  %-8s vector %u rip %llx flags %08x", who, (unsigned)r->vector, (unsigned long long)r->rip, (unsigned)r->rflags);
    for (unsigned n = 0; n < 16; n++)
        printf(" %llx", (unsigned long long)r->gpr[n]);
    printf("\n");
}

static bool same_memory(const char *name, const uint8_t *host, const uint8_t *guest)
{
    for (unsigned n = 0; n < AREA; n++)
        if (host[n] != guest[n]) {
            printf("  %s at %x: host %02x, emulator %02x\n", name, n, host[n], guest[n]);
            return false;
        }
    return true;
}

static bool same_vectors(const struct regs *host, const struct regs *guest)
{
    for (unsigned n = 0; n < 16; n++)
        if (memcmp(host->ymm[n], guest->ymm[n], host_has_avx() ? 32 : 16))
            return false;
    return host->mxcsr == guest->mxcsr;
}

static bool same_x87(const struct one_case *c, const struct regs *host, const struct regs *guest)
{
    return host->fcw == guest->fcw && !((host->fsw ^ guest->fsw) & ~(uint64_t)c->fsw_undefined) && host->ftag == guest->ftag &&
           !memcmp(host->fpr, guest->fpr, sizeof(host->fpr));
}

static bool same_regs(const struct one_case *c, const struct regs *host, const struct regs *guest)
{
    uint32_t flags = (FLAGS_ALL | EFLAGS_DF) & ~c->undefined;

    return !memcmp(host->gpr, guest->gpr, sizeof(host->gpr)) && host->vector == guest->vector && host->rip == guest->rip &&
           !((host->rflags ^ guest->rflags) & flags) && same_vectors(host, guest) && (!c->with_x87 || same_x87(c, host, guest));
}

enum way { NOT_OPTIMISED, SINGLE, PLAIN_SWITCH, NO_CACHE, COMPILED, COMPILED_NOT_OPTIMISED, COMPILED_WITHOUT_AVX, WAYS };

static const char *const ways[WAYS] = {
    "not optimised", "one instruction at a time", "plain switch", "without a cache", "compiled", "compiled, not optimised",
    "compiled, as without AVX",
};

static bool same_every_way(struct guest *g, struct guest *jit, const struct one_case *c, const struct outcome *first,
                           const uint8_t *after)
{
    bool good = true;

    for (unsigned way = 0; way < WAYS && good; way++) {
        struct guest *guest = way >= COMPILED ? jit : g;
        struct ucpu *u = &guest->c->u;
        struct outcome o;

        u->no_optimise = way == NOT_OPTIMISED || way == COMPILED_NOT_OPTIMISED;
        u->single = way == SINGLE;
        u->plain_switch = way == PLAIN_SWITCH;
        u->no_cache = way == NO_CACHE;
        u->no_avx = way == COMPILED_WITHOUT_AVX;
        good = guest_run(guest, c, &o) && !memcmp(&o.regs, &first->regs, sizeof(o.regs)) && o.steps == first->steps &&
               o.fip == first->fip && o.fdp == first->fdp && o.fcs == first->fcs && o.fds == first->fds && o.fop == first->fop &&
               !memcmp(after, guest->ram, SIZE);
        u->no_optimise = u->single = u->plain_switch = u->no_cache = u->no_avx = false;
        if (!good) {
            printf("running it another way (%s) ends differently: %llu steps, not %llu\n", ways[way],
                   (unsigned long long)o.steps, (unsigned long long)first->steps);
            print_regs("first", &first->regs);
            print_regs("now", &o.regs);
            print_vectors(&first->regs, &o.regs);
            if (c->with_x87)
                print_x87(c, &first->regs, &o.regs);
        }
    }
    return good;
}

bool run_case(struct guest *g, struct guest *jit, const struct one_case *c)
{
    static uint8_t after[SIZE];
    const uint8_t *host = (const uint8_t *)(uintptr_t)c->base;
    struct outcome o;
    struct regs h;
    bool with_host = !c->varies && (!c->compat || host_has_compat), good;

    if (with_host)
        host_run(c, &h);
    if (!guest_run(g, c, &o)) {
        print_case(c);
        return false;
    }
    memcpy(after, g->ram, SIZE);
    good = !with_host || same_regs(c, &h, &o.regs);
    good &= !with_host || same_memory("data", host + DATA, g->ram + DATA);
    good &= !with_host || same_memory("stack", host + STACK, g->ram + STACK);
    if (!good) {
        print_case(c);
        print_regs("host", &h);
        print_regs("emulator", &o.regs);
        print_vectors(&h, &o.regs);
        if (c->with_x87)
            print_x87(c, &h, &o.regs);
        printf("  flags undefined: %03x, instruction %u\n", c->undefined, c->op);
        memory_write_bytes(&jit->m->memory, 0, after, SIZE, false);
        return false;
    }
    good = same_every_way(g, jit, c, &o, after);
    if (!good)
        print_case(c);
    return good;
}

/* ---- a test of many cases ---- */

bool sides_begin(struct guest *g, struct guest *jit)
{
    if (!host_init()) {
        printf("the memory for host code cannot be mapped\n");
        return false;
    }
    host_has_compat = compat_runs();
    if (!host_has_compat)
        printf("the host does not run 32-bit code: what it would do is not known\n");
    guest_init(g);
    guest_init(jit);
    with_jit(&jit->c->u);
    return true;
}

int sides_end(struct guest *g, struct guest *jit, unsigned long cases, bool failed)
{
    printf("%llu blocks were compiled\n", blocks_compiled(&jit->c->u));
    machine_destroy(g->m);
    machine_destroy(jit->m);
    if (!failed)
        printf("%lu cases agree\n", cases);
    return failed;
}

#endif
