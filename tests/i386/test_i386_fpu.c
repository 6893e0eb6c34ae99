/*
 * The i386 target's x87 and MMX instructions, helper by helper (those on XMM registers: difftest_simd.c,
 * test_i386_simd.c). On an x86-64 host every encoding also runs on the host itself, from the same random
 * state (loaded by FXRSTOR) and compared whole (by FXSAVE), with exceptions
 * masked and unmasked. Memory, exceptions and paging are fakes: what reaches
 * them is part of what is tested.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "tests/softfloat/host_fpu.h"
#include "i386/fpu.h"
#include "i386/protect.h"
#include "softfloat/floatx80.h"
#include "tests/check_main.h"

/* ---- fakes ---- */

static uint8_t memory[8192] __attribute__((aligned(64)));
static struct i386_cpu cpu;
static struct i386_state state;
static int raised;           /* vector, or -1 */
static bool memory_faults;   /* every access is refused with #PF */
static bool ferr_level;
static unsigned ferr_changes;

int i386_raise(struct i386_cpu *c, unsigned vector)
{
    (void)c;
    raised = (int)vector;
    return UOP_FAULT;
}

int i386_raise_error(struct i386_cpu *c, unsigned vector, uint32_t error)
{
    (void)error;
    return i386_raise(c, vector);
}

bool i386_linear(struct i386_cpu *c, unsigned seg, uint64_t offset, unsigned size, bool write, uint64_t *linear)
{
    (void)seg;
    (void)write;
    if (memory_faults || offset + size > sizeof memory) {
        i386_raise(c, EXC_PF);
        return false;
    }
    *linear = offset;
    return true;
}

bool i386_linear_line(struct i386_cpu *c, unsigned seg, uint64_t offset, uint64_t *linear)
{
    return i386_linear(c, seg, offset, 1, false, linear);
}

bool i386_linear_aligned(struct i386_cpu *c, unsigned seg, uint64_t offset, unsigned size, unsigned alignment, bool write, uint64_t *linear)
{
    (void)alignment;
    return i386_linear(c, seg, offset, size, write, linear);
}

bool i386_read(struct i386_cpu *c, unsigned seg, uint64_t offset, void *buf, unsigned size)
{
    uint64_t linear;

    if (!i386_linear(c, seg, offset, size, false, &linear))
        return false;
    memcpy(buf, memory + linear, size);
    return true;
}

bool i386_write(struct i386_cpu *c, unsigned seg, uint64_t offset, const void *buf, unsigned size)
{
    uint64_t linear;

    if (!i386_linear(c, seg, offset, size, true, &linear))
        return false;
    memcpy(memory + linear, buf, size);
    return true;
}

bool ucpu_be_alone(struct ucpu *c)
{
    (void)c;
    return true;
}

uint8_t *ucpu_host_mode(struct ucpu *c, unsigned mode, uint64_t va, unsigned size, enum access access)
{
    (void)c;
    (void)mode;
    (void)va;
    (void)size;
    (void)access;
    return NULL;
}

bool ucpu_probe(struct ucpu *c, unsigned mode, uint64_t va, unsigned size, enum access access)
{
    (void)c;
    (void)mode;
    (void)va;
    (void)size;
    (void)access;
    return !memory_faults;
}

bool ucpu_load_units(struct ucpu *c, uint64_t va, void *buf, unsigned size, unsigned unit)
{
    (void)c;
    (void)unit;
    memcpy(buf, memory + va, size);
    return true;
}

bool ucpu_store_units(struct ucpu *c, uint64_t va, const void *buf, unsigned size, unsigned unit)
{
    (void)c;
    (void)unit;
    memcpy(memory + va, buf, size);
    return true;
}

bool i386_stores_add(struct i386_cpu *c, struct i386_stores *s, unsigned mode, uint64_t va, unsigned size,
                     uint64_t value)
{
    (void)c;
    (void)mode;
    s->store[s->count].va = va;
    s->store[s->count].size = size;
    s->store[s->count++].value = value;
    return true;
}

void i386_stores_commit(struct i386_cpu *c, const struct i386_stores *s)
{
    (void)c;
    for (unsigned i = 0; i < s->count; i++)
        memcpy(memory + s->store[i].va, &s->store[i].value, s->store[i].size);
}

static void fake_ferr(void *ctx, unsigned n, bool level)
{
    (void)ctx;
    (void)n;
    ferr_level = level;
    ferr_changes++;
}

static const struct i386_model pentium4 = {
    .name = "p4", .signature = 0xf12, .features_edx = 0x0783fbff | 1u << 24 | 1u << 25 | 1u << 26,
    .has_cpuid = true, .has_fxsr = true, .has_sse = true, .has_sse2 = true};
static const struct i386_model prescott = {
    .name = "p4 with SSE3", .signature = 0xf41, .features_edx = 0x0783fbff | 1u << 24 | 1u << 25 | 1u << 26, .features_ecx = 1,
    .has_cpuid = true, .has_fxsr = true, .has_sse = true, .has_sse2 = true};
static const struct i386_model pentium3 = {
    .name = "p3", .signature = 0x683, .features_edx = 0x0383fbff, .has_cpuid = true, .has_fxsr = true, .has_sse = true};
static const struct i386_model i486 = {.name = "486", .signature = 0x480, .features_edx = 1};

static void setup(void)
{
    memset(&cpu, 0, sizeof cpu);
    memset(&state, 0, sizeof state);
    cpu.st = &state;
    cpu.u.s = (uint8_t *)&state;
    cpu.u.flags = &state.cc;
    cpu.model = &pentium4;
    cpu.ferr_line = (struct line){fake_ferr, NULL, 0};
    state.cr0 = CR0_PE | CR0_NE | CR0_MP | CR0_ET;
    state.cr4 = CR4_OSFXSR | CR4_OSXMMEXCPT;
    state.fcw = 0x37f;
    state.mxcsr = 0x1f80;
    memory_faults = false;
    ferr_level = false;
    ferr_changes = 0;
    raised = -1;
}

static int run_x87(unsigned opcode, unsigned modrm, bool mem, unsigned extra)
{
    struct uop op = {.d = (uint16_t)(opcode & 7), .a = (uint16_t)modrm,
                     .b = (uint16_t)((mem ? I386_FX_MEM | SEG_DS : 0) | extra)};

    raised = -1;
    return i386_x87(&cpu.u, &op);
}

static int run_simd(unsigned opcode, unsigned modrm, bool mem, unsigned prefix, unsigned imm)
{
    struct uop op = {.d = (uint16_t)opcode, .a = (uint16_t)modrm,
                     .b = (uint16_t)((mem ? I386_FX_MEM | SEG_DS : opcode == 0xf7 ? SEG_DS : 0) | prefix)};

    raised = -1;
    state.t[1] = imm;
    return i386_simd_handler(cpu.model, opcode, modrm, op.b)(&cpu.u, &op);
}

static int run_fwait(void)
{
    struct uop op = {.d = 0};

    raised = -1;
    return i386_fwait(&cpu.u, &op);
}

static void set_st(unsigned i, uint16_t se, uint64_t sig)
{
    unsigned n = ((state.fsw >> 11) + i) & 7;

    state.fpr[n] = (struct i386_fpr){.mantissa = sig, .exponent = se};
    state.ftag |= (uint8_t)(1u << n);
}

static void push_one(void)
{
    ck_assert_int_eq(run_x87(0xd9, 0xe8, false, 0), UOP_NEXT);
}

/* ---- against the host ---- */

#ifdef HOST_FPU

struct host {
    uint8_t fx[512] __attribute__((aligned(16)));
    uint32_t gpr[4];    /* eax ecx edx - */
    uint64_t flags;
    uint8_t *mem;       /* rdi */
    uint64_t save_rsp;
};

static uint8_t *code;
static sigjmp_buf trap_return;
static uint32_t trap_mxcsr;
static uint8_t host_memory[4096] __attribute__((aligned(64)));

static void on_sigfpe(int sig, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;

    (void)sig;
    (void)info;
    trap_mxcsr = uc->uc_mcontext.fpregs->mxcsr;
    siglongjmp(trap_return, 1);
}

static void host_prepare(void)
{
    struct sigaction action = {.sa_sigaction = on_sigfpe, .sa_flags = SA_SIGINFO};

    if (code)
        return;
    code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(code, MAP_FAILED);
    sigaction(SIGFPE, &action, NULL);
}

/* Run the instruction on the host. False: it raised SIGFPE. */
static bool host_run(struct host *h, const uint8_t *insn, unsigned len)
{
    static const uint8_t before[] = {
        0x53, 0x48, 0x89, 0xfb,                         /* push rbx; mov rbx, rdi */
        0x0f, 0xae, 0x0b,                               /* fxrstor [rbx] */
        0x48, 0x8b, 0xbb, 0x18, 0x02, 0, 0,             /* mov rdi, [rbx + mem] */
        0x8b, 0x83, 0, 0x02, 0, 0, 0x8b, 0x8b, 0x04, 0x02, 0, 0, 0x8b, 0x93, 0x08, 0x02, 0, 0, /* eax ecx edx */
        0xff, 0xb3, 0x10, 0x02, 0, 0, 0x9d,             /* push [rbx + flags]; popf */
    };
    static const uint8_t after[] = {
        0x9c, 0x8f, 0x83, 0x10, 0x02, 0, 0,             /* pushf; pop [rbx + flags] */
        0x89, 0x83, 0, 0x02, 0, 0, 0x89, 0x8b, 0x04, 0x02, 0, 0, 0x89, 0x93, 0x08, 0x02, 0, 0,
        0x0f, 0xae, 0x03,                               /* fxsave [rbx] */
        0xdb, 0xe3, 0x68, 0x80, 0x1f, 0, 0, 0x0f, 0xae, 0x14, 0x24, 0x58, /* fninit; ldmxcsr 1f80 */
        0x5b, 0xc3,
    };
    uint8_t *p = code;

    _Static_assert(offsetof(struct host, gpr) == 512 && offsetof(struct host, flags) == 528 &&
                   offsetof(struct host, mem) == 536, "the code above knows the offsets");
    memcpy(p, before, sizeof before);
    p += sizeof before;
    memcpy(p, insn, len);
    p += len;
    memcpy(p, after, sizeof after);
    if (sigsetjmp(trap_return, 1)) {
        host_set_mxcsr(0x1f80);
        return false;
    }
    ((void (*)(struct host *))(uintptr_t)code)(h);
    return true;
}

#define FLAG_BITS 0x8d5u

static void state_to_host(struct host *h)
{
    memset(h, 0, sizeof *h);
    memcpy(h->fx, &state.fcw, 2);
    memcpy(h->fx + 2, &state.fsw, 2);
    h->fx[4] = state.ftag;
    memcpy(h->fx + 24, &state.mxcsr, 4);
    for (unsigned i = 0; i < 8; i++) {
        const struct i386_fpr *r = &state.fpr[((state.fsw >> 11) + i) & 7];
        memcpy(h->fx + 32 + 16 * i, &r->mantissa, 8);
        memcpy(h->fx + 40 + 16 * i, &r->exponent, 2);
    }
    memcpy(h->fx + 160, state.xmm, 128);
    for (unsigned i = 0; i < 3; i++)
        h->gpr[i] = (uint32_t)state.gpr[i];
    h->flags = 0x202 | state.cc.dst;
    h->mem = host_memory + 1024;
    memcpy(host_memory, memory, sizeof host_memory);
}

static struct floatx80 host_st(const struct host *h, unsigned i)
{
    struct floatx80 v;

    memcpy(&v.sig, h->fx + 32 + 16 * i, 8);
    memcpy(&v.se, h->fx + 40 + 16 * i, 2);
    return v;
}

static bool close_enough(struct floatx80 a, struct floatx80 b, unsigned ulps)
{
    if (ulps && b.se + 1 == a.se)
        return a.sig == UINT64_C(1) << 63 && b.sig == UINT64_MAX; /* on both sides of a power of two */
    if (ulps && a.se + 1 == b.se)
        return b.sig == UINT64_C(1) << 63 && a.sig == UINT64_MAX;
    if (a.se != b.se)
        return false;
    return (a.sig > b.sig ? a.sig - b.sig : b.sig - a.sig) <= ulps;
}

/* What differs, or NULL. `fsw_mask`: the bits that the manual defines. */
static const char *compare_states(const struct host *h, uint16_t fsw_mask, unsigned ulps)
{
    uint16_t fsw;
    uint32_t mxcsr;

    memcpy(&fsw, h->fx + 2, 2);
    memcpy(&mxcsr, h->fx + 24, 4);
    if ((fsw ^ state.fsw) & fsw_mask)
        return "status word";
    if (memcmp(h->fx, &state.fcw, 2))
        return "control word";
    if (h->fx[4] != state.ftag)
        return "tags";
    for (unsigned i = 0; i < 8; i++) {
        const struct i386_fpr *r = &state.fpr[((state.fsw >> 11) + i) & 7];
        if (!close_enough(host_st(h, i), (struct floatx80){r->mantissa, r->exponent}, ulps))
            return "a stack register";
    }
    if (memcmp(h->fx + 160, state.xmm, 128))
        return "an XMM register";
    if (mxcsr != state.mxcsr)
        return "MXCSR";
    for (unsigned i = 0; i < 3; i++)
        if (h->gpr[i] != state.gpr[i])
            return "a general register";
    if ((h->flags ^ flags_compute(&state.cc)) & FLAG_BITS)
        return "the flags";
    if (memcmp(host_memory, memory, sizeof host_memory))
        return "memory";
    return NULL;
}

static void random_common(void)
{
    for (unsigned i = 0; i < 8; i++) {
        for (unsigned k = 0; k < 2; k++)
            state.xmm[i].q[k] = host_random();
        if (i < 3)
            state.gpr[i] = (uint32_t)host_random();
        state.xmm[i].q[0] = host_operand(11, 52);
        state.xmm[i].q[1] = host_operand(11, 52);
        if (host_random() & 1)
            for (unsigned k = 0; k < 4; k++)
                state.xmm[i].l[k] = (uint32_t)host_operand(8, 23);
    }
    state.cc = (struct lazy_flags){.op = FLAGS_EXPLICIT, .dst = host_random() & FLAG_BITS};
    for (unsigned i = 1024; i < 1024 + 128; i++)
        memory[i] = (uint8_t)host_random();
    if (host_random() & 1)
        for (unsigned i = 0; i < 2; i++) {
            uint64_t d = host_operand(11, 52);
            memcpy(memory + 1024 + 8 * i, &d, 8);
        }
    else if (host_random() & 1)
        for (unsigned i = 0; i < 4; i++) {
            uint32_t f = (uint32_t)host_operand(8, 23);
            memcpy(memory + 1024 + 4 * i, &f, 4);
        }
    state.t[0] = 1024;
}

static void random_x87(bool unmasked)
{
    random_common();
    state.fsw = (uint16_t)(host_random() & (FSW_TOP | FSW_C0 | FSW_C1 | FSW_C2 | FSW_C3));
    state.fcw = (uint16_t)(0x40 | (unmasked ? host_random() & 0x3f : 0x3f) | (host_random() & 0xc00) |
                           (host_random() % 4 == 0 ? 0 : host_random() & 1 ? 0x200 : 0x300));
    state.ftag = host_random() & 3 ? 0xff : (uint8_t)host_random();
    if (host_random() & 1) /* room for a push */
        state.ftag &= (uint8_t)~(1u << (((state.fsw >> 11) + 7) & 7));
    for (unsigned i = 0; i < 8; i++) {
        struct host_x80 v = host_operand80();
        if (host_random() % 8 == 0) { /* an integer of moderate size */
            v.se = (uint16_t)((v.se & 0x8000) | (0x3fff + host_random() % 66));
            v.sig |= 0x8000000000000000u;
        }
        state.fpr[i] = (struct i386_fpr){.mantissa = v.sig, .exponent = v.se};
    }
}

/* Bits of the status word that an instruction leaves undefined, and how far its result may be off. */
struct tolerance {
    uint16_t undefined;
    unsigned ulps;
};

static struct tolerance x87_tolerance(unsigned opcode, unsigned modrm)
{
    struct tolerance t = {0, 0};

    if (opcode == 0xd9 && (modrm == 0xf0 || modrm == 0xf1 || modrm == 0xf2 || modrm == 0xf3 || modrm == 0xf9 ||
                           modrm == 0xfb || modrm == 0xfe || modrm == 0xff)) {
        t.ulps = 1;
        t.undefined = FSW_C1 | FLOAT_INEXACT | FLOAT_UNDERFLOW | FSW_ES | FSW_B;
    }
    if ((opcode == 0xdb || opcode == 0xdf) && modrm >= 0xe8 && modrm <= 0xf7)
        t.undefined = FSW_C1; /* FCOMI: Intel's clears it (SDM 2), AMD's does not */
    if (!host_details())
        t.undefined |= FSW_C0 | FSW_C1 | FSW_C2 | FSW_C3 | FLOAT_INEXACT | FSW_ES | FSW_B;
    return t;
}

static void dump_x87(const struct host *before, const struct host *after)
{
    uint16_t fsw;
    memcpy(&fsw, before->fx + 2, 2);
    fprintf(stderr, "before: fcw %02x%02x fsw %04x tags %02x\n", before->fx[1], before->fx[0], fsw, before->fx[4]);
    memcpy(&fsw, after->fx + 2, 2);
    fprintf(stderr, "host fsw %04x tags %02x, here fsw %04x tags %02x\n", fsw, after->fx[4], state.fsw, state.ftag);
    for (unsigned i = 0; i < 8; i++) {
        const struct i386_fpr *r = &state.fpr[((state.fsw >> 11) + i) & 7];
        struct floatx80 b = host_st(before, i), a = host_st(after, i);
        fprintf(stderr, "st%u before %04x.%016llx host %04x.%016llx here %04x.%016llx\n", i, b.se,
                (unsigned long long)b.sig, a.se, (unsigned long long)a.sig, r->exponent, (unsigned long long)r->mantissa);
    }
    for (unsigned i = 0; i < 28; i++)
        fprintf(stderr, "%02x/%02x ", host_memory[1024 + i], memory[1024 + i]);
    fprintf(stderr, "\n");
}

/* F2XM1, FYL2XP1: only where the manual defines them. FSIN and so on: any. */
static bool defined_operands(unsigned opcode, unsigned modrm)
{
    const struct i386_fpr *r = &state.fpr[(state.fsw >> 11) & 7];
    unsigned e = r->exponent & 0x7fff;

    if (opcode == 0xd9 && (modrm == 0xf0 || modrm == 0xf9))
        return e < 0x3ffd || !((state.ftag >> ((state.fsw >> 11) & 7)) & 1);
    return true;
}

static void x87_against_host(unsigned opcode, unsigned modrm, bool mem, bool unmasked)
{
    uint8_t insn[] = {(uint8_t)opcode, (uint8_t)(mem ? (modrm & 0x38) | 7 : modrm)};
    struct tolerance t = x87_tolerance(opcode, modrm);
    struct host before, after;
    const char *difference;

    random_x87(unmasked);
    if (!defined_operands(opcode, modrm))
        return;
    state_to_host(&before);
    after = before;
    run_x87(opcode, modrm, mem, I386_FX_OP32);
    if (raised == EXC_UD)
        return;
    ck_assert(host_run(&after, insn, sizeof insn));
    difference = compare_states(&after, (uint16_t)~t.undefined, t.ulps);
    if (difference)
        dump_x87(&before, &after);
    ck_assert_msg(!difference, "%02x %02x (%s): %s differs", opcode, insn[1], mem ? "memory" : "register", difference);
}

static bool x87_skipped(unsigned opcode, unsigned modrm, bool mem)
{
    unsigned reg = modrm >> 3 & 7;

    /* Environments hold FIP, FDP, FOP, which the host does not keep; FISTTP is beyond the model. */
    if (mem)
        return (opcode == 0xd9 && (reg == 4 || reg == 6)) || (opcode == 0xdd && (reg == 4 || reg == 6)) ||
               (opcode == 0xdf && reg == 4); /* FBLD of digits above 9 is undefined: tested by itself */
    if (opcode == 0xd9 && (reg == 3 || modrm == 0xf5 || modrm == 0xf8)) /* FSTPNCE, FPREM1, FPREM */
        return !host_details();
    return false;
}

#define X87_ROUNDS 60

static void all_x87(bool unmasked)
{
    host_prepare();
    setup();
    cpu.model = &prescott; /* FISTTP */
    for (unsigned opcode = 0xd8; opcode <= 0xdf; opcode++) {
        for (unsigned reg = 0; reg < 8; reg++)
            for (unsigned i = 0; i < 8 * X87_ROUNDS; i++)
                if (!x87_skipped(opcode, reg << 3, true))
                    x87_against_host(opcode, reg << 3, true, unmasked);
        for (unsigned modrm = 0xc0; modrm < 0x100; modrm++)
            for (unsigned i = 0; i < X87_ROUNDS * (opcode == 0xd9 && modrm >= 0xe0 ? 8 : 1); i++)
                if (!x87_skipped(opcode, modrm, false))
                    x87_against_host(opcode, modrm, false, unmasked);
    }
}

START_TEST(x87_instructions_equal_the_host)
{
    all_x87(false);
}
END_TEST

START_TEST(x87_instructions_with_unmasked_exceptions_equal_the_host)
{
    all_x87(true);
}
END_TEST

/* ---- SIMD ---- */

static const unsigned prefixes[] = {0, I386_FX_66, I386_FX_F3, I386_FX_F2};

static bool takes_imm8(unsigned opcode)
{
    return (opcode >= 0x70 && opcode <= 0x73) || opcode == 0xc2 || (opcode >= 0xc4 && opcode <= 0xc6);
}

/* Does the r/m field of the register form name a general register? */
static bool rm_is_gpr(unsigned opcode, unsigned prefix)
{
    (void)prefix;
    return opcode == 0x6e || opcode == 0x7e || opcode == 0xc4;
}

static bool reg_is_gpr(unsigned opcode, unsigned prefix)
{
    (void)prefix;
    return opcode == 0xc5 || opcode == 0xd7;
}

static void random_simd(bool unmasked)
{
    uint64_t r = host_random();

    random_common();
    state.fsw = (uint16_t)(host_random() & FSW_TOP);
    state.ftag = (uint8_t)host_random();
    state.fcw = 0x37f;
    for (unsigned i = 0; i < 8; i++)
        state.fpr[i] = (struct i386_fpr){.mantissa = host_random() & 1 ? host_random() : host_operand(8, 23) << 32 | host_operand(8, 23),
                                         .exponent = (uint16_t)host_random()};
    if (host_random() % 4 == 0) { /* a small shift count */
        state.xmm[r & 7].q[0] &= 63;
        state.fpr[r & 7].mantissa &= 63;
        memory[1024] &= 63;
        memset(memory + 1025, 0, 7);
    }
    state.mxcsr = 0x1f80 | (r & 0x6000) | (r % 5 == 0 ? MXCSR_FTZ : 0) | (r % 7 < 2 ? MXCSR_DAZ : 0);
    if (unmasked)
        state.mxcsr &= ~(uint32_t)(host_random() & 0x1f80);
}

static bool simd_against_host(unsigned opcode, unsigned p, bool mem, bool unmasked)
{
    static const uint8_t prefix_bytes[] = {0, 0x66, 0xf3, 0xf2};
    uint8_t insn[8];
    unsigned len = 0, imm = (unsigned)host_random() & 0xff, reg, rm, modrm;
    struct host before, after;
    struct i386_state saved;
    bool completed;
    const char *difference;

    reg = (unsigned)host_random() % (reg_is_gpr(opcode, prefixes[p]) ? 3 : 8);
    rm = (unsigned)host_random() % (rm_is_gpr(opcode, prefixes[p]) ? 3 : 8);
    if (opcode >= 0x71 && opcode <= 0x73 && host_random() & 1)
        imm &= 63;
    modrm = mem ? reg << 3 | 7 : 0xc0 | reg << 3 | rm;
    random_simd(unmasked);
    state_to_host(&before);
    after = before;
    saved = state;
    run_simd(opcode, modrm, mem, prefixes[p], imm);
    if (raised == EXC_UD)
        return false;
    if (p)
        insn[len++] = prefix_bytes[p];
    insn[len++] = 0x0f;
    insn[len++] = (uint8_t)opcode;
    if (opcode != 0x77)
        insn[len++] = (uint8_t)modrm;
    if (takes_imm8(opcode))
        insn[len++] = (uint8_t)(imm & (opcode == 0xc2 ? 7 : 0xff));
    completed = host_run(&after, insn, len);
    if (!completed) {
        ck_assert_msg(raised == EXC_XM, "%02x/%u: the host raised an exception, here %d", opcode, p, raised);
        ck_assert_msg(!((state.mxcsr ^ trap_mxcsr) & ~(host_details() ? 0u : FLOAT_INEXACT)), "%02x/%u: MXCSR of the host %x, here %x, before %x", opcode, p,
                      trap_mxcsr, state.mxcsr, saved.mxcsr);
        state.mxcsr = saved.mxcsr;
        saved.t[1] = state.t[1];
        ck_assert_msg(!memcmp(&saved, &state, sizeof state), "%02x/%u: a faulting instruction changed state", opcode, p);
        return true;
    }
    ck_assert_msg(raised == -1, "%02x/%u modrm %02x: exception %d, none on the host", opcode, p, modrm, raised);
    if (opcode == 0x2a && p == 0 && mem) { /* CVTPI2PS m64: only Intel's goes to MMX state (SDM 2) */
        ck_assert(!memcmp(after.fx + 160, state.xmm, 128));
        return true;
    }
    difference = compare_states(&after, 0xffff, 0);
    if (difference) {
        fprintf(stderr, "mxcsr %x imm %x\n", saved.mxcsr, imm);
        for (unsigned i = 0; i < 8; i++)
            fprintf(stderr, "x%u before %016llx%016llx host %016llx%016llx here %016llx%016llx\n", i,
                    (long long)saved.xmm[i].q[1], (long long)saved.xmm[i].q[0], *(long long *)(after.fx + 168 + 16 * i),
                    *(long long *)(after.fx + 160 + 16 * i), (long long)state.xmm[i].q[1], (long long)state.xmm[i].q[0]);
        dump_x87(&before, &after);
    }
    ck_assert_msg(!difference, "0f %02x prefix %02x modrm %02x: %s differs", opcode, prefix_bytes[p], modrm, difference);
    return true;
}

#define SIMD_ROUNDS 150

static unsigned all_simd(bool unmasked)
{
    unsigned encodings = 0;

    host_prepare();
    setup();
    for (unsigned opcode = 0x10; opcode < 0x100; opcode++) {
        if (opcode == 0xae)
            continue;
        for (unsigned p = 0; p < 4; p++)
            for (unsigned mem = 0; mem < 2; mem++) {
                unsigned done = 0;
                for (unsigned i = 0; i < SIMD_ROUNDS; i++)
                    done += simd_against_host(opcode, p, mem, unmasked);
                encodings += done > 0;
            }
    }
    return encodings;
}

START_TEST(simd_instructions_equal_the_host)
{
    unsigned encodings = all_simd(false);

    /* MMX registers without group 15: instructions by prefix, memory and register forms apart. */
    ck_assert_uint_eq(encodings, 144);
}
END_TEST

START_TEST(simd_instructions_with_unmasked_exceptions_equal_the_host)
{
    all_simd(true);
}
END_TEST

START_TEST(constants_follow_the_rounding_control)
{
    host_prepare();
    setup();
    for (unsigned rc = 0; rc < 4; rc++)
        for (unsigned modrm = 0xe8; modrm <= 0xee; modrm++) {
            struct host before, after;
            uint8_t insn[] = {0xd9, (uint8_t)modrm};

            setup();
            state.fcw = (uint16_t)(0x37f | rc << 10);
            state_to_host(&before);
            after = before;
            run_x87(0xd9, modrm, false, 0);
            host_run(&after, insn, 2);
            ck_assert_ptr_eq(compare_states(&after, 0xffff, 0), NULL);
        }
}
END_TEST

START_TEST(decimal_loads_equal_the_host)
{
    uint8_t insn[] = {0xdf, 0x27};

    host_prepare();
    setup();
    for (int i = 0; i < 2000; i++) {
        struct host before, after;

        random_x87(false);
        for (unsigned k = 0; k < 9; k++)
            memory[1024 + k] = (uint8_t)(host_random() % 10 << 4 | host_random() % 10);
        memory[1024 + 9] = host_random() & 0x80;
        state_to_host(&before);
        after = before;
        run_x87(0xdf, 4 << 3, true, 0);
        host_run(&after, insn, 2);
        ck_assert_ptr_eq(compare_states(&after, 0xffff, 0), NULL);
    }
}
END_TEST

/* FSAVE's image in the host's 32-bit protected layout, and FRSTOR of it. */
START_TEST(fnsave_image_equals_the_host)
{
    uint8_t save[] = {0xdd, 0x37}, restore[] = {0xdd, 0x27};

    host_prepare();
    setup();
    for (int i = 0; i < 500; i++) {
        struct host before, after;
        uint8_t *here = memory + 1024, *there = host_memory + 1024;

        random_x87(false);
        state_to_host(&before);
        after = before;
        run_x87(0xdd, 6 << 3, true, I386_FX_OP32);
        host_run(&after, save, 2);
        ck_assert(!memcmp(here, there, 12)); /* control, status, tags */
        ck_assert(!memcmp(here + 28, there + 28, 80));
        memcpy(there + 12, here + 12, 16);
        ck_assert_ptr_eq(compare_states(&after, 0xffff, 0), NULL);
        state_to_host(&before);
        after = before;
        run_x87(0xdd, 4 << 3, true, I386_FX_OP32);
        host_run(&after, restore, 2);
        ck_assert_ptr_eq(compare_states(&after, 0xffff, 0), NULL);
    }
}
END_TEST

#endif

/* ---- what the manual promises ---- */

START_TEST(em_and_ts_raise_the_right_faults)
{
    setup();
    state.cr0 |= CR0_TS;
    ck_assert(run_x87(0xd9, 0xe8, false, 0) == UOP_FAULT && raised == EXC_NM);
    ck_assert(run_fwait() == UOP_FAULT && raised == EXC_NM);
    ck_assert(run_simd(0x6f, 0xc1, false, 0, 0) == UOP_FAULT && raised == EXC_NM);
    state.cr0 &= ~CR0_MP;
    ck_assert(run_fwait() == UOP_NEXT);
    state.cr0 = (state.cr0 & ~CR0_TS) | CR0_EM;
    ck_assert(run_x87(0xd9, 0xe8, false, 0) == UOP_FAULT && raised == EXC_NM);
    ck_assert(run_simd(0x6f, 0xc1, false, 0, 0) == UOP_FAULT && raised == EXC_UD);
    state.cr0 &= ~CR0_EM;
    state.cr4 &= ~CR4_OSFXSR;
    ck_assert(run_simd(0xe0, 0xc1, false, 0, 0) == UOP_NEXT); /* PAVGB on MMX registers */
}
END_TEST

/* Known to the x87 or not: whatever begins with D8-DF (SDM 3A 2.5). */
START_TEST(every_escape_opcode_asks_for_the_x87_first)
{
    for (unsigned opcode = 0xd8; opcode <= 0xdf; opcode++)
        for (unsigned modrm = 0; modrm < 0x100; modrm++) {
            setup();
            state.cr0 |= modrm & 1 ? CR0_TS : CR0_EM;
            ck_assert_msg(run_x87(opcode, modrm, modrm < 0xc0, 0) == UOP_FAULT && raised == EXC_NM, "%02x %02x", opcode, modrm);
        }
}
END_TEST

START_TEST(models_lack_later_instructions)
{
    setup();
    cpu.model = &pentium3;
    ck_assert(run_simd(0xf4, 0xc1, false, 0, 0) == UOP_FAULT && raised == EXC_UD);          /* PMULUDQ */
    cpu.model = &i486;
    ck_assert(run_simd(0x6f, 0xc1, false, 0, 0) == UOP_FAULT && raised == EXC_UD);
    ck_assert(run_x87(0xdb, 0xf1, false, 0) == UOP_FAULT && raised == EXC_UD); /* FCOMI */
    ck_assert(run_x87(0xda, 0xc1, false, 0) == UOP_FAULT && raised == EXC_UD); /* FCMOVB */
    ck_assert(run_simd(0xae, 0x00, true, 0, 0) == UOP_FAULT && raised == EXC_UD);
}
END_TEST

START_TEST(sse3_and_ssse3_are_undefined)
{
    setup();
    ck_assert(run_x87(0xdb, 1 << 3, true, 0) == UOP_FAULT && raised == EXC_UD); /* FISTTP */
    ck_assert(run_simd(0x100, 0xc1, false, 0, 0) == UOP_FAULT && raised == EXC_UD); /* PSHUFB */
}
END_TEST

START_TEST(unmasked_error_is_delivered_by_the_next_waiting_instruction)
{
    setup();
    state.fcw = 0x37b; /* zero divide unmasked */
    push_one();
    ck_assert(run_x87(0xd9, 0xee, false, 0) == UOP_NEXT); /* FLDZ */
    state.t[2] = 0x1234;
    ck_assert(run_x87(0xd8, 0xf9, false, 0) == UOP_NEXT); /* FDIVR ST0, ST1: 1 / 0 */
    ck_assert((state.fsw & (FSW_ES | FSW_B | FLOAT_DIVZERO)) == (FSW_ES | FSW_B | FLOAT_DIVZERO));
    ck_assert_uint_eq(state.fip, 0x1234);
    ck_assert_uint_eq(state.fpr[(state.fsw >> 11) & 7].exponent, 0); /* ST0 is as it was */
    state.t[2] = 0x1236;
    ck_assert(run_x87(0xd9, 0xe8, false, 0) == UOP_FAULT && raised == EXC_MF);
    ck_assert(run_fwait() == UOP_FAULT && raised == EXC_MF);
    ck_assert(run_simd(0x6f, 0xc1, false, 0, 0) == UOP_FAULT && raised == EXC_MF);
    ck_assert_uint_eq(state.fip, 0x1234);
    ck_assert(run_x87(0xdf, 0xe0, false, 0) == UOP_NEXT); /* FNSTSW AX does not wait */
    ck_assert(run_x87(0xdb, 0xe2, false, 0) == UOP_NEXT); /* FNCLEX */
    ck_assert(!(state.fsw & (FSW_ES | FSW_B)));
    ck_assert(run_fwait() == UOP_NEXT);
    ck_assert_uint_eq(ferr_changes, 0);
}
END_TEST

START_TEST(errors_go_out_of_the_ferr_pin_when_ne_is_clear)
{
    setup();
    state.cr0 &= ~CR0_NE;
    state.fcw = 0x37b;
    push_one();
    run_x87(0xd9, 0xee, false, 0);
    run_x87(0xd8, 0xf9, false, 0);
    ck_assert(ferr_level && raised == -1);
    ck_assert(run_fwait() == UOP_NEXT);
    i386_fpu_ignne(&cpu);
    ck_assert(!ferr_level);
    ck_assert(run_x87(0xd9, 0xe8, false, 0) == UOP_NEXT && !ferr_level); /* IGNNE: ignored */
    run_x87(0xdb, 0xe2, false, 0);
    ck_assert_uint_eq(state.ferr, 0);
    run_x87(0xdd, 0xd8, false, 0); /* FSTP ST0 */
    run_x87(0xd8, 0xf9, false, 0);
    ck_assert(ferr_level); /* a new error is a new edge */
    run_x87(0xdb, 0xe3, false, 0);
    ck_assert(!ferr_level);
}
END_TEST

START_TEST(fldcw_that_unmasks_a_flagged_exception_sets_es)
{
    uint16_t cw = 0x37b;

    setup();
    push_one();
    run_x87(0xd9, 0xee, false, 0);
    run_x87(0xd8, 0xf9, false, 0);
    ck_assert(!(state.fsw & FSW_ES));
    memcpy(memory, &cw, 2);
    state.t[0] = 0;
    ck_assert(run_x87(0xd9, 5 << 3, true, 0) == UOP_NEXT);
    ck_assert(state.fsw & FSW_ES);
}
END_TEST

START_TEST(a_memory_fault_leaves_the_state_alone)
{
    static const struct { uint8_t opcode, reg; } stores[] = {
        {0xd9, 2}, {0xd9, 3}, {0xd9, 6}, {0xd9, 7}, {0xdb, 2}, {0xdb, 3}, {0xdb, 7}, {0xdd, 2}, {0xdd, 3}, {0xdd, 6},
        {0xdd, 7}, {0xdf, 2}, {0xdf, 3}, {0xdf, 6}, {0xdf, 7}, {0xd8, 0}, {0xd9, 0}, {0xd9, 4}, {0xd9, 5}, {0xdd, 4},
        {0xdf, 4}, {0xdf, 5}, {0xda, 1}, {0xde, 6},
    };

    for (unsigned i = 0; i < ARRAY_LEN(stores); i++) {
        struct i386_state before;

        setup();
        set_st(0, 0x3ffe, 0xc123456789abcdef);
        memory_faults = true;
        before = state;
        ck_assert(run_x87(stores[i].opcode, (unsigned)stores[i].reg << 3, true, 0) == UOP_FAULT && raised == EXC_PF);
        ck_assert_msg(!memcmp(&before, &state, sizeof state), "%02x /%u", stores[i].opcode, stores[i].reg);
    }
    setup();
    memory_faults = true;
    struct i386_state before = state;
    ck_assert(run_simd(0x7f, 0x00, true, 0, 0) == UOP_FAULT && raised == EXC_PF);
    ck_assert(run_simd(0xae, 0x00, true, 0, 0) == UOP_FAULT && raised == EXC_PF);
    ck_assert(run_simd(0xae, 0x08, true, 0, 0) == UOP_FAULT && raised == EXC_PF);
    ck_assert(!memcmp(&before, &state, sizeof state));
}
END_TEST

START_TEST(fxrstor_of_reserved_mxcsr_bits_is_gp)
{
    uint32_t v = 0x10000 | 0x1f80;

    setup();
    state.t[0] = 0;
    cpu.model = &pentium3;
    memcpy(memory + 24, &v, 4);
    ck_assert(run_simd(0xae, 1 << 3, true, 0, 0) == UOP_FAULT && raised == EXC_GP);
}
END_TEST

START_TEST(environment_layouts_follow_mode_and_operand_size)
{
    uint16_t h[7];
    uint32_t l[7];

    setup();
    state.fip = 0x12345678;
    state.fcs = 0x08;
    state.fdp = 0x9abcdef0;
    state.fds = 0x10;
    state.fop = 0x5a3;
    state.t[0] = 0;
    run_x87(0xd9, 6 << 3, true, I386_FX_OP32);
    memcpy(l, memory, 28);
    ck_assert_uint_eq(l[0], 0xffff037f);
    ck_assert_uint_eq(l[2], 0xffffffff);
    ck_assert_uint_eq(l[3], 0x12345678);
    ck_assert_uint_eq(l[4], 0x05a30008);
    ck_assert_uint_eq(l[5], 0x9abcdef0);
    ck_assert_uint_eq(l[6], 0xffff0010);
    run_x87(0xd9, 6 << 3, true, 0);
    memcpy(h, memory, 14);
    ck_assert_uint_eq(h[3], 0x5678);
    ck_assert_uint_eq(h[4], 0x08);
    ck_assert_uint_eq(h[6], 0x10);
    state.cr0 &= ~CR0_PE;
    state.fip = 0x0010;
    state.fcs = 0xf000;
    state.fdp = 0x0020;
    state.fds = 0xe000;
    run_x87(0xd9, 6 << 3, true, 0);
    memcpy(h, memory, 14);
    ck_assert_uint_eq(h[3], 0x0010);
    ck_assert_uint_eq(h[4], 0xf5a3);
    ck_assert_uint_eq(h[5], 0x0020);
    ck_assert_uint_eq(h[6], 0xe000);
    run_x87(0xd9, 4 << 3, true, 0);
    ck_assert_uint_eq(state.fip, 0xf0010);
    ck_assert_uint_eq(state.fop, 0x5a3);
    run_x87(0xd9, 6 << 3, true, I386_FX_OP32);
    memcpy(l, memory, 28);
    ck_assert_uint_eq(l[3], 0xffff0010);
    ck_assert_uint_eq(l[4], 0x0000f5a3);
    ck_assert_uint_eq(l[6], 0x0000e000);
}
END_TEST

START_TEST(fnstenv_masks_and_fnsave_initialises)
{
    setup();
    state.fcw = 0x340;
    push_one();
    state.t[0] = 0;
    run_x87(0xd9, 6 << 3, true, I386_FX_OP32);
    ck_assert_uint_eq(state.fcw, 0x37f);
    run_x87(0xdd, 6 << 3, true, I386_FX_OP32);
    ck_assert(state.ftag == 0 && state.fsw == 0);
    ck_assert_uint_eq(memory[28 + 9], 0x3f); /* 1.0 */
    run_x87(0xdd, 4 << 3, true, I386_FX_OP32);
    ck_assert_uint_eq(state.ftag, 0x80);
    ck_assert_uint_eq(state.fsw >> 11, 7);
}
END_TEST

START_TEST(fxsave_and_fxrstor_keep_everything)
{
    struct i386_state before;

    setup();
    push_one();
    state.fip = 0x11223344;
    state.fdp = 0x55667788;
    state.fop = 0x123;
    state.fcs = 8;
    state.fds = 16;
    state.mxcsr = 0x1fa0;
    for (unsigned i = 0; i < 8; i++)
        state.xmm[i].q[1] = i + 1;
    state.t[0] = 1024;
    before = state;
    memset(memory, 0xee, sizeof memory);
    ck_assert(run_simd(0xae, 0, true, 0, 0) == UOP_NEXT);
    ck_assert_uint_eq(memory[1024 + 288], 0xee); /* beyond XMM7 nothing is written */
    memset(state.fpr, 0, sizeof state.fpr);
    memset(state.xmm, 0, sizeof state.xmm);
    state.fip = state.fdp = state.fop = state.fcs = state.fds = state.fsw = state.ftag = 0;
    state.mxcsr = 0x1f80;
    ck_assert(run_simd(0xae, 1 << 3, true, 0, 0) == UOP_NEXT);
    ck_assert(!memcmp(&before, &state, sizeof state));
}
END_TEST

START_TEST(pentium4_notes_fop_only_for_unmasked_exceptions)
{
    setup();
    push_one();
    ck_assert_uint_eq(state.fop, 0);
    state.misc_enable = 4;
    push_one();
    ck_assert_uint_eq(state.fop, 0x1e8);
    setup();
    cpu.model = &pentium3;
    push_one();
    ck_assert_uint_eq(state.fop, 0x1e8);
}
END_TEST

START_TEST(trigonometry_out_of_range_only_sets_c2)
{
    setup();
    set_st(0, 0x403e, 0x8000000000000000); /* 2^63 */
    ck_assert(run_x87(0xd9, 0xfe, false, 0) == UOP_NEXT);
    ck_assert(state.fsw & FSW_C2);
    ck_assert(run_x87(0xd9, 0xfb, false, 0) == UOP_NEXT);
    ck_assert_uint_eq(state.ftag, 1);
}
END_TEST

START_TEST(emms_empties_and_mmx_fills_the_tags)
{
    setup();
    state.fsw = 3 << 11;
    ck_assert(run_simd(0xef, 0xc9, false, 0, 0) == UOP_NEXT);
    ck_assert_uint_eq(state.ftag, 0xff);
    ck_assert_uint_eq(state.fsw, 0);
    ck_assert_uint_eq(state.fpr[1].exponent, 0xffff);
    ck_assert(run_simd(0x77, 0, false, 0, 0) == UOP_NEXT);
    ck_assert_uint_eq(state.ftag, 0);
}
END_TEST

Suite *test_suite(void)
{
    Suite *suite = suite_create("i386 fpu");
    TCase *t = tcase_create("all");

    tcase_set_timeout(t, 60);
#ifdef HOST_FPU
    tcase_add_test(t, x87_instructions_equal_the_host);
    tcase_add_test(t, x87_instructions_with_unmasked_exceptions_equal_the_host);
    tcase_add_test(t, simd_instructions_equal_the_host);
    tcase_add_test(t, simd_instructions_with_unmasked_exceptions_equal_the_host);
    tcase_add_test(t, constants_follow_the_rounding_control);
    tcase_add_test(t, decimal_loads_equal_the_host);
    tcase_add_test(t, fnsave_image_equals_the_host);
#endif
    tcase_add_test(t, em_and_ts_raise_the_right_faults);
    tcase_add_test(t, every_escape_opcode_asks_for_the_x87_first);
    tcase_add_test(t, models_lack_later_instructions);
    tcase_add_test(t, sse3_and_ssse3_are_undefined);
    tcase_add_test(t, unmasked_error_is_delivered_by_the_next_waiting_instruction);
    tcase_add_test(t, errors_go_out_of_the_ferr_pin_when_ne_is_clear);
    tcase_add_test(t, fldcw_that_unmasks_a_flagged_exception_sets_es);
    tcase_add_test(t, a_memory_fault_leaves_the_state_alone);
    tcase_add_test(t, fxrstor_of_reserved_mxcsr_bits_is_gp);
    tcase_add_test(t, environment_layouts_follow_mode_and_operand_size);
    tcase_add_test(t, fnstenv_masks_and_fnsave_initialises);
    tcase_add_test(t, fxsave_and_fxrstor_keep_everything);
    tcase_add_test(t, pentium4_notes_fop_only_for_unmasked_exceptions);
    tcase_add_test(t, trigonometry_out_of_range_only_sets_c2);
    tcase_add_test(t, emms_empties_and_mmx_fills_the_tags);
    suite_add_tcase(suite, t);
    return suite;
}
