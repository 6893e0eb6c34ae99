/*
 * The i386 CPU put together: tables of cpu_ops and of the front end, reset
 * and INIT state (SDM 3A 9.1), idling, and what is derived from the state.
 */
#include "i386/fpu.h"
#include "i386/insn.h"
#include "i386/lower.h"
#include "i386/protect.h"
#include "i386/simd.h"
#include "i386/svm.h"
#include "vm/line.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct i386_cpu *const_cpu(const struct cpu *cpu)
{
    return (const struct i386_cpu *)(const void *)cpu;
}

static struct i386_cpu *to_cpu(struct cpu *cpu)
{
    return (struct i386_cpu *)(void *)cpu;
}

/* ---- derived data ---- */

/* Modes as TRAP_MODE has them: the privilege level, what kind of code runs, and whether that is a virtual machine's (svm.h). */
enum { KIND_REAL, KIND_PROTECTED, KIND_VM86, KIND_COMPATIBILITY, KIND_64BIT, KINDS };

static uint8_t mode_of(const struct i386_state *s)
{
    unsigned kind = !i386_protected(s) ? KIND_REAL : i386_vm86(s) ? KIND_VM86 : !i386_long(s) ? KIND_PROTECTED
                                                                 : i386_64bit(s) ? KIND_64BIT : KIND_COMPATIBILITY;

    return (uint8_t)((kind + (i386_svm_guest(s) ? KINDS : 0)) << 2 | (s->cpl & 3));
}

static const char *mode_name(uint64_t mode)
{
    static const char *const names[][4] = {
        {"real", "real", "real", "real"},
        {"ring0", "ring1", "ring2", "ring3"},
        {"vm86", "vm86", "vm86", "vm86"},
        {"compat-ring0", "compat-ring1", "compat-ring2", "compat-ring3"},
        {"64bit-ring0", "64bit-ring1", "64bit-ring2", "64bit-ring3"},
        {"guest-real", "guest-real", "guest-real", "guest-real"},
        {"guest-ring0", "guest-ring1", "guest-ring2", "guest-ring3"},
        {"guest-vm86", "guest-vm86", "guest-vm86", "guest-vm86"},
        {"guest-compat-ring0", "guest-compat-ring1", "guest-compat-ring2", "guest-compat-ring3"},
        {"guest-64bit-ring0", "guest-64bit-ring1", "guest-64bit-ring2", "guest-64bit-ring3"},
    };

    return mode >> 2 < ARRAY_LEN(names) ? names[mode >> 2][mode & 3] : NULL;
}

static bool mode_is_user(uint64_t mode)
{
    return (mode & 3) == 3 || (mode >> 2) % KINDS == KIND_VM86;
}

/* System V's for i386 and x86-64, and what Linux makes of it. */
static const struct cpu_abi *abi(const struct cpu *cpu, bool registers)
{
    static const char *const none[] = {NULL}, *const regparm[] = {"eax", "edx", "ecx", NULL};
    static const char *const calls32[] = {"ebx", "ecx", "edx", "esi", "edi", "ebp", NULL};
    static const char *const args64[] = {"rdi", "rsi", "rdx", "rcx", "r8", "r9", NULL};
    static const char *const calls64[] = {"rdi", "rsi", "rdx", "r10", "r8", "r9", NULL};
    static const struct cpu_abi stack = {"i386", none, 6, NULL, true, "eax", 4, "eax", calls32, "cr3", ~(uint64_t)0xfff, NULL};
    static const struct cpu_abi regs = {"i386-regparm", regparm, 3, NULL, true, "eax", 4, "eax", calls32, "cr3", ~(uint64_t)0xfff, NULL};
    static const struct cpu_abi wide = {"x86-64", args64, 0, NULL, false, "rax", 8, "rax", calls64, "cr3", ~(uint64_t)0xfff, &stack};
    const struct i386_state *s = ((const struct i386_cpu *)(const void *)cpu)->st;

    if (i386_long(s) && i386_64bit(s))
        return &wide;
    return registers ? &regs : &stack;
}

static void note_mode(struct i386_cpu *c)
{
    uint8_t mode = mode_of(c->st);

    if (mode != c->noted_mode && c->u.cpu.running && (c->u.cpu.machine->traps->notes & TRAP_MODE))
        traps_add_note(c->u.cpu.machine, &(struct trap_hit){.kind = TRAP_MODE, .number = mode, .value = c->noted_mode});
    c->noted_mode = mode;
}

void i386_mode_changed(struct i386_cpu *c)
{
    bool was_64bit = c->block_mode & MODE_LONG;

    c->block_mode = i386_block_mode(c);
    if (was_64bit && !(c->block_mode & MODE_LONG)) {
        /* The manual leaves them undefined. */
        for (unsigned r = EAX; r <= EDI; r++)
            c->st->gpr[r] = (uint32_t)c->st->gpr[r];
        c->st->rip = (uint32_t)c->st->rip;
        /* Outside 64-bit mode 32 bits of a temporary are written, and helpers read all of it. */
        memset(c->st->t, 0, sizeof c->st->t);
    }
    ucpu_set_va_bits(&c->u, i386_long(c->st) ? 64 : 32);
    ucpu_set_tlb_mode(&c->u, i386_regime(c->st));
    if (c->model->pmu && c->st->pmc_user != (c->st->cpl != 0))
        i386_pmu_mode_changed(c);
    note_mode(c);
}

void i386_level_moved(struct i386_cpu *c)
{
    c->block_mode = i386_block_mode_moved(c, c->st->cpl);
    ucpu_set_tlb_mode(&c->u, i386_regime(c->st));
    if (c->model->pmu && c->st->pmc_user != (c->st->cpl != 0))
        i386_pmu_mode_changed(c);
    note_mode(c);
}

void i386_segment_loaded(struct i386_cpu *c, unsigned seg)
{
    if (c->u.careful)
        i386_mode_changed(c);
    else
        c->block_mode = i386_block_mode_loaded(c, seg);
}

static void drop_derived(struct cpu *cpu)
{
    struct i386_cpu *c = to_cpu(cpu);

    ucpu_drop_derived(cpu);
    c->exc.pending = false;
    c->exc.has_eip = false;
    c->block_mode = 0;
    i386_mode_changed(c);
    i386_update_traps(c);
}

void i386_set_smram(struct i386_cpu *c, enum i386_smram smram)
{
    if (smram == c->smram)
        return;
    c->smram = smram;
    ucpu_flush_tlb(&c->u);
}

void i386_set_a20(struct i386_cpu *c, bool enabled)
{
    uint32_t mask = enabled ? 0xffffffffu : ~(1u << 20);

    if (mask == c->st->a20_mask)
        return;
    c->st->a20_mask = mask;
    ucpu_flush_tlb(&c->u);
}

/* ---- reset ---- */

static void reset_segments(struct i386_state *s)
{
    for (unsigned i = 0; i < SEG_COUNT; i++) {
        s->seg[i] = (struct i386_segment){
            .attr = SEG_ATTR_P | SEG_ATTR_S | 3,
            .limit = 0xffff,
            .valid = 1,
        };
    }
    s->seg[SEG_CS].selector = 0xf000;
    s->seg[SEG_CS].base = 0xffff0000u;
    s->seg[SEG_LDTR].attr = SEG_ATTR_P | SYS_LDT;
    s->seg[SEG_TR].attr = SEG_ATTR_P | SYS_TSS32_BUSY;
    s->gdtr = s->idtr = (struct i386_dtr){.limit = 0xffff};
}

/* What reset and INIT have in common. */
static void reset_core(struct i386_cpu *c)
{
    struct i386_state *s = c->st;

    memset(s->gpr, 0, sizeof s->gpr);
    s->gpr[EDX] = c->model->signature;
    s->rip = 0xfff0;
    s->cc = (struct lazy_flags){.op = FLAGS_EXPLICIT};
    s->eflags = EFLAGS_1;
    s->cpl = 0;
    reset_segments(s);
    s->cr2 = s->cr3 = s->cr4 = 0;
    memset(s->dr, 0, sizeof s->dr);
    s->dr[6] = DR6_FIXED;
    s->dr[7] = DR7_FIXED;
    memset(s->pdpte, 0, sizeof s->pdpte);
    s->halted = s->shadow = s->nmi_blocked = s->nmi_pending = s->init_pending = 0;
    i386_watch_line(c, LINE_NONE);
    s->pending_db = s->rep_active = s->tf_latched = 0;
    s->rep_start = 0;
    memset(s->t, 0, sizeof s->t);
    memset(s->xt, 0, sizeof s->xt);
    memset(s->xt_high, 0, sizeof s->xt_high);
    s->efer = 0;
    memset(&s->svm, 0, sizeof s->svm);
    c->exc.pending = false;
    c->exc.has_eip = false;
    c->block_mode = 0;
}

static void state_replaced(struct i386_cpu *c)
{
    ucpu_flush_tlb(&c->u);
    i386_mode_changed(c);
    i386_update_traps(c);
}

/* Pins keep their level: A20M# and INTR belong to the board. */
static void reset(struct cpu *cpu)
{
    struct i386_cpu *c = to_cpu(cpu);
    struct i386_state *s = c->st;
    uint32_t a20_mask = s->a20_mask ? s->a20_mask : 0xffffffffu, intr_line = s->intr_line;

    memset(s, 0, sizeof *s);
    s->a20_mask = a20_mask;
    s->intr_line = intr_line;
    reset_core(c);
    s->cr0 = CR0_CD | CR0_NW | CR0_ET;
    s->smbase = SMBASE_RESET;
    i386_fpu_reset(s);
    i386_reset_msrs(c, 0);
    s->halted = c->u.cpu.index ? I386_WAITS : 0; /* CPU 0 is the bootstrap processor */
    line_set(&c->ferr_line, false);
    state_replaced(c);
}

void i386_init_signal(struct i386_cpu *c)
{
    struct i386_state *s = c->st;
    uint32_t cache = s->cr0 & (CR0_CD | CR0_NW);

    reset_core(c);
    s->cr0 = cache | CR0_ET;
    s->halted = c->u.cpu.index ? I386_WAITS : 0;
    state_replaced(c);
}

/* ---- cpu_ops ---- */

static bool idle(const struct cpu *cpu)
{
    const struct i386_cpu *c = const_cpu(cpu);

    return c->st->halted && !i386_event_ready(&c->u);
}

static bool has_no_power(const struct cpu *cpu)
{
    const struct machine *m = cpu->machine;

    return m->asleep && m->asleep(m);
}

static const char *activity(const struct cpu *cpu)
{
    if (const_cpu(cpu)->st->halted == I386_WAITS)
        return has_no_power(cpu) ? "suspended" : "waiting for SIPI";
    if (const_cpu(cpu)->st->halted >= I386_MWAIT)
        return "halted by MWAIT";
    if (const_cpu(cpu)->st->smm)
        return idle(cpu) ? "halted in SMM" : "in SMM";
    if (i386_svm_guest(const_cpu(cpu)->st))
        return idle(cpu) ? "halted in a virtual machine" : "in a virtual machine";
    return idle(cpu) ? "halted" : "running";
}

static const char *awaits(const struct cpu *cpu)
{
    return const_cpu(cpu)->st->halted == I386_WAITS && !has_no_power(cpu) ? "a SIPI" : NULL;
}

/* Not so MWAIT with ECX bit 0; and by CR4.VME a program's virtual IF counts. */
static bool deaf(const struct cpu *cpu)
{
    const struct i386_state *s = const_cpu(cpu)->st;

    return (s->halted == I386_HALTED || s->halted == I386_MWAIT) && !(s->eflags & (EFLAGS_IF | EFLAGS_VIF)) && !s->svm.guest && idle(cpu);
}

static uint64_t pc(const struct cpu *cpu)
{
    const struct i386_state *s = const_cpu(cpu)->st;

    return i386_64bit(s) ? s->rip : (uint32_t)(s->seg[SEG_CS].base + s->rip);
}

/* Is there a repeated string instruction at the PC (SDM 2, REP)? True where its bytes cannot be seen. */
static bool at_repeated_string(const struct cpu *cpu)
{
    bool repeated = false, is_64 = i386_64bit(const_cpu(cpu)->st);
    uint64_t va = pc(cpu);
    uint8_t byte;
    paddr_t pa;

    for (unsigned i = 0; i < INSN_MAX_LEN; i++) {
        if (!i386_translate(cpu, is_64 ? va + i : (uint32_t)(va + i), &pa) ||
            memory_read_bytes(&cpu->machine->memory, pa, &byte, 1) != 1)
            return true;
        switch (byte) {
        case 0xf2: case 0xf3:
            repeated = true;
            break;
        case 0x26: case 0x2e: case 0x36: case 0x3e: case 0x64: case 0x65: case 0x66: case 0x67: case 0xf0:
            break;
        default:
            if (is_64 && (byte & 0xf0) == 0x40)
                break;
            return repeated && ((byte & 0xfc) == 0x6c || (byte & 0xfc) == 0xa4 || (byte >= 0xaa && byte <= 0xaf));
        }
    }
    return false;
}

/* One that has overwritten itself is over, whatever comes of what stands there now. */
static icount_t in_progress(const struct cpu *cpu)
{
    const struct i386_state *s = const_cpu(cpu)->st;

    return s->rep_active && at_repeated_string(cpu) ? s->rep_start : ICOUNT_MAX;
}

static bool between_instructions(const struct i386_state *s)
{
    static const uint64_t t[ARRAY_LEN(((struct i386_state *)0)->t)];
    static const union i386_xmm xt[ARRAY_LEN(((struct i386_state *)0)->xt)];

    return !s->zero && flags_canonical(&s->cc) && !s->tf_latched && !memcmp(s->t, t, sizeof t) &&
           !memcmp(s->xt, xt, sizeof xt) && !memcmp(s->xt_high, xt, sizeof xt);
}

/* Outside 64-bit mode the first general registers and the instruction pointer have 32 bits. */
static bool narrow(const struct i386_state *s)
{
    uint64_t all = s->rip;

    for (unsigned i = EAX; i <= EDI; i++)
        all |= s->gpr[i];
    return !(all >> 32);
}

/* Long mode wants protected mode, PAE paging and a model that has it. */
static bool long_mode_possible(const struct i386_cpu *c)
{
    const struct i386_state *s = c->st;
    bool paging = s->cr0 & CR0_PG, enabled = s->efer & EFER_LME;

    if (!i386_has(c->model, FEATURE_LM))
        return !(s->efer & (EFER_LMA | EFER_LME));
    if (i386_long(s) != (paging && enabled))
        return false;
    return !i386_long(s) || ((s->cr4 & CR4_PAE) && !i386_vm86(s));
}

/* Registers hold what they like, reserved bits too: an instruction could fault on them, or
 * not. What the modes are is another matter. */
static bool possible(const struct cpu *cpu)
{
    const struct i386_state *s = const_cpu(cpu)->st;
    bool protected_mode = s->cr0 & CR0_PE, v86 = s->eflags & EFLAGS_VM;

    if (!long_mode_possible(const_cpu(cpu)) || (!i386_64bit(s) && !narrow(s)))
        return false;
    if (!between_instructions(s) || s->cpl > 3 || (!protected_mode && (s->cpl || v86)) || (v86 && s->cpl != 3))
        return false;
    if (!(s->eflags & EFLAGS_1) || s->eflags & FLAGS_ALL || ((s->cr0 & CR0_PG) && !protected_mode && !s->svm.guest))
        return false;
    if (s->svm.guest > I386_SVM_GUEST_WAITS || s->svm.gif_clear > 1 || (s->svm.guest && !i386_has(const_cpu(cpu)->model, FEATURE_SVM)))
        return false;
    if (!s->svm.guest && (s->svm.inject || s->svm.interrupts))
        return false;
    if (s->rep_active ? s->rep_active > 1 || s->rep_start >= cpu->machine->st->position : s->rep_start != 0)
        return false;
    if (s->smm > (I386_SMM | I386_SMM_NMI_BLOCKED) || s->smm == I386_SMM_NMI_BLOCKED || s->smi_pending > 1)
        return false;
    if (s->lbr_top >= ARRAY_LEN(s->lbr_from))
        return false;
    if (s->pmc_user != (const_cpu(cpu)->model->pmu && s->cpl))
        return false;
    return (s->a20_mask | 1u << 20) == 0xffffffffu && s->halted <= I386_MWAIT_BREAK && s->shadow <= 2;
}

static void destroy(struct cpu *cpu)
{
    struct i386_cpu *c = to_cpu(cpu);

    ucpu_finish(&c->u);
    free(c);
}

/* ---- front end ---- */

static void where(const struct ucpu *u, struct block_key *key)
{
    const struct i386_cpu *c = (const struct i386_cpu *)(const void *)u;
    const struct i386_state *s = c->st;

    key->pc = s->rip;
    key->va = c->block_mode & MODE_LONG ? s->rip : (uint32_t)(s->seg[SEG_CS].base + s->rip);
    key->mode = c->block_mode;
}

static void set_pc(struct ucpu *u, uint64_t eip)
{
    struct i386_cpu *c = i386_of(u);

    c->st->rip = c->block_mode & MODE_LONG ? eip : (uint32_t)eip;
}

static void settle(struct ucpu *u)
{
    struct i386_state *s = i386_of(u)->st;

    flags_settle(&s->cc);
    memset(s->t, 0, sizeof s->t);
    memset(s->xt, 0, sizeof s->xt);
    memset(s->xt_high, 0, sizeof s->xt_high);
}

void i386_watch_line(struct i386_cpu *c, paddr_t pa)
{
    c->st->monitor_line = pa == LINE_NONE ? LINE_NONE : pa & ~(paddr_t)(LINE_BYTES - 1);
    line_watch(&c->u.cpu, c->st->monitor_line);
}

static paddr_t line(const struct cpu *cpu)
{
    return const_cpu(cpu)->st->monitor_line;
}

static void line_written(struct cpu *cpu)
{
    struct i386_state *s = to_cpu(cpu)->st;

    s->monitor_line = LINE_NONE;
    if (s->halted == I386_MWAIT || s->halted == I386_MWAIT_BREAK)
        s->halted = 0;
}

static void stood(struct cpu *cpu)
{
    if (const_cpu(cpu)->model->pmu)
        i386_pmu_stood(to_cpu(cpu));
}

/* Before version 5 there were no performance counters, and no IA32_TSC_ADJUST: all zeros. Before version 6 there were no last
 * branches, and fewer registers: as after a reset. Before version 7 there was no SVM: no guest runs. The temporaries, which are zeros,
 * come last. */
static bool upgrade(struct cpu *cpu, uint32_t version, const void *old, size_t len)
{
    struct i386_state *s = to_cpu(cpu)->st;
    size_t kept = version == 4 ? offsetof(struct i386_state, tsc_adjust) : version == 5 ? offsetof(struct i386_state, smi_count)
                                                                                      : offsetof(struct i386_state, svm);

    if (version < 4 || len != kept + sizeof s->t)
        return false;
    memset(s, 0, sizeof *s);
    memcpy(s, old, kept);
    i386_reset_msrs(to_cpu(cpu), kept);
    return true;
}

static bool read_device(struct cpu *cpu, bool port, uint64_t addr, unsigned size, uint64_t *value)
{
    const struct i386_cpu *c = to_cpu(cpu);

    cpu->machine->runner = cpu; /* whose local APIC it is */
    if (!port)
        *value = memory_read(&cpu->machine->memory, addr, size);
    else
        *value = c->io_read ? c->io_read(c->io_ctx, (uint16_t)addr, size) : UINT64_MAX >> (64 - 8 * size);
    return true;
}

static const struct cpu_ops ops = {
    .arch = "i386",
    .state_size = sizeof(struct i386_state),
    .state_version = 7,
    .upgrade = upgrade,
    .reset = reset,
    .run = ucpu_run,
    .idle = idle,
    .activity = activity,
    .awaits = awaits,
    .deaf = deaf,
    .room = i386_pmu_room,
    .stood = stood,
    .line = line,
    .line_written = line_written,
    .translate = i386_translate,
    .read_device = read_device,
    .stretch = i386_stretch,
    .pc = pc,
    .step_pc = ucpu_step_pc,
    .mode_name = mode_name,
    .mode_is_user = mode_is_user,
    .abi = abi,
    .exception_name = i386_exception_name,
    .exception_last = 255,
    .interrupt_last = 255,
    .in_progress = in_progress,
    .drop_derived = drop_derived,
    .note_code = ucpu_note_code,
    .possible = possible,
    .destroy = destroy,
    .regs = i386_regs,
    .nregs = I386_NREGS,
    .address_bits = 32,
    .pc_reg = I386_REG_EIP,
    .sp_reg = I386_REG_ESP,
    .fp_reg = I386_REG_EBP,
    .flags_reg = I386_REG_EFLAGS,
    .read_reg = i386_read_reg,
    .write_reg = i386_write_reg,
    .feature_types = i386_feature_types,
    .describe = i386_describe,
    .describe_tlb = i386_describe_tlb,
};

/* How a debugger sees a model with long mode, in every mode. */
static void show_64(struct i386_cpu *c)
{
    i386_layout_64(c->regs_64, i386_has(c->model, FEATURE_AVX), &c->ops_64.nregs);
    c->ops_64.arch = "i386:x86-64";
    c->ops_64.regs = c->regs_64;
    c->ops_64.address_bits = 64;
    c->ops_64.pc_reg = I386_REG_RIP;
    c->ops_64.sp_reg = I386_REG_RSP;
    c->ops_64.fp_reg = I386_REG_RBP;
    c->ops_64.flags_reg = I386_REG_RFLAGS;
    c->ops_64.read_reg = i386_read_reg_64;
    c->ops_64.write_reg = i386_write_reg_64;
    c->ops_64.feature_types = i386_feature_types_64;
}

static const struct frontend frontend = {
    .where = where,
    .set_pc = set_pc,
    .build = i386_build,
    .walk = i386_walk,
    .roots = i386_roots,
    .top_table = i386_top_table,
    .part_shift = 30, /* PAE paging: a root for each GiB */
    .wide_part_shift = 46, /* 64 bits: kernels have the upper half */
    .event_ready = i386_event_ready,
    .quiet = i386_quiet,
    .take_event = i386_take_event,
    .take_exception = i386_take_exception,
    .single_step = i386_single_step,
    .repeats = i386_repeats,
    .stepped = i386_stepped,
    .guest_break = i386_guest_break,
    .guest_watch = i386_guest_watch,
    .sse_op = i386_sse_op,
    .vector_op = i386_vector_op,
    .approximation = i386_approximation,
    .vector_test = i386_vector_test,
    .vector_strings = i386_vector_strings,
    .vector_high = S_VECTOR_HIGH,
    .vectors = S_OFF(xmm),
    .vector_offset = S_T(0),
    .mxcsr_at = S_OFF(mxcsr),
    .zero = S_OFF(zero),
    .temporaries = S_OFF(t),
    .temporaries_len = sizeof(((struct i386_state *)NULL)->t),
    .x87 = &i386_x87_layout,
    .settle = settle,
};

struct i386_cpu *i386_create(struct machine *m, const struct i386_model *model)
{
    struct i386_cpu *c = xcalloc(1, sizeof *c);
    char name[16];

    c->model = model;
    c->model_mode = i386_model_mode(model);
    snprintf(name, sizeof name, "cpu%u", m->ncpus);
    c->st = machine_alloc_state(m, name, ops.state_version, sizeof *c->st);
    c->ops_64 = ops;
    if (i386_has(model, FEATURE_LM))
        show_64(c);
    ucpu_init(&c->u, m, i386_has(model, FEATURE_LM) ? &c->ops_64 : &ops, &frontend, c->st, S_OFF(cc));
    c->u.x87_notes_opcode = i386_x87_notes_opcode(model);
    c->st->a20_mask = 0xffffffffu;
    c->u.cpu.own_line = true;
    reset(&c->u.cpu);
    return c;
}

void i386_show_32(struct i386_cpu *c, bool real)
{
    c->ops_16 = ops;
    c->ops_16.arch = "i8086";
    c->u.cpu.ops = real ? &c->ops_16 : &ops;
}
